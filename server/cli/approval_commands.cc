// ringfence release approve, deny, approvals, explain: what a person decides, and what hosts wait for.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/plan/approval.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.pb.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/key_files.h"
#include "server/cli/table.h"

namespace ringfence::cli {
namespace {

const char* StateText(v1::ApprovalState state) {
  switch (state) {
    case v1::APPROVAL_STATE_WAITING:
      return "waiting";
    case v1::APPROVAL_STATE_APPROVED:
      return "approved";
    case v1::APPROVAL_STATE_DENIED:
      return "denied";
    default:
      return "?";
  }
}

absl::StatusOr<absl::Duration> HastenedTo(const ReleaseOptions& options, bool approve) {
  absl::Duration age;
  if (!approve || !ParseHumanDuration(options.min_age, &age))
    return absl::InvalidArgumentError("--min-age: wanted, for an approval, a duration such as 4h");
  return age;
}

// The decision as its customer's hosts want it. The numbers come from the server; what is signed names the
// release by them and by the bytes that it has there.
absl::StatusOr<std::string> SignDecision(Context& context, const ReleaseOptions& options,
                                         const ReleaseName& name, bool approve) {
  v1::ListApprovalsRequest asked;
  v1::ListApprovalsResponse known;
  asked.set_tenant(options.tenant);
  RETURN_IF_ERROR(context.remote().Call("PlanService/ListApprovals", asked, &known));
  if (known.next_seq() == 0) {
    return absl::FailedPreconditionError(
        "this tenant does not sign its plans: approve or deny without --key");
  }
  v1::GetReleaseRequest request;
  v1::GetReleaseResponse response;
  request.set_channel(name.channel);
  request.set_serial(name.serial);
  RETURN_IF_ERROR(context.remote().Call("ReleaseService/GetRelease", request, &response));
  v1::GetPlanRequest plan_request;
  v1::GetPlanResponse plan;
  plan_request.set_tenant(options.tenant);
  RETURN_IF_ERROR(context.remote().Call("PlanService/GetPlan", plan_request, &plan));
  plan::ApprovalStatement said;
  said.seq = known.next_seq();
  said.tenant = plan.current().plan().tenant();
  said.approve = approve;
  said.channel = name.channel;
  said.serial = name.serial;
  ASSIGN_OR_RETURN(const Digest digest, Digest::FromBytes(response.release().manifest().digest()));
  said.digests = {digest};
  // Of a set that is its name; hosts know it by the bytes that are theirs.
  for (const v1::ReleaseArtifact& artifact : response.release().artifacts()) {
    ASSIGN_OR_RETURN(const Digest bytes, Digest::FromBytes(artifact.digest()));
    said.digests.push_back(bytes);
  }
  if (!options.ring.empty()) said.rings = {options.ring};
  said.reason = options.reason;
  if (!options.not_after.empty()) {
    absl::Duration lasts;
    if (!approve || !ParseHumanDuration(options.not_after, &lasts))
      return absl::InvalidArgumentError("--for: wanted, for an approval, a duration such as 7d");
    said.not_after = absl::FromUnixSeconds(absl::ToUnixSeconds(context.world().now() + lasts));
  }
  if (!options.min_age.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration age, HastenedTo(options, approve));
    said.min_age = absl::Ceil(age, absl::Seconds(1));
  }
  trust::Envelope envelope{plan::kApprovalPayloadType, "", {}};
  ASSIGN_OR_RETURN(envelope.payload, plan::ApprovalPayload(said));
  for (const std::string& file : options.keys) {
    ASSIGN_OR_RETURN(const trust::SigningKey key,
                     ReadPersonsKey(context.world(), file, options.passphrase_file));
    trust::Sign(key, &envelope);
  }
  return trust::SerializeEnvelope(envelope);
}

template <typename Request, typename Response>
int Decide(Context& context, const ReleaseOptions& options, const char* method, const char* done) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  if (name->serial == 0)
    return context.Usage(
        "name one release: CHANNEL/SERIAL or CHANNEL/VERSION; the newest may change meanwhile");
  Request request;
  Response response;
  request.set_request_id(context.request_id());
  request.set_tenant(options.tenant);
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  request.set_ring(options.ring);
  request.set_reason(options.reason);
  if (!options.min_age.empty()) {
    const absl::StatusOr<absl::Duration> age =
        HastenedTo(options, std::is_same_v<Request, v1::ApproveReleaseRequest>);
    if (!age.ok()) return context.Usage(age.status().message());
    if constexpr (std::is_same_v<Request, v1::ApproveReleaseRequest>)
      FromDuration(*age, request.mutable_min_age());
  }
  if (!options.keys.empty()) {
    const absl::StatusOr<std::string> envelope =
        SignDecision(context, options, *name, std::is_same_v<Request, v1::ApproveReleaseRequest>);
    if (absl::IsInvalidArgument(envelope.status())) return context.Usage(envelope.status().message());
    if (!envelope.ok()) return context.Fail(envelope.status());
    request.set_envelope(*envelope);
  }
  const absl::Status status = context.remote().Call(method, request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  context.out() << done << " " << name->channel << "/" << name->serial << " for "
                << (options.ring.empty() ? std::string("every ring that asks")
                                         : absl::StrCat("ring ", options.ring))
                << " of "
                << (response.approval().tenant().empty() ? options.tenant : response.approval().tenant())
                << "\n";
  return kOk;
}

}  // namespace

