// What became of one enrolled host: a pure function of what was heard from it. Neither arm nor version is an
// argument of anything here, so that no rule can look at them. health-analysis.md, section 1.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace ringfence::policy {

// How long is waited for what, for a check-in interval h. S is wall time, all else follows h.
struct SpellTiming {
  absl::Duration interval;   // h; also the length of a bucket
  absl::Duration allowance;  // a = 1.25·h: check-ins up to t0 + a prove nothing
  absl::Duration maturity;   // D = a + 2.5·h, and the downtime that a sensor release may take
  absl::Duration gap;        // 5·h, and that downtime: so long without a check-in is a soak event
  absl::Duration soak;       // S: how long phantoms wait

  static SpellTiming For(absl::Duration interval, absl::Duration allowed_downtime, absl::Duration soak);
};

// What a spell showed until t0 + D.
struct SpellOutcome {
  bool silent = false;
  bool crashed = false;
  std::optional<double> gauge =
      std::nullopt;  // in [0,1], larger is worse; none: the spell is skipped for the gauge
  friend bool operator==(const SpellOutcome&, const SpellOutcome&) = default;
};

// Listens to one host from its draw on. Times are those of the server's receipt, in order. A check-in at
// exactly t0 + a proves nothing, one at exactly t0 + D is still in time; a crash counts until t0 + D
// inclusive.
class SpellWatch {
 public:
  SpellWatch(absl::Time t0, const SpellTiming& timing) : t0_(t0), timing_(timing), last_heard_(t0) {}

  void OnCheckIn(absl::Time at);
  // A crash report, an unexpected boot id, or safe mode. Announced reboots are none.
  void OnCrash(absl::Time at);
  // To be called as time passes, after the check-ins up to `now`: notices a gap that is still open.
  void OnTime(absl::Time now);

  bool IsMature(absl::Time now) const { return now > t0_ + timing_.maturity; }
  // Only once mature. The gauge is the share of check-ins missed in (t0 + a, t0 + D].
  SpellOutcome Outcome() const;
  // The first of each before t0 + S, if there was one yet.
  std::optional<absl::Time> soak_gap_at() const { return gap_at_; }
  std::optional<absl::Time> soak_crash_at() const { return soak_crash_at_; }

 private:
  void NoticeGap(absl::Time now);

  absl::Time t0_;
  SpellTiming timing_;
  absl::Time last_heard_;
  int64_t heard_in_window_ = 0;
  bool crashed_ = false;
  std::optional<absl::Time> gap_at_, soak_crash_at_;
};

}  // namespace ringfence::policy
