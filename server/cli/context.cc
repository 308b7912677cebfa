#include "server/cli/context.h"

#include <fstream>
#include <iostream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/common.pb.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/proto_value.h"

namespace ringfence::cli {
namespace {

struct Advice {
  int exit_code;
  const char* word;
  const char* next;  // what to do
};

Advice AdviceFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return {kOk, "ok", ""};
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return {kUsage, "invalid", "mend what is named above and run the command again"};
    case absl::StatusCode::kUnavailable:
      return {kUnreachable, "unavailable",
              "is ringfenced running there? --server and RINGFENCE_SERVER name its address"};
    case absl::StatusCode::kDeadlineExceeded:
      return {kUnreachable, "no answer in time", "it may have happened all the same"};
    case absl::StatusCode::kUnauthenticated:
      return {kDenied, "not known", "give your token with --token-file or RINGFENCE_TOKEN"};
    case absl::StatusCode::kPermissionDenied:
      return {kDenied, "denied", "ask somebody whose role allows it"};
    case absl::StatusCode::kAborted:
      return {kConflict, "conflict", "somebody changed it meanwhile: look again, then repeat"};
    case absl::StatusCode::kAlreadyExists:
      return {kConflict, "exists already", "nothing was changed"};
    case absl::StatusCode::kNotFound:
      return {kNotFound, "not found",
              "`ringfence release list`, `rollout list` and `agent list` show what there is"};
    case absl::StatusCode::kFailedPrecondition:
      return {kPrecondition, "not possible now",
              "`ringfence rollout show RELEASE` tells the state it is in, and what is on it"};
    case absl::StatusCode::kResourceExhausted:
      return {kRefused, "too much", "wait a little and try again"};
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnimplemented:
    default:
      return {kRefused, "failed", "the server's log says more"};
  }
}

// What helps after the publish gate's words.
const char* AfterRefusal(absl::string_view word) {
  if (word == "malformed")
    return "this is not the file that was built: build or copy it again, compare sha256sum";
  if (word == "limit_exceeded") return "make it smaller: no host reads more than that";
  if (word == "schema_mismatch")
    return "give the content the inputs that each sensor it reaches registered, or narrow the matrix";
  if (word == "bad_signature")
    return "have it signed by the people of the release repository: `ringfence-keys sign`, then `publish`";
  if (word == "unqualified_artifact" || word == "incomplete_set")
    return "run the missing tests on these very bytes; list every artifact and its evidence, or narrow the "
           "platforms";
  if (word == "evidence_mismatch") return "test, sign and publish one and the same file";
  if (word == "stale_version")
    return "nothing goes back: a higher serial than the channel's newest, metadata no older than what is "
           "published";
  if (word == "known_bad") return "these bytes stay stopped: publish the mended ones, with a higher serial";
  return "docs/publishing.md tells what each word asks for";
}

std::string Lines(absl::string_view text) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!out.empty()) out += "\n  ";
    out += Printable(line);
  }
  return out;
}

}  // namespace

Context::Context(const World& world, RemoteOptions remote, Output output, bool colour, bool yes,
                 std::string request_id)
    : world_(world),
      remote_options_(std::move(remote)),
      output_(output),
      colour_(colour),
      yes_(yes),
      request_id_(std::move(request_id)) {}

Remote& Context::remote() {
  if (remote_ == nullptr) remote_ = world_.connect(remote_options_);
  return *remote_;
}

void Context::Print(const google::protobuf::Message& message) const {
  Print(ToValue(message));
}

void Context::Print(const Value& value) const {
  if (output_ == Output::kJson) out() << ToJson(value);
  if (output_ == Output::kYaml) out() << ToYaml(value);
}

std::string Context::Time(const google::protobuf::Timestamp& time) const {
  return HumanTime(ToTime(time), world_.zone);
}

int Context::Fail(const absl::Status& status, const std::string& file, const Places* places) const {
  const Advice advice = AdviceFor(status.code());
  const auto refusal = status.GetPayload(kRefusalUrl);
  v1::FaultList list;
  const auto faults = status.GetPayload(kFaultListUrl);
  const bool has_list = faults.has_value() && list.ParseFromString(std::string(*faults));
  // One thing is wrong with the release, not with the request: the text says which, and programs get it
  // whole.
  const bool is_refusal = has_list && !list.refusal().empty();
  if (is_refusal && !table()) Print(list);
  if (has_list && !is_refusal && list.faults_size() > 0) {
    for (const v1::Fault& fault : list.faults()) {
      std::string at = file.empty() ? "  " : absl::StrCat(file, ": ");
      if (places != nullptr) {
        const Place place = places->Find(fault.path());
        at = absl::StrCat(file, ":", place.line, ":", place.column, ": ");
      }
      err() << at << Printable(absl::StripPrefix(absl::StripPrefix(fault.path(), "plan."), "manifest."))
            << ": found " << Printable(fault.found()) << ", wanted " << Printable(fault.wanted()) << "\n";
    }
    err() << "ringfence: " << advice.word << ": " << list.faults_size()
          << (list.faults_size() == 1 ? " fault" : " faults") << "\n";
  } else {
    const std::string word = refusal.has_value() ? Printable(std::string(*refusal)) : advice.word;
    // The server's text may start with the word already.
    err() << "ringfence: " << word << ": "
          << Lines(absl::StripPrefix(std::string(status.message()), absl::StrCat(word, ": "))) << "\n";
  }
  const char* next = is_refusal ? AfterRefusal(list.refusal()) : advice.next;
  if (next[0] != '\0') err() << "  next: " << next << "\n";
  // Whoever repeats an act in doubt must be able to name it.
  if (advice.exit_code == kUnreachable && acts_) {
    err() << "  an act may be repeated safely: the same command with --request-id " << request_id_
          << " is done once\n";
  }
  return advice.exit_code;
}

int Context::Usage(absl::string_view what) const {
  err() << "ringfence: " << what << "\n";
  return kUsage;
}

bool Context::Confirm(absl::string_view question) const {
  if (yes_ || !world_.in_is_tty || !world_.out_is_tty) return true;
  err() << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(*world_.in, answer);
  if (answer == "y" || answer == "yes") return true;
  err() << "ringfence: nothing was done\n";
  return false;
}

std::string Context::Paint(absl::string_view text, const char* colour) const {
  return colour_ ? absl::StrCat("\x1b[", colour, "m", text, "\x1b[0m") : std::string(text);
}

absl::StatusOr<std::string> ReadFile(const World& world, const std::string& path, size_t most) {
  std::string bytes;
  std::ifstream file;
  std::istream* in = world.in;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file || file.peek() == std::ifstream::traits_type::eof()) {
      std::ifstream again(path, std::ios::binary);
      if (!again) return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
    }
    in = &file;
  }
  char buffer[64 * 1024];
  while (*in) {
    in->read(buffer, sizeof buffer);
    bytes.append(buffer, static_cast<size_t>(in->gcount()));
    if (bytes.size() > most) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": more than ", HumanBytes(static_cast<int64_t>(most))));
    }
  }
  return bytes;
}

}  // namespace ringfence::cli
