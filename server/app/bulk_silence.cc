#include "server/app/bulk_silence.h"

#include <algorithm>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "ringfence/policy/slo_gate.h"

namespace ringfence::app {
namespace {

// A part of the fleet: tenant, ring of it, cell; -1: any. A place alone has the tenant -2.
using Part = std::tuple<int64_t, int64_t, int64_t>;

// From small to large.
constexpr int kLevels = 5;
template <typename Visit>
void ForEachPart(const Place& place, int level, Visit visit) {
  const int64_t tenant = place.tenant;
  switch (level) {
    case 0:
      return visit(Part{-2, 0, place.id});
    case 1:
      for (const CellId cell : place.cells) {
        visit(Part{tenant, place.ring, cell});
        visit(Part{tenant, -1, cell});
      }
      return;
    case 2:
      visit(Part{tenant, place.ring, -1});
      for (const CellId cell : place.cells) visit(Part{-1, -1, cell});
      return;
    case 3:
      return visit(Part{tenant, -1, -1});
    case 4:
      return visit(Part{-1, -1, -1});
  }
}

int64_t At(absl::Span<const int64_t> counts, size_t place) {
  return place < counts.size() ? counts[place] : 0;
}

}  // namespace

OutageReading ReadOutages(const PlaceTable& places, const SilenceByPlace& silence) {
  OutageReading reading;
  reading.explained.assign(places.size(), 0);
  std::vector<bool> may_be_first(places.size(), false);
  // What a small part explains is no evidence in a larger one: a site's outage says nothing of other sites.
  // Unless most of the larger part is dark.
  struct Bulk {
    policy::BulkSilence all, rest;  // rest: without places that are explained
    double Explained() const {
      const bool dark = 2 * all.control_fell >= all.control_heard;
      return std::max(policy::ExplainedShare(rest), dark ? policy::ExplainedShare(all) : 0);
    }
  };
  for (int level = 0; level < kLevels; ++level) {
    absl::flat_hash_map<Part, Bulk> parts;
    for (size_t i = 0; i < places.size(); ++i) {
      if (At(silence.exposed_fell, i) == 0 || reading.explained[i] >= 1) continue;
      ForEachPart(places[i], level, [&](const Part& part) { parts[part]; });
    }
    if (parts.empty()) break;
    for (size_t i = 0; i < places.size(); ++i) {
      const int64_t exposed_fell = At(silence.exposed_fell, i);
      const int64_t control_fell = std::max<int64_t>(0, At(silence.fell, i) - exposed_fell);
      const int64_t exposed_heard = At(silence.exposed_heard, i);
      const int64_t control_heard = std::max<int64_t>(0, At(silence.heard, i) - exposed_heard);
      ForEachPart(places[i], level, [&](const Part& part) {
        const auto it = parts.find(part);
        if (it == parts.end()) return;
        const auto add = [&](policy::BulkSilence& bulk) {
          bulk.exposed_fell += exposed_fell;
          bulk.exposed_heard += exposed_heard + exposed_fell;  // when the minutes began
          bulk.control_fell += control_fell;
          bulk.control_heard += control_heard + control_fell;
        };
        add(it->second.all);
        if (reading.explained[i] < 1) add(it->second.rest);
      });
    }
    for (auto& [part, bulk] : parts) {
      bulk.all.usual = silence.usual * static_cast<double>(bulk.all.control_heard);
      bulk.rest.usual = silence.usual * static_cast<double>(bulk.rest.control_heard);
    }
    std::vector<double> found = reading.explained;  // this level reads what the smaller ones explained
    for (size_t i = 0; i < places.size(); ++i) {
      if (At(silence.exposed_fell, i) == 0 || reading.explained[i] >= 1) continue;
      ForEachPart(places[i], level, [&](const Part& part) {
        const Bulk& bulk = parts[part];
        found[i] = std::max(found[i], bulk.Explained());
        may_be_first[i] = may_be_first[i] || policy::MayBeOutage(bulk.rest);
      });
    }
    reading.explained = std::move(found);
  }
  for (size_t i = 0; i < places.size(); ++i) {
    reading.may_be_first = reading.may_be_first || (may_be_first[i] && reading.explained[i] < 1);
  }
  return reading;
}

}  // namespace ringfence::app
