// The hosts of the check-in figure, the same in the server's process and in the client's.
#pragma once

#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/policy/labels.h"
#include "ringfence/v1/agent.pb.h"
#include "server/storage/rows.h"

namespace ringfence::bench {

inline constexpr int kCheckInHosts = 10'000;

inline AgentId HostId(int host) {
  AgentId id;
  const Digest digest = Sha256(absl::StrCat("host ", host));
  std::copy_n(digest.bytes.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

inline Digest SecretOf(int host) {
  return Sha256(absl::StrCat("secret ", host));
}

// 240 sets: as many as a fleet of a few platforms and versions has.
inline policy::Labels LabelsOf(int host) {
  auto labels = policy::Labels::Make({{"ring", "all"},
                                      {"os", absl::StrCat("win", host % 5)},
                                      {"kernel", absl::StrCat("10.0.", 19041 + host % 3)},
                                      {"sensor", absl::StrCat("7.", host % 4, ".18110")},
                                      {"arch", host % 7 == 0 ? "arm64" : "x86-64"},
                                      {"site", absl::StrCat("site-", host % 2)}});
  RF_CHECK(labels.ok());
  return *std::move(labels);
}

inline storage::AgentRow RowOf(int host, const std::string& tenant, absl::Time now) {
  storage::AgentRow row;
  row.agent = HostId(host);
  row.tenant = tenant;
  row.secret_hash = Sha256(SecretOf(host).raw());
  row.labels = LabelsOf(host);
  row.running = {{"content", Sha256("content of the factory")}, {"sensor", Sha256("sensor of the factory")}};
  row.enrolled_at = row.last_seen = now;
  return row;
}

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
