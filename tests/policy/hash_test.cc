#include "ringfence/base/hash.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/strings/escaping.h"

namespace ringfence {
namespace {

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString(digest.raw());
}

// FIPS 180-4.
TEST(HashTest, Sha256IsThePublishedOne) {
  EXPECT_EQ(Hex(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(HashTest, StreamAndOneShotAgreeHoweverTheBytesArrive) {
  std::string bytes;
  for (int size = 0; size < 300; ++size, bytes.push_back(static_cast<char>(size * 7))) {
    Sha256Stream stream;
    for (size_t at = 0; at < bytes.size(); at += 13) stream.Update(absl::string_view(bytes).substr(at, 13));
    EXPECT_EQ(stream.Finish(), Sha256(bytes));
  }
}

// RFC 4231, test cases 1, 2, 6 and 7: keys shorter and longer than a block.
TEST(HashTest, HmacIsThePublishedOne) {
  EXPECT_EQ(Hex(HmacSha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(Hex(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(
      Hex(HmacSha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(Hex(HmacSha256(
                std::string(131, '\xaa'),
                "This is a test using a larger than block-size key and a larger than block-size data. The "
                "key needs to be hashed before being used by the HMAC algorithm.")),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(HashTest, ThreadsHashWithoutDisturbingEachOther) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&wrong, t] {
      const std::string mine(100 * (t + 1), static_cast<char>('a' + t));
      const Digest first = HmacSha256(mine, mine);
      for (int i = 0; i < 500; ++i) wrong[t] += HmacSha256(mine, mine) == first ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

}  // namespace
}  // namespace ringfence
