// A plan that is not in force, against the fleet of now: what it changes, and a projection of who would get
// which release when. What it rests on is gathered under the lock; it is computed without.
#include <algorithm>
#include <map>
#include <memory>

#include "ringfence/policy/bucket.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// Plans and questions of one preview, so that nothing points into the engine when its lock is gone.
struct Questions {
  std::vector<policy::ProjectionInput> now, then, internal;  // one for each channel
};

// What the vendor's own fleet will have shown by then.
void RestOn(const policy::Projection& internal, policy::ProjectionInput& in) {
  for (size_t i = 0; i < in.releases.size() && i < internal.all_passed.size(); ++i) {
    policy::ReleaseStanding& release = in.releases[i];
    if (release.internal_passes != absl::InfiniteFuture()) continue;
    release.internal_passes = internal.all_passed[i];
    release.ages_from = std::min(release.ages_from, internal.first_proven[i]);
  }
}

}  // namespace

std::vector<Engine::SeenHosts> Engine::HostsUnder(const policy::Plan& plan, uint32_t tenant) {
  std::vector<SeenHosts> seen;
  if (!policy::UsesBuckets(plan)) {
    for (const LabelSet& set : label_sets_) {
      if (set.tenant == tenant && set.hosts > 0) seen.push_back({set.reported, set.hosts, set.ring});
    }
    return seen;
  }
  std::map<std::pair<uint32_t, std::string>, size_t> known;
  fleet_.ForEach([&](HostRef, Row& row) {
    mu_.AssertHeld();
    const LabelSet& set = label_sets_[row.label_set];
    if (row.deleted || set.tenant != tenant) return;
    policy::Labels labels = policy::LabelsFor(plan, set.reported, row.agent);
    const auto [at, added] = known.try_emplace({row.label_set, labels.Hash16()}, seen.size());
    if (added) seen.push_back({std::move(labels), 0, set.ring});
    ++seen[at->second].hosts;
  });
  return seen;
}

policy::ProjectionInput Engine::ProjectionOf(const policy::Plan& plan, uint32_t tenant,
                                             const std::string& channel, absl::Time now) {
  policy::ProjectionInput in;
  in.plan = &plan;
  in.channel = channel;
  in.first_of_internal = IsFirstToTake(tenant);
  in.now = now;
  in.checkin = options_.checkin_interval;
  in.step = options_.checkin_interval / 4;
  for (SeenHosts& seen : HostsUnder(plan, tenant)) in.mix.push_back({std::move(seen.labels), seen.hosts});
  const bool internal = tenants_[tenant].name == options_.internal_tenant;
  for (const auto& release : releases_) {
    if (release->release().channel != channel) continue;
    policy::ReleaseStanding standing;
    standing.release = release->release();
    in.probation = absl::Nanoseconds(release->d);
    const BrakeView brakes = BrakesOn(tenants_[tenant].name, channel, standing.release.serial, "");
    standing.stopped =
        brakes.halted || brakes.recalled || release->row.state == storage::ReleaseState::kRecalled;
    if (brakes.any()) standing.brake = brakes.reason();
    if (!internal && !InternalPassed(*release)) standing.internal_passes = absl::InfiniteFuture();
    standing.healthy_age = release->row.healthy_age;
    if (release->SoaksHealthy()) standing.ages_from = now;
    for (const auto& stage : stages_) {
      if (stage->release != release.get() || stage->tenant != tenant) continue;
      policy::StageStanding& to = standing.stages.emplace_back();
      to.ring = stage->row.ring;
      to.state = stage->row.state;
      to.wave = stage->row.wave;
      to.opened = stage->row.wave_opened_at;
      to.soaked = stage->row.soaked;
      to.exposed = stage->exposed;
      to.confirmed = stage->budget.healthy;
      if (const BrakeView on = BrakesOn(*stage); on.any()) to.brake = on.reason();
    }
    for (const policy::Ring& ring : plan.rings) {
      const bool asks = policy::EffectiveApproval(plan, ring, channel) == policy::Approval::kExplicit;
      if (!asks && !ring.hasten_to.has_value()) continue;
      const auto haste = HasteOf(tenant, channel, standing.release.serial, ring);
      standing.consents.push_back({ring.name, ConsentOf(tenant, channel, standing.release.serial, ring.name),
                                   haste.has_value() ? std::optional(haste->min_age) : std::nullopt});
    }
    in.releases.push_back(std::move(standing));
  }
  std::sort(in.releases.begin(), in.releases.end(),
            [](const auto& a, const auto& b) { return a.release.serial < b.release.serial; });
  return in;
}

PreviewReply Engine::PreviewPlan(const policy::Plan& plan) {
  PreviewReply reply;
  policy::Plan before, vendors;
  Questions questions;
  {
    MutexLock lock(&mu_);
    const absl::Time now = clock_->Now();
    reply = PreviewLocked(plan, now);
    const auto known = tenant_index_.find(plan.tenant);
    if (known == tenant_index_.end()) return reply;
    const auto ask = [&](const policy::Plan& of, uint32_t tenant, std::vector<policy::ProjectionInput>& out) {
      mu_.AssertHeld();
      for (const policy::ChannelRule& rule : of.channels)
        out.push_back(ProjectionOf(of, tenant, rule.channel, now));
    };
    if (tenants_[known->second].plan.has_value()) before = tenants_[known->second].plan->plan;
    ask(before, known->second, questions.now);
    ask(plan, known->second, questions.then);
    const auto internal = tenant_index_.find(options_.internal_tenant);
    if (internal != tenant_index_.end() && internal->second != known->second &&
        tenants_[internal->second].plan.has_value()) {
      vendors = tenants_[internal->second].plan->plan;
      ask(vendors, internal->second, questions.internal);
    }
    std::map<std::string, policy::MixEntry> mix;
    for (const LabelSet& set : label_sets_) {
      if (set.tenant != known->second || set.hosts == 0) continue;
      policy::MixEntry& entry = mix[set.hash16];
      entry.labels = set.reported;
      entry.hosts += set.hosts;
    }
    for (auto& [hash, entry] : mix) reply.mix.push_back(std::move(entry));
  }
  std::stable_sort(reply.mix.begin(), reply.mix.end(),
                   [](const auto& a, const auto& b) { return a.hosts > b.hosts; });
  if (reply.mix.size() > kMostMixEntries) reply.mix.resize(kMostMixEntries);
  const auto answer = [&](std::vector<policy::ProjectionInput>& inputs,
                          std::vector<policy::Projection>& out) {
    for (policy::ProjectionInput& input : inputs) {
      for (const policy::ProjectionInput& own : questions.internal) {
        if (own.channel == input.channel) RestOn(policy::Project(own), input);
      }
      out.push_back(policy::Project(input));
    }
  };
  answer(questions.now, reply.projected_now);
  answer(questions.then, reply.projected_then);
  return reply;
}

}  // namespace ringfence::app
