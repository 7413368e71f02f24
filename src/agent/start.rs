//! How an agent starts: its state opened and verified, its credentials tried, what the agent before saw and did
//! taken up, and every task begun.
//!
//! Promises: whatever would stop the port day stops the start, with its cure. Nothing is decided before the
//! logs are where the last agent left them, and no alert is judged before our numbers' routing is known.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::deliver;
use super::leader::{self, LeaseHolder};
use super::poll::{self, AlertLog, CallLog, MessageLog, Poller, TwilioLog};
use super::probe::{self, Prober};
use super::routing::RoutingPoller;
use super::{Agent, Role, Shared, heartbeat};
use crate::agent::control::task::ControlTask;
use crate::agent::control::write_guard::WriteGuard;
use crate::agent::control::{Controller, Probing};
use crate::agent::execute::Executor;
use crate::agent::incidents::IncidentTracker;
use crate::agent::poll::fallback;
use crate::agent::publish::explain::DecisionHistory;
use crate::agent::publish::exposition::Exposition;
use crate::agent::publish::status::Status;
use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::detect::engine::Engine;
use crate::core::detect::observation::Observation;
use crate::core::detect::rules::Rules;
use crate::core::model::decision::{Decision, Mode};
use crate::core::model::id::{CallSid, Channel};
use crate::core::model::roster::Roster;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::notice::make::NoticeBuilder;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders::Orders;
use crate::core::rollback::saga::Illegal;
use crate::metrics::Metrics;
use crate::notify;
use crate::store::{JournalRecord, Store, StoreError};
use crate::twilio::{self, AlertLevel, Client, LogEntry as _};

use deliver::Outbox;

/// Messages to the engine that may wait: some polls of every source.
const INBOX: usize = 64;

/// What people were told within this time may still stand.
const TOLD_SINCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Orders that may wait to be carried out.
const ORDERS: usize = 256;

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{text}")]
    Store { text: String, source: Option<sqlx::Error> },
    #[error("the key for callers' numbers at {path} cannot be used")]
    Key { path: PathBuf, source: std::io::Error },
    #[error("{0}; {cure}", cure = .0.cure())]
    Twilio(twilio::Error),
    #[error(transparent)]
    ClockSkew(poll::PollError),
    #[error("the journal contradicts itself at record {seq}; restore the state file from a backup")]
    Journal { seq: i64, source: Illegal },
    #[error("the journal has another agent's lease: {by} leads until {until}; stop it, or wait for it to end")]
    HeldBy { by: String, until: Time },
    #[error("the HTTP client cannot be built: {0}")]
    Http(String),
}

impl From<StoreError> for StartError {
    fn from(e: StoreError) -> StartError {
        StartError::Store { text: format!("{e}; {}", e.cure), source: e.source }
    }
}

impl Agent {
    /// An agent that watches and acts.
    pub async fn start(config: &Config, clock: &Clock) -> Result<Agent, StartError> {
        Agent::start_as(Role::Watch, config, clock, &watch::Sender::new(None)).await
    }

