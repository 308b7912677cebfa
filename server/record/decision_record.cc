#include "server/record/decision_record.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ringfence::record {
namespace {

// ---- JSON, written by hand: keys in one order, so that equal evidence is equal text.

std::string Number(double value) {
  if (!std::isfinite(value)) return "null";  // read back as what is no number: it permits nothing
  // As short as possible, but the same double.
  for (const int digits : {6, 15, 17}) {
    std::string text = absl::StrFormat("%.*g", digits, value);
    if (std::stod(text) == value || digits == 17) return text;
  }
  return "null";
}

std::string Text(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

const char* Bool(bool value) {
  return value ? "true" : "false";
}

std::string Texts(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const std::string& value : values) absl::StrAppend(&out, out.size() > 1 ? "," : "", Text(value));
  return out + "]";
}

std::string Vectors(const CellVectors& cells) {
  std::string out = "{";
  for (const auto& [name, vector] : cells) {
    absl::StrAppend(&out, out.size() > 1 ? "," : "", Text(name), ":[");
    for (size_t i = 0; i < vector.size(); ++i) absl::StrAppend(&out, i > 0 ? "," : "", Number(vector[i]));
    out += "]";
  }
  return out + "}";
}

template <size_t N>
std::string Channels(const std::array<CellVectors, N>& channels) {
  std::string out = "{";
  for (size_t i = 0; i < N; ++i) {
    if (channels[i].empty()) continue;
    absl::StrAppend(&out, out.size() > 1 ? "," : "", "\"",
                    policy::Name(static_cast<policy::HealthChannel>(i)), "\":", Vectors(channels[i]));
  }
  return out + "}";
}

std::string Inner(const Figures& figures) {
  return absl::StrCat("\"m_r\":", Number(figures.m_r), ",\"m_r_in_order\":", Number(figures.m_r_in_order),
                      ",\"m_a\":", Number(figures.m_a), ",\"unproven\":", figures.unproven,
                      ",\"healthy\":", figures.healthy, ",\"exposed\":", figures.exposed);
}

std::string Json(const policy::Onsets& onsets) {
  return absl::StrCat("{\"exposed\":", onsets.exposed, ",\"control\":", onsets.control,
                      ",\"explained\":", Number(onsets.explained), "}");
}

std::string Json(const policy::CrashCounts& counts) {
  return absl::StrCat("{\"bad\":", counts.rate.bad, ",\"control\":", counts.control,
                      ",\"exposed_host_hours\":", Number(counts.exposed_host_hours),
                      ",\"control_host_hours\":", Number(counts.control_host_hours),
                      ",\"control_lately\":", counts.control_lately,
                      ",\"control_host_hours_lately\":", Number(counts.control_host_hours_lately),
                      ",\"scopes\":", counts.scopes, ",\"windows\":", counts.windows, "}");
}

std::string Json(const GateEvidence& gate) {
  std::string out =
      absl::StrCat("{\"gate\":\"", policy::Name(gate.gate), "\",\"cohort\":", Text(gate.cohort));
  if (gate.gate == policy::GateKind::kSilence) {
    const policy::SilenceGate& limits = gate.silence;
    const policy::SilenceCounts& counts = gate.silence_counts;
    absl::StrAppend(&out, ",\"missed_checkins\":", limits.missed_checkins,
                    ",\"max_excess_ppm\":", limits.max_excess.value, ",\"min_count\":", limits.min_count,
                    ",\"all\":", Json(counts.all), ",\"unannounced\":", Json(counts.unannounced),
                    ",\"bad\":", counts.all.exposed, ",\"exposed\":", counts.exposed,
                    ",\"exposed_host_hours\":", Number(counts.exposed_host_hours),
                    ",\"control_host_hours\":", Number(counts.control_host_hours),
                    ",\"windows\":", counts.windows);
  } else {
    absl::StrAppend(&out, ",\"max_rate_ppm\":", gate.rate.max_rate.value,
                    ",\"min_count\":", gate.rate.min_count, ",\"bad\":", gate.rate_counts.bad,
                    ",\"exposed\":", gate.rate_counts.exposed);
    if (gate.gate == policy::GateKind::kCrash && gate.rate_counts.bad > 0) {
      absl::StrAppend(&out, ",\"beside\":", Json(gate.crashes));
    }
  }
  absl::StrAppend(&out, ",\"breached\":", Bool(gate.breached), ",\"suspect\":", Bool(gate.suspect), "}");
  return out;
}

std::string Cells(const std::vector<ReviewEvidence::Cell>& cells) {
  std::string out = "[";
  for (const ReviewEvidence::Cell& cell : cells) {
    absl::StrAppend(&out, out.size() > 1 ? "," : "", "{\"cell\":", Text(cell.cell),
                    ",\"residual\":", Number(cell.residual), ",\"mean\":", Number(cell.mean),
                    ",\"hosts\":", cell.hosts, ",\"may_block\":", Bool(cell.may_block), "}");
  }
  return out + "]";
}

std::string Json(const ReviewEvidence& review) {
  return absl::StrCat("{\"tenants\":", Cells(review.tenants), ",\"named\":", Cells(review.named),
                      ",\"blocked\":", review.blocked, ",\"answer\":", Text(review.answer),
                      ",\"cell\":", Text(review.cell), ",\"residual\":", Number(review.residual),
                      ",\"without\":", Channels(review.without),
                      ",\"gauge_without\":", Vectors(review.gauge_without), "}");
}

std::string Json(const MethodEvidence& method) {
  const policy::StopState& before = method.before;
  std::string out = absl::StrCat(
      "{\"rho0\":", Number(method.rho0), ",\"k_max\":", method.k_max, ",\"test\":", method.test,
      ",\"cells\":", Texts(method.cells), ",\"blocked\":", Texts(method.blocked),
      ",\"before\":{\"action\":\"", policy::Name(before.action), "\",\"m_r_mark\":", Number(before.m_r_mark),
      ",\"m_a_mark\":", Number(before.m_a_mark), ",\"failures_mark\":", before.failures_mark,
      "},\"activation_failures\":", method.activation_failures,
      method.first_hosts_failed ? ",\"first_hosts_failed\":true" : "", ",\"all\":", Channels(method.all),
      ",\"in_order\":", Channels(method.in_order), ",\"guard\":", Channels(method.guard),
      ",\"gauge_all\":", Vectors(method.gauge_all), ",\"gauge_in_order\":", Vectors(method.gauge_in_order),
      ",\"records\":{");
  bool first = true;
  for (const auto& [replica, seq] : method.records) {
    absl::StrAppend(&out, first ? "" : ",", "\"", replica, "\":", seq);
    first = false;
  }
  out += "}";
  if (method.review.has_value()) absl::StrAppend(&out, ",\"review\":", Json(*method.review));
  return out + "}";
}

// The vectors of one table that are not all zero.
template <typename Vector>
CellVectors Named(const policy::ScopeTable<Vector>& table, const std::vector<std::string>& names) {
  CellVectors out;
  const auto add = [&](const std::string& name, const Vector& vector) {
    for (const double l : vector.l) {
      if (l == 0.0) continue;
      out.emplace(name, std::vector<double>(vector.l.begin(), vector.l.end()));
      return;
    }
  };
  add("", table.release());
  for (size_t cell = 0; cell < table.cells().size() && cell < names.size(); ++cell) {
    add(names[cell], table.cells()[cell]);
  }
  return out;
}

}  // namespace

