// The steps of Validate, in their order. Frame: is this an undamaged, signed file whose parts lie as they
// must? Body: do the parts say something sound?
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bytes.h"
#include "ringfence/content/layout.h"

namespace ringfence::content {

using Refusal = std::optional<Rejection>;

class Validator {
 public:
  Validator(ByteSpan bytes, const Checks& checks) : bytes_(bytes), checks_(checks) { layout_.bytes_ = bytes; }

  Refusal Frame();
  // Only after Frame has passed.
  Refusal Body();
  const Layout& layout() const { return layout_; }

 private:
  // What a number reads as that is not there. Frame proves the places of all numbers before they are read, so
  // this is met only if that proof is wrong; no check accepts it.
  static constexpr uint64_t kAbsent = ~uint64_t{0};
  uint64_t Number(uint64_t at, uint64_t size) const { return Load(bytes_, at, size).value_or(kAbsent); }

  // Frame
  Refusal SizeAndVersion() const;
  Refusal Integrity() const;
  Refusal SignedBy();
  Refusal Sections();
  Refusal Section(uint32_t index, uint64_t expected_offset, uint64_t* next_offset);

  // Body
  Refusal HeaderValues();
  Refusal Strings();
  Refusal Identity();
  Refusal Fields();
  Refusal Rules();
  Refusal Rule(uint32_t index, uint32_t* next_condition);
  Refusal Condition(uint32_t rule, uint32_t index_in_rule, uint64_t at);
  Refusal NothingLeftOver() const;

  // Takes the next string of the file, which the reference at `ref_at` must name exactly: strings stand in
  // the order of their references, so that none overlaps and none is left over. `path` is called for a
  // refusal only.
  template <typename PathFunction>
  Refusal TakeString(uint64_t ref_at, uint64_t most_bytes, const PathFunction& path, absl::string_view* text);

  const ByteSpan bytes_;
  const Checks& checks_;
  Layout layout_;
  ByteSpan strings_;
  uint64_t next_string_ = 0;
};

inline Rejection Reject(Code code, uint64_t offset, std::string field, std::string found,
                        std::string wanted) {
  return {code, std::move(field), offset, std::move(found), std::move(wanted)};
}

}  // namespace ringfence::content
