//! The agent: builds its parts ([`start`]), owns their tasks, and stops them in order.
//!
//! The tasks, and what each waits for:
//!
//! * one **poller** per log ([`poll`]), and one for our numbers ([`poll::routing`]): the time;
//! * the **control task** ([`control::task`]), which owns the engine and the controller: what pollers bring,
//!   results of writes and test calls, commands, and the time;
//! * the **executor** ([`execute`]): orders to carry out, each write past the [`control::write_guard`];
//! * the **prober** ([`probe`]), where a group is probed: the time, suspicions, and rollbacks to prove;
//! * the **dispatcher** and one **delivery worker** per notifier ([`deliver`]): notices, and the time for
//!   another try;
//! * the **port poller** ([`ports::poller`]): the time, as the most urgent port needs it;
//! * the **lease** ([`leader`]), the **fallback checks** ([`poll::fallback`]) and the [`heartbeat`]: the time;
//! * the **admin server**, started beside them by whoever starts the agent.
//!
//! State has one owner, the control task. Others read what it publishes ([`publish`]) and ask through its
//! inbox, which is bounded: when it is full, pollers wait, and the freshness of their sources shows it.
//! A task that ends early stops the agent (law 10).
//!
//! Stopping, in this order: pollers end after the request they are in, the executor after the
//! order it carries out, the control task after it has taken in what they brought. Whatever takes
//! longer than [`STOP_WITHIN`] is cut off; a write that was under way then is settled at the next start, by
//! reading the number.

pub mod control;
pub mod deliver;
pub mod execute;
pub mod heartbeat;
pub mod leader;
pub mod planning;
pub mod poll;
pub mod ports;
mod preflight;
pub mod probe;
pub mod publish;
pub mod reload;
pub mod start;
mod start_error;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent::control::write_guard::WriteGuard;
use crate::clock::Clock;
use crate::core::detect::observation::Observation;
use crate::core::model::bounds;
use crate::core::model::foreign::Line;
use crate::core::model::id::{AccountSid, CallSid, Channel, NumberId, NumberSid};
use crate::core::model::order::Author;
use crate::core::model::roster::{GroupIx, NumberIx, Roster};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::port::news::PortFound;
use crate::core::port::report::PortReport;
use crate::core::port::sight::ApiSight;
use crate::core::routing::record::{NumberRecord, is_same_fallback, is_same_host};
use crate::core::routing::values::RoutingValues;
use crate::metrics::Metrics;
use crate::store::seen::Place;
use crate::store::{Store, StoreError};
use crate::twilio::Client;

use control::adopt::{AdoptRead, AdoptRequest};
use control::journal::Journal;
use control::look::CommandRead;
use control::{CommandAnswer, Drifted, ObservedRouting, OperatorCommand, Refusal};
use deliver::NotifierBoard;
use execute::read::RoutingReader;
use ports::doorbell::Doorbell;
use publish::explain::DecisionHistory;
use publish::recent::Recent;
use publish::status::{ReadFailure, Status};
pub use start_error::StartError;

/// How long the tasks may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Webhooks that are remembered of one number's channel.
const HANDLERS_KEPT: usize = 8;

/// The state file could not be read. What others than the agent need not know more of.
pub type MemoryError = StoreError;

/// What every task has.
#[derive(Clone)]
pub struct Shared {
    pub clock: Clock,
    pub client: Client,
    pub store: Store,
    pub metrics: Metrics,
    pub roster: Arc<Roster>,
    /// What became of the latest calls and messages.
    recent: Recent,
    /// Which notifiers do not deliver.
    notifiers: NotifierBoard,
    /// Where the control task is asked to write the journal. What is not in it is not done (law 1).
    journal: Journal,
    /// The control task's inbox.
    inbox: mpsc::Sender<ControlMessage>,
    /// Calls that the alert log has named, for the poller of calls.
    want_call: mpsc::Sender<CallSid>,
    /// Sources whose lag probes measure, by [`Source::index`]: better than a poll can.
    is_measured: Arc<[AtomicBool; Source::ALL.len()]>,
    /// Twilio's SIDs of our numbers, as far as they are in the account.
    sids: Arc<RwLock<HashMap<NumberIx, NumberSid>>>,
    /// Whether Twilio asks a number's webhooks by GET, of those that were read.
    by_get: Arc<RwLock<HashMap<(NumberIx, Channel), bool>>>,
    /// The webhooks that have answered each number, of those that were read, but for our fallback.
    handlers: Arc<watch::Sender<HashMap<(NumberIx, Channel), Vec<String>>>>,
    /// Whose turn it is to keep what was seen and to hand it on.
    hand_on: Arc<tokio::sync::Mutex<()>>,
    /// Turns of those who listen to a recording.
    listening: Arc<Semaphore>,
    /// The turn of a large batch.
    large_batch: Arc<Semaphore>,
    /// Whether a group's fallback puts callers through before anything else, of those that have answered.
    dials: Arc<RwLock<HashMap<(GroupIx, Channel), bool>>>,
}

