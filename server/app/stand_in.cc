#include "server/app/stand_in.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/app/brake_act.h"

namespace ringfence::app {
namespace {

absl::Status NotLeading() {
  return absl::UnavailableError("this replica does not lead; try again");
}

// Whether the host is still to go back: neither back already nor never moved.
bool IsOut(storage::Outcome outcome) {
  return outcome != storage::Outcome::kReverted && outcome != storage::Outcome::kUnused &&
         outcome != storage::Outcome::kRefused;
}

class StandIn final : public App {
 public:
  StandIn(std::string internal_tenant, storage::Store* store, Clock* clock)
      : internal_tenant_(std::move(internal_tenant)), store_(store), clock_(clock) {}

  absl::StatusOr<storage::BrakeRow> Pause(const Act& act, const storage::Scope& scope) override {
    return Place(Stop::kPause, act, scope, /*needs_release=*/false,
                 [](storage::Transaction&) { return absl::OkStatus(); });
  }
  absl::StatusOr<storage::BrakeRow> Halt(const Act& act, const storage::Scope& scope) override {
    return Place(Stop::kHalt, act, scope, /*needs_release=*/true,
                 [](storage::Transaction&) { return absl::OkStatus(); });
  }
  absl::StatusOr<RollBackReply> RollBack(const Act& act, const storage::Scope& scope) override {
    RollBackReply reply;
    ASSIGN_OR_RETURN(
        reply.brake,
        Place(Stop::kRollBack, act, scope, /*needs_release=*/true, [&](storage::Transaction& tx) {
          reply.hosts = 0;
          return tx.ForEachExposure(scope.channel, scope.serial, [&](const storage::ExposureRow& row) {
            const bool in_scope = (scope.tenant.empty() || row.tenant == scope.tenant) &&
                                  (scope.ring.empty() || row.ring == scope.ring);
            if (in_scope && IsOut(row.outcome)) ++reply.hosts;
          });
        }));
    return reply;
  }
  absl::StatusOr<storage::ReleaseRow> Recall(const Act& act, const std::string& channel,
                                             uint64_t serial) override {
    if (!act.actor.IsVendor())
      return absl::PermissionDeniedError("only the vendor's people may recall a release");
    const storage::Scope scope{"", channel, serial, ""};
    storage::ReleaseRow recalled;
    RETURN_IF_ERROR(Place(Stop::kRecall, act, scope, /*needs_release=*/true,
                          [&](storage::Transaction& tx) -> absl::Status {
                            ASSIGN_OR_RETURN(recalled, FindRelease(tx, scope));
                            return absl::OkStatus();
                          })
                        .status());
    return recalled;
  }

