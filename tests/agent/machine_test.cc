// The machine, one story per test.
#include "ringfence/agent/machine.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "ringfence/base/hash.h"

namespace ringfence::agent {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);
constexpr char kContent[] = "content";

Digest D(absl::string_view text) {
  return Sha256(text);
}

Directive Of(DirectiveKind kind, absl::string_view bytes, uint64_t serial = 1) {
  Directive directive;
  directive.kind = kind;
  directive.channel = kContent;
  directive.serial = serial;
  directive.version = std::string(bytes);
  directive.digest = D(bytes);
  directive.size_bytes = static_cast<int64_t>(bytes.size());
  return directive;
}

template <typename T>
const T* FindEffect(const Effects& effects) {
  for (const Effect& effect : effects) {
    if (const T* found = std::get_if<T>(&effect)) return found;
  }
  return nullptr;
}

// A machine that enrolled and runs "v1", with helpers that read like the story.
class MachineTest : public ::testing::Test {
 protected:
  MachineTest() { Boot(Enrolled1()); }

  static Durable Enrolled1() {
    Durable durable;
    durable.secret = std::string(32, 's');
    durable.tenant = "acme";
    durable.boot_id = "boot-0";
    durable.said_goodbye = true;
    durable.channels[kContent].running = D("v1");
    return durable;
  }

  void Boot(Durable durable, const std::string& boot_id = "boot-1", absl::string_view attested = "v1") {
    machine_ = std::make_unique<Machine>(MachineOptions{}, std::move(durable), /*seed=*/7);
    last_ = machine_->Step(Started{boot_id, policy::Labels(), {{kContent, D(attested)}}}, now_);
  }
  // Answers the open check-in.
  void Answer(std::vector<Directive> directives, absl::Duration next = absl::Seconds(60)) {
    last_ = machine_->Step(CheckedIn{{next, false, std::move(directives)}}, now_);
  }
  // Lets time pass until the machine wants something.
  void Wake() {
    now_ = std::max(now_, machine_->NextWakeup());
    last_ = machine_->Step(TimePassed{}, now_);
  }
  void Do(const Event& event) { last_ = machine_->Step(event, now_); }

  // From check-in to a live lease for `bytes`.
  void Stage(absl::string_view bytes) {
    Answer({Of(DirectiveKind::kPrefetch, bytes)});
    ASSERT_NE(FindEffect<StartFetch>(last_), nullptr);
    Do(Fetched{kContent, D(bytes), D(bytes)});
    Wake();
  }
  void AskLease(absl::string_view bytes) {
    Stage(bytes);
    Answer({Of(DirectiveKind::kRequestLease, bytes)});
    ASSERT_NE(FindEffect<SendLease>(last_), nullptr);
    ask_ = FindEffect<SendLease>(last_)->ask;
  }
  void Activate_(absl::string_view bytes) {
    AskLease(bytes);
    Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
    ASSERT_NE(FindEffect<Activate>(last_), nullptr);
    Do(Flipped{kContent, D(bytes), false, ""});
    Wake();
  }
  // Lives on until the download is tried again.
  ::testing::AssertionResult FetchesAgain() {
    for (int i = 0; i < 20; ++i) {
      if (FindEffect<StartFetch>(last_) != nullptr) return ::testing::AssertionSuccess();
      FindEffect<SendCheckIn>(last_) != nullptr ? Answer({}) : Wake();
    }
    return ::testing::AssertionFailure() << "no download was started";
  }
  const CheckIn& Sent() {
    const SendCheckIn* sent = FindEffect<SendCheckIn>(last_);
    EXPECT_NE(sent, nullptr);
    static const CheckIn kNone;
    return sent == nullptr ? kNone : sent->request;
  }
  Phase phase() const { return machine_->Find(kContent)->phase; }

  absl::Time now_ = kStart;
  std::unique_ptr<Machine> machine_;
  Effects last_;
  uint64_t ask_ = 0;
};

