// AgentService end to end: a gRPC client, the real server, a fake application.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/trust/lease.h"
#include "ringfence/v1/agent.grpc.pb.h"
#include "tests/api/test_server.h"

namespace ringfence::api {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

constexpr size_t kMiB = 1 << 20;

v1::CheckInRequest PlainCheckIn() {
  v1::CheckInRequest request;
  request.set_boot_id("boot-1");
  request.set_labels_hash(std::string(16, 'h'));
  return request;
}

class AgentServiceTest : public testing::Test {
 protected:
  explicit AgentServiceTest(double time_scale = 1) : server_(time_scale) {
    stub_ = v1::AgentService::NewStub(server_.channel());
    Authorize(context_, AgentToken());
  }
  FakeApp& app() { return server_.app(); }

  TestServer server_;
  std::unique_ptr<v1::AgentService::Stub> stub_;
  grpc::ClientContext context_;
};

TEST_F(AgentServiceTest, CheckInTellsDirectivesAndTheNextTime) {
  app::Directive directive;
  directive.kind = app::DirectiveKind::kPrefetch;
  directive.channel = "content";
  directive.serial = 7;
  directive.version = "7.16";
  directive.size_bytes = 99;
  app().checkin_reply.next_checkin = absl::Milliseconds(61'500);
  app().checkin_reply.directives =
      std::make_shared<const std::vector<app::Directive>>(std::vector<app::Directive>{directive});
  v1::CheckInResponse response;
  ASSERT_TRUE(stub_->CheckIn(&context_, PlainCheckIn(), &response).ok());
  EXPECT_EQ(response.next_checkin().seconds(), 61);
  EXPECT_EQ(response.next_checkin().nanos(), 500'000'000);
  ASSERT_EQ(response.directives_size(), 1);
  EXPECT_EQ(response.directives(0).kind(), v1::DIRECTIVE_KIND_PREFETCH);
  EXPECT_EQ(response.directives(0).serial(), 7u);
  EXPECT_EQ(app().last_boot_id, "boot-1");
}

TEST_F(AgentServiceTest, CheckInNamesEveryFaultAtOnce) {
  v1::CheckInRequest request = PlainCheckIn();
  request.clear_boot_id();
  request.set_labels_hash("short");
  request.add_staged("not a digest");
  request.add_events()->set_kind(static_cast<v1::AgentEventKind>(99));
  v1::CheckInResponse response;
  const grpc::Status status = stub_->CheckIn(&context_, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  v1::FaultList faults;
  ASSERT_TRUE(faults.ParseFromString(status.error_details()));
  std::vector<std::string> paths;
  for (const v1::Fault& fault : faults.faults()) paths.push_back(fault.path());
  EXPECT_THAT(paths, testing::ElementsAre("boot_id", "labels_hash", "staged[0]", "events[0].kind"));
  EXPECT_THAT(app().calls(), testing::IsEmpty());
}

TEST_F(AgentServiceTest, ARequestThatDoesNotParseIsInvalid) {
  const grpc::Status status =
      server_.CallBytes("ringfence.v1.AgentService/CheckIn", AgentToken(), "\x0a\xff");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("ringfence.v1.CheckInRequest"));
}

TEST_F(AgentServiceTest, TextThatIsNotUtf8IsInvalid) {
  // Field 1, boot_id, one byte that no UTF-8 text has.
  const grpc::Status status =
      server_.CallBytes("ringfence.v1.AgentService/CheckIn", AgentToken(), "\x0a\x01\xff");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(AgentServiceTest, AMessageBeyondTheLimitIsExhausting) {
  const std::string huge(3 * kMiB, 'x');
  EXPECT_EQ(server_.CallBytes("ringfence.v1.AgentService/CheckIn", AgentToken(), huge).error_code(),
            StatusCode::RESOURCE_EXHAUSTED);
}

// gRPC unfolds a message before it looks how long it is.
TEST_F(AgentServiceTest, ACompressedMessageIsNotUnfolded) {
  const auto channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_.server().port()),
                                           grpc::InsecureChannelCredentials());
  const auto stub = v1::AgentService::NewStub(channel);
  v1::EnrollRequest request;
  request.set_token(std::string(100 * kMiB, 'x'));
  v1::EnrollResponse response;
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    EXPECT_EQ(stub->Enroll(&context, request, &response).error_code(), StatusCode::UNIMPLEMENTED);
  }
  EXPECT_THAT(app().calls(), testing::IsEmpty());
}

