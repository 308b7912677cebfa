// Durable state as a transaction function. The memory and the PostgreSQL implementation pass one contract
// suite (tests/storage). The Transaction is made of small interfaces, one per part of the product.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/storage/rows.h"

namespace ringfence::storage {

// Agents and what they said.
class FleetTable {
 public:
  virtual ~FleetTable() = default;
  virtual absl::Status PutEnrolToken(const EnrolTokenRow& token) = 0;
  // Removes and returns the token: it can be used once. NotFound when unknown, used or expired at `now`.
  virtual absl::StatusOr<EnrolTokenRow> TakeEnrolToken(const Digest& token_hash, absl::Time now) = 0;
  // Inserts, or replaces by agent id. An agent's tenant never changes: FailedPrecondition when it would.
  virtual absl::Status PutAgents(absl::Span<const AgentRow> agents) = 0;
  virtual absl::StatusOr<AgentRow> Agent(const AgentId& agent) = 0;  // NotFound; deleted ones are found
  // Every agent, deleted ones too, in any order.
  virtual absl::Status ForEachAgent(absl::FunctionRef<void(const AgentRow&)> visit) = 0;
  virtual absl::Status PutQuarantines(absl::Span<const QuarantineRow> rows) = 0;  // idempotent
  virtual absl::Status ForEachQuarantine(absl::FunctionRef<void(const QuarantineRow&)> visit) = 0;
  // Remembers the events and returns, for each, whether it was new.
  virtual absl::StatusOr<std::vector<bool>> RememberEvents(absl::Span<const EventKey> events,
                                                           absl::Time now) = 0;
  // Every event that is remembered, in any order.
  virtual absl::Status ForEachEvent(absl::FunctionRef<void(const EventKey&)> visit) = 0;
  virtual absl::Status ForgetEventsBefore(absl::Time cutoff) = 0;
};

// Releases and their bytes.
class ReleaseTable {
 public:
  virtual ~ReleaseTable() = default;
  // Gives the row its rollout id. AlreadyExists when (channel, serial) or the digest, in any channel,
  // exists.
  virtual absl::StatusOr<RolloutId> InsertRelease(const ReleaseRow& row) = 0;
  virtual absl::StatusOr<std::vector<ReleaseRow>> Releases() = 0;  // by channel, then rising serial
  virtual absl::Status SetReleaseState(const std::string& channel, uint64_t serial,
                                       ReleaseState state) = 0;  // NotFound
  virtual absl::Status SetHealthyAge(const std::string& channel, uint64_t serial,
                                     absl::Duration age) = 0;  // NotFound
  // Content-addressed chunks of at most 1 MiB, numbered from 0. Idempotent.
  virtual absl::Status PutArtifactChunk(const Digest& artifact, int64_t chunk, absl::string_view bytes) = 0;
  virtual absl::StatusOr<std::string> ArtifactChunk(const Digest& artifact, int64_t chunk) = 0;  // NotFound
};

// The release repository's files; append-only: of a name that was stored again the newest counts.
class TrustTable {
 public:
  virtual ~TrustTable() = default;
  // Idempotent: bytes that are there under this name stay as they are. InvalidArgument: the name is empty or
  // too long, or there are no bytes or too many.
  virtual absl::Status PutTrustDocument(const TrustDocumentRow& row) = 0;
  // The newest of this name, or the one with this digest. NotFound.
  virtual absl::StatusOr<TrustDocumentRow> TrustDocument(const std::string& name,
                                                         const std::optional<Digest>& sha256) = 0;
};

// Plans, and what people said about releases that a plan asks about; append-only.
class PlanTable {
 public:
  virtual ~PlanTable() = default;
  // Aborted unless row.revision is the newest of the tenant plus one (optimistic lock).
  virtual absl::Status InsertPlan(const PlanRow& row) = 0;
  virtual absl::StatusOr<std::vector<PlanRow>> NewestPlans() = 0;  // one per tenant, by tenant
  virtual absl::StatusOr<std::vector<PlanRow>> PlanHistory(const std::string& tenant) = 0;  // newest first
  // AlreadyExists: something was said about the same tenant, channel, serial and ring.
  virtual absl::Status InsertConsent(const ConsentRow& row) = 0;
  virtual absl::StatusOr<std::vector<ConsentRow>> Consents() = 0;  // by tenant, channel, serial, ring
  // AlreadyExists: somebody of the tenant did before.
  virtual absl::Status InsertAcknowledgement(const AcknowledgementRow& row) = 0;
  virtual absl::StatusOr<std::vector<AcknowledgementRow>>
  Acknowledgements() = 0;  // by tenant, channel, serial
  // AlreadyExists: the tenant has another of this kind and number.
  virtual absl::Status InsertSigned(const SignedRow& row) = 0;
  // Of one tenant, or of all (empty); by tenant, kind, number.
  virtual absl::StatusOr<std::vector<SignedRow>> SignedDocuments(const std::string& tenant) = 0;
};

// Stages, brakes, exposures, evidence: the journey of a release.
class RolloutTable {
 public:
  virtual ~RolloutTable() = default;
  // AlreadyExists: same tenant, channel, serial, ring.
  virtual absl::StatusOr<StageId> InsertStage(const StageRow& row) = 0;
  // By stage id; NotFound. What makes the stage (rollout, tenant, channel, serial, ring, created_at) never
  // changes and is not written.
  virtual absl::Status UpdateStages(absl::Span<const StageRow> rows) = 0;
  virtual absl::StatusOr<std::vector<StageRow>> Stages() = 0;  // by id

