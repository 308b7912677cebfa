// The machine's half that follows directives: fetch, stage, lease, flip, prove, go back.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/agent/machine.h"

namespace ringfence::agent {

const char* Name(Phase phase) {
  switch (phase) {
    case Phase::kIdle:
      return "idle";
    case Phase::kFetchLater:
      return "fetch_later";
    case Phase::kFetching:
      return "fetching";
    case Phase::kStaged:
      return "staged";
    case Phase::kLeasing:
      return "leasing";
    case Phase::kActivating:
      return "activating";
    case Phase::kReverting:
      return "reverting";
  }
  return "unknown";
}

bool IsBurned(const ChannelState& state, const Digest& digest) {
  return std::find(state.burned.begin(), state.burned.end(), digest) != state.burned.end();
}

namespace {

// Is the loader at work? Then nothing else may touch the channel.
bool IsFlipping(const ChannelState& state) {
  return state.phase == Phase::kActivating || state.phase == Phase::kReverting;
}

bool IsCandidate(const ChannelState& state, const Digest& digest) {
  return state.phase != Phase::kIdle && state.phase != Phase::kReverting && state.candidate.digest == digest;
}

std::string Named(const Directive& release) {
  return absl::StrCat(release.channel, " ", release.version, " (", release.digest.ToString().substr(0, 12),
                      ")");
}

}  // namespace

// After a restart the loader's word beats the file's: what runs is what runs.
void Machine::Recover(const std::string& channel, ChannelState& state, const Digest& attested,
                      const Digest& activating) {
  if (attested == state.running) return;
  const Digest before = state.running;
  if (!before.IsZero() && attested == state.previous && attested != activating) {
    WentBack(channel, state, before, attested, "the loader went back while the agent was down");
  } else if (!before.IsZero() && attested == state.previous) {
    WentBack(channel, state, before, attested, "ordered back; the agent was restarted meanwhile");
  } else {  // a flip that was recorded as begun and had ended, or somebody else's doing
    state.previous = IsBurned(state, before) ? Digest{} : before;
    state.running = attested;
  }
  if (state.phase == Phase::kStaged && state.candidate.digest == state.running) state.phase = Phase::kIdle;
  dirty_ = true;
}

// ---------------------------------------------------------------- directives

void Machine::Follow(const Directive& directive, absl::Time now, Effects& out) {
  if (directive.digest.IsZero() || !IsSlug(directive.channel)) return;
  switch (directive.kind) {
    case DirectiveKind::kPrefetch:
      return FollowPrefetch(directive, now, out);
    case DirectiveKind::kRevert:
      return FollowRevert(directive, out);
    case DirectiveKind::kDrop:
      return FollowDrop(directive, out);
    case DirectiveKind::kRequestLease: {
      ChannelState& state = channels_[directive.channel];
      if (!IsCandidate(state, directive.digest)) return FollowPrefetch(directive, now, out);
      if (state.phase != Phase::kStaged || now < state.lease_again_at || IsBurned(state, directive.digest))
        return;
      state.phase = Phase::kLeasing;
      state.lease_asked_at =
          now;  // before the request leaves, so that the lease ends here before it ends there
      state.lease_ask = ++last_ask_;
      out.push_back(SendLease{directive.channel, directive.digest, state.lease_ask});
      return;
    }
  }
}

void Machine::FollowPrefetch(const Directive& directive, absl::Time now, Effects& out) {
  ChannelState& state = channels_[directive.channel];
  if (directive.digest == state.running || IsBurned(state, directive.digest) || IsFlipping(state)) return;
  if (IsCandidate(state, directive.digest)) return;
  AbandonCandidate(directive.channel, state, out);
  state.candidate = directive;
  state.candidate.kind = DirectiveKind::kPrefetch;
  state.phase = Phase::kFetchLater;
  state.fetch_failures = 0;
  state.refusal_told = false;
  state.lease_again_at = absl::InfinitePast();
  state.fetch_at = now + chance_.Below(std::max(absl::ZeroDuration(), directive.within));
}

void Machine::FollowRevert(const Directive& directive, Effects& out) {
  ChannelState& state = channels_[directive.channel];
  if (state.phase == Phase::kReverting) return;
  if (state.phase == Phase::kActivating) {
    state.revert_wanted |= state.candidate.digest == directive.digest;
    return;
  }
  if (state.running == directive.digest) {
    BeginRevert(directive.channel, state, out);
  } else if (IsCandidate(state, directive.digest)) {
    AbandonCandidate(directive.channel, state, out);
  }
}

void Machine::FollowDrop(const Directive& directive, Effects& out) {
  const auto it = channels_.find(directive.channel);
  if (it == channels_.end() || IsFlipping(it->second) || !IsCandidate(it->second, directive.digest)) return;
  AbandonCandidate(directive.channel, it->second, out);
}

// The same bytes may be what the host would go back to: those stay.
void Machine::DiscardCandidate(const std::string& channel, const ChannelState& state, Effects& out) {
  if (state.candidate.digest == state.previous || state.candidate.digest == state.running) return;
  out.push_back(Discard{channel, state.candidate.digest});
}

void Machine::AbandonCandidate(const std::string& channel, ChannelState& state, Effects& out) {
  switch (state.phase) {
    case Phase::kIdle:
    case Phase::kActivating:
    case Phase::kReverting:
      return;
    case Phase::kFetchLater:
      break;
    case Phase::kFetching:
      out.push_back(CancelFetch{channel, state.candidate.digest});
      break;
    case Phase::kStaged:
    case Phase::kLeasing:  // its answer will find nobody waiting
      DiscardCandidate(channel, state, out);
      dirty_ = true;
      break;
  }
  state.phase = Phase::kIdle;
}

// ---------------------------------------------------------------- fetching

void Machine::StartDueFetches(absl::Time now, Effects& out) {
  for (auto& [name, state] : channels_) {
    if (state.phase != Phase::kFetchLater || now < state.fetch_at) continue;
    state.phase = Phase::kFetching;
    out.push_back(StartFetch{state.candidate});
  }
}

void Machine::RetryFetchLater(ChannelState& state, absl::Time now) {
  ++state.fetch_failures;
  state.phase = Phase::kFetchLater;
  state.fetch_at = now + options_.backoff.Delay(state.fetch_failures, chance_);
}

void Machine::On(const Fetched& event, absl::Time now, Effects& out) {
  const auto it = channels_.find(event.channel);
  if (it == channels_.end() || it->second.phase != Phase::kFetching ||
      it->second.candidate.digest != event.wanted)
    return;
  ChannelState& state = it->second;
  if (event.got != event.wanted) {
    Queue(EventKind::kStagingFailed, event.channel, event.wanted, "",
          absl::StrCat("the bytes that came have sha256 ", event.got.ToString()));
    DiscardCandidate(event.channel, state, out);
    RetryFetchLater(state, now);
  } else {
    state.phase = Phase::kStaged;
    dirty_ = true;
    out.push_back(Note{absl::StrCat("staged ", Named(state.candidate))});
  }
  CheckInSoon(now);
}

void Machine::On(const FetchFailed& event, absl::Time now, Effects& out) {
  const auto it = channels_.find(event.channel);
  if (it == channels_.end() || it->second.phase != Phase::kFetching ||
      it->second.candidate.digest != event.digest)
    return;
  ChannelState& state = it->second;
  if (event.fault == FetchFault::kRefused) {
    Refused(event.channel, state, /*for_good=*/true, event.detail, out);
  } else if (event.fault == FetchFault::kRefusedNow) {
    // Asked again at leisure: the server may only have been early. Nothing was learned of the bytes, so they
    // are not burned: whoever offers a good release too soon must not be able to spoil it for ever.
    if (!state.refusal_told) {
      state.refusal_told = true;
      Queue(EventKind::kRejected, event.channel, event.digest, "", event.detail);
      out.push_back(Note{absl::StrCat("refused ", Named(state.candidate), ": ", event.detail)});
    }
    DiscardCandidate(event.channel, state, out);
    RetryFetchLater(state, now);
  } else {
    Queue(EventKind::kStagingFailed, event.channel, event.digest, "", event.detail);
    RetryFetchLater(state, now);
  }
  CheckInSoon(now);
}

// What the host will not open is reported at once, and what it will never open is burned like one that it
// went back from.
void Machine::Refused(const std::string& channel, ChannelState& state, bool for_good,
                      absl::string_view detail, Effects& out) {
  Queue(EventKind::kRejected, channel, state.candidate.digest, "", detail);
  if (for_good) Burn(state, state.candidate.digest);
  state.phase = Phase::kIdle;
  dirty_ = true;
  DiscardCandidate(channel, state, out);
  out.push_back(Note{absl::StrCat("refused ", Named(state.candidate), ": ", detail)});
}

// ---------------------------------------------------------------- leases

void Machine::On(const Leased& event, absl::Time now, Effects& out) {
  const auto it = channels_.find(event.channel);
  if (it == channels_.end() || it->second.phase != Phase::kLeasing || it->second.lease_ask != event.ask)
    return;
  ChannelState& state = it->second;
  state.phase = Phase::kStaged;
  if (!event.reply.granted) {
    state.lease_again_at =
        now + std::clamp(event.reply.retry_after, absl::ZeroDuration(), options_.max_interval);
    return;
  }
  state.lease_ends_at = state.lease_asked_at + std::min(event.reply.ttl, options_.max_lease_ttl);
  if (now >= state.lease_ends_at) {
    out.push_back(
        Note{absl::StrCat("the lease for ", Named(state.candidate), " came after its end: not used")});
    return;
  }
  state.phase = Phase::kActivating;
  state.revert_wanted = false;
  dirty_ = true;
  out.push_back(Activate{event.channel, state.candidate.digest, state.lease_ends_at});
}

void Machine::On(const LeaseFailed& event, absl::Time, Effects& out) {
  const auto it = channels_.find(event.channel);
  if (it == channels_.end() || it->second.phase != Phase::kLeasing || it->second.lease_ask != event.ask)
    return;
  it->second.phase = Phase::kStaged;  // REQUEST_LEASE comes again with a check-in
  out.push_back(Note{absl::StrCat("no lease for ", Named(it->second.candidate), ": ", event.detail)});
}

void Machine::On(const Unfit& event, absl::Time now, Effects& out) {
  const auto it = channels_.find(event.channel);
  if (it == channels_.end() || it->second.phase != Phase::kLeasing || it->second.lease_ask != event.ask)
    return;
  Refused(event.channel, it->second, event.for_good, event.detail, out);
  CheckInSoon(now);
}

// ---------------------------------------------------------------- flips

void Machine::On(const Flipped& event, absl::Time now, Effects& out) {
  const auto it = channels_.find(event.channel);
  if (it == channels_.end() || !IsFlipping(it->second)) return;
  ChannelState& state = it->second;
  dirty_ = true;
  if (state.phase == Phase::kActivating) {
    if (event.running == state.candidate.digest) {
      state.previous = IsBurned(state, state.running) ? Digest{} : state.running;
      state.running = event.running;
      state.phase = Phase::kIdle;
      out.push_back(Note{absl::StrCat("activated ", Named(state.candidate))});
      if (state.revert_wanted) BeginRevert(event.channel, state, out);
    } else {
      NotActivated(event, state, now, out);
      if (state.revert_wanted) AbandonCandidate(event.channel, state, out);
    }
    state.revert_wanted = false;
  } else if (event.running == state.previous) {
    WentBack(event.channel, state, state.running, state.previous, "ordered back");
    out.push_back(
        Note{absl::StrCat("went back in ", event.channel, " to ", state.running.ToString().substr(0, 12))});
  } else {
    state.phase = Phase::kIdle;  // the order is repeated with the next check-in
    if (!event.running.IsZero()) state.running = event.running;
    if (event.fault == FetchFault::kRefused || event.fault == FetchFault::kRefusedNow) {
      // Behind the floor, or not fit for this sensor any more: no place to go back to. The order stands, and
      // whoever gave it has to know.
      Queue(EventKind::kActivationFailed, event.channel, state.running, "",
            absl::StrCat("cannot go back to ", state.previous.ToString(), ": ", event.detail));
      state.previous = Digest{};
    }
    out.push_back(Note{absl::StrCat("could not go back in ", event.channel, ": ", event.detail)});
  }
  CheckInSoon(now);
}

void Machine::NotActivated(const Flipped& event, ChannelState& state, absl::Time now, Effects& out) {
  state.phase = Phase::kStaged;
  if (!event.running.IsZero() && !event.too_late) state.running = event.running;
  if (!event.too_late && event.fault.has_value()) {
    if (event.fault != FetchFault::kDownload)
      return Refused(event.channel, state, event.fault == FetchFault::kRefused, event.detail, out);
    // The disk's doing, not the release's: fetched again.
    Queue(EventKind::kStagingFailed, event.channel, state.candidate.digest, "", event.detail);
    DiscardCandidate(event.channel, state, out);
    RetryFetchLater(state, now);
  } else if (!event.too_late) {
    Queue(EventKind::kActivationFailed, event.channel, state.candidate.digest, "", event.detail);
  }
  out.push_back(Note{absl::StrCat("did not activate ", Named(state.candidate), ": ",
                                  event.too_late ? "the lease had ended" : event.detail)});
}

void Machine::On(const FellBack& event, absl::Time now, Effects& out) {
  if (event.to.IsZero()) return;
  ChannelState& state = channels_[event.channel];
  WentBack(event.channel, state, event.from, event.to, event.detail);
  out.push_back(Note{absl::StrCat("the loader fell back in ", event.channel, ": ", event.detail)});
  CheckInSoon(now);
}

void Machine::Burn(ChannelState& state, const Digest& digest) {
  if (!digest.IsZero() && !IsBurned(state, digest)) state.burned.push_back(digest);
  dirty_ = true;
}

void Machine::WentBack(const std::string& channel, ChannelState& state, Digest from, Digest to,
                       absl::string_view detail) {
  Burn(state, from);
  state.running = to;
  state.previous = Digest{};  // what it came from is no place to go back to
  if (IsFlipping(state) || IsCandidate(state, from) || IsCandidate(state, to)) state.phase = Phase::kIdle;
  Queue(EventKind::kReverted, channel, from, "", detail);
}

void Machine::BeginRevert(const std::string& channel, ChannelState& state, Effects& out) {
  if (state.previous.IsZero() || state.previous == state.running || IsBurned(state, state.previous)) {
    // The order comes with every check-in.
    if (state.stuck_on == state.running) return;
    state.stuck_on = state.running;
    out.push_back(Note{absl::StrCat("ordered back in ", channel,
                                    ", but there is nothing good to go back to: what runs stays")});
    return;
  }
  AbandonCandidate(channel, state, out);
  Burn(state, state.running);
  state.phase = Phase::kReverting;
  out.push_back(Revert{channel, state.running, state.previous});
}

}  // namespace ringfence::agent
