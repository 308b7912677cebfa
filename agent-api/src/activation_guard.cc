#include "ringfence/agent/activation_guard.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/halt.h"
#include "ringfence/trust/lease.h"

namespace ringfence::agent {
namespace {

constexpr int kOwnerOnly = 0600;
constexpr size_t kMostReason = 200;  // of a refusal, as it goes into logs and replies

std::string FreshNonce() {
  std::random_device device;  // getrandom
  std::string nonce;
  while (nonce.size() < trust::kNonceBytes) nonce.push_back(static_cast<char>(device() & 0xff));
  return nonce;
}

// "SHA256\n" and the book.
std::string Seal(const std::string& book) {
  return absl::StrCat(Sha256(book).ToString(), "\n", book);
}

absl::StatusOr<trust::HaltBook> Unseal(const std::string& bytes) {
  const size_t end = bytes.find('\n');
  if (end == std::string::npos || Sha256(bytes.substr(end + 1)).ToString() != bytes.substr(0, end))
    return absl::DataLossError("checksum does not match");
  return trust::HaltBook::Parse(absl::string_view(bytes).substr(end + 1));
}

LeaseReply Refused(std::string why) {
  LeaseReply refused;
  refused.reason = why.substr(0, kMostReason);
  return refused;
}

}  // namespace

ActivationGuard::ActivationGuard(FileSystem* files, std::string folder, Clock* wall,
                                 trust::Authority authority)
    : files_(files), folder_(std::move(folder)), wall_(wall), authority_(std::move(authority)) {
  const absl::StatusOr<std::string> bytes = files_->Read(folder_ + "/halts");
  if (absl::IsNotFound(bytes.status())) return;
  absl::StatusOr<trust::HaltBook> book = bytes.ok() ? Unseal(*bytes) : bytes.status();
  if (book.ok()) {
    book_ = *std::move(book);
  } else {
    memory_ = absl::DataLossError(
        absl::StrCat(folder_, "/halts: ", book.status().message(), "; remove it if no halt may be in it"));
  }
}

void ActivationGuard::Follow(const trust::TrustDocument& document) {
  if (document.version <= followed_) return;
  followed_ = document.version;
  authority_.Follow(document);
}

std::string ActivationGuard::Describe() const {
  if (!memory_.ok()) return absl::StrCat("nothing is activated on this host: ", memory_.message());
  return absl::StrCat(verifies_leases() ? "leases must be signed by the director"
                                        : "leases are not verified on this host: no director's key is pinned",
                      authority_.halt.empty() ? "; signed halts are not kept: no halting key is pinned"
                                              : absl::StrCat("; ", book_.size(), " signed halts are kept"));
}

std::string ActivationGuard::Ask(uint64_t ask, const AgentId& agent, const std::string& tenant,
                                 const Directive& release, absl::Time now) {
  Question question{release, agent, tenant, FreshNonce(), now};
  std::string nonce = question.nonce;
  open_[release.channel] = {ask, std::move(question)};
  return nonce;
}

LeaseReply ActivationGuard::Judge(uint64_t ask, LeaseReply reply, absl::Time now) {
  std::optional<Question> question;
  for (auto it = open_.begin(); it != open_.end(); ++it) {
    if (it->second.first != ask) continue;
    question = std::move(it->second.second);
    open_.erase(it);  // one use, whatever comes of it
    break;
  }
  if (!reply.granted) return reply;
  if (question.has_value()) leased_.erase(question->release.channel);
  if (!question.has_value()) return Refused("lease_nonce: no such question is open");
  const absl::Status may = MayActivate(question->release.digest, question->tenant);
  if (!may.ok()) return Refused(std::string(may.message()));
  if (!verifies_leases()) return reply;
  trust::LeaseQuestion wanted;
  wanted.tenant = question->tenant;
  wanted.agent = question->agent;
  wanted.nonce = question->nonce;
  wanted.channel = question->release.channel;
  wanted.sha256 = question->release.digest;
  wanted.length = question->release.size_bytes;
  wanted.serial = question->release.serial;
  wanted.halt_seq = book_.seq();
  if (plan_.has_value()) wanted.by_plan = trust::PlanName{plan_->version, plan_->sha256};
  const absl::StatusOr<trust::Lease> lease =
      trust::VerifyLease(reply.signed_lease, authority_, wanted, now - question->sent_at);
  if (!lease.ok()) return Refused(std::string(lease.status().message()));
  leased_[wanted.channel] = {wanted.sha256, lease->plan_sha256};
  reply.ttl = lease->ttl;  // what was signed, not what was said
  return reply;
}

std::vector<std::string> ActivationGuard::TakeIn(const SignedNotices& notices, const std::string& tenant) {
  std::vector<std::string> log;
  bool changed = false;
  for (const std::string& envelope : notices.halts) {
    if (authority_.halt.empty()) break;
    const absl::StatusOr<trust::HaltNotice> halt = trust::VerifyHalt(envelope, authority_);
    if (!halt.ok()) {
      log.push_back(absl::StrCat("a halt that is not believed: ", halt.status().message()));
      continue;
    }
    // Of another tenant it says nothing here, and may not fill this host's memory.
    if (!halt->scope.tenant.empty() && halt->scope.tenant != tenant) continue;
    if (!book_.Add(*halt)) continue;
    changed = true;
    log.push_back(absl::StrCat("halt ", halt->halt_id, ": ", halt->channel, " ", halt->serial,
                               " is not activated here until two persons lift it (", halt->reason, ")"));
  }
  for (const std::string& envelope : notices.orders) {
    const absl::StatusOr<trust::ResumeOrder> order = trust::VerifyOrder(envelope, authority_, wall_->Now());
    if (!order.ok()) {
      if (!authority_.resume.empty() && book_.size() > 0)
        log.push_back(absl::StrCat("an order to go on that is not believed: ", order.status().message()));
      continue;
    }
    if (!book_.Lift(*order)) continue;
    changed = true;
    log.push_back(
        absl::StrCat("order ", order->order_id, " lifts halt ", order->halt_id, ": ", order->reason));
  }
  if (!changed || !memory_.ok()) return log;
  const absl::Status saved = Save();
  if (!saved.ok()) log.push_back(absl::StrCat("cannot write down halts: ", saved.message()));
  return log;
}

absl::Status ActivationGuard::MayActivate(const Digest& digest, const std::string& tenant) const {
  if (!memory_.ok()) return absl::FailedPreconditionError(absl::StrCat("halts_damaged: ", memory_.message()));
  if (book_.Full()) return absl::FailedPreconditionError("halts_full: more halts than this host keeps");
  const trust::HaltNotice* halt =
      book_.On(digest, tenant, plan_.has_value() ? std::make_optional(plan_->ring) : std::nullopt);
  if (halt != nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("halted_here: halt ", halt->halt_id, " (", halt->reason, ")"));
  }
  for (const auto& [channel, lease] : leased_) {
    if (plan_.has_value() && lease.first == digest && lease.second != plan_->sha256) {
      return absl::FailedPreconditionError(
          absl::StrCat("lease_plan: plan ", plan_->version, " came after the lease"));
    }
  }
  return absl::OkStatus();
}

absl::Status ActivationGuard::Save() {
  const std::string path = folder_ + "/halts", draft = path + ".tmp";
  RETURN_IF_ERROR(files_->Write(draft, Seal(book_.Serialize()), kOwnerOnly));
  RETURN_IF_ERROR(files_->Sync(draft));
  RETURN_IF_ERROR(files_->Rename(draft, path));
  return files_->SyncFolder(folder_);
}

}  // namespace ringfence::agent
