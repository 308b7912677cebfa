#include "ringfence/policy/projection.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "ringfence/policy/choice.h"
#include "ringfence/policy/deny.h"
#include "wave_fill.h"

namespace ringfence::policy {
namespace {

// In a wave that was shut and opens again hosts ask within so many check-ins; it does not pass before.
constexpr int kAskWithin = 3;
// Looks of the server from one ring's end to the next ring's beginning: it chooses, then it opens.
constexpr int kLooksToOpen = 2;
constexpr int kMostEvents = 20'000;
constexpr size_t kMostHolds = 64;   // for each ring
constexpr size_t kMostPoints = 96;  // for each release

// A ring at work on a release, or done with it.
struct Work {
  size_t release = 0;
  StageState state = StageState::kWaiting;
  Reason brake = Reason::kNone;
  int wave = 0;
  int64_t members = 0, exposed = 0, confirmed = 0;
  absl::Time opens_at;                            // waiting: not before
  absl::Time due = absl::InfiniteFuture();        // open: soaked, full and half proven
  absl::Time passes = absl::InfiniteFuture();     // open: the same, when the calendar allows
  absl::Time out_since = absl::InfiniteFuture();  // open: the plan keeps the release out for now
};

class Projector {
 public:
  explicit Projector(const ProjectionInput& in)
      : in_(in), plan_(*in.plan), end_(in.now + in.horizon), work_(plan_.rings.size()) {
    progress_.resize(in_.releases.size());
    aging_.resize(in_.releases.size());
    result_.channel = in_.channel;
    result_.all_passed.assign(in_.releases.size(), absl::InfiniteFuture());
    result_.first_proven.assign(in_.releases.size(), absl::InfiniteFuture());
    for (const Ring& ring : plan_.rings) result_.rings.push_back({ring.name, 0, {}, {}});
    for (const MixEntry& entry : in_.mix) {
      ring_of_.push_back(RingOf(plan_, entry.labels).value_or(-1));
      if (ring_of_.back() >= 0) result_.rings[static_cast<size_t>(ring_of_.back())].hosts += entry.hosts;
    }
  }

  Projection Run() && {
    Begin();
    absl::Time now = in_.now;
    for (int i = 0; i < kMostEvents && now < end_; ++i) {
      next_ = absl::InfiniteFuture();
      now_ = now;
      Settle(now);
      NoteHolds(now);
      NotePassed(now);
      now = next_;
    }
    Finish();
    return std::move(result_);
  }

 private:
  // When a release grows older, but for the spans in which too few of its hosts are proven.
  struct Aging {
    absl::Time from = absl::InfiniteFuture();
    std::vector<std::pair<absl::Time, absl::Time>> pauses;
  };
  struct Kept {
    uint64_t serial = 0;
    Reason reason = Reason::kNone;
    std::string detail;
  };

  void Begin() {
    for (size_t r = 0; r < in_.releases.size(); ++r) {
      const ReleaseStanding& standing = in_.releases[r];
      ReleaseProgress& progress = progress_[r];
      progress.serial = standing.release.serial;
      progress.version = standing.release.version;
      progress.digest = standing.release.digest;
      progress.artifacts = ArtifactDigests(standing.release);
      progress.urgent = standing.release.urgent;
      progress.stopped = standing.stopped;
      progress.ring_passed.assign(plan_.rings.size(), false);
      aging_[r].from = standing.ages_from;
      size_t gone = plan_.rings.size();  // rings that the plan does not have: their hosts run it all the same
      for (const StageStanding& stage : standing.stages) {
        const Ring* ring = FindRing(plan_, stage.ring);
        if (ring == nullptr) {
          AddPoint(r, in_.now, static_cast<double>(stage.exposed), gone++);
        } else {
          BeginStage(static_cast<size_t>(ring - plan_.rings.data()), r, stage);
        }
      }
    }
  }

  void BeginStage(size_t ring, size_t release, const StageStanding& stage) {
    const bool passed = CountsAsPassed(stage.state);
    progress_[release].ring_passed[ring] = progress_[release].ring_passed[ring] || passed;
    AddPoint(release, in_.now, static_cast<double>(stage.exposed), ring);
    if (stage.state == StageState::kSuperseded) return;
    std::optional<Work>& work = work_[ring];
    if (work.has_value() && in_.releases[work->release].release.serial > in_.releases[release].release.serial)
      return;
    work = Work();
    work->release = release;
    work->state = stage.state;
    work->brake = stage.brake;
    work->wave = std::min(stage.wave, static_cast<int>(plan_.rings[ring].waves.size()) - 1);
    work->exposed = stage.exposed;
    work->confirmed = stage.confirmed;
    work->opens_at = in_.now;
    work->members = std::max(MembersOf(ring, release), stage.exposed);
    if (stage.state == StageState::kOpen) OpenWave(ring, in_.now, stage.soaked, stage.opened);
  }

