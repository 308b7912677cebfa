// Any bytes as a plan file, and as a file of hosts: faults or a message, never a crash; and what was read is
// written and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "server/cli/plan_yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto fleet = ringfence::cli::ParseFleetYaml(text);
  if (fleet.faults.empty()) {
    const std::string written = ringfence::cli::FleetToYaml(fleet.message);
    const auto read = ringfence::cli::ParseFleetYaml(written);
    if (!read.faults.empty() || ringfence::cli::FleetToYaml(read.message) != written) std::abort();
  }
  const auto parsed = ringfence::cli::ParsePlanYaml(text);
  if (!parsed.faults.empty()) return 0;
  const std::string yaml = ringfence::cli::PlanToYaml(parsed.message);
  const auto again = ringfence::cli::ParsePlanYaml(yaml);
  if (!again.faults.empty() || ringfence::cli::PlanToYaml(again.message) != yaml) std::abort();
  return 0;
}
