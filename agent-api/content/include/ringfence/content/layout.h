// The validator: one pure function, the same in the build tool, the publish gate, the agent's staging and the
// loader. What it accepts is a Layout; nothing else in this library can read a file, and nothing but Validate
// can make a Layout.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "ringfence/content/format.h"
#include "ringfence/content/rejection.h"
#include "ringfence/content/schema.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::content {

// What the caller holds the file against. By default nothing passes: a caller that does not check one of the
// two has to say so by std::nullopt.
struct Checks {
  // One of these keys must have signed the file. std::nullopt: the signature is not looked at (an author's
  // desk).
  std::optional<std::span<const trust::PublicKey>> build_keys = std::span<const trust::PublicKey>();
  // What sensors supply. At least one must be of a version that the file claims (sensor_min to sensor_max,
  // both inclusive), and every one that is must supply exactly the declared inputs: number, order, names,
  // types. The publish gate passes all that are registered, an agent its own alone. std::nullopt: not
  // compared.
  std::optional<std::span<const SensorSchema>> sensors = std::span<const SensorSchema>();
};

// A file whose every byte was accounted for. Holds the span that was validated, not a copy: the bytes must
// outlive it and must not change (read the file into memory of your own; a mapping that others can write is
// no such memory). Copyable, immutable, thread-safe.
class Layout {
 public:
  uint16_t minor() const { return minor_; }
  uint64_t serial() const { return serial_; }
  uint32_t schema_id() const { return schema_id_; }
  uint16_t field_count() const { return field_count_; }
  SensorVersion sensor_min() const { return sensor_min_; }  // inclusive
  SensorVersion sensor_max() const { return sensor_max_; }  // inclusive
  uint32_t rule_count() const { return rule_count_; }
  uint32_t condition_count() const { return condition_count_; }
  // The key that signed it; absent if the caller did not ask.
  const std::optional<trust::PublicKey>& signed_by() const { return signed_by_; }
  // The first 8 bytes of the signer's key id as the trailer claims them; zeros: not signed.
  const std::array<uint8_t, 8>& claimed_key_id() const { return claimed_key_id_; }

  std::span<const uint8_t> bytes() const { return bytes_; }
  // Where a section's bytes are. Every known section is there.
  struct Section {
    uint64_t offset = 0;
    uint64_t size = 0;
  };
  Section section(SectionType type) const { return sections_[static_cast<uint32_t>(type) - 1]; }

 private:
  friend class Validator;
  Layout() = default;

  std::span<const uint8_t> bytes_;
  std::array<Section, kKnownSections> sections_{};
  uint16_t minor_ = 0;
  uint16_t field_count_ = 0;
  uint64_t serial_ = 0;
  uint32_t schema_id_ = 0;
  SensorVersion sensor_min_, sensor_max_;
  uint32_t rule_count_ = 0;
  uint32_t condition_count_ = 0;
  std::array<uint8_t, 8> claimed_key_id_{};
  std::optional<trust::PublicKey> signed_by_;
};

// Accepts or says why not. Pure; allocates nothing that grows with the file; reads no byte outside `bytes`
// whatever stands in them; at most a few passes over them. The order of checks is the order of the codes'
// table in docs/content-format.md, so one damage has one answer everywhere.
std::variant<Layout, Rejection> Validate(std::span<const uint8_t> bytes, const Checks& checks);

// The comparison with sensors alone, for content that was accepted before: at every load, or when a sensor
// registers. Absent: it fits.
std::optional<Rejection> CompareWithSensors(const Layout& layout, std::span<const SensorSchema> sensors);

}  // namespace ringfence::content
