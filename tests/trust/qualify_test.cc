#include "ringfence/trust/qualify.h"

#include <gmock/gmock.h>

#include "ringfence/base/hash.h"
#include "ringfence/trust/qualification.h"

namespace ringfence::trust {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TestName kBoot = {"win", "7.11.0", "boot"}, kLoad = {"win", "7.11.0", "load"};

TestResults Read(const std::string& xml, const RanOn& ran_on = {"win", "7.11.0"}) {
  TestResults results;
  const absl::Status status = AddJUnit(xml, ran_on, &results);
  EXPECT_TRUE(status.ok()) << status;
  return results;
}

std::string WhyNot(const std::string& xml, const RanOn& ran_on = {}) {
  TestResults results;
  return std::string(AddJUnit(xml, ran_on, &results).message());
}

TEST(JUnitTest, ReadsPassedFailedAndSkippedTests) {
  const TestResults results = Read(R"(<?xml version="1.0" encoding="UTF-8"?>
<!-- a lab -->
<testsuites tests="4">
  <testsuite name="ipc" tests="4">
    <testcase name="boot" classname="ipc" time="1.5"/>
    <testcase name="load"><failure message="a &lt; b"><![CDATA[ <not a tag> ]]></failure></testcase>
    <testcase name="mount"><error/></testcase>
    <testcase name="sleep"><skipped/><system-out>text &amp; more</system-out></testcase>
  </testsuite>
</testsuites>
)");
  EXPECT_THAT(results.passed, ElementsAre(kBoot));
  EXPECT_THAT(results.failed, ElementsAre(kLoad, TestName{"win", "7.11.0", "mount"}));
  EXPECT_THAT(results.skipped, ElementsAre(TestName{"win", "7.11.0", "sleep"}));
}

TEST(JUnitTest, ReadsWhatGoogleTestWrites) {
  const TestResults results = Read(
      R"(<testsuites><testsuite name="A"><testcase name="boot" status="run" result="completed" classname="A" />)"
      R"(<testcase name="load" status="notrun" result="suppressed" /></testsuite></testsuites>)");
  EXPECT_THAT(results.passed, ElementsAre(kBoot));
  EXPECT_THAT(results.skipped, ElementsAre(kLoad));
}

TEST(JUnitTest, TakesPlatformAndSensorFromTheNameTheSuiteOrTheSide) {
  const TestResults results = Read(R"(<testsuite>
    <properties><property name="platform" value="linux"/><property name="sensor" value="7.12.0"/></properties>
    <testcase name="boot"/>
    <testcase name="mac|7.13.0|boot"/>
    <testsuite><properties><property name="platform" value="bsd"/></properties><testcase name="boot"/></testsuite>
    </testsuite>)");
  EXPECT_THAT(results.passed,
              ElementsAre(TestName{"bsd", "7.12.0", "boot"}, TestName{"linux", "7.12.0", "boot"},
                          TestName{"mac", "7.13.0", "boot"}));
  EXPECT_THAT(WhyNot("<testsuite><testcase name='boot'/></testsuite>"),
              HasSubstr("found no platform, wanted both"));
  EXPECT_THAT(WhyNot("<testsuite><testcase name='boot'/></testsuite>", {"win", ""}),
              HasSubstr("found no sensor"));
  EXPECT_THAT(WhyNot("<testsuite><testcase name='a|b'/></testsuite>", {"win", "1"}),
              HasSubstr("PLATFORM|SENSOR|TEST"));
  EXPECT_THAT(WhyNot("<testsuite><testcase/></testsuite>", {"win", "1"}), HasSubstr("found ''"));
}

// A retry that passed does not undo the failure, in whatever order they stand.
TEST(JUnitTest, LetsTheWorstOutcomeOfATestWin) {
  const TestResults results = Read(
      "<testsuite><testcase name='boot'><failure/></testcase><testcase name='boot'/>"
      "<testcase name='load'/><testcase name='load'><skipped/></testcase></testsuite>");
  EXPECT_THAT(results.passed, IsEmpty());
  EXPECT_THAT(results.failed, ElementsAre(kBoot));
  EXPECT_THAT(results.skipped, ElementsAre(kLoad));
  TestResults two = Read("<testsuite><testcase name='boot'/></testsuite>");
  ASSERT_TRUE(
      AddJUnit("<testsuite><testcase name='boot'><error/></testcase></testsuite>", {"win", "7.11.0"}, &two)
          .ok());
  EXPECT_THAT(two.passed, IsEmpty());
}

TEST(JUnitTest, RefusesWhatIsNoResult) {
  for (const char* xml :
       {"", "text", "<a/>", "<testsuite/>", "<testsuite>", "<testsuite></testsuites>",
        "<testsuite/><testsuite/>", "<testsuite a=1/>", "<testsuite a='1' a='2'/>", "<testsuite a='<'/>",
        "<testsuite a='&nbsp;'/>", "<testsuite a='&#0;'/>", "<testsuite a='&#xd800;'/>",
        "<testsuite a='&amp'/>", "<testsuite a='", "<!-- ", "<",
        "<testsuite><testcase name='&#7;'/></testsuite>", "<testsuite><testcase name='\xff'/></testsuite>"}) {
    EXPECT_NE(WhyNot(xml, {"win", "1"}), "") << xml;
  }
}

TEST(JUnitTest, RefusesWhatCouldUnfoldOrReachOutside) {
  EXPECT_THAT(WhyNot("<!DOCTYPE a [<!ENTITY x 'y'>]>\n<testsuite/>"),
              HasSubstr("line 1: found a declaration"));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<testsuite>";
  EXPECT_THAT(WhyNot(deep), HasSubstr("more than 32 levels"));
  EXPECT_THAT(WhyNot(std::string(kMaxResultBytes + 1, ' ')), HasSubstr("at most"));
}

TEST(JUnitTest, UnderstandsEntities) {
  EXPECT_THAT(Read("<testsuite><testcase name='&lt;&#233;&#x1F680;&apos;'/></testsuite>").passed,
              ElementsAre(TestName{"win", "7.11.0", "<é🚀'"}));
}

TEST(QualifyTest, MakesEvidenceThatIsLetIn) {
  const SigningKey lab = SigningKey::Generate();
  const std::vector<PublicKey> keys = {lab.public_key()};
  const Digest artifact = Sha256("bytes");
  const TestResults results = Read(
      "<testsuite><testcase name='boot'/><testcase name='load'/><testcase "
      "name='nap'><skipped/></testcase></testsuite>");
  const TestStatement statement =
      MakeTestStatement("ipc.fct", artifact, results, {FileResource("matrix", "m")}, "");
  const auto envelope = SealStatement(statement, lab);
  ASSERT_TRUE(envelope.ok()) << envelope.status();
  const RequiredTests required = {{"win"}, {"7.11.0"}, {"boot", "load"}, Sha256("m")};
  const auto judged = VerifyQualification(*envelope, artifact, {keys, 1}, required);
  EXPECT_TRUE(std::holds_alternative<Qualification>(judged)) << ToString(std::get<Refusal>(judged));
  const RequiredTests nap = {{"win"}, {"7.11.0"}, {"nap"}, std::nullopt};
  EXPECT_TRUE(std::holds_alternative<Refusal>(VerifyQualification(*envelope, artifact, {keys, 1}, nap)));
  EXPECT_TRUE(
      std::holds_alternative<Refusal>(VerifyQualification(*envelope, Sha256("others"), {keys, 1}, required)));
}

TEST(QualifyTest, DoesNotSignFailuresOrNothing) {
  const SigningKey lab = SigningKey::Generate();
  TestResults results;
  EXPECT_THAT(
      std::string(SealStatement(MakeTestStatement("x", Digest(), results, {}, ""), lab).status().message()),
      HasSubstr("no test that passed"));
  results.passed = {kBoot};
  results.failed = {kLoad};
  const absl::Status status = SealStatement(MakeTestStatement("x", Digest(), results, {}, ""), lab).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("found 1, the first win|7.11.0|load"));
}

TEST(QualifyTest, DoesNotSignMoreThanAVerifierReads) {
  TestResults results;
  for (int i = 0; i < 10'000; ++i)
    results.passed.insert({"win", "7.11.0", std::string(30, 'x') + std::to_string(i)});
  EXPECT_TRUE(absl::IsInvalidArgument(
      SealStatement(MakeTestStatement("x", Digest(), results, {}, ""), SigningKey::Generate()).status()));
}

}  // namespace
}  // namespace ringfence::trust
