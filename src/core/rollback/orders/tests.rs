//! Random histories: decisions, commands, faults, crashes, other writers, and the laws.
//!
//! The world here is small: a few numbers whose only field is the webhook, and an executor that
//! takes the steps of the real one and can be stopped between any two of them. `PROPTEST_CASES`
//! says how many histories are played; a failing one is minimised and its seed printed.

mod commands;
mod executor;
mod questions;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::decision::Action;
use crate::model::id::NumberSid;
use crate::model::id::testing::ours;
use crate::model::order::{Author, By, Operation, Scope, ScopeOf};
use crate::model::roster::{Number, NumberIx, PortAt, Roster};
use crate::model::verdict::Evidence;
use crate::rollback::entry::Entry;
use crate::rollback::operator::OperatorRequest;
use crate::rollback::plan;
use crate::routing::values::RoutingValues;

const VOICE: Channel = Channel::Voice;

fn group() -> GroupName {
    "support".parse().unwrap()
}

fn number(i: usize) -> NumberId {
    ours(&format!("+1500555010{i}"))
}

fn roster(numbers: usize) -> Roster {
    let mut roster = Roster::default();
    let ix = roster.add_group(group(), [Some("https://bin".to_owned()), None]);
    for i in 0..numbers {
        roster.add_number(Number {
            id: number(i),
            label: String::new(),
            group: ix,
            channels: [true, false],
            timezone: jiff::tz::TimeZone::UTC,
            port: PortAt::Done,
        });
    }
    roster
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// The detector asks for these numbers, by bits.
    Decide(u8, Strength),
    Hold(u8),
    Release(u8),
    Mode(u8),
    /// Approve the oldest pending rollback or restore.
    Approve,
    Rollback(u8),
    Restore {
        numbers: u8,
        force: bool,
        at_once: bool,
    },
    /// Somebody else writes to a number.
    Edit(u8),
    /// The drift is noticed.
    Look,
    Freshness(u8),
    Lead(bool),
    Fallback(u8),
    Verdict(u8, bool),
    Pass(u32),
    /// The machine's clock is set back.
    Back(u32),
    /// The executor works on what is dispatched, until so many steps are taken; then the agent dies.
    Work {
        stop_after: Option<u8>,
        fault: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<u8>(), any::<bool>()).prop_map(|(mask, is_hint)| {
            Step::Decide(mask, if is_hint { Strength::Hint } else { Strength::Callers })
        }),
        1 => (0..4u8).prop_map(Step::Hold),
        1 => (0..4u8).prop_map(Step::Release),
        1 => (0..3u8).prop_map(Step::Mode),
        2 => Just(Step::Approve),
        2 => any::<u8>().prop_map(Step::Rollback),
        3 => (any::<u8>(), any::<bool>(), any::<bool>())
            .prop_map(|(numbers, force, at_once)| Step::Restore { numbers, force, at_once }),
        1 => (0..4u8).prop_map(Step::Edit),
        1 => Just(Step::Look),
        1 => (0..3u8).prop_map(Step::Freshness),
        1 => any::<bool>().prop_map(Step::Lead),
        1 => (0..3u8).prop_map(Step::Fallback),
        2 => (0..4u8, any::<bool>()).prop_map(|(n, bad)| Step::Verdict(n, bad)),
        2 => (1..5000u32).prop_map(Step::Pass),
        1 => (1..5000u32).prop_map(Step::Back),
        6 => (proptest::option::of(0..12u8), 0..6u8).prop_map(|(stop_after, fault)| Step::Work { stop_after, fault }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The world as it really is, and what the detector thinks of it.
struct World {
    roster: Roster,
    now: Time,
    urls: BTreeMap<NumberId, String>,
    journal: Vec<(Time, Entry)>,
    orders: Orders,
    is_leading: bool,
    freshness: Freshness,
    verdicts: BTreeMap<NumberId, Verdict>,
    /// Every pair that was ever ordered for the detector, and every write.
    ordered: BTreeSet<(DecisionId, NumberId)>,
    writes: BTreeMap<(DecisionId, NumberId), u32>,
}

struct Eyes<'a>(&'a World);

impl Surroundings for Eyes<'_> {
    fn is_leading(&self) -> bool {
        self.0.is_leading
    }
    fn phase(&self, _: NumberId, _: Channel) -> Phase {
        Phase::Active
    }
    fn verdict(&self, number: NumberId, _: Channel) -> Verdict {
        self.0.verdicts.get(&number).copied().unwrap_or_default()
    }
    fn group_verdict(&self, _: &GroupName, _: Channel) -> Verdict {
        Verdict::Failing
    }
    fn freshness(&self, _: Channel) -> Freshness {
        self.0.freshness
    }
    fn is_storm(&self, _: Channel) -> bool {
        false
    }
}

