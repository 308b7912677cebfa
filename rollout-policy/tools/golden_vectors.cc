#include "rollout-policy/tools/golden_vectors.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "ringfence/policy/draw.h"
#include "ringfence/policy/evidence.h"
#include "ringfence/policy/governor.h"
#include "rollout-policy/tools/cap_enumeration.h"

namespace ringfence::tools {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-9;

const char* ArmName(policy::Arm arm) {
  switch (arm) {
    case policy::Arm::kNone:
      return "none";
    case policy::Arm::kTreatment:
      return "T";
    case policy::Arm::kControl:
      return "C";
    case policy::Arm::kPhantom:
      return "P";
  }
  return "unknown";
}

policy::HealthChannel ChannelOf(const std::string& name) {
  for (int i = 0; i < policy::kHealthChannels; ++i) {
    const auto channel = static_cast<policy::HealthChannel>(i);
    if (name == policy::Name(channel)) return channel;
  }
  throw std::invalid_argument(absl::StrCat("channel \"", name, "\" is not known"));
}

std::string Bytes(const json& hex) {
  return absl::HexStringToBytes(hex.get<std::string>());
}

std::optional<int64_t> Optional(const json& value) {
  return value.is_null() ? std::nullopt : std::optional<int64_t>(value.get<int64_t>());
}

policy::Budget BudgetOf(const json& triple) {
  return {.b0 = triple.at(0).get<int64_t>(),
          .healthy = triple.at(1).get<int64_t>(),
          .unproven = triple.at(2).get<int64_t>()};
}

policy::ControlCounts CountsOf(const json& c, const char* bad, const char* all) {
  return {.bad = c.at(bad).get<double>(), .all = c.at(all).get<double>()};
}

// Compares what our code answers with what a vector says, and keeps the report. A section of another shape
// makes JSON's accessors throw; Run turns that into a failure of the section.
class Checker {
 public:
  VectorReport Run(const json& file) {
    const std::map<std::string, void (Checker::*)(const json&)> sections = {
        {"version", &Checker::Version},
        {"tolerance", &Checker::Tolerance},
        {"theta", &Checker::Theta},
        {"guard_weights", &Checker::GuardWeights},
        {"lambda", &Checker::Lambda},
        {"weights", &Checker::Weights},
        {"prf", &Checker::Prf},
        {"rates", &Checker::Rates},
        {"draw", &Checker::Draw},
        {"R", &Checker::TestR},
        {"pi_soak", &Checker::Soak},
        {"pbar", &Checker::Bound},
        {"decay", &Checker::Decayed},
        {"A", &Checker::GuardA},
        {"B", &Checker::GaugeB},
        {"budget", &Checker::Tokens},
        {"b0", &Checker::StartBudget},
        {"combine", &Checker::Combined},
        {"named", &Checker::Named},
        {"action", &Checker::Action},
        {"traps/3_no_skip", &Checker::NoSkip},
        {"traps/4_redraw", &Checker::Redraw},
        {"traps/6_cap_mean", &Checker::CapMean},
        {"traps/6_margin_mean", &Checker::MarginMean},
        {"traps/8_merge", &Checker::Merge},
    };
    for (const auto& [name, check] : sections) {
      const json::json_pointer pointer(absl::StrCat("/", name));
      path_ = name;
      if (!file.contains(pointer)) {
        Fail("absent");
        continue;
      }
      try {
        (this->*check)(file.at(pointer));
      } catch (const std::exception& error) {
        Fail(error.what());
      }
    }
    for (const auto& [name, value] : file.items()) {
      path_ = name;
      if (name != "traps" && !sections.contains(name)) Fail("not known");
    }
    const json traps = file.value("traps", json::object());
    for (const auto& [name, value] : traps.items()) {
      path_ = absl::StrCat("traps/", name);
      if (!sections.contains(path_)) Fail("not known");
    }
    return std::move(report_);
  }

 private:
  // Calls `check` for each case of a section, with its path set; an empty section checks nothing and fails.
  template <typename Check>
  void Each(const json& cases, Check check) {
    const std::string section = path_;
    if (cases.empty()) Fail("empty");
    for (size_t i = 0; i < cases.size(); ++i) {
      path_ = absl::StrCat(section, "[", i, "]");
      check(cases.at(i));
    }
    path_ = section;
  }

