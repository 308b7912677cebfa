// A private key in a file that only its passphrase opens. docs/trust.md describes the file.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::trust {

inline constexpr size_t kMaxKeyFileBytes = 16 << 10;
// The cost of one guess of the passphrase: scrypt with N = 2^log2_n, r = 8, p = 1, which takes 2^log2_n KiB.
inline constexpr int kMinScryptLog2 = 14, kDefaultScryptLog2 = 17, kMaxScryptLog2 = 18;
inline constexpr size_t kMinPassphraseBytes = 12;

// What anybody may know of a key file. Proven only by opening it: before that, a claim.
struct KeyFile {
  PublicKey key;
  std::string person;      // who holds it
  bool throwaway = false;  // lies open: for demonstrations and tests, protects nothing
};

// A file for this seed of 32 bytes, sealed by scrypt and AES-256-GCM; salt and nonce are fresh. The name is
// part of what is sealed. InvalidArgument for a passphrase of fewer than kMinPassphraseBytes bytes, a name
// that is not 1 to 100 bytes of readable text, or a cost outside the limits.
absl::StatusOr<std::string> SealKey(absl::string_view seed, const std::string& person,
                                    absl::string_view passphrase, int scrypt_log2 = kDefaultScryptLog2);

// An open file, marked as throwaway.
absl::StatusOr<std::string> ThrowawayKey(absl::string_view seed, const std::string& person);

// The public half. InvalidArgument, naming the member, for what is no key file.
absl::StatusOr<KeyFile> ReadKeyFile(absl::string_view bytes);

// The key. PermissionDenied if the passphrase is wrong or anything in the file was changed, which cannot be
// told apart; a throwaway key takes any passphrase.
absl::StatusOr<SigningKey> OpenKey(absl::string_view bytes, absl::string_view passphrase);

// 32 bytes of the system's chance.
std::string FreshSeed();

}  // namespace ringfence::trust
