// What the signed listing of a release says besides its length and digest: targets[path].custom.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/content/schema.h"

namespace ringfence::trust {

enum class ReleaseKind { kContent, kSensor };

struct QualificationRef {
  Digest envelope;  // sha256 of the envelope's file, target "qual/<sha256>"
  std::string lab;  // for people
  friend bool operator==(const QualificationRef&, const QualificationRef&) = default;
};

struct ReleaseTerms {
  ReleaseKind kind = ReleaseKind::kContent;
  std::string channel;  // slug
  std::string version;
  uint64_t serial = 0;  // at least 1; strictly increases in a channel
  absl::Time published_at;
  bool urgent = false;
  uint64_t rollback_floor = 0;         // no host may be ordered back behind it; at most `serial`
  std::vector<std::string> platforms;  // "linux/x86_64/debian-12", "windows/x86_64/10.0.22631+" (or later)
  content::SensorVersion sensor_min, sensor_max;  // both inclusive
  std::map<std::string, int> schema;              // number of fields by the schema's name; of content
  std::vector<QualificationRef> qualification;
  bool revoked = false;
  friend bool operator==(const ReleaseTerms&, const ReleaseTerms&) = default;
};

// `custom` of the target `path`, which has to be "content/<channel>/<name>" or "sensor/<channel>/<name>", as
// the terms say: a role that may list content cannot list a sensor. Every member is mandatory; others are
// ignored. A tuf::Failure of kMalformed that names the target and the member.
absl::StatusOr<ReleaseTerms> ParseReleaseTerms(absl::string_view path, absl::string_view custom);
// InvalidArgument if ParseReleaseTerms would not take it back.
absl::StatusOr<std::string> SerializeReleaseTerms(absl::string_view path, const ReleaseTerms& terms);

// The entry of `platforms` that a host comes under, by which evidence names it: the host's platform, or its
// last part and later ones with "+" at the end (given without it); else an entry of labels,
// "os=debian12,kernel=6.1.0-18", all of which the host has; else "any". Empty: none.
std::string CoveringPlatform(const std::vector<std::string>& platforms, absl::string_view host,
                             const std::set<std::pair<std::string, std::string>>& labels = {});

}  // namespace ringfence::trust
