//! Rollback and restore by an operator's command and by the detector's decision, and whatever comes in between.

use std::collections::BTreeMap;
use std::time::Duration;

use ringback::core::model::guard::Guard;
use ringback::core::rollback::entry::Entry;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, HandlerCondition, HandlerState, Happening};
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::support::{after_a_failure, break_app, drill, record, support, url, with_token, writes};
use crate::world::{BIN, Running, World, play};

const APP: &str = "https://app.example.com/voice";

#[test]
fn an_operators_rollback_and_restore_leave_every_field_as_it_was() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let before: Vec<Value> = support().map(|n| record(w, n)).into();
        let ask = drill();
        let (status, plan) = agent.post("rollback", ask.clone()).await;
        assert_eq!((status, plan["lines"].as_array().unwrap().len()), (200, 3), "{plan}");
        w.pass(30).await;
        for n in support() {
            assert_eq!((url(w, n).as_str(), agent.rollback_state(n)), (BIN, "read_back"));
        }
        // Again: nothing is left to do.
        let (_, again) = agent.post("rollback", ask.clone()).await;
        assert!(again["lines"].as_array().unwrap().iter().all(|l| l["action"] == "nothing"), "{again}");
        assert_eq!(again["orders"], json!([]));
        let mut back = ask.clone();
        back["at_once"] = json!(true);
        agent.post("restore", back).await;
        w.pass(30).await;
        let after: Vec<Value> = support().map(|n| record(w, n)).into();
        assert_eq!(before, after);
        assert_eq!(agent.rollback_state(support()[0]), "restored");
        assert!(writes(w).values().all(|n| *n == 2), "{:?}", writes(w));
        agent.stop().await;
    });
}

#[test]
fn a_staged_restore_waits_for_callers_and_goes_on() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        agent.post("rollback", drill()).await;
        w.pass(60).await;
        agent.post("restore", json!({"group": "support", "channel": "voice", "reason": "over"})).await;
        w.pass(30).await;
        let on_app = |w: &World| support().into_iter().filter(|n| url(w, *n) == APP).count();
        assert_eq!(on_app(w), 1, "the canary first");
        w.pass(2400).await;
        assert_eq!(on_app(w), 3, "and the others once its callers were served");
        agent.stop().await;
    });
}

#[test]
fn a_relapse_takes_the_canary_back_and_the_next_restore_has_to_wait() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        assert_eq!(url(w, support()[0]), BIN);
        let ask = json!({"group": "support", "channel": "voice", "reason": "looks fine"});
        agent.post("restore", ask.clone()).await;
        w.pass(3600).await;
        for n in support() {
            assert_eq!(url(w, n), BIN, "rolled back again");
        }
        let total: usize = writes(w).values().sum();
        assert_eq!(total, 3 + 2, "three numbers, and the canary there and back: {:?}", writes(w));
        let (_, plan) = agent.post("restore", ask.clone()).await;
        let refused = plan["lines"][0]["detail"].as_str().unwrap_or_default().to_owned();
        w.pass(60).await;
        assert!(refused.contains("relapsed") || writes(w).values().sum::<usize>() > total, "{plan}");
        agent.stop().await;
    });
}

#[test]
fn a_hold_wins_over_automation_and_its_end_is_enough() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let hold = json!({"numbers": ["+15005550100"], "reason": "we are looking", "seconds": 1800});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        break_app(w);
        w.pass(1200).await;
        assert_eq!(url(w, support()[0]), APP, "held");
        assert_eq!(url(w, support()[1]), BIN);
        let guards: Vec<Guard> = agent.status().waiting.iter().flat_map(|d| d.guards.clone()).collect();
        assert_eq!(guards, [Guard::Hold]);
        let (_, plan) = agent.post("rollback", json!({"numbers": ["+15005550100"], "reason": "now"})).await;
        assert_eq!(plan["lines"][0]["action"], "refuse", "a hold stops operators too: {plan}");
        agent.post("release", json!({"numbers": ["+15005550100"], "reason": "done"})).await;
        w.pass(60).await;
        assert_eq!(url(w, support()[0]), BIN);
        agent.stop().await;
    });
}

