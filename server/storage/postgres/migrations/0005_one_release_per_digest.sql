-- The same bytes are one release, whatever the channel: what hosts run is reported by digest, and a digest that was stopped
-- in one channel must not travel in another. A database that holds such a pair is refused with both names; the server
-- then does not start, and every host keeps what it runs.
DO $$
DECLARE
  pair record;
BEGIN
  SELECT a.channel AS channel, a.serial AS serial, b.channel AS other_channel, b.serial AS other_serial INTO pair
    FROM releases a JOIN releases b ON a.digest = b.digest AND a.channel < b.channel
    ORDER BY 1, 2 LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'releases %/% and %/% hold the same bytes', pair.channel, pair.serial, pair.other_channel,
      pair.other_serial USING ERRCODE = 'unique_violation';
  END IF;
END $$;

ALTER TABLE releases DROP CONSTRAINT releases_channel_digest_key;
ALTER TABLE releases ADD CONSTRAINT releases_digest_key UNIQUE (digest);
