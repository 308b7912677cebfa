#include "server/api/machine.h"

#include <sys/resource.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace ringfence::api {
namespace {

constexpr rlim_t kEnoughFiles = 16'384;

}  // namespace

void RaiseFileLimit(Log& log) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < kEnoughFiles) {
    log.Warning("few_files", {{"limit", static_cast<int64_t>(limit.rlim_cur)},
                              {"advice", "each connected agent is an open file: raise the hard limit"}});
  }
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  const std::string draft = path + ".tmp";
  std::ofstream file(draft, std::ios::trunc);
  file << text;
  file.close();
  if (!file || std::rename(draft.c_str(), path.c_str()) != 0) {
    return absl::InternalError(absl::StrCat("cannot write ", path));
  }
  return absl::OkStatus();
}

}  // namespace ringfence::api
