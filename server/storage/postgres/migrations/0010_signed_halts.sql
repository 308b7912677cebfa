-- When a scope was last halted, which names the halt to hosts, and the order to go on after it: a DSSE envelope, signed by
-- the first person while it is halted and by both since. Empty: none.
ALTER TABLE brakes
  ADD COLUMN halted_at    timestamptz NOT NULL DEFAULT '-infinity',
  ADD COLUMN resume_order text NOT NULL DEFAULT '';
UPDATE brakes SET halted_at = at WHERE halted;

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
