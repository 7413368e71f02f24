//! How an agent starts: its state opened and verified, its credentials tried, what the agent before saw and did
//! taken up, and every task begun.
//!
//! Promises: whatever would stop the port day stops the start, with its cure. Nothing is decided before the
//! logs are where the last agent left them, and no alert is judged before our numbers' routing is known.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::deliver;
use super::leader::{self, LeaseHolder};
use super::poll::routing::{RoutingPoller, WRITTEN_WITHIN};
use super::poll::{self, AlertLog, CallLog, MessageLog, Poller, TwilioLog};
use super::ports;
use super::ports::doorbell::Doorbell;
use super::preflight::preflight;
use super::probe::{self, Prober};
use super::{Agent, Role, Shared, StartError, heartbeat};
use crate::agent::control::journal::Journal;
use crate::agent::control::resume;
use crate::agent::control::task::{self, ControlTask};
use crate::agent::control::write_guard::WriteGuard;
use crate::agent::control::{Controller, Probing};
use crate::agent::execute::Executor;
use crate::agent::poll::fallback;
use crate::agent::publish::explain;
use crate::agent::publish::explain::{CurrentRules, DecisionHistory};
use crate::agent::publish::exposition::{Exposition, OfState};
use crate::agent::publish::recent::Recent;
use crate::agent::publish::status::{Knowledge, Status};
use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::control::{Control, Recovery};
use crate::core::detect::engine::Engine;
use crate::core::detect::observation::Observation;
use crate::core::detect::rules::Rules;
use crate::core::model::bounds;
use crate::core::model::decision::{Decision, Mode};
use crate::core::model::foreign::Line;
use crate::core::model::id::{CallSid, Channel};
use crate::core::model::order::{Author, Hold, Scope, ScopeOf};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::notice::condition::AgentCondition;
use crate::core::notice::incidents::Incidents;
use crate::core::notice::make::NoticeBuilder;
use crate::core::notice::{Notice, NoticeStatus};
use crate::core::port::sight::ApiSight;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders::Orders;
use crate::metrics::Metrics;
use crate::notify;
use crate::store::lease::Behind;
use crate::store::seen::Input;
use crate::store::{CommitCost, JournalRecord, Store, StoreError};
use crate::twilio::{Client, LogEntry as _};

use deliver::{NotifierBoard, Outbox};

/// Messages to the engine that may wait: some polls of every source.
const INBOX: usize = 64;

