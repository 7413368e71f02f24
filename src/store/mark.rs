//! How far the journal has come, as the name of a file beside the state: a third witness.
//!
//! A backup of the whole folder that is put back over itself brings the database and the lock of one moment, and the
//! two agree: neither can say that there was more. What a copy does not do is take files away that it does not have. So
//! the journal's last record stands in the name of an empty file, `ringback.head-<journal>-<record>`, which is renamed
//! when the journal grows. After such a restore the mark of then and the mark of now lie beside each other, and the
//! higher one tells what is missing. Where the folder was emptied first, the lock names another file than the database.
//!
//! A mark belongs to the journal whose first record it names, so that whoever begins anew finds no fault with it. It is
//! a witness and no more: nothing fails where it cannot be written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::file;

/// So many digits of the hash of a journal's first record tell it from every other.
const NAMED_BY: usize = 12;

/// The mark beside a state.
pub(super) struct Mark {
    /// Of the state, without symbolic links.
    state: PathBuf,
    /// What was last noted.
    noted: Mutex<Option<(String, i64)>>,
}

impl Mark {
    pub fn beside(state: &Path) -> Mark {
        Mark { state: state.to_owned(), noted: Mutex::default() }
    }

    fn place(&self, journal: &str, seq: i64) -> PathBuf {
        self.state.with_extension(format!("head-{journal}-{seq}"))
    }

    /// All marks of this state that lie there: of which journal, and how far it had come.
    fn found(&self) -> Vec<(String, i64)> {
        let Some(folder) = self.state.parent() else { return Vec::new() };
        let stem = self.state.file_stem().unwrap_or_default().to_string_lossy().into_owned() + ".head-";
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let parse = |name: std::ffi::OsString| {
            let (journal, seq) = name.to_str()?.strip_prefix(&stem)?.split_once('-')?;
            Some((journal.to_owned(), seq.parse().ok().filter(|seq| *seq > 0)?))
        };
        names.filter_map(parse).collect()
    }

    /// How far the journal whose first record has this hash had come, as far as marks tell.
    pub fn highest(&self, first: &str) -> Option<i64> {
        let journal = named(first);
        self.found().into_iter().filter(|(of, _)| of == journal).map(|(_, seq)| seq).max()
    }

    /// Notes that the journal whose first record has this hash has come to `seq`.
    pub fn note(&self, first: &str, seq: i64) -> io::Result<()> {
        let journal = named(first);
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.as_ref().is_some_and(|(of, at)| of == journal && *at == seq) {
            return Ok(());
        }
        let place = self.place(journal, seq);
        let is_moved = match &*noted {
            Some((of, at)) => std::fs::rename(self.place(of, *at), &place).is_ok(),
            None => false,
        };
        if !is_moved {
            file::open_own(File::options().create(true).truncate(false).write(true), &place)?;
            // Those of before: higher ones were told. What another journal has left says so when that comes back.
            let others = self.found().into_iter().filter(|(of, at)| of == journal && *at != seq);
            for (of, at) in others {
                let _ = std::fs::remove_file(self.place(&of, at));
            }
        }
        *noted = Some((journal.to_owned(), seq));
        Ok(())
    }
}

fn named(first: &str) -> &str {
    first.get(..NAMED_BY).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_moves_with_its_journal_and_is_asked_by_no_other() {
        let folder = std::env::temp_dir().join(format!("ringback-mark-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let state = folder.join("ringback.db");
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(&folder)
                .unwrap()
                .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        std::fs::write(folder.join("ringback.head-of-another"), "").unwrap();
        let (ours, theirs) = ("aaaaaaaaaaaa1", "bbbbbbbbbbbb1");
        let mark = Mark::beside(&state);
        assert_eq!(mark.highest(ours), None);
        for seq in [3, 3, 4, 19] {
            mark.note(ours, seq).unwrap();
            assert_eq!(mark.highest(ours), Some(seq));
        }
        assert_eq!(names(), ["ringback.head-aaaaaaaaaaaa-19", "ringback.head-of-another"]);
        // The one of then beside the one of now.
        std::fs::write(folder.join("ringback.head-aaaaaaaaaaaa-4"), "").unwrap();
        let after = Mark::beside(&state);
        assert_eq!((after.highest(ours), after.highest(theirs)), (Some(19), None));
        after.note(ours, 5).unwrap();
        assert_eq!(names(), ["ringback.head-aaaaaaaaaaaa-5", "ringback.head-of-another"]);
        // One that somebody took away is made again.
        std::fs::remove_file(folder.join("ringback.head-aaaaaaaaaaaa-5")).unwrap();
        after.note(ours, 6).unwrap();
        assert_eq!(after.highest(ours), Some(6));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
