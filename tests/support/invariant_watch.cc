#include "tests/support/invariant_watch.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "ringfence/policy/bucket.h"
#include "ringfence/policy/choice.h"
#include "ringfence/trust/dsse.h"
#include "server/record/decision_replay.h"

namespace ringfence::test {
namespace {

using policy::StageState;
using storage::Outcome;

bool Passed(StageState state) {
  return state == StageState::kPassed || state == StageState::kVacant;
}

// Check-in intervals that a probation lasts at least.
constexpr double kProbation = 3.75;

// clamp(ceil(0.02·size), 1, 4), said once more.
int64_t StartOf(int64_t size) {
  return std::clamp<int64_t>((2 * size + 99) / 100, 1, 4);
}

bool Explained(const storage::DecisionRow& row) {
  return !row.rule.empty() && !row.actor.empty() && !row.why.empty() && row.evidence.size() > 2 &&
         row.evidence.front() == '{' && row.evidence.back() == '}';
}

}  // namespace

void InvariantWatch::Trace(absl::Time now, const std::string& what) {
  static const bool kWanted = std::getenv("RINGFENCE_TRACE") != nullptr;
  if (!kWanted) return;
  std::printf("%s %s\n", absl::FormatTime("%H:%M:%E3S", now, absl::UTCTimeZone()).c_str(), what.c_str());
}

void InvariantWatch::Found(absl::Time now, const std::string& what) {
  Trace(now, "VIOLATION " + what);
  violations_.push_back(absl::StrCat(absl::FormatTime("%H:%M:%E3S", now, absl::UTCTimeZone()), " ", what));
}

int64_t InvariantWatch::Exposed(const std::string& channel, uint64_t serial) const {
  return std::count_if(exposures_.begin(), exposures_.end(), [&](const auto& entry) {
    return entry.second.channel == channel && entry.second.serial == serial &&
           entry.second.outcome != Outcome::kUnused;
  });
}

int64_t InvariantWatch::Count(const std::string& channel, uint64_t serial, Outcome outcome) const {
  return std::count_if(exposures_.begin(), exposures_.end(), [&](const auto& entry) {
    return entry.second.channel == channel && entry.second.serial == serial &&
           entry.second.outcome == outcome;
  });
}

namespace {

std::optional<int> RingOf(const policy::Plan& plan, const AgentId& agent, const policy::Labels& labels) {
  return policy::RingOf(plan, policy::LabelsFor(plan, labels, agent));
}

// Tested on its platform; or the plan lets its first ring do without.
bool Covered(const policy::Release& release, const AgentId& agent, const policy::Labels& labels,
             const policy::Plan* plan) {
  if (policy::IsQualified(release, labels)) return true;
  return plan != nullptr && plan->unqualified_platform == policy::UnqualifiedPlatform::kFirstRingOnly &&
         RingOf(*plan, agent, labels) == 0;
}

}  // namespace

void InvariantWatch::Enrolled(const AgentId& agent, const std::string& tenant, const policy::Labels& labels) {
  HeardHost& host = hosts_[agent];
  host.tenant = tenant;
  host.labels = labels;
}

void InvariantWatch::Heard(const AgentId& agent, const policy::Labels& labels,
                           const std::map<std::string, Digest>& running, absl::Time now) {
  HeardHost& host = hosts_[agent];
  host.labels = labels;
  host.running = running;
  host.last_heard = now;
}

void InvariantWatch::WentBack(const AgentId& agent, const Digest& digest, absl::Time now) {
  Trace(now, absl::StrCat("went back ", agent.ToString().substr(0, 8)));
  not_yet_durable_.emplace_back(agent, digest);
}

void InvariantWatch::Crashed(absl::Time now) {
  Trace(now, "server dies");
  not_yet_durable_.clear();
  deadlines_from_ = now;
  for (auto& [key, row] : exposures_) {
    if (row.outcome == Outcome::kConfirmed) continue;
    once_confirmed_.erase(key);
    matures_at_[key] = std::max(matures_at_[key], now + kProbation * options_.h);
  }
}

void InvariantWatch::Flushed() {
  for (const auto& [agent, digest] : not_yet_durable_) {
    hosts_[agent].went_back.emplace(digest, hosts_[agent].last_heard);
  }
  not_yet_durable_.clear();
}

void InvariantWatch::Offered(const AgentId& agent, const Digest& digest, absl::Time now) {
  const HeardHost& host = hosts_[agent];
  const bool burned =
      host.went_back.contains(digest) || std::find(not_yet_durable_.begin(), not_yet_durable_.end(),
                                                   std::make_pair(agent, digest)) != not_yet_durable_.end();
  if (burned) {
    Found(now, absl::StrCat("invariant 12: ", agent.ToString(), " went back from ",
                            digest.ToString().substr(0, 8), " and is offered it again"));
  }
  for (const auto& [key, release] : releases_) {
    if (!policy::Holds(release.release, digest)) continue;
    const auto plan = plans_.find(host.tenant);
    if (!policy::IsTargeted(release.release, host.labels) ||
        !Covered(release.release, agent, host.labels, plan == plans_.end() ? nullptr : &plan->second.plan)) {
      Found(now, absl::StrCat("invariant 5: ", agent.ToString(), " is not covered and is offered it"));
    }
  }
}

void InvariantWatch::Granted(const AgentId& agent, const Digest& digest, absl::Time now) {
  Offered(agent, digest, now);
  for (const auto& [key, row] : exposures_) {
    if (row.agent != agent || row.outcome == Outcome::kUnused) continue;
    const auto release = releases_.find({row.channel, row.serial});
    if (release != releases_.end() && policy::Holds(release->second.release, digest)) return;
  }
  Found(now, absl::StrCat("invariant 1: ", agent.ToString(), " got a lease without a committed exposure"));
}

void InvariantWatch::Committed(const Changes& changes, absl::Time now) {
  for (const storage::ReleaseRow& row : changes.releases) {
    releases_[{row.release.channel, row.release.serial}] = row;
  }
  for (const auto& [key, age] : changes.healthy_ages) releases_[key].healthy_age = age;
  for (const storage::PlanRow& row : changes.plans) plans_[row.plan.tenant] = row;
  for (const storage::ConsentRow& row : changes.consents) {
    if (!consents_.try_emplace({row.tenant, row.channel, row.serial, row.ring}, row.approved).second)
      Found(now, "what a person said of a release was changed");
    if (row.min_age.has_value()) asked_for_[{row.tenant, row.channel, row.serial, row.ring}] = *row.min_age;
  }
  for (const storage::SignedRow& row : changes.signed_documents) {
    if (row.kind != storage::SignedKind::kDecision) continue;
    const auto envelope = trust::ParseEnvelope(row.envelope);
    const auto said = envelope.ok() ? plan::ParseApprovalPayload(envelope->payload) : envelope.status();
    if (said.ok()) said_.push_back(*said);
  }
  for (const storage::QuarantineRow& row : changes.quarantines) quarantines_.push_back(row);
  for (const storage::DecisionRow& row : changes.decisions) {
    decisions_.push_back(row);
    Trace(now, absl::StrCat("decision ", row.action, " by ", row.rule, " ", row.tenant, "/", row.serial, "/",
                            row.ring, " ", row.why, " ", row.evidence));
    if (!Explained(row)) {
      Found(now, absl::StrCat("invariant 10: the decision ", row.action, " lacks a part of its reason"));
    }
    const auto replayed = record::Replay({row.action, row.rule, row.actor, row.why, row.at, row.evidence});
    if (!replayed.ok() || !replayed->equal()) {
      Found(now, absl::StrCat("invariant 10: the decision ", row.action, " by ", row.rule,
                              " comes out otherwise when it is computed again"));
    }
  }
  for (const storage::OutcomeUpdate& update : changes.outcomes) OnOutcome(update, now);
  for (const storage::StageRow& row : changes.new_stages) OnNewStage(row, now);
  for (const storage::StageRow& row : changes.stages) OnStage(row, changes, now);
  for (const storage::BrakeRow& row : changes.brakes) OnBrake(row, changes, now);
  for (const storage::ExposureRow& row : changes.exposures) OnExposure(row, now);
  if (!budgets_late_) {
    for (const storage::ExposureRow& row : changes.exposures) CheckBudgets(row, now);
  }
  if (!changes.exposures.empty()) budgets_late_ = false;
}

bool InvariantWatch::RingPassed(const std::string& tenant, const std::string& channel, uint64_t serial,
                                const std::string& ring) const {
  return std::any_of(stages_.begin(), stages_.end(), [&](const auto& entry) {
    const storage::StageRow& row = entry.second;
    return row.tenant == tenant && row.channel == channel && row.serial == serial && row.ring == ring &&
           Passed(row.state);
  });
}

bool InvariantWatch::InternalPassed(const std::string& channel, uint64_t serial) const {
  if (options_.internal_tenant.empty()) return true;
  const auto plan = plans_.find(options_.internal_tenant);
  if (plan == plans_.end()) return false;
  bool somebody = false;
  for (const policy::Ring& ring : plan->second.plan.rings) {
    if (!RingPassed(options_.internal_tenant, channel, serial, ring.name)) return false;
  }
  for (const auto& [key, row] : exposures_) {
    somebody = somebody || (row.tenant == options_.internal_tenant && row.channel == channel &&
                            row.serial == serial && row.outcome != Outcome::kUnused);
  }
  return somebody;
}

bool InvariantWatch::StoppedFor(const std::string& tenant, const std::string& channel,
                                uint64_t serial) const {
  for (const storage::Scope& scope :
       {storage::Scope{"", channel, serial, ""}, storage::Scope{tenant, channel, serial, ""}}) {
    const auto it = brakes_.find(scope);
    if (it != brakes_.end() && (it->second.halted || it->second.recalled)) return true;
  }
  return false;
}

void InvariantWatch::OnNewStage(const storage::StageRow& row, absl::Time now) {
  const auto found = plans_.find(row.tenant);
  const std::string what =
      absl::StrCat("stage ", row.tenant, "/", row.channel, "/", row.serial, "/", row.ring);
  if (found == plans_.end()) return Found(now, what + " without a plan");
  const policy::Plan& plan = found->second.plan;
  const policy::ChannelRule* rule = policy::FindRule(plan, row.channel);
  const auto ring =
      std::find_if(plan.rings.begin(), plan.rings.end(), [&](const auto& r) { return r.name == row.ring; });
  if (rule == nullptr || ring == plan.rings.end()) return Found(now, what + " is not in the plan");
  if (rule->mode == policy::ChannelMode::kPaused) {
    Found(now, absl::StrCat("invariant 4: ", what, " although the plan pauses the channel"));
  }
  const auto release = releases_.find({row.channel, row.serial});
  if (release == releases_.end()) return Found(now, what + " of no release");
  const bool pinned = rule->mode == policy::ChannelMode::kPinned;
  if (pinned && rule->pinned_version != release->second.release.version) {
    Found(now, absl::StrCat("invariant 4: ", what, " although another version is pinned"));
  }
  if (StoppedFor(row.tenant, row.channel, row.serial)) {
    Found(now, absl::StrCat("invariant 9: ", what, " of a stopped release"));
  }
  const bool internal = row.tenant == options_.internal_tenant;
  if (!internal && !InternalPassed(row.channel, row.serial)) {
    Found(now, absl::StrCat("invariant 3: ", what, " before the vendor's own fleet passed it"));
  }
  const auto lag_of = [&](const policy::Ring& of) {
    int own = of.lag;
    for (const policy::RingRule& one : of.channels) {
      if (one.channel == row.channel && one.lag.has_value()) own = *one.lag;
    }
    return pinned ? 0 : std::max(own, rule->lag);
  };
  const int lag = lag_of(*ring);
  for (auto earlier = plan.rings.begin(); earlier != ring; ++earlier) {
    if (lag_of(*earlier) > lag) continue;
    if (!RingPassed(row.tenant, row.channel, row.serial, earlier->name)) {
      Found(now, absl::StrCat("invariant 3: ", what, " before ring ", earlier->name));
    }
  }
  int ahead = 0;
  for (const auto& [key, other] : releases_) {
    if (key.first != row.channel || key.second <= row.serial) continue;
    if (StoppedFor(row.tenant, row.channel, key.second)) continue;
    if (internal || InternalPassed(key.first, key.second)) ++ahead;
  }
  if (ahead < lag) Found(now, absl::StrCat("invariant 4: ", what, " with ", ahead, " ahead, lag ", lag));
  const bool first = (internal || options_.internal_tenant.empty()) && ring == plan.rings.begin();
  const absl::Duration age =
      first ? now - release->second.release.published_at : release->second.healthy_age + absl::Minutes(3);
  absl::Duration min_age = ring->min_age;
  for (const policy::ChannelRule& one : plan.channels) {
    if (one.channel == row.channel) min_age = std::max(min_age, one.min_age);
  }
  for (const policy::RingRule& one : ring->channels) {
    if (one.channel == row.channel && one.min_age.has_value()) min_age = *one.min_age;
  }
  if (release->second.release.urgent && plan.urgent.has_value() && plan.urgent->min_age.has_value() &&
      plan.urgent->mode == policy::UrgentMode::kAllow) {
    min_age = std::min(min_age, *plan.urgent->min_age);
  }
  if (const auto asked = AskedFor(row, now); asked.has_value() && ring->hasten_to.has_value())
    min_age = std::min(min_age, std::max(*asked, *ring->hasten_to));
  if (age < min_age) Found(now, absl::StrCat("invariant 4: ", what, " is too young"));
  stages_[row.stage] = row;
  Trace(now, absl::StrCat("new ", what, " is ", row.stage));
}

void InvariantWatch::OnStage(const storage::StageRow& row, const Changes& changes, absl::Time now) {
  storage::StageRow& known = stages_[row.stage];
  const storage::StageRow before = known;
  known = row;
  Trace(now, absl::StrCat("stage ", row.stage, " ", before.tenant, "/", before.serial, "/", before.ring, " ",
                          policy::Name(before.state), " -> ", policy::Name(row.state), " wave ", row.wave,
                          " cap ", row.cap, " members ", row.members, " ", row.rule, ": ", row.why));
  const bool to_pass = row.state != before.state && Passed(row.state);
  const bool opens = row.wave != before.wave ||
                     (before.state == StageState::kWaiting && row.state == StageState::kOpen) ||
                     row.wave_opened_at != before.wave_opened_at;
  if (!to_pass && !opens) return;
  const std::string what = absl::StrCat("stage ", before.tenant, "/", before.channel, "/", before.serial, "/",
                                        before.ring, " wave ", before.wave);
  const bool explained = std::any_of(changes.decisions.begin(), changes.decisions.end(),
                                     [&](const auto& d) { return d.stage == row.stage && Explained(d); });
  if (!explained) Found(now, absl::StrCat("invariant 10: ", what, " moved without a decision"));
  if (before.state == StageState::kWaiting || row.state == StageState::kVacant) return;
  if (before.wave_opened_at == absl::InfinitePast()) return;

  // Invariant 7: a wave passes on proof alone.
  int64_t let_in = 0, confirmed = 0, stage_in = 0, stage_confirmed = 0;
  for (const auto& [key, exposure] : exposures_) {
    if (exposure.stage != row.stage || exposure.outcome == Outcome::kUnused) continue;
    ++stage_in;
    stage_confirmed += exposure.outcome == Outcome::kConfirmed ? 1 : 0;
    const absl::Time deadline =
        std::max(exposure.deadline, deadlines_from_ + (exposure.deadline - exposure.exposed_at));
    if (exposure.outcome == Outcome::kPending && deadline + 2 * options_.h < now) {
      Found(now, absl::StrCat("invariant 7: ", what, " passed with ", exposure.agent.ToString(),
                              " overdue and without an outcome"));
    }
    if (exposure.wave != before.wave) continue;
    ++let_in;
    confirmed += exposure.outcome == Outcome::kConfirmed ? 1 : 0;
  }
  if (let_in == 0) {
    let_in = stage_in;
    confirmed = stage_confirmed;
  }
  if (confirmed == 0 || 2 * confirmed < let_in) {
    Found(now, absl::StrCat("invariant 7: ", what, " passed with ", confirmed, " of ", let_in, " confirmed"));
  }
}

void InvariantWatch::OnBrake(const storage::BrakeRow& row, const Changes& changes, absl::Time now) {
  storage::BrakeRow& known = brakes_[row.scope];
  const bool explained = std::any_of(changes.decisions.begin(), changes.decisions.end(), [&](const auto& d) {
    return d.tenant == row.scope.tenant && d.channel == row.scope.channel && d.serial == row.scope.serial &&
           Explained(d);
  });
  if (!explained) Found(now, "invariant 10: a brake changed without a decision");
  if (known.halted && !row.halted && (row.actor.empty() || row.actor == "server")) {
    Found(now, "invariant 9: a halt was released by nobody");
  }
  if (known.halted && !row.halted && known.first_approver.empty()) {
    Found(now, "a halt was released by one person");
  }
  if (known.halted && !row.halted && known.first_approver == row.actor) {
    Found(now, "a halt was released by the same person twice");
  }
  if (known.recalled && !row.recalled) Found(now, "a recalled release came back");
  known = row;
}

bool InvariantWatch::Brakes(const storage::ExposureRow& row) const {
  for (const storage::Scope& scope :
       {storage::Scope{"", row.channel, row.serial, ""}, storage::Scope{row.tenant, "", 0, ""},
        storage::Scope{row.tenant, row.channel, 0, ""}, storage::Scope{row.tenant, "", 0, row.ring},
        storage::Scope{row.tenant, row.channel, row.serial, ""},
        storage::Scope{row.tenant, row.channel, row.serial, row.ring}}) {
    const auto it = brakes_.find(scope);
    if (it != brakes_.end() && it->second.Stops()) return true;
  }
  return false;
}

void InvariantWatch::OnExposure(const storage::ExposureRow& row, absl::Time now) {
  const std::string what =
      absl::StrCat("exposure of ", row.agent.ToString().substr(0, 8), " to ", row.channel, "/", row.serial);
  const ExposureKey this_one{row.channel, row.serial, row.agent, row.bucket};
  if (!exposures_.try_emplace(this_one, row).second) return;
  matures_at_[this_one] = row.deadline;
  Trace(now, what + " in ring " + row.ring);
  if (Brakes(row))
    Found(now, absl::StrCat("invariant 2: ", what, " committed although its scope is stopped"));
  for (const auto& [key, other] : exposures_) {
    if (other.agent == row.agent && other.channel == row.channel && other.serial == row.serial &&
        other.bucket != row.bucket && other.outcome != Outcome::kUnused) {
      Found(now, absl::StrCat("invariant 8: ", what, " for the second time"));
    }
  }
  const auto stage = stages_.find(row.stage);
  const bool lets_in =
      stage != stages_.end() && (stage->second.state == StageState::kOpen || Passed(stage->second.state));
  if (!lets_in) Found(now, absl::StrCat("invariant 3: ", what, " by a stage that lets nobody in"));
  if (stage != stages_.end() && stage->second.state == StageState::kOpen) {
    const int64_t in_stage = std::count_if(exposures_.begin(), exposures_.end(), [&](const auto& entry) {
      return entry.second.stage == row.stage && entry.second.outcome != Outcome::kUnused;
    });
    if (in_stage > stage->second.cap && !budgets_late_) {
      Found(now, absl::StrCat("invariant 6: ", what, ": ", in_stage, " in a wave of ", stage->second.cap));
    }
  }
  const HeardHost& host = hosts_[row.agent];
  const auto plan = plans_.find(row.tenant);
  if (plan == plans_.end()) return Found(now, absl::StrCat("invariant 4: ", what, " without a plan"));
  const policy::ChannelRule* rule = policy::FindRule(plan->second.plan, row.channel);
  const policy::Release& release = releases_[{row.channel, row.serial}].release;
  const std::optional<int> ring = RingOf(plan->second.plan, row.agent, host.labels);
  if (!ring.has_value() || plan->second.plan.rings[static_cast<size_t>(*ring)].name != row.ring) {
    Found(now, absl::StrCat("invariant 4: ", what, " in ring ", row.ring, ", which is not its own"));
  }
  if (rule == nullptr || rule->mode == policy::ChannelMode::kPaused) {
    Found(now, absl::StrCat("invariant 4: ", what, " in a channel that the plan stops"));
  } else if (rule->mode == policy::ChannelMode::kPinned && rule->pinned_version != release.version) {
    Found(now, absl::StrCat("invariant 4: ", what, " although another version is pinned"));
  }
  if (!policy::IsTargeted(release, host.labels) ||
      !Covered(release, row.agent, host.labels, &plan->second.plan)) {
    Found(now, absl::StrCat("invariant 5: ", what, " which does not cover it"));
  }
  if (ring.has_value()) {
    const policy::Plan& p = plan->second.plan;
    const std::string forbidden = Forbidden(p, p.rings[static_cast<size_t>(*ring)], row, host, now);
    if (!forbidden.empty()) Found(now, absl::StrCat("invariant 4: ", what, ": ", forbidden));
  }
}

bool InvariantWatch::Consented(const storage::ExposureRow& row, const std::string& ring,
                               absl::Time now) const {
  for (const std::string& scope : {ring, std::string()}) {
    const auto found = consents_.find({row.tenant, row.channel, row.serial, scope});
    if (found != consents_.end()) return found->second;
  }
  bool yes = false;
  for (const plan::ApprovalStatement& one : said_) {
    const bool here =
        one.rings.empty() || std::find(one.rings.begin(), one.rings.end(), ring) != one.rings.end();
    if (!here || one.tenant != row.tenant || one.channel != row.channel || one.serial != row.serial) continue;
    if (!one.approve) return false;
    yes = yes || now < one.not_after;
  }
  return yes;
}

std::optional<absl::Duration> InvariantWatch::AskedFor(const storage::StageRow& row, absl::Time now) const {
  std::optional<absl::Duration> least;
  for (const std::string& scope : {row.ring, std::string()}) {
    const auto found = asked_for_.find({row.tenant, row.channel, row.serial, scope});
    if (found != asked_for_.end() && !least.has_value()) least = found->second;
  }
  for (const plan::ApprovalStatement& one : said_) {
    const bool here =
        one.rings.empty() || std::find(one.rings.begin(), one.rings.end(), row.ring) != one.rings.end();
    if (!here || one.tenant != row.tenant || one.channel != row.channel || one.serial != row.serial) continue;
    if (!one.approve) return std::nullopt;
    if (one.min_age.has_value() && now < one.not_after)
      least = std::min(least.value_or(*one.min_age), *one.min_age);
  }
  return least;
}

std::string InvariantWatch::Forbidden(const policy::Plan& plan, const policy::Ring& ring,
                                      const storage::ExposureRow& row, const HeardHost& host,
                                      absl::Time now) const {
  const policy::Release& release = releases_.at({row.channel, row.serial}).release;
  for (const policy::Denied& denied : plan.deny) {
    if (denied.digest.has_value() ? *denied.digest == release.digest || policy::Holds(release, *denied.digest)
                                  : denied.channel == release.channel && denied.version == release.version) {
      return "the plan denies it";
    }
  }
  const auto covers = [&](const policy::CalendarScope& scope) {
    const auto has = [](const std::vector<std::string>& names, const std::string& name) {
      return names.empty() || std::count(names.begin(), names.end(), name) > 0;
    };
    return has(scope.rings, ring.name) && has(scope.channels, row.channel);
  };
  for (const policy::Freeze& freeze : plan.freezes) {
    if (covers(freeze.scope) && freeze.from <= now && now < freeze.to) return "a freeze is on";
  }
  if (plan.valid_until.has_value() && now >= *plan.valid_until) return "the plan's time is over";
  std::vector<policy::Window> windows = ring.windows;
  policy::Approval approval = ring.approval;
  for (const policy::ChannelRule& rule : plan.channels) {
    if (rule.channel == row.channel && rule.approval == policy::Approval::kExplicit) approval = rule.approval;
  }
  for (const policy::RingRule& own : ring.channels) {
    if (own.channel != row.channel) continue;
    if (!own.windows.empty()) windows = own.windows;
    if (own.approval.has_value()) approval = *own.approval;
  }
  // Histories are short and lie on no day on which the clock jumps: what it shows is enough.
  const bool hurries = release.urgent && plan.urgent.has_value() &&
                       plan.urgent->mode == policy::UrgentMode::kAllow && plan.urgent->outside_windows;
  bool open = windows.empty() || hurries;
  for (const policy::Window& window : windows) {
    absl::TimeZone zone;
    const std::string& name = !window.zone.empty() ? window.zone : plan.zone.empty() ? "UTC" : plan.zone;
    if (!absl::LoadTimeZone(name, &zone)) return absl::StrCat("there is no zone ", name);
    const absl::CivilMinute shown(zone.At(now).cs);
    const int minute = static_cast<int>(shown - absl::CivilMinute(absl::CivilDay(shown)));
    open = open || (window.from < window.to ? window.from <= minute && minute < window.to
                                            : window.from <= minute || minute < window.to);
  }
  if (!open) return "no window is open";
  if (approval == policy::Approval::kExplicit && !Consented(row, ring.name, now)) {
    return "nobody approved it";
  }
  for (const policy::ChannelRule& rule : plan.channels) {
    if (rule.channel != row.channel) continue;
    uint64_t runs = 0;
    const auto running = host.running.find(row.channel);
    for (const auto& [key, known] : releases_) {
      if (running != host.running.end() && policy::Holds(known.release, running->second)) runs = key.second;
    }
    for (const auto& [key, known] : releases_) {
      const bool barrier = key.first == row.channel && key.second > runs && key.second < row.serial &&
                           std::count(rule.barriers.begin(), rule.barriers.end(), known.release.version) > 0;
      if (barrier) return absl::StrCat("the barrier ", known.release.version, " comes first");
    }
  }
  return "";
}

void InvariantWatch::CheckBudgets(const storage::ExposureRow& granted, absl::Time now) {
  const std::string& channel = granted.channel;
  const uint64_t serial = granted.serial;
  struct Sum {
    int64_t unproven = 0, healthy = 0, failed = 0;
    std::string who;
  };
  Sum all, stage;
  std::map<std::string, Sum> cells;
  for (const std::string& cell : granted.cells) cells[cell];
  for (const auto& [key, row] : exposures_) {
    if (row.channel != channel || row.serial != serial) continue;
    const bool healthy = row.outcome == Outcome::kConfirmed;
    const HeardHost& host = hosts_[row.agent];
    const auto runs = host.running.find(channel);
    const bool on_it =
        runs != host.running.end() && policy::Holds(releases_[{channel, serial}].release, runs->second);
    // Whoever was heard on something else after it took the release runs what it ran, or moved on.
    const bool free = row.outcome == Outcome::kReverted || row.outcome == Outcome::kUnused ||
                      (row.outcome != Outcome::kPending && !healthy && !on_it &&
                       (row.activated || host.last_heard > row.outcome_at));
    if (free) continue;
    const bool bad = row.outcome == Outcome::kCrashed || row.outcome == Outcome::kSilent;
    const bool failed = bad && !once_confirmed_.contains(key) && matures_at_[key] <= now;
    const auto add = [&, &row = row](Sum& sum) {
      ++(healthy ? sum.healthy : failed ? sum.failed : sum.unproven);
      absl::StrAppend(&sum.who, " ", row.agent.ToString().substr(0, 8), ":", storage::Name(row.outcome));
    };
    add(all);
    if (row.stage == granted.stage) add(stage);
    for (const std::string& cell : row.cells) {
      if (cells.contains(cell)) add(cells[cell]);
    }
  }
  const auto check = [&](const Sum& sum, int64_t b0, const std::string& name) {
    if (sum.unproven > b0 + sum.healthy) {
      Found(now, absl::StrCat("invariant 6: ", channel, "/", serial, " ", name, ": ", sum.unproven,
                              " unproven with ", sum.healthy, " healthy and b0 = ", b0, ":", sum.who));
    }
  };
  const int64_t b0 = StartOf(stages_[granted.stage].members);
  // A first canary that fails lets in nobody else, unless a person let the release go on.
  const auto brake = brakes_.find({"", channel, serial, ""});
  const bool waived = brake != brakes_.end() && brake->second.resumed_at > absl::InfinitePast();
  if (all.healthy == 0 && !waived) all.unproven += all.failed;
  check(all, StartOf(static_cast<int64_t>(hosts_.size())), "release");
  check(stage, b0, absl::StrCat("stage ", granted.stage));
  for (const auto& [cell, sum] : cells) check(sum, b0, "cell " + cell);
}

void InvariantWatch::OnOutcome(const storage::OutcomeUpdate& update, absl::Time now) {
  const auto it = exposures_.find({update.channel, update.serial, update.agent, update.bucket});
  if (it == exposures_.end()) return Found(now, "an outcome of an exposure that does not exist");
  storage::ExposureRow& row = it->second;
  const HeardHost& host = hosts_[update.agent];
  const std::string what = absl::StrCat("the outcome of ", update.agent.ToString().substr(0, 8), " for ",
                                        update.channel, "/", update.serial, " goes from ",
                                        storage::Name(row.outcome), " to ", storage::Name(update.outcome));
  if (update.outcome != row.outcome) {
    Trace(now, what);
    const auto runs = host.running.find(update.channel);
    const policy::Release& release = releases_[{update.channel, update.serial}].release;
    const bool on_it = runs != host.running.end() && policy::Holds(release, runs->second);
    if (update.outcome == Outcome::kConfirmed && !on_it && host.last_heard < update.outcome_at) {
      Found(now, absl::StrCat("invariant 7: ", what, " at ", absl::FormatTime(update.outcome_at),
                              " although it was last heard on something else at ",
                              absl::FormatTime(host.last_heard)));
    }
    if (update.outcome == Outcome::kConfirmed && host.last_heard < row.exposed_at) {
      Found(now, absl::StrCat("invariant 7: ", what, " although it was not heard since"));
    }
    const bool was_bad = row.outcome == Outcome::kCrashed || row.outcome == Outcome::kSilent;
    if (was_bad && update.outcome == Outcome::kConfirmed && host.last_heard <= row.outcome_at) {
      Found(now, absl::StrCat("invariant 8: ", what, " although it was not heard since"));
    }
    if (was_bad && update.outcome == Outcome::kUnused) {
      Found(now, absl::StrCat("invariant 8: ", what));
    }
    if (update.outcome == Outcome::kSilent && host.last_heard < update.outcome_at &&
        update.outcome_at - host.last_heard < 2.5 * options_.h - absl::Seconds(1)) {
      Found(now, absl::StrCat("invariant 13: ", what, " although it was heard ",
                              absl::FormatDuration(update.outcome_at - host.last_heard), " before"));
    }
  }
  if (update.outcome == Outcome::kConfirmed) once_confirmed_.insert(it->first);
  if (update.outcome == Outcome::kPending && row.outcome != Outcome::kPending) {  // it runs it after all
    once_confirmed_.erase(it->first);
    matures_at_[it->first] = now + kProbation * options_.h;
  }
  row.outcome = update.outcome;
  row.outcome_at = update.outcome_at;
  row.activated = update.activated;
  row.deadline = update.deadline;
}

}  // namespace ringfence::test
