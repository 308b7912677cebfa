// Every RPC of the descriptors × every kind of caller, over a real gRPC server. A call that is denied must
// not reach the application.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/v1/agent.pb.h"
#include "ringfence/v1/fleet.grpc.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/api/permissions.h"
#include "tests/api/test_server.h"

namespace ringfence::api {
namespace {

using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;
using grpc::StatusCode;

std::vector<const ServiceDescriptor*> Services() {
  std::vector<const ServiceDescriptor*> services;
  for (const FileDescriptor* file : {v1::EnrollRequest::descriptor()->file(), v1::Agent::descriptor()->file(),
                                     v1::Plan::descriptor()->file(), v1::Release::descriptor()->file(),
                                     v1::Rollout::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) services.push_back(file->service(i));
  }
  return services;
}

std::vector<std::string> EveryMethod() {
  std::vector<std::string> methods;
  for (const ServiceDescriptor* service : Services()) {
    for (int i = 0; i < service->method_count(); ++i) {
      methods.push_back(absl::StrCat(service->full_name(), "/", service->method(i)->name()));
    }
  }
  return methods;
}

// What each kind of caller may call, written a second time and by hand: the table and this list must agree.
const std::set<std::string>& MayCall(const std::string& caller) {
  static const std::set<std::string> kRead = {
      "ReleaseService/ListReleases",  "ReleaseService/GetRelease",     "PlanService/ValidatePlan",
      "PlanService/GetPlan",          "PlanService/ListPlanRevisions", "RolloutService/ListRollouts",
      "RolloutService/GetRollout",    "RolloutService/WatchRollout",   "RolloutService/ListDecisions",
      "FleetService/ListAgents",      "FleetService/GetAgent",         "FleetService/ExplainAgent",
      "FleetService/GetServerStatus", "FleetService/ListAuditEvents",  "PlanService/PreviewPlan",
      "PlanService/ListApprovals",    "FleetService/ExplainRelease",   "ReleaseService/ListUrgentReleases"};
  static const auto* lists = [] {
    auto* all = new std::map<std::string, std::set<std::string>>;
    const std::set<std::string> kBrakes = {"RolloutService/PauseRollout", "RolloutService/ResumeRollout",
                                           "RolloutService/HaltRollout",  "RolloutService/RollBackRollout",
                                           "PlanService/ApplyPlan",       "PlanService/ApproveRelease",
                                           "PlanService/DenyRelease",     "ReleaseService/AcknowledgeRelease",
                                           "RolloutService/RequestBypass"};
    (*all)["tenant-viewer"] = kRead;
    std::set<std::string>& admin = (*all)["tenant-admin"] = kRead;
    admin.insert(kBrakes.begin(), kBrakes.end());
    admin.insert({"FleetService/DeleteAgent", "FleetService/CreateEnrolmentToken"});
    std::set<std::string>& sre = (*all)["sre"] = admin;
    sre.insert({"ReleaseService/RecallRelease", "RolloutService/ListEvidence", "RolloutService/ExcludeCohort",
                "RolloutService/UnblockCohort"});
    std::set<std::string>& manager = (*all)["release-manager"] = kRead;
    manager.insert(kBrakes.begin(), kBrakes.end());
    manager.insert({"ReleaseService/PublishRelease", "ReleaseService/RecallRelease",
                    "RolloutService/ListEvidence", "RolloutService/ExcludeCohort",
                    "RolloutService/UnblockCohort"});
    (*all)["agent"] = {"AgentService/CheckIn", "AgentService/Lease", "AgentService/GetArtifact",
                       "AgentService/FetchMetadata", "AgentService/FetchPlan"};
    (*all)["nobody"] = {};
    (*all)["stranger"] = {};
    return all;
  }();
  return lists->at(caller);
}

struct Caller {
  const char* name;
  std::string token;
};

// At the replica that leads, and through one that hands calls on: the same.
class ThroughTest : public testing::TestWithParam<bool> {
 protected:
  ThroughTest() {
    if (GetParam()) follower_.emplace(leader_);
  }
  // That is called.
  TestServer& server() { return follower_.has_value() ? *follower_ : leader_; }
  // What reached an application.
  std::vector<std::string> Calls() {
    std::vector<std::string> calls = leader_.app().calls();
    if (!follower_.has_value()) return calls;
    const std::vector<std::string> alone = follower_->app().calls();
    calls.insert(calls.end(), alone.begin(), alone.end());
    return calls;
  }

