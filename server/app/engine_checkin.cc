// Check-ins: the fast path that touches one row, and the slow one that finds out what changed.
#include <algorithm>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

uint64_t Scramble(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Of everything in a check-in that can change a decision. In memory only; never stored, never sent.
uint64_t StateHash(const CheckInRequest& request) {
  uint64_t hash = absl::HashOf(request.boot_id, request.labels_hash);
  for (const RunningView& running : request.running)
    hash = absl::HashOf(hash, running.channel, running.digest);
  for (const Digest& digest : request.staged) hash = absl::HashOf(hash, digest);
  return hash;
}

uint64_t BootHash(absl::string_view boot_id) {
  return HeadBigEndian(Sha256(boot_id)) | 1;
}

}  // namespace

absl::Duration Engine::NextCheckIn(const Row& row) const {
  uint64_t seed = 0;
  for (int i = 8; i < 16; ++i) seed = seed << 8 | row.agent.bytes[static_cast<size_t>(i)];
  const double unit =
      static_cast<double>(Scramble(seed ^ static_cast<uint64_t>(row.last_seen)) >> 11) * 0x1p-53;
  return options_.checkin_interval * (1.0 - options_.checkin_jitter + 2.0 * options_.checkin_jitter * unit);
}

absl::Status Engine::CheckIn(const CheckInRequest& request, CheckInReply* reply) {
  const uint64_t state_hash = StateHash(request);
  const bool plain = request.labels == nullptr && request.events.empty() && !request.goodbye;
  const FleetNanos now = FleetNow();
  {
    FleetIndex::Shard& shard = fleet_.ShardOf(request.agent);
    MutexLock lock(&shard.mutex);
    const auto it = shard.by_id.find(request.agent);
    if (it == shard.by_id.end()) return absl::UnauthenticatedError("agent_id: not enrolled");
    Row& row = shard.rows[it->second];
    if (plain && row.state_hash == state_hash &&
        row.generation == generation_.load(std::memory_order_relaxed) && now < row.recheck_at &&
        !row.silent && !row.deleted && !row.goodbye) {
      Hear(row, now);
      if (!row.ever_exposed) ++shard.heard_unexposed;
      reply->next_checkin = NextCheckIn(row);
      reply->send_labels = false;
      reply->directives = *row.directives;
      if (metrics_ != nullptr) metrics_->CheckIn(true);
      return absl::OkStatus();
    }
  }
  if (metrics_ != nullptr) metrics_->CheckIn(false);
  return SlowCheckIn(request, state_hash, reply);
}

