// The simulated fleet: its configuration, its luck, and a small one against a real gRPC server.
#include <fstream>

#include "absl/time/clock.h"
#include "fake_server.h"
#include "fleet_config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simulator.h"

namespace ringfence::fleet {
namespace {

using ::testing::HasSubstr;

constexpr char kFleet[] = R"(
seed: 3
connections: 2
ramp: 0s
tenants:
  - name: acme
    hosts: 20
    rings: {canary: 0.25, broad: 0.75}
    labels: {os: {a: 0.5, b: 0.5}}
faults:
  - {version: bad, match: {os: a}, effect: silent}
)";

TEST(FleetConfigTest, ReadsAFleet) {
  const auto config = ParseFleetConfig(kFleet);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->tenants[0].hosts, 20);
  EXPECT_EQ(config->faults[0].effect, FaultEffect::kSilent);
}

TEST(FleetConfigTest, ReadsTheFleetOfTheDemonstration) {
  std::ifstream file("docs/demo/fleet.yaml");
  const std::string yaml{std::istreambuf_iterator<char>(file), {}};
  const auto config = ParseFleetConfig(yaml);
  ASSERT_TRUE(config.ok()) << config.status();
  int hosts = 0;
  for (const TenantConfig& tenant : config->tenants) hosts += tenant.hosts;
  EXPECT_EQ(hosts, 2000);
}

TEST(FleetConfigTest, SaysWhereItIsWrong) {
  const std::pair<const char*, const char*> kCases[] = {
      {"tenants: []\n", "wanted at least one of tenants"},
      {"tenants:\n  - {name: acme, hosts: many}\n", "line 2, column 25: wanted a number of hosts"},
      {"tenants:\n  - {name: acme, hosts: 1, ring: x}\n", "line 2, column 28: unknown key 'ring'"},
      {"tenants: [{name: A, hosts: 1}]\n", "wanted 1 to 63 of a-z, 0-9 and -"},
      {"tenants: [{name: a, hosts: 1}]\nfaults: [{effect: explode}]\n", "wanted silent, crash or degraded"},
      {"tenants: [{name: a, hosts: 1}]\nfaults: [{effect: crash, probability: 2}]\n",
       "wanted a share from 0 to 1"},
      {"tenants: [{name: a, hosts: 1}]\nramp: soon\n", "line 2, column 7: wanted a duration"},
      {"[", ""}};
  for (const auto& [yaml, what] : kCases) {
    const auto config = ParseFleetConfig(yaml);
    ASSERT_FALSE(config.ok()) << yaml;
    EXPECT_THAT(std::string(config.status().message()), HasSubstr(what)) << yaml;
  }
}

// A server that offers "bad" to everybody at once: what the ledger then says of the hosts is known.
class FleetTest : public ::testing::Test {
 protected:
  FleetTest() {
    const std::string bytes = "bad bytes";
    server_.artifacts[std::string(Sha256(bytes).raw())] = bytes;
    server_.on_check_in = [this, bytes](const v1::CheckInRequest&, v1::CheckInResponse* response) {
      response->mutable_next_checkin()->set_nanos(100'000'000);
      v1::Directive directive;
      directive.set_channel("content");
      directive.set_version("bad");
      directive.set_serial(9);
      directive.set_digest(std::string(Sha256(bytes).raw()));
      directive.set_size_bytes(static_cast<int64_t>(bytes.size()));
      for (const auto kind : {v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE}) {
        directive.set_kind(reverting_ ? v1::DIRECTIVE_KIND_REVERT : kind);
        *response->add_directives() = directive;
      }
      return grpc::Status::OK;
    };
    simulator_ =
        std::make_unique<Simulator>(ParseFleetConfig(kFleet).value(), server_.address(),
                                    [](const std::string&, auto done) { done(std::string("token")); });
  }

  // Runs until it holds; the cap only ends a test that would hang.
  ::testing::AssertionResult Until(const std::function<bool(const FleetStats&)>& holds) {
    for (int i = 0; i < 2400; ++i) {
      simulator_->RunUntil(absl::Now() + absl::Milliseconds(50), [] { return absl::Now(); });
      if (holds(simulator_->Stats())) return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure() << ToJson(simulator_->Stats());
  }

  agent::FakeServer server_;
  std::atomic<bool> reverting_ = false;
  std::unique_ptr<Simulator> simulator_;
};

TEST_F(FleetTest, CountsWhoTookItWhoWasStruckAndWhoWasSaved) {
  ASSERT_TRUE(Until(
      [](const FleetStats& stats) { return !stats.releases.empty() && stats.releases[0].exposed == 20; }));
  ASSERT_TRUE(Until([](const FleetStats& stats) {
    const ReleaseLedger& ledger = stats.releases[0];
    return ledger.harmed == ledger.push_to_all_would_harm && ledger.harmed > 0;
  }));
  FleetStats stats = simulator_->Stats();
  const int64_t harmed = stats.releases[0].harmed;
  EXPECT_EQ(stats.enrolled, 20);
  EXPECT_EQ(stats.up, 20 - harmed);
  EXPECT_EQ(stats.releases[0].running, 20 - harmed);
  EXPECT_TRUE(stats.releases[0].first_harm.has_value());

  reverting_ = true;
  ASSERT_TRUE(Until([](const FleetStats& s) { return s.releases[0].running == 0; }));
  stats = simulator_->Stats();
  EXPECT_EQ(stats.releases[0].saved, 20 - harmed);  // the silent ones hear no order
  EXPECT_EQ(stats.releases[0].reverted, 20 - harmed);
  EXPECT_THAT(ToJson(stats), HasSubstr("\"push_to_all_would_harm\""));
}

}  // namespace
}  // namespace ringfence::fleet
