//! Scenario files: what is refused and how, and that ours tell the stories they promise.

use super::*;
use crate::sim::Truth;

const PORT_DAY: &str = include_str!("../../../tests/scenarios/port-day.toml");
const API_TROUBLE: &str = include_str!("../../../tests/scenarios/api-trouble.toml");
const BIG: &str = include_str!("../../../tests/scenarios/big.toml");

fn error(text: &str) -> String {
    Scenario::parse(text).unwrap_err().to_string()
}

#[test]
fn faults_of_a_file_are_found_with_their_place_and_cure() {
    let group = "name = \"x\"\n[[group]]\nname = \"g\"\nnumbers = [\"+12125550100\"]\n";
    for (text, place, cure) in [
        ("name = \"x\"\n".to_owned(), "line 1, column 1", "add a [[group]]"),
        (
            format!("{group}colour = 1\n"),
            "line 5, column 1",
            "unknown field `colour`, expected one of `name`, `numbers`",
        ),
        (format!("{group}[group.traffic]\nbusy = 20\n"), "line 6, column 8", "write 0.25 for a quarter"),
        (format!("{group}[group.traffic]\ntalk = \"90\"\n"), "line 6, column 8", "write one like \"90s\""),
        (format!("{group}[group.traffic]\nutc_offset = \"EST\"\n"), "line 6, column 14", "write one like \"-05:00\""),
        (format!("{group}[[group]]\nname = \"g\"\nnumbers = [\"+12125550101\"]\n"), "line 6, column 8", "rename one"),
        (
            format!("{group}[[group]]\nname = \"h\"\nnumbers = [\"+12125550100\"]\n"),
            "line 5, column 1",
            "keep it in one",
        ),
        (format!("{group}[[group]]\nname = \"h\"\n"), "line 5, column 1", "give numbers = […], or first and count"),
        (
            format!("{group}routing = {{ trunk = \"TK00000000000000000000000000000001\" }}\n"),
            "line 5, column 21",
            "add a [[trunk]]",
        ),
        (format!("{group}routing = {{ voice_url = \"{BIN}\" }}\n"), "line 5, column 25", "add a [[bin]]"),
        (format!("{group}routing = {{ voice_url = \"app.example.com\" }}\n"), "line 5, column 25", "write https://"),
        (
            format!("{group}[[event]]\nat = \"1m\"\nport = \"nobody\"\n"),
            "line 7, column 8",
            "neither a group nor one of the numbers",
        ),
        (format!("{group}[[event]]\nat = \"1m\"\n"), "line 5, column 1", "exactly one of handler, port"),
        (
            format!("{group}[[event]]\nat = \"1m\"\nhandler = {{ url = \"https://a.example\", becomes = \"slow\" }}\n"),
            "line 7, column 11",
            "add after =",
        ),
        (
            format!(
                "{group}[[event]]\nat = \"1m\"\nhandler = {{ url = \"https://a.example\", becomes = \"error\", carrier = \"acme\" }}\n"
            ),
            "line 7, column 69",
            "none of the carriers (verizon",
        ),
        (
            format!("{group}[[event]]\nat = \"1m\"\nfault = {{ kind = \"hang\", on = \"nothing\" }}\n"),
            "line 7, column 31",
            "write one of any, reads, writes, account, calls",
        ),
        (format!("{group}[[bin]]\nsid = \"EH1\"\ndoes = \"answer\"\n"), "line 6, column 7", "EH and 32"),
        (format!("{group}[lag]\nalert_s = [30, -4]\n"), "line 6, column 11", "the smaller number first"),
        (format!("{group}[lag]\nearly = 25\n"), "line 6, column 9", "write 0.25 for a quarter"),
        ("name = \"x\"\nseed = -1\n".to_owned(), "line 2, column 8", "expected u64"),
        ("name = ".to_owned(), "line 1, column 8", ""),
    ] {
        let message = error(&text);
        assert!(message.starts_with(&format!("{place}: ")) && message.contains(cure), "{text}\n=> {message}");
    }
}

#[test]
fn a_scenario_changed_in_code_is_checked_again() {
    let mut scenario = one_number("");
    scenario.groups[0].routing.voice_url = "nonsense".into();
    let e = Sim::new(scenario, Clock::virtual_at(Time::EPOCH)).err().unwrap();
    assert_eq!(e.place, None);
    assert!(e.to_string().contains("no handler's URL"), "{e}");
}

