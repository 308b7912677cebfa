// The real program on its private PostgreSQL: what an operator sees of it from outside.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "ringfence/v1/agent.grpc.pb.h"
#include "tests/integration/operators.h"
#include "tests/integration/server_process.h"
#include "tests/integration/sim_fleet.h"

namespace ringfence::testing_support {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kDemo = {"--internal-tenant", "vendor", "--demo",
                                        "--time-scale",      "60",     "--unsafe-fast-database"};

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// One message there and one back on any RPC, as bytes: Debian has no stubs for health and reflection.
std::string Exchange(const std::shared_ptr<grpc::Channel>& channel, const char* method,
                     const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  Prepare(context, "");
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto done = [&] { return queue.Next(&tag, &ok) && ok; };
  auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  if (!done()) return "";
  grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
  if (!done()) return "";
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  if (!done()) return "";
  grpc::Status status;
  call->Finish(&status, nullptr);
  done();
  return ToString(answer);
}

TEST(RingfencedTest, StartsServesAndStopsInOrder) {
  ServerProcess server(kDemo);
  ASSERT_TRUE(server.Start());

  const ServerProcess::HttpResult health = server.Get("/healthz");
  EXPECT_EQ(health.status, 200) << health.body;
  EXPECT_THAT(health.body, HasSubstr("\"demo\":true"));
  const ServerProcess::HttpResult metrics = server.Get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.body, HasSubstr("ringfence_database_up 1"));
  EXPECT_THAT(metrics.body, HasSubstr("ringfence_checkin_seconds_bucket"));
  EXPECT_EQ(server.Get("/").status, 404);

  // list_services of the reflection protocol; the answer names every service.
  const std::string services =
      Exchange(server.Channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
               std::string("\x3a\x01*", 3));
  for (const char* service :
       {"AgentService", "ReleaseService", "PlanService", "RolloutService", "FleetService"}) {
    EXPECT_THAT(services, HasSubstr(std::string("ringfence.v1.") + service));
  }
  EXPECT_EQ(Exchange(server.Channel(), "/grpc.health.v1.Health/Check", ""),
            std::string("\x08\x01", 2));  // SERVING

  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_THAT(server.log(), HasSubstr("\"event\":\"stopped\""));
}

TEST(RingfencedTest, AFirstStartNamesTheInternalTenant) {
  ServerProcess server({});
  EXPECT_EQ(server.RunToEnd(), 1);
  EXPECT_THAT(server.log(), HasSubstr("--internal-tenant"));
}

TEST(RingfencedTest, ARacingClockIsForDemonstrationsOnly) {
  ServerProcess server({"--internal-tenant", "none", "--time-scale", "60"});
  EXPECT_EQ(server.RunToEnd(), 2);
  EXPECT_THAT(server.log(), HasSubstr("--demo"));
  ServerProcess open({"--internal-tenant", "none", "--demo", "--listen", "0.0.0.0:0"});
  EXPECT_EQ(open.RunToEnd(), 2);
  EXPECT_THAT(open.log(), HasSubstr("loopback"));
}

TEST(RingfencedTest, ASecondServerOnTheSameFolderIsRefused) {
  ServerProcess first(kDemo);
  ASSERT_TRUE(first.Start());
  ServerProcess second(
      {"--internal-tenant", "vendor", "--demo", "--time-scale", "60", "--data-dir", first.data_dir()});
  EXPECT_EQ(second.RunToEnd(), 1);
  EXPECT_THAT(second.log(), HasSubstr("cannot_start"));
  EXPECT_EQ(first.Get("/healthz").status, 200);
}

// Until `happened`, within a number of check-ins far beyond what it takes.
template <typename Predicate>
bool StepUntil(SimFleet& fleet, Predicate happened) {
  for (int i = 0; i < 20'000; ++i) {
    if (happened()) return true;
    fleet.Step();
  }
  return false;
}

class JourneyTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(server_.Start()); }

  void Populate() {
    People people(server_.Channel());
    ASSERT_TRUE(people.Apply(PlanOf("vendor", {"dogfood"})).ok());
    fleet_.Connect(server_.Channel());
    ASSERT_TRUE(fleet_.Enrol(people.Tokens("vendor", 6), "dogfood"));
  }

  ServerProcess server_{kDemo};
  SimFleet fleet_{7};
};

TEST_F(JourneyTest, AReleaseReachesAHostAndItsBytesDo) {
  Populate();
  People people(server_.Channel());
  const grpc::Status published = people.Publish(1);
  ASSERT_TRUE(published.ok()) << published.error_message();
  ASSERT_TRUE(StepUntil(fleet_, [&] { return fleet_.Running(People::DigestOf(1)) >= 2; })) << server_.log();

  // The host that was told to fetch it gets the published bytes, from any offset.
  auto stub = v1::AgentService::NewStub(server_.Channel());
  grpc::ClientContext context;
  Prepare(context, fleet_.credential(0));
  v1::GetArtifactRequest request;
  request.set_digest(std::string(People::DigestOf(1).raw()));
  request.set_offset(5);
  auto reader = stub->GetArtifact(&context, request);
  v1::GetArtifactResponse part;
  std::string bytes;
  while (reader->Read(&part)) bytes += part.data();
  const grpc::Status status = reader->Finish();
  if (status.ok()) {
    EXPECT_EQ(bytes, People::BytesOf(1).substr(5));
  } else {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);  // this one was not told
  }
  EXPECT_THAT(server_.Get("/metrics").body, HasSubstr("ringfence_exposures_committed_total{"));
}

TEST_F(JourneyTest, AHaltSurvivesKill9) {
  Populate();
  ASSERT_TRUE(People(server_.Channel()).Publish(1).ok());
  ASSERT_TRUE(StepUntil(fleet_, [&] { return !fleet_.grants().empty(); })) << server_.log();
  ASSERT_TRUE(People(server_.Channel()).Halt(1).ok());
  const size_t granted = fleet_.grants().size();
  server_.Kill();

  ASSERT_TRUE(server_.Start());
  fleet_.Connect(server_.Channel());
  v1::Rollout rollout;
  ASSERT_TRUE(People(server_.Channel()).Rollout(1, &rollout).ok());
  ASSERT_EQ(rollout.brakes_size(), 1);
  EXPECT_TRUE(rollout.brakes(0).halted());
  EXPECT_EQ(rollout.brakes(0).actor(), "sam");
  for (int i = 0; i < 30; ++i) fleet_.Step();
  EXPECT_EQ(fleet_.grants().size(), granted);
}

}  // namespace
}  // namespace ringfence::testing_support
