#include "server/api/artifact_download.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/agent.pb.h"
#include "server/api/decode.h"
#include "server/api/relay.h"

namespace ringfence::api {
namespace {

constexpr int64_t kChunk = app::App::kChunkBytes;

// At any moment exactly one of these is under way: a task in the pool, a write, or the end. Whoever holds
// that turn starts the next; so no lock is needed, and a cancellation is noticed at the next turn.
class Download final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit Download(const Call& call) : call_(call) {}

  void Start(const grpc::ByteBuffer* in) {
    if (Relay* relay = call_.env->relay.load(std::memory_order_acquire)) {
      relay->Ask(call_, in, [this, in](const grpc::Status& answer, const std::string& response) {
        Allowed(*in, answer, response);
      });
      return;
    }
    const absl::Status status = Admit(*in);
    if (!status.ok()) {
      Finish(call_.End(status));
    } else {
      InPool([this] { Open(); });
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      Finish(call_.End(absl::CancelledError("the agent went away")));
    } else if (range_.offset >= size_) {
      Finish(call_.End(absl::OkStatus()));
    } else {
      InPool([this] { SendNext(); });
    }
  }

  void OnDone() override { delete this; }

 private:
  absl::Status Admit(const grpc::ByteBuffer& in) {
    ASSIGN_OR_RETURN(const Call::Agent agent, call_.AdmitAgent());
    agent_ = agent.id;
    return Read(in);
  }

  absl::Status Read(const grpc::ByteBuffer& in) {
    v1::GetArtifactRequest request;
    RETURN_IF_ERROR(ParseMessage(in, &request));
    return Decode(request, &range_);
  }

  // As the leader says.
  void Allowed(const grpc::ByteBuffer& in, const grpc::Status& answer, const std::string& response) {
    if (!answer.ok()) return Finish(call_.EndAs(answer));
    v1::GetArtifactResponse size;
    if (!size.ParseFromString(response)) {
      return Finish(call_.End(absl::UnavailableError("the leader's answer cannot be read; resume later")));
    }
    const absl::Status status = Read(in);
    if (!status.ok()) return Finish(call_.End(status));
    InPool([this, bytes = size.size_bytes()] { SendFrom(bytes); });
  }

  void InPool(std::function<void()> task) {
    if (call_.env->agents->Submit(std::move(task))) return;
    Finish(call_.End(absl::UnavailableError("the server is busy or stops; resume later")));
  }

  void Open() {
    const absl::StatusOr<int64_t> size = call_.env->app->MayFetch(agent_, range_.digest);
    if (!size.ok()) return Finish(call_.End(size.status()));
    SendFrom(*size);
  }

  void SendFrom(int64_t size) {
    size_ = size;
    if (range_.offset > size_) {
      return Finish(call_.End(absl::OutOfRangeError(
          absl::StrCat("offset: found ", range_.offset, ", wanted at most the size, ", size_))));
    }
    if (range_.offset == size_) return Finish(call_.End(absl::OkStatus()));
    SendNext();
  }

  void SendNext() {
    if (call_.context->IsCancelled()) return Finish(call_.End(absl::CancelledError("the agent went away")));
    const absl::Status status = ReadNext();
    if (!status.ok()) return Finish(call_.End(status));
    StartWrite(&buffer_);
  }

  // Fills buffer_ with the rest of the chunk that holds the offset.
  absl::Status ReadNext() {
    ASSIGN_OR_RETURN(const std::string chunk,
                     call_.env->app->ArtifactChunk(range_.digest, range_.offset / kChunk));
    const int64_t skip = range_.offset % kChunk;
    if (skip >= static_cast<int64_t>(chunk.size())) {
      return absl::DataLossError(
          absl::StrCat("the stored artifact ends at ", range_.offset, " of ", size_, " bytes"));
    }
    v1::GetArtifactResponse response;
    response.set_offset(range_.offset);
    response.set_size_bytes(size_);
    response.set_data(chunk.data() + skip, chunk.size() - static_cast<size_t>(skip));
    range_.offset += static_cast<int64_t>(response.data().size());
    return SerializeMessage(response, &buffer_);
  }

  const Call call_;
  AgentId agent_;
  ArtifactRange range_;  // the offset moves on
  int64_t size_ = 0;
  grpc::ByteBuffer buffer_;  // must live until OnWriteDone
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartArtifactDownload(const Call& call,
                                                                  const grpc::ByteBuffer* in) {
  auto* download = new Download(call);
  download->Start(in);
  return download;
}

void AnswerMayFetch(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
  FinishOn(call.env->agents, /*urgent=*/false, call, [call, in, out]() -> absl::Status {
    ASSIGN_OR_RETURN(const Call::Agent agent, call.AdmitAgent());
    v1::GetArtifactRequest request;
    RETURN_IF_ERROR(ParseMessage(*in, &request));
    ArtifactRange range;
    RETURN_IF_ERROR(Decode(request, &range));
    v1::GetArtifactResponse response;
    ASSIGN_OR_RETURN(const int64_t size, call.env->app->MayFetch(agent.id, range.digest));
    response.set_offset(range.offset);
    response.set_size_bytes(size);
    return SerializeMessage(response, out);
  });
}

}  // namespace ringfence::api
