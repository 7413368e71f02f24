//! A person's stop stops the next write, whatever waits: for a place among the requests, or for Twilio to bear more.

use std::time::Duration;

use ringback::admin;
use ringback::admin::serve::serve;
use ringback::agent::leader::LeaseHolder;
use ringback::agent::{Agent, Role};
use ringback::config::Config;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass, HandlerCondition, HandlerState};
use serde_json::json;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::with_token;
use crate::world::{BIN, Running, World, play};

const NUMBERS: usize = 60;

/// Requests that may be at Twilio at once, and so be on their way when the stop is acknowledged.
const AT_ONCE: usize = 2;

pub fn number(i: usize) -> String {
    format!("+150055501{i:02}")
}

fn day() -> String {
    day_of(NUMBERS)
}

pub fn day_of(count: usize) -> String {
    let numbers: Vec<String> = (0..count).map(|i| format!("\"{}\"", number(i))).collect();
    format!(
        "name = \"stop\"\nseed = 3\nlasts = \"2h\"\nhistory = \"0s\"\n[[bin]]\n\
         sid = \"EH00000000000000000000000000000001\"\ndoes = \"answer\"\n[[group]]\nname = \"support\"\nnumbers = [{}]\n\
         traffic = {{ calls_per_hour = 60, shape = \"flat\", failure = 0.0 }}\n\
         routing = {{ voice_url = \"https://app.example.com/voice\" }}\n",
        numbers.join(", ")
    )
}

async fn start(w: &mut World) -> Running {
    start_with(w, NUMBERS).await
}

async fn start_with(w: &mut World, count: usize) -> Running {
    let base_url = w.base_url.clone();
    start_at(w, count, &base_url, AT_ONCE).await
}

pub async fn start_at(w: &mut World, count: usize, base_url: &str, at_once: usize) -> Running {
    let config = config_at(w, count, base_url, at_once);
    let agent = w.start_with(&config).await.unwrap();
    w.pass(120).await;
    agent
}

fn config_at(w: &mut World, count: usize, base_url: &str, at_once: usize) -> Config {
    with_token(w);
    let numbers: Vec<String> = (0..count).map(|i| format!("\"{}\"", number(i))).collect();
    let text = format!(
        "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{}\"\nmax_in_flight = {at_once}\n[agent]\n\
         listen = \"127.0.0.1:0\"\nmode = \"auto\"\n[[group]]\nname = \"support\"\nnumbers = [{}]\n\
         channels = [\"voice\"]\n[group.fallback]\nvoice_url = \"{BIN}\"\n",
        w.sim.scenario().account.sid,
        base_url,
        numbers.join(", ")
    );
    w.parse(&text).unwrap_or_else(|e| panic!("{e}"))
}

/// Numbers that point at the fallback.
fn swapped(w: &World) -> usize {
    let url = |i: usize| w.sim.number(number(i).parse().unwrap()).map(|n| n["voice_url"].clone());
    let is = |i: &usize| url(*i).is_some_and(|url| url == BIN);
    (0..NUMBERS).filter(is).count()
}

/// Writes that Twilio was asked for, whatever it answered.
fn asked(w: &World) -> u64 {
    w.sim.stats().requests.get("POST number-update").map_or(0, |by_status| by_status.values().sum())
}

pub async fn rollback(agent: &Running) {
    let (status, said) = agent.post("rollback", json!({"group": "support", "reason": "all of them fail"})).await;
    assert_eq!(status, 200, "{said}");
}

