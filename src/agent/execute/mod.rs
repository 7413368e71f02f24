//! Carrying out orders: snapshot, intent, write, read back, and the journal at each step.
//!
//! Nothing is written to a number before its whole record and the intent are on the disk (law 1).
//! Success is not Twilio's 200 but the effective handler as read back afterwards. The numbers of one
//! order are written at the same time, as many at once as Twilio bears; each asks the [`WriteGuard`] right
//! before its write. The control task writes the journal ([`crate::agent::control::journal`]), and each step waits for its receipt. Each order
//! has a task of its own: no group's rollback waits for another's.
//!
//! An order that an earlier agent began is carried on by the same code: a number whose intent is in
//! the journal is looked at first, and is written only if it is still as it was.

pub mod read;
pub mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::agent::control::journal::AppendError;
use crate::agent::control::write_guard::WriteGuard;
use crate::agent::execute::read::RoutingReader;
use crate::agent::execute::write::{WriteJob, WriteResult, WriteState, write};
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, E164, NumberSid};
use crate::core::model::order::{FallbackState, Operation, Order, OrderResult, UpdateParams};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::saga::SagaState;
use crate::core::routing::values::RoutingValues;
use crate::store::StoreProblem;
use crate::store::journal::sha256;
use crate::twilio::Error;
use crate::twilio::wire::NumberRead;

/// Between tries to write the journal: nothing else is done meanwhile.
const JOURNAL_AGAIN: Duration = Duration::from_secs(5);

/// Tries to read numbers back; each is itself several requests.
const READ_BACK: u32 = 3;

/// Between them.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Numbers of an order to be carried out now.
#[derive(Debug, Clone)]
pub struct Work {
    pub order: Arc<Order>,
    /// Each with its state as the journal has it.
    pub numbers: Vec<(E164, SagaState)>,
    pub fallback: FallbackState,
}

/// The journal can no longer be written by us, or the agent stops: the work is left as it is.
struct Abandoned;

/// Takes orders and carries out each in a task of its own, so that no group waits for another.
pub struct Executor {
    shared: Shared,
    write_guard: WriteGuard,
    stop: CancellationToken,
}

/// One order being carried out.
struct Execution {
    shared: Shared,
    write_guard: WriteGuard,
    reader: RoutingReader,
    stop: CancellationToken,
}

/// A number with what is to be written to it.
struct Planned {
    job: WriteJob,
    sid: NumberSid,
    /// Of a rollback.
    fallback: Option<String>,
    /// Its intent is in the journal already.
    is_intended: bool,
    /// And a look shows that it was carried out.
    is_written: bool,
}

type Ends = Vec<(E164, OrderResult, String)>;

impl Executor {
    pub const fn new(shared: Shared, write_guard: WriteGuard, stop: CancellationToken) -> Executor {
        Executor { shared, write_guard, stop }
    }

    /// Carries out orders until it is stopped; those under way are finished. Ends early if one breaks.
    pub async fn run(self, mut work: mpsc::Receiver<Work>) {
        let clock = self.shared.clock.clone();
        let mut executions = JoinSet::new();
        loop {
            let next = async {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => None,
                    Some(ended) = executions.join_next() => Some(Err(ended)),
                    work = work.recv() => work.map(Ok),
                }
            };
            match clock.wait(None, next).await.flatten() {
                Some(Ok(work)) => {
                    let execution = self.execution();
                    clock.spawn(&mut executions, execution.carry_out(work));
                }
                Some(Err(Ok(()))) => {}
                Some(Err(Err(broken))) => {
                    tracing::error!(%broken, "an order's task broke: this agent stops");
                    return;
                }
                None => break,
            }
        }
        while let Some(Some(_)) = clock.wait(None, executions.join_next()).await {}
    }

    fn execution(&self) -> Execution {
        Execution {
            shared: self.shared.clone(),
            write_guard: self.write_guard.clone(),
            reader: RoutingReader::new(self.shared.client.clone(), &self.shared.roster),
            stop: self.stop.clone(),
        }
    }
}

