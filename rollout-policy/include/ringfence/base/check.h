// Assertions that hold in production too: a broken invariant of ours ends the process rather than a fleet.
#pragma once

#include <cstdio>
#include <cstdlib>

#define RF_CHECK(condition)                                                                  \
  do {                                                                                       \
    if (!(condition)) [[unlikely]] {                                                         \
      std::fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)
