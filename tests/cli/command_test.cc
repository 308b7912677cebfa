// The whole command over a server made of answers: what it prints, what it asks, how it ends.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "fake_remote.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/cli/command_line.h"
#include "server/cli/plan_yaml.h"

namespace ringfence::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

template <typename Message>
Message Proto(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    std::string pattern = (fs::temp_directory_path() / "ringfence-cli-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    world_.in = &in_;
    world_.out = &out_;
    world_.err = &err_;
    world_.columns = 120;
    world_.zone = absl::FixedTimeZone(3600);
    world_.now = [] { return absl::FromUnixSeconds(1'700'000'000); };
    world_.env = [this](const char* name) -> const char* {
      const auto found = environment_.find(name);
      return found == environment_.end() ? nullptr : found->second.c_str();
    };
    world_.connect = [this](RemoteOptions options) { return server_.Connect(std::move(options)); };
  }
  ~CommandTest() override { fs::remove_all(folder_); }

  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    return cli::Run(world_, arguments);
  }
  std::string File(const std::string& name, const std::string& bytes) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << bytes;
    return path;
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  std::string folder_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  std::map<std::string, std::string> environment_;
  FakeServer server_;
  World world_;
};

constexpr char kGoodPlan[] =
    "tenant: acme\nchannels:\n  - channel: content\nrings:\n  - name: canary\n    waves: [100%]\n    soak: "
    "30m\n";

constexpr char kRollout[] = R"(
  release { manifest { channel: "content" serial: 3 version: "1.2.0" } published_at { seconds: 1700000000 } }
  stages { tenant: "vendor-internal" ring: "dogfood" state: STAGE_STATE_HALTED wave: 1 waves: 2 members: 100
           outcomes { exposed: 14 pending: 2 confirmed: 6 silent: 4 reverted: 2 } soak { seconds: 300 } rule: "halt" why: "a brake is on" }
  stages { tenant: "acme" ring: "canary" state: STAGE_STATE_WAITING waves: 1 members: 20 rule: "internal_not_passed" }
  brakes { scope { channel: "content" serial: 3 } halted: true reverting: true rule: "gate_silence"
           reason: "4 of 14 exposed hosts fell silent" actor: "server" }
  health { m_r: 141.4 action: "hold" unproven: 8 budget: 12 healthy: 6 gates { gate: "silence" bad: 4 exposed: 14 expected: 0.2 breached: true } }
  ledger { exposed: 14 harmed: 4 saved: 2 first_harm_to_last_lease { seconds: 90 } reachable: 2000 staging_failed: 3 }
  revert_outstanding: 2)";

// ---------------------------------------------------------------- usage and exit codes

TEST_F(CommandTest, HelpNamesEveryCommandAndExitCode) {
  EXPECT_EQ(Run({"--help"}), 0);
  for (const char* word :
       {"plan", "release", "rollout", "decision", "agent", "token", "status", "audit", "completion",
        "Exit codes", "server unreachable", "RINGFENCE_SERVER", "RINGFENCE_TOKEN"}) {
    EXPECT_THAT(out(), HasSubstr(word));
  }
}

TEST_F(CommandTest, WrongUsageEndsWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"plan"},
                                             {"plan", "fly"},
                                             {"rollout", "watch"},
                                             {"status", "-o", "xml"},
                                             {"status", "--timeout", "soon"},
                                             {"rollout", "halt", "content/3"},
                                             {"plan", "validate", "/no/such/file"},
                                             {"release", "publish", "x"}}) {
    EXPECT_EQ(Run(arguments), 2) << ::testing::PrintToString(arguments);
    EXPECT_NE(err(), "") << ::testing::PrintToString(arguments);
  }
}

TEST_F(CommandTest, EveryKindOfRefusalHasItsExitCodeAndSaysWhatToDoNext) {
  const std::pair<absl::Status, int> kCases[] = {
      {absl::InternalError("boom"), 1},          {absl::InvalidArgumentError("no"), 2},
      {absl::UnavailableError("refused"), 3},    {absl::DeadlineExceededError("late"), 3},
      {absl::UnauthenticatedError("who"), 4},    {absl::PermissionDeniedError("role"), 4},
      {absl::AbortedError("revision moved"), 5}, {absl::AlreadyExistsError("there"), 5},
      {absl::NotFoundError("none"), 6},          {absl::FailedPreconditionError("state"), 7}};
  for (const auto& [status, code] : kCases) {
    server_.Fail("FleetService/GetServerStatus", status);
    EXPECT_EQ(Run({"status"}), code) << status;
    EXPECT_THAT(err(), AllOf(StartsWith("ringfence: "), HasSubstr(std::string(status.message())),
                             HasSubstr("  next: ")));
    EXPECT_EQ(out(), "");
  }
}

