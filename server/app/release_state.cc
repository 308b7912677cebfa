#include "server/app/release_state.h"

namespace ringfence::app {
namespace {

// +1 or -1 on the counters that a standing belongs to.
void CountStanding(ReleaseState& release, Exposure& exposure, int64_t by) {
  switch (exposure.standing) {
    case Standing::kUnproven:
      release.unproven += by;
      exposure.stage->unproven += by;
      for (const CellId cell : exposure.cells) release.Cell(cell).unproven += by;
      return;
    case Standing::kHealthy:
      release.healthy += by;
      exposure.stage->healthy += by;
      Stage::At(exposure.stage->wave_confirmed, exposure.wave) += by;
      for (const CellId cell : exposure.cells) release.Cell(cell).healthy += by;
      return;
    case Standing::kFree:
      return;
  }
}

}  // namespace

ReleaseState::ReleaseState(storage::ReleaseRow release_row, FleetNanos activation_allowance,
                           FleetNanos maturity)
    : row(std::move(release_row)), a(activation_allowance), d(maturity) {
  for (const auto kind :
       {policy::GateKind::kCrash, policy::GateKind::kSilence, policy::GateKind::kDegraded}) {
    windows.try_emplace({kind, kLongestWindow}, kLongestWindow);
  }
  unannounced.try_emplace(kLongestWindow, kLongestWindow);
}

void ReleaseState::SetStanding(Exposure& exposure, Standing standing) {
  if (exposure.standing == standing) return;
  CountStanding(*this, exposure, -1);
  exposure.standing = standing;
  CountStanding(*this, exposure, +1);
}

void ReleaseState::Count(Exposure& exposure) {
  ++exposed;
  ++exposure.stage->exposed;
  ++Stage::At(exposure.stage->wave_exposed, exposure.wave);
  ++exposure.stage->by_outcome[static_cast<size_t>(exposure.outcome)];
  for (const CellId cell : exposure.place->cells) ++Cell(cell).exposed_now;
  CountStanding(*this, exposure, +1);
}

void ReleaseState::Uncount(Exposure& exposure) {
  SetStanding(exposure, Standing::kFree);
  --exposed;
  --exposure.stage->exposed;
  --Stage::At(exposure.stage->wave_exposed, exposure.wave);
  for (const CellId cell : exposure.place->cells) --Cell(cell).exposed_now;
}

void ReleaseState::Recount(Exposure& exposure, const Place& place) {
  ++exposed;
  ++exposure.stage->exposed;
  ++Stage::At(exposure.stage->wave_exposed, exposure.wave);
  exposure.place = &place;
  for (const CellId cell : place.cells) ++Cell(cell).exposed_now;
  SetStanding(exposure, Standing::kUnproven);
}

void ReleaseState::Relabel(Exposure& exposure, const Place& place) {
  if (exposure.outcome == storage::Outcome::kUnused) return;
  for (const CellId cell : exposure.place->cells) --Cell(cell).exposed_now;
  for (auto& [key, window] : windows) window.Move(exposure.host, place.cells);
  for (auto& [length, window] : unannounced) window.Move(exposure.host, place.cells);
  if (exposure.counted) CountOnline(*exposure.place, -1);
  exposure.place = &place;
  if (exposure.counted) CountOnline(place, +1);
  for (const CellId cell : place.cells) ++Cell(cell).exposed_now;
}

void ReleaseState::CountOnline(const Place& place, int64_t by) {
  exposed_series.Online(place.cells, by);
  if (place.id >= online_in.size()) online_in.resize(place.id + 1);
  online_in[place.id] += by;
}

void ReleaseState::UpdateSeries(Exposure& exposure) {
  const bool wanted =
      exposure.committed && exposure.standing != Standing::kFree && !exposure.silent && !exposure.left;
  if (wanted == exposure.counted) return;
  exposure.counted = wanted;
  exposure.stage->heard += wanted ? 1 : -1;
  CountOnline(*exposure.place, wanted ? +1 : -1);
}

void ReleaseState::StartProbation(Exposure& exposure, FleetNanos now) {
  exposure.deadline = now + d;
  exposure.in_probation = true;
  probations.push_back({exposure.deadline, &exposure});
}

void ReleaseState::AbsorbStrata(FleetNanos now, const std::array<double, kWiredChannels>& p_hist) {
  while (!strata.empty()) {
    const auto first = strata.begin();
    Stratum& stratum = first->second;
    if (stratum.closes > now || stratum.open_spells > 0) return;
    for (int c = 0; c < kWiredChannels; ++c) {
      const Stratum::Channel& channel = stratum.channels[static_cast<size_t>(c)];
      auto& seen = history[static_cast<size_t>(c)];
      // The bound comes from controls alone, so it is the same whichever treated hosts are bad.
      const std::optional<double> bound = policy::GuardBound({.p_hist = p_hist[static_cast<size_t>(c)],
                                                              .history = seen,
                                                              .bucket = channel.control,
                                                              .cell_history = std::nullopt,
                                                              .cell_bucket = std::nullopt});
      auto& vector = guard[static_cast<size_t>(c)];
      for (int64_t i = 0; i < channel.treated_bad; ++i) vector.Resolve(bound, true);
      for (int64_t i = 0; i < channel.treated_good; ++i) vector.Resolve(bound, false);
      seen = policy::Decay(seen, channel.control);
      if (channel.treated_bad + channel.treated_good > 0) evidence_dirty = true;
    }
    strata.erase(first);
  }
}

void ReleaseState::Combine() {
  std::vector<policy::ChannelEvidence> by_r, by_guard;
  for (int c = 0; c < kWiredChannels; ++c) {
    const auto i = static_cast<size_t>(c);
    policy::RVector sum_r = r[i];
    sum_r.Merge(earlier_r[i]);
    policy::GuardVector sum_guard = guard[i];
    sum_guard.Merge(earlier_guard[i]);
    by_r.push_back({.channel = kWired[i], .log_e_release = sum_r.LogE(), .log_e_cells = {}});
    by_guard.push_back({.channel = kWired[i], .log_e_release = sum_guard.LogE(), .log_e_cells = {}});
  }
  const int64_t k_max = policy::KMax(0);
  m_r = policy::Combine(by_r, k_max);
  m_a = policy::Combine(by_guard, k_max);
}

void ReleaseState::ResetEvidence() {
  r = {};
  guard = {};
  earlier_r = {};
  earlier_guard = {};
  for (storage::EvidenceRow& row : earlier_rows) {
    row.r = {};
    row.guard = {};
    ++row.version;
  }
  m_r_mark = m_a_mark = 0;
  evidence_version += 2;  // above what the resume wrote
  evidence_dirty = true;
  Combine();
}

void ReleaseState::AddBad(policy::GateKind kind, HostRef host, const CellList& cells_now, FleetNanos now,
                          bool same) {
  for (auto& [key, window] : windows) {
    if (key.first == kind) window.Add(host, cells_now, now, same);
  }
}

void ReleaseState::AddUnannounced(HostRef host, const CellList& cells_now, FleetNanos now, bool same) {
  for (auto& [length, window] : unannounced) window.Add(host, cells_now, now, same);
}

void ReleaseState::Explain(HostRef host, double share) {
  for (auto& [key, window] : windows) {
    if (key.first == policy::GateKind::kSilence) window.Explain(host, share);
  }
  for (auto& [length, window] : unannounced) window.Explain(host, share);
}

void ReleaseState::AddWindow(policy::GateKind kind, FleetNanos length, FleetNanos now) {
  const auto learn = [&](BadWindow& window, const BadWindow& longest) {
    window = longest.WithLength(length);
    window.Expire(now);
  };
  const auto [window, added] = windows.try_emplace({kind, length}, length);
  if (added) learn(window->second, windows.at({kind, kLongestWindow}));
  if (kind != policy::GateKind::kSilence) return;
  const auto [silence, silence_added] = unannounced.try_emplace(length, length);
  if (silence_added) learn(silence->second, unannounced.at(kLongestWindow));
}

void ReleaseState::ExpireWindows(FleetNanos now) {
  for (auto& [key, window] : windows) window.Expire(now);
  for (auto& [length, window] : unannounced) window.Expire(now);
}

void ReleaseState::ClearWindows(FleetNanos now) {
  for (auto& [key, window] : windows) window.Clear();
  for (auto& [length, window] : unannounced) window.Clear();
  windows_from = now;
  tenant_windows_from.clear();
}

}  // namespace ringfence::app
