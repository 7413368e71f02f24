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

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};

use super::lease::Patience;
use super::seen::Place;
use super::{Store, StoreError, StoreProblem};
use crate::core::model::decision::DecisionId;
use crate::core::model::time::Time;
use crate::core::model::value::whole_json;
use crate::core::rollback::entry::Entry;

/// A record of the journal: an entry with its place and time.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRecord {
    pub seq: i64,
    /// What had been taken in when it was written.
    pub seen: Place,
    pub at: Time,
    pub entry: Entry,
    /// By which the next record is chained to it.
    pub hash: String,
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

/// A record as the chain has it: all of it that may be shown, and a commitment to what may not.
///
/// What a number's fields have may be secret, and the chain must hold for a person who may not see it: with a report,
/// say. So a link is made of the digest of what may be shown and, where that is less than all, of a digest of the
/// whole with a random salt, which stays in the state beside the whole. Without the salt that digest gives nothing
/// away: whoever tried every likely secret would have to try 2^128 salts with each. With it, and the whole, it is
/// looked up like any digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    pub seq: i64,
    pub seen: Place,
    pub at_ms: i64,
    pub fence: i64,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decision: Option<i64>,
    /// The entry as JSON, without what may be secret.
    pub shown: String,
    /// Digest of the salt and the whole entry; empty where all of it may be shown.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub withheld: String,
}

impl ChainLink {
    /// The record's hash, after that of the record before it.
    pub fn hash(&self, before: &str) -> String {
        let ChainLink { seq, seen, at_ms, fence, kind, decision, shown, withheld } = self;
        let decision = decision.map(|d| d.to_string()).unwrap_or_default();
        // Lengths first: no two records have the same bytes.
        sha256(
            format!(
                "{before}\n{seq}\n{}\n{at_ms}\n{fence}\n{decision}\n{}\n{kind}\n{}\n{withheld}\n{}",
                seen.0,
                kind.len(),
                withheld.len(),
                sha256(shown.as_bytes())
            )
            .as_bytes(),
        )
    }
}

/// Commits to an entry of which something may not be shown.
fn commitment(salt: &str, whole: &str) -> String {
    sha256(format!("{salt}\n{whole}").as_bytes())
}

/// 128 bits that nobody can guess, in hexadecimal digits.
fn salt() -> std::io::Result<String> {
    let mut bytes = [0u8; 16];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(hex(&bytes))
}

