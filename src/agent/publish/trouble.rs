//! What is wrong, worst first: what `ringback status` prints and the page shows, one [`Trouble`] for each group,
//! channel and cause.
//!
//! The six questions of somebody who has just been woken are answered in each: which numbers, since when, how many
//! callers of how many, why, what was done and is it proven, what to type next. Where they come from is in
//! [`super::status::troubles`].
//!
//! Promises: what is not known is said to be so and is no health (law 4); no caller's number and no secret (law 11),
//! for handlers are shown as every [`FieldValue`](crate::core::model::value::FieldValue) is, and texts of others'
//! making were made harmless where they came in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::model::counted::{Counted, CountedWords};
use crate::core::model::decision::DecisionId;
use crate::core::model::foreign::Line;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::Scope;
use crate::core::model::time::Time;
use crate::core::notice::{Moment, Notice, NoticeReason, Sample, Severity, Step};

/// What is wrong, worst first among those that matter equally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// A rollback failed, or is not known to serve callers.
    Unproven,
    /// A rollback would help, and waits for a person's yes.
    ApprovalNeeded,
    /// A rollback would help, and a guard blocks it.
    Blocked,
    /// A rollback is done by itself soon, unless a person stops it.
    Veto,
    /// Nobody approved in time.
    Expired,
    /// Callers fail, and nothing is decided.
    Failing,
    /// Callers fail, and a rollback would not cure it.
    NotCurable,
    /// A rollback is under way.
    RollingBack,
    /// What Twilio logs cannot be read: nothing is known of the channel.
    Blind,
    /// What Ringback keeps cannot be written, or is not as it was.
    State,
    /// Nobody answers a number, or nobody whom Ringback sees.
    Unserved,
    /// A fallback would not serve callers.
    FallbackBroken,
    /// Numbers are on the fallback.
    RolledBack,
    /// A restore has had too few callers and tests to go on by itself.
    RestoreWaits,
    /// Calls that should come do not come.
    Silent,
    /// Some callers fail, too few to act on.
    Suspect,
    /// Numbers are not in the account.
    Missing,
    /// Somebody else changed a number.
    Drift,
    /// A port goes on no more without a person.
    Port,
    /// It is not known whether a fallback would serve.
    FallbackUnchecked,
    /// Rows of a log are not understood, and in no count.
    RowsNotUnderstood,
    /// A notifier does not deliver: people are not told.
    NotifierFailing,
    /// An order is under way that is no rollback.
    UnderWay,
    /// A person's stop.
    Held,
}

impl TroubleKind {
    pub const ALL: [TroubleKind; 24] = [
        TroubleKind::Unproven,
        TroubleKind::ApprovalNeeded,
        TroubleKind::Blocked,
        TroubleKind::Veto,
        TroubleKind::Expired,
        TroubleKind::Failing,
        TroubleKind::NotCurable,
        TroubleKind::RollingBack,
        TroubleKind::Blind,
        TroubleKind::State,
        TroubleKind::Unserved,
        TroubleKind::FallbackBroken,
        TroubleKind::RolledBack,
        TroubleKind::RestoreWaits,
        TroubleKind::Silent,
        TroubleKind::Suspect,
        TroubleKind::Missing,
        TroubleKind::Drift,
        TroubleKind::Port,
        TroubleKind::FallbackUnchecked,
        TroubleKind::RowsNotUnderstood,
        TroubleKind::NotifierFailing,
        TroubleKind::UnderWay,
        TroubleKind::Held,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            TroubleKind::Unproven => "unproven",
            TroubleKind::ApprovalNeeded => "approval_needed",
            TroubleKind::Blocked => "blocked",
            TroubleKind::Veto => "veto",
            TroubleKind::Expired => "expired",
            TroubleKind::Failing => "failing",
            TroubleKind::NotCurable => "not_curable",
            TroubleKind::RollingBack => "rolling_back",
            TroubleKind::Blind => "blind",
            TroubleKind::State => "state",
            TroubleKind::Unserved => "unserved",
            TroubleKind::FallbackBroken => "fallback_broken",
            TroubleKind::RolledBack => "rolled_back",
            TroubleKind::RestoreWaits => "restore_waits",
            TroubleKind::Silent => "silent",
            TroubleKind::Suspect => "suspect",
            TroubleKind::Missing => "missing",
            TroubleKind::Drift => "drift",
            TroubleKind::Port => "port",
            TroubleKind::FallbackUnchecked => "fallback_unchecked",
            TroubleKind::RowsNotUnderstood => "rows_not_understood",
            TroubleKind::NotifierFailing => "notifier_failing",
            TroubleKind::UnderWay => "under_way",
            TroubleKind::Held => "held",
        }
    }
}

/// So many of so many failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedOf {
    pub failing: u32,
    pub of: u32,
}

impl FailedOf {
    pub(super) const fn some(failing: u32, of: u32) -> Option<FailedOf> {
        if of > 0 { Some(FailedOf { failing, of }) } else { None }
    }
}

/// A webhook that failed, or that answers the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandlerSeen {
    /// Without anything that may be secret: where it leads, and no more.
    pub handler: String,
    /// It is the fallback, and not the numbers' own handler.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_fallback: bool,
    /// What it answered, where Twilio says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http_status: Option<u16>,
    /// Twilio's code of the alert.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<u32>,
    /// When it last failed; absent if no alert says that it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub failed_at: Option<Time>,
    /// How many of the numbers it is the handler of.
    pub numbers: usize,
}

