// Why (not), when, and what would be: for one host, for every host of a tenant, and for a plan that is not in
// force. From memory.
#include <algorithm>
#include <climits>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/policy/choice.h"
#include "ringfence/policy/host_eligibility.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

constexpr size_t kExamples = 3;

}  // namespace

policy::Moment Engine::RingMoment(const LabelSet& set, ReleaseState& release, absl::Time now) {
  const Tenant& tenant = tenants_[set.tenant];
  const std::string& channel = release.release().channel;
  const uint64_t serial = release.release().serial;
  const bool in_ring = tenant.plan.has_value() && set.ring >= 0;
  const std::string ring = in_ring ? tenant.plan->plan.rings[static_cast<size_t>(set.ring)].name : "";

  policy::Moment moment;
  moment.now = now;
  const BrakeView brakes = BrakesOn(tenant.name, channel, serial, ring);
  moment.tenant_paused = brakes.tenant_paused;
  moment.vendor_paused = brakes.vendor_paused;
  moment.held = brakes.held;
  moment.halted = brakes.halted;
  moment.recalled = brakes.recalled;
  moment.blind = blind_ || database_down_;
  moment.internal_passed = tenant.name == options_.internal_tenant || InternalPassed(release);
  moment.ring_chose_it = false;
  moment.choice_reason = policy::Reason::kFinishingOther;
  moment.stage = policy::StageState::kWaiting;
  if (!in_ring) return moment;

  moment.consent = ConsentOf(set.tenant, channel, serial, ring);
  Stage* current = CurrentStage(set.tenant, channel, ring);
  const Stage* stage = nullptr;
  for (const auto& candidate : stages_) {
    if (candidate->tenant == set.tenant && candidate->row.ring == ring && candidate->release == &release) {
      stage = candidate.get();
    }
  }
  if (stage != nullptr && (stage == current || stage == OfferingStage(set.tenant, channel, ring))) {
    moment.ring_chose_it = stage->plan_says == policy::Reason::kNone;
    moment.choice_reason = stage->plan_says;
    moment.stage = stage->row.state;
    moment.members = stage->row.members;
    const bool waits = stage->row.state == policy::StageState::kWaiting && stage->ring >= 0;
    if (waits && tenant.plan->plan.uncovered_cohorts == policy::UncoveredCohorts::kHold)
      moment.uncovered = absl::StrJoin(UncoveredIn(*stage), ", ");
    moment.revisit_at = stage->revisit_at;
  } else if (policy::FindRule(tenant.plan->plan, channel) != nullptr) {
    const policy::Choice choice = ChooseFor(tenant.plan->plan, set.tenant, set.ring, channel, now);
    if (choice.reason != policy::Reason::kNone) {
      moment.choice_reason = choice.reason;
      moment.revisit_at = choice.revisit_at;
    }
  }
  return moment;
}

Engine::HostFacts Engine::FactsOf(HostRef host, const Row& row, ReleaseState& release) {
  HostFacts facts;
  const LabelSet& set = label_sets_[row.label_set];
  const Tenant& tenant = tenants_[set.tenant];
  const policy::Release& r = release.release();
  const std::vector<storage::Running>& running = running_sets_[row.running_set];
  for (const storage::Running& one : running) {
    facts.already_running |= one.channel == r.channel && policy::Holds(r, one.digest);
  }
  facts.quarantined = quarantined_.contains({host, r.digest});
  const Exposure* exposure = release.Find(host);
  if (exposure != nullptr && facts.already_running) {
    const BrakeView brakes = BrakesOn(tenant.name, r.channel, r.serial, exposure->stage->row.ring);
    facts.reverting = (brakes.reverting || brakes.recalled || exposure->blocked) &&
                      MayOrderBack(set.tenant, release, exposure);
  }
  facts.blocked_cohort = BlockedCohort(release, host, *set.place);
  const policy::ChannelRule* rule =
      tenant.plan.has_value() ? policy::FindRule(tenant.plan->plan, r.channel) : nullptr;
  if (rule != nullptr && set.ring >= 0) {
    facts.barrier = BarrierBefore(*rule, running, r);
  }
  return facts;
}

