// From a crash report to the last lease: how long hosts are still let in after the report that trips a gate.
#include <atomic>
#include <chrono>
#include <thread>

#include "absl/strings/str_format.h"
#include "ringfence/base/check.h"
#include "server/api/loops.h"
#include "tests/bench/figure.h"
#include "tests/bench/fleet.h"
#include "tests/bench/rollout_rig.h"

namespace ringfence::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kRounds = 200;
constexpr int kTinyRounds = 3;
constexpr int kProven = 400;
constexpr int kAsking = 1000;
constexpr int kReporter = 0;  // has the release

double Millis(SteadyClock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

void ReportCrash(RolloutRig& rig) {
  app::AgentEvent crash;
  crash.seq = rig.release().serial;
  crash.kind = app::EventKind::kCrash;
  const app::RunningView running{rig.release().channel, rig.release().digest};
  const std::string labels_hash = LabelsOf(kReporter).Hash16();
  app::CheckInRequest request;
  request.agent = HostId(kReporter);
  request.boot_id = "boot";
  request.last_shutdown_clean = true;
  request.labels_hash = labels_hash;
  request.running = {&running, 1};
  request.events = {&crash, 1};
  app::CheckInReply reply;
  RF_CHECK(rig.app().CheckIn(request, &reply).ok());
}

// One transaction of one row: what a durable halt costs at least.
double BareCommitMillis(RolloutRig& rig, int round) {
  const auto start = SteadyClock::now();
  RF_CHECK(
      rig.store()
          .ReadWrite([&](storage::Transaction& tx) { return tx.PutSetting("bench", absl::StrCat(round)); })
          .ok());
  return Millis(SteadyClock::now() - start);
}

struct Round {
  double refused =
      0;  // ms from the report to the last lease given, or to the report's answer if that is later
  double durable = 0;  // ms until the halt was committed, at most
  int given_after = 0;
};

// All askers ask once; the crash is reported when `before` of them have asked.
Round Run(RolloutRig& rig, api::Loop& commits, std::atomic<bool>& braked, std::atomic<int64_t>& durable_at,
          int before) {
  std::atomic<int> asked = 0;
  std::atomic<int> answered = 0;
  std::atomic<int> given_after = 0;
  std::atomic<int64_t> last_given = 0;
  std::atomic<bool> reporting = false;
  const auto now = [] { return SteadyClock::now().time_since_epoch().count(); };
  std::thread askers([&] {
    for (int host = rig.first_asker(); host < rig.hosts(); ++host) {
      rig.Ask(host, [&](const absl::StatusOr<app::LeaseReply>& reply) {
        RF_CHECK(reply.ok());
        if (reply->granted) {
          last_given = now();
          given_after += reporting ? 1 : 0;
        }
        ++answered;
      });
      ++asked;
    }
  });
  while (asked < before) std::this_thread::yield();
  reporting = true;
  const int64_t start = now();
  ReportCrash(rig);
  const int64_t heard = now();
  braked = true;
  commits.Wake();
  askers.join();
  while (answered < kAsking || durable_at == 0) std::this_thread::yield();

  // From here on everyone is refused, whoever asks.
  for (int host = rig.first_asker(); host < rig.hosts(); ++host) {
    rig.Ask(host, [](const absl::StatusOr<app::LeaseReply>& reply) {
      RF_CHECK(reply.ok() && reply->reason == policy::Reason::kHalted);
    });
  }
  Round round;
  round.refused = Millis(SteadyClock::duration(std::max(heard, last_given.load()) - start));
  round.durable = Millis(SteadyClock::duration(durable_at - start));
  round.given_after = given_after;
  return round;
}

}  // namespace

Figure MeasureHalt(const Options& options) {
  const int rounds = options.tiny ? kTinyRounds : kRounds;
  RolloutRig rig({.proven = kProven, .asking = kAsking});
  Rounds refused;
  Rounds durable;
  Rounds floors;
  Rounds given;
  for (int round = 0; round < rounds; ++round) {
    std::atomic<api::Loop*> loop = nullptr;
    rig.on_lease_queued = [&loop] {
      if (api::Loop* commits = loop) commits->Wake();
    };
    rig.FreshRelease();
    std::atomic<bool> braked = false;
    std::atomic<int64_t> durable_at = 0;
    api::Loop commits(absl::Milliseconds(50), [&] {
      const bool was_braked = braked;
      RF_CHECK(rig.app().CommitOnce().ok());
      if (was_braked && durable_at == 0) durable_at = SteadyClock::now().time_since_epoch().count();
    });
    loop = &commits;
    floors.Add(BareCommitMillis(rig, round));
    const Round one = Run(rig, commits, braked, durable_at, 100 + round * 7 % 600);
    commits.Stop();
    loop = nullptr;
    refused.Add(one.refused);
    durable.Add(one.durable);
    given.Add(one.given_after);
  }
  Figure figure;
  figure.name = "halt";
  figure.value = refused.Quantile(0.99);
  figure.unit = "ms from a crash report to the last lease, p99";
  figure.floor = floors.Quantile(0.99);
  figure.ratio = figure.value / *figure.floor;
  figure.note = absl::StrFormat(
      "%d rounds, each a fresh release and %d hosts asking on PostgreSQL with fsync; p50 %.2f ms, most %.2f; "
      "leases that were being committed and were given after the report: p50 %.0f, most %.0f; halt durable "
      "at "
      "p50 %.2f, p99 %.2f ms; floor: one bare commit, p50 %.2f ms",
      rounds, kAsking, refused.Quantile(0.5), refused.most(), given.Quantile(0.5), given.most(),
      durable.Quantile(0.5), durable.Quantile(0.99), floors.Quantile(0.5));
  return figure;
}

}  // namespace ringfence::bench
