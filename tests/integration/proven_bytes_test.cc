// From a build to a started sensor, with the programs as they are installed: keys, content, evidence, the
// server's gate, an agent that starts from the installation's root, the loader and its demonstration sensor.
// And what stops on the way, and what nothing stops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/agent/loader_process.h"
#include "tests/integration/agent_process.h"
#include "tests/integration/operators.h"
#include "tests/integration/server_process.h"
#include "tests/integration/vendor.h"
#include "tests/support/file_contents.h"

namespace ringfence::testing_support {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int64_t kFiveYears = int64_t{5} * 365 * 24 * 3600;

class ProvenBytesTest : public testing::Test {
 protected:
  ProvenBytesTest() {
    std::vector<std::string> flags = {
        // An agent asks once a second at most; faster than so many times its own pace helps nothing.
        "--internal-tenant",     "vendor", "--demo", "--time-scale", "60", "--checkin-interval", "60s",
        "--unsafe-fast-database"};
    for (std::string& flag : vendor_.ServerFlags()) flags.push_back(std::move(flag));
    server_.emplace(std::move(flags));
  }
  ~ProvenBytesTest() override {
    if (agent_ == nullptr) return;
    agent_->Signal(SIGKILL);
    agent_->Wait();
    // It outlives its agent, and is told by its own process id.
    pid_t loader = 0;
    if (!agent::LoaderRunsIn(LoaderFolder())) return;
    if (!(std::ifstream(LoaderFolder() + "/run.lock") >> loader) || loader <= 1) return;
    ::kill(loader, SIGTERM);
    EXPECT_TRUE(Eventually([&] { return !agent::LoaderRunsIn(LoaderFolder()); }));
  }

  void SetUp() override {
    ASSERT_TRUE(server_->Start());
    server_->KeepPort();
    v1::Plan plan = PlanOf("vendor", {"dogfood"});
    plan.mutable_channels(0)->set_channel(Vendor::kChannel);
    ASSERT_TRUE(People(server_->Channel()).Apply(plan).ok());

    vendor_.Build("factory.fct", 1, Vendor::kInputs, "factory");
    const std::string sensor = vendor_.Write("sensor.sh", "#!/bin/sh\nunset LD_PRELOAD\nexec " LOADER_BINARY
                                                          " sensor --stay \"$1\" < /dev/null\n");
    ASSERT_EQ(::chmod(sensor.c_str(), 0700), 0);
    agent_ = std::make_unique<AgentProcess>(
        server_->address(),
        std::vector<std::string>{"--label", "ring=dogfood", "--trust-root",
                                 vendor_.Write("root.json", vendor_.Read("repo/metadata/1.root.json")),
                                 "--platform", Vendor::kPlatform, "--content-channel", Vendor::kChannel,
                                 "--schema", vendor_.PathOf("sensor.yaml"), "--channel",
                                 absl::StrCat(Vendor::kChannel, "=", vendor_.PathOf("factory.fct")),
                                 "--sensor", sensor, "--healthy-after", "1ms"});
    agent_->Start(People(server_->Channel()).Tokens("vendor", 1).at(0));
    ASSERT_TRUE(Eventually([&] { return Started() == vendor_.Read("factory.fct"); }));
  }

  std::string LoaderFolder() const { return agent_->state_dir() + "/loader"; }
  // The bytes that the loader validated and started last.
  std::string Started() const { return test::Contents(LoaderFolder() + "/running"); }
  json Status() const {
    json status = json::parse(test::Contents(agent_->state_dir() + "/status.json"), nullptr,
                              /*allow_exceptions=*/false);
    return status.is_object() ? status : json::object();  // it has said nothing yet
  }
  std::string Verification(const char* member) const {
    return Status().value(json::json_pointer(absl::StrCat("/verification/", member)), "");
  }
  std::string Verified() const {
    return Status().value(json::json_pointer(absl::StrCat("/channels/", Vendor::kChannel, "/verified")), "");
  }
  Printed Publish(const std::string& repository) const {
    return vendor_.Ringfence(server_->address(), "release publish " + repository);
  }
  std::string BytesOf(int serial) const { return vendor_.Read(vendor_.ArtifactOf("repo", serial)); }
  // Made in "repo", published there, and started by this host.
  void ExpectTravels(int serial) {
    vendor_.Release("repo", serial);
    const Printed published = Publish("repo");
    ASSERT_EQ(published.code, 0) << published.text;
    EXPECT_THAT(published.text, HasSubstr("signed, proven)"));
    ASSERT_TRUE(Eventually([&] { return Started() == BytesOf(serial); }));
  }
  void ExpectRefused(const std::string& repository, const std::string& words) {
    const Printed answer = Publish(repository);
    EXPECT_NE(answer.code, 0) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(words));
  }

