//! The documentation: pages that the code's own definitions make are current, others name everything that there is, and
//! both doors, `ringback docs` and the agent's `/docs/`, give them.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringback::cli::Exit;
use ringback::config::Config;
use ringback::core::model::code::{Class, Code};
use ringback::core::model::guard::Guard;
use ringback::core::model::reason::{IgnoreReason, Reason};
use ringback::docs::{PAGES, RUNBOOKS, anchor};
use ringback::sim::{Scenario, Story};

use crate::agent::DAY;
use crate::world::play;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn page(name: &str) -> String {
    file(&format!("src/docs/pages/{name}.md"))
}

/// The page is as its definitions have it; `UPDATE=1` makes it so.
pub fn is_current(name: &str, want: &str) {
    let path = root().join(format!("src/docs/pages/{name}.md"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, want).unwrap();
    }
    assert!(page(name) == want, "{name}.md is out of date: UPDATE=1 cargo test --test it -- docs:: layers::");
}

/// The program's exit code and what it said. Help is laid out for 76 columns.
fn ringback(words: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(words)
        .env("COLUMNS", "76")
        .env_remove("RINGBACK_LOG")
        .output();
    let out = out.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// Every command, as `ringback help` lists them.
fn commands() -> Vec<String> {
    let help = ringback(&["help"]).1;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|l| !l.is_empty()).filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    lines.map(|l| l.split_whitespace().next().unwrap().to_owned()).filter(|c| c != "help").collect()
}

#[test]
fn the_page_of_commands_is_current() {
    let codes = [
        (Exit::Done, "done; there is no trouble"),
        (Exit::FoundTrouble, "it ran, and what it found is not good, or not everything is as asked"),
        (Exit::BadUsage, "bad usage or configuration, or a group or number that is not watched"),
        (Exit::CouldNotRun, "it could not run, or could not look (`plan`, `ports`)"),
    ];
    let mut want = String::from(
        "# Commands\n\nThis page is made from the program's own help: `UPDATE=1 cargo test --test it -- docs::` writes it \
         anew. What the\noperator's verbs do and when they refuse is in [orders](orders.md).\n\n## Exit codes\n\n\
         | code | is |\n|---|---|\n",
    );
    for (exit, text) in codes {
        let _ = writeln!(want, "| {} | {text} |", exit as u8);
    }
    let _ = write!(want, "\nFor example `ringback status --group support || page-somebody`.\n");
    for command in commands() {
        let (code, help, _) = ringback(&[&command, "--help"]);
        assert_eq!(code, 0, "{command}");
        assert!(help.contains("Example:\n"), "{command} has an example");
        let lines: String = help.lines().map(|l| format!("{l}\n")).collect::<String>().replace(" \n", "\n");
        let _ = write!(want, "\n## ringback {command}\n\n```text\n{}\n```\n", lines.trim_end());
    }
    is_current("commands", &want);
}

#[test]
fn the_page_of_reasons_is_current() {
    let mut want = String::from(
        "# Reasons\n\nWhy a caller was not served. Each is a label of metrics, and says whether pointing the number at a \
         TwiML\nBin would have served the caller: only then it counts towards a rollback. What a swap would not cure\n\
         pages. Each can be seen beside the pretend Twilio: `ringback sim --story webhook-500`.\n\n\
         | reason | a swap cures it | is | story |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let cures = if reason.is_curable() { "yes" } else { "no" };
        let story = Story::of(reason).unwrap().name;
        let _ = writeln!(want, "| `{}` | {cures} | {} | `{story}` |", reason.label(), reason.text());
    }
    want += "\nThree of them no log tells, and only a test call or message can: ";
    let alone: Vec<String> =
        Reason::ALL.iter().filter(|r| r.is_probes_alone()).map(|r| format!("`{}`", r.label())).collect();
    let _ = writeln!(want, "{}.\n\n## What says nothing\n", alone.join(", "));
    want += "| ignored | is |\n|---|---|\n";
    for why in IgnoreReason::ALL {
        let text = match why {
            IgnoreReason::Busy => "the line was busy: a person, or an honest `<Reject>`",
            IgnoreReason::NoAnswer => "nobody picked up",
            IgnoreReason::HungUp => "the caller hung up before anybody answered",
            IgnoreReason::Brief => "answered and over at once: whether anybody was served cannot be told",
            IgnoreReason::Probe => "our own test call or message",
            IgnoreReason::Recipient => {
                "the recipient, not us: a phone that is off, unknown or a landline, or who has opted out"
            }
        };
        let _ = writeln!(want, "| `{}` | {text} |", why.label());
    }
    want += "\nWhich of Twilio's codes leads to which is in [error-codes](error-codes.md).\n";
    is_current("reasons", &want);
}