  int64_t MembersOf(size_t ring, size_t release) const {
    int64_t members = 0;
    for (size_t i = 0; i < in_.mix.size(); ++i) {
      if (ring_of_[i] != static_cast<int>(ring)) continue;
      const Reason lasting = LastingReason(plan_, in_.mix[i].labels, in_.releases[release].release);
      if (lasting == Reason::kNone) members += in_.mix[i].hosts;
    }
    return members;
  }

  RingConsent ConsentOf(size_t ring, size_t release) const {
    for (const RingConsent& one : in_.releases[release].consents) {
      if (one.ring == plan_.rings[ring].name) return one;
    }
    return {};
  }

  absl::Duration AgeWanted(size_t ring, size_t release) const {
    return EffectiveMinAge(plan_, plan_.rings[ring], in_.channel, in_.releases[release].release.urgent,
                           ConsentOf(ring, release).hastened);
  }

  // As the ring sees them: an approval may ask for haste in one ring and not in another.
  const std::vector<ReleaseProgress>& ProgressFor(size_t ring) {
    for (size_t r = 0; r < progress_.size(); ++r) progress_[r].hastened = ConsentOf(ring, r).hastened;
    return progress_;
  }

  Calendar CalendarFor(size_t ring, size_t release) const {
    return CalendarOf(plan_, plan_.rings[ring], in_.channel, in_.releases[release].release.urgent);
  }

  absl::Duration HealthyAge(size_t release, absl::Time now) const {
    const Aging& aging = aging_[release];
    absl::Duration age = in_.releases[release].healthy_age;
    if (now <= aging.from) return age;
    age += now - aging.from;
    for (const auto& [from, to] : aging.pauses) {
      const absl::Duration lost = std::min(now, to) - std::max(aging.from, from);
      age -= std::max(absl::ZeroDuration(), lost);
    }
    return age;
  }

  void Refresh(absl::Time now) {
    for (size_t r = 0; r < progress_.size(); ++r) {
      const ReleaseStanding& standing = in_.releases[r];
      progress_[r].internal_passed = now >= standing.internal_passes;
      progress_[r].age = now - standing.release.published_at;
      progress_[r].healthy_age = HealthyAge(r, now);
      if (standing.internal_passes > now) Next(standing.internal_passes);
      if (aging_[r].from > now) Next(aging_[r].from);
      for (const auto& [from, to] : aging_[r].pauses) {
        if (to > now) Next(to);
      }
    }
  }

  // The server looks every `step`.
  absl::Time Look(absl::Time at) const {
    if (at == absl::InfiniteFuture() || at <= in_.now) return at;
    const absl::Duration since = at - in_.now;
    absl::Duration rest;
    const int64_t looks = absl::IDivDuration(since, in_.step, &rest);
    return in_.now + (looks + (rest > absl::ZeroDuration() ? 1 : 0)) * in_.step;
  }
  void Next(absl::Time at) {
    if (at > now_ && at < next_) next_ = at;
  }

  absl::Time LetsInUntil() const { return std::min(end_, plan_.valid_until.value_or(end_)); }

  // The first time from `at` on at which the ring's calendar is open, and was kAskWithin check-ins before.
  absl::Time OpenLongEnough(size_t ring, size_t release, absl::Time at) const {
    const Calendar calendar = CalendarFor(ring, release);
    const absl::Duration asked = kAskWithin * in_.checkin;
    for (int i = 0; i < 1000 && at < LetsInUntil(); ++i) {
      const CalendarAnswer now = Ask(calendar, at);
      if (!now.open()) {
        at = now.until == absl::InfiniteFuture() ? end_ : now.until + asked;
        continue;
      }
      const CalendarAnswer before = Ask(calendar, at - asked);
      if (before.open()) return at;
      at = before.until == absl::InfiniteFuture() ? end_ : std::max(at + in_.step, before.until + asked);
    }
    return absl::InfiniteFuture();
  }

