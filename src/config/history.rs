//! `[history]`: what should ring, by the weeks before.

use std::path::Path;
use std::sync::Arc;

use super::columns;
use super::section::Section;
use super::text;
use crate::core::model::bounds;
use crate::core::model::roster::Roster;
use crate::core::profile::{Profile, document};

/// Whether the profile is read that the file names. Whoever makes it cannot ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileUse {
    Read,
    Make,
}

/// Reads `[history]` and the profile that it names.
pub fn read(mut s: Section<'_>, dir: &Path, roster: &Roster, of: ProfileUse) -> Option<Arc<Profile>> {
    let named = s.text("profile");
    // What only `learn` reads, which is a fault all the same if it is wrong.
    s.section("columns").map(columns::read);
    let profile = named.filter(|_| of == ProfileUse::Read).and_then(|named| {
        let read = read_profile(&dir.join(&named.value), roster);
        read.map_err(|problem| {
            s.faults().at(named.span, format!("{} = {:?}: {problem}", s.key("profile"), named.value))
        })
        .ok()
    });
    s.finish();
    profile.map(Arc::new)
}

fn read_profile(path: &Path, roster: &Roster) -> Result<Profile, String> {
    let bytes = text::bytes(path, bounds::PROFILE_BYTES)
        .map_err(|e| format!("cannot be read: {e}; make it with `ringback learn`, or leave the key out"))?;
    let text =
        std::str::from_utf8(&bytes).map_err(|e| format!("is not UTF-8: {e}; make it again with `ringback learn`"))?;
    let profile = document::read(text).map_err(|e| e.to_string())?;
    let has_any = roster.numbers().any(|(_, n)| profile.numbers.contains_key(&n.id.e164));
    if has_any || roster.is_empty() {
        Ok(profile)
    } else {
        Err("has none of this configuration's numbers: make one of their call records with `ringback learn`".to_owned())
    }
}
