// What is counted, for Prometheus. Names, labels and buckets are those of docs/metrics.md.
#pragma once

#include <memory>
#include <string>

#include "server/api/api_metrics.h"
#include "server/app/app.h"
#include "server/app/metrics.h"

namespace ringfence::api {

// Thread-safe. The hot counters are references kept from the start; the others are looked up under a lock.
class PrometheusMetrics final : public app::Metrics, public ApiMetrics {
 public:
  // `time_scale`: product time per real time; the commit's duration is shown in real time. `started_at` is
  // real.
  PrometheusMetrics(double time_scale, const std::string& version, absl::Time started_at);
  ~PrometheusMetrics() override;

  // app::Metrics
  void CheckIn(bool unchanged) override;
  void LeaseAnswer(absl::string_view answer) override;
  void Committed(int exposures, absl::Duration took, bool ok) override;
  void Decision(absl::string_view action, absl::string_view rule) override;
  void StagingFailed() override;
  void PlanRefused(absl::string_view reason) override;
  void PlanForked() override;
  void RunOnce(absl::Duration took, bool ok) override;

  // ApiMetrics
  void RpcError(absl::string_view rpc, absl::string_view code) override;
  void CheckInTook(absl::Duration real) override;
  void CheckInResult(absl::string_view result) override;
  void LeaseAsked() override;
  void LeaseAnswered(const std::string& tenant, absl::string_view channel, absl::string_view answer) override;
  void Enrolled(bool ok) override;
  void Forwarding(int items) override;
  void ForwardFailed() override;

  // Whether this replica leads.
  void Leads(bool leads);

  // The engine's loop: how far behind its schedule it is, in product time; a jump of the wall clock.
  void EngineLag(absl::Duration lag);
  void ClockJumped();

  // Everything in the text format, with the gauges of `app` as they are now (null: without them).
  std::string Text(app::App* app);

 private:
  struct Families;
  std::unique_ptr<Families> families_;
  const double time_scale_;
};

}  // namespace ringfence::api
