// CRC-32C (Castagnoli, reflected), as iSCSI and ext4 have it. Finds damage in the header before anything in
// it is believed; against intent there are the digest and the signature.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace ringfence::content {

inline constexpr std::array<uint32_t, 256> kCrc32cTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
    table[i] = value;
  }
  return table;
}();

constexpr uint32_t Crc32c(std::span<const uint8_t> bytes) {
  uint32_t crc = ~0u;
  for (const uint8_t byte : bytes) crc = crc >> 8 ^ kCrc32cTable[(crc ^ byte) & 0xff];
  return ~crc;
}

// The check value of every catalogue of CRCs: of the text "123456789".
inline constexpr std::array<uint8_t, 9> kCrcCheck = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
static_assert(Crc32c(kCrcCheck) == 0xe3069283u);

}  // namespace ringfence::content
