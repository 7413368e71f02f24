//! What was fetched so far, in a file beside the recording: a run that was stopped is gone on with.
//!
//! Each page's rows are followed by a line that says where the list goes on. Rows without one behind them are of a page
//! that was not written whole, and are fetched again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::core::model::time::Time;

/// Of which recording a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    pub account: String,
    pub from: Time,
    pub to: Time,
    pub plain: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PartLine {
    Of(Of),
    Row {
        kind: String,
        seen_at: Time,
        resource: Map<String, Value>,
    },
    /// The list's next page; absent at its end.
    Page {
        list: String,
        next: Option<String>,
    },
}

/// A line of the recording to be.
#[derive(Clone, Debug, PartialEq)]
pub struct PartRow {
    pub kind: String,
    pub seen_at: Time,
    pub resource: Map<String, Value>,
}

/// How far a list was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Up to this page.
    UpTo(String),
    Whole,
}

/// The file of a recording that is being made.
pub struct PartFile {
    file: File,
    pub rows: Vec<PartRow>,
    lists: HashMap<String, Fetched>,
}

impl PartFile {
    /// Opens the part of this recording, and begins anew where there is none, or one of another recording.
    pub fn open(path: &Path, of: &Of) -> io::Result<PartFile> {
        let (mut rows, mut lists) = (Vec::new(), HashMap::new());
        let mut is_ours = false;
        if let Ok(file) = File::open(path) {
            let mut page = Vec::new();
            for line in BufReader::new(file).lines() {
                match serde_json::from_str::<PartLine>(&line?) {
                    Ok(PartLine::Of(written)) => is_ours = written == *of,
                    Ok(PartLine::Row { kind, seen_at, resource }) if is_ours => {
                        page.push(PartRow { kind, seen_at, resource });
                    }
                    Ok(PartLine::Page { list, next }) if is_ours => {
                        rows.append(&mut page);
                        lists.insert(list, next.map_or(Fetched::Whole, Fetched::UpTo));
                    }
                    // What a crash has cut off.
                    Ok(PartLine::Row { .. } | PartLine::Page { .. }) | Err(_) => {}
                }
            }
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Written anew from what is whole: what a crash cut off must not run into the next line.
        let mut part = PartFile { file: options.truncate(true).open(path)?, rows, lists };
        part.write(&PartLine::Of(of.clone()))?;
        let (rows, lists) = (part.rows.clone(), part.lists.clone());
        for row in &rows {
            part.write_row(row)?;
        }
        for (list, fetched) in &lists {
            part.write_page(list, fetched)?;
        }
        Ok(part)
    }

    /// How far a list was fetched; `None` if it was not begun.
    pub fn fetched(&self, list: &str) -> Option<&Fetched> {
        self.lists.get(list)
    }

    /// Keeps a page, and where its list goes on.
    pub fn keep(&mut self, list: &str, rows: Vec<PartRow>, next: Option<String>) -> io::Result<()> {
        for row in &rows {
            self.write_row(row)?;
        }
        let fetched = next.map_or(Fetched::Whole, Fetched::UpTo);
        self.write_page(list, &fetched)?;
        self.rows.extend(rows);
        self.lists.insert(list.to_owned(), fetched);
        Ok(())
    }

    fn write_row(&mut self, row: &PartRow) -> io::Result<()> {
        let PartRow { kind, seen_at, resource } = row.clone();
        self.write(&PartLine::Row { kind, seen_at, resource })
    }

    fn write_page(&mut self, list: &str, fetched: &Fetched) -> io::Result<()> {
        let next = match fetched {
            Fetched::UpTo(next) => Some(next.clone()),
            Fetched::Whole => None,
        };
        self.write(&PartLine::Page { list: list.to_owned(), next })
    }

    fn write(&mut self, line: &PartLine) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

/// The recording: each entry once, as it was fetched last, in the order in which entries were seen. What is seen at one
/// instant is ordered so that a number stands before its calls and a call before its alerts.
pub fn recording(rows: Vec<PartRow>) -> Vec<PartRow> {
    let order = |kind: &str| ["number", "call", "message", "alert", "probe"].iter().position(|k| *k == kind);
    let mut last: HashMap<(String, String), PartRow> = HashMap::new();
    let mut others = Vec::new();
    for row in rows {
        match row.resource.get("sid").and_then(Value::as_str).map(str::to_owned) {
            Some(sid) => drop(last.insert((row.kind.clone(), sid), row)),
            None => others.push(row),
        }
    }
    let mut all: Vec<PartRow> = last.into_values().chain(others).collect();
    let sid = |row: &PartRow| row.resource.get("sid").and_then(Value::as_str).unwrap_or_default().to_owned();
    all.sort_by_key(|row| (row.seen_at, order(&row.kind), sid(row)));
    all
}

/// A line of the recording.
pub fn line(row: &PartRow) -> serde_json::Result<String> {
    let PartRow { kind, seen_at, resource } = row;
    let resource = serde_json::to_string(resource)?;
    Ok(format!("{{\"seen_at\":\"{seen_at}\",\"kind\":\"{kind}\",\"resource\":{resource}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sid: &str, at: i64) -> PartRow {
        let mut resource = Map::new();
        resource.insert("sid".to_owned(), sid.into());
        PartRow { kind: "call".to_owned(), seen_at: Time::from_secs(at), resource }
    }

    #[test]
    fn a_part_is_gone_on_with_and_what_was_cut_off_is_fetched_again() {
        let dir = std::env::temp_dir().join(format!("ringback-part-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log.jsonl.part");
        let of = Of { account: "AC1".to_owned(), from: Time::from_secs(1), to: Time::from_secs(9), plain: false };
        let mut part = PartFile::open(&path, &of).unwrap();
        assert_eq!(part.fetched("calls"), None);
        part.keep("calls", vec![row("CA1", 5)], Some("/next".to_owned())).unwrap();
        drop(part);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text += "{\"row\":{\"kind\":\"call\",\"seen_at\":\"2026-11-21T09:00:00Z\",\"resource\":{}}}\n{\"row\":{\"ki";
        std::fs::write(&path, text).unwrap();
        let mut part = PartFile::open(&path, &of).unwrap();
        assert_eq!((part.rows.len(), part.fetched("calls")), (1, Some(&Fetched::UpTo("/next".to_owned()))));
        part.keep("calls", vec![row("CA2", 4), row("CA1", 6)], None).unwrap();
        drop(part);
        let part = PartFile::open(&path, &of).unwrap();
        assert_eq!(part.fetched("calls"), Some(&Fetched::Whole));
        let all = recording(part.rows);
        assert_eq!(all.iter().map(|r| r.seen_at.as_millis() / 1000).collect::<Vec<_>>(), [4, 6], "each once, in order");
        assert!(
            line(&all[0])
                .unwrap()
                .starts_with("{\"seen_at\":\"1970-01-01T00:00:04.000Z\",\"kind\":\"call\",\"resource\"")
        );
        let other = Of { plain: true, ..of };
        assert_eq!(PartFile::open(&path, &other).unwrap().fetched("calls"), None, "another recording begins anew");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
