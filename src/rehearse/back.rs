//! The way back: a drill's number as it was before, wherever the drill ended.
//!
//! It needs the note and the account, and nothing else of the configuration: that may have changed since.
//! Twilio's trouble is waited out for some minutes. What nobody but a drill can have left is written over;
//! what somebody else changed since is reported, and written over only if forced (law 7).
//!
//! Promises: the note is removed only when the number was seen to be as it was, twice, a few seconds apart:
//! a request of ours that was cut off may still take effect after the first look. One drill at a time holds
//! the lock, so that none puts back what another has just begun.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::note::{self, Note};
use super::{DrillError, STATE};
use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::config::{Config, span_text};
use crate::core::model::decision::Mode;
use crate::core::model::id::{Channel, E164};
use crate::core::routing::values::RoutingValues;
use crate::file;
use crate::metrics::Metrics;
use crate::twilio::{Client, Error};

/// Before the second look.
const LATE: Duration = Duration::from_secs(5);

/// Between tries: the first pause, which doubles, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Trouble that lasts longer needs a person.
const PATIENCE: Duration = Duration::from_secs(300);

/// Writes that Twilio takes and that change nothing, at the most.
const WRITES: u32 = 12;

/// What puts a number back.
pub struct RestoreGuard {
    client: Client,
    clock: Clock,
    note: PathBuf,
    /// Held for as long as this lives; the system gives it back after a crash.
    _alone: File,
}

/// What one try came to.
enum Try {
    AsBefore,
    Written,
}

/// Why one try came to nothing.
enum Trouble {
    Passing(Error),
    Lasting(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        if error.is_passing() {
            Trouble::Passing(error)
        } else {
            Trouble::Lasting(format!("{error}; {}", error.cure()))
        }
    }
}

impl RestoreGuard {
    /// Refused while another drill is under way.
    pub fn new(config: &Config, clock: &Clock) -> Result<RestoreGuard, DrillError> {
        let note = note_beside(&config.agent.state);
        let failed = |source| DrillError::Note { path: note.clone(), source };
        let lock = file::open_own(File::options().create(true).truncate(false).write(true), &lock_of(&note))
            .map_err(failed)?;
        if is_taken(&lock) {
            let why = "another drill is under way on this machine; wait for its end, or stop it with Ctrl-C";
            return Err(DrillError::Refused(why.to_owned()));
        }
        let roster = Arc::new(config.roster.clone());
        let metrics = Metrics::new(&roster, Mode::Auto);
        let client = Client::new(config.twilio.clone(), roster, CallerKey::public(), clock.clone(), metrics)
            .map_err(|e| DrillError::Http(e.to_string()))?;
        Ok(RestoreGuard { client, clock: clock.clone(), note, _alone: lock })
    }

    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Makes sure of the way back, before the first change.
    pub fn note(&self, note: &Note) -> Result<(), DrillError> {
        note.write(&self.note).map_err(|source| DrillError::Note { path: self.note.clone(), source })
    }

    /// Puts back what an earlier drill left, if it did. Says which number that was.
    pub async fn recover(&self, force: bool) -> Result<Option<E164>, DrillError> {
        let failed = |source| DrillError::Note { path: self.note.clone(), source };
        let Some(note) = Note::read(&self.note).map_err(failed)? else { return Ok(None) };
        self.put_back(&note, force).await?;
        Ok(Some(note.number.e164))
    }

    /// Gives the number the routing of the note, and looks until it is there to stay.
    pub async fn put_back(&self, note: &Note, force: bool) -> Result<(), DrillError> {
        let failed = |why| DrillError::NotPutBack { number: note.number.e164, why, note: self.note.clone() };
        let (whose, ours) = (note.number.account, self.client.account());
        if whose != ours {
            return Err(failed(format!("it is of account {whose}, and the configuration names account {ours}")));
        }
        let before = RoutingValues::read(note.record.whole(), Channel::Voice).map_err(|e| failed(e.to_string()))?;
        let until = self.clock.now() + PATIENCE;
        let mut pause = PAUSE.0;
        let (mut was_seen, mut writes) = (false, 0);
        loop {
            let left = until.since(self.clock.now());
            match self.attempt(note, &before, force).await {
                Ok(Try::AsBefore) if was_seen => break,
                Ok(Try::AsBefore) => {
                    was_seen = true;
                    self.clock.sleep(LATE).await;
                    continue;
                }
                // Whatever the time: a write deserves a look.
                Ok(Try::Written) if writes < WRITES => writes += 1,
                Ok(Try::Written) => return Err(failed(format!("it was written {writes} times and is not as it was"))),
                Err(Trouble::Passing(error)) if !left.is_zero() => {
                    let left = span_text(Duration::from_secs(left.as_secs()));
                    tracing::error!(number = %note.number.e164, "not put back yet; trying for another {left}: {error}");
                }
                Err(Trouble::Passing(error)) => {
                    let status = "see https://status.twilio.com, and whether this machine reaches it";
                    return Err(failed(format!("{error}, for {} now; {status}", span_text(PATIENCE))));
                }
                Err(Trouble::Lasting(why)) => return Err(failed(why)),
            }
            was_seen = false;
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
        Note::remove(&self.note).map_err(|source| DrillError::Note { path: self.note.clone(), source })
    }

    async fn attempt(&self, note: &Note, before: &RoutingValues, force: bool) -> Result<Try, Trouble> {
        let read = self.client.number(note.sid, note.number.e164).await?;
        let now = RoutingValues::read(read.raw.whole(), Channel::Voice).map_err(|e| Trouble::Lasting(e.to_string()))?;
        if now == *before {
            return Ok(Try::AsBefore);
        }
        if let Some(foreign) = note.foreign(before, &now).filter(|_| !force) {
            return Err(Trouble::Lasting(format!(
                "somebody else changed it since the drill: {foreign}; if that shall stay, delete the note; if not, \
                 `ringback rehearse --put-back --force` writes over it"
            )));
        }
        self.client.update_spare_number(note.sid, note.number.e164, &note::back(before, &now)).await?;
        Ok(Try::Written)
    }
}

/// The note of a drill that was cut off and not put back, if there is one beside this configuration's state.
/// A drill that is under way is none.
pub fn cut_off(config: &Config) -> Option<PathBuf> {
    let note = note_beside(&config.agent.state);
    let is_under_way = || file::open(&lock_of(&note)).is_ok_and(|lock| is_taken(&lock));
    (note.exists() && !is_under_way()).then_some(note)
}

/// Takes the lock unless somebody has it. A file system without locks stops no drill.
fn is_taken(lock: &File) -> bool {
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
}

fn note_beside(state: &Path) -> PathBuf {
    state.with_file_name(STATE).with_extension("note.json")
}

fn lock_of(note: &Path) -> PathBuf {
    note.with_extension("lock")
}