    /// Opens the state, checks the credentials, takes up where the last agent ended, and starts.
    /// While another agent leads, `standby` says so.
    pub async fn start_as(
        role: Role,
        config: &Config,
        clock: &Clock,
        standby: &watch::Sender<Option<LeaseHolder>>,
    ) -> Result<Agent, StartError> {
        let store = Store::open(&config.agent.state).await?;
        store.verify().await?;
        leader::lead(role, &store, clock, standby).await?;
        let key_path = config.agent.state.with_extension("key");
        let key = CallerKey::load_or_create(&key_path)
            .map_err(|source| StartError::Key { path: key_path.clone(), source })?;
        let roster = Arc::new(config.roster.clone());
        let metrics = Metrics::new(&roster, config.engine.mode);
        let client = Client::new(config.twilio.clone(), roster.clone(), key, clock.clone(), metrics.clone())
            .map_err(|e| StartError::Http(e.to_string()))?;
        if role == Role::Watch {
            preflight(&client, &roster, clock).await?;
        }

        let (inbox, inbox_rx) = mpsc::channel(INBOX);
        let (want_call, wanted) = mpsc::channel(INBOX * 16);
        let shared = Shared {
            clock: clock.clone(),
            client,
            store: store.clone(),
            metrics: metrics.clone(),
            roster: roster.clone(),
            inbox: inbox.clone(),
            want_call,
            is_measured: Arc::default(),
            sids: Arc::default(),
        };

        let now = clock.now();
        if role == Role::Watch {
            note_start(&store, config, now).await?;
        }
        let journal = store.journal().await?;
        // The mode is asked by the guards, which a change of it reaches at once.
        let settings = crate::core::detect::engine::EngineSettings { mode: Mode::Auto, ..config.engine.clone() };
        let mut engine = Engine::new(config.roster.clone(), settings, now);
        let mut orders = Orders::new(config.rollback.clone());
        let earlier = take_up(&mut engine, &mut orders, &journal)?;
        metrics.set_mode(orders.mode());

        let Pollers { calls, messages, alerts } = catch_up(&shared, config, &mut engine, &orders, wanted).await?;
        let status = watch::Sender::new(Arc::new(Status::of(&engine, &orders, now, earlier.clone())));
        metrics.publish(Box::new(Exposition::new(
            roster.clone(),
            metrics.tally().clone(),
            status.subscribe(),
            inbox.downgrade(),
            config.per_number,
        )));
        let active = watch::Sender::new(true);
        let (execute, work) = mpsc::channel(ORDERS);
        let stop = CancellationToken::new();
        let write_guard = WriteGuard::new(clock.clone(), store.clone());
        let executor = Executor::new(shared.clone(), write_guard.clone(), inbox.clone(), stop.clone());
        let (ask, asks) = mpsc::channel(probe::ASKS.max(roster.len() * 2 + 1));
        let is_probed = role == Role::Watch && config.probes.groups.iter().flatten().any(|s| s.origin(0).is_some());
        let begun = store.probes(now - probe::BUDGETED).await?;
        let grace = config.engine.settle_grace;
        let mut prober = Prober::new(shared.clone(), write_guard.clone(), config.probes.clone(), grace, &begun);
        for (ix, _) in roster.numbers() {
            for channel in Channel::ALL {
                prober.set_phase(ix, channel, engine.channel(ix, channel).phase);
            }
        }
        let ask = is_probed.then_some(ask);
        let named = |name: &'static str, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| async move {
            task.await;
            name
        };
        let mut workers = JoinSet::new();
        let builder = NoticeBuilder { roster: roster.clone(), addresses: config.agent.addresses.clone() };
        let sender = notify::Sender::new(clock.clone()).map_err(|e| StartError::Http(e.to_string()))?;
        let told = store.deliveries(now - TOLD_SINCE).await?;
        let (post, posted) = Outbox::new();
        // A person's word is carried out without anybody to tell: the next agent finds it in the journal.
        let notifiers = if role == Role::Watch { config.notify.as_slice() } else { &[] };
        let incidents = IncidentTracker::new(builder.clone(), config.engine.mode, post.clone(), &journal, &told, now);
        let parts = deliver::Parts {
            clock: clock.clone(),
            store: store.clone(),
            metrics: metrics.clone(),
            builder: builder.clone(),
            sender: sender.clone(),
            outbox: post.clone(),
            seed: config.twilio.seed,
        };
        let (dispatcher, delivery_workers) = deliver::staff(parts, notifiers, posted, &told);
        clock.spawn(&mut workers, named("clerk", Box::pin(dispatcher.run(stop.clone()))));
        for worker in delivery_workers {
            clock.spawn(&mut workers, named("carrier", Box::pin(worker.run())));
        }
        if let (Role::Watch, Some(settings)) = (role, config.heartbeat.clone()) {
            let task =
                heartbeat::run(settings, sender, status.subscribe(), metrics.clone(), clock.clone(), stop.clone());
            clock.spawn(&mut workers, named("heartbeat", Box::pin(task)));
        }
        let probing = Probing { ask, groups: config.probes.groups.clone() };
        let mut controller = Controller::new(shared.clone(), role, orders, incidents, write_guard, execute, probing);
        controller.load_baseline(store.routing().await?);
        let watches = |channel: Channel| roster.numbers().any(|(_, n)| n.channels[channel.index()]);
        // What our numbers point at is known before the first alert is judged.
        let mut routing = RoutingPoller::new(shared.clone());
        if let Err(error) = routing.poll().await {
            let cure = error.cure().to_owned();
            tracing::error!(source = "numbers", %error, cure, "cannot read our numbers yet");
        }
        if role == Role::Watch {
            clock.spawn(&mut workers, named("fallbacks", Box::pin(fallback::run(shared.clone(), stop.clone()))));
            clock.spawn(&mut workers, named("numbers", Box::pin(routing.run(stop.clone()))));
        }
        if role == Role::Watch && watches(Channel::Voice) {
            let task = calls.run(active.subscribe(), stop.clone());
            clock.spawn(&mut workers, named(CallLog::SOURCE.label(), Box::pin(task)));
        }
        if role == Role::Watch && watches(Channel::Messaging) {
            let task = messages.run(active.subscribe(), stop.clone());
            clock.spawn(&mut workers, named(MessageLog::SOURCE.label(), Box::pin(task)));
        }
        if role == Role::Watch {
            let task = alerts.run(active.subscribe(), stop.clone());
            clock.spawn(&mut workers, named(AlertLog::SOURCE.label(), Box::pin(task)));
        }
        if is_probed {
            clock.spawn(&mut workers, named("prober", Box::pin(prober.run(asks, stop.clone()))));
        }
        clock.spawn(&mut workers, named("executor", Box::pin(executor.run(work))));
        let lease = leader::keep(store.clone(), clock.clone(), post, builder, stop.clone());
        clock.spawn(&mut workers, named("lease", Box::pin(lease)));
        let status_rx = status.subscribe();
        let asking = shared.clone();
        let task = ControlTask::new(shared, engine, earlier, controller, active, status);
        let mut engine = JoinSet::new();
        let stop_engine = CancellationToken::new();
        clock.spawn(&mut engine, named("engine", Box::pin(task.run(inbox_rx, stop_engine.clone()))));
        if role == Role::Operator {
            // Before any word is taken: what comes first is told first.
            fallback::once(&asking).await;
        }
        Ok(Agent {
            status: status_rx,
            metrics,
            roster,
            inbox,
            memory: DecisionHistory::new(store.clone(), config),
            clock: clock.clone(),
            store,
            workers,
            engine,
            stop_workers: stop,
            stop_engine,
        })
    }
}

