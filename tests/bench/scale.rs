use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringback::agent::publish::exposition::Exposition;
use ringback::agent::publish::status::{Knowledge, Status};
use ringback::core::detect::engine::{Engine, EngineSettings};
use ringback::core::detect::observation::{Call, CallStatus, Leg, Observation, RemoteParty};
use ringback::core::model::decision::Mode;
use ringback::core::model::id::{CallSid, E164, GroupName, NumberId};
use ringback::core::model::roster::{Number, PortAt, Roster, UNNAMED_ACCOUNT};
use ringback::core::model::source::Source;
use ringback::core::model::time::Time;
use ringback::core::notice::incidents::Incidents;
use ringback::core::notice::make::{Addresses, NoticeBuilder};
use ringback::core::port::ports::Ports;
use ringback::core::port::sight::ApiSight;
use ringback::core::rollback::orders::Orders;
use ringback::metrics::{Metrics, PerNumber};
use tokio::sync::watch;

const NUMBERS: u32 = 10_000;
const CALLS: u128 = 1_000_000;

fn number(i: u32) -> E164 {
    format!("+1500{:07}", 5_000_000 + i).parse().unwrap()
}

fn roster() -> Roster {
    let mut roster = Roster::default();
    for g in 0..100 {
        let name: GroupName = format!("group-{g}").parse().unwrap();
        let group = roster.add_group(name, [Some("https://f.example.com".into()), None]);
        for i in 0..NUMBERS / 100 {
            let id = NumberId::new(UNNAMED_ACCOUNT, number(g * (NUMBERS / 100) + i));
            let timezone = jiff::tz::TimeZone::UTC;
            let channels = [true, true];
            roster.add_number(Number { id, label: String::new(), group, channels, timezone, port: PortAt::Done });
        }
    }
    roster
}

/// Resident memory of this process, in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

pub fn memory() {
    let before = resident();
    let start = Time::from_secs(1_795_000_000);
    let mut engine = Engine::new(roster(), EngineSettings::default(), start);
    println!("  {:>6.0} MB for {NUMBERS} numbers", resident() - before);
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    // Five hours, so that all of them are in the window.
    let step = Duration::from_secs(5 * 3600).div_f64(CALLS as f64);
    let mut now = start;
    for i in 0..CALLS {
        now = start + step.mul_f64(i as f64);
        let caller = RemoteParty { hash: (i % 700_000) as u64, last_two: Some(42), is_prober: false, carrier: None };
        let call = Call {
            sid: CallSid::from_u128(i.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            leg: Leg::Inbound { number: number((i % u128::from(NUMBERS)) as u32), caller },
            status: CallStatus::Completed,
            started_at: now - Duration::from_secs(90),
            ended_at: Some(now),
            duration: Some(80),
            error: None,
            forwarded_from: None,
        };
        engine.observe(now, UNNAMED_ACCOUNT, &Observation::Call(call));
        if i % 1000 == 0 {
            for source in Source::ALL {
                engine.polled(source, now);
            }
            let tick = Instant::now();
            engine.tick(now);
            slowest = slowest.max(tick.elapsed());
        }
    }
    let took = began.elapsed();
    engine.tick(now);
    println!("  {:>6.0} MB with {} calls in the window", resident() - before, engine.held());
    println!(
        "  {:>6.0} calls/s through the engine, slowest tick {:.0} ms",
        CALLS as f64 / took.as_secs_f64(),
        slowest.as_secs_f64() * 1e3
    );
}

/// Of no number a port is known.
fn nothing() -> Knowledge<'static> {
    static NONE: std::sync::LazyLock<Ports> = std::sync::LazyLock::new(Ports::default);
    static QUIET: std::sync::LazyLock<Incidents> = std::sync::LazyLock::new(|| {
        let builder = NoticeBuilder { roster: Arc::new(roster()), addresses: Addresses::default() };
        Incidents::new(builder, Mode::Auto)
    });
    Knowledge {
        ports: &NONE,
        sight: &ApiSight::NotYet,
        incidents: &QUIET,
        failures: &[const { None }; Source::ALL.len()],
        notifiers: &[],
        is_nobody_told: false,
        can_prove: &|_, _| true,
    }
}

/// The agent's exposition of `roster`, as it publishes it, with the status as it is now.
fn exposition(engine: &Engine, per_number: PerNumber, now: Time) -> (Metrics, watch::Sender<Arc<Status>>) {
    let roster = Arc::new(engine.roster().clone());
    let metrics = Metrics::new(&roster, Mode::Auto);
    let orders = Orders::new(ringback::core::rollback::orders::RollbackSettings::default());
    let status = watch::Sender::new(Arc::new(Status::of(engine, &orders, nothing(), now, Vec::new())));
    let inbox = tokio::sync::mpsc::channel(1).0.downgrade();
    let tally = metrics.tally().clone();
    metrics.publish(Box::new(Exposition::new(
        roster,
        tally,
        status.subscribe(),
        inbox,
        Box::new(|| (true, 1)),
        per_number,
    )));
    (metrics, status)
}

pub fn scrape() {
    let start = Time::from_secs(1_795_000_000);
    let mut engine = Engine::new(roster(), EngineSettings::default(), start);
    let orders = Orders::new(ringback::core::rollback::orders::RollbackSettings::default());
    for (name, per_number) in [("auto, which names those in trouble", PerNumber::Auto), ("all", PerNumber::All)] {
        let (metrics, _status) = exposition(&engine, per_number, start);
        let mut size = 0;
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            size = metrics.render().unwrap().len();
            best = best.min(start.elapsed());
        }
        println!(
            "  {:>5.0} ms and {:>4.1} MB at {NUMBERS} numbers, per_number = {name}",
            best.as_secs_f64() * 1e3,
            size as f64 / 1e6
        );
    }
    // The engine at work, with what its task does at every tick, and a scrape every second beside it.
    let (metrics, status) = exposition(&engine, PerNumber::Auto, start);
    let mut at = start;
    for scraped in [false, true] {
        let stop = Arc::new(AtomicBool::new(false));
        let scraper = scraped.then(|| {
            let (metrics, stop) = (metrics.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    metrics.render().unwrap();
                    count += 1;
                    std::thread::sleep(Duration::from_secs(1));
                }
                count
            })
        });
        let mut ticks = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            at = at + Duration::from_secs(1);
            for source in Source::ALL {
                engine.polled(source, at);
            }
            let tick = Instant::now();
            engine.tick(at);
            status.send_replace(Arc::new(Status::of(&engine, &orders, nothing(), at, Vec::new())));
            ticks.push(tick.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        let scrapes = scraper.map_or(0, |s| s.join().unwrap());
        ticks.sort();
        let ms = |share: f64| ticks[((ticks.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "  tick and publish: median {:.1} ms, 99 % {:.1} ms, slowest {:.1} ms of {} with {scrapes} scrapes",
            ms(0.5),
            ms(0.99),
            ms(1.0),
            ticks.len()
        );
    }
}
