// Decisions are computed again from their rows alone (invariant 10). The fleet harness does so with every
// decision of every test; here is what it must find when a row was changed.
#include "server/record/decision_replay.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

record::Decided Of(const storage::DecisionRow& row) {
  return {row.action, row.rule, row.actor, row.why, row.at, row.evidence};
}

class DecisionReplayTest : public ::testing::Test {
 protected:
  // A release that bricks hosts, judged by gates or by the method alone.
  void Run(bool gates) {
    fleet_.AddRing("vendor", "dogfood", 200);
    fleet_.effect = [](const SimHost&, const Digest&) { return Effect::kBricks; };
    fleet_.Start();
    policy::Plan plan = PlanOf("vendor", {RingNamed("dogfood")});
    if (gates) plan.gates = Gates();
    fleet_.Apply(plan);
    fleet_.Publish();
    ASSERT_TRUE(fleet_.RunUntil([&] { return fleet_.Stopped(1); }, absl::Hours(24)));
    EXPECT_EQ(fleet_.Violations(), "");
  }
  storage::DecisionRow Stop() {
    for (const storage::DecisionRow& row : fleet_.watch().decisions()) {
      if (row.action == "hold" || row.action == "halt") return row;
    }
    ADD_FAILURE() << "no stop";
    return {};
  }
  FleetHarness fleet_;
};

TEST_F(DecisionReplayTest, AStopByTheMethodComesOutAgainAndAForgedOneDoesNot) {
  Run(/*gates=*/false);
  record::Decided stop = Of(Stop());
  const auto replayed = record::Replay(stop);
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(replayed->by, "method");
  EXPECT_TRUE(replayed->equal());
  EXPECT_GE(replayed->compared.size(), 5u);
  // Somebody makes the evidence larger than it was.
  const size_t at = stop.evidence.find("\"m_r\":") + 6;
  stop.evidence.insert(at, "1");
  const auto forged = record::Replay(stop);
  ASSERT_TRUE(forged.ok()) << forged.status();
  EXPECT_FALSE(forged->equal());
}

TEST_F(DecisionReplayTest, AStopByAGateComesOutAgainAndAForgedOneDoesNot) {
  Run(/*gates=*/true);
  record::Decided stop = Of(Stop());
  const auto replayed = record::Replay(stop);
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(replayed->by, "gate");
  EXPECT_TRUE(replayed->equal());
  // The hosts without the release are said to have fallen silent as often.
  stop.evidence = absl::StrReplaceAll(stop.evidence, {{"\"control\":0", "\"control\":500"}});
  const auto forged = record::Replay(stop);
  ASSERT_TRUE(forged.ok()) << forged.status();
  EXPECT_FALSE(forged->equal());
  const record::TwoJudges two = record::Summarize(stop.evidence, stop.rule);
  EXPECT_THAT(two.method, ::testing::HasSubstr("M_R"));
  EXPECT_THAT(two.gates, ::testing::HasSubstr("silence"));
  EXPECT_EQ(two.acted, stop.rule);
}

TEST_F(DecisionReplayTest, AWaveThatOpenedDoesNotWhenItsFiguresAreChanged) {
  Run(/*gates=*/false);
  for (const storage::DecisionRow& row : fleet_.watch().decisions()) {
    if (row.action != "open_wave") continue;
    record::Decided opened = Of(row);
    EXPECT_TRUE(record::Replay(opened)->equal());
    EXPECT_EQ(record::Replay(opened)->by, "stage");
    opened.evidence = absl::StrReplaceAll(opened.evidence, {{"\"blind\":false", "\"blind\":true"}});
    EXPECT_FALSE(record::Replay(opened)->equal());
    return;
  }
  FAIL() << "no wave opened";
}

TEST_F(DecisionReplayTest, EvidenceThatIsNoneIsAnErrorAndAPersonsActHasNothingToCompute) {
  EXPECT_FALSE(record::Replay({"halt", "test_r", "server", "", absl::UnixEpoch(), "{"}).ok());
  EXPECT_FALSE(
      record::Replay({"halt", "test_r", "server", "", absl::UnixEpoch(), R"({"method":{"cells":1}})"}).ok());
  const auto act = record::Replay({"pause", "operator", "ann", "", absl::UnixEpoch(), R"({"epoch":3})"});
  ASSERT_TRUE(act.ok());
  EXPECT_EQ(act->by, "");
  EXPECT_TRUE(act->equal());
}

}  // namespace
}  // namespace ringfence::test
