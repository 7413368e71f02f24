//! The door itself: credentials, paths, headers, shapes, the control API.

use super::*;
use crate::sim::{HandlerCondition, HandlerState};

const KEYS: &str = r#"
[[account.key]]
sid = "SK00000000000000000000000000000001"
secret = "main"
kind = "main"
[[account.key]]
sid = "SK00000000000000000000000000000002"
secret = "standard"
kind = "standard"
[[account.key]]
sid = "SK00000000000000000000000000000003"
secret = "restricted"
kind = "restricted"
permissions = ["calls", "numbers"]
"#;

#[test]
fn credentials_open_what_they_may() {
    play(one_number(KEYS), async |door| {
        let as_who = |user: &str, password: &str| Door { who: (user.into(), password.into()), ..door.clone() };
        let account = format!("{}.json", door.account());
        assert_eq!(door.get("Calls.json").await.status, 200);
        assert_eq!(door.get(&account).await.json()["status"], "active");
        for (user, password) in [
            (door.who.0.as_str(), "wrong"),
            ("SK00000000000000000000000000000001", "wrong"),
            ("", ""),
            ("AC00000000000000000000000000000002", "x"),
        ] {
            let reply = as_who(user, password).get("Calls.json").await;
            assert_eq!(reply.error(), (401, 20003), "{user}");
            assert!(reply.headers.contains_key("www-authenticate"));
            assert_eq!(reply.json()["more_info"], "https://www.twilio.com/docs/errors/20003");
        }
        let bare = Request::builder().uri(format!("{}/Calls.json", door.account())).body(Body::empty()).unwrap();
        assert_eq!(door.send(bare).await.error(), (401, 20003));

        let main = as_who("SK00000000000000000000000000000001", "main");
        assert_eq!((main.get(&account).await.status, main.get("/v1/Alerts").await.status), (200, 200));
        let standard = as_who("SK00000000000000000000000000000002", "standard");
        assert_eq!(standard.get("Calls.json").await.status, 200);
        assert_eq!(standard.get(&account).await.error(), (401, 20003));
        let restricted = as_who("SK00000000000000000000000000000003", "restricted");
        assert_eq!(restricted.get("Calls.json").await.status, 200);
        let refused = restricted.update(&[("VoiceUrl", "")]).await;
        assert_eq!(refused.error(), (401, 70051));
        assert!(refused.json()["message"].as_str().unwrap().contains("number-update"));
        assert_eq!(
            door.get("/2010-04-01/Accounts/AC00000000000000000000000000000002/Calls.json").await.error(),
            (404, 20404)
        );
    });
}

#[test]
fn what_is_not_there_is_404_in_json_and_what_cannot_be_done_405() {
    play(one_number(""), async |door| {
        for path in [
            "Calls",
            "Nonsense.json",
            "/v1/Nonsense",
            "/2010-04-01/Accounts",
            "Calls/CA00000000000000000000000000000001.json",
            "Calls/nonsense.json",
            "/v1/Alerts/NO00000000000000000000000000000001",
            "Messages/SM00000000000000000000000000000001.json",
            "/v1/Trunks/TK00000000000000000000000000000001",
            "/v1/Services/MG00000000000000000000000000000001/PhoneNumbers",
            "/v2/PhoneNumbers/+12125559999",
        ] {
            assert_eq!(door.get(path).await.error(), (404, 20404), "{path}");
        }
        assert_eq!(door.post("Applications.json", &[("FriendlyName", "x")]).await.error(), (405, 20004));
    });
}

#[test]
fn every_answer_has_twilios_headers_and_the_worlds_date() {
    play(one_number(""), async |door| {
        door.at(min(10)).await;
        let headers = door.get("Calls.json").await.headers;
        let text = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(text("content-type"), "application/json;charset=utf-8");
        assert_eq!(text("date"), "Fri, 20 Nov 2026 14:10:00 GMT");
        assert_eq!((text("twilio-request-id").len(), &text("twilio-request-id")[..2]), (34, "RQ"));
        assert_eq!(text("twilio-concurrent-requests"), "1");
        let took: f64 = text("twilio-request-duration").parse().unwrap();
        assert!((0.04..=0.16).contains(&took), "{took}");
        assert!(door.clock.now() > door.start + min(10));
    });
}

#[test]
fn more_requests_at_once_than_allowed_are_refused_unprocessed() {
    let mut scenario = one_number("");
    scenario.api.concurrency = 2;
    play(scenario, async |door| {
        let get = || door.get("Calls.json");
        let (a, b, c) = tokio::join!(get(), get(), get());
        let statuses = [a.status, b.status, c.status];
        assert_eq!(statuses, [200, 200, 429]);
        assert_eq!((c.error().1, c.headers["twilio-concurrent-requests"].to_str().unwrap()), (20429, "3"));
        assert_eq!(c.headers["twilio-request-duration"].to_str().unwrap(), "0.000", "turned away at the door");
        let stats = door.sim.stats();
        assert_eq!((stats.most_at_once, stats.too_many, stats.of("GET calls", "200")), (3, 1, 2));
        assert_eq!(get().await.status, 200);
    });
}

