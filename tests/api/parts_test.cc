// The small parts: flags, addresses, logs, the worker pool, loops, readiness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "server/api/flags.h"
#include "server/api/http_server.h"
#include "server/api/log.h"
#include "server/api/loops.h"
#include "server/api/readiness.h"
#include "server/api/text.h"
#include "server/api/worker_pool.h"
#include "tests/support/gated_store.h"

namespace ringfence::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Flags Legal() {
  Flags flags;
  flags.replica_name = "a";
  return flags;
}

TEST(FlagsTest, TheDefaultsAreLegal) {
  EXPECT_TRUE(CheckFlags(Legal()).ok());
}

TEST(FlagsTest, ARacingClockNeedsADemonstrationOnThisMachine) {
  Flags flags = Legal();
  flags.time_scale = 60;
  EXPECT_TRUE(absl::IsInvalidArgument(CheckFlags(flags)));
  flags.demo = true;
  EXPECT_TRUE(CheckFlags(flags).ok());
  flags.listen = "0.0.0.0:7443";
  EXPECT_TRUE(absl::IsInvalidArgument(CheckFlags(flags)));
}

TEST(FlagsTest, EveryFaultIsNamed) {
  Flags flags = Legal();
  flags.listen = "nowhere";
  flags.data_dir = "/a";
  flags.database_url = "postgresql://b";
  flags.internal_tenant = "Not A Slug";
  flags.checkin_interval = absl::Milliseconds(1);
  flags.unsafe_fast_database = true;
  const std::string message(CheckFlags(flags).message());
  for (const char* flag :
       {"--listen", "--data-dir", "--internal-tenant", "--checkin-interval", "--unsafe-fast-database"}) {
    EXPECT_THAT(message, HasSubstr(flag));
  }
}

