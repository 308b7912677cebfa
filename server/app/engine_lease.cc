// The draw: who may be let in now (invariant 6). Those who are wait for engine_commit.cc.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

// No draws in the first wave for this many intervals after it opened: hosts stage first, so that the first
// coins fall among many askers.
constexpr double kWarmUpIntervals = 2.5;

}  // namespace

LeaseReply Engine::NotNow(policy::Reason reason, absl::Duration retry_after) {
  if (metrics_ != nullptr) metrics_->LeaseAnswer(policy::Name(reason));
  LeaseReply reply;
  reply.reason = reason;
  reply.retry_after = retry_after;
  return reply;
}

std::optional<int64_t> Engine::WaveRoom(const Stage& stage) const {
  if (stage.row.state != policy::StageState::kOpen)
    return std::nullopt;  // passed: late joiners are all let in
  return stage.row.cap - stage.exposed;
}

int64_t Engine::TokensNow(const Stage& stage) const {
  if (blind_ || database_down_ || stage.plan_says != policy::Reason::kNone) return 0;
  const ReleaseState& release = *stage.release;
  if (release.cell_awaited && FleetNow() < release.cell_awaited_until) return 0;
  // It may be an outage's beginning; nobody is let in before that is known.
  if (release.may_be_outage && release.silence_trips_since != 0 &&
      FleetNow() - release.silence_trips_since < h_)
    return 0;
  return policy::Tokens(BudgetOf(release), stage.budget, release.m_r(), WaveRoom(stage), std::nullopt);
}

policy::Budget Engine::BudgetOf(const ReleaseState& release) const {
  policy::Budget budget = release.budget;
  const auto brake = brakes_.find({"", release.release().channel, release.release().serial, ""});
  budget.waived = brake != brakes_.end() && brake->second.resumed_at > absl::InfinitePast();
  return budget;
}

int64_t Engine::AskersLeft(const Stage& stage, FleetNanos now) const {
  const FleetNanos since = now - stage.release->d - 3 * h_;
  return std::count_if(stage.askers.begin(), stage.askers.end(), [&](const auto& entry) {
    return entry.second.last_asked >= since && !entry.second.was_phantom;
  });
}

int64_t Engine::Forecast(Stage& stage, FleetNanos now) {
  // Askers of earlier buckets that are heard of and whose lock ends in this bucket at the latest.
  const FleetNanos since = now - stage.release->d - 3 * h_;
  int64_t ready = 0;
  for (auto it = stage.askers.begin(); it != stage.askers.end();) {
    const auto entry = it++;
    if (entry->second.last_asked < since) {
      stage.askers.erase(entry);
    } else if (entry->second.locked_until <= now + h_) {
      ++ready;
    }
  }
  return ready;
}

void Engine::OpenBuckets(ReleaseState& release, FleetNanos now) {
  const int64_t index = now / h_;
  if (release.bucket_index == index) return;
  release.bucket_index = index;

  struct Share {
    Stage* stage;
    int64_t forecast;
    int64_t limit;
    int64_t tokens = 0;
  };
  std::vector<Share> shares;
  int64_t all_askers = 0;
  for (const auto& stage : stages_) {
    if (stage->release != &release || !policy::GivesLeases(stage->row.state)) continue;
    const int64_t forecast = Forecast(*stage, now);
    const bool warm =
        now - stage->opened >= static_cast<FleetNanos>(kWarmUpIntervals * static_cast<double>(h_));
    const int64_t limit = warm && !BrakesOn(*stage).any() ? TokensNow(*stage) : 0;
    shares.push_back({stage.get(), forecast, limit});
    if (limit > 0) all_askers += forecast;
  }
  // The release's tokens are shared by forecast; what rounding leaves goes round, starting elsewhere each
  // bucket.
  int64_t left = 0;
  for (const Share& share : shares) left = std::max(left, share.limit);
  left = std::min(
      left, policy::Tokens(BudgetOf(release), release.budget, release.m_r(), std::nullopt, std::nullopt));
  const int64_t total = left;
  for (Share& share : shares) {
    if (all_askers == 0 || share.limit == 0) continue;
    share.tokens = std::min({share.limit, share.forecast, total * share.forecast / all_askers});
    left -= share.tokens;
  }
  bool gave = true;
  while (left > 0 && gave) {
    gave = false;
    for (size_t i = 0; i < shares.size() && left > 0; ++i) {
      Share& share = shares[(i + static_cast<size_t>(index)) % shares.size()];
      if (share.tokens >= share.limit || share.tokens > share.forecast) continue;
      ++share.tokens;
      --left;
      gave = true;
    }
  }
  for (Share& share : shares) {
    share.stage->bucket = NextBucket(*share.stage, share.tokens, share.forecast);
    share.stage->bucket_stratum = 0;
  }
}

