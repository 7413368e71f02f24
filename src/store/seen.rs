//! What was seen: entries of the logs in the order in which they came, and our numbers as last read.
//!
//! Kept for days, so that a decision can be made again from it ([`crate::core::explain`]), and read
//! at a start, so that nothing is missed or counted twice.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Row as _, Sqlite, SqliteConnection, Transaction};

use super::lease::Patience;
use super::{ROWS_PER_INSERT, Store, StoreError};
use crate::core::detect::observation::Observation;
use crate::core::model::id::{AccountSid, NumberId};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::model::value::whole_json;
use crate::core::routing::values::RoutingValues;

/// A place in the order in which an agent took things in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub(super) i64);

impl Place {
    /// Before everything that was ever taken in.
    pub const FIRST: Place = Place(0);
    /// After everything.
    pub const LAST: Place = Place(i64::MAX);

    /// This many places before.
    pub fn before(self, places: usize) -> Place {
        Place(self.0.saturating_sub(i64::try_from(places).unwrap_or(i64::MAX)))
    }
}

/// Something that an agent took in.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// In the logs of this account.
    Seen(AccountSid, Observation),
    /// The alert log had been read up to this instant.
    AlertsRead,
}

/// Where in the cursors it is said since when entries are kept in full.
const KEPT: &str = "kept";

