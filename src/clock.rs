//! The one place where time is read and waited for.
//!
//! There are two clocks. The **system** clock is the machine's, waits on tokio's timers, and is
//! what `run` uses. Whoever sets the machine's clock does not move it: ages would shrink, and what has not been
//! read for hours would seem fresh, or all of it stale. Only where Twilio's clock agrees with the machine's, and not
//! with this one, is it corrected ([`Clock::correct`]). The **virtual** clock stands still while anybody works and
//! jumps to the next deadline when everybody waits, so a port day plays in seconds, a slow machine only takes longer,
//! and the same seed gives the same day to the millisecond. `demo`, the tests and the simulator use
//! it, with the same agent code on top.
//!
//! How the virtual clock knows that everybody waits: tasks that drive the day are *participants*
//! ([`Clock::enter`], [`Clock::spawn`]). A participant is awake until it waits through this clock:
//! [`Clock::sleep`] and [`Clock::wait`] put it to rest, [`Clock::timeout`] does not, since the work
//! in it is under way. Deadlines are met one at a time, each sleeper running until it rests again,
//! which is what makes the order of events reproducible. A simulator that delays an answer sleeps
//! on the same clock and thereby rests in the place of the client that waits for it.
//!
//! Promises: time never goes backwards but when it is corrected; virtual time never moves while a participant is
//! awake; a loop that waits for a time that has passed panics instead of hanging. Requires: the runtime is
//! tokio's current-thread one, and participants wait for each other
//! only through [`Clock::wait`].

#![allow(clippy::disallowed_methods)] // This is the place that the ban points to.

mod steady;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::core::model::bounds;
use crate::core::model::time::Time;
use steady::{SYSTEM, machines, running};

/// Tells the time and waits. Cheap to clone; clones share one time.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    System,
    Virtual(Arc<Virtual>),
}

struct Virtual {
    state: Mutex<State>,
    /// Something may have come to rest: the driver looks again.
    changed: Notify,
}

struct State {
    now: Time,
    /// Participants that are not resting. Below zero when a simulator rests for a stranger.
    awake: i64,
    /// Who waits until when, in the order in which they will be woken.
    sleepers: BTreeMap<(Time, u64), Waker>,
    next_id: u64,
    /// Rises with everything that happens, so that the driver can tell when nothing does.
    epoch: u64,
    /// Waits that began when their deadline had passed, since `idle_at`.
    idle: u32,
    idle_at: Time,
}

/// The deadline came before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {0:?}")]
pub struct TimedOut(pub Duration);

/// How fast virtual time may run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as the machine can.
    Free,
    /// At most this many virtual seconds in one real second.
    Times(f64),
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Clock {
        Clock(Kind::System)
    }

    /// A clock that starts at `start` and moves only inside [`Clock::drive`].
    pub fn virtual_at(start: Time) -> Clock {
        Clock(Kind::Virtual(Arc::new(Virtual {
            state: Mutex::new(State {
                now: start,
                awake: 0,
                sleepers: BTreeMap::new(),
                next_id: 0,
                epoch: 0,
                idle: 0,
                idle_at: start,
            }),
            changed: Notify::new(),
        })))
    }

    pub fn now(&self) -> Time {
        match &self.0 {
            Kind::System => SYSTEM.now(running()),
            Kind::Virtual(v) => v.lock().now,
        }
    }

    /// Takes the machine's time anew if it is within `within` of `theirs`, a clock that is known to be right, from
    /// which this one has come away: the machine's was wrong in the beginning, or stood still. True if it does.
    pub fn correct(&self, theirs: Time, within: Duration) -> bool {
        match &self.0 {
            Kind::System => SYSTEM.correct(machines(), running(), theirs, within),
            Kind::Virtual(_) => false,
        }
    }

    /// Time that only goes forward, from some instant on: what was measured with it stays true when the time is
    /// corrected.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Kind::System => Duration::from_millis(u64::try_from(running()).unwrap_or(0)),
            Kind::Virtual(v) => v.lock().now.since(Time::EPOCH),
        }
    }

    /// Makes the caller a participant until the guard is dropped.
    pub fn enter(&self) -> Awake {
        if let Kind::Virtual(v) = &self.0 {
            v.change(|s| s.awake += 1);
        }
        Awake(self.clone())
    }

    /// Spawns a participant. It counts as awake from this call on, not from its first poll.
    pub fn spawn<T: Send + 'static>(
        &self,
        tasks: &mut JoinSet<T>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::AbortHandle {
        let awake = self.enter();
        tasks.spawn(async move {
            let _awake = awake;
            task.await
        })
    }

    pub async fn sleep(&self, d: Duration) {
        self.sleep_until(self.now() + d).await;
    }

    pub async fn sleep_until(&self, deadline: Time) {
        self.wait(Some(deadline), std::future::pending::<()>()).await;
    }

    /// Rests until `event` is there, `None` if `deadline` comes first.
    ///
    /// For events that other tasks bring about: a message, a permit, a cancellation.
    pub async fn wait<F: Future>(&self, deadline: Option<Time>, event: F) -> Option<F::Output> {
        match &self.0 {
            Kind::System => match deadline {
                None => Some(event.await),
                Some(d) => tokio::time::timeout(d.since(self.now()), event).await.ok(),
            },
            Kind::Virtual(v) => {
                Wait { clock: v, deadline, event: pin!(event), resting: true, id: None, parked: false }.await
            }
        }
    }

    /// Does `work`, giving up after `limit`. For work that is under way, such as an HTTP request.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, TimedOut> {
        match &self.0 {
            Kind::System => tokio::time::timeout(limit, work).await.map_err(|_| TimedOut(limit)),
            Kind::Virtual(v) => {
                let deadline = Some(v.lock().now + limit);
                Wait { clock: v, deadline, event: pin!(work), resting: false, id: None, parked: false }
                    .await
                    .ok_or(TimedOut(limit))
            }
        }
    }

    /// Does work on so many bytes; if they are many, where no other task waits for this thread.
    pub fn apart<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        // Virtual time has one thread, on which everybody waits for everybody.
        let has_others =
            || Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        match &self.0 {
            Kind::System if bytes > bounds::LARGE_ANSWER && has_others() => tokio::task::block_in_place(work),
            Kind::System | Kind::Virtual(_) => work(),
        }
    }

    /// Runs `main` as a participant and moves virtual time for it and for everything it spawned.
    /// On the system clock this is `main` and nothing else.
    pub async fn drive<F: Future>(&self, pace: Pace, main: F) -> F::Output {
        let Kind::Virtual(v) = &self.0 else {
            return main.await;
        };
        let awake = self.enter();
        let main = async move {
            let _awake = awake;
            main.await
        };
        tokio::select! {
            biased;
            out = main => out,
            () = v.drive(pace) => unreachable!("the driver never ends by itself"),
        }
    }
}

