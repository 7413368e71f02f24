//! Carrying out orders: snapshot, intent, write, read back, and the journal at each step.
//!
//! Nothing is written to a number before its whole record and the intent are on the disk (law 1).
//! Success is not Twilio's 200 but the effective handler as read back afterwards. The numbers of one
//! order are written at the same time, as many at once as Twilio bears; each asks the [`WriteGuard`] right
//! before its write. The control task writes the journal ([`crate::agent::control::journal`]), and each step waits
//! for its receipt. Each order has a task of its own: no group's rollback waits for another's.
//!
//! An order that an earlier agent began is carried on by the same code: a number whose intent is in
//! the journal is looked at first, and is written only if it is still as it was.

mod landed;
pub mod read;
pub mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::planning::digest;
use crate::agent::control::journal::AppendError;
use crate::agent::control::write_guard::{Initiator, WriteGuard};
use crate::agent::execute::read::{ReadError, RoutingRead, RoutingReader};
use crate::agent::execute::write::{WriteEnd, WriteJob, WriteResult, write};
use crate::core::model::guard::Guard;
use crate::core::model::id::{Channel, NumberId, NumberSid};
use crate::core::model::order::{FallbackState, Operation, Order, OrderResult};
use crate::core::rollback::apply::{self, FoundNumber};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::late::LANDS_WITHIN;
use crate::core::rollback::look::Ground;
use crate::core::rollback::plan::{self, NumberEnd, Unknown};
use crate::core::rollback::saga::SagaState;
use crate::core::routing::values::RoutingValues;
use crate::store::StoreProblem;
use crate::store::journal::sha256;
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
    pub by: Initiator,
    /// The next agent carries it on when this one stops. What a person has given to an agent of its own ends with it.
    pub outlives_us: bool,
    /// Each with its state as the journal has it.
    pub numbers: Vec<(NumberId, SagaState)>,
    /// What is known of the fallback for each.
    pub fallbacks: HashMap<NumberId, FallbackState>,
    /// What each is held against when it is read.
    pub grounds: HashMap<NumberId, Ground>,
}

impl Work {
    fn fallback_for(&self, number: NumberId) -> FallbackState {
        self.fallbacks.get(&number).copied().unwrap_or_default()
    }

    /// Law 6, also if the fallback broke, or was found to be, after the order was given. What was intended by an
    /// earlier life may be written already, and is settled.
    fn passes(&self, number: NumberId, plan: Planned) -> Result<Planned, NumberEnd> {
        let is_broken = plan.fallback.is_some() && self.fallback_for(number) == FallbackState::Broken;
        if is_broken && !plan.job.plan.is_intended {
            return Err((OrderResult::Refused, "the fallback is broken".to_owned()));
        }
        Ok(plan)
    }
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
    /// Of a rollback.
    fallback: Option<String>,
}

type Ends = Vec<(NumberId, OrderResult, String)>;

impl Executor {
    pub fn new(shared: Shared, write_guard: WriteGuard, stop: CancellationToken) -> Executor {
        Executor { shared, write_guard, stop }
    }

    /// Carries out orders until it is stopped. What is being written then is finished, and nothing more begins.
    /// Ends early if one breaks.
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
                    let execution = self.execution(work.order.operation);
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
        self.write_guard.end();
        while let Some(Some(_)) = clock.wait(None, executions.join_next()).await {}
    }

    fn execution(&self, operation: Operation) -> Execution {
        let client = self.shared.client.clone();
        // An apply's reads wait for a rollback's.
        let client = if operation.is_of_fallback() { client.first() } else { client };
        Execution {
            shared: self.shared.clone(),
            write_guard: self.write_guard.clone(),
            reader: RoutingReader::new(self.shared.clock.clone(), client, &self.shared.roster),
            stop: self.stop.clone(),
        }
    }
}

impl Execution {
    /// Carries out one order. What cannot be journaled is left for the next start.
    #[tracing::instrument(skip_all, fields(decision = %work.order.id, group = %work.order.group, channel = %work.order.channel))]
    async fn carry_out(mut self, work: Work) {
        // Where work is abandoned, the log has said why.
        let _ = self.work(&work).await;
    }

