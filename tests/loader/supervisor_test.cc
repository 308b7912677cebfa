// The loop around the sensor, with a real child process: what crashes is left by itself, without anybody's
// help.
#include "ringfence/loader/supervisor.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"
#include "ringfence/content/model.h"
#include "ringfence/content/source.h"
#include "ringfence/loader/demo_sensor.h"

namespace ringfence::loader {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string ContentNamed(const std::string& rule, uint64_t serial) {
  content::Content content;
  content.channel = "ipc";
  content.version = "v";
  content.serial = serial;
  content.schema_id = DemoSchema().schema_id;
  content.sensor_min = content.sensor_max = DemoSchema().sensor;
  content.fields = DemoSchema().fields;
  content.rules = {{rule, content::Action::kBlock, {{0, content::Op::kEquals, "evil", 0}}},
                   {"last input", content::Action::kAlert, {{19, content::Op::kAbove, "", 1000}}}};
  return *content::Build(content, nullptr, std::nullopt);
}

class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() {
    std::string pattern = (fs::temp_directory_path() / "ringfence-loader-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~SupervisorTest() override { fs::remove_all(folder_); }

  Slots Open() { return Slots(files_.get(), {folder_, DemoSchema(), std::nullopt}); }
  // A sensor that dies of content with a rule of that name.
  std::string Sensor(const std::string& dies_of) {
    const std::string path = folder_ + "/sensor.sh";
    std::ofstream(path) << "#!/bin/sh\nif grep -q '" << dies_of
                        << "' \"$1\"; then kill -SEGV $$; fi\nexit 0\n";
    ::chmod(path.c_str(), 0700);
    return path;
  }
  int Run(const std::string& sensor) {
    Slots slots = Open();
    const auto runner = MakeProcessRunner({sensor, folder_, absl::Hours(1), nullptr});
    return Supervise(&slots, runner.get(), [this](const std::string& line) { log_.push_back(line); });
  }

  std::string folder_;
  std::unique_ptr<agent::FileSystem> files_ = agent::MakePosixFileSystem();
  std::vector<std::string> log_;
};

TEST_F(SupervisorTest, ContentThatKillsTheSensorIsLeftAfterThreeStarts) {
  const std::string good = ContentNamed("good rule", 1), bad = ContentNamed("deadly rule", 2);
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(good)).ok());
  ASSERT_TRUE(slots.MarkHealthy().ok());
  ASSERT_TRUE(slots.Flip(*slots.Stage(bad)).ok());
  EXPECT_EQ(Run(Sensor("deadly")), 0);
  const std::string log = absl::StrJoin(log_, "\n");
  EXPECT_THAT(log, HasSubstr("the sensor failed: signal 11"));
  EXPECT_THAT(log, HasSubstr("quarantined, back to a"));
  const Record record = Open().record();
  EXPECT_EQ(record.DigestOf(record.active), Sha256(good));
  EXPECT_TRUE(record.IsQuarantined(Sha256(bad)));
}

TEST_F(SupervisorTest, ASensorThatDiesOfEverythingEndsWithTheBuiltInAndSaysSo) {
  Slots slots = Open();
  ASSERT_TRUE(slots.Flip(*slots.Stage(ContentNamed("deadly rule", 1))).ok());
  EXPECT_EQ(Run("/bin/false"), 1);
  EXPECT_THAT(log_.back(), HasSubstr("the fault is not in the content"));
  EXPECT_EQ(Open().record().active, Slot::kBuiltIn);
}

TEST_F(SupervisorTest, ASensorThatCannotBeStartedIsAFailureToo) {
  EXPECT_EQ(Run(folder_ + "/nobody"), 1);
  EXPECT_THAT(absl::StrJoin(log_, "\n"), HasSubstr("exit code 127"));
}

TEST(DemoSensorTest, JudgesEventsAndSurvivesOnesThatAreTooShort) {
  const std::string file = ContentNamed("evil pipe", 1);
  std::string full = "evil";
  for (int i = 1; i < 17; ++i) full += "\tx";
  std::istringstream events(full + "\t1\t2\t5000\n" + "good\n" + full + "\t1\t2\t5000\n");
  std::ostringstream out;
  ASSERT_TRUE(RunDemoSensor(file, events, out).ok());
  // The second event has one input of twenty: the rule on the last one is lost, nothing else.
  EXPECT_EQ(out.str(), "block evil pipe\nalert last input\nblock evil pipe\ndisabled 1\n");
}

TEST(DemoSensorTest, RefusesContentForAnotherSensor) {
  content::Content content;
  content.channel = "ipc";
  content.version = "v";
  content.serial = 1;
  content.schema_id = DemoSchema().schema_id;
  content.sensor_min = content.sensor_max = DemoSchema().sensor;
  content.fields = DemoSchema().fields;
  content.fields.push_back({"one_too_many", content::FieldType::kText});
  content.rules = {{"r", content::Action::kLog, {{20, content::Op::kPresent, "", 0}}}};
  std::istringstream events;
  std::ostringstream out;
  const absl::Status ran = RunDemoSensor(*content::Build(content, nullptr, std::nullopt), events, out);
  EXPECT_THAT(std::string(ran.message()), HasSubstr("found 21 inputs, wanted 20"));
}

TEST(DemoSensorTest, ItsPrintedSchemaIsTheOneItHas) {
  const auto parsed = content::ParseSchema(DemoSchemaYaml());
  ASSERT_TRUE(parsed.faults.empty()) << content::Render("schema", parsed.faults);
  EXPECT_EQ(parsed.value, std::vector{DemoSchema()});
}

}  // namespace
}  // namespace ringfence::loader
