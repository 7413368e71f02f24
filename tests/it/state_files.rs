//! State that is not ours any more: files that were taken away under a running agent, put back from a backup, known by
//! two names, or left in pieces by a crash.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ringback::agent::{Agent, Role};
use ringback::clock::Clock;
use ringback::sim::{Scenario, Sim};
use ringback::store::Store;
use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::task::JoinSet;

use crate::agent::DAY;
use crate::execute::edit;
use crate::kill::serve_apart;
use crate::receiver::{Receiver, webhook};
use crate::support::{break_app, drill, sql, support, url, with_token, writes};
use crate::world::{BIN, Folder, World, own_address, play};

const FILES: [&str; 4] = ["ringback.db", "ringback.db-wal", "ringback.db-shm", "ringback.lock"];

fn file(w: &World, name: &str) -> PathBuf {
    w.folder.path().join(name)
}

/// What may become of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Loss {
    Removed,
    Moved,
    /// Another one is in its place, with the same in it.
    Replaced,
    /// Nothing is in it any more.
    Emptied,
}

fn lose(path: &Path, how: Loss) {
    let aside = path.with_extension("aside");
    match how {
        Loss::Removed => std::fs::remove_file(path).unwrap(),
        Loss::Moved => std::fs::rename(path, aside).unwrap(),
        Loss::Replaced => {
            std::fs::copy(path, &aside).unwrap();
            std::fs::rename(aside, path).unwrap();
        }
        Loss::Emptied => File::options().write(true).open(path).unwrap().set_len(0).unwrap(),
    }
}

/// It leads no more from the next write on, stops by itself, and says why; and the next one leads.
#[test]
fn an_agent_whose_files_are_taken_away_writes_nothing_and_stops() {
    for name in FILES {
        for how in [Loss::Removed, Loss::Moved, Loss::Replaced, Loss::Emptied] {
            // A lock that says nothing is one all the same.
            if how == Loss::Emptied && name == "ringback.lock" {
                continue;
            }
            play(DAY, async |w| {
                let mut servers = JoinSet::new();
                let hook = Receiver::listen(w, &mut servers).await;
                with_token(w);
                w.env.insert("HOOK_KEY", "a key");
                let config = w.parse(&(w.config_text() + &webhook("hook", &hook))).unwrap();
                let mut agent = w.start_with(&config).await.unwrap();
                w.pass(65).await;
                lose(&file(w, name), how);
                // A person asks at once: before the lease is renewed again.
                let (status, said) = agent.post("rollback", drill()).await;
                assert_eq!((status, &said["lines"][0]["action"]), (200, &json!("refuse")), "{name} {how:?}: {said}");
                let ended = w.clock.timeout(Duration::from_secs(15), agent.agent.failed()).await;
                assert_eq!(ended.unwrap(), "the task \"lease\" ended early", "{name} {how:?}");
                break_app(w);
                w.pass(900).await;
                assert!(writes(w).is_empty(), "{name} {how:?}: {:?}", writes(w));
                let told = hook.bodies().into_iter().find(|b| b["kind"] == "state_changed");
                let told = told.unwrap_or_else(|| panic!("{name} {how:?}: nobody is told: {:?}", hook.kinds()));
                assert!(told["cause"].as_str().unwrap().contains(name), "{told}");
                agent.stop().await;
                if how == Loss::Moved && name != "ringback.db-wal" {
                    let next = w.start().await.unwrap_or_else(|e| panic!("{name}: {e}"));
                    w.pass(60).await;
                    assert_eq!(next.metric("ringback_leading").await, Some(1.0), "{name}");
                    next.stop().await;
                }
            });
        }
    }
}

