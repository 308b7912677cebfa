#include "server/storage/postgres/private_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/storage/postgres/binaries.h"
#include "server/storage/postgres/postgres_store.h"
#include "tests/support/postgres_fixture.h"

namespace ringfence::storage {
namespace {

using ::ringfence::testing::CopyClusterTemplate;
using ::ringfence::testing::Query;
using ::ringfence::testing::TemporaryFolder;

constexpr char kChildFolder[] = "RINGFENCE_TEST_CLUSTER_CHILD";

PrivateClusterOptions In(const std::string& folder) {
  PrivateClusterOptions options;
  options.directory = folder;
  options.unsafe_fast = true;
  return options;
}

class PrivateClusterTest : public ::testing::Test {
 protected:
  PrivateClusterTest() : pg_(absl::StrCat(folder_.path(), "/pg")) { CopyClusterTemplate(pg_); }

  std::unique_ptr<PrivateCluster> Start() {
    auto cluster = PrivateCluster::Start(In(pg_));
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    return *std::move(cluster);
  }
  // Until the server was restarted after `ends` unexpected ends and answers.
  static void WaitForRestart(PrivateCluster& cluster, int ends) {
    while (cluster.unexpected_ends() < ends ||
           !testing::Try(cluster.ConnectionString(), "SELECT 1").empty()) {
      std::this_thread::yield();
    }
  }

  TemporaryFolder folder_;
  const std::string pg_;
};

TEST(NewPrivateClusterTest, IsMadeStartedAndStopped) {
  TemporaryFolder folder;
  auto cluster = PrivateCluster::Start(In(absl::StrCat(folder.path(), "/a/b")));
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(Query((*cluster)->ConnectionString(), "SELECT current_database()")[0][0], "ringfence");
  EXPECT_EQ(Query((*cluster)->ConnectionString(), "SHOW listen_addresses")[0][0], "")
      << "never on the network";
  const pid_t pid = (*cluster)->postmaster_pid();
  EXPECT_EQ(kill(pid, 0), 0);
  (*cluster)->Stop();
  EXPECT_NE(kill(pid, 0), 0) << "ended and reaped";
  (*cluster)->Stop();
}

// The default is durable: nothing that makes a commit less than safe on disk is switched off.
TEST(NewPrivateClusterTest, IsDurableUnlessToldOtherwise) {
  TemporaryFolder folder;
  PrivateClusterOptions options = In(absl::StrCat(folder.path(), "/pg"));
  options.unsafe_fast = false;
  const auto cluster = PrivateCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  for (const char* setting : {"fsync", "full_page_writes", "synchronous_commit"}) {
    EXPECT_EQ(Query((*cluster)->ConnectionString(), absl::StrCat("SHOW ", setting))[0][0], "on") << setting;
  }
}

TEST_F(PrivateClusterTest, KeepsItsDataOverRestarts) {
  for (const char* count : {"1", "2", "3"}) {
    const auto cluster = Start();
    Query(cluster->ConnectionString(),
          "CREATE TABLE IF NOT EXISTS kept (a int); INSERT INTO kept VALUES (1)");
    EXPECT_EQ(Query(cluster->ConnectionString(), "SELECT count(*) FROM kept")[0][0], count);
  }
}

TEST_F(PrivateClusterTest, IsStartedAgainWhenTheServerIsKilledTwiceInARow) {
  const auto cluster = Start();
  Query(cluster->ConnectionString(), "CREATE TABLE kept (a int)");
  for (int kills = 1; kills <= 2; ++kills) {
    Query(cluster->ConnectionString(), "INSERT INTO kept VALUES (1)");
    const pid_t pid = cluster->postmaster_pid();
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    WaitForRestart(*cluster, kills);
    EXPECT_NE(cluster->postmaster_pid(), pid);
    EXPECT_EQ(Query(cluster->ConnectionString(), "SELECT count(*) FROM kept")[0][0], absl::StrCat(kills));
  }
}

// Runs in a process of its own, for the test below; does nothing otherwise.
TEST(ClusterChild, DISABLED_HoldsAClusterUntilKilled) {
  const char* folder = std::getenv(kChildFolder);
  if (folder == nullptr) return;
  const auto cluster = PrivateCluster::Start(In(folder));
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  Query((*cluster)->ConnectionString(), "CREATE TABLE kept AS SELECT 1 AS a");
  std::ofstream(absl::StrCat(folder, "/child_pid.tmp")) << (*cluster)->postmaster_pid();
  std::filesystem::rename(absl::StrCat(folder, "/child_pid.tmp"), absl::StrCat(folder, "/child_pid"));
  for (;;) pause();
}

TEST_F(PrivateClusterTest, EndsWithItsParentAndIsTakenOverWithItsData) {
  ASSERT_EQ(setenv(kChildFolder, pg_.c_str(), 1), 0);
  std::string program = "/proc/self/exe", filter = "--gtest_filter=ClusterChild.*",
              disabled = "--gtest_also_run_disabled_tests";
  char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
  pid_t child = 0;
  ASSERT_EQ(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environ), 0);
  unsetenv(kChildFolder);
  while (!std::filesystem::exists(absl::StrCat(pg_, "/child_pid"))) {
    ASSERT_EQ(waitpid(child, nullptr, WNOHANG), 0) << "the child ended early";
    std::this_thread::yield();
  }
  pid_t postmaster = 0;
  std::ifstream(absl::StrCat(pg_, "/child_pid")) >> postmaster;
  ASSERT_GT(postmaster, 0);
  EXPECT_EQ(PrivateCluster::Start(In(pg_)).status().code(), absl::StatusCode::kFailedPrecondition)
      << "the folder is in use";

