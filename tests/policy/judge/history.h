// Random histories of a release: who was drawn with which coin, and what became of each. Made once, then told
// to one judge or to several.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "ringfence/policy/judge/release_judge.h"

namespace ringfence::policy::test {

inline double Uniform(std::mt19937_64& random) {
  return std::uniform_real_distribution<double>(0, 1)(random);
}

struct HistorySpell {
  HostIndex host = 0;
  std::vector<CellIndex> cells;
  Bucket::Answer drawn;
  SpellOutcome outcome;
  bool soak_silent = false, soak_crashed = false;
};

struct HistoryBucket {
  uint64_t bucket = 0;
  std::vector<HistorySpell> spells;
};

using History = std::vector<HistoryBucket>;

// Hosts of two dimensions of five values, with a coin per bucket, some buckets with phantoms, some without
// tokens.
inline History RandomHistory(std::mt19937_64& random, int buckets, int hosts_per_bucket) {
  History history;
  HostIndex host = 0;
  for (int b = 0; b < buckets; ++b) {
    HistoryBucket bucket{static_cast<uint64_t>(b), {}};
    const double pi = random() % 8 == 0 ? 0.0 : 0.2 * std::pow(10.0, -2 * Uniform(random));
    const double phi = pi > 0 && random() % 2 == 0 ? pi * 3 : 0.0;
    for (int i = 0; i < hosts_per_bucket; ++i) {
      const double u = Uniform(random);
      HistorySpell spell;
      spell.host = host++;
      spell.cells = {static_cast<CellIndex>(random() % 5), static_cast<CellIndex>(5 + random() % 5)};
      spell.drawn = {u < pi ? Arm::kTreatment : u < pi + phi ? Arm::kPhantom : Arm::kControl, pi, phi};
      spell.outcome = {.silent = Uniform(random) < 0.1, .crashed = Uniform(random) < 0.05};
      if (random() % 3 == 0) spell.outcome.gauge = Uniform(random);
      spell.soak_silent = random() % 10 == 0;
      spell.soak_crashed = random() % 10 == 0;
      bucket.spells.push_back(std::move(spell));
    }
    history.push_back(std::move(bucket));
  }
  return history;
}

inline JudgeSetup UsualSetup() {
  JudgeSetup setup;
  setup.k_max = KMax(10);
  setup.rho0 = 1.25;
  setup.p_hist = {{0.02, 0.01}};
  return setup;
}

// Draws one bucket's spells; answers where they are.
inline std::vector<SpellId> Draw(ReleaseJudge& judge, const HistoryBucket& bucket) {
  std::vector<SpellId> ids;
  const StratumNumber stratum = judge.OpenStratum(bucket.bucket, 1.0);
  for (const HistorySpell& spell : bucket.spells) {
    const auto id = judge.Open(stratum, spell.host, 0, spell.cells, spell.drawn);
    EXPECT_TRUE(id.ok()) << id.status();
    ids.push_back(*id);
  }
  judge.CloseStratum(stratum);
  return ids;
}

inline void Soak(ReleaseJudge& judge, const HistorySpell& spell) {
  if (spell.soak_silent) judge.SoakBad(spell.host, HealthChannel::kSilenceSoak);
  if (spell.soak_crashed) judge.SoakBad(spell.host, HealthChannel::kCrashSoak);
  judge.EndSoak(spell.host);
}

inline void Tell(ReleaseJudge& judge, const HistoryBucket& bucket) {
  const std::vector<SpellId> ids = Draw(judge, bucket);
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_TRUE(judge.Mature(ids[i], bucket.spells[i].outcome).ok());
    Soak(judge, bucket.spells[i]);
  }
  judge.Read();
}

inline void ExpectSame(const EvidenceTable& a, const EvidenceTable& b, double tolerance = 1e-9) {
  const auto same = [&](const auto& x, const auto& y) {
    for (size_t i = 0; i < x.l.size(); ++i) ASSERT_NEAR(x.l[i], y.l[i], tolerance);
  };
  const auto same_table = [&](const auto& x, const auto& y) {
    same(x.release(), y.release());
    for (size_t c = 0; c < std::max(x.cells().size(), y.cells().size()); ++c) {
      using Vector = std::decay_t<decltype(x.release())>;
      same(c < x.cells().size() ? x.cells()[c] : Vector{}, c < y.cells().size() ? y.cells()[c] : Vector{});
    }
  };
  for (int channel = 0; channel < kHealthChannels - 1; ++channel) {
    same_table(a.r(static_cast<HealthChannel>(channel)), b.r(static_cast<HealthChannel>(channel)));
  }
  same_table(a.gauge(), b.gauge());
}

}  // namespace ringfence::policy::test
