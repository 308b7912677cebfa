// ringfence plan ...
#include "absl/strings/cord.h"
#include "ringfence/policy/plan.h"
#include "server/api/decode.h"
#include "server/cli/plan_yaml.h"
#include "tests/cli/command_fixture.h"

namespace ringfence::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CommandTest, PlanValidateShowsFaultsOfFormWithoutAServer) {
  const std::string file = File("p.yaml", "tenant: acme\nchannels: []\nrings: []\nsoak: 5\n");
  EXPECT_EQ(Run({"plan", "validate", file}), 2);
  EXPECT_THAT(err(), AllOf(StartsWith(file + ":2:11: channels: found 0 elements"),
                           HasSubstr(file + ":4:1: soak: unknown key 'soak'")));
  EXPECT_EQ(server_.Asked("PlanService/ValidatePlan"), "");
}

TEST_F(CommandTest, PlanValidateNeedsNoServerForWhatAPlanMeans) {
  const std::string file = File("p.yaml", R"(tenant: acme
channels: [{channel: content}]
rings:
- name: canary
  waves: [0%, 100%]
  soak: 5
- name: canary
  waves: [100%]
  channels: [{channel: sensor, lag: 1}]
)");
  EXPECT_EQ(Run({"plan", "validate", file}), 2);
  EXPECT_THAT(err(), AllOf(HasSubstr(file + ":5:11: rings[0].waves[0].share: found 0 ppm, wanted"),
                           HasSubstr(file + ":6:9: rings[0].soak: found 5, wanted a duration"),
                           HasSubstr(file + ":7:9: rings[1].name: "), HasSubstr(file + ":9:"),
                           Not(HasSubstr("rings[0].soak: found 0"))));
  EXPECT_EQ(server_.Asked("PlanService/ValidatePlan"), "");
  EXPECT_EQ(Run({"plan", "validate", file, "-o", "json"}), 2);
  EXPECT_THAT(out(), AllOf(HasSubstr("\"legal\": false"), HasSubstr("\"line\": 6,\n      \"column\": 9,"),
                           HasSubstr("\"path\": \"rings[0].soak\"")));
}

TEST_F(CommandTest, AMalformedNameIsNotBlamedOnThoseThatReferToIt) {
  const std::string file = File("p.yaml", R"(tenant: acme
channels: [{channel: [x]}]
rings: [{name: all, waves: [100%], channels: [{channel: content, lag: 7}]}]
freezes: [5, {from: 2026-12-24, to: 2026-12-20, reason: x, owner: y, channels: [content]}]
)");
  EXPECT_EQ(Run({"plan", "validate", file}), 2);
  EXPECT_THAT(err(),
              AllOf(HasSubstr(":2:22: channels[0].channel: "), HasSubstr(":4:11: freezes[0]: "),
                    HasSubstr("freezes[1].to"), HasSubstr("rings[0].channels[0].lag: found 7"),
                    Not(HasSubstr("freezes[1].channels")), Not(HasSubstr("rings[0].channels[0].channel"))));
}

TEST_F(CommandTest, PlanValidateWarnsOfWhatIsLegalAndAsksTheServerOnlyWhenTold) {
  const std::string file = File("p.yaml", kGoodPlan);
  EXPECT_EQ(Run({"plan", "validate", file}), 0);
  EXPECT_THAT(err(), HasSubstr("warning: There is no SLO gate"));
  EXPECT_THAT(out(), HasSubstr("a legal plan for acme"));
  EXPECT_EQ(Run({"plan", "validate", file, "--strict"}), 1);
  EXPECT_EQ(server_.Asked("PlanService/PreviewPlan"), "");
  server_.On("PlanService/PreviewPlan",
             Proto<v1::PreviewPlanResponse>(R"(warnings: "nobody is in ring canary")"));
  EXPECT_EQ(Run({"plan", "validate", file, "--with-hosts"}), 0);
  EXPECT_EQ(err(), "warning: nobody is in ring canary\n");
  server_.Fail("PlanService/PreviewPlan", absl::UnavailableError("gone"));
  EXPECT_EQ(Run({"plan", "validate", file, "--with-hosts"}), 3);
}

constexpr char kMix[] =
    "hosts:\n- {count: 30, labels: {platform: windows, site: [lab, qa]}}\n- {count: 70, labels: {platform: "
    "linux}}\n";

