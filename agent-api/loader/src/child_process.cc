// The sensor as a real child process.
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "ringfence/loader/demo_sensor.h"
#include "ringfence/loader/supervisor.h"

namespace ringfence::loader {
namespace {

constexpr int kCannotStart = 127;
constexpr absl::Duration kLook = absl::Milliseconds(50);

absl::Time BootTime() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::TimeFromTimespec(now);
}

class ProcessRunner final : public ChildRunner {
 public:
  explicit ProcessRunner(ProcessOptions options)
      : options_(std::move(options)), files_(agent::MakePosixFileSystem()) {}

  ChildEnd Run(const Start& start, const std::function<void()>& proven) override {
    const std::string file = options_.folder + "/running";
    if (!options_.program.empty()) {
      const absl::Status written = files_->Write(file, start.bytes, 0600);
      if (!written.ok()) return {false, std::string(written.message())};
    }
    std::cout.flush();
    const pid_t child = ::fork();
    if (child < 0) return {false, absl::StrCat("cannot fork: error ", errno)};
    if (child == 0) Become(start, file);
    return Watch(child, proven);
  }

 private:
  [[noreturn]] void Become(const Start& start, const std::string& file) {
    if (!options_.program.empty()) {
      ::execl(options_.program.c_str(), options_.program.c_str(), file.c_str(), nullptr);
      ::_exit(kCannotStart);
    }
    const absl::Status ran = RunDemoSensor(start.bytes, std::cin, std::cout);
    if (!ran.ok()) std::cerr << "sensor: " << ran.message() << std::endl;
    std::cout.flush();
    ::_exit(ran.ok() ? 0 : 1);
  }

  // The boot clock, not the wall's: a clock that is set proves nothing.
  ChildEnd Watch(pid_t child, const std::function<void()>& proven) {
    const absl::Time proven_at = BootTime() + options_.healthy_after;
    bool told = false, asked = false;
    for (;;) {
      int status = 0;
      const pid_t ended = ::waitpid(child, &status, WNOHANG);
      if (ended == child) return EndOf(status, asked);
      if (!told && BootTime() >= proven_at) {
        told = true;
        proven();
      }
      if (!asked && options_.stop != nullptr && *options_.stop) {
        asked = true;
        ::kill(child, SIGTERM);
      }
      timespec pause = absl::ToTimespec(kLook);
      ::nanosleep(&pause, nullptr);
    }
  }

  static ChildEnd EndOf(int status, bool asked) {
    if (WIFSIGNALED(status)) return {asked, absl::StrCat("signal ", WTERMSIG(status))};
    const int code = WEXITSTATUS(status);
    return {asked || code == 0, absl::StrCat("exit code ", code)};
  }

  const ProcessOptions options_;
  const std::unique_ptr<agent::FileSystem> files_;
};

}  // namespace

std::unique_ptr<ChildRunner> MakeProcessRunner(ProcessOptions options) {
  return std::make_unique<ProcessRunner>(std::move(options));
}

}  // namespace ringfence::loader
