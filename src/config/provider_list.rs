//! The old provider's list of numbers, in any writing that a spreadsheet leaves behind, for `ringback init`.
//!
//! Unlike `numbers_file`, which the agent reads at each start and in which nothing is guessed, this is read once, by
//! somebody who looks at what came of it. So what can mean one number only is repaired, and every repair is told by
//! line and column. A row that cannot be read is told with its cure, and the rest goes on. No row is left out in
//! silence.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use super::csv::{Field, Rows, is_blank, is_cell_error};
use super::field::incomplete;
use super::numbers::{LONGEST_LABEL, is_scientific, plain, shown};
use super::text::{self, IN_A_SPREADSHEET};
use crate::core::model::bounds;
use crate::core::model::counted::{cut_at, some_of};
use crate::core::model::dialled::key;
use crate::core::model::foreign;
use crate::core::model::id::E164;

/// What was read of it.
#[derive(Debug, Default)]
pub struct ProviderList {
    pub numbers: Vec<ListedNumber>,
    /// Of the file as a whole, such as its encoding.
    pub notes: Vec<String>,
    /// What was put right.
    pub repaired: Vec<RowRemark>,
    /// Rows that cannot be read.
    pub unread: Vec<RowRemark>,
    /// Rows with something in them, the header not counted.
    pub rows: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedNumber {
    pub number: E164,
    /// What the provider's list calls it; empty if it does not.
    pub label: String,
}

/// Something to say of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowRemark {
    /// Line and column, from 1, as an editor shows them.
    pub place: (usize, usize),
    /// What it has in common with others of its kind.
    pub kind: &'static str,
    pub text: String,
}

/// How many remarks of one kind are told one by one.
const TOLD: usize = 10;

/// Remarks as people read them: the first ten of each kind, then how many more.
pub fn told(path: &Path, remarks: &[RowRemark]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut kinds: Vec<&'static str> = Vec::new();
    for remark in remarks {
        if !kinds.contains(&remark.kind) {
            kinds.push(remark.kind);
        }
    }
    for kind in kinds {
        let alike: Vec<&RowRemark> = remarks.iter().filter(|r| r.kind == kind).collect();
        let (told, more) = alike.split_at(cut_at(alike.len(), TOLD));
        for remark in told {
            let (line, column) = remark.place;
            lines.push(format!("{}:{line}:{column}: {}", path.display(), remark.text));
        }
        if let Some(last) = more.last() {
            let (more, line) = (more.len(), last.place.0);
            lines.push(format!("{}: {more} more like that, up to line {line}: {kind}", path.display()));
        }
    }
    lines
}

/// A list of which nothing can be read; the rest of a sentence that starts with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadList(pub String);

impl fmt::Display for BadList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadList {}

/// Headers under which lists have the number, the likeliest first: letters and digits alone, in lower case.
const NUMBER: [&str; 14] = [
    "e164",
    "number",
    "phonenumber",
    "trackingnumber",
    "did",
    "didnumber",
    "tn",
    "telephonenumber",
    "telephone",
    "phone",
    "phoneno",
    "numbers",
    "phonenumbers",
    "msisdn",
];

/// Headers under which they have its name.
const LABEL: [&str; 8] =
    ["label", "friendlyname", "name", "description", "trackingnumbername", "numbername", "location", "campaign"];

/// Between which characters rows are split, if the header does not say.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// So many rows are looked at to find the column with the numbers.
const SAMPLE: usize = 50;

/// Reads the list at `path`.
pub fn read(path: &Path) -> Result<ProviderList, BadList> {
    let bytes = text::bytes(path, bounds::NUMBERS_BYTES).map_err(|e| BadList(format!("cannot be read: {e}")))?;
    let decoded = text::decode(bytes, IN_A_SPREADSHEET).map_err(|e| BadList(e.to_string()))?;
    let mut list = ProviderList::default();
    if let Some(at) = decoded.foreign {
        let (line, column) = text::place(&decoded.text, at);
        list.notes.push(format!(
            "not UTF-8, and in which encoding it is cannot be told: letters are read as Windows-1252 (ANSI) and may be \
             wrong, so look at the labels, or save it as UTF-8 first; the first of them is in line {line}, column {column}"
        ));
    }
    let text = decoded.text;
    let columns = Columns::find(&text, &mut list.notes)?;
    let mut rows = Rows::new(&text);
    rows.peek();
    rows.set_delimiter(columns.delimiter);
    if columns.has_header {
        rows.next();
    }
    let mut first: HashMap<E164, usize> = HashMap::new();
    while let Some(row) = rows.next() {
        match row {
            Ok(row) if row.iter().all(|f| f.text.is_empty()) => {}
            Ok(row) => {
                list.rows += 1;
                list.read_row(&row, &columns, &mut first);
            }
            Err(bad) => {
                list.rows += 1;
                let text = format!("{}: {}", shown(&bad.rest), bad.problem);
                list.unread.push(RowRemark { place: bad.place, kind: bad.problem, text });
            }
        }
    }
    if list.rows == 0 {
        return Err(BadList("has no number in it: one in each line, under a header such as number,label".to_owned()));
    }
    Ok(list)
}

