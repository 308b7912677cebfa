#include "ringfence/agent/agent.h"

#include <time.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringfence/agent/boot_clock.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::agent {

absl::Time BootClock::Now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::TimeFromTimespec(now);
}

AgentId NewAgentId() {
  std::random_device device;  // getrandom
  AgentId id;
  for (uint8_t& byte : id.bytes) byte = static_cast<uint8_t>(device());
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | 0x40);  // version 4
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Make(AgentOptions options, StateStore* store,
                                                   ArtifactStore* artifacts, Loader* loader,
                                                   Clock* boot_clock) {
  absl::StatusOr<Durable> durable = store->Load();
  if (absl::IsNotFound(durable.status())) {
    durable = Durable{};
    durable->agent = NewAgentId();
    // Kept before anybody hears of it: a host that enrols twice would be counted twice.
    RETURN_IF_ERROR(store->Save(*durable));
  }
  if (!durable.ok()) return durable.status();
  return std::unique_ptr<Agent>(
      new Agent(std::move(options), *std::move(durable), store, artifacts, loader, boot_clock));
}

Agent::Agent(AgentOptions options, Durable durable, StateStore* store, ArtifactStore* artifacts,
             Loader* loader, Clock* clock)
    : options_(std::move(options)),
      store_(store),
      artifacts_(artifacts),
      loader_(loader),
      clock_(clock),
      machine_(options_.machine, std::move(durable), options_.seed),
      client_(options_.client) {}

Agent::~Agent() = default;

void Agent::Post(Event event) {
  MutexLock lock(&mutex_);
  inbox_.push_back(std::move(event));
  wake_.notify_one();
}

void Agent::Wake() {
  MutexLock lock(&mutex_);
  wake_.notify_one();
}

void Agent::Report(Reported event) {
  Post(std::move(event));
}
void Agent::FellBackTo(FellBack event) {
  Post(std::move(event));
}
void Agent::SetLabels(policy::Labels labels) {
  Post(LabelsChanged{std::move(labels)});
}

void Agent::RunOnce(absl::Duration patience) {
  if (!started_) {
    started_ = true;
    Step(Started{options_.boot_id, options_.labels, loader_->Attest()});
  }
  if (clock_->Now() >= machine_.NextWakeup()) Step(TimePassed{});
  std::vector<Event> events;
  {
    MutexLock lock(&mutex_);
    const absl::Duration wait = std::min(patience, machine_.NextWakeup() - clock_->Now());
    if (inbox_.empty() && wait > absl::ZeroDuration()) {
      wake_.wait_for(lock.native(), absl::ToChronoNanoseconds(std::min(wait, absl::Hours(1))));
    }
    events.swap(inbox_);
  }
  for (const Event& event : events) Step(event);
}

void Agent::Stop(absl::Duration patience) {
  Step(Stopping{});
  const absl::Time end = clock_->Now() + patience;
  while (!machine_.stopped() && clock_->Now() < end) RunOnce(end - clock_->Now());
}

void Agent::Step(const Event& event) {
  if (std::holds_alternative<CheckedIn>(event)) ++checkins_;
  if (std::holds_alternative<CheckedIn>(event) || std::holds_alternative<Enrolled>(event)) failed_calls_ = 0;
  if (std::holds_alternative<CheckInFailed>(event) || std::holds_alternative<EnrolFailed>(event))
    ++failed_calls_;
  if (std::holds_alternative<Fetched>(event) || std::holds_alternative<FetchFailed>(event)) --fetching_;
  follow_ups_.push_back(event);
  while (!follow_ups_.empty()) {
    const Effects effects = machine_.Step(follow_ups_.front(), clock_->Now());
    follow_ups_.pop_front();
    bool memory_failed = false;
    for (const Effect& effect : effects) Carry(effect, &memory_failed);
  }
}

