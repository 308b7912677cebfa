#include "server/record/decision_replay.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "server/record/decision_record.h"

namespace ringfence::record {
namespace {

using Json = nlohmann::json;
using policy::HealthAction;
using policy::HealthChannel;

// Sums of the same doubles in the same order: equal but for what printing could lose.
constexpr double kTolerance = 1e-9;

constexpr int64_t kMost = 1'000'000'000;

struct Malformed {
  std::string what;
};

const Json& At(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key)) throw Malformed{absl::StrCat(key, " is missing")};
  return json.at(key);
}

const Json* Only(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) ? &json.at(key) : nullptr;
}

double Number(const Json& json) {
  if (json.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!json.is_number()) throw Malformed{"a number is wanted"};
  return json.get<double>();
}
int64_t Whole(const Json& json) {
  if (!json.is_number_integer()) throw Malformed{"a whole number is wanted"};
  return json.get<int64_t>();
}
bool Truth(const Json& json) {
  if (!json.is_boolean()) throw Malformed{"true or false is wanted"};
  return json.get<bool>();
}
std::string Text(const Json& json) {
  if (!json.is_string()) throw Malformed{"a text is wanted"};
  return json.get<std::string>();
}
double NumberAt(const Json& json, const char* key) {
  return Number(At(json, key));
}
// A number of hosts, or another that no fleet exceeds.
int64_t WholeAt(const Json& json, const char* key) {
  const int64_t value = Whole(At(json, key));
  if (value < -kMost || value > kMost) throw Malformed{absl::StrCat(key, ": no such number")};
  return value;
}

// One of an enum's values, by its name.
template <typename Enum>
Enum Named(const std::string& name, std::initializer_list<Enum> values) {
  for (const Enum value : values) {
    if (name == Name(value)) return value;
  }
  throw Malformed{absl::StrCat("\"", name, "\" is not known")};
}

bool Same(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b || std::abs(a - b) <= kTolerance * std::max(1.0, std::max(std::abs(a), std::abs(b)));
}

void Compare(Replayed& replayed, std::string what, double recorded, double computed) {
  replayed.compared.push_back({std::move(what), absl::StrFormat("%.17g", recorded),
                               absl::StrFormat("%.17g", computed), Same(recorded, computed)});
}
void Compare(Replayed& replayed, std::string what, std::string recorded, std::string computed) {
  const bool equal = recorded == computed;
  replayed.compared.push_back({std::move(what), std::move(recorded), std::move(computed), equal});
}

// ---- the method

class CellNumbers {
 public:
  explicit CellNumbers(const Json& cells) {
    if (!cells.is_array()) throw Malformed{"cells: an array is wanted"};
    for (const Json& cell : cells) {
      numbers_.try_emplace(Text(cell), static_cast<policy::CellIndex>(numbers_.size()));
    }
  }
  std::optional<policy::CellIndex> Of(const std::string& name) const {
    if (name.empty()) return std::nullopt;
    const auto it = numbers_.find(name);
    if (it == numbers_.end()) throw Malformed{absl::StrCat("cell \"", name, "\" is not among the cells")};
    return it->second;
  }

 private:
  std::map<std::string, policy::CellIndex> numbers_;
};

template <typename Vector, typename Add>
void ReadVectors(const Json& channels, const CellNumbers& cells, size_t most_channels, Add add) {
  if (!channels.is_object()) throw Malformed{"vectors: an object is wanted"};
  for (const auto& [name, by_cell] : channels.items()) {
    const HealthChannel channel = Named(name, {HealthChannel::kSilence, HealthChannel::kCrash,
                                               HealthChannel::kSilenceSoak, HealthChannel::kCrashSoak});
    if (static_cast<size_t>(channel) >= most_channels) throw Malformed{"this channel has no guard"};
    for (const auto& [cell, numbers] : by_cell.items()) {
      Vector vector;
      if (!numbers.is_array() || numbers.size() != vector.l.size()) {
        throw Malformed{absl::StrCat("a vector has ", vector.l.size(), " numbers")};
      }
      for (size_t i = 0; i < vector.l.size(); ++i) vector.l[i] = Number(numbers[i]);
      add(channel, cells.Of(cell), vector);
    }
  }
}

// As the server writes them since gauges count; a decision from before has none.
void ReadGauges(const Json& method, const char* key, const CellNumbers& cells, policy::EvidenceTable& table) {
  const Json* gauges = Only(method, key);
  if (gauges == nullptr) return;
  if (!gauges->is_object()) throw Malformed{absl::StrCat(key, ": an object is wanted")};
  for (const auto& [cell, numbers] : gauges->items()) {
    policy::GaugeVector vector;
    if (!numbers.is_array() || numbers.size() != vector.l.size()) {
      throw Malformed{absl::StrCat("a gauge has ", vector.l.size(), " numbers")};
    }
    for (size_t i = 0; i < vector.l.size(); ++i) vector.l[i] = Number(numbers[i]);
    table.AddGauge(cells.Of(cell), vector);
  }
}

