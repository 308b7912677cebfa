// The simulated hosts' calls over gRPC, in step with a server in the same process.
//
// The replay's time stands still while a call is under way. A check-in is answered at once; a lease may wait
// in the server for its commit, so the call stays open until the server commits. The server tells what it
// does with leases, and the caller waits until the answers given have arrived: so a run has the same order of
// events as one without a wire.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "ringfence/base/mutex.h"
#include "server/api/api_metrics.h"
#include "server/simulate/server.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace ringfence::replay {

// The secret of a simulated host, 32 raw bytes, and its credential.
std::string SecretOf(const AgentId& agent);
std::string CredentialOf(const AgentId& agent);

// Not thread-safe, but for what the server tells it.
class WireAgents {
 public:
  WireAgents();
  ~WireAgents();  // HangUp

  // ---- what the server tells, from any thread
  api::ApiMetrics* metrics();
  void LeaseQueued();  // a lease waits for its commit

  // ---- the hosts
  // Each host calls one of these.
  void Connect(const std::vector<std::shared_ptr<grpc::Channel>>& channels);
  absl::Status CheckIn(const app::CheckInRequest& request, app::CheckInReply* reply);
  // Returns when the server has answered or queued it; calls `done` of every lease answered until then.
  void Lease(const app::LeaseRequest& request, LeaseDone done);
  // Waits for the answers that the server has given, and hands them on in the order in which they were asked
  // for.
  void Deliver();
  // Whoever waits now is never answered: waits for the answers that the server has given, and drops them. All
  // leases must have been answered.
  void HangUp();

 private:
  class Taps;
  struct Call;
  struct Connection;

  Mutex mutex_;
  std::condition_variable changed_;
  int64_t asked_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t answered_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t queued_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t open_calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<Taps> taps_;
  std::unique_ptr<Connection> connection_;
  std::deque<std::unique_ptr<Call>> calls_;  // oldest first
};

}  // namespace ringfence::replay
