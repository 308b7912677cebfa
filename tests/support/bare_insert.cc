#include "tests/support/bare_insert.h"

#include <libpq-fe.h>

#include <chrono>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ringfence/base/check.h"

namespace ringfence::testing {
namespace {

constexpr int kBatchRows = 1000;
constexpr char kTable[] = "bare_insert_floor";

void Check(PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK) std::fprintf(stderr, "bare insert: %s\n", PQresultErrorMessage(result));
  RF_CHECK(status == PGRES_COMMAND_OK);
  PQclear(result);
}

}  // namespace

double BareInsertRowsPerSecond(const std::string& connection_string, double seconds) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> session(PQconnectdb(connection_string.c_str()),
                                                             &PQfinish);
  RF_CHECK(PQstatus(session.get()) == CONNECTION_OK);
  Check(PQexec(session.get(),
               absl::StrCat("SET client_min_messages = error; DROP TABLE IF EXISTS ", kTable).c_str()));
  Check(PQexec(session.get(),
               absl::StrCat("CREATE TABLE ", kTable,
                            " (rollout bigint, agent uuid, wave integer, exposed_at timestamptz NOT NULL,"
                            " deadline timestamptz NOT NULL, PRIMARY KEY (rollout, agent, wave))")
                   .c_str()));
  Check(PQprepare(
      session.get(), "insert",
      absl::StrCat("INSERT INTO ", kTable,
                   " SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::integer[], $4::timestamptz[],"
                   " $5::timestamptz[]) ON CONFLICT DO NOTHING")
          .c_str(),
      5, nullptr));
  uint64_t rows = 0;
  const auto start = std::chrono::steady_clock::now();
  std::chrono::duration<double> spent{0};
  while (spent.count() < seconds) {
    std::string columns[5] = {"{", "{", "{", "{", "{"};
    for (int i = 0; i < kBatchRows; ++i, ++rows) {
      const char* comma = i == 0 ? "" : ",";
      // Scattered like random ids, without being random.
      const uint64_t scattered = rows * 0x9E3779B97F4A7C15;
      absl::StrAppend(&columns[0], comma, "42");
      absl::StrAppendFormat(&columns[1], "%s%016x%016x", comma, scattered, rows);
      absl::StrAppend(&columns[2], comma, "1");
      absl::StrAppend(&columns[3], comma, "\"2024-07-19 04:09:00.123456+00\"");
      absl::StrAppend(&columns[4], comma, "\"2024-07-19 04:12:45.123456+00\"");
    }
    const char* parameters[5];
    for (int i = 0; i < 5; ++i) parameters[i] = (columns[i] += '}').c_str();
    Check(PQexecPrepared(session.get(), "insert", 5, parameters, nullptr, nullptr, 0));
    spent = std::chrono::steady_clock::now() - start;
  }
  Check(PQexec(session.get(), absl::StrCat("DROP TABLE ", kTable).c_str()));
  return static_cast<double>(rows) / spent.count();
}

}  // namespace ringfence::testing
