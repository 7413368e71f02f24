//! What each of the operator's verbs does, by scope and mode: the rows of the table in
//! `core::rollback::operator`, through the API and the command line.

use std::time::Duration;

use ringback::core::model::id::E164;
use ringback::sim::{Edit, Happening};
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::support::{break_app, drill, support, url, with_token, writes};
use crate::words::ringback;
use crate::world::{BIN, Running, World, play};

const APP: &str = "https://app.example.com/voice";

fn said(answer: &Value) -> String {
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    text("done") + &text("error")
}

/// What stands against the rollbacks that wait, by label.
fn guards(agent: &Running) -> Vec<&'static str> {
    let mut all: Vec<_> = agent.status().waiting.iter().flat_map(|d| d.guards.clone()).map(|g| g.label()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn on_bin(w: &World) -> usize {
    support().into_iter().filter(|n| url(w, *n) == BIN).count()
}

fn named() -> Vec<String> {
    support().iter().map(ToString::to_string).collect()
}

/// How each restore's and rollback's wait ended, as the journal says.
async fn closed(agent: &Running) -> Vec<String> {
    let mut all = Vec::new();
    for line in agent.agent.memory.latest(100).await.unwrap() {
        for entry in agent.memory_entries(line.entry.decision().unwrap()).await {
            let entry = serde_json::to_value(entry).unwrap();
            all.extend(entry["why"].as_str().filter(|_| entry["kind"] == "closed").map(str::to_owned));
        }
    }
    all
}

/// An agent whose support numbers fail, in a mode that does not swap them.
async fn failing(w: &mut World, mode: &str) -> Running {
    with_token(w);
    w.agent_section = format!("mode = \"{mode}\"\napprove_within = \"2h\"\n");
    let agent = w.start().await.unwrap();
    w.pass(600).await;
    break_app(w);
    while agent.status().waiting.iter().map(|d| d.numbers.len()).sum::<usize>() < 3 {
        w.pass(1).await;
    }
    agent
}

#[test]
fn a_selection_that_contradicts_itself_is_refused_by_every_verb() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let one = support()[0].to_string();
        for verb in ["rollback", "restore", "hold", "release", "ported", "adopt"] {
            for ask in [
                json!({"all": true, "group": "support", "reason": "x"}),
                json!({"all": true, "numbers": [one], "reason": "x"}),
                json!({"group": "sales", "numbers": [one], "reason": "x"}),
                json!({"reason": "x"}),
            ] {
                let (status, answer) = agent.post(verb, ask.clone()).await;
                assert_eq!(status, 400, "{verb} {ask}: {answer}");
                assert!(said(&answer).contains("name exactly one of"), "{verb} {ask}: {answer}");
            }
        }
        for verb in ["rollback", "restore", "hold", "release"] {
            for words in [&["--all", "--group", "sales"][..], &[&one, "--all"], &[&one, "--group", "sales"], &[]] {
                let words: Vec<&str> = [&[verb, "--reason", "x"], words].concat();
                let (code, said) = ringback(w, &agent, &words).await;
                assert_eq!(code, 2, "{words:?}: {said}");
            }
            // What is not ours is bad usage too.
            assert_eq!(ringback(w, &agent, &[verb, "--reason", "x", "--group", "nobody"]).await.0, 2);
        }
        assert!(writes(w).is_empty() && agent.status().holds.is_empty());
        agent.stop().await;
    });
}

#[test]
fn numbers_that_are_not_watched_on_the_channel_are_named() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        for verb in ["rollback", "restore"] {
            let (code, said) =
                ringback(w, &agent, &[verb, "--group", "support", "--channel", "messaging", "--reason", "x"]).await;
            assert_eq!((code, said.matches("is not watched on messaging").count()), (1, 3), "once: {verb}: {said}");
        }
        for verb in ["hold", "release"] {
            let ask = json!({"group": "support", "channel": "messaging", "reason": "x"});
            let (status, answer) = agent.post(verb, ask).await;
            assert_eq!(status, 409, "{answer}");
            assert!(said(&answer).contains("not watched on messaging"), "{answer}");
        }
        assert!(writes(w).is_empty() && agent.status().holds.is_empty());
        agent.stop().await;
    });
}

