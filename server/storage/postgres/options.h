// How to reach a database, and how patient to be. All durations are real time: a database does not follow a
// scaled clock.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace ringfence::storage {

struct PostgresOptions {
  // A postgresql:// URL or libpq's keyword form. Several hosts are allowed; target_session_attrs=read-write
  // follows a failover. Time-outs and keepalives that it does not set are added.
  std::string connection_string;
  int pool_size = 8;  // sessions at most; a call waits for a free one for `statement_timeout`
  absl::Duration connect_timeout = absl::Seconds(5);  // per host; whole seconds, at least 2 (libpq)
  absl::Duration statement_timeout = absl::Seconds(15);
  // The server ends a session that says nothing for so long within a transaction; the leader's also between
  // them. A replica that was cut off without a word keeps its locks, and the lead, no longer than this.
  absl::Duration idle_timeout = absl::Seconds(10);
  // Beyond statement_timeout: after that the connection is given up as dead.
  absl::Duration answer_patience = absl::Seconds(5);
  bool migrate = true;  // bring the schema up to date when opened
};

}  // namespace ringfence::storage
