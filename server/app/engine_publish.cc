// Releases and plans: what enters the system, gated.
#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/acts.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

absl::Status Refuse(absl::StatusCode code, absl::string_view word, absl::string_view message) {
  absl::Status status(code, absl::StrCat(word, ": ", message));
  status.SetPayload(App::kRefusalUrl, absl::Cord(word));
  return status;
}

// What makes two publications the same release.
bool SameManifest(const policy::Release& a, const policy::Release& b) {
  return a.channel == b.channel && a.kind == b.kind && a.serial == b.serial && a.version == b.version &&
         a.digest == b.digest && a.targets == b.targets && a.matrix == b.matrix && a.urgent == b.urgent;
}

void Add(HashInput& input, const policy::Selector& selector) {
  input.U64(selector.all_of.size());
  for (const policy::Requirement& one : selector.all_of) {
    input.String(one.key).U64(one.any_of.size());
    for (const std::string& value : one.any_of) input.String(value);
  }
}

HashInput Manifest(const policy::Release& release) {
  HashInput input;
  input.String(release.channel).U8(static_cast<uint8_t>(release.kind)).U64(release.serial);
  input.String(release.version).Raw(release.digest.raw()).U8(release.urgent ? 1 : 0);
  Add(input, release.targets);
  input.U64(release.matrix.size());
  for (const policy::Selector& selector : release.matrix) Add(input, selector);
  return input;
}

// The bytes are a release already. Bytes that were stopped in one channel are bad in all of them, and one
// digest names one release: what hosts report is a digest.
absl::Status RefuseKnownBytes(const policy::Release& known, bool bad, const policy::Release& wanted) {
  const bool elsewhere = known.channel != wanted.channel;
  return Refuse(absl::StatusCode::kFailedPrecondition,
                bad         ? "known_bad"
                : elsewhere ? "digest_taken"
                            : "stale_version",
                absl::StrCat("digest: these bytes are ", elsewhere ? absl::StrCat(known.channel, " ") : "",
                             "serial ", known.serial, bad ? ", stopped or recalled" : ""));
}

}  // namespace

std::vector<std::string> Engine::Uncovered(const policy::Release& release) {
  std::vector<std::string> warnings;
  std::vector<std::pair<int64_t, std::string>> uncovered;
  for (LabelSet& set : label_sets_) {
    if (set.hosts == 0 || !policy::IsTargeted(release, set.labels) ||
        policy::IsQualified(release, set.labels)) {
      continue;
    }
    std::vector<std::string> parts;
    for (const auto& [key, value] : set.labels.pairs()) {
      if (key != "ring") parts.push_back(absl::StrCat(key, "=", value));
    }
    std::string name;
    for (const std::string& part : parts) absl::StrAppend(&name, name.empty() ? "" : ",", part);
    const auto same =
        std::find_if(uncovered.begin(), uncovered.end(), [&](const auto& u) { return u.second == name; });
    if (same != uncovered.end()) {
      same->first += set.hosts;
    } else {
      uncovered.emplace_back(set.hosts, name);
    }
  }
  std::sort(uncovered.rbegin(), uncovered.rend());
  for (size_t i = 0; i < uncovered.size() && i < 5; ++i) {
    warnings.push_back(absl::StrCat(uncovered[i].first, " hosts with ", uncovered[i].second,
                                    " are targeted but not covered by the matrix: never offered"));
  }
  return warnings;
}

