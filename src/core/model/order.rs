//! What is asked for, by whom, about which numbers, and how it ended: the nouns that orders, the journal,
//! the guards, the notices and the operator's commands share.
//!
//! No rules: what may be done with them is said in [`crate::rollback::guard`] and
//! [`crate::rollback::orders`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::decision::DecisionId;
use super::foreign::Line;
use super::handler::WantedHandler;
use super::id::{Channel, GroupName, NumberId};
use super::roster::Roster;
use super::time::Time;
use super::value::FieldValue;

/// Parameters of an update of a number.
pub type UpdateParams = Vec<(String, FieldValue)>;

/// What is done to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// To the fallback.
    Rollback,
    /// Back to the snapshot.
    Restore,
    /// To what the file asks of its handler.
    Apply,
    /// Back to the snapshot of the latest apply.
    Undo,
}

impl Operation {
    pub const fn label(self) -> &'static str {
        match self {
            Operation::Rollback => "rollback",
            Operation::Restore => "restore",
            Operation::Apply => "apply",
            Operation::Undo => "undo",
        }
    }

    /// The same with its article, as it stands in a sentence.
    pub const fn one(self) -> &'static str {
        match self {
            Operation::Rollback => "a rollback",
            Operation::Restore => "a restore",
            Operation::Apply => "an apply",
            Operation::Undo => "an undo of an apply",
        }
    }

    /// What it does, as it stands before the numbers.
    pub const fn text(self) -> &'static str {
        match self {
            Operation::Rollback => "rollback to the fallback",
            Operation::Restore => "restore",
            Operation::Apply => "apply of the configured handler",
            Operation::Undo => "undo of the latest apply",
        }
    }

    /// True if it is between a number's handler and its fallback. Applies lie beneath that.
    pub const fn is_of_fallback(self) -> bool {
        match self {
            Operation::Rollback | Operation::Restore => true,
            Operation::Apply | Operation::Undo => false,
        }
    }
}

/// What an apply makes true, and of numbers in which state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyTerms {
    pub wanted: WantedHandler,
    /// What each number's routing was when it was looked at, as a keyed hash. One that is otherwise when its turn comes
    /// is left. Of a number that is not here nothing is presumed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub reads: BTreeMap<NumberId, String>,
}

/// Numbers to write to. It has the id of the decision it carries out; an operator's order has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: DecisionId,
    pub operation: Operation,
    pub channel: Channel,
    pub group: GroupName,
    pub numbers: Vec<NumberId>,
    pub by: By,
    /// Restore over what somebody else changed.
    pub force: bool,
    /// Restore a canary first, then a share, then the rest.
    pub staged: bool,
    /// Of an apply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub terms: Option<ApplyTerms>,
}

/// An order as a command would give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedOrder {
    pub operation: Operation,
    pub channel: Channel,
    pub numbers: Vec<NumberId>,
    pub force: bool,
}

/// On whose behalf.
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
    pub name: Line,
    pub reason: Line,
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// Who says that a number's handler is the right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptedBy {
    Operator(Author),
    /// The configuration said beforehand that this application would set it.
    Owner(Line),
}

impl fmt::Display for AdoptedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdoptedBy::Operator(author) => author.fmt(f),
            AdoptedBy::Owner(owner) => write!(f, "{owner}, whom the configuration expects"),
        }
    }
}

/// How one number's part of an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderResult {
    /// Read back: the effective handler is the fallback, and no test call has heard it yet. Of an apply: it is what the
    /// file asks.
    Written,
    /// A test call was answered by the fallback.
    Proven,
    /// It is not known that the fallback answers: Twilio took the write and the effective handler is another, no test
    /// call reached it, or the write's answer was lost and the number cannot be read.
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

impl OrderResult {
    pub const ALL: [OrderResult; 7] = [
        OrderResult::Written,
        OrderResult::Proven,
        OrderResult::Unproven,
        OrderResult::Failed,
        OrderResult::Refused,
        OrderResult::Superseded,
        OrderResult::Restored,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            OrderResult::Written => "written",
            OrderResult::Proven => "proven",
            OrderResult::Unproven => "unproven",
            OrderResult::Failed => "failed",
            OrderResult::Refused => "refused",
            OrderResult::Superseded => "superseded",
            OrderResult::Restored => "restored",
        }
    }

    /// What it means. What was asked for decides of what is as it should be; `None` where that is not known.
    pub const fn text(self, operation: Option<Operation>) -> &'static str {
        match self {
            OrderResult::Written => match operation {
                Some(Operation::Rollback) => "read back: the fallback is in effect; no test call has heard it yet",
                Some(Operation::Apply) => "read back: the handler is the configured one",
                Some(Operation::Undo) => "read back: the handler is the one before the apply",
                Some(Operation::Restore) | None => "written and read back",
            },
            OrderResult::Proven => "proven: a test call was answered by the fallback",
            OrderResult::Unproven => "not proven",
            OrderResult::Failed => "not written",
            OrderResult::Refused => "refused",
            OrderResult::Superseded => "superseded: somebody else has changed the number",
            OrderResult::Restored => "restored and read back",
        }
    }

    /// True if the order got what it asked for.
    pub const fn is_as_asked(self) -> bool {
        match self {
            OrderResult::Written | OrderResult::Proven | OrderResult::Restored => true,
            OrderResult::Unproven | OrderResult::Failed | OrderResult::Refused | OrderResult::Superseded => false,
        }
    }
}

