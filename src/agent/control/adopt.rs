//! `ringback adopt`: the numbers are read as they are now, and what was read is what they are compared with from then
//! on.
//!
//! What a poll saw a while ago is not what a person looks at. So the numbers are read anew, beside the control task,
//! which goes on meanwhile and decides once they have been.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::Controller;
use super::command::Refusal;
use super::drift::AUDIT_BACK;
use crate::agent::{ControlMessage, Shared};
use crate::core::model::id::{Channel, NumberId, NumberSid};
use crate::core::model::order::{AdoptedBy, Author};
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;
use crate::core::rollback::adopt::{Adopting, Adoption, FoundRouting};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::operator::{PlannedAction, PreviewLine};
use crate::core::routing::values::RoutingValues;
use crate::twilio::wire::NumberRead;

/// So many changes are asked about at Twilio's audit log, each with a request of its own.
pub(super) const ASKED: usize = 20;

/// What an operator wants adopted.
#[derive(Debug)]
pub struct AdoptRequest {
    pub numbers: Vec<NumberIx>,
    /// Both if absent.
    pub channel: Option<Channel>,
    pub by: Author,
    /// Only says what would be adopted.
    pub dry_run: bool,
    pub reply: oneshot::Sender<Result<Vec<PreviewLine>, Refusal>>,
}

/// The numbers as they were read for it.
#[derive(Debug)]
pub struct AdoptRead {
    request: AdoptRequest,
    found: BTreeMap<(NumberId, Channel), Result<FoundRouting, String>>,
}

impl Controller {
    /// Reads the numbers beside the control task, which is told what was found.
    pub fn adopt(&mut self, request: AdoptRequest) {
        let (shared, inbox) = (self.shared.clone(), self.inbox.clone());
        let ids: Vec<NumberId> = request.numbers.iter().map(|ix| shared.roster.number(*ix).id).collect();
        let is_swapped =
            |(number, channel): &(NumberId, Channel)| self.orders().state(*number, *channel).swap().is_some();
        let pairs = ids.iter().flat_map(|id| Channel::ALL.map(|channel| (*id, channel)));
        // Others are told of these: their rollback ends with it.
        let who: BTreeSet<(NumberId, Channel)> = pairs.filter(is_swapped).take(ASKED).collect();
        let clock = shared.clock.clone();
        clock.clone().spawn(&mut self.asking, async move {
            let mut found = BTreeMap::new();
            for channel in Channel::ALL.into_iter().filter(|c| request.channel.is_none_or(|want| want == *c)) {
                let watched = |ix: &&NumberIx| shared.roster.number(**ix).channels[channel.index()];
                let wanted: Vec<NumberIx> = request.numbers.iter().filter(watched).copied().collect();
                found.extend(read(&shared, &wanted, channel, &who).await);
            }
            if let Some(inbox) = inbox.upgrade() {
                // The agent may be stopping; whoever asked is told so.
                let _ = clock.wait(None, inbox.send(ControlMessage::AdoptRead(AdoptRead { request, found }))).await;
            }
        });
    }

