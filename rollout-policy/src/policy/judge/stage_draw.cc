#include "ringfence/policy/judge/stage_draw.h"

#include "ringfence/base/check.h"

namespace ringfence::policy {

int64_t TokensFor(const ExposureBook& book, size_t stage, double m_r, std::optional<int64_t> wave_room,
                  std::optional<int64_t> grant, bool stopped) {
  if (stopped) return 0;
  return Tokens(book.release(), book.stage(stage), m_r, wave_room, grant);
}

void StageDraw::OpenBucket(const BucketPlan& plan) {
  CloseBucket();
  bucket_ = Bucket(plan.tokens, plan.forecast, plan.phantoms_per_t);
  number_ = plan.bucket;
  gauge_c_ = plan.gauge_c;
  open_ = true;
}

void StageDraw::CloseBucket() {
  if (stratum_ != 0) judge_.CloseStratum(stratum_);
  stratum_ = 0;
  open_ = false;
}

DrawAnswer StageDraw::Ask(HostIndex host, HostClass host_class, CellSpan cells, double v, double u) {
  if (judge_.HasOpenSpell(host)) {
    const std::optional<OpenSpell> spell = judge_.Find(host);
    if (open_ && spell->bucket == number_ && spell->id.stratum == stratum_) {
      return {.arm = spell->drawn.arm, .spell = spell->id, .repeated = true};
    }
    return {.refusal = DrawRefusal::kOpenSpell};
  }
  if (book_.Of(host) != Standing::kNone) return {.refusal = DrawRefusal::kExposed};
  if (!judge_.blocked().empty() && HasAnyOf(cells, judge_.blocked()))
    return {.refusal = DrawRefusal::kBlockedCell};
  if (!book_.CellsOpen(stage_, cells)) return {.refusal = DrawRefusal::kCellClosed};
  if (!open_ || bucket_.IsClosed()) return {.refusal = DrawRefusal::kBucketClosed};

  const Bucket::Answer drawn = bucket_.Ask(v, u);
  if (drawn.arm == Arm::kNone) return {.refusal = DrawRefusal::kNotEnrolled};
  if (stratum_ == 0) stratum_ = judge_.OpenStratum(number_, bucket_.rates().rho, gauge_c_);
  const absl::StatusOr<SpellId> spell = judge_.Open(stratum_, host, host_class, cells, drawn);
  RF_CHECK(spell.ok());
  if (drawn.arm == Arm::kTreatment) book_.Hear(News::kExposed, host, stage_, cells);
  return {.arm = drawn.arm, .spell = *spell};
}

}  // namespace ringfence::policy
