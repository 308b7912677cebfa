// Stages, brakes, exposures and evidence in PostgreSQL.
#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "server/storage/postgres/advisory_locks.h"
#include "server/storage/postgres/json_codec.h"
#include "server/storage/postgres/pg_binary.h"
#include "server/storage/postgres/pg_text.h"
#include "server/storage/postgres/read_all.h"

namespace ringfence::storage {
namespace {

constexpr int kPageRows = 5000;

absl::StatusOr<StageRow> ReadStage(const pqxx::row& row) {
  RowReader reader(row);
  StageRow stage;
  stage.stage = reader.Int();
  stage.rollout = reader.Int();
  stage.tenant = reader.Text();
  stage.channel = reader.Text();
  stage.serial = reader.Unsigned();
  stage.ring = reader.Text();
  stage.plan_revision = reader.Int();
  stage.state = reader.Parse(policy::ParseStageState);
  stage.wave = static_cast<int>(reader.Int());
  stage.members = reader.Int();
  stage.cap = reader.Int();
  stage.wave_opened_at = reader.Time();
  stage.soaked = reader.Micros();
  stage.rule = reader.Text();
  stage.why = reader.Text();
  stage.created_at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return stage;
}

absl::StatusOr<BrakeRow> ReadBrake(const pqxx::row& row) {
  RowReader reader(row);
  BrakeRow brake;
  brake.scope.tenant = reader.Text();
  brake.scope.channel = reader.Text();
  brake.scope.serial = reader.Unsigned();
  brake.scope.ring = reader.Text();
  brake.epoch = reader.Int();
  brake.tenant_paused = reader.Bool();
  brake.vendor_paused = reader.Bool();
  brake.held = reader.Bool();
  brake.halted = reader.Bool();
  brake.reverting = reader.Bool();
  brake.recalled = reader.Bool();
  brake.rule = reader.Text();
  brake.reason = reader.Text();
  brake.actor = reader.Text();
  brake.at = reader.Time();
  brake.first_approver = reader.Text();
  brake.hold_revert_at = reader.Time();
  brake.m_r_mark = reader.Double();
  brake.m_a_mark = reader.Double();
  brake.resumed_at = reader.Time();
  brake.halted_at = reader.Time();
  brake.resume_order = reader.Text();
  RETURN_IF_ERROR(reader.status());
  return brake;
}

absl::StatusOr<ExposureRow> ReadExposure(const pqxx::row& row) {
  RowReader reader(row);
  ExposureRow exposure;
  exposure.tenant = reader.Text();
  exposure.channel = reader.Text();
  exposure.serial = reader.Unsigned();
  exposure.agent = reader.Agent();
  exposure.bucket = reader.Unsigned();
  exposure.stage = reader.Int();
  exposure.ring = reader.Text();
  exposure.wave = static_cast<int>(reader.Int());
  exposure.exposed_at = reader.Time();
  exposure.deadline = reader.Time();
  exposure.previous = reader.Sha256();
  exposure.rho = reader.Double();
  exposure.pi = reader.Double();
  exposure.phi = reader.Double();
  exposure.cells = reader.Array();
  exposure.activated = reader.Bool();
  exposure.outcome = reader.Parse(ParseOutcome);
  exposure.outcome_at = reader.Time();
  exposure.bad.crashed = reader.Time();
  exposure.bad.degraded = reader.Time();
  exposure.bad.explained = reader.Double();
  RETURN_IF_ERROR(reader.status());
  return exposure;
}

absl::StatusOr<BackgroundRow> ReadBackground(const pqxx::row& row) {
  RowReader reader(row);
  BackgroundRow background;
  background.host_class = reader.Text();
  background.hour_of_week = static_cast<int>(reader.Int());
  background.week = reader.Int();
  background.spells = reader.Double();
  background.silent = reader.Double();
  background.crashed = reader.Double();
  RETURN_IF_ERROR(reader.status());
  return background;
}

absl::StatusOr<JudgementRow> ReadJudgement(const pqxx::row& row) {
  RowReader reader(row);
  JudgementRow judgement;
  judgement.channel = reader.Text();
  judgement.serial = reader.Unsigned();
  judgement.rho0 = reader.Double();
  judgement.k_max = reader.Int();
  judgement.test = reader.Int();
  judgement.cells = reader.Array();
  judgement.blocked = reader.Array();
  judgement.excluded = reader.Array();
  const std::vector<std::string> unblocked = reader.Array();
  const std::vector<std::string> unblocked_at = reader.Array();
  for (size_t i = 0; i < unblocked.size(); ++i) {
    int64_t micros = 0;
    if (i >= unblocked_at.size() || !absl::SimpleAtoi(unblocked_at[i], &micros)) {
      return absl::DataLossError("judgements.unblocked_at: not one for each of unblocked");
    }
    judgement.unblocked.push_back({unblocked[i], absl::FromUnixMicros(micros)});
  }
  RETURN_IF_ERROR(reader.status());
  return judgement;
}

absl::StatusOr<EvidenceRecordRow> ReadEvidenceRecord(const pqxx::row& row) {
  RowReader reader(row);
  EvidenceRecordRow record;
  record.channel = reader.Text();
  record.serial = reader.Unsigned();
  record.replica = static_cast<uint32_t>(reader.Int());
  record.seq = reader.Int();
  record.test = reader.Int();
  record.at = reader.Time();
  record.soak = reader.Bool();
  record.bucket = reader.Unsigned();
  record.rho = reader.Double();
  record.treated = reader.Int();
  record.controls = reader.Int();
  record.phantoms = reader.Int();
  record.late = reader.Bool();
  record.events = reader.Parse(EventsFromJson);
  RETURN_IF_ERROR(reader.status());
  return record;
}

absl::StatusOr<EvidenceRow> ReadEvidence(const pqxx::row& row) {
  RowReader reader(row);
  EvidenceRow evidence;
  evidence.channel = reader.Text();
  evidence.serial = reader.Unsigned();
  evidence.replica = static_cast<uint32_t>(reader.Int());
  evidence.health_channel = static_cast<policy::HealthChannel>(reader.Int());  // 0 to 4 by the schema
  evidence.cell = reader.Text();
  evidence.version = reader.Int();
  const std::vector<double> r = reader.Doubles(evidence.r.size());
  const std::vector<double> guard = reader.Doubles(evidence.guard.size());
  std::copy(r.begin(), r.end(), evidence.r.begin());
  std::copy(guard.begin(), guard.end(), evidence.guard.begin());
  evidence.bad_treated = reader.Int();
  evidence.all_treated = reader.Int();
  evidence.bad_control = reader.Int();
  evidence.all_control = reader.Int();
  RETURN_IF_ERROR(reader.status());
  return evidence;
}

absl::StatusOr<ExposureCount> ReadExposureCount(const pqxx::row& row) {
  RowReader reader(row);
  ExposureCount count;
  count.stage = reader.Int();
  count.outcome = reader.Parse(ParseOutcome);
  count.activated = reader.Bool();
  count.exposures = reader.Int();
  count.first_outcome_at = reader.Time();
  count.last_exposed_at = reader.Time();
  RETURN_IF_ERROR(reader.status());
  return count;
}

absl::StatusOr<std::string> ReadTenant(const pqxx::row& row) {
  return std::string(row[0].c_str());
}

std::vector<std::string> ScopeArrays(absl::Span<const Scope> scopes) {
  PgArray tenants, channels, serials, rings;
  for (const Scope& scope : scopes) {
    tenants.AddText(scope.tenant);
    channels.AddText(scope.channel);
    serials.AddUnsigned(scope.serial);
    rings.AddText(scope.ring);
  }
  return {tenants.Take(), channels.Take(), serials.Take(), rings.Take()};
}

// The same on every replica of every version, hence a published hash.
int64_t GateOf(const Scope& scope) {
  HashInput input;
  input.String(scope.tenant).String(scope.channel).U64(scope.serial).String(scope.ring);
  return static_cast<int64_t>(HeadBigEndian(Sha256(input.bytes())) % kBrakeGates);
}

// Numbers different values from 1, in the order in which they are first met.
template <typename Value>
class Dictionary {
 public:
  // The value's number, and whether it was new.
  std::pair<int32_t, bool> Find(const Value& value) {
    const auto [found, is_new] = numbers_.try_emplace(value, static_cast<int32_t>(numbers_.size()) + 1);
    return {found->second, is_new};
  }

