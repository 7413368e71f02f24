//! The loop of the control task: feeds the engine, moves its time on, and says what came of it.
//!
//! Requests to write the journal go before everything else: whoever asks stands in the middle of a rollback.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::journal::AppendRequest;
use super::sight::ChannelSight;
use super::{Controller, Refusal};
use crate::agent::probe::{ProbeRequest, Probed};
use crate::agent::publish::status::Status;
use crate::agent::{Batch, ControlMessage, Shared};
use crate::core::control::Control;
use crate::core::detect::engine::{Engine, EngineEvent, PhaseChange};
use crate::core::model::decision::{Action, Decision, Phase};
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::order::Author;
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::core::rollback::entry::Entry;

/// Between ticks when nothing comes in: how late a decision that only time brings can be.
const TICK: Duration = Duration::from_secs(1);

/// Polls speed up this long before a port is due.
const SOON: Duration = Duration::from_secs(120);

/// Between looks whether a port is due within a day.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);

/// Numbers of a group that are probed when the whole of it is suspected.
const GROUP_PROBES: usize = 5;

/// Outcomes settled in one go. After an outage there are hundreds of thousands, and somebody in the middle of a
/// rollback may have something to write meanwhile.
const SETTLED_AT_ONCE: usize = 20_000;

/// Entries of a batch taken in before such others have a turn.
const TAKEN_AT_ONCE: usize = 20_000;

/// Decisions kept for the status.
pub const DECISIONS: usize = 50;

pub struct ControlTask {
    shared: Shared,
    decisions: VecDeque<Arc<Decision>>,
    /// Whether each channel could be seen at the last tick. Nothing has been read at the start.
    blind: [bool; 2],
    controller: Controller,
    /// A batch that is being taken in, and how much of it has been.
    taking: Option<(Batch, usize)>,
    announce_at: Time,
    active: watch::Sender<bool>,
    status: watch::Sender<Arc<Status>>,
}

