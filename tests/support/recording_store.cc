#include "tests/support/recording_store.h"

#include "ringfence/base/status_macros.h"

namespace ringfence::test {
namespace {

using namespace storage;  // NOLINT: every name below is one of the store's

// Hands every call on and notes those that change something.
class RecordingTransaction final : public Transaction {
 public:
  RecordingTransaction(Transaction& tx, Changes& changes) : tx_(tx), changes_(changes) {}

  absl::Status PutEnrolToken(const EnrolTokenRow& token) override { return tx_.PutEnrolToken(token); }
  absl::StatusOr<EnrolTokenRow> TakeEnrolToken(const Digest& hash, absl::Time now) override {
    return tx_.TakeEnrolToken(hash, now);
  }
  absl::Status PutAgents(absl::Span<const AgentRow> rows) override {
    RETURN_IF_ERROR(tx_.PutAgents(rows));
    changes_.agents.insert(changes_.agents.end(), rows.begin(), rows.end());
    return absl::OkStatus();
  }
  absl::StatusOr<AgentRow> Agent(const AgentId& agent) override { return tx_.Agent(agent); }
  absl::Status ForEachAgent(absl::FunctionRef<void(const AgentRow&)> visit) override {
    return tx_.ForEachAgent(visit);
  }
  absl::Status PutQuarantines(absl::Span<const QuarantineRow> rows) override {
    RETURN_IF_ERROR(tx_.PutQuarantines(rows));
    changes_.quarantines.insert(changes_.quarantines.end(), rows.begin(), rows.end());
    return absl::OkStatus();
  }
  absl::Status ForEachQuarantine(absl::FunctionRef<void(const QuarantineRow&)> visit) override {
    return tx_.ForEachQuarantine(visit);
  }
  absl::StatusOr<std::vector<bool>> RememberEvents(absl::Span<const EventKey> events,
                                                   absl::Time now) override {
    changes_.events.insert(changes_.events.end(), events.begin(), events.end());
    return tx_.RememberEvents(events, now);
  }
  absl::Status ForEachEvent(absl::FunctionRef<void(const EventKey&)> visit) override {
    return tx_.ForEachEvent(visit);
  }
  absl::Status ForgetEventsBefore(absl::Time cutoff) override { return tx_.ForgetEventsBefore(cutoff); }

  absl::StatusOr<RolloutId> InsertRelease(const ReleaseRow& row) override {
    ASSIGN_OR_RETURN(const RolloutId id, tx_.InsertRelease(row));
    changes_.releases.push_back(row);
    changes_.releases.back().rollout = id;
    return id;
  }
  absl::StatusOr<std::vector<ReleaseRow>> Releases() override { return tx_.Releases(); }
  absl::Status SetReleaseState(const std::string& channel, uint64_t serial, ReleaseState state) override {
    return tx_.SetReleaseState(channel, serial, state);
  }
  absl::Status SetHealthyAge(const std::string& channel, uint64_t serial, absl::Duration age) override {
    RETURN_IF_ERROR(tx_.SetHealthyAge(channel, serial, age));
    changes_.healthy_ages.push_back({{channel, serial}, age});
    return absl::OkStatus();
  }
  absl::Status PutArtifactChunk(const Digest& artifact, int64_t chunk, absl::string_view bytes) override {
    return tx_.PutArtifactChunk(artifact, chunk, bytes);
  }
  absl::StatusOr<std::string> ArtifactChunk(const Digest& artifact, int64_t chunk) override {
    return tx_.ArtifactChunk(artifact, chunk);
  }

  absl::Status PutTrustDocument(const TrustDocumentRow& row) override { return tx_.PutTrustDocument(row); }
  absl::StatusOr<TrustDocumentRow> TrustDocument(const std::string& name,
                                                 const std::optional<Digest>& sha256) override {
    return tx_.TrustDocument(name, sha256);
  }

