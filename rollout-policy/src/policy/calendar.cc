#include "ringfence/policy/calendar.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"

namespace ringfence::policy {
namespace {

constexpr absl::Duration kHorizon = absl::Hours(24 * 731);
constexpr absl::Duration kOpenHorizon = absl::Hours(24 * 8);
constexpr int kMinutesOfDay = 24 * 60;
// A window that opens once a week may lose one opening to a jump of the clock.
constexpr int kDaysAhead = 15;
// Every step passes the end of a freeze, a day of blackout or the opening of a window.
constexpr int kMostSteps = 2000;

struct Interval {
  absl::Time begin, end;  // end exclusive
  bool Holds(absl::Time time) const { return begin <= time && time < end; }
};

// Names that can only be a file of tzdata: no path, none of its other trees, not the machine's own zone.
bool LooksLikeZone(absl::string_view name) {
  if (name == "UTC") return true;
  if (name.empty() || name.size() > 64 || name.front() == '/' || name.back() == '/') return false;
  int parts = 0;
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    ++parts;
    if (part.empty()) return false;
    const bool clean = std::all_of(part.begin(), part.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '+';
    });
    if (!clean) return false;
  }
  return parts > 1 && name.substr(0, 6) != "posix/" && name.substr(0, 6) != "right/";
}

std::optional<absl::TimeZone> Load(absl::string_view name) {
  absl::TimeZone zone;
  if (!LooksLikeZone(name) || !absl::LoadTimeZone(name, &zone)) return std::nullopt;
  return zone;
}

absl::string_view Or(absl::string_view own, absl::string_view plans) {
  if (!own.empty()) return own;
  return plans.empty() ? absl::string_view("UTC") : plans;
}

// The moment at which the local clock first shows `time`, or jumps over it.
absl::Time FirstShown(const absl::TimeZone& zone, absl::CivilSecond time) {
  const absl::TimeZone::TimeInfo info = zone.At(time);
  return info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
}

bool BeginsOn(const Window& window, absl::CivilDay day) {
  if (window.days.empty()) return true;
  const auto today = static_cast<Weekday>(static_cast<int>(absl::GetWeekday(day)) + 1);  // absl: Monday is 0
  return std::find(window.days.begin(), window.days.end(), today) != window.days.end();
}

// The window that begins on this local day; empty (begin == end) when the clock jumps over it.
Interval On(const Window& window, const absl::TimeZone& zone, absl::CivilDay day) {
  const absl::CivilSecond midnight(day);
  const absl::CivilSecond next(day + 1);
  const absl::Time begin = FirstShown(zone, midnight + window.from * 60);
  const absl::Time end =
      FirstShown(zone, window.to > window.from ? midnight + window.to * 60 : next + window.to * 60);
  return {begin, std::max(begin, end)};
}

// The intervals of a window that may hold `now` or follow it soon, in order.
template <typename Visit>
void EachInterval(const Window& window, absl::string_view plan_zone, absl::Time now, Visit visit) {
  const std::optional<absl::TimeZone> zone = Load(Or(window.zone, plan_zone));
  if (!zone.has_value()) return;
  const absl::CivilDay today(zone->At(now).cs);
  for (int i = -1; i <= kDaysAhead; ++i) {
    if (!BeginsOn(window, today + i)) continue;
    const Interval interval = On(window, *zone, today + i);
    if (interval.begin < interval.end && interval.end > now && visit(interval)) return;
  }
}

// When the windows that are open now close, those that follow without a gap included (a week or so of them);
// `now` if none is open.
absl::Time OpenUntil(const Calendar& calendar, absl::Time now) {
  absl::Time until = now;
  for (bool longer = true; longer && until - now < kOpenHorizon;) {
    longer = false;
    for (const Window& window : calendar.windows) {
      EachInterval(window, calendar.zone, until, [&](const Interval& interval) {
        if (!interval.Holds(until)) return true;
        until = interval.end;
        longer = true;
        return true;
      });
    }
  }
  return until;
}

absl::Time NextOpening(const Calendar& calendar, absl::Time now) {
  absl::Time next = absl::InfiniteFuture();
  for (const Window& window : calendar.windows) {
    EachInterval(window, calendar.zone, now, [&](const Interval& interval) {
      next = std::min(next, std::max(now, interval.begin));
      return true;
    });
  }
  return next;
}

