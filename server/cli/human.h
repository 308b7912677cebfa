// Figures, times and ids as people read them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace ringfence::cli {

absl::Time ToTime(const google::protobuf::Timestamp& time);
absl::Duration ToDuration(const google::protobuf::Duration& duration);
void FromDuration(absl::Duration duration, google::protobuf::Duration* out);

// Two units at most: "1d 4h", "5m 30s", "12s", "0.4s". Negative ones have a sign.
std::string Human(absl::Duration duration);
// "2026-11-22 11:06:52 +01:00" in `zone`; "-" for the zero time.
std::string HumanTime(absl::Time time, absl::TimeZone zone);
// "12 MiB", "873 B".
std::string HumanBytes(int64_t bytes);
// "5%", "0.05%" of 1'000'000 parts.
std::string HumanShare(int64_t ppm);
// The first 12 hex digits of raw digest bytes; "-" if there are none.
std::string ShortDigest(absl::string_view raw);

// "30m", "1h30m", "7d", "1d12h", "90s": whole numbers with a unit of d, h, m, s, ms. False for anything else.
bool ParseHumanDuration(absl::string_view text, absl::Duration* out);

// Whose word holds a plan, as a line behind `before`; nothing if the server, an older one, does not say.
std::string SaidOfPlan(absl::string_view before, absl::string_view authority);

// Terminal columns of UTF-8 text: a code point is one column.
size_t Columns(absl::string_view text);
// Control characters and invalid bytes replaced, so that text from elsewhere cannot write to the terminal.
std::string Printable(absl::string_view text);

}  // namespace ringfence::cli