  void Fail(absl::string_view what) { report_.failed.push_back(absl::StrCat(path_, ": ", what)); }

  void Near(absl::string_view field, double found, double wanted) {
    ++report_.checks;
    const double scale = std::max({1.0, std::abs(found), std::abs(wanted)});
    // Written so that a value that is no number fails.
    if (std::abs(found - wanted) <= kTolerance * scale) return;
    Fail(json{{"field", std::string(field)}, {"found", found}, {"wanted", wanted}}.dump());
  }

  void Near(absl::string_view field, absl::Span<const double> found, const json& wanted) {
    if (wanted.size() != found.size()) {
      Fail(absl::StrCat(field, ": ", found.size(), " values, wanted ", wanted.size()));
      return;
    }
    for (size_t i = 0; i < found.size(); ++i) Near(absl::StrCat(field, "[", i, "]"), found[i], wanted.at(i));
  }

  void Same(absl::string_view field, const json& found, const json& wanted) {
    ++report_.checks;
    if (found != wanted) {
      Fail(json{{"field", std::string(field)}, {"found", found}, {"wanted", wanted}}.dump());
    }
  }

  void Version(const json& v) { Same("version", 2, v); }
  void Tolerance(const json& v) { Near("tolerance", kTolerance, v); }
  void Theta(const json& v) { Near("theta", policy::kTheta, v); }
  void GuardWeights(const json& v) { Near("weight", policy::kGuardWeights, v); }
  void Lambda(const json& v) { Near("lambda", policy::kLambda, v); }
  void Weights(const json& v) {
    Same("channels", policy::kHealthChannels, v.size());
    for (const auto& [name, weight] : v.items()) {
      Near(name, policy::kChannelWeights[static_cast<size_t>(ChannelOf(name))], weight);
    }
  }

  void Prf(const json& cases) {
    Each(cases, [this](const json& c) {
      const absl::StatusOr<AgentId> host = AgentId::FromBytes(Bytes(c.at("host")));
      if (!host.ok()) return Fail(host.status().ToString());
      Near("value", policy::DrawUniform(Bytes(c.at("secret")), *host, c.at("bucket"), c.at("k")),
           c.at("value"));
    });
  }

  void Rates(const json& cases) {
    Each(cases, [this](const json& c) {
      const policy::DrawRates rates = policy::RatesFor(c.at("tokens"), c.at("forecast"), c.at("r"));
      Near("rho", rates.rho, c.at("rho"));
      Near("pi", rates.pi, c.at("pi"));
      Near("phi", rates.phi, c.at("phi"));
    });
  }

  void Draw(const json& cases) {
    Each(cases, [this](const json& c) {
      bool open = c.at("eligible");
      for (const json& cell : c.at("cells")) {  // U, b0, gamma, H
        Near("gamma", policy::kGamma, cell.at(2));
        open = open && policy::CellIsOpen(cell.at(0), cell.at(1), cell.at(3));
      }
      const policy::DrawRates rates{.rho = c.at("rho"), .pi = c.at("pi"), .phi = c.at("phi")};
      const policy::Arm arm = open ? policy::DrawArm(c.at("v"), c.at("u"), rates) : policy::Arm::kNone;
      Same("arm", ArmName(arm), c.at("arm").is_null() ? json("none") : c.at("arm"));
    });
  }

  void TestR(const json& cases) {
    Each(cases, [this](const json& c) {
      policy::RVector r;
      for (const json& event : c.at("events")) r.AddBad(event.at(0) == 1, event.at(1), c.at("rho0"));
      Near("l", r.l, c.at("l"));
      Near("log_e", r.LogE(), c.at("log_e"));
    });
  }

  void Soak(const json& cases) {
    Each(cases,
         [this](const json& c) { Near("value", policy::PiSoak(c.at("pi"), c.at("phi")), c.at("value")); });
  }

