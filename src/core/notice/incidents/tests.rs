//! What is news, entry by entry.

mod news;
mod proof;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use super::Incidents;
use super::incident::AFTERWARDS;
use crate::model::decision::{Action, Decision, DecisionId, DetectorGuard, Mode};
use crate::model::guard::Guard;
use crate::model::id::testing::ours;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{
    Author, By, CloseReason, FallbackState, Hold, Operation, Order, OrderResult, Scope, ScopeOf,
};
use crate::model::roster::{Number, PortAt, Roster};
use crate::model::time::Time;
use crate::model::verdict::Evidence;
use crate::notice::condition::AgentCondition;
use crate::notice::make::{Addresses, NoticeBuilder};
use crate::notice::{Notice, NoticeKind, NoticeStatus, Severity};
use crate::rollback::entry::Entry;

const VOICE: Channel = Channel::Voice;

fn number(i: usize) -> NumberId {
    ours(&format!("+150055501{i:02}"))
}

fn numbers(which: std::ops::Range<usize>) -> Vec<NumberId> {
    which.map(number).collect()
}

fn group() -> GroupName {
    "support".parse().unwrap()
}

/// A history of one group of eight numbers, with one entry a second.
struct History {
    incidents: Incidents,
    now: Time,
}

impl History {
    fn new() -> History {
        let mut roster = Roster::default();
        let support = roster.add_group(group(), [Some("https://handler.twilio.com/twiml/EH0".to_owned()), None]);
        for i in 0..8 {
            roster.add_number(Number {
                id: number(i),
                label: String::new(),
                group: support,
                channels: [true, false],
                timezone: jiff::tz::TimeZone::UTC,
                port: PortAt::Done,
            });
        }
        let builder = NoticeBuilder { roster: Arc::new(roster), addresses: Addresses::default() };
        let now = "2026-11-21T14:00:00Z".parse().unwrap();
        History { incidents: Incidents::new(builder, Mode::Auto), now }
    }

    fn add(&mut self, entry: Entry) -> Vec<Notice> {
        let notices = self.incidents.fold(self.now, &entry);
        self.now = self.now + Duration::from_secs(1);
        let late = self.incidents.tick(self.now);
        notices.into_iter().chain(late).collect()
    }

    fn all(&mut self, entries: impl IntoIterator<Item = Entry>) -> Vec<Notice> {
        entries.into_iter().flat_map(|e| self.add(e)).collect()
    }

    fn pass(&mut self, seconds: u64) -> Vec<Notice> {
        self.now = self.now + Duration::from_secs(seconds);
        self.incidents.tick(self.now)
    }

    /// The detector calls a number healthy.
    fn healthy(&mut self, i: usize) -> Vec<Notice> {
        if !self.incidents.ends_with_health(number(i), VOICE) {
            return Vec::new();
        }
        self.add(Entry::Recovered { channel: VOICE, numbers: vec![number(i)] })
    }

    /// Numbers rolled back by the detector.
    fn rolled_back(&mut self, id: u64, which: std::ops::Range<usize>) -> Vec<Notice> {
        let entries = [decided(id, which.clone()), ordered(id, which.clone(), Operation::Rollback, By::Detector)];
        self.all(entries.into_iter().chain(which.map(|i| result(id, i, OrderResult::Written))))
    }
}

fn decision(id: u64, action: Action, which: std::ops::Range<usize>) -> Entry {
    Entry::Decision(Decision {
        id: DecisionId(id),
        at: Time::EPOCH,
        action,
        channel: VOICE,
        group: group(),
        numbers: numbers(which),
        rule: "a rule".to_owned(),
        evidence: Evidence { callers: 4, failing: 3, ..Evidence::default() },
    })
}

fn decided(id: u64, which: std::ops::Range<usize>) -> Entry {
    decision(id, Action::Rollback, which)
}

fn withheld(id: u64, which: std::ops::Range<usize>) -> Entry {
    decision(id, Action::Withheld { guard: DetectorGuard::NoFallback }, which)
}

fn person() -> By {
    By::Operator(Author { name: "maria".into(), reason: "repaired".into() })
}

fn ordered(id: u64, which: std::ops::Range<usize>, operation: Operation, by: By) -> Entry {
    let (id, channel, group, numbers) = (DecisionId(id), VOICE, group(), numbers(which));
    Entry::Order(Order { id, operation, channel, group, numbers, by, force: false, staged: false, terms: None })
}

