//! Outcomes counted and decisions made once more, from a report's material alone.
//!
//! The engine is the agent's. What it says of each call is counted under the minute in which the call began; a later
//! word on the same call replaces the earlier one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::material::{Again, EntriesKept, Head, Material, OtherRow, OtherSettings, Recorded, Taken};
use super::outcomes::{LogLag, OutcomeTally, Outcomes, ProbeFailed, ProbeTally, Series, VerdictSaid};
use crate::core::control::{Control, Recovery};
use crate::core::detect::engine::{Engine, EngineEvent, EngineSettings};
use crate::core::detect::ledger::OutcomeChange;
use crate::core::detect::observation::{Observation, ProbeResult};
use crate::core::detect::rules::Rules;
use crate::core::explain::{Recomputation, Recomputed, not_kept};
use crate::core::model::code::Code;
use crate::core::model::decision::{Action, Decision};
use crate::core::model::id::{Channel, NumberId, Resource};
use crate::core::model::reason::{Outcome, Reason};
use crate::core::model::roster::Roster;
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::core::notice::incidents::Incidents;
use crate::core::notice::make::{Addresses, NoticeBuilder};
use crate::core::rollback::entry::Entry;
use crate::core::rollback::orders::{Orders, RollbackSettings};
use crate::replay::Player;

/// Numbers as read so long before the first entry are looked at too: a record is written down when it changes, and once
/// a day.
pub const NUMBERS_BEFORE: Duration = Duration::from_secs(25 * 3600);

/// Between ticks while outcomes are counted.
const TICK: Duration = Duration::from_secs(15);

/// Verdicts that are kept: a number that wavers all day says the same again and again.
const VERDICTS: usize = 2000;

/// Columns of a plot, about.
const COLUMNS: u64 = 120;

/// What is counted of one group or number on one channel.
#[derive(Default)]
struct Count {
    calls: u32,
    served: u32,
    failed: u32,
    callers: BTreeSet<u64>,
    failing: BTreeMap<u64, (Time, Reason, Option<Code>)>,
    first: Option<Time>,
    last: Option<Time>,
}

impl Count {
    fn add(&mut self, change: &OutcomeChange) {
        let caller = change.party.hash;
        match change.is {
            Outcome::Ignored(_) => return,
            Outcome::Ok => self.served += 1,
            Outcome::Failed(reason) => {
                self.failed += 1;
                let met = (change.started_at, reason, change.code);
                let first = self.failing.entry(caller).or_insert(met);
                // In whatever order they come, the same one counts.
                if met < *first {
                    *first = met;
                }
                self.first = Some(self.first.map_or(change.started_at, |t| t.min(change.started_at)));
                self.last = Some(self.last.map_or(change.started_at, |t| t.max(change.started_at)));
            }
        }
        self.calls += 1;
        self.callers.insert(caller);
    }

    fn tally<K>(self, of: K, channel: Channel) -> OutcomeTally<K> {
        let mut reasons: BTreeMap<(Reason, Option<Code>), u32> = BTreeMap::new();
        for (_, reason, code) in self.failing.values() {
            *reasons.entry((*reason, *code)).or_default() += 1;
        }
        let mut reasons: Vec<_> = reasons.into_iter().map(|((reason, code), n)| (reason, code, n)).collect();
        reasons.sort_by_key(|(.., n)| std::cmp::Reverse(*n));
        OutcomeTally {
            of,
            channel,
            calls: self.calls,
            served: self.served,
            failed: self.failed,
            callers: self.callers.len() as u32,
            callers_failed: self.failing.len() as u32,
            first_failed: self.first,
            last_failed: self.last,
            reasons,
        }
    }
}

/// What an agent that begins at `start` under these rules begins with.
fn control(roster: &Roster, rules: &Rules, head: &Head, start: Time) -> Control {
    let builder = NoticeBuilder { roster: Arc::new(roster.clone()), addresses: Addresses::default() };
    Control::new(
        Engine::new(roster.clone(), rules.settings(roster), start),
        Orders::new(RollbackSettings { mode: head.mode, ..RollbackSettings::default() }),
        Incidents::new(builder, head.mode),
    )
}

/// The rules in force at a place of the journal, and the start before it.
fn in_force(records: &[Recorded], seq: i64) -> Option<(&Rules, &Recorded)> {
    let before = || records.iter().rev().filter(|r| r.seq < seq);
    let rules = before().find_map(|r| r.entry.rules())?;
    let started = before().find(|r| matches!(r.entry, Entry::Started { .. }))?;
    Some((rules, started))
}