#[test]
fn nothing_is_approved_in_observe_and_a_change_of_mode_asks_anew() {
    play(DAY, async |w| {
        let agent = failing(w, "observe").await;
        let waiting = agent.status().waiting[0].decision.to_string();
        let (status, answer) = agent.post("approve", json!({"decision": waiting, "reason": "yes"})).await;
        assert_eq!(status, 409, "{answer}");
        assert!(said(&answer).contains("ringback mode confirm"), "it names the cure: {answer}");
        agent.post("mode", json!({"mode": "confirm", "reason": "go"})).await;
        w.pass(60).await;
        assert!(writes(w).is_empty(), "nobody said yes in confirm");
        assert_eq!(guards(&agent), ["mode"]);
        // An approval that a hold keeps from being carried out is void once the mode has changed.
        let hold = json!({"group": "support", "reason": "look", "seconds": 3600});
        let (_, answer) = agent.post("hold", hold).await;
        assert!(said(&answer).contains(&waiting), "a hold says which rollbacks it stops: {answer}");
        w.pass(1).await;
        for d in agent.status().waiting.clone() {
            let (status, answer) =
                agent.post("approve", json!({"decision": d.decision.to_string(), "reason": "yes"})).await;
            assert_eq!(status, 200, "{answer}");
            assert!(
                said(&answer).contains("a person has put a hold on it"),
                "what is left in the way is said: {answer}"
            );
        }
        let (_, answer) = agent.post("mode", json!({"mode": "observe", "reason": "stop"})).await;
        assert!(said(&answer).contains(&waiting), "it says what it stops: {answer}");
        agent.post("release", json!({"group": "support", "reason": "looked"})).await;
        agent.post("mode", json!({"mode": "confirm", "reason": "go"})).await;
        w.pass(60).await;
        assert!(writes(w).is_empty(), "it asks anew");
        for d in agent.status().waiting.clone() {
            agent.post("approve", json!({"decision": d.decision.to_string(), "reason": "yes"})).await;
        }
        w.pass(60).await;
        assert!(on_bin(w) > 0, "a yes in confirm is enough");
        agent.stop().await;
    });
}

#[test]
fn a_release_lifts_what_it_covers_and_names_what_remains() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let one = support()[0].to_string();
        let hold = async |scope: Value| {
            let mut ask = scope;
            (ask["reason"], ask["seconds"]) = (json!("look"), json!(86_400));
            assert_eq!(agent.post("hold", ask).await.0, 200);
        };
        for broad in [json!({"all": true, "reason": "done"}), json!({"group": "support", "reason": "done"})] {
            hold(json!({"numbers": [one]})).await;
            hold(json!({"group": "support", "channel": "voice"})).await;
            let (status, answer) = agent.post("release", broad.clone()).await;
            w.pass(1).await;
            assert_eq!((status, agent.status().holds.len()), (200, 0), "{broad}: {answer}");
        }
        hold(json!({"all": true})).await;
        hold(json!({"numbers": [one]})).await;
        let words = ["release", &one, "--reason", "done"];
        let (code, said) = ringback(w, &agent, &words).await;
        assert!(code == 1 && said.contains("still held") && said.contains("all numbers"), "{said}");
        w.pass(1).await;
        assert_eq!(agent.status().holds.len(), 1, "its own hold is over");
        let (code, said) = ringback(w, &agent, &words).await;
        assert!(code == 1 && said.contains("not held"), "{said}");
        let (code, said) = ringback(w, &agent, &["release", "--all", "--reason", "done"]).await;
        assert!(code == 0 && said.contains("all numbers"), "{said}");
        let (code, said) = ringback(w, &agent, &["release", "--all", "--reason", "done"]).await;
        assert!(code == 1 && said.contains("not held"), "{said}");
        agent.stop().await;
    });
}

