//! Operator commands as people give them: the real command line, as a process, to a running agent.

use std::process::{Command, Stdio};

use ringback::agent::{Agent, Role};
use ringback::sim::{ApiFault, ApiFaultKind, ApiFaultScope, Sim};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent::DAY;
use crate::desk::desk_at;
use crate::support::{program, support, url, with_token, writes};
use crate::world::{BIN, Folder, Running, World, in_real_time, play};

/// Runs the program while the world goes on. Gives its exit code and what it said.
pub async fn ringback(w: &World, agent: &Running, words: &[&str]) -> (i32, String) {
    ringback_at(w, agent.url.trim_start_matches("http://"), words).await
}

/// The same with the agent said to be at this address.
pub async fn ringback_at(w: &World, listen: &str, words: &[&str]) -> (i32, String) {
    let text = w.config_text().replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{listen}\""));
    let (code, said, complained) = program(w, &text, words).await;
    (code, said + &complained)
}

#[test]
fn every_verb_goes_through_the_running_agent() {
    play(DAY, async |w| {
        with_token(w);
        let agent = w.start().await.unwrap();
        w.pass(120).await;
        let one = support()[0].to_string();
        let because = ["--reason", "drill"];
        let run = async |w: &World, words: &[&str]| {
            let words: Vec<&str> = words.iter().chain(&because).copied().collect();
            ringback(w, &agent, &words).await
        };
        let (code, said) = run(w, &["rollback", &one, "--channel", "voice", "--yes"]).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("{one} voice: written: now answered by")), "{said}");
        assert_eq!(url(w, support()[0]), BIN);
        // Nobody says yes: nothing is done, and that is not as asked.
        let (code, said) = run(w, &["rollback", "--group", "support", "--channel", "voice"]).await;
        assert_eq!((code, writes(w).len()), (1, 1), "{said}");
        // Again is the same.
        assert_eq!(run(w, &["rollback", &one, "--channel", "voice", "--yes"]).await.0, 0);
        assert_eq!(writes(w).values().sum::<usize>(), 1);
        let (code, said) = run(w, &["hold", &one, "--for", "30m"]).await;
        assert_eq!(code, 0, "{said}");
        let (code, said) = run(w, &["restore", &one, "--channel", "voice", "--yes", "--json"]).await;
        assert_eq!(code, 1, "held: {said}");
        let json: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        assert_eq!(json["results"][0]["result"], "refused");
        assert_eq!(run(w, &["release", &one]).await.0, 0);
        assert_eq!(run(w, &["restore", &one, "--channel", "voice", "--yes"]).await.0, 0);
        assert_ne!(url(w, support()[0]), BIN);
        // One of three does not end as asked: the others do, and the exit code says so.
        w.sim
            .fault(ApiFault { code: 21215, ..ApiFault::new(ApiFaultKind::Refuse, ApiFaultScope::Writes).share(0.8) })
            .unwrap();
        let (code, said) = run(w, &["rollback", "--group", "support", "--channel", "voice", "--yes"]).await;
        let written = said.matches(": written: ").count();
        assert!(written < 3 && said.contains(": failed: "), "{said}");
        assert_eq!(code, 1, "{said}");
        w.sim.calm();
        assert_eq!(run(w, &["mode", "observe"]).await.0, 0);
        let (code, said) = run(w, &["rollback", "--group", "support", "--channel", "voice", "--yes"]).await;
        assert!(code == 1 && said.contains("the mode is observe"), "{said}");
        let (code, said) = run(w, &["approve", "D999"]).await;
        assert!(code == 1 && said.contains("D999 does not wait for approval"), "{said}");
        assert_eq!(run(w, &["rollback", "--yes"]).await.0, 2, "no number was named");
        agent.stop().await;
    });
}

