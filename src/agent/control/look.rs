//! What numbers point at, looked at before it is said.
//!
//! A command about numbers that are as asked by the journal does nothing to them. That they really are so the journal
//! cannot know: a write of ours may have landed late, or somebody else have written, since the last look. So these are
//! read anew, beside the control task, before anything is said of them; what the command does to others does not wait
//! for that.

use std::collections::{BTreeMap, BTreeSet};

use super::adopt::{ASKED, read};
use super::command::{CommandAnswer, PendingCommand, is_from_memory};
use super::{Controller, Drifted};
use crate::agent::ControlMessage;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::Operation;
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;
use crate::core::rollback::adopt::FoundRouting;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::look::{Ground, Known, Look, LookResult};
use crate::core::rollback::operator::{OperatorRequest, PlannedAction, Preview, PreviewLine};
use crate::core::rollback::plan;
use crate::core::routing::values::RoutingValues;

/// One channel of one number.
type Slot = (NumberId, Channel);

/// The numbers that it does nothing to, as they were read for it.
#[derive(Debug)]
pub struct CommandRead {
    asked: PendingCommand,
    found: BTreeMap<Slot, Result<FoundRouting, String>>,
}

impl Controller {
    /// When a number was read the last time that something was made of it, by a clock that was not set back since.
    pub(super) fn last_look(&self, slot: Slot) -> Option<Time> {
        self.looked_at.get(&slot).copied().filter(|t| *t <= self.shared.clock.now())
    }

    /// What a look at a number shows. Of a late write of ours that has landed the journal knows when this returns.
    pub(super) async fn observe(
        &mut self,
        read_at: Time,
        slot @ (number, channel): Slot,
        now: &RoutingValues,
    ) -> LookResult {
        let found = self.orders().found(number, channel, Look { now, read_at, known: self.known(slot) });
        match &found {
            LookResult::AsExpected | LookResult::First => _ = self.looked_at.insert(slot, read_at),
            LookResult::Landed(entry) => self.landed(read_at, entry).await,
            // What is foreign is once it is in the journal.
            LookResult::Outdated | LookResult::Foreign { .. } => {}
        }
        found
    }

    /// What a number is held against by an order that is about to have it.
    pub(super) fn ground(&self, number: NumberId, channel: Channel) -> Ground {
        self.orders().ground(number, channel, self.known((number, channel)))
    }

