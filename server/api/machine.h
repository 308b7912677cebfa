// What the process asks of the machine that it runs on.
#pragma once

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringfence/base/clock.h"
#include "server/api/log.h"

namespace ringfence::api {

// An agent is a connection, a connection is a file: raises the limit as far as it may be, and warns when that
// is little.
void RaiseFileLimit(Log& log);

// Written whole or not at all: whoever waits for the file never reads half of it.
absl::Status WriteFile(const std::string& path, const std::string& text);

// The wall clock against a clock that cannot be set.
class JumpWatch {
 public:
  explicit JumpWatch(Clock* clock) : clock_(clock), offset_(Offset()) {}

  // How far the wall clock moved since the last call beyond the time that passed.
  absl::Duration Jump() {
    const absl::Duration offset = Offset();
    const absl::Duration jump = offset - offset_;
    offset_ = offset;
    return jump;
  }

 private:
  absl::Duration Offset() {
    const auto steady = std::chrono::steady_clock::now().time_since_epoch();
    return clock_->Now() - absl::UnixEpoch() - absl::FromChrono(steady);
  }

  Clock* const clock_;
  absl::Duration offset_;
};

}  // namespace ringfence::api
