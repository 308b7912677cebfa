// plan, releases, faults, events.
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/simulate/scenario_sections.h"

namespace ringfence::replay {
namespace {

constexpr std::initializer_list<absl::string_view> kForms = {
    "well_formed",   "empty",           "zero_filled",  "zero_run",       "truncated",
    "bit_flipped",   "schema_mismatch", "oversized",    "incomplete_set", "unsigned",
    "bad_signature", "wrong_key",       "stale_version"};

std::string ParseChannel(const Field& field) {
  field.OneOf({"content", "sensor"});
  return field.Text();
}

policy::Ppm ParsePpm(const Field& field) {
  return policy::Ppm(static_cast<int64_t>(field.Share() * policy::Ppm::kWhole + 0.5));
}

void ParseAssign(const Field& field, RingSpec& ring) {
  field.AllowKeys({"tenant", "share", "min_per_cohort", "rest"});
  if (const auto tenants = field.Find("tenant")) ring.tenants = tenants->Texts();
  if (const auto share = field.Find("share")) ring.share = share->Share();
  if (const auto least = field.Find("min_per_cohort")) ring.min_per_cohort = least->Integer(0);
  if (const auto rest = field.Find("rest")) ring.rest = rest->Bool();
  const int ways = (ring.tenants.empty() ? 0 : 1) + (field.Has("share") ? 1 : 0) + (ring.rest ? 1 : 0);
  if (ways != 1) field.Fail("wanted one of tenant, share, rest");
}

RingSpec ParseRing(const Field& field) {
  field.AllowKeys({"name", "assign", "waves", "soak"});
  RingSpec ring;
  ring.name = field.At("name").Slug();
  ParseAssign(field.At("assign"), ring);
  double before = 0;
  for (const Field& wave : field.At("waves").Items()) {
    ring.waves.push_back(wave.Share());
    if (ring.waves.back() <= before) wave.Fail("wanted more than the wave before");
    before = ring.waves.back();
  }
  if (before != 1) field.At("waves").Fail("wanted 1.0 as the last wave");
  ring.soak = field.At("soak").Duration();
  return ring;
}

policy::RateGate ParseRateGate(const Field& field) {
  field.AllowKeys({"max_rate", "min_count", "window"});
  return {ParsePpm(field.At("max_rate")), field.At("min_count").Integer(1),
          ToDuration(field.At("window").Duration())};
}

policy::SloGates ParseGates(const Field& field) {
  field.AllowKeys({"crash", "silence", "degraded", "cohort_keys", "on_breach"});
  policy::SloGates gates;
  if (const auto crash = field.Find("crash")) gates.crash = ParseRateGate(*crash);
  if (const auto degraded = field.Find("degraded")) gates.degraded = ParseRateGate(*degraded);
  if (const auto silence = field.Find("silence")) {
    silence->AllowKeys({"missed_checkins", "max_excess", "min_count", "window"});
    gates.silence = policy::SilenceGate{
        static_cast<int>(silence->At("missed_checkins").Integer(1)), ParsePpm(silence->At("max_excess")),
        silence->At("min_count").Integer(1), ToDuration(silence->At("window").Duration())};
  }
  if (const auto keys = field.Find("cohort_keys")) gates.cohort_keys = keys->Texts();
  if (const auto act = field.Find("on_breach")) {
    constexpr policy::OnBreach kActs[] = {policy::OnBreach::kHold, policy::OnBreach::kHalt,
                                          policy::OnBreach::kHaltAndRevert};
    gates.on_breach = kActs[act->OneOf({"hold", "halt", "halt_and_revert"})];
  }
  return gates;
}

// Which files of a stream are bad: words of the artifact forms in turn, or a string of g and b.
std::vector<ArtifactForm> ParsePattern(const Field& field, ArtifactForm bad) {
  std::vector<ArtifactForm> forms;
  if (field.IsScalar()) {
    for (const char c : field.Text()) {
      if (c == 'g' || c == 'G' || c == '.') {
        forms.push_back(ArtifactForm::kWellFormed);
      } else if (c == 'b' || c == 'B' || c == 'x') {
        forms.push_back(bad);
      }
    }
  } else if (field.IsSequence()) {
    for (const Field& item : field.Items()) forms.push_back(static_cast<ArtifactForm>(item.OneOf(kForms)));
  }
  if (forms.empty()) field.Fail("wanted a list of artifact forms, or a string of g (good) and b (bad)");
  return forms;
}

void ParseTelemetry(const Field& field, FaultSpec& fault) {
  field.AllowKeys({"crash_report", "report_delay", "brief_checkin_per_hour", "checkin_slowdown", "metric"});
  if (const auto value = field.Find("crash_report")) fault.crash_report = value->Share();
  if (const auto value = field.Find("report_delay")) fault.report_delay = value->Duration();
  if (const auto value = field.Find("brief_checkin_per_hour"))
    fault.brief_checkins_per_hour = value->NonNegative();
  if (const auto value = field.Find("checkin_slowdown")) fault.checkin_slowdown = value->NonNegative();
  if (const auto value = field.Find("metric")) {
    // A gauge's name, or a map that holds it: names of gauges are free.
    fault.metric = value->IsScalar()    ? value->Text()
                   : value->Has("name") ? value->At("name").Text()
                                        : value->Entries().front().first;
  }
}

Micros ParseAt(const Field& field, bool& after_first_halt) {
  const std::string text = field.Text();
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "on:first_halt")) return field.Duration();
  after_first_halt = true;
  if (rest.empty()) return 0;
  const std::optional<Micros> offset = absl::ConsumePrefix(&rest, "+") ? ParseDuration(rest) : std::nullopt;
  if (!offset.has_value()) field.Fail(absl::StrCat("\"", text, "\"; wanted on:first_halt+DURATION"));
  return *offset;
}

}  // namespace

