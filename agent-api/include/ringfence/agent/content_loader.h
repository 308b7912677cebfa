// A loader that looks for itself: whatever a server says, content that is damaged, made for another sensor,
// signed by a stranger or older than what ran here is neither staged nor loaded.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ringfence/agent/file_system.h"
#include "ringfence/agent/loader.h"
#include "ringfence/content/layout.h"
#include "ringfence/content/schema.h"
#include "ringfence/trust/ed25519.h"

namespace ringfence::agent {

struct ContentRules {
  // Channels that carry FCT1 content, and nothing else. In any other channel bytes that begin like FCT1 are
  // held to it all the same.
  std::set<std::string, std::less<>> channels;
  // The inputs that the sensor on this host supplies; absent: not compared.
  std::optional<std::vector<content::SensorSchema>> sensors;
  // Content must be signed by one of these; absent: that signature is not looked at.
  std::optional<std::vector<trust::PublicKey>> build_keys;
  // Remembers the highest serial that ever ran in each channel, and its sha256.
  std::string serials_file;
};

// Around a loader that does the flipping. Not thread-safe, except that Check may be called while another
// thread flips.
class ContentLoader final : public Loader {
 public:
  // Both outlive it.
  ContentLoader(Loader* inner, FileSystem* files, ContentRules rules);

  std::vector<Running> Attest() override { return inner_->Attest(); }
  // Staging: digest (the file's name, where it is one), format, build signature, inputs, that the file is of
  // this channel, and a serial above every one that ran here before. InvalidArgument names code, field and
  // sha256.
  absl::Status Check(absl::string_view channel, const std::string& path) override;
  // Loading: all of that once more, but the serial, which an order to go back does not ask. What is refused
  // is not loaded; what runs stays.
  absl::Status Flip(absl::string_view channel, const std::string& path) override;

  // Content that was looked at; serial 0: bytes that are none.
  struct Seen {
    uint64_t serial = 0;
    Digest digest;
  };

 private:
  absl::StatusOr<Seen> Validate(absl::string_view channel, const std::string& path) const;
  Seen Highest(absl::string_view channel) const;
  absl::Status Remember(absl::string_view channel, const Seen& seen);

  Loader* const inner_;
  FileSystem* const files_;
  const ContentRules rules_;
};

}  // namespace ringfence::agent
