-- What people decided about parts of a release.
ALTER TABLE judgements
  -- "key=value" that people keep the release from.
  ADD COLUMN excluded_cohorts text[] NOT NULL DEFAULT '{}',
  -- What people let in again, and when, in microseconds since 1970: what was recorded until then counts no more.
  ADD COLUMN unblocked text[] NOT NULL DEFAULT '{}',
  ADD COLUMN unblocked_at bigint[] NOT NULL DEFAULT '{}' CHECK (cardinality(unblocked_at) = cardinality(unblocked));
