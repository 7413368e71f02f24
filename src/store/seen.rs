//! What was seen: entries of the logs in the order in which they came, and our numbers as last read.
//!
//! Kept for days, so that a decision can be made again from it ([`crate::core::explain`]), and read
//! at a start, so that nothing is missed or counted twice.

use sqlx::{QueryBuilder, Row, Sqlite, Transaction};

use super::lease::Patience;
use super::{ROWS_PER_INSERT, Store, StoreError};
use crate::core::detect::observation::Observation;
use crate::core::model::id::E164;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::routing::values::RoutingValues;

/// Something that an agent took in.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Seen(Observation),
    /// The alert log had been read up to this instant.
    AlertsRead,
}

/// Where in the cursors it is said since when entries are kept in full.
const KEPT: &str = "kept";

impl Store {
    /// Writes what a poll brought and how far it got, together.
    pub async fn commit_poll(
        &self,
        source: Source,
        polled_at: Time,
        seen: &[(Time, Observation)],
    ) -> Result<(), StoreError> {
        let run = async {
            let (mut tx, _) = self.begin(Patience::Repeats).await?;
            let last = insert_observations(&mut tx, seen).await?;
            set_cursor(&mut tx, source.label(), polled_at.as_millis()).await?;
            if source == Source::Alerts {
                sqlx::query("INSERT INTO alerts_read (after_seq, polled_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                    .bind(last)
                    .bind(polled_at.as_millis())
                    .execute(&mut *tx)
                    .await?;
            }
            Ok(tx.commit().await?)
        };
        run.await.map_err(|e| self.unwritten("writing what a poll brought", e))
    }

    /// Writes what was seen otherwise than by a poll.
    pub async fn commit_seen(&self, seen: &[(Time, Observation)]) -> Result<(), StoreError> {
        let run = async {
            let (mut tx, _) = self.begin(Patience::Repeats).await?;
            insert_observations(&mut tx, seen).await?;
            Ok(tx.commit().await?)
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

    /// Forgets what was seen before `before`.
    pub async fn prune(&self, before: Time) -> Result<(), StoreError> {
        let ms = before.as_millis();
        let run = async {
            let mut tx = self.pool.begin().await?;
            let gone = sqlx::query("DELETE FROM observation WHERE seen_ms < $1").bind(ms).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM alerts_read WHERE polled_ms < $1").bind(ms).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM probe WHERE began_ms < $1 AND recorded = 0").bind(ms).execute(&mut *tx).await?;
            if gone.rows_affected() > 0 {
                set_cursor(&mut tx, KEPT, ms).await?;
            }
            tx.commit().await
        };
        run.await.map_err(|e: sqlx::Error| self.error("forgetting old observations", e))
    }

    /// Since when everything that was seen is kept; `None` if nothing has been forgotten.
    pub async fn kept_since(&self) -> Result<Option<Time>, StoreError> {
        self.polled(KEPT).await
    }

    /// Hands everything that was taken in from `since` to `until` to `take`, in order.
    pub async fn inputs(&self, since: Time, until: Time, mut take: impl FnMut(Time, Input)) -> Result<(), StoreError> {
        let doing = "reading what was seen before";
        let mut after = (0i64, 0i64, 0i64);
        loop {
            let rows = sqlx::query(
                "SELECT seq, mark, ms, body FROM (
                     SELECT seq, 0 AS mark, seen_ms AS ms, body FROM observation WHERE seen_ms BETWEEN $1 AND $2
                     UNION ALL
                     SELECT after_seq, 1, polled_ms, '' FROM alerts_read WHERE polled_ms BETWEEN $1 AND $2
                 ) AS input
                 WHERE (seq, mark, ms) > ($3, $4, $5) ORDER BY seq, mark, ms LIMIT 10000",
            )
            .bind(since.as_millis())
            .bind(until.as_millis())
            .bind(after.0)
            .bind(after.1)
            .bind(after.2)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.error(doing, e))?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = (last.get(0), last.get(1), last.get(2));
            for row in &rows {
                let at = Time::from_millis(row.get(2));
                if row.get::<i64, _>(1) == 1 {
                    take(at, Input::AlertsRead);
                } else if let Ok(observation) = serde_json::from_str(row.get(3)) {
                    take(at, Input::Seen(observation));
                }
            }
        }
    }

    /// Writes down what numbers point at, as known at `at`.
    pub async fn remember_routing(&self, at: Time, known: &[(E164, RoutingValues)]) -> Result<(), StoreError> {
        let run = async {
            let (mut tx, _) = self.begin(Patience::Repeats).await?;
            for (number, values) in known {
                sqlx::query(
                    "INSERT INTO routing (number, channel, known_ms, record) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (number, channel) DO UPDATE SET known_ms = excluded.known_ms, record = excluded.record",
                )
                .bind(number.to_string())
                .bind(values.channel().to_string())
                .bind(at.as_millis())
                .bind(values.record())
                .execute(&mut *tx)
                .await?;
            }
            Ok(tx.commit().await?)
        };
        run.await.map_err(|e| self.unwritten("writing down what our numbers point at", e))
    }

    /// What each number was known to point at, and since when.
    pub async fn routing(&self) -> Result<Vec<(E164, Time, RoutingValues)>, StoreError> {
        let rows: Vec<(String, String, i64, String)> =
            sqlx::query_as("SELECT number, channel, known_ms, record FROM routing")
                .fetch_all(&self.pool)
                .await
                .map_err(|e| self.error("reading what our numbers pointed at", e))?;
        let read = |(number, channel, ms, record): (String, String, i64, String)| {
            let values = RoutingValues::read(&record, channel.parse().ok()?).ok()?;
            Some((number.parse().ok()?, Time::from_millis(ms), values))
        };
        // A row of another version's is as good as none.
        Ok(rows.into_iter().filter_map(read).collect())
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

/// Appends what was seen. Gives the place of the last observation there is.
async fn insert_observations(
    tx: &mut Transaction<'_, Sqlite>,
    seen: &[(Time, Observation)],
) -> Result<i64, sqlx::Error> {
    let mut last: i64 =
        sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM observation").fetch_one(&mut **tx).await?;
    for chunk in seen.chunks(ROWS_PER_INSERT) {
        let mut bodies = Vec::with_capacity(chunk.len());
        for (_, observation) in chunk {
            bodies.push(serde_json::to_string(observation).map_err(|e| sqlx::Error::Encode(e.into()))?);
        }
        let rows = (last + 1..).zip(chunk.iter().zip(bodies));
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO observation (seq, seen_ms, kind, body) ");
        insert.push_values(rows, |mut row, (seq, ((at, observation), body))| {
            let kind = match observation {
                Observation::Call(_) => "call",
                Observation::Message(_) => "message",
                Observation::Alert(_) => "alert",
                Observation::Probe(_) => "probe",
                Observation::Number(_) => "number",
            };
            row.push_bind(seq).push_bind(at.as_millis()).push_bind(kind).push_bind(body);
        });
        // The statement's text depends on the number of rows: preparing each for reuse would fill the cache.
        insert.build().persistent(false).execute(&mut **tx).await?;
        last += chunk.len() as i64;
    }
    Ok(last)
}
