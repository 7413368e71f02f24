//! The laws that hold for any detector, through the engine's own door.

mod decide;
mod evidence;
mod revised;
mod rules;
mod unclaimed;
mod watch;

use std::collections::BTreeMap;

use super::*;
use crate::detect::observation::{
    Alert, Call, CallStatus, Direction, Leg, Level, Message, MessageStatus, Probe, ProbeResult, RemoteParty,
};
use crate::model::code::Code;
use crate::model::decision::{Action, DetectorGuard, PageReason};
use crate::model::id::Resource;
use crate::model::id::testing::ACCOUNT;
use crate::model::id::{AlertSid, CallSid, E164, MessageSid};
use crate::model::reason::{Outcome, Reason};
use crate::model::roster::Number;
use crate::routing::record;

const FALLBACK: &str = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";

fn number(i: u32) -> E164 {
    format!("+1500555{i:04}").parse().unwrap()
}

/// A group of numbers on their primary handler, and an engine that has just read everything.
struct Port {
    engine: Engine,
    now: Time,
    ends: BTreeMap<CallSid, Time>,
    calls: u128,
    events: Vec<EngineEvent>,
}

impl Port {
    fn new(mode: Mode, numbers: u32, port: PortAt) -> Port {
        let mut p =
            Port::unread(EngineSettings { mode, ..EngineSettings::default() }, numbers, port, |_| [true, false]);
        for i in 0..numbers {
            p.read(i, &record::tests::record());
        }
        p
    }

    /// The same with numbers of which nobody has read what they point at.
    fn unread(settings: EngineSettings, numbers: u32, port: PortAt, channels: fn(u32) -> [bool; 2]) -> Port {
        let mut roster = Roster::default();
        let group = roster.add_group("support".parse().unwrap(), [Some(FALLBACK.into()), Some(FALLBACK.into())]);
        for i in 0..numbers {
            let n = Number {
                id: NumberId::new(ACCOUNT, number(i)),
                label: String::new(),
                timezone: jiff::tz::TimeZone::UTC,
                group,
                channels: channels(i),
                port,
            };
            roster.add_number(n).unwrap();
        }
        let now = Time::from_secs(1_000_000);
        Port { engine: Engine::new(roster, settings, now), now, calls: 0, ends: BTreeMap::new(), events: Vec::new() }
    }

    /// A number is read, and points where `record` says.
    fn read(&mut self, i: u32, record: &NumberRecord) {
        let record = NumberRecord { number: number(i), ..record.clone() };
        self.engine.observe(self.now, ACCOUNT, &Observation::Number(Box::new(record)));
    }

    /// One inbound call that has just ended, with an alert on the handler's URL if it failed.
    fn call(&mut self, i: u32, caller: u64, alert: Option<u32>) -> CallSid {
        let sid = self.ended(i, caller, CallStatus::Completed);
        if let Some(code) = alert {
            self.alert(sid, code);
        }
        sid
    }

    fn ended(&mut self, i: u32, caller: u64, status: CallStatus) -> CallSid {
        self.calls += 1;
        let sid = CallSid::from_u128(self.calls);
        let party = RemoteParty { hash: caller, last_two: None, is_prober: false, carrier: None };
        let call = Call {
            sid,
            leg: Leg::Inbound { number: number(i), caller: party },
            status,
            started_at: self.now - Duration::from_secs(5),
            ended_at: Some(self.now),
            duration: Some(5),
            error: None,
            forwarded_from: None,
        };
        self.engine.observe(self.now, ACCOUNT, &Observation::Call(call));
        self.ends.insert(sid, self.now);
        sid
    }

    /// A leg that the handler dialled for `parent` ended.
    fn leg(&mut self, parent: CallSid, status: CallStatus) {
        self.calls += 1;
        let sid = CallSid::from_u128(self.calls);
        let leg = Leg::Child { parent };
        let call = Call {
            sid,
            leg,
            status,
            started_at: self.now,
            ended_at: Some(self.now),
            duration: Some(12),
            error: None,
            forwarded_from: None,
        };
        self.engine.observe(self.now, ACCOUNT, &Observation::Call(call));
    }

