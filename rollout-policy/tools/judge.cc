// ringfence-judge: checks the health analysis of this build.
//   --vectors FILE   golden vectors, to 1e-9; prints one JSON object
//   --bench FILE     scenarios of format staged-rollout-health-benchmark/2, through the product's judge and
//   governor
// Exit 0 if everything holds, 1 if something does not, 2 on wrong use or a file that cannot be read.
#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <regex>
#include <sstream>
#include <thread>

#include "rollout-policy/tools/benchmark_report.h"
#include "rollout-policy/tools/golden_vectors.h"

namespace {

using namespace ringfence::tools;

std::optional<std::string> ReadFile(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) return std::nullopt;
  return text.str();
}

int CheckVectors(const std::string& file) {
  VectorReport report;
  if (const auto text = ReadFile(file); !text.has_value()) {
    report.failed.push_back("vectors: cannot read " + file);
  } else if (auto checked = CheckGoldenVectors(*text); checked.ok()) {
    report = *std::move(checked);
  } else {
    report.failed.push_back(std::string(checked.status().message()));
  }
  std::cout << ToJson(report);
  return report.passed() ? 0 : 1;
}

struct BenchArguments {
  std::string file;
  std::string only;
  bool json = false;
  RunOptions run;
};

int Refuse(const std::string& why) {
  std::cerr << "ringfence-judge: " << why << "\n";
  return 2;
}

int RunBench(const BenchArguments& arguments) {
  const auto text = ReadFile(arguments.file);
  if (!text.has_value()) return Refuse("cannot read " + arguments.file);
  const auto benchmark = ParseBenchmark(*text);
  if (!benchmark.ok()) return Refuse(arguments.file + ": " + std::string(benchmark.status().message()));
  std::optional<std::regex> only;
  try {
    if (!arguments.only.empty()) only.emplace(arguments.only);
  } catch (const std::regex_error& error) {
    return Refuse("--only \"" + arguments.only + "\": " + error.what());
  }
  const auto wanted = [&](const std::string& id) {
    return !only.has_value() || std::regex_search(id, *only);
  };

  std::vector<const BenchmarkScenario*> scenarios;
  for (const BenchmarkScenario& one : benchmark->scenarios) {
    if (wanted(one.id)) scenarios.push_back(&one);
  }
  BenchmarkReport report;
  for (const auto& refused : benchmark->refused) {
    if (wanted(refused.id)) report.refused.push_back(refused);
  }
  if (scenarios.empty() && report.refused.empty()) return Refuse("no scenario matches");
  const auto start = std::chrono::steady_clock::now();
  report.results = RunBenchmark(scenarios, arguments.run);
  report.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cout << (arguments.json ? ToJson(report) : ToTable(report));
  return report.passed() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::string vectors;
  BenchArguments bench;
  bench.run.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  CLI::App app{
      "Checks the health analysis of this build: golden vectors to 1e-9, or a benchmark of rollouts."};
  auto* mode = app.add_option_group("what");
  mode->add_option("--vectors", vectors, "JSON file of golden vectors, e.g. tests/data/health/vectors.json");
  mode->add_option("--bench", bench.file, "JSON file of scenarios, e.g. tests/data/health/benchmark.json");
  mode->require_option(1);
  app.add_option("--rollouts", bench.run.rollouts, "Rollouts per scenario; default: what its bounds are for")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  app.add_option("--only", bench.only,
                 "Only scenarios whose id matches this regular expression (ECMAScript, search)");
  app.add_option("-j,--threads", bench.run.threads, "Rollouts at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--seed", bench.run.seed, "Another seed gives other rollouts")->capture_default_str();
  app.add_flag("--json", bench.json, "One JSON object instead of the table");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return vectors.empty() ? RunBench(bench) : CheckVectors(vectors);
}
