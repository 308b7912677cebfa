// Makes structured values out of the bytes of a fuzzer. Never fails: when the bytes are used up it gives
// zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace ringfence::fuzz {

class ByteReader {
 public:
  ByteReader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool empty() const { return size_ == 0; }

  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  bool Bool() { return (Byte() & 1) != 0; }

  uint64_t U64() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | Byte();
    return value;
  }
  int64_t I64() { return static_cast<int64_t>(U64()); }

  // 0 to most, for small bounds.
  size_t UpTo(uint8_t most) { return most == 0 ? 0 : Byte() % (most + size_t{1}); }

  // Mostly small, now and then anything: so that both legal and absurd values are met.
  int64_t Number(int64_t usual_most) {
    const uint8_t kind = Byte();
    if (kind < 240) return static_cast<int64_t>(U64() % static_cast<uint64_t>(usual_most + 1));
    return I64();
  }

  // Up to 255 bytes, anything in them.
  std::string String() {
    std::string text(Byte(), '\0');
    for (char& c : text) c = static_cast<char>(Byte());
    return text;
  }
  // Mostly a short word of letters, now and then anything.
  std::string Word() {
    const uint8_t kind = Byte();
    if (kind >= 240) return String();
    return std::string(1 + kind % 3, static_cast<char>('a' + kind % 26));
  }

  absl::Duration Duration() {
    switch (Byte() % 16) {
      case 13:
        return absl::InfiniteDuration();
      case 14:
        return -absl::InfiniteDuration();
      case 15:
        return absl::Nanoseconds(I64());
      default:
        return absl::Seconds(static_cast<int64_t>(U64() % (3600 * 24 * 7)));
    }
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

}  // namespace ringfence::fuzz
