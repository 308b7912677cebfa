// What of the soak the judgement keeps: counts for words and pages. The evidence itself is the judge's.
#include "server/app/release_judgement.h"

namespace ringfence::app {

using policy::Arm;
using policy::HealthChannel;

void ReleaseJudgement::CountSoak(HostRef host, Arm arm) {
  if (arm == Arm::kControl || !HasOpenSoak(host)) return;
  for (const HealthChannel channel : {HealthChannel::kSilenceSoak, HealthChannel::kCrashSoak})
    Count(channel, CellsOf(host), arm, false);
}

void ReleaseJudgement::SoakBad(HostRef host, HealthChannel channel, bool treated) {
  if (!judge_.SoakBad(IndexOf(host), channel)) return;
  const auto count = [&](size_t scope) {
    SpellCounts& in = counts_[scope][static_cast<size_t>(channel)];
    ++(treated ? in.bad_treated : in.bad_control);
  };
  count(0);
  for (const policy::CellIndex cell : CellsOf(host)) count(size_t{1} + cell);
  dirty_ = true;
}

}  // namespace ringfence::app
