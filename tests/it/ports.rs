//! The ports: what the command says of them, with an agent and without one, and what follows for the phases.

use std::fmt::Write as _;

use ringback::agent::ports::alone::LoneLooker;
use ringback::core::model::decision::Phase;
use ringback::core::model::id::Channel;
use ringback::core::port::checklist::minute;
use ringback::core::port::news::{Met, PortEntry};
use ringback::core::port::report::PortReport;
use ringback::core::rollback::entry::Entry;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass, Happening, PortStatusChange};
use ringback::store::{JournalRecord, Store};
use serde_json::json;
use tokio::task::JoinSet;

use crate::probe_trouble::between;
use crate::receiver::{Receiver, webhook};
use crate::support::with_token;
use crate::words::ringback_at;
use crate::world::{Running, World, play};

/// Eight numbers port an hour from the start, one a minute. One is refused, one not yet looked at.
const DAY: &str = r#"
name = "ports"
seed = 7
start = "2026-11-21T14:00:00Z"
lasts = "12h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "support"
first = "+12125550100"
count = 8
traffic = { calls_per_hour = 40, floor_per_hour = 20 }
routing = { voice_url = "https://app.example.com/voice" }
port = { at = "1h", every = "1m" }

[[group]]
name = "old"
numbers = ["+12125550200"]
traffic = { calls_per_hour = 40 }
routing = { voice_url = "https://app.example.com/voice" }

[[event]]
at = "0s"
port-status = { of = "+12125550103", status = "port_rejected", code = 22155, reason = "PIN 47110815 is wrong" }

[[event]]
at = "0s"
port-status = { of = "+12125550104", status = "In Review" }
"#;

/// Runs `ringback ports` with these words while the world goes on: its exit code and what it said.
async fn ports(w: &World, listen: &str, words: &[&str]) -> (i32, String) {
    ringback_at(w, listen, &[&["ports"], words].concat()).await
}

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:9";

#[test]
fn without_an_agent_the_command_looks_by_itself() {
    play(DAY, async |w| {
        let (code, said) = ports(w, NOBODY, &[]).await;
        assert_eq!(code, 1, "two need somebody: {said}");
        assert!(said.contains("+12125550103: the old provider has refused the port: the PIN is missing"), "{said}");
        assert!(said.contains("to do: get the port-out PIN from the old provider"), "{said}");
        assert!(said.contains("+12125550106 +12125550107: the old provider has confirmed a date"), "{said}");
        assert!(!said.contains("47110815") && !said.contains("100200300"), "{said}");
        let (code, json) = ports(w, NOBODY, &["--json"]).await;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, &json["api"]["look"], &json["may_cancel"]), (1, &"read".into(), &false.into()));
        assert!(!json.to_string().contains("47110815") && !json.to_string().contains("losing"), "{json}");
        let (code, said) = ports(w, NOBODY, &["--checklist"]).await;
        assert_eq!(code, 1);
        assert!(said.ends_with("NO: keep the old provider: something is missing for 9 of 9 numbers\n"), "{said}");
        let (code, said) = ports(w, NOBODY, &["--prepare", "+12065550100", "+18005550100"]).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("[x] +12065550100: can be ported, local; the port needs the PIN"), "{said}");
        assert!(said.contains("[!] +18005550100: cannot be ported so, toll-free"), "{said}");
        assert!(said.contains("[x] the account is active"), "{said}");
        // Whether the API cannot be read or may not be asked is not the same.
        for (kind, begins) in [(ApiFaultKind::ServerError, "could not look at the Porting API")] {
            let class = serde_json::from_value(serde_json::json!("port-requests")).unwrap();
            w.sim.fault(ApiFault::new(kind, ApiFaultScope::Class(class))).unwrap();
            let (code, said) = ports(w, NOBODY, &[]).await;
            assert_eq!(code, 3, "{said}");
            assert!(said.lines().any(|l| l.starts_with(begins)), "{said}");
            let (code, said) = ports(w, NOBODY, &["--checklist"]).await;
            assert!(code == 3 && said.lines().any(|l| l.starts_with("NO: keep the old provider")), "{said}");
        }
        let stats = w.sim.stats();
        assert!(stats.requests.keys().all(|k| k.starts_with("GET ")), "{stats:?}");
    });
}