fn result(id: u64, i: usize, result: OrderResult) -> Entry {
    Entry::Result { decision: DecisionId(id), channel: VOICE, number: number(i), result, detail: String::new() }
}

fn refused(id: u64, which: std::ops::Range<usize>, guard: Guard) -> Entry {
    Entry::Refused { decision: DecisionId(id), channel: VOICE, numbers: numbers(which), guard }
}

fn closed(id: u64, which: std::ops::Range<usize>, why: CloseReason) -> Entry {
    Entry::Closed { decision: DecisionId(id), channel: VOICE, numbers: numbers(which), why }
}

fn kinds(notices: &[Notice]) -> Vec<(NoticeKind, NoticeStatus)> {
    notices.iter().map(|n| (n.kind, n.status)).collect()
}

const FIRING: NoticeStatus = NoticeStatus::Firing;
const RESOLVED: NoticeStatus = NoticeStatus::Resolved;

#[test]
fn numbers_join_and_only_most_of_the_group_is_told_again() {
    let mut h = History::new();
    let told: Vec<Vec<Notice>> = (0..8).map(|i| h.rolled_back(i + 1, i as usize..i as usize + 1)).collect();
    let counts: Vec<usize> = told.iter().map(Vec::len).collect();
    assert_eq!(counts, [1, 0, 0, 0, 1, 0, 0, 0], "when it begins, and with the fifth of eight");
    assert_eq!(told[0][0].key, told[4][0].key);
    assert_eq!(told[4][0].numbers, numbers(0..5));
}

#[test]
fn health_resolves_what_no_other_entry_ends() {
    let mut h = History::new();
    assert_eq!(kinds(&h.add(withheld(1, 0..2))), [(NoticeKind::Held, FIRING)]);
    assert_eq!(kinds(&h.healthy(0)), []);
    assert_eq!(kinds(&h.healthy(1)), [(NoticeKind::Lapsed, RESOLVED)]);
    // A pending rollback has its end in the journal.
    assert_eq!(h.all([decided(2, 0..1), refused(2, 0..1, Guard::Cap)]).len(), 1);
    assert_eq!(kinds(&h.healthy(0)), []);
    assert_eq!(kinds(&h.add(closed(2, 0..1, CloseReason::Recovered))), [(NoticeKind::Lapsed, RESOLVED)]);
}

#[test]
fn an_unproven_number_keeps_its_incident_whatever_becomes_of_a_later_decision() {
    for why in [CloseReason::TimedOut, CloseReason::Recovered] {
        let mut h = History::new();
        h.all([decided(1, 0..1), ordered(1, 0..1, Operation::Rollback, By::Detector)]);
        assert_eq!(kinds(&h.add(result(1, 0, OrderResult::Unproven))), [(NoticeKind::Unproven, FIRING)]);
        h.all([decided(2, 0..1), refused(2, 0..1, Guard::Cooldown), closed(2, 0..1, why)]);
        assert_eq!(kinds(&h.healthy(0)), [], "our write may be on it");
        let later = h.pass(2 * 3600);
        assert!(later.iter().all(|n| n.status == FIRING), "{why:?}: {:?}", kinds(&later));
        // A further attempt that writes nothing leaves it what it is.
        h.all([ordered(3, 0..1, Operation::Rollback, person()), result(3, 0, OrderResult::Failed)]);
        assert_eq!(kinds(&h.healthy(0)), []);
        h.add(ordered(4, 0..1, Operation::Restore, person()));
        assert_eq!(kinds(&h.add(result(4, 0, OrderResult::Restored))), [(NoticeKind::Restored, RESOLVED)]);
    }
}

#[test]
fn a_relapsed_restore_leaves_the_rollback_as_it_is_and_is_no_new_incident() {
    let mut h = History::new();
    let first = h.rolled_back(1, 0..8);
    assert_eq!(kinds(&first), [(NoticeKind::RolledBack, FIRING)]);
    h.add(ordered(2, 0..8, Operation::Restore, person()));
    assert_eq!(kinds(&h.add(result(2, 0, OrderResult::Restored))), []);
    let relapsed = h.add(closed(2, 1..8, CloseReason::Relapsed));
    assert_eq!(kinds(&relapsed), [(NoticeKind::RestoreFailed, FIRING)]);
    assert_eq!(relapsed[0].key, first[0].key);
    // A decision about numbers that never left the fallback is about nothing that the handler did.
    assert_eq!(kinds(&h.add(withheld(3, 1..8))), []);
    // The canary again is news: its callers are served once more.
    assert_eq!(kinds(&h.rolled_back(4, 0..1)), [(NoticeKind::RolledBack, FIRING)]);
    h.add(ordered(5, 0..8, Operation::Restore, person()));
    let over = h.all((0..8).map(|i| result(5, i, OrderResult::Restored)));
    assert_eq!(kinds(&over), [(NoticeKind::Restored, RESOLVED)]);
    assert_eq!((over[0].severity, over[0].incident_severity), (Severity::Critical, Severity::Critical));
}

