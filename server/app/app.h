// The application: everything the server does, without a socket in sight. Thin handlers above, Store below,
// judgement in rollout-policy. One process may hold several Apps (the replayer does, one per seed).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringfence/base/clock.h"
#include "server/app/messages.h"
#include "server/app/metrics.h"
#include "server/storage/store.h"

namespace ringfence::gate {
struct Trust;
}
namespace ringfence::trust {
struct Authority;
class SigningKey;
}  // namespace ringfence::trust

namespace ringfence::app {

struct AppOptions {
  // The vendor's own fleet, whose stages pass before any customer's; empty: none. Stored at the first start;
  // a later start with another value is refused by Start.
  std::string internal_tenant;
  absl::Duration checkin_interval = absl::Seconds(60);  // h
  double checkin_jitter = 0.2;                          // next_checkin = h × (1 ± this)
  absl::Duration lease_ttl = absl::Seconds(20);
  absl::Duration sensor_downtime =
      absl::Minutes(10);  // a sensor release may be away this long during its update
  // S: how long drawn hosts are watched for late harm, and phantoms wait. Wall time, whatever h is.
  absl::Duration sensor_soak = absl::Hours(4);
  absl::Duration content_soak = absl::Hours(1);
  // Real time that an act which stops waits for the database. It stops here before, and is written later.
  absl::Duration stop_patience = absl::Seconds(4);
  std::string replica_name = "ringfenced";
  // Whom the publish gate believes; null: nobody, releases are unsigned and unproven and say so.
  std::shared_ptr<const gate::Trust> trust = nullptr;
  // Signs halts for hosts; null: hosts are told of halts by directives alone.
  std::shared_ptr<const trust::SigningKey> halt_key = nullptr;
  // Whose signatures take a halt off, until trust.json of the release repository says it; null, or without
  // such keys in either: two persons' credentials do.
  std::shared_ptr<const trust::Authority> authority = nullptr;
  // The key that signs leases here, to say so where no host would believe it; nullopt: none.
  std::optional<trust::PublicKey> director = std::nullopt;
  uint64_t seed = 0;  // of jitter and rollout secrets; 0: from the operating system. Replays give one.
};

using LeaseDone = std::function<void(absl::StatusOr<LeaseReply>)>;

// Thread-safe. No entry point marked [hot] blocks on the store; the others may.
class App {
 public:
  // `store`, `clock` and `metrics` outlive the App. `metrics` may be null.
  static std::unique_ptr<App> Make(AppOptions options, storage::Store* store, Clock* clock, Metrics* metrics);
  virtual ~App() = default;

  // Loads everything durable and gives every host a fresh deadline. Call once, before anything else.
  virtual absl::Status Start() = 0;

  // ---- the engine's steps; a server's threads call them in a loop, a replay by hand
  // Matures spells, watches silence, judges, moves stages, flushes what changed. About every h/4, at least
  // once per h.
  virtual absl::Status RunOnce() = 0;
  // Commits the exposures queued by now and answers their leases, in transactions of a bounded size, so that
  // a halt gets in between. Returns how many it committed. May be called while RunOnce runs: it does not wait
  // for a step.
  virtual absl::StatusOr<int> CommitOnce() = 0;
  // Called when a lease was queued, so that a server's commit thread wakes. Set before Start; may be empty.
  virtual void OnLeaseQueued(std::function<void()> wake) = 0;

  // ---- agents
  virtual absl::StatusOr<EnrolReply> Enrol(const EnrolRequest& request) = 0;
  // [hot] Unauthenticated when the agent is unknown, deleted, or the secret is wrong. Returns its tenant.
  virtual absl::StatusOr<std::string> Authenticate(const AgentId& agent, absl::string_view secret) = 0;
  // [hot]
  virtual absl::Status CheckIn(const CheckInRequest& request, CheckInReply* reply) = 0;
  // [hot] Calls `done` once: at once when there is nothing to commit, otherwise from CommitOnce.
  virtual void Lease(const LeaseRequest& request, LeaseDone done) = 0;
  // PermissionDenied unless the agent may fetch the artifact now. Then its size.
  virtual absl::StatusOr<int64_t> MayFetch(const AgentId& agent, const Digest& digest) = 0;
  virtual absl::StatusOr<std::string> ArtifactChunk(const Digest& digest, int64_t chunk) = 0;
  // [hot] Signed halts and orders to go on that this host of the tenant is to have; null: none.
  virtual std::shared_ptr<const Notices> NoticesFor(absl::string_view tenant, const AgentId& agent) = 0;
  static constexpr int64_t kChunkBytes = 1 << 20;
  // A file of the release repository, by the name that a TUF client asks for. NotFound.
  virtual absl::StatusOr<std::shared_ptr<const std::string>> TrustDocument(const std::string& name) = 0;