TEST_F(CommandTest, TheTimeMachineTakesAFileOrAsksForCountsAndRunsHere) {
  const std::string plan = File("p.yaml", kGoodPlan), mix = File("mix.yaml", kMix);
  EXPECT_EQ(Run({"plan", "time-machine", plan, "--fleet", mix, "--incident", "2024-07-19", "--seeds", "1"}),
            0)
      << err();
  EXPECT_THAT(out(),
              AllOf(HasSubstr("on 100 hosts, 1 run each"), HasSubstr("CrowdStrike channel file 291  content"),
                    HasSubstr("With this plan 2024-07-19 would have harmed "),
                    HasSubstr("It hits platform=windows."), HasSubstr("Not modelled: ")));
  EXPECT_EQ(server_.Asked("PlanService/PreviewPlan"), "");
  server_.On(
      "PlanService/PreviewPlan",
      Proto<v1::PreviewPlanResponse>(R"(label_mix { hosts: 20 labels { key: "platform" value: "linux" } })"));
  EXPECT_EQ(Run({"plan", "time-machine", plan, "--incident", "2024-07-19-channel-file-291", "-o", "json"}),
            0);
  EXPECT_THAT(server_.Asked("PlanService/PreviewPlan"), HasSubstr("with_label_mix: true"));
  EXPECT_THAT(out(), AllOf(HasSubstr("\"affected\": 0"), HasSubstr("\"hosts\": 20")));
}

TEST_F(CommandTest, TheTimeMachineSaysWhatItDoesNotUnderstand) {
  const std::string plan = File("p.yaml", kGoodPlan), mix = File("mix.yaml", kMix);
  EXPECT_EQ(Run({"plan", "time-machine", plan, "--fleet", mix, "--incident", "1999-12-31"}), 2);
  EXPECT_THAT(err(), HasSubstr("none of 2010-04-21-dat-5958, "));
  EXPECT_EQ(Run({"plan", "time-machine", plan, "--fleet", File("m", "hosts:\n- {count: none}\n")}), 2);
  EXPECT_THAT(err(), HasSubstr("m:2:11: hosts[0].count: found none, wanted a whole number"));
  EXPECT_EQ(Run({"plan", "time-machine", plan, "--fleet", mix, "--affects", "windows"}), 2);
  EXPECT_EQ(Run({"plan", "time-machine", plan, "--fleet", mix, "--incident", File("i.yaml", "schema: x\n")}),
            2);
}

TEST_F(CommandTest, PlanFleetPrintsWhatTheTimeMachineReads) {
  server_.On("PlanService/GetPlan", Proto<v1::GetPlanResponse>("current { plan { tenant: \"acme\" } }"));
  v1::PreviewPlanResponse answer;
  *answer.mutable_label_mix() = ParseFleetYaml(kMix).message.label_mix();
  server_.On("PlanService/PreviewPlan", answer);
  EXPECT_EQ(Run({"plan", "fleet", "acme"}), 0);
  const auto again = ParseFleetYaml(out());
  EXPECT_EQ(Render("out", again.faults), "");
  EXPECT_EQ(again.message.ShortDebugString(), answer.ShortDebugString());
}

TEST_F(CommandTest, PlanApplyAsksForTheRevisionItSaw) {
  server_.On("PlanService/GetPlan", Proto<v1::GetPlanResponse>("current { revision: 4 }"));
  server_.On("PlanService/ApplyPlan",
             Proto<v1::ApplyPlanResponse>(R"(applied { revision: 5 plan { tenant: "acme" } })"));
  EXPECT_EQ(Run({"plan", "apply", File("p.yaml", kGoodPlan), "-m", "slower", "--request-id", "r-1"}), 0);
  EXPECT_EQ(out(), "plan of acme is now revision 5\n");
  EXPECT_THAT(server_.Asked("PlanService/ApplyPlan"),
              AllOf(HasSubstr("request_id: \"r-1\""), HasSubstr("expected_revision: 4"),
                    HasSubstr("reason: \"slower\"")));
}

TEST_F(CommandTest, AFirstPlanExpectsNone) {
  server_.Fail("PlanService/GetPlan", absl::NotFoundError("no plan"));
  server_.On("PlanService/ApplyPlan",
             Proto<v1::ApplyPlanResponse>(R"(applied { revision: 1 plan { tenant: "acme" } })"));
  EXPECT_EQ(Run({"plan", "apply", File("p.yaml", kGoodPlan), "-m", "first"}), 0);
  EXPECT_THAT(server_.Asked("PlanService/ApplyPlan"), Not(HasSubstr("expected_revision")));
}

