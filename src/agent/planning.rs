//! Looking at numbers for `plan` and `apply`: what each is, and what the file asks it to be. Reads only.
//!
//! Lists are read, not numbers one by one: a thousand in a request. Only which region processes a number has no
//! list; that is asked for each number, many at once, and is believed for an hour.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::execute::read::RoutingReader;
use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::model::decision::Mode;
use crate::core::model::foreign::Line;
use crate::core::model::id::{Channel, NumberId, NumberSid};
use crate::core::model::order::{AdoptedBy, Author};
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::model::time::Time;
use crate::core::rollback::entry::Entry;
use crate::core::routing::planned::{HandlerPlan, PlanFinding, PlannedNumber, RoutingSeen};
use crate::core::routing::record::NumberRecord;
use crate::core::routing::saved::{NotThisPlan, PlanStanding, SavedPlan};
use crate::core::routing::values::RoutingValues;
use crate::core::routing::wanted::{Comparison, changes, compare};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use crate::twilio::wire::NumberRead;
use crate::twilio::{Client, Error};

/// Twilio's clock may be behind ours by so much.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    #[error("{0}; {cure}", cure = .0.cure())]
    Twilio(#[from] Error),
    #[error("the key at {path} cannot be used")]
    Key { path: PathBuf, source: std::io::Error },
    #[error("the HTTP client cannot be built: {0}")]
    Http(String),
}

/// Looks at the account's numbers.
pub struct Planner {
    client: Client,
    reader: RoutingReader,
    roster: Arc<Roster>,
    clock: Clock,
    key: CallerKey,
    state: PathBuf,
}

/// A person has said that this handler is the right one.
struct PersonsAdoption {
    at: Time,
    by: Author,
    values: RoutingValues,
}

impl PersonsAdoption {
    /// Who it was, if what was read is what they have adopted.
    fn of(&self, seen: &RoutingSeen) -> Option<Line> {
        (seen.values == self.values).then(|| Line::new(&format!("{} at {}: {}", self.by.name, self.at, self.by.reason)))
    }
}