policy::Eligibility Engine::EvaluateHost(const LabelSet& set, const ReleaseState& release,
                                         policy::Moment moment, const HostFacts& facts) const {
  static const policy::Plan kNoPlan;
  const Tenant& tenant = tenants_[set.tenant];
  moment.already_running = facts.already_running;
  moment.quarantined = facts.quarantined;
  moment.reverting = facts.reverting;
  moment.blocked_cohort = facts.blocked_cohort;
  if (facts.barrier != nullptr) moment.barrier = facts.barrier->release().version;
  return policy::Evaluate(tenant.plan.has_value() ? tenant.plan->plan : kNoPlan, set.labels,
                          release.release(), moment);
}

absl::StatusOr<ExplainReply> Engine::Explain(const AgentId& agent, const std::string& channel,
                                             uint64_t serial) {
  MutexLock lock(&mu_);
  const HostRef host = fleet_.Find(agent);
  if (host == kNoHost) return absl::NotFoundError("id: no such agent");
  ReleaseState* release = FindRelease(channel, serial);
  if (release == nullptr) {
    return absl::NotFoundError(absl::StrCat("channel: nothing such was published in \"", channel, "\""));
  }
  ExplainReply reply;
  reply.agent = InfoOf(host);
  reply.channel = channel;
  reply.serial = release->release().serial;
  reply.version = release->release().version;
  const Row row = fleet_.With(host, [](Row& r) { return r; });
  const LabelSet& set = label_sets_[row.label_set];
  reply.eligibility =
      EvaluateHost(set, *release, RingMoment(set, *release, clock_->Now()), FactsOf(host, row, *release));
  return reply;
}

absl::StatusOr<ExplainReleaseReply> Engine::ExplainRelease(const std::string& tenant,
                                                           const std::string& channel, uint64_t serial) {
  MutexLock lock(&mu_);
  ReleaseState* release = FindRelease(channel, serial);
  if (release == nullptr) {
    return absl::NotFoundError(absl::StrCat("channel: nothing such was published in \"", channel, "\""));
  }
  ExplainReleaseReply reply;
  reply.channel = channel;
  reply.serial = release->release().serial;
  reply.version = release->release().version;
  const auto index = tenant_index_.find(tenant);
  if (index == tenant_index_.end()) return reply;

  // Hosts that are alike get one evaluation.
  struct Alike {
    int64_t hosts = 0, silent = 0;
    std::vector<AgentId> examples;
  };
  const auto note = [](auto& counts, const AgentId& agent) {
    counts.examples.push_back(agent);
    std::sort(counts.examples.begin(), counts.examples.end());
    if (counts.examples.size() > kExamples) counts.examples.pop_back();
  };
  absl::flat_hash_map<std::tuple<uint32_t, bool, bool, bool, const ReleaseState*, std::string>, Alike> alike;
  fleet_.ForEach([&](HostRef host, Row& row) {
    mu_.AssertHeld();
    if (row.deleted || label_sets_[row.label_set].tenant != index->second) return;
    const HostFacts facts = FactsOf(host, row, *release);
    Alike& same = alike[{row.label_set, facts.already_running, facts.quarantined, facts.reverting,
                         facts.barrier, facts.blocked_cohort}];
    ++same.hosts;
    same.silent += row.silent ? 1 : 0;
    note(same, row.agent);
  });

  const absl::Time now = clock_->Now();
  std::map<int, policy::Moment> moments;  // by ring
  std::map<std::pair<int, policy::Reason>, ReasonGroup> groups;
  for (const auto& [key, same] : alike) {
    const auto& [label_set, running, quarantined, reverting, barrier, blocked] = key;
    const LabelSet& set = label_sets_[label_set];
    auto moment = moments.find(set.ring);
    if (moment == moments.end()) moment = moments.emplace(set.ring, RingMoment(set, *release, now)).first;
    const policy::Eligibility answer =
        EvaluateHost(set, *release, moment->second, {running, quarantined, reverting, barrier, blocked});
    // Rings in the plan's order, hosts without one last.
    ReasonGroup& group = groups[{set.ring < 0 ? INT_MAX : set.ring, answer.reason}];
    const auto closed = std::find_if(answer.gates.begin(), answer.gates.end(),
                                     [](const policy::GateAnswer& gate) { return !gate.open; });
    const std::string detail = closed == answer.gates.end() ? "" : closed->detail;
    if (group.hosts == 0) {
      if (set.ring >= 0)
        group.ring = tenants_[set.tenant].plan->plan.rings[static_cast<size_t>(set.ring)].name;
      group.reason = answer.reason;
      if (closed != answer.gates.end()) group.opens_by = closed->opens_by;
      group.detail = detail;
    } else if (group.detail != detail) {
      group.detail = "differs from host to host";
    }
    group.next = std::min(group.next, answer.next);
    group.hosts += same.hosts;
    group.silent += same.silent;
    for (const AgentId& agent : same.examples) note(group, agent);
    reply.hosts += same.hosts;
  }
  std::vector<std::pair<int, ReasonGroup>> sorted;
  for (auto& [key, group] : groups) sorted.emplace_back(key.first, std::move(group));
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, -a.second.hosts) < std::pair(b.first, -b.second.hosts);
  });
  for (auto& [ring, group] : sorted) reply.groups.push_back(std::move(group));
  return reply;
}

