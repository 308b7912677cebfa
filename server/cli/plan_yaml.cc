#include "server/cli/plan_yaml.h"

#include <algorithm>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "ringfence/content/yaml_documents.h"
#include "ringfence/policy/calendar.h"
#include "server/cli/human.h"
#include "server/cli/proto_value.h"
#include "server/cli/value.h"
#include "server/cli/yaml_reader.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int32_t kMinutesOfDay = 24 * 60;
constexpr int32_t kMostInt = std::numeric_limits<int32_t>::max();

// The number of the enum value whose word stands in the node; 0 and a fault if it is none.
int Word(const YamlReader& in, const google::protobuf::EnumDescriptor& type, int fallback) {
  if (!in.present()) return fallback;
  std::string wanted;
  for (int i = 1; i < type.value_count(); ++i) {
    const std::string word = EnumWord(type, type.value(i)->number());
    if (in.IsScalar() && in.node().Scalar() == word) return type.value(i)->number();
    absl::StrAppend(&wanted, i == 1 ? "" : i + 1 == type.value_count() ? " or " : ", ", word);
  }
  in.Fail(wanted);
  return fallback;
}

const std::set<std::string>& Keys(const char* part) {
  return PlanKeys().at(part);
}

// A share of all hosts, as many buckets of 0.01 %.
int32_t TenThousandths(const YamlReader& in) {
  constexpr int64_t kBucketPpm = 100;
  const int64_t ppm = in.SharePpm();
  if (ppm % kBucketPpm != 0) in.Fail("a share in steps of 0.01%, such as 12.5%");
  return static_cast<int32_t>(ppm / kBucketPpm);
}

// {os: win11, kernel: [a, b], bucket: {from: 0%, to: 5%}}
void ReadSelector(const YamlReader& in, v1::Selector* out) {
  in.EachKey([&](const std::string& key, const YamlReader& value) {
    if (key == "bucket" && value.IsMap()) {  // as text or list it is a label as any other
      v1::HashBucket* bucket = out->mutable_bucket();
      if (!value.IsMapOf(Keys("bucket"))) return;
      if (!value.Get("to").present()) value.FailAt(value.node(), value.path(), "a bucket needs `to`");
      bucket->set_from(TenThousandths(value.Get("from")));
      bucket->set_to(TenThousandths(value.Get("to")));
      return;
    }
    v1::Requirement* requirement = out->add_all_of();
    requirement->set_key(key);
    if (value.IsList()) {
      value.Each([&](const YamlReader& item) { requirement->add_any_of(item.Text("a label's value")); });
    } else {
      requirement->add_any_of(value.Text("a label's value, or a list of values"));
    }
  });
}

void ReadWave(const YamlReader& in, v1::Wave* out) {
  if (in.IsScalar()) {  // the short form: 5%
    out->set_share_ppm(in.SharePpm());
  } else if (in.IsMapOf(Keys("wave"))) {
    out->set_share_ppm(in.Get("share").SharePpm());
    if (in.Get("max_hosts").present()) out->set_max_hosts(in.Get("max_hosts").Integer(0, kMost));
  }
}

// 02:30; as `to` also 24:00.
int32_t ReadClock(const YamlReader& in, int32_t most) {
  if (!in.present()) return 0;
  const std::string text = in.IsScalar() ? in.node().Scalar() : "";
  int hours = 0, minutes = 0;
  const bool form = text.size() == 5 && text[2] == ':' &&
                    text.find_first_not_of("0123456789:") == std::string::npos &&
                    absl::SimpleAtoi(text.substr(0, 2), &hours) && absl::SimpleAtoi(text.substr(3), &minutes);
  if (!form || minutes > 59 || hours * 60 + minutes > most) {
    in.Fail(most == kMinutesOfDay ? "a time of day, 00:01 to 24:00" : "a time of day, 00:00 to 23:59");
    return 0;
  }
  return hours * 60 + minutes;
}