TEST_F(CommandTest, PlanApplyShowsTheServersFaultListInTheFile) {
  server_.Fail("PlanService/GetPlan", absl::NotFoundError("no plan"));
  absl::Status refused = absl::InvalidArgumentError("faults");
  refused.SetPayload(
      kFaultListUrl,
      absl::Cord(
          Proto<v1::FaultList>(R"(faults { path: "plan.rings[0].waves[0].share" found: "0" wanted: "more" })")
              .SerializeAsString()));
  server_.Fail("PlanService/ApplyPlan", refused);
  const std::string file = File("p.yaml", kGoodPlan);
  EXPECT_EQ(Run({"plan", "apply", file, "-m", "x"}), 2);
  EXPECT_THAT(err(), StartsWith(file + ":6:13: rings[0].waves[0].share: found 0, wanted more\n"));
}

TEST_F(CommandTest, PlanShowPrintsAFileThatCanBeAppliedAgain) {
  server_.On(
      "PlanService/GetPlan",
      Proto<v1::GetPlanResponse>(R"(current { revision: 2 applied_by: "ana" applied_at { seconds: 1700000000 }
      plan { tenant: "acme" channels { channel: "content" mode: CHANNEL_MODE_FOLLOW }
             rings { name: "canary" selector { all_of { key: "os" any_of: ["a", "b"] } } lag: 1 waves { share_ppm: 50000 } waves { share_ppm: 1000000 max_hosts: 9 }
                     soak { seconds: 5400 } } } })"));
  EXPECT_EQ(Run({"plan", "show", "acme"}), 0);
  EXPECT_EQ(out(),
            "# revision 2, applied 2023-11-14 23:13:20 +01:00 by ana\n"
            "tenant: acme\n"
            "channels:\n"
            "  - channel: content\n"
            "    mode: follow\n"
            "rings:\n"
            "  - name: canary\n"
            "    selector:\n"
            "      os: [a, b]\n"
            "    lag: 1\n"
            "    waves:\n"
            "      - 5%\n"
            "      - share: 100%\n"
            "        max_hosts: 9\n"
            "    soak: 1h30m\n");
}

TEST_F(CommandTest, PlanDiffShowsWhatWouldChange) {
  server_.On(
      "PlanService/GetPlan",
      Proto<v1::GetPlanResponse>(
          R"(current { revision: 2 plan { tenant: "acme" channels { channel: "content" mode: CHANNEL_MODE_FOLLOW }
                 rings { name: "canary" waves { share_ppm: 1000000 } soak { seconds: 600 } } } })"));
  EXPECT_EQ(Run({"plan", "diff", File("p.yaml", kGoodPlan)}), 0);
  EXPECT_THAT(out(),
              AllOf(HasSubstr("-     soak: 10m\n+     soak: 30m\n"), HasSubstr("    - name: canary\n")));
}

TEST_F(CommandTest, PlanDiffShowsTheChangeTheRingItIsInAndNotTheWholeFile) {
  const auto plan = [](const std::string& soak) {
    std::string rings;
    for (int i = 0; i < 6; ++i) {
      rings += absl::StrCat("- {name: r", i, ", selector: {ring: r", i,
                            "}, waves: [10%, 100%], soak: ", i == 4 ? soak : "4h", "}\n");
    }
    return absl::StrCat("tenant: acme\nchannels: [{channel: content, mode: follow}]\nrings:\n", rings);
  };
  v1::GetPlanResponse answer;
  *answer.mutable_current()->mutable_plan() = ParsePlanYaml(plan("4h")).message;
  server_.On("PlanService/GetPlan", answer);
  EXPECT_EQ(Run({"plan", "diff", File("p.yaml", plan("6h"))}), 0);
  EXPECT_THAT(out(), HasSubstr("-     soak: 4h\n+     soak: 6h\n"));
  EXPECT_THAT(out(), HasSubstr("    - name: r4\n"));
  EXPECT_THAT(out(), Not(HasSubstr("name: r3")));
  EXPECT_THAT(out(), Not(HasSubstr("ring: r5")));
  EXPECT_THAT(out(), HasSubstr("  ...\n"));
}

