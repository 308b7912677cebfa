// A few simulated hosts that speak the real protocol, one call after the other, and remember what they were
// allowed.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ringfence/base/ids.h"
#include "ringfence/policy/labels.h"
#include "ringfence/v1/agent.grpc.pb.h"

namespace ringfence::testing_support {

// What a host was told it may do: the ground truth that the server's books are compared with.
struct Grant {
  AgentId agent;
  Digest digest;

  friend auto operator<=>(const Grant&, const Grant&) = default;
};

// Not thread-safe. A call that fails is tried again at the host's next check-in; hosts keep their time
// through any outage.
class SimFleet {
 public:
  explicit SimFleet(uint64_t seed) : random_(seed) {}

  // Every call from now on goes here.
  void Connect(const std::shared_ptr<grpc::Channel>& channel);

  // Enrols `count` hosts with the label ring=RING. False when one was refused.
  [[nodiscard]] bool Enrol(const std::vector<std::string>& tokens, const std::string& ring);

  // Hosts that run this digest fall silent: what a release does that bricks them.
  void Bricks(const Digest& digest) { bricks_.insert(digest); }

  // Waits for the host that is due next, and lets it check in and do what it is told. Returns whether the
  // server answered.
  bool Step();

  const std::set<Grant>& grants() const { return grants_; }
  size_t size() const { return hosts_.size(); }
  int Running(const Digest& digest) const;
  // Of the whole fleet; for tests that look at one call.
  const AgentId& id(size_t host) const { return hosts_[host].id; }
  std::string credential(size_t host) const;

 private:
  struct Host {
    AgentId id;
    std::string secret;
    policy::Labels labels;
    std::string boot_id;
    std::chrono::steady_clock::time_point due;
    std::optional<Digest> running, previous, staged;
    bool send_labels = true;
    bool bricked = false;
  };

  bool CheckIn(Host& host);
  void Obey(Host& host, const v1::Directive& directive);
  void AskLease(Host& host, const v1::Directive& directive, const Digest& digest);

  std::mt19937_64 random_;
  std::unique_ptr<v1::AgentService::Stub> stub_;
  std::vector<Host> hosts_;
  std::set<Digest> bricks_;
  std::set<Grant> grants_;
};

}  // namespace ringfence::testing_support
