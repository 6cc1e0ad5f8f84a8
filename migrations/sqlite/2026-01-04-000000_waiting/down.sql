DROP INDEX requests_open;
ALTER TABLE requests ADD COLUMN waiting BOOLEAN NOT NULL DEFAULT 0;
UPDATE requests SET waiting = 1 WHERE complete_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM request_builds JOIN builds ON builds.id = request_builds.build_id
    WHERE request_builds.request_id = requests.id AND builds.finished IS NULL
);
CREATE INDEX requests_waiting ON requests (builder_id, submitted_at) WHERE waiting;
