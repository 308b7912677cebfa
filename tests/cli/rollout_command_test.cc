// ringfence rollout ... and ringfence decision ...
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "ringfence/trust/dsse.h"
#include "ringfence/trust/halt.h"
#include "ringfence/trust/sealed_key.h"
#include "tests/cli/command_fixture.h"

namespace ringfence::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CommandTest, RolloutShowTellsTheWholeStory) {
  server_.On("RolloutService/GetRollout",
             Proto<v1::GetRolloutResponse>(std::string("rollout {") + kRollout + "}"));
  EXPECT_EQ(Run({"rollout", "show", "content/3"}), 0);
  EXPECT_EQ(
      out(),
      "content/3 1.2.0  halted  unproven 8 of 12  healthy 6  evidence 141: hold\n"
      "  vendor-internal/dogfood halted     wave 1/2 [██▒✗◂                              ]   14/100   "
      "4 harmed  2 back  halt\n"
      "  acme/canary             waiting             [                                   ]    0/20    "
      "internal_not_passed\n"
      "  brake  halted, exposed hosts ordered back for every tenant  by server\n"
      "         gate_silence: 4 of 14 exposed hosts fell silent\n"
      "  gate   silence  4 bad of 14 exposed, 0.2 expected\n"
      "  stage  3 hosts could not fetch, verify or write it\n"
      "  ledger exposed 14, harmed 4, saved 2, first harm to last lease 1m 30s; a push to everyone "
      "reaches 2000\n"
      "         2 hosts have not been heard on their old version yet\n"
      "  small  acme/canary: 20 hosts: this ring alone certifies nothing; the release as a whole and the "
      "gates decide\n"
      "  why    vendor-internal/dogfood: a brake is on\n");
}

TEST_F(CommandTest, RolloutExcludeNamesTheLabelAndTellsWhomItConcerns) {
  v1::ExcludeCohortResponse response;
  response.add_blocked_cells("coinstalled=symantec-dlp");
  response.set_hosts(26);
  server_.On("RolloutService/ExcludeCohort", response);
  EXPECT_EQ(Run({"rollout", "exclude", "content/3", "--label", "coinstalled=symantec-dlp", "--reason",
                 "26 hosts fell silent"}),
            0)
      << err();
  EXPECT_EQ(out(), "kept from coinstalled=symantec-dlp; 26 hosts are ordered back, the others go on\n");
  EXPECT_THAT(server_.Asked("RolloutService/ExcludeCohort"),
              AllOf(HasSubstr("channel: \"content\""), HasSubstr("serial: 3"),
                    HasSubstr("cohort: \"coinstalled=symantec-dlp\""),
                    HasSubstr("reason: \"26 hosts fell silent\""), HasSubstr("request_id: \"")));
  EXPECT_EQ(Run({"rollout", "exclude", "content/3", "--reason", "why"}), 2) << "without a label";
  EXPECT_EQ(Run({"rollout", "exclude", "content/3", "--label", "os=xp"}), 2) << "without a reason";
  server_.Fail("RolloutService/ExcludeCohort", absl::FailedPreconditionError("os=xp is excluded already"));
  EXPECT_NE(Run({"rollout", "exclude", "content/3", "--label", "os=xp", "--reason", "again"}), 0);
  EXPECT_THAT(err(), HasSubstr("os=xp is excluded already"));
}

TEST_F(CommandTest, RolloutUnblockTellsWhatTheReleaseIsStillKeptFrom) {
  v1::UnblockCohortResponse response;
  response.add_blocked_cells("os=xp");
  server_.On("RolloutService/UnblockCohort", response);
  EXPECT_EQ(Run({"rollout", "unblock", "content/3", "--label", "coinstalled=dlp", "--reason", "mended"}), 0)
      << err();
  EXPECT_EQ(out(), "let in again: coinstalled=dlp\nstill kept from os=xp\n");
  EXPECT_EQ(Run({"rollout", "unblock", "content/3", "--tenant", "acme", "--reason", "mended"}), 0);
  EXPECT_THAT(server_.Asked("RolloutService/UnblockCohort"), HasSubstr("cohort: \"tenant acme\""));
  EXPECT_EQ(Run({"rollout", "unblock", "content/3", "--reason", "mended"}), 2) << "names nobody";
  EXPECT_EQ(Run({"rollout", "unblock", "content/3", "--tenant", "acme", "--label", "os=xp", "--reason", "x"}),
            2)
      << "one at a time";
}

