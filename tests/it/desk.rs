//! The operator's desk in the terminal: `status`, `explain`, `journal`, and what each verb needs, says and exits with.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope};
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::probes::{busy, start};
use crate::support::{after_a_failure, break_app, support, with_token};
use crate::world::{BIN, Folder, Running, World, play};

/// Runs the program with no secret but the token, on a terminal of nobody's. Gives its exit code, what it said, and
/// what it complained of.
async fn desk(w: &World, agent: &Running, words: &[&str]) -> (i32, String, String) {
    desk_at(w, &agent.url, words).await
}

/// The same, where an agent listens at `url`.
pub async fn desk_at(w: &World, url: &str, words: &[&str]) -> (i32, String, String) {
    let listen = url.trim_start_matches("http://");
    let text = w.config_text().replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{listen}\""));
    // A notifier whose secret is nowhere: nobody is told anything by these.
    let text = format!("{text}\n[[notify]]\nname = \"ops\"\nkind = \"slack\"\nurl_env = \"NOWHERE\"\n");
    let path = w.folder.path().join("ringback.toml");
    std::fs::write(&path, text).unwrap();
    let mut child = bare(words)
        .arg("--config")
        .arg(path)
        .env("RINGBACK_TOKEN", "open sesame")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() {
        // Its time is real, ours is not: in small steps, so that no ticket ends before a slow machine has used it.
        w.clock.sleep(Duration::from_millis(5)).await;
        tokio::task::yield_now().await;
    }
    let out = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// The program in an environment without anything of the account's.
fn bare(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
    command.args(words).env_remove("TWILIO_AUTH_TOKEN").env_remove("TWILIO_ACCOUNT_SID").env_remove("COLUMNS");
    command
}

/// Every line fits a terminal of 80 columns.
fn fits(text: &str) {
    let long: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80).collect();
    assert!(long.is_empty(), "too wide: {long:#?}");
    assert!(!text.contains('\u{1b}'), "no colours but on a terminal: {text}");
}

/// The text in one line, also where a command goes on in the next.
fn flat(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ")
}

/// All of these stand in the text, whose lines are broken anywhere.
fn says(text: &str, all: &[&str]) {
    let (said, all) = (flat(text), all.iter().map(|a| flat(a)));
    let missing: Vec<String> = all.filter(|a| !said.contains(a.as_str())).collect();
    assert!(missing.is_empty(), "it does not say {missing:#?}:\n{text}");
}

/// Numbers that were rolled back: the six answers, by status alone.
#[test]
fn what_was_rolled_back_is_told_with_all_that_a_person_needs() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        let (code, said, complained) = desk(w, &agent, &["status"]).await;
        assert_eq!((code, complained.as_str()), (1, ""), "{said}");
        fits(&said);
        says(
            &said,
            &[
                "TROUBLE 6 numbers: 3 in trouble, 3 healthy, 3 on the fallback. 1 trouble.",
                "mode auto; every log that is needed is read",
                "CRITICAL D1 Rolled back: support voice, all 3 numbers",
                "+15005550100, +15005550101, +15005550102 (all of support)",
                "Since 14:1", // of the same day, so without the date
                " ago",
                " failed",
                "the handler's URL could not be fetched (11200: HTTP retrieval failure: the URL answered with an error)",
                "https://app.example.com/voice answered HTTP 500 at 14:",
                "D1: rolled back 3 numbers to the fallback",
                "in part: read back, the fallback is the effective handler; no test call has heard it yet",
                "no test call is configured that would prove it ([group.probe] from)",
                "Repair the server behind the handler's URL, then restore:",
                "restore --group support --channel voice",
                "--reason 'repaired' --config",
            ],
        );
        // Only trouble, unless all is asked for; and only of what is asked about.
        assert!(!said.contains("+15005550200"), "{said}");
        let (_, all, _) = desk(w, &agent, &["status", "--all"]).await;
        says(&all, &["+15005550200 voice active healthy", "+15005550100 voice active"]);
        fits(&all);
        let (code, sales, _) = desk(w, &agent, &["status", "--group", "sales"]).await;
        assert_eq!(code, 0, "{sales}");
        says(&sales, &["NO TROUBLE 3 numbers: 0 in trouble, 3 healthy"]);
        assert!(!sales.contains("support voice"), "{sales}");
        let (code, one, _) = desk(w, &agent, &["status", "+15005550101"]).await;
        assert_eq!(code, 1);
        says(&one, &["TROUBLE 1 number: 1 in trouble", "Rolled back: support voice"]);
        agent.stop().await;
    });
}

