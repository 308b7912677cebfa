// Values <-> wire. What comes from the server is checked here: a malformed reply is an error, never half a
// reply.
#pragma once

#include "absl/status/statusor.h"
#include "ringfence/agent/types.h"
#include "ringfence/v1/agent.pb.h"

namespace ringfence::agent {

void ToProto(const CheckIn& request, v1::CheckInRequest* out);
void ToProto(const policy::Labels& labels, google::protobuf::RepeatedPtrField<v1::Label>* out);

// Directives of a kind that this agent does not know are left out: a newer server must not break an older
// agent.
absl::StatusOr<CheckInReply> FromProto(const v1::CheckInResponse& response);
absl::StatusOr<LeaseReply> FromProto(const v1::LeaseResponse& response);
absl::StatusOr<EnrolReply> FromProto(const v1::EnrollResponse& response);

absl::StatusOr<std::vector<std::string>> FromProto(const v1::FetchPlanResponse& response);

}  // namespace ringfence::agent
