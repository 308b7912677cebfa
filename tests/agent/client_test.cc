// The client against a real gRPC server.
#include "ringfence/agent/client.h"

#include <future>

#include "fake_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ringfence::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Credential kWho{AgentId::Parse("11111111-2222-4333-8444-555555555555").value(),
                      std::string(32, '\x0f')};

template <typename Reply>
class Waiter {
 public:
  Client::Done<Reply> Done() {
    return [this](absl::StatusOr<Reply> reply) { promise_.set_value(std::move(reply)); };
  }
  absl::StatusOr<Reply> Get() { return promise_.get_future().get(); }

 private:
  std::promise<absl::StatusOr<Reply>> promise_;
};

class ClientTest : public ::testing::Test {
 protected:
  absl::StatusOr<CheckInReply> DoCheckIn(const CheckIn& request = {}) {
    Waiter<CheckInReply> waiter;
    client_.CheckIn(kWho, request, waiter.Done());
    return waiter.Get();
  }

  FakeServer server_;
  Client client_{{.server = server_.address()}};
};

TEST_F(ClientTest, EnrolsWithoutACredential) {
  server_.on_enrol = [](const v1::EnrollRequest& request, v1::EnrollResponse* response) {
    EXPECT_EQ(request.token(), "token");
    EXPECT_EQ(request.agent_id(), std::string(kWho.agent.raw()));
    EXPECT_EQ(request.labels(0).key(), "os");
    response->set_secret(std::string(32, 'x'));
    response->set_tenant("acme");
    response->mutable_next_checkin()->set_seconds(7);
    return grpc::Status::OK;
  };
  Waiter<EnrolReply> waiter;
  client_.Enrol("token", kWho.agent, policy::Labels::Make({{"os", "win11"}}).value(), "boot-1",
                waiter.Done());
  const auto reply = waiter.Get();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->secret, std::string(32, 'x'));
  EXPECT_EQ(reply->next_checkin, absl::Seconds(7));
  EXPECT_EQ(server_.last_authorization(), "");
}

TEST_F(ClientTest, RefusesASecretOfTheWrongLength) {
  server_.on_enrol = [](const v1::EnrollRequest&, v1::EnrollResponse* response) {
    response->set_secret("short");
    return grpc::Status::OK;
  };
  Waiter<EnrolReply> waiter;
  client_.Enrol("token", kWho.agent, policy::Labels(), "boot-1", waiter.Done());
  EXPECT_EQ(waiter.Get().status().code(), absl::StatusCode::kInternal);
}

TEST_F(ClientTest, SaysWhoCallsAndWhatItSaw) {
  CheckIn request;
  request.boot_id = "boot-2";
  request.last_shutdown_clean = true;
  request.labels_hash = std::string(16, 'h');
  request.running = {{"content", Sha256("v1")}};
  request.staged = {Sha256("v2")};
  request.events = {{5, "boot-1", EventKind::kCrash, "content", Sha256("v1"), "", "boom"},
                    {6, "boot-2", EventKind::kDegraded, "", Digest{}, "cpu", ""}};
  server_.on_check_in = [](const v1::CheckInRequest& got, v1::CheckInResponse* response) {
    EXPECT_EQ(got.last_shutdown(), v1::LAST_SHUTDOWN_CLEAN);
    EXPECT_EQ(got.running(0).digest(), std::string(Sha256("v1").raw()));
    EXPECT_EQ(got.staged(0), std::string(Sha256("v2").raw()));
    EXPECT_EQ(got.events(0).boot_id(), "boot-1");
    EXPECT_EQ(got.events(0).kind(), v1::AGENT_EVENT_KIND_CRASH);
    EXPECT_EQ(got.events(1).boot_id(), "");  // the request's
    EXPECT_EQ(got.events(1).digest(), "");
    response->mutable_next_checkin()->set_seconds(61);
    v1::Directive* directive = response->add_directives();
    directive->set_kind(v1::DIRECTIVE_KIND_REVERT);
    directive->set_channel("content");
    directive->set_digest(std::string(Sha256("v1").raw()));
    // From a newer server; this agent does not know it.
    response->add_directives()->set_kind(static_cast<v1::DirectiveKind>(99));
    return grpc::Status::OK;
  };
  const auto reply = DoCheckIn(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->next_checkin, absl::Seconds(61));
  ASSERT_EQ(reply->directives.size(), 1u);
  EXPECT_EQ(reply->directives[0].kind, DirectiveKind::kRevert);
  EXPECT_EQ(server_.last_authorization(),
            "Bearer "
            "11111111-2222-4333-8444-555555555555."
            "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f");
}

