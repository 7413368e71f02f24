//! Carrying out a rollback: snapshot, intent, write, read back, and the journal at each step.
//!
//! Nothing is written to a number before its whole record and the intent are on the disk (law 1).
//! Success is not Twilio's 200 but the effective handler as read back afterwards. A write whose
//! answer was lost is settled by the same look. The numbers of one decision are written at the same
//! time, as many at once as Twilio bears.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::routing::RoutingReader;
use super::{Message, Shared};
use crate::core::id::{Channel, E164, NumberSid};
use crate::core::policy::{Decision, DecisionId};
use crate::core::routing::Handler;
use crate::core::time::Time;
use crate::metrics::RollbackResult;
use crate::store::{Entry, Record, StoreError, SwapResult};
use crate::twilio::Error;
use crate::twilio::wire::NumberRead;

/// How one number's rollback ended.
#[derive(Debug, Clone)]
pub struct Swapped {
    pub decision: DecisionId,
    pub number: E164,
    pub channel: Channel,
    pub result: SwapResult,
    pub at: Time,
}

/// An intent in the journal that has no result: the agent was stopped between the two.
#[derive(Debug, Clone, PartialEq)]
pub struct Interrupted {
    pub decision: DecisionId,
    pub number: E164,
    pub channel: Channel,
    pub sid: NumberSid,
}

/// Finds what the last agent left open.
pub fn interrupted(journal: &[Record]) -> Vec<Interrupted> {
    let mut open: Vec<Interrupted> = Vec::new();
    for record in journal {
        match &record.entry {
            Entry::Intent { decision, channel, number, sid, .. } => {
                open.push(Interrupted { decision: *decision, number: *number, channel: *channel, sid: *sid });
            }
            Entry::Result { decision, channel, number, .. } => {
                open.retain(|i| (i.decision, i.channel, i.number) != (*decision, *channel, *number));
            }
            Entry::Decision(_) | Entry::Snapshot { .. } | Entry::Phase { .. } => {}
        }
    }
    open
}

pub struct Executor {
    shared: Shared,
    reader: RoutingReader,
    /// Where results go.
    report: mpsc::Sender<Message>,
}

/// One number on its way.
struct Swap {
    sid: NumberSid,
    number: E164,
    form: Vec<(&'static str, String)>,
    fallback: String,
}

impl Executor {
    pub fn new(shared: Shared, report: mpsc::Sender<Message>) -> Executor {
        let reader = RoutingReader::new(shared.client.clone(), &shared.roster);
        Executor { shared, reader, report }
    }