impl Execution {
    /// Carries out one order. What cannot be journaled is left for the next start.
    #[tracing::instrument(skip_all, fields(decision = %work.order.id, group = %work.order.group, channel = %work.order.channel))]
    async fn carry_out(mut self, work: Work) {
        // Where work is abandoned, the log has said why.
        let _ = match work.order.act {
            Operation::Rollback => self.roll_back(&work).await,
            Operation::Restore => self.restore(&work).await,
        };
    }

    async fn roll_back(&mut self, work: &Work) -> Result<(), Abandoned> {
        let Order { id: decision, channel, .. } = *work.order;
        let mut ends = Ends::new();
        let mut states = BTreeMap::new();
        for (number, state) in &work.numbers {
            if state.is_on_fallback() && !state.is_under_way() {
                ends.push((*number, OrderResult::Written, "it is on the fallback already".to_owned()));
            } else {
                states.insert(*number, state);
            }
        }
        let reads = match self.read(&mut states, channel, &mut ends).await {
            Ok(reads) => reads,
            Err(error) => {
                ends.extend(states.keys().map(|n| (*n, OrderResult::Failed, error.to_string())));
                return self.end(work, ends).await;
            }
        };
        let mut planned = Vec::new();
        let mut entries = Vec::new();
        for read in &reads {
            let number = read.record.number;
            let Some(state) = states.remove(&number) else { continue };
            match self.plan_rollback(work, read, state) {
                Ok(plan) => {
                    if !plan.is_intended {
                        let (sid, record) = (plan.sid, read.raw.clone());
                        let sha256 = sha256(record.as_bytes());
                        entries.push(Entry::Snapshot { decision, channel, number, sid, record, sha256 });
                        entries.push(Entry::Checked { decision, channel, number, fallback: work.fallback });
                        let form = plan.job.form.clone();
                        entries.push(Entry::Intent { decision, channel, number, sid, act: Operation::Rollback, form });
                    }
                    planned.push(plan);
                }
                Err((end, why)) => ends.push((number, end, why)),
            }
        }
        let missing = |n: &E164| (*n, OrderResult::Refused, "it is not in the account".to_owned());
        ends.extend(states.keys().map(missing));
        // Law 1: on the disk before anything is written.
        if let Err(error) = self.shared.journal.append(entries).await {
            return self.cannot_begin(work, ends, planned, error).await;
        }
        self.write_and_read_back(work, planned, ends).await
    }

    fn plan_rollback(
        &self,
        work: &Work,
        read: &NumberRead,
        state: &SagaState,
    ) -> Result<Planned, (OrderResult, String)> {
        let Order { id, channel, ref group, .. } = *work.order;
        let number = read.record.number;
        let failed = |e: crate::core::routing::values::BadRecord| (OrderResult::Failed, e.to_string());
        let ix = self.shared.roster.find(number).ok_or((OrderResult::Refused, "it is not ours".to_owned()))?;
        let fallback = self.shared.roster.group_of(ix).fallback(channel).map(str::to_owned);
        let fallback =
            fallback.ok_or((OrderResult::Refused, "its group has no fallback for this channel".to_owned()))?;
        let now = RoutingValues::read(&read.raw, channel).map_err(failed)?;
        let job = |form: UpdateParams, unwritten: RoutingValues| {
            let written = unwritten.after(&form);
            let (group, sid) = (group.clone(), read.record.sid);
            WriteJob { group, number, channel, sid, form, unwritten, written, force: false }
        };
        let sid = read.record.sid;
        let planned = |job, is_intended, is_written| Planned {
            job,
            sid,
            fallback: Some(fallback.clone()),
            is_intended,
            is_written,
        };
        match state {
            SagaState::Intended(swap) | SagaState::Written(swap) if swap.order == id => {
                let before = RoutingValues::read(&swap.before.record, channel).map_err(failed)?;
                let job = job(swap.wrote.clone(), before);
                match job.found(&read.raw).map_err(|e| (OrderResult::Failed, e))? {
                    WriteState::Written => Ok(planned(job, true, true)),
                    WriteState::Unwritten => Ok(planned(job, true, false)),
                    WriteState::Foreign(_) => Err((OrderResult::Superseded, differences(&job, &now))),
                }
            }
            SagaState::Idle
            | SagaState::Snapshotted { .. }
            | SagaState::Checked { .. }
            | SagaState::Intended(_)
            | SagaState::Written(_)
            | SagaState::ReadBack(_)
            | SagaState::Proven(_)
            | SagaState::Unproven(_)
            | SagaState::Restoring { .. }
            | SagaState::RestoreWritten { .. }
            | SagaState::Restored(_)
            | SagaState::Failed(_)
            | SagaState::Refused(_)
            | SagaState::Superseded { .. } => {
                let form =
                    read.record.swap(channel, &fallback).map_err(|why| (OrderResult::Refused, why.to_string()))?;
                let form = form.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
                Ok(planned(job(form, now), false, false))
            }
        }
    }

