-- A request waits while it is not complete and no running build is made for it: nothing of its own says so.
DROP INDEX requests_waiting;
ALTER TABLE requests DROP COLUMN waiting;
CREATE INDEX requests_open ON requests (builder_id, submitted_at) WHERE complete_at IS NULL;
