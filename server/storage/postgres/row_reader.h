// Reads the columns of one result row from left to right. What cannot be read becomes a DataLoss status at
// the end, so that a row is read in one expression per field.
#pragma once

#include <cstdint>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"

namespace ringfence::storage {

class RowReader {
 public:
  explicit RowReader(const pqxx::row& row) : row_(row) {}

  std::string Text() { return std::string(Next()); }
  int64_t Int();
  uint64_t Unsigned() { return static_cast<uint64_t>(Int()); }
  double Double();
  bool Bool();
  absl::Time Time();
  absl::Duration Micros() { return absl::Microseconds(Int()); }  // of an interval, as whole microseconds
  std::string Bytes();
  Digest Sha256();
  AgentId Agent();
  std::vector<std::string> Array();
  std::vector<double> Doubles(size_t count);

  // For columns with a codec of their own: the value, or a default one and the error at the end.
  template <typename T>
  T Parse(absl::StatusOr<T> (*parse)(absl::string_view)) {
    return Keep(parse(Next()));
  }

  // Of every column read so far.
  const absl::Status& status() const { return status_; }

 private:
  absl::string_view Next();
  template <typename T>
  T Keep(absl::StatusOr<T> value) {
    if (value.ok()) return *std::move(value);
    if (status_.ok()) status_ = value.status();
    return T();
  }

  const pqxx::row& row_;
  int column_ = 0;
  absl::Status status_;
};

}  // namespace ringfence::storage
