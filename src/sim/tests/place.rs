//! Calls and messages that a request makes.

use super::*;
use crate::sim::{ApiFault, ApiFaultKind, ApiFaultScope, HandlerCondition, HandlerState};

const PROBER: &str = "+12125550199";
const STAY: &str = "<Response><Pause length=\"12\"/></Response>";

fn with_prober(more: &str) -> Scenario {
    let prober = format!(
        "[[group]]\nname = \"prober\"\nnumbers = [\"{PROBER}\"]\nforeign = true\n\
         traffic = {{ calls_per_hour = 0, floor_per_hour = 0 }}\n{more}"
    );
    let mut scenario = one_number(&prober);
    for group in &mut scenario.groups {
        (group.traffic.calls_per_hour, group.traffic.floor_per_hour) = (0.0, 0.0);
    }
    scenario
}

async fn call(door: &Door) -> Value {
    let reply = door.post("Calls.json", &[("To", NUMBER), ("From", PROBER), ("Twiml", STAY)]).await;
    assert_eq!(reply.status, 201, "{}", reply.json());
    reply.json()
}

async fn fetch(door: &Door, sid: &str) -> Value {
    door.get(&format!("Calls/{sid}.json")).await.json()
}

/// The inbound leg, as the list has it.
async fn inbound(door: &Door) -> Vec<Value> {
    let list = door.get(&format!("Calls.json?To=%2B{}&From=%2B{}", &NUMBER[1..], &PROBER[1..])).await.json();
    list["calls"].as_array().unwrap().iter().filter(|c| c["direction"] == "inbound").cloned().collect()
}

#[test]
fn a_call_has_two_legs_and_ends_when_its_caller_leaves() {
    play(with_prober(""), async |door| {
        let made = call(&door).await;
        assert_eq!((&made["status"], &made["direction"]), (&"queued".into(), &"outbound-api".into()));
        assert!(made["start_time"].is_null(), "it has not been dialled");
        let sid = made["sid"].as_str().unwrap();
        door.clock.sleep(Duration::from_secs(6)).await;
        assert_eq!(fetch(&door, sid).await["status"], "in-progress");
        door.clock.sleep(Duration::from_secs(60)).await;
        let over = fetch(&door, sid).await;
        assert_eq!(over["status"], "completed");
        let legs = inbound(&door).await;
        assert_eq!(legs.len(), 1);
        assert_eq!(legs[0]["status"], "completed");
        assert_ne!(legs[0]["sid"], over["sid"]);
        let seconds: u32 = legs[0]["duration"].as_str().unwrap().parse().unwrap();
        assert!((1..=13).contains(&seconds), "{seconds}");
        assert_eq!(door.sim.truth().total.calls, 0, "nobody called");
    });
}

#[test]
fn a_call_is_hung_up_once() {
    play(with_prober(""), async |door| {
        let made = call(&door).await;
        let path = format!("Calls/{}.json", made["sid"].as_str().unwrap());
        door.clock.sleep(Duration::from_secs(4)).await;
        assert_eq!(door.post(&path, &[("Status", "canceled")]).await.error(), (400, 21220));
        assert_eq!(door.post(&path, &[("Status", "completed")]).await.json()["status"], "completed");
        assert_eq!(door.post(&path, &[("Status", "completed")]).await.error(), (400, 21220));
        assert_eq!(inbound(&door).await[0]["status"], "completed");
        let waiting = call(&door).await;
        let path = format!("Calls/{}.json", waiting["sid"].as_str().unwrap());
        assert_eq!(door.post(&path, &[("Status", "canceled")]).await.json()["status"], "canceled");
    });
}

#[test]
fn calls_wait_for_their_turn() {
    play(with_prober(""), async |door| {
        let mut last = Value::Null;
        for _ in 0..10 {
            last = call(&door).await;
        }
        door.clock.sleep(Duration::from_secs(5)).await;
        assert_eq!(fetch(&door, last["sid"].as_str().unwrap()).await["status"], "queued");
        door.clock.sleep(Duration::from_secs(60)).await;
        let last = fetch(&door, last["sid"].as_str().unwrap()).await;
        let waited: u64 = last["queue_time"].as_str().unwrap().parse().unwrap();
        assert!((8000..=9500).contains(&waited), "{waited} ms behind nine others");
    });
}