#[test]
fn with_no_agent_one_number_is_put_back_on_both_channels_without_a_canary() {
    let day = DAY.replacen("calls_per_hour = 90,", "calls_per_hour = 90, messages_per_hour = 30,", 1).replacen(
        "voice_url = \"https://app.example.com/voice\"",
        "voice_url = \"https://app.example.com/voice\", sms_url = \"https://app.example.com/sms\"",
        1,
    );
    let alone = Alone::new(&day);
    let one = support()[0].to_string();
    let (code, said) = alone.ringback(&["rollback", &one, "--yes", "--reason", "drill"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("no agent is running: taking the lease"), "{said}");
    let record = alone.sim.number(support()[0]).unwrap();
    assert_eq!((&record["voice_url"], &record["sms_url"]), (&BIN.into(), &BIN.into()));
    let (code, said) = alone.ringback(&["restore", &one, "--yes", "--reason", "over"]);
    assert_eq!(code, 0, "{said}");
    let record = alone.sim.number(support()[0]).unwrap();
    assert_eq!(record["sms_url"], "https://app.example.com/sms");
    // Several would need somebody who watches the canary.
    assert_eq!(alone.ringback(&["rollback", "--group", "support", "--yes", "--reason", "drill"]).0, 0);
    let (code, said) = alone.ringback(&["restore", "--group", "support", "--yes", "--reason", "over"]);
    assert!(code == 1 && said.contains("restore all with --at-once"), "{said}");
}

/// The program without an agent: it takes the time from the machine, and so does the pretend Twilio.
struct Alone {
    sim: Sim,
    folder: Folder,
    base: String,
}

impl Alone {
    fn new(day: &str) -> Alone {
        let (sim, base) = in_real_time(day);
        Alone { sim, folder: Folder::new(), base }
    }

    fn ringback(&self, words: &[&str]) -> (i32, String) {
        let account = self.sim.scenario().account;
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{}\"\n[agent]\nmode = \"auto\"\nlisten = \"127.0.0.1:1\"\n\
             [[group]]\nname = \"support\"\nnumbers = [\"+15005550100\", \"+15005550101\", \"+15005550102\"]\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\nsms_url = \"{BIN}\"\n",
            account.sid, self.base
        );
        let config = self.folder.path().join("ringback.toml");
        std::fs::write(&config, text).unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_ringback"))
            .args(words)
            .arg("--config")
            .arg(config)
            .env("TWILIO_AUTH_TOKEN", account.auth_token)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap();
        (out.status.code().unwrap(), said)
    }
}

#[test]
fn without_an_agent_the_fallback_is_checked_all_the_same() {
    let day = DAY.replace("does = \"answer\"", "does = \"broken\"");
    let alone = Alone::new(&day);
    let one = support()[0].to_string();
    let (code, said) = alone.ringback(&["rollback", &one, "--channel", "voice", "--yes", "--reason", "drill"]);
    assert!(code == 1 && said.contains("is broken"), "{said}");
    assert_eq!(alone.sim.number(support()[0]).unwrap()["voice_url"], "https://app.example.com/voice");
}

#[test]
fn who_stands_by_answers_and_says_who_leads() {
    play(DAY, async |w| {
        let config = w.config().unwrap();
        let first = w.start().await.unwrap();
        let (clock, own) = (w.clock.clone(), w.clock.clone());
        let (standby, leader) = watch::channel(None);
        let mut tasks = JoinSet::new();
        clock.spawn(&mut tasks, async move { Agent::start_as(Role::Watch, &config, &own, &standby).await });
        let front = ringback::admin::standby::SwappableRouter::new(ringback::admin::standby::router(leader, None));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        let stop = CancellationToken::new();
        server.spawn(ringback::admin::serve::serve(front.router(), listener, stop.clone()));
        let get = async |path: &str| {
            let answer = reqwest::get(format!("{address}{path}")).await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        w.pass(60).await;
        assert_eq!(get("/-/healthy").await.0, 200, "it is not dead");
        let (status, said) = get("/-/ready").await;
        assert!(status == 503 && said.contains("standby: process ") && said.contains(" leads until "), "{said}");
        let (_, status) = get("/api/v1/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert!(status["standby"] == true && status["leader"].as_str().unwrap().starts_with("process "), "{status}");
        for words in [&["status"][..], &["status", "--json"]] {
            let (code, said, complained) = desk_at(w, &address, words).await;
            assert_eq!(code, 3, "not known is not well: {said}{complained}");
            assert!(said.contains("NOT KNOWN here: this agent stands by; process ") || words.len() == 2, "{said}");
        }
        let (_, metrics) = get("/metrics").await;
        assert!(metrics.contains("\nringback_leading 0\n"), "{metrics}");
        assert_eq!(get("/api/v1/numbers").await.0, 503);
        // The first dies; the second leads within the lease's time, on the same address.
        drop(first);
        w.pass(40).await;
        let second = tasks.try_join_next().expect("it took over").unwrap().unwrap();
        front.set(ringback::admin::router(&second, &w.clock, None));
        w.pass(60).await;
        assert_eq!(get("/-/ready").await.0, 200);
        stop.cancel();
        second.stop().await;
    });
}