MethodEvidence Look(const policy::ReleaseJudge& judge, const std::vector<std::string>& names) {
  MethodEvidence method;
  method.rho0 = judge.setup().rho0;
  method.k_max = judge.setup().k_max;
  for (const policy::CellIndex cell : judge.blocked()) method.blocked.push_back(names[cell]);
  for (size_t c = 0; c < method.all.size(); ++c) {
    const auto channel = static_cast<policy::HealthChannel>(c);
    method.all[c] = Named(judge.evidence().r(channel), names);
    method.in_order[c] = Named(judge.in_order().r(channel), names);
    if (c < method.guard.size()) method.guard[c] = Named(judge.guard().guard(channel), names);
  }
  method.gauge_all = Named(judge.evidence().gauge(), names);
  method.gauge_in_order = Named(judge.in_order().gauge(), names);
  for (const std::string& name : names) {
    const auto has = [&](const CellVectors& vectors) { return vectors.contains(name); };
    if (std::any_of(method.all.begin(), method.all.end(), has) ||
        std::any_of(method.in_order.begin(), method.in_order.end(), has) ||
        std::any_of(method.guard.begin(), method.guard.end(), has) || has(method.gauge_all) ||
        has(method.gauge_in_order)) {
      method.cells.push_back(name);
    }
  }
  return method;
}