/// From when on entries bear on what an agent that began there decides.
fn bears_from(head: &Head, rules: &Rules, started: &Recorded) -> Time {
    started.at - rules.settings.remember.max(Duration::from_millis(head.overlap_ms))
}

/// From when on entries are needed to make every decision of the span once more, and to count its outcomes.
pub fn needed_from(head: &Head, records: &[Recorded]) -> Time {
    let decided = records.iter().filter(|r| is_of_span(head, r));
    let from = decided.filter_map(|r| {
        let (rules, started) = in_force(records, r.seq)?;
        Some(bears_from(head, rules, started))
    });
    from.min().unwrap_or(head.from).min(head.from - Duration::from_secs(3600))
}

/// True of a decision within the span.
fn is_of_span(head: &Head, r: &Recorded) -> bool {
    matches!(r.entry, Entry::Decision(_)) && head.from <= r.at && r.at <= head.to
}

/// Every decision of the span, made once more.
pub fn again(m: &Material, records: &[Recorded]) -> Vec<Again> {
    let roster = m.roster();
    let decided = records.iter().filter(|r| is_of_span(&m.head, r));
    let one = |r: &Recorded| {
        let Entry::Decision(decision) = &r.entry else { return None };
        Some(Again { decision: decision.id, recomputed: once_more(m, &roster, records, r, decision) })
    };
    decided.filter_map(one).collect()
}

fn once_more(m: &Material, roster: &Roster, records: &[Recorded], at: &Recorded, decision: &Decision) -> Recomputed {
    let found = in_force(records, at.seq).filter(|_| m.head.entries == EntriesKept::All);
    let Some((rules, started)) = found else { return not_kept(decision) };
    let from = bears_from(&m.head, rules, started);
    let until = m.taken.iter().filter(|t| t.entry.is_none() && t.at >= from && t.place <= started.seen);
    let mut recovery = Recovery::new(control(roster, rules, &m.head, started.at), until.map(|t| t.at).max());
    for t in m.taken.iter().filter(|t| t.at < from && t.at >= from - NUMBERS_BEFORE) {
        if let Some((account, number @ (Observation::Number(_) | Observation::Absent { .. }))) = &t.entry {
            recovery.observe(t.at, *account, number);
        }
    }
    let mut earlier = records.iter().take_while(|r| r.seq < started.seq).peekable();
    let mut taken = m.taken.iter().filter(|t| t.at >= from && t.place <= at.seen).peekable();
    while let Some(t) = taken.next_if(|t| t.place <= started.seen) {
        while let Some(r) = earlier.next_if(|r| r.seen < t.place) {
            // What contradicts itself has stopped the agent then.
            let _ = recovery.journaled(r.seq, r.at, &r.entry);
        }
        if let Some((account, observation)) = &t.entry {
            recovery.observe(t.at, *account, observation);
        }
    }
    for r in earlier {
        let _ = recovery.journaled(r.seq, r.at, &r.entry);
    }
    let mut again = Recomputation::new(recovery.finish().0, started.at, decision.clone());
    let mut journal = records.iter().filter(|r| r.seq >= started.seq && r.seq < at.seq).peekable();
    for t in taken {
        while let Some(r) = journal.next_if(|r| r.seen < t.place) {
            again.journaled(r.at, &r.entry);
        }
        match &t.entry {
            None => again.polled(t.at),
            Some((account, observation)) => again.observe(t.at, *account, observation),
        }
    }
    for r in journal {
        again.journaled(r.at, &r.entry);
    }
    let is_whole = m.head.kept_since.is_none_or(|kept| kept <= from);
    match again.conclude() {
        // Of what is gone nobody can say what it would have changed.
        Recomputed::NoLonger { .. } if !is_whole => not_kept(decision),
        told @ (Recomputed::Follows | Recomputed::NoLonger { .. } | Recomputed::NotKept { .. }) => told,
    }
}

