-- Steps of a running build that have not been started: a list of number, name and expected seconds.
ALTER TABLE builds ADD COLUMN planned TEXT NOT NULL DEFAULT '[]';
