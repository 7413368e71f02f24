//! Faults of the state file under an agent at work: never a write to a number without its record in the
//! journal, and an error that names the file and the cure.

use std::path::PathBuf;
use std::time::Duration;

use ringback::core::model::decision::DecisionId;
use ringback::core::model::id::Channel;
use ringback::core::model::time::Time;
use ringback::store::seen::Place;
use ringback::store::{CommitCost, Store};
use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::agent::DAY;
use crate::support::{break_app, drill, id, support, url, with_token, writes};
use crate::world::{BIN, World, play};

fn file(w: &World) -> PathBuf {
    w.folder.path().join("ringback.db")
}

async fn open(w: &World) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file(w))).await.unwrap()
}

/// Every number that was written to, whose intent and snapshot are not in the journal.
async fn without_record(w: &World) -> Vec<String> {
    let mut db = open(w).await;
    let mut missing = Vec::new();
    for number in writes(w).keys() {
        for kind in ["snapshot", "intent"] {
            let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM journal WHERE kind = $1 AND body LIKE $2")
                .bind(kind)
                .bind(format!("%{number}%"))
                .fetch_one(&mut db)
                .await
                .unwrap();
            if found == 0 {
                missing.push(format!("{number}: no {kind}"));
            }
        }
    }
    db.close().await.unwrap();
    missing
}

async fn refused(w: &World) -> String {
    let Err(error) = w.start().await else { panic!("it starts") };
    let said = error.to_string();
    assert!(said.contains(file(w).to_str().unwrap()), "it names the file: {said}");
    said
}

/// The journal turns read-only under a running agent: by a trigger, which is what every user but root
/// would meet as a file without write permission.
#[test]
fn a_journal_that_takes_nothing_stops_every_write_and_its_end_is_enough() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        let mut db = open(w).await;
        for statement in
            ["CREATE TRIGGER no_journal BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'read-only'); END"]
        {
            sqlx::query(statement).execute(&mut db).await.unwrap();
        }
        break_app(w);
        w.pass(900).await;
        assert!(writes(w).is_empty(), "nothing is written without the journal: {:?}", writes(w));
        let ask = json!({"numbers": [support()[0].to_string()], "channel": "voice", "reason": "now"});
        let (status, said) = agent.post("rollback", ask).await;
        assert_eq!(status, 503, "{said}");
        assert!(said["error"].as_str().unwrap().contains("ringback.db"), "{said}");
        assert!(writes(w).is_empty());
        sqlx::query("DROP TRIGGER no_journal").execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        w.pass(600).await;
        assert!(support().iter().all(|n| url(w, *n) == BIN), "it goes on where it was");
        assert_eq!(without_record(w).await, Vec::<String>::new());
        agent.stop().await;
    });
}

/// The journal fails in the middle of a rollback: after the intents, before what became of them.
#[test]
fn a_journal_that_fails_after_the_intent_is_settled_by_looking() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let mut db = open(w).await;
        let trigger = "CREATE TRIGGER no_result BEFORE INSERT ON journal WHEN NEW.kind IN ('written', 'result')
                       BEGIN SELECT RAISE(ABORT, 'read-only'); END";
        sqlx::query(trigger).execute(&mut db).await.unwrap();
        agent.post("rollback", drill()).await;
        w.pass(60).await;
        assert_eq!(without_record(w).await, Vec::<String>::new());
        assert!(writes(w).values().all(|n| *n == 1) && writes(w).len() == 3);
        // It dies so, and the next one looks.
        drop(agent);
        w.pass(40).await;
        sqlx::query("DROP TRIGGER no_result").execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        assert!(support().iter().all(|n| agent.rollback_state(*n) == "read_back"));
        assert!(writes(w).values().all(|n| *n == 1), "and writes nothing again: {:?}", writes(w));
        agent.stop().await;
    });
}

#[test]
fn a_read_only_file_is_named_with_its_cure() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        agent.stop().await;
        // Root writes where nobody may. A folder that is none is beyond root too.
        let mut permissions = std::fs::metadata(file(w)).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(file(w), permissions).unwrap();
        let is_root = std::fs::File::options().write(true).open(file(w)).is_ok();
        if !is_root {
            let said = refused(w).await;
            assert!(said.contains("cannot be written") && said.contains("write permission"), "{said}");
        }
        assert!(writes(w).is_empty());
    });
}

