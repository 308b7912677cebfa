#include "ringfence/trust/ed25519.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"

namespace ringfence::trust {
namespace {

constexpr char kVectors[] = "tests/data/wycheproof/ed25519_test.json";

std::string Hex(const nlohmann::json& value) {
  return absl::HexStringToBytes(value.get<std::string>());
}

absl::string_view View(const Signature& signature) {
  return {reinterpret_cast<const char*>(signature.data()), signature.size()};
}

TEST(Ed25519Test, AgreesWithEveryVectorOfWycheproof) {
  std::ifstream file(kVectors);
  ASSERT_TRUE(file.is_open()) << kVectors;
  const nlohmann::json vectors = nlohmann::json::parse(file);
  int checked = 0;
  for (const nlohmann::json& group : vectors.at("testGroups")) {
    const auto key = PublicKey::FromBytes(Hex(group.at("publicKey").at("pk")));
    ASSERT_TRUE(key.ok()) << key.status();
    const auto from_pem = PublicKey::FromPem(group.at("publicKeyPem").get<std::string>());
    ASSERT_TRUE(from_pem.ok() && *from_pem == *key);
    for (const nlohmann::json& test : group.at("tests")) {
      EXPECT_EQ(Verify(*key, Hex(test.at("msg")), Hex(test.at("sig"))), test.at("result") == "valid")
          << "tcId " << test.at("tcId") << ": " << test.at("comment");
      ++checked;
    }
  }
  EXPECT_EQ(checked, vectors.at("numberOfTests").get<int>());
}

// RFC 8032, section 7.1, test 2.
TEST(Ed25519Test, SignsAsTheRfcDoes) {
  const auto key = SigningKey::FromSeed(
      absl::HexStringToBytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(absl::BytesToHexString(key->public_key().raw()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  EXPECT_EQ(absl::BytesToHexString(View(key->Sign("\x72"))),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(Ed25519Test, ReadsBackTheKeysThatItWrites) {
  const SigningKey key = SigningKey::Generate();
  const auto again = SigningKey::FromPem(key.ToPem());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->public_key(), key.public_key());
  const auto public_again = PublicKey::FromPem(key.public_key().ToPem());
  ASSERT_TRUE(public_again.ok()) << public_again.status();
  EXPECT_EQ(*public_again, key.public_key());
  EXPECT_NE(SigningKey::Generate().public_key(), key.public_key());
}

TEST(Ed25519Test, RefusesASignatureOfAnotherKeyMessageOrLength) {
  const SigningKey key = SigningKey::Generate();
  const Signature signature = key.Sign("go");
  EXPECT_TRUE(Verify(key.public_key(), "go", View(signature)));
  EXPECT_FALSE(Verify(key.public_key(), "no", View(signature)));
  EXPECT_FALSE(Verify(SigningKey::Generate().public_key(), "go", View(signature)));
  EXPECT_FALSE(Verify(key.public_key(), "go", View(signature).substr(0, 63)));
  EXPECT_FALSE(Verify(key.public_key(), "go", ""));
}

TEST(Ed25519Test, RefusesKeysUnderWhichAnybodyCanSign) {
  for (const char* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000080",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
                          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"}) {
    EXPECT_FALSE(PublicKey::FromBytes(absl::HexStringToBytes(hex)).ok()) << hex;
  }
}

// One key under two spellings would count twice.
TEST(Ed25519Test, RefusesASecondSpellingOfAKey) {
  const auto key = PublicKey::FromBytes(
      absl::HexStringToBytes("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"));
  EXPECT_EQ(key.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Ed25519Test, SaysWhatKeyFileItWanted) {
  EXPECT_THAT(std::string(SigningKey::FromPem("no key").status().message()),
              ::testing::HasSubstr("openssl genpkey -algorithm ed25519"));
  EXPECT_THAT(std::string(PublicKey::FromPem(SigningKey::Generate().ToPem()).status().message()),
              ::testing::HasSubstr("openssl pkey -pubout"));
  EXPECT_THAT(std::string(PublicKey::FromBytes("short").status().message()), ::testing::HasSubstr("5 bytes"));
  EXPECT_FALSE(SigningKey::FromPem(std::string(5000, 'A')).ok());
}

// A P-256 key is a key, but not one of ours.
TEST(Ed25519Test, RefusesKeysOfOtherAlgorithms) {
  EXPECT_FALSE(PublicKey::FromPem("-----BEGIN PUBLIC KEY-----\n"
                                  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEf0HeQuTR8pinQsv6RNnOUzRRv60\n"
                                  "3ZZb82haHyTZwjEQ+KL0PSKNwptEYyPhIVCzw9IPqGvKHNHpGfiJq6Sg2Q==\n"
                                  "-----END PUBLIC KEY-----\n")
                   .ok());
}

}  // namespace
}  // namespace ringfence::trust
