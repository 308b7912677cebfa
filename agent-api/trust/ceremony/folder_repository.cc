#include "ringfence/tuf/folder_repository.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_store.h"

namespace ringfence::tuf {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::vector<std::string>> Names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) return absl::UnknownError(absl::StrCat(folder, ": ", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return error ? absl::UnknownError(absl::StrCat(folder, ": ", error.message())) : absl::OkStatus();
}

// What Quote made of a role's name, back again.
std::string Unquote(absl::string_view quoted) {
  std::string name;
  for (size_t i = 0; i < quoted.size(); ++i) {
    uint32_t code = 0;
    if (quoted[i] == '%' && i + 2 < quoted.size() && absl::SimpleHexAtoi(quoted.substr(i + 1, 2), &code)) {
      name.push_back(static_cast<char>(code));
      i += 2;
    } else {
      name.push_back(quoted[i]);
    }
  }
  return name;
}

// Keeps what is trusted in memory: for a look that leaves nothing behind.
class Transient final : public MetadataStore {
 public:
  explicit Transient(absl::string_view root) { files_[kRoot] = std::string(root); }
  absl::StatusOr<std::string> Load(const std::string& role) override {
    const auto found = files_.find(role);
    if (found == files_.end()) return absl::NotFoundError("not there");
    return found->second;
  }
  absl::Status Save(const std::string& role, absl::string_view bytes) override {
    files_[role] = std::string(bytes);
    return absl::OkStatus();
  }

 private:
  std::map<std::string, std::string> files_;
};

}  // namespace

absl::Status FolderRepository::Create() {
  for (const char* name : {"metadata", "targets", "drafts"})
    RETURN_IF_ERROR(MakeFolder(absl::StrCat(folder_, "/", name)));
  return absl::OkStatus();
}

absl::StatusOr<int64_t> FolderRepository::PublishedVersion(const std::string& role) const {
  if (role == kTimestamp) {
    const auto bytes = ReadMetadata("timestamp.json", kMaxTimestampBytes);
    if (absl::IsNotFound(bytes.status())) return 0;
    RETURN_IF_ERROR(bytes.status());
    ASSIGN_OR_RETURN(const auto timestamp, ParseTimestamp(*bytes));
    return timestamp.body.version;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(folder_ + "/metadata"));
  int64_t newest = 0;
  for (const std::string& name : names) {
    const size_t dot = name.find('.');
    int64_t version = 0;
    if (dot == std::string::npos || name.substr(dot) != absl::StrCat(".", Quote(role), ".json")) continue;
    if (absl::SimpleAtoi(name.substr(0, dot), &version)) newest = std::max(newest, version);
  }
  return newest;
}

absl::StatusOr<std::string> FolderRepository::Published(const std::string& role) const {
  if (role == kTimestamp) return ReadMetadata("timestamp.json", kMaxTimestampBytes);
  ASSIGN_OR_RETURN(const int64_t version, PublishedVersion(role));
  return ReadMetadata(absl::StrCat(version, ".", Quote(role), ".json"), kMaxTargetsBytes);
}

absl::StatusOr<std::string> FolderRepository::RootVersion(int64_t version) const {
  return ReadMetadata(absl::StrCat(version, ".root.json"), kMaxRootBytes);
}

absl::StatusOr<std::string> FolderRepository::Draft(const std::string& role) const {
  return ReadFile(absl::StrCat(folder_, "/drafts/", Quote(role), ".json"), kMaxTargetsBytes);
}
absl::Status FolderRepository::SaveDraft(const std::string& role, absl::string_view bytes) const {
  return WriteFileDurably(absl::StrCat(folder_, "/drafts/", Quote(role), ".json"), bytes, 0644);
}
absl::Status FolderRepository::RemoveDraft(const std::string& role) const {
  std::error_code error;
  fs::remove(absl::StrCat(folder_, "/drafts/", Quote(role), ".json"), error);
  return error ? absl::UnknownError(absl::StrCat("draft of ", role, ": ", error.message()))
               : absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FolderRepository::Drafts() const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(folder_ + "/drafts"));
  std::vector<std::string> roles;
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".json")) roles.push_back(Unquote(absl::StripSuffix(name, ".json")));
  }
  return roles;
}

absl::StatusOr<std::string> FolderRepository::Latest(const std::string& role) const {
  absl::StatusOr<std::string> bytes = Draft(role);
  if (absl::IsNotFound(bytes.status())) bytes = Published(role);
  if (absl::IsNotFound(bytes.status())) return std::string();
  return bytes;
}