    /// A text whose webhook failed.
    fn lost_text(&mut self, i: u32, sender: u64) {
        let sid = self.text(i, sender);
        self.alert_on(Resource::Message(sid), 11200, "https://app.example.com/sms");
    }

    fn text(&mut self, i: u32, sender: u64) -> MessageSid {
        self.calls += 1;
        let sid = MessageSid::from_u128(self.calls);
        let message = Message {
            sid,
            number: number(i),
            party: RemoteParty { hash: sender, last_two: None, is_prober: false, carrier: None },
            direction: Direction::Inbound,
            status: MessageStatus::Received,
            sent_at: self.now,
            error: None,
            service: None,
            is_keyword: false,
        };
        self.engine.observe(self.now, ACCOUNT, &Observation::Message(message));
        sid
    }

    /// However late it comes, it has the date of what it tells of.
    fn alert(&mut self, call: CallSid, code: u32) {
        let at = self.ends[&call];
        self.alert_of(at, Resource::Call(call), code, "https://app.example.com/voice");
    }

    fn alert_on(&mut self, resource: Resource, code: u32, url: &str) {
        self.alert_of(self.now, resource, code, url);
    }

    fn alert_of(&mut self, at: Time, resource: Resource, code: u32, url: &str) {
        self.calls += 1;
        let alert = Alert {
            sid: AlertSid::from_u128(self.calls),
            number: None,
            resource: Some(resource),
            code: Code(code),
            level: Level::Error,
            url: Some(url.into()),
            http_status: None,
            at,
        };
        self.engine.observe(self.now, ACCOUNT, &Observation::Alert(alert));
    }

    /// What became of a call, first and last.
    fn outcomes(&self, call: CallSid) -> Vec<Outcome> {
        let of = |e: &EngineEvent| {
            if let EngineEvent::Settled(c) = e { Some(*c).filter(|c| c.entry == Resource::Call(call)) } else { None }
        };
        self.events.iter().filter_map(of).map(|c| c.is).collect()
    }

    /// Lets time pass with every source read each second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            for source in Source::ALL {
                self.engine.polled(source, self.now);
            }
            let events = self.engine.tick(self.now);
            self.events.extend(events);
        }
    }

    /// A test call's result.
    fn probe(&mut self, i: u32, result: ProbeResult) {
        self.probe_begun(i, self.now, result);
    }

    fn probe_begun(&mut self, i: u32, started_at: Time, result: ProbeResult) {
        let channel = Channel::Voice;
        let probe =
            Probe { number: number(i), channel, started_at, origin: 1, entry: None, result, grace: None, unseen: None };
        self.engine.observe(self.now, ACCOUNT, &Observation::Probe(probe));
    }

    fn decisions(&self) -> Vec<(Action, usize)> {
        self.events
            .iter()
            .filter_map(|e| if let EngineEvent::Decided(d) = e { Some((d.action, d.numbers.len())) } else { None })
            .collect()
    }

    fn verdict(&self, i: u32) -> Verdict {
        self.engine.channel(NumberIx(i), Channel::Voice).verdict
    }
}

#[test]
fn four_distinct_failing_callers_roll_a_number_back_once() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for caller in 0..4 {
        assert_eq!(p.decisions(), [], "{caller} callers are not enough");
        p.call(0, caller, Some(11200));
        p.pass(5);
    }
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
    let Some(EngineEvent::Decided(d)) = p.events.iter().find(|e| matches!(e, EngineEvent::Decided(_))) else {
        panic!()
    };
    assert_eq!((d.evidence.callers, d.evidence.failing, d.evidence.samples.len()), (4, 4, 3));
    assert_eq!(d.evidence.reasons[0].code, Some(Code(11200)));
    p.call(0, 9, Some(11200));
    p.pass(60);
    assert_eq!(p.decisions().len(), 1, "a rollback under way is not decided again");
}

