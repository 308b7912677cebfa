// The method's judgement of one release on this replica: the library's judge (docs/health-analysis.md), fed
// with what the engine hears, and what of it is durable. The engine owns one per release under its lock;
// nothing here locks, talks to the store or reads a clock.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "ringfence/policy/judge/halt_review.h"
#include "ringfence/policy/judge/release_judge.h"
#include "server/app/cells.h"
#include "server/app/fleet_index.h"
#include "server/record/decision_record.h"
#include "server/storage/rows.h"

namespace ringfence::app {

// Channels of evidence that count hosts (the gauge does not).
inline constexpr size_t kCountedChannels = 4;

// Spells of one scope (the release, or one cell) in one channel.
struct SpellCounts {
  int64_t bad_treated = 0, all_treated = 0, bad_control = 0, all_control = 0;

  friend bool operator==(const SpellCounts&, const SpellCounts&) = default;
};

// How tenants and rings are named beside label values.
std::string CellOfTenant(absl::string_view tenant);
std::string CellOfRing(absl::string_view ring);
bool IsTenantCell(absl::string_view cell);
// A label value, tenant or ring in words: "with os=xp", "of tenant acme".
std::string OfCell(absl::string_view cell);

class ReleaseJudgement {
 public:
  explicit ReleaseJudgement(double rho0);

  // ---- cells. A host's cells are frozen when it is first asked about; `names` tells those of a place, and
  // is called once for each place.
  using NamesOf = absl::FunctionRef<std::vector<std::string>(const Place&)>;
  policy::CellSpan Freeze(HostRef host, const Place& place, NamesOf names);
  // The same, for a host that was drawn in an earlier life of the server.
  void Freeze(HostRef host, std::vector<std::string> names);
  // Of a host whose cells are frozen; otherwise empty.
  policy::CellSpan CellsOf(HostRef host) const;
  const std::string& NameOf(policy::CellIndex cell) const { return names_[cell]; }

  // Rings may have other names from now on.
  void ForgetPlaces() { set_of_place_.clear(); }

  bool started() const { return started_; }
  const std::vector<std::string>& blocked() const { return row_.blocked; }
  bool blocks_any() const { return !row_.blocked.empty(); }
  // "key=value" that people keep the release from.
  const std::vector<std::string>& excluded() const { return row_.excluded; }
  const storage::JudgementRow& row() const { return row_; }
  bool IsBlocked(policy::CellSpan cells) const;
  // Of a host with frozen cells: the first that is blocked; empty: none.
  std::string BlockedOf(HostRef host) const;

  // ---- from the draw to maturity
  // Fixes the number of slots. Before the first Freeze; without effect after Restore or a second time.
  void Start(int64_t cells_at_start);
  // A stratum takes draws until `closes`.
  policy::StratumNumber OpenStratum(uint64_t bucket, double rho, FleetNanos closes);
  // Not closed yet?
  bool TakesDraws(policy::StratumNumber stratum) const;
  bool HasOpenSpell(HostRef host) const { return judge_.HasOpenSpell(IndexOf(host)); }
  // A drawn host without an open spell, whose cells are frozen.
  void Open(policy::StratumNumber stratum, HostRef host, policy::HostClass host_class,
            const policy::Bucket::Answer& drawn);
  // The spell's one outcome; which arm it was.
  policy::Arm Mature(HostRef host, const policy::SpellOutcome& outcome);
  // ---- the soak (judgement_soak.cc). Does the host have an open soak spell?
  bool HasOpenSoak(HostRef host) const { return judge_.HasOpenSoak(IndexOf(host)); }
  // The first event of the channel in the host's open soak spell; later ones, and other hosts', are nothing.
  void SoakBad(HostRef host, policy::HealthChannel channel, bool treated);
  void EndSoak(HostRef host) { judge_.EndSoak(IndexOf(host)); }
  // The replica listened to nobody for too long: what is open is no evidence, both arms together.
  void VoidOpen();

  // ---- reading
  // Takes in the strata that are complete; records them as of `now`. `p_hist`: what is usual, by class.
  const policy::HealthReading& Read(FleetNanos fleet_now, absl::Time now,
                                    const policy::BackgroundRates& p_hist);
  const policy::HealthReading& reading() const { return reading_; }  // of the last Read
  // All lives and replicas together; no cell: the release.
  SpellCounts Counts(policy::HealthChannel channel, std::optional<policy::CellIndex> cell) const;
  // The cell that the evidence (or guard A's) points at, when it tells more than the release as a whole: its
  // treated hosts fared clearly worse than the others.
  std::optional<policy::CellIndex> Suspected(bool by_guard);
  // A kind of host that the release can go on without (no tenant, ring or shared slot), blocked neither yet
  // nor once too often, without whose hosts no evidence is left, and that the spells in flight may yet name.
  bool MayYetBeNamed(policy::CellIndex cell) const;
  // One that all bad news point at; none: a stop for everyone need not wait for it.
  std::optional<policy::CellIndex> MayYetBeNamed() const;
  std::optional<policy::CellIndex> SlotNamed(absl::string_view name) const;
  // "26 of 26 hosts with coinstalled=symantec-dlp fell silent; 0 of 410 without", or the same of the release
  // beside its controls.
  std::string InWords(std::optional<policy::CellIndex> cell) const;
  // All that the last Read looked at, for a decision's record. `replica` is this one's epoch.
  record::MethodEvidence Look(uint32_t replica) const;