absl::Status Engine::SlowCheckIn(const CheckInRequest& request, uint64_t state_hash, CheckInReply* reply) {
  bool tell = false;
  {
    MutexLock lock(&mu_);
    const FleetNanos now = FleetNow();
    const uint64_t version_before = version_;
    const HostRef host = fleet_.Find(request.agent);
    if (host == kNoHost) return absl::UnauthenticatedError("agent_id: not enrolled");
    const Row before = fleet_.With(host, [](Row& row) { return row; });
    if (before.deleted) return absl::UnauthenticatedError("agent_id: deleted");

    // What is due is judged on what was heard before this check-in.
    if (before.spell != 0) {
      ReleaseState& release = *spells_[before.spell - 1].release;
      if (spells_[before.spell - 1].t0 + release.d <= now) MatureSpells(release, now);
    }
    for (const auto& release : releases_) {
      const Exposure* exposure = release->live ? release->Find(host) : nullptr;
      if (exposure != nullptr && exposure->in_probation && exposure->deadline <= now)
        EndProbations(*release, now);
    }

    // Labels: what the host is now.
    uint32_t label_set = before.label_set;
    const uint32_t tenant = label_sets_[label_set].tenant;
    if (request.labels != nullptr) label_set = InternLabels(tenant, *request.labels, before.agent);
    const std::string& known_hash = label_sets_[label_set].hash16;
    reply->send_labels =
        request.labels == nullptr && !request.labels_hash.empty() && request.labels_hash != known_hash;

    std::vector<storage::Running> running;
    running.reserve(request.running.size());
    for (const RunningView& one : request.running) running.push_back({std::string(one.channel), one.digest});
    std::sort(running.begin(), running.end(),
              [](const storage::Running& a, const storage::Running& b) { return a.channel < b.channel; });
    const uint32_t running_set = InternRunning(std::move(running));
    const uint64_t boot = request.boot_id.empty() ? before.boot_hash : BootHash(request.boot_id);

    fleet_.With(host, [&](Row& row) {
      Hear(row, now);
      row.silent = false;
      row.goodbye = request.goodbye;
      row.label_set = label_set;
      row.running_set = running_set;
      row.boot_hash = boot;
      row.recheck_at = 0;
    });
    if (!before.ever_exposed) ++heard_;

    if (label_set != before.label_set) {
      LabelSet& old_set = label_sets_[before.label_set];
      LabelSet& new_set = label_sets_[label_set];
      --old_set.hosts;
      ++new_set.hosts;
      if (!before.silent) {
        CountOnline(*old_set.place, -1);
        CountOnline(*new_set.place, +1);
      }
      for (const auto& release : releases_) {
        Exposure* exposure = release->live ? release->Find(host) : nullptr;
        if (exposure == nullptr) continue;
        release->Relabel(*exposure, *new_set.place);
        TakeOutIfBlocked(*release, *exposure);
        JudgeGates(*release, &new_set.cells, now);
      }
      dirty_hosts_.insert(host);
    }
    const LabelSet& set = label_sets_[label_set];
    if (before.silent) HeardAgain(host, set, now);
    bool crashed = false;  // once for each check-in, however much of it tells of a crash
    if (boot != before.boot_hash) {
      crashed = before.boot_hash != 0 && !request.last_shutdown_clean;
      if (crashed) UnexpectedBoot(host, set, before.spell, now);
      dirty_hosts_.insert(host);
    }
    if (running_set != before.running_set) {
      RunningChanged(host, set, running_set, now);
      dirty_hosts_.insert(host);
    }
    for (const AgentEvent& event : request.events) {
      if (!OnEvent(host, set, request.boot_id, event, now) || crashed) continue;
      crashed = true;
      UnexpectedBoot(host, set, before.spell, now);
    }

    FleetNanos recheck_at = kNever;
    Row row = fleet_.With(host, [](Row& r) { return r; });
    std::vector<Directive> directives =
        DirectivesFor(host, row, label_sets_[label_set], request.staged, now, &recheck_at);
    const DirectiveList* list = InternDirectives(std::move(directives));
    if (reply->send_labels) recheck_at = 0;
    fleet_.With(host, [&](Row& r) {
      r.directives = list;
      r.generation = generation_.load();
      r.recheck_at = recheck_at;
      r.state_hash = state_hash;
    });
    reply->directives = *list;
    reply->next_checkin = NextCheckIn(row);
    tell = version_ != version_before;
  }
  if (tell) {
    TellWatchers();
    if (wake_) wake_();  // a brake may wait for its commit
  }
  return absl::OkStatus();
}

void Engine::HeardAgain(HostRef host, const LabelSet& set, FleetNanos now) {
  --silent_hosts_;
  CountOnline(*set.place, +1);
  if (!fleet_.With(host, [](Row& row) { return row.ever_exposed; })) ++online_unexposed_;
  wheel_.Arm(host, now + SilenceAfter(set.tenant));
  for (const auto& release : releases_) {
    Exposure* exposure = release->live ? release->Find(host) : nullptr;
    if (exposure == nullptr || !exposure->silent) continue;
    exposure->silent = false;
    release->UpdateSeries(*exposure);
    // It must prove itself anew before it counts as healthy again.
    if (policy::IsUnconfirmed(exposure->standing) && exposure->committed && !exposure->in_probation) {
      release->StartProbation(*exposure, now);
    }
  }
}

void Engine::UnexpectedBoot(HostRef host, const LabelSet& set, uint32_t spell, FleetNanos now) {
  if (spell != 0) spells_[spell - 1].crashed = true;
  CrashedInSoak(host);
  fleet_series_.Crash(set.cells);
  for (const auto& release : releases_) {
    Exposure* exposure = release->live ? release->Find(host) : nullptr;
    if (exposure == nullptr || exposure->left || !exposure->committed ||
        exposure->standing == policy::Standing::kFree)
      continue;
    release->exposed_series.Crash(set.cells);
    Crashed(*release, *exposure, now);
    Harmed(*release, *exposure, storage::Outcome::kCrashed, now);
    JudgeGates(*release, &set.cells, now);
  }
}

