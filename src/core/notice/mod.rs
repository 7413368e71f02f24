//! What a person is told: one neutral message, before any channel gives it a shape of its own.
//!
//! Whoever is woken by it knows nothing yet. A [`Notice`] therefore answers six questions, in this
//! order: which numbers, since when, how many callers, why, what Ringback did or refused to do and
//! whether that is proven, and what to type next. [`Notice::lines`] gives the answers with their
//! names; every channel in `notify` is a mapping of them and adds nothing.
//!
//! Where the text of a notice is:
//!
//! | of | in |
//! |---|---|
//! | a trouble of a group's callers, from its beginning to its end | `incidents/compose` |
//! | a restore | `incidents/restore` |
//! | the agent's own condition: blind, not leading, a disk that is full | [`condition`] |
//! | drift, adoption, a fallback, the day's summary, the test notice | [`make`] |
//! | ports | `port` |
//! | what `apply` wrote | `applies` |
//! | what a person should type next | `steps`, and [`advice`] where a swap may not or would not help |
//! | a guard, a reason, a result | the `text` of their types in [`crate::model`] |
//!
//! When one is due is decided by [`incidents`]; [`sample`] has one of every kind, to look at.
//!
//! Promises: a notice holds our own numbers and Twilio's SIDs, and nothing of the other party. Times
//! are quoted with their zone. All notices of one incident have one key, so that a pager can tell an update from
//! a second incident; the last of them is resolved.

pub mod advice;
mod applies;
pub mod condition;
pub mod incidents;
pub mod make;
mod port;
pub mod sample;
mod steps;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::model::counted::{Counted, CountedWords, some_of};
use crate::model::decision::DecisionId;
use crate::model::id::Resource;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::AskedOrder;
use crate::model::time::Time;

/// How much it matters. The words are Prometheus' and the pagers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    /// Callers are not served, or nobody can tell: wake somebody.
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 3] = [Severity::Critical, Severity::Warning, Severity::Info];

    pub const fn label(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// What a notice tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Numbers were rolled back to the fallback, as asked.
    RolledBack,
    /// A rollback was written, or should have been, and the fallback does not answer.
    Unproven,
    /// A rollback takes longer than it should.
    Underway,
    /// A rollback would help, but a guard blocks it.
    Held,
    /// A rollback would help, and needs approval or can be vetoed.
    Asked,
    /// Nobody approved in time; or, resolved, an incident is over without a restore.
    Lapsed,
    /// Callers fail, and a person is to look: mostly because a rollback would not cure it.
    NotCurable,
    Restored,
    RestoreFailed,
    /// Too few callers to tell whether restored numbers serve.
    Unverified,
    FallbackBroken,
    /// Somebody else changed a number.
    Drift,
    /// An apply, or its undoing, wrote to numbers.
    Applied,
    /// A port goes on no more without a person, or a number is taken away.
    PortTrouble,
    /// A port is due within a day.
    PortEve,
    /// A group that was ported is watched as usual.
    Passive,
    /// Our own data is stale.
    Blind,
    /// Rows of a log cannot be read, or not told whose they are.
    RowsNotUnderstood,
    /// No number has calls any more.
    NoCalls,
    /// The state file cannot be written.
    StoreUnwritable,
    /// Another agent has taken over.
    LeaseLost,
    /// The state file was taken away or replaced, or the journal does not know what Twilio shows.
    StateChanged,
    /// A notifier cannot deliver.
    NotifierFailing,
    /// Notices that were held back or lost.
    Summary,
    /// `ringback notify --test`.
    Test,
}

impl NoticeKind {
    pub const ALL: [NoticeKind; 25] = [
        NoticeKind::RolledBack,
        NoticeKind::Unproven,
        NoticeKind::Underway,
        NoticeKind::Held,
        NoticeKind::Asked,
        NoticeKind::Lapsed,
        NoticeKind::NotCurable,
        NoticeKind::Restored,
        NoticeKind::RestoreFailed,
        NoticeKind::Unverified,
        NoticeKind::FallbackBroken,
        NoticeKind::Drift,
        NoticeKind::Applied,
        NoticeKind::PortTrouble,
        NoticeKind::PortEve,
        NoticeKind::Passive,
        NoticeKind::Blind,
        NoticeKind::RowsNotUnderstood,
        NoticeKind::NoCalls,
        NoticeKind::StoreUnwritable,
        NoticeKind::LeaseLost,
        NoticeKind::StateChanged,
        NoticeKind::NotifierFailing,
        NoticeKind::Summary,
        NoticeKind::Test,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            NoticeKind::RolledBack => "rolled_back",
            NoticeKind::Unproven => "unproven",
            NoticeKind::Underway => "underway",
            NoticeKind::Held => "held",
            NoticeKind::Asked => "asked",
            NoticeKind::Lapsed => "lapsed",
            NoticeKind::NotCurable => "not_curable",
            NoticeKind::Restored => "restored",
            NoticeKind::RestoreFailed => "restore_failed",
            NoticeKind::Unverified => "unverified",
            NoticeKind::FallbackBroken => "fallback_broken",
            NoticeKind::Drift => "drift",
            NoticeKind::Applied => "applied",
            NoticeKind::PortTrouble => "port_trouble",
            NoticeKind::PortEve => "port_eve",
            NoticeKind::Passive => "passive",
            NoticeKind::Blind => "blind",
            NoticeKind::RowsNotUnderstood => "rows_not_understood",
            NoticeKind::NoCalls => "no_calls",
            NoticeKind::StoreUnwritable => "store_unwritable",
            NoticeKind::LeaseLost => "lease_lost",
            NoticeKind::StateChanged => "state_changed",
            NoticeKind::NotifierFailing => "notifier_failing",
            NoticeKind::Summary => "summary",
            NoticeKind::Test => "test",
        }
    }
}

