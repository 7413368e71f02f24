//! What is promised about one file with a writer and many readers.

use std::pin::pin;
use std::task::Poll;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::lease::LeaseReply;
use super::seen::{Input, Place};
use super::*;
use crate::core::detect::observation::Observation;
use crate::core::model::decision::{Action, Decision, DecisionId, Mode};
use crate::core::model::id::{AccountSid, Channel, NumberId, NumberSid};
use crate::core::model::order::{Author, Operation, Scope, ScopeOf};
use crate::core::model::source::Source;
use crate::core::model::time::Time;
use crate::core::model::value::{FieldValue, RawRecord};
use crate::core::model::verdict::{Evidence, Score};
use crate::core::rollback::entry::Entry;
use crate::core::routing::values::{Difference, RoutingValues};
use crate::testing::{ACCOUNT, ours};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ringback-store-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run<T>(name: &str, test: impl AsyncFnOnce(Folder) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(Folder::new(name)))
}

async fn led(folder: &Folder) -> Store {
    let store = Store::open(&folder.file()).await.unwrap();
    assert!(matches!(store.lead("a test", Time::EPOCH).await.unwrap(), LeaseReply::Acquired(_)));
    store
}

fn by() -> Author {
    Author { name: "ann".into(), reason: "a test".into() }
}

fn approved(id: u64) -> Entry {
    Entry::Approved { decision: DecisionId(id), by: by() }
}

