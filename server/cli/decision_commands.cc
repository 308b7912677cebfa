// ringfence decision list, show, replay: what was decided, what both judges thought, and the same computed
// again.
#include <ostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/table.h"
#include "server/record/decision_replay.h"

namespace ringfence::cli {
namespace {

record::Decided ToDecided(const v1::Decision& decision) {
  return {decision.action(),
          decision.rule(),
          decision.actor(),
          decision.why(),
          absl::FromUnixSeconds(decision.at().seconds()) + absl::Nanoseconds(decision.at().nanos()),
          decision.evidence()};
}

std::string Name(const v1::Decision& decision) {
  std::string name = absl::StrCat(decision.id(), " ", decision.action(), " by ", decision.rule());
  if (decision.scope().serial() != 0) {
    absl::StrAppend(&name, " on ", decision.scope().channel(), "/", decision.scope().serial());
  }
  return name;
}

// The decision with this number. NotFound: none that the caller may see.
absl::StatusOr<v1::Decision> FindDecision(Context& context, const std::string& id) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(id, &number) || number <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", id, "\" is no decision's number; see decision list"));
  }
  v1::ListDecisionsRequest request;
  v1::ListDecisionsResponse response;
  request.set_page_size(1);
  request.set_page_token(absl::StrCat(number + 1));
  const absl::Status status = context.remote().Call("RolloutService/ListDecisions", request, &response);
  if (!status.ok()) return status;
  if (response.decisions_size() == 0 || response.decisions(0).id() != number) {
    return absl::NotFoundError(absl::StrCat("no decision ", number));
  }
  return response.decisions(0);
}

// Prints one comparison; the exit code.
int ReplayOne(Context& context, const v1::Decision& decision, bool details) {
  const absl::StatusOr<record::Replayed> replayed = record::Replay(ToDecided(decision));
  if (!replayed.ok()) {
    context.out() << Printable(Name(decision)) << ": " << replayed.status().message() << "\n";
    return kDifferent;
  }
  if (replayed->by.empty()) {
    context.out() << Printable(Name(decision)) << ": nothing to compute\n";
    return kOk;
  }
  context.out() << Printable(Name(decision)) << ": "
                << (replayed->equal() ? absl::StrCat("the same, by the ", replayed->by)
                                      : context.Paint("DIFFERENT", kRed))
                << "\n";
  if (details || !replayed->equal()) {
    Table table({"", "ON RECORD", "COMPUTED", ""}, "");
    for (const record::Compared& one : replayed->compared) {
      table.Row({one.what, Printable(one.recorded), Printable(one.computed), one.equal ? "" : "differs"});
    }
    context.out() << table.ToString();
  }
  return replayed->equal() ? kOk : kDifferent;
}

}  // namespace

int DecisionShow(Context& context, const DecisionOptions& options) {
  const absl::StatusOr<v1::Decision> decision = FindDecision(context, options.id);
  if (!decision.ok()) return context.Fail(decision.status());
  if (!context.table()) {
    context.Print(*decision);
    return kOk;
  }
  const v1::Scope& scope = decision->scope();
  std::vector<std::pair<std::string, std::string>> lines = {
      {"decision", absl::StrCat(decision->id())},
      {"at", context.Time(decision->at())},
      {"release", scope.serial() == 0 ? "every one" : absl::StrCat(scope.channel(), "/", scope.serial())},
      {"tenant", scope.tenant().empty() ? "every one" : scope.tenant()},
      {"action", decision->action()},
      {"rule", decision->rule()},
      {"by", Printable(decision->actor())},
      {"why", Printable(decision->why())}};
  if (!scope.ring().empty()) lines.insert(lines.begin() + 4, {"ring", scope.ring()});
  if (!decision->cohort().empty()) lines.emplace_back("cohort", Printable(decision->cohort()));
  const record::TwoJudges two = record::Summarize(decision->evidence(), decision->rule());
  if (!two.method.empty()) {
    lines.emplace_back("the method", two.method);
    lines.emplace_back("the gates", Printable(two.gates));
    lines.emplace_back("acted", Printable(two.acted));
  }
  lines.emplace_back("evidence", Printable(decision->evidence()));
  context.out() << KeyValues(lines);
  return kOk;
}

int DecisionReplay(Context& context, const DecisionOptions& options) {
  if (options.id.empty() == options.release.empty()) {
    return context.Usage("name one decision, or a release with --release");
  }
  if (!options.id.empty()) {
    const absl::StatusOr<v1::Decision> decision = FindDecision(context, options.id);
    if (!decision.ok()) return context.Fail(decision.status());
    return ReplayOne(context, *decision, /*details=*/true);
  }
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  v1::ListDecisionsRequest request;
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  request.set_page_size(1000);
  int worst = kOk;
  int64_t decisions = 0;
  do {
    v1::ListDecisionsResponse response;
    const absl::Status status = context.remote().Call("RolloutService/ListDecisions", request, &response);
    if (!status.ok()) return context.Fail(status);
    for (const v1::Decision& decision : response.decisions()) {
      worst = std::max(worst, ReplayOne(context, decision, /*details=*/false));
      ++decisions;
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  context.out() << decisions << " decisions" << (worst == kOk ? ", none differs" : "") << "\n";
  return worst;
}

}  // namespace ringfence::cli
