// Every SQL statement of the store, whole and named. They are prepared once per session; parameters are text,
// or binary where a comment says so, and batches are arrays (pg_text.h, pg_binary.h). Nothing is ever glued
// together.
#pragma once

namespace ringfence::storage {

struct Statement {
  const char* name;
  const char* sql;
};

namespace statements {

// ---- fleet

inline constexpr Statement kPutEnrolToken{"put_enrol_token", R"sql(
  INSERT INTO enrol_tokens (tenant, token_hash, created_by, created_at, expires_at)
  VALUES ($1, $2::bytea, $3, $4::timestamptz, $5::timestamptz)
  ON CONFLICT (token_hash) DO UPDATE SET tenant = excluded.tenant, created_by = excluded.created_by,
    created_at = excluded.created_at, expires_at = excluded.expires_at)sql"};

// A second taker waits for the first one's commit and then finds nothing.
inline constexpr Statement kTakeEnrolToken{"take_enrol_token", R"sql(
  DELETE FROM enrol_tokens WHERE token_hash = $1::bytea AND expires_at > $2::timestamptz
  RETURNING tenant, created_by, created_at, expires_at)sql"};

// Sorted, so that two replicas that write the same agents do not wait for each other crosswise.
inline constexpr Statement kPutAgents{"put_agents", R"sql(
  INSERT INTO agents AS stored
    (tenant, agent, secret_hash, labels, running, boot_id, enrolled_at, last_seen, deleted)
  SELECT tenant, agent, secret_hash, labels, running, boot_id, enrolled_at, last_seen, deleted
  FROM unnest($1::text[], $2::uuid[], $3::bytea[], $4::jsonb[], $5::jsonb[], $6::text[], $7::timestamptz[],
              $8::timestamptz[], $9::boolean[])
    AS given (tenant, agent, secret_hash, labels, running, boot_id, enrolled_at, last_seen, deleted)
  ORDER BY agent
  ON CONFLICT (agent) DO UPDATE SET secret_hash = excluded.secret_hash, labels = excluded.labels,
    running = excluded.running, boot_id = excluded.boot_id, enrolled_at = excluded.enrolled_at,
    last_seen = excluded.last_seen, deleted = excluded.deleted
  WHERE stored.tenant = excluded.tenant)sql"};

inline constexpr Statement kAgent{"agent", R"sql(
  SELECT tenant, agent, secret_hash, labels, running, boot_id, enrolled_at, last_seen, deleted
  FROM agents WHERE agent = $1::uuid)sql"};

inline constexpr Statement kAgentsAfter{"agents_after", R"sql(
  SELECT tenant, agent, secret_hash, labels, running, boot_id, enrolled_at, last_seen, deleted
  FROM agents WHERE agent > $1::uuid ORDER BY agent LIMIT $2::integer)sql"};

inline constexpr Statement kFirstAgents{"first_agents", R"sql(
  SELECT tenant, agent, secret_hash, labels, running, boot_id, enrolled_at, last_seen, deleted
  FROM agents ORDER BY agent LIMIT $1::integer)sql"};

inline constexpr Statement kPutQuarantines{"put_quarantines", R"sql(
  INSERT INTO quarantines (tenant, agent, digest, at, reason)
  SELECT tenant, agent, digest, at, reason
  FROM unnest($1::text[], $2::uuid[], $3::bytea[], $4::timestamptz[], $5::text[])
    AS given (tenant, agent, digest, at, reason)
  ORDER BY tenant, agent, digest
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kQuarantines{"quarantines", R"sql(
  SELECT tenant, agent, digest, at, reason FROM quarantines ORDER BY tenant, agent, digest)sql"};

inline constexpr Statement kRememberEvents{"remember_events", R"sql(
  INSERT INTO agent_events (agent, boot_id, seq, seen_at)
  SELECT agent, boot_id, seq, $4::timestamptz
  FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS given (agent, boot_id, seq)
  ORDER BY agent, boot_id, seq
  ON CONFLICT DO NOTHING
  RETURNING agent, boot_id, seq)sql"};

// In pages, in the order of the key.
inline constexpr Statement kEventsFrom{"events_from", R"sql(
  SELECT agent, boot_id, seq FROM agent_events
  WHERE agent >= $1::uuid AND (agent, boot_id, seq) > ($1::uuid, $2::text, $3::bigint)
  ORDER BY agent, boot_id, seq LIMIT $4::integer)sql"};

// In portions, so that no statement runs long.
inline constexpr Statement kForgetEvents{"forget_events", R"sql(
  DELETE FROM agent_events WHERE ctid IN (
    SELECT ctid FROM agent_events WHERE seen_at < $1::timestamptz LIMIT $2::integer))sql"};

// ---- releases

inline constexpr Statement kInsertRelease{"insert_release", R"sql(
  INSERT INTO releases (channel, serial, kind, version, digest, size_bytes, targets, matrix, urgent, published_at, state,
                        published_by, rollout_secret, healthy_age, artifacts)
  VALUES ($1, $2::bigint, $3, $4, $5::bytea, $6::bigint, $7::jsonb, $8::jsonb, $9::boolean, $10::timestamptz, $11, $12,
          $13::bytea, $14::interval, $15::jsonb)
  ON CONFLICT DO NOTHING
  RETURNING rollout)sql"};

inline constexpr Statement kReleases{"releases", R"sql(
  SELECT channel, serial, kind, version, digest, size_bytes, targets, matrix, urgent, published_at, rollout, state,
         published_by, rollout_secret, (extract(epoch FROM healthy_age) * 1000000)::bigint, artifacts
  FROM releases ORDER BY channel COLLATE "C", serial)sql"};

inline constexpr Statement kSetReleaseState{"set_release_state", R"sql(
  UPDATE releases SET state = $3 WHERE channel = $1 AND serial = $2::bigint)sql"};

inline constexpr Statement kSetHealthyAge{"set_healthy_age", R"sql(
  UPDATE releases SET healthy_age = $3::interval WHERE channel = $1 AND serial = $2::bigint)sql"};

inline constexpr Statement kPutArtifactChunk{"put_artifact_chunk", R"sql(
  INSERT INTO artifact_chunks (artifact, chunk, bytes) VALUES ($1::bytea, $2::bigint, $3::bytea)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kArtifactChunk{"artifact_chunk", R"sql(
  SELECT bytes FROM artifact_chunks WHERE artifact = $1::bytea AND chunk = $2::bigint)sql"};

inline constexpr Statement kPutTrustDocument{"put_trust_document", R"sql(
  INSERT INTO trust_documents (name, sha256, bytes, stored_at) VALUES ($1, $2::bytea, $3::bytea, $4::timestamptz)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kNewestTrustDocument{"newest_trust_document", R"sql(
  SELECT name, sha256, bytes, stored_at FROM trust_documents WHERE name = $1 ORDER BY number DESC LIMIT 1)sql"};

inline constexpr Statement kTrustDocument{"trust_document", R"sql(
  SELECT name, sha256, bytes, stored_at FROM trust_documents WHERE name = $1 AND sha256 = $2::bytea)sql"};

// ---- plans

// Of two that insert the same revision at once the second waits and then inserts nothing.
inline constexpr Statement kInsertPlan{"insert_plan", R"sql(
  INSERT INTO plans (tenant, revision, plan, applied_by, applied_at)
  SELECT $1::text, $2::bigint, $3::jsonb, $4::text, $5::timestamptz
  WHERE $2::bigint = 1 + coalesce((SELECT max(revision) FROM plans WHERE tenant = $1::text), 0)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kNewestPlans{"newest_plans", R"sql(
  SELECT DISTINCT ON (tenant COLLATE "C") plan, revision, applied_by, applied_at
  FROM plans ORDER BY tenant COLLATE "C", revision DESC)sql"};

inline constexpr Statement kPlanHistory{"plan_history", R"sql(
  SELECT plan, revision, applied_by, applied_at FROM plans WHERE tenant = $1 ORDER BY revision DESC)sql"};

inline constexpr Statement kInsertConsent{"insert_consent", R"sql(
  INSERT INTO consents (tenant, channel, serial, ring, approved, person, reason, at, min_age)
  VALUES ($1, $2, $3::bigint, $4, $5::boolean, $6, $7, $8::timestamptz, nullif($9, '')::interval)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kConsents{"consents", R"sql(
  SELECT tenant, channel, serial, ring, approved, person, reason, at,
         coalesce((extract(epoch FROM min_age) * 1000000)::bigint, -1)
  FROM consents
  ORDER BY tenant COLLATE "C", channel COLLATE "C", serial, ring COLLATE "C")sql"};

inline constexpr Statement kInsertAcknowledgement{"insert_acknowledgement", R"sql(
  INSERT INTO acknowledgements (tenant, channel, serial, person, reason, at)
  VALUES ($1, $2, $3::bigint, $4, $5, $6::timestamptz)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kAcknowledgements{"acknowledgements", R"sql(
  SELECT tenant, channel, serial, person, reason, at FROM acknowledgements
  ORDER BY tenant COLLATE "C", channel COLLATE "C", serial)sql"};

inline constexpr Statement kInsertSigned{"insert_signed", R"sql(
  INSERT INTO signed_documents (tenant, kind, number, envelope, revision, person, role, at)
  VALUES ($1, $2, $3::bigint, $4::bytea, $5::bigint, $6, $7, $8::timestamptz)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kSignedDocuments{"signed_documents", R"sql(
  SELECT tenant, kind, number, envelope, revision, person, role, at FROM signed_documents
  WHERE $1::text = '' OR tenant = $1::text
  ORDER BY tenant COLLATE "C", kind = 'decision', number)sql"};

// ---- rollouts

inline constexpr Statement kInsertStage{"insert_stage", R"sql(
  INSERT INTO stages (tenant, channel, serial, ring, rollout, plan_revision, state, wave, members, cap, wave_opened_at,
                      soaked, rule, why, created_at)
  VALUES ($1, $2, $3::bigint, $4, $5::bigint, $6::bigint, $7, $8::integer, $9::bigint, $10::bigint, $11::timestamptz,
          $12::interval, $13, $14, $15::timestamptz)
  ON CONFLICT DO NOTHING
  RETURNING stage)sql"};

inline constexpr Statement kUpdateStages{"update_stages", R"sql(
  UPDATE stages SET plan_revision = given.plan_revision, state = given.state, wave = given.wave,
    members = given.members, cap = given.cap, wave_opened_at = given.wave_opened_at, soaked = given.soaked,
    rule = given.rule, why = given.why
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[], $7::timestamptz[],
              $8::interval[], $9::text[], $10::text[])
    AS given (stage, plan_revision, state, wave, members, cap, wave_opened_at, soaked, rule, why)
  WHERE stages.stage = given.stage)sql"};

inline constexpr Statement kStages{"stages", R"sql(
  SELECT stage, rollout, tenant, channel, serial, ring, plan_revision, state, wave, members, cap, wave_opened_at,
         (extract(epoch FROM soaked) * 1000000)::bigint, rule, why, created_at
  FROM stages ORDER BY stage)sql"};

inline constexpr Statement kEnsureBrakes{"ensure_brakes", R"sql(
  INSERT INTO brakes (tenant, channel, serial, ring, epoch, tenant_paused, vendor_paused, held, halted, reverting,
                      recalled, rule, reason, actor, at, first_approver, hold_revert_at, m_r_mark, m_a_mark, resumed_at)
  SELECT tenant, channel, serial, ring, 0, false, false, false, false, false, false, '', '', '', 'epoch', '', 'infinity',
         0, 0, '-infinity'
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS given (tenant, channel, serial, ring)
  ORDER BY tenant, channel, serial, ring
  ON CONFLICT DO NOTHING)sql"};

// A row lock is not fair: PostgreSQL lets a FOR SHARE join the ones that hold the row already, past a FOR
// UPDATE that waits, and batches that overlap without a pause would keep a halt waiting for ever. Advisory
// locks are served in order. So whoever locks brakes first passes their gates ($2, sorted): shared for
// batches, alone for a change.
inline constexpr Statement kPassGatesShared{"pass_gates_shared", R"sql(
  SELECT pg_advisory_xact_lock_shared($1::integer, gate) FROM unnest($2::integer[]) AS given (gate))sql"};

inline constexpr Statement kPassGateAlone{"pass_gate_alone",
                                          "SELECT pg_advisory_xact_lock($1::integer, $2::integer)"};

// In order, so that two transactions that lock overlapping scopes do not wait for each other crosswise.
inline constexpr Statement kLockBrakesShared{"lock_brakes_shared", R"sql(
  SELECT tenant, channel, serial, ring, epoch, tenant_paused, vendor_paused, held, halted, reverting, recalled, rule,
         reason, actor, at, first_approver, hold_revert_at, m_r_mark, m_a_mark, resumed_at, halted_at, resume_order
  FROM brakes
  WHERE (tenant, channel, serial, ring) IN (
    SELECT tenant, channel, serial, ring
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS given (tenant, channel, serial, ring))
  ORDER BY tenant COLLATE "C", channel COLLATE "C", serial, ring COLLATE "C"
  FOR SHARE)sql"};

inline constexpr Statement kLockBrake{"lock_brake", R"sql(
  SELECT tenant, channel, serial, ring, epoch, tenant_paused, vendor_paused, held, halted, reverting, recalled, rule,
         reason, actor, at, first_approver, hold_revert_at, m_r_mark, m_a_mark, resumed_at, halted_at, resume_order
  FROM brakes WHERE tenant = $1 AND channel = $2 AND serial = $3::bigint AND ring = $4
  FOR UPDATE)sql"};

// The notice goes out with the commit. It only makes a halt faster on other replicas: what makes it final is
// the row.
inline constexpr Statement kPutBrake{"put_brake", R"sql(
  WITH changed AS (
    UPDATE brakes SET epoch = $5::bigint, tenant_paused = $6::boolean, vendor_paused = $7::boolean, held = $8::boolean,
      halted = $9::boolean, reverting = $10::boolean, recalled = $11::boolean, rule = $12, reason = $13, actor = $14,
      at = $15::timestamptz, first_approver = $16, hold_revert_at = $17::timestamptz, m_r_mark = $18::float8,
      m_a_mark = $19::float8, resumed_at = $20::timestamptz, halted_at = $21::timestamptz, resume_order = $22
    WHERE tenant = $1 AND channel = $2 AND serial = $3::bigint AND ring = $4 AND epoch = $5::bigint - 1
    RETURNING tenant, channel, serial, ring, epoch)
  SELECT pg_notify('ringfence_brakes', jsonb_build_array(tenant, channel, serial, ring, epoch)::text) FROM changed)sql"};

inline constexpr Statement kBrakes{"brakes", R"sql(
  SELECT tenant, channel, serial, ring, epoch, tenant_paused, vendor_paused, held, halted, reverting, recalled, rule,
         reason, actor, at, first_approver, hold_revert_at, m_r_mark, m_a_mark, resumed_at, halted_at, resume_order
  FROM brakes ORDER BY tenant COLLATE "C", channel COLLATE "C", serial, ring COLLATE "C")sql"};

// The hot path; its parameters are in binary form. A batch says most values again and again: the draw of a
// stage, the earlier digest, the cells. These come as dictionaries, and each row points into them ($19 into
// $1 to $13, $20 into $14, $21 into $15, from 1): that saves half of the server's time for reading the batch.
//
// No ON CONFLICT: it looks each key up before it inserts it, a third of the whole time, and a key is there
// already only when a commit was in doubt. Then this fails, and the transaction is run again with the
// statement below it.
inline constexpr Statement kInsertExposures{"insert_exposures", R"sql(
  INSERT INTO exposures (tenant, channel, serial, agent, bucket, stage, ring, wave, exposed_at, deadline, previous, rho,
                         pi, phi, cells, activated, outcome, outcome_at)
  SELECT ($1::text[])[draw], ($2::text[])[draw], ($3::bigint[])[draw], agent, ($4::bigint[])[draw],
         ($5::bigint[])[draw], ($6::text[])[draw], ($7::integer[])[draw], exposed_at, deadline,
         ($14::bytea[])[previous], ($8::float8[])[draw], ($9::float8[])[draw], ($10::float8[])[draw],
         ($15::text[])[cells]::text[], ($11::boolean[])[draw], ($12::text[])[draw]::exposure_outcome,
         ($13::timestamptz[])[draw]
  FROM unnest($16::uuid[], $17::timestamptz[], $18::timestamptz[], $19::integer[], $20::integer[], $21::integer[])
    AS given (agent, exposed_at, deadline, draw, previous, cells))sql"};

inline constexpr Statement kInsertMissingExposures{"insert_missing_exposures", R"sql(
  INSERT INTO exposures (tenant, channel, serial, agent, bucket, stage, ring, wave, exposed_at, deadline, previous, rho,
                         pi, phi, cells, activated, outcome, outcome_at)
  SELECT ($1::text[])[draw], ($2::text[])[draw], ($3::bigint[])[draw], agent, ($4::bigint[])[draw],
         ($5::bigint[])[draw], ($6::text[])[draw], ($7::integer[])[draw], exposed_at, deadline,
         ($14::bytea[])[previous], ($8::float8[])[draw], ($9::float8[])[draw], ($10::float8[])[draw],
         ($15::text[])[cells]::text[], ($11::boolean[])[draw], ($12::text[])[draw]::exposure_outcome,
         ($13::timestamptz[])[draw]
  FROM unnest($16::uuid[], $17::timestamptz[], $18::timestamptz[], $19::integer[], $20::integer[], $21::integer[])
    AS given (agent, exposed_at, deadline, draw, previous, cells)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kUpdateOutcomes{"update_outcomes", R"sql(
  UPDATE exposures AS stored SET activated = given.activated, outcome = given.outcome, outcome_at = given.outcome_at,
    deadline = given.deadline, crashed_at = given.crashed_at, degraded_at = given.degraded_at,
    explained = given.explained
  FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::bigint[], $6::boolean[], $7::exposure_outcome[],
              $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::float8[])
    AS given (tenant, channel, serial, agent, bucket, activated, outcome, outcome_at, deadline, crashed_at, degraded_at,
              explained)
  WHERE stored.tenant = given.tenant AND stored.channel = given.channel AND stored.serial = given.serial
    AND stored.agent = given.agent AND stored.bucket = given.bucket)sql"};

// From one tenant to the next by the index: the exposures of a release are then read tenant by tenant, and
// those of other releases are not touched.
inline constexpr Statement kNextExposedTenant{"next_exposed_tenant", R"sql(
  SELECT tenant FROM exposures WHERE tenant > $1 ORDER BY tenant LIMIT 1)sql"};

inline constexpr Statement kExposuresOf{"exposures_of", R"sql(
  SELECT tenant, channel, serial, agent, bucket, stage, ring, wave, exposed_at, deadline, previous, rho, pi, phi, cells,
         activated, outcome, outcome_at, crashed_at, degraded_at, explained
  FROM exposures JOIN unnest($3::text[], $4::bigint[]) AS wanted (channel, serial) USING (channel, serial)
  WHERE tenant = $1 AND agent = $2::uuid)sql"};

inline constexpr Statement kExposuresFrom{"exposures_from", R"sql(
  SELECT tenant, channel, serial, agent, bucket, stage, ring, wave, exposed_at, deadline, previous, rho, pi, phi, cells,
         activated, outcome, outcome_at, crashed_at, degraded_at, explained
  FROM exposures
  WHERE tenant = $1 AND channel = $2 AND serial = $3::bigint AND agent >= $4::uuid
    AND (agent, bucket) > ($4::uuid, $5::bigint)
  ORDER BY agent, bucket LIMIT $6::integer)sql"};

inline constexpr Statement kCountExposures{"count_exposures", R"sql(
  SELECT stage, outcome, activated, count(*), min(outcome_at), max(exposed_at)
  FROM exposures
  WHERE tenant = $1 AND channel = $2 AND serial = $3::bigint
  GROUP BY stage, outcome, activated)sql"};

inline constexpr Statement kPutEvidence{"put_evidence", R"sql(
  INSERT INTO evidence_vectors AS stored (channel, serial, replica, health_channel, cell, version, r, guard, bad_treated,
                                          all_treated, bad_control, all_control)
  SELECT channel, serial, replica, health_channel, cell, version, r::float8[], guard::float8[], bad_treated, all_treated,
         bad_control, all_control
  FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::smallint[], $5::text[], $6::bigint[], $7::text[], $8::text[],
              $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
    AS given (channel, serial, replica, health_channel, cell, version, r, guard, bad_treated, all_treated, bad_control,
              all_control)
  ORDER BY channel, serial, replica, health_channel, cell
  ON CONFLICT (channel, serial, replica, health_channel, cell) DO UPDATE SET version = excluded.version, r = excluded.r,
    guard = excluded.guard, bad_treated = excluded.bad_treated, all_treated = excluded.all_treated,
    bad_control = excluded.bad_control, all_control = excluded.all_control
  WHERE stored.version < excluded.version)sql"};

inline constexpr Statement kEvidence{"evidence", R"sql(
  SELECT channel, serial, replica, health_channel, cell, version, r, guard, bad_treated, all_treated, bad_control,
         all_control
  FROM evidence_vectors WHERE channel = $1 AND serial = $2::bigint
  ORDER BY replica, health_channel, cell COLLATE "C")sql"};

inline constexpr Statement kPutBackground{"put_background", R"sql(
  INSERT INTO background_rates AS stored (host_class, hour_of_week, week, spells, silent, crashed)
  SELECT host_class, hour_of_week, week, spells, silent, crashed
  FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::float8[], $5::float8[], $6::float8[])
    AS given (host_class, hour_of_week, week, spells, silent, crashed)
  ORDER BY host_class, hour_of_week
  ON CONFLICT (host_class, hour_of_week) DO UPDATE SET week = excluded.week, spells = excluded.spells,
    silent = excluded.silent, crashed = excluded.crashed)sql"};

inline constexpr Statement kBackground{"background", R"sql(
  SELECT host_class, hour_of_week, week, spells, silent, crashed
  FROM background_rates ORDER BY host_class COLLATE "C", hour_of_week)sql"};

inline constexpr Statement kPutJudgement{"put_judgement", R"sql(
  INSERT INTO judgements AS stored (channel, serial, rho0, k_max, test, cells, blocked, excluded_cohorts,
                                    unblocked, unblocked_at)
  VALUES ($1, $2::bigint, $3::float8, $4::bigint, $5::bigint, $6::text[], $7::text[], $8::text[], $9::text[],
          $10::bigint[])
  ON CONFLICT (channel, serial) DO UPDATE SET rho0 = excluded.rho0, k_max = excluded.k_max,
    test = greatest(stored.test, excluded.test), cells = excluded.cells, blocked = excluded.blocked,
    excluded_cohorts = excluded.excluded_cohorts, unblocked = excluded.unblocked, unblocked_at = excluded.unblocked_at)sql"};

inline constexpr Statement kJudgement{"judgement", R"sql(
  SELECT channel, serial, rho0, k_max, test, cells, blocked, excluded_cohorts, unblocked, unblocked_at
  FROM judgements WHERE channel = $1 AND serial = $2::bigint)sql"};

inline constexpr Statement kAppendEvidenceRecords{"append_evidence_records", R"sql(
  INSERT INTO evidence_records (channel, serial, replica, seq, test, at, soak, bucket, rho, treated, controls, phantoms,
                                late, events)
  SELECT channel, serial, replica, seq, test, at, soak, bucket, rho, treated, controls, phantoms, late, events::json
  FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::boolean[],
              $8::bigint[], $9::float8[], $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[], $14::text[])
    AS given (channel, serial, replica, seq, test, at, soak, bucket, rho, treated, controls, phantoms, late, events)
  ORDER BY channel, serial, replica, seq
  ON CONFLICT (channel, serial, replica, seq) DO NOTHING)sql"};

inline constexpr Statement kEvidenceRecords{"evidence_records", R"sql(
  SELECT channel, serial, replica, seq, test, at, soak, bucket, rho, treated, controls, phantoms, late, events
  FROM evidence_records WHERE channel = $1 AND serial = $2::bigint
  ORDER BY replica, seq)sql"};

// ---- journal

inline constexpr Statement kAppendDecision{"append_decision", R"sql(
  INSERT INTO decisions (at, tenant, channel, serial, ring, stage, action, rule, actor, why, cohort, evidence)
  VALUES ($1::timestamptz, $2, $3, $4::bigint, $5, $6::bigint, $7, $8, $9, $10, $11, nullif($12, '')::json)
  RETURNING id)sql"};

// The first parameter of each pair says whether the second one counts.
inline constexpr Statement kDecisions{"decisions", R"sql(
  SELECT id, at, tenant, channel, serial, ring, stage, action, rule, actor, why, cohort, coalesce(evidence::text, '')
  FROM decisions
  WHERE (NOT $1::boolean OR tenant = $2 OR tenant = '') AND (NOT $3::boolean OR channel = $4)
    AND (NOT $5::boolean OR serial = $6::bigint) AND ($7::bigint = 0 OR id < $7::bigint)
  ORDER BY id DESC LIMIT $8::integer)sql"};

inline constexpr Statement kAppendAudit{"append_audit", R"sql(
  INSERT INTO audit_entries (at, person, role, tenant, act, target, reason, before, after, request_id)
  VALUES ($1::timestamptz, $2, $3, $4, $5, $6, $7, $8, $9, $10))sql"};

inline constexpr Statement kAudit{"audit", R"sql(
  SELECT id, at, person, role, tenant, act, target, reason, before, after, request_id
  FROM audit_entries
  WHERE (NOT $1::boolean OR tenant = $2) AND ($3::bigint = 0 OR id < $3::bigint)
  ORDER BY id DESC LIMIT $4::integer)sql"};

inline constexpr Statement kFindRequest{"find_request", R"sql(
  SELECT request_id, person, method, fingerprint, response, at FROM requests WHERE request_id = $1)sql"};

inline constexpr Statement kPutRequest{"put_request", R"sql(
  INSERT INTO requests (request_id, person, method, fingerprint, response, at)
  VALUES ($1, $2, $3, $4::bytea, $5::bytea, $6::timestamptz)
  ON CONFLICT DO NOTHING)sql"};

inline constexpr Statement kSetting{"setting", "SELECT value FROM settings WHERE name = $1"};

inline constexpr Statement kPutSetting{"put_setting", R"sql(
  INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value)sql"};

inline constexpr Statement kNextReplicaEpoch{"next_replica_epoch", R"sql(
  INSERT INTO replica_epochs (replica, at) VALUES ($1, $2::timestamptz) RETURNING epoch)sql"};

inline constexpr Statement kTakeLeaderEpoch{"take_leader_epoch", R"sql(
  INSERT INTO leaders AS stored (only_row, epoch, replica, since) VALUES (true, 1, $1, $2::timestamptz)
  ON CONFLICT (only_row) DO UPDATE SET epoch = stored.epoch + 1, replica = excluded.replica, since = excluded.since,
    address = '', secret = ''
  RETURNING epoch)sql"};

inline constexpr Statement kPutLeaderContact{"put_leader_contact", R"sql(
  UPDATE leaders SET address = $2, secret = $3::bytea WHERE epoch = $1::bigint)sql"};

inline constexpr Statement kLeader{"leader", "SELECT epoch, replica, address, secret FROM leaders"};

inline constexpr Statement kLockLeader{"lock_leader", "SELECT epoch, replica FROM leaders FOR SHARE"};

// ---- sessions

// All of a session's settings: text forms that pg_text.h reads; a commit that is durable; no statement and no
// forgotten transaction that lasts for ever (a stopped replica would keep brakes locked). Large tables are
// only ever met by their keys, so a plan made while they were empty must not become a scan of millions of
// rows.
inline constexpr Statement kPrepareSession{"prepare_session", R"sql(
  SELECT set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, YMD', false),
         set_config('intervalstyle', 'postgres', false), set_config('bytea_output', 'hex', false),
         set_config('client_min_messages', 'error', false), set_config('extra_float_digits', '1', false),
         set_config('default_transaction_isolation', 'read committed', false),
         set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
         set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false),
         set_config('statement_timeout', $1, false),
         set_config('idle_in_transaction_session_timeout', $2, false),
         set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                          ELSE current_setting('synchronous_commit') END, false))sql"};

// A server of before PostgreSQL 14 has no such limit; its TCP keepalives end the session then.
inline constexpr Statement kLimitIdleSession{"limit_idle_session", R"sql(
  SELECT CASE WHEN current_setting('idle_session_timeout', true) IS NOT NULL
              THEN set_config('idle_session_timeout', $1, false) END)sql"};

inline constexpr Statement kTryLeaderLock{"try_leader_lock", "SELECT pg_try_advisory_lock($1::bigint)"};

// ---- migrations

inline constexpr Statement kMigrationLock{"migration_lock", "SELECT pg_advisory_xact_lock($1::bigint)"};

inline constexpr Statement kMakeMigrationTable{"make_migration_table", R"sql(
  CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     bytea NOT NULL CHECK (octet_length(sha256) = 32),
    applied_at timestamptz NOT NULL DEFAULT now()
  ))sql"};

inline constexpr Statement kAppliedMigrations{
    "applied_migrations", "SELECT number, name, sha256 FROM schema_migrations ORDER BY number"};

inline constexpr Statement kRecordMigration{"record_migration", R"sql(
  INSERT INTO schema_migrations (number, name, sha256) VALUES ($1::integer, $2, $3::bytea))sql"};

}  // namespace statements
}  // namespace ringfence::storage
