#include "server/simulate/app_server.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ringfence/base/status_macros.h"
#include "server/app/app.h"

namespace ringfence::replay {
namespace {

constexpr size_t kEnrolBatch = 1000;
constexpr int kPage = 1000;

class AppServerImpl final : public AppServer {
 public:
  AppServerImpl(const AppServerOptions& options, storage::Store* store, Clock* clock)
      : store_(store), clock_(clock), on_lease_queued_(options.on_lease_queued) {
    app_options_.internal_tenant = options.internal_tenant;
    app_options_.checkin_interval = options.checkin;
    app_options_.replica_name = "replay";
    app_options_.seed = options.seed;
    app_options_.trust = options.trust;
  }

  absl::Status Enrol(const std::vector<storage::AgentRow>& agents) override {
    for (size_t from = 0; from < agents.size(); from += kEnrolBatch) {
      const auto batch = absl::MakeConstSpan(agents).subspan(from, kEnrolBatch);
      RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) { return tx.PutAgents(batch); }));
    }
    return absl::OkStatus();
  }

  absl::Status Start() override {
    app_ = app::App::Make(app_options_, store_, clock_, /*metrics=*/nullptr);
    app_->OnLeaseQueued(on_lease_queued_);
    RETURN_IF_ERROR(app_->Start());
    app_->AddWatcher([this] { changed_ = true; });
    return absl::OkStatus();
  }
  void Stop() override { app_.reset(); }
  app::App* app() override { return app_.get(); }

  absl::Status ApplyPlan(const policy::Plan& plan) override {
    return app_
        ->ApplyPlan(
            NewAct("admin@" + plan.tenant, app::Role::kTenantAdmin, plan.tenant, "as the scenario says"),
            plan, /*expected_revision=*/0)
        .status();
  }
  absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request) override {
    return app_->Publish(NewAct("release-manager", app::Role::kReleaseManager, "", "as the scenario says"),
                         request);
  }

  absl::Status CheckIn(const app::CheckInRequest& request, app::CheckInReply* reply) override {
    return app_->CheckIn(request, reply);
  }
  void Lease(const app::LeaseRequest& request, LeaseDone done) override {
    app_->Lease(request, std::move(done));
  }
  absl::Status CommitOnce() override { return app_->CommitOnce().status(); }
  absl::Status RunOnce() override { return app_->RunOnce(); }
  bool TakeChanged() override { return changed_.exchange(false); }

  absl::StatusOr<std::vector<storage::DecisionRow>> Decisions() override {
    std::vector<storage::DecisionRow> all;
    storage::DecisionFilter filter;
    filter.limit = kPage;
    while (true) {
      ASSIGN_OR_RETURN(const std::vector<storage::DecisionRow> page, app_->Decisions(filter));
      all.insert(all.end(), page.begin(), page.end());
      if (page.size() < kPage) break;
      filter.before = page.back().id;
    }
    std::reverse(all.begin(), all.end());
    return all;
  }

  absl::StatusOr<std::vector<storage::AuditRow>> Audit() override {
    storage::AuditFilter filter;
    filter.limit = kPage;
    return app_->Audit(filter);
  }

  absl::StatusOr<std::vector<storage::ExposureRow>> Exposures(const std::string& channel,
                                                              uint64_t serial) override {
    std::vector<storage::ExposureRow> rows;
    RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) {
      rows.clear();
      return tx.ForEachExposure(channel, serial,
                                [&](const storage::ExposureRow& row) { rows.push_back(row); });
    }));
    return rows;
  }

  absl::StatusOr<app::ExplainReply> Explain(const AgentId& agent, const std::string& channel,
                                            uint64_t serial) override {
    return app_->Explain(agent, channel, serial);
  }

  std::vector<std::string> Standing() override {
    std::vector<std::string> lines;
    for (const app::RolloutInfo& info : app_->ListRollouts("", "")) {
      const app::HealthInfo& health = info.health;
      lines.push_back(
          absl::StrFormat("%s/%d: M_R %.3g, M_A %.3g, action %s, unproven %d, healthy %d, budget %d",
                          info.release.release.channel, info.release.release.serial, health.m_r, health.m_a,
                          health.action, health.unproven, health.healthy, health.budget));
      for (const app::GateReading& gate : health.gates) {
        if (gate.bad == 0) continue;
        lines.push_back(absl::StrFormat("  gate %s%s: %d of %d, expected %.2f%s", policy::Name(gate.gate),
                                        gate.cohort.empty() ? "" : " " + gate.cohort, gate.bad, gate.exposed,
                                        gate.expected, gate.breached ? ", breached" : ""));
      }
      for (const app::StageInfo& stage : info.stages) {
        lines.push_back(absl::StrFormat(
            "  %s %s: %s, wave %d of %d, %d members, cap %d, %d exposed, %d confirmed, %d silent; %s: %s",
            stage.row.tenant, stage.row.ring, policy::Name(stage.row.state), stage.row.wave + 1, stage.waves,
            stage.row.members, stage.row.cap, stage.outcomes.exposed, stage.outcomes.confirmed,
            stage.outcomes.silent, stage.row.rule, stage.row.why));
      }
    }
    return lines;
  }

  absl::Status ExcludeAndResume(const std::string& channel, uint64_t serial,
                                const std::string& cohort) override {
    const auto sre = [&](const char* person) {
      return NewAct(person, app::Role::kSre, "", "excluded " + cohort);
    };
    RETURN_IF_ERROR(app_->ExcludeCohort(sre("sre"), channel, serial, cohort).status());
    ASSIGN_OR_RETURN(const app::RolloutInfo info, app_->GetRollout(channel, serial, ""));
    for (const storage::BrakeRow& brake : info.brakes) {
      if (brake.held) {
        RETURN_IF_ERROR(app_->Resume(sre("sre"), brake.scope, app::BrakeKind::kHold).status());
      }
      if (!brake.halted) continue;
      for (const char* person : {"sre", "second-sre"}) {
        RETURN_IF_ERROR(app_->Resume(sre(person), brake.scope, app::BrakeKind::kHalt).status());
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> IsStopped(const std::string& channel, uint64_t serial) override {
    ASSIGN_OR_RETURN(const app::RolloutInfo info, app_->GetRollout(channel, serial, ""));
    return std::any_of(info.brakes.begin(), info.brakes.end(), [](const storage::BrakeRow& brake) {
      return brake.scope.tenant.empty() && (brake.halted || brake.held || brake.recalled);
    });
  }

 private:
  app::Act NewAct(std::string person, app::Role role, std::string tenant, std::string reason) {
    app::Act act;
    act.actor = {std::move(person), role, std::move(tenant)};
    act.request_id = absl::StrCat("replay-", ++requests_);
    act.reason = std::move(reason);
    return act;
  }

  storage::Store* const store_;
  Clock* const clock_;
  const std::function<void()> on_lease_queued_;
  app::AppOptions app_options_;
  std::unique_ptr<app::App> app_;
  std::atomic<bool> changed_{false};
  int64_t requests_ = 0;
};

}  // namespace

std::unique_ptr<AppServer> MakeAppServer(const AppServerOptions& options, storage::Store* store,
                                         Clock* clock) {
  return std::make_unique<AppServerImpl>(options, store, clock);
}

}  // namespace ringfence::replay
