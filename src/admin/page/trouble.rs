//! What is wrong, as the status lists it, with what a person can do about it here.

use askama::Template;

use super::{Moment, part, words};
use crate::agent::publish::status::Status;
use crate::agent::publish::trouble::{FailedOf, Trouble, TroubleKind, WaitsFor};
use crate::core::model::id::Channel;
use crate::core::model::order::{Scope, ScopeOf};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::notice::Severity;

/// The worst are listed in full; what is beyond this is counted.
const LISTED: usize = 30;

/// Numbers of one trouble that are named.
const NAMED: usize = 12;

/// Numbers that an address names; of more the whole group is named, and the page before the act lists them all.
const ACTED: usize = 200;

/// Every trouble, the worst first.
#[derive(Template)]
#[template(path = "troubles.html", config = "src/admin/page/askama.toml")]
pub struct Troubles {
    shown: Vec<Shown>,
    more: usize,
}

struct Shown {
    severity: &'static str,
    title: String,
    decision: Option<String>,
    group: Option<String>,
    channel: Option<Channel>,
    numbers: Vec<(String, String)>,
    more_numbers: usize,
    of_numbers: usize,
    since: Option<Moment>,
    callers: Vec<String>,
    why: Vec<String>,
    handlers: Vec<String>,
    done: Vec<String>,
    proof: Vec<String>,
    is_proven: Option<bool>,
    holds: Vec<String>,
    waits: Vec<String>,
    next: Vec<(String, Option<String>)>,
    acts: Vec<Act>,
}

/// A link to a command.
struct Act {
    href: String,
    text: String,
    class: &'static str,
}

impl Troubles {
    pub fn of(status: &Status, roster: &Roster) -> Troubles {
        let shown = status.troubles.iter().take(LISTED).map(|t| Shown::of(t, status.at, roster)).collect();
        Troubles { shown, more: status.troubles.len().saturating_sub(LISTED) }
    }
}

impl Shown {
    fn of(t: &Trouble, now: Time, roster: &Roster) -> Shown {
        let counted = t.words();
        let count = |c: FailedOf, then: &str| format!("{} of {} failed{then}", c.failing, counted.count(c.of));
        let mut callers: Vec<String> = t.callers.map(|c| count(c, "")).into_iter().collect();
        callers.extend(t.callers_now.map(|c| count(c, " as of now")));
        callers.extend(t.uncounted.clone());
        callers.extend(t.tests.map(|c| format!("{} of {} tests of ours failed", c.failing, c.of)));
        let why = t.reasons.iter().map(|r| {
            let code = r.code.map(|code| match &r.meaning {
                Some(meaning) => format!(" (code {code}: {meaning})"),
                None => format!(" (code {code})"),
            });
            format!("{}{}: {}", r.text, code.unwrap_or_default(), r.callers)
        });
        let handler = |h: &crate::agent::publish::trouble::HandlerSeen| {
            let status = h.http_status.map(|s| format!(", HTTP {s}")).unwrap_or_default();
            let code = h.code.map(|c| format!(", code {c}")).unwrap_or_default();
            let at = h.failed_at.map(|at| format!(", failed at {}", words::moment(at, now))).unwrap_or_default();
            let numbers = if h.numbers == 1 { "number" } else { "numbers" };
            format!("{} ({} {numbers}{status}{code}{at})", h.handler, h.numbers)
        };
        let until = |at: Time| words::moment(at, now);
        let held = |h: &crate::agent::publish::trouble::HeldBy| {
            format!("{}, until {}, by {}: {}", h.scope, until(h.until), h.author, h.reason)
        };
        let wait = |w: &crate::agent::publish::trouble::Wait| {
            let whom = match w.whom {
                WaitsFor::Approval => "for a person's yes",
                WaitsFor::Veto => "for a veto, without which it is done",
                WaitsFor::HoldEnd => "for the end of a hold",
                WaitsFor::Callers => "for callers, or tests, to be served",
                WaitsFor::Ringback => "for Ringback, which tries again by itself",
            };
            w.until.map_or_else(|| whom.to_owned(), |at| format!("{whom}, until {}", until(at)))
        };
        let name = |n: &crate::core::model::id::NumberId| {
            let name = roster.name(*n).to_string();
            (format!("numbers/{}", name.split('/').map(part).collect::<Vec<_>>().join("/")), name)
        };
        Shown {
            severity: t.severity.label(),
            title: t.title.clone(),
            decision: t.decision.map(|id| id.to_string()),
            group: t.group.as_ref().map(ToString::to_string),
            channel: t.channel,
            numbers: t.numbers.iter().take(NAMED).map(name).collect(),
            more_numbers: t.numbers.len().saturating_sub(NAMED),
            of_numbers: t.of_numbers,
            since: t.since.as_ref().map(|m| Moment::of(m.at, now)),
            callers,
            why: why.chain(t.cause.clone()).collect(),
            handlers: t.handlers.iter().map(handler).collect(),
            done: t.done.clone(),
            proof: t.proof.clone(),
            is_proven: t.is_proven,
            holds: t.holds.iter().map(held).collect(),
            waits: t.waits.iter().map(wait).collect(),
            next: t.next.iter().map(|s| (s.text.clone(), s.command.clone())).collect(),
            acts: acts(t, roster),
        }
    }

