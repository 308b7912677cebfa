// What a pipeline types, against a real server that trusts throwaway keys: build, test, sign, publish; and
// the three files that nobody refused in July 2024.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/gate/throwaway.h"
#include "tests/integration/command.h"
#include "tests/integration/server_process.h"

namespace ringfence::testing_support {
namespace {

using testing::HasSubstr;

// Made anew for this test, thrown away with its folder.
class Folder {
 public:
  Folder() : path_(testing::TempDir() + "/ringfence-gate-XXXXXX") { ::mkdtemp(path_.data()); }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(absl::StrCat(path_, "/", name), std::ios::binary) << text;
    return absl::StrCat(path_, "/", name);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string FieldsYaml(int count) {
  std::string text = "fields:\n";
  for (int i = 0; i < count; ++i) absl::StrAppend(&text, "  - {name: input_", i, ", type: text}\n");
  return text;
}

class PublishGateServerTest : public testing::Test {
 protected:
  PublishGateServerTest() {
    for (const char* name : {"lab", "ana", "ben", "build"}) {
      const trust::SigningKey key = gate::ThrowawayKey(name);
      folder_.Write(absl::StrCat(name, ".pem"), key.ToPem());
      folder_.Write(absl::StrCat(name, ".pub.pem"), key.public_key().ToPem());
    }
    folder_.Write("sensor.yaml",
                  "format: ringfence-schema/1\nschema: 291\nsensors: [7.11.0]\n" + FieldsYaml(20));
    folder_.Write("results.xml", R"(<testsuite>
      <properties><property name="platform" value="os=win11"/><property name="sensor" value="7.11+"/></properties>
      <testcase name="boot"/><testcase name="load"/></testsuite>)");
    server_.emplace(std::vector<std::string>{"--internal-tenant", "none", "--demo", "--unsafe-fast-database",
                                             "--trust",
                                             folder_.Write("trust.yaml", R"(format: ringfence-trust/1
throwaway: true
qualification: {keys: [lab.pub.pem], tests: [boot, load]}
release: {keys: [ana.pub.pem, ben.pub.pem], threshold: 2}
build: {keys: [build.pub.pem]}
sensors: [{label: 7.11+, file: sensor.yaml}]
)")});
  }

  // A command line in the folder.
  Printed Run(const std::string& program, const std::string& arguments) const {
    return testing_support::Run(absl::StrCat("cd ", folder_.path(), " && RINGFENCE_TOKEN=", kManager,
                                             " RINGFENCE_SERVER=", server_->address(), " '", program, "' ",
                                             arguments, " 2>&1"));
  }
  Printed Ringfence(const std::string& arguments) const { return Run(RINGFENCE_BINARY, arguments); }
  // Builds content for `inputs` inputs without looking at the sensor, as the pipeline of that day did.
  void Build(const std::string& file, int serial, int inputs) const {
    folder_.Write(
        "source.yaml",
        absl::StrCat("format: ringfence-content/1\nchannel: ipc\nversion: v", serial, "\nserial: ", serial,
                     "\nschema: 291\nsensors: {from: 7.11.0, to: 7.19.999}\n", FieldsYaml(inputs),
                     "rules:\n  - name: last input\n    action: log\n    when: [{field: input_", inputs - 1,
                     ", equals: evil}]\n"));
    const Printed built =
        Run(CONTENT_BINARY, absl::StrCat("build source.yaml -o ", file, " --key build.pem"));
    ASSERT_EQ(built.code, 0) << built.text;
  }
  void Qualify(const std::string& file) const {
    const Printed made =
        Ringfence(absl::StrCat("release qualify results.xml --artifact ", file, " --key lab.pem --write ",
                               file, ".q --require boot --require load"));
    ASSERT_EQ(made.code, 0) << made.text;
  }
  static std::string Manifest(int serial) {
    return absl::StrCat(" --channel ipc --serial ", serial, " --version v", serial,
                        " --matrix os=win11,sensor=7.11+");
  }
  void Sign(const std::string& file, int serial) const {
    const std::string sign =
        absl::StrCat("release sign ", file, Manifest(serial), " --write ", file, ".s --key ");
    Printed made = Ringfence(absl::StrCat(sign, "ana.pem"));
    ASSERT_EQ(made.code, 0) << made.text;
    made = Ringfence(absl::StrCat(sign, "ben.pem --add ", file, ".s"));
    ASSERT_EQ(made.code, 0) << made.text;
  }
  Printed Publish(const std::string& file, int serial, const std::string& evidence) const {
    return Ringfence(absl::StrCat("release publish ", file, Manifest(serial), " --signature ", file,
                                  ".s --qualification ", evidence));
  }

  Folder folder_;
  std::optional<ServerProcess> server_;
};

TEST_F(PublishGateServerTest, OnlyTheFileThatWasTestedIsPublished) {
  ASSERT_TRUE(server_->Start());

  // All bytes zero; digest, signatures and evidence are of these very bytes.
  folder_.Write("zeros", std::string(40'960, '\0'));
  Qualify("zeros");
  Sign("zeros", 1);
  Printed answer = Publish("zeros", 1, "zeros.q");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text, HasSubstr("ringfence: malformed: artifact bytes: found 40960 zeros"));

  // 21 inputs for a sensor that supplies 20.
  Build("twenty-one", 1, 21);
  Qualify("twenty-one");
  Sign("twenty-one", 1);
  answer = Publish("twenty-one", 1, "twenty-one.q");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text, HasSubstr("schema_mismatch: artifact header.field_count: found 21 inputs"));
  EXPECT_THAT(answer.text, HasSubstr("wanted 20, the number that sensor 7.11.0 supplies for schema 291"));

  // Tested, and then packed once more.
  Build("tested", 1, 20);
  Qualify("tested");
  Build("repacked", 2, 20);
  Sign("repacked", 2);
  answer = Publish("repacked", 2, "tested.q");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text, HasSubstr("evidence_mismatch: qualification subject.digest.sha256"));

  // One signature of two, twice.
  const std::string sign =
      absl::StrCat("release sign tested", Manifest(1), " --key ana.pem --write tested.s");
  ASSERT_EQ(Ringfence(sign).code, 0);
  ASSERT_EQ(Ringfence(sign + " --add tested.s").code, 0);
  EXPECT_THAT(Publish("tested", 1, "tested.q").text,
              HasSubstr("bad_signature: signature signatures: found 1 trusted key"));

  Sign("tested", 1);
  answer = Publish("tested", 1, "tested.q");
  ASSERT_EQ(answer.code, 0) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("signed, proven)"));

  // What is said of it is durable, and so are the notices.
  server_->Kill();
  ASSERT_TRUE(server_->Start());
  EXPECT_THAT(Ringfence("release show ipc/1").text, HasSubstr("proven"));
  EXPECT_THAT(Ringfence("release list").text, HasSubstr("signed"));
  EXPECT_THAT(Ringfence("status").text, HasSubstr("throwaway keys"));
  EXPECT_THAT(Ringfence("release list").text, testing::Not(HasSubstr("ipc       2")));
}

TEST_F(PublishGateServerTest, AServerWithAFaultInItsTrustFileDoesNotStart) {
  folder_.Write("trust.yaml",
                "format: ringfence-trust/1\nqualification: {keys: [nobody.pem], tests: [load]}\n");
  EXPECT_EQ(server_->RunToEnd(), 1);
  EXPECT_THAT(server_->log(), HasSubstr("nobody.pem"));
}

}  // namespace
}  // namespace ringfence::testing_support
