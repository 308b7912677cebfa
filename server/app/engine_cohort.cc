// One cohort at fault: it is blocked, and the others go on (docs/health-analysis.md, section 11).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// As for the cell that the method points at: all bad hosts are in it, and hardly by chance.
constexpr double kClearlyWorse = 3.0;
constexpr int64_t kLeastBad = 2;

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
  const policy::HaltReview review = judgement.Review(options_.internal_tenant);
  if (review.answer == policy::HaltAnswer::kHalt &&
      AwaitsCell(release, judgement.MayYetBeNamed().has_value(), FleetNow())) {
    return;
  }
  // As it was before anything is blocked.
  const std::string evidence = MethodEvidence(release, "test_r", before);
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
  for (Exposure& exposure : release.exposures) {
    if (exposure.blocked || !release.judgement.IsBlocked(release.judgement.CellsOf(exposure.host))) continue;
    exposure.blocked = true;
    exposure.revert_ordered = false;
    release.RemoveBad(exposure.host);
  }
  if (metrics_ != nullptr) metrics_->Decision(decision.action, decision.rule);
  new_decisions_.push_back(std::move(decision));
  Changed();
}

}  // namespace ringfence::app
