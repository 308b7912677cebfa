// An App that answers from fields and remembers what it was asked.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/base/mutex.h"
#include "ringfence/trust/ed25519.h"
#include "server/app/app.h"

namespace ringfence::api {

// Thread-safe. Every answer is a field that a test sets before it calls.
class FakeApp final : public app::App {
 public:
  absl::Status Start() override { return absl::OkStatus(); }
  absl::Status RunOnce() override { return absl::OkStatus(); }
  absl::StatusOr<int> CommitOnce() override { return 0; }
  void OnLeaseQueued(std::function<void()>) override {}

  // Names every call in order: what was denied must not appear.
  std::vector<std::string> calls() {
    MutexLock lock(&mutex_);
    return calls_;
  }

  absl::StatusOr<app::EnrolReply> Enrol(const app::EnrolRequest& request) override {
    Note("Enrol");
    if (!error.ok()) return error;
    return app::EnrolReply{std::string(32, 's'), request.token == "acme-token" ? "acme" : "other",
                           absl::Seconds(30)};
  }

  // Known agents have the secret of 32 bytes 's'.
  absl::StatusOr<std::string> Authenticate(const AgentId& agent, absl::string_view secret) override {
    if (agent == known_agent && secret == std::string(32, 's')) return std::string("acme");
    return absl::UnauthenticatedError("unknown agent, or wrong secret");
  }

  absl::Status CheckIn(const app::CheckInRequest& request, app::CheckInReply* reply) override {
    Note("CheckIn");
    if (!error.ok()) return error;
    MutexLock lock(&mutex_);
    last_boot_id = std::string(request.boot_id);
    last_running = request.running.size();
    *reply = checkin_reply;
    return absl::OkStatus();
  }

  void Lease(const app::LeaseRequest&, app::LeaseDone done) override {
    Note("Lease");
    if (hold_leases) {
      MutexLock lock(&mutex_);
      held_leases_.push_back(std::move(done));
    } else if (!error.ok()) {
      done(error);
    } else {
      done(lease_reply);
    }
  }
  // Answers the leases that were held.
  size_t ReleaseLeases() {
    std::vector<app::LeaseDone> held;
    {
      MutexLock lock(&mutex_);
      held.swap(held_leases_);
    }
    for (app::LeaseDone& done : held) done(lease_reply);
    return held.size();
  }

  absl::StatusOr<int64_t> MayFetch(const AgentId&, const Digest&) override {
    Note("MayFetch");
    if (!error.ok()) return error;
    return static_cast<int64_t>(artifact.size());
  }
  absl::StatusOr<std::string> ArtifactChunk(const Digest&, int64_t chunk) override {
    Note("ArtifactChunk");
    return artifact.substr(static_cast<size_t>(chunk * kChunkBytes), kChunkBytes);
  }

  absl::StatusOr<std::shared_ptr<const std::string>> TrustDocument(const std::string& name) override {
    Note("TrustDocument");
    const auto found = documents.find(name);
    if (found == documents.end()) return absl::NotFoundError("name: the release repository has none");
    return std::make_shared<const std::string>(found->second);
  }

  absl::StatusOr<app::PublishReply> Publish(const app::Act& act,
                                            const app::PublishRequest& request) override {
    Note("Publish");
    if (!error.ok()) return error;
    app::PublishReply reply;
    published = request;
    reply.row.release = request.release;
    reply.row.release.size_bytes = static_cast<int64_t>(request.bytes.size());
    reply.row.published_by = act.actor.person;
    reply.warnings = {"12 hosts with os=win7 are targeted and not covered"};
    return reply;
  }
  absl::StatusOr<bool> KeepTimestamp() override { return false; }
  absl::StatusOr<storage::ReleaseRow> Recall(const app::Act&, const std::string&, uint64_t) override {
    return Answer("Recall", storage::ReleaseRow{});
  }
  absl::StatusOr<std::vector<storage::ReleaseRow>> ListReleases(const std::string&) override {
    return Answer("ListReleases", releases);
  }

