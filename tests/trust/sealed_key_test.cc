#include "ringfence/trust/sealed_key.h"

#include <gmock/gmock.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace ringfence::trust {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSeed(32, 's');
constexpr char kPassphrase[] = "correct horse battery staple";

std::string Sealed() {
  return *SealKey(kSeed, "ann", kPassphrase, kMinScryptLog2);
}

TEST(SealedKeyTest, OpensWithItsPassphraseAlone) {
  const std::string file = Sealed();
  const auto key = OpenKey(file, kPassphrase);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->public_key(), SigningKey::FromSeed(kSeed)->public_key());
  for (const char* wrong : {"", "correct horse battery stapl", "correct horse battery staple "})
    EXPECT_EQ(OpenKey(file, wrong).status().code(), absl::StatusCode::kPermissionDenied) << wrong;
  const auto open = ReadKeyFile(file);
  ASSERT_TRUE(open.ok());
  EXPECT_EQ(open->key, key->public_key());
  EXPECT_EQ(open->person, "ann");
  EXPECT_FALSE(open->throwaway);
}

TEST(SealedKeyTest, IsSealedDifferentlyEachTimeAndHoldsNoSeed) {
  EXPECT_NE(Sealed(), Sealed());
  EXPECT_THAT(Sealed(), Not(HasSubstr("73737373")));
}

// Every digit of the sealed part, and everything beside it, is under the seal.
TEST(SealedKeyTest, DoesNotOpenAfterAnyChange) {
  const std::string file = Sealed();
  const auto member = [&](const char* name) {
    return file.find('"', file.find(absl::StrCat("\"", name, "\": ")) + strlen(name) + 3) + 1;
  };
  int changed = 0;
  for (const char* name : {"sealed", "nonce", "salt", "person"}) {
    for (const size_t offset : {0, 1, 2}) {
      std::string bad = file;
      char& digit = bad[member(name) + offset];
      digit = digit == 'a' ? 'b' : 'a';
      if (bad == file) continue;
      EXPECT_EQ(OpenKey(bad, kPassphrase).status().code(), absl::StatusCode::kPermissionDenied)
          << name << bad;
      ++changed;
    }
  }
  EXPECT_GE(changed, 11);
  // Another key's public half.
  const std::string other = *SealKey(std::string(32, 't'), "ann", kPassphrase, kMinScryptLog2);
  const auto mine = ReadKeyFile(file), theirs = ReadKeyFile(other);
  const std::string swapped = absl::StrReplaceAll(
      file, {{mine->key.KeyId().ToString(), theirs->key.KeyId().ToString()},
             {file.substr(member("public"), 64), other.substr(other.find("\"public\": \"") + 11, 64)}});
  EXPECT_EQ(ReadKeyFile(swapped)->key, theirs->key) << "before it is opened, it is a claim";
  EXPECT_EQ(OpenKey(swapped, kPassphrase).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(SealedKeyTest, NamesTheMemberThatIsWrong) {
  const std::string file = Sealed();
  const std::pair<std::pair<std::string, std::string>, const char*> kCases[] = {
      {{"ringfence-key", "other"}, "format"},
      {{"\"version\": 1", "\"version\": 2"}, "version"},
      {{"\"ed25519\"", "\"rsa\""}, "keytype"},
      {{"\"scrypt\"", "\"md5\""}, "kdf"},
      {{"aes-256-gcm", "xor"}, "cipher"},
      {{"\"scrypt_log2_n\": 14", "\"scrypt_log2_n\": 40"}, "scrypt_log2_n"},
      {{"\"scrypt_log2_n\": 14", "\"scrypt_log2_n\": 1"}, "scrypt_log2_n"},
      {{"\"keyid\": \"", "\"keyid\": \"0"}, "keyid"},
      {{"\"public\": \"", "\"public\": \"0"}, "public"},
      {{"\"salt\": \"", "\"salt\": \"zz"}, "salt"},
      {{"\"sealed\": \"", "\"sealed\": \"00"}, "sealed"},
      {{"\"ann\"", "\"\""}, "person"},
  };
  for (const auto& [change, member] : kCases) {
    const std::string bad = absl::StrReplaceAll(file, {{change.first, change.second}});
    ASSERT_NE(bad, file) << member;
    const absl::Status status = ReadKeyFile(bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << member;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(member, ": found")));
  }
  EXPECT_FALSE(ReadKeyFile("").ok());
  EXPECT_FALSE(ReadKeyFile("[]").ok());
  EXPECT_FALSE(ReadKeyFile(file + std::string(kMaxKeyFileBytes, ' ')).ok());
}

TEST(SealedKeyTest, RefusesAShortPassphraseABadNameAndACheapSeal) {
  EXPECT_FALSE(SealKey(kSeed, "ann", "eleven byte", kMinScryptLog2).ok());
  EXPECT_FALSE(SealKey(kSeed, "", kPassphrase, kMinScryptLog2).ok());
  EXPECT_FALSE(SealKey(kSeed, "a\nb", kPassphrase, kMinScryptLog2).ok());
  EXPECT_FALSE(SealKey(kSeed, "ann", kPassphrase, kMinScryptLog2 - 1).ok());
  EXPECT_FALSE(SealKey(kSeed, "ann", kPassphrase, kMaxScryptLog2 + 1).ok());
  EXPECT_FALSE(SealKey("short", "ann", kPassphrase, kMinScryptLog2).ok());
}

TEST(ThrowawayKeyTest, LiesOpenAndSaysSo) {
  const std::string file = *ThrowawayKey(kSeed, "nobody");
  EXPECT_TRUE(ReadKeyFile(file)->throwaway);
  EXPECT_EQ(OpenKey(file, "")->public_key(), SigningKey::FromSeed(kSeed)->public_key());
  const std::string other = absl::StrReplaceAll(file, {{"\"seed\": \"73", "\"seed\": \"74"}});
  EXPECT_FALSE(OpenKey(other, "").ok()) << "the seed is not the public key's";
}

}  // namespace
}  // namespace ringfence::trust
