// No way around: every RPC of the contract, by everybody who may call it and some who may not, with the
// boldest request that it can carry, against the real application; and after each, hosts that eligibility
// refuses ask for a lease. None gets one, none is exposed. An RPC without a row here fails the test.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/v1/agent.pb.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.grpc.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/api/encode.h"
#include "tests/api/test_server.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::api {
namespace {

using google::protobuf::FileDescriptor;
using google::protobuf::Message;

void AddMethods(const FileDescriptor& file, std::set<std::string>& methods) {
  for (int i = 0; i < file.service_count(); ++i) {
    for (int j = 0; j < file.service(i)->method_count(); ++j)
      methods.insert(absl::StrCat(file.service(i)->name(), "/", file.service(i)->method(j)->name()));
  }
}

// Of every file of the contract, also one that nobody here has heard of.
std::set<std::string> EveryMethod() {
  std::set<std::string> methods;
  for (const auto& entry : std::filesystem::directory_iterator("proto/ringfence/v1")) {
    if (entry.path().extension() != ".proto") continue;
    const std::string name = absl::StrCat("ringfence/v1/", entry.path().filename().string());
    const FileDescriptor* file = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name);
    EXPECT_NE(file, nullptr) << name;
    if (file != nullptr) AddMethods(*file, methods);
  }
  return methods;
}

std::set<std::string> Without(std::set<std::string> methods, const std::set<std::string>& rows) {
  for (const std::string& row : rows) methods.erase(row);
  return methods;
}

// A host that must get nothing, and why.
struct Refused {
  AgentId id;
  std::string token;
  std::string why;
  policy::Labels labels;
};

class NoWayAroundTest : public testing::Test {
 protected:
  NoWayAroundTest() {
    fleet_.AddRing("vendor", "dogfood", 3);
    for (int i = 0; i < 3; ++i) fleet_.host(i).away = true;  // the first ring never passes
    fleet_.Start();
    server_.env().app = &fleet_.app();
    fleet_.app().OnLeaseQueued([this] { fleet_.app().CommitOnce().IgnoreError(); });
    fleet_.Apply(test::PlanOf("vendor", {test::RingNamed("dogfood")}));
    policy::Ring asks = test::RingNamed("asks");
    asks.approval = policy::Approval::kExplicit;
    acme_ = test::PlanOf("acme", {test::RingNamed("canary"), asks, test::RingNamed("rest")});
    fleet_.Apply(acme_);
    policy::Plan paused = test::PlanOf("globex", {test::RingNamed("canary")});
    paused.channels[0].mode = policy::ChannelMode::kPaused;
    fleet_.Apply(paused);
    policy::Release release = fleet_.NextRelease();
    release.urgent = true;
    release.matrix = {policy::Selector{{{"os", {"win10"}}}}};
    release_ = fleet_.TryPublish(release).value();
    other_ = fleet_.Publish("spare");  // that no plan names
    Enrol("acme", "canary", "win10", "the vendor's own fleet has not passed");
    Enrol("acme", "asks", "win10", "nobody approved");
    Enrol("acme", "rest", "win10", "an earlier ring has not passed");
    Enrol("acme", "none", "win10", "no ring of the plan matches");
    Enrol("acme", "canary", "xp", "outside the matrix");
    Enrol("globex", "canary", "win10", "its tenant paused the channel");
    Enrol("initech", "canary", "win10", "its tenant has no plan");
    fleet_.RunFor(absl::Minutes(10));
  }

