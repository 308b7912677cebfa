#include "server/storage/postgres/pg_binary.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "server/storage/postgres/pg_text.h"

namespace ringfence::storage {
namespace {

// Microseconds from 1970 to 2000, PostgreSQL's zero.
constexpr int64_t kEpochMicros = int64_t{946'684'800} * 1'000'000;
constexpr size_t kCountAt = 12;  // behind dimensions, flags and type

template <typename Number>
void AppendBigEndian(std::string& out, Number value) {
  char raw[sizeof(Number)];
  for (size_t i = 0; i < sizeof(Number); ++i)
    raw[i] = static_cast<char>(value >> (8 * (sizeof(Number) - 1 - i)));
  out.append(raw, sizeof(raw));
}

}  // namespace

PgBinaryArray::PgBinaryArray(PgType type) {
  AppendBigEndian(bytes_, uint32_t{1});  // dimensions
  AppendBigEndian(bytes_, uint32_t{0});  // no NULLs
  AppendBigEndian(bytes_, static_cast<uint32_t>(type));
  AppendBigEndian(bytes_, uint32_t{0});  // elements: Take knows
  AppendBigEndian(bytes_, uint32_t{1});  // the first one's number
}

void PgBinaryArray::AddElement(absl::string_view raw) {
  AppendBigEndian(bytes_, static_cast<uint32_t>(raw.size()));
  bytes_.append(raw.data(), raw.size());
  ++count_;
}

void PgBinaryArray::AddUuid(const AgentId& id) {
  AddElement(id.raw());
}

void PgBinaryArray::AddInt8(int64_t value) {
  AppendBigEndian(bytes_, uint32_t{8});
  AppendBigEndian(bytes_, static_cast<uint64_t>(value));
  ++count_;
}

void PgBinaryArray::AddInt4(int32_t value) {
  AppendBigEndian(bytes_, uint32_t{4});
  AppendBigEndian(bytes_, static_cast<uint32_t>(value));
  ++count_;
}

void PgBinaryArray::AddInt2(int16_t value) {
  AppendBigEndian(bytes_, uint32_t{2});
  AppendBigEndian(bytes_, static_cast<uint16_t>(value));
  ++count_;
}

void PgBinaryArray::AddDouble(double value) {
  static_assert(sizeof(double) == 8 && std::numeric_limits<double>::is_iec559);
  int64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  AddInt8(bits);
}

void PgBinaryArray::AddBool(bool value) {
  AddElement(absl::string_view(value ? "\1" : "\0", 1));
}

void PgBinaryArray::AddTime(absl::Time time) {
  if (time == absl::InfiniteFuture()) return AddInt8(std::numeric_limits<int64_t>::max());
  if (time == absl::InfinitePast()) return AddInt8(std::numeric_limits<int64_t>::min());
  AddInt8(PgMicros(time) - kEpochMicros);
}

std::string PgBinaryArray::Take() {
  // An array without elements has no dimension either.
  if (count_ == 0) {
    bytes_.resize(kCountAt);
    bytes_[3] = 0;
    return std::move(bytes_);
  }
  for (int i = 0; i < 4; ++i)
    bytes_[kCountAt + static_cast<size_t>(i)] = static_cast<char>(count_ >> (24 - 8 * i));
  return std::move(bytes_);
}

}  // namespace ringfence::storage
