// What agents send. CheckIn is the hot path: no allocation beyond the message itself when nothing changed.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/utf8.h"
#include "ringfence/trust/lease.h"
#include "server/api/decode.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

constexpr size_t kMaxBootIdBytes = 64;
constexpr size_t kHashBytes = 16;
constexpr int kMaxRunning = 32;
constexpr int kMaxStaged = 32;
constexpr int kMaxEvents = 64;
constexpr size_t kMaxMetricBytes = 64;
constexpr size_t kMaxDetailBytes = 1024;
constexpr size_t kMaxTokenBytes = 256;

void CheckBootId(const std::string& id, const std::string& path, Faults& faults) {
  if (id.empty() || id.size() > kMaxBootIdBytes) {
    faults.Add(path, absl::StrCat(id.size(), " bytes"), absl::StrCat("1 to ", kMaxBootIdBytes, " bytes"));
  } else if (!IsText(id)) {
    faults.Add(path, Shown(id), "UTF-8 without control characters");
  }
}

Digest DecodeDigest(const std::string& raw, const std::string& path, Faults& faults) {
  absl::StatusOr<Digest> digest = Digest::FromBytes(raw);
  if (!digest.ok() || digest->IsZero()) {
    faults.Add(path, digest.ok() ? std::string("zero") : absl::StrCat(raw.size(), " bytes"),
               "a sha256, 32 raw bytes");
    return Digest();
  }
  return *digest;
}

template <typename List>
std::optional<policy::Labels> DecodeLabels(const List& in, Faults& faults) {
  if (in.size() > static_cast<int>(policy::Labels::kMaxPairs)) {
    faults.Add("labels", absl::StrCat(in.size(), " pairs"),
               absl::StrCat("at most ", policy::Labels::kMaxPairs));
    return std::nullopt;
  }
  std::vector<policy::Labels::Pair> pairs;
  pairs.reserve(static_cast<size_t>(in.size()));
  for (const v1::Label& label : in) pairs.emplace_back(label.key(), label.value());
  absl::StatusOr<policy::Labels> labels = policy::Labels::Make(std::move(pairs));
  if (!labels.ok()) {
    faults.Add("labels", Shown(labels.status().message()),
               "keys of 1 to 64 and values of at most 256 bytes of UTF-8 without control characters");
    return std::nullopt;
  }
  return *std::move(labels);
}

void CheckLine(const std::string& text, size_t most, bool lines, const std::string& path, Faults& faults) {
  if (text.size() > most) {
    faults.Add(path, absl::StrCat(text.size(), " bytes"), absl::StrCat("at most ", most, " bytes"));
  } else if (!IsText(text, lines)) {
    faults.Add(path, Shown(text), "UTF-8 without control characters");
  }
}

app::AgentEvent DecodeEvent(const v1::AgentEvent& in, const std::string& path, Faults& faults) {
  app::AgentEvent event;
  event.seq = in.seq();
  event.boot_id = in.boot_id();
  event.channel = in.channel();
  event.metric = in.metric();
  event.detail = in.detail();
  CheckSerialOrZero(in.seq(), path + ".seq", faults);
  if (!in.boot_id().empty()) CheckBootId(in.boot_id(), path + ".boot_id", faults);
  if (in.kind() < v1::AGENT_EVENT_KIND_CRASH || in.kind() > v1::AGENT_EVENT_KIND_PLAN_REFUSED) {
    faults.Add(path + ".kind", absl::StrCat(static_cast<int>(in.kind())), "a named kind of event");
  } else {
    event.kind = static_cast<app::EventKind>(in.kind());
  }
  CheckSlugOrEmpty(in.channel(), path + ".channel", faults);
  if (!in.digest().empty()) event.digest = DecodeDigest(in.digest(), path + ".digest", faults);
  CheckLine(in.metric(), kMaxMetricBytes, false, path + ".metric", faults);
  CheckLine(in.detail(), kMaxDetailBytes, true, path + ".detail", faults);
  return event;
}

void DecodeRunning(const v1::CheckInRequest& in, CheckInInput* out, Faults& faults) {
  if (in.running_size() > kMaxRunning) {
    faults.Add("running", absl::StrCat(in.running_size(), " elements"),
               absl::StrCat("at most ", kMaxRunning));
    return;
  }
  for (const v1::RunningVersion& running : in.running()) {
    absl::StatusOr<Digest> digest = Digest::FromBytes(running.digest());
    if (!IsSlug(running.channel()) || !digest.ok() || digest->IsZero()) {
      const std::string path = absl::StrCat("running[", out->running.size(), "]");
      CheckSlug(running.channel(), path + ".channel", faults);
      DecodeDigest(running.digest(), path + ".digest", faults);
    }
    out->running.push_back({.channel = running.channel(), .digest = digest.ok() ? *digest : Digest()});
  }
  const auto by_channel = [](const app::RunningView& a, const app::RunningView& b) {
    return a.channel < b.channel;
  };
  if (!std::is_sorted(out->running.begin(), out->running.end(), by_channel)) {
    std::sort(out->running.begin(), out->running.end(), by_channel);
  }
  const auto same = [](const app::RunningView& a, const app::RunningView& b) {
    return a.channel == b.channel;
  };
  const auto twice = std::adjacent_find(out->running.begin(), out->running.end(), same);
  if (twice != out->running.end()) {
    faults.Add("running", absl::StrCat("\"", Shown(twice->channel), "\" twice"), "each channel once");
  }
}

