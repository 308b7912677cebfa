// Windows, freezes and blackout dates on the local clock, days on which that clock jumps included.
#include "ringfence/policy/calendar.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/policy/builders.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

using ::testing::HasSubstr;

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M %Ez", text, &time, &error)) << text << ": " << error;
  return time;
}

Window Daily(int from, int to, std::string zone = "") {
  return {{}, from, to, std::move(zone)};
}

// A calendar that owns its parts.
struct Built {
  std::string zone = "Europe/Berlin";
  std::vector<Window> windows;
  std::vector<Freeze> freezes;
  std::vector<Blackout> blackouts;
  Calendar calendar(absl::string_view ring = "all", absl::string_view channel = "content") const {
    return {ring, channel, zone, windows, freezes, blackouts};
  }
};

bool Open(const Built& built, const std::string& time) {
  return Ask(built.calendar(), At(time)).open();
}
absl::Time Until(const Built& built, const std::string& time) {
  return Ask(built.calendar(), At(time)).until;
}

TEST(CalendarTest, WithoutAnyRuleItIsAlwaysOpen) {
  const Built none;
  EXPECT_TRUE(Open(none, "2026-11-22 12:00 +01:00"));
  EXPECT_EQ(Until(none, "2026-11-22 12:00 +01:00"), absl::InfiniteFuture());
}

TEST(WindowTest, IsOpenFromItsFirstMinuteUpToItsLast) {
  Built built;
  built.windows = {Daily(120, 360)};
  EXPECT_FALSE(Open(built, "2026-11-22 01:59 +01:00"));
  EXPECT_TRUE(Open(built, "2026-11-22 02:00 +01:00"));
  EXPECT_TRUE(Open(built, "2026-11-22 05:59 +01:00"));
  EXPECT_FALSE(Open(built, "2026-11-22 06:00 +01:00"));
}

TEST(WindowTest, SaysWhenItOpensAndWhenItCloses) {
  Built built;
  built.windows = {{{Weekday::kSaturday, Weekday::kSunday}, 120, 360, ""}};
  EXPECT_EQ(Until(built, "2026-11-20 12:00 +01:00"), At("2026-11-21 02:00 +01:00"));  // a Friday
  EXPECT_EQ(Until(built, "2026-11-21 03:00 +01:00"), At("2026-11-21 06:00 +01:00"));
  EXPECT_EQ(Until(built, "2026-11-22 06:00 +01:00"), At("2026-11-28 02:00 +01:00"));
  const CalendarAnswer closed = Ask(built.calendar(), At("2026-11-20 12:00 +01:00"));
  EXPECT_EQ(closed.closed, Reason::kWindow);
  EXPECT_EQ(closed.detail, "sat,sun 02:00-06:00 Europe/Berlin");
}

TEST(WindowTest, OverMidnightItBelongsToTheDayOnWhichItBegins) {
  Built built;
  built.windows = {{{Weekday::kFriday}, 22 * 60, 4 * 60, ""}};
  EXPECT_FALSE(Open(built, "2026-11-20 03:00 +01:00"));
  EXPECT_TRUE(Open(built, "2026-11-20 23:00 +01:00"));
  EXPECT_TRUE(Open(built, "2026-11-21 03:59 +01:00"));
  EXPECT_FALSE(Open(built, "2026-11-21 04:00 +01:00"));
  EXPECT_FALSE(Open(built, "2026-11-21 23:00 +01:00"));
}

TEST(WindowTest, WindowsThatFollowEachOtherAreOne) {
  Built built;
  built.windows = {Daily(120, 240), Daily(240, 300), Daily(200, 290)};
  EXPECT_EQ(Until(built, "2026-11-22 02:30 +01:00"), At("2026-11-22 05:00 +01:00"));
}

TEST(WindowTest, KeepsToTheClockOnTheWallInSummerAndWinter) {
  Built built;
  built.windows = {Daily(120, 360)};
  EXPECT_EQ(Until(built, "2026-07-01 12:00 +02:00"), At("2026-07-02 02:00 +02:00"));
  EXPECT_EQ(Until(built, "2026-12-01 12:00 +01:00"), At("2026-12-02 02:00 +01:00"));
}

// 2026-03-29 in Berlin: 01:59 CET is followed by 03:00 CEST.
TEST(SummerTimeTest, AWindowThatBeginsInTheSkippedHourBeginsWithTheJump) {
  Built built;
  built.windows = {Daily(150, 360)};  // 02:30 to 06:00
  EXPECT_FALSE(Open(built, "2026-03-29 01:59 +01:00"));
  EXPECT_TRUE(Open(built, "2026-03-29 03:00 +02:00"));
  EXPECT_EQ(Until(built, "2026-03-29 00:00 +01:00"), At("2026-03-29 03:00 +02:00"));
  EXPECT_EQ(Until(built, "2026-03-29 04:00 +02:00"), At("2026-03-29 06:00 +02:00"));
}

