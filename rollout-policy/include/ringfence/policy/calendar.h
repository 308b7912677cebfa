// When a ring's hosts may be let in at all: maintenance windows, freezes, blackout dates. Wall-clock rules in
// the customer's own time zone, with daylight saving (docs/plans.md, "When").
//
// Time zones come from the system's tzdata. A zone that cannot be loaded keeps its window shut: when in
// doubt, hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/policy/reason.h"

namespace ringfence::policy {

enum class Weekday : uint8_t {
  kMonday = 1,
  kTuesday = 2,
  kWednesday = 3,
  kThursday = 4,
  kFriday = 5,
  kSaturday = 6,
  kSunday = 7,
};
const char* Name(Weekday day);  // "mon", "tue", ...

// A span of local time that comes back every week. It begins when the local clock first shows `from`, and
// ends when it first shows `to` after that. A time that the clock skips is the moment of the jump; a window
// that has no time left then does not open on that day. Of an hour that comes twice its first turn counts: a
// window that spans it whole is an hour longer.
struct Window {
  std::vector<Weekday> days;  // on which it begins; empty: every day
  int from = 0;               // minutes after midnight, 0 to 1439
  int to = 0;                 // 1 to 1440; not after `from`: on the next day
  std::string zone;           // IANA name; empty: the plan's

  friend bool operator==(const Window&, const Window&) = default;
};

// Where a freeze or a blackout date applies.
struct CalendarScope {
  std::vector<std::string> rings;     // empty: every ring
  std::vector<std::string> channels;  // empty: every channel

  bool Covers(absl::string_view ring, absl::string_view channel) const;
  friend bool operator==(const CalendarScope&, const CalendarScope&) = default;
};

// Nobody is let in from `from` (inclusive) to `to` (exclusive).
struct Freeze {
  absl::Time from, to;
  std::string reason;  // 1 to 256 bytes
  std::string owner;   // who can lift it: 1 to 128 bytes
  CalendarScope scope;

  friend bool operator==(const Freeze&, const Freeze&) = default;
};

// Nobody is let in on this local day, from midnight to midnight.
struct Blackout {
  std::string date;    // "2026-12-24", or of every year "12-24"
  std::string zone;    // empty: the plan's
  std::string reason;  // 1 to 256 bytes
  std::string owner;   // 1 to 128 bytes
  CalendarScope scope;

  friend bool operator==(const Blackout&, const Blackout&) = default;
};

// Is it "UTC" or a name such as Europe/Berlin that the system's tzdata has?
bool IsTimeZone(absl::string_view name);
// "2026-12-24" or "12-24", a day that exists ("02-29" does).
bool IsBlackoutDate(absl::string_view date);

// The calendar of one ring in one channel. Views: what they point to must outlive the use.
struct Calendar {
  absl::string_view ring;
  absl::string_view channel;
  absl::string_view zone;            // the plan's; empty: UTC
  absl::Span<const Window> windows;  // empty: always open
  absl::Span<const Freeze> freezes;
  absl::Span<const Blackout> blackouts;
};

struct CalendarAnswer {
  Reason closed = Reason::kNone;  // kFrozen, kBlackout or kWindow; the first that applies
  std::string detail;             // which one, until when, whose
  // Closed: when all of it first lets somebody in; InfiniteFuture: not within the next two years. Open: when
  // it next closes, or, if that is far off, a time before at which to ask again.
  absl::Time until = absl::InfiniteFuture();
  bool open() const { return closed == Reason::kNone; }
};

CalendarAnswer Ask(const Calendar& calendar, absl::Time now);
// Its `closed` alone, which is cheaper.
Reason ClosedNow(const Calendar& calendar, absl::Time now);

// Each on its own, for those who want every gate and not the first. Open when it does not apply.
bool IsFrozen(const Calendar& calendar, absl::Time now);
bool IsBlackout(const Calendar& calendar, absl::Time now);
bool IsInWindow(const Calendar& calendar, absl::Time now);

// "Sat, Sun 02:00-06:00 Europe/Berlin"
std::string ToString(const Window& window, absl::string_view plan_zone);

}  // namespace ringfence::policy
