#include "ringfence/tuf/key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::tuf {
namespace {

constexpr size_t kMaxPemBytes = 4096;
constexpr int kMinRsaBits = 2048, kMaxRsaBits = 8192;
constexpr size_t kMaxSignatureBytes = kMaxRsaBits / 8;

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
struct FreeNumber {
  void operator()(BIGNUM* number) const { BN_free(number); }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, FreeKey>;

// Nobody is asked for a passphrase.
int NoPassphrase(char*, int, int, void*) {
  return -1;
}

KeyHandle FromPem(absl::string_view pem) {
  if (pem.size() > kMaxPemBytes) return nullptr;
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return nullptr;
  return KeyHandle(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassphrase, nullptr));
}

// "name=hex": a number of the key, not the bytes it came in, so that another encoding of a point or another
// exponent before the same modulus does not make another key of it.
std::optional<std::string> Number(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return std::nullopt;
  const std::unique_ptr<BIGNUM, FreeNumber> number(raw);
  char* hex = BN_bn2hex(number.get());
  if (hex == nullptr) return std::nullopt;
  const std::string text = absl::StrCat(name, "=", hex);
  OPENSSL_free(hex);
  return text;
}

bool IsP256(const EVP_PKEY* key) {
  char group[64] = {};
  size_t size = 0;
  return EVP_PKEY_get_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &size) == 1 &&
         absl::string_view(group) == "prime256v1";
}

bool IsUsableRsa(const EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_id(key) == EVP_PKEY_RSA ? EVP_PKEY_get_bits(key) : 0;
  return bits >= kMinRsaBits && bits <= kMaxRsaBits;
}

}  // namespace

struct Key::Handle {
  std::optional<trust::PublicKey> ed25519;
  KeyHandle key;  // of the other kinds
  bool pss = false;
};

Key Key::Parse(absl::string_view type, absl::string_view scheme, absl::string_view text) {
  Key result;
  auto handle = std::make_shared<Handle>();
  if (type == "ed25519" && scheme == "ed25519") {
    const bool hex = text.size() == 64 && std::all_of(text.begin(), text.end(), absl::ascii_isxdigit);
    const auto key = trust::PublicKey::FromBytes(hex ? absl::HexStringToBytes(text) : "");
    if (!key.ok()) return result;
    handle->ed25519 = *key;
    result.identity_ = absl::StrCat("ed25519:", absl::BytesToHexString(key->raw()));
  } else if ((type == "ecdsa" || type == "ecdsa-sha2-nistp256") && scheme == "ecdsa-sha2-nistp256") {
    handle->key = FromPem(text);
    if (handle->key != nullptr && IsP256(handle->key.get())) {
      const auto x = Number(handle->key.get(), OSSL_PKEY_PARAM_EC_PUB_X);
      const auto y = Number(handle->key.get(), OSSL_PKEY_PARAM_EC_PUB_Y);
      if (x.has_value() && y.has_value()) result.identity_ = absl::StrCat("p256:", *x, ",", *y);
    }
  } else if (type == "rsa" && scheme == "rsassa-pss-sha256") {
    handle->key = FromPem(text);
    handle->pss = true;
    if (handle->key != nullptr && IsUsableRsa(handle->key.get())) {
      if (const auto n = Number(handle->key.get(), OSSL_PKEY_PARAM_RSA_N))
        result.identity_ = absl::StrCat("rsa:", *n);
    }
  }
  ERR_clear_error();
  if (!result.identity_.empty()) result.handle_ = std::move(handle);
  return result;
}

bool Key::Verify(absl::string_view message, absl::string_view signature) const {
  if (handle_ == nullptr || signature.empty() || signature.size() > kMaxSignatureBytes) return false;
  if (handle_->ed25519.has_value()) return trust::Verify(*handle_->ed25519, message, signature);
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `context`
  bool valid = context != nullptr && EVP_DigestVerifyInit(context.get(), &parameters, EVP_sha256(), nullptr,
                                                          handle_->key.get()) == 1;
  if (valid && handle_->pss) {
    valid = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_AUTO) == 1 &&
            EVP_PKEY_CTX_set_rsa_mgf1_md(parameters, EVP_sha256()) == 1;
  }
  valid = valid && EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                                    signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                                    message.size()) == 1;
  ERR_clear_error();  // a refused signature leaves no error behind for somebody else's call
  return valid;
}

}  // namespace ringfence::tuf