void Agent::Carry(const Effect& effect, bool* memory_failed) {
  const Credential who{machine_.agent(), machine_.secret()};
  if (std::holds_alternative<Persist>(effect)) {
    const absl::Status saved = store_->Save(machine_.ToDurable());
    *memory_failed = !saved.ok();
    if (!saved.ok()) options_.log(absl::StrCat("cannot write the agent's memory: ", saved.message()));
    CollectGarbage();
  } else if (std::holds_alternative<SendEnrol>(effect)) {
    if (options_.enrol_token.empty())
      return follow_ups_.push_back(EnrolFailed{"not enrolled yet, and no enrolment token given"});
    client_.Enrol(options_.enrol_token, machine_.agent(), machine_.labels(), machine_.boot_id(),
                  [this](absl::StatusOr<EnrolReply> reply) {
                    if (reply.ok()) return Post(Enrolled{*std::move(reply)});
                    Post(EnrolFailed{std::string(reply.status().message())});
                  });
  } else if (const auto* check_in = std::get_if<SendCheckIn>(&effect)) {
    client_.CheckIn(who, check_in->request, [this](absl::StatusOr<CheckInReply> reply) {
      if (reply.ok()) return Post(CheckedIn{*std::move(reply)});
      Post(CheckInFailed{Client::RetryAfter(reply.status()), std::string(reply.status().message())});
    });
  } else if (const auto* fetch = std::get_if<StartFetch>(&effect)) {
    ++fetching_;
    Fetch(fetch->release);
  } else if (const auto* lease = std::get_if<SendLease>(&effect)) {
    client_.Lease(who, lease->channel, lease->digest, machine_.boot_id(),
                  [this, lease = *lease](absl::StatusOr<LeaseReply> reply) {
                    if (reply.ok()) return Post(Leased{lease.channel, lease.ask, *std::move(reply)});
                    Post(LeaseFailed{lease.channel, lease.ask, std::string(reply.status().message())});
                  });
  } else if (const auto* activate = std::get_if<Activate>(&effect)) {
    Flip(activate->channel, activate->digest, *memory_failed, activate->deadline);
  } else if (const auto* revert = std::get_if<Revert>(&effect)) {
    Flip(revert->channel, revert->to, *memory_failed, absl::InfiniteFuture());
  } else if (const auto* note = std::get_if<Note>(&effect)) {
    options_.log(note->text);
  }
  // CancelFetch: the machine will not listen to its end. Discard: CollectGarbage follows from what it
  // remembers.
}

void Agent::Fetch(const Directive& release) {
  const auto finish = [this, release] {
    const absl::StatusOr<Digest> came =
        artifacts_->Has(release.digest) ? release.digest : artifacts_->Finish(release.digest);
    if (!came.ok()) {
      return Post(FetchFailed{release.channel, release.digest, FetchFault::kDownload,
                              std::string(came.status().message())});
    }
    if (*came == release.digest) {
      const absl::Status checked = loader_->Check(release.channel, artifacts_->PathOf(release.digest));
      if (!checked.ok()) {
        const FetchFault fault =
            absl::IsInvalidArgument(checked) ? FetchFault::kRefused : FetchFault::kDownload;
        return Post(FetchFailed{release.channel, release.digest, fault, std::string(checked.message())});
      }
    }
    Post(Fetched{release.channel, release.digest, *came});
  };
  if (artifacts_->Has(release.digest)) return finish();
  int64_t offset = artifacts_->PartSize(release.digest);
  if (offset >= release.size_bytes) offset = 0;  // a whole part that was not finished is not to be trusted
  client_.Fetch(
      {machine_.agent(), machine_.secret()}, release.digest, offset,
      [this, digest = release.digest](int64_t at, absl::string_view bytes) {
        return artifacts_->Append(digest, at, bytes);
      },
      [this, release, finish](absl::StatusOr<int64_t> size) {
        if (size.ok()) return finish();
        Post(FetchFailed{release.channel, release.digest, FetchFault::kDownload,
                         std::string(size.status().message())});
      });
}

void Agent::Flip(const std::string& channel, const Digest& to, bool memory_failed, absl::Time deadline) {
  Flipped flipped{channel, Digest{}, false, ""};
  if (memory_failed) {
    flipped.detail = "the agent's memory could not be written";
  } else if (clock_->Now() >= deadline) {
    flipped.too_late = true;
  } else {
    const absl::Status status = loader_->Flip(channel, artifacts_->PathOf(to));
    if (!status.ok()) flipped.detail = std::string(status.message());
  }
  flipped.running = AttestedIn(channel);
  follow_ups_.push_back(std::move(flipped));
}

Digest Agent::AttestedIn(absl::string_view channel) {
  for (const Running& running : loader_->Attest()) {
    if (running.channel == channel) return running.digest;
  }
  return Digest{};
}

void Agent::CollectGarbage() {
  std::set<Digest> wanted;
  for (const Running& running : loader_->Attest()) wanted.insert(running.digest);
  for (const auto& [name, channel] : machine_.ToDurable().channels) {
    wanted.insert(channel.running);
    wanted.insert(channel.previous);
    const ChannelState* state = machine_.Find(name);
    if (state->phase != Phase::kIdle) wanted.insert(state->candidate.digest);
  }
  artifacts_->KeepOnly(wanted);
}

}  // namespace ringfence::agent