 private:
  absl::flat_hash_map<Value, int32_t> numbers_;
};

// The key of an exposure, for finding repeats in a batch. Views into the rows.
using ExposureKey = std::tuple<absl::string_view, absl::string_view, uint64_t, AgentId, uint64_t>;

template <typename Row>
ExposureKey KeyOf(const Row& row) {
  return {row.tenant, row.channel, row.serial, row.agent, row.bucket};
}

}  // namespace

// ---- stages

absl::StatusOr<StageId> PostgresTransaction::InsertStage(const StageRow& row) {
  ASSIGN_OR_RETURN(const pqxx::result result,
                   Run(statements::kInsertStage,
                       {row.tenant, row.channel, PgUnsigned(row.serial), row.ring, absl::StrCat(row.rollout),
                        absl::StrCat(row.plan_revision), policy::Name(row.state), absl::StrCat(row.wave),
                        absl::StrCat(row.members), absl::StrCat(row.cap), PgTime(row.wave_opened_at),
                        PgInterval(row.soaked), row.rule, row.why, PgTime(row.created_at)}));
  if (result.empty()) {
    return absl::AlreadyExistsError(
        absl::StrCat("stage ", row.tenant, "/", row.channel, "/", row.serial, "/", row.ring, " exists"));
  }
  const pqxx::row inserted = result.front();
  RowReader reader(inserted);
  const StageId stage = reader.Int();
  RETURN_IF_ERROR(reader.status());
  return stage;
}

absl::Status PostgresTransaction::UpdateStages(absl::Span<const StageRow> rows) {
  std::map<StageId, const StageRow*> newest;  // the last of several rows of one stage counts
  for (const StageRow& row : rows) newest[row.stage] = &row;
  PgArray ids, revisions, states, waves, members, caps, opened, soaked, rules, whys;
  for (const auto& [id, row] : newest) {
    ids.AddInt(id);
    revisions.AddInt(row->plan_revision);
    states.AddText(policy::Name(row->state));
    waves.AddInt(row->wave);
    members.AddInt(row->members);
    caps.AddInt(row->cap);
    opened.AddTime(row->wave_opened_at);
    soaked.AddText(PgInterval(row->soaked));
    rules.AddText(row->rule);
    whys.AddText(row->why);
  }
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kUpdateStages,
                          {ids.Take(), revisions.Take(), states.Take(), waves.Take(), members.Take(),
                           caps.Take(), opened.Take(), soaked.Take(), rules.Take(), whys.Take()}));
  if (changed == static_cast<int64_t>(newest.size())) return absl::OkStatus();
  return Spoil(absl::NotFoundError(
      absl::StrCat("stages: ", newest.size() - changed, " of ", newest.size(), " are not known")));
}

