#include "server/api/readiness.h"

#include "absl/strings/str_cat.h"

namespace ringfence::api {
namespace {

// A healthy database answers in milliseconds.
constexpr absl::Duration kAnswersWithin = absl::Seconds(1);

}  // namespace

void Readiness::EngineStepped(absl::Status status) {
  MutexLock lock(&mutex_);
  last_step_ = clock_->Now();
  last_status_ = std::move(status);
}

void Readiness::Follows(absl::Status leader_answers) {
  MutexLock lock(&mutex_);
  follows_ = std::move(leader_answers);
}

void Readiness::Leads() {
  MutexLock lock(&mutex_);
  follows_.reset();
}

void Readiness::Stopping() {
  MutexLock lock(&mutex_);
  stopping_ = true;
}

void Readiness::AskDatabase() {
  {
    MutexLock lock(&mutex_);
    asked_at_ = clock_->Now();
  }
  absl::Status answer = store_->Ping();
  MutexLock lock(&mutex_);
  asked_at_.reset();
  database_ = std::move(answer);
}

std::vector<std::string> Readiness::Faults() {
  const absl::Time now = clock_->Now();
  std::vector<std::string> faults;
  MutexLock lock(&mutex_);
  if (stopping_) return {"the server stops"};
  if (follows_.has_value()) {
    if (!follows_->ok()) faults.push_back(absl::StrCat("follows: ", follows_->message()));
  } else if (last_step_ == absl::InfinitePast()) {
    faults.push_back("the engine has not made its first step");
  } else if (now - last_step_ > patience_) {
    faults.push_back(absl::StrCat("the engine made no step for ", absl::FormatDuration(now - last_step_)));
  } else if (!last_status_.ok()) {
    faults.push_back(absl::StrCat("the engine's last step failed: ", last_status_.message()));
  }
  if (asked_at_.has_value() && now - *asked_at_ > kAnswersWithin) {
    faults.push_back(
        absl::StrCat("the database: has not answered for ", absl::FormatDuration(now - *asked_at_)));
  } else if (!database_.ok()) {
    faults.push_back(absl::StrCat("the database: ", database_.message()));
  }
  return faults;
}

}  // namespace ringfence::api
