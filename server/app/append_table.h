// A table that only grows, read without a lock.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace ringfence::app {

// Entries never move and never change. Add and Clear: one thread at a time. Reading an entry: any thread that
// has its number from the one that added it, by way of a lock or a release store; it waits for nobody.
template <typename T>
class AppendTable {
 public:
  uint32_t size() const { return size_; }
  // The new entry's number: the entries before it.
  uint32_t Add(T entry) {
    const auto [chunk, at] = PlaceOf(size_);
    if (at == 0) chunks_[chunk] = std::make_unique<T[]>(kFirstChunk << chunk);
    chunks_[chunk][at] = std::move(entry);
    return size_++;
  }
  const T& operator[](uint32_t number) const {
    const auto [chunk, at] = PlaceOf(number);
    return chunks_[chunk][at];
  }
  void Clear() {
    for (auto& chunk : chunks_) chunk.reset();
    size_ = 0;
  }

 private:
  static constexpr size_t kFirstChunk = 64;  // each chunk is twice as large as the one before
  static std::pair<size_t, size_t> PlaceOf(uint32_t number) {
    const size_t from_one = size_t{number} + kFirstChunk;
    const size_t chunk = static_cast<size_t>(std::bit_width(from_one)) - std::bit_width(kFirstChunk);
    return {chunk, from_one - (kFirstChunk << chunk)};
  }

  std::array<std::unique_ptr<T[]>, 27> chunks_;
  uint32_t size_ = 0;
};

}  // namespace ringfence::app
