//! One decision or order: on what evidence, what stood against it, and what was done, step by step.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::acts::release;
use super::curve::{Curve, curve};
use super::sight::BlindSpots;
use super::spark::{EvidencePlot, plot};
use super::words::TimelineRow;
use super::{Moment, PageProblem, Refresh, Visitor, page, part, words};
use crate::admin::{Admin, id_of, no_such, unreadable};
use crate::agent::publish::explain::RecordedEntry;
use crate::agent::publish::recent::Recent;
use crate::core::model::decision::{Action, Decision, PageReason};
use crate::core::model::guard::Guard;
use crate::core::model::id::Resource;
use crate::core::model::order::{By, Hold, Order};
use crate::core::model::time::Time;
use crate::core::model::verdict::Score;
use crate::core::notice::advice;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::sentence::{ordered, verdict};

/// What is asked for.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct DecisionQuery {
    /// Whether it still follows from what is stored, which takes a while.
    check: Option<String>,
}

#[derive(Template)]
#[template(path = "decision.html", config = "src/admin/page/askama.toml")]
struct Page {
    sight: BlindSpots,
    id: String,
    root: String,
    title: String,
    at: Option<Moment>,
    evidence: Option<Shown>,
    order: Option<String>,
    /// Why nothing was done.
    undone: Option<String>,
    /// Holds that stop it.
    releases: Vec<(String, String)>,
    guards: Vec<(String, Moment)>,
    asks: bool,
    group: String,
    steps: Vec<TimelineRow>,
    checked: Option<String>,
}

/// The evidence in plain words.
struct Shown {
    rule: String,
    callers: String,
    since: Option<Moment>,
    likelihood: Option<String>,
    reasons: Vec<String>,
    samples: Vec<String>,
    numbers: String,
    spread: Option<String>,
    stale: Option<String>,
    /// How the evidence grew until the decision, where this agent has seen it.
    curve: Option<Curve>,
    plot: Option<EvidencePlot>,
}

/// A curve begins so long before the first call that counts.
const BEFORE: Duration = Duration::from_secs(60);

/// The evidence that decided, as it grew: a number's own, or that of its group.
fn curve_of(d: &Decision, recent: &Recent, now: Time) -> Option<Curve> {
    let score = d.evidence.score?;
    let points = match d.numbers.as_slice() {
        [only] if d.evidence.numbers <= 1 => recent.number_curve(*only, d.channel),
        _ => recent.group_curve(&d.group, d.channel),
    };
    let since = d.evidence.since.unwrap_or(d.at);
    curve(&points, since - BEFORE, d.at, score, now)
}

impl Shown {
    fn of(d: &Decision, recent: &Recent, now: Time, numbers: String) -> Shown {
        let e = &d.evidence;
        let sid = |r: &Resource| match r {
            Resource::Call(sid) => sid.to_string(),
            Resource::Message(sid) => sid.to_string(),
        };
        Shown {
            rule: d.rule.clone(),
            callers: e.text(d.channel).unwrap_or_else(|| "nobody is counted".to_owned()),
            since: e.since.map(|at| Moment::of(at, now)),
            likelihood: e.score.map(Score::text),
            reasons: words::reasons(e),
            samples: e.samples.iter().map(sid).collect(),
            numbers,
            spread: (e.numbers > 1).then(|| format!("{} of {} numbers of the group", e.failing_numbers, e.numbers)),
            stale: e.stale_for.map(|seconds| format!("the stalest log was read {seconds:.0} s before")),
            curve: curve_of(d, recent, now),
            plot: e.score.map(plot),
        }
    }
}

