// Any bytes as an envelope, and as what one carries. The first byte chooses: an envelope as it is; a
// statement, which is then sealed by a trusted key, so that the checks behind the signature are reached; a
// file of results.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualification.h"
#include "ringfence/trust/qualify.h"
#include "tests/fuzz/json_mutator.h"

namespace ringfence::trust {
namespace {

const SigningKey& Lab() {
  static const SigningKey key = *SigningKey::FromSeed(std::string(32, 'q'));
  return key;
}

const Digest& Artifact() {
  static const Digest digest = Sha256("the published bytes");
  return digest;
}

std::variant<Qualification, Refusal> Judge(absl::string_view envelope) {
  static const std::vector<PublicKey> keys = {Lab().public_key()};
  static const RequiredTests required = {{"win"}, {"7.11.0"}, {"boot"}, std::nullopt};
  return VerifyQualification(envelope, Artifact(), {keys, 1}, required);
}

void CheckRefusal(const Refusal& refusal) {
  RF_CHECK(!refusal.part.empty() && !refusal.wanted.empty());
  RF_CHECK(!ToStatus(refusal).ok());
}

void FuzzEnvelope(const std::string& bytes) {
  const auto envelope = ParseEnvelope(bytes);
  if (!envelope.ok()) {
    RF_CHECK(!envelope.status().message().empty());
  } else {
    const auto again = ParseEnvelope(SerializeEnvelope(*envelope));
    RF_CHECK(again.ok() && *again == *envelope);
  }
  const auto judged = Judge(bytes);
  if (const Refusal* refusal = std::get_if<Refusal>(&judged)) CheckRefusal(*refusal);
}

void FuzzStatement(const std::string& bytes) {
  const auto parsed = ParseTestStatement(bytes);
  if (const TestStatement* statement = std::get_if<TestStatement>(&parsed)) {
    const auto again = ParseTestStatement(SerializeTestStatement(*statement));
    RF_CHECK(std::holds_alternative<TestStatement>(again) && std::get<TestStatement>(again) == *statement);
  } else {
    CheckRefusal(std::get<Refusal>(parsed));
  }
  Envelope envelope{kStatementPayloadType, bytes, {}};
  Sign(Lab(), &envelope);
  const auto judged = Judge(SerializeEnvelope(envelope));
  if (const Refusal* refusal = std::get_if<Refusal>(&judged)) return CheckRefusal(*refusal);
  // What is let in says so itself: these bytes, and nothing failed.
  const TestStatement& statement = std::get<Qualification>(judged).statement;
  RF_CHECK(statement.failed.empty() && statement.result == TestOutcome::kPassed);
  const std::vector<std::string> boot = {"boot"};
  RF_CHECK(!CoverageOf(statement, boot).empty());
}

void FuzzResults(const std::string& bytes) {
  TestResults results;
  if (!AddJUnit(bytes, {"win", "7.11.0"}, &results).ok()) return;
  for (const TestName& name : results.passed)
    RF_CHECK(results.failed.count(name) + results.skipped.count(name) == 0);
  const TestStatement statement = MakeTestStatement("x", Artifact(), results, {}, "");
  const auto again = ParseTestStatement(SerializeTestStatement(statement));
  // Larger than a verifier reads, or the same again.
  RF_CHECK(std::holds_alternative<Refusal>(again) || std::get<TestStatement>(again) == statement);
}

}  // namespace
}  // namespace ringfence::trust

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 3) {
    case 0:
      ringfence::trust::FuzzEnvelope(bytes);
      break;
    case 1:
      ringfence::trust::FuzzStatement(bytes);
      break;
    default:
      ringfence::trust::FuzzResults(bytes);
      break;
  }
  return 0;
}

#ifdef RINGFENCE_LIBFUZZER
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  return ringfence::fuzz::MutateChoiceAndJson(data, size, max_size, seed);
}
#endif
