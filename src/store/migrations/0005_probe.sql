-- Test calls and messages, from before each was made: what an agent spent counts for the next one too, and a
-- recording that it left at Twilio is deleted by the next one.
CREATE TABLE probe (
    id       BIGINT NOT NULL PRIMARY KEY,
    began_ms BIGINT NOT NULL,
    -- Ours that was called or written to, and ours that it came from.
    number   TEXT   NOT NULL,
    channel  TEXT   NOT NULL,
    sender   TEXT   NOT NULL,
    -- Empty until Twilio has said it.
    call_sid TEXT   NOT NULL,
    -- 1 while there may be a recording of it at Twilio that is to be deleted.
    recorded BIGINT NOT NULL
);
CREATE INDEX probe_began ON probe (began_ms);
