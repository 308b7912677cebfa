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
  PRIMARY KEY (tenant, channel, serial, ring)
);
CREATE TRIGGER consents_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON consents
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