// The hash of the labels: as sent, or computed when the labels themselves came.
void DecodeLabelsHash(const v1::CheckInRequest& in, CheckInInput* out, Faults& faults) {
  if (in.has_labels()) {
    out->labels = DecodeLabels(in.labels(), faults);
    if (!out->labels.has_value()) return;
    out->labels_hash = out->labels->Hash16();
    if (!in.labels_hash().empty() && in.labels_hash() != out->labels_hash) {
      faults.Add("labels_hash", "another hash than that of `labels`", "the hash of `labels`, or nothing");
    }
    out->request.labels = &*out->labels;
    out->request.labels_hash = out->labels_hash;
    return;
  }
  if (in.labels_size() > 0)
    faults.Add("labels", absl::StrCat(in.labels_size(), " pairs"), "none without has_labels");
  if (in.labels_hash().size() != kHashBytes) {
    faults.Add("labels_hash", absl::StrCat(in.labels_hash().size(), " bytes"),
               absl::StrCat(kHashBytes, " bytes"));
  }
  out->request.labels_hash = in.labels_hash();
}

}  // namespace

absl::Status Decode(const v1::CheckInRequest& in, const AgentId& agent, CheckInInput* out) {
  Faults faults;
  out->request.agent = agent;
  CheckBootId(in.boot_id(), "boot_id", faults);
  out->request.boot_id = in.boot_id();
  if (in.last_shutdown() < v1::LAST_SHUTDOWN_UNSPECIFIED || in.last_shutdown() > v1::LAST_SHUTDOWN_UNCLEAN) {
    faults.Add("last_shutdown", absl::StrCat(static_cast<int>(in.last_shutdown())), "a named way to go down");
  }
  out->request.last_shutdown_clean = in.last_shutdown() == v1::LAST_SHUTDOWN_CLEAN;
  DecodeLabelsHash(in, out, faults);
  DecodeRunning(in, out, faults);
  out->request.running = out->running;
  if (in.staged_size() > kMaxStaged) {
    faults.Add("staged", absl::StrCat(in.staged_size(), " elements"), absl::StrCat("at most ", kMaxStaged));
  } else {
    for (const std::string& raw : in.staged()) {
      absl::StatusOr<Digest> digest = Digest::FromBytes(raw);
      if (!digest.ok()) digest = DecodeDigest(raw, absl::StrCat("staged[", out->staged.size(), "]"), faults);
      out->staged.push_back(*digest);
    }
  }
  out->request.staged = out->staged;
  if (in.events_size() > kMaxEvents) {
    faults.Add("events", absl::StrCat(in.events_size(), " elements"), absl::StrCat("at most ", kMaxEvents));
  } else {
    out->events.reserve(static_cast<size_t>(in.events_size()));
    for (const v1::AgentEvent& event : in.events()) {
      out->events.push_back(DecodeEvent(event, absl::StrCat("events[", out->events.size(), "]"), faults));
    }
  }
  out->request.events = out->events;
  out->request.goodbye = in.goodbye();
  return faults.ToStatus();
}

absl::Status Decode(const v1::EnrollRequest& in, app::EnrolRequest* out) {
  Faults faults;
  if (in.token().empty() || in.token().size() > kMaxTokenBytes || !IsText(in.token())) {
    faults.Add("token", absl::StrCat(in.token().size(), " bytes"), "the enrolment token as handed out");
  }
  out->token = in.token();
  absl::StatusOr<AgentId> agent = AgentId::FromBytes(in.agent_id());
  if (agent.ok() && *agent != AgentId()) {
    out->agent = *agent;
  } else {
    faults.Add("agent_id", absl::StrCat(in.agent_id().size(), " bytes"),
               "a UUIDv4, 16 raw bytes, not all zero");
  }
  if (std::optional<policy::Labels> labels = DecodeLabels(in.labels(), faults))
    out->labels = *std::move(labels);
  CheckBootId(in.boot_id(), "boot_id", faults);
  out->boot_id = in.boot_id();
  return faults.ToStatus();
}

absl::Status Decode(const v1::LeaseRequest& in, const AgentId& agent, app::LeaseRequest* out) {
  Faults faults;
  CheckSlug(in.channel(), "channel", faults);
  out->agent = agent;
  out->channel = in.channel();
  out->digest = DecodeDigest(in.digest(), "digest", faults);
  CheckBootId(in.boot_id(), "boot_id", faults);
  out->boot_id = in.boot_id();
  if (!in.plan_sha256().empty()) out->plan_sha256 = DecodeDigest(in.plan_sha256(), "plan_sha256", faults);
  if (!in.nonce().empty() && in.nonce().size() != trust::kNonceBytes) {
    faults.Add("nonce", absl::StrCat(in.nonce().size(), " bytes"),
               absl::StrCat(trust::kNonceBytes, " bytes"));
  }
  return faults.ToStatus();
}

absl::Status Decode(const v1::GetArtifactRequest& in, ArtifactRange* out) {
  Faults faults;
  out->digest = DecodeDigest(in.digest(), "digest", faults);
  if (in.offset() < 0) faults.Add("offset", absl::StrCat(in.offset()), "zero or more");
  out->offset = in.offset();
  return faults.ToStatus();
}

absl::Status Decode(const v1::FetchMetadataRequest& in, MetadataRange* out) {
  Faults faults;
  if (in.name().empty() || in.name().size() > storage::kMaxTrustDocumentName) {
    faults.Add("name", absl::StrCat(in.name().size(), " bytes"),
               absl::StrCat("1 to ", storage::kMaxTrustDocumentName));
  } else if (FirstBadByte(in.name()).has_value()) {
    faults.Add("name", "control characters", "the name of a file of the release repository");
  }
  out->name = in.name();
  out->offset = in.offset();
  return faults.ToStatus();
}

}  // namespace ringfence::api