/// What lies beside the state and is no file of its own: nothing is read, written or changed through it, and nobody
/// waits for it.
#[test]
fn nothing_is_opened_through_what_somebody_else_put_beside_the_state() {
    let pipe = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let chain = |e: &dyn std::error::Error| {
        let mut said = e.to_string();
        let mut next = e.source();
        while let Some(cause) = next {
            said += &format!(": {cause}");
            next = cause.source();
        }
        said
    };
    for is_there in [false, true] {
        play(DAY, async |w| {
            if is_there {
                w.start().await.unwrap().stop().await;
            }
            let victim = file(w, "victim");
            for name in ["ringback.db-wal", "ringback.db-shm", "ringback.db-journal", "ringback.lock", "ringback.key"] {
                let is_key = name == "ringback.key";
                let path = file(w, name);
                for what in ["link", "link to nothing", "pipe"] {
                    // A key may be a link, as a service manager makes one.
                    if is_key && what != "pipe" {
                        continue;
                    }
                    let _ = std::fs::remove_file(&path);
                    std::fs::write(&victim, "somebody's").unwrap();
                    std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o644)).unwrap();
                    match what {
                        "pipe" => pipe(&path),
                        "link" => std::os::unix::fs::symlink(&victim, &path).unwrap(),
                        _ => std::os::unix::fs::symlink(file(w, "nothing"), &path).unwrap(),
                    }
                    let began = Instant::now();
                    let said = chain(&w.start().await.err().unwrap_or_else(|| panic!("{name} is a {what}: it starts")));
                    let named = if what == "pipe" { "it is no file" } else { "a symbolic link" };
                    assert!(said.contains(named), "{name} is a {what}: {said}");
                    assert!(began.elapsed() < Duration::from_secs(5), "{name} is a {what}: it waited");
                    let mode = std::fs::metadata(&victim).unwrap().permissions().mode() & 0o777;
                    assert_eq!((std::fs::read(&victim).unwrap(), mode), (b"somebody's".to_vec(), 0o644));
                    assert!(!file(w, "nothing").exists());
                    std::fs::remove_file(&path).unwrap();
                }
            }
            w.start().await.unwrap().stop().await;
        });
    }
}

/// Nobody leads beside it, whatever was taken away: not before it has stopped.
#[test]
fn a_second_agent_on_the_same_path_waits_until_the_first_has_stopped() {
    for lost in [&FILES[..1], &FILES[..3], &FILES[3..]] {
        play(DAY, async |w| {
            let config = w.config().unwrap();
            let mut first = w.start().await.unwrap();
            w.pass(65).await;
            lost.iter().for_each(|name| lose(&file(w, name), Loss::Moved));
            let (clock, own) = (w.clock.clone(), w.clock.clone());
            let mut tasks = JoinSet::new();
            clock.spawn(&mut tasks, async move { Agent::start(&config, &own).await });
            break_app(w);
            let mut both = 0;
            for _ in 0..60 {
                w.clock.sleep(Duration::from_millis(500)).await;
                let is_stopped = w.clock.wait(Some(w.now()), first.agent.failed()).await.is_some();
                both += u32::from(tasks.is_empty() && !is_stopped);
                if is_stopped {
                    break;
                }
                assert!(tasks.try_join_next().is_none(), "{lost:?}: it leads beside the first");
            }
            assert_eq!(both, 0);
            first.stop().await;
            w.pass(60).await;
            let second = tasks.try_join_next().expect("it leads once the first has stopped").unwrap();
            second.unwrap_or_else(|e| panic!("{lost:?}: {e}")).stop().await;
        });
    }
}

/// Another agent has taken over from one that hung, and its lock is there now: that is said, and nothing else.
#[test]
fn who_was_taken_over_from_says_so() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        w.env.insert("HOOK_KEY", "a key");
        let config = w.parse(&(w.config_text() + &webhook("hook", &hook))).unwrap();
        let mut agent = w.start_with(&config).await.unwrap();
        w.pass(65).await;
        sql(w, "UPDATE lease SET fence = fence + 1, holder = 'another'").await;
        lose(&file(w, "ringback.lock"), Loss::Replaced);
        let ended = w.clock.timeout(Duration::from_secs(15), agent.agent.failed()).await;
        assert_eq!(ended.unwrap(), "the task \"lease\" ended early");
        w.pass(5).await;
        let kinds: Vec<String> = hook.kinds().into_iter().map(|(kind, _)| kind).collect();
        assert!(kinds.contains(&"lease_lost".to_owned()) && !kinds.contains(&"state_changed".to_owned()), "{kinds:?}");
        agent.stop().await;
    });
}

