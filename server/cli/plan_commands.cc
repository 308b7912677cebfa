// ringfence plan ...
#include <algorithm>
#include <ostream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/plan/plan_chain.h"
#include "ringfence/policy/plan.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/v1/plan.pb.h"
#include "server/api/encode.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/plan_check.h"
#include "server/cli/plan_preview.h"
#include "server/cli/plan_yaml.h"
#include "server/cli/table.h"

namespace ringfence::cli {
namespace {

constexpr size_t kMaxPlanBytes = 1 << 20;

void Warn(Context& context, const google::protobuf::RepeatedPtrField<std::string>& warnings) {
  for (const std::string& warning : warnings) context.err() << "warning: " << Printable(warning) << "\n";
}

absl::StatusOr<v1::PlanRevision> Current(Context& context, const std::string& tenant, int64_t revision) {
  v1::GetPlanRequest request;
  v1::GetPlanResponse response;
  request.set_tenant(tenant);
  request.set_revision(revision);
  const absl::Status status = context.remote().Call("PlanService/GetPlan", request, &response);
  if (!status.ok()) return status;
  return response.current();
}

constexpr size_t kAround = 2;  // lines that stay, shown on each side of a change

// The lines of the longest common subsequence stay; plans are short. Of those that stay the ones around a
// change are shown, and the name of the ring that it is in.
std::string Diff(const Context& context, const std::string& before, const std::string& after) {
  const std::vector<std::string> a = absl::StrSplit(before, '\n', absl::SkipEmpty());
  const std::vector<std::string> b = absl::StrSplit(after, '\n', absl::SkipEmpty());
  std::vector<std::vector<int>> common(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) {
      common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    }
  }
  struct Line {
    char mark = ' ';
    std::string text;
    bool shown = false;
  };
  std::vector<Line> lines;
  size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      lines.push_back({' ', a[i++]});
      ++j;
    } else if (i < a.size() && (j == b.size() || common[i + 1][j] >= common[i][j + 1])) {
      lines.push_back({'-', a[i++], true});
    } else {
      lines.push_back({'+', b[j++], true});
    }
  }
  for (size_t at = 0; at < lines.size(); ++at) {
    if (lines[at].mark == ' ') continue;
    for (size_t k = at - std::min(at, kAround); k < std::min(lines.size(), at + kAround + 1); ++k)
      lines[k].shown = true;
    for (size_t k = at + 1; k-- > 0;) {
      const bool top = !lines[k].text.empty() && lines[k].text[0] != ' ';
      const bool ring = absl::StartsWith(lines[k].text, "  - name:");
      if (!top && !ring) continue;
      lines[k].shown = true;
      break;
    }
  }
  std::string out;
  bool skipped = false;
  for (const Line& line : lines) {
    if (!line.shown) {
      if (!skipped) absl::StrAppend(&out, "  ...\n");
      skipped = true;
      continue;
    }
    skipped = false;
    const std::string text = absl::StrCat(std::string(1, line.mark), " ", line.text);
    absl::StrAppend(&out, line.mark == ' ' ? text : context.Paint(text, line.mark == '-' ? kRed : kGreen),
                    "\n");
  }
  return out;
}

// Shows what the new plan does to hosts and asks. False: nothing shall be done, with the exit code.
bool MayApply(Context& context, const v1::Plan& plan, bool strand, int* exit_code) {
  *exit_code = kRefused;
  const absl::StatusOr<v1::PreviewPlanResponse> preview = Preview(context, plan);
  // An older server has no previews; a plan with faults, or somebody else's, is refused when it is applied.
  if (absl::IsUnimplemented(preview.status()) || absl::IsInvalidArgument(preview.status()) ||
      absl::IsPermissionDenied(preview.status()))
    return true;
  // Whom it strands is not known: nobody applies it unseen.
  if (!preview.ok()) {
    *exit_code = context.Fail(preview.status());
    return false;
  }
  const std::string diff = HostwiseDiff(context, *preview);
  if (!diff.empty()) context.err() << diff;
  if (const int64_t stranded = Stranded(*preview); stranded > 0 && !strand) {
    context.err() << "ringfence: " << stranded
                  << " hosts that have a ring now would have none and get nothing any more\n"
                     "  next: give them a ring, or say --strand if that is meant\n";
    *exit_code = kPrecondition;
    return false;
  }
  return diff.empty() || context.Confirm("Apply it?");
}

