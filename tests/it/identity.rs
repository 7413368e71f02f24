//! What Twilio does not have, and answers that are not of what was asked: neither is taken for the thing itself.

use ringback::core::model::id::{Channel, E164};
use ringback::core::model::verdict::Verdict;
use ringback::core::routing::history::RoutingState;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::probe_trouble::{Passing, between};
use crate::support::{break_app, drill, support, with_token, writes};
use crate::world::{Running, World, play};

const APPLICATION: &str = "AP00000000000000000000000000000001";
const SERVICE: &str = "MG00000000000000000000000000000001";

/// Support's calls go to an application, and its texts to a Messaging Service.
fn day() -> String {
    DAY.replacen(
        "failure = 0.0 }\nrouting = { voice_url = \"https://app.example.com/voice\" }",
        &format!(
            "failure = 0.0, messages_per_hour = 60 }}\nrouting = {{ application = \"{APPLICATION}\", service = \
             \"{SERVICE}\" }}"
        ),
        1,
    ) + &format!(
        "\n[[application]]\nsid = \"{APPLICATION}\"\nfriendly_name = \"IVR\"\nvoice_url = \
         \"https://app.example.com/voice\"\n\n[[service]]\nsid = \"{SERVICE}\"\nfriendly_name = \"texts\"\n\
         inbound_request_url = \"https://app.example.com/service\"\n"
    )
}

fn not_there(passing: &mut Passing) {
    passing.status = 404;
    passing.body = br#"{"code":20404,"message":"The requested resource was not found","status":404}"#.to_vec();
}

fn routing(agent: &Running, number: E164, channel: Channel) -> (RoutingState, bool, Option<String>) {
    let of = agent.channel(number, channel);
    (of.routing, of.verdict == Verdict::Healthy, of.handler.map(|h| h.to_string()))
}

/// Whoever calls a number whose application is gone finds nobody: that is no health, whatever was seen before, and
/// costs only the channel that it concerns.
#[test]
fn an_application_that_is_not_there_answers_nobody() {
    play(&day(), async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            if passing.path.contains("/Applications/") {
                not_there(passing);
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(1200).await;
        let number = support()[0];
        let named = Some(format!("application {APPLICATION}"));
        assert_eq!(routing(&agent, number, Channel::Voice), (RoutingState::Gone, false, named));
        let (state, is_healthy, _) = routing(&agent, number, Channel::Messaging);
        assert_eq!((state, is_healthy), (RoutingState::Handled, true));
        let gone = async |channel: &str| {
            agent.metric(&format!("ringback_numbers_by_routing{{channel=\"{channel}\",routing=\"gone\"}}")).await
        };
        assert_eq!((gone("voice").await, gone("messaging").await), (Some(3.0), Some(0.0)));
        assert!(agent.status().decisions.is_empty(), "nobody was harmed yet: {:?}", agent.status().decisions);
        agent.stop().await;
    });
}

/// A trunk is asked after as well. A proxy's 404 is no word of Twilio's, and neither is a refusal.
#[test]
fn a_trunk_that_is_not_there_answers_nobody() {
    let trunk = "TK00000000000000000000000000000001";
    let day = DAY.replacen(
        "routing = { voice_url = \"https://app.example.com/voice\" }",
        &format!("routing = {{ trunk = \"{trunk}\" }}"),
        1,
    ) + &format!(
        "\n[[trunk]]\nsid = \"{trunk}\"\nfriendly_name = \"Desk\"\norigination_url = \"sip:desk.example.com\"\n"
    );
    for (status, code, is) in [
        (404, 20404, (RoutingState::Gone, false)),
        (404, 0, (RoutingState::Handled, true)),
        (401, 70051, (RoutingState::Handled, true)),
        (500, 0, (RoutingState::Handled, true)),
        (200, 0, (RoutingState::Handled, true)),
    ] {
        play(&day, async |w| {
            let mut servers = JoinSet::new();
            between(w, &mut servers, move |passing| {
                if passing.path.contains("/Trunks/") && status != 200 {
                    passing.status = status;
                    passing.body = json!({"code": code, "message": "no", "status": status}).to_string().into_bytes();
                    passing.headers.remove("content-length");
                }
            })
            .await;
            let agent = w.start().await.unwrap();
            w.pass(1200).await;
            let (state, is_healthy, handler) = routing(&agent, support()[0], Channel::Voice);
            assert_eq!((state, is_healthy), is, "{status} {code}");
            assert_eq!(handler.as_deref(), Some(format!("trunk {trunk}").as_str()));
            let asked = agent.sum("ringback_twilio_requests_total", &["endpoint=\"fetch_trunk\""]).await;
            assert!(asked >= 20.0, "{asked}");
            agent.stop().await;
        });
    }
}

