//! A number is an account's: what operators write, what is kept, and what another account's entries do not say.

use ringback::core::model::decision::DecisionId;
use ringback::core::model::id::{AccountSid, Channel, NumberId, NumberSid};
use ringback::core::model::order::{Author, By, FallbackState, Hold, Operation, Order, Scope, ScopeOf};
use ringback::core::rollback::entry::Entry;
use ringback::store::Store;
use ringback::store::journal::sha256;
use ringback::store::seen::Place;
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::support::{id, support, url, with_token, writes};
use crate::words::ringback;
use crate::world::{BIN, World, play};

/// An account that no configuration of these tests names.
const FOREIGN: AccountSid = AccountSid::from_u128(0x99);

async fn journal(w: &World) -> Vec<Entry> {
    let store = Store::open(&w.folder.path().join("ringback.db")).await.unwrap();
    let journal = store.journal().await.unwrap();
    store.verify().await.unwrap();
    store.close().await;
    journal.into_iter().map(|r| r.entry).collect()
}

#[test]
fn a_number_is_written_alone_or_with_its_account_and_kept_with_it() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let [first, second, third] = support();
        let hold = json!({"numbers": [id(w, first).key()], "channel": "voice", "reason": "drill"});
        let (status, said) = agent.post("hold", hold).await;
        assert_eq!(status, 200, "{said}");
        let text = said["done"].as_str().unwrap();
        assert!(text.starts_with(&format!("{first}, voice is held until")), "the only account is implied: {text}");
        let words = ["release", &first.to_string(), "--channel", "voice", "--reason", "drill"];
        let (code, said) = ringback(w, &agent, &words).await;
        assert_eq!((code, said.trim()), (0, format!("released: {first}, voice").as_str()));
        let words = ["rollback", &id(w, second).key(), "--channel", "voice", "--yes", "--reason", "drill"];
        let (code, said) = ringback(w, &agent, &words).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("\n{second} voice: written: ")), "{said}");
        assert_eq!(url(w, second), BIN);
        // Both forms are one number.
        let both = [first.to_string(), id(w, first).key()];
        let both = json!({"numbers": both, "channel": "voice", "reason": "drill", "dry_run": true});
        let (_, plan) = agent.post("rollback", both).await;
        let line = &plan["lines"][0];
        assert_eq!(plan["lines"].as_array().unwrap().len(), 1, "{plan}");
        let account = id(w, first).account.to_string();
        assert_eq!((&line["account"], &line["number"]), (&json!(account), &json!(first)), "{plan}");
        let hold = json!({"numbers": [third], "channel": "voice", "reason": "drill", "seconds": 86400});
        assert_eq!(agent.post("hold", hold).await.0, 200);
        agent.stop().await;

        // The journal names the account, and so does what is shown of it.
        let held: Vec<Scope> = journal(w)
            .await
            .into_iter()
            .filter_map(|e| if let Entry::Hold(h) = e { Some(h.scope) } else { None })
            .collect();
        let scope = |n| Scope { of: ScopeOf::Number(id(w, n)), channel: Some(Channel::Voice) };
        assert_eq!(held, [scope(first), scope(third)]);
        let orders: Vec<Value> = journal(w).await.iter().map(|e| serde_json::to_value(e).unwrap()).collect();
        let of = |kind: &str| orders.iter().filter(|e| e["kind"] == kind).collect::<Vec<_>>();
        assert_eq!(of("order")[0]["numbers"], json!([id(w, second).key()]));
        for kind in ["snapshot", "checked", "intent", "written", "result"] {
            assert_eq!(of(kind)[0]["number"], json!(id(w, second).key()), "{kind}");
        }

        // The next agent takes all of it up.
        let agent = w.start().await.unwrap();
        assert_eq!(agent.rollback_state(second), "read_back");
        let (_, status) = agent.get("/api/v1/status").await;
        let status: Value = serde_json::from_str(&status).unwrap();
        let order = &status["orders"][0];
        assert_eq!(order["numbers"], json!([id(w, second).key()]), "{order}");
        assert_eq!((&order["ended"][0]["account"], &order["ended"][0]["number"]), (&json!(account), &json!(second)));
        let (_, numbers) = agent.get("/api/v1/numbers").await;
        let numbers: Value = serde_json::from_str(&numbers).unwrap();
        assert!(numbers.as_array().unwrap().iter().all(|n| n["account"] == json!(account)), "{numbers}");
        let ask = json!({"numbers": [third], "channel": "voice", "reason": "drill"});
        let (_, plan) = agent.post("rollback", ask).await;
        assert_eq!(plan["lines"][0]["action"], "refuse", "it is still held: {plan}");
        agent.stop().await;
    });
}