TEST_F(ClientTest, RefusesAReplyThatMakesNoSense) {
  server_.on_check_in = [](const v1::CheckInRequest&, v1::CheckInResponse* response) {
    v1::Directive* directive = response->add_directives();
    directive->set_kind(v1::DIRECTIVE_KIND_PREFETCH);
    directive->set_channel("content");
    directive->set_digest("too short");
    return grpc::Status::OK;
  };
  EXPECT_FALSE(DoCheckIn().ok());
  server_.on_lease = [](const v1::LeaseRequest&, v1::LeaseResponse*) { return grpc::Status::OK; };
  Waiter<LeaseReply> lease;
  client_.Lease(kWho, {"content", Sha256("v2"), "boot-1"}, lease.Done());
  EXPECT_EQ(lease.Get().status().code(), absl::StatusCode::kInternal);
}

// gRPC unfolds a message before it looks how long it is: whoever is told that it is too long had the memory
// for it. What is not unfolded is no message, or an empty one.
TEST_F(ClientTest, UnfoldsNoCompressedReply) {
  server_.on_check_in = [](const v1::CheckInRequest&, v1::CheckInResponse* response) {
    response->add_directives()->set_version(std::string(100 << 20, 'x'));
    return grpc::Status::OK;
  };
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    server_.packs_check_ins = algorithm;
    const auto reply = DoCheckIn();
    EXPECT_NE(reply.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(!reply.ok() || reply->directives.empty());
  }
}

TEST_F(ClientTest, CarriesTheServersWishToWait) {
  server_.trailers = {{"ringfence-retry-after-ms", "2500"}};
  server_.on_check_in = [](const v1::CheckInRequest&, v1::CheckInResponse*) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "later");
  };
  const auto reply = DoCheckIn();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Client::RetryAfter(reply.status()), absl::Milliseconds(2500));
}

TEST_F(ClientTest, HandsOverADownloadInOrderFromTheOffset) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&bytes, i, ",");
  server_.artifacts[std::string(Sha256(bytes).raw())] = bytes;
  std::string got = bytes.substr(0, 1500);
  Waiter<int64_t> waiter;
  client_.Fetch(
      kWho, Sha256(bytes), 1500,
      [&got](int64_t offset, absl::string_view chunk) {
        EXPECT_EQ(offset, static_cast<int64_t>(got.size()));
        got.append(chunk.data(), chunk.size());
        return absl::OkStatus();
      },
      waiter.Done());
  const auto size = waiter.Get();
  ASSERT_TRUE(size.ok()) << size.status();
  EXPECT_EQ(*size, static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(got, bytes);
  EXPECT_THAT(server_.download_offsets(), ElementsAre(1500));
}

TEST_F(ClientTest, EndsADownloadThatTheSinkRefuses) {
  server_.artifacts[std::string(Sha256("v2").raw())] = std::string(10'000, 'x');
  Waiter<int64_t> waiter;
  client_.Fetch(
      kWho, Sha256("v2"), 0,
      [](int64_t, absl::string_view) { return absl::ResourceExhaustedError("disk full"); }, waiter.Done());
  EXPECT_THAT(std::string(waiter.Get().status().message()), HasSubstr("disk full"));
}

TEST(ClientAloneTest, EveryCallEndsWhenNobodyListens) {
  Client client({.server = "127.0.0.1:1", .deadline = absl::Minutes(1)});
  Waiter<CheckInReply> waiter;
  client.CheckIn(kWho, {}, waiter.Done());
  EXPECT_EQ(waiter.Get().status().code(), absl::StatusCode::kUnavailable);
}

TEST(ClientAloneTest, ClosingEndsOpenCallsFirst) {
  std::promise<void> arrived, release;  // outlive the server's threads
  FakeServer server;
  server.on_check_in = [&](const v1::CheckInRequest&, v1::CheckInResponse*) {
    arrived.set_value();
    release.get_future().wait();
    return grpc::Status::OK;
  };
  std::atomic<int> ended = 0;
  auto client = std::make_unique<Client>(ClientOptions{.server = server.address()});
  client->CheckIn(kWho, {}, [&](absl::StatusOr<CheckInReply> reply) {
    EXPECT_FALSE(reply.ok());
    ++ended;
  });
  arrived.get_future().wait();
  client.reset();
  EXPECT_EQ(ended, 1);
  release.set_value();
}

// The last callback of a client may still be running on gRPC's thread when its owner closes it: whoever lets
// go of the channel last must not be that thread.
TEST(ClientAloneTest, ClosesWhileItsLastCallbackReturns) {
  FakeServer server;
  for (int i = 0; i < 300; ++i) {
    auto client = std::make_unique<Client>(ClientOptions{.server = server.address()});
    Waiter<CheckInReply> waiter;
    client->CheckIn(kWho, {}, waiter.Done());
    EXPECT_TRUE(waiter.Get().ok());
    client.reset();
  }
}

}  // namespace
}  // namespace ringfence::agent
