// What a decision of the server rests on, as the JSON text of its row: complete enough that a program without
// a server and without its state computes the decision anew (decision_replay.h). Numbers are printed so that
// the same doubles are read back.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ringfence/policy/decide.h"
#include "ringfence/policy/judge/halt_review.h"
#include "ringfence/policy/judge/release_judge.h"
#include "ringfence/policy/judge/stop_state.h"
#include "ringfence/policy/slo_gate.h"

namespace ringfence::record {

// The vectors of one channel of evidence by cell; "": the release.
using CellVectors = std::map<std::string, std::vector<double>>;

// What a halt's review looked at (policy::HaltFacts), and what it answered.
struct ReviewEvidence {
  struct Cell {
    std::string cell;
    double residual = 0, mean = 0;
    int64_t hosts = 0;
    bool may_block = true;
  };
  std::vector<Cell> tenants, named;
  int64_t blocked = 0;
  std::string answer, cell;  // `cell`: whose hosts the residual leaves out; empty: none
  double residual = 0;
  // Test R and gauge B in draw order without the hosts of `cell`.
  std::array<CellVectors, 4> without;
  CellVectors gauge_without;
};

// Everything that the method looked at.
struct MethodEvidence {
  policy::StopState before;  // what stood when it looked
  int activation_failures = 0;
  bool first_hosts_failed = false;
  double rho0 = 1.0;
  int64_t k_max = 64;
  int64_t test = 1;
  std::vector<std::string> cells;    // with evidence, in the order of their slots
  std::vector<std::string> blocked;  // of them
  // By channel: test R over all that matured, and over what counts for a halt; guard A (silence and crash).
  std::array<CellVectors, 4> all, in_order;
  std::array<CellVectors, policy::kGuardChannels> guard;
  CellVectors gauge_all, gauge_in_order;  // gauge B over the same
  // The last record that each replica had written, or was about to write with this decision.
  std::map<uint32_t, int64_t> records;
  std::optional<ReviewEvidence> review;  // where the evidence reached a halt
};
// Fills cells and vectors from a judge whose slots have these names.
MethodEvidence Look(const policy::ReleaseJudge& judge, const std::vector<std::string>& names);

// The same of a review; `table`: TableWithout of the cell that it answered, if it did.
ReviewEvidence Look(const policy::HaltFacts& facts, const policy::HaltReview& review,
                    const policy::EvidenceTable& table, const std::vector<std::string>& names);

// One SLO gate as it was judged.
struct GateEvidence {
  policy::GateKind gate = policy::GateKind::kCrash;
  std::string cohort;  // empty: the whole release
  // Of crash and degraded.
  policy::RateGate rate;
  policy::RateCounts rate_counts;
  policy::CrashCounts crashes;  // crash only, where any host crashed: beside hosts without the release
  // Of silence.
  policy::SilenceGate silence;
  policy::SilenceCounts silence_counts;
  bool breached = false, suspect = false;
};

// The figures that every decision has, whoever acted: what the method thought, in short.
struct Figures {
  double m_r = 1, m_r_in_order = 1, m_a = 1;
  int64_t unproven = 0, healthy = 0, exposed = 0;
};

// JSON objects. `acted`: the rule of the judge that acted. The gates are those that some bad event concerned.
std::string MethodJson(const Figures& figures, const std::string& acted, const MethodEvidence& method,
                       const std::vector<GateEvidence>& gates);
std::string GateJson(const Figures& figures, const std::string& acted, const GateEvidence& gate);
std::string StageJson(const Figures& figures, const policy::StageView& view);
std::string FiguresJson(const Figures& figures);

}  // namespace ringfence::record
