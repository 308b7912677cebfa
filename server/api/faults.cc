#include "server/api/faults.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/trust/refusal.h"
#include "ringfence/v1/common.pb.h"

namespace ringfence::api {
namespace {

// A list of thousands helps nobody, and message and details share the 8 KiB of a trailer.
constexpr size_t kMostFaults = 50;
constexpr size_t kMostBytes = 2400;

bool Covers(const policy::Fault& known, const std::string& path) {
  return path == known.path || (absl::StartsWith(path, known.path) &&
                                (path[known.path.size()] == '.' || path[known.path.size()] == '['));
}

}  // namespace

void Faults::AddValidation(std::vector<policy::Fault> more, absl::string_view prefix) {
  const size_t known = list_.size();
  for (policy::Fault& fault : more) {
    fault.path = absl::StrCat(prefix, fault.path);
    const auto end = list_.begin() + static_cast<std::ptrdiff_t>(known);
    if (std::any_of(list_.begin(), end, [&](const policy::Fault& old) { return Covers(old, fault.path); })) {
      continue;
    }
    list_.push_back(std::move(fault));
  }
}

absl::Status Faults::ToStatus() const {
  return FaultStatus(list_);
}

absl::optional<absl::Cord> FaultListOf(const absl::Status& status) {
  if (absl::optional<absl::Cord> list = status.GetPayload(kFaultListUrl)) return list;
  const std::optional<trust::Refusal> refusal = trust::RefusalFrom(status);
  if (!refusal.has_value()) return absl::nullopt;
  v1::FaultList detail;
  detail.set_refusal(std::string(trust::Name(refusal->type)));
  v1::Fault* fault = detail.add_faults();
  fault->set_path(absl::StrCat(refusal->part, refusal->field.empty() ? "" : ".", refusal->field));
  fault->set_found(absl::Utf8SafeCEscape(refusal->found));
  fault->set_wanted(absl::Utf8SafeCEscape(refusal->wanted));
  return absl::Cord(detail.SerializeAsString());
}

absl::Status FaultStatus(const std::vector<policy::Fault>& faults) {
  if (faults.empty()) return absl::OkStatus();
  v1::FaultList detail;
  std::string message;
  for (const policy::Fault& fault : faults) {
    const std::string line = policy::ToString(fault);
    if (detail.faults_size() == static_cast<int>(kMostFaults) || message.size() + line.size() > kMostBytes) {
      absl::StrAppend(&message, "\n... ", faults.size(), " faults in all");
      break;
    }
    absl::StrAppend(&message, message.empty() ? "" : "\n", line);
    v1::Fault* out = detail.add_faults();
    out->set_path(fault.path);
    out->set_found(fault.found);
    out->set_wanted(fault.wanted);
  }
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kFaultListUrl, absl::Cord(detail.SerializeAsString()));
  return status;
}

}  // namespace ringfence::api