#[test]
fn a_messaging_service_that_is_not_there_answers_nobody() {
    play(&day(), async |w: &mut World| {
        let mut servers = JoinSet::new();
        let is_gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let asked = is_gone.clone();
        between(w, &mut servers, move |passing| {
            if passing.path.contains("/PhoneNumbers?") && asked.load(std::sync::atomic::Ordering::Relaxed) {
                not_there(passing);
            }
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let number = support()[0];
        let named = Some(format!("messaging service {SERVICE}"));
        assert_eq!(routing(&agent, number, Channel::Messaging), (RoutingState::Handled, true, named.clone()));
        is_gone.store(true, std::sync::atomic::Ordering::Relaxed);
        w.pass(600).await;
        assert_eq!(routing(&agent, number, Channel::Messaging), (RoutingState::Gone, false, named));
        let (state, is_healthy, _) = routing(&agent, number, Channel::Voice);
        assert_eq!((state, is_healthy), (RoutingState::Handled, true));
        is_gone.store(false, std::sync::atomic::Ordering::Relaxed);
        w.pass(600).await;
        assert!(routing(&agent, number, Channel::Messaging).1, "it is there again");
        agent.stop().await;
    });
}

/// What was asked one by one: which of the answers is changed, and into whose.
fn is_one(path: &str, resource: &str) -> bool {
    path.split('?').next().is_some_and(|p| p.contains(&format!("/{resource}/")) && !p.ends_with("/PhoneNumbers"))
}

fn lie(passing: &mut Passing, field: &str, value: &Value) {
    if let Some(mut answer) = passing.json().filter(|a| a.get(field).is_some()) {
        answer[field] = value.clone();
        passing.set(&answer);
        passing.headers.remove("content-length");
    }
}

/// A record of another number, or of another account, is nobody's: no write follows from it, nor is one believed.
#[test]
fn nothing_is_written_on_an_answer_that_is_of_another_number() {
    for (field, value) in [
        ("sid", json!("PN000000000000000000000000000000ff")),
        ("phone_number", json!("+15005550999")),
        ("account_sid", json!("AC00000000000000000000000000000099")),
    ] {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let changed = value.clone();
            between(w, &mut servers, move |passing| {
                if is_one(&passing.path, "IncomingPhoneNumbers") {
                    lie(passing, field, &changed);
                }
            })
            .await;
            with_token(w);
            let agent = w.start().await.unwrap();
            w.pass(300).await;
            agent.post("rollback", drill()).await;
            w.pass(900).await;
            assert!(writes(w).is_empty(), "{field}: {:?}", writes(w));
            let malformed = ["endpoint=\"fetch_number\"", "code=\"malformed\""];
            assert!(agent.sum("ringback_twilio_requests_total", &malformed).await > 0.0, "{field}");
            assert!(support().iter().all(|n| !agent.channel(*n, Channel::Voice).is_on_fallback), "{field}");
            agent.stop().await;
        });
    }
}

/// The list says so as well: a number of another account is none of ours.
#[test]
fn a_number_of_another_account_is_not_ours() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            let Some(mut page) = passing.json().filter(|p| p["incoming_phone_numbers"].is_array()) else { return };
            page["incoming_phone_numbers"][0]["account_sid"] = json!("AC00000000000000000000000000000099");
            passing.set(&page);
            passing.headers.remove("content-length");
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        let unread = "ringback_numbers_by_routing{channel=\"voice\",routing=\"unread\"}";
        assert!(agent.metric(unread).await > Some(0.0), "it is not said to be well, nor to be missing");
        agent.stop().await;
    });
}

/// An application's answer that is another's says nothing of the number.
#[test]
fn an_answer_that_is_of_another_application_is_none() {
    for (field, value) in [
        ("sid", json!("AP000000000000000000000000000000ff")),
        ("account_sid", json!("AC00000000000000000000000000000099")),
        ("sid", json!(null)),
    ] {
        play(&day(), async |w| {
            let mut servers = JoinSet::new();
            let changed = value.clone();
            between(w, &mut servers, move |passing| {
                if is_one(&passing.path, "Applications") {
                    lie(passing, field, &changed);
                }
            })
            .await;
            let agent = w.start().await.unwrap();
            w.pass(600).await;
            let voice = agent.channel(support()[0], Channel::Voice);
            assert_eq!((voice.routing, voice.verdict), (RoutingState::Unread, Verdict::Blind), "{field} {value}");
            let (state, is_healthy, _) = routing(&agent, support()[0], Channel::Messaging);
            assert_eq!((state, is_healthy), (RoutingState::Handled, true), "{field} {value}");
            agent.stop().await;
        });
    }
}

