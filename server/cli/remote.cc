#include "server/cli/remote.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace ringfence::cli {
namespace {

using google::protobuf::Message;
using grpc::internal::RpcMethod;

grpc::ByteBuffer ToBytes(const Message& message) {
  const std::string bytes = message.SerializeAsString();
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

absl::Status FromBytes(const grpc::ByteBuffer& buffer, Message* out) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return absl::InternalError("the server's answer could not be read");
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  if (!out->ParseFromString(bytes)) return absl::InternalError("the server's answer could not be parsed");
  return absl::OkStatus();
}

absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return absl::OkStatus();
  absl::Status out(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  if (!status.error_details().empty()) out.SetPayload(kFaultListUrl, absl::Cord(status.error_details()));
  const auto& trailing = context.GetServerTrailingMetadata();
  const auto word = trailing.find("ringfence-refusal");
  if (word != trailing.end()) {
    out.SetPayload(kRefusalUrl, absl::Cord(absl::string_view(word->second.data(), word->second.size())));
  }
  return out;
}

class GrpcRemote final : public Remote {
 public:
  explicit GrpcRemote(RemoteOptions options)
      : options_(std::move(options)),
        channel_(grpc::CreateChannel(options_.server, grpc::InsecureChannelCredentials())) {}

  absl::Status Call(absl::string_view method, const Message& request, Message* response) override {
    grpc::ClientContext context;
    Prepare(context, options_.timeout);
    const std::string path = PathOf(method);
    const grpc::ByteBuffer in = ToBytes(request);
    grpc::ByteBuffer out;
    const grpc::Status status = grpc::internal::BlockingUnaryCall(
        channel_.get(), RpcMethod(path.c_str(), RpcMethod::NORMAL_RPC, channel_), &context, in, &out);
    return status.ok() ? FromBytes(out, response) : FromGrpc(status, context);
  }

  absl::Status Download(absl::string_view method, const Message& request, Message* response,
                        const std::function<bool()>& each) override {
    grpc::ClientContext context;
    Prepare(context, absl::InfiniteDuration());
    const std::string path = PathOf(method);
    const grpc::ByteBuffer in = ToBytes(request);
    const std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> reader(
        grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
            channel_.get(), RpcMethod(path.c_str(), RpcMethod::SERVER_STREAMING, channel_), &context, in));
    grpc::ByteBuffer out;
    bool ended = false;
    absl::Status parsed;
    while (!ended && parsed.ok() && reader->Read(&out)) {
      parsed = FromBytes(out, response);
      if (parsed.ok()) ended = !each();
    }
    if (ended || !parsed.ok()) context.TryCancel();
    const grpc::Status status = reader->Finish();
    return ended || !parsed.ok() ? parsed : FromGrpc(status, context);
  }

  absl::Status Upload(absl::string_view method, Message* request, const std::function<bool()>& next,
                      Message* response) override {
    grpc::ClientContext context;
    Prepare(context, std::max(options_.timeout, absl::Minutes(2)));
    const std::string path = PathOf(method);
    grpc::ByteBuffer out;
    const std::unique_ptr<grpc::ClientWriter<grpc::ByteBuffer>> writer(
        grpc::internal::ClientWriterFactory<grpc::ByteBuffer>::Create(
            channel_.get(), RpcMethod(path.c_str(), RpcMethod::CLIENT_STREAMING, channel_), &context, &out));
    while (next() && writer->Write(ToBytes(*request))) {
    }
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    return status.ok() ? FromBytes(out, response) : FromGrpc(status, context);
  }

 private:
  static std::string PathOf(absl::string_view method) { return absl::StrCat("/ringfence.v1.", method); }

  void Prepare(grpc::ClientContext& context, absl::Duration timeout) const {
    if (timeout != absl::InfiniteDuration()) {
      context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(timeout));
    }
    if (!options_.token.empty())
      context.AddMetadata("authorization", absl::StrCat("Bearer ", options_.token));
  }

  const RemoteOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace

std::unique_ptr<Remote> MakeRemote(RemoteOptions options) {
  return std::make_unique<GrpcRemote>(std::move(options));
}

}  // namespace ringfence::cli
