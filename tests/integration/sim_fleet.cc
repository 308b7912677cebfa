#include "tests/integration/sim_fleet.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "tests/integration/server_process.h"

namespace ringfence::testing_support {
namespace {

using Steady = std::chrono::steady_clock;

std::chrono::nanoseconds ToNanos(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

// How long a host waits after a call that failed.
constexpr std::chrono::milliseconds kBackOff(100);
constexpr char kChannel[] = "content";

}  // namespace

void SimFleet::Connect(const std::shared_ptr<grpc::Channel>& channel) {
  stub_ = v1::AgentService::NewStub(channel);
}

bool SimFleet::Enrol(const std::vector<std::string>& tokens, const std::string& ring) {
  for (const std::string& token : tokens) {
    Host host;
    for (uint8_t& byte : host.id.bytes) byte = static_cast<uint8_t>(random_());
    host.boot_id = absl::StrCat("boot-", random_());
    host.labels = *policy::Labels::Make({{"ring", ring}, {"os", "win11"}});
    v1::EnrollRequest request;
    request.set_token(token);
    request.set_agent_id(std::string(host.id.raw()));
    request.set_boot_id(host.boot_id);
    for (const auto& [key, value] : host.labels.pairs()) {
      v1::Label* label = request.add_labels();
      label->set_key(key);
      label->set_value(value);
    }
    grpc::ClientContext context;
    Prepare(context, "");
    v1::EnrollResponse response;
    if (!stub_->Enroll(&context, request, &response).ok()) return false;
    host.secret = response.secret();
    host.due = Steady::now();
    hosts_.push_back(std::move(host));
  }
  return true;
}

std::string SimFleet::credential(size_t host) const {
  return absl::StrCat(hosts_[host].id.ToString(), ".", absl::BytesToHexString(hosts_[host].secret));
}

int SimFleet::Running(const Digest& digest) const {
  return static_cast<int>(
      std::count_if(hosts_.begin(), hosts_.end(), [&](const Host& host) { return host.running == digest; }));
}

bool SimFleet::Step() {
  const auto next = std::min_element(hosts_.begin(), hosts_.end(),
                                     [](const Host& a, const Host& b) { return a.due < b.due; });
  std::this_thread::sleep_until(next->due);  // agents live in real time
  if (next->bricked) {
    next->due = Steady::time_point::max();
    return true;
  }
  const bool answered = CheckIn(*next);
  if (!answered) next->due = Steady::now() + kBackOff;
  return answered;
}

bool SimFleet::CheckIn(Host& host) {
  v1::CheckInRequest request;
  request.set_boot_id(host.boot_id);
  request.set_labels_hash(host.labels.Hash16());
  if (host.send_labels) {
    request.set_has_labels(true);
    for (const auto& [key, value] : host.labels.pairs()) {
      v1::Label* label = request.add_labels();
      label->set_key(key);
      label->set_value(value);
    }
  }
  if (host.running) {
    v1::RunningVersion* running = request.add_running();
    running->set_channel(kChannel);
    running->set_digest(std::string(host.running->raw()));
  }
  if (host.staged) request.add_staged(std::string(host.staged->raw()));
  grpc::ClientContext context;
  Prepare(context, absl::StrCat(host.id.ToString(), ".", absl::BytesToHexString(host.secret)));
  v1::CheckInResponse response;
  if (!stub_->CheckIn(&context, request, &response).ok()) return false;
  host.send_labels = response.send_labels();
  host.due = Steady::now() + ToNanos(response.next_checkin());
  for (const v1::Directive& directive : response.directives()) Obey(host, directive);
  return true;
}

void SimFleet::Obey(Host& host, const v1::Directive& directive) {
  const Digest digest = *Digest::FromBytes(directive.digest());
  switch (directive.kind()) {
    case v1::DIRECTIVE_KIND_PREFETCH:
      host.staged = digest;
      host.due = Steady::now();  // tells at once that it is ready
      break;
    case v1::DIRECTIVE_KIND_REQUEST_LEASE:
      AskLease(host, directive, digest);
      break;
    case v1::DIRECTIVE_KIND_REVERT:
      if (host.running == digest) host.running = host.previous;
      host.staged.reset();
      break;
    case v1::DIRECTIVE_KIND_DROP:
      if (host.staged == digest) host.staged.reset();
      break;
    default:
      RF_CHECK(false);  // a directive that no agent knows
  }
}

void SimFleet::AskLease(Host& host, const v1::Directive& directive, const Digest& digest) {
  v1::LeaseRequest request;
  request.set_channel(directive.channel());
  request.set_digest(directive.digest());
  request.set_boot_id(host.boot_id);
  grpc::ClientContext context;
  Prepare(context, absl::StrCat(host.id.ToString(), ".", absl::BytesToHexString(host.secret)));
  v1::LeaseResponse response;
  if (!stub_->Lease(&context, request, &response).ok()) return;
  if (response.answer() != v1::LEASE_ANSWER_GRANTED) return;
  grants_.insert({host.id, digest});
  host.previous = host.running;
  host.running = digest;
  host.staged.reset();
  host.bricked = bricks_.count(digest) > 0;
}

}  // namespace ringfence::testing_support
