// The application's implementation: memory that answers, and the steps that make it durable.
//
// Locks: mu_ guards everything but the fleet index, whose shards have their own; mu_ is taken before a shard,
// and never held across a store call but at the start. What must be written in order has locks of its own
// (step_mu_, commit_mu_, flush_mu_): whoever answers a check-in or a lease waits for none of them. RunOnce is
// the only writer of stage rows; brakes are written by whoever puts them on.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "absl/hash/hash.h"
#include "ringfence/base/mutex.h"
#include "ringfence/plan/approval.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/policy/choice.h"
#include "ringfence/policy/decide.h"
#include "server/app/acts.h"
#include "server/app/app.h"
#include "server/app/append_table.h"
#include "server/app/background.h"
#include "server/app/brake_act.h"
#include "server/app/bulk_silence.h"
#include "server/app/cells.h"
#include "server/app/courier.h"
#include "server/app/fleet_index.h"
#include "server/app/notice_board.h"
#include "server/app/onset_series.h"
#include "server/app/publication.h"
#include "server/app/release_state.h"
#include "server/app/timing_wheel.h"
#include "server/app/trust_shelf.h"
#include "server/record/decision_record.h"

namespace ringfence::app {

// Why a digest was banned for a host; durable, and read again at the start.
inline constexpr char kRejectedReason[] = "rejected";
inline constexpr char kActivationFailedReason[] = "activation failed";

// An event's name in memory; of this process only.
inline uint64_t EventHash(const AgentId& agent, absl::string_view boot_id, uint64_t seq) {
  return absl::HashOf(agent, boot_id, seq);
}

// A set of labels that hosts of one tenant share, and what follows from it.
struct LabelSet {
  uint32_t tenant = 0;
  policy::Labels labels;    // what selectors are matched against: those reported, and the plan's buckets
  policy::Labels reported;  // by the hosts themselves
  std::string hash16;       // of those reported
  int64_t hosts = 0;        // not deleted
  int ring = -1;            // under the tenant's plan as it is now
  CellList cells;
  const Place* place = nullptr;
  policy::HostClass host_class = 0;  // what kind of host it is, for what is usual
  std::vector<uint8_t> lasting;      // by release index: policy::Reason + 1; 0: not known yet
};

struct Tenant {
  std::string name;
  std::optional<storage::PlanRow> plan;
  absl::Time calendar_changes_at =
      absl::InfinitePast();                // a window, freeze or blackout of the plan begins or ends
  std::vector<plan::SignedPlan> chain{};   // empty: the tenant does not sign
  std::vector<int64_t> chain_revisions{};  // that its links became
  plan::ApprovalBook book{};
};

// A plan's gates, and the tenants that share them.
struct GateConfig {
  policy::SloGates gates;
  std::vector<uint32_t> tenants;
};

// Everything that is on one exposure's six scopes.
struct BrakeView {
  bool tenant_paused = false, vendor_paused = false, held = false, halted = false, reverting = false,
       recalled = false;
  bool any() const { return tenant_paused || vendor_paused || held || halted || recalled; }
  policy::Reason reason() const;
  void Add(const storage::BrakeRow& row);
};

class Engine final : public App {
 public:
  Engine(AppOptions options, storage::Store* store, Clock* clock, Metrics* metrics);

  absl::Status Start() override;
  absl::Status RunOnce() override;
  absl::StatusOr<int> CommitOnce() override;
  void OnLeaseQueued(std::function<void()> wake) override { wake_ = std::move(wake); }

  absl::StatusOr<EnrolReply> Enrol(const EnrolRequest& request) override;
  absl::StatusOr<std::string> Authenticate(const AgentId& agent, absl::string_view secret) override;
  absl::Status CheckIn(const CheckInRequest& request, CheckInReply* reply) override;
  void Lease(const LeaseRequest& request, LeaseDone done) override;
  absl::StatusOr<int64_t> MayFetch(const AgentId& agent, const Digest& digest) override;
  absl::StatusOr<std::string> ArtifactChunk(const Digest& digest, int64_t chunk) override;
  absl::StatusOr<std::shared_ptr<const std::string>> TrustDocument(const std::string& name) override;

  absl::StatusOr<PublishReply> Publish(const Act& act, const PublishRequest& request) override;
  absl::StatusOr<bool> KeepTimestamp() override;
  absl::StatusOr<storage::ReleaseRow> Recall(const Act& act, const std::string& channel,
                                             uint64_t serial) override;
  absl::StatusOr<std::vector<storage::ReleaseRow>> ListReleases(const std::string& channel) override;
  absl::StatusOr<storage::PlanRow> ApplyPlan(const Act& act, const policy::Plan& plan,
                                             int64_t expected_revision) override;
  absl::StatusOr<std::vector<storage::PlanRow>> PlanHistory(const std::string& tenant) override;
  absl::StatusOr<storage::ConsentRow> Consent(const Act& act, storage::ConsentRow wanted) override;
  absl::StatusOr<std::vector<ApprovalInfo>> Approvals(const std::string& tenant) override;
  absl::StatusOr<storage::PlanRow> ApplySignedPlan(const Act& act, const std::string& envelope,
                                                   int64_t expected_revision) override;
  absl::StatusOr<storage::ConsentRow> SignedConsent(const Act& act, const std::string& envelope,
                                                    bool approved) override;
  std::vector<SignedPlanInfo> SignedPlans(const std::string& tenant) override;
  uint64_t NextSeq(const std::string& tenant) override;
  std::vector<std::string> FetchPlan(const std::string& tenant, uint64_t from_version,
                                     uint64_t from_seq) override;