#[test]
fn what_is_held_asked_blind_or_cured_by_nothing_is_told_with_who_and_until_when() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let hold = json!({"group": "support", "reason": "we are looking", "author": "ann", "seconds": 7200});
        agent.post("hold", hold).await;
        break_app(w);
        w.pass(900).await;
        let (code, said, _) = desk(w, &agent, &["status"]).await;
        assert_eq!(code, 1);
        fits(&said);
        says(
            &said,
            &[
                "CRITICAL D1 Rollback blocked: support voice",
                "A rollback would help, but ann holds group support until",
                "Held group support by ann until 16:10:00 UTC (in ",
                "we are looking",
                "Waits for the end of the hold, 16:10:00 UTC",
                "release --group support",
                "INFO Held by ann: group support: we are looking",
            ],
        );
        agent.post("mode", json!({"mode": "confirm", "reason": "ask me"})).await;
        agent.post("release", json!({"group": "support", "reason": "looked"})).await;
        w.pass(30).await;
        // What waits for a person.
        let (code, said, _) = desk(w, &agent, &["status", "--group", "support"]).await;
        assert_eq!(code, 1);
        says(
            &said,
            &["Approval needed: support voice", "Waits for your approval, until ", "then it lapses", "approve D1"],
        );
        // The cause of blindness, and not only that there is some.
        w.sim.fault(ApiFault::new(ApiFaultKind::Unauthorized, ApiFaultScope::Any)).unwrap();
        w.pass(300).await;
        let (code, said, _) = desk(w, &agent, &["status"]).await;
        assert_eq!(code, 1);
        fits(&said);
        says(
            &said,
            &[
                "NOT SEEN: voice",
                "CRITICAL Ringback is blind: voice",
                "HTTP 401",
                "last read 14:",
                "your commands fail for the same reason",
                "Next Mend the credentials: TWILIO_AUTH_TOKEN",
                "in Twilio's Console",
            ],
        );
        let blind = said.split("Ringback is blind: voice").nth(1).unwrap().split("CRITICAL").next().unwrap();
        assert!(!blind.contains("ringback rollback"), "they would fail as well: {blind}");
        agent.stop().await;
    });
}

/// Nothing fails, and a number is not where it belongs: who looks in the morning is told, whoever put it there.
#[test]
fn a_number_that_a_person_put_on_the_fallback_is_no_clean_status() {
    play(&busy(""), async |w| {
        with_token(w);
        let agent = start(w, "every = \"10m\"").await;
        w.pass(600).await;
        assert_eq!(desk(w, &agent, &["status"]).await.0, 0);
        let order = json!({"numbers": ["+15005550100"], "reason": "a drill"});
        assert_eq!(agent.post("rollback", order).await.0, 200);
        w.pass(300).await;
        let (code, said, _) = desk(w, &agent, &["status"]).await;
        assert!(code == 1 && said.contains("1 on the fallback"), "{code}: {said}");
        let (code, said, _) = desk(w, &agent, &["status", "+15005550101"]).await;
        assert!(code == 0 && !said.contains("on the fallback"), "{code}: {said}");
        agent.stop().await;
    });
}

#[test]
fn a_rollback_that_is_not_proven_says_so_and_what_to_do_by_hand() {
    let scenario = busy("").replace("does = \"answer\"", "does = \"dead\"");
    play(&scenario, async |w| {
        with_token(w);
        let agent = start(w, "every = \"10m\"").await;
        w.pass(300).await;
        break_app(w);
        w.pass(1200).await;
        let (code, said, _) = desk(w, &agent, &["status"]).await;
        assert_eq!(code, 1);
        fits(&said);
        says(
            &said,
            &[
                "CRITICAL",
                ", 3 on the fallback, 3 unproven. 1 trouble.",
                "Rollback UNPROVEN",
                "Proven NO: the numbers are on the fallback, and the fallback fails",
                "test calls failed (they are in no count of callers)",
                "Next Repair https://handler.twilio.com/twiml/",
            ],
        );
        let last = said.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.contains("Rollback UNPROVEN") && last.contains("TROUBLE"), "the last screen names it: {last}");
        agent.stop().await;
    });
}

/// Twilio took the write, and the handler still answers: no number is on the fallback.
#[test]
fn what_was_written_and_is_not_so_is_unproven_and_on_no_fallback() {
    play(&busy(""), async |w| {
        with_token(w);
        let agent = start(w, "every = \"10m\"").await;
        w.pass(300).await;
        w.sim.fault(ApiFault::new(ApiFaultKind::Ineffective, ApiFaultScope::Writes)).unwrap();
        break_app(w);
        w.pass(600).await;
        let (code, said, _) = desk(w, &agent, &["status"]).await;
        assert_eq!(code, 1);
        says(&said, &[", 3 unproven. 1 trouble.", "https://app.example.com/voice still answers"]);
        assert!(!said.contains("on the fallback"), "{said}");
        agent.stop().await;
    });
}

