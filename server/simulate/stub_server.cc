#include "server/simulate/stub_server.h"

#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "ringfence/policy/host_eligibility.h"
#include "server/simulate/rng.h"

namespace ringfence::replay {
namespace {

using Directives = std::shared_ptr<const std::vector<app::Directive>>;

class PushToAllServer final : public Server {
 public:
  PushToAllServer(Clock* clock, absl::Duration checkin, absl::Time withdraw_at, uint64_t seed)
      : clock_(clock),
        checkin_seconds_(absl::ToDoubleSeconds(checkin)),
        withdraw_at_(withdraw_at),
        jitter_(seed, "stub jitter"),
        nothing_(std::make_shared<std::vector<app::Directive>>()) {}

  absl::Status Enrol(const std::vector<storage::AgentRow>& agents) override {
    for (const storage::AgentRow& row : agents) {
      agents_[row.agent] = {row.tenant, row.labels, row.labels.Hash16(), -1, false};
    }
    return absl::OkStatus();
  }
  absl::Status Start() override { return absl::OkStatus(); }
  void Stop() override {}
  absl::Status ApplyPlan(const policy::Plan& plan) override {
    plans_[plan.tenant] = plan;
    return absl::OkStatus();
  }

  absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request) override {
    app::Directive directive;
    directive.channel = request.release.channel;
    directive.serial = request.release.serial;
    directive.version = request.release.version;
    directive.digest = request.release.digest;
    directive.kind = app::DirectiveKind::kPrefetch;
    prefetch_ = std::make_shared<std::vector<app::Directive>>(1, directive);
    directive.kind = app::DirectiveKind::kRequestLease;
    request_lease_ = std::make_shared<std::vector<app::Directive>>(1, directive);
    release_ = request.release;
    release_.matrix = {policy::Selector()};  // nobody asked what it was tested on
    ++published_;
    app::PublishReply reply;
    reply.row.release = request.release;
    return reply;
  }

  absl::Status CheckIn(const app::CheckInRequest& request, app::CheckInReply* reply) override {
    Agent& agent = agents_.at(request.agent);
    if (request.labels != nullptr)
      agent = {agent.tenant, *request.labels, request.labels->Hash16(), -1, false};
    reply->next_checkin = absl::Seconds(checkin_seconds_ * jitter_.Uniform(0.8, 1.2));
    reply->send_labels = request.labels_hash != agent.hash;
    reply->directives = nothing_;
    if (!IsOffered(agent)) return absl::OkStatus();
    for (const app::RunningView& running : request.running) {
      if (running.digest == release_.digest) return absl::OkStatus();
    }
    reply->directives = prefetch_;
    for (const Digest& staged : request.staged) {
      if (staged == release_.digest) reply->directives = request_lease_;
    }
    return absl::OkStatus();
  }

  void Lease(const app::LeaseRequest& request, LeaseDone done) override {
    app::LeaseReply reply;
    reply.granted = IsOffered(agents_.at(request.agent));
    reply.ttl = absl::InfiniteDuration();
    done(reply);
  }

  absl::Status CommitOnce() override { return absl::OkStatus(); }
  absl::Status RunOnce() override { return absl::OkStatus(); }
  bool TakeChanged() override { return false; }
  absl::StatusOr<std::vector<storage::DecisionRow>> Decisions() override {
    return std::vector<storage::DecisionRow>();
  }
  absl::StatusOr<std::vector<storage::AuditRow>> Audit() override { return std::vector<storage::AuditRow>(); }
  absl::StatusOr<std::vector<storage::ExposureRow>> Exposures(const std::string&, uint64_t) override {
    return std::vector<storage::ExposureRow>();
  }
  absl::StatusOr<app::ExplainReply> Explain(const AgentId&, const std::string&, uint64_t) override {
    return absl::UnimplementedError("the stub explains nothing");
  }
  std::vector<std::string> Standing() override { return {}; }
  absl::StatusOr<bool> IsStopped(const std::string&, uint64_t) override {
    return clock_->Now() >= withdraw_at_;
  }

 private:
  struct Agent {
    std::string tenant;
    policy::Labels labels;
    std::string hash;
    int judged = -1;  // the release for which `eligible` holds
    bool eligible = false;
  };

  bool IsOffered(Agent& agent) {
    if (published_ == 0 || clock_->Now() >= withdraw_at_) return false;
    if (agent.judged != published_) {
      agent.judged = published_;
      const auto plan = plans_.find(agent.tenant);
      const policy::ChannelRule* rule =
          plan == plans_.end() ? nullptr : policy::FindRule(plan->second, release_.channel);
      agent.eligible = rule != nullptr && rule->lag == 0 &&
                       policy::LastingReason(plan->second, agent.labels, release_) == policy::Reason::kNone;
    }
    return agent.eligible;
  }

  Clock* const clock_;
  const double checkin_seconds_;
  const absl::Time withdraw_at_;
  Rng jitter_;
  const Directives nothing_;
  Directives prefetch_, request_lease_;
  policy::Release release_;
  int published_ = 0;
  std::map<std::string, policy::Plan> plans_;
  absl::flat_hash_map<AgentId, Agent> agents_;
};

}  // namespace

std::unique_ptr<Server> MakePushToAllServer(Clock* clock, absl::Duration checkin, absl::Time withdraw_at,
                                            uint64_t seed) {
  return std::make_unique<PushToAllServer>(clock, checkin, withdraw_at, seed);
}

}  // namespace ringfence::replay
