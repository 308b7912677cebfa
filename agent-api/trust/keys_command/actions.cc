#include "actions.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_store.h"

namespace ringfence::tuf {
namespace {

constexpr size_t kMaxInputBytes = 16 << 20;

std::vector<std::string> PathsOf(const std::string& role) {
  // A pattern's star stays within one folder: a release's path is KIND/CHANNEL/FILE.
  if (role == kContentRelease) return {"content/*/*"};
  if (role == kSensorRelease) return {"sensor/*/*"};
  if (role == kQualification) return {"qual/*"};
  return {};
}

}  // namespace

absl::StatusOr<trust::KeyFile> ParseAnyKey(absl::string_view bytes) {
  if (!absl::StartsWith(bytes, "-----BEGIN PUBLIC KEY-----")) return trust::ReadKeyFile(bytes);
  trust::KeyFile key;
  ASSIGN_OR_RETURN(key.key, trust::PublicKey::FromPem(bytes));
  return key;
}

int DefaultDays(const std::string& role) {
  if (role == kRoot) return 730;
  if (role == kSensorRelease) return 180;
  if (role == kContentRelease) return 30;
  if (role == kSnapshot) return 14;
  if (role == kTimestamp) return 3;
  return 365;
}

absl::StatusOr<std::pair<std::string, std::string>> Halves(const std::string& text, const char* wanted) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return absl::InvalidArgumentError(absl::StrCat("found ", text, ", wanted ", wanted));
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

absl::Time KeysCommand::Expires(const std::string& role) const {
  // Whole seconds: metadata knows no others.
  const int days = options_.expires_days > 0 ? options_.expires_days : DefaultDays(role);
  return absl::FromUnixSeconds(absl::ToUnixSeconds(now_)) + absl::Hours(24) * days;
}

absl::StatusOr<std::string> KeysCommand::ReadKeyBytes(const std::string& file) const {
  return ReadFile(file, trust::kMaxKeyFileBytes);
}

absl::StatusOr<trust::KeyFile> KeysCommand::ReadKey(const std::string& file) const {
  ASSIGN_OR_RETURN(const std::string bytes, ReadKeyBytes(file));
  auto key = ParseAnyKey(bytes);
  if (key.ok()) return key;
  return absl::InvalidArgumentError(absl::StrCat(file, ": ", key.status().message()));
}

absl::StatusOr<trust::SigningKey> KeysCommand::Open(const std::string& file) const {
  ASSIGN_OR_RETURN(const trust::KeyFile key, ReadKey(file));
  ASSIGN_OR_RETURN(const std::string bytes, ReadKeyBytes(file));
  std::string passphrase;
  if (!key.throwaway && !options_.passphrase_file.empty()) {
    ASSIGN_OR_RETURN(passphrase, ReadFile(options_.passphrase_file, 4096));
    passphrase = passphrase.substr(0, passphrase.find('\n'));
  } else if (!key.throwaway) {
    ASSIGN_OR_RETURN(passphrase, ask_(file));
  }
  auto opened = trust::OpenKey(bytes, passphrase);
  if (opened.ok()) return opened;
  return absl::Status(opened.status().code(), absl::StrCat(file, ": ", opened.status().message()));
}

absl::Status KeysCommand::NewKey() {
  if (ReadFile(options_.output, 1 << 30).ok())
    return absl::InvalidArgumentError(
        absl::StrCat(options_.output, ": is there already, and is not replaced"));
  const std::string seed = trust::FreshSeed();
  std::string bytes;
  if (options_.throwaway) {
    ASSIGN_OR_RETURN(bytes, trust::ThrowawayKey(seed, options_.person));
  } else {
    std::string passphrase;
    if (!options_.passphrase_file.empty()) {
      ASSIGN_OR_RETURN(passphrase, ReadFile(options_.passphrase_file, 4096));
      passphrase = passphrase.substr(0, passphrase.find('\n'));
    } else {
      ASSIGN_OR_RETURN(passphrase, ask_(options_.output));
      ASSIGN_OR_RETURN(const std::string again, ask_(options_.output + " (again)"));
      if (again != passphrase) return absl::InvalidArgumentError("passphrase: found another the second time");
    }
    ASSIGN_OR_RETURN(bytes, trust::SealKey(seed, options_.person, passphrase, options_.scrypt_log2));
  }
  RETURN_IF_ERROR(WriteFileDurably(options_.output, bytes, 0600));
  ASSIGN_OR_RETURN(const trust::KeyFile key, trust::ReadKeyFile(bytes));
  out_ << options_.output << ": key " << key.key.KeyId().ToString() << " of " << key.person
       << (key.throwaway ? ", THROWAWAY: lies open, protects nothing" : ", sealed") << "\n";
  return absl::OkStatus();
}

absl::Status KeysCommand::ShowKeys() {
  for (const std::string& file : options_.key_files) {
    ASSIGN_OR_RETURN(const trust::KeyFile key, ReadKey(file));
    if (options_.pem) {
      out_ << key.key.ToPem();
      continue;
    }
    out_ << file << "\n  keyid   " << key.key.KeyId().ToString() << "\n  public  "
         << absl::BytesToHexString(key.key.raw()) << "\n  person  " << key.person << "\n  "
         << (key.throwaway ? "THROWAWAY: lies open, protects nothing" : "sealed") << "\n";
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, RolePlan>> KeysCommand::Plans(bool* throwaway) const {
  std::map<std::string, RolePlan> plans;
  for (const std::string& text : options_.role_keys) {
    ASSIGN_OR_RETURN(const auto halves, Halves(text, "--key ROLE=FILE"));
    ASSIGN_OR_RETURN(const trust::KeyFile key, ReadKey(halves.second));
    *throwaway = *throwaway || key.throwaway;
    plans[halves.first].keys.push_back(key.key);
    plans[halves.first].threshold = 0;
  }
  for (const std::string& text : options_.thresholds) {
    ASSIGN_OR_RETURN(const auto halves, Halves(text, "--threshold ROLE=N"));
    const auto plan = plans.find(halves.first);
    if (plan == plans.end() || !absl::SimpleAtoi(halves.second, &plan->second.threshold))
      return absl::InvalidArgumentError(
          absl::StrCat("found ", text, ", wanted --threshold ROLE=N of a role with keys"));
  }
  for (auto& [role, plan] : plans) {
    if (plan.threshold == 0 && plan.keys.size() == 1) plan.threshold = 1;
    if (plan.threshold == 0)
      return absl::InvalidArgumentError(
          absl::StrCat("role ", role, " has ", plan.keys.size(), " keys: wanted --threshold ", role, "=N"));
  }
  return plans;
}

absl::Status KeysCommand::NewRoot() {
  bool throwaway = false;
  ASSIGN_OR_RETURN(const auto plans, Plans(&throwaway));
  for (const auto& [role, plan] : plans) {
    if (role != kRoot && role != kTargets && role != kSnapshot && role != kTimestamp)
      return absl::InvalidArgumentError(
          absl::StrCat("role ", role, " is delegated: give its keys to new-targets"));
  }
  if (plans.count(kRoot) != 0 && plans.at(kRoot).threshold < 2 && !throwaway) {
    return absl::InvalidArgumentError(
        "role root: found threshold 1, wanted at least 2: one stolen key would be the whole fleet. "
        "Throwaway keys (new-key --throwaway) may have it");
  }
  RETURN_IF_ERROR(repository_.Create());
  ASSIGN_OR_RETURN(const int64_t version, repository_.PublishedVersion(kRoot));
  ASSIGN_OR_RETURN(const std::string root, MakeRoot(version + 1, Expires(kRoot), plans, throwaway));
  RETURN_IF_ERROR(repository_.SaveDraft(kRoot, root));
  ShowRole(kRoot, root, "draft");
  return absl::OkStatus();
}

absl::Status KeysCommand::DraftTargets(const std::string& role, const std::vector<ListedTarget>& add) {
  ASSIGN_OR_RETURN(const std::string base, repository_.Latest(role));
  ASSIGN_OR_RETURN(const int64_t version, repository_.PublishedVersion(role));
  TargetsChange change;
  change.add = add;
  ASSIGN_OR_RETURN(const std::string draft, MakeTargets(base, version + 1, Expires(role), change));
  RETURN_IF_ERROR(repository_.SaveDraft(role, draft));
  ShowRole(role, draft, "draft");
  return absl::OkStatus();
}

absl::Status KeysCommand::NewTargets() {
  bool throwaway = false;
  ASSIGN_OR_RETURN(const auto plans, Plans(&throwaway));
  TargetsChange change;
  if (!plans.empty()) change.delegations.emplace();
  for (const auto& [role, plan] : plans) {
    const std::vector<std::string> paths = PathsOf(role);
    if (paths.empty())
      return absl::InvalidArgumentError(absl::StrCat("role ", role, ": wanted ", kContentRelease, ", ",
                                                     kSensorRelease, " or ", kQualification));
    change.delegations->push_back({role, plan, paths});
  }
  if (!options_.trust.empty()) {
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(options_.trust, trust::kMaxTrustBytes));
    ASSIGN_OR_RETURN(const trust::TrustDocument document, trust::ParseTrustDocument(bytes));
    const auto current = CurrentTrust();
    if (current.ok() && document.version < current->version)
      return Failure(
          Fault::kStaleVersion, trust::kTrustTarget,
          absl::StrCat("found version ", document.version, ", wanted at least ", current->version));
    RETURN_IF_ERROR(repository_.Create());
    RETURN_IF_ERROR(repository_.SaveTarget(trust::kTrustTarget, bytes));
    change.add.push_back({trust::kTrustTarget, bytes.size(), Sha256(bytes), ""});
  }
  RETURN_IF_ERROR(repository_.Create());
  ASSIGN_OR_RETURN(const std::string base, repository_.Latest(kTargets));
  ASSIGN_OR_RETURN(const int64_t version, repository_.PublishedVersion(kTargets));
  ASSIGN_OR_RETURN(const std::string draft, MakeTargets(base, version + 1, Expires(kTargets), change));
  RETURN_IF_ERROR(repository_.SaveDraft(kTargets, draft));
  ShowRole(kTargets, draft, "draft");
  // A role that is delegated has to be there, if only empty, before anybody can be sent to it.
  for (const auto& [role, plan] : plans) {
    ASSIGN_OR_RETURN(const std::string there, repository_.Latest(role));
    if (there.empty()) RETURN_IF_ERROR(DraftTargets(role, {}));
  }
  return absl::OkStatus();
}

absl::Status KeysCommand::NewTrust() {
  trust::TrustDocument document;
  ASSIGN_OR_RETURN(const auto current_version, [&]() -> absl::StatusOr<int64_t> {
    const auto current = CurrentTrust();
    return current.ok() ? current->version : 0;
  }());
  document.version = current_version + 1;
  bool throwaway = false;
  ASSIGN_OR_RETURN(const auto plans, Plans(&throwaway));
  for (const auto& [role, plan] : plans) document.roles[role].threshold = plan.threshold;
  for (const std::string& text : options_.role_keys) {
    ASSIGN_OR_RETURN(const auto halves, Halves(text, "--key ROLE=FILE"));
    ASSIGN_OR_RETURN(const trust::KeyFile key, ReadKey(halves.second));
    document.roles[halves.first].keys.push_back({key.key, key.person});
  }
  for (const std::string& text : options_.matrices) {
    const std::vector<std::string> parts = absl::StrSplit(text, '=');
    if (parts.size() != 3)
      return absl::InvalidArgumentError(
          absl::StrCat("found ", text, ", wanted --matrix CHANNEL=FILE=TEST,TEST"));
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(parts[1], kMaxInputBytes));
    document.matrices[parts[0]] = {Sha256(bytes), absl::StrSplit(parts[2], ',', absl::SkipEmpty())};
  }
  if (!document.matrices.empty() && document.roles.count(kQualification) == 0)
    return absl::InvalidArgumentError("found a matrix without --key qualification=FILE, wanted both");
  for (const std::string& file : options_.agent_ca) {
    ASSIGN_OR_RETURN(const std::string pem, ReadFile(file, kMaxInputBytes));
    document.agent_ca.push_back(pem);
  }
  for (const std::string& id : options_.revoked_keyids) {
    ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(id));
    document.revoked.insert(digest);
  }
  const std::string bytes = trust::SerializeTrustDocument(document);
  RETURN_IF_ERROR(trust::ParseTrustDocument(bytes).status());
  RETURN_IF_ERROR(WriteFileDurably(options_.output, bytes, 0644));
  out_ << options_.output << ": trust.json version " << document.version << "\n";
  return absl::OkStatus();
}

