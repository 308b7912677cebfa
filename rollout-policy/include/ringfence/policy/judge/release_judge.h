// The evidence of one release on one replica: spells from their draw to their one maturity, soak spells,
// strata in draw order, test R, gauge B, guard A, and what they say together. health-analysis.md, sections 1
// to 6, 11 and 12.
//
// The caller decides who is drawn (StageDraw) and knows what was heard (SpellWatch); the judge has no clock.
// Hosts are dense small numbers; cells are slots (CellSlots) as frozen when the rollout started.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringfence/policy/draw.h"
#include "ringfence/policy/evidence.h"
#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/evidence_table.h"
#include "ringfence/policy/judge/guard_table.h"
#include "ringfence/policy/judge/health_record.h"
#include "ringfence/policy/judge/spell.h"

namespace ringfence::policy {

struct JudgeSetup {
  int64_t k_max = 64;      // KMax of the cells at the start
  double rho0 = 1.0;       // content 1, sensor 1.25
  BackgroundRates p_hist;  // by class of hosts; empty: one class without history
  bool keep_records = true;
};

// All three are 1 for a fresh release.
struct HealthReading {
  double m_r = 1.0;           // everything that matured: for brake and hold
  double m_r_in_order = 1.0;  // complete strata in draw order, none late: for a halt
  double m_a = 1.0;           // guard A: for a hold

  HealthAction Action(bool activation_failures = false) const;
};

struct SpellId {
  StratumNumber stratum = 0;
  uint32_t index = 0;
};

// What was logged at the draw of a spell that is still open.
struct OpenSpell {
  SpellId id;
  uint64_t bucket = 0;
  Bucket::Answer drawn;
};

// Not thread-safe; reading refreshes what is kept beside the vectors.
class ReleaseJudge {
 public:
  explicit ReleaseJudge(JudgeSetup setup);

  // ---- from the draw to maturity

  // A stratum takes draws until it is closed. `gauge_c` is what its gauges are compared with, fixed before
  // its draws.
  StratumNumber OpenStratum(uint64_t bucket, double rho, double gauge_c = 0.0);
  void CloseStratum(StratumNumber stratum);

  // Logs a draw. FailedPrecondition if the host has an open spell or the stratum is closed; InvalidArgument
  // for an arm of none. T and P that could have been either also open a soak spell, with pi/(pi + phi) as it
  // is now.
  absl::StatusOr<SpellId> Open(StratumNumber stratum, HostIndex host, HostClass host_class, CellSpan cells,
                               const Bucket::Answer& drawn);
  // The open spell of a host: a repeated request gets the logged answer.
  std::optional<OpenSpell> Find(HostIndex host) const;
  bool HasOpenSpell(HostIndex host) const { return host < has_open_.size() && has_open_[host]; }

  // The spell's one outcome, whether or not the host activated. FailedPrecondition if it matured before, or
  // its stratum is gone: nothing counts twice.
  absl::Status Mature(SpellId spell, const SpellOutcome& outcome);

  // A bad event of an open soak spell; the first per channel counts, for T and P alike. False if nothing was
  // added. Only the soak channels.
  bool SoakBad(HostIndex host, HealthChannel channel);
  // At t0 + S.
  void EndSoak(HostIndex host) { soak_.erase(host); }
  bool HasOpenSoak(HostIndex host) const { return soak_.contains(host); }
  size_t open_soaks() const { return soak_.size(); }

  // ---- lateness and loss

  // The stratum was not delivered in time: it counts for a hold and never for a halt, and those after it go
  // on.
  void MarkLate(StratumNumber stratum);
  // The replica died: strata that are not complete and soak spells are void, both arms together.
  void VoidOpen();

  // ---- reading

  // Takes in the strata that are complete, in draw order, and combines.
  HealthReading Read();
  // The cell to name at a stop by R, or by guard A: the one with the most evidence.
  std::optional<CellIndex> SuspectedByR() { return all_.Suspected(); }
  std::optional<CellIndex> SuspectedByGuard() { return guard_.Suspected(); }
  // The evidence of one cell over all channels; 1 without events.
  double MeanByR(CellIndex cell) { return all_.CellMean(cell); }
  double MeanByGuard(CellIndex cell) { return guard_.CellMean(cell); }
  // Cells at the proven level; in draw order only.
  std::vector<CellIndex> Named() { return in_order_.Named(); }

  // Would the cell be at the proven level if every T spell of it that is still open ended silent? If not, no
  // outcome of what is in flight can name it.
  bool MayBeNamed(CellIndex cell) const;
  // M_R over everything that matured, without the hosts of the cell too; `log`: all records so far.
  double Without(CellIndex cell, const RecordLog& log) const;

