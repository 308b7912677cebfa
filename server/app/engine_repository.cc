// Publications out of the release repository: verified as agents verify them, then kept for agents to fetch.
#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/hash.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/trust_document.h"
#include "ringfence/tuf/metadata.h"
#include "server/app/engine.h"

namespace ringfence::app {
namespace {

using trust::RefusalType;

class StoredFiles final : public gate::StoredRepository {
 public:
  explicit StoredFiles(storage::Store* store) : store_(store) {}

  absl::StatusOr<std::string> Read(const std::string& name, const std::optional<Digest>& sha256) override {
    absl::StatusOr<storage::TrustDocumentRow> row = absl::NotFoundError(name);
    RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
      row = tx.TrustDocument(name, sha256);
      return absl::IsNotFound(row.status()) ? absl::OkStatus() : row.status();
    }));
    RETURN_IF_ERROR(row.status());
    return std::move(row->bytes);
  }

 private:
  storage::Store* const store_;
};

// The whole of what came, by name and digest.
HashInput Asked(const PublishRequest& request) {
  HashInput input;
  input.String("repository");
  for (const auto* files : {&request.repository->metadata, &request.repository->targets}) {
    input.U64(files->size());
    for (const auto& [name, bytes] : *files) input.String(name).Raw(Sha256(bytes).raw());
  }
  input.U64(request.release.targets.all_of.size());
  for (const policy::Requirement& one : request.release.targets.all_of) {
    input.String(one.key).U64(one.any_of.size());
    for (const std::string& value : one.any_of) input.String(value);
  }
  if (request.skip_rings) input.String("skip_rings");
  return input;
}

// For the audit: an artifact's path says kind, channel and version.
std::string AuditTarget(const gate::RepositoryFiles& files) {
  for (const auto& [path, bytes] : files.targets)
    if (absl::StartsWith(path, "content/") || absl::StartsWith(path, "sensor/")) return path;
  return "repository";
}

// An act that belongs to another one: the same every time that one is repeated.
Act PartOf(const Act& act, const std::string& channel, uint64_t serial) {
  Act part = act;
  part.request_id = Sha256(HashInput().String(act.request_id).String(channel).U64(serial).bytes()).ToString();
  if (part.reason.empty()) part.reason = "recalled in the release metadata";
  return part;
}

}  // namespace

absl::StatusOr<PublishReply> Engine::PublishRepository(const Act& act, const PublishRequest& request) {
  const gate::RepositoryFiles& files = *request.repository;
  const absl::Time now = absl::FromUnixMicros(absl::ToUnixMicros(clock_->Now()));  // as it is stored
  const std::string target = AuditTarget(files);
  if (request.skip_rings) {
    // What came is not verified yet: its path is what is said of it.
    RETURN_IF_ERROR(KeepBypass(
        act, {BypassKind::kSkipRing, {}, absl::StrCat(target, ": if it is taken, it travels ring by ring")}));
  }
  if (options_.trust == nullptr) {
    return absl::FailedPreconditionError(
        "repository: this server follows none; it was started without --trust-root");
  }
  const Request asked = RequestFor("release.publish", Asked(request));
  MutexLock publishing(&publish_mu_);
  ASSIGN_OR_RETURN(std::optional<PublishReply> earlier, EarlierPublication(act, asked));
  if (earlier.has_value()) return *std::move(earlier);

  StoredFiles stored(store_);
  std::optional<std::string> timestamp;
  if (options_.trust->timestamp_key != nullptr) {
    ASSIGN_OR_RETURN(timestamp, gate::SignTimestamp(*options_.trust->timestamp_key, files, stored, now,
                                                    kTimestampLifetime));
  }
  absl::StatusOr<gate::VerifiedRepository> verified =
      gate::VerifyRepository(*options_.trust, files, timestamp, stored, now);
  if (!verified.ok()) return OnRecord(*store_, act, now, target, verified.status());
  // Before the metadata is kept: if the server dies between the two, the release is stopped, and the repeat
  // does the rest.
  PublishReply reply;
  ASSIGN_OR_RETURN(reply.recalled, RecallListed(act, *verified));
  if (!verified->release.has_value()) return StoreMetadata(act, asked, now, *verified, std::move(reply));

  Publication publication;
  publication.release = *std::move(verified->release);
  publication.release.published_at = now;
  publication.release.targets = request.release.targets;
  for (const policy::Artifact& artifact : publication.release.artifacts)
    publication.bytes.emplace_back(artifact.digest, files.targets.at(artifact.path));
  publication.files = std::move(verified->files);
  if (request.skip_rings) publication.warnings.push_back(kBypassWarning);
  if (const std::vector<policy::Fault> faults = policy::Validate(publication.release); !faults.empty()) {
    absl::Status status = policy::ToStatus(faults);
    status.SetPayload(kRefusalUrl, absl::Cord(trust::Name(RefusalType::kMalformed)));
    return status;
  }
  ASSIGN_OR_RETURN(PublishReply published, StorePublication(act, asked, publication));
  published.recalled = std::move(reply.recalled);
  DescribeRepository();
  return published;
}

absl::StatusOr<PublishReply> Engine::StoreMetadata(const Act& act, const Request& asked, absl::Time now,
                                                   const gate::VerifiedRepository& verified,
                                                   PublishReply reply) {
  reply.has_release = false;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, asked));
    if (known.has_value()) return absl::OkStatus();
    RETURN_IF_ERROR(PutFiles(tx, verified.files, now));
    RETURN_IF_ERROR(tx.AppendAudit(AuditOf(act, now, "repository.update", "repository")));
    return KeepAnswer(tx, act, asked, now, Pack(std::vector<std::string>{""}));
  }));
  DescribeRepository();
  return reply;
}

