#include "ringfence/tuf/metadata.h"

#include <gmock/gmock.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "ringfence/trust/strict_json.h"
#include "ringfence/tuf/canonical_json.h"
#include "ringfence/tuf/fault.h"
#include "tests/trust/tuf_repository.h"

namespace ringfence::tuf {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// The cases of securesystemslib's tests/test_formats.py, and the traps of JCS.
TEST(CanonicalJsonTest, IsOlpcsDialect) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"("")", R"("")"},
      {"[1, 2, 3]", "[1,2,3]"},
      {"[]", "[]"},
      {"{}", "{}"},
      {R"({"A": [99]})", R"({"A":[99]})"},
      {R"({"A": true, "B": false, "C": null})", R"({"A":true,"B":false,"C":null})"},
      {R"({"y": 2, "x": 3, "-": -5})", R"({"-":-5,"x":3,"y":2})"},
      {R"("\"")", R"("\"")"},
      {R"("\\")", R"("\\")"},
      {R"("\\\"")", R"("\\\"")"},
      {R"("a\nb\tc\/\u00e9")", "\"a\nb\tc/\xc3\xa9\""},
      {R"({"\ud83d\ude00": 1, "\uffee": 2})", "{\"\xef\xbf\xae\":2,\"\xf0\x9f\x98\x80\":1}"},
  };
  for (const auto& [text, canonical] : kCases) {
    const auto parsed = trust::ParseStrictJson(text, 1000);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(CanonicalJson(*parsed), canonical);
  }
}

TEST(PathPatternTest, StarsAndQuestionMarksStayWithinAFolder) {
  const struct {
    const char* path;
    const char* pattern;
    bool matches;
  } kCases[] = {
      {"a", "a", true},          {"a", "*", true},         {"a/b", "*", false},     {"a/b", "*/*", true},
      {"a/b", "?/?", true},      {"a/b", "???", false},    {"a/b", "a*b", false},   {"", "", true},
      {"", "*", true},           {"ab", "?", false},       {"A", "a", false},       {"aXbXc", "a*X*c", true},
      {"aXbXd", "a*X*c", false}, {"[a]", "[a]", true},     {"a", "[a]", false},     {"a/", "a/*", true},
      {"a//b", "a/*/b", true},   {"a.tgz", "*.tgz", true}, {"a/b/c", "a/*", false}, {"abc", "a**c", true}};
  for (const auto& test : kCases)
    EXPECT_EQ(MatchesPattern(test.path, test.pattern), test.matches) << test.path << " " << test.pattern;
  EXPECT_FALSE(MatchesPattern(std::string(2000, 'a'), "*a*a*a*a*a*a*a*a*a*b"));
}

TEST(SuccinctRolesTest, AreNamedByTheFirstBitsOfThePathsHash) {
  // From python-tuf's SuccinctRoles.get_role_for_target.
  const struct {
    int bits;
    const char* path;
    const char* role;
  } kCases[] = {{2, "a.txt", "bin-0"},
                {8, "a.txt", "bin-18"},
                {10, "releases/x", "bin-315"},
                {16, "b", "bin-3e23"},
                {32, "x", "bin-2d711642"}};
  for (const auto& test : kCases) {
    const SuccinctRoles roles{"bin", test.bits, {}};
    EXPECT_EQ(RoleFor(roles, test.path), test.role);
    EXPECT_TRUE(IsRoleOf(roles, test.role));
    for (const char* other : {"bin-", "bin", "bin-zz", "bin-000000000", "other-18", "bin-+1"})
      EXPECT_FALSE(IsRoleOf(roles, other)) << other;
  }
  EXPECT_FALSE(IsRoleOf({"bin", 2, {}}, "bin-4"));
  EXPECT_FALSE(IsRoleOf({"bin", 4, {}}, "bin-A"));
}

