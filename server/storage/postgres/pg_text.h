// Values in PostgreSQL's text forms, written and read by hand: libpqxx 6 has no array parameters, and a batch
// of a thousand rows is a few arrays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace ringfence::storage {

// "2024-07-19 04:09:00.000123+00", or "infinity" and "-infinity". Whole microseconds, earlier ones. Years
// from 1 on.
std::string PgTime(absl::Time time);
// Of a finite time: microseconds since 1970, within the years 1 to 9999.
int64_t PgMicros(absl::Time time);
absl::StatusOr<absl::Time> ParsePgTime(absl::string_view text);  // with the session's time zone UTC

// "\x" and hex digits: the text form of bytea.
std::string PgBytes(absl::string_view raw);
absl::StatusOr<std::string> ParsePgBytes(absl::string_view text);

// The shortest decimal that reads back as the same double; "Infinity", "NaN".
std::string PgDouble(double value);
absl::StatusOr<double> ParsePgDouble(absl::string_view text);

// bigint has no unsigned form: the same 64 bits.
std::string PgUnsigned(uint64_t value);
std::string PgBool(bool value);
// Whole microseconds.
std::string PgInterval(absl::Duration duration);

// The text form of a one-dimensional array. Elements are quoted as far as they need it.
class PgArray {
 public:
  PgArray() : text_("{") {}
  void AddText(absl::string_view value);  // any bytes; whether the server takes them is its business
  void AddInt(int64_t value);
  void AddUnsigned(uint64_t value) { AddInt(static_cast<int64_t>(value)); }  // as PgUnsigned
  void AddDouble(double value);
  void AddBool(bool value);
  void AddTime(absl::Time time);
  void AddBytes(absl::string_view raw);
  void AddUuid(absl::string_view raw);  // 16 raw bytes
  // Ends the array.
  std::string Take();

 private:
  void Separate();
  std::string text_;
};

std::string PgTextArray(absl::Span<const std::string> values);
std::string PgDoubleArray(absl::Span<const double> values);
// The elements of a one-dimensional array without NULLs, unquoted.
absl::StatusOr<std::vector<std::string>> ParsePgArray(absl::string_view text);

}  // namespace ringfence::storage
