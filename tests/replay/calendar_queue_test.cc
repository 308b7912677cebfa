#include "server/simulate/calendar_queue.h"

#include <gtest/gtest.h>

#include "server/simulate/rng.h"

namespace ringfence::replay {
namespace {

TEST(CalendarQueueTest, GivesNothingWhenItIsEmpty) {
  CalendarQueue queue;
  Event event;
  EXPECT_FALSE(queue.Pop(&event));
}

TEST(CalendarQueueTest, GivesEventsInTheOrderOfTimeHoweverFarApart) {
  CalendarQueue queue;
  Rng rng(5, "queue");
  for (uint32_t i = 0; i < 20'000; ++i) {
    // Within a second, within the ring, and days away.
    const Micros span = i % 3 == 0 ? kSecond : i % 3 == 1 ? kHour : 10 * kDay;
    queue.Push({static_cast<Micros>(rng.Below(static_cast<uint64_t>(span))), i, 0, 0, 0});
  }
  Micros last = -1;
  int count = 0;
  Event event;
  while (queue.Pop(&event)) {
    EXPECT_GE(event.at, last);
    last = event.at;
    // What an event causes comes after it, the same instant included.
    if (++count < 40'000 && count % 4 == 0) {
      queue.Push({event.at + static_cast<Micros>(rng.Below(2 * kMinute)), 0, 0, 0, 0});
    }
  }
  EXPECT_GT(count, 20'000);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(CalendarQueueTest, OrdersEqualTimesByKindThenSubject) {
  CalendarQueue queue;
  queue.Push({kSecond, 2, 0, 0, 1});
  queue.Push({kSecond, 9, 0, 0, 0});
  queue.Push({kSecond, 1, 0, 0, 1});
  Event event;
  ASSERT_TRUE(queue.Pop(&event));
  EXPECT_EQ(event.subject, 9u);
  ASSERT_TRUE(queue.Pop(&event));
  EXPECT_EQ(event.subject, 1u);
  ASSERT_TRUE(queue.Pop(&event));
  EXPECT_EQ(event.subject, 2u);
}

}  // namespace
}  // namespace ringfence::replay
