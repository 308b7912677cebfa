// What `ringfence-keys` does, command by command. Every action either does all of its work or leaves the
// repository as it was.
#pragma once

#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "keys_command.h"
#include "ringfence/trust/sealed_key.h"
#include "ringfence/trust/trust_document.h"
#include "ringfence/tuf/documents.h"
#include "ringfence/tuf/folder_repository.h"

namespace ringfence::tuf {

struct KeysOptions {
  std::string repository, output, person, passphrase_file, role, trust, root;
  std::vector<std::string> key_files;   // FILE
  std::vector<std::string> role_keys;   // ROLE=FILE
  std::vector<std::string> thresholds;  // ROLE=N
  std::vector<std::string> matrices;    // CHANNEL=FILE=TEST,TEST
  std::vector<std::string> agent_ca, revoked_keyids;
  bool throwaway = false, pem = false;
  int scrypt_log2 = trust::kDefaultScryptLog2;
  int expires_days = 0;  // 0: the role's own

  // Of a release.
  std::string artifact, kind = "content", channel, version, sensor_min, sensor_max, lab = "lab", path;
  std::vector<std::string> platforms, schemas, envelopes;
  int64_t serial = 0, rollback_floor = 0;
  bool urgent = false;
};

class KeysCommand {
 public:
  KeysCommand(const KeysOptions& options, Clock& clock, const AskPassphrase& ask, std::ostream& out)
      : options_(options), now_(clock.Now()), ask_(ask), out_(out), repository_(options.repository) {}

  absl::Status NewKey();
  absl::Status ShowKeys();
  absl::Status NewRoot();
  absl::Status NewTargets();
  absl::Status NewTrust();
  absl::Status SignDraft();
  // Drafts, then a new snapshot and timestamp over them, all of it looked at as a client would before the
  // first byte is written; the timestamp is written last.
  absl::Status Publish();
  // The same without drafts: fresh expiries.
  absl::Status Refresh();
  absl::Status SignRelease();
  absl::Status RevokeRelease();
  absl::Status Show();
  absl::Status Verify();
  absl::Status Demo();

 private:
  absl::StatusOr<std::string> ReadKeyBytes(const std::string& file) const;
  absl::StatusOr<trust::KeyFile> ReadKey(const std::string& file) const;
  absl::StatusOr<trust::SigningKey> Open(const std::string& file) const;
  // ROLE=FILE and ROLE=N of the options. One key means threshold 1; of several it has to be said.
  absl::StatusOr<std::map<std::string, RolePlan>> Plans(bool* throwaway) const;
  absl::Time Expires(const std::string& role) const;
  absl::Status PublishFiles(const std::vector<std::string>& drafts);
  absl::StatusOr<std::string> SignOnline(const std::string& document, const std::string& role) const;
  absl::StatusOr<std::string> FirstRoot() const;
  // trust.json, as the newest targets list it.
  absl::StatusOr<trust::TrustDocument> CurrentTrust() const;
  // A draft of a delegated role with these targets added to its newest document.
  absl::Status DraftTargets(const std::string& role, const std::vector<ListedTarget>& add);
  // The releases of `role` that its draft lists and its published document does not: all that was said of
  // them has to hold, or nobody signs.
  absl::Status CheckNewReleases(const std::string& role, const std::string& draft) const;
  // `before`: the document that the release comes after; empty: none.
  absl::Status CheckNewRelease(const TargetFile& target, const std::string& before) const;
  void ShowRole(const std::string& role, const std::string& bytes, const char* state) const;

  const KeysOptions& options_;
  const absl::Time now_;
  const AskPassphrase& ask_;
  std::ostream& out_;
  FolderRepository repository_;
};

// Keys of a file: a key file, or a public key as PEM, which has no holder's name.
absl::StatusOr<trust::KeyFile> ParseAnyKey(absl::string_view bytes);

// "a=b" as its two halves; InvalidArgument otherwise.
absl::StatusOr<std::pair<std::string, std::string>> Halves(const std::string& text, const char* wanted);

// Days that a role's documents are good for.
int DefaultDays(const std::string& role);

inline constexpr char kContentRelease[] = "content-release";
inline constexpr char kSensorRelease[] = "sensor-release";
inline constexpr char kQualification[] = "qualification";

}  // namespace ringfence::tuf
