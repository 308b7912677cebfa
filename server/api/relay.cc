#include "server/api/relay.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/internal/v1/replica.pb.h"
#include "ringfence/v1/fleet.pb.h"

namespace ringfence::api {
namespace {

constexpr char kForward[] = "/ringfence.internal.v1.ReplicaService/Forward";
constexpr char kStatusMethod[] = "ringfence.v1.FleetService/GetServerStatus";
// What waits for the leader's disk may go in several batches at a time, what it answers from memory in one.
constexpr struct {
  const char* method;
  int most_in_flight;
} kLanes[] = {{"ringfence.v1.AgentService/CheckIn", 1},
              {"ringfence.v1.AgentService/Lease", 4},
              {"ringfence.v1.AgentService/Enroll", 4},
              {"ringfence.v1.AgentService/GetArtifact", 4}};
constexpr const char* kStops[] = {
    "ringfence.v1.RolloutService/PauseRollout", "ringfence.v1.RolloutService/HaltRollout",
    "ringfence.v1.RolloutService/RollBackRollout", "ringfence.v1.ReleaseService/RecallRelease"};

bool IsStop(absl::string_view method) {
  return std::find(std::begin(kStops), std::end(kStops), method) != std::end(kStops);
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // A leader that is back, or a network, is found again within a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);  // what the leader sends was its to bound
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::string Flat(const grpc::ByteBuffer& buffer) {
  std::string bytes;
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

grpc::ByteBuffer Buffer(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return {&slice, 1};
}

}  // namespace

struct Relay::Batch {
  Lane* lane = nullptr;
  std::shared_ptr<const LeaderLink> link;
  std::vector<Waiting> items;
  std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  grpc::ByteBuffer request, response;
};

// A unary call that is passed on as it is.
struct Relay::Passed {
  Call call;
  const grpc::ByteBuffer* in;
  grpc::ByteBuffer* out;
  RpcService::UnaryHandler local;  // of a stop
  std::shared_ptr<const LeaderLink> link;
  std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  grpc::ByteBuffer response = {};
};

Relay::Relay(Environment* env, Options options) : env_(env), options_(std::move(options)) {
  for (const auto& lane : kLanes)
    lanes_.push_back(std::unique_ptr<Lane>(new Lane{lane.method, lane.most_in_flight, {}, {}, 0, 0}));
}

Relay::~Relay() {
  Close(absl::ZeroDuration());
}

// ---- who leads

void Relay::Follow(const std::optional<storage::LeaderRow>& leader) {
  std::shared_ptr<LeaderLink> link;
  if (leader.has_value() && !leader->address.empty() && !leader->secret.empty()) {
    link = std::make_shared<LeaderLink>();
    link->leader = *leader;
    link->key = ShowReplicaKey(leader->epoch, leader->secret);
  }
  std::set<std::shared_ptr<grpc::ClientContext>> late;
  {
    MutexLock lock(&mutex_);
    if (closed_ || (link_ == nullptr && link == nullptr)) return;
    if (link_ != nullptr && link != nullptr && link_->leader == link->leader) return;
    if (link != nullptr) link->channel = Connect(leader->address);
    link_ = std::move(link);
    late = under_way_;
  }
  // Not under the lock: it may call back.
  for (const auto& context : late) context->TryCancel();
}

absl::StatusOr<std::shared_ptr<const LeaderLink>> Relay::Link() {
  MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("the server stops; try again");
  if (link_ == nullptr) return absl::UnavailableError("no replica is known to lead now; try again");
  return link_;
}

absl::Status Relay::Probe() {
  ASSIGN_OR_RETURN(const std::shared_ptr<const LeaderLink> link, Link());
  grpc::ClientContext context;
  context.AddMetadata(kForwardedKey, link->key);
  context.set_deadline(absl::ToChronoTime(env_->real_clock->Now() + options_.probe_patience));
  const grpc::ByteBuffer request = Buffer("");
  grpc::ByteBuffer response;
  std::promise<grpc::Status> ended;
  grpc::GenericStub(link->channel)
      .UnaryCall(&context, kForward, {}, &request, &response,
                 [&](grpc::Status status) { ended.set_value(std::move(status)); });
  const grpc::Status status = ended.get_future().get();
  if (status.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(link->leader.replica, " at ", link->leader.address,
                                             " leads and does not take our calls: ", status.error_message()));
}

// ---- calls under way

void Relay::Begin(const std::shared_ptr<grpc::ClientContext>& context, const LeaderLink& link,
                  const Call& call, absl::Duration patience) {
  context->AddMetadata(kForwardedKey, link.key);
  const absl::string_view authorization = call.authorization();
  if (!authorization.empty()) context->AddMetadata("authorization", std::string(authorization));
  auto deadline = call.context->deadline();
  if (patience != absl::InfiniteDuration())
    deadline = std::min(deadline, absl::ToChronoTime(env_->real_clock->Now() + patience));
  context->set_deadline(deadline);
  Remember(context, link);
}

void Relay::Remember(const std::shared_ptr<grpc::ClientContext>& context, const LeaderLink& link) {
  MutexLock lock(&mutex_);
  under_way_.insert(context);
  // Not begun yet: this only marks it.
  if (closed_ || link_.get() != &link) context->TryCancel();
}

void Relay::Ended(const std::shared_ptr<grpc::ClientContext>& context) {
  MutexLock lock(&mutex_);
  under_way_.erase(context);
  if (under_way_.empty()) idle_.notify_all();
}

void Relay::Close(absl::Duration grace) {
  std::set<std::shared_ptr<grpc::ClientContext>> late;
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    idle_.wait_for(lock.native(), absl::ToChronoNanoseconds(grace),
                   [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return under_way_.empty(); });
    late = under_way_;
  }
  // Not under the lock: it may call back.
  for (const auto& context : late) context->TryCancel();
  MutexLock lock(&mutex_);
  while (!under_way_.empty()) idle_.wait(lock.native());
}

grpc::Status Relay::Lost(const Call& call, const std::string& why) {
  env_->metrics->ForwardFailed();
  if (env_->demo) call.AddTrailer("ringfence-demo", "true");
  int64_t millis = absl::ToInt64Milliseconds(options_.retry_after);
  {
    // Not all at once.
    MutexLock lock(&mutex_);
    sent_away_ = sent_away_ * 1'664'525 + 1'013'904'223;
    millis += static_cast<int64_t>((static_cast<uint64_t>(sent_away_) * static_cast<uint64_t>(millis)) >> 32);
  }
  call.AddTrailer(kRetryAfterKey, absl::StrCat(millis));
  return {grpc::StatusCode::UNAVAILABLE, why};
}

bool Relay::FailedOnTheWay(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return false;
  const auto& trailers = context.GetServerTrailingMetadata();
  // What the leader itself ends has our mark, good or bad.
  return trailers.find(kForwardRefusedKey) != trailers.end() ||
         trailers.find(kForwardedKey) == trailers.end();
}

// ---- batches

Relay::Lane* Relay::FindLane(absl::string_view method) {
  for (const std::unique_ptr<Lane>& lane : lanes_) {
    if (method == lane->method) return lane.get();
  }
  return nullptr;
}

void Relay::Unary(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out,
                  const RpcService::UnaryHandler& local) {
  Lane* lane = FindLane(call.method);
  if (lane == nullptr || in->Length() > options_.most_bytes) return PassOn(call, in, out, local);
  Enqueue(*lane, {call, in, out, nullptr});
}

void Relay::Ask(const Call& call, const grpc::ByteBuffer* in, Answered done) {
  Enqueue(*FindLane(call.method), {call, in, nullptr, std::move(done)});
}

void Relay::Enqueue(Lane& lane, Waiting waiting) {
  bool full = false;
  {
    MutexLock lock(&lane.mutex);
    const size_t bytes = waiting.in->Length();
    full = lane.waiting.size() >= options_.most_waiting || lane.bytes + bytes > options_.most_waiting_bytes;
    if (!full) {
      lane.bytes += bytes;
      lane.waiting.push_back(std::move(waiting));
    }
  }
  if (full) return End(waiting, Lost(waiting.call, "too many calls wait for the leader; try again"), "");
  Pump(lane);
}

void Relay::Pump(Lane& lane) {
  for (;;) {
    auto batch = std::make_unique<Batch>();
    batch->lane = &lane;
    std::vector<Waiting> gone;
    {
      MutexLock lock(&lane.mutex);
      if (lane.waiting.empty() || lane.in_flight >= lane.most_in_flight) return;
      size_t bytes = 0;
      while (!lane.waiting.empty() && static_cast<int>(batch->items.size()) < options_.most_items) {
        Waiting& next = lane.waiting.front();
        const size_t size = next.in->Length();
        if (bytes + size > options_.most_bytes && !batch->items.empty()) break;
        (next.call.IsCancelled() ? gone : batch->items).push_back(std::move(next));
        lane.waiting.pop_front();
        lane.bytes -= size;
        bytes += size;
      }
      ++lane.in_flight;
    }
    for (Waiting& waiting : gone) End(waiting, {grpc::StatusCode::CANCELLED, "the caller went away"}, "");
    absl::StatusOr<std::shared_ptr<const LeaderLink>> link = Link();
    if (link.ok() && !batch->items.empty()) {
      batch->link = *std::move(link);
      Send(std::move(batch));
      continue;
    }
    for (Waiting& waiting : batch->items)
      End(waiting, Lost(waiting.call, std::string(link.status().message())), "");
    MutexLock lock(&lane.mutex);
    --lane.in_flight;
  }
}

void Relay::Send(std::unique_ptr<Batch> batch) {
  internal::v1::ForwardRequest request;
  request.set_method(batch->lane->method);
  request.mutable_items()->Reserve(static_cast<int>(batch->items.size()));
  for (const Waiting& waiting : batch->items) {
    internal::v1::ForwardItem* item = request.add_items();
    const absl::string_view authorization = waiting.call.authorization();
    item->set_authorization(authorization.data(), authorization.size());
    *item->mutable_request() = Flat(*waiting.in);
  }
  env_->metrics->Forwarding(request.items_size());
  batch->request = Buffer(request.SerializeAsString());
  // Callers' deadlines differ; a batch has its own.
  batch->context->AddMetadata(kForwardedKey, batch->link->key);
  batch->context->set_deadline(absl::ToChronoTime(env_->real_clock->Now() + options_.batch_patience));
  Remember(batch->context, *batch->link);
  Batch* sent = batch.release();
  grpc::GenericStub(sent->link->channel)
      .UnaryCall(sent->context.get(), kForward, {}, &sent->request, &sent->response,
                 [this, sent](const grpc::Status& status) { Return(std::unique_ptr<Batch>(sent), status); });
}

void Relay::Return(std::unique_ptr<Batch> batch, const grpc::Status& status) {
  internal::v1::ForwardResponse response;
  std::string lost;
  if (!status.ok()) {
    lost = absl::StrCat("the leader did not answer; try again: ", status.error_message());
  } else if (!ParseMessage(batch->response, &response).ok() ||
             response.answers_size() != static_cast<int>(batch->items.size())) {
    lost = "the leader's answer cannot be read; try again";
  }
  for (size_t i = 0; i < batch->items.size(); ++i) {
    Waiting& waiting = batch->items[i];
    if (!lost.empty()) {
      End(waiting, Lost(waiting.call, lost), "");
      continue;
    }
    internal::v1::ForwardAnswer& answer = *response.mutable_answers(static_cast<int>(i));
    for (const internal::v1::ForwardTrailer& trailer : answer.trailers())
      waiting.call.AddTrailer(trailer.key(), trailer.value());
    End(waiting, {static_cast<grpc::StatusCode>(answer.code()), answer.message(), answer.details()},
        std::move(*answer.mutable_response()));
  }
  Lane& lane = *batch->lane;
  {
    MutexLock lock(&lane.mutex);
    --lane.in_flight;
  }
  Pump(lane);
  Ended(batch->context);
}

void Relay::End(Waiting& waiting, const grpc::Status& status, std::string response) {
  if (waiting.done) return waiting.done(status, response);
  if (status.ok()) *waiting.out = Buffer(response);
  waiting.call.FinishAs(status);
}

// ---- one by one

void Relay::PassOn(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out,
                   const RpcService::UnaryHandler& local) {
  const bool stop = IsStop(call.method) && env_->app.get() != nullptr;
  absl::StatusOr<std::shared_ptr<const LeaderLink>> link = Link();
  if (!link.ok()) {
    if (stop) return local(call, in, out);
    return call.FinishAs(Lost(call, std::string(link.status().message())));
  }
  auto* passed = new Passed{call, in, out, stop ? local : nullptr, *std::move(link)};
  Begin(passed->context, *passed->link, call, stop ? options_.stop_patience : options_.call_patience);
  grpc::GenericStub(passed->link->channel)
      .UnaryCall(
          passed->context.get(), absl::StrCat("/", call.method), {}, in, &passed->response,
          [this, passed](const grpc::Status& status) { Passing(std::unique_ptr<Passed>(passed), status); });
}

void Relay::Passing(std::unique_ptr<Passed> passed, const grpc::Status& status) {
  const Call& call = passed->call;
  const bool lost = FailedOnTheWay(status, *passed->context);
  if (passed->local && (lost || status.error_code() == grpc::StatusCode::UNAVAILABLE)) {
    // The leader may have placed it or not: the request id tells, in the database.
    passed->local(call, passed->in, passed->out);
  } else if (lost) {
    call.FinishAs(Lost(call, absl::StrCat("the leader did not answer; try again: ", status.error_message())));
  } else {
    for (const auto& [key, value] : passed->context->GetServerTrailingMetadata()) {
      if (absl::string_view(key.data(), key.size()) != kForwardedKey)
        call.AddTrailer({key.data(), key.size()}, {value.data(), value.size()});
    }
    *passed->out = passed->response;
    v1::GetServerStatusResponse told;
    if (status.ok() && absl::string_view(call.method) == kStatusMethod &&
        ParseMessage(passed->response, &told).ok()) {
      told.set_answered_by(env_->replica_name);
      *passed->out = Buffer(told.SerializeAsString());
    }
    call.FinishAs(status);
  }
  Ended(passed->context);
}

}  // namespace ringfence::api
