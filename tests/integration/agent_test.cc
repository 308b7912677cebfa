// The real agent and the real server, with what an operator types: enrolment, a release that is fetched,
// leased, activated and proven, deaths on both sides, and the order back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/v1/fleet.pb.h"
#include "tests/integration/agent_process.h"
#include "tests/integration/command.h"
#include "tests/integration/operators.h"
#include "tests/integration/server_process.h"

namespace ringfence::testing_support {
namespace {

using testing::HasSubstr;

// A check-in a second, a lease of one second, a probation of some four.
const std::vector<std::string> kDemo = {
    "--internal-tenant",     "vendor", "--demo", "--time-scale", "20", "--checkin-interval", "20s",
    "--unsafe-fast-database"};

class AgentTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_.Start());
    server_.KeepPort();
    ASSERT_TRUE(People(server_.Channel()).Apply(PlanOf("vendor", {"dogfood"})).ok());
  }

  // `ringfence ARGUMENTS` as the person with the token.
  Printed Ringfence(const std::string& token, const std::string& arguments) {
    return testing_support::Run(absl::StrCat("RINGFENCE_TOKEN=", token, " RINGFENCE_SERVER=",
                                             server_.address(), " '" RINGFENCE_BINARY "' --yes ", arguments));
  }

  // Looks again and again, far longer than it takes: two processes live their own lives.
  template <typename Predicate>
  testing::AssertionResult Eventually(Predicate happened) {
    for (int i = 0; i < 6'000; ++i) {
      if (happened()) return testing::AssertionSuccess();
      ::poll(nullptr, 0, 20);
    }
    return testing::AssertionFailure() << "agent:\n" << agent_->log() << "\nserver:\n" << server_.log();
  }

  v1::OutcomeCounts Outcomes() {
    v1::Rollout rollout;
    if (!People(server_.Channel()).Rollout(1, &rollout).ok() || rollout.stages_size() != 1) return {};
    return rollout.stages(0).outcomes();
  }

  // The server hears the agent from now on, as one and the same host, on the bytes that it runs.
  testing::AssertionResult IsHeard() {
    const std::vector<v1::Agent> before = People(server_.Channel()).Agents("vendor");
    return Eventually([&] {
      const std::vector<v1::Agent> now = People(server_.Channel()).Agents("vendor");
      return before.size() == 1 && now.size() == 1 && now[0].id() == before[0].id() && !now[0].silent() &&
             now[0].last_seen().seconds() > before[0].last_seen().seconds() && now[0].running_size() == 1 &&
             now[0].running(0).serial() == 1;
    });
  }

  ServerProcess server_{kDemo};
  std::unique_ptr<AgentProcess> agent_;
};

TEST_F(AgentTest, LivesThroughAReleaseDeathsOnBothSidesAndTheOrderBack) {
  agent_ = std::make_unique<AgentProcess>(server_.address(), "dogfood");
  const Printed token = Ringfence(AdminOf("vendor"), "token create vendor 2>/dev/null");
  ASSERT_EQ(token.code, 0);
  agent_->Start(token.text);
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(agent_->log(), "enrolled with tenant vendor"); }));
  EXPECT_EQ(agent_->Running(), AgentProcess::FactoryBytes());

  // Prefetched, leased, activated, proven.
  const std::string file = testing::TempDir() + "/ringfence-agent-test.bin";
  std::ofstream(file, std::ios::binary) << People::BytesOf(1);
  const Printed published =
      Ringfence(kManager, absl::StrCat("release publish ", file,
                                       " --channel content --serial 1 --version 7.1 --matrix os=win11 2>&1"));
  ASSERT_EQ(published.code, 0) << published.text;
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(agent_->log(), "staged content 7.1"); }));
  ASSERT_TRUE(Eventually([&] { return agent_->Running() == People::BytesOf(1); }));
  ASSERT_TRUE(Eventually([&] { return Outcomes().confirmed() == 1; }));
  EXPECT_EQ(Outcomes().exposed(), 1);

  // The agent dies: what runs, runs on, and it comes back as the same host.
  agent_->Signal(SIGKILL);
  EXPECT_EQ(agent_->Wait(), -SIGKILL);
  EXPECT_EQ(agent_->Running(), People::BytesOf(1));
  agent_->Start();
  EXPECT_TRUE(IsHeard());

  // The server is away for a while: nothing changes on the host, and it finds its way back by itself.
  server_.Signal(SIGTERM);
  ASSERT_EQ(server_.Wait(), 0);
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(agent_->log(), "check-in failed (2 in a row)"); }));
  EXPECT_TRUE(agent_->IsAlive());
  EXPECT_EQ(agent_->Running(), People::BytesOf(1));
  ASSERT_TRUE(server_.Start());
  EXPECT_TRUE(IsHeard());
  EXPECT_EQ(agent_->Running(), People::BytesOf(1));

  // Ordered back to what ran before, and never told to take it again.
  const Printed rollback = Ringfence(kSre, "rollout rollback content/1 --reason 'it smells' 2>&1");
  ASSERT_EQ(rollback.code, 0) << rollback.text;
  ASSERT_TRUE(Eventually([&] { return agent_->Running() == AgentProcess::FactoryBytes(); }));
  ASSERT_TRUE(Eventually([&] { return Outcomes().reverted() == 1; }));
  EXPECT_THAT(agent_->log(), HasSubstr("went back in content"));

  agent_->Signal(SIGTERM);
  EXPECT_EQ(agent_->Wait(), 0);
  EXPECT_EQ(agent_->Running(), AgentProcess::FactoryBytes());
}

TEST_F(AgentTest, WithoutATokenThatHoldsItSaysSoAndKeepsWhatRuns) {
  agent_ = std::make_unique<AgentProcess>(server_.address(), "dogfood");
  agent_->Start("not a token that anybody made");
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(agent_->log(), "enrolment failed"); }));
  EXPECT_EQ(agent_->Running(), AgentProcess::FactoryBytes());
  EXPECT_TRUE(People(server_.Channel()).Agents("vendor").empty());
}

}  // namespace
}  // namespace ringfence::testing_support
