// What is durable, as values. One struct per table; the words are those of the SQL columns.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/draw.h"
#include "ringfence/policy/evidence.h"
#include "ringfence/policy/labels.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/release.h"
#include "ringfence/policy/stage.h"

namespace ringfence::storage {

// What a host says it runs in one channel.
struct Running {
  std::string channel;
  Digest digest;

  friend bool operator==(const Running&, const Running&) = default;
};

struct EnrolTokenRow {
  Digest token_hash;  // sha256 of the token; the token itself is never stored
  std::string tenant;
  std::string created_by;
  absl::Time created_at;
  absl::Time expires_at;
};

struct AgentRow {
  AgentId agent;
  std::string tenant;
  Digest secret_hash;  // sha256 of the agent's secret
  policy::Labels labels;
  std::vector<Running> running;  // sorted by channel
  std::string boot_id;
  absl::Time enrolled_at;
  absl::Time last_seen;  // flushed rarely; never evidence
  bool deleted = false;  // its exposures stay

  friend bool operator==(const AgentRow&, const AgentRow&) = default;
};

enum class ReleaseState : uint8_t { kPublished = 1, kRecalled = 2 };

struct ReleaseRow {
  policy::Release release;
  RolloutId rollout = 0;  // given by the database at insert
  ReleaseState state = ReleaseState::kPublished;
  std::string published_by;
  std::string rollout_secret;  // 32 random bytes: the key of the draw
  absl::Duration healthy_age;  // time during which enough hosts soaked healthy (plans count min_age in it)

  friend bool operator==(const ReleaseRow&, const ReleaseRow&) = default;
};

// A file of the release repository: signed metadata, or a small target. The bytes as they came.
struct TrustDocumentRow {
  std::string
      name;       // without the hash that stands in a target's file name: "7.snapshot.json", "qual/<sha256>"
  Digest sha256;  // of the bytes
  std::string bytes;
  absl::Time stored_at;

  friend bool operator==(const TrustDocumentRow&, const TrustDocumentRow&) = default;
};
// What a client reads at most of the largest kind, a targets role.
inline constexpr size_t kMaxTrustDocumentBytes = 5 << 20;
inline constexpr size_t kMaxTrustDocumentName = 512;
// InvalidArgument: see TrustTable.
absl::Status CheckTrustDocument(const TrustDocumentRow& row);

struct PlanRow {
  policy::Plan plan;
  int64_t revision = 0;  // from 1, without gaps, per tenant
  std::string applied_by;
  absl::Time applied_at;

  friend bool operator==(const PlanRow&, const PlanRow&) = default;
};

struct StageRow {
  StageId stage = 0;  // given by the database at insert
  RolloutId rollout = 0;
  std::string tenant;
  std::string channel;
  uint64_t serial = 0;
  std::string ring;
  int64_t plan_revision = 0;  // the revision whose waves and soak this stage follows
  policy::StageState state = policy::StageState::kWaiting;
  int wave = 0;
  int64_t members = 0;  // counted when the wave opened
  int64_t cap = 0;      // fixed when the wave opened
  absl::Time wave_opened_at = absl::InfinitePast();
  absl::Duration soaked;
  std::string rule;  // which rule decided last, and its sentence
  std::string why;
  absl::Time created_at;

  friend bool operator==(const StageRow&, const StageRow&) = default;
};

// Where a brake applies; an empty part or serial 0 means every. The six canonical scopes of an exposure are
// {channel, serial}, {tenant}, {tenant, channel}, {tenant, ring}, {tenant, channel, serial} and {tenant,
// channel, serial, ring}.
struct Scope {
  std::string tenant;
  std::string channel;
  uint64_t serial = 0;
  std::string ring;

  friend auto operator<=>(const Scope&, const Scope&) = default;
};

// The halt epoch of a scope and what is on it. Independent brakes: releasing one leaves the others.
struct BrakeRow {
  Scope scope;
  int64_t epoch = 0;  // rises with every change
  bool tenant_paused = false;
  bool vendor_paused = false;
  bool held = false;
  bool halted = false;
  bool reverting = false;  // exposed hosts in the scope are ordered back
  bool recalled = false;
  std::string rule;    // what put the latest brake on
  std::string reason;  // its sentence
  std::string actor;
  absl::Time at;
  std::string first_approver;  // the first of the two persons that a resume after a halt needs
  absl::Time hold_revert_at = absl::InfiniteFuture();  // an undecided hold orders exposed hosts back then
  double m_r_mark = 0;  // evidence at the last resume: the next hold needs a tenfold rise
  double m_a_mark = 0;
  absl::Time resumed_at = absl::InfinitePast();  // SLO windows restart here
  absl::Time halted_at = absl::InfinitePast();   // when it was last halted; names the halt to hosts
  // The order to go on after that halt, a DSSE envelope: signed by the first person while it is halted, by
  // both since. Empty: none, or the halt was resumed without signatures.
  std::string resume_order = {};