absl::StatusOr<std::vector<StageRow>> PostgresTransaction::Stages() {
  return ReadAll(ReadStage, statements::kStages);
}

// ---- brakes

absl::Status PostgresTransaction::EnsureBrakes(absl::Span<const Scope> scopes) {
  return Run(statements::kEnsureBrakes, ScopeArrays(scopes)).status();
}

absl::StatusOr<std::vector<BrakeRow>> PostgresTransaction::LockBrakesShared(absl::Span<const Scope> scopes) {
  std::set<int64_t> gates;
  for (const Scope& scope : scopes) gates.insert(GateOf(scope));
  PgArray gate_array;
  for (const int64_t gate : gates) gate_array.AddInt(gate);
  RETURN_IF_ERROR(
      Run(statements::kPassGatesShared, {absl::StrCat(kBrakeGateClass), gate_array.Take()}).status());
  return ReadAll(ReadBrake, statements::kLockBrakesShared, ScopeArrays(scopes));
}

absl::Status PostgresTransaction::PassGateAlone(const Scope& scope) {
  return Run(statements::kPassGateAlone, {absl::StrCat(kBrakeGateClass), absl::StrCat(GateOf(scope))})
      .status();
}

absl::StatusOr<BrakeRow> PostgresTransaction::LockBrake(const Scope& scope) {
  RETURN_IF_ERROR(PassGateAlone(scope));
  RETURN_IF_ERROR(EnsureBrakes({scope}));
  ASSIGN_OR_RETURN(
      const pqxx::result result,
      Run(statements::kLockBrake, {scope.tenant, scope.channel, PgUnsigned(scope.serial), scope.ring}));
  if (result.empty()) return Spoil(absl::InternalError("brake: the row that was just made is not there"));
  return ReadBrake(result.front());
}