#[test]
fn a_shared_fault_rolls_the_whole_group_back() {
    let mut p = Port::new(Mode::Auto, 5, PortAt::Done);
    p.pass(1);
    for i in 0..4 {
        p.call(i, u64::from(i), Some(11200));
    }
    p.pass(2);
    assert_eq!(p.decisions(), [(Action::Rollback, 5)]);
}

#[test]
fn what_a_swap_cannot_cure_only_pages() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for caller in 0..6 {
        p.call(0, caller, Some(10001));
    }
    p.pass(60);
    assert_eq!(p.decisions(), [(Action::Page { reason: PageReason::Failing(Reason::Account) }, 1)]);
}

#[test]
fn no_data_is_neither_failure_nor_health() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(600);
    assert_eq!(p.verdict(0), Verdict::Unknown);
    assert_eq!(p.decisions(), []);
}

#[test]
fn stale_data_is_blind_and_decides_nothing() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    assert!(p.engine.tick(p.now).iter().any(|e| matches!(e, EngineEvent::Verdict { to: Verdict::Blind, .. })));
    p.pass(1);
    assert_eq!(p.verdict(0), Verdict::Unknown);
    // The alert log stops answering: calls keep coming, nothing is decided on them.
    p.now = p.now + Duration::from_secs(120);
    p.engine.polled(Source::Calls, p.now);
    for caller in 0..5 {
        p.call(0, caller, Some(11200));
    }
    let events = p.engine.tick(p.now);
    assert!(!events.iter().any(|e| matches!(e, EngineEvent::Decided(_))));
    assert_eq!(p.verdict(0), Verdict::Blind);
    // It answers again, and what is still true is decided.
    p.pass(1);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
}

#[test]
fn a_call_without_alerts_is_served_only_after_alerts_could_have_come() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    p.call(0, 1, None);
    p.pass(44);
    assert!(!p.events.iter().any(|e| matches!(e, EngineEvent::Settled(_))));
    p.pass(2);
    let settled =
        |p: &Port| p.events.iter().filter(|e| matches!(e, EngineEvent::Settled(c) if c.is == Outcome::Ok)).count();
    assert_eq!(settled(&p), 1);
    // While alerts cannot be read, time alone does not make a call a good one.
    p.call(0, 2, None);
    for _ in 0..120 {
        p.now = p.now + Duration::from_secs(1);
        p.engine.polled(Source::Calls, p.now);
        let events = p.engine.tick(p.now);
        p.events.extend(events);
    }
    assert_eq!(settled(&p), 1);
}

#[test]
fn a_late_alert_revises_the_outcome() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let calls: Vec<_> = (0..4).map(|caller| p.call(0, caller, None)).collect();
    p.pass(60);
    assert_eq!(p.verdict(0), Verdict::Healthy);
    for call in calls {
        p.alert(call, 11200);
    }
    p.pass(1);
    let revised = p.events.iter().filter(|e| {
        matches!(e, EngineEvent::Settled(c)
            if c.was == Some(Outcome::Ok) && c.is == Outcome::Failed(Reason::Webhook))
    });
    assert_eq!(revised.count(), 4);
    assert_eq!(p.decisions(), [(Action::Rollback, 1)]);
}

