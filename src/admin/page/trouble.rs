//! What is wrong, as the status lists it, with what a person can do about it here.

use askama::Template;

use super::acts::{self, Act};
use super::{Moment, part, words};
use crate::agent::publish::status::Status;
use crate::agent::publish::trouble::{FailedOf, Trouble, WaitsFor};
use crate::core::model::counted::cut_at;
use crate::core::model::id::Channel;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::notice::Severity;

/// The worst are listed in full; what is beyond this is counted.
const LISTED: usize = 30;

/// Numbers of one trouble that are named.
const NAMED: usize = 12;

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

impl Troubles {
    pub fn of(status: &Status, roster: &Roster) -> Troubles {
        let (told, more) = status.troubles.split_at(cut_at(status.troubles.len(), LISTED));
        Troubles { shown: told.iter().map(|t| Shown::of(t, status.at, roster)).collect(), more: more.len() }
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
            let which = if h.is_fallback { "the fallback " } else { "" };
            format!("{which}{} ({} {numbers}{status}{code}{at})", h.handler, h.numbers)
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
        let (named, more) = t.numbers.split_at(cut_at(t.numbers.len(), NAMED));
        Shown {
            severity: t.severity.label(),
            title: t.title.clone(),
            decision: t.decision.map(|id| id.to_string()),
            group: t.group.as_ref().map(ToString::to_string),
            channel: t.channel,
            numbers: named.iter().map(name).collect(),
            more_numbers: more.len(),
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
            acts: acts::about(t, roster, None),
        }
    }

    fn is_serious(&self) -> bool {
        self.severity != Severity::Info.label()
    }
}