  void OpenWave(size_t ring, absl::Time now, absl::Duration soaked, absl::Time opened) {
    Work& work = *work_[ring];
    const ReleaseStanding& standing = in_.releases[work.release];
    const Ring& of = plan_.rings[ring];
    work.state = StageState::kOpen;
    const int64_t cap = std::min(WaveCap(of, work.wave, work.members), work.members);
    FillInput fill;
    fill.start = now;
    fill.members = work.members;
    fill.cap = cap;
    fill.exposed = work.exposed;
    fill.confirmed = work.confirmed;
    fill.first = work.wave == 0 && work.exposed == 0 && now == opened;
    fill.hosts_per_minute = of.hosts_per_minute;
    fill.checkin = in_.checkin;
    fill.probation = in_.probation;
    fill.calendar = CalendarFor(ring, work.release);
    fill.end = LetsInUntil();
    const Filling filling = FillWave(fill);
    for (const Filling::Point& point : filling.points) AddPoint(work.release, point.at, point.exposed, ring);
    if (!filling.points.empty()) {
      const absl::Time proven = filling.points.front().at + in_.probation;
      result_.first_proven[work.release] = std::min(result_.first_proven[work.release], proven);
      aging_[work.release].from = std::min(aging_[work.release].from, proven);
    }
    Aging& aging = aging_[work.release];
    aging.pauses.insert(aging.pauses.end(), filling.unproven.begin(), filling.unproven.end());
    const absl::Time soaked_at = now + (EffectiveSoak(plan_, of, standing.release.urgent) - soaked);
    work.due = std::max({soaked_at, filling.full, filling.half_proven});
    work.passes =
        work.due >= end_ ? absl::InfiniteFuture() : Look(OpenLongEnough(ring, work.release, work.due));
    // What the next wave starts from: nearly all are proven when it opens, if soak is longer than a
    // probation.
    work.exposed = std::max(work.exposed, filling.full == absl::InfiniteFuture() ? work.exposed : cap);
    result_.rings[ring].waves.push_back({standing.release.serial, standing.release.version, work.wave, opened,
                                         work.passes, std::max(cap, fill.exposed)});
  }

  void PassWave(size_t ring, absl::Time now) {
    Work& work = *work_[ring];
    work.confirmed = work.exposed;
    if (work.wave + 1 < static_cast<int>(plan_.rings[ring].waves.size())) {
      ++work.wave;
      OpenWave(ring, now, absl::ZeroDuration(), now);
      return;
    }
    work.state = StageState::kPassed;
    progress_[work.release].ring_passed[ring] = true;
  }

  bool IsBusy(const std::optional<Work>& work) const {
    return work.has_value() && (work->state == StageState::kOpen || work->state == StageState::kPaused ||
                                work->state == StageState::kHeld);
  }

  // Everything that happens at `now`; asks for the next time at which something may.
  void Settle(absl::Time now) {
    for (bool moved = true; moved;) {
      moved = false;
      Refresh(now);
      for (size_t ring = 0; ring < work_.size(); ++ring) moved = Move(ring, now) || moved;
    }
  }

  bool Move(size_t ring, absl::Time now) {
    std::optional<Work>& work = work_[ring];
    kept_[ring] = {};
    if (IsBusy(work)) return MoveBusy(ring, now);
    const Choice choice = ChooseRelease(plan_, static_cast<int>(ring), in_.channel, ProgressFor(ring),
                                        in_.first_of_internal, now);
    Next(choice.revisit_at);
    const uint64_t current = work.has_value() ? in_.releases[work->release].release.serial : 0;
    if (choice.serial.has_value() && *choice.serial > current) {
      work = Work();
      for (size_t r = 0; r < progress_.size(); ++r) {
        if (progress_[r].serial == *choice.serial) work->release = r;
      }
      work->opens_at = Look(now + kLooksToOpen * in_.step);
      work->members = MembersOf(ring, work->release);
    }
    if (work.has_value() && work->state == StageState::kWaiting) return MoveWaiting(ring, now);
    NoteUnchosen(ring, current, now);
    return false;
  }

