// Memory whose last byte lies right before a page that nobody may touch: one byte too far ends the process,
// in every build, sanitized or not.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "ringfence/base/check.h"

namespace ringfence::content {

class GuardedMemory {
 public:
  explicit GuardedMemory(size_t size) : size_(size) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t usable = (size + page - 1) / page * page;
    mapped_ = usable + page;
    start_ = static_cast<uint8_t*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    RF_CHECK(start_ != MAP_FAILED && mprotect(start_ + usable, page, PROT_NONE) == 0);
    data_ = start_ + usable - size;
  }
  ~GuardedMemory() { munmap(start_, mapped_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  uint8_t* data() { return data_; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  size_t mapped_ = 0;
  uint8_t* start_ = nullptr;
  uint8_t* data_ = nullptr;
};

}  // namespace ringfence::content
