// ringfence agent, token, audit: the hosts and the server.
#include "tests/cli/command_fixture.h"

namespace ringfence::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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

}  // namespace
}  // namespace ringfence::cli
