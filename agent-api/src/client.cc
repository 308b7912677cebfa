#include "ringfence/agent/client.h"

#include <grpcpp/grpcpp.h>

#include <unordered_set>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "convert.h"
#include "ringfence/base/mutex.h"
#include "ringfence/v1/agent.grpc.pb.h"

namespace ringfence::agent {
namespace {

constexpr char kRetryAfterUrl[] = "ringfence/retry-after-ms";
constexpr char kRetryAfterKey[] = "ringfence-retry-after-ms";  // trailing metadata, milliseconds

absl::Status ToStatus(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  const auto& trailing = context.GetServerTrailingMetadata();
  const auto found = trailing.find(kRetryAfterKey);
  if (found != trailing.end()) {
    result.SetPayload(kRetryAfterUrl,
                      absl::Cord(absl::string_view(found->second.data(), found->second.size())));
  }
  return result;
}

std::string Bearer(const Credential& who) {
  return absl::StrCat("Bearer ", who.agent.ToString(), ".", absl::BytesToHexString(who.secret));
}

}  // namespace

// The destructor of Client waits until nothing of any call is left. It must: a ClientContext keeps the
// channel, and gRPC 1.51 crashes when the last owner of a channel lets go of it on one of gRPC's own callback
// threads (grpc/grpc#37858). So callbacks own no part of this, and a call counts as open until its context is
// destroyed.
class Client::Impl {
 public:
  explicit Impl(ClientOptions options) : options_(std::move(options)) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);  // the machine's own back-off is the slow one
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
    // gRPC unfolds what came before it looks how long it is: a server could fill this host's memory with
    // little. The first alone is not enough: a message may come with what says that it is packed.
    arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
    arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    arguments.SetInt("ringfence.connection",
                     options_.connection);  // a different argument, another connection
    channel_ = grpc::CreateCustomChannel(options_.server, grpc::InsecureChannelCredentials(), arguments);
    stub_ = v1::AgentService::NewStub(channel_);
  }

  v1::AgentService::Stub& stub() { return *stub_; }
  const ClientOptions& options() const { return options_; }

  // False once the client is closing: the call must not be started.
  bool Open(grpc::ClientContext* context) {
    MutexLock lock(&mutex_);
    if (closing_) return false;
    cancellable_.insert(context);
    ++open_;
    return true;
  }
  // Ends a call with its owner, the object that holds its context.
  template <typename Owner>
  void Close(std::unique_ptr<Owner> owner) {
    {
      MutexLock lock(&mutex_);
      cancellable_.erase(owner->context());
    }
    owner.reset();
    MutexLock lock(&mutex_);
    if (--open_ == 0) idle_.notify_all();
  }
  void CancelAndWait() {
    MutexLock lock(&mutex_);
    closing_ = true;
    for (grpc::ClientContext* context : cancellable_) context->TryCancel();
    while (open_ > 0) idle_.wait(lock.native());
  }

 private:
  const ClientOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::AgentService::Stub> stub_;
  Mutex mutex_;
  std::condition_variable idle_;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_set<grpc::ClientContext*> cancellable_ ABSL_GUARDED_BY(mutex_);
  int64_t open_ ABSL_GUARDED_BY(mutex_) = 0;
};

namespace {

void Prepare(grpc::ClientContext& context, absl::Duration deadline, const Credential* who) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(deadline));
  if (who != nullptr) context.AddMetadata("authorization", Bearer(*who));
}

// A unary call in flight: owns context and messages, and itself until its callback.
template <typename Request, typename Response>
struct Call {
  grpc::ClientContext context_;
  Request request;
  Response response;

  grpc::ClientContext* context() { return &context_; }
  template <typename Reply, typename Impl>
  auto Callback(Impl* impl, Client::Done<Reply> done) {
    return [this, impl, done = std::move(done)](grpc::Status status) {
      std::unique_ptr<Call> self(this);
      if (status.ok()) {
        done(FromProto(response));
      } else {
        done(ToStatus(status, context_));
      }
      impl->Close(std::move(self));
    };
  }
};

// Reads an artifact chunk by chunk.
class Download final : public grpc::ClientReadReactor<v1::GetArtifactResponse> {
 public:
  Download(int64_t offset, Client::Sink sink, Client::Done<int64_t> done,
           std::function<void(std::unique_ptr<Download>)> close)
      : next_(offset), sink_(std::move(sink)), done_(std::move(done)), close_(std::move(close)) {}

