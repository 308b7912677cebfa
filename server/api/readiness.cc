#include "server/api/readiness.h"

#include "absl/strings/str_cat.h"

namespace ringfence::api {

void Readiness::EngineStepped(absl::Status status) {
  MutexLock lock(&mutex_);
  last_step_ = clock_->Now();
  last_status_ = std::move(status);
}

void Readiness::StandsBy(bool stands_by) {
  MutexLock lock(&mutex_);
  stands_by_ = stands_by;
}

void Readiness::Stopping() {
  MutexLock lock(&mutex_);
  stopping_ = true;
}

std::vector<std::string> Readiness::Faults() {
  std::vector<std::string> faults;
  {
    MutexLock lock(&mutex_);
    if (stopping_) return {"the server stops"};
    if (stands_by_) {
      faults.push_back("stands by: another replica leads");
    } else if (last_step_ == absl::InfinitePast()) {
      faults.push_back("the engine has not made its first step");
    } else if (clock_->Now() - last_step_ > patience_) {
      faults.push_back(
          absl::StrCat("the engine made no step for ", absl::FormatDuration(clock_->Now() - last_step_)));
    } else if (!last_status_.ok()) {
      faults.push_back(absl::StrCat("the engine's last step failed: ", last_status_.message()));
    }
  }
  const absl::Status ping = store_->Ping();
  if (!ping.ok()) faults.push_back(absl::StrCat("the database: ", ping.message()));
  return faults;
}

}  // namespace ringfence::api
