// ringfence release ..., its approvals and explanations.
#include "absl/strings/cord.h"
#include "tests/cli/command_fixture.h"

namespace ringfence::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

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
  EXPECT_EQ(Run({"release", "approve", "sensor/7", "--tenant", "acme", "--min-age", "12h", "-m", "x"}), 0);
  EXPECT_THAT(server_.Asked("PlanService/ApproveRelease"), HasSubstr("min_age { seconds: 43200 }"));
  EXPECT_EQ(Run({"release", "approve", "sensor/7", "--tenant", "acme", "--min-age", "soon", "-m", "x"}), 2);
  EXPECT_EQ(Run({"release", "deny", "sensor/7", "--tenant", "acme", "--min-age", "12h", "-m", "x"}), 2);
}

TEST_F(CommandTest, ReleaseApprovalsListWhatWaits) {
  server_.On("PlanService/ListApprovals",
             Proto<v1::ListApprovalsResponse>(
                 R"(approvals { tenant: "acme" channel: "sensor" serial: 7 version: "7.16" ring: "theatres"
                                state: APPROVAL_STATE_WAITING }
                     approvals { tenant: "acme" channel: "sensor" serial: 7 version: "7.16" ring: "wards"
                                 state: APPROVAL_STATE_APPROVED min_age { seconds: 43200 } })"));
  EXPECT_EQ(Run({"release", "approvals", "acme"}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("sensor/7"), HasSubstr("waiting"), HasSubstr("theatres"),
                           HasSubstr("approved at an age of 12h")));
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
          R"(release { manifest { channel: "content" serial: 7 version: "1.4" } size_bytes: 3 signature: SIGNATURE_STATE_UNSIGNED } warnings: "os=linux is not covered")"));
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
  std::vector<std::string> publish = {"release",  "publish",     File("a", "abc"), "--channel", "c",
                                      "--serial", "3",           "--version",      "1",         "--matrix",
                                      "os=a",     "--skip-rings"};
  EXPECT_EQ(Run(publish), 7);
  EXPECT_THAT(
      err(),
      StartsWith("ringfence: schema_mismatch: artifact header.field_count: found 21, wanted 20\n  next: give "
                 "the content the inputs"));
  EXPECT_THAT(server_.Asked("ReleaseService/PublishRelease"), HasSubstr("skip_rings: true"));
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
  "qualification": "unspecified",
  "artifacts": []
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

}  // namespace
}  // namespace ringfence::cli
