//! Logs that are answered and stand still: what is not shown is not known, and never health.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ringback::core::model::id::Channel;
use ringback::core::model::verdict::Verdict;
use ringback::sim::{HandlerCondition, HandlerState};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::check_traps::CLEAN;
use crate::notices::start;
use crate::probe_trouble::{Passing, between};
use crate::receiver::{Receiver, webhook};
use crate::support::{sql, support, with_token};
use crate::world::{Running, World, play, play_based, with_prober};

const APP: &str = "https://app.example.com/voice";

/// Eight calls a minute.
fn busy() -> String {
    DAY.replace("calls_per_hour = 90", "calls_per_hour = 240").replace("history = \"0s\"", "history = \"30m\"")
}

fn is_log(path: &str) -> bool {
    path.contains("Calls.json") || path.contains("Alerts")
}

fn verdicts(agent: &Running) -> Vec<Verdict> {
    support().iter().map(|n| agent.channel(*n, Channel::Voice).verdict).collect()
}

/// No number and no group is said to be healthy.
fn assert_no_health(agent: &Running, what: &str) {
    let status = serde_json::to_value(&*agent.status()).unwrap();
    for group in status["groups"].as_array().unwrap() {
        let of = |of: &Value| of["channels"].as_array().unwrap().clone();
        let all = group["numbers"].as_array().unwrap().iter().flat_map(of).chain(of(group));
        for channel in all {
            assert_ne!(channel["verdict"], "healthy", "{what}: {channel}");
        }
    }
}

/// An agent beside a Twilio whose answers are changed from when `is_on` is, for as long as it is.
async fn watched(
    w: &mut World,
    servers: &mut JoinSet<()>,
    change: impl Fn(&mut Passing, bool) + Clone + Send + Sync + 'static,
) -> (Arc<AtomicBool>, Receiver, Running) {
    with_token(w);
    let is_on = Arc::new(AtomicBool::new(false));
    let on = is_on.clone();
    between(w, servers, move |passing| change(passing, on.load(Ordering::Relaxed))).await;
    let receiver = Receiver::listen(w, servers).await;
    let agent = start(w, &webhook("hook", &receiver)).await;
    (is_on, receiver, agent)
}

/// When a row was made: calls have the date of a mail, alerts one of ISO's.
fn made(row: &Value) -> Option<jiff::Timestamp> {
    let text = row["date_created"].as_str()?;
    text.parse().ok().or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|z| z.timestamp()))
}

/// Each list with the rows alone that it had shown when it began to stand still.
fn frozen() -> impl Fn(&mut Passing, bool) + Clone + Send + Sync + 'static {
    let shown: Arc<Mutex<HashSet<String>>> = Arc::default();
    move |passing, is_still| {
        let Some(mut page) = passing.json().filter(|_| is_log(&passing.path)) else { return };
        let key = if passing.path.contains("Calls.json") { "calls" } else { "alerts" };
        let Some(rows) = page[key].as_array_mut() else { return };
        let mut shown = shown.lock().unwrap();
        let sid = |row: &Value| row["sid"].as_str().unwrap_or_default().to_owned();
        if is_still {
            rows.retain(|row| shown.contains(&sid(row)));
            passing.set(&page);
        } else {
            shown.extend(rows.iter().map(sid));
        }
    }
}

