//! What our writes to a number were, and what was there before them.

use super::SagaState;
use crate::model::decision::DecisionId;
use crate::model::id::NumberSid;
use crate::model::order::UpdateParams;
use crate::model::value::RawRecord;

/// A number's whole record before we wrote to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub sid: NumberSid,
    /// As Twilio returned it.
    pub record: RawRecord,
}

/// What we wrote over what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    pub order: DecisionId,
    /// From before our first write.
    pub before: Snapshot,
    /// Everything that we wrote since.
    pub wrote: UpdateParams,
    /// Of a second attempt: what the attempts before it wrote, as far as is known without effect.
    pub earlier: Option<UpdateParams>,
}

impl Swap {
    /// Nothing of this attempt was written: what is left is what the attempts before it wrote, if there were any.
    pub(super) fn without_this_attempt(self) -> Option<Swap> {
        let wrote = self.earlier?;
        Some(Swap { wrote, earlier: None, ..self })
    }
}

/// What a number was when its restore began, which is what it is again if nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreOrigin {
    ReadBack,
    Proven,
    Unproven,
    /// By this order.
    Superseded(DecisionId),
}

impl RestoreOrigin {
    pub(super) const fn is_on_fallback(self) -> bool {
        match self {
            RestoreOrigin::ReadBack | RestoreOrigin::Proven => true,
            RestoreOrigin::Unproven | RestoreOrigin::Superseded(_) => false,
        }
    }

    pub(super) const fn state(self, swap: Swap) -> SagaState {
        match self {
            RestoreOrigin::ReadBack => SagaState::ReadBack(swap),
            RestoreOrigin::Proven => SagaState::Proven(swap),
            RestoreOrigin::Unproven => SagaState::Unproven(swap),
            RestoreOrigin::Superseded(order) => SagaState::Superseded { order, swap: Some(swap) },
        }
    }
}

/// Where a write of ours that landed late has left a number; see [`crate::rollback::late`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    OnFallback(Swap),
    /// On its own handler, off the fallback.
    Back,
    /// On an earlier handler; beneath it is the one that it had since.
    Over(Swap),
}
