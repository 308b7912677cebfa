// The human form of a plan. One schema (proto Plan), written as YAML that people keep in git: shares as 5 %,
// durations as 30m, selectors as maps. docs/cli.md shows a commented plan.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.pb.h"

namespace ringfence::cli {

// A place in a file, from 1.
struct Place {
  int line = 1;
  int column = 1;
};

struct YamlFault {
  Place place;
  std::string path;  // "rings[2].soak"
  std::string what;  // "found 30, wanted a duration such as 30m or 1h30m"
};

// Where each part of a file stands, by path, so that a fault that the server finds can be shown in the file
// too.
class Places {
 public:
  void Add(const std::string& path, Place place) { places_.emplace(path, place); }
  // Of the path or of the nearest part around it. A leading "plan." or "manifest." does not matter.
  Place Find(absl::string_view path) const;

 private:
  std::map<std::string, Place> places_;
};

template <typename Message>
struct Parsed {
  Message message;                // usable only without faults
  std::vector<YamlFault> faults;  // every one, in the order of the file
  Places places;
};

// The keys that each part of a plan file may have, by the part's name: "plan", "ring", "window", ... The same
// names and keys stand in docs/plan.schema.json; a test compares.
const std::map<std::string, std::set<std::string>>& PlanKeys();

// Only form is judged here (keys, types, units); what the plan means is the server's to judge. Total: any
// bytes may come.
Parsed<v1::Plan> ParsePlanYaml(absl::string_view text);
// The release manifest that `release publish --manifest` reads: targets, matrix, and what the flags leave
// open.
Parsed<v1::ReleaseManifest> ParseManifestYaml(absl::string_view text);

// A mix of hosts: `hosts: [{count: 12, labels: {os: win11, site: [lab, qa]}}]`. Only label_mix is filled.
Parsed<v1::PreviewPlanResponse> ParseFleetYaml(absl::string_view text);
// ParseFleetYaml gives the same mix again.
std::string FleetToYaml(const v1::PreviewPlanResponse& fleet);

// Canonical: every field in the order of the schema, defaults left out. ParsePlanYaml gives the same plan
// again.
std::string PlanToYaml(const v1::Plan& plan);

// "plan.yaml:12:5: rings[2].soak: found ...", one line each.
std::string Render(const std::string& file, const std::vector<YamlFault>& faults);

}  // namespace ringfence::cli
