// What is decoded, encoded and decoded again is the same; what is wrong is named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/api/decode.h"
#include "server/api/encode.h"

namespace ringfence::api {
namespace {

using testing::ElementsAre;

std::vector<std::string> Paths(const Faults& faults) {
  std::vector<std::string> paths;
  for (const policy::Fault& fault : faults.list()) paths.push_back(fault.path);
  return paths;
}

uint64_t Seed() {
  const char* given = std::getenv("RINGFENCE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

// Legal plans and releases, drawn at random.
class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  int64_t Between(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random_);
  }
  bool Coin() { return Between(0, 1) == 1; }

  policy::Selector Selector() {
    policy::Selector selector;
    for (int64_t i = 0, n = Between(0, 3); i < n; ++i) {
      policy::Requirement requirement{absl::StrCat("key", i), {}};
      for (int64_t j = 0, m = Between(1, 3); j < m; ++j)
        requirement.any_of.push_back(absl::StrCat("värde ", j));
      selector.all_of.push_back(std::move(requirement));
    }
    return selector;
  }

  policy::Plan Plan() {
    policy::Plan plan;
    plan.tenant = absl::StrCat("tenant-", Between(0, 99));
    for (int64_t i = 0, n = Between(1, 3); i < n; ++i) {
      policy::ChannelRule rule;
      rule.channel = absl::StrCat("channel-", i);
      rule.mode = static_cast<policy::ChannelMode>(Between(1, 3));
      rule.lag = static_cast<int>(Between(0, 2));
      if (rule.mode == policy::ChannelMode::kPinned) rule.pinned_version = "7.11";
      plan.channels.push_back(rule);
    }
    for (int64_t i = 0, n = Between(1, 4); i < n; ++i) plan.rings.push_back(Ring(i));
    if (Coin())
      plan.gates.crash = policy::RateGate{policy::Ppm(Between(1, 999'999)), Between(1, 50), absl::Hours(2)};
    if (Coin())
      plan.gates.silence = policy::SilenceGate{3, policy::Ppm(Between(1, 999'999)), 4, absl::Minutes(30)};
    if (Coin()) plan.gates.cohort_keys = {"os", "kernel"};
    plan.gates.on_breach = static_cast<policy::OnBreach>(Between(1, 3));
    if (Coin()) plan.urgent_soak_factor = policy::Ppm(Between(1, 1'000'000));
    plan.hold_revert_after = absl::Minutes(Between(5, 500));
    plan.uncovered_cohorts = static_cast<policy::UncoveredCohorts>(Between(1, 2));
    if (Coin()) plan.valid_until = absl::FromUnixSeconds(Between(0, 2'000'000'000));
    if (Coin()) plan.rings[0].hasten_to = absl::Minutes(Between(0, 500));
    if (Coin()) {
      plan.channels[0].approval = policy::Approval::kExplicit;
      plan.channels[0].approvers = {"ann", "role:sre"};
    }
    if (Coin()) plan.channels[0].min_age = absl::Minutes(Between(0, 500));
    return plan;
  }

  policy::Release Release() {
    policy::Release release;
    release.channel = "content";
    release.kind = static_cast<policy::ChannelKind>(Between(1, 2));
    release.serial = static_cast<uint64_t>(Between(1, 1'000'000));
    release.version = absl::StrCat("7.", Between(0, 99));
    release.digest.bytes.fill(static_cast<uint8_t>(Between(1, 255)));
    release.targets = Selector();
    for (int64_t i = 0, n = Between(1, 4); i < n; ++i) release.matrix.push_back(Selector());
    release.urgent = Coin();
    return release;
  }

 private:
  policy::Ring Ring(int64_t index) {
    policy::Ring ring;
    ring.name = absl::StrCat("ring-", index);
    ring.selector = Selector();
    ring.lag = static_cast<int>(Between(0, 2));
    ring.waves = {{policy::Ppm(Between(1, 900'000)), std::nullopt}, {policy::Ppm(1'000'000), std::nullopt}};
    ring.soak = absl::Milliseconds(Between(0, 10'000'000));
    ring.min_age = absl::Seconds(Between(0, 10'000));
    if (Coin()) ring.hosts_per_minute = Between(1, 1000);
    return ring;
  }

  std::mt19937_64 random_;
};

TEST(ConvertTest, LegalPlansComeBackEqual) {
  const uint64_t seed = Seed();
  SCOPED_TRACE(absl::StrCat("RINGFENCE_SEED=", seed));
  Draw draw(seed);
  int legal = 0;
  for (int i = 0; i < 500; ++i) {
    const policy::Plan plan = draw.Plan();
    v1::Plan wire;
    Encode(plan, &wire);
    v1::Plan received;
    ASSERT_TRUE(received.ParseFromString(wire.SerializeAsString()));
    Faults faults;
    EXPECT_EQ(DecodePlan(received, "", faults), plan);
    // Rings may repeat a selector or lag before a leader; then validation names it, and the value is still
    // the same.
    EXPECT_EQ(faults.list().size(), policy::Validate(plan).size());
    legal += faults.empty() ? 1 : 0;
  }
  EXPECT_GT(legal, 50);
}

TEST(ConvertTest, LegalManifestsComeBackEqual) {
  const uint64_t seed = Seed();
  SCOPED_TRACE(absl::StrCat("RINGFENCE_SEED=", seed));
  Draw draw(seed);
  for (int i = 0; i < 500; ++i) {
    const policy::Release release = draw.Release();
    v1::ReleaseManifest wire;
    Encode(release, &wire);
    Faults faults;
    EXPECT_EQ(DecodeManifest(wire, "", faults), release);
    EXPECT_THAT(Paths(faults), ElementsAre());
  }
}

TEST(ConvertTest, AZeroEnumIsNotAValue) {
  v1::Plan plan;
  plan.set_tenant("acme");
  plan.add_channels()->set_channel("content");
  plan.add_rings()->set_name("r");
  plan.mutable_rings(0)->add_waves()->set_share_ppm(1'000'000);
  plan.mutable_gates();
  Faults faults;
  DecodePlan(plan, "plan", faults);
  EXPECT_THAT(Paths(faults), ElementsAre("plan.channels[0].mode", "plan.gates.on_breach"));
}

TEST(ConvertTest, AnUnknownEnumIsNotItsLowByte) {
  Faults faults;
  DecodeBrakeKind(static_cast<v1::BrakeKind>(257), "brake", faults);
  ASSERT_THAT(Paths(faults), ElementsAre("brake"));
  EXPECT_EQ(faults.list()[0].found, "257");
}

TEST(ConvertTest, MalformedDurationsAreFaults) {
  struct Case {
    int64_t seconds;
    int32_t nanos;
  };
  for (const Case& bad : {Case{-1, 0}, Case{0, -1}, Case{1, -1}, Case{-1, 1}, Case{0, 1'000'000'000},
                          Case{400'000'000, 0}, Case{INT64_MIN, INT32_MIN}, Case{INT64_MAX, 0}}) {
    google::protobuf::Duration duration;
    duration.set_seconds(bad.seconds);
    duration.set_nanos(bad.nanos);
    Faults faults;
    EXPECT_EQ(DecodeDuration(true, duration, "soak", faults), absl::ZeroDuration());
    EXPECT_THAT(Paths(faults), ElementsAre("soak"));
  }
}

TEST(ConvertTest, DurationsKeepTheirNanoseconds) {
  google::protobuf::Duration duration;
  Encode(absl::Seconds(3) + absl::Nanoseconds(7), &duration);
  EXPECT_EQ(duration.seconds(), 3);
  EXPECT_EQ(duration.nanos(), 7);
  Encode(-absl::Seconds(1), &duration);
  EXPECT_EQ(duration.seconds(), 0);
}

TEST(ConvertTest, TimesBefore1970HavePositiveNanos) {
  google::protobuf::Timestamp time;
  Encode(absl::UnixEpoch() - absl::Milliseconds(1), &time);
  EXPECT_EQ(time.seconds(), -1);
  EXPECT_EQ(time.nanos(), 999'000'000);
}

TEST(ConvertTest, InfiniteTimesAreAbsent) {
  storage::BrakeRow row;
  row.at = absl::InfinitePast();
  v1::Brake brake;
  Encode(row, &brake);
  EXPECT_FALSE(brake.has_at());
}

v1::CheckInRequest PlainCheckIn() {
  v1::CheckInRequest request;
  request.set_boot_id("boot");
  request.set_labels_hash(std::string(16, 'h'));
  return request;
}

std::vector<std::string> CheckInFaults(const v1::CheckInRequest& request) {
  CheckInInput input;
  const absl::Status status = Decode(request, AgentId(), &input);
  std::vector<std::string> paths;
  if (status.ok()) return paths;
  v1::FaultList faults;
  EXPECT_TRUE(faults.ParseFromString(std::string(*status.GetPayload(kFaultListUrl))));
  for (const v1::Fault& fault : faults.faults()) paths.push_back(fault.path());
  return paths;
}

TEST(CheckInTest, SortsChannelsAndRefusesTwoOfOne) {
  v1::CheckInRequest request = PlainCheckIn();
  for (const char* channel : {"sensor", "content"}) {
    v1::RunningVersion* running = request.add_running();
    running->set_channel(channel);
    running->set_digest(std::string(32, 'd'));
  }
  CheckInInput input;
  ASSERT_TRUE(Decode(request, AgentId(), &input).ok());
  ASSERT_EQ(input.request.running.size(), 2u);
  EXPECT_EQ(input.request.running[0].channel, "content");
  request.mutable_running(0)->set_channel("content");
  EXPECT_THAT(CheckInFaults(request), ElementsAre("running"));
}

TEST(CheckInTest, TellsAnEmptySetOfLabelsFromNone) {
  v1::CheckInRequest request = PlainCheckIn();
  CheckInInput none;
  ASSERT_TRUE(Decode(request, AgentId(), &none).ok());
  EXPECT_EQ(none.request.labels, nullptr);
  request.set_has_labels(true);
  request.clear_labels_hash();
  CheckInInput empty;
  ASSERT_TRUE(Decode(request, AgentId(), &empty).ok());
  ASSERT_NE(empty.request.labels, nullptr);
  EXPECT_EQ(std::string(empty.request.labels_hash), policy::Labels().Hash16());
}

TEST(CheckInTest, RefusesLabelsThatAreNotWhatTheHashSays) {
  v1::CheckInRequest request = PlainCheckIn();
  request.set_has_labels(true);
  v1::Label* label = request.add_labels();
  label->set_key("os");
  label->set_value("win11");
  EXPECT_THAT(CheckInFaults(request), ElementsAre("labels_hash"));
}

TEST(CheckInTest, RefusesWhatIsTooMuch) {
  v1::CheckInRequest request = PlainCheckIn();
  request.set_boot_id(std::string(65, 'b'));
  for (int i = 0; i < 33; ++i) request.add_running();
  for (int i = 0; i < 33; ++i) request.add_staged(std::string(32, 'd'));
  for (int i = 0; i < 65; ++i) request.add_events();
  EXPECT_THAT(CheckInFaults(request), ElementsAre("boot_id", "running", "staged", "events"));
}

TEST(CheckInTest, RefusesControlCharactersThatTheDatabaseCannotKeep) {
  v1::CheckInRequest request = PlainCheckIn();
  v1::AgentEvent* event = request.add_events();
  event->set_kind(v1::AGENT_EVENT_KIND_CRASH);
  event->set_detail(std::string("before\0after", 12));
  EXPECT_THAT(CheckInFaults(request), ElementsAre("events[0].detail"));
  event->set_detail("two\nlines\tare fine");
  EXPECT_THAT(CheckInFaults(request), ElementsAre());
}

TEST(ScopeTest, NeedsItsParts) {
  v1::Scope scope;
  scope.set_serial(3);
  Faults faults;
  DecodeScope(scope, "scope", faults);
  EXPECT_THAT(Paths(faults), ElementsAre("scope.channel"));
}

TEST(FaultsTest, AListOfThousandsStillFitsIntoATrailer) {
  Faults faults;
  for (int i = 0; i < 5000; ++i)
    faults.Add(absl::StrCat("rings[", i, "].soak"), std::string(80, 'x'), "less");
  const absl::Status status = faults.ToStatus();
  EXPECT_LT(status.message().size() + status.GetPayload(kFaultListUrl)->size() * 4 / 3, 8000u);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("5000 faults in all"));
}

}  // namespace
}  // namespace ringfence::api
