// A halt as hosts believe it, and the order to go on after one. Both are DSSE envelopes over canonical JSON.
// One key stops; two persons, each with a key of their own, let it go on. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/base/ids.h"
#include "ringfence/trust/authority.h"
#include "ringfence/trust/dsse.h"

namespace ringfence::trust {

inline constexpr char kHaltType[] = "application/vnd.ringfence.halt.v1+json";
inline constexpr char kResumeType[] = "application/vnd.ringfence.resume.v1+json";
// From the moment an order is written, for both signatures and for hosts that hear of it.
inline constexpr absl::Duration kResumeLife = absl::Minutes(30);

inline constexpr size_t kMostArtifacts = 512;

// Which bytes, and for whom.
struct HaltScope {
  Digest sha256;
  std::string tenant;  // empty: every tenant
  std::string ring;    // empty: every ring. A host knows its ring from its plan alone: servers keep to these
  friend auto operator<=>(const HaltScope&, const HaltScope&) = default;
};

struct HaltNotice {
  std::string halt_id;  // 32 lower-case hex digits; names this halt among all
  uint64_t seq = 0;     // above 0; a later halt of the same scope has a higher one
  HaltScope scope;
  // Of a set, which the scope's sha256 names: the bytes for each platform, at most kMostArtifacts. Empty: the
  // scope's sha256 is that of the bytes.
  std::vector<Digest> artifacts;
  std::string channel;  // for people, as the following
  uint64_t serial = 0;
  std::string reason;
  std::string by;
  absl::Time issued_at;

  friend bool operator==(const HaltNotice&, const HaltNotice&) = default;
};

struct ResumeOrder {
  std::string order_id;  // 32 lower-case hex digits, drawn for this order
  std::string halt_id;
  uint64_t halt_seq = 0;  // the halt's: nothing newer is lifted, so that an order works once
  HaltScope scope;
  std::string channel;  // for people, as the following
  uint64_t serial = 0;
  std::string reason;
  absl::Time issued_at;
  absl::Time not_after;  // after issued_at, by kResumeLife at most

  friend bool operator==(const ResumeOrder&, const ResumeOrder&) = default;
};

// Of what a halt is: the same halt has the same id on every server.
std::string HaltId(const HaltScope& scope, uint64_t seq);

std::string SignHalt(const HaltNotice& notice, const SigningKey& key);
// PermissionDenied: too few keys of the role signed. InvalidArgument: signed, and no halt.
absl::StatusOr<HaltNotice> VerifyHalt(absl::string_view envelope, const Authority& authority);

// An order that nobody signed yet.
Envelope DraftOrder(const ResumeOrder& order);
// What an order says, signed or not: to be shown, never to be acted upon.
absl::StatusOr<ResumeOrder> ReadOrder(const Envelope& envelope);
// The persons whose keys signed; nobody who has no name.
std::set<std::string> PersonsBehind(const Envelope& envelope, const Authority& authority);
// Adds the signatures of `other`, an envelope over the same bytes. InvalidArgument: over others.
absl::Status Join(const Envelope& other, Envelope* envelope);
// PermissionDenied: fewer than two persons, or fewer keys than the role's threshold, signed. InvalidArgument:
// signed, and no order. FailedPrecondition: its time is over at `now`.
absl::StatusOr<ResumeOrder> VerifyOrder(absl::string_view envelope, const Authority& authority,
                                        absl::Time now);

}  // namespace ringfence::trust
