// What agents call. CheckIn and Lease are answered on the gRPC thread, from memory (a lease finishes when its
// exposure is committed); Enroll, GetArtifact and FetchMetadata touch the store and go to the agents' pool.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "ringfence/base/status_macros.h"
#include "ringfence/policy/reason.h"
#include "ringfence/trust/lease.h"
#include "ringfence/v1/agent.pb.h"
#include "server/api/artifact_download.h"
#include "server/api/decode.h"
#include "server/api/encode.h"
#include "server/api/metadata_download.h"
#include "server/api/rpc.h"
#include "server/api/services.h"

namespace ringfence::api {
namespace {

constexpr int kMostHalts = 256;
// Replicas' clocks differ: a halt that another one committed may have a lower seq than one that was heard
// before.
constexpr uint64_t kSeqOverlap = 3'600'000'000;

// Halts first: they are in every answer, whatever else it says.
template <typename Response>
void AddNotices(const app::Notices* notices, uint64_t halt_seq, Response* out) {
  if (notices == nullptr) return;
  for (const app::Notices::Halt& halt : notices->halts) {
    const bool known = !halt.of_ring && halt.seq + kSeqOverlap <= halt_seq;
    if (known || out->halt_notices_size() == kMostHalts) continue;
    out->add_halt_notices(halt.envelope);
  }
  for (const app::Notices::Order& order : notices->orders) out->add_resume_orders(order.envelope);
}

// What the director's key says of the grant. `ttl` is real time.
std::string Sealed(const app::LeaseTerms& terms, const v1::LeaseRequest& asked, const AgentId& agent,
                   absl::Duration ttl, const trust::SigningKey& director) {
  trust::Lease lease;
  lease.tenant = terms.tenant;
  lease.agent = agent;
  lease.nonce = asked.nonce();
  lease.channel = asked.channel();
  lease.sha256 = *Digest::FromBytes(asked.digest());  // decoded before
  lease.length = terms.length;
  lease.from_serial = terms.from_serial;
  lease.to_serial = terms.to_serial;
  lease.rollout = terms.rollout;
  lease.ring = terms.ring;
  lease.plan_version = static_cast<int64_t>(terms.plan_version);
  lease.plan_sha256 = terms.plan_sha256;
  lease.halt_seq = terms.halt_seq;
  lease.ttl = std::clamp(absl::Trunc(ttl, absl::Milliseconds(1)), absl::Milliseconds(1), trust::kMaxLeaseTtl);
  lease.issued_at = terms.at;
  return trust::SignLease(lease, director);
}

class AgentService final : public RpcService {
 public:
  explicit AgentService(Environment* env) : RpcService(env, "ringfence.v1.AgentService") {
    AddUnary("Enroll", Enroll);
    AddUnary("CheckIn", CheckIn);
    AddUnary("Lease", Lease);
    AddUnary("FetchPlan", FetchPlan);
    AddDownload("GetArtifact", StartArtifactDownload, /*relays=*/true);
    AddForwarded(kGetArtifact, AnswerMayFetch);
    AddDownload("FetchMetadata", StartMetadataDownload);
  }

 private:
  static absl::Status DoEnroll(const Call& call, const grpc::ByteBuffer& in, grpc::ByteBuffer* out) {
    v1::EnrollRequest message;
    RETURN_IF_ERROR(ParseMessage(in, &message));
    app::EnrolRequest request;
    RETURN_IF_ERROR(Decode(message, &request));
    ASSIGN_OR_RETURN(const app::EnrolReply reply, call.env->app->Enrol(request));
    v1::EnrollResponse response;
    Encode(reply, call.env->time_scale, &response);
    return SerializeMessage(response, out);
  }

  static void Enroll(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
    FinishOn(call.env->agents, /*urgent=*/false, call, [call, in, out] {
      absl::Status status = call.AdmitAnyone();
      if (status.ok()) status = DoEnroll(call, *in, out);
      call.env->metrics->Enrolled(status.ok());
      return status;
    });
  }