  const EvidenceTable& evidence() const { return all_; }
  const EvidenceTable& in_order() const { return in_order_; }
  const GuardTable& guard() const { return guard_; }
  const JudgeSetup& setup() const { return setup_; }

  // Better known background rates, for strata that complete from now on.
  void SetHistory(BackgroundRates rates) { guard_.SetHistory(std::move(rates)); }

  // ---- records and blocks

  // Before the first draw: what earlier lives recorded, with the cells that were blocked then. R is computed
  // from the records; the guard's vectors, which no records hold, are added to `guard`.
  void Restore(const RecordLog& log, std::vector<CellIndex> blocked);
  GuardTable& guard_to_restore() { return guard_; }

  // Records since the last call, for the caller to write with the vectors.
  RecordLog TakeRecords();
  // From now on the hosts of the cell are no part of the test: R is computed anew from `log` (all records so
  // far) without the hosts of any blocked cell, the guard's vectors start again, open spells of such hosts
  // mature without effect. They must not be drawn again.
  void Block(CellIndex cell, const RecordLog& log);
  // Its hosts are part of the test again, from spells that end from now on; what they showed before stays
  // out.
  void Unblock(CellIndex cell);
  const std::vector<CellIndex>& blocked() const { return blocked_; }
  // After a two-person resume from a halt: a new test, whose vectors are 0. Open spells count in it.
  void Restart();

 private:
  struct Coin {
    double pi = 0.0;
    double phi = 0.0;
  };
  struct Spell {
    HostIndex host = 0;
    uint32_t cells_at = 0;  // in the stratum's cells
    uint8_t cells = 0;
    Arm arm = Arm::kNone;
    HostClass host_class = 0;
    bool matured = false;
    uint16_t coin = 0;  // in the stratum's coins
  };
  struct PendingBad {
    uint32_t spell = 0;
    HealthChannel channel = HealthChannel::kSilence;
  };
  struct PendingGauge {
    uint32_t spell = 0;
    double x = 0.0;
  };
  struct Stratum {
    explicit Stratum(size_t classes) : tally(classes) {}
    StratumNumber number = 0;
    uint64_t bucket = 0;
    double rho = 1.0;
    double gauge_c = 0.0;
    bool closed = false;
    bool late = false;
    int64_t open_spells = 0;
    std::array<int64_t, 4> by_arm{};
    std::vector<Spell> spells;
    std::vector<CellIndex> cells;
    std::vector<Coin> coins;  // few: pi changes when tokens end
    std::vector<PendingBad> bad;
    std::vector<PendingGauge> gauges;
    GuardTally tally;

    CellSpan CellsOf(const Spell& spell) const {
      return CellSpan(cells).subspan(spell.cells_at, spell.cells);
    }
  };
  struct SoakSpell {
    CellList cells;
    bool treated = false;
    double pi_soak = 1.0;
    std::array<bool, 2> seen{};
  };

  Stratum* FindStratum(StratumNumber number);
  const Stratum* FindStratum(StratumNumber number) const;
  std::unique_ptr<Stratum> NewStratum();
  bool IsBlocked(CellSpan cells) const { return !blocked_.empty() && HasAnyOf(cells, blocked_); }
  // Adds what a stratum has so far, but for the hosts of these cells.
  static void AddTo(EvidenceTable& table, const Stratum& stratum, CellSpan without);
  void AddTo(EvidenceTable& table, const Stratum& stratum) const { AddTo(table, stratum, blocked_); }
  // A complete stratum leaves.
  void Absorb(std::unique_ptr<Stratum> stratum);
  void Record(const Stratum& stratum);
  // all_ = in order + late + what open strata have so far.
  void Rebuild();

  JudgeSetup setup_;
  EvidenceTable all_;
  EvidenceTable in_order_;
  EvidenceTable late_;
  GuardTable guard_;

  std::deque<std::unique_ptr<Stratum>> strata_;  // consecutive numbers
  absl::flat_hash_map<StratumNumber, std::unique_ptr<Stratum>> late_strata_;
  std::vector<std::unique_ptr<Stratum>> free_;  // their memory is used again
  StratumNumber next_ = 1;

  // A bit each, since it is all that most requests need to know of their host; and the spell of those that
  // have one.
  std::vector<bool> has_open_;
  std::vector<SpellId> open_of_host_;
  absl::flat_hash_map<HostIndex, SoakSpell> soak_;
  std::vector<CellIndex> blocked_;
  RecordLog log_;
};

}  // namespace ringfence::policy