absl::Status PostgresTransaction::PutBrake(const BrakeRow& row) {
  RETURN_IF_ERROR(PassGateAlone(row.scope));  // at no cost after LockBrake
  ASSIGN_OR_RETURN(const pqxx::result result, Run(statements::kPutBrake, {row.scope.tenant,
                                                                          row.scope.channel,
                                                                          PgUnsigned(row.scope.serial),
                                                                          row.scope.ring,
                                                                          absl::StrCat(row.epoch),
                                                                          PgBool(row.tenant_paused),
                                                                          PgBool(row.vendor_paused),
                                                                          PgBool(row.held),
                                                                          PgBool(row.halted),
                                                                          PgBool(row.reverting),
                                                                          PgBool(row.recalled),
                                                                          row.rule,
                                                                          row.reason,
                                                                          row.actor,
                                                                          PgTime(row.at),
                                                                          row.first_approver,
                                                                          PgTime(row.hold_revert_at),
                                                                          PgDouble(row.m_r_mark),
                                                                          PgDouble(row.m_a_mark),
                                                                          PgTime(row.resumed_at),
                                                                          PgTime(row.halted_at),
                                                                          row.resume_order}));
  if (!result.empty()) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("brake: epoch ", row.epoch, " does not follow the stored one"));
}

absl::StatusOr<std::vector<BrakeRow>> PostgresTransaction::Brakes() {
  return ReadAll(ReadBrake, statements::kBrakes);
}

// ---- exposures

