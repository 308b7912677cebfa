// Any message as a Value: digests in lower-case hex, enums as their lower-case words, times as RFC 3339 in
// UTC, durations as "1h30m". Unset messages and optional fields are left out; everything else is there, zero
// or not, so that scripts need no guesses.
#pragma once

#include "google/protobuf/message.h"
#include "server/cli/value.h"

namespace ringfence::cli {

Value ToValue(const google::protobuf::Message& message);

// "STAGE_STATE_OPEN" -> "open". Numbers that this program does not know are shown as "unknown_17".
std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number);

}  // namespace ringfence::cli