absl::Status FolderRepository::SaveTarget(const std::string& path, absl::string_view bytes) const {
  TargetFile target;
  target.path = path;
  target.info.hashes["sha256"] = Sha256(bytes).ToString();
  ASSIGN_OR_RETURN(const std::string name, TargetFileName(target, /*consistent_snapshot=*/true));
  const fs::path file = fs::path(folder_) / "targets" / name;
  if (absl::StrContains(absl::StrCat("/", name, "/"), "/../"))
    return absl::InvalidArgumentError(
        absl::StrCat("target: found ", path, ", wanted a path that stays in the folder"));
  RETURN_IF_ERROR(MakeFolder(file.parent_path().string()));
  return WriteFileDurably(file.string(), bytes, 0644);
}

absl::StatusOr<std::string> FolderRepository::ReadTarget(const TargetFile& target) const {
  ASSIGN_OR_RETURN(const std::string name, TargetFileName(target, /*consistent_snapshot=*/true));
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(absl::StrCat(folder_, "/targets/", name),
                                               static_cast<size_t>(*target.info.length)));
  RETURN_IF_ERROR(CheckBytes(target.info, bytes, target.path));
  return bytes;
}

absl::Status FolderRepository::SaveMetadata(const std::string& name, absl::string_view bytes) const {
  return WriteFileDurably(absl::StrCat(folder_, "/metadata/", name), bytes, 0644);
}
absl::StatusOr<std::string> FolderRepository::ReadMetadata(const std::string& name, size_t most) const {
  return ReadFile(absl::StrCat(folder_, "/metadata/", name), most);
}

absl::StatusOr<std::string> FolderFetcher::Metadata(const std::string& name, size_t most) {
  const auto found = instead_.find(name);
  if (found == instead_.end()) return repository_.ReadMetadata(name, most);
  if (found->second.size() > most)
    return absl::ResourceExhaustedError(absl::StrCat(name, ": more than ", most, " bytes"));
  return found->second;
}

absl::StatusOr<std::string> FolderFetcher::Target(const std::string& name, size_t most) {
  return ReadFile(absl::StrCat(repository_.folder(), "/targets/", name), most);
}

absl::StatusOr<std::vector<CheckedTarget>> CheckRepository(Fetcher& fetcher, absl::string_view root,
                                                           absl::Time now, bool bytes) {
  Transient store(root);
  Updater updater(fetcher, store, now);
  RETURN_IF_ERROR(updater.Refresh());
  TrustedSet trusted = *updater.trusted();
  std::vector<CheckedTarget> found;
  std::vector<std::pair<std::string, std::string>> to_do = {{kTargets, kRoot}};
  for (size_t i = 0; i < to_do.size(); ++i) {
    const auto [role, delegator] = to_do[i];
    if (trusted.targets(role, delegator) == nullptr) {
      const FileInfo* listed = trusted.Listed(role);
      if (listed == nullptr)
        return Failure(Fault::kMissing, role, "delegated, but the snapshot does not list it");
      const auto document =
          fetcher.Metadata(absl::StrCat(listed->version, ".", Quote(role), ".json"), kMaxTargetsBytes);
      if (!document.ok()) return Failure(Fault::kMissing, role, document.status().message());
      RETURN_IF_ERROR(trusted.UpdateTargets(role, delegator, *document));
    }
    const Targets& targets = *trusted.targets(role, delegator);
    for (const auto& [path, file] : targets.targets) found.push_back({role, file});
    for (const Delegation& delegation : targets.delegations) {
      const std::pair<std::string, std::string> next = {delegation.name, role};
      if (std::find(to_do.begin(), to_do.end(), next) == to_do.end()) to_do.push_back(next);
    }
  }
  for (const CheckedTarget& target : found) {
    // That a role lists it is not enough: whoever looks for the path has to be led to this listing.
    ASSIGN_OR_RETURN(const TargetFile led_to, updater.Find(target.file.path));
    if (led_to.info.hashes != target.file.info.hashes || led_to.custom != target.file.custom)
      return Failure(Fault::kMissing, target.file.path,
                     absl::StrCat("listed by ", target.role, ", but a client is led to another listing"));
    if (bytes) RETURN_IF_ERROR(updater.Download(target.file).status());
  }
  return found;
}

}  // namespace ringfence::tuf
