// ringfence-replay: runs scenario files against the server's own code with simulated hosts and a virtual
// clock. docs/replay.md. Exit 0: every bound of every run holds. 1: some do not. 2: a file or an option is
// not understood.
#include <CLI/CLI.hpp>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "report.h"
#include "run.h"
#include "server/simulate/scenario.h"
#include "stores.h"

namespace {

using namespace ringfence::replay;

struct Options {
  std::vector<std::string> files;
  std::vector<uint64_t> seeds;
  std::string store = "memory";
  std::string stub;
  double scale = 1;
  int jobs = 1;
  bool wire = false;
  bool without_gates = false;
  bool table = false;
  bool json = false;
  bool verbose = false;
};

struct Job {
  const Scenario* scenario;
  uint64_t seed;
};

// Runs all jobs, `options.jobs` at a time, and prints each as it ends. True if all passed.
bool RunAll(const std::vector<Job>& jobs, const Options& options, Stores& stores) {
  std::atomic<size_t> next{0};
  std::atomic<bool> all_passed{true};
  std::mutex printing;
  StretchTable stretch;
  const auto work = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      const RunOptions run{options.scale, options.wire, options.without_gates, options.stub == "push-to-all"};
      const RunResult result =
          RunScenario(*jobs[i].scenario, jobs[i].seed, run, [&stores] { return stores.Make(); });
      if (!result.passed) all_passed = false;
      const std::string text =
          options.json ? ToJson(result, options.verbose) + "\n" : ToText(result, options.verbose);
      const std::lock_guard<std::mutex> lock(printing);
      std::fputs(text.c_str(), stdout);
      std::fflush(stdout);
      for (const auto& [bound, how] : result.stretch) stretch[{result.scenario, bound}][result.seed] = how;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < options.jobs; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (options.table) std::fputs(ToText(stretch).c_str(), stdout);
  return all_passed;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App cli("Replays scenario files (rollout-scenario/1) against the server's own code.",
               "ringfence-replay");
  cli.add_option("FILE", options.files, "scenario files")->required();
  cli.add_option("--seed", options.seeds,
                 "run this seed only; may be given several times; default: the file's seeds");
  cli.add_option("--scale", options.scale, "multiply the number of hosts")->check(CLI::PositiveNumber);
  cli.add_option("--store", options.store, "where the server keeps its state")
      ->check(CLI::IsMember({"memory", "postgres"}));
  CLI::Option* stub = cli.add_option("--stub", options.stub,
                                     "run a stub instead of the server, and check the file's calibration")
                          ->check(CLI::IsMember({"push-to-all"}));
  cli.add_flag("--wire", options.wire, "fleet and people call the server over gRPC, through its public API")
      ->excludes(stub);
  cli.add_flag("--without-gates", options.without_gates,
               "leave the SLO gates out of the plans: what does the method see alone?");
  cli.add_flag("--table", options.table, "after all runs, a table of the stretch bounds: held or not");
  cli.add_option("-j", options.jobs, "runs at the same time")->check(CLI::Range(1, 256));
  cli.add_flag("--json", options.json, "one JSON object per file and seed");
  cli.add_flag("--verbose", options.verbose, "the server's decisions too");
  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli.exit(error) == 0 ? 0 : 2;
  }

  std::vector<Scenario> scenarios;
  bool understood = true;
  for (const std::string& file : options.files) {
    absl::StatusOr<Scenario> scenario = LoadScenario(file);
    if (scenario.ok()) {
      scenarios.push_back(*std::move(scenario));
    } else {
      understood = false;
      std::fprintf(stderr, "%s\n", std::string(scenario.status().message()).c_str());
    }
  }
  if (!understood) return 2;

  std::vector<Job> jobs;
  for (const Scenario& scenario : scenarios) {
    for (const uint64_t seed : options.seeds.empty() ? scenario.seeds : options.seeds)
      jobs.push_back({&scenario, seed});
  }
  absl::StatusOr<std::unique_ptr<Stores>> stores = Stores::Open(options.store);
  if (!stores.ok()) {
    std::fprintf(stderr, "--store %s: %s\n", options.store.c_str(),
                 std::string(stores.status().message()).c_str());
    return 2;
  }
  return RunAll(jobs, options, **stores) ? 0 : 1;
}