  absl::StatusOr<storage::PlanRow> ApplyPlan(const app::Act& act, const policy::Plan& plan,
                                             int64_t) override {
    storage::PlanRow row;
    row.plan = plan;
    row.revision = 1;
    row.applied_by = act.actor.person;
    return Answer("ApplyPlan", row);
  }
  absl::StatusOr<storage::ConsentRow> Consent(const app::Act& act, storage::ConsentRow wanted) override {
    wanted.person = act.actor.person;
    return Answer(wanted.approved ? "Approve" : "Deny", wanted);
  }
  absl::StatusOr<storage::PlanRow> ApplySignedPlan(const app::Act& act, const std::string&,
                                                   int64_t) override {
    storage::PlanRow row;
    row.plan.tenant = act.actor.tenant;
    row.revision = 1;
    return Answer("ApplySignedPlan", row);
  }
  absl::StatusOr<storage::ConsentRow> SignedConsent(const app::Act& act, const std::string&,
                                                    bool approved) override {
    storage::ConsentRow row;
    row.tenant = act.actor.tenant;
    row.approved = approved;
    return Answer("SignedConsent", row);
  }
  std::vector<app::SignedPlanInfo> SignedPlans(const std::string&) override { return signed_plans; }
  uint64_t NextSeq(const std::string&) override { return signed_plans.empty() ? 0 : 1; }
  std::vector<std::string> FetchPlan(const std::string& tenant, uint64_t, uint64_t) override {
    Note("FetchPlan:" + tenant);
    std::vector<std::string> envelopes;
    for (const app::SignedPlanInfo& link : signed_plans) envelopes.push_back(link.envelope);
    return envelopes;
  }
  absl::StatusOr<std::vector<app::ApprovalInfo>> Approvals(const std::string&) override {
    return Answer("Approvals", approvals);
  }
  app::PreviewReply PreviewPlan(const policy::Plan&) override {
    Note("PreviewPlan");
    return preview;
  }
  absl::StatusOr<app::ExplainReleaseReply> ExplainRelease(const std::string&, const std::string&,
                                                          uint64_t) override {
    return Answer("ExplainRelease", explained);
  }
  absl::StatusOr<std::vector<storage::PlanRow>> PlanHistory(const std::string&) override {
    return Answer("PlanHistory", plans);
  }

  absl::StatusOr<storage::BrakeRow> Pause(const app::Act&, const storage::Scope& scope) override {
    return Brake("Pause", scope);
  }
  absl::StatusOr<app::ResumeReply> Resume(const app::Act&, const storage::Scope&, app::BrakeKind,
                                          absl::string_view order) override {
    return Answer(order.empty() ? "Resume" : absl::StrCat("Resume:", order), app::ResumeReply{});
  }
  absl::Status DenyBypass(const app::Act& act, const app::Bypass& asked) override {
    Note(absl::StrCat("DenyBypass:", act.actor.person, ":", static_cast<int>(asked.kind)));
    return absl::PermissionDeniedError("bypass_denied: no");
  }
  absl::StatusOr<std::vector<app::UrgentInfo>> UrgentReleases(const std::string& tenant) override {
    return Answer("UrgentReleases:" + tenant, urgent);
  }
  absl::StatusOr<app::UrgentInfo> Acknowledge(const app::Act& act,
                                              storage::AcknowledgementRow wanted) override {
    app::UrgentInfo info;
    info.tenant = wanted.tenant;
    wanted.person = act.actor.person;
    info.acknowledged = wanted;
    return Answer("Acknowledge:" + wanted.tenant, info);
  }
  std::shared_ptr<const app::Notices> NoticesFor(absl::string_view, const AgentId&) override {
    return notices;
  }
  absl::StatusOr<storage::BrakeRow> Halt(const app::Act&, const storage::Scope& scope) override {
    return Brake("Halt", scope);
  }
  absl::StatusOr<app::CohortReply> ExcludeCohort(const app::Act& act, const std::string& channel,
                                                 uint64_t serial, const std::string& cohort) override {
    NoteCohort(act, channel, serial, cohort);
    return Answer("ExcludeCohort", app::CohortReply{{cohort}, 3});
  }
  absl::StatusOr<app::CohortReply> UnblockCohort(const app::Act& act, const std::string& channel,
                                                 uint64_t serial, const std::string& cohort) override {
    NoteCohort(act, channel, serial, cohort);
    return Answer("UnblockCohort", app::CohortReply{});
  }
  absl::StatusOr<app::RollBackReply> RollBack(const app::Act&, const storage::Scope&) override {
    return Answer("RollBack", app::RollBackReply{});
  }

  absl::StatusOr<app::RolloutInfo> GetRollout(const std::string&, uint64_t,
                                              const std::string& tenant) override {
    Note("GetRollout:" + tenant);
    if (!error.ok()) return error;
    MutexLock lock(&mutex_);
    return rollout_;
  }
  std::vector<app::RolloutInfo> ListRollouts(const std::string&, const std::string& tenant) override {
    Note("ListRollouts:" + tenant);
    MutexLock lock(&mutex_);
    return {rollout_};
  }
  void SetRollout(app::RolloutInfo info) {
    MutexLock lock(&mutex_);
    rollout_ = std::move(info);
  }
  absl::Status TakeInBrakes(const std::optional<storage::Scope>&) override { return absl::OkStatus(); }
  int AddWatcher(std::function<void()> changed) override {
    MutexLock lock(&mutex_);
    watchers_[next_watcher_] = std::move(changed);
    return next_watcher_++;
  }
  void RemoveWatcher(int token) override {
    MutexLock lock(&mutex_);
    watchers_.erase(token);
  }
  void TellWatchers() {
    MutexLock lock(&mutex_);
    for (const auto& [token, changed] : watchers_) changed();
  }