/// An agent that reads no numbers any more does not say what it read last as if it were so now.
#[test]
fn an_agent_that_is_blind_for_the_numbers_says_so() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(2 * 3600).await;
        let report = async || serde_json::from_str::<PortReport>(&agent.get("/api/v1/ports").await.1).unwrap();
        assert!(report().await.is_conclusive(), "{}", report().await.text());
        w.sim.fault(ApiFault::new(ApiFaultKind::ServerError, ApiFaultScope::Class(EndpointClass::Numbers))).unwrap();
        w.pass(900).await;
        let blind = report().await;
        let why = "the account's numbers cannot be read, read last at 2026-11-21 15:59";
        assert!(!blind.is_conclusive() && blind.text().contains(why), "{}", blind.text());
        assert!(blind.checklist().contains(why), "{}", blind.checklist());
        let (code, said) = ports(w, agent.url.trim_start_matches("http://"), &["--checklist"]).await;
        assert!(code == 3 && said.contains(why), "{code} {said}");
        agent.stop().await;
    });
}

/// A request without a SID among others, and a number whose own status cannot be had: each costs itself, and is said.
#[test]
fn a_port_request_that_cannot_be_read_costs_no_other() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        between(w, &mut servers, |passing| {
            let Some(mut page) = passing.json() else { return };
            if let Some(rows) = page["port_in_requests"].as_array_mut() {
                rows.insert(0, json!({"port_in_request_sid": null, "port_in_request_status": "In Progress"}));
                passing.set(&page);
            }
        })
        .await;
        let text = w.config_text().replace("channels =", "port_at = \"unknown\"\nchannels =");
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(600).await;
        let (_, report) = agent.get("/api/v1/ports").await;
        let report: PortReport = serde_json::from_str(&report).unwrap();
        let text = report.text();
        assert!(text.contains("+12125550103: the old provider has refused the port: the PIN is missing"), "{text}");
        assert!(text.contains("could not look at the Porting API") && text.contains("have no SID"), "{text}");
        assert!(!text.contains("no port request shows it"), "{text}");
        agent.stop().await;
        servers.abort_all();
    });
}

/// An account without the Porting API, and a key without its permission: what is said rests on other evidence, and says
/// on which.
#[test]
fn where_the_api_may_not_be_asked_other_evidence_speaks_and_is_named() {
    for (status, code) in [(403_u16, 20_403), (404, 20_404), (401, 70_051)] {
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            between(w, &mut servers, move |passing| {
                if passing.path.starts_with("/v1/Porting/") {
                    passing.status = status;
                    passing.set(&json!({"code": code, "message": "no access", "status": status}));
                }
            })
            .await;
            let text = w.config_text().replace("channels =", "port_at = \"unknown\"\nchannels =");
            let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
            w.pass(600).await;
            // It is no trouble, and nothing of what the API would say is known: that is not well either.
            let (code, said) = ports(w, NOBODY, &[]).await;
            assert_eq!(code, 3, "{status}: {said}");
            assert_eq!(ports(w, NOBODY, &["--checklist"]).await.0, 1, "{status}");
            assert_eq!(ports(w, NOBODY, &["--prepare"]).await.0, 3, "{status}");
            let last = said.lines().last().unwrap();
            assert!(
                last.starts_with("the Porting API could not be asked (")
                    && last.ends_with("all is said by other evidence"),
                "{said}"
            );
            assert!(!said.contains("refused") && !said.contains("could not look"), "{status}: {said}");
            assert_eq!(agent.metric("ringback_ports_look{look=\"not_for_us\"}").await, Some(1.0));
            // Three hours later those that have ported are told by who called.
            w.pass(3 * 3600).await;
            let (_, report) = agent.get("/api/v1/ports").await;
            let report: PortReport = serde_json::from_str(&report).unwrap();
            let text = report.text();
            assert!(text.contains("ported: a live call came to Twilio (says its first live call)"), "{status}: {text}");
            let called = report.groups.iter().flat_map(|g| &g.numbers).filter(|n| n.ported.is_some()).count();
            assert!(called >= 7, "{status}: {text}");
            assert!(!report.checklist().contains("could not look"), "{}", report.checklist());
            agent.stop().await;
            servers.abort_all();
        });
    }
}