void ReadWindows(const YamlReader& in, google::protobuf::RepeatedPtrField<v1::MaintenanceWindow>* out) {
  in.Each([&](const YamlReader& window) {
    v1::MaintenanceWindow* to = out->Add();  // what is no window keeps its place: paths count by it
    if (!window.IsMapOf(Keys("window"))) return;
    const auto day = [&](const YamlReader& node) {
      to->add_days(static_cast<v1::Weekday>(Word(node, *v1::Weekday_descriptor(), v1::WEEKDAY_MON)));
    };
    const YamlReader days = window.Get("days");
    days.IsScalar() ? day(days) : days.Each(day);
    for (const char* needed : {"from", "to"}) {
      if (!window.Get(needed).present())
        window.FailAt(window.node(), window.path(), absl::StrCat("a window needs `", needed, "`"));
    }
    to->set_from_minute(ReadClock(window.Get("from"), kMinutesOfDay - 1));
    const int32_t end = ReadClock(window.Get("to"), kMinutesOfDay);
    to->set_to_minute(end == 0 ? kMinutesOfDay : end);  // 00:00 ends the day too
    to->set_zone(window.Get("zone").Text("a time zone such as Europe/Berlin"));
  });
}

v1::Approval ReadApproval(const YamlReader& in) {
  return static_cast<v1::Approval>(Word(in, *v1::Approval_descriptor(), v1::APPROVAL_UNSPECIFIED));
}

template <typename Message>
void ReadApprovers(const YamlReader& in, Message* out) {
  in.Each([&](const YamlReader& who) { out->add_approvers(who.Text("a person, or role:NAME")); });
}

void ReadRingRule(const YamlReader& in, v1::RingRule* out) {
  if (!in.IsMapOf(Keys("ring_channel"))) return;
  if (!in.Get("channel").present()) in.FailAt(in.node(), in.path(), "a rule needs a channel");
  out->set_channel(in.Get("channel").Text("a channel's name"));
  if (in.Get("lag").present()) out->set_lag(static_cast<int32_t>(in.Get("lag").Integer(0, kMostInt)));
  if (in.Get("min_age").present()) FromDuration(in.Get("min_age").Duration(), out->mutable_min_age());
  out->set_approval(ReadApproval(in.Get("approval")));
  ReadWindows(in.Get("windows"), out->mutable_windows());
}

template <typename Message>
void ReadScope(const YamlReader& in, Message* out) {
  out->set_reason(in.Get("reason").Text("why, for people"));
  out->set_owner(in.Get("owner").Text("who can lift it"));
  in.Get("rings").Each([&](const YamlReader& name) { out->add_rings(name.Text("a ring's name")); });
  in.Get("channels").Each([&](const YamlReader& name) { out->add_channels(name.Text("a channel's name")); });
}

// With an offset, or local time of the plan's zone.
void ReadTime(const YamlReader& in, const absl::TimeZone& zone, google::protobuf::Timestamp* out) {
  if (!in.present()) return;
  const std::string text = in.IsScalar() ? in.node().Scalar() : "";
  absl::Time time;
  bool ok = absl::ParseTime("%Y-%m-%dT%H:%M:%E*S%Ez", text, &time, nullptr) ||
            absl::ParseTime("%Y-%m-%dT%H:%M%Ez", text, &time, nullptr);
  absl::CivilMinute minute;
  absl::CivilDay day;
  if (!ok && (absl::ParseCivilTime(text, &minute) || absl::ParseCivilTime(text, &day))) {
    const absl::CivilSecond local = text.size() > 10 ? absl::CivilSecond(minute) : absl::CivilSecond(day);
    const absl::TimeZone::TimeInfo info = zone.At(local);
    time = info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
    ok = true;
  }
  if (!ok || time < absl::FromUnixSeconds(0) || time > absl::FromUnixSeconds(253'402'300'799)) {
    return in.Fail("a time such as 2026-12-18, 2026-12-18T18:00 or 2026-12-18T18:00:00+01:00");
  }
  out->set_seconds(absl::ToUnixSeconds(time));
  out->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(out->seconds()))));
}

