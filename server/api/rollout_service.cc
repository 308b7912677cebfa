// The journey of releases: watching it, and the brakes. Stops are urgent: they pass everything else that
// waits.

#include "ringfence/base/status_macros.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/api/decode.h"
#include "server/api/encode.h"
#include "server/api/pages.h"
#include "server/api/permissions.h"
#include "server/api/rollout_watch.h"
#include "server/api/services.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

// A label's key and value, and the sign between them.
constexpr size_t kMostCohortBytes = 64 + 1 + 256;

class RolloutService final : public RpcService {
 public:
  RolloutService(Environment* env, WatchHub* hub) : RpcService(env, "ringfence.v1.RolloutService") {
    AddOperatorCall<v1::ListRolloutsRequest, v1::ListRolloutsResponse>(
        "ListRollouts",
        [this](const auto& actor, const auto& in, auto* out) { return List(actor, in, out); });
    AddOperatorCall<v1::GetRolloutRequest, v1::GetRolloutResponse>(
        "GetRollout", [this](const auto& actor, const auto& in, auto* out) { return Get(actor, in, out); });
    AddDownload("WatchRollout", [hub](const Call& call, const grpc::ByteBuffer* in) {
      return StartRolloutWatch(call, hub, in);
    });
    AddOperatorCall<v1::PauseRolloutRequest, v1::PauseRolloutResponse>(
        "PauseRollout",
        [this](const auto& actor, const auto& in, auto* out) { return Pause(actor, in, out); },
        /*urgent=*/true);
    AddOperatorCall<v1::ResumeRolloutRequest, v1::ResumeRolloutResponse>(
        "ResumeRollout",
        [this](const auto& actor, const auto& in, auto* out) { return Resume(actor, in, out); });
    AddOperatorCall<v1::HaltRolloutRequest, v1::HaltRolloutResponse>(
        "HaltRollout", [this](const auto& actor, const auto& in, auto* out) { return Halt(actor, in, out); },
        /*urgent=*/true);
    AddOperatorCall<v1::RollBackRolloutRequest, v1::RollBackRolloutResponse>(
        "RollBackRollout",
        [this](const auto& actor, const auto& in, auto* out) { return RollBack(actor, in, out); },
        /*urgent=*/true);
    AddOperatorCall<v1::RequestBypassRequest, v1::RequestBypassResponse>(
        "RequestBypass", [this](const auto& actor, const auto& in, auto*) { return Bypass(actor, in); });
    AddOperatorCall<v1::ExcludeCohortRequest, v1::ExcludeCohortResponse>(
        "ExcludeCohort",
        [this](const auto& actor, const auto& in, auto* out) {
          return OfCohort(actor, in, out, &app::App::ExcludeCohort);
        },
        /*urgent=*/true);
    AddOperatorCall<v1::UnblockCohortRequest, v1::UnblockCohortResponse>(
        "UnblockCohort", [this](const auto& actor, const auto& in, auto* out) {
          return OfCohort(actor, in, out, &app::App::UnblockCohort);
        });
    AddOperatorCall<v1::ListDecisionsRequest, v1::ListDecisionsResponse>(
        "ListDecisions",
        [this](const auto& actor, const auto& in, auto* out) { return Decisions(actor, in, out); });
    AddOperatorCall<v1::ListEvidenceRequest, v1::ListEvidenceResponse>(
        "ListEvidence",
        [this](const auto& actor, const auto& in, auto* out) { return Evidence(actor, in, out); });
  }

 private:
  absl::Status List(const app::Actor& actor, const v1::ListRolloutsRequest& in,
                    v1::ListRolloutsResponse* out) {
    Faults faults;
    CheckSlugOrEmpty(in.channel(), "channel", faults);
    const Page page = DecodePage(in.page_size(), in.page_token(), faults);
    RETURN_IF_ERROR(faults.ToStatus());
    const std::vector<app::RolloutInfo> rollouts = env()->app->ListRollouts(in.channel(), actor.tenant);
    out->set_next_page_token(ShowPage(
        rollouts, page, [](const app::RolloutInfo& info) { return info.release.rollout; },
        [out](const app::RolloutInfo& info) { Encode(info, out->add_rollouts()); }));
    return absl::OkStatus();
  }

