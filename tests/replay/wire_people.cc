#include "wire_people.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/fleet.grpc.pb.h"
#include "ringfence/v1/plan.grpc.pb.h"
#include "ringfence/v1/release.grpc.pb.h"
#include "ringfence/v1/rollout.grpc.pb.h"
#include "server/api/encode.h"
#include "wire_codec.h"

namespace ringfence::replay {
namespace {

constexpr int kPage = 1000;
constexpr size_t kPart = size_t{1} << 20;
constexpr char kReason[] = "as the scenario says";
constexpr char kManager[] = "token-of-the-release-manager";
constexpr char kSre[] = "token-of-the-sre";

std::string AdminToken(const std::string& tenant) {
  return absl::StrCat("token-of-the-admin-of-", tenant);
}

}  // namespace

std::string OperatorsText(const std::vector<std::string>& tenants) {
  std::string text = "operators:\n";
  const auto add = [&](const std::string& person, const char* role, const std::string& tenant,
                       const std::string& token) {
    absl::StrAppend(&text, "  - {person: \"", person, "\", role: ", role,
                    ", token_sha256: ", Sha256(token).ToString());
    absl::StrAppend(&text, tenant.empty() ? "" : ", tenant: ", tenant, "}\n");
  };
  for (const std::string& tenant : tenants) {
    add(absl::StrCat("admin@", tenant), "tenant-admin", tenant, AdminToken(tenant));
  }
  add("release-manager", "release-manager", "", kManager);
  add("sre", "sre", "", kSre);
  return text;
}

std::string WirePeople::NextRequestId() {
  return absl::StrCat("replay-", ++requests_);
}

absl::Status WirePeople::ApplyPlan(const policy::Plan& plan) {
  v1::ApplyPlanRequest request;
  request.set_request_id(NextRequestId());
  request.set_reason(kReason);
  api::Encode(plan, request.mutable_plan());
  grpc::ClientContext context;
  Authorize(context, AdminToken(plan.tenant));
  v1::ApplyPlanResponse response;
  return FromGrpc(v1::PlanService::NewStub(channel_)->ApplyPlan(&context, request, &response), context);
}

absl::StatusOr<app::PublishReply> WirePeople::Publish(const app::PublishRequest& request) {
  grpc::ClientContext context;
  Authorize(context, kManager);
  v1::PublishReleaseResponse response;
  const auto stub = v1::ReleaseService::NewStub(channel_);
  const auto writer = stub->PublishRelease(&context, &response);
  v1::PublishReleaseRequest part;
  part.mutable_header()->set_request_id(NextRequestId());
  if (request.repository.has_value()) {
    part.mutable_header()->set_repository(true);
    api::Encode(request.release.targets, part.mutable_header()->mutable_manifest()->mutable_targets());
  } else {
    api::Encode(request.release, part.mutable_header()->mutable_manifest());
  }
  part.mutable_header()->set_skip_rings(request.skip_rings);
  bool taken = writer->Write(part);  // false: refused already, Finish says why
  const auto send = [&](const std::string& bytes) {
    for (size_t from = 0; taken && from < bytes.size(); from += kPart) {
      part.set_data(bytes.substr(from, kPart));
      taken = writer->Write(part);
    }
  };
  const auto send_files = [&](v1::RepositoryFileKind kind, const std::map<std::string, std::string>& files) {
    for (const auto& [name, bytes] : files) {
      if (!taken) return;
      part.mutable_file()->set_kind(kind);
      part.mutable_file()->set_name(name);
      taken = writer->Write(part);
      send(bytes);
    }
  };
  send(request.bytes);
  if (request.repository.has_value()) {
    send_files(v1::REPOSITORY_FILE_KIND_METADATA, request.repository->metadata);
    send_files(v1::REPOSITORY_FILE_KIND_TARGET, request.repository->targets);
  }
  if (taken) writer->WritesDone();
  RETURN_IF_ERROR(FromGrpc(writer->Finish(), context));
  app::PublishReply reply;
  reply.row = DecodeRelease(response.release());
  reply.warnings = {response.warnings().begin(), response.warnings().end()};
  return reply;
}

absl::StatusOr<std::vector<storage::DecisionRow>> WirePeople::Decisions() {
  const auto stub = v1::RolloutService::NewStub(channel_);
  std::vector<storage::DecisionRow> all;
  v1::ListDecisionsRequest request;
  request.set_page_size(kPage);
  do {
    grpc::ClientContext context;
    Authorize(context, kSre);
    v1::ListDecisionsResponse response;
    RETURN_IF_ERROR(FromGrpc(stub->ListDecisions(&context, request, &response), context));
    for (const v1::Decision& decision : response.decisions()) all.push_back(DecodeDecision(decision));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  std::reverse(all.begin(), all.end());
  return all;
}

absl::StatusOr<std::vector<storage::AuditRow>> WirePeople::Audit() {
  v1::ListAuditEventsRequest request;
  request.set_page_size(kPage);
  grpc::ClientContext context;
  Authorize(context, kSre);
  v1::ListAuditEventsResponse response;
  RETURN_IF_ERROR(
      FromGrpc(v1::FleetService::NewStub(channel_)->ListAuditEvents(&context, request, &response), context));
  std::vector<storage::AuditRow> rows;
  for (const v1::AuditEvent& event : response.events()) rows.push_back(DecodeAudit(event));
  return rows;
}

absl::StatusOr<app::ExplainReply> WirePeople::Explain(const AgentId& agent, const std::string& channel,
                                                      uint64_t serial) {
  v1::ExplainAgentRequest request;
  request.set_id(agent.ToString());
  request.set_channel(channel);
  request.set_serial(serial);
  grpc::ClientContext context;
  Authorize(context, kSre);
  v1::ExplainAgentResponse response;
  RETURN_IF_ERROR(
      FromGrpc(v1::FleetService::NewStub(channel_)->ExplainAgent(&context, request, &response), context));
  app::ExplainReply reply;
  reply.channel = response.channel();
  reply.serial = response.serial();
  reply.version = response.version();
  if (!response.reason().empty()) {
    ASSIGN_OR_RETURN(reply.eligibility.reason, ReasonOf(response.reason()));
  }
  return reply;
}

absl::StatusOr<bool> WirePeople::IsStopped(const std::string& channel, uint64_t serial) {
  v1::GetRolloutRequest request;
  request.set_channel(channel);
  request.set_serial(serial);
  grpc::ClientContext context;
  Authorize(context, kSre);
  v1::GetRolloutResponse response;
  RETURN_IF_ERROR(
      FromGrpc(v1::RolloutService::NewStub(channel_)->GetRollout(&context, request, &response), context));
  const auto& brakes = response.rollout().brakes();
  return std::any_of(brakes.begin(), brakes.end(), [](const v1::Brake& brake) {
    return brake.scope().tenant().empty() && (brake.halted() || brake.held() || brake.recalled());
  });
}

}  // namespace ringfence::replay
