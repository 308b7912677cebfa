#include "server/cli/human.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ringfence::cli {

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

void FromDuration(absl::Duration duration, google::protobuf::Duration* out) {
  out->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

std::string Human(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) return absl::StrCat("-", Human(-duration));
  if (duration == absl::InfiniteDuration()) return "for ever";
  if (duration < absl::Seconds(10)) {
    const double seconds = std::round(absl::ToDoubleSeconds(duration) * 10) / 10;
    return absl::StrCat(seconds, "s");
  }
  struct Unit {
    absl::Duration size;
    const char* name;
  };
  static const std::array<Unit, 4> kUnits = {
      {{absl::Hours(24), "d"}, {absl::Hours(1), "h"}, {absl::Minutes(1), "m"}, {absl::Seconds(1), "s"}}};
  std::string out;
  for (size_t i = 0; i < kUnits.size(); ++i) {
    const int64_t count = absl::IDivDuration(duration, kUnits[i].size, &duration);
    if (count == 0 && out.empty()) continue;
    if (count > 0) absl::StrAppend(&out, out.empty() ? "" : " ", count, kUnits[i].name);
    if (i + 1 < kUnits.size() && out.find(' ') == std::string::npos) {
      const int64_t next = absl::IDivDuration(duration, kUnits[i + 1].size, &duration);
      if (next > 0) absl::StrAppend(&out, " ", next, kUnits[i + 1].name);
    }
    break;
  }
  return out;
}

std::string HumanTime(absl::Time time, absl::TimeZone zone) {
  if (time == absl::UnixEpoch()) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S %Ez", time, zone);
}

std::string HumanBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return value < 10 ? absl::StrFormat("%.1f %s", value, unit) : absl::StrFormat("%.0f %s", value, unit);
}

std::string HumanShare(int64_t ppm) {
  std::string text = absl::StrFormat("%d.%04d", ppm / 10'000, ppm % 10'000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + "%";
}

std::string ShortDigest(absl::string_view raw) {
  return raw.empty() ? "-" : absl::BytesToHexString(raw.substr(0, 6));
}

bool ParseHumanDuration(absl::string_view text, absl::Duration* out) {
  if (text == "0") {
    *out = absl::ZeroDuration();
    return true;
  }
  absl::Duration total;
  absl::Duration last = absl::InfiniteDuration();
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) ++digits;
    int64_t count = 0;
    if (digits == 0 || digits > 9 || !absl::SimpleAtoi(text.substr(0, digits), &count)) return false;
    text.remove_prefix(digits);
    absl::Duration unit;
    size_t width = 1;
    if (text.substr(0, 2) == "ms") {
      unit = absl::Milliseconds(1);
      width = 2;
    } else if (text.empty()) {
      return false;
    } else {
      switch (text[0]) {
        case 'd':
          unit = absl::Hours(24);
          break;
        case 'h':
          unit = absl::Hours(1);
          break;
        case 'm':
          unit = absl::Minutes(1);
          break;
        case 's':
          unit = absl::Seconds(1);
          break;
        default:
          return false;
      }
    }
    if (unit >= last) return false;  // "30m1h", "1h1h": surely not meant
    last = unit;
    text.remove_prefix(width);
    total += count * unit;
  }
  *out = total;
  return last != absl::InfiniteDuration();
}

std::string SaidOfPlan(absl::string_view before, absl::string_view authority) {
  return authority.empty() ? "" : absl::StrCat(before, Printable(authority), "\n");
}

size_t Columns(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // continuation bytes take no column
  }));
}

std::string Printable(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    // C1 controls are c2 80 to c2 9f in UTF-8.
    if (c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      out += '?';
      ++i;
    } else {
      out += c < 0x20 || c == 0x7f ? '?' : text[i];
    }
  }
  return out;
}

}  // namespace ringfence::cli