  void Bound(const json& cases) {
    Each(cases, [this](const json& c) {
      policy::GuardInput input{
          .p_hist = c.at("phist"), .history = CountsOf(c, "S", "N"), .bucket = CountsOf(c, "s", "n")};
      if (c.contains("n_c")) {
        input.cell_history = CountsOf(c, "S_c", "N_c");
        input.cell_bucket = CountsOf(c, "s_c", "n_c");
      }
      const std::optional<double> bound = policy::GuardBound(input);
      const json& wanted = c.at("pbar");
      Same("frozen", !bound.has_value(), wanted.is_null());
      if (bound.has_value() && !wanted.is_null()) Near("pbar", *bound, wanted);
    });
  }

  void Decayed(const json& cases) {
    Each(cases, [this](const json& c) {
      const policy::ControlCounts counts = policy::Decay(CountsOf(c, "S", "N"), CountsOf(c, "s", "n"));
      Near("S1", counts.bad, c.at("S1"));
      Near("N1", counts.all, c.at("N1"));
    });
  }

  void GuardA(const json& cases) {
    Each(cases, [this](const json& c) {
      const double bound = c.at("pbar");
      policy::GuardVector guard;
      for (const json& bad : c.at("bad")) guard.Resolve(bound, bad == 1);
      Near("grid", policy::GuardVector::Grid(bound), c.at("grid"));
      Near("l", guard.l, c.at("l"));
      Near("log_e", guard.LogE(), c.at("log_e"));
    });
  }

  void GaugeB(const json& cases) {
    Each(cases, [this](const json& c) {
      policy::GaugeVector gauge;
      for (const json& e : c.at("events")) gauge.AddValue(e.at(0) == 1, e.at(1), e.at(2), e.at(3));
      Near("l", gauge.l, c.at("l"));
      Near("log_e", gauge.LogE(), c.at("log_e"));
    });
  }

  void Tokens(const json& cases) {
    Each(cases, [this](const json& c) {
      Same("tokens",
           policy::Tokens(BudgetOf(c.at("release")), BudgetOf(c.at("stage")), c.at("M"),
                          Optional(c.at("wave_room")), Optional(c.at("grant"))),
           c.at("tokens"));
    });
  }

  void StartBudget(const json& cases) {
    Each(cases, [this](const json& c) { Same("b0", policy::StartBudget(c.at("size")), c.at("b0")); });
  }

  void Combined(const json& cases) {
    Each(cases, [this](const json& c) {
      std::vector<policy::ChannelEvidence> channels;
      for (const auto& [name, e] : c.at("e").items()) {
        policy::ChannelEvidence evidence{.channel = ChannelOf(name),
                                         .log_e_release = std::log(e.at(0).get<double>())};
        for (const json& cell : e.at(1)) evidence.log_e_cells.push_back(std::log(cell.get<double>()));
        channels.push_back(std::move(evidence));
      }
      Same("K_max", policy::KMax(c.at("cells")), c.at("K_max"));
      const double m = policy::Combine(channels, c.at("K_max"));
      Near("M", m, c.at("M"));
      Near("log_M", std::log(m), c.at("log_M"));
    });
  }

  void Named(const json& cases) {
    Each(cases, [this](const json& c) {
      std::vector<std::pair<policy::HealthChannel, double>> cell;
      for (const auto& [name, e] : c.at("e_cell").items()) cell.emplace_back(ChannelOf(name), e);
      Same("named", policy::IsNamed(cell, c.at("K_max")), c.at("named"));
    });
  }

  void Action(const json& cases) {
    Each(cases, [this](const json& c) {
      Same("action", policy::Name(policy::ActionFor(c.at("M_R"), c.at("M_A"), c.at("activation_failures"))),
           c.at("action"));
    });
  }

  void NoSkip(const json& cases) {
    Each(cases, [this](const json& c) {
      policy::RVector r;
      r.AddBad(c.at("treated") == 1, c.at("pi"), c.at("rho0"));
      Near("increment", r.l, c.at("increment"));
    });
  }

