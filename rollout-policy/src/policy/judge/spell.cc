#include "ringfence/policy/judge/spell.h"

#include "ringfence/policy/evidence.h"

namespace ringfence::policy {
namespace {

constexpr double kAllowanceIntervals = 1.25;
constexpr double kWindowIntervals = 2.5;
constexpr double kGapIntervals = 5.0;

}  // namespace

SpellTiming SpellTiming::For(absl::Duration interval, absl::Duration allowed_downtime, absl::Duration soak) {
  SpellTiming timing;
  timing.interval = interval;
  timing.allowance = kAllowanceIntervals * interval;
  timing.maturity = timing.allowance + kWindowIntervals * interval + allowed_downtime;
  timing.gap = kGapIntervals * interval + allowed_downtime;
  timing.soak = soak;
  return timing;
}

void SpellWatch::NoticeGap(absl::Time now) {
  const absl::Time gap_from = last_heard_ + timing_.gap;
  if (!gap_at_.has_value() && now >= gap_from && gap_from < t0_ + timing_.soak) gap_at_ = gap_from;
}

void SpellWatch::OnCheckIn(absl::Time at) {
  NoticeGap(at);
  if (at > last_heard_) last_heard_ = at;
  if (at > t0_ + timing_.allowance && at <= t0_ + timing_.maturity) ++heard_in_window_;
}

void SpellWatch::OnCrash(absl::Time at) {
  if (at < t0_) return;
  if (at <= t0_ + timing_.maturity) crashed_ = true;
  if (!soak_crash_at_.has_value() && at < t0_ + timing_.soak) soak_crash_at_ = at;
}

void SpellWatch::OnTime(absl::Time now) {
  NoticeGap(now);
}

SpellOutcome SpellWatch::Outcome() const {
  const int64_t expected = (timing_.maturity - timing_.allowance) / timing_.interval;
  return {.silent = heard_in_window_ == 0,
          .crashed = crashed_,
          .gauge = MissedCheckInGauge(heard_in_window_, expected)};
}

}  // namespace ringfence::policy
