//! What the ledger holds, for whom, and for how long.

mod messages;

use super::*;
use crate::detect::observation::Level;
use crate::model::bounds;
use crate::model::id::CallSid;
use crate::model::id::testing::{ACCOUNT, ours};
use crate::model::roster::{Number, PortAt};

fn roster() -> Roster {
    let mut roster = Roster::default();
    let group = roster.add_group("support".parse().unwrap(), [None, None]);
    let number = Number {
        id: ours("+15005550100"),
        label: String::new(),
        timezone: jiff::tz::TimeZone::UTC,
        group,
        channels: [true; 2],
        port: PortAt::Unknown,
    };
    roster.add_number(number).unwrap();
    roster
}

fn call(status: CallStatus, is_prober: bool) -> Call {
    let caller = RemoteParty { hash: 1, last_two: None, is_prober, carrier: None };
    Call {
        sid: CallSid::from_u128(1),
        leg: Leg::Inbound { number: "+15005550100".parse().unwrap(), caller },
        status,
        started_at: Time::EPOCH,
        ended_at: None,
        duration: Some(12),
        error: None,
        forwarded_from: None,
    }
}

#[test]
fn our_own_test_call_is_no_first_caller() {
    let roster = roster();
    let routes = RoutingHistory::new(&roster);
    let cx = LedgerContext { roster: &roster, routes: &routes };
    for is_prober in [false, true] {
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let seen = ledger.call(Time::EPOCH, ACCOUNT, &call(CallStatus::Ringing, is_prober), cx);
        assert_eq!(seen.sighting.is_none(), is_prober);
    }
}

#[test]
fn a_call_that_lasts_for_hours_has_one_outcome() {
    let roster = roster();
    let routes = RoutingHistory::new(&roster);
    let cx = LedgerContext { roster: &roster, routes: &routes };
    let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
    let hours = |h: u64| Time::EPOCH + Duration::from_secs(h * 3600);
    ledger.call(hours(0), ACCOUNT, &call(CallStatus::InProgress, false), cx);
    // Somebody answered, so the caller was served: settled while the call is still up.
    let leg = Call {
        sid: CallSid::from_u128(2),
        leg: Leg::Child { parent: CallSid::from_u128(1) },
        ..call(CallStatus::Completed, false)
    };
    assert!(ledger.call(hours(1), ACCOUNT, &leg, cx).change.is_some());
    ledger.prune(hours(7));
    assert_eq!(ledger.call(hours(8), ACCOUNT, &call(CallStatus::Completed, false), cx), LedgerEffect::default());
    assert_eq!(ledger.settle(hours(9), ReadUntil::all(hours(9)), usize::MAX, cx), []);
    ledger.prune(hours(9));
    assert!(ledger.is_empty());

    // One whose end never comes is given up a day later.
    ledger.call(hours(0), ACCOUNT, &call(CallStatus::InProgress, false), cx);
    ledger.prune(hours(25));
    assert!(ledger.is_empty() && ledger.open(NumberIx(0), Channel::Voice) == 0);
}

#[test]
fn a_call_is_of_the_number_of_its_own_account() {
    let mut roster = roster();
    let other = AccountSid::from_u128(0x99);
    let number = roster.number(NumberIx(0)).clone();
    roster.add_number(Number { id: NumberId::new(other, number.id.e164), ..number }).unwrap();
    let routes = RoutingHistory::new(&roster);
    let cx = LedgerContext { roster: &roster, routes: &routes };
    let of = |account| {
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let seen = ledger.call(Time::EPOCH, account, &call(CallStatus::Ringing, false), cx);
        seen.sighting.map(|s| s.number)
    };
    assert_eq!((of(ACCOUNT), of(other)), (Some(NumberIx(0)), Some(NumberIx(1))));
    assert_eq!(of(AccountSid::from_u128(1)), None);
}

