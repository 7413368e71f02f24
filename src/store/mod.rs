//! What survives a restart: how far the logs were read, what was seen, what was done.
//!
//! SQLite in WAL mode with `synchronous=FULL`: what was committed is on the disk. The statements
//! are plain SQL that PostgreSQL takes too, and everything else about the database stays in this
//! folder.
//!
//! * [`seen`]: entries of the logs and our numbers, as they were seen;
//! * [`journal`]: what was decided and done, each record chained to the one before;
//! * [`outbox`]: what people are told, until it is delivered and afterwards;
//! * [`probe`]: test calls and messages, noted before they are made;
//! * [`lease`]: who may act. Every write carries its fence, and a deposed holder's is refused.
//!
//! A database that several machines share would take the place of the file without a change elsewhere:
//! [`Store`]'s methods are its whole interface, none hands out a connection or a transaction, the lease is
//! a row with a fence that every write checks in its own transaction, and each table has a key that orders
//! it. What would differ is in [`Store::open`] (the pool, and `quick_check`), in `BEGIN IMMEDIATE`
//! (there `SELECT … FOR UPDATE` of the lease's row), and in [`lease`], whose lock on a file only says
//! sooner what the lease's time says anyway.
//!
//! Promises: a poll's observations and its cursor are committed together or not at all, so a
//! restart neither misses nor repeats anything. The journal is only ever appended to. Failures say
//! what an operator can do about them.

pub mod journal;
pub mod lease;
pub mod outbox;
pub mod probe;
pub mod seen;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use journal::{JournalRecord, Whole};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

/// An open state file. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: SqlitePool,
    path: PathBuf,
    /// Of the lease under which we write; 0 without one.
    fence: Arc<AtomicI64>,
    /// Milliseconds since the epoch until which the lease is ours.
    lease_until: Arc<AtomicI64>,
    /// Held while we lead.
    lock: Arc<Mutex<Option<File>>>,
}

/// What the state file could not do, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{doing} ({path}): {problem}")]
pub struct StoreError {
    pub doing: &'static str,
    pub path: String,
    pub problem: StoreProblem,
    pub cure: &'static str,
    #[source]
    pub source: Option<sqlx::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreProblem {
    #[error("the state file is locked by another process")]
    Locked,
    #[error("the disk is full")]
    Full,
    #[error("the state file or its folder cannot be written")]
    ReadOnly,
    #[error("the state file is damaged")]
    Damaged,
    #[error("the journal is broken at record {0}")]
    BrokenAt(i64),
    #[error("another agent has taken over")]
    LeaseLost,
    #[error("the state file is a newer Ringback's")]
    Newer,
    #[error("the state file is not Ringback's")]
    NotOurs,
    #[error("the state file cannot be opened")]
    CannotOpen,
    #[error("the disk failed")]
    Io,
    #[error("the database failed")]
    Other,
}

impl StoreProblem {
    const fn cure(self) -> &'static str {
        match self {
            StoreProblem::Locked => "stop the other process, or give this agent a state file of its own",
            StoreProblem::Full => "free some space; nothing is decided meanwhile",
            StoreProblem::ReadOnly => "give the agent's user write permission on the file and its folder",
            StoreProblem::LeaseLost => "nothing to do: this agent stops, the other one acts",
            StoreProblem::Damaged | StoreProblem::BrokenAt(_) => {
                "restore it from a backup, or move it away: the agent then starts without memory, and what it swapped \
                 before must be restored by hand"
            }
            StoreProblem::Newer => "start the newer version, or name another file in agent.state",
            StoreProblem::NotOurs => "name another file in agent.state",
            StoreProblem::CannotOpen => "check that the folder exists and may be entered",
            StoreProblem::Io => "check the disk and the file system",
            StoreProblem::Other => "see the cause below",
        }
    }

    fn of(e: &sqlx::Error) -> StoreProblem {
        let mut code = None;
        if let sqlx::Error::Database(e) = e {
            code = e.code().and_then(|c| c.parse::<i32>().ok());
        } else if let sqlx::Error::Migrate(e) = e {
            let is_newer = matches!(**e, sqlx::migrate::MigrateError::VersionMissing(_));
            return if is_newer { StoreProblem::Newer } else { StoreProblem::NotOurs };
        } else if let sqlx::Error::Io(e) = e {
            return if e.kind() == std::io::ErrorKind::StorageFull { StoreProblem::Full } else { StoreProblem::Io };
        }
        // The low byte is SQLite's primary result code: https://www.sqlite.org/rescode.html
        match code.map(|c| c & 0xff) {
            Some(5 | 6) => StoreProblem::Locked,
            Some(13) => StoreProblem::Full,
            Some(8) => StoreProblem::ReadOnly,
            Some(11) => StoreProblem::Damaged,
            Some(26) => StoreProblem::NotOurs,
            Some(14) => StoreProblem::CannotOpen,
            Some(10) => StoreProblem::Io,
            _ => StoreProblem::Other,
        }
    }
}

/// How long another process may hold the file before we give up: whatever cannot be written is tried
/// again anyway, and must not keep the lease from being renewed.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Rows in one INSERT: with four values each, far below SQLite's 32,766 and PostgreSQL's 65,535.
const ROWS_PER_INSERT: usize = 1000;

impl Store {
    /// Opens the file at `path`, making it if needed, checks that it is whole and brings its
    /// tables up to date.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        // One connection: the agent is the only writer and writes little, and so never waits for itself.
        let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
        let store = Store {
            pool,
            path: path.to_owned(),
            fence: Arc::default(),
            lease_until: Arc::default(),
            lock: Arc::default(),
        };
        let check: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&store.pool)
            .await
            .map_err(|e| store.error("opening the state file", e))?;
        if check != "ok" {
            return Err(store.fault("opening the state file", StoreProblem::Damaged, None));
        }
        sqlx::migrate!("src/store/migrations")
            .run(&store.pool)
            .await
            .map_err(|e| store.error("preparing the state file", e.into()))?;
        store.chain_old_records().await.map_err(|e| store.error("preparing the state file", e))?;
        Ok(store)
    }

    fn error(&self, doing: &'static str, e: sqlx::Error) -> StoreError {
        self.fault(doing, StoreProblem::of(&e), Some(e))
    }

    fn fault(&self, doing: &'static str, problem: StoreProblem, source: Option<sqlx::Error>) -> StoreError {
        let path = self.path.display().to_string();
        StoreError { doing, path, problem, cure: problem.cure(), source }
    }

    /// Writes everything out and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
