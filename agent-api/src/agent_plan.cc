// Where the agent asks its pinned plan: when offers come, and before it activates one.
#include "absl/strings/str_cat.h"
#include "ringfence/agent/agent.h"

namespace ringfence::agent {

void Agent::Refused(const Directive& offer, const PlanGuard::Verdict& verdict) {
  if (!verdict.report) return;
  options_.log(absl::StrCat("refused ", offer.channel, " ", offer.version,
                            " by the pinned plan: ", verdict.reason, ": ", verdict.detail));
  follow_ups_.push_back(
      Reported{EventKind::kPlanRefused, offer.channel, offer.digest, verdict.reason, verdict.detail});
}

// What was only downloaded may be dropped at any time; what runs, or is about to, goes back as far as the
// plan lets an order take it.
bool Agent::MayGoBack(const Directive& order) {
  const ChannelState* state = machine_.Find(order.channel);
  if (state == nullptr) return true;
  const bool flipping = state->phase == Phase::kActivating && state->candidate.digest == order.digest;
  if (!flipping && state->running != order.digest) return true;
  const PlanGuard::Verdict verdict = options_.plan_guard->JudgeOrderBack(
      order.channel, order.digest, flipping ? state->running : state->previous);
  if (!verdict.allowed) Refused(order, verdict);
  return verdict.allowed;
}

void Agent::ObeyPlan(CheckedIn* heard) {
  if (options_.plan_guard == nullptr) return;
  PlanGuard& guard = *options_.plan_guard;
  std::vector<Directive> allowed;
  for (Directive& directive : heard->reply.directives) {
    const bool offers =
        directive.kind == DirectiveKind::kPrefetch || directive.kind == DirectiveKind::kRequestLease;
    if (offers) {
      const PlanGuard::Verdict verdict =
          guard.Judge(directive, machine_.agent(), machine_.labels(), AttestedIn(directive.channel));
      if (!verdict.allowed) {
        Refused(directive, verdict);
        continue;
      }
    }
    if (directive.kind == DirectiveKind::kRevert && !MayGoBack(directive)) continue;
    allowed.push_back(std::move(directive));
  }
  heard->reply.directives = std::move(allowed);
  if (const auto fork = guard.TakeFork()) Refused(Directive{}, *fork);
  FetchPlanWhenDue();
}

void Agent::FetchPlanWhenDue() {
  PlanGuard& guard = *options_.plan_guard;
  if (!guard.FetchDue()) return;
  refresh_at_ = absl::InfinitePast();  // and for newer metadata
  {
    MutexLock lock(&mutex_);
    if (asking_for_plan_) return;
    asking_for_plan_ = true;
  }
  client_.FetchPlan({machine_.agent(), machine_.secret()}, guard.next_version(), guard.next_seq(),
                    [this](absl::StatusOr<std::vector<std::string>> envelopes) {
                      MutexLock lock(&mutex_);
                      asking_for_plan_ = false;
                      if (!envelopes.ok()) return;  // asked again at the next check-in
                      plans_.push_back(*std::move(envelopes));
                      wake_.notify_one();
                    });
}

std::optional<HeldPlan> Agent::ShowHeldPlan() const {
  if (options_.plan_guard == nullptr) return std::nullopt;
  std::optional<HeldPlan> held = options_.plan_guard->Held(machine_.agent(), machine_.labels());
  if (options_.guard != nullptr) options_.guard->SetPlan(held);
  return held;
}

// Without waiting for the next check-in, which then asks for permission again, by the plan that came.
void Agent::AskForPlanOf(const Leased& refused) {
  const ChannelState* state = machine_.Find(refused.channel);
  if (options_.plan_guard == nullptr || state == nullptr) return;
  Refused(state->candidate, options_.plan_guard->RefusedLease(state->candidate, refused.reply.reason));
  FetchPlanWhenDue();
}

void Agent::TellGuard() {
  if (options_.plan_guard == nullptr || options_.verifier == nullptr) return;
  for (auto& [channel, releases] : options_.verifier->Listings())
    options_.plan_guard->Knows(channel, std::move(releases));
}

void Agent::TakePlans() {
  std::vector<std::vector<std::string>> plans;
  {
    MutexLock lock(&mutex_);
    plans.swap(plans_);
  }
  for (const std::vector<std::string>& envelopes : plans) {
    if (options_.plan_guard->TakeIn(envelopes) > 0) options_.log(options_.plan_guard->Describe());
  }
}

bool Agent::PlanAllows(const Activate& activate) {
  if (options_.plan_guard == nullptr) return true;
  const ChannelState* state = machine_.Find(activate.channel);
  if (state == nullptr || state->candidate.digest != activate.digest) return false;
  const PlanGuard::Verdict verdict = options_.plan_guard->Judge(
      state->candidate, machine_.agent(), machine_.labels(), AttestedIn(activate.channel));
  if (!verdict.allowed) Refused(state->candidate, verdict);
  return verdict.allowed;
}

}  // namespace ringfence::agent
