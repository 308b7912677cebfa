// The sensor as a real child process.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/loader/demo_sensor.h"
#include "ringfence/loader/supervisor.h"

namespace ringfence::loader {
namespace {

constexpr int kCannotStart = 127;
constexpr absl::Duration kLook = absl::Milliseconds(50);
constexpr absl::Duration kAskAgain = absl::Milliseconds(500);
constexpr int kLooksPerRecord = 4;

absl::Time BootTime() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::TimeFromTimespec(now);
}

class ProcessRunner final : public ChildRunner {
 public:
  explicit ProcessRunner(ProcessOptions options)
      : options_(std::move(options)), files_(agent::MakePosixFileSystem()) {}

  ChildEnd Run(const Start& start, const std::function<void()>& proven,
               const std::function<bool()>& superseded) override {
    const std::string file = options_.folder + "/running";
    absl::Status written = files_->Write(file + ".draft", start.bytes, 0600);
    if (written.ok()) written = files_->Rename(file + ".draft", file);
    // The demonstration sensor has its bytes in memory.
    if (!written.ok() && !options_.program.empty())
      return Failed(start, {false, std::string(written.message()), false});
    std::cout.flush();
    const pid_t loader = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) return Failed(start, {false, absl::StrCat("cannot fork: error ", errno), false});
    if (child == 0) Become(start, file, loader);
    return Failed(start, Watch(child, proven, superseded));
  }

 private:
  // Told to whoever looks, if it was one.
  ChildEnd Failed(const Start& start, ChildEnd end) {
    if (end.orderly || end.superseded) return end;
    const std::string path = options_.folder + "/failures";
    uint64_t count = 0;
    if (const auto before = files_->Read(path); before.ok()) {
      const std::vector<std::string> words = absl::StrSplit(*before, ' ');
      if (!absl::SimpleAtoi(words[0], &count)) count = 0;
    }
    const std::string text = absl::StrCat(count + 1, " ", start.digest.ToString(), " ", end.how, "\n");
    if (files_->Write(path + ".draft", text, 0600).ok()) files_->Rename(path + ".draft", path).IgnoreError();
    return end;
  }

  [[noreturn]] void Become(const Start& start, const std::string& file, pid_t loader) {
    // Nobody would count the starts of a sensor whose loader is gone.
    ::signal(SIGTERM, SIG_DFL);
    ::signal(SIGINT, SIG_DFL);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != loader) ::_exit(kCannotStart);
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
  ChildEnd Watch(pid_t child, const std::function<void()>& proven, const std::function<bool()>& superseded) {
    const absl::Time proven_at = BootTime() + options_.healthy_after;
    absl::Time ask_at = absl::InfiniteFuture(), kill_at = absl::InfiniteFuture();
    bool told = false, stopped = false, replaced = false;
    for (int look = 0;; ++look) {
      int status = 0;
      const pid_t ended = ::waitpid(child, &status, WNOHANG);
      if (ended == child) {
        ChildEnd end = EndOf(status, stopped || replaced);
        end.superseded = replaced && !stopped;
        return end;
      }
      if (!told && BootTime() >= proven_at) {
        told = true;
        proven();
      }
      const bool stop = !stopped && options_.stop != nullptr && *options_.stop;
      const bool replace = !stopped && !replaced && look % kLooksPerRecord == 0 && superseded();
      stopped |= stop;
      replaced |= replace;
      const absl::Time now = BootTime();
      if (stop || replace) {
        ask_at = now;
        kill_at = std::min(kill_at, now + options_.patience);
      }
      // More than once: the first may have come before the child was the sensor, and be forgotten.
      if (now >= ask_at) {
        ::kill(child, now >= kill_at ? SIGKILL : SIGTERM);
        ask_at = now + kAskAgain;
      }
      timespec pause = absl::ToTimespec(kLook);
      ::nanosleep(&pause, nullptr);
    }
  }

  static ChildEnd EndOf(int status, bool asked) {
    if (WIFSIGNALED(status)) return {asked, absl::StrCat("signal ", WTERMSIG(status)), false};
    const int code = WEXITSTATUS(status);
    return {asked || code == 0, absl::StrCat("exit code ", code), false};
  }

  const ProcessOptions options_;
  const std::unique_ptr<agent::FileSystem> files_;
};

}  // namespace

std::unique_ptr<ChildRunner> MakeProcessRunner(ProcessOptions options) {
  return std::make_unique<ProcessRunner>(std::move(options));
}

}  // namespace ringfence::loader
