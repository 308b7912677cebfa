#include "tests/integration/operators.h"

#include <grpcpp/grpcpp.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/v1/fleet.grpc.pb.h"
#include "ringfence/v1/plan.grpc.pb.h"
#include "ringfence/v1/release.grpc.pb.h"
#include "ringfence/v1/rollout.grpc.pb.h"
#include "tests/integration/server_process.h"

namespace ringfence::testing_support {

v1::Plan PlanOf(const std::string& tenant, const std::vector<std::string>& rings) {
  v1::Plan plan;
  plan.set_tenant(tenant);
  v1::ChannelRule* rule = plan.add_channels();
  rule->set_channel("content");
  rule->set_mode(v1::CHANNEL_MODE_FOLLOW);
  for (const std::string& name : rings) {
    v1::Ring* ring = plan.add_rings();
    ring->set_name(name);
    v1::Requirement* requirement = ring->mutable_selector()->add_all_of();
    requirement->set_key("ring");
    requirement->add_any_of(name);
    ring->add_waves()->set_share_ppm(1'000'000);
  }
  return plan;
}

std::string People::NextRequestId() {
  return absl::StrCat("request-", std::random_device()(), std::random_device()());
}

grpc::Status People::Apply(const v1::Plan& plan) {
  grpc::ClientContext context;
  Prepare(context, AdminOf(plan.tenant()));
  v1::ApplyPlanRequest request;
  request.set_request_id(NextRequestId());
  request.set_reason("the first plan");
  *request.mutable_plan() = plan;
  v1::ApplyPlanResponse response;
  return v1::PlanService::NewStub(channel_)->ApplyPlan(&context, request, &response);
}

std::string People::BytesOf(uint64_t serial) {
  return absl::StrCat("content ", serial, std::string(3000, '.'));
}

Digest People::DigestOf(uint64_t serial) {
  return Sha256(BytesOf(serial));
}

grpc::Status People::Publish(uint64_t serial) {
  grpc::ClientContext context;
  Prepare(context, kManager);
  v1::PublishReleaseResponse response;
  auto stub = v1::ReleaseService::NewStub(channel_);
  auto writer = stub->PublishRelease(&context, &response);
  v1::PublishReleaseRequest header;
  header.mutable_header()->set_request_id(NextRequestId());
  v1::ReleaseManifest* manifest = header.mutable_header()->mutable_manifest();
  manifest->set_channel("content");
  manifest->set_kind(v1::CHANNEL_KIND_CONTENT);
  manifest->set_serial(serial);
  manifest->set_version(absl::StrCat("7.", serial));
  v1::Requirement* platform = manifest->add_matrix()->add_all_of();
  platform->set_key("os");
  platform->add_any_of("win11");
  manifest->set_digest(std::string(DigestOf(serial).raw()));
  writer->Write(header);
  v1::PublishReleaseRequest part;
  part.set_data(BytesOf(serial));
  writer->Write(part);
  writer->WritesDone();
  return writer->Finish();
}

std::vector<std::string> People::Tokens(const std::string& tenant, int count) {
  auto stub = v1::FleetService::NewStub(channel_);
  std::vector<std::string> tokens;
  for (int i = 0; i < count; ++i) {
    grpc::ClientContext context;
    Prepare(context, AdminOf(tenant));
    v1::CreateEnrolmentTokenRequest request;
    request.set_request_id(NextRequestId());
    request.set_tenant(tenant);
    v1::CreateEnrolmentTokenResponse response;
    const grpc::Status status = stub->CreateEnrolmentToken(&context, request, &response);
    RF_CHECK(status.ok());
    tokens.push_back(response.token());
  }
  return tokens;
}

grpc::Status People::Halt(uint64_t serial) {
  grpc::ClientContext context;
  Prepare(context, kSre);
  v1::HaltRolloutRequest request;
  request.set_request_id(NextRequestId());
  request.set_reason(kHaltReason);
  request.mutable_scope()->set_channel("content");
  request.mutable_scope()->set_serial(serial);
  v1::HaltRolloutResponse response;
  return v1::RolloutService::NewStub(channel_)->HaltRollout(&context, request, &response);
}

std::vector<v1::Decision> People::Decisions(uint64_t serial) {
  grpc::ClientContext context;
  Prepare(context, kSre);
  v1::ListDecisionsRequest request;
  request.set_channel("content");
  request.set_serial(serial);
  request.set_page_size(1000);
  v1::ListDecisionsResponse response;
  const grpc::Status status =
      v1::RolloutService::NewStub(channel_)->ListDecisions(&context, request, &response);
  RF_CHECK(status.ok());
  return {response.decisions().begin(), response.decisions().end()};
}

std::vector<v1::Agent> People::Agents(const std::string& tenant) {
  grpc::ClientContext context;
  Prepare(context, kSre);
  v1::ListAgentsRequest request;
  request.set_tenant(tenant);
  v1::ListAgentsResponse response;
  const grpc::Status status = v1::FleetService::NewStub(channel_)->ListAgents(&context, request, &response);
  RF_CHECK(status.ok());
  return {response.agents().begin(), response.agents().end()};
}

grpc::Status People::Rollout(uint64_t serial, v1::Rollout* rollout) {
  grpc::ClientContext context;
  Prepare(context, kSre);
  v1::GetRolloutRequest request;
  request.set_channel("content");
  request.set_serial(serial);
  v1::GetRolloutResponse response;
  const grpc::Status status = v1::RolloutService::NewStub(channel_)->GetRollout(&context, request, &response);
  *rollout = response.rollout();
  return status;
}

}  // namespace ringfence::testing_support
