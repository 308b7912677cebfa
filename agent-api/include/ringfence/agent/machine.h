// The agent as a pure function: state + event at a time -> new state + effects. No I/O, no clock, no thread;
// chance comes from a seed in the state. A sensor that embeds this only carries effects out and reports what
// came of them.
//
// What it promises, whatever the server, the network and the order of events do
// (tests/agent/machine_property_test.cc):
//  - it asks to activate only the staged digest of a live lease; a lease's life is counted from the moment it
//  was asked for;
//  - once something runs in a channel, something runs: no error and no silence of the server unloads it (fail
//  static);
//  - a digest that it went back from is never activated again;
//  - seq of events is never reused; check-ins are at least `min_interval` apart.
//
// Times are on a clock that counts sleep (boot-time clock) and never goes backwards; `now` never decreases
// between calls.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "ringfence/agent/backoff.h"
#include "ringfence/agent/types.h"
#include "ringfence/base/ids.h"
#include "ringfence/policy/labels.h"

namespace ringfence::agent {

struct MachineOptions {
  absl::Duration min_interval = absl::Seconds(1);     // between check-ins, whatever anyone says
  absl::Duration max_interval = absl::Hours(1);       // a longer wait from the server is cut to this
  absl::Duration max_lease_ttl = absl::Seconds(600);  // a longer lease from the server is cut to this
  Backoff backoff;
  size_t max_queued_events = 1024;  // beyond this the oldest are dropped; a crash loop must not fill a disk
};

// Where a channel stands with the release that it was told to take. docs/agent.md has the same table for
// people.
enum class Phase : uint8_t {
  kIdle,        // nothing to take; runs what it runs
  kFetchLater,  // told to fetch; the start is spread over time
  kFetching,    // bytes are on their way
  kStaged,      // on disk and verified; may wait long for REQUEST_LEASE; not exposed
  kLeasing,     // permission was asked for
  kActivating,  // permission came in time; the loader flips
  kReverting,   // ordered back; the loader flips to the version that ran before
};
const char* Name(Phase phase);

struct ChannelState {
  Digest running;   // attested by the loader; zero: nothing ran here yet
  Digest previous;  // last-known-good to go back to; zero: none
  Phase phase = Phase::kIdle;
  Directive candidate;  // from kFetchLater to kActivating
  // Passing details, meaningless after a restart:
  absl::Time fetch_at;  // kFetchLater
  int fetch_failures = 0;
  bool refusal_told = false;  // of this candidate: a refusal that lasts is one report, not one for each try
  uint64_t lease_ask = 0;     // kLeasing: which question awaits its answer
  absl::Time lease_asked_at;  // kLeasing, kActivating
  absl::Time lease_ends_at;   // kActivating: activate before this or not at all
  absl::Time lease_again_at = absl::InfinitePast();  // do not ask before
  bool revert_wanted = false;  // REVERT came while the loader was flipping to the same digest
  Digest stuck_on;             // ordered back from this, with nothing to go back to; said once
  // Digests it went back from: never activated again. Kept for ever, oldest first.
  std::vector<Digest> burned;
};

// What survives a restart. Small; written whole before any effect that relies on it.
struct Durable {
  AgentId agent;
  std::string secret;  // 32 raw bytes; empty: not enrolled yet
  std::string tenant;
  std::string boot_id;               // of the last start
  bool said_goodbye = false;         // the agent was stopped in an orderly way in that boot
  bool last_shutdown_clean = false;  // of the boot before that
  uint64_t next_seq = 1;
  std::vector<HostEvent> queue;  // not yet acknowledged by a check-in
  struct Channel {
    Digest running, previous;
    std::optional<Directive> staged;  // verified bytes on disk
    Digest activating;                // a flip to it was begun; its end was not recorded
    std::vector<Digest> burned;
  };
  std::map<std::string, Channel> channels;
};

// ---------------------------------------------------------------- events

// The process starts. First event, once. `attested` is what the loader says runs now; it beats what was
// stored.
struct Started {
  std::string boot_id;
  policy::Labels labels;
  std::vector<Running> attested;
};
struct TimePassed {};  // NextWakeup() was reached
struct Enrolled {
  EnrolReply reply;
};
struct EnrolFailed {
  std::string detail;
};
struct CheckedIn {
  CheckInReply reply;
};
struct CheckInFailed {
  absl::Duration retry_after;  // zero: none named
  std::string detail;
};
// The bytes came and have this digest (the machine compares), or did not come.
struct Fetched {
  std::string channel;
  Digest wanted;
  Digest got;
};
enum class FetchFault : uint8_t {
  kDownload,
  kRefused,     // never to be had: these bytes are bad or were recalled
  kRefusedNow,  // not as things stand: no listing, no evidence, another sensor
};
struct FetchFailed {
  std::string channel;
  Digest digest;
  FetchFault fault = FetchFault::kDownload;
  std::string detail;
};
// `ask` is SendLease's: the answer to an older question must not pass for the answer to the newer one.
struct Leased {
  std::string channel;
  uint64_t ask = 0;
  LeaseReply reply;
};
struct LeaseFailed {
  std::string channel;
  uint64_t ask = 0;
  std::string detail;
};
// What is staged was looked at again before permission was asked for, and may not be activated.
struct Unfit {
  std::string channel;
  uint64_t ask = 0;
  bool for_good = false;  // as kRefused
  std::string detail;
};
// The loader ended a flip asked for by Activate or Revert; `running` is what it attests now.
struct Flipped {
  std::string channel;
  Digest running;
  bool too_late = false;  // not tried: the lease had ended
  std::string detail;     // why not, when `running` is not what was asked for
  // Why, as far as it is known. kRefused, kRefusedNow: the bytes or what is known of them. kDownload: the
  // disk damaged them, so they must be fetched again. Absent: the flip itself failed.
  std::optional<FetchFault> fault = std::nullopt;
};
// The loader went back by itself after repeated failed starts.
struct FellBack {
  std::string channel;
  Digest from, to;
  std::string detail;
};
// The host reports something: crash, bad gauge, safe mode, refused file.
struct Reported {
  EventKind kind = EventKind::kCrash;
  std::string channel;
  Digest digest;
  std::string metric, detail;
};
struct LabelsChanged {
  policy::Labels labels;
};
// The agent is being stopped in an orderly way. The goodbye is the last check-in: it waits for the answer to
// an open one.
struct Stopping {};

using Event =
    std::variant<Started, TimePassed, Enrolled, EnrolFailed, CheckedIn, CheckInFailed, Fetched, FetchFailed,
                 Leased, LeaseFailed, Unfit, Flipped, FellBack, Reported, LabelsChanged, Stopping>;

// ---------------------------------------------------------------- effects, in the order in which to carry
// them out

// Write Durable before the effects that follow it. If that fails, do not carry out a following Activate or
// Revert; report Flipped with what runs.
struct Persist {};
struct SendEnrol {};  // with the labels and boot id in the state
struct SendCheckIn {
  CheckIn request;
};
struct StartFetch {
  Directive release;
};
struct CancelFetch {
  std::string channel;
  Digest digest;
};
struct SendLease {
  std::string channel;
  Digest digest;
  uint64_t ask = 0;
};
// Flip to the staged digest, but only before `deadline` on the agent's clock; then report Flipped.
struct Activate {
  std::string channel;
  Digest digest;
  absl::Time deadline;
};
// Flip back to `to` at once; then report Flipped.
struct Revert {
  std::string channel;
  Digest from, to;
};
// Staged bytes are not wanted any more.
struct Discard {
  std::string channel;
  Digest digest;
};
// A sentence for the log.
struct Note {
  std::string text;
};

using Effect = std::variant<Persist, SendEnrol, SendCheckIn, StartFetch, CancelFetch, SendLease, Activate,
                            Revert, Discard, Note>;
using Effects = std::vector<Effect>;

// ---------------------------------------------------------------- the machine

// A value: copy it, compare runs, put two thousand of them in one process. Not thread-safe.
class Machine {
 public:
  // `durable` as it was last written; a fresh one has only `agent` set.
  Machine(MachineOptions options, Durable durable, uint64_t seed);

