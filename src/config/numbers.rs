//! `numbers_file`: a CSV file with a header and one number a row.

use std::fmt::Write as _;
use std::path::Path;

use jiff::tz::TimeZone;

use super::field::{channels, time_zone};
use super::section::{ConfigFault, Faults};
use crate::core::model::id::E164;

/// One row, as far as it says something.
#[derive(Debug, Clone)]
pub struct NumberRow {
    pub number: E164,
    pub line: usize,
    pub label: String,
    pub channels: Option<[bool; 2]>,
    pub time_zone: Option<TimeZone>,
}

/// The columns; `number` must be there, the others may.
const COLUMNS: [&str; 4] = ["number", "label", "channels", "timezone"];

/// Reads the rows of `path`. Bad rows are noted by line and left out.
pub fn read(path: &Path, faults: &Faults) -> Vec<NumberRow> {
    let fault = |line: usize, column: usize, text: String| {
        faults.push(ConfigFault { file: path.to_owned(), place: (line > 0).then_some((line, column)), text });
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            fault(0, 0, format!("cannot be read: {e}; check numbers_file, which is relative to the configuration"));
            return Vec::new();
        }
    };
    // Spreadsheets put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(e) => {
            fault(1, 1, format!("the header cannot be read: {e}"));
            return Vec::new();
        }
    };
    for name in header.iter().filter(|name| !COLUMNS.contains(name)) {
        fault(1, 1, format!("{name:?} is not a column; the header is {}", COLUMNS.join(",")));
    }
    let column = |name: &str| header.iter().position(|h| h == name);
    let Some(number_column) = column("number") else {
        fault(1, 1, format!("the header has no column \"number\"; the header is {}", COLUMNS.join(",")));
        return Vec::new();
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                let line = e.position().map_or(0, |p| p.line() as usize);
                fault(line, 1, format!("this row cannot be read: {e}"));
                continue;
            }
        };
        let line = record.position().map_or(0, |p| p.line() as usize);
        if record.len() > header.len() {
            fault(
                line,
                1,
                format!("{} fields under a header of {}; quote fields with commas", record.len(), header.len()),
            );
            continue;
        }
        let field = |name: &str| column(name).and_then(|i| record.get(i)).filter(|f| !f.is_empty());
        let mut problems = String::new();
        let mut note = |name: &str, problem: String| {
            let _ = write!(problems, "{}{name}: {problem}", if problems.is_empty() { "" } else { "; " });
        };
        let number = match record.get(number_column).unwrap_or_default().parse::<E164>() {
            Ok(number) => Some(number),
            Err(e) => {
                note("number", e.to_string());
                None
            }
        };
        let channels = field("channels").and_then(|words| match channels(words.split([' ', ';', '|'])) {
            Ok(channels) => Some(channels),
            Err(e) => {
                note("channels", e);
                None
            }
        });
        let time_zone = field("timezone").and_then(|name| match time_zone(name) {
            Ok(tz) => Some(tz),
            Err(e) => {
                note("timezone", e);
                None
            }
        });
        if !problems.is_empty() {
            fault(line, 1, problems);
        }
        if let Some(number) = number {
            let label = field("label").unwrap_or_default().to_owned();
            rows.push(NumberRow { number, line, label, channels, time_zone });
        }
    }
    rows
}
