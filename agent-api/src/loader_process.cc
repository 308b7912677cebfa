#include "ringfence/agent/loader_process.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace ringfence::agent {
namespace {

constexpr int kCannotStart = 127;

// Between fork and exec: nothing but system calls, for other threads of the agent may hold any lock.
[[noreturn]] void Become(char* const* arguments, const char* log) {
  ::setsid();
  // Once more, so that init and not the agent is its parent.
  const pid_t own = ::fork();
  if (own != 0) ::_exit(own < 0 ? kCannotStart : 0);
  const int nothing = ::open("/dev/null", O_RDONLY);
  const int words = ::open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(words < 0 ? nothing : words, STDOUT_FILENO);
  ::dup2(words < 0 ? nothing : words, STDERR_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  ::execv(arguments[0], arguments);
  ::_exit(kCannotStart);
}

}  // namespace

bool LoaderRunsIn(const std::string& folder) {
  const int lock = ::open((folder + "/run.lock").c_str(), O_RDWR | O_CLOEXEC);
  if (lock < 0) return false;
  const bool held = ::flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(lock);
  return held;
}

absl::Status EnsureLoader(const LoaderProcessOptions& options) {
  if (LoaderRunsIn(options.folder)) return absl::OkStatus();
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) return absl::InternalError(absl::StrCat("cannot make ", options.folder, ": ", error.message()));
  if (::access(options.program.c_str(), X_OK) != 0)
    return absl::NotFoundError(absl::StrCat("cannot start ", options.program));
  std::vector<std::string> words = {options.program, "--dir", options.folder};
  for (const std::string& key : options.build_keys) words.insert(words.end(), {"--key", key});
  words.insert(words.end(), {"run", "--sensor", options.sensor});
  if (!options.healthy_after.empty()) words.insert(words.end(), {"--healthy-after", options.healthy_after});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::string log = options.folder + "/log";

  const pid_t child = ::fork();
  if (child < 0) return absl::InternalError(absl::StrCat("cannot fork: error ", errno));
  if (child == 0) Become(arguments.data(), log.c_str());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot start ", options.program));
}

}  // namespace ringfence::agent
