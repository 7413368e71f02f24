//! How many requests may be in flight: found out, since Twilio does not say.
//!
//! Twilio limits requests at the same time, not requests a second, and answers 429 with code 20429
//! beyond a ceiling that it publishes nowhere. The account's other software shares that ceiling. So
//! we start low, add one for each round of answers, halve on a 429, and afterwards climb back to
//! just below where it hurt, going beyond only now and then. However many requests come at once, the
//! others wait their turn here and not in Twilio's face.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::core::model::time::Time;

/// What Ringback starts with: what its polls need, and little enough for any account.
const START: f64 = 4.0;

/// How long the last ceiling is believed before it is tried again.
const CEILING_HOLDS: Duration = Duration::from_secs(30);

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
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// A place among the requests in flight, given back when dropped.
pub struct Permit<'a> {
    limit: &'a Limit,
    halvings: u64,
}

impl Limit {
    pub fn new(clock: Clock, most: usize) -> Limit {
        let most = most.max(1) as f64;
        let state =
            State { limit: START.min(most), in_flight: 0, ceiling: None, halvings: 0, waiting: VecDeque::new() };
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

    /// Waits for a place, first come, first served.
    pub async fn acquire(&self) -> Permit<'_> {
        loop {
            let turn = {
                let mut s = self.lock();
                if s.in_flight < s.limit as usize {
                    s.in_flight += 1;
                    return Permit { limit: self, halvings: s.halvings };
                }
                let (tx, rx) = oneshot::channel();
                s.waiting.push_back(tx);
                rx
            };
            let mut place = Place { limit: self, is_called: false };
            // An error means that the sender is gone: look again in either case.
            let _ = self.clock.wait(None, turn).await;
            place.is_called = true;
        }
    }

    fn wake(s: &mut State) {
        let mut free = (s.limit as usize).saturating_sub(s.in_flight);
        while free > 0 {
            let Some(next) = s.waiting.pop_front() else {
                break;
            };
            free -= usize::from(next.send(()).is_ok());
        }
    }
}

/// A place in the queue. Whoever leaves it unserved lets the next one look.
struct Place<'a> {
    limit: &'a Limit,
    is_called: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_called {
            Limit::wake(&mut self.limit.lock());
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
            let grown = (s.limit + 1.0 / s.limit).min(self.limit.most);
            s.limit = match s.ceiling {
                Some((ceiling, at)) if now < at + CEILING_HOLDS => grown.min(ceiling - 1.0).max(s.limit),
                _ => grown,
            };
        }
        Limit::wake(&mut s);
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
        Limit::wake(&mut s);
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
                        let permit = limit.acquire().await;
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
        assert!(seconds < 6.5, "{seconds} s");
        assert!(refused <= 10, "{refused} of 1000 met a 429");
    }

    #[test]
    fn it_never_exceeds_what_it_was_told() {
        assert_eq!(send(100, 5, 5).1, 0);
    }

    #[test]
    fn even_one_at_a_time_gets_through() {
        let (_, refused) = send(50, 1, 64);
        assert!(refused < 25, "{refused}");
    }
}
