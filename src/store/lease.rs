//! One actor: the lease on the state, and its fence.
//!
//! Who holds the lease may act, until a stated time. It is renewed long before; whoever does not
//! renew it loses it. The fence is a number that rises with every new holder and goes into every
//! write to the state: a holder who was deposed without noticing is refused there.
//!
//! The lease is a row in the state itself, and nobody leads without the lock beside the state ([`files`]), which the
//! operating system drops when its holder's process ends, however it ends. Who finds the lock free, and in it that its
//! last holder had this very lease, takes the lease at once. Who finds it in other hands looks on: a holder that lives
//! renews its lease. One that has not done so for as long as a lease lasts hangs, and its lock is replaced, which it
//! finds before it writes anything. One that renews elsewhere, in files that are no longer at the path, has stopped by
//! then.
//!
//! How long the lease is still ours is told by two clocks, and the shorter time counts: the machine's, which may be
//! set back, and the one that only goes forward, which may stand still while the machine sleeps.
//!
//! [`files`]: super::files

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{Sqlite, Transaction};

use super::files::{Lock, LockRecord};
use super::{Store, StoreError, StoreProblem};
use crate::core::model::time::Time;

/// How long a lease is good for. Renewed at every third of it.
pub const LEASE: Duration = Duration::from_secs(30);

/// A lease that nobody has renewed for so long, and whose lock is held all the same, is a process's that hangs: what
/// it may still have had under way is over too.
const HANGS: Duration = Duration::from_secs(LEASE.as_secs() + 5);

/// The largest write-ahead log that is left as it is.
const LARGEST_LOG: u64 = 64 << 20;

/// The lease's row as it was last seen, and since when: fence and end.
pub(super) type Watched = Option<(Option<(i64, i64)>, Duration)>;

/// What came of asking for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseReply {
    /// We lead, until then.
    Acquired(Time),
    /// Somebody else does.
    HeldBy { by: String, until: Time },
}

/// What a write does about another process that holds the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Waits for its turn before it reads anything.
    Waits,
    /// Fails: it is repeated anyway.
    Repeats,
}

impl Patience {
    const fn begin(self) -> &'static str {
        match self {
            Patience::Waits => "BEGIN IMMEDIATE",
            Patience::Repeats => "BEGIN",
        }
    }
}

/// Why nothing was written.
pub(super) enum Unwritten {
    Deposed,
    /// The files that are open are not the ones at the path.
    Lost,
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Unwritten {
    fn from(e: sqlx::Error) -> Unwritten {
        Unwritten::Failed(e)
    }
}

impl Store {
    /// A transaction that writes, and the fence under which it does: if the lease is still ours.
    pub(super) async fn begin(&self, patience: Patience) -> Result<(Transaction<'static, Sqlite>, i64), Unwritten> {
        if !self.is_at_its_path() {
            return Err(Unwritten::Lost);
        }
        let fence = self.fence();
        let mut tx = self.transaction(patience.begin()).await?;
        let now: Option<i64> =
            sqlx::query_scalar("SELECT fence FROM lease WHERE id = 1").fetch_optional(&mut *tx).await?;
        if fence > 0 && now == Some(fence) { Ok((tx, fence)) } else { Err(Unwritten::Deposed) }
    }