TEST_F(CommandTest, TakesServerAndTokenFromFlagsThenEnvironment) {
  server_.On("FleetService/GetServerStatus", v1::GetServerStatusResponse());
  Run({"status"});
  EXPECT_EQ(server_.options().server, "127.0.0.1:7443");
  environment_ = {{"RINGFENCE_SERVER", "fleet:1"}, {"RINGFENCE_TOKEN", "from-env"}};
  Run({"status"});
  EXPECT_EQ(server_.options().server, "fleet:1");
  EXPECT_EQ(server_.options().token, "from-env");
  Run({"--server", "other:2", "--token-file", File("token", "from-file\n"), "status", "--timeout", "3s"});
  EXPECT_EQ(server_.options().server, "other:2");
  EXPECT_EQ(server_.options().token, "from-file");
  EXPECT_EQ(server_.options().timeout, absl::Seconds(3));
}

TEST_F(CommandTest, ForeignTextCannotWriteToTheTerminal) {
  server_.Fail("FleetService/GetServerStatus", absl::InternalError("\x1b[2Jgone \x07 \xc2\x9b"));
  Run({"status"});
  EXPECT_THAT(err(), AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\x07")), Not(HasSubstr("\x9b"))));
}

// ---------------------------------------------------------------- plan

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
  EXPECT_THAT(out(), AllOf(HasSubstr("-     soak: 10m\n+     soak: 30m\n"), HasSubstr("  tenant: acme\n")));
}

