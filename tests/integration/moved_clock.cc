// Preloaded into a program, moves its wall clock, and nothing else, by MOVED_CLOCK_SECONDS: for a host whose
// metadata has expired years ago.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const long answer = ::syscall(SYS_clock_gettime, clock, now);
  const char* moved = std::getenv("MOVED_CLOCK_SECONDS");
  if (answer == 0 && clock == CLOCK_REALTIME && moved != nullptr) now->tv_sec += std::atoll(moved);
  return static_cast<int>(answer);
}
