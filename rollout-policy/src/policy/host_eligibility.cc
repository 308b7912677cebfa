#include "ringfence/policy/host_eligibility.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/policy/decide.h"
#include "ringfence/policy/deny.h"

namespace ringfence::policy {
namespace {

constexpr char kByTime[] = "time";
constexpr char kByTenant[] = "the tenant";
constexpr char kByVendor[] = "the vendor";
constexpr char kByTwoPersons[] = "two persons of the vendor";
constexpr char kByHost[] = "the host";
constexpr char kByProof[] = "proof";

// What must happen for a gate with this reason to open.
const char* OpensBy(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "";
    case Reason::kNoRing:
    case Reason::kChannelNotInPlan:
    case Reason::kChannelPaused:
    case Reason::kPinned:
    case Reason::kTenantPaused:
    case Reason::kVersionRange:
    case Reason::kDenied:
    case Reason::kApproval:
    case Reason::kPlanExpired:
      return kByTenant;
    case Reason::kNothingToLag:
    case Reason::kNotTargeted:
    case Reason::kNotQualified:
    case Reason::kQuarantined:
    case Reason::kRecalled:
    case Reason::kVendorPaused:
    case Reason::kHeld:
    case Reason::kNoRelease:
    case Reason::kCohortBlocked:
      return kByVendor;
    case Reason::kHalted:
      return kByTwoPersons;
    case Reason::kInternalNotPassed:
    case Reason::kEarlierRingNotPassed:
    case Reason::kFinishingOther:
    case Reason::kWaveFull:
    case Reason::kBudget:
    case Reason::kCohortBudget:
    case Reason::kUncoveredCohorts:
      return kByProof;
    case Reason::kAlreadyRunning:
    case Reason::kNotStaged:
    case Reason::kReverting:
    case Reason::kBarrier:
    case Reason::kOtherPlan:
      return kByHost;
    case Reason::kMinAge:
    case Reason::kNotDrawn:
    case Reason::kRate:
    case Reason::kStageWaiting:
    case Reason::kBlind:
    case Reason::kFrozen:
    case Reason::kBlackout:
    case Reason::kWindow:
      return kByTime;
  }
  return "";
}

std::string Show(const Labels& labels) {
  if (labels.pairs().empty()) return "no labels";
  return absl::StrJoin(labels.pairs(), ", ", absl::PairFormatter("="));
}

std::string Show(const std::vector<Selector>& matrix) {
  return absl::StrJoin(matrix, " or ",
                       [](std::string* out, const Selector& platform) { *out += ToString(platform); });
}

// The gates between a host and a release, in their order.
class GateList {
 public:
  void Add(Reason gate, bool open, std::string detail, absl::Time next = absl::InfiniteFuture()) {
    gates_.push_back({gate, open, std::move(detail), OpensBy(gate), open ? absl::InfiniteFuture() : next});
  }

  Eligibility Finish() && {
    Eligibility answer;
    for (const GateAnswer& gate : gates_) {
      if (gate.open) continue;
      answer.reason = gate.gate;
      answer.next = gate.next;
      break;
    }
    answer.gates = std::move(gates_);
    return answer;
  }

