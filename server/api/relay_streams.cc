// Streams that are passed on as they are, a message at a time: what one side has not taken, the other is not
// asked for.
#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/api/relay.h"

namespace ringfence::api {
namespace {

using ClientReactor = grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// Both kinds: the caller's stream as a server's reactor, the leader's as a client's. The object goes when
// both are done.
template <typename Reactor>
class PassedStream : public Reactor {
 public:
  void OnCancel() override { context_->TryCancel(); }
  void OnDone() override { Drop(); }

 protected:
  PassedStream(Relay* relay, const Call& call) : relay_(relay), call_(call), to_leader_(this) {}

  virtual void LeaderRead(bool ok) = 0;
  virtual void LeaderWritten(bool ok) = 0;

  // False: finished already.
  bool Open() {
    absl::StatusOr<std::shared_ptr<const LeaderLink>> link = relay_->Link();
    if (!link.ok()) {
      holders_ = 1;  // the leader's side never was
      this->Finish(call_.EndAs(relay_->Lost(call_, std::string(link.status().message()))));
      return false;
    }
    link_ = *std::move(link);
    relay_->Begin(context_, *link_, call_, absl::InfiniteDuration());
    grpc::GenericStub(link_->channel)
        .PrepareBidiStreamingCall(context_.get(), absl::StrCat("/", call_.method), {}, &to_leader_);
    return true;
  }

  // The leader ended the stream; whatever its reader took before is written.
  void LeaderDone(const grpc::Status& status) {
    if (Relay::FailedOnTheWay(status, *context_)) {
      this->Finish(call_.EndAs(relay_->Lost(
          call_, absl::StrCat("the leader did not answer; try again: ", status.error_message()))));
    } else {
      for (const auto& [key, value] : context_->GetServerTrailingMetadata()) {
        if (absl::string_view(key.data(), key.size()) != kForwardedKey)
          call_.AddTrailer({key.data(), key.size()}, {value.data(), value.size()});
      }
      this->Finish(call_.EndAs(status));
    }
    relay_->Ended(context_);
    Drop();
  }

  class ToLeader final : public ClientReactor {
   public:
    explicit ToLeader(PassedStream* owner) : owner_(owner) {}
    void OnReadDone(bool ok) override { owner_->LeaderRead(ok); }
    void OnWriteDone(bool ok) override { owner_->LeaderWritten(ok); }
    void OnDone(const grpc::Status& status) override { owner_->LeaderDone(status); }

   private:
    PassedStream* const owner_;
  };

  void Drop() {
    if (holders_.fetch_sub(1) == 1) delete this;
  }

  Relay* const relay_;
  const Call call_;
  std::shared_ptr<const LeaderLink> link_;
  const std::shared_ptr<grpc::ClientContext> context_ = std::make_shared<grpc::ClientContext>();
  ToLeader to_leader_;
  grpc::ByteBuffer message_;
  std::atomic<int> holders_{2};
};

// The leader's messages, one after the other.
class PassedDownload final : public PassedStream<grpc::ServerWriteReactor<grpc::ByteBuffer>> {
 public:
  PassedDownload(Relay* relay, const Call& call) : PassedStream(relay, call) {}

  void Start(const grpc::ByteBuffer* in) {
    if (!Open()) return;
    to_leader_.StartWriteLast(in, grpc::WriteOptions());
    to_leader_.StartRead(&message_);
    // From a write of ours to the next read the leader's call must not end.
    to_leader_.AddHold();
    to_leader_.StartCall();
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      to_leader_.StartRead(&message_);
    } else {
      context_->TryCancel();
      to_leader_.RemoveHold();
    }
  }

 private:
  void LeaderRead(bool ok) override {
    if (ok) {
      StartWrite(&message_);
    } else {
      to_leader_.RemoveHold();
    }
  }
  void LeaderWritten(bool) override {}
};

// The caller's messages, one after the other, and then the leader's answer.
class PassedUpload final : public PassedStream<grpc::ServerReadReactor<grpc::ByteBuffer>> {
 public:
  PassedUpload(Relay* relay, const Call& call, grpc::ByteBuffer* out)
      : PassedStream(relay, call), out_(out) {}

  void Start() {
    if (!Open()) return;
    to_leader_.StartRead(out_);
    to_leader_.AddHold();  // for the reads of ours
    to_leader_.StartCall();
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      to_leader_.StartWrite(&message_);
    } else {
      // The end of what the caller sends, or of the caller.
      if (call_.IsCancelled()) context_->TryCancel();
      to_leader_.StartWritesDone();
      to_leader_.RemoveHold();
    }
  }

 private:
  void LeaderRead(bool) override {}
  void LeaderWritten(bool ok) override {
    if (ok) {
      StartRead(&message_);
    } else {
      to_leader_.RemoveHold();
    }
  }

  grpc::ByteBuffer* const out_;
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* Relay::Download(const Call& call, const grpc::ByteBuffer* in) {
  auto* download = new PassedDownload(this, call);
  download->Start(in);
  return download;
}

grpc::ServerReadReactor<grpc::ByteBuffer>* Relay::Upload(const Call& call, grpc::ByteBuffer* out) {
  auto* upload = new PassedUpload(this, call, out);
  upload->Start();
  return upload;
}

}  // namespace ringfence::api
