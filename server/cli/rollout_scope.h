// What the brakes' requests share.
#pragma once

#include <string>

#include "ringfence/v1/rollout.pb.h"
#include "server/cli/commands.h"
#include "server/cli/exit_codes.h"

namespace ringfence::cli {

absl::Status ScopeOf(Context& context, const RolloutOptions& options, v1::Scope* scope);

// "content/42 for acme/canary".
std::string ScopeText(const v1::Scope& scope);

// Fills what the requests of all brakes share; returns the exit code if that fails.
template <typename Request>
int Prepare(Context& context, const RolloutOptions& options, Request* request) {
  request->set_request_id(context.request_id());
  request->set_reason(options.reason);
  const absl::Status status = ScopeOf(context, options, request->mutable_scope());
  return status.ok() ? kOk : context.Fail(status);
}

}  // namespace ringfence::cli
