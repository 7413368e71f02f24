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
//! * [`lease`]: who may act. Every write carries its fence, and a deposed holder's is refused;
//! * `files`: whether the open files are the ones at the path. If not, nothing is written;
//! * `mark`: how far the journal has come, in a place that a backup does not take back.
//!
//! One connection writes. A few others only read, each statement from a snapshot of its own, so that a long
//! question never stands in the way of a write, nor a slow write in the way of a question. Long tables are read
//! in pages along their key.
//!
//! A database that several machines share would take the place of the file without a change elsewhere:
//! [`Store`]'s methods are its whole interface, none hands out a connection or a transaction, the lease is
//! a row with a fence that every write checks in its own transaction, and each table has a key that orders
//! it. What would differ is in [`Store::open`] (the pools, and `quick_check`), in `BEGIN IMMEDIATE`
//! (there `SELECT … FOR UPDATE` of the lease's row), and in [`lease`], whose lock on a file would be one of the
//! database's own.
//!
//! Promises: a poll's observations and its cursor are committed together or not at all, so a
//! restart neither misses nor repeats anything. The journal is only ever appended to. Failures say
//! what an operator can do about them.

mod files;
pub mod journal;
pub mod lease;
mod mark;
pub mod outbox;
pub mod probe;
pub mod seen;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Duration;

pub use journal::{ChainLink, JournalRecord, Whole};
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::{Mutex as Turn, MutexGuard};

use crate::clock::Clock;
use files::{Files, LOG_KEPT, problem_at};

/// The tables. There is one version of them. Listed by hand: the macro that lists a folder would have half of sqlx, and
/// SQLite, compiled a second time for the compiler's own use.
static SCHEMA: LazyLock<Migrator> = LazyLock::new(|| {
    let tables = SqlStr::from_static(include_str!("migrations/0001_schema.sql"));
    Migrator::with_migrations(vec![Migration::new(1, "schema".into(), MigrationType::Simple, tables, false)])
});

/// An open state file. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// One connection: the agent is the only writer and writes little.
    writer: SqlitePool,
    /// For whatever only reads: it waits for no write, and no write waits for it.
    readers: SqlitePool,
    /// To nothing at all: for whoever asks once the files must not be touched.
    nowhere: SqlitePool,
    commits: CommitCost,
    path: PathBuf,
    /// Of the lease under which we write; 0 without one.
    fence: Arc<AtomicI64>,
    /// Milliseconds since the epoch until which the lease is ours.
    lease_until: Arc<AtomicI64>,
    /// The same on the clock that only goes forward.
    lease_ends: Arc<AtomicU64>,
    /// The lease of another as it was last seen.
    watched: Arc<Mutex<lease::Watched>>,
    /// The journal's last record.
    seq: Arc<AtomicI64>,
    /// The hash of the journal's first record, by which one is told from another.
    first: Arc<OnceLock<String>>,
    /// No less than this stands in the lock and in the mark, until the journal says what it lacks.
    floor: Arc<AtomicI64>,
    /// What lock and mark said when we began to lead: the journal's last record, and whether the lock was of another
    /// state.
    found: Arc<Mutex<Option<(i64, bool)>>>,
    /// What is open; `None` where nothing can be written.
    files: Option<Arc<Files>>,
}

/// How long the journal takes to commit, on a clock that does not see the disk work.
///
/// In virtual time a commit is over in the instant in which it began, so an order of events that only a slow disk
/// brings about would never be met. With a cost, commits take turns as they do on one disk, each is durable when
/// its turn begins, and whoever asked for it hears so when the turn is over.
#[derive(Clone)]
pub struct CommitCost {
    clock: Clock,
    each: Duration,
    turn: Arc<Turn<()>>,
}

impl CommitCost {
    pub fn new(clock: Clock, each: Duration) -> CommitCost {
        CommitCost { clock, each, turn: Arc::default() }
    }

    /// What the disk takes and nothing more.
    pub fn none() -> CommitCost {
        CommitCost::new(Clock::system(), Duration::ZERO)
    }

    /// Waits for the commits before this one; `None` where commits cost nothing.
    async fn begin(&self) -> Option<MutexGuard<'_, ()>> {
        if self.each.is_zero() { None } else { self.clock.wait(None, self.turn.lock()).await }
    }

    async fn pay(&self, turn: Option<MutexGuard<'_, ()>>) {
        if turn.is_some() {
            self.clock.sleep(self.each).await;
        }
    }
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
    #[error("the state file was written by another version of Ringback")]
    OtherVersion,
    #[error("the state file is not Ringback's")]
    NotOurs,
    #[error("there is no state file yet")]
    Absent,
    #[error("the state file is empty: an agent that starts for the first time is preparing it, or it is no state")]
    Empty,
    #[error("the state file cannot be opened")]
    CannotOpen,
    #[error("the files that are open are not the ones at the path any more")]
    Moved,
    #[error("the state file cannot be used safely at this path")]
    BadPath,
    #[error("the lock beside the state file cannot be taken")]
    NoLock,
    #[error("the disk failed")]
    Io,
    #[error("the database failed")]
    Other,
}