  // ---- releases. Refusals carry their word ("malformed", "stale_version", ...) as the payload kRefusalUrl.
  static constexpr char kRefusalUrl[] = "ringfence/refusal";
  virtual absl::StatusOr<PublishReply> Publish(const Act& act, const PublishRequest& request) = 0;
  // Signs the repository's timestamp again with the server's own key, when that is due; call it about once a
  // minute. True: it did. Without such a key, or before the first publication, it does nothing.
  virtual absl::StatusOr<bool> KeepTimestamp() = 0;
  // How long such a timestamp is good for, and how old it gets: days to react when signing breaks.
  static constexpr absl::Duration kTimestampLifetime = absl::Hours(72), kTimestampEvery = absl::Hours(6);
  virtual absl::StatusOr<storage::ReleaseRow> Recall(const Act& act, const std::string& channel,
                                                     uint64_t serial) = 0;
  // Newest first. `tenant` empty: of every tenant with a plan.
  virtual absl::StatusOr<std::vector<UrgentInfo>> UrgentReleases(const std::string& tenant) = 0;
  // A person of the tenant has seen an urgent release: `wanted` names tenant, channel and serial. It moves
  // nothing. FailedPrecondition: not urgent, or acknowledged before.
  virtual absl::StatusOr<UrgentInfo> Acknowledge(const Act& act, storage::AcknowledgementRow wanted) = 0;
  virtual absl::StatusOr<std::vector<storage::ReleaseRow>> ListReleases(
      const std::string& channel) = 0;  // newest first

  // ---- plans. InvalidArgument carries the faults as lines; ValidatePlan returns them as values.
  virtual absl::StatusOr<storage::PlanRow> ApplyPlan(const Act& act, const policy::Plan& plan,
                                                     int64_t expected_revision) = 0;
  // What a person of the tenant says of a release that its plan asks about: `wanted` names tenant, channel,
  // serial, ring (empty: every ring that asks) and `approved`. Final. FailedPrecondition: the plan asks
  // nobody, or it was decided before.
  virtual absl::StatusOr<storage::ConsentRow> Consent(const Act& act, storage::ConsentRow wanted) = 0;
  // Every release that a ring of the tenant asks about, decided or not, newest first.
  virtual absl::StatusOr<std::vector<ApprovalInfo>> Approvals(const std::string& tenant) = 0;
  virtual absl::StatusOr<std::vector<storage::PlanRow>> PlanHistory(
      const std::string& tenant) = 0;  // newest first

  // ---- customers that sign (engine_signed.cc)
  // The next link of the tenant's chain, a DSSE envelope. FailedPrecondition, see plan::IsFork: a gap or a
  // fork, which is an incident; PermissionDenied: too few signatures.
  virtual absl::StatusOr<storage::PlanRow> ApplySignedPlan(const Act& act, const std::string& envelope,
                                                           int64_t expected_revision) = 0;
  // As Consent, of a tenant that signs.
  virtual absl::StatusOr<storage::ConsentRow> SignedConsent(const Act& act, const std::string& envelope,
                                                            bool approved) = 0;
  // Oldest first; none: the tenant is vendor-managed.
  virtual std::vector<SignedPlanInfo> SignedPlans(const std::string& tenant) = 0;
  // Of the tenant's next signed decision; 0: it does not sign.
  virtual uint64_t NextSeq(const std::string& tenant) = 0;
  // What a host is handed: plans from this version on, then decisions from this seq on; about 1 MiB at most.
  virtual std::vector<std::string> FetchPlan(const std::string& tenant, uint64_t from_version,
                                             uint64_t from_seq) = 0;