    /// The numbers were read: decides, writes it down, and answers.
    pub async fn adopt_read(&mut self, now: Time, read: AdoptRead) {
        let AdoptRead { request: AdoptRequest { numbers, channel: only, by, dry_run, reply }, found } = read;
        let by = AdoptedBy::Operator(by);
        let is_leading = self.write_guard.is_leading();
        let mut adoptions: Vec<(Adoption, Option<RoutingValues>)> = Vec::new();
        for ix in numbers {
            let id = self.shared.roster.number(ix).id;
            for channel in Channel::ALL.into_iter().filter(|c| only.is_none_or(|want| want == *c)) {
                // Who did not name the channel did not mean one that is not watched.
                if only.is_none() && !self.shared.roster.number(ix).channels[channel.index()] {
                    continue;
                }
                let was_read = found.get(&(id, channel));
                // A late write of ours that has landed is known from then on as what it is.
                if let Some(Ok(read)) = was_read {
                    let _ = self.observe(read.read_at, (id, channel), &read.values).await;
                }
                let read = match was_read {
                    Some(Ok(read)) => Ok(read),
                    Some(Err(why)) => Err(why.as_str()),
                    None => Err("it was not read"),
                };
                let baseline = self.baseline.get(&(id, channel));
                let what = Adopting { roster: &self.shared.roster, number: ix, channel, by: &by, baseline };
                let adoption = self.orders().adoption(what, is_leading, read);
                adoptions.push((adoption, read.ok().map(|r| r.values.clone())));
            }
        }
        let answer = if dry_run {
            Ok(adoptions.into_iter().map(|(adoption, _)| adoption.line).collect())
        } else {
            self.carry_out_adoptions(now, adoptions).await
        };
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
    }

    async fn carry_out_adoptions(
        &mut self,
        now: Time,
        adoptions: Vec<(Adoption, Option<RoutingValues>)>,
    ) -> Result<Vec<PreviewLine>, Refusal> {
        let entries: Vec<Entry> = adoptions.iter().flat_map(|(adoption, _)| adoption.entries.clone()).collect();
        let is_adopted = |adoption: &Adoption| adoption.line.action == PlannedAction::Adopt;
        if !entries.is_empty() {
            self.commit(entries).await.map_err(Refusal::Store)?;
        }
        let adopted = adoptions.iter().filter(|(a, _)| is_adopted(a));
        let baseline = adopted.filter_map(|(a, values)| Some((a.line.number, values.clone()?))).collect();
        // Not before the commit: its time is the entry's, or later.
        self.set_baseline(self.shared.clock.now().max(now), baseline).await;
        Ok(adoptions.into_iter().map(|(adoption, _)| adoption.line).collect())
    }
}

/// Reads `channel` of these numbers, with what their applications point at. `who`: of which it is asked who changed
/// them.
pub(super) async fn read(
    shared: &Shared,
    numbers: &[NumberIx],
    channel: Channel,
    who: &BTreeSet<(NumberId, Channel)>,
) -> BTreeMap<(NumberId, Channel), Result<FoundRouting, String>> {
    let read_at = shared.clock.now();
    let mut reader = shared.reader();
    let wanted: Vec<(NumberId, Option<NumberSid>)> =
        numbers.iter().map(|ix| (shared.roster.number(*ix).id, shared.number_sid(*ix))).collect();
    let mut found = BTreeMap::new();
    let mut complete: Vec<(NumberId, NumberRead)> = Vec::new();
    for (number, read) in reader.read(&wanted, channel, false).await {
        match read {
            Err(why) => _ = found.insert((number, channel), Err(why.to_string())),
            Ok(read) => match read.unknown {
                Some(unknown) => _ = found.insert((number, channel), Err(unknown.text())),
                None => complete.push((number, read.read)),
            },
        }
    }
    let mut reads: Vec<NumberRead> = complete.iter().map(|(_, read)| read.clone()).collect();
    let unread = reader.complete(&mut reads).await;
    for ((number, _), read) in complete.into_iter().zip(reads) {
        let key = (number, channel);
        if let Some(error) = unread.get(&number).filter(|_| read.record.unread[channel.index()]) {
            found.insert(key, Err(error.to_string()));
            continue;
        }
        let values = match RoutingValues::read(read.raw.whole(), channel) {
            Ok(values) => values,
            Err(bad) => {
                found.insert(key, Err(bad.to_string()));
                continue;
            }
        };
        let actor = if who.contains(&key) {
            let changes = shared.client.changes(read.record.sid, read_at - AUDIT_BACK).await;
            changes.ok().and_then(|changes| changes.into_iter().next())
        } else {
            None
        };
        found.insert(key, Ok(FoundRouting { record: read.record, values, read_at, actor }));
    }
    found
}
