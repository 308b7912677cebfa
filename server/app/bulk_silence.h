// Whose silence an outage explains: hosts of one part of the fleet that fall silent together, with and
// without a release.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/app/cells.h"
#include "server/app/fleet_index.h"

namespace ringfence::app {

// Hosts that lose their line together fall silent within so many check-in intervals, whenever they were heard
// last.
inline constexpr int kTogetherIntervals = 3;

// A host fell silent.
struct SilenceOnset {
  FleetNanos at = 0;
  HostRef host = kNoHost;
  const Place* place = nullptr;
  bool announced = false;  // by a goodbye
};

// Hosts by the id of their place; a list may be shorter than there are places.
struct SilenceByPlace {
  absl::Span<const int64_t> heard;          // now
  absl::Span<const int64_t> exposed_heard;  // of those, with the release
  std::vector<int64_t> fell;                // in the last minutes
  std::vector<int64_t> exposed_fell;
  double usual = 0;  // times that the usual rate lets one host fall silent in these minutes
};

struct OutageReading {
  // By place, the share of its exposed hosts' silences that an outage explains (policy::ExplainedShare): of
  // the place alone, a cell in the tenant or in its ring, a ring, a cell, the tenant, or the whole fleet: the
  // smallest part that explains all of it, else what explains most. 0 where no exposed host fell silent.
  std::vector<double> explained;
  bool may_be_first = false;  // unexplained ones may be an outage's first (policy::MayBeOutage)
};
OutageReading ReadOutages(const PlaceTable& places, const SilenceByPlace& silence);

}  // namespace ringfence::app
