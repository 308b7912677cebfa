#include "server/api/http_server.h"

#include <arpa/inet.h>
#include <httplib.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::api {
namespace {

// For people and scrapers, one thread per open connection.
constexpr size_t kThreads = 8;
constexpr int kMaxPort = 65535;

// There is nothing to send here, and nothing is read: a body in chunks would have no limit, and a packed one
// would unfold to any size.
httplib::Server::HandlerResponse RefuseBodies(const httplib::Request& request, httplib::Response& response) {
  if (request.method == "GET" || request.method == "HEAD") return httplib::Server::HandlerResponse::Unhandled;
  response.status = 405;
  return httplib::Server::HandlerResponse::Handled;
}

void Route(httplib::Server& server, const char* path, const HttpServer::Handler& handler) {
  server.Get(path, [handler](const httplib::Request&, httplib::Response& response) {
    const HttpAnswer answer = handler();
    response.status = answer.status;
    response.set_content(answer.body, answer.content_type.c_str());
  });
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  HostPort result;
  const bool has_port = colon != absl::string_view::npos &&
                        absl::SimpleAtoi(text.substr(colon + 1), &result.port) && result.port >= 0 &&
                        result.port <= kMaxPort;
  if (has_port) {
    absl::string_view host = text.substr(0, colon);
    if (absl::ConsumePrefix(&host, "[") && !absl::ConsumeSuffix(&host, "]")) host = {};
    result.host = std::string(host);
  }
  if (!result.host.empty()) return result;
  return absl::InvalidArgumentError(absl::StrCat("address: found \"", text, "\", wanted host:port"));
}

bool IsLoopback(absl::string_view host) {
  in_addr address{};
  const bool numeric = ::inet_pton(AF_INET, std::string(host).c_str(), &address) == 1;
  return (numeric && ntohl(address.s_addr) >> 24 == 127) || host == "::1" || host == "localhost";
}

struct HttpServer::State {
  httplib::Server server;
  int port = 0;
  std::thread thread;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const Options& options) {
  ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(options.listen));
  auto state = std::make_unique<State>();
  httplib::Server& server = state->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_pre_routing_handler(RefuseBodies);
  server.set_keep_alive_max_count(1000);
  server.set_keep_alive_timeout(2);
  server.set_tcp_nodelay(true);
  if (options.demo) server.set_default_headers({{"X-Ringfence-Demo", "true"}});
  Route(server, "/metrics", options.metrics);
  Route(server, "/healthz", options.healthz);
  state->port = address.port == 0                                 ? server.bind_to_any_port(address.host)
                : server.bind_to_port(address.host, address.port) ? address.port
                                                                  : -1;
  if (state->port < 0) return absl::UnavailableError(absl::StrCat("http: cannot listen on ", options.listen));
  state->thread = std::thread([&server] { server.listen_after_bind(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpServer::~HttpServer() {
  Stop();
}

int HttpServer::port() const {
  return state_->port;
}

void HttpServer::Stop() {
  if (!state_->thread.joinable()) return;
  // A stop before the listener runs would be lost.
  while (!state_->server.is_running()) std::this_thread::yield();
  state_->server.stop();
  state_->thread.join();
}

}  // namespace ringfence::api