    /// A full disk makes SQLite end a transaction by itself, of which its connection here does not know: it
    /// takes the next one for a nested one, and is replaced.
    async fn transaction(&self, begin: &'static str) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        match self.writer().begin_with(begin).await {
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer().acquire().await?.close().await?;
                let begun = self.writer().begin_with(begin).await;
                if let Some(files) = &self.files {
                    files.reopened();
                }
                begun
            }
            begun => begun,
        }
    }

    pub(super) fn unwritten(&self, doing: &'static str, why: Unwritten) -> StoreError {
        match why {
            Unwritten::Deposed => self.fault(doing, StoreProblem::LeaseLost, None),
            Unwritten::Lost => self.fault(doing, StoreProblem::Moved, None),
            Unwritten::Failed(e) => self.error(doing, e),
        }
    }

    /// Asks for the lease in the name of `holder`.
    pub async fn lead(&self, holder: &str, now: Time) -> Result<LeaseReply, StoreError> {
        let doing = "taking the lease";
        if !self.is_at_its_path() {
            return Err(self.fault(doing, StoreProblem::Moved, None));
        }
        let Some(files) = &self.files else { return Err(self.fault(doing, StoreProblem::ReadOnly, None)) };
        let began = self.monotonic();
        let no_lock = |e| self.fault(doing, StoreProblem::NoLock, Some(sqlx::Error::Io(e)));
        let lock = files.lock().map_err(no_lock)?;
        let run = async {
            let mut tx = self.transaction("BEGIN IMMEDIATE").await?;
            let row: Option<(String, i64, i64)> =
                sqlx::query_as("SELECT holder, fence, expires_ms FROM lease WHERE id = 1")
                    .fetch_optional(&mut *tx)
                    .await?;
            let seq: Option<i64> =
                sqlx::query_scalar("SELECT seq FROM journal_head WHERE id = 1").fetch_optional(&mut *tx).await?;
            let first: Option<String> =
                sqlx::query_scalar("SELECT hash FROM journal WHERE seq = 1").fetch_optional(&mut *tx).await?;
            let hangs = self.has_watched(row.as_ref().map(|(_, fence, until)| (*fence, *until)), began) >= HANGS;
            let is_over = row.as_ref().is_none_or(|(_, _, until)| *until <= now.as_millis());
            let record = match &lock {
                Lock::Ours(record) => record.clone(),
                Lock::Theirs => None,
            };
            let may_lead = match &lock {
                Lock::Theirs => hangs,
                Lock::Ours(record) => {
                    // It stands there before the lease does: its holder may have been stopped in between.
                    let is_last = |record: &LockRecord, fence: i64| files.is_of_this(record) && record.fence >= fence;
                    let by_record =
                        row.as_ref().zip(record.as_ref()).is_some_and(|((_, fence, _), r)| is_last(r, *fence));
                    is_over || by_record || hangs
                }
            };
            if !may_lead {
                let nobody = || ("a process that has the lock beside the state".to_owned(), 0, now.as_millis());
                let (by, _, until) = row.unwrap_or_else(nobody);
                return Ok(Ok(LeaseReply::HeldBy { by, until: Time::from_millis(until) }));
            }
            if matches!(lock, Lock::Theirs)
                && let Err(error) = files.take_lock_over()
            {
                return Ok(Err(error));
            }
            // Fences rise, whatever was restored from where.
            let last = row.map_or(0, |(_, fence, _)| fence).max(record.as_ref().map_or(0, |r| r.fence));
            let until = now + LEASE;
            self.seq.store(seq.unwrap_or(0), Ordering::Release);
            let marked = first.as_deref().and_then(|first| files.mark.highest(first));
            if let Some(first) = first {
                let _ = self.first.set(first);
            }
            if let Some(had) = record.as_ref().map(|r| r.seq).max(marked) {
                let is_copy = record.is_some_and(|r| !files.is_of_this(&r));
                self.floor.store(had, Ordering::Release);
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some((had, is_copy));
            }
            self.note_in_lock(last + 1);
            sqlx::query(
                "INSERT INTO lease (id, holder, fence, expires_ms) VALUES (1, $1, $2, $3)
                 ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, fence = excluded.fence, expires_ms = excluded.expires_ms",
            )
            .bind(holder)
            .bind(last + 1)
            .bind(until.as_millis())
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            self.fence.store(last + 1, Ordering::Release);
            self.is_ours_until(until, began);
            Ok(Ok(LeaseReply::Acquired(until)))
        };
        run.await.map_err(|e| self.error(doing, e))?.map_err(no_lock)
    }

    /// For how long the lease's row has been as it is.
    fn has_watched(&self, row: Option<(i64, i64)>, at: Duration) -> Duration {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match &*watched {
            Some((seen, since)) if *seen == row => at.saturating_sub(*since),
            Some(_) | None => {
                *watched = Some((row, at));
                Duration::ZERO
            }
        }
    }

    /// What the journal lacks of what the lock or the mark says that it had, if it lacks any.
    pub fn behind(&self) -> Option<Behind> {
        let found = *self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let (had, _) = found?;
        let has = self.seq.load(Ordering::Acquire);
        (had > has).then_some(Behind { has, had })
    }

    /// True if the lock beside the state is of another state of this name: the folder was copied, or the file
    /// restored.
    pub fn is_copy(&self) -> bool {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|(_, is_copy)| is_copy)
    }

    /// The journal says what it lacks: the next agent need not find it again.
    pub fn behind_is_noted(&self) {
        self.floor.store(0, Ordering::Release);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.note_in_lock(self.fence());
    }

    fn is_ours_until(&self, until: Time, began: Duration) {
        let ends = u64::try_from((began + LEASE).as_millis()).unwrap_or(u64::MAX);
        self.lease_ends.store(ends, Ordering::Release);
        self.lease_until.store(until.as_millis(), Ordering::Release);
    }

    /// Writes into the lock, and beside it, how far the journal has come.
    pub(super) fn note_in_lock(&self, fence: i64) {
        let seq = self.seq.load(Ordering::Acquire).max(self.floor.load(Ordering::Acquire));
        if let Some(files) = &self.files
            && let Err(error) = files.write_record(fence, seq)
        {
            tracing::warn!(%error, "the lock beside the state cannot be written: the next agent waits for the lease to end");
        }
        if let (Some(files), Some(first)) = (&self.files, self.first.get())
            && let Err(error) = files.mark.note(first, seq)
        {
            tracing::warn!(%error, "how far the journal has come cannot be marked: a backup may not be known for one");
        }
    }

    /// Prolongs the lease. `None` if it is no longer ours. Fails for good where the files are not the ones at the
    /// path.
    pub async fn renew(&self, now: Time) -> Result<Option<Time>, StoreError> {
        let doing = "renewing the lease";
        let began = self.monotonic();
        let until = now + LEASE;
        if !self.is_at_its_path() {
            return Err(self.fault(doing, StoreProblem::Moved, None));
        }
        let done = sqlx::query("UPDATE lease SET expires_ms = $1 WHERE id = 1 AND fence = $2")
            .bind(until.as_millis())
            .bind(self.fence())
            .execute(self.writer())
            .await
            .map_err(|e| self.error(doing, e))?;
        if done.rows_affected() == 0 {
            self.lease_until.store(0, Ordering::Release);
            return Ok(None);
        }
        // What was written may have gone into files that were taken away meanwhile.
        if !self.is_at_its_path() {
            return Err(self.fault(doing, StoreProblem::Moved, None));
        }
        self.is_ours_until(until, began);
        self.note_in_lock(self.fence());
        Ok(Some(until))
    }

    /// Takes a write-ahead log that has become large into the database, and cuts it off. Readers that stand in its way
    /// are not waited for: it is tried again.
    pub async fn shorten_log(&self) -> Result<(), StoreError> {
        let Some(files) = self.files.as_ref().filter(|files| files.log_size() > LARGEST_LOG) else { return Ok(()) };
        files.log_is_taken_in();
        let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(self.writer()).await;
        files.log_was_taken_in();
        done.map(drop).map_err(|e| self.error("taking the write-ahead log into the state file", e))
    }

    /// Gives the lease back, so that the next holder need not wait.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.lease_until.store(0, Ordering::Release);
        let given = sqlx::query("UPDATE lease SET expires_ms = 0 WHERE id = 1 AND fence = $1")
            .bind(self.fence())
            .execute(self.writer())
            .await;
        if let Some(files) = &self.files {
            files.unlock();
        }
        given.map(drop).map_err(|e| self.error("giving the lease back", e))
    }

    /// How long the lease is still ours, as far as we know. Nothing once the files are not the ones at the path.
    pub fn lease_left(&self, now: Time) -> Duration {
        if self.is_at_its_path() { self.lease_term(now) } else { Duration::ZERO }
    }

    /// The same without a look at the files.
    pub fn lease_term(&self, now: Time) -> Duration {
        let ends = Duration::from_millis(self.lease_ends.load(Ordering::Acquire));
        let left = ends.saturating_sub(self.monotonic());
        Time::from_millis(self.lease_until.load(Ordering::Acquire)).since(now).min(left)
    }

    /// The journal's last record.
    pub fn records(&self) -> i64 {
        self.seq.load(Ordering::Acquire)
    }

    pub(super) fn fence(&self) -> i64 {
        self.fence.load(Ordering::Acquire)
    }

    fn monotonic(&self) -> Duration {
        self.commits.clock.monotonic()
    }

    /// True while the files that are open are the ones at the path.
    pub fn is_at_its_path(&self) -> bool {
        self.files.as_ref().is_none_or(|files| files.are_ours())
    }

    /// True if the lease in the files that are open is another's.
    pub async fn is_deposed(&self) -> bool {
        let fence: Result<Option<i64>, _> =
            sqlx::query_scalar("SELECT fence FROM lease WHERE id = 1").fetch_optional(self.readers()).await;
        matches!(fence, Ok(Some(fence)) if fence != self.fence())
    }

    /// Waits until that is found not to be so. Says what has become of them.
    pub async fn lost(&self) -> String {
        match &self.files {
            Some(files) => {
                files.wait_for_loss().await;
                files.lost().unwrap_or_default().to_owned()
            }
            None => std::future::pending().await,
        }
    }
}

/// The journal's last record, and the last that it once had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    pub has: i64,
    pub had: i64,
}