impl ControlTask {
    pub fn new(
        shared: Shared,
        earlier: Vec<Arc<Decision>>,
        controller: Controller,
        active: watch::Sender<bool>,
        status: watch::Sender<Arc<Status>>,
    ) -> ControlTask {
        // What stands against a port is known a little later.
        let (blind, announce_at) = ([true; 2], shared.clock.now() + ANNOUNCE_EVERY);
        ControlTask { shared, decisions: earlier.into(), blind, controller, taking: None, announce_at, active, status }
    }

    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<ControlMessage>,
        mut requests: mpsc::Receiver<AppendRequest>,
        stop: CancellationToken,
    ) {
        enum Next {
            Append(AppendRequest),
            Message(ControlMessage),
        }
        let clock = self.shared.clock.clone();
        self.tick().await;
        loop {
            let is_taking = self.taking.is_some();
            let next = async {
                tokio::select! {
                    biased;
                    Some(request) = requests.recv() => Some(Next::Append(request)),
                    () = stop.cancelled() => None,
                    message = inbox.recv(), if !is_taking => message.map(Next::Message),
                }
            };
            let due = if is_taking || self.engine().is_behind() { clock.now() } else { clock.now() + TICK };
            match clock.wait(Some(due), next).await {
                Some(None) => break,
                Some(Some(Next::Append(request))) => self.controller.append(request).await,
                Some(Some(Next::Message(message))) => self.handle(message).await,
                None => self.take_more(),
            }
            self.tick().await;
            if self.controller.fault().is_some() {
                return;
            }
        }
        // The pollers have ended; what they committed is counted before we go.
        self.finish().await;
        while let Ok(message) = inbox.try_recv() {
            self.handle(message).await;
            self.tick().await;
            self.finish().await;
        }
    }

    async fn handle(&mut self, message: ControlMessage) {
        let now = self.shared.clock.now();
        match message {
            ControlMessage::Batch(batch) => {
                self.controller.understood(now, batch.source, batch.unclear.as_deref());
                self.engine_mut().heard_before(&batch.before);
                self.taking = Some((batch, 0));
                self.take_more();
            }
            ControlMessage::ReadFailed { source, failure } => self.controller.read_failed(source, failure),
            ControlMessage::Routing { at, numbers } => self.controller.looked(at, numbers).await,
            ControlMessage::Drifted(drifted) => self.controller.drifted(now, drifted).await,
            ControlMessage::Fallback(looked) => self.controller.fallback(now, looked).await,
            ControlMessage::Probed(probed) => self.probed(now, &probed).await,
            ControlMessage::Ported { numbers, by, reply } => {
                // Whoever asked may have gone away.
                let _ = reply.send(self.ported(&numbers, by).await);
            }
            ControlMessage::PortsFound { sight, found } => self.controller.ports_found(sight, &found).await,
            ControlMessage::PortsAsked { reply } => {
                // Whoever asked may have gone away.
                let _ = reply.send(self.controller.port_report(now));
            }
            ControlMessage::CommandRead(read) => self.controller.command_read(now, read).await,
            ControlMessage::Adopt(request) => self.controller.adopt(request),
            ControlMessage::AdoptRead(read) => self.controller.adopt_read(now, read).await,
            ControlMessage::Command { command, dry_run, reply } => {
                self.controller.command(now, command, dry_run, reply).await;
            }
        }
    }

    const fn control(&self) -> &Control {
        self.controller.control()
    }

    const fn engine(&self) -> &Engine {
        self.controller.control().engine()
    }

    const fn engine_mut(&mut self) -> &mut Engine {
        self.controller.control_mut().engine_mut()
    }

    /// Takes in some of the batch that is there, if one is.
    fn take_more(&mut self) {
        let Some((batch, taken)) = self.taking.take() else { return };
        let end = batch.seen.len().min(taken + TAKEN_AT_ONCE);
        for (at, observation) in &batch.seen[taken..end] {
            self.engine_mut().observe(*at, batch.account, observation);
        }
        if let Some(place) = batch.place {
            self.controller.has_seen(place.before(batch.seen.len() - end));
        }
        if end < batch.seen.len() {
            self.taking = Some((batch, end));
        } else {
            for source in batch.polled {
                self.controller.was_read(source);
                self.engine_mut().polled(source, batch.polled_at);
            }
        }
    }

    /// Takes in the rest of the batch, and settles what is due.
    async fn finish(&mut self) {
        while self.taking.is_some() || self.engine().is_behind() {
            self.take_more();
            self.tick().await;
        }
    }

    async fn probed(&mut self, now: Time, probed: &Probed) {
        let account = self.shared.roster.number(probed.number).id.account;
        for (at, observation) in &probed.seen {
            self.engine_mut().observe(*at, account, observation);
        }
        if let Some(place) = probed.place {
            self.controller.has_seen(place);
        }
        self.controller.probed(now, probed).await;
    }

    /// Asks for a test call where something might be wrong.
    fn suspect(&self, numbers: impl Iterator<Item = NumberIx>, channel: Channel) {
        for number in numbers {
            self.controller.ask(ProbeRequest::Suspicion { number, channel });
        }
    }

    /// Gives how many channels were waiting. What is not in the journal has no effect.
    async fn ported(&mut self, numbers: &[NumberIx], by: Author) -> Result<usize, Refusal> {
        let ids = numbers.iter().map(|n| self.shared.roster.number(*n).id).collect();
        let waiting = self.engine().waiting(numbers);
        self.controller.commit(vec![Entry::Ported { numbers: ids, by }]).await.map_err(Refusal::Store)?;
        Ok(waiting - self.engine().waiting(numbers))
    }

    async fn tick(&mut self) {
        let now = self.shared.clock.now();
        // Nothing is decided before all of a batch has been taken in.
        let is_taking = self.taking.is_some();
        let engine = self.engine_mut();
        let events = if is_taking { engine.take_events() } else { engine.tick_within(now, SETTLED_AT_ONCE) };
        let mut healthy = [Vec::new(), Vec::new()];
        let (mut met, mut passive) = (BTreeMap::new(), BTreeSet::new());
        for event in events {
            // What is decided of a number after it was healthy is another trouble.
            if matches!(event, EngineEvent::Decided(_)) {
                self.healthy(&mut healthy).await;
            }
            if let EngineEvent::Verdict { number, channel, to: Verdict::Healthy, .. } = event {
                healthy[channel.index()].push(self.shared.roster.number(number).id);
            }
            if let EngineEvent::Met { number, channel, met: what } = event {
                let numbers: &mut Vec<NumberId> = met.entry((channel, what)).or_default();
                numbers.push(self.shared.roster.number(number).id);
            }
            if let EngineEvent::Phase { number, channel, to: Phase::Passive, .. } = event {
                passive.insert((self.shared.roster.number(number).group, channel));
            }
            self.tell(event).await;
        }
        if !is_taking && !self.engine().is_behind() {
            for channel in Channel::ALL {
                let again = self.control().healthy_after_failing(now, channel);
                let known = &mut healthy[channel.index()];
                known.extend(again.into_iter().filter(|n| !known.contains(n)).collect::<Vec<_>>());
            }
        }
        self.healthy(&mut healthy).await;
        for ((channel, what), numbers) in met {
            self.controller.met(channel, what, numbers).await;
        }
        for (group, channel) in passive {
            self.controller.went_passive(group, channel).await;
        }
        if now >= self.announce_at && !is_taking {
            self.announce_at = now + ANNOUNCE_EVERY;
            self.controller.announce_ports(now).await;
        }
        self.controller.step(now).await;
        if is_taking || self.engine().is_behind() {
            return;
        }
        self.tell_blindness(now);
        let (still, heard) = (self.engine().standstill(), self.engine().heard());
        self.controller.standstill(now, still, heard);
        self.active.send_if_modified(|active| {
            let is = self.engine().is_active(now, SOON);
            std::mem::replace(active, is) != is
        });
        let decisions = self.decisions.iter().cloned().collect();
        let status = self.controller.published(now, decisions);
        self.shared.recent.weighed(&status);
        self.status.send_replace(Arc::new(status));
    }

    /// One line when a channel can no longer be seen, and one when it can again.
    fn tell_blindness(&mut self, now: Time) {
        let mut sight = Vec::new();
        for channel in Channel::ALL {
            let stale = self.engine().cannot_read(channel, now);
            let was_blind = std::mem::replace(&mut self.blind[channel.index()], !stale.is_empty());
            if !self.engine().watches(channel) {
                continue;
            }
            let read = stale.iter().filter_map(|s| self.engine().polled_at(*s)).min();
            match (was_blind, stale.is_empty()) {
                (false, false) => {
                    let cannot_read = stale.iter().map(|s| s.label()).collect::<Vec<_>>().join(", ");
                    tracing::error!(%channel, cannot_read, "blind: nothing can be said or decided until this is over");
                }
                (true, true) => tracing::info!(%channel, "every log that is needed is fresh"),
                (true, false) | (false, true) => {}
            }
            let unread = if stale.is_empty() { Vec::new() } else { self.engine().unread(channel).collect() };
            sight.push(ChannelSight { channel, was_blind, stale, read, unread });
        }
        self.controller.freshness(now, &sight);
    }

    async fn healthy(&mut self, numbers: &mut [Vec<NumberId>; 2]) {
        for channel in Channel::ALL {
            self.controller.healthy(channel, std::mem::take(&mut numbers[channel.index()])).await;
        }
    }

    async fn tell(&mut self, event: EngineEvent) {
        let roster = &self.shared.roster;
        let metrics = &self.shared.metrics;
        match event {
            EngineEvent::Settled(change) => {
                metrics.settled(&change);
                self.shared.recent.settled(&change);
                self.controller.settled(&change);
                if change.is_inbound && change.is.is_curable_failure() {
                    self.suspect(std::iter::once(change.number), change.channel);
                }
            }
            EngineEvent::Alert { number, code } => metrics.alert(number, code),
            EngineEvent::Warned { number, channel, code } => {
                let name = roster.name_of(number);
                tracing::debug!(number = %name, %channel, %code, "an error is logged of what was served all the same");
            }
            // Taken in together, above.
            EngineEvent::Met { .. } => {}
            EngineEvent::AlertsLate { waits } => {
                tracing::warn!(
                    waits = format!("{waits:.0?}"),
                    "alerts come after their calls had been taken for served, which was corrected: outcomes wait longer"
                );
            }
            EngineEvent::PortedOut { number } => {
                let now = self.shared.clock.now();
                self.controller.ported_out(now, number).await;
            }
            EngineEvent::Phase { number, channel, from, to, why } => {
                self.controller.ask(ProbeRequest::Phase { number, channel, phase: to });
                let (id, name) = (roster.number(number).id, roster.name_of(number));
                let why = match (to, why) {
                    (_, PhaseChange::Quiet) => "watched closely for a day, and few came",
                    (_, PhaseChange::Completed) => "Twilio says that its port is completed",
                    (_, PhaseChange::NotPorted) => "Twilio says that its port is not completed",
                    (Phase::Passive, _) => "watched closely for long enough",
                    (Phase::Active, PhaseChange::Due) => "it had two days to settle",
                    (_, PhaseChange::Due) => "its port was due",
                    (_, PhaseChange::Served) => "its first caller was served",
                    (_, PhaseChange::Probed) => "a test reached it and was served",
                    (_, PhaseChange::FirstCaller) => "its first caller arrived",
                    (_, PhaseChange::Operator) => "an operator said so",
                };
                tracing::info!(number = %name, %channel, from = from.label(), to = to.label(), "phase: {why}");
                if to == Phase::Passive {
                    tracing::info!(number = %name, %channel, "polls are slower from here on; decisions and alerts go on");
                }
                let entry = Entry::Phase { channel, number: id, phase: to };
                self.controller.commit_or_keep(entry, "a phase").await;
            }
            EngineEvent::Verdict { number, channel, from, to } => {
                if to == Verdict::Silent {
                    self.suspect(std::iter::once(number), channel);
                }
                let name = roster.name_of(number);
                if from == Verdict::Blind || to == Verdict::Blind {
                    // Said once for all, below.
                    return;
                }
                let e = &self.engine().channel(number, channel).evidence;
                tracing::info!(
                    number = %name, %channel, from = from.label(), to = to.label(), callers = e.callers,
                    failing = e.failing, "verdict"
                );
            }
            EngineEvent::GroupVerdict { group, channel, from, to } => {
                if matches!(to, Verdict::Silent | Verdict::Suspect) {
                    self.suspect(roster.group(group).numbers.iter().copied().take(GROUP_PROBES), channel);
                }
                let name = &roster.group(group).name;
                if from == Verdict::Blind || to == Verdict::Blind {
                    return;
                }
                tracing::info!(group = %name, %channel, from = from.label(), to = to.label(), "verdict");
            }
            EngineEvent::Decided(decision) => self.decided(*decision).await,
        }
    }

    async fn decided(&mut self, decision: Decision) {
        let Some(decision) = self.controller.decided(decision).await else {
            return;
        };
        self.shared.metrics.decided(&decision);
        let (id, group, channel) = (decision.id, decision.group.to_string(), decision.channel);
        let numbers = decision.numbers.len();
        let leading = decision.evidence.reasons.first().map_or("", |r| r.reason.text());
        match decision.action {
            Action::Rollback => tracing::warn!(
                decision = %id, group, %channel, numbers, callers = decision.evidence.failing,
                "callers are not served: {}: {leading}", decision.rule
            ),
            Action::Withheld { guard } => {
                self.shared.metrics.suppressed(guard.into());
                tracing::warn!(
                    decision = %id, group, %channel, numbers, guard = guard.label(),
                    "would have rolled back, but {}: {}: {leading}", guard.text(), decision.rule
                );
            }
            Action::Page { reason } => {
                tracing::error!(
                    decision = %id, group, %channel, numbers, reason = reason.label(),
                    "{}: {}: {}", if reason.is_curable() { "a person is told, and nothing is swapped" }
                    else { "trouble that a swap would not cure" }, reason.text(), decision.rule
                );
            }
        }
        self.decisions.push_front(decision);
        self.decisions.truncate(DECISIONS);
    }
}
