// How a wave fills when all goes well: the draw and the budgets as expectations, a check-in at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/policy/calendar.h"

namespace ringfence::policy {

struct FillInput {
  absl::Time start;
  int64_t members = 0;
  int64_t cap = 0;        // most hosts by the end of the wave
  int64_t exposed = 0;    // before
  int64_t confirmed = 0;  // of those, proven
  bool first = false;     // the stage's first wave: the draw warms up
  std::optional<int64_t> hosts_per_minute;
  absl::Duration checkin, probation;
  Calendar calendar;
  absl::Time end;  // nothing after it matters
};

struct Filling {
  struct Point {
    absl::Time at;
    double exposed;
  };
  std::vector<Point> points;                 // rising in time
  absl::Time full = absl::InfiniteFuture();  // every host that may was let in, but for the last few
  absl::Time half_proven = absl::InfiniteFuture();
  // Spans in which more hosts were unproven than proven, as pairs of times.
  std::vector<std::pair<absl::Time, absl::Time>> unproven;
};

Filling FillWave(const FillInput& input);

}  // namespace ringfence::policy
