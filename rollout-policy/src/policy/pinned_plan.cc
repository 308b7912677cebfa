#include "ringfence/policy/pinned_plan.h"

#include <optional>
#include <set>

namespace ringfence::policy {
namespace {

// Why the ring may not have chosen the release yet, as far as the host can count; kNone: it may.
Reason ChoiceReason(const Plan& plan, const Labels& labels, const Release& release, const HostView& view) {
  const std::optional<int> ring = RingOf(plan, labels);
  const ChannelRule* rule = FindRule(plan, release.channel);
  if (!ring.has_value() || rule == nullptr) return Reason::kNone;  // the lasting part says so
  const Ring& mine = plan.rings[static_cast<size_t>(*ring)];
  std::set<uint64_t> newer;  // a release may be listed once for each platform
  for (const Milestone& other : view.published) {
    if (other.serial > release.serial) newer.insert(other.serial);
  }
  if (static_cast<int>(newer.size()) < EffectiveLag(mine, *rule)) return Reason::kNothingToLag;
  const absl::Duration wanted = EffectiveMinAge(plan, mine, release.channel, release.urgent, view.hastened);
  return view.age + kHostSlack < wanted ? Reason::kMinAge : Reason::kNone;
}

}  // namespace

Eligibility EvaluateOnHost(const Plan& plan, const Labels& labels, const Release& release,
                           const HostView& view) {
  Moment moment;
  moment.now = view.now;
  moment.consent = view.consent;
  moment.choice_reason = ChoiceReason(plan, labels, release, view);
  moment.ring_chose_it = moment.choice_reason == Reason::kNone;
  if (const ChannelRule* rule = FindRule(plan, release.channel); rule != nullptr) {
    if (const Milestone* first = BarrierBefore(*rule, view.published, view.running, release.serial))
      moment.barrier = std::string(first->version);
  }
  Eligibility answer = Evaluate(plan, labels, release, moment);
  // What the calendar, or the plan's validity, allowed a moment ago or allows in a moment is allowed.
  for (const absl::Duration slack : {-kHostSlack, kHostSlack}) {
    if (answer.reason != Reason::kWindow && answer.reason != Reason::kFrozen &&
        answer.reason != Reason::kBlackout && answer.reason != Reason::kPlanExpired) {
      break;
    }
    moment.now = view.now + slack;
    Eligibility then = Evaluate(plan, labels, release, moment);
    if (then.eligible()) return then;
  }
  return answer;
}

}  // namespace ringfence::policy
