// Plans, selectors, labels and what a host runs, as the JSON text of their jsonb columns. Durations are texts
// ("30m"), shares are whole parts per million, digests are hex: what is stored can be read in psql and comes
// back equal.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/policy/labels.h"
#include "ringfence/policy/plan.h"
#include "ringfence/policy/release.h"
#include "ringfence/policy/selector.h"
#include "server/storage/rows.h"

namespace ringfence::storage {

// InvalidArgument when a text is not UTF-8.
absl::StatusOr<std::string> PlanToJson(const policy::Plan& plan);
absl::StatusOr<std::string> SelectorToJson(const policy::Selector& selector);
absl::StatusOr<std::string> SelectorsToJson(const std::vector<policy::Selector>& selectors);
absl::StatusOr<std::string> ArtifactsToJson(const std::vector<policy::Artifact>& artifacts);
absl::StatusOr<std::string> LabelsToJson(const policy::Labels& labels);
absl::StatusOr<std::string> RunningToJson(const std::vector<Running>& running);

absl::StatusOr<std::string> EventsToJson(const std::vector<EvidenceEvent>& events);

// DataLoss when the text is not what the functions above write: a field that is missing, of another type or
// unknown.
absl::StatusOr<policy::Plan> PlanFromJson(absl::string_view text);
absl::StatusOr<policy::Selector> SelectorFromJson(absl::string_view text);
absl::StatusOr<std::vector<policy::Selector>> SelectorsFromJson(absl::string_view text);
absl::StatusOr<std::vector<policy::Artifact>> ArtifactsFromJson(absl::string_view text);
absl::StatusOr<policy::Labels> LabelsFromJson(absl::string_view text);
absl::StatusOr<std::vector<Running>> RunningFromJson(absl::string_view text);
absl::StatusOr<std::vector<EvidenceEvent>> EventsFromJson(absl::string_view text);

// The payload of a brake's notice: [tenant, channel, serial, ring, epoch].
absl::StatusOr<std::pair<Scope, int64_t>> BrakeNoticeFromJson(absl::string_view text);

}  // namespace ringfence::storage
