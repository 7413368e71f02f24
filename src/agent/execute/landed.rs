//! Writes of earlier orders that have landed by the time an order reads its numbers.
//!
//! Polls find such a write with their next look. An order that is quicker than they would take it for somebody else's
//! change, and give way to it, or for what the number had before us, and put it back one day.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Abandoned, Ends, Execution, Work};
use crate::agent::control::journal::AppendError;
use crate::agent::execute::read::{ReadError, RoutingRead};
use crate::core::model::id::NumberId;
use crate::core::model::order::OrderResult;
use crate::core::rollback::saga::SagaState;
use crate::core::routing::values::RoutingValues;
use crate::store::StoreProblem;

impl Execution {
    /// The states of the numbers by what was read of them: a write of an earlier order may have landed since they were
    /// looked at, and is ours. It is in the journal before anything is made of it.
    pub(super) async fn after_landings<'a>(
        &self,
        work: &Work,
        states: BTreeMap<NumberId, &'a SagaState>,
        reads: &BTreeMap<NumberId, Result<RoutingRead, ReadError>>,
        ends: &mut Ends,
    ) -> Result<BTreeMap<NumberId, Cow<'a, SagaState>>, Abandoned> {
        let (mut after, mut landed) = (BTreeMap::new(), BTreeMap::new());
        for (number, state) in states {
            let landing = || {
                let read = reads.get(&number)?.as_ref().ok()?;
                let now = RoutingValues::read(read.read.raw.whole(), work.order.channel).ok()?;
                work.grounds.get(&number)?.landed_before(work.order.operation, state, &now)
            };
            let landing = landing();
            let state = landing.as_ref().map_or(Cow::Borrowed(state), |(_, state)| Cow::Owned(state.clone()));
            after.insert(number, state);
            landed.extend(landing.map(|(entry, _)| (number, entry)));
        }
        if landed.is_empty() {
            return Ok(after);
        }
        match self.shared.journal.append(landed.values().cloned().collect()).await {
            Ok(()) => {}
            Err(AppendError::Store(error)) if error.problem != StoreProblem::LeaseLost => {
                let why = format!("nothing was written, because the journal cannot be: {error}");
                tracing::error!(decision = %work.order.id, cure = error.cure, "{why}");
                ends.extend(landed.keys().map(|number| (*number, OrderResult::Failed, why.clone())));
                after.retain(|number, _| !landed.contains_key(number));
            }
            Err(AppendError::Store(_) | AppendError::Ended) => return Err(Abandoned),
        }
        Ok(after)
    }
}
