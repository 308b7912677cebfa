// ringfence-bench [--json] [--only NAME] [--seconds S] [--tiny]: the product's figures, each beside its floor
// of the same run. Exit code 0 when all were measured, met or not; 2 for wrong arguments.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "tests/bench/checkin_server.h"
#include "tests/bench/figure.h"

namespace ringfence::bench {
namespace {

struct Benchmark {
  const char* name;
  Figure (*measure)(const Options&);
};

// What measures memory first: it forks, which is best done before other libraries have threads.
constexpr Benchmark kBenchmarks[] = {
    {"index", MeasureIndex},     {"cells", MeasureCells},         {"evidence", MeasureEvidence},
    {"checkin", MeasureCheckIn}, {"forwarded", MeasureForwarded}, {"exposures", MeasureExposures},
    {"halt", MeasureHalt}};

int Usage() {
  std::fprintf(stderr,
               "usage: ringfence-bench [--json] [--only "
               "index|cells|evidence|checkin|forwarded|exposures|halt] [--seconds "
               "S] [--tiny]\n");
  return 2;
}

// The texts are our own: printable, but for quotes.
std::string Json(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

std::string Json(const std::optional<double>& number) {
  return number.has_value() && std::isfinite(*number) ? absl::StrFormat("%.6g", *number) : "null";
}

// One element of the array that Main opens and closes.
void PrintJson(const Figure& figure, bool first) {
  absl::PrintF(
      "%s\n "
      "{\"name\":%s,\"value\":%s,\"unit\":%s,\"floor\":%s,\"ratio\":%s,\"target\":%s,\"met\":%s,\"note\":%s}",
      first ? "" : ",", Json(figure.name), Json(figure.value), Json(figure.unit), Json(figure.floor),
      Json(figure.ratio), figure.target.empty() ? "null" : Json(figure.target),
      !figure.met.has_value() ? "null"
      : *figure.met           ? "true"
                              : "false",
      Json(figure.note));
}

void PrintText(const Figure& figure) {
  const auto number = [](const std::optional<double>& n) {
    return n.has_value() ? absl::StrFormat("%.4g", *n) : "-";
  };
  const char* met = !figure.met.has_value() ? "-" : *figure.met ? "met" : "MISSED";
  absl::PrintF("%-10s %10s %10s %7s  %-14s %-7s %s\n", figure.name, number(figure.value),
               number(figure.floor), number(figure.ratio), figure.target.empty() ? "-" : figure.target, met,
               figure.unit);
  absl::PrintF("%-10s %s\n", "", figure.note);
}

int Main(int argc, char** argv) {
  bool json = false;
  std::string only;
  Options options;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--serve=")) return ServeCheckIns(std::string(argument));
    if (argument == "--json") {
      json = true;
    } else if (argument == "--tiny") {
      options.tiny = true;
      options.seconds = std::min(options.seconds, 0.4);
    } else if (argument == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else if (argument == "--seconds" && i + 1 < argc) {
      if (!absl::SimpleAtod(argv[++i], &options.seconds) || !(options.seconds > 0) ||
          options.seconds > 3600) {
        return Usage();
      }
    } else {
      return Usage();
    }
  }
  std::vector<Benchmark> chosen;
  for (const Benchmark& benchmark : kBenchmarks) {
    if (only.empty() || only == benchmark.name) chosen.push_back(benchmark);
  }
  if (chosen.empty()) return Usage();
  if (json) {
    absl::PrintF("[");
  } else {
    absl::PrintF("%-10s %10s %10s %7s  %-14s %-7s %s\n", "figure", "value", "floor", "ratio", "target", "",
                 "unit");
  }
  for (const Benchmark& benchmark : chosen) {
    std::fflush(stdout);  // it may fork
    const Figure figure = benchmark.measure(options);
    json ? PrintJson(figure, &benchmark == &chosen.front()) : PrintText(figure);
  }
  if (json) absl::PrintF("\n]\n");
  return 0;
}

}  // namespace
}  // namespace ringfence::bench

int main(int argc, char** argv) {
  return ringfence::bench::Main(argc, argv);
}
