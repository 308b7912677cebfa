#include "ringfence/trust/sealed_key.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/utf8.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"

namespace ringfence::trust {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "ringfence-key";
constexpr size_t kSaltBytes = 16, kNonceBytes = 12, kTagBytes = 16, kSecretBytes = 32;
constexpr uint64_t kScryptR = 8, kScryptP = 1;

const unsigned char* In(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Out(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

// A string that is wiped when it goes.
struct Secret {
  explicit Secret(size_t size) : bytes(size, '\0') {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  std::string bytes;
};

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

std::string Fresh(size_t size) {
  std::string bytes(size, '\0');
  RF_CHECK(RAND_bytes(Out(bytes), static_cast<int>(size)) == 1);
  return bytes;
}

absl::Status Wrong(absl::string_view member, absl::string_view found, absl::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("key file: ", member, ": found ", absl::Utf8SafeCEscape(found), ", wanted ", wanted));
}

void DeriveKey(absl::string_view passphrase, const std::string& salt, int log2, Secret* key) {
  const uint64_t n = uint64_t{1} << log2;
  RF_CHECK(EVP_PBE_scrypt(passphrase.data(), passphrase.size(), In(salt), salt.size(), n, kScryptR, kScryptP,
                          (n + 64) * 2 * 128 * kScryptR, Out(key->bytes), key->bytes.size()) == 1);
}

// Everything of the file but the sealed part: changed, the seal does not open.
std::string Associated(json file) {
  file.erase("sealed");
  return tuf::CanonicalJson(file);
}

absl::Status CheckPerson(const std::string& person) {
  if (!person.empty() && person.size() <= 100 && !FirstBadByte(person).has_value()) return absl::OkStatus();
  return Wrong("person", person, "a name of 1 to 100 readable bytes");
}

absl::StatusOr<json> Frame(absl::string_view seed, const std::string& person) {
  RETURN_IF_ERROR(CheckPerson(person));
  absl::StatusOr<SigningKey> key = SigningKey::FromSeed(seed);
  if (!key.ok()) return key.status();
  return json{{"format", kFormat},
              {"version", 1},
              {"keytype", "ed25519"},
              {"keyid", key->public_key().KeyId().ToString()},
              {"public", absl::BytesToHexString(key->public_key().raw())},
              {"person", person}};
}

absl::StatusOr<std::string> Hex(const json& file, const char* name, size_t size) {
  const auto found = file.find(name);
  const std::string wanted = absl::StrCat(2 * size, " lower-case hex digits");
  if (found == file.end() || !found->is_string()) return Wrong(name, "nothing", wanted);
  const std::string text = found->get<std::string>();
  const std::string bytes =
      text.size() == 2 * size && text.find_first_not_of("0123456789abcdef") == std::string::npos
          ? absl::HexStringToBytes(text)
          : std::string();
  if (bytes.size() != size) return Wrong(name, "another text", wanted);
  return bytes;
}

absl::Status Constant(const json& file, const char* name, const json& wanted) {
  const auto found = file.find(name);
  if (found != file.end() && *found == wanted) return absl::OkStatus();
  return Wrong(name, found == file.end() ? "nothing" : "another value", wanted.dump());
}

struct Parsed {
  json file;
  KeyFile open;
  int scrypt_log2 = 0;
};

absl::StatusOr<Parsed> Parse(absl::string_view bytes) {
  absl::StatusOr<json> read = ParseStrictJson(bytes, kMaxKeyFileBytes);
  if (!read.ok()) return absl::InvalidArgumentError(absl::StrCat("key file: ", read.status().message()));
  if (!read->is_object()) return Wrong("document", read->type_name(), "an object");
  Parsed parsed{*std::move(read), {}, 0};
  const json& file = parsed.file;
  RETURN_IF_ERROR(Constant(file, "format", kFormat));
  RETURN_IF_ERROR(Constant(file, "version", 1));
  RETURN_IF_ERROR(Constant(file, "keytype", "ed25519"));
  ASSIGN_OR_RETURN(const std::string raw, Hex(file, "public", 32));
  ASSIGN_OR_RETURN(parsed.open.key, PublicKey::FromBytes(raw));
  RETURN_IF_ERROR(Constant(file, "keyid", parsed.open.key.KeyId().ToString()));
  const auto person = file.find("person");
  if (person == file.end() || !person->is_string()) return Wrong("person", "nothing", "a name");
  parsed.open.person = person->get<std::string>();
  RETURN_IF_ERROR(CheckPerson(parsed.open.person));
  if (file.contains("throwaway")) {
    RETURN_IF_ERROR(Constant(file, "throwaway", true));
    parsed.open.throwaway = true;
    RETURN_IF_ERROR(Hex(file, "seed", kSecretBytes).status());
    return parsed;
  }
  RETURN_IF_ERROR(Constant(file, "kdf", "scrypt"));
  RETURN_IF_ERROR(Constant(file, "cipher", "aes-256-gcm"));
  const auto log2 = file.find("scrypt_log2_n");
  if (log2 == file.end() || !log2->is_number_integer() || log2->get<int64_t>() < kMinScryptLog2 ||
      log2->get<int64_t>() > kMaxScryptLog2) {
    return Wrong("scrypt_log2_n", "nothing or another value",
                 absl::StrCat(kMinScryptLog2, " to ", kMaxScryptLog2));
  }
  parsed.scrypt_log2 = log2->get<int>();
  RETURN_IF_ERROR(Hex(file, "salt", kSaltBytes).status());
  RETURN_IF_ERROR(Hex(file, "nonce", kNonceBytes).status());
  RETURN_IF_ERROR(Hex(file, "sealed", kSecretBytes + kTagBytes).status());
  return parsed;
}

}  // namespace

std::string FreshSeed() {
  return Fresh(kSecretBytes);
}

absl::StatusOr<std::string> SealKey(absl::string_view seed, const std::string& person,
                                    absl::string_view passphrase, int scrypt_log2) {
  if (passphrase.size() < kMinPassphraseBytes)
    return absl::InvalidArgumentError(absl::StrCat("passphrase: found ", passphrase.size(),
                                                   " bytes, wanted at least ", kMinPassphraseBytes));
  if (scrypt_log2 < kMinScryptLog2 || scrypt_log2 > kMaxScryptLog2)
    return Wrong("scrypt_log2_n", absl::StrCat(scrypt_log2),
                 absl::StrCat(kMinScryptLog2, " to ", kMaxScryptLog2));
  ASSIGN_OR_RETURN(json file, Frame(seed, person));
  const std::string salt = Fresh(kSaltBytes), nonce = Fresh(kNonceBytes);
  file["kdf"] = "scrypt";
  file["scrypt_log2_n"] = scrypt_log2;
  file["salt"] = absl::BytesToHexString(salt);
  file["cipher"] = "aes-256-gcm";
  file["nonce"] = absl::BytesToHexString(nonce);
  Secret key(kSecretBytes);
  DeriveKey(passphrase, salt, scrypt_log2, &key);
  const std::string associated = Associated(file);
  std::string sealed(kSecretBytes, '\0'), tag(kTagBytes, '\0');
  const Cipher context(EVP_CIPHER_CTX_new());
  int size = 0;
  RF_CHECK(
      context != nullptr &&
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, In(key.bytes), In(nonce)) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &size, In(associated), static_cast<int>(associated.size())) ==
          1 &&
      EVP_EncryptUpdate(context.get(), Out(sealed), &size, In(seed), static_cast<int>(seed.size())) == 1 &&
      size == static_cast<int>(kSecretBytes) && EVP_EncryptFinal_ex(context.get(), Out(sealed), &size) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data()) == 1);
  file["sealed"] = absl::BytesToHexString(sealed + tag);
  return file.dump(1) + "\n";
}