/// What people were told within this time may still stand.
const TOLD_SINCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Orders that may wait to be carried out.
const ORDERS: usize = 256;

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
        let commits = CommitCost::new(clock.clone(), config.agent.commit_cost);
        let store = Store::open_with(&config.agent.state, commits).await?;
        store.verify().await?;
        leader::lead(role, &store, clock, standby).await?;
        Agent::begin(role, config, clock, store, None).await
    }

    /// Starts on a state on which this process leads; with `reloaded`, in the place of an agent that has handed it
    /// over.
    pub(super) async fn begin(
        role: Role,
        config: &Config,
        clock: &Clock,
        store: Store,
        reloaded: Option<Entry>,
    ) -> Result<Agent, StartError> {
        let key_path = config.agent.state.with_extension("key");
        let is_unused = !store.has_seen_callers().await?;
        let key = CallerKey::load_or_create(&key_path, is_unused)
            .map_err(|source| StartError::Key { path: key_path.clone(), source })?;
        let roster = Arc::new(config.roster.clone());
        let metrics = Metrics::new(&roster, config.engine.mode);
        let client = Client::new(config.twilio.clone(), roster.clone(), key, clock.clone(), metrics.clone())
            .map_err(|e| StartError::Http(e.to_string()))?
            .with_history(config.engine.history.clone());
        if role == Role::Watch && reloaded.is_none() {
            preflight(&client, &roster, clock).await?;
        }

        let doorbell = Doorbell::default();
        let (inbox, inbox_rx) = mpsc::channel(INBOX);
        let (want_call, wanted) = mpsc::channel(INBOX * 16);
        let (journal_of, requests) = Journal::new(clock.clone());
        let shared = Shared {
            clock: clock.clone(),
            client,
            store: store.clone(),
            metrics: metrics.clone(),
            roster: roster.clone(),
            recent: Recent::new(&roster, clock.now()),
            notifiers: NotifierBoard::default(),
            journal: journal_of,
            inbox: inbox.clone(),
            want_call,
            is_measured: Arc::default(),
            sids: Arc::default(),
            by_get: Arc::default(),
            dials: Arc::default(),
            handlers: Arc::new(watch::Sender::default()),
            hand_on: Arc::default(),
            large_batch: Arc::new(Semaphore::new(1)),
            listening: Arc::new(Semaphore::new(bounds::LISTENED_TO)),
        };

        let now = clock.now();
        // What the state was found to be was said when it was opened.
        let restored = if reloaded.is_none() { note_restored(&store, now).await? } else { None };
        if role == Role::Watch {
            note_start(&store, config, reloaded, now).await?;
        }
        let journal = store.journal().await?;
        // The mode is asked by the guards, which a change of it reaches at once.
        let settings = crate::core::detect::engine::EngineSettings { mode: Mode::Auto, ..config.engine.clone() };
        let builder = NoticeBuilder { roster: roster.clone(), addresses: config.agent.addresses.clone() };
        let control = Control::new(
            Engine::new(config.roster.clone(), settings, now),
            Orders::new(config.rollback.clone()),
            Incidents::new(builder.clone(), config.engine.mode),
        );
        let earlier = latest_decisions(&journal);
        let told = store.deliveries(now - TOLD_SINCE).await?;
        let seen = store.last_place().await?;
        let Recovered { mut control, notices, pollers } = recover(&shared, config, control, journal, wanted).await?;
        let Pollers { calls, messages, alerts } = pollers;
        metrics.set_mode(control.orders().mode());
        let guard = WriteGuard::new(clock.clone(), store.clone());
        metrics.page_is_at(&config.agent.page());
        let known = Knowledge {
            ports: control.ports(),
            sight: &ApiSight::NotYet,
            incidents: control.incidents(),
            failures: &Default::default(),
            notifiers: &[],
            is_nobody_told: false,
            can_prove: &|_, _| true,
        };
        let status =
            watch::Sender::new(Arc::new(Status::of(control.engine(), control.orders(), known, now, earlier.clone())));
        metrics.publish(Box::new(Exposition::new(
            roster.clone(),
            metrics.tally().clone(),
            status.subscribe(),
            inbox.downgrade(),
            of_state(guard.clone(), store.clone()),
            config.per_number,
        )));
        let active = watch::Sender::new(true);
        let (execute, work) = mpsc::channel(ORDERS);
        let stop = CancellationToken::new();
        let executor = Executor::new(shared.clone(), guard.clone(), stop.clone());
        let (ask, asks) = mpsc::channel(probe::ASKS.max(roster.len() * 2 + 1));
        let is_probed = role == Role::Watch && config.probes.groups.iter().flatten().any(|s| s.origin(0).is_some());
        let begun = store.probes(now - probe::BUDGETED).await?;
        let grace = config.engine.settle_grace;
        let mut prober = Prober::new(shared.clone(), guard.clone(), config.probes.clone(), grace, &begun);
        for (ix, _) in roster.numbers() {
            for channel in Channel::ALL {
                prober.set_phase(ix, channel, control.engine().channel(ix, channel).phase);
            }
        }
        let ask = is_probed.then_some(ask);
        let named = |name: &'static str, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| async move {
            task.await;
            name
        };
        let mut workers = JoinSet::new();
        let sender = notify::Sender::new(clock.clone()).map_err(|e| StartError::Http(e.to_string()))?;
        let (post, posted) = Outbox::new();
        // A person's word is carried out without anybody to tell: the next agent finds it in the journal.
        let notifiers = if role == Role::Watch { config.notify.as_slice() } else { &[] };
        let notices = notices.into_iter().map(|n| control.advised(n)).collect();
        resume::resume(control.incidents_mut(), notices, &told, &post, now);
        if let Some(condition) = restored {
            post.post(builder.condition(now, now, &condition, NoticeStatus::Event));
        }
        let parts = deliver::Parts {
            clock: clock.clone(),
            store: store.clone(),
            metrics: metrics.clone(),
            builder: builder.clone(),
            sender: sender.clone(),
            outbox: post.clone(),
            board: shared.notifiers.clone(),
            seed: config.twilio.seed,
        };
        let (dispatcher, delivery_workers) = deliver::staff(parts, notifiers, posted, &told);
        clock.spawn(&mut workers, named("dispatcher", Box::pin(dispatcher.run(stop.clone()))));
        for worker in delivery_workers {
            clock.spawn(&mut workers, named("delivery", Box::pin(worker.run())));
        }
        if let (Role::Watch, Some(settings)) = (role, config.heartbeat.clone()) {
            let (status, metrics) = (status.subscribe(), metrics.clone());
            let task = heartbeat::run(settings, sender, status, metrics, guard.clone(), clock.clone(), stop.clone());
            clock.spawn(&mut workers, named("heartbeat", Box::pin(task)));
        }
        let probing = Probing { ask, groups: config.probes.groups.clone() };
        let mut controller =
            Controller::new(shared.clone(), role, control, post.clone(), guard.clone(), execute, probing);
        controller.has_seen(seen);
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
            clock.spawn(
                &mut workers,
                named("ports", Box::pin(ports::poller::run(shared.clone(), doorbell.clone(), stop.clone()))),
            );
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
        let (asking, recent) = (shared.clone(), shared.recent.clone());
        let task = ControlTask::new(shared, earlier, controller, active, status);
        let mut engine = JoinSet::new();
        let stop_engine = CancellationToken::new();
        clock.spawn(&mut engine, named("control", Box::pin(task.run(inbox_rx, requests, stop_engine.clone()))));
        if role == Role::Operator {
            // Before any word is taken: what comes first is told first.
            fallback::once(&asking).await;
        }
        Ok(Agent {
            status: status_rx,
            metrics,
            roster,
            inbox,
            memory: DecisionHistory::new(store.clone(), CurrentRules::of(config), config.poll.overlap),
            recent,
            names: config.agent.names.clone(),
            write_guard: guard,
            doorbell,
            clock: clock.clone(),
            store,
            workers,
            engine,
            stop_workers: stop,
            stop_engine,
        })
    }
}

