//! Test calls and messages: the task that makes them, repeats what failed, and reports what counts.
//!
//! When to probe is [`ProbeSchedule`]'s, what came of it [`read`](crate::core::probe::read)'s; here is the waiting and
//! the asking. Each attempt is noted in the store before it is made, so that an agent that is stopped and
//! started again and again spends no more than one that runs. What counts is committed there before the engine
//! hears of it, as a poll is. Only the agent that leads probes: two agents would spend twice. A call that is
//! left behind when the agent stops ends by its own TwiML, and its recording is deleted by the next one.
//!
//! * [`call`]: through Twilio, from one of the account's numbers;
//! * [`arrive`]: whether the call reached the number;
//! * [`listen`]: what such a call sounded like;
//! * [`cleanup`]: recordings that nobody has deleted;
//! * [`message`]: the same for messages;
//! * [`external`]: by a command of the user's;
//! * [`request`]: the handler's URL, asked as Twilio asks it.

mod arrive;
pub mod call;
mod cleanup;
pub mod external;
mod listen;
pub mod message;
pub mod request;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{ControlMessage, Shared};
use crate::agent::control::write_guard::WriteGuard;
use crate::caller::CallerKey;
use crate::config::Probes;
use crate::core::detect::observation::{Observation, Probe, ProbeResult};
use crate::core::model::decision::Phase;
use crate::core::model::id::Channel;
use crate::core::model::roster::{NumberIx, PortAt};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::probe::lag::Lags;
use crate::core::probe::plan::{ProbePurpose, ProbeSchedule};
use crate::core::probe::{Origin, ProbeAttempt, ProbeFinding, ProbeKind, ProbeSettings, Unmeasured, again_at, counted};
use crate::metrics::tally::ProbeEnd;
use crate::store::StoreError;
use crate::store::probe::Begun;
use crate::store::seen::Place;
use crate::twilio::{Error, ErrorKind};

/// What the prober is told or asked.
#[derive(Debug, Clone, Copy)]
pub enum ProbeRequest {
    Phase {
        number: NumberIx,
        channel: Channel,
        phase: Phase,
    },
    /// A caller met a failure.
    Suspicion {
        number: NumberIx,
        channel: Channel,
    },
    /// Does the fallback answer now, or the handler?
    Verify {
        number: NumberIx,
        channel: Channel,
    },
}

/// Asks that may wait; beyond that suspicions are lost, and the schedule has to find what they would have.
pub const ASKS: usize = 4096;

/// Probes of so long ago count for no budget any more.
pub const BUDGETED: Duration = Duration::from_secs(86_400);

/// What a round of probes on one number came to.
#[derive(Debug, Clone)]
pub struct Probed {
    pub number: NumberIx,
    pub channel: Channel,
    pub why: ProbePurpose,
    pub attempts: Vec<ProbeAttempt>,
    /// What counts, with the moment at which it was known.
    pub seen: Vec<(Time, Observation)>,
    /// The place of the last of it; `None` if it could not be kept.
    pub place: Option<Place>,
    /// The number pointed at our fallback when it was probed.
    pub on_fallback: bool,
}

/// One attempt, and what was read of the number on its way.
pub struct Made {
    pub attempt: ProbeAttempt,
    pub on_fallback: bool,
}

/// What every attempt has.
#[derive(Clone)]
pub struct ProbeContext {
    pub shared: Shared,
    pub settings: Arc<ProbeSettings>,
    pub number: NumberIx,
    pub lags: Arc<Mutex<Lags>>,
    /// How long outcomes wait for their alerts as long as probes do not tell better.
    pub grace: Duration,
    pub port_settles_until: Option<Time>,
}

impl ProbeContext {
    fn lags(&self) -> std::sync::MutexGuard<'_, Lags> {
        // Plain numbers: valid after any panic.
        self.lags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how late an entry of ours was in a log.
    fn measured(&self, source: Source, lag: Duration) {
        let median = {
            let mut lags = self.lags();
            lags.add(source, lag);
            lags.median(source)
        };
        self.shared.metrics.entry_lag(source, lag.as_secs_f64());
        if let Some(median) = median {
            self.shared.is_measured[source.index()].store(true, std::sync::atomic::Ordering::Relaxed);
            self.shared.metrics.log_lag(source, median.as_secs_f64());
        }
    }