    async fn work(&mut self, work: &Work) -> Result<(), Abandoned> {
        let Order { id: decision, channel, operation, .. } = *work.order;
        let mut ends = Ends::new();
        let mut states = BTreeMap::new();
        for (number, state) in &work.numbers {
            match plan::settled(operation, state) {
                Some((result, why)) => ends.push((*number, result, why)),
                None => {
                    states.insert(*number, state);
                }
            }
        }
        let wanted: Vec<_> = states.iter().map(|(number, state)| (*number, self.sid(*number, state))).collect();
        let with_regions = matches!(operation, Operation::Rollback | Operation::Apply);
        let reads = self.reader.read(&wanted, channel, with_regions).await;
        let states = self.after_landings(work, states, &reads, &mut ends).await?;
        let mut planned = Vec::new();
        let mut entries = Vec::new();
        for (number, state) in &states {
            let number = *number;
            let found = match reads.get(&number) {
                Some(Ok(read)) => {
                    let plan = self.plan(work, number, state, read).and_then(|plan| work.passes(number, plan));
                    plan.map(|plan| (plan, &read.read))
                }
                Some(Err(error)) => Err((OrderResult::Failed, error.to_string())),
                None => Err((OrderResult::Failed, ReadError::NotInAccount.to_string())),
            };
            let (plan, read) = match found {
                Ok(found) => found,
                // What an earlier life intended may have happened: nothing less may be said.
                Err((OrderResult::Failed, why)) if state.may_be_written_by(decision) => {
                    ends.push((number, OrderResult::Unproven, format!("it may have been written before: {why}")));
                    continue;
                }
                Err((result, why)) => {
                    ends.push((number, result, why));
                    continue;
                }
            };
            if !plan.job.plan.is_intended {
                let sid = plan.job.sid;
                if matches!(operation, Operation::Rollback | Operation::Apply) {
                    let record = read.raw.clone();
                    let sha256 = sha256(record.whole().as_bytes());
                    entries.push(Entry::Snapshot { decision, channel, number, sid, record, sha256 });
                }
                if operation == Operation::Rollback {
                    let fallback = work.fallback_for(number);
                    entries.push(Entry::Checked { decision, channel, number, fallback });
                }
                let update = plan.job.plan.update.clone();
                entries.push(Entry::Intent { decision, channel, number, sid, operation, update });
            }
            planned.push(plan);
        }
        if self.stop.is_cancelled() && work.outlives_us {
            return Err(Abandoned);
        }
        // Law 1: on the disk before anything is written.
        if let Err(error) = self.shared.journal.append(entries).await {
            return self.cannot_begin(work, ends, planned, error).await;
        }
        self.write_and_read_back(work, planned, ends).await
    }

    fn sid(&self, number: NumberId, state: &SagaState) -> Option<NumberSid> {
        let known = self.shared.roster.find(number).and_then(|ix| self.shared.number_sid(ix));
        known.or(state.swap().map(|s| s.before.sid))
    }

    fn plan(&self, work: &Work, number: NumberId, state: &SagaState, read: &RoutingRead) -> Result<Planned, NumberEnd> {
        let NumberRead { record, raw } = &read.read;
        let order = &work.order;
        self.sees_service(state, read)?;
        let (plan, fallback) = match order.operation {
            Operation::Rollback => {
                let refused = |why: &str| (OrderResult::Refused, why.to_owned());
                let ix = self.shared.roster.find(number).ok_or_else(|| refused("it is not ours"))?;
                let fallback = self.shared.roster.group_of(ix).fallback(order.channel);
                let fallback = fallback.ok_or_else(|| refused("its group has no fallback for this channel"))?;
                let ground = work.grounds.get(&number).ok_or_else(|| refused("it is not ours"))?;
                let late = ground.late_at(raw.whole());
                (plan::rollback(order, state, record, raw.whole(), fallback, late)?, Some(fallback.to_owned()))
            }
            Operation::Restore | Operation::Undo => {
                let group = self.shared.roster.find(number).map(|ix| self.shared.roster.group_of(ix));
                let fallback = group.and_then(|group| group.fallback(order.channel));
                let is_on_fallback = fallback.is_some_and(|url| record.leads_to(order.channel, url));
                (plan::restore(order, state, raw.whole(), is_on_fallback)?, None)
            }
            Operation::Apply => {
                let refused = |why: &str| (OrderResult::Refused, why.to_owned());
                let terms = order.terms.as_ref().ok_or_else(|| refused("the order does not say what to apply"))?;
                let group = self.shared.roster.find(number).map(|ix| self.shared.roster.group_of(ix));
                let fallback = group.ok_or_else(|| refused("it is not ours"))?.fallback(order.channel);
                let digest = self.digest(order.channel, &read.read);
                let service = terms.wanted.service.and_then(|sid| self.reader.service(sid));
                let found = FoundNumber { service, ..found(read, digest.as_deref()) };
                (apply::apply(order, terms, number, state, found, fallback)?, None)
            }
        };
        let (group, channel, sid) = (order.group.clone(), order.channel, record.sid);
        Ok(Planned { job: WriteJob { by: work.by, group, number, channel, sid, plan }, fallback })
    }

