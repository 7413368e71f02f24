//! A caller's failure is looked into at once: quiet numbers are decided in minutes instead of hours, and none is
//! swapped for nothing.

use std::collections::BTreeMap;

use ringback::core::model::decision::Action;
use ringback::core::model::id::NumberId;
use ringback::sim::{HandlerCondition, HandlerState};

use crate::probes::probing;
use crate::world::{BIN, PROBER, World, play_based, with_prober};

#[test]
fn a_suspicion_is_looked_into_at_once() {
    // A call every few hours: without probes, the second and third failing caller take the rest of the day.
    let scenario = r#"
name = "rare"
seed = 3
lasts = "24h"
history = "0s"
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[group]]
name = "support"
numbers = ["+15005550100"]
traffic = { calls_per_hour = 1, floor_per_hour = 1, shape = "flat", failure = 0.0, redial = 0.0 }
routing = { voice_url = "{base}/handlers/voice" }
"#;
    let scenario = with_prober(scenario);
    let decided = |more: &str| {
        play_based(&scenario, async |w| {
            let text = match more {
                "" => w.config_text(),
                more => probing(w, more),
            };
            let url = format!("{}/handlers/voice", w.base_url);
            let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
            w.pass(3600).await;
            w.sim.set_handler(&url, HandlerState::all(HandlerCondition::Status(500))).unwrap();
            let broken = w.now();
            for _ in 0..1200 {
                w.pass(30).await;
                let status = agent.status();
                if let Some(d) = status.decisions.iter().find(|d| d.action == Action::Rollback) {
                    let first = d.evidence.since.unwrap();
                    assert!(first >= broken);
                    let cost = (w.sim.placed_calls().len(), w.sim.stats().handler_requests);
                    let took = d.at.since(first).as_secs();
                    agent.stop().await;
                    return (took, cost);
                }
            }
            agent.stop().await;
            (u64::MAX, (0, 0))
        })
    };
    const SLOW: &str = "every = \"24h\"\npassive_every = \"24h\"\n";
    let (without, _) = decided("");
    let (with, (calls, requests)) = decided(SLOW);
    assert!(with < 300, "{with} s after the first failing caller");
    assert!(without > 10 * with, "{without} s without probes");
    assert_eq!(requests, 0, "nobody asked for requests to the handler");
    let (asking, (fewer, requests)) = decided(&format!("{SLOW}handler_request = true"));
    assert!(asking < 300 && requests >= 1, "{asking} s, {requests} requests");
    assert_eq!(fewer, calls - 1, "the request is a second witness, and saves a call");
}

/// Numbers of a world, each in a group and with a handler of its own, of which every other one stays healthy.
const NUMBERS: u64 = 24;

/// The world of [`NUMBERS`] numbers with so many calls a day each, of which two in a hundred fail honestly.
fn scenario(per_day: f64, seed: u64, hours: u64) -> String {
    let per_hour = per_day / 24.0;
    let mut text = format!(
        "name = \"rare\"\nseed = {seed}\nlasts = \"{hours}h\"\nhistory = \"0s\"\n\
         [[bin]]\nsid = \"EH00000000000000000000000000000001\"\ndoes = \"answer\"\n"
    );
    for n in 0..NUMBERS {
        text += &format!(
            "[[group]]\nname = \"g{n:02}\"\nnumbers = [\"+150055502{n:02}\"]\n\
             traffic = {{ calls_per_hour = {per_hour}, floor_per_hour = {per_hour}, shape = \"flat\", failure = 0.02 }}\n\
             routing = {{ voice_url = \"{{base}}/handlers/h{n:02}\" }}\n"
        );
    }
    with_prober(&text)
}

/// How much is probed: not at all, or a suspicion only, so that the schedule finds nothing.
#[derive(Clone, Copy, PartialEq)]
enum Probes {
    None,
    OnSuspicion,
    /// …with a request to the handler's URL first.
    WithRequest,
}

fn configuration(w: &World, probes: Probes) -> String {
    let request = probes == Probes::WithRequest;
    let probe = format!(
        "[group.probe]\nfrom = \"{PROBER}\"\nevery = \"24h\"\npassive_every = \"24h\"\nhandler_request = {request}\n"
    );
    let text = w.config_text() + "[poll]\nactive = \"15s\"\npassive = \"1m\"\nfull = \"10m\"\n";
    match probes {
        Probes::None => text,
        Probes::OnSuspicion | Probes::WithRequest => {
            let fallback = format!("sms_url = \"{BIN}\"\n");
            text.replace(&fallback, &(fallback.clone() + &probe))
        }
    }
}