/// A decision's id as a column.
fn column(id: DecisionId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

/// Records that are read at a time.
const PAGE: i64 = 500;

impl Store {
    /// Appends to the journal, all or nothing, if the lease is still ours. `seen`: what had been taken in before.
    pub async fn append(&self, at: Time, seen: Place, entries: &[Entry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let turn = self.commits.begin().await;
        let run = async {
            let (mut tx, fence) = self.begin(Patience::Waits).await?;
            let (mut seq, mut hash) = head(&mut tx).await?;
            let mut first = None;
            for entry in entries {
                seq += 1;
                let body = whole_json(entry).map_err(|e| sqlx::Error::Encode(e.into()))?;
                // A record that cannot be read would end every later start: it is not written (law 1). Nor is one that
                // would put back, or take for what was there, anything but what is.
                let again = serde_json::from_str::<Entry>(&body).map_err(|e| sqlx::Error::Encode(e.into()))?;
                let has_values = matches!(
                    entry,
                    Entry::Snapshot { .. }
                        | Entry::Intent { .. }
                        | Entry::Drift { .. }
                        | Entry::Adopted { .. }
                        | Entry::Landed { .. }
                );
                if has_values && again != *entry {
                    return Err(sqlx::Error::Encode("it is not what it says".into()).into());
                }
                let (at_ms, kind, decision) = (at.as_millis(), entry.kind(), entry.decision().map(column));
                let shown = serde_json::to_string(entry).map_err(|e| sqlx::Error::Encode(e.into()))?;
                let salt = if shown == body { String::new() } else { salt().map_err(sqlx::Error::Io)? };
                let withheld = if salt.is_empty() { String::new() } else { commitment(&salt, &body) };
                let apart = (!salt.is_empty()).then(|| shown.clone());
                hash =
                    ChainLink { seq, seen, at_ms, fence, kind: kind.to_owned(), decision, shown, withheld }.hash(&hash);
                sqlx::query(
                    "INSERT INTO journal (seq, seen, at_ms, fence, kind, decision, body, shown, salt, hash)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                )
                .bind(seq)
                .bind(seen.0)
                .bind(at_ms)
                .bind(fence)
                .bind(kind)
                .bind(decision)
                .bind(body)
                .bind(apart)
                .bind(salt)
                .bind(&hash)
                .execute(&mut *tx)
                .await?;
                if seq == 1 {
                    first = Some(hash.clone());
                }
            }
            set_head(&mut tx, seq, &hash).await?;
            tx.commit().await?;
            if let Some(first) = first {
                let _ = self.first.set(first);
            }
            self.seq.store(seq, Ordering::Release);
            self.note_in_lock(fence);
            Ok(())
        };
        let written = run.await.map_err(|e| self.unwritten("writing the journal", e));
        self.commits.pay(turn).await;
        written
    }

    /// The whole journal, oldest first.
    pub async fn journal(&self) -> Result<Vec<JournalRecord>, StoreError> {
        let mut pages = self.journal_pages(0, i64::MAX);
        let mut all = Vec::new();
        while let Some(record) = pages.next_before(Place::LAST).await? {
            all.push(record);
        }
        Ok(all)
    }

    /// The journal after the record `after` and up to the record `last`, read page by page.
    pub fn journal_pages(&self, after: i64, last: i64) -> JournalPages {
        JournalPages { store: self.clone(), page: VecDeque::new(), after, last }
    }

    /// What the journal says of one decision or order, oldest first.
    pub async fn journal_of(&self, id: DecisionId) -> Result<Vec<JournalRecord>, StoreError> {
        let rows = sqlx::query("SELECT seq, seen, at_ms, body, hash FROM journal WHERE decision = $1 ORDER BY seq")
            .bind(column(id))
            .fetch_all(self.readers())
            .await;
        rows.map_err(|e| self.error(READING, e))?.iter().map(|row| self.record(row)).collect()
    }

    /// The last `count` records of this kind before the record `before`, newest first.
    pub async fn latest(&self, kind: &str, before: i64, count: usize) -> Result<Vec<JournalRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, seen, at_ms, body, hash FROM journal WHERE kind = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
        )
        .bind(kind)
        .bind(before)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(self.readers())
        .await;
        rows.map_err(|e| self.error(READING, e))?.iter().map(|row| self.record(row)).collect()
    }

    /// The last `count` records of these kinds before the record `before` in which `text` stands, newest first.
    pub async fn naming(
        &self,
        text: &str,
        kinds: &[&str],
        before: i64,
        count: usize,
    ) -> Result<Vec<JournalRecord>, StoreError> {
        let kinds = serde_json::json!(kinds).to_string();
        let rows = sqlx::query(
            "SELECT seq, seen, at_ms, body, hash FROM journal
             WHERE seq < $1 AND kind IN (SELECT value FROM json_each($2)) AND ($3 = '' OR instr(body, $3) > 0)
             ORDER BY seq DESC LIMIT $4",
        )
        .bind(before)
        .bind(kinds)
        .bind(text)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_all(self.readers())
        .await;
        rows.map_err(|e| self.error(READING, e))?.iter().map(|row| self.record(row)).collect()
    }

    fn record(&self, row: &SqliteRow) -> Result<JournalRecord, StoreError> {
        let seq: i64 = row.get(0);
        let entry = serde_json::from_str(row.get(3))
            .map_err(|e| self.fault(READING, StoreProblem::BrokenAt(seq), Some(sqlx::Error::Decode(e.into()))))?;
        Ok(JournalRecord { seq, seen: Place(row.get(1)), at: Time::from_millis(row.get(2)), entry, hash: row.get(4) })
    }

    /// Follows the chain from the first record to the last, as they are at one instant. The error names the
    /// first record that does not fit.
    pub async fn verify(&self) -> Result<Whole, StoreError> {
        self.follow(|_, _| ()).await
    }

    /// Follows the chain and hands each record, as it may be shown, to `take` with its hash.
    pub async fn follow(&self, mut take: impl FnMut(ChainLink, &str)) -> Result<Whole, StoreError> {
        let doing = "verifying the journal";
        let broken = |seq| self.fault(doing, StoreProblem::BrokenAt(seq), None);
        let error = |e| self.error(doing, e);
        let mut whole = Whole { records: 0, head: String::new() };
        let mut last = 0i64;
        // One snapshot for all: a record that is appended meanwhile is missing in every part of it alike.
        let mut tx = self.readers().begin().await.map_err(error)?;
        loop {
            let rows = sqlx::query(
                "SELECT seq, seen, at_ms, fence, kind, decision, body, shown, salt, hash FROM journal WHERE seq > $1
                 ORDER BY seq LIMIT $2",
            )
            .bind(last)
            .bind(PAGE)
            .fetch_all(&mut *tx)
            .await
            .map_err(error)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let link = link(&row).map_err(error)?;
                let hash = link.hash(&whole.head);
                if link.seq != last + 1 || hash != row.try_get::<&str, _>(9).map_err(error)? {
                    return Err(broken(last + 1));
                }
                whole = Whole { records: whole.records + 1, head: hash };
                last += 1;
                take(link, &whole.head);
            }
        }
        let kept: Option<(i64, String)> = sqlx::query_as("SELECT seq, hash FROM journal_head WHERE id = 1")
            .fetch_optional(&mut *tx)
            .await
            .map_err(error)?;
        match kept {
            None if last == 0 => Ok(whole),
            Some((seq, hash)) if seq == last && hash == whole.head => Ok(whole),
            // Records are missing at the end, or were added behind our back.
            Some(_) | None => Err(broken(last + 1)),
        }
    }
}

