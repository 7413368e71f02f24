//! One page for the next shift: what is so, what waits for whom, what comes in the next hour, who knows what.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::{Block, Document, DocumentPart, Table};
use super::material::{Material, Recorded};
use super::open::{open_ends, orders};
use super::words::{clock, count, day_and_clock, instant, numbers, span};
use crate::core::model::decision::Phase;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::{FallbackState, ScopeOf};
use crate::core::model::roster::{PortAt, Roster};
use crate::core::model::time::Time;
use crate::core::notice::NoticeStatus;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders::Orders;

/// What the next shift looks ahead.
const AHEAD: Duration = Duration::from_secs(3600);

/// Notices that are listed, the latest first.
const TOLD: usize = 20;

/// The page.
pub fn handover(m: &Material) -> Document {
    let records = m.records();
    let roster = m.roster();
    let orders = orders(m, &records);
    let now = m.head.to;
    let parts = [on_fallback(&orders, &roster, now), waiting(&orders, &roster), holds(&orders, &roster, now)];
    let mut parts: Vec<DocumentPart> = parts.into_iter().flatten().collect();
    parts.extend(watch(m, &records, &orders, &roster));
    parts.extend(told(m));
    let open = open_ends(m, &orders, &roster).lines.len();
    let mode = format!("The mode is {}; {} open.", orders.mode().label(), count(open as u64, "thing is", "things are"));
    parts.insert(0, DocumentPart { heading: "Now".to_owned(), blocks: vec![Block::Paragraph(mode)] });
    Document { title: "Handover".to_owned(), subtitle: format!("As of {}; all times UTC", instant(now)), parts }
}

fn on_fallback(orders: &Orders, roster: &Roster, now: Time) -> Option<DocumentPart> {
    let mut by: BTreeMap<(GroupName, Channel, &str), (Time, Vec<NumberId>)> = BTreeMap::new();
    for (number, channel, saga) in orders.sagas() {
        let state = &saga.state;
        if !(state.is_on_fallback() || state.is_unproven() || state.is_under_way()) {
            continue;
        }
        let Some(ix) = roster.find(number) else { continue };
        let proof = match state.label() {
            "proven" => "proven by a test",
            "read_back" => "read back, not proven by a test",
            "unproven" => "UNPROVEN: look at it now",
            "restoring" | "restore_written" => "being restored",
            _ => "being rolled back",
        };
        let key = (roster.group_of(ix).name.clone(), channel, proof);
        let since = saga.since.unwrap_or(now);
        let (first, of) = by.entry(key).or_insert((since, Vec::new()));
        *first = since.min(*first);
        of.push(number);
    }
    let mut table = Table::new(&["Group", "Channel", "Numbers", "Since", "Proof", "To put them back"]);
    for ((group, channel, proof), (since, of)) in by {
        let cells = [
            group.to_string(),
            channel.to_string(),
            format!("{}: {}", of.len(), numbers(&of, roster)),
            day_and_clock(since),
            proof.to_owned(),
            format!("ringback restore --group {group} --channel {channel} --reason '…'"),
        ];
        table.rows.push(cells.into());
    }
    let none = Block::Paragraph("No number is on its fallback.".to_owned());
    let block = if table.rows.is_empty() { none } else { Block::Table(table) };
    Some(DocumentPart { heading: "On the fallback".to_owned(), blocks: vec![block] })
}

fn waiting(orders: &Orders, roster: &Roster) -> Option<DocumentPart> {
    let mut table = Table::new(&["What", "Numbers", "Waits for", "Until", "To type"]);
    for p in orders.pending() {
        let d = &p.decision;
        let guards = p.guards();
        let for_whom = guards.iter().map(|g| g.text()).collect::<Vec<_>>().join("; ");
        let is_question = !p.questions().is_empty();
        let command = if is_question { format!("ringback approve {} --reason '…'", d.id) } else { String::new() };
        let cells = [
            format!("{} rollback of {}, {}", d.id, d.group, d.channel),
            format!("{}: {}", p.waiting.len(), numbers(&p.waiting.iter().copied().collect::<Vec<_>>(), roster)),
            if for_whom.is_empty() { "its turn".to_owned() } else { for_whom },
            p.until().map_or_else(|| "–".to_owned(), day_and_clock),
            command,
        ];
        table.rows.push(cells.into());
    }
    for p in orders.open_orders() {
        let later: Vec<NumberId> = p.later().collect();
        if later.is_empty() {
            continue;
        }
        let cells = [
            format!("{} {} of {}, {}", p.order.id, p.order.operation.label(), p.order.group, p.order.channel),
            format!("{}: {}", later.len(), numbers(&later, roster)),
            "callers of its first numbers to be served".to_owned(),
            "–".to_owned(),
            format!("ringback approve {} --reason '…'", p.order.id),
        ];
        table.rows.push(cells.into());
    }
    (!table.rows.is_empty()).then(|| DocumentPart { heading: "Waiting".to_owned(), blocks: vec![Block::Table(table)] })
}

