DROP TABLE build_changes;