/// The demo's story, in numbers: where it bends, the demo's text bends too.
#[test]
fn port_day_breaks_one_group_two_hours_in_and_for_good() {
    let scenario = Scenario::parse(PORT_DAY).unwrap();
    let numbers = |is_ported: bool| {
        let groups = scenario.groups.iter().filter(|g| !g.foreign && g.port.is_some() == is_ported);
        groups.map(|g| g.all_numbers().count()).sum::<usize>()
    };
    assert_eq!((numbers(true), numbers(false)), (14, 3), "some have been there for long");
    let start = scenario.start.unwrap();
    let truth = Truth::without_help(&scenario).unwrap();
    let group = |name: &str| &truth.groups[&name.parse().unwrap()];
    let support = group("support");
    let broken: u64 = support.failed - support.failed_honestly;
    assert!((200..600).contains(&broken), "{broken}");
    assert!(support.callers_failed > 100);
    assert!(support.last_failed.unwrap() > start + min(178), "callers fail to the end");
    for name in ["sales", "branches", "reminders"] {
        let fine = group(name);
        assert_eq!(fine.failed, fine.failed_honestly, "nothing is wrong with {name}");
        assert!(fine.by_primary > 30, "{name}");
    }
    assert_eq!(group("front-desk").failed, 0, "what stands beside the story is no part of it");
    assert!(truth.groups.get(&"new".parse().unwrap()).is_none_or(|g| g.calls == 0), "nobody calls it yet");
    assert!(group("sales").unanswered > 20, "the busy hour");
    assert!(group("sales").failed >= 9, "the customer who will not give up");
    // One by one, from minute two on.
    let ported: Vec<u64> = truth
        .timeline
        .iter()
        .filter(|e| format!("{:?}", e.what).contains("Voice"))
        .map(|e| e.at.since(start).as_secs() / 60)
        .collect();
    assert_eq!((ported.len(), ported[0]), (14, 2));
    assert!(ported.windows(2).all(|w| w[0] < w[1] && w[1] < 60), "{ported:?}");
}

#[test]
fn pointing_the_broken_group_at_its_bin_saves_the_rest_of_port_day() {
    let scenario = Scenario::parse(PORT_DAY).unwrap();
    let without = Truth::without_help(&scenario).unwrap();
    let with = play(scenario, async |door| {
        door.at(min(124)).await;
        for n in 0..5 {
            let path = door.number_path(&format!("+1212555010{n}"));
            let bin = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000001";
            assert_eq!(door.post(&path, &[("VoiceUrl", bin)]).await.status, 200);
        }
        door.at(min(180)).await;
        door.sim.truth()
    });
    assert!(with.total.failed * 4 < without.total.failed, "{} of {}", with.total.failed, without.total.failed);
    assert!(with.total.by_bin > 150);
}

#[test]
fn api_trouble_meets_every_fault_and_touches_no_caller() {
    let scenario = Scenario::parse(API_TROUBLE).unwrap();
    let truth = play(scenario, async |door| {
        for m in 1..90 {
            door.at(min(m)).await;
            for path in ["Calls.json", "/v1/Alerts"] {
                // Cut and dropped answers are errors of the connection, which the router has not got.
                let response = door.sim.router().oneshot(door.request("GET", path, &[])).await.unwrap();
                let _maybe = axum::body::to_bytes(response.into_body(), usize::MAX).await;
            }
        }
        let stats = door.sim.stats();
        for outcome in ["429", "500", "502", "401", "hang", "drop", "cut", "200"] {
            assert!(stats.of("GET calls", outcome) > 0, "{outcome}: {stats:?}");
        }
        assert!(stats.of("GET alerts", "503") > 0);
        door.sim.truth()
    });
    let kinds: std::collections::BTreeSet<String> =
        truth.timeline.iter().map(|e| serde_json::to_value(e).unwrap()["kind"].to_string()).collect();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    assert_eq!(truth.total.failed, truth.total.failed_honestly);
}

#[test]
fn big_is_made_smaller_in_code() {
    let mut scenario = Scenario::parse(BIG).unwrap();
    scenario.groups[0].count = 50;
    scenario.history = min(60);
    play(scenario, async |door| {
        assert_eq!(door.all("IncomingPhoneNumbers.json?PageSize=1000", "incoming_phone_numbers").await.len(), 50);
        let calls = door.calls().await;
        assert!(calls.len() > 500, "{}: history is there from the start", calls.len());
    });
}
