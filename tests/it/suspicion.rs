//! A caller's failure is looked into at once: quiet numbers are decided in minutes instead of hours, and none is
//! swapped for nothing.

use ringback::core::policy::Action;
use ringback::sim::{Condition, HandlerState};

use crate::probes::probing;
use crate::world::play_based;

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
[[group]]
name = "prober"
numbers = ["+15005550199"]
foreign = true
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
"#;
    let decided = |more: &str| {
        play_based(scenario, async |w| {
            let text = match more {
                "" => w.config_text(),
                more => probing(w, more),
            };
            let url = format!("{}/handlers/voice", w.base_url);
            let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
            w.pass(3600).await;
            w.sim.set_handler(&url, HandlerState::all(Condition::Status(500))).unwrap();
            let broken = w.now();
            for _ in 0..1200 {
                w.pass(30).await;
                let status = agent.status();
                if let Some(d) = status.decisions.iter().find(|d| d.action == Action::Rollback) {
                    let first = d.evidence.since.unwrap();
                    assert!(first >= broken);
                    let requests = w.sim.stats().handler_requests;
                    let took = d.at.since(first).as_secs();
                    agent.stop().await;
                    return (took, requests);
                }
            }
            agent.stop().await;
            (u64::MAX, 0)
        })
    };
    const SLOW: &str = "every = \"24h\"\npassive_every = \"24h\"\n";
    let (without, _) = decided("");
    let (with, requests) = decided(SLOW);
    assert!(with < 300, "{with} s after the first failing caller");
    assert!(without > 20 * with, "{without} s without probes");
    assert_eq!(requests, 0, "nobody asked for requests to the handler");
    let (asking, requests) = decided(&format!("{SLOW}handler_request = true"));
    assert!(asking < with && requests >= 1, "{asking} s, {requests} requests");
}

/// One number with so many calls a day, on which everything fails from the second hour on: seconds from the
/// first failing caller to the decision, and how many numbers were swapped for nothing where nothing fails.
fn outage(per_day: f64, seed: u64, probes: bool, breaks: bool, days: u64) -> Option<u64> {
    let per_hour = per_day / 24.0;
    let scenario = format!(
        r#"
name = "rare"
seed = {seed}
lasts = "{}h"
history = "0s"
[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
[[group]]
name = "support"
numbers = ["+15005550100"]
traffic = {{ calls_per_hour = {per_hour}, floor_per_hour = {per_hour}, shape = "flat", failure = 0.02 }}
routing = {{ voice_url = "{{base}}/handlers/voice" }}
[[group]]
name = "prober"
numbers = ["+15005550199"]
foreign = true
traffic = {{ calls_per_hour = 0, floor_per_hour = 0 }}
"#,
        24 * days
    );
    play_based(&scenario, async |w| {
        const SLOW: &str = "every = \"24h\"\npassive_every = \"24h\"\nhandler_request = true\n";
        let text = if probes { probing(w, SLOW) } else { w.config_text() };
        let text = text + "[poll]\npassive = \"1m\"\nfull = \"5m\"\n";
        let url = format!("{}/handlers/voice", w.base_url);
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(3600).await;
        if breaks {
            w.sim.set_handler(&url, HandlerState::all(Condition::Status(500))).unwrap();
        }
        for _ in 0..days * 24 * 60 - 60 {
            w.pass(60).await;
            let status = agent.status();
            if let Some(d) = status.decisions.iter().find(|d| d.action == Action::Rollback) {
                let took = d.at.since(d.evidence.since.unwrap()).as_secs();
                agent.stop().await;
                return Some(took);
            }
        }
        agent.stop().await;
        None
    })
}

/// Prints a table: `cargo test --test it -- --ignored suspicion_measured --nocapture`. Takes minutes.
#[test]
#[ignore = "a measurement, not a check"]
#[allow(clippy::print_stdout, reason = "it prints what it measures")]
fn suspicion_measured() {
    const SEEDS: u64 = 3;
    let shown = |times: &mut Vec<Option<u64>>| {
        times.sort_by_key(|t| t.unwrap_or(u64::MAX));
        let hm = |s: u64| {
            if s < 3600 { format!("{} m {:02} s", s / 60, s % 60) } else { format!("{:.1} h", s as f64 / 3600.0) }
        };
        times[times.len() / 2].map_or("more than a week".to_owned(), hm)
    };
    println!("{:<16}{:>18}{:>14}", "calls", "without probes", "with");
    for (name, per_day) in [
        ("20 an hour", 480.0),
        ("5 an hour", 120.0),
        ("1 an hour", 24.0),
        ("20 a day", 20.0),
        ("5 a day", 5.0),
        ("1 a day", 1.0),
    ] {
        let mut times = [Vec::new(), Vec::new()];
        for seed in 0..SEEDS {
            for (i, probes) in [false, true].into_iter().enumerate() {
                times[i].push(outage(per_day, 100 + seed, probes, true, 8));
            }
        }
        let [without, with] = &mut times;
        println!("{name:<16}{:>18}{:>14}", shown(without), shown(with));
    }
    for (name, per_day) in [("20 a day", 20.0), ("20 an hour", 480.0)] {
        let falsely = |probes| (0..SEEDS).filter(|s| outage(per_day, 200 + s, probes, false, 2).is_some()).count();
        println!(
            "nothing fails, {name}: swapped for nothing {} without, {} with, of {SEEDS}",
            falsely(false),
            falsely(true)
        );
    }
}
