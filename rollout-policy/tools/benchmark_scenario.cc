#include "rollout-policy/tools/benchmark_scenario.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/policy/draw.h"

namespace ringfence::tools {
namespace {

using nlohmann::json;

// Thrown inside this file only; ParseBenchmark turns it into a status.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Bounds that keep a run finite and its memory small, far beyond what a fleet needs.
constexpr double kMostHosts = 20e6;
constexpr double kMostTicks = 1e6;
constexpr double kMostRollouts = 1e6;
constexpr double kMostCells = 50'000;

// An object whose every member must be read: what nobody asked for is refused.
class Reader {
 public:
  Reader(const json& value, std::string path) : value_(value), path_(std::move(path)) {
    if (!value.is_object())
      throw Refused(absl::StrCat(path_, ": wanted an object, found ", value.type_name()));
  }

  bool Has(const char* name) {
    const auto it = value_.find(name);
    if (it == value_.end()) return false;
    read_.insert(name);
    return !it->is_null();
  }
  const json& At(const char* name) {
    if (!Has(name)) throw Refused(absl::StrCat(PathOf(name), ": absent"));
    return value_.at(name);
  }
  std::string PathOf(const char* name) const { return absl::StrCat(path_, ".", name); }

  double Number(const char* name, double least, double most) {
    return NumberOf(At(name), PathOf(name), least, most);
  }
  double Number(const char* name, double least, double most, double usual) {
    return Has(name) ? Number(name, least, most) : usual;
  }
  double Probability(const char* name) { return Number(name, 0.0, 1.0); }
  int64_t Integer(const char* name, double least, double most) {
    return static_cast<int64_t>(WholeOf(Number(name, least, most), PathOf(name)));
  }
  int64_t Integer(const char* name, double least, double most, int64_t usual) {
    return Has(name) ? Integer(name, least, most) : usual;
  }
  std::optional<double> Maybe(const char* name, double least, double most) {
    if (!Has(name)) return std::nullopt;
    return Number(name, least, most);
  }
  std::string Text(const char* name) {
    const json& value = At(name);
    if (!value.is_string())
      throw Refused(absl::StrCat(PathOf(name), ": wanted a string, found ", value.type_name()));
    return value.get<std::string>();
  }
  Reader Object(const char* name) { return Reader(At(name), PathOf(name)); }
  const json& List(const char* name) {
    const json& value = At(name);
    if (!value.is_array())
      throw Refused(absl::StrCat(PathOf(name), ": wanted a list, found ", value.type_name()));
    return value;
  }
  std::vector<double> Numbers(const char* name, double least, double most) {
    std::vector<double> numbers;
    for (const json& value : List(name)) numbers.push_back(NumberOf(value, PathOf(name), least, most));
    return numbers;
  }
  void Ignore(const char* name) { read_.insert(name); }
  // One of `words`, by its place.
  size_t Word(const char* name, const std::vector<std::string>& words) {
    const std::string text = Text(name);
    for (size_t i = 0; i < words.size(); ++i) {
      if (text == words[i]) return i;
    }
    throw Refused(absl::StrCat(PathOf(name), ": \"", text.substr(0, 40), "\" is not known"));
  }

  // To be called when all was read.
  void Done() const {
    for (const auto& [name, value] : value_.items()) {
      if (read_.count(name) == 0) throw Refused(absl::StrCat(path_, ".", name.substr(0, 60), ": not known"));
    }
  }

  static double NumberOf(const json& value, const std::string& path, double least, double most) {
    if (!value.is_number()) throw Refused(absl::StrCat(path, ": wanted a number, found ", value.type_name()));
    const auto number = value.get<double>();
    if (!(number >= least && number <= most)) {
      throw Refused(absl::StrCat(path, ": ", number, " is not in [", least, ", ", most, "]"));
    }
    return number;
  }
  static double WholeOf(double number, const std::string& path) {
    if (number != std::floor(number))
      throw Refused(absl::StrCat(path, ": ", number, " is not a whole number"));
    return number;
  }