    /// What we wrote of a number's Messaging Service can be settled only by whoever sees which it is in (law 4).
    fn sees_service(&self, state: &SagaState, read: &RoutingRead) -> Result<(), NumberEnd> {
        let is_of_it = state.swap().is_some_and(|swap| plan::is_of_service(&swap.wrote));
        match &read.unknown {
            Some(unknown @ Unknown::Services(_)) if is_of_it && state.is_under_way() => {
                Err((OrderResult::Unproven, format!("it may have been written: {}", unknown.text())))
            }
            Some(unknown @ Unknown::Services(_)) if is_of_it => {
                Err((OrderResult::Failed, format!("nothing was written: {}", unknown.text())))
            }
            Some(Unknown::Services(_) | Unknown::Region(_)) | None => Ok(()),
        }
    }

    /// Of a number's routing as read, as orders have it.
    fn digest(&self, channel: Channel, read: &NumberRead) -> Option<String> {
        let now = RoutingValues::read(read.raw.whole(), channel).ok()?;
        digest(self.shared.client.key(), &read.record, &now)
    }

    async fn write_and_read_back(
        &mut self,
        work: &Work,
        planned: Vec<Planned>,
        mut ends: Ends,
    ) -> Result<(), Abandoned> {
        let Order { id: decision, channel, operation, .. } = *work.order;
        let mut wrote = self.write(&planned).await;
        let mut taken = Vec::new();
        // What an earlier life intended may have been sent, whatever a look shows by now.
        let intended = work.numbers.iter().filter(|(_, state)| state.may_be_written_by(decision)).map(|(n, _)| *n);
        let lost: BTreeSet<NumberId> =
            intended.chain(wrote.iter().filter(|(_, end)| end.is_lost).map(|(n, _)| *n)).collect();
        for plan in planned {
            let number = plan.job.number;
            let (result, why) = match wrote.remove(&number).map_or(WriteResult::Taken, |end| end.result) {
                WriteResult::Taken => {
                    taken.push(plan);
                    continue;
                }
                WriteResult::Stopped(guard) => (OrderResult::Refused, stopped(guard)),
                // Intended, and perhaps written: the next agent looks, and carries it on.
                WriteResult::Ending(_) if work.outlives_us => continue,
                WriteResult::Ending(Some(open)) => (OrderResult::Unproven, open),
                WriteResult::Ending(None) => (OrderResult::Refused, ENDED.to_owned()),
                WriteResult::Failed(why) => (OrderResult::Failed, why),
                WriteResult::Foreign(now) => plan.job.plan.superseded(&now),
                // It may have happened: nothing less may be said.
                WriteResult::Unknown(why) => (OrderResult::Unproven, why),
            };
            ends.push((number, result, why));
        }
        let until = self.shared.clock.now() + LANDS_WITHIN;
        let lost = lost.into_iter().map(|number| Entry::Lost { decision, channel, number, until });
        let written = taken.iter().map(|p| Entry::Written { decision, channel, number: p.job.number });
        self.journal(lost.chain(written).collect()).await?;
        for tries in 1..=READ_BACK {
            let wanted: Vec<_> = taken.iter().map(|p| (p.job.number, Some(p.job.sid))).collect();
            let mut reads = self.reader.read(&wanted, channel, true).await;
            let mut again = Vec::new();
            for plan in taken {
                let number = plan.job.number;
                let (result, detail) = match reads.remove(&number).unwrap_or(Err(ReadError::NotInAccount)) {
                    Ok(read) => match &work.order.terms {
                        Some(terms) => {
                            let service = terms.wanted.service.and_then(|sid| self.reader.service(sid));
                            apply::verdict(&plan.job.plan, terms, FoundNumber { service, ..found(&read, None) })
                        }
                        None => plan::verdict(
                            &plan.job.plan,
                            plan.fallback.as_deref(),
                            &read.read.record,
                            read.read.raw.whole(),
                            read.unknown.as_ref(),
                        ),
                    },
                    // The next agent looks.
                    Err(_) if self.stop.is_cancelled() && work.outlives_us => continue,
                    Err(error) if error.is_passing() && tries < READ_BACK && !self.stop.is_cancelled() => {
                        again.push(plan);
                        continue;
                    }
                    Err(error) => {
                        let done = match operation {
                            Operation::Rollback | Operation::Apply => "written",
                            Operation::Restore | Operation::Undo => "restored",
                        };
                        (OrderResult::Unproven, format!("{done}, but it cannot be read back: {error}"))
                    }
                };
                ends.push((number, result, detail));
            }
            // What is known of one number need not wait for another.
            self.end(work, std::mem::take(&mut ends)).await?;
            if again.is_empty() {
                break;
            }
            taken = again;
            self.shared.clock.sleep(READ_AGAIN).await;
        }
        Ok(())
    }

