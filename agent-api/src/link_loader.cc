#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/agent/artifact_store.h"
#include "ringfence/agent/loader.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::agent {

namespace fs = std::filesystem;

std::vector<Running> LinkLoader::Attest() {
  std::vector<Running> running;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    const std::string channel = entry.path().filename().string();
    if (!entry.is_symlink(error) || !IsSlug(channel)) continue;
    const absl::StatusOr<Digest> digest = HashFile(entry.path().string());
    if (digest.ok()) running.push_back({channel, *digest});
  }
  std::sort(running.begin(), running.end(),
            [](const Running& a, const Running& b) { return a.channel < b.channel; });
  return running;
}

absl::Status LinkLoader::Check(absl::string_view, const std::string& path) {
  return HashFile(path).status();
}

absl::Status LinkLoader::Flip(absl::string_view channel, const std::string& path) {
  RETURN_IF_ERROR(HashFile(path).status());  // a link to nothing would be running nothing
  const std::string link = absl::StrCat(folder_, "/", channel);
  const std::string draft = link + ".new";
  std::error_code error;
  fs::remove(draft, error);
  fs::create_symlink(fs::absolute(path), draft, error);
  if (!error) fs::rename(draft, link, error);
  if (error) return absl::InternalError(absl::StrCat("cannot set ", link, ": ", error.message()));
  return absl::OkStatus();
}

}  // namespace ringfence::agent
