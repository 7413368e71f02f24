//! What is kept for ever: each decision, each step of each swap, each word of an operator.
//!
//! The journal is the agent's memory of what it did. Its entries are folded through
//! [`super::hands::Hands::fold`] while the agent lives and again after a restart, so recovery is no
//! second way through the code. An entry says what has been decided or seen to be so; entries that
//! announce a write ([`Entry::Intent`]) are on the disk before the write happens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::guard::Guard;
use super::id::{BadId, Channel, E164, GroupName, NumberSid};
use super::policy::{Decision, DecisionId, Mode, Phase};
use super::recompute::Rules;
use super::restore::Difference;
use super::time::Time;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// What the detector made of its evidence.
    Decision(Decision),
    /// What is to be done, by whose word.
    Order(Order),
    /// These numbers of a staged restore are its next stage.
    Stage {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<E164>,
    },
    /// A guard said no to these numbers of a decision.
    Refused {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<E164>,
        guard: Guard,
    },
    /// These numbers of a decision wait: for a person's word, or for a veto that does not come.
    Asked {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<E164>,
        guard: Guard,
        until: Time,
    },
    /// A person said yes.
    Approved {
        decision: DecisionId,
        by: Author,
    },
    /// The decision no longer stands for these numbers: nobody approved, or callers are served again.
    Lapsed {
        decision: DecisionId,
        channel: Channel,
        numbers: Vec<E164>,
        why: Lapse,
    },
    /// The whole record of a number before it is written to, as Twilio returned it.
    Snapshot {
        decision: DecisionId,
        channel: Channel,
        number: E164,
        sid: NumberSid,
        record: String,
        /// SHA-256 of `record`, in hexadecimal digits. Empty in journals of the first version.
        #[serde(default)]
        sha256: String,
    },
    /// What was known of the fallback when it was needed.
    Checked {
        decision: DecisionId,
        channel: Channel,
        number: E164,
        fallback: FallbackState,
    },
    /// About to write this.
    Intent {
        decision: DecisionId,
        channel: Channel,
        number: E164,
        sid: NumberSid,
        #[serde(default)]
        act: Act,
        form: Form,
    },
    /// Twilio took the write, or a look shows that it did.
    Written {
        decision: DecisionId,
        channel: Channel,
        number: E164,
    },
    /// What became of the intent, or why there was none.
    Result {
        decision: DecisionId,
        channel: Channel,
        number: E164,
        result: End,
        detail: String,
    },
    Phase {
        channel: Channel,
        number: E164,
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
    /// Somebody else changed a number.
    Drift {
        number: E164,
        channel: Channel,
        differences: Vec<Difference>,
        /// Who, as far as Twilio's audit log tells.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        actor: Option<String>,
    },
    /// An agent began to watch. The rules are left out while they are as they were at the start before.
    Started {
        version: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rules: Option<Box<Rules>>,
    },
    /// What a group's fallback was found to be, when that changes.
    Fallback {
        group: GroupName,
        channel: Channel,
        state: FallbackState,
        detail: String,
    },
}

/// Parameters of an update of a number.
pub type Form = Vec<(String, String)>;

/// Which way a number is swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// To the fallback.
    #[default]
    Rollback,
    /// Back to the snapshot.
    Restore,
}

impl Act {
    pub const fn label(self) -> &'static str {
        match self {
            Act::Rollback => "rollback",
            Act::Restore => "restore",
        }
    }
}

/// Numbers to swap. It has the id of the decision it carries out; an operator's order has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: DecisionId,
    pub act: Act,
    pub channel: Channel,
    pub group: GroupName,
    pub numbers: Vec<E164>,
    pub by: By,
    /// Restore over what somebody else changed.
    #[serde(default)]
    pub force: bool,
    /// Restore a canary first, then a share, then the rest.
    #[serde(default)]
    pub staged: bool,
}

/// By whose word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Detector,
    Operator(Author),
}

impl By {
    /// Label of `ringback_rollbacks_total{trigger}`.
    pub const fn label(&self) -> &'static str {
        match self {
            By::Detector => "automatic",
            By::Operator(_) => "operator",
        }
    }
}

/// Who said so, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    pub name: String,
    pub reason: String,
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// How one number's part of an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Read back: the effective handler is the fallback. No test call has heard it yet.
    Written,
    /// A test call was answered by the fallback.
    Proven,
    /// Twilio took the write, and the effective handler is another; or it cannot be read.
    Unproven,
    /// Not written.
    Failed,
    /// Not tried, since it may not be or would not help.
    Refused,
    /// Somebody else has changed the number: it is theirs now.
    Superseded,
    /// Read back: the effective handler is the one of the snapshot.
    Restored,
}

