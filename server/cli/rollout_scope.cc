#include "server/cli/rollout_scope.h"

#include "absl/strings/str_cat.h"

namespace ringfence::cli {

absl::Status ScopeOf(Context& context, const RolloutOptions& options, v1::Scope* scope) {
  scope->set_tenant(options.tenant);
  scope->set_ring(options.ring);
  if (options.release.empty()) return absl::OkStatus();
  const absl::StatusOr<ReleaseName> name = FindRelease(context, options.release);
  if (!name.ok()) return name.status();
  scope->set_channel(name->channel);
  scope->set_serial(name->serial);
  return absl::OkStatus();
}

std::string ScopeText(const v1::Scope& scope) {
  std::string release = scope.channel().empty() ? "every release"
                        : scope.serial() == 0   ? absl::StrCat("every release of ", scope.channel())
                                                : absl::StrCat(scope.channel(), "/", scope.serial());
  std::string where = scope.tenant().empty() ? "every tenant" : scope.tenant();
  if (!scope.ring().empty()) absl::StrAppend(&where, "/", scope.ring());
  return absl::StrCat(release, " for ", where);
}

}  // namespace ringfence::cli
