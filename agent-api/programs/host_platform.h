// What this host is called in release metadata.
#pragma once

#include <string>

namespace ringfence::agent {

// "linux/x86_64/debian-12": kernel, machine, and ID and VERSION_ID of /etc/os-release; "linux/x86_64" without
// one.
std::string HostPlatform();

}  // namespace ringfence::agent