impl ProviderList {
    fn read_row(&mut self, row: &[Field<'_>], columns: &Columns, first: &mut HashMap<E164, usize>) {
        let Some(field) = row.get(columns.number).filter(|f| !f.text.is_empty()) else {
            let said = row.iter().find(|f| !f.text.is_empty());
            let text = format!("no number in this row: {}", shown(said.map_or("", |f| &f.text)));
            let place = row.first().map_or((1, 1), |f| f.place);
            self.unread.push(RowRemark { place, kind: "no number in the row", text });
            return;
        };
        let place = field.place;
        let number = match repair(&field.text) {
            Ok((number, None)) => number,
            Ok((number, Some(kind))) => {
                let text = format!("{}: {kind}; read as {number}", shown(&field.text));
                self.repaired.push(RowRemark { place, kind, text });
                number
            }
            Err(Unreadable { kind, cure }) => {
                let text = format!("{}: {kind}; {cure}", shown(&field.text));
                self.unread.push(RowRemark { place, kind, text });
                return;
            }
        };
        if let Some(line) = first.get(&number) {
            let text = format!("{number}: listed before, in line {line}; taken once");
            self.repaired.push(RowRemark { place, kind: "listed more than once; taken once", text });
            return;
        }
        first.insert(number, place.0);
        let label = columns.label.and_then(|i| row.get(i)).map_or("", |f| &f.text);
        self.numbers.push(ListedNumber { number, label: foreign::line(label, LONGEST_LABEL - 1) });
    }
}

/// Where what is.
struct Columns {
    delimiter: char,
    has_header: bool,
    number: usize,
    label: Option<usize>,
}

impl Columns {
    fn find(text: &str, notes: &mut Vec<String>) -> Result<Columns, BadList> {
        let first = Rows::new(text).peek();
        if first.is_empty() {
            return Err(BadList("is empty".to_owned()));
        }
        let hinted = Rows::new(text).delimiter();
        let fields = |by: char| {
            let mut rows = Rows::new(text);
            rows.peek();
            rows.set_delimiter(by);
            let texts = |row: Vec<Field<'_>>| row.into_iter().map(|f| f.text.into_owned()).collect::<Vec<String>>();
            std::iter::from_fn(move || rows.next()).filter_map(Result::ok).map(texts).take(SAMPLE).collect::<Vec<_>>()
        };
        let most = DELIMITERS.into_iter().max_by_key(|by| (first.matches(*by).count(), *by == hinted));
        let named = |by: &char| first.split(*by).any(|name| index_of(&NUMBER, name).is_some());
        let delimiter = match most {
            // Excel's own hint.
            _ if hinted != ',' => hinted,
            Some(by) if !named(&by) => DELIMITERS.into_iter().find(named).unwrap_or(by),
            Some(by) => by,
            None => ',',
        };
        let sample = fields(delimiter);
        let header = sample.first().cloned().unwrap_or_default();
        let has_header = !header.iter().any(|field| repair(field).is_ok());
        if !has_header {
            let number = best_column(&sample).unwrap_or(0);
            notes.push(format!("no header; column {} was taken for the numbers", number + 1));
            let label = (0..header.len()).find(|i| *i != number);
            return Ok(Columns { delimiter, has_header, number, label });
        }
        let by_name = |names: &[&str]| {
            let ranked = header.iter().enumerate().filter_map(|(i, name)| Some((index_of(names, name)?, i)));
            ranked.min().map(|(_, i)| i)
        };
        let number = match by_name(&NUMBER) {
            Some(number) => number,
            None => {
                let number = best_column(&sample[1..]).ok_or_else(|| {
                    BadList("has no column with numbers that can be read: call it \"number\"".to_owned())
                })?;
                // Rows may have more fields than the header.
                let name = header.get(number).map_or_else(|| (number + 1).to_string(), |name| shown(name));
                notes.push(format!("column {name} was taken for the numbers"));
                number
            }
        };
        let label = by_name(&LABEL).filter(|i| *i != number);
        let passed: Vec<String> = (0..header.len())
            .filter(|i| *i != number && Some(*i) != label && !header[*i].is_empty())
            .map(|i| shown(&header[i]))
            .collect();
        if !passed.is_empty() {
            let names = some_of(&passed, TOLD, Clone::clone);
            notes.push(format!("columns that were passed over: {names}"));
        }
        Ok(Columns { delimiter, has_header, number, label })
    }
}

/// Where `name` stands among `names`, in whatever spelling.
fn index_of(names: &[&str], name: &str) -> Option<usize> {
    let name: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    names.iter().position(|known| *known == name)
}

/// The column in which most rows have a number.
fn best_column(rows: &[Vec<String>]) -> Option<usize> {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let count = |i: usize| rows.iter().filter(|row| row.get(i).is_some_and(|f| repair(f).is_ok())).count();
    (0..width).map(|i| (count(i), std::cmp::Reverse(i))).max().filter(|(count, _)| *count > 0).map(|(_, i)| i.0)
}

/// Why a field is no number, and what to do.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable {
    kind: &'static str,
    cure: String,
}

