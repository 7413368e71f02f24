//! Rows from files: Twilio's bulk exports, and what its Console exports as CSV.
//!
//! A bulk export of one day is JSON lines, packed with gzip or not, with the API's field names. The Console's CSV has
//! headings for people: they are read in any case, with or without blanks, and what they call a SID is one.

use std::io::{BufRead, BufReader, Error, Read};

use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use crate::config::csv::Rows;
use crate::core::model::bounds;

/// A row with the kind of its line.
pub type KindRow = (&'static str, Map<String, Value>);

/// An unpacked export is no larger than this.
const LARGEST: u64 = bounds::EXPORT_BYTES;

/// What a row is, by its SID.
fn kind(fields: &Map<String, Value>) -> Option<&'static str> {
    let sid = fields.get("sid")?.as_str()?;
    match sid.get(..2)? {
        "CA" => Some("call"),
        "SM" | "MM" => Some("message"),
        "NO" => Some("alert"),
        "PN" => Some("number"),
        _ => None,
    }
}

/// No row has a longer line: a file that does is none of Twilio's, and a few bytes unpack to any length.
const LONGEST_LINE: usize = bounds::RECORD_BYTES;

fn too_long(line: usize) -> Error {
    Error::other(format!("line {line} has more than {LONGEST_LINE} bytes, which no row has"))
}

/// Reads a bulk export, line by line. What is no row of ours is told with its line.
pub fn bulk(file: impl Read, bad: impl FnMut(usize, &str)) -> std::io::Result<Vec<KindRow>> {
    let mut file = BufReader::new(file);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        lines(BufReader::new(MultiGzDecoder::new(file).take(LARGEST + 1)), bad)
    } else {
        lines(file.take(LARGEST + 1), bad)
    }
}

fn lines(mut text: impl BufRead, mut bad: impl FnMut(usize, &str)) -> std::io::Result<Vec<KindRow>> {
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    let (mut nth, mut all) = (0_usize, 0_u64);
    loop {
        nth += 1;
        line.clear();
        let length = (&mut text).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        all += length as u64;
        if all > LARGEST {
            return Err(Error::other(format!("it has more than {LARGEST} bytes, unpacked: split it")));
        }
        if length > LONGEST_LINE && !line.ends_with(b"\n") {
            return Err(too_long(nth));
        }
        if length == 0 {
            return Ok(rows);
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Map<String, Value>>(&line) {
            Ok(fields) => match kind(&fields) {
                Some(kind) => rows.push((kind, fields)),
                None => bad(nth, "it has no SID of a call, a message, an alert or a number"),
            },
            Err(_) => bad(nth, "it is no JSON object"),
        }
    }
}

/// What a heading is called in the API.
fn field(heading: &str) -> String {
    let plain: String = heading.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let name = match plain.as_str() {
        "sid" | "callsid" | "messagesid" | "alertsid" => "sid",
        "parentcallsid" | "parentsid" => "parent_call_sid",
        "accountsid" => "account_sid",
        "resourcesid" => "resource_sid",
        "starttime" | "startdate" => "start_time",
        "endtime" | "enddate" => "end_time",
        "datecreated" | "createddate" => "date_created",
        "datesent" | "sentdate" => "date_sent",
        "dategenerated" => "date_generated",
        "errorcode" => "error_code",
        "loglevel" | "level" => "log_level",
        "requesturl" | "url" => "request_url",
        "messagingservicesid" | "messagingservice" => "messaging_service_sid",
        "type" => "direction",
        other => other,
    };
    name.to_owned()
}

/// Words of the Console for what the API has words of its own for.
fn value(name: &str, text: &str) -> String {
    let lower = text.trim().to_ascii_lowercase();
    match (name, lower.as_str()) {
        ("direction", "incoming") => "inbound".to_owned(),
        ("direction", "outgoing dial" | "outbound dial") => "outbound-dial".to_owned(),
        ("direction", "outgoing api" | "outbound api") => "outbound-api".to_owned(),
        ("status" | "direction", word) => word.replace(' ', "-"),
        _ => text.trim().to_owned(),
    }
}

/// Reads a CSV file of the Console.
pub fn csv(text: &str, mut bad: impl FnMut(usize, &str)) -> std::io::Result<Vec<KindRow>> {
    if let Some(nth) = text.lines().position(|line| line.len() > LONGEST_LINE) {
        return Err(too_long(nth + 1));
    }
    let mut lines = Rows::new(text.trim_start_matches('\u{feff}'));
    let mut names: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    while let Some(row) = lines.next() {
        let row = match row {
            Ok(row) => row,
            Err(e) => {
                bad(e.place.0, e.problem);
                continue;
            }
        };
        let Some(names) = &names else {
            names = Some(row.iter().map(|f| field(&f.text)).collect());
            continue;
        };
        let cells = names.iter().zip(&row).filter(|(_, f)| !f.text.trim().is_empty());
        let fields: Map<String, Value> =
            cells.map(|(name, f)| (name.clone(), Value::String(value(name, &f.text)))).collect();
        match kind(&fields) {
            Some(kind) => rows.push((kind, fields)),
            None => bad(row.first().map_or(0, |f| f.place.0), "it has no SID of a call, a message or an alert"),
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_bulk_export_is_read_packed_or_not() {
        let text = "{\"sid\":\"CA1\",\"status\":\"completed\"}\n\noops\n{\"sid\":\"XX1\"}\n{\"sid\":\"SM1\"}\n";
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        for bytes in [text.as_bytes().to_vec(), packed.finish().unwrap()] {
            let mut bad = Vec::new();
            let rows = bulk(&bytes[..], |line, _| bad.push(line)).unwrap();
            assert_eq!(rows.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["call", "message"]);
            assert_eq!(bad, [3, 4]);
        }
    }

    #[test]
    fn a_line_without_an_end_is_an_error_before_it_is_in_memory() {
        let endless = std::io::repeat(b'x');
        let error = bulk(endless, |_, _| {}).unwrap_err().to_string();
        assert_eq!(error, "line 1 has more than 131072 bytes, which no row has");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{\"sid\":\"CA1\"}\n").unwrap();
        std::io::copy(&mut std::io::repeat(b' ').take(64 << 20), &mut packed).unwrap();
        let error = bulk(&packed.finish().unwrap()[..], |_, _| {}).unwrap_err().to_string();
        assert!(error.starts_with("line 2 has more than"), "{error}");
        assert!(csv(&format!("sid\n{}", "x".repeat(LONGEST_LINE + 1)), |_, _| {}).is_err());
        // As long as a row may be.
        let longest = format!("{{\"sid\":\"CA1\",\"x\":\"{}\"}}\n", "x".repeat(LONGEST_LINE - 21));
        assert_eq!((longest.len(), bulk(longest.as_bytes(), |_, _| {}).unwrap().len()), (LONGEST_LINE, 1));
    }

    #[test]
    fn the_consoles_headings_are_read_as_people_write_them() {
        let text = "\u{feff}Call SID,Start Time,Direction,From,To,Status\r\nCA1,2026-11-21T09:00:00Z,Incoming,+14155551212,\
                    +15005550100,No Answer\r\n,,,,,\r\n";
        let mut bad = 0;
        let rows = csv(text, |_, _| bad += 1).unwrap();
        assert_eq!(rows.len(), 1);
        let (kind, fields) = &rows[0];
        assert_eq!(
            (*kind, fields["direction"].as_str(), fields["status"].as_str()),
            ("call", Some("inbound"), Some("no-answer"))
        );
        assert_eq!(fields["start_time"], "2026-11-21T09:00:00Z");
        assert_eq!(bad, 1);
    }
}
