// Agents, releases and plans in PostgreSQL.
#include <algorithm>
#include <limits>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/storage/postgres/json_codec.h"
#include "server/storage/postgres/pg_text.h"
#include "server/storage/postgres/postgres_transaction.h"
#include "server/storage/postgres/read_all.h"

namespace ringfence::storage {
namespace {

// Rows of one round trip when a whole table is read: some megabytes, so that a million agents never are one
// result.
constexpr int kPageRows = 5000;
constexpr int kForgetRows = 20'000;

absl::StatusOr<AgentRow> ReadAgent(const pqxx::row& row) {
  RowReader reader(row);
  AgentRow agent;
  agent.tenant = reader.Text();
  agent.agent = reader.Agent();
  agent.secret_hash = reader.Sha256();
  agent.labels = reader.Parse(LabelsFromJson);
  agent.running = reader.Parse(RunningFromJson);
  agent.boot_id = reader.Text();
  agent.enrolled_at = reader.Time();
  agent.last_seen = reader.Time();
  agent.deleted = reader.Bool();
  RETURN_IF_ERROR(reader.status());
  return agent;
}

absl::StatusOr<TrustDocumentRow> ReadTrustDocument(const pqxx::row& row) {
  RowReader reader(row);
  TrustDocumentRow document;
  document.name = reader.Text();
  document.sha256 = reader.Sha256();
  document.bytes = reader.Bytes();
  document.stored_at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return document;
}

absl::StatusOr<AcknowledgementRow> ReadAcknowledgement(const pqxx::row& row) {
  RowReader reader(row);
  AcknowledgementRow one;
  one.tenant = reader.Text();
  one.channel = reader.Text();
  one.serial = reader.Unsigned();
  one.person = reader.Text();
  one.reason = reader.Text();
  one.at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return one;
}

absl::StatusOr<ConsentRow> ReadConsent(const pqxx::row& row) {
  RowReader reader(row);
  ConsentRow consent;
  consent.tenant = reader.Text();
  consent.channel = reader.Text();
  consent.serial = reader.Unsigned();
  consent.ring = reader.Text();
  consent.approved = reader.Bool();
  consent.person = reader.Text();
  consent.reason = reader.Text();
  consent.at = reader.Time();
  const absl::Duration min_age = reader.Micros();
  if (min_age >= absl::ZeroDuration()) consent.min_age = min_age;
  RETURN_IF_ERROR(reader.status());
  return consent;
}

constexpr char kPlanKind[] = "plan";
constexpr char kDecisionKind[] = "decision";

absl::StatusOr<SignedRow> ReadSigned(const pqxx::row& row) {
  RowReader reader(row);
  SignedRow document;
  document.tenant = reader.Text();
  document.kind = reader.Text() == kPlanKind ? SignedKind::kPlan : SignedKind::kDecision;
  document.number = reader.Unsigned();
  document.envelope = reader.Bytes();
  document.revision = reader.Int();
  document.person = reader.Text();
  document.role = reader.Text();
  document.at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return document;
}

absl::StatusOr<QuarantineRow> ReadQuarantine(const pqxx::row& row) {
  RowReader reader(row);
  QuarantineRow quarantine;
  quarantine.tenant = reader.Text();
  quarantine.agent = reader.Agent();
  quarantine.digest = reader.Sha256();
  quarantine.at = reader.Time();
  quarantine.reason = reader.Text();
  RETURN_IF_ERROR(reader.status());
  return quarantine;
}

absl::StatusOr<EventKey> ReadEvent(const pqxx::row& row) {
  RowReader reader(row);
  EventKey event;
  event.agent = reader.Agent();
  event.boot_id = reader.Text();
  event.seq = reader.Unsigned();
  RETURN_IF_ERROR(reader.status());
  return event;
}

const char* KindName(policy::ChannelKind kind) {
  switch (kind) {
    case policy::ChannelKind::kSensor:
      return "sensor";
    case policy::ChannelKind::kContent:
      return "content";
  }
  return "";
}

const char* StateName(ReleaseState state) {
  switch (state) {
    case ReleaseState::kPublished:
      return "published";
    case ReleaseState::kRecalled:
      return "recalled";
  }
  return "";
}

absl::StatusOr<ReleaseRow> ReadRelease(const pqxx::row& row) {
  RowReader reader(row);
  ReleaseRow read;
  read.release.channel = reader.Text();
  read.release.serial = reader.Unsigned();
  // The schema allows the two names only.
  read.release.kind =
      reader.Text() == "sensor" ? policy::ChannelKind::kSensor : policy::ChannelKind::kContent;
  read.release.version = reader.Text();
  read.release.digest = reader.Sha256();
  read.release.size_bytes = reader.Int();
  read.release.targets = reader.Parse(SelectorFromJson);
  read.release.matrix = reader.Parse(SelectorsFromJson);
  read.release.urgent = reader.Bool();
  read.release.published_at = reader.Time();
  read.rollout = reader.Int();
  read.state = reader.Text() == "published" ? ReleaseState::kPublished : ReleaseState::kRecalled;
  read.published_by = reader.Text();
  read.rollout_secret = reader.Bytes();
  read.healthy_age = reader.Micros();
  read.release.artifacts = reader.Parse(ArtifactsFromJson);
  RETURN_IF_ERROR(reader.status());
  return read;
}

absl::StatusOr<PlanRow> ReadPlanRow(const pqxx::row& row) {
  RowReader reader(row);
  PlanRow plan;
  plan.plan = reader.Parse(PlanFromJson);
  plan.revision = reader.Int();
  plan.applied_by = reader.Text();
  plan.applied_at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return plan;
}

absl::Status UnknownRelease(const std::string& channel, uint64_t serial) {
  return absl::NotFoundError(absl::StrCat("release ", channel, "/", serial, " is not known"));
}

}  // namespace

// ---- fleet

absl::Status PostgresTransaction::PutEnrolToken(const EnrolTokenRow& token) {
  return Run(statements::kPutEnrolToken, {token.tenant, PgBytes(token.token_hash.raw()), token.created_by,
                                          PgTime(token.created_at), PgTime(token.expires_at)})
      .status();
}

absl::StatusOr<EnrolTokenRow> PostgresTransaction::TakeEnrolToken(const Digest& token_hash, absl::Time now) {
  ASSIGN_OR_RETURN(const pqxx::result result,
                   Run(statements::kTakeEnrolToken, {PgBytes(token_hash.raw()), PgTime(now)}));
  if (result.empty()) return absl::NotFoundError("enrolment token: unknown, used or expired");
  const pqxx::row row = result.front();
  RowReader reader(row);
  EnrolTokenRow token;
  token.token_hash = token_hash;
  token.tenant = reader.Text();
  token.created_by = reader.Text();
  token.created_at = reader.Time();
  token.expires_at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return token;
}

absl::Status PostgresTransaction::PutAgents(absl::Span<const AgentRow> agents) {
  // One statement may change a row once only: of several rows of one agent the last counts.
  absl::flat_hash_map<AgentId, const AgentRow*> newest;
  for (const AgentRow& agent : agents) newest[agent.agent] = &agent;
  PgArray tenants, ids, secrets, labels, runnings, boots, enrolled, seen, deleted;
  for (const AgentRow& agent : agents) {
    if (newest[agent.agent] != &agent) continue;
    ASSIGN_OR_RETURN(const std::string labels_json, LabelsToJson(agent.labels));
    ASSIGN_OR_RETURN(const std::string running_json, RunningToJson(agent.running));
    tenants.AddText(agent.tenant);
    ids.AddUuid(agent.agent.raw());
    secrets.AddBytes(agent.secret_hash.raw());
    labels.AddText(labels_json);
    runnings.AddText(running_json);
    boots.AddText(agent.boot_id);
    enrolled.AddTime(agent.enrolled_at);
    seen.AddTime(agent.last_seen);
    deleted.AddBool(agent.deleted);
  }
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kPutAgents,
                          {tenants.Take(), ids.Take(), secrets.Take(), labels.Take(), runnings.Take(),
                           boots.Take(), enrolled.Take(), seen.Take(), deleted.Take()}));
  if (changed == static_cast<int64_t>(newest.size())) return absl::OkStatus();
  return Spoil(absl::FailedPreconditionError(
      absl::StrCat("agents: ", newest.size() - changed, " of ", newest.size(), " belong to another tenant")));
}

