-- Times are microseconds since 1970 UTC, structured values are JSON.

CREATE TABLE events (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    name TEXT NOT NULL,
    event TEXT NOT NULL
);

-- High-water marks, written before the newest row of something is deleted.
CREATE TABLE counters (
    name TEXT PRIMARY KEY NOT NULL,
    value BIGINT NOT NULL
);

CREATE TABLE builders (
    id BIGSERIAL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    basedir TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,
    workers TEXT NOT NULL,
    schedulers TEXT NOT NULL,
    state TEXT NOT NULL,
    active BOOLEAN NOT NULL,
    -- Logs of builds with lower numbers are gone.
    logs_from BIGINT NOT NULL
);

CREATE TABLE builder_workers (
    builder_id BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    worker TEXT NOT NULL,
    PRIMARY KEY (builder_id, worker)
);
CREATE INDEX builder_workers_by_worker ON builder_workers (worker);

CREATE TABLE builder_events (
    id BIGSERIAL PRIMARY KEY,
    builder_id BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    started BIGINT NOT NULL,
    finished BIGINT,
    text TEXT NOT NULL
);
CREATE INDEX builder_events_by_start ON builder_events (builder_id, started);

CREATE TABLE builds (
    id BIGSERIAL PRIMARY KEY,
    builder_id BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    worker TEXT NOT NULL,
    started BIGINT NOT NULL,
    finished BIGINT,
    results SMALLINT,
    eta BIGINT,
    reason TEXT NOT NULL,
    text TEXT NOT NULL,
    requests TEXT NOT NULL,
    properties TEXT NOT NULL,
    source_stamps TEXT NOT NULL,
    UNIQUE (builder_id, number)
);
CREATE INDEX builds_running ON builds (builder_id) WHERE finished IS NULL;
CREATE INDEX builds_by_start ON builds (started, id);
CREATE INDEX builds_by_builder_start ON builds (builder_id, started, id);
CREATE INDEX builds_by_worker_start ON builds (worker, started, id);
CREATE INDEX builds_by_finish ON builds (finished, id) WHERE finished IS NOT NULL;
CREATE INDEX builds_by_builder_finish ON builds (builder_id, finished, id) WHERE finished IS NOT NULL;
CREATE INDEX builds_by_worker_finish ON builds (worker, finished, id) WHERE finished IS NOT NULL;

-- The branches of a build's source stamps, each once; the null branch is the empty one.
CREATE TABLE build_branches (
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    branch TEXT NOT NULL,
    builder_id BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    started BIGINT NOT NULL,
    finished BIGINT,
    PRIMARY KEY (build_id, branch)
);
CREATE INDEX build_branches_by_start ON build_branches (builder_id, branch, started, build_id);
CREATE INDEX build_branches_by_finish ON build_branches (builder_id, branch, finished, build_id) WHERE finished IS NOT NULL;

CREATE TABLE steps (
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    text2 TEXT NOT NULL,
    results SMALLINT,
    started BIGINT,
    finished BIGINT,
    hidden BOOLEAN NOT NULL,
    waiting_for_locks BOOLEAN NOT NULL,
    statistics TEXT NOT NULL,
    urls TEXT NOT NULL,
    expected_seconds DOUBLE PRECISION,
    PRIMARY KEY (build_id, number)
);

CREATE TABLE logs (
    id BIGINT PRIMARY KEY,
    build_id BIGINT NOT NULL,
    step INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind SMALLINT NOT NULL,
    finished BOOLEAN NOT NULL,
    lines BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    FOREIGN KEY (build_id, step) REFERENCES steps (build_id, number) ON DELETE CASCADE
);
CREATE INDEX logs_by_step ON logs (build_id, step);

-- Pieces of log text, compressed; `first_line` counts the line ends before the piece.
CREATE TABLE log_chunks (
    log_id BIGINT NOT NULL REFERENCES logs (id) ON DELETE CASCADE,
    first_byte BIGINT NOT NULL,
    first_line BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (log_id, first_byte)
);
CREATE INDEX log_chunks_by_line ON log_chunks (log_id, first_line, first_byte);