/// A record's link from its row: what is withheld is committed to anew, from what is there.
fn link(row: &SqliteRow) -> Result<ChainLink, sqlx::Error> {
    let (body, shown, salt): (&str, Option<&str>, &str) = (row.try_get(6)?, row.try_get(7)?, row.try_get(8)?);
    Ok(ChainLink {
        seq: row.try_get(0)?,
        seen: Place(row.try_get(1)?),
        at_ms: row.try_get(2)?,
        fence: row.try_get(3)?,
        kind: row.try_get(4)?,
        decision: row.try_get(5)?,
        shown: shown.unwrap_or(body).to_owned(),
        withheld: shown.map_or_else(String::new, |_| commitment(salt, body)),
    })
}

const READING: &str = "reading the journal";

/// A part of the journal, of which one page is in memory.
pub struct JournalPages {
    store: Store,
    page: VecDeque<JournalRecord>,
    after: i64,
    last: i64,
}

impl JournalPages {
    /// The next record, if it was written before what has this place was taken in.
    pub async fn next_before(&mut self, place: Place) -> Result<Option<JournalRecord>, StoreError> {
        if self.page.is_empty() && self.after < self.last {
            let rows = sqlx::query(
                "SELECT seq, seen, at_ms, body, hash FROM journal WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
            )
            .bind(self.after)
            .bind(self.last)
            .bind(PAGE)
            .fetch_all(self.store.readers())
            .await
            .map_err(|e| self.store.error(READING, e))?;
            for row in &rows {
                self.page.push_back(self.store.record(row)?);
            }
            self.after = self.page.back().map_or(self.last, |r| r.seq);
        }
        Ok(self.page.pop_front_if(|r| r.seen < place))
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
