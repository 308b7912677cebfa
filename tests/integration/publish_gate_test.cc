// What a pipeline types, against a real server that follows a repository of throwaway keys: build, test,
// sign, publish; and the three files that nobody refused in July 2024.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
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
    folder_.Write("matrix.yaml", "linux/x86_64/debian-12\n");
    folder_.Write("sensor.yaml",
                  "format: ringfence-schema/1\nschema: 291\nname: ipc\nsensors: [7.11.0]\n" + FieldsYaml(20));
    folder_.Write("results.xml", R"(<testsuite><properties>
      <property name="platform" value="linux/x86_64/debian-12"/><property name="sensor" value="7.11.0"/></properties>
      <testcase name="boot"/><testcase name="load"/></testsuite>)");
    std::filesystem::create_directory(folder_.path() + "/keys");
    const Printed made =
        testing_support::Run(absl::StrCat("cd ", folder_.path(), " && '", KEYS_BINARY,
                                          "' demo repo --out keys --matrix ipc=matrix.yaml=boot,load 2>&1"));
    EXPECT_EQ(made.code, 0) << made.text;
    server_.emplace(std::vector<std::string>{
        "--internal-tenant", "none", "--demo", "--unsafe-fast-database", "--trust-root",
        folder_.path() + "/repo/metadata/1.root.json", "--timestamp-key",
        folder_.path() + "/keys/timestamp.key", "--sensors",
        folder_.Write("sensors.yaml", "format: ringfence-sensors/1\nsensors: [sensor.yaml]\n")});
  }

  // A command line in the folder.
  Printed Run(const std::string& program, const std::string& arguments) const {
    return testing_support::Run(absl::StrCat("cd ", folder_.path(), " && RINGFENCE_TOKEN=", kManager,
                                             " RINGFENCE_SERVER=", server_->address(), " '", program, "' ",
                                             arguments, " 2>&1"));
  }
  Printed Ringfence(const std::string& arguments) const { return Run(RINGFENCE_BINARY, arguments); }
  void Must(const std::string& program, const std::string& arguments) const {
    const Printed done = Run(program, arguments);
    ASSERT_EQ(done.code, 0) << arguments << "\n" << done.text;
  }
  void SignAndPublish(const std::string& repository) const {
    for (const char* role : {"content-release", "qualification"}) {
      if (std::filesystem::exists(absl::StrCat(folder_.path(), "/", repository, "/drafts/", role, ".json")))
        Must(KEYS_BINARY, absl::StrCat("sign ", repository, " --role ", role, " --key keys/", role, ".key"));
    }
    Must(KEYS_BINARY, absl::StrCat("publish ", repository,
                                   " --key snapshot=keys/snapshot.key --key timestamp=keys/timestamp.key"));
  }
  // Builds content for `inputs` inputs without looking at the sensor, as the pipeline of that day did.
  void Build(const std::string& file, int serial, int inputs, const std::string& what = "evil") const {
    folder_.Write(
        "source.yaml",
        absl::StrCat("format: ringfence-content/1\nchannel: ipc\nversion: v", serial, "\nserial: ", serial,
                     "\nschema: 291\nsensors: {from: 7.11.0, to: 7.11.0}\n", FieldsYaml(inputs),
                     "rules:\n  - name: last input\n    action: log\n    when: [{field: input_", inputs - 1,
                     ", equals: ", what, "}]\n"));
    Must(CONTENT_BINARY, absl::StrCat("build source.yaml -o ", file, " --key keys/content_build.pem"));
  }
  // Built, tested, listed, signed and published in the repository's folder.
  void Release(const std::string& repository, int serial, int inputs) const {
    Build("ipc.fct", serial, inputs);
    Must(RINGFENCE_BINARY,
         "release qualify results.xml --artifact ipc.fct --key keys/qualification.pem --config "
         "matrix=matrix.yaml "
         "--write ipc.q --require boot --require load");
    Must(KEYS_BINARY,
         absl::StrCat("sign-release ", repository, " --artifact ipc.fct --channel ipc --release-version v",
                      serial, " --serial ", serial,
                      " --platform linux/x86_64/debian-12 --sensor-min 7.11.0 --sensor-max 7.11.0 "
                      "--schema ipc=",
                      inputs, " --qualification ipc.q"));
    SignAndPublish(repository);
  }
  void Copy(const std::string& from, const std::string& to) const {
    std::filesystem::copy(absl::StrCat(folder_.path(), "/", from), absl::StrCat(folder_.path(), "/", to),
                          std::filesystem::copy_options::recursive);
  }
  // The file of the one artifact in a repository's folder.
  std::string ArtifactOf(const std::string& repository) const {
    const std::string folder = absl::StrCat(repository, "/targets/content/ipc");
    for (const auto& entry : std::filesystem::directory_iterator(absl::StrCat(folder_.path(), "/", folder)))
      return absl::StrCat(folder, "/", entry.path().filename().string());
    return "";
  }

  Folder folder_;
  std::optional<ServerProcess> server_;
};