const CLASSES: [Class; 19] = [
    Class::Webhook,
    Class::Content,
    Class::Template,
    Class::Dial,
    Class::Origination,
    Class::Sip,
    Class::Account,
    Class::Platform,
    Class::Recipient,
    Class::Registration,
    Class::Delivery,
    Class::Request,
    Class::Callback,
    Class::Media,
    Class::Function,
    Class::Notice,
    Class::Elsewhere,
    Class::Unexplained,
    Class::Unknown,
];

/// What a class is, what its error means for a caller without evidence of service, and for a text of ours.
const fn class(class: Class) -> [&'static str; 3] {
    let unexplained = "`unexplained`";
    let delivery = "`delivery`";
    match class {
        Class::Webhook => [
            "the webhook could not be fetched: unreachable, refused, timed out, HTTP or TLS error",
            "by whose URL it is: `webhook`, `rescued`, `fallback` or `other_url`",
            delivery,
        ],
        Class::Content => [
            "the webhook answered with something that is not usable TwiML",
            "by whose URL it is: `content`, `rescued`, `fallback` or `other_url`",
            delivery,
        ],
        Class::Template => ["a TwiML Bin's template is broken", "`template`", delivery],
        Class::Dial => ["a verb went wrong: a `<Dial>`, a conference, a queue", unexplained, delivery],
        Class::Origination => [
            "the SIP endpoint behind a trunk could not be reached",
            "`trunk` at a number on a trunk, also as a warning; `unexplained` otherwise",
            delivery,
        ],
        Class::Sip => ["trouble of SIP or of a device that has nothing to do with the number", unexplained, delivery],
        Class::Account => {
            ["the account is suspended, out of concurrency or credit, or on trial", "`account`", "`account`"]
        }
        Class::Platform => ["Twilio's own fault", "`platform`", "`platform`"],
        Class::Recipient => ["a message was refused by the recipient's side", unexplained, "ignored: `recipient`"],
        Class::Registration => {
            ["a message was filtered, or its sender is not registered", unexplained, "`registration`"]
        }
        Class::Delivery => ["a message met a limit, or failed for a cause of its own", unexplained, delivery],
        Class::Request => ["a mistake in a request or in TwiML that the caller does not notice", unexplained, delivery],
        Class::Callback => ["what is told or kept afterwards failed: the call itself was fine", "nothing", delivery],
        Class::Media => ["what a call was connected to failed: a media stream, a payment", unexplained, delivery],
        Class::Function => ["a Twilio Function or a Studio flow failed", unexplained, delivery],
        Class::Notice => ["said for the record: no caller notices", "nothing", delivery],
        Class::Elsewhere => ["of another product: a call or message of ours has none", unexplained, delivery],
        Class::Unexplained => ["in the dictionary, which does not say what happened", unexplained, delivery],
        Class::Unknown => ["not in the table and in no range of it", unexplained, delivery],
    }
}

#[test]
fn the_page_of_error_codes_is_current() {
    let mut want = String::from(
        "# Twilio's error codes\n\nWhat each code is taken for, by the table in `src/core/model/code.rs`, which follows \
         Twilio's error\ndictionary as of February 2025. New codes appear there without notice: one that is not in the \
         table is\nclassed by its range. Of what an error leads to, `webhook`, `content`, `rescued` and `trunk` are cured \
         by a\nswap; the others page ([reasons](reasons.md)). A status alone never makes a failure, and an error beside\n\
         evidence of service warns.\n\nFor example 11200, `webhook` on the handler's own URL, is a reason to swap; 30034, \
         `registration`, is none.\n",
    );
    let ends = 460_000;
    for kind in CLASSES.into_iter().filter(|c| *c != Class::Unknown) {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for code in (0..ends).filter(|c| Code(*c).class() == kind) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == code => *last = code,
                _ => ranges.push((code, code)),
            }
        }
        let codes: Vec<String> =
            ranges.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}–{b}") }).collect();
        let [is, caller, text] = class(kind);
        let _ = write!(
            want,
            "\n## {kind:?}\n\n{}{}.\n\n* On a caller's call or text, without evidence of service: {caller}.\n* On a text of ours \
             that failed: {text}.\n* Codes: {}.\n",
            is[..1].to_uppercase(),
            &is[1..],
            codes.join(", ")
        );
    }
    is_current("error-codes", &want);
}