  absl::Status Get(const app::Actor& actor, const v1::GetRolloutRequest& in, v1::GetRolloutResponse* out) {
    Faults faults;
    CheckSlug(in.channel(), "channel", faults);
    CheckSerialOrZero(in.serial(), "serial", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    ASSIGN_OR_RETURN(const app::RolloutInfo info,
                     env()->app->GetRollout(in.channel(), in.serial(), actor.tenant));
    Encode(info, out->mutable_rollout());
    return absl::OkStatus();
  }

  // The parts that every brake request has. `whole_release` wants a channel and a serial.
  template <typename Request>
  static absl::Status DecodeAct(const app::Actor& actor, const Request& in, bool whole_release,
                                Faults& faults, app::Act* act, storage::Scope* scope) {
    *scope = DecodeScope(in.scope(), "scope", faults);
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckReason(in.reason(), faults);
    if (whole_release && scope->serial == 0) faults.Add("scope.serial", "0", "the release's serial");
    RETURN_IF_ERROR(faults.ToStatus());
    *act = {.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    return CheckTenant(actor, scope->tenant);
  }

  absl::Status Pause(const app::Actor& actor, const v1::PauseRolloutRequest& in,
                     v1::PauseRolloutResponse* out) {
    Faults faults;
    app::Act act;
    storage::Scope scope;
    RETURN_IF_ERROR(DecodeAct(actor, in, /*whole_release=*/false, faults, &act, &scope));
    ASSIGN_OR_RETURN(const storage::BrakeRow brake, env()->app->Pause(act, scope));
    Encode(brake, out->mutable_brake());
    return absl::OkStatus();
  }

  absl::Status Resume(const app::Actor& actor, const v1::ResumeRolloutRequest& in,
                      v1::ResumeRolloutResponse* out) {
    Faults faults;
    const app::BrakeKind kind = DecodeBrakeKind(in.brake(), "brake", faults);
    app::Act act;
    storage::Scope scope;
    RETURN_IF_ERROR(DecodeAct(actor, in, /*whole_release=*/false, faults, &act, &scope));
    ASSIGN_OR_RETURN(const app::ResumeReply reply, env()->app->Resume(act, scope, kind, in.signed_order()));
    Encode(reply.brake, out->mutable_brake());
    out->set_needs_second_person(reply.needs_second_person);
    return absl::OkStatus();
  }

  absl::Status Bypass(const app::Actor& actor, const v1::RequestBypassRequest& in) {
    Faults faults;
    const app::BypassKind kind = DecodeBypassKind(in.kind(), "kind", faults);
    app::Act act;
    storage::Scope scope;
    RETURN_IF_ERROR(DecodeAct(actor, in, /*whole_release=*/false, faults, &act, &scope));
    return env()->app->DenyBypass(act, {kind, scope});
  }

  absl::Status Halt(const app::Actor& actor, const v1::HaltRolloutRequest& in, v1::HaltRolloutResponse* out) {
    Faults faults;
    app::Act act;
    storage::Scope scope;
    RETURN_IF_ERROR(DecodeAct(actor, in, /*whole_release=*/true, faults, &act, &scope));
    ASSIGN_OR_RETURN(const storage::BrakeRow brake, env()->app->Halt(act, scope));
    Encode(brake, out->mutable_brake());
    return absl::OkStatus();
  }

  absl::Status RollBack(const app::Actor& actor, const v1::RollBackRolloutRequest& in,
                        v1::RollBackRolloutResponse* out) {
    Faults faults;
    app::Act act;
    storage::Scope scope;
    RETURN_IF_ERROR(DecodeAct(actor, in, /*whole_release=*/true, faults, &act, &scope));
    ASSIGN_OR_RETURN(const app::RollBackReply reply, env()->app->RollBack(act, scope));
    Encode(reply.brake, out->mutable_brake());
    out->set_hosts(reply.hosts);
    return absl::OkStatus();
  }

  template <typename Request, typename Response, typename Call>
  absl::Status OfCohort(const app::Actor& actor, const Request& in, Response* out, Call call) {
    Faults faults;
    CheckSlug(in.channel(), "channel", faults);
    CheckSerialOrZero(in.serial(), "serial", faults);
    if (in.serial() == 0) faults.Add("serial", "0", "the release's serial");
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckReason(in.reason(), faults);
    if (in.cohort().empty() || in.cohort().size() > kMostCohortBytes ||
        !IsText(in.cohort(), /*lines=*/false)) {
      faults.Add("cohort", Shown(in.cohort()), "key=value, or as blocked_cells shows it");
    }
    RETURN_IF_ERROR(faults.ToStatus());
    const app::Act act = {.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    ASSIGN_OR_RETURN(const app::CohortReply reply,
                     (env()->app.get()->*call)(act, in.channel(), in.serial(), in.cohort()));
    for (const std::string& cohort : reply.blocked) out->add_blocked_cells(cohort);
    out->set_hosts(reply.hosts);
    return absl::OkStatus();
  }

  absl::Status Decisions(const app::Actor& actor, const v1::ListDecisionsRequest& in,
                         v1::ListDecisionsResponse* out) {
    Faults faults;
    CheckSlugOrEmpty(in.tenant(), "tenant", faults);
    CheckSlugOrEmpty(in.channel(), "channel", faults);
    CheckSerialOrZero(in.serial(), "serial", faults);
    const Page page = DecodePage(in.page_size(), in.page_token(), faults);
    RETURN_IF_ERROR(faults.ToStatus());
    const std::string tenant = in.tenant().empty() ? actor.tenant : in.tenant();
    RETURN_IF_ERROR(CheckTenant(actor, tenant));
    // One more than asked for tells whether there is a next page.
    storage::DecisionFilter filter;
    filter.before = page.before;
    filter.limit = page.limit + 1;
    if (!tenant.empty()) filter.tenant = tenant;
    if (!in.channel().empty()) filter.channel = in.channel();
    if (in.serial() != 0) filter.serial = in.serial();
    ASSIGN_OR_RETURN(const std::vector<storage::DecisionRow> rows, env()->app->Decisions(filter));
    out->set_next_page_token(ShowPage(
        rows, Page{.limit = page.limit}, [](const storage::DecisionRow& row) { return row.id; },
        [out](const storage::DecisionRow& row) { Encode(row, out->add_decisions()); }));
    return absl::OkStatus();
  }

  absl::Status Evidence(const app::Actor&, const v1::ListEvidenceRequest& in, v1::ListEvidenceResponse* out) {
    Faults faults;
    CheckSlug(in.channel(), "channel", faults);
    CheckSerialOrZero(in.serial(), "serial", faults);
    const Page page = DecodePage(in.page_size(), in.page_token(), faults);
    RETURN_IF_ERROR(faults.ToStatus());
    ASSIGN_OR_RETURN(const app::EvidenceReply reply, env()->app->Evidence(in.channel(), in.serial()));
    out->set_serial(reply.judgement.serial);
    out->set_rho0(reply.judgement.rho0);
    out->set_k_max(reply.judgement.k_max);
    out->set_test(reply.judgement.test);
    for (const std::string& cell : reply.judgement.blocked) out->add_blocked_cells(cell);
    // The token is the number of records given so far.
    const auto from = static_cast<size_t>(page.before);
    const size_t to = std::min(reply.records.size(), from + static_cast<size_t>(page.limit));
    for (size_t i = from; i < to; ++i) Encode(reply.records[i], out->add_records());
    if (to < reply.records.size()) out->set_next_page_token(std::to_string(to));
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<RpcService> MakeRolloutService(Environment* env, WatchHub* hub) {
  return std::make_unique<RolloutService>(env, hub);
}

}  // namespace ringfence::api
