// Hosts, label sets, and what plans make of them.
#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/policy/bucket.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// What is usual depends on the kind of host: what its label `class` says ("server", "laptop"), or else its
// platform.
std::string KindOf(const policy::Labels& labels) {
  for (const char* key : {"class", "platform"}) {
    for (const auto& pair : labels.WithKey(key)) return pair.second;
  }
  return "";
}

}  // namespace

uint32_t Engine::TenantIndex(const std::string& name) {
  const auto [it, added] = tenant_index_.try_emplace(name, static_cast<uint32_t>(tenants_.size()));
  if (added) tenants_.push_back({name, std::nullopt, absl::InfinitePast()});
  return it->second;
}

uint32_t Engine::InternLabels(uint32_t tenant, const policy::Labels& reported, const AgentId& agent) {
  std::string hash16 = reported.Hash16();
  std::string key = hash16;
  policy::Labels labels = reported;
  // Where a plan selects by bucket, hosts that say the same may be in different rings.
  if (tenants_[tenant].plan.has_value() && policy::UsesBuckets(tenants_[tenant].plan->plan)) {
    labels = policy::LabelsFor(tenants_[tenant].plan->plan, reported, agent);
    key += labels.Hash16();
  }
  const auto [it, added] =
      label_set_index_.try_emplace({tenant, std::move(key)}, static_cast<uint32_t>(label_sets_.size()));
  if (added) {
    LabelSet& set = label_sets_.emplace_back();
    set.tenant = tenant;
    tenant_of_set_.Add(&tenants_[tenant].name);
    set.reported = reported;
    set.labels = labels;
    set.hash16 = std::move(hash16);
    set.cells = cells_.CellsOf(labels, cohort_keys_);
    set.host_class = background_.ClassOf(KindOf(labels));
    const auto& plan = tenants_[tenant].plan;
    if (plan.has_value()) set.ring = policy::RingOf(plan->plan, labels).value_or(-1);
    set.place = places_.Intern(tenant, set.ring, set.cells);
  }
  return it->second;
}

uint32_t Engine::InternRunning(std::vector<storage::Running> running) {
  std::string key;
  for (const storage::Running& one : running) absl::StrAppend(&key, one.channel, "\n", one.digest.raw());
  const auto [it, added] =
      running_set_index_.try_emplace(std::move(key), static_cast<uint32_t>(running_sets_.size()));
  if (added) running_sets_.push_back(std::move(running));
  return it->second;
}

const DirectiveList* Engine::InternDirectives(std::vector<Directive> directives) {
  std::string key;
  for (const Directive& d : directives) {
    absl::StrAppend(&key, static_cast<int>(d.kind), d.channel, "\n", d.serial, "\n", d.digest.raw());
  }
  const auto [it, added] = directive_lists_.try_emplace(std::move(key));
  if (added) it->second = std::make_shared<const std::vector<Directive>>(std::move(directives));
  return &it->second;
}

void Engine::PlansChanged() {
  // The union of all cohort keys: every plan's gates can then be read.
  std::set<std::string> keys;
  gate_configs_.clear();
  window_keys_.clear();
  FleetNanos keep = absl::ToInt64Nanoseconds(absl::Hours(1));
  for (uint32_t t = 0; t < tenants_.size(); ++t) {
    if (!tenants_[t].plan.has_value()) continue;
    tenants_[t].calendar_changes_at = absl::InfinitePast();
    const policy::SloGates& gates = tenants_[t].plan->plan.gates;
    keys.insert(gates.cohort_keys.begin(), gates.cohort_keys.end());
    const auto same = std::find_if(gate_configs_.begin(), gate_configs_.end(),
                                   [&](const GateConfig& config) { return config.gates == gates; });
    if (same == gate_configs_.end()) {
      gate_configs_.push_back({gates, {t}});
    } else {
      same->tenants.push_back(t);
    }
    const auto add = [&](policy::GateKind kind, absl::Duration window) {
      mu_.AssertHeld();
      window_keys_.insert({kind, absl::ToInt64Nanoseconds(window)});
    };
    if (gates.crash.has_value()) add(policy::GateKind::kCrash, gates.crash->window);
    if (gates.degraded.has_value()) add(policy::GateKind::kDegraded, gates.degraded->window);
    if (gates.silence.has_value()) {
      add(policy::GateKind::kSilence, gates.silence->window);
      keep = std::max(keep, absl::ToInt64Nanoseconds(gates.silence->window));
    }
  }
  // What people exclude is seen whether or not a plan names it.
  for (const auto& release : releases_) {
    for (const std::string& cohort : release->judgement.excluded()) {
      keys.insert(cohort.substr(0, cohort.find('=')));
    }
  }
  series_keep_ = keep;
  cohort_keys_.assign(keys.begin(), keys.end());
  for (const auto& release : releases_) {
    for (const auto& [kind, length] : window_keys_) release->AddWindow(kind, length, FleetNow());
    release->judgement.ForgetPlaces();
  }

  const std::map<HostRef, uint32_t> moved = SortIntoBuckets();
  std::vector<const Place*> old_places;
  for (LabelSet& set : label_sets_) {
    const auto& plan = tenants_[set.tenant].plan;
    set.ring = plan.has_value() ? policy::RingOf(plan->plan, set.labels).value_or(-1) : -1;
    set.lasting.clear();
    old_places.push_back(set.place);
    set.cells = cells_.CellsOf(set.labels, cohort_keys_);
    set.place = places_.Intern(set.tenant, set.ring, set.cells);
  }
  for (const auto& stage : stages_) {
    stage->ring = -1;
    const auto& plan = tenants_[stage->tenant].plan;
    if (!plan.has_value()) continue;
    for (size_t i = 0; i < plan->plan.rings.size(); ++i) {
      if (plan->plan.rings[i].name == stage->row.ring) stage->ring = static_cast<int>(i);
    }
  }
  AskPlans(clock_->Now());  // what is tighter now holds at once
  // Hosts that are online count in the cells of now; exposures too.
  fleet_.ForEach([&](HostRef host, Row& row) {
    mu_.AssertHeld();
    const LabelSet& set = label_sets_[row.label_set];
    const auto from = moved.find(host);
    const Place* const old_place = old_places[from == moved.end() ? row.label_set : from->second];
    if (set.place == old_place) return;
    if (!row.silent && !row.deleted) {
      CountOnline(*old_place, -1);
      CountOnline(*set.place, +1);
    }
    for (const auto& release : releases_) {
      Exposure* exposure = release->Find(host);
      if (exposure == nullptr) continue;
      release->Relabel(*exposure, *set.place);
      TakeOutIfBlocked(*release, *exposure);
    }
  });
  Changed();
}

