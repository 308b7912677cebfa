// Plans, releases, rollouts and the fleet end to end: a gRPC client, the real server, a fake application.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "ringfence/trust/refusal.h"
#include "ringfence/v1/fleet.grpc.pb.h"
#include "ringfence/v1/plan.grpc.pb.h"
#include "ringfence/v1/release.grpc.pb.h"
#include "ringfence/v1/rollout.grpc.pb.h"
#include "tests/api/test_server.h"

namespace ringfence::api {
namespace {

using grpc::StatusCode;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

v1::Plan SmallPlan(const char* tenant) {
  v1::Plan plan;
  plan.set_tenant(tenant);
  v1::ChannelRule* rule = plan.add_channels();
  rule->set_channel("content");
  rule->set_mode(v1::CHANNEL_MODE_FOLLOW);
  v1::Ring* ring = plan.add_rings();
  ring->set_name("canary");
  ring->add_waves()->set_share_ppm(1'000'000);
  return plan;
}

v1::ApplyPlanRequest ApplyRequest(const char* tenant) {
  v1::ApplyPlanRequest request;
  request.set_request_id("r1");
  request.set_reason("first plan");
  *request.mutable_plan() = SmallPlan(tenant);
  return request;
}

TEST(PlanServiceTest, AppliesAPlanForItsTenant) {
  TestServer server;
  v1::ApplyPlanResponse response;
  const grpc::Status status =
      server.Call("ringfence.v1.PlanService/ApplyPlan", kAdminToken, ApplyRequest("acme"), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.applied().applied_by(), "ana");
  EXPECT_EQ(response.applied().plan().rings(0).name(), "canary");
}

TEST(PlanServiceTest, TheVendorMayNotSetACustomersPlan) {
  TestServer server;
  v1::ApplyPlanResponse response;
  for (const char* token : {kSreToken, kManagerToken}) {
    EXPECT_EQ(server.Call("ringfence.v1.PlanService/ApplyPlan", token, ApplyRequest("acme"), &response)
                  .error_code(),
              StatusCode::PERMISSION_DENIED);
    EXPECT_TRUE(
        server.Call("ringfence.v1.PlanService/ApplyPlan", token, ApplyRequest("vendor"), &response).ok());
  }
}

TEST(PlanServiceTest, NamesConversionAndValidationFaultsTogether) {
  TestServer server;
  v1::ApplyPlanRequest request = ApplyRequest("acme");
  request.clear_request_id();
  request.mutable_plan()->mutable_channels(0)->set_mode(static_cast<v1::ChannelMode>(257));
  request.mutable_plan()->mutable_rings(0)->set_lag(9);
  request.mutable_plan()->mutable_rings(0)->mutable_soak()->set_seconds(-1);
  v1::ApplyPlanResponse response;
  const grpc::Status status =
      server.Call("ringfence.v1.PlanService/ApplyPlan", kAdminToken, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  v1::FaultList faults;
  ASSERT_TRUE(faults.ParseFromString(status.error_details()));
  std::vector<std::string> paths;
  for (const v1::Fault& fault : faults.faults()) paths.push_back(fault.path());
  EXPECT_THAT(paths,
              ElementsAre("request_id", "plan.channels[0].mode", "plan.rings[0].soak", "plan.rings[0].lag"));
  EXPECT_THAT(server.app().calls(), IsEmpty());
}

TEST(PlanServiceTest, APreviewSaysWhoMovesAndWhatEachRingWouldTake) {
  TestServer server;
  server.app().preview.revision = 4;
  server.app().preview.hosts = 500;
  server.app().preview.rings = {{"canary", 20, 432}, {"", 1, 0}};
  server.app().preview.moves = {{"n-1", "canary", 412}};
  server.app().preview.then = {
      {"canary", "content", 3, "1.2.0", policy::Reason::kWindow, absl::FromUnixSeconds(1'700'000'000)}};
  server.app().preview.warnings = {"odd"};
  v1::PreviewPlanRequest request;
  *request.mutable_plan() = SmallPlan("acme");
  v1::PreviewPlanResponse response;
  ASSERT_TRUE(server.Call("ringfence.v1.PlanService/PreviewPlan", kViewerToken, request, &response).ok());
  EXPECT_EQ(response.revision(), 4);
  ASSERT_EQ(response.moves_size(), 1);
  EXPECT_EQ(response.moves(0).hosts(), 412);
  EXPECT_EQ(response.rings(0).hosts_then(), 432);
  ASSERT_EQ(response.then_size(), 1);
  EXPECT_EQ(response.then(0).reason(), "window");
  EXPECT_EQ(response.then(0).next().seconds(), 1'700'000'000);
  EXPECT_EQ(response.warnings(response.warnings_size() - 1), "odd");
  request.mutable_plan()->clear_rings();
  EXPECT_EQ(
      server.Call("ringfence.v1.PlanService/PreviewPlan", kViewerToken, request, &response).error_code(),
      StatusCode::INVALID_ARGUMENT);
}

TEST(PlanServiceTest, AnApprovalIsThePersonsOwnAndNamesOneRelease) {
  TestServer server;
  v1::ApproveReleaseRequest request;
  request.set_request_id("r1");
  request.set_reason("tested");
  request.set_channel("sensor");
  v1::ApproveReleaseResponse response;
  EXPECT_EQ(
      server.Call("ringfence.v1.PlanService/ApproveRelease", kAdminToken, request, &response).error_code(),
      StatusCode::INVALID_ARGUMENT);
  request.set_serial(7);
  ASSERT_TRUE(server.Call("ringfence.v1.PlanService/ApproveRelease", kAdminToken, request, &response).ok());
  EXPECT_EQ(response.approval().tenant(), "acme") << "none named: the caller's own";
  EXPECT_EQ(response.approval().state(), v1::APPROVAL_STATE_APPROVED);
  EXPECT_FALSE(response.approval().person().empty());
  EXPECT_THAT(server.app().calls(), ElementsAre("Approve"));
}

TEST(FleetServiceTest, ExplainsAReleaseByGroupsOfHosts) {
  TestServer server;
  server.app().explained.hosts = 9;
  app::ReasonGroup group;
  group.ring = "canary";
  group.reason = policy::Reason::kApproval;
  group.opens_by = "the tenant";
  group.hosts = 9;
  server.app().explained.groups = {group};
  v1::ExplainReleaseRequest request;
  request.set_channel("content");
  v1::ExplainReleaseResponse response;
  ASSERT_TRUE(server.Call("ringfence.v1.FleetService/ExplainRelease", kViewerToken, request, &response).ok());
  ASSERT_EQ(response.groups_size(), 1);
  EXPECT_EQ(response.groups(0).reason(), "approval");
  EXPECT_FALSE(response.groups(0).has_next());
  EXPECT_EQ(response.groups(0).hosts(), 9);
}

TEST(PlanServiceTest, ValidationAnswersWithFaultsAndHasNoEffect) {
  TestServer server;
  v1::ValidatePlanRequest request;
  *request.mutable_plan() = SmallPlan("acme");
  v1::ValidatePlanResponse response;
  ASSERT_TRUE(server.Call("ringfence.v1.PlanService/ValidatePlan", kViewerToken, request, &response).ok());
  EXPECT_EQ(response.faults_size(), 0);
  request.mutable_plan()->clear_rings();
  ASSERT_TRUE(server.Call("ringfence.v1.PlanService/ValidatePlan", kViewerToken, request, &response).ok());
  EXPECT_GT(response.faults_size(), 0);
  EXPECT_THAT(server.app().calls(), ElementsAre("Status", "PreviewPlan"));
}

class PublishTest : public testing::Test {
 protected:
  PublishTest() { Authorize(context_, kManagerToken); }

  void Begin() {
    writer_ = stub_->PublishRelease(&context_, &response_);
    v1::PublishReleaseRequest first;
    first.mutable_header()->set_request_id("p1");
    v1::ReleaseManifest* manifest = first.mutable_header()->mutable_manifest();
    manifest->set_channel("content");
    manifest->set_kind(v1::CHANNEL_KIND_CONTENT);
    manifest->set_serial(7);
    manifest->set_version("7.16");
    manifest->add_matrix();
    manifest->set_digest(std::string(32, 'd'));
    if (break_header) manifest->clear_version();
    for (int i = 0; i < documents; ++i) first.mutable_header()->add_qualifications("{}");
    writer_->Write(first);
  }
  void BeginRepository() {
    writer_ = stub_->PublishRelease(&context_, &response_);
    v1::PublishReleaseRequest first;
    first.mutable_header()->set_request_id("p1");
    first.mutable_header()->set_repository(true);
    v1::ReleaseManifest* manifest = first.mutable_header()->mutable_manifest();
    manifest->set_channel(channel);
    v1::Requirement* os = manifest->mutable_targets()->add_all_of();
    os->set_key("os");
    os->add_any_of("win11");
    writer_->Write(first);
  }
  void SendFile(v1::RepositoryFileKind kind, const std::string& name) {
    v1::PublishReleaseRequest part;
    part.mutable_file()->set_kind(kind);
    part.mutable_file()->set_name(name);
    writer_->Write(part);
  }
  bool Send(size_t bytes) {
    v1::PublishReleaseRequest part;
    part.set_data(std::string(bytes, 'x'));
    return writer_->Write(part);
  }
  grpc::Status End() {
    writer_->WritesDone();
    return writer_->Finish();
  }

  bool break_header = false;
  int documents = 0;
  std::string channel;
  TestServer server_;
  std::unique_ptr<v1::ReleaseService::Stub> stub_ = v1::ReleaseService::NewStub(server_.channel());
  grpc::ClientContext context_;
  v1::PublishReleaseResponse response_;
  std::unique_ptr<grpc::ClientWriter<v1::PublishReleaseRequest>> writer_;
};

TEST_F(PublishTest, TakesAHeaderAndThenTheBytes) {
  Begin();
  Send(1000);
  Send(1 << 20);
  ASSERT_TRUE(End().ok());
  EXPECT_EQ(response_.release().size_bytes(), 1000 + (1 << 20));
  EXPECT_EQ(response_.release().published_by(), "rita");
  EXPECT_EQ(response_.release().signature(), v1::SIGNATURE_STATE_UNSIGNED);
  EXPECT_EQ(response_.warnings_size(), 1);
}

TEST_F(PublishTest, RefusesABadManifestBeforeTheBytes) {
  break_header = true;
  Begin();
  const grpc::Status status = End();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  v1::FaultList faults;
  ASSERT_TRUE(faults.ParseFromString(status.error_details()));
  ASSERT_EQ(faults.faults_size(), 1);
  EXPECT_EQ(faults.faults(0).path(), "header.manifest.version");
}

TEST_F(PublishTest, RefusesMoreThanTheLimitWithTheWord) {
  Begin();
  for (int i = 0; i < 65 && Send(1 << 20); ++i) {
  }
  EXPECT_EQ(End().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Trailer(context_, "ringfence-refusal"), "limit_exceeded");
  EXPECT_THAT(server_.app().calls(), IsEmpty());
}

TEST_F(PublishTest, RefusesBytesWithoutAHeader) {
  writer_ = stub_->PublishRelease(&context_, &response_);
  Send(10);
  EXPECT_EQ(End().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishTest, RefusesAPartThatIsTooLarge) {
  Begin();
  Send((1 << 20) + 1);
  EXPECT_EQ(End().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishTest, TellsTheWordOfTheApplicationsRefusal) {
  server_.app().error = absl::FailedPreconditionError("serial: found 7, wanted above 9");
  server_.app().error.SetPayload(app::App::kRefusalUrl, absl::Cord("stale_version"));
  Begin();
  Send(10);
  EXPECT_EQ(End().error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Trailer(context_, "ringfence-refusal"), "stale_version");
}

TEST_F(PublishTest, TellsPartAndFieldOfARefusal) {
  server_.app().error = trust::ToStatus(
      {trust::RefusalType::kSchemaMismatch, "artifact", "header.field_count", "21 inputs", "20"});
  Begin();
  Send(10);
  const grpc::Status status = End();
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Trailer(context_, "ringfence-refusal"), "schema_mismatch");
  v1::FaultList list;
  ASSERT_TRUE(list.ParseFromString(status.error_details()));
  EXPECT_EQ(list.refusal(), "schema_mismatch");
  ASSERT_EQ(list.faults_size(), 1);
  EXPECT_EQ(list.faults(0).path(), "artifact.header.field_count");
  EXPECT_EQ(list.faults(0).found(), "21 inputs");
}

TEST_F(PublishTest, RefusesDocumentsThatNobodyReads) {
  documents = 1;
  Begin();
  v1::FaultList faults;
  ASSERT_TRUE(faults.ParseFromString(End().error_details()));
  EXPECT_EQ(faults.faults(0).path(), "header.qualifications");
}

TEST_F(PublishTest, TakesTheFilesOfARepositoryByTheirNames) {
  BeginRepository();
  SendFile(v1::REPOSITORY_FILE_KIND_METADATA, "timestamp.json");
  Send(10);
  SendFile(v1::REPOSITORY_FILE_KIND_TARGET, "content/ipc/a.fct");
  Send(1 << 20);
  Send(5);
  ASSERT_TRUE(End().ok());
  const app::PublishRequest& request = server_.app().published;
  EXPECT_EQ(request.repository->metadata.at("timestamp.json").size(), 10u);
  EXPECT_EQ(request.repository->targets.at("content/ipc/a.fct").size(), (1u << 20) + 5);
  EXPECT_EQ(request.release.targets.all_of.at(0).key, "os");
  EXPECT_TRUE(request.bytes.empty());
}

TEST_F(PublishTest, AFileOfMetadataIsBoundedMoreTightly) {
  BeginRepository();
  SendFile(v1::REPOSITORY_FILE_KIND_METADATA, "1.targets.json");
  for (int i = 0; i < 6 && Send(1 << 20); ++i) {
  }
  EXPECT_EQ(End().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Trailer(context_, "ringfence-refusal"), "limit_exceeded");
}

TEST_F(PublishTest, AFileComesOnce) {
  BeginRepository();
  SendFile(v1::REPOSITORY_FILE_KIND_TARGET, "a");
  SendFile(v1::REPOSITORY_FILE_KIND_TARGET, "a");
  EXPECT_EQ(End().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishTest, DataOfNoFileIsRefused) {
  BeginRepository();
  Send(10);
  EXPECT_EQ(End().error_code(), StatusCode::INVALID_ARGUMENT);
}

TEST_F(PublishTest, WhatTheSignedListingSaysMayNotBeSaidTwice) {
  channel = "ipc";
  BeginRepository();
  v1::FaultList faults;
  ASSERT_TRUE(faults.ParseFromString(End().error_details()));
  EXPECT_EQ(faults.faults(0).path(), "header.manifest");
}

TEST_F(PublishTest, ACancelledUploadPublishesNothing) {
  Begin();
  Send(10);
  context_.TryCancel();
  EXPECT_EQ(End().error_code(), StatusCode::CANCELLED);
  server_.server().Stop(absl::ZeroDuration());
  EXPECT_THAT(server_.app().calls(), IsEmpty());
}

TEST(PagesTest, WalkThroughEveryReleaseOnce) {
  TestServer server;
  for (int64_t i = 5; i >= 1; --i) {
    storage::ReleaseRow row;
    row.rollout = i;
    row.release.serial = static_cast<uint64_t>(i);
    server.app().releases.push_back(row);
  }
  std::vector<uint64_t> serials;
  v1::ListReleasesRequest request;
  request.set_page_size(2);
  do {
    v1::ListReleasesResponse response;
    ASSERT_TRUE(
        server.Call("ringfence.v1.ReleaseService/ListReleases", kViewerToken, request, &response).ok());
    EXPECT_LE(response.releases_size(), 2);
    for (const v1::Release& release : response.releases()) serials.push_back(release.manifest().serial());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(serials, ElementsAre(5, 4, 3, 2, 1));
}

TEST(PagesTest, DecisionsPageById) {
  TestServer server;
  for (int64_t i = 3; i >= 1; --i) {
    storage::DecisionRow row;
    row.id = i;
    server.app().decisions.push_back(row);
  }
  v1::ListDecisionsRequest request;
  request.set_page_size(2);
  v1::ListDecisionsResponse response;
  ASSERT_TRUE(server.Call("ringfence.v1.RolloutService/ListDecisions", kSreToken, request, &response).ok());
  EXPECT_EQ(response.next_page_token(), "2");
  request.set_page_token("2");
  ASSERT_TRUE(server.Call("ringfence.v1.RolloutService/ListDecisions", kSreToken, request, &response).ok());
  ASSERT_EQ(response.decisions_size(), 1);
  EXPECT_EQ(response.decisions(0).id(), 1);
  EXPECT_EQ(response.next_page_token(), "");
}

TEST(PagesTest, ANegativeSizeOrAnInventedTokenIsInvalid) {
  TestServer server;
  v1::ListReleasesRequest request;
  request.set_page_size(-1);
  request.set_page_token("next please");
  v1::ListReleasesResponse response;
  const grpc::Status status =
      server.Call("ringfence.v1.ReleaseService/ListReleases", kViewerToken, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  v1::FaultList faults;
  ASSERT_TRUE(faults.ParseFromString(status.error_details()));
  EXPECT_EQ(faults.faults_size(), 2);
}

class BrakeTest : public testing::Test {
 protected:
  template <typename Request>
  Request Act() {
    Request request;
    request.set_request_id("b1");
    request.set_reason("it smells");
    request.mutable_scope()->set_channel("content");
    request.mutable_scope()->set_serial(7);
    return request;
  }
  TestServer server_;
};

TEST_F(BrakeTest, AHaltNeedsAReleaseAReasonAndARequestId) {
  v1::HaltRolloutRequest request;
  request.mutable_scope()->set_ring("canary");
  v1::HaltRolloutResponse response;
  const grpc::Status status =
      server_.Call("ringfence.v1.RolloutService/HaltRollout", kSreToken, request, &response);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  v1::FaultList faults;
  ASSERT_TRUE(faults.ParseFromString(status.error_details()));
  std::vector<std::string> paths;
  for (const v1::Fault& fault : faults.faults()) paths.push_back(fault.path());
  EXPECT_THAT(paths, ElementsAre("scope.ring", "request_id", "reason", "scope.serial"));
}

TEST_F(BrakeTest, AResumeNamesItsBrake) {
  v1::ResumeRolloutResponse response;
  auto request = Act<v1::ResumeRolloutRequest>();
  EXPECT_EQ(
      server_.Call("ringfence.v1.RolloutService/ResumeRollout", kSreToken, request, &response).error_code(),
      StatusCode::INVALID_ARGUMENT);
  request.set_brake(v1::BRAKE_KIND_HALT);
  EXPECT_TRUE(server_.Call("ringfence.v1.RolloutService/ResumeRollout", kSreToken, request, &response).ok());
}

TEST_F(BrakeTest, AHaltThatCouldNotBeStoredSaysSo) {
  server_.app().error = absl::UnavailableError("stopped here only");
  v1::HaltRolloutResponse response;
  const grpc::Status status = server_.Call("ringfence.v1.RolloutService/HaltRollout", kSreToken,
                                           Act<v1::HaltRolloutRequest>(), &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "stopped here only");
}

// ---- cohorts: the same calls for both acts

class CohortCallTest : public testing::Test {
 protected:
  template <typename Request>
  static Request Of(const std::string& cohort) {
    Request request;
    request.set_request_id("r1");
    request.set_reason("it does not bear with dlp");
    request.set_channel("content");
    request.set_serial(3);
    request.set_cohort(cohort);
    return request;
  }
  static std::vector<std::string> FaultsIn(const grpc::Status& status) {
    v1::FaultList faults;
    EXPECT_TRUE(faults.ParseFromString(status.error_details()));
    std::vector<std::string> paths;
    for (const v1::Fault& fault : faults.faults()) paths.push_back(fault.path());
    return paths;
  }
  template <typename Response>
  grpc::Status Call(const char* method, const google::protobuf::Message& request, Response* response) {
    return server_.Call(std::string("ringfence.v1.RolloutService/") + method, kSreToken, request, response);
  }
  TestServer server_;
};

TEST_F(CohortCallTest, AnExclusionIsAnsweredWithAllThatTheReleaseIsKeptFrom) {
  v1::ExcludeCohortResponse response;
  const grpc::Status status =
      Call("ExcludeCohort", Of<v1::ExcludeCohortRequest>("coinstalled=symantec-dlp"), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.blocked_cells(), ElementsAre("coinstalled=symantec-dlp"));
  EXPECT_EQ(response.hosts(), 3);
  EXPECT_EQ(server_.app().last_act.actor.person, "sam");
  EXPECT_EQ(server_.app().last_act.reason, "it does not bear with dlp");
  EXPECT_EQ(server_.app().last_cohort, "content/3 coinstalled=symantec-dlp");
  v1::UnblockCohortResponse again;
  ASSERT_TRUE(Call("UnblockCohort", Of<v1::UnblockCohortRequest>("tenant acme"), &again).ok());
  EXPECT_THAT(again.blocked_cells(), IsEmpty());
  EXPECT_EQ(server_.app().last_cohort, "content/3 tenant acme");
}

TEST_F(CohortCallTest, EveryFaultIsNamedAtOnceAndNothingIsDone) {
  v1::ExcludeCohortResponse excluded;
  v1::UnblockCohortResponse unblocked;
  const std::vector<std::string> all = {"request_id", "reason", "channel", "serial", "cohort"};
  const grpc::Status exclude = Call("ExcludeCohort", v1::ExcludeCohortRequest(), &excluded);
  EXPECT_EQ(exclude.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FaultsIn(exclude), testing::UnorderedElementsAreArray(all));
  const grpc::Status unblock = Call("UnblockCohort", v1::UnblockCohortRequest(), &unblocked);
  EXPECT_THAT(FaultsIn(unblock), testing::UnorderedElementsAreArray(all));
  auto huge = Of<v1::ExcludeCohortRequest>("os=" + std::string(400, 'x'));
  EXPECT_THAT(FaultsIn(Call("ExcludeCohort", huge, &excluded)), ElementsAre("cohort"));
  EXPECT_THAT(server_.app().calls(), IsEmpty());
}

TEST_F(CohortCallTest, TheApplicationsRefusalIsTheCallers) {
  server_.app().error = absl::FailedPreconditionError("cohort: \"os=xp\" is excluded already");
  v1::ExcludeCohortResponse response;
  const grpc::Status status = Call("ExcludeCohort", Of<v1::ExcludeCohortRequest>("os=xp"), &response);
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "cohort: \"os=xp\" is excluded already");
  server_.app().error = absl::UnavailableError("excluded here only: the database does not answer");
  EXPECT_EQ(Call("ExcludeCohort", Of<v1::ExcludeCohortRequest>("os=xp"), &response).error_code(),
            StatusCode::UNAVAILABLE);
}

TEST(ServerStatusTest, MarksADemonstration) {
  TestServer server(60, /*demo=*/true);
  auto stub = v1::FleetService::NewStub(server.channel());
  grpc::ClientContext context;
  Authorize(context, kSreToken);
  v1::GetServerStatusResponse response;
  ASSERT_TRUE(stub->GetServerStatus(&context, {}, &response).ok());
  EXPECT_EQ(response.time_scale(), 60);
  EXPECT_THAT(response.notices(), Contains(testing::HasSubstr("demonstration")));
  EXPECT_EQ(Trailer(context, "ringfence-demo"), "true");
}

TEST(ServerStatusTest, KeepsTheSizeOfTheFleetFromCustomers) {
  TestServer server;
  v1::GetServerStatusResponse response;
  ASSERT_TRUE(server
                  .Call("ringfence.v1.FleetService/GetServerStatus", kAdminToken,
                        v1::GetServerStatusRequest(), &response)
                  .ok());
  EXPECT_EQ(response.agents(), 0);
  ASSERT_TRUE(server
                  .Call("ringfence.v1.FleetService/GetServerStatus", kSreToken, v1::GetServerStatusRequest(),
                        &response)
                  .ok());
  EXPECT_EQ(response.agents(), 7);
}

}  // namespace
}  // namespace ringfence::api