    async fn restore(&mut self, work: &Work) -> Result<(), Abandoned> {
        let Order { id: decision, channel, force, ref group, .. } = *work.order;
        let mut ends = Ends::new();
        let mut states = BTreeMap::new();
        for (number, state) in &work.numbers {
            match state.swap() {
                Some(_) if matches!(state, SagaState::Superseded { .. }) && !force => {
                    let why = "somebody else changed it after the rollback; restore it with --force, or leave it";
                    ends.push((*number, OrderResult::Superseded, why.to_owned()));
                }
                Some(_) => {
                    states.insert(*number, state);
                }
                None => ends.push((*number, OrderResult::Restored, "it is on its own handler".to_owned())),
            }
        }
        let reads = match self.read(&mut states, channel, &mut ends).await {
            Ok(reads) => reads,
            Err(error) => {
                ends.extend(states.keys().map(|n| (*n, OrderResult::Failed, error.to_string())));
                return self.end(work, ends).await;
            }
        };
        let mut planned = Vec::new();
        let mut entries = Vec::new();
        for read in &reads {
            let number = read.record.number;
            let Some((state, swap)) = states.remove(&number).and_then(|s| Some((s, s.swap()?))) else { continue };
            let values = RoutingValues::read(&swap.before.record, channel)
                .and_then(|b| Ok((b, RoutingValues::read(&read.raw, channel)?)));
            let (before, now) = match values {
                Ok(values) => values,
                Err(bad) => {
                    ends.push((number, OrderResult::Failed, bad.to_string()));
                    continue;
                }
            };
            let ours = before.after(&swap.wrote);
            let is_intended = matches!(state, SagaState::Restoring { order, .. } | SagaState::RestoreWritten { order, .. } if *order == decision);
            let form = before.undo(&swap.wrote);
            let unwritten = if force && !is_intended { now.clone() } else { ours.clone() };
            let written = unwritten.after(&form);
            let sid = read.record.sid;
            let job = WriteJob { group: group.clone(), number, channel, sid, form, unwritten, written, force };
            let is_written = is_intended && now == job.written;
            if !is_written && !force && now != ours {
                // Compare and set: it is no longer what the rollback left.
                let all: Vec<String> =
                    RoutingValues::differences(&before, &ours, &now).iter().map(ToString::to_string).collect();
                ends.push((number, OrderResult::Superseded, format!("somebody else changed it: {}", all.join("; "))));
                continue;
            }
            if !is_intended {
                let form = job.form.clone();
                entries.push(Entry::Intent { decision, channel, number, sid, act: Operation::Restore, form });
            }
            planned.push(Planned { job, sid, fallback: None, is_intended, is_written });
        }
        ends.extend(states.keys().map(|n| (*n, OrderResult::Failed, "it is not in the account".to_owned())));
        if let Err(error) = self.shared.journal.append(entries).await {
            return self.cannot_begin(work, ends, planned, error).await;
        }
        self.write_and_read_back(work, planned, ends).await
    }

