// What bad files get: one code each, and the field by name.
#include <gmock/gmock.h>

#include "ringfence/base/hash.h"
#include "ringfence/content/view.h"
#include "tests/content/builders.h"
#include "tests/content/repair.h"

namespace ringfence::content {
namespace {

using ::testing::HasSubstr;

// Where the parts of SmallContent's file lie.
constexpr uint64_t kTableAt = 64, kIdentityAt = 64 + 4 * 56, kFieldsAt = kIdentityAt + 16,
                   kRulesAt = kFieldsAt + 2 * 16, kConditionsAt = kRulesAt + 8 + 3 * 24,
                   kStringsAt = kConditionsAt + 4 * 24;

// The file after a change at one place, its checksums put right.
std::string Changed(uint64_t at, uint64_t value, int size) {
  std::string file = Signed(SmallContent());
  SetNumber(&file, at, value, size);
  Repair(&file, &TestKey());
  return file;
}

Rejection RejectionOf(const std::string& file, const Checks& checks = WithKey()) {
  const auto result = Validate(Bytes(file), checks);
  EXPECT_TRUE(std::holds_alternative<Rejection>(result)) << "accepted";
  return std::holds_alternative<Rejection>(result) ? std::get<Rejection>(result) : Rejection{};
}

TEST(ValidateTest, AcceptsWhatWasBuilt) {
  const std::string file = Signed(SmallContent());
  const auto result = Validate(Bytes(file), WithKey());
  ASSERT_TRUE(std::holds_alternative<Layout>(result)) << TextOf(result);
  const Layout& layout = std::get<Layout>(result);
  EXPECT_EQ(layout.serial(), 1042u);
  EXPECT_EQ(layout.field_count(), 2);
  EXPECT_EQ(layout.signed_by(), TestKey().public_key());
  EXPECT_EQ(Describe(layout), SmallContent());
  EXPECT_EQ(View(layout).channel(), "ipc-detect");
}

TEST(ValidateTest, LaysThePartsWhereThePageSays) {
  const std::string file = Signed(SmallContent());
  const Layout layout = std::get<Layout>(Validate(Bytes(file), WithKey()));
  EXPECT_EQ(layout.section(SectionType::kIdentity).offset, kIdentityAt);
  EXPECT_EQ(layout.section(SectionType::kFields).offset, kFieldsAt);
  EXPECT_EQ(layout.section(SectionType::kRules).offset, kRulesAt);
  EXPECT_EQ(layout.section(SectionType::kStrings).offset, kStringsAt);
}

TEST(ValidateTest, RefusesAnEmptyAndAShortFile) {
  EXPECT_EQ(RejectionOf("").code, Code::kTooShort);
  EXPECT_EQ(RejectionOf(std::string(231, '\0')).code, Code::kTooShort);
}

// The file of 2024-07-19's simpler sibling.
TEST(ValidateTest, RefusesAFileOfZeros) {
  const Rejection rejection = RejectionOf(std::string(40'960, '\0'));
  EXPECT_EQ(rejection.code, Code::kBadMagic);
  EXPECT_EQ(ToString(rejection), "BAD_MAGIC: header.magic (byte 0): found zeros, wanted 894643540d0a1a0a");
}

TEST(ValidateTest, RefusesAFileAboveSixtyFourMegabytes) {
  EXPECT_EQ(RejectionOf(std::string(kMaxFileBytes + 1, '\0')).code, Code::kTooLarge);
}

TEST(ValidateTest, RefusesACutFileAndOneWithATail) {
  const std::string file = Signed(SmallContent());
  EXPECT_EQ(RejectionOf(file.substr(0, file.size() - 1)).code, Code::kLength);
  EXPECT_EQ(RejectionOf(file + std::string(8, '\0')).code, Code::kLength);
}

TEST(ValidateTest, RefusesAnotherVersionAndUnknownFlags) {
  EXPECT_EQ(RejectionOf(Changed(header::kMajorAt, 2, 2)).code, Code::kUnsupported);
  EXPECT_EQ(RejectionOf(Changed(header::kHeaderLenAt, 72, 4)).field, "header.header_len");
  EXPECT_EQ(RejectionOf(Changed(header::kFlagsAt, 1, 4)).field, "header.flags");
  EXPECT_EQ(RejectionOf(Changed(header::kReserved16At, 1, 2)).field, "header.reserved16");
  EXPECT_EQ(RejectionOf(Changed(header::kReserved32At, 1, 4)).field, "header.reserved32");
}

// What a later minor version adds is in sections marked as optional.
TEST(ValidateTest, ReadsALaterMinorVersion) {
  EXPECT_EQ(CodeOf(Validate(Bytes(Changed(header::kMinorAt, 9, 2)), WithKey())), std::nullopt);
}

TEST(ValidateTest, TellsDamageInTheHeaderFromDamageBehindIt) {
  std::string file = Signed(SmallContent());
  file[header::kSerialAt] ^= 1;
  EXPECT_EQ(RejectionOf(file).code, Code::kCrc);
  file[header::kSerialAt] ^= 1;
  file[kStringsAt] ^= 1;
  EXPECT_EQ(RejectionOf(file).code, Code::kDigest);
}

TEST(ValidateTest, RefusesADamagedSectionWhoseFileDigestWasPutRight) {
  std::string file = Signed(SmallContent());
  std::string other = file;
  other[kStringsAt] ^= 1;
  Repair(&other, nullptr);
  // The section's own digest as it was, the file's as it should be.
  other.replace(kTableAt, 4 * 56, file, kTableAt, 4 * 56);
  const std::string section_digests = other.substr(0, other.size() - kTrailerBytes);
  const std::string digest(Sha256(section_digests).raw());
  other.replace(other.size() - kTrailerBytes, 32, digest);
  const Rejection rejection = RejectionOf(other, Alone());
  EXPECT_EQ(rejection.code, Code::kDigest);
  EXPECT_EQ(rejection.field, "sections[3].sha256");
}

TEST(ValidateTest, RefusesAForeignSignature) {
  const std::string file = Signed(SmallContent());
  const trust::SigningKey other = trust::SigningKey::Generate();
  Checks checks = Alone();
  checks.build_keys = std::span(&other.public_key(), 1);
  EXPECT_EQ(RejectionOf(file, checks).field, "trailer.keyid");
  std::string forged = file;
  forged[forged.size() - 9] ^= 1;
  EXPECT_EQ(RejectionOf(forged).field, "trailer.signature");
  EXPECT_EQ(RejectionOf(forged).code, Code::kSignature);
}

TEST(ValidateTest, RefusesAFileThatNobodySigned) {
  const auto file = Build(SmallContent(), nullptr, std::nullopt);
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(ToString(RejectionOf(*file)), HasSubstr("zeros: not signed"));
  EXPECT_EQ(CodeOf(Validate(Bytes(*file), Alone())), std::nullopt);
}

// Forgetting to say what to check against must not mean that nothing is checked.
TEST(ValidateTest, AcceptsNothingByDefault) {
  const std::string file = Signed(SmallContent());
  EXPECT_EQ(RejectionOf(file, Checks{}).code, Code::kSignature);
  Checks keys_only;
  keys_only.build_keys = std::span(&TestKey().public_key(), 1);
  EXPECT_EQ(RejectionOf(file, keys_only).code, Code::kSchemaMismatch);
}

TEST(ValidateTest, RefusesSectionsThatAreMissingTwiceOrUnknown) {
  EXPECT_EQ(RejectionOf(Changed(header::kSectionCountAt, 0, 4)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(header::kSectionCountAt, 65, 4)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(header::kSectionCountAt, 0xffffffff, 4)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(kTableAt + 56, 1, 4)).code, Code::kDupSection);
  EXPECT_EQ(RejectionOf(Changed(kTableAt + 3 * 56, 9, 4)).code, Code::kUnsupported);
  EXPECT_EQ(RejectionOf(Changed(kTableAt + 3 * 56, 0, 4)).code, Code::kUnsupported);
  EXPECT_EQ(RejectionOf(Changed(kTableAt, 3, 4)).code, Code::kBadLayout) << "types must rise";
  EXPECT_EQ(RejectionOf(Changed(kTableAt + 4, 1, 4)).field, "sections[0].flags");
}

// An optional section is skipped; that the strings are then missing is still seen.
TEST(ValidateTest, SkipsAnOptionalSectionThatItDoesNotKnow) {
  std::string file = Signed(SmallContent());
  SetNumber(&file, kTableAt + 3 * 56, 9, 4);
  SetNumber(&file, kTableAt + 3 * 56 + 4, kOptionalSection, 4);
  Repair(&file, &TestKey());
  EXPECT_EQ(RejectionOf(file).code, Code::kMissingSection);
  EXPECT_EQ(RejectionOf(file).found, "no section of type 4");
}

TEST(ValidateTest, ReadsAFileWithAnOptionalSectionMore) {
  std::string file = Signed(SmallContent());
  // One entry more moves all sections by its size; the new section lies behind them.
  const uint64_t end = file.size() - kTrailerBytes;
  for (int i = 0; i < 4; ++i) {
    const uint64_t at = kTableAt + static_cast<uint64_t>(i) * 56 + entry::kOffsetAt;
    SetNumber(&file, at, NumberAt(file, at, 8) + 56, 8);
  }
  std::string added(56, '\0');
  SetNumber(&added, entry::kTypeAt, 77, 4);
  SetNumber(&added, entry::kFlagsAt, kOptionalSection, 4);
  SetNumber(&added, entry::kOffsetAt, end + 56, 8);
  SetNumber(&added, entry::kSizeAt, 8, 8);
  file.insert(end, "addition");
  file.insert(kIdentityAt, added);
  SetNumber(&file, header::kSectionCountAt, 5, 4);
  SetNumber(&file, header::kTotalLenAt, file.size(), 8);
  Repair(&file, &TestKey());
  const auto result = Validate(Bytes(file), WithKey());
  ASSERT_TRUE(std::holds_alternative<Layout>(result)) << TextOf(result);
  EXPECT_EQ(Describe(std::get<Layout>(result)), SmallContent());
}

TEST(ValidateTest, RefusesSectionsThatOverlapLeaveGapsOrOverflow) {
  const uint64_t offset_at = kTableAt + 2 * 56 + entry::kOffsetAt,
                 size_at = kTableAt + 2 * 56 + entry::kSizeAt;
  EXPECT_EQ(RejectionOf(Changed(offset_at, kRulesAt - 8, 8)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(offset_at, kRulesAt + 8, 8)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(offset_at, ~uint64_t{0}, 8)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(size_at, ~uint64_t{0}, 8)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(size_at, ~uint64_t{0} - kRulesAt + 1, 8)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(size_at, 1 << 20, 8)).code, Code::kBadLayout);
}

TEST(ValidateTest, RefusesPaddingThatCarriesSomething) {
  std::string file = Signed(SmallContent());
  const Layout layout = std::get<Layout>(Validate(Bytes(file), WithKey()));
  const Layout::Section strings = layout.section(SectionType::kStrings);
  ASSERT_NE(strings.size % 8, 0u);
  SetNumber(&file, strings.offset + strings.size, 1, 1);
  Repair(&file, &TestKey());
  EXPECT_EQ(RejectionOf(file).found, "padding that is not zero");
}

TEST(ValidateTest, RefusesNumbersOutsideTheirRange) {
  EXPECT_EQ(RejectionOf(Changed(header::kSerialAt, 0, 8)).field, "header.serial");
  EXPECT_EQ(RejectionOf(Changed(header::kSerialAt, ~uint64_t{0}, 8)).code, Code::kBadValue);
  EXPECT_EQ(RejectionOf(Changed(header::kSensorMinAt, 7'020'000, 4)).field, "header.sensor_min");
  EXPECT_EQ(RejectionOf(Changed(header::kFieldCountAt, 0, 2)).code, Code::kLimit);
  EXPECT_EQ(RejectionOf(Changed(header::kFieldCountAt, 257, 2)).code, Code::kLimit);
  EXPECT_EQ(RejectionOf(Changed(header::kFieldCountAt, 3, 2)).field, "fields");
}

TEST(ValidateTest, RefusesFieldsItCannotName) {
  EXPECT_EQ(RejectionOf(Changed(kFieldsAt + 8, 3, 1)).field, "fields[0].type");
  EXPECT_EQ(RejectionOf(Changed(kFieldsAt + 9, 1, 1)).field, "fields[0].type");
  Content twice = ContentWith(TextFields(2));
  twice.fields[1].name = "i0";
  EXPECT_THAT(std::string(Build(twice, nullptr, std::nullopt).status().message()),
              HasSubstr("'i0' a second time"));
  twice.fields[1].name = "I1";
  EXPECT_THAT(std::string(Build(twice, nullptr, std::nullopt).status().message()),
              HasSubstr("fields[1].name"));
}

TEST(ValidateTest, RefusesARuleThatReadsAFieldNobodyDeclared) {
  const Rejection rejection = RejectionOf(Changed(kConditionsAt, 2, 2));
  EXPECT_EQ(ToString(rejection),
            absl::StrCat("FIELD_INDEX: rules[0].conditions[0].field (byte ", kConditionsAt,
                         "): found 2, wanted below 2, the number of declared fields"));
}

TEST(ValidateTest, RefusesRulesItDoesNotUnderstand) {
  EXPECT_EQ(RejectionOf(Changed(kRulesAt + 8 + 16, 4, 1)).field, "rules[0].action");
  EXPECT_EQ(RejectionOf(Changed(kConditionsAt + 2, 0, 1)).field, "rules[0].conditions[0].op");
  EXPECT_EQ(RejectionOf(Changed(kConditionsAt + 2, 7, 1)).code, Code::kBadRule);
  EXPECT_EQ(RejectionOf(Changed(kConditionsAt + 5, 1, 1)).code, Code::kBadRule) << "a reserved byte";
  EXPECT_EQ(RejectionOf(Changed(kConditionsAt + 16, 1, 8)).field, "rules[0].conditions[0].number");
}

TEST(ValidateTest, RefusesAnOperationOnTheWrongType) {
  const Rejection rejection = RejectionOf(Changed(kConditionsAt + 2, static_cast<uint8_t>(Op::kAbove), 1));
  EXPECT_EQ(rejection.code, Code::kBadRule);
  EXPECT_THAT(rejection.wanted, HasSubstr("text, the type of field 0"));
}

TEST(ValidateTest, RefusesCountsThatDoNotAddUp) {
  EXPECT_EQ(RejectionOf(Changed(kRulesAt, 2, 4)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(kRulesAt, 0xffffffff, 4)).code, Code::kLimit);
  EXPECT_EQ(RejectionOf(Changed(kRulesAt + 4, 5, 4)).code, Code::kBadLayout);
  EXPECT_EQ(RejectionOf(Changed(kRulesAt + 8 + 8, 1, 4)).field, "rules[0].first_condition");
  EXPECT_EQ(RejectionOf(Changed(kRulesAt + 8 + 12, 0, 4)).code, Code::kLimit);
  EXPECT_EQ(RejectionOf(Changed(kRulesAt + 8 + 12, 65, 4)).code, Code::kLimit);
}

TEST(ValidateTest, RefusesStringsOutsideTheirSectionOrInDisorder) {
  EXPECT_EQ(RejectionOf(Changed(kIdentityAt, 1, 4)).code, Code::kBadString);
  EXPECT_EQ(RejectionOf(Changed(kIdentityAt + 4, 0xffffffff, 4)).code, Code::kBadString);
  EXPECT_EQ(RejectionOf(Changed(kIdentityAt + 8, 0xfffffff0, 4)).field, "identity.version");
}

TEST(ValidateTest, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(RejectionOf(Changed(kStringsAt, 0, 1)).found, "byte 0x0");
  EXPECT_EQ(RejectionOf(Changed(kStringsAt, 0xff, 1)).code, Code::kBadString);
  for (const char* text :
       {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "tab\t", "\x7f"}) {
    Content content = SmallContent();
    content.version = text;
    EXPECT_THAT(std::string(Build(content, nullptr, std::nullopt).status().message()),
                HasSubstr("BAD_STRING"));
  }
}

TEST(ValidateTest, RefusesBytesThatNoStringRefersTo) {
  std::string file = Signed(SmallContent());
  const Layout layout = std::get<Layout>(Validate(Bytes(file), WithKey()));
  const uint64_t size_at = kTableAt + 3 * 56 + entry::kSizeAt;
  const Layout::Section strings = layout.section(SectionType::kStrings);
  SetNumber(&file, strings.offset + strings.size, ' ', 1);
  SetNumber(&file, size_at, strings.size + 1, 8);
  Repair(&file, &TestKey());
  EXPECT_EQ(RejectionOf(file).found, "1 bytes that nothing refers to");
}

TEST(ValidateTest, RefusesMoreStarsTextAndConditionsThanAReaderTakes) {
  Content content = SmallContent();
  content.rules[2].conditions[0].text = "*********";
  EXPECT_THAT(std::string(Build(content, nullptr, std::nullopt).status().message()), HasSubstr("LIMIT"));
  content = SmallContent();
  content.rules[0].conditions[0].text = std::string(kMaxTextBytes + 1, 'x');
  EXPECT_THAT(std::string(Build(content, nullptr, std::nullopt).status().message()), HasSubstr("LIMIT"));
  content = SmallContent();
  content.rules[0].conditions.resize(kMaxConditionsPerRule + 1);
  EXPECT_FALSE(Build(content, nullptr, std::nullopt).ok());
}

// ---- against sensors

std::optional<Rejection> Against(size_t declared, std::vector<SensorSchema> sensors) {
  const std::string file = Signed(ContentWith(TextFields(declared)));
  Checks checks = WithKey();
  checks.sensors = sensors;
  const auto result = Validate(Bytes(file), checks);
  const Rejection* rejection = std::get_if<Rejection>(&result);
  return rejection == nullptr ? std::nullopt : std::optional(*rejection);
}

TEST(SensorTest, RefusesTwentyOneFieldsForASensorWithTwenty) {
  const auto rejection = Against(21, {SensorWith(TextFields(20))});
  ASSERT_TRUE(rejection.has_value());
  EXPECT_EQ(ToString(*rejection),
            "SCHEMA_MISMATCH: header.field_count (byte 44): found 21 inputs, wanted 20, the number that "
            "sensor 7.11.0 "
            "supplies for schema 291");
  EXPECT_EQ(RefusalOf(rejection->code), "schema_mismatch");
  EXPECT_EQ(Against(20, {SensorWith(TextFields(20))}), std::nullopt);
}

// A sensor that supplies more than the content declares is as little what was tested.
TEST(SensorTest, RefusesTwentyFieldsForASensorWithTwentyOne) {
  EXPECT_TRUE(Against(20, {SensorWith(TextFields(21))}).has_value());
}

TEST(SensorTest, HoldsContentAgainstEverySensorVersionThatItClaims) {
  const SensorSchema good = SensorWith(TextFields(20)), bad = SensorWith(TextFields(19), "7.12.0");
  const auto rejection = Against(20, {good, bad});
  ASSERT_TRUE(rejection.has_value());
  EXPECT_THAT(rejection->wanted, HasSubstr("sensor 7.12.0"));
  EXPECT_EQ(Against(20, {good, SensorWith(TextFields(19), "7.20.0")}), std::nullopt)
      << "7.20.0 is not claimed";
}

TEST(SensorTest, RefusesContentForNoSensorThatItKnows) {
  EXPECT_TRUE(Against(20, {}).has_value());
  EXPECT_TRUE(Against(20, {SensorWith(TextFields(20), "7.10.9")}).has_value());
}

TEST(SensorTest, RefusesContentOfAKindThatASensorDoesNotHave) {
  SensorSchema other = SensorWith(TextFields(20));
  other.schema_id = 7;
  EXPECT_EQ(Against(20, {other})->field, "header.schema_id");
  EXPECT_EQ(Against(20, {other, SensorWith(TextFields(20))}), std::nullopt) << "it has both";
}

TEST(SensorTest, RefusesInputsOfOtherNamesOrTypes) {
  std::vector<Field> fields = TextFields(20);
  fields[19].type = FieldType::kNumber;
  EXPECT_EQ(Against(20, {SensorWith(fields)})->field, "fields[19]");
  fields = TextFields(20);
  std::swap(fields[3].name, fields[4].name);
  EXPECT_EQ(Against(20, {SensorWith(fields)})->field, "fields[3]");
}

TEST(SensorVersionTest, ReadsThreeNumbersAndNothingElse) {
  EXPECT_EQ(Version("7.11.0").number, 7'011'000u);
  EXPECT_EQ(Version("4293.999.999").ToString(), "4293.999.999");
  for (const char* text : {"", "7", "7.11", "7.11.0.1", "7.1000.0", "4294.0.0", "7.011.0", "+7.1.0", " 7.1.0",
                           "7..0", "7.11.-1", "99999999999999999999"}) {
    EXPECT_FALSE(SensorVersion::Parse(text).ok()) << text;
  }
}

TEST(RejectionTest, CarriesItsCodeInAStatus) {
  const absl::Status status = ToStatus(RejectionOf(""));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.GetPayload(kCodeUrl), absl::Cord("TOO_SHORT"));
  EXPECT_EQ(status.GetPayload(kRefusalUrl), absl::Cord("malformed"));
}

}  // namespace
}  // namespace ringfence::content
