// The release repository as the server hands it on. Nothing that it gives is believed.
#pragma once

#include <string>

#include "ringfence/agent/client.h"
#include "ringfence/base/mutex.h"
#include "ringfence/tuf/updater.h"

namespace ringfence::agent {

// Waits for the server: not for a thread that has anything else to do. Thread-safe. Client::Close wakes it.
class ServerMetadata final : public tuf::Fetcher {
 public:
  explicit ServerMetadata(Client* client) : client_(client) {}
  // Who asks from now on; before that there is no answer.
  void SetCredential(Credential who);

  absl::StatusOr<std::string> Metadata(const std::string& name, size_t most) override;
  // The same: the server knows targets by their path, with or without their hash in it.
  absl::StatusOr<std::string> Target(const std::string& name, size_t most) override;

 private:
  Client* const client_;
  Mutex mutex_;
  Credential who_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ringfence::agent
