// Plans as YAML: what people write becomes the proto, and every slip of the pen is shown with its line and
// column.
#include "server/cli/plan_yaml.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringfence::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPlan[] = R"(tenant: city-hospital
channels:
  - channel: content
  - channel: sensor
    mode: pinned
    pinned_version: "7.11"
rings:
  - name: canary
    selector: {ring: canary}
    waves: [100%]
    soak: 30m
  - name: broad
    selector:
      os: [win10, win11]
      site: north
    lag: 1
    waves:
      - {share: 5%, max_hosts: 10}
      - 0.25
      - 100%
    soak: 1h30m
    min_age: 2d
    hosts_per_minute: 50
gates:
  crash: {max_rate: 1%, min_count: 3, window: 6h}
  silence: {missed_checkins: 3, max_excess: 0.05, min_count: 5, window: 1h}
  cohort_keys: [os, kernel]
urgent_soak_factor: 25%
hold_revert_after: 15m
)";

std::string FaultsOf(const std::string& yaml) {
  return Render("p.yaml", ParsePlanYaml(yaml).faults);
}

// A legal plan with `line` in place of the ring's soak, which is line 7.
std::string WithRingLine(const std::string& line) {
  return "tenant: a\nchannels:\n  - channel: content\nrings:\n  - name: canary\n    waves: [100%]\n    " +
         line + "\n";
}

