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