const char* Name(ArtifactForm form) {
  return (kForms.begin() + static_cast<size_t>(form))->data();
}

PlanSpec ParsePlan(const Field& field) {
  field.AllowKeys({"channel", "rings", "gates", "emergency"});
  PlanSpec plan;
  plan.channel = ParseChannel(field.At("channel"));
  std::set<std::string> names;
  for (const Field& item : field.At("rings").Items()) {
    plan.rings.push_back(ParseRing(item));
    if (!names.insert(plan.rings.back().name).second) item.Fail("a ring of that name is there already");
  }
  if (plan.rings.empty()) field.At("rings").Fail("wanted at least one ring");
  if (const auto gates = field.Find("gates")) plan.gates = ParseGates(*gates);
  if (const auto emergency = field.Find("emergency")) {
    emergency->AllowKeys({"soak_factor", "may_skip_rings"});
    if (const auto factor = emergency->Find("soak_factor")) plan.soak_factor = factor->Share();
    if (const auto skip = emergency->Find("may_skip_rings"); skip && skip->Bool()) {
      skip->Fail("true; no plan of ours may skip rings");
    }
  }
  return plan;
}

ReleaseSpec ParseRelease(const Field& field) {
  field.AllowKeys({"id", "channel", "version", "at", "targets", "artifact", "artifact_detail",
                   "qualification", "request", "stream", "also_deliver_out_of_band"});
  ReleaseSpec release;
  release.id = field.At("id").Text();
  release.channel = ParseChannel(field.At("channel"));
  release.version = field.At("version").Text();
  release.at = field.At("at").Duration();
  release.targets = ParseSelector(field.At("targets"));
  const Field artifact = field.At("artifact");
  artifact.AllowKeys({"form"});
  release.form = static_cast<ArtifactForm>(artifact.At("form").OneOf(kForms));
  if (const auto detail = field.Find("artifact_detail"); detail && detail->IsMap()) {
    if (const auto size = detail->Find("size_bytes")) release.size_bytes = size->Integer(0);
  }
  const Field qualification = field.At("qualification");
  qualification.AllowKeys({"matrix", "evidence"});
  for (const Field& item : qualification.At("matrix").Items()) release.matrix.push_back(ParseSelector(item));
  if (const auto evidence = qualification.Find("evidence")) {
    release.evidence = static_cast<Evidence>(evidence->OneOf({"this_artifact", "other_artifact", "none"}));
  }
  if (const auto request = field.Find("request")) {
    request->AllowKeys({"emergency", "skip_rings_requested", "scope", "mode"});
    if (const auto value = request->Find("emergency")) release.emergency = value->Bool();
    if (const auto value = request->Find("skip_rings_requested"))
      release.skip_rings_requested = value->Bool();
  }
  if (const auto stream = field.Find("stream")) {
    stream->AllowKeys({"every", "count", "bad_pattern"});
    StreamSpec spec;
    spec.every = stream->At("every").Duration();
    spec.count = stream->At("count").Integer(1);
    if (const auto pattern = stream->Find("bad_pattern")) spec.forms = ParsePattern(*pattern, release.form);
    release.stream = std::move(spec);
  }
  // Nothing follows from bytes that come by another way: a simulated host activates what a lease names alone.
  if (const auto oob = field.Find("also_deliver_out_of_band")) oob->Bool();
  return release;
}

