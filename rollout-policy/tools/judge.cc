// ringfence-judge: checks the health analysis of this build against golden vectors.
// Prints one JSON object; exit 0 if every value agrees, 1 if some differ or the file cannot be read.
#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

#include "rollout-policy/tools/golden_vectors.h"

int main(int argc, char** argv) {
  std::string file;
  CLI::App app{"Checks the health analysis of this build against golden vectors, to 1e-9."};
  app.add_option("--vectors", file, "JSON file of golden vectors, e.g. tests/data/health/vectors.json")
      ->required();
  CLI11_PARSE(app, argc, argv);

  ringfence::tools::VectorReport report;
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    report.failed.push_back("vectors: cannot read " + file);
  } else if (auto checked = ringfence::tools::CheckGoldenVectors(text.str()); checked.ok()) {
    report = *std::move(checked);
  } else {
    report.failed.push_back(std::string(checked.status().message()));
  }
  std::cout << ringfence::tools::ToJson(report);
  return report.passed() ? 0 : 1;
}
