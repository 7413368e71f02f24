//! One number: who answers it, what callers met, what tests heard, and everything that was done to it.

use std::collections::HashMap;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::acts::{Acts, Whom};
use super::curve::{Curve, curve};
use super::sight::{BlindSpots, unseen_since};
use super::spark::{EvidencePlot, plot};
use super::standing::ChannelStanding;
use super::words::TimelineRow;
use super::{Moment, PageProblem, Refresh, Visitor, journal, page, part, words};
use crate::admin::{Admin, unreadable};
use crate::agent::publish::recent::{RecentCall, RecentProbe};
use crate::agent::publish::status::{ChannelStatus, NumberStatus, RollbackStatus};
use crate::core::model::id::{Channel, GroupName, Resource, WrittenNumber};
use crate::core::model::reason::{IgnoreReason, Outcome};
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;
use crate::core::notice::advice;
use crate::core::probe::ProbeFinding;
use crate::core::rollback::entry::Entry;

/// A curve of evidence begins so long before the first call that counts.
const CURVE_BEFORE: Duration = Duration::from_secs(60);

/// Entries of the timeline.
const TIMELINE: usize = 100;

#[derive(Template)]
#[template(path = "number.html", config = "src/admin/page/askama.toml")]
struct Page {
    sight: BlindSpots,
    number: String,
    label: String,
    group: GroupName,
    root: String,
    acts: Acts,
    query: String,
    port: Option<&'static str>,
    is_in_account: bool,
    channels: Vec<Shown>,
    timeline: Vec<TimelineRow>,
    is_cut: bool,
    snapshot: Option<Snapshot>,
    since: Moment,
}

struct Shown {
    channel: Channel,
    standing: ChannelStanding,
    phase: &'static str,
    handler: String,
    callers: String,
    /// Since when its logs cannot be read: what is told of callers is of before.
    unseen: Option<String>,
    reasons: Vec<String>,
    evidence_since: Option<Moment>,
    unsettled: u32,
    /// How the evidence grew, where somebody failed.
    curve: Option<Curve>,
    plot: Option<EvidencePlot>,
    rollback: Option<(&'static str, Moment)>,
    calls: Vec<ShownCall>,
    probes: Vec<ShownProbe>,
    held: Vec<String>,
}

struct ShownCall {
    moment: Moment,
    caller: String,
    way: &'static str,
    outcome: String,
    tone: &'static str,
    sid: String,
}

struct ShownProbe {
    moment: Moment,
    what: String,
    found: String,
    detail: String,
    tone: &'static str,
}

/// What a number pointed at before it was written to.
struct Snapshot {
    moment: Moment,
    channel: Channel,
    fields: Vec<(String, String)>,
}

/// `GET /numbers/{number}`.
pub async fn number(
    State(admin): State<Admin>,
    visitor: Visitor,
    Path(written): Path<String>,
) -> Result<Response, PageProblem> {
    let unknown = |text: String| PageProblem::new(StatusCode::NOT_FOUND, text);
    let written: WrittenNumber = written.parse().map_err(|_| unknown("That is no number.".to_owned()))?;
    let ix = admin.roster.resolve(written).map_err(|e| unknown(e.to_string()))?;
    let status = admin.status.borrow().clone();
    let id = admin.roster.number(ix).id;
    let (group, seen) = status
        .numbers()
        .find(|(_, n)| n.id() == id)
        .ok_or_else(|| unknown("Nothing is known of this number yet.".to_owned()))?;
    let now = status.at;
    let entries = admin.memory.before(Some(id), &journal::EVERY, i64::MAX, TIMELINE).await.map_err(unreadable)?;
    let snapshot = entries.iter().find_map(|(_, r)| snapshot(r.at, &r.entry, now));
    let name = admin.roster.name(id).to_string();
    let held = |channel: Channel| {
        let holds = status.holds.iter().filter(|h| h.scope.covers(group, id, channel));
        let told = |h: &crate::core::model::order::Hold| {
            format!("{}, until {}, by {}", h.scope.text(&admin.roster), words::moment(h.until, now), h.by)
        };
        holds.map(told).collect::<Vec<String>>()
    };
    let operations = words::operations(entries.iter().map(|(_, r)| &r.entry));
    let operation = |e: &Entry| e.decision().and_then(|id| operations.get(&id).copied());
    let query = format!("numbers={}", part(&name));
    let body = Page {
        acts: Acts::of(&status, &admin.roster, &visitor.root, &query, Whom::Number(group, id)),
        sight: BlindSpots::of(&status),
        label: seen.label.clone(),
        group: group.clone(),
        root: visitor.root.clone(),
        query,
        port: seen.port.map(|p| p.text()),
        is_in_account: seen.is_in_account,
        channels: seen
            .channels
            .iter()
            .map(|c| {
                let unseen = unseen_since(&status, c.channel);
                Shown { unseen, ..shown(&admin, seen, c, ix, now, held(c.channel)) }
            })
            .collect(),
        is_cut: entries.len() == TIMELINE,
        timeline: entries
            .iter()
            .map(|(_, r)| TimelineRow::of(r.at, &r.entry, operation(&r.entry), now, &admin.roster))
            .collect(),
        snapshot,
        since: Moment::of(admin.recent.since(), now),
        number: name,
    };
    let title = body.number.clone();
    Ok(page(&admin, &visitor, &title, Refresh::Whole, &body))
}

fn shown(admin: &Admin, number: &NumberStatus, c: &ChannelStatus, ix: NumberIx, now: Time, held: Vec<String>) -> Shown {
    let calls = admin.recent.calls(ix, c.channel);
    // Nobody's number: the first caller of the list is A, and who calls again is A again.
    let mut callers: HashMap<u64, String> = HashMap::new();
    for call in calls.iter().rev() {
        let next = name_of(callers.len());
        callers.entry(call.party).or_insert(next);
    }
    Shown {
        channel: c.channel,
        standing: ChannelStanding::of(number, c),
        phase: c.phase.label(),
        handler: c.handler.as_ref().map_or_else(|| "not known".to_owned(), ToString::to_string),
        callers: c.evidence.text(c.channel).unwrap_or_else(|| "nobody came".to_owned()),
        unseen: None,
        reasons: words::reasons(&c.evidence),
        evidence_since: c.evidence.since.map(|at| Moment::of(at, now)),
        unsettled: c.unsettled,
        curve: c.evidence.score.filter(|_| c.evidence.failing + c.evidence.failing_probes > 0).and_then(|score| {
            let points = admin.recent.number_curve(number.id(), c.channel);
            curve(&points, c.evidence.since.unwrap_or(now) - CURVE_BEFORE, now, score, now)
        }),
        plot: c.evidence.score.map(plot),
        rollback: match c.rollback {
            RollbackStatus::Done { since } => Some(("on the fallback", Moment::of(since, now))),
            RollbackStatus::Unproven { since } => Some(("rollback not proven", Moment::of(since, now))),
            RollbackStatus::None | RollbackStatus::Pending => None,
        },
        calls: calls.iter().map(|call| shown_call(call, &callers, now)).collect(),
        probes: admin.recent.probes(ix, c.channel).iter().map(|p| shown_probe(p, now)).collect(),
        held,
    }
}

/// A, B, … Z, AA, AB, …
fn name_of(nth: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(nth % 26).unwrap_or(0));
    if nth < 26 { letter.to_string() } else { format!("{}{letter}", name_of(nth / 26 - 1)) }
}

