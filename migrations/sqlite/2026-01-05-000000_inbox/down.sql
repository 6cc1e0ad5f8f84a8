DROP INDEX changes_by_revision;
ALTER TABLE changes DROP COLUMN origin;
DROP TABLE hook_deliveries;
DROP TABLE hook_requests;