impl StoreError {
    /// True if the state is still ours: what cannot be written now may be later.
    pub const fn is_passing(&self) -> bool {
        !matches!(self.problem, StoreProblem::LeaseLost | StoreProblem::Moved)
    }
}

impl StoreProblem {
    /// What to do about it.
    pub const fn cure(self) -> &'static str {
        match self {
            StoreProblem::Locked => "stop the other process, or give this agent a state file of its own",
            StoreProblem::Full => "free some space; nothing is decided meanwhile",
            StoreProblem::ReadOnly => "give the agent's user write permission on the file and its folder",
            StoreProblem::LeaseLost => "nothing to do: this agent stops, the other one acts",
            StoreProblem::Damaged | StoreProblem::BrokenAt(_) => {
                "restore it from a backup, or move it away: the agent then starts without memory, and what it swapped \
                 before must be restored by hand"
            }
            StoreProblem::OtherVersion => {
                "start the version that wrote it; or restore with it what is still swapped, and then name another file \
                 in agent.state"
            }
            StoreProblem::NotOurs => "name another file in agent.state",
            StoreProblem::Absent => "start an agent, which makes it; or name the configuration whose agent.state it is",
            StoreProblem::Empty => "ask again in a moment, or start an agent",
            StoreProblem::CannotOpen => "check that the folder exists and may be entered",
            StoreProblem::Moved => {
                "put the database, its -wal and -shm and the .lock back where they were while no agent runs, or the latest \
                 backup, and start the agent again; they are never touched while one runs"
            }
            StoreProblem::BadPath => "see the cause below",
            StoreProblem::NoLock => "let the agent's user read and write that file, or remove it while no agent runs",
            StoreProblem::Io => "check the disk and the file system",
            StoreProblem::Other => "see the cause below",
        }
    }

    fn of(e: &sqlx::Error) -> StoreProblem {
        let mut code = None;
        if let sqlx::Error::Database(e) = e {
            code = e.code().and_then(|c| c.parse::<i32>().ok());
        } else if let sqlx::Error::Migrate(e) = e {
            use sqlx::migrate::MigrateError::{VersionMismatch, VersionMissing};
            let is_other = matches!(**e, VersionMissing(_) | VersionMismatch(_));
            return if is_other { StoreProblem::OtherVersion } else { StoreProblem::NotOurs };
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

/// Connections that are opened once: one that were opened anew, after some time, might be to another file.
fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).max_lifetime(None).idle_timeout(None)
}

/// Rows in one INSERT: with five values each, far below SQLite's 32,766 and PostgreSQL's 65,535.
const ROWS_PER_INSERT: usize = 1000;

/// Connections that read: one for a long question, one for the short ones beside it.
const READERS: u32 = 2;

