// What the health evidence of one release costs with a million hosts and 500 cells: time for each spell, from
// its draw to its maturity with its share of the reading, and memory for each cell.
#include <chrono>
#include <deque>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ringfence/policy/judge/release_judge.h"
#include "tests/bench/figure.h"
#include "tests/bench/fleet.h"
#include "tests/bench/resident.h"

namespace ringfence::bench {
namespace {

using policy::CellIndex;
using policy::HostIndex;

constexpr HostIndex kHosts = 1'000'000;
constexpr size_t kCells = 500;
constexpr int kSpells = 2000;         // of a stratum
constexpr uint64_t kOneSilent = 100;  // of so many; as in a fleet of laptops
constexpr size_t kLabels[] = {1, 2, 4, 8, 16};
constexpr size_t kUsual = 1;  // of kLabels

// A host's cells: one of each label's values.
void CellsOf(HostIndex host, size_t labels, std::vector<CellIndex>* cells) {
  const auto values = static_cast<HostIndex>(kCells / labels);
  cells->clear();
  for (size_t label = 0; label < labels; ++label) {
    cells->push_back(static_cast<CellIndex>(label * values + host % values));
    host = host / values + host % values * 7;
  }
}

double Nanoseconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double, std::nano>(d).count();
}

// A release in its course: strata are opened, drawn, matured and read one after the other.
class Judging {
 public:
  explicit Judging(size_t labels, size_t cells = kCells) : labels_(labels), judge_(SetupFor(cells)) {}

  // Nanoseconds for each spell.
  double Stratum() {
    const auto began = std::chrono::steady_clock::now();
    const policy::StratumNumber stratum = judge_.OpenStratum(++bucket_, 1.0);
    ids_.clear();
    for (int i = 0; i < kSpells; ++i) {
      host_ = (host_ + 7919) % kHosts;
      CellsOf(host_, labels_, &cells_);
      const policy::Arm arm = i % 50 == 0 ? policy::Arm::kTreatment : policy::Arm::kControl;
      ids_.push_back(judge_.Open(stratum, host_, 0, cells_, {arm, .02, 0}).value());
    }
    judge_.CloseStratum(stratum);
    for (const policy::SpellId& id : ids_) {
      RF_CHECK(judge_.Mature(id, {.silent = ++spell_ % kOneSilent == 0}).ok());
    }
    RF_CHECK(judge_.Read().m_r > 0);
    return Nanoseconds(std::chrono::steady_clock::now() - began) / kSpells;
  }

 private:
  static policy::JudgeSetup SetupFor(size_t cells) {
    policy::JudgeSetup setup;
    setup.k_max = policy::KMax(static_cast<int64_t>(cells));
    setup.keep_records = false;  // they go to the store
    return setup;
  }

  const size_t labels_;
  policy::ReleaseJudge judge_;
  std::vector<CellIndex> cells_;
  std::vector<policy::SpellId> ids_;
  HostIndex host_ = 0;
  uint64_t bucket_ = 0, spell_ = 0;
};

// The least that could do the work: remember who is open, and count outcomes by arm for each cell.
class Counting {
 public:
  explicit Counting(size_t labels) : labels_(labels), open_(kHosts), counts_((kCells + 1) * 4) {}

  double Stratum() {
    const auto began = std::chrono::steady_clock::now();
    const HostIndex first = host_;
    for (int i = 0; i < kSpells; ++i) {
      host_ = (host_ + 7919) % kHosts;
      open_[host_] = i % 50 == 0 ? 2 : 1;
    }
    HostIndex host = first;
    for (int i = 0; i < kSpells; ++i) {
      host = (host + 7919) % kHosts;
      const size_t slot = (open_[host] == 2 ? 2 : 0) + (++spell_ % kOneSilent == 0 ? 1 : 0);
      open_[host] = 0;
      CellsOf(host, labels_, &cells_);
      ++counts_[kCells * 4 + slot];
      for (const CellIndex cell : cells_) ++counts_[cell * 4 + slot];
    }
    RF_CHECK(counts_[kCells * 4] > 0);
    return Nanoseconds(std::chrono::steady_clock::now() - began) / kSpells;
  }

