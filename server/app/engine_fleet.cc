// Enrolment, credentials, deletion, downloads.
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "server/app/acts.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// For so long after its use a token enrols the same agent again: its answer may have been lost.
const absl::Duration kEnrolmentRepeats = absl::Minutes(10);
constexpr char kEnrolled[] = "enrol";

// What is remembered of a used token, under its hash.
std::string RequestOf(const Digest& token_hash) {
  return absl::StrCat(kEnrolled, ":",
                      absl::BytesToHexString(token_hash.raw().substr(0, 29)));  // 64 bytes at most
}

// Takes as long whatever the bytes are.
bool SameBytes(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

absl::StatusOr<EnrolReply> Engine::Enrol(const EnrolRequest& request) {
  const absl::Time now = clock_->Now();
  EnrolReply reply;
  {
    MutexLock lock(&mu_);
    reply.secret = RandomBytes(32);
  }
  storage::AgentRow row;
  row.agent = request.agent;
  row.labels = request.labels;
  row.secret_hash = Sha256(reply.secret);
  row.boot_id = absl::StrCat(absl::Hex(HeadBigEndian(Sha256(request.boot_id)) | 1, absl::kZeroPad16));
  row.enrolled_at = now;
  row.last_seen = now;
  // A step may have the row of a known agent in its hands, as it was before: it must land first.
  std::optional<MutexLock> in_turn;
  if (fleet_.Find(request.agent) != kNoHost) in_turn.emplace(&step_mu_);
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(row.tenant, Admit(tx, request, now));
    const absl::StatusOr<storage::AgentRow> known = tx.Agent(request.agent);
    if (known.ok() && known->tenant != row.tenant) {
      return absl::AlreadyExistsError("agent_id: enrolled in another tenant; make a new id");
    }
    if (known.ok()) row.running = known->running;
    return tx.PutAgents({&row, 1});
  }));
  reply.tenant = row.tenant;
  MutexLock lock(&mu_);
  const HostRef known = fleet_.Find(request.agent);
  if (known != kNoHost && !fleet_.With(known, [](Row& r) { return r.deleted; })) {
    // Re-imaged: the same id with a new secret and labels. A boot nobody announced; check-ins will say so.
    fleet_.With(known, [&](Row& r) {
      r.secret_hash = row.secret_hash;
      r.recheck_at = 0;
    });
    dirty_hosts_.insert(known);  // of two that enrol the id at once, the one that is known here is written
  } else {
    AddHost(row, FleetNow());
    if (known != kNoHost) {
      // Deleted once and back: its exposures were never gone, and go on.
      if (fleet_.With(known, [](Row& r) { return r.ever_exposed; })) --online_unexposed_;
      for (const auto& release : releases_) {
        Exposure* exposure = release->live ? release->Find(known) : nullptr;
        if (exposure == nullptr) continue;
        exposure->silent = false;
        release->UpdateSeries(*exposure);
        if (exposure->committed && policy::IsUnconfirmed(exposure->standing) && !exposure->in_probation) {
          release->StartProbation(*exposure, FleetNow());
        }
      }
    }
  }
  reply.next_checkin = NextCheckIn(fleet_.With(fleet_.Find(request.agent), [](Row& r) { return r; }));
  return reply;
}

absl::StatusOr<std::string> Engine::Admit(storage::Transaction& tx, const EnrolRequest& request,
                                          absl::Time now) {
  const Digest hash = Sha256(request.token);
  const absl::StatusOr<storage::EnrolTokenRow> token = tx.TakeEnrolToken(hash, now);
  if (token.ok()) {
    RETURN_IF_ERROR(
        tx.PutRequest({RequestOf(hash), request.agent.ToString(), kEnrolled, hash, token->tenant, now}));
    return token->tenant;
  }
  if (!absl::IsNotFound(token.status())) return token.status();

  // Used, perhaps by this very agent, which did not hear the answer. It gets a new secret; the token still
  // admits nobody else, and nobody at all once the host was heard: then the answer was not lost.
  const absl::Status refused =
      absl::UnauthenticatedError("token: unknown, used or expired; ask an operator for a new one");
  ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> used, tx.FindRequest(RequestOf(hash)));
  if (!used.has_value() || used->method != kEnrolled || used->fingerprint != hash) return refused;
  if (used->person != request.agent.ToString() || now - used->at > kEnrolmentRepeats) return refused;
  ASSIGN_OR_RETURN(const storage::AgentRow known, tx.Agent(request.agent));
  if (known.deleted) return refused;
  // An earlier call that took its time: its secret must not replace the one that was handed out since.
  if (known.enrolled_at > now) return absl::AbortedError("token: a later call has enrolled this agent");
  if (const HostRef host = fleet_.Find(request.agent); host != kNoHost) {
    const auto [heard, last_seen] =
        fleet_.With(host, [](Row& r) { return std::make_pair(r.state_hash != 0, r.last_seen); });
    if (heard && now - absl::Nanoseconds(FleetNow() - last_seen) > used->at) return refused;
  }
  return used->response;
}

