//! Files that people write: from bytes to text, whatever program saved them.
//!
//! Editors and spreadsheets put a byte order mark first, or save UTF-16. Both are read. Any other encoding cannot be
//! told for sure, and a label that nobody can read on call is worse than a fault at start, so it is refused with the
//! place of the first letter that shows it, and the cure. Nothing of a file's content is in the problems here: it may
//! be a secret.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc;

use crate::core::model::bounds;
use crate::file::{self, all_of, refused};

/// A text, and where the first letter stands that is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodedText {
    /// Without a byte order mark.
    pub text: String,
    /// In bytes of `text`, which was taken for Windows-1252 if there is one.
    pub foreign: Option<usize>,
}

/// Why a file cannot be read as text; the rest of a sentence that starts with the file.
#[derive(Debug, PartialEq, Eq)]
pub struct BadText {
    /// Line and column, from 1.
    pub place: Option<(usize, usize)>,
    pub problem: String,
}

impl fmt::Display for BadText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.problem)
    }
}

/// What makes a file of another encoding readable.
pub const IN_AN_EDITOR: &str = "save it as UTF-8";

/// The same for spreadsheets, in the words of their menus.
pub const IN_A_SPREADSHEET: &str = "save it as UTF-8: in Excel, Save As, \"CSV UTF-8 (Comma delimited)\"; in \
                                    LibreOffice, Save As, Text CSV, \"Edit filter settings\", character set \
                                    \"Unicode (UTF-8)\"";

/// What files begin with that hold no text.
const NO_TEXT: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "a zip archive or a spreadsheet (.xlsx, .ods)"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet of old (.xls)"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"%PDF-", "a PDF"),
    (b"SQLite format 3\0", "an SQLite database"),
];

/// The bytes of the file at `path`, if it is one and has at most `most` of them. What is read for ever or waited for,
/// a device, a pipe or a socket, is refused without being read.
pub fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // A file system may hang too.
    in_time(path, move |path| file::bytes(path, most))
}

/// The same where a pipe may be meant: what another program writes for us alone, a secret perhaps.
fn bytes_or_pipe(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    #[cfg(unix)]
    let is_pipe = std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type());
    #[cfg(not(unix))]
    let is_pipe = false;
    if !is_pipe {
        return bytes(path, most);
    }
    in_time(path, move |path| File::open(path).and_then(|pipe| all_of(pipe, most)))
}

/// Reads what may have to be waited for: whoever opens a pipe waits until somebody writes to it. If nobody does, the
/// thread for it waits until we end.
fn in_time(path: &Path, read: impl FnOnce(&Path) -> io::Result<Vec<u8>> + Send + 'static) -> io::Result<Vec<u8>> {
    let (path, (result, done)) = (path.to_owned(), mpsc::channel());
    std::thread::spawn(move || {
        let _ = result.send(read(&path));
    });
    done.recv_timeout(bounds::FILE_WITHIN).unwrap_or_else(|_| Err(refused("nobody writes what is to be read there")))
}

/// Reads the file at `path`, all of it in UTF-8 or UTF-16, if it has at most `most` bytes. `cure`: how to save it
/// otherwise.
pub fn read(path: &Path, most: u64, cure: &str) -> io::Result<Result<String, BadText>> {
    let bytes = bytes_or_pipe(path, most)?;
    Ok(decode(bytes, cure).and_then(|text| match text.foreign {
        None => Ok(text.text),
        Some(at) => {
            let problem = format!("a letter that is {}", foreign(cure));
            Err(BadText { place: Some(place(&text.text, at)), problem })
        }
    }))
}

/// What is wrong with a letter that is not UTF-8. Which one it is instead nobody can tell: the same bytes are letters
/// of Windows-1252, of Latin-1, and of the code pages 437 and 850 of old programs.
pub fn foreign(cure: &str) -> String {
    format!(
        "not UTF-8, and in which encoding it is cannot be told: open the file where its letters are right, and {cure}"
    )
}

/// The byte that a letter stands for which was taken for Windows-1252.
fn byte_of(letter: char) -> u8 {
    let place = (0x80..=0x9f).zip(WINDOWS).find(|(_, of)| *of == letter);
    place.map_or_else(|| u8::try_from(u32::from(letter)).unwrap_or(b'?'), |(byte, _)| byte)
}