int Apply(Context& context, v1::ApplyPlanRequest request, bool strand, const std::string& file,
          const Places* places) {
  int exit_code = kOk;
  if (!MayApply(context, request.plan(), strand, &exit_code)) return exit_code;
  if (!request.envelope().empty()) request.clear_plan();  // it is in the envelope
  v1::ApplyPlanResponse response;
  const absl::Status status = context.remote().Call("PlanService/ApplyPlan", request, &response);
  if (!status.ok()) return context.Fail(status, file, places);
  Warn(context, response.warnings());
  if (context.table()) {
    context.out() << "plan of " << response.applied().plan().tenant() << " is now revision "
                  << response.applied().revision() << "\n"
                  << SaidOfPlan("  ", response.applied().authority());
  } else {
    context.Print(response);
  }
  return kOk;
}

// A signed plan is JSON with a payload; no plan's YAML is.
bool LooksSigned(absl::string_view text) {
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "{") &&
         absl::StrContains(text, "payloadType");
}

absl::StatusOr<v1::Plan> PlanIn(absl::string_view envelope_json) {
  ASSIGN_OR_RETURN(const trust::Envelope envelope, trust::ParseEnvelope(envelope_json));
  if (envelope.payload_type != plan::kPlanPayloadType)
    return absl::InvalidArgumentError("found another document, wanted a signed plan");
  ASSIGN_OR_RETURN(const plan::PlanStatement statement, plan::ParsePlanPayload(envelope.payload));
  v1::Plan plan;
  api::Encode(statement.plan, &plan);
  return plan;
}

// Is the plan in force this file?
bool IsInForce(const v1::PlanRevision& current, const LoadedPlan& loaded) {
  if (loaded.envelope.empty()) return PlanToYaml(current.plan()) == PlanToYaml(loaded.parsed.message);
  const absl::StatusOr<trust::Envelope> envelope = trust::ParseEnvelope(loaded.envelope);
  return envelope.ok() && current.sha256() == Sha256(envelope->payload).raw();
}

}  // namespace

LoadedPlan LoadPlan(Context& context, const std::string& file) {
  LoadedPlan loaded;
  const absl::StatusOr<std::string> text = ReadFile(context.world(), file, kMaxPlanBytes);
  if (!text.ok()) {
    loaded.exit_code = context.Usage(text.status().message());
    return loaded;
  }
  if (LooksSigned(*text)) {
    const absl::StatusOr<v1::Plan> plan = PlanIn(*text);
    if (!plan.ok()) {
      loaded.exit_code = context.Usage(absl::StrCat(file, ": ", plan.status().message()));
      return loaded;
    }
    loaded.envelope = *text;
    loaded.parsed.message = *plan;
    return loaded;
  }
  loaded.parsed = ParsePlanYaml(*text);
  if (!loaded.parsed.faults.empty()) {
    context.err() << Render(file, CheckPlan(loaded.parsed).faults);
    loaded.exit_code = kUsage;
  }
  return loaded;
}