std::vector<policy::HaltFacts::Cell> ReadCells(const Json& list, std::vector<std::string>& names) {
  if (!list.is_array()) throw Malformed{"an array of cells is wanted"};
  std::vector<policy::HaltFacts::Cell> cells;
  for (const Json& one : list) {
    names.push_back(Text(At(one, "cell")));
    cells.push_back({static_cast<policy::CellIndex>(names.size() - 1), NumberAt(one, "residual"),
                     NumberAt(one, "mean"), WholeAt(one, "hosts"), Truth(At(one, "may_block"))});
  }
  return cells;
}

// What the review made of a halt: from its figures, and those from the vectors as far as they are on record.
// What is left without each *other* tenant is on record as a number only.
void ReplayReview(const Decided& decision, const Json& json, const CellNumbers& cells, double rho0,
                  int64_t k_max, policy::EvidenceTable& in_order, Replayed& replayed) {
  policy::HaltFacts facts;
  std::vector<std::string> names;
  facts.m_r = in_order.M();
  facts.tenants = ReadCells(At(json, "tenants"), names);
  facts.named = ReadCells(At(json, "named"), names);
  facts.blocked = static_cast<size_t>(std::max<int64_t>(0, WholeAt(json, "blocked")));
  std::string recorded, computed;
  for (const policy::HaltFacts::Cell& one : facts.named) {
    const std::string& name = names[one.cell];
    absl::StrAppend(&recorded, name, " ");
    // An unnamed cell without evidence of its own is not among the cells.
    const std::optional<policy::CellIndex> at = cells.Of(name);
    if (!at.has_value()) throw Malformed{"a cell has a name"};
    if (in_order.IsNamed(*at)) absl::StrAppend(&computed, name, " ");
    Compare(replayed, absl::StrCat("evidence of ", name), one.mean, in_order.CellMean(*at));
  }
  Compare(replayed, "named", recorded, computed);
  const policy::HaltReview review = policy::ReviewHalt(facts);
  const bool halts = review.answer == policy::HaltAnswer::kHalt;
  Compare(replayed, "review", Text(At(json, "answer")), policy::Name(review.answer));
  Compare(replayed, "kept from", Text(At(json, "cell")), halts ? "" : names[review.cell]);
  if (!halts) {
    policy::EvidenceTable without(k_max, rho0);
    ReadVectors<policy::RVector>(
        At(json, "without"), cells, 4,
        [&](auto channel, auto cell, const auto& vector) { without.Add(channel, cell, vector); });
    ReadGauges(json, "gauge_without", cells, without);
    Compare(replayed, "residual", NumberAt(json, "residual"), without.M());
    Compare(replayed, "residual of the review", NumberAt(json, "residual"), review.residual);
  }
  const bool holds = review.answer == policy::HaltAnswer::kBlockHold ||
                     review.answer == policy::HaltAnswer::kBlockTenantHold;
  // The block, or the hold of the others that comes with it.
  const bool others = holds && decision.rule == "test_r_review";
  Compare(replayed, "rule", decision.rule, others ? "test_r_review" : "test_r");
  Compare(replayed, "action", decision.action, halts ? "halt" : others ? "hold" : "block");
}

