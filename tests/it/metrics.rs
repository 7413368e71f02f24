//! The metrics: every one is defined, none is missing, the page that lists them is current, and with
//! many numbers nothing is lost but names.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use ringback::core::model::decision::{Mode, PageReason, Phase};
use ringback::core::model::guard::Guard;
use ringback::core::model::id::Channel;
use ringback::core::model::order::{FallbackState, Operation, OrderResult};
use ringback::core::model::reason::{IgnoreReason, Reason};
use ringback::core::model::source::Source;
use ringback::core::model::verdict::Verdict;
use ringback::core::port::sight::ApiSight;
use ringback::core::port::status::PortStatus;
use ringback::core::routing::history::RoutingState;
use ringback::metrics::define::{self, Definition, MetricKind};
use ringback::metrics::tally::ProbeEnd;
use ringback::metrics::{NOTICE_RESULTS, RowResult};
use ringback::sim::{HandlerCondition, HandlerState};

use crate::agent::DAY;
use crate::world::play;

const APP: &str = "https://app.example.com/voice";

/// Values that a label can have, or what it holds.
pub fn values(definition: &Definition, label: &str) -> String {
    fn list<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
        labels.into_iter().map(|l| format!("`{l}`")).collect::<Vec<_>>().join(", ")
    }
    match label {
        "group" => "a group of the configuration".to_owned(),
        "number" => "one of our numbers, in E.164".to_owned(),
        "channel" | "kind" => list(Channel::ALL.map(Channel::label)),
        "outcome" => list(["ok", "failed", "ignored"]),
        "verdict" => list(Verdict::ALL.map(Verdict::label)),
        "routing" => list(RoutingState::ALL.map(RoutingState::label)),
        "phase" => list(Phase::ALL.map(Phase::label)),
        "status" => list(PortStatus::ALL.map(PortStatus::label)),
        "look" => list(ApiSight::LABELS),
        "mode" => list(Mode::ALL.map(Mode::label)),
        "source" => list(Source::ALL.map(Source::label)),
        "state" => list(FallbackState::ALL.map(FallbackState::label)),
        "trigger" => list(["automatic", "operator"]),
        "decision" => list(["rollback", "withheld", "page"]),
        "scope" => list(["all", "group", "number"]),
        "queue" => list(["engine"]),
        "endpoint" => "an endpoint of Twilio's API".to_owned(),
        "version" => "of this agent".to_owned(),
        "page" => "`agent.public_url`, or where the agent listens".to_owned(),
        "notifier" => "a notifier of the configuration, or heartbeat".to_owned(),
        "origin" => "where test calls come from".to_owned(),
        "code" if definition.name.contains("requests") => "HTTP status, or what went wrong".to_owned(),
        "code" => "Twilio's error code".to_owned(),
        "result" => match definition.name {
            "ringback_rollbacks_total" | "ringback_restores_total" | "ringback_applies_total" => {
                list(OrderResult::ALL.map(OrderResult::label))
            }
            "ringback_rows_total" => list(RowResult::ALL.map(RowResult::label)),
            "ringback_notifications_total" => list(NOTICE_RESULTS),
            n if n.contains("probe") => list(ProbeEnd::ALL.map(ProbeEnd::label)),
            _ => list(["success", "failure"]),
        },
        "reason" => match definition.name {
            n if n.starts_with("ringback_rollbacks_") => list(Guard::ALL.map(Guard::label)),
            "ringback_pages_total" => list(PageReason::all().map(PageReason::label)),
            "ringback_probe_failures_total" => "why it failed, or could not be measured".to_owned(),
            _ => format!(
                "empty for `ok`; failed: {}; ignored: {}",
                list(Reason::ALL.map(Reason::label)),
                list(IgnoreReason::ALL.map(IgnoreReason::label))
            ),
        },
        "operation" => list([Operation::Apply, Operation::Undo].map(Operation::label)),
        _ => panic!("the label {label} of {} is not explained", definition.name),
    }
}

/// The reference page.
fn page() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         Every metric of `ringback run`, at `/metrics`. This page is made from the definitions in \
         `src/metrics/define.rs`: `UPDATE=1 cargo test --test it metrics` writes it anew.\n\n\
         Counters only rise, by one an event; known label sets start at 0. Metrics with the label `number` are there \
         for all numbers up to 2,000, and above that for those in trouble (`metrics.per_number`; \
         `ringback_numbers_exported` says how many), while those with `group` alone always count all of the group's \
         numbers: build on these.\n",
    );
    for section in define::SECTIONS {
        let _ = write!(text, "\n## {}\n\n| metric | type | labels | is |\n|---|---|---|---|\n", section.title);
        for d in section.metrics {
            let labels = d.labels.iter().map(|l| format!("`{l}`")).collect::<Vec<_>>().join(" ");
            let _ = writeln!(text, "| `{}` | {} | {labels} | {} |", d.name, d.kind.label(), d.help);
        }
    }
    text += "\n## Labels\n\n| label | of | is |\n|---|---|---|\n";
    let mut seen = BTreeSet::new();
    for d in define::all() {
        for label in d.labels {
            seen.insert((*label, values(d, label)));
        }
    }
    for (label, values) in seen {
        let of: Vec<String> = define::all()
            .filter(|d| d.labels.contains(&label) && self::values(d, label) == values)
            .map(|d| format!("`{}`", d.name))
            .collect();
        let of = if of.len() > 8 { "most".to_owned() } else { of.join(", ") };
        let _ = writeln!(text, "| `{label}` | {of} | {values} |");
    }
    text
}