const AS_TEXT: &str = "take it from where it came from, into a column that is formatted as Text";

const EXTENSION: &str = "written with an extension, which is left out";
const TEN_DIGITS: &str = "ten digits without a country, taken for a number of North America (+1)";
const BOTH: &str = "ten digits without a country, taken for a number of North America (+1), and an extension, which is \
                    left out";

/// The number that `field` means, and what was put right; an error if it may mean several, or none.
fn repair(field: &str) -> Result<(E164, Option<&'static str>), Unreadable> {
    let bad = |kind, cure: &str| Err(Unreadable { kind, cure: cure.to_owned() });
    let text = plain(field);
    if let Ok(number) = text.parse::<E164>() {
        let kept = (text != field.trim_matches(is_blank)).then_some("written so that a spreadsheet keeps it as text");
        return whole(number, kept);
    }
    if is_cell_error(text) {
        return bad("a spreadsheet's error stands for the number", AS_TEXT);
    }
    // The digits of another script, as an input method leaves them.
    let text: String = text
        .chars()
        .map(|c| match c {
            '\u{ff10}'..='\u{ff19}' => char::from(b'0' + (u32::from(c) - 0xff10) as u8),
            '\u{ff0b}' => '+',
            c => c,
        })
        .collect();
    if is_scientific(&text) {
        return match whole_of_scientific(&text) {
            Some(digits) => of_digits(&digits, false, "written as a power of ten, with all its digits"),
            None => bad("a spreadsheet rounded this number, and its last digits are lost", AS_TEXT),
        };
    }
    let (text, extension) = without_extension(&text);
    let text = text.strip_prefix("tel:").or_else(|| text.strip_prefix("TEL:")).unwrap_or(text);
    let text = text.trim_matches(is_blank);
    let zeros = [".0", ",0", ".00", ",00"].into_iter().find(|end| text.ends_with(end));
    let (text, kind) = match zeros.map(|end| &text[..text.len() - end.len()]) {
        Some(rest) if rest.len() >= 10 && rest.bytes().all(|b| b.is_ascii_digit()) => (rest, "written with decimals"),
        Some(_) | None => (text, "written with signs between its digits"),
    };
    let (head, has_plus) = match text.trim_start_matches(is_mark).strip_prefix('+') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (head, kind) = match without_trunk_zero(head, has_plus) {
        Some(rest) => (rest, "written with the (0) that is dialled within the country"),
        None => (head.to_owned(), kind),
    };
    let head = head.as_str();
    if head.contains('+') || text.contains([';', '|']) || text.contains(" or ") {
        return bad("more than one number in a field", "give each a row of its own");
    }
    let letters = head.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_plain = head.chars().all(|c| c.is_ascii_alphanumeric() || is_mark(c));
    if !is_plain || letters > 0 && (letters < 3 || !head.bytes().any(|b| b.is_ascii_digit())) {
        return bad("no telephone number", "write it in E.164, such as +12125550123");
    }
    let digits: String = head.chars().filter_map(keypad).collect();
    let kind = match (letters > 0, extension) {
        (true, _) => "written with the letters of a keypad",
        (false, true) => EXTENSION,
        (false, false) if head.bytes().all(|b| b.is_ascii_digit()) && kind != "written with decimals" => {
            "written without +, which spreadsheets drop"
        }
        (false, false) => kind,
    };
    if letters > 0 && !matches!(digits.len(), 10 | 11) {
        return bad("no telephone number", "write it in E.164, such as +12125550123");
    }
    of_digits(&digits, has_plus, kind)
}

