// What the application counts. One class, passed in; the Prometheus implementation lives in server/api, so
// that the application links no metrics library. Names and labels: docs/metrics.md.
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace ringfence::app {

// Thread-safe; cheap: called on the hot path.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual void CheckIn(bool unchanged) = 0;
  virtual void LeaseAnswer(absl::string_view answer) = 0;  // "granted" or a reason's word
  virtual void Committed(int exposures, absl::Duration took, bool ok) = 0;
  virtual void Decision(absl::string_view action, absl::string_view rule) = 0;
  virtual void StagingFailed() = 0;  // an agent could not fetch, verify or write a release
  virtual void PlanRefused(absl::string_view reason) = 0;  // by a host that pins its customer's plan
  virtual void PlanForked() = 0;  // a signed plan left a gap in its chain, or forked it; here or on a host
  virtual void RunOnce(absl::Duration took, bool ok) = 0;
};

}  // namespace ringfence::app
