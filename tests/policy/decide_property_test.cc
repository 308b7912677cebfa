// Invariant 7 of the product, over random views: absence of data never promotes, and bad news never helps.
#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringfence/policy/decide.h"
#include "tests/policy/builders.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

constexpr absl::Time kNow = absl::FromUnixSeconds(1'721'361'600);

bool Promotes(const StageDecision& decision) {
  return decision.step == Step::kNextWave || decision.step == Step::kPassRing ||
         decision.step == Step::kFindVacant || decision.step == Step::kOpen;
}

// Consistent counts: who is confirmed was exposed, who was exposed by the wave was exposed by the stage.
StageView RandomView(std::mt19937_64& random) {
  StageView view;
  view.state = Chance(random, 0.9) ? StageState::kOpen : static_cast<StageState>(Pick(random, 1, 9));
  view.braked = Chance(random, 0.1);
  view.blind = Chance(random, 0.1);
  view.waves = static_cast<int>(Pick(random, 1, 4));
  view.wave = static_cast<int>(Pick(random, 0, view.waves - 1));
  view.members = Pick(random, 0, 60);
  view.cap = Pick(random, 0, view.members);
  view.exposed = Chance(random, 0.5) ? view.cap : Pick(random, 0, view.members);
  view.wave_exposed = Pick(random, 0, view.exposed);
  view.wave_confirmed = Pick(random, 0, view.wave_exposed);
  view.confirmed = view.wave_confirmed + Pick(random, 0, view.exposed - view.wave_exposed);
  view.overdue = Chance(random, 0.2) ? Pick(random, 1, 5) : 0;
  view.askers_left = Chance(random, 0.5) ? 0 : Pick(random, 0, 20);
  view.soak = absl::Minutes(Pick(random, 0, 60));
  view.soaked = absl::Minutes(Pick(random, 0, 90));
  view.m_r = Chance(random, 0.8) ? 1.0 : std::exponential_distribution<double>(0.3)(random);
  view.gate_tripped = Chance(random, 0.1);
  return view;
}

TEST(DecidePropertyTest, AWaveOrRingPassesOnlyOnProof) {
  std::mt19937_64 random(test::Seed(20240719));
  int passed = 0;
  for (int i = 0; i < 100'000; ++i) {
    const StageView view = RandomView(random);
    const StageDecision decision = Decide(view, kNow);
    ASSERT_FALSE(decision.rule.empty());
    ASSERT_FALSE(decision.why.empty());
    ASSERT_GT(decision.revisit_at, kNow);
    if (decision.step != Step::kNextWave && decision.step != Step::kPassRing) continue;
    ++passed;
    SCOPED_TRACE(absl::StrCat("view ", i, " ", decision.why));
    ASSERT_EQ(view.state, StageState::kOpen);
    ASSERT_GE(view.confirmed, 1);
    ASSERT_GE(view.soaked, view.soak);
    ASSERT_FALSE(view.braked);
    ASSERT_FALSE(view.blind);
    ASSERT_FALSE(view.gate_tripped);
    ASSERT_EQ(view.overdue, 0);
    ASSERT_LT(view.m_r, view.soaked >= kInconclusiveSoaks * view.soak ? 10.0 : 2.0);
    ASSERT_TRUE(view.wave_exposed == 0 || 2 * view.wave_confirmed >= view.wave_exposed);
    ASSERT_TRUE(view.wave_exposed > 0 || 2 * view.confirmed >= view.exposed);
    ASSERT_EQ(decision.step == Step::kPassRing, view.wave == view.waves - 1);
  }
  EXPECT_GT(passed, 1'000);
}

TEST(DecidePropertyTest, ARingIsVacantOnlyWhenNobodyCouldBeHarmedByIt) {
  std::mt19937_64 random(test::Seed(20240719) + 1);
  int vacant = 0;
  for (int i = 0; i < 100'000; ++i) {
    const StageView view = RandomView(random);
    if (Decide(view, kNow).step != Step::kFindVacant) continue;
    ++vacant;
    ASSERT_EQ(view.members, 0);
    ASSERT_TRUE(view.state == StageState::kWaiting || view.exposed == 0);
    ASSERT_FALSE(view.braked || view.blind || view.gate_tripped);
  }
  EXPECT_GT(vacant, 20);
}

// How each field that carries news can get worse. Members, cap and who was let in are facts of the wave, not
// news: more exposed hosts may rightly fill it.
const std::vector<std::pair<std::string, std::function<void(StageView&, std::mt19937_64&)>>> kWorse = {
    {"braked", [](StageView& v, std::mt19937_64&) { v.braked = true; }},
    {"blind", [](StageView& v, std::mt19937_64&) { v.blind = true; }},
    {"gate_tripped", [](StageView& v, std::mt19937_64&) { v.gate_tripped = true; }},
    {"overdue", [](StageView& v, std::mt19937_64& r) { v.overdue += Pick(r, 1, 5); }},
    {"askers_left", [](StageView& v, std::mt19937_64& r) { v.askers_left += Pick(r, 1, 20); }},
    {"soaked", [](StageView& v, std::mt19937_64& r) { v.soaked -= absl::Minutes(Pick(r, 1, 60)); }},
    {"soak", [](StageView& v, std::mt19937_64& r) { v.soak += absl::Minutes(Pick(r, 1, 60)); }},
    {"m_r", [](StageView& v, std::mt19937_64& r) { v.m_r += static_cast<double>(Pick(r, 1, 50)) / 10; }},
    {"confirmed",
     [](StageView& v, std::mt19937_64& r) { v.confirmed = Pick(r, v.wave_confirmed, v.confirmed); }},
    {"wave_confirmed",
     [](StageView& v, std::mt19937_64& r) {
       const int64_t lost = Pick(r, 0, v.wave_confirmed);  // hosts that were taken back
       v.wave_confirmed -= lost;
       v.confirmed -= lost;
     }},
};

TEST(DecidePropertyTest, WorseNewsNeverTurnsANoIntoAYes) {
  std::mt19937_64 random(test::Seed(20240719) + 2);
  for (int i = 0; i < 20'000; ++i) {
    const StageView view = RandomView(random);
    if (Promotes(Decide(view, kNow))) continue;
    for (const auto& [field, worsen] : kWorse) {
      StageView worse = view;
      worsen(worse, random);
      const StageDecision decision = Decide(worse, kNow);
      ASSERT_FALSE(Promotes(decision))
          << "view " << i << ": " << field << " got worse, and then: " << decision.why;
    }
  }
}

TEST(DecidePropertyTest, WorseNewsNeverTurnsAYesIntoALargerYes) {
  std::mt19937_64 random(test::Seed(20240719) + 3);
  for (int i = 0; i < 20'000; ++i) {
    const StageView view = RandomView(random);
    const Step step = Decide(view, kNow).step;
    for (const auto& [field, worsen] : kWorse) {
      StageView worse = view;
      worsen(worse, random);
      const Step after = Decide(worse, kNow).step;
      ASSERT_TRUE(after == step || after == Step::kNone) << "view " << i << ": " << field;
    }
  }
}

TEST(DecidePropertyTest, EqualViewsGiveEqualDecisions) {
  std::mt19937_64 random(test::Seed(20240719) + 4);
  for (int i = 0; i < 1'000; ++i) {
    const StageView view = RandomView(random);
    const StageDecision one = Decide(view, kNow);
    const StageDecision two = Decide(view, kNow);
    ASSERT_EQ(std::tie(one.step, one.rule, one.why, one.revisit_at),
              std::tie(two.step, two.rule, two.why, two.revisit_at));
  }
}

}  // namespace
}  // namespace ringfence::policy
