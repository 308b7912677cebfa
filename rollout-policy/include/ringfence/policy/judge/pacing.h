// How fast: how many askers to expect, how many phantoms to draw per T, how many hosts a wave may let in.
// health-analysis.md, sections 2 and 10.
#pragma once

#include <cstdint>
#include <vector>

namespace ringfence::policy {

// Askers expected in a bucket, from earlier buckets alone: those who asked in the last one and were not
// enrolled ask again, and those whose lock ends come back. Nothing that happens in a bucket changes its own
// forecast.
class AskerForecast {
 public:
  // At the end of each bucket: requests in it, and spells opened in it.
  void EndBucket(int64_t asked, int64_t enrolled);
  // `returning`: hosts whose lock ends before the bucket, or in it.
  double Next(int64_t returning) const;
  // Nothing can be forecast before one bucket went by: no tokens meanwhile.
  bool has_seen_a_bucket() const { return seen_; }

 private:
  int64_t left_over_ = 0;
  bool seen_ = false;
};

// r, phantoms per T: many while few are exposed (a bad T is worth at most log(1/pi_soak)), few later.
struct PhantomPlan {
  struct Step {
    double until_exposed = 1.0;  // share of the ring, exclusive
    double per_t = 0.0;
  };
  std::vector<Step> steps = {{0.01, 20.0}, {0.05, 4.0}, {1.0, 0.25}};
  double lock_max = 0.5;      // no phantoms while a larger share of the ring is locked as phantoms
  int64_t least_members = 0;  // none in smaller rings

  // The last step holds beyond its end.
  double PerT(int64_t exposed, int64_t members, int64_t locked) const;
  // As many as lock_max leaves room for if all `tokens` are used.
  double MostPerT(int64_t members, int64_t locked, int64_t tokens) const;
};

// pi_max of a ring of whose members so many are proven healthy: kPiMax at first, then their share, and a
// fifth of those who ask stay controls in any case. (docs/health-analysis.md, section 2)
double PiMaxOf(int64_t healthy, int64_t members);

// ceil(share · members), at least `at_least`, at most all.
int64_t WaveCap(double share, int64_t members, int64_t at_least = 0);

}  // namespace ringfence::policy
