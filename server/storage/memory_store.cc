// The Store in memory: one mutex, held for the whole transaction, so that transactions run one after the
// other; an undo log puts back what a failed one changed.
#include <algorithm>
#include <functional>
#include <map>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/mutex.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/store.h"

namespace ringfence::storage {
namespace {

using ReleaseKey = std::pair<std::string, uint64_t>;  // channel, serial

// The exposures of one release. Rows are never removed, so an index stays good and undoing an insert is a
// truncation.
struct ExposureTable {
  struct Key {
    AgentId agent;
    uint64_t bucket;
    std::string tenant;

    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.agent, key.bucket, key.tenant);
    }
  };
  std::vector<ExposureRow> rows;
  absl::flat_hash_map<Key, size_t> index;
};

struct Tables {
  absl::flat_hash_map<Digest, EnrolTokenRow> tokens;
  std::map<AgentId, AgentRow> agents;  // visited in one order, so that a replay repeats exactly
  std::map<std::tuple<std::string, AgentId, Digest>, QuarantineRow> quarantines;
  absl::flat_hash_map<std::tuple<AgentId, std::string, uint64_t>, absl::Time> events;

  std::map<ReleaseKey, ReleaseRow> releases;
  std::map<std::pair<Digest, int64_t>, std::string> chunks;
  std::map<std::string, std::vector<TrustDocumentRow>> documents;  // by name, oldest first

  std::map<std::string, std::vector<PlanRow>> plans;  // by tenant, oldest first

  std::map<std::tuple<std::string, SignedKind, uint64_t>, SignedRow> signed_documents;
  std::map<std::tuple<std::string, std::string, uint64_t, std::string>, ConsentRow> consents;
  std::map<std::tuple<std::string, std::string, uint64_t>, AcknowledgementRow> acknowledgements;

  std::map<StageId, StageRow> stages;
  std::map<std::tuple<std::string, std::string, uint64_t, std::string>, StageId> stage_ids;
  std::map<Scope, BrakeRow> brakes;
  std::map<ReleaseKey, ExposureTable> exposures;
  std::map<std::tuple<std::string, uint64_t, uint32_t, policy::HealthChannel, std::string>, EvidenceRow>
      evidence;
  std::map<ReleaseKey, JudgementRow> judgements;
  std::map<std::pair<std::string, int>, BackgroundRow> background;
  std::map<std::tuple<std::string, uint64_t, uint32_t, int64_t>, EvidenceRecordRow> evidence_records;

  std::vector<DecisionRow> decisions;  // by id
  std::vector<AuditRow> audit;
  std::map<std::string, RequestRow> requests;
  std::map<std::string, std::string> settings;
  LeaderRow leader;

  // Like a sequence of the database: a number given to a transaction that fails is lost.
  RolloutId last_rollout = 0;
  StageId last_stage = 0;
  DecisionId last_decision = 0;
  int64_t last_audit = 0;
  uint32_t last_replica_epoch = 0;
};

class UndoLog {
 public:
  void Add(std::function<void()> undo) { undos_.push_back(std::move(undo)); }
  void RollBack() {
    for (auto undo = undos_.rbegin(); undo != undos_.rend(); ++undo) (*undo)();
    undos_.clear();
  }

 private:
  std::vector<std::function<void()>> undos_;
};

// Sets map[key] and remembers how to put back what was there.
template <typename Map>
void Put(Map& map, const typename Map::key_type& key, typename Map::mapped_type value, UndoLog& undo) {
  const auto found = map.find(key);
  if (found == map.end()) {
    map.emplace(key, std::move(value));
    undo.Add([&map, key] { map.erase(key); });
    return;
  }
  undo.Add([&map, key, before = std::move(found->second)]() mutable { map[key] = std::move(before); });
  found->second = std::move(value);
}

template <typename Row>
void Append(std::vector<Row>& rows, Row row, UndoLog& undo) {
  rows.push_back(std::move(row));
  undo.Add([&rows] { rows.pop_back(); });
}

