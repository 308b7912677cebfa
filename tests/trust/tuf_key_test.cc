#include "ringfence/tuf/key.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::tuf {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Pair = std::unique_ptr<EVP_PKEY, FreeKey>;

std::string PublicPem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  EXPECT_EQ(PEM_write_bio_PUBKEY(bio, key), 1);
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio, &data));
  std::string pem(data, size);
  BIO_free(bio);
  return pem;
}

std::string SignWith(EVP_PKEY* key, const std::string& message, bool pss, int salt = RSA_PSS_SALTLEN_DIGEST) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* parameters = nullptr;
  EXPECT_EQ(EVP_DigestSignInit(context, &parameters, EVP_sha256(), nullptr, key), 1);
  if (pss) {
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, salt), 1);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  size_t size = 0;
  EXPECT_EQ(EVP_DigestSign(context, nullptr, &size, bytes, message.size()), 1);
  std::string signature(size, '\0');
  EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, bytes,
                           message.size()),
            1);
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return signature;
}

void ExpectVerifiesOnlyThis(const Key& key, const std::string& message, const std::string& signature) {
  ASSERT_TRUE(key.usable());
  EXPECT_TRUE(key.Verify(message, signature));
  EXPECT_FALSE(key.Verify(message + "!", signature));
  EXPECT_FALSE(key.Verify(message, ""));
  EXPECT_FALSE(key.Verify(message, signature.substr(1)));
  EXPECT_FALSE(key.Verify(message, signature + "x"));
  std::string other = signature;
  other[other.size() / 2] = static_cast<char>(other[other.size() / 2] ^ 1);
  EXPECT_FALSE(key.Verify(message, other));
}

TEST(TufKeyTest, VerifiesEd25519) {
  const auto pair = trust::SigningKey::FromSeed(std::string(32, 'k'));
  const trust::Signature signature = pair->Sign("message");
  const std::string hex = absl::BytesToHexString(pair->public_key().raw());
  const Key key = Key::Parse("ed25519", "ed25519", hex);
  ExpectVerifiesOnlyThis(key, "message", std::string(signature.begin(), signature.end()));
  EXPECT_EQ(Key::Parse("ed25519", "ed25519", absl::AsciiStrToUpper(hex)).identity(), key.identity());
}

TEST(TufKeyTest, VerifiesEcdsaP256AndKnowsItInEveryEncoding) {
  const Pair pair(EVP_EC_gen("P-256"));
  const std::string pem = PublicPem(pair.get());
  const Key key = Key::Parse("ecdsa", "ecdsa-sha2-nistp256", pem);
  ExpectVerifiesOnlyThis(key, "message", SignWith(pair.get(), "message", false));
  EXPECT_EQ(Key::Parse("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", pem + "\n").identity(), key.identity());
  // The same point, compressed.
  EVP_PKEY_set_utf8_string_param(pair.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed");
  const std::string compressed = PublicPem(pair.get());
  ASSERT_NE(compressed, pem);
  EXPECT_EQ(Key::Parse("ecdsa", "ecdsa-sha2-nistp256", compressed).identity(), key.identity());
}

TEST(TufKeyTest, AgreesWithEveryEcdsaVectorOfWycheproof) {
  constexpr char kVectors[] = "tests/data/wycheproof/ecdsa_secp256r1_sha256_test.json";
  std::ifstream file(kVectors);
  ASSERT_TRUE(file.is_open()) << kVectors;
  const nlohmann::json vectors = nlohmann::json::parse(file);
  int checked = 0;
  for (const nlohmann::json& group : vectors.at("testGroups")) {
    const Key key = Key::Parse("ecdsa", "ecdsa-sha2-nistp256", group.at("publicKeyPem").get<std::string>());
    ASSERT_TRUE(key.usable());
    for (const nlohmann::json& test : group.at("tests")) {
      EXPECT_EQ(key.Verify(absl::HexStringToBytes(test.at("msg").get<std::string>()),
                           absl::HexStringToBytes(test.at("sig").get<std::string>())),
                test.at("result") == "valid")
          << "tcId " << test.at("tcId") << ": " << test.at("comment");
      ++checked;
    }
  }
  EXPECT_EQ(checked, vectors.at("numberOfTests").get<int>());
}

TEST(TufKeyTest, VerifiesRsaPssWithAnySaltAndNoOtherPadding) {
  const Pair pair(EVP_RSA_gen(2048));
  const Key key = Key::Parse("rsa", "rsassa-pss-sha256", PublicPem(pair.get()));
  ExpectVerifiesOnlyThis(key, "message", SignWith(pair.get(), "message", true));
  EXPECT_TRUE(key.Verify("message", SignWith(pair.get(), "message", true, RSA_PSS_SALTLEN_MAX)));
  EXPECT_FALSE(key.Verify("message", SignWith(pair.get(), "message", false)));
}

TEST(TufKeyTest, OfOtherKindsSizesAndMixturesIsNotUsable) {
  const Pair small(EVP_RSA_gen(1024)), rsa(EVP_RSA_gen(2048)), p384(EVP_EC_gen("P-384")),
      p256(EVP_EC_gen("P-256"));
  const struct {
    const char* type;
    const char* scheme;
    std::string text;
  } kCases[] = {
      {"rsa", "rsassa-pss-sha256", PublicPem(small.get())},
      {"rsa", "rsassa-pss-sha256", PublicPem(p256.get())},
      {"rsa", "rsassa-pkcs1v15-sha256", PublicPem(rsa.get())},
      {"ecdsa", "ecdsa-sha2-nistp256", PublicPem(p384.get())},
      {"ecdsa", "ecdsa-sha2-nistp256", PublicPem(rsa.get())},
      {"ecdsa", "ecdsa-sha2-nistp384", PublicPem(p384.get())},
      {"ecdsa", "ecdsa-sha2-nistp256", ""},
      {"ecdsa", "ecdsa-sha2-nistp256", std::string(5000, 'A')},
      {"ed25519", "ed25519", std::string(64, '0')},  // a point of small order
      {"ed25519", "ed25519", std::string(63, 'a')},
      {"ed25519", "ed25519", std::string(64, 'x')},
      {"ed25519", "ecdsa-sha2-nistp256", PublicPem(p256.get())},
      {"", "", ""},
  };
  for (const auto& test : kCases) {
    const Key key = Key::Parse(test.type, test.scheme, test.text);
    EXPECT_FALSE(key.usable()) << test.type << " " << test.scheme;
    EXPECT_EQ(key.identity(), "");
    EXPECT_FALSE(key.Verify("message", "signature"));
  }
}

}  // namespace
}  // namespace ringfence::tuf
