//! What can be done: about a trouble, with a number, with a group. What is right to do now comes first, as the status
//! advises it, and is the one button that stands out; nothing that would be refused, or would not cure it, does.

use askama::Template;

use super::part;
use crate::agent::publish::status::Status;
use crate::agent::publish::trouble::{Trouble, TroubleKind, WaitsFor};
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::{Hold, Scope, ScopeOf};
use crate::core::model::roster::Roster;

/// Numbers that an address names; of more the whole group is named, and the page before the act lists them all.
const ACTED: usize = 200;

/// What can be done with every number and group, whatever is so.
const ALWAYS: [(&str, &str); 6] = [
    ("rollback", "Roll back…"),
    ("restore", "Restore…"),
    ("hold", "Hold…"),
    ("release", "Release…"),
    ("ported", "Ported…"),
    ("adopt", "Adopt the handler…"),
];

/// A link to a command, from the root.
pub struct Act {
    pub href: String,
    pub text: String,
    pub class: &'static str,
}

/// Whom a page is about.
#[derive(Clone, Copy)]
pub enum Whom<'a> {
    Number(&'a GroupName, NumberId),
    Group(&'a GroupName),
}

impl Whom<'_> {
    fn is_in(self, t: &Trouble) -> bool {
        match self {
            Whom::Number(group, number) => {
                t.is_of(number) || t.numbers.is_empty() && t.group.as_ref().is_some_and(|g| g == group)
            }
            Whom::Group(group) => t.group.as_ref().is_some_and(|g| g == group),
        }
    }

    /// True if a hold keeps all of it from being written to, on some channel.
    fn is_held_by(self, hold: &Hold) -> bool {
        match (self, &hold.scope.of) {
            (Whom::Number(group, number), _) => Channel::ALL.iter().any(|c| hold.scope.covers(group, number, *c)),
            (Whom::Group(_), ScopeOf::All) => true,
            (Whom::Group(group), ScopeOf::Group(held)) => group == held,
            (Whom::Group(_), ScopeOf::Number(_)) => false,
        }
    }
}

/// The buttons of a number's or a group's page.
#[derive(Template)]
#[template(path = "acts.html", config = "src/admin/page/askama.toml")]
pub struct Acts {
    root: String,
    /// What the status advises first, with the command to type.
    next: Option<(String, Option<String>)>,
    acts: Vec<Act>,
}

impl Acts {
    /// `query`: whom the commands are about, as an address says it.
    pub fn of(status: &Status, roster: &Roster, root: &str, query: &str, whom: Whom<'_>) -> Acts {
        let worst = status.troubles.iter().find(|t| t.is_trouble() && whom.is_in(t));
        let only = if let Whom::Number(_, number) = whom { Some(number) } else { None };
        let holds = status.holds.iter().filter(|h| whom.is_held_by(h));
        let mut acts: Vec<Act> = holds.map(|h| released(&h.scope, roster)).collect();
        let advised = worst.map(|t| about(t, roster, only)).unwrap_or_default();
        for act in advised.into_iter().filter(|a| a.class != "quiet") {
            if acts.iter().all(|known| known.href != act.href) {
                acts.push(act);
            }
        }
        let is_said = |acts: &[Act], verb: &str| acts.iter().any(|a| a.href.starts_with(&format!("act/{verb}?")));
        for (verb, text) in ALWAYS {
            if !is_said(&acts, verb) {
                acts.push(Act { href: format!("act/{verb}?{query}"), text: text.to_owned(), class: "quiet" });
            }
        }
        let next = worst.and_then(|t| t.next.first()).map(|s| (s.text.clone(), s.command.clone()));
        Acts { root: root.to_owned(), next, acts }
    }
}

/// The end of a hold.
fn released(scope: &Scope, roster: &Roster) -> Act {
    let text = format!("Release {}…", scope.text(roster));
    Act { href: format!("act/release?{}", release(scope, roster)), text, class: "" }
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

/// What can be done about a trouble here, what is right to do now first; on `only` one number, on its own page.
pub fn about(t: &Trouble, roster: &Roster, only: Option<NumberId>) -> Vec<Act> {
    let mut acts = Vec::new();
    let channel = t.channel.map(|c| format!("&channel={c}")).unwrap_or_default();
    if let Some(id) = t.decision
        && t.waits.iter().any(|w| matches!(w.whom, WaitsFor::Approval | WaitsFor::Veto))
    {
        acts.push(Act { href: format!("act/approve?decision={id}"), text: format!("Approve {id}"), class: "" });
    }
    for scope in t.holds.iter().filter_map(|h| h.of.as_ref()) {
        acts.push(released(scope, roster));
    }
    let Some(group) = &t.group else { return acts };
    // What is about some numbers of a group is done to these, and to no others.
    let numbers = only.as_ref().map_or(t.numbers.as_slice(), std::slice::from_ref);
    let is_whole = numbers.is_empty() || only.is_none() && numbers.len() >= t.of_numbers || numbers.len() > ACTED;
    let names: Vec<String> = numbers.iter().map(|n| roster.name(*n).to_string()).collect();
    let (of, whom) = match names.as_slice() {
        _ if is_whole => (format!("group={}{channel}", part(group.as_str())), group.to_string()),
        [one] => (format!("numbers={}{channel}", part(one)), one.clone()),
        all => (format!("numbers={}{channel}", part(&all.join(","))), format!("{} numbers", all.len())),
    };
    let mut act = |verb: &str, does: &str, class| {
        acts.push(Act { href: format!("act/{verb}?{of}"), text: format!("{does} {whom}…"), class });
    };
    // What would be refused, or would not cure it, is not what is offered.
    let is_advised = |verb: &str| t.next.iter().any(|step| step.is_open(verb));
    let helps = is_advised("rollback");
    match t.kind {
        TroubleKind::RestoreWaits if t.next.first().is_some_and(|s| s.is_open("restore")) => {
            act("restore", "Restore", "");
        }
        // The handler is to be repaired first, and nobody here can see whether it is.
        TroubleKind::RolledBack | TroubleKind::RestoreWaits => act("restore", "Restore", "quiet"),
        TroubleKind::Unproven if helps => {
            act("rollback", "Roll back again", "danger");
            act("restore", "Restore", "quiet");
        }
        TroubleKind::Unproven => act("restore", "Restore", "quiet"),
        TroubleKind::ApprovalNeeded
        | TroubleKind::Expired
        | TroubleKind::Failing
        | TroubleKind::Suspect
        | TroubleKind::Blocked
        | TroubleKind::NotCurable
        | TroubleKind::Silent
            if helps =>
        {
            act("rollback", "Roll back", "danger");
        }
        TroubleKind::NotCurable if is_advised("restore") => act("restore", "Restore", "quiet"),
        TroubleKind::ApprovalNeeded
        | TroubleKind::Expired
        | TroubleKind::Failing
        | TroubleKind::Suspect
        | TroubleKind::Held
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