// The newest rows below `before` (0: from the newest) that `wanted` accepts, newest first, at most `limit`.
template <typename Row, typename Wanted>
std::vector<Row> NewestFirst(const std::vector<Row>& rows, int64_t before, int limit, Wanted wanted) {
  std::vector<Row> page;
  for (auto row = rows.rbegin(); row != rows.rend() && static_cast<int>(page.size()) < limit; ++row) {
    if ((before == 0 || row->id < before) && wanted(*row)) page.push_back(*row);
  }
  return page;
}

template <typename T, typename U>
bool MatchesOrUnset(const std::optional<T>& wanted, const U& value) {
  return !wanted.has_value() || *wanted == value;
}

class MemoryTransaction final : public Transaction {
 public:
  explicit MemoryTransaction(Tables& tables) : tables_(tables) {}
  void RollBack() { undo_.RollBack(); }
  // Why the transaction may not commit, if so.
  const absl::Status& spoilt() const { return spoilt_; }

  absl::Status PutEnrolToken(const EnrolTokenRow& token) override {
    Put(tables_.tokens, token.token_hash, token, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<EnrolTokenRow> TakeEnrolToken(const Digest& token_hash, absl::Time now) override {
    const auto found = tables_.tokens.find(token_hash);
    if (found == tables_.tokens.end() || found->second.expires_at <= now) {
      return absl::NotFoundError("enrolment token: unknown, used or expired");
    }
    EnrolTokenRow token = std::move(found->second);
    tables_.tokens.erase(found);
    undo_.Add([this, token] { tables_.tokens.emplace(token.token_hash, token); });
    return token;
  }

  absl::Status PutAgents(absl::Span<const AgentRow> agents) override {
    for (const AgentRow& agent : agents) {
      const auto found = tables_.agents.find(agent.agent);
      if (found != tables_.agents.end() && found->second.tenant != agent.tenant) {
        return Spoil(absl::FailedPreconditionError(absl::StrCat("agent ", agent.agent.ToString(),
                                                                " belongs to tenant ", found->second.tenant,
                                                                ", not ", agent.tenant)));
      }
    }
    for (const AgentRow& agent : agents) Put(tables_.agents, agent.agent, agent, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<AgentRow> Agent(const AgentId& agent) override {
    const auto found = tables_.agents.find(agent);
    if (found == tables_.agents.end()) {
      return absl::NotFoundError(absl::StrCat("agent ", agent.ToString(), " is not known"));
    }
    return found->second;
  }

  absl::Status ForEachAgent(absl::FunctionRef<void(const AgentRow&)> visit) override {
    for (const auto& [id, agent] : tables_.agents) visit(agent);
    return absl::OkStatus();
  }

  absl::Status PutQuarantines(absl::Span<const QuarantineRow> rows) override {
    for (const QuarantineRow& row : rows) {
      const auto key = std::make_tuple(row.tenant, row.agent, row.digest);
      if (!tables_.quarantines.contains(key)) Put(tables_.quarantines, key, row, undo_);
    }
    return absl::OkStatus();
  }

  absl::Status ForEachQuarantine(absl::FunctionRef<void(const QuarantineRow&)> visit) override {
    for (const auto& [key, row] : tables_.quarantines) visit(row);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<bool>> RememberEvents(absl::Span<const EventKey> events,
                                                   absl::Time now) override {
    std::vector<bool> is_new;
    is_new.reserve(events.size());
    for (const EventKey& event : events) {
      const auto key = std::make_tuple(event.agent, event.boot_id, event.seq);
      is_new.push_back(!tables_.events.contains(key));
      if (is_new.back()) Put(tables_.events, key, now, undo_);
    }
    return is_new;
  }

  absl::Status ForEachEvent(absl::FunctionRef<void(const EventKey&)> visit) override {
    for (const auto& [key, at] : tables_.events)
      visit({std::get<0>(key), std::get<1>(key), std::get<2>(key)});
    return absl::OkStatus();
  }

  absl::Status ForgetEventsBefore(absl::Time cutoff) override {
    auto forgotten = std::make_shared<decltype(tables_.events)>();
    absl::erase_if(tables_.events, [&](const auto& event) {
      if (event.second >= cutoff) return false;
      forgotten->insert(event);
      return true;
    });
    undo_.Add([this, forgotten] { tables_.events.insert(forgotten->begin(), forgotten->end()); });
    return absl::OkStatus();
  }

  absl::StatusOr<RolloutId> InsertRelease(const ReleaseRow& row) override {
    const policy::Release& release = row.release;
    for (const auto& [key, other] : tables_.releases) {
      if (key == ReleaseKey(release.channel, release.serial) || other.release.digest == release.digest) {
        return absl::AlreadyExistsError(
            absl::StrCat("release ", key.first, "/", key.second, " has this serial or digest"));
      }
    }
    ReleaseRow stored = row;
    stored.rollout = ++tables_.last_rollout;
    Put(tables_.releases, {release.channel, release.serial}, stored, undo_);
    return stored.rollout;
  }

  absl::StatusOr<std::vector<ReleaseRow>> Releases() override {
    std::vector<ReleaseRow> rows;
    for (const auto& [key, row] : tables_.releases) rows.push_back(row);
    return rows;
  }

  absl::Status SetReleaseState(const std::string& channel, uint64_t serial, ReleaseState state) override {
    return ChangeRelease(channel, serial, [&](ReleaseRow& row) { row.state = state; });
  }

  absl::Status SetHealthyAge(const std::string& channel, uint64_t serial, absl::Duration age) override {
    return ChangeRelease(channel, serial, [&](ReleaseRow& row) { row.healthy_age = age; });
  }

  absl::Status PutArtifactChunk(const Digest& artifact, int64_t chunk, absl::string_view bytes) override {
    const auto key = std::make_pair(artifact, chunk);
    if (!tables_.chunks.contains(key)) Put(tables_.chunks, key, std::string(bytes), undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ArtifactChunk(const Digest& artifact, int64_t chunk) override {
    const auto found = tables_.chunks.find({artifact, chunk});
    if (found == tables_.chunks.end()) {
      return absl::NotFoundError(absl::StrCat("artifact ", artifact.ToString(), " has no chunk ", chunk));
    }
    return found->second;
  }

  absl::Status PutTrustDocument(const TrustDocumentRow& row) override {
    RETURN_IF_ERROR(CheckTrustDocument(row));
    std::vector<TrustDocumentRow>& versions = tables_.documents[row.name];
    const bool known = std::any_of(versions.begin(), versions.end(),
                                   [&](const TrustDocumentRow& one) { return one.sha256 == row.sha256; });
    if (!known) Append(versions, row, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<TrustDocumentRow> TrustDocument(const std::string& name,
                                                 const std::optional<Digest>& sha256) override {
    const auto versions = tables_.documents.find(name);
    if (versions != tables_.documents.end()) {
      for (auto one = versions->second.rbegin(); one != versions->second.rend(); ++one)
        if (!sha256.has_value() || one->sha256 == *sha256) return *one;
    }
    return absl::NotFoundError(absl::StrCat("trust document ", name, ": there is none"));
  }

  absl::Status InsertPlan(const PlanRow& row) override {
    std::vector<PlanRow>& history = tables_.plans[row.plan.tenant];
    const int64_t newest = history.empty() ? 0 : history.back().revision;
    if (row.revision != newest + 1) {
      return absl::AbortedError(absl::StrCat("plan of ", row.plan.tenant, ": revision ", row.revision,
                                             " does not follow ", newest, ", the newest"));
    }
    Append(history, row, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<PlanRow>> NewestPlans() override {
    std::vector<PlanRow> newest;
    for (const auto& [tenant, history] : tables_.plans) {
      if (!history.empty()) newest.push_back(history.back());
    }
    return newest;
  }

  absl::StatusOr<std::vector<PlanRow>> PlanHistory(const std::string& tenant) override {
    const auto found = tables_.plans.find(tenant);
    if (found == tables_.plans.end()) return std::vector<PlanRow>{};
    return std::vector<PlanRow>(found->second.rbegin(), found->second.rend());
  }

  absl::Status InsertConsent(const ConsentRow& row) override {
    const auto key = std::make_tuple(row.tenant, row.channel, row.serial, row.ring);
    if (tables_.consents.contains(key)) {
      return absl::AlreadyExistsError(
          absl::StrCat("consent: ", row.tenant, " decided on ", row.channel, "/", row.serial, " already"));
    }
    Put(tables_.consents, key, row, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ConsentRow>> Consents() override {
    std::vector<ConsentRow> rows;
    for (const auto& [key, row] : tables_.consents) rows.push_back(row);
    return rows;
  }

  absl::Status InsertAcknowledgement(const AcknowledgementRow& row) override {
    const auto key = std::make_tuple(row.tenant, row.channel, row.serial);
    if (tables_.acknowledgements.contains(key)) {
      return absl::AlreadyExistsError(absl::StrCat("acknowledgement: ", row.tenant, " acknowledged ",
                                                   row.channel, "/", row.serial, " already"));
    }
    Put(tables_.acknowledgements, key, row, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<AcknowledgementRow>> Acknowledgements() override {
    std::vector<AcknowledgementRow> rows;
    for (const auto& [key, row] : tables_.acknowledgements) rows.push_back(row);
    return rows;
  }

  absl::Status InsertSigned(const SignedRow& row) override {
    const auto key = std::make_tuple(row.tenant, row.kind, row.number);
    if (tables_.signed_documents.contains(key)) {
      return absl::AlreadyExistsError(
          absl::StrCat("signed document ", row.number, " of ", row.tenant, " is known"));
    }
    Put(tables_.signed_documents, key, row, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<SignedRow>> SignedDocuments(const std::string& tenant) override {
    std::vector<SignedRow> rows;
    for (const auto& [key, row] : tables_.signed_documents) {
      if (tenant.empty() || row.tenant == tenant) rows.push_back(row);
    }
    return rows;
  }

  absl::StatusOr<StageId> InsertStage(const StageRow& row) override {
    const auto key = std::make_tuple(row.tenant, row.channel, row.serial, row.ring);
    if (tables_.stage_ids.contains(key)) {
      return absl::AlreadyExistsError(
          absl::StrCat("stage ", row.tenant, "/", row.channel, "/", row.serial, "/", row.ring, " exists"));
    }
    StageRow stored = row;
    stored.stage = ++tables_.last_stage;
    Put(tables_.stage_ids, key, stored.stage, undo_);
    Put(tables_.stages, stored.stage, stored, undo_);
    return stored.stage;
  }

  absl::Status UpdateStages(absl::Span<const StageRow> rows) override {
    for (const StageRow& row : rows) {
      const auto found = tables_.stages.find(row.stage);
      if (found == tables_.stages.end()) {
        return Spoil(absl::NotFoundError(absl::StrCat("stage ", row.stage, " is not known")));
      }
      StageRow changed = row;
      const StageRow& before = found->second;
      changed.rollout = before.rollout;
      changed.tenant = before.tenant;
      changed.channel = before.channel;
      changed.serial = before.serial;
      changed.ring = before.ring;
      changed.created_at = before.created_at;
      Put(tables_.stages, row.stage, std::move(changed), undo_);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<StageRow>> Stages() override {
    std::vector<StageRow> rows;
    for (const auto& [id, row] : tables_.stages) rows.push_back(row);
    return rows;
  }

  absl::Status EnsureBrakes(absl::Span<const Scope> scopes) override {
    for (const Scope& scope : scopes) EnsureBrake(scope);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<BrakeRow>> LockBrakesShared(absl::Span<const Scope> scopes) override {
    std::vector<Scope> wanted(scopes.begin(), scopes.end());
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    std::vector<BrakeRow> rows;
    for (const Scope& scope : wanted) {
      const auto found = tables_.brakes.find(scope);
      if (found != tables_.brakes.end()) rows.push_back(found->second);
    }
    return rows;
  }

  absl::StatusOr<BrakeRow> LockBrake(const Scope& scope) override {
    EnsureBrake(scope);
    return tables_.brakes.at(scope);
  }

  absl::Status PutBrake(const BrakeRow& row) override {
    const auto found = tables_.brakes.find(row.scope);
    const int64_t stored = found == tables_.brakes.end() ? -1 : found->second.epoch;
    if (stored < 0 || row.epoch != stored + 1) {
      return absl::AbortedError(
          absl::StrCat("brake: epoch ", row.epoch, " does not follow the stored one, ", stored));
    }
    Put(tables_.brakes, row.scope, row, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<BrakeRow>> Brakes() override {
    std::vector<BrakeRow> rows;
    for (const auto& [scope, row] : tables_.brakes) rows.push_back(row);
    return rows;
  }

  absl::Status InsertExposures(absl::Span<const ExposureRow> rows) override {
    ExposureTable* table = nullptr;
    for (const ExposureRow& row : rows) {
      // Batches mostly hold one release: look the table up, and note its size, once per run of equal
      // releases.
      if (table == nullptr || &row == &rows.front() || row.channel != (&row)[-1].channel ||
          row.serial != (&row)[-1].serial) {
        table = &tables_.exposures[{row.channel, row.serial}];
        undo_.Add([table, size = table->rows.size()] { Truncate(*table, size); });
      }
      if (table->index.try_emplace({row.agent, row.bucket, row.tenant}, table->rows.size()).second) {
        table->rows.push_back(row);
      }
    }
    return absl::OkStatus();
  }

  absl::Status UpdateOutcomes(absl::Span<const OutcomeUpdate> updates) override {
    struct Before {
      ExposureTable* table;
      size_t index;
      bool activated;
      Outcome outcome;
      absl::Time outcome_at, deadline;
      BadMarks bad;
    };
    auto befores = std::make_shared<std::vector<Before>>();
    befores->reserve(updates.size());
    undo_.Add([befores] {
      for (auto before = befores->rbegin(); before != befores->rend(); ++before) {
        ExposureRow& row = before->table->rows[before->index];
        row.activated = before->activated;
        row.outcome = before->outcome;
        row.outcome_at = before->outcome_at;
        row.deadline = before->deadline;
        row.bad = before->bad;
      }
    });
    for (const OutcomeUpdate& update : updates) {
      const auto table = tables_.exposures.find({update.channel, update.serial});
      if (table == tables_.exposures.end()) return Spoil(UnknownExposure(update));
      const auto found = table->second.index.find({update.agent, update.bucket, update.tenant});
      if (found == table->second.index.end()) return Spoil(UnknownExposure(update));
      ExposureRow& row = table->second.rows[found->second];
      befores->push_back(
          {&table->second, found->second, row.activated, row.outcome, row.outcome_at, row.deadline, row.bad});
      row.activated = update.activated;
      row.outcome = update.outcome;
      row.outcome_at = update.outcome_at;
      row.deadline = update.deadline;
      row.bad = update.bad;
    }
    return absl::OkStatus();
  }

  absl::Status ForEachExposure(const std::string& channel, uint64_t serial,
                               absl::FunctionRef<void(const ExposureRow&)> visit) override {
    const auto table = tables_.exposures.find({channel, serial});
    if (table == tables_.exposures.end()) return absl::OkStatus();
    for (const ExposureRow& row : table->second.rows) visit(row);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ExposureRow>> ExposuresOf(
      const std::string& tenant, const AgentId& agent,
      absl::Span<const std::pair<std::string, uint64_t>> releases) override {
    std::vector<ExposureRow> rows;
    for (const auto& [channel, serial] : releases) {
      const auto table = tables_.exposures.find({channel, serial});
      if (table == tables_.exposures.end()) continue;
      for (const ExposureRow& row : table->second.rows) {
        if (row.tenant == tenant && row.agent == agent) rows.push_back(row);
      }
    }
    return rows;
  }

  absl::Status CountExposures(const std::string& channel, uint64_t serial,
                              absl::FunctionRef<void(const ExposureCount&)> visit) override {
    std::map<std::tuple<std::string, StageId, Outcome, bool>, ExposureCount> counts;
    const auto count = [&](const ExposureRow& row) {
      const auto [it, added] = counts.try_emplace(
          {row.tenant, row.stage, row.outcome, row.activated},
          ExposureCount{row.stage, row.outcome, row.activated, 0, row.outcome_at, row.exposed_at});
      ++it->second.exposures;
      it->second.first_outcome_at = std::min(it->second.first_outcome_at, row.outcome_at);
      it->second.last_exposed_at = std::max(it->second.last_exposed_at, row.exposed_at);
    };
    if (absl::Status status = ForEachExposure(channel, serial, count); !status.ok()) return status;
    for (const auto& [key, one] : counts) visit(one);
    return absl::OkStatus();
  }

  absl::Status PutEvidence(absl::Span<const EvidenceRow> rows) override {
    for (const EvidenceRow& row : rows) {
      const auto key = std::make_tuple(row.channel, row.serial, row.replica, row.health_channel, row.cell);
      const auto found = tables_.evidence.find(key);
      if (found == tables_.evidence.end() || found->second.version < row.version) {
        Put(tables_.evidence, key, row, undo_);
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<EvidenceRow>> Evidence(const std::string& channel, uint64_t serial) override {
    std::vector<EvidenceRow> rows;
    for (auto row = tables_.evidence.lower_bound({channel, serial, 0, policy::HealthChannel::kSilence, ""});
         row != tables_.evidence.end() && row->second.channel == channel && row->second.serial == serial;
         ++row) {
      rows.push_back(row->second);
    }
    return rows;
  }

  absl::Status PutBackground(absl::Span<const BackgroundRow> rows) override {
    for (const BackgroundRow& row : rows) {
      Put(tables_.background, std::make_pair(row.host_class, row.hour_of_week), row, undo_);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<BackgroundRow>> Background() override {
    std::vector<BackgroundRow> rows;
    for (const auto& [key, row] : tables_.background) rows.push_back(row);
    return rows;
  }

  absl::Status PutJudgement(const JudgementRow& row) override {
    const ReleaseKey key{row.channel, row.serial};
    JudgementRow stored = row;
    if (const auto found = tables_.judgements.find(key); found != tables_.judgements.end()) {
      stored.test = std::max(stored.test, found->second.test);
    }
    Put(tables_.judgements, key, std::move(stored), undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<JudgementRow>> Judgement(const std::string& channel,
                                                        uint64_t serial) override {
    const auto found = tables_.judgements.find({channel, serial});
    if (found == tables_.judgements.end()) return std::nullopt;
    return found->second;
  }

  absl::Status AppendEvidenceRecords(absl::Span<const EvidenceRecordRow> rows) override {
    for (const EvidenceRecordRow& row : rows) {
      const auto key = std::make_tuple(row.channel, row.serial, row.replica, row.seq);
      if (!tables_.evidence_records.contains(key)) Put(tables_.evidence_records, key, row, undo_);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<EvidenceRecordRow>> EvidenceRecords(const std::string& channel,
                                                                 uint64_t serial) override {
    std::vector<EvidenceRecordRow> rows;
    for (auto row = tables_.evidence_records.lower_bound({channel, serial, 0, 0});
         row != tables_.evidence_records.end() && row->second.channel == channel &&
         row->second.serial == serial;
         ++row) {
      rows.push_back(row->second);
    }
    return rows;
  }

  absl::StatusOr<DecisionId> AppendDecision(const DecisionRow& row) override {
    DecisionRow stored = row;
    stored.id = ++tables_.last_decision;
    Append(tables_.decisions, stored, undo_);
    return stored.id;
  }

  absl::StatusOr<std::vector<DecisionRow>> Decisions(const DecisionFilter& filter) override {
    return NewestFirst(tables_.decisions, filter.before, filter.limit, [&](const DecisionRow& row) {
      return (row.tenant.empty() || MatchesOrUnset(filter.tenant, row.tenant)) &&
             MatchesOrUnset(filter.channel, row.channel) && MatchesOrUnset(filter.serial, row.serial);
    });
  }

  absl::Status AppendAudit(const AuditRow& row) override {
    AuditRow stored = row;
    stored.id = ++tables_.last_audit;
    Append(tables_.audit, stored, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<AuditRow>> Audit(const AuditFilter& filter) override {
    return NewestFirst(tables_.audit, filter.before, filter.limit,
                       [&](const AuditRow& row) { return MatchesOrUnset(filter.tenant, row.tenant); });
  }

  absl::StatusOr<std::optional<RequestRow>> FindRequest(const std::string& request_id) override {
    const auto found = tables_.requests.find(request_id);
    if (found == tables_.requests.end()) return std::optional<RequestRow>();
    return std::optional<RequestRow>(found->second);
  }

  absl::Status PutRequest(const RequestRow& row) override {
    if (tables_.requests.contains(row.request_id)) {
      return absl::AlreadyExistsError(absl::StrCat("request ", row.request_id, " was answered before"));
    }
    Put(tables_.requests, row.request_id, row, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<std::string>> Setting(const std::string& name) override {
    const auto found = tables_.settings.find(name);
    if (found == tables_.settings.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }

  absl::Status PutSetting(const std::string& name, const std::string& value) override {
    Put(tables_.settings, name, value, undo_);
    return absl::OkStatus();
  }

  absl::StatusOr<uint32_t> NextReplicaEpoch(const std::string&, absl::Time) override {
    if (tables_.last_replica_epoch + 1 >= 1u << 24)
      return absl::ResourceExhaustedError("replica epochs: all used");
    return ++tables_.last_replica_epoch;
  }

  absl::StatusOr<int64_t> TakeLeaderEpoch(const std::string& replica, absl::Time) override {
    undo_.Add([this, before = tables_.leader] { tables_.leader = before; });
    tables_.leader = {tables_.leader.epoch + 1, replica, "", ""};
    return tables_.leader.epoch;
  }

  absl::Status PutLeaderContact(int64_t epoch, const std::string& address,
                                const std::string& secret) override {
    RETURN_IF_ERROR(CheckLeaderEpoch(epoch));
    undo_.Add([this, before = tables_.leader] { tables_.leader = before; });
    tables_.leader.address = address;
    tables_.leader.secret = secret;
    return absl::OkStatus();
  }

  absl::StatusOr<LeaderRow> Leader() override {
    if (tables_.leader.epoch == 0) return absl::NotFoundError("nobody ever led");
    return tables_.leader;
  }

  absl::Status CheckLeaderEpoch(int64_t epoch) override {
    if (epoch == tables_.leader.epoch) return absl::OkStatus();
    return absl::AbortedError(absl::StrCat("leader epoch ", epoch, " is over: ", tables_.leader.replica,
                                           " leads with epoch ", tables_.leader.epoch));
  }

 private:
  static void Truncate(ExposureTable& table, size_t size) {
    for (size_t i = size; i < table.rows.size(); ++i) {
      table.index.erase({table.rows[i].agent, table.rows[i].bucket, table.rows[i].tenant});
    }
    table.rows.resize(size);
  }

  static absl::Status UnknownExposure(const OutcomeUpdate& update) {
    return absl::NotFoundError(absl::StrCat("exposure of agent ", update.agent.ToString(), " to ",
                                            update.channel, "/", update.serial, " in bucket ", update.bucket,
                                            " is not known"));
  }

  absl::Status Spoil(absl::Status status) {
    spoilt_ = status;
    return status;
  }

  void EnsureBrake(const Scope& scope) {
    if (tables_.brakes.contains(scope)) return;
    BrakeRow none;
    none.scope = scope;
    Put(tables_.brakes, scope, std::move(none), undo_);
  }

  template <typename Change>
  absl::Status ChangeRelease(const std::string& channel, uint64_t serial, Change change) {
    const auto found = tables_.releases.find({channel, serial});
    if (found == tables_.releases.end()) {
      return absl::NotFoundError(absl::StrCat("release ", channel, "/", serial, " is not known"));
    }
    ReleaseRow changed = found->second;
    change(changed);
    Put(tables_.releases, found->first, std::move(changed), undo_);
    return absl::OkStatus();
  }

  Tables& tables_;
  UndoLog undo_;
  absl::Status spoilt_;
};

class MemoryStore final : public Store {
 public:
  absl::Status ReadWrite(absl::FunctionRef<absl::Status(Transaction&)> body) override {
    MutexLock lock(&mutex_);
    MemoryTransaction transaction(tables_);
    absl::Status status = body(transaction);
    if (status.ok()) status = transaction.spoilt();
    if (!status.ok()) transaction.RollBack();
    return status;
  }

  absl::Status Ping() override { return absl::OkStatus(); }

 private:
  Mutex mutex_;
  Tables tables_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Store> MakeMemoryStore() {
  return std::make_unique<MemoryStore>();
}

}  // namespace ringfence::storage
