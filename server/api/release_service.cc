// Publishing releases and withdrawing them.
#include "ringfence/base/status_macros.h"
#include "ringfence/v1/release.pb.h"
#include "server/api/decode.h"
#include "server/api/encode.h"
#include "server/api/pages.h"
#include "server/api/permissions.h"
#include "server/api/release_upload.h"
#include "server/api/services.h"

namespace ringfence::api {
namespace {

constexpr int kMostUrgent = 1000;

class ReleaseService final : public RpcService {
 public:
  explicit ReleaseService(Environment* env) : RpcService(env, "ringfence.v1.ReleaseService") {
    AddUpload("PublishRelease", StartReleaseUpload);
    AddOperatorCall<v1::ListReleasesRequest, v1::ListReleasesResponse>(
        "ListReleases", [this](const auto&, const auto& in, auto* out) { return List(in, out); });
    AddOperatorCall<v1::GetReleaseRequest, v1::GetReleaseResponse>(
        "GetRelease", [this](const auto&, const auto& in, auto* out) { return Get(in, out); });
    AddOperatorCall<v1::RecallReleaseRequest, v1::RecallReleaseResponse>(
        "RecallRelease",
        [this](const auto& actor, const auto& in, auto* out) { return Recall(actor, in, out); },
        /*urgent=*/true);
    AddOperatorCall<v1::ListUrgentReleasesRequest, v1::ListUrgentReleasesResponse>(
        "ListUrgentReleases",
        [this](const auto& actor, const auto& in, auto* out) { return Urgent(actor, in, out); });
    AddOperatorCall<v1::AcknowledgeReleaseRequest, v1::AcknowledgeReleaseResponse>(
        "AcknowledgeRelease",
        [this](const auto& actor, const auto& in, auto* out) { return Acknowledge(actor, in, out); });
  }

 private:
  absl::Status Urgent(const app::Actor& actor, const v1::ListUrgentReleasesRequest& in,
                      v1::ListUrgentReleasesResponse* out) {
    Faults faults;
    CheckSlugOrEmpty(in.tenant(), "tenant", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    const std::string tenant = in.tenant().empty() ? actor.tenant : in.tenant();
    RETURN_IF_ERROR(CheckTenant(actor, tenant));
    ASSIGN_OR_RETURN(const std::vector<app::UrgentInfo> releases, env()->app->UrgentReleases(tenant));
    for (const app::UrgentInfo& info : releases) {
      if (in.waiting_only() && info.acknowledged.has_value()) continue;
      if (out->releases_size() == kMostUrgent) break;
      Encode(info, out->add_releases());
    }
    return absl::OkStatus();
  }

  absl::Status Acknowledge(const app::Actor& actor, const v1::AcknowledgeReleaseRequest& in,
                           v1::AcknowledgeReleaseResponse* out) {
    const std::string tenant = in.tenant().empty() ? actor.tenant : in.tenant();
    RETURN_IF_ERROR(CheckPlanOwner(actor, tenant, env()->internal_tenant));
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckReason(in.reason(), faults);
    CheckSlug(tenant, "tenant", faults);
    CheckSlug(in.channel(), "channel", faults);
    CheckSerial(in.serial(), "serial", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    const app::Act act{.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    storage::AcknowledgementRow wanted;
    wanted.tenant = tenant;
    wanted.channel = in.channel();
    wanted.serial = in.serial();
    ASSIGN_OR_RETURN(const app::UrgentInfo info, env()->app->Acknowledge(act, wanted));
    Encode(info, out->mutable_release());
    return absl::OkStatus();
  }

  absl::Status List(const v1::ListReleasesRequest& in, v1::ListReleasesResponse* out) {
    Faults faults;
    CheckSlugOrEmpty(in.channel(), "channel", faults);
    const Page page = DecodePage(in.page_size(), in.page_token(), faults);
    RETURN_IF_ERROR(faults.ToStatus());
    ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> rows, env()->app->ListReleases(in.channel()));
    out->set_next_page_token(ShowPage(
        rows, page, [](const storage::ReleaseRow& row) { return row.rollout; },
        [out](const storage::ReleaseRow& row) { Encode(row, out->add_releases()); }));
    return absl::OkStatus();
  }

  absl::Status Get(const v1::GetReleaseRequest& in, v1::GetReleaseResponse* out) {
    Faults faults;
    CheckSlug(in.channel(), "channel", faults);
    CheckSerial(in.serial(), "serial", faults);
    RETURN_IF_ERROR(faults.ToStatus());
    ASSIGN_OR_RETURN(const std::vector<storage::ReleaseRow> rows, env()->app->ListReleases(in.channel()));
    for (const storage::ReleaseRow& row : rows) {
      if (row.release.serial != in.serial()) continue;
      Encode(row, out->mutable_release());
      return absl::OkStatus();
    }
    return absl::NotFoundError("release: no release of this channel has this serial");
  }

  absl::Status Recall(const app::Actor& actor, const v1::RecallReleaseRequest& in,
                      v1::RecallReleaseResponse* out) {
    Faults faults;
    CheckRequestId(in.request_id(), "request_id", faults);
    CheckSlug(in.channel(), "channel", faults);
    CheckSerial(in.serial(), "serial", faults);
    CheckReason(in.reason(), faults);
    RETURN_IF_ERROR(faults.ToStatus());
    const app::Act act{.actor = actor, .request_id = in.request_id(), .reason = in.reason()};
    ASSIGN_OR_RETURN(const storage::ReleaseRow row, env()->app->Recall(act, in.channel(), in.serial()));
    Encode(row, out->mutable_release());
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<RpcService> MakeReleaseService(Environment* env) {
  return std::make_unique<ReleaseService>(env);
}

}  // namespace ringfence::api