TEST_F(MachineTest, ChecksInAtOnceAfterStartWithItsLabelHashOnly) {
  EXPECT_FALSE(Sent().has_labels);
  EXPECT_EQ(Sent().labels_hash, policy::Labels().Hash16());
  ASSERT_EQ(Sent().running.size(), 1u);
  EXPECT_EQ(Sent().running[0].digest, D("v1"));
  EXPECT_TRUE(Sent().last_shutdown_clean);
}

TEST_F(MachineTest, SendsLabelsWhenAskedAndNotAgain) {
  last_ = machine_->Step(CheckedIn{{absl::Seconds(60), /*send_labels=*/true, {}}}, now_);
  Wake();
  EXPECT_TRUE(Sent().has_labels);
  Answer({});
  Wake();
  EXPECT_FALSE(Sent().has_labels);
}

TEST_F(MachineTest, SendsChangedLabelsSoonAfterTheChange) {
  Answer({});
  now_ += absl::Seconds(10);
  Do(LabelsChanged{policy::Labels::Make({{"os", "win11"}}).value()});
  EXPECT_EQ(machine_->NextWakeup(), now_);
  Wake();
  EXPECT_TRUE(Sent().has_labels);
}

TEST_F(MachineTest, NeverAsksTheServerMoreThanOnceASecond) {
  Answer({}, absl::ZeroDuration());
  EXPECT_EQ(machine_->NextWakeup(), now_ + absl::Seconds(1));
}

TEST_F(MachineTest, WaitsAtMostAnHourHoweverLongTheServerSays) {
  Answer({}, absl::InfiniteDuration());
  EXPECT_EQ(machine_->NextWakeup(), now_ + absl::Hours(1));
}

TEST_F(MachineTest, BacksOffWithJitterWhileTheServerIsAwayAndKeepsWhatRuns) {
  for (int i = 0; i < 50; ++i) {
    Do(CheckInFailed{absl::ZeroDuration(), "connection refused"});
    EXPECT_GE(machine_->NextWakeup(), now_ + absl::Seconds(1));
    EXPECT_LE(machine_->NextWakeup(), now_ + absl::Minutes(5));
    EXPECT_EQ(FindEffect<Revert>(last_), nullptr);
    Wake();
    EXPECT_EQ(Sent().running[0].digest, D("v1"));
  }
}

TEST_F(MachineTest, TravelsFromPrefetchToProof) {
  Activate_("v2");
  EXPECT_EQ(Sent().running[0].digest, D("v2"));
  EXPECT_EQ(machine_->Find(kContent)->previous, D("v1"));
  EXPECT_EQ(phase(), Phase::kIdle);
}

TEST_F(MachineTest, SpreadsTheStartOfADownload) {
  Directive prefetch = Of(DirectiveKind::kPrefetch, "v2");
  prefetch.within = absl::Seconds(30);
  Answer({prefetch});
  EXPECT_EQ(phase(), Phase::kFetchLater);
  EXPECT_LE(machine_->NextWakeup(), now_ + absl::Seconds(30));
  Wake();
  EXPECT_NE(FindEffect<StartFetch>(last_), nullptr);
}

TEST_F(MachineTest, DoesNotStageBytesWithAnotherDigest) {
  Answer({Of(DirectiveKind::kPrefetch, "v2")});
  Do(Fetched{kContent, D("v2"), D("tampered")});
  EXPECT_EQ(phase(), Phase::kFetchLater);
  Wake();
  if (FindEffect<SendCheckIn>(last_) == nullptr) Wake();
  ASSERT_EQ(Sent().events.size(), 1u);
  EXPECT_EQ(Sent().events[0].kind, EventKind::kStagingFailed);
  EXPECT_TRUE(Sent().staged.empty());
}

TEST_F(MachineTest, CountsTheLeaseFromTheMomentItWasAskedFor) {
  AskLease("v2");
  const absl::Time asked = now_;
  now_ += absl::Seconds(12);
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  ASSERT_NE(FindEffect<Activate>(last_), nullptr);
  EXPECT_EQ(FindEffect<Activate>(last_)->deadline, asked + absl::Seconds(20));
}

