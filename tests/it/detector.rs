//! What holds for every log: properties of the detector, through the doors that `replay` and the
//! agent use, over random logs. The seed is fixed, so a failure comes again.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use ringback::caller::CallerKey;
use ringback::core::detect::engine::{Engine, EngineEvent, EngineSettings};
use ringback::core::model::counted::Counted;
use ringback::core::model::decision::{Action, Mode};
use ringback::core::model::id::{Channel, NumberId};
use ringback::core::model::roster::{Number, NumberIx, PortAt, Roster, UNNAMED_ACCOUNT};
use ringback::core::model::source::Source;
use ringback::core::model::time::Time;
use ringback::core::model::verdict::{Score, Verdict};
use ringback::replay::{RecordedLine as Seen, parse, play};
use ringback::twilio::wire::{NumberSids, Reader};

const NUMBERS: u32 = 4;
const START: i64 = 1_795_000_000;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
}

/// What befell one caller.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Served,
    /// The webhook failed.
    Failed,
    /// The account is suspended: no swap cures it.
    NotCurable,
    /// They hung up while it rang.
    HungUp,
}

#[derive(Clone, Copy, Debug)]
struct Caller {
    /// Seconds after the last caller.
    after: u32,
    number: u32,
    /// Callers come again.
    who: u32,
    fate: Fate,
    /// Seconds.
    lasts: u32,
    /// Milliseconds from the end until the call is in the log, and from there until its alert is.
    lag: u32,
    alert_lag: u32,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Served), 3 => Just(Fate::Failed), 1 => Just(Fate::NotCurable)]
}

fn callers() -> impl Strategy<Value = Vec<Caller>> {
    let caller = (1..120u32, 0..NUMBERS, 0..60u32, fate(), 3..200u32, 1000..30_000u32, 0..30_000u32);
    prop::collection::vec(
        caller.prop_map(|(after, number, who, fate, lasts, lag, alert_lag)| Caller {
            after,
            number,
            who,
            fate,
            lasts,
            lag,
            alert_lag,
        }),
        1..120,
    )
}

/// One line of a log: when it was seen, in milliseconds, and its text without that.
type Line = (i64, String);

struct Names {
    number: fn(u32) -> String,
    caller: fn(u32) -> String,
}

const PLAIN: Names = Names { number: |i| format!("+1500555{i:04}"), caller: |i| format!("+1212555{i:04}") };
/// The order of numbers and callers stays, or ties between them would be broken otherwise.
const RENAMED: Names = Names { number: |i| format!("+4431577{i:05}"), caller: |i| format!("+336{:08}", i * 7919) };

fn log(callers: &[Caller], names: &Names) -> Vec<Line> {
    let mut lines: Vec<Line> = (0..NUMBERS)
        .map(|i| {
            let number = (names.number)(i);
            let sid = 0x1_0000 + i;
            let text = format!(
                r#""kind":"number","resource":{{"sid":"PN{sid:032x}","phone_number":"{number}","voice_url":"https://app.example.com/voice"}}"#
            );
            (START * 1000, text)
        })
        .collect();
    let mut t = START;
    for (i, c) in callers.iter().enumerate() {
        t += i64::from(c.after);
        let (from, to) = ((names.caller)(c.who), (names.number)(c.number));
        let lasts = if c.fate == Fate::Served { c.lasts } else { c.lasts.min(20) };
        let end = t + i64::from(lasts);
        let seen = end * 1000 + i64::from(c.lag);
        let date = |s: i64| Time::from_secs(s).to_string();
        let status = if c.fate == Fate::HungUp { "canceled" } else { "completed" };
        lines.push((
            seen,
            format!(
                r#""kind":"call","resource":{{"sid":"CA{i:032x}","to":"{to}","from":"{from}","direction":"inbound","status":"{status}","start_time":"{}","end_time":"{}","duration":"{lasts}"}}"#,
                date(t),
                date(end)
            ),
        ));
        let code = match c.fate {
            Fate::Served | Fate::HungUp => continue,
            Fate::Failed => 11200,
            Fate::NotCurable => 10001,
        };
        lines.push((
            seen + i64::from(c.alert_lag),
            format!(
                r#""kind":"alert","resource":{{"sid":"NO{i:032x}","resource_sid":"CA{i:032x}","error_code":"{code}","log_level":"error","request_url":"https://app.example.com/voice","date_created":"{}"}}"#,
                date(t)
            ),
        ));
    }
    lines.sort_by_key(|(seen, _)| *seen);
    lines
}

