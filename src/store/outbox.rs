//! What people are told: kept until it is delivered, and afterwards the record of that.
//!
//! A row is one notice for one notifier. The same notice offered again, by an agent that has folded
//! the same journal, is the same row: nothing is told twice, and nothing is lost between the journal
//! and here. Rows are kept for as long as the record is of use; [`Store::prune_outbox`] forgets them.

use sqlx::Row;

use super::lease::Patience;
use super::seen::{PORTION, PORTIONS};
use super::{Store, StoreError};
use crate::core::model::time::Time;
use crate::core::notice::{Notice, NoticeStatus};

/// What became of a notice for a notifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    Waiting,
    Delivered,
    /// Refused for good, or not delivered within its time.
    Failed,
    /// Summed up in a later one.
    HeldBack,
    /// There was no room for it.
    Dropped,
}

impl DeliveryStatus {
    const ALL: [DeliveryStatus; 5] = [
        DeliveryStatus::Waiting,
        DeliveryStatus::Delivered,
        DeliveryStatus::Failed,
        DeliveryStatus::HeldBack,
        DeliveryStatus::Dropped,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            DeliveryStatus::Waiting => "waiting",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Failed => "failed",
            DeliveryStatus::HeldBack => "held_back",
            DeliveryStatus::Dropped => "dropped",
        }
    }
}

/// Who was told what, when, and what they answered.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Delivery {
    pub id: i64,
    pub notifier: String,
    pub status: DeliveryStatus,
    /// Tries so far.
    pub tries: u32,
    /// When the last of them ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// What the other side said last.
    pub answer: String,
    pub notice: Notice,
}

const fn standing(s: NoticeStatus) -> &'static str {
    match s {
        NoticeStatus::Firing => "firing",
        NoticeStatus::Event => "event",
        NoticeStatus::Resolved => "resolved",
    }
}

impl Store {
    /// Keeps `notice` for `notifier`. `None` if it is kept already.
    pub async fn keep_notice(&self, notifier: &str, notice: &Notice) -> Result<Option<i64>, StoreError> {
        let run = async {
            let body = serde_json::to_string(notice).map_err(|e| sqlx::Error::Encode(e.into()))?;
            let (mut tx, _) = self.begin(Patience::Waits).await?;
            let id: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) + 1 FROM outbox").fetch_one(&mut *tx).await?;
            let done = sqlx::query(
                "INSERT INTO outbox (id, notifier, dedup_key, kind, status, created_ms, body, delivery, attempts, response)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', 0, '') ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(notifier)
            .bind(&notice.key)
            .bind(notice.kind.label())
            .bind(standing(notice.status))
            .bind(notice.at.at.as_millis())
            .bind(body)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok((done.rows_affected() > 0).then_some(id))
        };
        run.await.map_err(|e| self.unwritten("keeping a notice", e))
    }

    /// Writes down what became of a notice, or of one try.
    pub async fn note_delivery(
        &self,
        id: i64,
        status: DeliveryStatus,
        tries: u32,
        ended: Time,
        answer: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE outbox SET delivery = $1, attempts = $2, attempted_ms = $3, response = $4 WHERE id = $5")
            .bind(status.label())
            .bind(i64::from(tries))
            .bind(ended.as_millis())
            .bind(answer)
            .bind(id)
            .execute(self.writer())
            .await
            .map(drop)
            .map_err(|e| self.error("writing down a delivery", e))
    }

    /// Everything that was told since `since`, oldest first. A row that cannot be read is left out, and said.
    pub async fn deliveries(&self, since: Time) -> Result<Vec<Delivery>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, notifier, delivery, attempts, attempted_ms, response, body FROM outbox
             WHERE created_ms >= $1 OR delivery = 'waiting' ORDER BY id",
        )
        .bind(since.as_millis())
        .fetch_all(self.readers())
        .await
        .map_err(|e| self.error("reading what people were told", e))?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let state: &str = row.get(2);
            Some(Delivery {
                id: row.get(0),
                notifier: row.get(1),
                status: DeliveryStatus::ALL.into_iter().find(|f| f.label() == state)?,
                tries: u32::try_from(row.get::<i64, _>(3)).unwrap_or(u32::MAX),
                ended: row.get::<Option<i64>, _>(4).map(Time::from_millis),
                answer: row.get(5),
                notice: serde_json::from_str(row.get(6)).ok()?,
            })
        };
        let read_or_said = |row: &sqlx::sqlite::SqliteRow| {
            let delivery = read(row);
            if delivery.is_none() {
                let (id, notifier): (i64, String) = (row.get(0), row.get(1));
                tracing::error!(id, notifier, "a stored notice cannot be read: look at the outbox of the state file");
            }
            delivery
        };
        Ok(rows.iter().filter_map(read_or_said).collect())
    }

    /// Forgets what was told before `before` and does not wait, in portions as [`Store::prune`] does.
    pub async fn prune_outbox(&self, before: Time) -> Result<u64, StoreError> {
        let run = async {
            let mut all = 0;
            for _ in 0..PORTIONS {
                let (mut tx, _) = self.begin(Patience::Repeats).await?;
                let done = sqlx::query(
                    "DELETE FROM outbox WHERE id IN
                         (SELECT id FROM outbox WHERE created_ms < $1 AND delivery <> 'waiting' ORDER BY id LIMIT $2)",
                )
                .bind(before.as_millis())
                .bind(PORTION)
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                all += done.rows_affected();
                if done.rows_affected() < PORTION.unsigned_abs() {
                    break;
                }
            }
            Ok(all)
        };
        run.await.map_err(|e| self.unwritten("forgetting old notices", e))
    }
}
