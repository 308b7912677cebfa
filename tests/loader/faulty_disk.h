// A disk in memory on which the power may fail at any step, and which then holds whatever a real one may
// hold: files that were not synced empty, half written or whole, and names that were not synced old or new.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "ringfence/agent/file_system.h"

namespace ringfence::loader {

class FaultyDisk final : public agent::FileSystem {
 public:
  enum class Data { kLost, kHalf, kWhole };
  // What became of everything that was not synced.
  struct Aftermath {
    Data data = Data::kLost;
    bool names_kept = false;
  };

  // The `step`-th operation from now that changes something (from 1) is begun and not ended, nor is any after
  // it.
  void CutAt(int step) { left_ = step; }
  // Operations since the last Restore or CutAt.
  int steps() const { return steps_; }
  bool dead() const { return left_ == 0; }
  // The power comes back.
  void Restore(Aftermath aftermath);
  // From now on writing fails, reading does not: a full or read-only disk.
  void SetReadOnly(bool read_only) { read_only_ = read_only; }
  // Bytes that rot.
  void Damage(const std::string& path, size_t at);
  void Remove(const std::string& path) { names_.erase(path), synced_names_.erase(path); }
  bool Has(const std::string& path) const { return names_.contains(path); }
  size_t SizeOf(const std::string& path) const { return names_.at(path)->seen.size(); }

  absl::StatusOr<std::string> Read(const std::string& path) override;
  absl::Status Write(const std::string& path, absl::string_view bytes, int mode) override;
  absl::Status Sync(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status SyncFolder(const std::string& path) override;

 private:
  struct File {
    std::string seen, synced;
  };
  // Ok: the operation happens. Otherwise it does not, or not for sure.
  absl::Status Step();

  std::map<std::string, std::shared_ptr<File>> names_, synced_names_;
  int left_ = -1;  // until the cut; -1: none; 0: dead
  int steps_ = 0;
  bool read_only_ = false;
};

}  // namespace ringfence::loader
