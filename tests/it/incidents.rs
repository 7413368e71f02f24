//! One trouble with one group is one incident: numbers that fail one after the other, as on-call is told of them.

use std::collections::BTreeSet;
use std::time::Duration;

use ringback::core::model::id::Channel;
use ringback::core::model::verdict::Verdict;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass, HandlerCondition, HandlerState};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::receiver::{Receiver, webhook};
use crate::world::{BIN, Running, World, play};

/// Numbers of the one group that the agent knows; at the pretend Twilio each has a handler of its own.
const NUMBERS: usize = 8;

/// Between the failure of one number's handler and the next.
const APART: u64 = 420;

fn day() -> String {
    let mut text = "name = \"one by one\"\nseed = 11\nlasts = \"6h\"\nhistory = \"0s\"\n\n[[bin]]\n\
         sid = \"EH00000000000000000000000000000001\"\ndoes = \"answer\"\n"
        .to_owned();
    for i in 0..NUMBERS {
        text += &format!(
            "\n[[group]]\nname = \"n{i}\"\nnumbers = [\"+1500555010{i}\"]\n\
             traffic = {{ calls_per_hour = 60, shape = \"flat\", failure = 0.0 }}\n\
             routing = {{ voice_url = \"https://app{i}.example.com/voice\" }}\n"
        );
    }
    text
}

/// An agent to whom all of them are one group.
async fn start(w: &mut World, mode: &str, hook: &Receiver) -> Running {
    start_with(w, mode, NUMBERS, &format!("[group.fallback]\nvoice_url = \"{BIN}\""), hook).await
}

/// One to whom the first `count` of them are one group.
async fn start_with(w: &mut World, mode: &str, count: usize, fallback: &str, hook: &Receiver) -> Running {
    w.env.insert("HOOK_KEY", "a key");
    w.env.insert("RINGBACK_TOKEN", "open sesame");
    let numbers: Vec<String> = (0..count).map(|i| format!("\"+1500555010{i}\"")).collect();
    let text = format!(
        "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{}\"\n\n[agent]\nlisten = \"127.0.0.1:0\"\n{mode}\n\n[[group]]\n\
         name = \"support\"\nnumbers = [{}]\nchannels = [\"voice\"]\n{fallback}\n{}",
        w.sim.scenario().account.sid,
        w.base_url,
        numbers.join(", "),
        webhook("hook", hook)
    );
    let config = w.parse(&text).unwrap_or_else(|e| panic!("{e}"));
    w.start_with(&config).await.unwrap()
}

fn set(w: &World, i: usize, condition: HandlerCondition) {
    w.sim.set_handler(&format!("https://app{i}.example.com/voice"), HandlerState::all(condition)).unwrap();
}

/// The handlers of all numbers fail, one after the other.
async fn fail_one_by_one(w: &World) {
    for i in 0..NUMBERS {
        set(w, i, HandlerCondition::Status(500));
        w.pass(APART).await;
    }
}

async fn command(agent: &Running, verb: &str, body: Value) {
    let answer = reqwest::Client::new()
        .post(format!("{}/api/v1/{verb}", agent.url))
        .bearer_auth("open sesame")
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{verb} {body}");
}

/// Kind and status of each notice, and the number that it speaks of.
fn story(hook: &Receiver) -> Vec<(String, String, usize)> {
    let field = |n: &Value, key: &str| n[key].as_str().unwrap_or_default().to_owned();
    hook.bodies()
        .iter()
        .map(|n| (field(n, "kind"), field(n, "status"), n["numbers"].as_array().map_or(0, Vec::len)))
        .collect()
}

fn show(hook: &Receiver) -> String {
    hook.bodies().iter().map(|n| format!("[{}]\n{}\n", n["key"], n["text"].as_str().unwrap())).collect()
}

/// All that was told is of one incident.
fn one_incident(hook: &Receiver) {
    for notice in hook.bodies() {
        assert_eq!(notice["key"], "support/voice/handler", "{}", show(hook));
    }
}

/// How often the told kind and status is `kind`.
fn count(hook: &Receiver, kind: &str, status: &str) -> usize {
    story(hook).iter().filter(|(k, s, _)| k == kind && s == status).count()
}

#[test]
fn in_auto_numbers_that_fail_one_by_one_are_one_incident_that_is_told_when_it_begins_when_it_is_most_and_when_it_is_over()
 {
    play(&day(), async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let agent = start(w, "mode = \"auto\"", &hook).await;
        w.pass(1200).await;
        fail_one_by_one(w).await;
        assert!(agent.status().decisions.len() >= 4, "{:?}", agent.status().decisions);
        assert_eq!(count(&hook, "rolled_back", "firing"), 2, "{}", show(&hook));
        assert_eq!(hook.bodies().len(), 2, "{}", show(&hook));
        one_incident(&hook);
        let numbers: Vec<usize> = story(&hook).iter().map(|(_, _, n)| *n).collect();
        assert!(numbers[0] == 1 && numbers[1] > NUMBERS / 2, "one, then most of them: {}", show(&hook));
        (0..NUMBERS).for_each(|i| set(w, i, HandlerCondition::Healthy));
        let all = json!({"group": "support", "channel": "voice", "reason": "repaired", "at_once": true});
        command(&agent, "restore", all).await;
        w.pass(120).await;
        assert_eq!(hook.bodies().len(), 3, "{}", show(&hook));
        assert_eq!(count(&hook, "restored", "resolved"), 1, "{}", show(&hook));
        one_incident(&hook);
        agent.stop().await;
    });
}

