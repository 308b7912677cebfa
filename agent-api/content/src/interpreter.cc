#include "ringfence/content/interpreter.h"

#include <optional>

#include "absl/strings/match.h"
#include "glob.h"

namespace ringfence::content {
namespace {

// The input at `index`; absent if this event has none there, or one of the other type than the operation
// compares.
std::optional<Input> InputFor(const ConditionView& condition, std::span<const Input> inputs) {
  if (condition.field >= inputs.size()) return std::nullopt;
  const Input& input = inputs[condition.field];
  switch (condition.op) {
    case Op::kPresent:
      return input;
    case Op::kEquals:
    case Op::kPrefix:
    case Op::kSuffix:
    case Op::kContains:
    case Op::kGlob:
      return input.type == FieldType::kText ? std::optional(input) : std::nullopt;
    case Op::kIs:
    case Op::kIsNot:
    case Op::kBelow:
    case Op::kAbove:
      return input.type == FieldType::kNumber ? std::optional(input) : std::nullopt;
  }
  return std::nullopt;
}

bool Holds(const ConditionView& condition, const Input& input) {
  switch (condition.op) {
    case Op::kPresent:
      return true;
    case Op::kEquals:
      return input.text == condition.text;
    case Op::kPrefix:
      return absl::StartsWith(input.text, condition.text);
    case Op::kSuffix:
      return absl::EndsWith(input.text, condition.text);
    case Op::kContains:
      return absl::StrContains(input.text, condition.text);
    case Op::kGlob:
      return MatchesGlob(condition.text, input.text);
    case Op::kIs:
      return input.number == condition.number;
    case Op::kIsNot:
      return input.number != condition.number;
    case Op::kBelow:
      return input.number < condition.number;
    case Op::kAbove:
      return input.number > condition.number;
  }
  return false;
}

}  // namespace

std::variant<Interpreter, Rejection> Interpreter::Make(const Layout& layout, const SensorSchema& sensor) {
  if (std::optional<Rejection> rejection = CompareWithSensors(layout, {&sensor, 1}))
    return *std::move(rejection);
  return Interpreter(layout);
}

Interpreter::Result Interpreter::Run(std::span<const Input> inputs) {
  Result result;
  for (uint32_t i = 0; i < disabled_.size(); ++i) {
    if (disabled_[i] != 0) continue;
    const std::optional<RuleView> rule = view_.rule(i);
    if (!rule.has_value() || !InputsAreThere(*rule, inputs)) {
      disabled_[i] = 1;
      ++disabled_count_;
      ++result.newly_disabled;
    } else if (Matches(*rule, inputs)) {
      result.matched.push_back(i);
    }
  }
  return result;
}

// All of them, before the first is compared: a condition that does not hold must not hide one that cannot be
// answered until the day on which it does.
bool Interpreter::InputsAreThere(const RuleView& rule, std::span<const Input> inputs) const {
  for (uint32_t i = 0; i < rule.conditions; ++i) {
    const std::optional<ConditionView> condition = view_.condition(rule.first_condition + i);
    if (!condition.has_value() || !InputFor(*condition, inputs).has_value()) return false;
  }
  return true;
}

bool Interpreter::Matches(const RuleView& rule, std::span<const Input> inputs) const {
  for (uint32_t i = 0; i < rule.conditions; ++i) {
    const std::optional<ConditionView> condition = view_.condition(rule.first_condition + i);
    const std::optional<Input> input = condition.has_value() ? InputFor(*condition, inputs) : std::nullopt;
    if (!input.has_value() || !Holds(*condition, *input)) return false;
  }
  return rule.conditions > 0;
}

}  // namespace ringfence::content
