#include "ringfence/base/hash.h"

#include <openssl/evp.h>

#include <initializer_list>

#include "ringfence/base/check.h"

namespace ringfence {
namespace {

// libcrypto's one-shot functions look the algorithm up by name at each call, which takes four times as long
// as hashing a credential does. Looked up once; lives as long as the process.
const EVP_MD* TheSha256() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  RF_CHECK(md != nullptr);
  return md;
}

class Context {
 public:
  Context() : context_(EVP_MD_CTX_new()) { RF_CHECK(context_ != nullptr); }
  ~Context() { EVP_MD_CTX_free(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void Start() { RF_CHECK(EVP_DigestInit_ex(context_, TheSha256(), nullptr) == 1); }
  void Update(absl::string_view bytes) {
    RF_CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
  }
  Digest Finish() {
    Digest digest;
    unsigned int size = 0;
    RF_CHECK(EVP_DigestFinal_ex(context_, digest.bytes.data(), &size) == 1 && size == digest.bytes.size());
    return digest;
  }

 private:
  EVP_MD_CTX* const context_;
};

Digest HashOf(std::initializer_list<absl::string_view> parts) {
  static thread_local Context context;
  context.Start();
  for (const absl::string_view part : parts) context.Update(part);
  return context.Finish();
}

}  // namespace

Digest Sha256(absl::string_view bytes) {
  return HashOf({bytes});
}

// RFC 2104, from two hashes: libcrypto's HMAC takes five times as long for a short text.
Digest HmacSha256(absl::string_view key, absl::string_view bytes) {
  constexpr size_t kBlock = 64;
  const Digest short_key = key.size() > kBlock ? Sha256(key) : Digest();
  if (key.size() > kBlock) key = short_key.raw();
  std::array<char, kBlock> inner;
  std::array<char, kBlock> outer;
  inner.fill(0x36);
  outer.fill(0x5c);
  for (size_t i = 0; i < key.size(); ++i) {
    inner[i] = static_cast<char>(inner[i] ^ key[i]);
    outer[i] = static_cast<char>(outer[i] ^ key[i]);
  }
  const Digest within = HashOf({absl::string_view(inner.data(), kBlock), bytes});
  return HashOf({absl::string_view(outer.data(), kBlock), within.raw()});
}

struct Sha256Stream::State {
  Context context;
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  state_->context.Start();
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::Update(absl::string_view bytes) {
  state_->context.Update(bytes);
}

Digest Sha256Stream::Finish() {
  return state_->context.Finish();
}

HashInput& HashInput::String(absl::string_view text) {
  const uint32_t size = static_cast<uint32_t>(text.size());
  for (int shift = 24; shift >= 0; shift -= 8) bytes_.push_back(static_cast<char>(size >> shift));
  bytes_.append(text.data(), text.size());
  return *this;
}

HashInput& HashInput::Raw(absl::string_view bytes) {
  bytes_.append(bytes.data(), bytes.size());
  return *this;
}

HashInput& HashInput::U64(uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes_.push_back(static_cast<char>(value >> shift));
  return *this;
}

HashInput& HashInput::U8(uint8_t value) {
  bytes_.push_back(static_cast<char>(value));
  return *this;
}

uint64_t HeadBigEndian(const Digest& digest) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | digest.bytes[i];
  return value;
}

}  // namespace ringfence
