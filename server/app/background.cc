#include "server/app/background.h"

#include <algorithm>
#include <cmath>

namespace ringfence::app {
namespace {

constexpr char kOther[] = "other";
// 1970 began on a Thursday.
constexpr int64_t kHoursBeforeEpoch = 3 * 24;

double Shrunk(double bad, double all, double towards) {
  return (bad + Background::kPriorSpells * towards) / (all + Background::kPriorSpells);
}

}  // namespace

std::pair<int64_t, int> Background::WeekAndHour(absl::Time at) {
  const int64_t hour = absl::ToUnixSeconds(at) / 3600 + kHoursBeforeEpoch;
  return {hour / kHours, static_cast<int>(hour % kHours)};
}

void Background::Hour::FadeTo(int64_t later) {
  if (later <= week) return;
  const double left = std::pow(kWeekly, static_cast<double>(later - week));
  week = later;
  spells *= left;
  for (double& sum : bad) sum *= left;
}

policy::HostClass Background::ClassOf(absl::string_view name) {
  const auto known = std::find(names_.begin(), names_.end(), name);
  if (known != names_.end()) return static_cast<policy::HostClass>(known - names_.begin());
  if (names_.size() + 1 < kClasses) {
    names_.emplace_back(name);
    return static_cast<policy::HostClass>(names_.size() - 1);
  }
  if (names_.size() < kClasses) names_.emplace_back(kOther);
  return kClasses - 1;
}

void Background::Count(policy::HostClass host_class, absl::Time at,
                       const std::array<bool, policy::kGuardChannels>& bad) {
  const auto [week, hour] = WeekAndHour(at);
  Hour& in = hours_[{host_class, hour}];
  in.FadeTo(week);
  in.week = std::max(in.week, week);
  in.spells += 1;
  for (size_t c = 0; c < bad.size(); ++c) in.bad[c] += bad[c] ? 1 : 0;
  in.unsaved = true;
}

policy::BackgroundRates Background::At(absl::Time now) const {
  const auto [week, this_hour] = WeekAndHour(now);
  policy::BackgroundRates rates(kClasses);
  for (size_t host_class = 0; host_class < kClasses; ++host_class) {
    Hour whole, of_hour;
    const auto first = hours_.lower_bound({static_cast<policy::HostClass>(host_class), 0});
    for (auto it = first; it != hours_.end() && it->first.first == host_class; ++it) {
      Hour faded = it->second;
      faded.FadeTo(week);
      whole.spells += faded.spells;
      for (size_t c = 0; c < whole.bad.size(); ++c) whole.bad[c] += faded.bad[c];
      if (it->first.second == this_hour) of_hour = faded;
    }
    for (size_t c = 0; c < policy::kGuardChannels; ++c) {
      rates[host_class][c] =
          Shrunk(of_hour.bad[c], of_hour.spells, Shrunk(whole.bad[c], whole.spells, kPrior));
    }
  }
  return rates;
}

std::vector<storage::BackgroundRow> Background::TakeUnsaved() {
  std::vector<storage::BackgroundRow> rows;
  for (auto& [key, hour] : hours_) {
    if (!hour.unsaved) continue;
    hour.unsaved = false;
    rows.push_back({names_[key.first], key.second, hour.week, hour.spells, hour.bad[0], hour.bad[1]});
  }
  return rows;
}

void Background::GiveBack(absl::Span<const storage::BackgroundRow> rows) {
  for (const storage::BackgroundRow& row : rows) {
    hours_[{ClassOf(row.host_class), row.hour_of_week}].unsaved = true;
  }
}

void Background::Restore(absl::Span<const storage::BackgroundRow> rows) {
  for (const storage::BackgroundRow& row : rows) {
    Hour& hour = hours_[{ClassOf(row.host_class), row.hour_of_week}];
    // Kinds that share the last class are one from now on.
    const int64_t week = std::max(hour.week, row.week);
    Hour more{row.week, row.spells, {row.silent, row.crashed}, false};
    more.FadeTo(week);
    hour.FadeTo(week);
    hour.week = week;
    hour.spells += more.spells;
    for (size_t c = 0; c < hour.bad.size(); ++c) hour.bad[c] += more.bad[c];
  }
}

}  // namespace ringfence::app
