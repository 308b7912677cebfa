// Any value of Plan: either faults that each say where, what and what instead, or a plan with which the
// judgements keep their promises on any progress and any view.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "byte_reader.h"
#include "ringfence/base/check.h"
#include "ringfence/policy/choice.h"
#include "ringfence/policy/decide.h"
#include "ringfence/policy/host_eligibility.h"
#include "ringfence/policy/plan.h"

namespace ringfence::policy {
namespace {

using fuzz::ByteReader;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'721'361'600);

Selector ReadSelector(ByteReader& in) {
  Selector selector;
  selector.all_of.resize(in.UpTo(2));
  for (Requirement& requirement : selector.all_of) {
    requirement.key = in.Word();
    requirement.any_of.resize(in.UpTo(3));
    for (std::string& value : requirement.any_of) value = in.Word();
  }
  return selector;
}

Ring ReadRing(ByteReader& in) {
  Ring ring;
  ring.name = in.Word();
  ring.selector = ReadSelector(in);
  ring.lag = static_cast<int>(in.Number(kMaxLag));
  ring.waves.resize(in.UpTo(4));
  int64_t share = 0;
  for (Wave& wave : ring.waves) {
    share += in.Number(Ppm::kWhole) / 4;
    wave.share = Ppm(share);
    if (in.Bool()) wave.max_hosts = in.Number(1000);
  }
  if (!ring.waves.empty() && in.Byte() < 240) ring.waves.back().share = Ppm(Ppm::kWhole);
  ring.soak = in.Duration();
  ring.min_age = in.Duration();
  if (in.Bool()) ring.hosts_per_minute = in.Number(1000);
  return ring;
}

RateGate ReadRateGate(ByteReader& in) {
  return {Ppm(in.Number(Ppm::kWhole)), in.Number(100), in.Duration()};
}

absl::Time SomeTime(ByteReader& in) {
  return kNow + absl::Minutes(static_cast<int64_t>(in.U64() % 1'000'000) - 500'000);
}

std::vector<Window> ReadWindows(ByteReader& in) {
  std::vector<Window> windows(in.UpTo(2));
  for (Window& window : windows) {
    window.days.resize(in.UpTo(2));
    for (Weekday& day : window.days)
      day = static_cast<Weekday>(in.Byte() < 240 ? 1 + in.Byte() % 7 : in.Byte());
    window.from = static_cast<int>(in.Number(1500));
    window.to = static_cast<int>(in.Number(1500));
    window.zone = in.Byte() < 200 ? "" : in.Byte() < 200 ? "Australia/Lord_Howe" : in.Word();
  }
  return windows;
}

CalendarScope ReadScope(ByteReader& in, const Plan& plan) {
  CalendarScope scope;
  if (in.Bool() && !plan.rings.empty()) scope.rings = {in.Byte() < 200 ? plan.rings[0].name : in.Word()};
  if (in.Bool() && !plan.channels.empty())
    scope.channels = {in.Byte() < 200 ? plan.channels[0].channel : in.Word()};
  return scope;
}

// Read after the rest, so that what was found before still means the same.
void ReadLanguage(ByteReader& in, Plan& plan) {
  plan.zone = in.Byte() < 150 ? "" : in.Byte() < 200 ? "Europe/Berlin" : in.Word();
  for (Ring& ring : plan.rings) {
    ring.windows = ReadWindows(in);
    if (in.Byte() >= 200) ring.approval = static_cast<Approval>(in.Byte() % 4);
    ring.channels.resize(in.UpTo(1));
    for (RingRule& rule : ring.channels) {
      rule.channel = !plan.channels.empty() && in.Byte() < 200 ? plan.channels[0].channel : in.Word();
      if (in.Bool()) rule.lag = static_cast<int>(in.Number(kMaxLag));
      if (in.Bool()) rule.min_age = in.Duration();
      if (in.Bool()) rule.approval = static_cast<Approval>(in.Byte() % 4);
      rule.windows = ReadWindows(in);
    }
  }
  for (ChannelRule& rule : plan.channels) {
    if (in.Byte() >= 200) rule.from_version = in.Word();
    if (in.Byte() >= 200) rule.below_version = in.Word();
    rule.barriers.resize(in.Byte() >= 200 ? 1 : 0);
    for (std::string& version : rule.barriers) version = in.Word();
  }
  plan.freezes.resize(in.UpTo(2));
  for (Freeze& freeze : plan.freezes) {
    freeze.from = SomeTime(in);
    freeze.to = freeze.from + in.Duration();
    freeze.reason = in.Word();
    freeze.owner = in.Word();
    freeze.scope = ReadScope(in, plan);
  }
  plan.blackouts.resize(in.UpTo(2));
  for (Blackout& blackout : plan.blackouts) {
    blackout.date = in.Byte() < 200 ? "07-19" : in.Byte() < 200 ? "2024-07-20" : in.Word();
    blackout.reason = in.Word();
    blackout.owner = in.Word();
    blackout.scope = ReadScope(in, plan);
  }
  plan.deny.resize(in.UpTo(1));
  for (Denied& denied : plan.deny) {
    if (in.Bool()) denied.digest = Digest{};
    if (in.Bool()) denied.channel = in.Word();
    if (in.Bool()) denied.version = in.Word();
    denied.reason = in.Word();
    denied.owner = in.Word();
  }
  if (!in.Bool()) return;
  Urgent& urgent = plan.urgent.emplace();
  urgent.mode = static_cast<UrgentMode>(in.Byte() % 4);
  if (in.Bool()) urgent.min_age = in.Duration();
  if (in.Bool()) urgent.soak = in.Duration();
  urgent.outside_windows = in.Bool();
}

void ReadTerms(ByteReader& in, Plan& plan) {
  for (ChannelRule& rule : plan.channels) {
    if (in.Byte() >= 200) rule.approval = static_cast<Approval>(in.Byte() % 4);
    if (in.Bool()) rule.min_age = in.Duration();
    rule.approvers.resize(in.Byte() >= 240 ? 1 : 0);
    for (std::string& approver : rule.approvers) approver = in.Word();
  }
  for (Ring& ring : plan.rings) {
    if (in.Bool()) ring.hasten_to = in.Duration();
  }
  if (in.Byte() >= 200) plan.valid_until = SomeTime(in);
}

Plan ReadPlan(ByteReader& in) {
  Plan plan;
  plan.tenant = in.Word();
  plan.channels.resize(in.UpTo(3));
  for (ChannelRule& rule : plan.channels) {
    rule.channel = in.Word();
    rule.mode = static_cast<ChannelMode>(in.Number(3));
    rule.lag = static_cast<int>(in.Number(kMaxLag));
    if (rule.mode == ChannelMode::kPinned || in.Byte() >= 240) rule.pinned_version = in.Word();
  }
  const size_t rings = in.UpTo(5);
  for (size_t i = 0; i < rings; ++i) plan.rings.push_back(ReadRing(in));
  if (in.Bool()) plan.gates.crash = ReadRateGate(in);
  if (in.Bool()) plan.gates.degraded = ReadRateGate(in);
  if (in.Bool()) {
    plan.gates.silence = SilenceGate{static_cast<int>(in.Number(120)), Ppm(in.Number(Ppm::kWhole)),
                                     in.Number(100), in.Duration()};
  }
  plan.gates.cohort_keys.resize(in.UpTo(3));
  for (std::string& key : plan.gates.cohort_keys) key = in.Word();
  if (in.Byte() >= 240) plan.gates.on_breach = static_cast<OnBreach>(in.Byte());
  if (in.Bool()) plan.urgent_soak_factor = Ppm(in.Number(Ppm::kWhole));
  if (in.Byte() >= 240) plan.hold_revert_after = in.Duration();
  ReadLanguage(in, plan);
  ReadTerms(in, plan);
  return plan;
}

std::vector<ReleaseProgress> ReadReleases(ByteReader& in, size_t rings) {
  std::vector<ReleaseProgress> releases(in.UpTo(6));
  uint64_t serial = 0;
  for (ReleaseProgress& release : releases) {
    release.serial = ++serial;
    release.version = in.Word();
    release.stopped = in.Byte() < 40;
    release.internal_passed = in.Byte() < 200;
    release.healthy_age = in.Duration();
    release.age = in.Duration();
    release.ring_passed.resize(in.Byte() < 240 ? rings : in.UpTo(8));
    for (size_t i = 0; i < release.ring_passed.size(); ++i) release.ring_passed[i] = in.Byte() < 200;
  }
  return releases;
}

void CheckChoices(const Plan& plan, ByteReader& in) {
  std::vector<ReleaseProgress> releases = ReadReleases(in, plan.rings.size());
  const bool first_of_internal = in.Bool();
  for (ReleaseProgress& release : releases) {
    if (in.Bool()) release.hastened = in.Duration();
  }
  for (const ChannelRule& rule : plan.channels) {
    for (size_t ring = 0; ring < plan.rings.size(); ++ring) {
      const Choice choice =
          ChooseRelease(plan, static_cast<int>(ring), rule.channel, releases, first_of_internal, kNow);
      RF_CHECK(choice.serial.has_value() == (choice.reason == Reason::kNone));
      RF_CHECK(choice.revisit_at >= kNow);
      if (!choice.serial.has_value()) continue;
      RF_CHECK(rule.mode != ChannelMode::kPaused);
      const ReleaseProgress& release = releases.at(*choice.serial - 1);
      RF_CHECK(!release.stopped && release.internal_passed);
      RF_CHECK(rule.mode != ChannelMode::kPinned || release.version == rule.pinned_version);
      RF_CHECK(InRange(rule, release.version));
      // Whatever an approval asks for, no further than the ring lets.
      const Ring& of = plan.rings[ring];
      const absl::Duration wanted = EffectiveMinAge(plan, of, rule.channel, release.urgent);
      const absl::Duration age = first_of_internal && ring == 0 ? release.age : release.healthy_age;
      RF_CHECK(age >= (of.hasten_to.has_value() ? std::min(wanted, *of.hasten_to) : wanted));
      RF_CHECK(FindDenied(plan, rule.channel, release.version, release.digest) == nullptr);
      for (size_t earlier = 0; earlier < ring; ++earlier) {
        if (EffectiveLag(plan.rings[earlier], rule) > EffectiveLag(plan.rings[ring], rule)) continue;
        RF_CHECK(earlier < release.ring_passed.size() && release.ring_passed[earlier]);
      }
    }
  }
}

void CheckWaves(const Plan& plan, ByteReader& in) {
  const int64_t members = in.Number(100'000);
  for (const Ring& ring : plan.rings) {
    int64_t before = 0;
    for (size_t wave = 0; wave < ring.waves.size(); ++wave) {
      const int64_t cap = WaveCap(ring, static_cast<int>(wave), members);
      RF_CHECK(cap >= 0 && cap <= std::max<int64_t>(members, 0));
      RF_CHECK(members <= 0 || cap >= 1);
      const bool capped_again = wave > 0 && ring.waves[wave].max_hosts && !ring.waves[wave - 1].max_hosts;
      RF_CHECK(cap >= before || capped_again);
      before = cap;
    }
    for (const bool urgent : {false, true}) {
      const absl::Duration soak = EffectiveSoak(plan, ring, urgent);
      RF_CHECK(soak >= kSoakFloor && soak <= std::max(ring.soak, kSoakFloor));
    }
  }
}

StageView ReadView(ByteReader& in) {
  StageView view;
  view.state = static_cast<StageState>(in.Byte() < 200 ? 2 : in.Byte());
  view.braked = in.Byte() >= 240;
  view.blind = in.Byte() >= 240;
  view.wave = static_cast<int>(in.Number(4));
  view.waves = static_cast<int>(in.Number(4));
  view.members = in.Number(50);
  view.cap = in.Number(50);
  view.exposed = in.Number(50);
  view.wave_exposed = in.Number(50);
  view.wave_confirmed = in.Number(50);
  view.confirmed = in.Number(50);
  view.overdue = in.Byte() >= 200 ? in.Number(5) : 0;
  view.askers_left = in.Number(5);
  view.soaked = in.Duration();
  view.soak = in.Duration();
  view.m_r = in.Byte() < 200 ? 1.0 : static_cast<double>(in.I64()) / 1e6;
  view.gate_tripped = in.Byte() >= 240;
  return view;
}

void CheckDecision(const StageView& view) {
  const StageDecision decision = Decide(view, kNow);
  RF_CHECK(!decision.rule.empty() && !decision.why.empty());
  if (decision.step == Step::kNone) {
    RF_CHECK(decision.revisit_at >= kNow);
    return;
  }
  RF_CHECK(!view.braked && !view.blind && !view.gate_tripped);
  if (decision.step != Step::kNextWave && decision.step != Step::kPassRing) return;
  RF_CHECK(view.state == StageState::kOpen);
  RF_CHECK(view.confirmed >= 1 && view.overdue == 0 && view.m_r < kQuiet && view.soaked >= view.soak);
}

void CheckCalendars(const Plan& plan, ByteReader& in) {
  const absl::Time now = SomeTime(in);
  for (const Ring& ring : plan.rings) {
    for (const ChannelRule& rule : plan.channels) {
      const Calendar calendar = CalendarOf(plan, ring, rule.channel, in.Bool());
      const CalendarAnswer answer = Ask(calendar, now);
      RF_CHECK(answer.closed == ClosedNow(calendar, now));
      RF_CHECK(answer.until > now);
      RF_CHECK(answer.open() ==
               (!IsFrozen(calendar, now) && !IsBlackout(calendar, now) && IsInWindow(calendar, now)));
      if (answer.open() || answer.until == absl::InfiniteFuture()) continue;
      RF_CHECK(ClosedNow(calendar, answer.until) == Reason::kNone);
      RF_CHECK(ClosedNow(calendar, answer.until - absl::Nanoseconds(1)) != Reason::kNone);
    }
  }
}

void CheckHost(const Plan& plan, ByteReader& in) {
  std::vector<Labels::Pair> pairs(in.UpTo(4));
  for (auto& [key, value] : pairs) key = in.Word(), value = in.Word();
  const auto labels = Labels::Make(pairs);
  if (!labels.ok()) return;
  const std::optional<int> ring = RingOf(plan, *labels);
  if (ring.has_value()) {
    RF_CHECK(Matches(plan.rings.at(static_cast<size_t>(*ring)).selector, *labels));
    for (int i = 0; i < *ring; ++i) RF_CHECK(!Matches(plan.rings[static_cast<size_t>(i)].selector, *labels));
  }
  Release release;
  release.channel = in.Word();
  release.version = in.Word();
  release.targets = ReadSelector(in);
  release.matrix = {ReadSelector(in)};
  release.urgent = in.Bool();
  Moment moment;
  moment.now = SomeTime(in);
  moment.consent = static_cast<Consent>(in.Byte() % 3);
  Reason expected = LastingReason(plan, *labels, release);
  if (expected == Reason::kNone) expected = PassingReason(plan, *ring, release, moment.consent, moment.now);
  RF_CHECK(expected == Evaluate(plan, *labels, release, moment).reason);
}

void Run(ByteReader in) {
  const Plan plan = ReadPlan(in);
  Warnings(plan, kNow);  // says something or nothing of any plan
  const std::vector<Fault> faults = Validate(plan);
  if (!faults.empty()) {
    for (const Fault& fault : faults) {
      RF_CHECK(!fault.path.empty() && !fault.found.empty() && !fault.wanted.empty());
    }
    RF_CHECK(!ToStatus(faults).ok());
    return;
  }
  RF_CHECK(!plan.rings.empty() && !plan.channels.empty());
  CheckChoices(plan, in);
  CheckWaves(plan, in);
  CheckHost(plan, in);
  CheckCalendars(plan, in);
  while (!in.empty()) CheckDecision(ReadView(in));
}

}  // namespace
}  // namespace ringfence::policy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ringfence::policy::Run(ringfence::fuzz::ByteReader(data, size));
  return 0;
}