/// A lock that another process holds, without a lease that goes with it: it may hang, or may have lost its database.
#[test]
fn nobody_leads_without_the_lock() {
    play(DAY, async |w| {
        let lock = File::create(file(w, "ringback.lock")).unwrap();
        lock.lock().unwrap();
        let (config, own) = (w.config().unwrap(), w.clock.clone());
        let mut tasks = JoinSet::new();
        w.clock.spawn(&mut tasks, async move { Agent::start(&config, &own).await });
        w.pass(30).await;
        assert!(tasks.try_join_next().is_none(), "it stands by");
        // Nothing was renewed for longer than a lease lasts: whoever has it hangs, and has another file now.
        w.pass(20).await;
        let agent = tasks.try_join_next().expect("it leads").unwrap().unwrap();
        assert!(lock.try_lock().is_ok() && std::fs::metadata(file(w, "ringback.lock")).unwrap().len() > 0);
        agent.stop().await;
        // One that cannot be had at all is said, with the cure.
        std::fs::remove_file(file(w, "ringback.lock")).unwrap();
        std::fs::create_dir(file(w, "ringback.lock")).unwrap();
        let said = w.start().await.err().unwrap().to_string();
        assert!(said.contains("the lock beside the state file cannot be taken"), "{said}");
    });
}

/// A copy of the file as it is, with what is in its log.
async fn back_up(w: &World) -> Vec<u8> {
    sql(w, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    std::fs::read(file(w, "ringback.db")).unwrap()
}

fn restore(w: &World, backup: &[u8]) {
    for name in &FILES[1..3] {
        let _ = std::fs::remove_file(file(w, name));
    }
    std::fs::write(file(w, "ringback.db"), backup).unwrap();
}

/// The files beside the state that say how far its journal has come.
fn marks(w: &World) -> Vec<String> {
    let names = std::fs::read_dir(w.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("ringback.head-")).collect()
}

/// Everything of the state, and nothing else that tests keep in the folder.
fn whole_state(w: &World) -> Vec<(PathBuf, Vec<u8>, Duration)> {
    let entries = std::fs::read_dir(w.folder.path()).unwrap().map(|e| e.unwrap().path());
    let ours = entries.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with("ringback."));
    ours.filter(|p| p.extension().is_none_or(|end| end != "toml"))
        .map(|p| {
            let written = std::fs::metadata(&p).unwrap().modified().unwrap();
            let written = written.duration_since(std::time::UNIX_EPOCH).unwrap();
            (p.clone(), std::fs::read(&p).unwrap(), written)
        })
        .collect()
}

/// How a whole folder may come back.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Return {
    /// Each file into the one that lies there, with its times.
    Over,
    /// Into a folder that was emptied.
    Emptied,
    /// The latest one, into the files that lie there: nothing is missing.
    Latest,
}

/// Database, lock, key and mark of one moment agree with each other. Nothing but what a copy leaves behind tells that
/// there was more: a hold was ordered afterwards, and it must not be lost without a word.
#[test]
fn a_whole_folder_that_is_put_back_is_known_by_what_it_lacks() {
    for how in [Return::Over, Return::Emptied, Return::Latest] {
        play(DAY, async |w| {
            with_token(w);
            let agent = w.start().await.unwrap();
            w.pass(60).await;
            agent.stop().await;
            let mut backup = whole_state(w);
            assert_eq!(marks(w).len(), 1, "{:?}", marks(w));
            let agent = w.start().await.unwrap();
            w.pass(60).await;
            let hold = json!({"all": true, "seconds": 28_800, "reason": "the carrier works on it"});
            assert_eq!(agent.post("hold", hold).await.0, 200);
            agent.stop().await;
            if how == Return::Latest {
                backup = whole_state(w);
            }
            if how == Return::Emptied {
                whole_state(w).iter().for_each(|(path, ..)| std::fs::remove_file(path).unwrap());
            }
            for (path, bytes, written) in &backup {
                std::fs::write(path, bytes).unwrap();
                let file = File::options().write(true).open(path).unwrap();
                file.set_modified(std::time::UNIX_EPOCH + *written).unwrap();
            }
            let agent = w.start().await.unwrap();
            w.pass(30).await;
            let holds = agent.status().holds.clone();
            let by: Vec<&str> = holds.iter().map(|h| h.by.name.as_str()).collect();
            assert_eq!(holds.len(), 1, "{how:?}: {by:?}");
            assert_eq!(by[0] == "ringback", how != Return::Latest, "{how:?}: {by:?}");
            assert_eq!(marks(w).len(), 1, "{how:?}: {:?}", marks(w));
            agent.stop().await;
            // What was said once is not said again.
            let agent = w.start().await.unwrap();
            w.pass(30).await;
            assert_eq!(agent.status().holds.len(), 1, "{how:?}");
            agent.stop().await;
        });
    }
}