fn bits(mask: u8, numbers: usize) -> Vec<NumberId> {
    (0..numbers).filter(|i| mask >> i & 1 == 1).map(number).collect()
}

fn by() -> Author {
    Author { name: "on call".into(), reason: "because".into() }
}

fn record(url: &str) -> String {
    serde_json::json!({ "voice_url": url }).to_string()
}

impl World {
    fn new(numbers: usize) -> World {
        let settings = RollbackSettings { mode: Mode::Auto, ..RollbackSettings::default() };
        World {
            roster: roster(numbers),
            now: Time::from_secs(1_000_000),
            urls: (0..numbers).map(|i| (number(i), format!("https://app/{i}"))).collect(),
            journal: Vec::new(),
            orders: Orders::new(settings),
            is_leading: true,
            freshness: Freshness::Fresh,
            verdicts: BTreeMap::new(),
            ordered: BTreeSet::new(),
            writes: BTreeMap::new(),
        }
    }

    fn write(&mut self, entry: Entry) {
        if let Entry::Order(order) = &entry {
            self.check_order(order);
        }
        self.orders.fold(self.now, &entry).unwrap_or_else(|e| panic!("{e}: {entry:?}"));
        self.journal.push((self.now, entry));
    }

    /// Laws 2 and 6 at the moment of an order.
    fn check_order(&mut self, order: &Order) {
        assert!(self.is_leading, "ordered without the lease");
        assert_ne!(self.orders.mode(), Mode::Observe, "ordered in observe");
        for n in &order.numbers {
            assert!(self.orders.held_by(self.now, &order.group, *n, VOICE).is_none(), "ordered while held");
            assert_eq!(self.orders.ordered(*n, VOICE), None, "two orders at a time");
            assert!(self.ordered.insert((order.id, *n)), "twice for one decision");
            if order.operation == Operation::Rollback {
                assert_ne!(self.orders.fallback(&order.group, VOICE), FallbackState::Broken, "to a broken fallback");
            }
        }
        if order.by == By::Detector {
            assert_ne!(self.freshness, Freshness::Stale, "ordered while blind");
            let pending = self.orders.pending.get(&order.id).expect("an order of the detector was pending");
            let needs_word = self.orders.mode() == Mode::Confirm || self.freshness == Freshness::Degraded;
            let is_undone = order.numbers.iter().any(|n| self.orders.is_undone(*n, VOICE));
            assert!(pending.is_approved || !(needs_word || is_undone), "ordered unasked");
        }
    }

    fn step(&mut self) {
        // What one step says may let another be said, and then there is silence.
        for _ in 0..4 {
            let entries = self.orders.step(self.now, &self.roster, &Eyes(self));
            if entries.is_empty() {
                return;
            }
            for entry in entries {
                self.write(entry);
            }
        }
        let again = self.orders.step(self.now, &self.roster, &Eyes(self));
        assert!(again.is_empty(), "said again and again: {again:?}");
    }

    fn restart(&mut self) {
        let mut orders = Orders::new(self.orders.settings.clone());
        for (at, entry) in &self.journal {
            orders.fold(*at, entry).unwrap_or_else(|e| panic!("after a restart: {e}: {entry:?}"));
        }
        let states = |h: &Orders| h.sagas().map(|(n, _, s)| (n, s.state.clone(), s.is_undone)).collect::<Vec<_>>();
        assert_eq!(states(&orders), states(&self.orders), "a restart ends elsewhere");
        let open = |h: &Orders| h.open_orders().map(|p| (p.order.id, p.left())).collect::<Vec<_>>();
        assert_eq!(open(&orders), open(&self.orders));
        self.orders = orders;
    }

    fn operator(&mut self, operation: Operation, numbers: &[NumberId], force: bool, at_once: bool) {
        let numbers: Vec<NumberIx> = numbers.iter().filter_map(|n| self.roster.find(*n)).collect();
        let request = OperatorRequest { operation, numbers, channel: Some(VOICE), by: by(), force, at_once };
        let preview = self.orders.preview(self.now, &self.roster, self.is_leading, &request);
        for entry in preview.entries() {
            self.write(entry);
        }
    }