#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/pages/metrics.md");
    let want = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &want).unwrap();
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(is == want, "src/docs/pages/metrics.md is out of date: UPDATE=1 cargo test --test it metrics");
}

#[test]
fn names_are_distinct_and_follow_the_rules() {
    let names: Vec<&str> = define::all().map(|d| d.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for d in define::all() {
        assert_eq!(d.kind == MetricKind::Counter, d.name.ends_with("_total"), "{}", d.name);
        assert!(d.help.ends_with('.'), "{}", d.name);
    }
}

/// Names of all families of a text, with their labels.
fn families(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).map(|l| l.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn what_is_exported_is_what_is_defined() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(60).await;
        let mut seen = BTreeSet::new();
        // Some are there only while a fault is suspected.
        for _ in 0..10 {
            w.pass(30).await;
            let text = agent.get("/metrics").await.1;
            seen.extend(families(&text).into_iter().filter(|n| n.starts_with("ringback_")));
        }
        let defined: BTreeSet<String> = define::all().map(|d| d.name.to_owned()).collect();
        let undefined: Vec<_> = seen.difference(&defined).collect();
        assert_eq!(undefined, Vec::<&String>::new());
        // What this day has no cause for.
        let absent = [
            "ringback_messages_total",
            "ringback_group_messages_total",
            "ringback_outcomes_revised_total",
            "ringback_port_due_timestamp_seconds",
            "ringback_port_status",
            "ringback_rollbacks_waiting",
            "ringback_probe_failures_total",
            "ringback_notifications_total",
            "ringback_notifier_failing",
        ];
        let missing: Vec<_> = defined.difference(&seen).filter(|n| !absent.contains(&n.as_str())).collect();
        assert_eq!(missing, Vec::<&String>::new());
        agent.stop().await;
    });
}

#[test]
fn every_known_label_set_is_there_from_the_start() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        let text = agent.get("/metrics").await.1;
        for line in [
            r#"ringback_calls_total{group="support",number="+15005550100",outcome="ok",reason=""} 0"#,
            r#"ringback_calls_total{group="support",number="+15005550100",outcome="failed",reason="webhook"} 0"#,
            r#"ringback_group_calls_total{group="support",outcome="failed",reason="webhook"} 0"#,
            r#"ringback_verdict{channel="voice",group="support",number="+15005550100",verdict="unknown"} 0"#,
            r#"ringback_probe_attempts_total{group="support",kind="voice",number="+15005550100",result="failure"} 0"#,
            r#"ringback_rollbacks_suppressed_total{reason="mode"} 0"#,
            r#"ringback_decisions_total{channel="voice",decision="page",group="support"} 0"#,
            r#"ringback_mode{mode="auto"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("ringback_messages_total{"), "a channel that is not watched has no series");
        agent.stop().await;
    });
}

#[test]
fn with_many_numbers_those_in_trouble_are_named_and_groups_count_all() {
    play(&DAY.replace("4h", "1h"), async |w| {
        let text = w.config_text() + "\n[metrics]\nper_number = \"unhealthy\"\n";
        let agent = w.start_with(&w.parse(&text).unwrap()).await.unwrap();
        w.pass(1800).await;
        let text = agent.get("/metrics").await.1;
        assert!(!text.contains("number="), "nothing is wrong yet");
        assert_eq!(agent.metric("ringback_numbers_exported").await, Some(0.0));
        w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
        w.pass(900).await;
        let text = agent.get("/metrics").await.1;
        for n in ["+15005550100", "+15005550101", "+15005550102"] {
            assert!(text.contains(&format!(r#"number="{n}""#)), "{n} was swapped");
        }
        assert!(!text.contains(r#"group="sales",number"#), "the other group is well");
        assert_eq!(agent.metric("ringback_numbers_exported").await, Some(3.0));
        w.pass(1800).await;
        let truth = w.sim.truth().total;
        assert_eq!(agent.sum("ringback_group_calls_total", &[]).await, truth.calls as f64);
        let failed = agent.sum("ringback_group_calls_total", &[r#"outcome="failed""#]).await;
        assert_eq!(failed, truth.failed as f64);
        agent.stop().await;
    });
}
