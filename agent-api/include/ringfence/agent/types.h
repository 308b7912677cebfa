// What an agent says and is told, as plain values: the machine works on these, the client converts them to
// and from the wire. Digests are sha256; a zero digest means "nothing" or "none named".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/labels.h"

namespace ringfence::agent {

enum class EventKind : uint8_t {
  kCrash = 1,
  kDegraded = 2,
  kSafeMode = 3,
  kRejected = 4,          // the loader refused a file: a halt signal
  kStagingFailed = 5,     // download or verification failed before activation: not harm
  kActivationFailed = 6,  // the old version still runs
  kReverted = 7,
  kPlanRefused = 8,  // the pinned plan does not allow what was offered; `metric` is the reason: an incident
};

// Something that happened on the host. (agent, boot_id, seq) is unique for ever.
struct HostEvent {
  uint64_t seq = 0;
  std::string boot_id;
  EventKind kind = EventKind::kCrash;
  std::string channel;  // may be empty
  Digest digest;
  std::string metric;  // with kDegraded; at most 64 bytes
  std::string detail;  // for people; at most 1024 bytes

  friend bool operator==(const HostEvent&, const HostEvent&) = default;
};

struct Running {
  std::string channel;
  Digest digest;

  friend bool operator==(const Running&, const Running&) = default;
};

struct CheckIn {
  std::string boot_id;
  bool last_shutdown_clean = false;
  std::string labels_hash;  // 16 raw bytes
  bool has_labels = false;
  policy::Labels labels;         // with has_labels
  std::vector<Running> running;  // sorted by channel
  std::vector<Digest> staged;
  std::vector<HostEvent> events;  // at most kMaxEventsPerCheckIn
  bool goodbye = false;
  uint64_t halt_seq = 0;  // of the newest signed halt that is written down here
};

// The customer's signed plan that this host holds, and where the host is in it.
struct HeldPlan {
  int64_t version = 0;
  Digest sha256;     // of what was signed
  std::string ring;  // empty: none matches

  friend bool operator==(const HeldPlan&, const HeldPlan&) = default;
};

// What signed metadata says of a release.
struct ListedRelease {
  uint64_t serial = 0;
  std::string version;
  Digest digest;
  bool urgent = false;
  absl::Time published_at;
  bool covers_host = false;  // it was tested on this host's platform
  std::string path = {};     // in the release repository
};

inline constexpr size_t kMaxEventsPerCheckIn = 64;

enum class DirectiveKind : uint8_t { kPrefetch = 1, kRequestLease = 2, kRevert = 3, kDrop = 4 };

// What the server wants done about one release. It repeats a directive for as long as it stands.
struct Directive {
  DirectiveKind kind = DirectiveKind::kPrefetch;
  std::string channel;
  uint64_t serial = 0;
  std::string version;
  Digest digest;
  int64_t size_bytes = 0;
  absl::Duration within;  // spread the start of a download over this time

  friend bool operator==(const Directive&, const Directive&) = default;
};

// DSSE envelopes that came with a reply. Nothing in them is believed yet.
struct SignedNotices {
  std::vector<std::string> halts;
  std::vector<std::string> orders;
};

struct CheckInReply {
  absl::Duration next_checkin;  // jitter included, by the server
  bool send_labels = false;
  std::vector<Directive> directives;
  SignedNotices notices = {};
};

struct LeaseReply {
  bool granted = false;
  absl::Duration ttl;             // with granted; counted from the moment the request was sent
  std::string reason;             // with not granted: a word of docs/reasons.md
  absl::Duration retry_after;     // with not granted; zero: unknown
  std::string signed_lease = {};  // with granted; empty: the server signs none
  SignedNotices notices = {};
};

struct EnrolReply {
  std::string secret;  // 32 raw bytes
  std::string tenant;
  absl::Duration next_checkin;
};

}  // namespace ringfence::agent
