// Exposures durably committed per second: draws, group commit and answers, against a bare insert.
#include <time.h>

#include <chrono>

#include "absl/strings/str_format.h"
#include "ringfence/base/check.h"
#include "tests/bench/figure.h"
#include "tests/bench/rollout_rig.h"
#include "tests/support/bare_insert.h"

namespace ringfence::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kRounds = 4;
constexpr int kBatch = 1000;
constexpr int kProven = 24'000;
constexpr int kAsking = 100'000;  // one in five may be drawn

struct Tally {
  int64_t granted = 0;
  int64_t asked = 0;
  double asking = 0;  // seconds in App::Lease
  double committing = 0;
  double own_cpu = 0;  // of the committing thread, CPU seconds
};

double ThreadCpuSeconds() {
  timespec time{};
  RF_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Asks until a thousand leases wait, commits them, and so on while there are askers.
Tally AskAndCommit(RolloutRig& rig) {
  Tally tally;
  int host = rig.first_asker();
  int waiting = 0;
  while (true) {
    const auto start = SteadyClock::now();
    for (; host < rig.hosts() && waiting < kBatch; ++host) {
      ++waiting;
      ++tally.asked;
      rig.Ask(host, [&](const absl::StatusOr<app::LeaseReply>& reply) {
        RF_CHECK(reply.ok());
        --waiting;
        tally.granted += reply->granted ? 1 : 0;
      });
    }
    if (waiting < kBatch) break;  // the last, smaller batch is not counted
    const int64_t granted = tally.granted;
    const auto asked = SteadyClock::now();
    const double cpu = ThreadCpuSeconds();
    RF_CHECK(rig.app().CommitOnce().value_or(0) == kBatch);
    tally.own_cpu += ThreadCpuSeconds() - cpu;
    const auto committed = SteadyClock::now();
    RF_CHECK(waiting == 0 && tally.granted == granted + kBatch);
    tally.asking += std::chrono::duration<double>(asked - start).count();
    tally.committing += std::chrono::duration<double>(committed - asked).count();
  }
  RF_CHECK(rig.app().CommitOnce().ok());
  RF_CHECK(tally.committing > 0);
  tally.granted -= tally.granted % kBatch;
  return tally;
}

}  // namespace

Figure MeasureExposures(const Options& options) {
  RolloutRig rig({.proven = kProven, .asking = kAsking});
  Rounds rates;
  Rounds floors;
  Rounds ratios;
  double lease_micros = 0;
  Rounds own_micros;
  int64_t committed = 0;
  for (int round = 0; round < kRounds; ++round) {
    rig.FreshRelease();
    floors.Add(testing::BareInsertRowsPerSecond(rig.database(), options.seconds / (2 * kRounds)));
    const Tally tally = AskAndCommit(rig);
    rates.Add(static_cast<double>(tally.granted) / tally.committing);
    ratios.Add(rates.values.back() / floors.values.back());
    const double micros = 1e6 * tally.asking / static_cast<double>(tally.asked);
    lease_micros = round == 0 ? micros : std::min(lease_micros, micros);
    own_micros.Add(1e6 * tally.own_cpu / static_cast<double>(tally.granted));
    committed += tally.granted;
  }
  Figure figure;
  figure.name = "exposures";
  figure.value = rates.most();
  figure.unit = "exposures committed per second";
  figure.floor = floors.most();
  figure.ratio = figure.value / *figure.floor;
  figure.target = "ratio >= 0.5";
  figure.met = *figure.ratio >= 0.5;
  figure.note = absl::StrFormat(
      "fsync on; App::CommitOnce with %d drawn leases waiting: brakes locked, rows inserted, committed, "
      "leases "
      "answered; %d exposures in %d rounds, %s per second, floor %s rows (unnest of 1,000), ratio of a round "
      "%s; our own CPU %s us for each, the rest is PostgreSQL's; deciding a lease took %.1f us beside",
      kBatch, committed, kRounds, rates.Spread(), floors.Spread(), ratios.Spread(), own_micros.Spread(),
      lease_micros);
  return figure;
}

}  // namespace ringfence::bench
