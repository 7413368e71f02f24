//! Why something was decided and what was done about it, from what is stored alone.
//!
//! The journal has the decision with its evidence, and every step that followed. The decision is made
//! once more ([`crate::core::explain`]) from the entries that are kept, under the rules that were in
//! force when its agent began, and the explanation says whether it still follows. A journal whose
//! chain is broken explains nothing.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::agent::poll;
use crate::core::control::{Contradiction, Control, Recovery};
use crate::core::detect::engine::{Engine, EngineSettings};
use crate::core::detect::observation::Observation;
use crate::core::detect::rules::Rules;
use crate::core::explain::{Recomputation, Recomputed};
use crate::core::model::decision::{Action, Decision, DecisionId};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::notice::incidents::Incidents;
use crate::core::notice::make::{Addresses, NoticeBuilder};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders;
use crate::core::rollback::orders::Orders;
use crate::store::seen::Input;
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
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub entry: Entry,
}

/// Reads what is stored. Cheap to clone.
#[derive(Clone)]
pub struct DecisionHistory {
    store: Store,
    roster: Arc<Roster>,
    settings: Arc<EngineSettings>,
    rollback: orders::RollbackSettings,
    overlap: std::time::Duration,
}

impl DecisionHistory {
    /// `config`: what is configured now.
    pub fn new(store: Store, config: &crate::config::Config) -> DecisionHistory {
        DecisionHistory {
            store,
            roster: Arc::new(config.roster.clone()),
            settings: Arc::new(config.engine.clone()),
            rollback: config.rollback.clone(),
            overlap: config.poll.overlap,
        }
    }

    /// The latest decisions and orders, newest first.
    pub async fn latest(&self, count: usize) -> Result<Vec<RecordedEntry>, StoreError> {
        let all = self.store.journal().await?.into_iter().rev();
        let wanted = all.filter(|r| matches!(r.entry, Entry::Decision(_) | Entry::Order(_)));
        Ok(wanted.take(count).map(|r| RecordedEntry { at: r.at, entry: r.entry }).collect())
    }

    /// All about one decision; `None` if there is none of this id.
    pub async fn explain(&self, id: DecisionId) -> Result<Option<Explanation>, StoreError> {
        self.store.verify().await?;
        let journal = self.store.journal().await?;
        let entries: Vec<RecordedEntry> = journal
            .iter()
            .filter(|r| r.entry.decision() == Some(id))
            .map(|r| RecordedEntry { at: r.at, entry: r.entry.clone() })
            .collect();
        if entries.is_empty() {
            return Ok(None);
        }
        let decided = journal.iter().position(|r| matches!(&r.entry, Entry::Decision(d) if d.id == id));
        let (recomputed, rules) = match decided.map(|i| (&journal[..i], &journal[i].entry)) {
            Some((before, Entry::Decision(decision))) => {
                let (recomputed, rules) = self.again(before, decision).await?;
                (Some(recomputed), Some(rules))
            }
            Some(_) | None => (None, None),
        };
        Ok(Some(Explanation { id: id.to_string(), entries, recomputed, rules }))
    }