int PlanValidate(Context& context, const PlanFileOptions& options) {
  const absl::StatusOr<std::string> text = ReadFile(context.world(), options.file, kMaxPlanBytes);
  if (!text.ok()) return context.Usage(text.status().message());
  Parsed<v1::Plan> parsed;
  if (LooksSigned(*text)) {
    const absl::StatusOr<v1::Plan> plan = PlanIn(*text);
    if (!plan.ok()) return context.Usage(absl::StrCat(options.file, ": ", plan.status().message()));
    parsed.message = *plan;
  } else {
    parsed = ParsePlanYaml(*text);
  }
  const CheckedPlan checked = CheckPlan(parsed);
  std::vector<std::string> warnings;
  if (checked.faults.empty()) warnings = policy::Warnings(checked.plan, context.world().now());
  if (checked.faults.empty() && options.with_hosts) {
    const absl::StatusOr<v1::PreviewPlanResponse> preview = Preview(context, parsed.message);
    if (!preview.ok()) return context.Fail(preview.status(), options.file, &parsed.places);
    warnings.assign(preview->warnings().begin(), preview->warnings().end());
  }
  const int exit_code = !checked.faults.empty()               ? kUsage
                        : options.strict && !warnings.empty() ? kRefused
                                                              : kOk;
  if (!context.table()) {
    List faults, said;
    for (const YamlFault& fault : checked.faults) {
      faults.emplace_back(Map{{"line", fault.place.line},
                              {"column", fault.place.column},
                              {"path", Printable(fault.path)},
                              {"what", Printable(fault.what)}});
    }
    for (const std::string& warning : warnings) said.emplace_back(Printable(warning));
    context.Print(Map{{"file", options.file},
                      {"legal", checked.faults.empty()},
                      {"tenant", Printable(parsed.message.tenant())},
                      {"with_hosts", options.with_hosts},
                      {"faults", std::move(faults)},
                      {"warnings", std::move(said)}});
    return exit_code;
  }
  context.err() << Render(options.file, checked.faults);
  for (const std::string& warning : warnings) context.err() << "warning: " << Printable(warning) << "\n";
  if (checked.faults.empty()) {
    context.out() << options.file << ": a legal plan for " << parsed.message.tenant() << ", "
                  << parsed.message.rings_size() << " rings\n";
  }
  return exit_code;
}

int PlanApply(Context& context, const PlanFileOptions& options) {
  const LoadedPlan loaded = LoadPlan(context, options.file);
  if (loaded.exit_code != kOk) return loaded.exit_code;
  v1::ApplyPlanRequest request;
  request.set_request_id(context.request_id());
  *request.mutable_plan() = loaded.parsed.message;
  request.set_envelope(loaded.envelope);
  request.set_reason(options.reason);
  request.set_expected_revision(options.expected_revision);
  if (options.expected_revision < 0) {
    const absl::StatusOr<v1::PlanRevision> current = Current(context, loaded.parsed.message.tenant(), 0);
    if (!current.ok() && !absl::IsNotFound(current.status())) return context.Fail(current.status());
    request.set_expected_revision(current.ok() ? current->revision() : 0);
    // A pipeline applies the same file again and again.
    if (current.ok() && IsInForce(*current, loaded)) {
      if (!context.table()) {
        v1::ApplyPlanResponse response;
        *response.mutable_applied() = *current;
        context.Print(response);
      } else {
        context.out() << "no change: revision " << current->revision() << " of "
                      << loaded.parsed.message.tenant() << " is this plan\n";
      }
      return kOk;
    }
  }
  return Apply(context, std::move(request), options.strand, options.file, &loaded.parsed.places);
}

int PlanRevert(Context& context, const PlanTenantOptions& options) {
  const absl::StatusOr<v1::PlanRevision> newest = Current(context, options.tenant, 0);
  if (!newest.ok()) return context.Fail(newest.status());
  const int64_t to = options.revision != 0 ? options.revision : newest->revision() - 1;
  if (to < 1 || to >= newest->revision()) {
    return context.Usage(
        absl::StrCat("there is no revision ", to, " before the newest, ", newest->revision()));
  }
  const absl::StatusOr<v1::PlanRevision> earlier = Current(context, options.tenant, to);
  if (!earlier.ok()) return context.Fail(earlier.status());
  v1::ApplyPlanRequest request;
  request.set_request_id(context.request_id());
  *request.mutable_plan() = earlier->plan();
  request.set_reason(absl::StrCat("revert to revision ", to, ": ", options.reason));
  request.set_expected_revision(newest->revision());
  return Apply(context, std::move(request), options.strand, "", nullptr);
}

