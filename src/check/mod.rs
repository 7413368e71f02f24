//! `ringback check`: everything that must be true before the port day is looked at, many things at once.
//!
//! The shell around [`crate::core::check`]: it asks Twilio, the handlers and this machine, and decides nothing. What
//! Twilio gives as a list is read as a list; what costs a request for each number, their regions, is asked for some of
//! many. Nothing is written but a file beside the state, which is removed at once, and nobody is told anything unless a
//! test notice is asked for. Handlers are asked as Twilio asks them: to them it is a call. Whether an API key may
//! update numbers is tried with an update that can have no effect ([`Client::try_update`]); Twilio's debugger may list
//! that there is no such number.
//!
//! Promises: one thing that cannot be looked at keeps no other from being looked at. It ends: each list, each answer
//! and each wait has a bound.

mod account;
mod machine;
mod own;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use account::Later;
use tokio::task::JoinSet;

use crate::agent::execute::read::RoutingReader;
use crate::agent::poll;
use crate::caller::CallerKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::check::code::{FindingCode, FindingSeverity};
use crate::core::check::facts::{
    Door, Facts, KeyKind, KeyRefusal, ListenFound, Looked, NotifierFound, NumberFound, NumbersFound, ProberFound,
    Regions, TwilioPace, Unlooked, UpdateTrial,
};
use crate::core::check::report::{CheckFinding, NotLookedAt, Report};
use crate::core::check::text;
use crate::core::model::facts::Region;
use crate::core::model::id::{AccountSid, Channel, E164, NumberId};
use crate::core::model::roster::{GroupIx, Number, NumberIx, PortAt, Roster};
use crate::core::notice::make::NoticeBuilder;
use crate::metrics::Metrics;
use crate::notify::{NotifierReply, Sender};
use crate::twilio::credentials::Secret;
use crate::twilio::host::{Hosts, Product};
use crate::twilio::standing::TrialAnswer;
use crate::twilio::wire::NumberRead;
use crate::twilio::{Client, Error, ErrorKind};

/// Numbers whose region is asked for: those of a large roster are spread over all groups.
pub const REGIONS: usize = 500;

/// Requests that may be in flight once a limit has been found out, as most accounts bear.
const AT_ONCE: usize = 16;

/// What is looked at on request alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Ask handlers and fallbacks for their TwiML.
    pub webhooks: bool,
    /// Numbers whose region is asked for, at the most, and one a group: [`REGIONS`] unless somebody wants all.
    pub regions: usize,
    /// Send a test notice to each notifier.
    pub notify: bool,
    /// Try whether an API key may update numbers, by an update that can have no effect.
    pub update: bool,
    /// Who is at the agent's address.
    pub listen: Looked<ListenFound>,
}

/// Looks at everything, and says what it amounts to. Fails if there can be no HTTP client.
pub async fn check(config: &Config, clock: &Clock, options: &Options) -> anyhow::Result<Report> {
    let gatherer = Gatherer::new(config, clock)?;
    let facts = gatherer.gather(options).await?;
    Ok(crate::core::check::check(&facts, &config.roster))
}

/// The same at the start of the agent, told to its log. What the agent looks at by itself is left to it: it asks the
/// fallbacks, and for regions a few at a time; and a handler that is asked at each start has callers who are none.
pub async fn at_start(config: &Config, clock: &Clock) {
    let options =
        Options { webhooks: false, regions: 0, notify: false, update: false, listen: Ok(ListenFound::OurAgent) };
    match check(config, clock, &options).await {
        Ok(report) => tell(&report),
        Err(error) => tracing::warn!(%error, "what the port day needs could not be checked"),
    }
}

/// Each finding is a line. The configuration's own warnings are told by who reads it.
fn tell(report: &Report) {
    for CheckFinding { code, severity, title, seen, cure, numbers, groups, .. } in &report.findings {
        let (numbers, groups) = (numbers.len(), groups.join(", "));
        match severity {
            _ if *code == FindingCode::ConfigurationWarns => {}
            FindingSeverity::Error => tracing::error!(%code, seen, numbers, groups, cure, "{title}"),
            FindingSeverity::Warning => tracing::warn!(%code, seen, numbers, groups, cure, "{title}"),
        }
    }
    for NotLookedAt { codes, because, .. } in report.not_looked_at.iter().filter(|n| n.is_needed) {
        let codes: Vec<&str> = codes.iter().map(|code| code.code()).collect();
        tracing::warn!(codes = codes.join(" "), because, "it could not be looked at");
    }
    tracing::info!("{}; `ringback check` looks at handlers and fallbacks as well", text::verdict(report, false));
}