    /// Makes a decision once more. `before`: the journal as it was then.
    async fn again(&self, before: &[JournalRecord], decision: &Decision) -> Result<(Recomputed, InForce), StoreError> {
        let now = Rules::of(&self.roster, &self.settings);
        let is_start = |r: &&JournalRecord| matches!(r.entry, Entry::Started { .. });
        let rules_then = before.iter().rev().find_map(|r| r.entry.rules()).cloned();
        let started = before.iter().rev().find(is_start);
        let Some((then, started)) = rules_then.zip(started) else {
            let then = "not recorded by the version that decided".to_owned();
            let rules = InForce { then, now: now.text(&decision.group), by_those_of_now: None };
            return Ok((not_kept(decision), rules));
        };
        let mut both = vec![then.clone()];
        if then != now {
            both.push(now.clone());
        }
        let mut results = self.replay(before, started, decision, &both).await?.into_iter();
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
        before: &[JournalRecord],
        started: &JournalRecord,
        decision: &Decision,
        rules: &[Rules],
    ) -> Result<Vec<Recomputed>, StoreError> {
        let (earlier, since_start): (Vec<&JournalRecord>, Vec<&JournalRecord>) =
            before.iter().partition(|r| r.seq < started.seq);
        // What the agent read back at its start, by its own rules.
        let remember = rules.first().map_or(self.settings.remember, |r| r.settings.remember);
        let from = started.at - remember.max(self.overlap + poll::MOST_SKEW);
        let kept_since = self.store.kept_since().await?;
        let mut read_until = None;
        let mut seen_before = Vec::new();
        let mut again: Option<Vec<Recomputation>> = None;
        let mut journal = since_start.into_iter().peekable();
        let recover = |read_until: Option<Time>, seen_before: &[(Time, Observation)]| {
            let one = |r: &Rules| self.recover(r, &earlier, started.at, read_until, seen_before);
            let controls = rules.iter().map(one).collect::<Result<Vec<Control>, Contradiction>>()?;
            let begin = |control| Recomputation::new(control, started.at, decision.clone());
            Ok::<Vec<Recomputation>, Contradiction>(controls.into_iter().map(begin).collect())
        };
        self.store
            .inputs(from, decision.at, |at, input| {
                if at < started.at {
                    match input {
                        Input::AlertsRead => read_until = Some(at),
                        Input::Seen(observation) => seen_before.push((at, observation)),
                    }
                    return;
                }
                let again = again.get_or_insert_with(|| recover(read_until, &seen_before).unwrap_or_default());
                while let Some(record) = journal.next_if(|r| r.at <= at) {
                    again.iter_mut().for_each(|a| a.journaled(record.at, &record.entry));
                }
                for a in again {
                    match &input {
                        Input::AlertsRead => a.polled(at),
                        Input::Seen(observation) => a.observe(at, observation),
                    }
                }
            })
            .await?;
        let mut again = again.unwrap_or_else(|| recover(read_until, &seen_before).unwrap_or_default());
        for record in journal {
            again.iter_mut().for_each(|a| a.journaled(record.at, &record.entry));
        }
        let is_whole = kept_since.is_none_or(|kept| kept <= from);
        let conclude = |a: Recomputation| match a.conclude() {
            // Of what is gone nobody can say what it would have changed.
            Recomputed::NoLonger { .. } if !is_whole => not_kept(decision),
            told @ (Recomputed::Follows | Recomputed::NoLonger { .. } | Recomputed::NotKept { .. }) => told,
        };
        Ok(again.into_iter().map(conclude).collect())
    }

    /// Where the agent that began at `start` began, by these rules.
    fn recover(
        &self,
        rules: &Rules,
        earlier: &[&JournalRecord],
        start: Time,
        read_until: Option<Time>,
        seen_before: &[(Time, Observation)],
    ) -> Result<Control, Contradiction> {
        let builder = NoticeBuilder { roster: self.roster.clone(), addresses: Addresses::default() };
        let control = Control::new(
            Engine::new((*self.roster).clone(), rules.settings(&self.roster), start),
            Orders::new(self.rollback.clone()),
            Incidents::new(builder, self.rollback.mode),
        );
        let journal = earlier.iter().map(|r| (r.seq, r.at, r.entry.clone()));
        let mut recovery = Recovery::new(control, journal, read_until);
        for (at, observation) in seen_before {
            recovery.observe(*at, observation)?;
        }
        Ok(recovery.finish()?.0)
    }
}

/// The decision's own figures against each other.
fn not_kept(decision: &Decision) -> Recomputed {
    let is_rollback = matches!(decision.action, Action::Rollback | Action::Withheld { .. });
    let is_enough = decision.evidence.score.is_none_or(|score| !is_rollback || score.is_enough());
    Recomputed::NotKept { is_enough }
}
