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
//!
//! A fault that is over is none that a swap would cure. Once a run of callers would hardly all have been served while
//! it went on ([`healed`]), what came before them says nothing any more.
//!
//! What is put waits until somebody asks, and is then read all at once in the order in which the calls began.
//! So a poll that brings hours of calls costs each of them once, whatever order their outcomes become known in,
//! and what is read depends on the calls alone.

mod healed;
pub mod weigh;

use std::cmp::Ordering;
use std::time::Duration;

use super::params::Params;
use crate::model::code::Code;
use crate::model::id::Resource;
use crate::model::reason::Reason;
use crate::model::roster::NumberIx;
use crate::model::time::Time;

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
    /// As the group was last told of it.
    told: Option<(StreamEntryKind, f64)>,
}

/// Where an entry stands among the others.
type Key = (Time, Option<Resource>);

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
            told: None,
        }
    }

    /// Believes that the number fails this share of its callers.
    pub fn believe(&mut self, fails: f64) {
        self.ln_fails = fails.ln();
        self.ln_served = (1.0 - fails).ln();
    }

    /// What it counts for.
    fn counts(&self) -> CallerCount {
        if self.is_probe { CallerCount::default() } else { CallerCount::of(self.kind) }
    }

    /// Callers up to and with it.
    fn after(&self) -> CallerCount {
        self.before.plus(self.counts())
    }

    fn key(&self) -> Key {
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
    /// What one call of this kind counts for.
    pub fn of(kind: StreamEntryKind) -> CallerCount {
        CallerCount { callers: u32::from(kind.is_witness()), failures: u32::from(kind == StreamEntryKind::Failed) }
    }

    fn plus(self, other: CallerCount) -> CallerCount {
        CallerCount { callers: self.callers + other.callers, failures: self.failures + other.failures }
    }

    fn minus(self, other: CallerCount) -> CallerCount {
        CallerCount {
            callers: self.callers.saturating_sub(other.callers),
            failures: self.failures.saturating_sub(other.failures),
        }
    }

    /// The failure rate that is to be expected.
    pub fn fails(self, params: &Params) -> f64 {
        let (failures, successes) = params.prior;
        ((failures + f64::from(self.failures)) / (failures + successes + f64::from(self.callers)))
            .clamp(params.floor, params.cap)
    }
}

#[derive(Clone, Debug)]
pub struct Stream {
    /// The newest `keep` are what is weighed. Up to half as many older ones are there beside them: dropped by
    /// halves, they cost nothing on average.
    entries: Vec<StreamEntry>,
    keep: usize,
    /// Put since the entries were last read, in the order in which they came.
    waiting: Vec<Waiting>,
    /// The newest entry that was dropped. What is older counts as a caller and is kept no more.
    horizon: Option<Key>,
    /// Callers up to there.
    dropped: CallerCount,
    /// Those of them who had failed shortly before it: whoever redials after it is no new witness.
    failed: Vec<(Time, u64)>,
    /// Milliseconds from a served call's start until it was in the log, summed, and how many.
    ages: u64,
    aged: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    entry: StreamEntry,
    /// It is to be taken out.
    is_gone: bool,
    /// What it has counted for until now, should it be older than what is kept.
    counted: CallerCount,
}

/// Entries from the end that are looked at one by one.
const NEAR: usize = 24;

impl Stream {
    /// An empty one, in which the newest `keep` entries are weighed.
    pub fn new(keep: usize) -> Stream {
        Stream {
            entries: Vec::new(),
            keep,
            waiting: Vec::new(),
            horizon: None,
            dropped: CallerCount::default(),
            failed: Vec::new(),
            ages: 0,
            aged: 0,
        }
    }

    /// The entries that are weighed.
    pub fn entries(&self) -> &[StreamEntry] {
        &self.entries[self.entries.len().saturating_sub(self.keep)..]
    }

    /// There were entries before those that are weighed: a fault from the very first call is not among them.
    fn is_full(&self) -> bool {
        self.horizon.is_some() || self.entries.len() > self.keep
    }

    /// What was seen of a number so far says nothing any more. What is usual for it stays: the count
    /// before each later entry goes on from there.
    pub fn forget(&mut self, number: NumberIx) {
        for e in self.entries.iter_mut().filter(|e| e.number == number) {
            e.kind = StreamEntryKind::Void;
        }
    }

    pub fn has_failures(&self) -> bool {
        self.entries().iter().rev().any(|e| e.kind == StreamEntryKind::Failed)
    }

    /// All callers so far.
    pub fn count(&self) -> CallerCount {
        self.entries.last().map_or(self.dropped, StreamEntry::after)
    }