int PlanDiff(Context& context, const PlanFileOptions& options) {
  const LoadedPlan loaded = LoadPlan(context, options.file);
  if (loaded.exit_code != kOk) return loaded.exit_code;
  const std::string tenant = options.tenant.empty() ? loaded.parsed.message.tenant() : options.tenant;
  const absl::StatusOr<v1::PlanRevision> current = Current(context, tenant, 0);
  if (!current.ok() && !absl::IsNotFound(current.status())) return context.Fail(current.status());
  const std::string before = current.ok() ? PlanToYaml(current->plan()) : "";
  const std::string after = PlanToYaml(loaded.parsed.message);
  const int exit_code = options.exit_code && before != after ? kDifferent : kOk;
  v1::Plan proposed = loaded.parsed.message;
  proposed.set_tenant(tenant);
  const absl::StatusOr<v1::PreviewPlanResponse> preview = Preview(context, proposed);
  if (!preview.ok() && !absl::IsUnimplemented(preview.status())) {  // an older server has no previews
    return context.Fail(preview.status(), options.file, &loaded.parsed.places);
  }
  if (!context.table()) {
    if (preview.ok()) context.Print(*preview);
    return exit_code;
  }
  if (before == after) {
    context.out() << "no difference to revision " << current->revision() << " of " << tenant << "\n";
    return exit_code;
  }
  context.out() << Diff(context, before, after);
  if (!preview.ok()) return exit_code;
  const std::string hosts = HostwiseDiff(context, *preview);
  context.out() << "\n" << (hosts.empty() ? "nothing changes for any host\n" : hosts);
  context.out() << SaidOfPlan("\nin force: ", preview->authority());
  return exit_code;
}

int PlanShow(Context& context, const PlanTenantOptions& options) {
  const absl::StatusOr<v1::PlanRevision> current = Current(context, options.tenant, options.revision);
  if (!current.ok()) return context.Fail(current.status());
  if (context.output() == Output::kJson) {
    context.Print(*current);
    return kOk;
  }
  if (context.table()) {
    context.out() << "# revision " << current->revision() << ", applied "
                  << context.Time(current->applied_at()) << " by " << Printable(current->applied_by()) << "\n"
                  << SaidOfPlan("# ", current->authority());
    if (!current->sha256().empty())
      context.out() << "# sha256 " << absl::BytesToHexString(current->sha256()) << "\n";
  }
  context.out() << PlanToYaml(current->plan());
  return kOk;
}

int PlanHistory(Context& context, const PlanTenantOptions& options) {
  v1::ListPlanRevisionsRequest request;
  v1::ListPlanRevisionsResponse response;
  request.set_tenant(options.tenant);
  request.set_page_size(options.limit);
  const absl::Status status = context.remote().Call("PlanService/ListPlanRevisions", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  Table table({">REVISION", "APPLIED", "BY", ">RINGS", ">SIGNED", "SHA256", "FOLLOWS"},
              "no plan was ever applied for " + options.tenant);
  for (const v1::PlanRevision& revision : response.revisions()) {
    const bool is_signed = revision.plan_version() > 0;
    table.Row({absl::StrCat(revision.revision()), context.Time(revision.applied_at()), revision.applied_by(),
               absl::StrCat(revision.plan().rings_size()),
               is_signed ? absl::StrCat("plan ", revision.plan_version()) : "-",
               ShortDigest(revision.sha256()), ShortDigest(revision.prev_sha256())});
  }
  context.out() << table.ToString();
  if (response.revisions_size() > 0)
    context.out() << SaidOfPlan("\nin force: ", response.revisions(0).authority());
  return kOk;
}

}  // namespace ringfence::cli
