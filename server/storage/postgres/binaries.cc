#include "server/storage/postgres/binaries.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ringfence::storage {
namespace {

constexpr char kDebianFolder[] = "/usr/lib/postgresql";

bool HasPrograms(const std::string& folder) {
  return access(absl::StrCat(folder, "/postgres").c_str(), X_OK) == 0 &&
         access(absl::StrCat(folder, "/initdb").c_str(), X_OK) == 0;
}

std::string HighestDebianFolder() {
  int highest = -1;
  std::string folder;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kDebianFolder, error)) {
    int version = 0;
    const std::string bin = entry.path().string() + "/bin";
    if (absl::SimpleAtoi(entry.path().filename().string(), &version) && version > highest &&
        HasPrograms(bin)) {
      highest = version;
      folder = bin;
    }
  }
  return folder;
}

}  // namespace

absl::StatusOr<std::string> FindPostgresBinaries(const std::string& explicit_folder,
                                                 absl::string_view version) {
  if (!explicit_folder.empty()) {
    if (HasPrograms(explicit_folder)) return explicit_folder;
    return absl::NotFoundError(absl::StrCat("no postgres and initdb in ", explicit_folder));
  }
  if (!version.empty()) {
    const std::string folder = absl::StrCat(kDebianFolder, "/", version, "/bin");
    if (HasPrograms(folder)) return folder;
  }
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    const std::vector<std::string> folders = absl::StrSplit(path, ':', absl::SkipEmpty());
    for (const std::string& folder : folders) {
      if (HasPrograms(folder)) return folder;
    }
  }
  std::string folder = HighestDebianFolder();
  if (!folder.empty()) return folder;
  return absl::NotFoundError(absl::StrCat("PostgreSQL's postgres and initdb are neither in PATH nor in ",
                                          kDebianFolder, "/*/bin: install the package postgresql-15"));
}

}  // namespace ringfence::storage