TEST_F(MachineTest, DoesNotUseALeaseThatComesAfterItsEnd) {
  AskLease("v2");
  now_ += absl::Seconds(20);
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  EXPECT_EQ(FindEffect<Activate>(last_), nullptr);
  EXPECT_EQ(phase(), Phase::kStaged);
}

TEST_F(MachineTest, AsksAgainOnlyAfterTheTimeTheServerNamed) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {false, {}, "budget", absl::Minutes(2)}});
  Wake();
  Answer({Of(DirectiveKind::kRequestLease, "v2")});
  EXPECT_EQ(FindEffect<SendLease>(last_), nullptr);
  now_ += absl::Minutes(2);
  Wake();
  Answer({Of(DirectiveKind::kRequestLease, "v2")});
  EXPECT_NE(FindEffect<SendLease>(last_), nullptr);
}

TEST_F(MachineTest, KeepsTheBytesAndTheOldVersionWhenTheLeaseHadEndedBeforeTheFlip) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  Do(Flipped{kContent, D("v1"), /*too_late=*/true, ""});
  EXPECT_EQ(phase(), Phase::kStaged);
  EXPECT_EQ(machine_->Find(kContent)->running, D("v1"));
  Wake();
  EXPECT_TRUE(Sent().events.empty());
}

TEST_F(MachineTest, ReportsAFlipThatFailed) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  Do(Flipped{kContent, D("v1"), false, "no space left on device"});
  Wake();
  ASSERT_EQ(Sent().events.size(), 1u);
  EXPECT_EQ(Sent().events[0].kind, EventKind::kActivationFailed);
  EXPECT_EQ(Sent().running[0].digest, D("v1"));
}

TEST_F(MachineTest, GoesBackWhenOrderedAndNeverTakesTheSameDigestAgain) {
  Activate_("v2");
  Answer({Of(DirectiveKind::kRevert, "v2")});
  ASSERT_NE(FindEffect<Revert>(last_), nullptr);
  EXPECT_EQ(FindEffect<Revert>(last_)->to, D("v1"));
  Do(Flipped{kContent, D("v1"), false, ""});
  Wake();
  EXPECT_EQ(Sent().running[0].digest, D("v1"));
  ASSERT_EQ(Sent().events.size(), 1u);
  EXPECT_EQ(Sent().events[0].kind, EventKind::kReverted);
  EXPECT_EQ(Sent().events[0].digest, D("v2"));
  Answer({Of(DirectiveKind::kPrefetch, "v2"), Of(DirectiveKind::kRequestLease, "v2")});
  EXPECT_EQ(FindEffect<StartFetch>(last_), nullptr);
  EXPECT_EQ(FindEffect<SendLease>(last_), nullptr);
}

TEST_F(MachineTest, ARevertThatComesDuringTheFlipIsCarriedOutAfterIt) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  Wake();
  Answer({Of(DirectiveKind::kRevert, "v2")});
  EXPECT_EQ(FindEffect<Revert>(last_), nullptr);
  Do(Flipped{kContent, D("v2"), false, ""});
  ASSERT_NE(FindEffect<Revert>(last_), nullptr);
  EXPECT_EQ(FindEffect<Revert>(last_)->to, D("v1"));
}

TEST_F(MachineTest, StaysWhereItIsWhenThereIsNothingToGoBackTo) {
  Answer({Of(DirectiveKind::kRevert, "v1")});
  EXPECT_EQ(FindEffect<Revert>(last_), nullptr);
  EXPECT_EQ(machine_->Find(kContent)->running, D("v1"));
  ASSERT_NE(FindEffect<Note>(last_), nullptr);
  EXPECT_NE(FindEffect<Note>(last_)->text.find("nothing good to go back to"), std::string::npos);
  Wake();
  Answer({Of(DirectiveKind::kRevert, "v1")});  // with every check-in
  EXPECT_EQ(FindEffect<Revert>(last_), nullptr);
  EXPECT_EQ(FindEffect<Note>(last_), nullptr) << "said once";
}

