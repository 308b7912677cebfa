// A Store that tells a watcher what every committed transaction changed, and that fails on demand: it cannot
// be reached, breaks during a commit (which then happened or did not), or runs the body twice.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "server/storage/store.h"

namespace ringfence::test {

// What one transaction changed, in the words of the rows.
struct Changes {
  std::vector<storage::AgentRow> agents;
  std::vector<storage::ReleaseRow> releases;
  std::vector<std::pair<std::pair<std::string, uint64_t>, absl::Duration>> healthy_ages;
  std::vector<storage::PlanRow> plans;
  std::vector<storage::ConsentRow> consents;
  std::vector<storage::SignedRow> signed_documents;
  std::vector<storage::StageRow> new_stages;
  std::vector<storage::StageRow> stages;
  std::vector<storage::BrakeRow> brakes;
  std::vector<storage::ExposureRow> exposures;
  std::vector<storage::OutcomeUpdate> outcomes;
  std::vector<storage::QuarantineRow> quarantines;
  std::vector<storage::EventKey> events;
  std::vector<storage::DecisionRow> decisions;
};

// Not thread-safe.
class RecordingStore final : public storage::Store {
 public:
  struct Faults {
    double unavailable = 0;     // nothing happens
    double doubt_done = 0;      // committed, and the caller is not told
    double doubt_not_done = 0;  // not committed, and the caller is not told
    double rerun = 0;           // the body runs, is rolled back, and runs again
  };

  RecordingStore(storage::Store* inner, std::function<void(const Changes&)> watch, uint64_t seed)
      : inner_(inner), watch_(std::move(watch)), random_(seed) {}

  Faults faults;
  bool down = false;  // as if unavailable were 1
  // The next calls end like this, before `faults` is asked.
  enum class Next { kUsual, kUnavailable, kDoubtDone, kDoubtNotDone };
  std::vector<Next> next;

  int64_t calls() const { return calls_; }
  int64_t failed() const { return failed_; }

  absl::Status ReadWrite(absl::FunctionRef<absl::Status(storage::Transaction&)> body) override;
  absl::Status Ping() override;

 private:
  Next Draw();

  storage::Store* const inner_;
  const std::function<void(const Changes&)> watch_;
  std::mt19937_64 random_;
  int64_t calls_ = 0, failed_ = 0;
};

}  // namespace ringfence::test
