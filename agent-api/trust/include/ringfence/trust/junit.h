// Results of tests as JUnit's XML has them, the form that every test runner can write.
#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/trust/statement.h"

namespace ringfence::trust {

inline constexpr size_t kMaxResultBytes = 16 << 20;

// A test is in one of the three: failed wins over skipped, skipped over passed, whenever one name stands
// there more than once (on a retry, or in two files).
struct TestResults {
  std::set<TestName> passed, skipped, failed;
};

// Where the tests ran, if the file does not say.
struct RanOn {
  std::string platform, sensor;
};

// Adds what a file reports. A testcase is named "<platform>|<sensor>|<test>" in full, or "<test>" alone: then
// platform and sensor come from the properties of these names of the suites around it, the innermost first,
// else from `ran_on`. InvalidArgument if a name lacks a part, or holds a | otherwise; for what is no XML, no
// JUnit, above kMaxResultBytes, or has no testcase at all.
absl::Status AddJUnit(absl::string_view xml, const RanOn& ran_on, TestResults* results);

}  // namespace ringfence::trust
