#include "ringfence/policy/release.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/policy/pending.h"
#include "text.h"

namespace ringfence::policy {
namespace {

constexpr size_t kMaxMatrix = 256;
// Serials are stored as signed 64-bit integers.
constexpr uint64_t kMaxSerial = std::numeric_limits<int64_t>::max();

bool IsKnown(ChannelKind kind) {
  switch (kind) {
    case ChannelKind::kSensor:
    case ChannelKind::kContent:
      return true;
  }
  return false;
}

}  // namespace

std::vector<Fault> Validate(const Release& release) {
  std::vector<Fault> faults;
  const auto fault = [&](absl::string_view path, std::string found, std::string wanted) {
    faults.push_back({std::string(path), std::move(found), std::move(wanted)});
  };
  if (!IsSlug(release.channel)) fault("channel", Quoted(release.channel), "1 to 63 of a-z, 0-9 and -");
  if (!IsKnown(release.kind))
    fault("kind", absl::StrCat(static_cast<int>(release.kind)), "sensor or content");
  if (release.serial == 0 || release.serial > kMaxSerial) {
    fault("serial", absl::StrCat(release.serial), absl::StrCat("1 to ", kMaxSerial));
  }
  if (release.version.empty() || release.version.size() > kMaxVersionBytes) {
    fault("version", absl::StrCat(release.version.size(), " bytes"),
          absl::StrCat("1 to ", kMaxVersionBytes, " bytes"));
  } else if (!IsPlainText(release.version)) {
    fault("version", Quoted(release.version), "UTF-8 without control characters");
  }
  if (release.digest.IsZero()) fault("digest", "zero", "the sha256 of the bytes");
  if (release.size_bytes < 1 || release.size_bytes > kMaxArtifactBytes) {
    fault("size_bytes", absl::StrCat(release.size_bytes), absl::StrCat("1 to ", kMaxArtifactBytes));
  }
  const auto no_bucket = [&](const Selector& selector, const std::string& path) {
    if (selector.bucket.has_value()) fault(path + ".bucket", "a bucket", "none: buckets are for rings");
  };
  Validate(release.targets, "targets", faults);
  no_bucket(release.targets, "targets");
  if (release.matrix.empty() || release.matrix.size() > kMaxMatrix) {
    fault("matrix", absl::StrCat(release.matrix.size(), " platforms"), absl::StrCat("1 to ", kMaxMatrix));
  }
  for (size_t i = 0; i < std::min(release.matrix.size(), kMaxMatrix); ++i) {
    Validate(release.matrix[i], absl::StrCat("matrix[", i, "]"), faults);
    no_bucket(release.matrix[i], absl::StrCat("matrix[", i, "]"));
  }
  return faults;
}

bool IsTargeted(const Release& release, const Labels& labels) {
  return Matches(release.targets, labels);
}

bool IsQualified(const Release& release, const Labels& labels) {
  return IsCovered(release, labels) && IsCovered(release, OncePending(labels));
}

bool IsCovered(const Release& release, const Labels& labels) {
  return std::any_of(release.matrix.begin(), release.matrix.end(),
                     [&](const Selector& platform) { return Matches(platform, labels); });
}

std::optional<ArtifactBytes> BytesFor(const Release& release, const Labels& labels) {
  if (release.artifacts.empty()) return ArtifactBytes{release.digest, release.size_bytes};
  for (const Artifact& artifact : release.artifacts) {
    const bool covers = std::any_of(artifact.matrix.begin(), artifact.matrix.end(),
                                    [&](const Selector& platform) { return Matches(platform, labels); });
    if (covers) return ArtifactBytes{artifact.digest, artifact.size_bytes};
  }
  return std::nullopt;
}

std::optional<ArtifactBytes> BytesNamed(const Release& release, const Digest& digest) {
  for (const Artifact& artifact : release.artifacts)
    if (artifact.digest == digest) return ArtifactBytes{artifact.digest, artifact.size_bytes};
  if (release.digest == digest) return ArtifactBytes{release.digest, release.size_bytes};
  return std::nullopt;
}

bool Holds(const Release& release, const Digest& digest) {
  return BytesNamed(release, digest).has_value();
}

uint64_t PlaceOf(const Digest& release, const AgentId& agent) {
  return HeadBigEndian(Sha256(HashInput().Raw(release.raw()).Raw(agent.raw()).bytes()));
}

}  // namespace ringfence::policy
