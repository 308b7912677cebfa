// The hosts of one simulated rollout: who they are, what keeps them silent, what the fault does to them. It
// knows nothing of arms but who was let in, and nothing of evidence.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "ringfence/policy/judge/cell_slots.h"
#include "ringfence/policy/judge/guard_table.h"
#include "ringfence/policy/judge/spell.h"
#include "rollout-policy/tools/benchmark_scenario.h"
#include "rollout-policy/tools/fast_random.h"

namespace ringfence::tools {

using Tick = int32_t;
inline constexpr Tick kNever = std::numeric_limits<Tick>::max();

// What the server learns at a tick of a host, besides its check-ins.
struct FleetEvent {
  enum class Kind : uint8_t {
    kGap,     // not heard for gap_ticks
    kReturn,  // heard again after a gap
    kCrash,   // crash report, or an unexpected boot
  };
  uint32_t host = 0;
  Kind kind = Kind::kGap;
};

class BenchmarkFleet {
 public:
  BenchmarkFleet(const BenchmarkScenario& scenario, FastRandom& random);

  // Traits are hashes of (seed, host): nothing is stored of a million hosts.
  uint8_t ClassOf(uint32_t host) const;
  bool IsSpecial(uint32_t host) const {
    return special_ > 0 && ToUniform(Trait(host, kLabelTrait)) < special_;
  }
  // Into `cells`, label_dims of them.
  void CellsOf(uint32_t host, policy::CellIndex* cells) const;
  int64_t cells() const { return int64_t{spec_.fleet.label_dims} * spec_.fleet.label_values; }

  // True rates of control spells by class, as a long history would have them.
  policy::BackgroundRates TrueRates() const;

  // Time goes on: gaps, returns, crashes, onsets. Ticks in order.
  void Step(Tick now, std::vector<FleetEvent>& events);
  bool IsOnline(uint32_t host, Tick now) const;
  // Are there hosts that may be offline at all?
  bool has_offline() const { return tracked_ || has_outage_ || spec_.fleet.cohort_online_from_tick > 0; }

  // The host activates at `now`. Harmed at once if the fault is of that kind.
  void Activate(uint32_t host, Tick now);
  void Revert(uint32_t host);
  // Can a command reach it, and could it still be harmed?
  bool IsReachable(uint32_t host, Tick now) const { return IsOnline(host, now); }
  bool IsHarmed(uint32_t host) const;
  bool AwaitsHarm(uint32_t host) const { return onset_.contains(host); }
  int64_t harmed() const { return harmed_; }
  int64_t awaiting_harm() const { return static_cast<int64_t>(onset_.size()); }

  // The outcome of a spell drawn at t0, to be asked once, after the check-ins of tick t0 +
  // last_window_tick(). `exposed`: the host activated at t0; what happens then is the fault's doing, not the
  // arm's.
  policy::SpellOutcome Outcome(uint32_t host, Tick t0, bool exposed);
  // A later probation of an unharmed host: is it clean?
  bool IsCleanProbation(uint32_t host, Tick from);

  Tick first_window_tick() const { return first_window_; }
  Tick last_window_tick() const { return last_window_; }
  Tick maturity_ticks() const { return maturity_; }
  bool tracked() const { return tracked_; }

 private:
  static constexpr size_t kLabelTrait = 0;  // + dimension
  static constexpr size_t kClassTrait = 16;
  static constexpr size_t kVulnerableTrait = 17;
  static constexpr size_t kTraits = 18;

  uint64_t Trait(uint32_t host, size_t trait) const { return Mix(trait_keys_[trait] + host); }
  bool IsVulnerable(uint32_t host) const;
  double SilenceOfSpell(uint32_t host, Tick t0);
  // The same by class, without what labels do.
  double SilenceOfClass(size_t host_class, Tick t0) const;
  bool IsDarkByOutage(uint32_t host, Tick now) const;
  void GoDark(uint32_t host, Tick now);
  void ScheduleGap(uint32_t host, Tick not_before);
  void BreakAt(Tick now, uint32_t host, std::vector<FleetEvent>& events);

  // A calendar: what is due at a tick.
  template <typename T>
  struct Calendar {
    std::vector<std::vector<T>> by_tick;
    void Add(Tick at, const T& what) {
      if (at >= 0 && static_cast<size_t>(at) < by_tick.size())
        by_tick[static_cast<size_t>(at)].push_back(what);
    }
    std::vector<T> Take(Tick at) {
      if (static_cast<size_t>(at) >= by_tick.size()) return {};
      return std::move(by_tick[static_cast<size_t>(at)]);
    }
  };
  struct OpenGap {
    uint32_t host = 0;
    Tick since = 0;
  };
  struct BootLoop {
    bool heard_in_window = false;
    Tick first_seen = kNever;  // relative to the lease
  };

  const BenchmarkScenario& spec_;
  FastRandom& random_;
  const SpellNoise* spell_noise_;
  const TimelineNoise* timeline_;
  std::array<uint64_t, kTraits> trait_keys_{};
  double special_ = 0.0;
  Tick first_window_, last_window_, maturity_, gap_ticks_;
  bool has_outage_;
  bool tracked_;  // are gaps followed host by host?
  Tick outage_start_ = kNever, outage_end_ = kNever;
  double phase_ = 0.0;    // diurnal
  Tick burst_start_ = 0;  // diurnal, outage pattern
  std::array<uint64_t, 64> class_until_{};
  Tick silence_tick_ = kNever;                 // the tick of
  std::array<double, 64> silence_of_class_{};  // SilenceOfClass

  std::vector<Tick> dark_since_;  // first tick missed; kNever: online
  std::vector<Tick> last_crash_;
  std::vector<bool> broken_;
  Calendar<uint32_t> gap_starts_, gap_ends_, onsets_, boots_;
  Calendar<OpenGap> gap_due_;
  absl::flat_hash_map<uint32_t, Tick> onset_;  // exposed, vulnerable, not harmed yet
  absl::flat_hash_map<uint32_t, BootLoop> loops_;
  int64_t harmed_ = 0;
};

}  // namespace ringfence::tools
