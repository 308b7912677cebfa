// The draw of one stage on one replica: which hosts that ask get a spell, and which arm. Everything about a
// host is decided before its coin and alike for every arm. health-analysis.md, sections 2 and 9.
#pragma once

#include <cstdint>
#include <optional>

#include "ringfence/policy/draw.h"
#include "ringfence/policy/governor.h"
#include "ringfence/policy/judge/exposure_book.h"
#include "ringfence/policy/judge/release_judge.h"

namespace ringfence::policy {

// State before the bucket, all that its probabilities may depend on.
struct BucketPlan {
  uint64_t bucket = 0;  // BucketNumber(replica epoch, index)
  int64_t tokens = 0;
  double forecast = 0.0;
  double phantoms_per_t = 0.0;
  double gauge_c = 0.0;
};

// floor(min cap - U) over release and stage, and the further caps. 0 while `stopped` (paused, held, halted,
// blind, or not able to write).
int64_t TokensFor(const ExposureBook& book, size_t stage, double m_r, std::optional<int64_t> wave_room,
                  std::optional<int64_t> grant, bool stopped);

enum class DrawRefusal : uint8_t {
  kNone = 0,         // there is an answer
  kOpenSpell = 1,    // drawn in an earlier bucket, and locked until its spell ends
  kExposed = 2,      // runs it already, or went back from it: never offered again
  kBlockedCell = 3,  // a cell of the host is blocked
  kCellClosed = 4,   // the novelty cap of one of its cells
  kBucketClosed = 5,
  kNotEnrolled = 6,  // v >= rho
};

struct DrawAnswer {
  DrawRefusal refusal = DrawRefusal::kNone;
  Arm arm = Arm::kNone;
  SpellId spell = {};
  bool repeated = false;  // the logged answer of this bucket
};

// Not thread-safe. Borrows judge and book, which may serve several stages.
class StageDraw {
 public:
  StageDraw(ReleaseJudge& judge, ExposureBook& book, size_t stage)
      : judge_(judge), book_(book), stage_(stage) {}

  // Closes the bucket before it.
  void OpenBucket(const BucketPlan& plan);
  void CloseBucket();
  // Tokens that a tightened budget takes away while the bucket is open.
  void LimitTokens(int64_t tokens) { bucket_.LimitTokens(tokens); }

  // One request. `v` and `u` are DrawUniform of the host for this bucket, k = 1 and 2. T is in every count
  // before this returns; the caller commits it before it answers.
  DrawAnswer Ask(HostIndex host, HostClass host_class, CellSpan cells, double v, double u);

  const Bucket& bucket() const { return bucket_; }
  int64_t enrolled() const { return bucket_.treated() + bucket_.controls(); }

 private:
  ReleaseJudge& judge_;
  ExposureBook& book_;
  size_t stage_;
  Bucket bucket_;
  uint64_t number_ = 0;
  double gauge_c_ = 0.0;
  bool open_ = false;
  StratumNumber stratum_ = 0;  // opened by the first spell: buckets without any have none
};

}  // namespace ringfence::policy
