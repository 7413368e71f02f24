//! The life of what `apply` wrote to one channel of one number.
//!
//! It lies beneath the rollback's: a rollback snapshots what was applied and its restore puts that back, and the apply
//! can still be undone after it. So each has a state of its own, of the same kind ([`SagaState`]): `ReadBack` is
//! applied, `Restored` is undone. One order has a number at a time, and an apply is refused while a rollback has
//! something on the number, so that the two never write at once.
//!
//! Promises: what is undone is the latest apply, to the byte; an apply that writes nothing leaves the one before it as
//! it was; whoever takes the number from us, while it is on its fallback or not, takes it from the apply too.

use super::saga::{Illegal, SagaEvent, SagaState};
use crate::model::decision::DecisionId;
use crate::model::order::{FallbackState, Operation, OrderResult};
use crate::model::time::Time;

/// Where the applies of one channel of one number stand.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    state: SagaState,
    /// What it was before the apply that is under way.
    earlier: Option<Box<SagaState>>,
    /// Since when it is in this state.
    pub since: Option<Time>,
}

impl Applied {
    pub const fn state(&self) -> &SagaState {
        &self.state
    }

    /// One step of an apply or its undo. An illegal one leaves everything as it was.
    pub fn advance(&mut self, at: Time, order: DecisionId, event: SagaEvent) -> Result<(), Illegal> {
        let was = self.state.clone();
        let (next, earlier) = match event {
            // The snapshot of a new apply is of what is there now, whatever the one before it left.
            SagaEvent::Snapshotted(_) if !was.is_under_way() => {
                (SagaState::Idle.next(order, event)?, Some(Box::new(was)))
            }
            SagaEvent::Intended(Operation::Apply, update) => {
                // No fallback is asked about.
                let checked = was.next(order, SagaEvent::Checked(FallbackState::Unchecked))?;
                (checked.next(order, SagaEvent::Intended(Operation::Rollback, update))?, self.earlier.take())
            }
            SagaEvent::Intended(Operation::Undo, update) => {
                (was.next(order, SagaEvent::Intended(Operation::Restore, update))?, self.earlier.take())
            }
            // It is so already, and nothing was begun.
            SagaEvent::Ended(OrderResult::Written) if !was.is_under_way() => (was, self.earlier.take()),
            SagaEvent::Snapshotted(_)
            | SagaEvent::Checked(_)
            | SagaEvent::Intended(Operation::Rollback | Operation::Restore, _)
            | SagaEvent::Written
            | SagaEvent::Ended(_)
            | SagaEvent::Drifted
            | SagaEvent::Adopted
            | SagaEvent::Landed(_) => (was.next(order, event)?, self.earlier.take()),
        };
        self.since = Some(at);
        self.earlier = earlier;
        self.state = next;
        match self.state {
            SagaState::Failed(_) | SagaState::Refused(_) => {
                if let Some(earlier) = self.earlier.take() {
                    self.state = *earlier;
                }
            }
            SagaState::Idle
            | SagaState::ReadBack(_)
            | SagaState::Proven(_)
            | SagaState::Unproven(_)
            | SagaState::Restored(_)
            | SagaState::Superseded { .. } => self.earlier = None,
            SagaState::Snapshotted { .. }
            | SagaState::Checked { .. }
            | SagaState::Intended(_)
            | SagaState::Written(_)
            | SagaState::Restoring { .. }
            | SagaState::RestoreWritten { .. } => {}
        }
        Ok(())
    }

    /// Somebody else has the number now.
    pub fn lost(&mut self, at: Time) {
        self.taken(at, SagaEvent::Drifted);
    }

    /// And theirs is right: no undo puts back what was there before the apply.
    pub fn adopted(&mut self, at: Time) {
        self.taken(at, SagaEvent::Adopted);
    }

    fn taken(&mut self, at: Time, event: SagaEvent) {
        let Some(order) = self.state.order().filter(|_| !self.state.is_under_way()) else { return };
        let was = self.state.label();
        if let Ok(next) = self.state.clone().next(order, event) {
            self.state = next;
        }
        if self.state.label() != was {
            self.since = Some(at);
        }
    }
}

#[cfg(test)]
mod tests;