fn shown_call(call: &RecentCall, callers: &HashMap<u64, String>, now: Time) -> ShownCall {
    let code = call.code.map(|code| format!(" (code {code}: {})", advice::meaning(code))).unwrap_or_default();
    let (outcome, tone) = match call.outcome {
        Outcome::Ok => ("served".to_owned(), "good"),
        Outcome::Failed(reason) => (format!("failed: {}{code}", reason.text()), "bad"),
        Outcome::Ignored(IgnoreReason::Probe) => ("a test of ours".to_owned(), ""),
        Outcome::Ignored(why) => (format!("says nothing: {}{code}", why.label().replace('_', " ")), ""),
    };
    ShownCall {
        moment: Moment::of(call.started_at, now),
        caller: callers.get(&call.party).cloned().unwrap_or_default(),
        way: if call.is_inbound { "came in" } else { "our answer" },
        outcome,
        tone,
        sid: match call.entry {
            Resource::Call(sid) => sid.to_string(),
            Resource::Message(sid) => sid.to_string(),
        },
    }
}

fn shown_probe(probe: &RecentProbe, now: Time) -> ShownProbe {
    let tone = match probe.found {
        ProbeFinding::Success => "good",
        ProbeFinding::Failure(_) => "bad",
        ProbeFinding::Error(_) => "",
    };
    ShownProbe {
        moment: Moment::of(probe.started_at, now),
        what: format!("{} from {}", probe.kind, probe.origin),
        found: probe.found.text().to_owned(),
        detail: probe.detail.clone(),
        tone,
    }
}

/// Fields of a record that say who answers; the others are of no use here.
const FIELDS: [&str; 12] = [
    "voice_url",
    "voice_method",
    "voice_fallback_url",
    "voice_application_sid",
    "trunk_sid",
    "sms_url",
    "sms_method",
    "sms_fallback_url",
    "sms_application_sid",
    "status_callback",
    "messaging_service_sid",
    "MessagingServiceSid",
];

fn snapshot(at: Time, entry: &Entry, now: Time) -> Option<Snapshot> {
    let Entry::Snapshot { channel, record, .. } = entry else { return None };
    // As it may be shown: it shows itself without what may be secret.
    let shown = serde_json::to_value(record).ok()?;
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(shown.as_str()?).ok()?;
    let of = |name: &&str| {
        let value = fields.get(*name)?.as_str().filter(|text| !text.is_empty())?;
        Some(((*name).to_owned(), value.to_owned()))
    };
    Some(Snapshot { moment: Moment::of(at, now), channel: *channel, fields: FIELDS.iter().filter_map(of).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_letters() {
        assert_eq!([0, 1, 25, 26, 27, 51, 53].map(name_of), ["A", "B", "Z", "AA", "AB", "AZ", "BB"]);
    }
}
