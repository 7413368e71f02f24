//! What is wrong, read off everything that is known.
//!
//! The words are the notices' own ([`crate::core::notice`]): what is open there is composed anew as of now
//! ([`incidents`]), and what nobody was told of, or not yet, is read off the numbers themselves ([`numbers`]), so that
//! nothing that the status shows to be wrong is missing. What cannot be seen is told with its cause, and holds with
//! their authors ([`sight`]).

mod incidents;
mod numbers;
mod sight;

use super::{Knowledge, Status};
use crate::agent::publish::trouble::Trouble;
use crate::core::detect::engine::Engine;
use crate::core::model::id::{Channel, GroupName, NumberId};
use crate::core::model::order::AskedOrder;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::notice::Moment;
use crate::core::rollback::orders::Orders;

/// What the troubles are read off.
struct View<'a> {
    now: Time,
    status: &'a Status,
    engine: &'a Engine,
    orders: &'a Orders,
    known: Knowledge<'a>,
}

impl View<'_> {
    fn roster(&self) -> &Roster {
        self.engine.roster()
    }

    /// How many numbers of the group have the channel.
    fn group_size(&self, group: &GroupName, channel: Channel) -> usize {
        self.known.incidents.builder().group_size(group, channel)
    }

    fn moment(&self, at: Time, numbers: &[NumberId]) -> Moment {
        let zone = numbers.first().and_then(|n| self.roster().find(*n)).map(|ix| &self.roster().number(ix).timezone);
        Moment::new(at, zone)
    }
}

/// Everything that is wrong, worst first. `status` is as it is published, but for the troubles.
pub fn all(engine: &Engine, orders: &Orders, known: Knowledge<'_>, status: &Status) -> Vec<Trouble> {
    let view = View { now: status.at, status, engine, orders, known };
    let mut troubles = incidents::troubles(&view);
    troubles.extend(numbers::troubles(&view, &troubles));
    troubles.extend(sight::troubles(&view));
    for trouble in &mut troubles {
        let objection = |asked: &AskedOrder| orders.objection(view.now, view.roster(), asked);
        trouble.next = known.incidents.builder().passable(std::mem::take(&mut trouble.next), objection);
    }
    troubles.sort_by(|a, b| {
        let rank = |t: &Trouble| (std::cmp::Reverse(t.severity), t.kind, std::cmp::Reverse(t.numbers.len()));
        rank(a).cmp(&rank(b)).then_with(|| a.key.cmp(&b.key))
    });
    troubles
}
