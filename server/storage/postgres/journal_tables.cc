// Decisions, audit, remembered requests, settings and leadership in PostgreSQL; and what every table shares.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/storage/postgres/pg_text.h"
#include "server/storage/postgres/read_all.h"

namespace ringfence::storage {
namespace {

absl::StatusOr<DecisionRow> ReadDecision(const pqxx::row& row) {
  RowReader reader(row);
  DecisionRow decision;
  decision.id = reader.Int();
  decision.at = reader.Time();
  decision.tenant = reader.Text();
  decision.channel = reader.Text();
  decision.serial = reader.Unsigned();
  decision.ring = reader.Text();
  decision.stage = reader.Int();
  decision.action = reader.Text();
  decision.rule = reader.Text();
  decision.actor = reader.Text();
  decision.why = reader.Text();
  decision.cohort = reader.Text();
  decision.evidence = reader.Text();
  RETURN_IF_ERROR(reader.status());
  return decision;
}

absl::StatusOr<AuditRow> ReadAudit(const pqxx::row& row) {
  RowReader reader(row);
  AuditRow audit;
  audit.id = reader.Int();
  audit.at = reader.Time();
  audit.person = reader.Text();
  audit.role = reader.Text();
  audit.tenant = reader.Text();
  audit.act = reader.Text();
  audit.target = reader.Text();
  audit.reason = reader.Text();
  audit.before = reader.Text();
  audit.after = reader.Text();
  audit.request_id = reader.Text();
  RETURN_IF_ERROR(reader.status());
  return audit;
}

absl::StatusOr<RequestRow> ReadRequest(const pqxx::row& row) {
  RowReader reader(row);
  RequestRow request;
  request.request_id = reader.Text();
  request.person = reader.Text();
  request.method = reader.Text();
  request.fingerprint = reader.Sha256();
  request.response = reader.Bytes();
  request.at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return request;
}

absl::StatusOr<std::string> ReadText(const pqxx::row& row) {
  return RowReader(row).Text();
}

absl::StatusOr<int64_t> ReadNumber(const pqxx::row& row) {
  RowReader reader(row);
  const int64_t number = reader.Int();
  RETURN_IF_ERROR(reader.status());
  return number;
}

// With or without its address and secret.
absl::StatusOr<LeaderRow> ReadLeader(const pqxx::row& row) {
  RowReader reader(row);
  LeaderRow leader;
  leader.epoch = reader.Int();
  leader.replica = reader.Text();
  if (row.size() > 2) {
    leader.address = reader.Text();
    leader.secret = reader.Bytes();
  }
  RETURN_IF_ERROR(reader.status());
  return leader;
}

}  // namespace

// ---- shared

absl::StatusOr<pqxx::result> PostgresTransaction::Run(const Statement& statement,
                                                      const std::vector<std::string>& parameters) {
  absl::StatusOr<pqxx::result> result = session_.Run(statement, parameters);
  if (!result.ok()) return Spoil(result.status());
  return result;
}

absl::StatusOr<int64_t> PostgresTransaction::Change(const Statement& statement,
                                                    const std::vector<std::string>& parameters) {
  ASSIGN_OR_RETURN(const pqxx::result result, Run(statement, parameters));
  return static_cast<int64_t>(result.affected_rows());
}

absl::Status PostgresTransaction::Spoil(absl::Status status) {
  if (spoilt_.ok()) spoilt_ = status;
  return status;
}

// ---- journal

absl::StatusOr<DecisionId> PostgresTransaction::AppendDecision(const DecisionRow& row) {
  ASSIGN_OR_RETURN(
      const std::vector<DecisionId> ids,
      ReadAll(ReadNumber, statements::kAppendDecision,
              {PgTime(row.at), row.tenant, row.channel, PgUnsigned(row.serial), row.ring,
               absl::StrCat(row.stage), row.action, row.rule, row.actor, row.why, row.cohort, row.evidence}));
  return ids.at(0);
}

absl::StatusOr<std::vector<DecisionRow>> PostgresTransaction::Decisions(const DecisionFilter& filter) {
  return ReadAll(
      ReadDecision, statements::kDecisions,
      {PgBool(filter.tenant.has_value()), filter.tenant.value_or(""), PgBool(filter.channel.has_value()),
       filter.channel.value_or(""), PgBool(filter.serial.has_value()), PgUnsigned(filter.serial.value_or(0)),
       absl::StrCat(filter.before), absl::StrCat(std::max(0, filter.limit))});
}

absl::Status PostgresTransaction::AppendAudit(const AuditRow& row) {
  return Run(statements::kAppendAudit, {PgTime(row.at), row.person, row.role, row.tenant, row.act, row.target,
                                        row.reason, row.before, row.after, row.request_id})
      .status();
}

absl::StatusOr<std::vector<AuditRow>> PostgresTransaction::Audit(const AuditFilter& filter) {
  return ReadAll(ReadAudit, statements::kAudit,
                 {PgBool(filter.tenant.has_value()), filter.tenant.value_or(""), absl::StrCat(filter.before),
                  absl::StrCat(std::max(0, filter.limit))});
}

absl::StatusOr<std::optional<RequestRow>> PostgresTransaction::FindRequest(const std::string& request_id) {
  ASSIGN_OR_RETURN(const std::vector<RequestRow> rows,
                   ReadAll(ReadRequest, statements::kFindRequest, {request_id}));
  if (rows.empty()) return std::optional<RequestRow>();
  return std::optional<RequestRow>(rows.front());
}

absl::Status PostgresTransaction::PutRequest(const RequestRow& row) {
  ASSIGN_OR_RETURN(
      const int64_t changed,
      Change(statements::kPutRequest, {row.request_id, row.person, row.method, PgBytes(row.fingerprint.raw()),
                                       PgBytes(row.response), PgTime(row.at)}));
  if (changed == 1) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("request ", row.request_id, " was answered before"));
}

