// ringfence plan preview
#include "server/cli/plan_preview.h"

#include <map>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/plan_projection.h"
#include "server/cli/table.h"

namespace ringfence::cli {
namespace {

std::string Hosts(int64_t count) {
  return absl::StrCat(count, count == 1 ? " host" : " hosts");
}

std::string RingName(const std::string& ring) {
  return ring.empty() ? "no ring" : Printable(ring);
}

std::string TargetText(const v1::RingTarget& target) {
  return target.serial() == 0 ? "nothing" : absl::StrCat(target.serial(), " ", Printable(target.version()));
}

std::string WhenText(const Context& context, const v1::RingTarget& target) {
  if (target.reason().empty()) return "now";
  return absl::StrCat(Printable(target.reason()),
                      target.has_next() ? absl::StrCat(", until ", context.Time(target.next())) : "");
}

}  // namespace

absl::StatusOr<v1::PreviewPlanResponse> Preview(Context& context, const v1::Plan& plan) {
  v1::PreviewPlanRequest request;
  v1::PreviewPlanResponse response;
  *request.mutable_plan() = plan;
  const absl::Status status = context.remote().Call("PlanService/PreviewPlan", request, &response);
  if (!status.ok()) return status;
  return response;
}

std::string HostwiseDiff(const Context& context, const v1::PreviewPlanResponse& preview) {
  std::string out;
  for (const v1::RingMove& move : preview.moves()) {
    absl::StrAppend(&out, Hosts(move.hosts()), move.hosts() == 1 ? " moves" : " move", " from ",
                    RingName(move.from()), " to ", RingName(move.to()), "\n");
  }
  std::map<std::pair<std::string, std::string>, v1::RingTarget> now;
  for (const v1::RingTarget& target : preview.now()) now[{target.ring(), target.channel()}] = target;
  for (const v1::RingTarget& target : preview.then()) {
    const auto before = now.find({target.ring(), target.channel()});
    if (before == now.end()) continue;  // a new ring or channel: the lines of the file show it
    const std::string is =
        absl::StrCat(TargetText(before->second), " (", WhenText(context, before->second), ")");
    const std::string would = absl::StrCat(TargetText(target), " (", WhenText(context, target), ")");
    if (is == would) continue;
    absl::StrAppend(&out, "ring ", Printable(target.ring()), ", ", Printable(target.channel()), ": ", would,
                    " instead of ", is, "\n");
  }
  return out;
}

int64_t Stranded(const v1::PreviewPlanResponse& preview) {
  int64_t hosts = 0;
  for (const v1::RingMove& move : preview.moves()) hosts += move.to().empty() ? move.hosts() : 0;
  return hosts;
}

int PlanPreview(Context& context, const PlanFileOptions& options) {
  const LoadedPlan loaded = LoadPlan(context, options.file);
  if (loaded.exit_code != kOk) return loaded.exit_code;
  const absl::StatusOr<v1::PreviewPlanResponse> preview = Preview(context, loaded.parsed.message);
  if (!preview.ok()) return context.Fail(preview.status(), options.file, &loaded.parsed.places);
  if (!context.table()) {
    context.Print(*preview);
    return kOk;
  }
  for (const std::string& warning : preview->warnings()) {
    context.err() << "warning: " << Printable(warning) << "\n";
  }
  context.out() << loaded.parsed.message.tenant() << ": " << Hosts(preview->hosts()) << ", "
                << (preview->revision() == 0 ? std::string("no plan in force")
                                             : absl::StrCat("revision ", preview->revision(), " in force"))
                << "\n"
                << SaidOfPlan("", preview->authority()) << "\n";
  Table rings({"RING", ">HOSTS NOW", ">THEN"}, "no ring");
  for (const v1::RingSize& size : preview->rings()) {
    rings.Row({RingName(size.ring()), absl::StrCat(size.hosts_now()), absl::StrCat(size.hosts_then())});
  }
  context.out() << rings.ToString() << "\n";
  Table targets({"RING", "CHANNEL", "WOULD TAKE", "WHEN"}, "no ring takes anything");
  for (const v1::RingTarget& target : preview->then()) {
    targets.Row({target.ring(), target.channel(), TargetText(target), WhenText(context, target)});
  }
  context.out() << targets.ToString() << "\n";
  context.out() << ProjectionText(context, *preview);
  const std::string diff = HostwiseDiff(context, *preview);
  context.out() << (diff.empty() ? "nothing changes for any host\n" : diff);
  for (const v1::RingOverlap& overlap : preview->overlaps()) {
    context.out() << Hosts(overlap.hosts()) << " would match ring " << Printable(overlap.second())
                  << " too; ring " << Printable(overlap.first()) << " comes first and takes them\n";
  }
  return kOk;
}

}  // namespace ringfence::cli