Replayed ReplayMethod(const Decided& decision, const Json& evidence) {
  const Json& method = At(evidence, "method");
  const CellNumbers cells(At(method, "cells"));
  const int64_t k_max = WholeAt(method, "k_max");
  const double rho0 = NumberAt(method, "rho0");
  if (k_max < 1) throw Malformed{"k_max: at least 1 is wanted"};
  policy::EvidenceTable all(k_max, rho0), in_order(k_max, rho0);
  policy::GuardTable guard(k_max, {});
  ReadVectors<policy::RVector>(At(method, "all"), cells, 4, [&](auto channel, auto cell, const auto& vector) {
    all.Add(channel, cell, vector);
  });
  ReadVectors<policy::RVector>(
      At(method, "in_order"), cells, 4,
      [&](auto channel, auto cell, const auto& vector) { in_order.Add(channel, cell, vector); });
  ReadVectors<policy::GuardVector>(
      At(method, "guard"), cells, policy::kGuardChannels,
      [&](auto channel, auto cell, const auto& vector) { guard.Add(channel, cell, vector); });

  ReadGauges(method, "gauge_all", cells, all);
  ReadGauges(method, "gauge_in_order", cells, in_order);

  Replayed replayed;
  replayed.by = "method";
  const policy::HealthReading reading{.m_r = all.M(), .m_r_in_order = in_order.M(), .m_a = guard.M()};
  Compare(replayed, "m_r", NumberAt(evidence, "m_r"), reading.m_r);
  Compare(replayed, "m_r_in_order", NumberAt(evidence, "m_r_in_order"), reading.m_r_in_order);
  Compare(replayed, "m_a", NumberAt(evidence, "m_a"), reading.m_a);

  const Json& before = At(method, "before");
  policy::StopState state;
  state.action = Named(Text(At(before, "action")),
                       {HealthAction::kNone, HealthAction::kBrake, HealthAction::kHold, HealthAction::kHalt});
  state.m_r_mark = NumberAt(before, "m_r_mark");
  state.m_a_mark = NumberAt(before, "m_a_mark");
  state.failures_mark = static_cast<int>(WholeAt(before, "failures_mark"));
  policy::StopInput input;
  input.reading = reading;
  input.activation_failures = static_cast<int>(WholeAt(method, "activation_failures"));
  if (const Json* failed = Only(method, "first_hosts_failed")) input.first_hosts_failed = Truth(*failed);
  const policy::StopChange stop = policy::Judge(state, input, decision.at);
  if (const Json* review = Only(method, "review")) {
    Compare(replayed, "reached", "halt", stop.changed ? policy::Name(state.action) : "none");
    ReplayReview(decision, *review, cells, rho0, k_max, in_order, replayed);
    return replayed;
  }
  Compare(replayed, "rule", decision.rule, stop.changed ? stop.rule : "none");
  // A halt that the review turned into the block of a cell, in decisions from before reviews were recorded.
  const std::string wanted = decision.action == "block" ? "halt" : decision.action;
  Compare(replayed, "action", wanted, stop.changed ? policy::Name(state.action) : "none");
  return replayed;
}

// ---- gates

policy::Onsets ReadOnsets(const Json& json) {
  return {WholeAt(json, "exposed"), WholeAt(json, "control"), NumberAt(json, "explained")};
}

Replayed ReplayGate(const Json& gate) {
  Replayed replayed;
  replayed.by = "gate";
  bool breached = false, suspect = false;
  if (Text(At(gate, "gate")) == policy::Name(policy::GateKind::kSilence)) {
    policy::SilenceGate limits;
    limits.missed_checkins = static_cast<int>(WholeAt(gate, "missed_checkins"));
    limits.max_excess = policy::Ppm(WholeAt(gate, "max_excess_ppm"));
    limits.min_count = WholeAt(gate, "min_count");
    policy::SilenceCounts counts;
    counts.all = ReadOnsets(At(gate, "all"));
    counts.unannounced = ReadOnsets(At(gate, "unannounced"));
    counts.exposed = WholeAt(gate, "exposed");
    counts.exposed_host_hours = NumberAt(gate, "exposed_host_hours");
    counts.control_host_hours = NumberAt(gate, "control_host_hours");
    if (Only(gate, "windows") != nullptr) counts.windows = WholeAt(gate, "windows");
    breached = policy::IsBreached(limits, counts);
    suspect = policy::IsSuspect(limits, counts);
  } else {
    policy::RateGate limits;
    limits.max_rate = policy::Ppm(WholeAt(gate, "max_rate_ppm"));
    limits.min_count = WholeAt(gate, "min_count");
    const policy::RateCounts rate{WholeAt(gate, "bad"), WholeAt(gate, "exposed")};
    breached = policy::IsBreached(limits, rate);
    if (const Json* beside = Only(gate, "beside")) {
      const policy::CrashCounts counts{{WholeAt(*beside, "bad"), rate.exposed},
                                       WholeAt(*beside, "control"),
                                       NumberAt(*beside, "exposed_host_hours"),
                                       NumberAt(*beside, "control_host_hours"),
                                       WholeAt(*beside, "control_lately"),
                                       NumberAt(*beside, "control_host_hours_lately"),
                                       WholeAt(*beside, "scopes"),
                                       WholeAt(*beside, "windows")};
      suspect = !breached && policy::IsSuspect(limits, counts, Text(At(gate, "cohort")).empty());
    }
  }
  const auto word = [](bool value) { return std::string(value ? "yes" : "no"); };
  Compare(replayed, "breached", word(Truth(At(gate, "breached"))), word(breached));
  Compare(replayed, "suspect", word(Truth(At(gate, "suspect"))), word(suspect));
  Compare(replayed, "trips", "yes", word(breached || suspect));
  return replayed;
}

// ---- stages

policy::Reason ReasonNamed(const std::string& name) {
  for (int i = 0; i < 256; ++i) {
    const auto reason = static_cast<policy::Reason>(i);
    if (name == policy::Name(reason)) return reason;
  }
  throw Malformed{absl::StrCat("reason \"", name, "\" is not known")};
}

