// FCT1, the content format: the numbers that are in a file. docs/content-format.md draws it.
//
// Everything is little-endian and at a fixed place. Sections follow one another in the order of the table,
// each on a multiple of 8, the bytes between them zero; strings stand in the order in which they are named.
// One content has therefore exactly one spelling, and nothing can hide between the parts.
#pragma once

#include <array>
#include <cstdint>

namespace ringfence::content {

// PNG's trick: never zeros, and a transfer in text mode damages it visibly.
inline constexpr std::array<uint8_t, 8> kMagic = {0x89, 'F', 'C', 'T', 0x0d, 0x0a, 0x1a, 0x0a};
inline constexpr std::array<uint8_t, 8> kEndMagic = {'F', 'C', 'T', '1', 'E', 'N', 'D', 0x0a};
// What is signed: this, then the 32 bytes of the trailer's sha256. Includes the zero byte.
inline constexpr char kSigned[] = "FCT1";

inline constexpr uint16_t kMajor = 1;
inline constexpr uint64_t kHeaderBytes = 64;
inline constexpr uint64_t kTableEntryBytes = 56;
inline constexpr uint64_t kTrailerBytes = 112;
inline constexpr uint64_t kMinFileBytes = kHeaderBytes + kTableEntryBytes + kTrailerBytes;
inline constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;
inline constexpr uint32_t kMaxSections = 64;

// Offsets in the header.
namespace header {
inline constexpr uint64_t kMajorAt = 8, kMinorAt = 10, kHeaderLenAt = 12, kTotalLenAt = 16,
                          kSectionCountAt = 24, kFlagsAt = 28, kSerialAt = 32, kSchemaIdAt = 40,
                          kFieldCountAt = 44, kReserved16At = 46, kSensorMinAt = 48, kSensorMaxAt = 52,
                          kCrcAt = 56, kReserved32At = 60;
}
// Offsets in an entry of the section table.
namespace entry {
inline constexpr uint64_t kTypeAt = 0, kFlagsAt = 4, kOffsetAt = 8, kSizeAt = 16, kSha256At = 24;
}
// Offsets in the trailer.
namespace trailer {
inline constexpr uint64_t kSha256At = 0, kKeyIdAt = 32, kSignatureAt = 40, kMagicAt = 104;
}

// A section of any other type is refused unless its entry carries kOptionalSection: then it is skipped,
// though its place and digest are checked like any other's.
enum class SectionType : uint32_t { kIdentity = 1, kFields = 2, kRules = 3, kStrings = 4 };
inline constexpr uint32_t kKnownSections = 4;
inline constexpr uint32_t kOptionalSection = 1;

// A string is {u32 offset, u32 length} into the strings section.
inline constexpr uint64_t kStringRefBytes = 8;
// identity: channel, version.
inline constexpr uint64_t kIdentityBytes = 2 * kStringRefBytes;
// One field: name, u8 type, 7 zeros.
inline constexpr uint64_t kFieldBytes = 16;
// rules: u32 rules, u32 conditions; the rules; the conditions.
inline constexpr uint64_t kRulesHeadBytes = 8;
// One rule: name, u32 first condition, u32 conditions, u8 action, 7 zeros.
inline constexpr uint64_t kRuleBytes = 24;
// One condition: u16 field, u8 op, 5 zeros, text, i64 number.
inline constexpr uint64_t kConditionBytes = 24;

enum class FieldType : uint8_t { kText = 1, kNumber = 2 };
enum class Action : uint8_t { kLog = 1, kAlert = 2, kBlock = 3 };

// kPresent takes any value of either type: the wildcard. The next five compare text, the last four numbers.
enum class Op : uint8_t {
  kPresent = 1,
  kEquals = 2,
  kPrefix = 3,
  kSuffix = 4,
  kContains = 5,
  kGlob = 6,  // '*' stands for any run of bytes, everything else for itself
  kIs = 16,
  kIsNot = 17,
  kBelow = 18,
  kAbove = 19,
};

// Limits. They bound what reading and evaluating a file can cost.
inline constexpr uint32_t kMaxFields = 256;
inline constexpr uint32_t kMaxRules = 65'536;
inline constexpr uint32_t kMaxConditionsPerRule = 64;
inline constexpr uint32_t kMaxFieldNameBytes = 63;  // [a-z0-9_]
inline constexpr uint32_t kMaxRuleNameBytes = 128;
inline constexpr uint32_t kMaxVersionBytes = 128;
inline constexpr uint32_t kMaxTextBytes = 1024;
inline constexpr uint32_t kMaxStars = 8;

}  // namespace ringfence::content