/// Names in backticks in the first cells of the tables below the headings `## [section]`.
fn documented() -> BTreeSet<String> {
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in page("configuration").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.trim_matches(['[', ']']).to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let (cell, _) = row.split_once(" |").unwrap();
            found.extend(cell.split(", ").map(|key| format!("{section}.{}", key.trim_matches('`'))));
        }
    }
    found
}

/// What a section of the file knows: a key that it cannot know is answered with all of them.
fn known(section: &str, is_list: bool, more: &str) -> Vec<String> {
    let heading = if is_list { format!("[[{section}]]") } else { format!("[{section}]") };
    let parents: String = match section.rsplit_once('.') {
        Some((parent, _)) if section.starts_with("group.probe.") => {
            format!("[[group]]\n[{parent}]\nfrom = \"+15005550199\"\n")
        }
        Some(("group", _)) => "[[group]]\nname = \"x\"\n".to_owned(),
        _ => String::new(),
    };
    let text = format!("{parents}{heading}\nxyzzyxyzzy = 1\n{more}");
    let error =
        Config::parse(Path::new("ringback.toml"), &text, &HashMap::<&str, &str>::new()).unwrap_err().to_string();
    let list = error.split("xyzzyxyzzy is not a setting; known here: ").nth(1);
    let list = list.unwrap_or_else(|| panic!("{section}: {error}")).lines().next().unwrap();
    list.split(", ").map(|key| format!("{section}.{key}")).collect()
}

#[test]
fn every_setting_has_a_row() {
    let sections = [
        ("twilio", false, ""),
        ("agent", false, ""),
        ("agent.tls", false, ""),
        ("agent.operator", true, ""),
        ("agent.reader", true, ""),
        ("metrics", false, ""),
        ("poll", false, ""),
        ("history", false, ""),
        ("history.columns", false, ""),
        ("ports", false, ""),
        ("group", true, ""),
        ("group.fallback", false, ""),
        ("group.handler", false, ""),
        ("group.detector", false, ""),
        ("group.threshold", true, ""),
        ("group.probe", false, ""),
        ("group.probe.hear", false, ""),
        ("group.probe.external", true, ""),
        ("probes", false, ""),
        ("rehearsal", false, ""),
        ("notify", true, "kind = \"webhook\"\n"),
        ("notify", true, "kind = \"email\"\n"),
        ("notify", true, "kind = \"command\"\n"),
        ("notify", true, "kind = \"slack\"\n"),
        ("notify", true, "kind = \"pagerduty\"\n"),
        ("heartbeat", false, ""),
    ];
    let names: BTreeSet<&str> = sections.iter().map(|(name, ..)| *name).collect();
    let known: BTreeSet<String> = sections
        .iter()
        .flat_map(|(section, is_list, more)| known(section, *is_list, more))
        .filter(|key| !names.contains(key.as_str()))
        // Secrets do not belong into the file, and are answered with where they belong.
        .filter(|key| {
            !["token", "key", "api_secret", "auth_token", "webhook_token"].contains(&key.rsplit('.').next().unwrap())
        })
        .collect();
    let documented: BTreeSet<String> = documented().into_iter().filter(|key| !names.contains(key.as_str())).collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&known).collect();
    assert!(missing.is_empty() && invented.is_empty(), "without a row: {missing:?}; no settings: {invented:?}");
}

