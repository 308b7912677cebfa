// A change to a brake and its whole record, as every replica writes them: the one that leads from its engine,
// the others when they cannot reach it (invariant 2: what is final is the row, whoever wrote it).
#pragma once

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/app/messages.h"
#include "server/storage/store.h"

namespace ringfence::app {

// A change to a brake row, applied to memory at once and to the store as soon as it can be.
struct BrakeChange {
  storage::Scope scope;
  std::optional<bool> tenant_paused, vendor_paused, held, halted, reverting, recalled;
  std::optional<std::string> first_approver;
  std::optional<std::string> resume_order;  // DSSE envelope; a new halt drops it by itself
  std::optional<absl::Time> hold_revert_at;
  bool mark_resume = false;
  double m_r_mark = 0, m_a_mark = 0;
  std::string rule, reason, actor;
  absl::Time at;

  // Sets what the change names; the epoch rises by one.
  void ApplyTo(storage::BrakeRow& row) const;
};

// With the decision that explains it; an operator's also with its record and the request that a repeat is
// known by.
struct BrakeAct {
  BrakeChange change;
  storage::DecisionRow decision;
  std::optional<storage::AuditRow> audit;
  std::optional<storage::RequestRow> request;
};

inline constexpr char kResumeAct[] = "resume";

// What an operator stops with.
enum class Stop { kPause, kHalt, kRollBack, kRecall };
const char* Name(Stop stop);  // "pause", "halt", "rollback", "recall"

// The part that needs no knowledge of the fleet: who may brake what, and whether the scope means anything.
// `needs_release`: channel and serial must be named.
absl::Status CheckBrakeAct(const Act& act, const storage::Scope& scope, bool needs_release);

// The record of an operator's act; its change says nothing yet.
BrakeAct OperatorAct(const Act& act, const char* what, const storage::Scope& scope, absl::Time at);
// The same with what the stop changes.
BrakeAct StopAct(Stop stop, const Act& act, const storage::Scope& scope, absl::Time at);

// Writes it all; `decide` may still change what is changed, or refuse. When the request was answered before,
// `repeated`, and the row is as it is now. InvalidArgument: its id was used for another request.
absl::StatusOr<storage::BrakeRow> WriteBrake(
    storage::Transaction& tx, BrakeAct brake, bool& repeated,
    absl::FunctionRef<absl::Status(const storage::BrakeRow&, BrakeChange&)> decide);

}  // namespace ringfence::app