/// Whether the trouble goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeStatus {
    /// It goes on until a notice with the same key says that it is over.
    Firing,
    /// It happened; there is nothing that could end.
    Event,
    Resolved,
}

/// An instant with the words for it: UTC first, then where the callers live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    pub at: Time,
    pub text: String,
}

impl Moment {
    pub fn new(at: Time, zone: Option<&jiff::tz::TimeZone>) -> Moment {
        let utc = at.to_timestamp().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        let local = zone.filter(|z| !z.is_unknown() && **z != jiff::tz::TimeZone::UTC);
        let local = local.map(|zone| {
            let there = at.to_timestamp().to_zoned(zone.clone());
            let name = zone.iana_name().map_or_else(|| there.strftime("%:z").to_string(), str::to_owned);
            format!(" ({} {name})", there.strftime("%H:%M:%S"))
        });
        Moment { at, text: utc + &local.unwrap_or_default() }
    }
}

/// Callers whom the trouble met, and callers since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callers {
    pub failing: u32,
    pub of: u32,
}

/// One reason with how many callers met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeReason {
    pub callers: u32,
    pub reason: String,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<u32>,
    /// What Twilio means by the code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub meaning: Option<String>,
}

/// A call or message that failed, to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub sid: String,
    pub url: String,
}

impl Sample {
    /// With its page in Twilio's Console. Splunk's documentation gives the form for calls
    /// (<https://docs.splunk.com/observability/en/sp-oncall/spoc-integrations/twilio-live-call-routing-guide.html>);
    /// the Console forwards it to wherever the page is today.
    pub fn new(resource: Resource) -> Sample {
        let (sid, kind) = match resource {
            Resource::Call(sid) => (sid.to_string(), "voice/calls"),
            Resource::Message(sid) => (sid.to_string(), "sms"),
        };
        let url = format!("https://www.twilio.com/console/{kind}/logs/{sid}");
        Sample { sid, url }
    }
}

/// Something for the reader to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub text: String,
    /// To be typed as it stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<String>,
    /// The order that the command gives, where it gives one.
    #[serde(skip)]
    pub order: Option<AskedOrder>,
    /// It would be refused now, which the text says.
    #[serde(skip)]
    pub is_refused: bool,
}

impl Step {
    pub fn new(text: impl Into<String>) -> Step {
        Step { text: text.into(), command: None, order: None, is_refused: false }
    }

    pub fn typing(text: impl Into<String>, command: impl Into<String>) -> Step {
        Step { command: Some(command.into()), ..Step::new(text) }
    }

    /// A command that gives an order.
    pub fn ordering(text: impl Into<String>, command: impl Into<String>, order: AskedOrder) -> Step {
        Step { order: Some(order), ..Step::typing(text, command) }
    }

    /// True if it is this command and would be carried out.
    pub fn is_open(&self, verb: &str) -> bool {
        let words = self.command.as_deref().and_then(|c| c.strip_prefix("ringback "));
        !self.is_refused && words.and_then(|w| w.split(' ').next()) == Some(verb)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub name: String,
    pub url: String,
}

/// One message to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The same for all notices of one incident.
    pub key: String,
    pub kind: NoticeKind,
    /// How much this notice matters.
    pub severity: Severity,
    /// The highest severity that a notice of the same incident has had so far. Whoever was sent its beginning must
    /// be sent its end, so filters by severity go by this one.
    pub incident_severity: Severity,
    pub status: NoticeStatus,
    /// One line that says it all to somebody who reads no further.
    pub title: String,
    /// When it was made.
    pub at: Moment,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<GroupName>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub channel: Option<Channel>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub numbers: Vec<NumberId>,
    /// When the trouble began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub callers: Option<Callers>,
    /// Whom or what these count.
    #[serde(skip_serializing_if = "Counted::is_people", default)]
    pub counted: Counted,
    /// Why they are not counted, where they are not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uncounted: Option<String>,
    /// Most callers first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<NoticeReason>,
    /// Webhooks that failed, and with what; up to two.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub handlers: Vec<String>,
    /// Up to three.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub samples: Vec<Sample>,
    /// Why, where no callers' reasons say it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// What Ringback did, or refused to do and why.
    pub did: String,
    /// Whether it is proven that what was done serves callers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<String>,
    /// What a person should do now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub next: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decision: Option<DecisionId>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub links: Vec<Link>,
}

