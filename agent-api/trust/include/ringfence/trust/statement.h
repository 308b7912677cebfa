// An in-toto Statement v1 with predicate test-result v0.1: which tests these bytes passed.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringfence/trust/refusal.h"

namespace ringfence::trust {

inline constexpr char kStatementPayloadType[] = "application/vnd.in-toto+json";
inline constexpr char kStatementType[] = "https://in-toto.io/Statement/v1";
inline constexpr char kTestResultType[] = "https://in-toto.io/attestation/test-result/v0.1";

// A subject, or a part of the configuration: things are told apart by digest; the name is for people.
struct Resource {
  std::string name;
  std::map<std::string, std::string> digests;  // "sha256" -> lower-case hex
  friend bool operator==(const Resource&, const Resource&) = default;
};

enum class TestOutcome { kPassed, kWarned, kFailed };

struct TestStatement {
  std::vector<Resource> subjects;
  TestOutcome result = TestOutcome::kFailed;
  std::vector<Resource> configuration;
  std::string url;
  // Names as "<platform>|<sensor>|<test>".
  std::vector<std::string> passed, warned, failed;
  friend bool operator==(const TestStatement&, const TestStatement&) = default;
};

// A statement's JSON, of any sender: only what a verified envelope carries should come here. Members that it
// does not know are ignored. The refusal's type is kUnqualifiedArtifact for a sound document of another kind,
// else kMalformed or kLimitExceeded.
std::variant<TestStatement, Refusal> ParseTestStatement(absl::string_view payload);
std::string SerializeTestStatement(const TestStatement& statement);

// The three parts of a test's name, none of them empty. False: not of that form.
struct TestName {
  std::string platform, sensor, test;
  friend auto operator<=>(const TestName&, const TestName&) = default;
};
bool ParseTestName(absl::string_view text, TestName* name);
std::string ToString(const TestName& name);

}  // namespace ringfence::trust
