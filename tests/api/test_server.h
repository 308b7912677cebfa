// A real gRPC server, in process, over a fake application.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "ringfence/base/clock.h"
#include "server/api/environment.h"
#include "server/api/relay.h"
#include "server/api/server.h"
#include "tests/api/fake_app.h"

namespace ringfence::api {

// The tokens of the people whom every TestServer knows.
inline constexpr char kViewerToken[] = "viewer-token";  // of tenant acme
inline constexpr char kAdminToken[] = "admin-token";    // of tenant acme
inline constexpr char kGlobexToken[] = "globex-token";  // an admin of tenant globex
inline constexpr char kSreToken[] = "sre-token";
inline constexpr char kManagerToken[] = "manager-token";
inline constexpr char kAgentUuid[] = "0a1b2c3d-0000-4000-8000-000000000001";

std::string AgentToken();  // of the one agent that the fake application knows

class TestServer {
 public:
  // `time_scale` and the demo mark as in ringfenced; the internal tenant is "vendor".
  explicit TestServer(double time_scale = 1, bool demo = false);
  // Hands its calls on to `leader`; its own application is what it can do alone. Both have the same people.
  explicit TestServer(TestServer& leader, Relay::Options options = {});
  ~TestServer();
  void Stop();  // for good; no call on its channel any more

  FakeApp& app() { return app_; }
  Server& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }

  // Calls a unary RPC by its full name. An empty token sends no credential.
  grpc::Status Call(const std::string& method, const std::string& token,
                    const google::protobuf::Message& request, google::protobuf::Message* response);
  // The same with any bytes; the answer may be dropped.
  grpc::Status CallBytes(const std::string& method, const std::string& token, const std::string& request,
                         std::string* response = nullptr);

  // Of one that follows.
  Relay& relay() { return *relay_; }
  storage::LeaderRow leader_row() const { return leader_row_; }
  Environment& env() { return env_; }

 private:
  void Start(double time_scale, bool demo);

  FakeApp app_;
  Operators operators_;
  WorkerPool people_{2, 100};
  WorkerPool agents_{2, 100};
  ApiMetrics metrics_;
  SystemClock clock_;
  Log log_;
  Environment env_;
  storage::LeaderRow leader_row_;
  std::optional<Relay> relay_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// Adds `authorization: Bearer TOKEN`.
void Authorize(grpc::ClientContext& context, const std::string& token);

// The value of a trailing metadatum; empty when there is none.
std::string Trailer(const grpc::ClientContext& context, const std::string& key);

}  // namespace ringfence::api