/// Plays a world for so many hours; `at` is told each minute. Every decision to swap, once.
fn decisions(
    scenario: &str,
    hours: u64,
    probes: Probes,
    at: impl Fn(&World, u64),
) -> Vec<std::sync::Arc<ringback::core::model::decision::Decision>> {
    play_based(scenario, async |w| {
        // Nothing is written: numbers fail on, and blips come again.
        w.agent_section = "mode = \"observe\"\n".into();
        let agent = w.start_with(&w.parse(&configuration(w, probes)).unwrap()).await.unwrap();
        let mut all: BTreeMap<_, _> = BTreeMap::new();
        for minute in 0..hours * 60 {
            at(w, minute);
            w.pass(60).await;
            let status = agent.status();
            let swaps = status.decisions.iter().filter(|d| d.action == Action::Rollback);
            all.extend(swaps.map(|d| (d.id, d.clone())));
        }
        agent.stop().await;
        all.into_values().collect()
    })
}

fn handler(w: &World, n: u64) -> String {
    format!("{}/handlers/h{n:02}", w.base_url)
}

/// Every other number fails for good from its own minute on: seconds from its first failing caller to the
/// decision, of those that were decided, and the swaps of numbers that never failed.
fn outages(per_day: f64, seed: u64, probes: Probes, hours: u64) -> (Vec<u64>, usize) {
    let found = decisions(&scenario(per_day, seed, hours), hours, probes, |w, minute| {
        let n = (minute.wrapping_sub(60)) / 10 * 2;
        if minute >= 60 && minute.is_multiple_of(10) && n < NUMBERS {
            w.sim.set_handler(&handler(w, n), HandlerState::all(HandlerCondition::Status(500))).unwrap();
        }
    });
    let fails = |number: &NumberId| (number.e164.as_u64() % 100).is_multiple_of(2);
    let mut first: BTreeMap<NumberId, u64> = BTreeMap::new();
    for d in found.iter().filter(|d| d.numbers.iter().all(fails)) {
        let took = d.at.since(d.evidence.since.unwrap()).as_secs();
        d.numbers.iter().for_each(|n| {
            first.entry(*n).or_insert(took);
        });
    }
    let falsely = found.iter().filter(|d| !d.numbers.iter().all(fails)).count();
    (first.into_values().collect(), falsely)
}

/// Each handler fails for so many minutes, one after the other, again and again: how often a number was to
/// be swapped for trouble that passed by itself.
fn blips(per_day: f64, seed: u64, probes: Probes, hours: u64, lasts: u64) -> usize {
    let found = decisions(&scenario(per_day, seed, hours), hours, probes, |w, minute| {
        const APART: u64 = 5;
        let number = |minute: u64| handler(w, minute / APART % NUMBERS);
        if minute >= 60 && minute.is_multiple_of(APART) {
            w.sim.set_handler(&number(minute), HandlerState::all(HandlerCondition::Status(500))).unwrap();
        }
        if minute >= 60 + lasts && (minute - lasts).is_multiple_of(APART) {
            w.sim.set_handler(&number(minute - lasts), HandlerState::healthy()).unwrap();
        }
    });
    found.len()
}

/// Prints tables: `cargo test --test it -- --ignored suspicion_measured --nocapture`. Takes minutes.
#[test]
#[ignore = "a measurement, not a check"]
#[allow(clippy::print_stdout, reason = "it prints what it measures")]
fn suspicion_measured() {
    const RUNS: [(&str, Probes); 3] =
        [("none", Probes::None), ("calls", Probes::OnSuspicion), ("and a request", Probes::WithRequest)];
    const HALF: usize = NUMBERS as usize / 2;
    let shown = |mut times: Vec<u64>| {
        // Who was not decided took longest.
        times.resize(HALF, u64::MAX);
        times.sort_unstable();
        let text = |s: u64| match s {
            u64::MAX => "never".to_owned(),
            s if s < 3600 => format!("{} m {:02} s", s / 60, s % 60),
            s => format!("{:.1} h", s as f64 / 3600.0),
        };
        format!("{} / {}", text(times[HALF / 2]), text(times[HALF * 9 / 10]))
    };
    println!("from the first failing caller to the decision, median / 9 in 10; swaps of healthy numbers");
    for (name, per_day, hours) in [
        ("20 an hour", 480.0, 6),
        ("5 an hour", 120.0, 16),
        ("1 an hour", 24.0, 30),
        ("20 a day", 20.0, 30),
        ("5 a day", 5.0, 48),
        ("1 a day", 1.0, 72),
    ] {
        for (how, probes) in RUNS {
            let (times, falsely) = outages(per_day, 100, probes, hours);
            println!("{name:<12}{how:<16}{:>28}{falsely:>6}", shown(times));
        }
    }
    println!("swaps for a blip, of 120 blips a minute or two long");
    for (name, per_day) in [("20 an hour", 480.0), ("60 an hour", 1440.0)] {
        for (how, probes) in RUNS {
            let [one, two] = [1, 2].map(|minutes| blips(per_day, 200, probes, 11, minutes));
            println!("{name:<12}{how:<16}{one:>6}{two:>6}");
        }
    }
}
