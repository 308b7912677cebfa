#include "server/app/append_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

namespace ringfence::app {
namespace {

TEST(AppendTableTest, EntriesKeepTheirNumberAndTheirPlace) {
  AppendTable<std::string> table;
  const std::string* first = nullptr;
  for (uint32_t i = 0; i < 5000; ++i) {
    EXPECT_EQ(table.Add(std::to_string(i)), i);
    if (i == 0) first = &table[0];
  }
  EXPECT_EQ(table.size(), 5000u);
  EXPECT_EQ(first, &table[0]);
  for (uint32_t i = 0; i < 5000; ++i) ASSERT_EQ(table[i], std::to_string(i));
  table.Clear();
  EXPECT_EQ(table.Add("again"), 0u);
  EXPECT_EQ(table[0], "again");
}

TEST(AppendTableTest, AReaderSeesWhatItWasToldOfWhileOthersAreAdded) {
  AppendTable<uint32_t> table;
  std::atomic<uint32_t> told = 0;
  int wrong = 0;
  std::thread reader([&] {
    for (uint32_t seen = 0; seen < 100'000;) {
      seen = told.load(std::memory_order_acquire);
      if (seen > 0 && table[seen - 1] != 7 * (seen - 1)) ++wrong;
      if (seen > 0 && table[seen / 2] != 7 * (seen / 2)) ++wrong;
    }
  });
  for (uint32_t i = 0; i < 100'000; ++i) told.store(table.Add(7 * i) + 1, std::memory_order_release);
  reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace ringfence::app
