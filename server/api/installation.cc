#include "server/api/installation.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::api {
namespace {

constexpr char kInternalTenant[] = "internal_tenant";
constexpr char kDemo[] = "demo";  // "SCALE ANCHOR", the anchor in nanoseconds since 1970

absl::StatusOr<absl::Time> ParseDemo(const std::string& stored, double time_scale) {
  const std::vector<std::string> parts = absl::StrSplit(stored, ' ');
  double scale = 0;
  int64_t nanos = 0;
  if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &scale) || !absl::SimpleAtoi(parts[1], &nanos)) {
    return absl::DataLossError(absl::StrCat("setting demo: found \"", stored, "\""));
  }
  if (scale != time_scale) {
    return absl::FailedPreconditionError(absl::StrCat("--time-scale: this demonstration began with ",
                                                      parts[0], ", not ", time_scale,
                                                      "; its time cannot change pace"));
  }
  return absl::FromUnixNanos(nanos);
}

absl::StatusOr<Installation> Open(storage::Store& store, const InstallationWish& wish, absl::Time real_now,
                                  bool may_make) {
  Installation installation;
  RETURN_IF_ERROR(store.ReadWrite([&](storage::Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<std::string> tenant, tx.Setting(kInternalTenant));
    ASSIGN_OR_RETURN(const std::optional<std::string> demo, tx.Setting(kDemo));
    if (!may_make && !tenant) return absl::UnavailableError("nobody has finished the first start yet");
    // The application says it too, but only once this replica leads.
    if (!may_make && wish.internal_tenant && *wish.internal_tenant != *tenant) {
      return absl::FailedPreconditionError(absl::StrCat("--internal-tenant: this installation has \"",
                                                        tenant->empty() ? "none" : *tenant, "\""));
    }
    if (!tenant && !wish.internal_tenant) {
      return absl::InvalidArgumentError(
          "first start: name the vendor's own fleet with --internal-tenant NAME, or say --internal-tenant "
          "none");
    }
    installation.internal_tenant = wish.internal_tenant ? *wish.internal_tenant : *tenant;
    installation.clock_anchor = real_now;
    if (demo && !wish.demo) {
      return absl::FailedPreconditionError(
          "--demo: this database holds a demonstration; real hosts need another");
    }
    if (tenant && !demo && wish.demo) {
      return absl::FailedPreconditionError(
          "--demo: this database holds a real fleet; a demonstration needs another");
    }
    if (demo) {
      ASSIGN_OR_RETURN(installation.clock_anchor, ParseDemo(*demo, wish.time_scale));
    } else if (wish.demo) {
      RETURN_IF_ERROR(tx.PutSetting(kDemo, absl::StrCat(wish.time_scale, " ", absl::ToUnixNanos(real_now))));
    }
    return absl::OkStatus();
  }));
  return installation;
}

}  // namespace

absl::StatusOr<Installation> OpenInstallation(storage::Store& store, const InstallationWish& wish,
                                              absl::Time real_now) {
  return Open(store, wish, real_now, /*may_make=*/true);
}

absl::StatusOr<Installation> ReadInstallation(storage::Store& store, const InstallationWish& wish,
                                              absl::Time real_now) {
  return Open(store, wish, real_now, /*may_make=*/false);
}

}  // namespace ringfence::api
