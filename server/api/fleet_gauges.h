// Gauges that are computed from the application when somebody scrapes them, so that none is ever stale.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "server/app/app.h"

namespace ringfence::api {

// Stages, budgets, evidence, gates and the server's own state: the tables "Stages", "Judgement" and "The
// server itself" of docs/metrics.md, as far as they are gauges, and the totals that the store remembers.
std::vector<prometheus::MetricFamily> CollectFleetGauges(app::App& app);

}  // namespace ringfence::api