  void Enrol(const std::string& tenant, const std::string& ring, const std::string& os,
             const std::string& why) {
    v1::CreateEnrolmentTokenRequest ask;
    ask.set_request_id(Id());
    ask.set_tenant(tenant);
    ask.mutable_valid_for()->set_seconds(3600);
    v1::CreateEnrolmentTokenResponse token;
    ASSERT_TRUE(server_.Call(Full("FleetService/CreateEnrolmentToken"), kSreToken, ask, &token).ok());
    Refused host;
    const Digest drawn = Sha256(why);
    std::copy_n(drawn.bytes.begin(), 16, host.id.bytes.begin());
    host.id.bytes[6] = static_cast<uint8_t>((host.id.bytes[6] & 0x0f) | 0x40);
    host.id.bytes[8] = static_cast<uint8_t>((host.id.bytes[8] & 0x3f) | 0x80);
    host.why = why;
    host.labels = policy::Labels::Make({{"os", os}, {"ring", ring}}).value();
    v1::EnrollRequest enrol;
    enrol.set_token(token.token());
    enrol.set_agent_id(std::string(host.id.raw()));
    enrol.set_boot_id("boot-1");
    Say(host.labels, enrol.mutable_labels());
    v1::EnrollResponse enrolled;
    ASSERT_TRUE(server_.Call(Full("AgentService/Enroll"), "", enrol, &enrolled).ok()) << why;
    host.token = absl::StrCat(host.id.ToString(), ".", absl::BytesToHexString(enrolled.secret()));
    hosts_.push_back(host);
  }

  static void Say(const policy::Labels& labels, google::protobuf::RepeatedPtrField<v1::Label>* out) {
    for (const auto& [key, value] : labels.pairs()) {
      v1::Label* label = out->Add();
      label->set_key(key);
      label->set_value(value);
    }
  }

  static std::string Full(const std::string& method) { return absl::StrCat("ringfence.v1.", method); }
  std::string Id() { return absl::StrCat("bold-", ++ids_); }

  // What hosts do that want it: say that it is staged, then ask. Nobody may get it.
  void Chase(const std::string& after) {
    for (const Refused& host : hosts_) {
      v1::CheckInRequest heard;
      heard.set_boot_id("boot-1");
      heard.set_has_labels(true);  // as what it is, whatever was said in its name
      Say(host.labels, heard.mutable_labels());
      heard.add_staged(std::string(release_.digest.raw()));
      v1::CheckInResponse told;
      const grpc::Status checked = server_.Call(Full("AgentService/CheckIn"), host.token, heard, &told);
      for (const v1::Directive& directive : told.directives()) {
        EXPECT_FALSE(directive.kind() == v1::DIRECTIVE_KIND_PREFETCH ||
                     directive.kind() == v1::DIRECTIVE_KIND_REQUEST_LEASE)
            << after << ": " << host.why;
      }
      v1::LeaseRequest ask;
      ask.set_channel("content");
      ask.set_digest(std::string(release_.digest.raw()));
      ask.set_boot_id("boot-1");
      v1::LeaseResponse answer;
      const grpc::Status leased = server_.Call(Full("AgentService/Lease"), host.token, ask, &answer);
      EXPECT_FALSE(leased.ok() && answer.answer() == v1::LEASE_ANSWER_GRANTED) << after << ": " << host.why;
      EXPECT_TRUE(checked.ok() == leased.ok()) << after << ": " << host.why;
    }
    fleet_.Step();
    int64_t exposed = 0;
    EXPECT_TRUE(fleet_.store()
                    .ReadWrite([&](storage::Transaction& tx) {
                      exposed = 0;
                      return tx.ForEachExposure("content", release_.serial,
                                                [&](const storage::ExposureRow&) { ++exposed; });
                    })
                    .ok());
    EXPECT_EQ(exposed, 0) << after;
  }

  // Everything open: no soak but the floor, every host in one wave, nothing asked.
  v1::Plan WideOpen() {
    policy::Ring all = test::RingNamed("all");
    all.selector = {};
    v1::Plan plan;
    Encode(test::PlanOf("acme", {all}), &plan);
    return plan;
  }

  template <typename Request>
  Request Braked(const storage::Scope& scope) {
    Request request;
    request.set_request_id(Id());
    request.set_reason("the customer is on the phone");
    Encode(scope, request.mutable_scope());
    return request;
  }

  // Bytes to send, by row. Whoever may call it or not: everybody sends them, but those named in `spared`,
  // whose own decision it is.
  struct Row {
    std::function<std::vector<std::string>()> requests;
    std::set<std::string> spared = {};
  };
  std::map<std::string, Row> Rows();
  template <typename... Requests>
  static std::vector<std::string> Bytes(const Requests&... requests) {
    return {requests.SerializeAsString()...};
  }