/// The numbers of one service are not those of another.
#[test]
fn an_answer_that_is_of_another_service_is_none() {
    play(&day(), async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            let Some(mut page) = passing.json().filter(|p| p["phone_numbers"].is_array()) else { return };
            for row in page["phone_numbers"].as_array_mut().unwrap() {
                row["service_sid"] = json!("MG000000000000000000000000000000ff");
            }
            passing.set(&page);
            passing.headers.remove("content-length");
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let messaging = agent.channel(support()[0], Channel::Messaging);
        assert_eq!((messaging.routing, messaging.verdict), (RoutingState::Unread, Verdict::Blind));
        assert!(routing(&agent, support()[0], Channel::Voice).1);
        agent.stop().await;
    });
}

/// A call that an alert names before the list shows it is fetched by its SID. What comes back as another one's is no
/// call, and nothing is counted for it.
#[test]
fn an_answer_that_is_of_another_call_is_none() {
    let day = format!("{DAY}\n[lag]\nrange_s = [60.0, 90.0]\nalert_s = [-40.0, -30.0]\n");
    for lies in [true, false] {
        play(&day, async |w| {
            let mut servers = JoinSet::new();
            between(w, &mut servers, move |passing| {
                if lies && is_one(&passing.path, "Calls") {
                    lie(passing, "sid", &json!("CA000000000000000000000000000000ff"));
                }
            })
            .await;
            w.agent_section = "mode = \"observe\"\n".into();
            let agent = w.start().await.unwrap();
            w.pass(600).await;
            break_app(w);
            w.pass(1200).await;
            let fetched = "endpoint=\"fetch_call\"";
            let asked = agent.sum("ringback_twilio_requests_total", &[fetched]).await;
            let malformed = agent.sum("ringback_twilio_requests_total", &[fetched, "code=\"malformed\""]).await;
            assert!(asked > 0.0 && (malformed == asked) == lies, "{malformed} of {asked}");
            assert!(agent.sum("ringback_calls_total", &["reason=\"webhook\""]).await > 0.0, "the list shows them");
            let counted = agent.sum("ringback_calls_total", &[]).await;
            let calls = w.sim.truth().total.calls as f64;
            assert!(counted <= calls, "none is counted that there is not: {counted} of {calls}");
            agent.stop().await;
        });
    }
}

/// A page that is said to be followed by one of another account, or of another list, has not been read to its end.
#[test]
fn a_list_does_not_go_on_in_another_one() {
    for next in [
        "/2010-04-01/Accounts/AC00000000000000000000000000000099/IncomingPhoneNumbers.json?Page=1",
        "/v1/Alerts?Page=1",
    ] {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            between(w, &mut servers, move |passing| {
                if let Some(mut page) = passing.json().filter(|p| p["incoming_phone_numbers"].is_array()) {
                    page["next_page_uri"] = json!(next);
                    passing.set(&page);
                    passing.headers.remove("content-length");
                }
            })
            .await;
            let said = match w.start().await {
                Ok(agent) => {
                    w.pass(120).await;
                    let stale = agent.get("/-/ready").await.1;
                    agent.stop().await;
                    stale
                }
                Err(error) => error.to_string(),
            };
            assert!(said.contains("numbers"), "{next}: {said}");
        });
    }
}

/// A list that has one of our numbers twice, with two SIDs: which of them is ours cannot be told, so it is not judged
/// and not written to, and the others are.
#[test]
fn a_number_that_is_listed_with_two_sids_is_not_written_to() {
    play(DAY, async |w| {
        with_token(w);
        let mut servers = JoinSet::new();
        let doubled = support()[0].to_string();
        between(w, &mut servers, move |passing| {
            if !passing.path.contains("IncomingPhoneNumbers.json") {
                return;
            }
            let Some(mut page) = passing.json() else { return };
            let Some(rows) = page["incoming_phone_numbers"].as_array_mut() else { return };
            let Some(row) = rows.iter().find(|row| row["phone_number"] == doubled.as_str()) else { return };
            let mut other = row.clone();
            other["sid"] = "PN000000000000000000000000000000ff".into();
            rows.push(other);
            passing.set(&page);
        })
        .await;
        let agent = w.start().await.unwrap();
        w.pass(900).await;
        let of = |i: usize| agent.channel(support()[i], Channel::Voice);
        assert_eq!((of(0).verdict, of(0).routing), (Verdict::Blind, RoutingState::Unread));
        assert_eq!((of(1).verdict, of(1).routing), (Verdict::Healthy, RoutingState::Handled));
        let (code, body) = agent.get("/-/ready").await;
        assert!(code == 503 && body.contains("numbers"), "{body}");
        agent.post("rollback", drill()).await;
        w.pass(300).await;
        assert_eq!(writes(w).len(), support().len() - 1, "{:?}", writes(w));
        assert!(!of(0).is_on_fallback && of(1).is_on_fallback);
        agent.stop().await;
    });
}