impl Shared {
    /// Until it is dropped, nobody else keeps or hands on what was seen: the control task takes it in by its places.
    async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = self.hand_on.clone().lock_owned();
        self.clock.wait(None, turn).await.expect("without a limit it is waited for")
    }

    async fn hand_on(&self, mut batch: Batch) {
        if batch.seen.len() > bounds::LARGE_BATCH {
            let room = self.large_batch.clone().acquire_owned();
            batch.room = self.clock.wait(None, room).await.and_then(Result::ok);
        }
        for (_, observation) in &batch.seen {
            if let Observation::Number(record) = observation
                && let Some(ix) = self.roster.find(NumberId::new(batch.account, record.number))
            {
                self.sids.write().unwrap_or_else(PoisonError::into_inner).insert(ix, record.sid);
            }
        }
        // The inbox closes only when the agent stops; what was committed is read back at the next start.
        let _ = self.clock.wait(None, self.inbox.send(ControlMessage::Batch(batch))).await;
    }

    /// Takes up which of our numbers are in the account, with which SID; of the others it is forgotten.
    fn set_sids(&self, present: HashMap<NumberIx, NumberSid>) {
        *self.sids.write().unwrap_or_else(PoisonError::into_inner) = present;
    }

    /// A log or list could not be read, and why.
    async fn read_failed(&self, source: Source, error: &str, cure: &str, http_status: Option<u16>) {
        let at = self.clock.now();
        let failure = ReadFailure { since: at, at, error: Line::new(error), cure: Line::new(cure), http_status };
        // The inbox closes only when the agent stops.
        let _ = self.clock.wait(None, self.inbox.send(ControlMessage::ReadFailed { source, failure })).await;
    }

    fn reader(&self) -> RoutingReader {
        RoutingReader::new(self.clock.clone(), self.client.clone(), &self.roster)
    }

    /// Takes up by which method Twilio asks this number's webhooks, its fallback among them: a swap leaves it.
    fn set_method(&self, ix: NumberIx, routing: &RoutingValues) {
        let mut by_get = self.by_get.write().unwrap_or_else(PoisonError::into_inner);
        by_get.insert((ix, routing.channel()), routing.is_by_get());
    }

    /// `None` while the number has not been read.
    fn is_asked_by_get(&self, ix: NumberIx, channel: Channel) -> Option<bool> {
        self.by_get.read().unwrap_or_else(PoisonError::into_inner).get(&(ix, channel)).copied()
    }

    /// Takes up which webhooks answer this number, if it is one of ours.
    fn set_handlers(&self, record: &NumberRecord) {
        let Some(ix) = self.roster.find(NumberId::new(self.client.account(), record.number)) else { return };
        for channel in Channel::ALL.into_iter().filter(|c| self.roster.number(ix).channels[c.index()]) {
            if let Some(url) = record.answering_url(channel) {
                self.set_handler(ix, channel, url);
            }
        }
    }

    /// Takes up which webhook answers this number. What answered it before is remembered: once a number was swapped
    /// that is the handler that failed.
    fn set_handler(&self, ix: NumberIx, channel: Channel, url: &str) {
        let ours = self.roster.group_of(ix).fallback(channel);
        if ours.is_some_and(|ours| is_same_fallback(ours, url)) {
            return;
        }
        self.handlers.send_if_modified(|handlers| {
            let known = handlers.entry((ix, channel)).or_default();
            let is_new = !known.iter().any(|k| k == url);
            if is_new {
                known.truncate(HANDLERS_KEPT - 1);
                known.insert(0, url.to_owned());
            }
            is_new
        });
    }

    /// A number of the group whose handler is, or was, where a fallback leads.
    fn handler_of(&self, group: GroupIx, channel: Channel, url: &str) -> Option<NumberIx> {
        let handlers = self.handlers.borrow();
        let is_it = |ix: &&NumberIx| {
            let known = handlers.get(&(**ix, channel));
            known.is_some_and(|known| known.iter().any(|handler| is_same_fallback(url, handler)))
        };
        self.roster.group(group).numbers.iter().find(is_it).copied()
    }

    /// The same whose handler is on the host of an address.
    fn handler_beside(&self, group: GroupIx, channel: Channel, url: &str) -> Option<NumberIx> {
        let handlers = self.handlers.borrow();
        let is_it = |ix: &&NumberIx| {
            let known = handlers.get(&(**ix, channel));
            known.is_some_and(|known| known.iter().any(|handler| is_same_host(url, handler)))
        };
        self.roster.group(group).numbers.iter().find(is_it).copied()
    }

    fn set_dials(&self, group: GroupIx, channel: Channel, dials: bool) {
        self.dials.write().unwrap_or_else(PoisonError::into_inner).insert((group, channel), dials);
    }

    /// False too of a fallback that has not answered yet.
    fn fallback_dials(&self, ix: NumberIx, channel: Channel) -> bool {
        let group = self.roster.number(ix).group;
        self.dials.read().unwrap_or_else(PoisonError::into_inner).get(&(group, channel)).is_some_and(|dials| *dials)
    }

    fn number_sid(&self, ix: NumberIx) -> Option<NumberSid> {
        self.sids.read().unwrap_or_else(PoisonError::into_inner).get(&ix).copied()
    }
}