#[test]
fn confirm_asks_acts_on_approval_and_says_when_it_lapsed() {
    play(DAY, async |w| {
        with_token(w);
        w.agent_section = "mode = \"confirm\"\n".into();
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        break_app(w);
        w.pass(300).await;
        let waiting = agent.status().waiting.clone();
        assert!(!waiting.is_empty() && waiting.iter().all(|d| d.guards == [Guard::Mode]), "{waiting:?}");
        assert_eq!(writes(w), BTreeMap::new());
        w.pass(700).await;
        let lapsed = agent.memory_entries(waiting[0].decision).await;
        assert!(lapsed.iter().any(|e| matches!(e, Entry::Closed { .. })), "{lapsed:?}");
        w.pass(120).await;
        let waiting = agent.status().waiting.clone();
        for d in &waiting {
            let (status, said) =
                agent.post("approve", json!({"decision": d.decision.to_string(), "reason": "seen it"})).await;
            assert_eq!(status, 200, "{said}");
        }
        w.pass(60).await;
        assert!(support().iter().any(|n| url(w, *n) == BIN));
        agent.stop().await;
    });
}

impl Running {
    pub async fn memory_entries(&self, id: ringback::core::model::decision::DecisionId) -> Vec<Entry> {
        let found = self.agent.memory.explain(id).await.unwrap().unwrap();
        found.entries.into_iter().map(|l| l.entry).collect()
    }
}

#[test]
fn what_somebody_else_changed_is_reported_and_not_overwritten() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let ask = json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "drill"});
        agent.post("rollback", ask.clone()).await;
        w.pass(30).await;
        let theirs = "https://theirs.example.com/voice";
        let set = [("VoiceUrl".to_owned(), theirs.to_owned())].into();
        w.sim.happen(Happening::Edit(ringback::sim::Edit { number: support()[0], set })).unwrap();
        w.pass(180).await;
        assert_eq!(agent.rollback_state(support()[0]), "superseded");
        let drift = r#"ringback_config_drift{channel="voice",group="support",number="+15005550100"}"#;
        assert_eq!(agent.metric(drift).await, Some(1.0));
        agent.post("restore", ask.clone()).await;
        w.pass(30).await;
        assert_eq!(url(w, support()[0]), theirs, "never overwritten unasked");
        let mut force = ask;
        force["force"] = json!(true);
        agent.post("restore", force).await;
        w.pass(30).await;
        assert_eq!(url(w, support()[0]), APP);
        agent.stop().await;
    });
}

#[test]
fn an_answer_that_is_lost_is_settled_by_looking() {
    let kinds = [
        ApiFaultKind::Hang,
        ApiFaultKind::Cut,
        ApiFaultKind::Truncated,
        ApiFaultKind::ServerError,
        ApiFaultKind::BadGateway,
    ];
    for kind in kinds {
        play(DAY, async |w| {
            with_token(w);
            let agent = w.start().await.unwrap();
            w.pass(60).await;
            w.sim.fault(ApiFault::new(kind, ApiFaultScope::Writes).lasts(Duration::from_secs(3))).unwrap();
            agent.post("rollback", drill()).await;
            w.pass(240).await;
            for n in support() {
                assert_eq!((url(w, n).as_str(), agent.rollback_state(n)), (BIN, "read_back"), "{kind:?}");
            }
            assert!(writes(w).values().all(|n| *n == 1), "{kind:?}: written once: {:?}", writes(w));
            agent.stop().await;
        });
    }
}