  grpc::ClientContext* context() { return &context_; }
  void Start(v1::AgentService::Stub& stub, v1::GetArtifactRequest request) {
    request_ = std::move(request);
    stub.async()->GetArtifact(&context_, &request_, this);
    StartRead(&chunk_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // the end, good or bad: OnDone says which
    size_ = chunk_.size_bytes();
    if (chunk_.offset() != next_) {
      refusal_ =
          absl::DataLossError(absl::StrCat("asked for byte ", next_, ", was sent byte ", chunk_.offset()));
    } else {
      refusal_ = sink_(chunk_.offset(), chunk_.data());
      next_ += static_cast<int64_t>(chunk_.data().size());
    }
    if (!refusal_.ok()) {
      context_.TryCancel();
      return;
    }
    StartRead(&chunk_);
  }

  void OnDone(const grpc::Status& status) override {
    std::unique_ptr<Download> self(this);
    done_(Result(status));
    const auto close = std::move(close_);
    close(std::move(self));
  }

 private:
  absl::StatusOr<int64_t> Result(const grpc::Status& status) const {
    if (!refusal_.ok()) return refusal_;
    if (!status.ok()) return ToStatus(status, context_);
    if (next_ == size_) return size_;
    return absl::DataLossError(absl::StrCat("the download ended at byte ", next_, " of ", size_));
  }

  grpc::ClientContext context_;
  v1::GetArtifactRequest request_;
  v1::GetArtifactResponse chunk_;
  int64_t next_;
  int64_t size_ = -1;
  absl::Status refusal_;
  Client::Sink sink_;
  Client::Done<int64_t> done_;
  std::function<void(std::unique_ptr<Download>)> close_;
};

// Reads a whole small file.
class MetadataDownload final : public grpc::ClientReadReactor<v1::FetchMetadataResponse> {
 public:
  MetadataDownload(size_t most, Client::Done<std::string> done,
                   std::function<void(std::unique_ptr<MetadataDownload>)> close)
      : most_(most), done_(std::move(done)), close_(std::move(close)) {}

