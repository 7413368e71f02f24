-- What people are told: a row for each notice and notifier. A row is what is still to be sent, and
-- afterwards the record of who was told what, when, and what they answered.
CREATE TABLE outbox (
    id         BIGINT NOT NULL PRIMARY KEY,
    notifier   TEXT   NOT NULL,
    notice_key TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    standing   TEXT   NOT NULL,
    said_ms    BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    tries      BIGINT NOT NULL,
    ended_ms   BIGINT,
    answer     TEXT   NOT NULL,
    UNIQUE (notifier, notice_key, kind, standing, said_ms)
);
CREATE INDEX outbox_state ON outbox (state);
