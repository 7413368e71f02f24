//! Why something was decided and what was done about it, from what is stored alone.
//!
//! The journal has the decision with its evidence, and every step that followed. The verdict is drawn
//! from that evidence once more, and the explanation says whether it still follows.

use serde::Serialize;

use crate::core::journal::Entry;
use crate::core::policy::{Action, Decision, DecisionId};
use crate::core::time::Time;
use crate::store::{Store, StoreError};

/// Everything that is known of one decision or order.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub id: String,
    /// The journal's entries about it, oldest first.
    pub entries: Vec<Line>,
    /// Whether the verdict follows from the stored evidence; absent for an operator's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recomputed: Option<Recomputed>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub at: Time,
    #[serde(flatten)]
    pub entry: Entry,
}

/// What the stored evidence comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recomputed {
    /// It is enough for what was decided.
    Follows,
    /// It is not.
    Differs,
    /// A rule in words decided, not the statistic.
    ByRule,
}

impl Recomputed {
    fn of(decision: &Decision) -> Recomputed {
        match (decision.evidence.score, decision.action) {
            (Some(score), Action::Rollback | Action::Withheld { .. }) if score.is_enough() => Recomputed::Follows,
            (Some(_), Action::Rollback | Action::Withheld { .. }) => Recomputed::Differs,
            (None, _) | (_, Action::Page { .. }) => Recomputed::ByRule,
        }
    }
}

/// Reads the journal. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    store: Store,
}

impl Memory {
    pub const fn new(store: Store) -> Memory {
        Memory { store }
    }

    /// The latest decisions and orders, newest first.
    pub async fn latest(&self, count: usize) -> Result<Vec<Line>, StoreError> {
        let all = self.store.journal().await?.into_iter().rev();
        let wanted = all.filter(|r| matches!(r.entry, Entry::Decision(_) | Entry::Order(_)));
        Ok(wanted.take(count).map(|r| Line { at: r.at, entry: r.entry }).collect())
    }

    /// All about one decision; `None` if there is none of this id.
    pub async fn explain(&self, id: DecisionId) -> Result<Option<Explanation>, StoreError> {
        let journal = self.store.journal().await?;
        let entries: Vec<Line> = journal
            .into_iter()
            .filter(|r| r.entry.decision() == Some(id))
            .map(|r| Line { at: r.at, entry: r.entry })
            .collect();
        let decision =
            entries.iter().find_map(|l| if let Entry::Decision(d) = &l.entry { Some(d.clone()) } else { None });
        if entries.is_empty() {
            return Ok(None);
        }
        let recomputed = decision.as_ref().map(Recomputed::of);
        Ok(Some(Explanation { id: id.to_string(), entries, recomputed }))
    }
}
