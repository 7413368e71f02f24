//! Reading who answers our numbers: records, applications and Messaging Services put together.
//!
//! Every number is read for itself: one that is missing, or of which something cannot be read, is no other's trouble.

mod records;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::core::model::bounds;
use crate::core::model::facts::LARGEST_PAGE;
use crate::core::model::id::{ApplicationSid, Channel, NumberId, NumberSid, ServiceSid, TrunkSid};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::rollback::plan::Unknown;
use crate::core::routing::record::{Application, Elsewhere, Handler, Service};
use crate::twilio::wire::{NumberRead, WireRow};
use crate::twilio::{Client, Error, ErrorKind};

/// Between looks at the Messaging Services, each of which costs a request.
const SERVICES_EVERY: Duration = Duration::from_secs(300);

/// Where the list of numbers cannot be read to its end, so many are looked up by themselves beside one look. Page 2
/// can answer 400 for days (twilio-php#507).
const LOOKED_UP: usize = 250;

/// A number as it is now.
#[derive(Debug, Clone)]
pub struct RoutingRead {
    pub read: NumberRead,
    /// What could not be read of who answers it.
    pub unknown: Option<Unknown>,
}

/// Why a number could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error("it is not in the account")]
    NotInAccount,
    #[error(transparent)]
    Twilio(#[from] Error),
}

impl ReadError {
    /// True if asking again may help.
    pub const fn is_passing(&self) -> bool {
        match self {
            ReadError::NotInAccount => false,
            ReadError::Twilio(error) => error.is_passing(),
        }
    }
}

/// Our numbers that are in the account, as far as could be read.
pub struct AllRead {
    /// What could not be read of who answers one is marked in its record.
    pub numbers: Vec<NumberRead>,
    /// Rows that could not be understood.
    pub bad: usize,
    /// Why a number that is not among them may be in the account all the same; `None` if none can.
    pub unread: Option<String>,
    /// The Messaging Services were read to the end with it.
    pub services_read: bool,
}

/// It is the list that cannot be read to its end, and not Twilio that cannot be asked now.
const fn is_of_the_list(error: &Error) -> bool {
    match error.kind {
        ErrorKind::Refused | ErrorKind::NotFound | ErrorKind::NotTwilio => true,
        ErrorKind::Credentials
        | ErrorKind::Permission
        | ErrorKind::Conflict
        | ErrorKind::OldCopy
        | ErrorKind::Busy
        | ErrorKind::Server
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::CutOff => false,
    }
}

/// A number that was looked up by itself.
#[derive(Default)]
struct LookedUp {
    /// When last, whatever came of it.
    at: Time,
    /// What was there, if that was ever learnt.
    found: Option<Option<NumberRead>>,
}

/// Puts numbers together with what they refer to.
pub struct RoutingReader {
    clock: Clock,
    client: Client,
    needs_services: bool,
    applications: HashMap<ApplicationSid, Application>,
    /// Those that are not there, although numbers point at them.
    gone: HashSet<ApplicationSid>,
    /// Whether trunks are there, as far as it was answered.
    trunks: HashMap<TrunkSid, bool>,
    services: HashMap<NumberSid, Service>,
    /// Those that the last list named.
    listed: HashMap<ServiceSid, Service>,
    /// Those that are listed, and are not there when they are asked for their numbers.
    gone_services: HashSet<ServiceSid>,
    /// When they were last read to the end.
    services_at: Option<Time>,
    /// Rows that could not be understood at the last look, and were said to be so.
    said_bad: HashSet<String>,
    /// Numbers that are looked up by themselves, while the list cannot be read to its end.
    looked_up: HashMap<NumberId, LookedUp>,
}

impl RoutingReader {
    pub fn new(clock: Clock, client: Client, roster: &Roster) -> RoutingReader {
        let needs_services = roster.numbers().any(|(_, n)| n.channels[Channel::Messaging.index()]);
        RoutingReader {
            clock,
            client,
            needs_services,
            applications: HashMap::new(),
            gone: HashSet::new(),
            trunks: HashMap::new(),
            services: HashMap::new(),
            listed: HashMap::new(),
            gone_services: HashSet::new(),
            services_at: None,
            looked_up: HashMap::new(),
            said_bad: HashSet::new(),
        }
    }