  absl::StatusOr<storage::BrakeRow> Pause(const Act& act, const storage::Scope& scope) override;
  absl::StatusOr<ResumeReply> Resume(const Act& act, const storage::Scope& scope, BrakeKind brake,
                                     absl::string_view order = {}) override;
  absl::Status DenyBypass(const Act& act, const Bypass& asked) override;
  absl::StatusOr<std::vector<UrgentInfo>> UrgentReleases(const std::string& tenant) override;
  absl::StatusOr<UrgentInfo> Acknowledge(const Act& act, storage::AcknowledgementRow wanted) override;
  std::shared_ptr<const Notices> NoticesFor(absl::string_view tenant, const AgentId& agent) override;
  absl::StatusOr<storage::BrakeRow> Halt(const Act& act, const storage::Scope& scope) override;
  absl::Status TakeInBrakes(const std::optional<storage::Scope>& scope) override;
  absl::StatusOr<RollBackReply> RollBack(const Act& act, const storage::Scope& scope) override;
  absl::StatusOr<CohortReply> ExcludeCohort(const Act& act, const std::string& channel, uint64_t serial,
                                            const std::string& cohort) override;
  absl::StatusOr<CohortReply> UnblockCohort(const Act& act, const std::string& channel, uint64_t serial,
                                            const std::string& cohort) override;
  absl::StatusOr<RolloutInfo> GetRollout(const std::string& channel, uint64_t serial,
                                         const std::string& tenant) override;
  std::vector<RolloutInfo> ListRollouts(const std::string& channel, const std::string& tenant) override;
  int AddWatcher(std::function<void()> changed) override;
  void RemoveWatcher(int token) override;
  absl::StatusOr<std::vector<storage::DecisionRow>> Decisions(const storage::DecisionFilter& filter) override;
  absl::StatusOr<EvidenceReply> Evidence(const std::string& channel, uint64_t serial) override;
  absl::StatusOr<std::vector<storage::AuditRow>> Audit(const storage::AuditFilter& filter) override;

  std::vector<AgentInfo> ListAgents(const ListAgentsRequest& request) override;
  absl::StatusOr<AgentInfo> GetAgent(const AgentId& agent) override;
  absl::StatusOr<ExplainReply> Explain(const AgentId& agent, const std::string& channel,
                                       uint64_t serial) override;
  absl::StatusOr<ExplainReleaseReply> ExplainRelease(const std::string& tenant, const std::string& channel,
                                                     uint64_t serial) override;
  PreviewReply PreviewPlan(const policy::Plan& plan) override;
  absl::Status DeleteAgent(const Act& act, const AgentId& agent) override;
  absl::StatusOr<EnrolToken> CreateEnrolToken(const Act& act, const std::string& tenant,
                                              absl::Duration valid_for) override;
  ServerStatus Status() override;

 private:
  // A lease that waits for its exposure's commit.
  struct PendingLease {
    storage::ExposureRow row;
    Exposure* exposure = nullptr;
    ReleaseState* release = nullptr;
    LeaseDone done;
  };
  // What RunOnce wants to write.
  struct Batch;
  // One stage's step.
  struct Move {
    Stage* stage = nullptr;
    storage::StageRow next;
    bool opens_wave = false;
  };

