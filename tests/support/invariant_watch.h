// Watches the invariants from outside: it sees what hosts live through and what the store commits, and
// believes neither the engine's counters nor its answers.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ringfence/plan/approval.h"
#include "tests/support/recording_store.h"

namespace ringfence::test {

// What the server heard of a host, as the harness knows it.
struct HeardHost {
  std::string tenant;
  policy::Labels labels;
  std::map<std::string, Digest> running;
  absl::Time last_heard = absl::InfinitePast();
  std::map<Digest, absl::Time> went_back;  // digests that the server durably knows it went back from
};

class InvariantWatch {
 public:
  struct Options {
    std::string internal_tenant;
    absl::Duration h = absl::Seconds(60);
  };
  explicit InvariantWatch(Options options) : options_(std::move(options)) {}

  // ---- what happens
  void Committed(const Changes& changes, absl::Time now);
  void Enrolled(const AgentId& agent, const std::string& tenant, const policy::Labels& labels);
  void Heard(const AgentId& agent, const policy::Labels& labels, const std::map<std::string, Digest>& running,
             absl::Time now);
  void WentBack(const AgentId& agent, const Digest& digest, absl::Time now);
  // What was heard but not written is forgotten with the process.
  void Crashed(absl::Time now);
  // The batch of a step was written: what was heard before it is durable.
  void Flushed();
  void Offered(const AgentId& agent, const Digest& digest, absl::Time now);
  void Granted(const AgentId& agent, const Digest& digest, absl::Time now);
  // Draws and their commit were not at one moment, or outcomes could not be written in between: what the rows
  // say of the budgets is late, and is not judged at the next commit of exposures.
  void BudgetsAreLate() { budgets_late_ = true; }
  // The clock of deadlines stood still for some time.
  void TimeWasGivenBack(absl::Time now) { deadlines_from_ = now; }

  // With RINGFENCE_TRACE set, prints what happens.
  static void Trace(absl::Time now, const std::string& what);

  // ---- what was found, oldest first
  const std::vector<std::string>& violations() const { return violations_; }

  // ---- the rows, as committed
  using ExposureKey = std::tuple<std::string, uint64_t, AgentId, uint64_t>;  // channel, serial, agent, bucket
  const std::map<ExposureKey, storage::ExposureRow>& exposures() const { return exposures_; }
  const std::map<StageId, storage::StageRow>& stages() const { return stages_; }
  const std::vector<storage::DecisionRow>& decisions() const { return decisions_; }
  const std::map<storage::Scope, storage::BrakeRow>& brakes() const { return brakes_; }
  const std::map<AgentId, HeardHost>& hosts() const { return hosts_; }
  const std::vector<storage::QuarantineRow>& quarantines() const { return quarantines_; }
  // Exposures of a release that were not `unused`.
  int64_t Exposed(const std::string& channel, uint64_t serial) const;
  int64_t Count(const std::string& channel, uint64_t serial, storage::Outcome outcome) const;

 private:
  void Found(absl::Time now, const std::string& what);
  void OnNewStage(const storage::StageRow& row, absl::Time now);
  void OnStage(const storage::StageRow& row, const Changes& changes, absl::Time now);
  void OnBrake(const storage::BrakeRow& row, const Changes& changes, absl::Time now);
  void OnExposure(const storage::ExposureRow& row, absl::Time now);
  void OnOutcome(const storage::OutcomeUpdate& update, absl::Time now);
  // The budgets that one exposure, just committed, was granted by.
  void CheckBudgets(const storage::ExposureRow& granted, absl::Time now);
  bool InternalPassed(const std::string& channel, uint64_t serial) const;
  bool StoppedFor(const std::string& tenant, const std::string& channel, uint64_t serial) const;
  bool RingPassed(const std::string& tenant, const std::string& channel, uint64_t serial,
                  const std::string& ring) const;
  bool Brakes(const storage::ExposureRow& row) const;
  // What of the plan's calendar, deny list, range, barriers and approvals forbids the exposure; empty:
  // nothing. Said a second time here, without the functions that the server uses.
  std::string Forbidden(const policy::Plan& plan, const policy::Ring& ring, const storage::ExposureRow& row,
                        const HeardHost& host, absl::Time now) const;
  // Did a person of the tenant say yes, signed or not, and nobody no?
  bool Consented(const storage::ExposureRow& row, const std::string& ring, absl::Time now) const;
  // The least age that a person of the tenant asked for, signed or not; nullopt: nobody did.
  std::optional<absl::Duration> AskedFor(const storage::StageRow& row, absl::Time now) const;

  const Options options_;
  std::vector<std::string> violations_;
  std::map<AgentId, HeardHost> hosts_;
  std::vector<std::pair<AgentId, Digest>> not_yet_durable_;
  bool budgets_late_ = false;
  absl::Time deadlines_from_ = absl::InfinitePast();

  std::map<std::string, storage::PlanRow> plans_;
  std::map<std::tuple<std::string, std::string, uint64_t, std::string>, bool> consents_;
  std::map<std::tuple<std::string, std::string, uint64_t, std::string>, absl::Duration> asked_for_;
  std::vector<plan::ApprovalStatement> said_;  // with signatures
  std::map<std::pair<std::string, uint64_t>, storage::ReleaseRow> releases_;
  std::map<StageId, storage::StageRow> stages_;
  std::map<storage::Scope, storage::BrakeRow> brakes_;
  std::map<ExposureKey, storage::ExposureRow> exposures_;
  // When the first probation of an exposure ends (after a restart: of those that are not confirmed, the
  // next), and which were ever confirmed. Who was bad then, and never confirmed, is known to be bad and not
  // unproven.
  std::map<ExposureKey, absl::Time> matures_at_;
  std::set<ExposureKey> once_confirmed_;
  std::vector<storage::DecisionRow> decisions_;
  std::vector<storage::QuarantineRow> quarantines_;
};

}  // namespace ringfence::test