fn alert(i: u64) -> Observation {
    let json =
        format!(r#"{{"kind":"alert","sid":"NO{i:032}","code":11200,"level":"error","at":"2026-11-21T14:00:00Z"}}"#);
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"))
}

#[test]
fn no_question_waits_for_a_write() {
    run("reads", async |folder| {
        let store = led(&folder).await;
        store.append(Time::EPOCH, Place::FIRST, &[approved(1)]).await.unwrap();
        store
            .commit_poll(ACCOUNT, Source::Alerts, Time::from_secs(9), &[(Time::from_secs(5), alert(1))])
            .await
            .unwrap();
        // A write that does not end.
        let mut busy = store.writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("DELETE FROM lease").execute(&mut *busy).await.unwrap();
        let (from, to) = (Time::EPOCH, Place::LAST);
        assert_eq!(store.verify().await.unwrap().records, 1);
        assert_eq!(store.journal().await.unwrap().len(), 1);
        assert_eq!(store.journal_of(DecisionId(1)).await.unwrap().len(), 1);
        assert_eq!(store.latest("approved", i64::MAX, 5).await.unwrap().len(), 1);
        let mut inputs = store.inputs(from, to).await.unwrap();
        assert!(matches!(inputs.next().await.unwrap(), Some((_, _, Input::Seen(ACCOUNT, _)))));
        assert!(matches!(inputs.next().await.unwrap(), Some((_, _, Input::AlertsRead))));
        assert_eq!(store.observations(from, |_, _, _| {}).await.unwrap(), 0);
        assert_eq!(store.alerts_read_by(from, to).await.unwrap(), Some(Time::from_secs(9)));
        assert_eq!(store.kept_since().await.unwrap(), None);
        assert_eq!(store.cursor(Source::Alerts).await.unwrap(), Some(Time::from_secs(9)));
        assert!(store.routing().await.unwrap().is_empty());
        assert!(store.deliveries(from).await.unwrap().is_empty());
        assert!(store.probes(from).await.unwrap().is_empty() && store.recorded().await.unwrap().is_empty());
    });
}

#[test]
fn no_write_waits_for_a_question() {
    run("writes", async |folder| {
        let store = led(&folder).await;
        store.append(Time::EPOCH, Place::FIRST, &[approved(1)]).await.unwrap();
        // Every reader is in the middle of a statement that has not been read to its end.
        let mut asking = Vec::new();
        for _ in 0..READERS {
            let mut tx = store.readers.begin().await.unwrap();
            let first: i64 = sqlx::query_scalar("SELECT seq FROM journal").fetch_one(&mut *tx).await.unwrap();
            assert_eq!(first, 1);
            asking.push(tx);
        }
        store.append(Time::EPOCH, Place::FIRST, &[approved(2)]).await.unwrap();
        store.commit_poll(ACCOUNT, Source::Calls, Time::EPOCH, &[]).await.unwrap();
        assert!(store.renew(Time::EPOCH).await.unwrap().is_some());
        // And what they read is what was there when they began.
        for tx in &mut asking {
            let records: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM journal").fetch_one(&mut **tx).await.unwrap();
            assert_eq!(records, 1);
        }
    });
}

/// A figure that JSON has no word for would be read as nothing, where a figure must be.
#[test]
fn what_could_not_be_read_back_is_not_written() {
    run("unreadable", async |folder| {
        let store = led(&folder).await;
        let decision = |statistic: f64| {
            let score = Some(Score { statistic, threshold: 11.0 });
            Entry::Decision(Decision {
                id: DecisionId(1),
                at: Time::EPOCH,
                action: Action::Rollback,
                channel: Channel::Voice,
                group: "support".parse().unwrap(),
                numbers: vec![ours("+15005550100")],
                rule: String::new(),
                evidence: Evidence { score, ..Evidence::default() },
            })
        };
        for statistic in [f64::INFINITY, f64::NAN] {
            let refused = store.append(Time::EPOCH, Place::FIRST, &[approved(1), decision(statistic)]).await;
            assert!(refused.is_err(), "{statistic}");
        }
        assert_eq!(store.verify().await.unwrap().records, 0, "all or nothing");
        store.append(Time::EPOCH, Place::FIRST, &[decision(12.0)]).await.unwrap();
        assert_eq!(store.journal().await.unwrap().len(), 1);
    });
}

/// However far a verification has come, a record that is appended meanwhile does not break it.
#[test]
fn a_journal_that_grows_while_it_is_verified_is_whole() {
    run("grows", async |folder| {
        let store = led(&folder).await;
        store.append(Time::EPOCH, Place::FIRST, &[approved(1), approved(2)]).await.unwrap();
        for turns in 0..30 {
            let mut verify = pin!(store.verify());
            let mut left = turns;
            let early = std::future::poll_fn(|cx| match verify.as_mut().poll(cx) {
                Poll::Ready(whole) => Poll::Ready(Some(whole)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await;
            if let Some(whole) = early {
                whole.unwrap();
                return;
            }
            store.append(Time::EPOCH, Place::FIRST, &[approved(3)]).await.unwrap();
            verify.await.unwrap();
        }
    });
}

/// Page by page, and with the alert log's watermarks where they belong.
#[test]
fn inputs_come_in_their_order_whatever_the_pages() {
    run("order", async |folder| {
        let store = led(&folder).await;
        let mut expected = Vec::new();
        let mut lasts = Vec::new();
        let mut i = 0u64;
        for poll in 0..50i64 {
            // Long runs without a page's end in sight, and polls that bring nothing.
            let rows = [0, 1, 3000, 0, 7][usize::try_from(poll % 5).unwrap()];
            let at = Time::from_secs(poll * 10);
            let seen: Vec<_> = (0..rows).map(|k| (at, alert(i + k))).collect();
            i += rows;
            let later = at + Duration::from_secs(1);
            let last = store.commit_poll(ACCOUNT, Source::Alerts, later, &seen).await.unwrap();
            let place = |k: usize| last.before(rows as usize - k);
            let seen = seen.into_iter().enumerate();
            expected.extend(seen.map(|(k, (at, o))| (place(k), at, Input::Seen(ACCOUNT, o))));
            expected.push((last, later, Input::AlertsRead));
            lasts.push(last);
        }
        assert_eq!(store.last_place().await.unwrap(), lasts[49]);
        for (since, poll) in [(0, 49), (100, 33), (121, 13), (490, 49), (490, 3), (600, 49)] {
            let (since, last) = (Time::from_secs(since), lasts[poll]);
            let mut inputs = store.inputs(since, last).await.unwrap();
            let mut got = Vec::new();
            while let Some(next) = inputs.next().await.unwrap() {
                got.push(next);
            }
            let is_wanted = |(place, at, _): &&(Place, Time, Input)| since <= *at && *place <= last;
            let wanted: Vec<_> = expected.iter().filter(is_wanted).cloned().collect();
            assert!(got == wanted, "{since} to {last:?}: {} of {}", got.len(), wanted.len());
        }
    });
}

#[test]
fn tables_of_another_version_or_of_somebody_else_are_refused_with_the_cure() {
    run("schema", async |folder| {
        let store = Store::open(&folder.file()).await.unwrap();
        sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00'").execute(&store.writer).await.unwrap();
        store.close().await;
        for opened in [Store::open(&folder.file()).await, Store::open_read_only(&folder.file()).await] {
            let error = opened.err().unwrap();
            assert_eq!(error.problem, StoreProblem::OtherVersion, "{error}");
            assert!(error.cure.contains("start the version that wrote it"), "{}", error.cure);
        }
        // Stopped before the tables were there.
        let begun = folder.0.join("begun.db");
        let options = SqliteConnectOptions::new().filename(&begun).create_if_missing(true);
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        let list = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
                    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
                    checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";
        sqlx::query(list).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        assert!(Store::open(&begun).await.unwrap().journal().await.unwrap().is_empty());
        let theirs = folder.0.join("theirs.db");
        let options = SqliteConnectOptions::new().filename(&theirs).create_if_missing(true);
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("CREATE TABLE songs (name TEXT)").execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        let error = Store::open(&theirs).await.err().unwrap();
        assert_eq!(error.problem, StoreProblem::NotOurs, "{error}");
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        let tables: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master").fetch_one(&mut db).await.unwrap();
        assert_eq!(tables, 1, "nothing of ours was put into it");
    });
}

#[test]
fn two_accounts_same_telephone_number_is_two_numbers() {
    run("accounts", async |folder| {
        let store = led(&folder).await;
        let mine = ours("+15005550100");
        let other = NumberId::new(AccountSid::from_u128(0x99), mine.e164);
        let url = |url: &str| RoutingValues::read(&format!("{{\"voice_url\":\"{url}\"}}"), Channel::Voice).unwrap();
        let (at, later) = (Time::from_secs(10), Time::from_secs(20));
        store.remember_routing(at, &[(mine, url("https://a")), (other, url("https://b"))]).await.unwrap();
        store.remember_routing(later, &[(other, url("https://c"))]).await.unwrap();
        let mut routing = store.routing().await.unwrap();
        routing.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
        assert_eq!(routing, [(mine, at, url("https://a")), (other, later, url("https://c"))]);

        for number in [mine, other] {
            store.begin_probe(at, number, Channel::Voice, None, false).await.unwrap();
            let seen = [(at, alert(u64::try_from(number.account.as_u128()).unwrap()))];
            store.commit_seen(number.account, &seen).await.unwrap();
        }
        let begun: Vec<NumberId> = store.probes(at).await.unwrap().into_iter().map(|p| p.number).collect();
        assert_eq!(begun, [mine, other]);
        let mut seen = Vec::new();
        store.observations(at, |_, _, input| seen.push(input)).await.unwrap();
        assert_eq!(seen, [Input::Seen(mine.account, alert(0xacc)), Input::Seen(other.account, alert(0x99))]);
    });
}

/// Nothing reads what only an older version wrote: a field that is missing is a broken record.
#[test]
fn an_entry_without_a_field_of_today_is_not_read() {
    let number = ours("+15005550100");
    let scope = Scope { of: ScopeOf::Number(number), channel: Some(Channel::Voice) };
    for entry in [approved(1), Entry::Mode { mode: Mode::Auto, by: by() }, Entry::Release { scope, by: by() }] {
        let whole = serde_json::to_value(&entry).unwrap();
        assert_eq!(serde_json::from_value::<Entry>(whole.clone()).unwrap(), entry);
        let fields: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
        for field in fields {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(&field);
            assert!(serde_json::from_value::<Entry>(part).is_err(), "{field}");
        }
    }
}

/// Numbers' URLs are in the state with all their secrets.
#[cfg(unix)]
#[test]
fn the_state_is_whole_and_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    run("private", async |folder| {
        let mode = |name: &str| std::fs::metadata(folder.0.join(name)).unwrap().permissions().mode() & 0o777;
        let open =
            |name: &str| std::fs::set_permissions(folder.0.join(name), std::fs::Permissions::from_mode(0o664)).unwrap();
        let value = || FieldValue::from("https://us3r:p4ss@app.example.com/t0ken9Zq?q=qu3ry#fr4g");
        let (channel, number, decision) = (Channel::Voice, ours("+15005550100"), DecisionId(1));
        let sid = NumberSid::from_u128(1);
        let difference = Difference { field: "voice_url".to_owned(), snapshot: value(), wrote: value(), now: value() };
        let record = RawRecord::from(format!("{{\"voice_url\":{:?}}}", value().whole()));
        let entries = [
            Entry::Snapshot { decision, channel, number, sid, record: record.clone(), sha256: "x".to_owned() },
            Entry::Intent {
                decision,
                channel,
                number,
                sid,
                operation: Operation::Rollback,
                update: vec![("VoiceUrl".to_owned(), value())],
            },
            Entry::Drift { number, channel, differences: vec![difference], actor: Some("a user".into()) },
        ];
        let known = RoutingValues::read(record.whole(), channel).unwrap();
        let store = led(&folder).await;
        store.append(Time::EPOCH, Place::FIRST, &entries).await.unwrap();
        store.remember_routing(Time::EPOCH, &[(number, known.clone())]).await.unwrap();
        let files = ["state.db", "state.db-wal", "state.db-shm"];
        assert_eq!(files.map(mode), [0o600; 3]);
        // As an earlier umask had them, and a crash left them.
        files.into_iter().for_each(open);
        let again = Store::open(&folder.file()).await.unwrap();
        assert_eq!(files.map(mode), [0o600; 3]);
        let read: Vec<Entry> = again.journal().await.unwrap().into_iter().map(|r| r.entry).collect();
        assert_eq!(read, entries, "to the byte");
        assert_eq!(again.routing().await.unwrap(), [(number, Time::EPOCH, known)]);
        assert!(!format!("{read:?}{}", serde_json::to_string(&read).unwrap()).contains("p4ss"));
    });
}

/// Between portions others write, and what is not forgotten in one go is in the next.
#[test]
fn old_rows_are_forgotten_in_portions() {
    run("prune", async |folder| {
        let store = led(&folder).await;
        let (portion, rest) = (usize::try_from(seen::PORTION).unwrap(), 7);
        let seen: Vec<_> = (0..portion * 3 + rest).map(|i| (Time::from_secs(i as i64), alert(i as u64))).collect();
        for chunk in seen.chunks(portion) {
            store.commit_poll(ACCOUNT, Source::Alerts, chunk[0].0, chunk).await.unwrap();
        }
        let before = Time::from_secs((portion * 3) as i64);
        let mut pruning = pin!(store.prune(before));
        let mut left = Vec::new();
        let mut is_over = false;
        while !is_over {
            is_over = std::future::poll_fn(|cx| Poll::Ready(pruning.as_mut().poll(cx).is_ready())).await;
            let rows: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM observation").fetch_one(&store.readers).await.unwrap();
            left.push(usize::try_from(rows).unwrap());
            let kept = store.kept_since().await.unwrap();
            assert!(rows as usize == seen.len() || kept == Some(before), "what is gone is said to be gone");
        }
        left.dedup();
        assert_eq!(left, [3, 2, 1, 0].map(|n| portion * n + rest), "never more than a portion in one transaction");
        let mut kept = Vec::new();
        store
            .observations(Time::EPOCH, |_, at, input| kept.extend(matches!(input, Input::Seen(..)).then_some(at)))
            .await
            .unwrap();
        assert_eq!(kept.len(), rest);
        assert!(kept.iter().all(|at| *at >= before));
        // One that was deposed forgets nothing.
        store.release().await.unwrap();
        let other = led(&folder).await;
        assert_eq!(store.prune(Time::NEVER).await.unwrap_err().problem, StoreProblem::LeaseLost);
        other.prune(Time::NEVER).await.unwrap();
    });
}

#[test]
fn a_log_that_a_reader_made_long_is_cut_off_once_it_may_be() {
    run("log", async |folder| {
        let store = led(&folder).await;
        let log = || std::fs::metadata(folder.0.join("state.db-wal")).unwrap().len();
        let mut asking = store.readers.begin().await.unwrap();
        let _: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM journal").fetch_one(&mut *asking).await.unwrap();
        sqlx::query("INSERT INTO cursor VALUES (hex(zeroblob(40000000)), 1)").execute(&store.writer).await.unwrap();
        assert!(log() > 64 << 20);
        store.shorten_log().await.unwrap();
        assert!(log() > 64 << 20, "somebody still reads it");
        asking.rollback().await.unwrap();
        store.shorten_log().await.unwrap();
        assert_eq!(log(), 0);
        assert!(store.renew(Time::EPOCH).await.unwrap().is_some(), "and the file is the same");
    });
}

/// The machine's clock is set: a lease is no longer for that, and no shorter than the next renewal.
#[test]
fn a_clock_that_is_set_prolongs_no_lease() {
    run("clock", async |folder| {
        let store = Store::open(&folder.file()).await.unwrap();
        let noon = Time::from_secs(12 * 3600);
        assert!(matches!(store.lead("a test", noon).await.unwrap(), LeaseReply::Acquired(_)));
        let hours = |n: u64| Duration::from_secs(n * 3600);
        assert!(store.lease_left(noon - hours(2)) <= lease::LEASE);
        assert_eq!(store.lease_left(noon + hours(2)), Duration::ZERO);
        assert!(store.renew(noon - hours(2)).await.unwrap().is_some());
        assert_eq!(store.lease_left(noon), Duration::ZERO);
        assert!(store.lease_left(noon - hours(2)) > Duration::from_secs(20));
    });
}

/// What the lock says of the last lease is what lets the next one lead at once; whatever else is there does not.
#[test]
fn who_finds_a_lock_that_says_nothing_waits_for_the_lease() {
    run("lock", async |folder| {
        let lock = folder.0.join("state.lock");
        let lead = async || {
            let store = Store::open(&folder.file()).await.unwrap();
            let reply = store.lead("a test", Time::EPOCH).await.unwrap();
            store.close().await;
            matches!(reply, LeaseReply::Acquired(_))
        };
        assert!(lead().await && lead().await, "its process is gone");
        let whole = std::fs::read_to_string(&lock).unwrap();
        for other in ["", "ringback", "ringback 1 2 3 4 state.db\n", &whole.replace("state.db", "other.db")] {
            std::fs::write(&lock, other).unwrap();
            assert!(!lead().await, "{other:?}");
        }
        std::fs::write(&lock, &whole).unwrap();
        assert!(lead().await);
        // Stopped after it was written down there, and before the lease was.
        let store = Store::open(&folder.file()).await.unwrap();
        sqlx::query("UPDATE lease SET fence = fence - 1").execute(&store.writer).await.unwrap();
        store.close().await;
        assert!(lead().await);
        std::fs::remove_file(&lock).unwrap();
        assert!(!lead().await);
        // Once its time is over anybody may.
        let store = Store::open(&folder.file()).await.unwrap();
        assert!(matches!(store.lead("a test", Time::from_secs(31)).await.unwrap(), LeaseReply::Acquired(_)));
    });
}
