// The five services of ringfence.v1. Each handler validates, calls the application, converts.
#pragma once

#include <memory>

#include "server/api/environment.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace ringfence::api {

class WatchHub;

// `env` outlives the service.
std::unique_ptr<grpc::Service> MakeAgentService(Environment* env);
std::unique_ptr<grpc::Service> MakeReleaseService(Environment* env);
std::unique_ptr<grpc::Service> MakePlanService(Environment* env);
std::unique_ptr<grpc::Service> MakeRolloutService(Environment* env, WatchHub* hub);
std::unique_ptr<grpc::Service> MakeFleetService(Environment* env);

}  // namespace ringfence::api