  // Makes rows with epoch 0 for scopes that have none, so that they can be locked.
  virtual absl::Status EnsureBrakes(absl::Span<const Scope> scopes) = 0;
  // The rows of these scopes, locked FOR SHARE until the transaction ends: nobody changes a brake in between.
  // A scope without a row is missing from the answer.
  virtual absl::StatusOr<std::vector<BrakeRow>> LockBrakesShared(absl::Span<const Scope> scopes) = 0;
  // The row of one scope locked FOR UPDATE; a row with epoch 0 is made when there is none.
  virtual absl::StatusOr<BrakeRow> LockBrake(const Scope& scope) = 0;
  // Replaces the row; its epoch must be the stored one plus one. Aborted otherwise.
  virtual absl::Status PutBrake(const BrakeRow& row) = 0;
  virtual absl::StatusOr<std::vector<BrakeRow>> Brakes() = 0;

  // Rows whose key exists are left as they are. PostgreSQL may answer Aborted once when one exists, and runs
  // the transaction again: a body returns what it was told.
  virtual absl::Status InsertExposures(absl::Span<const ExposureRow> rows) = 0;
  virtual absl::Status UpdateOutcomes(
      absl::Span<const OutcomeUpdate> rows) = 0;  // unknown keys are an error: NotFound
  virtual absl::Status ForEachExposure(const std::string& channel, uint64_t serial,
                                       absl::FunctionRef<void(const ExposureRow&)> visit) = 0;

  // The exposures of one host to these releases (channel, serial), in any order.
  virtual absl::StatusOr<std::vector<ExposureRow>> ExposuresOf(
      const std::string& tenant, const AgentId& agent,
      absl::Span<const std::pair<std::string, uint64_t>> releases) = 0;

  // The same of all hosts, counted; in any order, and of each tenant apart.
  virtual absl::Status CountExposures(const std::string& channel, uint64_t serial,
                                      absl::FunctionRef<void(const ExposureCount&)> visit) = 0;

  // Replaces the row of (channel, serial, replica, health_channel, cell) if the version is newer.
  virtual absl::Status PutEvidence(absl::Span<const EvidenceRow> rows) = 0;
  virtual absl::StatusOr<std::vector<EvidenceRow>> Evidence(const std::string& channel, uint64_t serial) = 0;

  // Replaces the rows of (host_class, hour_of_week).
  virtual absl::Status PutBackground(absl::Span<const BackgroundRow> rows) = 0;
  virtual absl::StatusOr<std::vector<BackgroundRow>> Background() = 0;  // by class, hour

