// No way around: what is asked for past a plan or the other side's brake is refused, and on record.
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/app/acts.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

constexpr size_t kMostBypassId = 57;  // with what is put before it, an id is kept

}  // namespace

const char* Name(BypassKind kind) {
  switch (kind) {
    case BypassKind::kSkipRing:
      return "skip_ring";
    case BypassKind::kShortenSoak:
      return "shorten_soak";
    case BypassKind::kWidenWave:
      return "widen_wave";
    case BypassKind::kIgnorePlan:
      return "ignore_plan";
  }
  return "unknown";
}

absl::Status Engine::KeepBypass(const Act& act, const Bypass& asked) {
  std::string target = asked.scope.channel.empty() ? "every release" : asked.scope.channel;
  if (asked.scope.serial != 0) absl::StrAppend(&target, "/", asked.scope.serial);
  if (!asked.scope.ring.empty()) absl::StrAppend(&target, "/", asked.scope.ring);
  storage::AuditRow audit =
      AuditOf(act, absl::FromUnixMicros(absl::ToUnixMicros(clock_->Now())), "bypass_denied", target);
  audit.tenant = asked.scope.tenant;
  audit.before = Name(asked.kind);
  audit.after = asked.asked.empty() ? "refused: no request can have that" : asked.asked;
  const Request request = RequestFor("bypass", HashInput()
                                                   .String(Name(asked.kind))
                                                   .String(asked.scope.tenant)
                                                   .String(asked.scope.channel)
                                                   .U64(asked.scope.serial)
                                                   .String(asked.scope.ring));
  bool repeated = false;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    // A repeat is on record already. The id stays free for what the call does besides.
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known,
                     tx.FindRequest(absl::StrCat("bypass/", act.request_id)));
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> done, tx.FindRequest(act.request_id));
    repeated = known.has_value() || done.has_value();
    if (repeated) return absl::OkStatus();
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    if (act.request_id.size() > kMostBypassId) return absl::OkStatus();
    Act kept = act;
    kept.request_id = absl::StrCat("bypass/", act.request_id);
    return KeepAnswer(tx, kept, request, audit.at);
  }));
  if (!repeated && metrics_ != nullptr) metrics_->Decision("bypass_denied", Name(asked.kind));
  return absl::OkStatus();
}

absl::Status Engine::DenyBypass(const Act& act, const Bypass& asked) {
  RETURN_IF_ERROR(CheckAct(act));
  RETURN_IF_ERROR(KeepBypass(act, asked));
  return absl::PermissionDeniedError(absl::StrCat(
      "bypass_denied: ", Name(asked.kind),
      ": nobody goes around a plan, a soak or the other side's brake; it is in the audit. A plan "
      "is changed by its own tenant"));
}

}  // namespace ringfence::app