RingTarget Engine::TargetOf(const policy::Plan& plan, uint32_t tenant, int ring, const std::string& channel,
                            absl::Time now) {
  RingTarget target;
  target.ring = plan.rings[static_cast<size_t>(ring)].name;
  target.channel = channel;
  const Stage* current = CurrentStage(tenant, channel, target.ring);
  const ReleaseState* release = current == nullptr ? nullptr : current->release;
  const bool busy = current != nullptr && (current->row.state == policy::StageState::kOpen ||
                                           current->row.state == policy::StageState::kPaused ||
                                           current->row.state == policy::StageState::kHeld);
  if (!busy) {
    const policy::Choice choice = ChooseFor(plan, tenant, ring, channel, now);
    target.next = choice.revisit_at;
    const bool newer =
        choice.serial.has_value() && (release == nullptr || *choice.serial > release->release().serial);
    if (newer) release = FindRelease(channel, *choice.serial);
    if (!newer && (current == nullptr || !policy::GivesLeases(current->row.state))) {
      target.reason =
          choice.serial.has_value() && current != nullptr && current->row.state == policy::StageState::kHalted
              ? policy::Reason::kHalted
          : choice.serial.has_value() ? policy::Reason::kStageWaiting
                                      : choice.reason;
    }
  }
  if (release == nullptr) return target;
  target.serial = release->release().serial;
  target.version = release->release().version;
  if (target.reason != policy::Reason::kNone) return target;
  const policy::ChannelRule* rule = policy::FindRule(plan, channel);
  const BrakeView brakes = BrakesOn(tenants_[tenant].name, channel, target.serial, target.ring);
  if (rule == nullptr) {
    target.reason = policy::Reason::kChannelNotInPlan;
  } else if (rule->mode == policy::ChannelMode::kPaused) {
    target.reason = policy::Reason::kChannelPaused;
  } else if (brakes.any()) {
    target.reason = brakes.reason();
  } else {
    target.reason = policy::PassingReason(plan, ring, release->release(),
                                          ConsentOf(tenant, channel, target.serial, target.ring), now);
    if (target.reason == policy::Reason::kNone) return target;
    const policy::Calendar calendar =
        policy::CalendarOf(plan, plan.rings[static_cast<size_t>(ring)], channel, release->release().urgent);
    const policy::CalendarAnswer answer = policy::Ask(calendar, now);
    target.next = answer.closed == target.reason ? answer.until : absl::InfiniteFuture();
  }
  return target;
}

