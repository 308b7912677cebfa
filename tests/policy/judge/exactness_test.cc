// Is the level of test R what the theorem says, on fleets as they are: laptops that come and go with the day,
// flaky hosts, sites that go dark? And what becomes of it when somebody "simplifies" the coin away.
// docs/health-analysis.md, section 3.
#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "ringfence/policy/evidence.h"
#include "ringfence/policy/judge/evidence_table.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

constexpr int kHosts = 240, kSites = 8, kTicks = 320;
constexpr int kDay = 288;     // ticks of five minutes
constexpr int kMaturity = 4;  // a spell drawn at t is heard by check-ins at t + 2 and t + 3
constexpr double kPiMax = 0.2;

using Random = std::mt19937_64;

double Uniform(Random& random) {
  return std::uniform_real_distribution<double>(0, 1)(random);
}
int Span(Random& random, double mean) {
  return 1 + static_cast<int>(std::exponential_distribution<double>(1 / mean)(random));
}

struct Host {
  std::vector<CellIndex> cells;  // its site, its kind
  std::vector<bool> online;      // by tick; what the release does to it is nothing
  int locked_until = 0;
  bool exposed = false;
};

// Servers with rare gaps, laptops by day, and flaky ones whose sessions are short.
Host MakeHost(Random& random, int site) {
  Host host;
  const double kind = Uniform(random);
  host.cells = {static_cast<CellIndex>(site), static_cast<CellIndex>(kSites + (kind < 0.4   ? 0
                                                                               : kind < 0.8 ? 1
                                                                                            : 2))};
  bool online = true;
  while (static_cast<int>(host.online.size()) < kTicks) {
    const int now = static_cast<int>(host.online.size());
    const bool night = now % kDay >= kDay / 2;
    double mean = online ? 400 : 6;  // server
    if (kind >= 0.8) {
      mean = online ? 4 : 12;  // flaky
    } else if (kind >= 0.4) {
      mean = online ? (night ? 15 : 60) : (night ? 120 : 20);  // laptop
    }
    host.online.insert(host.online.end(), static_cast<size_t>(Span(random, mean)), online);
    online = !online;
  }
  return host;
}

std::vector<Host> MakeFleet(Random& random) {
  std::vector<Host> fleet;
  for (int i = 0; i < kHosts; ++i) fleet.push_back(MakeHost(random, i % kSites));
  // Each site goes dark once or twice.
  for (int site = 0; site < kSites; ++site) {
    for (int outages = 1 + static_cast<int>(random() % 2); outages > 0; --outages) {
      const int from = static_cast<int>(random() % kTicks), to = from + 8 + static_cast<int>(random() % 12);
      for (Host& host : fleet) {
        if (static_cast<int>(host.cells[0]) != site) continue;
        for (int t = from; t < std::min(to, kTicks); ++t) host.online[static_cast<size_t>(t)] = false;
      }
    }
  }
  return fleet;
}

struct Spell {
  int host = 0;
  bool treated = false;
  double pi = 0;
};

// The largest M_R of one harmless rollout. `draws` answers who takes part at a tick, with which arm and pi.
template <typename Draws>
double HighestM(Random& random, Draws draws) {
  std::vector<Host> fleet = MakeFleet(random);
  EvidenceTable evidence(KMax(kSites + 3), 1.0);
  std::vector<std::vector<Spell>> open(kTicks);
  int64_t healthy = 0, unproven = 0;
  double highest = 1;
  for (int t = 1; t + kMaturity < kTicks; ++t) {
    if (t >= kMaturity) {
      for (const Spell& spell : open[static_cast<size_t>(t - kMaturity)]) {
        const Host& host = fleet[static_cast<size_t>(spell.host)];
        const bool silent =
            !host.online[static_cast<size_t>(t - 2)] && !host.online[static_cast<size_t>(t - 1)];
        if (spell.treated) {
          --unproven;
          healthy += silent ? 0 : 1;
        }
        if (silent) evidence.AddBad(HealthChannel::kSilence, host.cells, spell.treated, spell.pi);
      }
      highest = std::max(highest, evidence.M());
    }
    std::vector<int> askers;
    for (int i = 0; i < kHosts; ++i) {
      const Host& host = fleet[static_cast<size_t>(i)];
      if (host.online[static_cast<size_t>(t)] && !host.exposed && host.locked_until <= t) askers.push_back(i);
    }
    const int64_t tokens = std::max<int64_t>(0, 4 + healthy - unproven);
    std::vector<Spell>& drawn = open[static_cast<size_t>(t)];
    drawn = draws(fleet, askers, tokens, t);
    for (const Spell& spell : drawn) {
      Host& host = fleet[static_cast<size_t>(spell.host)];
      host.exposed = host.exposed || spell.treated;
      host.locked_until = t + kMaturity;
      unproven += spell.treated ? 1 : 0;
    }
  }
  return highest;
}

// The design: whoever asks takes part, and a coin decides.
double ByTheCoin(Random& random) {
  return HighestM(random, [&](const std::vector<Host>&, const std::vector<int>& askers, int64_t tokens, int) {
    std::vector<Spell> drawn;
    for (const int host : askers) {
      const double pi =
          tokens > 0 ? std::min(kPiMax, static_cast<double>(tokens) / static_cast<double>(askers.size())) : 0;
      const bool treated = Uniform(random) < pi;
      tokens -= treated ? 1 : 0;
      drawn.push_back({host, treated, pi});
    }
    return drawn;
  });
}

// Wrong on purpose: the first that wake up get it, and are compared with all who are online, as if that had
// been a coin with the share of those that got it.
double ByWakeUp(Random& random) {
  return HighestM(random,
                  [&](const std::vector<Host>& fleet, const std::vector<int>& askers, int64_t tokens, int t) {
                    std::vector<Spell> drawn;
                    int64_t treated = 0;
                    for (const int host : askers) {
                      const bool woke = !fleet[static_cast<size_t>(host)].online[static_cast<size_t>(t - 1)];
                      drawn.push_back({host, woke && treated < tokens, 0});
                      treated += drawn.back().treated ? 1 : 0;
                    }
                    for (Spell& spell : drawn) {
                      spell.pi = static_cast<double>(treated) / static_cast<double>(drawn.size());
                    }
                    return drawn;
                  });
}

struct Reached {
  int brake = 0, hold = 0, halt = 0;
};

template <typename Rollout>
Reached RunMany(int rollouts, uint64_t seed, Rollout rollout) {
  Random random(ringfence::test::Seed(seed));
  Reached reached;
  for (int i = 0; i < rollouts; ++i) {
    const double highest = rollout(random);
    reached.brake += highest >= kBrakeAt ? 1 : 0;
    reached.hold += highest >= kHoldAt ? 1 : 0;
    reached.halt += highest >= kHaltAt ? 1 : 0;
  }
  return reached;
}

TEST(ExactnessTest, AHarmlessReleaseReachesALevelAsSeldomAsTheTheoremSays) {
  const Reached reached = RunMany(1000, 301, ByTheCoin);
  // A true chance of 10 %, 1 % or 0.1 % exceeds these with a chance below 0.1 %.
  EXPECT_LE(reached.brake, 131);
  EXPECT_LE(reached.hold, 21);
  EXPECT_LE(reached.halt, 5);
}

TEST(ExactnessTest, WhoeverTakesTheCoinAwayHaltsManyHarmlessReleases) {
  const Reached reached = RunMany(200, 302, ByWakeUp);
  // Fifty times what the theorem allows: hosts that wake up are those that go to sleep again.
  EXPECT_GE(reached.halt, 10);
}

}  // namespace
}  // namespace ringfence::policy
