-- The whole schema as it stands after every migration of migrations/: for reading, and for those who set up a database by
-- hand. A test compares it with their sum. Applied migrations are never edited; a change is a new one, and a change here.

CREATE TABLE schema_migrations (
  number     integer PRIMARY KEY,
  name       text NOT NULL,
  sha256     bytea NOT NULL CHECK (octet_length(sha256) = 32),
  applied_at timestamptz NOT NULL DEFAULT now()
);

-- Agents and what they said. The tenant comes first in every key of a tenant's data, so that the schema can be
-- distributed by tenant.

CREATE TABLE enrol_tokens (
  tenant     text NOT NULL,
  -- sha256 of the token; the token itself is never stored.
  token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, token_hash)
);

CREATE TABLE agents (
  tenant      text NOT NULL,
  -- An agent belongs to one tenant for life; its credential names the agent alone.
  agent       uuid NOT NULL UNIQUE,
  secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
  -- [["key", "value"], ...], sorted: a key may appear with several values.
  labels      jsonb NOT NULL CHECK (jsonb_typeof(labels) = 'array'),
  -- [["channel", "sha256 in hex"], ...], sorted by channel.
  running     jsonb NOT NULL CHECK (jsonb_typeof(running) = 'array'),
  boot_id     text NOT NULL,
  enrolled_at timestamptz NOT NULL,
  -- Flushed rarely; never evidence.
  last_seen   timestamptz NOT NULL,
  -- A deleted agent's row and exposures stay: denominators are frozen.
  deleted     boolean NOT NULL,
  PRIMARY KEY (tenant, agent)
) WITH (fillfactor = 85);

-- A digest that a host reverted from is not offered there again.
CREATE TABLE quarantines (
  tenant text NOT NULL,
  agent  uuid NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 32),
  at     timestamptz NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (tenant, agent, digest)
);

-- Events already counted; a repeated one is ignored. Forgotten after some days.
CREATE TABLE agent_events (
  agent   uuid NOT NULL,
  boot_id text NOT NULL,
  seq     bigint NOT NULL,
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (agent, boot_id, seq)
);
CREATE INDEX agent_events_by_time ON agent_events USING brin (seen_at);

-- Releases, plans, and the journey of a release through the rings.

-- Refuses every change of a row that was written: what is recorded stays as it was.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE releases (
  channel        text NOT NULL CHECK (channel ~ '^[a-z0-9-]{1,63}$'),
  serial         bigint NOT NULL CHECK (serial > 0),
  rollout        bigint NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
  kind           text NOT NULL CHECK (kind IN ('sensor', 'content')),
  version        text NOT NULL,
  digest         bytea NOT NULL CHECK (octet_length(digest) = 32),
  size_bytes     bigint NOT NULL CHECK (size_bytes >= 0),
  targets        jsonb NOT NULL,
  matrix         jsonb NOT NULL,
  urgent         boolean NOT NULL,
  published_at   timestamptz NOT NULL,
  -- A recall is for good: there is no way back to published.
  state          text NOT NULL CHECK (state IN ('published', 'recalled')),
  published_by   text NOT NULL,
  -- The key of the draw: who reads it can foretell who is drawn next.
  rollout_secret bytea NOT NULL,
  healthy_age    interval NOT NULL,
  -- The bytes of a proven release, one entry for each artifact of its set, with the platforms that it was tested on and
  -- the sha256 of the evidence. Empty: taken on its publisher's word.
  artifacts      jsonb NOT NULL DEFAULT '[]',
  PRIMARY KEY (channel, serial),
  -- The same bytes are one release: republishing a bad digest under a new serial or in another channel is not a fix.
  UNIQUE (digest)
);

