// Whatever the power, the disk and the content do, the host starts with something, and with the right thing.
#include "ringfence/loader/slots.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/loader/demo_sensor.h"
#include "tests/gate/throwaway.h"
#include "tests/loader/faulty_disk.h"

namespace ringfence::loader {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::string ContentFile(uint64_t serial, size_t drop_fields = 0) {
  content::Content content;
  content.channel = "ipc";
  content.version = absl::StrCat("v", serial);
  content.serial = serial;
  content.schema_id = DemoSchema().schema_id;
  content.sensor_min = content.sensor_max = DemoSchema().sensor;
  content.fields = DemoSchema().fields;
  content.fields.resize(content.fields.size() - drop_fields);
  content.rules = {{"rule", content::Action::kLog, {{0, content::Op::kPresent, "", 0}}}};
  const trust::SigningKey key = gate::ThrowawayKey("build");
  return *content::Build(content, &key, std::nullopt);
}

class SlotsTest : public testing::Test {
 protected:
  Slots Open() { return Slots(&disk, {"d", DemoSchema(), {{gate::ThrowawayKey("build").public_key()}}}); }

  static absl::Status Deploy(Slots* slots, const std::string& bytes) {
    ASSIGN_OR_RETURN(const Digest digest, slots->Stage(bytes));
    RETURN_IF_ERROR(slots->Flip(digest));
    if (slots->NextStart().digest != digest) return absl::AbortedError("something else was started");
    return slots->MarkHealthy();
  }
  // A host that runs `old_file`, proven.
  void RunOld() {
    Slots slots = Open();
    ASSERT_TRUE(Deploy(&slots, old_file).ok());
    disk.Restore({});
  }

  FaultyDisk disk;
  const std::string old_file = ContentFile(1), new_file = ContentFile(2);
  const Digest old_digest = Sha256(old_file), new_digest = Sha256(new_file);
};

TEST_F(SlotsTest, AFreshHostStartsWithItsBuiltInContent) {
  const Start start = Open().NextStart();
  EXPECT_EQ(start.slot, Slot::kBuiltIn);
  EXPECT_EQ(start.bytes, BuiltInContent(DemoSchema()));
  EXPECT_TRUE(start.notes.empty());
}

TEST_F(SlotsTest, WhatIsFlippedIsStartedAndCountedUntilItHasProvenItself) {
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(old_file)).ok());
  EXPECT_EQ(slots.NextStart().digest, old_digest);
  EXPECT_EQ(Open().record().starts, 1);
  EXPECT_FALSE(Open().record().healthy);
  ASSERT_TRUE(slots.MarkHealthy().ok());
  EXPECT_EQ(Open().record().starts, 0);
  EXPECT_TRUE(Open().record().healthy);
}

TEST_F(SlotsTest, TheCountIsOnTheDiskBeforeTheContentIsOpened) {
  RunOld();
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(new_file)).ok());
  disk.Remove("d/slot.b");  // opening fails: by then the start has been counted, and the way back written
  disk.Restore({.names_kept = true});
  const int before = disk.steps();
  EXPECT_EQ(slots.NextStart().digest, old_digest);
  EXPECT_EQ(disk.steps() - before, 3 * 4);  // count, way back, count: each write, sync, rename, sync
}

TEST_F(SlotsTest, ThreeStartsWithoutProofGoBackAndQuarantine) {
  RunOld();
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(new_file)).ok());
  for (int i = 0; i < kMaxStarts; ++i) EXPECT_EQ(Open().NextStart().digest, new_digest) << i;
  const Start back = Open().NextStart();
  EXPECT_EQ(back.digest, old_digest);
  EXPECT_THAT(back.notes, Contains(HasSubstr("never proved itself: quarantined")));
  Slots after = Open();
  EXPECT_TRUE(after.record().IsQuarantined(new_digest));
  ASSERT_TRUE(after.MarkHealthy().ok());
  EXPECT_EQ(after.Stage(new_file).status().code(), absl::StatusCode::kFailedPrecondition);
  // The last good one fails as well: the built-in is what is left.
  for (int i = 0; i < kMaxStarts; ++i) EXPECT_EQ(Open().NextStart().digest, old_digest);
  EXPECT_EQ(Open().NextStart().slot, Slot::kBuiltIn);
}

