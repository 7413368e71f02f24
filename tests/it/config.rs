//! Configuration files: the good ones load, each bad one gives exactly the messages beside it.
//!
//! `RINGBACK_BLESS=1` writes the messages that were given; read the difference before committing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringback::config::Config;
use ringback::core::detect::statistic::Detection;
use ringback::core::detect::statistic::threshold::{RuleAction, RuleSubject};
use ringback::core::model::decision::Mode;
use ringback::core::model::id::Channel;
use ringback::core::model::reason::Reason;
use ringback::core::model::roster::PortAt;
use ringback::metrics::PerNumber;
use ringback::twilio::host::Product;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

/// The environment that a file asks for in comments such as `# env: NAME=value`; by default an
/// Auth Token.
fn env(text: &str) -> HashMap<&str, &str> {
    let mut env = HashMap::from([("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef")]);
    for line in text.lines().filter_map(|l| l.strip_prefix("# env: ")) {
        match line.split_once('=') {
            Some((name, value)) => env.insert(name, value),
            None => env.remove(line),
        };
    }
    env
}

#[test]
fn good_files_load() {
    for path in files(&folder("good")) {
        let text = fs::read_to_string(&path).unwrap();
        if let Err(e) = Config::load(&path, &env(&text)) {
            panic!("{e}");
        }
    }
}

#[test]
fn bad_files_say_everything_that_is_wrong_at_once() {
    let folder = folder("bad");
    let bless = std::env::var_os("RINGBACK_BLESS").is_some();
    for path in files(&folder) {
        let text = fs::read_to_string(&path).unwrap();
        let Err(bad) = Config::load(&path, &env(&text)) else { panic!("{} loads", path.display()) };
        let said = bad.to_string().replace(&format!("{}/", folder.display()), "") + "\n";
        // Whatever is quoted of a file, its secrets are not.
        for secret in ["u5er", "p4ss", "qu3ry", "p4th9", "x9Zq81", "R0ut1ng", "0123456789abcdef0", "0f3a9c5d7e1b2468"] {
            assert!(!said.contains(secret), "{}: {said}", path.display());
        }
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &said).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, expected, "{}", path.display());
    }
}

#[test]
fn every_setting_reaches_its_place() {
    let path = folder("good").join("full.toml");
    let text = fs::read_to_string(&path).unwrap();
    let c = Config::load(&path, &env(&text)).unwrap();
    assert_eq!(c.engine.mode, Mode::Auto);
    assert_eq!(c.per_number, PerNumber::Unhealthy);
    assert_eq!(c.engine.active_for, Duration::from_secs(3600));
    assert_eq!(c.engine.blind_after, Duration::from_secs(120));
    assert_eq!(c.agent.listen.to_string(), "127.0.0.1:9999");
    assert_eq!(c.agent.state, folder("good").join("state.db"));
    assert_eq!((c.poll.active, c.poll.passive), (Duration::from_secs(3), Duration::from_secs(40)));
    assert_eq!((c.poll.overlap, c.poll.full), (Duration::from_secs(1200), Duration::from_secs(60)));
    assert_eq!((c.twilio.timeout, c.twilio.max_in_flight), (Duration::from_secs(9), 8));
    assert_eq!(c.twilio.credentials.username(), "SK0123456789abcdef0123456789abcdef");
    let groups: Vec<_> = c.roster.groups().map(|(_, g)| (g.name.to_string(), g.numbers.len())).collect();
    assert_eq!(groups, [("support".to_owned(), 2), ("sales".to_owned(), 3)]);
    let (ix, n) = c.roster.numbers().nth(3).unwrap();
    assert_eq!((n.label.as_str(), n.channels), ("Bern desk", [true, false]));
    assert_eq!(n.timezone.iana_name(), Some("Europe/Zurich"));
    assert_eq!(c.roster.group_of(ix).fallback(Channel::Messaging), None);
    assert!(matches!(n.port, PortAt::At(t) if t.to_string() == "2026-11-21T14:00:00.000Z"));
    let kinds: Vec<_> = c.notify.iter().map(|n| (n.channel.label(), n.through_twilio)).collect();
    let past = ["slack", "teams", "pagerduty", "opsgenie", "alertmanager", "email", "webhook", "command", "desktop"];
    assert_eq!(kinds, past.map(|kind| (kind, Some(false))));
    let ops = &c.notify[0];
    assert_eq!((ops.per_minute, ops.timeout, ops.severities.len()), (10, Duration::from_secs(5), 2));
    assert_eq!(ops.groups.iter().map(ToString::to_string).collect::<Vec<_>>(), ["support"]);
    assert_eq!(c.heartbeat.as_ref().map(|h| h.every), Some(Duration::from_secs(60)));
    assert_eq!(c.agent.addresses.agent.as_deref(), Some("https://ringback.example.com"));
    let support = &c.engine.detection[0];
    assert_eq!((support.params.budget.number_days, support.params.cap), (2000.0, 0.08));
    let about_callers: Vec<_> = support.rules.iter().filter(|r| r.subject == RuleSubject::Callers).collect();
    let rules: Vec<_> =
        about_callers.iter().map(|r| (r.channel, r.callers, r.ratio, r.within.as_secs(), r.action)).collect();
    let expected = [
        (Channel::Voice, 5, 0.8, 900, RuleAction::Rollback),
        (Channel::Voice, 3, 0.5, 3600, RuleAction::Page),
        (Channel::Messaging, 3, 0.5, 3600, RuleAction::Page),
    ];
    assert_eq!(rules, expected, "the user's page rules stand in for the built-in ones");
    assert_eq!(about_callers[0].reasons, [Reason::Webhook, Reason::Content]);
    assert_eq!(support.rules.len() - about_callers.len(), 13, "and for nothing else");
    assert_eq!(c.engine.detection[1], Detection::default());
    assert!(c.roster.is_prober("+15005550199".parse().unwrap()));
}