  absl::StatusOr<std::vector<storage::DecisionRow>> Decisions(
      const storage::DecisionFilter& filter) override {
    std::vector<storage::DecisionRow> rows;
    for (const storage::DecisionRow& row : decisions) {
      if ((filter.before == 0 || row.id < filter.before) && static_cast<int>(rows.size()) < filter.limit) {
        rows.push_back(row);
      }
    }
    return Answer("Decisions:" + filter.tenant.value_or(""), rows);
  }
  absl::StatusOr<app::EvidenceReply> Evidence(const std::string& channel, uint64_t serial) override {
    return Answer("Evidence:" + channel + "/" + std::to_string(serial), app::EvidenceReply{});
  }
  absl::StatusOr<std::vector<storage::AuditRow>> Audit(const storage::AuditFilter& filter) override {
    return Answer("Audit:" + filter.tenant.value_or(""), std::vector<storage::AuditRow>{});
  }

  std::vector<app::AgentInfo> ListAgents(const app::ListAgentsRequest& request) override {
    Note("ListAgents:" + request.tenant);
    return {};
  }
  absl::StatusOr<app::AgentInfo> GetAgent(const AgentId& agent) override {
    app::AgentInfo info;
    info.row.agent = agent;
    info.row.tenant = "acme";
    return Answer("GetAgent", info);
  }
  absl::StatusOr<app::ExplainReply> Explain(const AgentId&, const std::string& channel, uint64_t) override {
    app::ExplainReply reply;
    reply.channel = channel;
    return Answer("Explain", reply);
  }
  absl::Status DeleteAgent(const app::Act&, const AgentId&) override {
    Note("DeleteAgent");
    return error;
  }
  absl::StatusOr<app::EnrolToken> CreateEnrolToken(const app::Act&, const std::string&,
                                                   absl::Duration) override {
    return Answer("CreateEnrolToken", app::EnrolToken{"a-token", absl::FromUnixSeconds(1'700'086'400)});
  }
  app::ServerStatus Status() override {
    Note("Status");
    app::ServerStatus status;
    status.agents = 7;
    return status;
  }

  // The answers.
  absl::Status error;
  AgentId known_agent;
  app::CheckInReply checkin_reply;
  app::LeaseReply lease_reply;
  bool hold_leases = false;
  std::string artifact;
  app::PublishRequest published;
  std::map<std::string, std::string> documents;  // of the release repository
  std::vector<storage::ReleaseRow> releases;
  std::vector<app::SignedPlanInfo> signed_plans;
  std::vector<app::ApprovalInfo> approvals;
  app::PreviewReply preview;
  app::ExplainReleaseReply explained;
  std::vector<app::UrgentInfo> urgent;
  std::shared_ptr<const app::Notices> notices;  // before the first call
  std::vector<storage::PlanRow> plans;
  std::vector<storage::DecisionRow> decisions;  // newest first
  std::string last_boot_id;
  app::Act last_act;        // of a cohort
  std::string last_cohort;  // "content/3 os=xp"
  size_t last_running = 0;

 private:
  void NoteCohort(const app::Act& act, const std::string& channel, uint64_t serial,
                  const std::string& cohort) {
    last_act = act;
    last_cohort = absl::StrCat(channel, "/", serial, " ", cohort);
  }
  void Note(std::string call) {
    MutexLock lock(&mutex_);
    calls_.push_back(std::move(call));
  }
  template <typename T>
  absl::StatusOr<T> Answer(std::string call, T value) {
    Note(std::move(call));
    if (!error.ok()) return error;
    return value;
  }
  absl::StatusOr<storage::BrakeRow> Brake(std::string call, const storage::Scope& scope) {
    storage::BrakeRow row;
    row.scope = scope;
    return Answer(std::move(call), row);
  }

  Mutex mutex_;
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<app::LeaseDone> held_leases_ ABSL_GUARDED_BY(mutex_);
  app::RolloutInfo rollout_ ABSL_GUARDED_BY(mutex_);
  std::map<int, std::function<void()>> watchers_ ABSL_GUARDED_BY(mutex_);
  int next_watcher_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace ringfence::api