  grpc::ClientContext* context() { return &context_; }
  void Start(v1::AgentService::Stub& stub, const std::string& name) {
    request_.set_name(name);
    stub.async()->FetchMetadata(&context_, &request_, this);
    StartRead(&chunk_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;  // the end, good or bad: OnDone says which
    total_ = chunk_.total();
    if (total_ > most_ || chunk_.data().size() > most_ - bytes_.size()) {
      refusal_ = absl::ResourceExhaustedError(absl::StrCat("more than ", most_, " bytes"));
      context_.TryCancel();
      return;
    }
    bytes_ += chunk_.data();
    StartRead(&chunk_);
  }

  void OnDone(const grpc::Status& status) override {
    std::unique_ptr<MetadataDownload> self(this);
    done_(Result(status));
    const auto close = std::move(close_);
    close(std::move(self));
  }

 private:
  absl::StatusOr<std::string> Result(const grpc::Status& status) {
    if (!refusal_.ok()) return refusal_;
    if (!status.ok()) return ToStatus(status, context_);
    if (bytes_.size() == total_) return std::move(bytes_);
    return absl::DataLossError(absl::StrCat("the file ended at byte ", bytes_.size(), " of ", total_));
  }

  grpc::ClientContext context_;
  v1::FetchMetadataRequest request_;
  v1::FetchMetadataResponse chunk_;
  const size_t most_;
  uint64_t total_ = 0;
  std::string bytes_;
  absl::Status refusal_;
  Client::Done<std::string> done_;
  std::function<void(std::unique_ptr<MetadataDownload>)> close_;
};

}  // namespace

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() {
  Close();
}

void Client::Close() {
  impl_->CancelAndWait();
}

void Client::Enrol(absl::string_view token, const AgentId& agent, const policy::Labels& labels,
                   absl::string_view boot_id, Done<EnrolReply> done) {
  auto call = std::make_unique<Call<v1::EnrollRequest, v1::EnrollResponse>>();
  if (!impl_->Open(call->context())) return done(absl::CancelledError("the client is closing"));
  Prepare(*call->context(), impl_->options().deadline, nullptr);
  call->request.set_token(std::string(token));
  call->request.set_agent_id(std::string(agent.raw()));
  call->request.set_boot_id(std::string(boot_id));
  ToProto(labels, call->request.mutable_labels());
  auto* open = call.release();  // until its callback
  impl_->stub().async()->Enroll(open->context(), &open->request, &open->response,
                                open->Callback<EnrolReply>(impl_.get(), std::move(done)));
}

void Client::CheckIn(const Credential& who, const agent::CheckIn& request, Done<CheckInReply> done) {
  auto call = std::make_unique<Call<v1::CheckInRequest, v1::CheckInResponse>>();
  if (!impl_->Open(call->context())) return done(absl::CancelledError("the client is closing"));
  Prepare(*call->context(), impl_->options().deadline, &who);
  ToProto(request, &call->request);
  auto* open = call.release();  // until its callback
  impl_->stub().async()->CheckIn(open->context(), &open->request, &open->response,
                                 open->Callback<CheckInReply>(impl_.get(), std::move(done)));
}

void Client::Lease(const Credential& who, const LeaseAsk& ask, Done<LeaseReply> done) {
  auto call = std::make_unique<Call<v1::LeaseRequest, v1::LeaseResponse>>();
  if (!impl_->Open(call->context())) return done(absl::CancelledError("the client is closing"));
  Prepare(*call->context(), impl_->options().deadline, &who);
  call->request.set_channel(ask.channel);
  call->request.set_digest(std::string(ask.digest.raw()));
  call->request.set_boot_id(ask.boot_id);
  call->request.set_nonce(ask.nonce);
  call->request.set_halt_seq(ask.halt_seq);
  if (!ask.plan_sha256.IsZero()) call->request.set_plan_sha256(std::string(ask.plan_sha256.raw()));
  auto* open = call.release();  // until its callback
  impl_->stub().async()->Lease(open->context(), &open->request, &open->response,
                               open->Callback<LeaseReply>(impl_.get(), std::move(done)));
}

void Client::FetchPlan(const Credential& who, uint64_t from_version, uint64_t from_seq,
                       Done<std::vector<std::string>> done) {
  auto call = std::make_unique<Call<v1::FetchPlanRequest, v1::FetchPlanResponse>>();
  if (!impl_->Open(call->context())) return done(absl::CancelledError("the client is closing"));
  Prepare(*call->context(), impl_->options().deadline, &who);
  call->request.set_from_version(from_version);
  call->request.set_from_seq(from_seq);
  auto* open = call.release();  // until its callback
  impl_->stub().async()->FetchPlan(open->context(), &open->request, &open->response,
                                   open->Callback<std::vector<std::string>>(impl_.get(), std::move(done)));
}

void Client::Fetch(const Credential& who, const Digest& digest, int64_t offset, Sink sink,
                   Done<int64_t> done) {
  auto download = std::make_unique<Download>(
      offset, std::move(sink), done,
      [impl = impl_.get()](std::unique_ptr<Download> ended) { impl->Close(std::move(ended)); });
  if (!impl_->Open(download->context())) return done(absl::CancelledError("the client is closing"));
  Prepare(*download->context(), impl_->options().fetch_deadline, &who);
  v1::GetArtifactRequest request;
  request.set_digest(std::string(digest.raw()));
  request.set_offset(offset);
  download.release()->Start(impl_->stub(), std::move(request));  // owns itself until OnDone
}

void Client::FetchMetadata(const Credential& who, const std::string& name, size_t most,
                           Done<std::string> done) {
  auto download = std::make_unique<MetadataDownload>(
      most, done,
      [impl = impl_.get()](std::unique_ptr<MetadataDownload> ended) { impl->Close(std::move(ended)); });
  if (!impl_->Open(download->context())) return done(absl::CancelledError("the client is closing"));
  Prepare(*download->context(), impl_->options().deadline, &who);
  download.release()->Start(impl_->stub(), name);  // owns itself until OnDone
}

absl::Duration Client::RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfterUrl);
  int64_t millis = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &millis) || millis < 0)
    return absl::ZeroDuration();
  return absl::Milliseconds(millis);
}

}  // namespace ringfence::agent
