// One cohort at fault: it is blocked, and the others go on (docs/health-analysis.md, section 11).
#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/acts.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// As for the cell that the method points at: all bad hosts are in it, and hardly by chance.
constexpr double kClearlyWorse = 3.0;
constexpr int64_t kLeastBad = 2;

constexpr char kExcludeAct[] = "exclude";
constexpr char kUnblockAct[] = "unblock";

Request CohortRequest(const char* what, const std::string& channel, uint64_t serial,
                      const std::string& cohort) {
  HashInput wanted;
  wanted.String(channel).U64(serial).String(cohort);
  return RequestFor(what, wanted);
}

}  // namespace

bool Engine::AwaitsCell(ReleaseState& release, bool may_be_named, FleetNanos now) {
  // What is in flight matures within D, and its bucket is complete when its last control has.
  const FleetNanos longest = release.d + 2 * h_;
  if (may_be_named) {
    // Long after a wait nobody wanted to stop any more: what is seen now is news.
    const bool news = release.cell_awaited_until == 0 || now > release.cell_awaited_until + longest;
    if (news) release.cell_awaited_until = now + longest;
  }
  const bool waits = may_be_named && now < release.cell_awaited_until;
  // One judge that waits keeps everyone out, also when another, for one customer, does not.
  release.cell_awaited = release.cell_awaited || waits;
  return waits;
}

bool Engine::IsOfOneCell(const ReleaseState& release, const GateConfig& config,
                         const GateReading& reading) const {
  const policy::SloGates& gates = config.gates;
  absl::Duration length;
  switch (reading.gate) {
    case policy::GateKind::kCrash:
      if (gates.crash.has_value()) length = gates.crash->window;
      break;
    case policy::GateKind::kDegraded:
      if (gates.degraded.has_value()) length = gates.degraded->window;
      break;
    case policy::GateKind::kSilence:
      if (gates.silence.has_value()) length = gates.silence->window;
      break;
  }
  const auto window = release.windows.find({reading.gate, absl::ToInt64Nanoseconds(length)});
  if (window == release.windows.end() || window->second.all() < kLeastBad) return false;
  const auto bad = static_cast<double>(window->second.all());
  for (CellId cell = 0; cell < cells_.size() && cell < release.cells.size(); ++cell) {
    if (window->second.in(cell) != window->second.all()) continue;
    const int64_t in = release.cells[cell].exposed_now;
    const int64_t others = release.exposed - in;
    if (in == 0 || others < 1) continue;
    if (bad / static_cast<double>(in) <= kClearlyWorse * 0.5 / static_cast<double>(others + 1)) continue;
    const std::optional<policy::CellIndex> slot = release.judgement.SlotNamed(cells_.NameOf(cell));
    if (slot.has_value() && release.judgement.MayYetBeNamed(*slot)) return true;
  }
  return false;
}