#[test]
fn a_hold_is_not_shortened_without_being_told_to() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let run = async |w: &World, words: &[&str]| {
            let words: Vec<&str> = [&["hold", "--group", "support", "--reason", "x"], words].concat();
            ringback(w, &agent, &words).await
        };
        let lasts = |w: &World| {
            let holds = agent.status().holds.clone();
            assert_eq!(holds.len(), 1);
            holds[0].until.since(w.now()).as_secs() / 60
        };
        assert_eq!(run(w, &["--for", "40h"]).await.0, 0);
        let (code, said) = run(w, &["--for", "30m"]).await;
        assert!(code == 1 && said.contains("--shorten"), "{said}");
        w.pass(1).await;
        assert!(lasts(w) > 1800, "the longer one is in force");
        assert_eq!(run(w, &["--for", "60h"]).await.0, 0);
        w.pass(1).await;
        assert!(lasts(w) > 3000, "a hold extends");
        assert_eq!(run(w, &["--for", "30m", "--shorten"]).await.0, 0);
        w.pass(1).await;
        assert!(lasts(w) <= 30);
        // A wider hold that lasts longer is named.
        agent.post("hold", json!({"all": true, "reason": "freeze", "seconds": 360_000})).await;
        let (_, said) = run(w, &["--for", "1h"]).await;
        assert!(said.contains("all numbers"), "{said}");
        agent.stop().await;
    });
}

#[test]
fn an_operators_rollback_ends_a_waiting_one_and_nobody_reads_that_callers_are_served() {
    play(DAY, async |w| {
        let agent = failing(w, "confirm").await;
        let (status, _) = agent.post("rollback", drill()).await;
        assert_eq!(status, 200);
        w.pass(120).await;
        assert_eq!((on_bin(w), agent.status().waiting.len()), (3, 0));
        let closed = closed(&agent).await;
        assert!(!closed.is_empty() && closed.iter().all(|why| why == "on_fallback"), "{closed:?}");
        let decisions = agent.status().decisions.len();
        w.pass(1200).await;
        assert_eq!(agent.status().decisions.len(), decisions, "the evidence from before the swap weighs no more");
        agent.stop().await;
    });
}

#[test]
fn the_contrary_order_gives_up_a_restore_that_waits() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        agent.post("rollback", drill()).await;
        w.pass(60).await;
        agent.post("restore", json!({"group": "support", "channel": "voice", "reason": "over"})).await;
        w.pass(30).await;
        assert_eq!(on_bin(w), 2, "the canary is back");
        let before: usize = writes(w).values().sum();
        let (_, plan) = agent.post("rollback", drill()).await;
        let mut action: Vec<&str> =
            plan["lines"].as_array().unwrap().iter().map(|l| l["action"].as_str().unwrap()).collect();
        action.sort_unstable();
        assert_eq!(action, ["keep", "keep", "rollback"], "{plan}");
        w.pass(30).await;
        assert_eq!(on_bin(w), 3);
        w.pass(2400).await;
        assert_eq!((on_bin(w), writes(w).values().sum::<usize>()), (3, before + 1), "the canary alone was written");
        assert!(agent.status().orders.iter().all(|o| o.is_over));
        assert_eq!(closed(&agent).await, ["countermanded"]);
        // And what stays can be restored again.
        let restore = json!({"group": "support", "channel": "voice", "reason": "now", "at_once": true});
        agent.post("restore", restore).await;
        w.pass(60).await;
        assert_eq!(on_bin(w), 0);
        agent.stop().await;
    });
}

