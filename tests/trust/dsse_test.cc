#include "ringfence/trust/dsse.h"

#include <gmock/gmock.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace ringfence::trust {
namespace {

using ::testing::HasSubstr;

SigningKey KeyOf(char letter) {
  return *SigningKey::FromSeed(std::string(32, letter));
}

Envelope EnvelopeBy(std::initializer_list<char> signers) {
  Envelope envelope{"application/x", "payload", {}};
  for (const char letter : signers) Sign(KeyOf(letter), &envelope);
  return envelope;
}

// The example of the DSSE protocol page (secure-systems-lab/dsse, protocol.md), which is signed with P-256:
// its envelope is read with our parser, its encoding made by ours, its signature checked with libcrypto
// directly.
TEST(DsseTest, ReadsAndEncodesThePublishedExample) {
  const auto envelope = ParseEnvelope(
      R"({"payload": "aGVsbG8gd29ybGQ=",
 "payloadType": "http://example.com/HelloWorld",
 "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]})");
  ASSERT_TRUE(envelope.ok()) << envelope.status();
  EXPECT_EQ(envelope->payload, "hello world");
  const std::string encoded = PreAuthEncoding(envelope->payload_type, envelope->payload);
  EXPECT_EQ(encoded, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");

  BIGNUM *x = nullptr, *y = nullptr;
  BN_dec2bn(&x, "46950820868899156662930047687818585632848591499744589407958293238635476079160");
  BN_dec2bn(&y, "5640078356564379163099075877009565129882514886557779369047442380624545832820");
  std::string point(65, '\4');
  BN_bn2binpad(x, reinterpret_cast<unsigned char*>(point.data()) + 1, 32);
  BN_bn2binpad(y, reinterpret_cast<unsigned char*>(point.data()) + 33, 32);
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  EVP_PKEY* key = nullptr;
  ASSERT_EQ(EVP_PKEY_fromdata_init(context), 1);
  ASSERT_EQ(EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params), 1);

  const std::string& raw = envelope->signatures[0].bytes;  // r and s, 32 bytes each
  ASSERT_EQ(raw.size(), 64u);
  ECDSA_SIG* signature = ECDSA_SIG_new();
  const auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG_set0(signature, BN_bin2bn(bytes, 32, nullptr), BN_bin2bn(bytes + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int der_size = i2d_ECDSA_SIG(signature, &der);
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  ASSERT_EQ(EVP_DigestVerifyInit(digest, nullptr, EVP_sha256(), nullptr, key), 1);
  EXPECT_EQ(EVP_DigestVerify(digest, der, static_cast<size_t>(der_size),
                             reinterpret_cast<const unsigned char*>(encoded.data()), encoded.size()),
            1);
  EVP_MD_CTX_free(digest);
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  EVP_PKEY_free(key);
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(builder);
  BN_free(x);
  BN_free(y);
}

// There is no published Ed25519 envelope; this one is pinned so that it does not change.
TEST(DsseTest, WritesTheSameEnvelopeForEver) {
  Envelope envelope{"http://example.com/HelloWorld", "hello world", {}};
  Sign(KeyOf('k'), &envelope);
  const std::string text = SerializeEnvelope(envelope);
  EXPECT_THAT(text,
              HasSubstr(R"("payload":"aGVsbG8gd29ybGQ=","payloadType":"http://example.com/HelloWorld")"));
  const auto again = ParseEnvelope(text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, envelope);
  const std::vector<PublicKey> trusted = {KeyOf('k').public_key()};
  EXPECT_TRUE(VerifyEnvelope(*again, trusted, 1).ok());
}

TEST(DsseTest, SignsTheTypeAndBothLengths) {
  EXPECT_EQ(PreAuthEncoding("", ""), "DSSEv1 0  0 ");
  EXPECT_NE(PreAuthEncoding("a", "b c"), PreAuthEncoding("a b", "c"));
  const std::vector<PublicKey> trusted = {KeyOf('a').public_key()};
  Envelope envelope = EnvelopeBy({'a'});
  envelope.payload_type = "application/y";
  EXPECT_FALSE(VerifyEnvelope(envelope, trusted, 1).ok());
  envelope = EnvelopeBy({'a'});
  envelope.payload += " ";
  EXPECT_FALSE(VerifyEnvelope(envelope, trusted, 1).ok());
}

TEST(DsseTest, TakesEitherBase64AlphabetPaddedOrNot) {
  const std::string text = SerializeEnvelope({"t", "\xfb\xff\xfe?", {{"", "\xff\xff"}}});
  ASSERT_THAT(text, HasSubstr("+//+Pw=="));
  for (const char* spelling : {"+//+Pw==", "-__-Pw==", "+//+Pw", "-__-Pw"}) {
    const auto parsed = ParseEnvelope(absl::StrReplaceAll(text, {{"+//+Pw==", spelling}}));
    ASSERT_TRUE(parsed.ok()) << spelling << parsed.status();
    EXPECT_EQ(parsed->payload, "\xfb\xff\xfe?");
  }
  for (const char* wrong : {"+__+Pw==", "+//+Pw=", "+//+Px==", "+//+P w==", "+//+Pw===", "+//+P", "=", "é"}) {
    EXPECT_FALSE(ParseEnvelope(absl::StrReplaceAll(text, {{"+//+Pw==", wrong}})).ok()) << wrong;
  }
}

// python-tuf GHSA-pwqf-9h7j-7mv8, tough GHSA-5q2r-92f9-4m49, go-tuf GHSA-3633-5h82-39pq: one key counted
// twice.
TEST(DsseTest, CountsAKeyOnceHoweverOftenItSigns) {
  const std::vector<PublicKey> trusted = {KeyOf('a').public_key(), KeyOf('b').public_key(),
                                          KeyOf('c').public_key()};
  EXPECT_FALSE(VerifyEnvelope(EnvelopeBy({'a', 'a'}), trusted, 2).ok());
  Envelope renamed = EnvelopeBy({'a', 'a'});
  renamed.signatures[1].key_id = KeyOf('b').public_key().KeyId().ToString();
  EXPECT_FALSE(VerifyEnvelope(renamed, trusted, 2).ok());
  EXPECT_TRUE(VerifyEnvelope(EnvelopeBy({'a', 'b'}), trusted, 2).ok());
}

TEST(DsseTest, CountsAKeyOnceHoweverOftenItIsTrusted) {
  const PublicKey key = KeyOf('a').public_key();
  const std::vector<PublicKey> twice = {key, key};
  EXPECT_FALSE(VerifyEnvelope(EnvelopeBy({'a', 'a'}), twice, 2).ok());
  EXPECT_EQ(Signers(EnvelopeBy({'a', 'a'}), twice).size(), 1u);
}

TEST(DsseTest, TakesTheKeyIdForAHintOnly) {
  const std::vector<PublicKey> trusted = {KeyOf('a').public_key()};
  Envelope envelope = EnvelopeBy({'a'});
  envelope.signatures[0].key_id = "nonsense";
  EXPECT_TRUE(VerifyEnvelope(envelope, trusted, 1).ok());
  envelope = EnvelopeBy({'b'});
  envelope.signatures[0].key_id = trusted[0].KeyId().ToString();
  EXPECT_FALSE(VerifyEnvelope(envelope, trusted, 1).ok());
}

TEST(DsseTest, SkipsSignaturesOfOthers) {
  const std::vector<PublicKey> trusted = {KeyOf('a').public_key()};
  Envelope envelope = EnvelopeBy({'x', 'a', 'y'});
  envelope.signatures[2].bytes = "short";
  EXPECT_TRUE(VerifyEnvelope(envelope, trusted, 1).ok());
}

TEST(DsseTest, IsNeverMetByNobody) {
  const std::vector<PublicKey> trusted = {KeyOf('a').public_key()};
  EXPECT_FALSE(VerifyEnvelope(EnvelopeBy({'a'}), {}, 1).ok());
  EXPECT_FALSE(VerifyEnvelope(EnvelopeBy({}), trusted, 0).ok());
  EXPECT_FALSE(VerifyEnvelope(EnvelopeBy({'a'}), trusted, -1).ok());
  EXPECT_THAT(std::string(VerifyEnvelope(EnvelopeBy({'a'}), trusted, 2).message()),
              HasSubstr("found 1 trusted key, wanted 2"));
}

TEST(DsseTest, NamesTheMemberThatIsWrong) {
  const auto why = [](const char* text) { return std::string(ParseEnvelope(text).status().message()); };
  EXPECT_THAT(why("[]"), HasSubstr("envelope: found array, wanted an object"));
  EXPECT_THAT(why(R"({"payload":"","signatures":[{"sig":""}]})"), HasSubstr("payloadType: found nothing"));
  EXPECT_THAT(why(R"({"payloadType":"","payload":"","signatures":[{"sig":""}]})"), HasSubstr("payloadType"));
  EXPECT_THAT(why(R"({"payloadType":"t","signatures":[{"sig":""}]})"), HasSubstr("payload: found nothing"));
  EXPECT_THAT(why(R"({"payloadType":"t","payload":"","signatures":[]})"),
              HasSubstr("signatures: found none"));
  EXPECT_THAT(why(R"({"payloadType":"t","payload":"","signatures":[{"sig":5}]})"),
              HasSubstr("signatures[0].sig"));
  EXPECT_THAT(why(R"({"payloadType":"t","payload":"","signatures":[{"sig":"","keyid":5}]})"),
              HasSubstr("keyid"));
  EXPECT_THAT(why(R"({"payload":"","payload":""})"), HasSubstr("has already"));
}

TEST(DsseTest, IgnoresMembersOfLaterVersions) {
  EXPECT_TRUE(
      ParseEnvelope(R"({"payloadType":"t","payload":"","x":{},"signatures":[{"sig":"","y":1}]})").ok());
}

TEST(DsseTest, BoundsSizeAndSignatures) {
  EXPECT_TRUE(absl::IsResourceExhausted(ParseEnvelope(std::string(kMaxEnvelopeBytes + 1, ' ')).status()));
  Envelope envelope{"t", "", {}};
  envelope.signatures.resize(kMaxEnvelopeSignatures + 1);
  EXPECT_TRUE(absl::IsResourceExhausted(ParseEnvelope(SerializeEnvelope(envelope)).status()));
}

}  // namespace
}  // namespace ringfence::trust
