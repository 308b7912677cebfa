// ringfence rollout list, show, decisions, and the brakes
#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "ringfence/policy/decide.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/rollout_scope.h"
#include "server/cli/rollout_view.h"
#include "server/cli/table.h"

namespace ringfence::cli {
int RolloutList(Context& context, const RolloutOptions& options) {
  v1::ListRolloutsRequest request;
  v1::ListRolloutsResponse response;
  request.set_channel(options.channel);
  request.set_page_size(std::clamp(options.limit, 1, 1000));
  const absl::Status status = context.remote().Call("RolloutService/ListRollouts", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  Table table({"RELEASE", "VERSION", "STATE", "STAGES PASSED", ">EXPOSED", ">CONFIRMED", ">HARMED", ">BACK",
               "PUBLISHED"},
              "no release was published yet");
  for (const v1::Rollout& rollout : response.rollouts()) {
    const v1::ReleaseManifest& manifest = rollout.release().manifest();
    const v1::OutcomeCounts total = Total(rollout);
    const auto passed =
        std::count_if(rollout.stages().begin(), rollout.stages().end(), [](const v1::Stage& stage) {
          return stage.state() == v1::STAGE_STATE_PASSED || stage.state() == v1::STAGE_STATE_VACANT;
        });
    table.Row({absl::StrCat(manifest.channel(), "/", manifest.serial()), manifest.version(), Summary(rollout),
               absl::StrCat(passed, " of ", rollout.stages_size()), absl::StrCat(total.exposed()),
               absl::StrCat(total.confirmed()), absl::StrCat(Harmed(total)), absl::StrCat(total.reverted()),
               context.Time(rollout.release().published_at())});
  }
  context.out() << table.ToString();
  return kOk;
}

int RolloutShow(Context& context, const RolloutOptions& options) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  v1::GetRolloutRequest request;
  v1::GetRolloutResponse response;
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  const absl::Status status = context.remote().Call("RolloutService/GetRollout", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response.rollout());
    return kOk;
  }
  ViewOptions view{context.world().columns, context.world().zone, options.tenant, options.ring,
                   /*details=*/true};
  for (const Line& line : RenderRollout(response.rollout(), view)) {
    context.out() << ToText(line, context.world().out_is_tty ? view.columns : 1000, context.colour()) << "\n";
  }
  for (const v1::Stage& stage : response.rollout().stages()) {
    if (!options.tenant.empty() && stage.tenant() != options.tenant) continue;
    if (!options.ring.empty() && stage.ring() != options.ring) continue;
    const std::string tiny = policy::OfTinyRing(stage.members());
    if (tiny.empty()) continue;
    context.out() << "  small  " << stage.tenant() << "/" << stage.ring() << ": " << tiny << "\n";
  }
  if (!response.rollout().why().empty())
    context.out() << "  why    " << Printable(response.rollout().why()) << "\n";
  for (const v1::Stage& stage : response.rollout().stages()) {
    if (stage.why().empty() || stage.state() == v1::STAGE_STATE_PASSED) continue;
    if (!options.tenant.empty() && stage.tenant() != options.tenant) continue;
    context.out() << "  why    " << stage.tenant() << "/" << stage.ring() << ": " << Printable(stage.why());
    if (stage.has_revisit_at())
      context.out() << " (looks again at " << context.Time(stage.revisit_at()) << ")";
    context.out() << "\n";
  }
  return kOk;
}