fn of_state(write_guard: WriteGuard, store: Store) -> OfState {
    Box::new(move || (write_guard.has_lease(), store.records()))
}

/// One poller a log.
struct Pollers {
    calls: Poller<CallLog>,
    messages: Poller<MessageLog>,
    alerts: Poller<AlertLog>,
}

/// Where the agent before ended.
struct Recovered {
    control: Control,
    /// What follows from the whole journal.
    notices: Vec<Notice>,
    pollers: Pollers,
}

/// Takes in the journal, and the logs as they were seen by the agent before: of the last hours, and of as long before
/// it was stopped as the pollers will now read again. Twilio's clock may be ahead of ours.
async fn recover(
    shared: &Shared,
    config: &Config,
    control: Control,
    journal: Vec<JournalRecord>,
    wanted: mpsc::Receiver<CallSid>,
) -> Result<Recovered, StartError> {
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
    let mut recovery = Recovery::new(control, polled_alerts);
    let mut journal = journal.into_iter().peekable();
    let mut contradiction = None;
    // Calls are told by what their number pointed at, which may have been written down long before them.
    store
        .numbers_read(since - WRITTEN_WITHIN, since, |at, account, observation| {
            recovery.observe(at, account, &observation)
        })
        .await?;
    store
        .observations(since, |place, at, input| {
            let (account, observation) = match input {
                Input::Seen(account, observation) => (account, observation),
                Input::AlertsRead => return recovery.polled(at),
            };
            first.get_or_insert(at);
            match &observation {
                Observation::Call(call) => calls.remember(call.sid(), call),
                Observation::Message(message) => messages.remember(message.sid(), message),
                Observation::Alert(alert) => alerts.remember(alert.sid(), alert),
                Observation::Probe(_)
                | Observation::Number(_)
                | Observation::Absent { .. }
                | Observation::OthersCall => {}
            }
            while let (None, Some(r)) = (&contradiction, journal.next_if(|r| r.seen < place)) {
                contradiction = recovery.journaled(r.seq, r.at, &r.entry).err();
            }
            recovery.observe(at, account, &observation);
        })
        .await?;
    if let Some(contradiction) = contradiction {
        return Err(contradiction.into());
    }
    for r in journal {
        recovery.journaled(r.seq, r.at, &r.entry)?;
    }
    let (control, notices) = recovery.finish();
    if let Some(first) = first {
        // The agent before may be younger: what was over when it began was not its business either.
        let horizon = since.max(first - config.poll.overlap);
        calls.remembers_since(horizon);
        messages.remembers_since(horizon);
        alerts.remembers_since(horizon);
    }
    if let Some(at) = polled_alerts {
        tracing::info!(entries = control.engine().held(), until = %at, "took up where the last agent ended");
    }
    Ok(Recovered { control, notices, pollers: Pollers { calls, messages, alerts } })
}

