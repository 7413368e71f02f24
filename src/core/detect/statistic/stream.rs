//! The calls of one number, or of a group, in the order in which they began, and the evidence in them
//! that something broke.
//!
//! The statistic is a sum over all moments at which a fault may have begun, and over how many callers
//! it hits: each term is how much likelier the calls since then are under that fault than under what
//! is usual for the number (a mixture Shiryaev-Roberts e-detector, limited to the newest calls). Under
//! honest traffic its expectation rises by one a call and no faster, whatever the number's true rate
//! below its believed one, so reaching a threshold of A takes A calls or more on average.
//!
//! Two corrections. Failing calls are short and show up soon, good ones last minutes: among the calls
//! since the fault began, the good ones are still invisible, and their absence is charged for. And a
//! failed caller's redial fails anyway, so it says nothing; getting through speaks against a fault.

use std::cmp::Ordering;
use std::time::Duration;

use super::params::{Grid, Params};
use crate::core::model::code::Code;
use crate::core::model::id::Channel;
use crate::core::model::id::Resource;
use crate::core::model::reason::Reason;
use crate::core::model::roster::NumberIx;
use crate::core::model::time::Time;

/// What a call says, beside the calls before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEntryKind {
    /// A caller was served.
    Served,
    /// A caller met a curable failure, for the first time in an hour.
    Failed,
    /// A failed caller failed again.
    Repeated,
    /// A failed caller got through.
    GotThrough,
    /// Its outcome was revised to one that says nothing.
    Void,
}

impl StreamEntryKind {
    /// It comes from a caller of whom nothing was known.
    pub const fn is_witness(self) -> bool {
        matches!(self, StreamEntryKind::Served | StreamEntryKind::Failed)
    }
}

/// One call, with what was believed of its number from the calls before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamEntry {
    pub started_at: Time,
    /// Absent for a test call whose SID nobody knows.
    pub resource: Option<Resource>,
    pub number: NumberIx,
    /// Keyed hash of the other party.
    pub caller: u64,
    pub kind: StreamEntryKind,
    /// One of our own test calls or messages.
    pub is_probe: bool,
    pub failure: Option<(Reason, Option<Code>)>,
    /// Natural logarithms of the believed failure rate and of its complement.
    pub ln_fails: f64,
    pub ln_served: f64,
    /// Callers before it.
    before: CallerCount,
}

impl StreamEntry {
    /// An entry whose kind is yet to be read from those before it.
    pub fn new(started_at: Time, resource: Option<Resource>, number: NumberIx, caller: u64) -> StreamEntry {
        StreamEntry {
            started_at,
            resource,
            number,
            caller,
            kind: StreamEntryKind::Served,
            is_probe: false,
            failure: None,
            ln_fails: 0.0,
            ln_served: 0.0,
            before: CallerCount::default(),
        }
    }

    /// Believes that the number fails this share of its callers.
    pub fn believe(&mut self, fails: f64) {
        self.ln_fails = fails.ln();
        self.ln_served = (1.0 - fails).ln();
    }

    /// Callers up to and with it.
    fn after(&self) -> CallerCount {
        let counts = self.kind.is_witness() && !self.is_probe;
        CallerCount {
            callers: self.before.callers + u32::from(counts),
            failures: self.before.failures + u32::from(counts && self.kind == StreamEntryKind::Failed),
        }
    }

    fn key(&self) -> (Time, Option<Resource>) {
        (self.started_at, self.resource)
    }
}

/// Distinct callers, and those of them that failed: what beliefs rest on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallerCount {
    pub callers: u32,
    pub failures: u32,
}

