//! `ringback init`: what it writes from an account, from a list, from both and from neither; what it leaves alone, and
//! what it says of what it could not read.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ringback::config::AlertRules;
use ringback::core::model::roster::PortAt;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass, Scenario};
use serde_json::Value;

use crate::world::{BIN, Folder, World, play, play_scenario};

/// Handlers of every kind, numbers that nobody answers, and one that cannot call.
const ACCOUNT: &str = r#"
name = "account"
seed = 7
lasts = "1h"

[[group]]
name = "support"
numbers = ["+12125550100", "+12125550101", "+12125550102"]
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { voice_url = "https://svc:S3cret@app.example.com/support/voice?token=T0ken" }

[[group]]
name = "sales"
numbers = ["+12125550200", "+12125550201"]
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { voice_url = "https://other.example.com/x", application = "AP00000000000000000000000000000001", service = "MG00000000000000000000000000000001" }

[[application]]
sid = "AP00000000000000000000000000000001"
friendly_name = "Sales line"
voice_url = "https://app.example.com/sales"

[[service]]
sid = "MG00000000000000000000000000000001"
friendly_name = "Sales texts"
inbound_request_url = "https://app.example.com/sms"

[[group]]
name = "desk"
numbers = ["+12125550300"]
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { trunk = "TK00000000000000000000000000000001" }

[[trunk]]
sid = "TK00000000000000000000000000000001"
friendly_name = "Front desk"
origination_url = "sip:desk.example.com"

[[group]]
name = "hosted"
numbers = ["+12125550400"]
hosted = true
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { sms_url = "https://app.example.com/hosted/sms" }

[[group]]
name = "spare"
numbers = ["+12125550500"]
traffic = { calls_per_hour = 0, floor_per_hour = 0 }
routing = { voice_url = "https://demo.twilio.com/welcome/voice/" }
"#;

/// The program in `folder`, with nothing in its environment but `env`.
fn command(folder: &Path, words: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
    command.args(words).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["ACCOUNT_SID", "AUTH_TOKEN", "API_KEY", "API_SECRET", "EDGE", "REGION"] {
        command.env_remove(format!("TWILIO_{name}"));
    }
    command.env_remove("RINGBACK_TOKEN").envs(env.iter().copied());
    command
}

pub fn said(out: std::process::Output) -> (i32, String) {
    let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
    (out.status.code().unwrap(), said)
}

/// Without an account.
fn alone(folder: &Path, words: &[&str]) -> (i32, String) {
    said(command(folder, words, &[]).output().unwrap())
}

