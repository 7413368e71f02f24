//! The life of one number's swap, as a state machine.
//!
//! ```text
//! Idle → Snapshotted → Checked → Intended → Written → ReadBack → Proven
//!                                              ↘ Unproven
//!        ReadBack | Proven | Unproven → Restoring → RestoreWritten → Restored
//! ```
//!
//! with `Failed` and `Refused` (nothing was written) and `Superseded` (somebody else has the number
//! now) as further ends. A new rollback starts from any end, and from `Unproven`. A restore that writes
//! nothing goes back to where it came from; one that finds the number on its own handler has nothing to write.
//!
//! A write whose answer was lost may land after all that ([`super::late`]): then the number is where that one left it.
//!
//! All moves are in [`SagaState::next`], which is total: a move that is not in the picture is an
//! [`Illegal`], never a guess. The journal is folded through it, live and after a restart. Each
//! state holds what is true in it: a number can be restored exactly in the states that know what to
//! restore.
//!
//! Promises: the snapshot that a restore puts back is the one from before our first write, however
//! often a rollback was tried. The same step twice is the same as once.

mod swap;

pub use self::swap::{Landing, RestoreOrigin, Snapshot, Swap};
use crate::model::decision::DecisionId;
use crate::model::order::{FallbackState, Operation, OrderResult, UpdateParams};

/// Where one channel of one number stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SagaState {
    /// On its own handler; never touched.
    #[default]
    Idle,
    Snapshotted {
        order: DecisionId,
        before: Snapshot,
        /// What an earlier attempt wrote without effect.
        earlier: Option<UpdateParams>,
    },
    Checked {
        order: DecisionId,
        before: Snapshot,
        earlier: Option<UpdateParams>,
        fallback: FallbackState,
    },
    /// The write may or may not have happened: look first.
    Intended(Swap),
    /// Twilio took the write.
    Written(Swap),
    /// The fallback is the effective handler.
    ReadBack(Swap),
    /// And a test call heard it.
    Proven(Swap),
    /// Written, and yet something else answers; or it cannot be told whether it was written, or what answers.
    Unproven(Swap),
    /// The write of the restore may or may not have happened: look first.
    Restoring {
        order: DecisionId,
        swap: Swap,
        update: UpdateParams,
        from: RestoreOrigin,
    },
    RestoreWritten {
        order: DecisionId,
        swap: Swap,
        update: UpdateParams,
        from: RestoreOrigin,
    },
    /// On its own handler again.
    Restored(DecisionId),
    Failed(DecisionId),
    Refused(DecisionId),
    /// Somebody else changed it while it was on the fallback. What we had written is kept, so that
    /// a forced restore knows what to put back.
    Superseded {
        order: DecisionId,
        swap: Option<Swap>,
    },
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SagaEvent {
    Snapshotted(Snapshot),
    Checked(FallbackState),
    Intended(Operation, UpdateParams),
    Written,
    Ended(OrderResult),
    /// Somebody else changed the number.
    Drifted,
    /// The handler that it has is the right one.
    Adopted,
    /// A write of ours, of this order or of an earlier one, has landed late.
    Landed(Landing),
}

impl SagaEvent {
    const fn label(&self) -> &'static str {
        match self {
            SagaEvent::Snapshotted(_) => "snapshotted",
            SagaEvent::Checked(_) => "checked",
            SagaEvent::Intended(Operation::Rollback | Operation::Apply, _) => "intended",
            SagaEvent::Intended(Operation::Restore | Operation::Undo, _) => "restore intended",
            SagaEvent::Written => "written",
            SagaEvent::Ended(end) => end.label(),
            SagaEvent::Drifted => "drifted",
            SagaEvent::Adopted => "adopted",
            SagaEvent::Landed(_) => "landed",
        }
    }
}

/// A move that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{order}: a number that is {state} cannot become {event}")]
pub struct Illegal {
    pub order: DecisionId,
    pub state: &'static str,
    pub event: &'static str,
}

