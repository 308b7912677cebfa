// The agent's memory on disk: two copies, written in turn, each with its generation and checksum. Whatever
// moment the power fails at, the newest whole copy is found again; a damaged one falls back to the other,
// never to nothing.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringfence/agent/file_system.h"
#include "ringfence/agent/machine.h"

namespace ringfence::agent {

// Not thread-safe.
class StateStore {
 public:
  // `files` outlives the store; `folder` exists, with mode 0700.
  StateStore(FileSystem* files, std::string folder);

  // NotFound: neither copy was ever written. DataLoss: copies exist, but none is whole; a person must look,
  // because starting afresh would forget what was burned. Call before Save.
  //
  // When one copy is damaged the other may be older than what was already sent, so next_seq jumps ahead.
  absl::StatusOr<Durable> Load();

  // Replaces the older copy. After an error the newer one still stands.
  absl::Status Save(const Durable& durable);

 private:
  std::string PathOf(uint64_t generation) const;

  FileSystem* files_;
  std::string folder_;
  uint64_t generation_ = 0;  // of the newest whole copy
};

// JSON, for people too. Parsing refuses what it does not understand.
std::string EncodeDurable(const Durable& durable);
absl::StatusOr<Durable> DecodeDurable(absl::string_view json);

}  // namespace ringfence::agent