    /// Reads the numbers of `states`; those whose SID nobody knows are taken out and end.
    async fn read(
        &mut self,
        states: &mut BTreeMap<E164, &SagaState>,
        channel: Channel,
        ends: &mut Ends,
    ) -> Result<Vec<NumberRead>, Error> {
        let mut sids = Vec::new();
        states.retain(|number, state| {
            let known = self.shared.roster.find(*number).and_then(|ix| self.shared.number_sid(ix));
            match known.or(state.swap().map(|s| s.before.sid)) {
                Some(sid) => {
                    sids.push(sid);
                    true
                }
                None => {
                    ends.push((*number, OrderResult::Refused, "it is not in the account".to_owned()));
                    false
                }
            }
        });
        if sids.is_empty() {
            return Ok(Vec::new());
        }
        self.reader.read(&sids, channel).await
    }

    async fn write_and_read_back(
        &mut self,
        work: &Work,
        planned: Vec<Planned>,
        mut ends: Ends,
    ) -> Result<(), Abandoned> {
        let Order { id: decision, channel, .. } = *work.order;
        let mut wrote = self.write(&planned).await;
        let mut taken = Vec::new();
        for plan in planned {
            let number = plan.job.number;
            match wrote.remove(&plan.sid).unwrap_or(WriteResult::Taken) {
                WriteResult::Taken => taken.push(plan),
                WriteResult::Stopped(guard) => ends.push((number, OrderResult::Refused, stopped(guard))),
                WriteResult::Failed(why) => ends.push((number, OrderResult::Failed, why)),
                WriteResult::Foreign(now) => ends.push((number, OrderResult::Superseded, differences(&plan.job, &now))),
                WriteResult::Unknown(why) => {
                    // It may have happened: nothing less may be said.
                    ends.push((number, OrderResult::Unproven, why));
                }
            }
        }
        let written = taken.iter().map(|p| Entry::Written { decision, channel, number: p.job.number }).collect();
        self.journal(written).await?;
        let sids: Vec<NumberSid> = taken.iter().map(|p| p.sid).collect();
        let reads = self.read_back(&sids, channel).await;
        for plan in &taken {
            let (end, detail) = match &reads {
                Ok(reads) => verdict(plan, reads.iter().find(|r| r.record.sid == plan.sid)),
                Err(error) if plan.fallback.is_some() => {
                    (OrderResult::Unproven, format!("written, but it cannot be read back: {error}"))
                }
                Err(error) => (OrderResult::Unproven, format!("restored, but it cannot be read back: {error}")),
            };
            ends.push((plan.job.number, end, detail));
        }
        self.end(work, ends).await
    }

    async fn read_back(&mut self, sids: &[NumberSid], channel: Channel) -> Result<Vec<NumberRead>, Error> {
        if sids.is_empty() {
            return Ok(Vec::new());
        }
        let mut tries = 1;
        loop {
            match self.reader.read(sids, channel).await {
                Ok(mut reads) => {
                    if channel == Channel::Voice {
                        self.reader.add_regions(&self.shared.clock, &mut reads).await;
                    }
                    return Ok(reads);
                }
                Err(error) if tries == READ_BACK || !error.is_passing() => return Err(error),
                Err(_) => self.shared.clock.sleep(READ_AGAIN).await,
            }
            tries += 1;
        }
    }

    /// Writes all at the same time, except what is written already.
    async fn write(&self, planned: &[Planned]) -> BTreeMap<NumberSid, WriteResult> {
        let clock = &self.shared.clock;
        let mut tasks = JoinSet::new();
        let mut wrote = BTreeMap::new();
        for plan in planned.iter().filter(|p| !p.is_written) {
            let (client, write_guard, job, own) =
                (self.shared.client.clone(), self.write_guard.clone(), plan.job.clone(), clock.clone());
            // Should the task break, what it did cannot be told.
            wrote.insert(plan.sid, WriteResult::Unknown("the task that wrote it broke".to_owned()));
            clock.spawn(&mut tasks, async move { (job.sid, write(&client, &own, &write_guard, &job).await) });
        }
        while let Some(Some(joined)) = clock.wait(None, tasks.join_next()).await {
            if let Ok((sid, end)) = joined {
                wrote.insert(sid, end);
            }
        }
        wrote
    }