// A hold by a gate whose counts are on record.
v1::ListDecisionsResponse OneDecision(bool forged) {
  v1::ListDecisionsResponse response = Proto<v1::ListDecisionsResponse>(
      R"(decisions { id: 7 at { seconds: 1700000000 } scope { channel: "content" serial: 3 } action: "hold"
         rule: "gate_crash" actor: "server" why: "3 of 14 exposed hosts crashed" cohort: "os=xp" })");
  response.mutable_decisions(0)->set_evidence(absl::StrCat(
      R"({"m_r":1.5,"m_r_in_order":1,"m_a":1,"unproven":3,"healthy":0,"exposed":14,"acted":"gate_crash","gates":[)",
      R"({"gate":"crash","cohort":"os=xp","max_rate_ppm":10000,"min_count":3,"bad":)", forged ? 2 : 3,
      R"(,"exposed":14,"breached":true,"suspect":false}]})"));
  return response;
}

TEST_F(CommandTest, DecisionShowTellsWhatBothJudgesThought) {
  server_.On("RolloutService/ListDecisions", OneDecision(false));
  EXPECT_EQ(Run({"decision", "show", "7"}), 0);
  EXPECT_THAT(server_.Asked("RolloutService/ListDecisions"), HasSubstr("page_token: \"8\""));
  EXPECT_THAT(out(), AllOf(HasSubstr("none (M_R 1.5, in order 1, M_A 1)"),
                           HasSubstr("crash os=xp 3 of 14 breached"), HasSubstr("gate_crash")));
  EXPECT_EQ(Run({"decision", "show", "8"}), 6);
  EXPECT_EQ(Run({"decision", "show", "seven"}), 2);
}

TEST_F(CommandTest, DecisionReplayEndsWithNineWhenItComesOutOtherwise) {
  server_.On("RolloutService/ListDecisions", OneDecision(false));
  EXPECT_EQ(Run({"decision", "replay", "7"}), 0);
  EXPECT_THAT(out(), HasSubstr("the same, by the gate"));
  EXPECT_EQ(Run({"decision", "replay", "--release", "content/3"}), 0);
  EXPECT_THAT(out(), HasSubstr("1 decisions, none differs"));
  server_.On("RolloutService/ListDecisions", OneDecision(true));
  EXPECT_EQ(Run({"decision", "replay", "7"}), 9);
  EXPECT_THAT(out(), AllOf(HasSubstr("DIFFERENT"), HasSubstr("breached")));
  EXPECT_EQ(Run({"decision", "replay"}), 2);
}

TEST_F(CommandTest, RolloutEvidenceDrawsTheWealthBesideTheLines) {
  v1::ListEvidenceResponse response =
      Proto<v1::ListEvidenceResponse>(R"(serial: 3 rho0: 1 k_max: 64 test: 1)");
  for (int i = 0; i < 4; ++i) {
    *response.add_records() = Proto<v1::EvidenceRecord>(absl::StrCat(
        "at { seconds: ", 1'700'000'000 + 600 * i,
        R"(} replica: 1 seq: 1 treated: 1 events { channel: "silence" treated: true pi: 0.02 cells: "tenant acme"
           cells: "os=xp" })"));
  }
  server_.On("RolloutService/ListEvidence", response);
  EXPECT_EQ(Run({"rollout", "evidence", "content/3"}), 0);
  EXPECT_THAT(out(), AllOf(StartsWith("content/3\n"), HasSubstr("1000 |"), HasSubstr("a tenant acme"),
                           HasSubstr("b os=xp"), HasSubstr("# M_R ")));
  const std::string file = folder_ + "/evidence.svg";
  EXPECT_EQ(Run({"rollout", "evidence", "content/3", "--svg", file}), 0);
  std::ostringstream svg;
  svg << std::ifstream(file).rdbuf();
  EXPECT_THAT(svg.str(),
              AllOf(StartsWith("<svg "), HasSubstr("halt 1000"), HasSubstr("os=xp"), EndsWith("</svg>\n")));
  EXPECT_EQ(Run({"rollout", "evidence", "content/3", "--svg", folder_ + "/no/such/folder/x.svg"}), 2);
}

