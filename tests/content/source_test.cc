#include "ringfence/content/source.h"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "tests/content/builders.h"

namespace ringfence::content {
namespace {

using ::testing::HasSubstr;

constexpr char kGolden[] = "tests/data/content/golden";

std::string FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The golden source with one text replaced by another; what its parser says.
std::string FaultsAfter(const std::string& from, const std::string& to) {
  std::string text = FileText(std::string(kGolden) + ".yaml");
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return Render("x.yaml", ParseSource(text.replace(at, from.size(), to)).faults);
}

// Pins the format: a reader of today must read what was written by one of the past, and a builder must not
// drift.
TEST(GoldenTest, TheSourceStillGivesTheSameBytes) {
  const Parsed<Content> parsed = ParseSource(FileText(std::string(kGolden) + ".yaml"));
  ASSERT_TRUE(parsed.faults.empty()) << Render("golden.yaml", parsed.faults);
  const std::string golden = FileText(std::string(kGolden) + ".fct");
  EXPECT_TRUE(Signed(parsed.value) == golden);
  const auto result = Validate(Bytes(golden), WithKey());
  ASSERT_TRUE(std::holds_alternative<Layout>(result)) << TextOf(result);
  EXPECT_EQ(Describe(std::get<Layout>(result)), parsed.value);
}

TEST(GoldenTest, TheSchemaBesideItFits) {
  const auto parsed = ParseSchema(FileText("tests/data/content/sensor-7.11.yaml"));
  ASSERT_TRUE(parsed.faults.empty()) << Render("schema", parsed.faults);
  ASSERT_EQ(parsed.value.size(), 2u);
  EXPECT_EQ(parsed.value[1].sensor.ToString(), "7.12.0");
  const std::string golden = FileText(std::string(kGolden) + ".fct");
  EXPECT_EQ(CompareWithSensors(std::get<Layout>(Validate(Bytes(golden), Alone())), parsed.value),
            std::nullopt);
}

TEST(SourceTest, IsReadBackAsItWasWritten) {
  for (const Content& content : {SmallContent(), ContentWith(TextFields(21))}) {
    const Parsed<Content> again = ParseSource(ToSource(content));
    ASSERT_TRUE(again.faults.empty()) << Render("x", again.faults) << ToSource(content);
    EXPECT_EQ(again.value, content);
  }
}

TEST(SourceTest, KeepsQuotesBackslashesAndLeadingBlanks) {
  Content content = SmallContent();
  content.version = " it's: #1 ";
  content.rules[0].conditions[0].text = "\\\"'{[&*!|>%@` ";
  const Parsed<Content> again = ParseSource(ToSource(content));
  ASSERT_TRUE(again.faults.empty()) << Render("x", again.faults);
  EXPECT_EQ(again.value, content);
}

TEST(SourceTest, NamesThePlaceAndTheFieldsThereAre) {
  EXPECT_EQ(FaultsAfter("field: pid, above", "field: pip, above"),
            "x.yaml:18:17: rules[0].when[2].field: found pip, wanted one of the fields pipe, image, pid\n");
}

TEST(SourceTest, RefusesWhatItDoesNotKnowAndWhatIsMissing) {
  EXPECT_THAT(FaultsAfter("serial: 1042", "serials: 1042"), HasSubstr("unknown key 'serials'"));
  EXPECT_THAT(FaultsAfter("serial: 1042\n", ""), HasSubstr("serial: is not here, and has to be"));
  EXPECT_THAT(FaultsAfter("serial: 1042", "serial: 1042\nserial: 1043"), HasSubstr("a second time"));
  EXPECT_THAT(FaultsAfter("ringfence-content/1", "ringfence-content/2"),
              HasSubstr("wanted ringfence-content/1"));
  EXPECT_THAT(FaultsAfter("serial: 1042", "serial: 0"), HasSubstr("wanted a whole number from 1"));
  EXPECT_THAT(FaultsAfter("serial: 1042", "serial: 0x10"), HasSubstr("wanted a whole number"));
  EXPECT_THAT(FaultsAfter("to: 7.19.999", "to: 7.10.0"), HasSubstr("not below `from`"));
  EXPECT_THAT(FaultsAfter("ipc-detect", "IPC"), HasSubstr("channel: found IPC"));
  EXPECT_THAT(FaultsAfter("action: block", "action: delete"), HasSubstr("log, alert or block"));
}

TEST(SourceTest, RefusesAnOperationOnTheWrongType) {
  EXPECT_THAT(
      FaultsAfter("above: 4", "glob: '4*'"),
      HasSubstr("rules[0].when[2].glob: found 4*, wanted an operation on numbers, which is what pid is"));
}

TEST(SourceTest, WantsExactlyOneOperation) {
  EXPECT_THAT(FaultsAfter("above: 4", "above: 4, below: 9"), HasSubstr("a field and one operation"));
  EXPECT_THAT(FaultsAfter("{field: pid, above: 4}", "{field: pid}"), HasSubstr("a field and one operation"));
}

TEST(SourceTest, RefusesControlCharactersWithAPrintableMessage) {
  EXPECT_THAT(FaultsAfter("'\\rundll32.exe'", "\"a\\0b\""), HasSubstr("found a\\x00\\x62, wanted a text"));
}

TEST(SourceTest, RefusesWhatIsNoYaml) {
  EXPECT_FALSE(ParseSource("a: [").faults.empty());
  EXPECT_FALSE(ParseSource("").faults.empty());
  EXPECT_FALSE(ParseSource("--- a\n--- b\n").faults.empty());
  EXPECT_FALSE(ParseSource(std::string(100'000, '[')).faults.empty());
  EXPECT_FALSE(ParseSource(std::string(kMaxSourceBytes + 1, ' ')).faults.empty());
}

// yaml-cpp 0.7 would find empty documents there until memory is full.
TEST(SourceTest, EndsAtABracketBehindTheDocument) {
  for (const char* text : {"a: b}\nc: d\n", "a: b\n}", "x\n]", "}"}) {
    EXPECT_FALSE(ParseSource(text).faults.empty()) << text;
  }
}

// A short file can stand for a very long one.
TEST(SourceTest, LooksAtNoListThatIsLongerThanItMayBe) {
  std::string text = FileText(std::string(kGolden) + ".yaml");
  text = text.substr(0, text.find("rules:"));
  text += "rules:\n  - &r\n    name: one\n    action: log\n    when: &w\n";
  for (int i = 0; i < 65; ++i) text += "      - {field: pipe, present: true}\n";
  for (int i = 0; i < 3000; ++i) text += "  - *r\n";
  const Parsed<Content> parsed = ParseSource(text);
  ASSERT_EQ(parsed.faults.size(), kMaxFaults);
  EXPECT_THAT(parsed.faults[0].what, HasSubstr("found 65 items, wanted at most 64"));
  EXPECT_THAT(Render("x", parsed.faults), HasSubstr("there may be more"));
}

TEST(SourceTest, StopsAtRulesThatNoFileCanHold) {
  std::string text = FileText(std::string(kGolden) + ".yaml");
  text = text.substr(0, text.find("rules:"));
  text += "rules:\n  - &r\n    name: one\n    action: log\n    when:\n";
  for (int i = 0; i < 64; ++i) text += "      - {field: pipe, equals: " + std::string(1000, 'x') + "}\n";
  for (int i = 0; i < 3000; ++i) text += "  - *r\n";
  const Parsed<Content> parsed = ParseSource(text);
  ASSERT_EQ(parsed.faults.size(), 1u);
  EXPECT_THAT(parsed.faults[0].what, HasSubstr("rules that fit into a file of 64 MiB"));
}

TEST(SchemaTest, ReadsOneSchemaForEachSensor) {
  const auto parsed = ParseSchema(
      "format: ringfence-schema/1\nschema: 291\nsensors: [7.11.0, 7.11.0]\nfields: [{name: a, type: "
      "text}]\n");
  ASSERT_EQ(parsed.faults.size(), 1u);
  EXPECT_THAT(parsed.faults[0].what, HasSubstr("each sensor version once"));
}

}  // namespace
}  // namespace ringfence::content
