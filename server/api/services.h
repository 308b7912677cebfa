// The five services of ringfence.v1, and the one between replicas. Each handler validates, calls the
// application, converts.
#pragma once

#include <memory>
#include <vector>

#include "server/api/environment.h"

namespace ringfence::api {

class RpcService;
class WatchHub;

// `env` outlives the service.
std::unique_ptr<RpcService> MakeAgentService(Environment* env);
std::unique_ptr<RpcService> MakeReleaseService(Environment* env);
std::unique_ptr<RpcService> MakePlanService(Environment* env);
std::unique_ptr<RpcService> MakeRolloutService(Environment* env, WatchHub* hub);
std::unique_ptr<RpcService> MakeFleetService(Environment* env);
// Answers the unary calls of `services` that other replicas hand on. They outlive it.
std::unique_ptr<RpcService> MakeReplicaService(Environment* env, std::vector<const RpcService*> services);

}  // namespace ringfence::api
