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
  PRIMARY KEY (channel, serial),
  -- The same bytes are one release: republishing a bad digest under a new serial is not a fix.
  UNIQUE (channel, digest)
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