/// In the middle of a long rollback each kind of stop.
#[test]
fn after_the_stop_is_acknowledged_no_write_begins() {
    let hold = json!({"group": "support", "reason": "stop", "seconds": 3600});
    let observe = json!({"mode": "observe", "reason": "stop"});
    for (verb, stop) in [("hold", hold), ("mode", observe)] {
        play(&day(), async |w| {
            let agent = start(w).await;
            rollback(&agent).await;
            while swapped(w) < 4 {
                w.clock.sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(agent.post(verb, stop.clone()).await.0, 200);
            let before = swapped(w);
            w.pass(600).await;
            let after = swapped(w);
            assert!(before < NUMBERS / 2 && after <= before + AT_ONCE, "{verb}: {before}, then {after}");
            agent.stop().await;
        });
    }
}

/// A stop is heard before it is written down: a journal that cannot be written lets nothing go on.
#[test]
fn a_stop_that_cannot_be_written_down_stops_all_the_same_and_is_kept_later() {
    let hold = json!({"group": "support", "reason": "stop", "seconds": 3600});
    let observe = json!({"mode": "observe", "reason": "stop"});
    for (verb, stop, kept) in [("hold", hold, "\"reason\":\"stop\""), ("mode", observe, "\"mode\":\"observe\"")] {
        play(&day(), async |w| {
            let agent = start(w).await;
            rollback(&agent).await;
            while swapped(w) < 4 {
                w.clock.sleep(Duration::from_millis(5)).await;
            }
            let mut other = locked(w).await;
            let (status, said) = agent.post(verb, stop.clone()).await;
            let before = swapped(w);
            assert!(status == 503 && said.to_string().contains("The stop is in force here"), "{verb}: {said}");
            let (status, said) = agent.get("/-/ready").await;
            assert!(status == 503 && said.contains("the journal cannot be written"), "{said}");
            // What is not known to be in force cannot be taken back, nor anything be begun beside it.
            let release = json!({"group": "support", "reason": "go on"});
            assert_eq!(agent.post("release", release.clone()).await.0, 503);
            w.pass(15).await;
            assert!(before < NUMBERS / 2 && swapped(w) <= before + AT_ONCE, "{verb}: {before}, then {}", swapped(w));
            sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
            w.pass(600).await;
            assert!(swapped(w) <= before + AT_ONCE, "{verb}: {before}, then {}", swapped(w));
            let (_, said) = agent.get("/api/v1/status").await;
            assert!(said.contains(kept), "{verb}: {said}");
            assert_eq!(agent.get("/-/ready").await.0, 200);
            let is_held = verb == "hold";
            assert_eq!(agent.post("release", release).await.0, if is_held { 200 } else { 409 });
            agent.stop().await;
        });
    }
}

/// Another process holds the state file from now on.
async fn locked(w: &World) -> SqliteConnection {
    let path = w.folder.path().join("ringback.db");
    let mut other = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    other
}

/// Nothing waits to be written after a command that was refused: that it can be written again shows by the lease.
#[test]
fn an_agent_whose_state_was_locked_for_a_moment_is_ready_again() {
    play(&day(), async |w| {
        let agent = start(w).await;
        let mut other = locked(w).await;
        let order = json!({"group": "support", "reason": "all of them fail"});
        assert_eq!(agent.post("rollback", order).await.0, 503);
        assert_eq!(agent.get("/-/ready").await.0, 503);
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        w.pass(30).await;
        assert_eq!(agent.get("/-/ready").await.0, 200);
        assert_eq!(swapped(w), 0);
        agent.stop().await;
    });
}

/// Nobody can say stop to an agent that stops, or is started anew by a reload: nothing begins until somebody can.
#[test]
fn an_agent_that_stops_begins_no_more_writes_and_the_next_one_carries_them_on() {
    play(&day(), async |w| {
        let agent = start(w).await;
        rollback(&agent).await;
        while swapped(w) < 4 {
            w.clock.sleep(Duration::from_millis(5)).await;
        }
        let before = swapped(w);
        agent.stop().await;
        let after = swapped(w);
        assert!(before < NUMBERS / 2 && after <= before + AT_ONCE, "{before}, then {after}");
        let agent = start(w).await;
        assert_eq!(swapped(w), NUMBERS);
        assert_eq!(asked(w), NUMBERS as u64, "each once");
        agent.stop().await;
    });
}

/// A command that acts by itself, between two agents, is stopped before it has come to what the first left behind:
/// ordered alone, or intended too.
#[test]
fn a_command_that_is_stopped_ends_nothing_of_what_an_agent_has_left_behind() {
    for begun in [0, 4] {
        play(&day(), async |w| {
            let agent = start(w).await;
            rollback(&agent).await;
            while swapped(w) < begun {
                w.clock.sleep(Duration::from_millis(5)).await;
            }
            agent.stop().await;
            assert!(swapped(w) < NUMBERS / 2, "{}", swapped(w));
            let base_url = w.base_url.clone();
            let config = config_at(w, NUMBERS, &base_url, AT_ONCE);
            let nobody_waits = watch::Sender::new(None);
            let command = Agent::start_as(Role::Operator, &config, &w.clock, &nobody_waits).await.unwrap();
            assert!(command.stop().await);
            let agent = start(w).await;
            assert_eq!((swapped(w), asked(w)), (NUMBERS, NUMBERS as u64), "after {begun}: each, and once");
            agent.stop().await;
        });
    }
}

/// A command that acts by itself takes a stop at the agent's address, and tells whoever wants more who acts.
#[test]
fn a_command_that_acts_by_itself_is_stopped_by_others() {
    play(&day(), async |w| {
        let base_url = w.base_url.clone();
        let config = config_at(w, NUMBERS, &base_url, AT_ONCE);
        let mut command = w.start_as(Role::Operator, &config).await.unwrap();
        rollback(&command).await;
        while swapped(w) < 4 {
            w.clock.sleep(Duration::from_millis(5)).await;
        }
        let by = "a command of ann, process 7".to_owned();
        let leads = watch::Sender::new(Some(LeaseHolder { by, until: w.now(), is_command: true })).subscribe();
        let face = admin::router_beside(&command.agent, &w.clock, ringback::cli::access(&config), leads);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        command.url = format!("http://{}", listener.local_addr().unwrap());
        let (mut server, stop) = (JoinSet::new(), CancellationToken::new());
        server.spawn(serve(face, listener, stop.clone()));
        let (status, said) = command.post("rollback", json!({"all": true, "reason": "more"})).await;
        assert!(status == 503 && said.to_string().contains("a command of ann, process 7, acts by itself"), "{said}");
        let (status, said) = command.get("/metrics").await;
        assert!(status == 200 && said.contains("ringback_leading 0") && !said.contains("number_state"), "{said}");
        let hold = json!({"group": "support", "reason": "stop", "seconds": 3600});
        assert_eq!(command.post("hold", hold).await.0, 200);
        let before = swapped(w);
        w.pass(600).await;
        let after = swapped(w);
        assert!(before < NUMBERS / 2 && after <= before + AT_ONCE, "{before}, then {after}");
        stop.cancel();
        while server.join_next().await.is_some() {}
        command.stop().await;
    });
}

/// Who stops means what is under way, also if the stop is taken back at once: another order is another word.
#[test]
fn what_an_operator_ordered_before_a_stop_is_not_written_after_it() {
    let hold = json!({"group": "support", "reason": "stop", "seconds": 3600});
    let release = json!({"group": "support", "reason": "go on"});
    let mode = |mode| json!({"mode": mode, "reason": "stop"});
    let stops = [[("hold", hold), ("release", release)], [("mode", mode("observe")), ("mode", mode("auto"))]];
    for words in stops {
        play(&day(), async |w| {
            let agent = start(w).await;
            rollback(&agent).await;
            while swapped(w) < 4 {
                w.clock.sleep(Duration::from_millis(5)).await;
            }
            for (verb, body) in &words {
                assert_eq!(agent.post(verb, body.clone()).await.0, 200);
            }
            let before = swapped(w);
            w.pass(600).await;
            let after = swapped(w);
            assert!(before < NUMBERS / 2 && after <= before + AT_ONCE, "{words:?}: {before}, then {after}");
            rollback(&agent).await;
            w.pass(600).await;
            assert_eq!(swapped(w), NUMBERS, "{words:?}");
            agent.stop().await;
        });
    }
}

/// The later stages of a restore are given up with `observe`, and said to be.
#[test]
fn a_staged_restore_does_not_go_on_after_observe() {
    play(&day(), async |w| {
        let agent = start(w).await;
        rollback(&agent).await;
        w.pass(600).await;
        assert_eq!(swapped(w), NUMBERS);
        let restore = json!({"group": "support", "reason": "it is well"});
        assert_eq!(agent.post("restore", restore).await.0, 200);
        w.pass(20).await;
        let left = swapped(w);
        assert!((NUMBERS / 2..NUMBERS).contains(&left), "a canary first: {left}");
        let (_, said) = agent.post("mode", json!({"mode": "observe", "reason": "stop"})).await;
        assert!(said["done"].as_str().unwrap().contains("its later stages are given up"), "{said}");
        assert_eq!(agent.post("mode", json!({"mode": "auto", "reason": "go on"})).await.0, 200);
        w.pass(3 * 3600).await;
        assert_eq!(swapped(w), left, "nobody has ordered them anew");
        agent.stop().await;
    });
}

/// What Twilio has refused as too many is not asked for again behind a person's back.
#[test]
fn what_was_too_many_is_not_repeated_after_the_stop() {
    play(&day(), async |w| {
        let agent = start(w).await;
        let writes = ApiFaultScope::Class(EndpointClass::NumberUpdate);
        w.sim.fault(ApiFault::new(ApiFaultKind::TooMany, writes).lasts(Duration::from_secs(10))).unwrap();
        rollback(&agent).await;
        w.pass(2).await;
        let hold = json!({"group": "support", "reason": "stop", "seconds": 3600});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        let before = asked(w);
        assert!(before > 0 && swapped(w) == 0, "{before} were refused");
        w.pass(600).await;
        assert!(asked(w) <= before + AT_ONCE as u64, "{} after {before}", asked(w));
        assert_eq!(swapped(w), 0);
        agent.stop().await;
    });
}

/// What the detector was let go to do in one mode is not done in another, also if that was left again at once.
#[test]
fn a_mode_that_changes_under_the_detectors_rollback_stops_it() {
    const COUNT: usize = 12;
    for modes in [&["confirm"][..], &["observe", "confirm"]] {
        play(&day_of(COUNT), async |w| {
            let agent = start_with(w, COUNT).await;
            w.sim
                .set_handler("https://app.example.com/voice", HandlerState::all(HandlerCondition::Status(500)))
                .unwrap();
            for _ in 0..400_000 {
                if swapped(w) >= 2 {
                    break;
                }
                w.clock.sleep(Duration::from_millis(5)).await;
            }
            for mode in modes {
                assert_eq!(agent.post("mode", json!({"mode": mode, "reason": "stop"})).await.0, 200);
            }
            let before = swapped(w);
            w.pass(600).await;
            let after = swapped(w);
            assert!((2..COUNT / 2).contains(&before) && after <= before + AT_ONCE, "{modes:?}: {before}, then {after}");
            agent.stop().await;
        });
    }
}

/// What the detector was let go to do on what it saw is not done once nothing can be seen.
#[test]
fn blindness_under_the_detectors_rollback_stops_it() {
    const COUNT: usize = 40;
    play(&day_of(COUNT), async |w| {
        let agent = start_with(w, COUNT).await;
        let slow = ApiFault::new(ApiFaultKind::Slow, ApiFaultScope::Class(EndpointClass::NumberUpdate));
        w.sim.fault(ApiFault { takes: Duration::from_secs(8), ..slow }).unwrap();
        w.sim.set_handler("https://app.example.com/voice", HandlerState::all(HandlerCondition::Status(500))).unwrap();
        for _ in 0..4000 {
            if swapped(w) >= 2 {
                break;
            }
            w.clock.sleep(Duration::from_millis(500)).await;
        }
        w.sim.fault(ApiFault::new(ApiFaultKind::Unavailable, ApiFaultScope::Class(EndpointClass::Calls))).unwrap();
        w.pass(100).await;
        let before = swapped(w);
        w.pass(600).await;
        assert!((2..COUNT - 4).contains(&before) && swapped(w) <= before + AT_ONCE, "{before}, then {}", swapped(w));
        agent.stop().await;
    });
}
