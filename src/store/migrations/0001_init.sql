-- Written so that PostgreSQL takes it too: BIGINT and TEXT only, no SQLite functions.
-- Instants are milliseconds since the Unix epoch, UTC.

-- How far each of Twilio's logs has been read.
CREATE TABLE cursor (
    source    TEXT   NOT NULL PRIMARY KEY,
    polled_ms BIGINT NOT NULL
);

-- What was seen, in the order in which it was seen: every state of every entry, never changed.
-- The body holds no telephone number but our own.
CREATE TABLE observation (
    seq     BIGINT NOT NULL PRIMARY KEY,
    seen_ms BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    body    TEXT   NOT NULL
);
CREATE INDEX observation_seen ON observation (seen_ms);

-- What was decided and done. Only ever appended to.
CREATE TABLE journal (
    seq   BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    kind  TEXT   NOT NULL,
    body  TEXT   NOT NULL
);
