#include "ringfence/policy/draw.h"

#include <algorithm>
#include <cmath>

#include "ringfence/base/check.h"
#include "ringfence/base/hash.h"

namespace ringfence::policy {
namespace {

// Askers expected in the bucket, at least one; a forecast that is no number counts as one asker, so that pi
// is merely capped at pi_max. The upper bound keeps the quotients below finite.
double UsableForecast(double forecast) {
  constexpr double kLargest = 1e15;
  return forecast >= 1.0 ? std::min(forecast, kLargest) : 1.0;
}

// Controls after which a bucket without tokens enrols nobody else: enough for guard A, which alone uses them.
int64_t EnoughControls(int64_t treated) {
  return std::max<int64_t>(50, 20 * treated);
}

}  // namespace

DrawRates RatesFor(int64_t tokens, double forecast, double phantoms_per_t, double pi_max,
                   int64_t enrol_floor) {
  const double askers = UsableForecast(forecast);
  const double wanted = std::max(static_cast<double>(enrol_floor), 21.0 * static_cast<double>(tokens));
  DrawRates rates;
  rates.rho = std::min(1.0, wanted / askers);
  if (tokens <= 0) return rates;
  rates.pi = std::min(pi_max, static_cast<double>(tokens) / (rates.rho * askers));
  rates.phi = std::min(1.0 - rates.pi, std::max(0.0, phantoms_per_t) * rates.pi);
  return rates;
}

double DrawUniform(absl::string_view rollout_secret, const AgentId& host, uint64_t bucket, uint8_t k) {
  HashInput input;
  input.String("ringfence/draw/1").Raw(host.raw()).U64(bucket).U8(k);
  return std::ldexp(static_cast<double>(HeadBigEndian(HmacSha256(rollout_secret, input.bytes())) >> 11), -53);
}

uint64_t BucketNumber(uint32_t replica_epoch, uint64_t index) {
  RF_CHECK(replica_epoch < uint32_t{1} << 24);
  RF_CHECK(index < uint64_t{1} << 40);
  return uint64_t{replica_epoch} << 40 | index;
}

Arm DrawArm(double v, double u, const DrawRates& rates) {
  if (v >= rates.rho) return Arm::kNone;
  if (u < rates.pi) return Arm::kTreatment;
  return u < rates.pi + rates.phi ? Arm::kPhantom : Arm::kControl;
}

Bucket::Bucket(int64_t tokens, double forecast, double phantoms_per_t, double pi_max)
    : rates_(RatesFor(tokens, forecast, phantoms_per_t, pi_max)), tokens_(std::max<int64_t>(0, tokens)) {}

Bucket::Answer Bucket::Ask(double v, double u) {
  if (IsClosed()) return {};
  DrawRates now = rates_;
  if (tokens_ == 0) now.pi = now.phi = 0.0;
  const Arm arm = DrawArm(v, u, now);
  if (arm == Arm::kNone) return {};
  if (arm == Arm::kTreatment) {
    --tokens_;
    ++treated_;
  } else {
    ++controls_;
  }
  return {arm, now.pi, now.phi};
}

bool Bucket::IsClosed() const {
  return tokens_ == 0 && controls_ >= EnoughControls(treated_);
}

void Bucket::LimitTokens(int64_t tokens) {
  tokens_ = std::clamp<int64_t>(tokens, 0, tokens_);
}

}  // namespace ringfence::policy
