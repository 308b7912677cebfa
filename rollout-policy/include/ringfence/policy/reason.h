// Every answer the server can give to "why not?". The words are the same in proto, SQL, metrics, CLI and
// pages.
#pragma once

#include <cstdint>

namespace ringfence::policy {

enum class Reason : uint8_t {
  kNone = 0,               // nothing stands in the way
  kNoRing = 1,             // the host matches no ring of its plan
  kChannelNotInPlan = 2,   // the plan has no rule for the channel
  kChannelPaused = 3,      // the plan pauses the channel
  kPinned = 4,             // the plan pins another version
  kNothingToLag = 5,       // fewer releases than the lag asks for have come this far
  kInternalNotPassed = 6,  // the vendor's own fleet has not passed it yet
  kEarlierRingNotPassed = 7,
  kMinAge = 8,          // too young, counted in healthy time
  kFinishingOther = 9,  // the ring finishes another release first
  kNotTargeted = 10,
  kNotQualified = 11,  // the platform matrix does not cover the host
  kQuarantined = 12,   // the host reverted from this digest before
  kAlreadyRunning = 13,
  kTenantPaused = 14,  // the tenant's operator paused
  kVendorPaused = 15,
  kHeld = 16,
  kHalted = 17,
  kRecalled = 18,
  kWaveFull = 19,       // the open wave has let in all it may
  kNotDrawn = 20,       // a control of the current minute; asks again soon
  kBudget = 21,         // unproven exposures are at their bound
  kCohortBudget = 22,   // the same, for one of the host's label values
  kRate = 23,           // the plan's hosts per minute
  kNotStaged = 24,      // downloaded first, then leased
  kStageWaiting = 25,   // the ring's first wave is not open
  kBlind = 26,          // the server cannot see or cannot write
  kReverting = 27,      // ordered back
  kNoRelease = 28,      // nothing was published in the channel
  kVersionRange = 29,   // outside the versions that the plan follows
  kDenied = 30,         // the plan, or a person of the tenant, denies it
  kFrozen = 31,         // within a freeze of the plan
  kBlackout = 32,       // on a blackout date of the plan
  kWindow = 33,         // outside the ring's maintenance windows
  kApproval = 34,       // waits for a person of the tenant
  kBarrier = 35,        // another release must come first
  kCohortBlocked = 36,  // the release does harm to hosts with one of the host's label values
  kOtherPlan = 37,      // the host holds another signed plan than the one in force
  kUncoveredCohorts =
      38,             // the ring has hosts of a kind that no earlier ring proved it on, and the plan holds
  kPlanExpired = 39,  // past the time until which the plan is valid
};
inline constexpr Reason kLastReason = Reason::kPlanExpired;

const char* Name(Reason reason);      // "no_ring", "channel_not_in_plan", ...
const char* Sentence(Reason reason);  // one plain sentence for people
}  // namespace ringfence::policy
