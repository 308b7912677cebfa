// The agent above a real ringfence-loader, a process of its own, which starts a real sensor.
#include "ringfence/agent/slot_loader.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/time/clock.h"
#include "fake_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "quick_options.h"
#include "ringfence/agent/agent.h"
#include "ringfence/agent/boot_clock.h"
#include "ringfence/agent/content_loader.h"
#include "ringfence/agent/loader_process.h"
#include "ringfence/base/hash.h"
#include "ringfence/content/model.h"
#include "ringfence/loader/demo_sensor.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kChannel[] = "ipc";

std::string ContentNamed(const std::string& rule, uint64_t serial) {
  const content::SensorSchema& schema = loader::DemoSchema();
  content::Content content{kChannel,      "v",           serial,        schema.schema_id,
                           schema.sensor, schema.sensor, schema.fields, {}};
  content.rules = {{rule, content::Action::kBlock, {{0, content::Op::kEquals, "evil", 0}}}};
  return *content::Build(content, nullptr, std::nullopt);
}

class SlotLoaderTest : public ::testing::Test {
 protected:
  SlotLoaderTest() {
    for (const char* sub : {"/artifacts", "/current", "/loader"}) fs::create_directories(folder_ + sub);
    // Lives on with good content, so that it proves itself, and dies of content with a rule of that name.
    const std::string sensor = folder_ + "/sensor.sh";
    std::ofstream(sensor) << "#!/bin/sh\nif grep -q deadly \"$1\"; then kill -SEGV $$; fi\n"
                          << "exec " RINGFENCE_LOADER_BINARY " sensor --stay \"$1\" < /dev/null\n";
    ::chmod(sensor.c_str(), 0700);
    process_ = {RINGFENCE_LOADER_BINARY, folder_ + "/loader", sensor, "1ms", {}};
    slots_ = std::make_unique<SlotLoader>(
        &links_, files_.get(), &clock_,
        SlotLoaderOptions{kChannel, process_.folder, loader::DemoSchema(), std::nullopt,
                          [this] { return EnsureLoader(process_); }, absl::Seconds(60)});
  }
  ~SlotLoaderTest() override {
    agent_.reset();
    StopLoader();
    fs::remove_all(folder_);
  }

