// One-dimensional arrays in PostgreSQL's binary form. The hot path uses it: the server reads a number as it
// lies on the wire three times faster than a decimal, and a time ten times faster.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"

namespace ringfence::storage {

// The built-in types that an array may hold; their numbers are the same in every database.
enum class PgType : uint32_t {
  kBool = 16,
  kBytes = 17,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kText = 25,
  kDouble = 701,
  kTime = 1184,  // with time zone
  kUuid = 2950,
};

// Elements without NULLs, all of the type named at the start; the parameter's type in the statement must be
// the array of it.
class PgBinaryArray {
 public:
  explicit PgBinaryArray(PgType type);
  void AddText(absl::string_view value) {
    AddElement(value);
  }  // UTF-8 without zero bytes, or the server refuses it
  void AddBytes(absl::string_view raw) { AddElement(raw); }
  void AddUuid(const AgentId& id);
  void AddInt8(int64_t value);
  void AddUnsigned(uint64_t value) { AddInt8(static_cast<int64_t>(value)); }  // the same 64 bits
  void AddInt4(int32_t value);
  void AddInt2(int16_t value);
  void AddDouble(double value);
  void AddBool(bool value);
  // Whole microseconds, earlier ones, within the years 1 to 9999; or infinite.
  void AddTime(absl::Time time);
  // Ends the array.
  std::string Take();

 private:
  void AddElement(absl::string_view raw);
  std::string bytes_;
  uint32_t count_ = 0;
};

}  // namespace ringfence::storage
