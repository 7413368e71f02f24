//! Recordings of test calls: made by the simulator, fetched by the client, heard by the core.

use std::sync::Arc;

use ringback::caller::CallerKey;
use ringback::core::model::decision::Mode;
use ringback::core::model::id::CallSid;
use ringback::core::probe::hearing::{Expectation, HeardFault, judge, listen};
use ringback::metrics::Metrics;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, Edit, HandlerCondition, HandlerState, Happening};
use ringback::twilio::Client;
use ringback::twilio::recording::{OwnRecording, RecordingState};

use crate::world::{BIN, PROBER, World, play, with_prober};

const NUMBER: &str = "+15005550100";
const VOICE: &str = "https://app.example.com/voice";

const DAY: &str = r#"
name = "recordings"
seed = 11
lasts = "1h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"
marker = "42"

[[group]]
name = "support"
numbers = ["+15005550100"]
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { voice_url = "https://app.example.com/voice" }
"#;

fn client(w: &World) -> Client {
    let config = w.parse(&format!("{}[group.probe]\nfrom = \"{PROBER}\"\n", w.config_text())).unwrap();
    let roster = Arc::new(config.roster.clone());
    let metrics = Metrics::new(&roster, Mode::Observe);
    Client::new(config.twilio.clone(), roster, CallerKey::public(), w.clock.clone(), metrics).unwrap()
}

/// A call from `from`, made as the customer's software may make one as well.
async fn call(w: &World, from: &str, more: &[(&str, &str)]) -> CallSid {
    let account = w.sim.scenario().account;
    let url = format!("{}/2010-04-01/Accounts/{}/Calls.json", w.base_url, account.sid);
    let form = [("To", NUMBER), ("From", from), ("Twiml", "<Response><Pause length=\"15\"/></Response>")];
    let answer = reqwest::Client::new()
        .post(url)
        .basic_auth(account.sid, Some(&account.auth_token))
        .form(&[&form[..], more].concat())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    body["sid"].as_str().unwrap().parse().unwrap()
}

const RECORD: &[(&str, &str)] = &[("Record", "true"), ("RecordingChannels", "dual"), ("Trim", "do-not-trim")];

async fn recorded(w: &World, client: &Client, more: &[(&str, &str)]) -> OwnRecording {
    let call = call(w, PROBER, more).await;
    w.pass(60).await;
    let mut recordings = client.recordings(call).await.unwrap();
    assert_eq!(recordings.len(), 1);
    recordings.remove(0)
}

async fn verdict(w: &World, client: &Client, expected: &Expectation) -> Result<(), HeardFault> {
    let recording = recorded(w, client, RECORD).await;
    let heard = listen(&client.fetch_recording(&recording).await.unwrap());
    judge(&heard, expected)
}

#[test]
fn each_handler_is_heard_for_what_it_is() {
    play(&with_prober(DAY), async |w| {
        let client = client(w);
        let speech = Expectation { speech: true, ..Expectation::default() };
        let marker = Expectation { marker: Some("dtmf:42".parse().unwrap()), ..Expectation::default() };
        assert_eq!(verdict(w, &client, &speech).await, Ok(()));
        assert_eq!(verdict(w, &client, &marker).await, Err(HeardFault::NoMarker), "the handler is not the fallback");
        for (condition, fault) in [
            (HandlerCondition::Silent, HeardFault::DeadAir),
            (HandlerCondition::OutOfService, HeardFault::NotInService),
        ] {
            w.sim.set_handler(VOICE, HandlerState::all(condition)).unwrap();
            assert_eq!(verdict(w, &client, &speech).await, Err(fault));
            assert_eq!(verdict(w, &client, &marker).await, Err(fault));
        }
        let set = [("VoiceUrl".to_owned(), BIN.to_owned())].into();
        w.sim.happen(Happening::Edit(Edit { number: NUMBER.parse().unwrap(), set })).unwrap();
        assert_eq!(verdict(w, &client, &marker).await, Ok(()), "the bin plays its keys");
        let other = Expectation { marker: Some("dtmf:5".parse().unwrap()), ..Expectation::default() };
        assert_eq!(verdict(w, &client, &other).await, Err(HeardFault::WrongMarker));
    });
}

#[test]
fn a_recording_is_there_some_time_after_the_call_and_gone_when_deleted() {
    play(&with_prober(DAY), async |w| {
        let client = client(w);
        let call = call(w, PROBER, RECORD).await;
        assert_eq!(client.recordings(call).await.unwrap(), [], "nobody has answered");
        w.pass(8).await;
        let early = client.recordings(call).await.unwrap();
        assert_eq!(early[0].state(), RecordingState::Pending);
        w.pass(60).await;
        let recording = client.recordings(call).await.unwrap().remove(0);
        assert_eq!(recording.state(), RecordingState::Completed);
        let sound = client.fetch_recording(&recording).await.unwrap();
        assert_eq!(sound.channels().len(), 2);
        client.delete_recording(&recording).await.unwrap();
        assert_eq!(client.recordings(call).await.unwrap(), []);
        let gone = client.fetch_recording(&recording).await.unwrap_err();
        assert_eq!(gone.status, Some(404));
        client.delete_recording(&recording).await.expect("twice is as good as once");
    });
}

#[test]
fn mono_and_trimmed_recordings_are_what_they_are() {
    play(&with_prober(DAY), async |w| {
        let client = client(w);
        let mono = recorded(w, &client, &[("Record", "true")]).await;
        assert_eq!(client.fetch_recording(&mono).await.unwrap().channels().len(), 1);
        w.sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Silent)).unwrap();
        let trimmed = recorded(w, &client, &[("Record", "true")]).await;
        assert_eq!(trimmed.state(), RecordingState::Absent(Some(16102)), "nothing is left of silence");
    });
}

#[test]
fn the_customers_recordings_are_not_seen_and_so_not_touched() {
    play(&with_prober(DAY), async |w| {
        let client = client(w);
        let theirs = call(w, NUMBER, RECORD).await;
        let inbound_only = call(w, PROBER, &[]).await;
        w.pass(60).await;
        assert_eq!(client.recordings(theirs).await.unwrap(), [], "made from a number that is no prober's");
        assert_eq!(client.recordings(inbound_only).await.unwrap(), [], "not recorded");
    });
}

#[test]
fn a_recordings_trouble_is_an_error_and_no_verdict() {
    play(&with_prober(DAY), async |w| {
        let client = client(w);
        let recording = recorded(w, &client, RECORD).await;
        w.sim.fault(ApiFault::new(ApiFaultKind::Truncated, ApiFaultScope::default())).unwrap();
        assert!(client.fetch_recording(&recording).await.is_err());
        w.sim.calm();
        w.sim.fault(ApiFault::new(ApiFaultKind::TooMany, ApiFaultScope::default())).unwrap();
        assert!(client.delete_recording(&recording).await.is_err());
        w.sim.calm();
        assert!(client.fetch_recording(&recording).await.is_ok(), "it is still there");
    });
}