    fn play(&mut self, step: &Step) {
        let count = self.roster.len();
        let scope = |i: u8| Scope {
            of: if i == 0 { ScopeOf::All } else { ScopeOf::Number(number(usize::from(i) - 1)) },
            channel: None,
        };
        match step {
            Step::Decide(mask, strength) => {
                let mut numbers = bits(*mask, count);
                numbers.retain(|n| !self.orders.is_asked_for(*n, VOICE, *strength));
                if !numbers.is_empty() {
                    let failing = if *strength == Strength::Callers { 5 } else { 0 };
                    let evidence = Evidence { callers: failing, failing, ..Evidence::default() };
                    self.verdicts.extend(numbers.iter().map(|n| (*n, Verdict::Failing)));
                    self.write(Entry::Decision(Decision {
                        id: self.orders.next_id(),
                        at: self.now,
                        action: Action::Rollback,
                        channel: VOICE,
                        group: group(),
                        numbers,
                        rule: String::new(),
                        evidence,
                    }));
                }
            }
            Step::Hold(i) => {
                let until = self.now + Duration::from_secs(1800);
                self.write(Entry::Hold(Hold { scope: scope(*i), by: by(), until }));
            }
            Step::Release(i) => self.write(Entry::Release { scope: scope(*i), by: by() }),
            Step::Mode(i) => self.write(Entry::Mode { mode: Mode::ALL[usize::from(*i)], by: by() }),
            Step::Approve => {
                let pending = self.orders.pending().next().map(|d| d.decision.id);
                let restore = self.orders.open_orders().find(|p| p.order.staged).map(|p| p.order.id);
                if let Some(decision) = pending.or(restore) {
                    self.write(Entry::Approved { decision, by: by() });
                }
            }
            Step::Rollback(mask) => self.operator(Operation::Rollback, &bits(*mask, count), false, false),
            Step::Restore { numbers, force, at_once } => {
                self.operator(Operation::Restore, &bits(*numbers, count), *force, *at_once);
            }
            Step::Edit(i) => {
                let n = number(usize::from(*i) % count);
                self.urls.insert(n, "https://theirs".to_owned());
                // Should that be what the snapshot has, it looks as if our write had never happened.
                self.writes.retain(|(_, number), _| *number != n);
            }
            Step::Look => {
                for n in (0..count).map(number) {
                    let state = self.orders.state(n, VOICE);
                    let ours = plan::left(state, VOICE).unwrap();
                    let now = RoutingValues::read(&record(&self.urls[&n]), VOICE).unwrap();
                    if !ours.is_empty() && self.orders.ordered(n, VOICE).is_none() && !ours.contains(&now) {
                        self.write(Entry::Drift { number: n, channel: VOICE, differences: vec![], actor: None });
                    }
                }
            }
            Step::Freshness(i) => {
                self.freshness = [Freshness::Fresh, Freshness::Degraded, Freshness::Stale][usize::from(*i)]
            }
            Step::Lead(is) => self.is_leading = *is,
            Step::Fallback(i) => {
                let state = FallbackState::ALL[usize::from(*i)];
                self.write(Entry::fallback(group(), VOICE, state));
            }
            Step::Verdict(i, bad) => {
                let verdict = if *bad { Verdict::Failing } else { Verdict::Healthy };
                self.verdicts.insert(number(usize::from(*i) % count), verdict);
            }
            Step::Pass(seconds) => self.now = self.now + Duration::from_secs(u64::from(*seconds)),
            Step::Back(seconds) => self.now = self.now - Duration::from_secs(u64::from(*seconds)),
            Step::Work { stop_after, fault } => {
                if self.work(*stop_after, *fault).is_err() {
                    self.restart();
                }
            }
        }
        self.step();
        self.check();
    }

    /// What is true at all times.
    fn check(&self) {
        for n in (0..self.roster.len()).map(number) {
            let is_ours = self.orders.state(n, VOICE).is_on_fallback() && self.orders.ordered(n, VOICE).is_none();
            let url = &self.urls[&n];
            assert!(!is_ours || url == "https://bin" || url == "https://theirs", "thought on the fallback: {url}");
        }
    }

