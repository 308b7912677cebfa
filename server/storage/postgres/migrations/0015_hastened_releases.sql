-- The age that an approval asks for instead of the ring's, where the plan lets an approval shorten that.
ALTER TABLE consents
  ADD COLUMN min_age interval CHECK (min_age IS NULL OR (approved AND min_age >= interval '0'));
