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
constexpr int kMaxUploads = 4;
std::atomic<int> uploads{0};

absl::Status Refusal(absl::Status status, absl::string_view word) {
  status.SetPayload(app::App::kRefusalUrl, absl::Cord(word));
  return status;
}

// Of one publication, and of all that are under way together.
constexpr int64_t kMaxPublicationBytes = 256 << 20;
constexpr int64_t kMaxBytesTogether = 512 << 20;
std::atomic<int64_t> bytes_together{0};

// What came of earlier ways to sign: read by nobody, so nobody is to think that it counts.
void CheckNotTaken(const v1::PublishReleaseHeader& header, Faults& faults) {
  constexpr char kWanted[] = "none: it belongs among the files of the release repository";
  if (!header.signature().empty()) faults.Add("header.signature", "one", kWanted);
  if (header.qualifications_size() != 0)
    faults.Add("header.qualifications", absl::StrCat(header.qualifications_size()), kWanted);
}

// The signed listing says everything else.
void CheckOnlyTargets(const v1::ReleaseManifest& manifest, Faults& faults) {
  v1::ReleaseManifest rest = manifest;
  rest.clear_targets();
  if (rest.ByteSizeLong() != 0)
    faults.Add("header.manifest", "more than targets", "nothing that the signed listing says");
}

// Reads follow one another; the end of the stream hands the whole to the pool. A turn at a time, so no lock.
class Upload final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  Upload(const Call& call, grpc::ByteBuffer* out) : call_(call), out_(out) {}
  ~Upload() override {
    if (counted_) uploads.fetch_sub(1);
    bytes_together.fetch_sub(received_);
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
    if (message.has_file() && request_.repository.has_value()) return TakeFile(message.file());
    if (!message.has_data()) {
      return absl::InvalidArgumentError("part: found another header or nothing, wanted data");
    }
    if (message.data().size() > kMaxPart) {
      return absl::InvalidArgumentError(
          absl::StrCat("data: found ", message.data().size(), " bytes, wanted at most ", kMaxPart));
    }
    if (request_.repository.has_value() && file_ == nullptr)
      return absl::InvalidArgumentError("part: found data, wanted the name of its file first");
    return TakeData(message.data());
  }

  absl::Status TakeData(const std::string& data) {
    std::string& bytes = request_.repository.has_value() ? *file_ : request_.bytes;
    const int64_t most =
        is_metadata_ ? static_cast<int64_t>(storage::kMaxTrustDocumentBytes) : policy::kMaxArtifactBytes;
    if (static_cast<int64_t>(bytes.size() + data.size()) > most) {
      return Refusal(
          absl::ResourceExhaustedError(absl::StrCat(is_metadata_ ? "a file of metadata" : "the artifact",
                                                    " is larger than ", most, " bytes")),
          "limit_exceeded");
    }
    const auto size = static_cast<int64_t>(data.size());
    received_ += size;
    const int64_t together = bytes_together.fetch_add(size) + size;
    if (received_ > kMaxPublicationBytes) {
      return Refusal(absl::ResourceExhaustedError(
                         absl::StrCat("the publication is larger than ", kMaxPublicationBytes, " bytes")),
                     "limit_exceeded");
    }
    if (together > kMaxBytesTogether) {
      return absl::ResourceExhaustedError("publish: other uploads fill the server's memory now; try again");
    }
    bytes += data;
    return absl::OkStatus();
  }

  absl::Status TakeFile(const v1::RepositoryFile& file) {
    gate::RepositoryFiles& files = *request_.repository;
    Faults faults;
    if (file.name().empty() || file.name().size() > storage::kMaxTrustDocumentName)
      faults.Add("file.name", absl::StrCat(file.name().size(), " bytes"),
                 absl::StrCat("1 to ", storage::kMaxTrustDocumentName));
    if (file.kind() != v1::REPOSITORY_FILE_KIND_METADATA && file.kind() != v1::REPOSITORY_FILE_KIND_TARGET)
      faults.Add("file.kind", absl::StrCat(file.kind()), "metadata or target");
    if (files.metadata.size() + files.targets.size() >= gate::kMaxRepositoryFiles)
      faults.Add("file", "more files", absl::StrCat("at most ", gate::kMaxRepositoryFiles));
    RETURN_IF_ERROR(faults.ToStatus());
    is_metadata_ = file.kind() == v1::REPOSITORY_FILE_KIND_METADATA;
    const auto [at, is_new] = (is_metadata_ ? files.metadata : files.targets).try_emplace(file.name());
    if (!is_new) {
      faults.Add("file.name", file.name(), "each file once");
      return faults.ToStatus();
    }
    file_ = &at->second;  // of a map: stays where it is
    return absl::OkStatus();
  }

  absl::Status TakeHeader(const v1::PublishReleaseRequest& message) {
    if (!message.has_header())
      return absl::InvalidArgumentError("part: the first message must be the header");
    const v1::PublishReleaseHeader& header = message.header();
    Faults faults;
    CheckRequestId(header.request_id(), "header.request_id", faults);
    CheckNotTaken(header, faults);
    if (header.repository()) {
      CheckOnlyTargets(header.manifest(), faults);
      request_.release.targets =
          DecodeSelector(header.manifest().targets(), "header.manifest.targets", faults);
      request_.repository.emplace();
    } else {
      request_.release = DecodeManifest(header.manifest(), "header.manifest", faults);
    }
    request_.skip_rings = header.skip_rings();
    act_.request_id = header.request_id();
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
    if (reply.has_release) Encode(reply.row, response.mutable_release());
    for (const std::string& warning : reply.warnings) response.add_warnings(warning);
    for (const storage::ReleaseRow& row : reply.recalled) Encode(row, response.add_recalled());
    return SerializeMessage(response, out_);
  }

  const Call call_;
  grpc::ByteBuffer* const out_;
  app::Act act_;
  app::PublishRequest request_;
  std::string* file_ = nullptr;  // that the data belongs to
  bool is_metadata_ = false;
  int64_t received_ = 0;
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
