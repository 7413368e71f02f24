//! Speed that is lost is noticed: each ratio has its limit, and one that is worse by half fails.
//!
//! Ratios within one run, so that they are the same on slow machines and fast ones. The best of some rounds, since
//! a shared machine can only make them worse.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{catch_up, ingest, replay, swap};

const LIMITS: &str = include_str!("limits.toml");

/// How much worse than its limit a ratio may be.
const SLACK: f64 = 1.5;

const ROUNDS: usize = 4;

fn round() -> Vec<(&'static str, f64)> {
    let by = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    let ingest = ingest::measure(3);
    let replay = replay::measure(20_000);
    let mut ratios = vec![
        ("ingest-from-body-by-parsing", by(ingest.from_body, ingest.parsing)),
        ("ingest-from-http-by-parsing", by(ingest.from_http, ingest.parsing)),
        ("replay-by-parsing", by(replay.all, replay.parsing)),
        ("catch-up-tick-by-taking-in", catch_up::measure().by_taking_in()),
    ];
    // Where tests/all has not been run it is not there.
    ratios.extend(ingest.sdk.map(|sdk| ("ingest-from-http-by-sdk", by(ingest.from_http, sdk))));
    ratios
}

pub fn ratchet() {
    let limits: BTreeMap<String, f64> = toml::from_str(LIMITS).unwrap();
    // In virtual time: every round would be the same.
    let swap = swap::measure();
    let mut best: BTreeMap<&str, f64> =
        [("swap-by-ideal", swap.by_ideal()), ("swap-refused-share", swap.refused_share())].into();
    for _ in 0..ROUNDS {
        for (name, ratio) in round() {
            best.entry(name).and_modify(|best| *best = best.min(ratio)).or_insert(ratio);
        }
        if best.iter().all(|(name, ratio)| *ratio <= limits[*name]) {
            break;
        }
    }
    let mut is_worse = false;
    for (name, ratio) in &best {
        let limit = limits[*name];
        let verdict = if *ratio > limit * SLACK { "WORSE BY HALF" } else { "" };
        is_worse |= *ratio > limit * SLACK;
        println!("  {name:<30} {ratio:>7.3}, limit {limit:>6.3} {verdict}");
    }
    if is_worse {
        println!("  something has become slow: find out what, or say in limits.toml why it must be");
        std::process::exit(1);
    }
}
