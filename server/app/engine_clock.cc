// The fleet's clock, silence, and the server's own blindness (invariants 7 and 13).
#include <algorithm>

#include "ringfence/policy/judge/hearing.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// Fewer expected check-ins than this say nothing.
constexpr double kLeastExpected = 20;
// Blind for longer than this many intervals: the fleet really left. It is taken as gone, without evidence.
constexpr int kBlindIntervals = 20;

}  // namespace

FleetNanos Engine::FleetNow() const {
  const FleetNanos frozen = frozen_at_.load(std::memory_order_relaxed);
  if (frozen != 0) return frozen;
  // A process that stood still, or whose clock jumped, must not hear the first host on a clock that ran on:
  // the time that no step saw is given back, from the first moment.
  return std::min(absl::ToUnixNanos(clock_->Now()) - blind_nanos_.load(std::memory_order_relaxed),
                  fleet_ends_at_.load(std::memory_order_relaxed));
}

absl::Duration Engine::LargestStep() const {
  return std::max(absl::Seconds(30), options_.checkin_interval);
}

absl::Duration Engine::AdvanceClock(absl::Time now) {
  if (last_run_ == absl::InfinitePast()) last_run_ = now;
  const absl::Duration passed = now - last_run_;
  last_run_ = now;
  const absl::Duration step = LargestStep();
  if (passed > step && frozen_at_.load() == 0) {
    blind_nanos_.fetch_add(absl::ToInt64Nanoseconds(passed - step));
  }
  fleet_ends_at_.store(absl::ToUnixNanos(now) - blind_nanos_.load() + absl::ToInt64Nanoseconds(step));
  if (passed <= step) return passed;
  // The server itself stood still, or its clock jumped: hosts get that time back, and nothing is promoted for
  // a while.
  promotion_paused_until_ = now + options_.checkin_interval;
  return step;
}

void Engine::JudgeBlindness(absl::Duration passed) {
  heard_ += fleet_.TakeHeardUnexposed();
  heard_expected_ +=
      static_cast<double>(online_unexposed_) * absl::FDivDuration(passed, options_.checkin_interval);
  heard_over_ += passed;
  if (blind_) blind_for_ += passed;
  if (heard_over_ < options_.checkin_interval) return;
  // Exposed hosts do not count: bricks must not stop the clock that would convict them.
  const bool deaf =
      heard_expected_ >= kLeastExpected && policy::IsDeaf({.heard = heard_, .forecast = heard_expected_});
  heard_ = 0;
  heard_expected_ = 0;
  heard_over_ = absl::ZeroDuration();

  if (deaf && !blind_) {
    frozen_at_.store(FleetNow());
    blind_ = true;
    blind_for_ = absl::ZeroDuration();
    Changed();
    return;
  }
  if (!blind_) return;
  const bool gone = blind_for_ >= kBlindIntervals * options_.checkin_interval;
  if (deaf && !gone) return;
  // Hosts that were heard while the clock stood still have the frozen time as last_seen.
  const FleetNanos frozen = frozen_at_.load();
  if (gone) {
    VoidSpells();
    std::vector<HostRef> lost;
    fleet_.ForEach([&](HostRef host, Row& row) {
      if (!row.silent && !row.deleted && row.last_seen < frozen) lost.push_back(host);
    });
    for (const HostRef host : lost) WentAway(host);
  }
  blind_nanos_.store(absl::ToUnixNanos(clock_->Now()) - frozen);
  fleet_ends_at_.store(frozen + absl::ToInt64Nanoseconds(LargestStep()));
  frozen_at_.store(0);
  blind_ = false;
  promotion_paused_until_ = clock_->Now() + options_.checkin_interval;
  Changed();
}

void Engine::VoidSpells() {
  for (const auto& release : releases_) {
    for (const uint32_t index : release->spells) {
      fleet_.With(spells_[index].host, [](Row& row) {
        row.spell = 0;
        row.counts_from = kNever;
      });
      free_spells_.push_back(index);
    }
    release->spells.clear();
    release->soaks.Clear();
    release->judgement.VoidOpen();
  }
  for (const auto& stage : stages_) stage->bucket_stratum = 0;
}

FleetNanos Engine::SilenceAfter(uint32_t tenant) const {
  int missed = 3;
  const auto& plan = tenants_[tenant].plan;
  if (plan.has_value() && plan->plan.gates.silence.has_value())
    missed = plan->plan.gates.silence->missed_checkins;
  // Intervals carry jitter; half an interval more makes `missed` of them certain.
  return static_cast<FleetNanos>((missed + 0.5) * static_cast<double>(h_));
}

FleetNanos Engine::WatchHost(HostRef host, FleetNanos now) {
  const Row row = fleet_.With(host, [](Row& r) { return r; });
  if (row.deleted || row.silent) return kNever;
  const LabelSet& set = label_sets_[row.label_set];
  FleetNanos due = row.last_seen + SilenceAfter(set.tenant);
  if (row.goodbye && row.ever_exposed && due <= now) {
    // A goodbye said before activation exempts for 30 minutes; one said after exempts nobody: a bad update
    // says it too.
    for (const auto& release : releases_) {
      const Exposure* exposure = release->live ? release->Find(host) : nullptr;
      // Its probation may have ended meanwhile, silent and without harm.
      if (exposure != nullptr && policy::IsUnconfirmed(exposure->standing) && !exposure->harmed &&
          !exposure->activated) {
        due = std::max(due, row.last_seen + absl::ToInt64Nanoseconds(absl::Minutes(30)));
      }
    }
  }
  if (due > now) return due;
  const bool went = fleet_.With(host, [&](Row& r) {
    if (r.last_seen != row.last_seen) return false;  // heard this very moment
    r.silent = true;
    return true;
  });
  if (!went) return now + SilenceAfter(set.tenant);
  FellSilent(host, row.label_set, row.goodbye, now);
  if (!row.ever_exposed) --online_unexposed_;
  return kNever;
}

