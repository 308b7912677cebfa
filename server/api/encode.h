// From values to the wire. Times that are infinite are absent.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "ringfence/v1/agent.pb.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/app/messages.h"

namespace ringfence::api {

// Below zero becomes zero; infinite and beyond ten thousand years becomes that.
void Encode(absl::Duration in, google::protobuf::Duration* out);
void Encode(absl::Time in, google::protobuf::Timestamp* out);  // finite

// Agents wait in real time, the product's durations run `time_scale` times faster: what is sent to agents is
// divided.
void Encode(const app::CheckInReply& in, double time_scale, v1::CheckInResponse* out);
void Encode(const app::LeaseReply& in, double time_scale, v1::LeaseResponse* out);
void Encode(const app::EnrolReply& in, double time_scale, v1::EnrollResponse* out);

void Encode(const policy::Selector& in, v1::Selector* out);
void Encode(const policy::Plan& in, v1::Plan* out);
void Encode(const storage::PlanRow& in, v1::PlanRevision* out);
void Encode(const policy::Release& in, v1::ReleaseManifest* out);
void Encode(const storage::ReleaseRow& in, v1::Release* out);
void Encode(const storage::Scope& in, v1::Scope* out);
void Encode(const storage::BrakeRow& in, v1::Brake* out);
void Encode(const app::StageInfo& in, v1::Stage* out);
void Encode(const app::RolloutInfo& in, v1::Rollout* out);
void Encode(const storage::DecisionRow& in, v1::Decision* out);
void Encode(const storage::EvidenceRecordRow& in, v1::EvidenceRecord* out);
void Encode(const app::AgentInfo& in, v1::Agent* out);
void Encode(const storage::ExposureRow& in, v1::AgentExposure* out);
void Encode(const app::ApprovalInfo& in, v1::ReleaseApproval* out);
void Encode(const app::UrgentInfo& in, v1::UrgentRelease* out);
// Adds its warnings to those that are there.
// All but the label mix, which only some ask for.
void Encode(const app::PreviewReply& in, v1::PreviewPlanResponse* out);
void Encode(const policy::Projection& in, v1::Projection* out);
void Encode(const policy::MixEntry& in, v1::LabelMixEntry* out);
void Encode(const app::ExplainReleaseReply& in, v1::ExplainReleaseResponse* out);
void Encode(const app::ExplainReply& in, v1::ExplainAgentResponse* out);
void Encode(const storage::AuditRow& in, v1::AuditEvent* out);

}  // namespace ringfence::api