/// An error of a leg that was dialled, a whisper's perhaps, is logged with the leg's SID. Its short talk is then the
/// announcement; a long one is a talk, and the error a warning. In whatever order they are seen.
#[test]
fn an_error_of_a_leg_is_its_calls() {
    let roster = roster();
    let routes = RoutingHistory::new(&roster);
    let cx = LedgerContext { roster: &roster, routes: &routes };
    let leg = |seconds: u32| Call {
        sid: CallSid::from_u128(2),
        leg: Leg::Child { parent: CallSid::from_u128(1) },
        duration: Some(seconds),
        ..call(CallStatus::Completed, false)
    };
    let alert = |code: u32| Alert {
        sid: crate::model::id::AlertSid::from_u128(9),
        number: None,
        resource: Some(Resource::Call(CallSid::from_u128(2))),
        code: Code(code),
        level: Level::Error,
        url: None,
        http_status: None,
        at: Time::EPOCH,
    };
    let at = Time::EPOCH + Duration::from_secs(60);
    let later = at + Duration::from_secs(600);
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (seconds, code) in [(3, 11200), (3, 11100), (200, 11200)] {
        for order in orders {
            let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
            for step in order {
                match step {
                    0 => drop(ledger.call(at, ACCOUNT, &call(CallStatus::Completed, false), cx)),
                    1 => drop(ledger.call(at, ACCOUNT, &leg(seconds), cx)),
                    _ => drop(ledger.alert(at, &alert(code), cx)),
                }
            }
            // Seen again, it is the same.
            ledger.call(at, ACCOUNT, &leg(seconds), cx);
            ledger.settle(later, ReadUntil::all(later), usize::MAX, cx);
            let outcome = ledger.entries[0][&1].outcome;
            let is_warned = !ledger.take_warnings().is_empty();
            let is_served = outcome == Some(Outcome::Ok);
            assert_eq!(
                (is_served, is_warned),
                (seconds > 25, seconds > 25),
                "{seconds} s, {code}, {order:?}: {outcome:?}"
            );
        }
    }
}

/// Whoever calls a number in fax mode hears a fax machine: the call talks, and nobody was served.
#[test]
fn a_call_that_a_fax_machine_takes_is_not_served() {
    let roster = roster();
    for (fax, want) in [(false, Outcome::Ok), (true, Outcome::Failed(Reason::Unexplained))] {
        let mut routes = RoutingHistory::new(&roster);
        let record = crate::routing::record::tests::record();
        let record = crate::routing::record::NumberRecord { fax, ..record };
        routes.learn(&roster, NumberIx(0), &record);
        let cx = LedgerContext { roster: &roster, routes: &routes };
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let call = Call { duration: Some(20), ..call(CallStatus::Completed, false) };
        let at_once = ledger.call(Time::EPOCH, ACCOUNT, &call, cx).change;
        let later = Time::EPOCH + Duration::from_secs(120);
        let settled = ledger.settle(later, ReadUntil::all(later), usize::MAX, cx);
        assert_eq!(at_once.iter().chain(&settled).map(|c| c.is).collect::<Vec<_>>(), [want], "{fax}");
    }
}

/// An agent that was away reads what is hours old: of that the failures come not first, but in their turn.
#[test]
fn what_is_history_is_judged_in_the_order_in_which_it_happened() {
    let roster = roster();
    let mut routes = RoutingHistory::new(&roster);
    routes.learn(&roster, NumberIx(0), &crate::routing::record::tests::record());
    let cx = LedgerContext { roster: &roster, routes: &routes };
    let hour = Duration::from_secs(3600);
    let outcomes = |away: Duration| {
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        let seen = Time::EPOCH + hour + away;
        let mut told = Vec::new();
        for n in 1..=3_u32 {
            let started_at = Time::EPOCH + hour + Duration::from_secs(u64::from(n));
            let sid = CallSid::from_u128(u128::from(n));
            let whole = Call { sid, started_at, duration: Some(40), ..call(CallStatus::Completed, false) };
            told.extend(ledger.call(seen, ACCOUNT, &whole, cx).change);
            // The second's forward failed, which is plain at once.
            if n == 2 {
                let leg = Leg::Child { parent: sid };
                let leg = Call { sid: CallSid::from_u128(9), leg, started_at, ..call(CallStatus::Failed, false) };
                told.extend(ledger.call(seen, ACCOUNT, &leg, cx).change);
            }
        }
        let later = seen + Duration::from_secs(60);
        let settled = ledger.settle(later, ReadUntil::all(later), usize::MAX, cx);
        told.into_iter().chain(settled).map(|c| c.entry).collect::<Vec<_>>()
    };
    let calls = |order: [u128; 3]| order.map(|n| Resource::Call(CallSid::from_u128(n))).to_vec();
    assert_eq!(outcomes(Duration::from_secs(30)), calls([2, 1, 3]), "a failure is told at once");
    assert_eq!(outcomes(hour), calls([1, 2, 3]));
}