absl::StatusOr<std::optional<std::string>> PostgresTransaction::Setting(const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<std::string> values, ReadAll(ReadText, statements::kSetting, {name}));
  if (values.empty()) return std::optional<std::string>();
  return std::optional<std::string>(values.front());
}

absl::Status PostgresTransaction::PutSetting(const std::string& name, const std::string& value) {
  return Run(statements::kPutSetting, {name, value}).status();
}

absl::StatusOr<uint32_t> PostgresTransaction::NextReplicaEpoch(const std::string& replica_name,
                                                               absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> epochs,
                   ReadAll(ReadNumber, statements::kNextReplicaEpoch, {replica_name, PgTime(now)}));
  return static_cast<uint32_t>(epochs.at(0));
}

absl::StatusOr<int64_t> PostgresTransaction::TakeLeaderEpoch(const std::string& replica, absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> epochs,
                   ReadAll(ReadNumber, statements::kTakeLeaderEpoch, {replica, PgTime(now)}));
  return epochs.at(0);
}

absl::Status PostgresTransaction::PutLeaderContact(int64_t epoch, const std::string& address,
                                                   const std::string& secret) {
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kPutLeaderContact, {absl::StrCat(epoch), address, PgBytes(secret)}));
  if (changed == 1) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("leader epoch ", epoch, " is over"));
}

absl::StatusOr<LeaderRow> PostgresTransaction::Leader() {
  ASSIGN_OR_RETURN(const std::vector<LeaderRow> rows, ReadAll(ReadLeader, statements::kLeader));
  if (rows.empty()) return absl::NotFoundError("nobody ever led");
  return rows.front();
}

absl::Status PostgresTransaction::CheckLeaderEpoch(int64_t epoch) {
  ASSIGN_OR_RETURN(const std::vector<LeaderRow> rows, ReadAll(ReadLeader, statements::kLockLeader));
  const LeaderRow leader = rows.empty() ? LeaderRow() : rows.front();
  if (leader.epoch == epoch) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("leader epoch ", epoch, " is over: ", leader.replica, " leads with epoch ", leader.epoch));
}

}  // namespace ringfence::storage
