// The demonstration sensor: what it supplies to content, and what it does with it.
#pragma once

#include <iosfwd>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringfence/content/schema.h"

namespace ringfence::loader {

// Version 7.11.0, schema 291: 20 inputs. Compiled in; what is registered with a server is printed from it.
const content::SensorSchema& DemoSchema();
// As `ringfence-content --schema` and a server's trust file read it.
std::string DemoSchemaYaml();

// Validates the content once more, then judges events until `events` ends: a line each, inputs separated by
// tabs, in the order of the schema; an empty one is not there. Each match is a line "ACTION RULE" in `out`;
// at the end the number of rules that wanted an input which an event did not have. InvalidArgument: the
// content is refused.
absl::Status RunDemoSensor(absl::string_view content, std::istream& events, std::ostream& out);

}  // namespace ringfence::loader