// The days that a blackout means next: one in this year, one in the next.
std::vector<Interval> DaysOf(const Blackout& blackout, absl::string_view plan_zone, absl::Time now) {
  const std::optional<absl::TimeZone> zone = Load(Or(blackout.zone, plan_zone));
  std::vector<Interval> days;
  if (!zone.has_value() || !IsBlackoutDate(blackout.date)) {
    days.push_back({absl::InfinitePast(), absl::InfiniteFuture()});
    return days;
  }
  std::vector<std::string> parts = absl::StrSplit(blackout.date, '-');
  std::vector<absl::civil_year_t> years;
  if (parts.size() == 3) {
    int year = 0;
    (void)absl::SimpleAtoi(parts[0], &year);
    years = {year};
    parts.erase(parts.begin());
  } else {
    const absl::civil_year_t year = zone->At(now).cs.year();
    years = {year - 1, year, year + 1, year + 2};
  }
  int month = 0, day = 0;
  (void)absl::SimpleAtoi(parts[0], &month);
  (void)absl::SimpleAtoi(parts[1], &day);
  for (const absl::civil_year_t year : years) {
    const absl::CivilDay date(year, month, day);
    if (date.month() != month) continue;  // the 29th of February of another year
    days.push_back(
        {FirstShown(*zone, absl::CivilSecond(date)), FirstShown(*zone, absl::CivilSecond(date + 1))});
  }
  return days;
}

// Leases ask at every draw, and a plan may have hundreds of dates: only those that can be today, or next to
// it, anywhere on earth are looked at closely. (Validate let no date in that cannot be read.)
class NearToday {
 public:
  NearToday(absl::Time now, absl::string_view plan_zone)
      : plan_zone_is_known_(IsTimeZone(Or("", plan_zone))) {
    const absl::CivilDay today(absl::UTCTimeZone().At(now).cs);
    for (int i = -1; i <= 1; ++i) {
      const absl::CivilDay day = today + i;
      days_[static_cast<size_t>(i + 1)] = absl::StrFormat("%02d-%02d", day.month(), day.day());
    }
  }

  bool MayBe(const Blackout& blackout) const {
    const absl::string_view date = blackout.date;
    const bool zone = blackout.zone.empty() ? plan_zone_is_known_ : IsTimeZone(blackout.zone);
    if (!zone || date.size() < 5) return true;
    return std::find(days_.begin(), days_.end(), date.substr(date.size() - 5)) != days_.end();
  }

 private:
  const bool plan_zone_is_known_;
  std::array<std::string, 3> days_;
};

// Anything of what closes at `now`.
struct Closing {
  Reason reason = Reason::kNone;
  std::string detail;
  absl::Time until = absl::InfiniteFuture();  // of this one alone
};

bool IsFinite(absl::Time time) {
  return time != absl::InfinitePast() && time != absl::InfiniteFuture();
}

std::string Show(absl::Time time, absl::string_view plan_zone) {
  const absl::TimeZone zone = Load(Or("", plan_zone)).value_or(absl::UTCTimeZone());
  return absl::FormatTime("%Y-%m-%d %H:%M %Z", time, zone);
}

Closing ClosedBy(const Calendar& calendar, absl::Time now) {
  if (!IsFinite(now)) {  // nobody says when: nobody is let in by the clock
    if (calendar.windows.empty() && calendar.blackouts.empty() && calendar.freezes.empty()) return {};
    return {Reason::kWindow, "the time is not known"};
  }
  for (const Freeze& freeze : calendar.freezes) {
    if (!freeze.scope.Covers(calendar.ring, calendar.channel)) continue;
    if (now < freeze.from || now >= freeze.to) continue;
    return {Reason::kFrozen,
            absl::StrCat(freeze.reason, " (", freeze.owner, "), until ", Show(freeze.to, calendar.zone)),
            freeze.to};
  }
  std::optional<NearToday> near;
  if (!calendar.blackouts.empty()) near.emplace(now, calendar.zone);
  for (const Blackout& blackout : calendar.blackouts) {
    if (!near->MayBe(blackout) || !blackout.scope.Covers(calendar.ring, calendar.channel)) continue;
    for (const Interval& day : DaysOf(blackout, calendar.zone, now)) {
      if (!day.Holds(now)) continue;
      return {Reason::kBlackout,
              absl::StrCat(blackout.date, ": ", blackout.reason, " (", blackout.owner, ")"), day.end};
    }
  }
  if (IsInWindow(calendar, now)) return {};
  return {Reason::kWindow,
          absl::StrJoin(calendar.windows, "; ",
                        [&](std::string* out, const Window& window) {
                          absl::StrAppend(out, ToString(window, calendar.zone));
                        }),
          NextOpening(calendar, now)};
}

// When an open calendar next closes.
absl::Time ClosesAt(const Calendar& calendar, absl::Time now) {
  absl::Time at = calendar.windows.empty() ? absl::InfiniteFuture() : OpenUntil(calendar, now);
  for (const Freeze& freeze : calendar.freezes) {
    if (freeze.from > now && freeze.scope.Covers(calendar.ring, calendar.channel))
      at = std::min(at, freeze.from);
  }
  for (const Blackout& blackout : calendar.blackouts) {
    if (!blackout.scope.Covers(calendar.ring, calendar.channel)) continue;
    for (const Interval& day : DaysOf(blackout, calendar.zone, now)) {
      if (day.begin > now) at = std::min(at, day.begin);
    }
  }
  return at;
}

}  // namespace

