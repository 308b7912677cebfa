// A repository from the first key to a release on a client's disk, by the commands that people type, over
// HTTP.
#include <gmock/gmock.h>
#include <httplib.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "keys_command.h"
#include "ringfence/base/hash.h"
#include "ringfence/trust/qualify.h"
#include "ringfence/trust/release_check.h"
#include "ringfence/tuf/folder_store.h"
#include "tests/content/builders.h"
#include "tuf_command.h"

namespace ringfence::tuf {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Serves a folder; remembers what was asked for.
class Served {
 public:
  explicit Served(const std::string& folder) {
    server_.set_mount_point("/", folder);
    server_.set_tcp_nodelay(true);
    server_.set_logger([this](const httplib::Request& request, const httplib::Response&) {
      const std::lock_guard lock(mutex_);
      asked_.insert(request.path);
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Served() {
    server_.stop();
    thread_.join();
  }
  std::string Url(const std::string& path) const {
    return absl::StrCat("http://127.0.0.1:", port_, "/", path);
  }
  std::set<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  httplib::Server server_;
  std::mutex mutex_;
  std::set<std::string> asked_;
  int port_ = 0;
  std::thread thread_;
};

class CeremonyTest : public ::testing::Test {
 protected:
  CeremonyTest() : clock_(absl::FromCivil(absl::CivilSecond(2026, 11, 22, 12, 0, 0), absl::UTCTimeZone())) {
    std::string pattern = (fs::temp_directory_path() / "ceremony-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::create_directories(root_ / "keys");
    Write("passphrase", "correct horse battery staple\nand a second line\n");
    Write("matrix.yaml", "matrix");
  }
  ~CeremonyTest() override { fs::remove_all(root_); }

  std::string At(const std::string& name) const { return (root_ / name).string(); }
  void Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(root_ / name, std::ios::binary) << bytes;
  }
  std::string Read(const fs::path& path) const { return *ReadFile(path.string(), 1 << 24); }

  // Exit code; what was said is in said_.
  int Keys(std::vector<std::string> args) {
    std::ostringstream out, err;
    const int code = RunKeysCommand(
        args, clock_, [](const std::string&) { return absl::FailedPreconditionError("nobody is there"); },
        out, err);
    said_ = out.str() + err.str();
    return code;
  }
  int Tuf(std::vector<std::string> args) {
    std::ostringstream out, err;
    const int code = RunTufCommand(args, clock_, out, err);
    said_ = out.str() + err.str();
    return code;
  }
  std::string KeyOf(const std::string& name) const { return At("keys/" + name); }
  void NewKey(const std::string& person) {
    ASSERT_EQ(Keys({"new-key", "--out", KeyOf(person), "--person", person, "--scrypt-log2", "14",
                    "--passphrase-file", At("passphrase")}),
              kKeysDone)
        << said_;
  }
  int Sign(const std::string& role, const std::string& person) {
    return Keys(
        {"sign", At("repo"), "--role", role, "--key", KeyOf(person), "--passphrase-file", At("passphrase")});
  }
  int Online(const char* command) {
    return Keys({command, At("repo"), "--key", "snapshot=" + KeyOf("snapshot"), "--key",
                 "timestamp=" + KeyOf("timestamp"), "--passphrase-file", At("passphrase")});
  }
  std::vector<std::string> RootArgs(const std::vector<std::string>& people) {
    std::vector<std::string> args = {"new-root", At("repo"),    "--threshold",
                                     "root=2",   "--threshold", "targets=2"};
    for (const std::string& person : people) {
      for (const char* role : {"root", "targets"})
        args.insert(args.end(), {"--key", absl::StrCat(role, "=", KeyOf(person))});
    }
    for (const char* role : {"snapshot", "timestamp"})
      args.insert(args.end(), {"--key", absl::StrCat(role, "=", KeyOf(role))});
    return args;
  }

  // Roots 2 of 3 people, targets likewise, content by build and gate together, a laboratory.
  void Found() {
    for (const char* person : {"ann", "bob", "carol", "snapshot", "timestamp", "build", "gate", "lab"})
      NewKey(person);
    Write("keys/lab.pub.pem", lab_.public_key().ToPem());
    Write("keys/build.pub.pem", content::TestKey().public_key().ToPem());
    ASSERT_EQ(
        Keys({"new-trust", At("repo"), "--out", At("trust.json"), "--key",
              "qualification=" + KeyOf("lab.pub.pem"), "--key", "content_build=" + KeyOf("build.pub.pem"),
              "--matrix", absl::StrCat("ipc-detect=", At("matrix.yaml"), "=boot,load")}),
        kKeysDone)
        << said_;
    ASSERT_EQ(Keys(RootArgs({"ann", "bob", "carol"})), kKeysDone) << said_;
    ASSERT_EQ(Keys({"new-targets", At("repo"), "--trust", At("trust.json"), "--key",
                    "content-release=" + KeyOf("build"), "--key", "content-release=" + KeyOf("gate"),
                    "--threshold", "content-release=2", "--key", "qualification=" + KeyOf("lab")}),
              kKeysDone)
        << said_;
    for (const char* role : {"root", "targets"}) {
      ASSERT_EQ(Sign(role, "ann"), kKeysDone) << said_;
      ASSERT_EQ(Sign(role, "carol"), kKeysDone) << said_;
    }
    SignContent();
  }
  void SignContent() {
    ASSERT_EQ(Sign("content-release", "build"), kKeysDone) << said_;
    ASSERT_EQ(Sign("content-release", "gate"), kKeysDone) << said_;
    ASSERT_EQ(Sign("qualification", "lab"), kKeysDone) << said_;
  }

  // Drafts content with this serial; `tested` are the bytes that the laboratory saw.
  int Draft(int serial, const std::string& tested = "") {
    content::Content content = content::SmallContent();
    content.serial = static_cast<uint64_t>(serial);
    content.version = absl::StrCat("2026.11.", serial);
    artifact_ = content::Signed(content);
    trust::TestResults results;
    for (const char* test : {"boot", "load"}) results.passed.insert({"linux", "7.11.0", test});
    const auto statement = trust::MakeTestStatement("x", Sha256(tested.empty() ? artifact_ : tested), results,
                                                    {trust::FileResource("matrix", "matrix")}, "");
    Write("ipc.fct", artifact_);
    envelope_ = *trust::SealStatement(statement, lab_);
    Write("envelope.json", envelope_);
    return Keys({"sign-release",       At("repo"),         "--artifact",
                 At("ipc.fct"),        "--channel",        "ipc-detect",
                 "--release-version",  content.version,    "--serial",
                 absl::StrCat(serial), "--platform",       "linux",
                 "--sensor-min",       "7.11.0",           "--sensor-max",
                 "7.19.999",           "--schema",         "ipc=2",
                 "--qualification",    At("envelope.json")});
  }
  static std::string PathOf(int serial) {
    return absl::StrCat("content/ipc-detect/2026.11.", serial, "-ipc.fct");
  }

  // A client that knows root version 1 alone.
  int Download(Served& served, const std::vector<std::string>& names) {
    fs::remove_all(root_ / "client");
    fs::create_directories(root_ / "client/metadata");
    fs::create_directories(root_ / "client/targets");
    if (Tuf({"--metadata-dir", At("client/metadata"), "init", At("first-root.json")}) != kTufDone) return -1;
    if (Tuf({"--metadata-dir", At("client/metadata"), "--metadata-url", served.Url("metadata/"),
             "refresh"}) != kTufDone)
      return kTufFailed;
    std::vector<std::string> args = {"--metadata-dir",        At("client/metadata"), "--metadata-url",
                                     served.Url("metadata/"), "--target-base-url",   served.Url("targets/"),
                                     "--target-dir",          At("client/targets")};
    for (const std::string& name : names) args.insert(args.end(), {"--target-name", name});
    args.push_back("download");
    return Tuf(args);
  }

  ManualClock clock_;
  fs::path root_;
  std::string said_, artifact_, envelope_;
  const trust::SigningKey lab_ = *trust::SigningKey::FromSeed(std::string(32, 'q'));
};

TEST_F(CeremonyTest, FromTheFirstKeyToAReleaseOnAClientsDisk) {
  Found();
  ASSERT_EQ(Online("publish"), kKeysDone) << said_;
  fs::copy(At("repo/metadata/1.root.json"), At("first-root.json"));
  ASSERT_EQ(Draft(1042), kKeysDone) << said_;
  ASSERT_EQ(Sign("content-release", "build"), kKeysDone) << said_;
  ASSERT_EQ(Sign("qualification", "lab"), kKeysDone) << said_;
  EXPECT_EQ(Online("publish"), kKeysRefused) << "one of two signed";
  EXPECT_THAT(said_,
              HasSubstr("bad_signature: content-release: found 1 of the role's keys under it, wanted 2"));
  ASSERT_EQ(Sign("content-release", "gate"), kKeysDone) << said_;
  ASSERT_EQ(Online("publish"), kKeysDone) << said_;
  ASSERT_EQ(Keys({"verify", At("repo")}), kKeysDone) << said_;
  ASSERT_EQ(Keys({"show", At("repo")}), kKeysDone);
  EXPECT_THAT(said_, AllOf(HasSubstr("signed by 2 of 3 keys, wants 2"),
                           HasSubstr("expires 2026-11-25T12:00:00Z (in 3 days)"), HasSubstr("serial 1042")));
  EXPECT_THAT(said_, ::testing::Not(HasSubstr("THROWAWAY")));

  const std::vector<std::string> names = {"trust.json", PathOf(1042), "qual/" + Sha256(envelope_).ToString()};
  std::set<std::string> asked;
  {
    Served served(At("repo"));
    ASSERT_EQ(Download(served, names), kTufDone) << said_;
    asked = served.asked();
  }
  EXPECT_EQ(Read(root_ / "client/targets" / Quote(PathOf(1042))), artifact_);
  EXPECT_EQ(Read(root_ / "client/targets/trust.json"), Read(root_ / "trust.json"));

  // What it downloaded is enough for the host to say yes.
  FolderStore store(At("client/metadata"));
  NoFetcher nobody;
  Updater stored(nobody, store, clock_.Now());
  ASSERT_TRUE(stored.UseStored().ok());
  const auto target = stored.Find(PathOf(1042));
  ASSERT_TRUE(target.ok()) << target.status();
  const auto trust = trust::ParseTrustDocument(Read(root_ / "client/targets/trust.json"));
  const std::vector<content::SensorSchema> schemas = {content::SensorWith(content::SmallContent().fields)};
  const trust::HostFacts host{"linux", content::Version("7.11.0"), schemas, 1041, 0, {}};
  const std::vector<std::string> envelopes = {envelope_};
  const auto judged = trust::CheckRelease(*target, artifact_, envelopes, *trust, host, trust::Step::kForward);
  EXPECT_TRUE(std::holds_alternative<trust::ReleaseTerms>(judged))
      << trust::ToString(std::get<trust::Refusal>(judged));

  // Any byte of any file that the client reads, changed: it fails.
  Served served(At("repo"));
  int tampered = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root_ / "repo")) {
    const std::string path = "/" + fs::relative(entry.path(), root_ / "repo").string();
    if (!entry.is_regular_file() || asked.count(path) == 0) continue;
    const std::string good = Read(entry.path());
    for (const size_t at : {size_t{0}, good.size() / 3, good.size() / 2, good.size() - 2}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 1);
      std::ofstream(entry.path(), std::ios::binary) << bad;
      EXPECT_EQ(Download(served, names), kTufFailed) << path << " byte " << at << ": " << said_;
    }
    std::ofstream(entry.path(), std::ios::binary) << good;
    ++tampered;
  }
  EXPECT_EQ(Tuf({"--metadata-dir", At("client/metadata"), "init", At("first-root.json")}), kTufFailed);
  EXPECT_THAT(said_, HasSubstr("is trusted already"));
  EXPECT_EQ(tampered, 8) << "timestamp, snapshot, targets, two delegated roles, three targets";
  EXPECT_EQ(Download(served, names), kTufDone) << said_;
}

TEST_F(CeremonyTest, NobodySignsAReleaseOfWhichWhatIsSaidDoesNotHold) {
  Found();
  ASSERT_EQ(Online("publish"), kKeysDone) << said_;
  EXPECT_EQ(Draft(1042, "what was tested before it was packed again"), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("evidence_mismatch"));
  ASSERT_EQ(Draft(1042), kKeysDone) << said_;
  SignContent();
  ASSERT_EQ(Online("publish"), kKeysDone) << said_;
  EXPECT_EQ(Draft(1041), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("stale_version"));
  // Nor two releases with one serial, in one draft.
  ASSERT_EQ(Draft(1043), kKeysDone) << said_;
  std::string twice = Read(root_ / "repo/drafts/content-release.json");
  const auto replace = [&](const std::string& from, const std::string& to) {
    twice.replace(twice.rfind(from), from.size(), to);
  };
  const size_t old = twice.find("\"serial\": 1042");
  ASSERT_NE(old, std::string::npos);
  Write("repo/drafts/content-release.json", std::string(twice).replace(old, 14, "\"serial\": 1043"));
  EXPECT_EQ(Sign("content-release", "gate"), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("may only be recalled"));
  replace("2026.11.1042-ipc.fct", "2026.11.1044-ipc.fct");
  Write("repo/drafts/content-release.json",
        twice.replace(twice.find("\"serial\": 1042"), 14, "\"serial\": 1043"));
  EXPECT_EQ(Sign("content-release", "gate"), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("for two releases"));
  fs::remove(At("repo/drafts/content-release.json"));
  // A draft that somebody edited by hand is looked at again by whoever signs it.
  ASSERT_EQ(Draft(1043), kKeysDone) << said_;
  std::string draft = Read(root_ / "repo/drafts/content-release.json");
  const size_t serial = draft.find("\"serial\": 1043");
  ASSERT_NE(serial, std::string::npos);
  Write("repo/drafts/content-release.json", draft.replace(serial, 14, "\"serial\": 1044"));
  EXPECT_EQ(Sign("content-release", "gate"), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("serial 1044"));
}

TEST_F(CeremonyTest, RecallsRefreshesAndReplacesAPerson) {
  Found();
  ASSERT_EQ(Draft(1042), kKeysDone) << said_;
  SignContent();
  ASSERT_EQ(Online("publish"), kKeysDone) << said_;
  fs::copy(At("repo/metadata/1.root.json"), At("first-root.json"));
  Served served(At("repo"));

  clock_.Advance(absl::Hours(24 * 4));
  EXPECT_EQ(Download(served, {"trust.json"}), kTufFailed);
  EXPECT_THAT(said_, HasSubstr("expired: timestamp: version 1 expired at 2026-11-25T12:00:00Z"));
  ASSERT_EQ(Online("refresh"), kKeysDone) << said_;
  EXPECT_EQ(Download(served, {"trust.json"}), kTufDone) << said_;

  ASSERT_EQ(Keys({"revoke-release", At("repo"), "--path", PathOf(1042)}), kKeysDone) << said_;
  ASSERT_EQ(Sign("content-release", "build"), kKeysDone) << said_;
  ASSERT_EQ(Sign("content-release", "gate"), kKeysDone) << said_;
  ASSERT_EQ(Online("publish"), kKeysDone) << said_;
  ASSERT_EQ(Keys({"show", At("repo")}), kKeysDone);
  EXPECT_THAT(said_, HasSubstr("RECALLED"));

  // Carol leaves, Dave comes: two of the old keys and two of the new have to sign, Ann and Bob are both.
  NewKey("dave");
  ASSERT_EQ(Keys(RootArgs({"ann", "bob", "dave"})), kKeysDone) << said_;
  ASSERT_EQ(Sign("root", "dave"), kKeysDone) << said_;
  ASSERT_EQ(Sign("root", "carol"), kKeysDone) << said_;
  EXPECT_EQ(Online("publish"), kKeysRefused) << "one of the old and one of the new alone";
  EXPECT_THAT(said_, HasSubstr("bad_signature: root"));
  ASSERT_EQ(Sign("root", "bob"), kKeysDone) << said_;
  // Targets were signed by Ann and Carol: they need a new signature under the new root.
  EXPECT_EQ(Online("publish"), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("bad_signature: targets"));
  ASSERT_EQ(Keys({"new-targets", At("repo")}), kKeysDone) << said_;
  ASSERT_EQ(Sign("targets", "ann"), kKeysDone) << said_;
  ASSERT_EQ(Sign("targets", "dave"), kKeysDone) << said_;
  ASSERT_EQ(Online("publish"), kKeysDone) << said_;
  EXPECT_EQ(Download(served, {"trust.json", PathOf(1042)}), kTufDone) << said_;
  EXPECT_THAT(Read(root_ / "client/metadata/root.json"), HasSubstr("\"version\": 2"));
}

TEST_F(CeremonyTest, AWrongPassphraseOrAChangedKeyFileSignsNothing) {
  Found();
  const std::string before = Read(root_ / "repo/drafts/root.json");
  Write("passphrase", "correct horse battery stable\n");
  EXPECT_EQ(Sign("root", "bob"), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("the passphrase is wrong, or the file was changed"));
  Write("passphrase", "correct horse battery staple\n");
  std::string file = Read(KeyOf("bob"));
  Write("keys/bob", file.replace(file.find("\"bob\""), 5, "\"eve\""));
  EXPECT_EQ(Sign("root", "bob"), kKeysRefused);
  EXPECT_EQ(Read(root_ / "repo/drafts/root.json"), before);
  EXPECT_EQ(Keys({"sign", At("repo"), "--role", "root", "--key", KeyOf("ann")}), kKeysRefused)
      << "nobody is there to ask";
  EXPECT_EQ(fs::status(KeyOf("ann")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(Keys({"new-key", "--out", KeyOf("ann"), "--person", "ann", "--throwaway"}), kKeysRefused)
      << "is there already";
}

TEST_F(CeremonyTest, OneRootKeyIsEnoughForThrowawayKeysOnlyAndTheyAreMarked) {
  for (const char* person : {"ann", "snapshot", "timestamp"}) NewKey(person);
  std::vector<std::string> args = {"new-root", At("repo")};
  for (const char* role : {"root=", "targets="}) args.insert(args.end(), {"--key", role + KeyOf("ann")});
  for (const char* role : {"snapshot", "timestamp"})
    args.insert(args.end(), {"--key", absl::StrCat(role, "=", KeyOf(role))});
  EXPECT_EQ(Keys(args), kKeysRefused);
  EXPECT_THAT(said_, HasSubstr("wanted at least 2"));

  fs::create_directories(root_ / "throwaway");
  ASSERT_EQ(Keys({"demo", At("repo"), "--out", At("throwaway"), "--matrix",
                  absl::StrCat("ipc-detect=", At("matrix.yaml"), "=boot,load")}),
            kKeysDone)
      << said_;
  EXPECT_THAT(said_, HasSubstr("THROWAWAY"));
  fs::copy(At("repo/metadata/1.root.json"), At("first-root.json"));
  Served served(At("repo"));
  ASSERT_EQ(Download(served, {}), kTufUsage);
  EXPECT_EQ(
      Tuf({"--metadata-dir", At("client/metadata"), "--metadata-url", served.Url("metadata/"), "refresh"}),
      kTufDone);
  EXPECT_THAT(said_, HasSubstr("THROWAWAY KEYS"));
}

}  // namespace
}  // namespace ringfence::tuf
