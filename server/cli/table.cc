#include "server/cli/table.h"

#include <algorithm>

#include "server/cli/human.h"

namespace ringfence::cli {

Table::Table(std::vector<std::string> columns, std::string empty) : empty_(std::move(empty)) {
  for (std::string& column : columns) {
    right_.push_back(!column.empty() && column[0] == '>');
    columns_.push_back(right_.back() ? column.substr(1) : std::move(column));
  }
}

void Table::Row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = cell.empty() ? "-" : Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::ToString() const {
  if (rows_.empty()) return empty_ + "\n";
  std::vector<size_t> width;
  for (const std::string& column : columns_) width.push_back(Columns(column));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], Columns(row[i]));
  }
  std::string out;
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string pad(width[i] - Columns(row[i]), ' ');
      if (i > 0) line += "  ";
      line += right_[i] ? pad + row[i] : row[i] + pad;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  print(columns_);
  for (const auto& row : rows_) print(row);
  return out;
}

std::string KeyValues(const std::vector<std::pair<std::string, std::string>>& lines) {
  size_t width = 0;
  for (const auto& [name, value] : lines) width = std::max(width, Columns(name));
  std::string out;
  for (const auto& [name, value] : lines) {
    out += name + std::string(width - Columns(name) + 2, ' ') + Printable(value) + "\n";
  }
  return out;
}

}  // namespace ringfence::cli
