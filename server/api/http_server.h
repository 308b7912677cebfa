// /metrics and /healthz, on a port of their own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringfence::api {

// "host:port"; the host may be a name, an IPv4 address or an IPv6 address in brackets. InvalidArgument
// otherwise.
struct HostPort {
  std::string host;
  int port = 0;  // 0: any free one
};
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// Is everything that reaches this host on the machine itself: 127.0.0.0/8, ::1 or localhost?
bool IsLoopback(absl::string_view host);

struct HttpAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
};

// Thread-safe.
class HttpServer {
 public:
  using Handler = std::function<HttpAnswer()>;
  struct Options {
    std::string listen;
    Handler metrics, healthz;
    bool demo = false;  // every answer then carries X-Ringfence-Demo: true
  };

  // Unavailable when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const Options& options);
  ~HttpServer();  // Stop()

  int port() const;
  // Ends open connections. May be called twice.
  void Stop();

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ringfence::api
