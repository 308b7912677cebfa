// Any bytes as a lease, a halt, an order to go on, and as the memory of halts. The first byte chooses. What a
// signature would keep out is signed here, so that the parsers behind it are reached.
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "ringfence/trust/halt_book.h"
#include "ringfence/trust/lease.h"

namespace ringfence::trust {
namespace {

const SigningKey& Ann() {
  static const SigningKey key = *SigningKey::FromSeed(std::string(32, 'a'));
  return key;
}
const SigningKey& Bob() {
  static const SigningKey key = *SigningKey::FromSeed(std::string(32, 'b'));
  return key;
}

const Authority& Everybody() {
  static const Authority authority = {.director = {Ann().public_key()},
                                      .halt = {Ann().public_key()},
                                      .resume = {{Ann().public_key(), "ann"}, {Bob().public_key(), "bob"}}};
  return authority;
}

std::string Sealed(const char* type, const std::string& payload) {
  Envelope envelope{type, payload, {}};
  Sign(Ann(), &envelope);
  Sign(Bob(), &envelope);
  return SerializeEnvelope(envelope);
}

void FuzzLease(const std::string& bytes) {
  const absl::StatusOr<Lease> lease = ParseLease(bytes);
  LeaseQuestion question;
  question.nonce = std::string(kNonceBytes, 'n');
  const auto judged = VerifyLease(Sealed(kLeaseType, bytes), Everybody(), question, absl::Seconds(1));
  // A question that names no bytes is never answered with yes.
  RF_CHECK(absl::IsPermissionDenied(judged.status()));
  if (!lease.ok()) return;
  question = {lease->tenant,    lease->agent,    lease->nonce,
              lease->channel,   lease->sha256,   lease->length,
              lease->to_serial, lease->halt_seq, PlanName{lease->plan_version, lease->plan_sha256}};
  const auto again = VerifyLease(SignLease(*lease, Ann()), Everybody(), question, absl::ZeroDuration());
  RF_CHECK(again.ok() ? *again == *lease : lease->from_serial >= lease->to_serial);
  RF_CHECK(!VerifyLease(SignLease(*lease, Ann()), Everybody(), question, kMaxLeaseTtl).ok());
}

void FuzzHalt(const std::string& bytes) {
  const auto notice = VerifyHalt(Sealed(kHaltType, bytes), Everybody());
  if (!notice.ok()) return;
  const auto again = VerifyHalt(SignHalt(*notice, Ann()), Everybody());
  RF_CHECK(again.ok() && *again == *notice);
  HaltBook book;
  book.Add(*notice);
  RF_CHECK(book.On(notice->scope.sha256, notice->scope.tenant) != nullptr);
  RF_CHECK(book.On(notice->scope.sha256, notice->scope.tenant, notice->scope.ring) != nullptr);
  RF_CHECK((book.On(notice->scope.sha256, notice->scope.tenant, "?") == nullptr) !=
           notice->scope.ring.empty());  // no ring has this name
  const auto read = HaltBook::Parse(book.Serialize());
  RF_CHECK(read.ok() && *read == book);
}

void FuzzOrder(const std::string& bytes) {
  const auto order = VerifyOrder(Sealed(kResumeType, bytes), Everybody(), absl::UnixEpoch());
  if (!order.ok()) return;
  RF_CHECK(order->not_after - order->issued_at <= kResumeLife);
  RF_CHECK(!VerifyOrder(Sealed(kResumeType, bytes), Everybody(), order->not_after).ok());
  const auto again = ReadOrder(DraftOrder(*order));
  RF_CHECK(again.ok() && *again == *order);
}

void FuzzBook(const std::string& bytes) {
  const auto book = HaltBook::Parse(bytes);
  if (!book.ok()) return;
  const auto again = HaltBook::Parse(book->Serialize());
  RF_CHECK(again.ok() && *again == *book);
}

}  // namespace
}  // namespace ringfence::trust

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0:
      ringfence::trust::FuzzLease(bytes);
      break;
    case 1:
      ringfence::trust::FuzzHalt(bytes);
      break;
    case 2:
      ringfence::trust::FuzzOrder(bytes);
      break;
    case 3:
      ringfence::trust::FuzzBook(bytes);
      break;
    default:
      // As they come from the wire.
      RF_CHECK(!ringfence::trust::VerifyHalt(bytes, {}).ok());
      RF_CHECK(!ringfence::trust::VerifyOrder(bytes, {}, absl::UnixEpoch()).ok());
      RF_CHECK(!ringfence::trust::VerifyLease(bytes, {}, {}, absl::ZeroDuration()).ok());
      break;
  }
  return 0;
}