void Engine::StartJudgement(ReleaseState& release) {
  if (release.judgement.started()) return;
  std::set<std::string> rings;
  for (const Tenant& tenant : tenants_) {
    if (!tenant.plan.has_value()) continue;
    for (const policy::Ring& ring : tenant.plan->plan.rings) rings.insert(ring.name);
  }
  release.judgement.Start(static_cast<int64_t>(cells_.size() + tenants_.size() + rings.size()));
}

policy::CellSpan Engine::JudgedCells(ReleaseState& release, HostRef host, const Place& place) {
  StartJudgement(release);
  return release.judgement.Freeze(host, place, [&](const Place& of) {
    mu_.AssertHeld();
    const Tenant& tenant = tenants_[of.tenant];
    std::vector<std::string> names = {CellOfTenant(tenant.name)};
    if (tenant.plan.has_value() && of.ring >= 0) {
      names.push_back(CellOfRing(tenant.plan->plan.rings[static_cast<size_t>(of.ring)].name));
    }
    for (const CellId cell : of.cells) names.push_back(cells_.NameOf(cell));
    return names;
  });
}

bool Engine::IsBlocked(ReleaseState& release, HostRef host, const Place& place) {
  for (const CellId cell : release.excluded) {
    if (std::find(place.cells.begin(), place.cells.end(), cell) != place.cells.end()) return true;
  }
  return release.judgement.blocks_any() && release.judgement.IsBlocked(JudgedCells(release, host, place));
}

LeaseTerms Engine::TermsOf(const Exposure& exposure, const ReleaseState& release) {
  LeaseTerms terms;
  const Stage& stage = *exposure.stage;
  terms.tenant = stage.row.tenant;
  terms.ring = stage.row.ring;
  const LabelSet& set = label_sets_[fleet_.With(exposure.host, [](Row& row) { return row.label_set; })];
  const std::optional<policy::ArtifactBytes> bytes = policy::BytesFor(release.release(), set.labels);
  terms.length = bytes.has_value() ? bytes->size_bytes : release.release().size_bytes;
  terms.to_serial = release.release().serial;
  const auto before = release_by_digest_.find(exposure.previous);
  if (before != release_by_digest_.end()) {
    const policy::Release& previous = releases_[before->second]->release();
    if (previous.channel == release.release().channel) terms.from_serial = previous.serial;
  }
  terms.rollout = release.row.rollout;
  if (const plan::SignedPlan* in_force = SignedInForce(tenants_[stage.tenant])) {
    terms.plan_version = in_force->statement.version;
    terms.plan_sha256 = in_force->sha256;
  }
  terms.halt_seq = notices_.seq();
  terms.at = clock_->Now();
  return terms;
}