/// What a number has met since it is watched is told when that ends: each call once, as what it is known to be by then.
#[test]
fn a_revised_outcome_is_counted_once() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    let counts = |p: &Port| {
        let counts = &p.engine.channel(NumberIx(0), Channel::Voice).counts;
        (counts.served, counts.failed)
    };
    p.pass(1);
    let calls: Vec<_> = (0..3).map(|caller| p.call(0, caller, None)).collect();
    p.ended(0, 9, CallStatus::Canceled);
    p.pass(60);
    assert_eq!(counts(&p), (3, 0));
    p.alert(calls[0], 11200);
    p.pass(1);
    assert_eq!(counts(&p), (2, 1));

    let settled = |e: &EngineEvent| if let EngineEvent::Settled(change) = e { Some(*change) } else { None };
    let change = p.events.iter().find_map(settled).unwrap();
    let failed = |reason| Outcome::Failed(reason);
    let [ok, ignored] = [Outcome::Ok, Outcome::Ignored(crate::model::reason::IgnoreReason::Busy)];
    let mut state = p.engine.channel(NumberIx(0), Channel::Voice).clone();
    for (was, is, served, failures) in [
        (None, ok, 3, 1),
        (None, failed(Reason::Webhook), 3, 2),
        (None, ignored, 3, 2),
        (Some(ok), failed(Reason::Webhook), 2, 3),
        (Some(failed(Reason::Webhook)), failed(Reason::Content), 2, 3),
        (Some(failed(Reason::Content)), ok, 3, 2),
        (Some(ok), ignored, 2, 2),
        (Some(failed(Reason::Webhook)), ignored, 2, 1),
        (Some(ignored), ok, 3, 1),
        (Some(ignored), ignored, 3, 1),
        (Some(ok), ok, 3, 1),
    ] {
        state.count(&OutcomeChange { was, is, ..change });
        assert_eq!((state.counts.served, state.counts.failed), (served, failures), "{was:?}, then {is:?}");
    }
}

/// Every call's alert comes 100 s after it, when it has long been settled: the newest are always served, as it seems.
#[test]
fn alerts_that_are_always_late_are_waited_for() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let mut calls = std::collections::VecDeque::new();
    for i in 0..200 {
        calls.push_back(p.call(0, i, None));
        p.pass(2);
        if calls.len() > 50 {
            let call = calls.pop_front().unwrap();
            p.alert(call, 11200);
        }
    }
    assert!(p.decisions().contains(&(Action::Rollback, 1)), "{:?}", p.decisions());
    let raised = p.events.iter().filter(|e| matches!(e, EngineEvent::AlertsLate { .. })).count();
    assert!((1..5).contains(&raised), "{raised}");
}

#[test]
fn observe_decides_the_same_and_says_what_stopped_it() {
    let mut p = Port::new(Mode::Observe, 1, PortAt::Done);
    p.pass(1);
    for caller in 0..5 {
        p.call(0, caller, Some(11200));
        p.pass(5);
    }
    assert_eq!(p.decisions(), [(Action::Withheld { guard: DetectorGuard::Mode }, 1)]);
}

#[test]
fn a_waiting_number_settles_when_due_or_when_somebody_calls_and_is_active_once_somebody_is_served() {
    let due = Time::from_secs(1_000_060);
    let mut p = Port::new(Mode::Auto, 2, PortAt::At(due));
    p.pass(30);
    assert_eq!(p.engine.channel(NumberIx(0), Channel::Voice).phase, Phase::Waiting);
    p.call(1, 1, None);
    assert_eq!(p.engine.channel(NumberIx(1), Channel::Voice).phase, Phase::Settling);
    p.pass(100);
    let phase = |p: &Port, ix| p.engine.channel(NumberIx(ix), Channel::Voice).phase;
    assert_eq!([phase(&p, 0), phase(&p, 1)], [Phase::Settling, Phase::Active], "only one was served");
    p.pass(30 * 60);
    assert_eq!([phase(&p, 0), phase(&p, 1)], [Phase::Settling, Phase::Active], "one caller is not enough");
    p.call(1, 2, None);
    p.call(1, 3, None);
    p.pass(100);
    p.pass(60);
    assert_eq!([phase(&p, 0), phase(&p, 1)], [Phase::Settling, Phase::Passive]);
    assert!(p.engine.is_active(p.now, Duration::ZERO));
    p.probe(0, ProbeResult::Failure(Reason::Webhook));
    p.pass(1);
    assert_eq!(phase(&p, 0), Phase::Settling, "a test call that was not served settles nothing");
    p.probe(0, ProbeResult::Success);
    p.pass(1);
    assert_eq!(phase(&p, 0), Phase::Active);
    p.pass(12 * 3600);
    assert_eq!(phase(&p, 0), Phase::Active, "nobody has called");
    p.pass(12 * 3600 + 60);
    assert_eq!(phase(&p, 0), Phase::Passive, "and nobody will");
    assert!(!p.engine.is_active(p.now, Duration::ZERO));
}

