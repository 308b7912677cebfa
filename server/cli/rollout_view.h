// A rollout as lines of text: pure, so that tests can look at every picture.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/v1/rollout.pb.h"

namespace ringfence::cli {

// A piece of a line and its ANSI colour ("" for none).
struct Span {
  std::string text;
  const char* colour = "";
};
using Line = std::vector<Span>;

// The whole journey in a word: recalled, halted, held, paused, passed, passed so far (rings are to come),
// open or waiting. Looks at `stages` only where tenant and ring match (empty: all).
std::string Summary(const v1::Rollout& rollout, const std::string& tenant = "", const std::string& ring = "");
const char* ColourOf(const std::string& state);

// Exposed hosts that came to harm.
int64_t Harmed(const v1::OutcomeCounts& outcomes);
v1::OutcomeCounts Total(const v1::Rollout& rollout);

struct ViewOptions {
  int columns = 80;
  absl::TimeZone zone;
  std::string tenant, ring;  // only these stages
  bool details = false;      // brakes, gates and ledger even when nothing is wrong
};
std::vector<Line> RenderRollout(const v1::Rollout& rollout, const ViewOptions& options);

// One stage on one plain line, for pipes and logs.
std::string StageLine(const v1::Stage& stage);

// Cuts to the columns; paints when `colour`.
std::string ToText(const Line& line, int columns, bool colour);

}  // namespace ringfence::cli