impl SagaState {
    pub const fn label(&self) -> &'static str {
        match self {
            SagaState::Idle => "idle",
            SagaState::Snapshotted { .. } => "snapshotted",
            SagaState::Checked { .. } => "checked",
            SagaState::Intended(_) => "intended",
            SagaState::Written(_) => "written",
            SagaState::ReadBack(_) => "read_back",
            SagaState::Proven(_) => "proven",
            SagaState::Unproven(_) => "unproven",
            SagaState::Restoring { .. } => "restoring",
            SagaState::RestoreWritten { .. } => "restore_written",
            SagaState::Restored(_) => "restored",
            SagaState::Failed(_) => "failed",
            SagaState::Refused(_) => "refused",
            SagaState::Superseded { .. } => "superseded",
        }
    }

    /// The order that brought it here; `None` if none ever did.
    pub const fn order(&self) -> Option<DecisionId> {
        match self {
            SagaState::Idle => None,
            SagaState::Snapshotted { order, .. }
            | SagaState::Checked { order, .. }
            | SagaState::Restoring { order, .. }
            | SagaState::RestoreWritten { order, .. }
            | SagaState::Superseded { order, .. }
            | SagaState::Restored(order)
            | SagaState::Failed(order)
            | SagaState::Refused(order) => Some(*order),
            SagaState::Intended(swap)
            | SagaState::Written(swap)
            | SagaState::ReadBack(swap)
            | SagaState::Proven(swap)
            | SagaState::Unproven(swap) => Some(swap.order),
        }
    }

    /// True between the first step of an order and its end.
    pub const fn is_under_way(&self) -> bool {
        match self {
            SagaState::Snapshotted { .. }
            | SagaState::Checked { .. }
            | SagaState::Intended(_)
            | SagaState::Written(_)
            | SagaState::Restoring { .. }
            | SagaState::RestoreWritten { .. } => true,
            SagaState::Idle
            | SagaState::ReadBack(_)
            | SagaState::Proven(_)
            | SagaState::Unproven(_)
            | SagaState::Restored(_)
            | SagaState::Failed(_)
            | SagaState::Refused(_)
            | SagaState::Superseded { .. } => false,
        }
    }

    /// True while the fallback answers because of us. Of what is [`SagaState::Unproven`] this is not known: whether
    /// it points at the fallback is in its record alone.
    pub const fn is_on_fallback(&self) -> bool {
        match self {
            SagaState::ReadBack(_) | SagaState::Proven(_) => true,
            SagaState::Restoring { from, .. } => from.is_on_fallback(),
            SagaState::Idle
            | SagaState::Snapshotted { .. }
            | SagaState::Checked { .. }
            | SagaState::Intended(_)
            | SagaState::Written(_)
            | SagaState::Unproven(_)
            | SagaState::RestoreWritten { .. }
            | SagaState::Restored(_)
            | SagaState::Failed(_)
            | SagaState::Refused(_)
            | SagaState::Superseded { .. } => false,
        }
    }

    /// True if our write may have put the number onto the fallback without our knowing that the fallback answers.
    pub const fn is_unproven(&self) -> bool {
        match self {
            SagaState::Unproven(_) => true,
            SagaState::Restoring { from, .. } => matches!(from, RestoreOrigin::Unproven),
            SagaState::Idle
            | SagaState::Snapshotted { .. }
            | SagaState::Checked { .. }
            | SagaState::Intended(_)
            | SagaState::Written(_)
            | SagaState::ReadBack(_)
            | SagaState::Proven(_)
            | SagaState::RestoreWritten { .. }
            | SagaState::Restored(_)
            | SagaState::Failed(_)
            | SagaState::Refused(_)
            | SagaState::Superseded { .. } => false,
        }
    }

    /// True if this order intended a write of which the end is not known.
    pub fn may_be_written_by(&self, order: DecisionId) -> bool {
        match self {
            SagaState::Intended(swap) | SagaState::Written(swap) => swap.order == order,
            SagaState::Restoring { order: by, .. } | SagaState::RestoreWritten { order: by, .. } => *by == order,
            SagaState::Idle
            | SagaState::Snapshotted { .. }
            | SagaState::Checked { .. }
            | SagaState::ReadBack(_)
            | SagaState::Proven(_)
            | SagaState::Unproven(_)
            | SagaState::Restored(_)
            | SagaState::Failed(_)
            | SagaState::Refused(_)
            | SagaState::Superseded { .. } => false,
        }
    }

    /// What a restore would undo.
    pub const fn swap(&self) -> Option<&Swap> {
        match self {
            SagaState::Intended(swap)
            | SagaState::Written(swap)
            | SagaState::ReadBack(swap)
            | SagaState::Proven(swap)
            | SagaState::Unproven(swap)
            | SagaState::Restoring { swap, .. }
            | SagaState::RestoreWritten { swap, .. } => Some(swap),
            SagaState::Superseded { swap, .. } => swap.as_ref(),
            SagaState::Idle
            | SagaState::Snapshotted { .. }
            | SagaState::Checked { .. }
            | SagaState::Restored(_)
            | SagaState::Failed(_)
            | SagaState::Refused(_) => None,
        }
    }

    /// The state after `event` of `order`.
    pub fn next(self, order: DecisionId, event: SagaEvent) -> Result<SagaState, Illegal> {
        use SagaState as S;
        let illegal = Illegal { order, state: self.label(), event: event.label() };
        let is_same = self.order() == Some(order);
        match (self, event) {
            // A rollback, from its first step to its end.
            (
                S::Idle | S::Restored(_) | S::Failed(_) | S::Refused(_) | S::Superseded { .. },
                SagaEvent::Snapshotted(before),
            ) => Ok(S::Snapshotted { order, before, earlier: None }),
            // What an attempt without effect left is not what was there before us.
            (S::Unproven(swap), SagaEvent::Snapshotted(_)) => {
                Ok(S::Snapshotted { order, before: swap.before, earlier: Some(swap.wrote) })
            }
            // A step that was begun and not carried on is begun anew.
            (
                S::Snapshotted { before, earlier, .. } | S::Checked { before, earlier, .. },
                SagaEvent::Snapshotted(again),
            ) => {
                let before = if earlier.is_none() { again } else { before };
                Ok(S::Snapshotted { order, before, earlier })
            }
            (S::Snapshotted { before, earlier, .. }, SagaEvent::Checked(fallback)) if is_same => {
                Ok(S::Checked { order, before, earlier, fallback })
            }
            (S::Checked { before, earlier, .. }, SagaEvent::Intended(Operation::Rollback, update)) if is_same => {
                let wrote = merged(earlier.clone().unwrap_or_default(), update);
                Ok(S::Intended(Swap { order, before, wrote, earlier }))
            }
            (S::Intended(swap) | S::Written(swap), SagaEvent::Written) if is_same => Ok(S::Written(swap)),
            // After a restart the look alone says so.
            (S::Intended(swap) | S::Written(swap), SagaEvent::Ended(OrderResult::Written)) if is_same => {
                Ok(S::ReadBack(swap))
            }
            (S::ReadBack(swap) | S::Proven(swap), SagaEvent::Ended(OrderResult::Proven)) if is_same => {
                Ok(S::Proven(swap))
            }
            (
                S::Intended(swap) | S::Written(swap) | S::ReadBack(swap) | S::Unproven(swap),
                SagaEvent::Ended(OrderResult::Unproven),
            ) if is_same => Ok(S::Unproven(swap)),
            // Not written: as if it had never been tried, unless an earlier attempt left something.
            // A look after a restart may show that what Twilio took is not there.
            (
                S::Intended(swap) | S::Written(swap),
                SagaEvent::Ended(end @ (OrderResult::Failed | OrderResult::Refused)),
            ) if is_same => Ok(swap.without_this_attempt().map_or_else(|| not_written(order, end), S::Unproven)),
            (
                S::Snapshotted { before, earlier, .. } | S::Checked { before, earlier, .. },
                SagaEvent::Ended(end @ (OrderResult::Failed | OrderResult::Refused)),
            ) => Ok(match earlier {
                Some(wrote) => S::Unproven(Swap { order, before, wrote, earlier: None }),
                None => not_written(order, end),
            }),
            (
                S::Idle | S::Restored(_) | S::Failed(_) | S::Refused(_),
                SagaEvent::Ended(end @ (OrderResult::Failed | OrderResult::Refused)),
            ) => Ok(not_written(order, end)),
            // Asked for again: it is so already.
            (s @ (S::ReadBack(_) | S::Proven(_)), SagaEvent::Ended(OrderResult::Written)) => Ok(s),
            (
                s @ (S::Idle | S::Restored(_) | S::Failed(_) | S::Refused(_)),
                SagaEvent::Ended(OrderResult::Restored),
            ) => Ok(s),
            // Refused or failed before anything was tried: it stays what it was.
            (
                s @ (S::ReadBack(_) | S::Proven(_) | S::Unproven(_) | S::Superseded { .. }),
                SagaEvent::Ended(OrderResult::Failed | OrderResult::Refused),
            ) => Ok(s),
            (S::Intended(swap) | S::Written(swap), SagaEvent::Ended(OrderResult::Superseded)) if is_same => {
                Ok(S::Superseded { order, swap: Some(swap) })
            }

            // A restore.
            (S::ReadBack(swap), SagaEvent::Intended(Operation::Restore, update)) => {
                Ok(S::Restoring { order, swap, update, from: RestoreOrigin::ReadBack })
            }
            (S::Proven(swap), SagaEvent::Intended(Operation::Restore, update)) => {
                Ok(S::Restoring { order, swap, update, from: RestoreOrigin::Proven })
            }
            (S::Unproven(swap), SagaEvent::Intended(Operation::Restore, update)) => {
                Ok(S::Restoring { order, swap, update, from: RestoreOrigin::Unproven })
            }
            (S::Superseded { order: by, swap: Some(swap) }, SagaEvent::Intended(Operation::Restore, update)) => {
                Ok(S::Restoring { order, swap, update, from: RestoreOrigin::Superseded(by) })
            }
            (
                S::Restoring { swap, update, from, .. } | S::RestoreWritten { swap, update, from, .. },
                SagaEvent::Written,
            ) if is_same => Ok(S::RestoreWritten { order, swap, update, from }),
            (S::Restoring { .. } | S::RestoreWritten { .. }, SagaEvent::Ended(OrderResult::Restored)) if is_same => {
                Ok(S::Restored(order))
            }
            // It was back already: nothing had to be written.
            (
                S::ReadBack(_) | S::Proven(_) | S::Unproven(_) | S::Superseded { .. },
                SagaEvent::Ended(OrderResult::Restored),
            ) => Ok(S::Restored(order)),
            // Looked at: what was there is still there.
            (
                S::Restoring { swap, from, .. } | S::RestoreWritten { swap, from, .. },
                SagaEvent::Ended(OrderResult::Failed | OrderResult::Refused),
            ) if is_same => Ok(from.state(swap)),
            (S::Restoring { swap, .. } | S::RestoreWritten { swap, .. }, SagaEvent::Ended(OrderResult::Unproven))
                if is_same =>
            {
                Ok(S::Unproven(swap))
            }
            (S::Restoring { swap, .. } | S::RestoreWritten { swap, .. }, SagaEvent::Ended(OrderResult::Superseded))
                if is_same =>
            {
                Ok(S::Superseded { order, swap: Some(swap) })
            }
            // A restore that finds somebody else's work leaves it.
            (S::ReadBack(swap) | S::Proven(swap) | S::Unproven(swap), SagaEvent::Ended(OrderResult::Superseded)) => {
                Ok(S::Superseded { order, swap: Some(swap) })
            }
            (S::Superseded { swap, .. }, SagaEvent::Ended(OrderResult::Superseded)) => {
                Ok(S::Superseded { order, swap })
            }

            // Somebody else: never back.
            (S::ReadBack(swap) | S::Proven(swap) | S::Unproven(swap), SagaEvent::Drifted) => {
                Ok(S::Superseded { order: swap.order, swap: Some(swap) })
            }
            (
                s @ (S::Idle | S::Restored(_) | S::Failed(_) | S::Refused(_) | S::Superseded { .. }),
                SagaEvent::Drifted,
            ) => Ok(s),

            // Theirs is the number's own: there is nothing to put back.
            (
                S::ReadBack(Swap { order, .. })
                | S::Proven(Swap { order, .. })
                | S::Unproven(Swap { order, .. })
                | S::Superseded { order, .. },
                SagaEvent::Adopted,
            ) => Ok(S::Superseded { order, swap: None }),
            (s @ (S::Idle | S::Restored(_) | S::Failed(_) | S::Refused(_)), SagaEvent::Adopted) => Ok(s),

            // Whatever it was, by now it is this.
            (
                S::Idle
                | S::ReadBack(_)
                | S::Proven(_)
                | S::Unproven(_)
                | S::Restored(_)
                | S::Failed(_)
                | S::Refused(_)
                | S::Superseded { .. },
                SagaEvent::Landed(landing),
            ) => Ok(match landing {
                Landing::OnFallback(swap) => S::ReadBack(swap),
                Landing::Back => S::Restored(order),
                Landing::Over(swap) => S::Unproven(swap),
            }),

            (
                S::Idle
                | S::Snapshotted { .. }
                | S::Checked { .. }
                | S::Intended(_)
                | S::Written(_)
                | S::ReadBack(_)
                | S::Proven(_)
                | S::Unproven(_)
                | S::Restoring { .. }
                | S::RestoreWritten { .. }
                | S::Restored(_)
                | S::Failed(_)
                | S::Refused(_)
                | S::Superseded { .. },
                SagaEvent::Snapshotted(_)
                | SagaEvent::Checked(_)
                | SagaEvent::Intended(..)
                | SagaEvent::Written
                | SagaEvent::Ended(_)
                | SagaEvent::Drifted
                | SagaEvent::Adopted
                | SagaEvent::Landed(_),
            ) => Err(illegal),
        }
    }
}

fn not_written(order: DecisionId, end: OrderResult) -> SagaState {
    match end {
        OrderResult::Refused => SagaState::Refused(order),
        OrderResult::Written
        | OrderResult::Proven
        | OrderResult::Unproven
        | OrderResult::Failed
        | OrderResult::Superseded
        | OrderResult::Restored => SagaState::Failed(order),
    }
}

/// Everything that either wrote, with the later one's values.
fn merged(mut earlier: UpdateParams, later: UpdateParams) -> UpdateParams {
    earlier.retain(|(name, _)| !later.iter().any(|(n, _)| n == name));
    earlier.extend(later);
    earlier
}

#[cfg(test)]
mod tests;
