// Time since boot, sleep included: leases and waits are measured on it, so that a clock set wrong or a lid
// closed for a night can neither stretch nor revive them.
#pragma once

#include "ringfence/base/clock.h"

namespace ringfence::agent {

// Thread-safe. The epoch means nothing.
class BootClock final : public Clock {
 public:
  absl::Time Now() override;
};

}  // namespace ringfence::agent
