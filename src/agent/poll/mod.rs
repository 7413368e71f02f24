//! Reading Twilio's logs so that nothing is missed and nothing is counted twice.
//!
//! Twilio's lists are newest first, lag by seconds to hours, and show the same entry again with a
//! later state. So every poll reads again what it has read before and compares: an entry that is
//! new or has changed goes on, the rest is known. Three walks of growing depth share the work:
//!
//! * a **quick** one at every poll stops at the first page with nothing new on it;
//! * a **full** one, twice a minute, goes back through the whole overlap;
//! * a **deep** one, every quarter of an hour, goes back [`bounds::LOOK_BACK`], for what came very late.
//!
//! The first walk is a deep one. What is over by then was there before Ringback was, and is remembered as such: so
//! whatever shows up among it later came late, and counts, also where it happened before Ringback began.
//!
//! Calls that are not over are in the list as long as they are young; older ones are fetched by
//! SID until they end, and so is a call that the alert log names before the call log does.
//!
//! A page shows more than was asked for: Twilio's filters have the precision of a day. Entries older
//! than the walk is deep are passed over, since what was seen of them is remembered no longer and
//! they would be taken for new.
//!
//! What a poll brings is committed with its cursor before the engine hears of it; if that fails,
//! nothing happened and the next poll brings it again.
//!
//! A list that breaks off is used for what it says, and was not read: the log grows stale, and the next walk goes
//! back as far as this one should have gone. So it is with a log of which a large part cannot be understood: an answer
//! that came is no sight.

mod error;
pub mod fallback;
mod follow;
mod found;
mod gone;
mod log;
pub mod routing;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Batch, Shared};
use crate::clock::Clock;
use crate::config;
use crate::core::detect::observation::{Alert, Observation};
use crate::core::model::bounds::{self, LOOK_BACK, LOOK_BACK_EVERY};
use crate::core::model::facts::{LARGEST_PAGE, LONGEST_CALL};
use crate::core::model::id::{CallSid, E164, NumberId, Resource};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::metrics::RowResult;
use crate::twilio::wire::{Listed, WireRow};
use crate::twilio::{Client, LogEntry};
pub use error::PollError;
use found::FoundEntries;
pub use log::{AlertLog, CallLog, MessageLog, TwilioLog};
use log::{FetchedRows, Item};

/// Page size of quick walks: enough for most polls, and quick for Twilio to make.
const QUICK_PAGE: usize = 100;

/// How long observations are kept on the disk: the port day and the week after it.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Twilio's clock and ours may differ by this much before nothing can be said of "now".
pub const MOST_SKEW: Duration = Duration::from_secs(60);

/// Between two times at which it is said that the call log goes on.
const ALIVE_EVERY: Duration = Duration::from_secs(60);

/// A row that cannot be understood is said once, and once more where it was out of sight for so long.
const SAID_AGAIN: Duration = Duration::from_secs(3600);

/// The precision of Twilio's filters.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Recent lags that the typical lag is the median of.
const LAGS: usize = 101;

/// Fails if Twilio's clock and ours disagree.
pub fn check_clock(clock: &Clock, client: &Client) -> Result<(), PollError> {
    match client.clock_skew_ms() {
        Some(ms) if ms.unsigned_abs() > MOST_SKEW.as_millis() as u64 => {
            if clock.correct(client.their_time(clock.now()), MOST_SKEW) {
                tracing::warn!(skew_seconds = ms / 1000, "this machine's clock was set right: going by it from now on");
            }
            Err(PollError::ClockSkew(ms / 1000))
        }
        Some(_) | None => Ok(()),
    }
}

/// What is remembered of an entry, so that it can be told whether it changed.
#[derive(Clone, Copy)]
struct Known {
    digest: u64,
    at: Time,
    /// A later state is to be expected; when it was last looked at.
    open: Option<Time>,
    /// It was there before Ringback was, and over: what becomes of it is nobody's business.
    is_before_us: bool,
    /// The list has shown it, and should go on doing so.
    is_listed: bool,
}

