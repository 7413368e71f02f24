//! Rows from files: Twilio's bulk exports, and what its Console exports as CSV.
//!
//! A bulk export of one day is JSON lines, packed with gzip or not, with the API's field names. The Console's CSV has
//! headings for people: they are read in any case, with or without blanks, and what they call a SID is one.

use std::io::Read;

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

/// Reads a bulk export. What is no row of ours is told with its line.
pub fn bulk(bytes: &[u8], mut bad: impl FnMut(usize, &str)) -> std::io::Result<Vec<KindRow>> {
    let mut text = String::new();
    match bytes {
        [0x1f, 0x8b, ..] => {
            MultiGzDecoder::new(bytes).take(LARGEST + 1).read_to_string(&mut text)?;
            if text.len() as u64 > LARGEST {
                return Err(std::io::Error::other(format!("it unpacks to more than {LARGEST} bytes: split it")));
            }
        }
        plain => text = String::from_utf8_lossy(plain).into_owned(),
    }
    let mut rows = Vec::new();
    for (nth, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(fields) => match kind(&fields) {
                Some(kind) => rows.push((kind, fields)),
                None => bad(nth + 1, "it has no SID of a call, a message, an alert or a number"),
            },
            Err(_) => bad(nth + 1, "it is no JSON object"),
        }
    }
    Ok(rows)
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
pub fn csv(text: &str, mut bad: impl FnMut(usize, &str)) -> Vec<KindRow> {
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
    rows
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
            let rows = bulk(&bytes, |line, _| bad.push(line)).unwrap();
            assert_eq!(rows.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["call", "message"]);
            assert_eq!(bad, [3, 4]);
        }
    }

    #[test]
    fn the_consoles_headings_are_read_as_people_write_them() {
        let text = "\u{feff}Call SID,Start Time,Direction,From,To,Status\r\nCA1,2026-11-21T09:00:00Z,Incoming,+14155551212,\
                    +15005550100,No Answer\r\n,,,,,\r\n";
        let mut bad = 0;
        let rows = csv(text, |_, _| bad += 1);
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
