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
  since    timestamptz NOT NULL
);
