//! What is decided, written and remembered agree: one pure object owns the engine, the orders and the
//! incidents, and one function says what an entry of the journal changes in them.
//!
//! [`Control::apply`] is that function. The running agent calls it for each entry once the entry is in the
//! journal, an agent that starts calls it for what the agent before wrote ([`Recovery`]), and
//! [`super::explain`] calls it for what was written before a decision. There is no second way, so memory is
//! what the journal says, in the journal's order.
//!
//! What is not in the journal is no entry's business: observations and the time go to the engine
//! ([`Control::engine`]), the agent's own conditions to the incidents ([`Control::incidents`]).
//!
//! Promises: total over entries; an entry that contradicts the ones before it is an [`Illegal`] and changes
//! nothing of the engine or the incidents. Whoever drives it writes an entry before applying it, in the order in
//! which entries are written, and applies it with the time that was written.

mod port;
mod recovery;
mod view;

use std::time::Duration;

use super::detect::engine::{Engine, RollbackProgress};
use super::model::decision::{Action, Decision, DecisionId};
use super::model::guard::Strength;
use super::model::id::{Channel, NumberId};
use super::model::order::{LandedOn, Operation, OrderResult};
use super::model::time::Time;
use super::model::verdict::Verdict;
use super::notice::incidents::Incidents;
use super::notice::{Notice, NoticeStatus};
use super::port::news::{PortEntry, PortState};
use super::port::ports::Ports;
use super::port::status::PortStatus;
use super::rollback::entry::Entry;
use super::rollback::orders::{Orders, Witness};
use super::rollback::saga::Illegal;

pub use port::{fold_ports, is_rolled_back};
pub use recovery::{Contradiction, Recovery};
pub use view::EngineView;

/// A rollback that no longer stands, or could not be journaled, may be decided again after this.
pub const DECIDE_AGAIN: Duration = Duration::from_secs(60);

/// Webhooks that a notice names.
const HANDLERS: usize = 2;

/// The engine, the orders and the incidents, as far as the journal goes.
#[derive(Debug)]
pub struct Control {
    engine: Engine,
    orders: Orders,
    incidents: Incidents,
    ports: Ports,
}

impl Control {
    pub fn new(engine: Engine, orders: Orders, incidents: Incidents) -> Control {
        Control { engine, orders, incidents, ports: Ports::default() }
    }

    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// For what is not in the journal: observations, polls and the time.
    pub const fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    pub const fn orders(&self) -> &Orders {
        &self.orders
    }

