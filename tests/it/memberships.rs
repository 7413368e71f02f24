//! `messaging_service_sid` in `[group.handler]`: numbers are put into the service that the file names, and taken out of
//! it again by the undo; who is in another one is left there.

use std::collections::BTreeMap;

use ringback::core::model::id::{E164, ServiceSid};
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};
use serde_json::{Value, json};

use crate::handlers::watching;
use crate::support::{program, record, support};
use crate::world::{Running, World, play};

const DAY: &str = r#"
name = "memberships"
seed = 7
lasts = "4h"
history = "0s"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[service]]
sid = "MG00000000000000000000000000000001"
friendly_name = "Replies"
use_inbound_webhook_on_number = true

[[service]]
sid = "MG00000000000000000000000000000002"
friendly_name = "Theirs"
inbound_request_url = "https://theirs.example.com/sms"

[[service]]
sid = "MG00000000000000000000000000000003"
friendly_name = "Nobody's"

[[group]]
name = "support"
numbers = ["+15005550100", "+15005550101", "+15005550102"]
traffic = { calls_per_hour = 1, messages_per_hour = 1, shape = "flat", failure = 0.0 }
routing = { voice_url = "https://old.example.com/voice", sms_url = "https://old.example.com/sms" }

[[group]]
name = "sales"
numbers = ["+15005550200"]
traffic = { calls_per_hour = 1, messages_per_hour = 1, shape = "flat", failure = 0.0 }
routing = { sms_url = "https://old.example.com/sms", service = "MG00000000000000000000000000000002" }
"#;

fn service(n: u128) -> ServiceSid {
    ServiceSid::from_u128(n)
}

/// The configuration, in which this is asked of every group.
fn asking(w: &World, handler: &str) -> String {
    w.config_text().replace("[group.fallback]", &format!("[group.handler]\n{handler}[group.fallback]"))
}

const JOIN: &str = "messaging_service_sid = \"MG00000000000000000000000000000001\"\n";

/// With a field of the number's own beside it.
fn both() -> String {
    format!("sms_url = \"https://new.example.com/sms\"\n{JOIN}")
}

fn services(w: &World) -> [Option<ServiceSid>; 3] {
    support().map(|n| w.sim.service_of(n))
}

/// The configuration as the command line has it, that finds this agent.
fn finding(config: &str, agent: &Running) -> String {
    let listen = format!("listen = \"{}\"", agent.url.trim_start_matches("http://"));
    config.replace("listen = \"127.0.0.1:0\"", &listen)
}

/// How each number's part of the latest order ended, with what is said of it.
fn ended(agent: &Running) -> BTreeMap<String, (String, String)> {
    let status = agent.status();
    let latest = &status.orders[0];
    latest.ended.iter().map(|e| (e.number.to_string(), (e.result.label().to_owned(), e.detail.clone()))).collect()
}

async fn apply(w: &World, agent: &Running) {
    agent.post("apply", json!({"group": "support", "channel": "messaging", "reason": "reply"})).await;
    w.pass(120).await;
}

fn undo(force: bool) -> Value {
    json!({"group": "support", "channel": "messaging", "reason": "back", "applied": true, "at_once": true, "force": force})
}

/// Somebody else's request about a number's place in a service.
async fn others(w: &World, method: reqwest::Method, service: ServiceSid, number: E164) -> u16 {
    let account = w.sim.scenario().account;
    let sid = w.sim.number(number).unwrap()["sid"].as_str().unwrap().to_owned();
    let stem = format!("{}/v1/Services/{service}/PhoneNumbers", w.base_url);
    let is_delete = method == reqwest::Method::DELETE;
    let url = if is_delete { format!("{stem}/{sid}") } else { stem };
    let request = reqwest::Client::new()
        .request(method, url)
        .basic_auth(account.sid.to_string(), Some(&account.auth_token))
        .form(&[("PhoneNumberSid", sid)]);
    request.send().await.unwrap().status().as_u16()
}

