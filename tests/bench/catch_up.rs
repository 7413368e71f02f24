//! An outage is over: everything that it kept from us is read at once. However much that is, the control task goes on
//! answering: it takes in and settles so much at a time, and no such turn takes longer than a tenth of a second.

use std::time::{Duration, Instant};

use ringback::core::detect::engine::{Engine, EngineEvent, EngineSettings};
use ringback::core::detect::observation::{Alert, Call, CallStatus, Leg, Level, Observation, RemoteParty};
use ringback::core::model::code::Code;
use ringback::core::model::id::Resource;
use ringback::core::model::id::{AlertSid, CallSid, E164, NumberId};
use ringback::core::model::roster::{Number, PortAt, Roster, UNNAMED_ACCOUNT};
use ringback::core::model::source::Source;
use ringback::core::model::time::Time;

const NUMBERS: u32 = 2_000;
const GROUPS: u32 = 20;
const CALLS: u32 = 500_000;
const OUTAGE: Duration = Duration::from_secs(2 * 3600);

/// As many entries as the control task takes in in one go, and as many outcomes as it settles.
const AT_ONCE: usize = 20_000;

pub struct CatchUp {
    /// The slowest turn of the control task, in which it takes in some or ticks, and how many there were until
    /// everything had settled.
    pub slowest: Duration,
    pub turns: usize,
    /// How long it takes on average to take in and settle as many calls as one turn does: what the slowest is measured
    /// against.
    pub taking_in: Duration,
    pub all: Duration,
}

impl CatchUp {
    pub fn by_taking_in(&self) -> f64 {
        self.slowest.as_secs_f64() / self.taking_in.as_secs_f64()
    }
}

fn number(i: u32) -> E164 {
    format!("+1500{:07}", 5_000_000 + i).parse().unwrap()
}

fn roster() -> Roster {
    let mut roster = Roster::default();
    let name = |g| format!("group-{g}").parse().unwrap();
    let groups: Vec<_> = (0..GROUPS).map(|g| roster.add_group(name(g), [None, None])).collect();
    for i in 0..NUMBERS {
        let timezone = jiff::tz::TimeZone::UTC;
        let group = groups[(i % GROUPS) as usize];
        let number = Number {
            id: NumberId::new(UNNAMED_ACCOUNT, number(i)),
            label: String::new(),
            group,
            channels: [true, false],
            timezone,
            port: PortAt::Done,
        };
        roster.add_number(number).unwrap();
    }
    roster
}

/// Honest calls, one in fifty of which failed, oldest first.
fn calls(since: Time) -> impl Iterator<Item = (Call, bool)> {
    let mut seed = 1u64;
    let mut next = move |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    (0..CALLS).map(move |i| {
        let started_at = since + OUTAGE.mul_f64(f64::from(i) / f64::from(CALLS));
        let caller = RemoteParty { hash: next(10_000_000), last_two: None, is_prober: false, carrier: None };
        let call = Call {
            sid: CallSid::from_u128(u128::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            leg: Leg::Inbound { number: number(next(u64::from(NUMBERS)) as u32), caller },
            status: CallStatus::Completed,
            started_at,
            ended_at: Some(started_at + Duration::from_secs(80)),
            duration: Some(80),
            error: None,
            forwarded_from: None,
        };
        (call, next(50) == 0)
    })
}

pub fn measure() -> CatchUp {
    let began = Time::from_secs(1_795_000_000);
    let mut engine = Engine::new(roster(), EngineSettings::default(), began);
    // Nobody is served at a number of which it is not known who answers.
    for i in 0..NUMBERS {
        let record = format!(
            r#"{{"sid":"PN{i:032x}","phone_number":"{}","voice_url":"https://app.example.com/voice"}}"#,
            number(i)
        );
        let raw = serde_json::value::RawValue::from_string(record).unwrap();
        let read = ringback::twilio::wire::number(&raw).unwrap();
        engine.observe(began, UNNAMED_ACCOUNT, &Observation::Number(Box::new(read.record)));
    }
    engine.polled(Source::Numbers, began);
    let over = began + OUTAGE;
    let calls: Vec<(Call, bool)> = calls(began).collect();
    let start = Instant::now();
    let (mut slowest, mut turns, mut settled) = (Duration::ZERO, 0, 0);
    let mut turn = |engine: &mut Engine, work: &dyn Fn(&mut Engine) -> Vec<EngineEvent>| {
        let began = Instant::now();
        let events = work(engine);
        slowest = slowest.max(began.elapsed());
        turns += 1;
        settled += events.iter().filter(|e| matches!(e, EngineEvent::Settled(_))).count();
    };
    for some in calls.chunks(AT_ONCE) {
        turn(&mut engine, &|engine| {
            for (call, _) in some {
                engine.observe(over, UNNAMED_ACCOUNT, &Observation::Call(*call));
            }
            engine.take_events()
        });
    }
    let alerts = calls.iter().filter(|(_, fails)| *fails).map(|(call, _)| {
        let alert = Alert {
            sid: AlertSid::from_u128(call.sid.as_u128()),
            number: None,
            resource: Some(Resource::Call(call.sid)),
            code: Code(11200),
            level: Level::Error,
            url: None,
            http_status: None,
            at: call.started_at,
        };
        Observation::Alert(alert)
    });
    let alerts: Vec<Observation> = alerts.collect();
    for some in alerts.chunks(AT_ONCE) {
        turn(&mut engine, &|engine| {
            some.iter().for_each(|alert| engine.observe(over, UNNAMED_ACCOUNT, alert));
            engine.take_events()
        });
    }
    for second in 0..60 {
        let now = over + Duration::from_secs(second);
        for source in Source::ALL {
            engine.polled(source, now);
        }
        loop {
            turn(&mut engine, &|engine| engine.tick_within(now, AT_ONCE));
            if !engine.is_behind() {
                break;
            }
        }
    }
    assert!(settled >= CALLS as usize, "{settled} have settled");
    let taking_in = start.elapsed().mul_f64(AT_ONCE as f64 / calls.len() as f64);
    CatchUp { slowest, turns, taking_in, all: start.elapsed() }
}

pub fn catch_up() {
    let best = (0..3).map(|_| measure()).min_by_key(|c| c.slowest).unwrap();
    println!(
        "  {CALLS} calls of {NUMBERS} numbers in {:.1} s and {} turns, the slowest {:.0} ms: {:.1} times taking in {AT_ONCE} calls",
        best.all.as_secs_f64(),
        best.turns,
        best.slowest.as_secs_f64() * 1e3,
        best.by_taking_in()
    );
}