    /// The numbers of the roster that are in the account, as far as they can be read. Fails if none can.
    pub async fn read_all(&mut self, roster: &Roster, now: Time) -> Result<AllRead, Error> {
        let (mut numbers, mut bad, mut unread) = (Vec::new(), Vec::new(), None);
        let mut most = LOOKED_UP;
        let client = self.client.clone();
        let mut pager = client.numbers(LARGEST_PAGE);
        loop {
            match pager.next().await {
                Ok(Some(page)) => {
                    for row in page.rows {
                        match row {
                            Ok(WireRow::Ours(read)) => numbers.push(read),
                            Ok(WireRow::NotOurs(_)) => {}
                            Err(row) if bad.len() < bounds::BAD_ROWS => bad.push(row),
                            Err(_) => {}
                        }
                    }
                }
                Ok(None) => break,
                // What passes by itself, or stands before every request, is no better asked 250 times.
                Err(error) if !is_of_the_list(&error) => {
                    if numbers.is_empty() {
                        return Err(error);
                    }
                    (unread, most) = (Some(error.to_string()), 0);
                    break;
                }
                Err(error) => {
                    unread = Some(error.to_string());
                    break;
                }
            }
        }
        let shown: HashSet<String> = bad.iter().take(3).map(|row| format!("{row} {}", row.raw)).collect();
        for row in bad.iter().take(3).filter(|row| !self.said_bad.contains(&format!("{row} {}", row.raw))) {
            tracing::warn!(source = "numbers", problem = %row, raw = row.raw, "a row cannot be understood");
        }
        self.said_bad = shown;
        unread = unread.or_else(|| leave_out_doubles(&mut numbers));
        // One that cannot be understood may be any number's.
        unread = unread.or_else(|| bad.first().map(|row| format!("a row cannot be understood: {row}")));
        match unread.take() {
            Some(why) => {
                let left = self.look_up_others(roster, &mut numbers, most, now).await;
                unread = left.map(|left| format!("{why}; {left}"));
            }
            None => self.looked_up.clear(),
        }
        let is_due = self.services_at.is_none_or(|at| at + SERVICES_EVERY <= now);
        // Of those that cannot be read now what was last read stands.
        let services_read = is_due && self.read_services().await.is_none();
        if services_read {
            self.services_at = Some(now);
        }
        for n in &mut numbers {
            n.be_in(self.services.get(&n.record.sid).cloned());
        }
        self.complete(&mut numbers).await;
        for n in &mut numbers {
            let is_gone = |s: &Service| !s.defers_to_number && self.gone_services.contains(&s.sid);
            n.record.gone[Channel::Messaging.index()] |= n.record.service.as_ref().is_some_and(is_gone);
            // It may be in one that nobody has read.
            n.record.unread[Channel::Messaging.index()] |=
                self.needs_services && self.services_at.is_none() && n.record.service.is_none();
        }
        Ok(AllRead { numbers, bad: bad.len(), unread, services_read })
    }

    /// Looks up by themselves `most` numbers of the roster that the list did not show, those longest not looked up
    /// first, and adds what is there, or was. Says what is left, if something is.
    async fn look_up_others(
        &mut self,
        roster: &Roster,
        numbers: &mut Vec<NumberRead>,
        most: usize,
        now: Time,
    ) -> Option<String> {
        let listed: HashSet<NumberId> = numbers.iter().map(|read| self.id(read)).collect();
        let ours = roster.numbers().map(|(_, n)| n.id).filter(|id| id.account == self.client.account());
        let mut others: Vec<NumberId> = ours.filter(|id| !listed.contains(id)).collect();
        others.sort_by_key(|id| self.looked_up.get(id).map(|looked| looked.at));
        let mut lookups = JoinSet::new();
        for id in others.iter().copied().take(most) {
            let client = self.client.clone();
            self.clock.spawn(&mut lookups, async move { (id, client.number_of(id.e164).await) });
        }
        let mut failed = None;
        while let Some(Some(joined)) = self.clock.wait(None, lookups.join_next()).await {
            match joined {
                Ok((id, Ok(read))) => {
                    self.looked_up.insert(id, LookedUp { at: now, found: Some(read) });
                }
                // Those that were not asked for yet come before it.
                Ok((id, Err(error))) => {
                    self.looked_up.entry(id).or_default().at = now;
                    failed = Some(error);
                }
                Err(_) => {}
            }
        }
        let known: Vec<_> = others.iter().filter_map(|id| self.looked_up.get(id)?.found.as_ref()).collect();
        let left = others.len() - known.len();
        numbers.extend(known.into_iter().flatten().cloned());
        match (left, failed) {
            (0, _) => None,
            (left, Some(error)) => Some(format!("{left} of our numbers could not be looked up either: {error}")),
            (left, None) => Some(format!("{left} of our numbers are still to be looked up one by one")),
        }
    }

