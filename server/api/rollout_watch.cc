#include "server/api/rollout_watch.h"

#include <optional>
#include <string>

#include "ringfence/base/mutex.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/api/decode.h"
#include "server/api/encode.h"

namespace ringfence::api {
namespace {

class Watch final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public Watcher {
 public:
  Watch(const Call& call, WatchHub* hub) : call_(call), hub_(hub) {}

  void Start(const grpc::ByteBuffer& in) {
    absl::Status status = Admit(in);
    if (status.ok() && !hub_->Add(this))
      status = absl::UnavailableError("the server stops; watch again later");
    if (status.ok()) {
      Changed();  // the first answer
    } else {
      MutexLock lock(&mutex_);
      end_ = status;
      MaybeEnd();
    }
  }

  void Changed() override {
    MutexLock lock(&mutex_);
    wanted_ = true;
    MaybeLook();
  }

  void Stopping() override { EndWith(absl::UnavailableError("the server stops; watch again later")); }
  void OnCancel() override { EndWith(absl::CancelledError("the caller went away")); }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mutex_);
    busy_ = false;
    if (!ok && !end_) end_ = absl::CancelledError("the caller went away");
    MaybeEnd();
    MaybeLook();
  }

  void OnDone() override {
    hub_->Remove(this);
    // A look that called Finish may still hold the lock.
    { MutexLock lock(&mutex_); }
    delete this;
  }

 private:
  absl::Status Admit(const grpc::ByteBuffer& in) {
    ASSIGN_OR_RETURN(const app::Actor actor, call_.AdmitOperator());
    v1::WatchRolloutRequest request;
    RETURN_IF_ERROR(ParseMessage(in, &request));
    Faults faults;
    CheckSlug(request.channel(), "channel", faults);
    CheckSerialOrZero(request.serial(), "serial", faults);
    tenant_ = actor.tenant;
    channel_ = request.channel();
    serial_ = request.serial();
    return faults.ToStatus();
  }

  void EndWith(absl::Status status) {
    MutexLock lock(&mutex_);
    if (!end_) end_ = std::move(status);
    MaybeEnd();
  }

  // Finishes when an end is due and neither a look nor a write is under way. gRPC tells OnDone on a thread of
  // its own, so holding the lock here is safe.
  void MaybeEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!end_ || busy_ || finished_) return;
    finished_ = true;
    Finish(call_.End(*end_));
  }

  void MaybeLook() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!wanted_ || busy_ || end_) return;
    wanted_ = false;
    busy_ = true;
    if (call_.env->people->Submit([this] { Look(); })) return;
    busy_ = false;
    end_ = absl::UnavailableError("the server is busy or stops; watch again later");
    MaybeEnd();
  }

  // On the pool. Reads the rollout and writes it if it is another version than the last.
  void Look() {
    const absl::StatusOr<app::RolloutInfo> info = call_.env->app->GetRollout(channel_, serial_, tenant_);
    absl::Status status = info.status();
    bool write = false;
    if (info.ok()) {
      serial_ = info->release.release.serial;
      write = !sent_version_ || *sent_version_ != info->version;
      sent_version_ = info->version;
    }
    if (write) {
      v1::WatchRolloutResponse response;
      Encode(*info, response.mutable_rollout());
      status = SerializeMessage(response, &buffer_);
    }
    MutexLock lock(&mutex_);
    if (!status.ok() && !end_) end_ = status;
    if (write && !end_) {
      StartWrite(&buffer_);  // stays busy until OnWriteDone
      return;
    }
    busy_ = false;
    MaybeEnd();
    MaybeLook();
  }

  const Call call_;
  WatchHub* const hub_;
  // Set before the first look, then of the look alone; looks never overlap.
  std::string tenant_, channel_;
  uint64_t serial_ = 0;
  std::optional<uint64_t> sent_version_;
  grpc::ByteBuffer buffer_;  // must live until OnWriteDone

  Mutex mutex_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;  // something changed since the last look began
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;    // a look or a write is under way
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);  // why it ends, as soon as it can
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartRolloutWatch(const Call& call, WatchHub* hub,
                                                              const grpc::ByteBuffer* in) {
  auto* watch = new Watch(call, hub);
  watch->Start(*in);
  return watch;
}

}  // namespace ringfence::api
