//! What is asked of the account: its logs, its credit, its rules, its registrations.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use super::{Gatherer, each, looked, unlooked};
use crate::core::check::facts::{
    AccountStanding, Balance, Change, Facts, KeyKind, KeyRefusal, Looked, Traffic, Unlooked,
};
use crate::core::model::id::{Channel, NumberSid};
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;
use crate::core::routing::record::Handler;
use crate::twilio::standing::{WireChange, WireRule};
use crate::twilio::wire::{Listed, Page, WireRow};
use crate::twilio::{AlertLevel, Client, Error, ErrorKind, Pager};

const DAY: Duration = Duration::from_secs(86_400);

/// For how long back it is asked who wrote our numbers.
const WRITERS_SINCE: Duration = Duration::from_secs(3 * 86_400);

/// Entries of a log that are read, to tell how many there are in a day.
const ROWS: usize = 1000;

/// What the account answered.
pub(super) struct AccountRead {
    standing: Result<AccountStanding, Error>,
    balance: Result<Balance, Error>,
    calls: Option<Result<f64, Error>>,
    messages: Option<Result<f64, Error>>,
    alerts: Result<(), Error>,
    services: Option<Result<(), Error>>,
    changes: Result<Vec<WireChange>, Error>,
    rules: Result<Vec<WireRule>, Error>,
    toll_free: Option<Result<Vec<(NumberSid, String)>, Error>>,
}

/// One answer of several kinds.
enum Part {
    Standing(Result<AccountStanding, Error>),
    Balance(Result<Balance, Error>),
    Calls(Result<f64, Error>),
    Messages(Result<f64, Error>),
    Alerts(Result<(), Error>),
    Services(Result<(), Error>),
    Changes(Result<Vec<WireChange>, Error>),
    Rules(Result<Vec<WireRule>, Error>),
    TollFree(Result<Vec<(NumberSid, String)>, Error>),
}

#[derive(Clone, Copy)]
enum Question {
    Standing,
    Balance,
    Calls,
    Messages,
    Alerts,
    Services,
    Changes,
    Rules,
    TollFree,
}

async fn ask(client: Client, question: Question, now: Time) -> Part {
    match question {
        Question::Standing => Part::Standing(client.standing().await),
        Question::Balance => Part::Balance(client.balance().await),
        Question::Calls => Part::Calls(a_day(client.calls(now - DAY, ROWS), now).await),
        Question::Messages => Part::Messages(a_day(client.messages(now - DAY, ROWS), now).await),
        Question::Alerts => Part::Alerts(client.alerts(AlertLevel::Error, now, 1).next().await.map(drop)),
        Question::Services => Part::Services(client.services().await.map(drop)),
        Question::Changes => Part::Changes(client.latest_changes(now - WRITERS_SINCE).await),
        Question::Rules => Part::Rules(client.webhook_rules().await),
        Question::TollFree => Part::TollFree(client.toll_free().await),
    }
}

/// How many entries a log has in a day, told by its first page.
async fn a_day<L: Listed>(mut pager: Pager<'_, L>, now: Time) -> Result<f64, Error> {
    let Some(Page { rows, next, .. }) = pager.next().await? else { return Ok(0.0) };
    let times = rows.iter().filter_map(|row| match row {
        Ok(WireRow::Ours(item)) => L::time(item),
        Ok(WireRow::NotOurs(at)) => *at,
        Err(_) => None,
    });
    let recent: Vec<Time> = times.filter(|at| *at >= now - DAY).collect();
    let count = recent.len() as f64;
    let Some(oldest) = recent.iter().min().filter(|_| next.is_some()) else { return Ok(count) };
    let span = now.since(*oldest).as_secs_f64().max(1.0);
    Ok(count * (DAY.as_secs_f64() / span).max(1.0))
}