TEST_F(AgentServiceTest, ALeaseAnswersWhenItIsCommittedAndBlocksNobody) {
  app().hold_leases = true;
  app().lease_reply.granted = true;
  app().lease_reply.ttl = absl::Seconds(20);
  v1::LeaseRequest request;
  request.set_channel("content");
  request.set_digest(std::string(32, 'd'));
  request.set_boot_id("boot-1");
  v1::LeaseResponse response;
  grpc::CompletionQueue queue;
  auto call = stub_->AsyncLease(&context_, request, &queue);
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  while (server_.app().calls().empty()) std::this_thread::yield();  // it has arrived
  // Another call goes through meanwhile.
  grpc::ClientContext other;
  Authorize(other, AgentToken());
  v1::CheckInResponse checked_in;
  EXPECT_TRUE(stub_->CheckIn(&other, PlainCheckIn(), &checked_in).ok());
  while (app().ReleaseLeases() == 0) std::this_thread::yield();
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(response.answer(), v1::LEASE_ANSWER_GRANTED);
  EXPECT_EQ(response.ttl().seconds(), 20);
}

TEST_F(AgentServiceTest, AGrantIsSignedForTheQuestionWhenBothSidesWantIt) {
  const trust::SigningKey director = *trust::SigningKey::FromSeed(std::string(32, 'd'));
  server_.env().director = &director;
  app().lease_reply.granted = true;
  app().lease_reply.ttl = absl::Seconds(20);
  app().lease_reply.terms.tenant = "acme";
  app().lease_reply.terms.ring = "canary";
  app().lease_reply.terms.length = 5;
  app().lease_reply.terms.from_serial = 41;
  app().lease_reply.terms.to_serial = 42;
  app().lease_reply.terms.halt_seq = 9;
  app().lease_reply.terms.at = absl::FromUnixSeconds(1'700'000'000);
  v1::LeaseRequest request;
  request.set_channel("content");
  request.set_digest(std::string(32, 'd'));
  request.set_boot_id("boot-1");
  request.set_nonce(std::string(16, 'n'));
  v1::LeaseResponse response;
  ASSERT_TRUE(stub_->Lease(&context_, request, &response).ok());
  trust::Authority authority;
  authority.director = {director.public_key()};
  trust::LeaseQuestion question;
  question.tenant = "acme";
  question.agent = *AgentId::Parse(kAgentUuid);
  question.nonce = request.nonce();
  question.channel = "content";
  question.sha256 = *Digest::FromBytes(request.digest());
  question.length = 5;
  question.serial = 42;
  question.halt_seq = 9;
  const auto lease = trust::VerifyLease(response.signed_lease(), authority, question, absl::Seconds(1));
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(lease->ttl, absl::Seconds(20));

  request.clear_nonce();
  grpc::ClientContext unasked;
  Authorize(unasked, AgentToken());
  ASSERT_TRUE(stub_->Lease(&unasked, request, &response).ok());
  EXPECT_TRUE(response.signed_lease().empty());
  request.set_nonce("short");
  grpc::ClientContext wrong;
  Authorize(wrong, AgentToken());
  EXPECT_EQ(stub_->Lease(&wrong, request, &response).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(AgentServiceTest, EveryAnswerCarriesTheHaltsThatTheHostMayNotHave) {
  constexpr uint64_t kHour = 3'600'000'000;
  auto notices = std::make_shared<app::Notices>();
  notices->halts = {{5 * kHour, "old halt"}, {8 * kHour, "new halt"}};
  notices->orders = {{absl::InfiniteFuture(), "order"}};
  app().notices = notices;
  v1::CheckInRequest request = PlainCheckIn();
  v1::CheckInResponse response;
  ASSERT_TRUE(stub_->CheckIn(&context_, request, &response).ok());
  EXPECT_THAT(response.halt_notices(), testing::ElementsAre("old halt", "new halt"));
  EXPECT_THAT(response.resume_orders(), testing::ElementsAre("order"));
  request.set_halt_seq(8 * kHour);
  grpc::ClientContext knows;
  Authorize(knows, AgentToken());
  ASSERT_TRUE(stub_->CheckIn(&knows, request, &response).ok());
  EXPECT_THAT(response.halt_notices(), testing::ElementsAre("new halt"));  // of the last hour
  v1::LeaseRequest ask;
  ask.set_channel("content");
  ask.set_digest(std::string(32, 'd'));
  ask.set_boot_id("boot-1");
  v1::LeaseResponse answer;
  grpc::ClientContext asks;
  Authorize(asks, AgentToken());
  ASSERT_TRUE(stub_->Lease(&asks, ask, &answer).ok());
  EXPECT_THAT(answer.halt_notices(), testing::ElementsAre("old halt", "new halt"));
}

TEST_F(AgentServiceTest, ALeaseNotGrantedSaysWhyAndWhen) {
  app().lease_reply.reason = policy::Reason::kBudget;
  app().lease_reply.retry_after = absl::Seconds(5);
  v1::LeaseRequest request;
  request.set_channel("content");
  request.set_digest(std::string(32, 'd'));
  request.set_boot_id("boot-1");
  v1::LeaseResponse response;
  ASSERT_TRUE(stub_->Lease(&context_, request, &response).ok());
  EXPECT_EQ(response.answer(), v1::LEASE_ANSWER_NOT_NOW);
  EXPECT_EQ(response.reason(), "budget");
  EXPECT_EQ(response.retry_after().seconds(), 5);
}

TEST_F(AgentServiceTest, AnApplicationErrorKeepsItsCode) {
  app().error = absl::UnavailableError("the database cannot be reached");
  v1::CheckInResponse response;
  const grpc::Status status = stub_->CheckIn(&context_, PlainCheckIn(), &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the database cannot be reached");
}

TEST_F(AgentServiceTest, EnrolsWithoutACredential) {
  v1::EnrollRequest request;
  request.set_token("acme-token");
  request.set_agent_id(std::string(16, 'a'));
  request.set_boot_id("boot-1");
  v1::EnrollResponse response;
  grpc::ClientContext plain;
  ASSERT_TRUE(stub_->Enroll(&plain, request, &response).ok());
  EXPECT_EQ(response.tenant(), "acme");
  EXPECT_EQ(response.secret().size(), 32u);
}

class ScaledAgentServiceTest : public AgentServiceTest {
 protected:
  ScaledAgentServiceTest() : AgentServiceTest(60) {}
};

TEST_F(ScaledAgentServiceTest, AgentsWaitInRealTime) {
  app().checkin_reply.next_checkin = absl::Seconds(60);
  v1::CheckInResponse response;
  ASSERT_TRUE(stub_->CheckIn(&context_, PlainCheckIn(), &response).ok());
  EXPECT_EQ(response.next_checkin().seconds(), 1);
}

class ArtifactTest : public AgentServiceTest {
 protected:
  ArtifactTest() {
    for (size_t i = 0; i < 2 * kMiB + 1000; ++i) app().artifact += static_cast<char>(i * 2654435761U >> 24);
  }

  grpc::Status Download(int64_t offset, std::string* bytes) {
    v1::GetArtifactRequest request;
    request.set_digest(std::string(32, 'd'));
    request.set_offset(offset);
    auto reader = stub_->GetArtifact(&context_, request);
    v1::GetArtifactResponse part;
    while (reader->Read(&part)) {
      EXPECT_EQ(part.offset(), offset + static_cast<int64_t>(bytes->size()));
      EXPECT_EQ(part.size_bytes(), static_cast<int64_t>(app().artifact.size()));
      EXPECT_LE(part.data().size(), kMiB);
      *bytes += part.data();
    }
    return reader->Finish();
  }
};

TEST_F(ArtifactTest, ComesWhole) {
  std::string bytes;
  ASSERT_TRUE(Download(0, &bytes).ok());
  EXPECT_EQ(bytes, app().artifact);
}

TEST_F(ArtifactTest, ResumesInTheMiddleOfAChunk) {
  constexpr int64_t kOffset = kMiB + 17;
  std::string bytes;
  ASSERT_TRUE(Download(kOffset, &bytes).ok());
  EXPECT_EQ(bytes, app().artifact.substr(kOffset));
}

TEST_F(ArtifactTest, ResumedAtTheEndIsEmpty) {
  std::string bytes;
  EXPECT_TRUE(Download(static_cast<int64_t>(app().artifact.size()), &bytes).ok());
  EXPECT_EQ(bytes, "");
}

TEST_F(ArtifactTest, BeyondTheEndIsOutOfRange) {
  std::string bytes;
  EXPECT_EQ(Download(static_cast<int64_t>(app().artifact.size()) + 1, &bytes).error_code(),
            StatusCode::OUT_OF_RANGE);
}

TEST_F(ArtifactTest, IsForThoseWhoWereToldToFetchIt) {
  app().error = absl::PermissionDeniedError("digest: this agent was not told to fetch it");
  std::string bytes;
  EXPECT_EQ(Download(0, &bytes).error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(app().calls(), testing::ElementsAre("MayFetch"));
}

TEST_F(ArtifactTest, EndsWhenTheAgentGoesAway) {
  v1::GetArtifactRequest request;
  request.set_digest(std::string(32, 'd'));
  auto reader = stub_->GetArtifact(&context_, request);
  v1::GetArtifactResponse part;
  ASSERT_TRUE(reader->Read(&part));
  context_.TryCancel();
  while (reader->Read(&part)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
  // The fixture's end waits for the server's side of the call.
}

class MetadataTest : public AgentServiceTest {
 protected:
  MetadataTest() { app().documents["12.targets.json"] = std::string(2 * kMiB + 1000, 't'); }

  grpc::Status Fetch(const std::string& name, uint64_t offset, std::string* bytes) {
    v1::FetchMetadataRequest request;
    request.set_name(name);
    request.set_offset(offset);
    auto reader = stub_->FetchMetadata(&context_, request);
    v1::FetchMetadataResponse part;
    while (reader->Read(&part)) {
      EXPECT_EQ(part.total(), 2 * kMiB + 1000);
      EXPECT_LE(part.data().size(), kMiB);
      *bytes += part.data();
    }
    return reader->Finish();
  }
};

TEST_F(MetadataTest, AFileComesWhole) {
  std::string bytes;
  ASSERT_TRUE(Fetch("12.targets.json", 0, &bytes).ok());
  EXPECT_EQ(bytes, app().documents["12.targets.json"]);
}

TEST_F(MetadataTest, ResumesAnywhereAndIsEmptyAtTheEnd) {
  std::string bytes;
  ASSERT_TRUE(Fetch("12.targets.json", 2 * kMiB + 900, &bytes).ok());
  EXPECT_EQ(bytes, std::string(100, 't'));
}

TEST_F(MetadataTest, BeyondTheEndIsOutOfRange) {
  std::string bytes;
  EXPECT_EQ(Fetch("12.targets.json", 2 * kMiB + 1001, &bytes).error_code(), StatusCode::OUT_OF_RANGE);
}

TEST_F(MetadataTest, WhatTheRepositoryDoesNotHaveIsNotFound) {
  std::string bytes;
  EXPECT_EQ(Fetch("2.root.json", 0, &bytes).error_code(), StatusCode::NOT_FOUND);
}

TEST_F(MetadataTest, ANameThatNoFileHasIsInvalid) {
  std::string bytes;
  EXPECT_EQ(Fetch("", 0, &bytes).error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(MetadataTest, ANameWithAControlCharacterIsInvalid) {
  std::string bytes;
  EXPECT_EQ(Fetch("a\nb", 0, &bytes).error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(app().calls(), testing::IsEmpty());
}

}  // namespace
}  // namespace ringfence::api
