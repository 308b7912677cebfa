// The machine's schedule of calls, its event queue and its memory. What it does about releases is in
// machine_channels.cc.
#include "ringfence/agent/machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/base/utf8.h"

namespace ringfence::agent {

Machine::Machine(MachineOptions options, Durable durable, uint64_t seed)
    : options_(options), durable_(std::move(durable)), chance_(seed) {
  options_.backoff.least = std::max(options_.backoff.least, options_.min_interval);
  for (const auto& [name, stored] : durable_.channels) {
    ChannelState& state = channels_[name];
    state.running = stored.running;
    state.previous = stored.previous;
    state.burned = stored.burned;
    if (stored.staged && !IsBurned(state, stored.staged->digest) && stored.staged->digest != state.running) {
      state.phase = Phase::kStaged;  // a lease does not survive a restart; the bytes do
      state.candidate = *stored.staged;
    }
  }
}

Effects Machine::Step(const Event& event, absl::Time now) {
  Effects out;
  dirty_ = false;
  std::visit([&](const auto& e) { On(e, now, out); }, event);
  if (dirty_) out.insert(out.begin(), Persist{});
  return out;
}

absl::Time Machine::NextWakeup() const {
  if (!started_ || stopping_) return absl::InfiniteFuture();
  absl::Time next = call_open_ ? absl::InfiniteFuture() : next_call_;
  for (const auto& [name, state] : channels_) {
    if (state.phase == Phase::kFetchLater) next = std::min(next, state.fetch_at);
  }
  return next;
}

Durable Machine::ToDurable() const {
  Durable durable = durable_;
  durable.channels.clear();
  for (const auto& [name, state] : channels_) {
    Durable::Channel& stored = durable.channels[name];
    stored.running = state.running;
    stored.previous = state.previous;
    stored.burned = state.burned;
    switch (state.phase) {
      case Phase::kIdle:
      case Phase::kFetchLater:
      case Phase::kFetching:
        break;
      case Phase::kActivating:
        stored.activating = state.candidate.digest;
        [[fallthrough]];
      case Phase::kStaged:
      case Phase::kLeasing:
        stored.staged = state.candidate;
        break;
      case Phase::kReverting:
        stored.activating = state.previous;
        break;
    }
  }
  return durable;
}

const ChannelState* Machine::Find(absl::string_view channel) const {
  const auto it = channels_.find(std::string(channel));
  return it == channels_.end() ? nullptr : &it->second;
}

// ---------------------------------------------------------------- start and stop

void Machine::On(const Started& event, absl::Time now, Effects& out) {
  started_ = true;
  labels_ = event.labels;
  labels_hash_ = labels_.Hash16();
  dirty_ = true;
  if (event.boot_id != durable_.boot_id) {
    durable_.last_shutdown_clean = durable_.said_goodbye;
    durable_.boot_id = event.boot_id;
  } else if (!durable_.said_goodbye) {
    Queue(EventKind::kCrash, "", Digest{}, "",
          "the agent was started again in the same boot without having been stopped");
  }
  durable_.said_goodbye = false;
  for (const Running& running : event.attested) {
    if (running.digest.IsZero()) continue;
    const auto stored = durable_.channels.find(running.channel);
    Recover(running.channel, channels_[running.channel], running.digest,
            stored == durable_.channels.end() ? Digest{} : stored->second.activating);
  }
  Call(now, out);
}

void Machine::On(const Stopping&, absl::Time now, Effects& out) {
  stopping_ = true;
  durable_.said_goodbye = true;
  dirty_ = true;
  goodbye_due_ = enrolled();
  if (!call_open_) CallEnded(now, out);
}

// ---------------------------------------------------------------- the schedule

void Machine::On(const TimePassed&, absl::Time now, Effects& out) {
  if (!started_ || stopping_) return;
  StartDueFetches(now, out);
  if (!call_open_ && now >= next_call_) Call(now, out);
}

void Machine::Call(absl::Time now, Effects& out) {
  if (enrolled()) {
    SendCheckInNow(now, /*goodbye=*/false, out);
    return;
  }
  call_open_ = true;
  last_sent_ = now;
  out.push_back(SendEnrol{});
}

void Machine::SendCheckInNow(absl::Time now, bool goodbye, Effects& out) {
  call_open_ = true;
  soon_ = false;
  last_sent_ = now;
  SendCheckIn send{MakeCheckIn(goodbye)};
  labels_in_flight_ = send.request.has_labels;
  last_seq_in_flight_ = send.request.events.empty() ? 0 : send.request.events.back().seq;
  out.push_back(std::move(send));
}

CheckIn Machine::MakeCheckIn(bool goodbye) const {
  CheckIn request;
  request.boot_id = durable_.boot_id;
  request.last_shutdown_clean = durable_.last_shutdown_clean;
  request.labels_hash = labels_hash_;
  request.goodbye = goodbye;
  if (!labels_known_) {
    request.has_labels = true;
    request.labels = labels_;
  }
  for (const auto& [name, state] : channels_) {
    if (!state.running.IsZero()) request.running.push_back({name, state.running});
    // Asked for or not, verified bytes are on disk.
    if (state.phase == Phase::kStaged || state.phase == Phase::kLeasing)
      request.staged.push_back(state.candidate.digest);
  }
  const size_t count = std::min(durable_.queue.size(), kMaxEventsPerCheckIn);
  request.events.assign(durable_.queue.begin(), durable_.queue.begin() + static_cast<ptrdiff_t>(count));
  return request;
}

// One that stops says so last: a check-in that the server sees after the goodbye would look like one that
// runs on.
void Machine::CallEnded(absl::Time now, Effects& out) {
  call_open_ = false;
  if (!goodbye_due_) return;
  goodbye_due_ = false;
  SendCheckInNow(now, /*goodbye=*/true, out);
}

// Lets the server hear soon, at most once in min_interval. While the server is away the back-off rules alone:
// a fleet in trouble must not become a storm.
void Machine::CheckInSoon(absl::Time now) {
  if (call_open_) {
    soon_ = true;
  } else if (failures_ == 0 && enrolled()) {
    next_call_ = std::min(next_call_, std::max(now, last_sent_ + options_.min_interval));
  }
}

void Machine::On(const CheckedIn& event, absl::Time now, Effects& out) {
  call_open_ = false;
  failures_ = 0;
  if (labels_in_flight_) labels_known_ = true;
  labels_in_flight_ = false;
  if (event.reply.send_labels) labels_known_ = false;
  if (last_seq_in_flight_ > 0) {
    std::erase_if(durable_.queue, [this](const HostEvent& e) { return e.seq <= last_seq_in_flight_; });
    last_seq_in_flight_ = 0;
    dirty_ = true;
  }
  const absl::Time earliest = std::max(now, last_sent_ + options_.min_interval);
  next_call_ = std::max(
      earliest, now + std::clamp(event.reply.next_checkin, options_.min_interval, options_.max_interval));
  if (soon_ || !durable_.queue.empty()) next_call_ = earliest;
  soon_ = false;
  if (stopping_) return CallEnded(now, out);

  // The brakes first.
  for (const DirectiveKind kind : {DirectiveKind::kRevert, DirectiveKind::kDrop, DirectiveKind::kPrefetch,
                                   DirectiveKind::kRequestLease}) {
    for (const Directive& directive : event.reply.directives) {
      if (directive.kind == kind) Follow(directive, now, out);
    }
  }
  StartDueFetches(now, out);
}

void Machine::On(const CheckInFailed& event, absl::Time now, Effects& out) {
  call_open_ = false;
  labels_in_flight_ = false;
  last_seq_in_flight_ = 0;  // not acknowledged: sent again, and the server knows repeats by their seq
  soon_ = false;
  ++failures_;
  next_call_ = now + std::max(options_.backoff.Delay(failures_, chance_),
                              std::min(event.retry_after, options_.max_interval));
  out.push_back(Note{absl::StrCat("check-in failed (", failures_, " in a row), again in ",
                                  absl::FormatDuration(absl::Trunc(next_call_ - now, absl::Milliseconds(1))),
                                  ": ", event.detail)});
  if (stopping_) CallEnded(now, out);
}

void Machine::On(const Enrolled& event, absl::Time now, Effects& out) {
  call_open_ = false;
  failures_ = 0;
  soon_ = false;
  durable_.secret = event.reply.secret;
  durable_.tenant = event.reply.tenant;
  dirty_ = true;
  next_call_ = now + std::clamp(event.reply.next_checkin, options_.min_interval, options_.max_interval);
  out.push_back(
      Note{absl::StrCat("enrolled with tenant ", durable_.tenant, " as ", durable_.agent.ToString())});
}

void Machine::On(const EnrolFailed& event, absl::Time now, Effects& out) {
  call_open_ = false;
  ++failures_;
  next_call_ = now + options_.backoff.Delay(failures_, chance_);
  out.push_back(Note{absl::StrCat("enrolment failed, again in ",
                                  absl::FormatDuration(absl::Trunc(next_call_ - now, absl::Milliseconds(1))),
                                  ": ", event.detail)});
}

// ---------------------------------------------------------------- what the host reports

void Machine::On(const Reported& event, absl::Time now, Effects&) {
  Queue(event.kind, event.channel, event.digest, event.metric, event.detail);
  CheckInSoon(now);
}

void Machine::On(const LabelsChanged& event, absl::Time now, Effects&) {
  if (event.labels == labels_) return;
  labels_ = event.labels;
  labels_hash_ = labels_.Hash16();
  labels_known_ = false;
  labels_in_flight_ = false;  // an answer that is on its way is about the old ones
  CheckInSoon(now);
}

void Machine::Queue(EventKind kind, absl::string_view channel, const Digest& digest, absl::string_view metric,
                    absl::string_view detail) {
  // A server takes no check-in with other text than this, and would never hear of this host again.
  constexpr size_t kMaxMetricBytes = 64, kMaxDetailBytes = 1024;
  HostEvent event;
  event.seq = durable_.next_seq++;
  event.boot_id = durable_.boot_id;
  event.kind = kind;
  event.channel = std::string(channel);
  event.digest = digest;
  event.metric = Legible(metric, kMaxMetricBytes);
  event.detail = Legible(detail, kMaxDetailBytes, /*lines=*/true);
  durable_.queue.push_back(std::move(event));
  if (durable_.queue.size() > options_.max_queued_events) durable_.queue.erase(durable_.queue.begin());
  dirty_ = true;
}

}  // namespace ringfence::agent