CREATE TABLE changes (
    number BIGINT PRIMARY KEY,
    who TEXT NOT NULL,
    files TEXT NOT NULL,
    comments TEXT NOT NULL,
    revision TEXT,
    branch TEXT,
    category TEXT,
    happened BIGINT NOT NULL,
    revlink TEXT,
    properties TEXT NOT NULL,
    repository TEXT NOT NULL,
    codebase TEXT NOT NULL,
    project TEXT NOT NULL
);
CREATE INDEX changes_by_time ON changes (happened, number);

CREATE TABLE buildsets (
    id BIGINT PRIMARY KEY,
    external_idstring TEXT,
    reason TEXT NOT NULL,
    scheduler TEXT NOT NULL,
    source_stamps TEXT NOT NULL,
    properties TEXT NOT NULL,
    builders TEXT NOT NULL,
    submitted_at BIGINT NOT NULL,
    complete_at BIGINT,
    results SMALLINT
);
CREATE INDEX buildsets_complete ON buildsets (scheduler, id) WHERE complete_at IS NOT NULL;

CREATE TABLE requests (
    id BIGINT PRIMARY KEY,
    buildset_id BIGINT NOT NULL REFERENCES buildsets (id) ON DELETE CASCADE,
    builder_id BIGINT NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    source_stamps TEXT NOT NULL,
    reason TEXT NOT NULL,
    properties TEXT NOT NULL,
    priority INTEGER NOT NULL,
    submitted_at BIGINT NOT NULL,
    -- Neither complete nor in a running build.
    waiting BOOLEAN NOT NULL,
    complete_at BIGINT,
    results SMALLINT
);
CREATE INDEX requests_by_buildset ON requests (buildset_id);
CREATE INDEX requests_by_builder ON requests (builder_id, id);
CREATE INDEX requests_waiting ON requests (builder_id, submitted_at) WHERE waiting;

CREATE TABLE request_builds (
    request_id BIGINT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    PRIMARY KEY (request_id, build_id)
);
CREATE INDEX request_builds_by_build ON request_builds (build_id);

CREATE TABLE expectations (
    builder_id BIGINT PRIMARY KEY NOT NULL REFERENCES builders (id) ON DELETE CASCADE,
    -- By step name.
    seconds TEXT NOT NULL
);

CREATE TABLE workers (
    id BIGSERIAL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    connected BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    graceful BOOLEAN NOT NULL,
    admin TEXT,
    host TEXT,
    version TEXT,
    access_uri TEXT,
    info TEXT NOT NULL,
    last_heard BIGINT
);

CREATE TABLE worker_connects (
    worker_id BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    PRIMARY KEY (worker_id, at)
);

CREATE TABLE users (
    uid BIGSERIAL PRIMARY KEY,
    identifier TEXT NOT NULL UNIQUE,
    bb_username TEXT UNIQUE,
    bb_password TEXT
);

CREATE TABLE user_attributes (
    uid BIGINT NOT NULL REFERENCES users (uid) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (uid, kind)
);
CREATE INDEX user_attributes_by_value ON user_attributes (kind, value);

CREATE TABLE state (
    object TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (object, key)
);

CREATE TABLE cursors (
    target TEXT PRIMARY KEY NOT NULL,
    seq BIGINT NOT NULL
);

CREATE TABLE outbox (
    -- The order of insertion.
    place BIGSERIAL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    target TEXT NOT NULL,
    destination TEXT NOT NULL,
    key TEXT,
    seq BIGINT NOT NULL,
    payload TEXT NOT NULL,
    state SMALLINT NOT NULL,
    -- Something is still to be done for it.
    unfinished BOOLEAN NOT NULL,
    attempts INTEGER NOT NULL,
    created BIGINT NOT NULL,
    last_try BIGINT,
    next_try BIGINT NOT NULL,
    detail TEXT
);
CREATE INDEX outbox_unfinished ON outbox (target, destination, place) WHERE unfinished;
CREATE INDEX outbox_by_key ON outbox (target, key) WHERE unfinished;
CREATE INDEX outbox_by_target ON outbox (target, created);
CREATE INDEX outbox_by_time ON outbox (created);
CREATE INDEX outbox_finished ON outbox (state, seq) WHERE NOT unfinished;