    /// Writes all at the same time, except what is written already.
    async fn write(&self, planned: &[Planned]) -> BTreeMap<NumberId, WriteEnd> {
        let clock = &self.shared.clock;
        let mut tasks = JoinSet::new();
        let mut wrote = BTreeMap::new();
        for plan in planned.iter().filter(|p| !p.job.plan.is_written) {
            let (client, write_guard, job, own) =
                (self.shared.client.first(), self.write_guard.clone(), plan.job.clone(), clock.clone());
            // Should the task break, what it did cannot be told.
            let broke = WriteResult::Unknown("the task that wrote it broke".to_owned());
            wrote.insert(job.number, WriteEnd { result: broke, is_lost: true });
            clock.spawn(&mut tasks, async move { (job.number, write(&client, &own, &write_guard, &job).await) });
        }
        while let Some(Some(joined)) = clock.wait(None, tasks.join_next()).await {
            if let Ok((number, end)) = joined {
                wrote.insert(number, end);
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
        let (intended, new): (Vec<Planned>, Vec<Planned>) = planned.into_iter().partition(|p| p.job.plan.is_intended);
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

fn found<'a>(read: &'a RoutingRead, digest: Option<&'a str>) -> FoundNumber<'a> {
    let RoutingRead { read, unknown } = read;
    FoundNumber { record: &read.record, raw: read.raw.whole(), read: digest, unknown: unknown.as_ref(), service: None }
}

/// Of an order that a person has given to an agent of its own, and stopped.
const ENDED: &str = "not written: it was stopped";

fn stopped(guard: Guard) -> String {
    format!("not written: {}", guard.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::decision::DecisionId;
    use crate::core::model::id::GroupName;
    use crate::core::model::order::By;
    use crate::core::rollback::plan::WritePlan;
    use crate::testing::ours;

    /// Law 6 between an order and its write.
    #[test]
    fn nothing_is_written_to_a_fallback_that_broke_after_the_order() {
        let (number, other, channel) = (ours("+15005550100"), ours("+15005550101"), Channel::Voice);
        let group: GroupName = "support".parse().unwrap();
        let order = Order {
            id: DecisionId(1),
            operation: Operation::Rollback,
            channel,
            group: group.clone(),
            numbers: vec![number, other],
            by: By::Detector,
            force: false,
            staged: false,
            terms: None,
        };
        let fallbacks = [(number, FallbackState::Broken), (other, FallbackState::Good)].into();
        let work = Work {
            order: Arc::new(order),
            by: Initiator::Operator { stops: 0 },
            outlives_us: true,
            numbers: Vec::new(),
            fallbacks,
            grounds: HashMap::new(),
        };
        let passes = |number: NumberId, fallback: Option<&str>, is_intended: bool| {
            let values = RoutingValues::read("{}", channel).unwrap();
            let (unwritten, written) = (values.clone(), values);
            let (update, before) = (Vec::new(), None);
            let plan = WritePlan { update, before, unwritten, written, force: false, is_intended, is_written: false };
            let (by, sid) = (Initiator::Operator { stops: 0 }, NumberSid::from_u128(1));
            let job = WriteJob { by, group: group.clone(), number, channel, sid, plan };
            let plan = Planned { job, fallback: fallback.map(str::to_owned) };
            work.passes(number, plan).map(|_| ()).map_err(|(result, _)| result)
        };
        let bin = Some("https://handler.twilio.com/twiml/EH1");
        assert_eq!(passes(number, bin, false), Err(OrderResult::Refused));
        assert_eq!(passes(other, bin, false), Ok(()));
        assert_eq!(passes(number, bin, true), Ok(()), "it may be written already, and is settled");
        assert_eq!(passes(number, None, false), Ok(()), "a restore leads away from it");
    }
}