/// Numbers that are spelt out; of more the count is said.
const NUMBERS_SHOWN: usize = 10;

impl Notice {
    /// The severity of the whole incident as a pager files it: it never falls while the incident lasts.
    pub fn filed_severity(&self) -> Severity {
        self.incident_severity.max(self.severity)
    }

    /// `CRITICAL`, `WARNING`, `INFO`, or `OVER` once it is: what a subject line begins with.
    pub const fn flag(&self) -> &'static str {
        match (self.status, self.severity) {
            (NoticeStatus::Resolved, _) => "OVER",
            (_, Severity::Critical) => "CRITICAL",
            (_, Severity::Warning) => "WARNING",
            (_, Severity::Info) => "INFO",
        }
    }

    /// The subject: flag and title.
    pub fn subject(&self) -> String {
        format!("{} {}", self.flag(), self.title)
    }

    fn numbers_text(&self) -> Option<String> {
        if self.numbers.is_empty() {
            return None;
        }
        // Whose they are is said by the group, which is of one account.
        Some(some_of(&self.numbers, NUMBERS_SHOWN, |n| n.e164.to_string()))
    }

    fn whose_text(&self) -> Option<String> {
        let channel = self.channel.map(|c| c.label().to_owned());
        let group = self.group.as_ref().map(|g| format!("group {g}"));
        let of: Vec<String> = [group, channel].into_iter().flatten().collect();
        let of = of.join(", ");
        match self.numbers_text() {
            Some(numbers) if of.is_empty() => Some(numbers),
            Some(numbers) => Some(format!("{numbers} ({of})")),
            None => (!of.is_empty()).then_some(of),
        }
    }

    fn words(&self) -> CountedWords {
        self.counted.words(self.channel.unwrap_or(Channel::Voice))
    }

    /// The reasons, each in a line.
    pub fn reasons_text(&self) -> Vec<String> {
        let words = self.words();
        let line = |w: &NoticeReason| {
            let code = match (w.code, &w.meaning) {
                (Some(code), Some(meaning)) => format!(" ({code}: {meaning})"),
                (Some(code), None) => format!(" ({code})"),
                (None, _) => String::new(),
            };
            format!("{}: {}{code}", words.count(w.callers), w.text)
        };
        self.reasons.iter().map(line).collect()
    }

    /// The answers with their names, in the order in which they are asked. An answer may have
    /// several lines.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut add = |name, text: Option<String>| {
            if let Some(text) = text.filter(|t| !t.is_empty()) {
                lines.push((name, text));
            }
        };
        add("Numbers", self.whose_text());
        add("Since", self.since.as_ref().map(|m| m.text.clone()));
        let counted = self.callers.map(|c| format!("{} of {} failed", c.failing, c.of));
        add(self.words().label, counted.or_else(|| self.uncounted.clone()));
        let why: Vec<String> = self.cause.iter().cloned().chain(self.reasons_text()).collect();
        add("Why", Some(why.join("\n")));
        add("Handler", Some(self.handlers.join("\n")));
        let samples: Vec<String> = self.samples.iter().map(|s| format!("{} {}", s.sid, s.url)).collect();
        add("Samples", Some(samples.join("\n")));
        add("Ringback", Some(self.did.clone()));
        add("Proven", self.proof.clone());
        let next: Vec<String> = self
            .next
            .iter()
            .map(|s| match &s.command {
                Some(command) => format!("{}:\n$ {command}", s.text),
                None => s.text.clone(),
            })
            .collect();
        add("Next", Some(next.join("\n")));
        for link in &self.links {
            lines.push(("See", format!("{}: {}", link.name, link.url)));
        }
        lines.push(("Said", self.at.text.clone()));
        lines
    }

    /// The whole notice as plain text, the subject first.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.subject(), self.body())
    }

    /// The answers as plain text.
    pub fn body(&self) -> String {
        let mut out = String::new();
        for (name, text) in self.lines() {
            for (i, line) in text.lines().enumerate() {
                let _ = writeln!(out, "{:<9}{line}", if i == 0 { name } else { "" });
            }
        }
        out
    }
}