#[test]
fn a_truncated_file_and_another_versions_refuse_the_start_and_say_the_cure() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(300).await;
        agent.post("rollback", drill()).await;
        w.pass(60).await;
        agent.stop().await;
        let whole = std::fs::read(file(w)).unwrap();
        let before = writes(w);
        for share in [9, 6, 3] {
            std::fs::write(file(w), &whole[..whole.len() * share / 10]).unwrap();
            let said = refused(w).await;
            assert!(said.contains("is damaged") && said.contains("restore it from a backup"), "{share}: {said}");
        }
        // Cut at a place where it is still a database, but one without its latest records.
        std::fs::write(file(w), &whole).unwrap();
        let mut db = open(w).await;
        sqlx::query("DELETE FROM journal WHERE seq = (SELECT MAX(seq) FROM journal)").execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        let said = refused(w).await;
        assert!(said.contains("the journal is broken at record"), "{said}");
        std::fs::write(file(w), &whole).unwrap();
        let mut db = open(w).await;
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of another version', 1, x'00', 0)",
        )
        .execute(&mut db)
        .await
        .unwrap();
        db.close().await.unwrap();
        let said = refused(w).await;
        let is_told =
            said.contains("was written by another version") && said.contains("start the version that wrote it");
        assert!(is_told, "{said}");
        assert_eq!(writes(w), before, "none of them wrote");
        w.clock.sleep(Duration::from_secs(1)).await;
    });
}

/// Commits that take time, as on a slow disk, in a time that the disk does not move.
#[test]
fn commits_can_take_time_and_take_turns() {
    play(DAY, async |w| {
        let cost = Duration::from_millis(40);
        let path = w.folder.path().join("slow.db");
        let store = Store::open_with(&path, CommitCost::new(w.clock.clone(), cost)).await.unwrap();
        store.lead("a test", w.now()).await.unwrap();
        let began = w.now();
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..3 {
            let (store, clock, entry) = (store.clone(), w.clock.clone(), phase(w, i));
            w.clock.spawn(&mut tasks, async move {
                store.append(clock.now(), Place::FIRST, &[entry]).await.unwrap();
                (i, clock.now())
            });
        }
        let mut heard: Vec<(u8, Time)> = Vec::new();
        while let Some(done) = w.clock.wait(None, tasks.join_next()).await.unwrap() {
            heard.push(done.unwrap());
        }
        heard.sort_unstable();
        let turns: Vec<u128> = heard.iter().map(|(_, at)| at.since(began).as_millis()).collect();
        assert_eq!(turns, [40, 80, 120], "each waits for those before it, and for its own");
        let kept: Vec<_> = store.journal().await.unwrap().into_iter().map(|r| r.entry).collect();
        assert_eq!(kept, [phase(w, 0), phase(w, 1), phase(w, 2)], "in the order in which they took turns");
    });
}

fn phase(w: &World, i: u8) -> ringback::core::rollback::entry::Entry {
    let (channel, number) = (Channel::Voice, id(w, support()[usize::from(i)]));
    ringback::core::rollback::entry::Entry::Phase {
        channel,
        number,
        phase: ringback::core::model::decision::Phase::Active,
    }
}

/// An agent whose commits take 50 ms each rolls back, and what it wrote has the order of what it did.
#[test]
fn an_agent_with_slow_commits_does_the_same() {
    play(DAY, async |w| {
        with_token(w);
        let mut config = w.config().unwrap();
        config.agent.commit_cost = Duration::from_millis(50);
        let agent = w.start_with(&config).await.unwrap();
        w.pass(60).await;
        let before = w.now();
        // Time has to pass while we wait for the answer.
        let (status, said) = agent.post("rollback", drill()).await;
        assert_eq!(status, 200, "{said}");
        assert!(w.now().since(before) >= Duration::from_millis(50), "the answer comes with the commit");
        w.pass(60).await;
        assert!(support().iter().all(|n| url(w, *n) == BIN));
        assert_eq!(without_record(w).await, Vec::<String>::new());
        let order = agent.agent.memory.order(DecisionId(1)).await.unwrap().unwrap();
        assert!(order.is_over && order.ended.len() == 3, "{order:?}");
        agent.stop().await;
        let agent = w.start_with(&config).await.unwrap();
        assert!(support().iter().all(|n| agent.rollback_state(*n) == "read_back"));
        agent.stop().await;
    });
}

/// Whoever only reads, beside an agent or without one, changes nothing: not even a file that is not there.
#[test]
fn reading_makes_no_file() {
    play(DAY, async |w| {
        let path = w.folder.path().join("nothing.db");
        assert!(Store::open_read_only(&path).await.is_err());
        assert!(!path.exists());
    });
}

#[test]
fn a_flipped_byte_of_the_journal_is_named_and_refuses_the_start() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        agent.post("rollback", json!({"numbers": ["+15005550100"], "channel": "voice", "reason": "drill"})).await;
        w.pass(60).await;
        agent.stop().await;
        let path = w.folder.path().join("ringback.db");
        let options = SqliteConnectOptions::new().filename(&path);
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        let seq: i64 =
            sqlx::query_scalar("SELECT seq FROM journal WHERE kind = 'intent'").fetch_one(&mut db).await.unwrap();
        sqlx::query("UPDATE journal SET body = replace(body, 'EH0000', 'EH0001') WHERE seq = $1")
            .bind(seq)
            .execute(&mut db)
            .await
            .unwrap();
        db.close().await.unwrap();
        let Err(error) = w.start().await else { panic!("it starts") };
        assert!(error.to_string().contains(&format!("the journal is broken at record {seq}")), "{error}");
    });
}
