//! What is kept for ever: each decision, each step of each swap, each command of an operator.
//!
//! The journal is the agent's memory of what it did. Its entries are folded through
//! [`crate::rollback::orders::Orders::fold`] while the agent lives and again after a restart, so recovery is no
//! second way through the code. An entry says what has been decided or seen to be so; entries that
//! announce a write ([`Entry::Intent`]) are on the disk before the write happens.
//!
//! What numbers' fields have is whole in the state alone, which writes entries by
//! [`crate::model::value::whole_json`]; everywhere else an entry is without what may be secret.

use serde::{Deserialize, Serialize};

use crate::detect::rules::Rules;
use crate::model::decision::{Decision, DecisionId, Mode, Phase};
use crate::model::foreign::Line;
use crate::model::guard::Guard;
use crate::model::id::{Channel, GroupName, NumberId, NumberSid};
use crate::model::order::{
    AdoptedBy, Author, CloseReason, FallbackState, Hold, LandedOn, Operation, Order, OrderResult, Scope, UpdateParams,
};
use crate::model::time::Time;
use crate::model::value::RawRecord;
use crate::port::news::PortEntry;
use crate::routing::values::Difference;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// What the detector made of its evidence.
    Decision(Decision),
    /// What is to be done, on whose behalf.
    Order(Order),
    /// These numbers of a staged restore are its next stage.
    Stage {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<NumberId>,
    },
    /// A guard said no to these numbers of a decision.
    Refused {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<NumberId>,
        guard: Guard,
    },
    /// These numbers of a decision wait: for approval, or for a veto that does not come.
    Asked {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<NumberId>,
        guard: Guard,
        until: Time,
    },
    /// A person said yes.
    Approved {
        decision: DecisionId,
        by: Author,
    },
    /// The decision no longer stands for these numbers: nobody approved, or callers are served again.
    Closed {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<NumberId>,
        why: CloseReason,
    },
    /// These numbers' callers are served: the trouble that nothing else in the journal ends is over.
    Recovered {
        channel: Channel,
        numbers: Vec<NumberId>,
    },
    /// The whole record of a number before it is written to, as Twilio returned it.
    Snapshot {
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
        sid: NumberSid,
        record: RawRecord,
        /// SHA-256 of `record`, in hexadecimal digits.
        sha256: String,
    },
    /// What was known of the fallback when it was needed.
    Checked {
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
        fallback: FallbackState,
    },
    /// About to write this.
    Intent {
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
        sid: NumberSid,
        operation: Operation,
        update: UpdateParams,
    },
    /// Twilio took the write, or a look shows that it did.
    Written {
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
    },
    /// What became of the intent, or why there was none.
    Result {
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
        result: OrderResult,
        detail: String,
    },
    /// The answer to a write of this order was lost, or whoever sent it was stopped: it may land until then, whatever
    /// the order has come to.
    Lost {
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
        until: Time,
    },
    /// Such a write of this order has landed, after the number had become something else.
    Landed {
        decision: DecisionId,
        channel: Channel,
        number: NumberId,
        sid: NumberSid,
        /// Where the number is by that.
        on: LandedOn,
        /// The fields that decide who answers, as a restore puts them back.
        routing: RawRecord,
        /// What is other than that now.
        update: UpdateParams,
    },
    Phase {
        channel: Channel,
        number: NumberId,
        phase: Phase,
    },
    /// A person's stop.
    Hold(Hold),
    /// The end of every hold on exactly this scope.
    Release {
        scope: Scope,
        by: Author,
    },
    Mode {
        mode: Mode,
        by: Author,
    },
    /// An operator says that these numbers are ported. The phases that follow are entries of their own.
    Ported {
        numbers: Vec<NumberId>,
        by: Author,
    },
    /// What became of numbers' ports, and what they met after them.
    Port(PortEntry),
    /// Somebody else changed a number.
    Drift {
        number: NumberId,
        channel: Channel,
        differences: Vec<Difference>,
        /// Who, as far as Twilio's audit log tells.
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<Line>,
    },
    /// The handler that a number has is the right one: what it is compared with, and restored to, from now on.
    Adopted {
        number: NumberId,
        channel: Channel,
        /// The fields that decide who answers the channel, as a record has them.
        routing: RawRecord,
        by: AdoptedBy,
        /// From what it was compared with until then.
        differences: Vec<Difference>,
        /// Who wrote it, as far as Twilio's audit log tells.
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<Line>,
    },
    /// An agent began to watch. The rules are left out while they are as they were at the start before.
    Started {
        version: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        rules: Option<Box<Rules>>,
    },
    /// The configuration was read again, and an agent begins to watch by it.
    Reloaded {
        by: Author,
        /// The keys that are written otherwise than before.
        changed: Vec<String>,
    },
    /// What a group's fallback was found to be, when that changes.
    Fallback {
        group: GroupName,
        channel: Channel,
        /// Of which address.
        url: String,
        state: FallbackState,
        /// Numbers for which it is broken, where it is not for all.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        broken_for: Vec<NumberId>,
        detail: String,
    },
}

