// What people do in the integration tests, one function per act.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ringfence/base/ids.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/rollout.pb.h"

namespace grpc {
class Channel;
class Status;
}  // namespace grpc

namespace ringfence::testing_support {

// A plan whose rings follow the channel "content" and hold the hosts with the label ring=NAME; one wave each.
v1::Plan PlanOf(const std::string& tenant, const std::vector<std::string>& rings);

// Calls on one channel. Each act gets a request id of its own.
class People {
 public:
  explicit People(std::shared_ptr<grpc::Channel> channel) : channel_(std::move(channel)) {}

  grpc::Status Apply(const v1::Plan& plan);  // by the tenant's admin
  // A content release for every host, of bytes made from the serial.
  grpc::Status Publish(uint64_t serial);
  static std::string BytesOf(uint64_t serial);
  static Digest DigestOf(uint64_t serial);
  std::vector<std::string> Tokens(const std::string& tenant, int count);
  static constexpr char kHaltReason[] = "it smells";
  grpc::Status Halt(uint64_t serial);                        // by an SRE, everywhere
  std::vector<v1::Decision> Decisions(uint64_t serial);      // newest first
  std::vector<v1::Agent> Agents(const std::string& tenant);  // the first hundred
  grpc::Status Rollout(uint64_t serial, v1::Rollout* rollout);

 private:
  std::string NextRequestId();

  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace ringfence::testing_support
