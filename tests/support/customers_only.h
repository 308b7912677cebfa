// Fleets without a vendor's own tenant: a release starts in the customers' first rings.
#pragma once

#include "gtest/gtest.h"
#include "tests/support/fleet_harness.h"

namespace ringfence::test {

inline FleetHarness::Options CustomersOnly() {
  FleetHarness::Options options;
  options.internal_tenant = "";
  return options;
}

// The hosts and the plan of one customer, acme.
class OneCustomerTest : public testing::Test {
 protected:
  // So many hosts in each ring of the plan, which is then applied.
  void Begin(const policy::Plan& plan, int hosts) {
    for (const policy::Ring& ring : plan.rings) fleet.AddRing("acme", ring.name, hosts);
    fleet.Start();
    fleet.Apply(plan);
  }
  // Whether so many hosts come to run it in this time.
  bool Until(int64_t running, const policy::Release& release, absl::Duration within = absl::Hours(24)) {
    return fleet.RunUntil([&] { return fleet.Running(release.digest) >= running; }, within);
  }
  FleetHarness fleet{CustomersOnly()};
};

}  // namespace ringfence::test