TEST_F(CommandTest, ColoursOnlyOnATerminalThatWantsThem) {
  server_.On("RolloutService/GetRollout",
             Proto<v1::GetRolloutResponse>(std::string("rollout {") + kRollout + "}"));
  Run({"rollout", "show", "content/3"});
  EXPECT_THAT(out(), Not(HasSubstr("\x1b[")));
  world_.out_is_tty = true;
  Run({"rollout", "show", "content/3"});
  EXPECT_THAT(out(), HasSubstr("\x1b[31m"));
  environment_["NO_COLOR"] = "1";
  Run({"rollout", "show", "content/3"});
  EXPECT_THAT(out(), Not(HasSubstr("\x1b[")));
}

v1::WatchRolloutResponse At(v1::StageState state, int exposed, int confirmed) {
  v1::WatchRolloutResponse response;
  v1::ReleaseManifest* manifest = response.mutable_rollout()->mutable_release()->mutable_manifest();
  manifest->set_channel("content");
  manifest->set_serial(1);
  v1::Stage* stage = response.mutable_rollout()->add_stages();
  stage->set_tenant("acme");
  stage->set_ring("canary");
  stage->set_state(state);
  stage->set_wave(state == v1::STAGE_STATE_WAITING ? 0 : 1);
  stage->set_waves(1);
  stage->set_members(4);
  stage->mutable_outcomes()->set_exposed(exposed);
  stage->mutable_outcomes()->set_confirmed(confirmed);
  stage->mutable_outcomes()->set_pending(exposed - confirmed);
  return response;
}

TEST_F(CommandTest, WatchPrintsALineForEachTurnAndEndsWhenToldTo) {
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_WAITING, 0, 0));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 0, 0));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 2, 1));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 0, 0));  // never looked at
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 0);
  EXPECT_EQ(out(),
            "23:13:20 acme/canary waiting, 0 of 4 exposed, 0 confirmed\n"
            "23:13:20 content/1 is waiting\n"
            "23:13:20 acme/canary open wave 1/1, 0 of 4 exposed, 0 confirmed\n"
            "23:13:20 content/1 is open\n"
            "23:13:20 acme/canary passed wave 1/1, 4 of 4 exposed, 4 confirmed\n"
            "23:13:20 content/1 is passed\n");
}

TEST_F(CommandTest, AReleaseWithRingsToComeHasPassedSoFarOnly) {
  v1::WatchRolloutResponse so_far = At(v1::STAGE_STATE_PASSED, 4, 4);
  (*so_far.mutable_rollout()->mutable_rings_to_come())["bolt"] = 2;
  v1::ListRolloutsResponse list;
  *list.add_rollouts() = so_far.rollout();
  server_.On("RolloutService/ListRollouts", list);
  EXPECT_EQ(Run({"rollout", "list"}), 0);
  EXPECT_THAT(out(), HasSubstr(" passed so far "));

  server_.On("RolloutService/WatchRollout", so_far);
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("content/1 is passed so far\n"), EndsWith("content/1 is passed\n")));

  server_.On("RolloutService/WatchRollout", so_far);
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--tenant", "acme", "--until", "passed"}), 0);
  EXPECT_THAT(out(), EndsWith("content/1 is passed\n"));
}

TEST_F(CommandTest, WatchSaysWhenItEndedOtherwise) {
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_HALTED, 2, 0));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 8);
  EXPECT_EQ(err(), "ringfence: it ended halted, not passed\n");
}

TEST_F(CommandTest, WatchRedrawsInPlaceOnATerminal) {
  world_.out_is_tty = true;
  environment_["NO_COLOR"] = "1";
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_OPEN, 0, 0));
  server_.Then("RolloutService/WatchRollout",
               At(v1::STAGE_STATE_OPEN, 0, 0));  // the same picture is not drawn again
  server_.Then("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed"}), 0);
  EXPECT_THAT(out(), HasSubstr("\x1b[2A"));
  EXPECT_EQ(out().find("\x1b[2A"), out().rfind("\x1b[2A"));
  EXPECT_THAT(out(), HasSubstr("[████████████████████████████████████████]    4/4"));
}

TEST_F(CommandTest, WatchInJsonIsOneObjectALine) {
  server_.On("RolloutService/WatchRollout", At(v1::STAGE_STATE_PASSED, 4, 4));
  EXPECT_EQ(Run({"rollout", "watch", "content/1", "--until", "passed", "-o", "json"}), 0);
  EXPECT_THAT(out(), AllOf(StartsWith("{\"id\":0,\"release\":{"), EndsWith("}\n")));
}

