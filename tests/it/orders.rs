//! Many orders at once, who may hear the token, and who said that numbers are ported.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use ringback::core::rollback::entry::Entry;
use ringback::store::Store;
use serde_json::{Value, json};

use crate::agent::DAY;
use crate::support::{support, with_token};
use crate::words::ringback;
use crate::world::{Folder, World, play};

/// Groups of one number each, with both channels: an order for each group and channel.
const GROUPS: usize = 30;

fn many() -> String {
    let mut day = DAY.split("[[group]]").next().unwrap().to_owned();
    for i in 0..GROUPS {
        day += &format!(
            "[[group]]\nname = \"g{i}\"\nnumbers = [\"+1500555{:04}\"]\n\
             traffic = {{ calls_per_hour = 1, messages_per_hour = 1, shape = \"flat\", failure = 0.0 }}\n\
             routing = {{ voice_url = \"https://app.example.com/voice\", sms_url = \"https://app.example.com/sms\" }}\n\n",
            1000 + i
        );
    }
    day
}

#[test]
fn a_rollback_of_sixty_orders_reports_each_number_and_each_order_is_found_ever_after() {
    play(&many(), async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let (code, said) = ringback(w, &agent, &["rollback", "--all", "--yes", "--json", "--reason", "drill"]).await;
        let answer: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        assert_eq!(answer["orders"].as_array().unwrap().len(), GROUPS * 2);
        let results = answer["results"].as_array().unwrap();
        let not: Vec<&Value> = results.iter().filter(|r| r["result"] != "written").collect();
        assert_eq!((results.len(), not.len(), code), (GROUPS * 2, 0, 0), "{not:?}");
        // The next agent finds them all too, and what each number came to.
        agent.stop().await;
        let agent = w.start().await.unwrap();
        for id in answer["orders"].as_array().unwrap() {
            let (status, said) = agent.get(&format!("/api/v1/orders/{}", id.as_str().unwrap())).await;
            assert_eq!(status, 200, "{id}: {said}");
            let order: Value = serde_json::from_str(&said).unwrap();
            assert_eq!((&order["is_over"], &order["ended"][0]["result"]), (&json!(true), &json!("written")), "{order}");
        }
        assert_eq!(agent.get("/api/v1/orders/D9999").await.0, 404);
        agent.stop().await;
    });
}

/// A program that is not the agent holds its address. It answers every request as an agent would, except that it
/// does not know the token.
struct Stranger {
    address: String,
    heard: std::sync::mpsc::Receiver<String>,
}

impl Stranger {
    fn new(answer: &'static str) -> Stranger {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (hears, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = vec![0; 1 << 16];
                let read = stream.read(&mut head).unwrap_or_default();
                if hears.send(String::from_utf8_lossy(&head[..read]).into_owned()).is_err() {
                    return;
                }
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Stranger { address, heard }
    }
}

fn ringback_at(folder: &Folder, listen: &str, words: &[&str]) -> (i32, String) {
    let config = folder.path().join("ringback.toml");
    let text = format!(
        "[twilio]\naccount_sid = \"AC{}\"\nbase_url = \"http://127.0.0.1:1\"\n[agent]\nlisten = \"{listen}\"\n\
         [[group]]\nname = \"support\"\nnumbers = [\"+15005550100\"]\n",
        "0".repeat(32)
    );
    std::fs::write(&config, text).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(words)
        .arg("--config")
        .arg(config)
        .env("TWILIO_AUTH_TOKEN", "0".repeat(32))
        .env("RINGBACK_TOKEN", "open sesame")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
    (out.status.code().unwrap(), said)
}