/// With the world's account.
#[expect(clippy::disallowed_methods, reason = "the program's time is real")]
pub async fn init(w: &World, words: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let account = w.sim.scenario().account;
    let sid = account.sid.to_string();
    let words = [&["init", "--base-url", &w.base_url], words].concat();
    let mut all = vec![("TWILIO_ACCOUNT_SID", sid.as_str())];
    if env.is_empty() {
        all.push(("TWILIO_AUTH_TOKEN", &account.auth_token));
    }
    all.extend(env);
    let mut child = command(w.folder.path(), &words, &all).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        // Its time is real, ours is not: in one of its seconds no more than two of ours pass, or a story has begun to
        // break things before a busy machine has let it read the account.
        w.clock.sleep(Duration::from_millis(50)).await;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    said(child.wait_with_output().unwrap())
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Each group: its name, how many numbers, its channels, whether it is ported.
fn groups(folder: &Path) -> Vec<(String, usize, [bool; 2], PortAt)> {
    let rules = AlertRules::load(&folder.join("ringback.toml")).unwrap_or_else(|e| panic!("{e}"));
    let roster = rules.roster;
    let of = |g: &ringback::core::model::roster::Group| {
        let first = roster.number(g.numbers[0]);
        (g.name.to_string(), g.numbers.len(), first.channels, first.port)
    };
    roster.groups().map(|(_, g)| of(g)).collect()
}

#[test]
fn without_credentials_a_template_is_written_that_is_not_taken_for_an_account() {
    let folder = Folder::new();
    let (code, told) = alone(folder.path(), &["init"]);
    assert!(code == 0 && told.contains("a template, for there are no credentials"), "{told}");
    assert_eq!(names(folder.path()), ["ringback.token", "ringback.toml"]);
    AlertRules::load(&folder.path().join("ringback.toml")).unwrap_or_else(|e| panic!("{e}"));
    let token = read(folder.path(), "ringback.token");
    assert!(token.trim().len() == 64 && !told.contains(token.trim()), "the token is told to nobody: {told}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("ringback.token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Nobody watches a placeholder's numbers.
    let out = command(folder.path(), &["run"], &[("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")]).output();
    let (code, told) = said(out.unwrap());
    assert!(code == 2 && told.contains("a placeholder"), "{told}");
    // Half of the credentials are a mistake, and no wish for a template.
    let half = Folder::new();
    let out = command(half.path(), &["init"], &[("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")]).output();
    let (code, told) = said(out.unwrap());
    assert!(code == 2 && told.contains("TWILIO_ACCOUNT_SID"), "{told}");
    assert!(names(half.path()).is_empty());
}

#[test]
fn what_is_there_is_left_alone_unless_forced() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("ringback.toml"), "mine").unwrap();
    std::fs::write(folder.path().join("ringback.token"), "a token of my own making").unwrap();
    let (code, told) = alone(folder.path(), &["init"]);
    assert!(code == 2 && told.contains("ringback.toml: there already, and left as it is: --force"), "{told}");
    assert_eq!(read(folder.path(), "ringback.toml"), "mine");
    let (code, told) = alone(folder.path(), &["init", "--force"]);
    assert!(code == 0 && told.contains("which was there already"), "{told}");
    assert!(read(folder.path(), "ringback.toml").contains("[[group]]"));
    assert_eq!(read(folder.path(), "ringback.token"), "a token of my own making", "it is never made anew");
    assert_eq!(names(folder.path()), ["ringback.token", "ringback.toml"], "nothing is left beside them");

    // Where nothing can be written nothing is, and that is said.
    let (code, told) = alone(folder.path(), &["init", "--out", "nowhere/ringback.toml"]);
    assert!(code == 3 && told.contains("nowhere/ringback.token cannot be written"), "{told}");

    // With a token in the environment there is no file for it.
    let other = Folder::new();
    let out = command(other.path(), &["init"], &[("RINGBACK_TOKEN", "open sesame, and more")]).output().unwrap();
    assert_eq!((said(out).0, names(other.path())), (0, vec!["ringback.toml".to_owned()]));
    assert!(!read(other.path(), "ringback.toml").contains("token_file"));
}