absl::StatusOr<std::string> ThrowawayKey(absl::string_view seed, const std::string& person) {
  ASSIGN_OR_RETURN(json file, Frame(seed, person));
  file["throwaway"] = true;
  file["seed"] = absl::BytesToHexString(seed);
  return file.dump(1) + "\n";
}

absl::StatusOr<KeyFile> ReadKeyFile(absl::string_view bytes) {
  ASSIGN_OR_RETURN(Parsed parsed, Parse(bytes));
  return parsed.open;
}

absl::StatusOr<SigningKey> OpenKey(absl::string_view bytes, absl::string_view passphrase) {
  ASSIGN_OR_RETURN(const Parsed parsed, Parse(bytes));
  Secret seed(kSecretBytes);
  if (parsed.open.throwaway) {
    ASSIGN_OR_RETURN(seed.bytes, Hex(parsed.file, "seed", kSecretBytes));
  } else {
    ASSIGN_OR_RETURN(const std::string salt, Hex(parsed.file, "salt", kSaltBytes));
    ASSIGN_OR_RETURN(const std::string nonce, Hex(parsed.file, "nonce", kNonceBytes));
    ASSIGN_OR_RETURN(const std::string sealed, Hex(parsed.file, "sealed", kSecretBytes + kTagBytes));
    std::string tag = sealed.substr(kSecretBytes);
    Secret key(kSecretBytes);
    DeriveKey(passphrase, salt, parsed.scrypt_log2, &key);
    const std::string associated = Associated(parsed.file);
    const Cipher context(EVP_CIPHER_CTX_new());
    int size = 0;
    const bool opened =
        context != nullptr &&
        EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, In(key.bytes), In(nonce)) == 1 &&
        EVP_DecryptUpdate(context.get(), nullptr, &size, In(associated),
                          static_cast<int>(associated.size())) == 1 &&
        EVP_DecryptUpdate(context.get(), Out(seed.bytes), &size, In(sealed), kSecretBytes) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1 &&
        EVP_DecryptFinal_ex(context.get(), Out(seed.bytes), &size) == 1;
    ERR_clear_error();
    if (!opened)
      return absl::PermissionDeniedError("key file: the passphrase is wrong, or the file was changed");
  }
  ASSIGN_OR_RETURN(SigningKey key, SigningKey::FromSeed(seed.bytes));
  if (key.public_key() != parsed.open.key)
    return Wrong("public", "another key", "the one of the private key");
  return key;
}

}  // namespace ringfence::trust
