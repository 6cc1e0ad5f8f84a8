-- The builds that each change went into. A build may know of changes that have no row of their own.
CREATE TABLE build_changes (
    change_number BIGINT NOT NULL,
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    PRIMARY KEY (change_number, build_id)
);
CREATE INDEX build_changes_by_build ON build_changes (build_id);

-- PostgreSQL does not take a NUL in text, not even an escaped one in JSON.
INSERT INTO build_changes
SELECT DISTINCT (change ->> 'number')::bigint, builds.id
FROM builds, json_array_elements(replace(builds.source_stamps, '\u0000', '\ufffd')::json) AS stamp,
    json_array_elements(stamp -> 'changes') AS change;