TEST(HostPortTest, ReadsNamesAndBothFamilies) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:7443")->port, 7443);
  EXPECT_EQ(ParseHostPort("[::1]:80")->host, "::1");
  for (const char* bad : {"", ":80", "host", "host:", "host:70000", "host:-1", "[::1:80"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
}

TEST(HostPortTest, KnowsLoopback) {
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "localhost"})
    EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "10.0.0.1", "::", "128.0.0.1", "127.evil.example"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(HttpServerTest, WhoeverSendsSomethingIsTurnedAwayBeforeItIsRead) {
  HttpServer::Options options;
  options.listen = "127.0.0.1:0";
  options.metrics = options.healthz = [] { return HttpAnswer{200, "text/plain", "well"}; };
  const auto server = HttpServer::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto answer = [&](const std::string& request) {
    const int connection = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>((*server)->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::send(connection, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char line[12] = {};
    EXPECT_EQ(::recv(connection, line, sizeof line, MSG_WAITALL), static_cast<ssize_t>(sizeof line));
    ::close(connection);
    return std::string(line, sizeof line);
  };
  EXPECT_EQ(answer("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200");
  // Of a body that never ends only the beginning was sent.
  const std::string chunks = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
  EXPECT_EQ(answer("POST /metrics HTTP/1.1\r\n" + chunks), "HTTP/1.1 405");
  EXPECT_EQ(answer("PUT /nothing HTTP/1.1\r\n" + chunks), "HTTP/1.1 405");
}

TEST(TextTest, KnowsUtf8) {
  EXPECT_TRUE(IsText("plain, ünïcode, 漢字, 🙂"));
  for (const char* bad :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "a\x1b[31m", "\x7f"}) {
    EXPECT_FALSE(IsText(bad));
  }
  EXPECT_FALSE(IsText("two\nlines"));
  EXPECT_TRUE(IsText("two\nlines", /*lines=*/true));
}

class LogTest : public testing::Test {
 protected:
  LogTest() : file_(std::tmpfile()), clock_(absl::FromUnixMillis(1'700'000'000'123)) {}
  ~LogTest() override { std::fclose(file_); }
  std::string Written() {
    std::rewind(file_);
    std::string text(1000, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    return text;
  }
  std::FILE* file_;
  ManualClock clock_;
};

TEST_F(LogTest, WritesOneJsonObjectPerLine) {
  Log log(file_, LogLevel::kInfo, &clock_);
  log.Info("started", {{"port", 7443}, {"demo", false}, {"name", "a \"b\"\n\x01\xff"}, {"share", 0.5}});
  EXPECT_EQ(Written(),
            "{\"at\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"event\":\"started\",\"port\":7443,"
            "\"demo\":false,"
            "\"name\":\"a \\\"b\\\"\\n\\u0001\\ufffd\",\"share\":0.5}\n");
}

TEST_F(LogTest, DropsWhatIsBelowItsLevel) {
  Log log(file_, LogLevel::kWarning, &clock_);
  log.Info("quiet");
  log.Error("loud");
  EXPECT_THAT(Written(), testing::AllOf(HasSubstr("loud"), testing::Not(HasSubstr("quiet"))));
}

// Holds the only thread of a pool until told.
class Gate {
 public:
  void Hold(WorkerPool& pool) {
    EXPECT_TRUE(pool.Submit([this] {
      held_.set_value();
      open_.get_future().wait();
    }));
    held_.get_future().wait();
  }
  void Open() { open_.set_value(); }

 private:
  std::promise<void> held_, open_;
};

TEST(WorkerPoolTest, UrgentTasksGoFirstAndAreNeverRefused) {
  WorkerPool pool(1, 1);
  Gate gate;
  gate.Hold(pool);
  std::vector<std::string> order;
  EXPECT_TRUE(pool.Submit([&] { order.push_back("plan"); }));
  EXPECT_FALSE(pool.Submit([&] { order.push_back("one too many"); }));
  EXPECT_TRUE(pool.Submit([&] { order.push_back("halt"); }, /*urgent=*/true));
  gate.Open();
  pool.Stop();
  EXPECT_THAT(order, ElementsAre("halt", "plan"));
}

TEST(WorkerPoolTest, AnUrgentTaskRunsWhileEveryOtherThreadIsHeld) {
  WorkerPool pool(1, 10, /*urgent_threads=*/1);
  Gate gate;
  gate.Hold(pool);
  std::promise<void> halted;
  bool planned = false;
  EXPECT_TRUE(pool.Submit([&] { planned = true; }));
  EXPECT_TRUE(pool.Submit([&] { halted.set_value(); }, /*urgent=*/true));
  halted.get_future().wait();
  gate.Open();
  pool.Stop();
  EXPECT_TRUE(planned);
}

TEST(WorkerPoolTest, AStopRunsWhatWaitsAndTakesNothingMore) {
  WorkerPool pool(2, 100);
  std::atomic<int> ran{0};
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(pool.Submit([&] { ++ran; }));
  pool.Stop();
  EXPECT_EQ(ran, 50);
  EXPECT_FALSE(pool.Submit([] {}));
}

TEST(LoopTest, AWakeComesAtOnceAndTheNextOneToo) {
  std::promise<void> first, second;
  int steps = 0;
  Loop loop(absl::Hours(1), [&] {
    ++steps;
    (steps == 1 ? first : second).set_value();
  });
  loop.Wake();
  first.get_future().wait();
  loop.Wake();
  second.get_future().wait();
  loop.Stop();
  EXPECT_EQ(steps, 2);
}

TEST(EnginePeriodTest, FollowsTheCheckInsAndIsNeverLong) {
  EXPECT_EQ(EnginePeriod(absl::Seconds(60), 1), absl::Milliseconds(250));
  EXPECT_EQ(EnginePeriod(absl::Seconds(60), 120), absl::Milliseconds(125));
  EXPECT_EQ(EnginePeriod(absl::Seconds(60), 10'000), absl::Milliseconds(20));
}

TEST(AdvertisedAddressTest, IsWhereOthersCanReachIt) {
  Flags flags;
  flags.listen = "127.0.0.1:0";
  EXPECT_EQ(AdvertisedAddress(flags, 4000), "127.0.0.1:4000");
  flags.listen = "[::1]:7443";
  EXPECT_EQ(AdvertisedAddress(flags, 7443), "[::1]:7443");
  for (const char* everywhere : {"0.0.0.0:7443", "[::]:7443"}) {
    flags.listen = everywhere;
    EXPECT_THAT(AdvertisedAddress(flags, 7443), Not(HasSubstr("0.0.0.0")));
    EXPECT_THAT(AdvertisedAddress(flags, 7443), Not(HasSubstr("::")));
    EXPECT_THAT(AdvertisedAddress(flags, 7443), HasSubstr(":7443"));
  }
  flags.advertise = "one.internal:443";
  EXPECT_EQ(AdvertisedAddress(flags, 7443), "one.internal:443");
}

class ReadinessTest : public testing::Test {
 protected:
  std::unique_ptr<storage::Store> memory_ = storage::MakeMemoryStore();
  test::GatedStore store_{memory_.get()};
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  Readiness readiness_{&store_, &clock_, absl::Seconds(15)};
};

TEST_F(ReadinessTest, NeedsAStepAndThenOneEveryWhile) {
  EXPECT_THAT(readiness_.Faults(), ElementsAre(HasSubstr("first step")));
  readiness_.EngineStepped(absl::OkStatus());
  EXPECT_THAT(readiness_.Faults(), IsEmpty());
  clock_.Advance(absl::Seconds(16));
  EXPECT_THAT(readiness_.Faults(), ElementsAre(HasSubstr("made no step for 16s")));
}

TEST_F(ReadinessTest, SaysWhyTheLastStepFailed) {
  readiness_.EngineStepped(absl::UnavailableError("no database"));
  EXPECT_THAT(readiness_.Faults(), ElementsAre(HasSubstr("no database")));
}

TEST_F(ReadinessTest, AnswersAtOnceAndSaysSoWhileTheDatabaseHangs) {
  readiness_.EngineStepped(absl::OkStatus());
  store_.Set(test::GatedStore::Gate::kShutBefore);
  std::thread asks([&] { readiness_.AskDatabase(); });
  store_.WaitForACall();
  EXPECT_THAT(readiness_.Faults(), IsEmpty());
  clock_.Advance(absl::Seconds(2));
  EXPECT_THAT(readiness_.Faults(), ElementsAre(HasSubstr("database: has not answered for 2s")));
  store_.Set(test::GatedStore::Gate::kOpen);
  asks.join();
  EXPECT_THAT(readiness_.Faults(), IsEmpty());
}

TEST_F(ReadinessTest, AReplicaThatFollowsIsReadyWhileTheLeaderAnswersIt) {
  readiness_.Follows(absl::UnavailableError("nobody leads"));
  EXPECT_THAT(readiness_.Faults(), ElementsAre("follows: nobody leads"));
  readiness_.Follows(absl::OkStatus());
  EXPECT_THAT(readiness_.Faults(), IsEmpty()) << "it has no engine that could step";
  readiness_.Leads();
  EXPECT_THAT(readiness_.Faults(), ElementsAre(HasSubstr("first step")));
  readiness_.EngineStepped(absl::OkStatus());
  EXPECT_THAT(readiness_.Faults(), IsEmpty());
  readiness_.Stopping();
  EXPECT_THAT(readiness_.Faults(), ElementsAre("the server stops"));
}

}  // namespace
}  // namespace ringfence::api
