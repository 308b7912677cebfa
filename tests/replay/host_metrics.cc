#include "host_metrics.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ringfence::replay {
namespace {

double Minutes(Micros t) {
  return static_cast<double>(t) / kMinute;
}

double Count(size_t n) {
  return static_cast<double>(n);
}

// The index of a ring in the plan's order; -1 when there is none of that name.
int RingIndex(const RunView& run, const std::string& name) {
  const std::vector<RingSpec>& rings = run.scenario.plan.rings;
  for (size_t r = 0; r < rings.size(); ++r) {
    if (rings[r].name == name) return static_cast<int>(r);
  }
  return -1;
}

}  // namespace

const PublishRecord* FindPublish(const RunView& run, const Bound& bound) {
  const PublishRecord* found = nullptr;
  for (const PublishRecord& publish : run.ledger.publishes) {
    if (SpeaksOf(run, bound, publish.version)) found = &publish;
  }
  return found;
}

bool SpeaksOf(const RunView& run, const Bound& bound, uint16_t version) {
  if (bound.release.empty()) return true;
  const int release = run.ledger.versions[version].release;
  return release >= 0 && run.scenario.releases[static_cast<size_t>(release)].id == bound.release;
}

MetricValue PublishResult(const RunView& run, const Bound& bound) {
  const PublishRecord* publish = FindPublish(run, bound);
  if (publish == nullptr) return {std::monostate(), "nothing was published"};
  return {std::string(publish->accepted ? "accepted" : "refused"), publish->message};
}

MetricValue RefusalClass(const RunView& run, const Bound& bound) {
  for (const PublishRecord& publish : run.ledger.publishes) {
    if (SpeaksOf(run, bound, publish.version) && !publish.accepted) return {publish.refusal, publish.message};
  }
  return {std::string("accepted"), "nothing was refused"};
}

MetricValue Refusals(const RunView& run, const Bound&) {
  return {Count(static_cast<size_t>(
              std::count_if(run.ledger.publishes.begin(), run.ledger.publishes.end(),
                            [](const PublishRecord& publish) { return !publish.accepted; }))),
          ""};
}

MetricValue OfferedBadFiles(const RunView& run, const Bound&) {
  std::set<uint16_t> offered;
  for (const Grant& grant : run.ledger.grants) offered.insert(grant.version);
  double bad = 0;
  for (const PublishRecord& publish : run.ledger.publishes) {
    const bool is_bad =
        publish.form != ArtifactForm::kWellFormed || publish.evidence != Evidence::kThisArtifact;
    if (is_bad && offered.contains(publish.version)) ++bad;
  }
  return {bad, ""};
}

MetricValue OfferedHosts(const RunView& run, const Bound& bound) {
  std::set<uint32_t> hosts;
  for (const Grant& grant : run.ledger.grants) {
    if (SpeaksOf(run, bound, grant.version)) hosts.insert(grant.host);
  }
  return {Count(hosts.size()), ""};
}

MetricValue ExposedHosts(const RunView& run, const Bound& bound) {
  std::set<uint32_t> hosts;
  for (const Activation& activation : run.ledger.activations) {
    if (SpeaksOf(run, bound, activation.version)) hosts.insert(activation.host);
  }
  return {Count(hosts.size()), ""};
}

MetricValue HarmedHosts(const RunView& run, const Bound&) {
  std::set<uint32_t> hosts;
  for (const Harm& harm : run.ledger.harms) hosts.insert(harm.host);
  return {Count(hosts.size()), ""};
}

MetricValue CustomerHostsHarmed(const RunView& run, const Bound&) {
  std::set<uint32_t> hosts;
  for (const Harm& harm : run.ledger.harms) {
    if (run.fleet.TenantOf(run.fleet.hosts[harm.host]) != kInternalTenant) hosts.insert(harm.host);
  }
  return {Count(hosts.size()), ""};
}

MetricValue RescuedHosts(const RunView& run, const Bound&) {
  return {Count(std::set<uint32_t>(run.ledger.rescued.begin(), run.ledger.rescued.end()).size()), ""};
}

MetricValue HoldBeforeReboot(const RunView& run, const Bound& bound) {
  size_t announced = 0, told = 0;
  for (const PendingNotice& notice : run.ledger.pending_notices) {
    const LabelPairs& after = run.scenario.events[notice.event].labels_after;
    const bool meant = std::all_of(bound.labels_all.begin(), bound.labels_all.end(), [&](const auto& pair) {
      return std::find(after.begin(), after.end(), pair) != after.end();
    });
    if (!meant) continue;
    ++announced;
    told += std::any_of(run.ledger.revert_orders.begin(), run.ledger.revert_orders.end(),
                        [&](const RevertOrder& order) {
                          return order.host == notice.host && order.at <= notice.reboots_at;
                        })
                ? 1
                : 0;
  }
  if (announced == 0) return {std::monostate(), "no host announced an upgrade out of the matrix"};
  return {told == announced, absl::StrCat(told, " of ", announced, " were told")};
}

MetricValue RecoveredFraction(const RunView& run, const Bound& bound) {
  const Micros within = bound.within.value_or(run.scenario.horizon);
  double harmed = 0;
  double recovered = 0;
  for (const Harm& harm : run.ledger.harms) {
    const bool in_time = harm.healed_at != kNever && harm.healed_at - harm.at <= within;
    // Who was harmed so late that the run ends first cannot be judged, unless it is well already.
    if (!in_time && bound.within.has_value() && harm.at + within > run.scenario.horizon) continue;
    ++harmed;
    if (in_time) ++recovered;
  }
  return {harmed == 0 ? 1.0 : recovered / harmed, ""};
}

