// The tables of the contract over one session's open transaction.
#pragma once

#include <string>
#include <vector>

#include "server/storage/postgres/session.h"
#include "server/storage/store.h"

namespace ringfence::storage {

class PostgresTransaction final : public Transaction {
 public:
  // `session` has an open transaction and outlives this object. `repeats`: what it inserts may be there
  // already.
  explicit PostgresTransaction(Session& session, bool repeats = true)
      : session_(session), repeats_(repeats) {}

  // Why it must not commit, if so: a statement that failed leaves a PostgreSQL transaction whose COMMIT
  // quietly rolls back.
  const absl::Status& spoilt() const { return spoilt_; }
  // Something it inserted was there already: it must be run again with `repeats`.
  bool met_repeats() const { return met_repeats_; }

  absl::Status PutEnrolToken(const EnrolTokenRow& token) override;
  absl::StatusOr<EnrolTokenRow> TakeEnrolToken(const Digest& token_hash, absl::Time now) override;
  absl::Status PutAgents(absl::Span<const AgentRow> agents) override;
  absl::StatusOr<AgentRow> Agent(const AgentId& agent) override;
  absl::Status ForEachAgent(absl::FunctionRef<void(const AgentRow&)> visit) override;
  absl::Status PutQuarantines(absl::Span<const QuarantineRow> rows) override;
  absl::Status ForEachQuarantine(absl::FunctionRef<void(const QuarantineRow&)> visit) override;
  absl::StatusOr<std::vector<bool>> RememberEvents(absl::Span<const EventKey> events,
                                                   absl::Time now) override;
  absl::Status ForEachEvent(absl::FunctionRef<void(const EventKey&)> visit) override;
  absl::Status ForgetEventsBefore(absl::Time cutoff) override;

  absl::StatusOr<RolloutId> InsertRelease(const ReleaseRow& row) override;
  absl::StatusOr<std::vector<ReleaseRow>> Releases() override;
  absl::Status SetReleaseState(const std::string& channel, uint64_t serial, ReleaseState state) override;
  absl::Status SetHealthyAge(const std::string& channel, uint64_t serial, absl::Duration age) override;
  absl::Status PutArtifactChunk(const Digest& artifact, int64_t chunk, absl::string_view bytes) override;
  absl::StatusOr<std::string> ArtifactChunk(const Digest& artifact, int64_t chunk) override;

  absl::Status PutTrustDocument(const TrustDocumentRow& row) override;
  absl::StatusOr<TrustDocumentRow> TrustDocument(const std::string& name,
                                                 const std::optional<Digest>& sha256) override;

  absl::Status InsertPlan(const PlanRow& row) override;
  absl::StatusOr<std::vector<PlanRow>> NewestPlans() override;
  absl::StatusOr<std::vector<PlanRow>> PlanHistory(const std::string& tenant) override;
  absl::Status InsertConsent(const ConsentRow& row) override;
  absl::StatusOr<std::vector<ConsentRow>> Consents() override;
  absl::Status InsertAcknowledgement(const AcknowledgementRow& row) override;
  absl::StatusOr<std::vector<AcknowledgementRow>> Acknowledgements() override;
  absl::Status InsertSigned(const SignedRow& row) override;
  absl::StatusOr<std::vector<SignedRow>> SignedDocuments(const std::string& tenant) override;

  absl::StatusOr<StageId> InsertStage(const StageRow& row) override;
  absl::Status UpdateStages(absl::Span<const StageRow> rows) override;
  absl::StatusOr<std::vector<StageRow>> Stages() override;
  absl::Status EnsureBrakes(absl::Span<const Scope> scopes) override;
  absl::StatusOr<std::vector<BrakeRow>> LockBrakesShared(absl::Span<const Scope> scopes) override;
  absl::StatusOr<BrakeRow> LockBrake(const Scope& scope) override;
  absl::Status PutBrake(const BrakeRow& row) override;
  absl::StatusOr<std::vector<BrakeRow>> Brakes() override;
  absl::Status InsertExposures(absl::Span<const ExposureRow> rows) override;
  absl::Status UpdateOutcomes(absl::Span<const OutcomeUpdate> rows) override;
  absl::StatusOr<std::vector<ExposureRow>> ExposuresOf(
      const std::string& tenant, const AgentId& agent,
      absl::Span<const std::pair<std::string, uint64_t>> releases) override;
  absl::Status CountExposures(const std::string& channel, uint64_t serial,
                              absl::FunctionRef<void(const ExposureCount&)> visit) override;
  absl::Status ForEachExposure(const std::string& channel, uint64_t serial,
                               absl::FunctionRef<void(const ExposureRow&)> visit) override;
  absl::Status PutEvidence(absl::Span<const EvidenceRow> rows) override;
  absl::StatusOr<std::vector<EvidenceRow>> Evidence(const std::string& channel, uint64_t serial) override;
  absl::Status PutBackground(absl::Span<const BackgroundRow> rows) override;
  absl::StatusOr<std::vector<BackgroundRow>> Background() override;
  absl::Status PutJudgement(const JudgementRow& row) override;
  absl::StatusOr<std::optional<JudgementRow>> Judgement(const std::string& channel, uint64_t serial) override;
  absl::Status AppendEvidenceRecords(absl::Span<const EvidenceRecordRow> rows) override;
  absl::StatusOr<std::vector<EvidenceRecordRow>> EvidenceRecords(const std::string& channel,
                                                                 uint64_t serial) override;

  absl::StatusOr<DecisionId> AppendDecision(const DecisionRow& row) override;
  absl::StatusOr<std::vector<DecisionRow>> Decisions(const DecisionFilter& filter) override;
  absl::Status AppendAudit(const AuditRow& row) override;
  absl::StatusOr<std::vector<AuditRow>> Audit(const AuditFilter& filter) override;
  absl::StatusOr<std::optional<RequestRow>> FindRequest(const std::string& request_id) override;
  absl::Status PutRequest(const RequestRow& row) override;
  absl::StatusOr<std::optional<std::string>> Setting(const std::string& name) override;
  absl::Status PutSetting(const std::string& name, const std::string& value) override;
  absl::StatusOr<uint32_t> NextReplicaEpoch(const std::string& replica_name, absl::Time now) override;
  absl::StatusOr<int64_t> TakeLeaderEpoch(const std::string& replica, absl::Time now) override;
  absl::Status PutLeaderContact(int64_t epoch, const std::string& address,
                                const std::string& secret) override;
  absl::StatusOr<LeaderRow> Leader() override;
  absl::Status CheckLeaderEpoch(int64_t epoch) override;

 private:
  // Runs the statement; a failure spoils the transaction.
  absl::StatusOr<pqxx::result> Run(const Statement& statement,
                                   const std::vector<std::string>& parameters = {});
  // Rows changed.
  absl::StatusOr<int64_t> Change(const Statement& statement, const std::vector<std::string>& parameters);
  absl::Status Spoil(absl::Status status);
  // Waits its turn among those who lock the brake of `scope`, and keeps it to the end of the transaction.
  absl::Status PassGateAlone(const Scope& scope);
  // Every row of the statement through `read`.
  template <typename Row>
  absl::StatusOr<std::vector<Row>> ReadAll(absl::StatusOr<Row> (*read)(const pqxx::row&),
                                           const Statement& statement,
                                           const std::vector<std::string>& parameters = {});

  Session& session_;
  const bool repeats_;
  bool met_repeats_ = false;
  absl::Status spoilt_;
};

}  // namespace ringfence::storage