/// The messages of a hosted number move, by an order of their own; its calls stay, and so does the old provider.
#[test]
fn a_hosted_numbers_order_is_told_and_keeps_the_old_provider() {
    let day = format!(
        "{DAY}\n[[group]]\nname = \"texts\"\nnumbers = [\"+12125550300\", \"+12125550301\"]\nhosted = true\ntraffic = {{ \
         messages_per_hour = 30 }}\nrouting = {{ sms_url = \"https://app.example.com/sms\" }}\nport = {{ at = \"1h\" }}\n\
         [[event]]\nat = \"10m\"\nport-status = {{ of = \"+12125550300\", status = \"pending-loa\" }}\n\
         [[event]]\nat = \"20m\"\nport-status = {{ of = \"+12125550300\", status = \"testing\" }}\n\
         [[event]]\nat = \"20m\"\nport-status = {{ of = \"+12125550301\", status = \"failed\" }}\n"
    );
    play(&day, async |w| {
        let mut config = w.config_text();
        let at = config.find("name = \"texts\"").unwrap();
        config.replace_range(at.., &config[at..].replace("\"voice\", ", ""));
        let config = w.parse(&config).unwrap_or_else(|e| panic!("{e}"));
        let mut looker = LoneLooker::new(&config, &w.clock).await.unwrap();
        let mut seen = Vec::new();
        for minutes in [1, 10, 10, 60] {
            w.pass(minutes * 60).await;
            let text = looker.report().await;
            let group = text.groups.iter().find(|g| g.group.as_str() == "texts").unwrap();
            seen.push(group.numbers.iter().map(|n| n.words.clone()).collect::<Vec<_>>());
            assert!(group.numbers.iter().all(|n| n.evidence.text() == "its hosting order"), "{group:?}");
        }
        let failed = "the order to host its messages has failed, or waits for somebody";
        assert_eq!(seen[0][0], "the order to host its messages is with the carrier");
        assert_eq!(seen[1][0], "the letter of authorisation waits to be signed");
        assert_eq!(seen[2], ["Twilio is testing whether its messages arrive", failed]);
        assert_eq!(seen[3], ["its messages are hosted on Twilio; its calls stay with the old provider", failed]);
        w.pass(50 * 3600).await;
        let said = looker.report().await.checklist();
        let hosted = "it is hosted: its messages alone are on Twilio, and its calls stay with the old provider";
        assert!(said.lines().any(|l| l.starts_with("texts: +12125550300: ") && l.contains(hosted)), "{said}");
        assert!(said.contains("+12125550301: somebody must do something before it goes on"), "{said}");
    });
}

/// The old provider sends callers on to numbers of ours: those of another group, and of one that nobody watches.
#[test]
fn a_caller_who_comes_by_way_of_the_old_provider_keeps_it_needed() {
    let forwards = |name: &str, first: &str, foreign: bool| {
        format!(
            "[[group]]\nname = \"{name}\"\nnumbers = [\"{first}\"]\nforwarded_from = \"support\"\nforeign = {foreign}\n\
             traffic = {{ calls_per_hour = 40 }}\nrouting = {{ voice_url = \"https://app.example.com/voice\" }}\n"
        )
    };
    let day =
        format!("{DAY}\n{}{}", forwards("bridge", "+12125550300", false), forwards("others", "+12125550400", true));
    play(&day, async |w| {
        let config = w.config().unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(6 * 3600).await;
        let (_, report) = agent.get("/api/v1/ports").await;
        let report: PortReport = serde_json::from_str(&report).unwrap();
        let still = "a caller still came by way of the old provider, which forwards them, at 2026-11-21 ";
        let lines: Vec<String> = report.checklist().lines().map(str::to_owned).collect();
        let said: Vec<&String> = lines.iter().filter(|l| l.contains(still)).collect();
        assert!(matches!(said[..], [line] if line.starts_with("support: +12125550100: ")), "{lines:?}");
        assert!(
            report.text().contains(", a caller came by way of the old provider at 2026-11-21 "),
            "{}",
            report.text()
        );
        agent.stop().await;
        // Written down at most once an hour, and known without an agent too.
        let store = Store::open_read_only(&config.agent.state).await.unwrap();
        let is_it = |r: &JournalRecord| matches!(&r.entry, Entry::Port(PortEntry::Met { met: Met::Forwarded, numbers, .. }) if numbers.len() == 1);
        let written = store.journal().await.unwrap().iter().filter(|r| is_it(r)).count();
        assert!((3..=7).contains(&written), "{written}");
        store.close().await;
        let mut looker = LoneLooker::new(&config, &w.clock).await.unwrap();
        let said = looker.report().await.checklist();
        assert!(said.contains(still), "{said}");
    });
}

/// Two hundred numbers complete over three hours, from 25 hours after the start on, and their messages two hours later.
/// Five are refused, two carriers are late, and one number is taken away.
const GREAT_DAY: &str = r#"
name = "great-day"
seed = 11
start = "2026-11-20T13:00:00Z"
lasts = "90h"

[[bin]]
sid = "EH00000000000000000000000000000001"
does = "answer"

[[group]]
name = "lines"
first = "+12125551000"
count = 200
traffic = { calls_per_hour = 5, messages_per_hour = 2, skew = 0, shape = "flat" }
routing = { voice_url = "https://app.example.com/voice", sms_url = "https://app.example.com/sms" }

