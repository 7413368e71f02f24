//! The journal's table: appended to under a lease, each record chained to the one before.
//!
//! A record's hash is SHA-256 over the hash of the record before it and over everything in the
//! record, so a changed, missing or inserted record breaks the chain at its place, and
//! [`Store::verify`] names it. The last record's place and hash are kept beside the table: a journal
//! that was cut short is noticed too. There is no key in it: the chain tells accidents and careless
//! hands, not somebody who may write the whole file and knows how.
//!
//! Every append carries the fence of the lease under which it is made. The store compares it with
//! the lease's in the same transaction and refuses a holder who was deposed.

use sha2::{Digest, Sha256};
use sqlx::{Row, Sqlite, Transaction};

use super::lease::Patience;
use super::{Store, StoreError, StoreProblem};
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;

/// A record of the journal: an entry with its place and time.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRecord {
    pub seq: i64,
    pub at: Time,
    pub entry: Entry,
}

/// The journal is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub records: u64,
    /// Hash of the last record; empty in an empty journal.
    pub head: String,
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn link(before: &str, seq: i64, at_ms: i64, fence: i64, kind: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    // Lengths first: no two records have the same bytes.
    hash.update(format!("{before}\n{seq}\n{at_ms}\n{fence}\n{}\n{kind}\n", kind.len()));
    hash.update(body);
    hex(&hash.finalize())
}

impl Store {
    /// Appends to the journal, all or nothing, if the lease is still ours.
    pub async fn append(&self, at: Time, entries: &[Entry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let run = async {
            let (mut tx, fence) = self.begin(Patience::Waits).await?;
            let (mut seq, mut hash) = head(&mut tx).await?;
            for entry in entries {
                seq += 1;
                let body = serde_json::to_string(entry).map_err(|e| sqlx::Error::Encode(e.into()))?;
                hash = link(&hash, seq, at.as_millis(), fence, entry.kind(), &body);
                sqlx::query(
                    "INSERT INTO journal (seq, at_ms, fence, kind, body, hash) VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(seq)
                .bind(at.as_millis())
                .bind(fence)
                .bind(entry.kind())
                .bind(body)
                .bind(&hash)
                .execute(&mut *tx)
                .await?;
            }
            set_head(&mut tx, seq, &hash).await?;
            Ok(tx.commit().await?)
        };
        run.await.map_err(|e| self.unwritten("writing the journal", e))
    }

    /// The whole journal, oldest first.
    pub async fn journal(&self) -> Result<Vec<JournalRecord>, StoreError> {
        let doing = "reading the journal";
        let rows = sqlx::query("SELECT seq, at_ms, body FROM journal ORDER BY seq")
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.error(doing, e))?;
        rows.iter()
            .map(|row| {
                let seq: i64 = row.get(0);
                let entry = serde_json::from_str(row.get(2))
                    .map_err(|e| self.fault(doing, StoreProblem::BrokenAt(seq), Some(sqlx::Error::Decode(e.into()))))?;
                Ok(JournalRecord { seq, at: Time::from_millis(row.get(1)), entry })
            })
            .collect()
    }

    /// Follows the chain from the first record to the last. The error names the first record that
    /// does not fit.
    pub async fn verify(&self) -> Result<Whole, StoreError> {
        let doing = "verifying the journal";
        let broken = |seq| self.fault(doing, StoreProblem::BrokenAt(seq), None);
        let error = |e| self.error(doing, e);
        let mut whole = Whole { records: 0, head: String::new() };
        let mut last = 0i64;
        loop {
            let rows = sqlx::query(
                "SELECT seq, at_ms, fence, kind, body, hash FROM journal WHERE seq > $1 ORDER BY seq LIMIT 1000",
            )
            .bind(last)
            .fetch_all(&self.pool)
            .await
            .map_err(error)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let seq: i64 = row.try_get(0).map_err(error)?;
                let (kind, body): (&str, &str) = (row.try_get(3).map_err(error)?, row.try_get(4).map_err(error)?);
                let (at, fence) = (row.try_get(1).map_err(error)?, row.try_get(2).map_err(error)?);
                let hash = link(&whole.head, seq, at, fence, kind, body);
                if seq != last + 1 || hash != row.try_get::<&str, _>(5).map_err(error)? {
                    return Err(broken(last + 1));
                }
                whole = Whole { records: whole.records + 1, head: hash };
                last = seq;
            }
        }
        let kept: Option<(i64, String)> = sqlx::query_as("SELECT seq, hash FROM journal_head WHERE id = 1")
            .fetch_optional(&self.pool)
            .await
            .map_err(error)?;
        match kept {
            None if last == 0 => Ok(whole),
            Some((seq, hash)) if seq == last && hash == whole.head => Ok(whole),
            // Records are missing at the end, or were added behind our back.
            Some(_) | None => Err(broken(last + 1)),
        }
    }

    /// Chains the records of the first version, which had no chain.
    pub(super) async fn chain_old_records(&self) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let (heads,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM journal_head").fetch_one(&mut *tx).await?;
        let (chained,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM journal WHERE hash <> ''").fetch_one(&mut *tx).await?;
        if heads > 0 || chained > 0 {
            return Ok(());
        }
        let rows = sqlx::query("SELECT seq, at_ms, kind, body FROM journal ORDER BY seq").fetch_all(&mut *tx).await?;
        let (mut seq, mut hash) = (0, String::new());
        for row in rows {
            seq = row.get(0);
            hash = link(&hash, seq, row.get(1), 0, row.get(2), row.get(3));
            sqlx::query("UPDATE journal SET hash = $1 WHERE seq = $2").bind(&hash).bind(seq).execute(&mut *tx).await?;
        }
        if seq > 0 {
            set_head(&mut tx, seq, &hash).await?;
        }
        tx.commit().await
    }
}

async fn head(tx: &mut Transaction<'_, Sqlite>) -> Result<(i64, String), sqlx::Error> {
    let kept = sqlx::query_as("SELECT seq, hash FROM journal_head WHERE id = 1").fetch_optional(&mut **tx).await?;
    Ok(kept.unwrap_or_default())
}

async fn set_head(tx: &mut Transaction<'_, Sqlite>, seq: i64, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO journal_head (id, seq, hash) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
    )
    .bind(seq)
    .bind(hash)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