  bool Stops() const { return tenant_paused || vendor_paused || held || halted || recalled; }
  friend bool operator==(const BrakeRow&, const BrakeRow&) = default;
};

enum class Outcome : uint8_t {
  kPending = 1,
  kConfirmed = 2,  // probation ended, heard on the attested digest, no crash
  kCrashed = 3,
  kFailed = 4,  // the agent reported that activation failed
  kSilent = 5,
  kReverted = 6,
  kRefused = 7,  // the agent refused it
  kUnused = 8,   // the lease ran out and the host was heard on its old digest
};
const char* Name(Outcome outcome);
absl::StatusOr<Outcome> ParseOutcome(absl::string_view name);

// When an exposed host last crashed and last reported a bad metric, as the SLO gates count it; in the past:
// never. Kept apart from the outcome, which a repair or a revert changes. Of silence, only how much an outage
// explains: what else it is compared with is not on record.
struct BadMarks {
  absl::Time crashed = absl::InfinitePast();
  absl::Time degraded = absl::InfinitePast();
  double explained = 0;  // the share of its latest silence that an outage explains

  friend bool operator==(const BadMarks&, const BadMarks&) = default;
};

// One lease. Key: (tenant, channel, serial, agent, bucket): a retried commit of the same draw changes
// nothing.
struct ExposureRow {
  std::string tenant;
  std::string channel;
  uint64_t serial = 0;
  AgentId agent;
  uint64_t bucket = 0;  // replica epoch and bucket index of the draw
  StageId stage = 0;
  std::string ring;
  int wave = 0;
  absl::Time exposed_at;
  absl::Time deadline;  // its probation ends
  Digest previous;      // what it ran: its last-known-good; zero if nothing
  double rho = 1, pi = 0, phi = 0;
  std::vector<std::string> cells;  // "key=value" at the draw
  bool activated = false;          // heard running the release
  Outcome outcome = Outcome::kPending;
  absl::Time outcome_at = absl::InfinitePast();
  BadMarks bad;  // none at the insert

  friend bool operator==(const ExposureRow&, const ExposureRow&) = default;
};

// Exposures of one release that share these.
struct ExposureCount {
  StageId stage = 0;
  Outcome outcome = Outcome::kPending;
  bool activated = false;
  int64_t exposures = 0;
  absl::Time first_outcome_at;
  absl::Time last_exposed_at;

  friend bool operator==(const ExposureCount&, const ExposureCount&) = default;
};

struct OutcomeUpdate {
  std::string tenant;
  std::string channel;
  uint64_t serial = 0;
  AgentId agent;
  uint64_t bucket = 0;
  bool activated = false;
  Outcome outcome = Outcome::kPending;
  absl::Time outcome_at;
  absl::Time deadline;
  BadMarks bad;
};

// Evidence vectors of one replica; the newest version of each replica counts, their sum is the evidence.
struct EvidenceRow {
  std::string channel;
  uint64_t serial = 0;
  uint32_t replica = 0;
  policy::HealthChannel health_channel = policy::HealthChannel::kSilence;
  std::string cell;  // empty: the whole release
  int64_t version = 0;
  std::array<double, 6> r{};
  std::array<double, 5> guard{};
  int64_t bad_treated = 0, all_treated = 0, bad_control = 0, all_control = 0;

  friend bool operator==(const EvidenceRow&, const EvidenceRow&) = default;
};

// Control spells of one kind of host in one hour of the week: what is usual there. Older weeks have faded in
// the sums as of `week`.
struct BackgroundRow {
  std::string host_class;
  int hour_of_week = 0;  // in UTC, from Monday 0:00
  int64_t week = 0;      // since 1970
  double spells = 0, silent = 0, crashed = 0;

  friend bool operator==(const BackgroundRow&, const BackgroundRow&) = default;
};

// What is fixed of a release's evidence before its first draw, and what was decided about parts of it.
struct JudgementRow {
  // A cell that a person let in again: what was recorded of its hosts until then counts no more.
  struct Unblocked {
    std::string cell;
    absl::Time at;

    friend bool operator==(const Unblocked&, const Unblocked&) = default;
  };

  std::string channel;
  uint64_t serial = 0;
  double rho0 = 1;                   // risk ratio that is tolerated as harmless
  int64_t k_max = 64;                // slots for cells
  int64_t test = 1;                  // rises when two persons resume from a halt: the evidence starts anew
  std::vector<std::string> cells;    // "key=value", "tenant acme", "ring canary", in the order of their slots
  std::vector<std::string> blocked;  // of those, whose hosts the release is kept from
  std::vector<std::string>
      excluded;  // "key=value" that people keep the release from; those with a slot are blocked too
  std::vector<Unblocked> unblocked;

  friend bool operator==(const JudgementRow&, const JudgementRow&) = default;
};

// One bad event of a drawn host, or one reading of a gauge: all that the test of a release is computed from.
struct EvidenceEvent {
  AgentId agent;
  policy::HealthChannel health_channel = policy::HealthChannel::kSilence;
  bool treated = false;            // it got the release; otherwise it was drawn as a control
  double pi = 0;                   // the probability of that, as logged at the draw
  double x = 0, c = 0;             // of a gauge: what it read, and what that is compared with
  std::vector<std::string> cells;  // at the draw