impl Store {
    /// Writes what a poll brought and how far it got, together. Gives the place of the last of it.
    pub async fn commit_poll(
        &self,
        account: AccountSid,
        source: Source,
        polled_at: Time,
        seen: &[(Time, Observation)],
    ) -> Result<Place, StoreError> {
        let run = async {
            let (mut tx, _) = self.begin(Patience::Repeats).await?;
            let mut last = insert_observations(&mut tx, account, seen).await?;
            set_cursor(&mut tx, source.label(), polled_at.as_millis()).await?;
            if source == Source::Alerts {
                last += 1;
                sqlx::query("INSERT INTO alert_watermark (seq, polled_ms) VALUES ($1, $2)")
                    .bind(last)
                    .bind(polled_at.as_millis())
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok(Place(last))
        };
        run.await.map_err(|e| self.unwritten("writing what a poll brought", e))
    }

    /// Writes what was seen otherwise than by a poll. Gives the place of the last of it.
    pub async fn commit_seen(&self, account: AccountSid, seen: &[(Time, Observation)]) -> Result<Place, StoreError> {
        let run = async {
            let (mut tx, _) = self.begin(Patience::Repeats).await?;
            let last = insert_observations(&mut tx, account, seen).await?;
            tx.commit().await?;
            Ok(Place(last))
        };
        run.await.map_err(|e| self.unwritten("writing what a probe showed", e))
    }

    /// When `source` was last read in full; `None` if never.
    pub async fn cursor(&self, source: Source) -> Result<Option<Time>, StoreError> {
        self.polled(source.label()).await
    }

    async fn polled(&self, source: &'static str) -> Result<Option<Time>, StoreError> {
        let ms: Option<i64> = sqlx::query_scalar("SELECT polled_ms FROM cursor WHERE source = $1")
            .bind(source)
            .fetch_optional(self.readers())
            .await
            .map_err(|e| self.error("reading how far the logs were read", e))?;
        Ok(ms.map(Time::from_millis))
    }

    /// Hands all that was taken in since `since` to `take` with its place, in the order in which that was.
    /// A row that cannot be read is left out and counted in the result.
    pub async fn observations(
        &self,
        since: Time,
        mut take: impl FnMut(Place, Time, Input),
    ) -> Result<usize, StoreError> {
        let mut bad = 0usize;
        let mut example = None;
        let mut pages = self.inputs(since, Place::LAST).await?;
        while let Some((place, at, input)) = pages.next_stored().await? {
            match input {
                Ok(input) => take(place, at, input),
                Err(error) => {
                    bad += 1;
                    example.get_or_insert((at, error));
                }
            }
        }
        tell_unread(bad, example);
        Ok(bad)
    }

    /// Hands our numbers as they were read from `since` on and before `until` to `take`, in order.
    pub async fn numbers_read(
        &self,
        since: Time,
        until: Time,
        mut take: impl FnMut(Time, AccountSid, Observation),
    ) -> Result<(), StoreError> {
        let rows: Vec<Stored> = sqlx::query_as(
            "SELECT seq, seen_ms AS ms, account, body FROM observation
             WHERE kind IN ('number', 'absent') AND seen_ms >= $1 AND seen_ms < $2 ORDER BY seq",
        )
        .bind(since.as_millis())
        .bind(until.as_millis())
        .fetch_all(self.readers())
        .await
        .map_err(|e| self.error("reading what our numbers pointed at before", e))?;
        let (mut bad, mut example) = (0, None);
        for Stored { ms, account, body, .. } in rows {
            let at = Time::from_millis(ms);
            match read(&account, &body) {
                Ok((account, observation)) => take(at, account, observation),
                Err(error) => {
                    bad += 1;
                    example.get_or_insert((at, error));
                }
            }
        }
        tell_unread(bad, example);
        Ok(())
    }

    /// Forgets what was seen before `before`, in portions between which others write: most of it at once, if there is
    /// much, and the rest the next time.
    pub async fn prune(&self, before: Time) -> Result<(), StoreError> {
        let ms = before.as_millis();
        let run = async {
            for _ in 0..PORTIONS {
                let (mut tx, _) = self.begin(Patience::Repeats).await?;
                let mut gone = [0; FORGET.len()];
                for (portion, gone) in FORGET.into_iter().zip(&mut gone) {
                    *gone = sqlx::query(portion).bind(ms).bind(PORTION).execute(&mut *tx).await?.rows_affected();
                }
                if gone[0] > 0 {
                    set_cursor(&mut tx, KEPT, ms).await?;
                }
                tx.commit().await?;
                if gone.iter().all(|n| *n < PORTION.unsigned_abs()) {
                    break;
                }
            }
            Ok(())
        };
        run.await.map_err(|e| self.unwritten("forgetting old observations", e))
    }

    /// Since when everything that was seen is kept; `None` if nothing has been forgotten.
    pub async fn kept_since(&self) -> Result<Option<Time>, StoreError> {
        self.polled(KEPT).await
    }

    /// True if there is anything that was seen of callers, whose numbers are hashed in it.
    pub async fn has_seen_callers(&self) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM observation WHERE kind NOT IN ('number', 'absent', 'others_call'))",
        )
        .fetch_one(self.readers())
        .await
        .map_err(|e| self.error(READING, e))
    }

    /// The last place at which something was taken in.
    pub async fn last_place(&self) -> Result<Place, StoreError> {
        let mut db = self.readers().acquire().await.map_err(|e| self.error(READING, e))?;
        last_place(&mut db).await.map(Place).map_err(|e| self.error(READING, e))
    }

    /// Everything that was seen from `since` on and taken in up to the place `last`, in order, read page by page.
    pub async fn inputs(&self, since: Time, last: Place) -> Result<Inputs, StoreError> {
        let since = since.as_millis();
        // A span of time is looked up once; from there on the rows are read along their key.
        let first = |table: &'static str, ms: &'static str| async move {
            let sql = format!("SELECT MIN(seq) FROM {table} WHERE {ms} >= $1");
            let first: Result<Option<i64>, _> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(since).fetch_one(self.readers()).await;
            first.map_err(|e| self.error(READING, e))
        };
        let seen = first("observation", "seen_ms").await?;
        let watermark = first("alert_watermark", "polled_ms").await?;
        Ok(Inputs {
            store: self.clone(),
            since,
            last: last.0,
            observations: VecDeque::new(),
            after: seen.map(|first| first - 1),
            watermarks: VecDeque::new(),
            after_watermark: watermark.map(|first| first - 1),
        })
    }

    /// Up to when the alert log had been read at the place `last`, of what was noted from `since` on.
    pub async fn alerts_read_by(&self, since: Time, last: Place) -> Result<Option<Time>, StoreError> {
        let ms: Option<i64> =
            sqlx::query_scalar("SELECT MAX(polled_ms) FROM alert_watermark WHERE polled_ms >= $1 AND seq <= $2")
                .bind(since.as_millis())
                .bind(last.0)
                .fetch_one(self.readers())
                .await
                .map_err(|e| self.error(READING, e))?;
        Ok(ms.map(Time::from_millis))
    }

    /// Writes down what numbers point at, as known at `at`.
    pub async fn remember_routing(&self, at: Time, known: &[(NumberId, RoutingValues)]) -> Result<(), StoreError> {
        let run = async {
            let (mut tx, _) = self.begin(Patience::Repeats).await?;
            for (number, values) in known {
                sqlx::query(
                    "INSERT INTO baseline (account, number, channel, recorded_ms, record) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (account, number, channel)
                     DO UPDATE SET recorded_ms = excluded.recorded_ms, record = excluded.record",
                )
                .bind(number.account.to_string())
                .bind(number.e164.to_string())
                .bind(values.channel().to_string())
                .bind(at.as_millis())
                .bind(values.whole_record().map_err(|e| sqlx::Error::Encode(e.into()))?)
                .execute(&mut *tx)
                .await?;
            }
            Ok(tx.commit().await?)
        };
        run.await.map_err(|e| self.unwritten("writing down what our numbers point at", e))
    }

    /// What each number was known to point at, and since when.
    pub async fn routing(&self) -> Result<Vec<(NumberId, Time, RoutingValues)>, StoreError> {
        let rows: Vec<(String, String, String, i64, String)> =
            sqlx::query_as("SELECT account, number, channel, recorded_ms, record FROM baseline")
                .fetch_all(self.readers())
                .await
                .map_err(|e| self.error("reading what our numbers pointed at", e))?;
        let read = |(account, number, channel, ms, record): (String, String, String, i64, String)| {
            let values = RoutingValues::read(&record, channel.parse().ok()?).ok()?;
            Some((NumberId::new(account.parse().ok()?, number.parse().ok()?), Time::from_millis(ms), values))
        };
        // A row that cannot be read is as good as none.
        Ok(rows.into_iter().filter_map(read).collect())
    }
}