#[test]
fn a_call_in_a_state_that_nobody_knows_goes_on_and_is_over_once_it_has_an_end() {
    let roster = roster();
    let mut routes = RoutingHistory::new(&roster);
    routes.learn(&roster, NumberIx(0), &crate::routing::record::tests::record());
    let cx = LedgerContext { roster: &roster, routes: &routes };
    let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
    let seconds = |s: u64| Time::EPOCH + Duration::from_secs(s);
    let failed = Call { error: Some(Code(11200)), ..call(CallStatus::Unknown, false) };
    for status in [CallStatus::Ringing, CallStatus::Unknown] {
        ledger.call(seconds(1), ACCOUNT, &Call { status, ..failed }, cx);
    }
    let settle = |ledger: &mut Ledger, s| {
        let read = ReadUntil::all(seconds(s));
        ledger.settle(seconds(s), read, usize::MAX, cx).iter().map(|c| c.is).collect::<Vec<_>>()
    };
    assert_eq!(settle(&mut ledger, 100), [], "it may go on");
    ledger.call(seconds(100), ACCOUNT, &Call { ended_at: Some(seconds(99)), ..failed }, cx);
    assert_eq!(settle(&mut ledger, 144), []);
    assert_eq!(settle(&mut ledger, 145), [Outcome::Failed(Reason::Unexplained)]);
}

/// What names a call that nobody has seen is kept for it, up to a bound: of more the oldest go, one for one.
#[test]
fn of_too_many_alerts_without_a_call_the_oldest_are_forgotten() {
    let roster = roster();
    let mut routes = RoutingHistory::new(&roster);
    routes.learn(&roster, NumberIx(0), &crate::routing::record::tests::record());
    let cx = LedgerContext { roster: &roster, routes: &routes };
    let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
    // Each has a name and an alert.
    let most = (bounds::ORPHANS / 2) as u128;
    let beyond = 10;
    for i in 1..=most + beyond {
        let alert = Alert {
            sid: crate::model::id::AlertSid::from_u128(i),
            number: None,
            resource: Some(Resource::Call(CallSid::from_u128(i))),
            code: Code(11200),
            level: Level::Error,
            url: None,
            http_status: None,
            at: Time::EPOCH,
        };
        ledger.alert(Time::EPOCH, &alert, cx);
    }
    // And some are named by a leg alone.
    for i in 0..beyond {
        let (sid, parent) = (CallSid::from_u128(1_000_000 + i), CallSid::from_u128(2_000_000 + i));
        ledger.call(
            Time::EPOCH,
            ACCOUNT,
            &Call { sid, leg: Leg::Child { parent }, ..call(CallStatus::Failed, false) },
            cx,
        );
    }
    let is_kept = |ledger: &mut Ledger, i| {
        let seen = Call { sid: CallSid::from_u128(i), ..call(CallStatus::Ringing, false) };
        ledger.call(Time::EPOCH, ACCOUNT, &seen, cx);
        ledger.take_attached().count() == 1
    };
    assert!(!is_kept(&mut ledger, 1) && !is_kept(&mut ledger, beyond));
    assert!(is_kept(&mut ledger, 2 * beyond) && is_kept(&mut ledger, most) && is_kept(&mut ledger, most + beyond));
}

/// Twilio warns of a dial that went wrong. Where the next leg made it good, nobody need hear of it.
#[test]
fn a_warning_beside_service_is_told_where_a_leg_failed_or_none_was_dialled() {
    let roster = roster();
    let mut routes = RoutingHistory::new(&roster);
    routes.learn(&roster, NumberIx(0), &crate::routing::record::tests::record());
    let cx = LedgerContext { roster: &roster, routes: &routes };
    let later = Time::EPOCH + Duration::from_secs(120);
    let legs: [(&[CallStatus], bool); 4] = [
        (&[CallStatus::Completed], false),
        (&[CallStatus::Busy, CallStatus::Completed], false),
        (&[CallStatus::Failed, CallStatus::Completed], true),
        (&[], true),
    ];
    for (legs, is_told) in legs {
        let mut ledger = Ledger::new(&roster, Duration::from_secs(45));
        for (status, i) in legs.iter().zip(2..) {
            let leg = Leg::Child { parent: CallSid::from_u128(1) };
            let leg = Call { sid: CallSid::from_u128(i), leg, duration: Some(60), ..call(*status, false) };
            ledger.call(Time::EPOCH, ACCOUNT, &leg, cx);
        }
        let alert = Alert {
            sid: crate::model::id::AlertSid::from_u128(9),
            number: None,
            resource: Some(Resource::Call(CallSid::from_u128(1))),
            code: Code(13224),
            level: Level::Warning,
            url: None,
            http_status: None,
            at: Time::EPOCH,
        };
        ledger.alert(Time::EPOCH, &alert, cx);
        ledger.call(Time::EPOCH, ACCOUNT, &Call { duration: Some(60), ..call(CallStatus::Completed, false) }, cx);
        ledger.settle(later, ReadUntil::all(later), usize::MAX, cx);
        let told: Vec<Code> = ledger.take_warnings().iter().map(|w| w.code).collect();
        assert_eq!(ledger.entries[0][&1].outcome, Some(Outcome::Ok), "{legs:?}");
        assert_eq!(told, if is_told { vec![Code(13224)] } else { vec![] }, "{legs:?}");
    }
}