absl::Status PostgresTransaction::InsertExposures(absl::Span<const ExposureRow> rows) {
  if (rows.empty()) return absl::OkStatus();
  // In the order of the key: neighbours go to the same page of the index.
  std::vector<const ExposureRow*> sorted;
  sorted.reserve(rows.size());
  for (const ExposureRow& row : rows) sorted.push_back(&row);
  std::sort(sorted.begin(), sorted.end(),
            [](const ExposureRow* a, const ExposureRow* b) { return KeyOf(*a) < KeyOf(*b); });
  // What the rows of one draw share. Views into the rows.
  using Draw = std::tuple<absl::string_view, absl::string_view, uint64_t, uint64_t, StageId,
                          absl::string_view, int, double, double, double, bool, Outcome, absl::Time>;
  Dictionary<Draw> draws;
  Dictionary<Digest> digests;
  Dictionary<absl::Span<const std::string>> cell_lists;
  PgBinaryArray tenants(PgType::kText), channels(PgType::kText), serials(PgType::kInt8),
      buckets(PgType::kInt8), stages(PgType::kInt8), rings(PgType::kText), waves(PgType::kInt4),
      rhos(PgType::kDouble), pis(PgType::kDouble), phis(PgType::kDouble), activated(PgType::kBool),
      outcomes(PgType::kText), outcome_times(PgType::kTime);
  PgBinaryArray previous(PgType::kBytes), cells(PgType::kText);
  PgBinaryArray agents(PgType::kUuid), exposed(PgType::kTime), deadlines(PgType::kTime),
      draw_of(PgType::kInt4), previous_of(PgType::kInt4), cells_of(PgType::kInt4);
  for (const ExposureRow* at : sorted) {
    const ExposureRow& row = *at;
    const auto [draw, new_draw] =
        draws.Find({row.tenant, row.channel, row.serial, row.bucket, row.stage, row.ring, row.wave, row.rho,
                    row.pi, row.phi, row.activated, row.outcome, row.outcome_at});
    if (new_draw) {
      tenants.AddText(row.tenant);
      channels.AddText(row.channel);
      serials.AddUnsigned(row.serial);
      buckets.AddUnsigned(row.bucket);
      stages.AddInt8(row.stage);
      rings.AddText(row.ring);
      waves.AddInt4(row.wave);
      rhos.AddDouble(row.rho);
      pis.AddDouble(row.pi);
      phis.AddDouble(row.phi);
      activated.AddBool(row.activated);
      outcomes.AddText(Name(row.outcome));
      outcome_times.AddTime(row.outcome_at);
    }
    const auto [digest, new_digest] = digests.Find(row.previous);
    if (new_digest) previous.AddBytes(row.previous.raw());
    const auto [cell_list, new_cell_list] = cell_lists.Find(row.cells);
    if (new_cell_list) cells.AddText(PgTextArray(row.cells));
    agents.AddUuid(row.agent);
    exposed.AddTime(row.exposed_at);
    deadlines.AddTime(row.deadline);
    draw_of.AddInt4(draw);
    previous_of.AddInt4(digest);
    cells_of.AddInt4(cell_list);
  }
  const absl::Status status =
      session_
          .RunBinary(
              repeats_ ? statements::kInsertMissingExposures : statements::kInsertExposures,
              {tenants.Take(),   channels.Take(), serials.Take(),       buckets.Take(),  stages.Take(),
               rings.Take(),     waves.Take(),    rhos.Take(),          pis.Take(),      phis.Take(),
               activated.Take(), outcomes.Take(), outcome_times.Take(), previous.Take(), cells.Take(),
               agents.Take(),    exposed.Take(),  deadlines.Take(),     draw_of.Take(),  previous_of.Take(),
               cells_of.Take()})
          .status();
  if (status.ok()) return status;
  met_repeats_ = !repeats_ && absl::IsAlreadyExists(status);
  return Spoil(met_repeats_ ? absl::AbortedError("exposures: some are there already") : status);
}

absl::Status PostgresTransaction::UpdateOutcomes(absl::Span<const OutcomeUpdate> updates) {
  if (updates.empty()) return absl::OkStatus();
  absl::flat_hash_map<ExposureKey, const OutcomeUpdate*>
      newest;  // the last of several updates of one row counts
  newest.reserve(updates.size());
  for (const OutcomeUpdate& update : updates) newest[KeyOf(update)] = &update;
  PgArray tenants, channels, serials, agents, buckets, activated, outcomes, times, deadlines, crashed,
      degraded, explained;
  for (const OutcomeUpdate& update : updates) {
    if (newest.size() != updates.size() && newest[KeyOf(update)] != &update) continue;
    tenants.AddText(update.tenant);
    channels.AddText(update.channel);
    serials.AddUnsigned(update.serial);
    agents.AddUuid(update.agent.raw());
    buckets.AddUnsigned(update.bucket);
    activated.AddBool(update.activated);
    outcomes.AddText(Name(update.outcome));
    times.AddTime(update.outcome_at);
    deadlines.AddTime(update.deadline);
    crashed.AddTime(update.bad.crashed);
    degraded.AddTime(update.bad.degraded);
    explained.AddDouble(update.bad.explained);
  }
  ASSIGN_OR_RETURN(const int64_t changed,
                   Change(statements::kUpdateOutcomes,
                          {tenants.Take(), channels.Take(), serials.Take(), agents.Take(), buckets.Take(),
                           activated.Take(), outcomes.Take(), times.Take(), deadlines.Take(), crashed.Take(),
                           degraded.Take(), explained.Take()}));
  if (changed == static_cast<int64_t>(newest.size())) return absl::OkStatus();
  return Spoil(absl::NotFoundError(
      absl::StrCat("exposures: ", newest.size() - changed, " of ", newest.size(), " are not known")));
}

