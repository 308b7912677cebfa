// Did exactly these bytes pass what they have to? The same question at publish, at signing and on the host.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/base/ids.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/refusal.h"
#include "ringfence/trust/statement.h"

namespace ringfence::trust {

// What has to have been tested: every test on every platform with every sensor. None of the three may be
// empty: nothing asked for is not the same as everything passed. The gate asks for all that the release
// claims, an agent for its own platform and sensor.
struct RequiredTests {
  std::vector<std::string> platforms, sensors, tests;
  // sha256 of the matrix; if given, the statement must name it in its configuration.
  std::optional<Digest> matrix;
};

// Who may say so. A threshold below one is never met.
struct Laboratory {
  std::span<const PublicKey> keys;
  int threshold = 1;
};

struct Qualification {
  std::set<PublicKey> signers;
  TestStatement statement;
};

// The first half of the question: is this sound evidence about these bytes, by whoever may give it?
// Everything below but the required tests, in the same order. For callers that add several envelopes up.
std::variant<Qualification, Refusal> VerifyEvidence(absl::string_view envelope, const Digest& artifact,
                                                    const Laboratory& laboratory,
                                                    const std::optional<Digest>& matrix);

// Judges one envelope, in this order, and gives the first refusal: size and form of the envelope, signatures,
// type of the payload, form of the payload, its two types, subject digest, result and failed tests, matrix,
// required tests. Nothing of the payload is read before the signatures hold. A statement can only let an
// artifact in; that one is missing or hidden never does.
std::variant<Qualification, Refusal> VerifyQualification(absl::string_view envelope, const Digest& artifact,
                                                         const Laboratory& laboratory,
                                                         const RequiredTests& required);

// Platforms and sensors for which all of `tests` passed, without a warning: where a release may ever go. Each
// once, in order.
struct Covered {
  std::string platform, sensor;
  friend auto operator<=>(const Covered&, const Covered&) = default;
};
std::vector<Covered> CoverageOf(const TestStatement& statement, std::span<const std::string> tests);

}  // namespace ringfence::trust
