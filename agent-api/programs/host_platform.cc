#include "host_platform.h"

#include <sys/utsname.h>

#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace ringfence::agent {

std::string HostPlatform() {
  utsname host{};
  ::uname(&host);
  std::string platform = absl::StrCat(absl::AsciiStrToLower(host.sysname), "/", host.machine);
  std::string id, version, line;
  for (std::ifstream file("/etc/os-release"); std::getline(file, line);) {
    absl::string_view value = line;
    std::string* wanted = absl::ConsumePrefix(&value, "ID=")           ? &id
                          : absl::ConsumePrefix(&value, "VERSION_ID=") ? &version
                                                                       : nullptr;
    if (wanted == nullptr) continue;
    absl::ConsumePrefix(&value, "\"");
    absl::ConsumeSuffix(&value, "\"");
    *wanted = std::string(value);
  }
  if (!id.empty()) absl::StrAppend(&platform, "/", id, version.empty() ? "" : "-", version);
  return platform;
}

}  // namespace ringfence::agent
