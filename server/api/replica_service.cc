// What other replicas hand on: batches of agents' calls, each answered as if its caller had called here.
#include <atomic>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/internal/v1/replica.pb.h"
#include "server/api/rpc.h"
#include "server/api/services.h"

namespace ringfence::api {
namespace {

constexpr int kMostItems = 1024;

// Lives until its last item is answered.
class ForwardedBatch {
 public:
  ForwardedBatch(const Call& call, grpc::ByteBuffer* out) : call_(call), out_(out) {}

  absl::Status Read(const grpc::ByteBuffer& in) {
    RETURN_IF_ERROR(ParseMessage(in, &request_));
    if (request_.items_size() <= kMostItems) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("items: found ", request_.items_size(), ", wanted at most ", kMostItems));
  }
  const std::string& method() const { return request_.method(); }
  bool empty() const { return request_.items().empty(); }

  // Deletes it, now or later.
  void Run(const RpcService::Unary& unary) {
    for (const internal::v1::ForwardItem& item : request_.items())
      items_.emplace_back(this, item, response_.add_answers());
    left_ = request_.items_size() + 1;
    for (Item& item : items_) {
      const Call call{call_.env, unary.method, nullptr, nullptr, &item};
      unary.handle(call, &item.in, &item.out);
    }
    OneLess();
  }

 private:
  class Item final : public ForwardedCall {
   public:
    Item(ForwardedBatch* batch, const internal::v1::ForwardItem& item, internal::v1::ForwardAnswer* answer)
        : batch_(batch), item_(item), answer_(answer) {
      // The request stays where it is.
      grpc::Slice slice(item.request().data(), item.request().size(), grpc::Slice::STATIC_SLICE);
      in = grpc::ByteBuffer(&slice, 1);
    }

    absl::string_view authorization() const override { return item_.authorization(); }
    void AddTrailer(const std::string& key, const std::string& value) override {
      internal::v1::ForwardTrailer* trailer = answer_->add_trailers();
      trailer->set_key(key);
      trailer->set_value(value);
    }
    void Finish(const grpc::Status& status) override {
      if (!status.ok()) {
        answer_->set_code(static_cast<int32_t>(status.error_code()));
        answer_->set_message(status.error_message());
        answer_->set_details(status.error_details());
      } else {
        std::vector<grpc::Slice> slices;
        if (out.Dump(&slices).ok()) {
          for (const grpc::Slice& slice : slices)
            answer_->mutable_response()->append(reinterpret_cast<const char*>(slice.begin()), slice.size());
        }
      }
      batch_->OneLess();
    }

    grpc::ByteBuffer in, out;

   private:
    ForwardedBatch* const batch_;
    const internal::v1::ForwardItem& item_;
    internal::v1::ForwardAnswer* const answer_;
  };

  void OneLess() {
    if (left_.fetch_sub(1) != 1) return;
    call_.Finish(SerializeMessage(response_, out_));
    delete this;
  }

  const Call call_;
  grpc::ByteBuffer* const out_;
  internal::v1::ForwardRequest request_;
  internal::v1::ForwardResponse response_;
  std::deque<Item> items_;
  std::atomic<int> left_{0};
};

class ReplicaService final : public RpcService {
 public:
  ReplicaService(Environment* env, std::vector<const RpcService*> services)
      : RpcService(env, "ringfence.internal.v1.ReplicaService"), services_(std::move(services)) {
    AddInternal("Forward", [this](const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
      Forward(call, in, out);
    });
  }

 private:
  void Forward(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out) {
    // Before anything of it is read.
    absl::Status status = env()->key.Check(Metadatum(*call.context, kForwardedKey));
    if (!status.ok()) return call.Finish(status);
    auto batch = std::make_unique<ForwardedBatch>(call, out);
    status = batch->Read(*in);
    if (!status.ok()) return call.Finish(status);
    if (batch->empty()) return call.Finish(SerializeMessage(internal::v1::ForwardResponse(), out));
    for (const RpcService* service : services_) {
      if (const Unary* unary = service->FindUnary(batch->method())) return batch.release()->Run(*unary);
    }
    call.Finish(absl::UnimplementedError("method: none that is forwarded"));
  }

  const std::vector<const RpcService*> services_;
};

}  // namespace

std::unique_ptr<RpcService> MakeReplicaService(Environment* env, std::vector<const RpcService*> services) {
  return std::make_unique<ReplicaService>(env, std::move(services));
}

}  // namespace ringfence::api