TEST_F(PublishGateServerTest, OnlyTheFileThatWasTestedIsPublished) {
  ASSERT_TRUE(server_->Start());
  EXPECT_THAT(Ringfence("status").text, HasSubstr("throwaway keys"));
  Copy("repo", "twenty-one");
  Release("repo", 1, 20);

  // All bytes zero, in the place of what was signed.
  Copy("repo", "zeros");
  folder_.Write(ArtifactOf("zeros"), std::string(40'960, '\0'));
  Printed answer = Ringfence("release publish zeros");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text, HasSubstr("ringfence: malformed: artifact bytes: found 40960 zeros"));

  // 21 inputs for a sensor that supplies 20.
  Release("twenty-one", 1, 21);
  answer = Ringfence("release publish twenty-one");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text,
              HasSubstr("schema_mismatch: release requires.schema.ipc: found 21 fields, wanted the 20"));

  // Tested, and then packed once more.
  Copy("repo", "repacked");
  Build(ArtifactOf("repacked"), 1, 20, "other");
  answer = Ringfence("release publish repacked");
  EXPECT_NE(answer.code, 0);
  EXPECT_THAT(answer.text, HasSubstr("evidence_mismatch: artifact bytes"));

  answer = Ringfence("release publish repo");
  ASSERT_EQ(answer.code, 0) << answer.text;
  EXPECT_THAT(answer.text, HasSubstr("published ipc/1 v1"));
  EXPECT_THAT(answer.text, HasSubstr("signed, proven)"));
  EXPECT_THAT(Ringfence("release publish repo").text, HasSubstr("no release in it is new"));

  // What is said of it is durable; so is when it expires.
  server_->Kill();
  ASSERT_TRUE(server_->Start());
  EXPECT_THAT(Ringfence("release show ipc/1").text, HasSubstr("content/ipc/v1-ipc.fct"));
  EXPECT_THAT(Ringfence("release show ipc/1").text, HasSubstr("platform=linux/x86_64/debian-12"));
  EXPECT_THAT(Ringfence("release list").text, HasSubstr("signed"));
  EXPECT_THAT(server_->Get("/metrics").body, HasSubstr("ringfence_tuf_expiry_seconds{role=\"timestamp\"}"));
  const std::string status = Ringfence("status").text;
  for (const char* role : {"root", "timestamp", "snapshot", "targets", "content-release", "qualification"})
    EXPECT_THAT(status, HasSubstr(role));

  // And the recall, by the same people.
  Must(KEYS_BINARY, "revoke-release repo --path content/ipc/v1-ipc.fct");
  SignAndPublish("repo");
  EXPECT_THAT(Ringfence("release publish repo").text, HasSubstr("recalled ipc/1 v1"));
  EXPECT_THAT(Ringfence("release list").text, HasSubstr("recalled"));
}

TEST_F(PublishGateServerTest, AServerWithAFaultInItsTrustedRootDoesNotStart) {
  std::filesystem::permissions(folder_.path() + "/repo/metadata/1.root.json",
                               std::filesystem::perms::owner_all);
  folder_.Write("repo/metadata/1.root.json", "{}");
  EXPECT_EQ(server_->RunToEnd(), 1);
  EXPECT_THAT(server_->log(), HasSubstr("1.root.json: malformed"));
}

}  // namespace
}  // namespace ringfence::testing_support
