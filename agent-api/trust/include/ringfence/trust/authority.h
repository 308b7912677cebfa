// Whom a host believes when it is told to move, to stop, or to go on. The keys come from trust.json: by way
// of the release repository, or pinned on the host by whoever installed it.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "ringfence/trust/ed25519.h"
#include "ringfence/trust/trust_document.h"

namespace ringfence::trust {

// Going on after a halt takes two persons, whatever a document says.
inline constexpr int kLeastResumePersons = 2;

struct Authority {
  std::vector<PublicKey> director;  // sign leases
  // The document has the role: without a key that counts no lease is believed. Without the role none is
  // verified.
  bool names_director = false;
  int director_threshold = 1;
  std::vector<PublicKey> halt;  // sign halts
  int halt_threshold = 1;
  std::vector<TrustKey> resume;  // sign orders to go on; a key without a person counts for nobody
  int resume_threshold = kLeastResumePersons;

  // The roles "director", "halt" and "resume" of the document, without revoked keys.
  static Authority From(const TrustDocument& document);

  // A newer document is in force, which was verified. A role that it does not have stays as it was, without
  // the keys that it revokes. Hosts and servers go by this alike.
  void Follow(const TrustDocument& document);

  bool VerifiesLeases() const { return names_director || !director.empty(); }

  // FailedPrecondition when halts would be believed that nobody could ever lift: there are keys for halts,
  // and too few keys or persons for orders to go on.
  absl::Status Check() const;
};

}  // namespace ringfence::trust