absl::Status PostgresTransaction::ForEachExposure(const std::string& channel, uint64_t serial,
                                                  absl::FunctionRef<void(const ExposureRow&)> visit) {
  const std::string limit = absl::StrCat(kPageRows);
  std::string tenant;
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<std::string> next,
                     ReadAll(ReadTenant, statements::kNextExposedTenant, {tenant}));
    if (next.empty()) return absl::OkStatus();
    tenant = next.front();
    AgentId agent;
    // Below every bucket as PostgreSQL orders them, which is as signed numbers.
    std::string bucket = absl::StrCat(std::numeric_limits<int64_t>::min());
    for (;;) {
      ASSIGN_OR_RETURN(const std::vector<ExposureRow> page,
                       ReadAll(ReadExposure, statements::kExposuresFrom,
                               {tenant, channel, PgUnsigned(serial), agent.ToString(), bucket, limit}));
      for (const ExposureRow& row : page) visit(row);
      if (page.size() < kPageRows) break;
      agent = page.back().agent;
      bucket = PgUnsigned(page.back().bucket);
    }
  }
}

absl::StatusOr<std::vector<ExposureRow>> PostgresTransaction::ExposuresOf(
    const std::string& tenant, const AgentId& agent,
    absl::Span<const std::pair<std::string, uint64_t>> releases) {
  PgArray channels, serials;
  for (const auto& [channel, serial] : releases) {
    channels.AddText(channel);
    serials.AddUnsigned(serial);
  }
  return ReadAll(ReadExposure, statements::kExposuresOf,
                 {tenant, agent.ToString(), channels.Take(), serials.Take()});
}

absl::Status PostgresTransaction::CountExposures(const std::string& channel, uint64_t serial,
                                                 absl::FunctionRef<void(const ExposureCount&)> visit) {
  // Tenant by tenant, so that each statement reads one range of the key.
  std::string tenant;
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<std::string> next,
                     ReadAll(ReadTenant, statements::kNextExposedTenant, {tenant}));
    if (next.empty()) return absl::OkStatus();
    tenant = next.front();
    ASSIGN_OR_RETURN(
        const std::vector<ExposureCount> counts,
        ReadAll(ReadExposureCount, statements::kCountExposures, {tenant, channel, PgUnsigned(serial)}));
    for (const ExposureCount& count : counts) visit(count);
  }
}

// ---- evidence

absl::Status PostgresTransaction::PutEvidence(absl::Span<const EvidenceRow> rows) {
  using Key = std::tuple<std::string, uint64_t, uint32_t, policy::HealthChannel, std::string>;
  std::map<Key, const EvidenceRow*> newest;
  for (const EvidenceRow& row : rows) {
    const EvidenceRow*& kept = newest[{row.channel, row.serial, row.replica, row.health_channel, row.cell}];
    if (kept == nullptr || kept->version < row.version) kept = &row;
  }
  if (newest.empty()) return absl::OkStatus();
  PgArray channels, serials, replicas, health_channels, cells, versions, rs, guards, bad_treated, all_treated,
      bad_control, all_control;
  for (const auto& [key, row] : newest) {
    channels.AddText(row->channel);
    serials.AddUnsigned(row->serial);
    replicas.AddInt(row->replica);
    health_channels.AddInt(static_cast<int64_t>(row->health_channel));
    cells.AddText(row->cell);
    versions.AddInt(row->version);
    rs.AddText(PgDoubleArray(row->r));
    guards.AddText(PgDoubleArray(row->guard));
    bad_treated.AddInt(row->bad_treated);
    all_treated.AddInt(row->all_treated);
    bad_control.AddInt(row->bad_control);
    all_control.AddInt(row->all_control);
  }
  return Run(statements::kPutEvidence,
             {channels.Take(), serials.Take(), replicas.Take(), health_channels.Take(), cells.Take(),
              versions.Take(), rs.Take(), guards.Take(), bad_treated.Take(), all_treated.Take(),
              bad_control.Take(), all_control.Take()})
      .status();
}

