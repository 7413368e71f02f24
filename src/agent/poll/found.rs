//! What one walk through a log has found: what is news, and whether enough of it could be understood to call it read.

use std::collections::HashMap;

use super::log::{Item, TwilioLog};
use super::{DAY, Known, PollError, Poller, Reach, digest};
use crate::core::model::bounds;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::metrics::RowResult;
use crate::twilio::LogEntry;
use crate::twilio::wire::{BadRow, Listed, WireRow};

/// A log of whose rows this share cannot be understood is not read: what the detector finds with certainty is about so
/// many callers who fail.
const UNREADABLE: f64 = 0.2;

/// So few are set aside one by one, and said; of few rows one is always a large share.
const UNREADABLE_FEW: usize = 2;

/// What one walk has found so far.
pub(super) struct FoundEntries<G: TwilioLog + ?Sized> {
    pub(super) fresh: Vec<(Time, Item<G>)>,
    pub(super) known: HashMap<u128, Known>,
    /// When the newest entry happened.
    pub(super) newest: Option<Time>,
    /// The same of entries that are none of ours.
    pub(super) others: Option<Time>,
    pub(super) counts: [usize; RowResult::ALL.len()],
    /// The first of the rows that could not be understood.
    pub(super) bad: Vec<BadRow>,
    /// The walk is past the overlap, which every walk but a quick one has to read.
    pub(super) is_past_overlap: bool,
    /// A walk broke off beyond the overlap.
    pub(super) is_cut_short: bool,
    /// Rows of our numbers within the overlap.
    pub(super) ours: usize,
    /// Rows within it that may be of our numbers, and cannot be understood.
    pub(super) unreadable: usize,
    /// What may answer somebody of whom this walk has not seen yet that they wrote: lists are newest first.
    pub(super) perhaps: Vec<Item<G>>,
    /// All that there is has been seen.
    pub(super) is_walked: bool,
    /// When calls of our numbers began that were over before there was an agent.
    pub(super) before: Vec<Time>,
    /// What comes now is shown by a list, and not fetched by its SID.
    pub(super) is_listing: bool,
    /// Back to here every list was walked through.
    pub(super) walked_to: Time,
}

impl<G: TwilioLog + ?Sized> FoundEntries<G> {
    pub(super) fn new() -> FoundEntries<G> {
        FoundEntries {
            fresh: Vec::new(),
            known: HashMap::new(),
            newest: None,
            others: None,
            counts: [0; RowResult::ALL.len()],
            bad: Vec::new(),
            is_past_overlap: false,
            is_cut_short: false,
            ours: 0,
            unreadable: 0,
            perhaps: Vec::new(),
            is_walked: false,
            before: Vec::new(),
            is_listing: false,
            walked_to: Time::EPOCH,
        }
    }

    /// Fails if too little of what came could be understood to say that the log was read.
    pub(super) fn check(&self) -> Result<(), PollError> {
        let of = self.ours + self.unreadable;
        match self.bad.iter().find(|row| !row.is_of_others) {
            Some(example) if self.unreadable > UNREADABLE_FEW && self.unreadable as f64 >= UNREADABLE * of as f64 => {
                Err(PollError::Unreadable { bad: self.unreadable, of, example: Box::new(example.clone()) })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl<G: TwilioLog> Poller<G> {
    /// Tells what a row is: new, changed, known, not ours, or not to be understood.
    pub(super) fn sort(
        &self,
        row: Result<WireRow<Item<G>>, BadRow>,
        now: Time,
        reach: Reach,
        found: &mut FoundEntries<G>,
    ) {
        // Alerts are asked for to the second, calls by the day, whose zone is not documented. Texts that were planned
        // days ago are of the day on which they were written down.
        let is_asked = |at: Time| match G::SOURCE {
            Source::Alerts => at >= reach.from,
            Source::Calls => at + DAY >= reach.from,
            Source::Messages | Source::Numbers | Source::Services => true,
        };
        let is_asked = |at: Time| !found.is_listing || is_asked(at);
        let row = match row {
            Ok(WireRow::Ours(item)) => match <G::Listed as Listed>::time(&item) {
                Some(at) if !is_asked(at) => Err(BadRow::not_asked_for(at, reach.from)),
                Some(_) | None => Ok(WireRow::Ours(item)),
            },
            row => row,
        };
        let result = match row {
            Ok(WireRow::NotOurs(at)) => {
                found.others = found.others.max(at);
                RowResult::Foreign
            }
            Ok(WireRow::Ours(item))
                if !found.is_walked && found.perhaps.len() < bounds::WALK_ANSWERS && self.is_foreign(&item) =>
            {
                found.perhaps.push(item);
                return;
            }
            Ok(WireRow::Ours(item)) if self.is_foreign(&item) => RowResult::Foreign,
            Err(bad) => {
                let is_recent = bad.at.map_or(!found.is_past_overlap, |at| at >= reach.overlap);
                found.unreadable += usize::from(is_recent && !bad.is_of_others);
                let is_first = found.bad.iter().all(|shown| shown.is_of_others) && !bad.is_of_others;
                if found.bad.len() < bounds::BAD_ROWS {
                    found.bad.push(bad);
                } else if is_first {
                    found.bad[0] = bad;
                }
                RowResult::Bad
            }
            Ok(WireRow::Ours(item)) => {
                let sid = item.sid();
                let at = <G::Listed as Listed>::time(&item).unwrap_or(now);
                let open = G::is_open(&item).then_some(now);
                let was_listed = self.known.get(&sid).is_some_and(|k| k.is_listed);
                let is_listed = found.is_listing || was_listed;
                let known = Known { digest: digest(&item), at, open, is_before_us: false, is_listed };
                // An answer of another number's is ours once its question was asked: that it is new says nothing.
                let is_answer = G::may_answer(&item, &|number| self.is_ours(number)).is_some();
                let began = if is_answer { reach.horizon } else { reach.looked_through };
                found.newest = found.newest.max(Some(at));
                found.ours += usize::from(at >= reach.overlap);
                match found.known.get(&sid).or_else(|| self.known.get(&sid)) {
                    Some(before) if before.digest == known.digest => {
                        found.known.insert(sid, known);
                        RowResult::Known
                    }
                    Some(before) if before.is_before_us => {
                        found.known.insert(sid, Known { at, is_listed, ..*before });
                        RowResult::Known
                    }
                    None if at < reach.floor => RowResult::Known,
                    None if at < began && open.is_none() => {
                        found.known.insert(sid, Known { is_before_us: true, ..known });
                        if G::SOURCE == Source::Calls && G::is_of_ours(&item, &|number| self.is_ours(number)) {
                            found.before.push(at);
                        }
                        RowResult::Known
                    }
                    before => {
                        let result = if before.is_some() { RowResult::Changed } else { RowResult::New };
                        found.known.insert(sid, known);
                        found.fresh.push((now, item));
                        result
                    }
                }
            }
        };
        found.counts[result as usize] += 1;
    }
}