  Effects Step(const Event& event, absl::Time now);

  // When to step with TimePassed if nothing else happens; InfiniteFuture while an answer is awaited.
  absl::Time NextWakeup() const;

  // What to write for Persist.
  Durable ToDurable() const;

  const AgentId& agent() const { return durable_.agent; }
  const std::string& secret() const { return durable_.secret; }
  const std::string& tenant() const { return durable_.tenant; }
  const std::string& boot_id() const { return durable_.boot_id; }
  const policy::Labels& labels() const { return labels_; }
  bool enrolled() const { return !durable_.secret.empty(); }
  // Stopping was stepped, and the goodbye has its answer, good or bad; or there is nobody to say it to.
  bool stopped() const { return stopping_ && (!enrolled() || !call_open_); }
  // Null: the channel was never heard of.
  const ChannelState* Find(absl::string_view channel) const;

 private:
  void On(const Started& event, absl::Time now, Effects& out);
  void On(const TimePassed& event, absl::Time now, Effects& out);
  void On(const Enrolled& event, absl::Time now, Effects& out);
  void On(const EnrolFailed& event, absl::Time now, Effects& out);
  void On(const CheckedIn& event, absl::Time now, Effects& out);
  void On(const CheckInFailed& event, absl::Time now, Effects& out);
  void On(const Fetched& event, absl::Time now, Effects& out);
  void On(const FetchFailed& event, absl::Time now, Effects& out);
  void On(const Leased& event, absl::Time now, Effects& out);
  void On(const LeaseFailed& event, absl::Time now, Effects& out);
  void On(const Unfit& event, absl::Time now, Effects& out);
  void On(const Flipped& event, absl::Time now, Effects& out);
  void On(const FellBack& event, absl::Time now, Effects& out);
  void On(const Reported& event, absl::Time now, Effects& out);
  void On(const LabelsChanged& event, absl::Time now, Effects& out);
  void On(const Stopping& event, absl::Time now, Effects& out);

