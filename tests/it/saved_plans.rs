//! Plans that outlast the command: saved ones are applied exactly or refused number by number, and numbers that are
//! still to come are waited for.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringback::clock::Clock;
use ringback::core::model::id::E164;
use ringback::core::model::time::Time;
use ringback::sim::{Edit, Happening, Scenario, Sim};
use serde_json::Value;

use crate::handlers::{APP, DAY, NEW, asking, watching};
use crate::kill::serve_apart;
use crate::support::{program, support, url, writes};
use crate::world::{Folder, Running, World, play};

/// The configuration as the command line has it, that finds this agent.
fn finding(config: &str, agent: &Running) -> String {
    let listen = format!("listen = \"{}\"", agent.url.trim_start_matches("http://"));
    config.replace("listen = \"127.0.0.1:0\"", &listen)
}

fn edit(w: &World, nth: usize, url: &str) {
    let set = [("VoiceUrl".to_owned(), url.to_owned())].into();
    w.sim.happen(Happening::Edit(Edit { number: support()[nth], set })).unwrap();
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_saved_plan_holds_no_secret_and_is_applied_exactly_and_once() {
    play(DAY, async |w| {
        let agent = watching(w, &asking(w, NEW)).await;
        let config = finding(&asking(w, NEW), &agent);
        let path = w.folder.path().join("monday.plan");
        let file = path.to_str().unwrap();
        let (code, said, complained) = program(w, &config, &["plan", "--out", file]).await;
        assert!(code == 1 && said.contains("saved as P") && said.contains("it expires at"), "{said}{complained}");
        let saved = text(&path);
        assert!(!saved.contains("hunter") && !saved.contains("user"), "{saved}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let plan: Value = serde_json::from_str(&saved).unwrap();
        assert_eq!((plan["numbers"].as_array().unwrap().len(), plan["states"].as_array().unwrap().len()), (3, 1));
        let (code, said, _) = program(w, &config, &["plan", "--still-good", file]).await;
        assert!(code == 0 && said.ends_with("still stands: 3 to change, 0 done already, 0 moved\n"), "{said}");
        // The program's time is real, and Twilio's is not: who changed a number is asked for since the plan was made.
        let made_at = plan["made_at"].as_str().unwrap();
        std::fs::write(&path, saved.replace(made_at, &w.now().to_string())).unwrap();
        // What becomes of another number makes it no staler; somebody's write to one of its own is named.
        let set = [("VoiceUrl".to_owned(), "https://sales.example.com/other".to_owned())].into();
        w.sim.happen(Happening::Edit(Edit { number: "+15005550200".parse().unwrap(), set })).unwrap();
        edit(w, 1, "https://theirs.example.com/voice?k=hunter4");
        let moved = "+15005550101 voice: VoiceUrl was \"https://old.example.com/voice?…\" when it was planned, and is \
                     \"https://theirs.example.com/voice?…\"; changed by ";
        let (code, said, _) = program(w, &config, &["plan", "--still-good", file]).await;
        assert!(code == 1 && said.contains(moved) && said.contains(" at 2026-11-21T"), "{said}");
        assert!(said.ends_with("does not stand as a whole: 2 to change, 0 done already, 1 moved\n"), "{said}");
        let (code, said, complained) = program(w, &config, &["apply", file, "--yes", "--reason", "as agreed"]).await;
        assert!(code == 1 && said.contains("+15005550101: refused: VoiceUrl was"), "{said}{complained}");
        assert!(!said.contains("hunter"), "{said}");
        assert_eq!(support().map(|n| url(w, n) == APP), [true, false, true]);
        // Twice is an answer: what is done is done, and what was refused is refused.
        let (code, said, _) = program(w, &config, &["apply", file, "--yes", "--reason", "as agreed"]).await;
        assert!(code == 1 && said.contains("+15005550101: refused"), "{said}");
        edit(w, 1, APP);
        let (code, said, _) = program(w, &config, &["apply", file, "--yes", "--reason", "as agreed"]).await;
        assert!(code == 0 && said.contains("is applied already, 3 channels of numbers"), "{said}");
        assert_eq!(writes(w).values().sum::<usize>(), 2);
        let (code, said, _) = program(w, &config, &["plan", "--still-good", file, "--json"]).await;
        let json: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &json["is_good"], &json["numbers"]["done"]), (0, &true.into(), &3.into()));
        agent.stop().await;
    });
}

