// Hosts, enrolment, the state of the server, the audit trail.
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/fleet.pb.h"
#include "server/api/decode.h"
#include "server/api/encode.h"
#include "server/api/pages.h"
#include "server/api/permissions.h"
#include "server/api/rpc.h"
#include "server/api/services.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

constexpr absl::Duration kDefaultValidity = absl::Hours(24);
constexpr absl::Duration kLeastValidity = absl::Minutes(1);
constexpr absl::Duration kMostValidity = absl::Hours(24 * 30);

AgentId DecodeAgentId(const std::string& text, const char* path, Faults& faults) {
  const absl::StatusOr<AgentId> agent = AgentId::Parse(text);
  if (agent.ok()) return *agent;
  faults.Add(path, Shown(text), "a lower-case UUID");
  return AgentId();
}

class FleetService final : public RpcService {
 public:
  explicit FleetService(Environment* env) : RpcService(env, "ringfence.v1.FleetService") {
    AddOperatorCall<v1::ListAgentsRequest, v1::ListAgentsResponse>(
        "ListAgents", [this](const auto& actor, const auto& in, auto* out) { return List(actor, in, out); });
    AddOperatorCall<v1::GetAgentRequest, v1::GetAgentResponse>(
        "GetAgent", [this](const auto& actor, const auto& in, auto* out) { return Get(actor, in, out); });
    AddOperatorCall<v1::ExplainAgentRequest, v1::ExplainAgentResponse>(
        "ExplainAgent",
        [this](const auto& actor, const auto& in, auto* out) { return Explain(actor, in, out); });
    AddOperatorCall<v1::ExplainReleaseRequest, v1::ExplainReleaseResponse>(
        "ExplainRelease",
        [this](const auto& actor, const auto& in, auto* out) { return ExplainAll(actor, in, out); });
    AddOperatorCall<v1::DeleteAgentRequest, v1::DeleteAgentResponse>(
        "DeleteAgent", [this](const auto& actor, const auto& in, auto*) { return Delete(actor, in); });
    AddOperatorCall<v1::CreateEnrolmentTokenRequest, v1::CreateEnrolmentTokenResponse>(
        "CreateEnrolmentToken",
        [this](const auto& actor, const auto& in, auto* out) { return Token(actor, in, out); });
    AddOperatorCall<v1::GetServerStatusRequest, v1::GetServerStatusResponse>(
        "GetServerStatus", [this](const auto& actor, const auto&, auto* out) { return Status(actor, out); });
    AddOperatorCall<v1::ListAuditEventsRequest, v1::ListAuditEventsResponse>(
        "ListAuditEvents",
        [this](const auto& actor, const auto& in, auto* out) { return Audit(actor, in, out); });
  }