TEST_F(CommandTest, BrakesCarryTheirScopeAndTheReason) {
  server_.On("RolloutService/PauseRollout",
             Proto<v1::PauseRolloutResponse>(R"(brake { scope { tenant: "acme" channel: "content" } })"));
  EXPECT_EQ(Run({"rollout", "pause", "content", "--tenant", "acme", "-m", "audit week"}), 0);
  EXPECT_EQ(out(), "paused every release of content for acme\n");
  EXPECT_THAT(server_.Asked("RolloutService/PauseRollout"),
              AllOf(HasSubstr("scope { tenant: \"acme\" channel: \"content\" }"),
                    HasSubstr("reason: \"audit week\"")));
  server_.On("RolloutService/ResumeRollout", Proto<v1::ResumeRolloutResponse>("needs_second_person: true"));
  EXPECT_EQ(Run({"rollout", "resume", "content/3", "--brake", "halt", "-m", "fixed"}), 0);
  EXPECT_THAT(out(), HasSubstr("a second person"));
  EXPECT_THAT(server_.Asked("RolloutService/ResumeRollout"), HasSubstr("brake: BRAKE_KIND_HALT"));
}

// A halted release, and what the server shows of the order that waits.
v1::GetRolloutResponse Halted(const std::string& order = "") {
  auto response = Proto<v1::GetRolloutResponse>(R"(rollout {
      release { manifest { channel: "content" serial: 3 version: "1" } }
      brakes { scope { channel: "content" serial: 3 } halted: true halt_id: "abababababababababababababababab"
               halt_seq: 1700000000000000 first_approver: "ann" } })");
  response.mutable_rollout()->mutable_release()->mutable_manifest()->set_digest(std::string(32, 'd'));
  response.mutable_rollout()->mutable_brakes(0)->set_resume_order(order);
  return response;
}

class ResumeCommandTest : public CommandTest {
 protected:
  ResumeCommandTest() {
    server_.On("RolloutService/GetRollout", Halted());
    server_.On("FleetService/GetServerStatus",
               Proto<v1::GetServerStatusResponse>("now { seconds: 1700000100 }"));
    server_.On("RolloutService/ResumeRollout", Proto<v1::ResumeRolloutResponse>("needs_second_person: true"));
  }
  std::string KeyOf(const std::string& person, char seed) {
    return File(person + ".key", *trust::ThrowawayKey(std::string(32, seed), person));
  }
  int Resume(const std::string& key, const std::string& reason = "the proxy was down") {
    return Run({"rollout", "resume", "content/3", "--brake", "halt", "--sign-with", key, "-m", reason});
  }
  // What the last call sent.
  std::string Sent() {
    v1::ResumeRolloutRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(server_.Asked("RolloutService/ResumeRollout"),
                                                              &request));
    return request.signed_order();
  }
};