  // Replaces the row of (channel, serial); the number of its test never falls.
  virtual absl::Status PutJudgement(const JudgementRow& row) = 0;
  virtual absl::StatusOr<std::optional<JudgementRow>> Judgement(const std::string& channel,
                                                                uint64_t serial) = 0;
  // Append-only: rows whose key exists are left as they are.
  virtual absl::Status AppendEvidenceRecords(absl::Span<const EvidenceRecordRow> rows) = 0;
  // By replica, then seq.
  virtual absl::StatusOr<std::vector<EvidenceRecordRow>> EvidenceRecords(const std::string& channel,
                                                                         uint64_t serial) = 0;
};

struct DecisionFilter {
  std::optional<std::string> tenant;  // decisions of this tenant, and those for all
  std::optional<std::string> channel;
  std::optional<uint64_t> serial;
  DecisionId before = 0;  // page token: ids below this one; 0: from the newest
  int limit = 100;
};

struct AuditFilter {
  std::optional<std::string> tenant;  // exactly this one: acts on all tenants are the vendor's to read
  int64_t before = 0;
  int limit = 100;
};

// What was decided and done, append-only; remembered answers.
class JournalTable {
 public:
  virtual ~JournalTable() = default;
  virtual absl::StatusOr<DecisionId> AppendDecision(const DecisionRow& row) = 0;
  virtual absl::StatusOr<std::vector<DecisionRow>> Decisions(
      const DecisionFilter& filter) = 0;  // newest first
  virtual absl::Status AppendAudit(const AuditRow& row) = 0;
  virtual absl::StatusOr<std::vector<AuditRow>> Audit(const AuditFilter& filter) = 0;  // newest first
  virtual absl::StatusOr<std::optional<RequestRow>> FindRequest(const std::string& request_id) = 0;
  virtual absl::Status PutRequest(const RequestRow& row) = 0;  // AlreadyExists
  virtual absl::StatusOr<std::optional<std::string>> Setting(const std::string& name) = 0;
  virtual absl::Status PutSetting(const std::string& name, const std::string& value) = 0;
  // A number that no other start of any replica ever gets, from 1, below 2^24.
  virtual absl::StatusOr<uint32_t> NextReplicaEpoch(const std::string& replica_name, absl::Time now) = 0;

  // The fence of leadership: a number that rises with every take-over. Makes `replica` the leader and returns
  // the new epoch, from 1.
  virtual absl::StatusOr<int64_t> TakeLeaderEpoch(const std::string& replica, absl::Time now) = 0;
  // Where the leader of this epoch takes the forwards of others, and the secret that they show. Right after
  // TakeLeaderEpoch, in its transaction: an epoch begins without. Aborted when the epoch is over.
  virtual absl::Status PutLeaderContact(int64_t epoch, const std::string& address,
                                        const std::string& secret) = 0;
  virtual absl::StatusOr<LeaderRow> Leader() = 0;  // NotFound: nobody ever led
  // Aborted when another replica has taken over since; otherwise nobody can until this transaction ends. An
  // advisory lock alone does not stop a leader that was paused while it lost the lock; this does.
  virtual absl::Status CheckLeaderEpoch(int64_t epoch) = 0;
};

class Transaction : public FleetTable,
                    public ReleaseTable,
                    public TrustTable,
                    public PlanTable,
                    public RolloutTable,
                    public JournalTable {};

// Thread-safe.
class Store {
 public:
  virtual ~Store() = default;

  // Runs `body` in one transaction and commits it if it returns ok; otherwise nothing of it remains. `body`
  // may be run again after a serialization failure, so it must not have effects of its own before the call
  // returns ok. After NotFound from a batch update (UpdateStages, UpdateOutcomes) or FailedPrecondition from
  // PutAgents the transaction is spoilt: it does not commit, whatever the body returns. After any other
  // refusal nothing of that one call happened, and the body may go on. The body must not call ReadWrite.
  // Times are kept to the microsecond (earlier, not rounded); texts are UTF-8. Unavailable: the database
  // cannot be reached and nothing was committed. DeadlineExceeded: the connection broke during the commit,
  // which may or may not have happened (in doubt): repeat the same call.
  virtual absl::Status ReadWrite(absl::FunctionRef<absl::Status(Transaction&)> body) = 0;

  // Cheap health check: Unavailable when the database cannot be reached now.
  virtual absl::Status Ping() = 0;
};

// Everything in this process's memory; for tests and replays. Not durable.
std::unique_ptr<Store> MakeMemoryStore();

}  // namespace ringfence::storage
