// A replica that follows: what its callers get is what the leader says, and a stop works without the leader
// too.
#include "server/api/relay.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/internal/v1/replica.grpc.pb.h"
#include "ringfence/v1/agent.grpc.pb.h"
#include "ringfence/v1/fleet.grpc.pb.h"
#include "ringfence/v1/release.grpc.pb.h"
#include "ringfence/v1/rollout.grpc.pb.h"
#include "tests/api/test_server.h"

namespace ringfence::api {
namespace {

using grpc::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kCheckIn[] = "ringfence.v1.AgentService/CheckIn";

v1::CheckInRequest SomeCheckIn() {
  v1::CheckInRequest request;
  request.set_boot_id("boot-1");
  request.set_last_shutdown(v1::LAST_SHUTDOWN_CLEAN);
  request.set_labels_hash(std::string(16, 'h'));
  return request;
}

v1::LeaseRequest SomeLease() {
  v1::LeaseRequest request;
  request.set_channel("content");
  request.set_digest(std::string(32, 'd'));
  request.set_boot_id("boot-1");
  return request;
}

template <typename Request>
Request SomeBrake() {
  Request request;
  request.set_request_id("r1");
  request.set_reason("test");
  request.mutable_scope()->set_channel("content");
  request.mutable_scope()->set_serial(3);
  return request;
}

// Counts batches.
struct Counts : ApiMetrics {
  void Forwarding(int items) override {
    ++batches;
    calls += items;
  }
  std::atomic<int> batches{0}, calls{0};
};

class RelayTest : public testing::Test {
 protected:
  RelayTest() {
    leader_.app().checkin_reply.next_checkin = absl::Seconds(57);
    leader_.app().checkin_reply.directives = std::make_shared<const std::vector<app::Directive>>();
    follower_.env().metrics = &counts_;
  }