#[test]
fn a_write_without_effect_is_unproven_and_tried_ever_more_rarely() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        w.sim.fault(ApiFault::new(ApiFaultKind::Ineffective, ApiFaultScope::Writes)).unwrap();
        break_app(w);
        w.pass(4 * 3600).await;
        let most = writes(w).into_values().max().unwrap();
        assert!((2..=10).contains(&most), "{most} writes of one number within four hours");
        assert_eq!(agent.rollback_state(support()[0]), "unproven");
        w.sim.calm();
        w.pass(2 * 3600).await;
        assert_eq!(agent.rollback_state(support()[0]), "read_back");
        agent.stop().await;
    });
}

#[test]
fn a_second_agent_stands_by_and_takes_over() {
    play(DAY, async |w| {
        let config = w.config().unwrap();
        let first = w.start().await.unwrap();
        let (clock, other) = (w.clock.clone(), config.clone());
        let mut tasks = tokio::task::JoinSet::new();
        let own = clock.clone();
        clock.spawn(&mut tasks, async move { ringback::agent::Agent::start(&other, &own).await });
        w.pass(600).await;
        assert!(tasks.try_join_next().is_none(), "it stands by");
        break_app(w);
        // The first dies in the middle of what it does.
        while writes(w).is_empty() {
            w.pass(1).await;
        }
        drop(first);
        w.pass(40).await;
        let second = tasks.try_join_next().expect("it took over within the lease's time").unwrap().unwrap();
        w.pass(600).await;
        for n in support() {
            assert_eq!(url(w, n), BIN);
        }
        assert!(writes(w).values().all(|n| *n == 1), "{:?}", writes(w));
        second.stop().await;
    });
}

#[test]
fn a_restart_at_any_request_ends_in_the_same_state() {
    let mut points = 0;
    for after in 0.. {
        let is_over = play(DAY, async |w| {
            with_token(w);
            let agent = w.start().await.unwrap();
            w.pass(60).await;
            agent.post("rollback", drill()).await;
            // Each latency of the pretend Twilio is some hundred milliseconds: a point for each step.
            w.clock.sleep(Duration::from_millis(25 * after)).await;
            let is_over = support().iter().all(|n| agent.rollback_state(*n) == "read_back");
            drop(agent);
            w.pass(40).await;
            let agent = w.start().await.unwrap();
            w.pass(120).await;
            for n in support() {
                assert_eq!((url(w, n).as_str(), agent.rollback_state(n)), (BIN, "read_back"), "killed after {after}");
            }
            assert!(writes(w).values().all(|n| *n == 1), "killed after {after}: {:?}", writes(w));
            agent.stop().await;
            is_over
        });
        points += 1;
        if is_over {
            break;
        }
    }
    assert!(points > 5, "{points} points");
    println!("{points} points");
}

#[test]
fn a_restart_after_a_restore_does_not_weigh_what_was_seen_before_it() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Healthy)).unwrap();
        agent
            .post("restore", json!({"group": "support", "channel": "voice", "reason": "mended", "at_once": true}))
            .await;
        w.pass(20).await;
        let (decisions, before) = (agent.status().decisions.len(), writes(w));
        assert!(support().iter().all(|n| agent.rollback_state(*n) == "restored"));
        drop(agent);
        w.pass(40).await;
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        assert_eq!((agent.status().decisions.len(), writes(w)), (decisions, before));
        agent.stop().await;
    });
}

#[test]
fn nothing_is_swapped_to_a_fallback_that_is_broken() {
    let day = DAY.replace("does = \"answer\"", "does = \"broken\"");
    play(&day, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let broken = r#"ringback_fallback{channel="voice",group="support",state="broken"}"#;
        assert_eq!(agent.metric(broken).await, Some(1.0));
        break_app(w);
        w.pass(900).await;
        assert_eq!(writes(w), BTreeMap::new());
        assert!(agent.status().waiting.iter().all(|d| d.guards == [Guard::Fallback]));
        let (_, plan) = agent.post("rollback", json!({"group": "support", "reason": "now"})).await;
        assert!(plan["lines"][0]["detail"].as_str().unwrap().contains("is broken"), "{plan}");
        agent.stop().await;
    });
}
