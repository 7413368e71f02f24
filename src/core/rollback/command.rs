//! An operator's commands that swap nothing themselves: holds, releases, approvals, modes. Each says what it
//! comes to, what it stops, and what still stands. The rules are in the table of [`super::operator`].

use std::collections::BTreeSet;

use super::entry::Entry;
use super::orders::{OrderState, Orders};
use crate::model::decision::{DecisionId, Mode};
use crate::model::guard::Guard;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{Author, By, CloseReason, Hold, Scope, ScopeOf};
use crate::model::roster::Roster;
use crate::model::time::Time;

/// What a command comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandOutcome {
    pub entries: Vec<Entry>,
    pub said: String,
    /// Everything that was asked for is so from now on.
    pub is_as_asked: bool,
}

/// Nothing is done, and this is why.
pub type Conflict = String;

/// `group support, voice is held`.
fn is_held(scope: &Scope, roster: &Roster) -> String {
    let verb = if scope.of == ScopeOf::All { "are" } else { "is" };
    format!("{} {verb} held", scope.text(roster))
}

impl Orders {
    /// Holds these scopes until then. A hold extends, and is shortened only if that is asked for.
    pub fn preview_hold(
        &self,
        now: Time,
        roster: &Roster,
        scopes: &[Scope],
        until: Time,
        by: &Author,
        shorten: bool,
    ) -> Result<CommandOutcome, Conflict> {
        if let Some(nobody) = scopes.iter().find_map(|s| not_watched(roster, s)) {
            return Err(nobody);
        }
        let (mut entries, mut said, mut is_as_asked) = (Vec::new(), Vec::new(), true);
        for scope in scopes {
            let longer = self.holds(now).find(|h| h.scope == *scope && h.until > until && !shorten);
            if let Some(hold) = longer {
                is_as_asked = false;
                said.push(format!(
                    "{} until {} already ({}), and a hold does not shorten: repeat it with --shorten (HTTP: \
                     \"shorten\": true) to end it at {}",
                    is_held(scope, roster),
                    hold.until.told(now),
                    hold.by,
                    until.told(now)
                ));
            } else {
                said.push(format!("{} until {}", is_held(scope, roster), until.told(now)));
                entries.push(Entry::Hold(Hold { scope: scope.clone(), by: by.clone(), until }));
            }
            let wider = |h: &&Hold| h.scope != *scope && h.until > until && h.scope.includes(scope, is_member(roster));
            let held = |h: &Hold| format!("{} until {} ({})", is_held(&h.scope, roster), h.until.told(now), h.by);
            said.extend(self.holds(now).filter(wider).map(held));
        }
        if entries.is_empty() {
            return Err(said.join("; "));
        }
        let is_it = |group: &GroupName, n, channel| scopes.iter().any(|s| s.covers(group, n, channel));
        said.extend(self.stopped(is_it, "wait until it is released"));
        Ok(CommandOutcome { entries, said: said.join("; "), is_as_asked })
    }

    /// Ends every hold within these scopes.
    pub fn preview_release(
        &self,
        now: Time,
        roster: &Roster,
        scopes: &[Scope],
        by: &Author,
    ) -> Result<CommandOutcome, Conflict> {
        let is_within = |h: &Hold| scopes.iter().any(|s| s.includes(&h.scope, is_member(roster)));
        let is_over = |h: &Hold| scopes.iter().any(|s| s.overlaps(&h.scope, is_member(roster)));
        let (mut entries, mut said, mut is_as_asked) = (Vec::new(), Vec::new(), true);
        for hold in self.holds(now).filter(|h| is_within(h)) {
            said.push(format!("released: {}", hold.scope.text(roster)));
            entries.push(Entry::Release { scope: hold.scope.clone(), by: by.clone() });
        }
        for scope in scopes {
            if !self.holds(now).any(|h| scope.includes(&h.scope, is_member(roster))) {
                is_as_asked = false;
                said.push(not_watched(roster, scope).unwrap_or_else(|| format!("not held: {}", scope.text(roster))));
            }
        }
        for hold in self.holds(now).filter(|h| !is_within(h) && is_over(h)) {
            is_as_asked = false;
            said.push(format!("still held: {} until {} ({})", hold.scope.text(roster), hold.until.told(now), hold.by));
        }
        if entries.is_empty() {
            return Err(said.join("; "));
        }
        Ok(CommandOutcome { entries, said: said.join("; "), is_as_asked })
    }