const READING: &str = "reading what was seen before";

/// Rows of a table that are forgotten in one transaction: some milliseconds.
pub(super) const PORTION: i64 = 5000;

/// Transactions of one call: a million rows take a few.
pub(super) const PORTIONS: usize = 40;

/// What is forgotten, oldest first: what was seen, and then what goes with it.
const FORGET: [&str; 3] = [
    "DELETE FROM observation WHERE seq IN
         (SELECT seq FROM observation WHERE seen_ms < $1 ORDER BY seen_ms, seq LIMIT $2)",
    "DELETE FROM alert_watermark WHERE seq IN
         (SELECT seq FROM alert_watermark WHERE polled_ms < $1 ORDER BY polled_ms, seq LIMIT $2)",
    "DELETE FROM probe WHERE id IN
         (SELECT id FROM probe WHERE started_ms < $1 AND has_recording = 0 ORDER BY started_ms LIMIT $2)",
];

/// Says once how much could not be read, and one of it.
fn tell_unread(bad: usize, example: Option<(Time, String)>) {
    if let Some((at, error)) = example {
        tracing::warn!(rows = bad, first_seen_at = %at, %error, "stored rows cannot be read and are left out");
    }
}

/// Rows that are read at a time.
const PAGE: i64 = 2000;

/// An observation as it is stored.
struct Stored {
    seq: i64,
    ms: i64,
    account: String,
    body: String,
}

impl FromRow<'_, SqliteRow> for Stored {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Stored> {
        let (seq, ms) = (row.try_get("seq")?, row.try_get("ms")?);
        Ok(Stored { seq, ms, account: row.try_get("account")?, body: row.try_get("body")? })
    }
}

fn read(account: &str, body: &str) -> Result<(AccountSid, Observation), String> {
    let account = account.parse::<AccountSid>().map_err(|e| e.to_string())?;
    Ok((account, serde_json::from_str(body).map_err(|e| e.to_string())?))
}

/// What an agent took in, of which one page is in memory.
pub struct Inputs {
    store: Store,
    since: i64,
    last: i64,
    observations: VecDeque<Stored>,
    /// The place up to which they were read; `None` once all were.
    after: Option<i64>,
    /// The place at which the alert log had been read, and up to when.
    watermarks: VecDeque<(i64, i64)>,
    after_watermark: Option<i64>,
}

impl Inputs {
    /// The next one, with its place and when it was seen. What cannot be read any more is left out.
    pub async fn next(&mut self) -> Result<Option<(Place, Time, Input)>, StoreError> {
        while let Some((place, at, input)) = self.next_stored().await? {
            if let Ok(input) = input {
                return Ok(Some((place, at, input)));
            }
        }
        Ok(None)
    }

