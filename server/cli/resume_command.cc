// ringfence rollout resume and request-bypass: what takes a brake off, and what nothing does.
#include <algorithm>
#include <ostream>
#include <random>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "ringfence/v1/fleet.pb.h"
#include "server/cli/human.h"
#include "server/cli/key_files.h"
#include "server/cli/rollout_scope.h"

namespace ringfence::cli {
namespace {

std::string FreshId() {
  std::random_device device;  // getrandom
  std::string bytes;
  while (bytes.size() < 16) bytes.push_back(static_cast<char>(device() & 0xff));
  return absl::BytesToHexString(bytes);
}

absl::StatusOr<absl::Time> ServerTime(Context& context) {
  v1::GetServerStatusResponse status;
  RETURN_IF_ERROR(
      context.remote().Call("FleetService/GetServerStatus", v1::GetServerStatusRequest(), &status));
  return absl::FromUnixSeconds(status.now().seconds()) + absl::Nanoseconds(status.now().nanos());
}

absl::StatusOr<v1::Rollout> Rollout(Context& context, const v1::Scope& scope) {
  v1::GetRolloutRequest request;
  v1::GetRolloutResponse response;
  request.set_channel(scope.channel());
  request.set_serial(scope.serial());
  RETURN_IF_ERROR(context.remote().Call("RolloutService/GetRollout", request, &response));
  return response.rollout();
}

// The order that waits for a second person, or a new one.
absl::StatusOr<trust::Envelope> OrderFor(Context& context, const v1::ResumeRolloutRequest& request) {
  const v1::Scope& scope = request.scope();
  if (scope.serial() == 0)
    return absl::InvalidArgumentError("name one release: CHANNEL/SERIAL or CHANNEL/VERSION");
  ASSIGN_OR_RETURN(const v1::Rollout rollout, Rollout(context, scope));
  const auto brake =
      std::find_if(rollout.brakes().begin(), rollout.brakes().end(), [&](const v1::Brake& one) {
        return one.halted() && one.scope().tenant() == scope.tenant() &&
               one.scope().serial() == scope.serial() && one.scope().ring() == scope.ring();
      });
  if (brake == rollout.brakes().end())
    return absl::FailedPreconditionError(absl::StrCat("nothing is halted on ", ScopeText(scope)));
  ASSIGN_OR_RETURN(const absl::Time now, ServerTime(context));
  ASSIGN_OR_RETURN(const Digest sha256, Digest::FromBytes(rollout.release().manifest().digest()));
  trust::ResumeOrder order;
  order.scope = {sha256, scope.tenant(), scope.ring()};
  const auto waits = trust::ParseEnvelope(brake->resume_order());
  if (waits.ok()) {
    const auto read = trust::ReadOrder(*waits);
    // Only what is for this very halt: a server may show what it likes.
    if (read.ok() && read->halt_id == brake->halt_id() && read->halt_seq == brake->halt_seq() &&
        read->scope == order.scope && now < read->not_after) {
      context.err() << "signed by " << Printable(brake->first_approver())
                    << ", because: " << Printable(read->reason) << "\n";
      return *waits;
    }
  }
  order.order_id = FreshId();
  order.halt_id = brake->halt_id();
  order.halt_seq = brake->halt_seq();
  order.channel = scope.channel();
  order.serial = scope.serial();
  order.reason = request.reason();
  order.issued_at = absl::FromUnixMillis(absl::ToUnixMillis(now));
  order.not_after = order.issued_at + trust::kResumeLife;
  return trust::DraftOrder(order);
}

// Shows what is signed before the key is asked for.
absl::StatusOr<std::string> SignedOrder(Context& context, const RolloutOptions& options,
                                        const v1::ResumeRolloutRequest& request) {
  ASSIGN_OR_RETURN(trust::Envelope envelope, OrderFor(context, request));
  ASSIGN_OR_RETURN(const trust::ResumeOrder order, trust::ReadOrder(envelope));
  context.err() << "to go on after halt " << order.halt_id << " of " << ScopeText(request.scope())
                << ", sha256 " << order.scope.sha256.ToString() << "; good until "
                << absl::FormatTime("%H:%M:%S", order.not_after, context.world().zone) << "\n";
  ASSIGN_OR_RETURN(const trust::SigningKey key,
                   ReadPersonsKey(context.world(), options.sign_with, options.passphrase_file));
  trust::Sign(key, &envelope);
  return trust::SerializeEnvelope(envelope);
}

}  // namespace

int RolloutResume(Context& context, const RolloutOptions& options) {
  v1::ResumeRolloutRequest request;
  v1::ResumeRolloutResponse response;
  if (!options.sign_with.empty() && options.brake != "halt")
    return context.Usage("--sign-with is for --brake halt: a pause and a hold need no signature");
  if (const int code = Prepare(context, options, &request); code != kOk) return code;
  request.set_brake(options.brake == "hold"   ? v1::BRAKE_KIND_HOLD
                    : options.brake == "halt" ? v1::BRAKE_KIND_HALT
                                              : v1::BRAKE_KIND_PAUSE);
  if (!options.sign_with.empty()) {
    absl::StatusOr<std::string> order = SignedOrder(context, options, request);
    if (!order.ok()) return context.Fail(order.status());
    request.set_signed_order(*std::move(order));
  }
  const absl::Status status = context.remote().Call("RolloutService/ResumeRollout", request, &response);
  if (!status.ok()) return context.Fail(status);
  if (!context.table()) {
    context.Print(response);
  } else if (response.needs_second_person()) {
    context.out() << "noted, but it goes on only when a second person resumes " << ScopeText(request.scope())
                  << " too\n";
  } else {
    context.out() << "resumed " << ScopeText(request.scope()) << "\n";
  }
  return kOk;
}

int RolloutRequestBypass(Context& context, const RolloutOptions& options) {
  v1::RequestBypassRequest request;
  v1::RequestBypassResponse response;
  if (const int code = Prepare(context, options, &request); code != kOk) return code;
  request.set_kind(options.bypass == "skip-ring"      ? v1::BYPASS_KIND_SKIP_RING
                   : options.bypass == "shorten-soak" ? v1::BYPASS_KIND_SHORTEN_SOAK
                   : options.bypass == "widen-wave"   ? v1::BYPASS_KIND_WIDEN_WAVE
                                                      : v1::BYPASS_KIND_IGNORE_PLAN);
  return context.Fail(context.remote().Call("RolloutService/RequestBypass", request, &response));
}

}  // namespace ringfence::cli