PreviewReply Engine::PreviewLocked(const policy::Plan& plan, absl::Time now) {
  PreviewReply reply;
  const auto known = tenant_index_.find(plan.tenant);
  if (known == tenant_index_.end()) {  // nobody has enrolled, nothing was applied
    for (const policy::Ring& ring : plan.rings) reply.rings.push_back({ring.name, 0, 0});
    return reply;
  }
  const uint32_t tenant = known->second;
  static const policy::Plan kNoPlan;
  const policy::Plan& before = tenants_[tenant].plan.has_value() ? tenants_[tenant].plan->plan : kNoPlan;
  if (tenants_[tenant].plan.has_value()) reply.revision = tenants_[tenant].plan->revision;

  std::map<std::string, std::pair<int64_t, int64_t>> sizes;
  std::map<std::pair<std::string, std::string>, int64_t> moves, overlaps;
  for (const SeenHosts& set : HostsUnder(plan, tenant)) {
    reply.hosts += set.hosts;
    const std::string from = set.ring_now < 0 ? "" : before.rings[static_cast<size_t>(set.ring_now)].name;
    std::vector<std::string> matching;
    for (const policy::Ring& ring : plan.rings) {
      if (matching.size() < 2 && policy::Matches(ring.selector, set.labels)) matching.push_back(ring.name);
    }
    const std::string to = matching.empty() ? "" : matching[0];
    sizes[from].first += set.hosts;
    sizes[to].second += set.hosts;
    if (from != to) moves[{from, to}] += set.hosts;
    if (matching.size() > 1) overlaps[{matching[0], matching[1]}] += set.hosts;
  }
  const auto largest_first = [](const auto& counted) {
    std::vector<HostMove> list;
    for (const auto& [names, hosts] : counted) list.push_back({names.first, names.second, hosts});
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.hosts > b.hosts; });
    return list;
  };
  reply.moves = largest_first(moves);
  reply.overlaps = largest_first(overlaps);

  const auto add_size = [&](const std::string& ring) {
    const auto [now_hosts, then_hosts] = sizes[ring];
    reply.rings.push_back({ring, now_hosts, then_hosts});
    sizes.erase(ring);
  };
  for (const policy::Ring& ring : plan.rings) {
    add_size(ring.name);
    if (reply.rings.back().hosts_then > 0 || reply.hosts == 0) continue;
    reply.warnings.push_back(absl::StrCat("No host that is enrolled now would be in ring ", ring.name, "."));
  }
  for (const policy::Ring& ring : before.rings) {
    if (policy::FindRing(plan, ring.name) == nullptr) add_size(ring.name);
  }
  if (const int64_t lost = sizes[""].second; lost > 0) {
    reply.warnings.push_back(absl::StrCat(lost, " of ", reply.hosts,
                                          " hosts would be in no ring: they are never offered anything."));
  }
  if (sizes[""] != std::pair<int64_t, int64_t>{}) add_size("");
  if (plan.rings.size() > 1 && reply.hosts > 1 && reply.rings[0].hosts_then == reply.hosts) {
    reply.warnings.push_back(absl::StrCat("All ", reply.hosts, " hosts would be in ring ", plan.rings[0].name,
                                          ", the first: nobody goes ahead of anybody."));
  }
  for (const policy::ChannelRule& rule : plan.channels) {
    for (const std::string& barrier : rule.barriers) {
      const bool published = std::any_of(releases_.begin(), releases_.end(), [&](const auto& release) {
        return release->release().channel == rule.channel && release->release().version == barrier;
      });
      if (!published)
        reply.warnings.push_back(absl::StrCat("The barrier ", barrier, " of channel ", rule.channel,
                                              " is no published release: it holds back nothing yet."));
    }
  }

  const auto add_targets = [&](const policy::Plan& of, std::vector<RingTarget>& out) {
    mu_.AssertHeld();
    for (size_t ring = 0; ring < of.rings.size(); ++ring) {
      for (const policy::ChannelRule& rule : of.channels) {
        out.push_back(TargetOf(of, tenant, static_cast<int>(ring), rule.channel, now));
      }
    }
  };
  add_targets(before, reply.now);
  add_targets(plan, reply.then);
  return reply;
}

}  // namespace ringfence::app
