//! A pretend Twilio: a seeded world of numbers, callers and webhooks behind Twilio-shaped HTTP.
//!
//! What for: tests and the demo play a whole port day against it, through the real client; strangers
//! may run it by itself. Why a world and not canned answers: a rollback must be seen to *help*, so what
//! callers meet has to follow from how the numbers are routed at that instant, and [`Truth`] has to know
//! what would have happened without help.
//!
//! How it is built: a [`Scenario`] is played event by event (`world`), each call from its own stream of
//! chance (`chance`, `traffic`), through Twilio's precedence (`number`) and the state of the webhooks
//! (`handler`) to rows and alerts (`voice`, `text`, `row`), which the lists show some time later (`log`,
//! `http`).
//!
//! Promises: the same seed is the same day, to the byte; the arrivals and the luck of each call do not
//! depend on what anyone did; time is the [`Clock`]'s, and a delay costs no real time on a virtual one.
//! It shares ids and instants with `core` and nothing with the client, so that a field misspelt there is
//! found here.
//!
//! Absent: MP3, XML, and whatever the agent never asks for.

mod audio;
pub(crate) mod chance;
mod fault;
mod handler;
mod http;
mod log;
mod number;
mod queue;
mod ring;
mod row;
mod scenario;
mod serve;
mod stats;
mod story;
mod text;
mod traffic;
mod truth;
mod voice;
mod world;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use fault::{ApiFault, ApiFaultKind, ApiFaultScope};
pub use http::route::EndpointClass;
pub use number::{SimEffect, Update};
pub use row::AuditActor;
pub use scenario::*;
pub use stats::Stats;
pub use story::{STORIES, Story};
pub use truth::{TimelineMark, Truth, TruthEntry, TruthTally};
pub use voice::SimSound;
pub use world::place::PlacedCall;

use crate::clock::Clock;
use crate::core::model::id::{E164, ServiceSid};
use crate::core::model::time::Time;
use world::World;

/// The simulator. Clones share one world.
#[derive(Clone)]
pub struct Sim(Arc<Inner>);

struct Inner {
    clock: Clock,
    is_moved_by_hand: bool,
    in_flight: AtomicUsize,
    state: Mutex<State>,
}

/// Everything behind the lock.
struct State {
    world: World,
    stats: Stats,
    /// How many requests there have been: the key of each one's luck.
    requests: u64,
}

impl Truth {
    /// The same day played to its end with nobody touching a number.
    pub fn without_help(scenario: &Scenario) -> Result<Truth, ScenarioError> {
        let start = scenario.start.unwrap_or(Time::EPOCH);
        let mut world = World::new(scenario.clone(), start)?;
        world.advance(start + scenario.lasts);
        Ok(world.truth())
    }
}

impl Sim {
    /// The world of `scenario` on `clock`. Offsets count from the scenario's start, or from now.
    pub fn new(scenario: Scenario, clock: Clock) -> Result<Sim, ScenarioError> {
        Sim::build(scenario, clock, false)
    }

    /// The same, and whoever asks may move the clock: for a simulator in a process of its own, on a
    /// virtual clock. Time then stands still between requests, but for what an answer takes:
    ///
    /// ```ignore
    /// clock.drive(Pace::Free, clock.wait(None, sim.serve(listener, stop))).await
    /// ```
    pub fn moved_by_hand(scenario: Scenario, clock: Clock) -> Result<Sim, ScenarioError> {
        Sim::build(scenario, clock, true)
    }

    fn build(scenario: Scenario, clock: Clock, is_moved_by_hand: bool) -> Result<Sim, ScenarioError> {
        let start = scenario.start.unwrap_or_else(|| clock.now());
        let world = World::new(scenario, start)?;
        let state = Mutex::new(State { world, stats: Stats::default(), requests: 0 });
        Ok(Sim(Arc::new(Inner { clock, is_moved_by_hand, in_flight: AtomicUsize::new(0), state })))
    }

    /// Twilio's hosts at one address, and the control API under `/_sim/`.
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// Serves until `stop`, then ends what is under way.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        serve::serve(self.router(), listener, stop).await;
    }

    /// The scenario that is played, with the start it was given.
    pub fn scenario(&self) -> Scenario {
        self.lock().world.scenario.clone()
    }

    /// What really happened so far.
    pub fn truth(&self) -> Truth {
        self.present().world.truth()
    }

    pub fn stats(&self) -> Stats {
        self.lock().stats.clone()
    }

    /// The calls that requests have made so far, each with when it was over.
    pub fn placed_calls(&self) -> Vec<(PlacedCall, Time)> {
        let state = self.present();
        let world = &state.world;
        let over = |sid: &u128| world.calls.get(*sid).map_or(Time::EPOCH, row::SimCall::end);
        world.outbound.calls.iter().map(|(sid, call)| (call.clone(), over(sid))).collect()
    }

    /// The full record of a number as Twilio would answer it now; `None` if it is not in the account.
    pub fn number(&self, number: E164) -> Option<Value> {
        let state = self.present();
        http::number_record(&state.world, number)
    }

    /// The Messaging Service that a number is in now.
    pub fn service_of(&self, number: E164) -> Option<ServiceSid> {
        let state = self.present();
        let index = state.world.number_of(number)?;
        state.world.numbers[index as usize].service
    }

    /// Something happens now, as a scenario's event would.
    pub fn happen(&self, what: Happening) -> Result<(), ScenarioError> {
        let mut state = self.present();
        state.world.scenario.check_happening(&what)?;
        state.world.happen(what);
        Ok(())
    }

    /// The handler at `url` is in `state` from now on.
    pub fn set_handler(&self, url: &str, state: HandlerState) -> Result<(), ScenarioError> {
        self.happen(Happening::Handler(HandlerChange { url: url.to_owned(), state, lasts: None }))
    }

    /// A number, or every number of a group, ports now.
    pub fn port(&self, what: &str) -> Result<(), ScenarioError> {
        self.happen(Happening::Port(what.to_owned()))
    }

    /// The API misbehaves from now on.
    pub fn fault(&self, fault: ApiFault) -> Result<(), ScenarioError> {
        self.happen(Happening::Fault(fault))
    }

    /// All faults of the API end.
    pub fn calm(&self) {
        self.present().world.faults.clear();
    }

    fn clock(&self) -> &Clock {
        &self.0.clock
    }

    fn is_moved_by_hand(&self) -> bool {
        self.0.is_moved_by_hand
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Should a request panic, its test fails by that; the others may still look.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world, played up to now.
    fn present(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.world.advance(self.0.clock.now());
        state
    }

    /// Counts a request in, until the seat is dropped.
    fn enter(&self) -> Seat {
        Seat { sim: self.clone(), at_once: self.0.in_flight.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

/// A request under way.
struct Seat {
    sim: Sim,
    /// How many there are with it.
    at_once: usize,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sim.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