#[test]
fn a_backup_that_is_put_back_is_known_for_one_and_changes_no_number() {
    // With the lock of the latest state beside it, with the lock of then, and without the mark too.
    for (is_lock_older, is_marked) in [(false, true), (true, true), (true, false)] {
        let is_known = !is_lock_older || is_marked;
        play(DAY, async |w| {
            let mut servers = JoinSet::new();
            let hook = Receiver::listen(w, &mut servers).await;
            with_token(w);
            w.env.insert("HOOK_KEY", "a key");
            let config = w.parse(&(w.config_text() + &webhook("hook", &hook))).unwrap();
            let agent = w.start_with(&config).await.unwrap();
            w.pass(120).await;
            agent.stop().await;
            let (backup, lock) = (back_up(w).await, std::fs::read(file(w, "ringback.lock")).unwrap());
            let agent = w.start_with(&config).await.unwrap();
            w.pass(60).await;
            assert_eq!(agent.post("rollback", drill()).await.0, 200);
            w.pass(120).await;
            assert!(support().iter().all(|n| url(w, *n) == BIN));
            agent.stop().await;
            restore(w, &backup);
            if is_lock_older {
                std::fs::write(file(w, "ringback.lock"), &lock).unwrap();
            }
            if !is_marked {
                marks(w).iter().for_each(|mark| std::fs::remove_file(file(w, mark)).unwrap());
            }
            let before = writes(w);
            let agent = w.start_with(&config).await.unwrap();
            break_app(w);
            w.pass(1800).await;
            let holds = agent.status().holds.len();
            assert_eq!(holds, usize::from(is_known), "only lock and mark know that records are missing");
            let told: Vec<String> = hook.bodies().iter().map(|b| b["key"].as_str().unwrap().to_owned()).collect();
            assert!(told.contains(&"state/unknown/voice".to_owned()), "{told:?}");
            assert_eq!(told.contains(&"state/restored".to_owned()), is_known, "{told:?}");
            // A person's word does not make the journal know them either.
            agent.post("release", json!({"all": true, "reason": "looked"})).await;
            let ask = json!({"group": "support", "channel": "voice", "reason": "back"});
            let (_, plan) = agent.post("restore", ask.clone()).await;
            let detail = plan["lines"][0]["detail"].as_str().unwrap();
            assert!(plan["lines"][0]["action"] == "refuse" && detail.contains("knows of no rollback"), "{plan}");
            agent.post("rollback", ask).await;
            w.pass(600).await;
            assert_eq!(writes(w), before, "nothing is written to them");
            assert!(support().iter().all(|n| agent.rollback_state(*n) != "read_back"), "nor taken for a snapshot");
            // By hand they come back, and are watched as before.
            for n in support() {
                edit(w, n, "https://app.example.com/voice");
            }
            w.pass(600).await;
            let over = |b: &serde_json::Value| b["key"] == "state/unknown/voice" && b["status"] == "resolved";
            assert!(hook.bodies().iter().any(over), "{:?}", hook.kinds());
            agent.stop().await;
            // What is known is told once.
            let count = || hook.bodies().iter().filter(|b| b["key"] == "state/restored").count();
            let before = count();
            let agent = w.start_with(&config).await.unwrap();
            w.pass(300).await;
            assert_eq!(count(), before);
            agent.stop().await;
        });
    }
}

/// A state that is gone while nobody runs begins anew; that there was one is said, and nothing is done before somebody
/// has looked.
#[test]
fn a_state_that_was_removed_is_begun_anew_and_said() {
    play(DAY, async |w| {
        let mut servers = JoinSet::new();
        let hook = Receiver::listen(w, &mut servers).await;
        with_token(w);
        w.env.insert("HOOK_KEY", "a key");
        let config = w.parse(&(w.config_text() + &webhook("hook", &hook))).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(120).await;
        agent.stop().await;
        std::fs::remove_file(file(w, "ringback.db")).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        w.pass(600).await;
        assert_eq!(agent.status().holds.len(), 1, "what was held is not known");
        let told = hook.bodies().into_iter().find(|b| b["key"] == "state/restored");
        assert!(told.unwrap()["cause"].as_str().unwrap().contains("it is empty: it was removed"));
        agent.post("release", json!({"all": true, "reason": "looked"})).await;
        break_app(w);
        w.pass(900).await;
        assert!(support().iter().all(|n| url(w, *n) == BIN), "what it sees itself it acts on");
        agent.stop().await;
    });
}

