// The demonstration sensor's reader of content: events in, matching rules out.
//
// Three things stand between a rule and memory that is not its own, and each would do alone:
//   1. Make compares the file with the inputs that this sensor really supplies, whatever publish and staging
//   said.
//   2. Inputs come as a span, which knows its length; a rule names an index into it, never an address.
//   3. Before a rule reads anything, every index it names is compared with the length of *this* event's
//   inputs,
//      not with the schema that somebody registered. An input that is not there, or of another type, disables
//      the rule for good and is counted; the other rules go on.
// So content for 21 inputs on a sensor that supplies 20 loses the rules that read the 21st, even if the
// registered schema claims 21 and publish, staging and load all believed it. Below all three the library asks
// for the standard library's own bounds checks, which turn a mistake of ours into a stop instead of a stray
// read.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringfence/content/view.h"

namespace ringfence::content {

// One input of an event. The text is looked at during Run only.
struct Input {
  static Input OfText(absl::string_view text) { return {FieldType::kText, text, 0}; }
  static Input OfNumber(int64_t number) { return {FieldType::kNumber, {}, number}; }

  FieldType type = FieldType::kText;
  absl::string_view text;
  int64_t number = 0;
};

// Thread-compatible. The bytes of the layout must outlive it.
class Interpreter {
 public:
  // SCHEMA_MISMATCH unless the sensor is of a version that the file claims and supplies exactly its inputs.
  static std::variant<Interpreter, Rejection> Make(const Layout& layout, const SensorSchema& sensor);

  struct Result {
    std::vector<uint32_t> matched;  // rules, in the order of the file
    uint32_t newly_disabled = 0;    // rules that this event disabled
  };
  // Judges one event. Costs at most the file's conditions times the length of the texts times theirs.
  Result Run(std::span<const Input> inputs);

  // Rules that wanted an input which an event did not have. More than zero is a fault to report.
  uint32_t disabled_rules() const { return disabled_count_; }
  bool IsDisabled(uint32_t rule) const { return rule < disabled_.size() && disabled_[rule] != 0; }
  const View& view() const { return view_; }

 private:
  explicit Interpreter(const Layout& layout) : view_(layout), disabled_(layout.rule_count()) {}

  bool InputsAreThere(const RuleView& rule, std::span<const Input> inputs) const;
  bool Matches(const RuleView& rule, std::span<const Input> inputs) const;

  View view_;
  std::vector<uint8_t> disabled_;
  uint32_t disabled_count_ = 0;
};

}  // namespace ringfence::content
