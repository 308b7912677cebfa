// The group commit of exposures: nobody hears of a lease before its row is durable, and none is written past
// a brake (invariants 1 and 2).
#include <algorithm>
#include <map>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "ringfence/base/status_macros.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// Rows of one transaction. A halt waits for one transaction at most, and one of a thousand rows costs no more
// for each than a larger one.
constexpr size_t kMostRows = 1000;
// Outcomes of one transaction.
constexpr size_t kMostOutcomes = 5000;

}  // namespace

// What the rows of one stage share: a batch has a thousand rows and a few stages.
struct Engine::StageOfBatch {
  std::vector<storage::Scope> scopes;
  policy::Reason stopped_here = policy::Reason::kNone;  // by a brake that this process knows of
  bool stopped = false;  // by a brake in the store, or by one that could not be locked
};

absl::StatusOr<int> Engine::CommitOnce() {
  size_t waiting = 0;
  {
    MutexLock lock(&mu_);
    waiting = lease_queue_.size();
  }
  int committed = 0;
  absl::Status braked;
  do {
    braked = FlushBrakes();
    std::vector<PendingLease> batch;
    MutexLock commit(&commit_mu_);
    {
      MutexLock lock(&mu_);
      const size_t count = std::min(kMostRows, lease_queue_.size());
      const auto end = lease_queue_.begin() + static_cast<std::ptrdiff_t>(count);
      batch.assign(std::make_move_iterator(lease_queue_.begin()), std::make_move_iterator(end));
      lease_queue_.erase(lease_queue_.begin(), end);
    }
    if (batch.empty()) return committed;
    waiting -= std::min(waiting, batch.size());
    const absl::StatusOr<int> one = CommitBatch(std::move(batch));
    if (!one.ok()) return one.status();
    committed += *one;
  } while (waiting > 0);
  if (!braked.ok()) return braked;
  return committed;
}

