//! CSV as spreadsheets write it, split into rows of which each field knows its place.
//!
//! The `csv` crate counts lines wrongly where they end in CR LF or are blank, and takes whatever follows a stray
//! quotation mark for one field, in silence. A file of numbers must not lose rows that way, and who mends it needs the
//! line that the editor shows. So rows are split here: lines end at CR LF, LF or CR; a quotation mark opens a field
//! where the field begins; and one that takes in what looks like rows is a fault of its line alone, from which reading
//! goes on.

use std::borrow::Cow;

/// A field with its place, line and column from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    pub text: Cow<'a, str>,
    pub place: (usize, usize),
}

/// A line that is no row.
#[derive(Debug, PartialEq, Eq)]
pub struct BadCsvRow {
    pub place: (usize, usize),
    /// The line from there on.
    pub rest: String,
    pub problem: &'static str,
}

pub const UNCLOSED: &str = "this quotation mark is never closed, or only beyond other rows, which it would swallow: \
                            close it, or remove it (within a text in quotation marks, write two)";
pub const AFTER_QUOTE: &str = "text after the quotation mark that closes the field: quote the whole field, and write \
                               two for one within it";

/// Reads rows one by one. Blank lines and lines that begin with `#` are none.
#[derive(Debug)]
pub struct Rows<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// Where the line begins and ends.
    start: usize,
    end: usize,
    /// A place in the line, and how many characters stand before it there: the next place is counted from it.
    counted: (usize, usize),
    delimiter: char,
}

/// How many lines a field may have.
const LINES_OF_A_FIELD: usize = 20;

/// What a spreadsheet shows where a cell went wrong: it begins like a comment.
pub fn is_cell_error(text: &str) -> bool {
    const ERRORS: [&str; 9] = ["#NAME?", "#REF!", "#VALUE!", "#N/A", "#NUM!", "#DIV/0!", "#NULL!", "#SPILL!", "###"];
    ERRORS.iter().any(|error| text.starts_with(error))
}

/// Space of any kind, and marks that print nothing; both come along when text is copied.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl<'a> Rows<'a> {
    pub fn new(text: &'a str) -> Rows<'a> {
        let mut rows = Rows { text, at: 0, line: 1, start: 0, end: 0, counted: (0, 0), delimiter: ',' };
        rows.begin_line(0, 1);
        // Excel's own hint, which no other program writes.
        let first = rows.line_from(0).trim_end();
        if let Some(rest) = first.get(..4).filter(|s| s.eq_ignore_ascii_case("sep=")).and_then(|_| first.get(4..)) {
            rows.delimiter = rest.chars().next().unwrap_or('\t');
            rows.skip_line();
        }
        rows
    }

    /// Goes on with a text that begins with this line of its file.
    pub fn resume(text: &'a str, line: usize, delimiter: char) -> Rows<'a> {
        let mut rows = Rows { text, at: 0, line, start: 0, end: 0, counted: (0, 0), delimiter };
        rows.begin_line(0, line);
        rows
    }

    /// How much of the text is read, in bytes, and the line that comes next.
    pub const fn at(&self) -> usize {
        self.at
    }

    pub const fn line(&self) -> usize {
        self.line
    }

    pub fn delimiter(&self) -> char {
        self.delimiter
    }

    pub fn set_delimiter(&mut self, delimiter: char) {
        self.delimiter = delimiter;
    }

    /// The next line with something in it, unread; for finding out the delimiter.
    pub fn peek(&mut self) -> &'a str {
        self.skip_blank_lines();
        self.line_from(self.at)
    }

    /// The rest of the line from `at` on, without its end.
    fn line_from(&self, at: usize) -> &'a str {
        &self.text[at..self.end]
    }

    fn begin_line(&mut self, start: usize, line: usize) {
        (self.start, self.line, self.counted) = (start, line, (start, 0));
        let rest = &self.text[start..];
        self.end = start + rest.find(['\r', '\n']).unwrap_or(rest.len());
    }

    fn place(&mut self, at: usize) -> (usize, usize) {
        let (from, before) = if self.counted.0 <= at { self.counted } else { (self.start, 0) };
        self.counted = (at, before + self.text[from..at].chars().count());
        (self.line, self.counted.1 + 1)
    }

    /// Passes a line's end, if one stands here.
    fn skip_line_end(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let length = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with(['\r', '\n'])) };
        self.at += length;
        if length > 0 {
            self.begin_line(self.at, self.line + 1);
        }
        length > 0
    }

    fn skip_line(&mut self) {
        self.at += self.line_from(self.at).len();
        self.skip_line_end();
    }

    fn skip_blank_lines(&mut self) {
        while self.at < self.text.len() {
            let line = self.line_from(self.at);
            let is_comment = line.starts_with('#') && !is_cell_error(line);
            // A tab is a delimiter, of fields without anything in them.
            if !is_comment && !line.chars().all(is_blank) {
                break;
            }
            self.skip_line();
        }
    }

    /// The next row; after a bad one, reading goes on with the line below the place where it went wrong.
    pub fn next(&mut self) -> Option<Result<Vec<Field<'a>>, BadCsvRow>> {
        self.skip_blank_lines();
        if self.at >= self.text.len() {
            return None;
        }
        let mut fields = Vec::new();
        loop {
            let rest = self.line_from(self.at);
            let lead = rest.len() - rest.trim_start_matches(|c| is_blank(c) && c != self.delimiter).len();
            let place = self.place(self.at + lead);
            let text = if rest[lead..].starts_with('"') {
                let (start, line, line_start) = (self.at + lead, self.line, self.start);
                match self.quoted(start) {
                    Ok(text) => text,
                    Err(problem) => {
                        self.at = start;
                        self.begin_line(line_start, line);
                        let rest = self.line_from(start).to_owned();
                        self.skip_line();
                        return Some(Err(BadCsvRow { place, rest, problem }));
                    }
                }
            } else {
                let field = &rest[..rest.find(self.delimiter).unwrap_or(rest.len())];
                self.at += field.len();
                Cow::Borrowed(field.trim_matches(is_blank))
            };
            fields.push(Field { text, place });
            if self.skip_line_end() || self.at >= self.text.len() {
                return Some(Ok(fields));
            }
            self.at += self.delimiter.len_utf8();
        }
    }

    /// True if a line is rather a row than a part of a text: one of its fields is a number, or has one, in whatever
    /// writing.
    fn holds_a_number(&self, line: &str) -> bool {
        line.split(self.delimiter).any(|field| field.chars().filter(char::is_ascii_digit).count() >= FEWEST)
    }

    /// The field whose quotation mark stands at `start`; stands behind it afterwards, at a delimiter or a line's end.
    fn quoted(&mut self, start: usize) -> Result<Cow<'a, str>, &'static str> {
        let first = self.line;
        self.at = start + 1;
        let mut text = String::new();
        loop {
            let rest = self.line_from(self.at);
            if self.line > first && self.holds_a_number(rest.split('"').next().unwrap_or_default()) {
                return Err(UNCLOSED);
            }
            let Some(quote) = rest.find('"') else {
                // The mark may stand before what is a row of its own.
                if self.holds_a_number(rest) {
                    return Err(UNCLOSED);
                }
                text.push_str(rest);
                self.at += rest.len();
                if !self.skip_line_end() || self.line >= first + LINES_OF_A_FIELD {
                    return Err(UNCLOSED);
                }
                text.push('\n');
                continue;
            };
            text.push_str(&rest[..quote]);
            self.at += quote + 1;
            if rest[quote + 1..].starts_with('"') {
                text.push('"');
                self.at += 1;
                continue;
            }
            let behind = self.line_from(self.at);
            let gap = behind.len() - behind.trim_start_matches(|c| is_blank(c) && c != self.delimiter).len();
            if gap < behind.len() && !behind[gap..].starts_with(self.delimiter) {
                return Err(if self.line > first { UNCLOSED } else { AFTER_QUOTE });
            }
            self.at += gap;
            let trimmed = text.trim_matches(is_blank);
            return Ok(Cow::Owned(trimmed.to_owned()));
        }
    }
}

