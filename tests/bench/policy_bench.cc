// What one request for a lease and one matured bad event cost in the health analysis, storage and wire left
// out.
//   ringfence-policy-bench [--benchmark_format=json]
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "ringfence/policy/draw.h"
#include "ringfence/policy/evidence.h"
#include "ringfence/policy/judge/release_judge.h"

namespace ringfence::policy {
namespace {

void DrawOneUniform(benchmark::State& state) {
  const std::string secret(32, '\x5a');
  AgentId host;
  uint64_t bucket = BucketNumber(1, 28'930'000);
  for (auto _ : state) {
    ++host.bytes[15];
    benchmark::DoNotOptimize(DrawUniform(secret, host, ++bucket, 2));
  }
}
BENCHMARK(DrawOneUniform);

void AskABucket(benchmark::State& state) {
  Bucket bucket(1'000'000'000, 1e10, 4);
  double u = 0.0;
  for (auto _ : state) {
    u = u < .999 ? u + .001 : 0.0;
    benchmark::DoNotOptimize(bucket.Ask(0.0, u));
  }
}
BENCHMARK(AskABucket);

void AddABadEvent(benchmark::State& state) {
  RVector r;
  double pi = .001;
  bool treated = false;
  for (auto _ : state) {
    pi = pi < .2 ? pi * 1.01 : .001;
    treated = !treated;
    r.AddBad(treated, pi, 1.25);
  }
  benchmark::DoNotOptimize(r.LogE());
}
BENCHMARK(AddABadEvent);

// Two channels, the release and `cells` label values each, from the vectors to M.
void CombineTwoChannels(benchmark::State& state) {
  const auto cells = static_cast<size_t>(state.range(0));
  RVector r;
  r.AddBad(true, .02, 1.0);
  r.AddBad(false, .02, 1.0);
  const std::vector<RVector> vectors(cells, r);
  std::vector<ChannelEvidence> channels(2);
  channels[0].channel = HealthChannel::kSilence;
  channels[1].channel = HealthChannel::kCrash;
  const int64_t k_max = KMax(static_cast<int64_t>(cells));
  for (auto _ : state) {
    for (ChannelEvidence& evidence : channels) {
      evidence.log_e_release = r.LogE();
      evidence.log_e_cells.clear();
      for (const RVector& cell : vectors) evidence.log_e_cells.push_back(cell.LogE());
    }
    benchmark::DoNotOptimize(Combine(channels, k_max));
  }
}
BENCHMARK(CombineTwoChannels)->Arg(0)->Arg(200);

// A million hosts with two labels each, of 500 cells: one spell from its draw to its maturity, with its share
// of a stratum's end. Argument: one of so many is silent (0: none).
void JudgeOneSpell(benchmark::State& state) {
  constexpr HostIndex kHosts = 1'000'000;
  constexpr int kSpells = 2000;  // of a stratum
  const auto one_of = static_cast<uint64_t>(state.range(0));
  JudgeSetup setup;
  setup.k_max = KMax(500);
  setup.keep_records = false;
  ReleaseJudge judge(setup);
  std::vector<SpellId> ids;
  HostIndex host = 0;
  uint64_t n = 0;
  for (auto _ : state) {
    const StratumNumber stratum = judge.OpenStratum(n, 1.0);
    ids.clear();
    for (int i = 0; i < kSpells; ++i) {
      host = (host + 7919) % kHosts;
      const CellIndex cells[] = {host % 250, 250 + host / 250 % 250};
      ids.push_back(
          *judge.Open(stratum, host, 0, cells, {i % 50 == 0 ? Arm::kTreatment : Arm::kControl, .02, 0}));
    }
    judge.CloseStratum(stratum);
    for (const SpellId& id : ids) {
      benchmark::DoNotOptimize(judge.Mature(id, {.silent = one_of != 0 && ++n % one_of == 0}));
    }
    benchmark::DoNotOptimize(judge.Read());
  }
  state.counters["ns_per_spell"] = benchmark::Counter(
      1e-9 * kSpells, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(JudgeOneSpell)->Arg(0)->Arg(100)->Arg(10);

}  // namespace
}  // namespace ringfence::policy