TEST_F(ResumeCommandTest, TwoPersonsSignTheSameOrderOneAfterTheOther) {
  EXPECT_EQ(Resume(KeyOf("ann", 'a')), 0) << err();
  EXPECT_THAT(out(), HasSubstr("a second person"));
  EXPECT_THAT(err(), AllOf(HasSubstr("to go on after halt abab"), HasSubstr("good until")));
  trust::Authority authority;
  for (const auto& [person, seed] : {std::pair("ann", 'a'), std::pair("bob", 'b')})
    authority.resume.push_back({trust::SigningKey::FromSeed(std::string(32, seed))->public_key(), person});
  const std::string first = Sent();
  EXPECT_FALSE(trust::VerifyOrder(first, authority, absl::FromUnixSeconds(1'700'000'200)).ok());

  server_.On("RolloutService/GetRollout", Halted(first));
  server_.On("RolloutService/ResumeRollout", v1::ResumeRolloutResponse());
  EXPECT_EQ(Resume(KeyOf("bob", 'b'), "looked at it"), 0) << err();
  EXPECT_THAT(err(), HasSubstr("signed by ann, because: the proxy was down"));
  EXPECT_THAT(out(), HasSubstr("resumed content/3"));
  const auto order = trust::VerifyOrder(Sent(), authority, absl::FromUnixSeconds(1'700'000'200));
  ASSERT_TRUE(order.ok()) << order.status();
  EXPECT_EQ(order->halt_id, std::string("abababababababababababababababab"));
  EXPECT_EQ(order->halt_seq, 1'700'000'000'000'000U);
  EXPECT_EQ(order->reason, "the proxy was down");
  EXPECT_FALSE(
      trust::VerifyOrder(Sent(), authority, absl::FromUnixSeconds(1'700'000'100) + trust::kResumeLife).ok());
}

TEST_F(ResumeCommandTest, AnOrderForAnotherHaltIsNotSigned) {
  EXPECT_EQ(Resume(KeyOf("ann", 'a')), 0);
  const std::string first = Sent();
  auto later = Halted(first);
  later.mutable_rollout()->mutable_brakes(0)->set_halt_seq(1'700'000'000'000'001);
  server_.On("RolloutService/GetRollout", later);
  EXPECT_EQ(Resume(KeyOf("bob", 'b')), 0);
  EXPECT_THAT(err(), Not(HasSubstr("signed by")));
  const auto second = trust::ParseEnvelope(Sent());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->signatures.size(), 1U);
  EXPECT_EQ(trust::ReadOrder(*second)->halt_seq, 1'700'000'000'000'001U);
}

TEST_F(ResumeCommandTest, SignsOnlyWhatIsHaltedAndOnlyForAHalt) {
  const std::string key = KeyOf("ann", 'a');
  EXPECT_EQ(Run({"rollout", "resume", "content/3", "--sign-with", key, "-m", "x"}), 2);
  auto free = Halted();
  free.mutable_rollout()->clear_brakes();
  server_.On("RolloutService/GetRollout", free);
  EXPECT_NE(Resume(key), 0);
  EXPECT_THAT(err(), HasSubstr("nothing is halted"));
  EXPECT_EQ(server_.Asked("RolloutService/ResumeRollout"), "");
}

TEST_F(CommandTest, ARequestForAWayAroundIsSentAndItsRefusalShown) {
  server_.Fail("RolloutService/RequestBypass",
               absl::PermissionDeniedError("bypass_denied: skip_ring: nobody goes around a plan"));
  EXPECT_NE(Run({"rollout", "request-bypass", "content/3", "--tenant", "acme", "--what", "skip-ring", "-m",
                 "asked"}),
            0);
  EXPECT_THAT(err(), HasSubstr("bypass_denied"));
  EXPECT_THAT(server_.Asked("RolloutService/RequestBypass"), HasSubstr("kind: BYPASS_KIND_SKIP_RING"));
}

TEST_F(CommandTest, UrgentReleasesAreListedAndAcknowledged) {
  server_.On("ReleaseService/ListUrgentReleases", Proto<v1::ListUrgentReleasesResponse>(R"(
      releases { release { manifest { channel: "content" serial: 3 version: "1.2.0" } } tenant: "acme"
                 effect: "the plan lets nothing move faster" })"));
  EXPECT_EQ(Run({"release", "urgent"}), 0);
  EXPECT_THAT(out(), AllOf(HasSubstr("content/3"), HasSubstr("nothing move faster"), HasSubstr("nobody")));
  EXPECT_THAT(server_.Asked("ReleaseService/ListUrgentReleases"), HasSubstr("waiting_only: true"));
  server_.On("ReleaseService/AcknowledgeRelease", Proto<v1::AcknowledgeReleaseResponse>(R"(
      release { tenant: "acme" effect: "the plan lets nothing move faster" acknowledged_by: "ana" })"));
  EXPECT_EQ(Run({"release", "acknowledge", "content/3", "-m", "seen"}), 0);
  EXPECT_EQ(out(), "acknowledged content/3 for acme: the plan lets nothing move faster\n");
}

TEST_F(CommandTest, ARolloutThatNoRingTakesSaysWhy) {
  server_.On("RolloutService/GetRollout", Proto<v1::GetRolloutResponse>(R"(
      rollout { release { manifest { channel: "content" serial: 3 version: "1" } }
                why: "the vendor's own tenant v has no plan, and every release starts there" })"));
  EXPECT_EQ(Run({"rollout", "show", "content/3"}), 0);
  EXPECT_THAT(out(), HasSubstr("why    the vendor's own tenant v has no plan"));
}

}  // namespace
}  // namespace ringfence::cli
