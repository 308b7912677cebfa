// What the hosts of the check-in figure say, the same in the server's process and in the client's.
#pragma once

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/v1/agent.pb.h"
#include "tests/bench/fleet.h"

namespace ringfence::bench {

inline constexpr int kCheckInHosts = 10'000;

// What a host says when nothing happened.
inline v1::CheckInRequest UnchangedCheckIn(int host) {
  v1::CheckInRequest request;
  request.set_boot_id(HostId(host + 1).ToString());
  request.set_last_shutdown(v1::LAST_SHUTDOWN_CLEAN);
  request.set_labels_hash(LabelsOf(host).Hash16());
  for (const storage::Running& one : RowOf(host, "acme", absl::UnixEpoch()).running) {
    v1::RunningVersion* running = request.add_running();
    running->set_channel(one.channel);
    running->set_digest(std::string(one.digest.raw()));
  }
  return request;
}

inline std::string CredentialOf(int host) {
  return absl::StrCat("Bearer ", HostId(host).ToString(), ".", absl::BytesToHexString(SecretOf(host).raw()));
}

}  // namespace ringfence::bench
