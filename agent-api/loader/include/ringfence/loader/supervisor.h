// Starts the sensor with what the slots say, in a child process, until it ends in an orderly way.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "ringfence/loader/slots.h"

namespace ringfence::loader {

struct ChildEnd {
  bool orderly = false;     // it ended by itself with code 0, or because the loader was asked to stop
  std::string how;          // "exit code 3", "signal 11"
  bool superseded = false;  // it was ended because something else is to be started
};

// The world around the loop, so that tests can be one.
class ChildRunner {
 public:
  virtual ~ChildRunner() = default;
  // Runs the sensor until it ends. Calls `proven` once, when it has lived for the gate's time, and ends it
  // when `superseded` says so.
  virtual ChildEnd Run(const Start& start, const std::function<void()>& proven,
                       const std::function<bool()>& superseded) = 0;
};

// Starts again after each failure; each start is counted on disk before. Returns 0 after an orderly end, 1
// when even the built-in content failed kMaxStarts times in a row.
int Supervise(Slots* slots, ChildRunner* runner, const std::function<void(const std::string&)>& log);

// A real child. `program` empty: this process's own demonstration sensor, with events from the standard
// input. Otherwise PROGRAM FILE is started. FOLDER/running, which is FILE, holds the validated bytes of the
// start at hand, replaced at once before each: whoever hashes it knows what runs. FOLDER/failures, "COUNT
// SHA256 HOW", tells of the last end that was not orderly. `stop`: end the child, it is an orderly end. A
// child that was asked to end and does not is killed after `patience`.
struct ProcessOptions {
  std::string program;
  std::string folder;  // for FILE
  absl::Duration healthy_after = absl::Minutes(10);
  const std::atomic<bool>* stop = nullptr;
  absl::Duration patience = absl::Seconds(10);
};
std::unique_ptr<ChildRunner> MakeProcessRunner(ProcessOptions options);

}  // namespace ringfence::loader
