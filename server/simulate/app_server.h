// The server's own application code, in this process: what its gRPC handlers call, with the same values, on a
// store of the caller's choice.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ringfence/base/clock.h"
#include "server/simulate/server.h"
#include "server/storage/store.h"

namespace ringfence::gate {
struct Trust;
}  // namespace ringfence::gate

namespace ringfence::app {
class App;
}  // namespace ringfence::app

namespace ringfence::replay {

struct AppServerOptions {
  std::string internal_tenant;  // empty: none
  absl::Duration checkin;
  uint64_t seed = 1;
  std::shared_ptr<const gate::Trust> trust;  // whom the publish gate believes
  // Called when a lease waits for its commit; may be empty.
  std::function<void()> on_lease_queued;
};

class AppServer : public Server {
 public:
  // Between Start and Stop.
  virtual app::App* app() = 0;
};

// `clock` and `store` outlive it.
std::unique_ptr<AppServer> MakeAppServer(const AppServerOptions& options, storage::Store* store,
                                         Clock* clock);

}  // namespace ringfence::replay