TEST(TimeTextTest, HasOneSpelling) {
  ASSERT_TRUE(ParseTimeText("2026-11-22T12:00:00Z").ok());
  EXPECT_EQ(*ParseTimeText("2026-11-22T12:00:00Z"), TestNow());
  for (const char* text :
       {"", "2026-11-22", "2026-11-22T12:00:00", "2026-11-22T12:00:00+00:00", "2026-11-22 12:00:00Z",
        "2026-02-30T12:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T12:00:60Z", "+026-11-22T12:00:00Z",
        "2026-11-22T12:00:0 Z", " 026-11-22T12:00:00Z"})
    EXPECT_FALSE(ParseTimeText(text).ok()) << text;
}

// One change to a sound document each; the error names the member.
struct Damage {
  const char* role;
  const char* pointer;
  json value;  // null: removed
  const char* named;
};

TEST(TufParserTest, NamesTheMemberThatIsWrong) {
  const Damage kDamages[] = {
      {"root", "/signatures", nullptr, ".signatures: found nothing"},
      {"root", "/signatures", "x", ".signatures: found string"},
      {"root", "/signatures/0", 5, "signatures[0]: found number"},
      {"root", "/signatures/0/keyid", nullptr, "signatures[0].keyid"},
      {"root", "/signatures/0/sig", 5, "signatures[0].sig"},
      {"root", "/signed", nullptr, "signed: found nothing"},
      {"root", "/signed/_type", "snapshot", "_type: found snapshot"},
      {"root", "/signed/_type", nullptr, "_type: found nothing"},
      {"root", "/signed/spec_version", "2.0.0", "spec_version: found 2.0.0"},
      {"root", "/signed/spec_version", "10.0", "spec_version"},
      {"root", "/signed/version", nullptr, "signed.version: found nothing"},
      {"root", "/signed/version", 0, "signed.version: found 0"},
      {"root", "/signed/version", "1", "signed.version: found string"},
      {"root", "/signed/expires", "never", "expires: found never"},
      {"root", "/signed/consistent_snapshot", 1, "consistent_snapshot"},
      {"root", "/signed/keys", json::array(), "signed.keys: found array"},
      {"root", "/signed/keys/key-90/keytype", nullptr, "signed.keys.key-90.keytype"},
      {"root", "/signed/keys/key-90/keyval", nullptr, "signed.keys.key-90.keyval"},
      {"root", "/signed/roles/timestamp", nullptr, "signed.roles.timestamp: found nothing"},
      {"root", "/signed/roles/root/threshold", 0, "signed.roles.root.threshold: found 0"},
      {"root", "/signed/roles/root/threshold", -1, "signed.roles.root.threshold"},
      {"root", "/signed/roles/root/keyids/0", 5, "signed.roles.root.keyids"},
      {"timestamp", "/signed/meta/snapshot.json", nullptr, "signed.meta.snapshot.json: found nothing"},
      {"timestamp", "/signed/meta/snapshot.json/version", 0, "version: found 0"},
      {"timestamp", "/signed/meta/snapshot.json/length", -1, "length: found -1"},
      {"timestamp", "/signed/meta/snapshot.json/hashes", json::object(), "hashes: found none"},
      {"timestamp", "/signed/meta/snapshot.json/hashes", {{"sha256", 5}}, "hashes.sha256"},
      {"snapshot", "/signed/meta", 5, "signed.meta: found number"},
      {"snapshot", "/signed/meta/targets.json", "x", "signed.meta.targets.json"},
      {"targets", "/signed/targets", nullptr, "signed.targets: found nothing"},
      {"targets", "/signed/targets/a", 5, "signed.targets.a"},
      {"targets", "/signed/targets/a/length", nullptr, "signed.targets.a.length"},
      {"targets", "/signed/targets/a/hashes", nullptr, "signed.targets.a.hashes"},
      {"targets", "/signed/delegations", 5, "signed.delegations"},
      {"targets", "/signed/delegations/keys", nullptr, "signed.delegations.keys"},
      {"targets", "/signed/delegations/roles", nullptr, "found neither"},
      {"targets", "/signed/delegations/succinct_roles", json::object(), "found both"},
      {"targets", "/signed/delegations/roles/0/name", nullptr, "signed.delegations.roles[0].name"},
      {"targets", "/signed/delegations/roles/0/paths", nullptr, "found neither"},
      {"targets", "/signed/delegations/roles/0/path_hash_prefixes", json::array(), "found both"},
      {"targets", "/signed/delegations/roles/1/name", "one", "role one again"},
      {"targets", "/signed/delegations/roles/0/terminating", "yes", "terminating"},
  };
  TestRepository repository;
  repository.Delegate(kTargets, "one");
  repository.Delegate(kTargets, "two");
  repository.AddTarget(kTargets, "a", "1");
  repository.Publish({"one", "two", kTargets, kSnapshot, kTimestamp});
  for (const Damage& damage : kDamages) {
    const std::string role = damage.role;
    json document = json::parse(repository.metadata.at(
        role == kTimestamp ? "timestamp.json" : absl::StrCat(role == kRoot ? 1 : 2, ".", role, ".json")));
    const json::json_pointer pointer(damage.pointer);
    if (damage.value.is_null()) {
      document[pointer.parent_pointer()].erase(pointer.back());
    } else {
      document[pointer] = damage.value;
    }
    const std::string bytes = document.dump();
    const absl::Status status = role == kRoot        ? ParseRoot(bytes).status()
                                : role == kTimestamp ? ParseTimestamp(bytes).status()
                                : role == kSnapshot  ? ParseSnapshot(bytes).status()
                                                     : ParseTargets(role, bytes).status();
    EXPECT_EQ(FaultOf(status), Fault::kMalformed) << damage.pointer << " " << status;
    EXPECT_EQ(RoleOf(status), role);
    EXPECT_THAT(std::string(status.message()), HasSubstr(damage.named)) << damage.pointer;
  }
}

