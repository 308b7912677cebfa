// What a selector says about the sensor of a host.
#pragma once

#include <algorithm>
#include <string>

#include "ringfence/policy/selector.h"

namespace ringfence::gate {

inline constexpr char kSensorLabel[] = "sensor";

inline const policy::Requirement* FindSensor(const policy::Selector& selector) {
  const auto found = std::find_if(selector.all_of.begin(), selector.all_of.end(),
                                  [](const policy::Requirement& one) { return one.key == kSensorLabel; });
  return found == selector.all_of.end() ? nullptr : &*found;
}

// May a host with this sensor match?
inline bool LetsIn(const policy::Selector& selector, const std::string& sensor) {
  const policy::Requirement* wanted = FindSensor(selector);
  return wanted == nullptr ||
         std::find(wanted->any_of.begin(), wanted->any_of.end(), sensor) != wanted->any_of.end();
}

}  // namespace ringfence::gate
