#include "ringfence/agent/agent.h"

#include <time.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "release_desk.h"
#include "ringfence/agent/boot_clock.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/policy/reason.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_store.h"
#include "server_metadata.h"

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
      client_(options_.client) {
  if (options_.verifier == nullptr) return;
  metadata_ = std::make_unique<ServerMetadata>(&client_);
  desk_ = std::make_unique<ReleaseDesk>(options_.verifier, metadata_.get(), clock_, options_.recheck_after);
}

Agent::~Agent() {
  client_.Close();
  if (desk_ != nullptr) desk_->Close();
}

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
    CheckWhatRuns();
    Step(Started{options_.boot_id, options_.labels, loader_->Attest()});
  }
  if (clock_->Now() >= machine_.NextWakeup()) Step(TimePassed{});
  if (desk_ != nullptr && machine_.enrolled() && clock_->Now() >= refresh_at_) RefreshMetadata();
  std::vector<Event> events;
  {
    MutexLock lock(&mutex_);
    const absl::Duration wait = std::min(patience, machine_.NextWakeup() - clock_->Now());
    if (inbox_.empty() && wait > absl::ZeroDuration()) {
      wake_.wait_for(lock.native(), absl::ToChronoNanoseconds(std::min(wait, absl::Hours(1))));
    }
    events.swap(inbox_);
  }
  TakePlans();
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
  Event judged = options_.guard == nullptr ? event : Guarded(event);
  if (const auto* leased = std::get_if<Leased>(&judged); leased != nullptr && !leased->reply.granted) {
    const std::string& why = leased->reply.reason;
    if (why == policy::Name(policy::Reason::kOtherPlan) || absl::StartsWith(why, "lease_plan"))
      AskForPlanOf(*leased);
  }
  follow_ups_.push_back(std::move(judged));
  while (!follow_ups_.empty()) {
    if (auto* heard = std::get_if<CheckedIn>(&follow_ups_.front())) ObeyPlan(heard);
    const Effects effects = machine_.Step(follow_ups_.front(), clock_->Now());
    follow_ups_.pop_front();
    bool memory_failed = false;
    for (const Effect& effect : effects) Carry(effect, &memory_failed);
  }
}

Event Agent::Guarded(Event event) {
  if (options_.verifier != nullptr) {
    if (const auto trust = options_.verifier->trust(); trust.has_value()) options_.guard->Follow(*trust);
  }
  ShowHeldPlan();
  const auto take_in = [this](const SignedNotices& notices) {
    for (const std::string& text : options_.guard->TakeIn(notices, machine_.tenant())) options_.log(text);
  };
  if (const auto* checked_in = std::get_if<CheckedIn>(&event)) take_in(checked_in->reply.notices);
  if (auto* leased = std::get_if<Leased>(&event)) {
    take_in(leased->reply.notices);
    const bool granted = leased->reply.granted;
    leased->reply = options_.guard->Judge(leased->ask, std::move(leased->reply), clock_->Now());
    if (granted && !leased->reply.granted)
      options_.log(absl::StrCat("a lease for ", leased->channel, " is not used: ", leased->reply.reason));
  }
  return event;
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
    CheckIn request = check_in->request;
    if (options_.guard != nullptr) request.halt_seq = options_.guard->halt_seq();
    client_.CheckIn(who, request, [this](absl::StatusOr<CheckInReply> reply) {
      if (reply.ok()) return Post(CheckedIn{*std::move(reply)});
      Post(CheckInFailed{Client::RetryAfter(reply.status()), std::string(reply.status().message())});
    });
  } else if (const auto* fetch = std::get_if<StartFetch>(&effect)) {
    ++fetching_;
    Fetch(fetch->release);
  } else if (const auto* lease = std::get_if<SendLease>(&effect)) {
    AskForLease(*lease);
  } else if (const auto* activate = std::get_if<Activate>(&effect)) {
    const bool allowed = PlanAllows(*activate);
    Flip(activate->channel, activate->digest, *memory_failed,
         allowed ? activate->deadline : absl::InfinitePast());
  } else if (const auto* revert = std::get_if<Revert>(&effect)) {
    Flip(revert->channel, revert->to, *memory_failed, absl::InfiniteFuture());
  } else if (const auto* discard = std::get_if<Discard>(&effect)) {
    // What is refused is not kept, whatever becomes of the candidate.
    bool needed = false;
    for (const auto& [name, channel] : machine_.ToDurable().channels)
      needed |= discard->digest == channel.running || discard->digest == channel.previous;
    if (!needed) artifacts_->Remove(discard->digest);
  } else if (const auto* note = std::get_if<Note>(&effect)) {
    options_.log(note->text);
  }
  // CancelFetch: the machine will not listen to its end.
}

