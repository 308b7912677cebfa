// SHA-256 and HMAC-SHA-256 from libcrypto, and the one way in which we hash structured values:
// strings length-prefixed (u32 big-endian), digests and ids as raw bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"

namespace ringfence {

Digest Sha256(absl::string_view bytes);

// Keyed; any key length.
Digest HmacSha256(absl::string_view key, absl::string_view bytes);

// Incremental, for artifacts that arrive in chunks. Not thread-safe. Finish may be called once.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void Update(absl::string_view bytes);
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Builds the byte string that is hashed, field by field.
class HashInput {
 public:
  HashInput& String(absl::string_view text);  // u32 BE length, then the bytes
  HashInput& Raw(absl::string_view bytes);    // the bytes alone: fixed-size ids and digests
  HashInput& U64(uint64_t value);             // big-endian
  HashInput& U8(uint8_t value);
  absl::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// The first eight bytes as a big-endian integer.
uint64_t HeadBigEndian(const Digest& digest);

}  // namespace ringfence