void Engine::RunningChanged(HostRef host, const LabelSet& set, uint32_t running_set, FleetNanos now) {
  const std::vector<storage::Running>& running = running_sets_[running_set];
  for (const auto& release : releases_) {
    Exposure* exposure = release->live ? release->Find(host) : nullptr;
    if (exposure == nullptr) continue;
    // Nothing in the channel is an answer too: it went back to where it had nothing.
    const auto one = std::find_if(running.begin(), running.end(), [&](const storage::Running& r) {
      return r.channel == release->release().channel;
    });
    const auto it = one == running.end() ? release_by_digest_.end() : release_by_digest_.find(one->digest);
    const ReleaseState* runs = it == release_by_digest_.end() ? nullptr : releases_[it->second].get();
    if (runs == release.get()) {
      exposure->left = false;
      if (!exposure->activated) {
        exposure->activated = true;
        dirty_exposures_[exposure] = release.get();
      }
      if (exposure->standing == policy::Standing::kFree && exposure->committed)
        RunsAfterAll(*release, *exposure, set, now);
      release->UpdateSeries(*exposure);
      continue;
    }
    const bool newer = runs != nullptr && runs->release().serial > release->release().serial;
    if (newer) {
      exposure->left = true;
      release->UpdateSeries(*exposure);
      continue;
    }
    if (exposure->activated) WentBack(*release, *exposure, host, set);
  }
}

void Engine::RunsAfterAll(ReleaseState& release, Exposure& exposure, const LabelSet& set, FleetNanos now) {
  // Its lease was taken for unused, or it had gone back: whoever runs the release is exposed to it (invariant
  // 8).
  const bool uncounted = exposure.outcome == storage::Outcome::kUnused;
  SetOutcome(release, exposure, storage::Outcome::kPending);
  if (uncounted) {
    release.Recount(exposure, *set.place);
  } else {
    release.Hear(exposure, policy::News::kExposed);
  }
  release.StartProbation(exposure, now);
}

void Engine::WentBack(ReleaseState& release, Exposure& exposure, HostRef host, const LabelSet& set) {
  // Ordered or by itself: once burned, never again (invariant 12).
  Quarantine(host, set, release.release().digest, "reverted");
  if (!exposure.committed || exposure.standing == policy::Standing::kFree) return;
  if (!exposure.harmed) ++release.saved;
  SetOutcome(release, exposure, storage::Outcome::kReverted);
  release.Hear(exposure, policy::News::kReleased);
  release.UpdateSeries(exposure);
  ++version_;
}

bool Engine::Runs(HostRef host, const ReleaseState& release) {
  const uint32_t running_set = fleet_.With(host, [](Row& row) { return row.running_set; });
  const std::vector<storage::Running>& running = running_sets_[running_set];
  return std::any_of(running.begin(), running.end(), [&](const storage::Running& one) {
    return one.channel == release.release().channel && policy::Holds(release.release(), one.digest);
  });
}

void Engine::Quarantine(HostRef host, const LabelSet& set, const Digest& digest, std::string reason) {
  if (!quarantined_.insert({host, digest}).second) return;
  const AgentId agent = fleet_.With(host, [](Row& row) { return row.agent; });
  new_quarantines_.push_back({tenants_[set.tenant].name, agent, digest, clock_->Now(), std::move(reason)});
}

