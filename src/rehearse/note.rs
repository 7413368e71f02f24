//! What a drill must not forget: the number's whole record from before it came.
//!
//! A file of its own beside the state, written and synced before the first change, removed when the number
//! was seen to be as it was. While it is there, a drill is under way or was cut off.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::text;
use crate::core::model::bounds;
use crate::core::model::id::{Channel, NumberId, NumberSid};
use crate::core::routing::record::bare;
use crate::core::routing::values::{RoutingValues, fields};

/// The number of a drill, before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Note {
    pub number: NumberId,
    pub sid: NumberSid,
    /// As Twilio returned it.
    pub record: String,
    /// Every URL that the drill may point it at.
    pub urls: Vec<String>,
}

impl Note {
    /// The note that an earlier drill left; `None` if none did.
    pub fn read(path: &Path) -> io::Result<Option<Note>> {
        match text::bytes(path, bounds::NOTE_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the note so that it survives a crash, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        sync_folder(path)
    }

    /// What of `now` is neither as it was `before` nor a drill's doing.
    pub fn foreign(&self, before: &RoutingValues, now: &RoutingValues) -> Option<String> {
        // A drill clears what would win over the URL, and fax.
        let is_ours = |value: &String| value.is_empty() || value == "voice" || self.urls.contains(value);
        let differences = RoutingValues::differences(before, before, now);
        let d = differences.iter().find(|d| !is_ours(&d.now))?;
        let shown = |value: &str| if value.contains("://") { bare(value) } else { value.to_owned() };
        Some(format!("{} was {:?} and is {:?}", d.field, shown(&d.snapshot), shown(&d.now)))
    }

    pub fn remove(path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            Ok(()) | Err(_) => sync_folder(path),
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// The update that makes `now` what was `before`: every field that differs.
pub fn back(before: &RoutingValues, now: &RoutingValues) -> Vec<(&'static str, String)> {
    let differences = RoutingValues::differences(before, before, now);
    fields(Channel::Voice)
        .iter()
        .filter_map(|f| {
            let difference = differences.iter().find(|d| d.field == f.property)?;
            Some((f.parameter, difference.snapshot.clone()))
        })
        .collect()
}

/// Forgets an earlier drill's state file, with what the database keeps beside it.
pub fn forget(state: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = state.as_os_str().to_owned();
        name.push(suffix);
        // Whatever cannot be removed is found when the state is opened.
        let _ = std::fs::remove_file(name);
    }
}
