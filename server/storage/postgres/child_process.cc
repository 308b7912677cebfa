#include "server/storage/postgres/child_process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::storage {
namespace {

absl::Status ErrnoStatus(absl::string_view what, int error) {
  return absl::InternalError(absl::StrCat(what, ": ", strerror(error)));
}

// Everything the child needs, made before the fork: after the fork of a process with threads, only
// async-signal-safe calls are allowed, so nothing here may allocate there.
struct Prepared {
  std::vector<char*> argv;
  std::vector<char*> environment;
  int log_fd = -1;
  int report_fd = -1;
  pid_t parent = 0;
};

[[noreturn]] void ReportAndExit(int fd) {
  const int error = errno;
  // The parent reads end-of-file if even this fails, and then sees the exit status.
  [[maybe_unused]] const ssize_t written = write(fd, &error, sizeof(error));
  _exit(127);
}

[[noreturn]] void BecomeProgram(const ChildSpec& spec, const Prepared& prepared) {
  const int fd = prepared.report_fd;
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &by_default, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (setsid() < 0) ReportAndExit(fd);
  if (spec.user.has_value()) {
    if (setgroups(spec.user->groups.size(), spec.user->groups.data()) != 0) ReportAndExit(fd);
    if (setgid(spec.user->gid) != 0 || setuid(spec.user->uid) != 0) ReportAndExit(fd);
  }
  // After setuid, which clears it. The parent may have ended before this line: then nobody would send the
  // signal.
  if (spec.parent_death_signal != 0) {
    if (prctl(PR_SET_PDEATHSIG, spec.parent_death_signal) != 0) ReportAndExit(fd);
    if (getppid() != prepared.parent) _exit(126);
  }
  if (chdir("/") != 0) ReportAndExit(fd);
  const int null_fd = open("/dev/null", O_RDONLY);
  if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0) ReportAndExit(fd);
  if (dup2(prepared.log_fd, STDOUT_FILENO) < 0 || dup2(prepared.log_fd, STDERR_FILENO) < 0) ReportAndExit(fd);
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  execve(prepared.argv[0], prepared.argv.data(), prepared.environment.data());
  ReportAndExit(fd);
}

}  // namespace

absl::StatusOr<UserIds> LookUpUser(const std::string& name) {
  std::vector<char> buffer(16384);
  passwd entry;
  passwd* found = nullptr;
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no user \"", name, "\""));
  }
  UserIds ids{.uid = entry.pw_uid, .gid = entry.pw_gid, .groups = {}};
  int count = 64;
  ids.groups.resize(count);
  while (getgrouplist(name.c_str(), ids.gid, ids.groups.data(), &count) < 0) ids.groups.resize(count);
  ids.groups.resize(count);
  return ids;
}

absl::StatusOr<pid_t> Spawn(const ChildSpec& spec) {
  Prepared prepared;
  for (const std::string& argument : spec.argv) prepared.argv.push_back(const_cast<char*>(argument.c_str()));
  prepared.argv.push_back(nullptr);
  std::string path = "PATH=/usr/local/bin:/usr/bin:/bin";
  std::string locale = "LC_ALL=C";
  prepared.environment = {path.data(), locale.data(), nullptr};
  prepared.parent = getpid();

  prepared.log_fd = open(spec.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (prepared.log_fd < 0) return ErrnoStatus(spec.log_path, errno);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    const int error = errno;
    close(prepared.log_fd);
    return ErrnoStatus("pipe", error);
  }
  prepared.report_fd = report[1];

  const pid_t pid = fork();
  if (pid == 0) BecomeProgram(spec, prepared);
  const int fork_error = errno;
  close(prepared.log_fd);
  close(report[1]);
  int child_error = 0;
  ssize_t got = 0;
  if (pid > 0) {
    do {
      got = read(report[0], &child_error, sizeof(child_error));
    } while (got < 0 && errno == EINTR);
  }
  close(report[0]);
  if (pid < 0) return ErrnoStatus("fork", fork_error);
  if (got == sizeof(child_error)) {
    waitpid(pid, nullptr, 0);
    return ErrnoStatus(spec.argv[0], child_error);
  }
  return pid;
}

absl::Status RunToEnd(const ChildSpec& spec) {
  ASSIGN_OR_RETURN(const pid_t pid, Spawn(spec));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoStatus("waitpid", errno);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(spec.argv[0], " failed with wait status ", status));
}

}  // namespace ringfence::storage