impl End {
    pub const ALL: [End; 7] =
        [End::Written, End::Proven, End::Unproven, End::Failed, End::Refused, End::Superseded, End::Restored];

    pub const fn label(self) -> &'static str {
        match self {
            End::Written => "written",
            End::Proven => "proven",
            End::Unproven => "unproven",
            End::Failed => "failed",
            End::Refused => "refused",
            End::Superseded => "superseded",
            End::Restored => "restored",
        }
    }

    /// True if the order got what it asked for.
    pub const fn is_as_asked(self) -> bool {
        match self {
            End::Written | End::Proven | End::Restored => true,
            End::Unproven | End::Failed | End::Refused | End::Superseded => false,
        }
    }
}

/// Why a decision no longer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lapse {
    /// Its time is over, and nobody approved or the guard still says no.
    TimedOut,
    /// Callers are served again.
    Recovered,
    /// An earlier stage of the restore did not go well.
    Relapsed,
}

impl Lapse {
    pub const fn text(self) -> &'static str {
        match self {
            Lapse::TimedOut => "its time is over",
            Lapse::Recovered => "callers are served again",
            Lapse::Relapsed => "an earlier stage of the restore did not go well",
        }
    }
}

/// A person's stop, with an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub scope: Scope,
    pub by: Author,
    pub until: Time,
}

/// What a person's word is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub of: Of,
    /// Both channels if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<Channel>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    All,
    Group(GroupName),
    Number(E164),
}

impl Scope {
    pub fn covers(&self, group: &GroupName, number: E164, channel: Channel) -> bool {
        let of = match &self.of {
            Of::All => true,
            Of::Group(name) => name == group,
            Of::Number(n) => *n == number,
        };
        of && self.channel.is_none_or(|c| c == channel)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::All => f.write_str("all numbers")?,
            Of::Group(name) => write!(f, "group {name}")?,
            Of::Number(n) => write!(f, "{n}")?,
        }
        self.channel.map_or(Ok(()), |c| write!(f, ", {c}"))
    }
}

/// What is known of a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackState {
    /// Nobody could look: there is no Auth Token to sign the request with, or nobody has yet.
    #[default]
    Unchecked,
    /// It answers valid TwiML.
    Good,
    /// It would not serve callers.
    Broken,
}

impl FallbackState {
    pub const ALL: [FallbackState; 3] = [FallbackState::Unchecked, FallbackState::Good, FallbackState::Broken];

    pub const fn label(self) -> &'static str {
        match self {
            FallbackState::Unchecked => "unchecked",
            FallbackState::Good => "good",
            FallbackState::Broken => "broken",
        }
    }
}

impl Entry {
    /// The entry's kind as the journal names it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Entry::Decision(_) => "decision",
            Entry::Order(_) => "order",
            Entry::Stage { .. } => "stage",
            Entry::Refused { .. } => "refused",
            Entry::Asked { .. } => "asked",
            Entry::Approved { .. } => "approved",
            Entry::Lapsed { .. } => "lapsed",
            Entry::Snapshot { .. } => "snapshot",
            Entry::Checked { .. } => "checked",
            Entry::Intent { .. } => "intent",
            Entry::Written { .. } => "written",
            Entry::Result { .. } => "result",
            Entry::Phase { .. } => "phase",
            Entry::Hold(_) => "hold",
            Entry::Release { .. } => "release",
            Entry::Mode { .. } => "mode",
            Entry::Drift { .. } => "drift",
            Entry::Started { .. } => "started",
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
            | Entry::Lapsed { decision, .. }
            | Entry::Snapshot { decision, .. }
            | Entry::Checked { decision, .. }
            | Entry::Intent { decision, .. }
            | Entry::Written { decision, .. }
            | Entry::Result { decision, .. } => Some(*decision),
            Entry::Phase { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Mode { .. }
            | Entry::Drift { .. }
            | Entry::Started { .. }
            | Entry::Fallback { .. } => None,
        }
    }
}

impl FromStr for DecisionId {
    type Err = BadId;

    fn from_str(s: &str) -> Result<DecisionId, BadId> {
        let digits = s.strip_prefix(['D', 'd']).unwrap_or(s);
        let all_digits = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
        let id = all_digits.then(|| digits.parse().ok()).flatten();
        id.map(DecisionId).ok_or_else(|| BadId::new(s, "a decision's id, such as D12"))
    }
}
