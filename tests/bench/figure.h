// What ringfence-bench measures: a figure beside its floor, both taken in turns in the same run, because on a
// shared machine absolute numbers move by a factor of two from one minute to the next and ratios do not.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"

namespace ringfence::bench {

struct Options {
  double seconds = 8;  // of measuring the check-in, floor included; the others take as long as it takes
  bool tiny = false;   // few hosts, few rounds: shows that the figures can be taken, says nothing about them
};

struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double> floor;  // in the same unit
  std::optional<double> ratio;  // value / floor
  std::string target;           // "ratio <= 1.5"; empty: none, the figure is only told
  std::optional<bool> met;      // with a target
  std::string note;             // spread, conditions
};

// The rounds of one side.
struct Rounds {
  std::vector<double> values;

  void Add(double value) { values.push_back(value); }
  double least() const { return *std::min_element(values.begin(), values.end()); }
  double most() const { return *std::max_element(values.begin(), values.end()); }
  // The value below which a share of them lies.
  double Quantile(double share) const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const auto at = static_cast<size_t>(share * static_cast<double>(sorted.size()));
    return sorted[std::min(at, sorted.size() - 1)];
  }
  std::string Spread() const { return absl::StrFormat("%.4g to %.4g", least(), most()); }
};

Figure MeasureCheckIn(const Options& options);
Figure MeasureForwarded(const Options& options);
Figure MeasureExposures(const Options& options);
Figure MeasureIndex(const Options& options);
Figure MeasureCells(const Options& options);
Figure MeasureEvidence(const Options& options);
Figure MeasureHalt(const Options& options);

}  // namespace ringfence::bench
