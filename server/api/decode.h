// From the wire to values. Total and strict: any message may be passed; an unknown or zero enum, text that is
// not UTF-8 or holds control characters, a digest that is not 32 bytes, a field too long or missing, a
// negative or malformed duration is InvalidArgument with every fault listed (faults.h). On an error the
// output is unspecified.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/v1/agent.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/api/faults.h"
#include "server/app/messages.h"

namespace ringfence::api {

// ---- agents

// Owns what the views of `request` point to, besides the decoded message itself. Not copyable: views point
// into it.
struct CheckInInput {
  CheckInInput() = default;
  CheckInInput(const CheckInInput&) = delete;
  CheckInInput& operator=(const CheckInInput&) = delete;

  app::CheckInRequest request;
  std::string labels_hash;
  std::optional<policy::Labels> labels;
  absl::InlinedVector<app::RunningView, 4> running;
  absl::InlinedVector<Digest, 4> staged;
  std::vector<app::AgentEvent> events;
};

// `in` and `out` must outlive the use of out->request.
absl::Status Decode(const v1::CheckInRequest& in, const AgentId& agent, CheckInInput* out);
absl::Status Decode(const v1::EnrollRequest& in, app::EnrolRequest* out);
// `in` must outlive the use of `out`.
absl::Status Decode(const v1::LeaseRequest& in, const AgentId& agent, app::LeaseRequest* out);
struct ArtifactRange {
  Digest digest;
  int64_t offset = 0;  // zero or more; its upper bound is the artifact's size
};
absl::Status Decode(const v1::GetArtifactRequest& in, ArtifactRange* out);
struct MetadataRange {
  std::string name;
  uint64_t offset = 0;  // its upper bound is the file's size
};
absl::Status Decode(const v1::FetchMetadataRequest& in, MetadataRange* out);

// ---- values

// Conversion faults only, with paths below `path`; the value may hold placeholders where one was found.
policy::Selector DecodeSelector(const v1::Selector& in, const std::string& path, Faults& faults);
// Conversion faults and policy::Validate's together: every fault of the plan at once.
policy::Plan DecodePlan(const v1::Plan& in, const std::string& path, Faults& faults);
// The same. size_bytes is not known here and not judged.
policy::Release DecodeManifest(const v1::ReleaseManifest& in, const std::string& path, Faults& faults);
storage::Scope DecodeScope(const v1::Scope& in, const std::string& path, Faults& faults);
app::BrakeKind DecodeBrakeKind(v1::BrakeKind in, const std::string& path, Faults& faults);
app::BypassKind DecodeBypassKind(v1::BypassKind in, const std::string& path, Faults& faults);

// ---- parts that many requests have

constexpr size_t kMaxRequestIdBytes = 64;
constexpr size_t kMaxReasonBytes = 512;

void CheckRequestId(const std::string& id, const std::string& path, Faults& faults);  // 1 to 64 bytes
void CheckReason(const std::string& reason, Faults& faults);                          // 1 to 512 bytes
void CheckSlug(const std::string& text, const std::string& path, Faults& faults);
void CheckSlugOrEmpty(const std::string& text, const std::string& path, Faults& faults);
void CheckSerial(uint64_t serial, const std::string& path, Faults& faults);  // from 1
void CheckSerialOrZero(uint64_t serial, const std::string& path,
                       Faults& faults);  // 0 has a meaning of its own

// Zero when absent. Faults: nanos out of range or of the other sign, negative, longer than ten years.
absl::Duration DecodeDuration(bool present, const google::protobuf::Duration& in, const std::string& path,
                              Faults& faults);

// A page: how many, and the id after which it starts (0: from the newest).
struct Page {
  int limit = 100;
  int64_t before = 0;
};
Page DecodePage(int32_t page_size, const std::string& page_token, Faults& faults);
int DecodePageSize(int32_t page_size, Faults& faults);

}  // namespace ringfence::api