void ReadCalendar(const YamlReader& in, v1::Plan* out) {
  out->set_zone(in.Get("zone").Text("a time zone such as Europe/Berlin"));
  absl::TimeZone zone = absl::UTCTimeZone();
  if (policy::IsTimeZone(out->zone())) (void)absl::LoadTimeZone(out->zone(), &zone);
  if (in.Get("valid_until").present()) ReadTime(in.Get("valid_until"), zone, out->mutable_valid_until());
  in.Get("freezes").Each([&](const YamlReader& freeze) {
    v1::Freeze* to = out->add_freezes();
    if (!freeze.IsMapOf(Keys("freeze"))) return;
    for (const char* needed : {"from", "to"}) {
      if (!freeze.Get(needed).present())
        freeze.FailAt(freeze.node(), freeze.path(), absl::StrCat("a freeze needs `", needed, "`"));
    }
    ReadTime(freeze.Get("from"), zone, to->mutable_from());
    ReadTime(freeze.Get("to"), zone, to->mutable_to());
    ReadScope(freeze, to);
  });
  in.Get("blackouts").Each([&](const YamlReader& blackout) {
    v1::Blackout* to = out->add_blackouts();
    if (!blackout.IsMapOf(Keys("blackout"))) return;
    to->set_date(blackout.Get("date").Text("a day such as 2026-12-24, or 12-24 for every year"));
    to->set_zone(blackout.Get("zone").Text("a time zone such as Europe/Berlin"));
    ReadScope(blackout, to);
  });
}

void ReadDenied(const YamlReader& in, v1::DeniedRelease* out) {
  if (!in.IsMapOf(Keys("denied"))) return;
  const YamlReader hex = in.Get("sha256");
  if (hex.present()) {
    const std::string text = hex.Text("a sha256, 64 hex digits");
    if (text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos) {
      out->set_digest(absl::HexStringToBytes(text));
    } else if (!text.empty()) {
      hex.Fail("a sha256, 64 hex digits");
    }
  }
  out->set_channel(in.Get("channel").Text("a channel's name"));
  out->set_version(in.Get("version").Text("a version"));
  out->set_reason(in.Get("reason").Text("why, for people"));
  out->set_owner(in.Get("owner").Text("who decided"));
}

void ReadUrgent(const YamlReader& in, v1::Urgent* out) {
  if (!in.IsMapOf(Keys("urgent"))) return;
  if (!in.Get("mode").present()) in.FailAt(in.node(), in.path(), "a mode is needed: notify or allow");
  out->set_mode(static_cast<v1::UrgentMode>(
      Word(in.Get("mode"), *v1::UrgentMode_descriptor(), v1::URGENT_MODE_UNSPECIFIED)));
  in.Get("rings").Each([&](const YamlReader& name) { out->add_rings(name.Text("a ring's name")); });
  if (in.Get("min_age").present()) FromDuration(in.Get("min_age").Duration(), out->mutable_min_age());
  if (in.Get("soak").present()) FromDuration(in.Get("soak").Duration(), out->mutable_soak());
  out->set_outside_windows(in.Get("outside_windows").Boolean());
}

