// The host's own copy of its customer's plan, and what it refuses by it. The first plan is pinned by its hash
// when the host is installed; later ones follow by the chain rule, from the server or from a file that was
// put there, and nobody need be believed who brings them. What is offered is judged by the same function as
// on the server, so that whatever the server says, a host takes no release that its customer's signature
// keeps out.
//
// Fail static: no plan, no answer and no file ever touches what runs; they keep new releases out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringfence/agent/file_system.h"
#include "ringfence/agent/types.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/mutex.h"
#include "ringfence/plan/approval.h"
#include "ringfence/plan/plan_chain.h"

namespace ringfence::agent {

struct PlanGuardOptions {
  Digest tenant_root;  // sha256 of what was signed as plan 1
  std::string folder;  // where the guard keeps its memory; exists
  std::vector<std::string>
      local_files;  // signed plans and decisions put there by the customer; may be missing
};

// Thread-safe.
class PlanGuard {
 public:
  // Reads its memory and the local files. A damaged memory is one that was never there: the chain comes
  // again. `files` and `wall_clock` outlive it.
  static std::unique_ptr<PlanGuard> Open(PlanGuardOptions options, FileSystem* files, Clock* wall_clock);

  // What to ask the server for.
  uint64_t next_version() const;
  uint64_t next_seq() const;
  // Takes in what the server handed out, or an empty answer; then reads the local files again. What does not
  // follow changes nothing. Returns how many documents were new.
  int TakeIn(absl::Span<const std::string> envelopes);
  // What signed metadata says of a channel, whole. Without it the host knows only what it was offered: it
  // counts ages from the first time that it heard of a release, and cannot see what is newer.
  void Knows(absl::string_view channel, std::vector<ListedRelease> releases);

  struct Verdict {
    bool allowed = false;
    std::string reason;  // a word of docs/reasons.md, "no_plan", "plan_fork" or "rollback_depth"
    std::string detail;  // for people
    // An incident: it stood after the server had been asked for the plan and, if it rests on that, signed
    // metadata had come; and is new.
    bool report = false;
  };
  // An offer: told to download, to ask for permission, or about to activate.
  Verdict Judge(const Directive& offer, const AgentId& agent, const policy::Labels& labels,
                const Digest& running);
  // An order to go back from what runs to the last good version. The host follows it unless it can count that
  // the plan's rollback_depth does not reach so far; at 0 it never does.
  Verdict JudgeOrderBack(absl::string_view channel, const Digest& from, const Digest& to);
  // A permission for the offer was refused, here or by the server, because it goes by another plan than this
  // one. As with an offer the server is asked for the plan first.
  Verdict RefusedLease(const Directive& offer, absl::string_view why);
  // The newest plan, which leases must name; nullopt: none has come yet.
  std::optional<HeldPlan> Held(const AgentId& agent, const policy::Labels& labels) const;
  // Did a plan come that leaves a gap in the chain or forks it? Says so once.
  std::optional<Verdict> TakeFork();
  // Time to ask the server for the plan: something was refused, or the last time was long ago.
  bool FetchDue() const;

  // For people: which plan holds, or that none does.
  std::string Describe() const;

 private:
  struct Seen {
    std::string version;
    absl::Time first_seen;
  };
  struct Refusal {
    std::string reason;
    uint64_t fetches = 0, listings = 0;  // when it was first refused
    bool reported = false;
  };
  PlanGuard(PlanGuardOptions options, FileSystem* files, Clock* wall_clock);

  int TakeInLocked(absl::Span<const std::string> envelopes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int ReadLocalFiles() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakePlan(absl::string_view envelope) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void See(absl::string_view channel, uint64_t serial, const std::string& version, const Digest& digest,
           absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Verdict JudgeLocked(const Directive& offer, const AgentId& agent, const policy::Labels& labels,
                      const Digest& running, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The server may know a newer plan: it is asked first, and only what still stands then is an incident.
  Verdict Refuse(const Digest& digest, Verdict verdict) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Verdict JudgeBackLocked(absl::string_view channel, const Digest& from, const Digest& to) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Save() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const PlanGuardOptions options_;
  FileSystem* const files_;
  Clock* const clock_;

  mutable Mutex mutex_;
  std::vector<plan::SignedPlan> chain_ ABSL_GUARDED_BY(mutex_);
  plan::ApprovalBook book_ ABSL_GUARDED_BY(mutex_);
  // By channel, then serial and bytes: a set has bytes for each platform.
  std::map<std::string, std::map<std::pair<uint64_t, Digest>, Seen>> seen_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<ListedRelease>> listed_ ABSL_GUARDED_BY(mutex_);
  // By bytes: of offers, and of permissions by another plan.
  std::map<Digest, Refusal> refusals_ ABSL_GUARDED_BY(mutex_), other_plans_ ABSL_GUARDED_BY(mutex_);
  std::string fork_ ABSL_GUARDED_BY(mutex_);  // what was wrong; to be said once
  std::string fork_said_ ABSL_GUARDED_BY(mutex_);
  uint64_t fetches_ ABSL_GUARDED_BY(mutex_) = 0, listings_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time fetched_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool fetch_wanted_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Time latest_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();  // the clock never goes behind this
};

}  // namespace ringfence::agent
