//! What is not over: on the fallback, unproven, waiting, held, changed by others, broken.

use std::collections::BTreeMap;

use super::material::{Material, Recorded};
use super::words::{count, instant, numbers};
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::FallbackState;
use crate::core::model::roster::Roster;
use crate::core::rollback::orders::{Orders, RollbackSettings};

/// What was done by the end of the span, as the journal says.
pub fn orders(m: &Material, records: &[Recorded]) -> Orders {
    let mut orders = Orders::new(RollbackSettings { mode: m.head.mode, ..RollbackSettings::default() });
    for r in records.iter().filter(|r| r.at <= m.head.to) {
        // A contradiction stopped the agent then, and is told by whoever verifies.
        let _ = orders.fold(r.at, &r.entry);
    }
    orders
}

/// What is not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenEnds {
    /// Each a sentence.
    pub lines: Vec<String>,
    /// Numbers and channels on the fallback.
    pub on_fallback: usize,
}

/// Everything that is not over at the end of the span.
pub fn open_ends(m: &Material, orders: &Orders, roster: &Roster) -> OpenEnds {
    let mut ends = OpenEnds::default();
    let mut by: BTreeMap<(GroupName, Channel, &'static str), Vec<NumberId>> = BTreeMap::new();
    for (number, channel, saga) in orders.sagas() {
        let Some(ix) = roster.find(number) else { continue };
        let group = roster.group_of(ix).name.clone();
        let mut add = |what| by.entry((group.clone(), channel, what)).or_default().push(number);
        let state = orders.state(number, channel);
        if state.is_on_fallback() {
            ends.on_fallback += 1;
        }
        match state.label() {
            "proven" => add("on the fallback, proven"),
            "read_back" => add("on the fallback, read back and not proven by a test"),
            "unproven" => add("unproven: written, and it is not known that callers reach the fallback"),
            "restoring" | "restore_written" => add("being restored"),
            "failed" => add("a rollback failed: on their own handler"),
            _ if state.is_under_way() => add("being rolled back"),
            _ => {}
        }
        if saga.is_of_another() {
            add("changed by somebody else since");
        }
    }
    for ((group, channel, what), of) in &by {
        ends.lines.push(format!(
            "{group}, {channel}: {what}: {} ({})",
            numbers(of, roster),
            count(of.len() as u64, "number", "numbers")
        ));
    }
    for p in orders.pending() {
        let guards: Vec<&str> = p.guards().into_iter().map(|g| g.text()).collect();
        let until = p.until().map_or_else(String::new, |t| format!("; until {}", instant(t)));
        let why = if guards.is_empty() { "its turn".to_owned() } else { guards.join("; ") };
        ends.lines
            .push(format!("{} waits for {} on {}: {why}{until}", p.decision.id, p.decision.group, p.decision.channel));
    }
    for hold in orders.holds(m.head.to) {
        let scope = hold.scope.text(roster);
        ends.lines.push(format!(
            "held until {}: {scope}, by {}: {}",
            instant(hold.until),
            hold.by.name,
            hold.by.reason
        ));
    }
    for group in &m.groups {
        for channel in Channel::ALL {
            if let Some(found) = orders.fallback_found(&group.name, channel)
                && (found.state == FallbackState::Broken || !found.broken_for.is_empty())
            {
                ends.lines.push(format!("the fallback of {}, {channel}, is broken: {}", group.name, found.detail));
            }
        }
    }
    ends
}