fn roster(names: &Names) -> Roster {
    let mut roster = Roster::default();
    let fallback = "https://handler.twilio.com/twiml/EH00000000000000000000000000000001";
    let group = roster.add_group("support".parse().unwrap(), [Some(fallback.into()), None]);
    for i in 0..NUMBERS {
        let number = Number {
            id: NumberId::new(UNNAMED_ACCOUNT, (names.number)(i).parse().unwrap()),
            label: String::new(),
            timezone: jiff::tz::TimeZone::UTC,
            group,
            channels: [true, false],
            port: PortAt::Done,
        };
        roster.add_number(number).unwrap();
    }
    roster
}

/// What was decided: when, for which numbers by position, and for a rollback on what statistic.
type Decided = Vec<(Time, Vec<NumberIx>, Option<Score>)>;

fn decide(lines: &[Line], names: &Names) -> Decided {
    let mut text = String::new();
    for (seen, rest) in lines {
        text += &format!("{{\"seen_at\":\"{}\",{rest}}}\n", Time::from_millis(*seen));
    }
    let roster = roster(names);
    let mut decided = Vec::new();
    let summary = play(
        Cursor::new(text),
        UNNAMED_ACCOUNT,
        &roster,
        &EngineSettings::default(),
        &mut |remark| panic!("{remark:?}"),
        &mut |_| {},
        &mut |d| {
            let numbers = d.numbers.iter().map(|n| roster.find(*n).unwrap()).collect();
            let score = d.evidence.score.filter(|_| d.action == Action::Rollback);
            decided.push((d.at, numbers, score));
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(summary.lines, lines.len() as u64);
    decided
}

/// When each number was first rolled back.
fn rollbacks(decided: &[(Time, Vec<NumberIx>, Option<Score>)]) -> BTreeMap<NumberIx, Time> {
    let mut first = BTreeMap::new();
    for (at, numbers, _) in decided.iter().filter(|(_, _, score)| score.is_some()) {
        for n in numbers {
            first.entry(*n).or_insert(*at);
        }
    }
    first
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn the_same_line_twice_changes_nothing(callers in callers(), again in prop::collection::vec(any::<prop::sample::Index>(), 1..40)) {
        let lines = log(&callers, &PLAIN);
        let mut twice = lines.clone();
        for index in again {
            let (seen, text) = index.get(&lines);
            twice.push((seen + 7000, text.clone()));
        }
        twice.sort_by_key(|(seen, _)| *seen);
        prop_assert_eq!(decide(&twice, &PLAIN), decide(&lines, &PLAIN));
    }

    #[test]
    fn names_do_not_matter(callers in callers()) {
        prop_assert_eq!(decide(&log(&callers, &RENAMED), &RENAMED), decide(&log(&callers, &PLAIN), &PLAIN));
    }

    #[test]
    fn how_a_poll_is_cut_into_batches_does_not_matter(callers in callers()) {
        // As polls every five seconds see it, all at once or a millisecond apart.
        let batched: Vec<Line> = log(&callers, &PLAIN).into_iter().map(|(seen, l)| (batch(seen), l)).collect();
        let mut apart = batched.clone();
        let mut last = (0, 0);
        for (seen, _) in &mut apart {
            last = if last.0 == *seen { (*seen, last.1 + 1) } else { (*seen, 0) };
            *seen += last.1;
        }
        let (a, b) = (rollbacks(&decide(&batched, &PLAIN)), rollbacks(&decide(&apart, &PLAIN)));
        prop_assert!(a.keys().eq(b.keys()), "{a:?} {b:?}");
        for (n, at) in a {
            prop_assert!(b[&n].since(at) + at.since(b[&n]) < Duration::from_secs(1));
        }
    }

    #[test]
    fn the_order_within_a_poll_does_not_matter(callers in callers(), seed in any::<u64>()) {
        let mut lines: Vec<Line> = log(&callers, &PLAIN).into_iter().map(|(seen, l)| (batch(seen), l)).collect();
        let before = rollbacks(&decide(&lines, &PLAIN));
        lines.sort_by_cached_key(|(seen, l)| (*seen, !l.contains("\"number\""), scramble(l, seed)));
        let after = rollbacks(&decide(&lines, &PLAIN));
        prop_assert_eq!(after, before);
    }

    #[test]
    fn what_a_swap_cannot_cure_changes_no_rollback(callers in callers()) {
        let of_rollbacks = |callers: &[Caller]| -> Decided {
            decide(&log(callers, &PLAIN), &PLAIN).into_iter().filter(|(_, _, score)| score.is_some()).collect()
        };
        let calm: Vec<Caller> = callers
            .iter()
            .map(|c| if c.fate == Fate::NotCurable { Caller { fate: Fate::HungUp, ..*c } } else { *c })
            .collect();
        // The same moments, and the same statistics, to the last bit.
        prop_assert_eq!(of_rollbacks(&callers), of_rollbacks(&calm));
        if callers.iter().all(|c| c.fate != Fate::Failed) {
            prop_assert_eq!(of_rollbacks(&callers), vec![]);
        }
    }

    #[test]
    fn one_more_failure_never_speaks_for_the_handler(callers in callers(), number in 0..NUMBERS) {
        let last = Caller { after: 60, number, who: 999, fate: Fate::Failed, lasts: 5, lag: 2000, alert_lag: 0 };
        let with = |fate: Option<Fate>| {
            let last = fate.map(|fate| Caller { fate, ..last });
            let mut run = Run::new(Mode::Observe);
            let mut callers = callers.clone();
            callers.extend(last);
            run.play(&log(&callers, &PLAIN));
            run.pass_until((START + 4 * 3600) * 1000);
            run.statistic(number)
        };
        let (failed, served, without) = (with(Some(Fate::Failed)), with(Some(Fate::Served)), with(None));
        prop_assert!(failed >= served, "{failed} {served}");
        prop_assert!(failed >= without, "{failed} {without}");
    }

    #[test]
    fn a_stalled_source_gives_neither_failing_nor_silent(callers in callers(), stalls_at in 0..7200i64, stalled in 0..2usize) {
        let stalled = [Source::Calls, Source::Alerts][stalled];
        let mut run = Run::new(Mode::Auto);
        let from = (START + stalls_at) * 1000;
        run.stall = Some((stalled, from));
        run.play(&log(&callers, &PLAIN));
        run.pass_until((START + 4 * 3600) * 1000);
        let blind_from = from + 91_000;
        for (at, event) in &run.events {
            let is_late = at.as_millis() > blind_from;
            match event {
                EngineEvent::Verdict { to, .. } | EngineEvent::GroupVerdict { to, .. } if is_late => {
                    prop_assert!(!matches!(to, Verdict::Failing | Verdict::Silent), "{at} {to:?}");
                }
                EngineEvent::Decided(d) => prop_assert!(!is_late, "{d:?}"),
                EngineEvent::Settled(_) | EngineEvent::Alert { .. } | EngineEvent::Warned { .. } | EngineEvent::Met { .. } | EngineEvent::PortedOut { .. } | EngineEvent::AlertsLate { .. } | EngineEvent::Phase { .. } | EngineEvent::Verdict { .. } | EngineEvent::GroupVerdict { .. } => {}
            }
        }
        for i in 0..NUMBERS {
            prop_assert_eq!(run.engine.channel(NumberIx(i), Channel::Voice).verdict, Verdict::Blind);
        }
    }
}

proptest! {
    #![proptest_config(config(60))]

    /// Few people, who call again and again for a day, several numbers each.
    #[test]
    fn nobody_fails_who_is_not_a_caller_and_nobody_counts_twice(
        calls in prop::collection::vec((1..5000u32, 0..NUMBERS, 0..5u32, fate()), 1..60),
    ) {
        let caller = |(after, number, who, fate)| Caller { after, number, who, fate, lasts: 5, lag: 2000, alert_lag: 500 };
        let callers: Vec<Caller> = calls.into_iter().map(caller).collect();
        let people = callers.iter().map(|c| c.who).collect::<std::collections::BTreeSet<_>>().len() as u32;
        let mut run = Run::new(Mode::Observe);
        run.play(&log(&callers, &PLAIN));
        run.pass_until(run.now + 120_000);
        let decided = run.events.iter().filter_map(|(_, e)| if let EngineEvent::Decided(d) = e { Some(&d.evidence) } else { None });
        let numbers = (0..NUMBERS).map(|i| &run.engine.channel(NumberIx(i), Channel::Voice).evidence);
        let group = run.engine.group_verdict(ringback::core::model::roster::GroupIx(0), Channel::Voice).1;
        for e in decided.chain(numbers).chain([group]) {
            let are_people = matches!(e.counted, Counted::People | Counted::Recipients);
            prop_assert!(e.failing <= e.callers && (!are_people || e.callers <= people), "{e:?}");
            prop_assert_eq!(e.reasons.iter().map(|r| r.callers).sum::<u32>(), e.failing + e.failing_probes);
        }
    }
}

/// The engine as the agent drives it: a poll of every source each second.
struct Run {
    engine: Engine,
    now: i64,
    /// A source that cannot be read from an instant on.
    stall: Option<(Source, i64)>,
    events: Vec<(Time, EngineEvent)>,
}

impl Run {
    fn new(mode: Mode) -> Run {
        let settings = EngineSettings { mode, ..EngineSettings::default() };
        let now = START * 1000;
        let engine = Engine::new(roster(&PLAIN), settings, Time::from_millis(now));
        Run { engine, now, stall: None, events: Vec::new() }
    }

    fn play(&mut self, lines: &[Line]) {
        let roster = roster(&PLAIN);
        let key = CallerKey::public();
        let sids = NumberSids::default();
        let reader = Reader { roster: &roster, account: UNNAMED_ACCOUNT, key: &key, sids: &sids, carriers: None };
        for (seen, text) in lines {
            self.pass_until(*seen);
            let line = format!("{{\"seen_at\":\"{}\",{text}}}", Time::from_millis(*seen));
            let Ok(Seen::Seen(at, observation)) = parse(line.as_bytes(), reader) else {
                panic!("{line}");
            };
            self.engine.observe(at, UNNAMED_ACCOUNT, &observation);
        }
    }

    fn pass_until(&mut self, until: i64) {
        while self.now + 1000 <= until {
            self.now += 1000;
            let at = Time::from_millis(self.now);
            for source in Source::ALL {
                if self.stall.is_none_or(|(stalled, from)| stalled != source || self.now < from) {
                    self.engine.polled(source, at);
                }
            }
            self.events.extend(self.engine.tick(at).into_iter().map(|e| (at, e)));
        }
    }

    /// What speaks against a number, in nats; nothing is the least.
    fn statistic(&self, number: u32) -> f64 {
        let score = self.engine.channel(NumberIx(number), Channel::Voice).evidence.score;
        score.map_or(f64::NEG_INFINITY, |s| s.statistic)
    }
}

/// A number from a text, different for each seed.
fn scramble(text: &str, seed: u64) -> u64 {
    text.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3).rotate_left(23))
}

/// When a poll every five seconds sees what became visible at `seen`, in milliseconds.
fn batch(seen: i64) -> i64 {
    seen.div_euclid(5000) * 5000 + 5000
}
