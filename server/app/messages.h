// What goes into the application and comes out of it, as plain values: the gRPC handlers convert to and from
// these, and the replayer speaks them directly. Durations and times are the product's (a scaled clock scales
// them all).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/host_eligibility.h"
#include "ringfence/policy/labels.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/projection.h"
#include "ringfence/policy/release.h"
#include "ringfence/policy/slo_gate.h"
#include "server/gate/repository.h"
#include "server/storage/rows.h"

namespace ringfence::app {

// ---------------------------------------------------------------- agents

enum class EventKind : uint8_t {
  kCrash = 1,
  kDegraded = 2,
  kSafeMode = 3,
  kRejected = 4,
  kStagingFailed = 5,
  kActivationFailed = 6,
  kReverted = 7,
  kPlanRefused = 8,
};

struct AgentEvent {
  uint64_t seq = 0;
  std::string boot_id;  // empty: the request's
  EventKind kind = EventKind::kCrash;
  std::string channel;  // may be empty
  Digest digest;        // zero: none named
  std::string metric;
  std::string detail;
};

// Views must outlive the call only.
struct RunningView {
  absl::string_view channel;
  Digest digest;
};

struct CheckInRequest {
  AgentId agent;  // authenticated by the caller
  absl::string_view boot_id;
  bool last_shutdown_clean = false;        // of the boot before this one
  absl::string_view labels_hash;           // 16 raw bytes
  const policy::Labels* labels = nullptr;  // null: not sent
  absl::Span<const RunningView> running;   // sorted by channel
  absl::Span<const Digest> staged;
  absl::Span<const AgentEvent> events;
  bool goodbye = false;
};

enum class DirectiveKind : uint8_t { kPrefetch = 1, kRequestLease = 2, kRevert = 3, kDrop = 4 };

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

struct CheckInReply {
  absl::Duration next_checkin;  // jitter included
  bool send_labels = false;
  // Shared and immutable; never null. Most hosts share a few of these.
  std::shared_ptr<const std::vector<Directive>> directives;
};

struct LeaseRequest {
  AgentId agent;
  absl::string_view channel;
  Digest digest;
  absl::string_view boot_id;
  Digest plan_sha256 = {};  // of the signed plan that the host holds; zero: it pins none
};

// What a granted lease is bound to, for whoever signs it.
struct LeaseTerms {
  std::string tenant;
  std::string ring;
  int64_t length = 0;        // of the artifact
  uint64_t from_serial = 0;  // of what the host runs; 0: nothing that is known
  uint64_t to_serial = 0;
  RolloutId rollout = 0;
  uint64_t plan_version = 0;  // of the signed plan in force; 0: the tenant signs none
  Digest plan_sha256;         // its hash, or zero
  uint64_t halt_seq = 0;      // of the newest halt of all that this server knows; 0: none
  absl::Time at;
};

struct LeaseReply {
  bool granted = false;
  absl::Duration ttl;                             // with granted
  LeaseTerms terms = {};                          // with granted
  policy::Reason reason = policy::Reason::kNone;  // with not granted
  absl::Duration retry_after;                     // with not granted; zero: at the next check-in
};

struct EnrolRequest {
  std::string token;
  AgentId agent;
  policy::Labels labels;
  std::string boot_id;
};

struct EnrolReply {
  std::string secret;  // 32 raw bytes
  std::string tenant;
  absl::Duration next_checkin;
};

// ---------------------------------------------------------------- people

// A link of a tenant's chain of signed plans.
struct SignedPlanInfo {
  int64_t revision = 0;  // that it became
  uint64_t version = 0;
  Digest sha256, prev;
  std::string envelope;
  std::string authority;  // a sentence
};

enum class Role : uint8_t { kTenantViewer = 1, kTenantAdmin = 2, kSre = 3, kReleaseManager = 4 };
const char* Name(Role role);  // "tenant-viewer", ...

// Who is calling. The tenant is empty for the vendor's people.
struct Actor {
  std::string person;
  Role role = Role::kTenantViewer;
  std::string tenant;
  // Derived from the credential, known to nobody else: enrolment tokens are made of it, so that a repeated
  // request gets the same one though no token is stored.
  std::string key = {};