int RolloutPause(Context& context, const RolloutOptions& options) {
  v1::PauseRolloutRequest request;
  v1::PauseRolloutResponse response;
  if (const int code = Prepare(context, options, &request); code != kOk) return code;
  const absl::Status status = context.remote().Call("RolloutService/PauseRollout", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (context.table()) {
    context.out() << "paused " << ScopeText(response.brake().scope()) << "\n";
  } else {
    context.Print(response);
  }
  return kOk;
}

int RolloutHalt(Context& context, const RolloutOptions& options) {
  v1::HaltRolloutRequest request;
  v1::HaltRolloutResponse response;
  if (const int code = Prepare(context, options, &request); code != kOk) return code;
  const absl::Status status = context.remote().Call("RolloutService/HaltRollout", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (context.table()) {
    context.out() << "halted " << ScopeText(response.brake().scope())
                  << "; two of the vendor's people resume it\n";
  } else {
    context.Print(response);
  }
  return kOk;
}

int RolloutRollBack(Context& context, const RolloutOptions& options) {
  v1::RollBackRolloutRequest request;
  v1::RollBackRolloutResponse response;
  if (const int code = Prepare(context, options, &request); code != kOk) return code;
  if (!context.Confirm(
          absl::StrCat("Halt ", ScopeText(request.scope()), " and order all exposed hosts back?")))
    return kRefused;
  const absl::Status status = context.remote().Call("RolloutService/RollBackRollout", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (context.table()) {
    context.out() << "halted " << ScopeText(response.brake().scope()) << "; " << response.hosts()
                  << " hosts are ordered back\n";
  } else {
    context.Print(response);
  }
  return kOk;
}

namespace {

// The same request and answer for both acts.
template <typename Request, typename Response>
int OfCohort(Context& context, const RolloutOptions& options, const char* call, const std::string& cohort,
             Response* response) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  Request request;
  request.set_request_id(context.request_id());
  request.set_reason(options.reason);
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  request.set_cohort(cohort);
  const absl::Status status = context.remote().Call(call, request, response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) context.Print(*response);
  return kOk;
}

}  // namespace

int RolloutExclude(Context& context, const RolloutOptions& options) {
  v1::ExcludeCohortResponse response;
  const int code = OfCohort<v1::ExcludeCohortRequest>(context, options, "RolloutService/ExcludeCohort",
                                                      options.label, &response);
  if (code != kOk || !context.table()) return code;
  context.out() << "kept from " << Printable(options.label) << "; " << response.hosts()
                << " hosts are ordered back, the others go on\n";
  return kOk;
}

int RolloutUnblock(Context& context, const RolloutOptions& options) {
  const std::string cohort = options.tenant.empty() ? options.label : absl::StrCat("tenant ", options.tenant);
  if (cohort.empty()) return context.Fail(absl::InvalidArgumentError("name a --label or a --tenant"));
  v1::UnblockCohortResponse response;
  const int code =
      OfCohort<v1::UnblockCohortRequest>(context, options, "RolloutService/UnblockCohort", cohort, &response);
  if (code != kOk || !context.table()) return code;
  context.out() << "let in again: " << Printable(cohort);
  for (const std::string& blocked : response.blocked_cells()) {
    context.out() << "\nstill kept from " << Printable(blocked);
  }
  context.out() << "\n";
  return kOk;
}

int RolloutDecisions(Context& context, const RolloutOptions& options) {
  v1::ListDecisionsRequest request;
  v1::ListDecisionsResponse response;
  request.set_tenant(options.tenant);
  request.set_channel(options.channel);
  if (!options.release.empty()) {
    const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
    if (!name.ok()) return context.Fail(name.status());
    request.set_channel(name->channel);
    request.set_serial(name->serial);
  }
  request.set_page_size(std::clamp(options.limit, 1, 1000));
  const absl::Status status = context.remote().Call("RolloutService/ListDecisions", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  Table table({">ID", "AT", "SCOPE", "ACTION", "RULE", "BY", "WHY"}, "nothing was decided yet");
  for (const v1::Decision& decision : response.decisions()) {
    table.Row(
        {absl::StrCat(decision.id()), context.Time(decision.at()), ScopeText(decision.scope()),
         decision.action(), decision.rule(), decision.actor(),
         decision.cohort().empty() ? decision.why() : absl::StrCat(decision.cohort(), ": ", decision.why())});
  }
  context.out() << table.ToString();
  return kOk;
}

}  // namespace ringfence::cli
