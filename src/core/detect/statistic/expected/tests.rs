//! Port days with a history, minute by minute.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::*;
use crate::model::expected::{ExpectedOf, ExpectedSince};
use crate::model::id::GroupName;
use crate::model::id::testing::ours;
use crate::model::roster::Number;
use crate::profile::{
    CarrierIx, CarrierProfile, DaySpread, GroupProfile, NumberProfile, NumberStanding, Prefixes, Week,
};

/// A Monday, 10:00.
const START: i64 = 1_796_032_800;

const UNSEEN: Duration = Duration::from_secs(60);
const BLIND_AFTER: Duration = Duration::from_secs(150);

/// Some numbers in groups of four, whose history has so many calls an hour at any time.
struct Day {
    roster: Roster,
    profile: Arc<Profile>,
    traffic: ExpectedTraffic,
    /// Minutes since the start.
    minute: i64,
    callers: u64,
    found: Vec<(i64, MissingCalls)>,
}

fn profile(roster: &Roster, an_hour: &[f64]) -> Profile {
    let history = |(ix, n): (NumberIx, &Number)| {
        let an_hour = an_hour[ix.0 as usize];
        let number = NumberProfile {
            timezone: TimeZone::UTC,
            calls: (an_hour * 1000.0) as u64,
            span: None,
            level: 1.0,
            rests_on: 300.0,
            newness: 0.0,
            spread: DaySpread(0.02),
            week: Week::from_fn(|_| an_hour / 2.0),
            carriers: vec![0.25, 0.75],
            standing: NumberStanding::Usual,
        };
        (n.id.e164, number)
    };
    let carrier = |name: &str, share| CarrierProfile { name: name.to_owned(), share };
    let usual = |name: GroupName| (name, GroupProfile { spread: DaySpread(0.01), lulls: 0, full_days: 20 });
    Profile {
        made_at: Time::from_secs(START),
        from: Time::from_secs(START - 30 * 86_400),
        to: Time::from_secs(START),
        sources: Vec::new(),
        mean_call: Duration::from_secs(60),
        carriers: vec![carrier("Alpha", 0.25), carrier("Beta", 0.75)],
        prefixes: Prefixes::default(),
        account: DaySpread(0.01),
        groups: roster.groups().map(|(_, g)| usual(g.name.clone())).collect::<BTreeMap<_, _>>(),
        numbers: roster.numbers().map(history).collect(),
    }
}

impl Day {
    fn new(an_hour: &[f64]) -> Day {
        Day::ported(an_hour, |_| PortAt::Done)
    }

    fn ported(an_hour: &[f64], port: impl Fn(usize) -> PortAt) -> Day {
        let mut roster = Roster::default();
        let groups: Vec<GroupIx> = (0..an_hour.len().div_ceil(4))
            .map(|g| roster.add_group(format!("group-{g}").parse().unwrap(), [None, None]))
            .collect();
        for i in 0..an_hour.len() {
            roster.add_number(Number {
                id: ours(&format!("+1500555{i:04}")),
                label: String::new(),
                group: groups[i / 4],
                channels: [true, false],
                timezone: TimeZone::UTC,
                port: port(i),
            });
        }
        let profile = Arc::new(profile(&roster, an_hour));
        let mut traffic = ExpectedTraffic::new(&roster, profile.clone(), UNSEEN, BLIND_AFTER);
        traffic.seen(Time::from_secs(START));
        Day { roster, profile, traffic, minute: 0, callers: 0, found: Vec::new() }
    }

    fn now(&self) -> Time {
        Time::from_secs(START + self.minute * 60)
    }

    fn call_from(&mut self, number: u32, caller: u64, carrier: Option<u16>) {
        let carrier = carrier.map(CarrierIx);
        let party = RemoteParty { hash: caller, last_two: None, is_prober: false, carrier };
        self.traffic.heard(self.now(), NumberIx(number), party);
    }

    /// A caller who has not called before, of no known carrier.
    fn call(&mut self, number: u32) {
        self.callers += 1;
        self.call_from(number, self.callers, None);
    }

