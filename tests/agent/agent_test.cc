// The whole agent, on a real disk, against a real gRPC server: fetch, stage, lease, flip, prove, go back,
// survive.
#include "ringfence/agent/agent.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/time/clock.h"
#include "fake_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/agent/boot_clock.h"
#include "ringfence/base/check.h"
#include "tests/plan/signing.h"
#include "tests/policy/builders.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "ringfence-agent-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    fs::create_directories(path_ + "/artifacts");
    fs::create_directories(path_ + "/current");
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A port of the loopback that is nobody else's, also while no server of ours listens there. gRPC sets
// SO_REUSEPORT, so a server of ours may bind it too.
class OwnPort {
 public:
  OwnPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    RF_CHECK(::setsockopt(socket_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    RF_CHECK(::bind(socket_, reinterpret_cast<const sockaddr*>(&address_), size) == 0);
    RF_CHECK(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address_), &size) == 0);
  }
  ~OwnPort() { ::close(socket_); }
  OwnPort(const OwnPort&) = delete;
  OwnPort& operator=(const OwnPort&) = delete;

  int port() const { return ntohs(address_.sin_port); }

 private:
  int socket_;
  sockaddr_in address_{};
};

// Refuses bytes that start with "bad".
class PickyLoader final : public Loader {
 public:
  explicit PickyLoader(std::string folder) : links_(std::move(folder)) {}
  std::vector<Running> Attest() override { return links_.Attest(); }
  absl::Status Check(absl::string_view, const std::string& path) override {
    std::string start(3, '\0');
    std::ifstream(path).read(start.data(), 3);
    return start == "bad" ? absl::InvalidArgumentError("it starts with bad") : absl::OkStatus();
  }
  absl::Status Flip(absl::string_view channel, const std::string& path) override {
    return links_.Flip(channel, path);
  }

