// What every subcommand is given: the server, the streams, and how to speak.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "server/cli/plan_yaml.h"
#include "server/cli/remote.h"
#include "server/cli/value.h"

namespace ringfence::cli {

enum class Output { kTable, kJson, kYaml };

// The process around the command, so that tests can be one.
struct World {
  std::istream* in;
  std::ostream* out;
  std::ostream* err;
  bool in_is_tty = false;
  bool out_is_tty = false;
  int columns = 80;  // of the terminal
  absl::TimeZone zone;
  std::function<absl::Time()> now;
  std::function<const char*(const char*)> env;
  std::function<std::unique_ptr<Remote>(RemoteOptions)> connect;
  std::function<bool()> interrupted = [] { return false; };
};

class Context {
 public:
  Context(const World& world, RemoteOptions remote, Output output, bool colour, bool yes,
          std::string request_id);

  std::ostream& out() const { return *world_.out; }
  std::ostream& err() const { return *world_.err; }
  const World& world() const { return world_; }
  Output output() const { return output_; }
  bool table() const { return output_ == Output::kTable; }
  bool colour() const { return colour_; }
  Remote& remote();
  // One for the whole invocation: a retry of the script with the same --request-id gets the same answer.
  // Only acts ask for it; from then on a failure says how to repeat the act.
  const std::string& request_id() {
    acts_ = true;
    return request_id_;
  }

  // Prints the message as JSON or YAML; only when the output is not a table.
  void Print(const google::protobuf::Message& message) const;
  void Print(const Value& value) const;
  std::string Time(const google::protobuf::Timestamp& time) const;
  // Turns a refused call into text and an exit code. `file` and `places` show the server's faults where they
  // stand.
  int Fail(const absl::Status& status, const std::string& file = "", const Places* places = nullptr) const;
  // A mistake of the caller's, found here.
  int Usage(absl::string_view what) const;
  // Asks on a terminal; true without asking with --yes or when nobody is there to ask.
  bool Confirm(absl::string_view question) const;
  // ANSI colour of a word, when colours are on.
  std::string Paint(absl::string_view text, const char* colour) const;

 private:
  const World& world_;
  RemoteOptions remote_options_;
  std::unique_ptr<Remote> remote_;
  const Output output_;
  const bool colour_;
  const bool yes_;
  const std::string request_id_;
  bool acts_ = false;
};

inline constexpr char kRed[] = "31";
inline constexpr char kGreen[] = "32";
inline constexpr char kYellow[] = "33";
inline constexpr char kBlue[] = "34";
inline constexpr char kDim[] = "2";
inline constexpr char kBold[] = "1";

// Reads a whole file; "-" is the standard input. InvalidArgument, with what to do, when that fails or it is
// above `most`.
absl::StatusOr<std::string> ReadFile(const World& world, const std::string& path, size_t most);

// Parses "CHANNEL/SERIAL", "CHANNEL" or "CHANNEL/VERSION"; a version is looked up. serial 0: the newest.
struct ReleaseName {
  std::string channel;
  uint64_t serial = 0;
};
absl::StatusOr<ReleaseName> FindRelease(Context& context, const std::string& text);

}  // namespace ringfence::cli