// The agent flips while the loader's sensor runs.
TEST_F(SlotsTest, TwoProcessesSeeEachOthersRecords) {
  RunOld();
  const auto open_shared = [&] {
    return Slots(&disk, {"d", DemoSchema(), {{gate::ThrowawayKey("build").public_key()}}, /*shared=*/true});
  };
  Slots loader = open_shared(), agent = open_shared();
  const Start old_start = loader.NextStart();
  EXPECT_FALSE(loader.IsSuperseded(old_start));
  ASSERT_TRUE(agent.Flip(*agent.Stage(new_file)).ok());
  EXPECT_TRUE(loader.IsSuperseded(old_start));
  ASSERT_TRUE(loader.MarkHealthy(old_start.digest).ok());
  EXPECT_FALSE(open_shared().record().healthy) << "what was flipped to has proven nothing";

  ASSERT_TRUE(agent.Withdraw(new_digest).ok());
  EXPECT_FALSE(loader.IsSuperseded(old_start));
  EXPECT_EQ(open_shared().record().DigestOf(open_shared().record().active), old_digest);
  EXPECT_TRUE(open_shared().record().healthy);

  ASSERT_TRUE(agent.Flip(new_digest).ok());
  const Start new_start = loader.NextStart();
  EXPECT_EQ(new_start.digest, new_digest);
  EXPECT_FALSE(loader.IsSuperseded(new_start));
  EXPECT_TRUE(absl::IsFailedPrecondition(agent.Withdraw(new_digest))) << "it was begun";
}

TEST_F(SlotsTest, OrderlyEndsAreNoFailures) {
  RunOld();
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(new_file)).ok());
  for (int i = 0; i < 10; ++i) {
    Slots again = Open();
    EXPECT_EQ(again.NextStart().digest, new_digest);
    ASSERT_TRUE(again.MarkOrderlyEnd().ok());
  }
}

TEST_F(SlotsTest, TheOtherSlotIsNotTouchedBeforeWhatRunsHasProvenItself) {
  RunOld();
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(new_file)).ok());
  slots.NextStart();
  EXPECT_EQ(slots.Stage(ContentFile(3)).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(slots.Flip(old_digest).ok());  // an order to go back needs no proof
  EXPECT_EQ(slots.NextStart().digest, old_digest);
}

TEST_F(SlotsTest, WhatTheValidatorRefusesIsNeitherStagedNorStarted) {
  RunOld();
  Slots slots = Open();
  EXPECT_THAT(std::string(slots.Stage(ContentFile(2, 1)).status().message()), HasSubstr("SCHEMA_MISMATCH"));
  EXPECT_THAT(std::string(slots.Stage(std::string(4000, '\0')).status().message()), HasSubstr("BAD_MAGIC"));
  EXPECT_THAT(std::string(slots.Stage(BuiltInContent(DemoSchema())).status().message()),
              HasSubstr("SIGNATURE"));
  EXPECT_FALSE(slots.Flip(new_digest).ok());
  EXPECT_EQ(Open().NextStart().digest, old_digest);
}

// The sensor was replaced and supplies other inputs: at load the content is held against what is there now.
TEST_F(SlotsTest, ContentIsHeldAgainstTheSensorAtEveryStart) {
  RunOld();
  content::SensorSchema other = DemoSchema();
  other.fields.pop_back();
  Slots slots(&disk, {"d", other, std::nullopt});
  const Start start = slots.NextStart();
  EXPECT_EQ(start.slot, Slot::kBuiltIn);
  EXPECT_THAT(start.notes, Contains(HasSubstr("SCHEMA_MISMATCH")));
  EXPECT_TRUE(slots.record().IsQuarantined(old_digest));
}

TEST_F(SlotsTest, BytesThatRotAreLeftForTheLastGoodOnesWithoutBlamingTheDigest) {
  RunOld();
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(new_file)).ok());
  disk.Damage("d/slot.b", 200);
  EXPECT_EQ(Open().NextStart().digest, old_digest);
  EXPECT_TRUE(Open().record().quarantine.empty());
}

TEST_F(SlotsTest, AnyDamagedByteOfARecordLeavesTheOther) {
  RunOld();
  for (const char* name : {"d/record.0", "d/record.1"}) {
    for (size_t at = 0; at < disk.SizeOf(name); ++at) {
      disk.Damage(name, at);
      EXPECT_EQ(Open().record().DigestOf(Slot::kA), old_digest) << name << " byte " << at;
      disk.Damage(name, at);
    }
  }
}

TEST_F(SlotsTest, WithoutAnyRecordWhatIsSoundInTheSlotsCountsTheOlderFirst) {
  RunOld();
  Slots slots = Open();
  ASSERT_TRUE(slots.Stage(new_file).ok());
  disk.Damage("d/record.0", 30);
  disk.Damage("d/record.1", 30);
  Slots salvaged = Open();
  EXPECT_THAT(salvaged.notes(), Contains(HasSubstr("no whole record")));
  EXPECT_EQ(salvaged.NextStart().digest, old_digest);
  disk.Damage("d/record.0", 0);
  disk.Damage("d/record.1", 0);
  disk.Damage("d/slot.a", 100);
  EXPECT_EQ(Open().NextStart().digest, new_digest);
}

TEST_F(SlotsTest, OnADiskThatCannotBeWrittenOnlyProvenContentIsStarted) {
  RunOld();
  Slots slots = Open();
  disk.SetReadOnly(true);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(slots.NextStart().digest, old_digest);  // fail static
  disk.SetReadOnly(false);
  ASSERT_TRUE(slots.Flip(*slots.Stage(new_file)).ok());
  disk.SetReadOnly(true);
  const Start start = Open().NextStart();
  EXPECT_EQ(start.digest, old_digest);
  EXPECT_THAT(start.notes, Contains(HasSubstr("cannot count this start")));
}

