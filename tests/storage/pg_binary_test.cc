#include "server/storage/postgres/pg_binary.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/storage/postgres/pg_text.h"
#include "server/storage/postgres/session.h"
#include "tests/support/postgres_fixture.h"

namespace ringfence::storage {
namespace {

class PgBinaryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    PostgresOptions options;
    options.connection_string = testing::TestCluster::Get().NewEmptyDatabase();
    session_ = Session::Connect(options, watchdog_).value();
    ASSERT_TRUE(session_->Begin().ok());
  }
  // What the server, asked with `statement`, says of the array in text form.
  std::string TextOf(const Statement& statement, PgBinaryArray& array) {
    const auto result = session_->RunBinary(statement, {array.Take()});
    if (!result.ok()) return result.status().ToString();
    return (*result)[0][0].c_str();
  }

  Watchdog watchdog_;
  std::unique_ptr<Session> session_;
};

TEST_F(PgBinaryTest, ServerReadsNumbersAsTheyWereWritten) {
  PgBinaryArray large(PgType::kInt8);
  large.AddInt8(std::numeric_limits<int64_t>::min());
  large.AddInt8(-1);
  large.AddUnsigned(uint64_t{0xFFFFFF} << 40);
  EXPECT_EQ(TextOf({"int8", "SELECT $1::bigint[]::text"}, large), "{-9223372036854775808,-1,-1099511627776}");
  PgBinaryArray middle(PgType::kInt4);
  middle.AddInt4(-70'000);
  EXPECT_EQ(TextOf({"int4", "SELECT $1::integer[]::text"}, middle), "{-70000}");
  PgBinaryArray small(PgType::kInt2);
  small.AddInt2(-300);
  EXPECT_EQ(TextOf({"int2", "SELECT $1::smallint[]::text"}, small), "{-300}");
  PgBinaryArray doubles(PgType::kDouble);
  for (const double value : {0.1 + 0.2, 5e-324, -std::numeric_limits<double>::infinity()})
    doubles.AddDouble(value);
  EXPECT_EQ(TextOf({"float8", "SELECT $1::float8[]::text"}, doubles),
            "{0.30000000000000004,5e-324,-Infinity}");
  PgBinaryArray truths(PgType::kBool);
  truths.AddBool(true);
  truths.AddBool(false);
  EXPECT_EQ(TextOf({"bool", "SELECT $1::boolean[]::text"}, truths), "{t,f}");
}

TEST_F(PgBinaryTest, ServerReadsTimesAsTheirTextFormSays) {
  static constexpr Statement kTime{"time", "SELECT ($1::timestamptz[])[1]::text"};
  const absl::Time minute = absl::FromUnixSeconds(1'721'362'140);
  for (const absl::Time time :
       {minute, minute + absl::Nanoseconds(123'456'789), absl::UnixEpoch() - absl::Nanoseconds(1),
        absl::FromUnixSeconds(946'684'800), absl::FromUnixSeconds(-100'000'000'000),
        absl::FromUnixSeconds(1'000'000'000'000), absl::InfiniteFuture(), absl::InfinitePast()}) {
    PgBinaryArray array(PgType::kTime);
    array.AddTime(time);
    const std::string read = TextOf(kTime, array);
    EXPECT_EQ(PgTime(ParsePgTime(read).value_or(absl::UnixEpoch())), PgTime(time)) << read;
  }
}

TEST_F(PgBinaryTest, ServerReadsBytesAsTheyWereWritten) {
  PgBinaryArray texts(PgType::kText);
  for (const char* text : {"", "NULL", "{\"a\\,", "\u65e5\u672c"}) texts.AddText(text);
  EXPECT_EQ(TextOf({"text", "SELECT $1::text[]::text"}, texts),
            "{\"\",\"NULL\",\"{\\\"a\\\\,\",\u65e5\u672c}");
  PgBinaryArray bytes(PgType::kBytes);
  bytes.AddBytes(absl::string_view("\0\xff", 2));
  EXPECT_EQ(TextOf({"bytea", "SELECT ($1::bytea[])[1]::text"}, bytes), "\\x00ff");
  PgBinaryArray ids(PgType::kUuid);
  ids.AddUuid(AgentId::Parse("00112233-4455-6677-8899-aabbccddeeff").value());
  EXPECT_EQ(TextOf({"uuid", "SELECT $1::uuid[]::text"}, ids), "{00112233-4455-6677-8899-aabbccddeeff}");
  PgBinaryArray none(PgType::kInt4);
  EXPECT_EQ(TextOf({"none", "SELECT $1::integer[]::text"}, none), "{}");
}

TEST_F(PgBinaryTest, ServerRefusesATextThatIsNone) {
  PgBinaryArray zero(PgType::kText);
  zero.AddText(absl::string_view("a\0b", 3));
  EXPECT_EQ(session_->RunBinary({"zero", "SELECT $1::text[]"}, {zero.Take()}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace ringfence::storage
