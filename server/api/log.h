// Structured logs: one JSON object per line, for machines first. Never holds a credential: callers log names,
// not secrets.
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/mutex.h"

namespace ringfence::api {

enum class LogLevel : uint8_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };

// "debug", "info", "warning", "error". InvalidArgument otherwise.
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view name);

// One member of the object, rendered as JSON when it is made.
class LogField {
 public:
  LogField(const char* name, absl::string_view value);
  LogField(const char* name, const char* value) : LogField(name, absl::string_view(value)) {}
  LogField(const char* name, const std::string& value) : LogField(name, absl::string_view(value)) {}
  LogField(const char* name, int64_t value);
  LogField(const char* name, int value) : LogField(name, static_cast<int64_t>(value)) {}
  LogField(const char* name, double value);
  LogField(const char* name, bool value);
  LogField(const char* name, const absl::Status& status);

  const char* name() const { return name_; }
  const std::string& json() const { return json_; }

 private:
  const char* name_;
  std::string json_;
};

// `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD.
std::string JsonString(absl::string_view text);

// Thread-safe: lines never mix.
class Log {
 public:
  // `clock` gives real time, unscaled, and outlives the Log. Lines below `level` are dropped.
  Log(std::FILE* out, LogLevel level, Clock* clock) : out_(out), level_(level), clock_(clock) {}

  // {"at":"2026-01-02T03:04:05.678Z","level":"info","event":EVENT, fields...}
  void Write(LogLevel level, absl::string_view event, std::initializer_list<LogField> fields = {});

  void Debug(absl::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kDebug, event, fields);
  }
  void Info(absl::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kInfo, event, fields);
  }
  void Warning(absl::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kWarning, event, fields);
  }
  void Error(absl::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kError, event, fields);
  }

 private:
  std::FILE* const out_;
  const LogLevel level_;
  Clock* const clock_;
  Mutex mutex_;  // one line at a time
};

}  // namespace ringfence::api
