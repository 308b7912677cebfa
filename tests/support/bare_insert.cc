#include "tests/support/bare_insert.h"

#include <libpq-fe.h>

#include <chrono>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ringfence/base/check.h"

namespace ringfence::testing {
namespace {

void Check(PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK) std::fprintf(stderr, "bare insert: %s\n", PQresultErrorMessage(result));
  RF_CHECK(status == PGRES_COMMAND_OK);
  PQclear(result);
}

}  // namespace

struct BareInsert::Session {
  PGconn* connection = nullptr;
  ~Session() { PQfinish(connection); }
};

BareInsert::BareInsert(const std::string& connection_string) : session_(std::make_unique<Session>()) {
  PGconn* connection = session_->connection = PQconnectdb(connection_string.c_str());
  RF_CHECK(PQstatus(connection) == CONNECTION_OK);
  Check(PQexec(connection, "SET client_min_messages = error; DROP TABLE IF EXISTS bare_insert_floor"));
  Check(PQexec(
      connection,
      "CREATE TABLE bare_insert_floor (rollout bigint, agent uuid, wave integer, exposed_at timestamptz NOT "
      "NULL, deadline timestamptz NOT NULL, PRIMARY KEY (rollout, agent, wave))"));
  Check(
      PQprepare(connection, "insert",
                "INSERT INTO bare_insert_floor SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::integer[], "
                "$4::timestamptz[], $5::timestamptz[]) ON CONFLICT DO NOTHING",
                5, nullptr));
}

BareInsert::~BareInsert() {
  Check(PQexec(session_->connection, "DROP TABLE bare_insert_floor"));
}

absl::Duration BareInsert::Batch() {
  std::string columns[5] = {"{", "{", "{", "{", "{"};
  for (int i = 0; i < kRows; ++i, ++rows_) {
    const char* comma = i == 0 ? "" : ",";
    // Scattered like random ids, without being random.
    const uint64_t scattered = rows_ * 0x9E3779B97F4A7C15;
    absl::StrAppend(&columns[0], comma, "42");
    absl::StrAppendFormat(&columns[1], "%s%016x%016x", comma, scattered, rows_);
    absl::StrAppend(&columns[2], comma, "1");
    absl::StrAppend(&columns[3], comma, "\"2024-07-19 04:09:00.123456+00\"");
    absl::StrAppend(&columns[4], comma, "\"2024-07-19 04:12:45.123456+00\"");
  }
  const char* parameters[5];
  for (int i = 0; i < 5; ++i) parameters[i] = (columns[i] += '}').c_str();
  const auto start = std::chrono::steady_clock::now();
  Check(PQexecPrepared(session_->connection, "insert", 5, parameters, nullptr, nullptr, 0));
  return absl::FromChrono(std::chrono::steady_clock::now() - start);
}

}  // namespace ringfence::testing