impl Gatherer<'_> {
    /// Everything that is asked once of an account, all at once.
    pub(super) fn account(&self) -> impl Future<Output = AccountRead> + Send + use<> {
        let roster = &self.config.roster;
        let watches = |channel: Channel| roster.numbers().any(|(_, n)| n.channels[channel.index()]);
        let has_toll_free = roster.numbers().any(|(_, n)| n.id.e164.is_toll_free() && n.channels[1]);
        let (voice, messaging) = (watches(Channel::Voice), watches(Channel::Messaging));
        let asked = [
            (Question::Standing, true),
            (Question::Balance, true),
            (Question::Calls, voice),
            (Question::Messages, messaging),
            (Question::Alerts, true),
            (Question::Services, messaging),
            (Question::Changes, true),
            (Question::Rules, true),
            (Question::TollFree, has_toll_free),
        ];
        let (clock, client) = (self.clock.clone(), self.client.clone());
        async move {
            let now = clock.now();
            let questions = asked.into_iter().filter_map(|(question, is_asked)| is_asked.then_some(question));
            let parts = each(&clock, questions, |question| ask(client.clone(), question, now)).await;
            let lost = || {
                let why = "the question ended without an answer".to_owned();
                crate::twilio::not_to_be_followed(crate::twilio::endpoint::FETCH_ACCOUNT, why)
            };
            let mut read = AccountRead {
                standing: Err(lost()),
                balance: Err(lost()),
                calls: None,
                messages: None,
                alerts: Err(lost()),
                services: None,
                changes: Err(lost()),
                rules: Err(lost()),
                toll_free: None,
            };
            for part in parts {
                match part {
                    Part::Standing(part) => read.standing = part,
                    Part::Balance(part) => read.balance = part,
                    Part::Calls(part) => read.calls = Some(part),
                    Part::Messages(part) => read.messages = Some(part),
                    Part::Alerts(part) => read.alerts = part,
                    Part::Services(part) => read.services = Some(part),
                    Part::Changes(part) => read.changes = part,
                    Part::Rules(part) => read.rules = part,
                    Part::TollFree(part) => read.toll_free = Some(part),
                }
            }
            read
        }
    }

    /// Campaigns of the Messaging Services that our numbers are in, their brands, bundles, and trunks.
    pub(super) async fn ask_registrations(&self, facts: &mut Facts) {
        let Ok(found) = &facts.numbers else { return };
        let watched = |ix: NumberIx, c: Channel| self.config.roster.number(ix).channels[c.index()];
        let services: BTreeSet<_> = found
            .there
            .iter()
            .filter(|n| watched(n.ix, Channel::Messaging))
            .filter_map(|n| Some(n.record.service.as_ref()?.sid))
            .collect();
        let trunks: BTreeSet<_> = found
            .there
            .iter()
            .filter_map(|n| match n.record.handler(Channel::Voice) {
                Handler::Trunk(sid) => Some(sid),
                Handler::Application(_)
                | Handler::Url(_)
                | Handler::Service(_)
                | Handler::Region(_)
                | Handler::Fax
                | Handler::Lacking
                | Handler::Nobody => None,
            })
            .collect();
        let bundles: BTreeSet<String> = found.there.iter().filter_map(|n| n.bundle.clone()).collect();
        let clock = &self.clock;
        let client = || self.client.clone();
        let campaigns = each(clock, services, |sid| {
            let client = client();
            async move { (sid, client.campaigns(sid).await) }
        });
        facts.campaigns = campaigns.await.into_iter().map(|(sid, read)| (sid, looked(read, true))).collect();
        let brands: BTreeSet<String> =
            facts.campaigns.values().flatten().flatten().filter_map(|c| c.brand.clone()).collect();
        facts.brands = self.statuses(brands, |client, sid| async move { client.brand(&sid).await }).await;
        facts.bundles = self.statuses(bundles, |client, sid| async move { client.bundle(&sid).await }).await;
        let trunks = each(clock, trunks, |sid| {
            let client = client();
            async move { (sid, client.originations(sid).await) }
        });
        facts.trunks = trunks.await.into_iter().map(|(sid, read)| (sid, looked(read, true))).collect();
    }

    async fn statuses<F: Future<Output = Result<String, Error>> + Send + 'static>(
        &self,
        sids: BTreeSet<String>,
        ask: impl Fn(Client, String) -> F,
    ) -> BTreeMap<String, Looked<String>> {
        let answers = each(&self.clock, sids, |sid| {
            let answer = ask(self.client.clone(), sid.clone());
            async move { (sid, answer.await) }
        });
        answers.await.into_iter().map(|(sid, read)| (sid, looked(read, true))).collect()
    }
}