/// Both logs are well-formed and empty, although a hundred entries of the last minutes were shown before.
#[test]
fn a_log_that_no_longer_shows_what_it_has_shown_is_not_read() {
    type Change = fn(&str, &mut Value);
    let changes: [(&str, Change); 2] = [
        ("all", |key, page| {
            page[key] = json!([]);
            page["next_page_uri"] = Value::Null;
            page["meta"]["next_page_url"] = Value::Null;
        }),
        ("one in two", |key, page| {
            let mut i = 0;
            page[key].as_array_mut().unwrap().retain(|_| {
                i += 1;
                i % 2 == 0
            });
        }),
    ];
    for (what, change) in changes {
        play(&busy(), async |w| {
            let mut servers = JoinSet::new();
            let change = move |passing: &mut Passing, is_on: bool| {
                let Some(mut page) = passing.json().filter(|_| is_on && is_log(&passing.path)) else { return };
                let key = if passing.path.contains("Calls.json") { "calls" } else { "alerts" };
                if page[key].is_array() {
                    change(key, &mut page);
                    passing.set(&page);
                }
            };
            let (is_on, receiver, agent) = watched(w, &mut servers, change).await;
            w.pass(900).await;
            assert_eq!(verdicts(&agent), [Verdict::Healthy; 3], "{what}");
            is_on.store(true, Ordering::Relaxed);
            w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
            w.pass(180).await;
            assert_eq!(verdicts(&agent), [Verdict::Blind; 3], "{what}");
            assert_no_health(&agent, what);
            let (code, body) = agent.get("/-/ready").await;
            assert!(code == 503 && body.contains("cannot read calls"), "{what}: {body}");
            let told = receiver.bodies().into_iter().find(|b| b["kind"] == "blind");
            let told = told.unwrap_or_else(|| panic!("{what}: somebody is told")).to_string();
            assert!(told.contains("it no longer shows"), "{what}: {told}");
            // However long it lasts: what was shown is not forgotten.
            w.pass(600).await;
            assert_no_health(&agent, what);
            is_on.store(false, Ordering::Relaxed);
            w.pass(600).await;
            assert!(agent.channel(support()[0], Channel::Voice).is_on_fallback, "{what}: they are judged after all");
            agent.stop().await;
        });
    }
}

/// Rows go on coming, and from some moment on none is seen to end: of nobody who came since is it known what became of
/// them, and whoever was served before says nothing any more.
#[test]
fn calls_of_which_none_is_seen_to_end_are_nobodys_health() {
    play(&busy(), async |w| {
        let mut servers = JoinSet::new();
        let ended: Arc<Mutex<HashSet<String>>> = Arc::default();
        let change = move |passing: &mut Passing, is_on: bool| {
            let Some(mut body) = passing.json().filter(|_| passing.path.contains("/Calls")) else { return };
            let mut ended = ended.lock().unwrap();
            let mut keep = |row: &mut Value| {
                let sid = row["sid"].as_str().unwrap_or_default().to_owned();
                if !is_on {
                    ended.insert(sid);
                } else if !ended.contains(&sid) {
                    row["status"] = json!("in-progress");
                    (row["end_time"], row["duration"]) = (Value::Null, Value::Null);
                }
            };
            let is_one = body["sid"].as_str().is_some_and(|sid| sid.starts_with("CA"));
            match body["calls"].as_array_mut() {
                Some(rows) => rows.iter_mut().for_each(keep),
                None if is_one => keep(&mut body),
                None => return,
            }
            passing.set(&body);
        };
        let (is_on, _receiver, agent) = watched(w, &mut servers, change).await;
        w.pass(900).await;
        assert_eq!(verdicts(&agent), [Verdict::Healthy; 3]);
        is_on.store(true, Ordering::Relaxed);
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(1200).await;
        assert_no_health(&agent, "none has ended for twenty minutes");
        agent.stop().await;
    });
}

/// The account's list, read to its end, lacks support's first number.
fn without_the_first(passing: &mut Passing, is_on: bool) {
    let number = support()[0].to_string();
    let is_list = is_on && passing.path.contains("IncomingPhoneNumbers.json");
    let Some(mut page) = passing.json().filter(|_| is_list) else { return };
    page["incoming_phone_numbers"].as_array_mut().unwrap().retain(|row| row["phone_number"] != number);
    passing.set(&page);
}

/// The account's list is read to its end and lacks a number that it had. Callers of it who are seen to be served go on
/// saying that they are; who answers it is not known any more.
#[test]
fn a_number_that_leaves_the_account_is_missing_from_then_on() {
    play(&busy(), async |w| {
        let mut servers = JoinSet::new();
        let (is_on, receiver, agent) = watched(w, &mut servers, without_the_first).await;
        let is_in_account = |agent: &Running| {
            let status = agent.status();
            status.numbers().find(|(_, n)| n.number == support()[0]).unwrap().1.is_in_account
        };
        w.pass(900).await;
        assert!(is_in_account(&agent) && verdicts(&agent) == [Verdict::Healthy; 3]);
        is_on.store(true, Ordering::Relaxed);
        w.pass(200).await;
        assert!(!is_in_account(&agent));
        let (_, status) = agent.get("/api/v1/status").await;
        assert!(status.contains("Not in the Twilio account: support voice, +15005550100"), "{status}");
        assert_eq!(verdicts(&agent)[1..], [Verdict::Healthy; 2], "the others are as they were");
        // The next agent knows it before it has read the list.
        agent.stop().await;
        let agent = start(w, &webhook("hook", &receiver)).await;
        assert!(!is_in_account(&agent));
        is_on.store(false, Ordering::Relaxed);
        w.pass(200).await;
        assert!(is_in_account(&agent));
        agent.stop().await;
    });
}