CREATE TABLE artifact_chunks (
  artifact bytea NOT NULL CHECK (octet_length(artifact) = 32),
  chunk    bigint NOT NULL CHECK (chunk >= 0),
  bytes    bytea NOT NULL CHECK (octet_length(bytes) <= 1048576),
  PRIMARY KEY (artifact, chunk)
);
-- Artifacts are compressed already where it pays.
ALTER TABLE artifact_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE plans (
  tenant     text NOT NULL CHECK (tenant ~ '^[a-z0-9-]{1,63}$'),
  revision   bigint NOT NULL CHECK (revision > 0),
  plan       jsonb NOT NULL,
  applied_by text NOT NULL,
  applied_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, revision)
);
CREATE TRIGGER plans_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON plans
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE stages (
  tenant         text NOT NULL,
  channel        text NOT NULL,
  serial         bigint NOT NULL CHECK (serial > 0),
  ring           text NOT NULL,
  stage          bigint NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
  rollout        bigint NOT NULL,
  -- The revision whose waves and soak this stage follows.
  plan_revision  bigint NOT NULL,
  state          text NOT NULL CHECK (state IN ('waiting', 'open', 'paused', 'held', 'halted', 'passed', 'vacant',
                                                'superseded', 'recalled')),
  wave           integer NOT NULL CHECK (wave >= 0),
  -- Counted, and the cap fixed, when the wave opened.
  members        bigint NOT NULL CHECK (members >= 0),
  cap            bigint NOT NULL CHECK (cap >= 0),
  wave_opened_at timestamptz NOT NULL,
  soaked         interval NOT NULL,
  rule           text NOT NULL,
  why            text NOT NULL,
  created_at     timestamptz NOT NULL,
  PRIMARY KEY (tenant, channel, serial, ring)
);

-- One row per scope; an empty part or serial 0 means every. An exposure's transaction locks the rows of its scopes
-- FOR SHARE, a halt or pause changes them: so no exposure commits after a halt in its scope.
CREATE TABLE brakes (
  tenant         text NOT NULL,
  channel        text NOT NULL,
  serial         bigint NOT NULL CHECK (serial >= 0),
  ring           text NOT NULL,
  epoch          bigint NOT NULL CHECK (epoch >= 0),
  tenant_paused  boolean NOT NULL,
  vendor_paused  boolean NOT NULL,
  held           boolean NOT NULL,
  halted         boolean NOT NULL,
  reverting      boolean NOT NULL,
  recalled       boolean NOT NULL,
  rule           text NOT NULL,
  reason         text NOT NULL,
  actor          text NOT NULL,
  at             timestamptz NOT NULL,
  -- The first of the two persons that a resume after a halt needs.
  first_approver text NOT NULL,
  hold_revert_at timestamptz NOT NULL,
  m_r_mark       float8 NOT NULL,
  m_a_mark       float8 NOT NULL,
  resumed_at     timestamptz NOT NULL,
  -- When it was last halted, which names the halt to hosts.
  halted_at      timestamptz NOT NULL DEFAULT '-infinity',
  -- The order to go on after it: a DSSE envelope, signed by the first person while it is halted and by both since.
  resume_order   text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant, channel, serial, ring)
);

CREATE TYPE exposure_outcome AS ENUM ('pending', 'confirmed', 'crashed', 'failed', 'silent', 'reverted', 'refused', 'unused');

-- One row per lease, committed before the lease is answered.
CREATE TABLE exposures (
  tenant     text NOT NULL,
  channel    text NOT NULL,
  serial     bigint NOT NULL CHECK (serial > 0),
  agent      uuid NOT NULL,
  -- Replica epoch (24 bits) and index of the bucket of the draw (40 bits), as the same 64 bits.
  bucket     bigint NOT NULL,
  stage      bigint NOT NULL,
  ring       text NOT NULL,
  wave       integer NOT NULL,
  exposed_at timestamptz NOT NULL,
  deadline   timestamptz NOT NULL,
  -- What the host ran before: its last-known-good. All zero bytes: nothing.
  previous   bytea NOT NULL CHECK (octet_length(previous) = 32),
  rho        float8 NOT NULL,
  pi         float8 NOT NULL,
  phi        float8 NOT NULL,
  -- "key=value" as they were at the draw: relabelling a host later changes no figure.
  cells      text[] NOT NULL,
  activated  boolean NOT NULL,
  outcome    exposure_outcome NOT NULL,
  outcome_at timestamptz NOT NULL,
  -- When the host last crashed and last reported a bad metric, as the SLO gates count it; a repair or a revert changes
  -- the outcome and leaves these.
  crashed_at  timestamptz NOT NULL DEFAULT '-infinity',
  degraded_at timestamptz NOT NULL DEFAULT '-infinity',
  -- The share of its latest silence that an outage explains.
  explained   float8 NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, channel, serial, agent, bucket)
) WITH (fillfactor = 90);
-- Denominators are frozen: no exposure ever disappears from the figures.
CREATE TRIGGER exposures_stay BEFORE DELETE OR TRUNCATE ON exposures
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The evidence of a release is the sum of the newest vector of each replica. Pooled over tenants, as aggregates only.
CREATE TABLE evidence_vectors (
  channel        text NOT NULL,
  serial         bigint NOT NULL,
  replica        integer NOT NULL,
  health_channel smallint NOT NULL CHECK (health_channel BETWEEN 0 AND 4),
  -- Empty: the whole release.
  cell           text NOT NULL,
  version        bigint NOT NULL,
  r              float8[] NOT NULL CHECK (cardinality(r) = 6),
  guard          float8[] NOT NULL CHECK (cardinality(guard) = 5),
  bad_treated    bigint NOT NULL,
  all_treated    bigint NOT NULL,
  bad_control    bigint NOT NULL,
  all_control    bigint NOT NULL,
  PRIMARY KEY (channel, serial, replica, health_channel, cell)
);