TEST_F(CommandTest, PlanInitWritesAPlanThatTheParserReads) {
  EXPECT_EQ(Run({"plan", "init", "acme"}), 0);
  const auto parsed = ParsePlanYaml(out());
  EXPECT_EQ(Render("init", parsed.faults), "");
  EXPECT_EQ(parsed.message.tenant(), "acme");
  EXPECT_GE(parsed.message.rings_size(), 2);
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

// ---------------------------------------------------------------- approvals

TEST_F(CommandTest, ReleaseApproveAndDenyNameOneReleaseAndOneTenant) {
  server_.On("PlanService/ApproveRelease", v1::ApproveReleaseResponse());
  server_.On("PlanService/DenyRelease", v1::DenyReleaseResponse());
  EXPECT_EQ(Run({"release", "approve", "sensor/7", "--tenant", "acme", "--ring", "theatres", "-m", "tested"}),
            0);
  EXPECT_EQ(out(), "approved sensor/7 for ring theatres of acme\n");
  EXPECT_THAT(
      server_.Asked("PlanService/ApproveRelease"),
      AllOf(HasSubstr("serial: 7"), HasSubstr("ring: \"theatres\""), HasSubstr("reason: \"tested\"")));
  EXPECT_EQ(Run({"release", "deny", "sensor/7", "--tenant", "acme", "-m", "no"}), 0);
  EXPECT_EQ(out(), "denied sensor/7 for every ring that asks of acme\n");
  EXPECT_EQ(Run({"release", "approve", "sensor", "--tenant", "acme", "-m", "x"}), 2);
}

TEST_F(CommandTest, ReleaseApprovalsListWhatWaits) {
  server_.On("PlanService/ListApprovals",
             Proto<v1::ListApprovalsResponse>(
                 R"(approvals { tenant: "acme" channel: "sensor" serial: 7 version: "7.16" ring: "theatres"
                                state: APPROVAL_STATE_WAITING })"));
  EXPECT_EQ(Run({"release", "approvals", "acme"}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("sensor/7"), HasSubstr("waiting"), HasSubstr("theatres")));
  EXPECT_THAT(server_.Asked("PlanService/ListApprovals"), HasSubstr("waiting_only: true"));
}

TEST_F(CommandTest, ReleaseExplainGroupsHostsByReason) {
  server_.On("FleetService/ExplainRelease", Proto<v1::ExplainReleaseResponse>(
                                                R"(channel: "content" serial: 3 version: "1.2.0" hosts: 500
                    groups { ring: "canary" hosts: 20 sentence: "Nothing stands in the way." }
                    groups { ring: "n-1" reason: "window" opens_by: "time" hosts: 480 silent: 4
                             next { seconds: 1700000000 } detail: "sat 02:00-06:00 UTC" })"));
  for (const char* group : {"release", "rollout"}) {
    EXPECT_EQ(Run({group, "explain", "content", "--tenant", "acme"}), 0);
    EXPECT_THAT(out(), AllOf(HasSubstr("content/3 1.2.0, 500 hosts of acme"), HasSubstr("480"),
                             HasSubstr("window"), HasSubstr("2023-11-14 23:13:20 +01:00"), HasSubstr("yes")));
  }
}

TEST_F(CommandTest, AgentExplainWithoutAReleaseSpeaksOfEveryChannelOfThePlan) {
  server_.On("FleetService/GetAgent", Proto<v1::GetAgentResponse>(R"(agent { id: "x" tenant: "acme" })"));
  server_.On(
      "PlanService/GetPlan",
      Proto<v1::GetPlanResponse>(
          R"(current { plan { tenant: "acme" channels { channel: "content" } channels { channel: "sensor" } } })"));
  server_.On(
      "FleetService/ExplainAgent",
      Proto<v1::ExplainAgentResponse>(R"(agent { id: "x" tenant: "acme" ring: "canary" } channel: "sensor"
                                                reason: "window" sentence: "Later." gates { gate: "window" })"));
  EXPECT_EQ(Run({"agent", "explain", "x"}), 0);
  EXPECT_THAT(server_.Asked("FleetService/ExplainAgent"), HasSubstr("channel: \"sensor\""));
  EXPECT_THAT(out(), HasSubstr("not now: Later. (window)"));
  EXPECT_EQ(Run({"agent", "explain", "x", "--channel", "content"}), 0);
  EXPECT_THAT(server_.Asked("FleetService/ExplainAgent"), HasSubstr("channel: \"content\""));
  EXPECT_EQ(Run({"agent", "explain", "x", "content", "--channel", "content"}), 2);
}

// ---------------------------------------------------------------- release

TEST_F(CommandTest, PublishSendsTheManifestAndThenTheBytes) {
  server_.On(
      "ReleaseService/PublishRelease",
      Proto<v1::PublishReleaseResponse>(
          R"(release { manifest { channel: "content" serial: 7 } size_bytes: 3 signature: SIGNATURE_STATE_UNSIGNED } warnings: "os=linux is not covered")"));
  EXPECT_EQ(Run({"release", "publish", File("a", "abc"), "--channel", "content", "--serial", "7", "--version",
                 "1.4", "--target", "platform=windows", "--matrix", "os=win10|win11,arch=x64", "--matrix",
                 "os=win12"}),
            0);
  EXPECT_THAT(
      server_.Asked("ReleaseService/PublishRelease"),
      AllOf(
          HasSubstr("serial: 7"), HasSubstr("version: \"1.4\""),
          HasSubstr(
              R"(matrix { all_of { key: "os" any_of: "win10" any_of: "win11" } all_of { key: "arch" any_of: "x64" } })"),
          HasSubstr("kind: CHANNEL_KIND_CONTENT")));
  EXPECT_GT(server_.uploaded(), 3u);
  EXPECT_THAT(out(), HasSubstr("published content/7 1.4 (3 B"));
  EXPECT_EQ(err(), "warning: os=linux is not covered\n");
}

TEST_F(CommandTest, ARefusedReleaseIsNamedByItsWord) {
  absl::Status refused = absl::FailedPreconditionError("serial 3 is not above 7");
  refused.SetPayload(kRefusalUrl, absl::Cord("stale_version"));
  server_.Fail("ReleaseService/PublishRelease", refused);
  EXPECT_EQ(Run({"release", "publish", File("a", "abc"), "--channel", "c", "--serial", "3", "--version", "1",
                 "--matrix", "os=a"}),
            7);
  EXPECT_THAT(err(), StartsWith("ringfence: stale_version: serial 3 is not above 7\n"));
}

TEST_F(CommandTest, ARefusalOfTheGateSaysWhatHelpsAndJsonHasItsFields) {
  absl::Status refused =
      absl::FailedPreconditionError("schema_mismatch: artifact header.field_count: found 21, wanted 20");
  refused.SetPayload(kRefusalUrl, absl::Cord("schema_mismatch"));
  refused.SetPayload(kFaultListUrl, absl::Cord(Proto<v1::FaultList>(R"(
      refusal: "schema_mismatch" faults { path: "artifact.header.field_count" found: "21" wanted: "20" })")
                                                   .SerializeAsString()));
  server_.Fail("ReleaseService/PublishRelease", refused);
  std::vector<std::string> publish = {"release",
                                      "publish",
                                      File("a", "abc"),
                                      "--channel",
                                      "c",
                                      "--serial",
                                      "3",
                                      "--version",
                                      "1",
                                      "--matrix",
                                      "os=a",
                                      "--qualification",
                                      File("q", "{}"),
                                      "--signature",
                                      File("s", "sig"),
                                      "--skip-rings"};
  EXPECT_EQ(Run(publish), 7);
  EXPECT_THAT(
      err(),
      StartsWith("ringfence: schema_mismatch: artifact header.field_count: found 21, wanted 20\n  next: give "
                 "the content the inputs"));
  EXPECT_THAT(server_.Asked("ReleaseService/PublishRelease"),
              AllOf(HasSubstr("qualifications: \"{}\""), HasSubstr("signature: \"sig\""),
                    HasSubstr("skip_rings: true")));
  publish.insert(publish.begin(), {"-o", "json"});
  EXPECT_EQ(Run(publish), 7);
  EXPECT_THAT(out(), AllOf(HasSubstr("\"path\": \"artifact.header.field_count\""),
                           HasSubstr("\"refusal\": \"schema_mismatch\"")));
}

TEST_F(CommandTest, ReleaseListIsAlignedAndEmptyListsSaySo) {
  EXPECT_EQ((server_.On("ReleaseService/ListReleases", v1::ListReleasesResponse()), Run({"release", "list"})),
            0);
  EXPECT_EQ(out(), "no release was published yet\n");
  server_.On("ReleaseService/ListReleases", Proto<v1::ListReleasesResponse>(R"(
      releases { manifest { channel: "content" serial: 12 version: "1.10" digest: "\001\002\003\004\005\006\007" } size_bytes: 2048 state: RELEASE_STATE_PUBLISHED
                 signature: SIGNATURE_STATE_UNSIGNED published_by: "ana" published_at { seconds: 1700000000 } }
      releases { manifest { channel: "sensor" serial: 3 version: "7.16" digest: "\377\002\003\004\005\006\007" } size_bytes: 5 state: RELEASE_STATE_RECALLED
                 signature: SIGNATURE_STATE_UNSIGNED published_by: "ana" published_at { seconds: 1700000000 } })"));
  EXPECT_EQ(Run({"release", "list"}), 0);
  EXPECT_EQ(out(),
            "CHANNEL  SERIAL  VERSION  STATE      SIGNATURE     SIZE  SHA256        PUBLISHED                "
            "   BY\n"
            "content      12  1.10     published  unsigned   2.0 KiB  010203040506  2023-11-14 23:13:20 "
            "+01:00  ana\n"
            "sensor        3  7.16     recalled   unsigned       5 B  ff0203040506  2023-11-14 23:13:20 "
            "+01:00  ana\n");
}

TEST_F(CommandTest, JsonHasHexDigestsWordsAndUtcTimes) {
  server_.On("ReleaseService/GetRelease", Proto<v1::GetReleaseResponse>(R"(
      release { manifest { channel: "content" serial: 12 version: "1.10" digest: "\001\377" matrix { } } size_bytes: 2048
                state: RELEASE_STATE_PUBLISHED published_at { seconds: 1700000000 } })"));
  EXPECT_EQ(Run({"release", "show", "content/12", "-o", "json"}), 0);
  EXPECT_EQ(out(), R"({
  "manifest": {
    "channel": "content",
    "kind": "unspecified",
    "serial": 12,
    "version": "1.10",
    "matrix": [
      {
        "all_of": []
      }
    ],
    "digest": "01ff",
    "urgent": false
  },
  "size_bytes": 2048,
  "state": "published",
  "published_by": "",
  "published_at": "2023-11-14T22:13:20.000Z",
  "rollout_id": 0,
  "signature": "unspecified",
  "qualification": "unspecified"
}
)");
  EXPECT_EQ(Run({"release", "show", "content/12", "-o", "yaml"}), 0);
  EXPECT_THAT(
      out(),
      StartsWith("manifest:\n  channel: content\n  kind: unspecified\n  serial: 12\n  version: \"1.10\"\n"));
}

TEST_F(CommandTest, RecallAsksOnATerminalOnly) {
  server_.On("ReleaseService/RecallRelease", Proto<v1::RecallReleaseResponse>("release { }"));
  world_.in_is_tty = world_.out_is_tty = true;
  in_.str("n\n");
  EXPECT_EQ(Run({"release", "recall", "content/3", "-m", "bad"}), 1);
  EXPECT_EQ(server_.Asked("ReleaseService/RecallRelease"), "");
  EXPECT_EQ(Run({"release", "recall", "content/3", "-m", "bad", "--yes"}), 0);
  EXPECT_NE(server_.Asked("ReleaseService/RecallRelease"), "");
}

TEST_F(CommandTest, AVersionIsLookedUp) {
  server_.On("ReleaseService/ListReleases",
             Proto<v1::ListReleasesResponse>(
                 R"(releases { manifest { channel: "content" serial: 12 version: "1.10.0-rc" } })"));
  server_.On("RolloutService/HaltRollout", v1::HaltRolloutResponse());
  EXPECT_EQ(Run({"rollout", "halt", "content/1.10.0-rc", "-m", "smells"}), 0);
  EXPECT_THAT(server_.Asked("RolloutService/HaltRollout"), HasSubstr("serial: 12"));
  EXPECT_EQ(Run({"rollout", "halt", "content/9.9.9", "-m", "smells"}), 6);
}

// ---------------------------------------------------------------- rollout

TEST_F(CommandTest, RolloutShowTellsTheWholeStory) {
  server_.On("RolloutService/GetRollout",
             Proto<v1::GetRolloutResponse>(std::string("rollout {") + kRollout + "}"));
  EXPECT_EQ(Run({"rollout", "show", "content/3"}), 0);
  EXPECT_EQ(
      out(),
      "content/3 1.2.0  halted  unproven 8 of 12  healthy 6  evidence 141: hold\n"
      "  vendor-internal/dogfood halted     wave 1/2 [██▒✗◂                              ]   14/100   "
      "4 harmed  2 back  halt\n"
      "  acme/canary             waiting             [                                   ]    0/20    "
      "internal_not_passed\n"
      "  brake  halted, exposed hosts ordered back for every tenant  by server\n"
      "         gate_silence: 4 of 14 exposed hosts fell silent\n"
      "  gate   silence  4 bad of 14 exposed, 0.2 expected\n"
      "  stage  3 hosts could not fetch, verify or write it\n"
      "  ledger exposed 14, harmed 4, saved 2, first harm to last lease 1m 30s; a push to everyone "
      "reaches 2000\n"
      "         2 hosts have not been heard on their old version yet\n"
      "  small  acme/canary: 20 hosts: this ring alone certifies nothing; the release as a whole and the "
      "gates decide\n"
      "  why    vendor-internal/dogfood: a brake is on\n");
}

// A hold by a gate whose counts are on record.
v1::ListDecisionsResponse OneDecision(bool forged) {
  v1::ListDecisionsResponse response = Proto<v1::ListDecisionsResponse>(
      R"(decisions { id: 7 at { seconds: 1700000000 } scope { channel: "content" serial: 3 } action: "hold"
         rule: "gate_crash" actor: "server" why: "3 of 14 exposed hosts crashed" cohort: "os=xp" })");
  response.mutable_decisions(0)->set_evidence(absl::StrCat(
      R"({"m_r":1.5,"m_r_in_order":1,"m_a":1,"unproven":3,"healthy":0,"exposed":14,"acted":"gate_crash","gates":[)",
      R"({"gate":"crash","cohort":"os=xp","max_rate_ppm":10000,"min_count":3,"bad":)", forged ? 2 : 3,
      R"(,"exposed":14,"breached":true,"suspect":false}]})"));
  return response;
}

TEST_F(CommandTest, DecisionShowTellsWhatBothJudgesThought) {
  server_.On("RolloutService/ListDecisions", OneDecision(false));
  EXPECT_EQ(Run({"decision", "show", "7"}), 0);
  EXPECT_THAT(server_.Asked("RolloutService/ListDecisions"), HasSubstr("page_token: \"8\""));
  EXPECT_THAT(out(), AllOf(HasSubstr("none (M_R 1.5, in order 1, M_A 1)"),
                           HasSubstr("crash os=xp 3 of 14 breached"), HasSubstr("gate_crash")));
  EXPECT_EQ(Run({"decision", "show", "8"}), 6);
  EXPECT_EQ(Run({"decision", "show", "seven"}), 2);
}

TEST_F(CommandTest, DecisionReplayEndsWithNineWhenItComesOutOtherwise) {
  server_.On("RolloutService/ListDecisions", OneDecision(false));
  EXPECT_EQ(Run({"decision", "replay", "7"}), 0);
  EXPECT_THAT(out(), HasSubstr("the same, by the gate"));
  EXPECT_EQ(Run({"decision", "replay", "--release", "content/3"}), 0);
  EXPECT_THAT(out(), HasSubstr("1 decisions, none differs"));
  server_.On("RolloutService/ListDecisions", OneDecision(true));
  EXPECT_EQ(Run({"decision", "replay", "7"}), 9);
  EXPECT_THAT(out(), AllOf(HasSubstr("DIFFERENT"), HasSubstr("breached")));
  EXPECT_EQ(Run({"decision", "replay"}), 2);
}

TEST_F(CommandTest, RolloutEvidenceDrawsTheWealthBesideTheLines) {
  v1::ListEvidenceResponse response =
      Proto<v1::ListEvidenceResponse>(R"(serial: 3 rho0: 1 k_max: 64 test: 1)");
  for (int i = 0; i < 4; ++i) {
    *response.add_records() = Proto<v1::EvidenceRecord>(absl::StrCat(
        "at { seconds: ", 1'700'000'000 + 600 * i,
        R"(} replica: 1 seq: 1 treated: 1 events { channel: "silence" treated: true pi: 0.02 cells: "tenant acme"
           cells: "os=xp" })"));
  }
  server_.On("RolloutService/ListEvidence", response);
  EXPECT_EQ(Run({"rollout", "evidence", "content/3"}), 0);
  EXPECT_THAT(out(), AllOf(StartsWith("content/3\n"), HasSubstr("1000 |"), HasSubstr("a tenant acme"),
                           HasSubstr("b os=xp"), HasSubstr("# M_R ")));
  const std::string file = folder_ + "/evidence.svg";
  EXPECT_EQ(Run({"rollout", "evidence", "content/3", "--svg", file}), 0);
  std::ostringstream svg;
  svg << std::ifstream(file).rdbuf();
  EXPECT_THAT(svg.str(),
              AllOf(StartsWith("<svg "), HasSubstr("halt 1000"), HasSubstr("os=xp"), EndsWith("</svg>\n")));
  EXPECT_EQ(Run({"rollout", "evidence", "content/3", "--svg", folder_ + "/no/such/folder/x.svg"}), 2);
}

TEST_F(CommandTest, ColoursOnlyOnATerminalThatWantsThem) {
  server_.On("RolloutService/GetRollout",
             Proto<v1::GetRolloutResponse>(std::string("rollout {") + kRollout + "}"));
  Run({"rollout", "show", "content/3"});
  EXPECT_THAT(out(), Not(HasSubstr("\x1b[")));
  world_.out_is_tty = true;
  Run({"rollout", "show", "content/3"});
  EXPECT_THAT(out(), HasSubstr("\x1b[31m"));
  environment_["NO_COLOR"] = "1";
  Run({"rollout", "show", "content/3"});
  EXPECT_THAT(out(), Not(HasSubstr("\x1b[")));
}

v1::WatchRolloutResponse At(v1::StageState state, int exposed, int confirmed) {
  v1::WatchRolloutResponse response;
  v1::ReleaseManifest* manifest = response.mutable_rollout()->mutable_release()->mutable_manifest();
  manifest->set_channel("content");
  manifest->set_serial(1);
  v1::Stage* stage = response.mutable_rollout()->add_stages();
  stage->set_tenant("acme");
  stage->set_ring("canary");
  stage->set_state(state);
  stage->set_wave(state == v1::STAGE_STATE_WAITING ? 0 : 1);
  stage->set_waves(1);
  stage->set_members(4);
  stage->mutable_outcomes()->set_exposed(exposed);
  stage->mutable_outcomes()->set_confirmed(confirmed);
  stage->mutable_outcomes()->set_pending(exposed - confirmed);
  return response;
}

TEST_F(CommandTest, WatchPrintsALineForEachTurnAndEndsWhenToldTo) {
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_WAITING, 0, 0));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 0, 0));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 2, 1));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 0, 0));  // never looked at
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 0);
  EXPECT_EQ(out(),
            "23:13:20 acme/canary waiting, 0 of 4 exposed, 0 confirmed\n"
            "23:13:20 content/1 is waiting\n"
            "23:13:20 acme/canary open wave 1/1, 0 of 4 exposed, 0 confirmed\n"
            "23:13:20 content/1 is open\n"
            "23:13:20 acme/canary passed wave 1/1, 4 of 4 exposed, 4 confirmed\n"
            "23:13:20 content/1 is passed\n");
}