    fn known(&self, slot @ (number, channel): Slot) -> Known<'_> {
        let roster = &self.shared.roster;
        let fallback = roster.find(number).and_then(|ix| roster.group_of(ix).fallback(channel));
        Known { baseline: self.baseline.get(&slot), seen: self.last_look(slot), fallback }
    }

    async fn landed(&mut self, read_at: Time, entry: &Entry) {
        let Entry::Landed { number, channel, .. } = entry else { return };
        let (number, expected) = (*number, self.expected(std::slice::from_ref(entry)));
        if let Err(error) = self.commit(vec![entry.clone()]).await {
            let name = self.shared.roster.name(number);
            tracing::error!(number = %name, %channel, %error, cure = error.cure, "a late write of ours is not in the journal");
            return;
        }
        self.looked_at.insert((number, *channel), read_at);
        self.set_baseline(self.shared.clock.now(), expected).await;
    }

    /// Reads these numbers beside the control task, which answers once it is told what was found.
    pub(super) fn look_first(&mut self, asked: PendingCommand, unsure: BTreeSet<Slot>) {
        let (shared, inbox) = (self.shared.clone(), self.inbox.clone());
        // The rollback of these ends if somebody else has them by now, and others are told of that.
        let is_swapped = |(number, channel): &&Slot| self.orders().state(*number, *channel).swap().is_some();
        let who: BTreeSet<Slot> = unsure.iter().filter(is_swapped).take(ASKED).copied().collect();
        let clock = shared.clock.clone();
        clock.clone().spawn(&mut self.asking, async move {
            let mut found = BTreeMap::new();
            for channel in Channel::ALL {
                let of_it = unsure.iter().filter(|(_, c)| *c == channel);
                let wanted: Vec<NumberIx> = of_it.filter_map(|(number, _)| shared.roster.find(*number)).collect();
                if !wanted.is_empty() {
                    found.extend(read(&shared, &wanted, channel, &who).await);
                }
            }
            if let Some(inbox) = inbox.upgrade() {
                // The agent may be stopping; whoever asked is told so.
                let read = ControlMessage::CommandRead(CommandRead { asked, found });
                let _ = clock.wait(None, inbox.send(read)).await;
            }
        });
    }

    /// The numbers were read: takes in what they are, does what is to be done by that, and answers.
    pub async fn command_read(&mut self, now: Time, read: CommandRead) {
        let CommandRead { asked: PendingCommand { request, dry_run, preview, reply }, found } = read;
        let mut shown = BTreeMap::new();
        for (slot, read) in &found {
            let is_foreign = match read {
                Ok(read) => self.is_foreign(now, *slot, read).await,
                Err(_) => false,
            };
            shown.insert(*slot, is_foreign);
        }
        let mut later = Preview::default();
        for channel in Channel::ALL {
            let is_read = |ix: &NumberIx| found.contains_key(&(self.shared.roster.number(*ix).id, channel));
            let numbers: Vec<NumberIx> = request.numbers.iter().copied().filter(is_read).collect();
            let request = OperatorRequest { numbers, channel: Some(channel), ..request.clone() };
            let mut of_it = self.preview(now, &request, &BTreeMap::new());
            for line in of_it.lines.iter_mut().filter(|line| is_from_memory(request.operation, line)) {
                let slot = (line.number, channel);
                if let Some(read) = found.get(&slot) {
                    self.say_as_read(now, request.operation, line, read, shown.get(&slot) == Some(&true));
                }
            }
            if let Err(refusal) = self.do_unless(now, dry_run, &of_it).await {
                // Whoever asked may have gone away.
                let _ = reply.send(Err(refusal));
                return;
            }
            later.lines.append(&mut of_it.lines);
            later.orders.append(&mut of_it.orders);
            later.carried_on.append(&mut of_it.carried_on);
            later.given_up.append(&mut of_it.given_up);
        }
        // Whoever asked may have gone away.
        let _ = reply.send(Ok(CommandAnswer::Orders(merged(preview, later))));
    }

    /// Takes in what was read of a number. True if somebody else has changed it.
    async fn is_foreign(&mut self, now: Time, slot @ (number, channel): Slot, read: &FoundRouting) -> bool {
        let LookResult::Foreign { before, expected } = self.observe(read.read_at, slot, &read.values).await else {
            return false;
        };
        let differences = RoutingValues::differences(&before, &expected, &read.values);
        let (values, read_at, actor) = (read.values.clone(), read.read_at, read.actor.clone());
        let drifted = Drifted { number, channel, differences, now: values, read_at, actor };
        if self.orders().state(number, channel).swap().is_some() {
            self.drifted(now, drifted).await;
        } else {
            self.ask_about(read.record.sid, drifted);
        }
        true
    }

    /// What a line that does nothing says, by what was read of its number.
    fn say_as_read(
        &self,
        now: Time,
        operation: Operation,
        line: &mut PreviewLine,
        read: &Result<FoundRouting, String>,
        is_foreign: bool,
    ) {
        let (number, channel) = (line.number, line.channel);
        let read = match read {
            Ok(read) if read.record.unread[channel.index()] => Err("who answers it is not known"),
            Ok(read) => Ok(read),
            Err(why) => Err(why.as_str()),
        };
        let read = match read {
            Ok(read) => read,
            Err(why) => {
                line.action = PlannedAction::Refuse;
                line.detail = format!("by the journal {}, but it could not be read: {why}", line.detail);
                return;
            }
        };
        if operation == Operation::Rollback || self.orders().state(number, channel).swap().is_some() {
            return;
        }
        let roster = &self.shared.roster;
        let fallback = roster.find(number).and_then(|ix| roster.group_of(ix).fallback(channel));
        let handler = read.record.handler(channel);
        if fallback.is_some_and(|url| read.record.leads_to(channel, url)) {
            line.action = PlannedAction::Refuse;
            plan::ON_FALLBACK_UNKNOWN.clone_into(&mut line.detail);
        } else if is_foreign {
            line.detail = format!("nothing of ours is on it: somebody else has given it {handler}");
        } else {
            line.detail = format!("it is on its own handler: {handler}");
        }
        if let Some(late) = self.orders().late(number, channel, Some(now)).last() {
            line.detail +=
                &format!("; a write of {} may still land on it until {}", late.write.order, late.until.told(now));
        }
    }
}

/// What a command came to, with the lines that were looked at in the place of those from memory.
fn merged(mut preview: Preview, later: Preview) -> Preview {
    for line in later.lines {
        let is_it = |l: &&mut PreviewLine| (l.number, l.channel) == (line.number, line.channel);
        if let Some(before) = preview.lines.iter_mut().find(is_it) {
            *before = line;
        }
    }
    preview.orders.extend(later.orders);
    preview.carried_on.extend(later.carried_on);
    preview.given_up.extend(later.given_up);
    preview
}
