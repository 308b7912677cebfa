#include "ringfence/content/view.h"

#include "bytes.h"

namespace ringfence::content {

std::optional<absl::string_view> View::StringAt(uint64_t ref_at) const {
  const std::optional<uint64_t> offset = Load(layout_.bytes(), ref_at, 4);
  const std::optional<uint64_t> size = Load(layout_.bytes(), ref_at + 4, 4);
  const Layout::Section strings = layout_.section(SectionType::kStrings);
  const std::optional<ByteSpan> all = Part(layout_.bytes(), strings.offset, strings.size);
  if (!offset.has_value() || !size.has_value() || !all.has_value()) return std::nullopt;
  const std::optional<ByteSpan> text = Part(*all, *offset, *size);
  if (!text.has_value()) return std::nullopt;
  return Text(*text);
}

absl::string_view View::channel() const {
  return StringAt(layout_.section(SectionType::kIdentity).offset).value_or("");
}

absl::string_view View::version() const {
  return StringAt(layout_.section(SectionType::kIdentity).offset + kStringRefBytes).value_or("");
}

std::optional<FieldView> View::field(uint32_t index) const {
  if (index >= layout_.field_count()) return std::nullopt;
  const uint64_t at = layout_.section(SectionType::kFields).offset + index * kFieldBytes;
  const std::optional<absl::string_view> name = StringAt(at);
  const std::optional<uint64_t> type = Load(layout_.bytes(), at + kStringRefBytes, 1);
  if (!name.has_value() || !type.has_value()) return std::nullopt;
  return FieldView{*name, static_cast<FieldType>(*type)};
}

std::optional<RuleView> View::rule(uint32_t index) const {
  if (index >= layout_.rule_count()) return std::nullopt;
  const uint64_t at = layout_.section(SectionType::kRules).offset + kRulesHeadBytes + index * kRuleBytes;
  const std::optional<absl::string_view> name = StringAt(at);
  const std::optional<uint64_t> first = Load(layout_.bytes(), at + 8, 4);
  const std::optional<uint64_t> conditions = Load(layout_.bytes(), at + 12, 4);
  const std::optional<uint64_t> action = Load(layout_.bytes(), at + 16, 1);
  if (!name.has_value() || !first.has_value() || !conditions.has_value() || !action.has_value())
    return std::nullopt;
  return RuleView{*name, static_cast<Action>(*action), static_cast<uint32_t>(*first),
                  static_cast<uint32_t>(*conditions)};
}

std::optional<ConditionView> View::condition(uint32_t index) const {
  if (index >= layout_.condition_count()) return std::nullopt;
  const uint64_t at = layout_.section(SectionType::kRules).offset + kRulesHeadBytes +
                      layout_.rule_count() * kRuleBytes + index * kConditionBytes;
  const std::optional<uint64_t> field = Load(layout_.bytes(), at, 2);
  const std::optional<uint64_t> op = Load(layout_.bytes(), at + 2, 1);
  const std::optional<absl::string_view> text = StringAt(at + 8);
  const std::optional<uint64_t> number = Load(layout_.bytes(), at + 16, 8);
  if (!field.has_value() || !op.has_value() || !text.has_value() || !number.has_value()) return std::nullopt;
  return ConditionView{static_cast<uint16_t>(*field), static_cast<Op>(*op), *text,
                       static_cast<int64_t>(*number)};
}

}  // namespace ringfence::content