TEST_F(CommandTest, AReleaseWithRingsToComeHasPassedSoFarOnly) {
  v1::WatchRolloutResponse so_far = At(v1::STAGE_STATE_PASSED, 4, 4);
  (*so_far.mutable_rollout()->mutable_rings_to_come())["bolt"] = 2;
  v1::ListRolloutsResponse list;
  *list.add_rollouts() = so_far.rollout();
  server_.On("RolloutService/ListRollouts", list);
  EXPECT_EQ(Run({"rollout", "list"}), 0);
  EXPECT_THAT(out(), HasSubstr(" passed so far "));

  server_.On("RolloutService/WatchRollout", so_far);
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("content/1 is passed so far\n"), EndsWith("content/1 is passed\n")));

  server_.On("RolloutService/WatchRollout", so_far);
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--tenant", "acme", "--until", "passed"}), 0);
  EXPECT_THAT(out(), EndsWith("content/1 is passed\n"));
}

TEST_F(CommandTest, WatchSaysWhenItEndedOtherwise) {
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_HALTED, 2, 0));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 8);
  EXPECT_EQ(err(), "ringfence: it ended halted, not passed\n");
}

TEST_F(CommandTest, WatchRedrawsInPlaceOnATerminal) {
  world_.out_is_tty = true;
  environment_["NO_COLOR"] = "1";
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 0, 0));
  server_.Then("RolloutService/WatchRollout",
               At(v1::STAGE_STATE_OPEN, 0, 0));  // the same picture is not drawn again
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 0);
  EXPECT_THAT(out(), HasSubstr("\x1b[2A"));
  EXPECT_EQ(out().find("\x1b[2A"), out().rfind("\x1b[2A"));
  EXPECT_THAT(out(), HasSubstr("[████████████████████████████████████████]    4/4"));
}

