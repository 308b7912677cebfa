#include "ringfence/base/platform.h"

#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace ringfence {
namespace {

// The numbers of "10.0.22631"; false for anything else.
bool Numbers(absl::string_view text, std::vector<uint64_t>* numbers) {
  for (const absl::string_view part : absl::StrSplit(text, '.')) {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(part, &number)) return false;
    numbers->push_back(number);
  }
  return true;
}

}  // namespace

bool IsSameOrLaterPlatform(absl::string_view host, absl::string_view least) {
  const size_t slash = least.rfind('/');
  const size_t start = slash == absl::string_view::npos ? 0 : slash + 1;
  if (host.substr(0, start) != least.substr(0, start)) return false;
  std::vector<uint64_t> have, want;
  return Numbers(host.substr(start), &have) && Numbers(least.substr(start), &want) && want <= have;
}

}  // namespace ringfence