void Engine::ReviewHalt(ReleaseState& release, const policy::StopState& before, absl::Time now) {
  ReleaseJudgement& judgement = release.judgement;
  record::ReviewEvidence looked;
  const policy::HaltReview review = judgement.Review(options_.internal_tenant, &looked);
  if (review.answer == policy::HaltAnswer::kHalt &&
      AwaitsCell(release, judgement.MayYetBeNamed().has_value(), FleetNow())) {
    return;
  }
  // As it was before anything is blocked.
  const std::string evidence = MethodEvidence(release, "test_r", before, std::move(looked));
  const double m_r = judgement.reading().m_r_in_order;
  BrakeChange change;
  change.scope = {"", release.release().channel, release.release().serial, ""};
  change.actor = "server";
  change.at = now;
  change.rule = "test_r";
  switch (review.answer) {
    case policy::HaltAnswer::kHalt: {
      const std::optional<policy::CellIndex> cell = judgement.Suspected(false);
      change.halted = true;
      change.reverting = true;
      change.reason =
          absl::StrFormat("M_R = %.4g reached %g: %s", m_r, policy::kHaltAt, judgement.InWords(cell));
      storage::DecisionRow decision = DecisionFor(release, "halt", change.rule, change.reason, now);
      decision.evidence = evidence;
      if (cell.has_value()) decision.cohort = judgement.NameOf(*cell);
      return Brake(change, std::move(decision));
    }
    case policy::HaltAnswer::kBlockGoOn:
      return BlockCell(release, review.cell,
                       absl::StrFormat("M_R = %.4g reached %g: %s; %.3g without them, so that others go on",
                                       m_r, policy::kHaltAt, judgement.InWords(review.cell), review.residual),
                       evidence, now);
    case policy::HaltAnswer::kBlockHold:
    case policy::HaltAnswer::kBlockTenantHold:
      break;
  }
  // One customer must not stop everybody, nor may it be overlooked: a person looks.
  const bool tenant = review.answer == policy::HaltAnswer::kBlockTenantHold;
  const std::string words = judgement.InWords(review.cell);
  BlockCell(release, review.cell,
            absl::StrFormat("M_R = %.4g reached %g: %s; %.3g without them", m_r, policy::kHaltAt, words,
                            review.residual),
            evidence, now);
  const auto brake = brakes_.find(change.scope);
  if (brake != brakes_.end() && brake->second.held) return;
  change.held = true;
  change.hold_revert_at = now + UndecidedFor(change.scope);
  change.reason = absl::StrFormat("M_R = %.4g reached %g, and is %.3g without %s", m_r, policy::kHaltAt,
                                  review.residual, tenant ? "the hosts of one customer" : "one cohort");
  change.rule = "test_r_review";
  storage::DecisionRow decision = DecisionFor(release, "hold", change.rule, change.reason, now);
  decision.evidence = evidence;
  if (!tenant) decision.cohort = judgement.NameOf(review.cell);
  Brake(change, std::move(decision));
}

void Engine::BlockCell(ReleaseState& release, policy::CellIndex cell, const std::string& why,
                       const std::string& evidence, absl::Time now) {
  storage::DecisionRow decision = DecisionFor(release, "block", "test_r", why, now);
  decision.evidence = evidence;
  decision.cohort = release.judgement.NameOf(cell);
  // A customer's trouble is that customer's and the vendor's to read.
  for (const Tenant& tenant : tenants_) {
    if (decision.cohort == CellOfTenant(tenant.name)) decision.tenant = tenant.name;
  }
  release.judgement.Block(cell);
  release.cell_awaited_until = 0;
  TakeOutBlocked(release);
  if (metrics_ != nullptr) metrics_->Decision(decision.action, decision.rule);
  new_decisions_.push_back(std::move(decision));
  Changed();
}

// ---- by people

int64_t Engine::TakeOutBlocked(ReleaseState& release) {
  int64_t taken = 0;
  for (Exposure& exposure : release.exposures) {
    const bool was = exposure.blocked;
    TakeOutIfBlocked(release, exposure);
    if (!was && exposure.blocked && exposure.standing != policy::Standing::kFree && !exposure.left) ++taken;
  }
  return taken;
}

void Engine::TakeOutIfBlocked(ReleaseState& release, Exposure& exposure) {
  if (exposure.blocked) return;
  const ReleaseJudgement& judgement = release.judgement;
  const bool blocked = exposure.place != nullptr ? IsBlocked(release, exposure.host, *exposure.place)
                                                 : judgement.IsBlocked(judgement.CellsOf(exposure.host));
  if (!blocked) return;
  exposure.blocked = true;
  exposure.revert_ordered = false;
  release.RemoveBad(exposure.host);
}

std::string Engine::BlockedCohort(ReleaseState& release, HostRef host, const Place& place) {
  if (!IsBlocked(release, host, place)) return "";
  for (const CellId cell : release.excluded) {
    if (std::find(place.cells.begin(), place.cells.end(), cell) != place.cells.end()) {
      return cells_.NameOf(cell);
    }
  }
  return release.judgement.BlockedOf(host);
}

