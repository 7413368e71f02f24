//! Updates: what they are answered, and what they do.

use super::*;
use crate::sim::{ApiFault, ApiFaultKind, ApiFaultScope, HandlerCondition, HandlerState};

fn with_bin() -> Scenario {
    one_number("[[bin]]\nsid = \"EH00000000000000000000000000000001\"\ndoes = \"answer\"\n")
}

#[test]
fn an_update_helps_from_that_instant() {
    play(with_bin(), async |door| {
        door.sim.set_handler(VOICE, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        door.at(min(30)).await;
        let reply = door.update(&[("VoiceUrl", BIN), ("VoiceFallbackUrl", ""), ("TrunkSid", "")]).await;
        assert_eq!((reply.status, &reply.json()["voice_url"]), (200, &BIN.into()));
        let swapped = door.sim.truth().total;
        assert!(swapped.by_bin == 0 && swapped.failed > 40);
        door.at(min(90)).await;
        let then = door.sim.truth().total;
        assert_eq!(then.failed, swapped.failed);
        assert!(then.by_bin > 90);
        let last = then.last_failed.unwrap();
        assert!(last <= door.start + min(30) + Duration::from_secs(1), "{last}");
    });
}

#[test]
fn what_is_wrong_with_an_update_is_said_and_alerted() {
    play(with_bin(), async |door| {
        let before = door.get(&door.number_path(NUMBER)).await.json();
        for (form, error) in [
            (&[("VoiceUrl", "not-a-url")][..], (400, 21402)),
            (&[("SmsMethod", "DELETE")], (400, 21403)),
            (&[("VoiceUrl", ""), ("VoiceFallbackUrl", "https://x.example/")], (400, 21405)),
            (&[("AccountSid", "AC00000000000000000000000000000002")], (403, 20403)),
        ] {
            assert_eq!(door.update(form).await.error(), error);
        }
        let path = format!("{}/IncomingPhoneNumbers/PN{:032x}.json", door.account(), 1);
        assert_eq!(door.post(&path, &[("VoiceUrl", "")]).await.error(), (404, 20404));
        assert_eq!(door.get(&door.number_path(NUMBER)).await.json(), before);
        door.at(min(2)).await;
        let alerts = door.alerts().await;
        assert_eq!(alerts.len(), 5);
        assert!(
            alerts.iter().all(|a| a["request_url"].as_str().unwrap().starts_with("https://api.twilio.com/2010-04-01/"))
        );
        assert_eq!(count(&alerts, "error_code", "21402"), 1);
        assert!(alerts.iter().all(|a| a["resource_sid"].is_null()));
    });
}

#[test]
fn unknown_parameters_are_ignored() {
    play(with_bin(), async |door| {
        let reply = door.update(&[("VoiceUrL", "https://typo.example/"), ("Colour", "blue")]).await;
        assert_eq!((reply.status, &reply.json()["voice_url"]), (200, &VOICE.into()));
    });
}

#[test]
fn overlapping_updates_of_one_number_exclude_each_other() {
    play(with_bin(), async |door| {
        let (a, b) = tokio::join!(door.update(&[("VoiceUrl", BIN)]), door.update(&[("VoiceUrl", "")]));
        assert_eq!((a.status, b.error()), (200, (409, 20162)));
        assert_eq!(door.update(&[("VoiceUrl", VOICE)]).await.status, 200, "and afterwards it is free again");
    });
}

#[test]
fn a_number_cannot_be_released() {
    play(with_bin(), async |door| {
        let path = door.number_path(NUMBER);
        let reply = door.send(door.request("DELETE", &path, &[])).await;
        assert_eq!(reply.error(), (403, 20403));
        assert_eq!(door.sim.stats().releases, 1);
        assert_eq!(door.get(&path).await.status, 200);
        assert!(format!("{:?}", door.sim.truth().timeline).contains("Release"));
    });
}

#[test]
fn an_update_may_be_answered_and_do_nothing() {
    play(with_bin(), async |door| {
        let fault =
            ApiFault::new(ApiFaultKind::Ineffective, ApiFaultScope::Class(crate::sim::EndpointClass::NumberUpdate))
                .lasts(min(5));
        door.sim.fault(fault).unwrap();
        let reply = door.update(&[("VoiceUrl", BIN)]).await;
        assert_eq!((reply.status, &reply.json()["voice_url"]), (200, &BIN.into()));
        assert_eq!(door.get(&door.number_path(NUMBER)).await.json()["voice_url"], VOICE);
        assert_eq!(door.all("/v1/Events", "events").await.len(), 0);
        door.at(min(6)).await;
        door.update(&[("VoiceUrl", BIN)]).await;
        assert_eq!(door.get(&door.number_path(NUMBER)).await.json()["voice_url"], BIN);
    });
}

#[test]
fn the_audit_trail_says_who_changed_what() {
    let edit = format!(
        "[[event]]\nat = \"20m\"\nedit = {{ number = \"{NUMBER}\", set = {{ VoiceUrl = \"https://hand.example/\" }} }}\n"
    );
    play(one_number(&edit), async |door| {
        door.at(min(10)).await;
        door.update(&[("VoiceUrl", "https://api.example/")]).await;
        door.at(min(30)).await;
        let events = door.all("/v1/Events", "events").await;
        let property = |e: &Value| e["event_data"]["resource_properties"]["voice_url"].clone();
        assert_eq!(events.len(), 2);
        assert_eq!((&events[0]["actor_type"], &events[0]["source"]), (&"user".into(), &"web".into()));
        assert_eq!(
            property(&events[0]),
            serde_json::json!({"previous": "https://api.example/", "updated": "https://hand.example/"})
        );
        assert_eq!((&events[1]["actor_type"], &events[1]["source"]), (&"account".into(), &"api".into()));
        let sid = door.sim.number(NUMBER.parse().unwrap()).unwrap()["sid"].clone();
        let of = async |filter: &str| door.all(&format!("/v1/Events?{filter}"), "events").await.len();
        assert_eq!(of(&format!("ResourceSid={}", sid.as_str().unwrap())).await, 2);
        assert_eq!(of("ResourceSid=PN00000000000000000000000000000009").await, 0);
        assert_eq!(of("StartDate=2026-11-20T14:15:00Z").await, 1);
        // The same stands in the truth's timeline, with both URLs.
        let timeline = serde_json::to_value(door.sim.truth().timeline).unwrap();
        let updates: Vec<_> = timeline.as_array().unwrap().iter().filter(|e| e["what"] == "updated").collect();
        assert_eq!(
            updates[0]["changes"]["voice_url"],
            serde_json::json!({"old": VOICE, "new": "https://api.example/"})
        );
        assert_eq!((&updates[0]["by"], &updates[1]["by"]), (&"api".into(), &"person".into()));
    });
}