namespace {

Offer OfferOf(const Directive& release) {
  return {release.channel, release.serial, release.digest, release.size_bytes};
}

FetchFault FaultOf(const absl::Status& status) {
  if (!IsRefusal(status)) return FetchFault::kDownload;
  return IsForGood(status) ? FetchFault::kRefused : FetchFault::kRefusedNow;
}

// "expired of timestamp": what does not change while the same thing is wrong.
std::string CauseOf(const absl::Status& status) {
  const std::optional<tuf::Fault> fault = tuf::FaultOf(status);
  if (!fault.has_value()) return absl::StatusCodeToString(status.code());
  return absl::StrCat(tuf::Name(*fault), " of ", tuf::RoleOf(status).value_or(""));
}

}  // namespace

void Agent::Fetch(const Directive& release) {
  const Credential who{machine_.agent(), machine_.secret()};
  if (desk_ == nullptr) return Download(release, who);
  metadata_->SetCredential(who);
  desk_->Offered(OfferOf(release), [this, release, who](const absl::Status& judged) {
    TellGuard();
    if (judged.ok()) return Download(release, who);
    Post(FetchFailed{release.channel, release.digest, FaultOf(judged), std::string(judged.message())});
  });
}

void Agent::Download(const Directive& release, const Credential& who) {
  if (artifacts_->Has(release.digest)) return Downloaded(release);
  int64_t offset = artifacts_->PartSize(release.digest);
  if (offset >= release.size_bytes) offset = 0;  // a whole part that was not finished is not to be trusted
  client_.Fetch(
      who, release.digest, offset,
      [this, release](int64_t at, absl::string_view bytes) -> absl::Status {
        // Whoever sends without end does not fill this disk.
        if (at + static_cast<int64_t>(bytes.size()) > release.size_bytes)
          return absl::ResourceExhaustedError(absl::StrCat(
              "limit_exceeded: artifact: found more bytes, wanted the ", release.size_bytes, " announced"));
        return artifacts_->Append(release.digest, at, bytes);
      },
      [this, release](absl::StatusOr<int64_t> size) {
        if (size.ok()) return Downloaded(release);
        Post(FetchFailed{release.channel, release.digest, FetchFault::kDownload,
                         std::string(size.status().message())});
      });
}

void Agent::Downloaded(const Directive& release) {
  const absl::StatusOr<Digest> came =
      artifacts_->Has(release.digest) ? release.digest : artifacts_->Finish(release.digest);
  if (!came.ok()) {
    return Post(FetchFailed{release.channel, release.digest, FetchFault::kDownload,
                            std::string(came.status().message())});
  }
  const auto last = [this, release, came = *came](const absl::Status& judged) {
    if (!judged.ok()) {
      return Post(
          FetchFailed{release.channel, release.digest, FaultOf(judged), std::string(judged.message())});
    }
    const absl::Status checked = came == release.digest
                                     ? loader_->Check(release.channel, artifacts_->PathOf(release.digest))
                                     : absl::OkStatus();
    if (checked.ok()) return Post(Fetched{release.channel, release.digest, came});
    const FetchFault fault = absl::IsInvalidArgument(checked) ? FetchFault::kRefused : FetchFault::kDownload;
    Post(FetchFailed{release.channel, release.digest, fault, std::string(checked.message())});
  };
  if (desk_ == nullptr || *came != release.digest) return last(absl::OkStatus());
  desk_->Staged(OfferOf(release), artifacts_->PathOf(release.digest), last);
}

// What was right when it was staged may have been recalled since, or nobody knows any more.
void Agent::AskForLease(const SendLease& lease) {
  const Credential who{machine_.agent(), machine_.secret()};
  const ChannelState* state = machine_.Find(lease.channel);
  Client::LeaseAsk question{lease.channel, lease.digest, machine_.boot_id()};
  // The guard's time runs from here, and not from when the release was looked at once more.
  if (options_.guard != nullptr && state != nullptr) {
    question.nonce =
        options_.guard->Ask(lease.ask, machine_.agent(), machine_.tenant(), state->candidate, clock_->Now());
    question.halt_seq = options_.guard->halt_seq();
  }
  if (const std::optional<HeldPlan> held = ShowHeldPlan(); held.has_value())
    question.plan_sha256 = held->sha256;
  const auto ask = [this, who, lease, question] {
    client_.Lease(who, question, [this, lease](absl::StatusOr<LeaseReply> reply) {
      if (reply.ok()) return Post(Leased{lease.channel, lease.ask, *std::move(reply)});
      Post(LeaseFailed{lease.channel, lease.ask, std::string(reply.status().message())});
    });
  };
  if (desk_ == nullptr || state == nullptr) return ask();
  metadata_->SetCredential(who);
  desk_->BeforeLease(OfferOf(state->candidate), artifacts_->PathOf(lease.digest),
                     [this, lease, ask](const absl::Status& judged) {
                       HeldUp(lease, judged);
                       if (judged.ok()) return ask();
                       const std::string detail(judged.message());
                       if (!IsRefusal(judged)) return Post(LeaseFailed{lease.channel, lease.ask, detail});
                       Post(Unfit{lease.channel, lease.ask, IsForGood(judged), detail});
                     });
}