 private:
  absl::Status List(const app::Actor& actor, const v1::ListAgentsRequest& in, v1::ListAgentsResponse* out) {
    Faults faults;
    CheckSlugOrEmpty(in.tenant(), "tenant", faults);
    CheckSlugOrEmpty(in.ring(), "ring", faults);
    const int limit = DecodePageSize(in.page_size(), faults);
    app::ListAgentsRequest request{.tenant = in.tenant().empty() ? actor.tenant : in.tenant(),
                                   .ring = in.ring(),
                                   .silent_only = in.silent_only(),
                                   .limit = limit + 1,
                                   .after = std::nullopt};
    if (!in.page_token().empty()) request.after = DecodeAgentId(in.page_token(), "page_token", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    RETURN_IF_ERROR(CheckTenant(actor, request.tenant));
    for (const app::AgentInfo& agent : env()->app->ListAgents(request)) {
      if (out->agents_size() == limit) {
        out->set_next_page_token(out->agents(limit - 1).id());
        break;
      }
      Encode(agent, out->add_agents());
    }
    return absl::OkStatus();
  }

  // The host, if the caller may see it. To others it is as if it were not there.
  absl::StatusOr<app::AgentInfo> Visible(const app::Actor& actor, const AgentId& agent) {
    ASSIGN_OR_RETURN(app::AgentInfo info, env()->app->GetAgent(agent));
    if (CheckTenant(actor, info.row.tenant).ok()) return info;
    return absl::NotFoundError(absl::StrCat("agent: no host ", agent.ToString()));
  }

  absl::Status Get(const app::Actor& actor, const v1::GetAgentRequest& in, v1::GetAgentResponse* out) {
    Faults faults;
    const AgentId agent = DecodeAgentId(in.id(), "id", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    ASSIGN_OR_RETURN(const app::AgentInfo info, Visible(actor, agent));
    Encode(info, out->mutable_agent());
    for (const storage::ExposureRow& exposure : info.exposures) Encode(exposure, out->add_exposures());
    return absl::OkStatus();
  }

  absl::Status Explain(const app::Actor& actor, const v1::ExplainAgentRequest& in,
                       v1::ExplainAgentResponse* out) {
    Faults faults;
    const AgentId agent = DecodeAgentId(in.id(), "id", faults);
    CheckSlug(in.channel(), "channel", faults);
    CheckSerialOrZero(in.serial(), "serial", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    RETURN_IF_ERROR(Visible(actor, agent).status());
    ASSIGN_OR_RETURN(const app::ExplainReply reply, env()->app->Explain(agent, in.channel(), in.serial()));
    Encode(reply, out);
    return absl::OkStatus();
  }

  absl::Status ExplainAll(const app::Actor& actor, const v1::ExplainReleaseRequest& in,
                          v1::ExplainReleaseResponse* out) {
    Faults faults;
    const std::string tenant = in.tenant().empty() ? actor.tenant : in.tenant();
    CheckSlug(tenant, "tenant", faults);
    CheckSlug(in.channel(), "channel", faults);
    CheckSerialOrZero(in.serial(), "serial", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    RETURN_IF_ERROR(CheckTenant(actor, tenant));
    ASSIGN_OR_RETURN(const app::ExplainReleaseReply reply,
                     env()->app->ExplainRelease(tenant, in.channel(), in.serial()));
    Encode(reply, out);
    return absl::OkStatus();
  }

  absl::Status Delete(const app::Actor& actor, const v1::DeleteAgentRequest& in) {
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckReason(in.reason(), faults);
    const AgentId agent = DecodeAgentId(in.id(), "id", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    RETURN_IF_ERROR(Visible(actor, agent).status());
    return env()->app->DeleteAgent({.actor = actor, .request_id = in.request_id(), .reason = in.reason()},
                                   agent);
  }

  absl::Status Token(const app::Actor& actor, const v1::CreateEnrolmentTokenRequest& in,
                     v1::CreateEnrolmentTokenResponse* out) {
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckSlug(in.tenant(), "tenant", faults);
    absl::Duration valid_for = kDefaultValidity;
    if (in.has_valid_for()) {
      valid_for = DecodeDuration(true, in.valid_for(), "valid_for", faults);
      if (faults.empty() && (valid_for < kLeastValidity || valid_for > kMostValidity)) {
        faults.Add("valid_for", absl::FormatDuration(valid_for), "1 minute to 30 days");
      }
    }
    RETURN_IF_ERROR(faults.ToStatus());
    RETURN_IF_ERROR(CheckTenant(actor, in.tenant()));
    const app::Act act{.actor = actor, .request_id = in.request_id(), .reason = ""};
    ASSIGN_OR_RETURN(const app::EnrolToken token, env()->app->CreateEnrolToken(act, in.tenant(), valid_for));
    out->set_token(token.token);
    Encode(token.expires_at, out->mutable_expires_at());
    return absl::OkStatus();
  }

  // The figures of the whole fleet are the vendor's; a tenant counts its own with ListAgents.
  absl::Status Status(const app::Actor& actor, v1::GetServerStatusResponse* out) {
    const app::ServerStatus status = env()->app->Status();
    out->set_version(env()->version);
    out->set_internal_tenant(status.internal_tenant);
    out->set_database_up(status.database_up);
    out->set_blind(status.blind);
    out->set_replica_epoch(status.replica_epoch);
    out->set_leader(status.leader);
    out->set_leader_name(env()->replica_name);
    out->set_answered_by(env()->replica_name);
    out->set_time_scale(env()->time_scale);
    Encode(status.checkin_interval, out->mutable_checkin_interval());
    if (actor.IsVendor()) {
      out->set_agents(status.agents);
      out->set_agents_silent(status.agents_silent);
    }
    Encode(status.now, out->mutable_now());
    if (env()->demo)
      out->add_notices("demonstration: time may run faster than the clock; not for real hosts");
    for (const std::string& notice : status.notices) out->add_notices(notice);
    for (const gate::RoleState& role : status.repository) {
      v1::RepositoryRole* one = out->add_repository();
      one->set_role(role.role);
      one->set_version(role.version);
      Encode(role.expires, one->mutable_expires());
    }
    return absl::OkStatus();
  }

  absl::Status Audit(const app::Actor& actor, const v1::ListAuditEventsRequest& in,
                     v1::ListAuditEventsResponse* out) {
    Faults faults;
    CheckSlugOrEmpty(in.tenant(), "tenant", faults);
    const Page page = DecodePage(in.page_size(), in.page_token(), faults);
    RETURN_IF_ERROR(faults.ToStatus());
    const std::string tenant = in.tenant().empty() ? actor.tenant : in.tenant();
    RETURN_IF_ERROR(CheckTenant(actor, tenant));
    storage::AuditFilter filter;
    filter.before = page.before;
    filter.limit = page.limit + 1;
    if (!tenant.empty()) filter.tenant = tenant;
    ASSIGN_OR_RETURN(const std::vector<storage::AuditRow> rows, env()->app->Audit(filter));
    out->set_next_page_token(ShowPage(
        rows, Page{.limit = page.limit}, [](const storage::AuditRow& row) { return row.id; },
        [out](const storage::AuditRow& row) { Encode(row, out->add_events()); }));
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<RpcService> MakeFleetService(Environment* env) {
  return std::make_unique<FleetService>(env);
}

}  // namespace ringfence::api