absl::Status Engine::RefusalOf(const policy::Release& release, bool& same) const {
  same = false;
  for (const auto& known : releases_) {
    const policy::Release& r = known->release();
    if (r.digest != release.digest) continue;
    const bool bad =
        known->row.state == storage::ReleaseState::kRecalled || BrakesOn("", r.channel, r.serial, "").halted;
    if (bad || !SameManifest(r, release)) return RefuseKnownBytes(r, bad, release);
    same = true;
    return absl::OkStatus();
  }
  for (const auto& known : releases_) {
    const policy::Release& r = known->release();
    if (r.channel != release.channel) continue;
    if (r.kind != release.kind) {
      return Refuse(absl::StatusCode::kFailedPrecondition, "malformed",
                    "kind: the channel moves the other kind");
    }
    if (r.serial >= release.serial) {
      return Refuse(
          absl::StatusCode::kFailedPrecondition, "stale_version",
          absl::StrCat("serial: ", release.serial, " is not above ", r.serial, ", the channel's newest"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PublishReply> Engine::Publish(const Act& act, const PublishRequest& request) {
  RETURN_IF_ERROR(CheckAct(act));
  if (act.actor.role != Role::kReleaseManager) {
    return absl::PermissionDeniedError("only a release-manager may publish");
  }
  policy::Release release = request.release;
  release.size_bytes = static_cast<int64_t>(request.bytes.size());
  release.published_at = absl::FromUnixMicros(absl::ToUnixMicros(clock_->Now()));  // as it is stored
  if (request.bytes.empty())
    return Refuse(absl::StatusCode::kInvalidArgument, "malformed", "the artifact is empty");
  if (release.size_bytes > policy::kMaxArtifactBytes) {
    return Refuse(absl::StatusCode::kInvalidArgument, "limit_exceeded", "the artifact is larger than 64 MiB");
  }
  if (const std::vector<policy::Fault> faults = policy::Validate(release); !faults.empty()) {
    absl::Status status = policy::ToStatus(faults);
    status.SetPayload(kRefusalUrl, absl::Cord("malformed"));
    return status;
  }
  if (Sha256(request.bytes) != release.digest) {
    return Refuse(absl::StatusCode::kFailedPrecondition, "evidence_mismatch",
                  absl::StrCat("digest: the manifest names ", release.digest.ToString(), ", the bytes are ",
                               Sha256(request.bytes).ToString()));
  }

  PublishReply reply;
  const Request asked = RequestFor("release.publish", Manifest(release));
  const auto keep = [&](storage::Transaction& tx) {
    return KeepAnswer(tx, act, asked, release.published_at, Pack(reply.warnings));
  };
  storage::ReleaseRow row;
  row.release = release;
  row.published_by = act.actor.person;
  bool answered = false;  // this request was
  bool same = false;      // the same release was published by another
  absl::Status refused;
  {
    MutexLock lock(&mu_);
    row.rollout_secret = RandomBytes(32);
    refused = RefusalOf(release, same);
    reply.warnings = Uncovered(release);
  }
  const absl::Status status = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, asked));
    answered = known.has_value();
    if (!answered && !refused.ok()) return refused;
    if (answered || same) {
      ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> rows, tx.Releases());
      for (const storage::ReleaseRow& one : rows) {
        if (SameManifest(one.release, release)) reply.row = one;
      }
      if (!answered) return keep(tx);
      ASSIGN_OR_RETURN(reply.warnings, Unpack(known->response));
      return absl::OkStatus();
    }
    for (int64_t chunk = 0; chunk * kChunkBytes < release.size_bytes; ++chunk) {
      RETURN_IF_ERROR(tx.PutArtifactChunk(
          release.digest, chunk,
          absl::string_view(request.bytes).substr(static_cast<size_t>(chunk * kChunkBytes), kChunkBytes)));
    }
    ASSIGN_OR_RETURN(row.rollout, tx.InsertRelease(row));
    RETURN_IF_ERROR(tx.EnsureBrakes(ScopesOf("", release.channel, release.serial, "")));
    storage::DecisionRow decision;
    decision.at = release.published_at;
    decision.channel = release.channel;
    decision.serial = release.serial;
    decision.action = "publish";
    decision.rule = "operator";
    decision.actor = act.actor.person;
    decision.why = absl::StrCat("version ", release.version, ", unsigned");
    decision.evidence = absl::StrCat("{\"size_bytes\":", release.size_bytes, "}");
    RETURN_IF_ERROR(tx.AppendDecision(decision).status());
    RETURN_IF_ERROR(tx.AppendAudit(
        AuditOf(act, release.published_at, asked.what, absl::StrCat(release.channel, "/", release.serial))));
    return keep(tx);
  });
  if (absl::IsAlreadyExists(status)) {
    // A commit in doubt that did happen: the release is in the store and not in memory yet.
    std::vector<storage::ReleaseRow> rows;
    RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(rows, tx.Releases());
      const bool there = std::any_of(rows.begin(), rows.end(), [&](const storage::ReleaseRow& known) {
        return SameManifest(known.release, release);
      });
      return there ? keep(tx) : absl::OkStatus();
    }));
    MutexLock lock(&mu_);
    for (storage::ReleaseRow& known : rows) {
      if (known.release.digest == release.digest && !SameManifest(known.release, release)) {
        return RefuseKnownBytes(known.release, known.state == storage::ReleaseState::kRecalled, release);
      }
      if (!SameManifest(known.release, release) || FindRelease(release.channel, release.serial) != nullptr)
        continue;
      AddRelease(known);
      Changed();
      reply.row = std::move(known);
      return reply;
    }
    return Refuse(absl::StatusCode::kFailedPrecondition, "stale_version", "serial: exists in the channel");
  }
  RETURN_IF_ERROR(status);
  if (!answered && !same) reply.row = row;
  {
    // Also when it is a repeat: the first answer may have been lost in doubt, and with it the release.
    MutexLock lock(&mu_);
    if (FindRelease(release.channel, release.serial) == nullptr) AddRelease(reply.row);
    Changed();
  }
  reply.row.state = storage::ReleaseState::kPublished;  // as it was when it was published
  reply.row.healthy_age = absl::ZeroDuration();
  TellWatchers();
  return reply;
}

