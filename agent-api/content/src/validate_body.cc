#include <algorithm>

#include "ringfence/base/ids.h"
#include "ringfence/base/utf8.h"
#include "ringfence/content/view.h"
#include "validator.h"

namespace ringfence::content {
namespace {

bool IsAction(uint64_t value) {
  switch (static_cast<Action>(value)) {
    case Action::kLog:
    case Action::kAlert:
    case Action::kBlock:
      return true;
  }
  return false;
}

// The type of value that an operation compares; absent for one that does not exist.
// kPresent takes either, which the caller knows.
std::optional<FieldType> OperandOf(uint64_t value) {
  switch (static_cast<Op>(value)) {
    case Op::kPresent:
    case Op::kEquals:
    case Op::kPrefix:
    case Op::kSuffix:
    case Op::kContains:
    case Op::kGlob:
      return FieldType::kText;
    case Op::kIs:
    case Op::kIsNot:
    case Op::kBelow:
    case Op::kAbove:
      return FieldType::kNumber;
  }
  return std::nullopt;
}

}  // namespace

Refusal Validator::Body() {
  if (Refusal refusal = HeaderValues()) return refusal;
  if (Refusal refusal = Strings()) return refusal;
  if (Refusal refusal = Identity()) return refusal;
  if (Refusal refusal = Fields()) return refusal;
  if (checks_.sensors.has_value()) {
    if (Refusal refusal = CompareWithSensors(layout_, *checks_.sensors)) return refusal;
  }
  if (Refusal refusal = Rules()) return refusal;
  return NothingLeftOver();
}

Refusal Validator::HeaderValues() {
  layout_.minor_ = static_cast<uint16_t>(Number(header::kMinorAt, 2));
  layout_.serial_ = Number(header::kSerialAt, 8);
  layout_.schema_id_ = static_cast<uint32_t>(Number(header::kSchemaIdAt, 4));
  layout_.field_count_ = static_cast<uint16_t>(Number(header::kFieldCountAt, 2));
  layout_.sensor_min_ = {static_cast<uint32_t>(Number(header::kSensorMinAt, 4))};
  layout_.sensor_max_ = {static_cast<uint32_t>(Number(header::kSensorMaxAt, 4))};
  if (layout_.serial_ == 0 || layout_.serial_ > uint64_t{INT64_MAX}) {
    return Reject(Code::kBadValue, header::kSerialAt, "header.serial", absl::StrCat(layout_.serial_),
                  "1 to 2^63 - 1");
  }
  if (!layout_.sensor_min_.IsValid() || !layout_.sensor_max_.IsValid() ||
      layout_.sensor_min_ > layout_.sensor_max_) {
    return Reject(Code::kBadValue, header::kSensorMinAt, "header.sensor_min",
                  absl::StrCat(layout_.sensor_min_.number, " to ", layout_.sensor_max_.number),
                  "two sensor versions, the lower one first");
  }
  if (layout_.field_count_ == 0 || layout_.field_count_ > kMaxFields) {
    return Reject(Code::kLimit, header::kFieldCountAt, "header.field_count",
                  absl::StrCat(layout_.field_count_), absl::StrCat("1 to ", kMaxFields));
  }
  return std::nullopt;
}

Refusal Validator::Strings() {
  const Layout::Section section = layout_.section(SectionType::kStrings);
  strings_ = bytes_.subspan(section.offset, section.size);
  if (const std::optional<size_t> bad = FirstBadByte(Text(strings_))) {
    return Reject(Code::kBadString, section.offset + *bad, "strings",
                  absl::StrCat("byte 0x", absl::Hex(strings_[*bad])), "UTF-8 without control characters");
  }
  return std::nullopt;
}

template <typename PathFunction>
Refusal Validator::TakeString(uint64_t ref_at, uint64_t most_bytes, const PathFunction& path,
                              absl::string_view* text) {
  const uint64_t offset = Number(ref_at, 4), size = Number(ref_at + 4, 4);
  if (offset != next_string_ || !Fits(offset, size, strings_.size())) {
    return Reject(Code::kBadString, ref_at, path(),
                  absl::StrCat(size, " bytes at ", offset, " of the strings"),
                  absl::StrCat("the string at ", next_string_, " within the ", strings_.size(),
                               " bytes of the strings"));
  }
  if (size > most_bytes) {
    return Reject(Code::kLimit, ref_at + 4, path(), absl::StrCat(size, " bytes"),
                  absl::StrCat("at most ", most_bytes));
  }
  next_string_ = offset + size;
  // The strings are UTF-8 as a whole; each of them is if none begins in the middle of a character.
  if (next_string_ < strings_.size() && (strings_[next_string_] & 0xc0) == 0x80) {
    return Reject(Code::kBadString, ref_at + 4, path(), "an end inside a character", "whole characters");
  }
  *text = Text(strings_.subspan(offset, size));
  return std::nullopt;
}

Refusal Validator::Identity() {
  const Layout::Section section = layout_.section(SectionType::kIdentity);
  if (section.size != kIdentityBytes) {
    return Reject(Code::kBadLayout, section.offset, "identity", absl::StrCat(section.size, " bytes"),
                  absl::StrCat(kIdentityBytes));
  }
  absl::string_view text;
  if (Refusal refusal = TakeString(
          section.offset, 63, [] { return std::string("identity.channel"); }, &text)) {
    return refusal;
  }
  if (!IsSlug(text)) {
    return Reject(Code::kBadValue, section.offset, "identity.channel", absl::StrCat("'", text, "'"),
                  "1 to 63 of a-z, 0-9 and -");
  }
  if (Refusal refusal = TakeString(
          section.offset + kStringRefBytes, kMaxVersionBytes, [] { return std::string("identity.version"); },
          &text)) {
    return refusal;
  }
  if (text.empty()) {
    return Reject(Code::kBadValue, section.offset + kStringRefBytes, "identity.version", "nothing",
                  absl::StrCat("1 to ", kMaxVersionBytes, " bytes"));
  }
  return std::nullopt;
}

Refusal Validator::Fields() {
  const Layout::Section section = layout_.section(SectionType::kFields);
  if (section.size != layout_.field_count_ * kFieldBytes) {
    return Reject(Code::kBadLayout, section.offset, "fields", absl::StrCat(section.size, " bytes"),
                  absl::StrCat(layout_.field_count_ * kFieldBytes, " for the ", layout_.field_count_,
                               " fields of header.field_count"));
  }
  const View view(layout_);
  for (uint32_t i = 0; i < layout_.field_count_; ++i) {
    const uint64_t at = section.offset + i * kFieldBytes;
    const auto path = [i] { return absl::StrCat("fields[", i, "].name"); };
    absl::string_view name;
    if (Refusal refusal = TakeString(at, kMaxFieldNameBytes, path, &name)) return refusal;
    if (!IsFieldName(name)) {
      return Reject(Code::kBadValue, at, path(), absl::StrCat("'", name, "'"),
                    absl::StrCat("1 to ", kMaxFieldNameBytes, " of a-z, 0-9 and _"));
    }
    for (uint32_t earlier = 0; earlier < i; ++earlier) {
      if (view.field(earlier).value_or(FieldView()).name != name) continue;
      return Reject(Code::kBadValue, at, path(), absl::StrCat("'", name, "' a second time"),
                    "each name once");
    }
    const uint64_t type = Number(at + kStringRefBytes, 8);
    if (type != static_cast<uint64_t>(FieldType::kText) &&
        type != static_cast<uint64_t>(FieldType::kNumber)) {
      return Reject(Code::kBadValue, at + kStringRefBytes, absl::StrCat("fields[", i, "].type"),
                    absl::StrCat(type), "1 (text) or 2 (number), then seven zeros");
    }
  }
  return std::nullopt;
}

Refusal Validator::Rules() {
  const Layout::Section section = layout_.section(SectionType::kRules);
  const auto wrong_size = [&](uint64_t wanted) {
    return Reject(Code::kBadLayout, section.offset, "rules", absl::StrCat(section.size, " bytes"),
                  absl::StrCat(wanted, " for the numbers of rules and conditions that it begins with"));
  };
  if (section.size < kRulesHeadBytes) return wrong_size(kRulesHeadBytes);
  const uint64_t rules = Number(section.offset, 4), conditions = Number(section.offset + 4, 4);
  if (rules > kMaxRules || conditions > uint64_t{kMaxRules} * kMaxConditionsPerRule) {
    return Reject(Code::kLimit, section.offset, "rules",
                  absl::StrCat(rules, " rules, ", conditions, " conditions"),
                  absl::StrCat("at most ", kMaxRules, " rules of ", kMaxConditionsPerRule, " conditions"));
  }
  // Both counts are bounded by now: the sum cannot overflow.
  const uint64_t wanted = kRulesHeadBytes + rules * kRuleBytes + conditions * kConditionBytes;
  if (section.size != wanted) return wrong_size(wanted);
  layout_.rule_count_ = static_cast<uint32_t>(rules);
  layout_.condition_count_ = static_cast<uint32_t>(conditions);

  uint32_t next_condition = 0;
  for (uint32_t i = 0; i < rules; ++i) {
    if (Refusal refusal = Rule(i, &next_condition)) return refusal;
  }
  if (next_condition != conditions) {
    return Reject(Code::kBadLayout, section.offset + 4, "rules.conditions",
                  absl::StrCat(conditions, " conditions"),
                  absl::StrCat(next_condition, ", as many as the rules use"));
  }
  return std::nullopt;
}

Refusal Validator::Rule(uint32_t index, uint32_t* next_condition) {
  const uint64_t rules_at = layout_.section(SectionType::kRules).offset + kRulesHeadBytes;
  const uint64_t at = rules_at + index * kRuleBytes;
  const auto path = [index](const char* leaf) { return absl::StrCat("rules[", index, "].", leaf); };
  absl::string_view name;
  if (Refusal refusal = TakeString(
          at, kMaxRuleNameBytes, [&] { return path("name"); }, &name))
    return refusal;
  if (name.empty()) {
    return Reject(Code::kBadValue, at, path("name"), "nothing",
                  absl::StrCat("1 to ", kMaxRuleNameBytes, " bytes"));
  }
  const uint64_t first = Number(at + 8, 4), count = Number(at + 12, 4), action = Number(at + 16, 8);
  if (count < 1 || count > kMaxConditionsPerRule) {
    return Reject(Code::kLimit, at + 12, path("conditions"), absl::StrCat(count),
                  absl::StrCat("1 to ", kMaxConditionsPerRule));
  }
  if (first != *next_condition || !Fits(first, count, layout_.condition_count_)) {
    return Reject(Code::kBadLayout, at + 8, path("first_condition"),
                  absl::StrCat(first, ", ", count, " of them"),
                  absl::StrCat(*next_condition, ", and no more than the ", layout_.condition_count_,
                               " conditions of the file"));
  }
  if (!IsAction(action & 0xff) || action > 0xff) {
    return Reject(Code::kBadRule, at + 16, path("action"), absl::StrCat(action),
                  "1 (log), 2 (alert) or 3 (block), then seven zeros");
  }
  *next_condition = static_cast<uint32_t>(first + count);
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t condition_at = rules_at + layout_.rule_count_ * kRuleBytes + (first + i) * kConditionBytes;
    if (Refusal refusal = Condition(index, i, condition_at)) return refusal;
  }
  return std::nullopt;
}

