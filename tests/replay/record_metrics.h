// Metrics that judge the server's record: its decisions, warnings and explanations, against what truly
// happened.
#pragma once

#include "bounds.h"

namespace ringfence::replay {

MetricValue FalseHalts(const RunView& run, const Bound& bound);
MetricValue HaltNotAttributed(const RunView& run, const Bound& bound);
MetricValue NoPromotionBetween(const RunView& run, const Bound& bound);
MetricValue HaltNames(const RunView& run, const Bound& bound);
MetricValue WithheldReasonNames(const RunView& run, const Bound& bound);
MetricValue PublishWarnsUncovered(const RunView& run, const Bound& bound);
MetricValue BypassRequest(const RunView& run, const Bound& bound);
MetricValue AuditHas(const RunView& run, const Bound& bound);
MetricValue AfterRestart(const RunView& run, const Bound& bound);

// A stop that the server itself ordered: a hold or a halt.
bool IsServerStop(const storage::DecisionRow& row);

}  // namespace ringfence::replay