impl Entry {
    /// A fallback that is so for all its numbers.
    #[cfg(test)]
    pub fn fallback(group: GroupName, channel: Channel, state: FallbackState) -> Entry {
        let (url, broken_for, detail) = (String::new(), Vec::new(), String::new());
        Entry::Fallback { group, channel, url, state, broken_for, detail }
    }

    /// The entry's kind as the journal names it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Entry::Decision(_) => "decision",
            Entry::Order(_) => "order",
            Entry::Stage { .. } => "stage",
            Entry::Refused { .. } => "refused",
            Entry::Asked { .. } => "asked",
            Entry::Approved { .. } => "approved",
            Entry::Closed { .. } => "closed",
            Entry::Recovered { .. } => "recovered",
            Entry::Snapshot { .. } => "snapshot",
            Entry::Checked { .. } => "checked",
            Entry::Intent { .. } => "intent",
            Entry::Written { .. } => "written",
            Entry::Result { .. } => "result",
            Entry::Lost { .. } => "lost",
            Entry::Landed { .. } => "landed",
            Entry::Phase { .. } => "phase",
            Entry::Hold(_) => "hold",
            Entry::Release { .. } => "release",
            Entry::Mode { .. } => "mode",
            Entry::Ported { .. } => "ported",
            Entry::Port(_) => "port",
            Entry::Drift { .. } => "drift",
            Entry::Adopted { .. } => "adopted",
            Entry::Started { .. } => "started",
            Entry::Reloaded { .. } => "reloaded",
            Entry::Fallback { .. } => "fallback",
        }
    }

    /// The rules that a start found changed.
    pub fn rules(&self) -> Option<&Rules> {
        if let Entry::Started { rules, .. } = self { rules.as_deref() } else { None }
    }

    /// The decision or order that the entry belongs to.
    pub const fn decision(&self) -> Option<DecisionId> {
        match self {
            Entry::Decision(d) => Some(d.id),
            Entry::Order(o) => Some(o.id),
            Entry::Stage { decision, .. }
            | Entry::Refused { decision, .. }
            | Entry::Asked { decision, .. }
            | Entry::Approved { decision, .. }
            | Entry::Closed { decision, .. }
            | Entry::Snapshot { decision, .. }
            | Entry::Checked { decision, .. }
            | Entry::Intent { decision, .. }
            | Entry::Written { decision, .. }
            | Entry::Result { decision, .. }
            | Entry::Lost { decision, .. }
            | Entry::Landed { decision, .. } => Some(*decision),
            Entry::Recovered { .. }
            | Entry::Phase { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Mode { .. }
            | Entry::Ported { .. }
            | Entry::Port(_)
            | Entry::Drift { .. }
            | Entry::Adopted { .. }
            | Entry::Started { .. }
            | Entry::Reloaded { .. }
            | Entry::Fallback { .. } => None,
        }
    }
}
