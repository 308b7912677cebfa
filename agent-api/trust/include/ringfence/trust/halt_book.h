// Every halt that a host has seen. What is in it stays until two persons lift it: no reply of a server, no
// silence and no restart takes a halt off.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/trust/halt.h"

namespace ringfence::trust {

inline constexpr size_t kMaxHaltBookBytes = 4 << 20;
// Beyond this many scopes nothing is forgotten and nothing is activated: see Full.
inline constexpr size_t kMostHalts = 4096;

// A value. Not thread-safe.
class HaltBook {
 public:
  // Takes in a verified halt. False: it was known, or it was lifted before.
  bool Add(const HaltNotice& notice);
  // Takes in a verified order. False: nothing that it names is here; it may be another host's, or come twice.
  // A halt that is newer than the order's stays.
  bool Lift(const ResumeOrder& order);

  // What keeps these bytes from being activated for a host of this tenant, or null. `ring`: the host's, where
  // it knows it by a plan of its own; empty: none. A host that does not know holds every halt of a ring that
  // reached it for one of its own.
  const HaltNotice* On(const Digest& digest, absl::string_view tenant,
                       const std::optional<std::string>& ring = std::nullopt) const;
  // Of the newest halt that was ever taken in, lifted or not; 0: none.
  uint64_t seq() const { return seq_; }
  size_t size() const { return halts_.size(); }
  bool Full() const { return halts_.size() >= kMostHalts; }

  std::string Serialize() const;
  // DataLoss names what is wrong.
  static absl::StatusOr<HaltBook> Parse(absl::string_view bytes);

  friend bool operator==(const HaltBook&, const HaltBook&) = default;

 private:
  std::map<HaltScope, HaltNotice> halts_;  // in force, the newest of each scope
  std::map<HaltScope, uint64_t> lifted_;   // up to which seq
  uint64_t seq_ = 0;
};

}  // namespace ringfence::trust
