// The floor that the store's exposures are measured against: what this PostgreSQL, on this machine, at this
// minute, takes from one plain connection.
#pragma once

#include <string>

namespace ringfence::testing {

// Inserts batches of 1,000 rows (bigint, uuid, integer and two timestamps, with a primary key over the first
// three: about 150 bytes a row with its index) by INSERT ... SELECT FROM unnest, each batch one prepared
// statement and one commit, for `seconds` of real time; drops its table again. Returns the rows committed per
// second. Aborts when the database fails.
double BareInsertRowsPerSecond(const std::string& connection_string, double seconds);

}  // namespace ringfence::testing
