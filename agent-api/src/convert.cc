#include "convert.h"

#include "absl/strings/str_cat.h"
#include "ringfence/base/status_macros.h"

namespace ringfence::agent {
namespace {

// Saturates rather than overflows: a hostile duration is a long or a short one.
absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::StatusOr<Directive> FromProto(const v1::Directive& wire) {
  Directive directive;
  directive.kind = static_cast<DirectiveKind>(wire.kind());
  directive.channel = wire.channel();
  if (!IsSlug(directive.channel))
    return absl::InternalError(absl::StrCat("the server names a channel '", wire.channel(), "'"));
  ASSIGN_OR_RETURN(directive.digest, Digest::FromBytes(wire.digest()));
  directive.serial = wire.serial();
  directive.version = wire.version();
  directive.size_bytes = wire.size_bytes();
  directive.within = ToDuration(wire.within());
  return directive;
}

template <typename Response>
SignedNotices NoticesOf(const Response& response) {
  return {{response.halt_notices().begin(), response.halt_notices().end()},
          {response.resume_orders().begin(), response.resume_orders().end()}};
}

}  // namespace

void ToProto(const policy::Labels& labels, google::protobuf::RepeatedPtrField<v1::Label>* out) {
  for (const auto& [key, value] : labels.pairs()) {
    v1::Label* label = out->Add();
    label->set_key(key);
    label->set_value(value);
  }
}

void ToProto(const CheckIn& request, v1::CheckInRequest* out) {
  out->set_boot_id(request.boot_id);
  out->set_last_shutdown(request.last_shutdown_clean ? v1::LAST_SHUTDOWN_CLEAN : v1::LAST_SHUTDOWN_UNCLEAN);
  out->set_labels_hash(request.labels_hash);
  out->set_has_labels(request.has_labels);
  if (request.has_labels) ToProto(request.labels, out->mutable_labels());
  for (const Running& running : request.running) {
    v1::RunningVersion* version = out->add_running();
    version->set_channel(running.channel);
    version->set_digest(running.digest.raw().data(), running.digest.raw().size());
  }
  for (const Digest& digest : request.staged) out->add_staged(digest.raw().data(), digest.raw().size());
  for (const HostEvent& event : request.events) {
    v1::AgentEvent* wire = out->add_events();
    wire->set_seq(event.seq);
    if (event.boot_id != request.boot_id) wire->set_boot_id(event.boot_id);
    wire->set_kind(static_cast<v1::AgentEventKind>(event.kind));
    wire->set_channel(event.channel);
    if (!event.digest.IsZero()) wire->set_digest(event.digest.raw().data(), event.digest.raw().size());
    wire->set_metric(event.metric);
    wire->set_detail(event.detail);
  }
  out->set_goodbye(request.goodbye);
  out->set_halt_seq(request.halt_seq);
}

absl::StatusOr<CheckInReply> FromProto(const v1::CheckInResponse& response) {
  CheckInReply reply;
  reply.next_checkin = ToDuration(response.next_checkin());
  reply.send_labels = response.send_labels();
  reply.notices = NoticesOf(response);
  for (const v1::Directive& wire : response.directives()) {
    if (wire.kind() < v1::DIRECTIVE_KIND_PREFETCH || wire.kind() > v1::DIRECTIVE_KIND_DROP) continue;
    ASSIGN_OR_RETURN(Directive directive, FromProto(wire));
    reply.directives.push_back(std::move(directive));
  }
  return reply;
}

absl::StatusOr<LeaseReply> FromProto(const v1::LeaseResponse& response) {
  LeaseReply reply;
  reply.notices = NoticesOf(response);
  switch (response.answer()) {
    case v1::LEASE_ANSWER_GRANTED:
      reply.granted = true;
      reply.ttl = ToDuration(response.ttl());
      reply.signed_lease = response.signed_lease();
      return reply;
    case v1::LEASE_ANSWER_NOT_NOW:
      reply.reason = response.reason();
      reply.retry_after = ToDuration(response.retry_after());
      return reply;
    default:
      return absl::InternalError(
          absl::StrCat("the server answers a lease with ", static_cast<int>(response.answer())));
  }
}

absl::StatusOr<std::vector<std::string>> FromProto(const v1::FetchPlanResponse& response) {
  return std::vector<std::string>(response.envelopes().begin(), response.envelopes().end());
}

absl::StatusOr<EnrolReply> FromProto(const v1::EnrollResponse& response) {
  constexpr size_t kSecretBytes = 32;
  if (response.secret().size() != kSecretBytes) {
    return absl::InternalError(
        absl::StrCat("the server hands out a secret of ", response.secret().size(), " bytes"));
  }
  return EnrolReply{response.secret(), response.tenant(), ToDuration(response.next_checkin())};
}

}  // namespace ringfence::agent