uint32_t Engine::OpenSpell(ReleaseState& release, Stage& stage, HostRef host,
                           const policy::Bucket::Answer& drawn, uint64_t bucket, FleetNanos now) {
  if (stage.bucket_stratum == 0 || !release.judgement.TakesDraws(stage.bucket_stratum)) {
    stage.bucket_stratum =
        release.judgement.OpenStratum(bucket, stage.bucket.rates().rho, (now / h_ + 1) * h_);
  }
  const uint32_t label_set = fleet_.With(host, [](Row& row) { return row.label_set; });
  release.judgement.Open(stage.bucket_stratum, host, label_sets_[label_set].host_class, drawn);
  if (release.judgement.HasOpenSoak(host))
    release.soaks.Open(host, drawn.arm == policy::Arm::kPhantom, &stage, now);
  uint32_t index = 0;
  if (free_spells_.empty()) {
    index = static_cast<uint32_t>(spells_.size());
    spells_.emplace_back();
  } else {
    index = free_spells_.back();
    free_spells_.pop_back();
  }
  spells_[index] = {host, now, &release, false};
  release.spells.push_back(index);
  return index + 1;
}

void Engine::Lease(const LeaseRequest& request, LeaseDone done) {
  std::optional<absl::StatusOr<LeaseReply>> answer;
  {
    MutexLock lock(&mu_);
    LeaseLocked(request, done, answer);
  }
  if (answer.has_value()) {
    done(*std::move(answer));
  } else if (wake_) {
    wake_();
  }
}