/// The names that a scenario file could have had in the place of the one that it has.
fn expected(scenario: &str) -> Vec<String> {
    let error = Scenario::parse(scenario).unwrap_err().to_string();
    let (_, list) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_word_of_a_scenario_file_is_explained() {
    let head = "name = \"x\"\n";
    let group = "[[group]]\nname = \"g\"\nnumbers = [\"+12125550100\"]\n";
    let mut words = expected("xyzzy = 1\nname = \"x\"\n");
    for table in [
        "[account]\nxyzzy = 1\n",
        "[[account.key]]\nxyzzy = 1\n",
        "[standing]\nxyzzy = 1\n",
        "[[standing.campaign]]\nxyzzy = 1\n",
        "[[standing.rule]]\nxyzzy = 1\n",
        "[api]\nxyzzy = 1\n",
        "[api]\ndate_filters = \"xyzzy\"\n",
        "[api]\nlarger_page = \"xyzzy\"\n",
        "[twilio]\nxyzzy = 1\n",
        "[twilio]\nbroken_webhook = \"xyzzy\"\n",
        "[lag]\nxyzzy = 1\n",
        "[[group]]\nxyzzy = 1\n",
        "[[handler]]\nxyzzy = 1\n",
        "[[handler]]\nurl = \"https://a.example/\"\nstate = { becomes = \"xyzzy\" }\n",
        "[[bin]]\nxyzzy = 1\n",
        "[[bin]]\nsid = \"EH00000000000000000000000000000001\"\ndoes = \"xyzzy\"\n",
        "[[application]]\nxyzzy = 1\n",
        "[[trunk]]\nxyzzy = 1\n",
        "[[service]]\nxyzzy = 1\n",
        "[[event]]\nxyzzy = 1\n",
        "[[event]]\nat = \"1m\"\nhandler = { xyzzy = 1 }\n",
        "[[event]]\nat = \"1m\"\ntraffic = { xyzzy = 1 }\n",
        "[[event]]\nat = \"1m\"\nstorm = { xyzzy = 1 }\n",
        "[[event]]\nat = \"1m\"\ncampaign = { xyzzy = 1 }\n",
        "[[event]]\nat = \"1m\"\nfault = { xyzzy = 1 }\n",
        "[[event]]\nat = \"1m\"\nfault = { kind = \"xyzzy\" }\n",
        "[[event]]\nat = \"1m\"\nedit = { xyzzy = 1 }\n",
        "[[event]]\nat = \"1m\"\nport-status = { xyzzy = 1 }\n",
    ] {
        words.extend(expected(&format!("{head}{table}")));
    }
    for table in [
        "traffic = { xyzzy = 1 }",
        "traffic = { shape = \"xyzzy\" }",
        "traffic = { callers = \"xyzzy\" }",
        "routing = { xyzzy = 1 }",
        "port = { xyzzy = 1 }",
    ] {
        words.extend(expected(&format!("{head}{group}{table}\n")));
    }
    let page = page("scenario");
    let said: BTreeSet<&str> = page.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').collect();
    let missing: BTreeSet<_> = words.iter().filter(|w| !said.contains(w.as_str())).collect();
    assert!(words.len() > 150 && missing.is_empty(), "{missing:?} of {}", words.len());
}

#[test]
fn guards_and_commands_that_there_are_are_named() {
    let orders = page("orders");
    for guard in Guard::ALL {
        let is_row = orders.lines().any(|l| l.starts_with("| `") && l.contains(&format!("`{}`", guard.label())));
        assert!(is_row, "{guard:?} has a row");
    }
    let readme = file("README.md");
    for command in commands() {
        let is_said =
            PAGES.iter().any(|p| p.name != "commands" && page(p.name).contains(&format!("ringback {command}")));
        assert!(is_said || readme.contains(&format!("ringback {command}")), "{command} is explained on a page");
    }
}

/// Links to files of the repository in `text`, which lies in `folder`.
fn dead_links(text: &str, folder: &Path) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    let links = links.filter(|l| !l.contains("://") && !l.contains(' '));
    let is_dead = |link: &&str| {
        let (path, part) = link.split_once('#').unwrap_or((link, ""));
        // A part of this page, or of another one.
        let other = std::fs::read_to_string(folder.join(path)).unwrap_or_default();
        let there = if path.is_empty() { text } else { &other };
        let has_part = |part: &str| {
            let headings = there.lines().filter(|l| l.starts_with('#'));
            headings.map(|l| anchor(l.trim_start_matches('#').trim())).any(|a| a == part)
        };
        !folder.join(path).exists() || !(part.is_empty() || has_part(part))
    };
    links.filter(is_dead).map(str::to_owned).collect()
}

