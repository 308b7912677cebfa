#include "server/api/metadata_download.h"

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/agent.pb.h"
#include "server/api/decode.h"

namespace ringfence::api {
namespace {

constexpr size_t kPart = 1 << 20;

// At any moment exactly one of these is under way: the task in the pool, a write, or the end.
class MetadataDownload final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  explicit MetadataDownload(const Call& call) : call_(call) {}

  void Start(const grpc::ByteBuffer& in) {
    const absl::Status status = Admit(in);
    if (!status.ok()) return Finish(call_.End(status));
    if (call_.env->agents->Submit([this] { Open(); })) return;
    Finish(call_.End(absl::UnavailableError("the server is busy or stops; resume later")));
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(call_.End(absl::CancelledError("the agent went away")));
    SendNext();
  }

  void OnDone() override { delete this; }

 private:
  absl::Status Admit(const grpc::ByteBuffer& in) {
    RETURN_IF_ERROR(call_.AdmitAgent().status());
    v1::FetchMetadataRequest request;
    RETURN_IF_ERROR(ParseMessage(in, &request));
    return Decode(request, &range_);
  }

  void Open() {
    absl::StatusOr<std::shared_ptr<const std::string>> bytes = call_.env->app->TrustDocument(range_.name);
    if (!bytes.ok()) return Finish(call_.End(bytes.status()));
    bytes_ = *std::move(bytes);
    if (range_.offset > bytes_->size()) {
      return Finish(call_.End(absl::OutOfRangeError(
          absl::StrCat("offset: found ", range_.offset, ", wanted at most the size, ", bytes_->size()))));
    }
    SendNext();
  }

  void SendNext() {
    const auto offset = static_cast<size_t>(range_.offset);
    if (offset == bytes_->size()) return Finish(call_.End(absl::OkStatus()));
    const size_t size = std::min(kPart, bytes_->size() - offset);
    v1::FetchMetadataResponse response;
    response.set_data(bytes_->data() + offset, size);
    response.set_total(bytes_->size());
    range_.offset += size;
    const absl::Status status = SerializeMessage(response, &buffer_);
    if (!status.ok()) return Finish(call_.End(status));
    StartWrite(&buffer_);
  }

  const Call call_;
  MetadataRange range_;  // the offset moves on
  std::shared_ptr<const std::string> bytes_;
  grpc::ByteBuffer buffer_;  // must live until OnWriteDone
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartMetadataDownload(const Call& call,
                                                                  const grpc::ByteBuffer* in) {
  auto* download = new MetadataDownload(call);
  download->Start(*in);
  return download;
}

}  // namespace ringfence::api