fn digest(item: &impl Hash) -> u64 {
    let mut h = DefaultHasher::new();
    item.hash(&mut h);
    h.finish()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Quick,
    Full,
    Deep,
}

/// How far back entries count as new.
#[derive(Clone, Copy)]
struct Reach {
    /// What was over before this was there before Ringback was.
    horizon: Time,
    /// The same, of entries that were looked through one by one: what is not among them came later.
    looked_through: Time,
    /// What is older than this is remembered no longer, so that nobody can say whether it is new.
    floor: Time,
    /// What is not older has to be read.
    overlap: Time,
    /// Nothing of before this is an answer: it is of an earlier day than was asked for, and by more than an alert comes
    /// late, which is asked for by when it was written down and tells when it was raised.
    from: Time,
}

/// Reads one log for as long as it runs.
pub struct Poller<G: TwilioLog> {
    shared: Shared,
    poll: config::Poll,
    known: HashMap<u128, Known>,
    /// Entries older than this were there before Ringback was.
    horizon: Option<Time>,
    /// Back to here all that was there when we first looked is remembered.
    looked_through: Option<Time>,
    /// When it was last said that entries come later than they are read again.
    said_late: Option<Time>,
    polled_at: Option<Time>,
    next_full: Time,
    next_deep: Time,
    /// SIDs that another log has named.
    wanted: mpsc::Receiver<CallSid>,
    /// Those of them that this log has not shown.
    named: VecDeque<u128>,
    /// Entries that are being fetched by their SIDs.
    fetching: JoinSet<FetchedRows<G>>,
    under_way: HashMap<Id, u128>,
    lags: Vec<f64>,
    /// How many entries were new, and when: the ledger holds them.
    taken: VecDeque<(Time, usize)>,
    /// Rows that cannot be understood and were said to be so, and when they were last seen.
    said_bad: HashMap<u64, Time>,
    /// Who has written to us lately, and when: only to them may another number of a Messaging Service answer for ours.
    writers: HashMap<u64, Time>,
    /// When the newest entry happened that is none of ours, and when its coming was last said.
    others: Option<Time>,
    said_alive: Time,
    kind: std::marker::PhantomData<fn() -> G>,
}

impl<G: TwilioLog> Poller<G> {
    /// `polled_at`: when the log was last read in full, by the agent before this one.
    pub fn new(
        shared: Shared,
        poll: config::Poll,
        polled_at: Option<Time>,
        wanted: mpsc::Receiver<CallSid>,
    ) -> Poller<G> {
        Poller {
            shared,
            poll,
            known: HashMap::new(),
            horizon: None,
            looked_through: None,
            said_late: None,
            polled_at,
            next_full: Time::EPOCH,
            next_deep: Time::EPOCH,
            wanted,
            named: VecDeque::new(),
            fetching: JoinSet::new(),
            under_way: HashMap::new(),
            lags: Vec::new(),
            taken: VecDeque::new(),
            said_bad: HashMap::new(),
            writers: HashMap::new(),
            others: None,
            said_alive: Time::EPOCH,
            kind: std::marker::PhantomData,
        }
    }

    /// Takes in an entry that was seen before a restart.
    pub fn remember(&mut self, sid: u128, item: &Item<G>) {
        let at = <G::Listed as Listed>::time(item).unwrap_or(Time::EPOCH);
        self.note_writer(at, item);
        let open = G::is_open(item).then_some(Time::EPOCH);
        let is_listed = G::is_of_ours(item, &|number| self.is_ours(number));
        self.known.insert(sid, Known { digest: digest(item), at, open, is_before_us: false, is_listed });
    }

    fn is_ours(&self, number: E164) -> bool {
        self.shared.roster.find(NumberId::new(self.shared.client.account(), number)).is_some()
    }