/// Writes to the journal that an agent begins, and by which rules if these have changed: at once with who had the
/// configuration read again, if somebody had.
async fn note_start(store: &Store, config: &Config, reloaded: Option<Entry>, now: Time) -> Result<(), StoreError> {
    let rules = Rules::of(&config.roster, &config.engine);
    let last = explain::rules_before(store, i64::MAX).await?;
    let rules = (last.as_ref() != Some(&rules)).then(|| Box::new(rules));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let entries: Vec<Entry> = reloaded.into_iter().chain([Entry::Started { version, rules }]).collect();
    store.append(now, store.last_place().await?, &entries).await
}

/// A hold that a restored state file brings with it lasts until somebody releases it, or so long.
const HELD_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Says that the journal lacks what it once had, or is another agent's too, and holds all numbers: what an old journal
/// has under way may have ended long ago, and of an empty one, and of the other agent's, the holds are not known here.
async fn note_restored(store: &Store, now: Time) -> Result<Option<AgentCondition>, StoreError> {
    let is_copy = store.is_copy();
    if is_copy {
        tracing::warn!(
            "this state was copied or restored from elsewhere: if an agent still runs on the other one, stop it, or two \
             act on the same numbers"
        );
    }
    let behind = store.behind();
    let problem = match behind {
        None if is_copy => {
            let problem = "the lock beside the state file is of another file: this one was copied or restored from \
                           elsewhere, where an agent may still run";
            problem.to_owned()
        }
        None => {
            store.behind_is_noted();
            return Ok(None);
        }
        Some(Behind { has, had }) => {
            let lost = if has == 0 {
                "and it is empty: it was removed".to_owned()
            } else {
                format!("and it has {has}: the file was restored from an older backup")
            };
            format!("what lies beside the state file says that its journal had {had} records, {lost}")
        }
    };
    let reason = "the state file is not as it was: look before anything is done";
    let by = Author { name: "ringback".into(), reason: Line::new(reason) };
    let scope = Scope { of: ScopeOf::All, channel: None };
    let hold = Entry::Hold(Hold { scope, by, until: now + HELD_FOR });
    store.append(now, store.last_place().await?, &[hold]).await?;
    let cure = "all numbers are held: look which are on their fallback, then `ringback release --all --reason …`; or stop \
                this agent and put the latest state file back";
    tracing::error!(cure, "{problem}");
    store.behind_is_noted();
    Ok(Some(AgentCondition::StateRestored { problem }))
}

/// The latest decisions, newest first.
fn latest_decisions(journal: &[JournalRecord]) -> Vec<Arc<Decision>> {
    let decision = |r: &JournalRecord| if let Entry::Decision(d) = &r.entry { Some(Arc::new(d.clone())) } else { None };
    journal.iter().rev().filter_map(decision).take(task::DECISIONS).collect()
}
