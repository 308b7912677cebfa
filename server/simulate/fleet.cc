#include "server/simulate/fleet.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/status_macros.h"
#include "server/simulate/rng.h"

namespace ringfence::replay {
namespace {

AgentId MakeId(Rng& rng) {
  AgentId id;
  for (size_t i = 0; i < id.bytes.size(); i += 8) {
    const uint64_t word = rng.Next();
    for (size_t k = 0; k < 8; ++k) id.bytes[i + k] = static_cast<uint8_t>(word >> (8 * k));
  }
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | 0x40);  // version 4
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);  // RFC 4122 variant
  return id;
}

std::vector<uint32_t> Shuffled(size_t count, Rng& rng) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  return order;
}

// Tenants and cohorts by exact quota, so that a run at a small scale still has every kind of host.
void FillTenants(const Scenario& scenario, int64_t size, Fleet& fleet) {
  std::vector<double> tenant_shares;
  for (const TenantSpec& tenant : scenario.fleet.tenants) tenant_shares.push_back(tenant.share);
  const std::vector<int64_t> tenant_sizes = Apportion(size, tenant_shares);
  for (size_t t = 0; t < tenant_sizes.size(); ++t) {
    const TenantSpec& tenant = scenario.fleet.tenants[t];
    std::vector<double> cohort_shares;
    for (const CohortSpec& cohort : scenario.fleet.cohorts) {
      const auto own = tenant.cohort_shares.find(cohort.name);
      cohort_shares.push_back(tenant.cohort_shares.empty()        ? cohort.share
                              : own == tenant.cohort_shares.end() ? 0.0
                                                                  : own->second);
    }
    const std::vector<int64_t> cohort_sizes = Apportion(tenant_sizes[t], cohort_shares);
    for (size_t c = 0; c < cohort_sizes.size(); ++c) {
      Host host;
      host.tenant = static_cast<uint16_t>(t);
      host.cohort = static_cast<uint16_t>(c);
      fleet.hosts.insert(fleet.hosts.end(), static_cast<size_t>(cohort_sizes[c]), host);
    }
  }
}

void AssignRings(const Scenario& scenario, uint64_t seed, Fleet& fleet) {
  Rng rng(seed, "rings");
  const std::vector<uint32_t> order = Shuffled(fleet.hosts.size(), rng);
  for (size_t r = 0; r < scenario.plan.rings.size(); ++r) {
    const RingSpec& ring = scenario.plan.rings[r];
    const auto take = [&](Host& host) { host.ring = static_cast<uint16_t>(r); };
    if (ring.rest || !ring.tenants.empty()) {
      for (Host& host : fleet.hosts) {
        const bool named =
            std::find(ring.tenants.begin(), ring.tenants.end(), fleet.TenantOf(host)) != ring.tenants.end();
        if (host.ring == kNoIndex && (ring.rest || named)) take(host);
      }
      continue;
    }
    int64_t wanted = std::llround(ring.share * static_cast<double>(fleet.hosts.size()));
    std::vector<int64_t> of_cohort(scenario.fleet.cohorts.size(), 0);
    for (const uint32_t i : order) {
      Host& host = fleet.hosts[i];
      if (wanted <= 0 || host.ring != kNoIndex) continue;
      take(host);
      ++of_cohort[host.cohort];
      --wanted;
    }
    for (const uint32_t i : order) {
      Host& host = fleet.hosts[i];
      if (host.ring != kNoIndex || of_cohort[host.cohort] >= ring.min_per_cohort) continue;
      take(host);
      ++of_cohort[host.cohort];
    }
  }
}

// A release may be targeted by the pseudo-label `tenant`; the server knows labels only, so the hosts then
// carry it.
bool SelectsOnTenant(const Scenario& scenario) {
  const auto names_it = [](const policy::Selector& selector) {
    return std::any_of(selector.all_of.begin(), selector.all_of.end(),
                       [](const policy::Requirement& requirement) { return requirement.key == "tenant"; });
  };
  return std::any_of(scenario.releases.begin(), scenario.releases.end(), [&](const ReleaseSpec& release) {
    return names_it(release.targets) || std::any_of(release.matrix.begin(), release.matrix.end(), names_it);
  });
}

