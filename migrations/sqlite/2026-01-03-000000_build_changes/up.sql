-- The builds that each change went into. A build may know of changes that have no row of their own.
CREATE TABLE build_changes (
    change_number BIGINT NOT NULL,
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    PRIMARY KEY (change_number, build_id)
) WITHOUT ROWID;
CREATE INDEX build_changes_by_build ON build_changes (build_id);

INSERT OR IGNORE INTO build_changes
SELECT json_extract(change.value, '$.number'), builds.id
FROM builds, json_each(builds.source_stamps) AS stamp, json_each(stamp.value, '$.changes') AS change;
