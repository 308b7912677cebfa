#include "ringfence/agent/plan_guard.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/plan/json_fields.h"
#include "ringfence/policy/bucket.h"
#include "ringfence/policy/deny.h"
#include "ringfence/policy/pinned_plan.h"
#include "ringfence/trust/dsse.h"

namespace ringfence::agent {
namespace {

using plan::Json;
using policy::Reason;

constexpr char kMemory[] = "/plan.json";
constexpr char kNoPlan[] = "no_plan";
constexpr int kOwnerOnly = 0600;
constexpr size_t kMostSeen = 256;  // releases of a channel; the oldest are forgotten first
constexpr size_t kMostRefusals = 1024;
constexpr absl::Duration kFetchAtLeastEvery = absl::Minutes(10);

bool RestsOnTheListing(Reason reason) {
  return reason == Reason::kNothingToLag || reason == Reason::kMinAge;
}

}  // namespace

PlanGuard::PlanGuard(PlanGuardOptions options, FileSystem* files, Clock* wall_clock)
    : options_(std::move(options)), files_(files), clock_(wall_clock) {}

std::unique_ptr<PlanGuard> PlanGuard::Open(PlanGuardOptions options, FileSystem* files, Clock* wall_clock) {
  std::unique_ptr<PlanGuard> guard(new PlanGuard(std::move(options), files, wall_clock));
  MutexLock lock(&guard->mutex_);
  guard->Load();
  if (guard->ReadLocalFiles() > 0) guard->Save();
  return guard;
}

uint64_t PlanGuard::next_version() const {
  MutexLock lock(&mutex_);
  return chain_.size() + 1;
}

uint64_t PlanGuard::next_seq() const {
  MutexLock lock(&mutex_);
  return book_.last_seq() + 1;
}

// ---------------------------------------------------------------- the chain

absl::Status PlanGuard::TakePlan(absl::string_view envelope) {
  ASSIGN_OR_RETURN(plan::SignedPlan next, plan::Extend(chain_.empty() ? nullptr : &chain_.back(), envelope));
  if (chain_.empty() && next.sha256 != options_.tenant_root) {
    return absl::FailedPreconditionError(absl::StrCat(plan::kForkWord, ": plan 1 is ", next.sha256.ToString(),
                                                      ", wanted the pinned one, ",
                                                      options_.tenant_root.ToString()));
  }
  chain_.push_back(std::move(next));
  book_.Recheck(chain_);
  return absl::OkStatus();
}

int PlanGuard::TakeInLocked(absl::Span<const std::string> envelopes) {
  int taken = 0;
  for (const std::string& document : envelopes) {
    const absl::StatusOr<trust::Envelope> envelope = trust::ParseEnvelope(document);
    if (!envelope.ok()) continue;
    if (envelope->payload_type == plan::kApprovalPayloadType) {
      if (!chain_.empty() && book_.Add(document, chain_).ok()) ++taken;
      continue;
    }
    // The same link again is no fork.
    const bool known = std::any_of(chain_.begin(), chain_.end(),
                                   [&](const plan::SignedPlan& link) { return link.envelope == document; });
    if (known) continue;
    const absl::Status status = TakePlan(document);
    if (status.ok()) ++taken;
    if (plan::IsFork(status)) fork_ = std::string(status.message());
  }
  return taken;
}

int PlanGuard::ReadLocalFiles() {
  int taken = 0;
  for (const std::string& path : options_.local_files) {
    const absl::StatusOr<std::string> bytes = files_->Read(path);
    if (bytes.ok()) taken += TakeInLocked({*bytes});
  }
  return taken;
}

int PlanGuard::TakeIn(absl::Span<const std::string> envelopes) {
  MutexLock lock(&mutex_);
  ++fetches_;
  fetched_at_ = clock_->Now();
  const int taken = TakeInLocked(envelopes) + ReadLocalFiles();
  fetch_wanted_ = taken > 0;  // there may be more: asked until none comes
  if (taken > 0) {
    refusals_.clear();  // judged anew
    other_plans_.clear();
    Save();
  }
  return taken;
}

std::optional<PlanGuard::Verdict> PlanGuard::TakeFork() {
  MutexLock lock(&mutex_);
  if (fork_.empty() || fork_ == fork_said_) return std::nullopt;
  fork_said_ = fork_;
  return Verdict{false, plan::kForkReason, fork_, true};
}

bool PlanGuard::FetchDue() const {
  MutexLock lock(&mutex_);
  return fetch_wanted_ || clock_->Now() - fetched_at_ >= kFetchAtLeastEvery || clock_->Now() < fetched_at_;
}

std::string PlanGuard::Describe() const {
  MutexLock lock(&mutex_);
  if (chain_.empty()) {
    return absl::StrCat("pins the plan that begins with ", options_.tenant_root.ToString(),
                        ", and has not seen it yet: takes nothing");
  }
  return absl::StrCat("obeys the plan ", plan::Authority(&chain_.back()), ", sha256 ",
                      chain_.back().sha256.ToString());
}

// ---------------------------------------------------------------- judging

void PlanGuard::See(absl::string_view channel, uint64_t serial, const std::string& version,
                    const Digest& digest, absl::Time now) {
  // Other bytes under the same number have an age of their own.
  auto& releases = seen_[std::string(channel)];
  if (!releases.try_emplace({serial, digest}, Seen{version, now}).second) return;
  // The oldest are forgotten, but not the one at hand.
  while (releases.size() > kMostSeen) {
    const auto oldest = releases.begin();
    releases.erase(oldest->first == std::pair(serial, digest) ? std::next(oldest) : oldest);
  }
  Save();
}

void PlanGuard::Knows(absl::string_view channel, std::vector<ListedRelease> releases) {
  MutexLock lock(&mutex_);
  for (const ListedRelease& release : releases)
    See(channel, release.serial, release.version, release.digest, clock_->Now());
  listed_[std::string(channel)] = std::move(releases);
  ++listings_;
}

PlanGuard::Verdict PlanGuard::JudgeLocked(const Directive& offer, const AgentId& agent,
                                          const policy::Labels& labels, const Digest& running,
                                          absl::Time now) {
  if (chain_.empty()) return {false, kNoPlan, "the pinned plan has not come yet", false};
  const policy::Plan& plan = chain_.back().statement.plan;
  See(offer.channel, offer.serial, offer.version, offer.digest, now);

  policy::Release release;
  release.channel = offer.channel;
  release.serial = offer.serial;
  release.version = offer.version;
  release.digest = offer.digest;
  release.matrix = {policy::Selector()};  // unless metadata says otherwise
  policy::HostView view;
  view.age = now - seen_[offer.channel].at({offer.serial, offer.digest}).first_seen;
  view.now = now;
  const auto metadata = listed_.find(offer.channel);
  bool listed = false;
  for (const ListedRelease& known :
       metadata == listed_.end() ? std::vector<ListedRelease>() : metadata->second) {
    if (known.serial != offer.serial) continue;
    policy::Artifact& artifact = release.artifacts.emplace_back();
    artifact.path = known.path;
    artifact.digest = known.digest;
    if (known.digest != offer.digest) continue;
    listed = true;
    release.version = known.version;
    release.urgent = known.urgent;
    release.published_at = known.published_at;
    if (!known.covers_host) release.matrix.clear();
    view.age = std::max(view.age, now - known.published_at);
  }
  // The customer may have denied any platform's bytes of a set, or the set by the name that consoles show.
  if (release.artifacts.size() > 1) {
    const Digest name = policy::DigestOfSet(release.artifacts);
    release.artifacts.emplace_back().digest = name;
  }
  // With metadata only what it lists is published: a server may speak of releases that there are none of.
  std::vector<policy::Milestone> published;
  if (metadata != listed_.end()) {
    for (const ListedRelease& known : metadata->second) published.push_back({known.serial, known.version});
  }
  for (const auto& [known, seen] : seen_[offer.channel]) {
    if (metadata == listed_.end()) published.push_back({known.first, seen.version});
    if (known.second == running) view.running = known.first;
  }
  view.published = published;
  const policy::Labels derived = policy::LabelsFor(plan, labels, agent);
  const std::optional<int> ring = policy::RingOf(plan, derived);
  if (ring.has_value()) {
    // What the server lets in at the last moment of an approval is no incident here.
    const std::string& name = plan.rings[static_cast<size_t>(*ring)].name;
    const absl::Time then = now - policy::kHostSlack;
    view.consent = book_.Of(offer.channel, offer.serial, offer.digest, name, then);
    if (const auto haste = book_.HasteOf(offer.channel, offer.serial, offer.digest, name, then))
      view.hastened = haste->min_age;
  }
  const policy::Eligibility answer = policy::EvaluateOnHost(plan, derived, release, view);
  if (answer.eligible()) return {true, "", "", false};
  std::string detail = policy::Sentence(answer.reason);
  for (const policy::GateAnswer& gate : answer.gates) {
    if (!gate.open && gate.gate == answer.reason) absl::StrAppend(&detail, " (", gate.detail, ")");
  }
  // What the host cannot count without metadata is no incident: it only waits.
  return {false, policy::Name(answer.reason), std::move(detail), listed || !RestsOnTheListing(answer.reason)};
}

PlanGuard::Verdict PlanGuard::Judge(const Directive& offer, const AgentId& agent,
                                    const policy::Labels& labels, const Digest& running) {
  MutexLock lock(&mutex_);
  const absl::Time now = latest_ = std::max(latest_, clock_->Now());
  Verdict verdict = JudgeLocked(offer, agent, labels, running, now);
  if (verdict.allowed) {
    refusals_.erase(offer.digest);
    return verdict;
  }
  return Refuse(offer.digest, std::move(verdict));
}

PlanGuard::Verdict PlanGuard::Refuse(const Digest& digest, Verdict verdict) {
  if (refusals_.size() >= kMostRefusals) refusals_.clear();
  const auto [at, added] = refusals_.try_emplace(digest, Refusal{verdict.reason, fetches_, listings_, false});
  if (added || at->second.reason != verdict.reason) {
    at->second = Refusal{verdict.reason, fetches_, listings_, false};
    fetch_wanted_ = true;
  }
  const bool counted = verdict.reason == policy::Name(Reason::kNothingToLag) ||
                       verdict.reason == policy::Name(Reason::kMinAge);
  verdict.report = verdict.report && !at->second.reported && fetches_ > at->second.fetches &&
                   (!counted || listings_ > at->second.listings);
  at->second.reported |= verdict.report;
  return verdict;
}

PlanGuard::Verdict PlanGuard::JudgeBackLocked(absl::string_view channel, const Digest& from,
                                              const Digest& to) const {
  const Verdict follow{true, "", "", false};
  if (chain_.empty()) return follow;  // what takes nothing new may still go back
  const policy::Plan& plan = chain_.back().statement.plan;
  if (!plan.rollback_depth.has_value()) return follow;
  const std::string detail = absl::StrCat("the plan lets an order take a host back over at most ",
                                          *plan.rollback_depth, " releases");
  if (*plan.rollback_depth == 0) return {false, policy::kRollbackReason, detail, true};
  std::set<uint64_t> serials, listed;
  uint64_t from_serial = 0, to_serial = 0;
  const auto note = [&](uint64_t serial, const Digest& digest) {
    serials.insert(serial);
    if (digest == from) from_serial = serial;
    if (digest == to) to_serial = serial;
  };
  if (const auto seen = seen_.find(std::string(channel)); seen != seen_.end()) {
    for (const auto& [known, release] : seen->second) note(known.first, known.second);
  }
  if (const auto metadata = listed_.find(std::string(channel)); metadata != listed_.end()) {
    for (const ListedRelease& release : metadata->second) {
      note(release.serial, release.digest);
      listed.insert(release.serial);
    }
  }
  if (from_serial == 0 || to_serial == 0) return follow;  // it cannot count them
  // As with lags: where there is metadata, only what it lists is published.
  if (!listed.empty()) serials = std::move(listed);
  serials.insert(to_serial);
  const std::vector<uint64_t> rising(serials.begin(), serials.end());
  return policy::MayGoBack(plan, rising, from_serial, to_serial)
             ? follow
             : Verdict{false, policy::kRollbackReason, detail, true};
}

PlanGuard::Verdict PlanGuard::JudgeOrderBack(absl::string_view channel, const Digest& from,
                                             const Digest& to) {
  MutexLock lock(&mutex_);
  const Verdict verdict = JudgeBackLocked(channel, from, to);
  return verdict.allowed ? verdict : Refuse(from, verdict);
}

PlanGuard::Verdict PlanGuard::RefusedLease(const Directive& offer, absl::string_view why) {
  MutexLock lock(&mutex_);
  if (other_plans_.size() >= kMostRefusals) other_plans_.clear();
  Verdict verdict{false, policy::Name(Reason::kOtherPlan), std::string(why), false};
  const auto [at, added] =
      other_plans_.try_emplace(offer.digest, Refusal{verdict.reason, fetches_, listings_, false});
  if (added) fetch_wanted_ = true;
  verdict.report = !at->second.reported && fetches_ > at->second.fetches;
  at->second.reported |= verdict.report;
  return verdict;
}

std::optional<HeldPlan> PlanGuard::Held(const AgentId& agent, const policy::Labels& labels) const {
  MutexLock lock(&mutex_);
  if (chain_.empty()) return std::nullopt;
  const policy::Plan& plan = chain_.back().statement.plan;
  const std::optional<int> ring = policy::RingOf(plan, policy::LabelsFor(plan, labels, agent));
  return HeldPlan{static_cast<int64_t>(chain_.back().statement.version), chain_.back().sha256,
                  ring.has_value() ? plan.rings[static_cast<size_t>(*ring)].name : ""};
}

// ---------------------------------------------------------------- memory

void PlanGuard::Save() {
  Json json = {{"plans", Json::array()}, {"decisions", Json::array()}, {"seen", Json::array()}};
  for (const plan::SignedPlan& link : chain_) json["plans"].push_back(link.envelope);
  for (const plan::ApprovalBook::Entry& entry : book_.entries()) json["decisions"].push_back(entry.envelope);
  for (const auto& [channel, releases] : seen_) {
    for (const auto& [known, seen] : releases) {
      json["seen"].push_back({{"channel", channel},
                              {"serial", known.first},
                              {"version", seen.version},
                              {"sha256", known.second.ToString()},
                              {"at", absl::ToUnixSeconds(seen.first_seen)}});
    }
  }
  const std::string path = options_.folder + kMemory, draft = path + ".tmp";
  // What cannot be written is known until the next start, and comes again then.
  absl::Status status =
      files_->Write(draft, json.dump(-1, ' ', false, Json::error_handler_t::replace), kOwnerOnly);
  if (status.ok()) status = files_->Sync(draft);
  if (status.ok()) status = files_->Rename(draft, path);
  if (status.ok()) files_->SyncFolder(options_.folder).IgnoreError();
}

void PlanGuard::Load() {
  const absl::StatusOr<std::string> bytes = files_->Read(options_.folder + kMemory);
  if (!bytes.ok()) return;
  try {
    const Json json = Json::parse(*bytes);
    plan::Object object(json);
    for (const std::string& document : plan::ReadTexts(object["plans"])) {
      if (!TakePlan(document).ok()) break;  // every signature is checked again
    }
    for (const std::string& document : plan::ReadTexts(object["decisions"])) {
      if (!chain_.empty()) book_.Recall(document, chain_).IgnoreError();
    }
    for (const Json& item : plan::ReadArray(object["seen"])) {
      plan::Object one(item);
      const absl::StatusOr<Digest> digest = Digest::Parse(plan::ReadText(one["sha256"]));
      if (!digest.ok()) continue;
      auto& releases = seen_[plan::ReadText(one["channel"])];
      releases[{plan::ReadInt<uint64_t>(one["serial"]), *digest}] =
          Seen{plan::ReadText(one["version"]), absl::FromUnixSeconds(plan::ReadInt<int64_t>(one["at"]))};
    }
  } catch (const plan::MalformedJson&) {
  } catch (const Json::exception&) {
  }
}

}  // namespace ringfence::agent
