// What the agent asks of the software that opens the bytes. A sensor brings its own; the reference agent has
// links.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringfence/agent/types.h"

namespace ringfence::agent {

class Loader {
 public:
  virtual ~Loader() = default;
  // What runs now, by looking: the hash of the bytes in use, not a note of what was asked for.
  virtual std::vector<Running> Attest() = 0;
  // Would these bytes load? InvalidArgument is reported as a refusal, which halts the release; any other
  // error is taken for a passing fault of this host.
  virtual absl::Status Check(absl::string_view channel, const std::string& path) = 0;
  // Makes the bytes at `path` those that run, at once or not at all: after an error the earlier ones still
  // run.
  virtual absl::Status Flip(absl::string_view channel, const std::string& path) = 0;
};

// FOLDER/CHANNEL is a symbolic link to the bytes in use, replaced atomically. Not thread-safe.
class LinkLoader final : public Loader {
 public:
  // `folder` exists. Channels are those that have a link.
  explicit LinkLoader(std::string folder) : folder_(std::move(folder)) {}
  std::vector<Running> Attest() override;
  absl::Status Check(absl::string_view channel, const std::string& path) override;
  absl::Status Flip(absl::string_view channel, const std::string& path) override;

 private:
  const std::string folder_;
};

}  // namespace ringfence::agent