/// A word around the first letter that is not UTF-8, at `at` of it: as far as it is certain, and that letter's byte.
pub fn uncertain(word: &str, at: usize) -> (String, u8) {
    let (certain, rest) = word.split_at_checked(at).unwrap_or((word, ""));
    let byte = rest.chars().next().map_or(b'?', byte_of);
    let rest = rest.chars().map(|c| if c.is_ascii() { c } else { char::REPLACEMENT_CHARACTER });
    (certain.chars().chain(rest).collect(), byte)
}

/// The text in `bytes`; letters that are not UTF-8 are taken for Windows-1252, so that the rest can be looked at.
pub fn decode(bytes: Vec<u8>, cure: &str) -> Result<DecodedText, BadText> {
    let bad = |problem: String| BadText { place: None, problem };
    if let Some((_, what)) = NO_TEXT.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Err(bad(format!("is no text but {what}: {cure}")));
    }
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Err(bad(format!("is UTF-32: {cure}")));
    }
    let unit = match bytes.as_slice() {
        [0xff, 0xfe, ..] => Some(u16::from_le_bytes as fn([u8; 2]) -> u16),
        [0xfe, 0xff, ..] => Some(u16::from_be_bytes as fn([u8; 2]) -> u16),
        bytes => unmarked_utf16(bytes),
    };
    let text = match unit {
        Some(unit) => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|pair| unit(*pair)).collect();
            match String::from_utf16(&units) {
                Ok(text) if rest.is_empty() => DecodedText { text, foreign: None },
                Ok(_) => {
                    return Err(bad(format!("is UTF-16 and ends within a letter; perhaps it was cut off: {cure}")));
                }
                Err(_) => return Err(bad(format!("is UTF-16 and damaged: {cure}"))),
            }
        }
        None => match String::from_utf8(bytes) {
            Ok(text) => DecodedText { text, foreign: None },
            Err(e) => from_windows(e.as_bytes(), e.utf8_error().valid_up_to()),
        },
    };
    let DecodedText { text, foreign } = match text.text.strip_prefix('\u{feff}') {
        Some(rest) => {
            let foreign = text.foreign.map(|at| at - '\u{feff}'.len_utf8());
            DecodedText { text: rest.to_owned(), foreign }
        }
        None => text,
    };
    if let Some(at) = text.find('\0') {
        let problem = format!("a NUL byte: the file is damaged, or no text: {cure}");
        return Err(BadText { place: Some(place(&text, at)), problem });
    }
    Ok(DecodedText { text, foreign })
}

/// UTF-16 without its mark: of the first letters most are ASCII, so that every other byte is zero.
fn unmarked_utf16(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    let (pairs, _) = bytes[..bytes.len().min(256)].as_chunks::<2>();
    let share = |which: usize| pairs.iter().filter(|p| p[which] == 0 && p[1 - which] != 0).count();
    let is_most = |n: usize| n >= 2 && n * 4 >= pairs.len() * 3;
    if is_most(share(1)) {
        Some(u16::from_le_bytes)
    } else if is_most(share(0)) {
        Some(u16::from_be_bytes)
    } else {
        None
    }
}

/// Windows-1252 from 0x80 on, where it is not Latin-1.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn from_windows(bytes: &[u8], valid: usize) -> DecodedText {
    let letter = |b: &u8| match *b {
        0x80..=0x9f => WINDOWS[usize::from(b - 0x80)],
        b => char::from(b),
    };
    // As far as it is UTF-8 it was that.
    let mut text = String::from_utf8_lossy(&bytes[..valid]).into_owned();
    text.extend(bytes[valid..].iter().map(letter));
    DecodedText { text, foreign: Some(valid) }
}

/// Line and column of a byte as editors count them: a line ends at CR LF, LF or CR.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let bytes = before.as_bytes();
    let ends_line = |i: &usize| match bytes[*i] {
        b'\n' => true,
        b'\r' => bytes.get(i + 1).is_some_and(|next| *next != b'\n') || i + 1 == bytes.len(),
        _ => false,
    };
    // A CR LF that `at` stands within has not ended its line.
    let ends: Vec<usize> = (0..bytes.len()).filter(ends_line).collect();
    let start = ends.last().map_or(0, |end| end + 1);
    (ends.len() + 1, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_letter_that_is_not_utf8_its_byte_is_certain() {
        for byte in 0x80..=0xff {
            let text = decode([b"se\xc3\xb1or B".as_slice(), &[byte], b"ro"].concat(), IN_AN_EDITOR).unwrap();
            let at = text.foreign.unwrap();
            assert_eq!(uncertain(&text.text, at), ("señor B\u{fffd}ro".to_owned(), byte));
        }
    }
}