absl::StatusOr<int> Engine::CommitBatch(std::vector<PendingLease> batch) {
  const absl::Time started = clock_->Now();
  std::vector<bool> allowed(batch.size()), exists(batch.size());
  std::vector<policy::Reason> refused(batch.size(), policy::Reason::kNone);
  uint32_t generation = 0;  // rises with every brake
  absl::flat_hash_map<StageId, StageOfBatch> stages;
  std::vector<storage::OutcomeUpdate> outcomes;
  std::vector<std::pair<Exposure*, ReleaseState*>> settled;
  bool something_to_write = false;
  // Outcomes go first, or in the same commit: the rows then show the budgets that these exposures were
  // granted by. Many of them go in transactions of their own, which hold no brake.
  absl::Status status;
  for (bool many = true; status.ok() && many;) {
    {
      MutexLock lock(&mu_);
      many = dirty_exposures_.size() > kMostOutcomes;
    }
    if (!many) break;
    const absl::StatusOr<size_t> written = WriteSomeOutcomes();
    status = written.status();
    many = written.ok() && *written > 0;
  }
  {
    MutexLock lock(&mu_);
    CollectOutcomes(outcomes, settled, kMostOutcomes);
    generation = generation_.load();
    for (size_t i = 0; i < batch.size(); ++i) {
      const storage::ExposureRow& row = batch[i].row;
      const auto [it, added] = stages.try_emplace(row.stage);
      StageOfBatch& stage = it->second;
      if (added) {
        stage.scopes = ScopesOf(row.tenant, row.channel, row.serial, row.ring);
        // It stops the batch even while it cannot be written.
        stage.stopped_here = BrakesOn(row.tenant, row.channel, row.serial, row.ring).reason();
        if (stage.stopped_here == policy::Reason::kNone)
          stage.stopped_here = StoppedBy(row.tenant, row.channel, row.serial, row.ring);
      }
      refused[i] = stage.stopped_here;
      if (refused[i] == policy::Reason::kNone) refused[i] = PlanRefuses(batch[i], started);
      something_to_write =
          something_to_write || refused[i] == policy::Reason::kNone || batch[i].exposure->in_doubt;
    }
  }
  std::vector<storage::Scope> scopes;
  for (const auto& [id, stage] : stages)
    scopes.insert(scopes.end(), stage.scopes.begin(), stage.scopes.end());
  std::sort(scopes.begin(), scopes.end());
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());

  absl::StatusOr<std::vector<storage::BrakeRow>> brakes;
  const auto write = [&](storage::Transaction& tx) -> absl::Status {
    brakes = tx.LockBrakesShared(scopes);
    if (!brakes.ok()) return brakes.status();
    std::map<storage::Scope, bool> stops;
    for (const storage::BrakeRow& brake : *brakes) stops[brake.scope] = brake.Stops();
    for (auto& [id, stage] : stages) {
      stage.stopped = std::any_of(stage.scopes.begin(), stage.scopes.end(), [&](const storage::Scope& scope) {
        const auto it = stops.find(scope);
        // A scope without a row cannot be locked, so a halt could slip by: refuse.
        return it == stops.end() || it->second;
      });
    }
    std::vector<storage::ExposureRow> rows;
    rows.reserve(batch.size());
    // In doubt and stopped since: it may not be written now, and counts if it was.
    std::map<std::pair<std::string, uint64_t>, std::map<std::pair<AgentId, uint64_t>, size_t>> doubted;
    for (size_t i = 0; i < batch.size(); ++i) {
      const storage::ExposureRow& row = batch[i].row;
      allowed[i] = refused[i] == policy::Reason::kNone && !stages[row.stage].stopped;
      exists[i] = false;
      if (allowed[i]) {
        rows.push_back(row);
      } else if (batch[i].exposure->in_doubt) {
        doubted[{row.channel, row.serial}][{row.agent, row.bucket}] = i;
      }
    }
    for (const auto& release : doubted) {
      const auto& keys = release.second;
      const absl::Status looked = tx.ForEachExposure(release.first.first, release.first.second,
                                                     [&](const storage::ExposureRow& known) {
                                                       const auto it = keys.find({known.agent, known.bucket});
                                                       if (it != keys.end()) exists[it->second] = true;
                                                     });
      if (!looked.ok()) return looked;
    }
    if (!outcomes.empty()) {
      if (const absl::Status updated = tx.UpdateOutcomes(outcomes); !updated.ok()) return updated;
    }
    return rows.empty() ? absl::OkStatus() : tx.InsertExposures(rows);
  };
  // Everyone stopped here: they are told so without asking the store.
  const bool writes = something_to_write || !outcomes.empty();
  if (status.ok() && writes) status = store_->ReadWrite(write);

  int committed = 0;
  std::vector<std::pair<LeaseDone, absl::StatusOr<LeaseReply>>> answers;
  {
    MutexLock lock(&mu_);
    if (status.ok() && brakes.ok()) TakeIn(*brakes);  // another replica may have stopped something
    if (!status.ok()) {
      for (const auto& [exposure, release] : settled) dirty_exposures_[exposure] = release;
    }
    for (size_t i = 0; i < batch.size(); ++i) {
      PendingLease& pending = batch[i];
      Exposure& exposure = *pending.exposure;
      ReleaseState& release = *pending.release;
      if (!status.ok()) {
        // Nobody is told to move. The row may exist: it stays in every count, and is written again until it
        // is known.
        exposure.in_doubt = exposure.in_doubt || absl::IsDeadlineExceeded(status);
        lease_queue_.push_back(std::move(pending));
        continue;
      }
      if (!allowed[i] && !exists[i]) {
        policy::Reason reason = refused[i];
        if (reason == policy::Reason::kNone) {
          reason = BrakesOn(pending.row.tenant, pending.row.channel, pending.row.serial, pending.row.ring)
                       .reason();
        }
        // Refused by the store alone: its brake is missing.
        if (reason == policy::Reason::kNone) reason = policy::Reason::kHalted;
        Forget(release, exposure);
        if (pending.done) answers.emplace_back(std::move(pending.done), NotNow(reason));
        continue;
      }
      exposure.committed = true;
      release.UpdateSeries(exposure);
      release.last_lease_at =
          std::max(release.last_lease_at.value_or(absl::InfinitePast()), exposure.exposed_at);
      ++committed;
      ++version_;
      // Stopped while it was written, or in doubt and now stopped: counted, but nobody is told.
      policy::Reason stopped = refused[i];
      if (!allowed[i] && stopped == policy::Reason::kNone) stopped = policy::Reason::kHalted;
      if (allowed[i] && generation != generation_.load()) {
        const auto& row = pending.row;
        stopped = BrakesOn(row.tenant, row.channel, row.serial, row.ring).reason();
        if (stopped == policy::Reason::kNone)
          stopped = StoppedBy(row.tenant, row.channel, row.serial, row.ring);
        if (stopped == policy::Reason::kNone && exposure.blocked) stopped = policy::Reason::kCohortBlocked;
      }
      if (stopped != policy::Reason::kNone) {
        if (pending.done) answers.emplace_back(std::move(pending.done), NotNow(stopped));
        continue;
      }
      if (pending.done) {
        LeaseReply reply;
        reply.granted = true;
        reply.ttl = options_.lease_ttl;
        reply.terms = TermsOf(exposure, release);
        answers.emplace_back(std::move(pending.done), reply);
        if (metrics_ != nullptr) metrics_->LeaseAnswer("granted");
      }
    }
    if (!status.ok()) {
      // Nor does anybody wait for a store that does not answer.
      for (PendingLease& pending : lease_queue_) {
        if (pending.done)
          answers.emplace_back(std::move(pending.done), absl::UnavailableError(status.message()));
        pending.done = nullptr;
      }
    }
    if (writes || !status.ok())
      database_down_ = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  }
  if (metrics_ != nullptr) metrics_->Committed(committed, clock_->Now() - started, status.ok());
  for (auto& [done, answer] : answers) done(std::move(answer));
  if (committed > 0) TellWatchers();
  if (!status.ok()) return status;
  return committed;
}

