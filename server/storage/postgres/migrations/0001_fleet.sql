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