 private:
  LinkLoader links_;
};

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() {
    std::ofstream(folder_.path() + "/factory") << "factory";
    const auto digest = artifacts_.Import(folder_.path() + "/factory");
    EXPECT_TRUE(digest.ok()) << digest.status();
    EXPECT_TRUE(loader_.Flip("content", artifacts_.PathOf(*digest)).ok());
    StartServer();
    StartAgent();
  }

  void StartServer() {
    server_ = std::make_unique<FakeServer>(port_.port(), [this](FakeServer& server) {
      server.on_check_in = [this](const v1::CheckInRequest& request, v1::CheckInResponse* response) {
        response->mutable_next_checkin()->set_nanos(5'000'000);
        MutexLock lock(&mutex_);
        if (seen_.size() < 10'000) seen_.push_back(request);
        for (const v1::Directive& directive : directives_) *response->add_directives() = directive;
        return grpc::Status::OK;
      };
      for (const std::string& bytes : bytes_) server.artifacts[std::string(Sha256(bytes).raw())] = bytes;
    });
  }

  void StartAgent() {
    agent_.reset();
    AgentOptions options;
    options.client.server = server_->address();
    options.machine.min_interval = absl::Milliseconds(1);
    options.machine.backoff = {absl::Milliseconds(1), absl::Milliseconds(2), absl::Milliseconds(20)};
    options.enrol_token = "token";
    options.boot_id = "boot-1";
    options.labels = policy::MakeLabels({{"ring", "lab"}});
    options.plan_guard = guard_.get();
    store_ = std::make_unique<StateStore>(files_.get(), folder_.path());
    auto agent = Agent::Make(std::move(options), store_.get(), &artifacts_, &loader_, &clock_);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }

  // From now on the server says this about the published bytes.
  void Tell(std::vector<v1::DirectiveKind> kinds) {
    std::vector<v1::Directive> said;
    for (const v1::DirectiveKind kind : kinds) {
      const std::string& bytes = bytes_[0];
      v1::Directive directive;
      directive.set_kind(kind);
      directive.set_channel("content");
      directive.set_serial(2);
      directive.set_version(bytes.substr(0, 10));
      directive.set_digest(std::string(Sha256(bytes).raw()));
      directive.set_size_bytes(static_cast<int64_t>(bytes.size()));
      said.push_back(directive);
    }
    MutexLock lock(&mutex_);
    directives_ = std::move(said);
  }
  std::vector<v1::CheckInRequest> Seen() {
    MutexLock lock(&mutex_);
    return seen_;
  }
  void Publish(const std::string& bytes) {
    bytes_ = {bytes};
    server_->artifacts[std::string(Sha256(bytes).raw())] = bytes;
  }

  // Runs the agent until it holds; the cap only ends a test that would hang.
  ::testing::AssertionResult Until(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + absl::Seconds(100);
    while (!holds()) {
      if (absl::Now() > end) return ::testing::AssertionFailure() << "it never came to that";
      agent_->RunOnce(absl::Milliseconds(20));
    }
    return ::testing::AssertionSuccess();
  }
  std::string Runs() {
    std::ifstream file(folder_.path() + "/current/content");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  OwnPort port_;
  TemporaryFolder folder_;
  std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  ArtifactStore artifacts_{folder_.path() + "/artifacts"};
  PickyLoader loader_{folder_.path() + "/current"};
  BootClock clock_;
  std::vector<std::string> bytes_;
  Mutex mutex_;
  std::vector<v1::Directive> directives_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::CheckInRequest> seen_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<FakeServer> server_;
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<PlanGuard> guard_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentTest, TakesAReleaseProvesItAndGoesBackWhenOrdered) {
  Publish("version two");
  Tell({v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE});
  ASSERT_TRUE(Until([&] { return Runs() == "version two"; }));
  const int64_t before = agent_->checkins();
  ASSERT_TRUE(Until([&] { return agent_->checkins() > before + 1; }));
  EXPECT_EQ(agent_->machine().Find("content")->running, Sha256("version two"));

  agent_->Stop(absl::Seconds(100));
  agent_.reset();
  EXPECT_TRUE(Seen().back().goodbye());
  EXPECT_EQ(Seen().back().running(0).digest(), std::string(Sha256("version two").raw()));

  // A new process: it knows where to go back to.
  Tell({v1::DIRECTIVE_KIND_REVERT});
  StartAgent();
  ASSERT_TRUE(Until([&] { return Runs() == "factory"; }));
  ASSERT_TRUE(Until([&] { return agent_->machine().Find("content")->phase == Phase::kIdle; }));
  EXPECT_TRUE(IsBurned(*agent_->machine().Find("content"), Sha256("version two")));
}

TEST_F(AgentTest, TakesWhatItsPinnedPlanAllowsAndReportsTheRest) {
  policy::Plan plan = policy::MakePlan({policy::MakeRing("lab")});
  plan.channels[0].mode = policy::ChannelMode::kPaused;
  std::vector<plan::SignedPlan> chain = {
      plan::Extend(nullptr, plan::SealPlan(plan::FirstOf(plan, plan::KeysOf("a")), "a")).value()};
  plan::PlanStatement follows = plan::NextAfter(chain[0]);
  follows.plan.channels[0].mode = policy::ChannelMode::kFollow;
  chain.push_back(plan::Extend(&chain[0], plan::SealPlan(follows, "a")).value());
  std::vector<std::string> handed_out = {chain[0].envelope};
  server_->on_plan = [&] {
    MutexLock lock(&mutex_);
    return handed_out;
  };
  SystemClock wall_clock;
  guard_ = PlanGuard::Open({chain[0].sha256, folder_.path(), {}}, files_.get(), &wall_clock);
  StartAgent();
  Publish("version two");
  Tell({v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE});
  const auto reported = [&] {
    for (const v1::CheckInRequest& request : Seen()) {
      for (const v1::AgentEvent& event : request.events()) {
        if (event.kind() == v1::AGENT_EVENT_KIND_PLAN_REFUSED && event.metric() == "channel_paused")
          return true;
      }
    }
    return false;
  };
  ASSERT_TRUE(Until(reported));
  EXPECT_EQ(Runs(), "factory");
  EXPECT_TRUE(server_->download_offsets().empty()) << "nor downloaded";
  {
    MutexLock lock(&mutex_);
    handed_out.push_back(chain[1].envelope);
  }
  guard_->TakeIn({chain[1].envelope});  // before the next regular question
  ASSERT_TRUE(Until([&] { return Runs() == "version two"; }));
}

TEST_F(AgentTest, ResumesADownloadThatBroke) {
  Publish(std::string(10'000, 'x'));
  server_->break_downloads_after = 4000;
  Tell({v1::DIRECTIVE_KIND_PREFETCH});
  ASSERT_TRUE(Until([&] {
    const ChannelState* state = agent_->machine().Find("content");
    return state != nullptr && state->phase == Phase::kStaged;
  }));
  EXPECT_THAT(server_->download_offsets(), ::testing::ElementsAre(0, 4000));
  EXPECT_EQ(Runs(), "factory");
}

TEST_F(AgentTest, ReportsWhatItsLoaderRefuses) {
  Publish("bad bytes");
  Tell({v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE});
  ASSERT_TRUE(Until([&] {
    const ChannelState* state = agent_->machine().Find("content");
    return state != nullptr && IsBurned(*state, Sha256("bad bytes"));
  }));
  const int64_t before = agent_->checkins();
  ASSERT_TRUE(Until([&] { return agent_->checkins() > before + 2; }));
  agent_->Stop(absl::Seconds(100));
  agent_.reset();
  bool reported = false;
  for (const v1::CheckInRequest& request : Seen()) {
    for (const v1::AgentEvent& event : request.events())
      reported |= event.kind() == v1::AGENT_EVENT_KIND_REJECTED;
  }
  EXPECT_TRUE(reported);
  EXPECT_EQ(Runs(), "factory");
}

TEST_F(AgentTest, KeepsRunningWhileTheServerIsAwayAndComesBackByItself) {
  ASSERT_TRUE(Until([&] { return agent_->checkins() > 2; }));
  server_.reset();
  ASSERT_TRUE(Until([&] { return agent_->failed_calls() > 3; }));
  EXPECT_EQ(Runs(), "factory");
  const int64_t before = agent_->checkins();
  StartServer();
  ASSERT_TRUE(Until([&] { return agent_->checkins() > before; }));
  EXPECT_EQ(Runs(), "factory");
}

TEST_F(AgentTest, RemembersItsIdentityOverARestart) {
  ASSERT_TRUE(Until([&] { return agent_->checkins() > 0; }));
  const AgentId id = agent_->machine().agent();
  server_->on_enrol = [](const v1::EnrollRequest&, v1::EnrollResponse*) {
    ADD_FAILURE() << "enrolled twice";
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "used");
  };
  StartAgent();
  EXPECT_EQ(agent_->machine().agent(), id);
  ASSERT_TRUE(Until([&] { return agent_->checkins() > 0; }));
  EXPECT_EQ(fs::status(folder_.path() + "/state.0.json").permissions() & fs::perms::all, fs::perms(0600));
}

}  // namespace
}  // namespace ringfence::agent