#[test]
fn in_confirm_later_questions_join_the_first_and_answers_are_told_once() {
    play(&day(), async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let agent = start(w, "mode = \"confirm\"\napprove_within = \"3h\"", &hook).await;
        w.pass(1200).await;
        fail_one_by_one(w).await;
        assert_eq!(count(&hook, "asked", "firing"), 2, "{}", show(&hook));
        assert_eq!(hook.bodies().len(), 2, "{}", show(&hook));
        let text = hook.bodies()[0]["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("CRITICAL Approval needed: support voice, "), "{text}");
        assert!(text.contains("$ ringback approve D"), "{text}");
        let all = json!({"group": "support", "channel": "voice", "reason": "all of them"});
        command(&agent, "rollback", all).await;
        w.pass(300).await;
        assert_eq!(hook.bodies().len(), 3, "{}", show(&hook));
        assert_eq!(story(&hook)[2], ("rolled_back".to_owned(), "firing".to_owned(), NUMBERS), "{}", show(&hook));
        one_incident(&hook);
        agent.stop().await;
    });
}

#[test]
fn under_a_hold_the_block_is_told_once_and_its_end_shows_in_what_is_done() {
    play(&day(), async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let agent = start(w, "mode = \"auto\"", &hook).await;
        w.pass(1200).await;
        command(&agent, "hold", json!({"group": "support", "seconds": 14_400, "reason": "a deployment"})).await;
        fail_one_by_one(w).await;
        assert_eq!(count(&hook, "held", "firing"), 2, "{}", show(&hook));
        assert_eq!(hook.bodies().len(), 2, "{}", show(&hook));
        let text = hook.bodies()[0]["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("CRITICAL Rollback blocked: support voice, "), "{text}");
        assert!(text.contains("a deployment"), "{text}");
        command(&agent, "release", json!({"group": "support", "reason": "over"})).await;
        w.pass(300).await;
        assert_eq!(hook.bodies().len(), 3, "{}", show(&hook));
        assert_eq!(story(&hook)[2], ("rolled_back".to_owned(), "firing".to_owned(), NUMBERS), "{}", show(&hook));
        one_incident(&hook);
        agent.stop().await;
    });
}

/// A number that is served again while others are not leaves the incident, also for the agent that starts next: it
/// would find the group half broken otherwise, and say so.
#[test]
fn a_number_that_recovers_beside_others_stays_recovered_after_a_restart() {
    play(&day(), async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let agent = start_with(w, "mode = \"auto\"", 5, "", &hook).await;
        w.pass(1200).await;
        let first = "+15005550100".parse().unwrap();
        for i in [0, 1] {
            set(w, i, HandlerCondition::Status(500));
            w.pass(APART).await;
        }
        set(w, 0, HandlerCondition::Healthy);
        w.pass(3 * 3600).await;
        assert_eq!(agent.channel(first, Channel::Voice).verdict, Verdict::Healthy);
        set(w, 2, HandlerCondition::Status(500));
        w.pass(APART).await;
        // Two of five are in trouble. With the one that has recovered it would be most of them.
        let decided: BTreeSet<_> = agent.status().decisions.iter().flat_map(|d| d.numbers.clone()).collect();
        assert_eq!(decided.len(), 3, "{decided:?}");
        let told = hook.bodies().len();
        agent.stop().await;
        for _ in 0..2 {
            let agent = start_with(w, "mode = \"auto\"", 5, "", &hook).await;
            w.pass(120).await;
            agent.stop().await;
        }
        assert_eq!(hook.bodies().len(), told, "told after a restart alone: {}", show(&hook));
        one_incident(&hook);
    });
}

#[test]
fn a_rollback_that_failed_on_a_healthy_number_is_over_after_a_while() {
    play(&day(), async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        let agent = start(w, "mode = \"auto\"", &hook).await;
        w.pass(1200).await;
        let number = "+15005550100".parse().unwrap();
        assert_eq!(agent.channel(number, Channel::Voice).verdict, Verdict::Healthy);
        let writes = ApiFaultScope::Class(EndpointClass::NumberUpdate);
        w.sim.fault(ApiFault::new(ApiFaultKind::Refuse, writes).lasts(Duration::from_secs(60))).unwrap();
        command(&agent, "rollback", json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "drill"})).await;
        w.pass(120).await;
        assert_eq!(count(&hook, "unproven", "firing"), 1, "{}", show(&hook));
        assert_eq!(hook.bodies().len(), 1, "{}", show(&hook));
        w.pass(400).await;
        let last = hook.bodies().pop().unwrap();
        assert_eq!((hook.bodies().len(), &last["status"]), (2, &json!("resolved")), "{}", show(&hook));
        one_incident(&hook);
        // And it stays so, also for the agent that comes after.
        agent.stop().await;
        let agent = start(w, "mode = \"auto\"", &hook).await;
        w.pass(600).await;
        assert_eq!(hook.bodies().len(), 2, "{}", show(&hook));
        agent.stop().await;
    });
}