impl AccountRead {
    /// What of it is a fact, and what the key may not read. Gives what can be told with the numbers alone.
    pub(super) fn put_into(self, facts: &mut Facts) -> Later {
        let refused = |error: &Error| error.kind == ErrorKind::Permission;
        facts.key = match &self.standing {
            Ok(_) => KeyKind::Whole,
            // So a standard key is turned away, and nobody else who may read the numbers.
            Err(error) if error.kind == ErrorKind::Credentials => KeyKind::Standard,
            Err(error) if refused(error) => KeyKind::Restricted,
            Err(_) => KeyKind::Untold,
        };
        facts.standing = self.standing.map_err(|error| match error.kind {
            ErrorKind::Credentials => Unlooked::optional("a standard API key may not read the account"),
            ErrorKind::Permission => Unlooked::optional("the API key may not read the account"),
            ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::Conflict
            | ErrorKind::Busy
            | ErrorKind::Server
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::CutOff
            | ErrorKind::NotTwilio
            | ErrorKind::OldCopy => unlooked(&error, true),
        });
        // A subaccount has none of its own.
        facts.balance = looked(self.balance, false);
        let mut refuse = |what: &'static str, so: &'static str, error: &Error| {
            if refused(error) {
                facts.refusals.push(KeyRefusal { what, so, error: unlooked(error, true).because });
            }
        };
        if let Some(Err(error)) = &self.calls {
            refuse("the call log", "no caller is seen", error);
        }
        if let Some(Err(error)) = &self.messages {
            refuse("the message log", "no message is seen", error);
        }
        if let Err(error) = &self.alerts {
            refuse("the debugger's alerts", "why calls fail is not known, and no failure is curable", error);
        }
        if let Some(Err(error)) = &self.services {
            refuse("Messaging Services", "who answers messages is not known", error);
        }
        if let Err(error) = &self.changes {
            refuse("the audit log", "who has undone a swap is not told", error);
        }
        let day = |read: Option<Result<f64, Error>>| match read {
            None => Ok(0.0),
            Some(read) => looked(read, true),
        };
        facts.traffic = match (day(self.calls), day(self.messages)) {
            (Ok(calls), Ok(messages)) => Ok(Traffic { calls, messages }),
            (Err(why), _) | (Ok(_), Err(why)) => Err(why),
        };
        facts.toll_free = match self.toll_free {
            None => Ok(BTreeMap::new()),
            Some(read) => looked(read, true).map(|all| all.into_iter().collect()),
        };
        Later { changes: self.changes, rules: self.rules }
    }
}

/// What means something beside the numbers alone.
pub(super) struct Later {
    changes: Result<Vec<WireChange>, Error>,
    pub(super) rules: Result<Vec<WireRule>, Error>,
}

impl Later {
    /// Who changed our numbers.
    pub(super) fn put_changes(&self, facts: &mut Facts) {
        let Ok(found) = &facts.numbers else { return };
        let ours: BTreeMap<NumberSid, NumberIx> = found.there.iter().map(|n| (n.record.sid, n.ix)).collect();
        facts.writers = looked(self.changes.clone(), false).map(|changes| {
            let of_ours = |c: WireChange| Some(Change { number: *ours.get(&c.number)?, by: c.by, at: c.at });
            changes.into_iter().filter_map(of_ours).collect()
        });
    }
}
