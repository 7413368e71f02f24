//! Random histories through the real agent: its client, its state file, the pretend Twilio, pretend time.
//!
//! Handlers break and heal, operators say things, the API fails in all its ways, others write to the
//! numbers, the agent dies and starts again. Afterwards the laws are checked from what Twilio was really
//! asked and from the journal. The same seed gives the same history; a failing one prints its seed and
//! its steps. `RINGBACK_HISTORIES` says how many are played and `RINGBACK_SEED` where to begin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ringback::core::model::decision::Mode;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::order::{By, Operation, OrderResult, Scope as HoldScope};
use ringback::core::model::time::Time;
use ringback::core::rollback::entry::Entry;
use ringback::sim::{
    Actor, ApiFault, ApiFaultKind, ApiFaultScope, Edit, HandlerCondition, HandlerState, Happening, SimEffect,
    TimelineMark,
};
use serde_json::{Value, json};

use crate::hands::{support, url, with_token};
use crate::world::{BIN, Running, World, play};

const APP: &str = "https://app.example.com/voice";
const THEIRS: &str = "https://theirs.example.com/voice";

const DAY: &str = r#"
name = "histories"
seed = 3
lasts = "12h"
history = "0s"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101", "+15005550102"]
traffic = { calls_per_hour = 80, shape = "flat", skew = 0.2, failure = 0.0 }
routing = { voice_url = "https://app.example.com/voice" }
"#;

/// A write whose hold or mode came after it was sent may take so long to land.
const IN_FLIGHT: Duration = Duration::from_secs(65);

/// Between a look at a number and the write that follows.
const LOOKED: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
enum Step {
    Break,
    Heal,
    Say(&'static str, Value),
    Approve,
    Fault(ApiFaultKind, ApiFaultScope, u64),
    Edit(usize),
    /// The agent dies, and the next one comes so many seconds later.
    Die(u64),
    Pass(u64),
}

fn step(rng: &mut ChaCha8Rng) -> Step {
    let n = |rng: &mut ChaCha8Rng| support()[rng.random_range(0..3)].to_string();
    let some = |rng: &mut ChaCha8Rng| match rng.random_range(0..3) {
        0 => json!({"group": "support", "channel": "voice", "reason": "history"}),
        _ => json!({"numbers": [n(rng)], "channel": "voice", "reason": "history"}),
    };
    let with = |mut ask: Value, key: &str, value: Value| {
        ask[key] = value;
        ask
    };
    let kinds = [
        ApiFaultKind::TooMany,
        ApiFaultKind::ServerError,
        ApiFaultKind::BadGateway,
        ApiFaultKind::Unavailable,
        ApiFaultKind::Drop,
        ApiFaultKind::Hang,
        ApiFaultKind::Cut,
        ApiFaultKind::Truncated,
        ApiFaultKind::Ineffective,
        ApiFaultKind::Slow,
    ];
    match rng.random_range(0..20) {
        0 | 1 => Step::Break,
        2 => Step::Heal,
        3 | 4 => Step::Say("rollback", some(rng)),
        5 => Step::Say("restore", some(rng)),
        6 => Step::Say("restore", with(some(rng), "at_once", json!(true))),
        7 => Step::Say("restore", with(with(some(rng), "at_once", json!(true)), "force", json!(true))),
        8 => Step::Say("hold", with(some(rng), "seconds", json!(rng.random_range(30..1800)))),
        9 => Step::Say("release", some(rng)),
        10 => {
            let mode = Mode::ALL[rng.random_range(0..3)].label();
            Step::Say("mode", json!({"mode": mode, "reason": "history"}))
        }
        11 => Step::Approve,
        12 | 13 => {
            let on = if rng.random_bool(0.7) { ApiFaultScope::Writes } else { ApiFaultScope::Any };
            Step::Fault(kinds[rng.random_range(0..kinds.len())], on, rng.random_range(2..90))
        }
        14 => Step::Edit(rng.random_range(0..3)),
        15 | 16 => Step::Die(rng.random_range(0..60)),
        _ => Step::Pass(rng.random_range(1..600)),
    }
}

async fn restart(w: &World) -> Running {
    loop {
        // The lease of the one that died has its time; Twilio may be failing.
        match w.start().await {
            Ok(agent) => return agent,
            Err(_) => w.pass(10).await,
        }
    }
}

async fn play_step(w: &World, agent: &mut Option<Running>, step: &Step) {
    let running = agent.as_ref().unwrap();
    match step {
        Step::Break => w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap(),
        Step::Heal => w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Healthy)).unwrap(),
        Step::Say(verb, ask) => {
            let (status, said) = running.post(verb, ask.clone()).await;
            assert!(status < 500, "{verb} {ask}: {status} {said}");
        }
        Step::Approve => {
            let waiting = running.status().waiting.first().map(|d| d.decision);
            let staged = running.status().orders.iter().find(|o| o.order.staged && !o.is_over).map(|o| o.order.id);
            if let Some(id) = waiting.or(staged) {
                running.post("approve", json!({"decision": id.to_string(), "reason": "history"})).await;
            }
        }
        Step::Fault(kind, on, seconds) => {
            w.sim.fault(ApiFault::new(*kind, *on).lasts(Duration::from_secs(*seconds))).unwrap();
        }
        Step::Edit(i) => {
            let set = [("VoiceUrl".to_owned(), THEIRS.to_owned())].into();
            w.sim.happen(Happening::Edit(Edit { number: support()[*i], set })).unwrap();
        }
        Step::Die(seconds) => {
            drop(agent.take());
            w.pass(*seconds).await;
            *agent = Some(restart(w).await);
        }
        Step::Pass(seconds) => w.pass(*seconds).await,
    }
    // Whatever it was, a moment passes: steps fall into the middle of what the agent does.
    w.clock.sleep(Duration::from_millis(137)).await;
}

