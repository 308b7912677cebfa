// Releases and plans: what enters the system, gated.
#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/acts.h"
#include "server/app/engine.h"
#include "server/app/publication.h"
#include "server/gate/gate.h"

namespace ringfence::app {
namespace {

using trust::RefusalType;

absl::Status Refuse(RefusalType type, std::string part, std::string field, std::string found,
                    std::string wanted) {
  return trust::ToStatus({type, std::move(part), std::move(field), std::move(found), std::move(wanted)});
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
  const RefusalType type = bad         ? RefusalType::kKnownBad
                           : elsewhere ? RefusalType::kDigestTaken
                                       : RefusalType::kStaleVersion;
  return Refuse(type, "manifest", "digest",
                absl::StrCat("the bytes of ", elsewhere ? absl::StrCat(known.channel, " ") : "", "serial ",
                             known.serial, bad ? ", stopped or recalled" : ""),
                "bytes that are no release yet");
}

constexpr char kUrgentText[] =
    "urgent: each tenant's own plan says whether it moves faster; its admins are asked to acknowledge it";

HashInput Asked(const policy::Release& release, const PublishRequest& request) {
  HashInput input = Manifest(release);
  if (request.skip_rings) input.String("skip_rings");
  return input;
}

// Have they bytes in common?
bool Overlap(const policy::Release& a, const policy::Release& b) {
  return policy::Holds(a, b.digest) ||
         std::any_of(b.artifacts.begin(), b.artifacts.end(),
                     [&](const auto& one) { return policy::Holds(a, one.digest); });
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
    for (const auto& [key, value] : set.reported.pairs()) {
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
    if (!Overlap(r, release)) continue;
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
      return Refuse(RefusalType::kMalformed, "manifest", "kind", "the other kind",
                    "the kind that the channel moves");
    }
    if (r.serial >= release.serial) {
      return Refuse(RefusalType::kStaleVersion, "manifest", "serial", absl::StrCat(release.serial),
                    absl::StrCat("above ", r.serial, ", the channel's newest"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PublishReply> Engine::Publish(const Act& act, const PublishRequest& request) {
  RETURN_IF_ERROR(CheckAct(act));
  if (act.actor.role != Role::kReleaseManager) {
    return absl::PermissionDeniedError("only a release-manager may publish");
  }
  if (request.repository.has_value()) return PublishRepository(act, request);
  policy::Release release = request.release;
  release.size_bytes = static_cast<int64_t>(request.bytes.size());
  release.published_at = absl::FromUnixMicros(absl::ToUnixMicros(clock_->Now()));  // as it is stored
  // What is wrong with a size is the gate's to say: a manifest has none.
  policy::Release sized = release;
  sized.size_bytes = std::clamp(release.size_bytes, int64_t{1}, policy::kMaxArtifactBytes);
  if (const std::vector<policy::Fault> faults = policy::Validate(sized); !faults.empty()) {
    absl::Status status = policy::ToStatus(faults);
    status.SetPayload(kRefusalUrl, absl::Cord(trust::Name(RefusalType::kMalformed)));
    return status;
  }
  // Written down before anything else is looked at, so that an attempt with bytes that are refused is on
  // record too.
  if (request.skip_rings) {
    RETURN_IF_ERROR(KeepBypass(act, {BypassKind::kSkipRing,
                                     {"", release.channel, release.serial, ""},
                                     "the release, if it is taken, travels ring by ring"}));
  }
  const std::string target = absl::StrCat(release.channel, "/", release.serial);
  if (options_.trust != nullptr) {
    return OnRecord(*store_, act, release.published_at, target,
                    Refuse(RefusalType::kBadSignature, "metadata", "", "none",
                           "the release repository that this server follows: `release publish REPOSITORY`"));
  }
  const auto judged = gate::Judge({&release, request.bytes});
  if (const auto* refusal = std::get_if<trust::Refusal>(&judged))
    return OnRecord(*store_, act, release.published_at, target, trust::ToStatus(*refusal));
  Publication publication;
  publication.release = release;
  publication.bytes = {{release.digest, request.bytes}};
  publication.warnings = std::get<gate::Passed>(judged).warnings;
  if (request.skip_rings) publication.warnings.push_back(kBypassWarning);
  MutexLock publishing(&publish_mu_);
  return StorePublication(act, RequestFor("release.publish", Asked(release, request)), publication);
}

absl::StatusOr<PublishReply> Engine::StorePublication(const Act& act, const Request& asked,
                                                      const Publication& publication) {
  const policy::Release& release = publication.release;
  const std::string target = absl::StrCat(release.channel, "/", release.serial);
  PublishReply reply;
  const auto keep = [&](storage::Transaction& tx) {
    // The release first: what came may say more than one release's name.
    std::vector<std::string> answer = {target};
    answer.insert(answer.end(), reply.warnings.begin(), reply.warnings.end());
    return KeepAnswer(tx, act, asked, release.published_at, Pack(answer));
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
  reply.warnings.insert(reply.warnings.end(), publication.warnings.begin(), publication.warnings.end());
  const absl::Status status = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, asked));
    answered = known.has_value();
    if (!answered && !refused.ok()) return refused;
    if (answered || same) {
      ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> rows, tx.Releases());
      for (const storage::ReleaseRow& one : rows) {
        if (SameManifest(one.release, release)) reply.row = one;
      }
      if (!answered) {
        RETURN_IF_ERROR(PutFiles(tx, publication.files, release.published_at));
        return keep(tx);
      }
      ASSIGN_OR_RETURN(std::vector<std::string> kept, Unpack(known->response));
      if (!kept.empty()) kept.erase(kept.begin());
      reply.warnings = std::move(kept);
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(PutBytes(tx, publication));
    RETURN_IF_ERROR(PutFiles(tx, publication.files, release.published_at));
    ASSIGN_OR_RETURN(row.rollout, tx.InsertRelease(row));
    RETURN_IF_ERROR(tx.EnsureBrakes(ScopesOf("", release.channel, release.serial, "")));
    storage::DecisionRow decision;
    decision.at = release.published_at;
    decision.channel = release.channel;
    decision.serial = release.serial;
    decision.action = "publish";
    decision.rule = "operator";
    decision.actor = act.actor.person;
    const bool verified = !release.artifacts.empty();
    decision.why =
        absl::StrCat("version ", release.version, verified ? ", signed, proven" : ", unsigned, unproven");
    const char* verified_word = verified ? "true" : "false";
    decision.evidence = absl::StrCat("{\"size_bytes\":", release.size_bytes, ",\"signed\":", verified_word,
                                     ",\"proven\":", verified_word, "}");
    RETURN_IF_ERROR(tx.AppendDecision(decision).status());
    if (release.urgent) {
      decision.action = "announce";
      decision.rule = "urgent";
      decision.why = kUrgentText;
      decision.evidence = "{\"urgent\":true}";
      RETURN_IF_ERROR(tx.AppendDecision(decision).status());
    }
    RETURN_IF_ERROR(tx.AppendAudit(AuditOf(act, release.published_at, asked.what, target)));
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
      if (Overlap(known.release, release) && !SameManifest(known.release, release)) {
        return RefuseKnownBytes(known.release, known.state == storage::ReleaseState::kRecalled, release);
      }
      if (!SameManifest(known.release, release) || FindRelease(release.channel, release.serial) != nullptr)
        continue;
      AddRelease(known);
      Changed();
      reply.row = std::move(known);
      return reply;
    }
    return Refuse(RefusalType::kStaleVersion, "manifest", "serial", absl::StrCat(release.serial),
                  "one that the channel does not have yet");
  }
  if (!status.ok()) return OnRecord(*store_, act, release.published_at, target, status);
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
  return RecallNow(act, channel, serial);
}

absl::StatusOr<storage::ReleaseRow> Engine::RecallNow(const Act& act, const std::string& channel,
                                                      uint64_t serial) {
  const storage::Scope scope{"", channel, serial, ""};
  RETURN_IF_ERROR(MayBrake(act, scope, true));
  RETURN_IF_ERROR(StopNow(act, Stop::kRecall, scope).status());
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
  RETURN_IF_ERROR(MayOwnPlan(act, plan.tenant));
  RETURN_IF_ERROR(policy::ToStatus(policy::Validate(plan)));
  storage::PlanRow row{plan, expected_revision + 1, act.actor.person, clock_->Now()};
  const Request request =
      RequestFor("plan.apply", HashInput().String(plan.tenant).U64(static_cast<uint64_t>(expected_revision)));
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, request));
    if (known.has_value()) {
      ASSIGN_OR_RETURN(const std::vector<storage::PlanRow> history, tx.PlanHistory(plan.tenant));
      const auto same = std::find_if(history.begin(), history.end(), [&](const storage::PlanRow& candidate) {
        return candidate.revision == row.revision && candidate.plan == plan;
      });
      if (same == history.end()) return absl::InvalidArgumentError("request_id: was used for another plan");
      row = *same;
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::vector<storage::SignedRow> documents, tx.SignedDocuments(plan.tenant));
    if (!documents.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("plan: ", plan.tenant,
                       " signs its plans: sign this one (ringfence plan sign) and apply the envelope"));
    }
    RETURN_IF_ERROR(tx.InsertPlan(row));
    RETURN_IF_ERROR(tx.EnsureBrakes(std::vector<storage::Scope>{{plan.tenant, "", 0, ""}}));
    storage::AuditRow audit = AuditOf(act, row.applied_at, request.what, plan.tenant);
    audit.tenant = plan.tenant;
    audit.before = absl::StrCat("revision ", expected_revision);
    audit.after = absl::StrCat("revision ", row.revision);
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, row.applied_at);
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
