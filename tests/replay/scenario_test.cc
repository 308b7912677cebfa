#include "server/simulate/scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_replace.h"

namespace ringfence::replay {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kGood[] = R"(schema: rollout-scenario/1
id: tiny
clock: {tick: 15s, horizon: 2h}
seeds: [1, 2]
fleet:
  size: 100
  agent: {checkin: 60s, download: {dist: uniform, min: 5s, max: 60s}, activate_delay: 10s}
  online: {at_start: 0.9, amplitude: 0.05, mean_session: 9h, clean_shutdown_notice: 0.7}
  noise: {crash_per_host_day: 0.002, reboot_per_host_day: 0.05}
  tenants:
  - {name: vendor-internal, share: 0.1, policy: {content: latest, sensor: n}}
  - {name: corp, share: 0.9, policy: {content: 'pinned:4.1', sensor: n-1}}
  cohorts:
  - {name: win, share: 1, labels: {os: win10, coinstalled: [a, b]}}
plan:
  channel: content
  rings:
  - {name: internal, assign: {tenant: [vendor-internal]}, waves: [0.1, 1.0], soak: 5m}
  - {name: broad, assign: {rest: true}, waves: [1.0], soak: 10m}
  gates:
    crash: {max_rate: 0.01, min_count: 3, window: 6h}
    cohort_keys: [os]
    on_breach: halt_and_revert
releases:
- id: r1
  channel: content
  version: ch-1
  at: 1m
  targets: {os: win10}
  artifact: {form: well_formed}
  qualification: {matrix: [{os: [win10, win11]}], evidence: this_artifact}
faults:
- match: {os: win10}
  probability: 0.5
  trigger: activation
  delay: {dist: lognormal, median: 1h, sigma: 0.8}
  effect: boot_loop
  telemetry: {crash_report: 0.1, report_delay: 10m, brief_checkin_per_hour: 1.0}
  recovery: {on_revert: true, manual: {dist: fixed, value: 2h}}
events:
- {kind: server_restart, at: 'on:first_halt+10s', duration: 30s, how: kill}
acceptance:
  never_offered:
  - {tenant: corp}
  must:
  - {metric: harmed_hosts, max: 4}
  - {metric: contained_in, ring: internal, wave: 1}
  stretch:
  - {metric: from_the_future, max: 1}
)";

std::string With(absl::string_view from, absl::string_view to) {
  return absl::StrReplaceAll(kGood, {{from, to}});
}

TEST(ScenarioTest, ReadsEverySection) {
  const auto scenario = ParseScenario("good.yaml", kGood);
  ASSERT_TRUE(scenario.ok()) << scenario.status();
  EXPECT_EQ(scenario->tick, 15 * kSecond);
  EXPECT_EQ(scenario->horizon, 2 * kHour);
  EXPECT_EQ(scenario->fleet.tenants[1].content.pinned_version, "4.1");
  EXPECT_EQ(scenario->fleet.tenants[1].sensor.lag, 1);
  EXPECT_THAT(scenario->fleet.cohorts[0].labels, SizeIs(3));
  EXPECT_TRUE(scenario->plan.rings[1].rest);
  EXPECT_EQ(scenario->plan.gates.crash->max_rate, policy::Ppm(10'000));
  EXPECT_FALSE(scenario->plan.gates.silence.has_value());
  EXPECT_EQ(scenario->faults[0].effect, Effect::kBootLoop);
  EXPECT_TRUE(scenario->faults[0].heals_on_revert);
  EXPECT_TRUE(scenario->events[0].after_first_halt);
  EXPECT_EQ(scenario->events[0].at, 10 * kSecond);
  EXPECT_EQ(scenario->must[1].wave, 1);
}

TEST(ScenarioTest, KeepsWhatItDoesNotKnowInStretch) {
  const auto scenario = ParseScenario("good.yaml", kGood);
  ASSERT_TRUE(scenario.ok());
  EXPECT_EQ(scenario->stretch[0].metric, "from_the_future");
}

struct Refused {
  const char* from;
  const char* to;
  const char* line;  // of the message
  const char* what;
};

class ScenarioRefusalTest : public ::testing::TestWithParam<Refused> {};

TEST_P(ScenarioRefusalTest, NamesTheLineAndTheKey) {
  const Refused& refused = GetParam();
  const std::string yaml = With(refused.from, refused.to);
  ASSERT_NE(yaml, kGood);
  const auto scenario = ParseScenario("bad.yaml", yaml);
  ASSERT_FALSE(scenario.ok());
  EXPECT_THAT(std::string(scenario.status().message()), HasSubstr(refused.line));
  EXPECT_THAT(std::string(scenario.status().message()), HasSubstr(refused.what));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, ScenarioRefusalTest,
    ::testing::Values(
        Refused{"checkin: 60s,", "chekin: 60s,", "bad.yaml:7:", "fleet.agent.chekin: unknown key"},
        Refused{"checkin: 60s,", "checkin: 60 sec,", "bad.yaml:7:", "wanted a duration"},
        Refused{"cohort_keys: [os]", "cohort_key: [os]", "bad.yaml:22:", "plan.gates.cohort_key: unknown"},
        Refused{"version: ch-1", "version: ch-1\n  urgent: true", "bad.yaml:28:", "releases[0].urgent"},
        Refused{"version: ch-1", "version: ch-1\n  also_deliver_out_of_band: often",
                "bad.yaml:28:", "true or false"},
        Refused{"effect: boot_loop", "effect: explode", "bad.yaml:37:", "wanted one of boot_loop"},
        Refused{"on_revert: true", "on_rollback: true", "bad.yaml:39:", "recovery.on_rollback"},
        Refused{"how: kill", "why: kill", "bad.yaml:41:", "events[0].why: unknown key"},
        Refused{"metric: harmed_hosts", "metric: harmd_hosts", "bad.yaml:46:", "unknown metric"},
        Refused{"ring: internal, wave: 1", "ring: outer, wave: 1", "bad.yaml:47:", "no ring of that name"},
        Refused{"max: 4", "most: 4", "bad.yaml:46:", "unknown parameter"},
        Refused{"waves: [1.0]", "waves: [0.5]", "bad.yaml:19:", "wanted 1.0 as the last wave"},
        Refused{"share: 0.9, policy", "share: 0.7, policy", "bad.yaml:11:", "add up to 0.8"},
        Refused{"content: 'pinned:4.1'", "content: oldest", "bad.yaml:12:", "pinned:VERSION"},
        Refused{"id: tiny", "id: tiny\nid: twice", "bad.yaml:3:", "id: named twice"},
        Refused{"id: tiny", "id: [tiny", "bad.yaml:", "end of sequence flow"}));

TEST(ScenarioTest, RefusesAFileThatIsNotThere) {
  EXPECT_FALSE(LoadScenario("/nonexistent/x.yaml").ok());
}

}  // namespace
}  // namespace ringfence::replay
