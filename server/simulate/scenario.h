// A scenario file (`rollout-scenario/1`) as values: one simulated fleet, one plan, releases, faults, bounds.
// docs/replay.md describes the format.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/selector.h"
#include "server/simulate/distribution.h"
#include "server/simulate/virtual_time.h"

namespace ringfence::replay {

using LabelPairs = std::vector<std::pair<std::string, std::string>>;

struct OnlineModel {
  double at_start = 1;
  double amplitude = 0;  // of a sine of 24 h around at_start
  double mean_session_seconds = 60 * 86400;
  double goodbye_share = 0;  // of hosts: those that say goodbye before they go offline
};

struct ChannelPolicy {
  policy::ChannelMode mode = policy::ChannelMode::kFollow;
  int lag = 0;
  std::string pinned_version;
};

struct TenantSpec {
  std::string name;
  double share = 0;
  ChannelPolicy content;
  ChannelPolicy sensor;
  std::map<std::string, double> cohort_shares;  // empty: the fleet's mix
};

struct CohortSpec {
  std::string name;
  double share = 0;
  LabelPairs labels;
};

struct FleetSpec {
  int64_t size = 0;
  double checkin_seconds = 60;
  Distribution download;
  Distribution activate_delay;
  OnlineModel online;
  double crash_per_host_day = 0;
  double reboot_per_host_day = 0;
  std::vector<TenantSpec> tenants;
  std::vector<CohortSpec> cohorts;
};

struct RingSpec {
  std::string name;
  std::vector<std::string> tenants;  // assign: these tenants
  double share = 0;                  // assign: this share of the whole fleet,
  int64_t min_per_cohort = 0;        // topped up to so many of each cohort
  bool rest = false;                 // assign: whoever is left
  std::vector<double> waves;         // cumulative
  Micros soak = 0;
};

struct PlanSpec {
  std::string channel;
  std::vector<RingSpec> rings;
  policy::SloGates gates;
  std::optional<double> soak_factor;  // of urgent releases
};

enum class ArtifactForm : uint8_t {
  kWellFormed,
  kEmpty,
  kZeroFilled,
  kZeroRun,
  kTruncated,
  kBitFlipped,
  kSchemaMismatch,
  kOversized,
  kIncompleteSet,
  kUnsigned,
  kBadSignature,
  kWrongKey,
  kStaleVersion,
};
const char* Name(ArtifactForm form);  // "well_formed", ...

enum class Evidence : uint8_t { kThisArtifact, kOtherArtifact, kNone };

struct StreamSpec {
  Micros every = 0;
  int64_t count = 0;
  std::vector<ArtifactForm>
      forms;  // of the files in turn, repeated; empty: the release's own form throughout
};

struct ReleaseSpec {
  std::string id;
  std::string channel;
  std::string version;
  Micros at = 0;
  policy::Selector targets;
  ArtifactForm form = ArtifactForm::kWellFormed;
  int64_t size_bytes = 0;  // artifact_detail; 0: a small default
  std::vector<policy::Selector> matrix;
  Evidence evidence = Evidence::kThisArtifact;
  bool emergency = false;
  bool skip_rings_requested = false;
  std::optional<StreamSpec> stream;
};

enum class Trigger : uint8_t { kActivation, kReboot, kOsChange };
enum class Effect : uint8_t { kBootLoop, kSilent, kCrashOnce, kDegraded, kDestructive, kUpdaterDead };

struct FaultSpec {
  policy::Selector match;
  double probability = 1;
  Trigger trigger = Trigger::kActivation;
  LabelPairs to_labels;  // os_change
  Distribution delay;
  Effect effect = Effect::kBootLoop;
  double crash_report = 0;  // probability
  Micros report_delay = 0;
  double brief_checkins_per_hour = 0;
  double checkin_slowdown = 1;
  std::string metric;
  bool heals_on_revert = false;
  std::optional<Distribution> manual_repair;
};

enum class EventKind : uint8_t {
  kOsUpgrade,
  kExternalOutage,
  kServerRestart,
  kBackgroundCrash,
  kDuplicateReports,
  kExclude,  // people keep the stopped release from the cohort `labels_after` and let it go on; in no file
};

struct ScenarioEvent {
  EventKind kind = EventKind::kOsUpgrade;
  Micros at = 0;  // from the start, or from the first halt:
  bool after_first_halt = false;
  Micros duration = 0;
  policy::Selector match;
  double share = 1;
  Distribution spread;
  LabelPairs labels_after;
  Micros announces_pending = 0;  // this long before the reboot the host reports `pending.<label>`
  bool reboots = false;
  Micros reboots_after = 0;
  double rate_per_host_day = 0;
  std::string tenant;
  int64_t hosts = 0;
  int64_t copies_each = 1;
};

// One line of acceptance: a metric, its parameters, and the wanted value.
struct Bound {
  std::string metric;
  std::optional<double> min, max;
  std::optional<std::string> equals;
  std::vector<std::string> one_of;

  std::optional<Micros> within, from, to;
  std::string ring;
  std::optional<int> wave;  // from 1
  std::vector<std::string> rings;
  std::string gate;
  std::vector<LabelPairs> labels_any;  // one of these sets
  LabelPairs labels_all;               // labels, labels_all
  std::string or_scope;
  std::string event;
  std::string expect;
  std::string release;  // the release's id; empty: the newest

  int line = 0;
};

struct Calibration {
  std::optional<Micros> withdraw_at;
  std::optional<std::pair<double, double>> harmed_fraction, harmed_hosts;
};

struct Scenario {
  std::string id;
  std::string title;
  Micros tick = 30 * kSecond;
  Micros horizon = 0;
  std::vector<uint64_t> seeds;
  FleetSpec fleet;
  PlanSpec plan;
  std::vector<policy::Plan> plans;  // instead of `plan`, one for each tenant; never from a file
  std::vector<ReleaseSpec> releases;
  std::vector<FaultSpec> faults;
  std::vector<ScenarioEvent> events;
  Calibration calibration;
  std::vector<policy::Selector> never_offered;
  std::vector<Bound> must, stretch;
};

// InvalidArgument "NAME:LINE: PATH: FOUND; wanted ..." for anything that the format does not know. `name` is
// for messages.
absl::StatusOr<Scenario> ParseScenario(const std::string& name, const std::string& yaml);
absl::StatusOr<Scenario> LoadScenario(const std::string& path);

// The name of the vendor's own fleet in scenario files.
inline constexpr char kInternalTenant[] = "vendor-internal";

// Metrics that a bound may name.
bool IsKnownMetric(absl::string_view metric);

}  // namespace ringfence::replay