TEST(SummerTimeTest, AWindowWithinTheSkippedHourDoesNotOpenOnThatDay) {
  Built built;
  built.windows = {Daily(120, 180)};  // 02:00 to 03:00
  EXPECT_FALSE(Open(built, "2026-03-29 03:00 +02:00"));
  EXPECT_EQ(Until(built, "2026-03-28 12:00 +01:00"), At("2026-03-30 02:00 +02:00"));
  built.windows = {{{Weekday::kSunday}, 120, 180, ""}};
  EXPECT_EQ(Until(built, "2026-03-28 12:00 +01:00"), At("2026-04-05 02:00 +02:00"));
}

// 2026-10-25 in Berlin: 02:59 CEST is followed by 02:00 CET.
TEST(SummerTimeTest, OfTheHourThatComesTwiceTheFirstTurnCounts) {
  Built built;
  built.windows = {Daily(60, 150)};  // 01:00 to 02:30
  EXPECT_TRUE(Open(built, "2026-10-25 02:29 +02:00"));
  EXPECT_FALSE(Open(built, "2026-10-25 02:30 +02:00"));
  EXPECT_FALSE(Open(built, "2026-10-25 02:15 +01:00"));
  built.windows = {Daily(135, 165)};  // 02:15 to 02:45
  EXPECT_TRUE(Open(built, "2026-10-25 02:15 +02:00"));
  EXPECT_FALSE(Open(built, "2026-10-25 02:15 +01:00"));
}

TEST(SummerTimeTest, AWindowThatSpansItWholeIsAnHourLonger) {
  Built built;
  built.windows = {Daily(120, 240)};  // 02:00 to 04:00
  EXPECT_EQ(Until(built, "2026-10-25 02:00 +02:00") - At("2026-10-25 02:00 +02:00"), absl::Hours(3));
  EXPECT_EQ(Until(built, "2026-10-26 02:00 +01:00") - At("2026-10-26 02:00 +01:00"), absl::Hours(2));
}

TEST(SummerTimeTest, HalfHoursAndOtherHemispheresAreTheirOwn) {
  Built built;
  built.zone = "Australia/Lord_Howe";  // jumps by half an hour: 2026-10-04 02:00 +10:30 is 02:30 +11:00
  built.windows = {Daily(120, 180)};
  EXPECT_EQ(Until(built, "2026-10-04 01:00 +10:30"), At("2026-10-04 02:30 +11:00"));
  EXPECT_EQ(Until(built, "2026-10-04 02:30 +11:00"), At("2026-10-04 03:00 +11:00"));
}

TEST(ZoneTest, TheWindowsOwnComesBeforeThePlansAndUtcIsTheLast) {
  Built built;
  built.windows = {Daily(0, 60, "Asia/Tokyo")};
  EXPECT_TRUE(Open(built, "2026-11-22 00:30 +09:00"));
  built.windows = {Daily(0, 60)};
  EXPECT_TRUE(Open(built, "2026-11-22 00:30 +01:00"));
  built.zone = "";
  EXPECT_TRUE(Open(built, "2026-11-22 00:30 +00:00"));
}

TEST(ZoneTest, OneThatCannotBeLoadedKeepsItsWindowShut) {
  Built built;
  built.windows = {Daily(0, 1440, "Europe/Atlantis")};
  const CalendarAnswer answer = Ask(built.calendar(), At("2026-11-22 12:00 +00:00"));
  EXPECT_EQ(answer.closed, Reason::kWindow);
  EXPECT_EQ(answer.until, absl::InfiniteFuture());
}

