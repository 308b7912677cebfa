#include "server/api/release_upload.h"

#include <atomic>
#include <string>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/release.pb.h"
#include "server/api/decode.h"
#include "server/api/encode.h"
#include "server/gate/gate.h"

namespace ringfence::api {
namespace {

constexpr size_t kMaxPart = 1 << 20;
// Together they hold at most this many times 64 MiB.
constexpr int kMaxUploads = 4;
std::atomic<int> uploads{0};

absl::Status Refusal(absl::Status status, absl::string_view word) {
  status.SetPayload(app::App::kRefusalUrl, absl::Cord(word));
  return status;
}

void CheckDocuments(const v1::PublishReleaseHeader& header, Faults& faults) {
  const auto check = [&](const std::string& bytes, const std::string& path) {
    if (bytes.size() <= trust::kMaxEnvelopeBytes) return;
    faults.Add(path, absl::StrCat(bytes.size(), " bytes"),
               absl::StrCat("at most ", trust::kMaxEnvelopeBytes));
  };
  check(header.signature(), "header.signature");
  if (header.qualifications_size() > static_cast<int>(gate::kMaxQualifications)) {
    faults.Add("header.qualifications", absl::StrCat(header.qualifications_size()),
               absl::StrCat("at most ", gate::kMaxQualifications));
  }
  for (int i = 0; i < header.qualifications_size(); ++i)
    check(header.qualifications(i), absl::StrCat("header.qualifications[", i, "]"));
}

// Reads follow one another; the end of the stream hands the whole to the pool. A turn at a time, so no lock.
class Upload final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  Upload(const Call& call, grpc::ByteBuffer* out) : call_(call), out_(out) {}
  ~Upload() override {
    if (counted_) uploads.fetch_sub(1);
  }

  void Start() {
    absl::StatusOr<app::Actor> actor = call_.AdmitOperator();
    if (!actor.ok()) return Finish(call_.End(actor.status()));
    act_.actor = *std::move(actor);
    counted_ = true;
    if (uploads.fetch_add(1) >= kMaxUploads) {
      return Finish(call_.End(absl::ResourceExhaustedError(
          absl::StrCat("publish: ", kMaxUploads, " uploads are under way already; try again"))));
    }
    StartRead(&part_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return EndOfStream();
    const absl::Status status = Take();
    if (!status.ok()) return Finish(call_.End(status));
    StartRead(&part_);
  }

  void OnDone() override { delete this; }

 private:
  absl::Status Take() {
    v1::PublishReleaseRequest message;
    RETURN_IF_ERROR(ParseMessage(part_, &message));
    if (!has_header_) return TakeHeader(message);
    if (!message.has_data()) {
      return absl::InvalidArgumentError("part: found another header or nothing, wanted data");
    }
    if (message.data().size() > kMaxPart) {
      return absl::InvalidArgumentError(
          absl::StrCat("data: found ", message.data().size(), " bytes, wanted at most ", kMaxPart));
    }
    if (static_cast<int64_t>(request_.bytes.size() + message.data().size()) > policy::kMaxArtifactBytes) {
      return Refusal(absl::ResourceExhaustedError(
                         absl::StrCat("the artifact is larger than ", policy::kMaxArtifactBytes, " bytes")),
                     "limit_exceeded");
    }
    request_.bytes += message.data();
    return absl::OkStatus();
  }

  absl::Status TakeHeader(const v1::PublishReleaseRequest& message) {
    if (!message.has_header())
      return absl::InvalidArgumentError("part: the first message must be the header");
    Faults faults;
    CheckRequestId(message.header().request_id(), "header.request_id", faults);
    request_.release = DecodeManifest(message.header().manifest(), "header.manifest", faults);
    CheckDocuments(message.header(), faults);
    request_.qualifications.assign(message.header().qualifications().begin(),
                                   message.header().qualifications().end());
    request_.signature = message.header().signature();
    request_.skip_rings = message.header().skip_rings();
    act_.request_id = message.header().request_id();
    has_header_ = true;
    return faults.ToStatus();
  }

  void EndOfStream() {
    if (call_.context->IsCancelled()) return Finish(call_.End(absl::CancelledError("the caller went away")));
    if (!has_header_)
      return Finish(call_.End(absl::InvalidArgumentError("part: the stream ended before the header")));
    const bool taken = call_.env->people->Submit([this] { Finish(call_.End(Publish())); });
    if (!taken) Finish(call_.End(absl::UnavailableError("the server is busy or stops; try again")));
  }

  absl::Status Publish() {
    ASSIGN_OR_RETURN(const app::PublishReply reply, call_.env->app->Publish(act_, request_));
    v1::PublishReleaseResponse response;
    Encode(reply.row, response.mutable_release());
    for (const std::string& warning : reply.warnings) response.add_warnings(warning);
    return SerializeMessage(response, out_);
  }

  const Call call_;
  grpc::ByteBuffer* const out_;
  app::Act act_;
  app::PublishRequest request_;
  bool has_header_ = false;
  bool counted_ = false;
  grpc::ByteBuffer part_;
};

}  // namespace

grpc::ServerReadReactor<grpc::ByteBuffer>* StartReleaseUpload(const Call& call, grpc::ByteBuffer* out) {
  auto* upload = new Upload(call, out);
  upload->Start();
  return upload;
}

}  // namespace ringfence::api
