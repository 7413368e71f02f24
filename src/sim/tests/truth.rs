//! Determinism, and the day without help.

use super::*;
use crate::sim::{HandlerCondition, HandlerState, Truth};

fn busy_day() -> Scenario {
    let mut scenario = one_number("");
    let mut second = scenario.groups[0].clone();
    second.name = "sales".parse().unwrap();
    second.numbers = vec!["+12125550200".parse().unwrap()];
    second.traffic.messages_per_hour = 60.0;
    second.traffic.failure = 0.05;
    second.routing.voice_url = "https://sales.example.com/".into();
    second.routing.sms_url = "https://sales.example.com/sms".into();
    scenario.groups.push(second);
    scenario.lag = crate::sim::Lag::default();
    scenario.twilio.anonymous = 0.01;
    scenario.groups[0].traffic.forward = 0.6;
    scenario
}

/// Every list at the end, byte by byte, having looked as often as `every`.
fn lists(scenario: Scenario, every: Duration) -> Vec<u8> {
    play(scenario, async |door| {
        while door.clock.now() < door.start + min(170) {
            door.get("Calls.json").await;
            door.clock.sleep(every).await;
        }
        door.at(min(200)).await;
        let mut out = serde_json::to_vec(&door.sim.truth()).unwrap();
        for path in ["Calls.json?PageSize=1000", "Messages.json?PageSize=1000", "/v1/Alerts?PageSize=1000"] {
            out.extend(door.get(path).await.body);
        }
        out
    })
}

#[test]
fn the_same_seed_is_the_same_day_however_often_one_looks() {
    let first = lists(busy_day(), min(10));
    assert!(first.len() > 100_000);
    let second = lists(busy_day(), Duration::from_secs(37));
    assert!(first == second);
    let mut other = busy_day();
    other.seed += 1;
    assert!(lists(other, min(10)) != first);
}

#[test]
fn without_help_is_the_same_day_until_somebody_helps() {
    let mut scenario = busy_day();
    scenario.events = Scenario::parse(
        "name = \"e\"\n[[group]]\nname = \"g\"\nnumbers = [\"+12125550100\"]\n[[event]]\nat = \"1h\"\nhandler = { url = \"https://app.example.com/voice\", becomes = \"error\" }",
    )
    .unwrap()
    .events;
    let without = Truth::without_help(&scenario).unwrap();
    let untouched = play(scenario.clone(), async |door| {
        door.at(min(180)).await;
        door.sim.truth()
    });
    assert_eq!(without, untouched);

    let helped = play(scenario.clone(), async |door| {
        door.at(min(80)).await;
        let reply = door.update(&[("VoiceUrl", "https://sales.example.com/")]).await;
        assert_eq!(reply.status, 200);
        door.at(min(180)).await;
        (door.calls().await, door.sim.truth())
    });
    let alone = play(scenario, async |door| {
        door.at(min(180)).await;
        (door.calls().await, door.sim.truth())
    });
    let before = |calls: &[Value]| {
        let early = |c: &&Value| c["start_time"].as_str().unwrap() < "Fri, 20 Nov 2026 15:20:00";
        calls.iter().filter(early).cloned().collect::<Vec<_>>()
    };
    assert!(!before(&alone.0).is_empty());
    assert_eq!(before(&helped.0), before(&alone.0));
    let (helped, alone) = (helped.1, alone.1);
    assert!(helped.total.failed * 2 < alone.total.failed, "{} {}", helped.total.failed, alone.total.failed);
    assert!(helped.total.last_failed < alone.total.last_failed);
    // The other group's day is the same to the last call.
    assert_eq!(helped.groups[&"sales".parse().unwrap()], alone.groups[&"sales".parse().unwrap()]);
    // Only who dials again differs: the first attempts are the same people at the same instants.
    assert!(helped.total.calls < alone.total.calls);
}

#[test]
fn every_call_is_served_by_somebody_or_failed() {
    let mut scenario = busy_day();
    scenario.groups[0].port = Some(crate::sim::Port { at: Some(min(30)), ..Default::default() });
    scenario.groups[1].foreign = true;
    let truth = play(scenario, async |door| {
        door.at(min(60)).await;
        door.sim
            .set_handler(VOICE, HandlerState { share: 0.5, ..HandlerState::all(HandlerCondition::Status(500)) })
            .unwrap();
        door.at(min(180)).await;
        door.sim.truth()
    });
    for t in truth.groups.values() {
        assert!(t.calls > 100);
        assert_eq!(t.calls, t.by_primary + t.by_own_fallback + t.by_bin + t.by_losing_carrier + t.failed);
        assert!(t.failed_honestly <= t.failed && t.callers_failed <= t.failed);
        let messages =
            [t.messages_by_primary, t.messages_by_own_fallback, t.messages_by_bin, t.messages_by_losing_carrier];
        assert_eq!(t.messages, messages.iter().sum::<u64>() + t.messages_lost);
    }
    assert_eq!(truth.total, truth.groups[&"support".parse().unwrap()], "foreign groups are not ours");
    assert!(truth.total.first_failed < truth.total.last_failed);
}

#[test]
fn a_failed_caller_dials_again_a_few_times_at_most() {
    let mut scenario = one_number("");
    scenario.groups[0].traffic.redial = 1.0;
    scenario.groups[0].traffic.regulars = 0.0;
    let calls = play(scenario, async |door| {
        door.sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        door.at(min(180)).await;
        door.calls().await
    });
    let mut attempts = std::collections::BTreeMap::<&str, usize>::new();
    for c in &calls {
        *attempts.entry(c["from"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(attempts.values().max(), Some(&7), "one call and six more");
    let mean = calls.len() as f64 / attempts.len() as f64;
    assert!((2.2..3.6).contains(&mean), "{mean}");
}