  bool MoveBusy(size_t ring, absl::Time now) {
    Work& work = *work_[ring];
    const ReleaseStanding& standing = in_.releases[work.release];
    if (const Reason brake = work.brake != Reason::kNone ? work.brake : standing.brake;
        brake != Reason::kNone) {
      Keep(ring, work.release, brake, "");
      return false;
    }
    if (work.state != StageState::kOpen) return false;
    const Reason plan_says = MayGoOn(plan_, static_cast<int>(ring), in_.channel, ProgressFor(ring),
                                     standing.release.serial, in_.first_of_internal);
    if (plan_says != Reason::kNone && plan_says != Reason::kPinned) {
      Keep(ring, work.release, plan_says, DetailOf(ring, work.release, plan_says, now));
      if (plan_says == Reason::kMinAge) Next(AgeReached(ring, work.release, now));
      work.out_since = std::min(work.out_since, now);
      return false;
    }
    if (work.out_since != absl::InfiniteFuture()) {  // what was left of its soak stood still
      work.due += now - work.out_since;
      if (work.passes != absl::InfiniteFuture())
        work.passes = Look(OpenLongEnough(ring, work.release, work.due));
      result_.rings[ring].waves.back().passes = work.passes;
      work.out_since = absl::InfiniteFuture();
    }
    if (work.passes <= now) {
      PassWave(ring, now);
      return true;
    }
    Next(work.passes);
    if (work.due < work.passes) Next(Look(work.due));
    KeepByCalendar(ring, now);
    return false;
  }

  bool MoveWaiting(size_t ring, absl::Time now) {
    Work& work = *work_[ring];
    const ReleaseStanding& standing = in_.releases[work.release];
    if (const Reason brake = work.brake != Reason::kNone ? work.brake : standing.brake;
        brake != Reason::kNone) {
      Keep(ring, work.release, brake, "");
      return false;
    }
    if (now < work.opens_at) {
      Next(work.opens_at);
      return false;
    }
    if (work.members == 0) {
      work.state = StageState::kVacant;
      progress_[work.release].ring_passed[ring] = true;
      return true;
    }
    const Reason closed = PassingReason(plan_, static_cast<int>(ring), standing.release,
                                        ConsentOf(ring, work.release).consent, now);
    if (closed == Reason::kApproval || closed == Reason::kDenied) {
      Keep(ring, work.release, closed, absl::StrCat("ring ", plan_.rings[ring].name, " asks a person"));
      return false;
    }
    if (closed != Reason::kNone) {
      KeepByCalendar(ring, now);
      return false;
    }
    OpenWave(ring, now, absl::ZeroDuration(), now);
    return true;
  }

  void KeepByCalendar(size_t ring, absl::Time now) {
    const Work& work = *work_[ring];
    if (HasExpired(plan_, now)) return Keep(ring, work.release, Reason::kPlanExpired, "");
    if (plan_.valid_until.has_value()) Next(Look(*plan_.valid_until));
    const CalendarAnswer answer = Ask(CalendarFor(ring, work.release), now);
    Next(Look(answer.until));
    if (!answer.open()) Keep(ring, work.release, answer.closed, answer.detail);
  }

  // Why the ring takes nothing newer than `current`.
  void NoteUnchosen(size_t ring, uint64_t current, absl::Time now) {
    if (progress_.empty() || progress_.back().serial <= current) return;
    std::vector<ReleaseProgress> newer = ProgressFor(ring);
    for (ReleaseProgress& progress : newer) progress.stopped = progress.stopped || progress.serial <= current;
    const Choice choice =
        ChooseRelease(plan_, static_cast<int>(ring), in_.channel, newer, in_.first_of_internal, now);
    size_t newest = progress_.size() - 1;
    while (newest > 0 && progress_[newest].stopped && progress_[newest - 1].serial > current) --newest;
    if (choice.reason == Reason::kNone) return;
    const Reason reason = progress_[newest].stopped ? Reason::kHalted : choice.reason;
    Keep(ring, newest, reason, DetailOf(ring, newest, reason, now));
  }

  std::string DetailOf(size_t ring, size_t release, Reason reason, absl::Time now) const {
    const Ring& of = plan_.rings[ring];
    if (reason == Reason::kMinAge) {
      return absl::StrCat("wants ", absl::FormatDuration(AgeWanted(ring, release)), " of health, has ",
                          absl::FormatDuration(absl::Trunc(HealthyAge(release, now), absl::Seconds(1))));
    }
    if (reason == Reason::kNothingToLag) {
      const ChannelRule* rule = FindRule(plan_, in_.channel);
      return absl::StrCat("stays ", rule == nullptr ? 0 : EffectiveLag(of, *rule),
                          " behind: newer ones must come this far first");
    }
    if (reason == Reason::kEarlierRingNotPassed && ring > 0) {
      for (size_t i = 0; i < ring; ++i) {
        if (!progress_[release].ring_passed[i]) return absl::StrCat("after ring ", plan_.rings[i].name);
      }
    }
    return "";
  }

  absl::Time AgeReached(size_t ring, size_t release, absl::Time now) const {
    return now + std::max(in_.step, AgeWanted(ring, release) - HealthyAge(release, now));
  }