absl::StatusOr<std::string> Engine::Authenticate(const AgentId& agent, absl::string_view secret) {
  const Digest hash = Sha256(secret);
  const HostRef host = fleet_.Find(agent);
  if (host == kNoHost) return absl::UnauthenticatedError("the credential is not known");
  const auto [good, label_set] = fleet_.With(host, [&](Row& row) {
    return std::make_pair(!row.deleted && SameBytes(row.secret_hash.raw(), hash.raw()), row.label_set);
  });
  if (!good) return absl::UnauthenticatedError("the credential is not known");
  return *tenant_of_set_[label_set];
}

absl::Status Engine::DeleteAgent(const Act& act, const AgentId& agent) {
  RETURN_IF_ERROR(CheckAct(act));
  const HostRef host = fleet_.Find(agent);
  if (host == kNoHost) return absl::NotFoundError("id: no such agent");
  MutexLock in_turn(&step_mu_);  // after a step that has the row in its hands, as it was before
  storage::AgentRow row;
  {
    MutexLock lock(&mu_);
    row = RowOf(host);
  }
  if (act.actor.role != Role::kSre &&
      (act.actor.role != Role::kTenantAdmin || act.actor.tenant != row.tenant)) {
    return absl::PermissionDeniedError("only the tenant's admin or an SRE may delete an agent");
  }
  row.deleted = true;
  const Request request = RequestFor("agent.delete", HashInput().String(agent.ToString()));
  bool back = false;  // a repeat, and the agent enrolled again since
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> answered, Answered(tx, act, request));
    if (answered.has_value()) {
      // The first answer may have been lost in doubt, and with it what memory should know.
      ASSIGN_OR_RETURN(const storage::AgentRow stored, tx.Agent(agent));
      back = !stored.deleted;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(tx.PutAgents({&row, 1}));
    const absl::Time now = clock_->Now();
    storage::AuditRow audit = AuditOf(act, now, request.what, agent.ToString());
    audit.tenant = row.tenant;
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, now);
  }));
  if (back) return absl::OkStatus();
  // Its exposures stay in every figure: a deleted host that never spoke again is still silent (invariant 8).
  MutexLock lock(&mu_);
  const auto [was, silent, exposed, label_set] = fleet_.With(host, [](Row& r) {
    const auto before = std::make_tuple(r.deleted, r.silent, r.ever_exposed, r.label_set);
    r.deleted = true;
    return before;
  });
  if (was) return absl::OkStatus();
  --label_sets_[label_set].hosts;
  if (silent) {
    --silent_hosts_;
  } else {
    CountOnline(*label_sets_[label_set].place, -1);
    if (!exposed) --online_unexposed_;
  }
  for (const auto& release : releases_) {
    if (Exposure* exposure = release->Find(host)) {
      exposure->silent = true;
      release->UpdateSeries(*exposure);
    }
  }
  Changed();
  return absl::OkStatus();
}

