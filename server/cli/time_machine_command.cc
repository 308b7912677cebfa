// ringfence plan time-machine, plan fleet: incidents of the past against a plan, on this machine, so that no
// server is loaded. From the server comes only how many hosts have which labels.
#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/api/decode.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"
#include "server/cli/human.h"
#include "server/cli/plan_check.h"
#include "server/cli/table.h"
#include "server/simulate/time_machine.h"

namespace ringfence::cli {
namespace {

using replay::Incident;
using replay::Spread;
using replay::TimeMachineReply;
using replay::TimeMachineRun;

constexpr size_t kMaxFileBytes = 1 << 20;

constexpr char kModelled[] =
    "Modelled: the server's own code with this plan's rings, waves, soaks, windows, ages and gates, the "
    "exposure "
    "budget and the evidence; hosts that sleep, crash for other reasons and reboot.";
constexpr char kNotModelled[] =
    "Not modelled: the checks at publication (the bad release passed them all and counts as tested "
    "everywhere), the "
    "vendor's own fleet and other customers (nobody noticed before you), people (nobody approves, pauses or "
    "resumes), "
    "networks. The clock starts on Monday, 2026-01-05 00:00 UTC.";

absl::StatusOr<v1::PreviewPlanResponse> Mix(Context& context, const v1::Plan& plan) {
  v1::PreviewPlanRequest request;
  v1::PreviewPlanResponse response;
  *request.mutable_plan() = plan;
  request.set_with_label_mix(true);
  const absl::Status status = context.remote().Call("PlanService/PreviewPlan", request, &response);
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<std::vector<policy::MixEntry>> ToMix(const v1::PreviewPlanResponse& fleet) {
  std::vector<policy::MixEntry> mix;
  for (const v1::LabelMixEntry& entry : fleet.label_mix()) {
    std::vector<policy::Labels::Pair> pairs;
    for (const v1::Label& label : entry.labels()) pairs.emplace_back(label.key(), label.value());
    absl::StatusOr<policy::Labels> labels = policy::Labels::Make(std::move(pairs));
    if (!labels.ok()) return labels.status();
    mix.push_back({*std::move(labels), entry.hosts()});
  }
  return mix;
}

// Ids of shipped ones, and files.
absl::StatusOr<std::vector<Incident>> Incidents(const Context& context,
                                                const std::vector<std::string>& wanted) {
  absl::StatusOr<std::vector<Incident>> shipped = replay::ShippedIncidents();
  if (!shipped.ok() || wanted.empty()) return shipped;
  std::vector<Incident> chosen;
  for (const std::string& name : wanted) {
    const auto found = std::find_if(shipped->begin(), shipped->end(), [&](const Incident& incident) {
      return incident.id == name || incident.date == name;
    });
    if (found != shipped->end()) {
      chosen.push_back(*found);
      continue;
    }
    const absl::StatusOr<std::string> text = ReadFile(context.world(), name, kMaxFileBytes);
    if (!text.ok()) {
      const std::string ids = absl::StrJoin(*shipped, ", ", [](std::string* out, const Incident& incident) {
        absl::StrAppend(out, incident.id);
      });
      return absl::InvalidArgumentError(absl::StrCat("'", name, "' is no file and none of ", ids));
    }
    absl::StatusOr<Incident> incident = replay::ParseIncident(name, *text);
    if (!incident.ok()) return incident.status();
    chosen.push_back(*std::move(incident));
  }
  return chosen;
}

struct Replayed {
  const Incident* incident = nullptr;
  TimeMachineReply reply;

  // Of the whole mix: in proportion, rounded up, never more than there are.
  int64_t Scale(int64_t hosts) const {
    const int64_t scaled =
        (hosts * reply.hosts + reply.simulated - 1) / std::max<int64_t>(1, reply.simulated);
    return std::min(scaled, reply.affected);
  }
  Spread Harmed(const std::vector<TimeMachineRun>& runs) const {
    std::vector<int64_t> counts;
    for (const TimeMachineRun& run : runs) counts.push_back(Scale(run.harmed));
    return counts.empty() ? Spread{} : replay::SpreadOf(std::move(counts));
  }
};

std::string SpreadText(const Spread& spread) {
  if (spread.least == spread.most) return absl::StrCat(spread.median);
  return absl::StrCat(spread.median, " (", spread.least, " to ", spread.most, ")");
}

// Of the run in the middle.
std::string StopText(const std::vector<TimeMachineRun>& runs) {
  std::vector<const TimeMachineRun*> stopped;
  for (const TimeMachineRun& run : runs) {
    if (run.stopped_after.has_value()) stopped.push_back(&run);
  }
  if (stopped.empty()) {
    const bool taken =
        std::any_of(runs.begin(), runs.end(), [](const TimeMachineRun& run) { return run.exposed > 0; });
    const bool through =
        std::any_of(runs.begin(), runs.end(), [](const TimeMachineRun& run) { return run.everybody; });
    return !taken    ? "nobody took it"
           : through ? "nothing stopped it"
                     : "not stopped, but never proven either, so it went no further";
  }
  std::sort(stopped.begin(), stopped.end(),
            [](const auto* a, const auto* b) { return *a->stopped_after < *b->stopped_after; });
  const TimeMachineRun& middle = *stopped[stopped.size() / 2];
  const absl::Duration after = *middle.stopped_after - middle.first_exposure.value_or(absl::ZeroDuration());
  return absl::StrCat(
      middle.stopped_by, ", ", Human(after), " after the first host took it",
      stopped.size() == runs.size() ? "" : absl::StrCat(" (", stopped.size(), " of ", runs.size(), " runs)"));
}

std::string LastRing(const std::vector<TimeMachineRun>& runs) {
  std::vector<std::string> rings;
  for (const TimeMachineRun& run : runs) {
    if (!run.last_ring.empty() && std::find(rings.begin(), rings.end(), run.last_ring) == rings.end())
      rings.push_back(run.last_ring);
  }
  return rings.empty() ? "-" : absl::StrJoin(rings, ", ");
}

Value RunsValue(const Replayed& one, const std::vector<TimeMachineRun>& runs) {
  List list;
  for (const TimeMachineRun& run : runs) {
    Map map{{"seed", run.seed}, {"exposed", run.exposed}, {"harmed", run.harmed}};
    if (run.stopped_after.has_value()) {
      map.emplace_back("stopped_after_seconds", absl::ToInt64Seconds(*run.stopped_after));
      map.emplace_back("stopped_by", run.stopped_by);
    }
    if (!run.last_ring.empty()) map.emplace_back("last_ring", run.last_ring);
    list.emplace_back(std::move(map));
  }
  const Spread harmed = one.Harmed(runs);
  return Map{
      {"harmed", harmed.median}, {"least", harmed.least}, {"most", harmed.most}, {"runs", std::move(list)}};
}

Value ToValue(const Replayed& one) {
  List sources;
  for (const std::string& source : one.incident->sources) sources.emplace_back(source);
  return Map{{"incident", one.incident->id},
             {"date", one.incident->date},
             {"title", one.incident->title},
             {"channel", one.incident->channel},
             {"hosts", one.reply.hosts},
             {"simulated", one.reply.simulated},
             {"affects", one.reply.affected > 0 ? policy::ToString(one.reply.meant) : ""},
             {"affected", one.reply.affected},
             {"with_plan", RunsValue(one, one.reply.with_plan)},
             {"pushed_to_everyone", RunsValue(one, one.reply.everyone)},
             {"assumed", one.incident->assumed},
             {"sources", std::move(sources)}};
}

void Show(const Context& context, const std::string& file, const std::vector<Replayed>& all, int seeds) {
  const TimeMachineReply& first = all[0].reply;
  context.out() << file << " against " << all.size() << (all.size() == 1 ? " incident" : " incidents")
                << ", on " << first.hosts << " hosts"
                << (first.simulated < first.hosts
                        ? absl::StrCat(" (", first.simulated, " simulated, in the same mix)")
                        : "")
                << ", " << seeds
                << (seeds == 1 ? " run each\n\n" : " runs each: the middle one, and the range\n\n");
  Table table(
      {"DATE", "INCIDENT", "CHANNEL", ">IT HITS", ">HARMED WITH THIS PLAN", ">PUSHED TO EVERYONE", "REACHED"},
      "");
  for (const Replayed& one : all) {
    const bool hit = one.reply.affected > 0;
    table.Row({one.incident->date, one.incident->title, one.incident->channel,
               absl::StrCat(one.reply.affected), hit ? SpreadText(one.Harmed(one.reply.with_plan)) : "-",
               hit ? SpreadText(one.Harmed(one.reply.everyone)) : "-", LastRing(one.reply.with_plan)});
  }
  context.out() << table.ToString() << "\n";
  for (const Replayed& one : all) {
    if (one.reply.affected == 0) {
      context.out() << one.incident->date
                    << ": no host of this mix is one that it hit; --affects k=v names some\n";
      continue;
    }
    context.out() << "With this plan " << one.incident->date << " would have harmed "
                  << one.Harmed(one.reply.with_plan).median << " of your " << one.reply.hosts
                  << " hosts, a push to everyone " << one.Harmed(one.reply.everyone).median << ": "
                  << StopText(one.reply.with_plan) << ". It hits " << policy::ToString(one.reply.meant)
                  << ".\n";
  }
  context.out() << "\n" << kModelled << "\n" << kNotModelled << "\n";
  if (first.simulated < first.hosts) {
    context.out() << "Figures are scaled up from " << first.simulated
                  << " hosts in proportion. That overstates what the plan lets through: the budget of "
                     "unproven hosts does "
                     "not grow with the fleet.\n";
  }
}

}  // namespace

int PlanTimeMachine(Context& context, const TimeMachineOptions& options) {
  const LoadedPlan loaded = LoadPlan(context, options.file);
  if (loaded.exit_code != kOk) return loaded.exit_code;
  const CheckedPlan checked = CheckPlan(loaded.parsed);
  if (!checked.faults.empty()) {
    context.err() << Render(options.file, checked.faults);
    return kUsage;
  }
  v1::PreviewPlanResponse fleet;
  if (options.fleet.empty()) {
    absl::StatusOr<v1::PreviewPlanResponse> asked = Mix(context, loaded.parsed.message);
    if (!asked.ok()) return context.Fail(asked.status(), options.file, &loaded.parsed.places);
    fleet = *std::move(asked);
  } else {
    const absl::StatusOr<std::string> text = ReadFile(context.world(), options.fleet, kMaxFileBytes);
    if (!text.ok()) return context.Usage(text.status().message());
    Parsed<v1::PreviewPlanResponse> parsed = ParseFleetYaml(*text);
    if (!parsed.faults.empty()) {
      context.err() << Render(options.fleet, parsed.faults);
      return kUsage;
    }
    fleet = std::move(parsed.message);
  }
  replay::TimeMachineInput input;
  input.plan = checked.plan;
  absl::StatusOr<std::vector<policy::MixEntry>> mix = ToMix(fleet);
  if (!mix.ok()) return context.Usage(mix.status().message());
  if (mix->empty()) return context.Usage("there are no hosts: enrol some, or say --fleet FILE");
  input.mix = *std::move(mix);
  input.most_hosts = options.hosts;
  input.horizon = options.days * replay::kDay;
  input.seeds.clear();
  for (int seed = 1; seed <= options.seeds; ++seed) input.seeds.push_back(static_cast<uint64_t>(seed));
  if (!options.affects.empty()) {
    v1::Selector affects;
    if (const absl::Status status = AddPairs(options.affects, &affects); !status.ok())
      return context.Usage(status.message());
    api::Faults faults;
    input.affects = api::DecodeSelector(affects, "--affects", faults);
    if (!faults.empty()) return context.Usage(policy::ToString(faults.list()[0]));
  }
  const absl::StatusOr<std::vector<Incident>> incidents = Incidents(context, options.incidents);
  if (!incidents.ok()) return context.Usage(incidents.status().message());

  std::vector<Replayed> all;
  for (const Incident& incident : *incidents) {
    if (context.world().interrupted()) return kInterrupted;
    input.incident = incident;
    absl::StatusOr<TimeMachineReply> reply = replay::RunTimeMachine(input);
    if (!reply.ok()) return context.Fail(reply.status());
    all.push_back({&incident, *std::move(reply)});
  }
  if (context.table()) {
    Show(context, options.file, all, options.seeds);
  } else {
    List list;
    for (const Replayed& one : all) list.push_back(ToValue(one));
    context.Print(
        Map{{"incidents", std::move(list)}, {"modelled", kModelled}, {"not_modelled", kNotModelled}});
  }
  return kOk;
}

int PlanFleet(Context& context, const PlanTenantOptions& options) {
  v1::GetPlanRequest request;
  v1::GetPlanResponse response;
  request.set_tenant(options.tenant);
  const absl::Status status = context.remote().Call("PlanService/GetPlan", request, &response);
  if (!status.ok()) return context.Fail(status);
  const absl::StatusOr<v1::PreviewPlanResponse> mix = Mix(context, response.current().plan());
  if (!mix.ok()) return context.Fail(mix.status());
  v1::PreviewPlanResponse fleet;
  *fleet.mutable_label_mix() = mix->label_mix();
  if (context.output() == Output::kJson) {
    context.Print(fleet);
    return kOk;
  }
  context.out() << FleetToYaml(fleet);
  return kOk;
}

}  // namespace ringfence::cli
