#include "server/storage/postgres/leadership.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/advisory_locks.h"
#include "server/storage/postgres/postgres_transaction.h"
#include "server/storage/postgres/session.h"

namespace ringfence::storage {
namespace {

constexpr size_t kSecretBytes = 32;

// From the operating system.
std::string NewSecret() {
  std::random_device device;
  std::string secret;
  while (secret.size() < kSecretBytes) secret.push_back(static_cast<char>(device() & 0xff));
  return secret;
}

}  // namespace

Leadership::Leadership(const PostgresOptions& options, std::string replica, Clock& clock, std::string address)
    : options_(options),
      replica_(std::move(replica)),
      address_(std::move(address)),
      clock_(clock),
      watchdog_(std::make_unique<Watchdog>()) {}

Leadership::~Leadership() = default;

absl::StatusOr<std::optional<int64_t>> Leadership::TryLead() {
  if (session_ == nullptr) {
    ASSIGN_OR_RETURN(session_, Session::Connect(options_, *watchdog_));
  }
  absl::StatusOr<std::optional<int64_t>> epoch = TryLeadInTransaction();
  // On any doubt the session is closed, and the lock with it: leading is only ever what a whole call has
  // shown.
  if (!epoch.ok()) Resign();
  if (absl::IsAborted(epoch.status())) return std::optional<int64_t>();  // another replica has taken over
  if (epoch.ok()) epoch_ = *epoch;
  return epoch;
}

absl::StatusOr<std::optional<int64_t>> Leadership::TryLeadInTransaction() {
  RETURN_IF_ERROR(session_->Begin());
  PostgresTransaction transaction(*session_);
  std::optional<int64_t> epoch = epoch_;
  if (!limited_) {
    const int64_t most = std::max<int64_t>(1, absl::ToInt64Milliseconds(options_.idle_timeout));
    RETURN_IF_ERROR(session_->Run(statements::kLimitIdleSession, {absl::StrCat(most)}).status());
  }
  if (epoch.has_value()) {
    // After a failover the new server knows nothing of our lock, and another replica may have taken over.
    RETURN_IF_ERROR(transaction.CheckLeaderEpoch(*epoch));
  } else {
    ASSIGN_OR_RETURN(const pqxx::result locked,
                     session_->Run(statements::kTryLeaderLock, {absl::StrCat(kLeaderLockKey)}));
    if (locked[0][0].c_str() == absl::string_view("t")) {
      ASSIGN_OR_RETURN(epoch, transaction.TakeLeaderEpoch(replica_, clock_.Now()));
      secret_ = NewSecret();
      RETURN_IF_ERROR(transaction.PutLeaderContact(*epoch, address_, secret_));
    }
  }
  RETURN_IF_ERROR(session_->Commit());
  limited_ = true;
  return epoch;
}

void Leadership::Resign() {
  epoch_.reset();
  secret_.clear();
  session_.reset();
  limited_ = false;
}

}  // namespace ringfence::storage
