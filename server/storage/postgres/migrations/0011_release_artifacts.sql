-- The bytes of a proven release, one entry for each artifact of its set, with the platforms that it was tested on and the
-- sha256 of the evidence. Empty: taken on its publisher's word.
ALTER TABLE releases ADD COLUMN artifacts jsonb NOT NULL DEFAULT '[]';
