//! Why something was decided and what was done about it, from what is stored alone.
//!
//! The journal has the decision with its evidence, and every step that followed. The decision is made
//! once more ([`crate::core::explain`]) from the entries that are kept, under the rules that were in
//! force when its agent began, and the explanation says whether it still follows. A journal whose
//! chain is broken explains nothing.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::status::OrderStatus;
use crate::agent::poll;
use crate::agent::poll::routing::WRITTEN_WITHIN;
use crate::config::Config;
use crate::core::control::{Control, Recovery};
use crate::core::detect::engine::{Engine, EngineSettings};
use crate::core::detect::rules::Rules;
use crate::core::explain::{Recomputation, Recomputed, not_kept};
use crate::core::model::decision::{Decision, DecisionId};
use crate::core::model::id::NumberId;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::notice::incidents::Incidents;
use crate::core::notice::make::{Addresses, NoticeBuilder};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders;
use crate::core::rollback::orders::{OrderState, Orders};
use crate::store::seen::{Input, Place};
use crate::store::{JournalRecord, Store, StoreError};

/// Everything that is known of one decision or order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    pub id: String,
    /// The journal's entries about it, oldest first.
    pub entries: Vec<RecordedEntry>,
    /// Whether the decision follows from what is stored; absent for an operator's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub recomputed: Option<Recomputed>,
    /// By what it was decided; absent for an operator's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<InForce>,
}

/// The rules that a decision was made by, and those of the configuration now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InForce {
    pub then: String,
    pub now: String,
    /// What the same entries come to by the rules of now, where these are others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub by_those_of_now: Option<Recomputed>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = JournalRecord)]
pub struct RecordedEntry {
    #[schema(value_type = String)]
    pub at: Time,
    /// Its place in the journal, and the hash by which the next record is chained to it.
    pub seq: i64,
    pub hash: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub entry: Entry,
}

impl RecordedEntry {
    fn of(record: JournalRecord) -> RecordedEntry {
        RecordedEntry { at: record.at, seq: record.seq, hash: record.hash, entry: record.entry }
    }
}

/// By what is decided now.
#[derive(Clone, Copy)]
pub struct CurrentRules<'a> {
    pub roster: &'a Roster,
    pub engine: &'a EngineSettings,
    pub rollback: &'a orders::RollbackSettings,
}

impl CurrentRules<'_> {
    /// Those of an agent's whole configuration.
    pub const fn of(config: &Config) -> CurrentRules<'_> {
        CurrentRules { roster: &config.roster, engine: &config.engine, rollback: &config.rollback }
    }
}

/// Reads what is stored. Cheap to clone.
#[derive(Clone)]
pub struct DecisionHistory {
    store: Store,
    roster: Arc<Roster>,
    settings: Arc<EngineSettings>,
    rollback: orders::RollbackSettings,
    overlap: std::time::Duration,
    /// Whose question is answered.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl DecisionHistory {
    /// `rules`: those that are configured now; `overlap`: how far back every log is read again.
    pub fn new(store: Store, rules: CurrentRules<'_>, overlap: std::time::Duration) -> DecisionHistory {
        DecisionHistory {
            store,
            roster: Arc::new(rules.roster.clone()),
            settings: Arc::new(rules.engine.clone()),
            rollback: rules.rollback.clone(),
            overlap,
            turn: Arc::default(),
        }
    }

    /// The latest decisions and orders, newest first.
    pub async fn latest(&self, count: usize) -> Result<Vec<RecordedEntry>, StoreError> {
        let mut all = self.store.latest("decision", i64::MAX, count).await?;
        all.extend(self.store.latest("order", i64::MAX, count).await?);
        all.sort_unstable_by_key(|r| std::cmp::Reverse(r.seq));
        Ok(all.into_iter().take(count).map(RecordedEntry::of).collect())
    }

    /// What the journal says of one decision or order, oldest first, as it stands there.
    pub async fn entries(&self, id: DecisionId) -> Result<Vec<RecordedEntry>, StoreError> {
        let records = self.store.journal_of(id).await?;
        Ok(records.into_iter().map(RecordedEntry::of).collect())
    }

