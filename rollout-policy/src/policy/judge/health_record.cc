#include "ringfence/policy/judge/health_record.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace ringfence::policy {

void RecordLog::Append(RecordLog&& later) {
  strata.insert(strata.end(), std::make_move_iterator(later.strata.begin()),
                std::make_move_iterator(later.strata.end()));
  soak.insert(soak.end(), std::make_move_iterator(later.soak.begin()),
              std::make_move_iterator(later.soak.end()));
}

bool HasAnyOf(CellSpan cells, CellSpan wanted) {
  return std::any_of(cells.begin(), cells.end(), [&](CellIndex cell) {
    return std::find(wanted.begin(), wanted.end(), cell) != wanted.end();
  });
}

EvidenceTable Replay(const RecordLog& log, int64_t k_max, double rho0, Lateness lateness, CellSpan without) {
  EvidenceTable table(k_max, rho0);
  const auto add = [&](const BadEvent& event) {
    if (HasAnyOf(event.cells, without)) return;
    table.AddBad(event.channel, event.cells, event.treated, event.pi);
  };
  for (const StratumRecord& stratum : log.strata) {
    if (stratum.late ? lateness == Lateness::kInOrderOnly : lateness == Lateness::kLateOnly) continue;
    std::for_each(stratum.bad.begin(), stratum.bad.end(), add);
    for (const GaugeReading& gauge : stratum.gauges) {
      if (!HasAnyOf(gauge.cells, without))
        table.AddGauge(gauge.cells, gauge.treated, gauge.pi, gauge.x, gauge.c);
    }
  }
  if (lateness != Lateness::kLateOnly) std::for_each(log.soak.begin(), log.soak.end(), add);
  return table;
}

}  // namespace ringfence::policy