    /// Says yes to a rollback that waits, or to the next stage of a restore.
    pub fn preview_approval(&self, now: Time, id: DecisionId, by: &Author) -> Result<CommandOutcome, Conflict> {
        let pending = self.pending().find(|d| d.decision.id == id);
        let restore = self.open_orders().find(|p| p.order.id == id && p.order.staged);
        if pending.is_none() && restore.is_none() {
            return Err(format!(
                "{id} does not wait for approval: there is no such decision, or it is approved already, over or lapsed: \
                 see `ringback explain {id}`"
            ));
        }
        if self.mode() == Mode::Observe {
            return Err(format!(
                "{id} is not approved: the mode is observe, in which nothing is written. Change it with `ringback mode \
                 confirm`, and {id} asks for approval then"
            ));
        }
        let mut said = vec![format!("{id} is approved")];
        let refused: BTreeSet<&str> = pending.into_iter().flat_map(|p| p.refusals()).map(|g| g.text()).collect();
        said.extend(refused.into_iter().map(|text| format!("it is carried out once this is over: {text}")));
        let is_held =
            |p: &OrderState| p.later().any(|n| self.held_by(now, &p.order.group, n, p.order.channel).is_some());
        if restore.is_some_and(is_held) {
            said.push(format!("its next stage begins once this is over: {}", Guard::Hold.text()));
        }
        let entries = vec![Entry::Approved { decision: id, by: by.clone() }];
        Ok(CommandOutcome { entries, said: said.join("; "), is_as_asked: true })
    }

    /// Changes the mode.
    pub fn preview_mode(&self, mode: Mode, by: &Author) -> CommandOutcome {
        let mut said = vec![format!("the mode is {}", mode.label())];
        if mode == Mode::Observe {
            said.push("nothing is written from now on".to_owned());
            said.extend(self.stopped(|_, _, _| true, "are given up"));
        }
        let mut entries = vec![Entry::Mode { mode, by: by.clone() }];
        if mode == Mode::Observe {
            entries.extend(self.open_orders().filter(|p| p.later().next().is_some()).map(|p| Entry::Closed {
                decision: p.order.id,
                channel: p.order.channel,
                numbers: p.later().collect(),
                why: CloseReason::Observing,
            }));
        }
        if mode != self.mode() {
            let void = self.pending().filter(|p| p.is_approved);
            said.extend(void.map(|p| format!("the approval of {} is void", p.decision.id)));
        }
        CommandOutcome { entries, said: said.join("; "), is_as_asked: true }
    }

    /// What becomes of the rollbacks and orders about such numbers. `later`: and of the stages of a restore that have
    /// not begun.
    fn stopped(&self, is_it: impl Fn(&GroupName, NumberId, Channel) -> bool, later: &str) -> Vec<String> {
        let pending = self.pending().filter(|p| {
            let d = &p.decision;
            p.waiting.iter().any(|n| is_it(&d.group, *n, d.channel))
        });
        let waiting = pending.map(|p| format!("{}, a rollback that waits, is not carried out", p.decision.id));
        let open = self.open_orders().filter_map(|p| {
            let order = &p.order;
            let concerns = |n: NumberId| is_it(&order.group, n, order.channel);
            let left = p.left().into_iter().any(concerns).then(|| {
                // The detector asks again; a person has to.
                let again = if order.by == By::Detector { "" } else { ", and not tried again" };
                format!("what is not written yet is refused{again}")
            });
            let later = p.later().any(concerns).then(|| format!("its later stages {later}"));
            let said = [left, later].into_iter().flatten().collect::<Vec<_>>().join(", ");
            (!said.is_empty()).then(|| format!("of {}, a {} under way, {said}", order.id, order.operation.label()))
        });
        waiting.chain(open).collect()
    }
}

/// Whether a number belongs to a group, as the configuration has it now.
fn is_member(roster: &Roster) -> impl Fn(&GroupName, NumberId) -> bool {
    |group, number| roster.find(number).is_some_and(|ix| roster.group_of(ix).name == *group)
}

/// Says so if no number of the scope is watched on its channel.
fn not_watched(roster: &Roster, scope: &Scope) -> Option<String> {
    let channel = scope.channel?;
    let is_watched = roster
        .numbers()
        .any(|(ix, n)| n.channels[channel.index()] && scope.covers(&roster.group_of(ix).name, n.id, channel));
    let whose = Scope { of: scope.of.clone(), channel: None }.text(roster);
    (!is_watched).then(|| format!("{whose} is not watched on {channel}"))
}