#[test]
fn a_persons_slow_rollback_keeps_the_severity_under_which_it_was_reported() {
    let mut h = History::new();
    h.add(ordered(1, 0..2, Operation::Rollback, person()));
    let slow = h.pass(60);
    assert_eq!((slow[0].kind, slow[0].severity), (NoticeKind::Underway, Severity::Critical));
    let done = h.all([result(1, 0, OrderResult::Written), result(1, 1, OrderResult::Written)]);
    assert_eq!(kinds(&done), [(NoticeKind::RolledBack, FIRING)]);
    assert_eq!((done[0].severity, done[0].incident_severity), (Severity::Info, Severity::Critical));
    assert_eq!(done[0].key, slow[0].key);
}

#[test]
fn a_persons_rollback_instead_of_an_approval_does_not_say_that_callers_recovered() {
    let mut h = History::new();
    let asked = Entry::Asked {
        decision: DecisionId(1),
        channel: VOICE,
        numbers: numbers(0..1),
        guard: Guard::Mode,
        until: h.now + Duration::from_secs(600),
    };
    assert_eq!(kinds(&h.all([decided(1, 0..1), asked])), [(NoticeKind::Asked, FIRING)]);
    let rollback = [ordered(2, 0..1, Operation::Rollback, person()), result(2, 0, OrderResult::Written)];
    assert_eq!(kinds(&h.all(rollback)), [(NoticeKind::RolledBack, FIRING)]);
    assert_eq!(kinds(&h.add(closed(1, 0..1, CloseReason::Recovered))), []);
}

#[test]
fn a_further_guard_is_no_news_and_another_one_alone_is() {
    let mut h = History::new();
    assert_eq!(h.all([decided(1, 0..1), refused(1, 0..1, Guard::Hold)]).len(), 1);
    assert_eq!(h.all([decided(2, 1..2), refused(2, 1..2, Guard::Phase)]).len(), 0);
    assert_eq!(h.add(refused(1, 0..1, Guard::Fallback)).len(), 1, "the hold that people know of blocks nothing now");
}

#[test]
fn failed_attempts_are_told_once_and_the_one_that_succeeds() {
    let mut h = History::new();
    h.all([decided(1, 0..1), ordered(1, 0..1, Operation::Rollback, By::Detector)]);
    assert_eq!(kinds(&h.add(result(1, 0, OrderResult::Failed))), [(NoticeKind::Unproven, FIRING)]);
    assert_eq!(h.all([decided(2, 0..1), refused(2, 0..1, Guard::Cooldown)]).len(), 0);
    h.add(ordered(2, 0..1, Operation::Rollback, By::Detector));
    assert_eq!(h.add(result(2, 0, OrderResult::Failed)).len(), 0);
    assert_eq!(kinds(&h.rolled_back(3, 0..1)), [(NoticeKind::RolledBack, FIRING)]);
}

#[test]
fn an_operator_who_keeps_later_numbers_on_the_fallback_is_told_of_no_failure() {
    let mut history = History::new();
    history.rolled_back(1, 0..4);
    history.pass(60);
    history.add(ordered(2, 0..4, Operation::Restore, person()));
    let mut told = history.add(result(2, 0, OrderResult::Restored));
    told.extend(history.add(closed(2, 1..4, CloseReason::Countermanded)));
    assert!(told.iter().all(|n| n.kind != NoticeKind::RestoreFailed), "{told:?}");
    assert!(told.iter().any(|n| n.kind == NoticeKind::Restored), "{told:?}");
}

fn held(i: usize, why: &str, until: Time) -> Entry {
    let by = Author { name: "maria".into(), reason: why.into() };
    Entry::Hold(Hold { scope: Scope { of: ScopeOf::Number(number(i)), channel: None }, by, until })
}