  // By its process id, which the loader writes beside its lock.
  void StopLoader() {
    if (!LoaderRunsIn(process_.folder)) return;
    pid_t pid = 0;
    ASSERT_TRUE(Until([&] { return std::ifstream(process_.folder + "/run.lock") >> pid && pid > 1; }));
    ::kill(pid, SIGTERM);
    ASSERT_TRUE(Until([&] { return !LoaderRunsIn(process_.folder); }));
  }
  ::testing::AssertionResult Until(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + absl::Seconds(100);
    while (!holds()) {
      if (absl::Now() > end) return ::testing::AssertionFailure() << "it never came to that";
      agent_ != nullptr ? agent_->RunOnce(absl::Milliseconds(5)) : absl::SleepFor(absl::Milliseconds(5));
    }
    return ::testing::AssertionSuccess();
  }
  std::string Put(const std::string& bytes) {
    const std::string path = artifacts_.PathOf(Sha256(bytes));
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  Digest Runs() {
    for (const Running& running : slots_->Attest()) {
      if (running.channel == kChannel) return running.digest;
    }
    return Digest{};
  }
  bool IsProven() {
    loader::Slots slots(files_.get(), {process_.folder, loader::DemoSchema(), std::nullopt, true});
    return slots.record().healthy && slots.record().active != loader::Slot::kBuiltIn;
  }

  // An agent of a server that offers these bytes and grants every lease.
  void StartAgentOffered(const std::string& bytes, uint64_t serial) {
    server_.artifacts[std::string(Sha256(bytes).raw())] = bytes;
    server_.on_check_in = [this, bytes, serial](const v1::CheckInRequest& request,
                                                v1::CheckInResponse* response) {
      response->mutable_next_checkin()->set_nanos(5'000'000);
      MutexLock lock(&mutex_);
      for (const v1::AgentEvent& event : request.events())
        absl::StrAppend(&events_, v1::AgentEventKind_Name(event.kind()).substr(17), " ", event.detail(),
                        "\n");
      for (const v1::DirectiveKind kind : {v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE}) {
        v1::Directive* directive = response->add_directives();
        directive->set_kind(kind);
        directive->set_channel(kChannel);
        directive->set_serial(serial);
        directive->set_digest(std::string(Sha256(bytes).raw()));
        directive->set_size_bytes(static_cast<int64_t>(bytes.size()));
      }
      return grpc::Status::OK;
    };
    ContentRules rules;
    rules.channels = {kChannel};
    rules.serials_file = folder_ + "/serials";
    loader_ = std::make_unique<ContentLoader>(slots_.get(), files_.get(), rules);
    AgentOptions options = QuickOptions(server_.address());
    auto agent = Agent::Make(std::move(options), &store_, &artifacts_, loader_.get(), &clock_);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }
  // Did the agent report these words by now?
  bool Heard(absl::string_view words) {
    LookAfter(*slots_, *agent_);
    MutexLock lock(&mutex_);
    return events_.find(std::string(words)) != std::string::npos;
  }

  static std::string MakeFolder() {
    std::string pattern = (fs::temp_directory_path() / "ringfence-slots-XXXXXX").string();
    return mkdtemp(pattern.data());
  }

  const std::string folder_ = MakeFolder();
  LoaderProcessOptions process_;
  std::unique_ptr<FileSystem> files_ = MakePosixFileSystem();
  BootClock clock_;
  ArtifactStore artifacts_{folder_ + "/artifacts"};
  LinkLoader links_{folder_ + "/current"};
  std::unique_ptr<SlotLoader> slots_;
  std::unique_ptr<ContentLoader> loader_;
  StateStore store_{files_.get(), folder_};
  Mutex mutex_;
  std::string events_ ABSL_GUARDED_BY(mutex_);
  FakeServer server_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(SlotLoaderTest, AFlipIsDoneWhenTheSensorWasStartedWithIt) {
  const std::string one = ContentNamed("one", 1), two = ContentNamed("two", 2);
  ASSERT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus());
  EXPECT_EQ(Runs(), Sha256(one));
  ASSERT_TRUE(Until([&] { return IsProven(); }));
  ASSERT_EQ(slots_->Check(kChannel, Put(two)), absl::OkStatus());
  EXPECT_EQ(Runs(), Sha256(one)) << "staged is not started";
  ASSERT_EQ(slots_->Flip(kChannel, Put(two)), absl::OkStatus());
  EXPECT_EQ(Runs(), Sha256(two));
  ASSERT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus()) << "and back at once";
  EXPECT_EQ(Runs(), Sha256(one));
  StopLoader();
  ASSERT_EQ(EnsureLoader(process_), absl::OkStatus());
  ASSERT_TRUE(Until([&] { return LoaderRunsIn(process_.folder); }));
  EXPECT_EQ(Runs(), Sha256(one));
}

TEST_F(SlotLoaderTest, RefusesContentThatIsNoneAndStaysWithWhatRuns) {
  const std::string one = ContentNamed("one", 1);
  ASSERT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus());
  ASSERT_TRUE(Until([&] { return IsProven(); }));
  EXPECT_TRUE(absl::IsInvalidArgument(slots_->Check(kChannel, Put(std::string(4096, '\0')))));
  EXPECT_FALSE(slots_->Flip(kChannel, Put(std::string(4096, '\0'))).ok());
  EXPECT_EQ(Runs(), Sha256(one));
}