TEST(TufParserTest, RefusesWhatTwoReadersMayReadInTwoWays) {
  TestRepository repository;
  const std::string good = repository.metadata.at("timestamp.json");
  ASSERT_TRUE(ParseTimestamp(good).ok());
  const auto with = [&](const char* from, const char* to) {
    std::string bytes = good;
    return bytes.replace(bytes.find(from), std::strlen(from), to);
  };
  for (const std::string& bytes :
       {with("\"version\": 1", "\"version\": 1, \"version\": 2"), with("\"version\": 1", "\"version\": 1.0"),
        with("\"version\": 1", "\"version\": 1e0"), with("\"version\": 1", "\"version\": 9007199254740993"),
        with("1.0.34", "1.0.\\u0000"), with("1.0.34", "1.\xff"), good + "{}", std::string(),
        std::string("[]"), std::string("{}")}) {
    EXPECT_EQ(FaultOf(ParseTimestamp(bytes).status()), Fault::kMalformed) << bytes;
  }
  EXPECT_EQ(FaultOf(ParseTimestamp(good + std::string(kMaxTimestampBytes, ' ')).status()),
            Fault::kLimitExceeded);
}

// Whatever strangers wrote: a message is short, printable, and still says what was wanted.
TEST(TufParserTest, ItsMessagesStayReadable) {
  TestRepository repository;
  const std::string noise = std::string(100'000, 'x') + "\n\x1b[31m\xc3\xa9";
  for (const char* pointer : {"/signed/_type", "/signed/expires", "/signed/spec_version"}) {
    json document = json::parse(repository.metadata.at("1.targets.json"));
    document[json::json_pointer(pointer)] = noise;
    const std::string message(ParseTargets(noise, document.dump()).status().message());
    EXPECT_LT(message.size(), 1500u);
    EXPECT_THAT(message, HasSubstr("wanted"));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  const absl::Status cut = Failure(Fault::kMissing, "\x1b", std::string(999, 'x') + "\xc3\xa9\xc3\xa9");
  EXPECT_THAT(std::string(cut.message()), ::testing::EndsWith("x..."));
  EXPECT_THAT(std::string(cut.message()), ::testing::StartsWith("missing: \\033: x"));
  EXPECT_EQ(RoleOf(cut), "\x1b");
}

TEST(TufParserTest, KeepsMembersItDoesNotKnow) {
  TestRepository repository;
  repository.signed_part(kRoot)["x-ringfence-throwaway"] = true;
  repository.Publish({kRoot});
  const auto root = ParseRoot(repository.metadata.at("2.root.json"));
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->body.others.at("x-ringfence-throwaway"), "true");
}

}  // namespace
}  // namespace ringfence::tuf
