//! `numbers_file`: a CSV file with a header and one number a row, as people and spreadsheets write it.
//!
//! The columns may be separated by commas, semicolons or tabs, and an export of Twilio's list of numbers will do. What
//! a spreadsheet put around a number is taken off; where it took something away, the row is a fault with its cure. No
//! row is left out in silence: a number that is not watched looks like one that is well.

use std::path::Path;

use jiff::tz::TimeZone;

use super::csv::{Field, Rows, is_blank, is_cell_error};
use super::field::{channels, incomplete, time_zone};
use super::section::Faults;
use super::text::{self, IN_A_SPREADSHEET};
use crate::core::model::bounds;
use crate::core::model::foreign;
use crate::core::model::id::E164;

/// One row, as far as it says something.
#[derive(Debug, Clone)]
pub struct NumberRow {
    pub number: E164,
    pub place: (usize, usize),
    pub label: String,
    pub channels: Option<[bool; 2]>,
    pub time_zone: Option<TimeZone>,
}

/// The columns; `number` must be there, the others may.
const HEADER: &str = "number,label,channels,timezone";

/// A label is for people, in notices and on pages.
pub const LONGEST_LABEL: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Number,
    Label,
    Channels,
    TimeZone,
    /// Of Twilio's list of numbers, and nothing to us.
    Passed,
    /// Without a name.
    Unnamed,
}

impl Column {
    fn of(name: &str) -> Option<Column> {
        // Twilio's names as its API and its console spell them: phone_number, Phone Number, PhoneNumber.
        let name: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        match name.as_str() {
            "number" | "phonenumber" => Some(Column::Number),
            "label" | "friendlyname" => Some(Column::Label),
            "channels" => Some(Column::Channels),
            "timezone" => Some(Column::TimeZone),
            "" => Some(Column::Unnamed),
            name => PASSED.contains(&name).then_some(Column::Passed),
        }
    }
}

/// The other properties of a number at Twilio. Source: the IncomingPhoneNumber resource of API 2010-04-01, read in
/// November 2026.
const PASSED: [&str; 35] = [
    "accountsid",
    "addressrequirements",
    "addresssid",
    "apiversion",
    "beta",
    "bundlesid",
    "capabilities",
    "datecreated",
    "dateupdated",
    "emergencyaddresssid",
    "emergencyaddressstatus",
    "emergencystatus",
    "identitysid",
    "origin",
    "phonenumbersid",
    "sid",
    "smsapplicationsid",
    "smsfallbackmethod",
    "smsfallbackurl",
    "smsmethod",
    "smsurl",
    "status",
    "statuscallback",
    "statuscallbackmethod",
    "subresourceuris",
    "trunksid",
    "type",
    "uri",
    "voiceapplicationsid",
    "voicecalleridlookup",
    "voicefallbackmethod",
    "voicefallbackurl",
    "voicemethod",
    "voicereceivemode",
    "voiceurl",
];

/// Reads the rows of `path`. Bad rows are noted by line and left out.
pub fn read(path: &Path, faults: &Faults) -> Vec<NumberRow> {
    let Some(text) = read_text(path, faults) else {
        return Vec::new();
    };
    let bad = |place, text: String| faults.of_file(path, Some(place), text);
    let mut rows = Rows::new(&text);
    let header = rows.peek();
    if header.is_empty() {
        faults.of_file(
            path,
            None,
            format!("is empty: write {HEADER} as its first line, and a number in each below it"),
        );
        return Vec::new();
    }
    let names_a_number = |by: &char| header.split(*by).any(|f| Column::of(f) == Some(Column::Number));
    if let Some(by) = [',', ';', '\t'].into_iter().find(names_a_number) {
        rows.set_delimiter(by);
    }
    let header = match rows.next() {
        Some(Ok(header)) => header,
        Some(Err(row)) => {
            bad(row.place, format!("{}: {}", shown(&row.rest), row.problem));
            return Vec::new();
        }
        None => return Vec::new(),
    };
    let Some(columns) = read_header(&header, &bad) else {
        return Vec::new();
    };
    let mut read = Vec::new();
    let mut is_any = false;
    while let Some(row) = rows.next() {
        match row {
            // A spreadsheet's empty row.
            Ok(row) if row.iter().all(|f| f.text.is_empty()) => continue,
            Ok(row) if read.len() == bounds::NUMBERS => {
                let most = bounds::NUMBERS;
                let text =
                    format!("has more than {most} numbers; give them to several agents, each with a file of its own");
                faults.of_file(path, row.first().map(|f| f.place), text);
                break;
            }
            Ok(row) => read.extend(read_row(&row, &columns, rows.delimiter(), path, faults)),
            Err(row) => faults.of_row(path, row.place, row.problem, format!("{}: {}", shown(&row.rest), row.problem)),
        }
        is_any = true;
    }
    if !is_any {
        let text = "has a header and no number below it: a group has at least one number";
        faults.of_file(path, None, text.to_owned());
    }
    read
}