/// What the engine says of every call and message of the span.
pub fn outcomes(m: &Material, records: &[Recorded]) -> Outcomes {
    let roster = m.roster();
    let head = &m.head;
    let step = (head.to.since(head.from).as_secs() / COLUMNS).div_ceil(60).max(1) * 60;
    let mut last: HashMap<Resource, OutcomeChange> = HashMap::new();
    let mut unsettled = 0;
    let mut verdicts: Vec<VerdictSaid> = Vec::new();
    if let (Some((rules, _)), Some(first)) = (in_force(records, i64::MAX), m.taken.first()) {
        let mut control = control(&roster, rules, head, first.at);
        let mut journal = records.iter().peekable();
        let mut next = first.at;
        let mut tick = |control: &mut Control, at: Time| {
            let engine = control.engine_mut();
            Source::ALL.into_iter().for_each(|source| engine.polled(source, at));
            for event in engine.tick(at) {
                match event {
                    EngineEvent::Settled(change) => _ = last.insert(change.entry, change),
                    EngineEvent::Verdict { number, channel, from, to } if is_news(from, to) && m.covers(at) => {
                        let number = roster.number(number).id;
                        verdicts.push(VerdictSaid { at, number, channel, verdict: to });
                    }
                    EngineEvent::Verdict { .. }
                    | EngineEvent::Alert { .. }
                    | EngineEvent::Phase { .. }
                    | EngineEvent::Met { .. }
                    | EngineEvent::PortedOut { .. }
                    | EngineEvent::AlertsLate { .. }
                    | EngineEvent::Warned { .. }
                    | EngineEvent::GroupVerdict { .. }
                    | EngineEvent::Decided(_) => {}
                }
            }
        };
        for t in &m.taken {
            while let Some(r) = journal.next_if(|r| r.seen < t.place) {
                // What was said of a number is the reason of what was decided, and stands before it.
                if matches!(r.entry, Entry::Decision(_)) {
                    tick(&mut control, r.at);
                }
                let _ = control.apply(r.at, &r.entry);
            }
            if let Some((account, observation)) = &t.entry {
                control.engine_mut().observe(t.at, *account, observation);
            }
            if t.at >= next {
                tick(&mut control, t.at);
                next = t.at + TICK;
            }
        }
        // What the last entries come to shows within their grace, as far as it had passed when the report was made.
        let end = head.made_at.max(next);
        tick(&mut control, end);
        unsettled = roster.numbers().flat_map(|(ix, _)| Channel::ALL.map(|c| control.engine().open(ix, c))).sum();
    }
    verdicts.sort_by_key(|v| v.at);
    verdicts.truncate(VERDICTS);
    let span = |at: Time| head.from <= at && at <= head.to;
    let columns = (head.to.since(head.from).as_secs() / step + 1) as usize;
    let mut groups: BTreeMap<(u32, usize), Count> = BTreeMap::new();
    let mut numbers: BTreeMap<(u32, usize), Count> = BTreeMap::new();
    let mut series: BTreeMap<(u32, usize), [Vec<u32>; 2]> = BTreeMap::new();
    for change in last.values().filter(|c| c.is_inbound && !c.party.is_prober && span(c.started_at)) {
        let (group, channel) = (roster.number(change.number).group.0, change.channel.index());
        groups.entry((group, channel)).or_default().add(change);
        numbers.entry((change.number.0, channel)).or_default().add(change);
        let which = match change.is {
            Outcome::Ok => 0,
            Outcome::Failed(_) => 1,
            Outcome::Ignored(_) => continue,
        };
        let both = series.entry((group, channel)).or_insert_with(|| [vec![0; columns], vec![0; columns]]);
        both[which][(change.started_at.since(head.from).as_secs() / step) as usize] += 1;
    }
    let distinct = |callers: fn(&Count) -> Vec<u64>| groups.values().flat_map(callers).collect::<BTreeSet<u64>>().len();
    let people = distinct(|c| c.callers.iter().copied().collect()) as u32;
    let people_failed = distinct(|c| c.failing.keys().copied().collect()) as u32;
    let name = |ix: u32| m.groups[ix as usize].name.clone();
    let of = |c: usize| Channel::ALL[c];
    let (probes, probes_failed) = probes(m, &roster);
    Outcomes {
        step,
        people,
        people_failed,
        series: series
            .into_iter()
            .map(|((g, c), [served, failed])| Series { group: name(g), channel: of(c), served, failed })
            .collect(),
        groups: groups.into_iter().map(|((g, c), count)| count.tally(name(g), of(c))).collect(),
        numbers: numbers.into_iter().map(|((n, c), count)| count.tally(m.numbers[n as usize].id, of(c))).collect(),
        lags: lags(m),
        verdicts,
        probes,
        probes_failed,
        unsettled,
    }
}

/// True of a verdict that is told: a number is in trouble, or is no longer.
const fn is_news(from: Verdict, to: Verdict) -> bool {
    let is_trouble = matches!(to, Verdict::Failing | Verdict::Suspect | Verdict::Silent);
    let was_trouble = matches!(from, Verdict::Failing | Verdict::Suspect | Verdict::Silent);
    is_trouble || was_trouble && matches!(to, Verdict::Healthy)
}

