// May this host stage, activate or load exactly these bytes? The agent's own answer, whatever a server says.
// Pure functions over what was verified before.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "ringfence/content/layout.h"
#include "ringfence/trust/refusal.h"
#include "ringfence/trust/release_terms.h"
#include "ringfence/trust/trust_document.h"
#include "ringfence/tuf/metadata.h"

namespace ringfence::trust {

// What the host is and remembers. The caller keeps it; nothing here changes it.
struct HostFacts {
  std::string platform;  // "linux/x86_64/debian-12"
  content::SensorVersion sensor;
  std::span<const content::SensorSchema> schemas;  // that this sensor registered
  // Of the channel, over the host's whole life: the highest serial that it ever activated, and the highest
  // rollback_floor of any release that it accepted. 0: none yet.
  uint64_t highest_serial = 0;
  uint64_t rollback_floor = 0;
  std::set<Digest> refused;  // quarantined here, halted, or denied by the plan
  std::set<std::pair<std::string, std::string>> labels = {};  // of the host, for listings that go by labels
};

enum class Step {
  kForward,   // a new release: the serial must be higher than any activated before
  kRollback,  // a verified order to go back: down to rollback_floor
  kKeep,      // to load again what was activated already: the serial is not asked
};

// A release that metadata lists, before a byte of it was fetched. `target` comes from tuf::Updater::Find, or
// from what Updater found and stored earlier: its signatures, thresholds and versions hold. In this order:
// the terms can be read (malformed), not revoked, not refused here (known_bad), a sensor in range and a
// platform listed (unqualified_artifact), the number of fields of each schema (schema_mismatch), serial
// (stale_version).
std::variant<ReleaseTerms, Refusal> CheckListing(const tuf::TargetFile& target, const HostFacts& host,
                                                 Step step);

// The release with its bytes. All of CheckListing, then: length and digest (evidence_mismatch); one of
// `envelopes`, listed by its sha256 in the terms, is a qualification of these bytes for this platform, sensor
// and the channel's matrix, by keys of `trust` (VerifyQualification's refusals; unqualified_artifact if there
// is none); for content the format, signed by a key of the role content_build, for this sensor's schemas
// (content::RefusalOf), and that its channel, version and serial are those of the terms (evidence_mismatch).
// kKeep asks the same: a file that was right when it was staged is looked at again at every load.
std::variant<ReleaseTerms, Refusal> CheckRelease(const tuf::TargetFile& target, absl::string_view artifact,
                                                 std::span<const std::string> envelopes,
                                                 const TrustDocument& trust, const HostFacts& host,
                                                 Step step);

// The part of CheckRelease that depends on the platform: is one of `envelopes`, listed in the terms, a
// qualification of the bytes with this sha256 for this platform and sensor? Absent: yes.
std::optional<Refusal> CheckQualified(const ReleaseTerms& terms, const Digest& artifact,
                                      std::span<const std::string> envelopes, const TrustDocument& trust,
                                      const std::string& platform, const content::SensorVersion& sensor);

// A host's memory after it activated a release with these terms: it never forgets a serial or a floor.
void Remember(const ReleaseTerms& activated, HostFacts* host);

}  // namespace ringfence::trust
