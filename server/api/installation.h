// What was decided when a database was first used, and holds for ever after.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/storage/store.h"

namespace ringfence::api {

struct InstallationWish {
  std::optional<std::string> internal_tenant;  // empty: none; absent: as it was stored
  bool demo = false;
  double time_scale = 1;
};

struct Installation {
  std::string internal_tenant;  // empty: none
  absl::Time
      clock_anchor;  // product time and real time were the same then; with a scale of 1 it does not matter
};

// Reads it, or makes it at the first start. FailedPrecondition when it was another: a demonstration's
// database serves no real fleet, and a racing clock must go on from where it was. InvalidArgument at a first
// start without an internal tenant. The internal tenant itself is stored, and checked again, by the
// application.
absl::StatusOr<Installation> OpenInstallation(storage::Store& store, const InstallationWish& wish,
                                              absl::Time real_now);

// The same for a replica that does not lead: it makes nothing. Unavailable: the leader has not made it yet.
absl::StatusOr<Installation> ReadInstallation(storage::Store& store, const InstallationWish& wish,
                                              absl::Time real_now);

}  // namespace ringfence::api