int ReleaseApprove(Context& context, const ReleaseOptions& options) {
  return Decide<v1::ApproveReleaseRequest, v1::ApproveReleaseResponse>(
      context, options, "PlanService/ApproveRelease", "approved");
}

int ReleaseDeny(Context& context, const ReleaseOptions& options) {
  return Decide<v1::DenyReleaseRequest, v1::DenyReleaseResponse>(context, options, "PlanService/DenyRelease",
                                                                 "denied");
}

int ReleaseApprovals(Context& context, const ReleaseOptions& options) {
  v1::ListApprovalsRequest request;
  v1::ListApprovalsResponse response;
  request.set_tenant(options.tenant);
  request.set_waiting_only(!options.all);
  const absl::Status status = context.remote().Call("PlanService/ListApprovals", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  Table table({"RELEASE", "VERSION", "RING", "STATE", "BY", "AT", "REASON"},
              options.all ? "no ring of the plan asks a person" : "no release waits for an approval");
  for (const v1::ReleaseApproval& approval : response.approvals()) {
    table.Row(
        {absl::StrCat(approval.channel(), "/", approval.serial()), approval.version(), approval.ring(),
         absl::StrCat(StateText(approval.state()),
                      approval.has_min_age()
                          ? absl::StrCat(" at an age of ", Human(ToDuration(approval.min_age())))
                          : ""),
         approval.seq() > 0 ? absl::StrCat(approval.person(), ", seq ", approval.seq()) : approval.person(),
         approval.has_at() ? context.Time(approval.at()) : "-", approval.reason()});
  }
  context.out() << table.ToString();
  context.out() << SaidOfPlan("\n", response.authority());
  return kOk;
}

int ReleaseExplain(Context& context, const ReleaseOptions& options) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  v1::ExplainReleaseRequest request;
  v1::ExplainReleaseResponse response;
  request.set_tenant(options.tenant);
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  const absl::Status status = context.remote().Call("FleetService/ExplainRelease", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  context.out() << response.channel() << "/" << response.serial() << " " << Printable(response.version())
                << ", " << response.hosts() << " hosts"
                << (options.tenant.empty() ? "" : absl::StrCat(" of ", options.tenant)) << "\n\n";
  Table table({">HOSTS", ">SILENT", "RING", "ANSWER", "OPENED BY", "NEXT", "DETAIL"},
              "the tenant has no host");
  for (const v1::ReasonGroup& group : response.groups()) {
    table.Row({absl::StrCat(group.hosts()), absl::StrCat(group.silent()),
               group.ring().empty() ? "none" : group.ring(), group.reason().empty() ? "yes" : group.reason(),
               group.opens_by(), group.has_next() ? context.Time(group.next()) : "-", group.detail()});
  }
  context.out() << table.ToString();
  return kOk;
}

}  // namespace ringfence::cli
