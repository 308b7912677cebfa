#include "wire_codec.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"
#include "server/api/decode.h"
#include "server/app/app.h"

namespace ringfence::replay {
namespace {

constexpr char kRefusalTrailer[] = "ringfence-refusal";

absl::Duration ToDuration(const google::protobuf::Duration& in) {
  return absl::Seconds(in.seconds()) + absl::Nanoseconds(in.nanos());
}
absl::Time ToTime(const google::protobuf::Timestamp& in) {
  return absl::FromUnixSeconds(in.seconds()) + absl::Nanoseconds(in.nanos());
}
std::string Raw(const Digest& digest) {
  return std::string(digest.raw());
}

}  // namespace

void Authorize(grpc::ClientContext& context, const std::string& credential) {
  context.AddMetadata("authorization", absl::StrCat("Bearer ", credential));
}

absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto word = trailers.find(kRefusalTrailer);
  if (word != trailers.end()) {
    result.SetPayload(app::App::kRefusalUrl,
                      absl::Cord(absl::string_view(word->second.data(), word->second.size())));
  }
  return result;
}

void EncodeCheckIn(const app::CheckInRequest& in, absl::Span<const app::AgentEvent> events,
                   v1::CheckInRequest* out) {
  out->Clear();
  out->set_boot_id(std::string(in.boot_id));
  out->set_last_shutdown(in.last_shutdown_clean ? v1::LAST_SHUTDOWN_CLEAN : v1::LAST_SHUTDOWN_UNCLEAN);
  out->set_labels_hash(std::string(in.labels_hash));
  if (in.labels != nullptr) {
    out->set_has_labels(true);
    for (const auto& [key, value] : in.labels->pairs()) {
      v1::Label* label = out->add_labels();
      label->set_key(key);
      label->set_value(value);
    }
  }
  for (const app::RunningView& running : in.running) {
    v1::RunningVersion* to = out->add_running();
    to->set_channel(std::string(running.channel));
    to->set_digest(Raw(running.digest));
  }
  for (const Digest& staged : in.staged) out->add_staged(Raw(staged));
  for (const app::AgentEvent& event : events) {
    v1::AgentEvent* to = out->add_events();
    to->set_seq(event.seq);
    to->set_boot_id(event.boot_id);
    to->set_kind(static_cast<v1::AgentEventKind>(event.kind));
    to->set_channel(event.channel);
    if (!event.digest.IsZero()) to->set_digest(Raw(event.digest));
    to->set_metric(event.metric);
    to->set_detail(event.detail);
  }
  out->set_goodbye(in.goodbye);
}

absl::Status DecodeCheckIn(const v1::CheckInResponse& in, app::CheckInReply* out) {
  out->next_checkin = ToDuration(in.next_checkin());
  out->send_labels = in.send_labels();
  auto directives = std::make_shared<std::vector<app::Directive>>();
  for (const v1::Directive& directive : in.directives()) {
    app::Directive& to = directives->emplace_back();
    to.kind = static_cast<app::DirectiveKind>(directive.kind());
    to.channel = directive.channel();
    to.serial = directive.serial();
    to.version = directive.version();
    ASSIGN_OR_RETURN(to.digest, Digest::FromBytes(directive.digest()));
    to.size_bytes = directive.size_bytes();
    to.within = ToDuration(directive.within());
  }
  out->directives = std::move(directives);
  return absl::OkStatus();
}

void EncodeLease(const app::LeaseRequest& in, v1::LeaseRequest* out) {
  out->set_channel(std::string(in.channel));
  out->set_digest(Raw(in.digest));
  out->set_boot_id(std::string(in.boot_id));
}

absl::StatusOr<app::LeaseReply> DecodeLease(const v1::LeaseResponse& in) {
  app::LeaseReply reply;
  switch (in.answer()) {
    case v1::LEASE_ANSWER_GRANTED:
      reply.granted = true;
      reply.ttl = ToDuration(in.ttl());
      return reply;
    case v1::LEASE_ANSWER_NOT_NOW: {
      ASSIGN_OR_RETURN(reply.reason, ReasonOf(in.reason()));
      reply.retry_after = ToDuration(in.retry_after());
      return reply;
    }
    default:
      return absl::InternalError(absl::StrCat("lease: answer ", in.answer(), " is none"));
  }
}

absl::StatusOr<policy::Reason> ReasonOf(const std::string& word) {
  for (uint8_t i = 0; i <= static_cast<uint8_t>(policy::Reason::kNoRelease); ++i) {
    if (word == policy::Name(static_cast<policy::Reason>(i))) return static_cast<policy::Reason>(i);
  }
  return absl::InternalError(absl::StrCat("reason: ", word, " is none"));
}

storage::ReleaseRow DecodeRelease(const v1::Release& in) {
  api::Faults faults;  // what the server answers was legal when it was published
  storage::ReleaseRow row;
  row.release = api::DecodeManifest(in.manifest(), "manifest", faults);
  row.release.size_bytes = in.size_bytes();
  row.release.published_at = ToTime(in.published_at());
  row.rollout = in.rollout_id();
  row.state = static_cast<storage::ReleaseState>(in.state());
  row.published_by = in.published_by();
  return row;
}

storage::DecisionRow DecodeDecision(const v1::Decision& in) {
  storage::DecisionRow row;
  row.id = in.id();
  row.at = ToTime(in.at());
  row.tenant = in.scope().tenant();
  row.channel = in.scope().channel();
  row.serial = in.scope().serial();
  row.ring = in.scope().ring();
  row.action = in.action();
  row.rule = in.rule();
  row.actor = in.actor();
  row.why = in.why();
  row.cohort = in.cohort();
  row.evidence = in.evidence();
  return row;
}

storage::AuditRow DecodeAudit(const v1::AuditEvent& in) {
  storage::AuditRow row;
  row.id = in.id();
  row.at = ToTime(in.at());
  row.person = in.person();
  row.role = in.role();
  row.tenant = in.tenant();
  row.act = in.act();
  row.target = in.target();
  row.reason = in.reason();
  row.before = in.before();
  row.after = in.after();
  return row;
}

}  // namespace ringfence::replay
