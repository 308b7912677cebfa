// What every handler works with.
#pragma once

#include <string>

#include "ringfence/base/clock.h"
#include "server/api/api_metrics.h"
#include "server/api/identity.h"
#include "server/api/log.h"
#include "server/api/worker_pool.h"
#include "server/app/app.h"

namespace ringfence::api {

// Everything pointed to outlives the server. No pointer is null.
struct Environment {
  app::App* app = nullptr;
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
  std::string internal_tenant;  // empty: none
};

}  // namespace ringfence::api
