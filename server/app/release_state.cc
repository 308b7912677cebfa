#include "server/app/release_state.h"

namespace ringfence::app {
namespace {

// +1 or -1 on the counters that a standing belongs to.
void CountStanding(ReleaseState& release, Exposure& exposure, int64_t by) {
  policy::Count(release.budget, exposure.standing, by);
  policy::Count(exposure.stage->budget, exposure.standing, by);
  for (const CellId cell : exposure.cells) policy::Count(release.Cell(cell).budget, exposure.standing, by);
  if (exposure.standing == policy::Standing::kProven)
    Stage::At(exposure.stage->wave_confirmed, exposure.wave) += by;
}

// The earlier of both.
void ExposedSince(FleetNanos t0, FleetNanos& since) {
  if (since == 0 || t0 < since) since = t0;
}

}  // namespace

ReleaseState::ReleaseState(storage::ReleaseRow release_row, FleetNanos activation_allowance,
                           FleetNanos maturity)
    : row(std::move(release_row)), a(activation_allowance), d(maturity), judgement(rho0()) {
  for (const auto kind :
       {policy::GateKind::kCrash, policy::GateKind::kSilence, policy::GateKind::kDegraded}) {
    windows.try_emplace({kind, kLongestWindow}, kLongestWindow);
  }
  unannounced.try_emplace(kLongestWindow, kLongestWindow);
}

void ReleaseState::Hear(Exposure& exposure, policy::News news) {
  const policy::Standing standing = policy::After(exposure.standing, news);
  if (exposure.standing == standing) return;
  CountStanding(*this, exposure, -1);
  exposure.standing = standing;
  CountStanding(*this, exposure, +1);
}

void ReleaseState::CountIn(CellId cell, const Exposure& exposure) {
  ++Cell(cell).exposed_now;
  ExposedSince(exposure.t0, Cell(cell).exposed_since);
}

void ReleaseState::Count(Exposure& exposure) {
  ++exposed;
  ExposedSince(exposure.t0, exposed_since);
  ++exposure.stage->exposed;
  ++Stage::At(exposure.stage->wave_exposed, exposure.wave);
  ++exposure.stage->by_outcome[static_cast<size_t>(exposure.outcome)];
  for (const CellId cell : exposure.place->cells) CountIn(cell, exposure);
  CountStanding(*this, exposure, +1);
}

void ReleaseState::Uncount(Exposure& exposure) {
  Hear(exposure, policy::News::kReleased);
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
  for (const CellId cell : place.cells) CountIn(cell, exposure);
  Hear(exposure, policy::News::kExposed);
}

void ReleaseState::Relabel(Exposure& exposure, const Place& place) {
  if (exposure.outcome == storage::Outcome::kUnused) return;
  for (const CellId cell : exposure.place->cells) --Cell(cell).exposed_now;
  for (auto& [key, window] : windows) window.Move(exposure.host, place.cells);
  for (auto& [length, window] : unannounced) window.Move(exposure.host, place.cells);
  if (exposure.counted) CountOnline(*exposure.place, -1);
  exposure.place = &place;
  if (exposure.counted) CountOnline(place, +1);
  for (const CellId cell : place.cells) CountIn(cell, exposure);
}

void ReleaseState::CountOnline(const Place& place, int64_t by) {
  exposed_series.Online(place.cells, by);
  if (place.id >= online_in.size()) online_in.resize(place.id + 1);
  online_in[place.id] += by;
}

void ReleaseState::UpdateSeries(Exposure& exposure) {
  const bool wanted = exposure.committed && exposure.standing != policy::Standing::kFree &&
                      !exposure.silent && !exposure.left;
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

void ReleaseState::AddBad(policy::GateKind kind, HostRef host, const CellList& cells_now, FleetNanos now,
                          bool same) {
  for (auto& [key, window] : windows) {
    if (key.first == kind) window.Add(host, cells_now, now, same);
  }
}

void ReleaseState::AddUnannounced(HostRef host, const CellList& cells_now, FleetNanos now, bool same) {
  for (auto& [length, window] : unannounced) window.Add(host, cells_now, now, same);
}

void ReleaseState::RemoveBad(HostRef host) {
  for (auto& [key, window] : windows) window.Remove(host);
  for (auto& [length, window] : unannounced) window.Remove(host);
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
