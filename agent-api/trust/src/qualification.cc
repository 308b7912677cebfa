#include "ringfence/trust/qualification.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "refusal_text.h"
#include "ringfence/base/utf8.h"

namespace ringfence::trust {
namespace {

using MaybeRefusal = std::optional<Refusal>;

constexpr char kPart[] = "qualification";

Refusal Unqualified(std::string field, std::string found, std::string wanted) {
  return {RefusalType::kUnqualifiedArtifact, kPart, std::move(field), std::move(found), std::move(wanted)};
}

bool Names(const std::vector<Resource>& resources, const Digest& digest) {
  return std::any_of(resources.begin(), resources.end(), [&](const Resource& resource) {
    const auto sha256 = resource.digests.find("sha256");
    return sha256 != resource.digests.end() && sha256->second == digest.ToString();
  });
}

// "sha256 ab...", or the first few of them.
std::string DigestsOf(const std::vector<Resource>& resources) {
  if (resources.empty()) return "none";
  const auto sha256 = resources.front().digests.find("sha256");
  const std::string first =
      sha256 == resources.front().digests.end() ? "no sha256" : Legible(sha256->second, 64);
  return resources.size() == 1 ? first : absl::StrCat(first, " and ", resources.size() - 1, " more");
}

MaybeRefusal CheckSubject(const TestStatement& statement, const Digest& artifact) {
  if (Names(statement.subjects, artifact)) return std::nullopt;
  return Refusal{RefusalType::kEvidenceMismatch, kPart, "subject.digest.sha256",
                 DigestsOf(statement.subjects),
                 absl::StrCat(artifact.ToString(), ", that of the bytes at hand")};
}

MaybeRefusal CheckResult(const TestStatement& statement) {
  if (!statement.failed.empty()) {
    return Unqualified("predicate.failedTests[0]", Legible(statement.failed.front(), 200), "no failed test");
  }
  if (statement.result != TestOutcome::kPassed) {
    return Unqualified("predicate.result", statement.result == TestOutcome::kFailed ? "FAILED" : "WARNED",
                       "PASSED");
  }
  return std::nullopt;
}

MaybeRefusal CheckMatrix(const TestStatement& statement, const std::optional<Digest>& matrix) {
  if (!matrix.has_value() || Names(statement.configuration, *matrix)) return std::nullopt;
  return Refusal{RefusalType::kEvidenceMismatch, kPart, "predicate.configuration",
                 DigestsOf(statement.configuration),
                 absl::StrCat(matrix->ToString(), ", that of the matrix in force")};
}

MaybeRefusal CheckTests(const TestStatement& statement, const RequiredTests& required) {
  if (required.platforms.empty() || required.sensors.empty() || required.tests.empty()) {
    return Refusal{RefusalType::kUnqualifiedArtifact, "matrix", "",
                   absl::StrCat(required.platforms.size(), " platforms, ", required.sensors.size(),
                                " sensors, ", required.tests.size(), " tests"),
                   "at least one of each: nothing asked for proves nothing"};
  }
  const std::set<absl::string_view> passed(statement.passed.begin(), statement.passed.end());
  const std::set<absl::string_view> warned(statement.warned.begin(), statement.warned.end());
  for (const std::string& platform : required.platforms) {
    for (const std::string& sensor : required.sensors) {
      for (const std::string& test : required.tests) {
        const std::string name = ToString(TestName{platform, sensor, test});
        const bool has_warned = warned.count(name) > 0;
        if (passed.count(name) > 0 && !has_warned) continue;
        return Unqualified("predicate.passedTests",
                           has_warned ? absl::StrCat(name, " among those with a warning")
                                      : absl::StrCat("no ", name, " among ", statement.passed.size()),
                           absl::StrCat(test, " passed on ", platform, " with sensor ", sensor));
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::variant<Qualification, Refusal> VerifyEvidence(absl::string_view envelope_json, const Digest& artifact,
                                                    const Laboratory& laboratory,
                                                    const std::optional<Digest>& matrix) {
  const absl::StatusOr<Envelope> envelope = ParseEnvelope(envelope_json);
  if (!envelope.ok()) return RefusalFromText(kPart, envelope.status());
  Qualification qualification;
  qualification.signers = Signers(*envelope, laboratory.keys);
  const auto signers = static_cast<int64_t>(qualification.signers.size());
  if (laboratory.threshold < 1 || signers < laboratory.threshold) {
    return Refusal{RefusalType::kBadSignature, kPart, "signatures",
                   absl::StrCat(signers, signers == 1 ? " trusted key" : " different trusted keys"),
                   absl::StrCat(std::max(laboratory.threshold, 1), " of the ", laboratory.keys.size(),
                                " qualification keys")};
  }
  if (envelope->payload_type != kStatementPayloadType) {
    return Unqualified("payloadType", Legible(envelope->payload_type, 200), kStatementPayloadType);
  }
  std::variant<TestStatement, Refusal> statement = ParseTestStatement(envelope->payload);
  if (Refusal* refusal = std::get_if<Refusal>(&statement)) return *std::move(refusal);
  qualification.statement = std::get<TestStatement>(std::move(statement));

  if (MaybeRefusal refusal = CheckSubject(qualification.statement, artifact)) return *std::move(refusal);
  if (MaybeRefusal refusal = CheckResult(qualification.statement)) return *std::move(refusal);
  if (MaybeRefusal refusal = CheckMatrix(qualification.statement, matrix)) return *std::move(refusal);
  return qualification;
}

std::variant<Qualification, Refusal> VerifyQualification(absl::string_view envelope, const Digest& artifact,
                                                         const Laboratory& laboratory,
                                                         const RequiredTests& required) {
  std::variant<Qualification, Refusal> judged =
      VerifyEvidence(envelope, artifact, laboratory, required.matrix);
  if (const auto* qualification = std::get_if<Qualification>(&judged)) {
    if (MaybeRefusal refusal = CheckTests(qualification->statement, required)) return *std::move(refusal);
  }
  return judged;
}

std::vector<Covered> CoverageOf(const TestStatement& statement, std::span<const std::string> tests) {
  std::vector<Covered> covered;
  if (tests.empty()) return covered;
  const std::set<absl::string_view> warned(statement.warned.begin(), statement.warned.end());
  const std::set<absl::string_view> failed(statement.failed.begin(), statement.failed.end());
  std::map<Covered, std::set<std::string>> passed;
  for (const std::string& text : statement.passed) {
    TestName name;
    if (warned.count(text) > 0 || failed.count(text) > 0 || !ParseTestName(text, &name)) continue;
    passed[{name.platform, name.sensor}].insert(name.test);
  }
  for (const auto& entry : passed) {
    const bool all = std::all_of(tests.begin(), tests.end(),
                                 [&](const std::string& test) { return entry.second.count(test) > 0; });
    if (all) covered.push_back(entry.first);
  }
  return covered;
}

}  // namespace ringfence::trust