void Engine::FellSilent(HostRef host, uint32_t label_set, bool goodbye, FleetNanos now) {
  const LabelSet& set = label_sets_[label_set];
  ++silent_hosts_;
  CountOnline(*set.place, -1);
  fleet_series_.Onset(set.cells, goodbye);
  const SilenceOnset onset{now, host, set.place, goodbye};
  fell_.push_back(onset);
  for (const auto& release : releases_) {
    Exposure* exposure = release->live ? release->Find(host) : nullptr;
    if (exposure == nullptr || exposure->silent) continue;
    exposure->silent = true;
    const bool watched = exposure->counted;
    release->UpdateSeries(*exposure);
    if (!watched) continue;
    release->exposed_series.Onset(set.cells, goodbye);
    // A host that has not proven itself since it was silent is silent for the same reason, whatever befalls
    // others now: after a start everybody who is away falls silent at once.
    const bool same = exposure->harmed && exposure->outcome == storage::Outcome::kSilent;
    if (!same) release->fell.push_back(onset);
    if (!exposure->blocked) {
      release->AddBad(policy::GateKind::kSilence, host, set.cells, now, same);
      if (!goodbye) release->AddUnannounced(host, set.cells, now, same);
    }
    if (same) {
      release->Explain(host, exposure->bad.explained);  // as it was known before a restart
    } else if (exposure->bad.explained > 0) {
      exposure->bad.explained = 0;
      dirty_exposures_[exposure] = release.get();
    }
    // Laptops that said goodbye after they were proven sleep; all others that fall silent are taken back.
    const bool proven = exposure->standing == policy::Standing::kProven;
    if (!proven || !goodbye) Harmed(*release, *exposure, storage::Outcome::kSilent, now);
    // The gates are judged when the wheel has turned: all who fell silent together count together.
  }
}

void Engine::CountOnline(const Place& place, int64_t by) {
  fleet_series_.Online(place.cells, by);
  if (place.id >= online_in_.size()) online_in_.resize(place.id + 1);
  online_in_[place.id] += by;
}

void Engine::ExplainSilence(ReleaseState& release, FleetNanos now) {
  const FleetNanos together = kTogetherIntervals * h_;
  while (!release.fell.empty() && release.fell.front().at <= now - together) release.fell.pop_front();
  release.may_be_outage = false;
  if (release.fell.empty()) return;
  // What is usual, was so before these minutes.
  const auto controls = [&](FleetNanos from) {
    mu_.AssertHeld();
    OnsetSeries::Reading all = fleet_series_.Since(from, -1);
    const OnsetSeries::Reading with = release.exposed_series.Since(from, -1);
    all.host_hours -= with.host_hours;
    all.onsets -= with.onsets;
    all.unannounced -= with.unannounced;
    return all;
  };
  const OnsetSeries::Reading ever = controls(now - series_keep_);
  const OnsetSeries::Reading lately = controls(now - together);
  const double hours = ever.host_hours - lately.host_hours;
  if (hours <= 0) return;
  // A goodbye explains no silence without one, nor the other way round.
  for (const bool announced : {false, true}) {
    SilenceByPlace silence{online_in_, release.online_in, {}, {}, 0};
    silence.fell.resize(places_.size());
    silence.exposed_fell.resize(places_.size());
    for (const SilenceOnset& onset : fell_) {
      if (onset.announced == announced) ++silence.fell[onset.place->id];
    }
    bool any = false;
    for (const SilenceOnset& onset : release.fell) {
      if (onset.announced != announced) continue;
      ++silence.exposed_fell[onset.place->id];
      any = true;
    }
    if (!any) continue;
    const auto onsets = [&](const OnsetSeries::Reading& reading) {
      return announced ? reading.onsets - reading.unannounced : reading.unannounced;
    };
    const auto before = static_cast<double>(std::max<int64_t>(0, onsets(ever) - onsets(lately)));
    silence.usual = (before + 1) / hours * absl::FDivDuration(absl::Nanoseconds(together), absl::Hours(1));
    const OutageReading reading = ReadOutages(places_, silence);
    release.may_be_outage = release.may_be_outage || reading.may_be_first;
    for (const SilenceOnset& onset : release.fell) {
      const double explained = reading.explained[onset.place->id];
      if (onset.announced != announced || explained <= 0) continue;
      release.Explain(onset.host, explained);
      Exposure* exposure = release.Find(onset.host);
      if (exposure != nullptr && exposure->bad.explained < explained) {
        exposure->bad.explained = explained;
        dirty_exposures_[exposure] = &release;
      }
    }
  }
}

void Engine::WentAway(HostRef host) {
  const auto [label_set, unexposed] = fleet_.With(host, [](Row& row) {
    row.silent = true;
    return std::make_pair(row.label_set, !row.ever_exposed);
  });
  ++silent_hosts_;
  if (unexposed) --online_unexposed_;
  CountOnline(*label_sets_[label_set].place, -1);
  for (const auto& release : releases_) {
    Exposure* exposure = release->live ? release->Find(host) : nullptr;
    if (exposure == nullptr || exposure->silent) continue;
    exposure->silent = true;
    release->UpdateSeries(*exposure);
  }
}

}  // namespace ringfence::app