TEST(ZoneTest, OnlyNamesOfTheTimeZoneDatabaseAreZones) {
  for (const char* good : {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3"}) {
    EXPECT_TRUE(IsTimeZone(good)) << good;
  }
  for (const char* bad : {"", "Berlin", "localtime", "/etc/passwd", "../etc/passwd", "Europe/../../passwd",
                          "Europe/", "right/Europe/Berlin", "posix/UTC", "libc:localtime", "file:/etc/x",
                          "Europe/Berlin\n", "Mars/Olympus"}) {
    EXPECT_FALSE(IsTimeZone(bad)) << bad;
  }
}

TEST(FreezeTest, HoldsFromItsBeginningUpToItsEndAndSaysWhoseItIs) {
  Built built;
  built.freezes = {{At("2026-12-01 00:00 +01:00"),
                    At("2027-01-02 00:00 +01:00"),
                    "Christmas trade",
                    "Retail operations",
                    {}}};
  EXPECT_TRUE(Open(built, "2026-11-30 23:59 +01:00"));
  EXPECT_EQ(Until(built, "2026-11-30 23:59 +01:00"), At("2026-12-01 00:00 +01:00"));
  const CalendarAnswer answer = Ask(built.calendar(), At("2026-12-01 00:00 +01:00"));
  EXPECT_EQ(answer.closed, Reason::kFrozen);
  EXPECT_EQ(answer.until, At("2027-01-02 00:00 +01:00"));
  EXPECT_THAT(answer.detail, HasSubstr("Christmas trade (Retail operations), until 2027-01-02 00:00 CET"));
  EXPECT_TRUE(Open(built, "2027-01-02 00:00 +01:00"));
}

TEST(FreezeTest, AppliesToTheRingsAndChannelsThatItNames) {
  Built built;
  built.freezes = {
      {At("2026-12-01 00:00 +01:00"), At("2027-01-02 00:00 +01:00"), "r", "o", {{"stores"}, {"sensor"}}}};
  const absl::Time then = At("2026-12-10 00:00 +01:00");
  EXPECT_FALSE(Ask(built.calendar("stores", "sensor"), then).open());
  EXPECT_TRUE(Ask(built.calendar("stores", "content"), then).open());
  EXPECT_TRUE(Ask(built.calendar("canary", "sensor"), then).open());
}

TEST(BlackoutTest, IsALocalDayOfOneYearOrOfEach) {
  Built built;
  built.blackouts = {{"12-24", "", "Christmas Eve", "IT", {}},
                     {"2026-11-27", "", "Black Friday", "Retail", {}}};
  EXPECT_TRUE(Open(built, "2026-12-23 23:59 +01:00"));
  EXPECT_FALSE(Open(built, "2026-12-24 00:00 +01:00"));
  EXPECT_FALSE(Open(built, "2031-12-24 12:00 +01:00"));
  EXPECT_EQ(Until(built, "2026-12-24 12:00 +01:00"), At("2026-12-25 00:00 +01:00"));
  EXPECT_FALSE(Open(built, "2026-11-27 12:00 +01:00"));
  EXPECT_TRUE(Open(built, "2027-11-27 12:00 +01:00"));
  EXPECT_EQ(Ask(built.calendar(), At("2026-12-24 12:00 +01:00")).closed, Reason::kBlackout);
}

TEST(BlackoutTest, HoldsOnTheEdgesOfTheEarth) {
  Built built;
  built.zone = "Pacific/Kiritimati";  // 14 hours ahead
  built.blackouts = {{"2026-12-25", "", "r", "o", {}},
                     {"12-26", "Etc/GMT+12", "r", "o", {}}};  // 12 hours behind
  EXPECT_FALSE(Open(built, "2026-12-24 10:00 +00:00"));
  EXPECT_FALSE(Open(built, "2026-12-25 09:59 +00:00"));
  EXPECT_TRUE(Open(built, "2026-12-25 10:00 +00:00"));
  EXPECT_FALSE(Open(built, "2026-12-26 12:00 +00:00"));
  EXPECT_FALSE(Open(built, "2026-12-27 11:59 +00:00"));
  EXPECT_TRUE(Open(built, "2026-12-27 12:00 +00:00"));
}

TEST(BlackoutTest, TheDayOfAJumpHas23Or25Hours) {
  Built built;
  built.blackouts = {{"2026-10-25", "", "r", "o", {}}};
  EXPECT_EQ(Until(built, "2026-10-25 00:00 +02:00") - At("2026-10-25 00:00 +02:00"), absl::Hours(25));
}

TEST(BlackoutTest, OnlyDaysThatExistAreDates) {
  for (const char* good : {"12-24", "2026-12-24", "02-29", "2028-02-29"})
    EXPECT_TRUE(IsBlackoutDate(good)) << good;
  for (const char* bad : {"", "24-12", "2026-02-29", "12-32", "1-1", "2026-1-01", "26-12-24", "2026-12-24-01",
                          "aa-bb", "-12-24", "0026-12-24"}) {
    EXPECT_FALSE(IsBlackoutDate(bad)) << bad;
  }
}

TEST(BlackoutTest, TheLeapDayIsOneInLeapYearsOnly) {
  Built built;
  built.blackouts = {{"02-29", "", "r", "o", {}}};
  EXPECT_FALSE(Open(built, "2028-02-29 12:00 +01:00"));
  EXPECT_TRUE(Open(built, "2027-03-01 12:00 +01:00"));
}

TEST(CalendarTest, OpensWhenEveryRuleLetsIt) {
  Built built;
  built.windows = {{{Weekday::kSaturday}, 120, 360, ""}};
  built.freezes = {{At("2026-12-01 00:00 +01:00"), At("2026-12-19 03:00 +01:00"), "r", "o", {}}};
  EXPECT_EQ(Until(built, "2026-12-10 12:00 +01:00"),
            At("2026-12-19 03:00 +01:00"));  // a Saturday, in the window
  built.blackouts = {{"12-19", "", "r", "o", {}}};
  EXPECT_EQ(Until(built, "2026-12-10 12:00 +01:00"), At("2026-12-26 02:00 +01:00"));
}

TEST(CalendarTest, OneThatNeverOpensSaysSo) {
  Built built;
  built.windows = {{{Weekday::kSaturday}, 120, 360, ""}};
  built.freezes = {{At("2026-12-01 00:00 +01:00"), At("2046-12-01 00:00 +01:00"), "r", "o", {}}};
  EXPECT_EQ(Until(built, "2026-12-10 12:00 +01:00"), absl::InfiniteFuture());
}

TEST(CalendarTest, WithoutATimeItIsShut) {
  Built built;
  built.windows = {Daily(0, 1440)};
  for (const absl::Time never : {absl::InfinitePast(), absl::InfiniteFuture()}) {
    EXPECT_FALSE(Ask(built.calendar(), never).open());
    EXPECT_NE(ClosedNow(built.calendar(), never), Reason::kNone);
  }
}

// The rule, said once more and slowly: walk back to the local day on which a window may have begun.
bool SlowlyOpen(const Built& built, absl::Time time) {
  for (const Window& window : built.windows) {
    absl::TimeZone zone;
    EXPECT_TRUE(absl::LoadTimeZone(window.zone.empty() ? built.zone : window.zone, &zone));
    // Minute by minute since the day before: open once `from` was shown or jumped over, until `to` was.
    const absl::CivilDay today(zone.At(time).cs);
    for (int back = 0; back <= 1; ++back) {
      const absl::CivilDay day = today - back;
      const auto number = static_cast<Weekday>(static_cast<int>(absl::GetWeekday(day)) + 1);
      if (!window.days.empty() &&
          std::find(window.days.begin(), window.days.end(), number) == window.days.end())
        continue;
      const absl::CivilMinute from = absl::CivilMinute(day) + window.from;
      const absl::CivilMinute to = absl::CivilMinute(window.to > window.from ? day : day + 1) + window.to;
      bool begun = false, ended = false;
      for (absl::Time t = zone.At(absl::CivilSecond(day)).pre - absl::Hours(3); t <= time;
           t += absl::Minutes(1)) {
        const absl::CivilMinute shown(zone.At(t).cs);
        begun = begun || shown >= from;
        ended = ended || (begun && shown >= to);
      }
      if (begun && !ended) return true;
    }
  }
  return false;
}

TEST(CalendarTest, IsOpenExactlyWhenTheClockOnTheWallSaysSo) {
  std::mt19937_64 random(test::Seed(1));
  const char* zones[] = {"Europe/Berlin",
                         "America/New_York",
                         "Australia/Lord_Howe",
                         "Asia/Kathmandu",
                         "America/St_Johns",
                         "Pacific/Apia",
                         "UTC"};
  for (int i = 0; i < 150; ++i) {
    Built built;
    built.zone = zones[Pick(random, 0, 6)];
    const int64_t windows = Pick(random, 1, 2);
    for (int64_t w = 0; w < windows; ++w) {
      Window window =
          Daily(static_cast<int>(Pick(random, 0, 95)) * 15, static_cast<int>(Pick(random, 1, 96)) * 15);
      if (Chance(random, 0.5)) window.days = {static_cast<Weekday>(Pick(random, 1, 7))};
      built.windows.push_back(window);
    }
    // Around the jumps of spring and autumn, and anywhere.
    const std::vector<std::string> days = {"2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01",
                                           "2026-10-04", "2026-04-05", "2026-06-17"};
    const absl::Time start =
        At(absl::StrCat(days[static_cast<size_t>(Pick(random, 0, 6))], " 00:00 +00:00")) - absl::Hours(24);
    for (int k = 0; k < 8; ++k) {
      const absl::Time time = start + absl::Minutes(15 * Pick(random, 0, 4 * 72) + Pick(random, 0, 1));
      const CalendarAnswer answer = Ask(built.calendar(), time);
      ASSERT_EQ(answer.open(), SlowlyOpen(built, time))
          << built.zone << " " << ToString(built.windows[0], built.zone) << " at " << absl::FormatTime(time);
      ASSERT_EQ(answer.closed, ClosedNow(built.calendar(), time));
      ASSERT_GT(answer.until, time);
      if (answer.until == absl::InfiniteFuture()) continue;
      // `until` is exact when it is shut: not a second before.
      if (answer.open()) continue;
      EXPECT_TRUE(Ask(built.calendar(), answer.until).open());
      EXPECT_FALSE(Ask(built.calendar(), answer.until - absl::Seconds(1)).open());
      EXPECT_FALSE(Ask(built.calendar(), time + (answer.until - time) / 2).open());
    }
  }
}

}  // namespace
}  // namespace ringfence::policy