MetricValue MinutesToLastOffer(const RunView& run, const Bound&) {
  if (run.ledger.harms.empty()) return {0.0, "nobody was harmed"};
  std::set<uint16_t> harmful;
  for (const Harm& harm : run.ledger.harms) harmful.insert(harm.version);
  const Micros first_harm = run.ledger.harms.front().at;
  Micros last_offer = first_harm;
  for (const Grant& grant : run.ledger.grants) {
    if (harmful.contains(grant.version)) last_offer = std::max(last_offer, grant.at);
  }
  return {Minutes(last_offer - first_harm), ""};
}

MetricValue ContainedIn(const RunView& run, const Bound& bound) {
  const int last = RingIndex(run, bound.ring);
  for (const Grant& grant : run.ledger.grants) {
    if (!SpeaksOf(run, bound, grant.version)) continue;
    if (static_cast<int>(run.fleet.hosts[grant.host].ring) > last) {
      return {false, "an offer in ring " + run.scenario.plan.rings[run.fleet.hosts[grant.host].ring].name};
    }
  }
  if (!bound.wave.has_value()) return {true, ""};
  for (const auto& [version, exposures] : run.record.exposures) {
    if (!SpeaksOf(run, bound, version)) continue;
    for (const storage::ExposureRow& row : exposures) {
      if (row.ring == bound.ring && row.wave + 1 > *bound.wave) {
        return {false, "an offer in wave " + std::to_string(row.wave + 1) + " of " + row.tenant};
      }
    }
  }
  return {true, ""};
}

MetricValue ContainedInAny(const RunView& run, const Bound& bound) {
  for (const Grant& grant : run.ledger.grants) {
    if (!SpeaksOf(run, bound, grant.version)) continue;
    const std::string& ring = run.scenario.plan.rings[run.fleet.hosts[grant.host].ring].name;
    if (std::find(bound.rings.begin(), bound.rings.end(), ring) == bound.rings.end()) {
      return {false, "an offer in ring " + ring};
    }
  }
  return {true, ""};
}

MetricValue ResumeExcluding(const RunView& run, const Bound& bound) {
  constexpr double kTheRest = 0.95;
  const PublishRecord* publish = FindPublish(run, bound);
  if (publish == nullptr) return {std::monostate(), "nothing was published"};
  if (run.resumed == nullptr) return {std::monostate(), "no second run was made"};
  const Ledger& ledger = *run.resumed;
  if (ledger.excluded_at == kNever) return {false, "nothing was halted, so that nobody resumed"};
  const auto later = std::count_if(ledger.harms.begin(), ledger.harms.end(),
                                   [&](const Harm& harm) { return harm.at > ledger.excluded_at; });
  double best = 0;
  for (const CoverageSample& sample : ledger.coverage) {
    if (sample.version != publish->version || sample.at <= ledger.excluded_at || sample.eligible == 0)
      continue;
    best = std::max(best, static_cast<double>(sample.running) / static_cast<double>(sample.eligible));
  }
  return {later == 0 && best >= kTheRest,
          absl::StrFormat("%d harmed after it, %.1f %% of the others run it", later, 100 * best)};
}

MetricValue Coverage(const RunView& run, const Bound& bound) {
  const PublishRecord* publish = FindPublish(run, bound);
  if (publish == nullptr) return {std::monostate(), "nothing was published"};
  const Micros until = bound.within.has_value() ? publish->at + *bound.within : run.scenario.horizon;
  double best = 0;
  for (const CoverageSample& sample : run.ledger.coverage) {
    if (sample.version != publish->version || sample.at > until || sample.eligible == 0) continue;
    best = std::max(best, static_cast<double>(sample.running) / static_cast<double>(sample.eligible));
  }
  return {best, ""};
}

MetricValue RevertOffersInAnyMinute(const RunView& run, const Bound&) {
  const std::vector<RevertOrder>& orders = run.ledger.revert_orders;  // in the order of time
  if (orders.empty()) return {0.0, "nobody was ordered back"};
  size_t most = 0;
  size_t from = 0;
  for (size_t to = 0; to < orders.size(); ++to) {
    while (orders[to].at - orders[from].at >= kMinute) ++from;
    most = std::max(most, to - from + 1);
  }
  return {Count(most) / Count(orders.size()), ""};
}

MetricValue PeakRequests(const RunView& run, const Bound&) {
  std::vector<int64_t> minutes = run.ledger.requests_per_minute;
  while (!minutes.empty() && minutes.back() == 0) minutes.pop_back();
  // The first and the last minute are not whole.
  if (minutes.size() < 4) return {std::monostate(), "the run is too short"};
  minutes.erase(minutes.begin());
  minutes.pop_back();
  const int64_t peak = *std::max_element(minutes.begin(), minutes.end());
  std::nth_element(minutes.begin(), minutes.begin() + static_cast<ptrdiff_t>(minutes.size() / 2),
                   minutes.end());
  const int64_t steady = minutes[minutes.size() / 2];
  return {static_cast<double>(peak) / static_cast<double>(std::max<int64_t>(1, steady)), ""};
}

MetricValue MinutesToServe(const RunView& run, const Bound&) {
  if (run.ledger.restarts.empty()) return {std::monostate(), "the server was not restarted"};
  double worst = 0;
  for (const RestartRecord& restart : run.ledger.restarts) {
    if (restart.served_at == kNever) return {std::monostate(), "95 % of the hosts were not served again"};
    worst = std::max(worst, Minutes(restart.served_at - restart.up_at));
  }
  return {worst, ""};
}

}  // namespace ringfence::replay