    /// Lets so many minutes pass, in which these numbers ring as their history says, evenly.
    fn pass(&mut self, minutes: i64, rings: impl Fn(u32) -> bool) {
        for _ in 0..minutes {
            self.minute += 1;
            for (ix, n) in self.roster.clone().numbers() {
                let a_minute = self.profile.numbers[&n.id.e164].week.rates()[0] / 30.0;
                let calls = |minute: i64| (minute as f64 * a_minute + f64::from(ix.0) / 7.0).floor();
                for _ in 0..(calls(self.minute) - calls(self.minute - 1)) as u32 {
                    if rings(ix.0) {
                        self.call(ix.0);
                    }
                }
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let minute = self.minute;
        self.found.extend(self.traffic.look(self.now()).into_iter().map(|m| (minute, m)));
    }

    /// Whom it has been told of, and when.
    fn told(&self) -> Vec<(i64, ExpectedOf, Vec<u32>)> {
        let numbers = |m: &MissingCalls| m.numbers.iter().map(|n| n.0).collect();
        self.found.iter().map(|(at, m)| (*at, m.expected.of.clone(), numbers(m))).collect()
    }
}

/// Minutes until chance would not do so once in the budget, if no day differed from another: sooner nothing can be
/// known.
fn bound(an_hour: f64, days: f64, least: f64) -> i64 {
    ((days * (an_hour * 24.0).max(least)).ln() / an_hour * 60.0) as i64
}

#[test]
fn one_silent_number_beside_others_that_ring_is_told_once_it_is_due_and_not_before() {
    for an_hour in [4.0, 12.0, 40.0] {
        let mut day = Day::new(&[an_hour; 12]);
        day.pass(12 * 60, |n| n != 5);
        let told = day.told();
        assert_eq!(told.len(), 1, "{told:?}");
        let (at, of, numbers) = &told[0];
        assert_eq!((of, numbers.as_slice()), (&ExpectedOf::Number, &[5][..]));
        let bound = bound(an_hour, 1000.0, 10.0);
        assert!((bound..bound * 2 + 10).contains(at), "{an_hour} an hour: at {at}, bound {bound}");
        let expected = &day.found[0].1.expected;
        assert_eq!((expected.from, expected.since), (ExpectedSince::Watch, Time::from_secs(START)));
        assert!(expected.least > 3 && expected.most > expected.least, "{expected:?}");
        assert!(day.traffic.is_silent(NumberIx(5)) && !day.traffic.is_silent(NumberIx(4)));
    }
}

#[test]
fn numbers_that_ring_as_their_history_says_are_never_told_of() {
    let mut day = Day::new(&[0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
    day.pass(30 * 60, |_| true);
    assert_eq!(day.told(), []);
}

#[test]
fn it_rings_again_once_five_callers_have_come_and_may_be_told_of_once_more() {
    let mut day = Day::new(&[12.0; 8]);
    day.pass(200, |n| n != 2);
    assert_eq!(day.told().len(), 1);
    day.call_from(2, 7_000_000, None);
    assert!(!day.traffic.is_silent(NumberIx(2)), "somebody came");
    day.pass(200, |n| n != 2);
    assert_eq!(day.told().len(), 1, "one caller may be somebody who tries");
    for _ in 0..5 {
        day.call(2);
    }
    // So few came that few more are expected.
    day.pass(1200, |n| n != 2);
    let told = day.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(day.found[1].1.expected.from, ExpectedSince::LastCall);
}

#[test]
fn redials_of_one_caller_are_one_call() {
    let mut day = Day::new(&[12.0; 8]);
    day.pass(300, |n| n != 0);
    for minute in 0..50 {
        day.minute += minute % 2;
        day.call_from(0, 9_000_000, None);
    }
    assert_eq!(day.traffic.numbers[0].stream.had, 1);
    day.minute += 60;
    day.call_from(0, 9_000_000, None);
    assert_eq!(day.traffic.numbers[0].stream.had, 2, "after an hour it is another matter");
}

#[test]
fn a_silent_group_is_told_of_as_one_and_none_of_its_numbers_alone() {
    let mut day = Day::new(&[6.0; 16]);
    day.pass(300, |n| !(4..8).contains(&n));
    assert_eq!(day.told().len(), 1, "{:?}", day.told());
    let (at, of, numbers) = &day.told()[0];
    assert_eq!((of, numbers.as_slice()), (&ExpectedOf::Group, &[4, 5, 6, 7][..]));
    let bound = bound(24.0, 3000.0, 20.0);
    assert!((bound..bound * 2 + 10).contains(at), "at {at}, bound {bound}");
    assert!(day.traffic.is_group_silent(GroupIx(1)) && !day.traffic.is_group_silent(GroupIx(0)));
}

#[test]
fn all_silent_is_told_of_the_account_once_the_log_shows_a_sign_of_life_or_after_three_quarters_of_an_hour() {
    let told_after = |is_alive: bool| {
        let mut day = Day::new(&[12.0; 16]);
        day.pass(120, |_| true);
        for _ in 0..90 {
            day.pass(1, |_| false);
            if is_alive {
                day.traffic.alive(day.now());
            }
        }
        let told = day.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0].1, told[0].2.len()), (&ExpectedOf::Account, 16));
        told[0].0 - 120
    };
    let (alive, unsure) = (told_after(true), told_after(false));
    assert!((5..20).contains(&alive), "{alive}");
    assert!((45..49).contains(&unsure), "{unsure}");
}

#[test]
fn what_could_not_be_read_was_not_due() {
    let mut day = Day::new(&[12.0; 12]);
    // Nobody looks for three hours; then the log is read again, and everybody rings on.
    day.pass(60, |_| true);
    day.minute += 180;
    day.look();
    day.pass(120, |_| true);
    assert_eq!(day.told(), []);
    // A number that was silent before and after is told as late as if those hours had not been.
    let told_at = |gap: i64| {
        let mut day = Day::new(&[12.0; 12]);
        day.pass(20, |n| n != 3);
        day.minute += gap;
        day.look();
        day.pass(200, |n| n != 3);
        day.told()[0].0 - gap
    };
    let without = told_at(0);
    assert!((without..=without + 4).contains(&told_at(180)), "{} and {without}", told_at(180));
}

#[test]
fn callers_of_one_carrier_who_do_not_come_are_told_of_with_its_name() {
    let mut day = Day::new(&[24.0; 8]);
    // Only Beta's callers get through.
    let until = day.minute + 300;
    while day.minute < until && day.found.is_empty() {
        day.minute += 1;
        for n in 0..8 {
            day.callers += 1;
            if !(day.callers + u64::from(n)).is_multiple_of(4) {
                day.call_from(n, day.callers, Some(1));
            }
        }
        day.look();
    }
    let told = day.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1, ExpectedOf::Carrier { name: "Alpha".to_owned() });
    assert_eq!(told[0].2.len(), 8);
    assert!(!day.traffic.is_silent(NumberIx(0)), "it rings");
}