  // ---- before a halt
  // `internal`: the cell of the internal tenant, which is never blocked; empty: there is none.
  // `evidence`: what it looked at, for the decision's record.
  policy::HaltReview Review(const std::string& internal, record::ReviewEvidence* evidence) const;
  // The release is kept from the cell's hosts from now on, and they are no part of the test.
  void Block(policy::CellIndex cell);
  // The same by people's word, of any label value. Started; not excluded yet.
  void Exclude(const std::string& cohort);
  // Lets the hosts in again that Block or Exclude kept out. What was recorded of them until `at` is no part
  // of the test any more.
  void Unblock(const std::string& cohort, absl::Time at);
  // Whether `row` says that what was recorded at `at` with one of these cells counts no more.
  static bool IsForgotten(const storage::JudgementRow& row, absl::Time at,
                          absl::Span<const std::string> cells);
  // A new test after a two-person resume: its evidence starts at nothing.
  void Restart();

  // ---- what is durable
  struct Unsaved {
    std::optional<storage::JudgementRow> judgement;
    std::vector<storage::EvidenceRow> vectors;
    std::vector<storage::EvidenceRecordRow> records;
    bool empty() const { return !judgement.has_value() && vectors.empty() && records.empty(); }
  };
  // What changed since the last call. `agent_of` names hosts.
  Unsaved TakeUnsaved(const std::string& channel, uint64_t serial, uint32_t replica,
                      absl::FunctionRef<AgentId(HostRef)> agent_of);
  // It could not be written: the next TakeUnsaved has it again.
  void GiveBack(Unsaved unsaved);
  // What earlier lives and other replicas wrote. Before anything else is called.
  void Restore(const storage::JudgementRow& row, absl::Span<const storage::EvidenceRecordRow> records,
               std::vector<storage::EvidenceRow> vectors);

 private:
  struct Record {  // taken in, not yet made a row
    policy::StratumRecord stratum;
    std::optional<policy::BadEvent> soak;
    absl::Time at;
    int64_t test = 1;
  };
  using ScopeCounts = std::array<SpellCounts, kCountedChannels>;

  // Dense numbers of hosts: shards are filled evenly.
  static policy::HostIndex IndexOf(HostRef host) {
    return FleetIndex::IndexOf(host) * FleetIndex::kShards + (host >> FleetIndex::kIndexBits);
  }
  static HostRef RefOf(policy::HostIndex host) {
    return (host % FleetIndex::kShards) << FleetIndex::kIndexBits | host / FleetIndex::kShards;
  }
  uint32_t SetOf(std::vector<std::string> names);
  size_t BlockedByPeople() const;
  policy::CellIndex SlotOf(const std::string& name);
  std::vector<policy::CellIndex> SlotsOf(absl::Span<const std::string> names);
  std::vector<std::string> NamesForAll() const;   // of cells, for everybody to read
  void CountSoak(HostRef host, policy::Arm arm);  // opened with this draw, if it was
  void Count(policy::HealthChannel channel, policy::CellSpan cells, policy::Arm arm, bool bad);
  bool TellsMore(policy::CellIndex cell) const;
  // Of the release but for the hosts of blocked cells.
  SpellCounts CountsOfRest(policy::HealthChannel channel) const;
  storage::EvidenceRow RowOf(policy::HealthChannel channel, size_t scope) const;
  storage::EvidenceRecordRow RowOf(const Record& record, absl::FunctionRef<AgentId(HostRef)> agent_of) const;
  policy::JudgeSetup Setup() const;

  storage::JudgementRow row_;
  bool started_ = false;
  bool row_changed_ = false;

  policy::CellSlots slots_;
  policy::ReleaseJudge judge_;
  policy::HealthReading reading_;

  absl::flat_hash_map<std::string, policy::CellIndex> slot_of_;
  std::vector<std::string> names_;  // by slot; of one that is shared, "other"
  std::vector<policy::CellIndex> blocked_;

  // Sets of cells that hosts have, and which of them a host has.
  std::vector<std::vector<policy::CellIndex>> sets_;
  std::map<std::vector<std::string>, uint32_t> set_ids_;
  absl::flat_hash_map<uint32_t, uint32_t> set_of_place_;
  std::vector<uint32_t> set_of_host_;  // by HostIndex: set + 1; 0: not frozen

  std::deque<std::pair<FleetNanos, policy::StratumNumber>> open_strata_;  // by closing time

  policy::RecordLog log_;  // of this test, all lives: what a review is computed from
  std::vector<Record> new_records_;
  std::vector<storage::EvidenceRecordRow> unsaved_records_;
  int64_t seq_ = 0;
  std::map<uint32_t, int64_t> earlier_seq_;  // the last of each other replica and life

  std::vector<ScopeCounts> counts_;  // this life's; scope 0: the release, 1 + slot: a cell
  // The sums of the vectors that other lives and replicas wrote: ours is the rest.
  struct Vectors {
    policy::RVector r;
    policy::GuardVector guard;
    SpellCounts counts;
  };
  std::map<std::pair<size_t, size_t>, Vectors> earlier_;  // by channel and scope
  bool dirty_ = false;
  int64_t version_ = 0;
  std::map<std::pair<size_t, size_t>, storage::EvidenceRow> written_;
};

}  // namespace ringfence::app
