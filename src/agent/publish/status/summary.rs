//! How much is wrong, in a few figures.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NumberStatus, RollbackStatus, Status};
use crate::agent::publish::trouble::{Trouble, Wait};
use crate::core::model::id::{Channel, NumberId};

/// How much is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Numbers that are watched.
    pub numbers: usize,
    /// Those of them that a trouble is about.
    pub in_trouble: usize,
    /// Those that point at the fallback, proven or not.
    pub on_fallback: usize,
    /// Those whose rollback is not known to serve callers, whatever answers them.
    pub unproven: usize,
    /// Troubles that a person should do something about, and those that wait for one.
    pub troubles: usize,
    pub waiting_for_you: usize,
    /// Channels of which nothing can be said.
    #[schema(value_type = Vec<String>)]
    pub blind: Vec<Channel>,
}

impl Summary {
    pub(super) fn of(status: &Status, troubles: &[Trouble]) -> Summary {
        let serious = || troubles.iter().filter(|t| t.is_trouble());
        let in_trouble: HashSet<NumberId> = serious().flat_map(|t| t.numbers.iter().copied()).collect();
        let is_on_fallback = |n: &NumberStatus| n.channels.iter().any(|c| c.is_on_fallback);
        let is_unproven =
            |n: &NumberStatus| n.channels.iter().any(|c| matches!(c.rollback, RollbackStatus::Unproven { .. }));
        let waits = |t: &&Trouble| t.waits.iter().any(Wait::is_for_you);
        Summary {
            numbers: status.numbers().count(),
            in_trouble: in_trouble.len(),
            on_fallback: status.numbers().filter(|(_, n)| is_on_fallback(n)).count(),
            unproven: status.numbers().filter(|(_, n)| is_unproven(n)).count(),
            troubles: serious().count(),
            waiting_for_you: serious().filter(waits).count(),
            blind: status.blindness.iter().filter(|b| !b.cannot_read.is_empty()).map(|b| b.channel).collect(),
        }
    }
}
