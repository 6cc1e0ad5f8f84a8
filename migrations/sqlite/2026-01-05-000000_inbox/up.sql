-- What change hooks were sent lately, and what came of it.
CREATE TABLE hook_requests (
    id BIGINT PRIMARY KEY NOT NULL,
    received BIGINT NOT NULL,
    dialect TEXT NOT NULL,
    delivery TEXT,
    event TEXT NOT NULL,
    status SMALLINT NOT NULL,
    accepted BOOLEAN NOT NULL,
    answer TEXT NOT NULL,
    reason TEXT NOT NULL,
    changes TEXT NOT NULL,
    replay_of BIGINT,
    method TEXT NOT NULL,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    size BIGINT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX hook_requests_by_outcome ON hook_requests (accepted, id);

-- Deliveries that were accepted, by what their senders call them: one that comes again gets its first answer.
CREATE TABLE hook_deliveries (
    dialect TEXT NOT NULL,
    delivery TEXT NOT NULL,
    received BIGINT NOT NULL,
    status SMALLINT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (dialect, delivery)
);
CREATE INDEX hook_deliveries_by_time ON hook_deliveries (received);

-- Where a change came from, where that is known.
ALTER TABLE changes ADD COLUMN origin TEXT;
CREATE INDEX changes_by_revision ON changes (revision);