#[test]
fn a_notice_says_who_holds_the_number_or_which_mode_is_in_force() {
    let mut h = History::new();
    let until = h.now + Duration::from_secs(3600);
    h.all([held(0, "we repair it", until), held(5, "another one", until)]);
    let told = h.all([decided(1, 0..1), refused(1, 0..1, Guard::Hold)]);
    assert!(told[0].did.contains("maria holds +15005550100 until 2026-11-21"), "{}", told[0].did);
    assert!(told[0].did.contains("we repair it"), "{}", told[0].did);
    let mut h = History::new();
    h.add(Entry::Mode { mode: Mode::Observe, by: Author { name: "maria".into(), reason: "a drill".into() } });
    let told = h.all([decided(1, 0..1), refused(1, 0..1, Guard::Mode)]);
    assert!(told[0].did.contains("A rollback would help, but the mode is observe"), "{}", told[0].did);
}

#[test]
fn a_hold_that_is_over_replaced_or_released_is_not_named() {
    let told = |entries: &dyn Fn(Time) -> Vec<Entry>| {
        let mut h = History::new();
        // Everything of one instant is told of together, right after it.
        let (at, then) = (h.now, h.now + AFTERWARDS);
        let all = entries(then).into_iter().chain([decided(1, 0..1), refused(1, 0..1, Guard::Hold)]);
        all.for_each(|entry| assert_eq!(h.incidents.fold(at, &entry), []));
        h.incidents.tick(then).remove(0).did
    };
    let longer = |then| then + Duration::from_secs(60);
    assert!(told(&|then| vec![held(0, "the first", longer(then))]).contains("the first"));
    let did = told(&|then| vec![held(0, "the first", then)]);
    assert!(!did.contains("the first") && did.contains(Guard::Hold.text()), "its end is no part of it: {did}");
    let did = told(&|then| vec![held(0, "the first", longer(then)), held(0, "the second", longer(then))]);
    assert!(!did.contains("the first") && did.contains("the second"), "{did}");
    let release = |i| {
        let by = Author { name: "maria".into(), reason: "done".into() };
        Entry::Release { scope: Scope { of: ScopeOf::Number(number(i)), channel: None }, by }
    };
    let did = told(&|then| vec![held(0, "the first", longer(then)), release(5)]);
    assert!(did.contains("the first"), "{did}");
    let did = told(&|then| vec![held(0, "the first", longer(then)), release(0)]);
    assert!(!did.contains("the first"), "{did}");
}

#[test]
fn what_was_wrong_with_the_agent_before_a_restart_is_known_and_can_end() {
    let blind =
        AgentCondition::Blind { channels: vec![VOICE], sources: vec!["calls"], why: String::new(), unread: vec![] };
    let unwritable = AgentCondition::StoreUnwritable { problem: "full".to_owned(), cure: "make room".to_owned() };
    for condition in [blind, unwritable] {
        let mut before = History::new();
        let (since, at) = (before.now, before.now + Duration::from_secs(90));
        let latest = before.incidents.begins(at, since, condition.clone()).expect("it is new");
        let mut after = History::new();
        after.incidents.resume(&latest);
        assert_eq!(after.incidents.begins(at, at, condition.clone()), None, "people know of it");
        let over = after.incidents.ends(at, &condition.key()).expect("it was known");
        assert_eq!((over.key, over.status), (latest.key, RESOLVED));
        assert_eq!(over.since.map(|m| m.at), Some(since), "since when it stood");
    }
}

#[test]
fn a_fallback_that_breaks_for_some_numbers_is_told_with_whom_and_why() {
    let mut h = History::new();
    let found = |state, broken_for: Vec<NumberId>, detail: &str| {
        let (group, channel, url, detail) = (group(), VOICE, String::new(), detail.to_owned());
        Entry::Fallback { group, channel, url, state, broken_for, detail }
    };
    assert!(h.add(found(FallbackState::Good, vec![], "")).is_empty(), "it works: no news");
    let told = h.add(found(FallbackState::Good, numbers(0..2), "for +15005550100, +15005550101: it dials nothing"));
    assert_eq!((told.len(), told[0].severity), (1, Severity::Critical));
    assert!(told[0].title.contains("2 of 8 numbers") && told[0].did.starts_with("None of these"), "{:?}", told[0]);
    assert!(told[0].cause.as_deref().is_some_and(|c| c.contains("dials nothing")), "{:?}", told[0]);
    let told = h.add(found(FallbackState::Unchecked, vec![], ""));
    assert_eq!((told.len(), told[0].status), (1, NoticeStatus::Resolved));
    assert!(h.add(found(FallbackState::Good, vec![], "")).is_empty());
}