  // Looks again and again, far longer than it takes: the programs live their own lives, and a coin that falls
  // for one asker in five decides when the host may.
  template <typename Predicate>
  testing::AssertionResult Eventually(Predicate happened) {
    for (int i = 0; i < 20'000; ++i) {
      if (happened()) return testing::AssertionSuccess();
      ::poll(nullptr, 0, 20);
    }
    return testing::AssertionFailure() << "agent:\n"
                                       << agent_->log() << "\n"
                                       << Status().dump(1) << "\nserver:\n"
                                       << server_->log();
  }

  Vendor vendor_;
  std::optional<ServerProcess> server_;
  std::unique_ptr<AgentProcess> agent_;
};

// One journey, because each release that travels waits for the server's coin.
TEST_F(ProvenBytesTest, OnlyWhatWasTestedAndSignedIsEverStartedAndNothingStopsIt) {
  ExpectTravels(2);
  ASSERT_TRUE(Eventually([&] { return Verified() == "yes"; }));
  EXPECT_EQ(Verification("state"), "following");

  vendor_.Copy("repo", "next");
  vendor_.Release("next", 3);
  vendor_.Copy("next", "zeros");
  vendor_.Write(vendor_.ArtifactOf("zeros", 3), std::string(40'960, '\0'));
  ExpectRefused("zeros", "ringfence: malformed: artifact bytes: found 40960 zeros");
  vendor_.Copy("next", "repacked");
  vendor_.Build(vendor_.ArtifactOf("repacked", 3), 3, Vendor::kInputs, "packed anew after the test");
  ExpectRefused("repacked", "ringfence: evidence_mismatch: artifact bytes");
  vendor_.Copy("repo", "21");
  vendor_.Release("21", 3, 21);
  ExpectRefused("21", "ringfence: schema_mismatch: release requires.schema.demonstration: found 21 fields");
  EXPECT_THAT(vendor_.Ringfence(server_->address(), "release list").text, testing::Not(HasSubstr("v3")));
  EXPECT_TRUE(Started() == BytesOf(2));

  // The server is lost.
  server_->Kill();
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(agent_->log(), "check-in failed (2 in a row)"); }));
  EXPECT_TRUE(agent_->IsAlive());
  EXPECT_TRUE(Started() == BytesOf(2));

  // Five years later the agent's process begins anew, and its server is still away.
  agent_->Signal(SIGKILL);
  agent_->Wait();
  std::filesystem::remove(agent_->state_dir() + "/status.json");  // what it says from here on is new
  std::filesystem::remove(vendor_.PathOf("root.json"));           // the package's file is lost as well
  agent_->SetEnvironment(
      {{"LD_PRELOAD", MOVED_CLOCK_LIBRARY}, {"MOVED_CLOCK_SECONDS", absl::StrCat(kFiveYears)}});
  agent_->Start();
  ASSERT_TRUE(Eventually([&] { return Status().value("failed_calls", 0) > 0 && Verified() == "yes"; }));
  EXPECT_TRUE(agent::LoaderRunsIn(LoaderFolder()));
  EXPECT_TRUE(Started() == BytesOf(2));

  // The server is back, with metadata that is good for everybody but this host.
  ASSERT_TRUE(server_->Start());
  vendor_.Release("repo", 3);
  const Printed published = Publish("repo");
  ASSERT_EQ(published.code, 0) << published.text;
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(Verification("text"), "expired: root"); }));
  EXPECT_EQ(Verification("state"), "holding");
  EXPECT_TRUE(Started() == BytesOf(2));
  EXPECT_EQ(Verified(), "yes");

  // With the right time it goes on: the host was not dead, and the serial is not spent.
  agent_->Signal(SIGKILL);
  agent_->Wait();
  agent_->SetEnvironment({});
  agent_->Start();
  ASSERT_TRUE(Eventually([&] { return Started() == BytesOf(3); }));
}

}  // namespace
}  // namespace ringfence::testing_support