/// The file's text. What is not UTF-8 in it is noted, and the rest looked at all the same.
fn read_text(path: &Path, faults: &Faults) -> Option<String> {
    let bad = |text: String| faults.of_file(path, None, text);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) => {
            bad(format!("cannot be read: {e}; check numbers_file, which is relative to the configuration"));
            return None;
        }
    };
    if metadata.is_dir() {
        bad("is a folder; name the CSV file in it with numbers_file".to_owned());
        return None;
    }
    if !metadata.is_file() {
        // Whoever opens a pipe waits until somebody writes to it.
        bad("is a pipe or a device; write the numbers into a file and name that with numbers_file".to_owned());
        return None;
    }
    if metadata.len() > bounds::NUMBERS_BYTES {
        bad(format!("has {} MB, which is no list of numbers; check numbers_file", metadata.len() >> 20));
        return None;
    }
    let bytes = match text::bytes(path, bounds::NUMBERS_BYTES) {
        Ok(bytes) => bytes,
        Err(e) => {
            bad(format!("cannot be read: {e}; the agent's user must be able to read it"));
            return None;
        }
    };
    match text::decode(bytes, IN_A_SPREADSHEET) {
        Ok(text) => {
            if let Some(at) = text.foreign {
                let word = text.text[at..].split(|c: char| c == ',' || c == ';' || c.is_whitespace()).next();
                let begin = text.text[..at].rfind([',', ';', '\t', '\r', '\n', '"']).map_or(0, |i| i + 1);
                let word = &text.text[begin..at + word.unwrap_or_default().len()];
                let (word, byte) = text::uncertain(word, at - begin);
                let problem = format!("{}: byte 0x{byte:02X} is {}", shown(&word), text::foreign(IN_A_SPREADSHEET));
                faults.of_file(path, Some(text::place(&text.text, at)), problem);
            }
            Some(text.text)
        }
        Err(e) => {
            faults.of_file(path, e.place, e.problem);
            None
        }
    }
}

/// Which field is which; `None` if there are no numbers.
fn read_header(header: &[Field<'_>], bad: &dyn Fn((usize, usize), String)) -> Option<Vec<Column>> {
    let place = header.first().map_or((1, 1), |f| f.place);
    if let Some(number) = header.iter().find(|f| plain(&f.text).parse::<E164>().is_ok()) {
        bad(number.place, format!("{}: a number where the header belongs: put {HEADER} above it", shown(&number.text)));
        return None;
    }
    let mut columns = Vec::new();
    for field in header {
        let column = Column::of(&field.text);
        match column {
            None => bad(
                field.place,
                format!("{} is not a column; rename it or take it out: the header is {HEADER}", shown(&field.text)),
            ),
            Some(Column::Passed | Column::Unnamed) => {}
            Some(known) if columns.contains(&known) => {
                bad(field.place, format!("{}: a second column for the same; take one out", shown(&field.text)));
            }
            Some(_) => {}
        }
        columns.push(column.unwrap_or(Column::Passed));
    }
    if !columns.contains(&Column::Number) {
        bad(place, format!("the header has no column \"number\"; the header is {HEADER}"));
        return None;
    }
    Some(columns)
}

fn read_row(row: &[Field<'_>], columns: &[Column], delimiter: char, path: &Path, faults: &Faults) -> Option<NumberRow> {
    let bad = |field: &Field<'_>, name: &str, problem: &Problem| {
        faults.of_row(path, field.place, problem.kind, format!("{name}: {}", problem.text));
    };
    let first = row.first()?;
    if row.iter().skip(columns.len()).any(|f| !f.text.is_empty()) {
        let kind = "more fields than the header has; quote fields that hold the separator";
        let text = format!(
            "{} fields under a header of {}; quote fields with {}",
            row.len(),
            columns.len(),
            separator(delimiter)
        );
        faults.of_row(path, first.place, kind, text);
        return None;
    }
    if let Some((stray, _)) = row.iter().zip(columns).find(|(f, c)| **c == Column::Unnamed && !f.text.is_empty()) {
        let kind = "a field in a column whose header is empty";
        faults.of_row(
            path,
            stray.place,
            kind,
            format!("{}: {kind}; name the column, or take it out", shown(&stray.text)),
        );
    }
    let of =
        |column| row.iter().zip(columns).find(|(_, c)| **c == column).map(|(f, _)| f).filter(|f| !f.text.is_empty());
    let channels = of(Column::Channels).and_then(|f| {
        let words = channels(f.text.split(|c: char| is_blank(c) || matches!(c, ';' | '|' | ',')));
        words.map_err(|e| bad(f, "channels", &Problem { kind: "channels", text: e })).ok()
    });
    let time_zone = of(Column::TimeZone)
        .and_then(|f| time_zone(&f.text).map_err(|e| bad(f, "timezone", &Problem { kind: "timezone", text: e })).ok());
    let label = of(Column::Label).map_or("", |f| {
        let length = f.text.chars().count();
        if length > LONGEST_LABEL {
            let kind = "a label that is too long";
            let text = format!("{}: {length} letters; a label has at most {LONGEST_LABEL}", shown(&f.text));
            bad(f, "label", &Problem { kind, text });
        }
        &f.text
    });
    // One line of it: a label stands in log lines and notices.
    let label = foreign::line(label, LONGEST_LABEL);
    let Some(number) = of(Column::Number) else {
        let kind = "a row without a number";
        bad(first, "number", &Problem { kind, text: format!("is missing in this row: {}", shown(&first_said(row))) });
        return None;
    };
    match plain(&number.text).parse::<E164>() {
        Ok(e164) if !e164.is_complete() => {
            let kind = "a number with digits missing or too many";
            let text = format!("{} {}", shown(&number.text), incomplete(e164).unwrap_or_default());
            bad(number, "number", &Problem { kind, text });
            None
        }
        Ok(e164) => Some(NumberRow { number: e164, place: number.place, label, channels, time_zone }),
        Err(e) => {
            let cure = Problem::of_number(&number.text, e.to_string());
            bad(number, "number", &cure);
            None
        }
    }
}

fn first_said(row: &[Field<'_>]) -> String {
    row.iter().find(|f| !f.text.is_empty()).map_or_else(String::new, |f| f.text.to_string())
}

fn separator(delimiter: char) -> &'static str {
    match delimiter {
        ',' => "commas",
        ';' => "semicolons",
        '\t' => "tabs",
        _ => "the separator",
    }
}

/// A value as a fault shows it.
pub fn shown(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((at, _)) => format!("{:?}…", &text[..at]),
    }
}