/// The status as data is what the description says it is.
#[test]
fn the_status_is_as_the_description_says() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        let (_, text, _) = desk(w, &agent, &["status", "--json"]).await;
        let status: Value = serde_json::from_str(&text).unwrap();
        let description: Value = serde_json::from_str(&agent.get("/api/v1/openapi.json").await.1).unwrap();
        let schemas = &description["components"]["schemas"];
        let of = |name: &str, value: &Value| {
            let schema = &schemas[name];
            let known = schema["properties"].as_object().unwrap();
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(value.get(required.as_str().unwrap()).is_some(), "{name} without {required}: {value}");
            }
            for key in value.as_object().unwrap().keys() {
                assert!(known.contains_key(key), "{name}.{key} is not described");
            }
        };
        of("Status", &status);
        of("Summary", &status["summary"]);
        let troubles = status["troubles"].as_array().unwrap();
        assert_eq!(troubles.len(), 1, "{troubles:#?}");
        for trouble in troubles {
            of("Trouble", trouble);
            let kinds = schemas["TroubleKind"]["enum"].as_array().unwrap();
            assert!(kinds.contains(&trouble["kind"]), "{trouble}");
            trouble["handlers"].as_array().unwrap().iter().for_each(|h| of("HandlerSeen", h));
            of("FailedOf", &trouble["callers"]);
        }
        assert_eq!(
            status["summary"],
            json!({
                "numbers": 6, "in_trouble": 3, "on_fallback": 3, "unproven": 0, "troubles": 1, "waiting_for_you": 0,
                "blind": [],
            })
        );
        agent.stop().await;
    });
}

#[test]
fn the_story_of_a_decision_comes_before_its_records() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        let (code, said, complained) = desk(w, &agent, &["explain", "D1"]).await;
        assert_eq!((code, complained.as_str()), (0, ""), "{said}");
        fits(&said);
        says(
            &said,
            &[
                "D1: support, voice: rollback;",
                "What callers met",
                "callers failed since 2026-11-21 14:1",
                "the handler's URL could not be fetched (11200: HTTP retrieval failure",
                "How sure that was",
                "better than luck does;",
                "no guard objected",
                "What was done",
                "whole record is kept: +15005550100: SHA-256",
                "about to write (rollback): +15005550100: VoiceUrl=",
                "it follows from the stored entries",
            ],
        );
        assert!(!said.contains("sha256 "), "no hash of a record: {said}");
        let (_, records, _) = desk(w, &agent, &["explain", "D1", "--records"]).await;
        assert!(records.starts_with(said.trim_end()) && records.contains("sha256 "), "{records}");
        // Who did what.
        agent.post("hold", json!({"all": true, "reason": "lunch", "author": "ann", "seconds": 60})).await;
        let (code, said, _) = desk(w, &agent, &["journal"]).await;
        assert_eq!(code, 0);
        fits(&said);
        says(&said, &["detector: D1: support, voice: rollback;", "ann: holds all numbers until", "lunch"]);
        let (_, said, _) = desk(w, &agent, &["journal", "--author", "ann"]).await;
        assert!(said.contains("lunch") && !said.contains("detector"), "{said}");
        let (_, said, _) = desk(w, &agent, &["journal", "--number", "+15005550101", "--steps"]).await;
        let said = flat(&said);
        assert!(
            said.contains("about to write (rollback): +15005550101: VoiceUrl")
                && !said.contains("lunch")
                && !said.contains("+15005550100:"),
            "{said}"
        );
        let (_, said, _) = desk(w, &agent, &["journal", "--since", "2026-11-22T00:00:00Z"]).await;
        assert_eq!(said, "");
        agent.stop().await;
    });
}

/// What a restore puts back is shown field by field, before it is done and while it goes on.
#[test]
fn a_restore_shows_what_it_will_put_back_and_how_far_it_is() {
    play(DAY, async |w| {
        let agent = after_a_failure(w).await;
        let words = ["restore", "--group", "support", "--channel", "voice", "--reason", "x"];
        let (code, said, complained) = desk(w, &agent, &words).await;
        assert_eq!(code, 1, "nobody said yes");
        says(&said, &[&format!("VoiceUrl: {BIN} -> https://app.example.com/voice"), "A canary goes first"]);
        assert!(complained.contains("nothing was done"), "{complained}");
        let one = support()[0].to_string();
        let words = ["restore", &one, "--channel", "voice", "--yes", "--reason", "x"];
        let (code, said, complained) = desk(w, &agent, &words).await;
        assert_eq!(code, 0, "{said}{complained}");
        says(&said, &["voice: restored: "]);
        agent.stop().await;
    });
}