/// A write-ahead log that was lost takes the journal with it: the file is the same, and its records are gone.
#[test]
fn a_journal_that_is_gone_from_the_same_file_is_not_begun_anew() {
    play(DAY, async |w| {
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        agent.stop().await;
        for table in ["journal", "journal_head"] {
            sql(w, &format!("DELETE FROM {table}")).await;
        }
        let agent = w.start().await.unwrap();
        break_app(w);
        w.pass(900).await;
        assert_eq!(agent.status().holds.len(), 1);
        assert!(support().iter().all(|n| url(w, *n) != BIN), "what was held is not known");
        agent.stop().await;
    });
}

/// One state by two names: the second agent stands by, or is told why it cannot be.
#[test]
fn one_state_by_two_names_has_one_leader() {
    play(DAY, async |w| {
        let first = w.start().await.unwrap();
        w.pass(30).await;
        let text =
            |state: &str| w.config_text().replace("[agent]\n", &format!("[agent]\nstate = \"sqlite:{state}\"\n"));
        std::fs::create_dir(file(w, "links")).unwrap();
        std::os::unix::fs::symlink(file(w, "ringback.db"), file(w, "links/other.db")).unwrap();
        std::os::unix::fs::symlink(w.folder.path(), file(w, "folder")).unwrap();
        for name in ["links/other.db", "folder/ringback.db"] {
            let (config, own) = (w.parse(&text(name)).unwrap(), w.clock.clone());
            let mut tasks = JoinSet::new();
            w.clock.spawn(&mut tasks, async move { Agent::start(&config, &own).await });
            w.pass(120).await;
            assert!(tasks.try_join_next().is_none(), "{name}: it stands by");
        }
        assert_eq!(first.metric("ringback_leading").await, Some(1.0));
        first.stop().await;
        std::fs::hard_link(file(w, "ringback.db"), file(w, "hard.db")).unwrap();
        let said = w.start_with(&w.parse(&text("hard.db")).unwrap()).await.err().unwrap();
        let said = format!("{said}: {:?}", std::error::Error::source(&said).map(ToString::to_string));
        assert!(said.contains("hard links"), "{said}");
    });
}

/// A link that leads elsewhere now: the next agent would have another state there.
#[test]
fn a_link_that_is_turned_is_another_state() {
    play(DAY, async |w| {
        std::os::unix::fs::symlink(file(w, "real.db"), file(w, "ringback.db")).unwrap();
        let mut agent = w.start().await.unwrap();
        w.pass(65).await;
        std::os::unix::fs::symlink(file(w, "other.db"), file(w, "new")).unwrap();
        std::fs::rename(file(w, "new"), file(w, "ringback.db")).unwrap();
        let ended = w.clock.timeout(Duration::from_secs(15), agent.agent.failed()).await;
        assert_eq!(ended.unwrap(), "the task \"lease\" ended early");
        agent.stop().await;
    });
}

/// A copy of a running agent's folder has its lease in it, and a lock that is of another state: its agent waits for
/// that lease to be over. Commands without an agent do too.
#[test]
fn a_copied_folder_does_not_lead_at_once() {
    play(DAY, async |w| {
        let first = w.start().await.unwrap();
        w.pass(60).await;
        std::fs::create_dir(file(w, "copy")).unwrap();
        for name in FILES.iter().filter(|n| !n.ends_with("-shm")) {
            std::fs::copy(file(w, name), file(w, "copy").join(name)).unwrap();
        }
        let text = w.config_text().replace("[agent]\n", "[agent]\nstate = \"sqlite:copy/ringback.db\"\n");
        let config = w.parse(&text).unwrap();
        let none = &tokio::sync::watch::Sender::new(None);
        let refused = Agent::start_as(Role::Operator, &config, &w.clock, none).await.err().unwrap().to_string();
        assert!(refused.contains("another agent, "), "{refused}");
        let (own, began) = (w.clock.clone(), w.now());
        let mut tasks = JoinSet::new();
        w.clock.spawn(&mut tasks, async move { Agent::start(&config, &own).await });
        let second = loop {
            if let Some(second) = tasks.try_join_next() {
                break second.unwrap().unwrap();
            }
            w.pass(1).await;
        };
        assert!(w.now().since(began) >= Duration::from_secs(15), "{:?}", w.now().since(began));
        w.pass(30).await;
        assert_eq!(second.status.borrow().holds.len(), 1, "two agents must not act on the same numbers");
        second.stop().await;
        first.stop().await;
    });
}