#[test]
fn a_stranger_at_the_agents_address_never_hears_the_token() {
    const HEALTHY: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{\"done\": \"ok\"}";
    const FORGED: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\nconnection: close\r\n\
        ringback-proof: 0000000000000000000000000000000000000000000000000000000000000000\r\n\r\n{\"done\": \"ok\"}";
    for answer in [HEALTHY, FORGED] {
        let stranger = Stranger::new(answer);
        let folder = Folder::new();
        for words in [
            &["hold", "--all"][..],
            &["release", "--all"],
            &["approve", "D1"],
            &["mode", "auto"],
            &["rollback", "--all", "--yes"],
            &["restore", "--all", "--yes"],
        ] {
            let words: Vec<&str> = words.iter().copied().chain(["--reason", "drill"]).collect();
            let (code, said) = ringback_at(&folder, &stranger.address, &words);
            assert_eq!(code, 3, "{words:?}: {said}");
            assert!(said.contains("does not prove to be this agent"), "{words:?}: {said}");
        }
        let heard: Vec<String> = stranger.heard.try_iter().collect();
        assert!(!heard.is_empty(), "it was asked to prove itself");
        for request in heard {
            let request = request.to_lowercase();
            assert!(request.starts_with("get /-/healthy"), "{request}");
            assert!(!request.contains("open sesame") && !request.contains("authorization"), "{request}");
        }
    }
}

/// Every entry of the journal of this kind, as it is stored.
async fn entries(w: &World, kind: &str) -> Vec<Entry> {
    let store = Store::open(&w.folder.path().join("ringback.db")).await.unwrap();
    let journal = store.journal().await.unwrap();
    store.close().await;
    journal.into_iter().map(|r| r.entry).filter(|e| e.kind() == kind).collect()
}

#[test]
fn who_says_that_numbers_are_ported_and_why_is_in_the_journal() {
    let day = DAY.to_owned();
    play(&day, async |w| {
        with_token(w);
        // They are announced for tomorrow.
        let text = w.config_text().replacen("[[group]]\n", "[[group]]\nport_at = \"2026-11-22T14:00:00Z\"\n", 1);
        let config = w.parse(&text).unwrap();
        let agent = w.start_with(&config).await.unwrap();
        let (status, said) = agent.post("ported", json!({"group": "support", "author": "ann"})).await;
        assert_eq!(status, 422, "{said}");
        assert!(said["error"].as_str().unwrap().contains("reason is empty"), "{said}");
        // Nobody is the machine.
        for author in ["ringback", " Detector", "RING BACK", "d\u{435}tector", "r1ngback"] {
            let body = json!({"group": "support", "author": author, "reason": "the carrier called"});
            let (status, said) = agent.post("ported", body).await;
            assert_eq!(status, 422, "{author}: {said}");
            assert!(said["error"].as_str().unwrap().contains("say who you are"), "{said}");
        }
        assert_eq!(entries(w, "ported").await, [], "what is refused is not kept");
        let body = json!({"group": "support", "author": "ann", "reason": "the carrier called"});
        let (status, said) = agent.post("ported", body).await;
        assert_eq!((status, &said["activated"]), (200, &json!(3)), "{said}");
        let [Entry::Ported { numbers, by }] = &entries(w, "ported").await[..] else {
            panic!("it is not in the journal")
        };
        assert_eq!(numbers.iter().map(|n| n.e164).collect::<BTreeSet<_>>(), support().into());
        assert_eq!((by.name.as_str(), by.reason.as_str()), ("ann", "the carrier called"));
        agent.stop().await;
    });
}

#[test]
fn ported_is_a_verb_of_the_command_line_that_needs_a_reason() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        let (code, said) = ringback(w, &agent, &["ported", "--group", "support"]).await;
        assert!(code == 2 && said.contains("--reason"), "{said}");
        let words = ["ported", "--group", "support", "--author", "ann", "--reason", "they said so"];
        let (code, said) = ringback(w, &agent, &words).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("ported"), "{said}");
        let kept = entries(w, "ported").await;
        assert!(matches!(&kept[..], [Entry::Ported { by, .. }] if by.name.as_str() == "ann"), "{kept:?}");
        agent.stop().await;
    });
}
