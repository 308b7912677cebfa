// The gRPC server: five services and the one between replicas, health, reflection.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/api/environment.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace ringfence::api {

// Thread-safe.
class Server {
 public:
  struct Options {
    std::string listen = "127.0.0.1:7443";               // port 0: any free one; empty: in process only
    absl::Duration watch_gap = absl::Milliseconds(200);  // least real time between two answers of a watch
  };

  // Answers from now on; health says NOT_SERVING until SetServing. `env` outlives the server. Unavailable
  // when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Options& options, Environment* env);
  ~Server();  // Stop(zero)

  // Once env->app is the application of a leader, when it was none at the start.
  void Lead();

  int port() const;  // 0 without a port
  void SetServing(bool serving);
  // For tests: a channel to this server without a socket.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  // Ends watches, takes no new calls, lets the others finish within `grace` (real time), then cancels them.
  // Returns when the last one ended. Pools and engine must run on meanwhile: calls wait for them. May be
  // called twice.
  void Stop(absl::Duration grace);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ringfence::api