/// A crash while the key was written left an empty file, and no agent started.
#[test]
fn a_key_that_a_crash_cut_off_is_made_anew_while_nothing_was_hashed_with_it() {
    play(DAY, async |w| {
        for left in ["", "0123"] {
            std::fs::write(file(w, "ringback.key"), left).unwrap();
            let agent = w.start().await.unwrap_or_else(|e| panic!("{left:?}: {e}"));
            agent.stop().await;
        }
        let agent = w.start().await.unwrap();
        w.pass(600).await;
        agent.stop().await;
        std::fs::write(file(w, "ringback.key"), "").unwrap();
        let refused = w.start().await.err().unwrap();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(
            refused.to_string().contains("ringback.key") && why.contains("restore the file from a backup"),
            "{why}"
        );
    });
}

/// Rows that cannot be read any more are told in one line, however many there are.
#[test]
fn what_cannot_be_read_at_a_start_is_summed_up() {
    let (said, code) = real(async |folder| {
        let path = folder.join("ringback.db");
        Store::open(&path).await.unwrap().close().await;
        let mut db = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
        sqlx::raw_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO observation SELECT i, CAST(unixepoch() AS INTEGER) * 1000 - 60000, 'AC', 'call', '{' FROM n",
        )
        .execute(&mut db)
        .await
        .unwrap();
        db.close().await.unwrap();
    });
    assert!(said.contains("\"rows\":20000"), "{said}");
    assert!(said.lines().count() < 60, "{said}");
    assert_eq!(code, Some(3), "{said}");
}

/// The real program, whose database is taken away once it watches: its exit code and what it said.
fn real(prepare: impl AsyncFnOnce(&Path)) -> (String, Option<i32>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut scenario = Scenario::parse(DAY).unwrap();
        scenario.start = Some(Clock::system().now());
        let sim = Sim::new(scenario, Clock::system()).unwrap();
        let (base, folder) = (serve_apart(&sim).await, Folder::new());
        prepare(folder.path()).await;
        let (listen, config) = (own_address().to_string(), folder.path().join("ringback.toml"));
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{base}\"\n[agent]\nmode = \"auto\"\nlisten = \"{listen}\"\n\
             [[group]]\nname = \"support\"\nchannels = [\"voice\"]\nnumbers = [\"+15005550100\"]\n",
            sim.scenario().account.sid
        );
        std::fs::write(&config, text).unwrap();
        let log = folder.path().join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(["run", "--config"])
            .arg(&config)
            .env("TWILIO_AUTH_TOKEN", sim.scenario().account.auth_token)
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let clock = Clock::system();
        let said = || std::fs::read_to_string(&log).unwrap();
        let mut is_gone = false;
        let give_up = clock.now() + Duration::from_secs(60);
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if !is_gone && said().contains("watching; metrics at") {
                std::fs::remove_file(folder.path().join("ringback.db")).unwrap();
                is_gone = true;
            }
            if clock.now() > give_up {
                child.kill().unwrap();
                panic!("it goes on: {}", said());
            }
            clock.sleep(Duration::from_millis(20)).await;
        };
        (said(), code)
    })
}

#[test]
fn the_program_ends_loudly() {
    let (said, code) = real(async |_| {});
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("ringback.db was removed or moved while it was open"), "{said}");
    assert!(said.contains("put the database, its -wal and -shm and the .lock back"), "{said}");
}

/// What is no file on a disk is no state.
#[test]
fn a_state_in_memory_or_with_parameters_is_refused() {
    play(DAY, async |w| {
        for state in
            [":memory:", "file:ringback.db", "file::memory:?cache=shared", "ringback.db?mode=memory", "//ringback.db"]
        {
            let text = w.config_text().replace("[agent]\n", &format!("[agent]\nstate = \"sqlite:{state}\"\n"));
            let said = w.parse(&text).err().unwrap_or_else(|| panic!("{state} is taken")).to_string();
            assert!(said.contains("agent.state = ") && said.contains("write"), "{said}");
        }
    });
}