void ReadRing(const YamlReader& in, v1::Ring* out) {
  if (!in.IsMapOf(Keys("ring"))) return;
  if (!in.Get("name").present()) in.FailAt(in.node(), in.path(), "a ring needs a name");
  out->set_name(in.Get("name").Text("a name of a-z, 0-9 and -"));
  ReadSelector(in.Get("selector"), out->mutable_selector());
  out->set_lag(static_cast<int32_t>(in.Get("lag").Integer(0, kMostInt)));
  in.Get("waves").Each([&](const YamlReader& wave) { ReadWave(wave, out->add_waves()); });
  if (in.Get("soak").present()) FromDuration(in.Get("soak").Duration(), out->mutable_soak());
  if (in.Get("min_age").present()) FromDuration(in.Get("min_age").Duration(), out->mutable_min_age());
  if (in.Get("hosts_per_minute").present())
    out->set_hosts_per_minute(in.Get("hosts_per_minute").Integer(0, kMost));
  ReadWindows(in.Get("windows"), out->mutable_windows());
  out->set_approval(ReadApproval(in.Get("approval")));
  ReadApprovers(in.Get("approvers"), out);
  if (in.Get("hasten_to").present()) FromDuration(in.Get("hasten_to").Duration(), out->mutable_hasten_to());
  in.Get("channels").Each([&](const YamlReader& rule) { ReadRingRule(rule, out->add_channels()); });
}

void ReadRateGate(const YamlReader& in, v1::RateGate* out) {
  if (!in.IsMapOf(Keys("rate_gate"))) return;
  out->set_max_rate_ppm(in.Get("max_rate").SharePpm());
  out->set_min_count(in.Get("min_count").present() ? in.Get("min_count").Integer(1, kMost) : 1);
  if (in.Get("window").present()) FromDuration(in.Get("window").Duration(), out->mutable_window());
}

void ReadGates(const YamlReader& in, v1::SloGates* out) {
  if (!in.IsMapOf(Keys("gates"))) return;
  if (in.Get("crash").present()) ReadRateGate(in.Get("crash"), out->mutable_crash());
  if (in.Get("degraded").present()) ReadRateGate(in.Get("degraded"), out->mutable_degraded());
  if (const YamlReader silence = in.Get("silence");
      silence.present() && silence.IsMapOf(Keys("silence_gate"))) {
    v1::SilenceGate* gate = out->mutable_silence();
    gate->set_missed_checkins(static_cast<int32_t>(silence.Get("missed_checkins").Integer(1, kMostInt)));
    gate->set_max_excess_ppm(silence.Get("max_excess").SharePpm());
    gate->set_min_count(silence.Get("min_count").present() ? silence.Get("min_count").Integer(1, kMost) : 1);
    if (silence.Get("window").present())
      FromDuration(silence.Get("window").Duration(), gate->mutable_window());
  }
  in.Get("cohort_keys").Each([&](const YamlReader& key) { out->add_cohort_keys(key.Text("a label's key")); });
  out->set_on_breach(static_cast<v1::OnBreach>(
      Word(in.Get("on_breach"), *v1::OnBreach_descriptor(), v1::ON_BREACH_HALT_AND_REVERT)));
}

