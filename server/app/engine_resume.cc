// Going on after a halt by signatures: one person's order waits on the brake, the second's completes it. What
// hosts then take a halt off by is the very envelope.
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/authority.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "ringfence/trust/lease.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

absl::Status CheckFits(const trust::ResumeOrder& order, const trust::HaltNotice& halt, absl::Time now) {
  if (order.scope != halt.scope || order.halt_id != halt.halt_id || order.halt_seq != halt.seq) {
    return absl::FailedPreconditionError(absl::StrCat("signed_order: for halt ", order.halt_id,
                                                      "; what is on here is halt ", halt.halt_id,
                                                      ": read it again, and sign that"));
  }
  if (now >= order.not_after)
    return absl::FailedPreconditionError("signed_order: its half hour is over; both sign a new one");
  return absl::OkStatus();
}

}  // namespace

absl::Status Engine::TakeOrder(const trust::Authority& authority, const storage::BrakeRow& row,
                               const Digest& sha256, absl::string_view order, BrakeChange& change) const {
  const std::optional<trust::HaltNotice> halt = HaltOf(row, sha256);
  if (!halt.has_value()) return absl::InternalError("brake: halted, and nothing says since when");
  if (order.empty()) {
    return absl::FailedPreconditionError(
        "signed_order: hosts go on after a halt only by an order that two persons signed: ringfence rollout "
        "resume --brake halt --sign-with KEYFILE");
  }
  if (order.size() > trust::kMaxOrderBytes) return absl::InvalidArgumentError("signed_order: too large");
  absl::StatusOr<trust::Envelope> envelope = trust::ParseEnvelope(order);
  if (!envelope.ok())
    return absl::InvalidArgumentError(absl::StrCat("signed_order: ", envelope.status().message()));
  const std::set<std::string> given = trust::PersonsBehind(*envelope, authority);
  if (given.empty()) {
    return absl::PermissionDeniedError(
        "signed_order: signed by no key of the role resume that belongs to a person");
  }
  const absl::StatusOr<trust::ResumeOrder> read = trust::ReadOrder(*envelope);
  if (!read.ok()) return absl::InvalidArgumentError(absl::StrCat("signed_order: ", read.status().message()));
  const absl::Time now = clock_->Now();
  RETURN_IF_ERROR(CheckFits(*read, *halt, now));

  // The same order with the other's signature. Another one starts anew.
  const auto waits = trust::ParseEnvelope(row.resume_order);
  if (waits.ok() && waits->payload == envelope->payload) RETURN_IF_ERROR(trust::Join(*waits, &*envelope));
  const std::set<std::string> persons = trust::PersonsBehind(*envelope, authority);
  std::string joined = trust::SerializeEnvelope(*envelope);
  const bool complete = trust::VerifyOrder(joined, authority, now).ok();
  if (!complete && row.first_approver == absl::StrJoin(persons, ",") && joined == row.resume_order) {
    return absl::FailedPreconditionError(
        absl::StrCat(row.first_approver, " signed already; a second person is needed"));
  }
  change.resume_order = std::move(joined);
  if (!complete) {
    change.first_approver = absl::StrJoin(persons, ",");
    return absl::OkStatus();
  }
  change.halted = false;
  change.held = false;
  change.reverting = false;
  change.first_approver = "";
  return absl::OkStatus();
}

}  // namespace ringfence::app
