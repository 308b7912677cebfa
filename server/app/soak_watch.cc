#include "server/app/soak_watch.h"

#include <algorithm>

namespace ringfence::app {

void SoakWatch::Open(HostRef host, bool phantom, Stage* stage, FleetNanos now) {
  Spell& spell = spells_[host];
  if (spell.waits_in != nullptr) --waiting_[spell.waits_in];
  spell = {now + soak_, phantom ? stage : nullptr, false};
  if (phantom) ++waiting_[stage];
  due_.push({std::min(now + gap_, spell.ends), spell.ends, host});
}

FleetNanos SoakWatch::WaitsUntil(HostRef host) const {
  const auto it = spells_.find(host);
  return it == spells_.end() || it->second.waits_in == nullptr ? 0 : it->second.ends;
}

int64_t SoakWatch::WaitingIn(const Stage* stage) const {
  const auto it = waiting_.find(stage);
  return it == waiting_.end() ? 0 : it->second;
}

void SoakWatch::Advance(FleetNanos now, const Hooks& hooks) {
  while (!due_.empty() && due_.top().at <= now) {
    const Due due = due_.top();
    due_.pop();
    const auto it = spells_.find(due.host);
    if (it == spells_.end() || it->second.ends != due.ends) continue;
    if (!it->second.gap_seen) {
      // A gap that began before S was over, and was long enough by then.
      const FleetNanos gap_at = hooks.last_seen(due.host) + gap_;
      if (gap_at <= std::min(due.at, due.ends)) {
        it->second.gap_seen = true;
        hooks.gap(due.host);
      } else if (gap_at < due.ends) {
        due_.push({gap_at, due.ends, due.host});
        continue;
      }
    }
    if (due.at < due.ends) {
      due_.push({due.ends, due.ends, due.host});
      continue;
    }
    Stage* const waited_in = it->second.waits_in;
    if (waited_in != nullptr) --waiting_[waited_in];
    spells_.erase(it);
    hooks.ended(due.host, waited_in);
  }
}

void SoakWatch::Clear() {
  spells_.clear();
  waiting_.clear();
  due_ = {};
}

}  // namespace ringfence::app
