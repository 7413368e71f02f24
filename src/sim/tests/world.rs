//! What callers meet, and what the log then shows.

use super::*;
use crate::sim::{BrokenWebhook, HandlerCondition, HandlerState};

fn bin(does: &str) -> String {
    format!("[[bin]]\nsid = \"EH00000000000000000000000000000001\"\n{does}")
}

/// Plays an hour with the handler in this state throughout; gives calls and alerts.
fn hour(mut scenario: Scenario, state: HandlerCondition) -> (Vec<Value>, Vec<Value>, crate::sim::TruthTally) {
    scenario.twilio.callback_warnings = 0.0;
    scenario.groups[0].traffic.redial = 0.0;
    scenario.lasts = min(60);
    play(scenario, async |door| {
        door.sim.set_handler(VOICE, HandlerState::all(state)).unwrap();
        door.at(min(70)).await;
        (door.calls().await, door.alerts().await, door.sim.truth().total)
    })
}

fn duration(call: &Value) -> u64 {
    call["duration"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_healthy_handler_answers_or_forwards_by_its_share() {
    let mut scenario = one_number("");
    scenario.groups[0].traffic.forward = 0.5;
    let (calls, alerts, truth) = hour(scenario, HandlerCondition::Healthy);
    let (inbound, children) = (count(&calls, "direction", "inbound"), count(&calls, "direction", "outbound-dial"));
    assert!((90..150).contains(&inbound), "{inbound}");
    assert!((40..80).contains(&children), "{children}");
    assert_eq!(count(&calls, "status", "completed"), calls.len());
    assert!(alerts.is_empty());
    assert_eq!((truth.calls, truth.by_primary, truth.failed), (inbound as u64, inbound as u64, 0));
    for child in calls.iter().filter(|c| c["direction"] == "outbound-dial") {
        let parent = calls.iter().find(|c| c["sid"] == child["parent_call_sid"]).unwrap();
        assert_eq!((&parent["from"], &parent["to"]), (&child["from"], &NUMBER.into()));
    }
}

#[test]
fn a_broken_webhook_is_a_short_completed_call_and_an_alert() {
    for (condition, code) in [
        (HandlerCondition::Status(503), "11200"),
        (HandlerCondition::Unreachable(11205), "11205"),
        (HandlerCondition::Unreachable(11210), "11210"),
        (HandlerCondition::BadTwiml(12100), "12100"),
        (HandlerCondition::BadTwiml(12300), "12300"),
        (HandlerCondition::Slow(Duration::from_secs(16)), "11205"),
    ] {
        let (calls, alerts, truth) = hour(one_number(""), condition);
        assert!(calls.len() > 80);
        assert_eq!(count(&calls, "status", "completed"), calls.len(), "{condition:?}");
        assert!(calls.iter().all(|c| duration(c) < 23), "{condition:?}");
        assert_eq!((alerts.len(), count(&alerts, "error_code", code)), (calls.len(), calls.len()), "{condition:?}");
        assert_eq!(count(&alerts, "request_url", VOICE), alerts.len());
        assert!(alerts.iter().all(|a| calls.iter().any(|c| c["sid"] == a["resource_sid"])));
        assert_eq!((truth.calls, truth.failed), (calls.len() as u64, calls.len() as u64));
    }
}

#[test]
fn a_broken_webhook_may_also_look_busy() {
    let mut scenario = one_number("");
    scenario.twilio.broken_webhook = BrokenWebhook::Busy;
    let (calls, alerts, _) = hour(scenario, HandlerCondition::Status(403));
    assert_eq!((count(&calls, "status", "busy"), count(&calls, "duration", "0")), (calls.len(), calls.len()));
    assert_eq!(alerts.len(), calls.len());
}

#[test]
fn some_failures_leave_no_trace() {
    for condition in [HandlerCondition::Wrong, HandlerCondition::Spoken] {
        let (calls, alerts, truth) = hour(one_number(""), condition);
        assert_eq!((count(&calls, "status", "completed"), alerts.len()), (calls.len(), 0), "{condition:?}");
        assert_eq!(truth.failed, calls.len() as u64);
    }
}

#[test]
fn an_empty_voice_url_fails_at_once_without_an_alert() {
    let mut scenario = one_number("");
    scenario.groups[0].routing.voice_url.clear();
    let (calls, alerts, truth) = hour(scenario, HandlerCondition::Healthy);
    assert_eq!((count(&calls, "status", "failed"), count(&calls, "duration", "0")), (calls.len(), calls.len()));
    assert!(alerts.is_empty() && truth.failed == calls.len() as u64);
}

#[test]
fn a_dead_target_shows_in_the_child_leg() {
    let mut scenario = one_number("");
    scenario.groups[0].traffic.forward = 1.0;
    let (calls, alerts, truth) = hour(scenario.clone(), HandlerCondition::DeadTarget(Some(13224)));
    let inbound: Vec<_> = calls.iter().filter(|c| c["direction"] == "inbound").cloned().collect();
    assert_eq!((inbound.len() * 2, count(&inbound, "status", "completed")), (calls.len(), inbound.len()));
    assert_eq!(count(&calls, "status", "failed"), inbound.len());
    assert_eq!(
        (count(&alerts, "error_code", "13224"), count(&alerts, "log_level", "warning")),
        (inbound.len(), alerts.len())
    );
    assert_eq!(truth.failed, inbound.len() as u64);
    let (calls, alerts, _) = hour(scenario, HandlerCondition::MixedTarget);
    let mixed = ["failed", "busy", "no-answer"].map(|s| count(&calls, "status", s));
    assert!(mixed.iter().all(|n| *n > 10) && mixed.iter().sum::<usize>() * 2 == calls.len(), "{mixed:?}");
    assert!(alerts.is_empty());
}

#[test]
fn the_numbers_own_fallback_serves_and_the_alert_stays() {
    let mut scenario = one_number(&bin("does = \"answer\""));
    scenario.groups[0].routing.voice_fallback_url = BIN.into();
    let (calls, alerts, truth) = hour(scenario, HandlerCondition::Status(500));
    assert_eq!(alerts.len(), calls.len());
    assert_eq!((truth.by_own_fallback, truth.by_bin, truth.failed), (calls.len() as u64, 0, 0));
}

#[test]
fn a_bin_answers_forwards_loops_or_is_broken() {
    let played = |does: &str| {
        let mut scenario = one_number(&bin(does));
        scenario.groups[0].routing.voice_url = BIN.into();
        hour(scenario, HandlerCondition::Status(500))
    };
    let (calls, alerts, truth) = played("does = \"answer\"");
    assert_eq!((truth.by_bin, alerts.len(), count(&calls, "direction", "inbound")), (truth.calls, 0, calls.len()));
    let (calls, _, truth) = played("does = \"forward\"\nto = \"+16465550150\"");
    assert_eq!((truth.by_bin, count(&calls, "to", "+16465550150")), (truth.calls, calls.len() / 2));
    let (calls, _, truth) = played(&format!("does = \"forward\"\nto = \"{NUMBER}\""));
    assert_eq!((truth.failed, count(&calls, "status", "failed")), (truth.calls, calls.len() / 2), "it calls itself");
    let (_, alerts, truth) = played("does = \"broken\"");
    assert_eq!((truth.failed, count(&alerts, "error_code", "11310")), (truth.calls, truth.calls as usize));
}

#[test]
fn a_trunk_has_its_own_direction_alerts_and_recovery() {
    const TRUNK: &str = "[[trunk]]\nsid = \"TK00000000000000000000000000000001\"\nfriendly_name = \"PBX\"\n";
    const SIP: &str = "sip:pbx.example.com";
    let played = |more: &str, state| {
        let mut scenario = one_number(&format!("{TRUNK}{more}"));
        scenario.groups[0].routing.trunk = Some("TK00000000000000000000000000000001".parse().unwrap());
        scenario.groups[0].traffic.redial = 0.0;
        scenario.lasts = min(60);
        play(scenario, async |door| {
            door.sim.set_handler(SIP, HandlerState::all(state)).unwrap();
            door.at(min(70)).await;
            (door.calls().await, door.alerts().await, door.sim.truth().total)
        })
    };
    let origination = format!("origination_url = \"{SIP}\"\n");
    let (calls, alerts, truth) = played(&origination, HandlerCondition::Healthy);
    assert_eq!(count(&calls, "direction", "trunking-originating"), calls.len());
    assert!(calls.iter().all(|c| c["trunk_sid"] == "TK00000000000000000000000000000001"));
    assert_eq!((alerts.len(), truth.by_primary), (0, truth.calls));
    let (calls, alerts, _) = played(&origination, HandlerCondition::Unreachable(32011));
    assert_eq!((count(&calls, "status", "failed"), count(&calls, "duration", "0")), (calls.len(), calls.len()));
    assert!(alerts.iter().all(|a| a["error_code"] == "32011" && a["log_level"] == "warning"));
    let (_, alerts, truth) = played("", HandlerCondition::Healthy);
    assert!(alerts.iter().all(|a| a["error_code"] == "32010" && a["log_level"] == "error"));
    assert_eq!(truth.failed, truth.calls);
    let recovery = format!("{origination}disaster_recovery_url = \"https://dr.example.com/\"\n");
    let (_, alerts, truth) = played(&recovery, HandlerCondition::Unreachable(32011));
    assert_eq!((truth.by_own_fallback, alerts.len()), (truth.calls, truth.calls as usize));
}

#[test]
fn an_application_serves_before_the_url() {
    let mut scenario = one_number(
        "[[application]]\nsid = \"AP00000000000000000000000000000001\"\nfriendly_name = \"IVR\"\nvoice_url = \"https://ivr.example.com/\"\n",
    );
    scenario.groups[0].routing.application = Some("AP00000000000000000000000000000001".parse().unwrap());
    let (_, alerts, truth) = hour(scenario, HandlerCondition::Status(500));
    assert_eq!((truth.by_primary, alerts.len()), (truth.calls, 0), "the URL that is broken is not asked");
}

#[test]
fn a_fault_of_one_carrier_meets_its_callers_alone() {
    let mut scenario = one_number("carriers = [\"east\", \"west\"]");
    scenario.groups[0].traffic.redial = 0.0;
    let failing = play(scenario, async |door| {
        let state = HandlerState { condition: HandlerCondition::Status(500), share: 1.0, carrier: Some("west".into()) };
        door.sim.set_handler(VOICE, state).unwrap();
        door.at(min(120)).await;
        let failed: Vec<Value> = door.alerts().await.iter().map(|a| a["resource_sid"].clone()).collect();
        let by_caller = |c: &Value| (c["from"].as_str().unwrap().to_owned(), failed.contains(&c["sid"]));
        door.calls().await.iter().map(by_caller).collect::<Vec<_>>()
    });
    let share = failing.iter().filter(|(_, f)| *f).count() as f64 / failing.len() as f64;
    assert!((0.35..0.65).contains(&share), "{share}");
    for (caller, failed) in &failing {
        assert!(failing.iter().all(|(c, f)| c != caller || f == failed), "{caller} met both");
    }
}

#[test]
fn before_the_port_callers_are_elsewhere_and_afterwards_some_still_are() {
    let mut scenario = one_number("carriers = [\"prompt\", \"late\"]");
    scenario.groups[0].port = Some(crate::sim::Port {
        at: Some(min(60)),
        listed_before: false,
        carrier_lag: [("late".to_owned(), min(30))].into(),
        ..Default::default()
    });
    play(scenario, async |door| {
        door.at(min(59)).await;
        assert_eq!(door.calls().await.len(), 0);
        assert_eq!(door.get("IncomingPhoneNumbers.json").await.json()["incoming_phone_numbers"], serde_json::json!([]));
        let before = door.sim.truth().total;
        assert_eq!((before.by_losing_carrier, before.calls), (before.calls, before.calls));
        door.at(min(90)).await;
        let during = door.sim.truth().total;
        assert!(during.by_losing_carrier > before.by_losing_carrier + 10);
        assert!(during.by_primary > 10);
        assert_eq!(door.get(&format!("IncomingPhoneNumbers.json?PhoneNumber=%2B{}", &NUMBER[1..])).await.status, 200);
        door.at(min(91)).await;
        let late = door.sim.truth().total;
        door.at(min(150)).await;
        let after = door.sim.truth().total;
        assert_eq!(after.by_losing_carrier, late.by_losing_carrier);
        assert!(after.by_primary > late.by_primary + 60);
    });
}

#[test]
fn silence_and_a_busy_line_come_and_go() {
    let mut scenario = one_number(
        r#"
        [[event]]
        at = "60m"
        traffic = { group = "support", factor = 0.0, for = "30m" }
        [[event]]
        at = "120m"
        traffic = { group = "support", busy = 0.9, for = "30m" }
        "#,
    );
    scenario.groups[0].traffic.forward = 1.0;
    play(scenario, async |door| {
        let calls_at = async |m| {
            door.at(min(m)).await;
            door.sim.truth().total
        };
        let (before, after) = (calls_at(60).await, calls_at(90).await);
        assert_eq!(before.calls, after.calls);
        let before = calls_at(120).await;
        assert!(before.calls > after.calls + 30 && before.unanswered == 0);
        let busy = calls_at(150).await;
        assert!(busy.unanswered - before.unanswered > 30);
        let calm = calls_at(179).await;
        assert_eq!((calm.unanswered, calm.failed), (busy.unanswered, 0), "busy is no failure");
    });
}

#[test]
fn a_storm_is_one_caller_many_times() {
    let mut scenario =
        one_number(&format!("[[event]]\nat = \"10m\"\nstorm = {{ number = \"{NUMBER}\", calls = 8 }}\n"));
    scenario.groups[0].traffic.forward = 1.0;
    let truth = play(scenario, async |door| {
        door.at(min(60)).await;
        door.sim.truth().total
    });
    assert_eq!((truth.failed, truth.failed_honestly, truth.callers_failed), (8, 8, 1));
}

#[test]
fn the_log_lags_behind_and_changes_afterwards() {
    let mut scenario = one_number("");
    scenario.lag = crate::sim::Lag { late: 0.05, corrected: 0.5, early: 0.5, ..Default::default() };
    scenario.groups[0].traffic.forward = 1.0;
    play(scenario, async |door| {
        let mut seen = std::collections::BTreeMap::<String, Vec<Value>>::new();
        let mut order = Vec::new();
        let mut most_behind = 0;
        while door.clock.now() < door.start + min(30) {
            let calls = door.calls().await;
            let listed = count(&calls, "direction", "inbound") as u64;
            most_behind = most_behind.max(door.sim.truth().total.calls - listed);
            for call in calls.into_iter().rev() {
                let versions = seen.entry(call["sid"].as_str().unwrap().to_owned()).or_default();
                if versions.is_empty() {
                    order.push(call["start_time"].as_str().unwrap().to_owned());
                }
                if versions.last() != Some(&call) {
                    versions.push(call);
                }
            }
            door.clock.sleep(Duration::from_secs(6)).await;
        }
        assert!(most_behind >= 2, "{most_behind}");
        assert!(!order.is_sorted(), "rows come out of order");
        let became = |from: &dyn Fn(&Value) -> bool, to: &dyn Fn(&Value) -> bool| {
            seen.values().filter(|v| v.windows(2).any(|w| from(&w[0]) && to(&w[1]))).count()
        };
        let completed = |c: &Value| c["status"] == "completed";
        assert!(became(&|c| c["status"] == "in-progress" && c["duration"].is_null(), &completed) > 10);
        assert!(became(&|c| !completed(c) && c["status"] != "in-progress", &completed) > 10);
        assert!(became(&|c| completed(c) && c["price"].is_null(), &|c| c["price"] != Value::Null) > 20);
    });
}