TEST(PlanYamlTest, ReadsWhatPeopleWrite) {
  const auto parsed = ParsePlanYaml(kPlan);
  ASSERT_THAT(Render("p.yaml", parsed.faults), IsEmpty());
  const v1::Plan& plan = parsed.message;
  EXPECT_EQ(plan.tenant(), "city-hospital");
  EXPECT_EQ(plan.channels(0).mode(), v1::CHANNEL_MODE_FOLLOW);
  EXPECT_EQ(plan.channels(1).mode(), v1::CHANNEL_MODE_PINNED);
  EXPECT_EQ(plan.channels(1).pinned_version(), "7.11");
  ASSERT_EQ(plan.rings_size(), 2);
  EXPECT_EQ(plan.rings(0).soak().seconds(), 1800);
  const v1::Ring& broad = plan.rings(1);
  EXPECT_EQ(broad.lag(), 1);
  EXPECT_THAT(broad.selector().all_of(0).any_of(), ElementsAre("win10", "win11"));
  EXPECT_THAT(broad.selector().all_of(1).any_of(), ElementsAre("north"));
  EXPECT_EQ(broad.waves(0).share_ppm(), 50'000);
  EXPECT_EQ(broad.waves(0).max_hosts(), 10);
  EXPECT_EQ(broad.waves(1).share_ppm(), 250'000);
  EXPECT_FALSE(broad.waves(1).has_max_hosts());
  EXPECT_EQ(broad.soak().seconds(), 5400);
  EXPECT_EQ(broad.min_age().seconds(), 2 * 86400);
  EXPECT_EQ(plan.gates().crash().max_rate_ppm(), 10'000);
  EXPECT_EQ(plan.gates().silence().max_excess_ppm(), 50'000);
  EXPECT_EQ(plan.gates().on_breach(), v1::ON_BREACH_HALT_AND_REVERT);
  EXPECT_EQ(plan.urgent_soak_factor_ppm(), 250'000);
  EXPECT_EQ(plan.hold_revert_after().seconds(), 900);
}

TEST(PlanYamlTest, WritesWhatItReadsAndReadsWhatItWrites) {
  const v1::Plan plan = ParsePlanYaml(kPlan).message;
  const std::string yaml = PlanToYaml(plan);
  const auto again = ParsePlanYaml(yaml);
  EXPECT_THAT(Render("p.yaml", again.faults), IsEmpty()) << yaml;
  EXPECT_EQ(again.message.SerializeAsString(), plan.SerializeAsString()) << yaml;
  EXPECT_EQ(PlanToYaml(again.message), yaml);
}

TEST(PlanYamlTest, KeepsTextsThatYamlWouldTakeForNumbersOrWords) {
  v1::Plan plan;
  plan.set_tenant("on");
  v1::Ring* ring = plan.add_rings();
  ring->set_name("1e3");
  for (const char* value :
       {"yes", "7.10", "0x1f", "~", "a: b", "# no comment", " padded ", "null", "1_000", "[x]", "é"}) {
    v1::Requirement* requirement = ring->mutable_selector()->add_all_of();
    requirement->set_key(std::string("key ") + value);
    requirement->add_any_of(value);
    requirement->add_any_of("x");
  }
  const auto again = ParsePlanYaml(PlanToYaml(plan));
  EXPECT_EQ(again.message.SerializeAsString(), plan.SerializeAsString()) << PlanToYaml(plan);
}

TEST(PlanYamlTest, NamesEveryFaultAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(FaultsOf("tenant: a\n"
                     "channels:\n"
                     "  - {channel: content, mode: fast}\n"
                     "rings:\n"
                     "  - name: canary\n"
                     "    soak: 30\n"
                     "    waves: [5%, 200%]\n"
                     "    wave: [1]\n"),
            "p.yaml:3:30: channels[0].mode: found fast, wanted follow, pinned or paused\n"
            "p.yaml:6:11: rings[0].soak: found 30, wanted a duration such as 30m, 1h30m or 7d\n"
            "p.yaml:7:17: rings[0].waves[1]: found 200%, wanted a share such as 5% or 0.05\n"
            "p.yaml:8:5: rings[0].wave: unknown key 'wave', wanted one of approval, approvers, channels, "
            "hasten_to, hosts_per_minute, "
            "lag, min_age, name, selector, soak, waves, windows\n");
}

TEST(PlanYamlTest, NamesTheFaultsOfWindowsAndFreezesWhereTheyStand) {
  EXPECT_EQ(
      FaultsOf("tenant: a\n"
               "zone: Europe/Berlin\n"
               "channels: [{channel: content}]\n"
               "rings:\n"
               "  - name: canary\n"
               "    waves: [100%]\n"
               "    windows:\n"
               "      - {days: [sat, someday], from: \"2:00\", to: \"24:30\"}\n"
               "      - {days: sun, from: \"02:00\"}\n"
               "freezes:\n"
               "  - {from: christmas, to: 2027-01-04, reason: r, owner: o}\n"
               "urgent: {rings: [canary]}\n"),
      "p.yaml:8:22: rings[0].windows[0].days[1]: found someday, wanted mon, tue, wed, thu, fri, sat or sun\n"
      "p.yaml:8:38: rings[0].windows[0].from: found 2:00, wanted a time of day, 00:00 to 23:59\n"
      "p.yaml:8:50: rings[0].windows[0].to: found 24:30, wanted a time of day, 00:01 to 24:00\n"
      "p.yaml:9:9: rings[0].windows[1]: a window needs `to`\n"
      "p.yaml:11:12: freezes[0].from: found christmas, wanted a time such as 2026-12-18, 2026-12-18T18:00 or "
      "2026-12-18T18:00:00+01:00\n"
      "p.yaml:12:9: urgent: a mode is needed: notify or allow\n");
}

TEST(PlanYamlTest, TimesWithoutAnOffsetAreThoseOfThePlansZone) {
  const auto from = [](const std::string& zone, const std::string& time) {
    const auto parsed = ParsePlanYaml(
        "tenant: a\n" + zone +
        "channels: [{channel: content}]\nrings: [{name: all, waves: [100%]}]\nfreezes:\n- {from: " + time +
        ", to: 2027-01-04, reason: r, owner: o}\n");
    EXPECT_EQ(Render("p", parsed.faults), "");
    return parsed.message.freezes(0).from().seconds();
  };
  const int64_t noon_utc = from("", "2026-07-01T12:00:00Z");
  EXPECT_EQ(from("", "2026-07-01T12:00"), noon_utc);
  EXPECT_EQ(from("zone: Europe/Berlin\n", "2026-07-01T14:00"), noon_utc);
  EXPECT_EQ(from("zone: Europe/Berlin\n", "2026-07-01T14:00:00+02:00"), noon_utc);
  EXPECT_EQ(from("zone: Europe/Berlin\n", "2026-07-01"), noon_utc - 14 * 3600);
  // The hour that the clock skips is the moment of the jump.
  EXPECT_EQ(from("zone: Europe/Berlin\n", "2026-03-29T02:30"), from("", "2026-03-29T01:00:00Z"));
}

TEST(PlanYamlTest, RefusesUnitsThatMightMeanSomethingElse) {
  for (const char* soak :
       {"30", "30 m", "1.5h", "-5m", "1m1h", "5m5m", "soon", "[1m]", "99999999999h", "\"\""}) {
    EXPECT_THAT(FaultsOf(WithRingLine(std::string("soak: ") + soak)),
                HasSubstr("p.yaml:7:11: rings[0].soak: "))
        << soak;
  }
  for (const char* share : {"5", "101%", "-1%", "5%%", "1e-2", "0.00000001", "NaN", "half", "{}"}) {
    EXPECT_THAT(
        FaultsOf("tenant: a\nchannels: []\nrings: []\nurgent_soak_factor: " + std::string(share) + "\n"),
        HasSubstr("p.yaml:4:21: urgent_soak_factor: "))
        << share;
  }
}

TEST(PlanYamlTest, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(FaultsOf("tenant: a\nchannels: []\nrings: []\ntenant: b\n"),
            "p.yaml:4:1: tenant: the key stands here a second time\n");
}

TEST(PlanYamlTest, SaysWhatIsMissing) {
  EXPECT_EQ(FaultsOf("tenant: a\n"), "p.yaml:1:1: channels: is missing\np.yaml:1:1: rings: is missing\n");
}

TEST(PlanYamlTest, ShowsWhereYamlItselfBreaks) {
  EXPECT_THAT(FaultsOf("tenant: a\nrings: [\n"), HasSubstr("p.yaml:3:1: "));
  EXPECT_THAT(FaultsOf(""), HasSubstr("one document alone"));
  EXPECT_THAT(FaultsOf("--- {}\n--- {}\n"), HasSubstr("behind the first document"));
  EXPECT_THAT(FaultsOf("tenant: acme\n]\n"), Not(IsEmpty()));  // yaml-cpp alone never came back from this
  EXPECT_THAT(FaultsOf("just text"), HasSubstr("wanted a map"));
}

TEST(PlanYamlTest, AFaultOfTheServerIsFoundInTheFile) {
  const auto parsed = ParsePlanYaml(kPlan);
  EXPECT_EQ(parsed.places.Find("plan.rings[1].soak").line, 21);
  EXPECT_EQ(parsed.places.Find("rings[1].waves[0].share").line, 18);
  // The nearest part around it, when the exact one has no place of its own.
  EXPECT_EQ(parsed.places.Find("rings[1].selector.all_of[0].key").line, 14);
  EXPECT_EQ(parsed.places.Find("nowhere").line, 1);
}

TEST(PlanYamlTest, ReadsAReleaseManifest) {
  const auto parsed = ParseManifestYaml(
      "channel: content\nkind: content\nserial: 42\nversion: 1.4.2\n"
      "targets: {platform: windows}\nmatrix:\n  - {os: win10}\n  - {os: win11}\nurgent: true\n");
  EXPECT_THAT(Render("m.yaml", parsed.faults), IsEmpty());
  EXPECT_EQ(parsed.message.kind(), v1::CHANNEL_KIND_CONTENT);
  EXPECT_EQ(parsed.message.serial(), 42u);
  EXPECT_EQ(parsed.message.matrix_size(), 2);
  EXPECT_TRUE(parsed.message.urgent());
}

}  // namespace
}  // namespace ringfence::cli