    /// These numbers as they are now, each for itself. Nothing is taken from memory, but that our region processes
    /// a number, which is asked for where `with_regions`. What applications point at is not read.
    pub async fn read(
        &mut self,
        wanted: &[(NumberId, Option<NumberSid>)],
        channel: Channel,
        with_regions: bool,
    ) -> BTreeMap<NumberId, Result<RoutingRead, ReadError>> {
        if wanted.is_empty() {
            return BTreeMap::new();
        }
        let asked = with_regions.then(|| self.ask_regions(wanted.iter().map(|(n, _)| *n)));
        let records = self.records(wanted).await;
        let unread = if channel == Channel::Messaging {
            self.services.clear();
            self.read_services().await
        } else {
            None
        };
        let mut regions = match asked {
            Some(asked) => self.regions(asked).await,
            None => BTreeMap::new(),
        };
        let mut whole = |number: NumberId, mut read: NumberRead| {
            read.be_in(self.services.get(&read.record.sid).cloned());
            let mut unknown = None;
            match regions.remove(&number) {
                Some(Ok(elsewhere)) => read.record.elsewhere = elsewhere,
                Some(Err(error)) => unknown = Some(Unknown::Region(error)),
                None => {}
            }
            if let (Some((service, why)), None) = (&unread, &read.record.service) {
                unknown = Some(Unknown::Services(format!("{service}: {why}")));
            }
            RoutingRead { read, unknown }
        };
        records.into_iter().map(|(number, read)| (number, read.map(|r| whole(number, r)))).collect()
    }

    /// Reads what the applications of these numbers point at, and whether their trunks are there. Gives the numbers of
    /// which that cannot be told, and marks the channel in their record.
    pub async fn complete(&mut self, numbers: &mut [NumberRead]) -> BTreeMap<NumberId, Error> {
        let (earlier, gone_earlier) = (std::mem::take(&mut self.applications), std::mem::take(&mut self.gone));
        let trunks_earlier = std::mem::take(&mut self.trunks);
        let mut failed: HashMap<ApplicationSid, Error> = HashMap::new();
        let mut incomplete = BTreeMap::new();
        let account = self.client.account();
        for n in numbers {
            let record = &mut n.record;
            if let Some(trunk) = record.trunk {
                record.gone[Channel::Voice.index()] |= !self.has_trunk(trunk, &trunks_earlier).await;
            }
            // A trunk or a Messaging Service answers before an application does: then nothing depends on it.
            let answers = Channel::ALL.map(|c| matches!(record.handler(c), Handler::Application(_)));
            let applications = [&mut record.voice_application, &mut record.sms_application];
            let (mut gone, mut why) = ([false; 2], None);
            let mut unread = [false; 2];
            for (app, (unread, gone)) in applications.into_iter().zip(unread.iter_mut().zip(&mut gone)) {
                let Some(app) = app else { continue };
                if let Some(known) = self.applications.get(&app.sid) {
                    (*app, *gone) = (known.clone(), self.gone.contains(&app.sid));
                    continue;
                }
                if let Some(error) = failed.get(&app.sid) {
                    *unread = true;
                    why = Some(error.clone());
                    continue;
                }
                match self.client.application(app.sid).await {
                    Ok(read) => *app = read,
                    // Deleted under the number, or another account's: whoever calls finds nobody.
                    Err(e) if e.kind == ErrorKind::NotFound => {
                        tracing::warn!(number = %record.number, application = %app.sid, error = %e,
                            "a number's application is not there");
                        *gone = true;
                        self.gone.insert(app.sid);
                    }
                    // A key that may not read it: that it answers is known all the same.
                    Err(e) if e.kind == ErrorKind::Permission => {
                        tracing::warn!(number = %record.number, application = %app.sid, error = %e,
                            "a number's application cannot be read");
                    }
                    Err(error) => {
                        tracing::warn!(application = %app.sid, %error, "an application cannot be read now");
                        match earlier.get(&app.sid) {
                            Some(known) => {
                                *app = known.clone();
                                if gone_earlier.contains(&app.sid) {
                                    *gone = true;
                                    self.gone.insert(app.sid);
                                }
                            }
                            None => {
                                *unread = true;
                                why = Some(error.clone());
                                failed.insert(app.sid, error);
                                continue;
                            }
                        }
                    }
                }
                self.applications.insert(app.sid, app.clone());
            }
            for c in (0..2).filter(|c| answers[*c]) {
                record.gone[c] |= gone[c];
                record.unread[c] |= unread[c];
            }
            if let Some(error) = why.filter(|_| (0..2).any(|c| answers[c] && unread[c])) {
                incomplete.insert(NumberId::new(account, record.number), error);
            }
        }
        incomplete
    }

