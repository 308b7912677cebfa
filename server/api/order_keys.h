// The keys by which this server speaks to hosts, and the document that says whom hosts believe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "ringfence/trust/authority.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::api {

struct OrderKeys {
  std::shared_ptr<const trust::SigningKey> director, halt;  // null: none
  std::shared_ptr<const trust::Authority> authority;        // null: no document
};

// Each path may be empty. InvalidArgument or FailedPrecondition names the file and what is wrong: a key that
// others may read, a key that is not of its role in the document, halts that nobody could lift.
absl::StatusOr<OrderKeys> LoadOrderKeys(const std::string& director, const std::string& halt,
                                        const std::string& authority);

}  // namespace ringfence::api
