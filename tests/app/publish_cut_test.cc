// A server that is killed while it publishes, on a real PostgreSQL, at every single statement: afterwards the
// release is there whole or not at all, and the same publication once more, by the next server, is answered
// as if nothing had happened.
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/status_macros.h"
#include "server/app/app.h"
#include "server/storage/postgres/postgres_store.h"
#include "tests/app/publications.h"
#include "tests/gate/throwaway.h"
#include "tests/support/postgres_fixture.h"
#include "tests/support/wire_cut.h"

namespace ringfence::test {
namespace {

using gate::Throwaway;
using ringfence::testing::Query;
using ringfence::testing::TestCluster;
using ringfence::testing::WireCut;

constexpr size_t kLarger = 9000;

class PublishCutTest : public ::testing::Test {
 protected:
  PublishCutTest() {
    options_.trust = std::make_shared<const gate::Trust>(repository_.trust());
    options_.seed = 1;
    own_ = Open(url_);
    Start();
  }

  static std::unique_ptr<storage::Store> Open(const std::string& url) {
    storage::PostgresOptions options;
    options.connection_string = url;
    options.migrate = false;
    auto store = storage::OpenPostgresStore(options);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  // A new server process, as far as the database can tell.
  void Start() {
    app_.reset();
    store_.reset();
    // What the one before was at in the database is over.
    while (
        Query(url_,
              "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = "
              "'client backend' AND pid <> pg_backend_pid()")[0][0] != "1") {
    }
    wire_.Mend();
    store_ = Open(wire_.url());
    app_ = app::App::Make(options_, store_.get(), &clock_, nullptr);
    ASSERT_TRUE(app_->Start().ok());
  }

  // A release of two artifacts.
  app::PublishRequest Set(uint64_t serial) {
    repository_.ListNothing();
    List(repository_, serial, {"os=debian12"}, absl::StrCat(serial, "-debian.fct"));
    List(repository_, serial, {"os=win11"}, absl::StrCat(serial, "-windows.fct"), kLarger);
    app::PublishRequest request = RequestOf(repository_.Publish());
    request.skip_rings = true;  // one transaction more
    return request;
  }
  absl::StatusOr<app::PublishReply> Publish(const app::PublishRequest& request, uint64_t serial) {
    return app_->Publish({{"rita", app::Role::kReleaseManager, ""}, absl::StrCat("p", serial), "test"},
                         request);
  }
  // Of what the database has, on a way that is never cut.
  std::optional<storage::ReleaseRow> RowOf(uint64_t serial) {
    std::optional<storage::ReleaseRow> found;
    EXPECT_TRUE(own_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
                      found.reset();
                      ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> rows, tx.Releases());
                      for (const storage::ReleaseRow& row : rows)
                        if (row.release.serial == serial) found = row;
                      return absl::OkStatus();
                    })
                    .ok());
    return found;
  }
  // Killed at this statement of the publication of `serial`; false when it was over before.
  bool KillAt(int statement, WireCut::Last last, uint64_t serial) {
    SCOPED_TRACE(absl::StrCat("killed at statement ", statement, ", serial ", serial));
    const app::PublishRequest request = Set(serial);
    wire_.CutAt(statement, last);
    const bool answered = Publish(request, serial).ok();
    const bool killed = wire_.is_cut();
    EXPECT_TRUE(answered || killed);
    statements_ = wire_.statements();
    Start();
    const std::string stored = StoredOf(*own_, request, serial);
    EXPECT_TRUE(stored == "all" || stored == "nothing") << stored;
    EXPECT_TRUE(!answered || stored == "all");
    (stored == "all" ? whole_ : none_) += killed ? 1 : 0;
    const std::optional<storage::ReleaseRow> before = RowOf(serial);
    EXPECT_EQ(before.has_value(), stored == "all");

    const auto again = Publish(request, serial);
    EXPECT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(StoredOf(*own_, request, serial), "all");
    const std::optional<storage::ReleaseRow> after = RowOf(serial);
    if (!again.ok() || !after.has_value()) return killed;
    EXPECT_EQ(again->row, *after);
    if (before.has_value()) {
      EXPECT_EQ(*after, *before);
    }
    return killed;
  }

  const std::string url_ = TestCluster::Get().NewDatabase();
  WireCut wire_{url_};
  gate::ThrowawayRepository repository_{{Throwaway::Sensor("7.11.0", "7.11.0", 20)}};
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  app::AppOptions options_;
  std::unique_ptr<storage::Store> own_, store_;
  std::unique_ptr<app::App> app_;
  int statements_ = 0, whole_ = 0, none_ = 0;
};

TEST_F(PublishCutTest, WhereverItIsKilledTheReleaseIsThereWholeOrNotAtAllAndTheRepeatIsTheSame) {
  uint64_t serial = 0;
  int statement = 1;
  while (KillAt(statement, WireCut::Last::kLost, ++serial)) ++statement;
  EXPECT_GT(statement, 20);
  EXPECT_GT(none_, 20);
  // Done, and nobody hears of it: which statement the last commit is changes by what the server knows
  // already.
  const int last = statements_;
  for (statement = last - 4; statement <= last; ++statement)
    KillAt(statement, WireCut::Last::kArrives, ++serial);
  EXPECT_GT(whole_, 0);
}

}  // namespace
}  // namespace ringfence::test
