// Calls to the server: bytes out, bytes in, and errors as a Status. The only part of the command that knows
// gRPC.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"

namespace ringfence::cli {

// Payloads of a refused call's Status.
inline constexpr char kFaultListUrl[] = "ringfence/faults";  // serialized FaultList
inline constexpr char kRefusalUrl[] = "ringfence/refusal";   // a word: "stale_version"

struct RemoteOptions {
  std::string server;                          // host:port
  std::string token;                           // sent as a bearer token; empty: none
  absl::Duration timeout = absl::Seconds(10);  // of a call; streams have none
};

// Methods are named "PlanService/ApplyPlan". Not thread-safe, but Cancel may come from anywhere.
class Remote {
 public:
  virtual ~Remote() = default;
  virtual absl::Status Call(absl::string_view method, const google::protobuf::Message& request,
                            google::protobuf::Message* response) = 0;
  // Calls `each` after each message; it returns false to end the stream, which is then ok.
  virtual absl::Status Download(absl::string_view method, const google::protobuf::Message& request,
                                google::protobuf::Message* response, const std::function<bool()>& each) = 0;
  // Sends what `next` puts into `request` until it returns false.
  virtual absl::Status Upload(absl::string_view method, google::protobuf::Message* request,
                              const std::function<bool()>& next, google::protobuf::Message* response) = 0;
};

std::unique_ptr<Remote> MakeRemote(RemoteOptions options);

}  // namespace ringfence::cli