impl CallerCount {
    /// The failure rate that is to be expected.
    pub fn fails(self, params: &Params) -> f64 {
        let (failures, successes) = params.prior;
        ((failures + f64::from(self.failures)) / (failures + successes + f64::from(self.callers)))
            .clamp(params.floor, params.cap)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Stream {
    entries: Vec<StreamEntry>,
    /// Entries have been dropped: a fault from the very first call is no longer among them.
    is_full: bool,
    /// Milliseconds from a served call's start until it was in the log, summed, and how many.
    ages: u64,
    aged: u32,
}

/// What the statistic is computed with.
pub struct Weighing<'a> {
    pub grid: &'a Grid,
    pub head: f64,
    pub redial_fails: f64,
    /// Seconds.
    pub failure_age: f64,
    pub served_age: f64,
    pub now: Time,
    /// Recent calls a second.
    pub rate: f64,
    /// Numbers whose entries do not count, by channel.
    pub is_muted: &'a [[bool; 2]],
    pub channel: Channel,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weight {
    /// The sum itself.
    pub statistic: f64,
    /// Natural logarithm of its largest term.
    pub best: f64,
    /// Which share of callers that term supposes to fail, by position in the grid.
    pub share: usize,
    /// Where that term supposes the fault to have begun: position among the entries.
    pub since: usize,
}

/// Terms smaller than exp(-12) are left out: 300 of them would not make one thousandth.
const NEGLIGIBLE: f64 = -12.0;

/// Entries from the end that are looked at one by one.
const NEAR: usize = 24;

/// What is usual, for the charge on calls in flight: the surplus of failures is what is missing.
const USUAL: f64 = 0.02;

/// Served calls of a prior that the learnt age starts from.
const AGE_PRIOR: f64 = 5.0;

impl Stream {
    pub fn entries(&self) -> &[StreamEntry] {
        &self.entries
    }

    /// Puts an entry in its place, keeping the newest `keep`.
    pub fn insert(&mut self, entry: StreamEntry, keep: usize) {
        let at = self.entries.iter().rposition(|e| e.started_at <= entry.started_at).map_or(0, |i| i + 1);
        self.entries.insert(at, entry);
        // Dropped by halves, so that dropping costs nothing on average.
        if self.entries.len() > keep + keep / 2 {
            self.entries.drain(..self.entries.len() - keep);
            self.is_full = true;
        }
    }

    /// What was seen of a number so far says nothing any more. What is usual for it stays: the count
    /// before each later entry goes on from there.
    pub fn forget(&mut self, number: NumberIx) {
        for e in self.entries.iter_mut().filter(|e| e.number == number) {
            e.kind = StreamEntryKind::Void;
        }
    }

    pub fn has_failures(&self) -> bool {
        self.entries.iter().rev().any(|e| e.kind == StreamEntryKind::Failed)
    }

    /// All callers so far.
    pub fn count(&self) -> CallerCount {
        self.entries.last().map_or_else(CallerCount::default, |e| e.after())
    }

    /// Where an entry is, or belongs: mostly near the end, so that is looked at first.
    fn find(&self, key: (Time, Option<Resource>)) -> Result<usize, usize> {
        let tail = self.entries.len().saturating_sub(NEAR);
        for (i, e) in self.entries.iter().enumerate().skip(tail).rev() {
            match e.key().cmp(&key) {
                Ordering::Less => return Err(i + 1),
                Ordering::Equal => return Ok(i),
                Ordering::Greater => {}
            }
        }
        self.entries[..tail].binary_search_by_key(&key, StreamEntry::key)
    }

    /// Puts an entry in its place among the others, or in that of the same call. Returns the place.
    pub fn put(&mut self, entry: StreamEntry, keep: usize) -> usize {
        let mut at = match self.find(entry.key()) {
            Ok(at) if entry.resource.is_some() => {
                self.entries[at] = StreamEntry { before: self.entries[at].before, ..entry };
                self.count_from(at);
                return at;
            }
            Ok(at) | Err(at) => at,
        };
        let before = if at > 0 {
            self.entries[at - 1].after()
        } else {
            self.entries.first().map(|e| e.before).unwrap_or_default()
        };
        self.entries.insert(at, StreamEntry { before, ..entry });
        self.count_from(at);
        // Dropped by halves, so that dropping costs nothing on average.
        if self.entries.len() > keep + keep / 2 {
            let dropped = self.entries.len() - keep;
            self.entries.drain(..dropped);
            self.is_full = true;
            at = at.saturating_sub(dropped);
        }
        at
    }

    /// True if the call has an entry.
    pub fn has(&self, started_at: Time, resource: Resource) -> bool {
        self.find((started_at, Some(resource))).is_ok()
    }

    /// Takes an entry out, if it is there.
    pub fn remove(&mut self, entry: &StreamEntry) {
        if let Ok(at) = self.find(entry.key()) {
            let removed = self.entries.remove(at);
            if let Some(next) = self.entries.get_mut(at) {
                next.before = removed.before;
            }
            self.count_from(at);
        }
    }

    /// Counts the callers before each entry after the one at `first`.
    fn count_from(&mut self, first: usize) {
        for i in first + 1..self.entries.len() {
            self.entries[i].before = self.entries[i - 1].after();
        }
    }

    /// Reads the entries from `first` on again: who is a witness, and what is believed, follow from
    /// the calls before each, in the order in which the calls began. Whatever the order in which they
    /// were seen, the same is read.
    pub fn read(&mut self, first: usize, params: &Params) {
        for i in first..self.entries.len() {
            let (before, rest) = self.entries.split_at_mut(i);
            let e = &mut rest[0];
            if let Some(last) = before.last() {
                e.before = last.after();
            }
            if e.is_probe || e.kind == StreamEntryKind::Void {
                continue;
            }
            let horizon = e.started_at - params.witness_for;
            let is_known =
                before.iter().rev().take_while(|b| b.started_at >= horizon).any(|b| {
                    b.caller == e.caller && matches!(b.kind, StreamEntryKind::Failed | StreamEntryKind::Repeated)
                });
            e.kind = match (is_known, e.failure.is_some()) {
                (false, false) => StreamEntryKind::Served,
                (false, true) => StreamEntryKind::Failed,
                (true, true) => StreamEntryKind::Repeated,
                (true, false) => StreamEntryKind::GotThrough,
            };
            e.believe(e.before.fails(params));
        }
    }

    /// Takes back what the last successful probe of a number from one origin said.
    pub fn void_success_of_probe(&mut self, number: NumberIx, origin: u64) {
        let is_it = |e: &&mut StreamEntry| {
            e.is_probe && e.number == number && e.caller == origin && e.kind == StreamEntryKind::Served
        };
        if let Some(e) = self.entries.iter_mut().rev().find(is_it) {
            e.kind = StreamEntryKind::Void;
        }
    }

    /// Takes in how long a served call took to show up.
    pub fn learn_age(&mut self, age: Duration) {
        self.ages += age.as_millis().clamp(1000, 900_000) as u64;
        self.aged += 1;
    }

    /// Weighs the calls: how much speaks for a fault?
    pub fn weigh(&self, w: &Weighing<'_>) -> Weight {
        let ages = self.ages as f64 / 1000.0;
        let served_age = (AGE_PRIOR * w.served_age + ages) / (AGE_PRIOR + f64::from(self.aged));
        let ln_redial_served = (1.0 - w.redial_fails).ln();
        let mut out = Weight { best: f64::NEG_INFINITY, ..Weight::default() };
        // Seconds' worth of good calls that cannot be seen yet, by entry from the end: the same for
        // every share.
        let mut unseen: Vec<f64> = Vec::new();
        for (share, (x, prior)) in w.grid.iter().enumerate() {
            let (ln_x, ln_not_x) = (x.ln(), (1.0 - x).ln());
            let surplus = w.rate * (x - USUAL);
            let (mut llr, mut sum, mut missing) = (0.0, 0.0, 0.0);
            let mut reached_the_first = true;
            for (back, (i, e)) in self.entries.iter().enumerate().rev().enumerate() {
                if unseen.len() == back {
                    let age = w.now.since(e.started_at).as_secs_f64();
                    let hidden = |visible_after: f64| visible_after * (1.0 - (-age / visible_after).exp());
                    unseen.push(hidden(served_age) - hidden(w.failure_age));
                }
                if w.is_muted[e.number.0 as usize][w.channel.index()] {
                    continue;
                }
                match e.kind {
                    StreamEntryKind::Served => llr += ln_not_x - e.ln_served,
                    StreamEntryKind::Failed => llr += ln_x - e.ln_fails,
                    StreamEntryKind::GotThrough if *x >= w.redial_fails => {
                        llr += ln_not_x - ln_redial_served;
                        continue;
                    }
                    // It says nothing, and a fault does not begin with it.
                    StreamEntryKind::GotThrough | StreamEntryKind::Repeated | StreamEntryKind::Void => continue,
                }
                if llr < NEGLIGIBLE {
                    reached_the_first = false;
                    break;
                }
                missing = surplus * unseen[back];
                let term = llr - missing;
                if term > out.best {
                    out = Weight { best: term, share, since: i, ..out };
                }
                sum += term.exp();
            }
            if reached_the_first && !self.is_full {
                sum += w.head * (llr - missing).exp();
            }
            out.statistic += prior * sum;
        }
        out
    }
}