const char* ActionOf(policy::Step step) {
  switch (step) {
    case policy::Step::kNone:
      return "wait";
    case policy::Step::kOpen:
    case policy::Step::kNextWave:
      return "open_wave";
    case policy::Step::kFindVacant:
      return "vacant";
    case policy::Step::kPassRing:
      return "pass_ring";
  }
  return "none";
}

Replayed ReplayStage(const Decided& decision, const Json& stage) {
  policy::StageView view;
  const auto state = policy::ParseStageState(Text(At(stage, "state")));
  if (!state.ok()) throw Malformed{std::string(state.status().message())};
  view.state = *state;
  view.braked = Truth(At(stage, "braked"));
  view.blind = Truth(At(stage, "blind"));
  view.wave = static_cast<int>(WholeAt(stage, "wave"));
  view.waves = static_cast<int>(WholeAt(stage, "waves"));
  view.members = WholeAt(stage, "members");
  view.cap = WholeAt(stage, "cap");
  view.exposed = WholeAt(stage, "exposed");
  view.wave_exposed = WholeAt(stage, "wave_exposed");
  view.wave_confirmed = WholeAt(stage, "wave_confirmed");
  view.confirmed = WholeAt(stage, "confirmed");
  view.overdue = WholeAt(stage, "overdue");
  view.askers_left = WholeAt(stage, "askers_left");
  view.soaked = absl::Nanoseconds(Whole(At(stage, "soaked_ns")));
  view.soak = absl::Nanoseconds(Whole(At(stage, "soak_ns")));
  view.m_r = NumberAt(stage, "m_r");
  view.gate_tripped = Truth(At(stage, "gate_tripped"));
  view.closed = ReasonNamed(Text(At(stage, "closed")));
  if (stage.contains("uncovered")) {
    for (const Json& cohort : stage.at("uncovered")) view.uncovered.push_back(Text(cohort));
  }
  if (const Json* hold = Only(stage, "uncovered_hold")) view.uncovered_hold = Truth(*hold);
  const policy::StageDecision decided = policy::Decide(view, decision.at);
  Replayed replayed;
  replayed.by = "stage";
  Compare(replayed, "action", decision.action, ActionOf(decided.step));
  Compare(replayed, "rule", decision.rule, decided.rule);
  Compare(replayed, "why", decision.why, decided.why);
  return replayed;
}

}  // namespace

bool Replayed::equal() const {
  return std::all_of(compared.begin(), compared.end(), [](const Compared& one) { return one.equal; });
}

absl::StatusOr<Replayed> Replay(const Decided& decision) {
  // People's acts, and what follows from time or from one host's word, have nothing to compute.
  if (decision.actor != "server") return Replayed{};
  try {
    const Json evidence = Json::parse(decision.evidence);
    if (Only(evidence, "method") != nullptr) return ReplayMethod(decision, evidence);
    if (Only(evidence, "stage") != nullptr) return ReplayStage(decision, evidence.at("stage"));
    if (const Json* gates = Only(evidence, "gates"); gates != nullptr && gates->size() == 1) {
      return ReplayGate(gates->at(0));
    }
    return Replayed{};
  } catch (const Malformed& malformed) {
    return absl::InvalidArgumentError(absl::StrCat("evidence: ", malformed.what));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("evidence: ", error.what()));
  }
}

TwoJudges Summarize(absl::string_view text, absl::string_view rule) {
  TwoJudges two;
  try {
    const Json evidence = Json::parse(text.begin(), text.end());
    if (Only(evidence, "m_r") == nullptr) return two;
    const policy::HealthReading reading{.m_r = NumberAt(evidence, "m_r"),
                                        .m_r_in_order = NumberAt(evidence, "m_r_in_order"),
                                        .m_a = NumberAt(evidence, "m_a")};
    two.method = absl::StrFormat("%s (M_R %.4g, in order %.4g, M_A %.4g)", policy::Name(reading.Action()),
                                 reading.m_r, reading.m_r_in_order, reading.m_a);
    two.gates = "quiet";
    if (const Json* gates = Only(evidence, "gates"); gates != nullptr) {
      std::string words;
      for (const Json& gate : *gates) {
        const bool breached = Truth(At(gate, "breached"));
        const bool suspect = Truth(At(gate, "suspect"));
        const std::string cohort = Text(At(gate, "cohort"));
        absl::StrAppend(&words, words.empty() ? "" : "; ", Text(At(gate, "gate")), cohort.empty() ? "" : " ",
                        cohort, " ", WholeAt(gate, "bad"), " of ", WholeAt(gate, "exposed"),
                        breached  ? " breached"
                        : suspect ? " suspect"
                                  : " quiet");
      }
      if (!words.empty()) two.gates = words;
    }
    two.acted = std::string(rule);
  } catch (const Malformed&) {
    return {};
  } catch (const Json::exception&) {
    return {};
  }
  return two;
}

}  // namespace ringfence::record