/// The state file does not take that it left: it is told again until it does.
#[test]
fn a_number_that_leaves_beside_a_full_disk_is_missing_once_that_can_be_kept() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let (is_on, _, agent) = watched(w, &mut servers, without_the_first).await;
        w.pass(300).await;
        let full = "CREATE TRIGGER full BEFORE INSERT ON observation WHEN NEW.kind = 'absent'
            BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
        sql(w, full).await;
        is_on.store(true, Ordering::Relaxed);
        w.pass(300).await;
        let is_missing = async || agent.get("/api/v1/status").await.1.contains("Not in the Twilio account");
        assert!(!is_missing().await, "nothing rests on what is not kept");
        sql(w, "DROP TRIGGER full").await;
        w.pass(200).await;
        assert!(is_missing().await);
        agent.stop().await;
    });
}

/// Twilio deletes calls on request, and a page may shift while it is read.
#[test]
fn a_few_rows_that_are_gone_cost_no_sight_and_neither_do_many_once_new_ones_have_come() {
    play(&busy(), async |w| {
        let mut servers = JoinSet::new();
        let gone: Arc<Mutex<Vec<String>>> = Arc::default();
        let delete = {
            let gone = gone.clone();
            move |passing: &mut Passing, is_on: bool| {
                let Some(mut page) = passing.json().filter(|_| passing.path.contains("Calls.json")) else { return };
                let Some(rows) = page["calls"].as_array_mut() else { return };
                let mut gone = gone.lock().unwrap();
                let every = if is_on { 3 } else { 12 };
                // One in twelve of those that are there, and once one in three.
                if rows.len() > 40 && gone.len() < rows.len() / every && (is_on || gone.is_empty()) {
                    gone.extend(rows.iter().step_by(every).filter_map(|r| r["sid"].as_str()).map(str::to_owned));
                }
                rows.retain(|row| !gone.iter().any(|sid| row["sid"] == sid.as_str()));
                passing.set(&page);
            }
        };
        let (is_on, _, agent) = watched(w, &mut servers, delete).await;
        w.pass(900).await;
        assert!(gone.lock().unwrap().len() > 2);
        assert_eq!(verdicts(&agent), [Verdict::Healthy; 3], "one in twelve");
        is_on.store(true, Ordering::Relaxed);
        w.pass(120).await;
        assert_eq!(verdicts(&agent), [Verdict::Blind; 3], "what is deleted cannot be told from what is not shown");
        is_on.store(false, Ordering::Relaxed);
        w.pass(1800).await;
        assert_eq!(verdicts(&agent), [Verdict::Healthy; 3], "there are four others for each of them");
        agent.stop().await;
    });
}

