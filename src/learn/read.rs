//! One file of call records, row by row: what each row says, and what is left out and why.

use std::io::{self, Read};
use std::path::Path;

use super::columns::{BadColumns, Columns};
use super::numbers::{LearntNumbers, RecordedCallers, RowCaller, RowNumber};
use super::remarks::Remarks;
use super::start::{self, DayOrder, NOT_A_TIME, StartReader, WallClock, WrittenStart};
use super::stream::CsvStream;
use crate::config::csv::Field;
use crate::config::{HistoryColumns, RecordColumn};
use crate::core::profile::clean::PastCall;
use crate::file;

/// Rows of one file.
#[derive(Debug)]
pub struct ReadFile {
    /// Without its folder.
    pub name: String,
    pub columns: Columns,
    pub zones: ZonesOf,
    pub days: Option<DayOrder>,
    pub tally: ReadTally,
    pub remarks: Remarks,
}

/// Where the zone of its times comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZonesOf {
    /// Each value has its offset.
    Value,
    /// The heading, or `history.columns.timezone`.
    Heading,
    /// The time zone of each number in the configuration.
    Number,
}

/// How many rows there were of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadTally {
    /// The header not counted.
    pub rows: u64,
    pub inbound: u64,
    pub outbound: u64,
    pub other_numbers: u64,
    /// Of our own test calls.
    pub probes: u64,
    pub bad: u64,
}

