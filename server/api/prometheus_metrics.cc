#include "server/api/prometheus_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <iterator>
#include <set>

#include "ringfence/base/mutex.h"
#include "server/api/fleet_gauges.h"

namespace ringfence::api {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

const Histogram::BucketBoundaries kCheckInBuckets = {10e-6, 25e-6,  50e-6, 100e-6, 250e-6, 500e-6,
                                                     1e-3,  2.5e-3, 10e-3, 50e-3,  250e-3, 1};
const Histogram::BucketBoundaries kCommitRowBuckets = {1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000};
const Histogram::BucketBoundaries kCommitBuckets = {0.5e-3, 1e-3,   2.5e-3, 5e-3, 10e-3, 25e-3,
                                                    50e-3,  100e-3, 250e-3, 1,    5};

const Histogram::BucketBoundaries kForwardBuckets = {1, 2, 5, 10, 25, 50, 100, 250, 500};

// An agent may name any channel; only so many become a label.
constexpr size_t kMostChannels = 64;

std::string Label(absl::string_view view) {
  return std::string(view);
}

}  // namespace

struct PrometheusMetrics::Families {
  prometheus::Registry registry;

  Family<Counter>& Counters(const char* name, const char* help) {
    return BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Gauge>& Gauges(const char* name, const char* help) {
    return BuildGauge().Name(name).Help(help).Register(registry);
  }
  Family<Histogram>& Histograms(const char* name, const char* help) {
    return BuildHistogram().Name(name).Help(help).Register(registry);
  }

  Family<Counter>& checkins = Counters("ringfence_checkins_total", "Check-ins answered, by result");
  Counter& unchanged = checkins.Add({{"result", "unchanged"}});
  Counter& changed = checkins.Add({{"result", "changed"}});
  Counter& labels_wanted = checkins.Add({{"result", "labels_wanted"}});
  Counter& refused = checkins.Add({{"result", "refused"}});
  Histogram& checkin_seconds =
      Histograms("ringfence_checkin_seconds", "From the decoded request to the reply")
          .Add({}, kCheckInBuckets);
  Family<Counter>& enrollments = Counters("ringfence_enrollments_total", "Enrolments, by result");
  Counter& enrolled = enrollments.Add({{"result", "enrolled"}});
  Counter& not_enrolled = enrollments.Add({{"result", "refused"}});

  Family<Counter>& lease_answers = Counters("ringfence_lease_answers_total", "Answers to lease requests");
  Family<Counter>& exposures =
      Counters("ringfence_exposures_committed_total", "Exposures committed before their lease was answered");
  Histogram& commit_rows =
      Histograms("ringfence_commit_rows", "Rows in one group commit").Add({}, kCommitRowBuckets);
  Histogram& commit_seconds =
      Histograms("ringfence_commit_seconds", "Time of one group commit").Add({}, kCommitBuckets);
  Gauge& queue_rows =
      Gauges("ringfence_commit_queue_rows", "Rows that wait for the next group commit").Add({});
  Counter& commit_failures =
      Counters("ringfence_commit_failures_total", "Group commits that failed or are in doubt").Add({});

  Family<Counter>& decisions = Counters("ringfence_decisions_total", "Decisions committed");
  Counter& staging_failures =
      Counters("ringfence_staging_failures_total", "Reports of agents that could not stage a release")
          .Add({});
  Family<Counter>& plan_refusals =
      Counters("ringfence_plan_refusals_total", "Offers that hosts refused by the plan that they pin");
  Counter& plan_forks =
      Counters("ringfence_plan_forks_total", "Signed plans that left a gap in their chain, or forked it")
          .Add({});
  Gauge& engine_lag =
      Gauges("ringfence_engine_lag_seconds", "How far the engine is behind its schedule").Add({});
  Counter& clock_jumps =
      Counters("ringfence_clock_jumps_total", "Jumps of the wall clock by more than 30 s").Add({});
  Counter& forwarded =
      Counters("ringfence_forwarded_calls_total", "Calls of agents handed on to the replica that leads")
          .Add({});
  Histogram& forward_batch =
      Histograms("ringfence_forward_batch_calls", "Calls in one batch to the replica that leads")
          .Add({}, kForwardBuckets);
  Counter& forward_failures =
      Counters("ringfence_forward_failures_total", "Calls that did not get the leader's answer").Add({});
  Gauge& leader = Gauges("ringfence_leader", "1 on the replica that leads").Add({});
  Family<Counter>& rpc_errors =
      Counters("ringfence_rpc_errors_total", "Calls that ended with a status other than OK");

  Mutex mutex;
  std::set<std::string> channels ABSL_GUARDED_BY(mutex);

  std::string ChannelLabel(absl::string_view channel) {
    MutexLock lock(&mutex);
    std::string name(channel);
    if (channels.size() >= kMostChannels && channels.count(name) == 0) return "other";
    channels.insert(name);
    return name;
  }
};

PrometheusMetrics::PrometheusMetrics(double time_scale, const std::string& version, absl::Time started_at)
    : families_(std::make_unique<Families>()), time_scale_(time_scale) {
  families_->Gauges("ringfence_build_info", "The version that runs").Add({{"version", version}}).Set(1);
  families_->Gauges("ringfence_start_time_seconds", "When the process started, since 1970")
      .Add({})
      .Set(absl::ToDoubleSeconds(started_at - absl::UnixEpoch()));
  families_->plan_refusals.Add({{"reason", "other"}});  // there before the first: what rises from 0 is seen
}

PrometheusMetrics::~PrometheusMetrics() = default;

void PrometheusMetrics::CheckIn(bool unchanged) {
  (unchanged ? families_->unchanged : families_->changed).Increment();
}

// Counted with its channel in LeaseAnswered.
void PrometheusMetrics::LeaseAnswer(absl::string_view) {}

void PrometheusMetrics::Committed(int exposures, absl::Duration took, bool ok) {
  if (!ok) families_->commit_failures.Increment();
  if (exposures > 0) families_->commit_rows.Observe(exposures);
  families_->commit_seconds.Observe(absl::ToDoubleSeconds(took) / time_scale_);
}

void PrometheusMetrics::Decision(absl::string_view action, absl::string_view rule) {
  families_->decisions.Add({{"rule", Label(rule)}, {"outcome", Label(action)}}).Increment();
}

void PrometheusMetrics::StagingFailed() {
  families_->staging_failures.Increment();
}

void PrometheusMetrics::PlanRefused(absl::string_view reason) {
  families_->plan_refusals.Add({{"reason", Label(reason)}}).Increment();
}

void PrometheusMetrics::PlanForked() {
  families_->plan_forks.Increment();
}

void PrometheusMetrics::RunOnce(absl::Duration, bool) {}

void PrometheusMetrics::RpcError(absl::string_view rpc, absl::string_view code) {
  families_->rpc_errors.Add({{"rpc", Label(rpc)}, {"code", Label(code)}}).Increment();
}

void PrometheusMetrics::CheckInTook(absl::Duration real) {
  families_->checkin_seconds.Observe(absl::ToDoubleSeconds(real));
}

void PrometheusMetrics::CheckInResult(absl::string_view result) {
  (result == "refused" ? families_->refused : families_->labels_wanted).Increment();
}

void PrometheusMetrics::LeaseAsked() {
  families_->queue_rows.Increment();
}

void PrometheusMetrics::LeaseAnswered(const std::string& tenant, absl::string_view channel,
                                      absl::string_view answer) {
  families_->queue_rows.Decrement();
  const std::string label = families_->ChannelLabel(channel);
  families_->lease_answers.Add({{"channel", label}, {"answer", Label(answer)}}).Increment();
  if (answer == "granted") families_->exposures.Add({{"tenant", tenant}, {"channel", label}}).Increment();
}

void PrometheusMetrics::Enrolled(bool ok) {
  (ok ? families_->enrolled : families_->not_enrolled).Increment();
}

void PrometheusMetrics::Forwarding(int items) {
  families_->forwarded.Increment(items);
  families_->forward_batch.Observe(items);
}

void PrometheusMetrics::ForwardFailed() {
  families_->forward_failures.Increment();
}

void PrometheusMetrics::Leads(bool leads) {
  families_->leader.Set(leads ? 1 : 0);
}

void PrometheusMetrics::EngineLag(absl::Duration lag) {
  families_->engine_lag.Set(absl::ToDoubleSeconds(lag));
}

void PrometheusMetrics::ClockJumped() {
  families_->clock_jumps.Increment();
}

std::string PrometheusMetrics::Text(app::App* app) {
  std::vector<prometheus::MetricFamily> all = families_->registry.Collect();
  if (app != nullptr) {
    std::vector<prometheus::MetricFamily> fleet = CollectFleetGauges(*app);
    all.insert(all.end(), std::make_move_iterator(fleet.begin()), std::make_move_iterator(fleet.end()));
  }
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace ringfence::api