  test::FleetHarness fleet_;
  TestServer server_;
  policy::Plan acme_;
  policy::Release release_, other_;
  std::vector<Refused> hosts_;
  int ids_ = 0;
};

std::map<std::string, NoWayAroundTest::Row> NoWayAroundTest::Rows() {
  const storage::Scope all{"acme", "", 0, ""}, ours{"", "content", release_.serial, ""},
      theirs{"acme", "content", release_.serial, ""}, spare{"", "spare", other_.serial, ""};
  const auto reading = [](auto request) {
    request.set_channel("content");
    return Row{[request] { return Bytes(request); }};
  };
  std::map<std::string, Row> rows;
  rows["AgentService/Enroll"] = {[this] {
    v1::EnrollRequest again;  // another's name, no token of its tenant
    again.set_token(std::string(64, 'a'));
    again.set_agent_id(std::string(hosts_[0].id.raw()));
    again.set_boot_id("boot-1");
    return Bytes(again);
  }};
  rows["AgentService/CheckIn"] = {[this] {
    v1::CheckInRequest claims;  // that it runs it already
    claims.set_boot_id("boot-1");
    claims.set_labels_hash(std::string(16, 'h'));
    claims.add_staged(std::string(release_.digest.raw()));
    claims.set_halt_seq(uint64_t{1} << 52);
    v1::CheckInRequest moved = claims;  // that it belongs to another ring, and back
    moved.clear_labels_hash();
    moved.set_has_labels(true);
    v1::Label* label = moved.add_labels();
    label->set_key("ring");
    label->set_value("elsewhere");
    return Bytes(claims, moved);
  }};
  rows["AgentService/Lease"] = {[this] {
    v1::LeaseRequest ask;
    ask.set_channel("content");
    ask.set_digest(std::string(release_.digest.raw()));
    ask.set_boot_id("boot-1");
    ask.set_nonce(std::string(16, 'n'));
    v1::LeaseRequest pinned = ask;  // by a plan of its own
    pinned.set_plan_sha256(std::string(32, 'p'));
    return Bytes(ask, pinned);
  }};
  rows["AgentService/GetArtifact"] = {[this] {
    v1::GetArtifactRequest fetch;
    fetch.set_digest(std::string(release_.digest.raw()));
    return Bytes(fetch);
  }};
  rows["AgentService/FetchMetadata"] = {[] {
    v1::FetchMetadataRequest fetch;
    fetch.set_name("timestamp.json");
    return Bytes(fetch);
  }};

  rows["AgentService/FetchPlan"] = {[] { return Bytes(v1::FetchPlanRequest()); }};

  // A stream of requests: another test sends it.
  rows["ReleaseService/PublishRelease"] = {[] { return std::vector<std::string>(); }};
  rows["ReleaseService/ListReleases"] = reading(v1::ListReleasesRequest());
  rows["ReleaseService/GetRelease"] = {[this] {
    v1::GetReleaseRequest get;
    get.set_channel("content");
    get.set_serial(release_.serial);
    return Bytes(get);
  }};
  rows["ReleaseService/RecallRelease"] = {[this] {
    v1::RecallReleaseRequest recall;  // the other one, so that this one is all that is left
    recall.set_request_id(Id());
    recall.set_reason("make room");
    recall.set_channel("spare");
    recall.set_serial(other_.serial);
    return Bytes(recall);
  }};
  rows["ReleaseService/ListUrgentReleases"] = {[] { return Bytes(v1::ListUrgentReleasesRequest()); }};
  rows["ReleaseService/AcknowledgeRelease"] = {[this] {
    v1::AcknowledgeReleaseRequest seen;
    seen.set_request_id(Id());
    seen.set_reason("go");
    seen.set_tenant("acme");
    seen.set_channel("content");
    seen.set_serial(release_.serial);
    return Bytes(seen);
  }};

  rows["PlanService/ValidatePlan"] = {[this] {
    v1::ValidatePlanRequest validate;
    *validate.mutable_plan() = WideOpen();
    return Bytes(validate);
  }};
  rows["PlanService/ApplyPlan"] = {[this] {
                                     v1::ApplyPlanRequest apply;
                                     apply.set_request_id(Id());
                                     apply.set_reason("it is urgent");
                                     apply.set_expected_revision(1);
                                     *apply.mutable_plan() = WideOpen();
                                     return Bytes(apply);
                                   },
                                   {kAdminToken}};  // its own plan is its own
  const auto of_acme = [](auto request) {
    request.set_tenant("acme");
    return Row{[request] { return Bytes(request); }};
  };
  rows["PlanService/GetPlan"] = of_acme(v1::GetPlanRequest());
  rows["PlanService/ListPlanRevisions"] = of_acme(v1::ListPlanRevisionsRequest());
  rows["PlanService/ListApprovals"] = of_acme(v1::ListApprovalsRequest());
  rows["PlanService/PreviewPlan"] = {[this] {
    v1::PreviewPlanRequest preview;
    *preview.mutable_plan() = WideOpen();
    return Bytes(preview);
  }};
  const auto said = [this](auto request) {
    request.set_request_id(Id());
    request.set_reason("it is urgent");
    request.set_tenant("acme");
    request.set_channel("content");
    request.set_serial(release_.serial);
    return Bytes(request);
  };
  // Also by its own people: approval is one gate of many.
  rows["PlanService/ApproveRelease"] = {[said] { return said(v1::ApproveReleaseRequest()); }};
  rows["PlanService/DenyRelease"] = {[said] { return said(v1::DenyReleaseRequest()); }};

  rows["RolloutService/ListRollouts"] = reading(v1::ListRolloutsRequest());
  rows["RolloutService/GetRollout"] = reading(v1::GetRolloutRequest());
  rows["RolloutService/WatchRollout"] = {
      [] { return std::vector<std::string>(); }};  // a stream, never ending
  rows["RolloutService/PauseRollout"] = {[=, this] {
    return Bytes(Braked<v1::PauseRolloutRequest>(all), Braked<v1::PauseRolloutRequest>(spare));
  }};
  rows["RolloutService/HaltRollout"] = {[=, this] { return Bytes(Braked<v1::HaltRolloutRequest>(spare)); }};
  rows["RolloutService/RollBackRollout"] = {
      [=, this] { return Bytes(Braked<v1::RollBackRolloutRequest>(spare)); }};
  rows["RolloutService/ResumeRollout"] = {[=, this] {
    std::vector<std::string> requests;
    for (const storage::Scope& scope : {all, ours, theirs, spare}) {
      for (const v1::BrakeKind kind : {v1::BRAKE_KIND_PAUSE, v1::BRAKE_KIND_HOLD, v1::BRAKE_KIND_HALT}) {
        auto resume = Braked<v1::ResumeRolloutRequest>(scope);
        resume.set_brake(kind);
        requests.push_back(resume.SerializeAsString());
        resume.set_request_id(Id());
        resume.set_signed_order("{\"payload\":\"\",\"payloadType\":\"x\",\"signatures\":[]}");
        requests.push_back(resume.SerializeAsString());
      }
    }
    return requests;
  }};
  rows["RolloutService/RequestBypass"] = {[=, this] {
    std::vector<std::string> requests;
    for (int kind = v1::BypassKind_MIN; kind <= v1::BypassKind_MAX; ++kind) {
      auto bypass = Braked<v1::RequestBypassRequest>(theirs);
      bypass.set_kind(static_cast<v1::BypassKind>(kind));
      requests.push_back(bypass.SerializeAsString());
    }
    return requests;
  }};
  // To take away and to give back what a cohort is kept from.
  const auto cohort = [this](auto request, const std::string& name) {
    request.set_request_id(Id());
    request.set_reason("it is urgent");
    request.set_channel("content");
    request.set_serial(release_.serial);
    request.set_cohort(name);
    return request.SerializeAsString();
  };
  rows["RolloutService/ExcludeCohort"] = {
      [cohort] { return std::vector<std::string>{cohort(v1::ExcludeCohortRequest(), "os=win7")}; }};
  rows["RolloutService/UnblockCohort"] = {[cohort] {
    std::vector<std::string> requests;
    for (const char* name : {"os=win7", "os=win10", "tenant acme", "ring canary"})
      requests.push_back(cohort(v1::UnblockCohortRequest(), name));
    return requests;
  }};
  rows["RolloutService/ListDecisions"] = reading(v1::ListDecisionsRequest());
  rows["RolloutService/ListEvidence"] = reading(v1::ListEvidenceRequest());

  rows["FleetService/ListAgents"] = {[] { return Bytes(v1::ListAgentsRequest()); }};
  rows["FleetService/GetAgent"] = {[this] {
    v1::GetAgentRequest get;
    get.set_id(hosts_[0].id.ToString());
    return Bytes(get);
  }};
  rows["FleetService/ExplainAgent"] = {[this] {
    v1::ExplainAgentRequest explain;
    explain.set_id(hosts_[0].id.ToString());
    explain.set_channel("content");
    return Bytes(explain);
  }};
  rows["FleetService/ExplainRelease"] = {[] {
    v1::ExplainReleaseRequest explain;
    explain.set_tenant("acme");
    explain.set_channel("content");
    return Bytes(explain);
  }};
  rows["FleetService/DeleteAgent"] = {[this] {
    v1::DeleteAgentRequest forget;  // and with it whatever was known of it
    forget.set_request_id(Id());
    forget.set_reason("start afresh");
    forget.set_id(hosts_[4].id.ToString());
    return Bytes(forget);
  }};
  rows["FleetService/CreateEnrolmentToken"] = {[this] {
    v1::CreateEnrolmentTokenRequest token;
    token.set_request_id(Id());
    token.set_tenant("acme");
    token.mutable_valid_for()->set_seconds(3600);
    return Bytes(token);
  }};
  rows["FleetService/GetServerStatus"] = {[] { return Bytes(v1::GetServerStatusRequest()); }};
  rows["FleetService/ListAuditEvents"] = {[] { return Bytes(v1::ListAuditEventsRequest()); }};
  return rows;
}