TEST_F(MachineTest, DropsStagedBytesWhenToldTo) {
  Stage("v2");
  Answer({Of(DirectiveKind::kDrop, "v2")});
  ASSERT_NE(FindEffect<Discard>(last_), nullptr);
  EXPECT_EQ(phase(), Phase::kIdle);
}

TEST_F(MachineTest, ADropThatComesWhileALeaseIsAskedForMakesTheLeaseUseless) {
  AskLease("v2");
  Wake();
  Answer({Of(DirectiveKind::kDrop, "v2")});
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  EXPECT_EQ(FindEffect<Activate>(last_), nullptr);
}

// Found by the property test: the late answer to the first question passed for the answer to the second.
TEST_F(MachineTest, TheAnswerToAnOlderQuestionIsNotALease) {
  AskLease("v2");
  const uint64_t old = ask_;
  Wake();
  Answer({Of(DirectiveKind::kDrop, "v2")});
  Wake();
  AskLease("v2");
  EXPECT_NE(ask_, old);
  Do(Leased{kContent, old, {true, absl::Seconds(20), "", {}}});
  EXPECT_EQ(FindEffect<Activate>(last_), nullptr);
}

TEST_F(MachineTest, TakesTheNewestReleaseItIsToldAbout) {
  Stage("v2");
  Answer({Of(DirectiveKind::kPrefetch, "v3", 2)});
  ASSERT_NE(FindEffect<Discard>(last_), nullptr);
  EXPECT_EQ(FindEffect<Discard>(last_)->digest, D("v2"));
  ASSERT_NE(FindEffect<StartFetch>(last_), nullptr);
  EXPECT_EQ(FindEffect<StartFetch>(last_)->release.digest, D("v3"));
}

TEST_F(MachineTest, ReportsAFileTheLoaderRefusedAndNeverFetchesItAgain) {
  Answer({Of(DirectiveKind::kPrefetch, "v2")});
  Do(FetchFailed{kContent, D("v2"), FetchFault::kRefused, "header is all zero"});
  Wake();
  ASSERT_EQ(Sent().events.size(), 1u);
  EXPECT_EQ(Sent().events[0].kind, EventKind::kRejected);
  Answer({Of(DirectiveKind::kPrefetch, "v2")});
  EXPECT_EQ(FindEffect<StartFetch>(last_), nullptr);
}

// A server refuses a check-in with text that it cannot store, again and again: the host would never be heard.
TEST_F(MachineTest, WhatItReportsCanBeStoredWhateverTheLoaderSaid) {
  Answer({Of(DirectiveKind::kPrefetch, "v2")});
  Do(FetchFailed{kContent, D("v2"), FetchFault::kRefused,
                 "rule \xff\x1b" + std::string(1016, 'x') + "\xc3\xbc and more"});
  Wake();
  ASSERT_EQ(Sent().events.size(), 1u);
  EXPECT_EQ(Sent().events[0].detail, "rule ??" + std::string(1016, 'x'));
}

// The server may only have been early: the bytes are not to blame, and it is said once.
TEST_F(MachineTest, ARefusalOfTheMomentIsReportedOnceAndTriedAgain) {
  Answer({Of(DirectiveKind::kPrefetch, "v2")});
  Do(FetchFailed{kContent, D("v2"), FetchFault::kRefusedNow, "bad_signature: nobody lists it"});
  ASSERT_EQ(machine_->ToDurable().queue.size(), 1u);
  EXPECT_EQ(machine_->ToDurable().queue[0].kind, EventKind::kRejected);
  const uint64_t told = machine_->ToDurable().next_seq;
  ASSERT_TRUE(FetchesAgain());
  Do(FetchFailed{kContent, D("v2"), FetchFault::kRefusedNow, "bad_signature: nobody lists it"});
  EXPECT_EQ(machine_->ToDurable().next_seq, told);
  EXPECT_FALSE(IsBurned(*machine_->Find(kContent), D("v2")));
  ASSERT_TRUE(FetchesAgain());
  Do(Fetched{kContent, D("v2"), D("v2")});
  EXPECT_EQ(phase(), Phase::kStaged) << "now it is listed";
}