/// The number of these digits, as they are dialled or written.
fn of_digits(digits: &str, has_plus: bool, kind: &'static str) -> Result<(E164, Option<&'static str>), Unreadable> {
    let bad = |kind, cure: &str| Err(Unreadable { kind, cure: cure.to_owned() });
    let is_american = |d: &[u8]| d.len() == 10 && d[0] >= b'2' && d[3] >= b'2';
    let parsed = |digits: &str, kind| match format!("+{digits}").parse::<E164>() {
        Ok(number) => whole(number, Some(kind)),
        Err(_) => bad("no telephone number", "write it in E.164, such as +12125550123"),
    };
    if digits.len() > 15 {
        return bad("more than one number in a field, or a range", "give each a row of its own");
    }
    if has_plus {
        return parsed(digits, kind);
    }
    if let Some(abroad) = digits.strip_prefix("011").or_else(|| digits.strip_prefix("00")) {
        return parsed(abroad, "written with the prefix that is dialled abroad");
    }
    match digits.as_bytes() {
        [b'0', ..] => bad("a national number", "write + and the country code instead of the 0"),
        [b'1', rest @ ..] if is_american(rest) => parsed(digits, kind),
        [b'1', ..] => bad("no telephone number of North America", "look it up and write it whole"),
        all if is_american(all) => parsed(&format!("1{digits}"), if kind == EXTENSION { BOTH } else { TEN_DIGITS }),
        all if all.len() >= 11 => parsed(digits, kind),
        all if all.len() == 7 => bad("no area code", "write it whole, such as +12125550123"),
        _ => bad("no country code", "write + and the country code before it"),
    }
}

/// The number, if it has all its digits.
fn whole(number: E164, kind: Option<&'static str>) -> Result<(E164, Option<&'static str>), Unreadable> {
    match incomplete(number) {
        None => Ok((number, kind)),
        Some(cure) => Err(Unreadable { kind: "digits are missing or too many", cure: format!("it {cure}") }),
    }
}

