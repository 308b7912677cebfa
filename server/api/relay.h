// Hands calls on to the replica that leads. This one ends its callers' connections, which is most of what a
// check-in costs, and carries what agents ask in batches; the leader checks every caller's own credential,
// and decides. Calls of people, and streams, are passed on one by one as they are.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringfence/base/mutex.h"
#include "server/api/rpc.h"
#include "server/storage/rows.h"

namespace ringfence::api {

// A leader, and the way to it. Immutable.
struct LeaderLink {
  storage::LeaderRow leader;
  std::string key;  // as it is shown
  std::shared_ptr<grpc::Channel> channel;
};

// Thread-safe.
class Relay {
 public:
  // All durations are real time.
  struct Options {
    int most_items = 512;                  // in one batch
    size_t most_bytes = 1 << 20;           // of requests in one batch; a larger request travels alone
    size_t most_waiting = 16'384;          // calls of one method that wait for a batch
    size_t most_waiting_bytes = 32 << 20;  // of their requests
    absl::Duration batch_patience = absl::Seconds(10);
    absl::Duration call_patience = absl::Seconds(60);  // of people; a shorter one of the caller's counts
    absl::Duration stop_patience = absl::Seconds(2);   // then a stop is written from here
    absl::Duration probe_patience = absl::Seconds(2);
    absl::Duration retry_after = absl::Seconds(5);  // told to whom we have to send away; up to twice as long
  };

  // `env` outlives it, and it outlives every call.
  Relay(Environment* env, Options options);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Who leads; nullopt: nobody is known to. Calls under way to another one end as Unavailable: whether they
  // were done is known to who repeats them.
  void Follow(const std::optional<storage::LeaderRow>& leader);
  // Asks the leader whether it takes our calls; waits for the answer. Unavailable: it does not, with the
  // reason.
  absl::Status Probe();

  // Takes no more calls, waits for those under way for `grace`, then ends them as Unavailable.
  void Close(absl::Duration grace);

  // Finishes the call as the leader answers it. An operator's stop that does not reach the leader, or that
  // the leader could not place, is handled by `local`.
  void Unary(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out,
             const RpcService::UnaryHandler& local);

  // The leader's answer to a batched method, without finishing the call. `done` is called once, on any
  // thread.
  using Answered = std::function<void(const grpc::Status& status, const std::string& response)>;
  void Ask(const Call& call, const grpc::ByteBuffer* in, Answered done);

  // Streams, as they are. gRPC owns the reactors.
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Download(const Call& call, const grpc::ByteBuffer* in);
  grpc::ServerReadReactor<grpc::ByteBuffer>* Upload(const Call& call, grpc::ByteBuffer* out);

  // ---- for the calls under way

  // The way to the leader. Unavailable: nobody is known to lead, or it stops.
  absl::StatusOr<std::shared_ptr<const LeaderLink>> Link();
  // Sets a client's context up for a call that is passed on, and remembers it until Ended: Follow and Close
  // may cancel it. A caller's shorter deadline counts.
  void Begin(const std::shared_ptr<grpc::ClientContext>& context, const LeaderLink& link, const Call& call,
             absl::Duration patience);
  void Ended(const std::shared_ptr<grpc::ClientContext>& context);
  // What a caller is told when its call failed on the way, and not at its end. Adds the hint when to come
  // again.
  grpc::Status Lost(const Call& call, const std::string& why);
  // Whether it failed on the way: the status is the transport's, or the leader refused us and not the caller.
  static bool FailedOnTheWay(const grpc::Status& status, const grpc::ClientContext& context);

 private:
  struct Waiting {
    Call call;
    const grpc::ByteBuffer* in;       // the call's own
    grpc::ByteBuffer* out = nullptr;  // with a call to finish
    Answered done;                    // without
  };
  // The calls of one method.
  struct Lane {
    const char* method;
    const int most_in_flight;
    Mutex mutex;
    std::deque<Waiting> waiting ABSL_GUARDED_BY(mutex);
    size_t bytes ABSL_GUARDED_BY(mutex) = 0;
    int in_flight ABSL_GUARDED_BY(mutex) = 0;
  };
  struct Batch;
  struct Passed;

  Lane* FindLane(absl::string_view method);
  void Enqueue(Lane& lane, Waiting waiting);
  // Sends batches as long as some wait and some may be sent: what came while one was on its way goes
  // together.
  void Pump(Lane& lane);
  void Send(std::unique_ptr<Batch> batch);
  void Return(std::unique_ptr<Batch> batch, const grpc::Status& status);
  void End(Waiting& waiting, const grpc::Status& status, std::string response);
  void PassOn(const Call& call, const grpc::ByteBuffer* in, grpc::ByteBuffer* out,
              const RpcService::UnaryHandler& local);
  void Passing(std::unique_ptr<Passed> passed, const grpc::Status& status);
  void Remember(const std::shared_ptr<grpc::ClientContext>& context, const LeaderLink& link);

  Environment* const env_;
  const Options options_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  Mutex mutex_;
  std::condition_variable idle_;
  std::shared_ptr<const LeaderLink> link_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<grpc::ClientContext>> under_way_ ABSL_GUARDED_BY(mutex_);
  uint32_t sent_away_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace ringfence::api
