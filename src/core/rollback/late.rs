//! Writes of ours whose answer was lost, for as long as they may land.
//!
//! Twilio, or what lies on the way to it, may carry out a request long after we gave up on its answer. By then its
//! order has ended, by what a look showed: the same was written once more, or the number was put back, rolled back
//! anew, applied to or adopted. So such a write is remembered beside the number's state, for as long as it may land:
//!
//! ```text
//! sent → answered                            nothing is left open
//!      ↘ answer lost: open → never seen      forgotten with the first look after its time
//!                          ↘ Landed on       the fallback           as if read back: to be proven, or restored
//!                                            its own handler        off the fallback: as if restored
//!                                            an earlier handler     a restore puts back the one that it had since
//! ```
//!
//! That holds for rollbacks, restores, applies and their undoing alike, whoever ordered them. What a look at a number
//! shows of them is in [`super::look`]. One that has landed may land again: it may have been sent more than once.

use std::time::Duration;

use super::saga::{Landing, Snapshot, Swap};
use crate::model::decision::DecisionId;
use crate::model::id::NumberSid;
use crate::model::order::{LandedOn, Operation, UpdateParams};
use crate::model::time::Time;
use crate::model::value::RawRecord;

/// What was written last of an order, before it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    pub order: DecisionId,
    pub operation: Operation,
    pub sid: NumberSid,
    pub update: UpdateParams,
}

/// A write whose answer was lost may land within this. A server keeps a request for seconds, a proxy or a queue on the
/// way for minutes; what is remembered for longer than needed costs nothing, for it is recognised by what it wrote.
pub const LANDS_WITHIN: Duration = Duration::from_secs(3600);

/// Different writes to one channel of one number that are remembered; the oldest give way. An order has one write.
const REMEMBERED: usize = 8;

/// A write of ours that may land late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateWrite {
    pub write: Intended,
    /// The record that its order had kept from before our first write.
    pub own: RawRecord,
    pub until: Time,
}

/// What late writes may have done to a number as it was read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LateAt<'a> {
    /// A rollback that may have landed, or may yet land.
    pub rollback: Option<&'a LateWrite>,
    /// What it is now a write of ours has made of it whose answer was lost.
    pub has_landed: bool,
}

/// Remembers one more. The same write sent again is one, which may land for longer.
pub(super) fn remember(late: &mut Vec<LateWrite>, at: Time, write: LateWrite) {
    // One that is over by then and was not seen has not landed.
    late.retain(|w| at <= w.until && w.write != write.write);
    late.push(write);
    let surplus = late.len().saturating_sub(REMEMBERED);
    late.drain(..surplus);
}

/// What the entry about it says of the number's swap.
pub(super) fn landing(
    order: DecisionId,
    sid: NumberSid,
    on: LandedOn,
    routing: &RawRecord,
    update: &UpdateParams,
) -> Landing {
    let swap = Swap { order, before: Snapshot { sid, record: routing.clone() }, wrote: update.clone(), earlier: None };
    match on {
        LandedOn::Fallback => Landing::OnFallback(swap),
        LandedOn::OwnHandler => Landing::Back,
        LandedOn::EarlierHandler => Landing::Over(swap),
    }
}