absl::StatusOr<std::vector<EvidenceRow>> PostgresTransaction::Evidence(const std::string& channel,
                                                                       uint64_t serial) {
  return ReadAll(ReadEvidence, statements::kEvidence, {channel, PgUnsigned(serial)});
}

absl::Status PostgresTransaction::PutBackground(absl::Span<const BackgroundRow> rows) {
  if (rows.empty()) return absl::OkStatus();
  PgArray classes, hours, weeks, spells, silent, crashed;
  for (const BackgroundRow& row : rows) {
    classes.AddText(row.host_class);
    hours.AddInt(row.hour_of_week);
    weeks.AddInt(row.week);
    spells.AddDouble(row.spells);
    silent.AddDouble(row.silent);
    crashed.AddDouble(row.crashed);
  }
  return Run(statements::kPutBackground,
             {classes.Take(), hours.Take(), weeks.Take(), spells.Take(), silent.Take(), crashed.Take()})
      .status();
}

absl::StatusOr<std::vector<BackgroundRow>> PostgresTransaction::Background() {
  return ReadAll(ReadBackground, statements::kBackground, {});
}

absl::Status PostgresTransaction::PutJudgement(const JudgementRow& row) {
  std::vector<std::string> unblocked;
  PgArray unblocked_at;
  for (const JudgementRow::Unblocked& one : row.unblocked) {
    unblocked.push_back(one.cell);
    unblocked_at.AddInt(absl::ToUnixMicros(one.at));
  }
  return Run(statements::kPutJudgement,
             {row.channel, PgUnsigned(row.serial), PgDouble(row.rho0), absl::StrCat(row.k_max),
              absl::StrCat(row.test), PgTextArray(row.cells), PgTextArray(row.blocked),
              PgTextArray(row.excluded), PgTextArray(unblocked), unblocked_at.Take()})
      .status();
}

absl::StatusOr<std::optional<JudgementRow>> PostgresTransaction::Judgement(const std::string& channel,
                                                                           uint64_t serial) {
  ASSIGN_OR_RETURN(std::vector<JudgementRow> rows,
                   ReadAll(ReadJudgement, statements::kJudgement, {channel, PgUnsigned(serial)}));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

absl::Status PostgresTransaction::AppendEvidenceRecords(absl::Span<const EvidenceRecordRow> rows) {
  if (rows.empty()) return absl::OkStatus();
  PgArray channels, serials, replicas, seqs, tests, ats, soaks, buckets, rhos, treated, controls, phantoms,
      lates, events;
  for (const EvidenceRecordRow& row : rows) {
    channels.AddText(row.channel);
    serials.AddUnsigned(row.serial);
    replicas.AddInt(row.replica);
    seqs.AddInt(row.seq);
    tests.AddInt(row.test);
    ats.AddTime(row.at);
    soaks.AddBool(row.soak);
    buckets.AddUnsigned(row.bucket);
    rhos.AddDouble(row.rho);
    treated.AddInt(row.treated);
    controls.AddInt(row.controls);
    phantoms.AddInt(row.phantoms);
    lates.AddBool(row.late);
    ASSIGN_OR_RETURN(const std::string json, EventsToJson(row.events));
    events.AddText(json);
  }
  return Run(statements::kAppendEvidenceRecords,
             {channels.Take(), serials.Take(), replicas.Take(), seqs.Take(), tests.Take(), ats.Take(),
              soaks.Take(), buckets.Take(), rhos.Take(), treated.Take(), controls.Take(), phantoms.Take(),
              lates.Take(), events.Take()})
      .status();
}

absl::StatusOr<std::vector<EvidenceRecordRow>> PostgresTransaction::EvidenceRecords(
    const std::string& channel, uint64_t serial) {
  return ReadAll(ReadEvidenceRecord, statements::kEvidenceRecords, {channel, PgUnsigned(serial)});
}

}  // namespace ringfence::storage
