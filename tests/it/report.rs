//! `report` and `record`: what the program writes of a day that an agent has watched, and what it is worth.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use ringback::core::detect::observation::{Leg, Observation};
use ringback::core::model::order::OrderResult;
use ringback::core::model::time::Time;
use ringback::core::rollback::entry::Entry;
use ringback::report::verify::{ReportFile, intact, verify};
use ringback::store::Store;
use ringback::store::seen::{Input, Place};
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::support::{after_a_failure, program};
use crate::world::{Running, World, play};

const SECRET: &str = "https://us3r:p4ss@app.example.com/voice";

/// The program, without any secret in its environment.
fn run(w: &World, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
    command.args(words).current_dir(w.folder.path()).env_remove("TWILIO_AUTH_TOKEN").env_remove("RINGBACK_TOKEN");
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
    (out.status.code().unwrap(), said)
}

fn read(w: &World, name: &str) -> String {
    std::fs::read_to_string(w.folder.path().join(name)).unwrap()
}

/// A day on which support's app breaks, its numbers are swapped, and a person puts a hold on sales.
async fn day(w: &mut World) -> Running {
    let agent = after_a_failure(w).await;
    let hold = json!({ "group": "sales", "reason": "<b>we</b> are looking", "seconds": 1800 });
    assert_eq!(agent.post("hold", hold).await.0, 200);
    w.pass(60).await;
    std::fs::write(w.folder.path().join("ringback.toml"), w.config_text()).unwrap();
    agent
}

/// What the state says, read by itself: when the first failing call that counts began, when it was decided, when the
/// last number was read back, and the callers of support who met an alert.
async fn by_hand(path: &Path) -> (Time, Time, Time, usize) {
    let store = Store::open_read_only(path).await.unwrap();
    let journal = store.journal().await.unwrap();
    let decided = journal
        .iter()
        .find_map(|r| if let Entry::Decision(d) = &r.entry { Some((r.at, d.clone())) } else { None })
        .unwrap();
    let read_back = journal.iter().rev().find(
        |r| matches!(&r.entry, Entry::Result { decision, result: OrderResult::Written, .. } if *decision == decided.1.id),
    );
    let (mut failed, mut callers) = (BTreeSet::new(), Vec::new());
    let mut inputs = store.inputs(Time::EPOCH, Place::LAST).await.unwrap();
    while let Some((_, _, input)) = inputs.next().await.unwrap() {
        match input {
            Input::Seen(_, Observation::Alert(alert)) => failed.extend(alert.resource.map(|r| format!("{r:?}"))),
            Input::Seen(_, Observation::Call(call)) => {
                if let Leg::Inbound { caller, .. } = call.leg {
                    callers.push((format!("Call({})", call.sid), caller.hash));
                }
            }
            Input::Seen(..) | Input::AlertsRead => {}
        }
    }
    let failing: BTreeSet<u64> =
        callers.iter().filter(|(sid, _)| failed.contains(sid)).map(|(_, hash)| *hash).collect();
    (decided.1.evidence.since.unwrap(), decided.0, read_back.unwrap().at, failing.len())
}