/// `GET /decisions/{id}`.
pub async fn decision(
    State(admin): State<Admin>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(asked): Query<DecisionQuery>,
) -> Result<Response, PageProblem> {
    let id = id_of(&id)?;
    let entries = admin.memory.entries(id).await.map_err(unreadable)?;
    if entries.is_empty() {
        return Err(no_such(id).into());
    }
    let checked = match asked.check {
        Some(_) => {
            let found = admin.memory.explain(id).await.map_err(unreadable)?.and_then(|e| e.recomputed);
            Some(found.map_or_else(|| "an operator's order: there is no evidence to weigh".to_owned(), |r| r.text()))
        }
        None => None,
    };
    let status = admin.status.borrow().clone();
    let now = status.at;
    let decided = entries.iter().find_map(|r| if let Entry::Decision(d) = &r.entry { Some(d) } else { None });
    let order = entries.iter().find_map(|r| if let Entry::Order(o) = &r.entry { Some(o) } else { None });
    let holds = decided.filter(|_| order.is_none()).map(|d| holds(d, &status.holds)).unwrap_or_default();
    let undone = decided.filter(|_| order.is_none()).map(|d| undone(d, &entries, &holds, &admin, now));
    let title = match (decided, order) {
        (Some(d), None) if d.action == Action::Rollback => format!("{id}: {}, not done", verdict(d)),
        (Some(d), _) => format!("{id}: {}", verdict(d)),
        (None, Some(o)) => format!("{id}: {}", ordered(o)),
        (None, None) => id.to_string(),
    };
    let waits = status.waiting.iter().find(|w| w.decision == id);
    let operation = order.map(|o| o.operation);
    let group = decided.map(|d| &d.group).or_else(|| order.map(|o| &o.group));
    let release = |h: &&Hold| (release(&h.scope, &admin.roster), h.scope.text(&admin.roster));
    let body = Page {
        sight: BlindSpots::of(&status),
        undone,
        releases: holds.iter().map(release).collect(),
        id: id.to_string(),
        root: visitor.root.clone(),
        at: entries.first().map(|r| Moment::of(r.at, now)),
        evidence: decided.map(|d| Shown::of(d, &admin.recent, now, words::numbers(&d.numbers, &admin.roster))),
        order: order.map(|o| by(o, &admin)),
        guards: guards(&entries, now),
        asks: waits.is_some_and(|w| !w.questions.is_empty() || w.guards.contains(&Guard::Veto)),
        group: group.map(|g| part(g.as_str())).unwrap_or_default(),
        steps: entries.iter().map(|r| TimelineRow::of(r.at, &r.entry, operation, now, &admin.roster)).collect(),
        checked,
        title,
    };
    let title = body.title.clone();
    Ok(page(&admin, &visitor, &title, Refresh::Whole, &body))
}

/// Holds in force that cover numbers of a decision.
fn holds<'h>(d: &Decision, all: &'h [Hold]) -> Vec<&'h Hold> {
    all.iter().filter(|h| d.numbers.iter().any(|n| h.scope.covers(&d.group, *n, d.channel))).collect()
}

/// Why nothing was written for a decision.
fn undone(d: &Decision, entries: &[RecordedEntry], holds: &[&Hold], admin: &Admin, now: Time) -> String {
    let refused = |r: &RecordedEntry| {
        let (Entry::Refused { guard, .. } | Entry::Asked { guard, .. }) = &r.entry else { return None };
        Some(*guard)
    };
    let guard = match d.action {
        Action::Page { reason: PageReason::FewCallers } => return "too few different people say so".to_owned(),
        Action::Page { .. } => return "a person is told, and no rollback was decided".to_owned(),
        Action::Withheld { guard } => Some(guard.into()),
        Action::Rollback => entries.iter().rev().find_map(refused),
    };
    match guard {
        Some(Guard::Hold) if !holds.is_empty() => {
            let held = |h: &&Hold| {
                let until = words::moment(h.until, now);
                format!("{} holds {} until {until}: {}", h.by.name, h.scope.text(&admin.roster), h.by.reason)
            };
            holds.iter().map(held).collect::<Vec<_>>().join("; ")
        }
        Some(guard) => guard.text().to_owned(),
        None => "no order has followed yet".to_owned(),
    }
}

fn by(order: &Order, admin: &Admin) -> String {
    let what = format!("{}: {}", ordered(order), words::numbers(&order.numbers, &admin.roster));
    match &order.by {
        By::Detector => format!("By itself: {what}."),
        By::Operator(by) => format!("{}: {what}. Reason: {}", by.name, by.reason),
    }
}

/// What stood against it, and what to know of that.
fn guards(entries: &[RecordedEntry], now: Time) -> Vec<(String, Moment)> {
    let said = |guard: Guard| match advice::about(guard) {
        Some(about) => format!("{}. {about}", guard.text()),
        None => guard.text().to_owned(),
    };
    let of = |r: &RecordedEntry| {
        let (Entry::Refused { guard, .. } | Entry::Asked { guard, .. }) = &r.entry else { return None };
        Some((said(*guard), Moment::of(r.at, now)))
    };
    entries.iter().filter_map(of).collect()
}
