//! CSV of any length, row by row: blocks of the file, of which each is split as [`Rows`] splits a whole one.
//!
//! A row may have line ends in quotation marks, so that no block's last lines are certain: they are split again with
//! the next one. In memory is one block.

use std::io::{self, Read};

use crate::config::csv::{BadCsvRow, Field, Rows};
use crate::config::text::{self, IN_A_SPREADSHEET};

/// As much is read at a time.
const BLOCK: usize = 1 << 20;

/// More lines than a row has: so many at a block's end are left to the next.
const LINES_LEFT: usize = 40;

/// A line without an end.
const LONGEST: usize = 16 << 20;

/// A CSV file that is being read.
#[derive(Debug)]
pub struct CsvStream<R> {
    from: R,
    unread: Vec<u8>,
    /// The line with which `unread` begins, from 1.
    line: usize,
    pub delimiter: char,
    is_over: bool,
}

impl<R: Read> CsvStream<R> {
    /// Begins to read; an error if this is no text.
    pub fn new(from: R) -> io::Result<CsvStream<R>> {
        let mut stream = CsvStream { from, unread: Vec::new(), line: 1, delimiter: ',', is_over: false };
        stream.fill(BLOCK)?;
        let sample = stream.unread[..stream.unread.len().min(4096)].to_vec();
        if sample.contains(&0) {
            let cure = format!("it is no text, or is UTF-16: {IN_A_SPREADSHEET}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, cure));
        }
        text::decode(sample, IN_A_SPREADSHEET)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
        if stream.unread.starts_with(b"\xef\xbb\xbf") {
            stream.unread.drain(..3);
        }
        // Excel's own hint, which no other program writes; what it says is seen from the headings.
        if stream.unread.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"sep=")) {
            let end = stream.unread.iter().position(|b| *b == b'\n').map_or(stream.unread.len(), |at| at + 1);
            stream.unread.drain(..end);
            stream.line = 2;
        }
        Ok(stream)
    }

    /// The first line with something in it.
    pub fn first_line(&self) -> String {
        Rows::new(&String::from_utf8_lossy(&self.unread)).peek().to_owned()
    }

    /// The first rows, as fields are split by `delimiter`; they are read again afterwards.
    pub fn sample(&self, delimiter: char, rows: usize) -> Vec<Vec<String>> {
        let text = String::from_utf8_lossy(&self.unread);
        let mut split = Rows::new(&text);
        split.peek();
        split.set_delimiter(delimiter);
        let texts = |row: Vec<Field<'_>>| row.into_iter().map(|f| f.text.into_owned()).collect::<Vec<String>>();
        std::iter::from_fn(|| split.next()).filter_map(Result::ok).map(texts).take(rows).collect()
    }

    /// Hands on each row, the header first.
    pub fn each(&mut self, mut row: impl FnMut(Result<&[Field<'_>], BadCsvRow>)) -> io::Result<()> {
        loop {
            self.fill(BLOCK)?;
            let cut = if self.is_over { self.unread.len() } else { self.last_line() };
            let text = String::from_utf8_lossy(&self.unread[..cut]);
            let certain = if self.is_over { text.len() } else { without_last_lines(&text) };
            let mut rows = Rows::resume(&text, self.line, self.delimiter);
            while rows.at() < certain {
                match rows.next() {
                    Some(Ok(fields)) => row(Ok(&fields)),
                    Some(Err(bad)) => row(Err(bad)),
                    None => break,
                }
            }
            if self.is_over {
                return Ok(());
            }
            self.line = rows.line();
            let mut rest = text.as_bytes()[rows.at()..].to_vec();
            rest.extend_from_slice(&self.unread[cut..]);
            if rest.len() > LONGEST {
                let problem = format!("from line {} on it has no line of less than {LONGEST} bytes", self.line);
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            self.unread = rest;
        }
    }

    /// Reads so many bytes more, or to the end.
    fn fill(&mut self, more: usize) -> io::Result<()> {
        let before = self.unread.len();
        let read = (&mut self.from).take(more as u64).read_to_end(&mut self.unread)?;
        self.is_over = read < more && self.unread.len() == before + read;
        Ok(())
    }

    /// Behind the last line that has an end.
    fn last_line(&self) -> usize {
        let end = |is_end: fn(&u8) -> bool| self.unread.iter().rposition(is_end).map(|at| at + 1);
        end(|b| *b == b'\n').or_else(|| end(|b| *b == b'\r').filter(|at| *at < self.unread.len())).unwrap_or(0)
    }
}

/// Where the last lines of a text begin.
fn without_last_lines(text: &str) -> usize {
    let ends = text.bytes().enumerate().rev().filter(|(_, b)| matches!(b, b'\n' | b'\r'));
    ends.map(|(at, _)| at + 1).nth(LINES_LEFT).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as a file does that gives few bytes at a time.
    fn rows(text: &str) -> (Vec<(usize, String)>, Vec<usize>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let mut stream = CsvStream::new(text.as_bytes()).unwrap();
        let each = |row: Result<&[Field<'_>], BadCsvRow>| match row {
            Ok(row) => good.push((row[0].place.0, row[0].text.clone().into_owned())),
            Err(row) => bad.push(row.place.0),
        };
        stream.each(each).unwrap();
        (good, bad)
    }

    #[test]
    fn rows_across_blocks_are_whole_and_know_their_line() {
        let line = format!("{},{}\r\n", "x".repeat(50), "é".repeat(30));
        let mut text = line.repeat(30_000);
        text.push_str("\"two\r\nlines\",y\r\n");
        text.push_str(&line.repeat(30_000));
        text.push_str("last,é");
        let (good, bad) = rows(&text);
        assert_eq!((good.len(), bad.len()), (60_002, 0));
        assert_eq!(good[30_000], (30_001, "two\nlines".to_owned()));
        assert_eq!(good[60_001], (60_003, "last".to_owned()));
        assert!(good.iter().enumerate().all(|(i, (line, _))| *line == i + 1 + usize::from(i > 30_000)));
    }

    #[test]
    fn a_stray_mark_costs_its_line_and_letters_of_another_encoding_none() {
        let mut bytes = b"a,b\n\"one,+15005550100\ntwo,\xe9\nthree,3\n".to_vec();
        let mut lines = Vec::new();
        let mut stream = CsvStream::new(bytes.as_slice()).unwrap();
        stream.each(|row| lines.push(row.map(|f| f[0].place.0).map_err(|bad| bad.place.0))).unwrap();
        assert_eq!(lines, [Ok(1), Err(2), Ok(3), Ok(4)]);
        bytes.insert(2, 0);
        assert!(CsvStream::new(bytes.as_slice()).unwrap_err().to_string().contains("CSV UTF-8"));
        assert!(CsvStream::new(&b"PK\x03\x04"[..]).unwrap_err().to_string().contains(".xlsx"));
    }
}