  absl::StatusOr<std::string> ArtifactChunk(const Digest& digest, int64_t chunk) override {
    std::string bytes;
    RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      ASSIGN_OR_RETURN(bytes, tx.ArtifactChunk(digest, chunk));
      return absl::OkStatus();
    }));
    return bytes;
  }

  // ---- the leader's
  absl::Status Start() override { return absl::OkStatus(); }
  absl::Status RunOnce() override { return absl::OkStatus(); }
  absl::StatusOr<int> CommitOnce() override { return 0; }
  void OnLeaseQueued(std::function<void()>) override {}
  absl::StatusOr<EnrolReply> Enrol(const EnrolRequest&) override { return NotLeading(); }
  absl::StatusOr<std::string> Authenticate(const AgentId&, absl::string_view) override {
    return NotLeading();
  }
  absl::Status CheckIn(const CheckInRequest&, CheckInReply*) override { return NotLeading(); }
  void Lease(const LeaseRequest&, LeaseDone done) override { done(NotLeading()); }
  absl::StatusOr<int64_t> MayFetch(const AgentId&, const Digest&) override { return NotLeading(); }
  absl::StatusOr<std::shared_ptr<const std::string>> TrustDocument(const std::string&) override {
    return NotLeading();
  }
  absl::StatusOr<PublishReply> Publish(const Act&, const PublishRequest&) override { return NotLeading(); }
  absl::StatusOr<bool> KeepTimestamp() override { return NotLeading(); }
  absl::StatusOr<std::vector<storage::ReleaseRow>> ListReleases(const std::string&) override {
    return NotLeading();
  }
  absl::StatusOr<storage::PlanRow> ApplyPlan(const Act&, const policy::Plan&, int64_t) override {
    return NotLeading();
  }
  absl::StatusOr<storage::ConsentRow> Consent(const Act&, storage::ConsentRow) override {
    return NotLeading();
  }
  absl::StatusOr<std::vector<ApprovalInfo>> Approvals(const std::string&) override { return NotLeading(); }
  absl::StatusOr<std::vector<storage::PlanRow>> PlanHistory(const std::string&) override {
    return NotLeading();
  }
  absl::StatusOr<storage::PlanRow> ApplySignedPlan(const Act&, const std::string&, int64_t) override {
    return NotLeading();
  }
  absl::StatusOr<storage::ConsentRow> SignedConsent(const Act&, const std::string&, bool) override {
    return NotLeading();
  }
  std::vector<SignedPlanInfo> SignedPlans(const std::string&) override { return {}; }
  uint64_t NextSeq(const std::string&) override { return 0; }
  std::vector<std::string> FetchPlan(const std::string&, uint64_t, uint64_t) override { return {}; }
  absl::StatusOr<ResumeReply> Resume(const Act&, const storage::Scope&, BrakeKind,
                                     absl::string_view) override {
    return NotLeading();
  }
  absl::Status DenyBypass(const Act&, const Bypass&) override { return NotLeading(); }
  absl::StatusOr<UrgentInfo> Acknowledge(const Act&, storage::AcknowledgementRow) override {
    return NotLeading();
  }
  absl::StatusOr<std::vector<UrgentInfo>> UrgentReleases(const std::string&) override { return NotLeading(); }
  std::shared_ptr<const Notices> NoticesFor(absl::string_view, const AgentId&) override { return nullptr; }
  absl::Status TakeInBrakes(const std::optional<storage::Scope>&) override { return absl::OkStatus(); }
  absl::StatusOr<CohortReply> ExcludeCohort(const Act&, const std::string&, uint64_t,
                                            const std::string&) override {
    return NotLeading();
  }
  absl::StatusOr<CohortReply> UnblockCohort(const Act&, const std::string&, uint64_t,
                                            const std::string&) override {
    return NotLeading();
  }
  absl::StatusOr<RolloutInfo> GetRollout(const std::string&, uint64_t, const std::string&) override {
    return NotLeading();
  }
  std::vector<RolloutInfo> ListRollouts(const std::string&, const std::string&) override { return {}; }
  int AddWatcher(std::function<void()>) override { return 0; }
  void RemoveWatcher(int) override {}
  absl::StatusOr<std::vector<storage::DecisionRow>> Decisions(const storage::DecisionFilter&) override {
    return NotLeading();
  }
  absl::StatusOr<EvidenceReply> Evidence(const std::string&, uint64_t) override { return NotLeading(); }
  absl::StatusOr<std::vector<storage::AuditRow>> Audit(const storage::AuditFilter&) override {
    return NotLeading();
  }
  std::vector<AgentInfo> ListAgents(const ListAgentsRequest&) override { return {}; }
  absl::StatusOr<AgentInfo> GetAgent(const AgentId&) override { return NotLeading(); }
  absl::StatusOr<ExplainReply> Explain(const AgentId&, const std::string&, uint64_t) override {
    return NotLeading();
  }
  absl::StatusOr<ExplainReleaseReply> ExplainRelease(const std::string&, const std::string&,
                                                     uint64_t) override {
    return NotLeading();
  }
  PreviewReply PreviewPlan(const policy::Plan&) override { return {}; }
  absl::Status DeleteAgent(const Act&, const AgentId&) override { return NotLeading(); }
  absl::StatusOr<EnrolToken> CreateEnrolToken(const Act&, const std::string&, absl::Duration) override {
    return NotLeading();
  }
  ServerStatus Status() override {
    ServerStatus status;
    status.leader = false;
    status.internal_tenant = internal_tenant_;
    status.now = clock_->Now();
    return status;
  }

 private:
  // `also`: what the answer says besides, in the same transaction.
  absl::StatusOr<storage::BrakeRow> Place(Stop stop, const Act& act, const storage::Scope& scope,
                                          bool needs_release,
                                          absl::FunctionRef<absl::Status(storage::Transaction&)> also) {
    RETURN_IF_ERROR(CheckBrakeAct(act, scope, needs_release));
    const BrakeAct brake = StopAct(stop, act, scope, clock_->Now());
    storage::BrakeRow row;
    absl::Status status = store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      RETURN_IF_ERROR(CheckKnown(tx, scope));
      bool repeated = false;
      ASSIGN_OR_RETURN(row, WriteBrake(tx, brake, repeated, [](const storage::BrakeRow&, BrakeChange&) {
                         return absl::OkStatus();
                       }));
      return also(tx);
    });
    if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
      return absl::UnavailableError(
          absl::StrCat("nothing is known to be stopped: neither the leader nor the database answers this "
                       "replica; repeat it, here or at another (",
                       status.message(), ")"));
    }
    RETURN_IF_ERROR(status);
    return row;
  }

  static absl::StatusOr<storage::ReleaseRow> FindRelease(storage::Transaction& tx,
                                                         const storage::Scope& scope) {
    ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> releases, tx.Releases());
    for (const storage::ReleaseRow& row : releases) {
      if (row.release.channel == scope.channel && row.release.serial == scope.serial) return row;
    }
    return absl::NotFoundError(absl::StrCat("scope: no release ", scope.channel, " ", scope.serial));
  }

  // A slip of the pen must not be answered "stopped".
  absl::Status CheckKnown(storage::Transaction& tx, const storage::Scope& scope) {
    if (scope.serial != 0) RETURN_IF_ERROR(FindRelease(tx, scope).status());
    if (!scope.tenant.empty() && scope.tenant != internal_tenant_) {
      ASSIGN_OR_RETURN(const std::vector<storage::PlanRow> plans, tx.NewestPlans());
      // Without a plan nothing moves there.
      if (std::none_of(plans.begin(), plans.end(),
                       [&](const storage::PlanRow& row) { return row.plan.tenant == scope.tenant; })) {
        return absl::NotFoundError(absl::StrCat("scope.tenant: \"", scope.tenant, "\" is not known"));
      }
    }
    if (scope.ring.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::vector<storage::StageRow> stages, tx.Stages());
    if (std::none_of(stages.begin(), stages.end(), [&](const storage::StageRow& row) {
          return row.tenant == scope.tenant && row.ring == scope.ring &&
                 (scope.channel.empty() || row.channel == scope.channel);
        })) {
      return absl::NotFoundError(absl::StrCat("scope.ring: \"", scope.ring, "\" works on nothing"));
    }
    return absl::OkStatus();
  }

  const std::string internal_tenant_;
  storage::Store* const store_;
  Clock* const clock_;
};

}  // namespace

std::unique_ptr<App> MakeStandIn(std::string internal_tenant, storage::Store* store, Clock* clock) {
  return std::make_unique<StandIn>(std::move(internal_tenant), store, clock);
}

}  // namespace ringfence::app