/// While this lives, its holder counts as awake.
pub struct Awake(Clock);

impl Drop for Awake {
    fn drop(&mut self) {
        if let Kind::Virtual(v) = &self.0.0 {
            v.change(|s| s.awake -= 1);
        }
    }
}

/// Waits that end at once, all at one instant, after which somebody is taken to loop without end: on the
/// machine's clock that would only cost a processor, here time would never move again.
const IDLE_WAITS: u32 = 1_000_000;

/// Turns of the scheduler without any event after which nothing more is taken to be under way.
/// One would do but for data on its way through the loopback device.
const SETTLE_TURNS: u32 = 12;

impl Virtual {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain counters, valid after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let out = {
            let mut s = self.lock();
            s.epoch += 1;
            f(&mut s)
        };
        self.changed.notify_one();
        out
    }

    async fn drive(&self, pace: Pace) {
        let anchor = (tokio::time::Instant::now(), self.lock().now);
        'next: loop {
            while self.lock().awake > 0 {
                self.changed.notified().await;
            }
            let mut epoch = self.lock().epoch;
            let mut quiet = 0;
            while quiet < SETTLE_TURNS {
                tokio::task::yield_now().await;
                let s = self.lock();
                if s.awake > 0 {
                    continue 'next;
                }
                quiet = if s.epoch == epoch { quiet + 1 } else { 0 };
                epoch = s.epoch;
            }
            let due = self.lock().sleepers.first_key_value().map(|((t, _), _)| *t);
            let Some(due) = due else {
                self.changed.notified().await;
                continue;
            };
            if let Pace::Times(speed) = pace {
                let real = anchor.0 + due.since(anchor.1).div_f64(speed.max(1e-9));
                if real > tokio::time::Instant::now() {
                    tokio::select! {
                        () = tokio::time::sleep_until(real) => {}
                        () = self.changed.notified() => continue 'next,
                    }
                }
            }
            let mut s = self.lock();
            if let Some(((t, _), waker)) = s.sleepers.pop_first() {
                s.now = s.now.max(t);
                s.epoch += 1;
                // The one woken is awake from here on, not from when it is next polled; work that
                // timed out is counted until it has noticed.
                s.awake += 1;
                drop(s);
                waker.wake();
            }
        }
    }
}

impl State {
    /// Counts a wait whose deadline has passed.
    ///
    /// # Panics
    /// If there have been so many at this instant that somebody loops.
    fn waits_for_nothing(&mut self) {
        if self.idle_at != self.now {
            (self.idle, self.idle_at) = (0, self.now);
        }
        self.idle += 1;
        assert!(self.idle < IDLE_WAITS, "a busy loop: {IDLE_WAITS} waits for a time that has passed, at {}", self.now);
    }
}

/// Waits for `event` or `deadline`, resting meanwhile or not.
struct Wait<'a, F> {
    clock: &'a Virtual,
    deadline: Option<Time>,
    event: Pin<&'a mut F>,
    resting: bool,
    /// Our entry among the sleepers, while there is one.
    id: Option<(Time, u64)>,
    /// We have taken ourselves out of `awake`.
    parked: bool,
}