  void Follow(const Directive& directive, absl::Time now, Effects& out);
  void FollowPrefetch(const Directive& directive, absl::Time now, Effects& out);
  void FollowRevert(const Directive& directive, Effects& out);
  void FollowDrop(const Directive& directive, Effects& out);
  void AbandonCandidate(const std::string& channel, ChannelState& state, Effects& out);
  void DiscardCandidate(const std::string& channel, const ChannelState& state, Effects& out);
  void BeginRevert(const std::string& channel, ChannelState& state, Effects& out);
  void Burn(ChannelState& state, const Digest& digest);
  void WentBack(const std::string& channel, ChannelState& state, Digest from, Digest to,
                absl::string_view detail);
  void Recover(const std::string& channel, ChannelState& state, const Digest& attested,
               const Digest& activating);
  void Queue(EventKind kind, absl::string_view channel, const Digest& digest, absl::string_view metric,
             absl::string_view detail);
  void SendCheckInNow(absl::Time now, bool goodbye, Effects& out);
  void CheckInSoon(absl::Time now);
  void Call(absl::Time now, Effects& out);
  void CallEnded(absl::Time now, Effects& out);
  void StartDueFetches(absl::Time now, Effects& out);
  void RetryFetchLater(ChannelState& state, absl::Time now);
  void Refused(const std::string& channel, ChannelState& state, bool for_good, absl::string_view detail,
               Effects& out);
  void NotActivated(const Flipped& event, ChannelState& state, absl::Time now, Effects& out);
  CheckIn MakeCheckIn(bool goodbye) const;

  MachineOptions options_;
  Durable durable_;  // `channels` of it is filled by ToDurable only
  Chance chance_;
  policy::Labels labels_;
  std::string labels_hash_;
  std::map<std::string, ChannelState> channels_;

  uint64_t last_ask_ = 0;
  bool dirty_ = false;  // Durable changed in this step

  // Check-in and enrolment schedule.
  bool started_ = false;
  bool stopping_ = false;
  bool goodbye_due_ = false;  // as soon as the open check-in has its answer
  bool call_open_ = false;    // a check-in or enrolment awaits its answer
  bool labels_known_ = true;  // nothing says that the server lacks the labels behind our hash
  bool labels_in_flight_ = false;
  bool soon_ = false;  // something happened during the open call that the server should hear at once
  uint64_t last_seq_in_flight_ = 0;  // events up to this one are in the open check-in
  int failures_ = 0;
  absl::Time next_call_ = absl::InfiniteFuture();
  absl::Time last_sent_ = absl::InfinitePast();
};

bool IsBurned(const ChannelState& state, const Digest& digest);

}  // namespace ringfence::agent