    /// Nothing more may be written. What was found to be so, or was intended before, is as it was found.
    async fn cannot_begin(
        &mut self,
        work: &Work,
        mut ends: Ends,
        planned: Vec<Planned>,
        error: AppendError,
    ) -> Result<(), Abandoned> {
        let error = match error {
            AppendError::Store(error) if error.problem != StoreProblem::LeaseLost => error,
            AppendError::Store(_) | AppendError::Ended => return Err(Abandoned),
        };
        let why = format!("nothing was written, because the journal cannot be: {error}");
        tracing::error!(decision = %work.order.id, cure = error.cure, "{why}");
        let (intended, new): (Vec<Planned>, Vec<Planned>) = planned.into_iter().partition(|p| p.is_intended);
        ends.extend(new.into_iter().map(|p| (p.job.number, OrderResult::Failed, why.clone())));
        self.write_and_read_back(work, intended, ends).await
    }

    async fn end(&mut self, work: &Work, ends: Ends) -> Result<(), Abandoned> {
        let Order { id: decision, channel, .. } = *work.order;
        let entry = |(number, result, detail)| Entry::Result { decision, channel, number, result, detail };
        self.journal(ends.into_iter().map(entry).collect()).await
    }

    /// Writes what has happened to the journal, however long that takes.
    async fn journal(&mut self, entries: Vec<Entry>) -> Result<(), Abandoned> {
        let clock = self.shared.clock.clone();
        loop {
            let error = match self.shared.journal.append(entries.clone()).await {
                Ok(()) => return Ok(()),
                Err(AppendError::Store(error)) => error,
                // At the next start the intents are found open and settled by looking.
                Err(AppendError::Ended) => return Err(Abandoned),
            };
            tracing::error!(%error, cure = error.cure, "what was done is not in the journal yet");
            let is_over = clock.wait(Some(clock.now() + JOURNAL_AGAIN), self.stop.cancelled()).await.is_some();
            if is_over || error.problem == StoreProblem::LeaseLost {
                return Err(Abandoned);
            }
        }
    }
}

fn stopped(guard: Guard) -> String {
    format!("not written: {}", guard.text())
}

fn differences(job: &WriteJob, now: &RoutingValues) -> String {
    let all: Vec<String> =
        RoutingValues::differences(&job.unwritten, &job.written, now).iter().map(ToString::to_string).collect();
    format!("somebody else changed it meanwhile: {}", all.join("; "))
}

/// What became of a write, from what was read back, which has the last word.
fn verdict(plan: &Planned, read: Option<&NumberRead>) -> (OrderResult, String) {
    let Some(read) = read else {
        return (OrderResult::Unproven, "it is no longer in the account".to_owned());
    };
    let handler = read.record.handler(plan.job.channel);
    match &plan.fallback {
        Some(fallback) if handler.is_url(fallback) => (OrderResult::Written, format!("now answered by {handler}")),
        Some(_) => (OrderResult::Unproven, format!("Twilio took the write, but {handler} still answers")),
        None => match RoutingValues::read(&read.raw, plan.job.channel) {
            Ok(now) if now == plan.job.written => (OrderResult::Restored, format!("now answered by {handler}")),
            Ok(now) if now == plan.job.unwritten => {
                (OrderResult::Failed, format!("Twilio took the write, but {handler} still answers"))
            }
            Ok(now) => (OrderResult::Superseded, differences(&plan.job, &now)),
            Err(bad) => (OrderResult::Unproven, bad.to_string()),
        },
    }
}