// Until what runs has proven itself, the other slot holds what it would fall back to.
TEST_F(SlotLoaderTest, StagesNothingOverWhatItWouldFallBackTo) {
  const std::string one = ContentNamed("one", 1), two = ContentNamed("two", 2),
                    three = ContentNamed("three", 3);
  ASSERT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus());
  ASSERT_TRUE(Until([&] { return IsProven(); }));
  StopLoader();
  process_.healthy_after = "1h";
  ASSERT_EQ(slots_->Flip(kChannel, Put(two)), absl::OkStatus());
  EXPECT_FALSE(IsProven());
  EXPECT_TRUE(absl::IsFailedPrecondition(slots_->Check(kChannel, Put(three))))
      << "to be tried again, no refusal";
  EXPECT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus()) << "the way back needs no proof";
  EXPECT_EQ(Runs(), Sha256(one));
  EXPECT_TRUE(absl::IsFailedPrecondition(slots_->Check(kChannel, Put(three))));
  StopLoader();
  process_.healthy_after = "1ms";
  ASSERT_EQ(EnsureLoader(process_), absl::OkStatus());
  ASSERT_TRUE(Until([&] { return IsProven(); }));
  EXPECT_EQ(slots_->Check(kChannel, Put(three)), absl::OkStatus());
}

// Nobody starts it: then it must not be started an hour later behind everybody's back.
TEST_F(SlotLoaderTest, AFlipThatNoLoaderCarriesOutIsTakenBack) {
  const std::string one = ContentNamed("one", 1), two = ContentNamed("two", 2);
  ASSERT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus());
  ASSERT_TRUE(Until([&] { return IsProven(); }));
  StopLoader();
  SlotLoader alone(
      &links_, files_.get(), &clock_,
      {kChannel, process_.folder, loader::DemoSchema(), std::nullopt, nullptr, absl::ZeroDuration()});
  const absl::Status flipped = alone.Flip(kChannel, Put(two));
  EXPECT_TRUE(absl::IsDeadlineExceeded(flipped)) << flipped;
  EXPECT_THAT(std::string(flipped.message()), HasSubstr("it stays with what runs"));
  ASSERT_EQ(EnsureLoader(process_), absl::OkStatus());
  ASSERT_TRUE(Until([&] { return LoaderRunsIn(process_.folder); }));
  EXPECT_TRUE(IsProven());
  EXPECT_EQ(Runs(), Sha256(one));
}

// The whole way: the agent takes content that kills the sensor, the loader goes back without being asked, and
// the server hears of both.
TEST_F(SlotLoaderTest, TheAgentReportsWhatTheLoaderDidByItself) {
  process_.healthy_after = "2s";  // long enough to die in
  const std::string one = ContentNamed("one", 1), bad = ContentNamed("deadly", 2);
  ASSERT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus());
  ASSERT_TRUE(Until([&] { return IsProven(); }));
  StartAgentOffered(bad, 2);
  EXPECT_TRUE(Until([&] { return Heard("CRASH the sensor failed: signal 11"); }));
  EXPECT_TRUE(Until([&] { return Heard("REVERTED it failed at each of its starts and is quarantined"); }));
  EXPECT_EQ(Runs(), Sha256(one));
  EXPECT_TRUE(IsBurned(*agent_->machine().Find(kChannel), Sha256(bad)));
}

TEST_F(SlotLoaderTest, TheAgentWaitsWithTheNextUntilWhatRunsHasProvenItself) {
  process_.healthy_after = "1h";
  const std::string one = ContentNamed("one", 1), two = ContentNamed("two", 2);
  ASSERT_EQ(slots_->Flip(kChannel, Put(one)), absl::OkStatus());
  StartAgentOffered(two, 2);
  ASSERT_TRUE(Until([&] { return Heard("STAGING_FAILED what runs has not proven itself yet"); }));
  EXPECT_EQ(Runs(), Sha256(one));
  StopLoader();
  process_.healthy_after = "1ms";
  ASSERT_EQ(EnsureLoader(process_), absl::OkStatus());
  EXPECT_TRUE(Until([&] { return Runs() == Sha256(two); }));
  EXPECT_FALSE(Heard("REJECTED")) << "nothing is wrong with it";
}

}  // namespace
}  // namespace ringfence::agent