    fn note_writer(&mut self, at: Time, item: &Item<G>) {
        if let Some(party) = G::written_by(item, &|number| self.is_ours(number)) {
            let last = self.writers.entry(party).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// True if an entry is of none of our numbers, nor an answer to somebody who has written to one. The walk comes
    /// upon an answer before its question: what may be one is looked at again at its end.
    fn is_foreign(&self, item: &Item<G>) -> bool {
        G::may_answer(item, &|number| self.is_ours(number)).is_some_and(|party| !self.writers.contains_key(&party))
    }

    /// Everything that happened since `horizon` and was seen has been remembered: whatever else
    /// comes of it is new, however late.
    pub fn remembers_since(&mut self, horizon: Time) {
        self.horizon = Some(horizon);
    }

    /// Polls until `stop`.
    pub async fn run(mut self, mut active: watch::Receiver<bool>, stop: CancellationToken) {
        let clock = self.shared.clock.clone();
        let mut failures = 0u32;
        while !stop.is_cancelled() {
            let started = clock.now();
            match self.poll().await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!(source = G::SOURCE.label(), failures, "reading this log again");
                    }
                    failures = 0;
                }
                Err(error) => {
                    self.shared.metrics.poll_failed(G::SOURCE);
                    error.publish(&self.shared, G::SOURCE).await;
                    failures += 1;
                    // Once when it starts and now and then while it lasts; the metric has each.
                    if failures == 1 || failures.is_multiple_of(20) {
                        let cure = error.cure().to_owned();
                        tracing::error!(source = G::SOURCE.label(), failures, %error, cure, "cannot read this log");
                    }
                }
            }
            let interval = if *active.borrow_and_update() { self.poll.active } else { self.poll.passive };
            // Polls speed up at once when a number becomes active.
            let event = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    Ok(()) = active.changed() => {}
                }
            };
            clock.wait(Some(started + interval), event).await;
        }
    }

    /// Reads what is new and hands it on.
    #[tracing::instrument(skip_all, fields(source = G::SOURCE.label()))]
    pub async fn poll(&mut self) -> Result<(), PollError> {
        let Shared { clock, client, store, metrics, .. } = self.shared.clone();
        let started = clock.now();
        let overlap = self.polled_at.unwrap_or(started).min(started) - self.poll.overlap;
        let depth = if started >= self.next_deep {
            Depth::Deep
        } else if G::ALWAYS_FULL || started >= self.next_full {
            Depth::Full
        } else {
            Depth::Quick
        };
        let cutoff = if depth == Depth::Deep { overlap.min(started - LOOK_BACK) } else { overlap };
        let horizon = *self.horizon.get_or_insert(overlap);
        let looked_through = self.looked_through.map_or(horizon, |back| back.min(horizon));
        let from = (cutoff - LOOK_BACK)
            .min(Time::from_millis(cutoff.as_millis() - cutoff.as_millis().rem_euclid(DAY.as_millis() as i64)));
        let reach = Reach { horizon, looked_through, floor: overlap.min(started - LOOK_BACK), overlap, from };
        let mut found = FoundEntries::<G>::new();
        self.take_fetched(clock.now(), reach, &mut found);
        let walked = self.walk(&client, depth, cutoff, reach, &mut found).await;
        check_clock(&clock, &client)?;
        self.check_room(&found, started)?;
        let shown = self.check_gone(&found, reach, started);
        self.follow(depth, reach, &mut found).await;
        // An answer counts with its question, and not a poll later, when the question has been judged.
        for (_, item) in &found.fresh {
            self.note_writer(<G::Listed as Listed>::time(item).unwrap_or(started), item);
        }
        found.is_walked = true;
        for item in std::mem::take(&mut found.perhaps) {
            self.sort(Ok(WireRow::Ours(item)), clock.now(), reach, &mut found);
        }
        let read = walked.and_then(|()| found.check()).and(shown);
        let is_alive = self.others_moved(&found, started);

        // Oldest first, as they happened.
        found.fresh.sort_by_key(|(_, item)| <G::Listed as Listed>::time(item));
        let mut items: Vec<(Time, Observation)> =
            found.fresh.iter().map(|(at, item)| (*at, G::observation(item.clone()))).collect();
        if is_alive {
            items.push((clock.now(), Observation::OthersCall));
        }
        let _turn = self.shared.turn().await;
        let mut place = None;
        // Without new entries only the cursor would be written: reading a little more after a restart is cheaper.
        // But for the alerts', which says up to when outcomes were settled and counted.
        if read.is_ok() && (!items.is_empty() || G::SOURCE == Source::Alerts || self.polled_at.is_none()) {
            place = Some(store.commit_poll(client.account(), G::SOURCE, started, &items).await?);
        } else if !items.is_empty() {
            place = Some(store.commit_seen(client.account(), &items).await?);
        }
        self.measure(&found, reach);
        let unclear = found.bad.first().map(ToString::to_string);
        self.taken.push_back((started, found.counts[RowResult::New as usize]));
        while self.taken.front().is_some_and(|(at, _)| *at + bounds::LOG_SPAN < started) {
            self.taken.pop_front();
        }
        self.known.extend(found.known);
        if read.is_err() {
            // What was not read lies behind entries that are known now.
            self.next_full = Time::EPOCH;
        } else if depth >= Depth::Full {
            self.next_full = started + self.poll.full;
            let [seen, open] = [started - LOOK_BACK - self.poll.overlap, started - LONGEST_CALL];
            self.known.retain(|_, k| k.at >= if k.open.is_some() { open } else { seen });
            self.writers.retain(|_, at| *at >= seen);
        }
        if read.is_ok() {
            if depth == Depth::Deep {
                if !found.is_cut_short {
                    self.looked_through.get_or_insert(reach.floor);
                }
                self.next_deep = started + LOOK_BACK_EVERY;
            }
            self.polled_at = Some(started);
            metrics.polled(G::SOURCE, started);
        }
        self.shared
            .hand_on(Batch {
                account: client.account(),
                source: G::SOURCE,
                polled: read.is_ok().then_some(G::SOURCE).into_iter().collect(),
                polled_at: started,
                unclear,
                seen: items,
                before: found.before,
                place,
                room: None,
            })
            .await;
        // One source does it for all.
        if depth == Depth::Deep
            && G::SOURCE == Source::Alerts
            && let Err(error) = store.prune(started - KEPT).await
        {
            tracing::warn!(%error, cure = error.cure, "old observations stay on the disk for now");
        }
        read
    }

    /// True if a row of the call log that is none of ours has become visible, and a profile makes that worth knowing:
    /// once in a while, for each time is written down.
    fn others_moved(&mut self, found: &FoundEntries<G>, started: Time) -> bool {
        if G::SOURCE != Source::Calls || !self.shared.client.has_history() {
            return false;
        }
        // What was there when we first looked may be old.
        let is_new = self.others.is_some_and(|newest| found.others > Some(newest));
        if is_new && self.said_alive + ALIVE_EVERY > started {
            return false;
        }
        self.others = self.others.max(found.others).or(Some(Time::EPOCH));
        if is_new {
            self.said_alive = started;
        }
        is_new
    }

    /// Goes through the lists that make up the log, each as far as it can be read: none is another's trouble. Fails if
    /// one broke off within the overlap.
    async fn walk(
        &self,
        client: &Client,
        depth: Depth,
        cutoff: Time,
        reach: Reach,
        found: &mut FoundEntries<G>,
    ) -> Result<(), PollError> {
        let page_size = if depth == Depth::Quick { QUICK_PAGE } else { LARGEST_PAGE };
        let mut walked = Ok(());
        found.is_listing = true;
        for mut pager in G::lists(client, cutoff, page_size) {
            found.is_past_overlap = false;
            let mut back_to = self.shared.clock.now();
            loop {
                let page = match pager.next().await {
                    Ok(Some(page)) => page,
                    Ok(None) => break,
                    // What is left is looked through for what came late: worth a try in a quarter of an hour.
                    Err(error) if found.is_past_overlap => {
                        tracing::warn!(source = G::SOURCE.label(), %error, "this log is read, but not back to its oldest");
                        found.is_cut_short = true;
                        break;
                    }
                    Err(error) => {
                        walked = walked.and(Err(error.into()));
                        break;
                    }
                };
                let news = found.fresh.len();
                let is_empty = page.rows.is_empty();
                back_to = if pager.place().is_none() { Time::EPOCH } else { page.reaches.unwrap_or(back_to) };
                for row in page.rows {
                    self.sort(row, self.shared.clock.now(), reach, found);
                }
                // Of all its rows: one that is out of order, or whose date is nonsense, ends no walk.
                let is_old = page.newest.is_some_and(|newest| newest < cutoff);
                found.is_past_overlap |= page.reaches.is_some_and(|back| back < reach.overlap);
                self.check_room(found, self.shared.clock.now())?;
                // A page with nothing on it says nothing of those behind it.
                let is_known = depth == Depth::Quick && found.fresh.len() == news && !is_empty;
                if is_old || is_known {
                    break;
                }
            }
            found.walked_to = found.walked_to.max(back_to);
        }
        found.is_listing = false;
        walked
    }

    /// Fails if there is more than can be held: what is not held cannot be judged, and that must be said.
    fn check_room(&self, found: &FoundEntries<G>, now: Time) -> Result<(), PollError> {
        let most = bounds::log_entries(self.shared.roster.len());
        let since = now - bounds::LOG_SPAN;
        let taken: usize = self.taken.iter().filter(|(at, _)| *at >= since).map(|(_, new)| new).sum();
        let new = found.counts[RowResult::New as usize];
        if found.fresh.len() > most || taken + new > most { Err(PollError::TooMany(most)) } else { Ok(()) }
    }

    /// Exports what the poll showed of the log itself.
    fn measure(&mut self, found: &FoundEntries<G>, reach: Reach) {
        let metrics = &self.shared.metrics;
        for result in RowResult::ALL {
            metrics.rows(G::SOURCE, result, found.counts[result as usize]);
        }
        let now = self.shared.clock.now();
        self.said_bad.retain(|_, at| *at + SAID_AGAIN > now);
        for bad in found.bad.iter().take(3) {
            // Each poll shows the same rows again.
            if self.said_bad.insert(digest(&(bad.field, &bad.problem, &bad.raw)), now).is_none() {
                tracing::warn!(source = G::SOURCE.label(), problem = %bad, raw = bad.raw, "a row cannot be understood");
            }
        }
        if let Some(at) = found.newest {
            metrics.newest_entry(G::SOURCE, at);
        }
        // What was there when we first looked says nothing of how late the log is.
        if self.polled_at.is_some() {
            let mut late = 0;
            for (seen_at, item) in &found.fresh {
                let is_first_sight = !self.known.contains_key(&item.sid());
                let is_late = <G::Listed as Listed>::time(item).is_some_and(|at| at < reach.overlap);
                late += usize::from(is_first_sight && is_late);
                if let (true, Some(ended_at)) = (is_first_sight, G::ended_at(item)) {
                    let lag = seen_at.since(ended_at).as_secs_f64();
                    metrics.entry_lag(G::SOURCE, lag);
                    if self.lags.len() == LAGS {
                        self.lags.remove(0);
                    }
                    self.lags.push(lag);
                }
            }
            if late > 0 && self.said_late.is_none_or(|at| at + SAID_AGAIN <= now) {
                self.said_late = Some(now);
                tracing::warn!(
                    source = G::SOURCE.label(),
                    entries = late,
                    "Twilio has listed entries later than poll.overlap: they are found up to a quarter of an hour after that"
                );
            }
            let mut sorted = self.lags.clone();
            sorted.sort_by(f64::total_cmp);
            let is_measured = self.shared.is_measured[G::SOURCE.index()].load(Ordering::Relaxed);
            if let Some(median) = sorted.get(sorted.len() / 2).filter(|_| !is_measured) {
                metrics.log_lag(G::SOURCE, *median);
            }
        }
        for (_, item) in &found.fresh {
            if let Observation::Alert(Alert { resource: Some(Resource::Call(sid)), .. }) = G::observation(item.clone())
            {
                // Full only when alerts come faster than calls can be fetched; the list has them soon.
                let _ = self.shared.want_call.try_send(sid);
            }
        }
    }
}
