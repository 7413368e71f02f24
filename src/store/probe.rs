//! Test calls and messages, noted before they are made.
//!
//! They cost money, and they may leave recordings at Twilio. An agent that is stopped between any two steps
//! leaves a note of each, so that the next one counts them and deletes what is left.

use sqlx::Row;

use super::lease::Patience;
use super::{Store, StoreError};
use crate::core::model::id::{CallSid, Channel, E164, NumberId};
use crate::core::model::time::Time;

/// A test call or message that was begun, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    pub id: i64,
    pub at: Time,
    pub number: NumberId,
    pub channel: Channel,
    /// The number of ours that it came from; none where a command placed it.
    pub from: Option<E164>,
    /// As soon as Twilio has said it.
    pub call: Option<CallSid>,
}

impl Store {
    /// Notes a probe that is about to begin. `records`: a recording of it is to be deleted.
    pub async fn begin_probe(
        &self,
        at: Time,
        number: NumberId,
        channel: Channel,
        from: Option<E164>,
        records: bool,
    ) -> Result<i64, StoreError> {
        let run = async {
            let (mut tx, _) = self.begin(Patience::Repeats).await?;
            let id: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) + 1 FROM probe").fetch_one(&mut *tx).await?;
            sqlx::query(
                "INSERT INTO probe (id, started_ms, account, number, channel, sender, call_sid, has_recording)
                 VALUES ($1, $2, $3, $4, $5, $6, '', $7)",
            )
            .bind(id)
            .bind(at.as_millis())
            .bind(number.account.to_string())
            .bind(number.e164.to_string())
            .bind(channel.to_string())
            .bind(from.map(|n| n.to_string()).unwrap_or_default())
            .bind(i64::from(records))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(id)
        };
        run.await.map_err(|e| self.unwritten("noting a probe", e))
    }

    /// Twilio has made the call.
    pub async fn note_call(&self, id: i64, call: CallSid) -> Result<(), StoreError> {
        sqlx::query("UPDATE probe SET call_sid = $1 WHERE id = $2")
            .bind(call.to_string())
            .bind(id)
            .execute(self.writer())
            .await
            .map(drop)
            .map_err(|e| self.error("noting a probe's call", e))
    }

    /// No recording of this probe is left at Twilio.
    pub async fn note_deleted(&self, id: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE probe SET has_recording = 0 WHERE id = $1")
            .bind(id)
            .execute(self.writer())
            .await
            .map(drop)
            .map_err(|e| self.error("noting that a recording is deleted", e))
    }

    /// Probes that were begun since `since`, in their order.
    pub async fn probes(&self, since: Time) -> Result<Vec<Begun>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, started_ms, account, number, channel, sender, call_sid
             FROM probe WHERE started_ms >= $1 ORDER BY started_ms, id",
        )
        .bind(since.as_millis())
        .fetch_all(self.readers())
        .await
        .map_err(|e| self.error("reading which probes were made", e))?;
        Ok(rows.iter().filter_map(begun).collect())
    }

    /// Probes of which a recording may be left at Twilio.
    pub async fn recorded(&self) -> Result<Vec<Begun>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, started_ms, account, number, channel, sender, call_sid
             FROM probe WHERE has_recording = 1 ORDER BY id",
        )
        .fetch_all(self.readers())
        .await
        .map_err(|e| self.error("reading which recordings are left", e))?;
        Ok(rows.iter().filter_map(begun).collect())
    }
}

/// A row that cannot be read is as good as none.
fn begun(row: &sqlx::sqlite::SqliteRow) -> Option<Begun> {
    Some(Begun {
        id: row.get(0),
        at: Time::from_millis(row.get(1)),
        number: NumberId::new(row.get::<&str, _>(2).parse().ok()?, row.get::<&str, _>(3).parse().ok()?),
        channel: row.get::<&str, _>(4).parse().ok()?,
        from: row.get::<&str, _>(5).parse().ok(),
        call: row.get::<&str, _>(6).parse().ok(),
    })
}