 private:
  const size_t labels_;
  std::vector<uint8_t> open_;
  std::vector<int64_t> counts_;
  std::vector<CellIndex> cells_;
  HostIndex host_ = 0;
  uint64_t spell_ = 0;
};

// Growth of the memory by a judge whose cells all have evidence, over one that has no cells.
double JudgeBytes(size_t cells) {
  const double before = Resident();
  policy::JudgeSetup setup;
  setup.k_max = static_cast<int64_t>(cells);
  setup.keep_records = false;
  policy::ReleaseJudge judge(setup);
  const policy::StratumNumber stratum = judge.OpenStratum(1, 1.0);
  std::vector<policy::SpellId> ids;
  for (HostIndex host = 0; host < cells; ++host) {
    const CellIndex cell[] = {host};
    ids.push_back(judge.Open(stratum, host, 0, cell, {policy::Arm::kTreatment, .02, 0}).value());
  }
  judge.CloseStratum(stratum);
  for (const policy::SpellId& id : ids) RF_CHECK(judge.Mature(id, {.silent = true, .crashed = true}).ok());
  judge.Read();
  ids = {};
  return Resident() - before;
}

// A count of bad and of all, by arm, in each channel.
double CountBytes(size_t cells) {
  const double before = Resident();
  const std::vector<int64_t> counts(cells * policy::kHealthChannels * 4, 1);
  const double grown = Resident() - before;
  RF_CHECK(counts.back() == 1);
  return grown;
}

}  // namespace

Figure MeasureEvidence(const Options& options) {
  const int rounds = options.tiny ? 5 : 400;
  std::deque<Judging> judging;
  std::deque<Counting> counting;
  for (const size_t labels : kLabels) {
    judging.emplace_back(labels);
    counting.emplace_back(labels);
  }
  std::vector<Rounds> cost(judging.size()), floor(judging.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < judging.size(); ++i) {
      cost[i].Add(judging[i].Stratum());
      floor[i].Add(counting[i].Stratum());
    }
  }
  Figure figure;
  figure.name = "evidence";
  figure.value = cost[kUsual].Quantile(.5);
  figure.unit = "ns per spell";
  figure.floor = floor[kUsual].Quantile(.5);
  figure.ratio = figure.value / *figure.floor;
  figure.note = absl::StrFormat(
      "a million hosts, %d cells, two labels each, one of %d silent; draw, maturity and its share of a "
      "reading for each stratum of %d; floor: who is open, and counts by arm; by labels:",
      kCells, kOneSilent, kSpells);
  for (size_t i = 0; i < cost.size(); ++i) {
    absl::StrAppendFormat(&figure.note, " %d %.0f", kLabels[i], cost[i].Quantile(.5));
  }
  return figure;
}

Figure MeasureCells(const Options& options) {
  const size_t cells = options.tiny ? 20'000 : 200'000;  // many, for memory comes in pages
  const auto each = [cells](double (*bytes)(size_t)) {
    return InOwnProcess([&] { return bytes(cells); }) / static_cast<double>(cells);
  };
  Figure figure;
  figure.name = "cells";
  figure.value = each(JudgeBytes);
  figure.unit = "bytes per cell";
  figure.floor = each(CountBytes);
  figure.ratio = figure.value / *figure.floor;
  figure.note = absl::StrFormat(
      "growth of the resident memory by a judge with %d cells that all have evidence of two channels, open "
      "spells' own included; %d cells take %.0f kB; floor: counts of bad and all, by arm and channel",
      cells, kCells, figure.value * kCells / 1000);
  return figure;
}

}  // namespace ringfence::bench
