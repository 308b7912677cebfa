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
constexpr int kBatch = testing::BareInsert::kRows;
constexpr int kProven = 24'000;
constexpr int kAsking = 100'000;  // one in five may be drawn

double Seconds(SteadyClock::duration time) {
  return std::chrono::duration<double>(time).count();
}

double ThreadCpuSeconds() {
  timespec time{};
  RF_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Of one round or of several; times in seconds.
struct Tally {
  int64_t batches = 0;
  int64_t asked = 0;
  double asking = 0;  // in App::Lease
  double committing = 0;
  double own_cpu = 0;  // of the committing thread
  double floor = 0;    // as many bare batches, each right after one of ours

  void Add(const Tally& other) {
    batches += other.batches;
    asked += other.asked;
    asking += other.asking;
    committing += other.committing;
    own_cpu += other.own_cpu;
    floor += other.floor;
  }
  double rows() const { return static_cast<double>(batches * kBatch); }
};

// Asks until a thousand leases wait, commits them, lets the floor insert as many, and so on while there are
// askers.
Tally AskAndCommit(RolloutRig& rig, testing::BareInsert& bare) {
  Tally tally;
  int host = rig.first_asker();
  int waiting = 0;
  int64_t granted = 0;
  while (true) {
    const auto start = SteadyClock::now();
    for (; host < rig.hosts() && waiting < kBatch; ++host) {
      ++waiting;
      ++tally.asked;
      rig.Ask(host, [&](const absl::StatusOr<app::LeaseReply>& reply) {
        RF_CHECK(reply.ok());
        --waiting;
        granted += reply->granted ? 1 : 0;
      });
    }
    if (waiting < kBatch) break;  // the last, smaller batch is not counted
    const int64_t given = granted;
    const auto asked = SteadyClock::now();
    const double cpu = ThreadCpuSeconds();
    RF_CHECK(rig.app().CommitOnce().value_or(0) == kBatch);
    const auto committed = SteadyClock::now();
    tally.own_cpu += ThreadCpuSeconds() - cpu;
    ++tally.batches;
    RF_CHECK(waiting == 0 && granted == given + kBatch);
    tally.asking += Seconds(asked - start);
    tally.committing += Seconds(committed - asked);
    tally.floor += absl::ToDoubleSeconds(bare.Batch());
  }
  RF_CHECK(rig.app().CommitOnce().ok());
  RF_CHECK(tally.batches > 0);
  return tally;
}

}  // namespace

Figure MeasureExposures(const Options& options) {
  RolloutRig rig(
      {.proven = options.tiny ? kProven / 4 : kProven, .asking = options.tiny ? kAsking / 4 : kAsking});
  testing::BareInsert bare(rig.database());
  Rounds ratios;
  Tally all;
  for (int round = 0; round < (options.tiny ? 1 : kRounds); ++round) {
    rig.FreshRelease();
    bare.Batch();  // the first one of a connection is slow
    const Tally tally = AskAndCommit(rig, bare);
    ratios.Add(tally.floor / tally.committing);
    all.Add(tally);
  }
  Figure figure;
  figure.name = "exposures";
  figure.value = all.rows() / all.committing;
  figure.unit = "exposures committed per second";
  figure.floor = all.rows() / all.floor;
  figure.ratio = figure.value / *figure.floor;
  figure.target = "ratio >= 0.5";
  figure.met = *figure.ratio >= 0.5;
  figure.note = absl::StrFormat(
      "fsync on; App::CommitOnce with %d drawn leases waiting: brakes locked, rows inserted, committed, "
      "leases "
      "answered; floor: the bare unnest of %d rows right after each; %.0f exposures in %d rounds, ratio of a "
      "round "
      "%s; of %.1f us for each exposure our own CPU was %.1f us, the rest was PostgreSQL's; deciding a lease "
      "took %.1f "
      "us beside",
      kBatch, kBatch, all.rows(), ratios.values.size(), ratios.Spread(), 1e6 * all.committing / all.rows(),
      1e6 * all.own_cpu / all.rows(), 1e6 * all.asking / static_cast<double>(all.asked));
  return figure;
}

}  // namespace ringfence::bench