#[test]
fn a_plan_that_stands_no_more_says_why_and_nothing_of_it_is_applied() {
    play(DAY, async |w| {
        let agent = watching(w, &asking(w, NEW)).await;
        let config = finding(&asking(w, NEW), &agent);
        let path = w.folder.path().join("monday.plan");
        let file = path.to_str().unwrap();
        assert_eq!(program(w, &config, &["plan", "--out", file]).await.0, 1);
        let saved = text(&path);
        let other = config.replace("new.example.com", "newer.example.com");
        let plan: Value = serde_json::from_str(&saved).unwrap();
        let expired = saved.replace(plan["expires_at"].as_str().unwrap(), plan["made_at"].as_str().unwrap());
        let elsewhere = saved.replace(plan["key"].as_str().unwrap(), "0123456789abcdef");
        let account =
            saved.replacen(&w.sim.scenario().account.sid.to_string(), "AC000000000000000000000000000000ff", 1);
        for (config, saved, why) in [
            (&other, &saved, "asks something else of voice"),
            (&config, &expired, "expired at"),
            (&config, &elsewhere, "another installation's key"),
            (&config, &account, "of account AC000000000000000000000000000000ff"),
        ] {
            std::fs::write(&path, saved).unwrap();
            let (code, said, complained) = program(w, config, &["plan", "--still-good", file]).await;
            assert!(code == 1 && said.contains(why), "{why}: {said}{complained}");
            let (code, said, complained) = program(w, config, &["apply", file, "--yes", "--reason", "x"]).await;
            assert!(code == 1 && complained.contains(why), "{why}: {said}{complained}");
        }
        std::fs::write(&path, "{}").unwrap();
        let (code, _, complained) = program(w, &config, &["apply", file, "--yes", "--reason", "x"]).await;
        assert!(code == 3 && complained.contains("is no saved plan"), "{complained}");
        assert_eq!(program(w, &config, &["apply", "no-such.plan", "--yes", "--reason", "x"]).await.0, 3);
        assert_eq!(program(w, &config, &["apply", file, "+15005550100", "--yes", "--reason", "x"]).await.0, 2);
        assert!(writes(w).is_empty());
        agent.stop().await;
    });
}

/// In real time, with no agent: the command takes the lease.
#[test]
fn numbers_that_come_into_the_account_are_given_their_handler_then() {
    let day = DAY.replacen(
        "routing = { voice_url = \"https://user",
        "port = { listed_before = false }\nrouting = { voice_url = \"https://user",
        1,
    );
    // Installing it twice is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let sim = Sim::new(Scenario::parse(&day).unwrap(), Clock::system()).unwrap();
        let base = serve_apart(&sim).await;
        let folder = Folder::new();
        let config = folder.path().join("ringback.toml");
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{base}\"\n[agent]\nmode = \"confirm\"\nlisten = \"127.0.0.1:1\"\n\
             [[group]]\nname = \"support\"\nnumbers = [\"+15005550100\", \"+15005550101\"]\n[group.handler]\n{NEW}",
            sim.scenario().account.sid
        );
        std::fs::write(&config, text).unwrap();
        let program = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
            command.args(words).arg("--config").arg(&config);
            command.env("TWILIO_AUTH_TOKEN", sim.scenario().account.auth_token);
            command
        };
        let is = |n: E164| sim.number(n).is_some_and(|record| record["voice_url"] == APP);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let words = ["apply", "--wait", "--yes", "--reason", "port day"];
        let mut child = program(&words).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let said = || std::fs::read_to_string(folder.path().join("log")).unwrap();
        let clock = Clock::system();
        let within = |seconds| clock.now() + Duration::from_secs(seconds);
        let until = async |by: Time, is_it: &dyn Fn() -> bool| {
            while !is_it() {
                assert!(clock.now() < by, "{}", said());
                clock.sleep(Duration::from_millis(50)).await;
            }
        };
        until(within(30), &|| said().contains("2 of them: its list is read every 1 s")).await;
        sim.port("+15005550100").unwrap();
        until(within(15), &|| is(support()[0])).await;
        assert!(!is(support()[1]) && child.try_wait().unwrap().is_none());
        sim.port("+15005550101").unwrap();
        until(within(15), &|| is(support()[1])).await;
        assert_eq!(child.wait().unwrap().code(), Some(0), "{}", said());
        assert_eq!(program(&["plan"]).output().unwrap().status.code(), Some(0));
    });
}

/// A file that was changed beside an agent, which has read it before: what was shown and confirmed is not what the
/// agent would write, and nothing is written.
#[test]
fn an_apply_writes_what_it_has_shown_or_nothing() {
    play(DAY, async |w| {
        for before in [asking(w, NEW), w.config_text()] {
            let agent = watching(w, &before).await;
            let now = finding(&asking(w, "voice_url = \"https://other.example.com/voice\"\n"), &agent);
            let was = url(w, support()[0]);
            let (code, said, complained) = program(w, &now, &["apply", "--yes", "--reason", "new app"]).await;
            assert!(code != 0 && said.contains("https://other.example.com/voice"), "{said}{complained}");
            assert!(complained.contains("restart it, and apply then"), "{said}{complained}");
            w.pass(60).await;
            assert_eq!(url(w, support()[0]), was);
            agent.stop().await;
        }
    });
}