/// What people put between digits.
fn is_mark(c: char) -> bool {
    is_blank(c) || matches!(c, '(' | ')' | '[' | ']' | '-' | '.' | '/' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// The digit of a telephone's key.
fn keypad(c: char) -> Option<char> {
    match c.to_ascii_lowercase() {
        letter @ 'a'..='z' => Some(key(letter)),
        digit => Some(digit).filter(char::is_ascii_digit),
    }
}

/// What is left of `+44 (0)20 …` without the `(0)`, which is dialled within the country alone. Not in Italy's plan, and
/// in those that follow it: there the 0 is part of the number.
fn without_trunk_zero(head: &str, is_abroad: bool) -> Option<String> {
    let is_abroad = is_abroad || head.starts_with("00") || head.starts_with("011");
    let keeps_it = ["39", "0039", "01139", "378", "379"].iter().any(|code| head.starts_with(code));
    let (before, rest) = head.split_once('(').filter(|_| is_abroad && !keeps_it)?;
    let after = rest.trim_start_matches(is_blank).strip_prefix('0')?.trim_start_matches(is_blank).strip_prefix(')')?;
    before.bytes().any(|b| b.is_ascii_digit()).then(|| format!("{before}{after}"))
}

/// The text before an extension, and whether there was one.
fn without_extension(text: &str) -> (&str, bool) {
    let lower = text.to_ascii_lowercase();
    for mark in ["extension", "ext.", "ext", "x", "#"] {
        let Some(at) = lower.rfind(mark) else { continue };
        let rest = lower[at + mark.len()..].trim_matches(|c: char| is_blank(c) || matches!(c, '.' | ':' | ')'));
        let is_short = (1..=6).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit());
        let before = text[..at].trim_end_matches(|c: char| is_blank(c) || matches!(c, ',' | '(' | ';'));
        if is_short && before.bytes().filter(u8::is_ascii_digit).count() >= 7 {
            return (before, true);
        }
    }
    (text, false)
}

/// The digits of a number that is written as a power of ten, if none of them is lost.
fn whole_of_scientific(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.trim_start_matches('+').split_once(['E', 'e'])?;
    let exponent: usize = exponent.trim_start_matches('+').parse().ok()?;
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let is_one = mantissa.find(['.', ',']) == Some(1);
    (is_one && digits.len() == exponent + 1).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(field: &str) -> String {
        match repair(field) {
            Ok((number, kind)) => format!("{number} {}", kind.unwrap_or("as it is")),
            Err(bad) => format!("no: {}", bad.kind),
        }
    }

    #[test]
    fn what_can_mean_one_number_only_is_repaired() {
        for (field, number) in [
            ("+14155550100", "+14155550100 as it is"),
            ("=\"+14155550100\"", "+14155550100 written so that a spreadsheet keeps it as text"),
            ("'+14155550100", "+14155550100 written so that a spreadsheet keeps it as text"),
            ("14155550100", "+14155550100 written without +, which spreadsheets drop"),
            ("442079460958", "+442079460958 written without +, which spreadsheets drop"),
            ("(415) 555-0100", "+14155550100 ten digits without a country, taken for a number of North America (+1)"),
            ("415.555.0100", "+14155550100 ten digits without a country, taken for a number of North America (+1)"),
            ("1-415-555-0100", "+14155550100 written with signs between its digits"),
            ("+1 (415) 555\u{2011}0100", "+14155550100 written with signs between its digits"),
            ("+44 20 7946 0958", "+442079460958 written with signs between its digits"),
            ("tel:+1-415-555-0100", "+14155550100 written with signs between its digits"),
            ("011442079460958", "+442079460958 written with the prefix that is dialled abroad"),
            ("00442079460958", "+442079460958 written with the prefix that is dialled abroad"),
            ("14155550100.0", "+14155550100 written with decimals"),
            ("1.4155550100E+10", "+14155550100 written as a power of ten, with all its digits"),
            ("+1 415 555 0100 ext. 12", "+14155550100 written with an extension, which is left out"),
            ("1-415-555-0100 x7", "+14155550100 written with an extension, which is left out"),
            ("1-800-FLOWERS", "+18003569377 written with the letters of a keypad"),
            ("\u{ff0b}\u{ff11}4155550100", "+14155550100 written without +, which spreadsheets drop"),
        ] {
            assert_eq!(read_as(field), number, "{field}");
        }
    }

    #[test]
    fn the_zero_within_a_country_is_no_digit_from_abroad() {
        for (field, number) in [
            ("+44 (0)20 7123 4567", "+442071234567"),
            ("+44(0)2071234567", "+442071234567"),
            ("0044 (0) 20 7123 4567", "+442071234567"),
            ("+49 ( 0 ) 30 123456", "+4930123456"),
            ("+39 (0)6 1234 5678", "+390612345678"),
            ("(020) 7123 4567", "no: a national number"),
        ] {
            assert!(read_as(field).starts_with(number), "{field}: {}", read_as(field));
        }
    }

    #[test]
    fn what_may_mean_several_or_none_is_not_guessed() {
        for (field, why) in [
            ("1.41556E+10", "no: a spreadsheet rounded this number, and its last digits are lost"),
            ("1,5E+10", "no: a spreadsheet rounded this number, and its last digits are lost"),
            ("#NAME?", "no: a spreadsheet's error stands for the number"),
            ("555-0100", "no: no area code"),
            ("020 7946 0958", "no: a national number"),
            ("115550100", "no: no telephone number of North America"),
            ("+1 415 555 010", "no: digits are missing or too many"),
            ("+14155550100; +14155550101", "no: more than one number in a field"),
            ("415-555-0100 - 415-555-0199", "no: more than one number in a field, or a range"),
            ("main desk", "no: no telephone number"),
            ("n/a", "no: no telephone number"),
            ("", "no: no country code"),
        ] {
            assert_eq!(read_as(field), why, "{field}");
        }
    }
}