  bool IsVendor() const { return role == Role::kSre || role == Role::kReleaseManager; }
};

struct EnrolToken {
  std::string token;  // 64 hexadecimal digits
  absl::Time expires_at;
};

// A mutation's envelope: who, why, and the id under which its answer is remembered.
struct Act {
  Actor actor;
  std::string request_id;
  std::string reason;
};

struct PublishRequest {
  policy::Release release;  // published_at and size_bytes are set by the server
  std::string bytes;
  // Files of the release repository instead of `bytes`: what they say is the release, and of `release` only
  // `targets` counts.
  std::optional<gate::RepositoryFiles> repository = {};
  bool skip_rings = false;  // asked for; never honoured, always written down
};

struct PublishReply {
  bool has_release = true;  // false: only metadata came, and `row` says nothing
  storage::ReleaseRow row;
  std::vector<std::string> warnings;
  std::vector<storage::ReleaseRow> recalled;  // by the metadata, and not before
};

enum class BrakeKind : uint8_t { kPause = 1, kHold = 2, kHalt = 3 };

struct ResumeReply {
  storage::BrakeRow brake;
  bool needs_second_person = false;
};

// Signed, for the hosts of one tenant. Immutable.
struct Notices {
  struct Halt {
    uint64_t seq = 0;
    std::string envelope;
    bool of_ring =
        false;  // a host may have come into the ring after it: sent whatever the host says it knows
  };
  struct Order {
    absl::Time not_after;
    std::string envelope;
  };
  std::vector<Halt> halts;  // in force, by rising seq
  std::vector<Order> orders;
};

// What no request can have.
enum class BypassKind : uint8_t { kSkipRing = 1, kShortenSoak = 2, kWidenWave = 3, kIgnorePlan = 4 };
const char* Name(BypassKind kind);  // "skip_ring", ...

struct Bypass {
  BypassKind kind = BypassKind::kSkipRing;
  storage::Scope scope;
  std::string asked = {};  // for the audit, in words; empty: what the kind says
};

// An urgent release as one tenant sees it.
struct UrgentInfo {
  storage::ReleaseRow release;
  std::string tenant;
  std::string effect;  // what the tenant's plan makes of it, in words
  std::optional<storage::AcknowledgementRow> acknowledged;
};

// What a release is kept from after an act about a cohort, and how many exposed hosts it concerned.
struct CohortReply {
  std::vector<std::string> blocked;  // "key=value", "tenant acme"
  int64_t hosts = 0;
};

struct RollBackReply {
  storage::BrakeRow brake;
  int64_t hosts = 0;
};

struct OutcomeCounts {
  int64_t exposed = 0;
  int64_t pending = 0, confirmed = 0, crashed = 0, failed = 0, silent = 0, reverted = 0, refused = 0,
          unused = 0;