#[test]
fn twilios_word_on_a_port_goes_before_its_date_and_a_caller_before_twilios_word() {
    let due = Time::from_secs(1_000_060);
    let mut p = Port::new(Mode::Auto, 3, PortAt::At(due));
    let phase = |p: &Port, ix| p.engine.channel(NumberIx(ix), Channel::Voice).phase;
    for ix in 0..3 {
        p.engine.port_is_open(p.now, NumberIx(ix), Some(due), false);
    }
    assert!(p.engine.is_active(p.now, Duration::from_secs(60)) && !p.engine.is_active(p.now, Duration::from_secs(59)));
    p.pass(120);
    assert_eq!([0, 1, 2].map(|ix| phase(&p, ix)), [Phase::Waiting; 3], "the date has passed, the port has not come");
    assert!(p.engine.is_active(p.now, Duration::ZERO), "it may come at any moment");
    p.engine.port_completed(p.now, NumberIx(0));
    p.call(1, 1, None);
    assert_eq!([0, 1, 2].map(|ix| phase(&p, ix)), [Phase::Settling, Phase::Settling, Phase::Waiting]);
    p.engine.port_is_open(p.now, NumberIx(1), Some(due), true);
    assert_eq!(phase(&p, 1), Phase::Settling, "somebody has called it at Twilio");
    // One that is said to be on Twilio already, and is not.
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    assert_eq!(phase(&p, 0), Phase::Active);
    p.engine.port_is_open(p.now, NumberIx(0), None, false);
    p.pass(1);
    assert_eq!(phase(&p, 0), Phase::Waiting);
    assert!(!p.engine.is_active(p.now, Duration::ZERO));
}

#[test]
fn calls_from_before_the_rollback_say_nothing_of_the_fallback() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    for caller in 0..4 {
        p.call(0, caller, Some(11200));
    }
    p.pass(1);
    p.engine.rolled_back(p.now, NumberIx(0), Channel::Voice);
    for caller in 10..15 {
        p.call(0, caller, Some(11200));
    }
    p.pass(1);
    assert_eq!(p.verdict(0), Verdict::Unknown);
    assert_eq!(p.decisions().len(), 1);
}

#[test]
fn what_a_catch_up_comes_to_does_not_depend_on_how_much_a_tick_settles() {
    let catch_up = |most: usize| {
        let mut p = Port::new(Mode::Auto, 5, PortAt::Done);
        p.pass(1);
        for i in 0..300 {
            // Their alerts make some failures at once; the others settle when alerts could have come.
            p.call(i % 5, u64::from(i), (i % 10 < 3).then_some(11200));
            p.now = p.now + Duration::from_millis(100);
        }
        p.now = p.now + Duration::from_secs(60);
        for source in Source::ALL {
            p.engine.polled(source, p.now);
        }
        p.events = p.engine.tick_within(p.now, most);
        let mut ticks = 1;
        while p.engine.is_behind() {
            assert_eq!(p.decisions(), [], "not before all of it is known");
            // Time goes on, but not within this tick.
            p.now = p.now + Duration::from_millis(50);
            p.engine.polled(Source::Alerts, p.now);
            let events = p.engine.tick_within(p.now, most);
            p.events.extend(events);
            ticks += 1;
        }
        assert_eq!(p.decisions(), [(Action::Rollback, 5)]);
        (ticks, p.events)
    };
    let (at_once, events) = catch_up(usize::MAX);
    assert_eq!(at_once, 1);
    for most in [1, 7, 100] {
        let (ticks, sliced) = catch_up(most);
        assert_eq!(ticks, 300usize.div_ceil(most), "{most}");
        assert_eq!(sliced, events, "{most} at once");
    }
}
