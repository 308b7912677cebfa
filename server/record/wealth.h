// The wealth of a release's test over time, computed from its records, and drawn. docs/health-analysis.md,
// sections 3 and 5.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/policy/evidence.h"

namespace ringfence::record {

// One bad event, or gauge reading, of a record.
struct WealthEvent {
  policy::HealthChannel channel = policy::HealthChannel::kSilence;
  bool treated = false;
  double pi = 0, x = 0, c = 0;
  std::vector<std::string> cells;
};
// What was taken in at one time.
struct WealthRecord {
  absl::Time at;
  bool late = false;
  std::vector<WealthEvent> events;
};

// After each record: M_R, and the mean evidence of each cell (sum of w_s·E_s,c), in the order of `cells`.
struct WealthPoint {
  absl::Time at;
  double m_r = 1;
  std::vector<double> cells;
};
struct Wealth {
  int64_t k_max = 64;
  std::vector<std::string> cells;  // by the largest evidence they ever had; at most `most_cells`
  std::vector<WealthPoint> points;
};
// `records` in the order in which they count; those of blocked cells left out as the server leaves them out.
Wealth WealthOf(const std::vector<WealthRecord>& records, int64_t k_max, double rho0,
                const std::vector<std::string>& blocked, size_t most_cells);

// A chart of `columns` by `rows` characters over log10, with the lines of brake, hold and halt; cells are
// letters.
std::string ToText(const Wealth& wealth, int columns, int rows);
// The same for a post-mortem; one SVG document.
std::string ToSvg(const Wealth& wealth, const std::string& title);

}  // namespace ringfence::record
