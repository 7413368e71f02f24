//! One actor: the lease on the state, and its fence.
//!
//! Who holds the lease may act, until a stated time. It is renewed long before; whoever does not
//! renew it loses it. The fence is a number that rises with every new holder and goes into every
//! write to the state: a holder who was deposed without noticing is refused there.
//!
//! The lease is a row in the state itself, so a database that several machines share needs nothing
//! else. On one machine there is a quicker way to know that a holder is gone: the operating system
//! drops its lock on the file beside the state when its process ends, however it ends. With that
//! lock in hand the lease is taken at once; without it, when its time is over.

use std::fs::File;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{Sqlite, Transaction};

use super::{Store, StoreError, StoreProblem};
use crate::core::model::time::Time;

/// How long a lease is good for. Renewed at every third of it.
pub const LEASE: Duration = Duration::from_secs(30);

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
        let fence = self.fence();
        let mut tx = self.transaction(patience.begin()).await?;
        let now: Option<i64> =
            sqlx::query_scalar("SELECT fence FROM lease WHERE id = 1").fetch_optional(&mut *tx).await?;
        if fence > 0 && now == Some(fence) { Ok((tx, fence)) } else { Err(Unwritten::Deposed) }
    }

    /// A full disk makes SQLite end a transaction by itself, of which its connection here does not know: it
    /// takes the next one for a nested one, and is replaced.
    async fn transaction(&self, begin: &'static str) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        match self.writer.begin_with(begin).await {
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                self.writer.begin_with(begin).await
            }
            begun => begun,
        }
    }

    pub(super) fn unwritten(&self, doing: &'static str, why: Unwritten) -> StoreError {
        match why {
            Unwritten::Deposed => self.fault(doing, StoreProblem::LeaseLost, None),
            Unwritten::Failed(e) => self.error(doing, e),
        }
    }

    /// Asks for the lease in the name of `holder`.
    pub async fn lead(&self, holder: &str, now: Time) -> Result<LeaseReply, StoreError> {
        let doing = "taking the lease";
        let is_alone = self.lock_file();
        let run = async {
            let mut tx = self.transaction("BEGIN IMMEDIATE").await?;
            let row: Option<(String, i64, i64)> =
                sqlx::query_as("SELECT holder, fence, expires_ms FROM lease WHERE id = 1")
                    .fetch_optional(&mut *tx)
                    .await?;
            let last = match row {
                Some((by, _, until)) if until > now.as_millis() && !is_alone => {
                    return Ok(LeaseReply::HeldBy { by, until: Time::from_millis(until) });
                }
                Some((_, fence, _)) => fence,
                None => 0,
            };
            let until = now + LEASE;
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
            self.lease_until.store(until.as_millis(), Ordering::Release);
            Ok(LeaseReply::Acquired(until))
        };
        run.await.map_err(|e| self.error(doing, e))
    }

    /// Prolongs the lease. `None` if it is no longer ours.
    pub async fn renew(&self, now: Time) -> Result<Option<Time>, StoreError> {
        let until = now + LEASE;
        let done = sqlx::query("UPDATE lease SET expires_ms = $1 WHERE id = 1 AND fence = $2")
            .bind(until.as_millis())
            .bind(self.fence())
            .execute(&self.writer)
            .await
            .map_err(|e| self.error("renewing the lease", e))?;
        if done.rows_affected() == 0 {
            self.lease_until.store(0, Ordering::Release);
            return Ok(None);
        }
        self.lease_until.store(until.as_millis(), Ordering::Release);
        Ok(Some(until))
    }

    /// Gives the lease back, so that the next holder need not wait.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.lease_until.store(0, Ordering::Release);
        sqlx::query("UPDATE lease SET expires_ms = 0 WHERE id = 1 AND fence = $1")
            .bind(self.fence())
            .execute(&self.writer)
            .await
            .map_err(|e| self.error("giving the lease back", e))?;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }

    /// How long the lease is still ours, as far as we know.
    pub fn lease_left(&self, now: Time) -> Duration {
        Time::from_millis(self.lease_until.load(Ordering::Acquire)).since(now)
    }

    pub(super) fn fence(&self) -> i64 {
        self.fence.load(Ordering::Acquire)
    }

    /// Takes the lock beside the state file. True if no other process of this machine has it.
    fn lock_file(&self) -> bool {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() {
            return true;
        }
        let path = self.path.with_extension("lock");
        let Ok(file) = File::options().create(true).truncate(false).write(true).open(path) else {
            // Without it the lease's time decides.
            return false;
        };
        let is_ours = file.try_lock().is_ok();
        if is_ours {
            *lock = Some(file);
        }
        is_ours
    }
}
