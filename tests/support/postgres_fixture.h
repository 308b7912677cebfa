// A real PostgreSQL for tests: one private cluster per test program, started at first use and ended with the
// program, and a database of its own for each test. Link ringfence_postgres_fixture.
//
//   std::unique_ptr<storage::Store> store = NewPostgresStore();               // most tests
//   std::string url = TestCluster::Get().NewDatabase();                       // two stores on one database
//   TestCluster::Get().cluster()                                              // to kill or stop the server
//   itself
//
// The cluster runs without fsync: a killed postgres loses nothing, a killed machine would. Everything here
// ends the program with a message when PostgreSQL does not do what it is asked.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/storage/postgres/private_cluster.h"
#include "server/storage/store.h"

namespace ringfence::testing {

// A folder of our own under /var/tmp, which root's `postgres` user can reach; removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Thread-safe.
class TestCluster {
 public:
  // The one of this program.
  static TestCluster& Get();

  // Connection strings. A database with our schema (copied from a template: some tens of milliseconds), or
  // without.
  std::string NewDatabase();
  std::string NewEmptyDatabase();
  storage::PrivateCluster& cluster() { return *cluster_; }

 private:
  TestCluster();
  std::string Create(const std::string& from_template);

  TemporaryFolder folder_;
  std::unique_ptr<storage::PrivateCluster> cluster_;
};

// A store on a new database of TestCluster.
std::unique_ptr<storage::Store> NewPostgresStore();

// A folder with a cluster that was made and stopped, copied from one that this program makes once: quicker
// than initdb. For tests that start, kill and restart clusters of their own.
void CopyClusterTemplate(const std::string& to_folder);

// Runs SQL on a session of its own and returns all rows, columns as text. NULL is "". `Try` returns the
// server's message when it refuses, "" when it does not.
std::vector<std::vector<std::string>> Query(const std::string& connection_string, const std::string& sql);
std::string Try(const std::string& connection_string, const std::string& sql);

}  // namespace ringfence::testing
