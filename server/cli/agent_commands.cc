// ringfence agent ...
#include <algorithm>
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

std::string RunningText(const v1::Agent& agent) {
  return absl::StrJoin(agent.running(), " ", [](std::string* out, const v1::AgentRunning& running) {
    absl::StrAppend(out, running.channel(), "=",
                    running.version().empty() ? ShortDigest(running.digest()) : running.version());
  });
}

std::string LabelsText(const v1::Agent& agent) {
  return absl::StrJoin(agent.labels(), " ", [](std::string* out, const v1::Label& label) {
    absl::StrAppend(out, label.key(), "=", label.value());
  });
}

std::string StateText(const v1::Agent& agent) {
  return agent.deleted() ? "deleted" : agent.silent() ? "silent" : "heard";
}

}  // namespace

int AgentList(Context& context, const AgentOptions& options) {
  v1::ListAgentsResponse all;
  std::string page;
  do {
    v1::ListAgentsRequest request;
    v1::ListAgentsResponse response;
    request.set_tenant(options.tenant);
    request.set_ring(options.ring);
    request.set_silent_only(options.silent);
    request.set_page_size(std::clamp(options.limit - all.agents_size(), 1, 1000));
    request.set_page_token(page);
    const absl::Status status = context.remote().Call("FleetService/ListAgents", request, &response);
    if (!status.ok()) return context.Fail(status);
    page = response.next_page_token();
    all.MergeFrom(response);
  } while (!page.empty() && all.agents_size() < options.limit);
  all.set_next_page_token(page);
  if (!context.table()) {
    context.Print(all);
    return kOk;
  }
  Table table({"ID", "TENANT", "RING", "STATE", "LAST SEEN", "RUNS"}, "no such host is enrolled");
  for (const v1::Agent& agent : all.agents()) {
    table.Row({agent.id(), agent.tenant(), agent.ring().empty() ? "none" : agent.ring(), StateText(agent),
               context.Time(agent.last_seen()), RunningText(agent)});
  }
  context.out() << table.ToString();
  if (!page.empty()) context.err() << "there are more: --limit\n";
  return kOk;
}

int AgentShow(Context& context, const AgentOptions& options) {
  v1::GetAgentRequest request;
  v1::GetAgentResponse response;
  request.set_id(options.id);
  const absl::Status status = context.remote().Call("FleetService/GetAgent", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  const v1::Agent& agent = response.agent();
  context.out() << KeyValues(
                       {{"host", agent.id()},
                        {"tenant", agent.tenant()},
                        {"ring", agent.ring().empty() ? "none: it is never offered anything" : agent.ring()},
                        {"state", StateText(agent)},
                        {"last seen", context.Time(agent.last_seen())},
                        {"enrolled", context.Time(agent.enrolled_at())},
                        {"labels", LabelsText(agent)},
                        {"runs", RunningText(agent)}})
                << "\n";
  Table table({"RELEASE", "EXPOSED", "OUTCOME", "ACTIVATED", "SINCE"}, "it was never exposed to a release");
  for (const v1::AgentExposure& exposure : response.exposures()) {
    table.Row({absl::StrCat(exposure.channel(), "/", exposure.serial()), context.Time(exposure.exposed_at()),
               exposure.outcome(), exposure.activated() ? "yes" : "no",
               exposure.has_outcome_at() ? context.Time(exposure.outcome_at()) : "-"});
  }
  context.out() << table.ToString();
  return kOk;
}

namespace {

int ExplainOne(Context& context, const std::string& id, const ReleaseName& name) {
  v1::ExplainAgentRequest request;
  v1::ExplainAgentResponse response;
  request.set_id(id);
  request.set_channel(name.channel);
  request.set_serial(name.serial);
  const absl::Status status = context.remote().Call("FleetService/ExplainAgent", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  const v1::Agent& agent = response.agent();
  context.out() << KeyValues(
      {{"host", agent.id()},
       {"place", absl::StrCat(agent.tenant(), ", ring ", agent.ring().empty() ? "none" : agent.ring())},
       {"labels", LabelsText(agent)},
       {"runs", RunningText(agent)},
       {"release", absl::StrCat(response.channel(), "/", response.serial(), " ", response.version())}});
  if (response.reason().empty()) {
    context.out() << "answer   " << context.Paint("yes: nothing stands in the way", kGreen) << "\n\n";
  } else {
    context.out() << "answer   " << context.Paint("not now: ", kYellow) << Printable(response.sentence())
                  << " (" << Printable(response.reason()) << ")\n";
    if (response.has_next()) context.out() << "next     " << context.Time(response.next()) << "\n";
    context.out() << "\n";
  }
  Table table({"", "GATE", "DETAIL", "OPENED BY", "NEXT"}, "there is no gate to show");
  for (const v1::GateAnswer& gate : response.gates()) {
    table.Row({gate.open() ? "open" : "SHUT", gate.gate(), gate.detail(), gate.open() ? "" : gate.opens_by(),
               gate.has_next() ? context.Time(gate.next()) : "-"});
  }
  context.out() << table.ToString();
  return kOk;
}

// One for each channel that the host's plan has.
int ExplainEveryChannel(Context& context, const std::string& id) {
  v1::GetAgentRequest get;
  v1::GetAgentResponse agent;
  get.set_id(id);
  absl::Status status = context.remote().Call("FleetService/GetAgent", get, &agent);
  if (!status.ok()) return context.Fail(status);
  v1::GetPlanRequest plan_request;
  v1::GetPlanResponse plan;
  plan_request.set_tenant(agent.agent().tenant());
  status = context.remote().Call("PlanService/GetPlan", plan_request, &plan);
  if (!status.ok()) return context.Fail(status);
  int worst = kOk;
  for (const v1::ChannelRule& rule : plan.current().plan().channels()) {
    if (context.table() && &rule != &plan.current().plan().channels(0)) context.out() << "\n";
    const int exit_code = ExplainOne(context, id, {rule.channel(), 0});
    if (exit_code != kOk) worst = exit_code;
  }
  return worst;
}

}  // namespace

int AgentExplain(Context& context, const AgentOptions& options) {
  if (!options.channel.empty() && !options.release.empty())
    return context.Usage("give RELEASE or --channel, not both");
  const std::string& wanted = options.channel.empty() ? options.release : options.channel;
  if (wanted.empty()) return ExplainEveryChannel(context, options.id);
  const absl::StatusOr<ReleaseName> name = FindRelease(context, wanted);
  if (!name.ok()) return context.Fail(name.status());
  return ExplainOne(context, options.id, *name);
}

int AgentDelete(Context& context, const AgentOptions& options) {
  if (!context.Confirm(absl::StrCat("Delete host ", options.id,
                                    "? Its credential ends; its exposures stay in every figure."))) {
    return kRefused;
  }
  v1::DeleteAgentRequest request;
  v1::DeleteAgentResponse response;
  request.set_request_id(context.request_id());
  request.set_id(options.id);
  request.set_reason(options.reason);
  const absl::Status status = context.remote().Call("FleetService/DeleteAgent", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (context.table())
    context.out() << "deleted host " << options.id << "; its exposures stay in every figure\n";
  return kOk;
}

}  // namespace ringfence::cli
