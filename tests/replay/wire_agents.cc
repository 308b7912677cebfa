#include "wire_agents.h"

#include <grpcpp/grpcpp.h>

#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/agent.grpc.pb.h"
#include "wire_codec.h"

namespace ringfence::replay {

// The handlers' own counters tell when a lease was taken up and answered.
class WireAgents::Taps final : public api::ApiMetrics {
 public:
  explicit Taps(WireAgents* agents) : agents_(agents) {}
  void LeaseAsked() override { Count(&WireAgents::asked_); }
  void LeaseAnswered(const std::string&, absl::string_view, absl::string_view) override {
    Count(&WireAgents::answered_);
  }

  void Count(int64_t WireAgents::*counter) {
    {
      MutexLock lock(&agents_->mutex_);
      ++(agents_->*counter);
    }
    agents_->changed_.notify_all();
  }

 private:
  WireAgents* const agents_;
};

struct WireAgents::Call {
  grpc::ClientContext context;
  v1::LeaseResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::LeaseResponse>> reader;
  LeaseDone done;
  bool ended = false;  // guarded by mutex_; status and response are the caller's from then on
};

// Ends of calls are taken from a queue on a thread of ours, not by gRPC's callbacks: the last owner of a
// channel must not be one of gRPC's own threads (grpc/grpc#37858).
struct WireAgents::Connection {
  std::vector<std::unique_ptr<v1::AgentService::Stub>> stubs;
  v1::AgentService::Stub* Of(const AgentId& agent) { return stubs[agent.bytes.back() % stubs.size()].get(); }
  grpc::CompletionQueue ends;
  std::thread reader;
};

std::string SecretOf(const AgentId& agent) {
  return std::string(Sha256(absl::StrCat("secret of ", agent.ToString())).raw());
}

std::string CredentialOf(const AgentId& agent) {
  return absl::StrCat(agent.ToString(), ".", absl::BytesToHexString(SecretOf(agent)));
}

WireAgents::WireAgents() : taps_(std::make_unique<Taps>(this)) {}

WireAgents::~WireAgents() {
  HangUp();
}

api::ApiMetrics* WireAgents::metrics() {
  return taps_.get();
}

void WireAgents::LeaseQueued() {
  taps_->Count(&WireAgents::queued_);
}

void WireAgents::Connect(const std::vector<std::shared_ptr<grpc::Channel>>& channels) {
  RF_CHECK(connection_ == nullptr);
  connection_ = std::make_unique<Connection>();
  for (const auto& channel : channels) connection_->stubs.push_back(v1::AgentService::NewStub(channel));
  connection_->reader = std::thread([this, connection = connection_.get()] {
    void* tag = nullptr;
    bool ok = false;
    while (connection->ends.Next(&tag, &ok)) {
      {
        MutexLock lock(&mutex_);
        static_cast<Call*>(tag)->ended = true;
        --open_calls_;
      }
      changed_.notify_all();
    }
  });
}

absl::Status WireAgents::CheckIn(const app::CheckInRequest& request, app::CheckInReply* reply) {
  // As an agent does with more events than a check-in takes: in several. The last one speaks for the host.
  absl::Span<const app::AgentEvent> events = request.events;
  while (true) {
    const absl::Span<const app::AgentEvent> some = events.subspan(0, kMostEvents);
    events.remove_prefix(some.size());
    v1::CheckInRequest message;
    EncodeCheckIn(request, some, &message);
    grpc::ClientContext context;
    Authorize(context, CredentialOf(request.agent));
    v1::CheckInResponse response;
    RETURN_IF_ERROR(FromGrpc(connection_->Of(request.agent)->CheckIn(&context, message, &response), context));
    if (events.empty()) return DecodeCheckIn(response, reply);
  }
}

void WireAgents::Lease(const app::LeaseRequest& request, LeaseDone done) {
  calls_.push_back(std::make_unique<Call>());
  Call* const call = calls_.back().get();
  call->done = std::move(done);
  Authorize(call->context, CredentialOf(request.agent));
  v1::LeaseRequest message;
  EncodeLease(request, &message);
  int64_t queued_before = 0;
  {
    MutexLock lock(&mutex_);
    queued_before = queued_;
    ++open_calls_;
  }
  call->reader = connection_->Of(request.agent)->AsyncLease(&call->context, message, &connection_->ends);
  call->reader->Finish(&call->response, &call->status, call);
  {
    MutexLock lock(&mutex_);
    while (!call->ended && queued_ == queued_before) changed_.wait(lock.native());
  }
  Deliver();
}

void WireAgents::Deliver() {
  std::vector<std::unique_ptr<Call>> ended;
  {
    MutexLock lock(&mutex_);
    while (open_calls_ > asked_ - answered_) changed_.wait(lock.native());
    std::deque<std::unique_ptr<Call>> waiting;
    for (std::unique_ptr<Call>& call : calls_) {
      if (call->ended) {
        ended.push_back(std::move(call));
      } else {
        waiting.push_back(std::move(call));
      }
    }
    calls_ = std::move(waiting);
  }
  for (const std::unique_ptr<Call>& call : ended) {
    const absl::Status status = FromGrpc(call->status, call->context);
    call->done(status.ok() ? DecodeLease(call->response) : absl::StatusOr<app::LeaseReply>(status));
  }
}

void WireAgents::HangUp() {
  if (connection_ == nullptr) return;
  {
    MutexLock lock(&mutex_);
    while (open_calls_ > 0) changed_.wait(lock.native());
  }
  calls_.clear();
  connection_->ends.Shutdown();
  connection_->reader.join();
  connection_.reset();
}

}  // namespace ringfence::replay