/// A time during which nothing may be written to a number.
struct Stop {
    scope: Option<HoldScope>,
    from: Time,
    until: Time,
}

/// The laws, from what Twilio was asked and from the journal.
async fn check(w: &World) {
    let store = ringback::store::Store::open(&w.folder.path().join("ringback.db")).await.unwrap();
    store.verify().await.unwrap();
    let journal = store.journal().await.unwrap();
    store.close().await;
    let group = "support".parse().unwrap();
    let mut stops: Vec<Stop> = Vec::new();
    let mut observing: Option<Time> = None;
    let mut intents: BTreeMap<E164, Vec<(Time, Operation, bool)>> = BTreeMap::new();
    let mut snapshots: BTreeMap<E164, Time> = BTreeMap::new();
    let mut forced = BTreeSet::new();
    // Numbers that are swapped, those of them that somebody else has set back, and what a person said yes to.
    let (mut swapped, mut undone, mut approved) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for record in &journal {
        match &record.entry {
            Entry::Hold(hold) => {
                end(&mut stops, record.at, |s| *s == hold.scope);
                stops.push(Stop { scope: Some(hold.scope.clone()), from: record.at, until: hold.until });
            }
            Entry::Release { scope, .. } => end(&mut stops, record.at, |s| s == scope),
            Entry::Mode { mode, .. } => {
                if let Some(from) = observing.take() {
                    stops.push(Stop { scope: None, from, until: record.at });
                }
                observing = (*mode == Mode::Observe).then_some(record.at);
            }
            Entry::Order(order) => {
                if order.force {
                    forced.insert(order.id);
                }
                let is_second = order.numbers.iter().any(|n| undone.contains(n));
                let is_unasked = order.by == By::Detector && !approved.contains(&order.id);
                assert!(!(is_second && is_unasked), "law 7: {} swaps again what somebody else undid", order.id);
            }
            Entry::Approved { decision, .. } => {
                approved.insert(*decision);
            }
            Entry::Result { number, result: OrderResult::Written | OrderResult::Proven, .. } => {
                swapped.insert(*number);
                undone.remove(number);
            }
            Entry::Result { number, result: OrderResult::Restored, .. } => {
                swapped.remove(number);
                undone.remove(number);
            }
            Entry::Result { number, result: OrderResult::Superseded, .. } | Entry::Drift { number, .. } => {
                if swapped.remove(number) {
                    undone.insert(*number);
                }
            }
            Entry::Snapshot { number, .. } => {
                snapshots.entry(*number).or_insert(record.at);
            }
            Entry::Intent { number, act, decision, .. } => {
                intents.entry(*number).or_default().push((record.at, *act, forced.contains(decision)));
            }
            Entry::Decision(_)
            | Entry::Stage { .. }
            | Entry::Refused { .. }
            | Entry::Asked { .. }
            | Entry::Closed { .. }
            | Entry::Checked { .. }
            | Entry::Written { .. }
            | Entry::Result { .. }
            | Entry::Recovered { .. }
            | Entry::Phase { .. }
            | Entry::Ported { .. }
            | Entry::Started { .. }
            | Entry::Fallback { .. } => {}
        }
    }
    if let Some(from) = observing {
        stops.push(Stop { scope: None, from, until: Time::NEVER });
    }
    let mut edited: BTreeMap<E164, Time> = BTreeMap::new();
    let mut written: BTreeMap<E164, usize> = BTreeMap::new();
    for entry in &w.sim.truth().timeline {
        assert!(!matches!(entry.what, TimelineMark::Release { .. }), "law 12");
        let TimelineMark::Updated(update) = &entry.what else { continue };
        let n = update.number;
        if update.by == Actor::Person {
            edited.insert(n, entry.at);
            continue;
        }
        // What Twilio only pretended to take may be written again once a look shows that it is not there.
        *written.entry(n).or_default() += usize::from(update.effect == SimEffect::Real);
        let ours = intents.get(&n).map(Vec::as_slice).unwrap_or_default();
        let earlier: Vec<&(Time, Operation, bool)> = ours.iter().filter(|(at, _, _)| *at <= entry.at).collect();
        assert!(snapshots.get(&n).is_some_and(|at| *at <= entry.at), "law 1: {n} written without its snapshot");
        assert!(!earlier.is_empty(), "law 1: {n} written without its intent");
        for stop in &stops {
            let is_about = stop.scope.as_ref().is_none_or(|s| s.covers(&group, n, Channel::Voice));
            let is_within = stop.from + IN_FLIGHT < entry.at && entry.at < stop.until;
            assert!(!(is_about && is_within), "law 2: {n} written at {} while held or in observe", entry.at);
        }
        let (_, _, is_forced) = earlier[earlier.len() - 1];
        for (field, old, new) in &update.changes {
            // Law 7: somebody else's URL is written over only by a new rollback, which keeps it, or by force.
            let is_restore = new == APP || new == THEIRS && old == BIN;
            let is_theirs = old == THEIRS && field == &"voice_url";
            let was_just_now = edited.get(&n).is_some_and(|at| *at + LOOKED >= entry.at);
            assert!(
                !(is_theirs && is_restore) || *is_forced || was_just_now,
                "law 7: {n} {field}: {old:?} became {new:?} at {}",
                entry.at
            );
        }
    }
    for (n, count) in written {
        let allowed = intents[&n].len();
        assert!(count <= allowed, "law 2: {n} was written {count} times for {allowed} intents");
    }
}

