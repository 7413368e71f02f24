//! What a scrape reads: the published status and the counts, as metrics.
//!
//! A scrape takes the latest status, as any reader of the API does, and never waits on the engine or
//! holds it up. Up to some thousand numbers each has its own metrics. Above that the groups have
//! theirs, with counts over all of their numbers, and a number has its own from the moment it is in
//! trouble until [`STAY`] after; its counters go on being counted meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use tokio::sync::{mpsc, watch};

use super::status::{ChannelStatus, GroupStatus, NumberStatus, RollbackStatus, Status};
use crate::agent::ControlMessage;
use crate::core::model::decision::{Decision, Phase};
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::reason::Outcome;
use crate::core::model::roster::{Group, NumberIx, Roster};
use crate::core::model::time::Time;
use crate::core::model::verdict::{Evidence, Verdict};
use crate::core::port::sight::ApiSight;
use crate::core::port::status::PortStatus;
use crate::core::routing::history::RoutingState;
use crate::metrics::PerNumber;
use crate::metrics::define as d;
use crate::metrics::define::{Definition, MetricKind};
use crate::metrics::tally::Tally;

/// How long a number keeps its metrics after its trouble is over: a graph should show the end of it.
const STAY: Duration = Duration::from_secs(3600);

/// The latest decision about each number's channel.
type Latest<'a> = HashMap<(NumberId, Channel), &'a Decision>;

/// Asked at each scrape, and not of the engine, which may hang: true while we hold the lease, and the journal's last
/// record.
pub type OfState = Box<dyn Fn() -> (bool, i64) + Send + Sync>;

/// What is read at each scrape.
pub struct Exposition {
    roster: Arc<Roster>,
    tally: Arc<Tally>,
    status: watch::Receiver<Arc<Status>>,
    /// The control task's inbox; not kept open by being looked at.
    inbox: mpsc::WeakSender<ControlMessage>,
    of_state: OfState,
    per_number: PerNumber,
    descs: Vec<Desc>,
    /// When each number that has been in trouble last was.
    troubled: Mutex<HashMap<NumberIx, Time>>,
}

impl Exposition {
    pub fn new(
        roster: Arc<Roster>,
        tally: Arc<Tally>,
        status: watch::Receiver<Arc<Status>>,
        inbox: mpsc::WeakSender<ControlMessage>,
        of_state: OfState,
        per_number: PerNumber,
    ) -> Exposition {
        let desc = |d: &Definition| {
            let labels = d.labels.iter().map(|l| (*l).to_owned()).collect();
            Desc::new(d.name.to_owned(), d.help.to_owned(), labels, HashMap::new())
        };
        // One name is enough to tell collectors apart.
        let descs = vec![desc(&d::VERDICT).expect("the name is valid, as a test shows")];
        Exposition { roster, tally, status, inbox, of_state, per_number, descs, troubled: Mutex::default() }
    }

    /// The numbers that have metrics of their own now, by position.
    fn chosen(&self, status: &Status) -> Vec<bool> {
        if self.per_number.is_all(self.roster.len()) {
            return vec![true; self.roster.len()];
        }
        let mut troubled = self.troubled.lock().unwrap_or_else(PoisonError::into_inner);
        for (ix, number) in self.numbers(status) {
            if number.channels.iter().any(|c| is_troubled(c) || self.tally.is_drifted(ix, c.channel)) {
                troubled.insert(ix, status.at);
            }
        }
        troubled.retain(|_, at| *at + STAY >= status.at);
        let mut latest: Vec<(Time, NumberIx)> = troubled.iter().map(|(ix, at)| (*at, *ix)).collect();
        // When everything is in trouble, a bounded page says so as well as an unbounded one.
        latest.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut chosen = vec![false; self.roster.len()];
        for (_, ix) in latest.into_iter().take(PerNumber::MOST) {
            chosen[ix.0 as usize] = true;
        }
        chosen
    }

