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