/// One poller a log.
struct Pollers {
    calls: Poller<CallLog>,
    messages: Poller<MessageLog>,
    alerts: Poller<AlertLog>,
}

/// Takes in the logs as they were seen by the agent before: of the last hours, and of as long before it was
/// stopped as the pollers will now read again. Twilio's clock may be ahead of ours.
async fn catch_up(
    shared: &Shared,
    config: &Config,
    engine: &mut Engine,
    orders: &Orders,
    wanted: mpsc::Receiver<CallSid>,
) -> Result<Pollers, StartError> {
    let (store, now) = (&shared.store, shared.clock.now());
    let [polled_calls, polled_messages, polled_alerts] = [
        store.cursor(Source::Calls).await?,
        store.cursor(Source::Messages).await?,
        store.cursor(Source::Alerts).await?,
    ];
    let again = [polled_calls, polled_messages, polled_alerts].into_iter().flatten().min();
    let again = again.map_or(now, |at| at - config.poll.overlap - poll::MOST_SKEW);
    let since = again.min(now - config.engine.remember);
    let none = || mpsc::channel(1).1;
    let poll = || config.poll.clone();
    let mut calls = Poller::<CallLog>::new(shared.clone(), poll(), polled_calls, wanted);
    let mut messages = Poller::<MessageLog>::new(shared.clone(), poll(), polled_messages, none());
    let mut alerts = Poller::<AlertLog>::new(shared.clone(), poll(), polled_alerts, none());
    let mut first = None;
    let mut back = orders.returned_to_handler().into_iter().peekable();
    let restored = |engine: &mut Engine, (at, number, channel)| {
        if let Some(ix) = engine.roster().find(number) {
            engine.restored(at, ix, channel);
        }
    };
    store
        .observations(since, |at, observation| {
            first.get_or_insert(at);
            match &observation {
                Observation::Call(call) => calls.remember(call.sid(), call),
                Observation::Message(message) => messages.remember(message.sid(), message),
                Observation::Alert(alert) => alerts.remember(alert.sid(), alert),
                Observation::Probe(_) | Observation::Number(_) => {}
            }
            // What had settled when the alerts were last read was counted then.
            if let Some(until) = polled_alerts {
                engine.catch_up(at.min(until));
            }
            while let Some(one) = back.next_if(|(t, _, _)| *t <= at) {
                restored(engine, one);
            }
            engine.observe(at, &observation);
        })
        .await?;
    back.for_each(|one| restored(engine, one));
    if let Some(first) = first {
        // The agent before may be younger: what was over when it began was not its business either.
        let horizon = since.max(first - config.poll.overlap);
        calls.remembers_since(horizon);
        messages.remembers_since(horizon);
        alerts.remembers_since(horizon);
    }
    if let Some(at) = polled_alerts {
        engine.catch_up(at);
        tracing::info!(entries = engine.held(), until = %at, "took up where the last agent ended");
    }
    Ok(Pollers { calls, messages, alerts })
}

