// ringfence release approve, deny, approvals, explain: what a person decides, and what hosts wait for.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
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
    table.Row({absl::StrCat(approval.channel(), "/", approval.serial()), approval.version(), approval.ring(),
               StateText(approval.state()), approval.person(),
               approval.has_at() ? context.Time(approval.at()) : "-", approval.reason()});
  }
  context.out() << table.ToString();
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
