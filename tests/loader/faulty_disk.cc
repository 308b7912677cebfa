#include "tests/loader/faulty_disk.h"

#include "ringfence/base/status_macros.h"

namespace ringfence::loader {
namespace {

absl::Status Dead() {
  return absl::UnavailableError("the power is off");
}

}  // namespace

void FaultyDisk::Restore(Aftermath aftermath) {
  if (!aftermath.names_kept) names_ = synced_names_;
  synced_names_ = names_;
  for (auto& [path, file] : names_) {
    switch (aftermath.data) {
      case Data::kLost:
        file->seen = file->synced;
        break;
      case Data::kHalf:
        if (file->seen != file->synced) file->seen.resize(file->seen.size() / 2);
        break;
      case Data::kWhole:
        break;
    }
    file->synced = file->seen;
  }
  left_ = -1;
  steps_ = 0;
}

void FaultyDisk::Damage(const std::string& path, size_t at) {
  File& file = *names_.at(path);
  file.seen[at] = static_cast<char>(file.seen[at] ^ 0x40);
  file.synced = file.seen;
}

absl::Status FaultyDisk::Step() {
  if (left_ == 0) return Dead();
  if (read_only_) return absl::InternalError("the disk is read-only");
  ++steps_;
  if (left_ > 0 && --left_ == 0) return absl::AbortedError("the power fails");
  return absl::OkStatus();
}

absl::StatusOr<std::string> FaultyDisk::Read(const std::string& path) {
  if (left_ == 0) return Dead();
  const auto found = names_.find(path);
  if (found == names_.end()) return absl::NotFoundError(path);
  return found->second->seen;
}

absl::Status FaultyDisk::Write(const std::string& path, absl::string_view bytes, int) {
  const absl::Status step = Step();
  if (!step.ok() && !absl::IsAborted(step)) return step;
  std::shared_ptr<File>& file = names_[path];
  if (file == nullptr) file = std::make_shared<File>();
  file->seen = std::string(step.ok() ? bytes : bytes.substr(0, bytes.size() / 3));
  return step;
}

absl::Status FaultyDisk::Sync(const std::string& path) {
  RETURN_IF_ERROR(Step());
  File& file = *names_.at(path);
  file.synced = file.seen;
  return absl::OkStatus();
}

absl::Status FaultyDisk::Rename(const std::string& from, const std::string& to) {
  const absl::Status step = Step();
  if (!step.ok() && !absl::IsAborted(step)) return step;
  names_[to] = names_.at(from);  // whether a rename that was cut reaches the disk is the aftermath's
  names_.erase(from);
  return step;
}

absl::Status FaultyDisk::SyncFolder(const std::string&) {
  RETURN_IF_ERROR(Step());
  synced_names_ = names_;
  return absl::OkStatus();
}

}  // namespace ringfence::loader