    /// The last entries of these kinds before the place `before`, of one number or of all, with their places, newest
    /// first.
    pub async fn before(
        &self,
        number: Option<NumberId>,
        kinds: &[&str],
        before: i64,
        count: usize,
    ) -> Result<Vec<(i64, RecordedEntry)>, StoreError> {
        let text = number.map(NumberId::key).unwrap_or_default();
        let records = self.store.naming(&text, kinds, before, count).await?;
        Ok(records.into_iter().map(|r| (r.seq, RecordedEntry::of(r))).collect())
    }

    /// How far an order has come, by the journal; `None` if there never was one of this id.
    pub async fn order(&self, id: DecisionId) -> Result<Option<OrderStatus>, StoreError> {
        let entries = self.store.journal_of(id).await?;
        Ok(OrderState::of(entries.iter().map(|r| (r.at, &r.entry))).as_ref().map(OrderStatus::of))
    }

    /// All about one decision; `None` if there is none of this id.
    ///
    /// Much is read and computed for it. It is done beside the agent's tasks, on a thread where it blocks none of
    /// them, one question at a time, and ends when nobody waits for the answer any more.
    pub async fn explain(&self, id: DecisionId) -> Result<Option<Explanation>, StoreError> {
        let _turn = self.turn.lock().await;
        let gone = CancellationToken::new();
        let _asked = gone.clone().drop_guard();
        let (memory, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let task = move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = gone.cancelled() => Ok(None),
                    found = memory.explain_here(id) => found,
                }
            })
        };
        match tokio::task::spawn_blocking(task).await {
            Ok(found) => found,
            Err(broken) => std::panic::resume_unwind(broken.into_panic()),
        }
    }

    async fn explain_here(&self, id: DecisionId) -> Result<Option<Explanation>, StoreError> {
        self.store.verify().await?;
        let entries = self.store.journal_of(id).await?;
        if entries.is_empty() {
            return Ok(None);
        }
        let decided = entries
            .iter()
            .find_map(|r| if let Entry::Decision(decision) = &r.entry { Some((r, decision)) } else { None });
        let (recomputed, rules) = match decided {
            Some((record, decision)) => {
                let (recomputed, rules) = self.again(record, decision).await?;
                (Some(recomputed), Some(rules))
            }
            None => (None, None),
        };
        let entries = entries.into_iter().map(RecordedEntry::of).collect();
        Ok(Some(Explanation { id: id.to_string(), entries, recomputed, rules }))
    }

    /// Makes a decision once more. `record`: the journal's of it.
    async fn again(&self, record: &JournalRecord, decision: &Decision) -> Result<(Recomputed, InForce), StoreError> {
        let now = Rules::of(&self.roster, &self.settings);
        let then = rules_before(&self.store, record.seq).await?;
        let started = self.store.latest("started", record.seq, 1).await?.pop();
        let Some((then, started)) = then.zip(started) else {
            let then = "not in the journal".to_owned();
            let rules = InForce { then, now: now.text(&decision.group), by_those_of_now: None };
            return Ok((not_kept(decision), rules));
        };
        let mut both = vec![then.clone()];
        if then != now {
            both.push(now.clone());
        }
        let mut results = self.replay(record, &started, decision, &both).await?.into_iter();
        let recomputed = results.next().unwrap_or_else(|| not_kept(decision));
        let rules = InForce {
            then: then.text(&decision.group),
            now: now.text(&decision.group),
            by_those_of_now: results.next(),
        };
        Ok((recomputed, rules))
    }

    /// The same entries under each of these rules.
    async fn replay(
        &self,
        decided: &JournalRecord,
        started: &JournalRecord,
        decision: &Decision,
        rules: &[Rules],
    ) -> Result<Vec<Recomputed>, StoreError> {
        // What the agent read back at its start, by its own rules.
        let remember = rules.first().map_or(self.settings.remember, |r| r.settings.remember);
        let from = started.at - remember.max(self.overlap + poll::MOST_SKEW);
        let read_until = self.store.alerts_read_by(from, started.seen).await?;
        let mut recovering: Vec<Recovery> =
            rules.iter().map(|r| Recovery::new(self.control(r, started.at), read_until)).collect();
        // Calls are told by what their number pointed at, which may have been written down long before them.
        let take = |at, account, observation| recovering.iter_mut().for_each(|c| c.observe(at, account, &observation));
        self.store.numbers_read(from - WRITTEN_WITHIN, from, take).await?;
        let mut earlier = self.store.journal_pages(0, started.seq - 1);
        let mut inputs = self.store.inputs(from, decided.seen).await?;
        let mut next = inputs.next().await?;
        while let Some((place, at, input)) = next.take_if(|(place, ..)| *place <= started.seen) {
            while let Some(r) = earlier.next_before(place).await? {
                // What contradicts itself has stopped the agent then.
                recovering.iter_mut().for_each(|c| drop(c.journaled(r.seq, r.at, &r.entry)));
            }
            match &input {
                Input::Seen(account, observation) => {
                    recovering.iter_mut().for_each(|c| c.observe(at, *account, observation));
                }
                Input::AlertsRead => recovering.iter_mut().for_each(|c| c.polled(at)),
            }
            next = inputs.next().await?;
        }
        while let Some(r) = earlier.next_before(Place::LAST).await? {
            recovering.iter_mut().for_each(|c| drop(c.journaled(r.seq, r.at, &r.entry)));
        }
        let begin = |r: Recovery| Recomputation::new(r.finish().0, started.at, decision.clone());
        let mut again: Vec<Recomputation> = recovering.into_iter().map(begin).collect();
        let mut journal = self.store.journal_pages(started.seq - 1, decided.seq - 1);
        while let Some((place, at, input)) = next.take() {
            while let Some(record) = journal.next_before(place).await? {
                again.iter_mut().for_each(|a| a.journaled(record.at, &record.entry));
            }
            for a in &mut again {
                match &input {
                    Input::AlertsRead => a.polled(at),
                    Input::Seen(account, observation) => a.observe(at, *account, observation),
                }
            }
            next = inputs.next().await?;
        }
        while let Some(record) = journal.next_before(Place::LAST).await? {
            again.iter_mut().for_each(|a| a.journaled(record.at, &record.entry));
        }
        // Asked last: what was forgotten while we read is missing too.
        let is_whole = self.store.kept_since().await?.is_none_or(|kept| kept <= from);
        let conclude = |a: Recomputation| match a.conclude() {
            // Of what is gone nobody can say what it would have changed.
            Recomputed::NoLonger { .. } if !is_whole => not_kept(decision),
            told @ (Recomputed::Follows | Recomputed::NoLonger { .. } | Recomputed::NotKept { .. }) => told,
        };
        Ok(again.into_iter().map(conclude).collect())
    }

    /// What an agent that begins at `start` under these rules begins with.
    fn control(&self, rules: &Rules, start: Time) -> Control {
        let builder = NoticeBuilder { roster: self.roster.clone(), addresses: Addresses::default() };
        // It is in a file of its own: the journal does not have what it said then.
        let settings = EngineSettings { history: self.settings.history.clone(), ..rules.settings(&self.roster) };
        Control::new(
            Engine::new((*self.roster).clone(), settings, start),
            Orders::new(self.rollback.clone()),
            Incidents::new(builder, self.rollback.mode),
        )
    }
}

/// The rules in force at a place of the journal: a start writes them down when they have changed.
pub async fn rules_before(store: &Store, seq: i64) -> Result<Option<Rules>, StoreError> {
    let mut before = seq;
    loop {
        let starts = store.latest("started", before, 100).await?;
        if let Some(rules) = starts.iter().find_map(|r| r.entry.rules()) {
            return Ok(Some(rules.clone()));
        }
        let Some(oldest) = starts.last() else { return Ok(None) };
        before = oldest.seq;
    }
}
