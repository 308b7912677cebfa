// The agent's memory, with the power failing after every single file operation.
#include "ringfence/agent/state_store.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringfence/base/hash.h"

namespace ringfence::agent {
namespace {

// Keeps what is on the disk apart from what was only written. When the power fails, unsynced bytes are torn
// and a rename that was not synced may or may not have happened.
class FailingFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::string> Read(const std::string& path) override {
    const auto found = seen_.find(path);
    if (found == seen_.end()) return absl::NotFoundError(path);
    return found->second;
  }
  absl::Status Write(const std::string& path, absl::string_view bytes, int mode) override {
    if (!Powered()) return Dead();
    EXPECT_EQ(mode, 0600);
    seen_[path] = std::string(bytes);
    disk_[path] = std::string(bytes.substr(0, bytes.size() / 2));  // torn unless synced
    return absl::OkStatus();
  }
  absl::Status Sync(const std::string& path) override {
    if (!Powered()) return Dead();
    disk_[path] = seen_[path];
    return absl::OkStatus();
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (!Powered()) return Dead();
    before_rename_ = disk_;
    for (auto* files : {&seen_, &disk_}) {
      (*files)[to] = (*files)[from];
      files->erase(from);
    }
    return absl::OkStatus();
  }
  absl::Status SyncFolder(const std::string&) override {
    if (!Powered()) return Dead();
    before_rename_.clear();
    return absl::OkStatus();
  }

  void FailAfter(int operations) { left_ = operations; }
  // The machine comes back; `lost_rename`: the last rename had not reached the disk.
  void Reboot(bool lost_rename) {
    if (lost_rename && !before_rename_.empty()) disk_ = before_rename_;
    before_rename_.clear();
    seen_ = disk_;
    left_ = 1'000'000;
  }
  std::map<std::string, std::string>& disk() { return disk_; }

 private:
  bool Powered() { return left_-- > 0; }
  static absl::Status Dead() { return absl::InternalError("no power"); }
  int left_ = 1'000'000;
  std::map<std::string, std::string> seen_, disk_, before_rename_;
};

Durable Numbered(uint64_t number) {
  Durable durable;
  durable.agent = AgentId::Parse("11111111-2222-4333-8444-555555555555").value();
  durable.secret = std::string("\0\x01 secret", 9);
  durable.tenant = "acme";
  durable.boot_id = "boot-1";
  durable.next_seq = number;
  durable.queue = {
      {number, "boot-1", EventKind::kReverted, "content", Sha256("v2"), "", "why \xff \"quoted\""}};
  Durable::Channel& channel = durable.channels["content"];
  channel.running = Sha256("v1");
  channel.activating = Sha256("v2");
  channel.staged = Directive{DirectiveKind::kPrefetch, "content", 7, "1.2", Sha256("v2"), 99, {}};
  channel.burned = {Sha256("bad"), Sha256("worse")};
  return durable;
}

TEST(StateStoreTest, FindsWhatItWrote) {
  FailingFileSystem files;
  ASSERT_TRUE(StateStore(&files, "/s").Save(Numbered(5)).ok());
  const auto loaded = StateStore(&files, "/s").Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->secret, Numbered(5).secret);
  EXPECT_EQ(loaded->next_seq, 5u);
  ASSERT_EQ(loaded->queue.size(), 1u);
  EXPECT_EQ(loaded->queue[0].kind, EventKind::kReverted);
  EXPECT_EQ(loaded->channels.at("content").staged->serial, 7u);
  EXPECT_EQ(loaded->channels.at("content").burned.size(), 2u);
  EXPECT_EQ(loaded->channels.at("content").activating, Sha256("v2"));
}

TEST(StateStoreTest, ANewAgentHasNothingYet) {
  FailingFileSystem files;
  EXPECT_EQ(StateStore(&files, "/s").Load().status().code(), absl::StatusCode::kNotFound);
}

TEST(StateStoreTest, AfterAPowerCutAtAnyMomentTheLastFinishedWriteOrTheOneAfterItIsThere) {
  constexpr int kOperations = 4 * 6;
  for (int operations = 4; operations < kOperations; ++operations) {
    for (const bool lost_rename : {false, true}) {
      FailingFileSystem files;
      files.FailAfter(operations);
      StateStore store(&files, "/s");
      uint64_t finished = 0, number = 0;
      while (store.Save(Numbered(++number)).ok()) finished = number;
      files.Reboot(lost_rename);
      const auto loaded = StateStore(&files, "/s").Load();
      ASSERT_TRUE(loaded.ok()) << operations << ": " << loaded.status();
      EXPECT_GE(loaded->queue[0].seq, finished) << operations;
      EXPECT_LE(loaded->queue[0].seq, finished + 1) << operations;
      // And it goes on from there.
      StateStore again(&files, "/s");
      ASSERT_TRUE(again.Load().ok());
      ASSERT_TRUE(again.Save(Numbered(100)).ok());
      EXPECT_EQ(StateStore(&files, "/s").Load()->queue[0].seq, 100u);
    }
  }
}

TEST(StateStoreTest, AnyDamageToTheNewestCopyFallsBackToTheOther) {
  FailingFileSystem files;
  StateStore store(&files, "/s");
  ASSERT_TRUE(store.Save(Numbered(1)).ok());
  ASSERT_TRUE(store.Save(Numbered(2)).ok());  // generation 2: state.0.json
  const std::string whole = files.disk().at("/s/state.0.json");
  for (size_t length = 0; length < whole.size(); ++length) {
    files.disk()["/s/state.0.json"] = whole.substr(0, length);
    files.Reboot(false);
    const auto loaded = StateStore(&files, "/s").Load();
    ASSERT_TRUE(loaded.ok()) << length << ": " << loaded.status();
    ASSERT_EQ(loaded->queue[0].seq, 1u) << length;
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    files.disk()["/s/state.0.json"] = flipped;
    files.Reboot(false);
    const auto loaded = StateStore(&files, "/s").Load();
    ASSERT_TRUE(loaded.ok()) << at << ": " << loaded.status();
    ASSERT_EQ(loaded->queue[0].seq, 1u) << at;
  }
}

TEST(StateStoreTest, AnOlderCopyNeverReusesASeqThatWasSent) {
  FailingFileSystem files;
  StateStore store(&files, "/s");
  ASSERT_TRUE(store.Save(Numbered(10)).ok());
  ASSERT_TRUE(store.Save(Numbered(40)).ok());
  files.disk()["/s/state.0.json"] = "";
  files.Reboot(false);
  EXPECT_GT(StateStore(&files, "/s").Load()->next_seq, 40u);
}

TEST(StateStoreTest, NeverFallsBackToNothing) {
  FailingFileSystem files;
  StateStore store(&files, "/s");
  ASSERT_TRUE(store.Save(Numbered(1)).ok());
  ASSERT_TRUE(store.Save(Numbered(2)).ok());
  files.disk()["/s/state.0.json"] = "x";
  files.disk()["/s/state.1.json"] = "x";
  files.Reboot(false);
  EXPECT_EQ(StateStore(&files, "/s").Load().status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace ringfence::agent