    /// Carries out decisions until `stop`; the one under way is finished.
    pub async fn run(mut self, mut decisions: mpsc::Receiver<Arc<Decision>>, stop: CancellationToken) {
        let clock = self.shared.clock.clone();
        loop {
            let next = async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    decision = decisions.recv() => decision,
                }
            };
            let Some(Some(decision)) = clock.wait(None, next).await else {
                return;
            };
            self.carry_out(&decision).await;
        }
    }

    /// Looks at what an earlier agent may or may not have written, and says which.
    pub async fn settle(&mut self, open: Vec<Interrupted>) -> Result<(), SettleError> {
        for channel in Channel::ALL {
            let open: Vec<_> = open.iter().filter(|i| i.channel == channel).collect();
            if open.is_empty() {
                continue;
            }
            let sids: Vec<NumberSid> = open.iter().map(|i| i.sid).collect();
            let numbers = self.reader.read(&sids, channel).await.map_err(SettleError::Twilio)?;
            let mut entries = Vec::new();
            for i in open {
                let Some(ix) = self.shared.roster.find(i.number) else {
                    continue;
                };
                let fallback = self.shared.roster.group_of(ix).fallback(channel);
                let handler = numbers.iter().find(|n| n.record.sid == i.sid).map(|n| n.record.handler(channel));
                let is_on_fallback = handler.is_some() && handler == fallback.map(|f| Handler::Url(f.to_owned()));
                let result = if is_on_fallback { SwapResult::Written } else { SwapResult::Failed };
                let found = handler.map_or_else(|| "no such number".to_owned(), |h| h.to_string());
                tracing::warn!(
                    decision = %i.decision, number = %i.number, %channel, found,
                    "the agent was stopped while it swapped this number: looked at it"
                );
                let detail = format!("found {found} after a restart");
                entries.push(Entry::Result { decision: i.decision, channel, number: i.number, result, detail });
            }
            self.shared.store.append(self.shared.clock.now(), &entries).await.map_err(SettleError::Store)?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, decision: &Decision) {
        let started = self.shared.clock.now();
        let channel = decision.channel;
        let results = match self.swap(decision).await {
            Ok(results) => results,
            Err((result, detail)) => {
                tracing::error!(decision = %decision.id, detail, "this rollback could not be made");
                decision.numbers.iter().map(|n| (*n, result, detail.clone())).collect()
            }
        };
        let now = self.shared.clock.now();
        let entries: Vec<Entry> = results
            .iter()
            .map(|(number, result, detail)| Entry::Result {
                decision: decision.id,
                channel,
                number: *number,
                result: *result,
                detail: detail.clone(),
            })
            .collect();
        if let Err(error) = self.shared.store.append(now, &entries).await {
            // At the next start the intents are found open and settled by looking.
            tracing::error!(decision = %decision.id, %error, cure = error.cure, "the results are not in the journal");
        }
        self.shared.metrics.rollback_duration.observe(now.since(started).as_secs_f64());
        for (number, result, detail) in results {
            let label = match result {
                SwapResult::Written => RollbackResult::Written,
                SwapResult::Unproven => RollbackResult::Unproven,
                SwapResult::Failed => RollbackResult::Failed,
                SwapResult::Refused => RollbackResult::Refused,
            };
            self.shared.metrics.rollback(&decision.group, channel, "automatic", label);
            match result {
                SwapResult::Written => tracing::info!(
                    decision = %decision.id, %number, %channel, "rolled back: {detail}"
                ),
                SwapResult::Unproven | SwapResult::Failed | SwapResult::Refused => tracing::error!(
                    decision = %decision.id, %number, %channel, result = label.label(), "not rolled back: {detail}"
                ),
            }
            let swapped = Swapped { decision: decision.id, number, channel, result, at: now };
            if self.report.send(Message::Swapped(swapped)).await.is_err() {
                // The engine has ended; the journal has it.
                return;
            }
        }
    }

    /// Swaps all numbers of a decision. The error stands for all of them.
    async fn swap(&mut self, decision: &Decision) -> Result<Vec<(E164, SwapResult, String)>, (SwapResult, String)> {
        let failed = |e: String| (SwapResult::Failed, e);
        let channel = decision.channel;
        let mut results = Vec::new();
        let mut sids = Vec::new();
        for number in &decision.numbers {
            match self.shared.roster.find(*number).and_then(|ix| self.shared.number_sid(ix)) {
                Some(sid) => sids.push(sid),
                None => results.push((*number, SwapResult::Refused, "it is not in the account".to_owned())),
            }
        }
        let before = self.reader.read(&sids, channel).await.map_err(|e| failed(e.to_string()))?;
        let mut swaps = Vec::new();
        let mut entries = Vec::new();
        for NumberRead { record, raw } in before {
            let number = record.number;
            let Some(ix) = self.shared.roster.find(number) else {
                continue;
            };
            let Some(fallback) = self.shared.roster.group_of(ix).fallback(channel).map(str::to_owned) else {
                continue;
            };
            let form = match record.swap(channel, &fallback) {
                Ok(form) => form,
                Err(why) => {
                    results.push((number, SwapResult::Refused, why.to_string()));
                    continue;
                }
            };
            let sid = record.sid;
            entries.push(Entry::Snapshot { decision: decision.id, channel, number, sid, record: raw });
            entries.push(Entry::Intent {
                decision: decision.id,
                channel,
                number,
                sid,
                form: form.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            });
            swaps.push(Swap { sid, number, form, fallback });
        }
        // Law 1: on the disk before anything is written.
        self.shared
            .store
            .append(self.shared.clock.now(), &entries)
            .await
            .map_err(|e| failed(format!("nothing was written, since the journal cannot be: {e}")))?;
        let answers = self.write(&swaps).await;
        let sids: Vec<NumberSid> = swaps.iter().map(|s| s.sid).collect();
        let after = self.reader.read(&sids, channel).await;
        for swap in swaps {
            let answer = answers.get(&swap.sid);
            let read = after.as_ref().map(|list| list.iter().find(|n| n.record.sid == swap.sid));
            let (result, detail) = verdict(&swap, channel, answer, read);
            results.push((swap.number, result, detail));
        }
        Ok(results)
    }

    /// Writes all at the same time; returns what failed.
    async fn write(&self, swaps: &[Swap]) -> HashMap<NumberSid, Error> {
        let clock = &self.shared.clock;
        let mut tasks = JoinSet::new();
        for swap in swaps {
            let (client, sid, form) = (self.shared.client.clone(), swap.sid, swap.form.clone());
            clock.spawn(&mut tasks, async move { (sid, client.update_number(sid, &form).await) });
        }
        let mut failures = HashMap::new();
        while let Some(Some(joined)) = clock.wait(None, tasks.join_next()).await {
            // A task that panicked is settled by reading back, like a lost answer.
            if let Ok((sid, Err(error))) = joined {
                failures.insert(sid, error);
            }
        }
        failures
    }
}

/// What became of a swap, from Twilio's answer and from what was read back, which has the last word.
fn verdict(
    swap: &Swap,
    channel: Channel,
    answer: Option<&Error>,
    read: Result<Option<&NumberRead>, &Error>,
) -> (SwapResult, String) {
    match (read, answer) {
        (Ok(Some(n)), _) if n.record.handler(channel) == Handler::Url(swap.fallback.clone()) => {
            (SwapResult::Written, format!("now answered by {}", swap.fallback))
        }
        (Ok(Some(_)), Some(error)) => (SwapResult::Failed, error.to_string()),
        (Ok(Some(n)), None) => {
            let handler = n.record.handler(channel);
            (SwapResult::Unproven, format!("Twilio took the write, but {handler} still answers"))
        }
        (Ok(None), _) => (SwapResult::Unproven, "it is no longer in the account".to_owned()),
        (Err(read), Some(error)) => (SwapResult::Failed, format!("{error}; and it cannot be read back: {read}")),
        (Err(read), None) => (SwapResult::Unproven, format!("written, but it cannot be read back: {read}")),
    }
}

/// Why it cannot be told what an earlier agent has written.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error("cannot look at a number that was being swapped when the agent was stopped")]
    Twilio(#[source] Error),
    #[error("cannot write what was found")]
    Store(#[source] StoreError),
}