absl::StatusOr<AgentRow> PostgresTransaction::Agent(const AgentId& agent) {
  ASSIGN_OR_RETURN(const pqxx::result result, Run(statements::kAgent, {agent.ToString()}));
  if (result.empty()) return absl::NotFoundError(absl::StrCat("agent ", agent.ToString(), " is not known"));
  return ReadAgent(result.front());
}

absl::Status PostgresTransaction::ForEachAgent(absl::FunctionRef<void(const AgentRow&)> visit) {
  const std::string limit = absl::StrCat(kPageRows);
  ASSIGN_OR_RETURN(std::vector<AgentRow> page, ReadAll(ReadAgent, statements::kFirstAgents, {limit}));
  while (!page.empty()) {
    for (const AgentRow& agent : page) visit(agent);
    if (page.size() < kPageRows) break;
    ASSIGN_OR_RETURN(page,
                     ReadAll(ReadAgent, statements::kAgentsAfter, {page.back().agent.ToString(), limit}));
  }
  return absl::OkStatus();
}

absl::Status PostgresTransaction::PutQuarantines(absl::Span<const QuarantineRow> rows) {
  PgArray tenants, agents, digests, times, reasons;
  for (const QuarantineRow& row : rows) {
    tenants.AddText(row.tenant);
    agents.AddUuid(row.agent.raw());
    digests.AddBytes(row.digest.raw());
    times.AddTime(row.at);
    reasons.AddText(row.reason);
  }
  return Run(statements::kPutQuarantines,
             {tenants.Take(), agents.Take(), digests.Take(), times.Take(), reasons.Take()})
      .status();
}

