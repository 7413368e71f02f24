//! What an entry of the journal says of the ports.

use crate::model::id::{Channel, NumberId};
use crate::model::roster::Roster;
use crate::model::time::Time;
use crate::port::ports::Ports;
use crate::rollback::entry::Entry;
use crate::rollback::orders::Orders;

/// Takes in an entry that was written at `at`, if it is one about ports.
pub fn fold_ports(ports: &mut Ports, roster: &Roster, at: Time, entry: &Entry) {
    match entry {
        Entry::Port(entry) => ports.fold(at, entry),
        Entry::Ported { numbers, .. } => ports.ported(at, numbers),
        Entry::Phase { channel, number, phase } => {
            let group = roster.find(*number).map(|ix| &roster.group_of(ix).name);
            ports.phase(*number, group, *channel, *phase);
        }
        Entry::Decision(_)
        | Entry::Order(_)
        | Entry::Stage { .. }
        | Entry::Refused { .. }
        | Entry::Asked { .. }
        | Entry::Approved { .. }
        | Entry::Closed { .. }
        | Entry::Recovered { .. }
        | Entry::Snapshot { .. }
        | Entry::Checked { .. }
        | Entry::Intent { .. }
        | Entry::Written { .. }
        | Entry::Result { .. }
        | Entry::Lost { .. }
        | Entry::Landed { .. }
        | Entry::Hold(_)
        | Entry::Release { .. }
        | Entry::Mode { .. }
        | Entry::Drift { .. }
        | Entry::Adopted { .. }
        | Entry::Started { .. }
        | Entry::Reloaded { .. }
        | Entry::Fallback { .. } => {}
    }
}

/// The number is on its fallback, or on its way there or back.
pub fn is_rolled_back(orders: &Orders, number: NumberId, channel: Channel) -> bool {
    let state = orders.state(number, channel);
    state.is_on_fallback() || state.is_under_way() || state.is_unproven() || orders.ordered(number, channel).is_some()
}