 private:
  std::vector<GateAnswer> gates_;
};

void AddLasting(const Plan& plan, const Labels& labels, const Release& release, GateList& gates) {
  const std::optional<int> ring = RingOf(plan, labels);
  gates.Add(Reason::kNoRing, ring.has_value(),
            ring ? absl::StrCat("ring ", plan.rings[static_cast<size_t>(*ring)].name) : Show(labels));

  const ChannelRule* rule = FindRule(plan, release.channel);
  gates.Add(Reason::kChannelNotInPlan, rule != nullptr, absl::StrCat("channel ", release.channel));
  const bool paused = rule != nullptr && rule->mode == ChannelMode::kPaused;
  gates.Add(Reason::kChannelPaused, !paused, absl::StrCat("channel ", release.channel));
  const bool pinned = rule != nullptr && rule->mode == ChannelMode::kPinned;
  gates.Add(Reason::kPinned, !pinned || rule->pinned_version == release.version,
            pinned ? absl::StrCat("pinned to ", rule->pinned_version) : "not pinned");

  const bool bounded = rule != nullptr && !(rule->from_version.empty() && rule->below_version.empty());
  gates.Add(Reason::kVersionRange, rule == nullptr || InRange(*rule, release.version),
            !bounded ? "any version"
                     : absl::StrCat("from ", rule->from_version.empty() ? "any" : rule->from_version,
                                    " to below ", rule->below_version.empty() ? "any" : rule->below_version));
  const Denied* denied = FindDenied(plan, release);
  gates.Add(
      Reason::kDenied, denied == nullptr,
      denied == nullptr ? "not on the deny list" : absl::StrCat(denied->reason, " (", denied->owner, ")"));

  gates.Add(Reason::kNotTargeted, IsTargeted(release, labels),
            absl::StrCat("targets ", ToString(release.targets)));
  const bool covered = IsQualified(release, labels);
  gates.Add(Reason::kNotQualified, MayTryPlatform(plan, ring, release, labels),
            absl::StrCat("qualified on ", Show(release.matrix),
                         covered ? ""
                         : ring.has_value() && *ring == 0 &&
                                 plan.unqualified_platform == UnqualifiedPlatform::kFirstRingOnly
                             ? "; the plan lets its first ring try other platforms"
                             : ""));
}

std::string ShowValidity(const Plan& plan) {
  if (!plan.valid_until.has_value()) return "until there is another";
  return absl::StrCat("the plan is valid until ",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", *plan.valid_until, absl::UTCTimeZone()));
}

// The reason that a stage in this state gives for not letting anyone in; kNone when it does.
Reason ReasonOf(StageState state, const Moment& moment) {
  switch (state) {
    case StageState::kOpen:
    case StageState::kPassed:
    case StageState::kVacant:
      return Reason::kNone;
    case StageState::kWaiting:
      return Reason::kStageWaiting;
    case StageState::kPaused:
      return moment.vendor_paused ? Reason::kVendorPaused : Reason::kTenantPaused;
    case StageState::kHeld:
      return Reason::kHeld;
    case StageState::kHalted:
      return Reason::kHalted;
    case StageState::kSuperseded:
      return Reason::kFinishingOther;
    case StageState::kRecalled:
      return Reason::kRecalled;
  }
  return Reason::kBlind;  // a state we do not know is no permission
}

// Consent, barrier and calendar: what the plan asks of the host's ring at this moment.
void AddMoment(const Plan& plan, const Labels& labels, const Release& release, const Moment& moment,
               GateList& gates) {
  gates.Add(
      Reason::kBarrier, moment.barrier.empty(),
      moment.barrier.empty() ? "no barrier before it" : absl::StrCat(moment.barrier, " must be taken first"));
  const std::optional<int> index = RingOf(plan, labels);
  if (!index.has_value()) {  // no_ring has said so already
    gates.Add(Reason::kApproval, true, "no ring");
    return;
  }
  const Ring& ring = plan.rings[static_cast<size_t>(*index)];
  gates.Add(Reason::kPlanExpired, !HasExpired(plan, moment.now), ShowValidity(plan));
  const bool asks = EffectiveApproval(plan, ring, release.channel) == Approval::kExplicit;
  const bool denied = asks && moment.consent == Consent::kDenied;
  const std::vector<std::string>& approvers = ApproversOf(plan, ring, release.channel);
  gates.Add(denied ? Reason::kDenied : Reason::kApproval, !asks || moment.consent == Consent::kApproved,
            !asks                                  ? "approved by the plan"
            : denied                               ? "denied by a person of the customer"
            : moment.consent == Consent::kApproved ? "approved by a person of the customer"
            : approvers.empty()
                ? absl::StrCat("ring ", ring.name, " asks a person")
                : absl::StrCat("ring ", ring.name, " asks ", absl::StrJoin(approvers, " or ")));

  const Calendar calendar = CalendarOf(plan, ring, release.channel, release.urgent);
  const CalendarAnswer answer = Ask(calendar, moment.now);
  const auto detail = [&](Reason gate, const char* open) {
    return answer.closed == gate ? answer.detail : std::string(open);
  };
  gates.Add(Reason::kFrozen, !IsFrozen(calendar, moment.now), detail(Reason::kFrozen, "no freeze"),
            answer.until);
  gates.Add(Reason::kBlackout, !IsBlackout(calendar, moment.now),
            detail(Reason::kBlackout, "no blackout date"), answer.until);
  std::string windows = absl::StrJoin(calendar.windows, "; ", [&](std::string* out, const Window& window) {
    absl::StrAppend(out, ToString(window, plan.zone));
  });
  gates.Add(Reason::kWindow, IsInWindow(calendar, moment.now),
            calendar.windows.empty() ? "at any time" : std::move(windows), answer.until);
}

void AddPassing(const Plan& plan, const Labels& labels, const Release& release, const Moment& moment,
                GateList& gates) {
  const std::string bytes = absl::StrCat("digest ", release.digest.ToString().substr(0, 12));
  gates.Add(Reason::kQuarantined, !moment.quarantined, bytes);
  if (!moment.blocked_cohort.empty()) gates.Add(Reason::kCohortBlocked, false, moment.blocked_cohort);
  gates.Add(Reason::kReverting, !moment.reverting, bytes);
  gates.Add(Reason::kRecalled, !moment.recalled, absl::StrCat("release ", release.version));
  gates.Add(Reason::kHalted, !moment.halted, absl::StrCat("release ", release.version));
  gates.Add(Reason::kHeld, !moment.held, absl::StrCat("release ", release.version));
  gates.Add(Reason::kVendorPaused, !moment.vendor_paused, absl::StrCat("release ", release.version));
  gates.Add(Reason::kTenantPaused, !moment.tenant_paused, absl::StrCat("release ", release.version));
  gates.Add(Reason::kInternalNotPassed, moment.internal_passed, "the vendor's own fleet", moment.revisit_at);

  const Reason choice =
      moment.choice_reason == Reason::kNone ? Reason::kFinishingOther : moment.choice_reason;
  // Said by the gate before.
  if (choice != Reason::kInternalNotPassed || moment.internal_passed) {
    gates.Add(
        choice, moment.ring_chose_it,
        moment.ring_chose_it ? "the ring works on this release" : "the ring does not work on this release",
        moment.revisit_at);
  }

  AddMoment(plan, labels, release, moment, gates);

  if (!moment.uncovered.empty()) gates.Add(Reason::kUncoveredCohorts, false, moment.uncovered);
  const std::string tiny = OfTinyRing(moment.members);
  const Reason stage = ReasonOf(moment.stage, moment);
  gates.Add(stage == Reason::kNone ? Reason::kStageWaiting : stage, stage == Reason::kNone,
            absl::StrCat("stage ", Name(moment.stage), tiny.empty() ? "" : ". ", tiny), moment.revisit_at);
  gates.Add(Reason::kBlind, !moment.blind, "the server hears the fleet and can write", moment.revisit_at);
  gates.Add(Reason::kAlreadyRunning, !moment.already_running, bytes);
}

}  // namespace

bool MayTryPlatform(const Plan& plan, std::optional<int> ring, const Release& release, const Labels& labels) {
  return IsQualified(release, labels) ||
         (plan.unqualified_platform == UnqualifiedPlatform::kFirstRingOnly && ring == 0);
}

Reason LastingReason(const Plan& plan, const Labels& labels, const Release& release) {
  if (!RingOf(plan, labels).has_value()) return Reason::kNoRing;
  const ChannelRule* rule = FindRule(plan, release.channel);
  if (rule == nullptr) return Reason::kChannelNotInPlan;
  if (rule->mode == ChannelMode::kPaused) return Reason::kChannelPaused;
  if (rule->mode == ChannelMode::kPinned && rule->pinned_version != release.version) return Reason::kPinned;
  if (!InRange(*rule, release.version)) return Reason::kVersionRange;
  if (FindDenied(plan, release) != nullptr) return Reason::kDenied;
  if (!IsTargeted(release, labels)) return Reason::kNotTargeted;
  if (!MayTryPlatform(plan, RingOf(plan, labels), release, labels)) return Reason::kNotQualified;
  return Reason::kNone;
}

Reason PassingReason(const Plan& plan, int ring, const Release& release, Consent consent, absl::Time now) {
  const Ring& mine = plan.rings.at(static_cast<size_t>(ring));
  if (HasExpired(plan, now)) return Reason::kPlanExpired;
  if (EffectiveApproval(plan, mine, release.channel) == Approval::kExplicit &&
      consent != Consent::kApproved) {
    return consent == Consent::kDenied ? Reason::kDenied : Reason::kApproval;
  }
  return ClosedNow(CalendarOf(plan, mine, release.channel, release.urgent), now);
}

const Milestone* BarrierBefore(const ChannelRule& rule, absl::Span<const Milestone> published,
                               uint64_t running, uint64_t wanted) {
  if (rule.barriers.empty()) return nullptr;
  const Milestone* first = nullptr;
  for (const Milestone& release : published) {
    if (release.serial <= running || release.serial >= wanted) continue;
    const bool barrier =
        std::find(rule.barriers.begin(), rule.barriers.end(), release.version) != rule.barriers.end();
    if (barrier && (first == nullptr || release.serial < first->serial)) first = &release;
  }
  return first;
}

Eligibility Evaluate(const Plan& plan, const Labels& labels, const Release& release, const Moment& moment) {
  GateList gates;
  AddLasting(plan, labels, release, gates);
  AddPassing(plan, labels, release, moment, gates);
  return std::move(gates).Finish();
}

}  // namespace ringfence::policy
