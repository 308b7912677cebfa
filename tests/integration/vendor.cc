#include "tests/integration/vendor.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "ringfence/base/check.h"
#include "tests/integration/server_process.h"
#include "tests/support/file_contents.h"

namespace ringfence::testing_support {
namespace {

constexpr char kBeforeInputs[] = "fields:\n";

}  // namespace

Vendor::Vendor() : folder_(testing::TempDir() + "/ringfence-vendor-XXXXXX") {
  RF_CHECK(::mkdtemp(folder_.data()) != nullptr);
  Must(LOADER_BINARY, "schema > sensor.yaml");
  const std::string schema = Read("sensor.yaml");
  inputs_ = schema.substr(schema.find(kBeforeInputs) + sizeof(kBeforeInputs) - 1);
  Write("sensors.yaml", "format: ringfence-sensors/1\nsensors: [sensor.yaml]\n");
  Write("matrix.yaml", absl::StrCat(kPlatform, "\n"));
  Write("results.xml", absl::StrCat(R"(<testsuite><properties>
    <property name="platform" value=")",
                                    kPlatform, R"("/><property name="sensor" value="7.11.0"/></properties>
    <testcase name="boot"/><testcase name="load"/></testsuite>)"));
  std::filesystem::create_directory(PathOf("keys"));
  Keys(absl::StrCat("demo repo --out keys --matrix ", kChannel, "=matrix.yaml=boot,load"));
}

Vendor::~Vendor() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Vendor::Write(const std::string& name, const std::string& text) const {
  std::ofstream(PathOf(name), std::ios::binary) << text;
  return PathOf(name);
}

std::string Vendor::Read(const std::string& name) const {
  return test::Contents(PathOf(name));
}

std::vector<std::string> Vendor::ServerFlags() const {
  return {"--trust-root",    PathOf("repo/metadata/1.root.json"),
          "--timestamp-key", PathOf("keys/timestamp.key"),
          "--sensors",       PathOf("sensors.yaml")};
}

Printed Vendor::Run(const std::string& program, const std::string& arguments,
                    const std::string& environment) const {
  return testing_support::Run(
      absl::StrCat("cd '", folder_, "' && ", environment, " '", program, "' ", arguments, " 2>&1"));
}

void Vendor::Must(const std::string& program, const std::string& arguments) const {
  const Printed done = Run(program, arguments);
  EXPECT_EQ(done.code, 0) << program << " " << arguments << "\n" << done.text;
}

Printed Vendor::Ringfence(const std::string& server, const std::string& arguments) const {
  return Run(RINGFENCE_BINARY, arguments,
             absl::StrCat("RINGFENCE_TOKEN=", kManager, " RINGFENCE_SERVER=", server));
}

void Vendor::Keys(const std::string& arguments) const {
  Must(KEYS_BINARY, arguments);
}

void Vendor::SignAndPublish(const std::string& repository) const {
  for (const char* role : {"content-release", "qualification"}) {
    if (std::filesystem::exists(PathOf(absl::StrCat(repository, "/drafts/", role, ".json"))))
      Keys(absl::StrCat("sign ", repository, " --role ", role, " --key keys/", role, ".key"));
  }
  Keys(absl::StrCat("publish ", repository,
                    " --key snapshot=keys/snapshot.key --key timestamp=keys/timestamp.key"));
}

void Vendor::Build(const std::string& file, int serial, int inputs, const std::string& what) const {
  std::string named = inputs_;
  for (int i = kInputs; i < inputs; ++i) absl::StrAppend(&named, "  - {name: input_", i, ", type: number}\n");
  const std::string last = inputs == kInputs ? "port" : absl::StrCat("input_", inputs - 1);
  Write("source.yaml",
        absl::StrCat("format: ringfence-content/1\nchannel: ", kChannel, "\nversion: v", serial,
                     "\nserial: ", serial, "\nschema: 291\nsensors: {from: 7.11.0, to: 7.11.0}\n",
                     kBeforeInputs, named, "rules:\n  - name: ", what,
                     "\n    action: log\n    when: [{field: ", last, ", above: 1000}]\n"));
  Must(CONTENT_BINARY, absl::StrCat("build source.yaml -o ", file, " --key keys/content_build.pem"));
}

void Vendor::Release(const std::string& repository, int serial, int inputs) const {
  Build("ipc.fct", serial, inputs);
  Must(RINGFENCE_BINARY,
       "release qualify results.xml --artifact ipc.fct --key keys/qualification.pem --config "
       "matrix=matrix.yaml "
       "--write ipc.q --require boot --require load");
  Keys(absl::StrCat("sign-release ", repository, " --artifact ipc.fct --channel ", kChannel,
                    " --release-version v", serial, " --serial ", serial, " --platform ", kPlatform,
                    " --sensor-min 7.11.0 --sensor-max 7.11.0 --schema demonstration=", inputs,
                    " --qualification ipc.q"));
  SignAndPublish(repository);
}

void Vendor::Copy(const std::string& from, const std::string& to) const {
  std::filesystem::copy(PathOf(from), PathOf(to), std::filesystem::copy_options::recursive);
}

std::string Vendor::ArtifactOf(const std::string& repository, int serial) const {
  const std::string folder = absl::StrCat(repository, "/targets/content/", kChannel);
  const std::string ending = absl::StrCat(".v", serial, "-ipc.fct");
  for (const auto& entry : std::filesystem::directory_iterator(PathOf(folder))) {
    const std::string name = entry.path().filename().string();
    if (name.size() > ending.size() && name.substr(name.size() - ending.size()) == ending)
      return absl::StrCat(folder, "/", name);
  }
  ADD_FAILURE() << "no artifact of serial " << serial << " in " << folder;
  return "";
}

}  // namespace ringfence::testing_support
