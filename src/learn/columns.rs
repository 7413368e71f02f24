//! Which column of an export is what: as the configuration says, or by headings that are known.
//!
//! Where neither tells the number or the time, the columns are guessed by what is in them, and the guess is shown, to
//! be put into the configuration: a profile of the wrong column would look like any other.

use std::fmt::{self, Write as _};

use jiff::tz::TimeZone;

use super::start::StartReader;
use crate::config::{HistoryColumns, RecordColumn};
use crate::core::model::counted::some_of;
use crate::core::model::foreign;

/// Headings, the likeliest first: letters and digits alone, in lower case, without what is in brackets.
///
/// Sources: CallRail's API (`tracking_phone_number`, `customer_phone_number`, `start_time`) and its export ("Tracking
/// Number", "Phone Number", "Start Time", "Call Status"); DialogTech's call detail report (`dnis`, `ani`); Twilio's
/// Console ("To", "From", "Start Time"); read in November 2026. Others are words that exports of calls use.
const fn known(column: RecordColumn) -> &'static [&'static str] {
    match column {
        RecordColumn::Number => &[
            "trackingphonenumber",
            "trackingnumber",
            "callednumber",
            "dialednumber",
            "dnis",
            "tonumber",
            "to",
            "called",
            "calledparty",
            "callee",
            "destinationnumber",
            "did",
            "ddi",
            "inboundnumber",
            "number",
        ],
        RecordColumn::Caller => &[
            "customerphonenumber",
            "callernumber",
            "callerphonenumber",
            "callerid",
            "ani",
            "cli",
            "fromnumber",
            "from",
            "caller",
            "callingnumber",
            "callingparty",
            "phonenumber",
        ],
        RecordColumn::Start => &[
            "starttime",
            "startedat",
            "start",
            "callstarttime",
            "callstart",
            "calldatetime",
            "calldate",
            "calltime",
            "datetime",
            "timestamp",
            "startdate",
            "date",
            "datecreated",
        ],
        RecordColumn::Duration => &["duration", "callduration", "durationseconds", "talktime", "length", "calllength"],
        RecordColumn::Answered => &["answered", "callstatus", "status", "disposition", "outcome", "result"],
        RecordColumn::Direction => &["direction", "calldirection", "calltype", "type"],
    }
}

/// Where what is.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    header: Vec<String>,
    at: [Option<usize>; 6],
    /// Of times without an offset, if the heading or the configuration names one.
    pub zone: Option<TimeZone>,
}

/// Why the columns cannot be told; the rest of a sentence that starts with the file.
#[derive(Debug, PartialEq, Eq)]
pub struct BadColumns(String);

impl fmt::Display for BadColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadColumns {}