#[test]
fn a_number_of_an_account_that_is_not_ours_is_refused() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        let number = support()[0];
        let ours = id(w, number).account;
        let foreign = NumberId::new(FOREIGN, number).key();
        for verb in ["rollback", "restore", "hold", "release", "ported"] {
            let (status, said) = agent.post(verb, json!({"numbers": [foreign], "reason": "drill"})).await;
            let said = said["error"].as_str().unwrap();
            assert_eq!(status, 422, "{verb}: {said}");
            let cure = format!("{foreign} is not ours: the configuration names account {ours}; write {number} with");
            assert!(said.starts_with(&cure), "{verb}: {said}");
        }
        let (code, said) = ringback(w, &agent, &["hold", &foreign, "--reason", "drill"]).await;
        assert!(code == 2 && said.contains(&ours.to_string()), "{said}");
        let (code, said) = ringback(w, &agent, &["rehearse", "--number", &foreign]).await;
        assert!(code == 2 && said.contains(&format!("{foreign} is not ours")), "{said}");
        // Neither form of a number.
        let (status, said) = agent.post("hold", json!({"numbers": [format!("AC1/{number}")], "reason": "drill"})).await;
        assert_eq!(status, 422, "{said}");
        assert_eq!(ringback(w, &agent, &["hold", &format!("AC1/{number}"), "--reason", "drill"]).await.0, 2);
        agent.stop().await;
        let is_word =
            |e: &Entry| matches!(e, Entry::Hold(_) | Entry::Order(_) | Entry::Release { .. } | Entry::Ported { .. });
        assert!(!journal(w).await.iter().any(is_word), "what is refused is not kept");
    });
}

/// The same telephone number, and the same SID, in the journal as another account's: an order that was cut off right
/// before its write, and a hold.
#[test]
fn what_the_journal_says_of_another_accounts_number_says_nothing_of_ours() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(60).await;
        agent.stop().await;
        let ours = support()[0];
        let number = NumberId::new(FOREIGN, ours);
        let (channel, operation, decision) = (Channel::Voice, Operation::Rollback, DecisionId(40));
        let by = Author { name: "ann".into(), reason: "before the move".into() };
        let record = w.sim.number(ours).unwrap();
        let sid: NumberSid = record["sid"].as_str().unwrap().parse().unwrap();
        let record = record.to_string();
        let (sha256, record) = (sha256(record.as_bytes()), record.into());
        let update = vec![("VoiceUrl".to_owned(), BIN.into())];
        let scope = Scope { of: ScopeOf::Number(number), channel: None };
        let entries = [
            Entry::Order(Order {
                id: decision,
                operation,
                channel,
                group: "support".parse().unwrap(),
                numbers: vec![number],
                by: By::Operator(by.clone()),
                force: false,
                staged: false,
                terms: None,
            }),
            Entry::Snapshot { decision, channel, number, sid, record, sha256 },
            Entry::Checked { decision, channel, number, fallback: FallbackState::Good },
            Entry::Intent { decision, channel, number, sid, operation, update },
            Entry::Hold(Hold { scope, by, until: w.now() + std::time::Duration::from_secs(86400) }),
        ];
        let store = Store::open(&w.folder.path().join("ringback.db")).await.unwrap();
        store.lead("a test", w.now()).await.unwrap();
        store.append(w.now(), Place::FIRST, &entries).await.unwrap();
        store.release().await.unwrap();
        store.close().await;

        let agent = w.start().await.unwrap();
        w.pass(120).await;
        assert_eq!((agent.rollback_state(ours), writes(w).len()), ("idle", 0), "nothing was written for it");
        let order = &agent.status().orders[0];
        assert!(order.is_over, "and it comes to an end: {order:?}");
        assert_eq!((order.ended[0].account, order.ended[0].number), (FOREIGN, ours));
        let (_, said) = ringback(w, &agent, &["status"]).await;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(&format!(": {}: before the move", number.key())), "whose hold it is, is said: {said}");
        let ask = json!({"numbers": [ours], "channel": "voice", "reason": "drill"});
        let (status, plan) = agent.post("rollback", ask).await;
        assert_eq!((status, &plan["lines"][0]["action"]), (200, &json!("rollback")), "not held: {plan}");
        w.pass(60).await;
        assert_eq!((url(w, ours).as_str(), agent.rollback_state(ours)), (BIN, "read_back"));
        agent.stop().await;
    });
}