/// Each way to use a command wrongly, or to find nobody there, with its exit code.
#[test]
fn exit_codes_are_as_the_readme_says() {
    let folder = Folder::new();
    let config = folder.path().join("ringback.toml");
    let text = "[twilio]\naccount_sid = \"AC00000000000000000000000000000001\"\n[agent]\nlisten = \"127.0.0.1:1\"\n\
                [[group]]\nname = \"support\"\nnumbers = [\"+15005550100\"]\n";
    std::fs::write(&config, text).unwrap();
    let began = Instant::now();
    let table: &[(&[&str], i32, &str)] = &[
        // Nobody answers.
        (&["status"], 3, "the agent at 127.0.0.1:1 does not answer; start it with `"),
        (&["status", "--json"], 3, "does not answer"),
        (&["explain", "D1"], 3, "opening the state file"),
        (&["journal"], 3, "opening the state file"),
        (&["restore", "--all", "--reason", "x"], 3, "there is no state file"),
        (&["release", "--all", "--reason", "x"], 3, "there is no state file"),
        (&["approve", "D1", "--reason", "x"], 3, "there is no state file"),
        // Wrong use.
        (&["status", "--group", "two words"], 2, "--group"),
        (&["status", "--until", "settled"], 2, "--watch"),
        (&["status", "12345"], 2, "NUMBER"),
        (&["explain", "twelve"], 2, "D12"),
        (&["explain"], 2, "<ID>"),
        (&["journal", "--number", "+15005550999"], 2, "none of the numbers that are watched"),
        (&["journal", "--since", "yesterday"], 2, "--since"),
        (&["journal", "--verify", "--author", "ann"], 2, "--verify"),
        (&["rollback", "--all"], 2, "--reason"),
        (&["restore", "--reason", "x"], 2, "NUMBER"),
        (&["hold", "--all", "--for", "soon", "--reason", "x"], 2, "--for"),
        (&["mode", "careful", "--reason", "x"], 2, "observe, confirm or auto"),
        (&["run", "--log", "verbose"], 2, "use error, warn, info, debug or trace"),
        (&["run", "--log", "info,ringback::twilio=loud"], 2, "ringback::twilio=loud"),
        (&["no-such-command"], 2, "no-such-command"),
    ];
    for (words, code, said) in table {
        let mut command = bare(words);
        if words[0] != "no-such-command" {
            command.arg("--config").arg(&config);
        }
        let out = command.stdin(Stdio::null()).output().unwrap();
        let complained = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(*code), "{words:?}: {complained}");
        assert!(complained.contains(said), "{words:?}: {complained}");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "nobody is waited for");
    // Nothing was begun by asking.
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["ringback.toml"], "no state file was made");
}

#[test]
fn who_asks_about_what_is_not_watched_is_told_so() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        for (words, said) in [
            (&["status", "--group", "nobody"][..], "there is no group nobody: there are support, sales"),
            (&["status", "+15005550999"], "+15005550999 is none of the numbers that are watched"),
        ] {
            let (code, _, complained) = desk(w, &agent, words).await;
            assert!(code == 2 && complained.contains(said), "{words:?}: {complained}");
        }
        // Too few have called to say that all is well, and that is said.
        let (code, said, _) = desk(w, &agent, &["status", "--watch", "--until", "settled", "--timeout", "1m"]).await;
        assert_eq!(code, 0, "{said}");
        says(&said, &["NO TROUBLE SEEN 6 numbers: 0 in trouble", "not known (too few callers)"]);
        agent.stop().await;
    });
}

/// Shells and `man` are told of every command, from its own definition.
#[test]
fn completions_and_pages_know_every_command() {
    let said = |words: &[&str]| {
        let out = bare(words).stdin(Stdio::null()).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "{words:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let help = said(&["--help"]);
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let names: Vec<&str> =
        commands.filter_map(|l| l.strip_prefix("  ")?.split(' ').next().filter(|n| !n.is_empty())).collect();
    assert!(names.len() > 20, "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        for name in &names {
            assert!(script.contains(name), "{shell} does not know {name}");
        }
    }
    let folder = Folder::new();
    said(&["man", "--out", folder.path().to_str().unwrap()]);
    for name in names.iter().filter(|n| **n != "help") {
        assert!(folder.path().join(format!("ringback-{name}.1")).exists(), "no page of {name}");
    }
    assert!(said(&["man"]).contains("ringback"));
}