bool Engine::OnEvent(HostRef host, const LabelSet& set, absl::string_view boot_id, const AgentEvent& event,
                     FleetNanos now) {
  const absl::string_view boot = event.boot_id.empty() ? boot_id : absl::string_view(event.boot_id);
  const AgentId agent = fleet_.With(host, [](Row& row) { return row.agent; });
  if (!seen_events_.insert(EventHash(agent, boot, event.seq)).second) return false;  // a repeat
  new_events_.push_back({agent, std::string(boot), event.seq});
  if (event.kind == EventKind::kStagingFailed && metrics_ != nullptr) metrics_->StagingFailed();

  if (event.kind == EventKind::kCrash || event.kind == EventKind::kSafeMode) return true;
  if (event.kind == EventKind::kPlanRefused) {
    OnPlanRefused(host, set, event, clock_->Now());
    return false;
  }
  for (const auto& release : releases_) {
    if (!release->live) continue;
    const bool named = policy::Holds(release->release(), event.digest);
    Exposure* exposure = release->Find(host);
    const bool exposed = exposure != nullptr && exposure->committed && !exposure->left &&
                         exposure->standing != policy::Standing::kFree && exposure->activated;
    switch (event.kind) {
      case EventKind::kDegraded:
        if (exposed && (named || event.digest.IsZero())) {
          Degraded(*release, *exposure, now);
          Harmed(*release, *exposure, storage::Outcome::kFailed, now);
          JudgeGates(*release, &set.cells, now);
        }
        break;
      case EventKind::kActivationFailed:
        if (named && exposure != nullptr) {
          release->activation_failed.insert(host);
          Quarantine(host, set, release->release().digest, kActivationFailedReason);
          if (exposure->committed && exposure->outcome == storage::Outcome::kPending) {
            SetOutcome(*release, *exposure, storage::Outcome::kFailed);
          }
        }
        break;
      case EventKind::kRejected:
        if (named) {
          if (exposure != nullptr && exposure->outcome == storage::Outcome::kPending) {
            SetOutcome(*release, *exposure, storage::Outcome::kRefused);
          }
          Quarantine(host, set, release->release().digest, kRejectedReason);
          OnRejected(*release, host, set, event.detail);
        }
        break;
      case EventKind::kReverted:
        // It may have gone there and back between two check-ins.
        if (!named) break;
        Quarantine(host, set, release->release().digest, "reverted");
        if (exposure != nullptr && !Runs(host, *release)) WentBack(*release, *exposure, host, set);
        break;
      case EventKind::kStagingFailed:
        if (named && release->staging_failed.insert(host).second) ++version_;
        break;
      case EventKind::kCrash:
      case EventKind::kSafeMode:
      case EventKind::kPlanRefused:
        break;
    }
  }
  return false;
}

// Where its plan does not let an order take a host that far back, it stays: only a newer release helps it.
bool Engine::MayOrderBack(uint32_t tenant, const ReleaseState& release, const Exposure* exposure) const {
  const auto& plan = tenants_[tenant].plan;
  if (!plan.has_value() || !plan->plan.rollback_depth.has_value()) return true;
  const auto to =
      exposure == nullptr ? release_by_digest_.end() : release_by_digest_.find(exposure->previous);
  if (to == release_by_digest_.end()) return false;
  std::vector<uint64_t> serials;
  for (const auto& one : releases_) {
    if (one->release().channel == release.release().channel) serials.push_back(one->release().serial);
  }
  return policy::MayGoBack(plan->plan, serials, release.release().serial,
                           releases_[to->second]->release().serial);
}