 private:
  TestServer leader_;
  std::optional<TestServer> follower_;
};

std::string Where(const testing::TestParamInfo<bool>& info) {
  return info.param ? "ThroughAFollower" : "AtTheLeader";
}

class PermissionsTest : public ThroughTest {
 protected:
  // Bytes that parse as no message: an admitted call fails in a way that a denied one does not.
  StatusCode CodeOf(const std::string& method, const std::string& token) {
    return server().CallBytes(method, token, "\xff\xff\xff").error_code();
  }
};
INSTANTIATE_TEST_SUITE_P(Both, PermissionsTest, testing::Bool(), Where);

TEST_P(PermissionsTest, EveryRpcAnswersOnlyThoseWhoMayCallIt) {
  const std::vector<Caller> callers = {{"nobody", ""},
                                       {"stranger", "no-such-token"},
                                       {"agent", AgentToken()},
                                       {"tenant-viewer", kViewerToken},
                                       {"tenant-admin", kAdminToken},
                                       {"sre", kSreToken},
                                       {"release-manager", kManagerToken}};
  int denied = 0;
  for (const std::string& method : EveryMethod()) {
    for (const Caller& caller : callers) {
      SCOPED_TRACE(absl::StrCat(method, " by ", caller.name));
      const StatusCode code = CodeOf(method, caller.token);
      const std::string short_name = method.substr(std::string("ringfence.v1.").size());
      if (short_name == "AgentService/Enroll" || MayCall(caller.name).count(short_name) > 0) {
        EXPECT_EQ(code, StatusCode::INVALID_ARGUMENT);
        continue;
      }
      ++denied;
      const bool known_person = MayCall(caller.name).size() > 5;
      const bool for_people = !absl::StrContains(method, "AgentService");
      EXPECT_EQ(code,
                known_person && for_people ? StatusCode::PERMISSION_DENIED : StatusCode::UNAUTHENTICATED);
    }
  }
  EXPECT_GT(denied, 90);
  EXPECT_THAT(Calls(), testing::IsEmpty());
}

TEST(PermissionTableTest, EveryRpcOfTheContractIsInTheTableAndNothingElseIs) {
  std::set<std::string> in_table;
  for (const Permission& permission : Permissions()) in_table.insert(permission.method);
  EXPECT_THAT(EveryMethod(), testing::UnorderedElementsAreArray(in_table));
}

TEST(PermissionTableTest, AnRpcThatTheTableDoesNotNameIsDeniedToEverybody) {
  for (const app::Role role :
       {app::Role::kTenantViewer, app::Role::kTenantAdmin, app::Role::kSre, app::Role::kReleaseManager}) {
    EXPECT_TRUE(
        absl::IsPermissionDenied(CheckRole("ringfence.v1.PlanService/DropEverything", {"x", role, ""})));
  }
}

TEST_P(PermissionsTest, TwoCredentialsAreNone) {
  auto stub = v1::FleetService::NewStub(server().channel());
  grpc::ClientContext context;
  Authorize(context, kSreToken);
  Authorize(context, kManagerToken);
  v1::GetServerStatusResponse response;
  EXPECT_EQ(stub->GetServerStatus(&context, {}, &response).error_code(), StatusCode::UNAUTHENTICATED);
}

// What tenant acme's people try on another tenant, request by request.
class ForeignTenantTest : public ThroughTest {
 protected:
  StatusCode CodeOf(const char* method, const google::protobuf::Message& request) {
    std::string dropped;
    return server()
        .CallBytes(absl::StrCat("ringfence.v1.", method), kAdminToken, request.SerializeAsString(), &dropped)
        .error_code();
  }
  template <typename Request>
  Request Brake(const char* tenant) {
    Request request;
    request.set_request_id("r1");
    request.set_reason("test");
    request.mutable_scope()->set_tenant(tenant);
    request.mutable_scope()->set_channel("content");
    request.mutable_scope()->set_serial(3);
    return request;
  }
};
INSTANTIATE_TEST_SUITE_P(Both, ForeignTenantTest, testing::Bool(), Where);

TEST_P(ForeignTenantTest, BrakesAreDeniedOnAnotherTenantAndOnAll) {
  for (const char* tenant : {"globex", ""}) {
    EXPECT_EQ(CodeOf("RolloutService/PauseRollout", Brake<v1::PauseRolloutRequest>(tenant)),
              StatusCode::PERMISSION_DENIED);
    auto resume = Brake<v1::ResumeRolloutRequest>(tenant);
    resume.set_brake(v1::BRAKE_KIND_PAUSE);
    EXPECT_EQ(CodeOf("RolloutService/ResumeRollout", resume), StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(CodeOf("RolloutService/HaltRollout", Brake<v1::HaltRolloutRequest>(tenant)),
              StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(CodeOf("RolloutService/RollBackRollout", Brake<v1::RollBackRolloutRequest>(tenant)),
              StatusCode::PERMISSION_DENIED);
  }
  EXPECT_THAT(Calls(), testing::IsEmpty());
  EXPECT_EQ(CodeOf("RolloutService/PauseRollout", Brake<v1::PauseRolloutRequest>("acme")), StatusCode::OK);
}

TEST_P(ForeignTenantTest, PlansAndTokensAndAuditsAreDenied) {
  v1::ApplyPlanRequest apply;
  apply.mutable_plan()->set_tenant("globex");
  EXPECT_EQ(CodeOf("PlanService/ApplyPlan", apply), StatusCode::PERMISSION_DENIED);
  v1::GetPlanRequest get;
  get.set_tenant("globex");
  EXPECT_EQ(CodeOf("PlanService/GetPlan", get), StatusCode::PERMISSION_DENIED);
  v1::ListPlanRevisionsRequest list;
  list.set_tenant("globex");
  EXPECT_EQ(CodeOf("PlanService/ListPlanRevisions", list), StatusCode::PERMISSION_DENIED);
  v1::PreviewPlanRequest preview;
  preview.mutable_plan()->set_tenant("globex");
  EXPECT_EQ(CodeOf("PlanService/PreviewPlan", preview), StatusCode::PERMISSION_DENIED);
  v1::ApproveReleaseRequest approve;
  approve.set_tenant("globex");
  EXPECT_EQ(CodeOf("PlanService/ApproveRelease", approve), StatusCode::PERMISSION_DENIED);
  v1::DenyReleaseRequest deny;
  deny.set_tenant("globex");
  EXPECT_EQ(CodeOf("PlanService/DenyRelease", deny), StatusCode::PERMISSION_DENIED);
  v1::ListApprovalsRequest approvals;
  approvals.set_tenant("globex");
  EXPECT_EQ(CodeOf("PlanService/ListApprovals", approvals), StatusCode::PERMISSION_DENIED);
  v1::ExplainReleaseRequest explain;
  explain.set_tenant("globex");
  explain.set_channel("content");
  EXPECT_EQ(CodeOf("FleetService/ExplainRelease", explain), StatusCode::PERMISSION_DENIED);
  v1::CreateEnrolmentTokenRequest token;
  token.set_request_id("r1");
  token.set_tenant("globex");
  EXPECT_EQ(CodeOf("FleetService/CreateEnrolmentToken", token), StatusCode::PERMISSION_DENIED);
  v1::ListAuditEventsRequest audit;
  audit.set_tenant("globex");
  EXPECT_EQ(CodeOf("FleetService/ListAuditEvents", audit), StatusCode::PERMISSION_DENIED);
  v1::ListAgentsRequest agents;
  agents.set_tenant("globex");
  EXPECT_EQ(CodeOf("FleetService/ListAgents", agents), StatusCode::PERMISSION_DENIED);
  v1::ListDecisionsRequest decisions;
  decisions.set_tenant("globex");
  EXPECT_EQ(CodeOf("RolloutService/ListDecisions", decisions), StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(Calls(), testing::IsEmpty());
}

TEST_P(ForeignTenantTest, AnEmptyTenantMeansTheirOwn) {
  EXPECT_EQ(CodeOf("FleetService/ListAgents", v1::ListAgentsRequest()), StatusCode::OK);
  EXPECT_EQ(CodeOf("FleetService/ListAuditEvents", v1::ListAuditEventsRequest()), StatusCode::OK);
  EXPECT_EQ(CodeOf("RolloutService/ListDecisions", v1::ListDecisionsRequest()), StatusCode::OK);
  EXPECT_EQ(CodeOf("RolloutService/ListRollouts", v1::ListRolloutsRequest()), StatusCode::OK);
  EXPECT_THAT(Calls(),
              testing::ElementsAre("ListAgents:acme", "Audit:acme", "Decisions:acme", "ListRollouts:acme"));
}

TEST(PlanOwnerTest, TheVendorSetsTheInternalPlanAndNoOther) {
  for (const app::Role role : {app::Role::kSre, app::Role::kReleaseManager}) {
    const app::Actor vendor{"sam", role, ""};
    EXPECT_TRUE(CheckPlanOwner(vendor, "vendor", "vendor").ok());
    EXPECT_TRUE(absl::IsPermissionDenied(CheckPlanOwner(vendor, "acme", "vendor")));
    EXPECT_TRUE(absl::IsPermissionDenied(CheckPlanOwner(vendor, "", "")));
  }
}

TEST(PlanOwnerTest, ATenantSetsItsOwnPlanOnly) {
  const app::Actor admin{"ana", app::Role::kTenantAdmin, "acme"};
  EXPECT_TRUE(CheckPlanOwner(admin, "acme", "vendor").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(CheckPlanOwner(admin, "vendor", "vendor")));
}

TEST(OtherTenantsHostTest, IsNotThere) {
  TestServer server;
  // The fake application's hosts are acme's; this admin is not.
  v1::GetAgentRequest request;
  request.set_id(kAgentUuid);
  v1::GetAgentResponse response;
  EXPECT_EQ(server.Call("ringfence.v1.FleetService/GetAgent", kGlobexToken, request, &response).error_code(),
            StatusCode::NOT_FOUND);
  EXPECT_EQ(server.Call("ringfence.v1.FleetService/GetAgent", kAdminToken, request, &response).error_code(),
            StatusCode::OK);
}

}  // namespace
}  // namespace ringfence::api