void ReadPlan(const YamlReader& in, v1::Plan* out) {
  if (!in.IsMapOf(Keys("plan"))) return;
  for (const char* needed : {"tenant", "channels", "rings"}) {
    if (!in.Get(needed).present()) in.FailAt(in.node(), needed, "is missing");
  }
  out->set_tenant(in.Get("tenant").Text("a tenant's name"));
  in.Get("channels").Each([&](const YamlReader& channel) {
    v1::ChannelRule* rule = out->add_channels();
    if (!channel.IsMapOf(Keys("channel"))) return;
    if (!channel.Get("channel").present())
      channel.FailAt(channel.node(), channel.path(), "a rule needs a channel");
    rule->set_channel(channel.Get("channel").Text("a channel's name"));
    rule->set_mode(static_cast<v1::ChannelMode>(
        Word(channel.Get("mode"), *v1::ChannelMode_descriptor(), v1::CHANNEL_MODE_FOLLOW)));
    rule->set_lag(static_cast<int32_t>(channel.Get("lag").Integer(0, kMostInt)));
    rule->set_pinned_version(channel.Get("pinned_version").Text("a version"));
    rule->set_from_version(channel.Get("from").Text("a version"));
    rule->set_below_version(channel.Get("below").Text("a version"));
    channel.Get("barriers").Each([&](const YamlReader& version) {
      rule->add_barriers(version.Text("a version"));
    });
    rule->set_approval(ReadApproval(channel.Get("approval")));
    if (channel.Get("min_age").present())
      FromDuration(channel.Get("min_age").Duration(), rule->mutable_min_age());
    ReadApprovers(channel.Get("approvers"), rule);
  });
  in.Get("rings").Each([&](const YamlReader& ring) { ReadRing(ring, out->add_rings()); });
  if (in.Get("gates").present()) ReadGates(in.Get("gates"), out->mutable_gates());
  if (in.Get("urgent_soak_factor").present())
    out->set_urgent_soak_factor_ppm(in.Get("urgent_soak_factor").SharePpm());
  if (in.Get("hold_revert_after").present()) {
    FromDuration(in.Get("hold_revert_after").Duration(), out->mutable_hold_revert_after());
  }
  ReadCalendar(in, out);
  in.Get("deny").Each([&](const YamlReader& denied) { ReadDenied(denied, out->add_deny()); });
  if (in.Get("urgent").present()) ReadUrgent(in.Get("urgent"), out->mutable_urgent());
  out->set_bucket_salt(in.Get("bucket_salt").Text("a text"));
  if (in.Get("rollback_depth").present())
    out->set_rollback_depth(static_cast<int32_t>(in.Get("rollback_depth").Integer(0, kMostInt)));
  out->set_unqualified_platform(static_cast<v1::UnqualifiedPlatform>(
      Word(in.Get("unqualified_platform"), *v1::UnqualifiedPlatform_descriptor(),
           v1::UNQUALIFIED_PLATFORM_UNSPECIFIED)));
  out->set_uncovered_cohorts(static_cast<v1::UncoveredCohorts>(Word(
      in.Get("uncovered_cohorts"), *v1::UncoveredCohorts_descriptor(), v1::UNCOVERED_COHORTS_UNSPECIFIED)));
}

void ReadManifest(const YamlReader& in, v1::ReleaseManifest* out) {
  if (!in.IsMapOf({"channel", "kind", "serial", "version", "targets", "matrix", "urgent"})) return;
  out->set_channel(in.Get("channel").Text("a channel's name"));
  out->set_kind(static_cast<v1::ChannelKind>(
      Word(in.Get("kind"), *v1::ChannelKind_descriptor(), v1::CHANNEL_KIND_UNSPECIFIED)));
  if (in.Get("serial").present()) out->set_serial(static_cast<uint64_t>(in.Get("serial").Integer(1, kMost)));
  out->set_version(in.Get("version").Text("a version"));
  ReadSelector(in.Get("targets"), out->mutable_targets());
  in.Get("matrix").Each([&](const YamlReader& platform) { ReadSelector(platform, out->add_matrix()); });
  out->set_urgent(in.Get("urgent").Boolean());
}

