// Everything wrong with a request at once, as a status that carries the list.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "ringfence/policy/fault.h"

namespace ringfence::api {

// The payload of a status: a serialized ringfence.v1.FaultList. On the wire it is the status' error details.
inline constexpr char kFaultListUrl[] = "type.googleapis.com/ringfence.v1.FaultList";

// Collects faults; the paths are those of the proto fields.
class Faults {
 public:
  void Add(std::string path, std::string found, std::string wanted) {
    list_.push_back({std::move(path), std::move(found), std::move(wanted)});
  }
  // Faults of the value, from rollout-policy. One whose path is known already (or lies below a known one)
  // says nothing new: the value there is only a placeholder.
  void AddValidation(std::vector<policy::Fault> more, absl::string_view prefix);

  bool empty() const { return list_.empty(); }
  const std::vector<policy::Fault>& list() const { return list_; }
  // Ok when empty; else InvalidArgument, a line per fault, with the kFaultListUrl payload.
  absl::Status ToStatus() const;

 private:
  std::vector<policy::Fault> list_;
};

// What goes into the error details: the list that the status carries, or the refusal as one; else nothing.
absl::optional<absl::Cord> FaultListOf(const absl::Status& status);

// The same for a list that somebody else made.
absl::Status FaultStatus(const std::vector<policy::Fault>& faults);

}  // namespace ringfence::api
