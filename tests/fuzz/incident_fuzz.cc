// Any bytes as an incident file: a fault or an incident, never a crash.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "server/simulate/incident.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto incident = ringfence::replay::ParseIncident("fuzz", text);
  if (incident.ok() && incident->hosts.empty()) std::abort();
  return 0;
}