// ---------------------------------------------------------------- the power fails, everywhere

constexpr FaultyDisk::Aftermath kAftermaths[] = {
    {FaultyDisk::Data::kLost, false}, {FaultyDisk::Data::kHalf, false}, {FaultyDisk::Data::kWhole, false},
    {FaultyDisk::Data::kLost, true},  {FaultyDisk::Data::kHalf, true},  {FaultyDisk::Data::kWhole, true}};

// Runs `act` with a cut at each of its steps and each aftermath, on a disk made anew by `prepare`; then asks
// `check`.
template <typename Prepare, typename Act, typename Check>
void CutEverywhere(FaultyDisk* disk, Prepare prepare, Act act, Check check) {
  int cuts = 0;
  for (int step = 1;; ++step) {
    bool cut = false;
    for (const FaultyDisk::Aftermath& aftermath : kAftermaths) {
      *disk = FaultyDisk();
      prepare();
      disk->CutAt(step);
      act();
      cut = disk->dead();
      if (!cut) break;  // it ends before that step
      ++cuts;
      disk->Restore(aftermath);
      SCOPED_TRACE(absl::StrCat("cut at step ", step, ", names kept ", aftermath.names_kept, ", data ",
                                static_cast<int>(aftermath.data)));
      check();
    }
    if (!cut) break;
  }
  EXPECT_GT(cuts, 20);
}

TEST_F(SlotsTest, WhereverAnUpdateIsCutTheHostRunsTheOldOrTheNew) {
  CutEverywhere(
      &disk, [&] { RunOld(); },
      [&] {
        Slots slots = Open();
        Deploy(&slots, new_file).IgnoreError();
      },
      [&] {
        Slots slots = Open();
        const Start start = slots.NextStart();
        EXPECT_TRUE(start.digest == old_digest || start.digest == new_digest) << Name(start.slot);
        EXPECT_EQ(Sha256(start.bytes), start.digest);
        // And it goes on from there.
        ASSERT_TRUE(slots.MarkHealthy().ok());
        if (start.digest == old_digest) {
          ASSERT_TRUE(Deploy(&slots, new_file).ok());
        }
        EXPECT_EQ(Open().NextStart().digest, new_digest);
      });
}

TEST_F(SlotsTest, WhereverAFirstInstallIsCutTheHostRunsTheBuiltInOrTheNew) {
  CutEverywhere(
      &disk, [] {},
      [&] {
        Slots slots = Open();
        Deploy(&slots, new_file).IgnoreError();
      },
      [&] {
        Slots slots = Open();
        const Start start = slots.NextStart();
        EXPECT_TRUE(start.slot == Slot::kBuiltIn || start.digest == new_digest);
        ASSERT_TRUE(slots.MarkHealthy().ok());
        if (start.slot == Slot::kBuiltIn) {
          ASSERT_TRUE(Deploy(&slots, new_file).ok());
        }
        EXPECT_EQ(Open().NextStart().digest, new_digest);
      });
}

TEST_F(SlotsTest, WhereverTheWayBackIsCutTheHostIsBackAfterAFewStarts) {
  CutEverywhere(
      &disk,
      [&] {
        RunOld();
        Slots slots = Open();
        ASSERT_TRUE(slots.Flip(*slots.Stage(new_file)).ok());
      },
      [&] {
        for (int i = 0; i <= kMaxStarts; ++i) Open().NextStart();  // each time it crashes
      },
      [&] {
        // A cut may undo the count of the start that it cut, never more.
        for (int i = 0; i <= kMaxStarts && Open().record().active == Slot::kB; ++i) {
          const Start start = Open().NextStart();
          EXPECT_TRUE(start.digest == old_digest || start.digest == new_digest) << Name(start.slot);
        }
        EXPECT_EQ(Open().NextStart().digest, old_digest);
        EXPECT_TRUE(Open().record().IsQuarantined(new_digest));
      });
}

// The disk dies under the loader while it runs on: what it starts from memory is still the right thing.
TEST_F(SlotsTest, AfterAFailedWriteNothingButProvenContentIsStarted) {
  CutEverywhere(
      &disk, [&] { RunOld(); },
      [&] {
        Slots slots = Open();
        if (Deploy(&slots, new_file).ok()) return;
        disk.SetReadOnly(true);
        disk.CutAt(-1);
        const Start start = slots.NextStart();
        EXPECT_TRUE(start.digest == old_digest || slots.record().active == Slot::kB) << Name(start.slot);
        disk.SetReadOnly(false);
        disk.CutAt(0);
      },
      [&] { EXPECT_NE(Open().NextStart().slot, Slot::kBuiltIn); });
}

}  // namespace
}  // namespace ringfence::loader