 private:
  const json& value_;
  std::string path_;
  std::set<std::string> read_;
};

FleetSpec FleetOf(Reader in) {
  FleetSpec fleet;
  fleet.hosts = in.Integer("hosts", 1, kMostHosts);
  double sum = 0.0;
  for (const json& value : in.List("classes")) {
    Reader one(value, in.PathOf("classes"));
    fleet.classes.push_back({one.Text("name"), one.Probability("fraction")});
    sum += fleet.classes.back().fraction;
    one.Done();
  }
  if (std::abs(sum - 1.0) > 1e-6)
    throw Refused(absl::StrCat(in.PathOf("classes"), ": fractions sum to ", sum));
  if (fleet.classes.size() > 64) throw Refused(absl::StrCat(in.PathOf("classes"), ": more than 64"));
  fleet.label_dims = static_cast<int>(in.Integer("label_dims", 0, 16));
  fleet.label_values = static_cast<int>(in.Integer("label_values", 1, kMostCells));
  if (fleet.label_dims * static_cast<double>(fleet.label_values) > kMostCells) {
    throw Refused(absl::StrCat(in.PathOf("label_values"), ": more than ", kMostCells, " cells"));
  }
  fleet.cohort_fraction = in.Number("cohort_fraction", 0, 1, 0.0);
  fleet.cohort_online_from_tick = in.Integer("cohort_online_from_tick", 0, kMostTicks, 0);
  fleet.request_probability = in.Probability("request_probability");
  in.Done();
  return fleet;
}

TimingSpec TimingOf(Reader in) {
  TimingSpec timing;
  timing.tick_s = in.Number("tick_s", 1, 86'400);
  timing.a_s = in.Number("a_s", 0, 1e6);
  timing.d_s = in.Number("D_s", 0, 1e7);
  timing.max_ticks = in.Integer("max_ticks", 1, kMostTicks);
  // The lease is used at once, so its time to live is not simulated.
  in.Number("lease_ttl_s", 0, 1e6, 20);
  if (!(timing.d_s > timing.a_s)) throw Refused(absl::StrCat(in.PathOf("D_s"), ": not after a_s"));
  if (std::floor(timing.d_s / timing.tick_s) <= std::floor(timing.a_s / timing.tick_s)) {
    throw Refused(absl::StrCat(in.PathOf("D_s"), ": no check-in falls between a_s and D_s"));
  }
  if (timing.d_s / timing.tick_s > 1000)
    throw Refused(absl::StrCat(in.PathOf("D_s"), ": more than 1000 ticks"));
  in.Done();
  return timing;
}

// "3+exp(10)": ticks that are certain, and the mean of those that come on top.
TimelineNoise::GapLength GapLengthOf(const json& value, const std::string& path) {
  if (value.is_number()) return {Reader::NumberOf(value, path, 0, kMostTicks), 0.0};
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    const size_t plus = text.find("+exp(");
    TimelineNoise::GapLength length;
    absl::string_view mean;
    if (plus != std::string::npos) mean = absl::string_view(text).substr(plus + 5);
    if (absl::ConsumeSuffix(&mean, ")") && absl::SimpleAtod(text.substr(0, plus), &length.least) &&
        absl::SimpleAtod(mean, &length.mean_more) && length.least >= 0 && length.least <= kMostTicks &&
        length.mean_more >= 0 && length.mean_more <= kMostTicks) {
      return length;
    }
  }
  throw Refused(absl::StrCat(path, ": wanted a number or \"A+exp(B)\""));
}

TimelineNoise TimelineOf(Reader& in, const FleetSpec& fleet) {
  TimelineNoise noise;
  Reader per_tick = in.Object("gap_per_tick");
  Reader ticks = in.Object("gap_ticks");
  for (const FleetSpec::Class& one : fleet.classes) {
    noise.gap_per_tick.push_back(per_tick.Probability(one.name.c_str()));
    noise.gap_ticks.push_back(GapLengthOf(ticks.At(one.name.c_str()), ticks.PathOf(one.name.c_str())));
  }
  per_tick.Done();
  ticks.Done();
  noise.crash_per_tick = in.Probability("crash_per_tick");
  return noise;
}

BackgroundSpec BackgroundOf(Reader in, const FleetSpec& fleet) {
  BackgroundSpec background;
  background.pattern = static_cast<Pattern>(in.Word("pattern", {"flat", "diurnal", "outage"}));
  if (in.Has("model")) {
    in.Word("model", {"timeline"});
    background.noise = TimelineOf(in, fleet);
    if (background.pattern != Pattern::kFlat) {
      throw Refused(absl::StrCat(in.PathOf("pattern"), ": a timeline is flat"));
    }
  } else {
    SpellNoise noise;
    noise.silence = in.Probability("silence_per_spell");
    noise.crash = in.Probability("crash_per_spell");
    background.noise = noise;
  }
  if (in.Has("outage")) {
    Reader outage = in.Object("outage");
    if (outage.Has("label")) outage.Text("label");
    BackgroundSpec::Outage spec;
    spec.fraction = outage.Probability("fraction");
    spec.ticks = outage.Integer("ticks", 0, kMostTicks);
    const std::vector<double> start = outage.Numbers("start_tick", 0, kMostTicks);
    if (start.size() != 2 || start[0] > start[1]) {
      throw Refused(absl::StrCat(outage.PathOf("start_tick"), ": wanted [first, last]"));
    }
    for (size_t i = 0; i < 2; ++i) {
      spec.start_tick[i] = static_cast<int64_t>(Reader::WholeOf(start[i], outage.PathOf("start_tick")));
    }
    outage.Done();
    background.outage = spec;
  }
  if (in.Has("noisy")) {
    Reader noisy = in.Object("noisy");
    background.noisy =
        BackgroundSpec::Noisy{noisy.Number("fraction", 0, 1, 0.05), noisy.Number("factor", 0, 1e6)};
    noisy.Done();
    if (std::holds_alternative<TimelineNoise>(background.noise)) {
      throw Refused(absl::StrCat(in.PathOf("noisy"), ": not with a timeline"));
    }
  }
  in.Done();
  return background;
}

FaultSpec FaultOf(Reader in) {
  FaultSpec fault;
  fault.kind = static_cast<FaultKind>(in.Word("kind", {"none", "brick", "brick_delayed", "boot_loop"}));
  fault.probability = in.Probability("probability");
  fault.cohort_only = in.Word("scope", {"all", "cohort"}) == 1;
  switch (fault.kind) {
    case FaultKind::kNone:
    case FaultKind::kBrick:
      break;
    case FaultKind::kBrickDelayed: {
      Reader onset = in.Object("onset");
      onset.Word("dist", {"lognormal"});
      fault.onset_median_ticks = onset.Number("median_ticks", 1e-3, kMostTicks);
      fault.onset_sigma = onset.Number("sigma", 0, 10);
      onset.Done();
      fault.crash_report = in.Number("crash_report", 0, 1, 0.0);
      break;
    }
    case FaultKind::kBootLoop:
      fault.cycle_ticks = in.Number("cycle_ticks", 0.1, kMostTicks);
      fault.heard_per_tick = in.Probability("heard_per_tick");
      break;
  }
  in.Done();
  return fault;
}

PolicySpec PolicyOf(Reader in) {
  PolicySpec policy;
  // What the release is called rules nothing here: timing and rho0 are given. alpha, gamma and pi_max are
  // the product's own constants, and another value would be another method.
  in.Text("kind");
  in.Number("alpha", 0.001, 0.001);
  in.Number("gamma", 1, 1);
  in.Number("pi_max", policy::kPiMax, policy::kPiMax);
  policy.rho0 = in.Number("rho0", 1, 100);
  policy.hold_revert_ticks = in.Integer("hold_revert_ticks", 0, kMostTicks);
  if (in.Has("slo_gates")) throw Refused(absl::StrCat(in.PathOf("slo_gates"), ": the benchmark has none"));
  if (in.Has("waves")) {
    Reader waves = in.Object("waves");
    policy.waves = WaveSpec{waves.Numbers("shares", 0, 1), waves.Integer("min_first", 0, kMostHosts, 0),
                            waves.Integer("floor_ticks", 0, kMostTicks)};
    if (policy.waves->shares.empty()) throw Refused(absl::StrCat(waves.PathOf("shares"), ": empty"));
    waves.Done();
  }
  if (in.Has("phantoms")) {
    Reader phantoms = in.Object("phantoms");
    PhantomSpec spec;
    spec.ratios = phantoms.Numbers("ratios", 0, 1e6);
    spec.until_exposed = phantoms.Numbers("until_exposed", 0, 1);
    if (spec.ratios.empty() || spec.ratios.size() != spec.until_exposed.size()) {
      throw Refused(absl::StrCat(phantoms.PathOf("ratios"), ": wanted one for each of until_exposed"));
    }
    spec.lock_max = phantoms.Number("lock_max", 0, 1, 0.5);
    spec.soak_ticks = phantoms.Integer("soak_ticks", 1, kMostTicks);
    spec.gap_ticks = phantoms.Integer("gap_ticks", 1, kMostTicks);
    phantoms.Done();
    policy.phantoms = spec;
  }
  in.Done();
  return policy;
}

ExpectSpec ExpectOf(Reader in) {
  ExpectSpec expect;
  expect.rollouts = in.Integer("rollouts", 1, kMostRollouts);
  expect.stop_rate_min = in.Maybe("stop_rate_min", 0, 1);
  expect.harmed_median_max = in.Maybe("harmed_median_max", 0, kMostHosts);
  expect.harmed_p95_max = in.Maybe("harmed_p95_max", 0, kMostHosts);
  expect.stop_tick_median_max = in.Maybe("stop_tick_median_max", 0, kMostTicks);
  expect.cohort_top_min = in.Maybe("cohort_top_min", 0, 1);
  if (in.Has("halts_max")) expect.halts_max = in.Integer("halts_max", 0, kMostRollouts);
  if (in.Has("holds_max")) expect.holds_max = in.Integer("holds_max", 0, kMostRollouts);
  expect.complete_tick_median_max = in.Maybe("complete_tick_median_max", 0, kMostTicks);
  in.Done();
  return expect;
}

ReferenceSpec ReferenceOf(Reader in) {
  ReferenceSpec reference;
  reference.stop_rate = in.Maybe("stop_rate", 0, 1);
  reference.halt_rate = in.Maybe("halt_rate", 0, 1);
  reference.harmed_median = in.Maybe("harmed_median", 0, kMostHosts);
  reference.harmed_p95 = in.Maybe("harmed_p95", 0, kMostHosts);
  reference.stop_tick_median = in.Maybe("stop_tick_median", 0, kMostTicks);
  reference.complete_tick_median = in.Maybe("complete_tick_median", 0, kMostTicks);
  return reference;  // further figures are somebody's notes
}

BenchmarkScenario ScenarioOf(const json& value, const std::string& path) {
  Reader in(value, path);
  BenchmarkScenario scenario;
  scenario.id = in.Text("id");
  if (in.Has("text")) scenario.text = in.Text("text");
  scenario.fleet = FleetOf(in.Object("fleet"));
  scenario.timing = TimingOf(in.Object("timing"));
  scenario.background = BackgroundOf(in.Object("background"), scenario.fleet);
  scenario.fault = FaultOf(in.Object("fault"));
  scenario.policy = PolicyOf(in.Object("policy"));
  scenario.expect = ExpectOf(in.Object("expect"));
  if (in.Has("reference")) scenario.reference = ReferenceOf(in.Object("reference"));
  const bool special = scenario.fleet.cohort_fraction > 0 || scenario.fault.cohort_only ||
                       scenario.background.outage.has_value() || scenario.background.noisy.has_value();
  if (special && scenario.fleet.label_dims == 0) {
    throw Refused(absl::StrCat(path, ".fleet.label_dims: a special value needs a dimension"));
  }
  in.Done();
  return scenario;
}

}  // namespace

absl::StatusOr<BenchmarkFile> ParseBenchmark(absl::string_view json_text) {
  const json file = json::parse(json_text.begin(), json_text.end(), nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded()) return absl::InvalidArgumentError("benchmark: no JSON");
  BenchmarkFile benchmark;
  std::set<std::string> ids;
  const auto add = [&](const json& value) {
    const size_t place = benchmark.scenarios.size() + benchmark.refused.size();
    std::string id = absl::StrCat("scenarios[", place, "]");
    if (value.is_object() && value.contains("id") && value["id"].is_string())
      id = value["id"].get<std::string>();
    try {
      if (!ids.insert(id).second) throw Refused(absl::StrCat(id, ": the id is given twice"));
      benchmark.scenarios.push_back(ScenarioOf(value, id));
    } catch (const Refused& refused) {
      benchmark.refused.push_back({id, absl::InvalidArgumentError(refused.what())});
    }
  };
  try {
    Reader in(file, "benchmark");
    if (const std::string format = in.Text("format"); format != kBenchmarkFormat) {
      throw Refused(absl::StrCat("benchmark.format: \"", format.substr(0, 60), "\", wanted \"",
                                 kBenchmarkFormat, "\""));
    }
    for (const json& value : in.List("scenarios")) add(value);
  } catch (const Refused& refused) {
    return absl::InvalidArgumentError(refused.what());
  }
  return benchmark;
}

}  // namespace ringfence::tools