/// Hosts of a region without an edge are switched off, but for us1's.
#[test]
fn a_region_is_asked_by_the_edge_that_leads_to_it() {
    let path = folder("good").join("region.toml");
    let text = fs::read_to_string(&path).unwrap();
    for (region, edge, host) in [
        ("IE1", None, "api.dublin.ie1.twilio.com"),
        ("au1", None, "api.sydney.au1.twilio.com"),
        ("us1", None, "api.us1.twilio.com"),
        ("us1", Some("ashburn"), "api.ashburn.us1.twilio.com"),
        ("ie1", Some("dublin"), "api.dublin.ie1.twilio.com"),
        ("xy1", Some("elsewhere"), "api.elsewhere.xy1.twilio.com"),
    ] {
        let edge = edge.map_or_else(String::new, |edge| format!("edge = \"{edge}\"\n"));
        let text = text.replace("region      = \"IE1\"", &format!("region = \"{region}\"\n{edge}"));
        let c = Config::parse(&path, &text, &env(&text)).unwrap_or_else(|e| panic!("{region}: {e}"));
        assert_eq!(c.twilio.hosts.url(Product::Api, "/").unwrap().host_str(), Some(host));
    }
    for (region, edge, only) in [("ie1", "ashburn", "dublin"), ("au1", "dublin", "sydney")] {
        let text = text.replace("region      = \"IE1\"", &format!("region = \"{region}\"\nedge = \"{edge}\""));
        let said = Config::parse(&path, &text, &env(&text)).unwrap_err().to_string();
        assert!(said.contains(&format!("only the edge {only} leads to region {region}")), "{said}");
    }
}

/// Numbers of an account that nobody named are those of a recording, and never an agent's.
#[test]
fn only_work_offline_goes_without_an_account() {
    use ringback::config::AlertRules;
    use ringback::core::model::roster::UNNAMED_ACCOUNT;
    let path = folder("good").join("minimal.toml");
    let text = fs::read_to_string(&path).unwrap();
    let c = Config::parse(&path, &text, &env(&text)).unwrap();
    let number = c.roster.numbers().next().unwrap().1.id;
    assert_eq!(number.account, c.account());
    assert_ne!(c.account(), UNNAMED_ACCOUNT);
    let account = c.account().to_string();
    let rules = |text: &str| AlertRules::parse(&path, text).unwrap();
    assert_eq!(rules(&text).roster.numbers().next().unwrap().1.id, number);
    for unnamed in [text.replace(&account, "ACxxxx"), text.replace("account_sid", "# account_sid")] {
        let rules = rules(&unnamed);
        let id = rules.roster.numbers().next().unwrap().1.id;
        assert_eq!((rules.account, id.account, id.e164), (UNNAMED_ACCOUNT, UNNAMED_ACCOUNT, number.e164));
        assert!(Config::parse(&path, &unnamed, &env(&unnamed)).is_err());
    }
    let placeholder = text.replace(&account, &UNNAMED_ACCOUNT.to_string());
    let said = Config::parse(&path, &placeholder, &env(&placeholder)).unwrap_err().to_string();
    assert!(said.contains("twilio.account_sid") && said.contains("a placeholder"), "{said}");
}

#[test]
fn no_secret_is_printed() {
    let path = folder("good").join("minimal.toml");
    let c = Config::load(&path, &env("")).unwrap();
    assert!(!format!("{c:?}").contains("0123456789abcdef0123456789abcdef"));
    let bad = folder("bad").join("secrets.toml");
    let text = fs::read_to_string(&bad).unwrap();
    let said = Config::load(&bad, &env(&text)).unwrap_err().to_string();
    assert!(!said.contains("5ec2e7"), "{said}");
}

#[test]
fn the_start_warns_unless_somebody_is_reached_past_twilio() {
    use ringback::config::notify::warn_if_only_through_twilio;
    let path = folder("good").join("minimal.toml");
    let text = fs::read_to_string(&path).unwrap();
    let warning = |more: &str| {
        let text = format!("{text}\n{more}");
        let c = Config::parse(&path, &text, &env(&text)).unwrap_or_else(|e| panic!("{e}"));
        warn_if_only_through_twilio(&c.notify)
    };
    let webhook = |host: &str| {
        format!("[[notify]]\nname = \"{}\"\nkind = \"webhook\"\nurl = \"https://{host}/x\"\n", host.replace('.', "-"))
    };
    let command = "[[notify]]\nname = \"c\"\nkind = \"command\"\nargv = [\"page\"]\n".to_owned();
    assert!(warning("").unwrap().contains("no notifier is configured"));
    assert!(warning(&webhook("studio.twilio.com")).unwrap().contains("every notifier passes through Twilio"));
    assert!(warning(&(webhook("studio.twilio.com") + &command)).unwrap().contains("through_twilio = false"));
    assert_eq!(warning(&(command + "through_twilio = false\n")), None);
    assert_eq!(warning(&(webhook("studio.twilio.com") + &webhook("hooks.example.com"))), None);
    assert!(warning(&webhook("nottwilio.com")).is_none(), "another domain that ends alike");
}
