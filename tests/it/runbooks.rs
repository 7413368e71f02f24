//! What runbooks say is typed in the incident that each is for: beside an agent that is in it, as its own status says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ringback::agent::publish::trouble::TroubleKind;
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, EndpointClass};
use serde_json::json;
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::notices::start;
use crate::receiver::{Manner, Receiver, webhook};
use crate::support::{break_app, drill, with_token};
use crate::words::ringback;
use crate::world::{Running, World, play};

/// The commands of a runbook, as they stand there.
fn commands(runbook: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("alerts/runbooks/Ringback{runbook}.md"));
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(str::trim).filter(|l| l.starts_with("ringback ")).map(str::to_owned).collect()
}

/// The words of a command, as a shell takes them.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('\'').enumerate();
    let one = |(i, part): (usize, &str)| match i % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    };
    parts.flat_map(one).collect()
}

/// Types what these runbooks say, while the agent says that it is in this trouble.
async fn tried(w: &World, agent: &Running, kind: TroubleKind, runbooks: &[&str]) {
    for runbook in runbooks {
        let is = || agent.status().troubles.iter().map(|t| t.kind).collect::<Vec<_>>();
        assert!(is().contains(&kind), "{runbook}: not in this incident: {:?}", is());
        let commands = commands(runbook);
        assert!(!commands.is_empty(), "{runbook}");
        for line in commands {
            // A person would be asked.
            let mut words = words(&line).split_off(1);
            if ["rollback", "restore"].contains(&words[0].as_str()) {
                words.push("--yes".to_owned());
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (code, said) = ringback(w, agent, &words).await;
            assert!([0, 1].contains(&code) && !said.trim().is_empty(), "{runbook}: {line}: {code}: {said}");
            assert!(!said.contains("Usage:") && !said.contains("does not answer"), "{runbook}: {line}: {said}");
        }
    }
}

#[test]
fn the_runbooks_of_blindness_are_typed_beside_a_blind_agent() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        w.sim.fault(ApiFault::new(ApiFaultKind::Unauthorized, ApiFaultScope::Class(EndpointClass::Alerts))).unwrap();
        w.pass(300).await;
        tried(w, &agent, TroubleKind::Blind, &["PollStale", "TwilioErrors", "LogLag", "Blind"]).await;
        agent.stop().await;
    });
}

#[test]
fn the_runbooks_of_a_hold_are_typed_while_it_holds() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let hold = json!({"all": true, "reason": "drill", "seconds": 86_400});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        break_app(w);
        w.pass(600).await;
        tried(w, &agent, TroubleKind::Held, &["Suppressed", "HeldTooLong"]).await;
        agent.stop().await;
    });
}

#[test]
fn the_runbooks_of_an_unproven_rollback_are_typed_beside_one() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        w.sim.fault(ApiFault::new(ApiFaultKind::Ineffective, ApiFaultScope::Writes)).unwrap();
        assert_eq!(agent.post("rollback", drill()).await.0, 200);
        w.pass(120).await;
        tried(w, &agent, TroubleKind::Unproven, &["RollbackFailed", "RollbackUnproven"]).await;
        agent.stop().await;
    });
}

/// Notifiers that fail are told wherever people look, with what nobody heard from them; and so is their runbook tried.
#[test]
fn a_notifier_that_does_not_deliver_is_a_trouble_of_its_own() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        with_token(w);
        let agent = start(w, &webhook("hook", &hook)).await;
        w.pass(60).await;
        assert_eq!(agent.metric("ringback_notifier_failing{notifier=\"hook\"}").await, Some(0.0));
        hook.behaves(Manner::Status(503));
        let began = w.now();
        assert_eq!(agent.post("rollback", drill()).await.0, 200);
        w.pass(120).await;
        let status = agent.status();
        let told = status.troubles.iter().find(|t| t.kind == TroubleKind::NotifierFailing).expect("it is a trouble");
        assert!(told.title.contains("hook does not deliver") && told.is_trouble(), "{}", told.title);
        let since = told.since.as_ref().unwrap().at;
        assert!(since >= began && since <= began + Duration::from_secs(60), "{since:?}");
        assert!(told.cause.as_ref().is_some_and(|cause| cause.contains("503")), "{:?}", told.cause);
        assert!(
            told.done.iter().any(|d| d.starts_with("not delivered: ") && d.contains("the latest: ")),
            "{:?}",
            told.done
        );
        assert!(told.next.iter().any(|step| step.command.as_deref() == Some("ringback notify --test hook")));
        assert_eq!(agent.metric("ringback_notifier_failing{notifier=\"hook\"}").await, Some(1.0));
        let (_, page) = agent.get("/").await;
        assert!(page.contains("Notifier hook does not deliver"), "{page}");
        let (_, said) = ringback(w, &agent, &["status"]).await;
        assert!(said.contains("Notifier hook does not deliver") && said.contains("503"), "{said}");
        tried(w, &agent, TroubleKind::NotifierFailing, &["NotificationsFailing"]).await;
        hook.behaves(Manner::Takes);
        w.pass(600).await;
        assert!(agent.status().troubles.iter().all(|t| t.kind != TroubleKind::NotifierFailing));
        assert_eq!(agent.metric("ringback_notifier_failing{notifier=\"hook\"}").await, Some(0.0));
        agent.stop().await;
    });
}
