//! What is read of others is bounded, in bytes, rows, pages, time and things kept: here are the bounds, and why.
//!
//! Twilio, a proxy before it, a receiver of notices, a program of the user's, a client of our HTTP face and a file may
//! each be broken, or somebody else's. None of them may take the memory, the time or the disk that the agent needs for
//! its work: what exceeds a bound is refused or cut, said, and costs itself alone. Together the bounds keep an agent of
//! some hundred numbers below 512 MB whatever it is sent. What an honest counterpart sends is far below each.
//!
//! What Twilio itself limits is in [`super::facts`].

use std::time::Duration;

use super::facts::LARGEST_PAGE;

// Answers of Twilio.

/// A saved plan: 20,000 numbers, each in a state of its own.
pub const PLAN_BYTES: usize = 32 << 20;

/// An answer with a list: 1,000 calls have about 1 MB, 1,000 numbers with long URLs 4 MB.
pub const LIST_BYTES: usize = 8 << 20;

/// An answer about one thing: a number's record has 3 KB, and 20 KB if every URL in it is as long as Twilio takes. One
/// beyond this is unread, and its number blind.
pub const RECORD_BYTES: usize = 128 << 10;

/// An answer that refuses: what is wrong stands at its beginning. The rest is left unread.
pub const REFUSAL_BYTES: usize = 64 << 10;

/// A recording: ten minutes of two channels of 16 bits, the longest that is listened to, have 19 MB.
pub const RECORDING_BYTES: usize = 20 << 20;

/// From here on an answer is a large one: it is one of [`LARGE_ANSWERS`], and is taken apart where no task waits for
/// the thread.
pub const LARGE_ANSWER: usize = 256 << 10;

/// Large answers that are in memory at the same time, those of every log; others wait, unread, within their own time.
/// With a hundred requests in flight, as many as can be configured, all others have 25 MB.
pub const LARGE_ANSWERS: usize = 4;

/// Rows of a page: as many as can be asked for. What has more is none of Twilio's, and a row costs more in memory than
/// the two bytes that it may have in the answer.
pub const PAGE_ROWS: usize = LARGEST_PAGE;

/// Pages of one walk through a list: a million rows are more than any overlap holds.
pub const WALK_PAGES: usize = 1000;

/// Pages of a log, in a row, that lead no further back: no account has had 20 pages of calls in one second. A list that
/// ever names another next page is left here.
pub const STUCK_PAGES: usize = 20;

/// New entries of one log that are taken in within [`LOG_SPAN`], which is how long the ledger holds them, and entries,
/// new or changed, that one poll takes in. Each has some 400 bytes with its place in the ledger. 100,000 are five calls
/// a second for six hours, which one number may have; more numbers may have more, up to what was measured to work.
pub const fn log_entries(numbers: usize) -> usize {
    let entries = 100_000 + 500 * numbers;
    if entries < 1_000_000 { entries } else { 1_000_000 }
}

/// See [`log_entries`].
pub const LOG_SPAN: Duration = Duration::from_secs(6 * 3600);

/// How far back each log is looked through again now and then, for what came later than `poll.overlap`: users report
/// entries that came hours late, and the rules in force look back no further than the ledger does, [`LOG_SPAN`]. What
/// comes later than this is nobody's evidence any more, and is not seen.
pub const LOOK_BACK: Duration = Duration::from_secs(4 * 3600);

/// How often that is done. A busy account, with five calls a second, has 72 pages of them in four hours: that many
/// requests a quarter of an hour are one in ten seconds, less than the polls themselves. Fewer would be later than
/// whoever is on call finds out by telephone.
pub const LOOK_BACK_EVERY: Duration = Duration::from_secs(15 * 60);

/// What is kept of a whole list: 20,000 numbers' records, of which a snapshot has every field.
pub const WALK_BYTES: usize = 96 << 20;

/// Messages of one walk that may answer somebody who has not been seen to write yet; what is more is seen again by the
/// next one.
pub const WALK_ANSWERS: usize = 20_000;

/// Rows of one walk that cannot be understood and are kept for diagnosis, with up to 4 KB each; all are counted.
pub const BAD_ROWS: usize = 20;

/// The beginning of an alert's URL, which is what is kept of it: no webhook's address, without its query, is longer.
pub const URL_BYTES: usize = 2048;

// What waits in memory.

/// Calls and messages that only alerts or child legs have named, together with these alerts. An account's other
/// numbers have alerts too, whose calls never come: the oldest are forgotten.
pub const ORPHANS: usize = 20_000;

/// Alerts that wait for a reading of what their number points at, 90 s as a rule. What comes beyond them is judged by
/// the last reading.
pub const UNPLACED_ALERTS: usize = 20_000;

/// Lines of the log that wait for whoever reads the error stream, some megabytes. What comes beyond them is lost, and
/// counted: a terminal that is stopped by Ctrl-S, or a log driver that hangs, must not stop the agent.
pub const LOG_LINES: usize = 4096;

/// Errors kept that name no call and no message: each entry is held against those of its own time alone.
pub const NAMELESS_ALERTS: usize = 2_000;

/// Alerts kept for one call that has not been seen, or that are not explained; one call rarely has more than two.
pub const ALERTS_PER_CALL: usize = 16;