absl::Status LabelHosts(const Scenario& scenario, Fleet& fleet) {
  const bool with_tenant = SelectsOnTenant(scenario);
  absl::flat_hash_map<uint64_t, uint16_t> known;
  for (Host& host : fleet.hosts) {
    const uint64_t key =
        (static_cast<uint64_t>(host.tenant) << 32) | (static_cast<uint64_t>(host.cohort) << 16) | host.ring;
    const auto found = known.find(key);
    if (found != known.end()) {
      host.labels = found->second;
      continue;
    }
    LabelPairs pairs = scenario.fleet.cohorts[host.cohort].labels;
    if (host.ring != kNoIndex) pairs.emplace_back("ring", scenario.plan.rings[host.ring].name);
    if (with_tenant) pairs.emplace_back("tenant", fleet.TenantOf(host));
    ASSIGN_OR_RETURN(policy::Labels labels, policy::Labels::Make(std::move(pairs)));
    host.labels = fleet.Intern(std::move(labels));
    known[key] = host.labels;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<int64_t> Apportion(int64_t total, const std::vector<double>& shares) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<int64_t> parts(shares.size(), 0);
  if (sum <= 0) return parts;
  std::vector<std::pair<double, size_t>> remainders;
  int64_t given = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    const double exact = static_cast<double>(total) * shares[i] / sum;
    parts[i] = static_cast<int64_t>(std::floor(exact + 1e-9));
    given += parts[i];
    if (shares[i] > 0) remainders.emplace_back(exact - static_cast<double>(parts[i]), i);
  }
  std::stable_sort(remainders.begin(), remainders.end(),
                   [](const auto& x, const auto& y) { return x.first > y.first; });
  for (size_t k = 0; given < total; ++k, ++given) ++parts[remainders[k % remainders.size()].second];
  return parts;
}

bool HasAll(const policy::Labels& host, const LabelPairs& labels) {
  return std::all_of(labels.begin(), labels.end(),
                     [&](const auto& pair) { return host.Has(pair.first, pair.second); });
}

uint16_t Fleet::Intern(policy::Labels labels) {
  std::string hash = labels.Hash16();
  const auto [it, added] = by_hash_.try_emplace(hash, static_cast<uint16_t>(label_sets.size()));
  if (added) {
    RF_CHECK(label_sets.size() < kNoIndex);
    label_sets.push_back({std::move(labels), std::move(hash)});
  }
  return it->second;
}

bool Fleet::Matches(const policy::Selector& selector, const Host& host) const {
  const policy::Labels& labels = label_sets[host.labels].labels;
  for (const policy::Requirement& requirement : selector.all_of) {
    const bool ok =
        std::any_of(requirement.any_of.begin(), requirement.any_of.end(), [&](const std::string& value) {
          if (requirement.key == "tenant") return TenantOf(host) == value;
          if (requirement.key == "ring")
            return host.ring != kNoIndex && scenario->plan.rings[host.ring].name == value;
          return labels.Has(requirement.key, value);
        });
    if (!ok) return false;
  }
  return true;
}

const ChannelPolicy& Fleet::PolicyOf(const Host& host, size_t slot) const {
  const TenantSpec& tenant = scenario->fleet.tenants[host.tenant];
  return slot == kContentSlot ? tenant.content : tenant.sensor;
}

absl::StatusOr<Fleet> MakeFleet(const Scenario& scenario, uint64_t seed, double scale) {
  Fleet fleet;
  fleet.scenario = &scenario;
  const int64_t size = std::max<int64_t>(1, std::llround(static_cast<double>(scenario.fleet.size) * scale));
  FillTenants(scenario, size, fleet);
  AssignRings(scenario, seed, fleet);
  RETURN_IF_ERROR(LabelHosts(scenario, fleet));
  Rng ids(seed, "agent ids");
  Rng online(seed, "online at start");
  Rng manners(seed, "says goodbye");
  for (Host& host : fleet.hosts) {
    host.id = MakeId(ids);
    host.powered = online.Coin(scenario.fleet.online.at_start);
    host.says_goodbye = manners.Coin(scenario.fleet.online.goodbye_share);
  }
  return fleet;
}

}  // namespace ringfence::replay
