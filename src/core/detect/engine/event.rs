//! What the engine reports.

use std::time::Duration;

use crate::detect::ledger::OutcomeChange;
use crate::model::code::Code;
use crate::model::decision::{Decision, Phase};
use crate::model::id::Channel;
use crate::model::roster::{GroupIx, NumberIx};
use crate::model::verdict::Verdict;
use crate::port::news::Met;

/// Something that happened in the core and that the world should know.
#[derive(Clone, Debug, PartialEq)]
pub enum EngineEvent {
    /// An outcome is known, or known better.
    Settled(OutcomeChange),
    /// An alert belongs to a call or message of this number.
    Alert {
        number: NumberIx,
        code: Code,
    },
    Phase {
        number: NumberIx,
        channel: Channel,
        from: Phase,
        to: Phase,
        why: PhaseChange,
    },
    /// A channel has met this for the first time that is remembered.
    Met {
        number: NumberIx,
        channel: Channel,
        met: Met,
    },
    /// Twilio's debugger says that the number is being ported away.
    PortedOut {
        number: NumberIx,
    },
    /// An alert came after its call had been settled as served: outcomes wait so long from now on.
    AlertsLate {
        waits: Duration,
    },
    /// An error beside evidence of service.
    Warned {
        number: NumberIx,
        channel: Channel,
        code: Code,
    },
    Verdict {
        number: NumberIx,
        channel: Channel,
        from: Verdict,
        to: Verdict,
    },
    GroupVerdict {
        group: GroupIx,
        channel: Channel,
        from: Verdict,
        to: Verdict,
    },
    /// Boxed, for it is large and rare, and after an outage there are hundreds of thousands of the others.
    Decided(Box<Decision>),
}

/// Why a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseChange {
    /// Its time had come.
    Due,
    /// A live caller arrived.
    FirstCaller,
    /// A live caller was served.
    Served,
    /// A probe of ours was.
    Probed,
    /// An operator said so.
    Operator,
    /// Twilio says that the port is completed.
    Completed,
    /// Twilio says that it is not.
    NotPorted,
    /// Too few came to go on waiting for them.
    Quiet,
}