-- What was decided and done, who leads, and what is remembered for retries.

CREATE TABLE decisions (
  id       bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  at       timestamptz NOT NULL,
  -- Empty: all tenants.
  tenant   text NOT NULL,
  channel  text NOT NULL,
  serial   bigint NOT NULL,
  ring     text NOT NULL,
  stage    bigint NOT NULL,
  action   text NOT NULL CHECK (action <> ''),
  rule     text NOT NULL CHECK (rule <> ''),
  actor    text NOT NULL,
  why      text NOT NULL,
  cohort   text NOT NULL,
  -- The figures the rule saw. json and not jsonb: it gives back the very text, so that a decision can be run again on
  -- the same bits.
  evidence json
);
CREATE INDEX decisions_by_tenant ON decisions (tenant, id);
CREATE INDEX decisions_by_release ON decisions (channel, serial, id);
CREATE TRIGGER decisions_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE audit_entries (
  id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  at         timestamptz NOT NULL,
  person     text NOT NULL,
  role       text NOT NULL,
  tenant     text NOT NULL,
  act        text NOT NULL CHECK (act <> ''),
  target     text NOT NULL,
  reason     text NOT NULL,
  before     text NOT NULL,
  after      text NOT NULL,
  request_id text NOT NULL
);
CREATE INDEX audit_entries_by_tenant ON audit_entries (tenant, id);
CREATE TRIGGER audit_entries_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The remembered answer of a mutation, so that a retry gets the same one.
CREATE TABLE requests (
  request_id  text PRIMARY KEY CHECK (octet_length(request_id) BETWEEN 1 AND 64),
  person      text NOT NULL,
  method      text NOT NULL,
  fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
  response    bytea NOT NULL,
  at          timestamptz NOT NULL
);

CREATE TABLE settings (
  name  text PRIMARY KEY,
  value text NOT NULL
);

-- One row per start of a replica. The number is the upper 24 bits of its buckets, so that no draw is used twice.
CREATE TABLE replica_epochs (
  epoch   integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY (MAXVALUE 16777215 NO CYCLE),
  replica text NOT NULL,
  at      timestamptz NOT NULL
);

-- The fence of leadership: one row. Its epoch rises with every take-over, and the leader's writes lock it FOR SHARE.
CREATE TABLE leaders (
  only_row boolean PRIMARY KEY CHECK (only_row),
  epoch    bigint NOT NULL CHECK (epoch > 0),
  replica  text NOT NULL,
  since    timestamptz NOT NULL,
  -- Where it takes the calls that others hand on, and what they show: 32 bytes, new with each epoch. Empty: nowhere.
  address  text NOT NULL DEFAULT '',
  secret   bytea NOT NULL DEFAULT ''
);

