// A store in memory that tells before each transaction, and may be down.
#pragma once

#include <functional>
#include <memory>

#include "server/storage/store.h"

namespace ringfence::test {

class HookedStore final : public storage::Store {
 public:
  absl::Status ReadWrite(absl::FunctionRef<absl::Status(storage::Transaction&)> body) override {
    if (before) before();
    if (down) return absl::UnavailableError("down");
    return inner_->ReadWrite(body);
  }
  absl::Status Ping() override {
    if (before) before();
    return down ? absl::UnavailableError("down") : inner_->Ping();
  }

  std::function<void()> before;  // on the thread that called
  bool down = false;

 private:
  const std::unique_ptr<storage::Store> inner_ = storage::MakeMemoryStore();
};

}  // namespace ringfence::test
