// /metrics is what docs/metrics.md says: the same names, the same types, no more and no fewer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "ringfence/v1/fleet.grpc.pb.h"
#include "tests/integration/operators.h"
#include "tests/integration/server_process.h"
#include "tests/integration/sim_fleet.h"

namespace ringfence::testing_support {
namespace {

bool Shows(const ServerProcess& server, const std::string& text) {
  return server.Get("/metrics").body.find(text) != std::string::npos;
}

// Some series come up only with what they tell of: a refused call, harm, a halt.
TEST(MetricsTest, ServesExactlyTheDocumentedMetrics) {
  ServerProcess server(
      {"--internal-tenant", "vendor", "--demo", "--time-scale", "60", "--unsafe-fast-database"});
  ASSERT_TRUE(server.Start());
  People people(server.Channel());
  v1::Plan plan = PlanOf("vendor", {"dogfood"});
  v1::RateGate& crash = *plan.mutable_gates()->mutable_crash();
  crash.set_max_rate_ppm(10'000);
  crash.set_min_count(3);
  crash.mutable_window()->set_seconds(3600);
  plan.mutable_gates()->set_on_breach(v1::ON_BREACH_HALT);
  ASSERT_TRUE(people.Apply(plan).ok());
  SimFleet fleet(11);
  fleet.Connect(server.Channel());
  ASSERT_TRUE(fleet.Enrol(people.Tokens("vendor", 6), "dogfood"));
  fleet.Bricks(People::DigestOf(1));
  ASSERT_TRUE(people.Publish(1).ok());

  const std::string unharmed = R"(ringfence_outcomes_total{channel="content",outcome="silent"} 0)";
  bool harmed = false;
  for (int i = 0; i < 20'000 && !harmed; ++i) {
    fleet.Step();
    harmed = Shows(server, "ringfence_outcomes_total") && !Shows(server, unharmed);
  }
  ASSERT_TRUE(harmed);
  ASSERT_TRUE(people.Halt(1).ok());
  EXPECT_TRUE(Shows(server, R"(ringfence_stop_level{channel="content",release=)"));

  grpc::ClientContext context;
  Prepare(context, "nobody's token");
  v1::GetServerStatusResponse response;
  EXPECT_EQ(
      v1::FleetService::NewStub(server.Channel())->GetServerStatus(&context, {}, &response).error_code(),
      grpc::StatusCode::UNAUTHENTICATED);

  const std::string page = absl::StrCat(testing::TempDir(), "/ringfence-metrics-", ::getpid(), ".txt");
  std::ofstream(page) << server.Get("/metrics").body;
  EXPECT_EQ(std::system(("dashboards/check-names --served '" + page + "'").c_str()), 0);
  std::remove(page.c_str());
}

}  // namespace
}  // namespace ringfence::testing_support