/// Between which characters rows are split.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// So many rows are looked at to find the columns.
const SAMPLE: usize = 200;

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BadRecords {
    #[error("cannot be read: {0}")]
    Unread(#[from] io::Error),
    #[error("is empty: call records begin with a line of headings")]
    Empty,
    #[error("{0}")]
    Columns(#[from] BadColumns),
}

/// Reads the file at `path`, and puts its inbound calls to numbers of ours to `calls`.
pub fn read(
    path: &Path,
    given: &HistoryColumns,
    numbers: &mut LearntNumbers<'_>,
    callers: &RecordedCallers<'_>,
    calls: &mut Vec<PastCall>,
) -> Result<ReadFile, BadRecords> {
    let mut stream = CsvStream::new(file::open(path)?)?;
    let header = stream.first_line();
    stream.delimiter = DELIMITERS.into_iter().rev().max_by_key(|by| header.matches(*by).count()).unwrap_or(',');
    let sample = stream.sample(stream.delimiter, SAMPLE);
    let (_, rows) = sample.split_first().ok_or(BadRecords::Empty)?;
    let is_ours = |text: &str| matches!(numbers.read(text), RowNumber::Ours(_));
    let columns = Columns::find(&sample, given, is_ours)?;
    let start = columns.of(RecordColumn::Start);
    let starts: Vec<&String> = rows.iter().filter_map(|row| row.get(start?)).collect();
    let days = day_order(&starts);
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let mut file = ReadFile {
        name,
        columns,
        zones: ZonesOf::Value,
        days,
        tally: ReadTally::default(),
        remarks: Remarks::default(),
    };
    read_rows(&mut stream, &mut file, numbers, callers, calls)?;
    Ok(file)
}

/// In dates with a slash or dots, which comes first; absent if dates are written otherwise.
fn day_order(starts: &[&String]) -> Option<DayOrder> {
    let is_short = |text: &&&String| text.trim().find(['/', '.']).is_some_and(|at| at <= 2);
    starts.iter().find(is_short)?;
    let is_day_first = starts.iter().any(|text| start::is_day_first(text));
    Some(if is_day_first { DayOrder::DayFirst } else { DayOrder::MonthFirst })
}

fn read_rows(
    stream: &mut CsvStream<impl Read>,
    file: &mut ReadFile,
    numbers: &mut LearntNumbers<'_>,
    callers: &RecordedCallers<'_>,
    calls: &mut Vec<PastCall>,
) -> io::Result<()> {
    let mut reader = RowReader {
        starts: StartReader::new(file.days.unwrap_or_default()),
        heading: file.columns.zone.clone().map(WallClock::new),
        clocks: numbers.learnt.iter().map(|n| WallClock::new(n.timezone.clone())).collect(),
        zones: ZonesOf::Value,
        columns: file.columns.clone(),
    };
    let (tally, remarks) = (&mut file.tally, &mut file.remarks);
    let mut is_first = true;
    stream.each(|row| {
        if std::mem::replace(&mut is_first, false) {
            return;
        }
        let row = match row {
            // A spreadsheet's empty row.
            Ok(row) if row.iter().all(|f| f.text.is_empty()) => return,
            Ok(row) => row,
            Err(bad) => {
                tally.rows += 1;
                tally.bad += 1;
                // What stands there may be a caller's number.
                remarks.add(bad.place.0, bad.problem, String::new);
                return;
            }
        };
        tally.rows += 1;
        match reader.read(row, numbers, callers) {
            RecordRow::Call(call) => {
                tally.inbound += 1;
                calls.push(call);
            }
            RecordRow::Outbound => tally.outbound += 1,
            RecordRow::OtherNumber => tally.other_numbers += 1,
            RecordRow::Probe => tally.probes += 1,
            RecordRow::Bad { column, kind } => {
                tally.bad += 1;
                let line = row.first().map_or(0, |f| f.place.0);
                remarks.add(line, kind, || told(column, row, &reader.columns));
            }
        }
    })?;
    file.zones = reader.zones;
    Ok(())
}

/// The value that is wrong, unless it may be a caller's number: perhaps the wrong column was named.
fn told(column: RecordColumn, row: &[Field<'_>], columns: &Columns) -> String {
    let text = columns.of(column).and_then(|at| row.get(at)).map_or("", |f| &f.text);
    match column {
        RecordColumn::Start | RecordColumn::Direction => {
            let is_number = !text.contains(':') && text.bytes().filter(u8::is_ascii_digit).count() >= 7;
            let short: String = text.chars().take(40).collect();
            if is_number { String::new() } else { format!("{short:?}") }
        }
        RecordColumn::Number | RecordColumn::Caller | RecordColumn::Duration | RecordColumn::Answered => String::new(),
    }
}

/// What a row is.
enum RecordRow {
    Call(PastCall),
    Outbound,
    OtherNumber,
    /// A test call of ours.
    Probe,
    Bad {
        column: RecordColumn,
        kind: &'static str,
    },
}

struct RowReader {
    columns: Columns,
    starts: StartReader,
    heading: Option<WallClock>,
    /// By number.
    clocks: Vec<WallClock>,
    zones: ZonesOf,
}

impl RowReader {
    fn read(&mut self, row: &[Field<'_>], numbers: &mut LearntNumbers<'_>, callers: &RecordedCallers<'_>) -> RecordRow {
        let text = |column: RecordColumn| self.columns.of(column).and_then(|at| row.get(at)).map_or("", |f| &*f.text);
        let direction = text(RecordColumn::Direction);
        match is_outbound(direction) {
            Some(true) => return RecordRow::Outbound,
            Some(false) => {}
            None => {
                let kind = "no direction that is known: inbound or outbound";
                return RecordRow::Bad { column: RecordColumn::Direction, kind };
            }
        }
        let number = match numbers.find(text(RecordColumn::Number)) {
            RowNumber::Ours(number) => number,
            RowNumber::Other => return RecordRow::OtherNumber,
            RowNumber::Unreadable(kind) => return RecordRow::Bad { column: RecordColumn::Number, kind },
        };
        let bad_time = || RecordRow::Bad { column: RecordColumn::Start, kind: NOT_A_TIME };
        let start = match self.starts.read(text(RecordColumn::Start)) {
            Some(WrittenStart::Instant(seconds)) => Some(seconds),
            Some(WrittenStart::Wall(wall)) => {
                let clock = match &mut self.heading {
                    Some(clock) => {
                        self.zones = ZonesOf::Heading;
                        clock
                    }
                    None => {
                        self.zones = ZonesOf::Number;
                        &mut self.clocks[number as usize]
                    }
                };
                clock.instant(wall)
            }
            None => return bad_time(),
        };
        let Some(at) = start.and_then(|seconds| u32::try_from(seconds).ok()) else { return bad_time() };
        let (hash, carrier) = match callers.read(text(RecordColumn::Caller)) {
            RowCaller::Caller { hash, carrier } => (hash, carrier),
            RowCaller::Prober => return RecordRow::Probe,
        };
        let duration = seconds(text(RecordColumn::Duration)).unwrap_or(0);
        let talk = if is_answered(text(RecordColumn::Answered)) { duration } else { 0 };
        RecordRow::Call(PastCall { caller: hash, number, at, talk, carrier })
    }
}

/// What a row's direction says; without one, records of a number's calls are of those that came in.
fn is_outbound(text: &str) -> Option<bool> {
    let starts = |word: &str| text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
    if starts("out") {
        Some(true)
    } else if starts("internal") {
        // Between people of the company: nobody called.
        None
    } else if text.is_empty() || starts("in") || starts("trunking-originating") {
        Some(false)
    } else if starts("trunking-terminating") {
        Some(true)
    } else {
        None
    }
}

/// False of what says that nobody answered.
fn is_answered(text: &str) -> bool {
    const NOT: [&str; 16] = [
        "no",
        "false",
        "0",
        "n",
        "missed",
        "missed call",
        "unanswered",
        "not answered",
        "abandoned",
        "abandoned call",
        "busy",
        "no-answer",
        "no answer",
        "failed",
        "canceled",
        "cancelled",
    ];
    !NOT.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Of `75`, `1:15` or `0:01:15`.
fn seconds(text: &str) -> Option<u32> {
    let mut seconds: u32 = 0;
    for part in text.split(':') {
        let part = part.split('.').next().unwrap_or_default();
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    Some(seconds.min(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_exports_are_understood() {
        assert_eq!(
            ["75", "1:15", "0:01:15", "75.4", "", "-"].map(seconds),
            [Some(75), Some(75), Some(75), Some(75), None, None]
        );
        assert_eq!(
            ["inbound", "Incoming", "", "outbound-api", "OUT", "internal"].map(is_outbound),
            [Some(false), Some(false), Some(false), Some(true), Some(true), None]
        );
        assert_eq!(
            ["yes", "Answered Call", "", "Missed Call", "NO", "abandoned"].map(is_answered),
            [true, true, true, false, false, false]
        );
    }
}