/// How the detail of a swap begins whose proof could not be measured.
pub const NOT_PROVEN_YET: &str = "not proven yet";

/// How the detail of a rollback begins whose fallback a test call of ours reached, and which failed.
pub const FALLBACK_FAILS: &str = "the fallback fails a test";

/// Where a write of ours that landed late has left a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LandedOn {
    /// The fallback.
    Fallback,
    /// Its own handler, off the fallback.
    OwnHandler,
    /// A handler that it had, or was to have, once: it has another one since.
    EarlierHandler,
}

impl LandedOn {
    pub const fn text(self) -> &'static str {
        match self {
            LandedOn::Fallback => "it is on the fallback",
            LandedOn::OwnHandler => "it is off the fallback, on its own handler",
            LandedOn::EarlierHandler => "it has an earlier handler, and not the one that it had until then",
        }
    }
}

/// Why a decision no longer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// Nobody approved in time.
    TimedOut,
    /// Callers are served again.
    Recovered,
    /// An earlier stage of the restore did not go well.
    Relapsed,
    /// Another order has put the numbers on the fallback: of their own handler it says nothing.
    OnFallback,
    /// An operator wants the numbers to stay where the restore would have taken them from.
    Countermanded,
    /// The numbers have another handler, which is right: of that one nothing was seen.
    Adopted,
    /// The mode became `observe`: what a restore had still to come would come unasked once it is changed back.
    Observing,
}

impl CloseReason {
    pub const fn text(self) -> &'static str {
        match self {
            CloseReason::TimedOut => "nobody approved it in time",
            CloseReason::Recovered => "callers are served again",
            CloseReason::Relapsed => "an earlier stage of the restore failed",
            CloseReason::OnFallback => "another order has rolled the numbers back",
            CloseReason::Countermanded => "an operator wants the numbers to stay on the fallback",
            CloseReason::Adopted => "the numbers have another handler by now, which was adopted",
            CloseReason::Observing => "an operator set the mode to observe",
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

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    pub of: ScopeOf,
    /// Both channels if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeOf {
    All,
    Group(GroupName),
    Number(NumberId),
}

impl Scope {
    pub fn covers(&self, group: &GroupName, number: NumberId, channel: Channel) -> bool {
        let of = match &self.of {
            ScopeOf::All => true,
            ScopeOf::Group(name) => name == group,
            ScopeOf::Number(n) => *n == number,
        };
        of && self.channel.is_none_or(|c| c == channel)
    }
}

impl Scope {
    /// True if whatever `other` covers, this covers too. `is_member` tells whose group a number is.
    pub fn includes(&self, other: &Scope, is_member: impl Fn(&GroupName, NumberId) -> bool) -> bool {
        let of = match (&self.of, &other.of) {
            (ScopeOf::All, ScopeOf::All | ScopeOf::Group(_) | ScopeOf::Number(_)) => true,
            (ScopeOf::Group(group), ScopeOf::Group(name)) => group == name,
            (ScopeOf::Group(group), ScopeOf::Number(number)) => is_member(group, *number),
            (ScopeOf::Number(number), ScopeOf::Number(n)) => number == n,
            (ScopeOf::Group(_), ScopeOf::All) | (ScopeOf::Number(_), ScopeOf::All | ScopeOf::Group(_)) => false,
        };
        of && (self.channel.is_none() || self.channel == other.channel)
    }

    /// True if there is a number and channel that both cover.
    pub fn overlaps(&self, other: &Scope, is_member: impl Fn(&GroupName, NumberId) -> bool) -> bool {
        let both = |scope: &Scope| Scope { of: scope.of.clone(), channel: None };
        let (a, b) = (both(self), both(other));
        let is_same_channel = self.channel.is_none() || other.channel.is_none() || self.channel == other.channel;
        is_same_channel && (a.includes(&b, &is_member) || b.includes(&a, &is_member))
    }
}

impl Scope {
    /// As a person reads it.
    pub fn text(&self, roster: &Roster) -> String {
        let of = match &self.of {
            ScopeOf::All => "all numbers".to_owned(),
            ScopeOf::Group(name) => format!("group {name}"),
            ScopeOf::Number(n) => roster.name(*n).to_string(),
        };
        self.channel.map_or(of.clone(), |c| format!("{of}, {c}"))
    }
}

/// What is known of a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackState {
    /// It is not known: there is no Auth Token to sign a request with, nobody has looked yet, or it leads where it
    /// cannot be followed.
    #[default]
    Unchecked,
    /// It answers a call with TwiML that serves.
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
