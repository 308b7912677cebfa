// What stands between a server's word and a flip: a lease that the director signed for this host, this
// question and this moment, and no halt that this host has seen. With keys of a director pinned, a server
// that was taken over can withhold and delay; it cannot make the host move.
//
// Halts are kept in a file and outlast restarts, servers and silence; two persons take them off. Leases are
// kept nowhere: one question, one answer, one use.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringfence/agent/file_system.h"
#include "ringfence/agent/types.h"
#include "ringfence/base/clock.h"
#include "ringfence/base/ids.h"
#include "ringfence/trust/authority.h"
#include "ringfence/trust/halt_book.h"

namespace ringfence::agent {

// One thread uses it: the agent's.
class ActivationGuard {
 public:
  // `folder`/halts is the memory. Damaged, or not writable: nothing is activated on this host until a person
  // removes it or makes room; what runs keeps running. `wall` says whether an order's time is over.
  ActivationGuard(FileSystem* files, std::string folder, Clock* wall, trust::Authority authority);

  // A trust.json that was verified is in force. A role that it does not have stays as it was pinned; what was
  // seen of halts stays.
  void Follow(const trust::TrustDocument& document);
  // The plan that the host itself holds: leases by another are refused, also when it changes between a lease
  // and the flip, and halts of other rings are others'. nullopt: it pins none.
  void SetPlan(std::optional<HeldPlan> plan) { plan_ = std::move(plan); }

  bool verifies_leases() const { return authority_.VerifiesLeases(); }
  // For the log at the start: what of all this is in force on this host.
  std::string Describe() const;

  // Before a lease is asked for: the nonce to send. `now` is on the boot-time clock. `release` is what is
  // staged; `ask` names the question, as the machine does.
  std::string Ask(uint64_t ask, const AgentId& agent, const std::string& tenant, const Directive& release,
                  absl::Time now);
  // The answer. A grant that does not fit comes back as no grant, with the word why as its reason; a grant
  // that does, with the time that is left of it counted from the question.
  LeaseReply Judge(uint64_t ask, LeaseReply reply, absl::Time now);

  // What came with any reply. Returns sentences for the log.
  std::vector<std::string> TakeIn(const SignedNotices& notices, const std::string& tenant);
  // Ok, or why these bytes may not be activated here now: the first word is halts_damaged, halts_full,
  // halted_here or lease_plan. Asked again right before the flip.
  absl::Status MayActivate(const Digest& digest, const std::string& tenant) const;
  uint64_t halt_seq() const { return book_.seq(); }

 private:
  struct Question {
    Directive release;
    AgentId agent;
    std::string tenant;
    std::string nonce;
    absl::Time sent_at;
  };
  absl::Status Save();

  FileSystem* const files_;
  const std::string folder_;
  Clock* const wall_;
  trust::Authority authority_;
  std::optional<HeldPlan> plan_;
  // By channel, the bytes that were leased last and the plan that they were leased by.
  std::map<std::string, std::pair<Digest, Digest>> leased_;
  int64_t followed_ = 0;  // version of the document
  trust::HaltBook book_;
  absl::Status memory_;                                        // what is wrong with the file
  std::map<std::string, std::pair<uint64_t, Question>> open_;  // by channel, the last question
};

}  // namespace ringfence::agent
