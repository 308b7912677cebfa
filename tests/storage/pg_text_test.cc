#include "server/storage/postgres/pg_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "server/storage/postgres/session.h"
#include "tests/support/postgres_fixture.h"

namespace ringfence::storage {
namespace {

// Texts made of what goes wrong in arrays, and of anything else that is UTF-8.
std::string AwkwardText(std::mt19937& random) {
  static const char* const kPieces[] = {
      "\"", "\\", "{",    "}", ",",  "NULL", " ", "\t", "\n", "'",    "\\x0", "\x01",         "$1",  ";",
      "--", "é",  "日本", "🔥", "%s", "\r",   "a", "0",  "''", "\\\"", "()",   "\xEF\xBB\xBF", "\x7F"};
  std::string text;
  for (uint32_t pieces = random() % 8; pieces > 0; --pieces) text += kPieces[random() % std::size(kPieces)];
  return text;
}

TEST(PgTextTest, ServerReadsEveryArrayAsItWasWritten) {
  Watchdog watchdog;
  PostgresOptions options;
  options.connection_string = testing::TestCluster::Get().NewEmptyDatabase();
  const auto session = Session::Connect(options, watchdog).value();
  static constexpr Statement kEcho{"echo",
                                   "SELECT $1::text[], value FROM unnest($1::text[]) AS given (value)"};
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  ASSERT_TRUE(session->Begin().ok());
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> values(1 + random() % 20);
    for (std::string& value : values) value = AwkwardText(random);
    const auto result = session->Run(kEcho, {PgTextArray(values)});
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ((*result)[i][1].c_str(), values[i]);
    EXPECT_EQ(ParsePgArray((*result)[0][0].c_str()).value(), values);
    // And an array of arrays' texts, as cells travel.
    const auto nested = session->Run(kEcho, {PgTextArray({PgTextArray(values)})});
    ASSERT_TRUE(nested.ok()) << nested.status();
    EXPECT_EQ(ParsePgArray((*nested)[0][1].c_str()).value(), values);
  }
}

TEST(PgTextTest, ReadingMalformedArraysFailsAndNeverCrashes) {
  for (const char* text :
       {"", "{", "}", "{a", "{\"a", "{\"a\"", "{a}b", "{,}", "{a,}", "{NULL}", "{{a}}", "{\"a\\", "a"}) {
    EXPECT_FALSE(ParsePgArray(text).ok()) << text;
  }
  EXPECT_THAT(ParsePgArray("{}").value(), ::testing::IsEmpty());
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (uint32_t bytes = random() % 12; bytes > 0; --bytes) text += "{}\",\\aN "[random() % 8];
    const auto ignored = ParsePgArray(text);
  }
}

TEST(PgTextTest, TimesRoundDownToTheMicrosecondAndComeBack) {
  for (const absl::Time time :
       {absl::UnixEpoch(), absl::FromUnixMicros(1'721'362'140'000'001), absl::FromUnixMicros(-1),
        absl::FromUnixMicros(-86'400'000'001), absl::FromUnixSeconds(951'782'400),
        absl::FromUnixSeconds(4'102'444'799), absl::InfiniteFuture(), absl::InfinitePast()}) {
    EXPECT_EQ(ParsePgTime(PgTime(time)).value(), time) << PgTime(time);
  }
  EXPECT_EQ(PgTime(absl::FromUnixNanos(1'999)), "1970-01-01 00:00:00.000001+00");
  EXPECT_EQ(PgTime(absl::FromUnixNanos(-1)), "1969-12-31 23:59:59.999999+00");
  EXPECT_EQ(PgTime(absl::FromUnixSeconds(1'721'362'140)), "2024-07-19 04:09:00.000000+00");
  EXPECT_EQ(ParsePgTime("2024-07-19 04:09:00.5+00").value(), absl::FromUnixMillis(1'721'362'140'500));
  for (const char* text : {"", "2024", "2024-07-19", "2024-07-19 04:09:00", "2024-07-19 04:09:00+02",
                           "2024-07-19 04:09:00.+00", "2024-07-19 04:09:00.1234567+00", "today"}) {
    EXPECT_FALSE(ParsePgTime(text).ok()) << text;
  }
}

TEST(PgTextTest, DoublesComeBackBitForBit) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 10'000; ++round) {
    const uint64_t bits = random();
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    if (std::isnan(value)) continue;
    EXPECT_EQ(ParsePgDouble(PgDouble(value)).value(), value);
  }
  EXPECT_TRUE(std::isnan(ParsePgDouble("NaN").value()));
  EXPECT_EQ(ParsePgDouble("-Infinity").value(), -std::numeric_limits<double>::infinity());
  for (const char* text : {"", "1,5", "0x", "1 "}) EXPECT_FALSE(ParsePgDouble(text).ok()) << text;
}

TEST(PgTextTest, BytesComeBack) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(ParsePgBytes(PgBytes(all)).value(), all);
  for (const char* text : {"", "00", "\\x0", "\\xzz"}) EXPECT_FALSE(ParsePgBytes(text).ok()) << text;
}

}  // namespace
}  // namespace ringfence::storage