#[test]
fn an_accounts_numbers_are_grouped_by_who_answers_them() {
    play(ACCOUNT, async |w| {
        let (code, told) = init(w, &["--fallback", BIN], &[]).await;
        assert_eq!(code, 0, "{told}");
        let (both, voice, messages) = ([true; 2], [true, false], [false, true]);
        let expected: Vec<_> =
            [("support", 3, voice), ("sales-line", 2, both), ("hosted", 1, messages), ("front-desk", 1, voice)]
                .map(|(name, count, channels)| (name.to_owned(), count, channels, PortAt::Done))
                .into();
        let mut found = groups(w.folder.path());
        found.sort_by_key(|(name, ..)| expected.iter().position(|(n, ..)| n == name));
        assert_eq!(found, expected, "{told}");
        let text = read(w.folder.path(), "ringback.toml");
        for part in [
            "# Calls are answered by https://app.example.com/support/voice.",
            "# Calls are answered by application AP00000000000000000000000000000001 (Sales line).",
            "# Messages are answered by Messaging Service MG00000000000000000000000000000001 (Sales texts).",
            "# Calls are answered by trunk TK00000000000000000000000000000001 (Front desk).",
            "# * MG00000000000000000000000000000001 Sales texts: 2 numbers; answers by its own webhook",
            "# from = \"+12125550500\"",
            "FILL IN: without a fallback for messaging a rollback has nowhere to go",
            "mode   = \"observe\"",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        for secret in ["S3cret", "T0ken", &w.sim.scenario().account.auth_token] {
            assert!(!text.contains(secret) && !told.contains(secret), "{secret}");
        }
        assert!(told.contains("FILL IN: no fallback for messaging"), "{told}");
        assert!(told.contains("test calls could come from +12125550500"), "{told}");

        // And the agent starts with it.
        let text = text.replace("127.0.0.1:9466", "127.0.0.1:0");
        let config = w.parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let agent = w.start_with(&config).await.unwrap();
        w.pass(60).await;
        assert_eq!(agent.status().numbers().count(), 7);
        agent.stop().await;
    });
}

#[test]
fn thousands_of_numbers_are_read_by_pages_and_written_to_lists() {
    let groups_of = |name: &str, first: &str, count: usize, path: &str| {
        format!(
            "[[group]]\nname = \"{name}\"\nfirst = \"{first}\"\ncount = {count}\n\
             traffic = {{ calls_per_hour = 0, floor_per_hour = 0 }}\n\
             routing = {{ voice_url = \"https://app.example.com/{path}\" }}\n"
        )
    };
    let day = "name = \"big\"\nseed = 7\nlasts = \"1h\"\n".to_owned()
        + &groups_of("a", "+12125500000", 1_500, "north")
        + &groups_of("b", "+12125600000", 480, "south")
        + &groups_of("c", "+12125700000", 20, "west");
    play(&day, async |w| {
        let (code, told) = init(w, &["--json"], &[]).await;
        assert_eq!(code, 0, "{told}");
        assert!(told.contains("reading the account: 2000 numbers so far"), "{told}");
        let expected = [("north", 1_500), ("south", 480), ("west", 20)]
            .map(|(name, count)| (name.to_owned(), count, [true, false], PortAt::Done));
        assert_eq!(groups(w.folder.path()), expected);
        let lists = ["numbers-north.csv", "numbers-south.csv", "ringback.token", "ringback.toml"];
        assert_eq!(names(w.folder.path()), lists);
        let summary: Value = serde_json::from_str(told.lines().find(|l| l.starts_with('{')).unwrap()).unwrap();
        assert_eq!((&summary["account_numbers"], &summary["groups"][0]["numbers"]), (&2_000.into(), &1_500.into()));
        assert_eq!(w.sim.stats().of("GET numbers", "200"), 2, "two pages");
        let all: u64 = w.sim.stats().requests.values().flat_map(|by| by.values()).sum();
        assert!(all <= 4, "no request is one number's: {:?}", w.sim.stats().requests);
    });
}

#[test]
fn what_could_not_be_read_stands_in_the_file_and_on_the_terminal() {
    let key = "\n[account]\nkey = [{ sid = \"SK0123456789abcdef0123456789abcdef\", secret = \"s3cret\", kind = \
               \"restricted\", permissions = [\"numbers\", \"applications\"] }]\n";
    let env = [("TWILIO_API_KEY", "SK0123456789abcdef0123456789abcdef"), ("TWILIO_API_SECRET", "s3cret")];
    play(&format!("{ACCOUNT}{key}"), async |w| {
        let (code, told) = init(w, &[], &env).await;
        assert_eq!(code, 1, "{told}");
        let text = read(w.folder.path(), "ringback.toml");
        for part in ["Messaging Services: list_services: the API key lacks a permission", "trunk TK0000"] {
            assert!(told.contains(&format!("NOT READ: {part}")), "{part} in {told}");
            assert!(text.contains(&format!("# * {part}")), "{part} in {text}");
        }
        // Without its name the trunk is told by its SID.
        let all = groups(w.folder.path());
        assert!(all.iter().any(|(name, ..)| name == "trunk-0001"), "{all:?}");
    });

    // The list breaks off: what came is used, and nobody takes it for all.
    let mut day = Scenario::parse(ACCOUNT).unwrap();
    let many = "[[group]]\nname = \"x\"\nfirst = \"+12125500000\"\ncount = 1500\n";
    let big = Scenario::parse(&format!("{ACCOUNT}{many}")).unwrap();
    day.groups = big.groups;
    play_scenario(day, async |w| {
        std::fs::write(w.folder.path().join("old.csv"), "number\n+12125550100\n+13055550100\n").unwrap();
        let numbers = ApiFaultScope::Class(EndpointClass::Numbers);
        w.sim.fault(ApiFault::new(ApiFaultKind::LaterPages, numbers)).unwrap();
        let (code, told) = init(w, &["--from-csv", "old.csv"], &[]).await;
        assert!(code == 1 && told.contains("NOT READ: the list of numbers broke off after 1000"), "{told}");
        assert!(read(w.folder.path(), "ringback.toml").contains("not in what was read of it"));
    });

    // Where not one number can be read nothing is written.
    play(ACCOUNT, async |w| {
        let wrong = [("TWILIO_AUTH_TOKEN", "00000000000000000000000000000000")];
        let (code, told) = init(w, &[], &wrong).await;
        assert!(code == 3 && told.contains("nothing was written") && told.contains("TWILIO_AUTH_TOKEN"), "{told}");
        assert!(names(w.folder.path()).is_empty());
    });
}

#[test]
fn a_list_is_read_in_any_writing_and_held_against_the_account() {
    play(ACCOUNT, async |w| {
        // As a spreadsheet leaves it: Windows' letters and line ends, semicolons, columns of its own.
        let rows = "Name;Tracking Number;Monthly\r\nB\u{fc}ro;(212) 555-0100;3\r\nDesk;12125550101;3\r\n\
                    Spare;=\"+12125550500\";3\r\nNew;+1 305 555 0100;3\r\nNew again;1-305-555-0100;3\r\n\
                    Lost;1.21256E+10;3\r\nNobody;;3\r\nShort;555-0100;3\r\n";
        let bytes: Vec<u8> = rows.chars().map(|c| c as u8).collect();
        std::fs::write(w.folder.path().join("old.csv"), bytes).unwrap();
        let (code, told) = init(w, &["--from-csv", "old.csv"], &[]).await;
        assert_eq!(code, 1, "rows that cannot be read are trouble: {told}");
        for part in [
            "old.csv: not UTF-8, and in which encoding it is cannot be told: letters are read as Windows-1252 (ANSI) and \
             may be wrong, so look at the labels, or save it as UTF-8 first; the first of them is in line 2, column 2",
            "old.csv: columns that were passed over: \"Monthly\"",
            "old.csv:2:6: \"(212) 555-0100\": ten digits without a country, taken for a number of North America (+1); \
             read as +12125550100",
            "old.csv:3:6: \"12125550101\": written without +, which spreadsheets drop; read as +12125550101",
            "old.csv:6:11: +13055550100: listed before, in line 5; taken once",
            "old.csv:7:6: \"1.21256E+10\": a spreadsheet rounded this number, and its last digits are lost",
            "old.csv:8:1: no number in this row: \"Nobody\"",
            "old.csv:9:7: \"555-0100\": no area code",
            "old.csv: 8 rows: 4 numbers, 6 repaired, 3 not read",
            "of the list's 4 numbers, 3 in the account and 1 not seen in it",
            "not watched, for they are not on the list: +12125550102",
        ] {
            assert!(told.contains(part), "{part:?} in\n{told}");
        }
        let all = groups(w.folder.path());
        let unknown: Vec<_> =
            all.iter().filter(|(.., port)| *port == PortAt::Unknown).map(|(n, c, ..)| (&**n, *c)).collect();
        assert_eq!(unknown.len(), all.len(), "what is to be ported is not taken for ported: {all:?}");
        assert_eq!(unknown, [("support", 2), ("no-handler-yet", 1), ("to-come", 1)]);
        let text = read(w.folder.path(), "ringback.toml");
        assert!(text.contains("\"+12125550100\",   # Büro") && text.contains("not in it yet"), "{text}");
        assert!(!text.contains("# from = \"+12125550500\""), "a number that ports is no prober");
    });
}

#[test]
fn of_each_kind_ten_are_told_and_the_list_itself_is_never_written_over() {
    let folder = Folder::new();
    let rows = (0..60).fold("tn\n".to_owned(), |mut rows, n| {
        writeln!(rows, "{}", 12_125_550_100_u64 + n).unwrap();
        rows
    });
    std::fs::write(folder.path().join("numbers-to-come.csv"), &rows).unwrap();
    let words = ["init", "--force", "--from-csv", "numbers-to-come.csv"];
    let (code, told) = alone(folder.path(), &words);
    assert!(code == 2 && told.contains("is the list that was read"), "{told}");
    assert_eq!(read(folder.path(), "numbers-to-come.csv"), rows);
    assert_eq!(told.matches("written without +").count(), 11, "{told}");
    assert!(told.contains("50 more like that, up to line 61: written without +"), "{told}");
    std::fs::rename(folder.path().join("numbers-to-come.csv"), folder.path().join("old.csv")).unwrap();
    let (code, told) = alone(folder.path(), &["init", "--from-csv", "old.csv"]);
    assert!(code == 0 && told.contains("no account was looked at"), "{told}");
    assert_eq!(groups(folder.path()), [("to-come".to_owned(), 60, [true; 2], PortAt::Unknown)]);
    // A picture of a list is none.
    std::fs::write(folder.path().join("old.xlsx"), b"PK\x03\x04....").unwrap();
    let (code, told) = alone(folder.path(), &["init", "--force", "--from-csv", "old.xlsx"]);
    assert!(code == 2 && told.contains("a zip archive or a spreadsheet"), "{told}");
}

/// What the README's first hour says, on pretended time: `sim`, `init`, `run`, the break, the swap, the way back.
#[test]
fn the_ready_story_can_be_practised_from_nothing() {
    const STORY: &str = include_str!("../scenarios/breaks.toml");
    let folder = Folder::new();
    let (code, listed) = alone(folder.path(), &["sim", "--story", "breaks", "--list"]);
    assert_eq!(code, 0, "{listed}");
    let bin = "https://handler.twilio.com/twiml/EH5e1f0000000000000000000000000001";
    for part in [
        "support: +12125550100 … +12125550102 (3); up to 240 calls an hour",
        "calls: https://app.example.com/support/voice; messages: nobody",
        &format!("{bin}  speaks to the caller, answers a text"),
        "spare still points at Twilio's demo",
        "2m: https://app.example.com/support/voice answers HTTP 500, for 10m",
    ] {
        assert!(listed.contains(part), "{part:?} in\n{listed}");
    }
    play(STORY, async |w| {
        let (code, told) = init(w, &["--fallback", bin, "--sms-fallback", bin, "--probe"], &[]).await;
        assert!(code == 0 && told.matches("\nFILL IN: ").count() == 1, "how people are told is left: {told}");
        let text = read(w.folder.path(), "ringback.toml").replace("127.0.0.1:9466", "127.0.0.1:0");
        let config =
            w.parse(&text.replace("mode   = \"observe\"", "mode = \"auto\"")).unwrap_or_else(|e| panic!("{e}"));
        let agent = w.start_with(&config).await.unwrap();
        let numbers: Vec<_> = ["+12125550100", "+12125550101", "+12125550102"].map(|n| n.parse().unwrap()).into();
        let swapped = |w: &World| numbers.iter().filter(|n| crate::support::url(w, **n) == bin).count();
        w.pass(110).await;
        assert_eq!(swapped(w), 0, "nothing is wrong yet");
        let begin = w.now();
        while swapped(w) < 3 {
            w.pass(5).await;
            assert!(w.now().since(begin).as_secs() < 300, "found within five minutes: {}", swapped(w));
        }
        agent.stop().await;
    });
}
