// The wire to the server: ringfence.v1.AgentService over gRPC. Every call has a deadline and ends in exactly
// one callback.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/agent/types.h"

namespace ringfence::agent {

struct ClientOptions {
  std::string server =
      "127.0.0.1:7443";  // host:port. Not encrypted yet: stay on loopback or a private network
  absl::Duration deadline = absl::Seconds(10);        // of one call, real time
  absl::Duration fetch_deadline = absl::Minutes(10);  // of one download
  // Calls share one connection unless this differs between clients: a simulator spreads its agents over a
  // few.
  int connection = 0;
};

// Who calls: sent with every call but Enrol.
struct Credential {
  AgentId agent;
  std::string secret;  // 32 raw bytes
};

// Thread-safe. Callbacks come on gRPC's threads and must not block; none comes after the destructor, which
// cancels what is open and waits for it.
class Client {
 public:
  template <typename Reply>
  using Done = std::function<void(absl::StatusOr<Reply>)>;

  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Enrol(absl::string_view token, const AgentId& agent, const policy::Labels& labels,
             absl::string_view boot_id, Done<EnrolReply> done);
  void CheckIn(const Credential& who, const CheckIn& request, Done<CheckInReply> done);
  // `nonce`: 16 bytes that a signed answer repeats, or none: no signature is asked for.
  struct LeaseAsk {
    std::string channel;
    Digest digest;
    std::string boot_id;
    std::string nonce = {};
    uint64_t halt_seq = 0;    // as in CheckIn
    Digest plan_sha256 = {};  // of the signed plan that the host holds; zero: none
  };
  void Lease(const Credential& who, const LeaseAsk& ask, Done<LeaseReply> done);

  // The tenant's signed plans from this version on, and signed decisions from this seq on: as many as fit.
  void FetchPlan(const Credential& who, uint64_t from_version, uint64_t from_seq,
                 Done<std::vector<std::string>> done);

  // Hands the bytes from `offset` on to `sink`, in order, each chunk once; `sink` may refuse, which ends the
  // call with its status. The reply is the size of the whole artifact, all of which has then been handed
  // over.
  using Sink = std::function<absl::Status(int64_t offset, absl::string_view bytes)>;
  void Fetch(const Credential& who, const Digest& digest, int64_t offset, Sink sink, Done<int64_t> done);

  // A file of the release repository, by the name that a TUF client asks by; of at most `most` bytes, beyond
  // which the call ends with ResourceExhausted. NotFound if the server has none.
  void FetchMetadata(const Credential& who, const std::string& name, size_t most, Done<std::string> done);

  // Cancels what is open and waits for it; what is asked after that ends at once. What the destructor does.
  void Close();

  // The wait that the server asked for with an error; zero if it named none.
  static absl::Duration RetryAfter(const absl::Status& status);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringfence::agent
