#include "server/api/log.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

const char* NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name) {
  for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (name == NameOf(level)) return level;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log level: found ", name, ", wanted debug, info, warning or error"));
}

std::string JsonString(absl::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const char c = text[0];
    if (length == 0) {
      json += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (c == '\n') {
      json += "\\n";
    } else if (static_cast<uint8_t>(c) < 0x20) {
      absl::StrAppendFormat(&json, "\\u%04x", c);
    } else {
      json.append(text.data(), length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  json += '"';
  return json;
}

LogField::LogField(const char* name, absl::string_view value) : name_(name), json_(JsonString(value)) {}
LogField::LogField(const char* name, int64_t value) : name_(name), json_(absl::StrCat(value)) {}
LogField::LogField(const char* name, double value)
    : name_(name), json_(std::isfinite(value) ? absl::StrCat(value) : "null") {}
LogField::LogField(const char* name, bool value) : name_(name), json_(value ? "true" : "false") {}
LogField::LogField(const char* name, const absl::Status& status)
    : name_(name), json_(JsonString(status.ToString(absl::StatusToStringMode::kWithNoExtraData))) {}

void Log::Write(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields) {
  if (level < level_) return;
  std::string line =
      absl::StrCat("{\"at\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", clock_->Now(), absl::UTCTimeZone()),
                   "\",\"level\":\"", NameOf(level), "\",\"event\":", JsonString(event));
  for (const LogField& field : fields) absl::StrAppend(&line, ",\"", field.name(), "\":", field.json());
  line += "}\n";
  MutexLock lock(&mutex_);
  std::fwrite(line.data(), 1, line.size(), out_);
  std::fflush(out_);
}

}  // namespace ringfence::api