fn probes(m: &Material, roster: &Roster) -> (Vec<ProbeTally>, Vec<ProbeFailed>) {
    let mut tallies: BTreeMap<(NumberId, Channel), ProbeTally> = BTreeMap::new();
    let mut failed = Vec::new();
    for t in &m.taken {
        let Some((account, Observation::Probe(probe))) = &t.entry else { continue };
        let number = NumberId::new(*account, probe.number);
        if !m.covers(probe.started_at) || roster.find(number).is_none() {
            continue;
        }
        let channel = probe.channel;
        let none = ProbeTally { number, channel, served: 0, failed: 0, unmeasured: 0 };
        let tally = tallies.entry((number, channel)).or_insert(none);
        match probe.result {
            ProbeResult::Success => tally.served += 1,
            ProbeResult::Error => tally.unmeasured += 1,
            ProbeResult::Failure(reason) => {
                tally.failed += 1;
                failed.push(ProbeFailed { at: t.at, number, channel, reason });
            }
        }
    }
    (tallies.into_values().collect(), failed)
}

/// How late the logs were. Entries that ended before the agent began say nothing of that.
fn lags(m: &Material) -> Vec<LogLag> {
    let began = m.taken.iter().find(|t| t.entry.is_none()).map_or(Time::NEVER, |t| t.at);
    let mut seen = std::collections::HashSet::new();
    let mut lags: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for t in &m.taken {
        let Some((_, observation)) = &t.entry else { continue };
        let (source, ended, sid) = match observation {
            Observation::Call(call) => match call.ended_at {
                Some(ended) => (Source::Calls, ended, call.sid.as_u128()),
                None => continue,
            },
            Observation::Message(message) => (Source::Messages, message.sent_at, digits(message.sid)),
            Observation::Alert(alert) => (Source::Alerts, alert.at, alert.sid.as_u128()),
            Observation::Probe(_) | Observation::Number(_) | Observation::Absent { .. } | Observation::OthersCall => {
                continue;
            }
        };
        if ended >= began && m.covers(ended) && seen.insert((source.index(), sid)) {
            lags.entry(source.index()).or_default().push(t.at.since(ended).as_millis() as u64);
        }
    }
    let lag = |(source, mut all): (usize, Vec<u64>)| {
        all.sort_unstable();
        let at = |share: f64| all[((all.len() as f64 * share).ceil() as usize).clamp(1, all.len()) - 1];
        LogLag {
            source: Source::ALL[source].label().to_owned(),
            entries: all.len() as u32,
            median_ms: at(0.5),
            slow_ms: at(0.95),
            most_ms: at(1.0),
        }
    };
    lags.into_iter().map(lag).collect()
}

/// A message's digits, by which it is told from others here.
fn digits(sid: crate::core::model::id::MessageSid) -> u128 {
    u128::from_str_radix(sid.to_string().get(2..).unwrap_or_default(), 16).unwrap_or_default()
}

/// What other rules would have done with the same entries, and what those in force would have done alone.
pub fn other(m: &Material, records: &[Recorded], name: &str, rules: &Rules) -> Option<OtherSettings> {
    let (these, _) = in_force(records, i64::MAX)?;
    let roster = m.roster();
    let play = |rules: &Rules| {
        let mut rolled_back: BTreeMap<(NumberId, Channel), Time> = BTreeMap::new();
        let mut pages = 0;
        let settings: EngineSettings = rules.settings(&roster);
        let mut player = Player::new(roster.clone(), settings);
        let mut decided = |d: Decision| match d.action {
            Action::Rollback => d.numbers.iter().for_each(|n| {
                rolled_back.entry((*n, d.channel)).or_insert(d.at);
            }),
            Action::Page { .. } => pages += 1,
            Action::Withheld { .. } => {}
        };
        for Taken { at, entry, .. } in m.taken.iter().filter(|t| t.at <= m.head.to) {
            if let Some((account, observation)) = entry {
                player.observe(*at, *account, observation, &mut decided);
            }
        }
        (rolled_back, pages)
    };
    let ((a, these_pages), (b, other_pages)) = (play(these), play(rules));
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).copied().collect();
    let row = |(number, channel): (NumberId, Channel)| {
        let key = (number, channel);
        OtherRow { number, channel, these: a.get(&key).copied(), others: b.get(&key).copied() }
    };
    let rows = keys.into_iter().map(row).collect();
    let rules = serde_json::to_string(rules).ok()?;
    Some(OtherSettings { name: name.to_owned(), rules, rows, pages: (these_pages, other_pages) })
}