fn holds(orders: &Orders, roster: &Roster, now: Time) -> Option<DocumentPart> {
    let mut table = Table::new(&["On", "Until", "Left", "By", "Why", "To lift it"]);
    for hold in orders.holds(now) {
        let of = match &hold.scope.of {
            ScopeOf::All => "--all".to_owned(),
            ScopeOf::Group(group) => format!("--group {group}"),
            ScopeOf::Number(n) => roster.name(*n).to_string(),
        };
        let channel = hold.scope.channel.map_or_else(String::new, |c| format!(" --channel {c}"));
        let cells = [
            hold.scope.text(roster),
            day_and_clock(hold.until),
            span(hold.until.since(now)),
            hold.by.name.to_string(),
            hold.by.reason.to_string(),
            format!("ringback release {of}{channel} --reason '…'"),
        ];
        table.rows.push(cells.into());
    }
    (!table.rows.is_empty()).then(|| DocumentPart { heading: "Held".to_owned(), blocks: vec![Block::Table(table)] })
}

/// What may happen, or has to be looked at, within the next hour.
fn watch(m: &Material, records: &[Recorded], orders: &Orders, roster: &Roster) -> Option<DocumentPart> {
    let (now, soon) = (m.head.to, m.head.to + AHEAD);
    let mut lines = Vec::new();
    for hold in orders.holds(now).filter(|h| h.until <= soon) {
        lines.push((hold.until, format!("the hold on {} ends: rollbacks go on from then", hold.scope.text(roster))));
    }
    for p in orders.pending() {
        if let Some(until) = p.until().filter(|t| *t <= soon) {
            lines.push((until, format!("the time to approve {} ends", p.decision.id)));
        }
    }
    for n in &m.numbers {
        if let PortAt::At(at) = n.port
            && now < at
            && at <= soon
        {
            lines.push((at, format!("{} is due to be ported", roster.name(n.id))));
        }
    }
    let mut phases: BTreeMap<(NumberId, Channel), Phase> = BTreeMap::new();
    for r in records.iter().filter(|r| r.at <= now) {
        if let Entry::Phase { channel, number, phase } = &r.entry {
            phases.insert((*number, *channel), *phase);
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut lines: Vec<String> = lines.into_iter().map(|(at, text)| format!("{}: {text}", clock(at))).collect();
    let fresh: Vec<NumberId> = phases
        .iter()
        .filter(|(_, phase)| matches!(phase, Phase::Settling | Phase::Active))
        .map(|((number, _), _)| *number)
        .collect();
    if !fresh.is_empty() {
        lines.push(format!("fresh from their port, and watched closely: {}", numbers(&fresh, roster)));
    }
    for group in &m.groups {
        for channel in Channel::ALL {
            let Some(found) = orders.fallback_found(&group.name, channel) else { continue };
            let of = match found.state {
                FallbackState::Broken => "is broken, and nothing is swapped to it",
                FallbackState::Unchecked => "is unchecked",
                FallbackState::Good if found.broken_for.is_empty() => continue,
                FallbackState::Good => "is broken for some of its numbers",
            };
            lines.push(format!("the fallback of {}, {channel}, {of}: {}", group.name, found.detail));
        }
    }
    (!lines.is_empty())
        .then(|| DocumentPart { heading: "In the next hour".to_owned(), blocks: vec![Block::List(lines)] })
}

/// Who was told what, the latest first.
fn told(m: &Material) -> Option<DocumentPart> {
    let mut table = Table::new(&["At", "Who", "What became of it", "What"]);
    for t in m.told.iter().rev().take(TOLD) {
        let over = if t.status == NoticeStatus::Resolved { "over: " } else { "" };
        let became = t.delivery.replace('_', " ");
        table.rows.push(vec![day_and_clock(t.at), t.notifier.clone(), became, format!("{over}{}", t.title)]);
    }
    (!table.rows.is_empty())
        .then(|| DocumentPart { heading: "Who was told what".to_owned(), blocks: vec![Block::Table(table)] })
}