void Engine::LeaseLocked(const LeaseRequest& request, LeaseDone& done,
                         std::optional<absl::StatusOr<LeaseReply>>& answer) {
  using policy::Reason;
  const FleetNanos now = FleetNow();
  const HostRef host = fleet_.Find(request.agent);
  if (host == kNoHost) {
    answer = absl::UnauthenticatedError("agent_id: not enrolled");
    return;
  }
  const Row row = fleet_.With(host, [](Row& r) { return r; });
  if (row.deleted) {
    answer = absl::UnauthenticatedError("agent_id: deleted");
    return;
  }
  const auto found = release_by_digest_.find(request.digest);
  if (found == release_by_digest_.end() || releases_[found->second]->release().channel != request.channel) {
    answer = absl::NotFoundError("digest: no release of this channel has it");
    return;
  }
  ReleaseState& release = *releases_[found->second];
  LabelSet& set = label_sets_[row.label_set];
  const Tenant& tenant = tenants_[set.tenant];
  const std::optional<policy::ArtifactBytes> own = policy::BytesFor(release.release(), set.labels);
  if (own.has_value() && own->digest != request.digest) {
    answer = absl::NotFoundError("digest: these are another platform's bytes of the release");
    return;
  }
  const auto refuse = [&](Reason reason, absl::Duration retry = absl::ZeroDuration()) {
    answer = NotNow(reason, retry);
  };

  if (!tenant.plan.has_value() || set.ring < 0) return refuse(Reason::kNoRing);
  // Its guard would not use a lease by another plan. Nobody is exposed for nothing: the host asks for the
  // plan.
  if (!request.plan_sha256.IsZero()) {
    const plan::SignedPlan* in_force = SignedInForce(tenant);
    if (in_force == nullptr || in_force->sha256 != request.plan_sha256) return refuse(Reason::kOtherPlan);
  }
  const policy::Ring& ring = tenant.plan->plan.rings[static_cast<size_t>(set.ring)];
  const Reason lasting = Lasting(set, found->second);
  if (lasting != Reason::kNone) return refuse(lasting);
  Stage* stage =
      OfferingStageTo(running_sets_[row.running_set], set.tenant, release.release().channel, ring.name);
  const BrakeView brakes =
      BrakesOn(tenant.name, release.release().channel, release.release().serial, ring.name);
  if (brakes.any()) return refuse(brakes.reason());
  const Reason stopped =
      StoppedBy(tenant.name, release.release().channel, release.release().serial, ring.name);
  if (stopped != Reason::kNone) return refuse(stopped);
  if (stage == nullptr || stage->release != &release) {
    const policy::ChannelRule* rule = policy::FindRule(tenant.plan->plan, release.release().channel);
    const bool barred = BarrierBefore(*rule, running_sets_[row.running_set], release.release()) != nullptr;
    return refuse(barred ? Reason::kBarrier : Reason::kFinishingOther);
  }
  const Reason passing = PassingReason(set.tenant, set.ring, release.release(), clock_->Now());
  if (passing != Reason::kNone) return refuse(passing);
  if (stage->plan_says != Reason::kNone) return refuse(stage->plan_says);
  if (quarantined_.contains({host, release.release().digest})) return refuse(Reason::kQuarantined);
  if (IsBlocked(release, host, *set.place)) return refuse(Reason::kCohortBlocked);

  // The same host again: the logged answer. Its lease may be renewed while it can still be used in time.
  if (Exposure* exposure = release.Find(host);
      exposure != nullptr && exposure->outcome != storage::Outcome::kUnused) {
    const FleetNanos ttl = absl::ToInt64Nanoseconds(options_.lease_ttl);
    if (exposure->activated || exposure->outcome != storage::Outcome::kPending)
      return refuse(Reason::kAlreadyRunning);
    if (!exposure->committed) {
      for (PendingLease& pending : lease_queue_) {
        if (pending.exposure != exposure) continue;
        if (pending.done) pending.done(absl::AbortedError("the agent asked again"));
        pending.done = std::move(done);
        return;
      }
      answer = absl::UnavailableError("the lease that was asked for before is being committed; ask again");
      return;
    }
    if (now + 2 * ttl > exposure->t0 + release.a) return refuse(Reason::kNotDrawn);
    LeaseReply renewed;
    renewed.granted = true;
    renewed.ttl = options_.lease_ttl;
    renewed.terms = TermsOf(*exposure, release);
    answer = renewed;
    return;
  }
  if (blind_ || database_down_) return refuse(Reason::kBlind);
  if (row.spell != 0) {
    const Spell& spell = spells_[row.spell - 1];
    return refuse(Reason::kNotDrawn, absl::Nanoseconds(spell.t0 + spell.release->d - now));
  }
  if (const FleetNanos until = release.soaks.WaitsUntil(host); until != 0)
    return refuse(Reason::kNotDrawn, absl::Nanoseconds(std::max<FleetNanos>(0, until - now)));
  // A host that was deleted and enrolled again.
  if (release.judgement.HasOpenSpell(host)) return refuse(Reason::kNotDrawn, absl::Nanoseconds(release.d));
  // One probation per host: whoever is being proven on another release (its spell may be gone with an earlier
  // process) takes no second one meanwhile. A host that was seen to suffer may take the cure.
  for (const auto& other : releases_) {
    const Exposure* exposure = other->live && other.get() != &release ? other->Find(host) : nullptr;
    if (exposure == nullptr || !exposure->in_probation || exposure->standing != policy::Standing::kUnproven)
      continue;
    if (exposure->outcome != storage::Outcome::kPending) continue;
    return refuse(Reason::kNotDrawn, absl::Nanoseconds(std::max<FleetNanos>(0, exposure->deadline - now)));
  }
  const std::optional<int64_t> room = WaveRoom(*stage);
  if (room.has_value() && *room <= 0) return refuse(Reason::kWaveFull);

  OpenBuckets(release, now);
  stage->askers[host].last_asked = now;
  if (ring.hosts_per_minute.has_value()) {
    if (stage->let_in.Within(now) >= *ring.hosts_per_minute) return refuse(Reason::kRate, absl::Minutes(1));
  }
  // Eligibility and budgets are settled before the coin, alike for every arm.
  for (const CellId cell : set.cells) {
    const policy::Budget& budget = release.Cell(cell).budget;
    if (!policy::CellIsOpen(budget.unproven, stage->budget.b0, budget.healthy))
      return refuse(Reason::kCohortBudget);
  }
  stage->bucket.LimitTokens(TokensNow(*stage));
  if (stage->bucket.IsClosed()) return refuse(Reason::kBudget);

  const uint64_t bucket = policy::BucketNumber(replica_epoch_, static_cast<uint64_t>(release.bucket_index));
  const double v = policy::DrawUniform(release.row.rollout_secret, row.agent, bucket, 1);
  const double u = policy::DrawUniform(release.row.rollout_secret, row.agent, bucket, 2);
  const policy::DrawRates rates = stage->bucket.rates();
  policy::Bucket::Answer drawn = stage->bucket.Ask(v, u);
  // Nobody waits for S twice. That is known before the coin, and for this host there is no phantom's share.
  if (stage->askers[host].was_phantom) {
    drawn.phi = 0;
    if (drawn.arm == policy::Arm::kPhantom) drawn.arm = policy::Arm::kControl;
  }
  if (drawn.arm == policy::Arm::kNone) return refuse(Reason::kNotDrawn);

  JudgedCells(release, host, *set.place);
  const uint32_t spell = OpenSpell(release, *stage, host, drawn, bucket, now);
  fleet_.With(host, [&](Row& r) {
    r.spell = spell;
    r.heard = 0;
    r.counts_from = now + release.a;
    r.recheck_at = 0;
  });
  if (drawn.arm == policy::Arm::kPhantom) {
    stage->askers.erase(host);  // nobody waits for it meanwhile
    return refuse(Reason::kNotDrawn, absl::Nanoseconds(release.soaks.WaitsUntil(host) - now));
  }
  if (drawn.arm != policy::Arm::kTreatment) {
    stage->askers[host].locked_until = now + release.d;
    return refuse(Reason::kNotDrawn, absl::Nanoseconds(release.d));
  }

  // T: in every budget from this moment, told only when its row is committed.
  stage->askers.erase(host);
  if (ring.hosts_per_minute.has_value()) stage->let_in.Add(now);
  Exposure& exposure = release.exposures.emplace_back();
  exposure.host = host;
  exposure.stage = stage;
  exposure.wave = stage->row.wave;
  exposure.bucket = bucket;
  exposure.exposed_at = clock_->Now();
  exposure.t0 = now;
  exposure.rho = rates.rho;
  exposure.pi = drawn.pi;
  exposure.phi = drawn.phi;
  exposure.cells = set.cells;
  exposure.place = set.place;
  exposure.silent = row.silent;
  for (const storage::Running& one : running_sets_[row.running_set]) {
    if (one.channel == release.release().channel) exposure.previous = one.digest;
  }
  release.by_host[host] = &exposure;
  release.Count(exposure);
  release.StartProbation(exposure, now);
  if (!row.ever_exposed) {
    fleet_.With(host, [](Row& r) { r.ever_exposed = true; });
    if (!row.silent) --online_unexposed_;
  }
  exposed_until_.push_back({now + absl::ToInt64Nanoseconds(absl::Hours(24)), host});
  // From here on what happens to the host is this release's doing.
  for (const auto& older : releases_) {
    if (!older->live || older.get() == &release || older->release().channel != release.release().channel)
      continue;
    if (Exposure* earlier = older->Find(host)) {
      earlier->left = true;
      older->UpdateSeries(*earlier);
    }
  }

  PendingLease pending;
  pending.exposure = &exposure;
  pending.release = &release;
  pending.done = std::move(done);
  storage::ExposureRow& out = pending.row;
  out.tenant = tenant.name;
  out.channel = release.release().channel;
  out.serial = release.release().serial;
  out.agent = row.agent;
  out.bucket = bucket;
  out.stage = stage->row.stage;
  out.ring = ring.name;
  out.wave = exposure.wave;
  out.exposed_at = exposure.exposed_at;
  out.deadline = exposure.exposed_at + absl::Nanoseconds(release.d);
  out.previous = exposure.previous;
  out.rho = exposure.rho;
  out.pi = exposure.pi;
  out.phi = exposure.phi;
  for (const CellId cell : exposure.cells) out.cells.push_back(cells_.NameOf(cell));
  lease_queue_.push_back(std::move(pending));
}

}  // namespace ringfence::app