TEST_F(NoWayAroundTest, EveryRpcHasARowHere) {
  std::set<std::string> rows;
  for (const auto& [method, row] : Rows()) rows.insert(method);
  EXPECT_THAT(rows, testing::ContainerEq(EveryMethod()));
}

TEST_F(NoWayAroundTest, ACallThatIsNewHasNoneAndWouldFail) {
  google::protobuf::FileDescriptorProto file;
  file.set_name("ringfence/v1/fresh.proto");
  file.set_package("ringfence.v1");
  file.set_syntax("proto3");
  file.add_dependency("ringfence/v1/plan.proto");
  auto* service = file.add_service();
  service->set_name("FreshService");
  auto* method = service->add_method();
  method->set_name("ForceRelease");
  method->set_input_type(".ringfence.v1.ApplyPlanRequest");
  method->set_output_type(".ringfence.v1.ApplyPlanResponse");
  google::protobuf::DescriptorPool pool(google::protobuf::DescriptorPool::generated_pool());
  const FileDescriptor* built = pool.BuildFile(file);
  ASSERT_NE(built, nullptr);
  std::set<std::string> methods = EveryMethod(), rows;
  AddMethods(*built, methods);
  for (const auto& [name, row] : Rows()) rows.insert(name);
  EXPECT_THAT(Without(methods, rows), testing::ElementsAre("FreshService/ForceRelease"));
}