    fn grace(&self) -> Duration {
        self.lags().grace().unwrap_or(self.grace)
    }

    fn search(&self, source: Source) -> Duration {
        self.lags().search(source)
    }
}

/// A note that is missing costs a look later on.
fn noted(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!(%error, cure = error.cure, "a test call's note is not kept");
    }
}

/// What a failing request means for a probe: never that the number failed.
pub fn unmeasured(error: &Error) -> Unmeasured {
    match error.kind {
        ErrorKind::Busy => Unmeasured::Busy,
        ErrorKind::Credentials | ErrorKind::Permission => Unmeasured::Permission,
        ErrorKind::Refused | ErrorKind::NotFound => error.code.map_or(Unmeasured::Api, Unmeasured::of_code),
        ErrorKind::Conflict
        | ErrorKind::Server
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::CutOff
        | ErrorKind::NotTwilio
        | ErrorKind::OldCopy => Unmeasured::Api,
    }
}

/// A round of attempts on one number.
struct Run {
    why: ProbePurpose,
    attempts: Vec<ProbeAttempt>,
    on_fallback: bool,
    /// When another attempt is to be made, before anything counts.
    again: Option<Time>,
}

/// A repetition that is not allowed for so long is given up.
const REPEAT_WITHIN: Duration = Duration::from_secs(120);

/// Between looks at what is due.
const TICK: Duration = Duration::from_secs(1);

type Line = (NumberIx, Channel);

pub struct Prober {
    shared: Shared,
    write_guard: WriteGuard,
    plan: ProbeSchedule,
    runs: BTreeMap<Line, Run>,
    tasks: JoinSet<(Line, Vec<Made>)>,
    lags: Arc<Mutex<Lags>>,
    grace: Duration,
    /// Number of the next nonce.
    made: u64,
}

impl Prober {
    /// `grace`: how long outcomes wait for their alerts by default. `begun`: the probes of the last day.
    pub fn new(shared: Shared, write_guard: WriteGuard, probes: Probes, grace: Duration, begun: &[Begun]) -> Prober {
        let now = shared.clock.now();
        let mut plan = ProbeSchedule::new(&shared.roster, probes.groups, probes.limits, now);
        for probe in begun {
            if let Some(ix) = shared.roster.find(probe.number) {
                let up = plan.settings(ix).filter(|_| probe.channel == Channel::Voice).map(call::longest);
                plan.resume(probe.at, ix, probe.channel, up.unwrap_or_default());
            }
        }
        Prober {
            shared,
            write_guard,
            plan,
            runs: BTreeMap::new(),
            tasks: JoinSet::new(),
            lags: Arc::default(),
            grace,
            made: 0,
        }
    }

    pub fn set_phase(&mut self, number: NumberIx, channel: Channel, phase: Phase) {
        self.plan.set_phase(self.shared.clock.now(), number, channel, phase);
    }