#[test]
fn a_number_is_put_into_the_service_that_is_asked_for_and_taken_out_again() {
    for handler in [JOIN.to_owned(), both()] {
        play(DAY, async |w| {
            let agent = watching(w, &asking(w, &handler)).await;
            let config = finding(&asking(w, &handler), &agent);
            let before: Vec<Value> = support().iter().map(|n| record(w, *n)).collect();
            let (code, said, complained) = program(w, &config, &["plan"]).await;
            assert_eq!(code, 1, "{said}{complained}");
            let change = "MessagingServiceSid (empty) → MG00000000000000000000000000000001";
            assert!(said.contains(change), "{said}");
            assert!(said.contains("+15005550200: ") && said.contains("a number is in one alone"), "{said}");
            let words = ["apply", "--group", "support", "--yes", "--reason", "reply"];
            let (code, said, complained) = program(w, &config, &words).await;
            assert!(code == 0 && said.contains(change), "{said}{complained}");
            assert_eq!(services(w), [Some(service(1)); 3]);
            // Once: the second plan of them is empty, and a second apply is no action.
            let (code, said, _) = program(w, &config, &["plan", "--group", "support"]).await;
            assert_eq!(code, 0, "{said}");
            let created = || w.sim.stats().of("POST service-number-create", "201");
            assert_eq!(created(), 3);
            let (code, said, _) = program(w, &config, &words).await;
            assert_eq!((code, created()), (0, 3), "{said}");
            w.pass(180).await;
            assert_eq!(agent.sum("ringback_config_drift", &[]).await, 0.0);
            // An agent that starts anew knows what is to be undone.
            agent.stop().await;
            let agent = watching(w, &asking(w, &handler)).await;
            agent.post("restore", undo(false)).await;
            w.pass(120).await;
            assert_eq!(services(w), [None; 3], "{:?}", ended(&agent));
            assert_eq!(support().iter().map(|n| record(w, *n)).collect::<Vec<_>>(), before);
            assert_eq!(w.sim.service_of("+15005550200".parse().unwrap()), Some(service(2)), "never moved");
            assert!(
                !w.sim.stats().requests.keys().any(|kind| kind.contains("number-delete") && !kind.contains("service"))
            );
            agent.stop().await;
        });
    }
}

/// A service that would answer in the number's place, or nobody, and one that is not there.
#[test]
fn a_service_that_would_not_serve_is_refused_before_anything_is_written() {
    play(DAY, async |w| {
        let agent = watching(w, &asking(w, JOIN)).await;
        for (n, more, why) in [
            (2, "sms_url = \"https://new.example.com/sms\"\n", "has its own webhook, which wins over the number's"),
            (3, "", "in it messages would vanish"),
            (9, "", "there is no messaging service MG00000000000000000000000000000009 in the account"),
        ] {
            let handler = format!("{more}messaging_service_sid = \"{}\"\n", service(n));
            let config = finding(&asking(w, &handler), &agent);
            let (code, said, complained) = program(w, &config, &["plan", "--group", "support"]).await;
            assert!(code == 1 && said.contains(why), "{said}{complained}");
        }
        assert_eq!(services(w), [None; 3]);
        agent.stop().await;
    });
}

#[test]
fn what_others_have_done_to_a_membership_is_left() {
    play(DAY, async |w| {
        let agent = watching(w, &asking(w, &both())).await;
        apply(w, &agent).await;
        let [one, two, three] = support();
        // Taken out by others, put into another one, and left as it is.
        assert_eq!(others(w, reqwest::Method::DELETE, service(1), one).await, 204);
        assert_eq!(others(w, reqwest::Method::DELETE, service(1), two).await, 204);
        assert_eq!(others(w, reqwest::Method::POST, service(2), two).await, 201);
        agent.post("restore", undo(false)).await;
        w.pass(120).await;
        let ends = ended(&agent);
        assert_eq!(ends[&three.to_string()].0, "restored", "{ends:?}");
        let (result, why) = &ends[&two.to_string()];
        assert!(result == "superseded" && why.contains("messaging_service_sid"), "{result}: {why}");
        assert_eq!(services(w), [None, Some(service(2)), None]);
        // Forced, its own fields are put back; of the service that others put it into it is not taken out.
        agent.post("restore", undo(true)).await;
        w.pass(120).await;
        assert_eq!(services(w), [None, Some(service(2)), None], "{:?}", ended(&agent));
        for number in [one, two, three] {
            assert_eq!(record(w, number)["sms_url"], "https://old.example.com/sms", "{:?}", ended(&agent));
        }
        agent.stop().await;
    });
}