TEST_F(MachineTest, WhatIsFoundUnfitBeforeTheLeaseIsReportedAndLeft) {
  AskLease("v2");
  Do(Unfit{kContent, ask_ + 1, true, "another question"});
  EXPECT_EQ(phase(), Phase::kLeasing);
  Do(Unfit{kContent, ask_, true, "known_bad: recalled"});
  EXPECT_EQ(phase(), Phase::kIdle);
  EXPECT_NE(FindEffect<Discard>(last_), nullptr);
  EXPECT_TRUE(IsBurned(*machine_->Find(kContent), D("v2")));
  EXPECT_EQ(machine_->ToDurable().queue.back().kind, EventKind::kRejected);
}

TEST_F(MachineTest, WhatIsRefusedAtTheLoadIsReportedAndWhatRunsStays) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  Do(Flipped{kContent, D("v1"), false, "schema_mismatch: 21 fields", FetchFault::kRefusedNow});
  EXPECT_EQ(phase(), Phase::kIdle);
  EXPECT_EQ(machine_->Find(kContent)->running, D("v1"));
  EXPECT_EQ(machine_->ToDurable().queue.back().kind, EventKind::kRejected);
}

// The disk's doing: it must not halt a fleet.
TEST_F(MachineTest, WhatRottedOnTheDiskIsFetchedAgain) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  Do(Flipped{kContent, D("v1"), false, "other bytes", FetchFault::kDownload});
  EXPECT_EQ(machine_->ToDurable().queue.back().kind, EventKind::kStagingFailed);
  EXPECT_FALSE(IsBurned(*machine_->Find(kContent), D("v2")));
  EXPECT_TRUE(FetchesAgain());
}

TEST_F(MachineTest, AnOrderToGoBackThatMustNotBeFollowedIsAnsweredOnce) {
  Activate_("v2");
  Answer({Of(DirectiveKind::kRevert, "v2")});
  ASSERT_NE(FindEffect<Revert>(last_), nullptr);
  Do(Flipped{kContent, D("v2"), false, "stale_version: behind the floor", FetchFault::kRefusedNow});
  EXPECT_EQ(machine_->Find(kContent)->running, D("v2"));
  EXPECT_EQ(machine_->ToDurable().queue.back().kind, EventKind::kActivationFailed);
  EXPECT_EQ(machine_->ToDurable().queue.back().digest, D("v2"));
  Wake();
  Answer({Of(DirectiveKind::kRevert, "v2")});
  EXPECT_EQ(FindEffect<Revert>(last_), nullptr) << "there is nothing good to go back to";
}

TEST_F(MachineTest, SendsAnEventAgainUntilACheckInWasAnswered) {
  Answer({});
  Do(Reported{EventKind::kCrash, kContent, D("v1"), "", "segfault"});
  Wake();
  ASSERT_EQ(Sent().events.size(), 1u);
  const uint64_t seq = Sent().events[0].seq;
  Do(CheckInFailed{{}, "deadline exceeded"});
  Wake();
  ASSERT_EQ(Sent().events.size(), 1u);
  EXPECT_EQ(Sent().events[0].seq, seq);
  Answer({});
  Wake();
  EXPECT_TRUE(Sent().events.empty());
}

TEST_F(MachineTest, WritesItsMemoryBeforeItActivates) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  ASSERT_GE(last_.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<Persist>(last_.front()));
  EXPECT_EQ(machine_->ToDurable().channels[kContent].activating, D("v2"));
}

TEST_F(MachineTest, ARestartAfterTheFlipKnowsWhatRunsAndWhereToGoBack) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  Boot(machine_->ToDurable(), "boot-2", /*attested=*/"v2");
  EXPECT_EQ(Sent().running[0].digest, D("v2"));
  EXPECT_FALSE(Sent().last_shutdown_clean);
  EXPECT_EQ(machine_->Find(kContent)->previous, D("v1"));
  EXPECT_EQ(phase(), Phase::kIdle);
}