  // ---- fleet clock (engine_clock.cc)
  FleetNanos FleetNow() const;
  // The most wall time that one step may take in.
  absl::Duration LargestStep() const;
  // Moves the fleet clock on by what passed, unless blind. Returns the wall time that passed, at most one
  // step.
  absl::Duration AdvanceClock(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void JudgeBlindness(absl::Duration passed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FleetNanos SilenceAfter(uint32_t tenant) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The wheel asks: when to look again, or kNever when the host fell silent.
  FleetNanos WatchHost(HostRef host, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nothing of the open spells is evidence: both arms together.
  void VoidSpells() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gone while the server was blind: silent, without evidence.
  void WentAway(HostRef host) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FellSilent(HostRef host, uint32_t label_set, bool goodbye, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // When the wheel has turned: which of the last minutes' silences of exposed hosts an outage explains.
  void ExplainSilence(ReleaseState& release, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountOnline(const Place& place, int64_t by) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- hosts (engine_hosts.cc)
  uint32_t TenantIndex(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Hosts whose label set is another one under the plans of now, because of buckets: moves them, and returns
  // the one that they had.
  std::map<HostRef, uint32_t> SortIntoBuckets() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint32_t InternLabels(uint32_t tenant, const policy::Labels& reported, const AgentId& agent)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint32_t InternRunning(std::vector<storage::Running> running) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const DirectiveList* InternDirectives(std::vector<Directive> directives) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Recomputes what depends on plans: rings, cells, gates; forgets lasting reasons.
  void PlansChanged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  policy::Reason Lasting(LabelSet& set, size_t release_index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  HostRef AddHost(const storage::AgentRow& row, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  storage::AgentRow RowOf(HostRef host) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The tenant that the request's token admits its agent to (engine_fleet.cc). Unauthenticated: none.
  absl::StatusOr<std::string> Admit(storage::Transaction& tx, const EnrolRequest& request, absl::Time now);

  // ---- check-in (engine_checkin.cc)
  absl::Status SlowCheckIn(const CheckInRequest& request, uint64_t state_hash, CheckInReply* reply);
  void HeardAgain(HostRef host, const LabelSet& set, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UnexpectedBoot(HostRef host, const LabelSet& set, uint32_t spell, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RunningChanged(HostRef host, const LabelSet& set, uint32_t running_set, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The host runs a release that it was thought not to run.
  void RunsAfterAll(ReleaseState& release, Exposure& exposure, const LabelSet& set, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WentBack(ReleaseState& release, Exposure& exposure, HostRef host, const LabelSet& set)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Runs(HostRef host, const ReleaseState& release) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Quarantine(HostRef host, const LabelSet& set, const Digest& digest, std::string reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnRejected(ReleaseState& release, HostRef host, const LabelSet& set, const std::string& detail)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether it tells of a crash, for the first time.
  bool OnEvent(HostRef host, const LabelSet& set, absl::string_view boot_id, const AgentEvent& event,
               FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Everything the server wants of this host now, and until when that holds.
  std::vector<Directive> DirectivesFor(HostRef host, Row& row, LabelSet& set, absl::Span<const Digest> staged,
                                       FleetNanos now, FleetNanos* recheck_at)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Duration NextCheckIn(const Row& row) const;

  // May an order take the host back, by its plan's rollback_depth?
  bool MayOrderBack(uint32_t tenant, const ReleaseState& release, const Exposure* exposure) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- customers that sign (engine_signed.cc)
  absl::Status MayOwnPlan(const Act& act, const std::string& tenant) const;
  // The newest link of the chain, while it is the plan in force; null: the tenant does not sign.
  static const plan::SignedPlan* SignedInForce(const Tenant& tenant);
  // What the store holds of the tenant.
  absl::Status InstallSigned(uint32_t tenant, absl::Span<const storage::SignedRow> rows)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Does the tenant's plan ask about the channel in one of these rings (empty: of all), and may this person
  // say yes there? NotFound, FailedPrecondition, PermissionDenied (engine_plan.cc).
  absl::Status AsksAbout(const std::string& tenant, const std::string& channel,
                         const std::vector<std::string>& rings, const Actor& actor, bool approve,
                         bool hastens) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A host refused what it was offered: an incident.
  void OnPlanRefused(HostRef host, const LabelSet& set, const AgentEvent& event, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- leases (engine_lease.cc)
  void LeaseLocked(const LeaseRequest& request, LeaseDone& done,
                   std::optional<absl::StatusOr<LeaseReply>>& answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  LeaseReply NotNow(policy::Reason reason, absl::Duration retry_after = absl::ZeroDuration());
  // Opens the current bucket for all stages of the release: shares its tokens by forecast.
  void OpenBuckets(ReleaseState& release, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int64_t Forecast(Stage& stage, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int64_t AskersLeft(const Stage& stage, FleetNanos now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::optional<int64_t> WaveRoom(const Stage& stage) const;
  int64_t TokensNow(const Stage& stage) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The release's, with what a person decided about it.
  policy::Budget BudgetOf(const ReleaseState& release) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint32_t OpenSpell(ReleaseState& release, Stage& stage, HostRef host, const policy::Bucket::Answer& drawn,
                     uint64_t bucket, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The cells by which the host is judged in this release, as they were when it was first asked about.
  policy::CellSpan JudgedCells(ReleaseState& release, HostRef host, const Place& place)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Fixes what is fixed of the test before its first draw.
  void StartJudgement(ReleaseState& release) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Is the release kept from the host, for one of its cells?
  bool IsBlocked(ReleaseState& release, HostRef host, const Place& place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- the group commit (engine_commit.cc)
  struct StageOfBatch;
  absl::StatusOr<int> CommitBatch(std::vector<PendingLease> batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mu_);
  // What is known of exposures, in transactions of their own. What could not be written stays dirty.
  absl::Status WriteOutcomes();
  // One of those transactions. Returns how many it wrote.
  absl::StatusOr<size_t> WriteSomeOutcomes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mu_);
  // Why the plan of this moment lets the host in no more; it may have changed since the draw. kNone: it does.
  policy::Reason PlanRefuses(const PendingLease& pending, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // An exposure that was refused at commit.
  void Forget(ReleaseState& release, Exposure& exposure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- late harm (engine_soak.cc)
  void SetSoakTiming(ReleaseState& release) const;
  // Shares and probabilities of the stage's next bucket, from the state before it.
  policy::Bucket NextBucket(const Stage& stage, int64_t tokens, int64_t forecast) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gaps in check-ins of hosts that were drawn, and the end of their soak.
  void WatchSoaks(ReleaseState& release, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A crash report or an unexpected boot, of any arm.
  void CrashedInSoak(HostRef host) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Does the host run what it must not carry over into what its pending labels announce? Says so once for
  // each label value, in a decision.
  bool MustLeave(ReleaseState& release, const Exposure* exposure, const LabelSet& set)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of which label values an earlier life has said so.
  static absl::Status RestorePendingNamed(ReleaseState& release, storage::Transaction& tx);

  // ---- judgement (engine_judge.cc)
  void MatureSpells(ReleaseState& release, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndProbations(ReleaseState& release, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetOutcome(ReleaseState& release, Exposure& exposure, storage::Outcome outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A crash or a bad metric of an exposed host, for the gates: in memory and, with the next step, durable.
  void Crashed(ReleaseState& release, Exposure& exposure, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Degraded(ReleaseState& release, Exposure& exposure, FleetNanos now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Harmed(ReleaseState& release, Exposure& exposure, storage::Outcome outcome, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A lease that led to nothing: what the host runs is again the doing of the release before.
  void StaysOnOlder(const ReleaseState& release, const Exposure& exposure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes in what matured, and brakes, holds or halts on it.
  void JudgeMethod(ReleaseState& release, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // p_hist, by class of hosts: what is usual at this hour, at most a minute old.
  const policy::BackgroundRates& UsualRates(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // ---- one cohort at fault (engine_cohort.cc)
  // A judge wants to stop everyone, and what is in flight may yet name the one cell that all bad news are
  // about: then the stop waits for it, a short time only, while nobody is let in. True: not yet.
  bool AwaitsCell(ReleaseState& release, bool may_be_named, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // All bad hosts of the gate share a cell that may yet be named.
  bool IsOfOneCell(const ReleaseState& release, const GateConfig& config, const GateReading& reading) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The evidence wants a halt for everyone: is it one customer, or one cell?
  void ReviewHalt(ReleaseState& release, const policy::StopState& before, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Keeps the release from the hosts of a cell, orders them back and takes them out of the gates.
  void BlockCell(ReleaseState& release, policy::CellIndex cell, const std::string& why,
                 const std::string& evidence, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Exposed hosts that the release is kept from by now: ordered back and out of the gates. How many are new.
  int64_t TakeOutBlocked(ReleaseState& release) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The exposure moved to other labels, which may be excluded.
  void TakeOutIfBlocked(ReleaseState& release, Exposure& exposure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The first cohort of the host that the release is kept from; empty: none.
  std::string BlockedCohort(ReleaseState& release, HostRef host, const Place& place)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static std::vector<std::string> BlockedCohorts(const ReleaseState& release);
  // What is excluded is seen in hosts' labels from now on.
  void SeeExcluded(ReleaseState& release) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Who may, on what, and whether it is known already (then the answer).
  absl::StatusOr<std::optional<CohortReply>> BeginCohortAct(const Act& act, const char* what,
                                                            const std::string& channel, uint64_t serial,
                                                            const std::string& cohort);
  // The row, the decision, the audit and the answer, in one transaction.
  absl::Status WriteCohortAct(const Act& act, const char* what, const storage::JudgementRow& row,
                              const std::string& cohort, const std::vector<std::string>& before,
                              const CohortReply& reply, storage::DecisionRow decision);

  // ---- decisions of both judges (engine_judge.cc)
  // For decisions: what everyone thought, and all that the method looked at.
  record::Figures FiguresOf(const ReleaseState& release) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string MethodEvidence(const ReleaseState& release, const std::string& acted,
                             const policy::StopState& before,
                             std::optional<record::ReviewEvidence> review = std::nullopt) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Evaluates the gates of every plan for the release and these cells (null: all cells).
  void JudgeGates(ReleaseState& release, const CellList* cells, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // From where the windows of this tenant's gates count: its own last resume. 0: from where the release's do.
  static FleetNanos WindowsFrom(const ReleaseState& release, const std::string& tenant);
  // Is the label value one of those that these gates judge on their own?
  bool IsJudged(const policy::SloGates& gates, CellId cell) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Hosts with the release since then, all hosts, and those with the release among these: in the cell, or,
  // where it has few hosts without the release, in the cell against everybody. Cell -1: in all.
  struct Sides {
    OnsetSeries::Reading with, all, without;
  };
  Sides SidesSince(const ReleaseState& release, FleetNanos from, int64_t cell) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // How many windows of this length began since its gates judge the release, or the cell.
  static int64_t WindowsSince(const ReleaseState& release, int64_t cell, FleetNanos tenant_from,
                              FleetNanos length, FleetNanos now);
  // Crashes of both sides, in all or in the cell, where at least one exposed host of it crashed.
  policy::CrashCounts CrashesBeside(const ReleaseState& release, const policy::SloGates& gates, int64_t cell,
                                    FleetNanos tenant_from, FleetNanos now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::vector<GateReading> ReadGates(const ReleaseState& release, const policy::SloGates& gates, int64_t cell,
                                     FleetNanos tenant_from, FleetNanos now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void JudgeGatesFrom(ReleaseState& release, const GateConfig& config, const CellList* cells,
                      FleetNanos tenant_from, bool wait, bool* silence_trips, FleetNanos now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnBreach(ReleaseState& release, const GateConfig& config, const GateReading& reading)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HoldsRevert(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // How long a hold of this scope may stay undecided: the tenant's own plan says so; of a hold for all, the
  // vendor's, or, without one, the shortest of the plans that name the channel.
  absl::Duration UndecidedFor(const storage::Scope& scope) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- what the plan says of this moment (engine_plan.cc)
  // Validity, windows, freezes, blackouts and consent, for hosts of the ring.
  policy::Reason PassingReason(uint32_t tenant, int ring, const policy::Release& release,
                               absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  policy::Consent ConsentOf(uint32_t tenant, const std::string& channel, uint64_t serial,
                            const std::string& ring) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What approvals ask for instead of the ring's least age; nullopt: nothing, or the ring lets none shorten
  // it.
  std::optional<plan::Haste> HasteOf(uint32_t tenant, const std::string& channel, uint64_t serial,
                                     const policy::Ring& ring) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The row that decides for the ring, or null: its own, or that for every ring.
  const storage::ConsentRow* FindConsent(const std::string& tenant, const std::string& channel,
                                         uint64_t serial, const std::string& ring) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Fills what of the plan keeps the stage's waves from opening or passing.
  void ViewCalendar(const Stage& stage, absl::Time now, policy::StageView& view) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Hosts remember their directives: where a calendar opens or closes, they are computed anew.
  void WatchCalendars(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The release that a barrier makes a host take before `wanted`, or null.
  ReleaseState* BarrierBefore(const policy::ChannelRule& rule, const std::vector<storage::Running>& running,
                              const policy::Release& wanted) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsBarrier(const policy::Release& release) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // OfferingStage, or, for a host that has to pass a barrier first, that one's stage in the same ring.
  Stage* OfferingStageTo(const std::vector<storage::Running>& running, uint32_t tenant,
                         const std::string& channel, const std::string& ring)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- brakes (engine_brakes.cc)
  BrakeView BrakesOn(const std::string& tenant, const std::string& channel, uint64_t serial,
                     const std::string& ring) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  BrakeView BrakesOn(const Stage& stage) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Stops here at once and queues the durable write.
  void Brake(BrakeChange change, storage::DecisionRow decision) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Brake(BrakeAct brake) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the row means to hosts, signed, when it is or was a halt. The row is in the store.
  void PostNotice(const storage::BrakeRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Empty: it is in none.
  std::string RingNameOf(const AgentId& agent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Tenants that an urgent release was announced to; none for any other.
  int64_t Unacknowledged(const ReleaseState& release, const std::string& tenant) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes the order of one person or two for the halt on `row` into the change (engine_resume.cc).
  absl::Status TakeOrder(const trust::Authority& authority, const storage::BrakeRow& row,
                         const Digest& sha256, absl::string_view order, BrakeChange& change) const;
  // A new order back has an order of hosts of its own.
  void RevertsMayBegin(const storage::BrakeRow& before, const storage::BrakeRow& now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What an act that is being written now keeps from leases in these scopes; kNone: nothing.
  policy::Reason StoppedBy(const std::string& tenant, const std::string& channel, uint64_t serial,
                           const std::string& ring) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for the write at most stop_patience; no lease in its scope from its beginning on.
  absl::StatusOr<storage::BrakeRow> WriteStop(const BrakeAct& brake, bool& repeated);
  // Writes the queued brakes; those that could not be written stay queued. One at a time.
  absl::Status FlushBrakes();
  // One operator's act that stops: durable before it returns, and in memory first. While the database does
  // not answer it stops this server and is Unavailable.
  absl::StatusOr<storage::BrakeRow> StopNow(const Act& act, Stop stop, const storage::Scope& scope);
  // One operator's act that releases, durable before it returns.
  absl::StatusOr<storage::BrakeRow> ReleaseBrake(
      const Act& act, const storage::Scope& scope,
      absl::FunctionRef<absl::Status(const storage::BrakeRow&, BrakeChange&)> fill,
      absl::FunctionRef<absl::Status(storage::Transaction&)> also);
  // Installs what is newer than what is known; whether anything was.
  bool TakeIn(absl::Span<const storage::BrakeRow> rows) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status MayBrake(const Act& act, const storage::Scope& scope, bool needs_release);
  // The store has this row, or has had it: of two the later counts, whoever wrote it.
  void Installed(const storage::BrakeRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static std::vector<storage::Scope> ScopesOf(const std::string& tenant, const std::string& channel,
                                              uint64_t serial, const std::string& ring);

  // ---- stages (engine_stages.cc)
  void ChooseStages(absl::Time now, Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StepStage(Stage& stage, absl::Time now, absl::Duration passed, Batch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Fills `move` with what an opened wave starts from.
  void OpenWave(Stage& stage, int wave, absl::Time now, Move& move) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Under `plan`, which need not be the one in force.
  policy::Choice ChooseFor(const policy::Plan& plan, uint32_t tenant, int ring, const std::string& channel,
                           absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Every release of the channel as the ring of the tenant sees it under the plan, in rising serial order.
  std::vector<policy::ReleaseProgress> ProgressOf(const policy::Plan& plan, uint32_t tenant, int ring,
                                                  const std::string& channel, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsFirstToTake(uint32_t tenant) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Asks the plans of now about every stage that gives leases, or may again. True when an answer changed.
  bool AskPlans(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int64_t MembersOf(uint32_t tenant, int ring, size_t release_index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Label values of the ring's hosts that nobody has proven the release on yet, the most frequent first;
  // empty for a ring that none comes before (engine_represent.cc).
  std::vector<std::string> UncoveredIn(const Stage& stage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  policy::StageView ViewOf(Stage& stage, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool InternalPassed(const ReleaseState& release) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Stage* CurrentStage(uint32_t tenant, const std::string& channel, const std::string& ring)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The stage whose release the ring's hosts may get now: the current one, or, while that is stopped for
  // good, the newest that passed.
  Stage* OfferingStage(uint32_t tenant, const std::string& channel, const std::string& ring)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Stage* AddStage(storage::StageRow row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Unless `outcomes` could not be written before; otherwise all of it stays to be written.
  absl::Status WriteBatch(Batch& batch, const absl::Status& outcomes);
  void CollectDirty(Batch& batch, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes what is to be written of exposures, `most` at most. Under commit_mu_, so that an older outcome is
  // never written later.
  void CollectOutcomes(std::vector<storage::OutcomeUpdate>& outcomes,
                       std::vector<std::pair<Exposure*, ReleaseState*>>& exposures, size_t most)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(commit_mu_, mu_);
  // After a step whose commit was in doubt: takes the stages from the store as they are.
  absl::Status ResolveDoubt();
  // What the stage's open wave has to soak, by the plan that it opened under.
  absl::Duration SoakOf(const Stage& stage) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A wave of the stage has just opened.
  void WaveOpened(Stage& stage) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- explaining (engine_explain.cc)
  // What differs between hosts of one label set, for one release.
  struct HostFacts {
    bool already_running = false, quarantined = false, reverting = false;
    const ReleaseState* barrier = nullptr;  // that it must take first
    std::string blocked_cohort;             // that the release is kept from
  };
  HostFacts FactsOf(HostRef host, const Row& row, ReleaseState& release) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What is the same for them.
  policy::Moment RingMoment(const LabelSet& set, ReleaseState& release, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  policy::Eligibility EvaluateHost(const LabelSet& set, const ReleaseState& release, policy::Moment moment,
                                   const HostFacts& facts) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The tenant's hosts as the selectors of `plan` see them, with the ring that they are in now (-1: none).
  struct SeenHosts {
    policy::Labels labels;
    int64_t hosts = 0;
    int ring_now = -1;
  };
  std::vector<SeenHosts> HostsUnder(const policy::Plan& plan, uint32_t tenant)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  PreviewReply PreviewLocked(const policy::Plan& plan, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What a projection of the channel starts from. `plan` outlives it.
  policy::ProjectionInput ProjectionOf(const policy::Plan& plan, uint32_t tenant, const std::string& channel,
                                       absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  RingTarget TargetOf(const policy::Plan& plan, uint32_t tenant, int ring, const std::string& channel,
                      absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Why the release may not be published now; `same`: it is there already, with the same manifest.
  absl::Status RefusalOf(const policy::Release& release, bool& same) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Who asked to go around a plan, where and in which words (engine_bypass.cc). Counted too.
  absl::Status KeepBypass(const Act& act, const Bypass& asked);
  UrgentInfo UrgentOf(const ReleaseState& release, const Tenant& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What a lease is bound to.
  LeaseTerms TermsOf(const Exposure& exposure, const ReleaseState& release)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A warning for each of the largest label sets that are targeted and not covered by the matrix.
  absl::StatusOr<PublishReply> PublishRepository(const Act& act, const PublishRequest& request);
  absl::StatusOr<PublishReply> StoreMetadata(const Act& act, const Request& asked, absl::Time now,
                                             const gate::VerifiedRepository& verified, PublishReply reply)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish_mu_);
  absl::StatusOr<PublishReply> StorePublication(const Act& act, const Request& asked,
                                                const Publication& publication)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(publish_mu_);
  absl::StatusOr<std::optional<PublishReply>> EarlierPublication(const Act& act, const Request& asked);
  // Recalls what the metadata lists as recalled and is not yet; those, with their new state.
  absl::StatusOr<std::vector<storage::ReleaseRow>> RecallListed(const Act& act,
                                                                const gate::VerifiedRepository& verified);
  absl::StatusOr<storage::ReleaseRow> RecallNow(const Act& act, const std::string& channel, uint64_t serial);
  // Reads again what agents are given, when it expires, and whom they believe by it.
  void DescribeRepository();
  // What is wrong with our own keys, in hosts' eyes.
  std::vector<std::string> AboutOrderKeys() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::vector<std::string> Uncovered(const policy::Release& release) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // ---- loading and views (engine_load.cc, engine_views.cc)
  absl::Status Load(storage::Transaction& tx) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ReleaseState* AddRelease(storage::ReleaseRow row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RestoreExposure(ReleaseState& release, const storage::ExposureRow& row)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the open waves have to soak where the plan has changed since they opened.
  absl::Status RestoreSoaks(storage::Transaction& tx) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The ledger of a release whose exposures are not loaded.
  void CountUnwatched(ReleaseState& release, const storage::ExposureCount& count)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the SLO gates knew of the restored exposures, but for silence.
  void RestoreWindows(ReleaseState& release) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  RolloutInfo InfoOf(ReleaseState& release, const std::string& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // By tenant (empty: of all), how many rings do not work on the release yet, and will when its proof or time
  // lets them.
  std::map<std::string, int64_t> RingsToCome(const ReleaseState& release, const std::string& tenant)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Why the vendor's own fleet, where every release starts, can take none (of this channel; empty: of any).
  // Empty: it can.
  std::string InternalCannotStart(const std::string& channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  AgentInfo InfoOf(HostRef host) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  ReleaseState* FindRelease(const std::string& channel, uint64_t serial) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  size_t IndexOf(const ReleaseState& release) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Changed()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);  // every host's directives are recomputed, watchers are told
  void TellWatchers();
  storage::DecisionRow DecisionFor(const ReleaseState& release, std::string action, std::string rule,
                                   std::string why, absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string RandomBytes(size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const AppOptions options_;
  storage::Store* const store_;
  Clock* const clock_;
  Metrics* const metrics_;
  const FleetNanos h_;
  std::function<void()> wake_;

  NoticeBoard notices_;
  FleetIndex fleet_;
  // The tenant's name by label set, for Authenticate: a call's credential is checked without mu_. Added to
  // under mu_.
  AppendTable<const std::string*> tenant_of_set_;
  std::atomic<uint32_t> generation_{1};
  std::atomic<int64_t> blind_nanos_{0};            // wall time that the fleet clock stood still
  std::atomic<int64_t> frozen_at_{0};              // fleet time while blind; 0: running
  std::atomic<int64_t> fleet_ends_at_{INT64_MAX};  // fleet time goes no further before the next step

  Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
  uint32_t replica_epoch_ ABSL_GUARDED_BY(mu_) = 0;
  bool database_down_ ABSL_GUARDED_BY(mu_) = false;
  bool overtaken_ ABSL_GUARDED_BY(mu_) = false;  // the last step was refused: another replica leads

  std::deque<Tenant> tenants_ ABSL_GUARDED_BY(mu_);  // addresses are stable, and so are names
  absl::flat_hash_map<std::string, uint32_t> tenant_index_ ABSL_GUARDED_BY(mu_);
  std::deque<LabelSet> label_sets_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::pair<uint32_t, std::string>, uint32_t> label_set_index_ ABSL_GUARDED_BY(mu_);
  std::deque<std::vector<storage::Running>> running_sets_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, uint32_t> running_set_index_ ABSL_GUARDED_BY(mu_);
  absl::node_hash_map<std::string, DirectiveList> directive_lists_ ABSL_GUARDED_BY(mu_);
  CellTable cells_ ABSL_GUARDED_BY(mu_);
  PlaceTable places_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> cohort_keys_ ABSL_GUARDED_BY(mu_);
  std::vector<GateConfig> gate_configs_ ABSL_GUARDED_BY(mu_);
  std::set<std::pair<policy::GateKind, FleetNanos>> window_keys_ ABSL_GUARDED_BY(mu_);

  std::vector<std::unique_ptr<ReleaseState>> releases_
      ABSL_GUARDED_BY(mu_);  // by channel is by filter: they are few
  absl::flat_hash_map<Digest, size_t> release_by_digest_ ABSL_GUARDED_BY(mu_);
  std::vector<std::unique_ptr<Stage>> stages_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, Stage*> current_stage_
      ABSL_GUARDED_BY(mu_);  // tenant/channel/ring -> newest
  std::map<storage::Scope, storage::BrakeRow> brakes_ ABSL_GUARDED_BY(mu_);
  std::map<storage::Scope, storage::BrakeRow> stored_brakes_
      ABSL_GUARDED_BY(mu_);  // that changed since the start
  absl::flat_hash_set<std::pair<HostRef, Digest>> quarantined_ ABSL_GUARDED_BY(mu_);
  // What people said of releases that a plan asks them about: tenant, channel, serial, ring (empty: every).
  std::map<std::tuple<std::string, std::string, uint64_t, std::string>, storage::ConsentRow> consents_
      ABSL_GUARDED_BY(mu_);

  std::map<std::tuple<std::string, std::string, uint64_t>, storage::AcknowledgementRow> acknowledged_
      ABSL_GUARDED_BY(mu_);  // by tenant, channel, serial

  TimingWheel wheel_ ABSL_GUARDED_BY(mu_);
  OnsetSeries fleet_series_ ABSL_GUARDED_BY(mu_);
  FleetNanos series_keep_ ABSL_GUARDED_BY(mu_);
  std::vector<int64_t> online_in_ ABSL_GUARDED_BY(mu_);  // hosts, by place
  std::deque<SilenceOnset> fell_ ABSL_GUARDED_BY(mu_);   // in the last minutes
  int64_t silent_hosts_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t online_unexposed_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::pair<FleetNanos, HostRef>> exposed_until_
      ABSL_GUARDED_BY(mu_);  // then they are witnesses again
  absl::Time last_run_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  double heard_expected_ ABSL_GUARDED_BY(mu_) = 0;  // since the last judgement of blindness
  int64_t heard_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration heard_over_ ABSL_GUARDED_BY(mu_);
  bool blind_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration blind_for_ ABSL_GUARDED_BY(mu_);
  absl::Time promotion_paused_until_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();

  std::vector<Spell> spells_ ABSL_GUARDED_BY(mu_);
  std::vector<uint32_t> free_spells_ ABSL_GUARDED_BY(mu_);
  Background background_ ABSL_GUARDED_BY(mu_);  // learned from control spells
  absl::Time background_written_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  policy::BackgroundRates usual_rates_ ABSL_GUARDED_BY(mu_);  // of this minute
  absl::Time usual_rates_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();

  std::deque<PendingLease> lease_queue_ ABSL_GUARDED_BY(mu_);
  std::vector<BrakeAct> brake_queue_ ABSL_GUARDED_BY(mu_);
  std::multimap<storage::Scope, policy::Reason> stopping_ ABSL_GUARDED_BY(mu_);  // being written now
  std::set<HostRef> dirty_hosts_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<Exposure*, ReleaseState*> dirty_exposures_ ABSL_GUARDED_BY(mu_);
  std::vector<storage::QuarantineRow> new_quarantines_ ABSL_GUARDED_BY(mu_);
  std::vector<storage::DecisionRow> new_decisions_ ABSL_GUARDED_BY(mu_);  // whose effect is the judgement's
  std::vector<storage::EventKey> new_events_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<storage::DecisionRow, storage::AuditRow>> new_incidents_ ABSL_GUARDED_BY(mu_);
  std::map<std::pair<Digest, std::string>, int64_t> plan_refusals_ ABSL_GUARDED_BY(mu_);  // hosts, by reason
  absl::flat_hash_set<uint64_t> seen_events_ ABSL_GUARDED_BY(mu_);
  uint64_t version_ ABSL_GUARDED_BY(mu_) = 1;
  uint64_t told_version_ ABSL_GUARDED_BY(mu_) = 0;
  bool choose_needed_ ABSL_GUARDED_BY(mu_) = true;
  bool stages_in_doubt_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t seen_cursor_ ABSL_GUARDED_BY(mu_) = 0;  // last-seen times are written from here on
  absl::Time seen_written_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Time choose_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Duration healthy_age_unsaved_ ABSL_GUARDED_BY(mu_);
  absl::Time events_forgotten_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();

  Mutex watchers_mu_;
  std::map<int, std::function<void()>> watchers_ ABSL_GUARDED_BY(watchers_mu_);
  int next_watcher_ ABSL_GUARDED_BY(watchers_mu_) = 1;

  // One step, or change of a known agent's row, at a time, so that what is older is written first; taken
  // before all others.
  Mutex step_mu_;
  Mutex commit_mu_;  // one writer of exposures at a time, new ones and outcomes; taken before mu_
  Mutex flush_mu_;   // one writer of the brake queue at a time; taken before mu_

  TrustShelf shelf_{store_};
  // What comes is verified against what is stored, so one publication at a time; taken before all others.
  Mutex publish_mu_;
  std::vector<gate::RoleState> roles_ ABSL_GUARDED_BY(mu_);  // of the release repository
  std::string repository_trouble_ ABSL_GUARDED_BY(mu_);      // why they cannot be read
  // Whom hosts believe: the repository's trust.json over what this server was started with. Null: nobody.
  std::shared_ptr<const trust::Authority> authority_ ABSL_GUARDED_BY(mu_) = options_.authority;

  Courier courier_;  // last: its errands use everything above
};

}  // namespace ringfence::app