    /// With nothing in the way, everything comes to an end, and nothing is left of us but what was asked.
    fn settle(&mut self) {
        self.restart();
        (self.is_leading, self.freshness) = (true, Freshness::Fresh);
        self.write(Entry::Mode { mode: Mode::Auto, by: by() });
        self.write(Entry::Release { scope: Scope { of: ScopeOf::All, channel: None }, by: by() });
        self.write(Entry::fallback(group(), VOICE, FallbackState::Good));
        for _ in 0..10 {
            self.now = self.now + Duration::from_secs(7200);
            for p in self.orders.open_orders().map(|p| p.order.id).collect::<Vec<_>>() {
                self.write(Entry::Approved { decision: p, by: by() });
            }
            self.step();
            assert!(self.work(None, 5).is_ok());
            self.step();
        }
        assert_eq!(self.orders.open_orders().count(), 0, "every order ends");
        let under_way: Vec<_> = self.orders.sagas().filter(|(_, _, s)| s.state.is_under_way()).collect();
        assert!(under_way.is_empty(), "{under_way:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_in_every_history(numbers in 1..4usize, steps in steps()) {
        let mut world = World::new(numbers);
        for step in &steps {
            world.play(step);
        }
        world.settle();
    }
}

#[test]
fn failures_are_tried_ever_more_rarely_and_forgiven() {
    let mut backoff = Backoff::default();
    let mut at = Time::from_secs(0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        backoff.failed(at);
        let until = backoff.until(RETRY_AFTER, RETRY_AT_MOST).unwrap();
        waits.push(until.since(at).as_secs());
        at = until;
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    let mut refused = Backoff::default();
    refused.refused(at, RETRY_AFTER, RETRY_AT_MOST);
    assert_eq!(refused.until(RETRY_AFTER, RETRY_AT_MOST).unwrap().since(at), RETRY_AT_MOST, "a person is slower");
    at = at + FORGIVEN_AFTER * 20;
    backoff.failed(at);
    assert_eq!(backoff.until(RETRY_AFTER, RETRY_AT_MOST).unwrap().since(at).as_secs(), 60);
    // Of three, each day without another takes one off.
    for (hours, wait) in [(0, 480), (23, 480), (24, 240), (48, 120), (72, 60), (240, 60)] {
        let mut backoff = Backoff::default();
        (0..3).for_each(|_| backoff.failed(at));
        let later = at + Duration::from_secs(hours * 3600);
        backoff.failed(later);
        assert_eq!(backoff.until(RETRY_AFTER, RETRY_AT_MOST).unwrap().since(later).as_secs(), wait, "{hours} h");
    }
}

/// A world of four numbers on the fallback, whose restore has put back the first.
fn at_the_canary() -> World {
    at_the_canary_of(4)
}

fn at_the_canary_of(numbers: usize) -> World {
    let mut w = World::new(numbers);
    w.operator(Operation::Rollback, &bits(u8::MAX, numbers), false, true);
    assert!(w.work(None, 5).is_ok());
    w.operator(Operation::Restore, &bits(u8::MAX, numbers), false, false);
    w.step();
    assert!(w.work(None, 5).is_ok());
    w.step();
    assert_eq!(w.released(), 1);
    w
}

impl World {
    fn released(&self) -> usize {
        self.orders.latest_orders().next().unwrap().released.len()
    }
}

#[test]
fn a_stage_is_verified_by_callers_and_not_by_calls() {
    let mut w = at_the_canary();
    for _ in 0..5 {
        w.now = w.now + Duration::from_secs(30);
        w.orders.served(number(0), VOICE, w.now, Witness::Caller(1));
        w.step();
    }
    assert_eq!(w.released(), 1, "one caller who redials is one witness");
    w.orders.served(number(0), VOICE, w.now, Witness::Caller(2));
    w.orders.not_served(number(0), VOICE, Witness::Caller(2));
    w.orders.served(number(0), VOICE, w.now, Witness::Caller(3));
    w.step();
    assert_eq!(w.released(), 1, "one of them was not served after all");
    w.orders.served(number(0), VOICE, w.now, Witness::Caller(2));
    w.step();
    assert!(w.released() > 1);
    // Each test call is one of its own: nobody else may call.
    let mut w = at_the_canary();
    for _ in 0..3 {
        w.now = w.now + Duration::from_secs(30);
        w.orders.served(number(0), VOICE, w.now, Witness::Test(w.now));
    }
    w.step();
    assert!(w.released() > 1);
}