impl<F> Wait<'_, F> {
    /// True if the deadline was met since we registered.
    fn fired(&self, s: &State) -> bool {
        self.id.is_some_and(|id| !s.sleepers.contains_key(&id))
    }

    /// Leaves the clock as if we had never waited, except for the time that has passed.
    fn leave(&mut self) -> bool {
        let clock = self.clock;
        clock.change(|s| {
            let fired = self.fired(s);
            if let Some(id) = self.id.take() {
                s.sleepers.remove(&id);
            }
            match (fired, self.parked) {
                // The driver has counted us awake already.
                (true, true) | (false, false) => {}
                (true, false) => s.awake -= 1,
                (false, true) => s.awake += 1,
            }
            self.parked = false;
            fired
        })
    }
}

impl<F: Future> Future for Wait<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(out) = this.event.as_mut().poll(cx) {
            this.leave();
            return Poll::Ready(Some(out));
        }
        let clock = this.clock;
        let fired = {
            let mut s = clock.lock();
            let is_past = this.id.is_none() && this.deadline.is_some_and(|d| d <= s.now);
            if is_past && this.resting {
                s.waits_for_nothing();
            }
            let fired = is_past || this.fired(&s);
            if let (Some(deadline), false) = (this.deadline, fired) {
                let id = *this.id.get_or_insert_with(|| {
                    s.next_id += 1;
                    (deadline, s.next_id)
                });
                s.sleepers.insert(id, cx.waker().clone());
            }
            fired
        };
        // Being polled again is no event; going to rest is.
        if !fired && this.resting && !this.parked {
            this.parked = true;
            clock.change(|s| s.awake -= 1);
        }
        if fired {
            this.leave();
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        if self.id.is_some() || self.parked {
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Runs `main` on the kind of runtime that virtual time asks for.
    fn run<F: Future>(clock: &Clock, main: F) -> F::Output {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(clock.drive(Pace::Free, main))
    }

    #[test]
    fn a_day_passes_in_an_instant_and_in_order() {
        let clock = Clock::virtual_at(Time::EPOCH);
        let (tx, mut rx) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let log = run(&clock, async {
            for (name, every) in [("a", 7200), ("b", 10800)] {
                let (clock2, tx) = (clock.clone(), tx.clone());
                clock.spawn(&mut tasks, async move {
                    for _ in 0..3 {
                        clock2.sleep(s(every)).await;
                        tx.send((name, clock2.now().as_millis() / 3_600_000)).unwrap();
                    }
                });
            }
            clock.sleep(s(86_400)).await;
            let mut log = Vec::new();
            while let Ok(x) = rx.try_recv() {
                log.push(x);
            }
            log
        });
        assert_eq!(log, [("a", 2), ("b", 3), ("a", 4), ("b", 6), ("a", 6), ("b", 9)]);
        assert_eq!(clock.now(), Time::from_secs(86_400));
    }

    #[test]
    fn time_stands_still_while_anybody_works() {
        let clock = Clock::virtual_at(Time::EPOCH);
        run(&clock, async {
            let mut tasks = JoinSet::new();
            let other = clock.clone();
            clock.spawn(&mut tasks, async move { other.sleep(s(60)).await });
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(clock.now(), Time::EPOCH);
        });
    }

    #[test]
    #[should_panic(expected = "a busy loop")]
    fn a_loop_that_waits_for_a_time_that_has_passed_ends_in_a_panic() {
        let clock = Clock::virtual_at(Time::from_secs(60));
        run(&clock, async {
            loop {
                clock.wait(Some(Time::EPOCH), std::future::pending::<()>()).await;
            }
        });
    }

    #[test]
    fn work_is_cut_off_when_the_other_side_rests_too_long() {
        let clock = Clock::virtual_at(Time::EPOCH);
        run(&clock, async {
            // The inner sleep stands for a server's delay on behalf of this very request.
            let slow = clock.timeout(s(10), clock.sleep(s(60))).await;
            assert_eq!(slow, Err(TimedOut(s(10))));
            assert_eq!(clock.now(), Time::from_secs(10));
            assert_eq!(clock.timeout(s(10), clock.sleep(s(3))).await, Ok(()));
            assert_eq!(clock.now(), Time::from_secs(13));
        });
    }

    #[test]
    fn a_wait_ends_with_its_event_or_its_deadline() {
        let clock = Clock::virtual_at(Time::EPOCH);
        run(&clock, async {
            let (tx, mut rx) = mpsc::channel(1);
            let mut tasks = JoinSet::new();
            let other = clock.clone();
            clock.spawn(&mut tasks, async move {
                other.sleep(s(5)).await;
                tx.send("hello").await.unwrap();
                other.sleep(s(100)).await;
                drop(tx);
            });
            assert_eq!(clock.wait(Some(clock.now() + s(9)), rx.recv()).await, Some(Some("hello")));
            assert_eq!(clock.now(), Time::from_secs(5));
            assert_eq!(clock.wait(Some(clock.now() + s(9)), rx.recv()).await, None);
            assert_eq!(clock.now(), Time::from_secs(14));
            assert_eq!(clock.wait(None, rx.recv()).await, Some(None));
            assert_eq!(clock.now(), Time::from_secs(105));
        });
    }
}
