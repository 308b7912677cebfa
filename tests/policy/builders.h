// Legal values to start from.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ringfence/policy/choice.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/release.h"

namespace ringfence::policy {

// A uniform integer, both ends included.
inline int64_t Pick(std::mt19937_64& random, int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random);
}
inline bool Chance(std::mt19937_64& random, double p) {
  return std::bernoulli_distribution(p)(random);
}

inline Selector Having(std::string key, std::vector<std::string> any_of) {
  return Selector{{{std::move(key), std::move(any_of)}}};
}

inline Labels MakeLabels(std::vector<Labels::Pair> pairs) {
  return Labels::Make(std::move(pairs)).value();
}

inline ChannelRule MakeRule(std::string channel, int lag = 0) {
  ChannelRule rule;
  rule.channel = std::move(channel);
  rule.lag = lag;
  return rule;
}
inline ChannelRule PinTo(std::string channel, std::string version) {
  return {std::move(channel), ChannelMode::kPinned, 0, std::move(version)};
}

// Takes the hosts labelled ring=<name>, in waves of 10 %, 50 % and all.
inline Ring MakeRing(const std::string& name, int lag = 0) {
  Ring ring;
  ring.name = name;
  ring.selector = Having("ring", {name});
  ring.lag = lag;
  ring.waves = {{Ppm(100'000), {}}, {Ppm(500'000), {}}, {Ppm(1'000'000), {}}};
  ring.soak = absl::Hours(1);
  return ring;
}

// A legal plan for channel "content" without SLO gates.
inline Plan MakePlan(std::vector<Ring> rings) {
  Plan plan;
  plan.tenant = "acme";
  plan.channels = {MakeRule("content")};
  plan.rings = std::move(rings);
  return plan;
}

inline SloGates AllGates() {
  SloGates gates;
  gates.crash = RateGate{Ppm(10'000), 3, absl::Hours(6)};
  gates.silence = SilenceGate{3, Ppm(50'000), 5, absl::Hours(1)};
  gates.degraded = RateGate{Ppm(20'000), 5, absl::Hours(6)};
  gates.cohort_keys = {"os", "kernel"};
  return gates;
}

inline Release MakeRelease(uint64_t serial = 7) {
  Release release;
  release.channel = "content";
  release.serial = serial;
  release.version = "7." + std::to_string(serial);
  release.digest.bytes.fill(static_cast<uint8_t>(serial));
  release.size_bytes = 1000;
  release.targets = Having("platform", {"windows"});
  release.matrix = {Having("os", {"win10"}), Having("os", {"win11"})};
  return release;
}

// A healthy old release that passed the internal tenant and the first `rings_passed` rings.
inline ReleaseProgress Travelled(uint64_t serial, int rings_passed) {
  ReleaseProgress progress;
  progress.serial = serial;
  progress.version = "v" + std::to_string(serial);
  progress.internal_passed = true;
  progress.healthy_age = absl::Hours(24 * 30);
  progress.age = absl::Hours(24 * 30);
  progress.ring_passed.assign(static_cast<size_t>(rings_passed), true);
  return progress;
}

}  // namespace ringfence::policy
