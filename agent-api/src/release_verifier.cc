#include "ringfence/agent/release_verifier.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/base/utf8.h"
#include "ringfence/trust/fetch_release.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_store.h"

namespace ringfence::agent {
namespace {

namespace fs = std::filesystem;
using trust::Refusal;
using trust::RefusalType;

constexpr size_t kMaxMemoryBytes = 1 << 20;
constexpr int kMode = 0600;
constexpr absl::string_view kEvidenceEnd = ".evidence";

absl::Status Refuse(RefusalType type, std::string part, std::string field, std::string found,
                    std::string wanted) {
  return trust::ToStatus({type, std::move(part), std::move(field), std::move(found), std::move(wanted)});
}

absl::Status StatusOf(const std::variant<trust::ReleaseTerms, Refusal>& judged) {
  if (const auto* refusal = std::get_if<Refusal>(&judged)) return trust::ToStatus(*refusal);
  return absl::OkStatus();
}

bool HasSha256(const tuf::TargetFile& target, const std::string& hex) {
  const auto found = target.info.hashes.find("sha256");
  return found != target.info.hashes.end() && found->second == hex;
}

// "content/ipc-detect/ipc.fct" is of ipc-detect; nothing else is of a channel.
absl::string_view ChannelOf(const tuf::TargetFile& target) {
  const std::vector<absl::string_view> parts = absl::StrSplit(target.path, '/');
  if (parts.size() < 3 || (parts[0] != "content" && parts[0] != "sensor")) return "";
  return parts[1];
}

}  // namespace

bool IsRefusal(const absl::Status& status) {
  return trust::RefusalFrom(status).has_value();
}

bool IsForGood(const absl::Status& status) {
  const std::optional<Refusal> refusal = trust::RefusalFrom(status);
  if (!refusal.has_value()) return false;
  switch (refusal->type) {
    case RefusalType::kMalformed:
    case RefusalType::kLimitExceeded:
      return refusal->part == "content" || refusal->part == "artifact";  // a listing can be mended
    case RefusalType::kKnownBad:
      return true;
    case RefusalType::kBadSignature:
    case RefusalType::kUnqualifiedArtifact:
    case RefusalType::kEvidenceMismatch:
    case RefusalType::kIncompleteSet:
    case RefusalType::kSchemaMismatch:
    case RefusalType::kStaleVersion:
    case RefusalType::kDigestTaken:
      return false;
  }
  return false;
}

ReleaseVerifier::ReleaseVerifier(VerifierOptions options, Clock* wall_clock)
    : options_(std::move(options)),
      clock_(wall_clock),
      store_(std::make_unique<tuf::FolderStore>(options_.folder + "/metadata")) {}

absl::StatusOr<std::unique_ptr<ReleaseVerifier>> ReleaseVerifier::Open(VerifierOptions options,
                                                                       Clock* wall_clock) {
  const absl::Status pinned = tuf::TrustedSet::FromRoot(options.root, absl::InfinitePast()).status();
  if (!pinned.ok()) options.root.clear();
  std::error_code error;
  for (const char* sub : {"", "/metadata", "/evidence"}) fs::create_directories(options.folder + sub, error);
  if (error) return absl::InternalError(absl::StrCat("cannot make ", options.folder, ": ", error.message()));
  auto verifier = std::unique_ptr<ReleaseVerifier>(new ReleaseVerifier(std::move(options), wall_clock));
  MutexLock lock(&verifier->mutex_);

  // The stored root has been followed further than the one of the installation, unless the disk damaged it:
  // then the way begins anew.
  const absl::StatusOr<std::string> root = verifier->store_->Load(tuf::kRoot);
  const bool sound = root.ok() && tuf::TrustedSet::FromRoot(*root, absl::InfinitePast()).ok();
  if (!pinned.ok()) {
    const std::string fault = absl::StrCat("the root of trust: ", pinned.message());
    if (!sound) return absl::InvalidArgumentError(fault);
    verifier->report_.trouble.push_back(absl::StrCat(fault, ": goes on with the stored one"));
  }
  if (!sound) {
    if (!absl::IsNotFound(root.status()))
      verifier->report_.trouble.push_back("the stored root is damaged: begins again with the installation's");
    RETURN_IF_ERROR(verifier->store_->Save(tuf::kRoot, verifier->options_.root));
  }
  const absl::StatusOr<std::string> text =
      tuf::ReadFile(verifier->options_.folder + "/memory", kMaxMemoryBytes);
  const absl::StatusOr<TrustMemory> memory = text.ok() ? DecodeTrustMemory(*text) : text.status();
  if (memory.ok()) {
    verifier->memory_ = *memory;
    verifier->memory_whole_ = true;
  } else if (!absl::IsNotFound(memory.status())) {
    verifier->report_.trouble.push_back(
        absl::StrCat(memory.status().message(), "; made again from the evidence of what runs"));
  }
  return verifier;
}

absl::Status ReleaseVerifier::Adopt(const std::vector<Running>& present,
                                    const std::map<Digest, uint64_t>& serials) {
  {
    MutexLock lock(&mutex_);
    if (memory_whole_) return absl::OkStatus();
  }
  TrustMemory made;
  for (const Running& running : present) {
    if (running.digest.IsZero()) continue;
    TrustMemory::Channel& channel = made.channels[running.channel];
    const absl::StatusOr<Kept> kept = ReadKept(running.digest);
    const auto terms = kept.ok() ? trust::ParseReleaseTerms(kept->target.path, kept->target.custom)
                                 : absl::StatusOr<trust::ReleaseTerms>(kept.status());
    if (!terms.ok()) {
      const auto serial = serials.find(running.digest);
      channel.factory[running.digest] = serial == serials.end() ? 0 : serial->second;
      continue;
    }
    made.trust_version = std::max(made.trust_version, kept->trust.version);
    channel.floor = std::max(channel.floor, terms->rollback_floor);
    if (terms->serial <= channel.highest) continue;
    channel.highest = terms->serial;
    channel.highest_digest = running.digest;
  }
  MutexLock lock(&mutex_);
  memory_ = std::move(made);
  memory_whole_ = true;
  return SaveMemory();
}

absl::Status ReleaseVerifier::SaveMemory() {
  return tuf::WriteFileDurably(options_.folder + "/memory", EncodeTrustMemory(memory_), kMode);
}

std::string ReleaseVerifier::PathOf(const Digest& digest) const {
  return absl::StrCat(options_.folder, "/evidence/", digest.ToString(), kEvidenceEnd);
}

trust::HostFacts ReleaseVerifier::HostOf(absl::string_view channel, const Digest& digest) const {
  trust::HostFacts host;
  host.platform = options_.platform;
  host.sensor = options_.sensor;
  host.schemas = options_.schemas;
  host.labels = options_.labels;
  MutexLock lock(&mutex_);
  const auto known = memory_.channels.find(std::string(channel));
  if (known == memory_.channels.end()) return host;
  host.highest_serial = known->second.highest;
  host.rollback_floor = known->second.floor;
  // It was remembered before it ran: after a power cut in between the same bytes may still be taken.
  if (known->second.highest_digest == digest && host.highest_serial > 0) --host.highest_serial;
  return host;
}

// ---------------------------------------------------------------- with a network

absl::Time ReleaseVerifier::Now() const {
  MutexLock lock(&mutex_);
  return std::max(clock_->Now(), absl::FromUnixSeconds(memory_.newest_release));
}

absl::Status ReleaseVerifier::RefreshOnce(tuf::Updater& updater) {
  const absl::Status refreshed = updater.Refresh();
  // A root that cannot be trusted any more, for what the disk did: the way begins anew. Everything else that
  // is damaged the repository mends.
  if (refreshed.ok() || updater.trusted() != nullptr || options_.root.empty()) return refreshed;
  RETURN_IF_ERROR(store_->Save(tuf::kRoot, options_.root));
  {
    MutexLock lock(&mutex_);
    report_.trouble.push_back("the stored root was damaged: begins again with the installation's");
  }
  return updater.Refresh();
}

absl::Status ReleaseVerifier::RefreshWith(tuf::Updater& updater) {
  const absl::Status refreshed = RefreshOnce(updater);
  Note(refreshed, updater);
  return refreshed;
}

void ReleaseVerifier::Note(const absl::Status& refreshed, const tuf::Updater& updater) {
  Report next;
  if (const tuf::TrustedSet* trusted = updater.trusted()) {
    const auto add = [&](const std::string& role, const tuf::Common& common) {
      next.metadata.push_back({role, common.version, common.expires});
    };
    add(tuf::kRoot, trusted->root());
    next.throwaway = trusted->root().others.count("x-ringfence-throwaway") != 0;
    if (trusted->timestamp() != nullptr) add(tuf::kTimestamp, *trusted->timestamp());
    if (trusted->snapshot() != nullptr) add(tuf::kSnapshot, *trusted->snapshot());
    for (const std::string& role : trusted->TargetsRoles()) {
      const tuf::Targets* targets =
          trusted->targets(role, role == tuf::kTargets ? tuf::kRoot : tuf::kTargets);
      if (targets != nullptr) add(role, *targets);
    }
  }
  MutexLock lock(&mutex_);
  report_.fault = refreshed.ok() ? "" : std::string(refreshed.message());
  if (refreshed.ok()) report_.refreshed_at = clock_->Now();
  if (next.metadata.empty()) return;
  report_.metadata = std::move(next.metadata);
  report_.throwaway = next.throwaway;
}

absl::Status ReleaseVerifier::Refresh(tuf::Fetcher& fetcher) {
  tuf::Updater updater(fetcher, *store_, Now());
  RETURN_IF_ERROR(RefreshWith(updater));
  // For Listings; what a release's own listing lacks is said when it is offered.
  SelectReleases(updater, [](const tuf::TargetFile&) { return false; }).status().IgnoreError();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<tuf::TargetFile>> ReleaseVerifier::SelectReleases(
    tuf::Updater& updater, const std::function<bool(const tuf::TargetFile&)>& wanted) {
  // Only what Select gives was listed by somebody who may: so all releases are picked, and sorted after.
  ASSIGN_OR_RETURN(std::vector<tuf::TargetFile> all,
                   updater.Select([](const tuf::TargetFile& target) { return !ChannelOf(target).empty(); }));
  std::map<std::string, std::vector<ListedRelease>> listings;
  // A time that the timestamp of now will not live to see is a mistake, which must not hold this host for
  // ever.
  const absl::Time latest = updater.trusted()->timestamp()->expires;
  int64_t newest = 0;
  for (const tuf::TargetFile& target : all) {
    const auto terms = trust::ParseReleaseTerms(target.path, target.custom);
    const auto sha256 = target.info.hashes.find("sha256");
    if (!terms.ok() || sha256 == target.info.hashes.end()) continue;
    const absl::StatusOr<Digest> digest = Digest::Parse(sha256->second);
    if (!digest.ok()) continue;
    if (terms->published_at <= latest) newest = std::max(newest, absl::ToUnixSeconds(terms->published_at));
    listings[terms->channel].push_back(
        {terms->serial, terms->version, *digest, terms->urgent, terms->published_at,
         !trust::CoveringPlatform(terms->platforms, options_.platform, options_.labels).empty(),
         target.path});
  }
  {
    MutexLock lock(&mutex_);
    listings_ = std::move(listings);
    if (memory_whole_ && newest > memory_.newest_release) {
      memory_.newest_release = newest;
      SaveMemory().IgnoreError();  // else it is listed again after the next start
    }
  }
  std::erase_if(all, [&](const tuf::TargetFile& target) { return !wanted(target); });
  return all;
}

std::map<std::string, std::vector<ListedRelease>> ReleaseVerifier::Listings() const {
  MutexLock lock(&mutex_);
  return listings_;
}

// By their sha256, because a server tells a digest and not a path. A listing in this channel wins; one of
// another channel, or one of this serial with other bytes, says what is wrong better than none.
absl::StatusOr<tuf::TargetFile> ReleaseVerifier::FindListing(const Offer& offer, tuf::Updater& updater) {
  const std::string hex = offer.digest.ToString();
  ASSIGN_OR_RETURN(const std::vector<tuf::TargetFile> listed,
                   SelectReleases(updater, [&](const tuf::TargetFile& target) {
                     if (HasSha256(target, hex)) return true;
                     if (ChannelOf(target) != offer.channel) return false;
                     const auto terms = trust::ParseReleaseTerms(target.path, target.custom);
                     return terms.ok() && terms->serial == offer.serial;
                   }));
  const tuf::TargetFile* elsewhere = nullptr;
  const tuf::TargetFile* other_bytes = nullptr;
  for (const tuf::TargetFile& target : listed) {
    const bool same = HasSha256(target, hex);
    if (same && ChannelOf(target) == offer.channel) return target;
    (same ? elsewhere : other_bytes) = &target;
  }
  if (elsewhere != nullptr)
    return Refuse(RefusalType::kEvidenceMismatch, "release", "channel", std::string(ChannelOf(*elsewhere)),
                  absl::StrCat(offer.channel, ", the channel that it was offered in"));
  if (other_bytes != nullptr)
    return Refuse(RefusalType::kEvidenceMismatch, "release", "sha256", hex,
                  absl::StrCat("what is listed as serial ", offer.serial, " of ", offer.channel));
  return Refuse(RefusalType::kBadSignature, "release", "listing",
                absl::StrCat("nobody who may speak for ", offer.channel, " lists ", hex),
                "a listing that the root of trust leads to");
}

absl::Status ReleaseVerifier::CheckOffer(const Offer& offer, tuf::Fetcher& fetcher) {
  pending_.reset();
  tuf::Updater updater(fetcher, *store_, Now());
  absl::Status done = RefreshOnce(updater);
  if (done.ok()) done = Prepare(offer, updater);
  // What is wrong with one release is no trouble with metadata.
  Note(IsRefusal(done) ? absl::OkStatus() : done, updater);
  if (!done.ok()) pending_.reset();
  return done;
}

absl::Status ReleaseVerifier::Prepare(const Offer& offer, tuf::Updater& updater) {
  Pending next;
  next.offer = offer;
  ASSIGN_OR_RETURN(next.target, FindListing(offer, updater));
  int64_t accepted = 0;
  {
    MutexLock lock(&mutex_);
    accepted = memory_.trust_version;
  }
  ASSIGN_OR_RETURN(next.evidence.trust,
                   trust::FetchDocument(updater, trust::kTrustTarget, trust::kMaxTrustBytes));
  ASSIGN_OR_RETURN(next.trust, trust::ParseTrustDocument(next.evidence.trust));
  if (next.trust.version < accepted) {
    return tuf::Failure(
        tuf::Fault::kStaleVersion, trust::kTrustTarget,
        absl::StrCat("found version ", next.trust.version, ", wanted at least the accepted ", accepted));
  }
  {
    MutexLock lock(&mutex_);
    trust_ = next.trust;
  }
  auto judged = trust::CheckListing(next.target, HostOf(offer.channel, offer.digest), trust::Step::kForward);
  RETURN_IF_ERROR(StatusOf(judged));
  const auto& terms = std::get<trust::ReleaseTerms>(judged);
  if (terms.serial != offer.serial)
    return Refuse(RefusalType::kEvidenceMismatch, "release", "serial", absl::StrCat(offer.serial),
                  absl::StrCat(terms.serial, ", as it is listed"));
  if (next.target.info.length != offer.size_bytes)
    return Refuse(RefusalType::kEvidenceMismatch, "artifact", "length", absl::StrCat(offer.size_bytes),
                  absl::StrCat(next.target.info.length.value_or(0), ", as it is listed"));
  if (terms.kind == trust::ReleaseKind::kContent &&
      static_cast<uint64_t>(offer.size_bytes) > content::kMaxFileBytes)
    return Refuse(RefusalType::kLimitExceeded, "artifact", "length", absl::StrCat(offer.size_bytes),
                  absl::StrCat("at most ", content::kMaxFileBytes));
  next.evidence.path = next.target.path;
  next.evidence.envelopes = trust::FetchEnvelopes(updater, terms);
  MemoryMetadata copy;
  RETURN_IF_ERROR(updater.CopyTrusted(copy));
  next.evidence.metadata = copy.files();
  if (next.trust.version > accepted) {
    MutexLock lock(&mutex_);
    memory_.trust_version = next.trust.version;
    RETURN_IF_ERROR(SaveMemory());
  }
  pending_ = std::move(next);
  return absl::OkStatus();
}

std::optional<trust::TrustDocument> ReleaseVerifier::trust() const {
  MutexLock lock(&mutex_);
  return trust_;
}

std::optional<Offer> ReleaseVerifier::LastOffered() const {
  return pending_.has_value() ? std::optional(pending_->offer) : std::nullopt;
}

absl::Status ReleaseVerifier::CheckStaged(const Offer& offer, absl::string_view bytes) {
  if (LastOffered() != offer) return absl::FailedPreconditionError("its listing was not looked at yet");
  const Pending pending = *std::move(pending_);
  pending_.reset();
  RETURN_IF_ERROR(
      StatusOf(trust::CheckRelease(pending.target, bytes, pending.evidence.envelopes, pending.trust,
                                   HostOf(offer.channel, offer.digest), trust::Step::kForward)));
  const std::string kept = EncodeEvidence(pending.evidence);
  if (kept.size() > kMaxEvidenceBytes)
    return absl::ResourceExhaustedError("the release's evidence is too large to be kept");
  return tuf::WriteFileDurably(PathOf(offer.digest), kept, kMode);
}

// ---------------------------------------------------------------- without one

absl::StatusOr<ReleaseVerifier::Kept> ReleaseVerifier::ReadKept(const Digest& digest) const {
  Kept kept;
  const absl::StatusOr<std::string> bytes = tuf::ReadFile(PathOf(digest), kMaxEvidenceBytes);
  if (!bytes.ok())
    return absl::DataLossError(absl::StrCat("no evidence is kept: ", Legible(bytes.status().message(), 300)));
  ASSIGN_OR_RETURN(kept.evidence, DecodeEvidence(*bytes));
  MemoryMetadata metadata(kept.evidence.metadata);
  tuf::NoFetcher nobody;
  // Nothing has expired: this is about what was right when it was staged.
  tuf::Updater updater(nobody, metadata, absl::InfinitePast());
  absl::Status sound = updater.UseStored();
  if (sound.ok()) {
    const auto find = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(kept.target, updater.Find(kept.evidence.path));
      ASSIGN_OR_RETURN(const tuf::TargetFile trust_file, updater.Find(trust::kTrustTarget));
      RETURN_IF_ERROR(tuf::CheckBytes(trust_file.info, kept.evidence.trust, trust::kTrustTarget));
      ASSIGN_OR_RETURN(kept.trust, trust::ParseTrustDocument(kept.evidence.trust));
      return absl::OkStatus();
    };
    sound = find();
  }
  // It was sound when it was written: what is wrong now, the disk did.
  if (!sound.ok()) return absl::DataLossError(absl::StrCat("the kept evidence: ", sound.message()));
  return kept;
}

absl::Status ReleaseVerifier::CheckLoad(absl::string_view channel, const Digest& digest,
                                        absl::string_view bytes, trust::Step step) {
  if (Sha256(bytes) != digest)
    return absl::DataLossError("the bytes on the disk are not those that were verified");
  const trust::HostFacts host = HostOf(channel, digest);
  {
    MutexLock lock(&mutex_);
    const auto known = memory_.channels.find(std::string(channel));
    if (known != memory_.channels.end()) {
      const auto factory = known->second.factory.find(digest);
      if (factory != known->second.factory.end()) {
        if (step != trust::Step::kRollback || factory->second >= host.rollback_floor) return absl::OkStatus();
        return Refuse(RefusalType::kStaleVersion, "release", "serial", absl::StrCat(factory->second),
                      absl::StrCat("at least the rollback floor ", host.rollback_floor));
      }
    }
  }
  ASSIGN_OR_RETURN(const Kept kept, ReadKept(digest));
  if (!HasSha256(kept.target, digest.ToString()) || ChannelOf(kept.target) != channel)
    return absl::DataLossError("the kept evidence is of another release");
  return StatusOf(trust::CheckRelease(kept.target, bytes, kept.evidence.envelopes, kept.trust, host, step));
}

absl::Status ReleaseVerifier::Remember(absl::string_view name, const Digest& digest) {
  absl::StatusOr<Kept> kept = ReadKept(digest);
  RETURN_IF_ERROR(kept.status());
  ASSIGN_OR_RETURN(const trust::ReleaseTerms terms,
                   trust::ParseReleaseTerms(kept->target.path, kept->target.custom));
  MutexLock lock(&mutex_);
  TrustMemory::Channel& channel = memory_.channels[std::string(name)];
  channel.floor = std::max(channel.floor, terms.rollback_floor);
  if (terms.serial > channel.highest) {
    channel.highest = terms.serial;
    channel.highest_digest = digest;
  }
  return SaveMemory();
}

void ReleaseVerifier::KeepOnly(const std::set<Digest>& wanted) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(options_.folder + "/evidence", error)) {
    const std::string name = entry.path().filename().string();
    const absl::StatusOr<Digest> digest = Digest::Parse(absl::StripSuffix(name, kEvidenceEnd));
    if (digest.ok() && wanted.count(*digest) == 0) fs::remove(entry.path(), error);
  }
}

ReleaseVerifier::Report ReleaseVerifier::report() const {
  MutexLock lock(&mutex_);
  Report report = report_;
  report.memory = memory_;
  report.clock_behind =
      std::max(absl::FromUnixSeconds(memory_.newest_release) - clock_->Now(), absl::ZeroDuration());
  return report;
}

}  // namespace ringfence::agent