/// So few digits make a telephone number, whatever stands between them.
const FEWEST: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rows are read, and the lines of those that are none.
    fn read(text: &str) -> (usize, Vec<usize>) {
        let (mut good, mut bad) = (0, Vec::new());
        let mut rows = Rows::new(text);
        while let Some(row) = rows.next() {
            match row {
                Ok(_) => good += 1,
                Err(row) => bad.push(row.place.0),
            }
        }
        (good, bad)
    }

    /// Wherever the two marks stand, and however the number between them is written.
    #[test]
    fn a_pair_of_stray_marks_swallows_no_row() {
        for number in
            ["+15005550100", "(500) 555-0100", "500 555 0100", "020 7946 0958", "1-500-555-0100", "5005550100"]
        {
            for (text, bad) in [
                (format!("label,number\n\"one,{number}\ntwo\",+15005550101\nthree,+15005550102\n"), 2),
                (format!("label,number,channels\n\"one,{number},voice\ntwo\",+15005550101,voice\n"), 2),
                (format!("number,label\n+15005550101,\"one\n{number},two\"\n+15005550102,three\n"), 2),
                (format!("number,label\n\"{number},one\n+15005550101\",two\n"), 2),
                (format!("label,number\nzero,+15005550103\n\"one,{number}\n\ntwo\",+15005550101\n"), 3),
            ] {
                let (_, lines) = read(&text);
                assert_eq!(lines.first(), Some(&bad), "{text}");
            }
        }
    }

    #[test]
    fn a_text_of_several_lines_is_one_field() {
        for label in ["Main desk\n2nd floor", "Bern,\r\n3011 Bern, room 12", "Springfield, IL\n62701"] {
            assert_eq!(
                read(&format!("label,number\n\"{label}\",+15005550100\nb,+15005550101\n")),
                (3, vec![]),
                "{label}"
            );
        }
    }

    /// What each field costs does not depend on how many there are in its line.
    #[test]
    fn a_line_of_very_many_fields_is_read_and_each_knows_its_place() {
        let text = format!("a\n{}\"é\",b\n", "é,".repeat(500_000));
        let mut rows = Rows::new(&text);
        rows.next().unwrap().unwrap();
        let row = rows.next().unwrap().unwrap();
        assert_eq!(row.len(), 500_002);
        assert_eq!(
            (row[499_999].place, row[500_000].place, row[500_001].place),
            ((2, 999_999), (2, 1_000_001), (2, 1_000_005))
        );
    }
}
