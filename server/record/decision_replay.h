// Computes a recorded decision anew, from its evidence alone and with the library that decided, and says
// where the two differ. docs/health-analysis.md, section 12.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace ringfence::record {

// A decision's row, as far as it can be computed again.
struct Decided {
  std::string action;
  std::string rule;
  std::string actor;
  std::string why;
  absl::Time at;
  std::string evidence;  // JSON
};

// One line of a comparison: what is on record and what came out.
struct Compared {
  std::string what;
  std::string recorded;
  std::string computed;
  bool equal = false;
};

struct Replayed {
  // Empty: nothing of it is the server's arithmetic (a person acted, or a host refused a file).
  std::vector<Compared> compared;
  std::string by;  // what was run again: "method", "gate", "stage"; empty: nothing
  bool equal() const;
};

// InvalidArgument: the evidence is not what the server writes, so that nothing can be said.
absl::StatusOr<Replayed> Replay(const Decided& decision);

// What the two judges thought, for people: one line each. Empty where the evidence does not say.
struct TwoJudges {
  std::string method, gates, acted;
};
TwoJudges Summarize(absl::string_view evidence, absl::string_view rule);

}  // namespace ringfence::record
