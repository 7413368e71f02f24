//! How closely a number is watched, and what test calls and Twilio's debugger say besides.

use super::*;
use crate::model::id::NumberSid;

/// Twilio's debugger says that the number with this SID is ported away.
fn ported_out(p: &mut Port, account: AccountSid, sid: NumberSid) -> Vec<NumberIx> {
    p.calls += 1;
    let alert = Alert {
        sid: AlertSid::from_u128(p.calls),
        number: Some(sid),
        resource: None,
        code: Code::PORTED_OUT,
        level: Level::Warning,
        url: None,
        http_status: None,
        at: p.now,
    };
    p.engine.observe(p.now, account, &Observation::Alert(alert));
    let of = |e| {
        if let EngineEvent::PortedOut { number } = e { Some(number) } else { None }
    };
    p.engine.take_events().into_iter().filter_map(of).collect()
}

#[test]
fn a_number_that_is_ported_away_is_told_of_by_its_sid_and_account() {
    let mut p = Port::new(Mode::Auto, 2, PortAt::Done);
    let sids = [0, 1].map(NumberSid::from_u128);
    for (i, sid) in sids.into_iter().enumerate() {
        p.read(i as u32, &NumberRecord { sid, ..record::tests::record() });
    }
    assert_eq!(p.engine.record(NumberIx(1)).map(|r| r.sid), Some(sids[1]));
    assert_eq!(ported_out(&mut p, ACCOUNT, sids[1]), [NumberIx(1)]);
    assert_eq!(ported_out(&mut p, ACCOUNT, NumberSid::from_u128(9)), []);
    assert_eq!(ported_out(&mut p, AccountSid::from_u128(9), sids[1]), [], "another account's");
}

#[test]
fn a_call_waits_as_long_for_its_alerts_as_test_calls_have_measured() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Done);
    p.pass(1);
    let probe = Probe {
        number: number(0),
        channel: Channel::Voice,
        started_at: p.now,
        origin: 1,
        entry: None,
        result: ProbeResult::Success,
        grace: Some(90),
        unseen: None,
    };
    p.engine.observe(p.now, ACCOUNT, &Observation::Probe(probe));
    let call = p.call(0, 1, None);
    p.pass(89);
    assert_eq!(p.outcomes(call), []);
    p.pass(2);
    assert_eq!(p.outcomes(call), [Outcome::Ok]);
}

impl Port {
    /// So much time passes at once, with every source read at its end.
    fn skip(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds - 1);
        self.pass(1);
    }

    fn phase(&self, i: u32) -> Phase {
        self.engine.channel(NumberIx(i), Channel::Voice).phase
    }
}

#[test]
fn silence_waits_as_long_as_a_call_may_go_unseen() {
    let silent_after = |unseen: Option<u16>| {
        let mut p = Port::new(Mode::Auto, 4, PortAt::Done);
        if let Some(seconds) = unseen {
            let (number, channel, result) = (number(1), Channel::Voice, ProbeResult::Success);
            let (started_at, unseen) = (p.now, Some(seconds));
            let probe = Probe { number, channel, started_at, origin: 1, entry: None, result, grace: None, unseen };
            p.engine.observe(p.now, ACCOUNT, &Observation::Probe(probe));
        }
        let is_told = |p: &Port| p.decisions().contains(&(Action::Page { reason: PageReason::Silence }, 1));
        for i in 0..2000u32 {
            // The first number's callers stop.
            if i % 4 > 0 || i < 240 {
                p.call(i % 4, u64::from(i), None);
            }
            p.skip(15);
            if is_told(&p) {
                return i * 15;
            }
        }
        unreachable!("it is silent at last")
    };
    let at_once = silent_after(Some(0));
    assert!(silent_after(None) < at_once + 120, "a minute, unmeasured");
    assert!((at_once + 570..=at_once + 630).contains(&silent_after(Some(600))));
}

#[test]
fn a_number_is_watched_closely_for_a_day_from_its_port_on_and_not_from_the_agents_start_on() {
    let days = 24 * 3600;
    let mut p = Port::new(Mode::Auto, 1, PortAt::At(Time::from_secs(1_000_000 + 2 * 24 * 3600)));
    p.skip(2 * days + 1);
    assert_eq!(p.phase(0), Phase::Settling);
    p.probe(0, ProbeResult::Success);
    p.skip(3600);
    p.skip(3600);
    assert_eq!(p.phase(0), Phase::Active, "nobody has called");
    p.skip(days);
    assert_eq!(p.phase(0), Phase::Passive);
}

