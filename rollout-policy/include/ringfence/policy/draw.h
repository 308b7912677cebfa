// The draw: of the hosts that ask in one bucket a few are let in by a coin whose probability is fixed before
// it falls. health-analysis.md, section 2.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "ringfence/base/ids.h"

namespace ringfence::policy {

enum class Arm : uint8_t {
  kNone = 0,       // not enrolled
  kTreatment = 1,  // T: may activate
  kControl = 2,    // C: waits D, is compared
  kPhantom = 3,    // P: waits S, is compared over the soak
};

inline constexpr double kPiMax = 0.2;
inline constexpr int64_t kEnrolFloor = 2000;

struct DrawRates {
  double rho = 1.0;  // share of askers enrolled at all
  double pi = 0.0;   // probability of T
  double phi = 0.0;  // probability of P
};

// From the state before the bucket: tokens at its opening, askers expected in it. `phantoms_per_t` is r.
DrawRates RatesFor(int64_t tokens, double forecast, double phantoms_per_t = 0.0, double pi_max = kPiMax,
                   int64_t enrol_floor = kEnrolFloor);

// The 53-bit uniform in [0,1) of (rollout secret, host, bucket, k); k = 1: v (enrolment), 2: u (arm).
double DrawUniform(absl::string_view rollout_secret, const AgentId& host, uint64_t bucket, uint8_t k);

// Replica epoch (24 bits) above index (40 bits), so that no u is used twice after a failover. Both must fit.
uint64_t BucketNumber(uint32_t replica_epoch, uint64_t index);

// The arm of one enrolled-or-not host. Eligibility and cell budgets were decided before.
Arm DrawArm(double v, double u, const DrawRates& rates);

// One bucket of one stage on one replica. Tokens fall with each T; when they are used up it goes on with pi =
// 0 until there are max(50, 20·n_T) controls. The caller keeps the answers (a repeated request gets the
// logged one) and decides eligibility and cell budgets before asking. Not thread-safe.
class Bucket {
 public:
  Bucket() = default;
  Bucket(int64_t tokens, double forecast, double phantoms_per_t = 0.0, double pi_max = kPiMax);

  struct Answer {
    Arm arm = Arm::kNone;
    double pi = 0.0;
    double phi = 0.0;
  };
  Answer Ask(double v, double u);

  // Before asking: would Ask answer None whatever v and u are?
  bool IsClosed() const;
  // Fewer tokens from now on (a brake, a tightened budget): never more than given here.
  void LimitTokens(int64_t tokens);
  int64_t tokens() const { return tokens_; }
  int64_t treated() const { return treated_; }
  int64_t controls() const { return controls_; }  // C and P
  const DrawRates& rates() const { return rates_; }

 private:
  DrawRates rates_;
  int64_t tokens_ = 0;
  int64_t treated_ = 0;
  int64_t controls_ = 0;
};

}  // namespace ringfence::policy
