// A rollout in full swing, on a PostgreSQL that really flushes or on a store of the caller's: most of a small
// fleet has the release and proved it, the others ask for it all at once. Getting there as a fleet does would
// take hours of its time, so the proven exposures are written to the store and a new App starts on them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ringfence/base/clock.h"
#include "server/app/app.h"
#include "server/storage/postgres/private_cluster.h"
#include "tests/support/postgres_fixture.h"

namespace ringfence::bench {

class RolloutRig {
 public:
  struct Options {
    int proven = 0;                   // hosts 0 to proven-1
    int asking = 0;                   // the hosts after them
    storage::Store* store = nullptr;  // empty, outlives the rig; null: on PostgreSQL
  };
  explicit RolloutRig(Options options);
  ~RolloutRig();

  // Stops the App, brings a new release to that point, and starts an App in which every asker may be drawn.
  void FreshRelease();

  app::App& app() { return *app_; }
  storage::Store& store() { return *store_; }
  // The rows of this release beyond the proven hosts'.
  int64_t Exposed();
  const policy::Release& release() const { return release_; }
  // With a store of its own.
  std::string database() const { return cluster_->ConnectionString(); }
  int first_asker() const { return options_.proven; }
  int hosts() const { return options_.proven + options_.asking; }
  // Called when a lease is queued; set before FreshRelease.
  std::function<void()> on_lease_queued;

  // Asks for the release. `done` as in App::Lease.
  void Ask(int host, app::LeaseDone done);

 private:
  void StartApp();
  void Publish();
  storage::StageRow OpenStage();

  const Options options_;
  ManualClock clock_;
  testing::TemporaryFolder folder_;
  std::unique_ptr<storage::PrivateCluster> cluster_;
  std::unique_ptr<storage::Store> own_store_;
  storage::Store* store_ = nullptr;
  std::unique_ptr<app::App> app_;
  policy::Release release_;
};

}  // namespace ringfence::bench