    /// Where an entry is, or belongs: mostly near the end, so that is looked at first.
    fn find(&self, key: Key) -> Result<usize, usize> {
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

    /// True if the call has an entry.
    pub fn has(&self, started_at: Time, resource: Resource) -> bool {
        let key = (started_at, Some(resource));
        self.find(key).is_ok() || self.waiting.iter().any(|w| w.entry.key() == key && !w.is_gone)
    }

    /// Puts an entry in its place among the others, or in that of the same call, when the stream is next read.
    /// `counted`: what the call has counted for until now. True if nothing else waits.
    pub fn put(&mut self, entry: StreamEntry, counted: CallerCount) -> bool {
        self.waiting.push(Waiting { entry, is_gone: false, counted });
        self.waiting.len() == 1
    }

    /// Takes an entry out, if it is there, when the stream is next read.
    pub fn remove(&mut self, entry: StreamEntry, counted: CallerCount) -> bool {
        self.waiting.push(Waiting { entry, is_gone: true, counted });
        self.waiting.len() == 1
    }

    /// Puts what waits in its place. Returns where the first change was, and what is too old to be kept.
    fn merge(&mut self) -> (usize, Vec<Waiting>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        // The sort is stable: of what was said of one call, the last stands.
        waiting.sort_by_key(|w| w.entry.key());
        let late = self.horizon.map_or(0, |h| waiting.partition_point(|w| w.entry.key() <= h));
        let kept = waiting.split_off(late);
        let Some(first) = kept.first() else {
            return (self.entries.len(), waiting);
        };
        let first = self.find(first.entry.key()).unwrap_or_else(|at| at);
        let mut others = self.entries.split_off(first).into_iter().peekable();
        let mut kept = kept.into_iter().peekable();
        while let Some(Waiting { mut entry, is_gone, .. }) = kept.next() {
            let key = entry.key();
            // Without a SID nobody knows whether they are the same.
            if entry.resource.is_some() && kept.peek().is_some_and(|later| later.entry.key() == key) {
                continue;
            }
            while let Some(other) = others.next_if(|other| other.key() < key) {
                self.entries.push(other);
            }
            if entry.resource.is_some()
                && let Some(same) = others.next_if(|other| other.key() == key)
            {
                entry.told = same.told;
            }
            if !is_gone {
                self.entries.push(entry);
            }
        }
        self.entries.extend(others);
        (first, waiting)
    }

    /// Takes in what waits, of a group: its witnesses, and what is believed of each, are known.
    pub fn recount(&mut self) {
        let (mut first, late) = self.merge();
        for Waiting { entry, is_gone, counted } in late {
            let now = if is_gone { CallerCount::default() } else { entry.counts() };
            self.dropped = self.dropped.plus(now).minus(counted);
            first = 0;
        }
        for i in first..self.entries.len() {
            self.entries[i].before = self.before(i);
        }
        self.drop_oldest(Duration::ZERO);
    }

    /// Callers before the entry at `i`.
    fn before(&self, i: usize) -> CallerCount {
        if i == 0 { self.dropped } else { self.entries[i - 1].after() }
    }

    /// Takes in what waits, of a number. Who is a witness, and what is believed, follow from the calls before
    /// each, in the order in which the calls began. Whatever the order in which they were seen, the same is
    /// read. `tell` is given each call that now says something else, and what it counted for until now.
    pub fn read(&mut self, params: &Params, mut tell: impl FnMut(StreamEntry, CallerCount)) {
        let (mut first, late) = self.merge();
        for Waiting { mut entry, counted, .. } in late {
            if entry.kind != StreamEntryKind::Void {
                entry.kind = kind(&self.failed, &entry, params);
            }
            entry.believe(self.dropped.fails(params));
            self.dropped = self.dropped.plus(entry.counts()).minus(counted);
            let matters = self.horizon.is_some_and(|(at, _)| entry.started_at >= at - params.witness_for);
            if matters && entry.failure.is_some() && entry.kind != StreamEntryKind::Void {
                let at = self.failed.partition_point(|(at, _)| *at <= entry.started_at);
                self.failed.insert(at, (entry.started_at, entry.caller));
            }
            tell(entry, counted);
            first = 0;
        }
        let Some(since) = self.entries.get(first).map(|e| e.started_at - params.witness_for) else {
            return;
        };
        let is_failing = |e: &StreamEntry| matches!(e.kind, StreamEntryKind::Failed | StreamEntryKind::Repeated);
        let mut failed = self.failed.clone();
        let recent = self.entries[..first].iter().rposition(|e| e.started_at < since).map_or(0, |i| i + 1);
        failed.extend(self.entries[recent..first].iter().filter(|e| is_failing(e)).map(|e| (e.started_at, e.caller)));
        for i in first..self.entries.len() {
            let before = self.before(i);
            let e = &mut self.entries[i];
            e.before = before;
            if !e.is_probe && e.kind != StreamEntryKind::Void {
                e.kind = kind(&failed, e, params);
                e.believe(before.fails(params));
            }
            if is_failing(e) {
                failed.push((e.started_at, e.caller));
            }
            let says = Some((e.kind, e.ln_fails));
            if !e.is_probe && e.told != says {
                let counted = e.told.map_or_else(CallerCount::default, |(kind, _)| CallerCount::of(kind));
                e.told = says;
                tell(*e, counted);
            }
        }
        self.drop_oldest(params.witness_for);
    }

    /// Drops the oldest entries, once they are many. Callers who failed so long before count as known.
    fn drop_oldest(&mut self, witness_for: Duration) {
        if self.entries.len() <= self.keep + self.keep / 2 {
            return;
        }
        let dropped = self.entries.len() - self.keep;
        let newest = &self.entries[dropped - 1];
        let since = newest.started_at - witness_for;
        (self.horizon, self.dropped) = (Some(newest.key()), newest.after());
        self.failed.retain(|(at, _)| *at >= since);
        for e in self.entries.drain(..dropped) {
            if e.started_at >= since && matches!(e.kind, StreamEntryKind::Failed | StreamEntryKind::Repeated) {
                self.failed.push((e.started_at, e.caller));
            }
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
}

/// What a call says, given who failed before it and when, oldest first.
fn kind(failed: &[(Time, u64)], e: &StreamEntry, params: &Params) -> StreamEntryKind {
    let since = e.started_at - params.witness_for;
    let is_known = failed
        .iter()
        .rev()
        .take_while(|(at, _)| *at >= since)
        .any(|(at, caller)| *caller == e.caller && *at <= e.started_at);
    match (is_known, e.failure.is_some()) {
        (false, false) => StreamEntryKind::Served,
        (false, true) => StreamEntryKind::Failed,
        (true, true) => StreamEntryKind::Repeated,
        (true, false) => StreamEntryKind::GotThrough,
    }
}

#[cfg(test)]
mod tests;