absl::StatusOr<std::optional<PublishReply>> Engine::EarlierPublication(const Act& act, const Request& asked) {
  std::optional<PublishReply> reply;
  RETURN_IF_ERROR(store_->ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    reply.reset();
    ASSIGN_OR_RETURN(const std::optional<storage::RequestRow> known, Answered(tx, act, asked));
    if (!known.has_value()) return absl::OkStatus();
    reply.emplace();
    ASSIGN_OR_RETURN(std::vector<std::string> kept, Unpack(known->response));
    const std::string name = kept.empty() ? "" : kept.front();
    reply->has_release = !name.empty();
    if (!reply->has_release) return absl::OkStatus();
    reply->warnings.assign(kept.begin() + 1, kept.end());
    ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> rows, tx.Releases());
    for (const storage::ReleaseRow& row : rows) {
      if (absl::StrCat(row.release.channel, "/", row.release.serial) == name) reply->row = row;
    }
    return absl::OkStatus();
  }));
  if (reply.has_value() && reply->has_release) {
    // The first answer may have been lost in doubt, and with it the release.
    MutexLock lock(&mu_);
    if (FindRelease(reply->row.release.channel, reply->row.release.serial) == nullptr) AddRelease(reply->row);
    Changed();
    reply->row.state = storage::ReleaseState::kPublished;  // as it was when it was published
    reply->row.healthy_age = absl::ZeroDuration();
  }
  return reply;
}

absl::StatusOr<std::vector<storage::ReleaseRow>> Engine::RecallListed(
    const Act& act, const gate::VerifiedRepository& verified) {
  std::vector<storage::ReleaseRow> recalled;
  for (const auto& [channel, serial] : verified.recalled) {
    {
      MutexLock lock(&mu_);
      const ReleaseState* release = FindRelease(channel, serial);
      if (release == nullptr || release->row.state == storage::ReleaseState::kRecalled) continue;
    }
    ASSIGN_OR_RETURN(recalled.emplace_back(), RecallNow(PartOf(act, channel, serial), channel, serial));
  }
  return recalled;
}

absl::StatusOr<bool> Engine::KeepTimestamp() {
  if (options_.trust == nullptr || options_.trust->timestamp_key == nullptr) return false;
  const absl::Time now = clock_->Now();
  {
    MutexLock lock(&mu_);
    const auto timestamp = std::find_if(
        roles_.begin(), roles_.end(), [](const gate::RoleState& one) { return one.role == tuf::kTimestamp; });
    if (timestamp == roles_.end()) return false;
    if (timestamp->expires - now > kTimestampLifetime - kTimestampEvery) return false;
  }
  MutexLock publishing(&publish_mu_);
  StoredFiles stored(store_);
  const gate::RepositoryFiles nothing_new;
  ASSIGN_OR_RETURN(
      const std::optional<std::string> timestamp,
      gate::SignTimestamp(*options_.trust->timestamp_key, nothing_new, stored, now, kTimestampLifetime));
  if (!timestamp.has_value()) return false;
  // A key that root has replaced is not to be believed here first and refused by every agent then.
  ASSIGN_OR_RETURN(const gate::VerifiedRepository verified,
                   gate::VerifyRepository(*options_.trust, nothing_new, timestamp, stored, now));
  RETURN_IF_ERROR(
      store_->ReadWrite([&](storage::Transaction& tx) { return PutFiles(tx, verified.files, now); }));
  DescribeRepository();
  return true;
}

void Engine::DescribeRepository() {
  shelf_.Forget();
  if (options_.trust == nullptr) return;
  StoredFiles stored(store_);
  absl::StatusOr<std::vector<gate::RoleState>> roles = gate::DescribeRepository(*options_.trust, stored);
  // What is stored was verified when it came.
  std::shared_ptr<const trust::Authority> authority;
  if (const auto bytes = stored.Read(trust::kTrustTarget, std::nullopt); bytes.ok()) {
    if (const auto document = trust::ParseTrustDocument(*bytes); document.ok()) {
      trust::Authority followed = options_.authority == nullptr ? trust::Authority() : *options_.authority;
      followed.Follow(*document);
      authority = std::make_shared<const trust::Authority>(std::move(followed));
    }
  }
  MutexLock lock(&mu_);
  if (authority != nullptr) authority_ = std::move(authority);
  repository_trouble_ = roles.ok() ? "" : std::string(roles.status().message());
  if (roles.ok()) roles_ = *std::move(roles);
}

std::vector<std::string> Engine::AboutOrderKeys() const {
  std::vector<std::string> notices;
  if (authority_ == nullptr) return notices;
  const auto lists = [](const std::vector<trust::PublicKey>& keys, const trust::PublicKey& one) {
    return std::find(keys.begin(), keys.end(), one) != keys.end();
  };
  if (options_.director.has_value() && !lists(authority_->director, *options_.director)) {
    notices.push_back(absl::StrCat("the director's key of this server, ",
                                   options_.director->KeyId().ToString(),
                                   ", is not one that trust.json names: no host uses its leases"));
  }
  if (options_.halt_key != nullptr && !lists(authority_->halt, options_.halt_key->public_key())) {
    notices.push_back(absl::StrCat("the halting key of this server, ",
                                   options_.halt_key->public_key().KeyId().ToString(),
                                   ", is not one that trust.json names: no host keeps its halts"));
  }
  if (const absl::Status checked = authority_->Check(); !checked.ok())
    notices.push_back(absl::StrCat("trust.json: ", checked.message()));
  return notices;
}

}  // namespace ringfence::app
