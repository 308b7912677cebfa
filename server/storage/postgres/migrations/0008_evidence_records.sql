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
  PRIMARY KEY (channel, serial)
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
