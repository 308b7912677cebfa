// One release on its journey, in memory: who was exposed, what became of them, the evidence of both judges,
// the budgets. The engine owns these under its lock; nothing here locks or talks to the store.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "ringfence/policy/draw.h"
#include "ringfence/policy/judge/standing.h"
#include "ringfence/policy/reason.h"
#include "ringfence/policy/slo_gate.h"
#include "server/app/bad_window.h"
#include "server/app/bulk_silence.h"
#include "server/app/cells.h"
#include "server/app/onset_series.h"
#include "server/app/release_judgement.h"
#include "server/app/soak_watch.h"
#include "server/storage/rows.h"

namespace ringfence::app {

struct Stage;

// What happened within the last minute, whenever one asks.
class LastMinute {
 public:
  int64_t Within(FleetNanos now) {
    while (!times_.empty() && times_.front() <= now - kMinute) times_.pop_front();
    return static_cast<int64_t>(times_.size());
  }
  void Add(FleetNanos now) { times_.push_back(now); }

 private:
  static constexpr FleetNanos kMinute = 60'000'000'000;
  std::deque<FleetNanos> times_;
};

// One exposed host. Denominators are frozen: an Exposure is never removed, whatever happens to the host.
struct Exposure {
  HostRef host = kNoHost;
  Stage* stage = nullptr;
  int wave = 0;
  uint64_t bucket = 0;
  absl::Time exposed_at;
  FleetNanos t0 = 0;
  FleetNanos deadline = 0;  // of the current probation
  Digest previous;
  double rho = 1, pi = 0, phi = 0;
  storage::Outcome outcome = storage::Outcome::kPending;
  absl::Time outcome_at = absl::InfinitePast();
  storage::BadMarks bad;
  policy::Standing standing = policy::Standing::kUnproven;
  bool committed = false;
  bool activated = false;
  bool harmed = false;  // something bad was seen of it after exposure and it was not proven healthy since
  bool silent = false;  // now
  bool revert_ordered = false;
  bool in_probation = false;
  bool left = false;  // the host moved on to a newer release: what happens to it now is not this one's doing
  bool counted = false;   // in the exposed series now
  bool in_doubt = false;  // its commit may or may not have happened
  bool blocked =
      false;       // the release is kept from a cell of the host: ordered back, and left out of the gates
  CellList cells;  // at the draw: budgets
  const Place* place = nullptr;  // where it is now: SLO gates
};

// A drawn host, until its spell matures: what is needed to see how it ends. What was drawn is the
// judgement's.
struct Spell {
  HostRef host = kNoHost;
  FleetNanos t0 = 0;
  struct ReleaseState* release = nullptr;
  bool crashed = false;
};

// No plan's window is longer.
inline constexpr FleetNanos kLongestWindow = int64_t{30} * 24 * 3600 * 1'000'000'000;

struct ReleaseState {
  ReleaseState(storage::ReleaseRow release_row, FleetNanos activation_allowance, FleetNanos maturity);

  const policy::Release& release() const { return row.release; }
  double rho0() const { return release().kind == policy::ChannelKind::kSensor ? 1.25 : 1.0; }

  storage::ReleaseRow row;
  const FleetNanos a;  // check-ins before t0 + a prove nothing
  const FleetNanos d;  // probation
  bool live = true;    // its exposures are loaded and watched

  // ---- exposures and budgets
  std::deque<Exposure> exposures;                   // addresses are stable
  absl::flat_hash_map<HostRef, Exposure*> by_host;  // the newest of a host
  policy::Budget budget;                            // over all tenants
  int64_t reach = 0;                                // hosts that it targets and covers
  struct CellBudget {
    policy::Budget budget;         // b0 is the stage's that asks
    int64_t exposed_now = 0;       // by the labels of now
    FleetNanos exposed_since = 0;  // of the first of those; 0: none yet
  };
  std::vector<CellBudget> cells;
  CellBudget& Cell(CellId cell) {
    if (cell >= cells.size()) cells.resize(cell + 1);
    return cells[cell];
  }
  // Is it run in health, so that it grows older for a plan's min_age? At least half of the hosts that run it
  // or may, and at least one, are proven healthy: the same measure that lets a wave pass.
  bool SoaksHealthy() const {
    return budget.healthy > 0 && budget.healthy >= budget.unproven + budget.failed;
  }
  int64_t exposed = 0;           // but unused ones
  FleetNanos exposed_since = 0;  // the first of those; 0: none yet
  int64_t harmed = 0, saved = 0;
  std::optional<absl::Time> first_harm_at, last_lease_at;

  // Moves an exposure between the budgets, everywhere at once, if the news move it.
  void Hear(Exposure& exposure, policy::News news);
  // One more exposed host of the cell, by its labels of now.
  void CountIn(CellId cell, const Exposure& exposure);
  // Takes a new host into every count.
  void Count(Exposure& exposure);
  // An exposure that was never used leaves the denominators: it exposed nobody.
  void Uncount(Exposure& exposure);
  // It is used after all: the host was heard running the release.
  void Recount(Exposure& exposure, const Place& place);
  // The host's labels changed, or what plans make of them.
  void Relabel(Exposure& exposure, const Place& place);
  Exposure* Find(HostRef host) {
    const auto it = by_host.find(host);
    return it == by_host.end() ? nullptr : it->second;
  }