TEST_F(NoWayAroundTest, NoRpcExposesAHostThatEligibilityRefuses) {
  Chase("nothing");
  for (const auto& [method, row] : Rows()) {
    std::vector<std::string> tokens = {"", kViewerToken, kAdminToken, kGlobexToken, kSreToken, kManagerToken};
    for (const Refused& host : hosts_) tokens.push_back(host.token);
    for (const std::string& token : tokens) {
      if (row.spared.contains(token)) continue;
      for (const std::string& bytes : row.requests()) server_.CallBytes(Full(method), token, bytes);
    }
    Chase(method);
    if (HasFailure()) return;
  }
}

// What the others show is worth something: the road is open, and taken by whoever's turn has come.
TEST_F(NoWayAroundTest, TheHostWhoseTurnComesGetsItAndTheOthersStillDoNot) {
  for (int i = 0; i < 3; ++i) fleet_.WakeUp(i);
  std::set<std::string> granted;
  for (int minute = 0; minute < 600 && granted.empty(); ++minute) {
    fleet_.RunFor(absl::Minutes(1));
    for (const Refused& host : hosts_) {
      v1::CheckInRequest heard;
      heard.set_boot_id("boot-1");
      heard.set_has_labels(true);
      Say(host.labels, heard.mutable_labels());
      heard.add_staged(std::string(release_.digest.raw()));
      v1::CheckInResponse told;
      ASSERT_TRUE(server_.Call(Full("AgentService/CheckIn"), host.token, heard, &told).ok());
      v1::LeaseRequest ask;
      ask.set_channel("content");
      ask.set_digest(std::string(release_.digest.raw()));
      ask.set_boot_id("boot-1");
      v1::LeaseResponse answer;
      ASSERT_TRUE(server_.Call(Full("AgentService/Lease"), host.token, ask, &answer).ok()) << host.why;
      if (answer.answer() == v1::LEASE_ANSWER_GRANTED) granted.insert(host.why);
    }
  }
  EXPECT_THAT(granted, testing::ElementsAre("the vendor's own fleet has not passed"));
}