/// A number without what a spreadsheet puts around it so that it stays text: `="+1…"` and `'+1…`.
pub fn plain(text: &str) -> &str {
    let text = text.trim_matches(is_blank);
    let formula = text.strip_prefix("=\"").and_then(|t| t.strip_suffix('"'));
    formula.unwrap_or_else(|| text.strip_prefix('\'').unwrap_or(text)).trim_matches(is_blank)
}

struct Problem {
    /// What rows with the same fault have in common.
    kind: &'static str,
    text: String,
}

impl Problem {
    /// What is wrong with a number, and its cure. `unknown`: what to say where nothing is known.
    fn of_number(field: &str, unknown: String) -> Problem {
        let text = plain(field);
        let shown = shown(field);
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let is_digits = text.bytes().all(|c| c.is_ascii_digit());
        let of = |kind: &'static str, cure: String| Problem { kind, text: format!("{shown}: {kind}; {cure}") };
        let as_text = "in the spreadsheet, format the column as Text before the numbers come into it";
        if is_scientific(text) {
            return of(
                "a spreadsheet rounded this number, and its last digits are lost",
                format!("take it from where it came from; {as_text}"),
            );
        }
        if is_cell_error(text) {
            return of("a spreadsheet's error stands for the number", format!("write the number; {as_text}"));
        }
        if text.contains([',', ';', '\t']) {
            return of(
                "the whole row is one field",
                "separate its fields as those of the header, without quotation marks around the row".to_owned(),
            );
        }
        // With a sign and digits in groups, it is clear which number is meant.
        let is_punctuation =
            |c: char| is_blank(c) || matches!(c, '(' | ')' | '-' | '.' | '/' | '\u{2010}'..='\u{2015}');
        let rest = text.strip_prefix("tel:").unwrap_or(text).trim_start_matches(is_punctuation);
        if let Some(rest) = rest.strip_prefix(['+', '\u{ff0b}'])
            && rest.chars().all(|c| c.is_ascii_digit() || is_punctuation(c))
            && let Ok(number) = format!("+{digits}").parse::<E164>()
        {
            if let Some(problem) = incomplete(number) {
                return Problem {
                    kind: "a number with digits missing or too many",
                    text: format!("{shown} {problem}"),
                };
            }
            return of("is not written as E.164", format!("write {number}"));
        }
        if is_digits && let Some(abroad) = digits.strip_prefix("011").or_else(|| digits.strip_prefix("00")) {
            return of(
                "begins with a prefix that is dialled",
                match format!("+{abroad}").parse::<E164>() {
                    Ok(number) => format!("write {number}"),
                    Err(_) => "write + and the country code instead".to_owned(),
                },
            );
        }
        if is_digits && (7..=15).contains(&digits.len()) {
            let cure = match digits.as_bytes() {
                [b'1', ..] if digits.len() == 11 => format!("write +{digits}; {as_text}"),
                [b'2'..=b'9', ..] if digits.len() == 10 => {
                    format!("write +1{digits} if it is a number of North America; {as_text}")
                }
                [b'0', ..] => "write + and the country code instead of the 0".to_owned(),
                _ => format!("write + and the country code before it; {as_text}"),
            };
            return of("has no + and is not a number in E.164", cure);
        }
        Problem { kind: "is not a number in E.164", text: unknown }
    }
}

/// `1.50056E+10`, with either decimal mark.
pub fn is_scientific(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let is_digits = |t: &str| !t.is_empty() && t.bytes().all(|c| c.is_ascii_digit());
    let mantissa = mantissa.strip_prefix('+').unwrap_or(mantissa);
    mantissa.split(['.', ',']).all(is_digits) && is_digits(exponent.strip_prefix('+').unwrap_or(exponent))
}
