#include "tests/api/test_server.h"

#include <grpcpp/generic/generic_stub.h>

#include <future>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"

namespace ringfence::api {
namespace {

std::string OperatorsText() {
  std::string text = "operators:\n";
  const auto add = [&](const char* person, const char* role, const char* tenant, const char* token) {
    absl::StrAppend(&text, "  - {person: ", person, ", role: ", role,
                    ", token_sha256: ", Sha256(token).ToString());
    absl::StrAppend(&text, *tenant != '\0' ? ", tenant: " : "", tenant, "}\n");
  };
  add("vera", "tenant-viewer", "acme", kViewerToken);
  add("ana", "tenant-admin", "acme", kAdminToken);
  add("gus", "tenant-admin", "globex", kGlobexToken);
  add("sam", "sre", "", kSreToken);
  add("rita", "release-manager", "", kManagerToken);
  return text;
}

}  // namespace

std::string AgentToken() {
  std::string token = absl::StrCat(kAgentUuid, ".");
  for (int i = 0; i < 32; ++i) token += "73";  // 's'
  return token;
}

TestServer::TestServer(double time_scale, bool demo) : log_(stderr, LogLevel::kError, &clock_) {
  Start(time_scale, demo);
}

TestServer::TestServer(TestServer& leader, Relay::Options options) : log_(stderr, LogLevel::kError, &clock_) {
  leader_row_ = {7, "leader", absl::StrCat("127.0.0.1:", leader.server().port()), std::string(32, 'k')};
  leader.env_.key.Lead(leader_row_.epoch, leader_row_.secret);
  relay_.emplace(&env_, options);
  env_.relay = &*relay_;
  Start(1, false);
  env_.replica_name = "follower";
  relay_->Follow(leader_row_);
}

void TestServer::Start(double time_scale, bool demo) {
  absl::StatusOr<Operators> operators = Operators::ParseText(OperatorsText());
  RF_CHECK(operators.ok());
  operators_ = *std::move(operators);
  app_.known_agent = *AgentId::Parse(kAgentUuid);
  env_.app = &app_;
  env_.operators = &operators_;
  env_.people = &people_;
  env_.agents = &agents_;
  env_.metrics = &metrics_;
  env_.log = &log_;
  env_.clock = &clock_;
  env_.real_clock = &clock_;
  env_.time_scale = time_scale;
  env_.demo = demo;
  env_.version = "test";
  env_.replica_name = "leader";
  env_.internal_tenant = "vendor";
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start({.listen = "127.0.0.1:0", .watch_gap = absl::ZeroDuration()}, &env_);
  RF_CHECK(server.ok());
  server_ = *std::move(server);
  channel_ = server_->InProcessChannel();
}

TestServer::~TestServer() {
  Stop();
}

void TestServer::Stop() {
  channel_.reset();
  if (relay_.has_value()) relay_->Close(absl::ZeroDuration());
  server_->Stop(absl::ZeroDuration());
}

void Authorize(grpc::ClientContext& context, const std::string& token) {
  if (!token.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
}

std::string Trailer(const grpc::ClientContext& context, const std::string& key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(key);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

grpc::Status TestServer::Call(const std::string& method, const std::string& token,
                              const google::protobuf::Message& request, google::protobuf::Message* response) {
  std::string answer;
  const grpc::Status status = CallBytes(method, token, request.SerializeAsString(), &answer);
  RF_CHECK(!status.ok() || response->ParseFromString(answer));
  return status;
}

grpc::Status TestServer::CallBytes(const std::string& method, const std::string& token,
                                   const std::string& request, std::string* response) {
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  Authorize(context, token);
  grpc::Slice slice(request);
  grpc::ByteBuffer in(&slice, 1);
  grpc::ByteBuffer out;
  std::promise<grpc::Status> ended;
  stub.UnaryCall(&context, absl::StrCat("/", method), grpc::StubOptions(), &in, &out,
                 [&](grpc::Status status) { ended.set_value(std::move(status)); });
  const grpc::Status status = ended.get_future().get();
  std::vector<grpc::Slice> slices;
  if (status.ok() && response != nullptr && out.Dump(&slices).ok()) {
    for (const grpc::Slice& part : slices)
      response->append(reinterpret_cast<const char*>(part.begin()), part.size());
  }
  return status;
}

}  // namespace ringfence::api
