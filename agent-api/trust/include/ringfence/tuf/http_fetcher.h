// Metadata and targets over HTTP.
#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "ringfence/tuf/updater.h"

namespace ringfence::tuf {

// GETs below two base URLs, "http://host:port/path/" or "https://...", which are taken as they are: what
// needs quoting in them is quoted already. TLS as the system's libssl offers it, certificates checked against
// its store. 404 and 403 are NotFound; every other answer than 200 is Unavailable. Follows no redirects,
// takes no compressed answers. Not thread-safe.
class HttpFetcher final : public Fetcher {
 public:
  // `targets` may be empty if no target is asked for. InvalidArgument for what is no such URL.
  static absl::StatusOr<std::unique_ptr<HttpFetcher>> Make(absl::string_view metadata,
                                                           absl::string_view targets,
                                                           absl::Duration timeout = absl::Seconds(30));
  ~HttpFetcher() override;

  absl::StatusOr<std::string> Metadata(const std::string& name, size_t most) override;
  absl::StatusOr<std::string> Target(const std::string& name, size_t most) override;

 private:
  struct Server;
  HttpFetcher(std::unique_ptr<Server> metadata, std::unique_ptr<Server> targets);

  std::unique_ptr<Server> metadata_, targets_;
};

}  // namespace ringfence::tuf
