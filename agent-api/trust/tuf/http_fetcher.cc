#include "ringfence/tuf/http_fetcher.h"

#include <httplib.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::tuf {

struct HttpFetcher::Server {
  Server(const std::string& origin, std::string path) : client(origin), path(std::move(path)) {}

  absl::StatusOr<std::string> Get(const std::string& name, size_t most);

  httplib::Client client;
  const std::string path;  // begins and ends with a slash
};

namespace {

struct Url {
  std::string origin, path;
};

absl::StatusOr<Url> ParseUrl(absl::string_view url) {
  const size_t scheme = url.find("://");
  const bool known = absl::StartsWith(url, "http://") || absl::StartsWith(url, "https://");
  const bool plain = std::all_of(url.begin(), url.end(), [](char c) { return absl::ascii_isgraph(c); });
  if (!known || !plain || url.find_first_of("?#") != absl::string_view::npos || url.size() <= scheme + 3)
    return absl::InvalidArgumentError(
        absl::StrCat("URL: found ", url, ", wanted http://HOST:PORT/PATH/ or https://"));
  const size_t slash = url.find('/', scheme + 3);
  Url parsed{std::string(url.substr(0, slash)), "/"};
  if (slash != absl::string_view::npos) parsed.path = std::string(url.substr(slash));
  if (parsed.path.back() != '/') parsed.path += '/';
  return parsed;
}

}  // namespace

absl::StatusOr<std::string> HttpFetcher::Server::Get(const std::string& name, size_t most) {
  const std::string url = path + name;
  std::string bytes;
  bool large = false;
  int code = 0;
  const httplib::Result result = client.Get(
      url, {{"Accept-Encoding", "identity"}},
      [&](const httplib::Response& response) {
        code = response.status;
        return code == 200;
      },
      [&](const char* data, size_t size) {
        large = size > most - bytes.size();
        if (!large) bytes.append(data, size);
        return !large;
      });
  if (large) return absl::ResourceExhaustedError(absl::StrCat(url, ": more than ", most, " bytes"));
  if (code == 404 || code == 403) return absl::NotFoundError(absl::StrCat(url, ": HTTP ", code));
  if (code != 0 && code != 200) return absl::UnavailableError(absl::StrCat(url, ": HTTP ", code));
  if (!result) return absl::UnavailableError(absl::StrCat(url, ": ", httplib::to_string(result.error())));
  return bytes;
}

HttpFetcher::HttpFetcher(std::unique_ptr<Server> metadata, std::unique_ptr<Server> targets)
    : metadata_(std::move(metadata)), targets_(std::move(targets)) {}
HttpFetcher::~HttpFetcher() = default;

absl::StatusOr<std::unique_ptr<HttpFetcher>> HttpFetcher::Make(absl::string_view metadata,
                                                               absl::string_view targets,
                                                               absl::Duration timeout) {
  const auto server = [&](absl::string_view text) -> absl::StatusOr<std::unique_ptr<Server>> {
    ASSIGN_OR_RETURN(const Url url, ParseUrl(text));
    auto made = std::make_unique<Server>(url.origin, url.path);
    if (!made->client.is_valid())
      return absl::InvalidArgumentError(absl::StrCat("URL: found ", text, ", wanted one of a server"));
    made->client.set_url_encode(false);  // the names are quoted, and may not be quoted twice
    made->client.set_decompress(false);
    made->client.set_keep_alive(true);
    made->client.set_tcp_nodelay(true);
    made->client.set_connection_timeout(absl::ToChronoMicroseconds(timeout));
    made->client.set_read_timeout(absl::ToChronoMicroseconds(timeout));
    made->client.set_write_timeout(absl::ToChronoMicroseconds(timeout));
    return made;
  };
  ASSIGN_OR_RETURN(auto metadata_server, server(metadata));
  std::unique_ptr<Server> targets_server;
  if (!targets.empty()) {
    ASSIGN_OR_RETURN(targets_server, server(targets));
  }
  return std::unique_ptr<HttpFetcher>(new HttpFetcher(std::move(metadata_server), std::move(targets_server)));
}

absl::StatusOr<std::string> HttpFetcher::Metadata(const std::string& name, size_t most) {
  return metadata_->Get(name, most);
}

absl::StatusOr<std::string> HttpFetcher::Target(const std::string& name, size_t most) {
  if (targets_ == nullptr) return absl::UnavailableError("no URL of targets was given");
  return targets_->Get(name, most);
}

}  // namespace ringfence::tuf