    pub const fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// For what is not in the journal: the agent's own conditions, and the time.
    pub const fn incidents_mut(&mut self) -> &mut Incidents {
        &mut self.incidents
    }

    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Takes in an entry that was written to the journal at `at`. Gives what people are to be told of it.
    pub fn apply(&mut self, at: Time, entry: &Entry) -> Result<Vec<Notice>, Illegal> {
        let was_on_fallback = if let Entry::Drift { number, channel, .. } = entry {
            self.orders.state(*number, *channel).is_on_fallback()
        } else {
            false
        };
        self.orders.fold(at, entry)?;
        let notices = self.incidents.fold(at, entry);
        let notices = self.with_handlers(notices);
        fold_ports(&mut self.ports, self.engine.roster(), at, entry);
        match entry {
            Entry::Decision(decision) => {
                let told: Vec<_> = decision.numbers.iter().filter_map(|n| self.engine.roster().find(*n)).collect();
                told.into_iter().for_each(|ix| self.engine.told(ix, decision.channel));
                self.decision_stands(decision);
            }
            Entry::Result { decision, channel, number, result, .. } => {
                self.ended(at, *decision, *number, *channel, *result);
            }
            Entry::Closed { channel, numbers, .. } => self.may_decide_again(numbers, *channel, at + DECIDE_AGAIN),
            Entry::Drift { number, channel, .. } => {
                if let (true, Some(ix)) = (was_on_fallback, self.engine.roster().find(*number)) {
                    self.engine.handler_changed(at, ix, *channel);
                }
            }
            Entry::Landed { channel, number, on, .. } => {
                if let Some(ix) = self.engine.roster().find(*number) {
                    match on {
                        LandedOn::Fallback => {
                            if !matches!(self.engine.channel(ix, *channel).rollback, RollbackProgress::Done(_)) {
                                self.engine.rolled_back(at, ix, *channel);
                            }
                        }
                        LandedOn::OwnHandler | LandedOn::EarlierHandler => {
                            self.engine.handler_changed(at, ix, *channel);
                        }
                    }
                }
            }
            // Another handler: what was seen of the one before says nothing of it.
            Entry::Adopted { number, channel, .. } => {
                if let Some(ix) = self.engine.roster().find(*number) {
                    self.engine.handler_changed(at, ix, *channel);
                }
            }
            Entry::Phase { channel, number, phase } => {
                if let Some(ix) = self.engine.roster().find(*number)
                    && self.engine.channel(ix, *channel).phase != *phase
                {
                    self.engine.resume_phase(ix, *channel, *phase, at);
                }
            }
            Entry::Ported { numbers, .. } => {
                let numbers: Vec<_> = numbers.iter().filter_map(|n| self.engine.roster().find(*n)).collect();
                self.engine.ported(at, &numbers);
            }
            Entry::Port(PortEntry::Status { numbers, state, .. }) => self.port(at, numbers, state),
            Entry::Port(PortEntry::Met { .. } | PortEntry::Eve { .. } | PortEntry::Passive { .. })
            | Entry::Recovered { .. }
            | Entry::Order(_)
            | Entry::Stage { .. }
            | Entry::Refused { .. }
            | Entry::Asked { .. }
            | Entry::Approved { .. }
            | Entry::Snapshot { .. }
            | Entry::Checked { .. }
            | Entry::Intent { .. }
            | Entry::Written { .. }
            | Entry::Lost { .. }
            | Entry::Hold(_)
            | Entry::Release { .. }
            | Entry::Mode { .. }
            | Entry::Started { .. }
            | Entry::Reloaded { .. }
            | Entry::Fallback { .. } => {}
        }
        self.engine.resume_after(self.orders.last_id());
        Ok(notices)
    }

    /// Twilio says this of the ports of these numbers.
    fn port(&mut self, at: Time, numbers: &[NumberId], state: &PortState) {
        for (id, ix) in numbers.iter().filter_map(|n| Some((*n, self.engine.roster().find(*n)?))).collect::<Vec<_>>() {
            match state.status {
                PortStatus::Completed => self.engine.port_completed(at, ix),
                PortStatus::InReview
                | PortStatus::AwaitingSignature
                | PortStatus::Submitted
                | PortStatus::Pending
                | PortStatus::DateConfirmed
                | PortStatus::ActionRequired
                | PortStatus::Rejected => {
                    self.engine.port_is_open(at, ix, state.date, self.ports.is_shown(id));
                }
                // What was withdrawn says nothing of where the number is, and what nobody knows says nothing.
                PortStatus::Canceling
                | PortStatus::Canceled
                | PortStatus::Expired
                | PortStatus::PortedOut
                | PortStatus::Unknown => {}
            }
        }
    }

    /// Time passes for the incidents. Gives what people are to be told by now.
    pub fn tick_incidents(&mut self, now: Time) -> Vec<Notice> {
        let notices = self.incidents.tick(now);
        self.with_handlers(notices)
    }

    /// Notices of decisions with the webhooks that failed, which no journal has.
    fn with_handlers(&self, mut notices: Vec<Notice>) -> Vec<Notice> {
        let decided = |n: &&mut Notice| n.decision.is_some() && n.status == NoticeStatus::Firing;
        for notice in notices.iter_mut().filter(decided) {
            let Some(channel) = notice.channel else { continue };
            let since = notice.since.as_ref().map(|m| m.at);
            let failed = self.engine.failed_requests(&notice.numbers, channel, since);
            let builder = self.incidents.builder();
            let handlers = failed.iter().take(HANDLERS).map(|(f, _)| builder.failed_handler(&notice.numbers, f));
            notice.handlers = handlers.collect();
        }
        notices
    }

    /// The notice with what stands against the commands that it advises.
    pub fn advised(&self, notice: Notice) -> Notice {
        let (at, roster) = (notice.at.at, self.engine.roster());
        let next = self.incidents.builder().passable(notice.next, |asked| self.orders.objection(at, roster, asked));
        Notice { next, ..notice }
    }

