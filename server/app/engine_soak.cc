// Harm that comes late: soak spells with phantoms, and hosts that are about to leave what a release was
// tested on (docs/health-analysis.md, section 10).
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/host_eligibility.h"
#include "ringfence/policy/judge/pacing.h"
#include "ringfence/policy/pending.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

constexpr FleetNanos kGapIntervals = 5;  // so many without a check-in are an event of the soak

// By the share of all hosts that the release can reach, for evidence is pooled over rings and customers.
// Early phantoms cost nothing, since the governor lets few hosts in anyway; late ones would wait S for
// evidence of next to nothing. At most a quarter of a ring waits, for a wave may pass on the others. Rings in
// which one host goes first are too small to spare any.
policy::PhantomPlan StagePhantoms() {
  policy::PhantomPlan plan;
  plan.steps = {{0.01, 20.0}, {0.05, 4.0}, {0.25, 0.25}, {1.0, 0.0}};
  plan.lock_max = 0.25;
  plan.least_members = 51;
  return plan;
}

constexpr char kPendingRule[] = "pending_not_qualified";

}  // namespace

void Engine::SetSoakTiming(ReleaseState& release) const {
  const bool sensor = release.release().kind == policy::ChannelKind::kSensor;
  const absl::Duration soak = sensor ? options_.sensor_soak : options_.content_soak;
  const absl::Duration away = sensor ? options_.sensor_downtime : absl::ZeroDuration();
  release.soaks.SetTiming(absl::ToInt64Nanoseconds(soak),
                          kGapIntervals * h_ + absl::ToInt64Nanoseconds(away));
}

policy::Bucket Engine::NextBucket(const Stage& stage, int64_t tokens, int64_t forecast) const {
  static const policy::PhantomPlan phantoms = StagePhantoms();
  const ReleaseState& release = *stage.release;
  const int64_t waiting = release.soaks.WaitingIn(&stage);
  const double pi_max = policy::PiMaxOf(stage.budget.healthy, stage.row.members - waiting);
  double per_t = 0.0;
  if (stage.row.state == policy::StageState::kOpen) {  // late joiners are let in without more ado
    per_t = std::min(phantoms.PerT(release.exposed, std::max(release.reach, stage.row.members), 0),
                     phantoms.MostPerT(stage.row.members, waiting, tokens));
  }
  return policy::Bucket(tokens, static_cast<double>(forecast), per_t, pi_max);
}

void Engine::WatchSoaks(ReleaseState& release, FleetNanos now) {
  if (release.soaks.open() == 0) return;
  release.soaks.Advance(
      now, {[&](HostRef host) { return fleet_.With(host, [](Row& row) { return row.last_seen; }); },
            [&](HostRef host) {
              release.judgement.SoakBad(host, policy::HealthChannel::kSilenceSoak,
                                        release.soaks.WaitsUntil(host) == 0);
            },
            [&](HostRef host, Stage* waited_in) {
              release.judgement.EndSoak(host);
              if (waited_in == nullptr) return;
              // It asks again, and is expected to.
              const bool heard = fleet_.With(host, [](Row& row) {
                row.recheck_at = 0;
                return !row.silent && !row.deleted;
              });
              if (heard) waited_in->askers[host] = {now, 0, true};
            }});
}

void Engine::CrashedInSoak(HostRef host) {
  for (const auto& release : releases_) {
    if (!release->live || !release->judgement.HasOpenSoak(host)) continue;
    release->judgement.SoakBad(host, policy::HealthChannel::kCrashSoak, release->soaks.WaitsUntil(host) == 0);
  }
}

bool Engine::MustLeave(ReleaseState& release, const Exposure* exposure, const LabelSet& set) {
  const std::string leaving = policy::AboutToLeave(release.release(), set.labels);
  if (leaving.empty()) return false;
  // The first ring of a plan that says so tries platforms that were not tested.
  const auto& plan = tenants_[set.tenant].plan;
  if (plan.has_value() && set.ring >= 0 &&
      policy::MayTryPlatform(plan->plan, set.ring, release.release(), policy::OncePending(set.labels)))
    return false;
  // A way back that is no better covered is none.
  if (exposure != nullptr) {
    const auto back = release_by_digest_.find(exposure->previous);
    if (back != release_by_digest_.end() &&
        !policy::IsQualified(releases_[back->second]->release(), policy::OncePending(set.labels)))
      return false;
  }
  if (release.pending_named.insert(leaving).second) {
    storage::DecisionRow decision =
        DecisionFor(release, "block", kPendingRule,
                    absl::StrCat("hosts are about to have ", leaving,
                                 ", which the release was not qualified on: each goes back before"),
                    clock_->Now());
    decision.cohort = leaving;
    if (metrics_ != nullptr) metrics_->Decision(decision.action, decision.rule);
    new_decisions_.push_back(std::move(decision));
    ++version_;
  }
  return true;
}

absl::Status Engine::RestorePendingNamed(ReleaseState& release, storage::Transaction& tx) {
  storage::DecisionFilter filter;
  filter.channel = release.release().channel;
  filter.serial = release.release().serial;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::DecisionRow> rows, tx.Decisions(filter));
    for (const storage::DecisionRow& row : rows) {
      if (row.rule == kPendingRule) release.pending_named.insert(row.cohort);
    }
    if (static_cast<int>(rows.size()) < filter.limit) return absl::OkStatus();
    filter.before = rows.back().id;
  }
}

}  // namespace ringfence::app