void ReadFleet(const YamlReader& in, v1::PreviewPlanResponse* out) {
  if (!in.IsMapOf({"hosts"})) return;
  if (!in.Get("hosts").present()) in.FailAt(in.node(), "hosts", "is missing");
  in.Get("hosts").Each([&](const YamlReader& entry) {
    v1::LabelMixEntry* to = out->add_label_mix();
    if (!entry.IsMapOf({"count", "labels"})) return;
    to->set_hosts(entry.Get("count").present() ? entry.Get("count").Integer(1, 1'000'000'000) : 1);
    entry.Get("labels").EachKey([&](const std::string& key, const YamlReader& value) {
      const auto add = [&](const YamlReader& one) {
        v1::Label* label = to->add_labels();
        label->set_key(key);
        label->set_value(one.Text("a label's value"));
      };
      value.IsList() ? value.Each(add) : add(value);
    });
  });
}

template <typename Message>
Parsed<Message> Parse(absl::string_view text, void (*read)(const YamlReader&, Message*)) {
  Parsed<Message> parsed;
  if (text.size() > kMaxFileBytes) {
    parsed.faults.push_back(
        {Place{}, "", absl::StrCat("the file has ", text.size(), " bytes, wanted at most 1 MiB")});
    return parsed;
  }
  YamlFile file;
  try {
    const int documents = content::CountDocuments(std::string(text));
    if (documents != 1) {
      file.faults.push_back(
          {Place{}, "",
           absl::StrCat("found ", documents == 0 ? "nothing" : "something behind the first document",
                        ", wanted one document alone")});
    } else {
      read(YamlReader(YAML::Load(std::string(text)), "", &file), &parsed.message);
    }
  } catch (const YAML::Exception& error) {  // not YAML at all
    const Place place = error.mark.is_null() ? Place{} : Place{error.mark.line + 1, error.mark.column + 1};
    file.faults.push_back({place, "", Printable(error.msg)});
  }
  parsed.faults = std::move(file.faults);
  parsed.places = std::move(file.places);
  std::stable_sort(parsed.faults.begin(), parsed.faults.end(), [](const YamlFault& a, const YamlFault& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  return parsed;
}

}  // namespace

Place Places::Find(absl::string_view path) const {
  for (const char* prefix : {"plan.", "manifest.", "header.manifest."}) absl::ConsumePrefix(&path, prefix);
  std::string at(path);
  while (true) {
    const auto found = places_.find(at);
    if (found != places_.end()) return found->second;
    const size_t cut = at.find_last_of(".[");
    if (cut == std::string::npos) return Place{};
    at.resize(cut);
  }
}

const std::map<std::string, std::set<std::string>>& PlanKeys() {
  static const std::map<std::string, std::set<std::string>> keys = {
      {"plan",
       {"tenant", "zone", "channels", "rings", "gates", "urgent_soak_factor", "hold_revert_after", "freezes",
        "blackouts", "deny", "urgent", "bucket_salt", "rollback_depth", "unqualified_platform",
        "uncovered_cohorts", "valid_until"}},
      {"channel",
       {"channel", "mode", "lag", "pinned_version", "from", "below", "barriers", "approval", "min_age",
        "approvers"}},
      {"ring",
       {"name", "selector", "lag", "waves", "soak", "min_age", "hosts_per_minute", "windows", "approval",
        "approvers", "hasten_to", "channels"}},
      {"ring_channel", {"channel", "lag", "min_age", "approval", "windows"}},
      {"wave", {"share", "max_hosts"}},
      {"bucket", {"from", "to"}},
      {"window", {"days", "from", "to", "zone"}},
      {"gates", {"crash", "silence", "degraded", "cohort_keys", "on_breach"}},
      {"rate_gate", {"max_rate", "min_count", "window"}},
      {"silence_gate", {"missed_checkins", "max_excess", "min_count", "window"}},
      {"freeze", {"from", "to", "reason", "owner", "rings", "channels"}},
      {"blackout", {"date", "zone", "reason", "owner", "rings", "channels"}},
      {"denied", {"sha256", "channel", "version", "reason", "owner"}},
      {"urgent", {"mode", "rings", "min_age", "soak", "outside_windows"}},
  };
  return keys;
}

Parsed<v1::Plan> ParsePlanYaml(absl::string_view text) {
  return Parse<v1::Plan>(text, ReadPlan);
}

Parsed<v1::PreviewPlanResponse> ParseFleetYaml(absl::string_view text) {
  return Parse<v1::PreviewPlanResponse>(text, ReadFleet);
}

Parsed<v1::ReleaseManifest> ParseManifestYaml(absl::string_view text) {
  return Parse<v1::ReleaseManifest>(text, ReadManifest);
}

std::string Render(const std::string& file, const std::vector<YamlFault>& faults) {
  std::string out;
  for (const YamlFault& fault : faults) {
    absl::StrAppend(&out, file, ":", fault.place.line, ":", fault.place.column, ": ", fault.path,
                    fault.path.empty() ? "" : ": ", fault.what, "\n");
  }
  return out;
}

}  // namespace ringfence::cli