    /// A caller of a number that is being restored was served, or a test of ours was.
    pub fn served(&mut self, number: NumberId, channel: Channel, started_at: Time, by: Witness) {
        self.orders.served(number, channel, started_at, by);
    }

    /// Whoever seemed to be served was not, as has come out since.
    pub fn not_served(&mut self, number: NumberId, channel: Channel, by: Witness) {
        self.orders.not_served(number, channel, by);
    }

    /// This id is somebody's, though what it names is not written yet.
    pub fn reserve(&mut self, id: DecisionId) {
        self.orders.reserve(id);
    }

    /// The detector calls these numbers healthy. Gives what is to be written of those whose trouble that ends.
    pub fn recovered(&self, channel: Channel, mut numbers: Vec<NumberId>) -> Option<Entry> {
        numbers.retain(|n| self.incidents.ends_with_health(*n, channel));
        (!numbers.is_empty()).then_some(Entry::Recovered { channel, numbers })
    }

    /// Numbers whose rollback has failed a while ago, and which are healthy by now, or were all the time.
    pub fn healthy_after_failing(&self, now: Time, channel: Channel) -> Vec<NumberId> {
        let failed = self.incidents.failed_for_long(now).filter(|(_, of)| *of == channel);
        let is_healthy = |n: &NumberId| {
            let found = self.engine.roster().find(*n);
            found.is_some_and(|ix| self.engine.channel(ix, channel).verdict == Verdict::Healthy)
        };
        failed.map(|(number, _)| number).filter(is_healthy).collect()
    }

    /// What should be written next: the guards asked about each pending rollback, the stages of each restore.
    pub fn step(&self, now: Time, is_leading: bool) -> Vec<Entry> {
        self.orders.step(now, self.engine.roster(), &EngineView::of(&self.engine, &self.orders, is_leading, now))
    }

    /// The detector need not ask for these again, and goes on watching: callers may still speak more loudly.
    pub fn decision_stands(&mut self, decision: &Decision) {
        if decision.action != Action::Rollback {
            return;
        }
        let strength = Strength::of(&decision.evidence, decision.numbers.len());
        for ix in decision.numbers.iter().filter_map(|n| self.engine.roster().find(*n)).collect::<Vec<_>>() {
            self.engine.asked(ix, decision.channel, strength);
        }
    }

    /// These numbers may be decided about again from `not_before` on, unless the fallback has them.
    pub fn may_decide_again(&mut self, numbers: &[NumberId], channel: Channel, not_before: Time) {
        for number in numbers {
            if !self.orders.state(*number, channel).is_on_fallback()
                && self.orders.swapping(*number, channel).is_none()
                && let Some(ix) = self.engine.roster().find(*number)
            {
                self.engine.not_rolled_back(ix, channel, not_before);
            }
        }
    }

    /// One number's part of an order has ended.
    fn ended(&mut self, at: Time, decision: DecisionId, number: NumberId, channel: Channel, result: OrderResult) {
        let Some(ix) = self.engine.roster().find(number) else { return };
        let Some(operation) = self.orders.order(decision).map(|o| o.order.operation) else { return };
        let is_on_fallback = self.orders.state(number, channel).is_on_fallback();
        match (operation, result) {
            (Operation::Rollback, _) if is_on_fallback => {
                // A proof says more of the same rollback, and begins no new one.
                if !matches!(self.engine.channel(ix, channel).rollback, RollbackProgress::Done(_)) {
                    self.engine.rolled_back(at, ix, channel);
                }
            }
            (Operation::Rollback, _) => {
                let not_before = self.orders.not_before(number, channel).unwrap_or(at);
                self.engine.not_rolled_back(ix, channel, not_before);
            }
            // None of these leaves a number on the fallback as far as is known. Of what cannot be told to be restored
            // this must not be believed either: its callers are watched again.
            (Operation::Restore, OrderResult::Restored | OrderResult::Superseded | OrderResult::Unproven) => {
                self.engine.handler_changed(at, ix, channel);
            }
            // Nothing was written: the number is what it was.
            (Operation::Restore, _) => {}
            // Its callers are watched as before.
            (Operation::Apply | Operation::Undo, _) => {}
        }
    }
}

#[cfg(test)]
mod tests;