absl::StatusOr<trust::TrustDocument> KeysCommand::CurrentTrust() const {
  if (options_.repository.empty()) return absl::NotFoundError("no repository");
  ASSIGN_OR_RETURN(const std::string bytes, repository_.Latest(kTargets));
  if (bytes.empty()) return absl::NotFoundError("no targets yet: begin with new-targets --trust trust.json");
  ASSIGN_OR_RETURN(const auto targets, ParseTargets(kTargets, bytes));
  const auto listed = targets.body.targets.find(trust::kTrustTarget);
  if (listed == targets.body.targets.end())
    return Failure(Fault::kMissing, trust::kTrustTarget,
                   "not listed: begin with new-targets --trust trust.json");
  ASSIGN_OR_RETURN(const std::string document, repository_.ReadTarget(listed->second));
  return trust::ParseTrustDocument(document);
}

absl::Status KeysCommand::SignDraft() {
  ASSIGN_OR_RETURN(const std::string draft, repository_.Draft(options_.role));
  RETURN_IF_ERROR(CheckNewReleases(options_.role, draft));
  ShowRole(options_.role, draft, "draft to sign");
  std::string bytes = draft;
  for (const std::string& file : options_.key_files) {
    ASSIGN_OR_RETURN(const trust::SigningKey key, Open(file));
    ASSIGN_OR_RETURN(bytes, AddSignature(bytes, key));
    out_ << "signed with " << file << ", key " << key.public_key().KeyId().ToString() << "\n";
  }
  return repository_.SaveDraft(options_.role, bytes);
}

