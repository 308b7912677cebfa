-- How the replicas that do not lead reach the one that does.
-- Where it takes the calls that others hand on, and what they show: 32 bytes, new with each epoch. Empty: nowhere.
ALTER TABLE leaders ADD COLUMN address text NOT NULL DEFAULT '';
ALTER TABLE leaders ADD COLUMN secret bytea NOT NULL DEFAULT '';
