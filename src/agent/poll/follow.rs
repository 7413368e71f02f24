//! Entries that are looked at one by one, by their SIDs: calls that are still up, calls that alerts name.
//!
//! Each fetch is a task of its own. One that hangs or fails costs its own entry, and neither the others nor the list
//! that was read: a poll waits a moment for what it asked, and what comes later is the next one's.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::task::{Id, JoinError};

use super::log::{FetchedRows, TwilioLog};
use super::{Depth, FoundEntries, Known, Poller, Reach};
use crate::clock::Clock;
use crate::core::model::time::Time;
use crate::twilio::ErrorKind;
use crate::twilio::wire::WireRow;

/// Entries to be fetched in one poll, of calls that are still up and of calls that alerts name alike; the others wait
/// for the next.
const FETCHES: usize = 20;

/// Fetches at the same time. Should all of them hang, requests of other kinds find a place.
const AT_ONCE: usize = 4;

/// How long a poll waits for what it fetches.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls named by alerts that may wait to be fetched. Beyond that the list has to show them.
const MOST_NAMED: usize = 1000;

/// What became of a fetch.
type Answered<G> = Result<(Id, FetchedRows<G>), JoinError>;

impl<G: TwilioLog> Poller<G> {
    /// Takes in what earlier polls asked for and has come since. To be called before the lists are read, which are
    /// newer.
    pub(super) fn take_fetched(&mut self, now: Time, reach: Reach, found: &mut FoundEntries<G>) {
        while let Some(answered) = self.fetching.try_join_next_with_id() {
            self.take(answered, now, reach, found);
        }
    }

    /// Fetches what the walk did not show, and takes in what comes soon. What hangs since an earlier poll is not waited
    /// for.
    pub(super) async fn follow(&mut self, depth: Depth, reach: Reach, found: &mut FoundEntries<G>) {
        let clock = self.shared.clock.clone();
        let until = clock.now() + PATIENCE;
        let mut unseen = self.unseen(depth, found);
        let mut asked: HashSet<Id> = HashSet::new();
        loop {
            while self.fetching.len() < AT_ONCE
                && let Some(sid) = unseen.pop_front()
            {
                asked.extend(self.fetch(&clock, sid));
            }
            if asked.is_empty() {
                return;
            }
            match clock.wait(Some(until), self.fetching.join_next_with_id()).await {
                Some(Some(answered)) => {
                    asked.remove(&id(&answered));
                    self.take(answered, clock.now(), reach, found);
                }
                Some(None) | None => return,
            }
        }
    }

    /// What is to be fetched, those first that nobody has looked at for longest.
    fn unseen(&mut self, depth: Depth, found: &FoundEntries<G>) -> VecDeque<u128> {
        while let Ok(sid) = self.wanted.try_recv() {
            let sid = sid.as_u128();
            if self.named.len() < MOST_NAMED && !self.named.contains(&sid) {
                self.named.push_back(sid);
            }
        }
        self.named.retain(|sid| !self.known.contains_key(sid) && !found.known.contains_key(sid));
        let is_idle = |sid: &u128| !self.under_way.values().any(|fetched| fetched == sid);
        let mut sids: VecDeque<u128> = self.named.iter().copied().filter(is_idle).take(FETCHES).collect();
        if depth >= Depth::Full {
            let is_unseen = |sid: &u128| !found.known.contains_key(sid) && is_idle(sid);
            let open = self.known.iter().filter_map(|(sid, k)| Some((k.open?, *sid)));
            let mut open: Vec<(Time, u128)> = open.filter(|(_, sid)| is_unseen(sid)).collect();
            open.sort_unstable();
            sids.extend(open.into_iter().map(|(_, sid)| sid).take(FETCHES));
        }
        sids
    }

    fn fetch(&mut self, clock: &Clock, sid: u128) -> Option<Id> {
        let task = clock.spawn(&mut self.fetching, G::fetch(&self.shared.client, sid)?).id();
        self.under_way.insert(task, sid);
        self.look_later(sid, clock.now());
        Some(task)
    }

    fn take(&mut self, answered: Answered<G>, now: Time, reach: Reach, found: &mut FoundEntries<G>) {
        let Some(sid) = self.under_way.remove(&id(&answered)) else { return };
        // The list has shown it since.
        if found.known.contains_key(&sid) {
            return;
        }
        match answered {
            Ok((_, Ok(Ok(WireRow::NotOurs(_))))) => forget(sid, now, found),
            Ok((_, Ok(row))) => self.sort(row, now, reach, found),
            Ok((_, Err(error))) if error.kind == ErrorKind::NotFound => forget(sid, now, found),
            // It waits for a later poll, behind the others.
            Ok((_, Err(error))) => tracing::debug!(source = G::SOURCE.label(), %error, "cannot fetch an entry"),
            Err(broken) => tracing::error!(source = G::SOURCE.label(), %broken, "the task that fetched an entry broke"),
        }
    }

    /// Lets the other entries that are to be fetched come before this one.
    fn look_later(&mut self, sid: u128, now: Time) {
        if let Some(open) = self.known.get_mut(&sid).and_then(|k| k.open.as_mut()) {
            *open = now;
        }
        if let Some(i) = self.named.iter().position(|named| *named == sid) {
            self.named.remove(i);
            self.named.push_back(sid);
        }
    }
}

fn id<T>(answered: &Result<(Id, T), JoinError>) -> Id {
    answered.as_ref().map_or_else(JoinError::id, |(task, _)| *task)
}

/// An entry that is not ours, or gone, is remembered so that nobody asks again.
fn forget<G: TwilioLog>(sid: u128, now: Time, found: &mut FoundEntries<G>) {
    found.known.insert(sid, Known { digest: 0, at: now, open: None, is_before_us: false, is_listed: false });
}