#[test]
fn a_resource_is_there_by_its_sid_before_it_is_listed() {
    let mut scenario = one_number("");
    scenario.lag = crate::sim::Lag { range_s: [30.0, 60.0], median_s: 45.0, early: 0.0, ..crate::sim::Lag::none() };
    for immediate in [true, false] {
        scenario.api.fetch_is_immediate = immediate;
        // Which call is the next to be listed?
        let listed = play(scenario.clone(), async |door| {
            door.at(min(12)).await;
            door.calls().await[0].clone()
        });
        play(scenario.clone(), async |door| {
            door.at(min(10)).await;
            let mut path = None;
            while path.is_none() {
                let now = door.clock.now().since(door.start);
                let text = format!("Calls/{}.json", listed["sid"].as_str().unwrap());
                let fetched = door.get(&text).await;
                let is_listed = door.calls().await.iter().any(|c| c["sid"] == listed["sid"]);
                if fetched.status == 200 || is_listed {
                    assert_eq!(is_listed, !immediate, "at {now:?}");
                    path = Some(text);
                }
                door.clock.sleep(Duration::from_secs(1)).await;
            }
        });
    }
}

#[test]
fn port_in_requests_follow_the_ports() {
    let mut scenario = one_number("");
    scenario.groups[0].numbers.push("+12125550101".parse().unwrap());
    scenario.groups[0].port = Some(crate::sim::Port { at: Some(min(10)), every: min(10), ..Default::default() });
    play(scenario, async |door| {
        let list = door.get("/v1/Porting/PortIn/PortInRequests").await.json();
        let request = &list["port_in_requests"][0];
        assert_eq!(
            (&request["port_in_request_status"], &request["phone_numbers_requested"], &request["phone_numbers_ported"]),
            (&"In Progress".into(), &2.into(), &0.into())
        );
        assert!(list["meta"]["next_token"].is_null());
        let path = format!("/v1/Porting/PortIn/{}", request["port_in_request_sid"].as_str().unwrap());
        let one = async || door.get(&path).await.json();
        let before = one().await;
        assert_eq!(
            (&before["port_in_request_status"], &before["target_port_in_date"]),
            (&"in_progress".into(), &"2026-11-20".into())
        );
        assert_eq!(before["phone_numbers"][0]["port_in_phone_number_status"], "Pending");
        assert_eq!(before["phone_numbers"][1]["port_date"], "2026-11-20T14:20:00Z");
        let number =
            format!("{path}/PhoneNumber/{}", before["phone_numbers"][0]["port_in_phone_number_sid"].as_str().unwrap());
        assert_eq!(door.get(&number).await.json()["port_in_phone_number_status"], "pending");
        door.at(min(15)).await;
        assert_eq!(door.get(&number).await.json()["port_in_phone_number_status"], "completed");
        let during = one().await;
        let statuses = [0, 1].map(|i| during["phone_numbers"][i]["port_in_phone_number_status"].clone());
        assert_eq!(
            (&during["port_in_request_status"], statuses),
            (&"in_progress".into(), ["Completed".into(), "Pending".into()])
        );
        door.sim.port("+12125550101").unwrap();
        assert_eq!(one().await["port_in_request_status"], "completed");
        assert_eq!(
            door.get("/v1/Porting/PortIn/PortInRequests?PortInRequestStatus=in_progress").await.json()["port_in_requests"],
            serde_json::json!([])
        );
    });
}