    /// The next one, or why it cannot be read.
    async fn next_stored(&mut self) -> Result<Option<(Place, Time, Result<Input, String>)>, StoreError> {
        self.fill_observations().await?;
        self.fill_watermarks().await?;
        let seen = self.observations.front().map(|o| o.seq);
        if let Some((seq, ms)) = self.watermarks.pop_front_if(|(at, _)| seen.is_none_or(|seq| *at < seq)) {
            return Ok(Some((Place(seq), Time::from_millis(ms), Ok(Input::AlertsRead))));
        }
        let Some(Stored { seq, ms, account, body }) = self.observations.pop_front() else { return Ok(None) };
        let input = read(&account, &body).map(|(account, observation)| Input::Seen(account, observation));
        Ok(Some((Place(seq), Time::from_millis(ms), input)))
    }

    async fn fill_observations(&mut self) -> Result<(), StoreError> {
        while let Some(after) = self.after.filter(|_| self.observations.is_empty()) {
            let rows: Vec<Stored> = sqlx::query_as(
                "SELECT seq, seen_ms AS ms, account, body FROM observation
                 WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
            )
            .bind(after)
            .bind(self.last)
            .bind(PAGE)
            .fetch_all(self.store.readers())
            .await
            .map_err(|e| self.store.error(READING, e))?;
            self.after = rows.last().map(|o| o.seq);
            // Neighbours by place may have been seen earlier by a few seconds.
            self.observations.extend(rows.into_iter().filter(|o| o.ms >= self.since));
        }
        Ok(())
    }

    async fn fill_watermarks(&mut self) -> Result<(), StoreError> {
        while let Some(after) = self.after_watermark.filter(|_| self.watermarks.is_empty()) {
            let rows: Vec<(i64, i64)> = sqlx::query_as(
                "SELECT seq, polled_ms FROM alert_watermark
                 WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
            )
            .bind(after)
            .bind(self.last)
            .bind(PAGE)
            .fetch_all(self.store.readers())
            .await
            .map_err(|e| self.store.error(READING, e))?;
            self.after_watermark = rows.last().map(|(seq, _)| *seq);
            self.watermarks.extend(rows.into_iter().filter(|(_, ms)| *ms >= self.since));
        }
        Ok(())
    }
}

async fn set_cursor(tx: &mut Transaction<'_, Sqlite>, source: &str, polled_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO cursor (source, polled_ms) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET polled_ms = excluded.polled_ms",
    )
    .bind(source)
    .bind(polled_ms)
    .execute(&mut **tx)
    .await
    .map(drop)
}

/// The last place that was ever given. The journal knows it too, when all that was seen is forgotten.
async fn last_place(db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT MAX(place) FROM (
             SELECT 0 AS place
             UNION ALL SELECT MAX(seq) FROM observation
             UNION ALL SELECT MAX(seq) FROM alert_watermark
             UNION ALL SELECT (SELECT seen FROM journal ORDER BY seq DESC LIMIT 1)
         ) AS places",
    )
    .fetch_one(db)
    .await
}

/// Appends what was seen. Gives the place of the last there is.
async fn insert_observations(
    tx: &mut Transaction<'_, Sqlite>,
    account: AccountSid,
    seen: &[(Time, Observation)],
) -> Result<i64, sqlx::Error> {
    let account = account.to_string();
    let mut last = last_place(tx).await?;
    for chunk in seen.chunks(ROWS_PER_INSERT) {
        let mut bodies = Vec::with_capacity(chunk.len());
        for (_, observation) in chunk {
            bodies.push(whole_json(observation).map_err(|e| sqlx::Error::Encode(e.into()))?);
        }
        let rows = (last + 1..).zip(chunk.iter().zip(bodies));
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO observation (seq, seen_ms, account, kind, body) ");
        insert.push_values(rows, |mut row, (seq, ((at, observation), body))| {
            let kind = match observation {
                Observation::Call(_) => "call",
                Observation::Message(_) => "message",
                Observation::Alert(_) => "alert",
                Observation::Probe(_) => "probe",
                Observation::Number(_) => "number",
                Observation::Absent { .. } => "absent",
                Observation::OthersCall => "others_call",
            };
            row.push_bind(seq).push_bind(at.as_millis()).push_bind(account.as_str()).push_bind(kind).push_bind(body);
        });
        // The statement's text depends on the number of rows: preparing each for reuse would fill the cache.
        insert.build().persistent(false).execute(&mut **tx).await?;
        last += chunk.len() as i64;
    }
    Ok(last)
}
