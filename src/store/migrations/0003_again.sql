-- When the alert log had been read in full, among what was seen: a decision can then be made again from
-- the same entries in the same order. after_seq: the last observation that was there.
CREATE TABLE alerts_read (
    after_seq BIGINT NOT NULL,
    polled_ms BIGINT NOT NULL,
    PRIMARY KEY (after_seq, polled_ms)
);

-- What each of our numbers is known to point at: what changes while no agent runs is noticed.
CREATE TABLE routing (
    number   TEXT   NOT NULL,
    channel  TEXT   NOT NULL,
    known_ms BIGINT NOT NULL,
    record   TEXT   NOT NULL,
    PRIMARY KEY (number, channel)
);