/// A hold that stops what would be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldBy {
    /// As a person reads it: `all numbers`, `group support, voice`.
    pub scope: String,
    #[schema(value_type = String)]
    pub author: Line,
    #[schema(value_type = String)]
    pub reason: Line,
    #[schema(value_type = String)]
    pub until: Time,
    /// The scope itself, for links: the API has it in its words.
    #[serde(skip)]
    pub of: Option<Scope>,
}

/// Who has the next move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// Somebody has to say yes.
    Approval,
    /// It is done then, unless somebody holds it.
    Veto,
    /// The hold has to end.
    HoldEnd,
    /// Callers, or test calls, have to be served.
    Callers,
    /// Ringback tries again by itself.
    Ringback,
}

/// What waits, for whom, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    #[serde(rename = "for")]
    pub whom: WaitsFor,
    /// Absent where it waits without an end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub until: Option<Time>,
}

impl Wait {
    /// Somebody has to answer, or may.
    pub const fn is_for_you(&self) -> bool {
        matches!(self.whom, WaitsFor::Approval | WaitsFor::Veto)
    }
}

/// One trouble, with everything that a person needs to understand it and to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// The same as long as it lasts; that of the incident's notices, where there is one.
    pub key: String,
    pub kind: TroubleKind,
    #[schema(value_type = String)]
    pub severity: Severity,
    /// One line that says it all to somebody who reads no further.
    pub title: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub group: Option<GroupName>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub channel: Option<Channel>,
    /// Those that the title is about first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<String>)]
    pub numbers: Vec<NumberId>,
    /// How many numbers of the group have the channel.
    pub of_numbers: usize,
    /// What to look up with `ringback explain`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<u64>)]
    pub decision: Option<DecisionId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub since: Option<Moment>,
    /// Of the evidence that was acted on, or would be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callers: Option<FailedOf>,
    /// As of now, where more have failed since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callers_now: Option<FailedOf>,
    /// Whom or what these count.
    #[serde(default)]
    #[schema(value_type = String)]
    pub counted: Counted,
    /// Why they are not counted, where they are not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uncounted: Option<String>,
    /// Test calls and messages of ours, which are in no count of callers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tests: Option<FailedOf>,
    /// Most callers first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Object>)]
    pub reasons: Vec<NoticeReason>,
    /// Why, where no callers' reasons say it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub handlers: Vec<HandlerSeen>,
    /// What Ringback did, or did not do and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub done: Vec<String>,
    /// Whether that is proven to serve callers; absent where nothing was done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_proven: Option<bool>,
    /// The same in words.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub proof: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub holds: Vec<HeldBy>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waits: Vec<Wait>,
    /// Calls or messages that failed, up to three.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Object>)]
    pub samples: Vec<Sample>,
    /// What a person should do now, with the command to type.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(value_type = Vec<Object>)]
    pub next: Vec<Step>,
}

impl Trouble {
    pub(super) fn blank(kind: TroubleKind, severity: Severity, key: String, title: String) -> Trouble {
        Trouble {
            key,
            kind,
            severity,
            title,
            group: None,
            channel: None,
            numbers: Vec::new(),
            of_numbers: 0,
            decision: None,
            since: None,
            callers: None,
            callers_now: None,
            counted: Counted::People,
            uncounted: None,
            tests: None,
            reasons: Vec::new(),
            cause: None,
            handlers: Vec::new(),
            done: Vec::new(),
            is_proven: None,
            proof: Vec::new(),
            holds: Vec::new(),
            waits: Vec::new(),
            samples: Vec::new(),
            next: Vec::new(),
        }
    }

    /// Everything that a notice of it says.
    pub(super) fn of_notice(kind: TroubleKind, notice: Notice) -> Trouble {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Trouble {
            group: notice.group,
            channel: notice.channel,
            numbers: notice.numbers,
            decision: notice.decision,
            since: notice.since,
            callers: notice.callers.and_then(|c| FailedOf::some(c.failing, c.of)),
            counted: notice.counted,
            uncounted: notice.uncounted,
            reasons: notice.reasons,
            cause: notice.cause,
            done: lines(&notice.did),
            proof: lines(notice.proof.as_deref().unwrap_or_default()),
            samples: notice.samples,
            next: notice.next.into_iter().filter(|step| !is_looking(step)).collect(),
            ..Trouble::blank(kind, notice.severity, notice.key, notice.title)
        }
    }

    /// Somebody should do something about it: it is more than something to know.
    pub fn is_trouble(&self) -> bool {
        self.severity > Severity::Info
    }

    /// What its figures count, in words.
    pub fn words(&self) -> CountedWords {
        self.counted.words(self.channel.unwrap_or(Channel::Voice))
    }

    /// True if it is about this number.
    pub fn is_of(&self, number: NumberId) -> bool {
        self.numbers.contains(&number)
    }
}

/// What says no more than this does.
fn is_looking(step: &Step) -> bool {
    step.command.as_deref() == Some("ringback status")
}
