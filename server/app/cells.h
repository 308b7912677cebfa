// Label values that are judged on their own, as small numbers.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/policy/labels.h"

namespace ringfence::app {

using CellId = uint32_t;
using CellList = absl::InlinedVector<CellId, 4>;

// Interns "key=value" of the plans' cohort keys. Cells are never removed. Not thread-safe.
class CellTable {
 public:
  CellId Intern(const std::string& name) {
    const auto [it, added] = ids_.try_emplace(name, static_cast<CellId>(names_.size()));
    if (added) names_.push_back(name);
    return it->second;
  }
  const std::string& NameOf(CellId cell) const { return names_[cell]; }
  // "os" of "os=win10".
  absl::string_view KeyOf(CellId cell) const {
    const absl::string_view name = names_[cell];
    return name.substr(0, name.find('='));
  }
  size_t size() const { return names_.size(); }

  // The cells of a host: every value of each key; a `pending.<key>` counts as a value of that key.
  CellList CellsOf(const policy::Labels& labels, const std::vector<std::string>& keys) {
    CellList cells;
    const auto add = [&](absl::string_view key, absl::string_view value) {
      const CellId cell = Intern(absl::StrCat(key, "=", value));
      for (const CellId have : cells) {
        if (have == cell) return;
      }
      if (cells.size() < kMaxPerHost) cells.push_back(cell);
    };
    for (const std::string& key : keys) {
      for (const auto& pair : labels.WithKey(key)) add(key, pair.second);
      for (const auto& pair : labels.WithKey(absl::StrCat("pending.", key))) add(key, pair.second);
    }
    return cells;
  }

  static constexpr size_t kMaxPerHost = 16;

 private:
  absl::flat_hash_map<std::string, CellId> ids_;
  std::vector<std::string> names_;
};

// Where a host stands among others that may share its fate: tenant, ring and cells. Ids are dense.
struct Place {
  uint32_t id = 0;
  uint32_t tenant = 0;
  int ring = -1;
  CellList cells;
};

// Interns places; they stay where they are for the life of the table. Not thread-safe.
class PlaceTable {
 public:
  const Place* Intern(uint32_t tenant, int ring, const CellList& cells) {
    const auto [it, added] = ids_.try_emplace({tenant, ring, cells}, static_cast<uint32_t>(places_.size()));
    if (added) places_.push_back({it->second, tenant, ring, cells});
    return &places_[it->second];
  }
  const Place& operator[](size_t id) const { return places_[id]; }
  size_t size() const { return places_.size(); }

 private:
  std::map<std::tuple<uint32_t, int, CellList>, uint32_t> ids_;
  std::deque<Place> places_;
};

}  // namespace ringfence::app