Refusal Validator::Condition(uint32_t rule, uint32_t index_in_rule, uint64_t at) {
  const auto path = [=](const char* leaf) {
    return absl::StrCat("rules[", rule, "].conditions[", index_in_rule, "].", leaf);
  };
  const uint64_t field = Number(at, 2), op = Number(at + 2, 6), number = Number(at + 16, 8);
  if (field >= layout_.field_count_) {
    return Reject(Code::kFieldIndex, at, path("field"), absl::StrCat(field),
                  absl::StrCat("below ", layout_.field_count_, ", the number of declared fields"));
  }
  const std::optional<FieldType> operand = op <= 0xff ? OperandOf(op) : std::nullopt;
  if (!operand.has_value()) {
    return Reject(Code::kBadRule, at + 2, path("op"), absl::StrCat(op),
                  "an operation that this reader knows, then five zeros");
  }
  const uint64_t fields_at = layout_.section(SectionType::kFields).offset;
  const auto type = static_cast<FieldType>(Number(fields_at + field * kFieldBytes + kStringRefBytes, 1));
  const bool present = static_cast<Op>(op) == Op::kPresent;
  if (!present && *operand != type) {
    return Reject(Code::kBadRule, at + 2, path("op"), absl::StrCat(op),
                  absl::StrCat("an operation on ", type == FieldType::kText ? "text" : "numbers",
                               ", the type of field ", field));
  }
  absl::string_view text;
  const uint64_t most = present || *operand == FieldType::kNumber ? 0 : kMaxTextBytes;
  if (Refusal refusal = TakeString(
          at + 8, most, [&] { return path("text"); }, &text))
    return refusal;
  if (*operand == FieldType::kText && number != 0) {
    return Reject(Code::kBadRule, at + 16, path("number"), absl::StrCat(number),
                  "0 beside an operation on text");
  }
  if (static_cast<Op>(op) == Op::kGlob && std::count(text.begin(), text.end(), '*') > kMaxStars) {
    return Reject(Code::kLimit, at + 8, path("text"),
                  absl::StrCat(std::count(text.begin(), text.end(), '*'), " stars"),
                  absl::StrCat("at most ", kMaxStars));
  }
  return std::nullopt;
}

Refusal Validator::NothingLeftOver() const {
  if (next_string_ == strings_.size()) return std::nullopt;
  return Reject(Code::kBadLayout, layout_.section(SectionType::kStrings).offset + next_string_, "strings",
                absl::StrCat(strings_.size() - next_string_, " bytes that nothing refers to"), "none");
}

std::variant<Layout, Rejection> Validate(std::span<const uint8_t> bytes, const Checks& checks) {
  Validator validator(bytes, checks);
  if (Refusal refusal = validator.Frame()) return *std::move(refusal);
  if (Refusal refusal = validator.Body()) return *std::move(refusal);
  return validator.layout();
}

}  // namespace ringfence::content
