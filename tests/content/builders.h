// Content, keys and damaged files for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/model.h"

namespace ringfence::content {

inline std::span<const uint8_t> Bytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Always the same key, for files that must not change.
inline const trust::SigningKey& TestKey() {
  static const trust::SigningKey key = *trust::SigningKey::FromSeed(std::string(32, 'k'));
  return key;
}

// Inputs i0, i1, ... of text.
inline std::vector<Field> TextFields(size_t count) {
  std::vector<Field> fields;
  for (size_t i = 0; i < count; ++i) fields.push_back({absl::StrCat("i", i), FieldType::kText});
  return fields;
}

inline SensorVersion Version(absl::string_view text) {
  return *SensorVersion::Parse(text);
}

// A sensor 7.11.0 that supplies these inputs for schema 291.
inline SensorSchema SensorWith(std::vector<Field> fields, absl::string_view version = "7.11.0") {
  return {Version(version), 291, "ipc", std::move(fields)};
}

// Schema 291 for sensors 7.11.0 to 7.19.999, with one rule for each field: that it begins with "bad".
inline Content ContentWith(std::vector<Field> fields) {
  Content content{"ipc-detect", "2026.11.22.3", 1042, 291, Version("7.11.0"), Version("7.19.999"), {}, {}};
  for (uint16_t i = 0; i < fields.size(); ++i) {
    Condition condition{i, Op::kPrefix, "bad", 0};
    if (fields[i].type == FieldType::kNumber) condition = {i, Op::kAbove, "", 7};
    content.rules.push_back({absl::StrCat("rule-", i), Action::kAlert, {condition}});
  }
  content.fields = std::move(fields);
  return content;
}

// Small, and with one of everything.
inline Content SmallContent() {
  Content content = ContentWith({{"pipe", FieldType::kText}, {"pid", FieldType::kNumber}});
  content.rules.push_back({"both ⚑!", Action::kBlock, {{0, Op::kGlob, "a*é", 0}, {1, Op::kPresent, "", 0}}});
  return content;
}

inline std::string Signed(const Content& content) {
  const auto file = Build(content, &TestKey(), std::nullopt);
  EXPECT_TRUE(file.ok()) << file.status();
  return file.value_or("");
}

// Only whether it is sound in itself.
inline Checks Alone() {
  Checks checks;
  checks.build_keys = std::nullopt;
  checks.sensors = std::nullopt;
  return checks;
}

// Sound, and signed by TestKey.
inline Checks WithKey() {
  Checks checks = Alone();
  checks.build_keys = std::span(&TestKey().public_key(), 1);
  return checks;
}

inline std::optional<Code> CodeOf(const std::variant<Layout, Rejection>& result) {
  const Rejection* rejection = std::get_if<Rejection>(&result);
  return rejection == nullptr ? std::nullopt : std::optional(rejection->code);
}

inline std::string TextOf(const std::variant<Layout, Rejection>& result) {
  const Rejection* rejection = std::get_if<Rejection>(&result);
  return rejection == nullptr ? "accepted" : ToString(*rejection);
}

}  // namespace ringfence::content

// A code prints as its name.
namespace ringfence::content {
inline void PrintTo(Code code, std::ostream* out) {
  *out << CodeName(code);
}
}  // namespace ringfence::content