absl::StatusOr<std::string> KeysCommand::SignOnline(const std::string& document,
                                                    const std::string& role) const {
  std::string bytes = document;
  bool any = false;
  for (const std::string& text : options_.role_keys) {
    ASSIGN_OR_RETURN(const auto halves, Halves(text, "--key ROLE=FILE"));
    if (halves.first != role) continue;
    ASSIGN_OR_RETURN(const trust::SigningKey key, Open(halves.second));
    ASSIGN_OR_RETURN(bytes, AddSignature(bytes, key));
    any = true;
  }
  if (!any) return absl::InvalidArgumentError(absl::StrCat("wanted --key ", role, "=FILE, to sign it anew"));
  return bytes;
}

absl::StatusOr<std::string> KeysCommand::FirstRoot() const {
  auto root = repository_.RootVersion(1);
  if (absl::IsNotFound(root.status())) root = repository_.Draft(kRoot);
  if (root.ok()) return root;
  return absl::NotFoundError("no root yet: begin with new-root");
}

absl::Status KeysCommand::PublishFiles(const std::vector<std::string>& drafts) {
  std::map<std::string, std::string> fresh;    // by file name
  std::map<std::string, std::string> targets;  // by role
  bool begun = false;
  for (const std::string& role : drafts) {
    ASSIGN_OR_RETURN(const std::string bytes, repository_.Draft(role));
    ASSIGN_OR_RETURN(int64_t version, repository_.PublishedVersion(role));
    fresh[absl::StrCat(version + 1, ".", Quote(role), ".json")] = bytes;
    if (role != kRoot) targets[role] = bytes;
  }
  const auto old = repository_.Published(kSnapshot);
  if (old.ok()) {
    begun = true;
    ASSIGN_OR_RETURN(const auto snapshot, ParseSnapshot(*old));
    for (const auto& [name, info] : snapshot.body.meta) {
      const std::string role(absl::StripSuffix(name, ".json"));
      if (targets.count(role) != 0) continue;
      ASSIGN_OR_RETURN(targets[role], repository_.Published(role));
    }
  }
  if (targets.count(kTargets) == 0)
    return Failure(Fault::kMissing, kTargets, "no draft, and nothing is published: begin with new-targets");
  ASSIGN_OR_RETURN(const int64_t snapshot_version, repository_.PublishedVersion(kSnapshot));
  ASSIGN_OR_RETURN(const int64_t timestamp_version, repository_.PublishedVersion(kTimestamp));
  ASSIGN_OR_RETURN(std::string snapshot, MakeSnapshot(snapshot_version + 1, Expires(kSnapshot), targets));
  ASSIGN_OR_RETURN(snapshot, SignOnline(snapshot, kSnapshot));
  ASSIGN_OR_RETURN(std::string timestamp,
                   MakeTimestamp(timestamp_version + 1, Expires(kTimestamp), snapshot));
  ASSIGN_OR_RETURN(timestamp, SignOnline(timestamp, kTimestamp));
  const std::string snapshot_name = absl::StrCat(snapshot_version + 1, ".snapshot.json");
  fresh[snapshot_name] = snapshot;
  fresh["timestamp.json"] = timestamp;

  ASSIGN_OR_RETURN(const std::string root, FirstRoot());
  FolderFetcher overlay(repository_, fresh);
  RETURN_IF_ERROR(CheckRepository(overlay, root, now_, /*bytes=*/true).status());
  if (begun) RETURN_IF_ERROR(repository_.ReadMetadata("timestamp.json", kMaxTimestampBytes).status());
  // Roots first: whoever fetches meanwhile finds either everything or the old state.
  for (const auto& [name, bytes] : fresh) {
    if (name != "timestamp.json") RETURN_IF_ERROR(repository_.SaveMetadata(name, bytes));
  }
  RETURN_IF_ERROR(repository_.SaveMetadata("timestamp.json", timestamp));
  for (const std::string& role : drafts) RETURN_IF_ERROR(repository_.RemoveDraft(role));
  for (const auto& [name, bytes] : fresh) out_ << "published " << name << "\n";
  return absl::OkStatus();
}

absl::Status KeysCommand::Publish() {
  ASSIGN_OR_RETURN(const std::vector<std::string> drafts, repository_.Drafts());
  if (drafts.empty()) return absl::InvalidArgumentError("no drafts: nothing to publish");
  for (const std::string& role : drafts) {
    ASSIGN_OR_RETURN(const std::string draft, repository_.Draft(role));
    RETURN_IF_ERROR(CheckNewReleases(role, draft));
  }
  return PublishFiles(drafts);
}

absl::Status KeysCommand::Refresh() {
  return PublishFiles({});
}

}  // namespace ringfence::tuf