absl::Status PostgresTransaction::ForEachQuarantine(absl::FunctionRef<void(const QuarantineRow&)> visit) {
  ASSIGN_OR_RETURN(const std::vector<QuarantineRow> rows, ReadAll(ReadQuarantine, statements::kQuarantines));
  for (const QuarantineRow& row : rows) visit(row);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<bool>> PostgresTransaction::RememberEvents(absl::Span<const EventKey> events,
                                                                      absl::Time now) {
  PgArray agents, boots, seqs;
  for (const EventKey& event : events) {
    agents.AddUuid(event.agent.raw());
    boots.AddText(event.boot_id);
    seqs.AddUnsigned(event.seq);
  }
  ASSIGN_OR_RETURN(const std::vector<EventKey> stored,
                   ReadAll(ReadEvent, statements::kRememberEvents,
                           {agents.Take(), boots.Take(), seqs.Take(), PgTime(now)}));
  absl::flat_hash_set<std::tuple<AgentId, std::string, uint64_t>> unseen;
  for (const EventKey& event : stored) unseen.emplace(event.agent, event.boot_id, event.seq);
  std::vector<bool> is_new;
  is_new.reserve(events.size());
  // Erased at its first sight, so that an event that the batch itself repeats is new once.
  for (const EventKey& event : events) {
    is_new.push_back(unseen.erase(std::make_tuple(event.agent, event.boot_id, event.seq)) > 0);
  }
  return is_new;
}

absl::Status PostgresTransaction::ForEachEvent(absl::FunctionRef<void(const EventKey&)> visit) {
  EventKey last;
  std::string last_seq = absl::StrCat(std::numeric_limits<int64_t>::min());
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<EventKey> page,
                     ReadAll(ReadEvent, statements::kEventsFrom,
                             {last.agent.ToString(), last.boot_id, last_seq, absl::StrCat(kPageRows)}));
    for (const EventKey& event : page) visit(event);
    if (page.size() < kPageRows) return absl::OkStatus();
    last = page.back();
    last_seq = PgUnsigned(last.seq);
  }
}