#[test]
fn a_hold_makes_a_staged_restore_wait_and_not_relapse() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        agent.post("rollback", drill()).await;
        w.pass(60).await;
        agent.post("restore", json!({"group": "support", "channel": "voice", "reason": "over"})).await;
        w.pass(30).await;
        let hold = json!({"numbers": named(), "reason": "look", "seconds": 3000});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        w.pass(2400).await;
        assert_eq!((on_bin(w), closed(&agent).await), (2, vec![]), "it waits");
        agent.post("release", json!({"numbers": named(), "reason": "looked"})).await;
        w.pass(2400).await;
        assert_eq!(on_bin(w), 0, "and goes on");
        agent.stop().await;
    });
}

#[test]
fn the_time_for_a_veto_is_counted_from_the_end_of_a_hold() {
    play(DAY, async |w| {
        with_token(w);
        w.agent_section = "mode = \"auto\"\nveto = \"5m\"\n".into();
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        agent.post("hold", json!({"group": "support", "reason": "look", "seconds": 7200})).await;
        break_app(w);
        w.pass(1200).await;
        assert_eq!(guards(&agent), ["hold"]);
        agent.post("release", json!({"group": "support", "reason": "looked"})).await;
        w.pass(240).await;
        assert_eq!((guards(&agent), on_bin(w)), (vec!["veto"], 0), "somebody may object now");
        w.pass(120).await;
        assert_eq!(on_bin(w), 3);
        agent.stop().await;
    });
}

/// Somebody else writes a voice URL.
fn edit(w: &World, number: E164, to: &str) {
    let set = [("VoiceUrl".to_owned(), to.to_owned())].into();
    w.sim.happen(Happening::Edit(Edit { number, set })).unwrap();
}

#[test]
fn a_second_swap_against_another_writer_needs_a_person() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(900).await;
        assert_eq!(on_bin(w), 3, "the first swap asks nobody");
        let theirs = support()[0];
        edit(w, theirs, APP);
        let by = w.now() + Duration::from_secs(3600);
        while !guards(&agent).contains(&"other_writer") {
            w.pass(5).await;
            assert!(w.now() < by && writes(w)[&theirs] == 1, "swapped again without asking: {:?}", writes(w));
        }
        let waiting = ["group=\"support\"", "channel=\"voice\"", "reason=\"other_writer\""];
        assert_eq!(agent.sum("ringback_rollbacks_waiting", &waiting).await, 1.0);
        assert!(agent.metric(r#"ringback_rollbacks_suppressed_total{reason="other_writer"}"#).await >= Some(1.0));
        // A restart knows it too.
        agent.stop().await;
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        assert_eq!((guards(&agent), url(w, theirs).as_str()), (vec!["other_writer"], APP));
        let decision = agent.status().waiting[0].decision.to_string();
        agent.post("approve", json!({"decision": decision, "reason": "they agree"})).await;
        w.pass(60).await;
        assert_eq!(url(w, theirs), BIN, "a person's word is enough");
        // What a person has settled is settled: the next failure is a first one.
        let restore = json!({"numbers": [theirs.to_string()], "channel": "voice", "reason": "over", "at_once": true});
        agent.post("restore", restore).await;
        w.pass(30).await;
        assert_eq!(url(w, theirs), APP);
        w.pass(1800).await;
        assert_eq!(url(w, theirs), BIN, "it fails again and is swapped unasked");
        agent.stop().await;
    });
}

#[test]
fn writes_need_the_token_and_guessing_is_limited() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let try_with = async |token: &str| agent.post_as(token, "hold", json!({"all": true, "reason": "x"})).await.0;
        for _ in 0..10 {
            assert_eq!(try_with("guess").await, 401);
        }
        assert_eq!(try_with("guess").await, 429);
        assert_eq!(try_with("open sesame").await, 200, "the right one always passes");
        w.pass(61).await;
        assert_eq!(try_with("guess").await, 401);
        assert_eq!(agent.post("hold", json!({"all": true, "reason": "  "})).await.0, 422);
        agent.stop().await;
    });
}
