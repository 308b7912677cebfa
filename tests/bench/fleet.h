// The hosts of the benchmarks, the same in every process.
#pragma once

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/policy/labels.h"
#include "server/storage/rows.h"

namespace ringfence::bench {

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

}  // namespace ringfence::bench
