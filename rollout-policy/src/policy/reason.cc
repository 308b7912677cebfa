#include "ringfence/policy/reason.h"

namespace ringfence::policy {

const char* Name(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "none";
    case Reason::kNoRing:
      return "no_ring";
    case Reason::kChannelNotInPlan:
      return "channel_not_in_plan";
    case Reason::kChannelPaused:
      return "channel_paused";
    case Reason::kPinned:
      return "pinned";
    case Reason::kNothingToLag:
      return "nothing_to_lag";
    case Reason::kInternalNotPassed:
      return "internal_not_passed";
    case Reason::kEarlierRingNotPassed:
      return "earlier_ring_not_passed";
    case Reason::kMinAge:
      return "min_age";
    case Reason::kFinishingOther:
      return "finishing_other";
    case Reason::kNotTargeted:
      return "not_targeted";
    case Reason::kNotQualified:
      return "not_qualified";
    case Reason::kQuarantined:
      return "quarantined";
    case Reason::kAlreadyRunning:
      return "already_running";
    case Reason::kTenantPaused:
      return "tenant_paused";
    case Reason::kVendorPaused:
      return "vendor_paused";
    case Reason::kHeld:
      return "held";
    case Reason::kHalted:
      return "halted";
    case Reason::kRecalled:
      return "recalled";
    case Reason::kWaveFull:
      return "wave_full";
    case Reason::kNotDrawn:
      return "not_drawn";
    case Reason::kBudget:
      return "budget";
    case Reason::kCohortBudget:
      return "cohort_budget";
    case Reason::kRate:
      return "rate";
    case Reason::kNotStaged:
      return "not_staged";
    case Reason::kStageWaiting:
      return "stage_waiting";
    case Reason::kBlind:
      return "blind";
    case Reason::kReverting:
      return "reverting";
    case Reason::kNoRelease:
      return "no_release";
    case Reason::kVersionRange:
      return "version_range";
    case Reason::kDenied:
      return "denied";
    case Reason::kFrozen:
      return "frozen";
    case Reason::kBlackout:
      return "blackout";
    case Reason::kWindow:
      return "window";
    case Reason::kApproval:
      return "approval";
    case Reason::kBarrier:
      return "barrier";
    case Reason::kCohortBlocked:
      return "cohort_blocked";
    case Reason::kOtherPlan:
      return "other_plan";
    case Reason::kUncoveredCohorts:
      return "uncovered_cohorts";
    case Reason::kPlanExpired:
      return "plan_expired";
  }
  return "unknown";
}

const char* Sentence(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "Nothing stands in the way.";
    case Reason::kNoRing:
      return "The host matches no ring of its plan.";
    case Reason::kChannelNotInPlan:
      return "The plan has no rule for this channel.";
    case Reason::kChannelPaused:
      return "The plan pauses this channel.";
    case Reason::kPinned:
      return "The plan pins this channel to another version.";
    case Reason::kNothingToLag:
      return "Fewer releases than the ring's lag asks for have come this far; the host keeps what it runs.";
    case Reason::kInternalNotPassed:
      return "The vendor's own fleet has not passed this release yet.";
    case Reason::kEarlierRingNotPassed:
      return "An earlier ring of the plan has not passed this release yet.";
    case Reason::kMinAge:
      return "The release is younger than the ring's minimum age, counted in healthy time.";
    case Reason::kFinishingOther:
      return "The host's ring works on another release.";
    case Reason::kNotTargeted:
      return "The release is not meant for hosts with these labels.";
    case Reason::kNotQualified:
      return "The release was not qualified on the host's platform.";
    case Reason::kQuarantined:
      return "The host went back from these very bytes before; it never gets them again.";
    case Reason::kAlreadyRunning:
      return "The host runs this release already.";
    case Reason::kTenantPaused:
      return "The customer's operator paused it.";
    case Reason::kVendorPaused:
      return "The vendor's operator paused it.";
    case Reason::kHeld:
      return "The server stopped it and waits for a person to look.";
    case Reason::kHalted:
      return "It was halted for safety; only two persons can let it go on.";
    case Reason::kRecalled:
      return "The release was withdrawn for good.";
    case Reason::kWaveFull:
      return "The open wave has let in as many hosts as it may.";
    case Reason::kNotDrawn:
      return "The host is a control of the current minute and may ask again soon.";
    case Reason::kBudget:
      return "As many hosts as allowed run the release without having proven healthy yet.";
    case Reason::kCohortBudget:
      return "As many hosts as allowed with one of the host's label values have not proven healthy yet.";
    case Reason::kRate:
      return "The plan's number of hosts per minute is used up.";
    case Reason::kNotStaged:
      return "The host has not downloaded and verified the release yet.";
    case Reason::kStageWaiting:
      return "The first wave of the host's ring is not open yet.";
    case Reason::kBlind:
      return "The server cannot hear the fleet or cannot write, so it lets nobody in.";
    case Reason::kReverting:
      return "The host is ordered back to its last known good release.";
    case Reason::kNoRelease:
      return "Nothing was published in this channel.";
    case Reason::kVersionRange:
      return "The release is outside the versions that the plan follows.";
    case Reason::kDenied:
      return "The customer denies this release.";
    case Reason::kFrozen:
      return "A freeze of the plan is on.";
    case Reason::kBlackout:
      return "Today is a blackout date of the plan.";
    case Reason::kWindow:
      return "The ring's next maintenance window is not open yet.";
    case Reason::kApproval:
      return "The release waits for the approval of a person of the customer.";
    case Reason::kBarrier:
      return "Another release must come first.";
    case Reason::kCohortBlocked:
      return "The release harms hosts that share one of the host's label values, and is blocked for them.";
    case Reason::kOtherPlan:
      return "The host holds another signed plan than the one in force here; it fetches the plan first.";
    case Reason::kUncoveredCohorts:
      return "The ring has kinds of hosts that no earlier ring has proven the release on, and the plan "
             "holds.";
    case Reason::kPlanExpired:
      return "The plan's own time is over: by it nobody is let in until there is a newer one.";
  }
  return "Unknown reason.";
}

}  // namespace ringfence::policy