#[test]
fn callers_of_whom_nobody_knows_the_carrier_say_nothing_of_any() {
    let mut day = Day::new(&[24.0; 8]);
    day.pass(600, |_| true);
    assert_eq!(day.told(), []);
}

#[test]
fn a_restart_that_takes_in_what_was_seen_comes_to_the_same() {
    let rings = |n: u32| n != 1;
    let mut through = Day::new(&[8.0; 12]);
    through.pass(400, rings);
    let told = through.told();
    assert_eq!(told.len(), 1);
    let restarted_after = |minutes: i64| {
        let mut day = Day::new(&[8.0; 12]);
        day.pass(minutes, rings);
        let before = day.told();
        // The agent after it takes in the calls, and when the log had been read; nobody looks meanwhile.
        let mut again = Day::new(&[8.0; 12]);
        for _ in 0..minutes {
            again.minute += 1;
            let calls: Vec<u32> = (0..12).filter(|n| rings(*n)).collect();
            for n in calls {
                let a_minute = 4.0 / 30.0;
                let due = |minute: i64| (minute as f64 * a_minute + f64::from(n) / 7.0).floor();
                for _ in 0..(due(again.minute) - due(again.minute - 1)) as u32 {
                    again.call(n);
                }
            }
            again.traffic.seen(again.now());
        }
        again.traffic.forget_news();
        again.pass(400 - minutes, rings);
        [before, again.told()].concat()
    };
    for minutes in [30, told[0].0 - 1, told[0].0 + 1, 300] {
        assert_eq!(restarted_after(minutes), told, "after {minutes} minutes");
    }
}

#[test]
fn nothing_is_due_before_the_port_and_from_then_on_it_is() {
    let at = Time::from_secs(START + 120 * 60);
    let port = move |n| if n == 0 { PortAt::At(at) } else { PortAt::Done };
    let mut day = Day::ported(&[12.0; 8], port);
    day.pass(120, |n| n != 0);
    assert_eq!(day.told(), []);
    day.pass(200, |n| n != 0);
    assert_eq!(day.told().len(), 1);
    assert_eq!((day.found[0].1.expected.from, day.found[0].1.expected.since), (ExpectedSince::Port, at));
    // Of whose port nobody knows the date, nothing is missed before its first caller.
    let mut day = Day::ported(&[12.0; 8], |n| if n == 0 { PortAt::Unknown } else { PortAt::Done });
    day.pass(600, |n| n != 0);
    assert_eq!(day.told(), []);
    day.call(0);
    day.pass(200, |n| n != 0);
    assert_eq!(day.told().len(), 1);
}

#[test]
fn a_number_that_nobody_asks_about_is_not_told_of() {
    let mut day = Day::new(&[12.0; 8]);
    day.traffic.ignore(NumberIx(6), true);
    day.pass(300, |n| n != 6);
    assert_eq!(day.told(), []);
    day.traffic.ignore(NumberIx(6), false);
    day.pass(2, |n| n != 6);
    assert_eq!(day.told().len(), 1);
}

#[test]
fn a_number_without_a_history_is_left_to_the_day() {
    let day = Day::new(&[0.0, 12.0]);
    assert_eq!([0, 1].map(|n| day.traffic.has(NumberIx(n))), [false, true]);
}

#[test]
fn on_a_public_holiday_nobody_is_told_of_a_lull() {
    let mut day = Day::new(&[12.0; 12]);
    // Christmas Day of 2026.
    day.minute = (1_798_192_800 - START) / 60;
    day.pass(200, |n| n != 3);
    assert_eq!(day.told(), []);
}
