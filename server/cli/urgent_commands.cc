// ringfence release urgent and acknowledge: what is announced to a tenant, and that it was seen.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "ringfence/v1/release.pb.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/table.h"

namespace ringfence::cli {

int ReleaseUrgent(Context& context, const ReleaseOptions& options) {
  v1::ListUrgentReleasesRequest request;
  v1::ListUrgentReleasesResponse response;
  request.set_tenant(options.tenant);
  request.set_waiting_only(!options.all);
  const absl::Status status = context.remote().Call("ReleaseService/ListUrgentReleases", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
    return kOk;
  }
  Table table({"RELEASE", "VERSION", "PUBLISHED", "TENANT", "WHAT THE PLAN MAKES OF IT", "SEEN BY", "AT"},
              options.all ? "no urgent release was published" : "no urgent release waits to be acknowledged");
  for (const v1::UrgentRelease& one : response.releases()) {
    const v1::ReleaseManifest& manifest = one.release().manifest();
    table.Row({absl::StrCat(manifest.channel(), "/", manifest.serial()), manifest.version(),
               context.Time(one.release().published_at()), one.tenant(), one.effect(),
               one.acknowledged_by().empty() ? "nobody" : one.acknowledged_by(),
               one.has_acknowledged_at() ? context.Time(one.acknowledged_at()) : "-"});
  }
  context.out() << table.ToString();
  return kOk;
}

int ReleaseAcknowledge(Context& context, const ReleaseOptions& options) {
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return context.Fail(name.status());
  if (name->serial == 0)
    return context.Usage(
        "name one release: CHANNEL/SERIAL or CHANNEL/VERSION; the newest may change meanwhile");
  v1::AcknowledgeReleaseRequest request;
  v1::AcknowledgeReleaseResponse response;
  request.set_request_id(context.request_id());
  request.set_tenant(options.tenant);
  request.set_channel(name->channel);
  request.set_serial(name->serial);
  request.set_reason(options.reason);
  const absl::Status status = context.remote().Call("ReleaseService/AcknowledgeRelease", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (context.table()) {
    context.out() << "acknowledged " << name->channel << "/" << name->serial << " for "
                  << response.release().tenant() << ": " << response.release().effect() << "\n";
  } else {
    context.Print(response);
  }
  return kOk;
}

}  // namespace ringfence::cli
