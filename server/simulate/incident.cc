#include "server/simulate/incident.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/simulate/scenario_sections.h"
#include "server/simulate/yaml_field.h"

namespace ringfence::replay {
namespace {

constexpr char kSchema[] = "ringfence-incident/1";
constexpr size_t kMaxBytes = 1 << 20;

Incident ParseRoot(const Field& root) {
  root.AllowKeys({"schema", "id", "date", "title", "what_happened", "assumed", "sources", "channel", "hosts",
                  "online", "pushed_for", "fault"});
  if (root.At("schema").Text() != kSchema) root.At("schema").Fail(absl::StrCat("wanted ", kSchema));
  Incident incident;
  incident.id = root.At("id").Slug();
  incident.date = root.At("date").Text();
  incident.title = root.At("title").Text();
  incident.what_happened = root.At("what_happened").Text();
  incident.assumed = root.At("assumed").Text();
  incident.sources = root.At("sources").Texts();
  incident.channel = root.At("channel").Text();
  root.At("channel").OneOf({"content", "sensor"});
  for (const Field& item : root.At("hosts").Items()) incident.hosts.push_back(ParseSelector(item));
  if (incident.hosts.empty()) root.At("hosts").Fail("wanted at least one selector");
  const Field online = root.At("online");
  online.AllowKeys({"share", "mean_session"});
  incident.online.at_start = online.At("share").Share();
  incident.online.mean_session_seconds =
      absl::ToDoubleSeconds(ToDuration(online.At("mean_session").Duration()));
  if (incident.online.at_start <= 0 || incident.online.mean_session_seconds <= 0)
    online.Fail("wanted hosts that are online at times");
  incident.pushed_for = root.At("pushed_for").Duration();
  incident.fault = ParseFault(root.At("fault"));
  return incident;
}

}  // namespace

absl::StatusOr<Incident> ParseIncident(const std::string& name, const std::string& yaml) {
  if (yaml.size() > kMaxBytes)
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", yaml.size(), " bytes, wanted at most 1 MiB"));
  try {
    return ParseRoot(Field(YAML::Load(yaml), ""));
  } catch (const Malformed& error) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", error.line, ": ", error.what()));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", error.mark.line + 1, ": ", error.msg));
  }
}

absl::StatusOr<std::vector<Incident>> ShippedIncidents() {
  std::vector<Incident> incidents;
  for (const IncidentFile& file : IncidentFiles()) {
    ASSIGN_OR_RETURN(Incident incident, ParseIncident(file.name, file.text));
    incidents.push_back(std::move(incident));
  }
  std::sort(incidents.begin(), incidents.end(),
            [](const Incident& a, const Incident& b) { return a.date < b.date; });
  return incidents;
}

}  // namespace ringfence::replay
