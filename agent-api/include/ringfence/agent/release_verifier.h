// The agent's own answer to "is this a release, and may this host run it?": release metadata is followed from
// a root that was given at installation, and every release is judged by it when it is offered, when its bytes
// came, before permission to activate is asked for, and at every load. The server is believed nothing.
//
// Fail static: expired metadata, a lost server, a bad signature or a damaged disk hold new activations. None
// of them makes a load fail of what was activated before.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringfence/agent/evidence.h"
#include "ringfence/agent/trust_memory.h"
#include "ringfence/agent/types.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/mutex.h"
#include "ringfence/content/schema.h"
#include "ringfence/trust/release_check.h"
#include "ringfence/tuf/updater.h"

namespace ringfence::agent {

struct VerifierOptions {
  std::string folder;    // of metadata, evidence and memory; made if it is not there
  std::string root;      // bytes of the root.json of the installation; empty: it cannot be read
  std::string platform;  // "linux/x86_64/debian-12"
  content::SensorVersion sensor;
  std::vector<content::SensorSchema> schemas;                 // that this sensor supplies
  std::set<std::pair<std::string, std::string>> labels = {};  // of the host, for listings that go by labels
};

// What the server says that it offers; none of it is believed.
struct Offer {
  std::string channel;
  uint64_t serial = 0;
  Digest digest;
  int64_t size_bytes = 0;
  friend bool operator==(const Offer&, const Offer&) = default;
};

// A release that was found wanting, as trust::ToStatus gives it: to be reported as rejected. Any other error
// is about the moment (no answer, expired or bad metadata, a disk): tried again later.
bool IsRefusal(const absl::Status& status);
// A refusal that no later metadata and no other sensor can change: the bytes are bad, or were recalled.
bool IsForGood(const absl::Status& status);

// CheckOffer, LastOffered and CheckStaged belong to one thread, which waits for the fetcher; everything else
// is thread-safe and quick.
class ReleaseVerifier {
 public:
  // Reads what is there. A damaged store is no error: the root of the installation and kept evidence stand in
  // for it, and the report says so; nor is a damaged root of the installation, once another one is stored.
  // InvalidArgument: there is no sound root at all. `wall_clock`
  // outlives it, and is asked for nothing but whether metadata has expired.
  static absl::StatusOr<std::unique_ptr<ReleaseVerifier>> Open(VerifierOptions options, Clock* wall_clock);

  // Call once before the first load, with what the loader attests and what the agent would go back to. What
  // runs on the day that the root is first given was put there by the installer, and is taken as it is.
  absl::Status Adopt(const std::vector<Running>& present, const std::map<Digest, uint64_t>& serials);

  // Brings metadata up to date.
  absl::Status Refresh(tuf::Fetcher& fetcher);
  // Brings metadata up to date, then judges the listing of an offer: whether there is one, its channel,
  // serial and length, and CheckListing. Fetches trust.json and the evidence.
  absl::Status CheckOffer(const Offer& offer, tuf::Fetcher& fetcher);
  // What CheckOffer passed last and CheckStaged was not asked about yet.
  std::optional<Offer> LastOffered() const;
  // CheckRelease for the bytes of an offer that CheckOffer passed last; keeps the evidence.
  // FailedPrecondition without such an offer.
  absl::Status CheckStaged(const Offer& offer, absl::string_view bytes);

  // May these bytes be loaded? From kept evidence: no network, no expiry. DataLoss: the evidence is gone or
  // damaged, or these are not its bytes; otherwise a refusal.
  absl::Status CheckLoad(absl::string_view channel, const Digest& digest, absl::string_view bytes,
                         trust::Step step);
  // It is about to be activated: its serial and floor are never forgotten. On the disk when it returns ok.
  absl::Status Remember(absl::string_view channel, const Digest& digest);

  // The newest trust.json that was accepted since the start; nullopt: none yet.
  std::optional<trust::TrustDocument> trust() const;

  // Forgets the evidence of all other digests.
  void KeepOnly(const std::set<Digest>& wanted);

  // What metadata listed of a channel when it was brought up to date last, recalled releases too; by channel.
  std::map<std::string, std::vector<ListedRelease>> Listings() const;

  // For people and programs: what is trusted, until when, and what went wrong last.
  struct Expiry {
    std::string role;
    int64_t version = 0;
    absl::Time expires;
  };
  struct Report {
    std::string fault;  // why metadata could not be followed last; empty: it could
    absl::Time refreshed_at = absl::InfinitePast();  // last time that it could
    std::vector<Expiry> metadata;
    bool throwaway = false;            // the root protects nothing
    std::vector<std::string> trouble;  // with the store, since the start
    TrustMemory memory;
    // By so much the host's clock is behind the newest release that was listed here, at least. Expiry is then
    // counted from that release's publication: a clock that went back makes nothing good again.
    absl::Duration clock_behind;
  };
  Report report() const;

 private:
  struct Pending {
    Offer offer;
    tuf::TargetFile target;
    trust::TrustDocument trust;
    Evidence evidence;
  };
  ReleaseVerifier(VerifierOptions options, Clock* wall_clock);

  // By the host's clock, but not before the newest release that was listed here.
  absl::Time Now() const;
  absl::Status RefreshWith(tuf::Updater& updater);
  absl::Status RefreshOnce(tuf::Updater& updater);
  // Of all that is listed, what `wanted` picks; keeps what was seen for Listings.
  absl::StatusOr<std::vector<tuf::TargetFile>> SelectReleases(
      tuf::Updater& updater, const std::function<bool(const tuf::TargetFile&)>& wanted);
  absl::StatusOr<tuf::TargetFile> FindListing(const Offer& offer, tuf::Updater& updater);
  absl::Status Prepare(const Offer& offer, tuf::Updater& updater);
  // Of the kept evidence of these bytes.
  struct Kept {
    Evidence evidence;
    tuf::TargetFile target;
    trust::TrustDocument trust;
  };
  absl::StatusOr<Kept> ReadKept(const Digest& digest) const;
  trust::HostFacts HostOf(absl::string_view channel, const Digest& digest) const;
  absl::Status SaveMemory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string PathOf(const Digest& digest) const;
  void Note(const absl::Status& refreshed, const tuf::Updater& updater);

  const VerifierOptions options_;
  Clock* const clock_;
  std::unique_ptr<tuf::MetadataStore> store_;
  std::optional<Pending> pending_;  // of the one thread that stages

  mutable Mutex mutex_;
  TrustMemory memory_ ABSL_GUARDED_BY(mutex_);
  bool memory_whole_ ABSL_GUARDED_BY(mutex_) = false;  // it was read, or Adopt made it
  Report report_ ABSL_GUARDED_BY(mutex_);
  std::optional<trust::TrustDocument> trust_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<ListedRelease>> listings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ringfence::agent
