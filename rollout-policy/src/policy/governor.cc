#include "ringfence/policy/governor.h"

#include <algorithm>
#include <cmath>

#include "ringfence/policy/evidence.h"

namespace ringfence::policy {

int64_t StartBudget(int64_t size) {
  if (size > 150) return 4;
  return size <= 50 ? 1 : (size + 49) / 50;
}

int64_t InUse(const Budget& release) {
  const bool first = release.healthy == 0 && !release.waived;
  return release.unproven + (first ? release.failed : 0);
}

bool FirstHostsFailed(const Budget& release) {
  return release.failed > 0 && release.unproven == 0 && InUse(release) >= release.b0;
}

double Cap(int64_t b0, int64_t healthy, double m_r) {
  const double start = static_cast<double>(b0);
  // Evidence that is no number must not open the budget.
  if (std::isnan(m_r)) return start;
  return std::max(start, (start + kGamma * static_cast<double>(healthy)) / std::max(1.0, m_r / kBrakeAt));
}

int64_t Tokens(const Budget& release, const Budget& stage, double m_r, std::optional<int64_t> wave_room,
               std::optional<int64_t> grant) {
  double room = std::floor(Cap(release.b0, release.healthy, m_r) - static_cast<double>(InUse(release)));
  room = std::min(room, std::floor(Cap(stage.b0, stage.healthy, m_r) - static_cast<double>(stage.unproven)));
  if (wave_room.has_value()) room = std::min(room, static_cast<double>(*wave_room));
  if (grant.has_value()) room = std::min(room, static_cast<double>(*grant));
  return static_cast<int64_t>(std::max(0.0, room));
}

bool CellIsOpen(int64_t unproven, int64_t b0, int64_t healthy) {
  return static_cast<double>(unproven) < static_cast<double>(b0) + kGamma * static_cast<double>(healthy);
}

int64_t RollbackPerMinute(int64_t set_size) {
  if (set_size <= 100) return 10;
  return set_size / 10 + (set_size % 10 != 0 ? 1 : 0);
}

bool IsItsTurnBack(uint64_t place, int64_t set_size, absl::Duration since) {
  using Wide = unsigned __int128;
  const int64_t per_minute = RollbackPerMinute(set_size);
  const int64_t minutes = std::max<int64_t>(0, absl::ToInt64Minutes(since));
  if (minutes >= set_size / per_minute) return true;
  // place / 2^64 < turns / set_size, in integers.
  const int64_t turns = per_minute * (minutes + 1);
  return Wide{place} * static_cast<uint64_t>(set_size) < Wide{static_cast<uint64_t>(turns)} << 64;
}

}  // namespace ringfence::policy