ReviewEvidence Look(const policy::HaltFacts& facts, const policy::HaltReview& review,
                    const policy::EvidenceTable& table, const std::vector<std::string>& names) {
  ReviewEvidence out;
  const auto cells = [&](const std::vector<policy::HaltFacts::Cell>& from) {
    std::vector<ReviewEvidence::Cell> to;
    for (const policy::HaltFacts::Cell& one : from)
      to.push_back({names[one.cell], one.residual, one.mean, one.hosts, one.may_block});
    return to;
  };
  out.tenants = cells(facts.tenants);
  out.named = cells(facts.named);
  out.blocked = static_cast<int64_t>(facts.blocked);
  out.answer = policy::Name(review.answer);
  out.residual = review.residual;
  if (review.answer == policy::HaltAnswer::kHalt) return out;
  out.cell = names[review.cell];
  for (size_t c = 0; c < out.without.size(); ++c)
    out.without[c] = Named(table.r(static_cast<policy::HealthChannel>(c)), names);
  out.gauge_without = Named(table.gauge(), names);
  return out;
}

std::string MethodJson(const Figures& figures, const std::string& acted, const MethodEvidence& method,
                       const std::vector<GateEvidence>& gates) {
  std::string out = absl::StrCat("{", Inner(figures), ",\"acted\":", Text(acted), ",\"gates\":[");
  for (size_t i = 0; i < gates.size(); ++i) absl::StrAppend(&out, i > 0 ? "," : "", Json(gates[i]));
  return absl::StrCat(out, "],\"method\":", Json(method), "}");
}

std::string GateJson(const Figures& figures, const std::string& acted, const GateEvidence& gate) {
  return absl::StrCat("{", Inner(figures), ",\"acted\":", Text(acted), ",\"gates\":[", Json(gate), "]}");
}

std::string StageJson(const Figures& figures, const policy::StageView& view) {
  std::string uncovered;
  for (const std::string& cohort : view.uncovered)
    absl::StrAppend(&uncovered, uncovered.empty() ? "" : ",", Text(cohort));
  return absl::StrCat(
      "{", Inner(figures), ",\"stage\":{\"state\":\"", policy::Name(view.state),
      "\",\"braked\":", Bool(view.braked), ",\"blind\":", Bool(view.blind), ",\"wave\":", view.wave,
      ",\"waves\":", view.waves, ",\"members\":", view.members, ",\"cap\":", view.cap,
      ",\"exposed\":", view.exposed, ",\"wave_exposed\":", view.wave_exposed,
      ",\"wave_confirmed\":", view.wave_confirmed, ",\"confirmed\":", view.confirmed,
      ",\"overdue\":", view.overdue, ",\"askers_left\":", view.askers_left,
      ",\"soaked_ns\":", absl::ToInt64Nanoseconds(view.soaked),
      ",\"soak_ns\":", absl::ToInt64Nanoseconds(view.soak), ",\"m_r\":", Number(view.m_r),
      ",\"gate_tripped\":", Bool(view.gate_tripped), ",\"closed\":\"", policy::Name(view.closed), "\"",
      uncovered.empty() ? "" : absl::StrCat(",\"uncovered\":[", uncovered, "]"),
      view.uncovered_hold ? ",\"uncovered_hold\":true" : "", "}}");
}

std::string FiguresJson(const Figures& figures) {
  return absl::StrCat("{", Inner(figures), "}");
}

}  // namespace ringfence::record