    /// Probes until `stop`.
    pub async fn run(mut self, mut asks: mpsc::Receiver<ProbeRequest>, stop: CancellationToken) {
        let clock = self.shared.clock.clone();
        let mut cleaner = JoinSet::new();
        clock.spawn(&mut cleaner, cleanup::run(self.shared.clone(), self.write_guard.clone(), stop.clone()));
        while !stop.is_cancelled() {
            self.begin().await;
            let next = async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Next::Stop,
                    Some(done) = self.tasks.join_next() => Next::Made(done.ok()),
                    Some(ask) = asks.recv() => Next::Asked(ask),
                }
            };
            match clock.wait(Some(clock.now() + TICK), next).await {
                None => {}
                // An attempt broke, and its number would never be called again: the agent ends and says so.
                Some(Next::Stop | Next::Made(None)) => return,
                Some(Next::Asked(ask)) => self.asked(ask),
                Some(Next::Made(Some((line, made)))) => self.made(line, made).await,
            }
        }
    }

    fn asked(&mut self, ask: ProbeRequest) {
        let now = self.shared.clock.now();
        match ask {
            ProbeRequest::Phase { number, channel, phase } => self.plan.set_phase(now, number, channel, phase),
            ProbeRequest::Suspicion { number, channel } => {
                if self.plan.settings(number).is_some_and(|s| s.on_suspicion) {
                    self.plan.ask(now, number, channel, ProbePurpose::Suspicion);
                }
            }
            ProbeRequest::Verify { number, channel } => {
                // What waits to be repeated was found before the swap, and says nothing of what came after it.
                if self.runs.get(&(number, channel)).is_some_and(|r| r.again.is_some()) {
                    self.runs.remove(&(number, channel));
                    self.plan.ended(number, channel);
                }
                self.plan.ask(now, number, channel, ProbePurpose::Proof);
            }
        }
    }

    /// Begins what may begin now.
    async fn begin(&mut self) {
        let now = self.shared.clock.now();
        if !self.write_guard.is_leading() {
            return;
        }
        let given_up = |r: &Run| r.again.is_some_and(|at| at + REPEAT_WITHIN <= now);
        let given_up: Vec<Line> = self.runs.iter().filter(|(_, r)| given_up(r)).map(|(line, _)| *line).collect();
        for line in given_up {
            self.end(line).await;
        }
        // What failed is repeated before anything else is begun.
        let is_due = |r: &Run| r.again.is_some_and(|at| at <= now);
        let due: Vec<Line> = self.runs.iter().filter(|(_, r)| is_due(r)).map(|(line, _)| *line).collect();
        for line in due {
            if self.plan.repeat(now, line.0, line.1) {
                self.attempt(line);
            }
        }
        while let Some((number, channel, why)) = self.plan.next(now) {
            self.runs.insert((number, channel), Run { why, attempts: Vec::new(), on_fallback: false, again: None });
            self.attempt((number, channel));
        }
    }

    /// Begins the next attempt of a run.
    fn attempt(&mut self, line: Line) {
        let (number, channel) = line;
        let Some(settings) = self.plan.settings(number).cloned().map(Arc::new) else { return };
        let Some(run) = self.runs.get_mut(&line) else { return };
        run.again = None;
        let tries = run.attempts.iter().filter(|a| a.kind != ProbeKind::Request).count();
        let Some(origin) = settings.origin(tries) else { return };
        let asks_first = run.why == ProbePurpose::Suspicion && tries == 0 && settings.handler_request;
        self.made += 1;
        let nonce = format!("{:06x}{:04x}", self.shared.clock.now().as_millis() & 0xff_ffff, self.made & 0xffff);
        let number_is = self.shared.roster.number(number);
        let ported_at = match number_is.port {
            PortAt::At(at) => Some(at),
            // Its first caller or an operator said so, and until something was served it settles.
            PortAt::Unknown => self.plan.settling_since(number, channel),
            PortAt::Done => None,
        };
        let cx = ProbeContext {
            shared: self.shared.clone(),
            settings,
            number,
            lags: self.lags.clone(),
            grace: self.grace,
            port_settles_until: ported_at.map(|at| at + number_is.messages_settle_within()),
        };
        let clock = self.shared.clock.clone();
        let id = number_is.id;
        clock.spawn(&mut self.tasks, async move {
            let mut made = Vec::new();
            let (clock, hear) = (&cx.shared.clock, &cx.settings.hear);
            let is_ours = origin == Origin::Twilio;
            let records = is_ours && channel == Channel::Voice && hear.is_on() && !hear.keep;
            let from = cx.settings.from.filter(|_| is_ours);
            let started_at = clock.now();
            let note = match cx.shared.store.begin_probe(started_at, id, channel, from, records).await {
                Ok(note) => note,
                Err(error) => {
                    let kind = if channel == Channel::Voice { ProbeKind::Call } else { ProbeKind::Message };
                    let (found, detail) = (ProbeFinding::Error(Unmeasured::State), error.to_string());
                    let ended_at = clock.now();
                    let (entry, answered_after) = (None, None);
                    let attempt =
                        ProbeAttempt { kind, origin, started_at, ended_at, found, entry, answered_after, detail };
                    return (line, vec![Made { attempt, on_fallback: false }]);
                }
            };
            if asks_first && channel == Channel::Voice {
                made.extend(request::ask(&cx, &nonce).await);
            }
            made.push(match (channel, origin) {
                (Channel::Voice, Origin::External(i)) => external::call(&cx, i, &nonce).await,
                (Channel::Voice, _) => call::call(&cx, note).await,
                (Channel::Messaging, _) => message::send(&cx, &nonce).await,
            });
            (line, made)
        });
    }

    async fn made(&mut self, line: Line, made: Vec<Made>) {
        let now = self.shared.clock.now();
        let Some(run) = self.runs.get_mut(&line) else { return };
        for Made { attempt, on_fallback } in made {
            run.on_fallback = on_fallback;
            count(&self.shared, line, &attempt);
            run.attempts.push(attempt);
        }
        // Whether a swap is good is asked when it is made, and answered at once.
        let settings = self.plan.settings(line.0).filter(|_| run.why != ProbePurpose::Proof);
        run.again = again_at(&run.attempts, settings.map_or(Duration::ZERO, |s| s.fails_for));
        if let Some(at) = run.again.filter(|_| !self.plan.wants_proof(line.0, line.1)) {
            if at > now {
                self.plan.park(line.0, line.1);
            }
            return;
        }
        self.end(line).await;
    }

    /// A run is over: what counts is kept, and the engine is told.
    async fn end(&mut self, line: Line) {
        let now = self.shared.clock.now();
        let Some(run) = self.runs.remove(&line) else { return };
        self.plan.ended(line.0, line.1);
        let id = self.shared.roster.number(line.0).id;
        let (account, number) = (id.account, id.e164);
        let (grace, unseen) = {
            let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
            let seconds = |d: Duration| u16::try_from(d.as_secs()).ok();
            (lags.grace().and_then(seconds), lags.unseen().and_then(seconds))
        };
        let observe = |a: &ProbeAttempt, result| {
            let origin = CallerKey::public().hash(&a.origin.name());
            let (channel, started_at, entry) = (line.1, a.started_at, a.entry);
            (now, Observation::Probe(Probe { number, channel, started_at, origin, entry, result, grace, unseen }))
        };
        // What could not be repeated is not confirmed.
        let counted = if run.again.is_some() { Vec::new() } else { counted(&run.attempts) };
        let mut seen: Vec<(Time, Observation)> = counted
            .into_iter()
            .map(|a| match a.found {
                ProbeFinding::Success => observe(a, ProbeResult::Success),
                ProbeFinding::Failure(reason) => observe(a, ProbeResult::Failure(reason)),
                ProbeFinding::Error(_) => observe(a, ProbeResult::Error),
            })
            .collect();
        if let (true, Some(last)) = (seen.is_empty(), run.attempts.last()) {
            // That nothing could be measured is kept too; no verdict rests on it.
            seen.push(observe(last, ProbeResult::Error));
        }
        let Run { why, mut attempts, on_fallback, .. } = run;
        let _turn = self.shared.turn().await;
        let kept = self.shared.store.commit_seen(account, &seen).await;
        if let Err(error) = &kept {
            // Nothing follows from what is not kept, but that it was not measured: whoever waits for it asks again.
            tracing::warn!(number = %self.shared.roster.name(id), %error, cure = error.cure, "what a probe showed cannot be kept");
            seen.clear();
            attempts.iter_mut().for_each(|a| a.found = ProbeFinding::Error(Unmeasured::State));
        }
        let place = kept.ok();
        let probed = Probed { number: line.0, channel: line.1, why, attempts, seen, place, on_fallback };
        // The inbox closes only when the agent stops.
        let _ = self.shared.clock.wait(None, self.shared.inbox.send(ControlMessage::Probed(probed))).await;
    }
}

enum Next {
    Stop,
    Made(Option<(Line, Vec<Made>)>),
    Asked(ProbeRequest),
}

/// Counts an attempt and says what is worth a line.
fn count(shared: &Shared, (number, channel): Line, a: &ProbeAttempt) {
    shared.recent.probed(number, channel, a);
    let end = match a.found {
        ProbeFinding::Success => ProbeEnd::Success,
        ProbeFinding::Failure(_) => ProbeEnd::Failure,
        ProbeFinding::Error(_) => ProbeEnd::Error,
    };
    if a.kind != ProbeKind::Request {
        shared.metrics.probed(number, channel, end, a.ended_at.since(a.started_at));
    }
    let (name, origin, detail) = (shared.roster.name_of(number), a.origin.label(), &a.detail);
    if a.found == ProbeFinding::Success {
        tracing::debug!(number = %name, %channel, origin, "probe: {}: {detail}", a.found.text());
        return;
    }
    shared.metrics.probe_failed(&shared.roster.group_of(number).name, channel, origin, a.found.reason_label());
    let result = a.found.label();
    tracing::warn!(number = %name, %channel, origin, result, "probe: {}: {detail}", a.found.text());
}
