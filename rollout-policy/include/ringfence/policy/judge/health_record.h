// What is written of the evidence, and what can be computed from it again: the same vectors, and those
// without the hosts of some cells. health-analysis.md, sections 11 and 12.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "ringfence/policy/draw.h"
#include "ringfence/policy/evidence.h"
#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/evidence_table.h"

namespace ringfence::policy {

// A host by the caller's dense number.
using HostIndex = uint32_t;
// Strata of one judge in the order of their opening: 1, 2, ...
using StratumNumber = uint32_t;

using CellList = absl::InlinedVector<CellIndex, 4>;

struct BadEvent {
  HostIndex host = 0;
  CellList cells;
  HealthChannel channel = HealthChannel::kSilence;
  bool treated = false;
  double pi = 0.0;  // as logged at the draw; for the soak channels pi/(pi + phi)
};

struct GaugeReading {
  HostIndex host = 0;
  CellList cells;
  bool treated = false;
  double pi = 0.0;
  double x = 0.0;
  double c = 0.0;
};

// One stratum whose last spell has matured.
struct StratumRecord {
  StratumNumber number = 0;
  uint64_t bucket = 0;
  double rho = 1.0;
  int64_t treated = 0, controls = 0, phantoms = 0;
  bool late = false;  // counts for a hold, never for a halt
  std::vector<BadEvent> bad;
  std::vector<GaugeReading> gauges;
};

// Strata in draw order (the late ones where they arrived), soak events in event order.
struct RecordLog {
  std::vector<StratumRecord> strata;
  std::vector<BadEvent> soak;

  void Append(RecordLog&& later);
};

// Which records: soak events count as in order.
enum class Lateness : uint8_t { kInOrderOnly, kLateOnly, kAll };

// The evidence of the records, without the hosts that have one of the cells `without`. Logged probabilities
// make it a plain sum, so it is what a release would have gathered that had never drawn those hosts.
EvidenceTable Replay(const RecordLog& log, int64_t k_max, double rho0, Lateness lateness,
                     CellSpan without = {});

bool HasAnyOf(CellSpan cells, CellSpan wanted);

}  // namespace ringfence::policy
