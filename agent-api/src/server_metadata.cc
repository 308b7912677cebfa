#include "server_metadata.h"

#include <future>
#include <memory>
#include <utility>

namespace ringfence::agent {

void ServerMetadata::SetCredential(Credential who) {
  MutexLock lock(&mutex_);
  who_ = std::move(who);
}

absl::StatusOr<std::string> ServerMetadata::Metadata(const std::string& name, size_t most) {
  Credential who;
  {
    MutexLock lock(&mutex_);
    who = who_;
  }
  if (who.secret.empty()) return absl::UnavailableError("not enrolled yet");
  // Shared with the callback: it may be at work still when the wait is over.
  const auto answer = std::make_shared<std::promise<absl::StatusOr<std::string>>>();
  auto waits = answer->get_future();
  client_->FetchMetadata(
      who, name, most, [answer](absl::StatusOr<std::string> bytes) { answer->set_value(std::move(bytes)); });
  return waits.get();
}

absl::StatusOr<std::string> ServerMetadata::Target(const std::string& name, size_t most) {
  return Metadata(name, most);
}

}  // namespace ringfence::agent