TEST_F(NoWayAroundTest, APublicationThatAsksToPassOverRingsTravelsAsAnyOther) {
  auto stub = v1::ReleaseService::NewStub(server_.channel());
  grpc::ClientContext context;
  Authorize(context, kManagerToken);
  v1::PublishReleaseResponse response;
  auto writer = stub->PublishRelease(&context, &response);
  v1::PublishReleaseRequest part;
  v1::PublishReleaseHeader* header = part.mutable_header();
  header->set_request_id(Id());
  header->set_skip_rings(true);
  v1::ReleaseManifest* manifest = header->mutable_manifest();
  policy::Release bold = release_;
  bold.serial = release_.serial + 1;
  bold.version = "bold";
  const std::string bytes = "bold bytes";
  bold.digest = Sha256(bytes);
  Encode(bold, manifest);
  writer->Write(part);
  part.set_data(bytes);
  writer->Write(part);
  writer->WritesDone();
  const grpc::Status published = writer->Finish();
  ASSERT_TRUE(published.ok()) << published.error_message();
  release_ = bold;
  fleet_.RunFor(absl::Minutes(30));
  Chase("PublishRelease with skip_rings");
}

TEST_F(NoWayAroundTest, WhoReachesForACustomersPlanIsOnRecord) {
  for (const auto& [method, row] : Rows()) {
    if (method != "PlanService/ApplyPlan" && method != "PlanService/ApproveRelease" &&
        method != "RolloutService/RequestBypass")
      continue;
    for (const std::string& bytes : row.requests()) {
      EXPECT_FALSE(server_.CallBytes(Full(method), kSreToken, bytes).ok()) << method;
    }
  }
  v1::ListAuditEventsResponse audit;
  ASSERT_TRUE(
      server_.Call(Full("FleetService/ListAuditEvents"), kSreToken, v1::ListAuditEventsRequest(), &audit)
          .ok());
  std::multiset<std::string> denied;
  for (const v1::AuditEvent& event : audit.events()) {
    if (event.act() == "bypass_denied") denied.insert(absl::StrCat(event.person(), ": ", event.before()));
  }
  EXPECT_THAT(denied,
              testing::UnorderedElementsAre("sam: ignore_plan", "sam: ignore_plan", "sam: ignore_plan",
                                            "sam: skip_ring", "sam: shorten_soak", "sam: widen_wave"));
}

}  // namespace
}  // namespace ringfence::api