  // ---- rollouts and brakes. Who may do what to which scope is checked here too (deny by default).
  virtual absl::StatusOr<storage::BrakeRow> Pause(const Act& act, const storage::Scope& scope) = 0;
  // `order`: after a halt, where the options name keys for it, a DSSE envelope that one person or two signed.
  virtual absl::StatusOr<ResumeReply> Resume(const Act& act, const storage::Scope& scope, BrakeKind brake,
                                             absl::string_view order = {}) = 0;
  // Writes down who asked for what, and refuses it: PermissionDenied, always.
  virtual absl::Status DenyBypass(const Act& act, const Bypass& asked) = 0;
  virtual absl::StatusOr<storage::BrakeRow> Halt(const Act& act, const storage::Scope& scope) = 0;
  // Another replica may have stopped something in this scope (nullopt: anywhere): reads what the store says
  // and acts on what is new. No exposure waits for it: those are committed under the row itself.
  virtual absl::Status TakeInBrakes(const std::optional<storage::Scope>& scope) = 0;
  virtual absl::StatusOr<RollBackReply> RollBack(const Act& act, const storage::Scope& scope) = 0;
  // Keeps the release from every host of a label value ("key=value"); those that run it are ordered back. The
  // vendor's people only. FailedPrecondition: it is already, or the release is not watched any more.
  virtual absl::StatusOr<CohortReply> ExcludeCohort(const Act& act, const std::string& channel,
                                                    uint64_t serial, const std::string& cohort) = 0;
  // Takes that, or a block by the server, off again. FailedPrecondition: it is not blocked.
  virtual absl::StatusOr<CohortReply> UnblockCohort(const Act& act, const std::string& channel,
                                                    uint64_t serial, const std::string& cohort) = 0;
  // `tenant` empty: every stage; otherwise that tenant's stages and the pooled figures only. serial 0: the
  // newest.
  virtual absl::StatusOr<RolloutInfo> GetRollout(const std::string& channel, uint64_t serial,
                                                 const std::string& tenant) = 0;
  virtual std::vector<RolloutInfo> ListRollouts(const std::string& channel,
                                                const std::string& tenant) = 0;  // newest first
  // Called (from any thread, quickly) after any rollout changed. Returns a token for RemoveWatcher.
  virtual int AddWatcher(std::function<void()> changed) = 0;
  virtual void RemoveWatcher(int token) = 0;
  virtual absl::StatusOr<std::vector<storage::DecisionRow>> Decisions(
      const storage::DecisionFilter& filter) = 0;
  // serial 0: the newest. Without a draw yet the judgement is that of nothing, with no record.
  virtual absl::StatusOr<EvidenceReply> Evidence(const std::string& channel, uint64_t serial) = 0;
  virtual absl::StatusOr<std::vector<storage::AuditRow>> Audit(const storage::AuditFilter& filter) = 0;

  // ---- fleet
  virtual std::vector<AgentInfo> ListAgents(const ListAgentsRequest& request) = 0;
  virtual absl::StatusOr<AgentInfo> GetAgent(const AgentId& agent) = 0;
  virtual absl::StatusOr<ExplainReply> Explain(const AgentId& agent, const std::string& channel,
                                               uint64_t serial) = 0;
  // The same question for every host of a tenant. serial 0: the newest of the channel. NotFound: no release.
  virtual absl::StatusOr<ExplainReleaseReply> ExplainRelease(const std::string& tenant,
                                                             const std::string& channel, uint64_t serial) = 0;
  // What a legal plan would change for the hosts of now. Without effect.
  virtual PreviewReply PreviewPlan(const policy::Plan& plan) = 0;
  virtual absl::Status DeleteAgent(const Act& act, const AgentId& agent) = 0;
  // The token is a function of the request id and the actor's key: a repeat gets the same one.
  // FailedPrecondition without a key.
  virtual absl::StatusOr<EnrolToken> CreateEnrolToken(const Act& act, const std::string& tenant,
                                                      absl::Duration valid_for) = 0;
  virtual ServerStatus Status() = 0;
};

}  // namespace ringfence::app