std::vector<std::string> Engine::BlockedCohorts(const ReleaseState& release) {
  std::vector<std::string> cohorts = release.judgement.blocked();
  for (const std::string& cohort : release.judgement.excluded()) {
    if (std::find(cohorts.begin(), cohorts.end(), cohort) == cohorts.end()) cohorts.push_back(cohort);
  }
  return cohorts;
}

void Engine::SeeExcluded(ReleaseState& release) {
  release.excluded.clear();
  bool unseen = false;
  for (const std::string& cohort : release.judgement.excluded()) {
    release.excluded.push_back(cells_.Intern(cohort));
    const std::string key = cohort.substr(0, cohort.find('='));
    unseen = unseen || std::find(cohort_keys_.begin(), cohort_keys_.end(), key) == cohort_keys_.end();
  }
  if (unseen) PlansChanged();
  TakeOutBlocked(release);
}

absl::StatusOr<std::optional<CohortReply>> Engine::BeginCohortAct(const Act& act, const char* what,
                                                                  const std::string& channel, uint64_t serial,
                                                                  const std::string& cohort) {
  RETURN_IF_ERROR(MayBrake(act, {"", channel, serial, ""}, /*needs_release=*/true));
  if (!act.actor.IsVendor()) {
    return absl::PermissionDeniedError("only the vendor's people keep a release from a cohort");
  }
  std::optional<storage::RequestRow> known;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(known, Answered(tx, act, CohortRequest(what, channel, serial, cohort)));
    return absl::OkStatus();
  }));
  MutexLock lock(&mu_);
  ReleaseState* release = FindRelease(channel, serial);
  if (!release->live) {
    return absl::FailedPreconditionError("the release is not watched any more: newer ones took its place");
  }
  if (!known.has_value()) return std::optional<CohortReply>();
  CohortReply reply;
  reply.blocked = BlockedCohorts(*release);
  if (!absl::SimpleAtoi(known->response, &reply.hosts)) reply.hosts = 0;
  return std::optional<CohortReply>(reply);
}

absl::Status Engine::WriteCohortAct(const Act& act, const char* what, const storage::JudgementRow& row,
                                    const std::string& cohort, const std::vector<std::string>& before,
                                    const CohortReply& reply, storage::DecisionRow decision) {
  decision.rule = "operator";
  decision.actor = act.actor.person;
  decision.cohort = cohort;
  if (IsTenantCell(cohort)) decision.tenant = cohort.substr(cohort.find(' ') + 1);
  storage::AuditRow audit = AuditOf(act, decision.at, absl::StrCat("rollout.", what),
                                    absl::StrCat(row.channel, "/", row.serial, " ", cohort));
  audit.tenant = decision.tenant;
  audit.before = absl::StrCat("kept from: ", absl::StrJoin(before, ", "));
  audit.after = absl::StrCat("kept from: ", absl::StrJoin(reply.blocked, ", "));
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    const Request request = CohortRequest(what, row.channel, row.serial, cohort);
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, request));
    if (known.has_value()) return absl::OkStatus();
    RETURN_IF_ERROR(tx.PutJudgement(row));
    RETURN_IF_ERROR(tx.AppendDecision(decision).status());
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, decision.at, absl::StrCat(reply.hosts));
  }));
  if (metrics_ != nullptr) metrics_->Decision(decision.action, decision.rule);
  return absl::OkStatus();
}