  void Keep(size_t ring, size_t release, Reason reason, std::string detail) {
    kept_[ring] = {in_.releases[release].release.serial, reason, std::move(detail)};
  }

  void NoteHolds(absl::Time now) {
    for (size_t ring = 0; ring < work_.size(); ++ring) {
      const Kept& kept = kept_[ring];
      std::vector<ProjectedHold>& holds = result_.rings[ring].holds;
      const bool goes_on = !holds.empty() && holds.back().until == absl::InfiniteFuture();
      if (goes_on && holds.back().serial == kept.serial && holds.back().reason == kept.reason) continue;
      if (goes_on) holds.back().until = now;
      if (kept.reason == Reason::kNone || holds.size() >= kMostHolds) continue;
      std::string version;
      for (const ReleaseProgress& progress : progress_) {
        if (progress.serial == kept.serial) version = progress.version;
      }
      holds.push_back(
          {kept.serial, std::move(version), kept.reason, now, absl::InfiniteFuture(), kept.detail});
    }
  }

  void NotePassed(absl::Time now) {
    for (size_t r = 0; r < progress_.size(); ++r) {
      if (result_.all_passed[r] != absl::InfiniteFuture()) continue;
      const std::vector<bool>& passed = progress_[r].ring_passed;
      const bool all =
          !passed.empty() && std::all_of(passed.begin(), passed.end(), [](bool one) { return one; });
      if (all && !points_[r].empty()) result_.all_passed[r] = now;
    }
  }

  // `exposed` hosts of the ring run the release from `at` on.
  void AddPoint(size_t release, absl::Time at, double exposed, size_t ring) {
    if (exposed > 0) points_[release].push_back({at, ring, exposed});
  }

  void Finish() {
    for (auto& [release, points] : points_) {
      std::stable_sort(points.begin(), points.end(),
                       [](const auto& a, const auto& b) { return a.at < b.at; });
      ReleaseExposure exposure{progress_[release].serial, progress_[release].version, {}};
      std::map<size_t, double> by_ring;
      for (const Point& point : points) {
        by_ring[point.ring] = std::max(by_ring[point.ring], point.exposed);
        double sum = 0;
        for (const auto& [ring, hosts] : by_ring) sum += hosts;
        const int64_t hosts = std::llround(sum);
        if (!exposure.points.empty() && exposure.points.back().at == point.at) {
          exposure.points.back().hosts = hosts;
        } else if (exposure.points.empty() || hosts > exposure.points.back().hosts) {
          exposure.points.push_back({point.at, hosts});
        }
      }
      Thin(exposure.points);
      result_.exposure.push_back(std::move(exposure));
    }
    for (ProjectedRing& ring : result_.rings) {
      for (ProjectedWave& wave : ring.waves) {
        if (wave.passes >= end_) wave.passes = absl::InfiniteFuture();
      }
    }
  }

  // Evenly in hosts; the first and the last stay.
  static void Thin(std::vector<ExposurePoint>& points) {
    if (points.size() <= kMostPoints) return;
    const auto least = static_cast<double>(points.back().hosts - points.front().hosts) / (kMostPoints - 2);
    std::vector<ExposurePoint> kept{points.front()};
    for (size_t i = 1; i + 1 < points.size(); ++i) {
      if (static_cast<double>(points[i].hosts - kept.back().hosts) >= least) kept.push_back(points[i]);
    }
    kept.push_back(points.back());
    points = std::move(kept);
  }

  struct Point {
    absl::Time at;
    size_t ring;
    double exposed;
  };

  const ProjectionInput& in_;
  const Plan& plan_;
  const absl::Time end_;
  std::vector<ReleaseProgress> progress_;
  std::vector<Aging> aging_;
  std::vector<int> ring_of_;  // by entry of the mix; -1: none
  std::vector<std::optional<Work>> work_;
  std::map<size_t, Kept> kept_;                  // by ring: what keeps it at this moment
  std::map<size_t, std::vector<Point>> points_;  // by release
  absl::Time now_ = absl::InfinitePast();        // of the events in hand
  absl::Time next_ = absl::InfiniteFuture();     // after now_
  Projection result_;
};

}  // namespace

Projection Project(const ProjectionInput& input) {
  if (FindRule(*input.plan, input.channel) == nullptr) {
    Projection nothing;
    nothing.channel = input.channel;
    nothing.all_passed.assign(input.releases.size(), absl::InfiniteFuture());
    nothing.first_proven.assign(input.releases.size(), absl::InfiniteFuture());
    return nothing;
  }
  return Projector(input).Run();
}

}  // namespace ringfence::policy