-- What a person of a tenant said about a release that the tenant's plan asks about. Final: said once for each ring.
CREATE TABLE consents (
  tenant   text NOT NULL,
  channel  text NOT NULL,
  serial   bigint NOT NULL CHECK (serial > 0),
  -- Empty: every ring for which nothing else was said.
  ring     text NOT NULL,
  approved boolean NOT NULL,
  person   text NOT NULL CHECK (person <> ''),
  reason   text NOT NULL,
  at       timestamptz NOT NULL,
  -- The age that an approval asks for instead of the ring's, where the plan lets an approval shorten that.
  min_age  interval CHECK (min_age IS NULL OR (approved AND min_age >= interval '0')),
  PRIMARY KEY (tenant, channel, serial, ring)
);
CREATE TRIGGER consents_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consents
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A person of the tenant has seen that an urgent release is there.
CREATE TABLE acknowledgements (
  tenant  text NOT NULL,
  channel text NOT NULL,
  serial  bigint NOT NULL CHECK (serial > 0),
  person  text NOT NULL CHECK (person <> ''),
  reason  text NOT NULL,
  at      timestamptz NOT NULL,
  PRIMARY KEY (tenant, channel, serial)
);
CREATE TRIGGER acknowledgements_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON acknowledgements
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What tenants signed: the chain of their plans, and what they say of releases. Checked before it is kept; handed out to
-- the tenant's hosts, which check it again.
CREATE TABLE signed_documents (
  tenant   text NOT NULL,
  kind     text NOT NULL CHECK (kind IN ('plan', 'decision')),
  -- The plan's version, or the decision's seq.
  number   bigint NOT NULL CHECK (number > 0),
  -- DSSE, as it came.
  envelope bytea NOT NULL,
  -- Of the plan that it became; 0 for a decision.
  revision bigint NOT NULL CHECK ((revision > 0) = (kind = 'plan')),
  person   text NOT NULL CHECK (person <> ''),
  role     text NOT NULL,
  at       timestamptz NOT NULL,
  PRIMARY KEY (tenant, kind, number)
);
CREATE TRIGGER signed_documents_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signed_documents
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What is fixed of a release's evidence before its first draw, and what was decided about parts of it.
CREATE TABLE judgements (
  channel text NOT NULL,
  serial  bigint NOT NULL,
  rho0    float8 NOT NULL CHECK (rho0 >= 1),
  k_max   bigint NOT NULL CHECK (k_max >= 1),
  -- Rises when two persons resume from a halt.
  test    bigint NOT NULL CHECK (test >= 1),
  -- In the order of their slots.
  cells   text[] NOT NULL,
  blocked text[] NOT NULL,
  -- "key=value" that people keep the release from.
  excluded_cohorts text[] NOT NULL DEFAULT '{}',
  -- What people let in again, and when, in microseconds since 1970: what was recorded until then counts no more.
  unblocked    text[] NOT NULL DEFAULT '{}',
  unblocked_at bigint[] NOT NULL DEFAULT '{}' CHECK (cardinality(unblocked_at) = cardinality(unblocked)),
  PRIMARY KEY (channel, serial)
);

-- What is usual among hosts that were drawn as controls, by kind of host and hour of the week (UTC, from Monday 0:00).
CREATE TABLE background_rates (
  host_class   text NOT NULL,
  hour_of_week integer NOT NULL CHECK (hour_of_week BETWEEN 0 AND 167),
  -- Since 1970: the sums are as of this week, older ones have faded in them.
  week    bigint NOT NULL,
  spells  float8 NOT NULL CHECK (spells >= 0),
  silent  float8 NOT NULL CHECK (silent >= 0),
  crashed float8 NOT NULL CHECK (crashed >= 0),
  PRIMARY KEY (host_class, hour_of_week)
);

-- All that the test of a release is computed from: one row for each bucket of draws in which something went bad, written
-- once, when its last spell has matured, and one for each event of the soak.
CREATE TABLE evidence_records (
  channel  text NOT NULL,
  serial   bigint NOT NULL,
  replica  integer NOT NULL,
  -- Rising within a replica: the order in which it counts.
  seq      bigint NOT NULL,
  test     bigint NOT NULL,
  at       timestamptz NOT NULL,
  soak     boolean NOT NULL,
  bucket   bigint NOT NULL,
  rho      float8 NOT NULL,
  treated  bigint NOT NULL,
  controls bigint NOT NULL,
  phantoms bigint NOT NULL,
  -- Counts for a hold, never for a halt.
  late     boolean NOT NULL,
  -- json and not jsonb: numbers come back to the last bit.
  events   json NOT NULL,
  PRIMARY KEY (channel, serial, replica, seq)
);
CREATE TRIGGER evidence_records_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence_records
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The release repository: signed metadata and small targets, for agents to fetch and verify.
CREATE TABLE trust_documents (
  name      text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 512),
  sha256    bytea NOT NULL CHECK (octet_length(sha256) = 32),
  -- As they came: signatures are over bytes.
  bytes     bytea NOT NULL CHECK (octet_length(bytes) BETWEEN 1 AND 5242880),
  stored_at timestamptz NOT NULL,
  -- Rising: of a name that was stored again the newest counts.
  number    bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  PRIMARY KEY (name, sha256)
);
CREATE INDEX trust_documents_newest ON trust_documents (name, number DESC);
CREATE TRIGGER trust_documents_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trust_documents
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
