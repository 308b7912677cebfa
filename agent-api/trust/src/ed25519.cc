#include "ringfence/trust/ed25519.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"

namespace ringfence::trust {
namespace {

constexpr size_t kMaxPemBytes = 4096;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeKey>;
using Bio = std::unique_ptr<BIO, FreeBio>;

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// The y coordinates of the eight points whose order divides 8, little-endian. The sign bit is not part of y.
constexpr absl::string_view kSmallOrder[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
};

// Is y below the prime 2^255 - 19, so that no other 32 bytes name the same point?
bool IsCanonical(const std::array<uint8_t, 32>& key) {
  const bool high_ones = (key[31] & 0x7f) == 0x7f &&
                         std::all_of(key.begin() + 1, key.begin() + 31, [](uint8_t b) { return b == 0xff; });
  return !high_ones || key[0] < 0xed;
}

bool IsSmallOrder(std::array<uint8_t, 32> key) {
  key[31] &= 0x7f;
  const std::string hex = absl::BytesToHexString({reinterpret_cast<const char*>(key.data()), key.size()});
  return std::find(std::begin(kSmallOrder), std::end(kSmallOrder), hex) != std::end(kSmallOrder);
}

// Wants no passphrase from anybody: a program that runs in a pipeline must not stop at a prompt.
int NoPassphrase(char*, int, int, void*) {
  return -1;
}

absl::StatusOr<Bio> ReadOnly(absl::string_view pem) {
  if (pem.size() > kMaxPemBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("key: found ", pem.size(), " bytes, wanted PEM of at most ", kMaxPemBytes));
  }
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  RF_CHECK(bio != nullptr);
  return bio;
}

std::string Written(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);  // NOLINT(google-runtime-int): libcrypto's type
  return std::string(data, static_cast<size_t>(size));
}

}  // namespace

absl::StatusOr<PublicKey> PublicKey::FromBytes(absl::string_view raw) {
  PublicKey key;
  if (raw.size() != key.bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("public key: found ", raw.size(), " bytes, wanted the 32 of an Ed25519 key"));
  }
  std::copy(raw.begin(), raw.end(), key.bytes.begin());
  if (!IsCanonical(key.bytes)) {
    return absl::InvalidArgumentError(
        "public key: found another spelling of a key, wanted the canonical 32 bytes");
  }
  if (IsSmallOrder(key.bytes)) {
    return absl::InvalidArgumentError(
        "public key: found a point of small order, under which anybody can sign");
  }
  return key;
}

absl::StatusOr<PublicKey> PublicKey::FromPem(absl::string_view pem) {
  absl::StatusOr<Bio> bio = ReadOnly(pem);
  if (!bio.ok()) return bio.status();
  const KeyHandle handle(PEM_read_bio_PUBKEY(bio->get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  std::array<char, 32> raw;
  size_t size = raw.size();
  if (handle == nullptr || EVP_PKEY_get_id(handle.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(handle.get(), reinterpret_cast<unsigned char*>(raw.data()), &size) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "public key: wanted an Ed25519 key as PEM, \"-----BEGIN PUBLIC KEY-----\" (openssl pkey -pubout)");
  }
  return FromBytes({raw.data(), size});
}

std::string PublicKey::ToPem() const {
  const KeyHandle handle(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.data(), bytes.size()));
  const Bio bio(BIO_new(BIO_s_mem()));
  RF_CHECK(handle != nullptr && bio != nullptr && PEM_write_bio_PUBKEY(bio.get(), handle.get()) == 1);
  return Written(bio.get());
}

Digest PublicKey::KeyId() const {
  return Sha256(raw());
}

bool Verify(const PublicKey& key, absl::string_view message, absl::string_view signature) {
  if (signature.size() != Signature().size()) return false;
  const KeyHandle handle(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.bytes.data(), key.bytes.size()));
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const bool valid = handle != nullptr && context != nullptr &&
                     EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle.get()) == 1 &&
                     EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(message),
                                      message.size()) == 1;
  ERR_clear_error();  // a refused signature leaves no error behind for somebody else's call
  return valid;
}

struct SigningKey::Handle {
  KeyHandle key;
};

SigningKey::SigningKey(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {
  size_t size = public_key_.bytes.size();
  RF_CHECK(EVP_PKEY_get_raw_public_key(handle_->key.get(), public_key_.bytes.data(), &size) == 1 &&
           size == public_key_.bytes.size());
}

SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;
SigningKey::~SigningKey() = default;

SigningKey SigningKey::Generate() {
  auto handle = std::make_unique<Handle>();
  handle->key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  RF_CHECK(handle->key != nullptr);
  return SigningKey(std::move(handle));
}

absl::StatusOr<SigningKey> SigningKey::FromSeed(absl::string_view seed) {
  if (seed.size() != 32) {
    return absl::InvalidArgumentError(
        absl::StrCat("private key: found ", seed.size(), " bytes, wanted the 32 of an Ed25519 seed"));
  }
  auto handle = std::make_unique<Handle>();
  handle->key.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Bytes(seed), seed.size()));
  RF_CHECK(handle->key != nullptr);
  return SigningKey(std::move(handle));
}

absl::StatusOr<SigningKey> SigningKey::FromPem(absl::string_view pem) {
  absl::StatusOr<Bio> bio = ReadOnly(pem);
  if (!bio.ok()) return bio.status();
  auto handle = std::make_unique<Handle>();
  handle->key.reset(PEM_read_bio_PrivateKey(bio->get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (handle->key == nullptr || EVP_PKEY_get_id(handle->key.get()) != EVP_PKEY_ED25519) {
    return absl::InvalidArgumentError(
        "private key: wanted an Ed25519 key as PEM without a passphrase, \"-----BEGIN PRIVATE KEY-----\" "
        "(openssl genpkey -algorithm ed25519)");
  }
  return SigningKey(std::move(handle));
}

Signature SigningKey::Sign(absl::string_view message) const {
  Signature signature;
  size_t size = signature.size();
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  RF_CHECK(context != nullptr &&
           EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, handle_->key.get()) == 1 &&
           EVP_DigestSign(context.get(), signature.data(), &size, Bytes(message), message.size()) == 1 &&
           size == signature.size());
  return signature;
}

std::string SigningKey::ToPem() const {
  const Bio bio(BIO_new(BIO_s_secmem()));
  RF_CHECK(bio != nullptr && PEM_write_bio_PrivateKey(bio.get(), handle_->key.get(), nullptr, nullptr, 0,
                                                      nullptr, nullptr) == 1);
  return Written(bio.get());
}

}  // namespace ringfence::trust