  static absl::Status DoFetchPlan(const Call& call, const grpc::ByteBuffer& in, grpc::ByteBuffer* out) {
    ASSIGN_OR_RETURN(const Call::Agent agent, call.AdmitAgent());
    v1::FetchPlanRequest message;
    RETURN_IF_ERROR(ParseMessage(in, &message));
    v1::FetchPlanResponse response;
    for (std::string& envelope :
         call.env->app->FetchPlan(agent.tenant, message.from_version(), message.from_seq())) {
      response.add_envelopes(std::move(envelope));
    }
    return SerializeMessage(response, out);
  }

  static void FetchPlan(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
    FinishOn(call.env->agents, /*urgent=*/false, call,
             [call, in, out] { return DoFetchPlan(call, *in, out); });
  }

  // [hot] The messages keep their memory from call to call.
  static absl::Status DoCheckIn(const Call& call, const grpc::ByteBuffer& in, grpc::ByteBuffer* out) {
    static thread_local v1::CheckInRequest message;
    static thread_local v1::CheckInResponse response;
    ASSIGN_OR_RETURN(const Call::Agent agent, call.AdmitAgent());
    RETURN_IF_ERROR(ParseMessage(in, &message));
    CheckInInput input;
    RETURN_IF_ERROR(Decode(message, agent.id, &input));
    app::CheckInReply reply;
    RETURN_IF_ERROR(call.env->app->CheckIn(input.request, &reply));
    if (reply.send_labels) call.env->metrics->CheckInResult("labels_wanted");
    response.Clear();
    Encode(reply, call.env->time_scale, &response);
    AddNotices(call.env->app->NoticesFor(agent.tenant, agent.id).get(), message.halt_seq(), &response);
    return SerializeMessage(response, out);
  }

  static void CheckIn(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
    const absl::Time start = call.env->real_clock->Now();
    const absl::Status status = DoCheckIn(call, *in, out);
    if (!status.ok()) call.env->metrics->CheckInResult("refused");
    call.env->metrics->CheckInTook(call.env->real_clock->Now() - start);
    call.Finish(status);
  }

  // [hot] `done` runs once, now or after the group commit; the call lives until Finish, cancelled or not.
  static absl::Status StartLease(const Call& call, const grpc::ByteBuffer& in, grpc::ByteBuffer* out) {
    ASSIGN_OR_RETURN(const Call::Agent agent, call.AdmitAgent());
    v1::LeaseRequest message;
    RETURN_IF_ERROR(ParseMessage(in, &message));
    app::LeaseRequest request;
    RETURN_IF_ERROR(Decode(message, agent.id, &request));
    auto done = [call, out, agent, message](absl::StatusOr<app::LeaseReply> reply) {
      absl::Status status = reply.status();
      const char* answer = "error";
      if (reply.ok()) {
        answer = reply->granted ? "granted" : policy::Name(reply->reason);
        v1::LeaseResponse response;
        Encode(*reply, call.env->time_scale, &response);
        if (reply->granted && call.env->director != nullptr && !message.nonce().empty()) {
          response.set_signed_lease(Sealed(reply->terms, message, agent.id, reply->ttl / call.env->time_scale,
                                           *call.env->director));
        }
        AddNotices(call.env->app->NoticesFor(agent.tenant, agent.id).get(), message.halt_seq(), &response);
        status = SerializeMessage(response, out);
      }
      call.env->metrics->LeaseAnswered(agent.tenant, message.channel(), answer);
      call.Finish(status);
    };
    call.env->metrics->LeaseAsked();
    call.env->app->Lease(request, std::move(done));
    return absl::OkStatus();
  }

  static void Lease(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
    const absl::Status status = StartLease(call, *in, out);
    if (!status.ok()) call.Finish(status);
  }
};

}  // namespace

std::unique_ptr<RpcService> MakeAgentService(Environment* env) {
  return std::make_unique<AgentService>(env);
}

}  // namespace ringfence::api