impl Columns {
    /// Of a file that begins with these rows; `is_ours` says whether a text is a number of ours.
    pub fn find(
        sample: &[Vec<String>],
        given: &HistoryColumns,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<Columns, BadColumns> {
        let header = sample.first().cloned().unwrap_or_default();
        let mut columns = Columns { header, at: [None; 6], zone: None };
        for column in RecordColumn::ALL {
            if let Some(heading) = &given.headings[column.index()] {
                columns.at[column.index()] = Some(columns.named(column, heading)?);
            }
        }
        for column in RecordColumn::ALL {
            if columns.at[column.index()].is_none() {
                columns.at[column.index()] = columns.known(column);
            }
        }
        let is_missing = |column: RecordColumn| columns.of(column).is_none();
        if is_missing(RecordColumn::Number) || is_missing(RecordColumn::Start) {
            return Err(columns.guess(sample.get(1..).unwrap_or_default(), is_ours));
        }
        columns.zone = match (&given.timezone, columns.of(RecordColumn::Start)) {
            (Some(zone), _) => Some(zone.clone()),
            (None, Some(start)) => zone_of(&columns.header[start])?,
            (None, None) => None,
        };
        Ok(columns)
    }

    pub const fn of(&self, column: RecordColumn) -> Option<usize> {
        self.at[column.index()]
    }

    /// As people read it: `number "Tracking Number", start "Start Time (UTC)"`.
    pub fn told(&self) -> String {
        let found = RecordColumn::ALL.into_iter().filter_map(|c| Some((c, self.of(c)?)));
        found.map(|(c, at)| format!("{} {:?}", c.key(), self.header[at])).collect::<Vec<_>>().join(", ")
    }

    fn named(&self, column: RecordColumn, heading: &str) -> Result<usize, BadColumns> {
        let is_same = |h: &&String| h.trim().eq_ignore_ascii_case(heading.trim());
        let exact = self.header.iter().position(|h| is_same(&h));
        let by_name = || self.header.iter().position(|h| !plain(h).is_empty() && plain(h) == plain(heading));
        exact.or_else(by_name).ok_or_else(|| {
            BadColumns(format!(
                "has no column {heading:?}, which history.columns.{} names; it has {}",
                column.key(),
                self.headings()
            ))
        })
    }

    fn headings(&self) -> String {
        let shown: Vec<String> = self.header.iter().map(|h| shown(h)).collect();
        some_of(&shown, 12, Clone::clone)
    }

    fn known(&self, column: RecordColumn) -> Option<usize> {
        let ranked = self.header.iter().enumerate().filter_map(|(i, heading)| {
            let name = plain(heading);
            Some((known(column).iter().position(|known| *known == name)?, i))
        });
        ranked.filter(|(_, i)| !self.at.contains(&Some(*i))).min().map(|(_, i)| i)
    }

    /// What the columns may be, by what is in them.
    fn guess(&self, rows: &[Vec<String>], is_ours: impl Fn(&str) -> bool) -> BadColumns {
        let mut columns = self.clone();
        let most = |columns: &Columns, fits: &dyn Fn(&str) -> bool| {
            let count = |i: usize| rows.iter().filter(|row| row.get(i).is_some_and(|f| fits(f))).count();
            let free = (0..columns.header.len()).filter(|i| !columns.at.contains(&Some(*i)));
            free.map(|i| (count(i), std::cmp::Reverse(i))).max().filter(|(n, _)| *n > 0).map(|(_, i)| i.0)
        };
        let is_time = |text: &str| {
            StartReader::default().read(text).is_some() || super::start::is_day_first(text) && text.contains(':')
        };
        let is_number = |text: &str| text.chars().filter(char::is_ascii_digit).count() >= 7 && !is_time(text);
        for (column, fits) in [
            (RecordColumn::Start, &is_time as &dyn Fn(&str) -> bool),
            (RecordColumn::Number, &|text: &str| is_ours(text)),
            (RecordColumn::Caller, &is_number),
        ] {
            if columns.of(column).is_none() {
                columns.at[column.index()] = most(&columns, fits);
            }
        }
        let missing: Vec<&str> = [RecordColumn::Number, RecordColumn::Start]
            .into_iter()
            .filter(|c| columns.of(*c).is_none())
            .map(RecordColumn::key)
            .collect();
        let mut text = format!("has headings of which it is not known what they are: {}. ", self.headings());
        if missing.is_empty() {
            text.push_str("By what is in them they are these; if that is right, put it into the configuration:\n\n");
        } else {
            let _ = write!(
                text,
                "No column has the {} of calls to numbers of the configuration; name it there, in quotes as in the \
                 file:\n\n",
                missing.join(" and the ")
            );
        }
        text.push_str("[history.columns]");
        for column in RecordColumn::ALL {
            match columns.of(column) {
                Some(at) => {
                    let _ = write!(text, "\n{} = {}", column.key(), toml_text(&self.header[at]));
                }
                None if missing.contains(&column.key()) => {
                    let _ = write!(text, "\n{} = \"…\"", column.key());
                }
                None => {}
            }
        }
        BadColumns(text)
    }
}

/// A heading as a file's first line may have it, for a sentence.
fn shown(heading: &str) -> String {
    let short: String = heading.chars().take(40).collect();
    format!("{short:?}")
}

/// A heading that is longer is none.
const LONGEST_HEADING: usize = 200;

fn toml_text(text: &str) -> String {
    let text = foreign::line(text, LONGEST_HEADING);
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Letters and digits, without what is in brackets.
fn plain(heading: &str) -> String {
    let name = heading.split(['(', '[']).next().unwrap_or_default();
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The time zone in brackets in a heading.
fn zone_of(heading: &str) -> Result<Option<TimeZone>, BadColumns> {
    let Some((_, rest)) = heading.split_once(['(', '[']) else { return Ok(None) };
    let name = rest.split([')', ']']).next().unwrap_or_default().trim();
    if ["UTC", "GMT", "Z"].iter().any(|utc| name.eq_ignore_ascii_case(utc)) {
        return Ok(Some(TimeZone::UTC));
    }
    if name.contains('/')
        && let Ok(zone) = TimeZone::get(name)
    {
        return Ok(Some(zone));
    }
    Err(BadColumns(format!(
        "{heading:?}: {name:?} is no time zone that is known; name the one that is meant in the configuration, such as \
         [history.columns] timezone = \"America/Chicago\""
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: &str, row: &str, given: &HistoryColumns) -> Result<Columns, String> {
        let rows = [header, row].map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        Columns::find(&rows, given, |text| text == "+15005550100").map_err(|e| e.to_string())
    }

    #[test]
    fn exports_that_are_known_need_no_map() {
        let none = HistoryColumns::default();
        for (header, want) in [
            (
                "Tracking Number,Caller Number,Start Time,Duration (seconds),Answered,Direction",
                [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)],
            ),
            (
                "Call Status,Number Name,Tracking Number,Source,Start Time,Duration (seconds),Name,Phone Number",
                [Some(2), Some(7), Some(4), Some(5), Some(0), None],
            ),
            (
                "answered,business_phone_number,customer_phone_number,direction,duration,start_time,tracking_phone_number",
                [Some(6), Some(2), Some(5), Some(4), Some(0), Some(3)],
            ),
            ("From,To,Direction,Status,Start Time", [Some(1), Some(0), Some(4), None, Some(3), Some(2)]),
        ] {
            let columns = find(header, "", &none).unwrap();
            assert_eq!(columns.at, want, "{header}");
        }
    }

    #[test]
    fn a_guess_is_shown_and_not_taken() {
        let said = find("a,b,c", "2026-03-01 09:12:33,+15005550100,+15005550123", &HistoryColumns::default());
        let map = "[history.columns]\nnumber = \"b\"\ncaller = \"c\"\nstart = \"a\"";
        assert!(said.as_ref().unwrap_err().ends_with(map), "{said:?}");
        let given =
            HistoryColumns { headings: [Some("B".into()), None, Some("a".into()), None, None, None], timezone: None };
        assert_eq!(find("a,b,c", "", &given).unwrap().at, [Some(1), None, Some(0), None, None, None]);
        let said = find("x,b,c", "", &given).unwrap_err();
        assert!(said.contains("has no column \"a\", which history.columns.start names; it has \"x\", \"b\""), "{said}");
        let said = find("a,b,c", "1,2,3", &HistoryColumns::default()).unwrap_err();
        assert!(said.contains("number = \"…\"") && said.contains("start = \"…\""), "{said}");
    }

    #[test]
    fn the_heading_says_the_zone() {
        let zone = |heading: &str| find(&format!("to,{heading}"), "", &HistoryColumns::default()).map(|c| c.zone);
        assert_eq!(zone("Start Time"), Ok(None));
        assert_eq!(zone("Start Time (UTC)"), Ok(Some(TimeZone::UTC)));
        assert_eq!(zone("Start Time (America/Chicago)"), Ok(TimeZone::get("America/Chicago").ok()));
        assert!(zone("Start Time (EST)").unwrap_err().contains("[history.columns] timezone"));
    }
}