TEST_F(CommandTest, WatchInJsonIsOneObjectALine) {
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed", "-o", "json"}), 0);
  EXPECT_THAT(out(), AllOf(StartsWith("{\"id\":0,\"release\":{"), EndsWith("}\n")));
}

TEST_F(CommandTest, BrakesCarryTheirScopeAndTheReason) {
  server_.On("RolloutService/PauseRollout",
             Proto<v1::PauseRolloutResponse>(R"(brake { scope { tenant: "acme" channel: "content" } })"));
  EXPECT_EQ(Run({"rollout", "pause", "content", "--tenant", "acme", "-m", "audit week"}), 0);
  EXPECT_EQ(out(), "paused every release of content for acme\n");
  EXPECT_THAT(server_.Asked("RolloutService/PauseRollout"),
              AllOf(HasSubstr("scope { tenant: \"acme\" channel: \"content\" }"),
                    HasSubstr("reason: \"audit week\"")));
  server_.On("RolloutService/ResumeRollout", Proto<v1::ResumeRolloutResponse>("needs_second_person: true"));
  EXPECT_EQ(Run({"rollout", "resume", "content/3", "--brake", "halt", "-m", "fixed"}), 0);
  EXPECT_THAT(out(), HasSubstr("a second person"));
  EXPECT_THAT(server_.Asked("RolloutService/ResumeRollout"), HasSubstr("brake: BRAKE_KIND_HALT"));
}

