#include "server/cli/plan_check.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/api/decode.h"
#include "server/cli/human.h"

namespace ringfence::cli {
namespace {

// Is `path` the part `whole`, or below it?
bool IsWithin(const std::string& path, const std::string& whole) {
  return absl::StartsWith(path, whole) &&
         (path.size() == whole.size() || path[whole.size()] == '.' || path[whole.size()] == '[');
}

// Does a malformed part make names unknown that other parts refer to?
bool MayHideNames(const std::string& path) {
  return path == "channels" || path == "rings" ||
         (absl::StartsWith(path, "channels[") && path.back() == ']') ||
         (absl::StartsWith(path, "rings[") && path.back() == ']' && path.find('.') == std::string::npos) ||
         (absl::StartsWith(path, "channels[") && absl::EndsWith(path, "].channel")) ||
         (absl::StartsWith(path, "rings[") && absl::EndsWith(path, "].name"));
}

// A fault that may only be one because a name was malformed elsewhere.
bool RestsOnNames(const std::string& path) {
  const bool in_a_list = absl::StrContains(path, ".rings[") || absl::StrContains(path, ".channels[");
  return (in_a_list && path.back() == ']') || absl::EndsWith(path, ".channel");
}

}  // namespace

CheckedPlan CheckPlan(const Parsed<v1::Plan>& parsed) {
  CheckedPlan checked;
  checked.faults = parsed.faults;
  const auto of_form = [&](const auto& is) {
    return std::any_of(parsed.faults.begin(), parsed.faults.end(), is);
  };
  if (of_form([](const YamlFault& fault) { return fault.path.empty(); })) return checked;
  const bool names_hidden = of_form([](const YamlFault& fault) { return MayHideNames(fault.path); });
  api::Faults faults;
  checked.plan = api::DecodePlan(parsed.message, "", faults);
  for (const policy::Fault& fault : faults.list()) {
    if (of_form([&](const YamlFault& form) { return IsWithin(fault.path, form.path); })) continue;
    if (names_hidden && RestsOnNames(fault.path)) continue;
    checked.faults.push_back(
        {parsed.places.Find(fault.path), Printable(fault.path),
         absl::StrCat("found ", Printable(fault.found), ", wanted ", Printable(fault.wanted))});
  }
  std::stable_sort(checked.faults.begin(), checked.faults.end(), [](const YamlFault& a, const YamlFault& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  return checked;
}

}  // namespace ringfence::cli
