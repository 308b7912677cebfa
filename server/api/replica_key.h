// How the leader knows the replicas that hand calls on to it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/mutex.h"

namespace ringfence::api {

// The metadatum in which it is shown, and the trailer that says that it, and not the caller, was refused.
inline constexpr char kForwardedKey[] = "ringfence-forwarded";
inline constexpr char kForwardRefusedKey[] = "ringfence-forward-refused";

// What a replica shows: the leader's epoch, and the secret that the database holds for it.
std::string ShowReplicaKey(int64_t epoch, absl::string_view secret);

// Thread-safe.
class ReplicaKey {
 public:
  // This replica leads: from now on the secret of this epoch admits, and no other.
  void Lead(int64_t epoch, absl::string_view secret);

  // Of what a replica shows. Unavailable: this one does not lead, or not yet. Unauthenticated: it is not the
  // key of this epoch; told in constant time.
  absl::Status Check(absl::string_view shown) const;

 private:
  mutable Mutex mutex_;
  std::string key_ ABSL_GUARDED_BY(mutex_);  // empty: it does not lead
};

}  // namespace ringfence::api
