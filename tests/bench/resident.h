// Memory of this process, and measuring it in one that did nothing before.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "tests/bench/fleet.h"

namespace ringfence::bench {

// Resident memory of this process, in bytes.
inline double Resident() {
  long pages = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  RF_CHECK(file != nullptr && std::fscanf(file, "%*d %ld", &pages) == 1);
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// What `measure` finds in a child of this process: no measurement grows into memory that another gave back.
template <typename F>
double InOwnProcess(F measure) {
  int result[2];
  RF_CHECK(::pipe(result) == 0);
  const pid_t pid = ::fork();
  RF_CHECK(pid >= 0);
  double value = 0;
  if (pid == 0) {
    value = measure();
    RF_CHECK(::write(result[1], &value, sizeof(value)) == sizeof(value));
    ::_exit(0);
  }
  RF_CHECK(::read(result[0], &value, sizeof(value)) == sizeof(value));
  ::close(result[0]);
  ::close(result[1]);
  ::waitpid(pid, nullptr, 0);
  return value;
}

}  // namespace ringfence::bench