    fn is_serious(&self) -> bool {
        self.severity != Severity::Info.label()
    }
}

/// What a release of this scope asks for.
pub fn release(scope: &Scope, roster: &Roster) -> String {
    let of = match &scope.of {
        ScopeOf::All => "all=true".to_owned(),
        ScopeOf::Group(group) => format!("group={}", part(group.as_str())),
        ScopeOf::Number(number) => format!("numbers={}", part(&roster.name(*number).to_string())),
    };
    scope.channel.map_or_else(|| of.clone(), |c| format!("{of}&channel={c}"))
}

/// What can be done about it here.
fn acts(t: &Trouble, roster: &Roster) -> Vec<Act> {
    let mut acts = Vec::new();
    let channel = t.channel.map(|c| format!("&channel={c}")).unwrap_or_default();
    if let Some(id) = t.decision
        && t.waits.iter().any(|w| matches!(w.whom, WaitsFor::Approval | WaitsFor::Veto))
    {
        acts.push(Act { href: format!("act/approve?decision={id}"), text: format!("Approve {id}"), class: "" });
    }
    for scope in t.holds.iter().filter_map(|h| h.of.as_ref()) {
        let text = format!("Release {}…", scope.text(roster));
        acts.push(Act { href: format!("act/release?{}", release(scope, roster)), text, class: "" });
    }
    let Some(group) = &t.group else { return acts };
    // What is about some numbers of a group is done to these, and to no others.
    let is_whole = t.numbers.is_empty() || t.numbers.len() >= t.of_numbers || t.numbers.len() > ACTED;
    let names: Vec<String> = t.numbers.iter().map(|n| roster.name(*n).to_string()).collect();
    let (of, whom) = match names.as_slice() {
        _ if is_whole => (format!("group={}{channel}", part(group.as_str())), group.to_string()),
        [one] => (format!("numbers={}{channel}", part(one)), one.clone()),
        all => (format!("numbers={}{channel}", part(&all.join(","))), format!("{} numbers", all.len())),
    };
    let mut act = |verb: &str, does: &str, class| {
        acts.push(Act { href: format!("act/{verb}?{of}"), text: format!("{does} {whom}…"), class });
    };
    // What would be refused, or would not cure it, is not what is offered first.
    let is_advised = |verb: &str| t.next.iter().filter_map(|s| s.command.as_deref()).any(|c| c.starts_with(verb));
    let helps = is_advised("ringback rollback");
    match t.kind {
        TroubleKind::RolledBack | TroubleKind::RestoreWaits => act("restore", "Restore", ""),
        TroubleKind::Unproven if helps => {
            act("rollback", "Roll back again", "danger");
            act("restore", "Restore", "quiet");
        }
        TroubleKind::Unproven => act("restore", "Restore", "quiet"),
        TroubleKind::ApprovalNeeded | TroubleKind::Expired | TroubleKind::Failing | TroubleKind::Suspect => {
            act("rollback", "Roll back", "danger");
        }
        TroubleKind::Blocked | TroubleKind::NotCurable | TroubleKind::Silent if helps => {
            act("rollback", "Roll back", "danger");
        }
        TroubleKind::NotCurable if is_advised("ringback restore") => act("restore", "Restore", "quiet"),
        TroubleKind::Held
        | TroubleKind::Blocked
        | TroubleKind::NotCurable
        | TroubleKind::Silent
        | TroubleKind::Veto
        | TroubleKind::RollingBack
        | TroubleKind::Blind
        | TroubleKind::State
        | TroubleKind::Unserved
        | TroubleKind::FallbackBroken
        | TroubleKind::Missing
        | TroubleKind::Drift
        | TroubleKind::Port
        | TroubleKind::FallbackUnchecked
        | TroubleKind::RowsNotUnderstood
        | TroubleKind::NotifierFailing
        | TroubleKind::UnderWay => {}
    }
    if t.holds.is_empty() && !matches!(t.kind, TroubleKind::Held | TroubleKind::NotifierFailing) {
        act("hold", "Hold", "quiet");
    }
    acts
}