fn end(stops: &mut [Stop], at: Time, is: impl Fn(&HoldScope) -> bool) {
    for stop in stops.iter_mut().filter(|s| s.scope.as_ref().is_some_and(&is)) {
        stop.until = stop.until.min(at);
    }
}

/// With nothing in the way any more, everything comes to an end.
async fn settle(w: &World, agent: &Running) {
    w.sim.calm();
    w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Healthy)).unwrap();
    agent.post("mode", json!({"mode": "auto", "reason": "end"})).await;
    let named: Vec<String> = support().iter().map(ToString::to_string).collect();
    for scope in [
        json!({"group": "support", "channel": "voice", "reason": "end"}),
        json!({"numbers": named, "channel": "voice", "reason": "end"}),
    ] {
        agent.post("release", scope).await;
    }
    for _ in 0..6 {
        w.pass(600).await;
        let open: Vec<_> = agent.status().orders.iter().filter(|o| !o.is_over).map(|o| o.order.id).collect();
        for id in open {
            agent.post("approve", json!({"decision": id.to_string(), "reason": "end"})).await;
        }
    }
    let status = agent.status();
    assert!(status.orders.iter().all(|o| o.is_over), "law 8: an order does not end: {:?}", status.orders);
    for n in support() {
        let saga = agent.saga(n);
        let under_way = ["snapshotted", "checked", "intended", "written", "restoring", "restore_written"];
        assert!(!under_way.contains(&saga), "law 8: {n} stays {saga}");
        if matches!(saga, "read_back" | "proven") {
            assert_eq!(url(w, n), BIN, "{n} is said to be on the fallback");
        }
        if saga == "restored" {
            assert_ne!(url(w, n), BIN, "{n} is said to be restored");
        }
    }
}

#[test]
fn the_laws_hold_in_histories_of_the_real_agent() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (histories, first) = (number("RINGBACK_HISTORIES").unwrap_or(8), number("RINGBACK_SEED").unwrap_or(1));
    let mut writes = 0;
    for seed in first..first + histories {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let steps: Vec<Step> = (0..rng.random_range(6..18)).map(|_| step(&mut rng)).collect();
        let told = std::panic::catch_unwind(|| {
            play(DAY, async |w| {
                with_token(w);
                w.agent_section = "mode = \"auto\"\n\n[poll]\nactive = \"15s\"\npassive = \"15s\"\n".into();
                let mut agent = Some(w.start().await.unwrap());
                w.pass(120).await;
                for step in &steps {
                    play_step(w, &mut agent, step).await;
                }
                settle(w, agent.as_ref().unwrap()).await;
                agent.take().unwrap().stop().await;
                check(w).await;
                w.sim.truth().timeline.iter().filter(|e| matches!(e.what, TimelineMark::Updated(_))).count()
            })
        });
        match told {
            Ok(n) => writes += n,
            Err(panic) => {
                println!("RINGBACK_SEED={seed} RINGBACK_HISTORIES=1 plays it again: {steps:#?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{histories} histories from seed {first}, {writes} writes");
    assert!(histories < 8 || writes > 20, "{writes}");
}