/// What all questions need.
struct Gatherer<'c> {
    config: &'c Config,
    clock: Clock,
    client: Client,
    /// Ours, and after them the numbers that test calls come from.
    wide: Arc<Roster>,
}

/// Ours first, so that their places are the same, then the numbers that test calls come from, which nobody watches.
fn with_probers(config: &Config) -> Roster {
    let mut wide = config.roster.clone();
    let name = "test-calls".parse().expect("a name of letters and a dash is one");
    let group = wide.add_group(name, [None, None]);
    for settings in config.probes.groups.iter().flatten() {
        let Some(from) = settings.from else { continue };
        wide.add_number(Number {
            id: NumberId::new(config.account(), from),
            label: String::new(),
            group,
            channels: [false; 2],
            timezone: jiff::tz::TimeZone::UTC,
            port: PortAt::Done,
        });
    }
    wide
}

/// Asks about all of these at once, as far as Twilio bears it, and gives the answers in their order.
async fn each<I, T, F>(clock: &Clock, items: impl IntoIterator<Item = I>, ask: impl Fn(I) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut asks = JoinSet::new();
    for (nth, item) in items.into_iter().enumerate() {
        let answer = ask(item);
        clock.spawn(&mut asks, async move { (nth, answer.await) });
    }
    let mut answers = Vec::new();
    while let Some(Some(answer)) = clock.wait(None, asks.join_next()).await {
        // A question that panicked has no answer, and the process says so elsewhere.
        answers.extend(answer.ok());
    }
    answers.sort_by_key(|(nth, _)| *nth);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Why something was not looked at: what went wrong, the same text for the same trouble.
fn unlooked(error: &Error, is_needed: bool) -> Unlooked {
    let because = Error { request_id: None, ..error.clone() }.to_string();
    Unlooked { because, is_needed }
}

/// What was read, or why it was not looked at.
fn looked<T>(read: Result<T, Error>, is_needed: bool) -> Looked<T> {
    read.map_err(|error| unlooked(&error, is_needed))
}

impl<'c> Gatherer<'c> {
    fn new(config: &'c Config, clock: &Clock) -> anyhow::Result<Gatherer<'c>> {
        let wide = Arc::new(with_probers(config));
        let metrics = Metrics::new(&config.roster, config.engine.mode);
        let key = CallerKey::public().clone();
        let client = Client::new(config.twilio.clone(), wide.clone(), key, clock.clone(), metrics)?;
        Ok(Gatherer { config, clock: clock.clone(), client, wide })
    }

    async fn gather(&self, options: &Options) -> anyhow::Result<Facts> {
        let began = self.clock.now();
        let door = self.door().await;
        let request = self.clock.now().since(began);
        let mut facts = self.without_twilio(door, options).await?;
        let why = match &facts.door {
            Door::Open => None,
            Door::Refused(_) => Some(Unlooked::depends_on(FindingCode::Credentials)),
            Door::NoNumbers(_) => Some(Unlooked::depends_on(FindingCode::Permission)),
            Door::Shut(why) => Some(Unlooked::needed(why)),
        };
        if let Some(why) = why {
            self.close(&mut facts, &why);
            return Ok(facts);
        }
        facts.pace.request = Ok(request);
        facts.update = self.try_update(options).await;
        let account = self.account();
        let read = {
            let (clock, client, wide) = (self.clock.clone(), self.client.clone(), self.wide.clone());
            let mut reader = RoutingReader::new(clock.clone(), client, &self.config.roster);
            async move { reader.read_all(&wide, clock.now()).await }
        };
        let mut both = JoinSet::new();
        self.clock.spawn(&mut both, async move { (Some(account.await), None) });
        self.clock.spawn(&mut both, async move { (None, Some(read.await)) });
        let (mut account, mut numbers) = (None, None);
        while let Some(Some(part)) = self.clock.wait(None, both.join_next()).await {
            let (one, other) = part?;
            account = one.or(account);
            numbers = other.or(numbers);
        }
        let (Some(account), Some(numbers)) = (account, numbers) else { anyhow::bail!("a question was not answered") };
        let later = account.put_into(&mut facts);
        let reads = match numbers {
            Ok(all) => all,
            Err(error) => {
                let why = unlooked(&error, true);
                self.close_numbers(&mut facts, &why);
                return Ok(facts);
            }
        };
        facts.numbers = Ok(NumbersFound {
            there: reads.numbers.iter().filter_map(|read| self.found(read)).collect(),
            unread: reads.unread.clone(),
            services_read: reads.services_read,
        });
        later.put_changes(&mut facts);
        own::leave_out(&mut facts, &self.config.agent.state, &self.wide).await;
        facts.probers = self.probers(&reads.numbers, reads.unread.as_deref());
        self.unread_applications(&reads.numbers, &mut facts);
        self.ask_more(&reads.numbers, later, &mut facts, options).await;
        // Of those who may read nothing of one kind, the key's own kind follows.
        facts.key = self.key(&facts);
        Ok(facts)
    }

    /// Whether Twilio lets us in.
    async fn door(&self) -> Door {
        let Err(error) = self.client.numbers(1).next().await else { return Door::Open };
        let kind = error.kind;
        let said = Error { request_id: None, ..error.clone() };
        let told = self.client.at_host(Product::Api, said).to_string();
        match kind {
            ErrorKind::Credentials | ErrorKind::NotFound | ErrorKind::Refused => Door::Refused(told),
            ErrorKind::Permission => Door::NoNumbers(told),
            ErrorKind::Conflict
            | ErrorKind::Busy
            | ErrorKind::Server
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::CutOff
            | ErrorKind::NotTwilio
            | ErrorKind::OldCopy => Door::Shut(told),
        }
    }

    /// Whether the credentials may update numbers.
    async fn try_update(&self, options: &Options) -> Looked<UpdateTrial> {
        match (&self.config.twilio.credentials.secret, options.update) {
            (Secret::AuthToken(_), _) => Ok(UpdateTrial::Needless),
            (Secret::ApiKey { .. }, false) => Err(Unlooked::optional("`ringback check` tries it, and not the start")),
            (Secret::ApiKey { .. }, true) => match self.client.try_update().await {
                Ok(TrialAnswer::NotFound) => Ok(UpdateTrial::LetThrough),
                Ok(TrialAnswer::Barred(error)) => Ok(UpdateTrial::Barred(unlooked(&error, true).because)),
                Err(error) => Err(unlooked(&error, true)),
            },
        }
    }

    /// What needs no answer of Twilio's, and nothing looked at of the rest.
    async fn without_twilio(&self, door: Door, options: &Options) -> anyhow::Result<Facts> {
        let config = self.config;
        let roster = &config.roster;
        let later = || Unlooked::needed("it has not been looked at");
        let settings = |ix: GroupIx| config.probes.groups.get(ix.0 as usize).and_then(Option::as_ref);
        let is_probed = |ix: GroupIx| settings(ix).is_some_and(|s| s.origin(0).is_some());
        let edge_filled_in = match &config.twilio.hosts {
            Hosts::Twilio { edge: None, region: Some(region) } => match Region::of(region) {
                Region::By(edge) => Some((region.clone(), edge.to_owned())),
                Region::Home | Region::Retired | Region::Unknown => None,
            },
            Hosts::Twilio { .. } | Hosts::One(_) => None,
        };
        let skew = self.client.clock_skew_ms().map(|ms| ms / 1000);
        Ok(Facts {
            at: self.clock.now(),
            account: config.account(),
            door,
            signs: matches!(config.twilio.credentials.secret, Secret::AuthToken(_)),
            key: KeyKind::Untold,
            update: Err(later()),
            refusals: Vec::new(),
            skew: skew.ok_or_else(|| Unlooked::needed("no answer of Twilio's has said what time it is there")),
            skew_borne: poll::MOST_SKEW,
            standing: Err(later()),
            balance: Err(later()),
            traffic: Err(later()),
            probes_a_day: self.probes_a_day(),
            edge_filled_in,
            numbers: Err(later()),
            regions: Regions { ours: config.twilio.hosts.region().to_owned(), ..Regions::default() },
            trunks: BTreeMap::new(),
            handlers: Vec::new(),
            fallbacks: Vec::new(),
            countries: BTreeMap::new(),
            rules: Err(later()),
            probers: Vec::new(),
            unprobed: roster.groups().map(|(ix, _)| ix).filter(|ix| !is_probed(*ix)).collect(),
            state: machine::state(&config.agent.state),
            configuration_warnings: config.warnings.clone(),
            history: config.engine.history.clone(),
            listen: options.listen.clone(),
            has_token: config.agent.token.is_some(),
            notifiers: self.notifiers(options.notify).await?,
            pace: TwilioPace {
                request: Err(later()),
                at_once: AT_ONCE.min(config.twilio.max_in_flight),
                between_calls: config.probes.limits.gap(),
            },
            writers: Err(later()),
            campaigns: BTreeMap::new(),
            brands: BTreeMap::new(),
            toll_free: Err(later()),
            bundles: BTreeMap::new(),
        })
    }

    /// Nothing could be asked of Twilio: `why`.
    fn close(&self, facts: &mut Facts, why: &Unlooked) {
        facts.standing = Err(why.clone());
        facts.update = Err(why.clone());
        facts.balance = Err(why.clone());
        facts.traffic = Err(why.clone());
        facts.toll_free = Err(why.clone());
        facts.pace.request = Err(why.clone());
        self.close_numbers(facts, why);
    }

    /// Nothing is known of the numbers: `why`.
    fn close_numbers(&self, facts: &mut Facts, why: &Unlooked) {
        facts.numbers = Err(why.clone());
        facts.rules = Err(why.clone());
        facts.writers = Err(why.clone());
        facts.key = self.key(facts);
        let first = |ix: GroupIx| self.config.roster.group(ix).numbers.first().copied();
        for (group, g) in self.config.roster.groups() {
            let Some(number) = first(group) else { continue };
            for channel in Channel::ALL {
                let Some(url) = g.fallback(channel) else { continue };
                let url = crate::core::routing::record::bare(url);
                let answer = Err(why.clone());
                let asked = crate::core::check::facts::FallbackAsked { group, channel, url, number, answer };
                facts.fallbacks.push(asked);
            }
        }
        facts.probers = self.wanted_probers().map(|p| ProberFound { lacks: Err(why.clone()), ..p }).collect();
    }

    fn probes_a_day(&self) -> f64 {
        let roster = &self.config.roster;
        let limits = &self.config.probes.limits;
        let of_group = |ix: GroupIx| {
            let settings = self.config.probes.groups.get(ix.0 as usize).and_then(Option::as_ref);
            let every = settings.filter(|s| s.from.is_some()).map_or(Duration::ZERO, |s| s.every).as_secs_f64();
            let channels =
                roster.group(ix).numbers.iter().map(|n| roster.number(*n).channels.iter().filter(|c| **c).count());
            if every > 0.0 { channels.sum::<usize>() as f64 * 86_400.0 / every } else { 0.0 }
        };
        roster.groups().map(|(ix, _)| of_group(ix)).sum::<f64>().min(f64::from(limits.budget.per_day))
    }

    fn found(&self, read: &NumberRead) -> Option<NumberFound> {
        let ix = self.config.roster.find(NumberId::new(self.account_sid(), read.record.number))?;
        let json: serde_json::Value = serde_json::from_str(read.raw.whole()).unwrap_or_default();
        let text = |field: &str| json[field].as_str().filter(|t| !t.is_empty());
        let is_sid = |sid: &&str| sid.starts_with("BU") && sid.chars().all(|c| c.is_ascii_alphanumeric());
        Some(NumberFound {
            ix,
            record: read.record.clone(),
            is_hosted: text("origin").is_some_and(|o| o.eq_ignore_ascii_case("hosted")),
            bundle: text("bundle_sid").filter(is_sid).map(str::to_owned),
        })
    }

    const fn account_sid(&self) -> AccountSid {
        self.config.account()
    }

    /// The numbers that test calls come from, with nothing known of them.
    fn wanted_probers(&self) -> impl Iterator<Item = ProberFound> {
        let roster = &self.config.roster;
        roster.groups().filter_map(|(group, g)| {
            let number: E164 = self.config.probes.groups.get(group.0 as usize)?.as_ref()?.from?;
            let watches = |c: Channel| g.numbers.iter().any(|n| roster.number(*n).channels[c.index()]);
            Some(ProberFound { group, number, needs: Channel::ALL.map(watches), lacks: Ok(None) })
        })
    }

    fn probers(&self, reads: &[NumberRead], unread: Option<&str>) -> Vec<ProberFound> {
        let find = |number: E164| reads.iter().find(|read| read.record.number == number);
        self.wanted_probers()
            .map(|wanted| {
                let lacks = match (find(wanted.number), unread) {
                    (Some(read), _) => Ok(Some(read.record.lacks)),
                    (None, None) => Ok(None),
                    (None, Some(why)) => {
                        Err(Unlooked::needed(format!("the account's numbers could not be read to their end: {why}")))
                    }
                };
                ProberFound { lacks, ..wanted }
            })
            .collect()
    }

    /// An application that numbers point at, and that may not be read.
    fn unread_applications(&self, reads: &[NumberRead], facts: &mut Facts) {
        let is_unread = |read: &&NumberRead| {
            let r = &read.record;
            let apps = [&r.voice_application, &r.sms_application];
            apps.into_iter().zip(r.gone).any(|(a, gone)| a.as_ref().is_some_and(|a| !a.is_read && !gone))
                && r.unread == [false; 2]
        };
        if reads.iter().any(|read| is_unread(&read)) {
            facts.refusals.push(KeyRefusal {
                what: "TwiML applications",
                so: "whose failure an alert tells of cannot be said of the numbers that point at one",
                error: "an application of our numbers was not answered for want of a permission".to_owned(),
            });
        }
    }

    /// What follows from the numbers as they are.
    async fn ask_more(&self, reads: &[NumberRead], later: Later, facts: &mut Facts, options: &Options) {
        let there: Vec<NumberIx> = facts.numbers.iter().flat_map(|found| found.there.iter().map(|n| n.ix)).collect();
        let asked = self.spread(&there, options.regions);
        facts.regions.left_out = there.len() - asked.len();
        let regions = {
            let (client, wide) = (self.client.clone(), self.wide.clone());
            each(&self.clock, asked, move |ix| {
                let (client, number) = (client.clone(), wide.number(ix).id.e164);
                async move { (ix, client.elsewhere(number).await) }
            })
        };
        let regions = regions.await;
        facts.regions.without_messaging = !self.client.tells_messaging_regions();
        let refused =
            regions.iter().find_map(|(_, read)| read.as_ref().err().filter(|e| e.kind == ErrorKind::Permission));
        if let Some(error) = refused {
            facts.refusals.push(KeyRefusal {
                what: "where calls are processed (Routes)",
                so: "calls of a number in another region are not seen, and nobody learns that it is there",
                error: unlooked(error, true).because,
            });
        }
        facts.regions.asked = regions.into_iter().map(|(ix, read)| (ix, looked(read, true))).collect();
        self.ask_registrations(facts).await;
        self.ask_webhooks(reads, facts, options).await;
        facts.rules = looked(later.rules, false).map(|rules| webhooks::matching(&rules, reads, &self.config.roster));
    }

    /// Numbers of all groups: no more of them than `most`, and one a group; none if none are wanted.
    fn spread(&self, there: &[NumberIx], most: usize) -> Vec<NumberIx> {
        if there.len() <= most || most == 0 {
            return there.iter().copied().filter(|_| most > 0).collect();
        }
        let mut seen = BTreeSet::new();
        let firsts = there.iter().filter(|ix| seen.insert(self.config.roster.number(**ix).group));
        let spaced = (0..most).map(|i| &there[i * there.len() / most]);
        firsts.chain(spaced).copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn key(&self, facts: &Facts) -> KeyKind {
        match (&self.config.twilio.credentials.secret, facts.key) {
            (Secret::AuthToken(_), _) => KeyKind::Whole,
            (Secret::ApiKey { .. }, _) if !facts.refusals.is_empty() => KeyKind::Restricted,
            (Secret::ApiKey { .. }, kind) => kind,
        }
    }

    async fn notifiers(&self, is_asked: bool) -> anyhow::Result<Vec<NotifierFound>> {
        let config = self.config;
        let builder =
            NoticeBuilder { roster: Arc::new(config.roster.clone()), addresses: config.agent.addresses.clone() };
        let sender = Sender::new(self.clock.clone())?;
        let mut found = Vec::new();
        for notifier in &config.notify {
            let test = if is_asked {
                let notice = builder.test(self.clock.now(), &notifier.name);
                Ok(match sender.send(notifier, &notice).await {
                    NotifierReply::Delivered(_) => Ok(()),
                    reply @ (NotifierReply::Again { .. } | NotifierReply::Refused(_)) => Err(reply.text().to_owned()),
                })
            } else {
                Err(Unlooked::optional("test notices are sent on request alone (--notify)"))
            };
            found.push(NotifierFound { name: notifier.name.clone(), through_twilio: notifier.through_twilio, test });
        }
        Ok(found)
    }
}
