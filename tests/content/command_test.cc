// ringfence-content, run whole.
#include "command.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ringfence/content/source.h"
#include "tests/content/builders.h"

namespace ringfence::content {
namespace {

using ::testing::HasSubstr;

constexpr char kSource[] = "tests/data/content/golden.yaml";
constexpr char kGolden[] = "tests/data/content/golden.fct";
constexpr char kSchema[] = "tests/data/content/sensor-7.11.yaml";

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    std::string pattern = ::testing::TempDir() + "ringfence-content-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    Write("key.pem", TestKey().ToPem());
    Write("key.pub.pem", TestKey().public_key().ToPem());
  }
  ~CommandTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }
  std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int Run(const std::vector<std::string>& args) {
    out_.str("");
    err_.str("");
    return RunCommand(args, out_, err_);
  }

  std::string folder_;
  std::ostringstream out_, err_;
};

TEST_F(CommandTest, BuildsTheGoldenFile) {
  ASSERT_EQ(Run({"build", kSource, "-o", Path("a.fct"), "--key", Path("key.pem"), "--schema", kSchema}),
            kExitOk)
      << err_.str();
  EXPECT_TRUE(Read(Path("a.fct")) == Read(kGolden));
  EXPECT_EQ(err_.str(), "");
  EXPECT_THAT(out_.str(), HasSubstr("ipc-detect/1042 2026.11.22.3"));
}

TEST_F(CommandTest, SaysWhatABuildWithoutKeyAndSchemaLacks) {
  ASSERT_EQ(Run({"build", kSource, "-o", Path("a.fct")}), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("warning: not signed"));
  EXPECT_THAT(err_.str(), HasSubstr("--schema FILE"));
}

TEST_F(CommandTest, WarnsOfAFieldThatNoTestCanHaveTried) {
  Content content = ContentWith(TextFields(2));
  content.rules[1].conditions[0] = {1, Op::kPresent, "", 0};
  Write("wild.yaml", ToSource(content));
  ASSERT_EQ(Run({"build", Path("wild.yaml"), "-o", Path("a.fct")}), kExitOk) << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("no rule looks at the value of input 1 (i1)"));
}

TEST_F(CommandTest, VerifiesSignatureAndInputs) {
  ASSERT_EQ(Run({"verify", kGolden, "--key", Path("key.pub.pem"), "--schema", kSchema}), kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("3, what every sensor given supplies"));
  ASSERT_EQ(Run({"verify", kGolden}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("signature  not checked"));
}

// The three files of the demonstration, in words that say what to do.
TEST_F(CommandTest, RefusesZerosTwentyOneFieldsAndAForeignKeyInWords) {
  Write("zeros.fct", std::string(40'960, '\0'));
  EXPECT_EQ(Run({"verify", Path("zeros.fct")}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("BAD_MAGIC: header.magic (byte 0): found zeros"));
  EXPECT_THAT(err_.str(), HasSubstr("next: this is not the file that was built"));

  Write("21.fct", Signed(ContentWith(TextFields(21))));
  std::string schema = "format: ringfence-schema/1\nschema: 291\nsensors: [7.11.0]\nfields:\n";
  for (const Field& field : TextFields(20)) schema += "  - {name: " + field.name + ", type: text}\n";
  Write("20.yaml", schema);
  EXPECT_EQ(Run({"verify", Path("21.fct"), "--schema", Path("20.yaml")}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("found 21 inputs, wanted 20"));
  EXPECT_THAT(err_.str(), HasSubstr("next: give the content exactly the inputs"));

  Write("other.pub.pem", trust::SigningKey::Generate().public_key().ToPem());
  EXPECT_EQ(Run({"verify", kGolden, "--key", Path("other.pub.pem")}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("SIGNATURE: trailer.keyid"));
}

TEST_F(CommandTest, RefusesToBuildForASensorThatSuppliesLess) {
  Write("21.yaml", ToSource(ContentWith(TextFields(21))));
  EXPECT_EQ(Run({"build", Path("21.yaml"), "-o", Path("a.fct"), "--schema", kSchema}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("SCHEMA_MISMATCH"));
  EXPECT_FALSE(std::filesystem::exists(Path("a.fct")));
}

TEST_F(CommandTest, NamesLineAndColumnOfFaultsInASource) {
  Write("bad.yaml", "format: ringfence-content/1\nchannel: X\n");
  EXPECT_EQ(Run({"build", Path("bad.yaml"), "-o", Path("a.fct")}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("bad.yaml:1:1: rules: is not here"));
  EXPECT_FALSE(std::filesystem::exists(Path("a.fct")));
}

TEST_F(CommandTest, TellsFilesThatAreAwayFromFilesThatAreWrong) {
  EXPECT_EQ(Run({"verify", Path("nothing")}), kExitUnreadable);
  EXPECT_THAT(err_.str(), HasSubstr("No such file"));
  EXPECT_EQ(Run({"verify", folder_}), kExitUnreadable);
  EXPECT_EQ(Run({"build", kSource, "-o", Path("no/such/folder.fct")}), kExitUnreadable);
  EXPECT_EQ(Run({"verify", kGolden, "--key", Path("key.pem")}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("openssl pkey"));
  EXPECT_EQ(Run({"build", kSource, "-o", Path("a"), "--key", Path("key.pub.pem")}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("openssl genpkey"));
}

TEST_F(CommandTest, ShowsForPeopleAndForPrograms) {
  ASSERT_EQ(Run({"show", kGolden}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("ipc-detect/1042 2026.11.22.3"));
  EXPECT_THAT(out_.str(), HasSubstr("(not checked: --key FILE checks it)"));
  EXPECT_THAT(out_.str(), HasSubstr("when pid above 4"));
  ASSERT_EQ(Run({"show", kGolden, "-o", "json", "--key", Path("key.pub.pem")}), kExitOk);
  const nlohmann::json shown = nlohmann::json::parse(out_.str());
  EXPECT_EQ(shown.at("serial"), 1042);
  EXPECT_EQ(shown.at("signature_checked"), true);
  EXPECT_EQ(shown.at("fields").at(2).at("type"), "number");
  EXPECT_EQ(shown.at("rules").at(0).at("when").at(2).at("above"), 4);
  EXPECT_EQ(shown.at("rules").at(1).at("when").at(1).at("present"), true);
}

TEST_F(CommandTest, HelpsAndRefusesWrongUse) {
  EXPECT_EQ(Run({"--help"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("Exit codes:"));
  EXPECT_EQ(Run({"--version"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("ringfence-content "));
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_EQ(Run({"build", kSource}), kExitUsage);
  EXPECT_EQ(Run({"show", kGolden, "-o", "xml"}), kExitUsage);
}

}  // namespace
}  // namespace ringfence::content