// ---------------------------------------------------------------- hosts and the server

TEST_F(CommandTest, ExplainShowsEveryGateInOrder) {
  server_.On("FleetService/ExplainAgent", Proto<v1::ExplainAgentResponse>(R"(
      agent { id: "11111111-2222-4333-8444-555555555555" tenant: "acme" ring: "broad" labels { key: "os" value: "win11" } }
      channel: "content" serial: 3 version: "1.2.0" reason: "earlier_ring_not_passed" sentence: "An earlier ring has not passed it yet."
      gates { gate: "no_ring" open: true detail: "ring broad" }
      gates { gate: "earlier_ring_not_passed" detail: "canary" opens_by: "proof" next { seconds: 1700000000 } })"));
  EXPECT_EQ(Run({"agent", "explain", "11111111-2222-4333-8444-555555555555", "content/3"}), 0);
  EXPECT_EQ(out(),
            "host     11111111-2222-4333-8444-555555555555\n"
            "place    acme, ring broad\n"
            "labels   os=win11\n"
            "runs     \n"
            "release  content/3 1.2.0\n"
            "answer   not now: An earlier ring has not passed it yet. (earlier_ring_not_passed)\n"
            "\n"
            "      GATE                     DETAIL      OPENED BY  NEXT\n"
            "open  no_ring                  ring broad  -          -\n"
            "SHUT  earlier_ring_not_passed  canary      proof      2023-11-14 23:13:20 +01:00\n");
}

TEST_F(CommandTest, ATokenStandsAloneOnTheStandardOutput) {
  server_.On("FleetService/CreateEnrolmentToken",
             Proto<v1::CreateEnrolmentTokenResponse>(R"(token: "t-123" expires_at { seconds: 1700000000 })"));
  EXPECT_EQ(Run({"token", "create", "acme", "--valid-for", "12h"}), 0);
  EXPECT_EQ(out(), "t-123\n");
  EXPECT_THAT(server_.Asked("FleetService/CreateEnrolmentToken"), HasSubstr("valid_for { seconds: 43200 }"));
  EXPECT_EQ(Run({"token", "create", "acme", "--valid-for", "12"}), 2);
}

TEST_F(CommandTest, ATokenForATenantWithoutAPlanIsQuestioned) {
  server_.On("FleetService/CreateEnrolmentToken",
             Proto<v1::CreateEnrolmentTokenResponse>(R"(token: "t-123" expires_at { seconds: 1700000000 })"));
  server_.Fail("PlanService/GetPlan", absl::NotFoundError("plan: \"acmee\" has no plan"));
  EXPECT_EQ(Run({"token", "create", "acmee"}), 0);
  EXPECT_EQ(out(), "t-123\n");
  EXPECT_THAT(err(), HasSubstr("acmee has no plan yet: its hosts are offered nothing"));
  server_.On("PlanService/GetPlan", v1::GetPlanResponse());
  Run({"token", "create", "acme"});
  EXPECT_THAT(err(), Not(HasSubstr("no plan")));
}

TEST_F(CommandTest, TheAuditShowsWhatChangedAndCanBeNarrowed) {
  server_.On("FleetService/ListAuditEvents", Proto<v1::ListAuditEventsResponse>(R"(
      events { at { seconds: 1700000000 } person: "sam" role: "sre" act: "token.create" target: "acme" }
      events { at { seconds: 1700000000 } person: "ana" role: "sre" act: "rollout.halt" target: "content/3" after: "halted " }
      events { at { seconds: 1700000000 } person: "sam" role: "sre" act: "rollout.pause" target: "content" })"));
  EXPECT_EQ(Run({"audit", "--act", "rollout"}), 0);
  EXPECT_THAT(out(),
              AllOf(HasSubstr("nothing -> halted"), HasSubstr("rollout.pause"), Not(HasSubstr("token"))));
  EXPECT_EQ(Run({"audit", "--person", "sam", "--act", "rollout"}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("rollout.pause"), Not(HasSubstr("rollout.halt"))));
}

TEST_F(CommandTest, AnActInDoubtSaysHowToRepeatItSafely) {
  server_.Fail("RolloutService/PauseRollout", absl::DeadlineExceededError("no answer"));
  EXPECT_EQ(Run({"rollout", "pause", "--tenant", "acme", "-m", "x", "--request-id", "mine"}), 3);
  EXPECT_THAT(err(), HasSubstr("--request-id mine is done once"));
  server_.Fail("FleetService/GetServerStatus", absl::DeadlineExceededError("no answer"));
  EXPECT_EQ(Run({"status"}), 3);
  EXPECT_THAT(err(), Not(HasSubstr("request-id")));
}

TEST_F(CommandTest, ASerialIsAPositiveNumber) {
  EXPECT_EQ(Run({"release", "publish", File("c", "x"), "--channel", "content", "--serial", "-4"}), 2);
  EXPECT_THAT(err(), HasSubstr("--serial"));
}

TEST_F(CommandTest, ARolloutThatNoRingTakesSaysWhy) {
  server_.On("RolloutService/GetRollout", Proto<v1::GetRolloutResponse>(R"(
      rollout { release { manifest { channel: "content" serial: 3 version: "1" } }
                why: "the vendor's own tenant v has no plan, and every release starts there" })"));
  EXPECT_EQ(Run({"rollout", "show", "content/3"}), 0);
  EXPECT_THAT(out(), HasSubstr("why    the vendor's own tenant v has no plan"));
}

TEST_F(CommandTest, ListsFollowTheirPages) {
  server_.On("FleetService/ListAuditEvents", Proto<v1::ListAuditEventsResponse>(R"(
      events { at { seconds: 1700000000 } person: "ana" role: "sre" act: "halt" target: "content/3" reason: "bricks" } next_page_token: "more")"));
  EXPECT_EQ(Run({"audit", "--limit", "3"}), 0);  // the same page three times: the limit ends it
  const std::string text = out();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4) << text;
}

TEST_F(CommandTest, CompletionKnowsTheWholeTree) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Run({"completion", shell}), 0);
    EXPECT_THAT(out(), AllOf(HasSubstr("rollback"), HasSubstr("plan history"), HasSubstr("reverted"),
                             HasSubstr("until")))
        << shell;
  }
}

TEST_F(CommandTest, BashCompletionRuns) {
  Run({"completion", "bash"});
  const std::string script = File("complete.bash", out() + R"(
check() { COMP_WORDS=("${@:1:$#-1}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _ringfence
          case " ${COMPREPLY[*]} " in *" ${@: -1} "*) ;; *) echo "wanted ${*: -1} after ${COMP_WORDS[*]}, got ${COMPREPLY[*]}"; exit 1 ;; esac; }
check ringfence ro rollout
check ringfence rollout wa watch
check ringfence rollout watch --until ha halted
check ringfence --server x rollout halt content/3 --re --reason
check ringfence completion f fish
)");
  EXPECT_EQ(std::system(("bash " + script).c_str()), 0);
}

}  // namespace
}  // namespace ringfence::cli