TEST_F(MachineTest, ARestartBeforeTheFlipForgetsTheLease) {
  AskLease("v2");
  Do(Leased{kContent, ask_, {true, absl::Seconds(20), "", {}}});
  Boot(machine_->ToDurable(), "boot-2", /*attested=*/"v1");
  EXPECT_EQ(phase(), Phase::kStaged);
  EXPECT_EQ(Sent().running[0].digest, D("v1"));
}

TEST_F(MachineTest, AFallBackOfTheLoaderWhileItWasDownIsReported) {
  Activate_("v2");
  Answer({});
  Boot(machine_->ToDurable(), "boot-2", /*attested=*/"v1");
  ASSERT_FALSE(Sent().events.empty());
  EXPECT_EQ(Sent().events.back().kind, EventKind::kReverted);
  EXPECT_TRUE(IsBurned(*machine_->Find(kContent), D("v2")));
}

TEST_F(MachineTest, ACrashOfTheAgentItselfIsReported) {
  Answer({});
  Boot(machine_->ToDurable(), "boot-1");
  ASSERT_EQ(Sent().events.size(), 1u);
  EXPECT_EQ(Sent().events[0].kind, EventKind::kCrash);
}

TEST_F(MachineTest, SaysGoodbyeAndIsKnownToHaveStoppedCleanly) {
  Answer({});
  Do(Stopping{});
  EXPECT_TRUE(Sent().goodbye);
  Boot(machine_->ToDurable(), "boot-2");
  EXPECT_TRUE(Sent().last_shutdown_clean);
  EXPECT_TRUE(Sent().events.empty());
}

TEST_F(MachineTest, SaysGoodbyeAfterTheCheckInThatIsUnderWay) {
  Do(Stopping{});
  EXPECT_EQ(FindEffect<SendCheckIn>(last_), nullptr);
  EXPECT_FALSE(machine_->stopped());
  Answer({Of(DirectiveKind::kPrefetch, "v2", 2)});
  EXPECT_TRUE(Sent().goodbye);
  EXPECT_EQ(FindEffect<StartFetch>(last_), nullptr);
  EXPECT_FALSE(machine_->stopped());
  Answer({});
  EXPECT_EQ(FindEffect<SendCheckIn>(last_), nullptr);
  EXPECT_TRUE(machine_->stopped());
}

TEST_F(MachineTest, SaysGoodbyeAlsoWhenTheLastCheckInFailed) {
  Do(Stopping{});
  Do(CheckInFailed{absl::ZeroDuration(), "unavailable"});
  EXPECT_TRUE(Sent().goodbye);
  Do(CheckInFailed{absl::ZeroDuration(), "unavailable"});
  EXPECT_TRUE(machine_->stopped());
}

TEST(MachineEnrolTest, EnrolsFirstAndTriesAgainWhenThatFails) {
  Machine machine(MachineOptions{}, Durable{}, 1);
  absl::Time now = kStart;
  Effects effects = machine.Step(Started{"boot-1", policy::Labels(), {}}, now);
  ASSERT_NE(FindEffect<SendEnrol>(effects), nullptr);
  effects = machine.Step(EnrolFailed{"unavailable"}, now);
  now = machine.NextWakeup();
  effects = machine.Step(TimePassed{}, now);
  ASSERT_NE(FindEffect<SendEnrol>(effects), nullptr);
  effects = machine.Step(Enrolled{{std::string(32, 'x'), "acme", absl::Seconds(30)}}, now);
  EXPECT_NE(FindEffect<Persist>(effects), nullptr);
  EXPECT_EQ(machine.NextWakeup(), now + absl::Seconds(30));
  effects = machine.Step(TimePassed{}, machine.NextWakeup());
  EXPECT_NE(FindEffect<SendCheckIn>(effects), nullptr);
}

}  // namespace
}  // namespace ringfence::agent
