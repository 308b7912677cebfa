// One content channel whose bytes a ringfence-loader starts: the agent writes the loader's slots, the loader
// counts starts, starts the sensor, and goes back by itself.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ringfence/agent/file_system.h"
#include "ringfence/agent/loader.h"
#include "ringfence/agent/machine.h"
#include "ringfence/base/clock.h"
#include "ringfence/loader/slots.h"

namespace ringfence::agent {

struct SlotLoaderOptions {
  std::string channel;
  std::string folder;            // the loader's
  content::SensorSchema sensor;  // what the sensor supplies
  std::optional<std::vector<trust::PublicKey>> build_keys;
  // Sees to it that a loader runs in the folder; called before each wait.
  std::function<absl::Status()> ensure_loader;
  absl::Duration patience = absl::Seconds(15);  // for a sensor to be ended and started with other content
};

// Not thread-safe, except that Check may be called while another thread flips. Other channels go to `others`.
class SlotLoader final : public Loader {
 public:
  // Everything given outlives it.
  SlotLoader(Loader* others, FileSystem* files, Clock* clock, SlotLoaderOptions options);

  // Of the channel: the sha256 of what the loader started last, or nothing before its first start.
  std::vector<Running> Attest() override;
  // Stages it: into the slot that does not run. InvalidArgument: the validator refuses it, or it failed on
  // this host before. FailedPrecondition while what runs has not proven itself yet.
  absl::Status Check(absl::string_view channel, const std::string& path) override;
  // Makes it the content to start, and waits until it was started. When that does not happen in time, the
  // loader is told to stay with what runs.
  absl::Status Flip(absl::string_view channel, const std::string& path) override;

  // Nothing that was brought here is to be started: nothing came yet, or all of it failed.
  bool HasOnlyBuiltIn() const;

  // What happened in the loader since the last look: a start that failed, a way back that it took. `running`
  // is what the agent believes to run. Call now and then, on the thread that flips.
  struct News {
    std::optional<Reported> crash;
    std::optional<FellBack> fell_back;
  };
  News Look(const Digest& running);
  const std::string& channel() const { return options_.channel; }

 private:
  loader::Slots Open() const;
  std::optional<Digest> Started() const;

  Loader* const others_;
  FileSystem* const files_;
  Clock* const clock_;
  const SlotLoaderOptions options_;
  std::string failures_;  // as they were at the last look
};

// Looks, and reports what there is to report.
class Agent;
void LookAfter(SlotLoader& slots, Agent& agent);

}  // namespace ringfence::agent
