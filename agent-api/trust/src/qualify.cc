#include "ringfence/trust/qualify.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/dsse.h"

namespace ringfence::trust {

TestStatement MakeTestStatement(const std::string& name, const Digest& artifact, const TestResults& results,
                                std::vector<Resource> configuration, const std::string& url) {
  TestStatement statement;
  statement.subjects.push_back({name, {{"sha256", artifact.ToString()}}});
  statement.configuration = std::move(configuration);
  statement.url = url;
  for (const TestName& test : results.passed) statement.passed.push_back(ToString(test));
  for (const TestName& test : results.failed) statement.failed.push_back(ToString(test));
  const bool passed = results.failed.empty() && !results.passed.empty();
  statement.result = passed ? TestOutcome::kPassed : TestOutcome::kFailed;
  return statement;
}

absl::StatusOr<std::string> SealStatement(const TestStatement& statement, const SigningKey& key) {
  if (statement.result != TestOutcome::kPassed || !statement.failed.empty()) {
    return absl::FailedPreconditionError(
        statement.failed.empty() ? "predicate.result: found no test that passed, wanted PASSED"
                                 : absl::StrCat("predicate.failedTests: found ", statement.failed.size(),
                                                ", the first ", statement.failed.front(), ", wanted none"));
  }
  Envelope envelope{kStatementPayloadType, SerializeTestStatement(statement), {}};
  Sign(key, &envelope);
  std::string bytes = SerializeEnvelope(envelope);
  if (bytes.size() > kMaxEnvelopeBytes) {
    return absl::InvalidArgumentError(absl::StrCat("statement: found ", bytes.size(),
                                                   " bytes when signed, wanted at most ", kMaxEnvelopeBytes,
                                                   ": shorter names or fewer tests"));
  }
  return bytes;
}

Resource FileResource(const std::string& name, absl::string_view bytes) {
  return {name, {{"sha256", Sha256(bytes).ToString()}}};
}

}  // namespace ringfence::trust