  friend bool operator==(const OutcomeCounts&, const OutcomeCounts&) = default;
};

struct StageInfo {
  storage::StageRow row;
  OutcomeCounts outcomes;
  int waves = 1;
  absl::Duration soak;
  absl::Time revisit_at = absl::InfiniteFuture();
};

struct GateReading {
  policy::GateKind gate = policy::GateKind::kCrash;
  std::string cohort;  // "os=win10"; empty: the whole release
  int64_t bad = 0;
  int64_t exposed = 0;
  double expected = 0;  // by the controls: of silence, and of crashes once there is one
  bool breached = false;
  bool suspect = false;           // too few to halt, too many for chance; holds
  policy::SilenceCounts silence;  // silence only: all that was judged
  policy::CrashCounts crashes;    // crash only: beside hosts without the release
};

struct HealthInfo {
  double m_r = 1, m_a = 1;
  std::string action = "none";
  int64_t unproven = 0, healthy = 0, budget = 0;
  std::string suspected;             // the cell that the evidence points at; empty: none
  std::vector<std::string> blocked;  // cells that the release is kept from
  std::vector<GateReading> gates;
};

struct LedgerInfo {
  int64_t exposed = 0, harmed = 0, saved = 0, reachable = 0;
  int64_t staging_failed = 0;  // hosts, since this process started
  std::optional<absl::Time> first_harm_at, last_lease_at;
};

struct RolloutInfo {
  storage::ReleaseRow release;
  std::vector<StageInfo> stages;
  std::vector<storage::BrakeRow> brakes;  // those on it
  HealthInfo health;
  LedgerInfo ledger;
  int64_t revert_outstanding = 0;
  // By tenant, how many rings do not work on it yet, and will when its proof or time lets them.
  std::map<std::string, int64_t> rings_to_come;
  std::string why;             // no stage works on it; empty: one does
  int64_t unacknowledged = 0;  // tenants that an urgent release was announced to, and that did not say so
  uint64_t version = 0;
};

// All that the test of a release was computed from.
struct EvidenceReply {
  storage::JudgementRow judgement;
  std::vector<storage::EvidenceRecordRow> records;  // of the test that goes on, in the order of their times
};

struct AgentInfo {
  storage::AgentRow row;
  std::string ring;  // empty: none
  bool silent = false;
  struct RunningVersion {
    std::string channel;
    Digest digest;
    std::string version;  // empty: none of ours
    uint64_t serial = 0;
  };
  std::vector<RunningVersion> running;
  std::vector<storage::ExposureRow> exposures;  // GetAgent only
};

struct ExplainReply {
  AgentInfo agent;
  std::string channel;
  uint64_t serial = 0;
  std::string version;
  policy::Eligibility eligibility;
};

// A release that a ring of a tenant's plan asks a person about.
struct ApprovalInfo {
  storage::ConsentRow row;  // of the ring; person empty: nobody said anything yet
  std::string version;
  bool decided = false;
  uint64_t seq = 0;  // of the signed decision; 0: not signed
};

// Hosts of one ring that get the same answer.
struct ReasonGroup {
  std::string ring;  // empty: none
  policy::Reason reason = policy::Reason::kNone;
  std::string opens_by, detail;
  absl::Time next = absl::InfiniteFuture();
  int64_t hosts = 0, silent = 0;
  std::vector<AgentId> examples;  // at most three
};

struct ExplainReleaseReply {
  std::string channel;
  uint64_t serial = 0;
  std::string version;
  int64_t hosts = 0;
  std::vector<ReasonGroup> groups;
};

struct HostMove {
  std::string from, to;  // rings; empty: none
  int64_t hosts = 0;
};

// What a ring works on, or would, in one channel.
struct RingTarget {
  std::string ring, channel;
  uint64_t serial = 0;  // 0: none
  std::string version;
  policy::Reason reason = policy::Reason::kNone;  // why its hosts may not take it now, or why there is none
  absl::Time next = absl::InfiniteFuture();
};

struct RingSize {
  std::string ring;  // empty: hosts without one
  int64_t hosts_now = 0, hosts_then = 0;
};

// A plan that is not in force, against the fleet of now.
struct PreviewReply {
  int64_t revision = 0;  // of the plan in force; 0: none
  int64_t hosts = 0;
  std::vector<RingSize> rings;
  std::vector<HostMove> moves;
  std::vector<HostMove> overlaps;  // first and second ring that would take them
  std::vector<RingTarget> now, then;
  std::vector<std::string> warnings;  // that only the fleet can show
  // Who gets which release when, if all goes well: by channel, under the plan in force and under this one.
  std::vector<policy::Projection> projected_now, projected_then;
  // The tenant's hosts by what they say of themselves, the most frequent first; at most kMostMixEntries.
  std::vector<policy::MixEntry> mix;
};
inline constexpr size_t kMostMixEntries = 4096;

struct ListAgentsRequest {
  std::string tenant;  // empty: all
  std::string ring;    // empty: all
  bool silent_only = false;
  int limit = 100;
  std::optional<AgentId> after;  // page token: ids above this one
};

struct ServerStatus {
  std::string internal_tenant;  // empty: none
  bool database_up = true;
  bool blind = false;
  uint32_t replica_epoch = 0;
  bool leader = true;
  absl::Duration checkin_interval;
  int64_t agents = 0, agents_silent = 0;
  absl::Time now;
  std::vector<std::string> notices;
  std::vector<gate::RoleState> repository;  // root first; empty: none is followed, or nothing was published
};

}  // namespace ringfence::app
