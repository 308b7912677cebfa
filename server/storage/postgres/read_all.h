// The parts of PostgresTransaction that every table shares. Included by the .cc files that implement it.
#pragma once

#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/postgres_transaction.h"
#include "server/storage/postgres/row_reader.h"

namespace ringfence::storage {

template <typename Row>
absl::StatusOr<std::vector<Row>> PostgresTransaction::ReadAll(absl::StatusOr<Row> (*read)(const pqxx::row&),
                                                              const Statement& statement,
                                                              const std::vector<std::string>& parameters) {
  ASSIGN_OR_RETURN(const pqxx::result result, Run(statement, parameters));
  std::vector<Row> rows;
  rows.reserve(result.size());
  for (const pqxx::row& row : result) {
    ASSIGN_OR_RETURN(Row read_row, read(row));
    rows.push_back(std::move(read_row));
  }
  return rows;
}

}  // namespace ringfence::storage
