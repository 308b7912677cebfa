// Any bytes as a source of content, or as a schema: faults that each say what, or content that is written and
// read back the same, in both forms.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringfence/base/check.h"
#include "ringfence/content/source.h"

namespace ringfence::content {
namespace {

void CheckFaults(const std::vector<SourceFault>& faults) {
  RF_CHECK(faults.size() <= kMaxFaults);
  for (const SourceFault& fault : faults) RF_CHECK(!fault.what.empty() && fault.line >= 0);
}

void Run(absl::string_view text) {
  const auto schema = ParseSchema(text);
  CheckFaults(schema.faults);
  RF_CHECK(!schema.faults.empty() || !schema.value.empty());

  const Parsed<Content> parsed = ParseSource(text);
  CheckFaults(parsed.faults);
  if (!parsed.faults.empty()) return;
  const Parsed<Content> again = ParseSource(ToSource(parsed.value));
  RF_CHECK(again.faults.empty() && again.value == parsed.value);

  const auto file = Build(parsed.value, nullptr, std::nullopt);
  RF_CHECK(file.ok());  // what the format would refuse is a fault of the source, with its place
  Checks checks;
  checks.build_keys = std::nullopt;
  checks.sensors = std::nullopt;
  const auto result = Validate({reinterpret_cast<const uint8_t*>(file->data()), file->size()}, checks);
  RF_CHECK(std::holds_alternative<Layout>(result) && Describe(std::get<Layout>(result)) == parsed.value);
}

}  // namespace
}  // namespace ringfence::content

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ringfence::content::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
