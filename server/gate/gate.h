// The publish gate: may these bytes become a release? Pure: bytes and keys in, a typed refusal out. The
// server asks before it stores anything. Serial and known-bad bytes are the engine's to judge, which knows
// the channel's history. docs/publishing.md has the gates in their order.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringfence/content/schema.h"
#include "ringfence/policy/release.h"
#include "ringfence/trust/qualification.h"
#include "ringfence/trust/refusal.h"
#include "ringfence/trust/release_claim.h"

namespace ringfence::gate {

// Are these bytes a release, as the people say who may release? The seam for another kind of signed metadata.
class ReleaseAuthenticator {
 public:
  virtual ~ReleaseAuthenticator() = default;
  // Absent: yes. Pure and thread-safe. `metadata` is what came with the release, of whatever form; may be
  // empty.
  virtual std::optional<trust::Refusal> Authenticate(const trust::ReleaseClaim& claim,
                                                     absl::string_view metadata) const = 0;
};

// A DSSE envelope over the manifest, signed by `threshold` different ones of `keys`.
std::unique_ptr<ReleaseAuthenticator> MakeManifestSignatures(std::vector<trust::PublicKey> keys,
                                                             int threshold);

// The inputs that a sensor registered, and what hosts with that sensor say in their label `sensor`.
struct RegisteredSensor {
  std::string label;
  content::SensorSchema schema;
};

// Whom the server believes. Without any (a null pointer in Judge) releases are unsigned and unproven, and say
// so.
struct Trust {
  std::vector<trust::PublicKey> laboratory;  // at least one
  int laboratory_threshold = 1;
  std::vector<std::string> tests;                             // required on every platform; at least one
  std::optional<Digest> matrix;                               // that evidence must name in its configuration
  std::shared_ptr<const ReleaseAuthenticator> authenticator;  // null: releases stay unsigned
  std::optional<std::vector<trust::PublicKey>> build_keys;    // of content files; absent: not looked at
  std::vector<RegisteredSensor> sensors;
  std::set<std::string> opaque_channels;  // of content whose artifacts are not FCT1
  bool throwaway = false;                 // keys of a demonstration or test
};

inline constexpr size_t kMaxQualifications = 8;
// Platforms times sensors that one matrix may stand for.
inline constexpr size_t kMaxTestedPairs = 4096;

// Views must outlive the call only. The digest of the manifest is held against the bytes here.
struct Candidate {
  const policy::Release* release = nullptr;
  absl::string_view bytes;
  std::span<const std::string> qualifications;
  absl::string_view signature;
};

struct Passed {
  bool is_fct1 = false;    // the content format was checked
  bool is_signed = false;  // the authenticator said yes
  bool qualified = false;  // the evidence covers the matrix
  // What was not looked at though it could be, for the publisher.
  std::vector<std::string> warnings;
};

// In this order, the first that fails: size, bytes of nothing but zeros, digest of the manifest; of FCT1
// content the format, the build signature, the inputs against every registered sensor that the file claims
// and the matrix lets in, and that file and manifest name the same release; signatures on the manifest; each
// piece of evidence; the matrix.
//
// Which bytes are FCT1 content: a content release whose bytes begin like one; and, once there is trust, every
// content release of a channel that is not among the opaque ones.
std::variant<Passed, trust::Refusal> Judge(const Candidate& candidate, const Trust* trust);

// What is signed about a release.
trust::ReleaseClaim ClaimOf(const policy::Release& release);

// The names under which the tests of a release must have passed: platform and sensor. A platform is a
// selector of the matrix without its label `sensor`, as `arch=x64,os=win10`, once for each combination of
// values; "any" if nothing is left. The sensor is each value of the label; where the matrix does not say, the
// release's own version for a sensor release; for content every registered sensor that the targets let in, or
// "any" if none is registered.
std::variant<std::vector<trust::Covered>, trust::Refusal> TestedPairs(
    const policy::Release& release, std::span<const RegisteredSensor> sensors);

}  // namespace ringfence::gate
