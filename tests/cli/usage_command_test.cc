// Help, usage, exit codes, where the server and the token come from, completion.
#include <algorithm>
#include <cstdlib>

#include "tests/cli/command_fixture.h"

namespace ringfence::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CommandTest, HelpNamesEveryCommandAndExitCode) {
  EXPECT_EQ(Run({"--help"}), 0);
  for (const char* word :
       {"plan", "release", "rollout", "decision", "agent", "token", "status", "audit", "completion",
        "Exit codes", "server unreachable", "RINGFENCE_SERVER", "RINGFENCE_TOKEN"}) {
    EXPECT_THAT(out(), HasSubstr(word));
  }
}

TEST_F(CommandTest, WrongUsageEndsWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"plan"},
                                             {"plan", "fly"},
                                             {"rollout", "watch"},
                                             {"status", "-o", "xml"},
                                             {"status", "--timeout", "soon"},
                                             {"rollout", "halt", "content/3"},
                                             {"plan", "validate", "/no/such/file"},
                                             {"release", "publish", "x"}}) {
    EXPECT_EQ(Run(arguments), 2) << ::testing::PrintToString(arguments);
    EXPECT_NE(err(), "") << ::testing::PrintToString(arguments);
  }
}

TEST_F(CommandTest, EveryKindOfRefusalHasItsExitCodeAndSaysWhatToDoNext) {
  const std::pair<absl::Status, int> kCases[] = {
      {absl::InternalError("boom"), 1},          {absl::InvalidArgumentError("no"), 2},
      {absl::UnavailableError("refused"), 3},    {absl::DeadlineExceededError("late"), 3},
      {absl::UnauthenticatedError("who"), 4},    {absl::PermissionDeniedError("role"), 4},
      {absl::AbortedError("revision moved"), 5}, {absl::AlreadyExistsError("there"), 5},
      {absl::NotFoundError("none"), 6},          {absl::FailedPreconditionError("state"), 7}};
  for (const auto& [status, code] : kCases) {
    server_.Fail("FleetService/GetServerStatus", status);
    EXPECT_EQ(Run({"status"}), code) << status;
    EXPECT_THAT(err(), AllOf(StartsWith("ringfence: "), HasSubstr(std::string(status.message())),
                             HasSubstr("  next: ")));
    EXPECT_EQ(out(), "");
  }
}

TEST_F(CommandTest, TakesServerAndTokenFromFlagsThenEnvironment) {
  server_.On("FleetService/GetServerStatus", v1::GetServerStatusResponse());
  Run({"status"});
  EXPECT_EQ(server_.options().server, "127.0.0.1:7443");
  environment_ = {{"RINGFENCE_SERVER", "fleet:1"}, {"RINGFENCE_TOKEN", "from-env"}};
  Run({"status"});
  EXPECT_EQ(server_.options().server, "fleet:1");
  EXPECT_EQ(server_.options().token, "from-env");
  Run({"--server", "other:2", "--token-file", File("token", "from-file\n"), "status", "--timeout", "3s"});
  EXPECT_EQ(server_.options().server, "other:2");
  EXPECT_EQ(server_.options().token, "from-file");
  EXPECT_EQ(server_.options().timeout, absl::Seconds(3));
}

TEST_F(CommandTest, ForeignTextCannotWriteToTheTerminal) {
  server_.Fail("FleetService/GetServerStatus", absl::InternalError("\x1b[2Jgone \x07 \xc2\x9b"));
  Run({"status"});
  EXPECT_THAT(err(), AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\x07")), Not(HasSubstr("\x9b"))));
}

TEST_F(CommandTest, AnActInDoubtSaysHowToRepeatItSafely) {
  server_.Fail("RolloutService/PauseRollout", absl::DeadlineExceededError("no answer"));
  EXPECT_EQ(Run({"rollout", "pause", "--tenant", "acme", "-m", "x", "--request-id", "mine"}), 3);
  EXPECT_THAT(err(), HasSubstr("--request-id mine is done once"));
  server_.Fail("FleetService/GetServerStatus", absl::DeadlineExceededError("no answer"));
  EXPECT_EQ(Run({"status"}), 3);
  EXPECT_THAT(err(), Not(HasSubstr("request-id")));
}

TEST_F(CommandTest, ASerialIsAPositiveNumber) {
  EXPECT_EQ(Run({"release", "publish", File("c", "x"), "--channel", "content", "--serial", "-4"}), 2);
  EXPECT_THAT(err(), HasSubstr("--serial"));
}

TEST_F(CommandTest, ListsFollowTheirPages) {
  server_.On("FleetService/ListAuditEvents", Proto<v1::ListAuditEventsResponse>(R"(
      events { at { seconds: 1700000000 } person: "ana" role: "sre" act: "halt" target: "content/3" reason: "bricks" } next_page_token: "more")"));
  EXPECT_EQ(Run({"audit", "--limit", "3"}), 0);  // the same page three times: the limit ends it
  const std::string text = out();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4) << text;
}

TEST_F(CommandTest, CompletionKnowsTheWholeTree) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(Run({"completion", shell}), 0);
    EXPECT_THAT(out(), AllOf(HasSubstr("rollback"), HasSubstr("plan history"), HasSubstr("reverted"),
                             HasSubstr("until")))
        << shell;
  }
}

TEST_F(CommandTest, BashCompletionRuns) {
  Run({"completion", "bash"});
  const std::string script = File("complete.bash", out() + R"(
check() { COMP_WORDS=("${@:1:$#-1}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _ringfence
          case " ${COMPREPLY[*]} " in *" ${@: -1} "*) ;; *) echo "wanted ${*: -1} after ${COMP_WORDS[*]}, got ${COMPREPLY[*]}"; exit 1 ;; esac; }
check ringfence ro rollout
check ringfence rollout wa watch
check ringfence rollout watch --until ha halted
check ringfence --server x rollout halt content/3 --re --reason
check ringfence completion f fish
)");
  EXPECT_EQ(std::system(("bash " + script).c_str()), 0);
}

}  // namespace
}  // namespace ringfence::cli
