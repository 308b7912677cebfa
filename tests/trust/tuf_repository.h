// A repository in memory that signs whatever a test wants signed, with throwaway keys: right by default, and
// wrong in one place where the test says so.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ringfence/trust/ed25519.h"
#include "ringfence/tuf/updater.h"

namespace ringfence::tuf {

// 2026-11-22 12:00 UTC; everything that is published expires 30 days later.
absl::Time TestNow();

class TestRepository final : public Fetcher {
 public:
  // Version 1 of the four roles, one key each, is published; snapshots are consistent.
  TestRepository();

  // Keys are numbers; a key comes into being when it is first named. `id` is "key-N".
  const trust::SigningKey& key(int number);
  nlohmann::json KeyJson(int number);

  // The "signed" part that the next Publish signs.
  nlohmann::json& signed_part(const std::string& role) { return roles_.at(role).signed_part; }
  // Whose signatures the next Publish makes, in this order.
  std::vector<int>& signers(const std::string& role) { return roles_.at(role).signers; }
  // In root: the keys of a top-level role, its threshold, and who will sign it. Does not publish.
  void SetKeys(const std::string& role, const std::vector<int>& keys, int threshold,
               const std::vector<int>& signers);
  // Adds a delegation with one new key and, if it is new, the role.
  void Delegate(const std::string& delegator, const std::string& role,
                const std::vector<std::string>& paths = {"*"}, bool terminating = false);
  // Lists a target in a role, and has its bytes. Does not publish.
  void AddTarget(const std::string& role, const std::string& path, const std::string& bytes);

  // The next version of each role, in this order. Snapshot and timestamp list what was published before them.
  void Publish(const std::vector<std::string>& roles);
  // Publishes everything a change of `role` asks for.
  void PublishAll(const std::string& role) { Publish({role, kSnapshot, kTimestamp}); }
  // Puts length and hashes of what they list into snapshot and timestamp from now on.
  bool list_hashes = false;

  // Signs anything as a document.
  std::string Seal(const nlohmann::json& signed_part, const std::vector<int>& signers);

  // By the name it is asked by: "2.root.json". A test may change, add or remove them.
  std::map<std::string, std::string> metadata, targets;
  // Names of metadata that were asked for.
  std::vector<std::string> requests;

  absl::StatusOr<std::string> Metadata(const std::string& name, size_t most) override;
  absl::StatusOr<std::string> Target(const std::string& name, size_t most) override;

 private:
  struct State {
    nlohmann::json signed_part;
    std::vector<int> signers;
    std::string last;  // the bytes that were published last
  };
  nlohmann::json Info(const std::string& role);

  std::map<std::string, State> roles_;
  std::map<int, trust::SigningKey> keys_;
  int next_key_ = 100;
};

class MemoryStore final : public MetadataStore {
 public:
  absl::StatusOr<std::string> Load(const std::string& role) override;
  absl::Status Save(const std::string& role, absl::string_view bytes) override;
  // 0 if there is none.
  int64_t Version(const std::string& role) const;

  std::map<std::string, std::string> files;
};

// A client that trusts the first root, and what it did.
class TestClient {
 public:
  explicit TestClient(TestRepository& repository) : repository_(repository) {
    store.files[kRoot] = repository.metadata.at("1.root.json");
  }
  absl::Status Refresh(absl::Time now = TestNow());
  // Refreshes and looks; the target's bytes.
  absl::StatusOr<std::string> Get(const std::string& path, absl::Time now = TestNow());
  // "root 1, snapshot 2": what is stored.
  std::string Stored() const;

  MemoryStore store;

 private:
  TestRepository& repository_;
};

}  // namespace ringfence::tuf