absl::StatusOr<CohortReply> Engine::ExcludeCohort(const Act& act, const std::string& channel, uint64_t serial,
                                                  const std::string& cohort) {
  const size_t equals = cohort.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == cohort.size() ||
      !policy::Labels::Make({{cohort.substr(0, equals), cohort.substr(equals + 1)}}).ok()) {
    return absl::InvalidArgumentError(absl::StrCat("cohort: \"", cohort, "\" is no label; wanted key=value"));
  }
  MutexLock one_at_a_time(&step_mu_);
  const absl::StatusOr<std::optional<CohortReply>> known =
      BeginCohortAct(act, kExcludeAct, channel, serial, cohort);
  if (!known.ok()) return known.status();
  if (known->has_value()) return **known;
  CohortReply reply;
  storage::JudgementRow row;
  storage::DecisionRow decision;
  std::vector<std::string> before;
  {
    MutexLock lock(&mu_);
    ReleaseState& release = *FindRelease(channel, serial);
    before = BlockedCohorts(release);
    const std::vector<std::string>& excluded = release.judgement.excluded();
    if (std::find(excluded.begin(), excluded.end(), cohort) != excluded.end()) {
      return absl::FailedPreconditionError(absl::StrCat("cohort: \"", cohort, "\" is excluded already"));
    }
    // Memory first: no lease to such a host from here on, and if the store does not answer, the next step
    // writes it.
    StartJudgement(release);
    release.judgement.Exclude(cohort);
    release.cell_awaited_until = 0;
    const int64_t blocked_before = std::count_if(release.exposures.begin(), release.exposures.end(),
                                                 [](const Exposure& exposure) { return exposure.blocked; });
    SeeExcluded(release);
    reply.hosts = std::count_if(release.exposures.begin(), release.exposures.end(),
                                [](const Exposure& exposure) { return exposure.blocked; }) -
                  blocked_before;
    reply.blocked = BlockedCohorts(release);
    row = release.judgement.row();
    decision = DecisionFor(release, kExcludeAct, "operator", act.reason, clock_->Now());
    Changed();
  }
  row.channel = channel;
  row.serial = serial;
  const absl::Status status =
      WriteCohortAct(act, kExcludeAct, row, cohort, before, reply, std::move(decision));
  TellWatchers();
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(
        "excluded here only: the database does not answer; repeat the call, so that it is on record");
  }
  RETURN_IF_ERROR(status);
  return reply;
}

absl::StatusOr<CohortReply> Engine::UnblockCohort(const Act& act, const std::string& channel, uint64_t serial,
                                                  const std::string& cohort) {
  MutexLock one_at_a_time(&step_mu_);
  const absl::StatusOr<std::optional<CohortReply>> known =
      BeginCohortAct(act, kUnblockAct, channel, serial, cohort);
  if (!known.ok()) return known.status();
  if (known->has_value()) return **known;
  CohortReply reply;
  storage::JudgementRow row;
  storage::DecisionRow decision;
  std::vector<std::string> before;
  const absl::Time now = clock_->Now();
  {
    MutexLock lock(&mu_);
    const ReleaseState& release = *FindRelease(channel, serial);
    before = reply.blocked = BlockedCohorts(release);
    if (std::erase(reply.blocked, cohort) == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("cohort: the release is not kept from \"", cohort, "\""));
    }
    row = release.judgement.row();
    decision = DecisionFor(release, kUnblockAct, "operator", act.reason, now);
  }
  std::erase(row.excluded, cohort);
  std::erase(row.blocked, cohort);
  row.unblocked.push_back({cohort, now});
  row.channel = channel;
  row.serial = serial;
  // The store first: nobody is let in before it is durable who said so.
  RETURN_IF_ERROR(WriteCohortAct(act, kUnblockAct, row, cohort, before, reply, std::move(decision)));
  {
    MutexLock lock(&mu_);
    ReleaseState& release = *FindRelease(channel, serial);
    release.judgement.Unblock(cohort, now);
    SeeExcluded(release);
    for (Exposure& exposure : release.exposures) {
      if (!exposure.blocked || exposure.place == nullptr) continue;
      if (IsBlocked(release, exposure.host, *exposure.place)) continue;
      exposure.blocked = false;
      exposure.revert_ordered = false;
      if (exposure.standing != policy::Standing::kFree && !exposure.left) ++reply.hosts;
    }
    Changed();
  }
  TellWatchers();
  return reply;
}

}  // namespace ringfence::app
