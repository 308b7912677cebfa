// What the fleet looks like on /metrics, from what the application says of it.
#include "server/api/fleet_gauges.h"

#include <prometheus/text_serializer.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/api/fake_app.h"

namespace ringfence::api {
namespace {

using testing::HasSubstr;
using testing::Not;

app::RolloutInfo Rollout(const std::string& version, bool urgent, int64_t unacknowledged) {
  app::RolloutInfo info;
  info.release.release.channel = "content";
  info.release.release.version = version;
  info.release.release.urgent = urgent;
  info.unacknowledged = unacknowledged;
  return info;
}

TEST(FleetGaugesTest, AnUrgentReleaseShowsHowManyTenantsHaveNotAcknowledgedIt) {
  const auto page = [](app::RolloutInfo info) {
    FakeApp app;
    app.SetRollout(std::move(info));
    return prometheus::TextSerializer().Serialize(CollectFleetGauges(app));
  };
  const std::string name = "ringfence_urgent_unacknowledged_tenants";
  EXPECT_THAT(page(Rollout("291", true, 3)), HasSubstr(name + R"({channel="content",release="291"} 3)"));
  EXPECT_THAT(page(Rollout("289", true, 0)), HasSubstr(name + R"({channel="content",release="289"} 0)"));
  EXPECT_THAT(page(Rollout("290", false, 0)), Not(HasSubstr(name)));
}

}  // namespace
}  // namespace ringfence::api
