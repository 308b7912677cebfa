// Memory for each host at a million: the fleet index alone, and what an application holds in all.
#include <algorithm>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "ringfence/base/clock.h"
#include "server/app/app.h"
#include "server/app/fleet_index.h"
#include "tests/bench/figure.h"
#include "tests/bench/fleet.h"
#include "tests/bench/resident.h"

namespace ringfence::bench {
namespace {

// A quarter of them for the application: tables that double are as full as with all.
constexpr int kHosts = 1'000'000;
constexpr int kTinyHosts = 20'000;

// The least that could do the work: an id, and a row that holds a secret's hash, a time and two references.
struct BareRow {
  Digest secret_hash;
  int64_t last_seen = 0;
  uint32_t label_set = 0;
  uint32_t running_set = 0;
};

double BareBytes(int hosts) {
  const double before = Resident();
  absl::flat_hash_map<AgentId, uint32_t> ids;
  std::vector<BareRow> rows;
  for (int host = 0; host < hosts; ++host) {
    ids.emplace(HostId(host), static_cast<uint32_t>(rows.size()));
    rows.emplace_back().last_seen = host;
  }
  return (Resident() - before) / hosts;
}

double IndexBytes(int hosts, bool resident) {
  const double before = Resident();
  app::FleetIndex index;
  for (int host = 0; host < hosts; ++host) {
    index.With(index.Add(HostId(host)), [&](app::Row& row) {
      row.secret_hash = SecretOf(host);
      row.label_set = static_cast<uint32_t>(host % 240);
    });
  }
  return (resident ? Resident() - before : static_cast<double>(index.MemoryBytes())) / hosts;
}

double AppBytes(int hosts) {
  ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  const std::unique_ptr<storage::Store> store = storage::MakeMemoryStore();
  std::vector<storage::AgentRow> rows;
  for (int host = 0; host < hosts; ++host) {
    rows.push_back(RowOf(host, absl::StrCat("tenant-", host % 50), clock.Now()));
    if (rows.size() < 5000) continue;
    RF_CHECK(store->ReadWrite([&](storage::Transaction& tx) { return tx.PutAgents(rows); }).ok());
    rows.clear();
  }
  const std::unique_ptr<app::App> app = app::App::Make({}, store.get(), &clock, nullptr);
  const double before = Resident();
  RF_CHECK(app->Start().ok());
  return (Resident() - before) / hosts;
}

}  // namespace

Figure MeasureIndex(const Options& options) {
  const int hosts = options.tiny ? kTinyHosts : kHosts;
  const double resident = InOwnProcess([&] { return IndexBytes(hosts, /*resident=*/true); });
  const double counted = InOwnProcess([&] { return IndexBytes(hosts, /*resident=*/false); });
  const double bare = InOwnProcess([&] { return BareBytes(hosts); });
  const double in_app = InOwnProcess([&] { return AppBytes(hosts / 4); });

  Figure figure;
  figure.name = "index";
  figure.value = std::max(resident, counted);
  figure.unit = "bytes per agent";
  figure.floor = bare;
  figure.ratio = figure.value / bare;
  figure.target = "value <= 250";
  figure.met = figure.value <= 250;
  figure.note = absl::StrFormat(
      "%d agents; growth of the resident memory %.0f, FleetIndex::MemoryBytes %.0f; floor: one flat map and "
      "a "
      "row of %d bytes; an App that starts with %d agents (label sets, deadlines, index; without the store) "
      "grows by %.0f for each",
      hosts, resident, counted, sizeof(BareRow), hosts / 4, in_app);
  return figure;
}

}  // namespace ringfence::bench
