#include "server/record/wealth.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "ringfence/policy/judge/evidence_table.h"
#include "ringfence/policy/judge/health_record.h"

namespace ringfence::record {
namespace {

using policy::CellIndex;
using policy::HealthChannel;

constexpr std::pair<double, const char*> kLines[] = {
    {policy::kBrakeAt, "brake"}, {policy::kHoldAt, "hold"}, {policy::kHaltAt, "halt"}};
constexpr double kBottom = -1.0;  // log10: what is below tells nothing more
constexpr const char* kColours[] = {"#c0392b", "#2471a3", "#1e8449", "#b7950b", "#7d3c98"};

double Height(double m) {
  return std::max(kBottom, std::log10(std::max(m, 1e-300)));
}

double Top(const Wealth& wealth) {
  double top = std::log10(policy::kHaltAt) + 0.5;
  for (const WealthPoint& point : wealth.points) {
    top = std::max(top, Height(point.m_r) + 0.25);
    for (const double cell : point.cells) top = std::max(top, Height(cell) + 0.25);
  }
  return top;
}

double Share(const Wealth& wealth, absl::Time at) {
  const absl::Duration whole = wealth.points.back().at - wealth.points.front().at;
  return whole <= absl::ZeroDuration() ? 0.0 : absl::FDivDuration(at - wealth.points.front().at, whole);
}

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string Clock(absl::Time at) {
  return absl::FormatTime("%Y-%m-%d %H:%M", at, absl::UTCTimeZone());
}

}  // namespace

Wealth WealthOf(const std::vector<WealthRecord>& records, int64_t k_max, double rho0,
                const std::vector<std::string>& blocked, size_t most_cells) {
  std::map<std::string, CellIndex> slots;
  std::vector<std::string> names;
  const auto slot_of = [&](const std::string& name) {
    const auto [it, added] = slots.try_emplace(name, static_cast<CellIndex>(names.size()));
    if (added) names.push_back(name);
    return it->second;
  };
  policy::EvidenceTable table(k_max, rho0);
  Wealth wealth;
  wealth.k_max = k_max;
  std::vector<double> largest;
  std::vector<std::vector<double>> means;
  for (const WealthRecord& record : records) {
    for (const WealthEvent& event : record.events) {
      const bool left_out = std::any_of(event.cells.begin(), event.cells.end(), [&](const std::string& cell) {
        return std::find(blocked.begin(), blocked.end(), cell) != blocked.end();
      });
      if (left_out) continue;
      std::vector<CellIndex> cells;
      for (const std::string& cell : event.cells) cells.push_back(slot_of(cell));
      if (event.channel == HealthChannel::kGauge) {
        table.AddGauge(cells, event.treated, event.pi, event.x, event.c);
      } else {
        table.AddBad(event.channel, cells, event.treated, event.pi);
      }
    }
    wealth.points.push_back({record.at, table.M(), {}});
    std::vector<double>& mean = means.emplace_back();
    largest.resize(names.size(), 1.0);
    for (CellIndex cell = 0; cell < names.size(); ++cell) {
      mean.push_back(table.CellMean(cell));
      largest[cell] = std::max(largest[cell], mean.back());
    }
  }
  std::vector<CellIndex> order(names.size());
  for (CellIndex cell = 0; cell < order.size(); ++cell) order[cell] = cell;
  std::stable_sort(order.begin(), order.end(),
                   [&](CellIndex a, CellIndex b) { return largest[a] > largest[b]; });
  if (order.size() > most_cells) order.resize(most_cells);
  for (const CellIndex cell : order) wealth.cells.push_back(names[cell]);
  for (size_t i = 0; i < wealth.points.size(); ++i) {
    for (const CellIndex cell : order) {
      wealth.points[i].cells.push_back(cell < means[i].size() ? means[i][cell] : 1.0);
    }
  }
  return wealth;
}

std::string ToText(const Wealth& wealth, int columns, int rows) {
  if (wealth.points.empty()) return "nothing went bad in any drawn host yet: the evidence is 1\n";
  const int width = std::max(20, columns - 10);
  rows = std::max(6, rows);
  const double top = Top(wealth);
  std::vector<std::string> grid(static_cast<size_t>(rows), std::string(static_cast<size_t>(width), ' '));
  const auto row_of = [&](double height) {
    const double share = (height - kBottom) / (top - kBottom);
    return static_cast<size_t>(
        std::clamp(rows - 1 - static_cast<int>(std::lround(share * (rows - 1))), 0, rows - 1));
  };
  for (const auto& [level, name] : kLines) {
    std::string& line = grid[row_of(std::log10(level))];
    for (size_t x = 0; x < line.size(); x += 2) line[x] = '-';
  }
  // Each value stands until the next record.
  for (int x = 0; x < width; ++x) {
    const double share = static_cast<double>(x) / (width - 1);
    const WealthPoint* now = nullptr;
    for (const WealthPoint& point : wealth.points) {
      if (Share(wealth, point.at) <= share + 1e-9) now = &point;
    }
    if (now == nullptr) continue;
    for (size_t cell = wealth.cells.size(); cell-- > 0;) {
      grid[row_of(Height(now->cells[cell]))][static_cast<size_t>(x)] = static_cast<char>('a' + cell);
    }
    grid[row_of(Height(now->m_r))][static_cast<size_t>(x)] = '#';
  }
  std::string out;
  for (size_t row = 0; row < grid.size(); ++row) {
    std::string label;
    for (const auto& [level, name] : kLines) {
      if (row_of(std::log10(level)) == row) label = absl::StrFormat("%g", level);
    }
    if (label.empty() && row_of(0.0) == row) label.push_back('1');
    std::string line = grid[row];
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppendFormat(&out, "%8s |%s\n", label, line);
  }
  absl::StrAppend(&out, "          ", Clock(wealth.points.front().at), " to ", Clock(wealth.points.back().at),
                  " UTC; 10 brakes, 100 holds, 1000 halts\n");
  absl::StrAppendFormat(&out, "          # M_R %.4g\n", wealth.points.back().m_r);
  for (size_t cell = 0; cell < wealth.cells.size(); ++cell) {
    const double mean = wealth.points.back().cells[cell];
    const bool named = 0.5 / static_cast<double>(wealth.k_max) * mean >= policy::kHaltAt;
    absl::StrAppendFormat(&out, "          %c %s %.4g%s\n", static_cast<char>('a' + cell), wealth.cells[cell],
                          mean, named ? ", at the proven level" : "");
  }
  return out;
}

std::string ToSvg(const Wealth& wealth, const std::string& title) {
  constexpr double kWidth = 900, kHeight = 420, kLeft = 70, kRight = 20, kAbove = 40, kBelow = 110;
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
      "<text x=\"%g\" y=\"24\" font-size=\"15\">%s</text>\n",
      kWidth, kHeight + kBelow, kLeft, Escaped(title));
  const double top = Top(wealth);
  const auto y_of = [&](double height) {
    return kAbove + (top - height) / (top - kBottom) * (kHeight - kAbove);
  };
  const auto x_of = [&](absl::Time at) { return kLeft + Share(wealth, at) * (kWidth - kLeft - kRight); };
  for (const auto& [level, name] : kLines) {
    const double y = y_of(std::log10(level));
    absl::StrAppendFormat(&out,
                          "<line x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#888\" "
                          "stroke-dasharray=\"6 4\"/>\n<text x=\"4\" y=\"%.1f\">%s %g</text>\n",
                          kLeft, kWidth - kRight, y, y, y + 4, name, level);
  }
  absl::StrAppendFormat(&out, "<text x=\"4\" y=\"%.1f\">1</text>\n", y_of(0) + 4);
  const auto draw = [&](const char* colour, double stroke, const auto& value) {
    std::string path;
    std::optional<double> before;
    for (const WealthPoint& point : wealth.points) {
      const double x = x_of(point.at), y = y_of(Height(value(point)));
      if (before.has_value()) absl::StrAppendFormat(&path, "%.1f,%.1f ", x, *before);
      absl::StrAppendFormat(&path, "%.1f,%.1f ", x, y);
      before = y;
    }
    absl::StrAppendFormat(&out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" points=\"%s\"/>\n",
                          colour, stroke, path);
  };
  for (size_t cell = 0; cell < wealth.cells.size(); ++cell) {
    draw(kColours[cell % std::size(kColours)], 1.2,
         [&](const WealthPoint& point) { return point.cells[cell]; });
  }
  draw("#000", 2.4, [](const WealthPoint& point) { return point.m_r; });
  double y = kHeight + 24;
  if (!wealth.points.empty()) {
    absl::StrAppendFormat(&out, "<text x=\"%g\" y=\"%g\">%s to %s UTC; black: M_R %.4g</text>\n", kLeft, y,
                          Clock(wealth.points.front().at), Clock(wealth.points.back().at),
                          wealth.points.back().m_r);
  }
  for (size_t cell = 0; cell < wealth.cells.size(); ++cell) {
    y += 16;
    absl::StrAppendFormat(&out, "<text x=\"%g\" y=\"%g\" fill=\"%s\">%s %.4g</text>\n", kLeft, y,
                          kColours[cell % std::size(kColours)], Escaped(wealth.cells[cell]),
                          wealth.points.back().cells[cell]);
  }
  return out + "</svg>\n";
}

}  // namespace ringfence::record