#[test]
fn links_lead_somewhere_and_the_readme_is_short() {
    let readme = file("README.md");
    assert!(readme.lines().count() <= 150, "{}", readme.lines().count());
    assert_eq!(dead_links(&readme, &root()), Vec::<String>::new());
    let wrong = "[a](#b) [c](checks.md#RB999) [d](no.md) [e](checks.md#RB301)";
    let dead = ["#b", "checks.md#RB999", "no.md"];
    assert_eq!(dead_links(wrong, &root().join("src/docs/pages")), dead, "those that lead nowhere");
    for (name, text) in RUNBOOKS {
        assert_eq!(dead_links(text, &root().join("alerts/runbooks")), Vec::<String>::new(), "{name}");
    }
    for p in PAGES {
        let text = page(p.name);
        assert!(text.starts_with("# ") && text.len() > 400, "{}", p.name);
        assert_eq!(dead_links(&text, &root().join("src/docs/pages")), Vec::<String>::new(), "{}", p.name);
        assert!(text.contains("](") || text.contains('`') || p.name == "architecture", "{} has an example", p.name);
        assert!(readme.contains(&format!("src/docs/pages/{}.md", p.name)), "the README leads to {}", p.name);
    }
}

#[test]
fn a_page_is_printed_and_a_wrong_name_is_answered_with_the_right_one() {
    let (code, list, _) = ringback(&["docs"]);
    assert_eq!(code, 0);
    for p in PAGES {
        assert!(list.lines().any(|l| l.starts_with(&format!("  {} ", p.name))), "{}: {list}", p.name);
        let (code, said, _) = ringback(&["docs", p.name]);
        assert!(code == 0 && said.starts_with("# "), "{}: {said}", p.name);
    }
    assert!(list.lines().all(|l| l.chars().count() <= 80), "{list}");
    let (code, _, said) = ringback(&["docs", "metrix"]);
    assert!(code == 2 && said.contains("did you mean `ringback docs metrics`?"), "{said}");
    let (code, _, said) = ringback(&["docs", "nothing-like-it"]);
    assert!(code == 2 && said.contains("`ringback docs` lists all of them"), "{said}");
    let (code, said, _) = ringback(&["docs", "checks#RB301"]);
    assert!(
        code == 0 && said.starts_with("## RB301: ") && said.lines().filter(|l| l.starts_with('#')).count() == 1,
        "{said}"
    );
    let (code, _, said) = ringback(&["docs", "checks#RB999"]);
    assert!(code == 2 && said.contains("checks has no part \"RB999\""), "{said}");
    let (code, said, _) = ringback(&["docs", RUNBOOKS[0].0]);
    assert!(code == 0 && said.contains(RUNBOOKS[0].0), "{said}");
    // Shells and man know of it.
    assert!(ringback(&["completions", "bash"]).1.contains("practise configuration"));
    assert!(ringback(&["man"]).1.contains("ringback\\-docs(1)"));
}

#[test]
fn a_running_agent_serves_them_as_text_and_as_pages() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        let (code, list) = agent.get("/docs/").await;
        assert!(code == 200 && PAGES.iter().all(|p| list.contains(&format!("[{0}]({0}.md)", p.name))), "{list}");
        for path in ["/docs/configuration", "/docs/configuration.md"] {
            let (code, text) = agent.get(path).await;
            assert!(code == 200 && text.contains("| `account_sid` |"), "{text}");
        }
        let (code, said) = agent.get("/docs/configuratio").await;
        assert!(code == 404 && said.contains("did you mean configuration?"), "{said}");
        let browser = async |path: &str| {
            let request = reqwest::Client::new().get(format!("{}{path}", agent.url)).header("accept", "text/html,*/*");
            let answer = request.send().await.unwrap();
            let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
            assert!(policy.contains("style-src 'self'") && !policy.contains("unsafe"), "{policy}");
            answer.text().await.unwrap()
        };
        for p in PAGES {
            let html = browser(&format!("/docs/{}", p.name)).await;
            assert!(html.contains("<article class=\"docs\">") && html.contains("<h1 id="), "{}", p.name);
            assert!(!html.contains(".md\""), "{} links to pages", p.name);
        }
        assert!(browser("/docs/").await.contains("<a href=\"configuration\">"));
        let runbook = browser("/runbooks/RingbackSilent").await;
        assert!(runbook.contains("<article class=\"docs\">"), "{runbook}");
        assert!(agent.get("/runbooks/RingbackSilent").await.1.starts_with('#'));
        assert!(browser("/").await.contains("docs/\">Docs</a>"), "the overview leads to them");
        agent.stop().await;
    });
}
