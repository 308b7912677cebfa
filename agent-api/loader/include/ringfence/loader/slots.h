// The loader: decides alone, without network and before anything else runs, which content a host starts with.
// Two slots, a record of how starts went, and the sensor's built-in content as the last resort: whatever is
// damaged, refused, or crashes, there is something to start.
//
// Every write goes to a draft, is synced, renamed, and the folder synced; every change of mind is one record.
// So the power may fail anywhere: the next start runs what ran before, or what was to run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringfence/agent/file_system.h"
#include "ringfence/content/schema.h"
#include "ringfence/loader/record.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::loader {

// Starts that do not end in MarkHealthy before the loader goes back by itself.
inline constexpr int kMaxStarts = 3;

struct SlotsOptions {
  std::string folder;            // exists
  content::SensorSchema sensor;  // what this sensor really supplies: compiled in, not configured
  // Content must be signed by one of these; absent: that signature is not looked at.
  std::optional<std::vector<trust::PublicKey>> build_keys;
  // Another process uses the folder too, the agent beside the loader: each call below is made under a lock of
  // the folder, and begins with the newest record.
  bool shared = false;
};

// What to start, already validated in memory of its own: nothing is read again from the disk.
struct Start {
  Slot slot = Slot::kBuiltIn;
  Digest digest;                   // zero of the built-in content
  std::string bytes;               // FCT1; of the built-in content too
  std::vector<std::string> notes;  // what went wrong on the way here, for the log
  uint64_t generation = 0;         // of the record when it was decided
};

// Not thread-safe; one process at a time per folder, unless `shared`.
class Slots {
 public:
  // Reads the newest whole record. With none, whatever in the slots is sound counts, the older serial first;
  // notes() says so. Never fails for what the disk holds. `files` outlives it.
  Slots(agent::FileSystem* files, SlotsOptions options);

  // Counts a start and says what to start. The count is on the disk before content is opened; where the disk
  // cannot be written, only content that has proven itself is started. Content that is damaged or that the
  // validator refuses, and content that was started kMaxStarts times without MarkHealthy, is left for the
  // last good one, and that for the built-in; a digest that failed for what it is, not for damage, is
  // quarantined.
  Start NextStart();
  // What runs has proven itself: it may be fallen back to from now on. Of `only`, if given: what was flipped
  // to meanwhile has proven nothing.
  absl::Status MarkHealthy(const std::optional<Digest>& only = std::nullopt);
  // It ended in an orderly way before it had proven itself: that start was no failure.
  absl::Status MarkOrderlyEnd();

  // Puts content into the slot that does not run. InvalidArgument: the validator refuses it.
  // FailedPrecondition: it is quarantined, or what runs has not proven itself yet and the other slot is what
  // to fall back to.
  absl::StatusOr<Digest> Stage(absl::string_view bytes);
  // The staged content is what starts next. FailedPrecondition unless it is staged.
  absl::Status Flip(const Digest& digest);

  // Something else was to be started since, and was not started yet.
  bool IsSuperseded(const Start& start);
  // Takes a Flip back that nobody began to start: what it replaced is started again. FailedPrecondition if it
  // was begun, or was no flip.
  absl::Status Withdraw(const Digest& digest);

  const Record& record() const { return record_; }
  const std::vector<std::string>& notes() const { return notes_; }  // of opening

 private:
  class Turn;
  // Adopts the newer of the records on the disk; false if none is whole.
  bool ReadRecords(std::vector<std::string>* notes);
  absl::Status Commit(Record next);
  absl::Status Validate(absl::string_view bytes) const;
  // The bytes of a slot if they may be started; DataLoss: not what the record says; InvalidArgument: refused.
  absl::StatusOr<std::string> Open(const Record& record, Slot slot) const;
  Start BuiltIn(std::vector<std::string> notes) const;
  Start StartProven(std::vector<std::string> notes) const;
  void Salvage();
  std::string PathOf(Slot slot) const;
  absl::Status Replace(const std::string& path, absl::string_view bytes);

  agent::FileSystem* const files_;
  const SlotsOptions options_;
  Record record_;
  std::vector<std::string> notes_;
};

// Content without rules for this sensor: FCT1, unsigned, compiled in.
std::string BuiltInContent(const content::SensorSchema& sensor);

}  // namespace ringfence::loader
