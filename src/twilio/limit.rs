//! How many requests may be in flight: found out, since Twilio does not say.
//!
//! Twilio limits requests at the same time, not requests a second, and answers 429 with code 20429
//! beyond a ceiling that it publishes nowhere. The account's other software shares that ceiling. So
//! we start low, double with each round of answers up to what most accounts bear, add one a round from there
//! on, halve on a 429, and afterwards climb back, again doubling, to just below where it hurt, going beyond
//! only now and then. However many requests come at once, the others wait their turn here and not in Twilio's
//! face.
//!
//! A place that becomes free is handed to whoever has waited longest: nobody who comes later can take it. Writes
//! have a queue of their own, which goes first: a rollback does not wait behind polls and test calls. Of every so many
//! places one goes to those all the same: an agent that cannot look while it writes is blind soon, and has to stop.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::core::model::time::Time;

/// What Ringback starts with: what its polls need, and little enough for any account.
const START: f64 = 4.0;

/// Up to here the limit doubles with each round of answers as long as no ceiling is known: should it be beyond
/// the ceiling at once, few requests are refused.
const DOUBLES_UP_TO: f64 = 16.0;

/// How long the last ceiling is believed before it is tried again.
const CEILING_HOLDS: Duration = Duration::from_secs(30);

/// So many places in a row go to writes while others wait too.
const WRITES_IN_A_ROW: u32 = 7;

pub struct Limit {
    clock: Clock,
    /// Never more than this, whatever Twilio bears.
    most: f64,
    state: Mutex<State>,
}

struct State {
    limit: f64,
    in_flight: usize,
    /// Where the last 429 came from, and when.
    ceiling: Option<(f64, Time)>,
    /// Rises with each halving, so that the 429s of one burst halve once.
    halvings: u64,
    /// By precedence. Each is sent the count of halvings at which it was given its place.
    waiting: [VecDeque<oneshot::Sender<u64>>; 2],
    /// Places that were handed to writes since one was to somebody else.
    writes: u32,
}

/// Who goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precedence {
    /// A rollback's or a restore's writes, and the reads that belong to them.
    Write,
    /// Polls, test calls and whatever else can wait.
    #[default]
    Other,
}

impl Precedence {
    const fn index(self) -> usize {
        match self {
            Precedence::Write => 0,
            Precedence::Other => 1,
        }
    }
}

/// A place among the requests in flight, given back when dropped.
pub struct Permit<'a> {
    limit: &'a Limit,
    halvings: u64,
}

impl Limit {
    pub fn new(clock: Clock, most: usize) -> Limit {
        let most = most.max(1) as f64;
        let state = State {
            limit: START.min(most),
            in_flight: 0,
            ceiling: None,
            halvings: 0,
            waiting: Default::default(),
            writes: 0,
        };
        Limit { clock, most, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters only: valid after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that may be in flight now.
    pub fn current(&self) -> usize {
        self.lock().limit as usize
    }

    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Waits for a place: first come, first served, among those of the same precedence.
    pub async fn acquire(&self, precedence: Precedence) -> Permit<'_> {
        let turn = {
            let mut s = self.lock();
            // Whoever waits has been given every place that is free.
            if s.in_flight < s.limit as usize {
                s.in_flight += 1;
                return Permit { limit: self, halvings: s.halvings };
            }
            let (tx, rx) = oneshot::channel();
            s.waiting[precedence.index()].push_back(tx);
            rx
        };
        let mut place = Place { limit: self, turn, is_taken: false };
        let halvings = self.clock.wait(None, &mut place.turn).await;
        place.is_taken = true;
        // The sender is in the queue until it is used, and the queue lives as long as we do.
        Permit { limit: self, halvings: halvings.and_then(Result::ok).unwrap_or_default() }
    }

    /// Hands what is free to those who wait.
    fn hand_over(s: &mut State) {
        while s.in_flight < s.limit as usize {
            let is_others_turn = s.writes >= WRITES_IN_A_ROW && !s.waiting[Precedence::Other.index()].is_empty();
            let queues = if is_others_turn {
                [Precedence::Other, Precedence::Write]
            } else {
                [Precedence::Write, Precedence::Other]
            };
            let next = queues.into_iter().find_map(|p| Some((p, s.waiting[p.index()].pop_front()?)));
            let Some((precedence, next)) = next else { break };
            s.writes = if precedence == Precedence::Write { s.writes.saturating_add(1) } else { 0 };
            // Whoever has gone away takes no place.
            s.in_flight += usize::from(next.send(s.halvings).is_ok());
        }
    }
}

/// A place in the queue. Whoever leaves it with a permit that was never used gives that back.
struct Place<'a> {
    limit: &'a Limit,
    turn: oneshot::Receiver<u64>,
    is_taken: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.is_taken {
            return;
        }
        let mut s = self.limit.lock();
        self.turn.close();
        if self.turn.try_recv().is_ok() {
            s.in_flight -= 1;
            Limit::hand_over(&mut s);
        }
    }
}