/// Writes to the journal that an agent begins, and by which rules if these have changed.
async fn note_start(store: &Store, config: &Config, now: Time) -> Result<(), StoreError> {
    let rules = Rules::of(&config.roster, &config.engine);
    let journal = store.journal().await?;
    let last = journal.iter().rev().find_map(|r| r.entry.rules());
    let rules = (last != Some(&rules)).then(|| Box::new(rules));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    store.append(now, &[Entry::Started { version, rules }]).await
}

/// Puts the engine and the hands where the journal ends. Returns the latest decisions, newest first.
fn take_up(
    engine: &mut Engine,
    orders: &mut Orders,
    journal: &[JournalRecord],
) -> Result<Vec<Arc<Decision>>, StartError> {
    let mut decisions = Vec::new();
    for record in journal {
        orders.fold(record.at, &record.entry).map_err(|source| StartError::Journal { seq: record.seq, source })?;
        if let Entry::Decision(decision) = &record.entry {
            decisions.push(Arc::new(decision.clone()));
        } else if let Entry::Phase { channel, number, phase } = &record.entry
            && let Some(ix) = engine.roster().find(*number)
        {
            engine.resume_phase(ix, *channel, *phase, record.at);
        }
    }
    engine.resume_after(orders.last_id());
    for (number, channel, saga) in orders.sagas().filter(|(_, _, s)| s.state.is_on_fallback()) {
        if let Some(ix) = engine.roster().find(number) {
            engine.rolled_back(saga.since.unwrap_or(Time::EPOCH), ix, channel);
        }
    }
    decisions.reverse();
    decisions.truncate(50);
    Ok(decisions)
}

/// Asks each endpoint once, so that a wrong token or a missing permission stops the start and not
/// the port day. What may pass by itself does not: the agent starts blind and says so.
async fn preflight(client: &Client, roster: &Roster, clock: &Clock) -> Result<(), StartError> {
    let now = clock.now();
    let voice = roster.numbers().any(|(_, n)| n.channels[Channel::Voice.index()]);
    let messaging = roster.numbers().any(|(_, n)| n.channels[Channel::Messaging.index()]);
    let mut results =
        vec![client.numbers(1).next().await.map(drop), client.alerts(AlertLevel::Error, now, 1).next().await.map(drop)];
    if voice {
        results.push(client.calls(now, 1).next().await.map(drop));
    }
    if messaging {
        results.push(client.messages(now, 1).next().await.map(drop));
        results.push(client.services().await.map(drop));
    }
    for result in results {
        match result {
            Ok(()) => {}
            Err(e) if e.is_passing() => {
                tracing::error!(error = %e, cure = e.cure(), "starting all the same, blind until Twilio answers");
                return Ok(());
            }
            Err(e) => return Err(StartError::Twilio(e)),
        }
    }
    poll::check_clock(client).map_err(StartError::ClockSkew)?;
    Ok(())
}