    /// Whether a trunk is there. One that cannot be asked about is taken to be what it was: a key need not have the
    /// permission, and the number names it.
    async fn has_trunk(&mut self, trunk: TrunkSid, earlier: &HashMap<TrunkSid, bool>) -> bool {
        if let Some(known) = self.trunks.get(&trunk) {
            return *known;
        }
        let is_there = match self.client.has_trunk(trunk).await {
            Ok(is_there) => is_there,
            Err(error) => {
                tracing::debug!(%trunk, %error, "a trunk cannot be read");
                earlier.get(&trunk).copied().unwrap_or(true)
            }
        };
        self.trunks.insert(trunk, is_there);
        is_there
    }

    /// A Messaging Service of the account, as it was last listed.
    pub fn service(&self, sid: ServiceSid) -> Option<&Service> {
        self.listed.get(&sid)
    }

    /// Which of our numbers it is: whatever this client reads is of its account.
    fn id(&self, read: &NumberRead) -> NumberId {
        NumberId::new(self.client.account(), read.record.number)
    }

    /// In which regions these numbers are processed, if in another than ours; or why it is not known.
    pub async fn regions_of(
        &self,
        numbers: impl Iterator<Item = NumberId>,
    ) -> BTreeMap<NumberId, Result<Elsewhere, String>> {
        self.regions(self.ask_regions(numbers)).await
    }

    /// Asks in which regions these numbers are processed, all at the same time.
    fn ask_regions(&self, numbers: impl Iterator<Item = NumberId>) -> JoinSet<(NumberId, Result<Elsewhere, Error>)> {
        let mut asked = JoinSet::new();
        for number in numbers {
            let client = self.client.clone();
            self.clock.spawn(&mut asked, async move { (number, client.elsewhere(number.e164).await) });
        }
        asked
    }

    /// What was answered. An API key need not have this permission.
    async fn regions(
        &self,
        mut asked: JoinSet<(NumberId, Result<Elsewhere, Error>)>,
    ) -> BTreeMap<NumberId, Result<Elsewhere, String>> {
        let mut regions = BTreeMap::new();
        while let Some(Some(joined)) = self.clock.wait(None, asked.join_next()).await {
            match joined {
                Ok((number, Ok(elsewhere))) => {
                    regions.insert(number, Ok(elsewhere));
                }
                Ok((number, Err(error))) => {
                    tracing::warn!(number = %number.e164, %error, "cannot tell which region processes it");
                    regions.insert(number, Err(error.to_string()));
                }
                Err(_) => {}
            }
        }
        regions
    }

    /// Reads which numbers Messaging Services have. Of a service that cannot be read what was known of it stands;
    /// gives the first such, with its error.
    async fn read_services(&mut self) -> Option<(String, String)> {
        if !self.needs_services {
            return None;
        }
        let (listed, bad) = match self.client.services().await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "the Messaging Services cannot be read");
                return Some(("the list of services".to_owned(), error.to_string()));
            }
        };
        self.listed = listed.iter().map(|service| (service.sid, service.clone())).collect();
        let earlier = std::mem::take(&mut self.services);
        self.gone_services.clear();
        let mut unread = bad.first().map(|row| ("one of the services".to_owned(), row.to_string()));
        for service in listed {
            let why = match self.client.service_numbers(service.sid).await {
                Ok((numbers, bad)) => {
                    self.services.extend(numbers.into_iter().map(|n| (n, service.clone())));
                    match bad.first() {
                        None => continue,
                        Some(row) => row.to_string(),
                    }
                }
                Err(error) => {
                    if error.kind == ErrorKind::NotFound {
                        self.gone_services.insert(service.sid);
                    }
                    error.to_string()
                }
            };
            tracing::warn!(service = %service.sid, why, "the numbers of a Messaging Service cannot be read");
            for (number, known) in earlier.iter().filter(|(_, s)| s.sid == service.sid) {
                self.services.entry(*number).or_insert_with(|| known.clone());
            }
            unread = unread.or(Some((service.sid.to_string(), why)));
        }
        unread
    }
}

/// Takes out the numbers that a list has twice, with two SIDs: which of the two is ours, and is written to, cannot be
/// told. Says so if there is one. The same row twice is no trouble: others come and go between two pages.
fn leave_out_doubles(numbers: &mut Vec<NumberRead>) -> Option<String> {
    let mut sids = HashMap::new();
    let mut doubles = HashMap::new();
    for read in numbers.iter() {
        let first = *sids.entry(read.record.number).or_insert(read.record.sid);
        if first != read.record.sid {
            doubles.entry(read.record.number).or_insert((first, read.record.sid));
        }
    }
    numbers.retain(|read| !doubles.contains_key(&read.record.number));
    let (number, (one, other)) = doubles.iter().min_by_key(|(number, _)| number.to_string())?;
    Some(format!("{} numbers are listed twice: {number} as {one} and as {other}", doubles.len()))
}
