// The wire contract keeps what its last release promised, and the comparison that says so is not blind.
#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "contract_changes.h"

namespace ringfence::testing {
namespace {

using google::protobuf::FileDescriptorSet;
using google::protobuf::TextFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kReleasedFile[] = "proto/released/ringfence-v1.binpb";

FileDescriptorSet Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  FileDescriptorSet set;
  EXPECT_TRUE(file && set.ParseFromIstream(&file)) << path;
  return set;
}

TEST(ProtoContractTest, KeepsWhatTheLastReleasePromised) {
  EXPECT_THAT(BreakingChanges(Read(kReleasedFile), Read(CURRENT_DESCRIPTORS)), IsEmpty());
}

// The promise is not empty: whichever field of it goes is missed.
TEST(ProtoContractTest, MissesEveryPromisedFieldThatIsRemoved) {
  const FileDescriptorSet released = Read(kReleasedFile);
  int fields = 0;
  for (int f = 0; f < released.file_size(); ++f) {
    if (released.file(f).package() != "ringfence.v1") continue;
    for (int m = 0; m < released.file(f).message_type_size(); ++m) {
      const auto& message = released.file(f).message_type(m);
      for (int i = 0; i < message.field_size(); ++i) {
        if (message.field(i).has_oneof_index()) continue;  // its oneof would have to go with it
        FileDescriptorSet without = released;
        without.mutable_file(f)->mutable_message_type(m)->mutable_field()->DeleteSubrange(i, 1);
        const std::string name = "ringfence.v1." + message.name() + "." + message.field(i).name();
        EXPECT_THAT(BreakingChanges(released, without), ElementsAre(HasSubstr(name + " is gone")));
        ++fields;
      }
    }
  }
  EXPECT_GT(fields, 200);
}

TEST(ProtoContractTest, IsCompatibleWithItself) {
  const FileDescriptorSet current = Read(CURRENT_DESCRIPTORS);
  EXPECT_GE(current.file_size(), 6);
  EXPECT_THAT(BreakingChanges(current, current), IsEmpty());
}

// One message, one enum, one service, with the lines given put in.
FileDescriptorSet Contract(const std::string& message, const std::string& value,
                           const std::string& method = "") {
  FileDescriptorSet set;
  EXPECT_TRUE(TextFormat::ParseFromString(
      R"pb(file { name: "t.proto" package: "t" syntax: "proto3"
                  message_type {
                    name: "Ask"
                    field { name: "id" number: 1 label: LABEL_OPTIONAL type: TYPE_BYTES json_name: "id" })pb" +
          message + R"pb(}
                         enum_type { name: "Kind" value { name: "KIND_UNSPECIFIED" number: 0 } )pb" +
          value +
          R"pb(}
               service { name: "S" method { name: "Do" input_type: ".t.Ask" output_type: ".t.Ask" )pb" +
          method + "} } }",
      &set));
  return set;
}

constexpr char kField[] =
    R"(field { name: "ring" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "ring" })";
constexpr char kValue[] = R"(value { name: "KIND_A" number: 1 })";

TEST(ContractChangesTest, AdditionsBreakNothing) {
  EXPECT_THAT(BreakingChanges(Contract("", ""), Contract(kField, kValue)), IsEmpty());
}

TEST(ContractChangesTest, AFieldMayGoOnlyWithItsNumberAndNameReserved) {
  const FileDescriptorSet old = Contract(kField, "");
  EXPECT_THAT(BreakingChanges(old, Contract("", "")), ElementsAre(HasSubstr("t.Ask.ring is gone")));
  EXPECT_THAT(BreakingChanges(old, Contract("reserved_range { start: 2 end: 3 }", "")),
              ElementsAre(HasSubstr("t.Ask.ring is gone")));
  EXPECT_THAT(
      BreakingChanges(old, Contract(R"(reserved_range { start: 2 end: 3 } reserved_name: "ring")", "")),
      IsEmpty());
}

TEST(ContractChangesTest, AFieldKeepsItsNameTypeAndCardinality) {
  const FileDescriptorSet old = Contract(kField, "");
  EXPECT_THAT(
      BreakingChanges(
          old,
          Contract(
              R"(field { name: "rung" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "rung" })",
              "")),
      ElementsAre(HasSubstr("now called rung"), HasSubstr("rung in JSON")));
  EXPECT_THAT(
      BreakingChanges(
          old,
          Contract(
              R"(field { name: "ring" number: 2 label: LABEL_OPTIONAL type: TYPE_BYTES json_name: "ring" })",
              "")),
      ElementsAre(HasSubstr("was string and is bytes")));
  EXPECT_THAT(
      BreakingChanges(
          old,
          Contract(
              R"(field { name: "ring" number: 2 label: LABEL_REPEATED type: TYPE_STRING json_name: "ring" })",
              "")),
      ElementsAre(HasSubstr("is repeated string")));
}

TEST(ContractChangesTest, AnEnumValueKeepsItsNameAndNumber) {
  const FileDescriptorSet old = Contract("", kValue);
  EXPECT_THAT(BreakingChanges(old, Contract("", "")), ElementsAre(HasSubstr("KIND_A is gone")));
  EXPECT_THAT(BreakingChanges(old, Contract("", R"(value { name: "KIND_B" number: 1 })")),
              ElementsAre(HasSubstr("now called KIND_B")));
  EXPECT_THAT(
      BreakingChanges(old, Contract("", R"(reserved_range { start: 1 end: 1 } reserved_name: "KIND_A")")),
      IsEmpty());
}

TEST(ContractChangesTest, AMethodKeepsItsShape) {
  EXPECT_THAT(BreakingChanges(Contract("", ""), Contract("", "", "server_streaming: true")),
              ElementsAre(HasSubstr("is (t.Ask) -> stream t.Ask")));
}

TEST(ContractChangesTest, AMessageOrServiceMayNotVanish) {
  EXPECT_THAT(BreakingChanges(Contract("", ""), FileDescriptorSet()),
              ElementsAre("message t.Ask is gone", "enum t.Kind is gone", "service t.S is gone"));
}

}  // namespace
}  // namespace ringfence::testing
