//! Law 11: no secret and no caller's number in anything that people or other programs read.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use ringback::sim::{Condition, HandlerState};
use tracing_subscriber::fmt::MakeWriter;

use crate::agent::DAY;
use crate::world::{World, play};

/// Everything that is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// The numbers of all other parties, as the log of calls has them, in each of their dresses.
async fn strangers(w: &World) -> BTreeSet<String> {
    let account = w.sim.scenario().account;
    let mut found = BTreeSet::new();
    let mut next = Some(format!("/2010-04-01/Accounts/{}/Calls.json?PageSize=1000", account.sid));
    while let Some(path) = next {
        let url = format!("{}{path}", w.base_url);
        let request = reqwest::Client::new().get(url).basic_auth(account.sid, Some(&account.auth_token));
        let page: serde_json::Value =
            serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap();
        for row in page["calls"].as_array().unwrap() {
            if row["direction"] == "inbound" {
                for key in ["from", "from_formatted"] {
                    found.extend(
                        row[key].as_str().filter(|s| s.len() > 6).map(|s| s.trim_start_matches('+').to_owned()),
                    );
                }
            }
        }
        next = page["next_page_uri"].as_str().map(str::to_owned);
    }
    found
}

#[test]
fn nothing_that_is_read_has_a_secret_or_a_callers_number() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let url = "https://ringback:hunter2@app.example.com/voice?token=t0psecret";
    let faults: String = [("bad-row", 400), ("unknown", 800), ("server-error", 1300)]
        .map(|(kind, at)| format!("\n[[event]]\nat = \"{at}s\"\nfault = {{ kind = \"{kind}\", for = \"200s\" }}\n"))
        .concat();
    let day = format!("{}{faults}", DAY.replace("https://app.example.com/voice", url));
    play(&day, async |w| {
        w.env.insert("RINGBACK_TOKEN", "adm1nt0ken");
        let agent = w.start().await.unwrap();
        w.pass(1800).await;
        w.sim.set_handler(url, HandlerState::all(Condition::Status(500))).unwrap();
        w.pass(1800).await;
        let [status, metrics] = [agent.get("/api/v1/status").await.1, agent.get("/metrics").await.1];
        assert!(status.contains(crate::world::BIN), "it was swapped");
        agent.stop().await;
        let mut state = String::new();
        for file in std::fs::read_dir(w.folder.path()).unwrap() {
            state += &String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap());
        }
        let strangers = strangers(w).await;
        assert!(strangers.len() > 100, "{}", strangers.len());
        let account = w.sim.scenario().account;
        let basic = base64::prelude::BASE64_STANDARD.encode(format!("{}:{}", account.sid, account.auth_token));
        let secrets = [account.auth_token.as_str(), &basic, "adm1nt0ken"];
        let in_urls = ["hunter2", "t0psecret"];
        let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
        assert!(log.contains("a row cannot be understood") && log.contains("rolling back"));
        // The journal has the number's whole record, or it could not be restored.
        for (name, text, has_urls) in
            [("log", &log, false), ("status", &status, false), ("metrics", &metrics, false), ("state", &state, true)]
        {
            let urls = in_urls.into_iter().filter(|_| !has_urls);
            for secret in secrets.into_iter().chain(urls).chain(strangers.iter().map(String::as_str)) {
                if let Some(i) = text.find(secret) {
                    let from = text.floor_char_boundary(i.saturating_sub(300));
                    panic!("{secret:?} is in the {name}: {}", &text[from..text.ceil_char_boundary(i + 100)]);
                }
            }
        }
    });
    drop(guard);
}
