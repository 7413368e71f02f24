-- Written so that PostgreSQL takes it too: BIGINT and TEXT only, no SQLite functions.
-- Instants are milliseconds since the Unix epoch, UTC.

-- How far each of Twilio's logs has been read.
CREATE TABLE cursor (
    source    TEXT   NOT NULL PRIMARY KEY,
    polled_ms BIGINT NOT NULL
);

-- What was seen, in the order in which it was taken in: every state of every entry, never changed.
-- The body holds no telephone number but our own.
CREATE TABLE observation (
    -- The watermarks below are counted with them: no two have the same place.
    seq     BIGINT NOT NULL PRIMARY KEY,
    seen_ms BIGINT NOT NULL,
    -- Whose log it was in: the telephone numbers in the body are this account's.
    account TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    body    TEXT   NOT NULL
);
-- With seq in it, a span of time becomes a span of places without a look at the rows.
CREATE INDEX observation_seen ON observation (seen_ms, seq);

-- Up to when the alert log had been read in full, among what was seen: a decision can then be made again from
-- the same entries in the same order.
CREATE TABLE alert_watermark (
    seq       BIGINT NOT NULL PRIMARY KEY,
    polled_ms BIGINT NOT NULL
);
CREATE INDEX alert_watermark_polled ON alert_watermark (polled_ms, seq);

-- What was decided and done. Only ever appended to. Each record names the one before it by its hash, and the
-- fence of the lease under which it was written.
CREATE TABLE journal (
    seq      BIGINT NOT NULL PRIMARY KEY,
    -- The last that had been taken in of what was seen: what was decided rests on nothing after it.
    seen     BIGINT NOT NULL,
    at_ms    BIGINT NOT NULL,
    fence    BIGINT NOT NULL,
    kind     TEXT   NOT NULL,
    -- The decision or order that the entry belongs to, if it belongs to one.
    decision BIGINT,
    -- The whole entry, and where parts of it may be secret what may be shown of it. The hash is of that and of a
    -- digest of the salt and the whole, so that the chain can be followed by who may not see the whole.
    body     TEXT   NOT NULL,
    shown    TEXT,
    salt     TEXT   NOT NULL,
    hash     TEXT   NOT NULL
);
CREATE INDEX journal_decision ON journal (decision, seq);
CREATE INDEX journal_kind ON journal (kind, seq);

-- The journal's last record, so that a journal cut short is noticed. One row.
CREATE TABLE journal_head (
    id   BIGINT NOT NULL PRIMARY KEY,
    seq  BIGINT NOT NULL,
    hash TEXT   NOT NULL
);

-- Who may act, until when. One row; the fence rises with every new holder.
CREATE TABLE lease (
    id         BIGINT NOT NULL PRIMARY KEY,
    holder     TEXT   NOT NULL,
    fence      BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

-- What each of our numbers is known to point at, with which its routing is compared: what changes while no agent
-- runs is noticed as drift too.
CREATE TABLE baseline (
    account     TEXT   NOT NULL,
    number      TEXT   NOT NULL,
    channel     TEXT   NOT NULL,
    recorded_ms BIGINT NOT NULL,
    record      TEXT   NOT NULL,
    PRIMARY KEY (account, number, channel)
);

-- Notices: a row for each notice and notifier. A row is what is still to be sent, and afterwards the record of
-- its delivery: to whom, when, and what they answered.
CREATE TABLE outbox (
    id           BIGINT NOT NULL PRIMARY KEY,
    notifier     TEXT   NOT NULL,
    dedup_key    TEXT   NOT NULL,
    kind         TEXT   NOT NULL,
    -- firing, event or resolved
    status       TEXT   NOT NULL,
    created_ms   BIGINT NOT NULL,
    body         TEXT   NOT NULL,
    delivery     TEXT   NOT NULL,
    attempts     BIGINT NOT NULL,
    attempted_ms BIGINT,
    response     TEXT   NOT NULL,
    UNIQUE (notifier, dedup_key, kind, status, created_ms)
);
CREATE INDEX outbox_delivery ON outbox (delivery);

-- Test calls and messages, from before each was made: what an agent spent counts for the next one too, and a
-- recording that it left at Twilio is deleted by the next one.
CREATE TABLE probe (
    id            BIGINT NOT NULL PRIMARY KEY,
    started_ms    BIGINT NOT NULL,
    -- Ours that was called or written to, and ours that it came from.
    account       TEXT   NOT NULL,
    number        TEXT   NOT NULL,
    channel       TEXT   NOT NULL,
    sender        TEXT   NOT NULL,
    -- Empty until Twilio has said it.
    call_sid      TEXT   NOT NULL,
    -- 1 while there may be a recording of it at Twilio that is to be deleted.
    has_recording BIGINT NOT NULL
);
CREATE INDEX probe_started ON probe (started_ms);