    fn numbers<'a>(&'a self, status: &'a Status) -> impl Iterator<Item = (NumberIx, &'a NumberStatus)> {
        let groups = self.roster.groups().zip(&status.groups);
        groups.flat_map(|((_, group), s)| group.numbers.iter().copied().zip(&s.numbers))
    }

    fn group(&self, page: &mut Page, group: &Group, status: &GroupStatus) {
        let name = group.name.as_str();
        for c in &status.channels {
            let channel = c.channel;
            let watched: Vec<NumberIx> =
                group.numbers.iter().copied().filter(|n| self.roster.number(*n).channels[channel.index()]).collect();
            if watched.is_empty() {
                continue;
            }
            let labels = [name, channel.label()];
            let ours = || status.numbers.iter().flat_map(|n| &n.channels).filter(|s| s.channel == channel);
            for v in Verdict::ALL {
                let labels = [name, channel.label(), v.label()];
                page.add(&d::GROUP_VERDICT, &labels, on(c.verdict == v));
                page.add(&d::GROUP_NUMBERS, &labels, count(ours().filter(|s| s.verdict == v)));
            }
            for p in Phase::ALL {
                page.add(&d::GROUP_PHASE, &[name, channel.label(), p.label()], count(ours().filter(|s| s.phase == p)));
            }
            page.add(&d::APPLIED, &labels, count(ours().filter(|s| s.is_applied)));
            page.add(&d::GROUP_ROLLED_BACK, &labels, count(ours().filter(|s| s.is_on_fallback)));
            let names = [&d::GROUP_STATISTIC, &d::GROUP_THRESHOLD, &d::GROUP_CALLERS, &d::GROUP_FAILING];
            page.evidence(names, &labels, &c.evidence);
            for (outcome, n) in self.tally.group_outcomes(&watched, channel) {
                let of = outcomes(channel, [&d::GROUP_CALLS, &d::GROUP_MESSAGES]);
                page.add(of, &[name, outcome.label(), outcome.reason_label()], n as f64);
            }
            for (end, n) in self.tally.group_probes(&watched, channel) {
                page.add(&d::GROUP_PROBES, &[name, channel.label(), end.label()], n as f64);
            }
        }
        page.add(&d::NUMBERS, &[name], group.numbers.len() as f64);
        for of in PortStatus::ALL {
            let numbers = status.numbers.iter().filter(|n| n.port == Some(of));
            page.add(&d::GROUP_PORT_STATUS, &[name, of.label()], count(numbers));
        }
        if let Some(port) = &status.port {
            page.add(&d::PORT_DUE, &[name], port.next_due.as_secs_f64());
        }
    }

    fn number(&self, page: &mut Page, latest: &Latest<'_>, group: &str, ix: NumberIx, status: &NumberStatus) {
        let number = status.number.to_string();
        let number = number.as_str();
        if let Some(port) = status.port {
            for of in PortStatus::ALL {
                page.add(&d::PORT_STATUS, &[group, number, of.label()], on(port == of));
            }
        }
        for c in &status.channels {
            let labels = [group, number, c.channel.label()];
            let [_, _, channel] = labels;
            for (outcome, n) in self.tally.outcomes(ix, c.channel) {
                let of = outcomes(c.channel, [&d::CALLS, &d::MESSAGES]);
                page.add(of, &[group, number, outcome.label(), outcome.reason_label()], n as f64);
            }
            for (Revised(outcome, reason), n) in self.tally.revisions(ix, c.channel).map(|(o, n)| (Revised::of(o), n)) {
                page.add(&d::REVISED, &[group, number, channel, outcome, reason], n as f64);
            }
            for (end, n) in self.tally.probes(ix, c.channel) {
                page.add(&d::PROBES, &[group, number, channel, end.label()], n as f64);
            }
            for v in Verdict::ALL {
                page.add(&d::VERDICT, &[group, number, channel, v.label()], on(c.verdict == v));
            }
            for p in Phase::ALL {
                page.add(&d::PHASE, &[group, number, channel, p.label()], on(c.phase == p));
            }
            page.add(&d::UNSETTLED, &labels, f64::from(c.unsettled));
            page.evidence([&d::STATISTIC, &d::THRESHOLD, &d::CALLERS, &d::FAILING], &labels, &c.evidence);
            if let Some(since) = since(c, latest.get(&(status.id(), c.channel)).copied()) {
                page.add(&d::SINCE, &labels, since.as_secs_f64());
            }
            page.add(&d::ROLLED_BACK, &labels, on(c.is_on_fallback));
            page.add(&d::PROVEN, &labels, on(c.is_on_fallback && c.rollback_state == "proven"));
            page.add(&d::UNPROVEN, &labels, on(c.rollback_state == "unproven"));
            page.add(&d::PROVABLE, &labels, on(c.can_be_proven));
            if let Some(decision) = latest.get(&(status.id(), c.channel)) {
                page.add(&d::LATEST_DECISION, &labels, decision.id.0 as f64);
                page.add(&d::DECIDED_CALLERS, &labels, f64::from(decision.evidence.callers));
                page.add(&d::DECIDED_FAILING, &labels, f64::from(decision.evidence.failing));
            }
            page.add(&d::DRIFT, &labels, on(self.tally.is_drifted(ix, c.channel)));
        }
    }

    fn waiting(&self, page: &mut Page, status: &Status) {
        let mut sums: HashMap<(&str, Channel, &str), f64> = HashMap::new();
        for waiting in &status.waiting {
            for (guard, numbers) in &waiting.kept {
                for ix in numbers.iter().filter_map(|n| self.roster.find(*n)) {
                    let group = self.roster.group_of(ix).name.as_str();
                    *sums.entry((group, waiting.channel, guard.label())).or_default() += 1.0;
                }
            }
        }
        for ((group, channel, guard), n) in sums {
            page.add(&d::WAITING, &[group, channel.label(), guard], n);
        }
    }

    fn alerts(&self, page: &mut Page, chosen: &[bool]) {
        let mut sums: HashMap<(&str, String), f64> = HashMap::new();
        for ((ix, code), n) in self.tally.alerts() {
            let code = code.map_or_else(|| "other".to_owned(), |code| code.0.to_string());
            let group = self.roster.group_of(ix).name.as_str();
            *sums.entry((group, code.clone())).or_default() += n as f64;
            if chosen[ix.0 as usize] {
                let number = self.roster.number(ix).id.e164.to_string();
                page.add(&d::ALERTS, &[group, &number, &code], n as f64);
            }
        }
        for ((group, code), n) in sums {
            page.add(&d::GROUP_ALERTS, &[group, &code], n);
        }
    }

    fn itself(&self, page: &mut Page, status: &Status, exported: usize) {
        page.add(&d::EXPORTED, &[], exported as f64);
        page.add(&d::TICK, &[], status.at.as_secs_f64());
        let (leads, records) = (self.of_state)();
        page.add(&d::LEADING, &[], on(leads));
        page.add(&d::RECORDS, &[], records as f64);
        for look in ApiSight::LABELS {
            page.add(&d::PORTS_LOOK, &[look], on(status.ports.label() == look));
        }
        for source in &status.sources {
            page.add(&d::STALE, &[source.source], on(source.is_needed && source.is_stale));
        }
        for blindness in &status.blindness {
            let channel = blindness.channel;
            page.add(&d::BLIND, &[channel.label()], on(!blindness.cannot_read.is_empty()));
            let watched = || status.numbers().flat_map(|(_, n)| &n.channels).filter(|c| c.channel == channel);
            for state in RoutingState::ALL {
                let numbers = watched().filter(|c| c.routing == state).count();
                page.add(&d::ROUTING, &[channel.label(), state.label()], numbers as f64);
            }
        }
        if let Some(inbox) = self.inbox.upgrade() {
            page.add(&d::QUEUE, &["engine"], (inbox.max_capacity() - inbox.capacity()) as f64);
            page.add(&d::QUEUE_ROOM, &["engine"], inbox.max_capacity() as f64);
        }
    }
}

