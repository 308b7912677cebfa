// The server's budgets and the benchmark's are one definition (policy/judge/standing.h): over random
// histories of leases, proofs, relapses and orders back both count the same U and H everywhere, and permit
// the same.
#include <random>

#include "gtest/gtest.h"
#include "ringfence/policy/judge/exposure_book.h"
#include "ringfence/policy/judge/stage_draw.h"
#include "server/app/release_state.h"
#include "tests/support/seed.h"

namespace ringfence::app {
namespace {

using policy::News;
using policy::Standing;

constexpr size_t kStages = 2;
constexpr CellId kCells = 4;

class BothBooks {
 public:
  BothBooks() : book_(4, {1, 4}) {
    release_.budget.b0 = 4;
    stages_[0].budget.b0 = 1;
    stages_[1].budget.b0 = 4;
  }

  // A host that the draw let in, where it may.
  void Expose(HostRef host, size_t stage, const CellList& cells) {
    Exposure& exposure = release_.exposures.emplace_back();
    exposure.host = host;
    exposure.stage = &stages_[stage];
    exposure.cells = cells;
    exposure.place = places_.Intern(0, 0, cells);
    release_.by_host[host] = &exposure;
    release_.Count(exposure);
    EXPECT_TRUE(book_.Hear(News::kExposed, host, stage, CellsOf(cells)));
  }
  void Hear(News news, HostRef host) {
    Exposure& exposure = *release_.Find(host);
    const auto stage = static_cast<size_t>(exposure.stage - stages_);
    release_.Hear(exposure, news);
    book_.Hear(news, host, stage, CellsOf(exposure.cells));
    EXPECT_EQ(exposure.standing, book_.Of(host));
  }
  bool MayExpose(size_t stage, const CellList& cells, double m_r) {
    const int64_t tokens =
        policy::Tokens(release_.budget, stages_[stage].budget, m_r, std::nullopt, std::nullopt);
    EXPECT_EQ(tokens, policy::TokensFor(book_, stage, m_r, std::nullopt, std::nullopt, false));
    bool open = true;
    for (const CellId cell : cells) {
      const policy::Budget& budget = release_.Cell(cell).budget;
      open = open && policy::CellIsOpen(budget.unproven, stages_[stage].budget.b0, budget.healthy);
    }
    EXPECT_EQ(open, book_.CellsOpen(stage, CellsOf(cells)));
    return open && tokens > 0;
  }
  void ExpectSame() {
    const auto same = [](const policy::Budget& a, const policy::Budget& b) {
      EXPECT_EQ(a.unproven, b.unproven);
      EXPECT_EQ(a.healthy, b.healthy);
      EXPECT_EQ(a.failed, b.failed);
      EXPECT_GE(a.unproven, 0);
    };
    same(release_.budget, book_.release());
    for (size_t i = 0; i < kStages; ++i) same(stages_[i].budget, book_.stage(i));
    for (CellId cell = 0; cell < kCells; ++cell)
      same(release_.Cell(cell).budget, book_.Cell(static_cast<policy::CellIndex>(cell)));
    EXPECT_EQ(release_.exposed, book_.exposed());
  }
  const policy::Budget& release() const { return release_.budget; }

 private:
  policy::CellSpan CellsOf(const CellList& cells) {
    indices_.assign(cells.begin(), cells.end());
    return indices_;
  }

  ReleaseState release_{storage::ReleaseRow(), 75'000'000'000, 225'000'000'000};
  Stage stages_[kStages];
  PlaceTable places_;
  policy::ExposureBook book_;
  std::vector<policy::CellIndex> indices_;
};

TEST(StandingTest, TheServerAndTheBenchmarkCountAlikeAndPermitAlike) {
  std::mt19937_64 random(test::Seed(411));
  for (int round = 0; round < 20; ++round) {
    BothBooks both;
    HostRef hosts = 0;
    int64_t permitted = 0;
    for (int step = 0; step < 400; ++step) {
      const size_t stage = random() % kStages;
      const CellList cells = {static_cast<CellId>(random() % 2), static_cast<CellId>(2 + random() % 2)};
      const double m_r = random() % 4 == 0 ? 40.0 : 1.0;
      if (random() % 2 == 0) {
        if (!both.MayExpose(stage, cells, m_r)) continue;
        ++permitted;
        both.Expose(hosts++, stage, cells);
        // Invariant 6, at each exposure.
        ASSERT_LE(both.release().unproven, 4 + both.release().healthy);
      } else if (hosts > 0) {
        const News news[] = {News::kProved, News::kProved, News::kMatured, News::kWentBad, News::kReleased};
        both.Hear(news[random() % 5], static_cast<HostRef>(random() % hosts));
      }
      both.ExpectSame();
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_GT(permitted, 10);
  }
}

// The table, word for word: docs/health-analysis.md, section 9.
TEST(StandingTest, EachPieceOfNewsMovesAHostOnce) {
  using enum Standing;
  const Standing all[] = {kNone, kUnproven, kProven, kFailed, kTakenBack, kFree};
  const auto row = [&](News news, std::vector<Standing> wanted) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(policy::After(all[i], news), wanted[i]) << static_cast<int>(news) << " of " << i;
      EXPECT_EQ(policy::After(wanted[i], news), wanted[i]) << "a second time";
    }
  };
  row(News::kExposed, {kUnproven, kUnproven, kProven, kFailed, kTakenBack, kUnproven});
  row(News::kProved, {kNone, kProven, kProven, kProven, kProven, kFree});
  row(News::kMatured, {kNone, kFailed, kProven, kFailed, kTakenBack, kFree});
  row(News::kWentBad, {kNone, kUnproven, kTakenBack, kFailed, kTakenBack, kFree});
  row(News::kReleased, {kNone, kFree, kFree, kFree, kFree, kFree});
}

}  // namespace
}  // namespace ringfence::app