/// Law 8: what was lost is settled by looking; what had no effect is not said to have had one.
#[test]
fn a_lost_answer_about_a_membership_is_settled_by_looking() {
    use ApiFaultKind as K;
    let class = |create: bool| {
        ApiFaultScope::Class(if create {
            EndpointClass::ServiceNumberCreate
        } else {
            EndpointClass::ServiceNumberDelete
        })
    };
    for kind in [K::Drop, K::Hang, K::Cut, K::Truncated, K::TooMany, K::BadGateway] {
        play(DAY, async |w| {
            let agent = watching(w, &asking(w, &both())).await;
            let before: Vec<Value> = support().iter().map(|n| record(w, *n)).collect();
            w.sim.fault(ApiFault::new(kind, class(true)).lasts(std::time::Duration::from_secs(5))).unwrap();
            apply(w, &agent).await;
            assert!(ended(&agent).values().all(|(result, _)| result == "written"), "{kind}: {:?}", ended(&agent));
            assert_eq!(services(w), [Some(service(1)); 3], "{kind}");
            w.sim.fault(ApiFault::new(kind, class(false)).lasts(std::time::Duration::from_secs(5))).unwrap();
            agent.post("restore", undo(false)).await;
            w.pass(120).await;
            assert!(ended(&agent).values().all(|(result, _)| result == "restored"), "{kind}: {:?}", ended(&agent));
            assert_eq!(services(w), [None; 3], "{kind}");
            assert_eq!(support().iter().map(|n| record(w, *n)).collect::<Vec<_>>(), before, "{kind}");
            agent.stop().await;
        });
    }
    play(DAY, async |w| {
        let agent = watching(w, &asking(w, &both())).await;
        w.sim.fault(ApiFault::new(K::Ineffective, class(true)).lasts(std::time::Duration::from_secs(60))).unwrap();
        apply(w, &agent).await;
        assert!(ended(&agent).values().all(|(result, _)| result != "written"), "{:?}", ended(&agent));
        agent.stop().await;
    });
}

#[test]
fn what_stands_against_every_write_stands_against_a_membership() {
    play(DAY, async |w| {
        let agent = watching(w, &asking(w, JOIN)).await;
        agent.post("hold", json!({"numbers": ["+15005550100"], "reason": "look"})).await;
        apply(w, &agent).await;
        assert_eq!(services(w), [None, Some(service(1)), Some(service(1))]);
        agent.post("mode", json!({"mode": "observe", "reason": "look"})).await;
        agent.post("restore", undo(false)).await;
        w.pass(120).await;
        assert_eq!(services(w), [None, Some(service(1)), Some(service(1))]);
        agent.post("mode", json!({"mode": "confirm", "reason": "go"})).await;
        // Which service a number is in cannot be seen: nothing is written, and nothing is said to be undone (law 4).
        let blind = ApiFault::new(ApiFaultKind::ServerError, ApiFaultScope::Class(EndpointClass::ServiceNumbers));
        w.sim.fault(blind).unwrap();
        agent.post("restore", undo(false)).await;
        w.pass(180).await;
        assert!(!ended(&agent).values().any(|(result, _)| result == "restored"), "{:?}", ended(&agent));
        assert_eq!(services(w), [None, Some(service(1)), Some(service(1))]);
        w.sim.calm();
        agent.post("restore", undo(false)).await;
        w.pass(120).await;
        assert_eq!(services(w), [None; 3], "{:?}", ended(&agent));
        agent.stop().await;
    });
}
