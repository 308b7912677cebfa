// A set of small numbers as bits: a million hosts in 125 kB, walked in ascending order.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ringfence::tools {

class HostSet {
 public:
  // All of 0 .. hosts-1.
  explicit HostSet(uint32_t hosts) : words_((size_t{hosts} + 63) / 64, ~uint64_t{0}), size_(hosts) {
    if (hosts % 64 != 0) words_.back() = (uint64_t{1} << hosts % 64) - 1;
  }

  bool Contains(uint32_t host) const { return (words_[host / 64] >> host % 64 & 1) != 0; }
  // The host must not be in it, or be in it.
  void Insert(uint32_t host) {
    words_[host / 64] |= uint64_t{1} << host % 64;
    ++size_;
  }
  void Erase(uint32_t host) {
    words_[host / 64] &= ~(uint64_t{1} << host % 64);
    --size_;
  }
  int64_t size() const { return size_; }

  // Calls visit(host) for each, ascending from the 64 hosts of word `first` on and round to them again, until
  // it answers false. It may erase the host that it is given. False if it was stopped.
  template <typename Visit>
  bool WalkFrom(size_t first, Visit visit) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      const size_t at = first + i < words_.size() ? first + i : first + i - words_.size();
      for (uint64_t word = words_[at]; word != 0; word &= word - 1) {
        const auto host = static_cast<uint32_t>(at * 64 + static_cast<size_t>(std::countr_zero(word)));
        if (!visit(host)) return false;
      }
    }
    return true;
  }
  size_t words() const { return words_.size(); }

 private:
  std::vector<uint64_t> words_;
  int64_t size_;
};

}  // namespace ringfence::tools