// A release that is held up by something else than itself is reported once for each cause, not at each try.
void Agent::HeldUp(const SendLease& lease, const absl::Status& judged) {
  const std::string cause = judged.ok() || IsRefusal(judged) ? "" : CauseOf(judged);
  {
    MutexLock lock(&mutex_);
    std::string& told = held_up_[lease.channel];
    if (told == cause) return;
    told = cause;
  }
  if (!cause.empty()) {
    Report({EventKind::kStagingFailed, lease.channel, lease.digest, "",
            absl::StrCat("held: ", judged.message())});
  }
}

absl::Status Agent::CheckLoad(const std::string& channel, const Digest& to, trust::Step step) {
  ASSIGN_OR_RETURN(const std::string bytes, tuf::ReadFile(artifacts_->PathOf(to), tuf::kMaxTargetBytes));
  RETURN_IF_ERROR(options_.verifier->CheckLoad(channel, to, bytes, step));
  return step == trust::Step::kForward ? options_.verifier->Remember(channel, to) : absl::OkStatus();
}

// What runs, runs on, whatever comes out of this: it is for the log, the status and, if the content itself is
// wrong for this sensor, for the server.
void Agent::CheckWhatRuns() {
  if (options_.verifier == nullptr) return;
  std::vector<Running> present = loader_->Attest();
  for (const auto& [name, channel] : machine_.ToDurable().channels)
    present.push_back({name, channel.previous});
  const absl::Status adopted = options_.verifier->Adopt(present, options_.factory_serials);
  if (!adopted.ok()) options_.log(absl::StrCat("cannot keep what ran before: ", adopted.message()));
  for (const Running& running : loader_->Attest()) {
    const absl::Status checked = CheckLoad(running.channel, running.digest, trust::Step::kKeep);
    loads_[running.digest] = std::string(checked.message());
    if (checked.ok()) continue;
    options_.log(absl::StrCat("what runs in ", running.channel,
                              " could not be verified again, and runs on: ", checked.message()));
    if (IsRefusal(checked)) {
      Report({EventKind::kRejected, running.channel, running.digest, "", std::string(checked.message())});
    }
  }
}

void Agent::RefreshMetadata() {
  refresh_at_ = clock_->Now() + options_.refresh_every;
  metadata_->SetCredential({machine_.agent(), machine_.secret()});
  desk_->Refresh([this](const absl::Status& refreshed) {
    if (!refreshed.ok())
      options_.log(absl::StrCat("release metadata is not up to date: ", refreshed.message()));
    if (refreshed.ok()) TellGuard();
  });
}

// Only to go forward a halt is asked about: going back is always allowed.
absl::Status Agent::MayFlip(const Digest& to, absl::Time deadline) const {
  if (options_.guard == nullptr || deadline == absl::InfiniteFuture()) return absl::OkStatus();
  ShowHeldPlan();  // it may have changed since the lease
  return options_.guard->MayActivate(to, machine_.tenant());
}

void Agent::Flip(const std::string& channel, const Digest& to, bool memory_failed, absl::Time deadline) {
  Flipped flipped{channel, Digest{}, false, "", std::nullopt};
  const bool forward = deadline != absl::InfiniteFuture();
  if (memory_failed) {
    flipped.detail = "the agent's memory could not be written";
  } else if (clock_->Now() >= deadline) {
    flipped.too_late = true;
  } else if (const absl::Status may = MayFlip(to, deadline); !may.ok()) {
    flipped.too_late = true;  // not tried: a halt came between the lease and this moment
    options_.log(absl::StrCat("not activated: ", may.message()));
  } else {
    absl::Status status;
    if (options_.verifier != nullptr) {
      status = CheckLoad(channel, to, forward ? trust::Step::kForward : trust::Step::kRollback);
      if (IsRefusal(status) || absl::IsDataLoss(status)) flipped.fault = FaultOf(status);
    }
    if (status.ok()) status = loader_->Flip(channel, artifacts_->PathOf(to));
    if (status.ok()) loads_[to] = "";
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
  if (options_.verifier != nullptr) options_.verifier->KeepOnly(wanted);
}

}  // namespace ringfence::agent
