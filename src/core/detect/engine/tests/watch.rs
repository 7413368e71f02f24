//! How closely a number is watched, and what test calls and Twilio's debugger say besides.

use super::*;
use crate::core::model::id::NumberSid;

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