absl::StatusOr<size_t> Engine::WriteSomeOutcomes() {
  std::vector<storage::OutcomeUpdate> outcomes;
  std::vector<std::pair<Exposure*, ReleaseState*>> settled;
  {
    MutexLock lock(&mu_);
    CollectOutcomes(outcomes, settled, kMostOutcomes);
  }
  if (outcomes.empty()) return 0;
  const absl::Status status =
      store_->ReadWrite([&](storage::Transaction& tx) { return tx.UpdateOutcomes(outcomes); });
  if (status.ok()) return outcomes.size();
  MutexLock lock(&mu_);
  for (const auto& [exposure, release] : settled) dirty_exposures_[exposure] = release;
  return status;
}

absl::Status Engine::WriteOutcomes() {
  size_t written = 0;
  do {
    MutexLock commit(&commit_mu_);
    ASSIGN_OR_RETURN(written, WriteSomeOutcomes());
  } while (written == kMostOutcomes);
  return absl::OkStatus();
}

policy::Reason Engine::PlanRefuses(const PendingLease& pending, absl::Time now) {
  const Row row = fleet_.With(pending.exposure->host, [](Row& r) { return r; });
  LabelSet& set = label_sets_[row.label_set];
  const auto& plan = tenants_[set.tenant].plan;
  if (!plan.has_value() || set.ring < 0 ||
      plan->plan.rings[static_cast<size_t>(set.ring)].name != pending.row.ring) {
    return policy::Reason::kNoRing;
  }
  const policy::Release& release = pending.release->release();
  const policy::Reason lasting = Lasting(set, IndexOf(*pending.release));
  if (lasting != policy::Reason::kNone) return lasting;
  const policy::ChannelRule* rule = policy::FindRule(plan->plan, release.channel);
  if (BarrierBefore(*rule, running_sets_[row.running_set], release) != nullptr)
    return policy::Reason::kBarrier;
  if (pending.exposure->stage->plan_says != policy::Reason::kNone) return pending.exposure->stage->plan_says;
  if (pending.exposure->blocked) return policy::Reason::kCohortBlocked;
  return PassingReason(set.tenant, set.ring, release, now);
}

void Engine::Forget(ReleaseState& release, Exposure& exposure) {
  // Never committed, never told: it exposed nobody. Its spell stays (intention to treat).
  release.Uncount(exposure);
  --exposure.stage->by_outcome[static_cast<size_t>(exposure.outcome)];
  exposure.outcome = storage::Outcome::kUnused;
  exposure.in_probation = false;
  release.by_host.erase(exposure.host);
}

}  // namespace ringfence::app
