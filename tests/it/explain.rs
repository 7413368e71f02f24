//! `explain`: a decision is made again from what is stored, and told when it no longer follows.

use std::process::Command;

use ringback::core::explain::Recomputed;
use ringback::core::model::decision::{Action, DecisionId};
use ringback::sim::{HandlerCondition, HandlerState};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::agent::DAY;
use crate::world::{Running, World, play};

const APP: &str = "https://app.example.com/voice";

async fn sql(w: &World, statement: &str) -> u64 {
    let options = SqliteConnectOptions::new().filename(w.folder.path().join("ringback.db"));
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    let done = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    done.rows_affected()
}

/// Every decision of a day on which the support line breaks, is restored while broken, and breaks again.
async fn decisions(w: &mut World) -> (Running, Vec<DecisionId>) {
    w.env.insert("RINGBACK_TOKEN", "open sesame");
    let agent = w.start().await.unwrap();
    w.pass(1800).await;
    w.sim.set_handler(APP, HandlerState::all(HandlerCondition::Status(500))).unwrap();
    w.pass(900).await;
    let ids = agent.status().decisions.iter().map(|d| d.id).collect();
    (agent, ids)
}

async fn explained(agent: &Running, id: DecisionId) -> ringback::agent::publish::explain::Explanation {
    agent.agent.memory.explain(id).await.unwrap().unwrap()
}

#[test]
fn every_decision_of_a_day_follows_from_what_is_stored() {
    play(DAY, async |w| {
        let (agent, ids) = decisions(w).await;
        assert!(!ids.is_empty());
        for id in &ids {
            let e = explained(&agent, *id).await;
            assert_eq!(e.recomputed, Some(Recomputed::Follows), "{id}");
        }
        let kinds: Vec<String> =
            explained(&agent, ids[0]).await.entries.iter().map(|l| l.entry.kind().to_owned()).collect();
        for kind in ["decision", "order", "snapshot", "checked", "intent", "written", "result"] {
            assert!(kinds.iter().any(|k| k == kind), "{kinds:?}");
        }
        // A restore on which callers fail again, in a second life of the agent.
        agent.stop().await;
        w.pass(60).await;
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let ask = serde_json::json!({"group": "support", "channel": "voice", "reason": "drill", "at_once": true});
        assert_eq!(agent.post("restore", ask).await.0, 200);
        w.pass(1800).await;
        let later: Vec<DecisionId> =
            agent.status().decisions.iter().filter(|d| d.action == Action::Rollback).map(|d| d.id).collect();
        assert!(later.len() > ids.len(), "it was decided again");
        for id in later {
            let e = explained(&agent, id).await;
            assert_eq!(e.recomputed, Some(Recomputed::Follows), "{id}: {:?}", agent.status().decisions);
        }
        agent.stop().await;
    });
}

#[test]
fn evidence_that_was_tampered_with_no_longer_leads_to_the_decision() {
    play(DAY, async |w| {
        let (agent, ids) = decisions(w).await;
        let id = *ids.last().unwrap();
        // Half of the alerts go.
        let gone = sql(w, "DELETE FROM observation WHERE kind = 'alert' AND seq % 2 = 0").await;
        assert!(gone > 0);
        let Some(Recomputed::NoLonger { differences }) = explained(&agent, id).await.recomputed else {
            panic!("it follows without half of its evidence")
        };
        assert!(differences.iter().any(|f| f.what == "failing callers"), "{differences:?}");
        // Everything that was seen goes, as it does after days: then only the figures are left.
        sql(w, "DELETE FROM observation").await;
        sql(w, "INSERT INTO cursor (source, polled_ms) VALUES ('kept', 4000000000000)").await;
        assert_eq!(explained(&agent, id).await.recomputed, Some(Recomputed::NotKept { is_enough: true }));
        // And the decision itself cannot be changed unseen.
        sql(w, "UPDATE journal SET body = replace(body, 'rollback', 'page') WHERE kind = 'decision'").await;
        let error = agent.agent.memory.explain(id).await.unwrap_err();
        assert!(error.to_string().contains("the journal is broken at record"), "{error}");
        agent.stop().await;
    });
}

#[test]
fn a_changed_configuration_is_told_with_what_it_would_come_to() {
    play(DAY, async |w| {
        let (agent, ids) = decisions(w).await;
        let id = *ids.last().unwrap();
        agent.stop().await;
        let deaf = w.config_text().replace(
            "\n[group.fallback]",
            "\n[group.detector]\nusual_failures = 0.3\nbudget = \"1 false rollback per 10000000 number-days\"\n[group.fallback]",
        );
        std::fs::write(w.folder.path().join("ringback.toml"), &deaf).unwrap();
        let run = |json: bool| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
            command.args(["explain", &id.to_string(), "--config"]).arg(w.folder.path().join("ringback.toml"));
            command.env("TWILIO_AUTH_TOKEN", "0123456789abcdef0123456789abcdef");
            command.arg(if json { "--json" } else { "--records" });
            let out = command.output().unwrap();
            let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
            (out.status.code(), said.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let (code, said) = run(false);
        assert_eq!(code, Some(0), "by the rules that were in force it follows: {said}");
        assert!(said.contains("then: detector with 1 false rollback per 10000 number-days"), "{said}");
        assert!(said.contains("it follows from the stored entries"), "{said}");
        assert!(said.contains("of the configuration now: detector with 1 false rollback per 10000000"), "{said}");
        assert!(said.contains("which are others: it no longer follows"), "{said}");
        let (_, json) = run(true);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["recomputed"]["verdict"], "follows");
        assert_eq!(json["rules"]["by_those_of_now"]["verdict"], "no_longer");
        sql(w, "DELETE FROM observation WHERE kind = 'alert'").await;
        let (code, said) = run(false);
        assert_eq!(code, Some(1), "{said}");
        let unknown = Command::new(env!("CARGO_BIN_EXE_ringback")).args(["explain", "twelve"]).output().unwrap();
        assert_eq!(unknown.status.code(), Some(2));
    });
}