[group.port]
at = "25h"
every = "54s"
messages_after = "2h"
carrier_lag = { att = "5h", verizon = "3h" }

[[event]]
at = "0s"
port-status = { of = "lines", status = "In Review" }

[[event]]
at = "30m"
port-status = { of = "lines", status = "port_submitted" }

[[event]]
at = "1h"
port-status = { of = "lines", status = "port_pending" }

[[event]]
at = "29h 30m"
port-out = "+12125551003"
"#;

/// The days' golden text, written anew with `UPDATE=1`.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ports").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} is other: look, and run with UPDATE=1", path.display());
}

/// What a person would see at this hour.
struct Hours {
    out: String,
    told: usize,
    looks: u64,
}

impl Hours {
    async fn note(&mut self, w: &World, agent: &Running, hook: &Receiver) {
        let status = agent.status();
        writeln!(self.out, "{}", minute(w.now())).unwrap();
        for channel in Channel::ALL {
            let of = |phase: Phase| {
                let channels = status.numbers().flat_map(|(_, n)| &n.channels).filter(|c| c.channel == channel);
                channels.filter(|c| c.phase == phase).count()
            };
            let phases: Vec<String> = Phase::ALL.into_iter().map(|p| format!("{} {}", of(p), p.label())).collect();
            writeln!(self.out, "  {channel}: {}", phases.join(", ")).unwrap();
        }
        let looks = w.sim.stats().requests.get("GET port-requests").map_or(0, |by| by.values().sum::<u64>());
        writeln!(self.out, "  looks at the Porting API since: {}", looks - self.looks).unwrap();
        self.looks = looks;
        let bodies = hook.bodies();
        for body in &bodies[self.told..] {
            let word = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            writeln!(self.out, "  told: {} {}: {}", word("kind"), word("status"), word("title")).unwrap();
        }
        self.told = bodies.len();
        let (_, report) = agent.get("/api/v1/ports").await;
        let report: PortReport = serde_json::from_str(&report).unwrap();
        // Until when carriers may be late is another instant for each number.
        for line in report.text().lines().chain(report.checklist().lines().filter(|l| !l.contains(" until "))) {
            writeln!(self.out, "  | {line}").unwrap();
        }
    }
}

#[test]
fn a_port_day_of_two_hundred_numbers_hour_by_hour() {
    play(GREAT_DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        w.env.insert("HOOK_KEY", "a key");
        // Three of its logs every five seconds would be most of the test.
        let slow = "[poll]\nactive = \"30s\"\npassive = \"60s\"\n";
        let text = w.config_text().replace("channels =", "port_at = \"unknown\"\nchannels =");
        let text = format!("{text}{}\n{slow}", webhook("hook", &hook));
        let config = w.parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let mut hours = Hours { out: String::new(), told: 0, looks: 0 };
        // The day before: announced once, in this life of the agent or the next.
        let agent = w.start_with(&config).await.unwrap();
        w.pass(4500).await;
        hours.note(w, &agent, &hook).await;
        agent.stop().await;
        w.pass(23 * 3600 - 4500 + 2700).await;
        let refuse = |number: &str, code: u32| {
            let change = PortStatusChange {
                of: number.to_owned(),
                status: "port_rejected".to_owned(),
                code: Some(code),
                reason: Some("account 100200300 has another PIN".to_owned()),
            };
            w.sim.happen(Happening::PortStatus(change)).unwrap();
        };
        let agent = w.start_with(&config).await.unwrap();
        w.pass(300).await;
        ["+12125551010", "+12125551020", "+12125551030"].iter().for_each(|n| refuse(n, 22_155));
        ["+12125551040", "+12125551050"].iter().for_each(|n| refuse(n, 22_152));
        w.pass(600).await;
        for _ in 0..7 {
            w.pass(3600).await;
            hours.note(w, &agent, &hook).await;
        }
        let said = format!("{}{}", hours.out, hook.bodies().iter().map(ToString::to_string).collect::<String>());
        assert!(!said.contains("100200300") && !said.contains("47110815"), "{said}");
        agent.stop().await;
        // Two days later, without an agent, the old provider is still needed, for those who are not here.
        w.pass(48 * 3600).await;
        let mut looker = LoneLooker::new(&config, &w.clock).await.unwrap();
        let report = looker.report().await;
        writeln!(hours.out, "{}, without an agent", minute(w.now())).unwrap();
        for line in report.text().lines().chain(report.checklist().lines()) {
            writeln!(hours.out, "  | {line}").unwrap();
        }
        golden("great-day.txt", &hours.out);
        servers.abort_all();
    });
}