impl Store {
    /// Opens the file at `path`, making it if needed, and checks that it is whole and its tables are ours.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        Store::open_with(path, CommitCost::none()).await
    }

    /// The same, with a journal whose commits take time on a clock.
    pub async fn open_with(path: &Path, commits: CommitCost) -> Result<Store, StoreError> {
        let doing = "opening the state file";
        let bad = |why: String| {
            let source = Some(sqlx::Error::Configuration(why.into()));
            Store::refused(path, doing, StoreProblem::BadPath, source)
        };
        let place = Files::resolve(path).map_err(bad)?;
        keep_private(&place);
        let options = SqliteConnectOptions::new()
            .filename(&place)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", LOG_KEPT.to_string())
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let writer = pool(1).connect_lazy_with(options.clone());
        let mut store = Store::of(path, writer, Store::readers_of(&place), commits);
        store.check(&store.writer).await?;
        // What is gone from the path later is gone, and not made anew.
        store.writer.set_connect_options(options.create_if_missing(false));
        let doing = "preparing the state file";
        // An agent may have been stopped between making the list of versions and the tables themselves.
        let tables: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'",
        )
        .fetch_one(&store.writer)
        .await
        .map_err(|e| store.error(doing, e))?;
        if tables > 0 {
            store.check_schema(&store.writer).await?;
        } else {
            SCHEMA.run(&store.writer).await.map_err(|e| store.error(doing, e.into()))?;
        }
        let files = Files::opened(path).map_err(|e| store.error(doing, sqlx::Error::Io(e)))?;
        store.files = Some(Arc::new(files));
        Ok(store)
    }

    /// Opens a file that is there to read it, beside an agent or without one. Nothing can be written.
    pub async fn open_read_only(path: &Path) -> Result<Store, StoreError> {
        if let Some(problem) = problem_at(path) {
            let source = Some(sqlx::Error::Configuration(problem.into()));
            return Err(Store::refused(path, "opening the state file", StoreProblem::BadPath, source));
        }
        if std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return Err(Store::refused(path, "opening the state file", StoreProblem::Absent, None));
        }
        let readers = Store::readers_of(path);
        let store = Store::of(path, readers.clone(), readers, CommitCost::none());
        store.check(&store.readers).await?;
        store.check_schema(&store.readers).await?;
        Ok(store)
    }

    fn readers_of(path: &Path) -> SqlitePool {
        // An absolute path is never one of SQLite's own names, such as `:memory:`.
        let place = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let options = SqliteConnectOptions::new().filename(place).read_only(true).busy_timeout(BUSY_TIMEOUT);
        pool(READERS).connect_lazy_with(options)
    }

    fn of(path: &Path, writer: SqlitePool, readers: SqlitePool, commits: CommitCost) -> Store {
        Store {
            writer,
            readers,
            nowhere: pool(1).connect_lazy_with(SqliteConnectOptions::new().filename("/dev/null/nowhere")),
            commits,
            path: path.to_owned(),
            fence: Arc::default(),
            lease_until: Arc::default(),
            lease_ends: Arc::default(),
            watched: Arc::default(),
            seq: Arc::default(),
            first: Arc::default(),
            floor: Arc::default(),
            found: Arc::default(),
            files: None,
        }
    }

    fn writer(&self) -> &SqlitePool {
        if self.may_be_touched() { &self.writer } else { &self.nowhere }
    }

    fn readers(&self) -> &SqlitePool {
        if self.may_be_touched() { &self.readers } else { &self.nowhere }
    }

    /// False once the index of the log was cut off: it is mapped into memory, and whoever touches it ends the process.
    fn may_be_touched(&self) -> bool {
        self.files.as_ref().is_none_or(|files| !files.index_is_cut())
    }

    async fn check(&self, pool: &SqlitePool) -> Result<(), StoreError> {
        let doing = "opening the state file";
        let check: String =
            sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await.map_err(|e| self.error(doing, e))?;
        if check == "ok" { Ok(()) } else { Err(self.fault(doing, StoreProblem::Damaged, None)) }
    }

    /// The tables are those of this version, to the letter.
    async fn check_schema(&self, pool: &SqlitePool) -> Result<(), StoreError> {
        let doing = "opening the state file";
        let ledger: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
            .fetch_one(pool)
            .await
            .map_err(|e| self.error(doing, e))?;
        let others: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'",
        )
        .fetch_one(pool)
        .await
        .map_err(|e| self.error(doing, e))?;
        // An agent that starts for the first time makes the file, then the list of versions, then all tables at once.
        if others == 0 {
            return Err(self.fault(doing, StoreProblem::Empty, None));
        }
        if ledger == 0 {
            return Err(self.fault(doing, StoreProblem::NotOurs, None));
        }
        let has: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
                .fetch_all(pool)
                .await
                .map_err(|e| self.error(doing, e))?;
        let ours = SCHEMA.iter().map(|m| (m.version, m.checksum.as_ref()));
        if ours.eq(has.iter().map(|(version, checksum)| (*version, checksum.as_slice()))) {
            return Ok(());
        }
        Err(self.fault(doing, StoreProblem::OtherVersion, None))
    }

    fn error(&self, doing: &'static str, e: sqlx::Error) -> StoreError {
        self.fault(doing, StoreProblem::of(&e), Some(e))
    }

    fn fault(&self, doing: &'static str, problem: StoreProblem, source: Option<sqlx::Error>) -> StoreError {
        Store::refused(&self.path, doing, problem, source)
    }

    fn refused(path: &Path, doing: &'static str, problem: StoreProblem, source: Option<sqlx::Error>) -> StoreError {
        StoreError { doing, path: path.display().to_string(), problem, cure: problem.cure(), source }
    }

    /// Writes everything out and closes the file.
    pub async fn close(&self) {
        if !self.may_be_touched() {
            // SQLite would touch it once more: the connections stay open until the process ends.
            std::mem::forget(self.clone());
            return;
        }
        // The writer last: with the last connection SQLite takes the write-ahead log into the file.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Makes the file, and what SQLite keeps beside it, readable for the agent's user alone, whatever an earlier umask was:
/// numbers' URLs are in it with all their secrets. SQLite gives what it makes beside a file the modes of the file.
#[cfg(unix)]
fn keep_private(path: &Path) {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    // If it cannot be made, opening it says so.
    let _ = File::options().write(true).create_new(true).mode(0o600).open(path);
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let Ok(mode) = std::fs::metadata(&name).map(|m| m.permissions().mode() & 0o777) else { continue };
        if mode & 0o077 == 0 {
            continue;
        }
        let shown = Path::new(&name).display();
        match std::fs::set_permissions(&name, std::fs::Permissions::from_mode(mode & 0o700)) {
            Ok(()) => tracing::warn!(file = %shown, "others could read the state, which may have secrets: no longer"),
            Err(error) => tracing::error!(file = %shown, %error, cure = "chmod 600 it, as its owner",
                "others can read the state, which may have secrets"),
        }
    }
}

#[cfg(not(unix))]
fn keep_private(_: &Path) {}

#[cfg(test)]
mod tests;