impl Permit<'_> {
    /// The request was processed: there may be room for more.
    pub fn went_well(&self) {
        let now = self.limit.clock.now();
        let mut s = self.limit.lock();
        // Growing while the limit is not even used would say nothing about what Twilio bears.
        if s.in_flight + 1 >= s.limit as usize {
            let known = s.ceiling.filter(|(_, at)| now < *at + CEILING_HOLDS).map(|(ceiling, _)| ceiling - 1.0);
            let most = known.unwrap_or(f64::INFINITY).min(self.limit.most).max(s.limit);
            // Each answer adds one, which doubles within a round; or all of a round's together do.
            let step = if s.limit < known.unwrap_or(DOUBLES_UP_TO) { 1.0 } else { 1.0 / s.limit };
            s.limit = (s.limit + step).min(most);
        }
        Limit::hand_over(&mut s);
    }

    /// Twilio had too many at once.
    pub fn was_too_many(&self) {
        let now = self.limit.clock.now();
        let mut s = self.limit.lock();
        if s.halvings == self.halvings {
            s.ceiling = Some((s.limit.floor().max(2.0), now));
            s.limit = (s.limit / 2.0).max(1.0);
            s.halvings += 1;
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut s = self.limit.lock();
        s.in_flight -= 1;
        Limit::hand_over(&mut s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Pace;
    use std::cell::Cell;
    use tokio::task::JoinSet;

    /// Sends `count` requests of 100 ms to a server that bears `hidden` at once. Returns the
    /// seconds it took and the number of 429s.
    fn send(count: usize, hidden: usize, most: usize) -> (f64, usize) {
        let clock = Clock::virtual_at(Time::EPOCH);
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(clock.drive(Pace::Free, async {
            let limit = std::sync::Arc::new(Limit::new(clock.clone(), most));
            let busy = std::sync::Arc::new(Mutex::new((0usize, 0usize)));
            let mut tasks = JoinSet::new();
            for _ in 0..count {
                let (clock2, limit, busy) = (clock.clone(), limit.clone(), busy.clone());
                clock.spawn(&mut tasks, async move {
                    loop {
                        let permit = limit.acquire(Precedence::Other).await;
                        let refused = {
                            let mut b = busy.lock().unwrap();
                            b.0 += 1;
                            b.1 += usize::from(b.0 > hidden);
                            b.0 > hidden
                        };
                        clock2.sleep(Duration::from_millis(if refused { 1 } else { 100 })).await;
                        busy.lock().unwrap().0 -= 1;
                        if !refused {
                            permit.went_well();
                            return;
                        }
                        permit.was_too_many();
                    }
                });
            }
            let done = Cell::new(0);
            while clock.wait(None, tasks.join_next()).await.flatten().is_some() {
                done.set(done.get() + 1);
            }
            assert_eq!(done.get(), count);
            let refused = busy.lock().unwrap().1;
            (clock.now().since(Time::EPOCH).as_secs_f64(), refused)
        }))
    }

    #[test]
    fn a_burst_finds_the_hidden_limit_and_stays_below_it() {
        let (seconds, refused) = send(1000, 20, 64);
        // Ideal: 1,000 requests of 0.1 s, 20 at once, 5 s.
        assert!(seconds < 5.5, "{seconds} s");
        // A round of answers at one instant, the worst case: each is replaced before the first 429 is known.
        assert!(refused < 20, "{refused} of 1000 met a 429");
    }

    #[test]
    fn it_never_exceeds_what_it_was_told() {
        assert_eq!(send(100, 5, 5).1, 0);
    }

    /// Lets `waits` come one after the other to a limit that is full, gives the one place back again and again,
    /// and says in which order they had it. Those of whom `leaves` is true go away before their turn.
    fn order(waits: &[(Precedence, bool)]) -> Vec<usize> {
        let clock = Clock::virtual_at(Time::EPOCH);
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(clock.drive(Pace::Free, async {
            let limit = std::sync::Arc::new(Limit::new(clock.clone(), 1));
            let served = std::sync::Arc::new(Mutex::new(Vec::new()));
            let first = limit.acquire(Precedence::Other).await;
            let mut tasks = JoinSet::new();
            for (i, (precedence, leaves)) in waits.iter().copied().enumerate() {
                let (own, limit, served) = (clock.clone(), limit.clone(), served.clone());
                clock.spawn(&mut tasks, async move {
                    own.sleep(Duration::from_millis(i as u64)).await;
                    let wait = limit.acquire(precedence);
                    // Gone before the place is given back.
                    let patience = if leaves { Duration::from_millis(500) } else { Duration::from_secs(100) };
                    if let Ok(_permit) = own.timeout(patience, wait).await {
                        served.lock().unwrap().push(i);
                        own.sleep(Duration::from_secs(1)).await;
                    }
                });
            }
            clock.sleep(Duration::from_secs(1)).await;
            drop(first);
            // A newcomer finds the place taken, though whoever has it has not yet been polled.
            assert_eq!(limit.in_flight(), 1);
            while clock.wait(None, tasks.join_next()).await.flatten().is_some() {}
            assert_eq!(limit.in_flight(), 0, "every place was given back");
            std::mem::take(&mut *served.lock().unwrap())
        }))
    }

    #[test]
    fn first_come_first_served_and_writes_before_all() {
        use Precedence::{Other, Write};
        let stays = |p| (p, false);
        assert_eq!(order(&[Other, Other, Other].map(stays)), [0, 1, 2]);
        assert_eq!(order(&[Other, Other, Write, Other, Write].map(stays)), [2, 4, 0, 1, 3]);
    }

    /// A rollback of thousands does not keep the agent from looking.
    #[test]
    fn of_so_many_places_one_is_not_for_writes() {
        let waits: Vec<_> =
            (0..18).map(|i| (if i < 2 { Precedence::Other } else { Precedence::Write }, false)).collect();
        assert_eq!(order(&waits), [2, 3, 4, 5, 6, 7, 8, 0, 9, 10, 11, 12, 13, 14, 15, 1, 16, 17]);
    }

    #[test]
    fn whoever_goes_away_keeps_no_place() {
        use Precedence::{Other, Write};
        assert_eq!(order(&[(Write, true), (Other, false), (Other, true), (Other, false)]), [1, 3]);
    }

    #[test]
    fn even_one_at_a_time_gets_through() {
        let (_, refused) = send(50, 1, 64);
        assert!(refused < 25, "{refused}");
    }
}
