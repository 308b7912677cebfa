// Ed25519 keys and signatures (RFC 8032, by libcrypto). Nothing here reads a file, a clock or the network,
// except that making a key asks the system for chance.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"

namespace ringfence::trust {

using Signature = std::array<uint8_t, 64>;

// A public key as its 32 raw bytes. Two keys are the same key exactly if these bytes are equal: thresholds
// count bytes, never names.
struct PublicKey {
  std::array<uint8_t, 32> bytes{};

  // Exactly 32 raw bytes. InvalidArgument for another length, for an encoding that is not the shortest form
  // of its point, and for the few points of small order: under those anybody can sign.
  static absl::StatusOr<PublicKey> FromBytes(absl::string_view raw);
  // "-----BEGIN PUBLIC KEY-----", as `openssl pkey -pubout` writes it; the same rules.
  static absl::StatusOr<PublicKey> FromPem(absl::string_view pem);

  std::string ToPem() const;
  // sha256 of the raw bytes: a name to look a key up by, no proof of anything.
  Digest KeyId() const;
  absl::string_view raw() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;
};

// True exactly if `signature` (64 bytes; any other length is false) is one of `key` over `message`.
bool Verify(const PublicKey& key, absl::string_view message, absl::string_view signature);

// A private key. Movable; its memory is wiped when it goes. Thread-compatible: Sign is const.
class SigningKey {
 public:
  // Fresh, from the system's source of chance.
  static SigningKey Generate();
  // The 32 bytes of RFC 8032's private key. InvalidArgument for another length.
  static absl::StatusOr<SigningKey> FromSeed(absl::string_view seed);
  // "-----BEGIN PRIVATE KEY-----", as `openssl genpkey -algorithm ed25519` writes it. Never asks for a
  // passphrase: a sealed key is InvalidArgument.
  static absl::StatusOr<SigningKey> FromPem(absl::string_view pem);

  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;
  ~SigningKey();

  const PublicKey& public_key() const { return public_key_; }
  Signature Sign(absl::string_view message) const;
  // Unsealed PKCS #8. For throwaway keys of tests and demonstrations.
  std::string ToPem() const;

 private:
  struct Handle;
  explicit SigningKey(std::unique_ptr<Handle> handle);

  std::unique_ptr<Handle> handle_;
  PublicKey public_key_;
};

}  // namespace ringfence::trust