/// Entries of a batch that is a large one: of these one waits at a time for the control task, which takes in 20,000 a
/// second.
pub const LARGE_BATCH: usize = 2000;

/// Notices that wait to be summed up for one notifier; what comes beyond them is counted as lost.
pub const SUMMED_UP: usize = 2048;

/// Recordings that are fetched and listened to at the same time: each has up to 70 MB until it was.
pub const LISTENED_TO: usize = 1;

/// Threads for work that would hold up others, of 2 MB each: names that are looked up, of which every request may
/// need one, and pages that are made.
pub const BLOCKING_THREADS: usize = 64;

// Series.

/// Codes of alerts that have series of their own, a few more than most accounts ever see. What comes beyond them is
/// counted as `other`.
pub const ALERT_CODES: usize = 60;

/// The same of pairs of a number and a code: as many as 500 numbers have in a bad hour.
pub const ALERT_SERIES: usize = 5000;

// Receivers of notices, and programs.

// What has no bound of its own: the answers that may go before an answer (`100 Continue` and other 1xx). Our HTTP
// client reads past them by itself and shows them to nobody; none of them is kept, and a request's own time ends them.

/// What is read of a receiver's answer; 200 characters of it are shown.
pub const RECEIVER_BYTES: usize = 16 << 10;

/// What a mail server may say in one delivery, certificates included: some 10 KB are usual.
pub const MAIL_BYTES: usize = 256 << 10;

/// What of that may be an answer, in bytes and in lines, for one delivery: twenty lines and a thousand bytes are usual.
/// Each line makes our library look at the answer once more, from its beginning.
pub const MAIL_SAID: usize = 64 << 10;
pub const MAIL_LINES: usize = 200;

/// What is kept of a program's output: the beginning of a result, or the end of a complaint. The rest is read and
/// dropped, so that it may end.
pub const PROGRAM_BYTES: usize = 64 << 10;

/// How long a program's pipe is read after its end. Longer it is open only if something that it started has hidden
/// itself from us.
pub const LAST_WORDS: Duration = Duration::from_secs(1);

// Our own HTTP face.

/// Body of a request; ours are a few hundred bytes.
pub const REQUEST_BYTES: usize = 64 << 10;

/// Head of a request: request line and headers together. As much is written ahead of a client that is slow.
pub const HEAD_BYTES: usize = 16 << 10;

/// How long a client may take to send its request's head.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// How long a request may take, body included, up to the first byte of its answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a client may let us wait with an answer that it does not read, and the fewest bytes a second that count as
/// reading. Over a slow line the kernel takes what we write in large pieces, seconds apart.
pub const READ_WITHIN: Duration = Duration::from_secs(20);
pub const READ_RATE: usize = 16 << 10;

/// The same while more than so many are connected: a dashboard, two Prometheus and some people are a few, and others
/// wait for a place.
pub const READ_WITHIN_CROWDED: Duration = Duration::from_millis(700);
pub const CROWDED: usize = 48;

/// Connections at the same time. For another one the one ends that has asked for nothing for longest; while each of
/// them is being answered, others wait to be accepted.
pub const CONNECTIONS: usize = 128;

/// Answers that are made for everybody at once (metrics, status) and are kept for those who still read them. With
/// thousands of numbers each has 15 MB; who has not read the oldest when another is made is cut off.
pub const RENDERINGS: usize = 3;

/// How long such an answer is kept at least for those who read it. A scrape that comes meanwhile waits.
pub const READ_AT_LEAST: Duration = Duration::from_secs(1);

/// What the command line reads of an agent's answer: the status of 10,000 numbers has 20 MB.
pub const AGENT_BYTES: usize = 128 << 20;

// Files.

/// How long a file may take to be read: a pipe, where a secret's or the configuration's is named, until it is written.
pub const FILE_WITHIN: Duration = Duration::from_secs(3);

/// A configuration; a thousand groups have 1 MB.
pub const CONFIG_BYTES: u64 = 16 << 20;

/// Numbers that one agent watches: with ten thousand, a day's calls fit into the memory of a small machine; with more
/// than this, nothing of ours was ever tried.
pub const NUMBERS: usize = 100_000;

/// A list of numbers: more of them than are read, with group and time zone.
pub const NUMBERS_BYTES: u64 = 64 << 20;

/// The profile of what should ring: of 10,000 numbers it has some 30 MB.
pub const PROFILE_BYTES: u64 = 256 << 20;

/// A certificate with its chain, or its key.
pub const CERTIFICATE_BYTES: u64 = 1 << 20;

/// A secret.
pub const SECRET_BYTES: u64 = 64 << 10;

/// A drill's note: a number's record and some URLs.
pub const NOTE_BYTES: u64 = 1 << 20;

/// A report with its evidence: a day of 2,000 numbers is 2 MB.
pub const REPORT_BYTES: u64 = 64 << 20;

/// A file that Twilio has exported, packed or not: a day of a million calls is half of it.
pub const EXPORT_BYTES: u64 = 1 << 30;

/// A line of a recorded log: one row of a list.
pub const LINE_BYTES: usize = 1 << 20;

/// What follows in a line that is too long, before the file is taken for something else.
pub const UNENDED_BYTES: u64 = 256 << 20;