#[test]
fn a_caller_who_comes_before_the_date_does_not_make_the_date_the_end_of_settling() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::At(Time::from_secs(1_000_060)));
    p.pass(30);
    p.call(0, 1, Some(11200));
    assert_eq!(p.phase(0), Phase::Settling);
    p.pass(60);
    assert_eq!(p.phase(0), Phase::Settling, "nobody was served yet");
}

#[test]
fn a_port_that_is_completed_is_awaited_no_more() {
    let mut p = Port::new(Mode::Auto, 2, PortAt::Done);
    for i in 0..2 {
        for caller in 0..3 {
            p.call(i, caller, None);
        }
    }
    p.skip(60);
    p.skip(3600);
    assert_eq!([p.phase(0), p.phase(1)], [Phase::Passive; 2]);
    let soon = Duration::from_secs(600);
    for i in 0..2 {
        p.engine.port_is_open(p.now, NumberIx(i), Some(p.now + soon), true);
    }
    assert!(p.engine.is_active(p.now, soon));
    p.engine.port_completed(p.now, NumberIx(0));
    assert!(p.engine.is_active(p.now, soon), "the other's");
    p.engine.port_completed(p.now, NumberIx(1));
    assert!(!p.engine.is_active(p.now, soon));
    p.engine.port_is_open(p.now, NumberIx(0), Some(p.now + soon), true);
    p.engine.port_completed(p.now, NumberIx(0));
    assert!(!p.engine.is_active(p.now, soon));
}

#[test]
fn a_port_that_is_overdue_may_come_for_six_hours() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::Unknown);
    p.engine.port_is_open(p.now, NumberIx(0), Some(p.now + Duration::from_secs(60)), false);
    p.skip(60 + 6 * 3600);
    assert!(p.engine.is_active(p.now, Duration::ZERO));
    p.skip(1);
    assert!(!p.engine.is_active(p.now, Duration::ZERO));
}

#[test]
fn a_number_that_nobody_calls_is_settled_when_its_port_has_had_its_time() {
    let mut p = Port::new(Mode::Auto, 1, PortAt::At(Time::from_secs(1_000_060)));
    p.skip(60);
    assert_eq!(p.phase(0), Phase::Settling);
    p.skip(crate::model::facts::PORT_SETTLES.as_secs() - 1);
    assert_eq!(p.phase(0), Phase::Settling);
    p.skip(1);
    assert_eq!(p.phase(0), Phase::Active);
}

#[test]
fn what_was_seen_of_a_group_is_summed_once_none_of_it_is_watched_closely() {
    let mut p = Port::new(Mode::Auto, 3, PortAt::Done);
    p.pass(1);
    for (i, caller) in [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (1, 4)] {
        p.call(i, caller, (caller == 4).then_some(11200));
    }
    p.skip(60);
    p.skip(3600);
    assert_eq!([0, 1, 2].map(|i| p.phase(i)), [Phase::Passive, Phase::Passive, Phase::Active]);
    assert_eq!(p.engine.seen_of(GroupIx(0), Channel::Voice), None, "the third has had no caller");
    p.skip(24 * 3600);
    let seen = p.engine.seen_of(GroupIx(0), Channel::Voice).expect("all are passive");
    assert_eq!([seen.waiting, seen.passive, seen.quiet, seen.served, seen.failed], [0, 3, 1, 6, 1]);
}

/// One number's callers fail for what no swap cures, and the other's are served: it is that number's trouble.
#[test]
fn a_number_whose_callers_fail_takes_its_groups_health_and_no_more() {
    let mut p = Port::new(Mode::Auto, 2, PortAt::Done);
    p.pass(1);
    for caller in 0..6 {
        p.call(1, caller, None);
        p.pass(30);
    }
    p.pass(60);
    let group = |p: &Port| p.engine.group_verdict(GroupIx(0), Channel::Voice).0;
    assert_eq!((p.verdict(1), group(&p)), (Verdict::Healthy, Verdict::Healthy));
    for caller in 100..106 {
        p.call(0, caller, Some(10001));
        p.pass(30);
    }
    p.pass(60);
    assert!(matches!(p.verdict(0), Verdict::Suspect | Verdict::Failing), "{:?}", p.verdict(0));
    assert_eq!(group(&p), Verdict::Unknown);
}
