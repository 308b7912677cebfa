#include "bounds.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "host_metrics.h"
#include "record_metrics.h"
#include "ringfence/base/status_macros.h"
#include "server/simulate/plan_builder.h"

namespace ringfence::replay {
namespace {

using Measurer = MetricValue (*)(const RunView&, const Bound&);

MetricValue Missing(const RunView&, const Bound& bound) {
  return {std::monostate(), absl::StrCat(bound.metric, ": the feature that it measures does not exist yet")};
}

const std::map<std::string, Measurer>& Measurers() {
  static const auto& measurers = *new std::map<std::string, Measurer>{
      {"publish_result", PublishResult},
      {"refusal_class", RefusalClass},
      {"refusals", Refusals},
      {"offered_bad_files", OfferedBadFiles},
      {"bypass_request", BypassRequest},
      {"offered_hosts", OfferedHosts},
      {"exposed_hosts", ExposedHosts},
      {"harmed_hosts", HarmedHosts},
      {"customer_hosts_harmed", CustomerHostsHarmed},
      {"rescued_hosts", RescuedHosts},
      {"recovered_fraction_of_harmed", RecoveredFraction},
      {"minutes_first_harm_to_last_offer", MinutesToLastOffer},
      {"contained_in", ContainedIn},
      {"contained_in_any", ContainedInAny},
      {"coverage_of_eligible_online", Coverage},
      {"revert_offers_in_any_minute_fraction_of_reverting", RevertOffersInAnyMinute},
      {"peak_requests_over_steady_state", PeakRequests},
      {"minutes_to_serve_after_restart", MinutesToServe},
      {"false_halts", FalseHalts},
      {"halt_not_attributed_to_release", HaltNotAttributed},
      {"no_promotion_between", NoPromotionBetween},
      {"halt_names", HaltNames},
      {"withheld_reason_names", WithheldReasonNames},
      {"publish_warns_uncovered", PublishWarnsUncovered},
      {"audit_has", AuditHas},
      {"after_restart", AfterRestart},
      {"resume_excluding", ResumeExcluding},
      {"agent_refusals", Missing},
      {"agents_during_outage", Missing},
      {"hold_before_reboot", HoldBeforeReboot},
  };
  return measurers;
}

std::optional<double> AsNumber(const MetricValue& value) {
  if (const double* number = std::get_if<double>(&value.value)) return *number;
  if (const bool* truth = std::get_if<bool>(&value.value)) return *truth ? 1 : 0;
  return std::nullopt;
}

bool IsEqual(const MetricValue& value, const std::string& wanted) {
  double number = 0;
  if (const auto own = AsNumber(value); own.has_value() && absl::SimpleAtod(wanted, &number))
    return *own == number;
  return ToString(value) == wanted;
}

}  // namespace

MetricValue Measure(const RunView& run, const Bound& bound) {
  const auto found = Measurers().find(bound.metric);
  if (found == Measurers().end()) return {std::monostate(), absl::StrCat(bound.metric, ": unknown metric")};
  return found->second(run, bound);
}

bool Holds(const Bound& bound, const MetricValue& value) {
  if (std::holds_alternative<std::monostate>(value.value)) return false;
  const std::optional<double> number = AsNumber(value);
  if (bound.min.has_value() && (!number.has_value() || *number < *bound.min)) return false;
  if (bound.max.has_value() && (!number.has_value() || *number > *bound.max)) return false;
  if (bound.equals.has_value() && !IsEqual(value, *bound.equals)) return false;
  if (!bound.one_of.empty() && std::none_of(bound.one_of.begin(), bound.one_of.end(),
                                            [&](const std::string& word) { return IsEqual(value, word); })) {
    return false;
  }
  const bool asks_nothing = !bound.min && !bound.max && !bound.equals && bound.one_of.empty();
  const bool* truth = std::get_if<bool>(&value.value);
  return !asks_nothing || (truth != nullptr && *truth);
}

std::string ToString(const MetricValue& value) {
  if (const double* number = std::get_if<double>(&value.value)) return absl::StrCat(*number);
  if (const bool* truth = std::get_if<bool>(&value.value)) return *truth ? "true" : "false";
  if (const std::string* text = std::get_if<std::string>(&value.value)) return *text;
  return "none";
}

std::string Describe(const Bound& bound, const MetricValue& value) {
  std::vector<std::string> wanted;
  if (bound.min.has_value()) wanted.push_back(absl::StrCat("at least ", *bound.min));
  if (bound.max.has_value()) wanted.push_back(absl::StrCat("at most ", *bound.max));
  if (bound.equals.has_value()) wanted.push_back(*bound.equals);
  if (!bound.one_of.empty()) wanted.push_back(absl::StrCat("one of ", absl::StrJoin(bound.one_of, ", ")));
  if (wanted.empty()) wanted.push_back("true");
  std::string text =
      absl::StrCat(bound.metric, ": ", ToString(value), "; wanted ", absl::StrJoin(wanted, " and "));
  if (!bound.ring.empty()) absl::StrAppend(&text, " (ring ", bound.ring, ")");
  if (bound.wave.has_value()) absl::StrAppend(&text, " (wave ", *bound.wave, ")");
  if (bound.within.has_value())
    absl::StrAppend(&text, " within ", absl::FormatDuration(ToDuration(*bound.within)));
  if (!value.why.empty()) absl::StrAppend(&text, " (", value.why, ")");
  return text;
}

absl::StatusOr<ServerRecord> ReadRecord(const Ledger& ledger, Server& server) {
  ServerRecord record;
  ASSIGN_OR_RETURN(record.decisions, server.Decisions());
  ASSIGN_OR_RETURN(record.audit, server.Audit());
  for (const PublishRecord& publish : ledger.publishes) {
    if (!publish.accepted) continue;
    const Version& version = ledger.versions[publish.version];
    const char* channel = version.slot == kContentSlot ? kContentChannel : kSensorChannel;
    ASSIGN_OR_RETURN(record.exposures[publish.version], server.Exposures(channel, version.serial));
    ASSIGN_OR_RETURN(record.stopped[publish.version], server.IsStopped(channel, version.serial));
  }
  return record;
}

}  // namespace ringfence::replay
