//! Which changes of our numbers are Ringback's own, as its journal has them.
//!
//! Twilio's audit log names an account or a key, which another program may use too: only the journal knows what this
//! one wrote. Each write excuses one change of its number, near its time: who writes beside us is told of.

use std::path::Path;
use std::time::Duration;

use crate::core::check::facts::{Change, Facts};
use crate::core::model::id::NumberId;
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;
use crate::store::{Store, StoreError};

/// Entries that are read at once.
const PAGE: usize = 500;

/// How long after its intent a write may still be made: requests wait their turn and are tried again. So long our
/// clock may be behind Twilio's, too, before the agent counts as blind.
const AFTER: Duration = Duration::from_secs(120);
const BEFORE: Duration = Duration::from_secs(60);

/// Of who changed our numbers, leaves those who are not Ringback with its state at `state`.
pub(super) async fn leave_out(facts: &mut Facts, state: &Path, roster: &Roster) {
    let Ok(changes) = &mut facts.writers else { return };
    let Some(first) = changes.iter().map(|c| c.at).min() else { return };
    match writes(state, first - AFTER).await {
        Ok(writes) => *changes = of_others(std::mem::take(changes), writes, roster),
        // Then all are told: some of them may be ours.
        Err(error) => tracing::debug!(%error, "what Ringback itself wrote cannot be told"),
    }
}

/// When each of our numbers was about to be written to, since `since`. Nothing where there is no state yet.
async fn writes(state: &Path, since: Time) -> Result<Vec<(NumberId, Time)>, StoreError> {
    if !state.exists() {
        return Ok(Vec::new());
    }
    let store = Store::open_read_only(state).await?;
    let (mut writes, mut before) = (Vec::new(), i64::MAX);
    'pages: loop {
        let page = store.latest("intent", before, PAGE).await?;
        for record in &page {
            if record.at < since {
                break 'pages;
            }
            if let Entry::Intent { number, .. } = record.entry {
                writes.push((number, record.at));
            }
        }
        match page.last() {
            Some(last) => before = last.seq,
            None => break,
        }
    }
    store.close().await;
    Ok(writes)
}

/// The changes that are not ours. `writes`: newest first, as [`writes`] gives them.
fn of_others(changes: Vec<Change>, mut writes: Vec<(NumberId, Time)>, roster: &Roster) -> Vec<Change> {
    let mut others = Vec::new();
    for change in changes {
        let number = roster.number(change.number).id;
        let is_of = |at: Time| change.at + BEFORE >= at && change.at <= at + AFTER;
        match writes.iter().position(|(of, at)| *of == number && is_of(*at)) {
            Some(ours) => drop(writes.swap_remove(ours)),
            None => others.push(change),
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::core::model::foreign::Line;
    use crate::core::model::roster::{Number, NumberIx, PortAt};
    use crate::testing::ours;

    #[test]
    fn each_write_of_ours_excuses_one_change_of_its_number() {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [None, None]);
        let ids = ["+15005550100", "+15005550101"].map(ours);
        for id in ids {
            let (label, timezone, port) = (String::new(), TimeZone::UTC, PortAt::Done);
            roster.add_number(Number { id, label, group, channels: [true, false], timezone, port }).unwrap();
        }
        let at = |s: i64| Time::from_secs(1_000_000 + s);
        let change = |number: u32, s| Change { number: NumberIx(number), by: Line::new("account"), at: at(s) };
        let left = |changes: &[Change], writes: &[(NumberId, Time)]| {
            of_others(changes.to_vec(), writes.to_vec(), &roster).iter().map(|c| (c.number.0, c.at)).collect::<Vec<_>>()
        };
        let writes = [(ids[0], at(0))];
        assert_eq!(left(&[change(0, 1)], &writes), []);
        assert_eq!(left(&[change(1, 1)], &writes), [(1, at(1))], "of another number");
        assert_eq!(left(&[change(0, 1), change(0, 5)], &writes), [(0, at(5))], "one write, two changes");
        assert_eq!(left(&[change(0, 600)], &writes), [(0, at(600))], "long after");
        assert_eq!(left(&[change(0, -600)], &writes), [(0, at(-600))], "long before");
        assert_eq!(left(&[change(0, 1), change(0, 41)], &[(ids[0], at(40)), (ids[0], at(0))]), []);
    }
}
