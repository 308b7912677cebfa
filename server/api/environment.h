// What every handler works with.
#pragma once

#include <atomic>
#include <string>

#include "ringfence/base/clock.h"
#include "server/api/api_metrics.h"
#include "server/api/identity.h"
#include "server/api/log.h"
#include "server/api/replica_key.h"
#include "server/api/worker_pool.h"
#include "server/app/app.h"

namespace ringfence::api {

class Relay;

// The application of now: another one from the moment on when this replica leads.
class AppSlot {
 public:
  AppSlot& operator=(app::App* app) {
    app_.store(app, std::memory_order_release);
    return *this;
  }
  app::App* get() const { return app_.load(std::memory_order_acquire); }
  app::App* operator->() const { return get(); }

 private:
  std::atomic<app::App*> app_{nullptr};
};

// Everything pointed to outlives the server. No pointer is null, but where it is said.
struct Environment {
  AppSlot app;  // while a relay is there it may be null, and is what can be done without the leader
  // Hands calls on to the replica that leads; null once this one does.
  std::atomic<Relay*> relay{nullptr};
  ReplicaKey key;  // set once this replica leads
  const Operators* operators = nullptr;
  WorkerPool* people = nullptr;  // operators' calls: they wait for the database
  WorkerPool* agents =
      nullptr;  // enrolment and artifact chunks: a storm of them never keeps an operator waiting
  ApiMetrics* metrics = nullptr;
  Log* log = nullptr;
  Clock* clock = nullptr;       // the product's time
  Clock* real_clock = nullptr;  // measures the machine
  double time_scale = 1;        // product time per real time
  bool demo = false;
  std::string version;
  std::string replica_name;
  std::string internal_tenant;                  // empty: none
  const trust::SigningKey* director = nullptr;  // signs leases; null: they go out unsigned
};

}  // namespace ringfence::api
