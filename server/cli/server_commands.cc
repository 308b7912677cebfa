// ringfence status, audit, token
#include <algorithm>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/table.h"

namespace ringfence::cli {

int ServerStatus(Context& context) {
  v1::GetServerStatusResponse response;
  const absl::Status status =
      context.remote().Call("FleetService/GetServerStatus", v1::GetServerStatusRequest(), &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  context.out() << KeyValues(
      {{"version", response.version()},
       {"database", response.database_up() ? "up" : "DOWN: nothing is offered"},
       {"sight", response.blind() ? "BLIND: nothing is promoted" : "clear"},
       {"internal tenant", response.internal_tenant().empty() ? "none" : response.internal_tenant()},
       {"replica",
        absl::StrCat("epoch ", response.replica_epoch(), response.leader() ? ", leader" : ", follower")},
       {"leader", response.leader_name().empty() ? "unknown" : Printable(response.leader_name())},
       {"answered by", response.answered_by().empty() ? "unknown" : Printable(response.answered_by())},
       {"check-in", Human(ToDuration(response.checkin_interval()))},
       {"hosts", absl::StrCat(response.agents(), ", ", response.agents_silent(), " silent")},
       {"time", response.time_scale() > 1 ? absl::StrCat(context.Time(response.now()), ", ",
                                                         response.time_scale(), " times as fast")
                                          : context.Time(response.now())}});
  if (response.repository_size() > 0) {
    Table table({"ROLE", ">VERSION", "EXPIRES", ">LEFT"}, "");
    for (const v1::RepositoryRole& role : response.repository()) {
      const absl::Duration left = ToTime(role.expires()) - ToTime(response.now());
      table.Row({Printable(role.role()), absl::StrCat(role.version()), context.Time(role.expires()),
                 left > absl::ZeroDuration() ? Human(absl::Floor(left, absl::Hours(1))) : "EXPIRED"});
    }
    context.out() << "release metadata\n" << table.ToString();
  }
  for (const std::string& notice : response.notices()) {
    context.out() << context.Paint("notice: ", kYellow) << Printable(notice) << "\n";
  }
  return kOk;
}

namespace {

std::string Change(const v1::AuditEvent& event) {
  if (event.before() == event.after()) return "";
  const auto shown = [](const std::string& text) { return text.empty() ? "nothing" : text; };
  return absl::StrCat(shown(event.before()), " -> ", shown(event.after()));
}

}  // namespace

int Audit(Context& context, const AuditOptions& options) {
  v1::ListAuditEventsResponse all;
  std::string page;
  do {
    v1::ListAuditEventsRequest request;
    v1::ListAuditEventsResponse response;
    request.set_tenant(options.tenant);
    // Whoever looks for one person's acts wants full pages of everybody's.
    const bool all_count = options.person.empty() && options.act.empty();
    request.set_page_size(all_count ? std::clamp(options.limit - all.events_size(), 1, 1000) : 1000);
    request.set_page_token(page);
    const absl::Status status = context.remote().Call("FleetService/ListAuditEvents", request, &response);
    if (!status.ok()) return context.Fail(status);
    page = response.next_page_token();
    for (v1::AuditEvent& event : *response.mutable_events()) {
      if (!options.person.empty() && event.person() != options.person) continue;
      if (!options.act.empty() && !absl::StartsWith(event.act(), options.act)) continue;
      if (all.events_size() < options.limit) *all.add_events() = std::move(event);
    }
  } while (!page.empty() && all.events_size() < options.limit);
  all.set_next_page_token(page);
  if (!context.table()) {
    context.Print(all);
    return kOk;
  }
  Table table({"AT", "PERSON", "ROLE", "TENANT", "ACT", "TARGET", "CHANGE", "REASON"},
              "nothing was done yet");
  for (const v1::AuditEvent& event : all.events()) {
    table.Row({context.Time(event.at()), event.person(), event.role(), event.tenant(), event.act(),
               event.target(), Change(event), event.reason()});
  }
  context.out() << table.ToString();
  return kOk;
}

int TokenCreate(Context& context, const TokenOptions& options) {
  v1::CreateEnrolmentTokenRequest request;
  v1::CreateEnrolmentTokenResponse response;
  request.set_request_id(context.request_id());
  request.set_tenant(options.tenant);
  if (!options.valid_for.empty()) {
    absl::Duration duration;
    if (!ParseHumanDuration(options.valid_for, &duration)) {
      return context.Usage(
          absl::StrCat("--valid-for ", options.valid_for, ": wanted a duration such as 12h or 7d"));
    }
    FromDuration(duration, request.mutable_valid_for());
  }
  const absl::Status status = context.remote().Call("FleetService/CreateEnrolmentToken", request, &response);
  if (!status.ok()) return context.Fail(status);
  // A slip of the pen makes a tenant of its own, whose hosts wait for ever.
  v1::GetPlanRequest plan;
  v1::GetPlanResponse current;
  plan.set_tenant(options.tenant);
  if (absl::IsNotFound(context.remote().Call("PlanService/GetPlan", plan, &current))) {
    context.err() << "warning: " << options.tenant << " has no plan yet: its hosts are offered nothing\n";
  }
  if (context.table()) {
    context.out() << response.token() << "\n";  // alone on the standard output, for scripts
    context.err() << "one host of " << options.tenant << " may enrol with it until "
                  << context.Time(response.expires_at()) << "; it is not shown again\n";
  } else {
    context.Print(response);
  }
  return kOk;
}

}  // namespace ringfence::cli