const char* Name(Weekday day) {
  switch (day) {
    case Weekday::kMonday:
      return "mon";
    case Weekday::kTuesday:
      return "tue";
    case Weekday::kWednesday:
      return "wed";
    case Weekday::kThursday:
      return "thu";
    case Weekday::kFriday:
      return "fri";
    case Weekday::kSaturday:
      return "sat";
    case Weekday::kSunday:
      return "sun";
  }
  return "unknown";
}

bool CalendarScope::Covers(absl::string_view ring, absl::string_view channel) const {
  const auto names = [](const std::vector<std::string>& list, absl::string_view name) {
    return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
  };
  return names(rings, ring) && names(channels, channel);
}

bool IsTimeZone(absl::string_view name) {
  return Load(name).has_value();
}

bool IsBlackoutDate(absl::string_view date) {
  const std::vector<absl::string_view> parts = absl::StrSplit(date, '-');
  if (parts.size() != 2 && parts.size() != 3) return false;
  int year = 2000, month = 0, day = 0;  // 2000 has a 29th of February
  const auto number = [](absl::string_view text, size_t digits, int* out) {
    return text.size() == digits && text.find_first_not_of("0123456789") == absl::string_view::npos &&
           absl::SimpleAtoi(text, out);
  };
  if (parts.size() == 3 && (!number(parts[0], 4, &year) || year < 1970)) return false;
  if (!number(parts[parts.size() - 2], 2, &month) || !number(parts.back(), 2, &day)) return false;
  if (month < 1 || day < 1) return false;
  const absl::CivilDay civil(year, month, day);
  return civil.month() == month && civil.day() == day;
}

bool IsFrozen(const Calendar& calendar, absl::Time now) {
  if (!IsFinite(now) && !calendar.freezes.empty()) return true;
  return std::any_of(calendar.freezes.begin(), calendar.freezes.end(), [&](const Freeze& freeze) {
    return freeze.scope.Covers(calendar.ring, calendar.channel) && freeze.from <= now && now < freeze.to;
  });
}

bool IsBlackout(const Calendar& calendar, absl::Time now) {
  if (!IsFinite(now) && !calendar.blackouts.empty()) return true;
  return std::any_of(calendar.blackouts.begin(), calendar.blackouts.end(), [&](const Blackout& blackout) {
    if (!blackout.scope.Covers(calendar.ring, calendar.channel)) return false;
    const std::vector<Interval> days = DaysOf(blackout, calendar.zone, now);
    return std::any_of(days.begin(), days.end(), [&](const Interval& day) { return day.Holds(now); });
  });
}

bool IsInWindow(const Calendar& calendar, absl::Time now) {
  if (calendar.windows.empty()) return true;
  if (!IsFinite(now)) return false;
  return std::any_of(calendar.windows.begin(), calendar.windows.end(), [&](const Window& window) {
    bool open = false;
    EachInterval(window, calendar.zone, now, [&](const Interval& interval) {
      open = interval.Holds(now);
      return true;
    });
    return open;
  });
}

Reason ClosedNow(const Calendar& calendar, absl::Time now) {
  if (calendar.windows.empty() && calendar.blackouts.empty() && calendar.freezes.empty())
    return Reason::kNone;
  return ClosedBy(calendar, now).reason;
}

CalendarAnswer Ask(const Calendar& calendar, absl::Time now) {
  Closing first = ClosedBy(calendar, now);
  if (first.reason == Reason::kNone) return {Reason::kNone, "", ClosesAt(calendar, now)};
  CalendarAnswer answer{first.reason, std::move(first.detail), absl::InfiniteFuture()};
  absl::Time at = first.until;
  for (int i = 0; i < kMostSteps && IsFinite(at) && at - now <= kHorizon; ++i) {
    const Closing next = ClosedBy(calendar, at);
    if (next.reason == Reason::kNone) {
      answer.until = at;
      return answer;
    }
    at = next.until;
  }
  return answer;
}

std::string ToString(const Window& window, absl::string_view plan_zone) {
  const std::string days =
      window.days.empty() ? "every day" : absl::StrJoin(window.days, ",", [](std::string* out, Weekday day) {
        absl::StrAppend(out, Name(day));
      });
  return absl::StrFormat("%s %02d:%02d-%02d:%02d %s", days, window.from / 60, window.from % 60,
                         window.to % kMinutesOfDay / 60, window.to % 60, Or(window.zone, plan_zone));
}

}  // namespace ringfence::policy
