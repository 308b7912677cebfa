// What a change of the wire contract would break for programs that were built against an earlier one.
#pragma once

#include <google/protobuf/descriptor.pb.h>

#include <string>
#include <vector>

namespace ringfence::testing {

// One sentence for each break, in the order of the old contract; empty if every old program still works.
// Kept: messages, fields (number, name, JSON name, type, cardinality, oneof), enum values, services, methods
// and whether they stream. A field or value may go only if its number and its name are both reserved.
// Additions and comments never break. Both sets must be complete (protoc --include_imports); aborts on one
// that does not link.
std::vector<std::string> BreakingChanges(const google::protobuf::FileDescriptorSet& released,
                                         const google::protobuf::FileDescriptorSet& current);

}  // namespace ringfence::testing
