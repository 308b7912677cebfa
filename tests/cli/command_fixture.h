// The whole command over a server made of answers: what it prints, what it asks, how it ends.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fake_remote.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "ringfence/v1/fleet.pb.h"
#include "ringfence/v1/plan.pb.h"
#include "ringfence/v1/release.pb.h"
#include "ringfence/v1/rollout.pb.h"
#include "server/cli/command_line.h"

namespace ringfence::cli {

template <typename Message>
Message Proto(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringfence-cli-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    world_.in = &in_;
    world_.out = &out_;
    world_.err = &err_;
    world_.columns = 120;
    world_.zone = absl::FixedTimeZone(3600);
    world_.now = [] { return absl::FromUnixSeconds(1'700'000'000); };
    world_.env = [this](const char* name) -> const char* {
      const auto found = environment_.find(name);
      return found == environment_.end() ? nullptr : found->second.c_str();
    };
    world_.connect = [this](RemoteOptions options) { return server_.Connect(std::move(options)); };
  }
  ~CommandTest() override { std::filesystem::remove_all(folder_); }

  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    return cli::Run(world_, arguments);
  }
  std::string File(const std::string& name, const std::string& bytes) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << bytes;
    return path;
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  std::string folder_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  std::map<std::string, std::string> environment_;
  FakeServer server_;
  World world_;
};

inline constexpr char kGoodPlan[] =
    "tenant: acme\nchannels:\n  - channel: content\nrings:\n  - name: canary\n    waves: [100%]\n    soak: "
    "30m\n";

inline constexpr char kRollout[] = R"(
  release { manifest { channel: "content" serial: 3 version: "1.2.0" } published_at { seconds: 1700000000 } }
  stages { tenant: "vendor-internal" ring: "dogfood" state: STAGE_STATE_HALTED wave: 1 waves: 2 members: 100
           outcomes { exposed: 14 pending: 2 confirmed: 6 silent: 4 reverted: 2 } soak { seconds: 300 } rule: "halt" why: "a brake is on" }
  stages { tenant: "acme" ring: "canary" state: STAGE_STATE_WAITING waves: 1 members: 20 rule: "internal_not_passed" }
  brakes { scope { channel: "content" serial: 3 } halted: true reverting: true rule: "gate_silence"
           reason: "4 of 14 exposed hosts fell silent" actor: "server" }
  health { m_r: 141.4 action: "hold" unproven: 8 budget: 12 healthy: 6 gates { gate: "silence" bad: 4 exposed: 14 expected: 0.2 breached: true } }
  ledger { exposed: 14 harmed: 4 saved: 2 first_harm_to_last_lease { seconds: 90 } reachable: 2000 staging_failed: 3 }
  revert_outstanding: 2)";

}  // namespace ringfence::cli
