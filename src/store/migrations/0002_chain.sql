-- Each record of the journal names the one before it by its hash, and the lease under which it was written.
ALTER TABLE journal ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE journal ADD COLUMN hash TEXT NOT NULL DEFAULT '';

-- The journal's last record, so that a journal cut short is noticed. One row.
CREATE TABLE journal_head (
    id   BIGINT NOT NULL PRIMARY KEY,
    seq  BIGINT NOT NULL,
    hash TEXT   NOT NULL
);

-- Who may act, until when. One row; the fence rises with every new holder.
CREATE TABLE lease (
    id       BIGINT NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    fence    BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);