#[test]
fn messages_take_the_services_url_unless_it_defers() {
    let service = |extra: &str| {
        let mut scenario = one_number(&format!(
            "[[service]]\nsid = \"MG00000000000000000000000000000001\"\nfriendly_name = \"Texts\"\n{extra}"
        ));
        scenario.groups[0].traffic.messages_per_hour = 60.0;
        scenario.groups[0].traffic.calls_per_hour = 0.0;
        scenario.groups[0].traffic.reply_failure = 0.0;
        scenario.groups[0].routing.sms_url = "https://app.example.com/sms".into();
        scenario.groups[0].routing.service = Some("MG00000000000000000000000000000001".parse().unwrap());
        play(scenario, async |door| {
            door.sim
                .set_handler("https://app.example.com/sms", HandlerState::all(HandlerCondition::BadTwiml(12300)))
                .unwrap();
            door.at(min(60)).await;
            let messages = door.all("Messages.json?PageSize=100", "messages").await;
            let members =
                door.all("/v1/Services/MG00000000000000000000000000000001/PhoneNumbers", "phone_numbers").await;
            assert_eq!(members[0]["phone_number"], NUMBER);
            (messages, door.alerts().await, door.sim.truth().total)
        })
    };
    let (messages, alerts, truth) = service("inbound_request_url = \"https://svc.example.com/sms\"");
    let inbound = count(&messages, "direction", "inbound");
    assert!(inbound > 30 && alerts.is_empty());
    assert_eq!((truth.messages, truth.messages_by_primary), (inbound as u64, inbound as u64));
    assert_eq!(count(&messages, "messaging_service_sid", "MG00000000000000000000000000000001"), messages.len());
    assert!(count(&messages, "status", "delivered") > 20);

    let (messages, alerts, truth) = service("");
    assert_eq!((messages.len(), alerts.len()), (0, 0), "they vanish");
    assert!(truth.messages > 30 && truth.messages_lost == truth.messages);

    let (messages, alerts, truth) = service("use_inbound_webhook_on_number = true");
    assert_eq!((messages.len(), count(&messages, "status", "received")), (truth.messages as usize, messages.len()));
    assert_eq!((alerts.len(), count(&alerts, "error_code", "12300")), (messages.len(), messages.len()));
    assert!(alerts.iter().all(|a| messages.iter().any(|m| m["sid"] == a["resource_sid"])));
    assert_eq!(truth.messages_lost, truth.messages);
}

#[test]
fn unregistered_senders_lose_their_replies_and_nothing_else() {
    let mut scenario = one_number("");
    scenario.groups[0].traffic.messages_per_hour = 60.0;
    scenario.groups[0].traffic.reply_error = Some(30034);
    scenario.groups[0].routing.sms_url = "https://app.example.com/sms".into();
    play(scenario, async |door| {
        door.at(min(60)).await;
        let messages = door.all("Messages.json?PageSize=100", "messages").await;
        let replies: Vec<_> =
            messages.iter().filter(|m| m["direction"] == "outbound-reply" && m["status"] != "sent").cloned().collect();
        assert!(replies.len() > 20);
        assert_eq!(
            (count(&replies, "status", "undelivered"), count(&replies, "error_code", 30034)),
            (replies.len(), replies.len())
        );
        let truth = door.sim.truth().total;
        assert_eq!((truth.messages_lost, truth.messages_by_primary), (0, truth.messages));
        assert!(door.alerts().await.iter().all(|a| a["error_code"] == "30034"));
    });
}

#[test]
fn the_control_api_tells_and_does() {
    play(one_number(""), async |door| {
        let post = async |what: &str, body: Value| {
            let request = Request::post(format!("/_sim/{what}")).body(Body::from(body.to_string())).unwrap();
            door.send(request).await
        };
        let before = door.get("/_sim/clock").await.json();
        assert_eq!(before["now"], "2026-11-20T14:00:00.000Z");
        assert_eq!(
            post("clock", serde_json::json!({"advance": "30m"})).await.json()["now"],
            "2026-11-20T14:30:00.000Z"
        );
        let truth = door.get("/_sim/truth").await.json();
        assert!(truth["total"]["by_primary"].as_u64().unwrap() > 30);
        assert_eq!(
            post("handler", serde_json::json!({"url": VOICE, "becomes": "error", "status": 502, "for": "5m"}))
                .await
                .status,
            200
        );
        assert_eq!(post("fault", serde_json::json!({"kind": "server-error", "on": "messages"})).await.status, 200);
        assert_eq!((door.get("Messages.json").await.error(), door.get("Calls.json").await.status), ((500, 20500), 200));
        assert_eq!(post("calm", serde_json::json!({})).await.status, 200);
        assert_eq!(door.get("Messages.json").await.status, 200);
        post("clock", serde_json::json!({"advance": "30m"})).await;
        let truth = door.get("/_sim/truth").await.json();
        assert!((5..25).contains(&truth["total"]["failed"].as_u64().unwrap()), "broken for five minutes");
        assert_eq!(truth["timeline"][0]["state"], "answers HTTP 502");
        assert_eq!(door.get(&format!("/_sim/numbers/{NUMBER}")).await.json()["voice_url"], VOICE);
        assert_eq!(door.get("/_sim/stats").await.json()["requests"]["GET messages"]["500"], 1);
        let without = door.get("/_sim/without-help").await.json();
        assert!(without["total"]["calls"].as_u64() > truth["total"]["calls"].as_u64(), "it is played to the end");
        for (what, body) in [
            ("port", serde_json::json!("nobody")),
            ("handler", serde_json::json!({"url": VOICE})),
            ("nonsense", serde_json::json!({})),
            ("fault", serde_json::json!({"kind": "gremlins"})),
        ] {
            let reply = post(what, body).await;
            assert_eq!(reply.status, 400, "{what}");
            assert!(!reply.json()["error"].as_str().unwrap().is_empty());
        }
    });
}