  grpc::Status CheckIn(const std::string& token, v1::CheckInResponse* response) {
    return follower_.Call(kCheckIn, token, SomeCheckIn(), response);
  }
  grpc::Status Halt() {
    v1::HaltRolloutResponse response;
    return follower_.Call("ringfence.v1.RolloutService/HaltRollout", kSreToken,
                          SomeBrake<v1::HaltRolloutRequest>(), &response);
  }
  // A batch as another replica would send it.
  grpc::Status Forward(const std::string& key, const std::string& request, std::string* response) {
    grpc::GenericStub stub(leader_.channel());
    grpc::ClientContext context;
    if (!key.empty()) context.AddMetadata(kForwardedKey, key);
    grpc::Slice slice(request);
    grpc::ByteBuffer in(&slice, 1), out;
    std::promise<grpc::Status> ended;
    stub.UnaryCall(&context, "/ringfence.internal.v1.ReplicaService/Forward", {}, &in, &out,
                   [&](grpc::Status status) { ended.set_value(std::move(status)); });
    const grpc::Status status = ended.get_future().get();
    std::vector<grpc::Slice> slices;
    if (status.ok() && out.Dump(&slices).ok()) {
      for (const grpc::Slice& part : slices)
        response->append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
    return status;
  }
  std::string Key() const {
    return ShowReplicaKey(follower_.leader_row().epoch, follower_.leader_row().secret);
  }

  Counts counts_;
  TestServer leader_;
  TestServer follower_{leader_};
};

TEST_F(RelayTest, ACheckInIsTheLeadersToAnswer) {
  v1::CheckInResponse response;
  ASSERT_TRUE(CheckIn(AgentToken(), &response).ok());
  EXPECT_EQ(response.next_checkin().seconds(), 57);
  EXPECT_EQ(leader_.app().last_boot_id, "boot-1");
  EXPECT_THAT(leader_.app().calls(), ElementsAre("CheckIn"));
  EXPECT_THAT(follower_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, TheLeaderChecksTheCallersCredentialAndNotOurs) {
  v1::CheckInResponse response;
  EXPECT_EQ(CheckIn("", &response).error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(CheckIn(kSreToken, &response).error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(leader_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, AMistakeIsToldWithItsFaults) {
  std::string answer;
  v1::CheckInRequest bad = SomeCheckIn();
  bad.clear_boot_id();
  const grpc::Status direct = leader_.CallBytes(kCheckIn, AgentToken(), bad.SerializeAsString());
  const grpc::Status through = follower_.CallBytes(kCheckIn, AgentToken(), bad.SerializeAsString());
  EXPECT_EQ(through.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(through.error_message(), direct.error_message());
  EXPECT_EQ(through.error_details(), direct.error_details());
  EXPECT_THAT(through.error_details(), Not(IsEmpty()));
}

// Four batches of leases may wait for the leader's disk; what comes meanwhile goes together, and no more
// waits than is allowed.
TEST_F(RelayTest, WhatComesWhileABatchIsOnItsWayGoesTogether) {
  Relay::Options options;
  options.most_waiting = 2;
  TestServer small(leader_, options);
  Counts counts;
  small.env().metrics = &counts;
  leader_.app().hold_leases = true;
  auto stub = v1::AgentService::NewStub(small.channel());
  struct One {
    grpc::ClientContext context;
    v1::LeaseRequest request = SomeLease();
    v1::LeaseResponse response;
    std::promise<grpc::Status> ended;
    std::future<grpc::Status> status = ended.get_future();
  };
  std::vector<std::unique_ptr<One>> all;
  std::promise<One*> refused;
  std::atomic<bool> told{false};
  const auto ask = [&] {
    One* one = all.emplace_back(std::make_unique<One>()).get();
    Authorize(one->context, AgentToken());
    stub->async()->Lease(&one->context, &one->request, &one->response, [&, one](const grpc::Status& status) {
      if (!told.exchange(true)) refused.set_value(one);
      one->ended.set_value(status);
    });
  };
  for (size_t i = 1; i <= 4; ++i) {
    ask();
    while (leader_.app().calls().size() < i) std::this_thread::yield();
  }
  for (int i = 0; i < 3; ++i) ask();
  One* away = refused.get_future().get();
  EXPECT_EQ(away->status.get().error_code(), StatusCode::UNAVAILABLE);
  const auto& trailers = away->context.GetServerTrailingMetadata();
  EXPECT_EQ(trailers.count(kRetryAfterKey), 1u);

  size_t released = 0;
  while (released < 6) released += leader_.app().ReleaseLeases();
  for (const auto& one : all) {
    if (one.get() == away) continue;
    EXPECT_TRUE(one->status.get().ok());
  }
  EXPECT_EQ(counts.calls, 6);
  EXPECT_EQ(counts.batches, 5);
}

TEST_F(RelayTest, AWrongOrOldSecretIsRefused) {
  std::string response;
  EXPECT_TRUE(Forward(Key(), "", &response).ok());
  EXPECT_EQ(Forward("", "", &response).error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Forward(ShowReplicaKey(7, std::string(32, 'x')), "", &response).error_code(),
            StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(follower_.relay().Probe().ok());

  leader_.env().key.Lead(8, std::string(32, 'n'));  // a new epoch, which the follower has not read yet
  EXPECT_EQ(Forward(Key(), "", &response).error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(std::string(follower_.relay().Probe().message()), HasSubstr("secret"));
  v1::CheckInResponse answer;
  EXPECT_EQ(CheckIn(AgentToken(), &answer).error_code(), StatusCode::UNAVAILABLE)
      << "nothing of the agent's fault";
  v1::GetServerStatusResponse status;
  EXPECT_EQ(
      follower_
          .Call("ringfence.v1.FleetService/GetServerStatus", kSreToken, v1::GetServerStatusRequest(), &status)
          .error_code(),
      StatusCode::UNAVAILABLE);
  EXPECT_THAT(leader_.app().calls(), IsEmpty());

  storage::LeaderRow now = follower_.leader_row();
  now.epoch = 8;
  now.secret = std::string(32, 'n');
  follower_.relay().Follow(now);
  EXPECT_TRUE(CheckIn(AgentToken(), &answer).ok());
}

TEST_F(RelayTest, ABatchThatIsNoneIsRefusedAndSaysWhy) {
  std::string response;
  EXPECT_EQ(Forward(Key(), "\xff\xff\xff", &response).error_code(), StatusCode::INVALID_ARGUMENT);
  internal::v1::ForwardRequest request;
  request.set_method("ringfence.internal.v1.ReplicaService/Forward");
  request.add_items();
  EXPECT_EQ(Forward(Key(), request.SerializeAsString(), &response).error_code(), StatusCode::UNIMPLEMENTED);
  request.set_method(kCheckIn);
  for (int i = 0; i < 1024; ++i) request.add_items();
  const grpc::Status many = Forward(Key(), request.SerializeAsString(), &response);
  EXPECT_EQ(many.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(many.error_message(), HasSubstr("found 1025"));
  EXPECT_EQ(Forward(Key(), std::string(3 << 20, 'x'), &response).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(leader_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, EachItemOfABatchStandsForItself) {
  internal::v1::ForwardRequest request;
  request.set_method(kCheckIn);
  const std::string good = absl::StrCat("Bearer ", AgentToken());
  const std::string bytes = SomeCheckIn().SerializeAsString();
  for (const auto& [authorization, body] :
       {std::pair{good, bytes}, {std::string("Bearer nobody"), bytes}, {good, std::string("\xff\xff")}}) {
    internal::v1::ForwardItem* item = request.add_items();
    item->set_authorization(authorization);
    item->set_request(body);
  }
  std::string answer;
  ASSERT_TRUE(Forward(Key(), request.SerializeAsString(), &answer).ok());
  internal::v1::ForwardResponse response;
  ASSERT_TRUE(response.ParseFromString(answer));
  ASSERT_EQ(response.answers_size(), 3);
  EXPECT_EQ(response.answers(0).code(), 0);
  EXPECT_EQ(response.answers(1).code(), static_cast<int>(StatusCode::UNAUTHENTICATED));
  EXPECT_EQ(response.answers(2).code(), static_cast<int>(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(leader_.app().calls(), ElementsAre("CheckIn"));
}

// Two replicas that take each other for the leader would send a call to and fro.
TEST_F(RelayTest, WhatWasHandedOnOnceIsNotHandedOnAgain) {
  auto stub = v1::FleetService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, kSreToken);
  context.AddMetadata(kForwardedKey, Key());
  v1::GetServerStatusResponse response;
  const grpc::Status status = stub->GetServerStatus(&context, {}, &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("does not lead"));
  EXPECT_THAT(leader_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, ARequestThatIsTooLargeForABatchTravelsAlone) {
  v1::CheckInRequest large = SomeCheckIn();
  large.add_events()->set_detail(std::string(1'200'000, 'x'));
  const std::string bytes = large.SerializeAsString();
  const grpc::Status direct = leader_.CallBytes(kCheckIn, AgentToken(), bytes);
  const grpc::Status through = follower_.CallBytes(kCheckIn, AgentToken(), bytes);
  EXPECT_EQ(through.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(through.error_message(), direct.error_message());
  EXPECT_EQ(counts_.batches, 0);
}

TEST_F(RelayTest, WithoutALeaderCallersAreToldWhenToComeAgain) {
  follower_.relay().Follow(std::nullopt);
  auto stub = v1::AgentService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, AgentToken());
  v1::CheckInResponse response;
  EXPECT_EQ(stub->CheckIn(&context, SomeCheckIn(), &response).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_THAT(Trailer(context, kRetryAfterKey), Not(IsEmpty()));
  EXPECT_FALSE(follower_.relay().Probe().ok());
}

TEST_F(RelayTest, AStopIsWrittenFromHereWhenNoLeaderIsKnown) {
  follower_.relay().Follow(std::nullopt);
  EXPECT_TRUE(Halt().ok());
  EXPECT_THAT(follower_.app().calls(), ElementsAre("Halt"));
  v1::ResumeRolloutResponse response;
  auto resume = SomeBrake<v1::ResumeRolloutRequest>();
  resume.set_brake(v1::BRAKE_KIND_HALT);
  EXPECT_EQ(
      follower_.Call("ringfence.v1.RolloutService/ResumeRollout", kSreToken, resume, &response).error_code(),
      StatusCode::UNAVAILABLE)
      << "to let go is the leader's";
}

TEST_F(RelayTest, AStopIsWrittenFromHereWhenTheLeaderIsGoneOrCannotPlaceIt) {
  leader_.app().error = absl::UnavailableError("stopped here only");
  EXPECT_TRUE(Halt().ok());
  EXPECT_THAT(leader_.app().calls(), ElementsAre("Halt"));
  EXPECT_THAT(follower_.app().calls(), ElementsAre("Halt"));
  leader_.Stop();
  EXPECT_TRUE(Halt().ok());
  EXPECT_THAT(follower_.app().calls(), ElementsAre("Halt", "Halt"));
}

TEST_F(RelayTest, AStopThatTheLeaderRefusesIsNotTriedAgainElsewhere) {
  leader_.app().error = absl::NotFoundError("scope: no release");
  EXPECT_EQ(Halt().error_code(), StatusCode::NOT_FOUND);
  EXPECT_THAT(follower_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, AnArtifactIsAllowedByTheLeaderAndReadHere) {
  leader_.app().artifact = follower_.app().artifact = std::string(1'500'000, 'a');
  auto stub = v1::AgentService::NewStub(follower_.channel());
  v1::GetArtifactRequest request;
  request.set_digest(std::string(32, 'd'));
  request.set_offset(1'000'000);
  grpc::ClientContext context;
  Authorize(context, AgentToken());
  auto reader = stub->GetArtifact(&context, request);
  size_t got = 0;
  for (v1::GetArtifactResponse part; reader->Read(&part);) {
    EXPECT_EQ(part.size_bytes(), 1'500'000);
    got += part.data().size();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(got, 500'000u);
  EXPECT_THAT(leader_.app().calls(), ElementsAre("MayFetch"));
  EXPECT_THAT(follower_.app().calls(), ElementsAre("ArtifactChunk", "ArtifactChunk"));
}

TEST_F(RelayTest, AFileOfTheReleaseRepositoryComesFromTheLeader) {
  leader_.app().documents["timestamp.json"] = std::string(1'500'000, 't');
  auto stub = v1::AgentService::NewStub(follower_.channel());
  v1::FetchMetadataRequest request;
  request.set_name("timestamp.json");
  request.set_offset(100);
  grpc::ClientContext context;
  Authorize(context, AgentToken());
  auto reader = stub->FetchMetadata(&context, request);
  size_t got = 0;
  for (v1::FetchMetadataResponse part; reader->Read(&part);) got += part.data().size();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(got, 1'499'900u);
  EXPECT_THAT(leader_.app().calls(), ElementsAre("TrustDocument"));
  EXPECT_THAT(follower_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, SignedPlansComeFromTheLeaderForTheAgentsOwnTenant) {
  leader_.app().signed_plans.resize(1);
  leader_.app().signed_plans[0].envelope = "signed";
  auto stub = v1::AgentService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, AgentToken());
  v1::FetchPlanResponse response;
  ASSERT_TRUE(stub->FetchPlan(&context, v1::FetchPlanRequest(), &response).ok());
  ASSERT_EQ(response.envelopes_size(), 1);
  EXPECT_EQ(response.envelopes(0), "signed");
  EXPECT_THAT(leader_.app().calls(), ElementsAre("FetchPlan:acme"));
  EXPECT_THAT(follower_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, AnArtifactThatTheLeaderDeniesIsDenied) {
  leader_.app().error = absl::PermissionDeniedError("digest: not for this agent");
  v1::GetArtifactRequest request;
  request.set_digest(std::string(32, 'd'));
  std::string part;
  EXPECT_EQ(
      follower_.CallBytes("ringfence.v1.AgentService/GetArtifact", AgentToken(), request.SerializeAsString())
          .error_code(),
      StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(follower_.app().calls(), IsEmpty());
}

TEST_F(RelayTest, AWatchGoesOnThroughIt) {
  app::RolloutInfo info;
  info.release.release.channel = "content";
  info.release.release.serial = 7;
  info.version = 1;
  leader_.app().SetRollout(info);
  auto stub = v1::RolloutService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, kSreToken);
  v1::WatchRolloutRequest request;
  request.set_channel("content");
  auto reader = stub->WatchRollout(&context, request);
  v1::WatchRolloutResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.rollout().version(), 1u);
  info.version = 2;
  leader_.app().SetRollout(info);
  leader_.app().TellWatchers();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.rollout().version(), 2u);
  leader_.Stop();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(RelayTest, AnUploadIsRefusedWithTheLeadersWord) {
  auto stub = v1::ReleaseService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, kManagerToken);
  v1::PublishReleaseResponse response;
  auto writer = stub->PublishRelease(&context, &response);
  v1::PublishReleaseRequest first;
  first.mutable_header()->set_request_id("r1");
  writer->Write(first);
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("header.manifest"));
}

TEST_F(RelayTest, StatusSaysWhoLeadsAndWhoAnswered) {
  v1::GetServerStatusResponse response;
  ASSERT_TRUE(follower_
                  .Call("ringfence.v1.FleetService/GetServerStatus", kSreToken, v1::GetServerStatusRequest(),
                        &response)
                  .ok());
  EXPECT_EQ(response.leader_name(), "leader");
  EXPECT_EQ(response.answered_by(), "follower");
  EXPECT_EQ(response.agents(), 7);
}

TEST_F(RelayTest, HaltsAndOrdersAndSignedLeasesComeThroughAsTheLeaderMadeThem) {
  const trust::SigningKey director = *trust::SigningKey::FromSeed(std::string(32, 'd'));
  leader_.env().director = &director;
  auto notices = std::make_shared<app::Notices>();
  notices->halts = {{1, "a halt"}};
  notices->orders = {{absl::InfiniteFuture(), "an order"}};
  leader_.app().notices = notices;
  leader_.app().lease_reply.granted = true;
  leader_.app().lease_reply.ttl = absl::Seconds(20);
  leader_.app().lease_reply.terms.tenant = "acme";
  leader_.app().lease_reply.terms.ring = "canary";
  leader_.app().lease_reply.terms.length = 5;
  leader_.app().lease_reply.terms.to_serial = 42;
  leader_.app().lease_reply.terms.at = absl::FromUnixSeconds(1'700'000'000);
  auto stub = v1::AgentService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, AgentToken());
  v1::LeaseRequest request = SomeLease();
  request.set_nonce(std::string(16, 'n'));
  v1::LeaseResponse response;
  ASSERT_TRUE(stub->Lease(&context, request, &response).ok());
  EXPECT_FALSE(response.signed_lease().empty());
  EXPECT_THAT(response.halt_notices(), testing::ElementsAre("a halt"));
  grpc::ClientContext heard;
  Authorize(heard, AgentToken());
  v1::CheckInResponse told;
  ASSERT_TRUE(stub->CheckIn(&heard, SomeCheckIn(), &told).ok());
  EXPECT_THAT(told.halt_notices(), testing::ElementsAre("a halt"));
  EXPECT_THAT(told.resume_orders(), testing::ElementsAre("an order"));
}

TEST_F(RelayTest, WhenTheLeaderIsGoneWhatIsUnderWayIsInDoubt) {
  leader_.app().hold_leases = true;
  auto stub = v1::AgentService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, AgentToken());
  const v1::LeaseRequest request = SomeLease();
  v1::LeaseResponse response;
  std::promise<grpc::Status> ended;
  stub->async()->Lease(&context, &request, &response,
                       [&](const grpc::Status& status) { ended.set_value(status); });
  while (leader_.app().calls().empty()) std::this_thread::yield();
  follower_.relay().Follow(std::nullopt);
  EXPECT_EQ(ended.get_future().get().error_code(), StatusCode::UNAVAILABLE)
      << "in doubt: the agent asks again";
  leader_.app().ReleaseLeases();
}

TEST_F(RelayTest, AtItsEndWhatIsUnderWayIsSentAway) {
  leader_.app().hold_leases = true;
  auto stub = v1::AgentService::NewStub(follower_.channel());
  grpc::ClientContext context;
  Authorize(context, AgentToken());
  const v1::LeaseRequest request = SomeLease();
  v1::LeaseResponse response;
  std::promise<grpc::Status> ended;
  stub->async()->Lease(&context, &request, &response,
                       [&](const grpc::Status& status) { ended.set_value(status); });
  while (leader_.app().calls().empty()) std::this_thread::yield();
  follower_.relay().Close(absl::ZeroDuration());
  EXPECT_EQ(ended.get_future().get().error_code(), StatusCode::UNAVAILABLE);
  leader_.app().ReleaseLeases();
}

}  // namespace
}  // namespace ringfence::api