absl::StatusOr<storage::ReleaseRow> Engine::Recall(const Act& act, const std::string& channel,
                                                   uint64_t serial) {
  if (!act.actor.IsVendor())
    return absl::PermissionDeniedError("only the vendor's people may recall a release");
  if (serial == 0) return absl::InvalidArgumentError("serial: wanted a release");
  const storage::Scope scope{"", channel, serial, ""};
  RETURN_IF_ERROR(MayBrake(act, scope, true));
  const auto fill = [](const storage::BrakeRow&, BrakeChange& change) {
    change.recalled = true;
    change.halted = true;
    change.reverting = true;
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(Operate(act, "recall", scope, true, fill, [](storage::Transaction&) {
                    return absl::OkStatus();
                  }).status());
  MutexLock lock(&mu_);
  ReleaseState* release = FindRelease(channel, serial);
  release->row.state = storage::ReleaseState::kRecalled;
  Changed();
  return release->row;
}

absl::StatusOr<std::vector<storage::ReleaseRow>> Engine::ListReleases(const std::string& channel) {
  MutexLock lock(&mu_);
  std::vector<storage::ReleaseRow> rows;
  for (const auto& release : releases_) {
    if (channel.empty() || release->release().channel == channel) rows.push_back(release->row);
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.rollout > b.rollout; });
  return rows;
}

absl::StatusOr<storage::PlanRow> Engine::ApplyPlan(const Act& act, const policy::Plan& plan,
                                                   int64_t expected_revision) {
  RETURN_IF_ERROR(CheckAct(act));
  const bool own = act.actor.role == Role::kTenantAdmin && act.actor.tenant == plan.tenant;
  const bool internal = act.actor.IsVendor() && plan.tenant == options_.internal_tenant;
  if (!own && !internal) {
    return absl::PermissionDeniedError("plan.tenant: only the tenant's own admin applies its plan");
  }
  RETURN_IF_ERROR(policy::ToStatus(policy::Validate(plan)));
  storage::PlanRow row{plan, expected_revision + 1, act.actor.person, clock_->Now()};
  const Digest fingerprint = Sha256(absl::StrCat("plan.apply\n", plan.tenant, "\n", expected_revision));
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, tx.FindRequest(act.request_id));
    ASSIGN_OR_RETURN(const std::vector<storage::PlanRow> history, tx.PlanHistory(plan.tenant));
    if (known.has_value()) {
      const auto same = std::find_if(history.begin(), history.end(), [&](const storage::PlanRow& candidate) {
        return candidate.revision == row.revision && candidate.plan == plan;
      });
      if (known->fingerprint != fingerprint || same == history.end()) {
        return absl::InvalidArgumentError("request_id: was used for another request");
      }
      row = *same;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(tx.InsertPlan(row));
    RETURN_IF_ERROR(tx.EnsureBrakes(std::vector<storage::Scope>{{plan.tenant, "", 0, ""}}));
    storage::AuditRow audit = AuditOf(act, row.applied_at, "plan.apply", plan.tenant);
    audit.tenant = plan.tenant;
    audit.before = absl::StrCat("revision ", expected_revision);
    audit.after = absl::StrCat("revision ", row.revision);
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return tx.PutRequest({act.request_id, act.actor.person, "plan.apply", fingerprint, "", row.applied_at});
  }));
  {
    // Also when it is a repeat: the first answer may have been lost in doubt, and with it the plan.
    MutexLock lock(&mu_);
    Tenant& tenant = tenants_[TenantIndex(plan.tenant)];
    if (tenant.plan.has_value() && tenant.plan->revision >= row.revision) return row;
    tenant.plan = row;
    PlansChanged();
  }
  TellWatchers();
  return row;
}

absl::StatusOr<std::vector<storage::PlanRow>> Engine::PlanHistory(const std::string& tenant) {
  std::vector<storage::PlanRow> rows;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(rows, tx.PlanHistory(tenant));
    return absl::OkStatus();
  }));
  return rows;
}

}  // namespace ringfence::app
