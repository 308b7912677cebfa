// ringfence release qualify, from a result file to evidence that a gate takes.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualification.h"
#include "server/cli/command_line.h"
#include "server/cli/exit_codes.h"

namespace ringfence::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kPassed[] = R"(<testsuites><testsuite name="ipc">
  <properties><property name="platform" value="win"/><property name="sensor" value="7.11.0"/></properties>
  <testcase name="boot"/><testcase name="load"/></testsuite></testsuites>)";

class QualifyTest : public ::testing::Test {
 protected:
  QualifyTest() : lab_(*trust::SigningKey::FromSeed(std::string(32, 'q'))) {
    std::string pattern = (fs::temp_directory_path() / "ringfence-qualify-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    world_.in = &in_;
    world_.out = &out_;
    world_.err = &err_;
    world_.env = [](const char*) -> const char* { return nullptr; };
    world_.now = [] { return absl::FromUnixSeconds(1'700'000'000); };
    // No server: a call would end the test.
    world_.connect = [](RemoteOptions) -> std::unique_ptr<Remote> { std::abort(); };
    File("ipc.fct", "the published bytes");
    File("lab.pem", lab_.ToPem());
    File("matrix.yaml", "matrix");
    File("passed.xml", kPassed);
  }
  ~QualifyTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void File(const std::string& name, const std::string& bytes) {
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }
  int Qualify(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"release",       "qualify", "--artifact",
                                          Path("ipc.fct"), "--key",   Path("lab.pem")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    out_.str("");
    err_.str("");
    return cli::Run(world_, arguments);
  }
  std::variant<trust::Qualification, trust::Refusal> Judge(const std::string& envelope,
                                                           absl::string_view bytes) {
    const std::vector<trust::PublicKey> keys = {lab_.public_key()};
    return trust::VerifyQualification(envelope, Sha256(bytes), {keys, 1},
                                      {{"win"}, {"7.11.0"}, {"boot", "load"}, Sha256("matrix")});
  }

  trust::SigningKey lab_;
  std::string folder_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  World world_;
};

TEST_F(QualifyTest, SignsWhatAGateLetsIn) {
  ASSERT_EQ(Qualify({Path("passed.xml"), "--config", "matrix=" + Path("matrix.yaml"), "--require", "boot",
                     "--write", Path("ipc.qualification.json")}),
            kOk)
      << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("2 tests passed"));
  std::ifstream file(Path("ipc.qualification.json"));
  const std::string envelope{std::istreambuf_iterator<char>(file), {}};
  const auto judged = Judge(envelope, "the published bytes");
  ASSERT_TRUE(std::holds_alternative<trust::Qualification>(judged))
      << ToString(std::get<trust::Refusal>(judged));
  const trust::TestStatement& statement = std::get<trust::Qualification>(judged).statement;
  EXPECT_EQ(statement.subjects[0].name, "ipc.fct");
  EXPECT_EQ(statement.configuration.back().name, "results/passed.xml");
}

// The pre-publish file was tested, then it was packed once more.
TEST_F(QualifyTest, QualifiesNoOtherBytesThanThoseAtHand) {
  ASSERT_EQ(Qualify({Path("passed.xml"), "--config", "matrix=" + Path("matrix.yaml")}), kOk);
  const auto judged = Judge(out_.str(), "the published bytes, packed again");
  ASSERT_TRUE(std::holds_alternative<trust::Refusal>(judged));
  EXPECT_EQ(std::get<trust::Refusal>(judged).type, trust::RefusalType::kEvidenceMismatch);
}

TEST_F(QualifyTest, SignsNothingWhenATestFailed) {
  File("failed.xml", "<testsuite><testcase name='win|7.11.0|boot'><failure/></testcase></testsuite>");
  EXPECT_EQ(Qualify({Path("passed.xml"), Path("failed.xml"), "--write", Path("out.json")}), kRefused);
  EXPECT_THAT(err_.str(), HasSubstr("failed  win|7.11.0|boot"));
  EXPECT_THAT(err_.str(), HasSubstr("nothing was signed"));
  EXPECT_FALSE(fs::exists(Path("out.json")));
}

TEST_F(QualifyTest, MissesARequiredTestWhereverSomethingRan) {
  File("more.xml", "<testsuite><testcase name='linux|7.11.0|boot'/></testsuite>");
  EXPECT_EQ(Qualify({Path("passed.xml"), Path("more.xml"), "--require", "boot", "--require", "load"}),
            kRefused);
  EXPECT_THAT(err_.str(), HasSubstr("found no passed test linux|7.11.0|load"));
  File("skipped.xml", "<testsuite><testcase name='mac|7.11.0|boot'><skipped/></testcase></testsuite>");
  EXPECT_EQ(Qualify({Path("passed.xml"), Path("skipped.xml"), "--require", "boot"}), kRefused);
  EXPECT_EQ(Qualify({Path("passed.xml"), Path("skipped.xml")}), kOk);
  EXPECT_THAT(err_.str(), HasSubstr("warning: what was skipped has not passed"));
}

TEST_F(QualifyTest, NamesTheFileThatIsWrong) {
  EXPECT_EQ(Qualify({Path("away.xml")}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("away.xml: cannot be read"));
  EXPECT_EQ(Qualify({Path("ipc.fct")}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("ipc.fct: line 1: found text"));
  EXPECT_EQ(Qualify({Path("passed.xml"), "--config", "matrix"}), kUsage);
  EXPECT_EQ(Qualify({Path("passed.xml"), "--write", Path("no/folder.json")}), kUsage);
  File("bare.xml", "<testsuite><testcase name='boot'/></testsuite>");
  EXPECT_EQ(Qualify({Path("bare.xml")}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("found no platform"));
  EXPECT_EQ(Qualify({Path("bare.xml"), "--platform", "win", "--sensor", "7.11.0"}), kOk);
}

}  // namespace
}  // namespace ringfence::cli
