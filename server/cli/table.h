// Aligned columns for people. Numbers to the right, text to the left, two spaces between, no trailing blanks.
#pragma once

#include <string>
#include <vector>

namespace ringfence::cli {

class Table {
 public:
  // A name that starts with '>' is a column of numbers. An empty table prints `empty` instead of its header.
  Table(std::vector<std::string> columns, std::string empty);
  void Row(std::vector<std::string> cells);
  std::string ToString() const;

 private:
  std::vector<std::string> columns_;
  std::vector<bool> right_;
  std::string empty_;
  std::vector<std::vector<std::string>> rows_;
};

// "name   value" lines, aligned.
std::string KeyValues(const std::vector<std::pair<std::string, std::string>>& lines);

}  // namespace ringfence::cli