  friend bool operator==(const EvidenceEvent&, const EvidenceEvent&) = default;
};

// What one bucket of draws of a stage showed, written once, when its last spell has matured; or one event of
// the soak. Key: (channel, serial, replica, seq).
struct EvidenceRecordRow {
  std::string channel;
  uint64_t serial = 0;
  uint32_t replica = 0;
  int64_t seq = 0;  // rising within the replica: the order in which it counts
  int64_t test = 1;
  absl::Time at;
  bool soak = false;  // one event of the soak; what describes a bucket is 0 then
  uint64_t bucket = 0;
  double rho = 1;  // share of askers that were enrolled
  int64_t treated = 0, controls = 0, phantoms = 0;
  bool late = false;  // counts for a hold, never for a halt
  std::vector<EvidenceEvent> events;

  friend bool operator==(const EvidenceRecordRow&, const EvidenceRecordRow&) = default;
};

// A decision with its evidence, committed with its effect. Append-only.
struct DecisionRow {
  DecisionId id = 0;  // given by the database
  absl::Time at;
  std::string tenant;  // empty: all
  std::string channel;
  uint64_t serial = 0;
  std::string ring;  // empty: all
  StageId stage = 0;
  std::string action;    // open_wave, pass_ring, vacant, hold, halt, block, revert, pause, resume, recall,
                         // publish, refuse, ...
  std::string rule;      // which rule decided: soak, gate_silence, test_r, guard_a, operator, ...
  std::string actor;     // "server" or the person
  std::string why;       // one sentence
  std::string cohort;    // "os=xp-sp3" where one is named
  std::string evidence;  // JSON object: the figures the rule saw

  friend bool operator==(const DecisionRow&, const DecisionRow&) = default;
};

// Who did what to the configuration of the fleet. Append-only.
struct AuditRow {
  int64_t id = 0;  // given by the database
  absl::Time at;
  std::string person;
  std::string role;
  std::string tenant;  // empty: none or all
  std::string act;     // "plan.apply", "rollout.halt", ...
  std::string target;
  std::string reason;
  std::string before;  // text or JSON, may be empty
  std::string after;
  std::string request_id;

  friend bool operator==(const AuditRow&, const AuditRow&) = default;
};

// What a person of a tenant said about a release that its plan asks about.
struct ConsentRow {
  std::string tenant;
  std::string channel;
  uint64_t serial = 0;
  std::string ring;  // empty: every ring for which nothing else was said
  bool approved = false;
  std::string person;
  std::string reason;
  absl::Time at;
  std::optional<absl::Duration> min_age{};  // of an approval: the age that it asks for instead of the ring's

  friend bool operator==(const ConsentRow&, const ConsentRow&) = default;
};

// A person of the tenant has seen that an urgent release is there.
struct AcknowledgementRow {
  std::string tenant;
  std::string channel;
  uint64_t serial = 0;
  std::string person;
  std::string reason;
  absl::Time at;

  friend bool operator==(const AcknowledgementRow&, const AcknowledgementRow&) = default;
};

// What a tenant signed: a plan of its chain, or what it says of a release. Checked before it is kept.
enum class SignedKind : uint8_t { kPlan = 1, kDecision = 2 };
struct SignedRow {
  std::string tenant;
  SignedKind kind = SignedKind::kPlan;
  uint64_t number = 0;   // the plan's version, or the decision's seq
  std::string envelope;  // DSSE, as it came
  int64_t revision = 0;  // of the plan that it became; 0 for a decision
  std::string person;    // who brought it
  std::string role;
  absl::Time at;

  friend bool operator==(const SignedRow&, const SignedRow&) = default;
};

// A digest that a host reverted from: it is not offered there again.
struct QuarantineRow {
  std::string tenant;
  AgentId agent;
  Digest digest;
  absl::Time at;
  std::string reason;

  friend bool operator==(const QuarantineRow&, const QuarantineRow&) = default;
};

// The remembered answer of a mutation, so that a retry gets the same one.
struct RequestRow {
  std::string request_id;  // 1 to 64 bytes
  std::string person;
  std::string method;
  Digest fingerprint;  // sha256 of the request; the same id with another request is an error
  std::string response;
  absl::Time at;

  friend bool operator==(const RequestRow&, const RequestRow&) = default;
};

// Who leads, and how other replicas reach it.
struct LeaderRow {
  int64_t epoch = 0;
  std::string replica;
  std::string address;  // "host:port" of its gRPC; empty: it takes no forwards
  std::string secret;   // 32 raw bytes, made for this epoch; whoever may read the database may forward

  friend bool operator==(const LeaderRow&, const LeaderRow&) = default;
};

// An agent's event, unique by (agent, boot_id, seq).
struct EventKey {
  AgentId agent;
  std::string boot_id;
  uint64_t seq = 0;

  friend auto operator<=>(const EventKey&, const EventKey&) = default;
};

}  // namespace ringfence::storage