absl::Status PostgresTransaction::ForgetEventsBefore(absl::Time cutoff) {
  for (int64_t forgotten = kForgetRows; forgotten == kForgetRows;) {
    ASSIGN_OR_RETURN(forgotten,
                     Change(statements::kForgetEvents, {PgTime(cutoff), absl::StrCat(kForgetRows)}));
  }
  return absl::OkStatus();
}

// ---- releases

absl::StatusOr<RolloutId> PostgresTransaction::InsertRelease(const ReleaseRow& row) {
  const policy::Release& release = row.release;
  ASSIGN_OR_RETURN(const std::string targets, SelectorToJson(release.targets));
  ASSIGN_OR_RETURN(const std::string matrix, SelectorsToJson(release.matrix));
  ASSIGN_OR_RETURN(const std::string artifacts, ArtifactsToJson(release.artifacts));
  ASSIGN_OR_RETURN(
      const pqxx::result result,
      Run(statements::kInsertRelease,
          {release.channel, PgUnsigned(release.serial), KindName(release.kind), release.version,
           PgBytes(release.digest.raw()), absl::StrCat(release.size_bytes), targets, matrix,
           PgBool(release.urgent), PgTime(release.published_at), StateName(row.state), row.published_by,
           PgBytes(row.rollout_secret), PgInterval(row.healthy_age), artifacts}));
  if (result.empty()) {
    return absl::AlreadyExistsError(
        absl::StrCat("release ", release.channel, "/", release.serial, ": its serial or digest exists"));
  }
  const pqxx::row inserted = result.front();
  RowReader reader(inserted);
  const RolloutId rollout = reader.Int();
  RETURN_IF_ERROR(reader.status());
  return rollout;
}

absl::StatusOr<std::vector<ReleaseRow>> PostgresTransaction::Releases() {
  return ReadAll(ReadRelease, statements::kReleases);
}

absl::Status PostgresTransaction::SetReleaseState(const std::string& channel, uint64_t serial,
                                                  ReleaseState state) {
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kSetReleaseState, {channel, PgUnsigned(serial), StateName(state)}));
  return changed == 1 ? absl::OkStatus() : UnknownRelease(channel, serial);
}

absl::Status PostgresTransaction::SetHealthyAge(const std::string& channel, uint64_t serial,
                                                absl::Duration age) {
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kSetHealthyAge, {channel, PgUnsigned(serial), PgInterval(age)}));
  return changed == 1 ? absl::OkStatus() : UnknownRelease(channel, serial);
}

absl::Status PostgresTransaction::PutArtifactChunk(const Digest& artifact, int64_t chunk,
                                                   absl::string_view bytes) {
  return Run(statements::kPutArtifactChunk, {PgBytes(artifact.raw()), absl::StrCat(chunk), PgBytes(bytes)})
      .status();
}

absl::StatusOr<std::string> PostgresTransaction::ArtifactChunk(const Digest& artifact, int64_t chunk) {
  ASSIGN_OR_RETURN(const pqxx::result result,
                   Run(statements::kArtifactChunk, {PgBytes(artifact.raw()), absl::StrCat(chunk)}));
  if (result.empty()) {
    return absl::NotFoundError(absl::StrCat("artifact ", artifact.ToString(), " has no chunk ", chunk));
  }
  const pqxx::row row = result.front();
  RowReader reader(row);
  std::string bytes = reader.Bytes();
  RETURN_IF_ERROR(reader.status());
  return bytes;
}

// ---- the release repository