  // A bucket keeps no answers; whoever holds it does, as here: a repeated request gets the logged one.
  void Redraw(const json& c) {
    policy::Bucket bucket(c.at("tokens"), c.at("forecast"));
    std::map<std::string, policy::Bucket::Answer> log;
    Each(c.at("requests"), [&](const json& request) {
      const std::string host = request.at("host");
      policy::Bucket::Answer answer;
      if (const auto logged = log.find(host); logged != log.end()) {
        answer = logged->second;
      } else {
        answer = bucket.Ask(request.at("v"), request.at("u"));
        if (answer.arm != policy::Arm::kNone) log.emplace(host, answer);
      }
      const json& wanted = request.at("answer");
      Same("arm", ArmName(answer.arm), wanted.is_null() ? json("none") : wanted.at("arm"));
      if (!wanted.is_null()) {
        Near("pi", answer.pi, wanted.at("pi"));
        Near("phi", answer.phi, wanted.at("phi"));
      }
      Same("tokens_left", bucket.tokens(), request.at("tokens_left"));
    });
    Same("spells", log.size(), c.at("spells"));
    Same("T", bucket.treated(), c.at("T"));
  }

  void CapMean(const json& cases) {
    Each(cases, [this](const json& c) {
      const CappedBucket bucket{
          .hosts = c.at("m"), .pi = c.at("pi"), .cell_cap = c.at("cell_cap"), .bad_from = c.at("bad_from")};
      const double theta = c.at("theta");
      Near("mean_coin", MeanOver(bucket, [&](const Arms& arms) { return CoinFactor(bucket, arms, theta); }),
           c.at("mean_coin"));
      Near("mean_decrement_wrong",
           MeanOver(bucket, [&](const Arms& arms) { return DecrementFactor(bucket, arms, theta); }),
           c.at("mean_decrement_wrong"));
    });
  }

  // The mean factor of one spell whose risks are p_T and p_C.
  void MarginMean(const json& cases) {
    Each(cases, [this](const json& c) {
      const double pi = c.at("pi"), theta = c.at("theta"), rho0 = c.at("rho0");
      const double bad_t = pi * c.at("p_T").get<double>();
      const double bad_c = (1 - pi) * c.at("p_C").get<double>();
      const double mean = (1 - bad_t - bad_c) + bad_t * std::exp(policy::RIncrement(true, pi, rho0, theta)) +
                          bad_c * std::exp(policy::RIncrement(false, pi, rho0, theta));
      Near("mean", mean, c.at("mean"));
      ++report_.checks;
      if (mean > 1 + kTolerance) Fail("the mean is above 1 for a risk ratio that is tolerated");
    });
  }

  void Merge(const json& c) {
    policy::RVector first, second, late;
    first.AddBad(true, .02, 1.0);
    first.AddBad(true, .02, 1.0);
    second.AddBad(true, .01, 1.0);
    second.AddBad(false, .2, 1.0);
    late.AddBad(true, .01, 1.0);
    Near("l1", first.l, c.at("l1"));
    Near("l2", second.l, c.at("l2"));
    Near("late_l", late.l, c.at("late_l"));

    policy::RVector halt = first;
    halt.Merge(second);
    const double before_late = halt.LogE();
    Near("log_e_right", before_late, c.at("log_e_right"));
    Near("log_e_product_wrong", first.LogE() + second.LogE(), c.at("log_e_product_wrong"));
    Near("log_e_mean_wrong",
         policy::LogMix(std::vector<double>{first.LogE(), second.LogE()}, std::vector<double>{.5, .5}),
         c.at("log_e_mean_wrong"));

    // What arrives late reaches the evidence for a hold and leaves that for a halt bit-identical.
    policy::RVector hold = halt;
    hold.Merge(late);
    Near("hold_log_e_with_late", hold.LogE(), c.at("hold_log_e_with_late"));
    Near("halt_log_e_with_late", halt.LogE(), c.at("halt_log_e_with_late"));
    Same("halt unchanged", halt.LogE() == before_late, true);
  }

  VectorReport report_;
  std::string path_;  // of the section or case being checked
};

}  // namespace

absl::StatusOr<VectorReport> CheckGoldenVectors(absl::string_view json_text) {
  const json file = json::parse(json_text.begin(), json_text.end(), nullptr, /*allow_exceptions=*/false);
  if (!file.is_object()) return absl::InvalidArgumentError("vectors: not a JSON object");
  return Checker().Run(file);
}

std::string ToJson(const VectorReport& report) {
  const json object = {{"passed", report.passed()}, {"checks", report.checks}, {"failed", report.failed}};
  return object.dump(1) + "\n";
}

}  // namespace ringfence::tools
