// A small tree between protobuf and text, so that every command speaks JSON and YAML alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ringfence::cli {

struct Value;
using List = std::vector<Value>;
using Map = std::vector<std::pair<std::string, Value>>;  // keeps the order of insertion

struct Value {
  Value() = default;
  Value(bool v) : data(v) {}                      // NOLINT: a value is made from what it holds
  Value(int64_t v) : data(v) {}                   // NOLINT
  Value(int v) : data(int64_t{v}) {}              // NOLINT
  Value(uint64_t v) : data(v) {}                  // NOLINT
  Value(double v) : data(v) {}                    // NOLINT
  Value(std::string v) : data(std::move(v)) {}    // NOLINT
  Value(const char* v) : data(std::string(v)) {}  // NOLINT
  Value(List v) : data(std::move(v)) {}           // NOLINT
  Value(Map v) : data(std::move(v)) {}            // NOLINT

  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, List, Map> data;
};

// Two spaces of indentation, a newline at the end. Text that is not UTF-8 keeps its valid part; the rest
// becomes U+FFFD.
std::string ToJson(const Value& value);
// On one line, without the newline.
std::string ToJsonLine(const Value& value);
// Block style; texts are quoted whenever YAML could take them for anything else.
std::string ToYaml(const Value& value);

}  // namespace ringfence::cli