FaultSpec ParseFault(const Field& field) {
  field.AllowKeys({"match", "probability", "trigger", "to_labels", "delay", "effect", "telemetry", "recovery",
                   "metric", "checkin_slowdown"});
  FaultSpec fault;
  fault.match = ParseSelector(field.At("match"));
  fault.probability = field.At("probability").Share();
  fault.trigger = static_cast<Trigger>(field.At("trigger").OneOf({"activation", "reboot", "os_change"}));
  if (const auto labels = field.Find("to_labels")) fault.to_labels = ParseLabels(*labels);
  if (const auto delay = field.Find("delay")) fault.delay = ParseDistribution(*delay);
  fault.effect = static_cast<Effect>(field.At("effect").OneOf(
      {"boot_loop", "silent", "crash_once", "degraded", "destructive", "updater_dead"}));
  // One crash is what crash_once is; whether it is reported is for the file to say.
  if (fault.effect == Effect::kCrashOnce) fault.crash_report = 1;
  if (const auto telemetry = field.Find("telemetry")) ParseTelemetry(*telemetry, fault);
  if (const auto metric = field.Find("metric")) fault.metric = metric->Text();
  if (const auto slowdown = field.Find("checkin_slowdown")) fault.checkin_slowdown = slowdown->NonNegative();
  if (fault.checkin_slowdown < 1) field.Fail("checkin_slowdown below 1; wanted a factor");
  if (const auto recovery = field.Find("recovery")) {
    recovery->AllowKeys({"on_revert", "manual"});
    if (const auto revert = recovery->Find("on_revert")) fault.heals_on_revert = revert->Bool();
    if (const auto manual = recovery->Find("manual")) fault.manual_repair = ParseDistribution(*manual);
  }
  return fault;
}

ScenarioEvent ParseEvent(const Field& field) {
  ScenarioEvent event;
  event.kind = static_cast<EventKind>(field.At("kind").OneOf(
      {"os_upgrade", "external_outage", "server_restart", "background_crash", "duplicate_reports"}));
  event.at = ParseAt(field.At("at"), event.after_first_halt);
  switch (event.kind) {
    case EventKind::kOsUpgrade:
      field.AllowKeys({"kind", "at", "match", "share", "spread", "labels_after", "announces_pending_label",
                       "reboots_after"});
      event.labels_after = ParseLabels(field.At("labels_after"));
      break;
    case EventKind::kExternalOutage:
      field.AllowKeys({"kind", "at", "duration", "match", "share", "spread"});
      event.duration = field.At("duration").Duration();
      break;
    case EventKind::kServerRestart:
      field.AllowKeys({"kind", "at", "duration", "how"});
      event.duration = field.At("duration").Duration();
      return event;
    case EventKind::kBackgroundCrash:
      field.AllowKeys({"kind", "at", "duration", "match", "rate_per_host_day"});
      event.duration = field.At("duration").Duration();
      event.rate_per_host_day = field.At("rate_per_host_day").NonNegative();
      break;
    case EventKind::kExclude:  // no file's word
      break;
    case EventKind::kDuplicateReports:
      field.AllowKeys({"kind", "at", "tenant", "hosts", "copies_each"});
      event.tenant = field.At("tenant").Text();
      event.hosts = field.At("hosts").Integer(1);
      event.copies_each = field.At("copies_each").Integer(1);
      return event;
  }
  if (const auto match = field.Find("match")) event.match = ParseSelector(*match);
  if (const auto share = field.Find("share")) event.share = share->Share();
  if (const auto spread = field.Find("spread")) event.spread = ParseDistribution(*spread);
  if (const auto pending = field.Find("announces_pending_label"); pending && pending->Text() != "false") {
    // A plain "true" announces it for as long as the host waits with its reboot.
    event.announces_pending =
        pending->Text() == "true" ? field.At("reboots_after").Duration() : pending->Duration();
  }
  if (const auto reboots = field.Find("reboots_after")) {
    event.reboots = true;
    event.reboots_after = reboots->Duration();
  }
  return event;
}

}  // namespace ringfence::replay
