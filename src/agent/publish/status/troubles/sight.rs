//! What Ringback cannot see, with the cause; and what persons have stopped.

use super::View;
use super::incidents::held_by;
use crate::agent::publish::status::{ChannelStatus, SourceStatus};
use crate::agent::publish::trouble::{Trouble, TroubleKind, Wait, WaitsFor};
use crate::core::model::foreign::Line;
use crate::core::model::id::Channel;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::notice::condition::AgentCondition;
use crate::core::notice::{NoticeStatus, Severity, Step};
use crate::core::routing::history::RoutingState;

pub(super) fn troubles(view: &View<'_>) -> Vec<Trouble> {
    blind(view).into_iter().chain(notifiers(view)).chain(holds(view)).collect()
}

/// All that cannot be seen is one trouble: it has mostly one cause.
fn blind(view: &View<'_>) -> Option<Trouble> {
    let blindness = || view.status.blindness.iter().filter(|b| !b.cannot_read.is_empty());
    let channels: Vec<Channel> = blindness().map(|b| b.channel).collect();
    if channels.is_empty() {
        return None;
    }
    let is_blind = |source: &str| blindness().any(|b| b.cannot_read.contains(&source));
    let sources: Vec<&SourceStatus> = view.status.sources.iter().filter(|s| is_blind(s.source)).collect();
    let read = sources.iter().map(|s| s.polled_at.or(s.failure.as_ref().map(|f| f.since))).min().flatten();
    let labels = Source::ALL.into_iter().map(Source::label).filter(|l| is_blind(l)).collect();
    let errors: Vec<&str> = sources.iter().filter_map(|s| Some(s.failure.as_ref()?.error.as_str())).collect();
    let why = errors.join("; ");
    let is_unread = |c: &ChannelStatus| channels.contains(&c.channel) && c.routing == RoutingState::Unread;
    let unread = view.status.numbers().filter(|(_, n)| n.channels.iter().any(is_unread)).map(|(_, n)| n.id()).collect();
    let condition = AgentCondition::Blind { channels, sources: labels, why, unread };
    let builder = view.known.incidents.builder();
    let notice = builder.condition(view.now, read.unwrap_or(view.now), &condition, NoticeStatus::Firing);
    let mut trouble = Trouble::of_notice(TroubleKind::Blind, notice);
    trouble.of_numbers = trouble.numbers.len();
    if read.is_none() {
        trouble.since = None;
    }
    let since = |at: Option<Time>| {
        at.map_or("never read".to_owned(), |at| format!("last read {}", at.to_timestamp().strftime("%H:%M:%S UTC")))
    };
    let why = sources.iter().map(|s| {
        let cause = match (&s.failure, s.polled_at) {
            (Some(failure), _) => failure.error.to_string(),
            (None, Some(_)) => "the list is read, and not all that its numbers refer to; the log says what".to_owned(),
            (None, None) => "not read yet, and no error so far".to_owned(),
        };
        format!("{}: {cause} ({})", s.source, since(s.polled_at))
    });
    trouble.cause = Some(why.collect::<Vec<_>>().join("; "));
    let unread = blindness().filter(|b| b.unread > 0);
    trouble.done.extend(unread.map(|b| format!("of {} numbers it is not known who answers: {}", b.unread, b.channel)));
    if condition.barrier().is_some() {
        return Some(trouble);
    }
    let mut cures: Vec<&str> = sources.iter().filter_map(|s| Some(s.failure.as_ref()?.cure.as_str())).collect();
    cures.dedup();
    let cures = cures.into_iter().filter(|c| !c.is_empty()).map(Step::new);
    trouble.next.splice(0..0, cures);
    Some(trouble)
}

/// Notifiers that do not deliver: what they were to tell, nobody heard from them.
fn notifiers(view: &View<'_>) -> impl Iterator<Item = Trouble> {
    view.known.notifiers.iter().map(|failing| {
        let problem = failing.error.as_ref().map_or("not tried since the agent began", Line::as_str).to_owned();
        let condition = AgentCondition::NotifierFailing { name: failing.name.clone(), problem };
        let builder = view.known.incidents.builder();
        let notice = builder.condition(view.now, failing.since, &condition, NoticeStatus::Firing);
        let mut trouble = Trouble::of_notice(TroubleKind::NotifierFailing, notice);
        if view.known.is_nobody_told {
            trouble.severity = Severity::Critical;
            trouble.done.push("nobody is told of anything: no notifier delivers".to_owned());
        }
        let titles: Vec<&str> = failing.titles.iter().map(Line::as_str).collect();
        let latest = if titles.is_empty() { String::new() } else { format!("; the latest: {}", titles.join("; ")) };
        let lost = if failing.lost > 0 { format!(", {} will never come", failing.lost) } else { String::new() };
        let waits = if failing.waiting == 1 { "waits" } else { "wait" };
        trouble.done.push(format!("not delivered: {} {waits}{lost}{latest}", failing.waiting));
        trouble
    })
}

/// Holds in force: nothing is wrong with them, and everybody should know.
fn holds(view: &View<'_>) -> impl Iterator<Item = Trouble> {
    view.status.holds.iter().map(|hold| {
        let by = held_by(view, hold);
        let scope = view.known.incidents.builder().scope(&hold.scope);
        let title = format!("Held by {}: {}: {}", by.author, by.scope, by.reason);
        let mut trouble = Trouble::blank(TroubleKind::Held, Severity::Info, format!("hold/{scope}"), title);
        trouble.channel = hold.scope.channel;
        trouble.done.push("nothing is rolled back or restored there by itself while it lasts".to_owned());
        trouble.waits.push(Wait { whom: WaitsFor::HoldEnd, until: Some(by.until) });
        trouble.holds.push(by);
        trouble
            .next
            .push(Step::typing("To release it", format!("ringback release {scope} --reason 'the hold is over'")));
        trouble
    })
}