absl::StatusOr<EnrolToken> Engine::CreateEnrolToken(const Act& act, const std::string& tenant,
                                                    absl::Duration valid_for) {
  RETURN_IF_ERROR(CheckAct(act));
  if (!IsSlug(tenant)) return absl::InvalidArgumentError("tenant: wanted 1 to 63 of a-z, 0-9 and -");
  if (valid_for < absl::Minutes(1) || valid_for > absl::Hours(30 * 24)) {
    return absl::InvalidArgumentError("valid_for: wanted 1 minute to 30 days");
  }
  const bool may =
      act.actor.role == Role::kSre || (act.actor.role == Role::kTenantAdmin && act.actor.tenant == tenant);
  if (!may) return absl::PermissionDeniedError("only the tenant's admin or an SRE may make enrolment tokens");
  if (act.actor.key.empty()) {
    return absl::FailedPreconditionError("an enrolment token needs a credential that it can be made of");
  }
  // Only its hash is stored. A repeat of the request, and nobody else, can be given it again.
  EnrolToken made;
  made.token = absl::BytesToHexString(
      HmacSha256(act.actor.key, HashInput().String("enrol").String(act.request_id).String(tenant).bytes())
          .raw());
  const Digest hash = Sha256(made.token);
  const Request request =
      RequestFor("token.create", HashInput()
                                     .String(tenant)
                                     .U64(static_cast<uint64_t>(absl::ToInt64Microseconds(valid_for)))
                                     .Raw(hash.raw()));
  const absl::Time now = clock_->Now();
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> answered, Answered(tx, act, request));
    made.expires_at = (answered.has_value() ? answered->at : now) + valid_for;
    if (answered.has_value()) return absl::OkStatus();
    RETURN_IF_ERROR(tx.PutEnrolToken({hash, tenant, act.actor.person, now, made.expires_at}));
    storage::AuditRow audit = AuditOf(act, now, request.what, tenant);
    audit.tenant = tenant;
    RETURN_IF_ERROR(tx.AppendAudit(audit));
    return KeepAnswer(tx, act, request, now);
  }));
  MutexLock lock(&mu_);
  TenantIndex(tenant);
  return made;
}

absl::StatusOr<int64_t> Engine::MayFetch(const AgentId& agent, const Digest& digest) {
  MutexLock lock(&mu_);
  const HostRef host = fleet_.Find(agent);
  const auto it = release_by_digest_.find(digest);
  if (host == kNoHost || it == release_by_digest_.end())
    return absl::PermissionDeniedError("digest: not for this agent");
  ReleaseState& release = *releases_[it->second];
  const Row row = fleet_.With(host, [](Row& r) { return r; });
  LabelSet& set = label_sets_[row.label_set];
  const Tenant& tenant = tenants_[set.tenant];
  const Exposure* exposure = release.Find(host);
  const std::optional<policy::ArtifactBytes> own = policy::BytesFor(release.release(), set.labels);
  const bool had_it = exposure != nullptr && exposure->committed;  // its last-known-good may be fetched again
  bool offered = false;
  if (tenant.plan.has_value() && set.ring >= 0 && Lasting(set, it->second) == policy::Reason::kNone) {
    const Stage* stage =
        OfferingStageTo(running_sets_[row.running_set], set.tenant, release.release().channel,
                        tenant.plan->plan.rings[static_cast<size_t>(set.ring)].name);
    // A download that began within a window may end after it: it exposes nobody.
    const policy::Reason passing = PassingReason(set.tenant, set.ring, release.release(), clock_->Now());
    const bool consented = passing != policy::Reason::kApproval && passing != policy::Reason::kDenied;
    offered = own.has_value() && own->digest == digest && stage != nullptr && stage->release == &release &&
              !BrakesOn(*stage).any() && consented && stage->plan_says == policy::Reason::kNone;
  }
  const BrakeView brakes = BrakesOn(tenant.name, release.release().channel, release.release().serial, "");
  if ((!had_it && !offered) || brakes.recalled || (brakes.halted && !had_it)) {
    return absl::PermissionDeniedError("digest: this agent was not told to fetch it");
  }
  return policy::BytesNamed(release.release(), digest)->size_bytes;
}

absl::StatusOr<std::string> Engine::ArtifactChunk(const Digest& digest, int64_t chunk) {
  std::string bytes;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(bytes, tx.ArtifactChunk(digest, chunk));
    return absl::OkStatus();
  }));
  return bytes;
}

absl::StatusOr<std::shared_ptr<const std::string>> Engine::TrustDocument(const std::string& name) {
  return shelf_.Get(name);
}

}  // namespace ringfence::app