std::vector<Directive> Engine::DirectivesFor(HostRef host, Row& row, LabelSet& set,
                                             absl::Span<const Digest> staged, FleetNanos now,
                                             FleetNanos* recheck_at) {
  std::vector<Directive> directives;
  const auto recheck = [&](FleetNanos at) { *recheck_at = std::min(*recheck_at, at); };
  // Of a set the bytes for this host; an order about bytes that it has already names those.
  const auto add = [&](DirectiveKind kind, const policy::Release& release,
                       const std::optional<policy::ArtifactBytes>& bytes) {
    directives.push_back(
        {kind, release.channel, release.serial, release.version,
         bytes.has_value() ? bytes->digest : release.digest,
         bytes.has_value() ? bytes->size_bytes : release.size_bytes,
         kind == DirectiveKind::kPrefetch ? options_.checkin_interval : absl::ZeroDuration()});
  };
  if (row.spell != 0) recheck(spells_[row.spell - 1].t0 + spells_[row.spell - 1].release->d);

  const Tenant& tenant = tenants_[set.tenant];
  const std::vector<storage::Running>& running = running_sets_[row.running_set];
  const std::string ring = tenant.plan.has_value() && set.ring >= 0
                               ? tenant.plan->plan.rings[static_cast<size_t>(set.ring)].name
                               : "";

  // Orders back come first, whatever the plan says now.
  absl::flat_hash_set<std::string> ordered;
  for (const storage::Running& one : running) {
    const auto it = release_by_digest_.find(one.digest);
    if (it == release_by_digest_.end()) continue;
    ReleaseState& release = *releases_[it->second];
    Exposure* exposure = release.Find(host);
    if (release.release().channel != one.channel) continue;
    // Whoever is about to boot into what the release was not tested on goes back first, and at once.
    if (MustLeave(release, exposure, set)) {
      ordered.insert(one.channel);
      add(DirectiveKind::kRevert, release.release(), policy::BytesNamed(release.release(), one.digest));
      recheck(0);
      continue;
    }
    // Of an old release that was not loaded nobody knows who was exposed: whoever runs it is ordered back
    // too.
    if (exposure == nullptr && release.live) continue;
    const BrakeView brakes = BrakesOn(tenant.name, one.channel, release.release().serial,
                                      exposure == nullptr ? ring : exposure->stage->row.ring);
    const bool blocked = exposure != nullptr && exposure->blocked;
    if (!brakes.reverting && !brakes.recalled && !blocked) continue;
    if (!MayOrderBack(set.tenant, release, exposure)) continue;
    ordered.insert(one.channel);
    if (exposure != nullptr ? !exposure->revert_ordered : !release.reverting_unloaded.contains(host)) {
      if (release.reverts_since == 0) {
        release.reverts_since = now;
        release.revert_set = release.budget.unproven + release.budget.failed + release.budget.healthy;
      }
      if (!policy::IsItsTurnBack(policy::PlaceOf(release.release().digest, row.agent), release.revert_set,
                                 absl::Nanoseconds(now - release.reverts_since)) ||
          release.reverts_ordered.Within(now) >= policy::RollbackPerMinute(release.revert_set)) {
        recheck(0);  // its turn comes
        continue;
      }
      release.reverts_ordered.Add(now);
      if (exposure != nullptr) {
        exposure->revert_ordered = true;
      } else {
        release.reverting_unloaded.insert(host);
      }
    }
    add(DirectiveKind::kRevert, release.release(), policy::BytesNamed(release.release(), one.digest));
    recheck(0);
  }

  for (const Digest& digest : staged) {
    const auto it = release_by_digest_.find(digest);
    if (it == release_by_digest_.end()) continue;
    const policy::Release& release = releases_[it->second]->release();
    const BrakeView brakes = BrakesOn(tenant.name, release.channel, release.serial, ring);
    if (brakes.halted || brakes.recalled)
      add(DirectiveKind::kDrop, release, policy::BytesNamed(release, digest));
  }

  if (!tenant.plan.has_value() || set.ring < 0) return directives;
  for (const policy::ChannelRule& rule : tenant.plan->plan.channels) {
    if (ordered.contains(rule.channel)) continue;
    Stage* stage = OfferingStageTo(running, set.tenant, rule.channel, ring);
    if (stage == nullptr || stage->plan_says != policy::Reason::kNone || BrakesOn(*stage).any()) continue;
    // Shut calendars are asked again when one of them opens (WatchCalendars).
    if (PassingReason(set.tenant, set.ring, stage->release->release(), clock_->Now()) !=
        policy::Reason::kNone)
      continue;
    ReleaseState& state = *stage->release;
    const policy::Release& release = state.release();
    const bool runs = std::any_of(running.begin(), running.end(), [&](const storage::Running& one) {
      return one.channel == rule.channel && policy::Holds(release, one.digest);
    });
    if (runs) continue;
    if (Lasting(set, IndexOf(state)) != policy::Reason::kNone) continue;
    if (quarantined_.contains({host, release.digest}) || IsBlocked(state, host, *set.place)) continue;
    const Exposure* exposure = state.Find(host);
    if (exposure != nullptr && exposure->outcome != storage::Outcome::kUnused) {
      if (exposure->in_probation) recheck(exposure->deadline);
      continue;
    }
    const std::optional<int64_t> room = WaveRoom(*stage);
    const bool full = room.has_value() && *room <= 0;
    if (full) continue;
    const std::optional<policy::ArtifactBytes> bytes = policy::BytesFor(release, set.labels);
    if (!bytes.has_value()) continue;  // not reached: Lasting asked the matrix
    if (std::find(staged.begin(), staged.end(), bytes->digest) == staged.end()) {
      add(DirectiveKind::kPrefetch, release, bytes);
    } else if (const FleetNanos waits_until = state.soaks.WaitsUntil(host); waits_until != 0) {
      recheck(waits_until);
    } else if (row.spell == 0) {
      add(DirectiveKind::kRequestLease, release, bytes);
    }
  }
  return directives;
}

}  // namespace ringfence::app
