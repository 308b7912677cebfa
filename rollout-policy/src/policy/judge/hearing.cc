#include "ringfence/policy/judge/hearing.h"

namespace ringfence::policy {

bool IsDeaf(const Hearing& hearing) {
  return static_cast<double>(hearing.heard) < 0.5 * hearing.forecast;
}

}  // namespace ringfence::policy
