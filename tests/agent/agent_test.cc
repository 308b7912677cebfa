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
#include "quick_options.h"
#include "ringfence/agent/boot_clock.h"
#include "ringfence/base/check.h"
#include "ringfence/trust/lease.h"
#include "tests/plan/signing.h"
#include "tests/policy/builders.h"
#include "tests/support/order_keys.h"

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
    AgentOptions options = QuickOptions(server_->address());
    options.labels = policy::MakeLabels({{"ring", "lab"}});
    options.plan_guard = guard_.get();
    options.guard = activation_.get();
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
  std::unique_ptr<ActivationGuard> activation_;
  std::unique_ptr<Agent> agent_;
};

// A host that pins its customer's plan and its director's key. The server signs leases by the newest of
// `in_force_`, and hands out those.
class PinnedAgentTest : public AgentTest {
 protected:
  PinnedAgentTest() {
    const policy::Plan plan = policy::MakePlan({policy::MakeRing("lab")});
    chain_ = {plan::Extend(nullptr, plan::SealPlan(plan::FirstOf(plan, plan::KeysOf("a")), "a")).value()};
    plan::PlanStatement follows = plan::NextAfter(chain_[0]);
    follows.plan.rings[0].soak = absl::Hours(2);
    chain_.push_back(plan::Extend(&chain_[0], plan::SealPlan(follows, "a")).value());
    server_->on_plan = [this] {
      MutexLock lock(&mutex_);
      std::vector<std::string> envelopes;
      for (size_t i = 0; i < in_force_; ++i) envelopes.push_back(chain_[i].envelope);
      return envelopes;
    };
    server_->on_lease = [this](const v1::LeaseRequest& request, v1::LeaseResponse* response) {
      MutexLock lock(&mutex_);
      asked_.push_back(request.plan_sha256());
      trust::Lease lease;
      lease.tenant = "acme";
      lease.agent = agent_->machine().agent();
      lease.nonce = request.nonce();
      lease.channel = request.channel();
      lease.sha256 = *Digest::FromBytes(request.digest());
      lease.length = static_cast<int64_t>(bytes_[0].size());
      lease.to_serial = 2;
      lease.ring = "lab";
      lease.plan_version = static_cast<int64_t>(in_force_);
      lease.plan_sha256 = chain_[in_force_ - 1].sha256;
      lease.ttl = absl::Seconds(100);
      lease.issued_at = absl::Now();
      response->set_answer(v1::LEASE_ANSWER_GRANTED);
      response->mutable_ttl()->set_seconds(100);
      response->set_signed_lease(trust::SignLease(lease, test::Key('d')));
      return grpc::Status::OK;
    };
    activation_ =
        std::make_unique<ActivationGuard>(files_.get(), folder_.path(), &wall_clock_, test::Everybody());
    guard_ = PlanGuard::Open({chain_[0].sha256, folder_.path(), {folder_.path() + "/plan"}}, files_.get(),
                             &wall_clock_);
    guard_->TakeIn({chain_[0].envelope});
    guard_->TakeIn({});
    StartAgent();
  }
  void InForce(size_t version) {
    MutexLock lock(&mutex_);
    in_force_ = version;
  }
  size_t Asked() {
    MutexLock lock(&mutex_);
    return asked_.size();
  }
  int64_t Reported() {
    int64_t reported = 0;
    for (const v1::CheckInRequest& request : Seen()) {
      for (const v1::AgentEvent& event : request.events()) {
        if (event.kind() == v1::AGENT_EVENT_KIND_PLAN_REFUSED && event.metric() == "other_plan")
          reported = std::max(reported, static_cast<int64_t>(event.seq()));
      }
    }
    return reported;
  }

  SystemClock wall_clock_;
  std::vector<plan::SignedPlan> chain_;
  size_t in_force_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(PinnedAgentTest, ALeaseByThePlanThatItHoldsIsUsed) {
  Publish("version two");
  Tell({v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE});
  ASSERT_TRUE(Until([&] { return Runs() == "version two"; }));
  MutexLock lock(&mutex_);
  EXPECT_EQ(asked_.front(), std::string(chain_[0].sha256.raw()));
}

TEST_F(PinnedAgentTest, ALeaseByANewerPlanIsNotUsedButThePlanFetchedAndAskedAgain) {
  InForce(2);
  Publish("version two");
  Tell({v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE});
  ASSERT_TRUE(Until([&] { return Runs() == "version two"; }));
  {
    MutexLock lock(&mutex_);
    EXPECT_EQ(asked_.front(), std::string(chain_[0].sha256.raw()));
    EXPECT_GE(asked_.size(), 2U) << "the first answer was by a plan that it did not hold";
  }
  EXPECT_EQ(Reported(), 0) << "an update is no incident";
}

TEST_F(PinnedAgentTest, AServersNoForTheOldPlanMakesItFetchTheNewOne) {
  InForce(2);
  const auto grant = server_->on_lease;
  server_->on_lease = [&](const v1::LeaseRequest& request, v1::LeaseResponse* response) {
    if (request.plan_sha256() == std::string(chain_[1].sha256.raw())) return grant(request, response);
    response->set_answer(v1::LEASE_ANSWER_NOT_NOW);
    response->set_reason("other_plan");
    return grpc::Status::OK;
  };
  Publish("version two");
  Tell({v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE});
  ASSERT_TRUE(Until([&] { return Runs() == "version two"; }));
  EXPECT_EQ(Reported(), 0);
}

TEST_F(PinnedAgentTest, AServerThatGoesOnByAnOldPlanMovesNothingAndIsReported) {
  std::ofstream(folder_.path() + "/plan") << chain_[1].envelope;  // put there by the customer
  guard_->TakeIn({});
  guard_->TakeIn({});
  Publish("version two");
  Tell({v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE});
  ASSERT_TRUE(Until([&] { return Reported() > 0; }));
  const size_t asked = Asked();
  const int64_t reported = Reported();
  ASSERT_TRUE(Until([&] { return Asked() > asked + 2; }));
  EXPECT_EQ(Runs(), "factory");
  EXPECT_EQ(Reported(), reported) << "once";
  InForce(2);  // the server takes it in after all
  ASSERT_TRUE(Until([&] { return Runs() == "version two"; }));
}

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