impl Collector for Exposition {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = self.status.borrow().clone();
        let chosen = self.chosen(&status);
        let (mut page, mut latest) = (Page::default(), Latest::default());
        for decision in &status.decisions {
            for number in &decision.numbers {
                // The newest come first.
                latest.entry((*number, decision.channel)).or_insert(decision);
            }
        }
        for ((_, group), s) in self.roster.groups().zip(&status.groups) {
            self.group(&mut page, group, s);
            for (ix, number) in group.numbers.iter().zip(&s.numbers).filter(|(ix, _)| chosen[ix.0 as usize]) {
                self.number(&mut page, &latest, group.name.as_str(), *ix, number);
            }
        }
        self.waiting(&mut page, &status);
        self.alerts(&mut page, &chosen);
        self.itself(&mut page, &status, chosen.iter().filter(|c| **c).count());
        page.families.into_values().map(|(_, family)| family).collect()
    }
}

/// The labels of a revised outcome.
struct Revised(&'static str, &'static str);

impl Revised {
    const fn of(outcome: Outcome) -> Revised {
        Revised(outcome.label(), outcome.reason_label())
    }
}

fn is_troubled(c: &ChannelStatus) -> bool {
    // Blindness is everybody's trouble at once and says nothing of a number.
    matches!(c.verdict, Verdict::Suspect | Verdict::Failing | Verdict::Silent)
        || c.rollback != RollbackStatus::None
        || matches!(c.rollback_state, "unproven" | "failed" | "superseded")
}

