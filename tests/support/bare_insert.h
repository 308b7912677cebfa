// The floor that the store's exposures are measured against: what this PostgreSQL, on this machine, at this
// minute, takes from one plain connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace ringfence::testing {

// One connection and a table of its own: bigint, uuid, integer and two timestamps, with a primary key over
// the first three: about 150 bytes a row with its index. Aborts when the database fails.
class BareInsert {
 public:
  static constexpr int kRows = 1000;  // of a batch

  explicit BareInsert(const std::string& connection_string);
  ~BareInsert();  // drops the table

  // Inserts a batch by one prepared INSERT ... SELECT FROM unnest, which is one commit. Returns the real time
  // from sending it to its answer; writing the parameters is not in it.
  absl::Duration Batch();

 private:
  struct Session;
  std::unique_ptr<Session> session_;
  uint64_t rows_ = 0;
};

}  // namespace ringfence::testing
