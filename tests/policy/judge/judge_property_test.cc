// Over random histories: replay, replicas, duplicates, order, arms, blocks.
#include <algorithm>
#include <set>

#include "ringfence/policy/judge/release_judge.h"
#include "tests/policy/judge/history.h"
#include "tests/support/seed.h"

namespace ringfence::policy {
namespace {

using test::Draw;
using test::ExpectSame;
using test::History;
using test::HistoryBucket;
using test::HistorySpell;
using test::RandomHistory;
using test::Tell;
using test::UsualSetup;

TEST(JudgePropertyTest, ReplayingTheRecordsGivesTheSameVectors) {
  std::mt19937_64 random(ringfence::test::Seed(201));
  for (int round = 0; round < 30; ++round) {
    ReleaseJudge judge(UsualSetup());
    RecordLog log;
    for (const HistoryBucket& bucket : RandomHistory(random, 12, 60)) {
      Tell(judge, bucket);
      log.Append(judge.TakeRecords());
    }
    ExpectSame(judge.evidence(), Replay(log, judge.setup().k_max, judge.setup().rho0, Lateness::kAll));
    ExpectSame(judge.in_order(),
               Replay(log, judge.setup().k_max, judge.setup().rho0, Lateness::kInOrderOnly));
  }
}

// Vectors add, and exp and mean come after: it does not matter who kept which part.
TEST(JudgePropertyTest, SeveralPartsOfAHistoryGiveTogetherWhatOneJudgeGives) {
  std::mt19937_64 random(ringfence::test::Seed(202));
  for (int round = 0; round < 20; ++round) {
    ReleaseJudge whole(UsualSetup());
    std::vector<std::unique_ptr<ReleaseJudge>> parts;
    for (int i = 0; i < 3; ++i) parts.push_back(std::make_unique<ReleaseJudge>(UsualSetup()));
    for (const HistoryBucket& bucket : RandomHistory(random, 12, 60)) {
      Tell(whole, bucket);
      std::vector<HistoryBucket> shares(parts.size(), HistoryBucket{bucket.bucket, {}});
      for (const HistorySpell& spell : bucket.spells) shares[random() % parts.size()].spells.push_back(spell);
      for (size_t i = 0; i < parts.size(); ++i) Tell(*parts[i], shares[i]);
    }
    EvidenceTable sum(UsualSetup().k_max, UsualSetup().rho0);
    for (const auto& part : parts) sum.Merge(part->in_order());
    ExpectSame(sum, whole.in_order());
    EXPECT_NEAR(sum.M() / whole.Read().m_r_in_order, 1.0, 1e-9);
  }
}

// One replica draws at a time; what it recorded is where the next goes on. The strata that were open when it
// died are void, as if those hosts had never been drawn.
TEST(JudgePropertyTest, SeveralLivesThatFollowEachOtherGiveWhatOneGives) {
  std::mt19937_64 random(ringfence::test::Seed(206));
  for (int round = 0; round < 20; ++round) {
    ReleaseJudge whole(UsualSetup());
    auto life = std::make_unique<ReleaseJudge>(UsualSetup());
    RecordLog log;
    for (const HistoryBucket& bucket : RandomHistory(random, 12, 60)) {
      if (random() % 3 == 0) {
        HistoryBucket lost{bucket.bucket, {}};
        for (HistorySpell spell : bucket.spells) {
          spell.host += 100'000;
          lost.spells.push_back(spell);
        }
        const std::vector<SpellId> ids = Draw(*life, lost);
        for (size_t i = 0; 2 * i < ids.size(); ++i) EXPECT_TRUE(life->Mature(ids[i], {.silent = true}).ok());
        life->Read();
        log.Append(life->TakeRecords());
        life = std::make_unique<ReleaseJudge>(UsualSetup());
        life->Restore(log, {});
      }
      Tell(whole, bucket);
      Tell(*life, bucket);
    }
    ExpectSame(life->in_order(), whole.in_order());
    EXPECT_NEAR(life->Read().m_r_in_order / whole.Read().m_r_in_order, 1.0, 1e-9);
  }
}

TEST(JudgePropertyTest, EachSpellMaturesExactlyOnce) {
  std::mt19937_64 random(ringfence::test::Seed(203));
  const History history = RandomHistory(random, 6, 40);
  ReleaseJudge once(UsualSetup()), often(UsualSetup());
  for (const HistoryBucket& bucket : history) {
    Tell(once, bucket);
    const std::vector<SpellId> ids = Draw(often, bucket);
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_TRUE(often.HasOpenSpell(bucket.spells[i].host));
      EXPECT_TRUE(often.Mature(ids[i], bucket.spells[i].outcome).ok());
      EXPECT_FALSE(often.HasOpenSpell(bucket.spells[i].host));
      for (int again = 0; again < 3; ++again) {
        EXPECT_EQ(often.Mature(ids[i], {.silent = true, .crashed = true}).code(),
                  absl::StatusCode::kFailedPrecondition);
      }
      // Soak events count once per channel, and not at all after the soak.
      for (int again = 0; again < 3; ++again) {
        if (bucket.spells[i].soak_silent) often.SoakBad(bucket.spells[i].host, HealthChannel::kSilenceSoak);
        if (bucket.spells[i].soak_crashed) often.SoakBad(bucket.spells[i].host, HealthChannel::kCrashSoak);
      }
      often.EndSoak(bucket.spells[i].host);
      EXPECT_FALSE(often.SoakBad(bucket.spells[i].host, HealthChannel::kCrashSoak));
    }
    often.Read();
    // A stratum that is gone takes nothing either.
    for (const SpellId& id : ids) {
      EXPECT_EQ(often.Mature(id, {.silent = true}).code(), absl::StatusCode::kFailedPrecondition);
    }
  }
  ExpectSame(once.evidence(), often.evidence(), 0.0);
}

TEST(JudgePropertyTest, TheOrderInsideABucketDoesNotMatter) {
  std::mt19937_64 random(ringfence::test::Seed(204));
  for (int round = 0; round < 20; ++round) {
    History history = RandomHistory(random, 8, 50);
    ReleaseJudge drawn(UsualSetup()), shuffled(UsualSetup());
    for (HistoryBucket& bucket : history) {
      Tell(drawn, bucket);
      const std::vector<SpellId> ids = Draw(shuffled, bucket);
      std::vector<size_t> order(ids.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::shuffle(order.begin(), order.end(), random);
      for (const size_t i : order) ASSERT_TRUE(shuffled.Mature(ids[i], bucket.spells[i].outcome).ok());
      for (const size_t i : order) test::Soak(shuffled, bucket.spells[i]);
      shuffled.Read();
    }
    ExpectSame(drawn.evidence(), shuffled.evidence());
    EXPECT_NEAR(drawn.Read().m_a / shuffled.Read().m_a, 1.0, 1e-9);
  }
}

TEST(JudgePropertyTest, BlockingACellIsTheReleaseThatNeverDrewItsHosts) {
  std::mt19937_64 random(ringfence::test::Seed(205));
  for (int round = 0; round < 20; ++round) {
    const History history = RandomHistory(random, 12, 60);
    constexpr CellIndex kBlocked = 2;
    ReleaseJudge judge(UsualSetup()), without(UsualSetup());
    RecordLog log;
    for (size_t b = 0; b < history.size(); ++b) {
      HistoryBucket others{history[b].bucket, {}};
      for (const HistorySpell& spell : history[b].spells) {
        if (!HasAnyOf(spell.cells, {&kBlocked, 1})) others.spells.push_back(spell);
      }
      Tell(without, others);
      if (b == 6) {
        // In the middle of a bucket: what is open and what comes later is left out as well.
        const std::vector<SpellId> ids = Draw(judge, history[b]);
        for (size_t i = 0; i < ids.size() / 2; ++i) {
          ASSERT_TRUE(judge.Mature(ids[i], history[b].spells[i].outcome).ok());
          test::Soak(judge, history[b].spells[i]);
        }
        log.Append(judge.TakeRecords());
        judge.Block(kBlocked, log);
        for (size_t i = ids.size() / 2; i < ids.size(); ++i) {
          ASSERT_TRUE(judge.Mature(ids[i], history[b].spells[i].outcome).ok());
          test::Soak(judge, history[b].spells[i]);
        }
        judge.Read();
      } else {
        Tell(judge, history[b]);
        log.Append(judge.TakeRecords());
      }
    }
    ExpectSame(judge.evidence(), without.evidence());
    ExpectSame(judge.in_order(), without.in_order());
  }
}

TEST(JudgePropertyTest, SwappingTheArmsChangesNoOutcome) {
  std::mt19937_64 random(ringfence::test::Seed(206));
  History history = RandomHistory(random, 8, 50);
  const auto bad_of = [](ReleaseJudge& judge) {
    std::multiset<std::pair<HostIndex, int>> bad;
    for (const StratumRecord& record : judge.TakeRecords().strata) {
      for (const BadEvent& event : record.bad) bad.emplace(event.host, static_cast<int>(event.channel));
    }
    return bad;
  };
  ReleaseJudge as_drawn(UsualSetup()), swapped(UsualSetup());
  for (HistoryBucket& bucket : history) {
    Tell(as_drawn, bucket);
    for (HistorySpell& spell : bucket.spells) {
      spell.drawn.arm = spell.drawn.arm == Arm::kTreatment ? Arm::kControl : Arm::kTreatment;
    }
    Tell(swapped, bucket);
  }
  EXPECT_EQ(bad_of(as_drawn), bad_of(swapped));
}

TEST(JudgePropertyTest, MoreBadTreatedHostsNeverLowerTheEvidence) {
  std::mt19937_64 random(ringfence::test::Seed(207));
  for (int round = 0; round < 20; ++round) {
    History history = RandomHistory(random, 8, 50);
    ReleaseJudge before(UsualSetup()), after(UsualSetup());
    for (HistoryBucket& bucket : history) {
      Tell(before, bucket);
      for (HistorySpell& spell : bucket.spells) {
        if (spell.drawn.arm == Arm::kTreatment && random() % 2 == 0) spell.outcome.silent = true;
      }
      Tell(after, bucket);
    }
    EXPECT_GE(after.Read().m_r, before.Read().m_r * (1 - 1e-12));
    EXPECT_GE(after.Read().m_r_in_order, before.Read().m_r_in_order * (1 - 1e-12));
  }
}

TEST(JudgePropertyTest, TheKeptMeanIsTheOneOfTheFormula) {
  std::mt19937_64 random(ringfence::test::Seed(208));
  ReleaseJudge judge(UsualSetup());
  for (const HistoryBucket& bucket : RandomHistory(random, 12, 80)) {
    Tell(judge, bucket);
    std::vector<ChannelEvidence> channels;
    const auto add = [&](HealthChannel channel, const auto& table) {
      ChannelEvidence evidence{.channel = channel, .log_e_release = table.release().LogE()};
      for (const auto& cell : table.cells()) evidence.log_e_cells.push_back(cell.LogE());
      channels.push_back(std::move(evidence));
    };
    for (int i = 0; i < kHealthChannels - 1; ++i) {
      add(static_cast<HealthChannel>(i), judge.evidence().r(static_cast<HealthChannel>(i)));
    }
    add(HealthChannel::kGauge, judge.evidence().gauge());
    EXPECT_NEAR(judge.Read().m_r / Combine(channels, judge.setup().k_max), 1.0, 1e-12);
  }
}

TEST(JudgePropertyTest, AnUnharmedReleaseSeldomReachesAnyLevel) {
  // Outcomes that do not depend on the arm, a coin that reacts to the evidence so far: P(sup M >= x) <= 1/x.
  std::mt19937_64 random(ringfence::test::Seed(209));
  constexpr int kRuns = 2000;
  int above_10 = 0;
  for (int run = 0; run < kRuns; ++run) {
    JudgeSetup setup = UsualSetup();
    setup.rho0 = 1.0;
    setup.keep_records = false;
    ReleaseJudge judge(setup);
    double highest = 1.0;
    for (HistoryBucket& bucket : RandomHistory(random, 8, 20)) {
      const double pi = highest > 3 ? 0.05 : 0.2;
      for (HistorySpell& spell : bucket.spells) {
        spell.drawn = {test::Uniform(random) < pi ? Arm::kTreatment : Arm::kControl, pi, 0.0};
        // A night: whole buckets in which half are silent.
        spell.outcome.silent = test::Uniform(random) < (bucket.bucket % 4 == 3 ? 0.5 : 0.1);
      }
      Tell(judge, bucket);
      highest = std::max(highest, judge.Read().m_r_in_order);
    }
    above_10 += highest >= 10 ? 1 : 0;
  }
  EXPECT_LE(above_10, kRuns / 10);
}

}  // namespace
}  // namespace ringfence::policy