  // Probations in the order of their deadlines (all have the same length).
  struct Probation {
    FleetNanos deadline = 0;
    Exposure* exposure = nullptr;
  };
  std::deque<Probation> probations;
  void StartProbation(Exposure& exposure, FleetNanos now);
  void CountOnline(const Place& place, int64_t by);
  // Keeps the exposed series in step: committed, in the budgets, heard, and not moved on.
  void UpdateSeries(Exposure& exposure);

  // ---- the method
  std::deque<uint32_t> spells;  // open ones in draw order, indices into the engine's pool
  SoakWatch soaks;
  ReleaseJudgement judgement;
  double m_r() const { return judgement.reading().m_r; }
  double m_a() const { return judgement.reading().m_a; }
  double m_r_mark = 0, m_a_mark = 0;  // at the last resume
  size_t failures_mark = 0;
  FleetNanos first_failed_since = 0;  // nobody can be let in, and nothing but failures is known; 0: otherwise
  // A stop for everyone waits until here at the latest for what is in flight to name the one cell that all
  // bad news are about (engine_cohort.cc); nobody is let in meanwhile. 0: none ever did.
  FleetNanos cell_awaited_until = 0;
  bool cell_awaited = false;     // now
  std::vector<CellId> excluded;  // that people keep the release from, by the labels of now

  // ---- SLO gates: one window per kind and length that some plan uses, and one per kind of the greatest
  // length that a plan may name: from it a new one learns what was seen before.
  std::map<std::pair<policy::GateKind, FleetNanos>, BadWindow> windows;
  std::map<FleetNanos, BadWindow> unannounced;  // silence without a goodbye, by window length
  OnsetSeries exposed_series;                   // hosts exposed and running it
  std::vector<int64_t> online_in;               // of those, by place
  std::deque<SilenceOnset> fell;                // of those, who fell silent in the last minutes
  bool may_be_outage = false;                   // some of `fell` may be an outage's first
  FleetNanos silence_trips_since = 0;           // a silence gate has tripped at each look since; 0: none does
  FleetNanos windows_from = 0;  // silence is judged from here: this process's start, or a resume
  // From where one tenant's gates count, where only that tenant's brake was released since; by name.
  absl::flat_hash_map<std::string, FleetNanos> tenant_windows_from;
  absl::flat_hash_set<HostRef> rejected;
  absl::flat_hash_set<HostRef> activation_failed;
  absl::flat_hash_set<HostRef> staging_failed;  // told to people; no evidence: nobody ran anything
  // `same`: what the window may know of the host goes on.
  void AddBad(policy::GateKind kind, HostRef host, const CellList& cells, FleetNanos now, bool same = false);
  void AddUnannounced(HostRef host, const CellList& cells, FleetNanos now, bool same = false);
  // The host counts no more in any window.
  void RemoveBad(HostRef host);
  // An outage explains `share` of the host's latest silence.
  void Explain(HostRef host, double share);
  void AddWindow(policy::GateKind kind, FleetNanos length, FleetNanos now);
  void ExpireWindows(FleetNanos now);
  // Windows restart: at a resume.
  void ClearWindows(FleetNanos now);

  // ---- the draw
  int64_t bucket_index = -1;
  // Label values that hosts announced and the matrix does not cover, of which a decision has told.
  std::set<std::string> pending_named;

  // ---- ordered rollback: its own pace
  LastMinute reverts_ordered;
  FleetNanos reverts_since = 0;  // when the first host of the newest order asked; 0: none did yet
  int64_t revert_set = 0;        // hosts that were exposed then
  absl::flat_hash_set<HostRef> reverting_unloaded;  // ordered back, of hosts whose exposure is not loaded
};

// A host that asks and was not let in yet.
struct Asker {
  FleetNanos last_asked = 0;
  FleetNanos locked_until = 0;
  bool was_phantom = false;  // waited longer than any wave waits for it
};

// One ring of one tenant working on one release, in memory.
struct Stage {
  storage::StageRow row;
  ReleaseState* release = nullptr;
  uint32_t tenant = 0;
  int ring = 0;  // in the tenant's plan as it is now; -1: the plan has it no more
  // What the plan as it is now says against the release in this ring; the plan may have changed since it was
  // chosen.
  policy::Reason plan_says = policy::Reason::kNone;

  policy::Budget budget;
  int64_t exposed = 0;  // but unused ones
  int64_t heard = 0;    // of those, not silent, gone back or moved on
  std::array<int64_t, 9> by_outcome{};
  std::vector<int64_t> wave_exposed, wave_confirmed;
  static int64_t& At(std::vector<int64_t>& counts, int wave) {
    if (static_cast<size_t>(wave) >= counts.size()) counts.resize(static_cast<size_t>(wave) + 1, 0);
    return counts[static_cast<size_t>(wave)];
  }

  policy::Bucket bucket;
  policy::StratumNumber bucket_stratum = 0;  // 0: none opened in this bucket yet
  absl::flat_hash_map<HostRef, Asker> askers;
  FleetNanos opened = 0;  // fleet time of the first wave: the draw warms up after it
  LastMinute let_in;      // hosts_per_minute
  // Of the open wave, by the plan that it opened under; unset before the first wave.
  std::optional<absl::Duration> soak;
  absl::Duration soak_unsaved;
  absl::Time revisit_at = absl::InfiniteFuture();
};

}  // namespace ringfence::app