  ASSERT_EQ(kill(child, SIGKILL), 0);
  waitpid(child, nullptr, 0);
  // While the old server shuts down, or after: the new one waits for it.
  const auto cluster = Start();
  EXPECT_NE(cluster->postmaster_pid(), postmaster);
  EXPECT_EQ(Query(cluster->ConnectionString(), "SELECT a FROM kept")[0][0], "1");
  EXPECT_EQ(cluster->unexpected_ends(), 0);
}

TEST_F(PrivateClusterTest, LockFileOfAStrangerIsStale) {
  std::ofstream(absl::StrCat(pg_, "/data/postmaster.pid")) << getpid() << "\n";
  EXPECT_EQ(Query(Start()->ConnectionString(), "SELECT 1")[0][0], "1");
}

TEST_F(PrivateClusterTest, FolderTooLongForASocketGetsOneElsewhere) {
  const std::string deep = absl::StrCat(folder_.path(), "/", std::string(120, 'd'));
  std::filesystem::rename(pg_, deep);
  std::string socket_folder;
  {
    const auto cluster = PrivateCluster::Start(In(deep));
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    socket_folder = Query((*cluster)->ConnectionString(), "SHOW unix_socket_directories")[0][0];
    EXPECT_THAT(socket_folder, ::testing::HasSubstr("/tmp/ringfence-sock-"));
    EXPECT_EQ(std::filesystem::status(socket_folder).permissions(), std::filesystem::perms(0700));
  }
  EXPECT_FALSE(std::filesystem::exists(socket_folder));
}

TEST_F(PrivateClusterTest, HalfMadeClusterIsMadeAnew) {
  std::filesystem::rename(absl::StrCat(pg_, "/data"), absl::StrCat(pg_, "/data.new"));
  std::filesystem::remove(absl::StrCat(pg_, "/data.new/PG_VERSION"));
  EXPECT_EQ(Query(Start()->ConnectionString(), "SELECT 1")[0][0], "1");
}

TEST_F(PrivateClusterTest, BrokenClusterIsAnErrorThatShowsTheLog) {
  std::filesystem::remove_all(absl::StrCat(pg_, "/data/global"));
  const auto cluster = PrivateCluster::Start(In(pg_));
  EXPECT_EQ(cluster.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(cluster.status().message()),
              ::testing::HasSubstr("could not find the database system"));
}

TEST(PrivateClusterFolderTest, UnsearchableFolderIsNamed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root becomes somebody else";
  TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0700));
  const auto cluster = PrivateCluster::Start(In(absl::StrCat(folder.path(), "/pg")));
  EXPECT_EQ(cluster.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(cluster.status().message()), ::testing::HasSubstr(folder.path()));
}

TEST(PostgresBinariesTest, AreFoundOrNamedAsMissing) {
  EXPECT_TRUE(FindPostgresBinaries("", "").ok());
  EXPECT_EQ(FindPostgresBinaries("/nonexistent", "").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace ringfence::storage
