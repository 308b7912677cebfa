// Between the application's values and the wire, from the caller's side: what the server's handlers decode is
// encoded here, and the other way round. Nothing is left out that the replay looks at.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ringfence/v1/agent.pb.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/release.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/app/messages.h"

namespace ringfence::replay {

// The most events that one check-in takes (proto/ringfence/v1/agent.proto).
inline constexpr size_t kMostEvents = 64;

// Adds `authorization: Bearer CREDENTIAL`.
void Authorize(grpc::ClientContext& context, const std::string& credential);
// The refusal's word of the trailing metadata becomes the payload that the application sets.
absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context);

// `events` instead of those of `in`.
void EncodeCheckIn(const app::CheckInRequest& in, absl::Span<const app::AgentEvent> events,
                   v1::CheckInRequest* out);
absl::Status DecodeCheckIn(const v1::CheckInResponse& in, app::CheckInReply* out);

void EncodeLease(const app::LeaseRequest& in, v1::LeaseRequest* out);
// Internal when the answer or its reason is none that the application gives.
absl::StatusOr<app::LeaseReply> DecodeLease(const v1::LeaseResponse& in);

absl::StatusOr<policy::Reason> ReasonOf(const std::string& word);  // Internal: no such word
storage::ReleaseRow DecodeRelease(const v1::Release& in);
storage::DecisionRow DecodeDecision(const v1::Decision& in);
storage::AuditRow DecodeAudit(const v1::AuditEvent& in);

}  // namespace ringfence::replay
