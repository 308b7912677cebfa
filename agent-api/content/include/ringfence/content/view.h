// Typed access to an accepted file. Only a Layout opens it, so nothing is looked at before all of it has
// passed. Every getter still checks its bounds and answers "absent" rather than read past the end: that
// Validate is right is no reason to crash when it is not. Text points into the validated bytes.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "ringfence/content/layout.h"

namespace ringfence::content {

struct FieldView {
  absl::string_view name;
  FieldType type = FieldType::kText;
};

struct RuleView {
  absl::string_view name;
  Action action = Action::kLog;
  uint32_t first_condition = 0;
  uint32_t conditions = 0;  // all of them must hold
};

struct ConditionView {
  uint16_t field = 0;
  Op op = Op::kPresent;
  absl::string_view text;
  int64_t number = 0;
};

// Thread-safe; as cheap to copy as a Layout.
class View {
 public:
  explicit View(const Layout& layout) : layout_(layout) {}

  absl::string_view channel() const;
  absl::string_view version() const;
  std::optional<FieldView> field(uint32_t index) const;
  std::optional<RuleView> rule(uint32_t index) const;
  std::optional<ConditionView> condition(uint32_t index) const;
  const Layout& layout() const { return layout_; }

 private:
  std::optional<absl::string_view> StringAt(uint64_t ref_at) const;

  Layout layout_;
};

}  // namespace ringfence::content
