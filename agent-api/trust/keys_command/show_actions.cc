// What there is, what holds, and a repository to play with.
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "actions.h"
#include "ringfence/base/status_macros.h"
#include "ringfence/trust/release_terms.h"
#include "ringfence/tuf/fault.h"
#include "ringfence/tuf/folder_store.h"

namespace ringfence::tuf {
namespace {

// Version, expiry and signatures of any of the four types.
struct Facts {
  Common common;
  std::string signed_bytes;
  std::vector<SignatureEntry> signatures;
};

template <typename T>
absl::StatusOr<Facts> FactsOf(const absl::StatusOr<Document<T>>& document) {
  if (!document.ok()) return document.status();
  const Common& common = document->body;  // what all four have
  return Facts{common, document->signed_bytes, document->signatures};
}

absl::StatusOr<Facts> Read(const std::string& role, const std::string& bytes) {
  if (role == kRoot) return FactsOf(ParseRoot(bytes));
  if (role == kTimestamp) return FactsOf(ParseTimestamp(bytes));
  if (role == kSnapshot) return FactsOf(ParseSnapshot(bytes));
  return FactsOf(ParseTargets(role, bytes));
}

std::string Left(absl::Time expires, absl::Time now) {
  if (expires <= now) return "EXPIRED";
  return absl::StrCat("in ", absl::ToInt64Hours(expires - now) / 24, " days");
}

}  // namespace

void KeysCommand::ShowRole(const std::string& role, const std::string& bytes, const char* state) const {
  const auto facts = Read(role, bytes);
  if (!facts.ok()) {
    out_ << role << " (" << state << "): " << facts.status().message() << "\n";
    return;
  }
  // Who may sign it: root says so of the four, and of itself; targets of the others.
  std::string signers = absl::StrCat(facts->signatures.size(), " signatures");
  const bool top = role == kRoot || role == kTimestamp || role == kSnapshot || role == kTargets;
  const auto delegator =
      role == kRoot ? absl::StatusOr<std::string>(bytes) : repository_.Latest(top ? kRoot : kTargets);
  const Role* keys_of = nullptr;
  std::map<std::string, Key> keys;
  absl::StatusOr<Document<Root>> root = absl::NotFoundError("");
  absl::StatusOr<Document<Targets>> targets = absl::NotFoundError("");
  if (delegator.ok() && top) {
    root = ParseRoot(*delegator);
    if (root.ok()) keys = root->body.keys, keys_of = &root->body.roles.at(role);
  } else if (delegator.ok()) {
    targets = ParseTargets(kTargets, *delegator);
    for (size_t i = 0; targets.ok() && i < targets->body.delegations.size(); ++i) {
      if (targets->body.delegations[i].name == role)
        keys = targets->body.keys, keys_of = &targets->body.delegations[i].role;
    }
  }
  if (keys_of != nullptr) {
    const int count = CountSigners(*keys_of, keys, facts->signed_bytes, facts->signatures);
    signers = absl::StrCat("signed by ", count, " of ", keys_of->key_ids.size(), " keys, wants ",
                           keys_of->threshold, count < keys_of->threshold ? ": NOT ENOUGH" : "");
  }
  out_ << role << " (" << state << "): version " << facts->common.version << ", expires "
       << TimeText(facts->common.expires) << " (" << Left(facts->common.expires, now_) << "), " << signers
       << (facts->common.others.count(kThrowawayMark) != 0 ? ", THROWAWAY KEYS" : "") << "\n";
  if (role == kRoot || role == kTimestamp || role == kSnapshot) return;
  const auto listed = ParseTargets(role, bytes);
  for (const auto& [path, target] : listed->body.targets) {
    out_ << "  " << absl::Utf8SafeCEscape(path) << ", " << *target.info.length << " bytes";
    const auto terms = trust::ParseReleaseTerms(path, target.custom);
    if (terms.ok()) out_ << ", serial " << terms->serial << (terms->revoked ? ", RECALLED" : "");
    out_ << "\n";
  }
}

absl::Status KeysCommand::Show() {
  std::set<std::string> roles = {kTargets};
  ASSIGN_OR_RETURN(const std::string targets, repository_.Latest(kTargets));
  if (!targets.empty()) {
    ASSIGN_OR_RETURN(const auto document, ParseTargets(kTargets, targets));
    for (const Delegation& delegation : document.body.delegations) roles.insert(delegation.name);
  }
  std::vector<std::string> order = {kRoot, kTimestamp, kSnapshot};
  order.insert(order.end(), roles.begin(), roles.end());
  for (const std::string& role : order) {
    const auto published = repository_.Published(role);
    if (published.ok()) ShowRole(role, *published, "published");
    const auto draft = repository_.Draft(role);
    if (draft.ok()) ShowRole(role, *draft, "draft");
  }
  return absl::OkStatus();
}

absl::Status KeysCommand::Verify() {
  absl::StatusOr<std::string> root =
      options_.root.empty() ? repository_.RootVersion(1) : ReadFile(options_.root, kMaxRootBytes);
  RETURN_IF_ERROR(root.status());
  FolderFetcher fetcher(repository_, {});
  ASSIGN_OR_RETURN(const auto targets, CheckRepository(fetcher, *root, now_, /*bytes=*/true));
  out_ << "a client that trusts " << (options_.root.empty() ? "root version 1" : options_.root)
       << " finds everything: " << targets.size() << " targets\n";
  return absl::OkStatus();
}

absl::Status KeysCommand::Demo() {
  static constexpr const char* kRoles[] = {kRoot,           kTargets,       kSnapshot,      kTimestamp,
                                           kContentRelease, kSensorRelease, kQualification, "content_build"};
  ManualClock clock(now_);
  const auto file = [&](const char* role) { return absl::StrCat(options_.output, "/", role, ".key"); };
  const auto with = [&](std::initializer_list<const char*> roles) {
    KeysOptions options;
    options.repository = options_.repository;
    options.expires_days = options_.expires_days;
    for (const char* role : roles) options.role_keys.push_back(absl::StrCat(role, "=", file(role)));
    return options;
  };
  const auto run = [&](const KeysOptions& options, absl::Status (KeysCommand::*action)()) {
    KeysCommand command(options, clock, ask_, out_);
    return (command.*action)();
  };
  for (const char* role : kRoles) {
    KeysOptions options;
    options.output = file(role);
    options.person = absl::StrCat("nobody (", role, ")");
    options.throwaway = true;
    RETURN_IF_ERROR(run(options, &KeysCommand::NewKey));
  }
  // The laboratory and the build sign by other programs, which read PEM.
  for (const char* role : {kQualification, "content_build"}) {
    ASSIGN_OR_RETURN(const trust::SigningKey key, Open(file(role)));
    const std::string stem = absl::StrCat(options_.output, "/", role);
    RETURN_IF_ERROR(WriteFileDurably(stem + ".pem", key.ToPem(), 0600));
    RETURN_IF_ERROR(WriteFileDurably(stem + ".pub.pem", key.public_key().ToPem(), 0644));
  }
  KeysOptions trust = with({kQualification, "content_build"});
  trust.output = absl::StrCat(options_.output, "/trust.json");
  trust.matrices = options_.matrices;
  RETURN_IF_ERROR(run(trust, &KeysCommand::NewTrust));
  RETURN_IF_ERROR(run(with({kRoot, kTargets, kSnapshot, kTimestamp}), &KeysCommand::NewRoot));
  KeysOptions targets = with({kContentRelease, kSensorRelease, kQualification});
  targets.trust = trust.output;
  RETURN_IF_ERROR(run(targets, &KeysCommand::NewTargets));
  for (const char* role : {kRoot, kTargets, kContentRelease, kSensorRelease, kQualification}) {
    KeysOptions sign;
    sign.repository = options_.repository;
    sign.role = role;
    sign.key_files = {file(role)};
    RETURN_IF_ERROR(run(sign, &KeysCommand::SignDraft));
  }
  return run(with({kSnapshot, kTimestamp}), &KeysCommand::Publish);
}

}  // namespace ringfence::tuf
