#include "server/storage/postgres/json_codec.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_replace.h"

namespace ringfence::storage {
namespace {

policy::Plan MakePlan() {
  policy::Plan plan;
  plan.tenant = "acme";
  plan.channels.push_back(
      {.channel = "content", .mode = policy::ChannelMode::kFollow, .lag = 1, .pinned_version = ""});
  plan.rings.emplace_back().name = "canary";
  plan.gates.crash = policy::RateGate{policy::Ppm(10), 2, absl::Minutes(5)};
  return plan;
}

TEST(JsonCodecTest, PlanReadsBackEqual) {
  const std::string json = PlanToJson(MakePlan()).value();
  EXPECT_EQ(PlanFromJson(json).value(), MakePlan()) << json;
}

// A limit that an older program does not know must not be dropped in silence.
TEST(JsonCodecTest, UnknownFieldIsRefused) {
  const std::string json =
      absl::StrReplaceAll(PlanToJson(MakePlan()).value(), {{"\"lag\":1", "\"lag\":1,\"new\":2"}});
  EXPECT_EQ(PlanFromJson(json).status().code(), absl::StatusCode::kDataLoss);
}

TEST(JsonCodecTest, MissingOrMistypedFieldIsRefused) {
  const std::string json = PlanToJson(MakePlan()).value();
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"lag\":1", "\"leg\":1"},
                                                        {"\"lag\":1", "\"lag\":\"1\""},
                                                        {"\"lag\":1", "\"lag\":1.5"},
                                                        {"follow", "fellow"},
                                                        {"\"5m\"", "\"5x\""},
                                                        {"halt_and_revert", "carry_on"},
                                                        {"[", "{"}}) {
    const std::string broken = absl::StrReplaceAll(json, {{from, to}});
    ASSERT_NE(broken, json) << from;
    EXPECT_EQ(PlanFromJson(broken).status().code(), absl::StatusCode::kDataLoss) << broken;
  }
}

TEST(JsonCodecTest, TextThatIsNotUtf8IsRefused) {
  policy::Plan plan = MakePlan();
  plan.rings[0].name = "\xff";
  EXPECT_EQ(PlanToJson(plan).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(RunningToJson({{"\xc3\x28", Digest{}}}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(JsonCodecTest, BrakeNoticeIsRead) {
  const auto notice = BrakeNoticeFromJson(R"(["acme", "content", 9, "canary", 4])");
  ASSERT_TRUE(notice.ok()) << notice.status();
  EXPECT_EQ(notice->first, (Scope{.tenant = "acme", .channel = "content", .serial = 9, .ring = "canary"}));
  EXPECT_EQ(notice->second, 4);
  for (const char* text : {"", "{}", "[]", R"(["acme", "content", "9", "canary", 4])"}) {
    EXPECT_EQ(BrakeNoticeFromJson(text).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

}  // namespace
}  // namespace ringfence::storage
