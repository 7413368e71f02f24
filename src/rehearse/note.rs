//! What a drill must not forget: the number's whole record from before it came.
//!
//! A file of its own beside the state, written and synced before the first change, removed when the number
//! was seen to be as it was. While it is there, a drill is under way or was cut off.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::text;
use crate::core::model::bounds;
use crate::core::model::id::{Channel, NumberId, NumberSid};
use crate::core::model::order::UpdateParams;
use crate::core::model::redact::without_secrets;
use crate::core::model::value::{FieldValue, RawRecord, whole_json};
use crate::core::routing::values::{RoutingValues, fields};

/// The number of a drill, before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Note {
    pub number: NumberId,
    pub sid: NumberSid,
    /// As Twilio returned it.
    pub record: RawRecord,
    /// Every URL that the drill may point it at.
    pub urls: Vec<FieldValue>,
}

impl Note {
    /// The note that an earlier drill left; `None` if none did.
    pub fn read(path: &Path) -> io::Result<Option<Note>> {
        // What is wrong may quote the record.
        let told = |e: serde_json::Error| io::Error::other(without_secrets(&e.to_string()).into_owned());
        match text::bytes(path, bounds::NOTE_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(told),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the note so that it survives a crash, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file = private(&new)?;
        file.write_all(whole_json(self)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_folder(path)
    }

    /// What of `now` is neither as it was `before` nor a drill's doing.
    pub fn foreign(&self, before: &RoutingValues, now: &RoutingValues) -> Option<String> {
        // A drill clears what would win over the URL, and fax.
        let is_ours = |value: &FieldValue| value.is_empty() || value == "voice" || self.urls.contains(value);
        let differences = RoutingValues::differences(before, before, now);
        let d = differences.iter().find(|d| !is_ours(&d.now))?;
        Some(format!("{} was {:?} and is {:?}", d.field, d.snapshot, d.now))
    }

    pub fn remove(path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            Ok(()) | Err(_) => sync_folder(path),
        }
    }
}

/// A new file that only the agent's user may read: there may be secrets in the number's URLs.
fn private(path: &Path) -> io::Result<File> {
    Note::remove(path)?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// The update that makes `now` what was `before`: every field that differs.
pub fn back(before: &RoutingValues, now: &RoutingValues) -> UpdateParams {
    let differences = RoutingValues::differences(before, before, now);
    fields(Channel::Voice)
        .iter()
        .filter_map(|f| {
            let difference = differences.iter().find(|d| d.field == f.property)?;
            Some((f.parameter.to_owned(), difference.snapshot.clone()))
        })
        .collect()
}

/// Forgets an earlier drill's state file, with what is kept beside it: the database's own files, and the lock, which
/// would say that a journal has been lost. One drill at a time is here, by a lock of its own.
pub fn forget(state: &Path) {
    let beside = ["", "-wal", "-shm"].map(|suffix| {
        let mut name = state.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    for path in beside.into_iter().chain([state.with_extension("lock")]) {
        // Whatever cannot be removed is found when the state is opened.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::ours;

    #[test]
    fn a_note_is_whole_and_nobody_elses_to_read() {
        let folder = std::env::temp_dir().join(format!("ringback-note-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("drill.json");
        let url = "https://us3r:p4ss@spare.example.com/voice?token=qu3ry";
        let record = RawRecord::from(format!("{{\"voice_url\":{url:?}}}"));
        let (number, sid) = (ours("+15005550190"), NumberSid::from_u128(1));
        let note = Note { number, sid, record: record.clone(), urls: vec![url.into()] };
        // What an earlier drill was cut off in.
        std::fs::write(path.with_extension("new"), "half").unwrap();
        note.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Note::read(&path).unwrap().unwrap();
        assert_eq!((&read.record, &read.urls), (&record, &note.urls));
        let theirs =
            RoutingValues::read(r#"{"voice_url":"https://u:p4ss@theirs.example.com/v?token=qu3ry"}"#, Channel::Voice);
        let before = RoutingValues::read(record.whole(), Channel::Voice).unwrap();
        let said = note.foreign(&before, &theirs.unwrap()).unwrap();
        let shown = r#"voice_url was "https://spare.example.com/voice?…" and is "https://theirs.example.com/v?…""#;
        assert_eq!(said, shown);
        assert!(!format!("{note:?}{}", serde_json::to_string(&note).unwrap()).contains("p4ss"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
