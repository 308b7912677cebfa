#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "absl/time/clock.h"
#include "server/cli/command_line.h"

namespace {

std::atomic<bool> g_interrupted = false;

// The first one ends politely, the second at once.
void OnInterrupt(int signal) {
  g_interrupted = true;
  std::signal(signal, SIG_DFL);
}

int TerminalColumns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, OnInterrupt);
  std::signal(SIGPIPE, SIG_DFL);
  ringfence::cli::World world;
  world.in = &std::cin;
  world.out = &std::cout;
  world.err = &std::cerr;
  world.in_is_tty = isatty(STDIN_FILENO) != 0;
  world.out_is_tty = isatty(STDOUT_FILENO) != 0;
  world.columns = TerminalColumns();
  world.zone = absl::LocalTimeZone();
  world.now = [] { return absl::Now(); };
  world.env = [](const char* name) -> const char* { return std::getenv(name); };
  world.connect = ringfence::cli::MakeRemote;
  world.interrupted = [] { return g_interrupted.load(); };
  return ringfence::cli::Run(world, {argv + 1, argv + argc});
}
