// An agent's row is written by people's acts and by the engine's steps: what is newer stays.
#include <chrono>
#include <future>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {
namespace {

class AgentRowsTest : public testing::Test {
 protected:
  static constexpr int kHost = 3;

  void SetUp() override {
    fleet.AddRing("vendor", "dogfood", 8);
    fleet.Start();
    fleet.RunFor(absl::Minutes(2));
  }
  // Does `act` while a step stands before the store with the agent's row of before.
  void DuringAStep(std::function<void()> act) {
    fleet.host(kHost).boots = 2;
    ASSERT_TRUE(fleet.Say(kHost, {}).ok());  // the row changed
    fleet.gate().Set(GatedStore::Gate::kHoldOne);
    std::thread step([&] { EXPECT_TRUE(fleet.app().RunOnce().ok()); });
    fleet.gate().WaitForACall();
    auto acted = std::async(std::launch::async, std::move(act));
    // It may overtake the step, if nothing keeps it from that.
    acted.wait_for(std::chrono::milliseconds(100));
    fleet.gate().Set(GatedStore::Gate::kOpen);
    step.join();
    acted.get();
    fleet.Restart();
  }
  FleetHarness fleet;
};

TEST_F(AgentRowsTest, ADeletionIsNotUndoneByAStepThatBeganBefore) {
  DuringAStep(
      [&] { EXPECT_TRUE(fleet.app().DeleteAgent(fleet.Admin("vendor"), fleet.host(kHost).id).ok()); });
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.Say(kHost, {}).status()));
}

TEST_F(AgentRowsTest, ANewSecretIsNotUndoneByAStepThatBeganBefore) {
  const auto token = fleet.app().CreateEnrolToken(fleet.Sre(), "vendor", absl::Hours(1));
  ASSERT_TRUE(token.ok());
  std::string secret;
  DuringAStep([&] {
    const auto reply =
        fleet.app().Enrol({token->token, fleet.host(kHost).id, fleet.host(kHost).labels, "boot-2"});
    ASSERT_TRUE(reply.ok()) << reply.status();
    secret = reply->secret;
  });
  EXPECT_EQ(fleet.app().Authenticate(fleet.host(kHost).id, secret).value_or("nobody's"), "vendor");
}

}  // namespace
}  // namespace ringfence::test
