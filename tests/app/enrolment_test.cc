// A one-use token whose answer was lost: the same agent may ask again, and nobody else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/support/fleet_harness.h"
#include "tests/support/hooked_store.h"

namespace ringfence::test {
namespace {

using Next = RecordingStore::Next;

class EnrolmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fleet.AddRing("vendor", "dogfood", 4);
    fleet.Start();
    token = fleet.app().CreateEnrolToken(fleet.Sre(), "vendor", absl::Hours(1))->token;
    agent.bytes[0] = 77;
    other.bytes[0] = 78;
  }
  absl::StatusOr<app::EnrolReply> Enrol(const AgentId& id) {
    return fleet.app().Enrol({token, id, {}, "boot"});
  }
  bool Works(const absl::StatusOr<app::EnrolReply>& reply) {
    return reply.ok() && fleet.app().Authenticate(agent, reply->secret).value_or("") == "vendor";
  }
  // As the host does with its first secret.
  void CheckIn() {
    const std::string labels_hash = policy::Labels().Hash16();
    app::CheckInRequest request;
    request.agent = agent;
    request.boot_id = "boot";
    request.last_shutdown_clean = true;
    request.labels_hash = labels_hash;
    app::CheckInReply reply;
    ASSERT_TRUE(fleet.app().CheckIn(request, &reply).ok());
  }

  FleetHarness fleet;
  std::string token;
  AgentId agent, other;
};

TEST_F(EnrolmentTest, AConnectionLostAtTheCommitDoesNotUseUpTheToken) {
  for (const Next next : {Next::kDoubtNotDone, Next::kDoubtDone}) {
    fleet.store().next = {next};
    EXPECT_EQ(Enrol(agent).status().code(), absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(absl::IsUnauthenticated(Enrol(other).status()));
  EXPECT_TRUE(Works(Enrol(agent)));
}

TEST_F(EnrolmentTest, ALostAnswerIsGivenAgainAlsoByTheNextProcess) {
  const auto lost = Enrol(agent);
  ASSERT_TRUE(Works(lost));
  fleet.Restart();
  // A seeded process begins with the same random bytes: somebody else gets those.
  const std::string next = fleet.app().CreateEnrolToken(fleet.Sre(), "vendor", absl::Hours(1))->token;
  ASSERT_TRUE(fleet.app().Enrol({next, other, {}, "boot"}).ok());
  EXPECT_TRUE(Works(Enrol(agent)));
  // With a new secret: the server does not keep the old one.
  EXPECT_TRUE(absl::IsUnauthenticated(fleet.app().Authenticate(agent, lost->secret).status()));
}

TEST_F(EnrolmentTest, AHostThatWasHeardHasItsSecretAndTheTokenIsOver) {
  ASSERT_TRUE(Works(Enrol(agent)));
  fleet.clock().Advance(absl::Seconds(5));
  CheckIn();
  EXPECT_TRUE(absl::IsUnauthenticated(Enrol(agent).status()));
}

TEST_F(EnrolmentTest, AfterTenMinutesTheTokenIsOver) {
  ASSERT_TRUE(Enrol(agent).ok());
  fleet.RunFor(absl::Minutes(9));
  EXPECT_TRUE(Works(Enrol(agent)));
  fleet.RunFor(absl::Minutes(2));
  EXPECT_TRUE(absl::IsUnauthenticated(Enrol(agent).status()));
}

TEST_F(EnrolmentTest, ADeletedAgentDoesNotComeBackByItsOldToken) {
  ASSERT_TRUE(Enrol(agent).ok());
  ASSERT_TRUE(fleet.app().DeleteAgent(fleet.Sre(), agent).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(Enrol(agent).status()));
}

TEST(EnrolmentOrderTest, ACallThatTookItsTimeDoesNotReplaceALaterSecret) {
  HookedStore store;
  ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  app::AppOptions options;
  options.seed = 1;
  const auto app = app::App::Make(options, &store, &clock, nullptr);
  ASSERT_TRUE(app->Start().ok());
  const app::Act act{{"sam", app::Role::kSre, "", "key"}, "token", "test"};
  const std::string token = app->CreateEnrolToken(act, "acme", absl::Hours(1))->token;
  absl::StatusOr<app::EnrolReply> later = absl::UnknownError("not called");
  bool first = true;
  store.before = [&] {  // the first call has begun, and waits for the store
    if (!std::exchange(first, false)) return;
    clock.Advance(absl::Seconds(30));
    later = app->Enrol({token, AgentId(), {}, "boot"});
  };
  EXPECT_TRUE(absl::IsAborted(app->Enrol({token, AgentId(), {}, "boot"}).status()));
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(app->Authenticate(AgentId(), later->secret).value_or(""), "acme");
}

}  // namespace
}  // namespace ringfence::test