/// When a number's trouble began: the supposed fault, or, once its callers are served by the fallback, the one that it
/// was swapped for.
fn since(c: &ChannelStatus, latest: Option<&Decision>) -> Option<Time> {
    if !is_troubled(c) {
        return None;
    }
    let swapped = match c.rollback {
        RollbackStatus::Done { since } | RollbackStatus::Unproven { since } => Some(since),
        RollbackStatus::None | RollbackStatus::Pending => None,
    };
    let decided = || latest.and_then(|d| d.evidence.since).filter(|_| c.rollback != RollbackStatus::None);
    c.evidence.since.or_else(decided).or(swapped)
}

const fn outcomes(channel: Channel, of: [&'static Definition; 2]) -> &'static Definition {
    of[channel.index()]
}

fn on(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn count<T>(all: impl Iterator<Item = T>) -> f64 {
    all.count() as f64
}

/// Families under way.
#[derive(Default)]
struct Page {
    /// With the order in which labels are printed: by name, as the other collectors do.
    families: HashMap<&'static str, (Vec<usize>, MetricFamily)>,
}

impl Page {
    /// `labels` in the order of the definition.
    fn add(&mut self, definition: &'static Definition, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), definition.labels.len(), "{}", definition.name);
        let (order, family) = self.families.entry(definition.name).or_insert_with(|| start(definition));
        let pairs = order.iter().map(|i| {
            let mut pair = LabelPair::default();
            pair.set_name(definition.labels[*i].to_owned());
            pair.set_value(labels[*i].to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        if definition.kind == MetricKind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        family.mut_metric().push(metric);
    }

    /// What a decision goes by: statistic, threshold, callers, failing callers.
    fn evidence(&mut self, of: [&'static Definition; 4], labels: &[&str], e: &Evidence) {
        let [statistic, threshold, callers, failing] = of;
        // The statistic of a stream without failures is minus infinity: nothing speaks for a fault.
        let score = e.score.filter(|s| s.statistic.is_finite() && s.threshold.is_finite());
        self.add(statistic, labels, score.map_or(0.0, |s| s.statistic.max(0.0)));
        if let Some(score) = score {
            self.add(threshold, labels, score.threshold);
        }
        self.add(callers, labels, f64::from(e.callers));
        self.add(failing, labels, f64::from(e.failing));
    }
}

fn start(definition: &Definition) -> (Vec<usize>, MetricFamily) {
    let mut order: Vec<usize> = (0..definition.labels.len()).collect();
    order.sort_by_key(|i| definition.labels[*i]);
    let mut family = MetricFamily::default();
    family.set_name(definition.name.to_owned());
    family.set_help(definition.help.to_owned());
    family.set_field_type(if definition.kind == MetricKind::Counter { MetricType::COUNTER } else { MetricType::GAUGE });
    (order, family)
}