#[test]
fn a_days_report_says_what_the_state_says_and_carries_its_evidence() {
    play(DAY, async |w| {
        let agent = day(w).await;
        let to = w.now().to_string();
        let (code, said) = run(w, &["report", "--out", "day.html", "--to", &to]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(run(w, &["report", "--out", "day.md", "--to", &to]).0, 0);
        let (page, md) = (read(w, "day.html"), read(w, "day.md"));
        assert!(page.len() < 2_000_000);
        let (since, decided, read_back, failing) = by_hand(&w.folder.path().join("ringback.db")).await;
        let clock = |t: Time| t.to_timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string();
        for (what, at) in [("first failing call", since), ("decided", decided), ("read back", read_back)] {
            let line = format!("| {} | {what}", clock(at));
            assert!(md.contains(&line), "{line}\n{md}");
        }
        assert!(md.contains(&format!("{failing} of ")), "{failing} callers met an alert\n{md}");
        assert!(md.contains("\\<b>we") || md.contains("&lt;b>we"), "{md}");
        assert!(page.contains("&lt;b&gt;we&lt;/b&gt; are looking"));
        // Nobody is in it: neither a keyed hash nor the digits that the state keeps.
        let store = Store::open_read_only(&w.folder.path().join("ringback.db")).await.unwrap();
        let mut inputs = store.inputs(Time::EPOCH, Place::LAST).await.unwrap();
        while let Some((_, _, input)) = inputs.next().await.unwrap() {
            if let Input::Seen(_, Observation::Call(call)) = input
                && let Leg::Inbound { caller, .. } = call.leg
            {
                assert!(!page.contains(&caller.hash.to_string()));
            }
        }
        // Every decision follows, from the file alone.
        let found = verify(ReportFile::Html(&page)).unwrap();
        assert!(found.follow > 0 && found.not_kept == 0, "{found:?}");
        for file in ["day.html", "day.md"] {
            let (code, said) = run(w, &["report", "--verify", file]);
            assert_eq!((code, said.contains("whole")), (0, true), "{said}");
        }
        // One alert fewer, with all its digests made anew: the decision is what tells.
        let mut m = intact(ReportFile::Html(&page)).unwrap();
        let at = m.taken.iter().position(|t| matches!(&t.entry, Some((_, Observation::Alert(_))))).unwrap();
        m.taken.remove(at);
        let forged =
            ringback::report::html::page(&ringback::report::model::report(&m), &ringback::report::lines::write(&m));
        let damages = verify(ReportFile::Html(&forged)).unwrap_err();
        assert!(damages.iter().any(|d| d.place == "outcomes"), "{damages:?}");
        std::fs::write(w.folder.path().join("day.html"), page.replacen("Summary", "summary", 1)).unwrap();
        let (code, said) = run(w, &["report", "--verify", "day.html"]);
        assert_eq!((code, said.contains("text, line ")), (1, true), "{said}");
        let (code, said) = run(w, &["report", "--handover", "--to", &to]);
        assert_eq!(code, 0, "{said}");
        for part in ["On the fallback", "+15005550100", "ringback release --group sales", "are looking"] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        agent.stop().await;
    });
}

#[test]
fn what_is_withheld_of_the_journal_is_in_no_report_and_its_chain_holds() {
    play(&DAY.replace("https://app.example.com/voice", SECRET), async |w| {
        crate::support::with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        assert_eq!(agent.post("rollback", crate::support::drill()).await.0, 200);
        w.pass(120).await;
        std::fs::write(w.folder.path().join("ringback.toml"), w.config_text()).unwrap();
        let to = w.now().to_string();
        for file in ["day.html", "day.md"] {
            assert_eq!(run(w, &["report", "--out", file, "--to", &to]).0, 0);
        }
        for file in ["day.html", "day.md", "day.md.evidence"] {
            let text = read(w, file);
            assert!(!text.contains("p4ss") && !text.contains("us3r"), "{file}");
        }
        assert!(read(w, "day.html").contains("withheld"));
        assert_eq!(run(w, &["report", "--verify", "day.html"]).0, 0);
        agent.stop().await;
    });
}

#[test]
fn a_recording_of_the_day_leads_to_the_same_decision() {
    play(DAY, async |w| {
        let agent = day(w).await;
        let live =
            agent.status().decisions.iter().map(|d| (d.at, d.group.clone(), d.numbers.clone())).next_back().unwrap();
        let (from, to) = ((w.now() - std::time::Duration::from_secs(1800)).to_string(), w.now().to_string());
        let config = w.config_text();
        let words = ["record", "--from", &from, "--to", &to, "--out"];
        let out = w.folder.path().join("log.jsonl");
        let words: Vec<&str> = words.into_iter().chain([out.to_str().unwrap()]).collect();
        let (code, said, complained) = program(w, &config, &words).await;
        assert_eq!(code, 0, "{said}{complained}");
        let log = read(w, "log.jsonl");
        let callers: BTreeSet<String> = log
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap())
            .filter(|v| v["kind"] == "call" && v["resource"]["direction"] == "inbound")
            .map(|v| v["resource"]["from"].as_str().unwrap().to_owned())
            .collect();
        assert!(callers.len() > 10 && callers.iter().all(|c| c.starts_with("+999")), "{callers:?}");
        let (code, said) = run(w, &["replay", "--events", "log.jsonl", "--decisions", "out.jsonl"]);
        assert_eq!(code, 0, "{said}");
        let first: Value = serde_json::from_str(read(w, "out.jsonl").lines().next().unwrap()).unwrap();
        assert_eq!((first["decision"].as_str(), first["group"].as_str()), (Some("rollback"), Some(live.1.as_str())));
        let at: Time = first["at"].as_str().unwrap().parse().unwrap();
        let apart = at.since(live.0).max(live.0.since(at));
        assert!(apart.as_secs() <= 10, "{at} in the recording, {} live", live.0);
        agent.stop().await;
    });
}
