// What the simulated fleet talks to: the server's own application code in this process, called directly or
// over gRPC through its public API; or a stub that pushes to everybody and shows that a scenario is
// dangerous.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/app/messages.h"
#include "server/storage/rows.h"

namespace ringfence::replay {

using LeaseDone = std::function<void(absl::StatusOr<app::LeaseReply>)>;

// Not thread-safe; times come from the clock that the implementation was made with.
class Server {
 public:
  virtual ~Server() = default;

  // Hosts that are enrolled already, before the first Start.
  virtual absl::Status Enrol(const std::vector<storage::AgentRow>& agents) = 0;
  virtual absl::Status Start() = 0;
  // Loses everything that is not durable; leases under way are never answered. Start brings it back.
  virtual void Stop() = 0;

  virtual absl::Status ApplyPlan(const policy::Plan& plan) = 0;
  virtual absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request) = 0;

  virtual absl::Status CheckIn(const app::CheckInRequest& request, app::CheckInReply* reply) = 0;
  virtual void Lease(const app::LeaseRequest& request, LeaseDone done) = 0;
  virtual absl::Status CommitOnce() = 0;
  virtual absl::Status RunOnce() = 0;
  // True once after anything about a rollout changed.
  virtual bool TakeChanged() = 0;

  // The server's record.
  virtual absl::StatusOr<std::vector<storage::DecisionRow>> Decisions() = 0;  // oldest first
  virtual absl::StatusOr<std::vector<storage::AuditRow>> Audit() = 0;
  virtual absl::StatusOr<std::vector<storage::ExposureRow>> Exposures(const std::string& channel,
                                                                      uint64_t serial) = 0;
  virtual absl::StatusOr<app::ExplainReply> Explain(const AgentId& agent, const std::string& channel,
                                                    uint64_t serial) = 0;
  // How the rollouts stand, one line each, for people.
  virtual std::vector<std::string> Standing() = 0;
  // Two persons of the vendor keep the release from every host with the label "key=value", and take off every
  // hold and halt that is on it.
  virtual absl::Status ExcludeAndResume([[maybe_unused]] const std::string& channel,
                                        [[maybe_unused]] uint64_t serial,
                                        [[maybe_unused]] const std::string& cohort) {
    return absl::UnimplementedError("nobody can exclude a cohort here");
  }
  // Is the release stopped for everybody by a hold, a halt or a recall?
  virtual absl::StatusOr<bool> IsStopped(const std::string& channel, uint64_t serial) = 0;
};

}  // namespace ringfence::replay
