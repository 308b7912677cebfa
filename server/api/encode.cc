#include "server/api/encode.h"
#include "server/app/notice_board.h"

#include <algorithm>

namespace ringfence::api {
namespace {

constexpr absl::Duration kMostDuration = absl::Hours(24 * 365 * 10'000LL);

void EncodeList(const std::vector<policy::Selector>& in,
                google::protobuf::RepeatedPtrField<v1::Selector>* out) {
  for (const policy::Selector& selector : in) Encode(selector, out->Add());
}

v1::ChannelKind EncodeKind(policy::ChannelKind kind) {
  return static_cast<v1::ChannelKind>(kind);
}

bool IsFinite(absl::Time time) {
  return time != absl::InfiniteFuture() && time != absl::InfinitePast();
}

// Absent when infinite.
template <typename Mutable>
void EncodeIfFinite(absl::Time in, Mutable field) {
  if (IsFinite(in)) Encode(in, field());
}

void EncodeRateGate(const policy::RateGate& in, v1::RateGate* out) {
  out->set_max_rate_ppm(in.max_rate.value);
  out->set_min_count(in.min_count);
  Encode(in.window, out->mutable_window());
}

void EncodeGates(const policy::SloGates& in, v1::SloGates* out) {
  if (in.crash) EncodeRateGate(*in.crash, out->mutable_crash());
  if (in.degraded) EncodeRateGate(*in.degraded, out->mutable_degraded());
  if (in.silence) {
    v1::SilenceGate* silence = out->mutable_silence();
    silence->set_missed_checkins(in.silence->missed_checkins);
    silence->set_max_excess_ppm(in.silence->max_excess.value);
    silence->set_min_count(in.silence->min_count);
    Encode(in.silence->window, silence->mutable_window());
  }
  for (const std::string& key : in.cohort_keys) out->add_cohort_keys(key);
  out->set_on_breach(static_cast<v1::OnBreach>(in.on_breach));
}

template <typename Names>
void EncodeNames(const std::vector<std::string>& in, Names* out) {
  for (const std::string& name : in) *out->Add() = name;
}

void EncodeWindows(const std::vector<policy::Window>& in,
                   google::protobuf::RepeatedPtrField<v1::MaintenanceWindow>* out) {
  for (const policy::Window& window : in) {
    v1::MaintenanceWindow* to = out->Add();
    for (const policy::Weekday day : window.days) to->add_days(static_cast<v1::Weekday>(day));
    to->set_from_minute(window.from);
    to->set_to_minute(window.to);
    to->set_zone(window.zone);
  }
}

// Auto, which an absent field means, is left out.
v1::Approval EncodeApproval(policy::Approval in) {
  return in == policy::Approval::kAuto ? v1::APPROVAL_UNSPECIFIED : static_cast<v1::Approval>(in);
}

void EncodeCalendar(const policy::Plan& in, v1::Plan* out) {
  out->set_zone(in.zone);
  for (const policy::Freeze& freeze : in.freezes) {
    v1::Freeze* to = out->add_freezes();
    Encode(freeze.from, to->mutable_from());
    Encode(freeze.to, to->mutable_to());
    to->set_reason(freeze.reason);
    to->set_owner(freeze.owner);
    EncodeNames(freeze.scope.rings, to->mutable_rings());
    EncodeNames(freeze.scope.channels, to->mutable_channels());
  }
  for (const policy::Blackout& blackout : in.blackouts) {
    v1::Blackout* to = out->add_blackouts();
    to->set_date(blackout.date);
    to->set_zone(blackout.zone);
    to->set_reason(blackout.reason);
    to->set_owner(blackout.owner);
    EncodeNames(blackout.scope.rings, to->mutable_rings());
    EncodeNames(blackout.scope.channels, to->mutable_channels());
  }
  for (const policy::Denied& denied : in.deny) {
    v1::DeniedRelease* to = out->add_deny();
    if (denied.digest) to->set_digest(std::string(denied.digest->raw()));
    to->set_channel(denied.channel);
    to->set_version(denied.version);
    to->set_reason(denied.reason);
    to->set_owner(denied.owner);
  }
  if (!in.urgent) return;
  v1::Urgent* urgent = out->mutable_urgent();
  urgent->set_mode(static_cast<v1::UrgentMode>(in.urgent->mode));
  EncodeNames(in.urgent->rings, urgent->mutable_rings());
  if (in.urgent->min_age) Encode(*in.urgent->min_age, urgent->mutable_min_age());
  if (in.urgent->soak) Encode(*in.urgent->soak, urgent->mutable_soak());
  urgent->set_outside_windows(in.urgent->outside_windows);
}

void EncodeRing(const policy::Ring& in, v1::Ring* out) {
  out->set_name(in.name);
  if (in.selector != policy::Selector()) Encode(in.selector, out->mutable_selector());
  out->set_lag(in.lag);
  for (const policy::Wave& wave : in.waves) {
    v1::Wave* to = out->add_waves();
    to->set_share_ppm(wave.share.value);
    if (wave.max_hosts) to->set_max_hosts(*wave.max_hosts);
  }
  Encode(in.soak, out->mutable_soak());
  Encode(in.min_age, out->mutable_min_age());
  if (in.hosts_per_minute) out->set_hosts_per_minute(*in.hosts_per_minute);
  EncodeWindows(in.windows, out->mutable_windows());
  out->set_approval(EncodeApproval(in.approval));
  EncodeNames(in.approvers, out->mutable_approvers());
  if (in.hasten_to) Encode(*in.hasten_to, out->mutable_hasten_to());
  for (const policy::RingRule& rule : in.channels) {
    v1::RingRule* to = out->add_channels();
    to->set_channel(rule.channel);
    if (rule.lag) to->set_lag(*rule.lag);
    if (rule.min_age) Encode(*rule.min_age, to->mutable_min_age());
    if (rule.approval) to->set_approval(static_cast<v1::Approval>(*rule.approval));
    EncodeWindows(rule.windows, to->mutable_windows());
  }
}

void EncodeTarget(const app::RingTarget& in, v1::RingTarget* out) {
  out->set_ring(in.ring);
  out->set_channel(in.channel);
  out->set_serial(in.serial);
  out->set_version(in.version);
  if (in.reason != policy::Reason::kNone) {
    out->set_reason(policy::Name(in.reason));
    out->set_sentence(policy::Sentence(in.reason));
  }
  EncodeIfFinite(in.next, [&] { return out->mutable_next(); });
}

void EncodeOutcomes(const app::OutcomeCounts& in, v1::OutcomeCounts* out) {
  out->set_exposed(in.exposed);
  out->set_pending(in.pending);
  out->set_confirmed(in.confirmed);
  out->set_crashed(in.crashed);
  out->set_failed(in.failed);
  out->set_silent(in.silent);
  out->set_reverted(in.reverted);
  out->set_refused(in.refused);
  out->set_unused(in.unused);
}

void EncodeHealth(const app::HealthInfo& in, v1::Health* out) {
  out->set_m_r(in.m_r);
  out->set_m_a(in.m_a);
  out->set_action(in.action);
  out->set_unproven(in.unproven);
  out->set_healthy(in.healthy);
  out->set_budget(in.budget);
  out->set_suspected_cell(in.suspected);
  for (const std::string& cell : in.blocked) out->add_blocked_cells(cell);
  for (const app::GateReading& gate : in.gates) {
    v1::GateReading* to = out->add_gates();
    to->set_gate(policy::Name(gate.gate));
    to->set_cohort(gate.cohort);
    to->set_bad(gate.bad);
    to->set_exposed(gate.exposed);
    to->set_expected(gate.expected);
    to->set_breached(gate.breached);
  }
}

void EncodeLedger(const app::LedgerInfo& in, v1::Ledger* out) {
  out->set_exposed(in.exposed);
  out->set_harmed(in.harmed);
  out->set_saved(in.saved);
  out->set_reachable(in.reachable);
  out->set_staging_failed(in.staging_failed);
  if (in.first_harm_at) EncodeIfFinite(*in.first_harm_at, [&] { return out->mutable_first_harm_at(); });
  if (in.last_lease_at) EncodeIfFinite(*in.last_lease_at, [&] { return out->mutable_last_lease_at(); });
  if (in.first_harm_at && in.last_lease_at) {
    Encode(*in.last_lease_at - *in.first_harm_at, out->mutable_first_harm_to_last_lease());
  }
}

void EncodeAgentRunning(const app::AgentInfo::RunningVersion& in, v1::AgentRunning* out) {
  out->set_channel(in.channel);
  out->set_digest(std::string(in.digest.raw()));
  out->set_version(in.version);
  out->set_serial(in.serial);
}

}  // namespace

void Encode(absl::Duration in, google::protobuf::Duration* out) {
  absl::Duration rest = std::clamp(in, absl::ZeroDuration(), kMostDuration);
  out->set_seconds(absl::IDivDuration(rest, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

void Encode(absl::Time in, google::protobuf::Timestamp* out) {
  const int64_t seconds = absl::ToUnixSeconds(in);  // rounds down, so nanos are never negative
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(in - absl::FromUnixSeconds(seconds))));
}

void Encode(const app::CheckInReply& in, double time_scale, v1::CheckInResponse* out) {
  Encode(in.next_checkin / time_scale, out->mutable_next_checkin());
  out->set_send_labels(in.send_labels);
  if (in.directives == nullptr) return;
  for (const app::Directive& directive : *in.directives) {
    v1::Directive* to = out->add_directives();
    to->set_kind(static_cast<v1::DirectiveKind>(directive.kind));
    to->set_channel(directive.channel);
    to->set_serial(directive.serial);
    to->set_version(directive.version);
    to->set_digest(directive.digest.bytes.data(), directive.digest.bytes.size());
    to->set_size_bytes(directive.size_bytes);
    if (directive.within > absl::ZeroDuration()) Encode(directive.within / time_scale, to->mutable_within());
  }
}

void Encode(const app::LeaseReply& in, double time_scale, v1::LeaseResponse* out) {
  if (in.granted) {
    out->set_answer(v1::LEASE_ANSWER_GRANTED);
    Encode(in.ttl / time_scale, out->mutable_ttl());
    return;
  }
  out->set_answer(v1::LEASE_ANSWER_NOT_NOW);
  out->set_reason(policy::Name(in.reason));
  if (in.retry_after > absl::ZeroDuration()) Encode(in.retry_after / time_scale, out->mutable_retry_after());
}

void Encode(const app::UrgentInfo& in, v1::UrgentRelease* out) {
  Encode(in.release, out->mutable_release());
  out->set_tenant(in.tenant);
  out->set_effect(in.effect);
  if (!in.acknowledged.has_value()) return;
  out->set_acknowledged_by(in.acknowledged->person);
  Encode(in.acknowledged->at, out->mutable_acknowledged_at());
  out->set_reason(in.acknowledged->reason);
}

void Encode(const app::EnrolReply& in, double time_scale, v1::EnrollResponse* out) {
  out->set_secret(in.secret);
  out->set_tenant(in.tenant);
  Encode(in.next_checkin / time_scale, out->mutable_next_checkin());
}

void Encode(const policy::Selector& in, v1::Selector* out) {
  for (const policy::Requirement& requirement : in.all_of) {
    v1::Requirement* to = out->add_all_of();
    to->set_key(requirement.key);
    for (const std::string& value : requirement.any_of) to->add_any_of(value);
  }
  if (!in.bucket.has_value()) return;
  out->mutable_bucket()->set_from(in.bucket->from);
  out->mutable_bucket()->set_to(in.bucket->to);
}

void Encode(const policy::Plan& in, v1::Plan* out) {
  out->set_tenant(in.tenant);
  for (const policy::ChannelRule& rule : in.channels) {
    v1::ChannelRule* to = out->add_channels();
    to->set_channel(rule.channel);
    to->set_mode(static_cast<v1::ChannelMode>(rule.mode));
    to->set_lag(rule.lag);
    to->set_pinned_version(rule.pinned_version);
    to->set_from_version(rule.from_version);
    to->set_below_version(rule.below_version);
    EncodeNames(rule.barriers, to->mutable_barriers());
    if (rule.approval != policy::Approval::kAuto) to->set_approval(static_cast<v1::Approval>(rule.approval));
    if (rule.min_age > absl::ZeroDuration()) Encode(rule.min_age, to->mutable_min_age());
    EncodeNames(rule.approvers, to->mutable_approvers());
  }
  for (const policy::Ring& ring : in.rings) EncodeRing(ring, out->add_rings());
  EncodeGates(in.gates, out->mutable_gates());
  if (in.urgent_soak_factor) out->set_urgent_soak_factor_ppm(in.urgent_soak_factor->value);
  Encode(in.hold_revert_after, out->mutable_hold_revert_after());
  EncodeCalendar(in, out);
  out->set_bucket_salt(in.bucket_salt);
  if (in.rollback_depth) out->set_rollback_depth(*in.rollback_depth);
  out->set_unqualified_platform(static_cast<v1::UnqualifiedPlatform>(in.unqualified_platform));
  out->set_uncovered_cohorts(static_cast<v1::UncoveredCohorts>(in.uncovered_cohorts));
  if (in.valid_until) Encode(*in.valid_until, out->mutable_valid_until());
}

void Encode(const storage::PlanRow& in, v1::PlanRevision* out) {
  Encode(in.plan, out->mutable_plan());
  out->set_revision(in.revision);
  out->set_applied_by(in.applied_by);
  EncodeIfFinite(in.applied_at, [&] { return out->mutable_applied_at(); });
}

void Encode(const policy::Release& in, v1::ReleaseManifest* out) {
  out->set_channel(in.channel);
  out->set_kind(EncodeKind(in.kind));
  out->set_serial(in.serial);
  out->set_version(in.version);
  if (!in.targets.all_of.empty()) Encode(in.targets, out->mutable_targets());
  EncodeList(in.matrix, out->mutable_matrix());
  out->set_digest(std::string(in.digest.raw()));
  out->set_urgent(in.urgent);
}

void Encode(const storage::ReleaseRow& in, v1::Release* out) {
  Encode(in.release, out->mutable_manifest());
  out->set_size_bytes(in.release.size_bytes);
  out->set_state(static_cast<v1::ReleaseState>(in.state));
  out->set_published_by(in.published_by);
  EncodeIfFinite(in.release.published_at, [&] { return out->mutable_published_at(); });
  out->set_rollout_id(in.rollout);
  // One gate asks for both: nothing is signed that is not proven.
  const bool verified = !in.release.artifacts.empty();
  out->set_signature(verified ? v1::SIGNATURE_STATE_SIGNED : v1::SIGNATURE_STATE_UNSIGNED);
  out->set_qualification(verified ? v1::QUALIFICATION_STATE_PROVEN : v1::QUALIFICATION_STATE_UNPROVEN);
  for (const policy::Artifact& artifact : in.release.artifacts) {
    v1::ReleaseArtifact* one = out->add_artifacts();
    one->set_path(artifact.path);
    one->set_digest(std::string(artifact.digest.raw()));
    one->set_size_bytes(artifact.size_bytes);
    EncodeList(artifact.matrix, one->mutable_matrix());
  }
}

void Encode(const storage::Scope& in, v1::Scope* out) {
  out->set_tenant(in.tenant);
  out->set_channel(in.channel);
  out->set_serial(in.serial);
  out->set_ring(in.ring);
}

void Encode(const storage::BrakeRow& in, v1::Brake* out) {
  Encode(in.scope, out->mutable_scope());
  out->set_tenant_paused(in.tenant_paused);
  out->set_vendor_paused(in.vendor_paused);
  out->set_held(in.held);
  out->set_halted(in.halted);
  out->set_reverting(in.reverting);
  out->set_recalled(in.recalled);
  out->set_rule(in.rule);
  out->set_reason(in.reason);
  out->set_actor(in.actor);
  EncodeIfFinite(in.at, [&] { return out->mutable_at(); });
  out->set_first_approver(in.first_approver);
  out->set_epoch(in.epoch);
  out->set_resume_order(in.resume_order);
}

void Encode(const app::StageInfo& in, v1::Stage* out) {
  out->set_id(in.row.stage);
  out->set_tenant(in.row.tenant);
  out->set_ring(in.row.ring);
  out->set_state(static_cast<v1::StageState>(in.row.state));
  // From 1 once a wave has opened.
  out->set_wave(in.row.wave_opened_at == absl::InfinitePast() ? 0 : in.row.wave + 1);
  out->set_waves(in.waves);
  out->set_members(in.row.members);
  out->set_cap(in.row.cap);
  EncodeOutcomes(in.outcomes, out->mutable_outcomes());
  EncodeIfFinite(in.row.wave_opened_at, [&] { return out->mutable_wave_opened_at(); });
  Encode(in.row.soaked, out->mutable_soaked());
  Encode(in.soak, out->mutable_soak());
  out->set_rule(in.row.rule);
  out->set_why(in.row.why);
  EncodeIfFinite(in.revisit_at, [&] { return out->mutable_revisit_at(); });
}

void Encode(const app::RolloutInfo& in, v1::Rollout* out) {
  out->set_id(in.release.rollout);
  Encode(in.release, out->mutable_release());
  for (const app::StageInfo& stage : in.stages) Encode(stage, out->add_stages());
  for (const storage::BrakeRow& brake : in.brakes) {
    v1::Brake* to = out->add_brakes();
    Encode(brake, to);
    const auto halt = app::HaltOf(brake, in.release.release.digest);
    if (!brake.halted || !halt.has_value()) continue;
    to->set_halt_id(halt->halt_id);
    to->set_halt_seq(halt->seq);
  }
  EncodeHealth(in.health, out->mutable_health());
  EncodeLedger(in.ledger, out->mutable_ledger());
  out->set_version(in.version);
  out->set_why(in.why);
  out->set_revert_outstanding(in.revert_outstanding);
  out->mutable_rings_to_come()->insert(in.rings_to_come.begin(), in.rings_to_come.end());
}

void Encode(const storage::DecisionRow& in, v1::Decision* out) {
  out->set_id(in.id);
  EncodeIfFinite(in.at, [&] { return out->mutable_at(); });
  Encode(storage::Scope{.tenant = in.tenant, .channel = in.channel, .serial = in.serial, .ring = in.ring},
         out->mutable_scope());
  out->set_action(in.action);
  out->set_rule(in.rule);
  out->set_actor(in.actor);
  out->set_why(in.why);
  out->set_cohort(in.cohort);
  out->set_evidence(in.evidence);
}

void Encode(const storage::EvidenceRecordRow& in, v1::EvidenceRecord* out) {
  EncodeIfFinite(in.at, [&] { return out->mutable_at(); });
  out->set_replica(in.replica);
  out->set_seq(in.seq);
  out->set_soak(in.soak);
  out->set_late(in.late);
  out->set_treated(in.treated);
  out->set_controls(in.controls);
  out->set_phantoms(in.phantoms);
  for (const storage::EvidenceEvent& event : in.events) {
    v1::EvidenceEvent* to = out->add_events();
    to->set_channel(policy::Name(event.health_channel));
    to->set_treated(event.treated);
    to->set_pi(event.pi);
    to->set_x(event.x);
    to->set_c(event.c);
    for (const std::string& cell : event.cells) to->add_cells(cell);
  }
}

void Encode(const app::AgentInfo& in, v1::Agent* out) {
  out->set_id(in.row.agent.ToString());
  out->set_tenant(in.row.tenant);
  out->set_ring(in.ring);
  for (const auto& [key, value] : in.row.labels.pairs()) {
    v1::Label* label = out->add_labels();
    label->set_key(key);
    label->set_value(value);
  }
  for (const app::AgentInfo::RunningVersion& running : in.running)
    EncodeAgentRunning(running, out->add_running());
  EncodeIfFinite(in.row.last_seen, [&] { return out->mutable_last_seen(); });
  out->set_silent(in.silent);
  out->set_deleted(in.row.deleted);
  EncodeIfFinite(in.row.enrolled_at, [&] { return out->mutable_enrolled_at(); });
}

void Encode(const storage::ExposureRow& in, v1::AgentExposure* out) {
  out->set_channel(in.channel);
  out->set_serial(in.serial);
  EncodeIfFinite(in.exposed_at, [&] { return out->mutable_exposed_at(); });
  out->set_outcome(storage::Name(in.outcome));
  out->set_activated(in.activated);
  EncodeIfFinite(in.outcome_at, [&] { return out->mutable_outcome_at(); });
}

void Encode(const app::ApprovalInfo& in, v1::ReleaseApproval* out) {
  out->set_tenant(in.row.tenant);
  out->set_channel(in.row.channel);
  out->set_serial(in.row.serial);
  out->set_version(in.version);
  out->set_ring(in.row.ring);
  out->set_state(!in.decided       ? v1::APPROVAL_STATE_WAITING
                 : in.row.approved ? v1::APPROVAL_STATE_APPROVED
                                   : v1::APPROVAL_STATE_DENIED);
  if (!in.decided) return;
  out->set_person(in.row.person);
  out->set_reason(in.row.reason);
  out->set_seq(in.seq);
  if (in.row.min_age) Encode(*in.row.min_age, out->mutable_min_age());
  EncodeIfFinite(in.row.at, [&] { return out->mutable_at(); });
}

void Encode(const app::PreviewReply& in, v1::PreviewPlanResponse* out) {
  out->set_revision(in.revision);
  out->set_hosts(in.hosts);
  for (const app::RingSize& size : in.rings) {
    v1::RingSize* to = out->add_rings();
    to->set_ring(size.ring);
    to->set_hosts_now(size.hosts_now);
    to->set_hosts_then(size.hosts_then);
  }
  for (const app::HostMove& move : in.moves) {
    v1::RingMove* to = out->add_moves();
    to->set_from(move.from);
    to->set_to(move.to);
    to->set_hosts(move.hosts);
  }
  for (const app::HostMove& overlap : in.overlaps) {
    v1::RingOverlap* to = out->add_overlaps();
    to->set_first(overlap.from);
    to->set_second(overlap.to);
    to->set_hosts(overlap.hosts);
  }
  for (const app::RingTarget& target : in.now) EncodeTarget(target, out->add_now());
  for (const app::RingTarget& target : in.then) EncodeTarget(target, out->add_then());
  for (const std::string& warning : in.warnings) out->add_warnings(warning);
  for (const policy::Projection& one : in.projected_now) Encode(one, out->add_projected_now());
  for (const policy::Projection& one : in.projected_then) Encode(one, out->add_projected_then());
}

void Encode(const app::ExplainReleaseReply& in, v1::ExplainReleaseResponse* out) {
  out->set_channel(in.channel);
  out->set_serial(in.serial);
  out->set_version(in.version);
  out->set_hosts(in.hosts);
  for (const app::ReasonGroup& group : in.groups) {
    v1::ReasonGroup* to = out->add_groups();
    to->set_ring(group.ring);
    if (group.reason != policy::Reason::kNone) to->set_reason(policy::Name(group.reason));
    to->set_sentence(policy::Sentence(group.reason));
    to->set_opens_by(group.opens_by);
    to->set_detail(group.detail);
    EncodeIfFinite(group.next, [&] { return to->mutable_next(); });
    to->set_hosts(group.hosts);
    to->set_silent(group.silent);
    for (const AgentId& agent : group.examples) to->add_examples(agent.ToString());
  }
}

void Encode(const app::ExplainReply& in, v1::ExplainAgentResponse* out) {
  Encode(in.agent, out->mutable_agent());
  out->set_channel(in.channel);
  out->set_serial(in.serial);
  out->set_version(in.version);
  if (!in.eligibility.eligible()) out->set_reason(policy::Name(in.eligibility.reason));
  out->set_sentence(policy::Sentence(in.eligibility.reason));
  EncodeIfFinite(in.eligibility.next, [&] { return out->mutable_next(); });
  for (const policy::GateAnswer& gate : in.eligibility.gates) {
    v1::GateAnswer* to = out->add_gates();
    to->set_gate(policy::Name(gate.gate));
    to->set_open(gate.open);
    to->set_detail(gate.detail);
    to->set_opens_by(gate.opens_by);
    EncodeIfFinite(gate.next, [&] { return to->mutable_next(); });
  }
}

void Encode(const storage::AuditRow& in, v1::AuditEvent* out) {
  out->set_id(in.id);
  EncodeIfFinite(in.at, [&] { return out->mutable_at(); });
  out->set_person(in.person);
  out->set_role(in.role);
  out->set_tenant(in.tenant);
  out->set_act(in.act);
  out->set_target(in.target);
  out->set_reason(in.reason);
  out->set_before(in.before);
  out->set_after(in.after);
}

}  // namespace ringfence::api