/// What one poll brought.
#[derive(Debug)]
pub struct Batch {
    /// Whose log it was read from.
    pub account: AccountSid,
    pub source: Source,
    /// What has been read to its end.
    pub polled: Vec<Source>,
    pub polled_at: Time,
    /// What is wrong with a row that could not be read or placed, if there was one.
    pub unclear: Option<String>,
    /// With the moment at which each was seen.
    pub seen: Vec<(Time, Observation)>,
    /// When entries began that our numbers' callers made, and that were over before there was an agent.
    pub before: Vec<Time>,
    /// The place of the last of it; `None` if nothing was kept.
    pub place: Option<Place>,
    /// The place of a large one, of which there is one at a time.
    pub room: Option<OwnedSemaphorePermit>,
}

/// What the control task receives.
#[derive(Debug)]
pub enum ControlMessage {
    Batch(Batch),
    /// A log or list could not be read.
    ReadFailed {
        source: Source,
        failure: ReadFailure,
    },
    /// The routing of our numbers, as read from `at` on.
    Routing {
        at: Time,
        numbers: Vec<ObservedRouting>,
    },
    Drifted(Drifted),
    /// A fallback was checked.
    Fallback(poll::fallback::FallbackChecked),
    /// Test calls or messages to a number showed something.
    Probed(probe::Probed),
    /// What a look at the Porting API shows.
    PortsFound {
        sight: ApiSight,
        found: Vec<PortFound>,
    },
    /// Somebody asks how far the ports are.
    PortsAsked {
        reply: oneshot::Sender<PortReport>,
    },
    /// An operator's command; with `dry_run` it is only previewed.
    Command {
        command: OperatorCommand,
        dry_run: bool,
        reply: oneshot::Sender<Result<CommandAnswer, Refusal>>,
    },
    /// The numbers that such a command does nothing to are as it was read.
    CommandRead(CommandRead),
    /// An operator says that the handler which numbers have is the right one.
    Adopt(AdoptRequest),
    /// And that is what they have.
    AdoptRead(AdoptRead),
    /// An operator says that these numbers are ported; the answer is how many channels were waiting.
    Ported {
        numbers: Vec<NumberIx>,
        by: Author,
        reply: oneshot::Sender<Result<usize, Refusal>>,
    },
}

/// An agent at work.
pub struct Agent {
    pub status: watch::Receiver<Arc<Status>>,
    pub metrics: Metrics,
    pub roster: Arc<Roster>,
    pub inbox: mpsc::Sender<ControlMessage>,
    pub memory: DecisionHistory,
    /// What became of the latest calls and messages.
    pub recent: Recent,
    /// By which its HTTP face is asked for, beside those of the loopback interface.
    pub names: Arc<[String]>,
    /// Whether it may act.
    pub write_guard: WriteGuard,
    /// Where Twilio's porting webhook rings.
    pub doorbell: Doorbell,
    clock: Clock,
    store: Store,
    /// Pollers and the executor: they end first.
    workers: JoinSet<&'static str>,
    engine: JoinSet<&'static str>,
    stop_workers: CancellationToken,
    stop_engine: CancellationToken,
}

/// What an agent is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To watch and to act.
    Watch,
    /// For one command, while no agent runs: no logs are read and no decisions made.
    Operator,
}

impl Agent {
    /// Waits until a task ends, which none does unless it is stopped or broken. Says which.
    pub async fn failed(&mut self) -> String {
        let ended = async {
            tokio::select! {
                ended = self.workers.join_next() => ended,
                ended = self.engine.join_next() => ended,
            }
        };
        match self.clock.wait(None, ended).await.flatten() {
            Some(Ok(name)) => format!("the task \"{name}\" ended early"),
            Some(Err(error)) => format!("a task broke: {error}"),
            None => "no task is left".to_owned(),
        }
    }

    /// Stops every task, waits for them, and closes the state. True if all ended in time.
    pub async fn stop(mut self) -> bool {
        let in_time = self.end_tasks().await;
        if let Err(error) = self.store.release().await {
            tracing::warn!(%error, "the lease is not given back; it ends by itself");
        }
        self.store.close().await;
        in_time
    }

    /// Stops every task and waits for them. True if all ended in time.
    async fn end_tasks(&mut self) -> bool {
        let deadline = Some(self.clock.now() + STOP_WITHIN);
        let mut in_time = true;
        for (tasks, stop) in [(&mut self.workers, &self.stop_workers), (&mut self.engine, &self.stop_engine)] {
            stop.cancel();
            let all = async { while tasks.join_next().await.is_some() {} };
            in_time &= self.clock.wait(deadline, all).await.is_some();
            if !tasks.is_empty() {
                tracing::error!(left = tasks.len(), "some tasks did not end in time and are cut off");
                tasks.abort_all();
            }
        }
        in_time
    }
}
