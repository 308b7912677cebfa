// Any bytes as content, for sensors with any number of inputs. What is accepted is the one spelling of what
// it says, and the interpreter runs it on events of any length. The first byte of an input says how: bit 0,
// whether its checksums are put right first (else nothing would ever get past the header); bits 1 to 5, how
// many inputs an event has.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/content/interpreter.h"
#include "ringfence/content/model.h"
#include "tests/content/repair.h"

#ifdef RINGFENCE_LIBFUZZER
// From libFuzzer: changes data in place and gives its new size.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
#endif

namespace ringfence::content {
namespace {

void CheckRejection(const Rejection& rejection) {
  RF_CHECK(!rejection.field.empty() && !rejection.found.empty() && !rejection.wanted.empty());
  RF_CHECK(ToString(rejection).size() < 2000);
}

void CheckSoleSpelling(const Layout& layout, std::string file) {
  // What a later minor version may add is the one thing that the way back cannot know.
  if (NumberAt(file, header::kSectionCountAt, 4) != kKnownSections || layout.minor() != 0) return;
  const auto again = Build(Describe(layout), nullptr, std::nullopt);
  RF_CHECK(again.ok());
  file.replace(file.size() - kTrailerBytes + trailer::kKeyIdAt, 72, std::string(72, '\0'));
  RF_CHECK(*again == file);
}

// On exactly as much memory as there are inputs, so that a sanitizer sees one read too many.
void Interpret(const Layout& layout, size_t supplied) {
  const Content content = Describe(layout);
  SensorSchema sensor{layout.sensor_min(), layout.schema_id(), "", content.fields};
  auto made = Interpreter::Make(layout, sensor);
  RF_CHECK(std::holds_alternative<Interpreter>(made));
  sensor.fields.pop_back();
  RF_CHECK(std::holds_alternative<Rejection>(Interpreter::Make(layout, sensor)));

  Interpreter& interpreter = std::get<Interpreter>(made);
  const std::unique_ptr<Input[]> inputs(new Input[supplied]);
  for (size_t i = 0; i < supplied; ++i) {
    const bool number = i < content.fields.size() && content.fields[i].type == FieldType::kNumber;
    inputs[i] = number ? Input::OfNumber(static_cast<int64_t>(i)) : Input::OfText("\\\\.\\pipe\\a-c2-b");
  }
  for (int event = 0; event < 2; ++event) {
    const Interpreter::Result result = interpreter.Run({inputs.get(), supplied});
    RF_CHECK(result.matched.size() + interpreter.disabled_rules() <= layout.rule_count());
    RF_CHECK(event == 0 || result.newly_disabled == 0);
    for (const uint32_t rule : result.matched) {
      const RuleView matched = *interpreter.view().rule(rule);
      for (uint32_t i = 0; i < matched.conditions; ++i) {
        RF_CHECK(interpreter.view().condition(matched.first_condition + i)->field < supplied);
      }
    }
  }
}

void Run(uint8_t how, std::string file) {
  if ((how & 1) != 0) Repair(&file, nullptr);
  Checks checks;
  checks.sensors = std::nullopt;
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(file.data()), file.size());
  RF_CHECK(std::holds_alternative<Rejection>(Validate(bytes, checks)));  // nobody is trusted

  checks.build_keys = std::nullopt;
  const auto result = Validate(bytes, checks);
  if (const Rejection* rejection = std::get_if<Rejection>(&result)) return CheckRejection(*rejection);
  const Layout& layout = std::get<Layout>(result);
  CheckSoleSpelling(layout, file);
  Interpret(layout, how >> 1 & 31);
}

}  // namespace
}  // namespace ringfence::content

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ringfence::content::Run(data[0], std::string(reinterpret_cast<const char*>(data + 1), size - 1));
  return 0;
}

#ifdef RINGFENCE_LIBFUZZER
// Changes sizes together with what they describe: a body that grew or shrank gets a header that says so, and
// a section that took the difference.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  using namespace ringfence::content;  // NOLINT: the entry point has to be global
  const size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 == 0 || mutated < 1 + kMinFileBytes) return mutated;
  std::string file(reinterpret_cast<const char*>(data + 1), mutated - 1);
  data[0] |= 1;
  SetNumber(&file, header::kTotalLenAt, file.size(), 8);
  const uint64_t count = NumberAt(file, header::kSectionCountAt, 4);
  const uint64_t last_at = kHeaderBytes + (count - 1) * kTableEntryBytes;
  const uint64_t trailer_at = file.size() - kTrailerBytes;
  if (seed % 4 >= 2 && count >= 1 && count <= kMaxSections && last_at + kTableEntryBytes <= trailer_at) {
    const uint64_t offset = NumberAt(file, last_at + entry::kOffsetAt, 8);
    if (offset <= trailer_at) SetNumber(&file, last_at + entry::kSizeAt, trailer_at - offset, 8);
  }
  Repair(&file, nullptr);
  std::copy(file.begin(), file.end(), data + 1);
  return mutated;
}
#endif
