//! `[history.columns]`: under which headings the old provider's call records have what `ringback learn` reads.

use std::path::Path;

use jiff::tz::TimeZone;

use super::field::time_zone;
use super::section::Section;
use super::{BadConfig, parse, read_file};

/// What a row of call records says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordColumn {
    /// Which number of ours was called.
    Number,
    Caller,
    Start,
    Duration,
    Answered,
    Direction,
}

impl RecordColumn {
    pub const ALL: [RecordColumn; 6] = [
        RecordColumn::Number,
        RecordColumn::Caller,
        RecordColumn::Start,
        RecordColumn::Duration,
        RecordColumn::Answered,
        RecordColumn::Direction,
    ];

    /// Its key in the configuration.
    pub const fn key(self) -> &'static str {
        match self {
            RecordColumn::Number => "number",
            RecordColumn::Caller => "caller",
            RecordColumn::Start => "start",
            RecordColumn::Duration => "duration",
            RecordColumn::Answered => "answered",
            RecordColumn::Direction => "direction",
        }
    }

    /// Position in tables that have one cell a column.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The headings that the file names; others are known by their names, or not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryColumns {
    /// By [`RecordColumn::index`].
    pub headings: [Option<String>; 6],
    /// Of times that are written without one, before what their heading says.
    pub timezone: Option<TimeZone>,
}

impl HistoryColumns {
    /// Those of the file at `path`, of which nothing else is looked at.
    pub fn load(path: &Path) -> Result<HistoryColumns, BadConfig> {
        let text = read_file(path)?;
        parse(path, &text, |mut top| {
            let columns = top.section("history").and_then(|mut s| s.section("columns"));
            Some(columns.map(read).unwrap_or_default())
        })
    }
}

/// Reads `[history.columns]`.
pub fn read(mut s: Section<'_>) -> HistoryColumns {
    let headings = RecordColumn::ALL.map(|column| s.text(column.key()).map(|heading| heading.value));
    let timezone = s.text("timezone").and_then(|name| match time_zone(&name.value) {
        Ok(zone) => Some(zone),
        Err(problem) => {
            s.faults().at(name.span, format!("{}: {problem}", s.key("timezone")));
            None
        }
    });
    s.finish();
    HistoryColumns { headings, timezone }
}