#[test]
fn what_twilio_refuses_is_refused() {
    play(with_prober(""), async |door| {
        for (form, code) in [
            (&[("From", PROBER), ("Twiml", STAY)][..], 21201),
            (&[("To", NUMBER), ("Twiml", STAY)], 21213),
            (&[("To", "12"), ("From", PROBER), ("Twiml", STAY)], 21211),
            (&[("To", NUMBER), ("From", "+12125559999"), ("Twiml", STAY)], 21210),
            (&[("To", NUMBER), ("From", PROBER)], 21205),
            (&[("To", NUMBER), ("From", PROBER), ("Twiml", STAY), ("Timeout", "601")], 21208),
        ] {
            assert_eq!(door.post("Calls.json", form).await.error(), (400, code), "{form:?}");
        }
        for (form, code) in [
            (&[("To", NUMBER), ("From", PROBER)][..], 21602),
            (&[("To", NUMBER), ("From", "+12125559999"), ("Body", "x")], 21606),
            (&[("To", PROBER), ("From", PROBER), ("Body", "x")], 21266),
        ] {
            assert_eq!(door.post("Messages.json", form).await.error(), (400, code), "{form:?}");
        }
        let scope = ApiFaultScope::Class(crate::sim::EndpointClass::CallCreate);
        door.sim.fault(ApiFault { code: 21215, ..ApiFault::new(ApiFaultKind::Refuse, scope) }).unwrap();
        let form = [("To", NUMBER), ("From", PROBER), ("Twiml", STAY)];
        assert_eq!(door.post("Calls.json", &form).await.error(), (400, 21215));
    });
}

#[test]
fn both_legs_fare_as_the_handler_has_it() {
    let legs = |change: fn(&Sim), busy: bool| {
        let mut scenario = with_prober("");
        if busy {
            scenario.twilio.broken_webhook = crate::sim::BrokenWebhook::Busy;
        }
        play(scenario, async move |door| {
            change(&door.sim);
            let made = call(&door).await;
            door.clock.sleep(Duration::from_secs(60)).await;
            let outbound = fetch(&door, made["sid"].as_str().unwrap()).await["status"].clone();
            let alerts = door.get("/v1/Alerts").await.json()["alerts"].as_array().unwrap().len();
            let inbound = inbound(&door).await.first().map(|l| l["status"].clone()).unwrap_or_default();
            (outbound, inbound, alerts)
        })
    };
    let broken: fn(&Sim) = |sim| sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Status(500))).unwrap();
    assert_eq!(legs(broken, false), ("completed".into(), "completed".into(), 1));
    assert_eq!(legs(broken, true), ("busy".into(), "busy".into(), 1));
    let silent: fn(&Sim) = |sim| sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Silent)).unwrap();
    assert_eq!(legs(silent, false), ("completed".into(), "completed".into(), 0), "no trace");
    let nothing: fn(&Sim) = |sim| {
        let edit =
            crate::sim::Edit { number: NUMBER.parse().unwrap(), set: [("VoiceUrl".into(), String::new())].into() };
        sim.happen(crate::sim::Happening::Edit(edit)).unwrap();
    };
    assert_eq!(legs(nothing, false), ("failed".into(), "failed".into(), 0), "no trace");
}

#[test]
fn a_number_that_has_not_ported_is_answered_elsewhere() {
    let mut scenario = with_prober("");
    scenario.group_mut("support").unwrap().port = Some(crate::sim::Port::default());
    play(scenario, async |door| {
        let made = call(&door).await;
        let sent = door.post("Messages.json", &[("To", NUMBER), ("From", PROBER), ("Body", "hello")]).await;
        assert_eq!(sent.status, 201);
        door.clock.sleep(Duration::from_secs(60)).await;
        assert_eq!(fetch(&door, made["sid"].as_str().unwrap()).await["status"], "completed");
        assert!(inbound(&door).await.is_empty(), "but nothing arrived at Twilio");
        let list = door.get("Messages.json").await.json();
        let rows = list["messages"].as_array().unwrap();
        assert_eq!(rows.iter().map(|m| m["direction"].as_str().unwrap()).collect::<Vec<_>>(), ["outbound-api"]);
        assert_eq!(rows[0]["status"], "delivered");
    });
}

#[test]
fn a_message_arrives_with_its_words() {
    let mut scenario = with_prober("");
    let support = scenario.group_mut("support").unwrap();
    support.routing.sms_url = "https://app.example.com/sms".into();
    support.traffic.replies = 1.0;
    play(scenario, async |door| {
        door.post("Messages.json", &[("To", NUMBER), ("From", PROBER), ("Body", "probe 4711")]).await;
        door.clock.sleep(Duration::from_secs(60)).await;
        let list = door.get("Messages.json").await.json();
        let rows: Vec<(&str, &str)> = list["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| (m["direction"].as_str().unwrap(), m["body"].as_str().unwrap()))
            .collect();
        assert!(
            rows.contains(&("outbound-api", "probe 4711")) && rows.contains(&("inbound", "probe 4711")),
            "{rows:?}"
        );
        assert!(rows.iter().any(|(direction, _)| *direction == "outbound-reply"), "{rows:?}");
    });
}