  absl::Status InsertPlan(const PlanRow& row) override {
    RETURN_IF_ERROR(tx_.InsertPlan(row));
    changes_.plans.push_back(row);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<PlanRow>> NewestPlans() override { return tx_.NewestPlans(); }
  absl::StatusOr<std::vector<PlanRow>> PlanHistory(const std::string& tenant) override {
    return tx_.PlanHistory(tenant);
  }

  absl::Status InsertConsent(const ConsentRow& row) override {
    RETURN_IF_ERROR(tx_.InsertConsent(row));
    changes_.consents.push_back(row);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<ConsentRow>> Consents() override { return tx_.Consents(); }
  absl::Status InsertAcknowledgement(const AcknowledgementRow& row) override {
    return tx_.InsertAcknowledgement(row);
  }
  absl::StatusOr<std::vector<AcknowledgementRow>> Acknowledgements() override {
    return tx_.Acknowledgements();
  }
  absl::Status InsertSigned(const SignedRow& row) override {
    RETURN_IF_ERROR(tx_.InsertSigned(row));
    changes_.signed_documents.push_back(row);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<SignedRow>> SignedDocuments(const std::string& tenant) override {
    return tx_.SignedDocuments(tenant);
  }

  absl::StatusOr<StageId> InsertStage(const StageRow& row) override {
    ASSIGN_OR_RETURN(const StageId id, tx_.InsertStage(row));
    changes_.new_stages.push_back(row);
    changes_.new_stages.back().stage = id;
    return id;
  }
  absl::Status UpdateStages(absl::Span<const StageRow> rows) override {
    RETURN_IF_ERROR(tx_.UpdateStages(rows));
    changes_.stages.insert(changes_.stages.end(), rows.begin(), rows.end());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<StageRow>> Stages() override { return tx_.Stages(); }
  absl::Status EnsureBrakes(absl::Span<const Scope> scopes) override { return tx_.EnsureBrakes(scopes); }
  absl::StatusOr<std::vector<BrakeRow>> LockBrakesShared(absl::Span<const Scope> scopes) override {
    return tx_.LockBrakesShared(scopes);
  }
  absl::StatusOr<BrakeRow> LockBrake(const Scope& scope) override { return tx_.LockBrake(scope); }
  absl::Status PutBrake(const BrakeRow& row) override {
    RETURN_IF_ERROR(tx_.PutBrake(row));
    changes_.brakes.push_back(row);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<BrakeRow>> Brakes() override { return tx_.Brakes(); }
  absl::Status InsertExposures(absl::Span<const ExposureRow> rows) override {
    RETURN_IF_ERROR(tx_.InsertExposures(rows));
    changes_.exposures.insert(changes_.exposures.end(), rows.begin(), rows.end());
    return absl::OkStatus();
  }
  absl::Status UpdateOutcomes(absl::Span<const OutcomeUpdate> rows) override {
    RETURN_IF_ERROR(tx_.UpdateOutcomes(rows));
    changes_.outcomes.insert(changes_.outcomes.end(), rows.begin(), rows.end());
    return absl::OkStatus();
  }
  absl::Status ForEachExposure(const std::string& channel, uint64_t serial,
                               absl::FunctionRef<void(const ExposureRow&)> visit) override {
    return tx_.ForEachExposure(channel, serial, visit);
  }
  absl::StatusOr<std::vector<ExposureRow>> ExposuresOf(
      const std::string& tenant, const AgentId& agent,
      absl::Span<const std::pair<std::string, uint64_t>> releases) override {
    return tx_.ExposuresOf(tenant, agent, releases);
  }
  absl::Status CountExposures(const std::string& channel, uint64_t serial,
                              absl::FunctionRef<void(const storage::ExposureCount&)> visit) override {
    return tx_.CountExposures(channel, serial, visit);
  }
  absl::Status PutEvidence(absl::Span<const EvidenceRow> rows) override { return tx_.PutEvidence(rows); }
  absl::StatusOr<std::vector<EvidenceRow>> Evidence(const std::string& channel, uint64_t serial) override {
    return tx_.Evidence(channel, serial);
  }
  absl::Status PutBackground(absl::Span<const storage::BackgroundRow> rows) override {
    return tx_.PutBackground(rows);
  }
  absl::StatusOr<std::vector<storage::BackgroundRow>> Background() override { return tx_.Background(); }
  absl::Status PutJudgement(const storage::JudgementRow& row) override { return tx_.PutJudgement(row); }
  absl::StatusOr<std::optional<storage::JudgementRow>> Judgement(const std::string& channel,
                                                                 uint64_t serial) override {
    return tx_.Judgement(channel, serial);
  }
  absl::Status AppendEvidenceRecords(absl::Span<const storage::EvidenceRecordRow> rows) override {
    return tx_.AppendEvidenceRecords(rows);
  }
  absl::StatusOr<std::vector<storage::EvidenceRecordRow>> EvidenceRecords(const std::string& channel,
                                                                          uint64_t serial) override {
    return tx_.EvidenceRecords(channel, serial);
  }

  absl::StatusOr<DecisionId> AppendDecision(const DecisionRow& row) override {
    changes_.decisions.push_back(row);
    return tx_.AppendDecision(row);
  }
  absl::StatusOr<std::vector<DecisionRow>> Decisions(const DecisionFilter& filter) override {
    return tx_.Decisions(filter);
  }
  absl::Status AppendAudit(const AuditRow& row) override { return tx_.AppendAudit(row); }
  absl::StatusOr<std::vector<AuditRow>> Audit(const AuditFilter& filter) override {
    return tx_.Audit(filter);
  }
  absl::StatusOr<std::optional<RequestRow>> FindRequest(const std::string& id) override {
    return tx_.FindRequest(id);
  }
  absl::Status PutRequest(const RequestRow& row) override { return tx_.PutRequest(row); }
  absl::StatusOr<std::optional<std::string>> Setting(const std::string& name) override {
    return tx_.Setting(name);
  }
  absl::Status PutSetting(const std::string& name, const std::string& value) override {
    return tx_.PutSetting(name, value);
  }
  absl::StatusOr<uint32_t> NextReplicaEpoch(const std::string& name, absl::Time now) override {
    return tx_.NextReplicaEpoch(name, now);
  }
  absl::StatusOr<int64_t> TakeLeaderEpoch(const std::string& replica, absl::Time now) override {
    return tx_.TakeLeaderEpoch(replica, now);
  }
  absl::Status PutLeaderContact(int64_t epoch, const std::string& address,
                                const std::string& secret) override {
    return tx_.PutLeaderContact(epoch, address, secret);
  }
  absl::StatusOr<storage::LeaderRow> Leader() override { return tx_.Leader(); }
  absl::Status CheckLeaderEpoch(int64_t epoch) override { return tx_.CheckLeaderEpoch(epoch); }

 private:
  Transaction& tx_;
  Changes& changes_;
};

}  // namespace

RecordingStore::Next RecordingStore::Draw() {
  if (!next.empty()) {
    const Next first = next.front();
    next.erase(next.begin());
    return first;
  }
  if (down) return Next::kUnavailable;
  double u = std::uniform_real_distribution<double>(0, 1)(random_);
  if ((u -= faults.unavailable) < 0) return Next::kUnavailable;
  if ((u -= faults.doubt_done) < 0) return Next::kDoubtDone;
  if ((u -= faults.doubt_not_done) < 0) return Next::kDoubtNotDone;
  return Next::kUsual;
}

absl::Status RecordingStore::ReadWrite(absl::FunctionRef<absl::Status(Transaction&)> body) {
  ++calls_;
  const Next how = Draw();
  if (how == Next::kUnavailable) {
    ++failed_;
    return absl::UnavailableError("the database cannot be reached");
  }
  Changes changes;
  const auto once = [&](bool then_fail) {
    changes = {};
    return inner_->ReadWrite([&](Transaction& tx) -> absl::Status {
      RecordingTransaction recording(tx, changes);
      RETURN_IF_ERROR(body(recording));
      return then_fail ? absl::AbortedError("rolled back") : absl::OkStatus();
    });
  };
  if (faults.rerun > 0 && std::bernoulli_distribution(faults.rerun)(random_)) {
    const absl::Status status = once(true);
    if (!absl::IsAborted(status)) return status;
  }
  const absl::Status status = once(how == Next::kDoubtNotDone);
  if (how == Next::kDoubtNotDone && absl::IsAborted(status)) {
    ++failed_;
    return absl::DeadlineExceededError("the connection broke during the commit");
  }
  if (!status.ok()) return status;
  watch_(changes);
  if (how != Next::kDoubtDone) return status;
  ++failed_;
  return absl::DeadlineExceededError("the connection broke during the commit");
}

absl::Status RecordingStore::Ping() {
  ++calls_;
  if (!down) return inner_->Ping();
  ++failed_;
  return absl::UnavailableError("the database cannot be reached");
}

}  // namespace ringfence::test
