#include "ringfence/policy/judge/standing.h"

namespace ringfence::policy {

Standing After(Standing standing, News news) {
  switch (news) {
    case News::kExposed:
      return standing == Standing::kNone || standing == Standing::kFree ? Standing::kUnproven : standing;
    case News::kProved:
      return IsUnconfirmed(standing) ? Standing::kProven : standing;
    case News::kMatured:
      return standing == Standing::kUnproven ? Standing::kFailed : standing;
    case News::kWentBad:
      return standing == Standing::kProven ? Standing::kTakenBack : standing;
    case News::kReleased:
      return standing == Standing::kNone ? standing : Standing::kFree;
  }
  return standing;
}

void Count(Budget& budget, Standing standing, int64_t by) {
  switch (standing) {
    case Standing::kUnproven:
    case Standing::kTakenBack:
      budget.unproven += by;
      return;
    case Standing::kProven:
      budget.healthy += by;
      return;
    case Standing::kFailed:
      budget.failed += by;
      return;
    case Standing::kNone:
    case Standing::kFree:
      return;
  }
}

}  // namespace ringfence::policy
