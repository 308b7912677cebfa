// What the handlers count, besides what the application counts itself. Names and labels: docs/metrics.md.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace ringfence::api {

// Thread-safe; cheap: called on the hot path. Every entry point may be ignored: tests pass a plain
// ApiMetrics.
class ApiMetrics {
 public:
  virtual ~ApiMetrics() = default;
  virtual void RpcError(absl::string_view /*rpc*/, absl::string_view /*code*/) {}
  virtual void CheckInTook(absl::Duration /*real*/) {}
  virtual void CheckInResult(absl::string_view /*result*/) {}  // "labels_wanted" or "refused"
  // Every LeaseAsked is followed by one LeaseAnswered. `answer` is "granted", a reason's word, or "error". A
  // grant was committed: it counts as an exposure of the tenant.
  virtual void LeaseAsked() {}
  virtual void LeaseAnswered(const std::string& /*tenant*/, absl::string_view /*channel*/,
                             absl::string_view /*answer*/) {}
  virtual void Enrolled(bool /*ok*/) {}
  virtual void Forwarding(int /*items*/) {}  // a batch to the replica that leads
  virtual void ForwardFailed() {}            // a call that did not get the leader's answer
};

}  // namespace ringfence::api
