#include "server/storage/postgres/pg_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"

namespace ringfence::storage {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

void AppendHex(std::string& out, absl::string_view raw) {
  const size_t at = out.size();
  out.resize(at + 2 * raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    const auto byte = static_cast<unsigned char>(raw[i]);
    out[at + 2 * i] = kHexDigits[byte >> 4];
    out[at + 2 * i + 1] = kHexDigits[byte & 15];
  }
}

void AppendDigits(std::string& out, int64_t value, int width) {
  const size_t at = out.size();
  out.resize(at + width);
  for (int i = width - 1; i >= 0; --i, value /= 10) out[at + i] = static_cast<char>('0' + value % 10);
}

constexpr int64_t kMicrosPerDay = int64_t{86'400} * 1'000'000;
// 0001-01-01 and 9999-12-31: beyond them the text form changes its shape.
constexpr int64_t kFirstMicros = -719'162 * kMicrosPerDay;
constexpr int64_t kEndMicros = 2'932'897 * kMicrosPerDay;

void AppendTime(std::string& out, absl::Time time) {
  if (time == absl::InfiniteFuture()) {
    out += "infinity";
    return;
  }
  if (time == absl::InfinitePast()) {
    out += "-infinity";
    return;
  }
  const int64_t micros = PgMicros(time);
  const int64_t days = micros >= 0 ? micros / kMicrosPerDay : -((kMicrosPerDay - 1 - micros) / kMicrosPerDay);
  const int64_t of_day = micros - days * kMicrosPerDay;
  const absl::CivilDay day = absl::CivilDay(1970, 1, 1) + days;
  AppendDigits(out, day.year(), 4);
  out += '-';
  AppendDigits(out, day.month(), 2);
  out += '-';
  AppendDigits(out, day.day(), 2);
  out += ' ';
  const int64_t seconds = of_day / 1'000'000;
  AppendDigits(out, seconds / 3600, 2);
  out += ':';
  AppendDigits(out, seconds / 60 % 60, 2);
  out += ':';
  AppendDigits(out, seconds % 60, 2);
  out += '.';
  AppendDigits(out, of_day % 1'000'000, 6);
  out += "+00";
}

// Reads the digits at the front of `text` and drops them.
bool TakeNumber(absl::string_view& text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return false;
  text.remove_prefix(end - text.data());
  return true;
}

bool TakeChar(absl::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

absl::Status Malformed(const char* what, absl::string_view text) {
  return absl::DataLossError(
      absl::StrCat(what, " from the database: \"", absl::CHexEscape(text.substr(0, 64)), "\""));
}

}  // namespace

int64_t PgMicros(absl::Time time) {
  return std::min(std::max(absl::ToUnixMicros(time), kFirstMicros), kEndMicros - 1);
}

std::string PgTime(absl::Time time) {
  std::string text;
  AppendTime(text, time);
  return text;
}

absl::StatusOr<absl::Time> ParsePgTime(absl::string_view text) {
  if (text == "infinity") return absl::InfiniteFuture();
  if (text == "-infinity") return absl::InfinitePast();
  absl::string_view rest = text;
  int64_t year, month, day, hour, minute, second, micros = 0;
  bool ok = TakeNumber(rest, year) && TakeChar(rest, '-') && TakeNumber(rest, month) && TakeChar(rest, '-') &&
            TakeNumber(rest, day) && TakeChar(rest, ' ') && TakeNumber(rest, hour) && TakeChar(rest, ':') &&
            TakeNumber(rest, minute) && TakeChar(rest, ':') && TakeNumber(rest, second);
  if (ok && TakeChar(rest, '.')) {
    const size_t before = rest.size();
    ok = TakeNumber(rest, micros) && before - rest.size() <= 6;
    for (size_t digits = before - rest.size(); ok && digits < 6; ++digits) micros *= 10;
  }
  if (!ok || rest != "+00") return Malformed("time", text);
  const int64_t days = absl::CivilDay(year, month, day) - absl::CivilDay(1970, 1, 1);
  return absl::FromUnixMicros(days * kMicrosPerDay + ((hour * 60 + minute) * 60 + second) * 1'000'000 +
                              micros);
}

std::string PgBytes(absl::string_view raw) {
  std::string text = "\\x";
  AppendHex(text, raw);
  return text;
}

absl::StatusOr<std::string> ParsePgBytes(absl::string_view text) {
  if (!absl::StartsWith(text, "\\x") || text.size() % 2 != 0) return Malformed("bytes", text);
  for (const char c : text.substr(2)) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return Malformed("bytes", text);
  }
  return absl::HexStringToBytes(text.substr(2));
}

std::string PgDouble(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, end);
}

absl::StatusOr<double> ParsePgDouble(absl::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return Malformed("number", text);
  return value;
}

std::string PgUnsigned(uint64_t value) {
  return absl::StrCat(static_cast<int64_t>(value));
}

std::string PgBool(bool value) {
  return value ? "t" : "f";
}

std::string PgInterval(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Microseconds(duration), " microseconds");
}

void PgArray::Separate() {
  if (text_.size() > 1) text_ += ',';
}

void PgArray::AddText(absl::string_view value) {
  Separate();
  text_ += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') text_ += '\\';
    text_ += c;
  }
  text_ += '"';
}

void PgArray::AddInt(int64_t value) {
  Separate();
  absl::StrAppend(&text_, value);
}

void PgArray::AddDouble(double value) {
  Separate();
  text_ += PgDouble(value);
}

void PgArray::AddBool(bool value) {
  Separate();
  text_ += value ? 't' : 'f';
}

void PgArray::AddTime(absl::Time time) {
  Separate();
  text_ += '"';
  AppendTime(text_, time);
  text_ += '"';
}

void PgArray::AddBytes(absl::string_view raw) {
  Separate();
  text_ += "\"\\\\x";
  AppendHex(text_, raw);
  text_ += '"';
}

void PgArray::AddUuid(absl::string_view raw) {
  Separate();
  AppendHex(text_, raw);
}

std::string PgArray::Take() {
  text_ += '}';
  return std::move(text_);
}

std::string PgTextArray(absl::Span<const std::string> values) {
  PgArray array;
  for (const std::string& value : values) array.AddText(value);
  return array.Take();
}

std::string PgDoubleArray(absl::Span<const double> values) {
  PgArray array;
  for (const double value : values) array.AddDouble(value);
  return array.Take();
}

absl::StatusOr<std::vector<std::string>> ParsePgArray(absl::string_view text) {
  std::vector<std::string> values;
  if (text == "{}") return values;
  absl::string_view rest = text;
  if (!TakeChar(rest, '{')) return Malformed("array", text);
  for (;;) {
    std::string value;
    if (TakeChar(rest, '"')) {
      while (!rest.empty() && rest.front() != '"') {
        if (rest.front() == '\\') rest.remove_prefix(1);
        if (rest.empty()) return Malformed("array", text);
        value += rest.front();
        rest.remove_prefix(1);
      }
      if (!TakeChar(rest, '"')) return Malformed("array", text);
    } else {
      while (!rest.empty() && rest.front() != ',' && rest.front() != '}') {
        if (rest.front() == '{' || rest.front() == '"' || rest.front() == '\\')
          return Malformed("array", text);
        value += rest.front();
        rest.remove_prefix(1);
      }
      if (value.empty() || value == "NULL") return Malformed("array", text);
    }
    values.push_back(std::move(value));
    if (TakeChar(rest, '}')) break;
    if (!TakeChar(rest, ',')) return Malformed("array", text);
  }
  if (!rest.empty()) return Malformed("array", text);
  return values;
}

}  // namespace ringfence::storage