TEST_F(CommandTest, PlanInitWritesAPlanThatTheParserReads) {
  EXPECT_EQ(Run({"plan", "init", "acme"}), 0);
  const auto parsed = ParsePlanYaml(out());
  EXPECT_EQ(Render("init", parsed.faults), "");
  EXPECT_EQ(parsed.message.tenant(), "acme");
  EXPECT_GE(parsed.message.rings_size(), 2);
  api::Faults faults;
  const policy::Plan plan = api::DecodePlan(parsed.message, "", faults);
  ASSERT_TRUE(faults.ToStatus().ok());
  for (int hour = 0; hour < 24; ++hour)
    EXPECT_THAT(policy::Warnings(plan, absl::FromUnixSeconds(1'795'000'000) + absl::Hours(hour)), IsEmpty());
}

constexpr char kPreview[] = R"(revision: 4 hosts: 500
  rings { ring: "canary" hosts_now: 20 hosts_then: 432 } rings { ring: "n-1" hosts_now: 480 hosts_then: 68 }
  moves { from: "n-1" to: "canary" hosts: 412 }
  overlaps { first: "canary" second: "n-1" hosts: 7 }
  now { ring: "canary" channel: "content" serial: 3 version: "1.2.0" }
  then { ring: "canary" channel: "content" serial: 3 version: "1.2.0" reason: "window" next { seconds: 1700000000 } }
  warnings: "odd")";

TEST_F(CommandTest, PlanPreviewSaysWhoMovesAndWhatEachRingWouldTake) {
  server_.On("PlanService/PreviewPlan", Proto<v1::PreviewPlanResponse>(kPreview));
  EXPECT_EQ(Run({"plan", "preview", File("p.yaml", kGoodPlan)}), 0);
  EXPECT_THAT(out(),
              AllOf(HasSubstr("412 hosts move from n-1 to canary\n"),
                    HasSubstr("ring canary, content: 3 1.2.0 (window, until 2023-11-14 23:13:20 +01:00) "
                              "instead of 3 1.2.0 (now)\n"),
                    HasSubstr("7 hosts would match ring n-1 too"), HasSubstr("revision 4 in force")));
  EXPECT_EQ(err(), "warning: odd\n");
  EXPECT_EQ(Run({"plan", "preview", File("p.yaml", kGoodPlan), "-o", "json"}), 0);
  EXPECT_THAT(out(), HasSubstr("\"hosts_then\": 432"));
}

TEST_F(CommandTest, PlanPreviewShowsTodayAndThenSideBySideWithHoldsAndBars) {
  server_.On("PlanService/PreviewPlan", Proto<v1::PreviewPlanResponse>(R"(hosts: 20
      projected_now { channel: "content"
        rings { ring: "canary" hosts: 20 waves { serial: 3 version: "1.2" wave: 1 hosts: 20 opens { seconds: 1700007200 } } }
        exposure { serial: 3 version: "1.2" points { at { seconds: 1700007200 } hosts: 4 } points { at { seconds: 1700010800 } hosts: 20 } } }
      projected_then { channel: "content"
        rings { ring: "canary" hosts: 20
          waves { serial: 3 version: "1.2" wave: 1 hosts: 2 opens { seconds: 1700000000 } passes { seconds: 1700014400 } }
          waves { serial: 3 version: "1.2" wave: 2 hosts: 20 opens { seconds: 1700014400 } }
          holds { serial: 3 version: "1.2" reason: "window" detail: "sat 02:00-06:00 UTC" from { seconds: 1700000000 } until { seconds: 1700014400 } } }
        exposure { serial: 3 version: "1.2" points { at { seconds: 1700014400 } hosts: 10 } } })"));
  EXPECT_EQ(Run({"plan", "preview", File("p.yaml", kGoodPlan)}), 0);
  EXPECT_THAT(
      out(),
      AllOf(HasSubstr("channel content, if all goes well"),
            HasSubstr("canary     1     20  2023-11-15 01:13:20 +01:00      2  open"),
            HasSubstr("     20  2023-11-15 03:13:20 +01:00  -\n"),
            HasSubstr("canary  3 1.2    window   now   2023-11-15 03:13:20 +01:00  sat 02:00-06:00 UTC"),
            HasSubstr("3 1.2  today      ▂"), HasSubstr("█  20 hosts\n"), HasSubstr("▄  10 hosts\n")));
}

TEST_F(CommandTest, PlanApplyShowsTheHostsThatMoveAndAPlanThatIsThereAlreadyIsLeft) {
  server_.On("PlanService/GetPlan", Proto<v1::GetPlanResponse>("current { revision: 4 }"));
  server_.On("PlanService/PreviewPlan", Proto<v1::PreviewPlanResponse>(kPreview));
  server_.On("PlanService/ApplyPlan",
             Proto<v1::ApplyPlanResponse>(R"(applied { revision: 5 plan { tenant: "acme" } })"));
  EXPECT_EQ(Run({"plan", "apply", File("p.yaml", kGoodPlan), "-m", "x"}), 0);
  EXPECT_THAT(err(), StartsWith("412 hosts move from n-1 to canary\n"));

  FakeServer fresh;
  std::swap(server_, fresh);
  v1::GetPlanResponse same;
  *same.mutable_current()->mutable_plan() = ParsePlanYaml(kGoodPlan).message;
  same.mutable_current()->set_revision(5);
  // The server gives gates back to a plan without any.
  same.mutable_current()->mutable_plan()->mutable_gates()->set_on_breach(v1::ON_BREACH_HALT_AND_REVERT);
  server_.On("PlanService/GetPlan", same);
  EXPECT_EQ(Run({"plan", "apply", File("p.yaml", kGoodPlan), "-m", "x"}), 0);
  EXPECT_EQ(out(), "no change: revision 5 of acme is this plan\n");
  EXPECT_EQ(server_.Asked("PlanService/ApplyPlan"), "");
}

TEST_F(CommandTest, HostsThatWouldLoseTheirRingNeedTheExplicitWord) {
  server_.On("PlanService/GetPlan", Proto<v1::GetPlanResponse>("current { revision: 4 }"));
  server_.On("PlanService/PreviewPlan",
             Proto<v1::PreviewPlanResponse>(R"(hosts: 9 moves { from: "n-1" hosts: 9 })"));
  server_.On("PlanService/ApplyPlan",
             Proto<v1::ApplyPlanResponse>(R"(applied { revision: 5 plan { tenant: "acme" } })"));
  const std::string file = File("p.yaml", kGoodPlan);
  EXPECT_EQ(Run({"plan", "apply", file, "-m", "x"}), 7);
  EXPECT_THAT(err(), AllOf(HasSubstr("9 hosts move from n-1 to no ring"), HasSubstr("--strand")));
  EXPECT_EQ(server_.Asked("PlanService/ApplyPlan"), "");
  EXPECT_EQ(Run({"plan", "apply", file, "-m", "x", "--strand"}), 0);
}

TEST_F(CommandTest, APlanWhoseEffectCannotBeSeenIsNotApplied) {
  server_.On("PlanService/GetPlan", Proto<v1::GetPlanResponse>("current { revision: 4 }"));
  server_.Fail("PlanService/PreviewPlan", absl::UnavailableError("the server is busy"));
  server_.On("PlanService/ApplyPlan",
             Proto<v1::ApplyPlanResponse>(R"(applied { revision: 5 plan { tenant: "acme" } })"));
  EXPECT_NE(Run({"plan", "apply", File("p.yaml", kGoodPlan), "-m", "x"}), 0);
  EXPECT_THAT(err(), HasSubstr("the server is busy"));
  EXPECT_EQ(server_.Asked("PlanService/ApplyPlan"), "");
}

TEST_F(CommandTest, PlanDiffCanTellAPipelineThatThereIsADifference) {
  server_.On("PlanService/GetPlan", Proto<v1::GetPlanResponse>("current { revision: 4 }"));
  server_.On("PlanService/PreviewPlan", Proto<v1::PreviewPlanResponse>(kPreview));
  EXPECT_EQ(Run({"plan", "diff", File("p.yaml", kGoodPlan), "--exit-code"}), 9);
  EXPECT_THAT(out(), HasSubstr("412 hosts move from n-1 to canary\n"));
  EXPECT_EQ(Run({"plan", "diff", File("p.yaml", kGoodPlan)}), 0);
  v1::GetPlanResponse same;
  *same.mutable_current()->mutable_plan() = ParsePlanYaml(kGoodPlan).message;
  server_.On("PlanService/GetPlan", same);
  EXPECT_EQ(Run({"plan", "diff", File("p.yaml", kGoodPlan), "--exit-code"}), 0);
}

TEST_F(CommandTest, PlanRevertAppliesTheOneBeforeAsANewRevision) {
  v1::GetPlanResponse newest;
  *newest.mutable_current()->mutable_plan() = ParsePlanYaml(kGoodPlan).message;
  newest.mutable_current()->set_revision(4);
  server_.On("PlanService/GetPlan", newest);
  server_.On("PlanService/ApplyPlan",
             Proto<v1::ApplyPlanResponse>(R"(applied { revision: 5 plan { tenant: "acme" } })"));
  EXPECT_EQ(Run({"plan", "revert", "acme", "-m", "too fast"}), 0);
  EXPECT_THAT(server_.Asked("PlanService/GetPlan"), HasSubstr("revision: 3"));
  EXPECT_THAT(server_.Asked("PlanService/ApplyPlan"),
              AllOf(HasSubstr("expected_revision: 4"), HasSubstr("revert to revision 3: too fast")));
  EXPECT_EQ(Run({"plan", "revert", "acme", "--to", "4", "-m", "x"}), 2);
}

}  // namespace
}  // namespace ringfence::cli
