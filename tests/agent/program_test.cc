// ringfence-agent and ringfence-loader as they are installed, with a root of trust and a sensor: from a
// listed release to a started one, past one that nobody listed, and through a kill.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "fake_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/agent/loader_process.h"
#include "ringfence/agent/slot_loader.h"
#include "ringfence/loader/demo_sensor.h"
#include "ringfence/loader/slots.h"
#include "tests/content/builders.h"
#include "tests/support/file_contents.h"
#include "tests/trust/release_repository.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::Contents;
using trust::Published;
using trust::ReleaseDraft;

constexpr char kChannel[] = "ipc-detect";

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() : state_(folder_ + "/state"), loader_(state_ + "/loader") {
    std::ofstream(folder_ + "/sensor.sh")
        << "#!/bin/sh\nexec " RINGFENCE_LOADER_BINARY " sensor --stay \"$1\" < /dev/null\n";
    ::chmod((folder_ + "/sensor.sh").c_str(), 0700);
    std::ofstream(folder_ + "/schema.yaml") << loader::DemoSchemaYaml();
    std::ofstream(folder_ + "/root.json", std::ios::binary) << repository_.root();
    std::ofstream(folder_ + "/build.pem") << content::TestKey().public_key().ToPem();
    factory_ = content::Signed(ContentOf(1000));
    std::ofstream(folder_ + "/factory.fct", std::ios::binary) << factory_;
    server_.on_check_in = [this](const v1::CheckInRequest& request, v1::CheckInResponse* response) {
      response->mutable_next_checkin()->set_nanos(50'000'000);
      MutexLock lock(&mutex_);
      for (const v1::AgentEvent& event : request.events())
        absl::StrAppend(&events_, v1::AgentEventKind_Name(event.kind()).substr(17), ": ", event.detail(),
                        "\n");
      if (!offered_.has_value()) return grpc::Status::OK;
      for (const v1::DirectiveKind kind : {v1::DIRECTIVE_KIND_PREFETCH, v1::DIRECTIVE_KIND_REQUEST_LEASE}) {
        v1::Directive* directive = response->add_directives();
        directive->set_kind(kind);
        directive->set_channel(kChannel);
        directive->set_serial(offered_->terms.serial);
        directive->set_digest(std::string(offered_->digest.raw()));
        directive->set_size_bytes(static_cast<int64_t>(offered_->bytes.size()));
      }
      return grpc::Status::OK;
    };
    server_.on_metadata = [this](const std::string& name) -> std::optional<std::string> {
      MutexLock lock(&mutex_);
      const auto found = served_.find(name);
      return found == served_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  ~ProgramTest() override {
    StopAgent(SIGKILL);
    pid_t loader = 0;
    if (LoaderRunsIn(loader_) && std::ifstream(loader_ + "/run.lock") >> loader && loader > 1) {
      ::kill(loader, SIGTERM);
      EXPECT_TRUE(Until([&] { return !LoaderRunsIn(loader_); }));
    }
    fs::remove_all(folder_);
  }

  static std::string MakeFolder() {
    std::string pattern = (fs::temp_directory_path() / "ringfence-program-XXXXXX").string();
    return mkdtemp(pattern.data());
  }
  static content::Content ContentOf(uint64_t serial) {
    const content::SensorSchema& sensor = loader::DemoSchema();
    content::Content content{kChannel,      absl::StrCat("1.", serial),
                             serial,        sensor.schema_id,
                             sensor.sensor, sensor.sensor,
                             sensor.fields, {}};
    content.rules = {{"rule", content::Action::kBlock, {{0, content::Op::kEquals, "evil", 0}}}};
    return content;
  }
  Published Publish(uint64_t serial) {
    const Published release = repository_.Publish(serial, [&](ReleaseDraft& draft) {
      draft.content = ContentOf(serial);
      draft.terms.schema = {{loader::DemoSchema().name, 20}};
      draft.terms.sensor_min = draft.terms.sensor_max = loader::DemoSchema().sensor;
      draft.terms.platforms = {"test/platform"};
      draft.results.passed = {{"test/platform", "7.11.0", "boot"}, {"test/platform", "7.11.0", "load"}};
    });
    MutexLock lock(&mutex_);
    served_ = repository_.tuf.metadata;
    served_.insert(repository_.tuf.targets.begin(), repository_.tuf.targets.end());
    return release;
  }
  void Offer(const Published& release) {
    server_.artifacts[std::string(release.digest.raw())] = release.bytes;
    MutexLock lock(&mutex_);
    offered_ = release;
  }

  std::vector<std::string> Arguments() const {
    return {RINGFENCE_AGENT_BINARY,
            "--server",
            server_.address(),
            "--state-dir",
            state_,
            "--enrol-token",
            "token",
            "--content-channel",
            kChannel,
            "--channel",
            absl::StrCat(kChannel, "=", folder_, "/factory.fct"),
            "--schema",
            folder_ + "/schema.yaml",
            "--build-key",
            folder_ + "/build.pem",
            "--trust-root",
            folder_ + "/root.json",
            "--platform",
            "test/platform",
            "--sensor",
            folder_ + "/sensor.sh",
            "--healthy-after",
            "1ms"};
  }
  pid_t Spawn(std::vector<std::string> words, const std::string& output) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  void StartAgent() { agent_ = Spawn(Arguments(), folder_ + "/log"); }
  void StopAgent(int signal) {
    if (agent_ <= 0) return;
    ::kill(agent_, signal);
    ::waitpid(agent_, nullptr, 0);
    agent_ = 0;
  }
  json Status() {
    const pid_t pid = Spawn({RINGFENCE_AGENT_BINARY, "--state-dir", state_, "--status"}, folder_ + "/status");
    ::waitpid(pid, nullptr, 0);
    return json::parse(Contents(folder_ + "/status"), nullptr, /*allow_exceptions=*/false);
  }
  ::testing::AssertionResult Until(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + absl::Seconds(100);
    while (!holds()) {
      if (absl::Now() > end)
        return ::testing::AssertionFailure() << "it never came to that\n"
                                             << Contents(folder_ + "/log") << Events();
      absl::SleepFor(absl::Milliseconds(20));
    }
    return ::testing::AssertionSuccess();
  }
  std::string Events() {
    MutexLock lock(&mutex_);
    return events_;
  }
  bool Runs(const std::string& bytes) { return Contents(loader_ + "/running") == bytes; }

  const std::string folder_ = MakeFolder(), state_, loader_;
  trust::ReleaseRepository repository_;
  std::string factory_;
  Mutex mutex_;
  std::map<std::string, std::string> served_ ABSL_GUARDED_BY(mutex_);
  std::optional<Published> offered_ ABSL_GUARDED_BY(mutex_);
  std::string events_ ABSL_GUARDED_BY(mutex_);
  FakeServer server_;
  pid_t agent_ = 0;
};

TEST_F(ProgramTest, TakesWhatIsListedStartsItThroughTheLoaderAndNothingElse) {
  const Published first = Publish(1042);
  StartAgent();
  ASSERT_TRUE(Until([&] { return Runs(factory_); }));
  Offer(first);
  ASSERT_TRUE(Until([&] { return Runs(first.bytes); }));
  ASSERT_TRUE(
      Until([&] { return Status().value("/channels/ipc-detect/verified"_json_pointer, "") == "yes"; }));
  const json status = Status();
  EXPECT_EQ(status["verification"]["state"], "following") << status;
  EXPECT_EQ(status["channels"][kChannel]["running"], first.digest.ToString());

  Published own = first;
  own.bytes = content::Signed(ContentOf(1043));
  own.digest = Sha256(own.bytes);
  own.terms.serial = 1043;
  Offer(own);
  EXPECT_TRUE(Until([&] { return absl::StrContains(Events(), "REJECTED: bad_signature: release listing"); }));

  // The agent dies; the loader and its sensor do not care.
  StopAgent(SIGKILL);
  EXPECT_TRUE(LoaderRunsIn(loader_));
  EXPECT_TRUE(Runs(first.bytes));
  const Published second = Publish(1050);
  Offer(second);
  StartAgent();
  EXPECT_TRUE(Until([&] { return Runs(second.bytes); }));
  StopAgent(SIGTERM);
  EXPECT_TRUE(LoaderRunsIn(loader_));
}

// A loader that the host's own boot started, or that was quicker than the agent.
TEST_F(ProgramTest, BringsWhatTheFactoryGaveToALoaderThatRunsWithTheBuiltInContent) {
  fs::create_directories(loader_);
  const pid_t loader = Spawn({RINGFENCE_LOADER_BINARY, "--dir", loader_, "--key", folder_ + "/build.pem",
                              "run", "--sensor", folder_ + "/sensor.sh", "--healthy-after", "1ms"},
                             folder_ + "/loader-log");
  ASSERT_TRUE(Until([&] { return Runs(loader::BuiltInContent(loader::DemoSchema())); }));
  StartAgent();
  EXPECT_TRUE(Until([&] { return Runs(factory_); }));
  StopAgent(SIGKILL);
  ::kill(loader, SIGTERM);
  ::waitpid(loader, nullptr, 0);
}

}  // namespace
}  // namespace ringfence::agent
