-- What nothing may overtake: of the deliveries of one lane the oldest goes first.
ALTER TABLE outbox ADD COLUMN lane TEXT;
-- What it is, for people.
ALTER TABLE outbox ADD COLUMN about TEXT;
