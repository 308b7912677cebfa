-- When an exposed host last crashed and last reported a bad metric, as the SLO gates count it; a repair or a revert changes
-- the outcome and leaves these. Always given by an update of the outcome; at the insert nothing was seen yet.
ALTER TABLE exposures
  ADD COLUMN crashed_at  timestamptz NOT NULL DEFAULT '-infinity',
  ADD COLUMN degraded_at timestamptz NOT NULL DEFAULT '-infinity',
  -- The share of its latest silence that an outage explains.
  ADD COLUMN explained   float8 NOT NULL DEFAULT 0;
-- What the outcomes still say of the time before.
UPDATE exposures SET crashed_at = outcome_at WHERE outcome = 'crashed';
UPDATE exposures SET degraded_at = outcome_at WHERE outcome = 'failed' AND activated;