std::map<HostRef, uint32_t> Engine::SortIntoBuckets() {
  std::map<HostRef, uint32_t> moved;
  std::vector<bool> concerned(tenants_.size(), false);
  for (uint32_t t = 0; t < tenants_.size(); ++t)
    concerned[t] = tenants_[t].plan.has_value() && policy::UsesBuckets(tenants_[t].plan->plan);
  for (const LabelSet& set : label_sets_) {
    if (!(set.labels == set.reported)) concerned[set.tenant] = true;
  }
  if (std::none_of(concerned.begin(), concerned.end(), [](bool one) { return one; })) return moved;
  std::vector<std::pair<HostRef, AgentId>> hosts;
  fleet_.ForEach([&](HostRef host, Row& row) {
    mu_.AssertHeld();
    if (concerned[label_sets_[row.label_set].tenant]) hosts.emplace_back(host, row.agent);
  });
  for (const auto& [host, agent] : hosts) {
    const auto [before, deleted] =
        fleet_.With(host, [](Row& row) { return std::make_pair(row.label_set, row.deleted); });
    const uint32_t tenant = label_sets_[before].tenant;
    const policy::Labels reported = label_sets_[before].reported;
    const uint32_t after = InternLabels(tenant, reported, agent);
    if (after == before) continue;
    fleet_.With(host, [after = after](Row& row) {
      row.label_set = after;
      row.recheck_at = 0;
    });
    moved[host] = before;
    if (deleted) continue;
    --label_sets_[before].hosts;
    ++label_sets_[after].hosts;
  }
  return moved;
}

policy::Reason Engine::Lasting(LabelSet& set, size_t release_index) {
  const auto& plan = tenants_[set.tenant].plan;
  if (!plan.has_value()) return policy::Reason::kNoRing;
  if (set.lasting.size() <= release_index) set.lasting.resize(releases_.size(), 0);
  uint8_t& known = set.lasting[release_index];
  if (known == 0) {
    known = static_cast<uint8_t>(
        static_cast<int>(policy::LastingReason(plan->plan, set.labels, releases_[release_index]->release())) +
        1);
  }
  return static_cast<policy::Reason>(known - 1);
}

HostRef Engine::AddHost(const storage::AgentRow& row, FleetNanos now) {
  const uint32_t tenant = TenantIndex(row.tenant);
  const uint32_t label_set = InternLabels(tenant, row.labels, row.agent);
  const uint32_t running_set = InternRunning(row.running);
  const HostRef host = fleet_.Add(row.agent);
  // Not heard for an hour before this start: taken as away, so that nobody waits for it.
  const bool silent = absl::FromUnixNanos(now) - row.last_seen > absl::Hours(1);
  uint64_t boot = 0;
  if (!absl::SimpleHexAtoi(row.boot_id, &boot)) boot = 0;
  fleet_.With(host, [&](Row& r) {
    r.secret_hash = row.secret_hash;
    r.boot_hash = boot;
    r.last_seen = now;
    r.recheck_at = 0;
    r.label_set = label_set;
    r.running_set = running_set;
    r.enrolled_at = static_cast<uint32_t>(absl::ToUnixSeconds(row.enrolled_at));
    r.silent = silent;
    r.deleted = row.deleted;
  });
  if (row.deleted) return host;
  LabelSet& set = label_sets_[label_set];
  ++set.hosts;
  if (silent) {
    ++silent_hosts_;
  } else {
    CountOnline(*set.place, +1);
    ++online_unexposed_;
    wheel_.Arm(host, now + SilenceAfter(tenant));
  }
  return host;
}

storage::AgentRow Engine::RowOf(HostRef host) {
  const Row row = fleet_.With(host, [](Row& r) { return r; });
  const LabelSet& set = label_sets_[row.label_set];
  storage::AgentRow out;
  out.agent = row.agent;
  out.tenant = tenants_[set.tenant].name;
  out.secret_hash = row.secret_hash;
  out.labels = set.reported;
  out.running = running_sets_[row.running_set];
  out.boot_id = absl::StrCat(absl::Hex(row.boot_hash, absl::kZeroPad16));
  out.enrolled_at = absl::FromUnixSeconds(row.enrolled_at);
  out.last_seen = absl::FromUnixNanos(row.last_seen + blind_nanos_.load());
  out.deleted = row.deleted;
  return out;
}

}  // namespace ringfence::app
