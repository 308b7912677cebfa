// What the scenario's people do and ask, over gRPC: each tenant's admin, the release manager, an SRE.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/app/messages.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace ringfence::replay {

// The operators' file with these people.
std::string OperatorsText(const std::vector<std::string>& tenants);

// Not thread-safe.
class WirePeople {
 public:
  // Every call from now on goes here; null: hangs up.
  void Connect(std::shared_ptr<grpc::Channel> channel) { channel_ = std::move(channel); }

  absl::Status ApplyPlan(const policy::Plan& plan);
  absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request);

  absl::StatusOr<std::vector<storage::DecisionRow>> Decisions();  // oldest first
  absl::StatusOr<std::vector<storage::AuditRow>> Audit();         // newest first, the newest thousand
  // The eligibility holds the reason only.
  absl::StatusOr<app::ExplainReply> Explain(const AgentId& agent, const std::string& channel,
                                            uint64_t serial);
  absl::StatusOr<bool> IsStopped(const std::string& channel, uint64_t serial);

 private:
  std::string NextRequestId();

  std::shared_ptr<grpc::Channel> channel_;
  int64_t requests_ = 0;
};

}  // namespace ringfence::replay