impl Planner {
    /// The installation's key is beside its state; it is made there if there is none.
    pub fn new(config: &Config, clock: &Clock) -> Result<Planner, PlanningError> {
        let path = config.agent.state.with_extension("key");
        let key = CallerKey::load_or_create(&path, false).map_err(|source| PlanningError::Key { path, source })?;
        let roster = Arc::new(config.roster.clone());
        let metrics = Metrics::new(&roster, Mode::Observe);
        let client = Client::new(config.twilio.clone(), roster.clone(), key.clone(), clock.clone(), metrics)
            .map_err(|e| PlanningError::Http(e.to_string()))?;
        let reader = RoutingReader::new(clock.clone(), client.clone(), &roster);
        Ok(Planner { client, reader, roster, clock: clock.clone(), key, state: config.agent.state.clone() })
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Looks at these numbers, and holds what they are against what the file asks.
    pub async fn look(&mut self, which: &[NumberIx], only: Option<Channel>) -> Result<HandlerPlan, PlanningError> {
        let read = self.reader.read_all(&self.roster, self.clock.now()).await?;
        let mut records: BTreeMap<NumberId, NumberRead> = BTreeMap::new();
        for read in read.numbers {
            records.insert(NumberId::new(self.client.account(), read.record.number), read);
        }
        let roster = self.roster.clone();
        let asks = |ix: NumberIx, channel: Channel| {
            let number = roster.number(ix);
            only.is_none_or(|only| only == channel)
                && number.channels[channel.index()]
                && !roster.group_of(ix).handler[channel.index()].is_empty()
        };
        let is_asked = |ix: &&NumberIx| Channel::ALL.iter().any(|c| asks(**ix, *c));
        let asked = which.iter().filter(is_asked).map(|ix| roster.number(*ix).id);
        let asked: Vec<NumberId> = asked.filter(|n| records.contains_key(n)).collect();
        let mut unknown_regions = None;
        for (number, region) in self.reader.regions_of(asked.into_iter()).await {
            match region {
                Ok(elsewhere) => {
                    if let Some(read) = records.get_mut(&number) {
                        read.record.elsewhere = elsewhere;
                    }
                }
                Err(error) => unknown_regions = unknown_regions.or(Some(error)),
            }
        }
        let (adoptions, unknown_adoptions) = match self.adoptions().await {
            Ok(adoptions) => (adoptions, None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        let mut numbers = Vec::new();
        for channel in Channel::ALL {
            for ix in which.iter().copied().filter(|ix| asks(*ix, channel)) {
                let (number, group) = (roster.number(ix).id, roster.group_of(ix));
                let (finding, seen) = match (records.get(&number), &read.unread) {
                    (Some(read), _) => self.hold_against(ix, channel, read),
                    (None, Some(why)) => (PlanFinding::Unread(why.clone()), None),
                    (None, None) => (PlanFinding::NotInAccount, None),
                };
                let adopted = seen.as_ref().and_then(|seen| adoptions.get(&(number, channel))?.of(seen));
                numbers.push(PlannedNumber { number, group: group.name.clone(), channel, finding, seen, adopted });
            }
        }
        Ok(HandlerPlan { numbers, unknown_regions, unknown_adoptions })
    }

    /// What people have adopted last, by the journal; nothing where there is none.
    async fn adoptions(&self) -> Result<BTreeMap<(NumberId, Channel), PersonsAdoption>, StoreError> {
        let mut adopted = BTreeMap::new();
        if !self.state.exists() {
            return Ok(adopted);
        }
        let store = Store::open_read_only(&self.state).await?;
        let journal = store.journal().await;
        store.close().await;
        for record in journal? {
            if let Entry::Adopted { number, channel, routing, by: AdoptedBy::Operator(by), .. } = record.entry
                && let Ok(values) = RoutingValues::read(routing.whole(), channel)
            {
                adopted.insert((number, channel), PersonsAdoption { at: record.at, by, values });
            }
        }
        Ok(adopted)
    }

    fn hold_against(&self, ix: NumberIx, channel: Channel, read: &NumberRead) -> (PlanFinding, Option<RoutingSeen>) {
        let (record, group) = (&read.record, self.roster.group_of(ix));
        let now = match RoutingValues::read(read.raw.whole(), channel) {
            Ok(now) => now,
            Err(bad) => return (PlanFinding::Unread(bad.to_string()), None),
        };
        if channel == Channel::Messaging && record.unread[channel.index()] && record.service.is_none() {
            let why = "whether a Messaging Service has it cannot be read".to_owned();
            return (PlanFinding::Unread(why), None);
        }
        let wanted = &group.handler[channel.index()];
        let service = wanted.service.and_then(|sid| self.reader.service(sid));
        let finding = match compare(record, &now, wanted, group.fallback(channel), service) {
            Comparison::AsWanted => PlanFinding::AsWanted,
            Comparison::Differs(update) => PlanFinding::Differs(changes(&now, &update)),
            Comparison::Cannot(why) => PlanFinding::Cannot(why),
            Comparison::HandedOver(owner) => PlanFinding::HandedOver(owner),
        };
        let Some(read) = digest(&self.key, record, &now) else {
            return (PlanFinding::Unread("its routing cannot be written down".to_owned()), None);
        };
        (finding, Some(RoutingSeen { sid: record.sid, values: now, read }))
    }

    /// Saves what is to be changed.
    pub fn save(&self, plan: &HandlerPlan) -> SavedPlan {
        SavedPlan::new(plan, &self.roster, self.client.account(), self.clock.now(), |text| self.keyed(text))
    }

    /// What of a saved plan still stands, now that its numbers were looked at again.
    pub fn compare(&self, saved: &SavedPlan, now: &HandlerPlan) -> Result<Vec<PlanStanding>, NotThisPlan> {
        saved.compare(now, &self.roster, self.client.account(), self.clock.now(), |text| self.keyed(text))
    }

    /// The numbers of a saved plan that are ours.
    pub fn of(&self, saved: &SavedPlan) -> Vec<NumberIx> {
        let mut numbers: Vec<NumberIx> = saved.numbers.iter().filter_map(|n| self.roster.find(n.number)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Who changed a number since then, and when, as far as Twilio's audit log tells.
    pub async fn who(&self, sid: NumberSid, since: Time) -> Option<String> {
        let (who, at) = self.client.dated_changes(sid, since - CLOCKS_DIFFER).await.ok()?.into_iter().next()?;
        Some(at.map_or_else(|| who.to_string(), |at| format!("{who} at {at}")))
    }

    fn keyed(&self, text: &str) -> String {
        format!("{:016x}", self.key.hash(text))
    }
}

/// What a number's routing was, for whoever has the installation's key: from it nobody else learns what stands in a
/// URL, nor can try what might.
pub fn digest(key: &CallerKey, record: &NumberRecord, now: &RoutingValues) -> Option<String> {
    let whole = now.whole_record().ok()?;
    let service = record.service.as_ref().map_or(String::new(), |s| s.sid.to_string());
    Some(format!("{:016x}", key.hash(&format!("{whole}\n{service}"))))
}
