-- What is usual among hosts that were drawn as controls, by kind of host and hour of the week (UTC, from Monday 0:00).
CREATE TABLE background_rates (
  host_class   text NOT NULL,
  hour_of_week integer NOT NULL CHECK (hour_of_week BETWEEN 0 AND 167),
  -- Since 1970: the sums are as of this week, older ones have faded in them.
  week    bigint NOT NULL,
  spells  float8 NOT NULL CHECK (spells >= 0),
  silent  float8 NOT NULL CHECK (silent >= 0),
  crashed float8 NOT NULL CHECK (crashed >= 0),
  PRIMARY KEY (host_class, hour_of_week)
);
