// Reading the operators' file. The only file of the server that knows YAML.
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/api/faults.h"
#include "server/api/identity.h"
#include "server/api/permissions.h"
#include "server/api/text.h"

namespace ringfence::api {
namespace {

constexpr size_t kMaxFileBytes = 4 << 20;
constexpr size_t kMaxPersonBytes = 128;

std::optional<app::Role> ParseRole(const std::string& name) {
  for (const app::Role role :
       {app::Role::kTenantViewer, app::Role::kTenantAdmin, app::Role::kSre, app::Role::kReleaseManager}) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

std::string Scalar(const YAML::Node& entry, const char* key) {
  const YAML::Node value = entry[key];
  return value && value.IsScalar() ? value.Scalar() : std::string();
}

struct Entry {
  app::Actor actor;
  Digest token;
};

Entry ParseEntry(const YAML::Node& node, const std::string& path, Faults& faults) {
  static const std::set<std::string> kKeys = {"person", "role", "tenant", "token_sha256"};
  Entry entry;
  if (!node.IsMap()) {
    faults.Add(path, "no map", "person, role, token_sha256 and, for a tenant's people, tenant");
    return entry;
  }
  for (const auto& member : node) {
    const std::string key = member.first.IsScalar() ? member.first.Scalar() : "";
    if (kKeys.count(key) == 0)
      faults.Add(path, Shown(key), absl::StrCat("only ", absl::StrJoin(kKeys, ", ")));
  }
  entry.actor.person = Scalar(node, "person");
  entry.actor.tenant = Scalar(node, "tenant");
  if (entry.actor.person.empty() || entry.actor.person.size() > kMaxPersonBytes ||
      !IsText(entry.actor.person)) {
    faults.Add(path + ".person", Shown(entry.actor.person), "a name of 1 to 128 bytes");
  }
  const std::string role_name = Scalar(node, "role");
  const std::optional<app::Role> role = ParseRole(role_name);
  if (!role) {
    faults.Add(path + ".role", Shown(role_name), "tenant-viewer, tenant-admin, sre or release-manager");
  } else {
    entry.actor.role = *role;
    if (entry.actor.IsVendor() && !entry.actor.tenant.empty()) {
      faults.Add(path + ".tenant", Shown(entry.actor.tenant),
                 "none: the vendor's people belong to no tenant");
    }
    if (!entry.actor.IsVendor() && !IsSlug(entry.actor.tenant)) {
      faults.Add(path + ".tenant", Shown(entry.actor.tenant), "the tenant, 1 to 63 of a-z, 0-9 and -");
    }
  }
  const absl::StatusOr<Digest> token = Digest::Parse(Scalar(node, "token_sha256"));
  if (!token.ok()) {
    faults.Add(path + ".token_sha256", "something else", "the token's sha256 as 64 lower-case hex digits");
  } else {
    entry.token = *token;
  }
  return entry;
}

}  // namespace

absl::StatusOr<Operators> Operators::ParseText(const std::string& text) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("operators: not YAML: ", error.what()));
  }
  if (!root.IsMap() || root.size() != 1 || !root["operators"] || !root["operators"].IsSequence()) {
    return absl::InvalidArgumentError("operators: wanted one key, operators, with a list");
  }
  Faults faults;
  Operators operators;
  int index = 0;
  for (const YAML::Node& node : root["operators"]) {
    const std::string path = absl::StrCat("operators[", index++, "]");
    const size_t before = faults.list().size();
    Entry entry = ParseEntry(node, path, faults);
    if (faults.list().size() != before) continue;
    if (!operators.by_token_.emplace(entry.token, std::move(entry.actor)).second) {
      faults.Add(path + ".token_sha256", "the token of another entry", "a token of its own");
    }
  }
  const absl::Status status = faults.ToStatus();
  if (!status.ok()) return status;
  return operators;
}

absl::StatusOr<Operators> Operators::Load(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return absl::NotFoundError(absl::StrCat("operators: cannot read ", path));
  if ((info.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("operators: ", path, " is open to everybody; chmod o-rw it, and make new tokens"));
  }
  if (static_cast<size_t>(info.st_size) > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat("operators: ", path, " is larger than 4 MiB"));
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return absl::NotFoundError(absl::StrCat("operators: cannot read ", path));
  return ParseText(text.str());
}

}  // namespace ringfence::api