/// The same rows for ever, with a date of now, as a cache gives them: all numbers are silent, and that is said.
#[test]
fn no_calls_at_all_on_any_number_is_said_and_is_nobodys_health() {
    play(&busy(), async |w| {
        let mut servers = JoinSet::new();
        let (is_still, receiver, agent) = watched(w, &mut servers, frozen()).await;
        w.pass(900).await;
        assert_eq!(verdicts(&agent), [Verdict::Healthy; 3]);
        is_still.store(true, Ordering::Relaxed);
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(900).await;
        assert_eq!(verdicts(&agent), [Verdict::Silent; 3]);
        assert_no_health(&agent, "frozen");
        let kinds = |receiver: &Receiver| -> Vec<(String, String)> {
            let of = |b: &Value, key: &str| b[key].as_str().unwrap_or_default().to_owned();
            receiver.bodies().iter().map(|b| (of(b, "kind"), of(b, "status"))).collect()
        };
        let told: Vec<Value> = receiver.bodies().into_iter().filter(|b| b["kind"] == "no_calls").collect();
        assert_eq!(told.len(), 1, "{:?}", kinds(&receiver));
        let text = told[0].to_string();
        for said in ["No calls at all, on any number", "no call of any number since", "were to be expected"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let status = serde_json::to_value(&*agent.status()).unwrap();
        let troubles: Vec<&str> =
            status["troubles"].as_array().unwrap().iter().filter_map(|t| t["title"].as_str()).collect();
        assert_eq!(troubles, ["No calls at all, on any number"], "once for all");
        // A restart forgets nothing of it.
        agent.stop().await;
        let agent = start(w, &webhook("hook", &receiver)).await;
        w.pass(300).await;
        assert_no_health(&agent, "restarted");
        assert_eq!(kinds(&receiver).iter().filter(|(kind, _)| kind == "no_calls").count(), 1);
        // It moves again, and the callers who failed meanwhile are seen.
        is_still.store(false, Ordering::Relaxed);
        w.pass(600).await;
        assert!(agent.channel(support()[0], Channel::Voice).is_on_fallback);
        assert!(kinds(&receiver).contains(&("no_calls".to_owned(), "resolved".to_owned())), "{:?}", kinds(&receiver));
        agent.stop().await;
    });
}

/// From the first minute on: what was there before the agent tells how many calls are to be expected.
#[test]
fn a_log_that_stands_still_from_the_beginning_is_said_by_what_came_before() {
    play(&busy(), async |w| {
        let mut servers = JoinSet::new();
        let (is_still, receiver, agent) = watched(w, &mut servers, frozen()).await;
        w.pass(60).await;
        is_still.store(true, Ordering::Relaxed);
        w.pass(1020).await;
        assert_no_health(&agent, "frozen");
        assert!(receiver.bodies().iter().any(|b| b["kind"] == "no_calls"));
        agent.stop().await;
    });
}

/// Health is said on evidence, and lapses with it.
#[test]
fn a_busy_number_to_which_nobody_comes_is_unknown_and_a_quiet_one_stays_as_it_is() {
    let quiet = DAY.replace("calls_per_hour = 90", "calls_per_hour = 9");
    for (what, day) in [("busy", DAY.replace("lasts = \"4h\"", "lasts = \"1h\"")), ("quiet", quiet)] {
        play(&day, async |w| {
            let agent = w.start().await.unwrap();
            w.pass(3000).await;
            for minute in (0..60).step_by(3) {
                w.pass(180).await;
                let status = serde_json::to_value(&*agent.status()).unwrap();
                for number in status["groups"][0]["numbers"].as_array().unwrap() {
                    let voice = &number["channels"][0];
                    let is_bare = voice["verdict"] == "healthy" && voice["evidence"]["callers"] == 0;
                    assert!(!is_bare, "{what}, minute {minute}: {voice}");
                }
            }
            let all = verdicts(&agent);
            match what {
                "busy" => assert!(!all.contains(&Verdict::Healthy), "their day is over: {all:?}"),
                _ => assert!(all.contains(&Verdict::Healthy), "{all:?}"),
            }
            agent.stop().await;
        });
    }
}

/// An account that deletes each text soon after it came, for what is in it: the list shows new ones all the time.
#[test]
fn texts_that_are_deleted_as_they_are_delivered_cost_no_sight() {
    let day = CLEAN.replace("messages_per_hour = 10", "messages_per_hour = 240");
    play_based(&with_prober(&day), async |w| {
        let mut servers = JoinSet::new();
        let delete = |passing: &mut Passing, is_on: bool| {
            let Some(mut page) = passing.json().filter(|_| is_on && passing.path.contains("Messages.json")) else {
                return;
            };
            let Some(rows) = page["messages"].as_array_mut() else { return };
            let newest = rows.iter().filter_map(made).max().unwrap_or_default();
            rows.retain(|row| made(row).is_none_or(|at| newest.duration_since(at).as_secs() < 20));
            passing.set(&page);
        };
        let (is_on, _, agent) = watched(w, &mut servers, delete).await;
        w.pass(900).await;
        is_on.store(true, Ordering::Relaxed);
        for _ in 0..20 {
            w.pass(60).await;
            let verdict = agent.channel(support()[0], Channel::Messaging).verdict;
            assert_ne!(verdict, Verdict::Blind);
        }
        agent.stop().await;
    });
}
