//! What survives a restart: how far the logs were read, what was seen, what was done.
//!
//! SQLite in WAL mode with `synchronous=FULL`: what was committed is on the disk. The statements
//! are plain SQL that PostgreSQL takes too, and everything else about the database stays in this
//! folder.
//!
//! * [`journal`]: what was decided and done, each record chained to the one before;
//! * [`outbox`]: what people are told, until it is delivered and afterwards;
//! * [`lease`]: who may act. Every write carries its fence, and a deposed holder's is refused.
//!
//! Promises: a poll's observations and its cursor are committed together or not at all, so a
//! restart neither misses nor repeats anything. The journal is only ever appended to. Failures say
//! what an operator can do about them.

pub mod journal;
pub mod lease;
pub mod outbox;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{QueryBuilder, Row, Sqlite, Transaction};

use crate::core::engine::Source;
use crate::core::observation::Observation;
use crate::core::time::Time;

pub use journal::{Record, Whole};

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
    pub problem: Problem,
    pub cure: &'static str,
    #[source]
    pub source: Option<sqlx::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
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
    Deposed,
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

impl Problem {
    const fn cure(self) -> &'static str {
        match self {
            Problem::Locked => "stop the other process, or give this agent a state file of its own",
            Problem::Full => "free some space; nothing is decided meanwhile",
            Problem::ReadOnly => "give the agent's user write permission on the file and its folder",
            Problem::Deposed => "nothing to do: this agent stops, the other one acts",
            Problem::Damaged | Problem::BrokenAt(_) => {
                "restore it from a backup, or move it away: the agent then starts without memory, and what it swapped \
                 before must be restored by hand"
            }
            Problem::Newer => "start the newer version, or name another file in agent.state",
            Problem::NotOurs => "name another file in agent.state",
            Problem::CannotOpen => "check that the folder exists and may be entered",
            Problem::Io => "check the disk and the file system",
            Problem::Other => "see the cause below",
        }
    }

    fn of(e: &sqlx::Error) -> Problem {
        let mut code = None;
        if let sqlx::Error::Database(e) = e {
            code = e.code().and_then(|c| c.parse::<i32>().ok());
        } else if let sqlx::Error::Migrate(e) = e {
            let is_newer = matches!(**e, sqlx::migrate::MigrateError::VersionMissing(_));
            return if is_newer { Problem::Newer } else { Problem::NotOurs };
        } else if let sqlx::Error::Io(e) = e {
            return if e.kind() == std::io::ErrorKind::StorageFull { Problem::Full } else { Problem::Io };
        }
        // The low byte is SQLite's primary result code: https://www.sqlite.org/rescode.html
        match code.map(|c| c & 0xff) {
            Some(5 | 6) => Problem::Locked,
            Some(13) => Problem::Full,
            Some(8) => Problem::ReadOnly,
            Some(11) => Problem::Damaged,
            Some(26) => Problem::NotOurs,
            Some(14) => Problem::CannotOpen,
            Some(10) => Problem::Io,
            _ => Problem::Other,
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
            return Err(store.fault("opening the state file", Problem::Damaged, None));
        }
        sqlx::migrate!("src/store/migrations")
            .run(&store.pool)
            .await
            .map_err(|e| store.error("preparing the state file", e.into()))?;
        store.chain_old_records().await.map_err(|e| store.error("preparing the state file", e))?;
        Ok(store)
    }

    fn error(&self, doing: &'static str, e: sqlx::Error) -> StoreError {
        self.fault(doing, Problem::of(&e), Some(e))
    }

    fn fault(&self, doing: &'static str, problem: Problem, source: Option<sqlx::Error>) -> StoreError {
        let path = self.path.display().to_string();
        StoreError { doing, path, problem, cure: problem.cure(), source }
    }

    /// Writes what a poll brought and how far it got, together.
    pub async fn commit_poll(
        &self,
        source: Source,
        polled_at: Time,
        seen: &[(Time, Observation)],
    ) -> Result<(), StoreError> {
        let doing = "writing what a poll brought";
        let fence = self.fence();
        let run = async {
            // A poll that meets a lock is repeated; it does not wait for it.
            let mut tx = self.pool.begin().await?;
            if !journal::is_leading(&mut tx, fence).await? {
                return Ok(false);
            }
            let next: i64 =
                sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) + 1 FROM observation").fetch_one(&mut *tx).await?;
            for (i, chunk) in seen.chunks(ROWS_PER_INSERT).enumerate() {
                let first = next + (i * ROWS_PER_INSERT) as i64;
                insert_observations(&mut tx, first, chunk).await?;
            }
            sqlx::query(
                "INSERT INTO cursor (source, polled_ms) VALUES ($1, $2)
                 ON CONFLICT (source) DO UPDATE SET polled_ms = excluded.polled_ms",
            )
            .bind(source.label())
            .bind(polled_at.as_millis())
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(true)
        };
        match run.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.fault(doing, Problem::Deposed, None)),
            Err(e) => Err(self.error(doing, e)),
        }
    }

    /// When `source` was last read in full; `None` if never.
    pub async fn cursor(&self, source: Source) -> Result<Option<Time>, StoreError> {
        let ms: Option<i64> = sqlx::query_scalar("SELECT polled_ms FROM cursor WHERE source = $1")
            .bind(source.label())
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.error("reading how far the logs were read", e))?;
        Ok(ms.map(Time::from_millis))
    }

    /// Hands every observation seen since `since` to `take`, in the order in which they were seen.
    /// A row that cannot be read is left out and counted in the result.
    pub async fn observations(
        &self,
        since: Time,
        mut take: impl FnMut(Time, Observation),
    ) -> Result<usize, StoreError> {
        let doing = "reading what was seen before";
        let mut bad = 0;
        let mut after = 0i64;
        loop {
            let rows = sqlx::query(
                "SELECT seq, seen_ms, body FROM observation WHERE seen_ms >= $1 AND seq > $2 ORDER BY seq LIMIT 10000",
            )
            .bind(since.as_millis())
            .bind(after)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.error(doing, e))?;
            let Some(last) = rows.last() else {
                return Ok(bad);
            };
            after = last.get(0);
            for row in &rows {
                match serde_json::from_str(row.get(2)) {
                    Ok(observation) => take(Time::from_millis(row.get(1)), observation),
                    Err(e) => {
                        bad += 1;
                        tracing::warn!(seq = row.get::<i64, _>(0), error = %e, "a stored observation cannot be read");
                    }
                }
            }
        }
    }

    /// Forgets observations seen before `before`.
    pub async fn prune(&self, before: Time) -> Result<u64, StoreError> {
        sqlx::query("DELETE FROM observation WHERE seen_ms < $1")
            .bind(before.as_millis())
            .execute(&self.pool)
            .await
            .map(|done| done.rows_affected())
            .map_err(|e| self.error("forgetting old observations", e))
    }

    /// Writes everything out and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn insert_observations(
    tx: &mut Transaction<'_, Sqlite>,
    first: i64,
    seen: &[(Time, Observation)],
) -> Result<(), sqlx::Error> {
    let mut bodies = Vec::with_capacity(seen.len());
    for (_, observation) in seen {
        bodies.push(serde_json::to_string(observation).map_err(|e| sqlx::Error::Encode(e.into()))?);
    }
    let rows = seen.iter().zip(bodies).enumerate();
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO observation (seq, seen_ms, kind, body) ");
    insert.push_values(rows, |mut row, (i, ((at, observation), body))| {
        let kind = match observation {
            Observation::Call(_) => "call",
            Observation::Message(_) => "message",
            Observation::Alert(_) => "alert",
            Observation::Probe(_) => "probe",
            Observation::Number(_) => "number",
        };
        row.push_bind(first + i as i64).push_bind(at.as_millis()).push_bind(kind).push_bind(body);
    });
    // The statement's text depends on the number of rows: preparing each for reuse would fill the cache.
    insert.build().persistent(false).execute(&mut **tx).await.map(|_| ())
}