absl::Status PostgresTransaction::PutTrustDocument(const TrustDocumentRow& row) {
  RETURN_IF_ERROR(CheckTrustDocument(row));
  return Run(statements::kPutTrustDocument,
             {row.name, PgBytes(row.sha256.raw()), PgBytes(row.bytes), PgTime(row.stored_at)})
      .status();
}

absl::StatusOr<TrustDocumentRow> PostgresTransaction::TrustDocument(const std::string& name,
                                                                    const std::optional<Digest>& sha256) {
  ASSIGN_OR_RETURN(const std::vector<TrustDocumentRow> rows,
                   sha256.has_value() ? ReadAll(ReadTrustDocument, statements::kTrustDocument,
                                                {name, PgBytes(sha256->raw())})
                                      : ReadAll(ReadTrustDocument, statements::kNewestTrustDocument, {name}));
  if (!rows.empty()) return rows.front();
  return absl::NotFoundError(absl::StrCat("trust document ", name, ": there is none"));
}

// ---- plans

absl::Status PostgresTransaction::InsertPlan(const PlanRow& row) {
  ASSIGN_OR_RETURN(const std::string plan, PlanToJson(row.plan));
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kInsertPlan, {row.plan.tenant, absl::StrCat(row.revision), plan,
                                                    row.applied_by, PgTime(row.applied_at)}));
  if (changed == 1) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("plan of ", row.plan.tenant, ": revision ", row.revision, " does not follow the newest"));
}

absl::StatusOr<std::vector<PlanRow>> PostgresTransaction::NewestPlans() {
  return ReadAll(ReadPlanRow, statements::kNewestPlans);
}

absl::StatusOr<std::vector<PlanRow>> PostgresTransaction::PlanHistory(const std::string& tenant) {
  return ReadAll(ReadPlanRow, statements::kPlanHistory, {tenant});
}

absl::Status PostgresTransaction::InsertConsent(const ConsentRow& row) {
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kInsertConsent,
                          {row.tenant, row.channel, absl::StrCat(row.serial), row.ring,
                           row.approved ? "true" : "false", row.person, row.reason, PgTime(row.at),
                           row.min_age.has_value() ? PgInterval(*row.min_age) : ""}));
  if (changed == 1) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("consent: ", row.tenant, " decided on ", row.channel, "/", row.serial, " already"));
}

absl::StatusOr<std::vector<ConsentRow>> PostgresTransaction::Consents() {
  return ReadAll(ReadConsent, statements::kConsents);
}

absl::Status PostgresTransaction::InsertAcknowledgement(const AcknowledgementRow& row) {
  ASSIGN_OR_RETURN(const int64_t changed, Change(statements::kInsertAcknowledgement,
                                                 {row.tenant, row.channel, absl::StrCat(row.serial),
                                                  row.person, row.reason, PgTime(row.at)}));
  if (changed == 1) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat("acknowledgement: ", row.tenant, " acknowledged ", row.channel,
                                               "/", row.serial, " already"));
}

absl::StatusOr<std::vector<AcknowledgementRow>> PostgresTransaction::Acknowledgements() {
  return ReadAll(ReadAcknowledgement, statements::kAcknowledgements);
}

absl::Status PostgresTransaction::InsertSigned(const SignedRow& row) {
  ASSIGN_OR_RETURN(
      const int64_t changed,
      Change(statements::kInsertSigned,
             {row.tenant, row.kind == SignedKind::kPlan ? kPlanKind : kDecisionKind, PgUnsigned(row.number),
              PgBytes(row.envelope), absl::StrCat(row.revision), row.person, row.role, PgTime(row.at)}));
  if (changed == 1) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat("signed document ", row.number, " of ", row.tenant, " is known"));
}

absl::StatusOr<std::vector<SignedRow>> PostgresTransaction::SignedDocuments(const std::string& tenant) {
  return ReadAll(ReadSigned, statements::kSignedDocuments, {tenant});
}

}  // namespace ringfence::storage
