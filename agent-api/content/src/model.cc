#include "ringfence/content/model.h"

#include "ringfence/content/view.h"

namespace ringfence::content {

Content Describe(const Layout& layout) {
  const View view(layout);
  Content content;
  content.channel = std::string(view.channel());
  content.version = std::string(view.version());
  content.serial = layout.serial();
  content.schema_id = layout.schema_id();
  content.sensor_min = layout.sensor_min();
  content.sensor_max = layout.sensor_max();
  for (uint32_t i = 0; i < layout.field_count(); ++i) {
    const FieldView field = view.field(i).value_or(FieldView());
    content.fields.push_back({std::string(field.name), field.type});
  }
  for (uint32_t i = 0; i < layout.rule_count(); ++i) {
    const RuleView found = view.rule(i).value_or(RuleView());
    Rule rule{std::string(found.name), found.action, {}};
    for (uint32_t k = 0; k < found.conditions; ++k) {
      const ConditionView condition = view.condition(found.first_condition + k).value_or(ConditionView());
      rule.conditions.push_back(
          {condition.field, condition.op, std::string(condition.text), condition.number});
    }
    content.rules.push_back(std::move(rule));
  }
  return content;
}

std::vector<uint32_t> ReadsPerField(const Content& content) {
  std::vector<uint32_t> reads(content.fields.size());
  for (const Rule& rule : content.rules) {
    for (const Condition& condition : rule.conditions) {
      if (condition.op != Op::kPresent && condition.field < reads.size()) ++reads[condition.field];
    }
  }
  return reads;
}

absl::string_view Name(FieldType type) {
  switch (type) {
    case FieldType::kText:
      return "text";
    case FieldType::kNumber:
      return "number";
  }
  return "unknown";
}

absl::string_view Name(Action action) {
  switch (action) {
    case Action::kLog:
      return "log";
    case Action::kAlert:
      return "alert";
    case Action::kBlock:
      return "block";
  }
  return "unknown";
}

absl::string_view Name(Op op) {
  switch (op) {
    case Op::kPresent:
      return "present";
    case Op::kEquals:
      return "equals";
    case Op::kPrefix:
      return "prefix";
    case Op::kSuffix:
      return "suffix";
    case Op::kContains:
      return "contains";
    case Op::kGlob:
      return "glob";
    case Op::kIs:
      return "is";
    case Op::kIsNot:
      return "is_not";
    case Op::kBelow:
      return "below";
    case Op::kAbove:
      return "above";
  }
  return "unknown";
}

}  // namespace ringfence::content
